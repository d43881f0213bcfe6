/* base/task.c - the scheduler: stacks, switching, timers, groups, parking.
 *
 * One switch is scheduler -> task or back, by Boost.Context. Ready tasks are in
 * a first-in first-out list; parked ones with a deadline in a binary heap,
 * ordered by deadline and then by who parked first, so that a run depends on
 * nothing but its inputs.
 *
 *   spawned -> READY <-> RUNNING -> DEAD (its stack goes to the pool)
 *                ^          |
 *                '- PARKED <'
 *
 * A 'struct task' lies at the top of its own stack. */
#include "base/task.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/counter.h"
#include "base/sanitize.h"
#include "base/task_private.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

/* Boost.Context's C interface has no C header. */
typedef struct {
    void *fctx;
    void *data;
} transfer_t;
transfer_t jump_fcontext(void *const to, void *vp);
void      *make_fcontext(void *sp, size_t size, void (*fn)(transfer_t));

GAUGE(process_tasks, "Tasks alive on the scheduler that ran last.");

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102   /* Linux 6.13: a guard that does not split the mapping. */
#endif

enum {
    GUARD_BYTES = 16 * 1024,   /* More than one page: a large frame may step over a small guard. */
    COLORS = 16,               /* Stacks start at differing offsets, for else their hot lines share cache sets. */
    COLOR_BYTES = 192,
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    STACK_BYTES = 4 * TASK_STACK_BYTES,   /* Instrumented frames are larger. */
#else
    STACK_BYTES = TASK_STACK_BYTES,
#endif
    POOL_TRIM_KEEP = 16,       /* Stacks that sched_trim() leaves. */
    ENTRY_BYTES = 16 * 1024    /* More than the frames of task_entry() and switch_out() take. */
};

#define NO_TIMER UINT32_MAX

enum task_state { TASK_READY, TASK_RUNNING, TASK_PARKED, TASK_DEAD };

/* What a task is, or was just, suspended in. */
enum wait_kind {
    WAIT_NONE,    /* Not started, or yielded. */
    WAIT_PARK,    /* task_park(): unpark ends it. */
    WAIT_SHIELD,  /* task_park_shielded(): unpark ends it, cancellation does not. */
    WAIT_QUEUE,   /* A queue or group: its waker ends it. */
    WAIT_QUEUE_SHIELD,
    WAIT_SLEEP
};

struct task {
    struct task       *next;         /* Run queue, or pool. */
    struct sched      *sched;
    void              *context;      /* Where it goes on; valid unless RUNNING. */
    uint8_t            state, kind;
    bool               cancelled;
    bool               unparked;     /* An unpark to be remembered. */
    int                result;       /* Of the wait that just ended. */
    uint32_t           timer;        /* Place in the heap, or NO_TIMER. */
    struct task_group *group;
    struct task       *group_next, *group_prev;   /* A ring: the oldest is group->first. */
    task_fn            fn;
    void              *arg;
    const char        *name;
    uint8_t           *stack;        /* The mapping, guard included. */
#if defined(__SANITIZE_ADDRESS__)
    void *fake_stack;
#endif
#if defined(__SANITIZE_THREAD__)
    void *fiber;
#endif
    char               trace[TASK_TRACE_MAX];
};

struct timer {
    int64_t      deadline;
    uint64_t     order;
    struct task *task;
};

struct sched {
    int64_t (*now)(void *arg);
    void         *now_arg;
    int64_t       now_seen;       /* The clock when the loop last looked. */
    struct task  *ready_first, *ready_last;
    struct task  *running;
    void         *context;        /* Of the loop, while a task runs. */
    struct timer *heap;
    uint32_t      heap_count, heap_capacity;
    uint64_t      timer_order;
    uint32_t      tasks, tasks_max;
    struct task  *pool;           /* Idle stacks, the last used first. */
    uint32_t      pool_count, stacks_made;
    uint32_t      pool_low;       /* Least pool_count since sched_trim(): so many were not needed. */
#if defined(__SANITIZE_ADDRESS__)
    void       *fake_stack;
    const void *loop_stack;
    size_t      loop_stack_size;
#endif
#if defined(__SANITIZE_THREAD__)
    void *fiber;
#endif
};

/* Set while sched_run() is on this thread's stack. */
static _Thread_local struct sched *current;

