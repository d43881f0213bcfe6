/* tests/sim/journal_crash_test.c - the journal on a disk that forgets, killed and
 * cut off at any moment, life after life. What was acknowledged, and what a replay
 * has shown to the index, must be there in every later life.
 *
 * Two findings of the simulator are in here: a replay that came before the sync of
 * what it read, and a segment whose name was used but never synced. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sim/env_sim.h"
#include "storage/journal.h"
#include "tests/lib/test.h"

enum { SEEDS = 400, LIVES = 8, RECORD_MAX = 6000 };

struct story {
    struct sim      sim;
    struct disk    *disk;
    struct env_sim *env;
    uint64_t        certain;    /* Records up to this one must be there. */
    uint64_t        shown;      /* In this life's replay. */
    bool            opened;
};

static WAITS int replay(void *ctx, uint64_t lsn, struct slice record)
{
    struct story *s = ctx;

    assert_int_equal(lsn, s->shown + 1);
    assert_true(record.size >= 8);
    assert_true(get_u64le(record.data) == lsn);
    s->shown = lsn;
    if (lsn > s->certain)
        s->certain = lsn;   /* The index may have it from now on. */
    return task_yield();
}

static void life_task(void *arg)
{
    struct story          *s = arg;
    struct rng            *rng = &s->sim.rng;
    struct journal_options options = { .path = "srv/journal", .segment_bytes = 64 * 1024, .segments = 3 };
    struct journal        *journal;
    struct error           err;
    uint8_t               *bytes = malloc(4 * RECORD_MAX);
    uint64_t               certain = s->certain, lsn;
    int                    rc;

    s->shown = 0;
    env_mkdir(&s->env->env, options.path);
    rc = journal_open(&s->env->env, &options, replay, s, &journal, &err);
    if (rc < 0) {
        if (!s->env->env.dead)
            fail_msg("the journal can't be opened: %s", err.text);
        free(bytes);
        return;
    }
    assert_true(journal_last(journal) >= certain);
    s->opened = true;
    rc = env_sync_dir(&s->env->env, "srv");   /* As the device does before it serves. */
    while (rc == 0) {
        struct slice records[4];
        uint32_t     count = 1 + (uint32_t)rng_below(rng, 4);

        for (uint32_t i = 0; i < count; i++) {
            size_t size = rng_between(rng, 8, RECORD_MAX);

            memset(bytes + i * RECORD_MAX, (int)i, size);
            put_u64le(bytes + i * RECORD_MAX, journal_last(journal) + 1 + i);
            records[i] = slice_of(bytes + i * RECORD_MAX, size);
        }
        rc = journal_append(journal, records, count, &lsn);
        if (rc == 0)
            s->certain = lsn;
    }
    journal_close(journal);
    free(bytes);
}

static void journal__acknowledged_and_replayed_records_stay(void **state)
{
    uint64_t records = 0, opened = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct story s = { .certain = 0 };

        sim_init(&s.sim, seed);
        s.disk = disk_new(rng_fork(&s.sim.rng), 64 * 1024 * 1024);
        disk_mount(s.disk, "srv");
        for (int life = 0; life < LIVES; life++) {
            uint64_t pause_us = rng_chance(&s.sim.rng, 1, 2) ? 100000 : 8000;

            s.env = calloc(1, sizeof *s.env);
            s.opened = false;
            env_sim_init(s.env, &s.sim, s.disk, 1);
            assert_int_equal(env_spawn(&s.env->env, "life", life_task, &s), 0);
            sim_run_until(&s.sim, s.sim.now + (int64_t)rng_below(&s.sim.rng, pause_us) * NS_PER_US);
            env_sim_kill(s.env, rng_chance(&s.sim.rng, 1, 2));
            sim_run_until(&s.sim, s.sim.now + NS_PER_S);
            assert_int_equal(s.env->env.group.count, 0);
            opened += s.opened;
            free(s.env);
        }
        records += s.certain;
        disk_free(s.disk);
        sim_done(&s.sim);
    }
    assert_true(records > SEEDS * 20);
    assert_true(opened > SEEDS * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(journal__acknowledged_and_replayed_records_stay) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
