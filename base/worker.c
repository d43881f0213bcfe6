/* base/worker.c - worker threads, woken one by one.
 *
 * An idle worker waits on a semaphore of its own; the one that went idle last is
 * taken first, for its cache and stack are warm, and is handed the job directly.
 * The pool's lock is a leaf, held for a few instructions. */
#include "base/worker.h"

#include <assert.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKER_STACK_BYTES = 1024 * 1024 };

struct worker {
    struct worker_pool *pool;
    struct worker      *idle_next;
    struct worker_job  *job;      /* What it was woken for; NULL: to end. */
    sem_t               wake;
    pthread_t           thread;
};

struct worker_pool {
    struct worker_done *done;
    char                name[12];
    uint32_t            threads, threads_max;
    pthread_mutex_t     lock;     /* Of what follows. */
    struct worker_job  *first, *last;
    struct worker      *idle;
    bool                ending;
    struct worker       worker[];
};

/* --- Done jobs --- */

static void done_push(struct worker_done *done, struct worker_job *job)
{
    struct worker_job *first = atomic_load_explicit(&done->first, memory_order_relaxed);

    do
        job->next = first;
    while (!atomic_compare_exchange_weak(&done->first, &first, job));
    /* The loop sets 'asleep' before its last look at the list: either it sees this
     * job, or this thread sees it asleep. */
    if (atomic_load(&done->asleep) && atomic_exchange(&done->asleep, false))
        done->wake(done->arg);
}

bool worker_done_take(struct worker_done *done)
{
    struct worker_job *job, *in_order = NULL;

    if (!atomic_load_explicit(&done->first, memory_order_relaxed))
        return false;
    job = atomic_exchange(&done->first, NULL);
    while (job) {
        struct worker_job *next = job->next;
        job->next = in_order;
        in_order = job;
        job = next;
    }
    while (in_order) {
        job = in_order;
        in_order = job->next;
        job->done(job);   /* Its memory may be gone now. */
    }
    return true;
}

bool worker_done_sleep(struct worker_done *done)
{
    atomic_store(&done->asleep, true);
    if (!atomic_load(&done->first))
        return true;
    atomic_store(&done->asleep, false);
    return false;
}

void worker_done_awake(struct worker_done *done)
{
    atomic_store_explicit(&done->asleep, false, memory_order_relaxed);
}

/* --- Workers --- */

/* The next job, after waiting; NULL when the pool ends. */
static struct worker_job *worker_next(struct worker *worker)
{
    struct worker_pool *pool = worker->pool;

    pthread_mutex_lock(&pool->lock);
    struct worker_job *job = pool->first;
    if (job) {
        pool->first = job->next;
        if (!pool->first)
            pool->last = NULL;
    } else if (!pool->ending) {
        worker->job = NULL;
        worker->idle_next = pool->idle;
        pool->idle = worker;
        pthread_mutex_unlock(&pool->lock);
        while (sem_wait(&worker->wake) != 0) { }   /* EINTR. */
        return worker->job;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *worker_main(void *arg)
{
    struct worker     *worker = arg;
    struct worker_job *job;
    char               name[16];

    snprintf(name, sizeof name, "%s-%u", worker->pool->name, (unsigned)(worker - worker->pool->worker) % 1000);
    pthread_setname_np(pthread_self(), name);
    while ((job = worker_next(worker))) {
        job->fn(job->arg);
        done_push(worker->pool->done, job);
    }
    return NULL;
}

static int worker_start(struct worker_pool *pool)
{
    struct worker *worker = &pool->worker[pool->threads];
    pthread_attr_t attr;
    sigset_t       all, before;

    worker->pool = pool;
    if (sem_init(&worker->wake, 0, 0) != 0)
        return -errno;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
    /* Signals are the loop thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&worker->thread, &attr, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        sem_destroy(&worker->wake);
        return -rc;
    }
    pool->threads++;
    return 0;
}

struct worker_pool *worker_pool_new(const char *name, uint32_t threads_max, struct worker_done *done)
{
    if (threads_max > WORKER_THREADS_MAX)
        threads_max = WORKER_THREADS_MAX;
    struct worker_pool *pool = calloc(1, sizeof *pool + threads_max * sizeof pool->worker[0]);
    if (!pool)
        return NULL;
    pool->done = done;
    pool->threads_max = threads_max;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

struct worker_pool *worker_pool_free(struct worker_pool *pool)
{
    if (!pool)
        return NULL;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    while (pool->idle) {
        struct worker *worker = pool->idle;
        pool->idle = worker->idle_next;
        sem_post(&worker->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->threads; i++) {
        pthread_join(pool->worker[i].thread, NULL);
        sem_destroy(&pool->worker[i].wake);
    }
    assert(!pool->first);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
    return NULL;
}

int worker_pool_submit(struct worker_pool *pool, struct worker_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    struct worker *worker = pool->idle;
    if (worker) {
        pool->idle = worker->idle_next;
        worker->job = job;
        pthread_mutex_unlock(&pool->lock);
        sem_post(&worker->wake);
        return 0;
    }
    pthread_mutex_unlock(&pool->lock);

    /* All are busy: one more thread, if there may be one. With at least one the
     * job gets its turn even when this fails. */
    if (pool->threads < pool->threads_max) {
        int rc = worker_start(pool);
        if (rc != 0 && pool->threads == 0)
            return -EAGAIN;
    }
    pthread_mutex_lock(&pool->lock);
    worker = pool->idle;   /* One may have gone idle meanwhile, and would not look again. */
    if (worker) {
        pool->idle = worker->idle_next;
        worker->job = job;
    } else {
        if (pool->last)
            pool->last->next = job;
        else
            pool->first = job;
        pool->last = job;
    }
    pthread_mutex_unlock(&pool->lock);
    if (worker)
        sem_post(&worker->wake);
    return 0;
}
