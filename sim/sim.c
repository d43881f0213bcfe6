/* sim/sim.c - virtual time and events. */
#include "sim/sim.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct sim_event {
    int64_t  when;
    uint64_t order;
    void   (*fn)(void *arg);
    void    *arg;
};

static int64_t sim_clock(void *arg)
{
    return ((struct sim *)arg)->now;
}

void sim_init(struct sim *sim, uint64_t seed)
{
    *sim = (struct sim) { .now = NS_PER_S };
    rng_init(&sim->rng, seed, 1);
    sim->sched = sched_new(sim_clock, sim);
    assert(sim->sched);
}

void sim_done(struct sim *sim)
{
    sim->sched = sched_free(sim->sched);
    free(sim->heap);
    sim->heap = NULL;
}

/* --- Events: a binary heap; equal times in the order of their making. --- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->when != b->when ? a->when < b->when : a->order < b->order;
}

void sim_after(struct sim *sim, int64_t delay_ns, void (*fn)(void *arg), void *arg)
{
    struct sim_event event = { sim->now + delay_ns, sim->order++, fn, arg };
    uint32_t         at = sim->heap_count;

    if (at == sim->heap_capacity) {
        sim->heap_capacity = at ? at * 2 : 256;
        sim->heap = realloc(sim->heap, sim->heap_capacity * sizeof *sim->heap);
        assert(sim->heap);
    }
    sim->heap_count++;
    while (at > 0 && before(&event, &sim->heap[(at - 1) / 2])) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->heap[at] = event;
}

static struct sim_event event_pop(struct sim *sim)
{
    struct sim_event top = sim->heap[0], last = sim->heap[--sim->heap_count];
    uint32_t         at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= sim->heap_count)
            break;
        if (child + 1 < sim->heap_count && before(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!before(&sim->heap[child], &last))
            break;
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    if (sim->heap_count > 0)
        sim->heap[at] = last;
    return top;
}

static bool run(struct sim *sim, const bool *done, int64_t when)
{
    while (!sim_failed(sim) && !(done && *done)) {
        int64_t next = sched_run_some(sim->sched, SIM_SWITCHES_MAX);

        if (sched_ready(sim->sched)) {
            sim_fail(sim, "livelock: tasks run on and on at one moment");
            break;
        }
        if (done && *done)
            break;
        if (sim->heap_count > 0 && sim->heap[0].when < next)
            next = sim->heap[0].when;
        if (next > when) {
            sim->now = when > sim->now ? when : sim->now;
            break;
        }
        if (next > sim->now)
            sim->now = next;
        if (sim->heap_count > 0 && sim->heap[0].when <= sim->now) {
            struct sim_event event = event_pop(sim);

            event.fn(event.arg);
        }
    }
    return done && *done;
}

void sim_run_until(struct sim *sim, int64_t when)
{
    run(sim, NULL, when);
}

bool sim_run_while(struct sim *sim, const bool *done, int64_t when)
{
    return run(sim, done, when);
}

static void unpark(void *arg)
{
    task_unpark(arg);
}

void sim_pause(struct sim *sim, int64_t delay_ns)
{
    sim_after(sim, delay_ns, unpark, task_self());
    task_park_shielded();
}

/* --- Trace and failure --- */

void sim_trace(struct sim *sim, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t mixed[5] = { sim->trace, (uint64_t)sim->now, a, b, c };

    sim->trace = XXH3_64bits_withSeed(mixed, sizeof mixed, XXH3_64bits(what, strlen(what)));
    sim->steps++;
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list args;

    if (sim_failed(sim))
        return;
    va_start(args, format);
    vsnprintf(sim->failure, sizeof sim->failure, format, args);
    va_end(args);
    if (sim->verbose)
        fprintf(stderr, "%12.6f FAILED %s\n", (double)sim->now / 1e9, sim->failure);
}

void sim_note(struct sim *sim, const char *format, ...)
{
    va_list args;

    if (!sim->verbose)
        return;
    fprintf(stderr, "%12.6f ", (double)sim->now / 1e9);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}
