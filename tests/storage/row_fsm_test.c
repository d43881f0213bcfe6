/* The row protocol's logic: every order of answers of three replicas, random
 * ones of five. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "storage/row_fsm.h"

static const struct row_members three = { .count = 3, .old = 7, .new_ = 7 };
static const struct row_members five = { .count = 5, .old = 31, .new_ = 31 };

static struct ballot b(uint64_t time)
{
    return (struct ballot) { .time = time, .node = 1 };
}

/* --- The replica. --- */

static void row_judge_accept__follows_promise_floor_and_accepted(void **state)
{
    struct row_digest   d = { 1, 2 }, other = { 1, 3 };
    struct row_acceptor row = { .promised = b(5), .accepted = b(3), .floor = b(4), .digest = d };

    (void)state;
    assert_int_equal(row_judge_accept(&row, b(5), d), ROW_YES);
    assert_int_equal(row_judge_accept(&row, b(6), other), ROW_YES);
    assert_int_equal(row_judge_accept(&row, b(4), d), ROW_NO);
    assert_int_equal(row_judge_accept(&row, b(3), d), ROW_YES_AGAIN);
    assert_int_equal(row_judge_accept(&row, b(3), other), ROW_DAMAGED);
    assert_int_equal(row_judge_accept(&row, b(2), d), ROW_NO);
    row.promised = b(0);
    row.floor = b(9);
    assert_int_equal(row_judge_accept(&row, b(9), d), ROW_NO);
    assert_int_equal(row_judge_accept(&row, b(10), d), ROW_YES);
    assert_int_equal(row_judge_accept(&(struct row_acceptor) { 0 }, (struct ballot) { 0 }, d), ROW_NO);
}

static void row_judge_prepare__must_exceed_everything(void **state)
{
    struct row_acceptor row = { .promised = b(5), .accepted = b(3), .floor = b(7) };

    (void)state;
    assert_int_equal(row_judge_prepare(&row, b(7)), ROW_NO);
    assert_int_equal(row_judge_prepare(&row, b(8)), ROW_YES);
    row.promised = b(8);
    assert_int_equal(row_judge_prepare(&row, b(8)), ROW_NO);
    assert_int_equal(row_judge_prepare(&row, (struct ballot) { 8, 2 }), ROW_YES);
}

static void row_judge_drop__keeps_what_is_newer_promised_or_alive(void **state)
{
    struct row_acceptor row = { .promised = b(3), .accepted = b(3), .floor = b(3) };

    (void)state;
    assert_true(row_judge_drop(&row, true, b(3)));
    assert_false(row_judge_drop(&row, false, b(3)));
    assert_false(row_judge_drop(&row, true, b(2)));
    row.promised = b(4);
    assert_false(row_judge_drop(&row, true, b(3)));
    row.promised = b(3);
    row.floor = b(2);
    assert_false(row_judge_drop(&row, true, b(3)));
}

static void row_quorum__is_of_both_sets_while_a_partition_moves(void **state)
{
    struct row_members joint = { .count = 4, .old = 7, .new_ = 11 };   /* C is replaced by D. */

    (void)state;
    assert_true(row_quorum(&joint, 3));
    assert_false(row_quorum(&joint, 5));    /* A and C: no majority of {A, B, D}. */
    assert_false(row_quorum(&joint, 10));   /* B and D. */
    assert_true(row_quorum(&joint, 13));
    assert_false(row_quorum(&three, 4));
    assert_true(row_quorum(&three, 6));
    assert_false(row_quorum(&five, 24));
    assert_true(row_quorum(&five, 28));
}

/* --- Votes. --- */

