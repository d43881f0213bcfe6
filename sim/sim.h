/* sim/sim.h - the simulated world: virtual time, events, one seeded source of
 * chance, and a trace whose hash tells two runs apart.
 *
 * Everything runs on one thread. Time moves only when no task can run. The same
 * seed and options give the same run: nothing here (or in the code under test)
 * may depend on addresses, the real clock or uninitialised memory. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/env.h"
#include "base/rng.h"

enum {
    SIM_SWITCHES_MAX = 2000000   /* Task switches at one moment; more: a livelock, the run fails. */
};

struct sim_event;

struct sim {
    struct sched     *sched;
    int64_t           now;        /* Virtual, ns. */
    struct rng        rng;        /* The world's: faults, network, disks. */
    uint64_t          trace;      /* Hash of all that happened. */
    uint64_t          steps;      /* Events and things traced so far. */
    bool              verbose;    /* Traced notes also go to stderr. */
    char              failure[512];   /* The first one; "" while all is well. */
    struct sim_event *heap;
    uint32_t          heap_count, heap_capacity;
    uint64_t          order;
};

void sim_init(struct sim *sim, uint64_t seed);
void sim_done(struct sim *sim);   /* No task may be left. Events that are left are dropped. */

/* Calls fn(arg) outside of tasks at now + delay (or at once after, in order). */
void sim_after(struct sim *sim, int64_t delay_ns, void (*fn)(void *arg), void *arg);
/* Runs tasks and events until the time has come or the run failed. */
void sim_run_until(struct sim *sim, int64_t when);
/* Until 'done' is set, at most until 'when'; was it set? */
bool sim_run_while(struct sim *sim, const bool *done, int64_t when);
/* Suspends the running task for 'delay_ns', whatever happens to it. */
WAITS void sim_pause(struct sim *sim, int64_t delay_ns);

/* Adds to the trace. */
void sim_trace(struct sim *sim, const char *what, uint64_t a, uint64_t b, uint64_t c);
/* The run failed: keeps the first reason. */
void sim_fail(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);
static inline bool sim_failed(const struct sim *sim) { return sim->failure[0] != 0; }
void sim_note(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);   /* When verbose. */

#endif
