/* base/text.h - text that grows on the heap, and the escapes of the formats that are written by hand.
 *
 * Set 'limit' (bytes) and zero the rest: struct text t = { .limit = 65536 }. 'failed' is sticky: memory or
 * 'limit' ran out, and what is there is cut; it is asked once, at the end. One thread at a time. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/slice.h"

struct text {
    char  *data;
    size_t size, capacity, limit;
    bool   failed;
};
void text_add(struct text *text, struct slice bytes);
void text_number(struct text *text, uint64_t n);
void text_json(struct text *text, struct slice string);   /* With quotes. */
void text_xml(struct text *text, struct slice string);
void text_iso_time(struct text *text, uint64_t us);       /* 2026-01-31T12:00:00.123456 */
void text_done(struct text *text);
static inline struct slice text_slice(const struct text *t) { return slice_of(t->data, t->size); }
/* The way back: digits only, at least one, that fit. */
bool slice_u64(struct slice text, uint64_t *ret);
#define text_lit(text, literal) text_add((text), SLICE(literal))

#endif
