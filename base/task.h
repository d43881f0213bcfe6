/* base/task.h - stackful tasks on one scheduler, and what they wait for.
 *
 * A scheduler ('struct sched') belongs to one thread. Its tasks switch only
 * where a WAITS function is called, so plain code between two waits is atomic
 * with respect to the other tasks. Everything here is called on that thread,
 * from a task unless said otherwise; the exceptions are the calls of the loop
 * that drives the scheduler.
 *
 * Deadlines are absolute, in nanoseconds of the scheduler's clock (env_now());
 * TASK_FOREVER waits without one. Every wait returns 0, -ETIMEDOUT or
 * -ECANCELED (the task was cancelled; every later wait of it fails likewise,
 * so that it unwinds).
 *
 * Stacks are mmap()ed with a guard page below, and pooled. With AddressSanitizer
 * switches are announced to it. */
#ifndef BASE_TASK_H
#define BASE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define TASK_FOREVER INT64_MAX

enum {
    TASK_STACK_BYTES = 256 * 1024,   /* Address space; touched pages count. RocksDB runs on it. */
    TASK_POOL_MAX = 256,             /* Idle stacks kept. */
    TASKS_MAX = 24576,               /* Per scheduler; task_spawn() fails with -E_OVERLOAD past it. */
    TASK_TRACE_MAX = 64              /* Bytes of a request id, with its NUL. */
};

struct sched;
struct task;
struct task_group;

typedef void (*task_fn)(void *arg);

/* The clock is monotonic, in ns. */
struct sched *sched_new(int64_t (*now)(void *arg), void *arg);
struct sched *sched_free(struct sched *sched);   /* No task may be left; accepts NULL. */

/* Runs every ready task and expired timer until none is left; returns the
 * next deadline, or TASK_FOREVER. For the loop that drives it, not for tasks. */
int64_t sched_run(struct sched *sched);
/* The same, but returns after about 'switches' resumed tasks, so that a loop
 * gets round to its sockets while tasks keep yielding; ask sched_ready(). */
int64_t sched_run_some(struct sched *sched, uint32_t switches);
uint32_t sched_tasks(const struct sched *sched);   /* Alive now. */
bool sched_ready(const struct sched *sched);       /* Is a task runnable? */
/* Gives stacks back that were idle since the last call; call it every few seconds. */
void sched_trim(struct sched *sched);
/* Lowers TASKS_MAX: for tests, and for simulations that shrink limits. */
void sched_set_tasks_max(struct sched *sched, uint32_t tasks_max);

/* A group names tasks that are cancelled together: those of a node, of a
 * server, of a request. Tasks inherit their spawner's group and trace id. The
 * group must outlive its tasks. */
struct task_group {
    struct sched *sched;
    struct task  *first;     /* Intrusive list; owned by task.c. */
    uint32_t      count;
    bool          cancelled; /* New tasks of a cancelled group are refused with -ECANCELED. */
    struct task  *waiter;
};

void task_group_init(struct task_group *group, struct sched *sched);
void task_group_cancel(struct task_group *group);                          /* From anywhere on the thread. */
/* Until its count is 0. One waiter a group; it is not a member. */
WAITS int task_group_wait(struct task_group *group, int64_t deadline);
/* Cancels the group and waits until it is empty, even when the caller was
 * cancelled itself: how an owner unwinds whose tasks use its memory. */
WAITS void task_group_close(struct task_group *group);

/* Spawns into the given group (NULL: the caller's; from outside a task a group
 * is required). Runs later, not at once. -E_OVERLOAD, -ENOMEM, -ECANCELED. */
int task_spawn(struct sched *sched, struct task_group *group, const char *name, task_fn fn, void *arg);

struct task *task_self(void);              /* NULL outside of tasks. */
const char  *task_name(const struct task *task);
struct sched *task_sched(void);            /* Of the running task. */
const char  *task_trace(void);             /* Request id of the running task; "" if none. */
void         task_set_trace(const char *id);
bool         task_cancelled(void);
void         task_cancel(struct task *task);

/* The primitive. Suspends until task_unpark() or the deadline. An unpark that
 * comes first is remembered (once). Spurious wake-ups do not occur, and an
 * unpark does not end any other kind of wait: it is kept for the next park. */
WAITS int task_park(int64_t deadline);
void      task_unpark(struct task *task);   /* On the scheduler's thread. */
/* As task_park(), but cancellation does not end it: for waits that lend
 * memory to another thread and must see it come back. */
WAITS void task_park_shielded(void);

WAITS int task_yield(void);
WAITS int task_sleep_until(int64_t deadline);   /* 0 at the deadline, or -ECANCELED. */
WAITS int task_sleep(int64_t ns);

/* --- What tasks wait for. All zero-initialisable; none owns memory. Waiters queue
 * in order. What needs no waiting succeeds even for a cancelled task. A waiter that
 * was woken has what it waited for, though its deadline passed meanwhile. --- */

struct waitq {
    struct task_wait *first, *last;
};

/* Parks the caller in 'q' until waitq_wake_*() or the deadline. */
WAITS int waitq_wait(struct waitq *q, int64_t deadline);
bool      waitq_wake_one(struct waitq *q);
void      waitq_wake_all(struct waitq *q);

/* Set once; every waiter passes. */
struct event {
    bool         set;
    struct waitq q;
};
WAITS int event_wait(struct event *event, int64_t deadline);
void      event_set(struct event *event);
void      event_clear(struct event *event);

/* Counts work in flight. */
struct wait_group {
    uint32_t     count;
    struct waitq q;
};
void      wait_group_add(struct wait_group *wg, uint32_t n);
void      wait_group_done(struct wait_group *wg);
WAITS int wait_group_wait(struct wait_group *wg, int64_t deadline);
WAITS void wait_group_wait_shielded(struct wait_group *wg);   /* Not ended by cancellation. */

/* Credit: bytes, slots, requests. 'waiting_max' bounds the queue (0: unbounded
 * is not on offer; it means none may wait). */
struct credit {
    uint64_t     available;
    uint32_t     waiting, waiting_max;
    struct waitq q;
};
void      credit_init(struct credit *credit, uint64_t available, uint32_t waiting_max);
WAITS int credit_take(struct credit *credit, uint64_t n, int64_t deadline);   /* Also -E_OVERLOAD. In order. */
bool      credit_try(struct credit *credit, uint64_t n);
void      credit_give(struct credit *credit, uint64_t n);

/* A bounded queue of pointers; the storage is the caller's. */
struct channel {
    void       **slot;
    uint32_t     size, head, count;
    bool         closed;
    struct waitq readers, writers;
};
void      channel_init(struct channel *ch, void **slot, uint32_t size);
WAITS int channel_send(struct channel *ch, void *item, int64_t deadline);       /* -E_CLOSED after close. */
int       channel_try_send(struct channel *ch, void *item);                     /* -EAGAIN when full. */
WAITS int channel_recv(struct channel *ch, void **ret_item, int64_t deadline);  /* -E_CLOSED when closed and empty. */
void      channel_close(struct channel *ch);

#endif
