/* storage/row_client_private.h - inside of the client: row_client.c (targets,
 * values, messages), row_read.c, row_write.c (writes and conditional writes),
 * row_list.c. */
#ifndef STORAGE_ROW_CLIENT_PRIVATE_H
#define STORAGE_ROW_CLIENT_PRIVATE_H

#include "proto/row.pb-c.h"
#include "storage/device.h"
#include "storage/row_record.h"

enum {
    ROW_HEDGE_MS = 20,          /* Silence after which another replica is asked as well. */
    ROW_HEDGE_MS_MAX = 500,
    ROW_TRIES_MAX = 16,         /* Ballots one operation tries. */
    ROW_BACKOFF_MS_MAX = 64,    /* Of a contended conditional write; doubles from 1. */
    ROW_BAD_SLOTS = 64,         /* Devices remembered as failing... */
    ROW_BAD_MS = 1000           /* ...for so long: asked last. */
};

struct row_client {
    struct rpc *rpc;
    struct env *env;
    struct hlc *hlc;
    uint32_t    node;            /* Of ballots: the node, and a number of this incarnation. */
    uint64_t    random;
    int64_t     read_ns;         /* How long agreement took lately; sets when a read is hedged. */
    struct { uint16_t device; int64_t until; } bad[ROW_BAD_SLOTS];
};

/* Who is asked for a row; lives on the operation's stack. */
struct row_target {
    struct row_client  *client;
    const struct shard *shard;
    struct slice        name;
    struct row_members  members;
    uint64_t            epoch;
    uint32_t            replicas;                   /* Of the ring. */
    uint16_t            device[ROW_REPLICAS_MAX];   /* By bit; RING_NONE: unplaced. */
    uint32_t            node[ROW_REPLICAS_MAX];
    uint8_t             order[ROW_REPLICAS_MAX];    /* Best first. */
};
/* -E_LIMIT: the name is too long. */
int row_target_init(struct row_target *target, struct row_client *client, const struct shard *shard,
                    struct slice name, struct error *err);
void row_target_failed(struct row_target *target, uint8_t replica);   /* Ask it last for a while. */

/* A value on its way to replicas: packed once, shared by all messages. */
struct row_proposal {
    struct ballot     ballot;
    struct row_digest digest;
    uint8_t           flags;
    uint64_t          size, expires_s;
    uint32_t          meta_size, data_size;
    struct buf       *buf;        /* meta, data. */
    bool              repair;
};
/* -E_LIMIT: too large. */
int  row_proposal_pack(struct row_proposal *proposal, const Rs__RowValue *value, struct error *err);
/* From what a replica reported; verified. */
int  row_proposal_copy(struct row_proposal *proposal, const Rs__RowReadReply *reply, struct arena *arena);
void row_proposal_done(struct row_proposal *proposal);

struct ballot row_next_ballot(struct row_client *client, struct ballot above);

/* Sends to one replica; tag: the replica's bit number (a read's want is in bits 8 and up). False:
 * certainly not sent. */
bool row_send_read(struct rpc_fan *fan, struct row_target *target, uint8_t replica, uint32_t want);
bool row_send_accept(struct rpc_fan *fan, struct row_target *target, uint8_t replica,
                     const struct row_proposal *proposal);
bool row_send_prepare(struct rpc_fan *fan, struct row_target *target, uint8_t replica, struct ballot ballot);
bool row_send_stats(struct rpc_fan *fan, struct row_target *target, uint8_t replica);
/* Copies into the message's arena. */
ProtobufCBinaryData row_copy_bin(struct rpc_message *message, struct slice bytes);

static inline struct row_seen row_seen_of(const Rs__RowReadReply *r)
{
    return (struct row_seen) { .accepted = { r->accepted_time, r->accepted_node },
                               .digest = { r->digest_meta, r->digest_data }, .flags = (uint8_t)r->flags };
}
/* Meta (and data, when 'want' is ROW_FULL) are what the digest says. */
bool row_reply_verified(const Rs__RowReadReply *reply, enum row_want want);
/* A reply as the caller's row_state, in the arena. -ENOMEM, -E_CORRUPT. */
int row_state_of(const Rs__RowReadReply *reply, enum row_want want, struct arena *arena, struct row_state *ret_state);

/* row_read() of a prepared target. 'ret_value' (may be NULL; want must be ROW_FULL): the value
 * as its bytes, for giving it to another replica; the caller's to row_proposal_done(), also
 * when it stays empty because there is no value. */
WAITS int row_get(struct row_target *target, enum row_want want, int64_t deadline, struct arena *arena,
                  struct row_state *ret_state, struct row_proposal *ret_value, struct error *err);

/* Collects votes for a proposal: sends it to all that do not hold it and waits until decided.
 * '*ret_code' is the most telling refusal. Returns 0 when committed, or -E_OUTBID (nobody
 * accepted: another ballot may be tried), -E_STALE, a refusal, or -E_UNSURE. */
WAITS int row_vote_collect(struct row_target *target, const struct row_proposal *proposal, uint32_t held,
                           int64_t deadline, struct ballot *ret_highest, bool *ret_existed);

/* Prepare and accept: the whole of a conditional write; decide NULL: settles what is there (for reads). */
WAITS int row_propose(struct row_target *target, row_decide decide, void *ctx, struct ballot above, int64_t deadline,
                      struct arena *arena, struct row_state *ret_before, struct row_state *ret_after,
                      struct error *err);

/* Brings replicas that know only an older configuration row up to the one the request is made
 * under. 0: done; -E_STALE: there is a newer one. */
WAITS int row_repair_config(struct row_target *target, uint8_t replica, int64_t deadline);

#endif