static void check_vote(const struct row_vote *vote, const enum row_answer *answers, const bool *came, uint8_t n)
{
    int yes = 0, maybe = 0, never = 0, not_now = 0;

    for (int i = 0; i < n; i++) {
        yes += came[i] && answers[i] == ROW_ANSWER_YES;
        never += came[i] && answers[i] == ROW_ANSWER_NEVER;
        not_now += came[i] && answers[i] == ROW_ANSWER_NOT_NOW;
        maybe += !came[i] || answers[i] == ROW_ANSWER_UNKNOWN;
    }
    switch (vote->fsm.now) {
    case ROW_VOTE_COMMITTED: assert_true(yes > n / 2); break;
    case ROW_VOTE_OUTBID: assert_true(yes == 0 && maybe == 0 && not_now == 0 && never > 0); break;
    case ROW_VOTE_REFUSED: assert_true(yes == 0 && maybe == 0); break;
    case ROW_VOTE_UNSURE: assert_true(yes + maybe > 0 && yes <= n / 2); break;
    default: assert_true(yes <= n / 2 && maybe > 0); break;
    }
}

/* All answers of all replicas in all orders, each answer perhaps twice, silence at any point. */
static void vote_rec(const struct row_vote *vote, enum row_answer *answers, bool *came, uint32_t *cases)
{
    check_vote(vote, answers, came, 3);
    ++*cases;
    if (vote->fsm.now != ROW_VOTE_ASKING)
        return;
    struct row_vote late = *vote;
    assert_int_not_equal(row_vote_deadline(&late), ROW_VOTE_COMMITTED);
    assert_int_not_equal(late.fsm.now, ROW_VOTE_OUTBID);
    assert_int_not_equal(late.fsm.now, ROW_VOTE_REFUSED);
    for (uint8_t i = 0; i < 3; i++) {
        if (came[i]) {
            struct row_vote twice = *vote;
            row_vote_step(&twice, i, ROW_ANSWER_YES, b(0), false);
            assert_int_equal(twice.fsm.now, vote->fsm.now);
            assert_int_equal(twice.yes, vote->yes);
            continue;
        }
        came[i] = true;
        for (int a = ROW_ANSWER_YES; a <= ROW_ANSWER_UNKNOWN; a++) {
            struct row_vote next = *vote;
            answers[i] = a;
            row_vote_step(&next, i, a, b(a), false);
            vote_rec(&next, answers, came, cases);
        }
        came[i] = false;
    }
}

static void row_vote__every_order_of_three_answers(void **state)
{
    struct row_vote vote;
    enum row_answer answers[3];
    bool            came[3] = { false };
    uint32_t        cases = 0;

    (void)state;
    row_vote_init(&vote, &three, 0);
    vote_rec(&vote, answers, came, &cases);
    print_message("%u cases\n", cases);
    assert_true(cases > 300);
}

static void row_vote__random_answers_of_five(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, 5, 0);
    for (int round = 0; round < 20000; round++) {
        struct row_vote vote;
        enum row_answer answers[5];
        bool            came[5] = { false };

        row_vote_init(&vote, &five, 0);
        for (int step = 0; step < 12 && vote.fsm.now == ROW_VOTE_ASKING; step++) {
            uint8_t         i = (uint8_t)rng_below(&rng, 5);
            enum row_answer a = (enum row_answer)rng_below(&rng, 5);
            if (!came[i])
                answers[i] = a;
            came[i] = true;
            row_vote_step(&vote, i, a, b(a), false);
            check_vote(&vote, answers, came, 5);
        }
    }
}

static void row_vote__holders_of_a_write_back_count(void **state)
{
    struct row_vote vote;

    (void)state;
    row_vote_init(&vote, &three, 1);
    assert_int_equal(vote.asked, 6);
    assert_int_equal(row_vote_step(&vote, 1, ROW_ANSWER_YES, b(0), false), ROW_VOTE_COMMITTED);
    row_vote_init(&vote, &three, 1);
    row_vote_step(&vote, 1, ROW_ANSWER_NEVER, b(9), false);
    assert_int_equal(row_vote_step(&vote, 2, ROW_ANSWER_NEVER, b(8), false), ROW_VOTE_UNSURE);
    assert_int_equal(vote.highest.time, 9);
}

/* --- Reads. --- */

