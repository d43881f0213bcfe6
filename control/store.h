/* control/store.h - the control store: small, strongly consistent, watched.
 *
 * Shaped after etcd's KV, Txn, Watch and Lease (etcd v3 API reference), with two
 * backends: embedded (journal + index of storage/, in process) and etcd, later.
 * Every change has a revision, one global sequence. The embedded store serves
 * other nodes over RPC. Values are protobuf records of their rooms.
 *
 * Errors that any call may return besides its own: -E_OVERLOAD (too much is
 * queued), -E_LIMIT (a size below is exceeded), -E_DEVICE (the store's disk
 * failed: it refuses writes until restarted), -ENOSPC, -E_UNAVAILABLE (a remote
 * store was not reached, nothing happened), -E_CLOSED, -ECANCELED. */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include "base/arena.h"
#include "base/env.h"

enum {
    CONTROL_KEY_MAX = 1024,             /* Bytes, at least 1. */
    CONTROL_VALUE_MAX = 512 * 1024,     /* A ring of many devices goes in pieces. */
    CONTROL_TXN_OPS_MAX = 128,
    CONTROL_TXN_COMPARES_MAX = 128,
    CONTROL_TXN_BYTES_MAX = 768 * 1024, /* Keys and values of one transaction: it fits one RPC head. */
    CONTROL_DELETE_MAX = 512,           /* Keys that one prefix delete may meet; a transaction changes at most
                                           CONTROL_DELETE_MAX + CONTROL_TXN_OPS_MAX keys. */
    CONTROL_RANGE_MAX = 10000,
    CONTROL_RANGE_BYTES_MAX = 768 * 1024, /* A range answers fewer entries (ret_more) past it; one always fits. */
    CONTROL_HISTORY_MAX = 10000,        /* Revisions kept for watches; before that: -E_COMPACTED. */
    CONTROL_HISTORY_BYTES_MAX = 64 * 1024 * 1024, /* And bytes of them. */
    CONTROL_WATCH_QUEUE_MAX = 4096,     /* Commits kept in memory for watches; older ones are read from disk. */
    CONTROL_WATCH_BYTES_MAX = 4 * 1024 * 1024, /* And bytes of them. */
    CONTROL_WATCHES_MAX = 4096,
    CONTROL_LEASES_MAX = 10000,
    CONTROL_LEASE_KEYS_MAX = 512,
    CONTROL_LEASE_TTL_MAX_S = 3600,
    CONTROL_QUEUE_MAX = 4096,           /* Transactions that wait for the committer. */
    CONTROL_CALL_MS = 10000             /* How long a remote call may take. */
};

struct control;

struct control_entry {
    struct slice key, value;
    uint64_t     create_revision, mod_revision, version, lease;
};

struct control_compare {
    enum { CONTROL_IF_MISSING, CONTROL_IF_EXISTS, CONTROL_IF_MOD_REVISION, CONTROL_IF_VALUE } kind;
    struct slice key;
    uint64_t     revision;   /* For IF_MOD_REVISION; 0 holds when the key is missing. */
    struct slice value;
};
struct control_op {
    enum { CONTROL_PUT, CONTROL_DELETE, CONTROL_DELETE_PREFIX } kind;
    struct slice key, value;
    uint64_t     lease;   /* 0: none. A lease that does not exist fails the transaction with -ENOENT. */
};

/* -ENOENT. Linearizable. Results are in the arena. */
WAITS int control_get(struct control *control, struct slice key, struct arena *arena, struct control_entry *ret_entry);
/* Keys in [from, to), by key, at most 'limit' (<= CONTROL_RANGE_MAX; 0: that many); empty 'to': no end;
 * *ret_revision is that of the snapshot: a watch after it misses nothing. */
WAITS int control_range(struct control *control, struct slice from, struct slice to, uint32_t limit,
                        struct arena *arena, struct control_entry **ret_entries, uint32_t *ret_count, bool *ret_more,
                        uint64_t *ret_revision);
/* All keys with the prefix in one snapshot, whatever their size. -E_LIMIT past CONTROL_RANGE_MAX; -ENOMEM when the
 * arena is full; -E_OVERLOAD when a remote store changed too often between the pages. */
WAITS int control_prefix(struct control *control, struct slice prefix, struct arena *arena,
                         struct control_entry **ret_entries, uint32_t *ret_count, uint64_t *ret_revision);
/* All compares hold: all ops are applied at one revision, durably; later ops see earlier ones. Otherwise
 * -E_CONDITION and *ret_failed (may be NULL) is the index of the first compare that did not hold. A transaction
 * that changes nothing answers the current revision. ret_revision may be NULL. -E_UNSURE: unknown. */
WAITS int control_txn(struct control *control, const struct control_compare *compares, uint32_t compare_count,
                      const struct control_op *ops, uint32_t op_count, uint64_t *ret_revision, uint32_t *ret_failed);
WAITS int control_put(struct control *control, struct slice key, struct slice value, uint64_t *ret_revision);
WAITS int control_delete(struct control *control, struct slice key, uint64_t *ret_revision);   /* -ENOENT. */

/* Watches: every change with a revision above 'after' whose key has the prefix, in order, none skipped. One task
 * reads a watch. */
struct control_watch;
struct control_change {
    bool                 deleted;   /* Then the value is empty and mod_revision that of the delete. */
    bool                 last;      /* No further change of this revision: a later watch may start after it. */
    struct control_entry entry;     /* Borrowed until the next call. */
    uint64_t             revision;
};
/* -E_LIMIT: CONTROL_WATCHES_MAX are open. */
int  control_watch(struct control *control, struct slice prefix, uint64_t after, struct control_watch **ret_watch);
/* -ETIMEDOUT; -E_COMPACTED: history is gone (or 'after' was never reached): read all again and watch anew. */
WAITS int control_watch_next(struct control_watch *watch, int64_t deadline, struct control_change *ret_change);
struct control_watch *control_watch_free(struct control_watch *watch);   /* Accepts NULL; returns NULL. */

/* Leases: their keys are deleted when they are not kept alive. A lock needs a fencing token as well:
 * use the create_revision of its key. After a restart of the store every lease has its whole TTL again. */
WAITS int control_lease_grant(struct control *control, uint32_t ttl_s, uint64_t *ret_lease);   /* 1..CONTROL_LEASE_TTL_MAX_S */
WAITS int control_lease_keep(struct control *control, uint64_t lease);    /* -ENOENT: it expired. */
WAITS int control_lease_revoke(struct control *control, uint64_t lease);  /* -ENOENT. */

/* --- Backends. --- */
struct kv_backend;
struct rpc;
/* The embedded store below 'path'. backend NULL: kv_rocks. */
WAITS int control_open_embedded(struct env *env, const char *path, const struct kv_backend *backend,
                                struct control **ret_control, struct error *err);
/* Serves an embedded store to other nodes; and a store that is on another node. */
void control_serve(struct control *control, struct rpc *rpc);
int  control_open_remote(struct rpc *rpc, uint32_t node, struct control **ret_control, struct error *err);
/* Waits for calls in flight; open watches answer -E_CLOSED afterwards. A served store is closed after its
 * transport was stopped: no call may arrive any more. Accepts NULL; returns NULL. */
WAITS struct control *control_close(struct control *control);

#endif
