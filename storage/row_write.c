/* storage/row_write.c - writes of one row: in one round, and conditional ones by
 * prepare and accept. */
#include <stdlib.h>

#include "base/counter.h"
#include "storage/row_client_private.h"

COUNTER(row_writes, "Rows written unconditionally.");
COUNTER(row_write_outbid, "Writes that took another ballot since every replica refused the first.");
COUNTER(row_write_unsure, "Writes whose outcome the writer could not learn.");
COUNTER(row_updates, "Conditional writes.");
COUNTER(row_update_contended, "Rounds of conditional writes that lost against another ballot.");
COUNTER(row_update_unsure, "Conditional writes whose outcome the writer could not learn.");

enum { REPAIRS_MAX = 6 /* Configuration repairs of one round of votes. */ };

/* --- Votes. --- */

/* Which refusal to report when nobody accepted: what the caller can act on first. */
static int telling(int a, int b)
{
    static const int order[] = { -E_STALE, -E_GONE, -ENOSPC, -E_LIMIT, -E_FENCED, -E_OVERLOAD };

    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return 0;
}

static void vote_unsent(struct row_vote *vote, uint8_t replica)
{
    if (vote->fsm.now == ROW_VOTE_ASKING)
        row_vote_step(vote, replica, ROW_ANSWER_UNSENT, (struct ballot) { 0 }, false);
}

/* A replica that lags behind the configuration is brought up to it and gets the same ballot again. */
WAITS static int vote_behind(struct row_target *target, const struct row_proposal *proposal, struct rpc_fan *fan,
                             uint8_t replica, int64_t deadline)
{
    int rc = row_repair_config(target, replica, deadline);

    if (rc == 0)
        rc = row_send_accept(fan, target, replica, proposal) ? 0 : -ENOMEM;
    return rc;
}

static int vote_result(const struct row_vote *vote, int refusal)
{
    switch (vote->fsm.now) {
    case ROW_VOTE_COMMITTED: return 0;
    case ROW_VOTE_OUTBID: return refusal == -E_STALE ? -E_STALE : -E_OUTBID;
    case ROW_VOTE_REFUSED: return refusal ? refusal : -E_UNAVAILABLE;
    default: return -E_UNSURE;
    }
}

WAITS int row_vote_collect(struct row_target *target, const struct row_proposal *proposal, uint32_t held,
                           int64_t deadline, struct ballot *ret_highest, bool *ret_existed)
{
    const struct rpc_reply *reply;
    struct row_vote         vote;
    struct rpc_fan          fan;
    uint32_t                repairs = 0;
    int                     refusal = 0;

    row_vote_init(&vote, &target->members, held);
    rpc_fan_open(&fan, target->client->rpc, deadline);
    for (uint8_t i = 0; i < target->members.count; i++)
        if ((vote.asked & (UINT32_C(1) << i)) && !row_send_accept(&fan, target, i, proposal))
            vote_unsent(&vote, i);
    while (vote.fsm.now == ROW_VOTE_ASKING) {
        const Rs__RowAcceptReply *body;
        struct ballot             highest = { 0 };
        uint8_t                   replica;

        if (rpc_fan_next(&fan, deadline, &reply)) {
            row_vote_deadline(&vote);   /* Or cancelled: as unknown. */
            break;
        }
        replica = (uint8_t)reply->tag;
        body = reply->message ? (const Rs__RowAcceptReply *)reply->message->head : NULL;
        if (body)
            highest = (struct ballot) { body->highest_time, body->highest_node };
        if (reply->code == -E_BEHIND && repairs++ < REPAIRS_MAX) {
            int rc = vote_behind(target, proposal, &fan, replica, deadline);
            if (rc == 0)
                continue;
            refusal = telling(refusal, rc);
        } else if (reply->code) {
            refusal = telling(refusal, reply->code);
        }
        if (reply->code == -ENODEV || !reply->sent)
            row_target_failed(target, replica);
        row_vote_step(&vote, replica, row_answer_of(reply->code, reply->sent), highest, body && body->existed);
    }
    rpc_fan_close(&fan);
    if (ret_highest)
        *ret_highest = vote.highest;
    if (ret_existed)
        *ret_existed = vote.existed;
    return vote_result(&vote, refusal);
}

/* --- Unconditional writes. --- */

WAITS int row_write(struct row_client *client, const struct shard *shard, struct slice name,
                    const Rs__RowValue *value, int64_t deadline, struct ballot *ret_ballot, bool *ret_existed,
                    struct error *err)
{
    struct row_target   target;
    struct row_proposal proposal;
    struct ballot       highest = { 0 };
    bool                existed = false;
    int                 rc = row_target_init(&target, client, shard, name, err);

