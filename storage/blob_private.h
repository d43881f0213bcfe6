/* storage/blob_private.h - what the files of the blob client share. */
#ifndef STORAGE_BLOB_PRIVATE_H
#define STORAGE_BLOB_PRIVATE_H

#include "base/bytes.h"
#include "proto/blob.pb-c.h"
#include "storage/blob.h"
#include "storage/ec.h"
#include "storage/volume_format.h"

/* A writer's entry in its client's list; see blob_alive.c. */
struct blob_alive {
    struct blob_alive *next, *prev;
    uint64_t           first;            /* Time in the id of its first blob; UINT64_MAX: it has none yet. */
};

struct blob_client {
    struct rpc            *rpc;
    struct env            *env;
    struct hlc            *hlc;
    struct blob_directory  directory;
    uint64_t               life;         /* Random: tells this process from earlier ones of the node. */
    struct blob_alive     *alive;        /* All its writers. */
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

/* blob_alive.c */
void blob_alive_register(struct blob_client *client);
void blob_alive_enter(struct blob_client *client, struct blob_alive *alive);
void blob_alive_leave(struct blob_client *client, struct blob_alive *alive);

WAITS int blob_ec(struct blob_client *client, uint32_t k, uint32_t m, const struct ec **ret_ec, struct error *err);

#endif
