/* control/internal.h - what the files of this room share; nobody else includes it.
 *
 * embedded.c opens and reads, commit.c changes, watch.c follows, lease.c lets
 * expire; service.c and remote.c carry all of it over RPC. */
#ifndef CONTROL_INTERNAL_H
#define CONTROL_INTERNAL_H

#include "control/store.h"
#include "proto/control.pb-c.h"
#include "storage/journal.h"
#include "storage/kv.h"

enum {
    CONTROL_FORMAT = 1,
    BATCH_TXNS_MAX = 64,                  /* Answered together after one sync. */
    BATCH_BYTES_MAX = 2 * 1024 * 1024,    /* Journal bytes of one batch, about; half an append's limit. */
    TXN_CHANGES_MAX = CONTROL_DELETE_MAX + CONTROL_TXN_OPS_MAX,
    BATCH_CHANGES_MAX = 4096,             /* Keys staged in one batch. */
    OVERLAY_SLOTS = 16384,                /* Hash slots for them; a power of two. */
    COMMIT_BYTES_MAX = 900 * 1024,        /* One packed commit: fits an index value and an RPC head. */
    HISTORY_SLOTS = CONTROL_HISTORY_MAX + BATCH_TXNS_MAX + 1,
    JOURNAL_SEGMENT_BYTES = 4 * 1024 * 1024,
    JOURNAL_SEGMENTS = 3,
    LEASE_BUCKETS = 1024                  /* A power of two. */
};

/* --- The two backends behind one interface. --- */

struct control_ops {
    WAITS int (*get)(struct control *control, struct slice key, struct arena *arena, struct control_entry *ret_entry);
    WAITS int (*range)(struct control *control, struct slice from, struct slice to, uint32_t limit, size_t bytes_max,
                       struct arena *arena, struct control_entry **ret_entries, uint32_t *ret_count, bool *ret_more,
                       uint64_t *ret_revision);
    WAITS int (*txn)(struct control *control, const struct control_compare *compares, uint32_t compare_count,
                     const struct control_op *ops, uint32_t op_count, uint64_t *ret_revision, uint32_t *ret_failed,
                     bool *ret_changed);
    int (*watch)(struct control *control, struct slice prefix, uint64_t after, struct control_watch **ret_watch);
    WAITS int (*watch_next)(struct control_watch *watch, int64_t deadline, struct control_change *ret_change);
    void (*watch_free)(struct control_watch *watch);
    WAITS int (*lease_grant)(struct control *control, uint32_t ttl_s, uint64_t *ret_lease);
    WAITS int (*lease_keep)(struct control *control, uint64_t lease);
    WAITS int (*lease_revoke)(struct control *control, uint64_t lease);
    WAITS void (*close)(struct control *control);
};

struct control {
    const struct control_ops *ops;
    struct env               *env;
    bool                      closing;
    uint32_t                  users;    /* Calls in flight; close() waits for them. */
    struct task              *closer;
};

struct control_watch {
    const struct control_ops *ops;
    struct control           *control;  /* NULL once the store is closed. */
    struct control_watch     *prev, *next;
    struct slice              prefix;   /* Owned. */
    uint64_t                  position; /* Everything up to this revision was delivered or does not concern it. */
    bool                      waiting;
    struct waitq              q;
};

/* Brackets of every call: -E_CLOSED once the store is being closed. */
int  control_enter(struct control *control);
void control_leave(struct control *control);
/* Waits until no call is in flight, even when the task is cancelled. */
WAITS void control_drain(struct control *control);

/* Checks what came from a caller or a peer: -E_LIMIT, -EINVAL. */
int control_check_txn(const struct control_compare *compares, uint32_t compare_count, const struct control_op *ops,
                      uint32_t op_count);
/* The first key after every key with the prefix, in the arena; empty when there is none. -ENOMEM. */
int control_prefix_end(struct arena *arena, struct slice prefix, struct slice *ret_end);

/* --- Records (record.c). --- */

