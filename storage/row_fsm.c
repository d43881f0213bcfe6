/* storage/row_fsm.c - the row protocol as pure logic. See row_fsm.h. */
#include "storage/row_fsm.h"

#include <assert.h>

#include "storage/mutant.h"

/* --- The replica's rules. --- */

enum row_verdict row_judge_accept(const struct row_acceptor *row, struct ballot ballot, struct row_digest digest)
{
    int order = ballot_compare(ballot, row->accepted);

    if (order == 0 && !ballot_is_zero(ballot))
        return row_digest_equal(digest, row->digest) ? ROW_YES_AGAIN : ROW_DAMAGED;
    if (order > 0 && ballot_compare(ballot, row->promised) >= 0 && ballot_compare(ballot, row->floor) > 0)
        return ROW_YES;
    return ROW_NO;
}

/* A repeated promise of one ballot is refused: its sender may have begun a new round with it. */
enum row_verdict row_judge_prepare(const struct row_acceptor *row, struct ballot ballot)
{
    return ballot_compare(ballot, row_highest(row)) > 0 ? ROW_YES : ROW_NO;
}

bool row_judge_drop(const struct row_acceptor *row, bool tombstone, struct ballot t)
{
    if (!tombstone || ballot_compare(row->accepted, t) != 0)
        return false;
    if (mutant(MUTANT_PURGE_EARLY))
        return true;
    return ballot_compare(row->floor, t) >= 0 && ballot_compare(row->promised, row->floor) <= 0;
}

struct ballot row_highest(const struct row_acceptor *row)
{
    return ballot_max(ballot_max(row->promised, row->accepted), row->floor);
}

/* --- Who decides. --- */

static bool majority(uint32_t set, uint32_t yes)
{
    return 2 * __builtin_popcount(set & yes) > __builtin_popcount(set);
}

bool row_quorum(const struct row_members *members, uint32_t yes)
{
    return majority(members->old, yes) && (members->new_ == members->old || majority(members->new_, yes));
}

static uint32_t all_of(const struct row_members *members)
{
    return members->old | members->new_;
}

enum row_answer row_answer_of(int code, bool sent)
{
    if (!sent && code != 0)
        return ROW_ANSWER_UNSENT;
    switch (code) {
    case 0: return ROW_ANSWER_YES;
    case -E_OUTBID:
    case -E_STALE: return ROW_ANSWER_NEVER;
    case -E_BEHIND:
    case -E_GONE:
    case -E_FENCED:
    case -E_OVERLOAD:
    case -E_LIMIT:
    case -ENODEV:
    case -ENOSPC: return ROW_ANSWER_NOT_NOW;
    default: return ROW_ANSWER_UNKNOWN;
    }
}

/* --- Votes on one ballot. --- */

static const struct fsm_state vote_states[] = {
    [ROW_VOTE_ASKING] = { "asking", FSM_TO(ROW_VOTE_COMMITTED) | FSM_TO(ROW_VOTE_OUTBID) | FSM_TO(ROW_VOTE_REFUSED) |
                                    FSM_TO(ROW_VOTE_UNSURE) },
    [ROW_VOTE_COMMITTED] = { "committed", 0 },
    [ROW_VOTE_OUTBID] = { "outbid", 0 },
    [ROW_VOTE_REFUSED] = { "refused", 0 },
    [ROW_VOTE_UNSURE] = { "unsure", 0 },
};

void row_vote_init(struct row_vote *vote, const struct row_members *members, uint32_t held)
{
    *vote = (struct row_vote) { .members = *members, .yes = held, .asked = all_of(members) & ~held };
    fsm_init(&vote->fsm, vote_states, ROW_VOTE_ASKING);
}

static int vote_judge(struct row_vote *vote)
{
    uint32_t answered = vote->never | vote->not_now | vote->unsent | vote->unknown;
    uint32_t open = vote->asked & ~vote->yes & ~answered;

    if (row_quorum(&vote->members, vote->yes))
        return fsm_move(&vote->fsm, ROW_VOTE_COMMITTED);
    if (open == 0 && vote->yes == 0 && vote->unknown == 0)
        return fsm_move(&vote->fsm, vote->not_now || !vote->never ? ROW_VOTE_REFUSED : ROW_VOTE_OUTBID);
    if (open == 0 || ((vote->yes || vote->unknown) && !row_quorum_possible(&vote->members, vote->yes, open)))
        return fsm_move(&vote->fsm, ROW_VOTE_UNSURE);
    return vote->fsm.now;
}

int row_vote_step(struct row_vote *vote, uint8_t replica, enum row_answer answer, struct ballot highest, bool existed)
{
    uint32_t bit = UINT32_C(1) << replica;
    uint32_t answered = vote->yes | vote->never | vote->not_now | vote->unsent | vote->unknown;

    assert(vote->fsm.now == ROW_VOTE_ASKING && replica < vote->members.count);
    vote->highest = ballot_max(vote->highest, highest);
    if (answered & bit)
        return vote->fsm.now;   /* A duplicate. */
    switch (answer) {
    case ROW_ANSWER_YES:
        vote->yes |= bit;
        vote->existed |= existed;
        break;
    case ROW_ANSWER_NEVER: vote->never |= bit; break;
    case ROW_ANSWER_NOT_NOW: vote->not_now |= bit; break;
    case ROW_ANSWER_UNSENT: vote->unsent |= bit; break;
    case ROW_ANSWER_UNKNOWN: vote->unknown |= bit; break;
    }
    return vote_judge(vote);
}

