/* base/slice.h - borrowed bytes, and checked arithmetic on foreign sizes. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;   /* May be NULL when size is 0. */
    size_t         size;
};

#define SLICE(literal) ((struct slice) { (const uint8_t *)("" literal), sizeof(literal) - 1 })
#define SLICE_NONE ((struct slice) { NULL, 0 })
/* For "%.*s". */
#define SLICE_ARG(s) (int)(s).size, (s).size ? (const char *)(s).data : ""

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice) { data, size };
}

static inline struct slice slice_str(const char *text)
{
    return (struct slice) { (const uint8_t *)text, text ? strlen(text) : 0 };
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, shorter first: the order of rows and listings. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int    c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size && (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

/* Both require from <= size, which the caller checks. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    return slice_of(s.data ? s.data + from : NULL, s.size - from);
}

static inline bool size_add(size_t a, size_t b, size_t *ret) { return !__builtin_add_overflow(a, b, ret); }
static inline bool size_mul(size_t a, size_t b, size_t *ret) { return !__builtin_mul_overflow(a, b, ret); }

#endif
