/* control/store.h - the control store: small, strongly consistent, watched.
 *
 * Shaped after etcd's KV, Txn, Watch and Lease (etcd v3 API reference), with two
 * backends: embedded (journal + index of storage/, in process) and etcd, later.
 * Every change has a revision, one global sequence. The embedded store serves
 * other nodes over RPC. Values are protobuf records of their rooms. */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include "base/arena.h"
#include "base/env.h"

enum {
    CONTROL_KEY_MAX = 1024,
    CONTROL_VALUE_MAX = 512 * 1024,     /* A ring of many devices goes in pieces. */
    CONTROL_TXN_OPS_MAX = 128,
    CONTROL_RANGE_MAX = 10000,
    CONTROL_HISTORY_MAX = 10000,        /* Revisions kept for watches; before that: -E_COMPACTED. */
    CONTROL_WATCH_QUEUE_MAX = 4096,
    CONTROL_WATCHES_MAX = 4096,
    CONTROL_LEASE_TTL_MAX_S = 3600
};

struct control;

struct control_entry {
    struct slice key, value;
    uint64_t     create_revision, mod_revision, version, lease;
};

struct control_compare {
    enum { CONTROL_IF_MISSING, CONTROL_IF_EXISTS, CONTROL_IF_MOD_REVISION, CONTROL_IF_VALUE } kind;
    struct slice key;
    uint64_t     revision;
    struct slice value;
};
struct control_op {
    enum { CONTROL_PUT, CONTROL_DELETE, CONTROL_DELETE_PREFIX } kind;
    struct slice key, value;
    uint64_t     lease;   /* 0: none. */
};

/* -ENOENT. Linearizable. Results are in the arena. */
WAITS int control_get(struct control *control, struct slice key, struct arena *arena, struct control_entry *ret_entry);
/* Keys in [from, to), by key, at most 'limit' (<= CONTROL_RANGE_MAX); *ret_revision is that of the snapshot. */
WAITS int control_range(struct control *control, struct slice from, struct slice to, uint32_t limit,
                        struct arena *arena, struct control_entry **ret_entries, uint32_t *ret_count, bool *ret_more,
                        uint64_t *ret_revision);
WAITS int control_prefix(struct control *control, struct slice prefix, struct arena *arena,
                         struct control_entry **ret_entries, uint32_t *ret_count, uint64_t *ret_revision);
/* All compares hold: all ops are applied at one revision, durably. Otherwise -E_CONDITION and *ret_failed
 * (may be NULL) is the index of the first compare that did not hold. -E_UNSURE: unknown. */
WAITS int control_txn(struct control *control, const struct control_compare *compares, uint32_t compare_count,
                      const struct control_op *ops, uint32_t op_count, uint64_t *ret_revision, uint32_t *ret_failed);
WAITS int control_put(struct control *control, struct slice key, struct slice value, uint64_t *ret_revision);
WAITS int control_delete(struct control *control, struct slice key, uint64_t *ret_revision);   /* -ENOENT. */

/* Watches: every change with a revision above 'after' whose key has the prefix, in order, none skipped. */
struct control_watch;
struct control_change {
    bool                 deleted;
    struct control_entry entry;     /* Borrowed until the next call. */
    uint64_t             revision;
};
int  control_watch(struct control *control, struct slice prefix, uint64_t after, struct control_watch **ret_watch);
/* -ETIMEDOUT; -E_COMPACTED: history is gone, or the queue overflowed: read all again and watch anew. */
WAITS int control_watch_next(struct control_watch *watch, int64_t deadline, struct control_change *ret_change);
struct control_watch *control_watch_free(struct control_watch *watch);

/* Leases: their keys are deleted when they are not kept alive. A lock needs a fencing token as well:
 * use the create_revision of its key. */
WAITS int control_lease_grant(struct control *control, uint32_t ttl_s, uint64_t *ret_lease);
WAITS int control_lease_keep(struct control *control, uint64_t lease);    /* -ENOENT: it expired. */
WAITS int control_lease_revoke(struct control *control, uint64_t lease);

/* --- Backends. --- */
struct kv_backend;
struct rpc;
/* The embedded store below 'path'. backend NULL: kv_rocks. */
WAITS int control_open_embedded(struct env *env, const char *path, const struct kv_backend *backend,
                                struct control **ret_control, struct error *err);
/* Serves an embedded store to other nodes; and a store that is on another node. */
void control_serve(struct control *control, struct rpc *rpc);
int  control_open_remote(struct rpc *rpc, uint32_t node, struct control **ret_control, struct error *err);
WAITS struct control *control_close(struct control *control);

#endif
