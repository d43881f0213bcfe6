/* storage/gc_private.h - inside of gc: gc.c (task, garbage, expiry), gc_purge.c,
 * gc_group.c, gc_repair.c, gc_orphan.c. */
#ifndef STORAGE_GC_PRIVATE_H
#define STORAGE_GC_PRIVATE_H

#include "storage/gc.h"
#include "storage/row_client_private.h"

enum { GC_CALL_MS = 10000 /* Deadline of one row's work. */ };

struct gc_device {
    struct device *device;
    uint8_t        garbage_next[80], shard_next[SHARD_ID_BYTES];   /* Where the next batch begins. */
    size_t         garbage_next_size;
    bool           garbage_failed;
    int64_t        garbage_at, repair_at, orphan_at;       /* Not before. */
    uint8_t        orphan_next[BLOB_ID_BYTES];
    uint32_t       orphans;                     /* Deleted in this walk. */
    bool           orphan_again;                /* The next walk is due as soon as answers have settled. */
};

/* What a node said of its blobs' writers. An answer counts once it is as old as the settle time. */
struct gc_writer {
    uint32_t          node;                     /* 0: a free slot. */
    bool              answers;
    struct blob_floor settled, newer;
    int64_t           newer_at;
    uint64_t          batch;                    /* Asked in this batch. */
};
enum { GC_WRITERS_MAX = 1024 };

struct gc {
    struct gc_options o;
    struct env       *env;
    struct gc_device  device[GC_DEVICES_MAX];
    uint32_t          count;
    bool              running, stopping;
    uint64_t          orphan_batch;
    struct gc_writer  writer[GC_WRITERS_MAX];
    struct task      *task, *closer;
};

static inline int64_t gc_deadline(const struct gc *gc) { return env_now(gc->env) + GC_CALL_MS * NS_PER_MS; }
uint64_t gc_wall_ms(const struct gc *gc);
/* The shard with its ring; false: the ring is not known now. */
bool gc_shard(const struct gc *gc, const uint8_t *id, uint32_t replicas, struct shard *ret_shard);
/* The device's place among the shard's replicas; ROW_REPLICAS_MAX: it holds none (any more). */
uint8_t gc_slot(const struct shard *shard, uint16_t device);

/* Copies up to 'limit' index entries of [from, to) for work that waits. */
struct gc_entry {
    struct slice key, value;
};
WAITS int gc_entries(struct device *device, struct slice from, struct slice to, uint32_t limit, struct arena *arena,
                     struct gc_entry **ret_entries, uint32_t *ret_count);

WAITS int gc_shard_record(struct device *device, const uint8_t *id, struct shard_record *ret_record);
/* Gives the row's settled value to every replica of the target. 'lift': if a raised floor keeps it
 * out, under a new ballot. 0: all have it. */
WAITS int row_repair(struct row_target *target, bool lift, int64_t deadline);

/* Erases the rows of a group that no row names. 0: there are none any more. */
WAITS int  gc_group(struct gc *gc, const struct shard *shard, const Rs__Extent *extent);

WAITS void gc_purge(struct gc *gc, struct gc_device *d);
WAITS void gc_repair(struct gc *gc, struct gc_device *d);
WAITS void gc_orphans(struct gc *gc, struct gc_device *d);
/* Whether the value has the blob among its extents. */
bool gc_names(const Rs__RowValue *value, struct slice blob);

#endif
