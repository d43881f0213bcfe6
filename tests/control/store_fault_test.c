/* tests/control/store_fault_test.c - the embedded store when its disk fails, its callers go, or too much is asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_kernel.h"
#include "base/log.h"
#include "control/store.h"
#include "storage/kv.h"
#include "tests/lib/test.h"

struct fixture {
    struct env        *env;
    char               dir[64];
    struct control    *control;
    struct kv_backend  backend;   /* kv_rocks with faults. */
    struct arena       arena;
};

static bool write_fails, flush_fails;

WAITS static int faulty_write(struct kv *kv, struct kv_batch *batch)
{
    return write_fails ? -EIO : kv_rocks.write(kv, batch);
}

WAITS static int faulty_flush(struct kv *kv)
{
    return flush_fails ? -EIO : kv_rocks.flush(kv);
}

static void open_store(struct fixture *f)
{
    struct error err = { 0 };

    write_fails = flush_fails = false;
    f->backend = kv_rocks;
    f->backend.write = faulty_write;
    f->backend.flush = faulty_flush;
    if (control_open_embedded(f->env, f->dir, &f->backend, &f->control, &err))
        fail_msg("open: %s", err.text);
}

struct run {
    void (*fn)(struct fixture *f);
};

static void run_task(struct env *env, void *arg)
{
    struct fixture f = { .env = env };
    char           command[128];

    snprintf(f.dir, sizeof f.dir, "/tmp/control_fault.XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    arena_init(&f.arena, 16 * 1024 * 1024);
    open_store(&f);
    ((struct run *)arg)->fn(&f);
    control_close(f.control);
    arena_done(&f.arena);
    snprintf(command, sizeof command, "rm -rf %s", f.dir);
    assert_int_equal(system(command), 0);
}

static void run_in_loop(void **state)
{
    assert_int_equal(kernel_main(&(struct kernel_options) { .cpu_threads = 1, .io_threads = 2 }, run_task, *state), 0);
}

static int put(struct fixture *f, const char *key)
{
    return control_put(f->control, slice_str(key), SLICE("value"), NULL);
}

static int get(struct fixture *f, const char *key)
{
    struct control_entry entry;
    return control_get(f->control, slice_str(key), &f->arena, &entry);
}

static void disk__failed_apply_is_unsure_and_final(struct fixture *f)
{
    struct control_watch *watch;
    struct control_change change;

    assert_int_equal(put(f, "before"), 0);
    assert_int_equal(control_watch(f->control, SLICE(""), 1, &watch), 0);
    write_fails = true;
    assert_int_equal(put(f, "during"), -E_UNSURE);   /* It is in the journal. */
    write_fails = false;
    assert_int_equal(put(f, "after"), -E_DEVICE);
    assert_int_equal(get(f, "before"), 0);           /* Reads go on, and show no more than was answered. */
    assert_int_equal(get(f, "during"), -ENOENT);
    assert_int_equal(control_watch_next(watch, env_now(f->env), &change), -ETIMEDOUT);
    control_watch_free(watch);
    control_close(f->control);
    open_store(f);
    assert_int_equal(get(f, "during"), 0);
    assert_int_equal(get(f, "after"), -ENOENT);
    assert_int_equal(put(f, "after"), 0);
}

static void disk__failed_flush_loses_nothing(struct fixture *f)
{
    uint8_t *big = calloc(1, CONTROL_VALUE_MAX);
    char     key[16];
    int      done = 0, rc = 0;

    flush_fails = true;
    for (; rc == 0 && done < 100; done += rc == 0) {
        snprintf(key, sizeof key, "k%d", done);
        rc = control_put(f->control, slice_str(key), slice_of(big, CONTROL_VALUE_MAX), NULL);
    }
    free(big);
    assert_int_equal(rc, -E_DEVICE);   /* When the journal wanted to be trimmed. */
    assert_in_range(done, 1, 99);
    control_close(f->control);
    open_store(f);
    for (int i = 0; i < done; i++) {
        snprintf(key, sizeof key, "k%d", i);
        arena_reset(&f->arena);
        assert_int_equal(get(f, key), 0);
    }
}

struct putter {
    struct fixture    *f;
    struct wait_group *wg;
    struct task       *task;
    int                rc;
    uint32_t           number, rounds;
};

static void put_run(void *arg)
{
    struct putter *p = arg;
    char           key[32];

    p->task = task_self();
    for (uint32_t i = 0; i < (p->rounds ? p->rounds : 1); i++) {
        snprintf(key, sizeof key, "p/%u/%u", p->number, i);
        p->rc = put(p->f, key);
    }
    p->task = NULL;
    wait_group_done(p->wg);
}

static void caller__cancelled_is_unsure_and_harms_nobody(struct fixture *f)
{
    struct wait_group wg = { 0 };
    struct putter     p = { .f = f, .wg = &wg };

    wait_group_add(&wg, 1);
    assert_int_equal(env_spawn(f->env, "put", put_run, &p), 0);
    while (p.task == NULL)
        task_yield();
    task_cancel(p.task);
    assert_int_equal(wait_group_wait(&wg, TASK_FOREVER), 0);
    assert_int_equal(p.rc, -E_UNSURE);
    assert_int_equal(put(f, "next"), 0);
    assert_int_equal(get(f, "p/0/0"), 0);   /* It was done all the same. */
}

static void limits__queue_refuses_past_its_end(struct fixture *f)
{
    enum { TASKS = CONTROL_QUEUE_MAX + 200 };
    struct putter    *p = calloc(TASKS, sizeof *p);
    struct wait_group wg = { 0 };
    uint32_t          done = 0, refused = 0;

    wait_group_add(&wg, TASKS);
    for (uint32_t i = 0; i < TASKS; i++) {
        p[i] = (struct putter) { .f = f, .wg = &wg, .number = i };
        assert_int_equal(env_spawn(f->env, "put", put_run, &p[i]), 0);
    }
    assert_int_equal(wait_group_wait(&wg, TASK_FOREVER), 0);
    for (uint32_t i = 0; i < TASKS; i++) {
        done += p[i].rc == 0;
        refused += p[i].rc == -E_OVERLOAD;
    }
    free(p);
    assert_int_equal(done + refused, TASKS);
    assert_in_range(refused, 1, 200);
}

static void limits__watches(struct fixture *f)
{
    struct control_watch **w = calloc(CONTROL_WATCHES_MAX + 1, sizeof *w);

    for (int i = 0; i < CONTROL_WATCHES_MAX; i++)
        assert_int_equal(control_watch(f->control, SLICE("w"), 0, &w[i]), 0);
    assert_int_equal(control_watch(f->control, SLICE("w"), 0, &w[CONTROL_WATCHES_MAX]), -E_LIMIT);
    control_watch_free(w[7]);
    assert_int_equal(control_watch(f->control, SLICE("w"), 0, &w[7]), 0);
    for (int i = 0; i < CONTROL_WATCHES_MAX; i++)
        control_watch_free(w[i]);
    free(w);
}

static void limits__history_is_counted(struct fixture *f)
{
    enum { TASKS = 64, ROUNDS = CONTROL_HISTORY_MAX / TASKS + 2 };
    struct putter         p[TASKS];
    struct wait_group     wg = { 0 };
    struct control_watch *watch;
    struct control_change change;
    uint64_t              revision = TASKS * ROUNDS;

    int64_t start = env_now(f->env);
    wait_group_add(&wg, TASKS);
    for (uint32_t i = 0; i < TASKS; i++) {
        p[i] = (struct putter) { .f = f, .wg = &wg, .number = i, .rounds = ROUNDS };
        assert_int_equal(env_spawn(f->env, "put", put_run, &p[i]), 0);
    }
    assert_int_equal(wait_group_wait(&wg, TASK_FOREVER), 0);
    print_message("%d transactions of 64 tasks in %lld ms\n", TASKS * ROUNDS,
                  (long long)((env_now(f->env) - start) / NS_PER_MS));
    for (int again = 0; again < 2; again++) {
        assert_int_equal(control_watch(f->control, SLICE(""), revision - CONTROL_HISTORY_MAX - 1, &watch), 0);
        assert_int_equal(control_watch_next(watch, TASK_FOREVER, &change), -E_COMPACTED);
        control_watch_free(watch);
        assert_int_equal(control_watch(f->control, SLICE(""), revision - CONTROL_HISTORY_MAX, &watch), 0);
        for (uint32_t i = 0; i < CONTROL_HISTORY_MAX; i++) {
            assert_int_equal(control_watch_next(watch, TASK_FOREVER, &change), 0);
            assert_int_equal(change.revision, revision - CONTROL_HISTORY_MAX + 1 + i);
        }
        assert_int_equal(control_watch_next(watch, 0, &change), -ETIMEDOUT);
        control_watch_free(watch);
        control_close(f->control);
        open_store(f);
    }
}

#define TEST(test) { #test, run_in_loop, NULL, NULL, &(struct run) { test } }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(disk__failed_apply_is_unsure_and_final),
        TEST(disk__failed_flush_loses_nothing),
        TEST(caller__cancelled_is_unsure_and_harms_nobody),
        TEST(limits__queue_refuses_past_its_end),
        TEST(limits__watches),
        TEST(limits__history_is_counted),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
