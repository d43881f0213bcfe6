/* storage/row_read.c - linearizable reads of one row.
 *
 * A quorum is asked, the best replica for the value, the others for the digest
 * only. Where they agree, that is the answer. Where they differ, or one is
 * silent, the others are asked as well; what then is the highest is written back
 * under its own ballot until a quorum has it, and if that is refused, it is
 * settled by prepare and accept under a new ballot. */
#include "base/counter.h"
#include "storage/mutant.h"
#include "storage/row_client_private.h"

COUNTER(row_reads, "Rows read.");
COUNTER(row_read_hedged, "Reads that asked another replica because one was silent.");
COUNTER(row_read_repairs, "Reads that wrote the newest value back to replicas that lacked it.");
COUNTER(row_read_settles, "Reads whose write-back was refused, so that they had to prepare.");
COUNTER(row_read_corrupt, "Reads that met two values under one ballot.");

enum { REPAIRS_MAX = 3 /* Times one read repairs a replica's configuration. */ };

struct reading {
    struct row_target *target;
    struct rpc_fan     fan;
    struct row_query   query;
    enum row_want      want;
    uint32_t           asked;             /* Bits. */
    uint32_t           open;              /* Asked and not answered. */
    uint8_t            next;              /* In target->order. */
    uint32_t           repairs;
    const Rs__RowReadReply *value[ROW_REPLICAS_MAX];   /* Owned by the fan. */
    enum row_want      value_want[ROW_REPLICAS_MAX];
};

static void ask(struct reading *r, uint8_t replica, uint32_t want)
{
    uint32_t bit = UINT32_C(1) << replica;

    r->asked |= bit;
    if (!row_send_read(&r->fan, r->target, replica, want)) {
        row_query_lost(&r->query, replica);
        return;
    }
    r->open |= bit;
}

static bool ask_next(struct reading *r, uint32_t want)
{
    if (r->next >= r->target->members.count)
        return false;
    ask(r, r->target->order[r->next++], want);
    return true;
}

/* Until those asked could be a quorum. */
static void ask_quorum(struct reading *r)
{
    uint32_t want = r->want;

    while (!row_quorum(&r->target->members, r->asked & ~r->query.lost) && ask_next(r, want))
        if (r->open)
            want = 0;
}

WAITS static int on_reply(struct reading *r, const struct rpc_reply *reply, int64_t deadline)
{
    const Rs__RowReadReply *body = reply->message ? (const Rs__RowReadReply *)reply->message->head : NULL;
    uint8_t                 replica = (uint8_t)reply->tag;
    uint32_t                bit = UINT32_C(1) << replica, want = reply->tag >> 8;
    struct row_seen         seen;
    int                     rc;

    r->open &= ~bit;
    if (reply->code == -E_STALE)
        return -E_STALE;
    if (reply->code == -E_BEHIND && r->repairs++ < REPAIRS_MAX) {
        rc = row_repair_config(r->target, replica, deadline);
        if (rc == -E_STALE)
            return rc;
        if (rc == 0) {
            ask(r, replica, want);
            return 0;
        }
    }
    if (reply->code || !body || (want && !row_reply_verified(body, want))) {
        if (reply->code == -ENODEV || reply->code == -ETIMEDOUT || reply->code == -E_UNAVAILABLE)
            row_target_failed(r->target, replica);
        row_query_lost(&r->query, replica);
        ask_quorum(r);
        return 0;
    }
    seen = row_seen_of(body);
    row_query_step(&r->query, replica, &seen, want != 0);
    if (want && ballot_compare(r->query.seen[replica].accepted, seen.accepted) == 0) {
        r->value[replica] = body;
        r->value_want[replica] = want;
    }
    return 0;
}

/* The reply that carries the highest value, or NULL when it has to be asked for. */
static const Rs__RowReadReply *value_of(const struct reading *r, enum row_want want)
{
    for (uint8_t i = 0; i < r->target->members.count; i++)
        if ((r->query.holders & r->query.valued & (UINT32_C(1) << i)) && r->value[i] && r->value_want[i] >= want)
            return r->value[i];
    return NULL;
}