enum { RECORD_KEY_MAX = CONTROL_KEY_MAX + 16 };
struct record_key {
    uint8_t byte[RECORD_KEY_MAX];
    size_t  size;
};
void record_key_data(struct record_key *ret, struct slice key);                     /* 'd' key: ControlRecord */
void record_key_history(struct record_key *ret, uint64_t revision);                 /* 'h' revision: ControlCommit */
void record_key_lease(struct record_key *ret, uint64_t lease);                      /* 'l' id: ControlLease */
void record_key_lease_key(struct record_key *ret, uint64_t lease, struct slice key);/* 'k' id key: "" */
void record_key_meta(struct record_key *ret);                                       /* 'm': ControlMeta */
static inline struct slice record_slice(const struct record_key *key) { return slice_of(key->byte, key->size); }
uint64_t record_u64(const uint8_t *bytes);   /* Big-endian. */

/* Packs into the arena; data NULL when it is full. */
struct slice record_pack(struct arena *arena, const ProtobufCMessage *message);
/* Unpacks into the arena; NULL when malformed or the arena is full. */
void *record_unpack(struct arena *arena, const ProtobufCMessageDescriptor *type, struct slice bytes);
static inline ProtobufCBinaryData record_bin(struct slice s)
{
    return (ProtobufCBinaryData) { .len = s.size, .data = (uint8_t *)(uintptr_t)s.data };
}
static inline struct slice record_of_bin(ProtobufCBinaryData bin) { return slice_of(bin.data, bin.len); }

/* --- The embedded store. --- */

/* One commit, shared by the watches that have yet to see it. */
struct commit {
    uint32_t            refs;
    uint64_t            revision;
    struct slice        packed;      /* Owned. */
    Rs__ControlCommit  *message;     /* Unpacked when first asked for. */
    struct arena        arena;
};
struct commit *commit_new(uint64_t revision, struct slice packed);   /* Copies. NULL: no memory. */
struct commit *commit_ref(struct commit *commit);
struct commit *commit_unref(struct commit *commit);                  /* Accepts NULL; returns NULL. */
const Rs__ControlCommit *commit_message(struct commit *commit);      /* NULL: malformed or no memory. */

struct lease {
    struct lease *next;
    uint64_t      id;
    uint32_t      ttl_s;
    uint32_t      keys;       /* Attached ones. */
    int64_t       deadline;   /* Of env_now(). */
    bool          ending;     /* Its removal is queued or under way: not to be kept any more. */
};

enum pending_kind { PENDING_TXN, PENDING_LEASE_GRANT, PENDING_LEASE_REVOKE, PENDING_LEASE_EXPIRE };
/* A request to the committer: shared by it and the task that waits, which may be cancelled meanwhile. */
struct pending {
    struct pending         *next;
    uint32_t                refs;
    enum pending_kind       kind;
    struct arena            arena;
    struct control_compare *compares;
    struct control_op      *ops;
    uint32_t                compare_count, op_count;
    uint64_t                lease;
    uint32_t                ttl_s;
    /* The answer. */
    struct event            done;
    int                     code;
    uint64_t                revision;
    uint32_t                failed;
    bool                    changed;
};

struct staged;
struct embedded {
    struct control  base;
    struct kv      *kv;
    struct journal *journal;
    uint64_t        incarnation;    /* Random per start; see ControlTxnRequest. */

    /* What is applied; changed only by the committer. */
    uint64_t        revision, compacted, lsn;
    uint64_t        history_bytes;
    uint32_t        history_size[HISTORY_SLOTS];   /* By revision modulo slots. */
    int             failure;        /* 0, or why writes are refused. */

    /* Requests to the committer, in order. */
    struct pending *first, *last;
    uint32_t        queued;
    struct waitq    work;
    struct staged **overlay;        /* The batch's newest version of each key; OVERLAY_SLOTS. */

    /* A range must see one snapshot and know its revision: ranges and the application of a batch exclude each
     * other; a waiting batch keeps new ranges out, so that it is not starved. */
    bool            applying;
    uint32_t        readers;
    struct waitq    gate;

    struct commit  *recent[CONTROL_WATCH_QUEUE_MAX];   /* By revision modulo slots. */
    uint64_t        recent_first;   /* The oldest in it; recent_first > revision: none. */
    size_t          recent_bytes;
    struct control_watch *watches;
    uint32_t        watch_count;

