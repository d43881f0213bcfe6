/* storage/journal_format.h - bytes of a journal's segment header and records
 * (docs/formats/journal.md). Pure; shared by the journal, its fuzzer and
 * `ringstack inspect`. */
#ifndef STORAGE_JOURNAL_FORMAT_H
#define STORAGE_JOURNAL_FORMAT_H

#include "base/error.h"
#include "base/slice.h"

enum { JOURNAL_RECORD_HEADER_BYTES = 48, JOURNAL_HEADER_BYTES = 48 };

struct journal_record {
    uint64_t     sequence;       /* Of the segment's life it was written in. */
    uint64_t     lsn;
    uint64_t     append_first;   /* lsn of the first record of the same append. */
    struct slice bytes_of;       /* The content; points into the input. */
    size_t       bytes;          /* Decoded only: with header and padding. */
};

void journal_header_encode(uint8_t *out, uint64_t id, uint64_t segment_bytes, uint32_t number);
/* -E_CORRUPT, -E_TOO_NEW. */
int  journal_header_decode(struct slice in, uint64_t *ret_id, uint64_t *ret_segment_bytes, uint32_t *ret_number);

/* Returns the bytes used, a multiple of 8. */
size_t journal_record_encode(uint8_t *out, uint64_t id, const struct journal_record *record);
/* -E_CORRUPT: there is no intact record of journal 'id' at the beginning of 'in'. */
int    journal_record_decode(struct slice in, uint64_t id, struct journal_record *ret_record);

#endif