/* --- Stacks --- */

static struct task *stack_map(struct sched *sched)
{
    uint8_t *p = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (madvise(p, GUARD_BYTES, MADV_GUARD_INSTALL) != 0 && mprotect(p, GUARD_BYTES, PROT_NONE) != 0) {
        munmap(p, STACK_BYTES);
        return NULL;
    }
    size_t       color = (size_t)(sched->stacks_made++ % COLORS) * COLOR_BYTES;
    size_t       below = (STACK_BYTES - color - sizeof(struct task)) & ~(size_t)63;
    struct task *task = (struct task *)(p + below);
    task->stack = p;
    return task;
}

static void stack_unmap(struct task *task)
{
    munmap(task->stack, STACK_BYTES);
}

static struct task *stack_get(struct sched *sched)
{
    struct task *task = sched->pool;

    if (!task)
        return stack_map(sched);
    sched->pool = task->next;
    if (--sched->pool_count < sched->pool_low)
        sched->pool_low = sched->pool_count;
    return task;
}

static void stack_put(struct sched *sched, struct task *task)
{
    if (sched->pool_count >= TASK_POOL_MAX) {
        stack_unmap(task);
        return;
    }
    task->next = sched->pool;
    sched->pool = task;
    sched->pool_count++;
}

void sched_trim(struct sched *sched)
{
    uint32_t      drop = sched->pool_low > POOL_TRIM_KEEP ? sched->pool_low - POOL_TRIM_KEEP : 0;
    struct task **at = &sched->pool;

    /* The ones that were not needed are at the end. */
    for (uint32_t i = sched->pool_count - drop; i > 0; i--)
        at = &(*at)->next;
    while (*at) {
        struct task *task = *at;
        *at = task->next;
        sched->pool_count--;
        stack_unmap(task);
    }
    sched->pool_low = sched->pool_count;
}

/* --- Timers: a binary heap, the next to expire at its top. --- */

static bool timer_before(const struct timer *a, const struct timer *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static void heap_set(struct sched *sched, uint32_t at, struct timer timer)
{
    sched->heap[at] = timer;
    timer.task->timer = at;
}

static void heap_up(struct sched *sched, uint32_t at, struct timer timer)
{
    while (at > 0 && timer_before(&timer, &sched->heap[(at - 1) / 2])) {
        heap_set(sched, at, sched->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(sched, at, timer);
}

static void heap_down(struct sched *sched, uint32_t at, struct timer timer)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= sched->heap_count)
            break;
        if (child + 1 < sched->heap_count && timer_before(&sched->heap[child + 1], &sched->heap[child]))
            child++;
        if (!timer_before(&sched->heap[child], &timer))
            break;
        heap_set(sched, at, sched->heap[child]);
        at = child;
    }
    heap_set(sched, at, timer);
}

static void timer_start(struct sched *sched, struct task *task, int64_t deadline)
{
    assert(task->timer == NO_TIMER && sched->heap_count < sched->heap_capacity);
    heap_up(sched, sched->heap_count++,
            (struct timer) { .deadline = deadline, .order = sched->timer_order++, .task = task });
}

static void timer_stop(struct sched *sched, struct task *task)
{
    uint32_t at = task->timer;

    if (at == NO_TIMER)
        return;
    task->timer = NO_TIMER;
    struct timer last = sched->heap[--sched->heap_count];
    if (last.task == task)
        return;
    if (at > 0 && timer_before(&last, &sched->heap[(at - 1) / 2]))
        heap_up(sched, at, last);
    else
        heap_down(sched, at, last);
}

/* A task has one timer at most, so room for the tasks is room for the timers:
 * made at spawn, where failing is possible. */
