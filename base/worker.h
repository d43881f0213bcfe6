/* base/worker.h - pools of threads for jobs that block or compute. Inside base/ only.
 *
 * The loop thread submits; workers run; done jobs come back in batches through
 * 'struct worker_done', whose wake() is called from a worker, and only when the
 * loop said that it is about to sleep. */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { WORKER_THREADS_MAX = 256 };

struct worker_job {
    struct worker_job *next;
    void             (*fn)(void *arg);
    void              *arg;
    void             (*done)(struct worker_job *job);   /* On the loop thread. */
};

/* Done jobs of all pools of a loop. */
struct worker_done {
    _Atomic(struct worker_job *) first;    /* The last finished comes first. */
    _Atomic bool                 asleep;   /* The loop is in, or about to enter, its poll. */
    void                       (*wake)(void *arg);
    void                        *arg;
};

/* Calls done() of the finished jobs, in the order they finished; false: there were none. */
bool worker_done_take(struct worker_done *done);
/* Before the loop sleeps: false when a job finished meanwhile, so that it must not. */
bool worker_done_sleep(struct worker_done *done);
void worker_done_awake(struct worker_done *done);

struct worker_pool;

/* Threads are made when there is work for them. */
struct worker_pool *worker_pool_new(const char *name, uint32_t threads_max, struct worker_done *done);
/* Runs what is queued, then ends the threads. Accepts NULL. */
struct worker_pool *worker_pool_free(struct worker_pool *pool);
/* Queues the job; the caller bounds how many. -EAGAIN: no thread could be made at all. */
int worker_pool_submit(struct worker_pool *pool, struct worker_job *job);

#endif
