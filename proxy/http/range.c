/* proxy/http/range.c - the Range header (RFC 9110, 14), with the judgement of
 * Swift: what is malformed is ignored; too many, or too many that overlap or go
 * backwards, cost more than they are worth and are refused with 416. */
#include <string.h>
#include <strings.h>

#include "proxy/http/http.h"

enum { OVERLAPS_MAX = 2, NONASCENDING_MAX = 8, SPECS_MAX = 1024 };

/* "first-last", "first-" or "-suffix". Numbers past 2^64 are as good as infinity. */
struct spec {
    uint64_t first, last;
    bool     has_first, has_last;
};

static bool parse_number(struct slice text, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            value = UINT64_MAX / 10;   /* Stays huge, whatever follows. */
    }
    *ret = value;
    return text.size > 0;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && (*text.data == ' ' || *text.data == '\t'))
        text = slice_from(text, 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool parse_spec(struct slice text, struct spec *ret)
{
    const uint8_t *dash = text.size ? memchr(text.data, '-', text.size) : NULL;
    struct spec    spec = { 0 };

    if (!dash)
        return false;
    struct slice first = slice_of(text.data, (size_t)(dash - text.data)), last = slice_from(text, first.size + 1);
    spec.has_first = first.size > 0;
    spec.has_last = last.size > 0;
    if (!spec.has_first && !spec.has_last)
        return false;
    if ((spec.has_first && !parse_number(first, &spec.first)) || (spec.has_last && !parse_number(last, &spec.last)))
        return false;
    if (spec.has_first && spec.has_last && spec.last < spec.first)
        return false;
    *ret = spec;
    return true;
}

/* False: it selects nothing. */
static bool resolve(const struct spec *spec, uint64_t size, struct http_range *ret)
{
    if (!spec->has_first) {
        uint64_t suffix = spec->last < size ? spec->last : size;
        *ret = (struct http_range) { size - suffix, suffix };
        return suffix > 0;
    }
    if (spec->first >= size)
        return false;
    uint64_t last = spec->has_last && spec->last < size ? spec->last : size - 1;
    *ret = (struct http_range) { spec->first, last - spec->first + 1 };
    return true;
}

static bool overlap(const struct http_range *a, const struct http_range *b)
{
    return a->first < b->first + b->size && b->first < a->first + a->size;
}

/* Costly by design rather than by need. */
static bool abusive(const struct http_range *ranges, uint32_t count)
{
    uint32_t overlaps = 0, nonascending = 0;

    for (uint32_t i = 1; i < count; i++) {
        nonascending += ranges[i].first < ranges[i - 1].first;
        for (uint32_t j = 0; j < i; j++)
            overlaps += overlap(&ranges[i], &ranges[j]);
    }
    return overlaps > OVERLAPS_MAX || nonascending > NONASCENDING_MAX;
}

int http_ranges(struct slice header, uint64_t size, struct http_range ranges[HTTP_RANGES_MAX], uint32_t *ret_count)
{
    struct slice rest = trim(header);
    uint32_t     count = 0, specs = 0;
    bool         too_many = false, suffix_of_nothing = false;

    if (rest.size < 6 || strncasecmp((const char *)rest.data, "bytes=", 6) != 0) {
        *ret_count = 0;
        return 0;
    }
    rest = slice_from(rest, 6);
    for (bool more = true; more;) {
        const uint8_t *comma = rest.size ? memchr(rest.data, ',', rest.size) : NULL;
        struct slice   text = slice_of(rest.data, comma ? (size_t)(comma - rest.data) : rest.size);
        struct spec    spec;
        struct http_range range;

        more = comma != NULL;
        rest = slice_from(rest, text.size + more);
        if (!parse_spec(trim(text), &spec)) {
            *ret_count = 0;   /* One malformed range spoils the header. */
            return 0;
        }
        if (++specs > SPECS_MAX)
            return -ERANGE;
        if (size == 0 && !spec.has_first && spec.last > 0)
            suffix_of_nothing = true;
        if (!resolve(&spec, size, &range))
            continue;
        if (count == HTTP_RANGES_MAX)
            too_many = true;
        else
            ranges[count++] = range;
    }
    /* All of an empty object is nothing, which no 206 can express: the answer is the whole, empty object. */
    if (count == 0 && suffix_of_nothing) {
        *ret_count = 0;
        return 0;
    }
    if (count == 0 || too_many || abusive(ranges, count))
        return -ERANGE;
    *ret_count = count;
    return 0;
}