static int heap_reserve(struct sched *sched, uint32_t count)
{
    if (count <= sched->heap_capacity)
        return 0;
    uint32_t      capacity = sched->heap_capacity ? 2 * sched->heap_capacity : 64;
    struct timer *heap = realloc(sched->heap, capacity * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    sched->heap = heap;
    sched->heap_capacity = capacity;
    return 0;
}

/* --- Switching --- */

static void ready_push(struct sched *sched, struct task *task)
{
    task->state = TASK_READY;
    task->next = NULL;
    if (sched->ready_last)
        sched->ready_last->next = task;
    else
        sched->ready_first = task;
    sched->ready_last = task;
}

/* From the running task to the loop. */
static void switch_out(struct sched *sched, struct task *task)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(task->state == TASK_DEAD ? NULL : &task->fake_stack, sched->loop_stack,
                                   sched->loop_stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(sched->fiber, 0);
#endif
    transfer_t from = jump_fcontext(sched->context, NULL);
    sched->context = from.fctx;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(task->fake_stack, &sched->loop_stack, &sched->loop_stack_size);
#endif
    (void)task;
}

/* From the loop into a task, until that waits or ends. */
static void switch_in(struct sched *sched, struct task *task)
{
    task->state = TASK_RUNNING;
    sched->running = task;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&sched->fake_stack, task->stack, STACK_BYTES);
#endif
#if defined(__SANITIZE_THREAD__)
    sched->fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(task->fiber, 0);
#endif
    transfer_t from = jump_fcontext(task->context, task);
    task->context = from.fctx;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(sched->fake_stack, NULL, NULL);
#endif
    sched->running = NULL;
}

static void task_entry(transfer_t from)
{
    struct task  *task = from.data;
    struct sched *sched = task->sched;

    sched->context = from.fctx;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &sched->loop_stack, &sched->loop_stack_size);
#endif
    task->fn(task->arg);
    task->state = TASK_DEAD;
    switch_out(sched, task);
    abort();   /* The dead are not resumed. */
}

/* Makes a parked task runnable. */
static void wake(struct task *task, int result)
{
    timer_stop(task->sched, task);
    task->result = result;
    ready_push(task->sched, task);
}

/* Suspends the running task, which is not cancelled unless shielded. */
static int suspend(struct task *task, enum wait_kind kind, int64_t deadline)
{
    struct sched *sched = task->sched;

    if (deadline != TASK_FOREVER) {
        if (deadline <= sched->now_seen)
            return -ETIMEDOUT;
        timer_start(sched, task, deadline);
    }
    task->state = TASK_PARKED;
    task->kind = (uint8_t)kind;
    switch_out(sched, task);
    task->kind = WAIT_NONE;
    return task->result;
}

static void task_end(struct sched *sched, struct task *task)
{
    struct task_group *group = task->group;

    assert(task->timer == NO_TIMER);
    if (task->group_next == task) {
        group->first = NULL;
    } else {
        task->group_next->group_prev = task->group_prev;
        task->group_prev->group_next = task->group_next;
        if (group->first == task)
            group->first = task->group_next;
    }
    group->count--;
    sched->tasks--;
    if (group->count == 0 && group->waiter && group->waiter->state == TASK_PARKED)
        wake(group->waiter, 0);
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(task->fiber);
#endif
#if defined(__SANITIZE_ADDRESS__)
    /* Frames that ended took their marks away; those of task_entry() never end. */
    __asan_unpoison_memory_region((uint8_t *)task - ENTRY_BYTES, ENTRY_BYTES);
#endif
    stack_put(sched, task);
}

/* --- The scheduler --- */

struct sched *sched_new(int64_t (*now)(void *arg), void *arg)
{
    struct sched *sched = calloc(1, sizeof *sched);

    if (!sched)
        return NULL;
    sched->now = now;
    sched->now_arg = arg;
    sched->now_seen = now(arg);
    sched->tasks_max = TASKS_MAX;
    return sched;
}

struct sched *sched_free(struct sched *sched)
{
    if (!sched)
        return NULL;
    assert(sched->tasks == 0 && current != sched);
    while (sched->pool) {
        struct task *task = sched->pool;
        sched->pool = task->next;
        stack_unmap(task);
    }
    free(sched->heap);
    free(sched);
    return NULL;
}

void sched_set_tasks_max(struct sched *sched, uint32_t tasks_max)
{
    sched->tasks_max = tasks_max < TASKS_MAX ? tasks_max : TASKS_MAX;
}

static void timers_expire(struct sched *sched)
{
    if (sched->heap_count == 0)
        return;   /* The clock is looked at when somebody needs it. */
    sched->now_seen = sched->now(sched->now_arg);
    while (sched->heap_count > 0 && sched->heap[0].deadline <= sched->now_seen)
        wake(sched->heap[0].task, -ETIMEDOUT);
}