int row_vote_deadline(struct row_vote *vote)
{
    uint32_t answered = vote->yes | vote->never | vote->not_now | vote->unsent | vote->unknown;

    vote->unknown |= vote->asked & ~answered;   /* Silence may hide an accept. */
    if (mutant(MUTANT_RETRY_AFTER_TIMEOUT))
        return fsm_move(&vote->fsm, ROW_VOTE_OUTBID);
    return vote->fsm.now == ROW_VOTE_ASKING ? vote_judge(vote) : vote->fsm.now;
}

/* --- A read's answers. --- */

static const struct fsm_state query_states[] = {
    [ROW_QUERY_ASKING] = { "asking", FSM_TO(ROW_QUERY_DIFFER) | FSM_TO(ROW_QUERY_AGREED) | FSM_TO(ROW_QUERY_FAILED) |
                                     FSM_TO(ROW_QUERY_CORRUPT) },
    /* Agreement is not final: a replica may have moved on when it is asked for the value. */
    [ROW_QUERY_DIFFER] = { "differ", FSM_TO(ROW_QUERY_AGREED) | FSM_TO(ROW_QUERY_CORRUPT) },
    [ROW_QUERY_AGREED] = { "agreed", FSM_TO(ROW_QUERY_DIFFER) | FSM_TO(ROW_QUERY_CORRUPT) },
    [ROW_QUERY_FAILED] = { "failed", 0 },
    [ROW_QUERY_CORRUPT] = { "corrupt", 0 },
};

void row_query_init(struct row_query *query, const struct row_members *members)
{
    fsm_init(&query->fsm, query_states, ROW_QUERY_ASKING);
    query->members = *members;
    query->got = query->lost = query->valued = query->holders = 0;
    query->highest = (struct row_seen) { 0 };
}

static int query_to(struct row_query *query, int to)
{
    return query->fsm.now == to ? to : fsm_move(&query->fsm, to);
}

static int query_judge(struct row_query *query)
{
    struct row_seen highest = { 0 };

    query->holders = 0;
    for (uint8_t i = 0; i < query->members.count; i++) {
        if (!(query->got & (UINT32_C(1) << i)))
            continue;
        int order = ballot_compare(query->seen[i].accepted, highest.accepted);
        if (order == 0 && query->holders && !ballot_is_zero(highest.accepted) &&
            !row_digest_equal(query->seen[i].digest, highest.digest))
            return query_to(query, ROW_QUERY_CORRUPT);
        if (order > 0) {
            highest = query->seen[i];
            query->holders = 0;
        }
        if (order >= 0)
            query->holders |= UINT32_C(1) << i;
    }
    query->highest = highest;
    if (mutant(MUTANT_READ_ONE) && query->got)
        return query_to(query, ROW_QUERY_AGREED);
    if (row_quorum(&query->members, query->holders))
        return query_to(query, ROW_QUERY_AGREED);
    if (row_quorum(&query->members, query->got))
        return query_to(query, ROW_QUERY_DIFFER);
    if (!row_quorum_possible(&query->members, query->got, all_of(&query->members) & ~query->lost))
        return query_to(query, ROW_QUERY_FAILED);
    return query->fsm.now;
}

int row_query_step(struct row_query *query, uint8_t replica, const struct row_seen *seen, bool valued)
{
    uint32_t bit = UINT32_C(1) << replica;

    assert(replica < query->members.count);
    if (query->fsm.now == ROW_QUERY_FAILED || query->fsm.now == ROW_QUERY_CORRUPT)
        return query->fsm.now;
    if (query->got & bit) {
        int order = ballot_compare(seen->accepted, query->seen[replica].accepted);
        if (order < 0)
            return query->fsm.now;   /* Overtaken on the way. */
        if (order > 0)
            query->valued &= ~bit;
        else if (!row_digest_equal(seen->digest, query->seen[replica].digest))
            return query_to(query, ROW_QUERY_CORRUPT);
    }
    query->got |= bit;
    query->lost &= ~bit;
    query->seen[replica] = *seen;
    if (valued)
        query->valued |= bit;
    return query_judge(query);
}

int row_query_lost(struct row_query *query, uint8_t replica)
{
    uint32_t bit = UINT32_C(1) << replica;

    if (query->fsm.now != ROW_QUERY_ASKING || (query->got & bit))
        return query->fsm.now;
    query->lost |= bit;
    return query_judge(query);
}

uint8_t row_query_source(const struct row_query *query)
{
    uint32_t best = query->holders & query->valued;

    if (!best)
        best = query->holders;
    return best ? (uint8_t)__builtin_ctz(best) : ROW_REPLICAS_MAX;
}

/* --- Promises. --- */