static void query_rec(const struct row_query *query, const struct row_seen *truth, uint32_t came, uint32_t *cases)
{
    int n = __builtin_popcount(query->got);

    ++*cases;
    if (query->fsm.now == ROW_QUERY_AGREED) {
        int same = 0;
        for (int i = 0; i < 3; i++)
            if (query->got & (1u << i)) {
                assert_true(ballot_compare(truth[i].accepted, query->highest.accepted) <= 0);
                same += ballot_compare(truth[i].accepted, query->highest.accepted) == 0;
            }
        assert_true(same >= 2);
    } else if (query->fsm.now == ROW_QUERY_DIFFER) {
        assert_true(n >= 2);
    } else if (query->fsm.now == ROW_QUERY_FAILED) {
        assert_true(__builtin_popcount(query->lost) >= 2);
    } else if (query->fsm.now == ROW_QUERY_ASKING) {
        assert_true(n < 2);
    }
    for (uint8_t i = 0; i < 3; i++)
        if (!(came & (1u << i))) {
            struct row_query yes = *query, no = *query;
            row_query_step(&yes, i, &truth[i], true);
            query_rec(&yes, truth, came | (1u << i), cases);
            row_query_lost(&no, i);
            query_rec(&no, truth, came | (1u << i), cases);
        }
}

static void row_query__every_order_and_loss_of_three_answers(void **state)
{
    uint32_t cases = 0;

    (void)state;
    for (int i = 0; i < 27; i++) {
        struct row_seen truth[3];
        struct row_query query;
        for (int r = 0, left = i; r < 3; r++, left /= 3)
            truth[r] = (struct row_seen) { .accepted = left % 3 ? b((uint64_t)left % 3) : (struct ballot) { 0 },
                                           .digest = { (uint64_t)left % 3, 0 } };
        row_query_init(&query, &three);
        query_rec(&query, truth, 0, &cases);
    }
    print_message("%u cases\n", cases);
}

static void row_query__one_ballot_with_two_values_is_corruption(void **state)
{
    struct row_seen  x = { .accepted = b(4), .digest = { 1, 1 } }, y = { .accepted = b(4), .digest = { 1, 2 } };
    struct row_query query;

    (void)state;
    row_query_init(&query, &three);
    row_query_step(&query, 0, &x, true);
    assert_int_equal(row_query_step(&query, 1, &y, false), ROW_QUERY_CORRUPT);
}

static void row_query__duplicate_answer_counts_once(void **state)
{
    struct row_seen  x = { .accepted = b(4), .digest = { 1, 1 } }, old = { .accepted = b(2) };
    struct row_query query;

    (void)state;
    row_query_init(&query, &three);
    row_query_step(&query, 0, &x, true);
    assert_int_equal(row_query_step(&query, 0, &x, true), ROW_QUERY_ASKING);
    assert_int_equal(row_query_step(&query, 0, &old, true), ROW_QUERY_ASKING);   /* Overtaken. */
    assert_int_equal(query.highest.accepted.time, 4);
    assert_int_equal(row_query_step(&query, 2, &x, false), ROW_QUERY_AGREED);
    assert_int_equal(row_query_source(&query), 0);
}

static void row_query__agreement_ends_when_a_replica_moves_on(void **state)
{
    struct row_seen  x = { .accepted = b(4), .digest = { 1, 1 } }, y = { .accepted = b(5), .digest = { 2, 2 } };
    struct row_query query;

    (void)state;
    row_query_init(&query, &three);
    row_query_step(&query, 0, &x, false);
    assert_int_equal(row_query_step(&query, 1, &x, false), ROW_QUERY_AGREED);
    assert_int_equal(row_query_step(&query, 0, &y, true), ROW_QUERY_DIFFER);
    assert_int_equal(row_query_step(&query, 2, &y, false), ROW_QUERY_AGREED);
    assert_int_equal(query.highest.accepted.time, 5);
}

/* --- Promises. --- */