int64_t sched_run_some(struct sched *sched, uint32_t switches)
{
    assert(!current);
    current = sched;
    sched->now_seen = sched->now(sched->now_arg);
    timers_expire(sched);
    while (sched->ready_first && switches > 0) {
        struct task *task = sched->ready_first;
        sched->ready_first = task->next;
        if (!sched->ready_first)
            sched->ready_last = NULL;
        switch_in(sched, task);
        if (task->state == TASK_DEAD)
            task_end(sched, task);
        if (switches != UINT32_MAX)
            switches--;
        if (!sched->ready_first)
            timers_expire(sched);
    }
    current = NULL;
    gauge_set(process_tasks, sched->tasks);
    return sched->heap_count > 0 ? sched->heap[0].deadline : TASK_FOREVER;
}

int64_t sched_run(struct sched *sched)
{
    return sched_run_some(sched, UINT32_MAX);
}

uint32_t sched_tasks(const struct sched *sched)
{
    return sched->tasks;
}

bool sched_ready(const struct sched *sched)
{
    return sched->ready_first != NULL;
}

/* --- Groups and tasks --- */

void task_group_init(struct task_group *group, struct sched *sched)
{
    *group = (struct task_group) { .sched = sched };
}

void task_group_cancel(struct task_group *group)
{
    struct task *task = group->first;

    group->cancelled = true;
    for (uint32_t i = group->count; i > 0; i--, task = task->group_next)
        task_cancel(task);
}

static int group_wait(struct task_group *group, enum wait_kind kind, int64_t deadline)
{
    struct task *self = task_self();
    int          rc = 0;

    assert(self && self->group != group && !group->waiter);
    while (group->count > 0 && rc == 0) {
        if (self->cancelled && kind == WAIT_QUEUE)
            return -ECANCELED;
        group->waiter = self;
        rc = suspend(self, kind, deadline);
        group->waiter = NULL;
    }
    return group->count == 0 ? 0 : rc;
}

int task_group_wait(struct task_group *group, int64_t deadline)
{
    return group_wait(group, WAIT_QUEUE, deadline);
}

void task_group_close(struct task_group *group)
{
    task_group_cancel(group);
    group_wait(group, WAIT_QUEUE_SHIELD, TASK_FOREVER);
}

static void group_add(struct task_group *group, struct task *task)
{
    task->group = group;
    if (!group->first) {
        group->first = task->group_next = task->group_prev = task;
    } else {
        struct task *last = group->first->group_prev;
        task->group_prev = last;
        task->group_next = group->first;
        last->group_next = group->first->group_prev = task;
    }
    group->count++;
}

int task_spawn(struct sched *sched, struct task_group *group, const char *name, task_fn fn, void *arg)
{
    struct task *self = task_self();

    assert(group || self);
    if (!group)
        group = self->group;
    if (!sched)
        sched = group->sched;
    assert(sched == group->sched);
    if (group->cancelled)
        return -ECANCELED;
    if (sched->tasks >= sched->tasks_max)
        return -E_OVERLOAD;
    if (heap_reserve(sched, sched->tasks + 1) != 0)
        return -ENOMEM;
    struct task *task = stack_get(sched);
    if (!task)
        return -ENOMEM;

    task->sched = sched;
    task->kind = WAIT_NONE;
    task->cancelled = task->unparked = false;
    task->result = 0;
    task->timer = NO_TIMER;
    task->fn = fn;
    task->arg = arg;
    task->name = name;
    if (self && self->trace[0])
        memcpy(task->trace, self->trace, sizeof task->trace);
    else
        task->trace[0] = '\0';
#if defined(__SANITIZE_ADDRESS__)
    task->fake_stack = NULL;
#endif
#if defined(__SANITIZE_THREAD__)
    task->fiber = __tsan_create_fiber(0);
#endif
    task->context = make_fcontext(task, (size_t)((uint8_t *)task - task->stack) - GUARD_BYTES, task_entry);
    group_add(group, task);
    sched->tasks++;
    ready_push(sched, task);
    return 0;
}

struct task *task_self(void)
{
    return current ? current->running : NULL;
}

const char *task_name(const struct task *task)
{
    return task->name;
}

struct sched *task_sched(void)
{
    assert(current);
    return current;
}