    if (rc == 0)
        rc = row_proposal_pack(&proposal, value, err);
    if (rc)
        return rc;
    counter_inc(row_writes);
    rc = -E_OUTBID;
    for (int tries = 0; rc == -E_OUTBID && tries < ROW_TRIES_MAX; tries++) {
        if (tries)
            counter_inc(row_write_outbid);
        proposal.ballot = row_next_ballot(client, highest);
        rc = row_vote_collect(&target, &proposal, 0, deadline, &highest, &existed);
    }
    row_proposal_done(&proposal);
    if (rc == -E_UNSURE)
        counter_inc(row_write_unsure);
    if (rc)
        return error_set(err, rc == -E_OUTBID ? -E_UNAVAILABLE : rc, "row write: %s", error_text(rc));
    if (ret_ballot)
        *ret_ballot = proposal.ballot;
    if (ret_existed)
        *ret_existed = existed;
    return 0;
}

/* --- Conditional writes. --- */

/* One round of prepares: 0 with a filled 'prepare' and the highest value's reply (owned by 'fan');
 * -E_OUTBID: refused, try a higher ballot. */
WAITS static int promise(struct row_target *target, struct rpc_fan *fan, struct ballot ballot, int64_t deadline,
                         struct row_prepare *prepare, const Rs__RowReadReply **ret_value)
{
    const Rs__RowReadReply *value[ROW_REPLICAS_MAX] = { NULL };
    const struct rpc_reply *reply;
    int64_t                 patience = deadline;
    uint32_t                repairs = 0;
    int                     trouble = 0;

    row_prepare_init(prepare, &target->members);
    for (uint8_t i = 0; i < target->members.count; i++)
        if (!row_send_prepare(fan, target, i, ballot) && prepare->fsm.now == ROW_PREPARE_ASKING)
            row_prepare_no(prepare, i, (struct ballot) { 0 });
    while (prepare->fsm.now == ROW_PREPARE_ASKING) {
        const Rs__RowReadReply *body;
        uint8_t                 replica;
        int                     rc = rpc_fan_next(fan, patience, &reply);

        if (rc == -ETIMEDOUT && patience < deadline)
            return -E_OUTBID;   /* Outbid by one and another is silent: a higher ballot gets further. */
        if (rc)
            return rc == -ECANCELED ? rc : -E_UNAVAILABLE;
        replica = (uint8_t)reply->tag;
        body = reply->message ? (const Rs__RowReadReply *)reply->message->head : NULL;
        if (reply->code == -E_STALE)
            return -E_STALE;
        if (reply->code == -E_BEHIND && repairs++ < REPAIRS_MAX) {
            rc = row_repair_config(target, replica, deadline);
            if (rc == -E_STALE)
                return rc;
            if (rc == 0 && row_send_prepare(fan, target, replica, ballot))
                continue;
        }
        if (reply->code == 0 && body && row_reply_verified(body, ROW_FULL)) {
            struct row_seen seen = row_seen_of(body);
            value[replica] = body;
            row_prepare_yes(prepare, replica, &seen);
            continue;
        }
        if (reply->code == -ENODEV || !reply->sent)
            row_target_failed(target, replica);
        if (reply->code != -E_OUTBID)
            trouble = telling(trouble, reply->code ? reply->code : -E_CORRUPT);
        row_prepare_no(prepare, replica,
                       body ? (struct ballot) { body->highest_time, body->highest_node } : (struct ballot) { 0 });
        if (reply->code == -E_OUTBID && patience == deadline)
            patience = env_now(target->client->env) + ROW_HEDGE_MS * NS_PER_MS;
        patience = patience < deadline ? patience : deadline;
    }
    if (prepare->fsm.now == ROW_PREPARE_CORRUPT)
        return -E_CORRUPT;
    if (prepare->fsm.now == ROW_PREPARE_REFUSED) {
        if (!ballot_is_zero(prepare->outbid))
            return -E_OUTBID;
        return trouble == -E_FENCED || trouble == -E_OVERLOAD ? trouble : -E_UNAVAILABLE;
    }
    *ret_value = prepare->source < ROW_REPLICAS_MAX ? value[prepare->source] : NULL;
    return 0;
}

/* What a round of promises leads to. */
struct decision {
    int                 code;        /* The caller's refusal, or 0. */
    bool                again;       /* What was there is accepted again. */
    struct row_proposal proposal;
};

static int decide_value(struct row_target *target, row_decide decide, void *ctx, const struct row_state *now,
                        const Rs__RowReadReply *value, struct arena *arena, struct decision *d, struct error *err)
{
    Rs__RowValue *next = NULL;

    (void)target;
    *d = (struct decision) { .again = decide == NULL };
    if (decide) {
        d->code = decide(ctx, now, arena, &next, err);
        d->again = d->code != 0;
    }
    if (!d->again)
        return next ? row_proposal_pack(&d->proposal, next, err) : error_set(err, -EINVAL, "nothing was decided");
    return value ? row_proposal_copy(&d->proposal, value, arena) : 0;
}

