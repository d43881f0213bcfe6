/* storage/row_fsm.h - the row protocol as pure logic: no I/O, clock or memory.
 *
 * The replica's rules (row_judge_*) and the client's collectors of answers. A
 * task steps a collector with each answer and does what its state says:
 *
 *   row_vote    accepts of one ballot: a write, a write-back, the second half
 *               of a conditional write
 *   row_query   a read's answers
 *   row_prepare promises
 *   row_purge   what every replica must have done before a tombstone may go
 *
 * Quorums are majorities; while a partition moves, of the old and of the new set.
 * Replicas are bits. Answers may come in any order, late, never or twice. */
#ifndef STORAGE_ROW_FSM_H
#define STORAGE_ROW_FSM_H

#include "base/fsm.h"
#include "storage/row.h"

enum { ROW_REPLICAS_MAX = 32 };

enum row_flag {
    ROW_FLAG_TOMBSTONE = 1,
    ROW_FLAG_COUNTED = 2,
    ROW_FLAG_EXTENTS = 4,
    ROW_FLAG_SEALED = 8      /* Of a configuration row: its 'size' is not 0. */
};

/* Identifies a value; two XXH3-64, so that a value without its data can be verified alone. */
struct row_digest {
    uint64_t meta, data;
};
static inline bool row_digest_equal(struct row_digest a, struct row_digest b)
{
    return a.meta == b.meta && a.data == b.data;
}
static inline bool ballot_is_zero(struct ballot b) { return b.time == 0 && b.node == 0; }
static inline struct ballot ballot_max(struct ballot a, struct ballot b) { return ballot_compare(a, b) >= 0 ? a : b; }

/* --- The replica's rules. --- */

struct row_acceptor {
    struct ballot     promised, accepted, floor;
    struct row_digest digest;    /* Of the accepted value. */
};
enum row_verdict {
    ROW_YES,        /* Make it durable, then answer yes. */
    ROW_YES_AGAIN,  /* Already so. */
    ROW_NO,         /* -E_OUTBID */
    ROW_DAMAGED     /* -E_CORRUPT: one ballot, two values. */
};
enum row_verdict row_judge_accept(const struct row_acceptor *row, struct ballot ballot, struct row_digest digest);
enum row_verdict row_judge_prepare(const struct row_acceptor *row, struct ballot ballot);
/* May the row, of which only the tombstone 't' is left, be dropped? The floor was raised before. */
bool row_judge_drop(const struct row_acceptor *row, bool tombstone, struct ballot t);
struct ballot row_highest(const struct row_acceptor *row);

/* --- Who decides. --- */

struct row_members {
    uint8_t  count;       /* Bits in use. */
    uint32_t old, new_;   /* Members; equal when nothing moves. */
};
bool row_quorum(const struct row_members *members, uint32_t yes);
/* Could 'yes' become a quorum if all of 'open' said yes as well? */
static inline bool row_quorum_possible(const struct row_members *members, uint32_t yes, uint32_t open)
{
    return row_quorum(members, yes | open);
}

/* What an answer means for an accept. */
enum row_answer {
    ROW_ANSWER_YES,
    ROW_ANSWER_NEVER,    /* No, and no later copy of the message can be accepted either. */
    ROW_ANSWER_NOT_NOW,  /* No; but a duplicate of the message might be accepted later. */
    ROW_ANSWER_UNSENT,   /* It certainly never got the message. */
    ROW_ANSWER_UNKNOWN   /* Time-out, broken connection, fault: it may have accepted. */
};
/* From a call's code; 'sent' as in struct rpc_reply. */
enum row_answer row_answer_of(int code, bool sent);

/* --- Votes on one ballot.
 *
 *   ASKING --- a quorum accepted -------------------------------------> COMMITTED
 *      |------ nobody accepted, and no copy can be any more ----------> OUTBID   (only here: another ballot)
 *      |------ nobody accepted, all answered -------------------------> REFUSED
 *      '------ no quorum is possible any more, or the deadline passed -> UNSURE
 */
enum { ROW_VOTE_ASKING, ROW_VOTE_COMMITTED, ROW_VOTE_OUTBID, ROW_VOTE_REFUSED, ROW_VOTE_UNSURE };