    struct lease   *lease[LEASE_BUCKETS];
    uint32_t        lease_count;
    struct waitq    lease_work;     /* An earlier deadline appeared. */
    struct slice    replay;         /* Pieces of a commit that is not complete yet. */
    size_t          replay_capacity;
    uint32_t        tasks;          /* Committer and lease task, while they run. */
    struct control_service *service;
};

/* commit.c */
struct pending *pending_new(struct embedded *e, enum pending_kind kind);
struct pending *pending_unref(struct pending *p);
/* Queues it and waits for the answer. */
WAITS int embedded_submit(struct embedded *e, struct pending *p);
WAITS int embedded_txn(struct control *control, const struct control_compare *compares, uint32_t compare_count,
                       const struct control_op *ops, uint32_t op_count, uint64_t *ret_revision, uint32_t *ret_failed,
                       bool *ret_changed);
WAITS void committer_run(void *arg /* struct embedded */);

/* apply.c: a commit's effects. */
/* Adds them to an index batch (all but the meta record). -ENOMEM, -E_LIMIT. */
int  apply_to_batch(struct kv_batch *batch, struct arena *arena, const Rs__ControlCommit *commit, struct slice packed);
/* Accounts for them in memory once the batch is written. */
void apply_to_leases(struct embedded *e, const Rs__ControlCommit *commit);
int  apply_meta(struct kv_batch *batch, struct arena *arena, uint64_t revision, uint64_t lsn, uint64_t compacted);
/* How far history must be compacted when 'revision' of 'bytes' is its newest; adds the deletes to the batch. */
struct history {
    uint64_t revision, compacted, bytes;
};
int  apply_history(struct embedded *e, struct kv_batch *batch, struct history *history, uint64_t revision,
                   size_t bytes);
WAITS int apply_replay(void *ctx /* struct embedded */, uint64_t lsn, struct slice record);
/* Cuts a packed commit into journal records, in the arena. */
int  apply_pieces(struct arena *arena, struct slice packed, struct slice *ret_records, uint32_t *io_count,
                  uint32_t max);
enum { PIECE_BYTES_MAX = JOURNAL_RECORD_MAX - 1024, PIECES_MAX = COMMIT_BYTES_MAX / PIECE_BYTES_MAX + 1 };

/* watch.c */
int       embedded_watch(struct control *control, struct slice prefix, uint64_t after, struct control_watch **ret);
WAITS int embedded_watch_next(struct control_watch *watch, int64_t deadline, struct control_change *ret_change);
void      embedded_watch_free(struct control_watch *watch);
void      watch_publish(struct embedded *e, const Rs__ControlCommit *commit, struct slice packed);
void      watch_close_all(struct embedded *e);

/* lease.c */
struct lease *lease_find(struct embedded *e, uint64_t id);
struct lease *lease_add(struct embedded *e, uint64_t id, uint32_t ttl_s);   /* NULL: no memory. */
void          lease_remove(struct embedded *e, uint64_t id);
void          lease_free_all(struct embedded *e);
WAITS int     embedded_lease_grant(struct control *control, uint32_t ttl_s, uint64_t *ret_lease);
WAITS int     embedded_lease_keep(struct control *control, uint64_t lease);
WAITS int     embedded_lease_revoke(struct control *control, uint64_t lease);
WAITS void    lease_run(void *arg /* struct embedded */);

void embedded_task_ended(struct embedded *e);

/* service.c */
struct control_service *control_service_free(struct control_service *service);

enum control_method { CONTROL_METHOD_STATUS, CONTROL_METHOD_RANGE, CONTROL_METHOD_TXN, CONTROL_METHOD_LEASE_GRANT,
                      CONTROL_METHOD_LEASE_KEEP, CONTROL_METHOD_LEASE_REVOKE, CONTROL_METHOD_WATCH };
enum { CONTROL_WATCH_WAIT_MS = 20000,               /* A long poll waits at most so long. */
       CONTROL_WATCH_REPLY_BYTES = 64 * 1024 };     /* And adds no revision past this; with it a head still fits. */

#endif
