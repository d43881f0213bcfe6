/* storage/blob_store.h - the chunks of blobs on one device.
 *
 * A chunk is written to a volume file, made durable by a sync, and then named in
 * the index, in this order:
 *
 *   (none) -- write --> OPEN -- sync --> durable -- index --> STORED -- delete --> (dead space)
 *
 * The index (device->kv) is not journaled: what it may lack after a crash is
 * found again by scanning the volumes from a checkpoint that is in every batch of
 * the index. OPEN chunks live in memory only; when their writer does not come
 * back they become dead space. Dead space is won back by compaction
 * (storage/blob_compact.c).
 *
 * Every call answers -E_DEVICE when the device is out of service, and takes it
 * out of service on failed I/O or a checksum that does not match. */
#ifndef STORAGE_BLOB_STORE_H
#define STORAGE_BLOB_STORE_H

#include "storage/device.h"
#include "storage/volume.h"

enum {
    BLOB_OPEN_MAX = 4096,              /* Fragments being written to one device. */
    BLOB_CHUNKS_MAX = 1024,            /* Of one fragment: 64 MiB in segments of one or more units of 64 KiB. */
    BLOB_IDLE_MS = 15 * 60 * 1000,     /* A writer that is silent for so long is gone. */
    BLOB_FLUSH_BYTES = 128 * 1024 * 1024,   /* The index is flushed after so much: what a start may have to scan. */
    BLOB_TICK_MS = 5000,               /* How often compaction and idle writers are looked at. */
    COMPACT_BYTES_PER_S = 64 * 1024 * 1024,
    COMPACT_BATCH_BYTES = 8 * 1024 * 1024
};

struct blob_store;

/* Opens the volumes, scans what the index may lack, makes it durable. -E_CORRUPT. */
WAITS int blob_store_open(struct device *device, uint64_t volume_bytes, struct blob_store **ret_store,
                          struct error *err);
WAITS struct blob_store *blob_store_close(struct blob_store *store);   /* No call may be in progress. NULL. */

/* The record's name is borrowed for the call. Idempotent. With 'sync' as blob_store_sync() afterwards,
 * for all chunks up to this one. -E_LIMIT, -EINVAL (payload and record differ), -ENOSPC, -E_OVERLOAD. */
WAITS int blob_store_write(struct blob_store *store, const struct volume_record *record,
                           const struct buf_part *parts, uint32_t count, bool sync);
/* -ENOENT: not all chunks [0, chunks) were written to this device since it started. */
WAITS int blob_store_sync(struct blob_store *store, const uint8_t blob[16], uint8_t fragment, uint32_t chunks);
/* -ENOENT, -E_CORRUPT, -EINVAL (range). The part's reference is the caller's. */
WAITS int blob_store_read(struct blob_store *store, const struct chunk_id *id, uint32_t offset, uint32_t size,
                          struct buf_part *ret_part, struct volume_record *ret_record);
WAITS int blob_store_delete(struct blob_store *store, const uint8_t blob[16], uint32_t *ret_chunks);

/* What is stored of a blob, by fragment. */
struct blob_stat {
    uint32_t chunks[POLICY_FRAGMENTS_MAX];
    uint64_t bytes[POLICY_FRAGMENTS_MAX];
};
WAITS int blob_store_stat(struct blob_store *store, const uint8_t blob[16], struct blob_stat *ret_stat);

/* Ids of blobs of which something is stored here, from 'from' on, in their order; fewer than 'limit': the last. */
WAITS int blob_store_walk(struct blob_store *store, const uint8_t from[16], uint32_t limit, uint8_t (*ret_blobs)[16],
                          uint32_t *ret_count);

/* The row that was to name the blob, and its shape, as its chunks say. The name is in the arena, empty when
 * the chunk at hand does not tell (written by an early version). -ENOENT: nothing of it is stored here. */
struct blob_owner {
    uint8_t      shard[SHARD_ID_BYTES];
    struct slice name;
    uint8_t      k, m;
    bool         erasure;
};
WAITS int blob_store_owner(struct blob_store *store, const uint8_t blob[16], struct arena *arena,
                           struct blob_owner *ret_owner);

struct blob_usage {
    uint64_t live_bytes, dead_bytes;
    uint32_t volumes, open;
};
void blob_store_usage(const struct blob_store *store, struct blob_usage *ret_usage);

/* Compacts one volume now, if one deserves it; '*ret_done' tells. For the store's own task, and tests. */
WAITS int blob_store_compact(struct blob_store *store, bool *ret_done);

#endif
