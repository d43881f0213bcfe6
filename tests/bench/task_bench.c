/* tests/bench/task_bench.c - what a switch and a spawn cost. Not a test: prints nanoseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/task.h"

enum { ROUNDS = 2000000 };

static int64_t clock_ns(void *arg)
{
    struct timespec ts;
    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void yielder(void *arg)
{
    for (uint32_t i = *(uint32_t *)arg; i > 0; i--)
        task_yield();
}

static void nothing(void *arg)
{
    ++*(uint32_t *)arg;
}

static void spawner(void *arg)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (task_spawn(NULL, NULL, "nothing", nothing, &done) != 0)
            abort();
        task_yield();
    }
    (void)arg;
}

static void sleeper(void *arg)
{
    for (uint32_t i = *(uint32_t *)arg; i > 0; i--)
        task_sleep(1);
}

static void waker(void *arg)
{
    struct waitq *q = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        waitq_wake_one(&q[0]);
        waitq_wait(&q[1], INT64_MAX - 1);
    }
    waitq_wake_one(&q[0]);
}

static void woken(void *arg)
{
    struct waitq *q = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        waitq_wait(&q[0], INT64_MAX - 1);
        waitq_wake_one(&q[1]);
    }
}

static void run(const char *what, double operations, struct sched *sched)
{
    int64_t start = clock_ns(NULL);
    while (sched_tasks(sched) > 0)
        sched_run(sched);
    printf("%-44s %7.1f ns\n", what, (double)(clock_ns(NULL) - start) / operations);
}

int main(void)
{
    struct sched     *sched = sched_new(clock_ns, NULL);
    struct task_group group;
    uint32_t          rounds = ROUNDS, few = ROUNDS / 1000, one = 1;
    struct waitq      q[2] = { 0 };

    task_group_init(&group, sched);
    task_spawn(sched, &group, "yield", yielder, &rounds);
    run("yield, 1 task (there and back)", ROUNDS, sched);
    for (int i = 0; i < 1000; i++)
        task_spawn(sched, &group, "yield", yielder, &few);
    run("yield, 1000 tasks", ROUNDS, sched);
    task_spawn(sched, &group, "spawn", spawner, NULL);
    run("spawn, run, exit, pooled (and a yield)", ROUNDS, sched);
    task_spawn(sched, &group, "woken", woken, q);
    task_spawn(sched, &group, "waker", waker, q);
    run("wake and wait with deadline, a pair", ROUNDS, sched);
    task_spawn(sched, &group, "sleep", sleeper, &rounds);
    run("sleep 1 ns", ROUNDS, sched);
    for (int i = 0; i < 10000; i++)
        task_spawn(sched, &group, "once", yielder, &one);
    run("spawn, run, exit, unpooled", 10000, sched);
    sched_free(sched);
    return 0;
}