static bool needs_value(const struct reading *r, enum row_want want)
{
    return !ballot_is_zero(r->query.highest.accepted) &&
           (want == ROW_FULL || !(r->query.highest.flags & ROW_FLAG_TOMBSTONE)) && !value_of(r, want);
}

/* The next thing to do while nothing is decided; false: wait for answers. */
static bool advance(struct reading *r)
{
    int state = r->query.fsm.now;

    if (state == ROW_QUERY_DIFFER && r->next < r->target->members.count) {
        while (ask_next(r, r->want))
            ;
        return true;
    }
    return false;
}

/* Silence is what is much longer than usual: when all is slow, more requests would make it slower. */
static int64_t hedge_after(const struct row_client *client)
{
    int64_t ns = 4 * client->read_ns;

    if (ns > ROW_HEDGE_MS_MAX * NS_PER_MS)
        return ROW_HEDGE_MS_MAX * NS_PER_MS;
    return ns > ROW_HEDGE_MS * NS_PER_MS ? ns : ROW_HEDGE_MS * NS_PER_MS;
}

/* Collects until replicas agree, or all have answered (or are late) and differ. */
WAITS static int collect(struct reading *r, int64_t deadline)
{
    struct row_client      *client = r->target->client;
    int64_t                 begun = env_now(client->env), patience = hedge_after(client), hedge = begun + patience;
    const struct rpc_reply *reply;
    int                     rc;

    for (;;) {
        int state = r->query.fsm.now;

        if (state == ROW_QUERY_AGREED) {
            client->read_ns += (env_now(client->env) - begun - client->read_ns) / 16;
            return 0;
        }
        if (state == ROW_QUERY_CORRUPT)
            return -E_CORRUPT;
        if (state == ROW_QUERY_FAILED || (r->open == 0 && state == ROW_QUERY_ASKING))
            return -E_UNAVAILABLE;
        if (!advance(r) && state == ROW_QUERY_DIFFER && r->open == 0)
            return 0;
        rc = rpc_fan_next(&r->fan, hedge < deadline ? hedge : deadline, &reply);
        if (rc == -ENOENT)
            r->open = 0;
        else if (rc == -ETIMEDOUT && hedge < deadline) {
            /* Silence: widen; when all are asked, differing answers of a quorum are enough to go on with. */
            hedge += patience;
            if (r->query.fsm.now == ROW_QUERY_DIFFER)
                return 0;
            if (ask_next(r, r->want))
                counter_inc(row_read_hedged);
            else
                hedge = deadline;
        } else if (rc == -ETIMEDOUT)
            return -E_UNAVAILABLE;
        else if (rc)
            return rc;
        else if ((rc = on_reply(r, reply, deadline)))
            return rc;
    }
}

/* Asks holders of the highest ballot for its value; others may turn out to be higher meanwhile. */
WAITS static int fetch(struct reading *r, enum row_want want, int64_t deadline)
{
    uint32_t tried = 0;

    while (needs_value(r, want)) {
        uint32_t left = r->query.holders & ~tried;
        int      rc;

        if (!left)
            return -E_UNAVAILABLE;
        r->want = want;
        ask(r, (uint8_t)__builtin_ctz(left), want);
        tried |= left & -left;
        while (r->open && needs_value(r, want)) {
            const struct rpc_reply *reply;
            rc = rpc_fan_next(&r->fan, deadline, &reply);
            if (rc == 0)
                rc = on_reply(r, reply, deadline);
            if (rc)
                return rc == -ETIMEDOUT || rc == -ENOENT ? -E_UNAVAILABLE : rc;
        }
        if (r->query.fsm.now == ROW_QUERY_CORRUPT)
            return -E_CORRUPT;
    }
    return 0;
}

static int deliver(const struct reading *r, const Rs__RowReadReply *reply, enum row_want want, struct arena *arena,
                   struct row_state *ret_state, struct row_proposal *ret_value)
{
    int rc = 0;

    if (!reply || r->query.highest.flags & ROW_FLAG_TOMBSTONE)
        *ret_state = (struct row_state) { .ballot = r->query.highest.accepted };
    else
        rc = row_state_of(reply, want, arena, ret_state);
    if (rc == 0 && reply && ret_value)
        rc = row_proposal_copy(ret_value, reply, arena);
    return rc;
}

