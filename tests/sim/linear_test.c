/* tests/sim/linear_test.c - known good and bad histories. */
#include "sim/linear.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tests/lib/test.h"

/* A history as text, one operation a word: KIND VALUE [IF] ':' BEGIN '-' END, e.g.
 * "w1:1-2" write, "r1:3-4" read, "s2/1:5-6" swap, "x2/1:5-6" refused swap; END
 * "?" unknown, "!" never. Value 0 deletes; IF "*" is anything. */
static enum linear_verdict judge(const char *text)
{
    struct history       h;
    struct linear_result result;

    history_init(&h);
    while (*text) {
        struct history_op op = { .key = 0 };
        char             *end;
        char              kind = *text++;

        op.kind = kind == 'r' ? HISTORY_READ : kind == 'w' ? HISTORY_WRITE : HISTORY_SWAP;
        op.outcome = kind == 'x' ? HISTORY_REFUSED : HISTORY_OK;
        op.value = strtoull(text, &end, 10);
        if (*end == '/') {
            op.expected = end[1] == '*' ? HISTORY_ANYTHING : strtoull(end + 1, &end, 10);
            end = strchr(end, ':');
        }
        op.begin = strtoull(end + 1, &end, 10);
        if (end[1] == '?' || end[1] == '!') {
            op.outcome = end[1] == '?' ? HISTORY_OPEN : HISTORY_NEVER;
            end += 2;
        } else {
            op.end = strtoull(end + 1, &end, 10);
        }
        uint32_t i = history_begin(&h, 0, 0, 0, op.kind, 0, 0);
        h.ops[i] = op;
        text = end + strspn(end, " ");
    }
    linear_check(&h, &result);
    history_done(&h);
    return result.verdict;
}

#define GOOD(text) assert_int_equal(judge(text), LINEAR_YES)
#define BAD(text) assert_int_equal(judge(text), LINEAR_NO)

static void check__sequential(void **state)
{
    (void)state;
    GOOD("");
    GOOD("r0:1-2 w1:3-4 r1:5-6 w0:7-8 r0:9-10");
    BAD("r1:1-2");
    BAD("w1:1-2 r0:3-4");
    BAD("w1:1-2 w2:3-4 r1:5-6");
}

static void check__concurrent_writes_may_take_either_order(void **state)
{
    (void)state;
    GOOD("w1:1-4 w2:2-3 r1:5-6");
    GOOD("w1:1-4 w2:2-3 r2:5-6");
    BAD("w1:1-4 w2:2-3 r1:5-6 r2:7-8");
}

static void check__stale_read_after_a_newer_one(void **state)
{
    (void)state;
    GOOD("w1:1-2 w2:3-10 r1:4-5 r2:6-7");
    BAD("w1:1-2 w2:3-10 r2:4-5 r1:6-7");
}

static void check__unknown_write_happens_late_or_never_but_once(void **state)
{
    (void)state;
    GOOD("w1:1-2 w2:3-? r1:4-5 r2:6-7");
    GOOD("w1:1-2 w2:3-? r1:4-5 r1:6-7");
    GOOD("w1:1-2 w2:3-? w3:4-5 r3:6-7 r2:8-9");
    BAD("w1:1-2 w2:3-? r2:4-5 w3:6-7 r3:8-9 r2:10-11");   /* W, X, W for one W. */
}

static void check__refused_write_is_never_seen(void **state)
{
    (void)state;
    GOOD("w1:1-2 w2:3-! r1:4-5");
    BAD("w1:1-2 w2:3-! r2:4-5");
}

static void check__nothing_comes_back_from_the_dead(void **state)
{
    (void)state;
    BAD("w1:1-2 w0:3-4 r0:5-6 r1:7-8");
}

static void check__swaps(void **state)
{
    (void)state;
    GOOD("s1/0:1-2 s2/1:3-4 r2:5-6");
    GOOD("s1/0:1-4 x2/0:2-3");
    BAD("s1/0:1-2 s2/0:3-4");           /* Two winners of If-None-Match. */
    BAD("s1/0:1-4 s2/0:2-3");
    BAD("x1/0:1-2");                    /* Refused although it held. */
    GOOD("w1:1-2 s2/*:3-4 r2:5-6");
    BAD("s2/*:3-4");
    GOOD("s1/0:1-? x2/0:3-4 r1:5-6");   /* The unknown one came first. */
    BAD("s1/0:1-? x2/0:3-4 r0:5-6");
    GOOD("w1:1-2 s3/2:3-? w2:4-5 r3:6-7");   /* An unknown swap waits for its condition. */
}

/* Histories made by running a register are good; with one read's value altered almost all are bad. */
static void check__random_histories(void **state)
{
    struct rng rng;
    uint32_t   bad = 0;

    (void)state;
    rng_init(&rng, 7, 7);
    for (int round = 0; round < 200; round++) {
        struct history       h;
        struct linear_result result;
        uint64_t             now = 0;
        uint32_t             open[4], reads[400], reads_count = 0;
        bool                 busy[4] = { false };

        history_init(&h);
        for (int i = 0; i < 400; i++) {
            uint32_t client = (uint32_t)rng_below(&rng, 4);
            uint64_t seen;

            if (!busy[client]) {
                bool write = rng_chance(&rng, 1, 3);

                open[client] = history_begin(&h, 0, client, 0, write ? HISTORY_WRITE : HISTORY_READ,
                                             write ? history_value(&h) : 0, 0);
                busy[client] = true;
                continue;
            }
            /* It takes effect at its end, or stays unknown. */
            busy[client] = false;
            seen = now;
            if (h.ops[open[client]].kind == HISTORY_WRITE) {
                bool unknown = rng_chance(&rng, 1, 10);

                if (!unknown || rng_chance(&rng, 1, 2))
                    now = h.ops[open[client]].value;
                if (unknown)
                    continue;
            } else {
                reads[reads_count++] = open[client];
            }
            history_end(&h, 0, open[client], HISTORY_OK, seen);
        }
        linear_check(&h, &result);
        assert_int_equal(result.verdict, LINEAR_YES);
        if (reads_count > 0) {
            h.ops[reads[rng_below(&rng, reads_count)]].value = 1 + rng_below(&rng, h.values);
            linear_check(&h, &result);
            bad += result.verdict == LINEAR_NO;
        }
        history_done(&h);
    }
    assert_true(bad > 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check__sequential),
        cmocka_unit_test(check__concurrent_writes_may_take_either_order),
        cmocka_unit_test(check__stale_read_after_a_newer_one),
        cmocka_unit_test(check__unknown_write_happens_late_or_never_but_once),
        cmocka_unit_test(check__refused_write_is_never_seen),
        cmocka_unit_test(check__nothing_comes_back_from_the_dead),
        cmocka_unit_test(check__swaps),
        cmocka_unit_test(check__random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