const char *task_trace(void)
{
    struct task *self = task_self();
    return self ? self->trace : "";
}

void task_set_trace(const char *id)
{
    struct task *self = task_self();

    assert(self);
    size_t size = id ? strnlen(id, sizeof self->trace - 1) : 0;
    if (size)
        memmove(self->trace, id, size);
    self->trace[size] = '\0';
}

bool task_cancelled(void)
{
    struct task *self = task_self();
    return self && self->cancelled;
}

void task_cancel(struct task *task)
{
    if (task->state == TASK_DEAD || task->cancelled)
        return;
    task->cancelled = true;
    if (task->state == TASK_PARKED && task->kind != WAIT_SHIELD && task->kind != WAIT_QUEUE_SHIELD)
        wake(task, -ECANCELED);
}

/* --- Parking --- */

int task_park(int64_t deadline)
{
    struct task *self = task_self();

    assert(self);
    if (self->cancelled)
        return -ECANCELED;
    if (self->unparked) {
        self->unparked = false;
        return 0;
    }
    return suspend(self, WAIT_PARK, deadline);
}

void task_park_shielded(void)
{
    struct task *self = task_self();

    assert(self);
    if (self->unparked)
        self->unparked = false;
    else
        suspend(self, WAIT_SHIELD, TASK_FOREVER);
}

void task_unpark(struct task *task)
{
    bool parking = task->kind == WAIT_PARK || task->kind == WAIT_SHIELD;

    if (parking && task->state == TASK_PARKED)
        wake(task, 0);
    else if (parking && task->state == TASK_READY)
        task->result = 0;   /* Its deadline passed or it was cancelled, but it has not seen that yet. */
    else if (task->state != TASK_DEAD)
        task->unparked = true;
}

int task_yield(void)
{
    struct task *self = task_self();

    assert(self);
    if (self->cancelled)
        return -ECANCELED;
    ready_push(self->sched, self);
    switch_out(self->sched, self);
    return self->cancelled ? -ECANCELED : 0;
}

int task_sleep_until(int64_t deadline)
{
    struct task *self = task_self();

    assert(self);
    if (self->cancelled)
        return -ECANCELED;
    int rc = suspend(self, WAIT_SLEEP, deadline);
    return rc == -ETIMEDOUT ? 0 : rc;
}

int task_sleep(int64_t ns)
{
    int64_t deadline;
    struct sched *sched = task_sched();

    if (__builtin_add_overflow(sched->now(sched->now_arg), ns, &deadline))
        deadline = TASK_FOREVER;
    return task_sleep_until(deadline);
}

/* --- For task_sync.c --- */

static void queue_push(struct waitq *q, struct task_wait *wait)
{
    wait->next = NULL;
    wait->prev = q->last;
    if (q->last)
        q->last->next = wait;
    else
        q->first = wait;
    q->last = wait;
}

static void queue_remove(struct waitq *q, struct task_wait *wait)
{
    if (wait->prev)
        wait->prev->next = wait->next;
    else
        q->first = wait->next;
    if (wait->next)
        wait->next->prev = wait->prev;
    else
        q->last = wait->prev;
}

int task_wait_in(struct waitq *q, struct task_wait *wait, int64_t deadline)
{
    struct task *self = task_self();

    assert(self);
    if (self->cancelled)
        return -ECANCELED;
    wait->task = self;
    wait->woken = false;
    queue_push(q, wait);
    int rc = suspend(self, WAIT_QUEUE, deadline);
    if (wait->woken)
        return wait->result;
    queue_remove(q, wait);
    return rc;
}

void task_wait_in_shielded(struct waitq *q, struct task_wait *wait)
{
    struct task *self = task_self();

    assert(self);
    wait->task = self;
    wait->woken = false;
    queue_push(q, wait);
    suspend(self, WAIT_QUEUE_SHIELD, TASK_FOREVER);
    assert(wait->woken);
}

void task_wait_wake(struct waitq *q, struct task_wait *wait, int result)
{
    queue_remove(q, wait);
    wait->woken = true;
    wait->result = result;
    /* A waiter whose time ran out in this very round is READY already; being
     * woken wins, for else the wake-up would be lost. */
    if (wait->task->state == TASK_PARKED)
        wake(wait->task, result);
}