/* They differ: makes the highest the value of a quorum, or finds what is. */
WAITS static int settle(struct reading *r, enum row_want want, int64_t deadline, struct arena *arena,
                        struct row_state *ret_state, struct row_proposal *ret_value, struct error *err)
{
    struct row_proposal     proposal = { .buf = NULL };
    const Rs__RowReadReply *reply = value_of(r, ROW_FULL);
    struct row_state        before;
    struct ballot           highest = { 0 };
    int                     rc;

    counter_inc(row_read_repairs);
    rc = reply ? row_proposal_copy(&proposal, reply, arena) : -E_CORRUPT;
    if (rc == 0)
        rc = row_vote_collect(r->target, &proposal, r->query.holders, deadline, &highest, NULL);
    row_proposal_done(&proposal);
    if (rc == 0)
        return deliver(r, reply, want, arena, ret_state, ret_value);
    if (rc == -E_STALE || rc == -ECANCELED || rc == -ENOMEM || rc == -E_CORRUPT)
        return rc;
    counter_inc(row_read_settles);
    rc = row_propose(r->target, NULL, NULL, ballot_max(highest, r->query.highest.accepted), deadline, arena, &before,
                     ret_state, err);
    if (rc == 0 && ret_value)
        rc = -EAGAIN;   /* A new ballot: the bytes are read again. */
    return rc;
}

WAITS static int get_once(struct row_target *target, enum row_want want, int64_t deadline, struct arena *arena,
                          struct row_state *ret_state, struct row_proposal *ret_value, struct error *err)
{
    struct reading r = { .target = target, .want = want };
    int            rc;

    row_query_init(&r.query, &target->members);
    rpc_fan_open(&r.fan, target->client->rpc, deadline);
    if (mutant(MUTANT_READ_ONE))
        ask_next(&r, want);
    ask_quorum(&r);
    rc = collect(&r, deadline);
    for (;;) {
        bool differ = rc == 0 && r.query.fsm.now == ROW_QUERY_DIFFER && !mutant(MUTANT_SKIP_WRITE_BACK);
        if (rc == 0)
            rc = fetch(&r, differ || ret_value ? ROW_FULL : want, deadline);
        if (rc || differ == (r.query.fsm.now == ROW_QUERY_DIFFER && !mutant(MUTANT_SKIP_WRITE_BACK)))
            break;   /* Else the answers that came with the value changed the picture. */
        rc = collect(&r, deadline);
    }
    if (rc == 0 && r.query.fsm.now == ROW_QUERY_DIFFER && !mutant(MUTANT_SKIP_WRITE_BACK))
        rc = settle(&r, want, deadline, arena, ret_state, ret_value, err);
    else if (rc == 0)
        rc = deliver(&r, value_of(&r, ret_value ? ROW_FULL : want), want, arena, ret_state, ret_value);
    rpc_fan_close(&r.fan);
    return rc;
}

WAITS int row_get(struct row_target *target, enum row_want want, int64_t deadline, struct arena *arena,
                  struct row_state *ret_state, struct row_proposal *ret_value, struct error *err)
{
    int rc = -EAGAIN;

    counter_inc(row_reads);
    if (err)
        err->code = 0;
    for (int tries = 0; rc == -EAGAIN && tries < ROW_TRIES_MAX; tries++)
        rc = get_once(target, want, deadline, arena, ret_state, ret_value, err);
    if (rc == -EAGAIN || rc == -ENOENT || rc == -ETIMEDOUT)
        rc = -E_UNAVAILABLE;
    if (rc == -E_CORRUPT)
        counter_inc(row_read_corrupt);
    if (rc && err && !err->code)
        error_set(err, rc, "row read: %s", error_text(rc));
    return rc;
}

WAITS int row_read(struct row_client *client, const struct shard *shard, struct slice name, enum row_want want,
                   int64_t deadline, struct arena *arena, struct row_state *ret_state, struct error *err)
{
    struct row_target target;
    int               rc = row_target_init(&target, client, shard, name, err);

    return rc ? rc : row_get(&target, want, deadline, arena, ret_state, NULL, err);
}
