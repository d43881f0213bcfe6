/* storage/row.h - linearizable rows: the client's side.
 *
 * A row is a register (shard, name) -> RowValue on the replicas that an index
 * ring names for its shard. The protocol is that of docs/architecture.md ("Row
 * protocol"), model-checked in tests/model/; storage/row_fsm.h has its pure
 * state machines, storage/row_store.h the replica.
 *
 * Outcomes. 0: done. -E_UNSURE: unknown, may still take effect (HTTP 503).
 * -E_UNAVAILABLE: no quorum could be reached and nothing was accepted.
 * -E_STALE: the shard's configuration row changed: read it again and retry.
 * All take absolute deadlines and run as the caller's task. */
#ifndef STORAGE_ROW_H
#define STORAGE_ROW_H

#include "base/hlc.h"
#include "base/rpc.h"
#include "proto/storage.pb-c.h"
#include "ring/ring.h"

enum {
    SHARD_ID_BYTES = 16,
    ROW_NAME_MAX = 2048,             /* Bytes: an object name (1024) and a version suffix fit. */
    ROW_META_MAX = 128 * 1024,       /* RowValue without 'data', packed. */
    ROW_INLINE_MAX = 16 * 1024,      /* 'data'. */
    ROW_PAGE_MAX = 10000             /* Entries of one listing page. */
};

struct ballot {
    uint64_t time;
    uint32_t node;
};
static inline int ballot_compare(struct ballot a, struct ballot b)
{
    if (a.time != b.time)
        return a.time < b.time ? -1 : 1;
    return (a.node > b.node) - (a.node < b.node);
}

/* Names that begin with NUL are rows beside the entries of a shard: earlier versions, parts of uploads. What they
 * hold counts into the shard's bytes, counted or not. Rows whose names begin with ROW_GROUP_PREFIX and an id make up
 * the group of that id (see Extent.group). */
static inline bool row_hidden(struct slice name) { return name.size && name.data[0] == 0; }
#define ROW_GROUP_PREFIX SLICE("\0p")

struct shard {
    uint8_t            id[SHARD_ID_BYTES];
    const struct ring *ring;       /* The index ring (3, 5, ... replicas); borrowed. */
    /* Ballot of the shard's configuration row (name "", kept on the same
     * replicas) as the caller knows it; zero: not checked. A replica that knows a
     * newer one answers stale, one that knows only an older one is repaired. So
     * an acknowledged change of a container's ACL or a container's deletion
     * binds every later request everywhere. */
    struct ballot      config;
    /* The configuration row's value when 'config' is set: whether rows may be written. Replicas
     * judge by their own copy: a configuration row whose 'size' field is non-zero is sealed, and
     * accepts of other rows are refused with -E_GONE. */
};

struct row_client;
/* NULL: no memory, or a node id of more than 20 bits: it has to fit into ballots. */
struct row_client *row_client_new(struct rpc *rpc, struct hlc *hlc);
struct row_client *row_client_free(struct row_client *client);

struct row_state {
    bool           exists;    /* False: never written, a tombstone, or purged. */
    struct ballot  ballot;    /* Of the value (also of a tombstone); zero when never written. */
    Rs__RowValue  *value;     /* In the caller's arena; NULL unless exists. */
};

enum row_want {
    ROW_META = 1,       /* Everything but 'data'. */
    ROW_FULL = 2
};

/* Linearizable read. */
WAITS int row_read(struct row_client *client, const struct shard *shard, struct slice name, enum row_want want,
                   int64_t deadline, struct arena *arena, struct row_state *ret_state, struct error *err);

/* Unconditional write (or delete: value->tombstone) in one round. 'value' is packed once
 * and not kept. '*ret_ballot' may be NULL. '*ret_existed' (may be NULL): some replica of
 * the quorum held a live row before; exact only without concurrent writers. */
WAITS int row_write(struct row_client *client, const struct shard *shard, struct slice name,
                    const Rs__RowValue *value, int64_t deadline, struct ballot *ret_ballot, bool *ret_existed,
                    struct error *err);

/* Conditional write: 'decide' sees the current state and either sets *ret_value (in the
 * arena; may be a tombstone) and returns 0, or returns a negative code, which becomes the
 * result once the judged state is on a quorum. It may be called several times. */
typedef int (*row_decide)(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                          struct error *err);
WAITS int row_update(struct row_client *client, const struct shard *shard, struct slice name, row_decide decide,
                     void *ctx, int64_t deadline, struct arena *arena, struct row_state *ret_before,
                     struct ballot *ret_ballot, struct error *err);

/* One page of live, counted rows (or of all live ones) in byte order, from a quorum; rows on which the quorum
 * differs are read (and so repaired) one by one first. */
struct row_range {
    struct slice after;      /* Exclusive lower bound (upper, when reverse); empty: none. */
    struct slice before;     /* Exclusive end in the direction of reading; empty: none. */
    struct slice prefix;
    struct slice delimiter;  /* Empty: none. Names that have it after the prefix fold into one entry. */
    bool         reverse;
    bool         with_tombstones;   /* For repair tools. */
    bool         uncounted;  /* Live rows that are not counted are entries, too. */
    uint32_t     limit;      /* 1..ROW_PAGE_MAX */
};
struct row_entry {
    struct slice   name;     /* For a folded entry: up to and with the delimiter. */
    bool           folded;
    struct ballot  ballot;
    Rs__RowValue  *value;    /* Without 'data'; NULL when folded. */
};
struct row_page {
    struct row_entry *entries;   /* In the arena. */
    uint32_t          count;
    bool              more;
};
WAITS int row_list(struct row_client *client, const struct shard *shard, const struct row_range *range,
                   int64_t deadline, struct arena *arena, struct row_page *ret_page, struct error *err);

/* Entries and bytes of a shard, as the freshest replica of a quorum counts them. */
struct shard_stats {
    uint64_t count, bytes;
    struct ballot newest;
};
WAITS int shard_stats(struct row_client *client, const struct shard *shard, int64_t deadline,
                      struct shard_stats *ret_stats, struct error *err);

/* Which devices hold a shard's rows: a ring lookup of its id. */
uint32_t shard_partition(const struct shard *shard);

#endif
