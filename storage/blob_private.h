/* storage/blob_private.h - what the blob client's writer and reader share. */
#ifndef STORAGE_BLOB_PRIVATE_H
#define STORAGE_BLOB_PRIVATE_H

#include "proto/blob.pb-c.h"
#include "storage/blob.h"
#include "storage/ec.h"
#include "storage/volume_format.h"

struct blob_client {
    struct rpc            *rpc;
    struct env            *env;
    struct hlc            *hlc;
    struct blob_directory  directory;
    int64_t                read_ns;      /* Usual time of a chunk read, smoothed. */
    struct ec             *ec[POLICY_FRAGMENTS_MAX][POLICY_FRAGMENTS_MAX];   /* By k and m; made and checked at first use. */
};

/* How a blob is cut; see storage/blob.h. */
struct blob_shape {
    uint32_t k, m, unit;
    bool     erasure;
};
static inline uint32_t shape_fragments(const struct blob_shape *s) { return s->k + s->m; }
static inline uint32_t shape_segment(const struct blob_shape *s) { return s->k * s->unit; }
/* Bytes of each fragment of a segment that holds 'length' bytes. Copies are not padded. */
static inline uint32_t shape_chunk(const struct blob_shape *s, uint32_t length)
{
    if (!s->erasure || length == shape_segment(s))
        return s->erasure ? s->unit : length;
    return ((length + s->k - 1) / s->k + BLOB_ROUND_BYTES - 1) / BLOB_ROUND_BYTES * BLOB_ROUND_BYTES;
}

WAITS int blob_ec(struct blob_client *client, uint32_t k, uint32_t m, const struct ec **ret_ec, struct error *err);

#endif
