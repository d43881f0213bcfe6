/* storage/volume_format.h - bytes of a volume file's header and of its records
 * (docs/formats/volume.md). Pure; shared by volumes, `ringstack inspect` and the fuzzer. */
#ifndef STORAGE_VOLUME_FORMAT_H
#define STORAGE_VOLUME_FORMAT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "storage/policy.h"
#include "storage/row.h"

enum {
    VOLUME_ALIGN = 4096,                   /* Records begin at and are padded to multiples. */
    VOLUME_HEADER_BYTES = 64,
    CHUNK_BYTES_MAX = REPLICA_CHUNK_BYTES, /* Of one fragment in one segment. */
    CHUNK_BLOCK_BYTES = 64 * 1024,         /* What one checksum covers. */
    CHUNK_BLOCKS_MAX = CHUNK_BYTES_MAX / CHUNK_BLOCK_BYTES,
    RECORD_SMALL_BYTES = 64 * 1024,        /* A record up to this size has a short header, ... */
    RECORD_HEADER_SMALL = 512,
    RECORD_HEADER_LARGE = 4096             /* ... a larger one a long one, so that its payload is aligned. */
};

struct volume_header {
    uint32_t number;
    uint8_t  device[16];
    uint64_t seed;       /* Of record checksums: secret, so that stored bytes can't pose as records. */
    uint64_t bytes;      /* The file may grow to this. */
};
void volume_header_encode(uint8_t *out, const struct volume_header *header);
int  volume_header_decode(struct slice in, struct volume_header *ret_header);   /* -E_CORRUPT, -E_TOO_NEW */

/* One chunk: fragment 'fragment' of segment 'segment' of a blob. */
struct volume_record {
    uint8_t      blob[16];
    uint8_t      fragment, k, m;
    bool         erasure;
    uint32_t     segment;
    uint32_t     unit;                /* Bytes of a fragment in a whole segment. */
    uint32_t     length;              /* Of the payload. */
    uint32_t     segment_bytes;       /* Of the blob in this segment. */
    uint64_t     segment_checksum;
    uint8_t      owner_shard[SHARD_ID_BYTES];
    struct slice owner_name;          /* Of the row that is to name the blob. (Early versions wrote it only in segment 0.) */
    uint64_t     checksum[CHUNK_BLOCKS_MAX];
};

static inline uint32_t chunk_blocks(uint32_t length)
{
    return (length + CHUNK_BLOCK_BYTES - 1) / CHUNK_BLOCK_BYTES;
}
uint32_t volume_record_header_bytes(const struct volume_record *record);
uint32_t volume_record_bytes(const struct volume_record *record);   /* Header, payload, padding. */
/* Lengths and numbers are within limits; -E_LIMIT. */
int      volume_record_check(const struct volume_record *record);
/* Writes volume_record_header_bytes(). */
void     volume_record_encode(uint8_t *out, uint64_t seed, const struct volume_record *record);
/* '*ret_record' borrows the name from 'in'. -E_CORRUPT: no intact header. */
int      volume_record_decode(struct slice in, uint64_t seed, struct volume_record *ret_record,
                              uint32_t *ret_header_bytes);

void     chunk_checksums(const uint8_t *data, uint32_t length, uint64_t *ret_checksums);
/* 'data' begins at block 'first' and ends at a block's end or the payload's. */
bool     chunk_verify(const struct volume_record *record, uint32_t first, const uint8_t *data, uint32_t size);

#endif