static const struct fsm_state prepare_states[] = {
    [ROW_PREPARE_ASKING] = { "asking", FSM_TO(ROW_PREPARE_PROMISED) | FSM_TO(ROW_PREPARE_REFUSED) |
                                       FSM_TO(ROW_PREPARE_CORRUPT) },
    [ROW_PREPARE_PROMISED] = { "promised", 0 },
    [ROW_PREPARE_REFUSED] = { "refused", 0 },
    [ROW_PREPARE_CORRUPT] = { "corrupt", 0 },
};

void row_prepare_init(struct row_prepare *prepare, const struct row_members *members)
{
    *prepare = (struct row_prepare) { .members = *members, .source = ROW_REPLICAS_MAX };
    fsm_init(&prepare->fsm, prepare_states, ROW_PREPARE_ASKING);
}

int row_prepare_yes(struct row_prepare *prepare, uint8_t replica, const struct row_seen *seen)
{
    uint32_t bit = UINT32_C(1) << replica;
    int      order;

    assert(prepare->fsm.now == ROW_PREPARE_ASKING && replica < prepare->members.count);
    if ((prepare->yes | prepare->no) & bit)
        return prepare->fsm.now;
    order = ballot_compare(seen->accepted, prepare->highest.accepted);
    if (order == 0 && prepare->holders && !ballot_is_zero(seen->accepted) &&
        !row_digest_equal(seen->digest, prepare->highest.digest))
        return fsm_move(&prepare->fsm, ROW_PREPARE_CORRUPT);
    if (order > 0) {
        prepare->highest = *seen;
        prepare->holders = 0;
        prepare->source = replica;
    }
    if (order >= 0)
        prepare->holders |= bit;
    prepare->yes |= bit;
    if (row_quorum(&prepare->members, prepare->yes))
        return fsm_move(&prepare->fsm, ROW_PREPARE_PROMISED);
    return prepare->fsm.now;
}

int row_prepare_no(struct row_prepare *prepare, uint8_t replica, struct ballot highest)
{
    uint32_t bit = UINT32_C(1) << replica;

    assert(prepare->fsm.now == ROW_PREPARE_ASKING && replica < prepare->members.count);
    prepare->outbid = ballot_max(prepare->outbid, highest);
    if (!((prepare->yes | prepare->no) & bit))
        prepare->no |= bit;
    if (!row_quorum_possible(&prepare->members, prepare->yes, all_of(&prepare->members) & ~prepare->no))
        return fsm_move(&prepare->fsm, ROW_PREPARE_REFUSED);
    return prepare->fsm.now;
}

/* --- Purge. --- */

static const struct fsm_state purge_states[] = {
    [ROW_PURGE_LOOKING] = { "looking", FSM_TO(ROW_PURGE_RAISING) | FSM_TO(ROW_PURGE_GIVEN_UP) },
    [ROW_PURGE_RAISING] = { "raising", FSM_TO(ROW_PURGE_DROPPING) | FSM_TO(ROW_PURGE_GIVEN_UP) },
    [ROW_PURGE_DROPPING] = { "dropping", FSM_TO(ROW_PURGE_DONE) | FSM_TO(ROW_PURGE_GIVEN_UP) },
    [ROW_PURGE_DONE] = { "done", 0 },
    [ROW_PURGE_GIVEN_UP] = { "given up", 0 },
};

void row_purge_init(struct row_purge *purge, uint8_t count, struct ballot tombstone)
{
    assert(count > 0 && count < ROW_REPLICAS_MAX);
    *purge = (struct row_purge) { .count = count, .tombstone = tombstone };
    fsm_init(&purge->fsm, purge_states, ROW_PURGE_LOOKING);
}

static int purge_count(struct row_purge *purge, uint8_t replica, int next)
{
    assert(replica < purge->count);
    purge->answered |= UINT32_C(1) << replica;
    if (purge->answered != (UINT32_C(1) << purge->count) - 1)
        return purge->fsm.now;
    purge->answered = 0;
    return fsm_move(&purge->fsm, next);
}

int row_purge_saw(struct row_purge *purge, uint8_t replica, const struct row_seen *seen)
{
    assert(purge->fsm.now == ROW_PURGE_LOOKING);
    if (!mutant(MUTANT_PURGE_EARLY) && (ballot_compare(seen->accepted, purge->tombstone) != 0 ||
                                        !(seen->flags & ROW_FLAG_TOMBSTONE)))
        return fsm_move(&purge->fsm, ROW_PURGE_GIVEN_UP);
    return purge_count(purge, replica, ROW_PURGE_RAISING);
}

int row_purge_done(struct row_purge *purge, uint8_t replica)
{
    if (purge->fsm.now == ROW_PURGE_RAISING)
        return purge_count(purge, replica, ROW_PURGE_DROPPING);
    assert(purge->fsm.now == ROW_PURGE_DROPPING);
    return purge_count(purge, replica, ROW_PURGE_DONE);
}

int row_purge_failed(struct row_purge *purge)
{
    return fsm_move(&purge->fsm, ROW_PURGE_GIVEN_UP);
}
