/* storage/row_store_private.h - inside of the replica: row_store.c (queue and
 * committer), row_batch.c (what a batch changes), row_scan.c (ranges),
 * row_service.c (RPC). */
#ifndef STORAGE_ROW_STORE_PRIVATE_H
#define STORAGE_ROW_STORE_PRIVATE_H

#include "storage/row_cache.h"
#include "storage/row_record.h"
#include "storage/row_store.h"

enum {
    ROW_QUEUE_MAX = 2048,                      /* Operations waiting on a device; more are refused: -E_OVERLOAD. */
    ROW_QUEUE_BYTES = 32 * 1024 * 1024,        /* Of their values. */
    ROW_BATCH_OPS = 256,                       /* One sync carries at most so many... */
    ROW_BATCH_BYTES = 2 * 1024 * 1024,         /* ...or so many bytes of values. */
    ROW_BATCH_ARENA = 64 * 1024 * 1024,        /* Bound on what judging a batch may load. */
    ROW_SCAN_ROWS = 20000,                     /* Rows one range request looks at. */
    ROW_RANGE_BYTES = 1024 * 1024,             /* Of its answer. */
    ROW_FOLD_WALK = 16,                        /* Rows of a proved fold walked over before a seek is cheaper. */
    SHARD_CACHE_SETS = 512, SHARD_CACHE_WAYS = 4
};

/* What every request of a shard is judged by; small, so that all hot ones stay in memory. */
struct shard_state {
    uint8_t             id[SHARD_ID_BYTES];
    bool                used;
    struct shard_record record;
    struct ballot       config;         /* Accepted ballot of the configuration row here. */
    uint8_t             config_flags;   /* enum row_flag */
};

enum row_op_kind { ROW_OP_ACCEPT, ROW_OP_PREPARE, ROW_OP_RAISE, ROW_OP_DROP };

/* A queued operation; on the stack of the handler that waits for it. */
struct row_op {
    struct row_op    *next;
    struct task      *task;
    bool              done;
    enum row_op_kind  kind;
    const uint8_t    *shard;
    struct slice      name;
    uint32_t          replicas;
    struct ballot     ballot, config;
    bool              repair, keep;
    struct row_digest digest;      /* ACCEPT, from here on. */
    uint8_t           flags;
    uint64_t          size, expires_s;
    struct slice      meta, data;
    struct arena     *arena;       /* PREPARE: where the value goes. */
    /* Results. */
    int               code;
    bool              existed;
    struct ballot     highest;
    struct row_head   head;        /* PREPARE: what was accepted; meta in the arena. */
    struct slice      value_data;
};

struct row_store {
    struct device      *device;
    struct env         *env;
    struct journal     *journal;
    struct row_op      *first, *last;
    uint32_t            queued;
    size_t              queued_bytes;
    struct waitq        wake;
    bool                running, closing;
    int                 failed;           /* Why nothing is accepted any more. */
    uint32_t            users;            /* Requests inside; closing waits for them. */
    struct task        *closer;           /* Waits in row_store_close(). */
    bool                flushing;
    uint64_t            applied;          /* lsn */
    uint64_t            commits;          /* Bumped when the index changed. */
    bool                writing;          /* It changes: a lookup may meet the old or the new. */
    struct kv_batch    *kv_batch;
    struct row_cache    rows;
    uint8_t             way_next;
    struct shard_state  cache[SHARD_CACHE_SETS][SHARD_CACHE_WAYS];
};

/* Between the two the store stays open. False: it is closing. */
bool row_store_enter(struct row_store *store);
void row_store_leave(struct row_store *store);

/* Queues and waits until it is durable (or refused); returns op->code. */
WAITS int row_store_submit(struct row_store *store, struct row_op *op);

/* --- Shards. --- */
WAITS int shard_load(struct row_store *store, const uint8_t *id, struct shard_state *ret_state);
void      shard_cache_put(struct row_store *store, const struct shard_state *state);
/* 0, -E_STALE or -E_BEHIND. */
int shard_check_config(const struct shard_state *state, struct ballot config);

/* --- Reading what is durable. 'want' is enum row_want, or 0 for the digest. --- */
struct row_found {
    struct row_head head;      /* meta is in the arena. */
    struct slice    data;
    struct ballot   highest;
};
WAITS int row_store_read(struct row_store *store, const uint8_t *shard, struct slice name, uint32_t want,
                         struct ballot config, struct arena *arena, struct row_found *ret_found);

/* --- Ranges (row_scan.c). --- */
struct row_scan {
    const uint8_t *shard;
    struct slice   from, to, prefix, delimiter;
    bool           reverse, meta;
    bool           uncounted;   /* Uncounted live rows are entries as well. */
    uint32_t       limit;
    /* Results. */
    uint8_t       *out;
    size_t         out_capacity, out_size;
    bool           more, upto_fold;
    uint8_t        upto[ROW_NAME_MAX];
    size_t         upto_size;
};
WAITS int row_store_scan(struct row_store *store, struct row_scan *scan);

/* --- Batches (row_batch.c): rows and shards that one commit touches. --- */
struct batch_shard {
    struct batch_shard *next;
    struct shard_state  state;
    bool                dirty;
};
struct batch_row {
    struct batch_row   *next;           /* Of its bucket. */
    struct batch_row   *next_dirty;
    struct batch_shard *shard;
    struct slice        name, key;
    struct row_head     head, before;   /* As it becomes; as the index has it. */
    struct slice        data;           /* When data_set; else the index has it. */
    bool                data_set, dirty, stored, dropped;
    bool                keep;           /* Reads will ask here: cached with its data. */
};
struct batch_garbage {
    struct batch_garbage *next;
    struct slice          blob, record;
};
enum { BATCH_BUCKETS = 256 };
struct row_batch {
    struct row_store     *store;
    struct arena          arena;
    struct batch_row     *bucket[BATCH_BUCKETS];
    struct batch_row     *dirty, *dirty_last;   /* In the order of their first change. */
    struct batch_shard   *shards;
    struct batch_garbage *garbage;
};
void      row_batch_init(struct row_batch *batch, struct row_store *store);
void      row_batch_done(struct row_batch *batch);
WAITS int row_batch_shard(struct row_batch *batch, const uint8_t *id, struct batch_shard **ret_shard);
WAITS int row_batch_row(struct row_batch *batch, struct batch_shard *shard, struct slice name,
                        struct batch_row **ret_row);
struct row_acceptor row_batch_acceptor(const struct batch_row *row);
/* Changes, as decided: the live path and replay both come through here. Slices of 'record' are kept. */
int row_batch_apply(struct row_batch *batch, struct batch_shard *shard, struct batch_row *row,
                    const struct row_journal *record);
/* The row's inline bytes, from the batch or the index, verified. */
WAITS int row_batch_data(struct row_batch *batch, const struct batch_row *row, struct arena *arena,
                         struct slice *ret_data);
/* Writes all of it, with the lsn, to the index and publishes the shards. */
WAITS int row_batch_write(struct row_batch *batch, uint64_t lsn);

#endif