static void prepare_rec(const struct row_prepare *prepare, const struct row_seen *truth, uint32_t came)
{
    if (prepare->fsm.now == ROW_PREPARE_PROMISED) {
        struct ballot highest = { 0 };
        assert_true(__builtin_popcount(prepare->yes) >= 2);
        for (int i = 0; i < 3; i++)
            if (prepare->yes & (1u << i))
                highest = ballot_max(highest, truth[i].accepted);
        assert_int_equal(ballot_compare(highest, prepare->highest.accepted), 0);
        if (!ballot_is_zero(highest))
            assert_int_equal(ballot_compare(truth[prepare->source].accepted, highest), 0);
        return;
    }
    if (prepare->fsm.now == ROW_PREPARE_REFUSED) {
        assert_true(__builtin_popcount(prepare->no) >= 2);
        return;
    }
    for (uint8_t i = 0; i < 3; i++)
        if (!(came & (1u << i))) {
            struct row_prepare yes = *prepare, no = *prepare;
            row_prepare_yes(&yes, i, &truth[i]);
            prepare_rec(&yes, truth, came | (1u << i));
            row_prepare_no(&no, i, b(9));
            prepare_rec(&no, truth, came | (1u << i));
        }
}

static void row_prepare__every_order_of_three_answers(void **state)
{
    (void)state;
    for (int i = 0; i < 27; i++) {
        struct row_seen    truth[3];
        struct row_prepare prepare;
        for (int r = 0, left = i; r < 3; r++, left /= 3)
            truth[r] = (struct row_seen) { .accepted = left % 3 ? b((uint64_t)left % 3) : (struct ballot) { 0 },
                                           .digest = { (uint64_t)left % 3, 0 } };
        row_prepare_init(&prepare, &three);
        prepare_rec(&prepare, truth, 0);
    }
}

/* --- Purge. --- */

static void row_purge__needs_every_replica_at_each_step(void **state)
{
    struct row_seen  t = { .accepted = b(4), .flags = ROW_FLAG_TOMBSTONE }, live = { .accepted = b(4) };
    struct row_seen  newer = { .accepted = b(5), .flags = ROW_FLAG_TOMBSTONE }, none = { 0 };
    struct row_purge purge;

    (void)state;
    row_purge_init(&purge, 3, b(4));
    row_purge_saw(&purge, 0, &t);
    row_purge_saw(&purge, 0, &t);
    row_purge_saw(&purge, 1, &t);
    assert_int_equal(purge.fsm.now, ROW_PURGE_LOOKING);
    assert_int_equal(row_purge_saw(&purge, 2, &t), ROW_PURGE_RAISING);
    row_purge_done(&purge, 0);
    row_purge_done(&purge, 2);
    assert_int_equal(row_purge_done(&purge, 2), ROW_PURGE_RAISING);
    assert_int_equal(row_purge_done(&purge, 1), ROW_PURGE_DROPPING);
    for (uint8_t i = 0; i < 3; i++)
        row_purge_done(&purge, i);
    assert_int_equal(purge.fsm.now, ROW_PURGE_DONE);

    const struct row_seen *others[] = { &live, &newer, &none };
    for (int i = 0; i < 3; i++) {
        row_purge_init(&purge, 3, b(4));
        row_purge_saw(&purge, 0, &t);
        assert_int_equal(row_purge_saw(&purge, 1, others[i]), ROW_PURGE_GIVEN_UP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_judge_accept__follows_promise_floor_and_accepted),
        cmocka_unit_test(row_judge_prepare__must_exceed_everything),
        cmocka_unit_test(row_judge_drop__keeps_what_is_newer_promised_or_alive),
        cmocka_unit_test(row_quorum__is_of_both_sets_while_a_partition_moves),
        cmocka_unit_test(row_vote__every_order_of_three_answers),
        cmocka_unit_test(row_vote__random_answers_of_five),
        cmocka_unit_test(row_vote__holders_of_a_write_back_count),
        cmocka_unit_test(row_query__every_order_and_loss_of_three_answers),
        cmocka_unit_test(row_query__one_ballot_with_two_values_is_corruption),
        cmocka_unit_test(row_query__duplicate_answer_counts_once),
        cmocka_unit_test(row_query__agreement_ends_when_a_replica_moves_on),
        cmocka_unit_test(row_prepare__every_order_of_three_answers),
        cmocka_unit_test(row_purge__needs_every_replica_at_each_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
