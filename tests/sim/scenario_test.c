/* tests/sim/scenario_test.c - a few seeds of every scenario, and that a seed is a
 * run: the same trace twice. `ringstack sim --count N` explores. */
#include "sim/scenario.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "tests/lib/test.h"

enum { SEEDS = 6 };

static void drop_line(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    (void)level;
    (void)line;
}

static void scenario__few_seeds_of_each_pass(void **state)
{
    struct sim_result result;

    (void)state;
    for (uint32_t s = 0; s < scenarios_count; s++) {
        uint64_t ok = 0;

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            scenario_run(&scenarios[s], seed, scenarios[s].steps, false, &result);
            if (result.failed)
                fail_msg("%s\n  replay: ringstack sim --scenario %s --seed %llu --verbose", result.failure,
                         scenarios[s].name, (unsigned long long)seed);
            ok += result.ok;
        }
        /* Refusing all is no success; a step of the S3 scenarios is many calls, of which one counts. */
        uint64_t wanted = scenarios[s].steps * SEEDS / (strncmp(scenarios[s].name, "s3-", 3) == 0 ? 12 : 4);
        assert_true(ok > wanted);
    }
}

static void scenario__same_seed_same_trace(void **state)
{
    struct sim_result first, second, other;

    (void)state;
    for (uint32_t s = 0; s < scenarios_count; s++) {
        scenario_run(&scenarios[s], 77, 60, false, &first);
        scenario_run(&scenarios[s], 77, 60, false, &second);
        scenario_run(&scenarios[s], 78, 60, false, &other);
        assert_true(first.trace == second.trace);
        assert_int_equal(first.frames, second.frames);
        assert_true(first.trace != other.trace);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenario__few_seeds_of_each_pass),
        cmocka_unit_test(scenario__same_seed_same_trace),
    };

    log_set_sink(drop_line, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
