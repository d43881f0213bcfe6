/* base/task_sync.c - events, wait groups, credit and channels, all on wait queues.
 *
 * Wakers hand over what a waiter asked for (credit, an item, a slot) at the
 * moment they wake it, so nobody can overtake a waiter that was woken. */
#include <assert.h>
#include <stddef.h>

#include "base/task_private.h"

int waitq_wait(struct waitq *q, int64_t deadline)
{
    struct task_wait wait = { 0 };
    return task_wait_in(q, &wait, deadline);
}

bool waitq_wake_one(struct waitq *q)
{
    if (!q->first)
        return false;
    task_wait_wake(q, q->first, 0);
    return true;
}

void waitq_wake_all(struct waitq *q)
{
    while (waitq_wake_one(q)) { }
}

/* --- Event --- */

int event_wait(struct event *event, int64_t deadline)
{
    return event->set ? 0 : waitq_wait(&event->q, deadline);
}

void event_set(struct event *event)
{
    event->set = true;
    waitq_wake_all(&event->q);
}

void event_clear(struct event *event)
{
    event->set = false;
}

/* --- Wait group --- */

void wait_group_add(struct wait_group *wg, uint32_t n)
{
    assert(n <= UINT32_MAX - wg->count);
    wg->count += n;
}

void wait_group_done(struct wait_group *wg)
{
    assert(wg->count > 0);
    if (--wg->count == 0)
        waitq_wake_all(&wg->q);
}

int wait_group_wait(struct wait_group *wg, int64_t deadline)
{
    return wg->count == 0 ? 0 : waitq_wait(&wg->q, deadline);
}

void wait_group_wait_shielded(struct wait_group *wg)
{
    struct task_wait wait = { 0 };

    if (wg->count > 0)
        task_wait_in_shielded(&wg->q, &wait);
}

/* --- Credit --- */

void credit_init(struct credit *credit, uint64_t available, uint32_t waiting_max)
{
    *credit = (struct credit) { .available = available, .waiting_max = waiting_max };
}

/* Serves the waiters at the front, as far as what is available reaches. */
static void credit_serve(struct credit *credit)
{
    while (credit->q.first && credit->q.first->amount <= credit->available) {
        credit->available -= credit->q.first->amount;
        credit->waiting--;
        task_wait_wake(&credit->q, credit->q.first, 0);
    }
}

bool credit_try(struct credit *credit, uint64_t n)
{
    if (credit->q.first || credit->available < n)
        return false;
    credit->available -= n;
    return true;
}

int credit_take(struct credit *credit, uint64_t n, int64_t deadline)
{
    struct task_wait wait = { .amount = n };

    if (credit_try(credit, n))
        return 0;
    if (credit->waiting >= credit->waiting_max)
        return -E_OVERLOAD;
    credit->waiting++;
    int rc = task_wait_in(&credit->q, &wait, deadline);
    if (rc != 0) {
        credit->waiting--;
        credit_serve(credit);   /* It may have stood before smaller requests. */
    }
    return rc;
}

void credit_give(struct credit *credit, uint64_t n)
{
    assert(n <= UINT64_MAX - credit->available);
    credit->available += n;
    credit_serve(credit);
}

/* --- Channel --- */

void channel_init(struct channel *ch, void **slot, uint32_t size)
{
    *ch = (struct channel) { .slot = slot, .size = size };
}

static void channel_put(struct channel *ch, void *item)
{
    ch->slot[(uint32_t)(((uint64_t)ch->head + ch->count) % ch->size)] = item;
    ch->count++;
}

int channel_try_send(struct channel *ch, void *item)
{
    if (ch->closed)
        return -E_CLOSED;
    if (ch->readers.first) {   /* Then no item waits in the slots. */
        ch->readers.first->item = item;
        task_wait_wake(&ch->readers, ch->readers.first, 0);
        return 0;
    }
    if (ch->count == ch->size)
        return -EAGAIN;
    channel_put(ch, item);
    return 0;
}

int channel_send(struct channel *ch, void *item, int64_t deadline)
{
    struct task_wait wait = { .item = item };
    int              rc = channel_try_send(ch, item);

    return rc == -EAGAIN ? task_wait_in(&ch->writers, &wait, deadline) : rc;
}

int channel_recv(struct channel *ch, void **ret_item, int64_t deadline)
{
    struct task_wait wait = { 0 }, *writer = ch->writers.first;

    if (ch->count > 0) {
        *ret_item = ch->slot[ch->head];
        ch->head = (ch->head + 1) % ch->size;
        ch->count--;
        if (writer)
            channel_put(ch, writer->item);
    } else if (writer) {   /* A channel of size 0. */
        *ret_item = writer->item;
    } else if (ch->closed) {
        return -E_CLOSED;
    } else {
        int rc = task_wait_in(&ch->readers, &wait, deadline);
        if (rc == 0)
            *ret_item = wait.item;
        return rc;
    }
    if (writer)
        task_wait_wake(&ch->writers, writer, 0);
    return 0;
}

void channel_close(struct channel *ch)
{
    ch->closed = true;
    while (ch->readers.first)
        task_wait_wake(&ch->readers, ch->readers.first, -E_CLOSED);
    while (ch->writers.first)
        task_wait_wake(&ch->writers, ch->writers.first, -E_CLOSED);
}
