/* storage/gc.h - background work of the rows on a node's devices. Each is
 * rate-limited, visible by counters, and safe to kill at any moment.
 *
 *   garbage   blobs (and groups of parts) that a replaced value named: a linearizable read of their
 *             row decides; only what it does not name is deleted, everywhere
 *   expiry    rows whose time has come are handed to the object service
 *   purge     tombstones that every replica holds go, behind a raised floor
 *   repair    shards whose replicas differ are walked, and what a replica
 *             missed while it was away is given to it
 *   orphans   blobs that no row names and none will (their PUT died, or they came
 *             back after a crash, since deletions are not journaled) are found by
 *             walking each device's index: see gc_orphan.c */
#ifndef STORAGE_GC_H
#define STORAGE_GC_H

#include "storage/blob.h"
#include "storage/device.h"

enum {
    GC_TICK_MS = 1000,
    GC_GRACE_MS = 5 * 60 * 1000,        /* A replaced blob stays for readers that began before. */
    GC_GRACE_FULL_MS = 10 * 1000,       /* When the device is full, room comes first. */
    GC_RETRY_MS = 30 * 1000,            /* After a pass with failures. */
    GC_PURGE_AGE_MS = 60 * 60 * 1000,   /* A tombstone younger than this stays: repair has time to spread it. */
    GC_REPAIR_MS = 30 * 1000,           /* Between two comparisons of all shards. */
    GC_ORPHAN_AGE_MS = 60 * 60 * 1000,  /* A blob younger than this is not looked at: most writers are done by then. */
    GC_ORPHAN_SETTLE_MS = 2 * 60 * 1000,   /* A writer's last messages arrive or are lost within this: RPC gives a silent
                                              connection up after 15 s, and a device that answers late has served by then. */
    GC_ORPHAN_PASS_MS = 60 * 60 * 1000, /* Between two walks over a device. */
    GC_ORPHAN_BATCH = 64,               /* Blobs looked at in one tick on one device. */
    GC_ORPHAN_SILENT_MS = 7 * 24 * 3600 * 1000,   /* The writers of a node that can't be asked are gone after that: an
                                              upload has 24 hours (SWIFT_BODY_TIMEOUT_S); clocks may be wrong by the rest. */
    GC_BATCH = 128,                     /* Entries of each kind in one tick on one device. */
    GC_DEVICES_MAX = 256
};

struct gc;

struct gc_options {
    struct rpc         *rpc;
    struct hlc         *hlc;
    struct row_client  *rows;
    struct blob_client *blobs;    /* NULL: garbage stays. */
    void               *ctx;
    /* The index ring with that many replicas; borrowed until the next wait. NULL: not known now. */
    const struct ring *(*index_ring)(void *ctx, uint32_t replicas);
    /* A row is due: delete it iff its ballot is still this one. NULL: a tombstone is written here. */
    WAITS int (*expire)(void *ctx, const struct shard *shard, struct slice name, struct ballot ballot);
    /* Does some row name this extent (a blob, or a group)? 'name': the row that named it, or was to. Reads linearizably.
     * NULL: only that row is asked (and a group counts as named). */
    WAITS int (*named)(void *ctx, const struct shard *shard, struct slice name, const Rs__Extent *extent,
                       int64_t deadline, bool *ret_named);
    /* A blob that a row was to name may be named by other rows of the shard later (a version that is no longer
     * current): the names of all of them begin with the prefix written to 'prefix'. 0: there are none. NULL: never.
     * Whoever moves a blob between such rows lets the new one name it before the old one stops. */
    size_t (*heirs)(void *ctx, struct slice name, uint8_t prefix[ROW_NAME_MAX]);
    uint32_t            grace_ms, purge_age_ms, repair_ms;   /* 0: the defaults above. */
    uint32_t            orphan_age_ms, orphan_settle_ms, orphan_pass_ms;   /* As well. */
    bool                manual;   /* No task: gc_run() is called by hand (tests). */
};

int  gc_new(const struct gc_options *options, struct gc **ret_gc);
int  gc_add(struct gc *gc, struct device *device);   /* Borrowed; skipped while out of service. -E_LIMIT. */
/* Ends the task before the devices are closed. Accepts NULL. */
WAITS struct gc *gc_free(struct gc *gc);

/* One round of everything that is due, on every device. */
WAITS void gc_run(struct gc *gc);

#endif
