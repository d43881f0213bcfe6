/* storage/blob.h - immutable runs of bytes on the devices: the client's side.
 *
 * A blob is written once by a blob_writer, as R copies or k+m fragments on
 * distinct devices that the policy's ring names (handoff devices where one is
 * out of service), and acknowledged when durable: every fragment of an
 * erasure-coded blob, a majority of the copies (all that can be reached) of a
 * replicated one; otherwise -E_UNAVAILABLE, and what was written is garbage.
 * An object longer than BLOB_SIZE_MAX is a list of blobs.
 *
 * Layout. The bytes are cut into segments of k * unit. In each segment data
 * fragment i holds bytes [i * u, (i + 1) * u), u = ceil(length / k) rounded up
 * to BLOB_ROUND_BYTES (u = unit except in the last segment). Parity by ISA-L, Cauchy.
 * Every chunk (one fragment of one segment) has a header with checksums of its
 * 64 KiB blocks and of the whole segment; all are verified on the way out.
 *
 * Where to look for fragment i: extent.devices[i], else ring primary i, else
 * the other devices in handoff order. */
#ifndef STORAGE_BLOB_H
#define STORAGE_BLOB_H

#include "base/bytes.h"
#include "storage/policy.h"
#include "storage/row.h"

enum {
    BLOB_ID_BYTES = 16,
    BLOB_SIZE_MAX = 64 * 1024 * 1024,
    BLOB_ROUND_BYTES = 64,
    BLOB_WINDOW_BYTES = 8 * 1024 * 1024,   /* In flight per writer or reader, fragments included. */
    BLOB_EXTENTS_MAX = 1024                /* Per object row here; longer objects need a manifest. */
};

struct blob_client;

/* What the blob client needs to know of the cluster; asked at each blob, so it may change. */
struct blob_directory {
    void *ctx;
    const struct policy *(*policy)(void *ctx, uint16_t index);
    const struct ring *(*ring)(void *ctx, uint16_t policy_index);   /* Borrowed until the next wait; ref to keep. */
    bool (*device_up)(void *ctx, uint16_t device);                  /* In service as far as known here. */
};
struct blob_client *blob_client_new(struct rpc *rpc, struct hlc *hlc, const struct blob_directory *directory);
struct blob_client *blob_client_free(struct blob_client *client);

/* --- Writing. 'owner': the row that will name it; recorded with each chunk, so that
 * garbage collection can ask that row. The writer is kept until the row's outcome is settled or given up: what no
 * living writer holds and no row names is collected (storage/gc_orphan.c). --- */
struct blob_writer;
WAITS int blob_writer_new(struct blob_client *client, const struct policy *policy, const struct shard *owner_shard,
                          struct slice owner_name, int64_t deadline, struct blob_writer **ret_writer,
                          struct error *err);
/* Appends bytes; takes a reference to 'buf' and waits while the window is full.
 * Zero-copy when parts come as whole aligned units (REPLICA_CHUNK_BYTES or k * EC_UNIT_BYTES). */
WAITS int blob_write(struct blob_writer *writer, struct buf *buf, uint32_t offset, uint32_t size, struct error *err);
/* Waits until all is durable. The extents are in the arena. */
WAITS int blob_writer_finish(struct blob_writer *writer, struct arena *arena, Rs__Extent ***ret_extents,
                             size_t *ret_count, struct error *err);
/* Frees; without a finish before, asks the devices to forget what they got. */
WAITS struct blob_writer *blob_writer_free(struct blob_writer *writer);

/* --- Reading [offset, offset + size) of the concatenation of the extents. --- */
struct blob_reader;
WAITS int blob_reader_new(struct blob_client *client, Rs__Extent *const *extents, size_t count, uint64_t offset,
                          uint64_t size, int64_t deadline, struct blob_reader **ret_reader, struct error *err);
/* The next bytes, in order, verified; the caller unrefs the part's buffer. size 0: the end.
 * Reads ahead within the window. -E_UNAVAILABLE: too few fragments. */
WAITS int blob_read(struct blob_reader *reader, struct buf_part *ret_part, struct error *err);
WAITS struct blob_reader *blob_reader_free(struct blob_reader *reader);

/* --- Which blobs have no writer any more (blob_alive.c). A blob's id tells its node and a time of that node's
 * clock, which grows from blob to blob in one life of the node. --- */
static inline uint64_t blob_id_time(const uint8_t id[BLOB_ID_BYTES]) { return get_u64be(id); }
static inline uint32_t blob_id_node(const uint8_t id[BLOB_ID_BYTES]) { return get_u32be(id + 8); }
struct blob_floor {
    uint64_t life;      /* Of the node; another one after each start. */
    uint64_t before;    /* A blob that it, or a life before it, had made by now, and with a time below, has no writer. */
};
/* Asks a node. */
WAITS int blob_floor(struct blob_client *client, uint32_t node, int64_t deadline, struct blob_floor *ret_floor,
                     struct error *err);

/* Forgets a blob everywhere. 0 only when every device that may hold a fragment said so. */
WAITS int blob_delete(struct blob_client *client, const Rs__Extent *extent, int64_t deadline, struct error *err);

#endif
