/* base/task_private.h - what task.c lends to task_sync.c. Nobody else includes this. */
#ifndef BASE_TASK_PRIVATE_H
#define BASE_TASK_PRIVATE_H

#include "base/task.h"

/* A waiter in a queue; lives on its task's stack. */
struct task_wait {
    struct task_wait *next, *prev;
    struct task      *task;
    bool              woken;    /* It left the queue by a waker's hand: 'result' holds. */
    int               result;
    uint64_t          amount;   /* credit: what it asks for. */
    void             *item;     /* channel: what it sends or was given. */
};

/* Queues 'wait' and suspends. Its result when woken; else -ETIMEDOUT or
 * -ECANCELED, and it is out of the queue. */
WAITS int task_wait_in(struct waitq *q, struct task_wait *wait, int64_t deadline);
WAITS void task_wait_in_shielded(struct waitq *q, struct task_wait *wait);
/* Takes a waiter out of the queue and makes its task runnable. */
void task_wait_wake(struct waitq *q, struct task_wait *wait, int result);

#endif