/* One ballot: prepare, decide, accept. -E_OUTBID: lost without a trace, or settling failed; try again. */
WAITS static int propose_once(struct row_target *target, row_decide decide, void *ctx, struct ballot ballot,
                              int64_t deadline, struct arena *arena, struct ballot *highest,
                              struct row_state *ret_before, struct row_state *ret_after, struct error *err)
{
    const Rs__RowReadReply *value = NULL;
    struct row_prepare      prepare;
    struct row_state        before = { 0 };
    struct decision         d = { 0 };
    struct rpc_fan          fan;
    int                     rc;

    rpc_fan_open(&fan, target->client->rpc, deadline);
    rc = promise(target, &fan, ballot, deadline, &prepare, &value);
    *highest = ballot_max(*highest, prepare.outbid);
    if (rc == 0 && value)
        rc = row_state_of(value, ROW_FULL, arena, &before);
    if (rc == 0)
        rc = decide_value(target, decide, ctx, &before, value, arena, &d, err);
    rpc_fan_close(&fan);
    if (rc)
        return rc;
    *ret_before = before;
    if (d.again && (!value || row_quorum(&target->members, prepare.holders))) {
        row_proposal_done(&d.proposal);   /* What was judged is on a quorum. */
        if (ret_after)
            *ret_after = before;
        return d.code;
    }
    d.proposal.ballot = ballot;
    rc = row_vote_collect(target, &d.proposal, 0, deadline, highest, NULL);
    row_proposal_done(&d.proposal);
    if (rc == 0 && ret_after)
        *ret_after = (struct row_state) { .exists = before.exists, .ballot = ballot, .value = before.value };
    if (rc == 0)
        return d.code;
    if (d.again && rc != -E_STALE && rc != -ECANCELED)
        return -E_OUTBID;   /* What was there is there, whatever became of this: settling it may be tried again. */
    return rc;
}

WAITS static int back_off(struct row_client *client, int tries, int64_t deadline)
{
    uint64_t range = UINT64_C(1) << (tries < 6 ? tries : 6), ms;
    int64_t  until;

    if (range > ROW_BACKOFF_MS_MAX)
        range = ROW_BACKOFF_MS_MAX;
    ms = env_random64(client->env) % (range * 1000) * NS_PER_US;
    until = env_now(client->env) + (int64_t)ms;
    return until >= deadline ? -E_UNAVAILABLE : task_sleep_until(until);
}

WAITS int row_propose(struct row_target *target, row_decide decide, void *ctx, struct ballot above, int64_t deadline,
                      struct arena *arena, struct row_state *ret_before, struct row_state *ret_after,
                      struct error *err)
{
    struct row_state before = { 0 }, after = { 0 };
    int              rc = -E_OUTBID;

    for (int tries = 0; rc == -E_OUTBID && tries < ROW_TRIES_MAX; tries++) {
        struct ballot ballot;

        if (tries) {
            counter_inc(row_update_contended);
            rc = back_off(target->client, tries, deadline);
            if (rc)
                return rc;
        }
        ballot = row_next_ballot(target->client, above);
        above = ballot;
        rc = propose_once(target, decide, ctx, ballot, deadline, arena, &above, &before, &after, err);
        if (rc == 0 && decide)
            after = (struct row_state) { .ballot = ballot };
    }
    if (rc == -E_OUTBID)
        rc = -E_UNAVAILABLE;
    if (ret_before)
        *ret_before = before;
    if (rc == 0 && ret_after)
        *ret_after = after;
    return rc;
}

WAITS int row_update(struct row_client *client, const struct shard *shard, struct slice name, row_decide decide,
                     void *ctx, int64_t deadline, struct arena *arena, struct row_state *ret_before,
                     struct ballot *ret_ballot, struct error *err)
{
    struct row_target target;
    struct row_state  after;
    int               rc = row_target_init(&target, client, shard, name, err);

    if (rc)
        return rc;
    counter_inc(row_updates);
    if (err)
        err->code = 0;
    rc = row_propose(&target, decide, ctx, (struct ballot) { 0 }, deadline, arena, ret_before, &after, err);
    if (rc == -E_UNSURE)
        counter_inc(row_update_unsure);
    if (rc && err && !err->code)
        error_set(err, rc, "row update: %s", error_text(rc));
    if (rc == 0 && ret_ballot)
        *ret_ballot = after.ballot;
    return rc;
}