struct row_vote {
    struct fsm         fsm;
    struct row_members members;
    uint32_t           asked, yes, never, not_now, unsent, unknown;   /* Bits. */
    bool               existed;
    struct ballot      highest;   /* A next ballot must exceed it. */
};
/* 'held': replicas that are known to have accepted the ballot already; the others are asked. */
void row_vote_init(struct row_vote *vote, const struct row_members *members, uint32_t held);
int  row_vote_step(struct row_vote *vote, uint8_t replica, enum row_answer answer, struct ballot highest, bool existed);
int  row_vote_deadline(struct row_vote *vote);

/* --- A read's answers.
 *
 *   ASKING -- a quorum reports the same highest ballot --> AGREED   (the value may still have to be fetched)
 *      |----- a quorum answered, they differ ------------> DIFFER   (and goes on while answers come)
 *      '----- no quorum can answer ----------------------> FAILED
 */
enum { ROW_QUERY_ASKING, ROW_QUERY_DIFFER, ROW_QUERY_AGREED, ROW_QUERY_FAILED, ROW_QUERY_CORRUPT };

struct row_seen {
    struct ballot     accepted;
    struct row_digest digest;
    uint8_t           flags;
};
struct row_query {
    struct fsm         fsm;
    struct row_members members;
    uint32_t           got, lost, valued;         /* Bits; valued: sent its value. */
    struct row_seen    seen[ROW_REPLICAS_MAX];
    struct row_seen    highest;
    uint32_t           holders;                   /* Of the highest. */
};
void row_query_init(struct row_query *query, const struct row_members *members);
/* An answer; a later one of the same replica replaces the earlier unless it is older. */
int  row_query_step(struct row_query *query, uint8_t replica, const struct row_seen *seen, bool valued);
int  row_query_lost(struct row_query *query, uint8_t replica);   /* No answer will come. */
/* Who has the value: a holder that sent it, or one that holds it (ask it), or ROW_REPLICAS_MAX. */
uint8_t row_query_source(const struct row_query *query);

/* --- Promises.
 *
 *   ASKING -- a quorum promised --> PROMISED
 *      '----- no longer possible, or a replica refused and nobody is open --> REFUSED
 */
enum { ROW_PREPARE_ASKING, ROW_PREPARE_PROMISED, ROW_PREPARE_REFUSED, ROW_PREPARE_CORRUPT };

struct row_prepare {
    struct fsm         fsm;
    struct row_members members;
    uint32_t           yes, no;
    struct row_seen    highest;        /* Accepted ballot among the promises. */
    uint32_t           holders;
    uint8_t            source;         /* A replica whose promise carried that value. */
    struct ballot      outbid;         /* A next ballot must exceed it. */
};
void row_prepare_init(struct row_prepare *prepare, const struct row_members *members);
int  row_prepare_yes(struct row_prepare *prepare, uint8_t replica, const struct row_seen *seen);
int  row_prepare_no(struct row_prepare *prepare, uint8_t replica, struct ballot highest);

/* --- Purge: every replica, not a quorum, takes each step.
 *
 *   LOOKING -- all hold t --> RAISING -- all raised --> DROPPING -- all answered --> DONE
 *      '--- another state, no answer ---'------------------------------------------> GIVEN_UP
 */
enum { ROW_PURGE_LOOKING, ROW_PURGE_RAISING, ROW_PURGE_DROPPING, ROW_PURGE_DONE, ROW_PURGE_GIVEN_UP };

struct row_purge {
    struct fsm    fsm;
    uint8_t       count;
    struct ballot tombstone;
    uint32_t      answered;   /* Bits, of the present step. */
};
void row_purge_init(struct row_purge *purge, uint8_t count, struct ballot tombstone);
int  row_purge_saw(struct row_purge *purge, uint8_t replica, const struct row_seen *seen);
int  row_purge_done(struct row_purge *purge, uint8_t replica);   /* It raised, or dropped or declined to. */
int  row_purge_failed(struct row_purge *purge);                  /* An error or no answer. */

#endif
