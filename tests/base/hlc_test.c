/* tests/base/hlc_test.c - the hybrid clock, on a wall clock moved by hand; and state machines. */
#include "base/hlc.h"

#include "base/fsm.h"
#include "tests/lib/test.h"

static int64_t wall;

static int64_t wall_now(struct env *env)
{
    (void)env;
    return wall;
}
static const struct env_ops ops = { .wall = wall_now };

static void hlc__never_runs_backwards(void **state)
{
    struct env env = { .ops = &ops };
    struct hlc hlc;
    uint64_t   last = 0;

    (void)state;
    hlc_init(&hlc, &env);
    wall = 1000 * NS_PER_S;
    for (int i = 0; i < 200000; i++) {
        uint64_t v = hlc_next(&hlc);

        assert_true(v > last);
        last = v;
        if (i == 100)
            wall -= 500 * NS_PER_S;
    }
    wall = 2000 * NS_PER_S;
    assert_true(hlc_next(&hlc) == hlc_of_ms(2000000));
}

static void hlc__follows_others_but_not_wild_ones(void **state)
{
    struct env env = { .ops = &ops };
    struct hlc hlc;
    uint64_t   ahead;

    (void)state;
    hlc_init(&hlc, &env);
    wall = 1000 * NS_PER_S;
    ahead = hlc_of_ms(1000000 + HLC_AHEAD_MAX_MS);
    assert_int_equal(hlc_observe(&hlc, ahead), 0);
    assert_true(hlc_next(&hlc) == ahead + 1);
    assert_int_equal(hlc_observe(&hlc, hlc_of_ms(1000001 + HLC_AHEAD_MAX_MS)), -E_FENCED);
    assert_true(hlc_next(&hlc) == ahead + 2);
    assert_int_equal(hlc_observe(&hlc, 5), 0);
    wall = -1;
    assert_true(hlc_next(&hlc) == ahead + 3);
}

static void fsm__legal_moves(void **state)
{
    static const struct fsm_state states[] = { { "a", FSM_TO(1) }, { "b", 0 } };
    struct fsm fsm;

    (void)state;
    fsm_init(&fsm, states, 0);
    assert_string_equal(fsm_name(&fsm), "a");
    assert_int_equal(fsm_move(&fsm, 1), 1);
    assert_string_equal(fsm_name(&fsm), "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hlc__never_runs_backwards),
        cmocka_unit_test(hlc__follows_others_but_not_wild_ones),
        cmocka_unit_test(fsm__legal_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
