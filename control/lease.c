/* control/lease.c - leases of the embedded store: durable, expiring by the store's own clock.
 *
 *   granted --- kept ---> granted
 *      |--- deadline passed, or revoked ---> ending ---> its keys deleted, then itself
 *
 * Only that a lease exists is durable. Deadlines live in memory: after a restart
 * each lease has its whole TTL again, since nobody could keep it meanwhile. */
#include <stdlib.h>

#include "base/counter.h"
#include "control/internal.h"

COUNTER(control_leases_expired, "Leases that were not kept alive in time.");

enum { EXPIRY_RETRY_MS = 1000 };   /* After a failure to delete an expired lease's keys. */

static struct lease **bucket(struct embedded *e, uint64_t id)
{
    return &e->lease[(id ^ id >> 32) & (LEASE_BUCKETS - 1)];
}

struct lease *lease_find(struct embedded *e, uint64_t id)
{
    struct lease *lease = id ? *bucket(e, id) : NULL;

    while (lease && lease->id != id)
        lease = lease->next;
    return lease;
}

struct lease *lease_add(struct embedded *e, uint64_t id, uint32_t ttl_s)
{
    struct lease *lease = calloc(1, sizeof *lease);

    if (lease == NULL)
        return NULL;
    lease->id = id;
    lease->ttl_s = ttl_s;
    lease->deadline = env_now(e->base.env) + ttl_s * NS_PER_S;
    lease->next = *bucket(e, id);
    *bucket(e, id) = lease;
    e->lease_count++;
    return lease;
}

void lease_remove(struct embedded *e, uint64_t id)
{
    struct lease **at = bucket(e, id);

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    if (*at) {
        struct lease *gone = *at;
        *at = gone->next;
        free(gone);
        e->lease_count--;
    }
}

void lease_free_all(struct embedded *e)
{
    for (int i = 0; i < LEASE_BUCKETS; i++) {
        while (e->lease[i])
            lease_remove(e, e->lease[i]->id);
    }
}

int embedded_lease_grant(struct control *control, uint32_t ttl_s, uint64_t *ret_lease)
{
    struct embedded *e = (struct embedded *)control;
    struct pending  *p = pending_new(e, PENDING_LEASE_GRANT);

    if (p == NULL)
        return -ENOMEM;
    p->ttl_s = ttl_s;
    int rc = embedded_submit(e, p);
    if (rc == 0)
        *ret_lease = p->lease;
    pending_unref(p);
    return rc;
}

int embedded_lease_keep(struct control *control, uint64_t id)
{
    struct embedded *e = (struct embedded *)control;
    struct lease    *lease = lease_find(e, id);
    int64_t          now = env_now(e->base.env);

    if (e->failure)
        return e->failure;
    /* A lease whose time is over is gone, even if its deletion has not begun. */
    if (lease == NULL || lease->ending || lease->deadline <= now)
        return -ENOENT;
    lease->deadline = now + lease->ttl_s * NS_PER_S;
    return 0;
}

/* Ends a lease in as many commits as its keys need. */
WAITS static int end_lease(struct embedded *e, uint64_t id, enum pending_kind kind)
{
    int  rc;
    bool more;

    do {
        struct pending *p = pending_new(e, kind);
        if (p == NULL)
            return -ENOMEM;
        p->lease = id;
        rc = embedded_submit(e, p);
        more = p->changed;
        pending_unref(p);
    } while (rc == 0 && more);
    return rc;
}

int embedded_lease_revoke(struct control *control, uint64_t lease)
{
    return end_lease((struct embedded *)control, lease, PENDING_LEASE_REVOKE);
}

/* The lease whose deadline is first; NULL when none can expire. */
static const struct lease *first_to_expire(const struct embedded *e)
{
    const struct lease *first = NULL;

    for (int i = 0; i < LEASE_BUCKETS; i++) {
        for (const struct lease *l = e->lease[i]; l; l = l->next) {
            if (!l->ending && (first == NULL || l->deadline < first->deadline))
                first = l;
        }
    }
    return first;
}

void lease_run(void *arg)
{
    struct embedded *e = arg;

    while (!e->base.closing && !e->failure) {
        const struct lease *first = first_to_expire(e);
        int64_t             now = env_now(e->base.env);
        int                 rc;
        if (first && first->deadline <= now) {
            rc = end_lease(e, first->id, PENDING_LEASE_EXPIRE);
            if (rc == 0)
                counter_inc(control_leases_expired);
            else if (rc != -ENOENT)
                rc = waitq_wait(&e->lease_work, env_now(e->base.env) + EXPIRY_RETRY_MS * NS_PER_MS);
        } else {
            rc = waitq_wait(&e->lease_work, first ? first->deadline : TASK_FOREVER);
        }
        if (rc == -ECANCELED)
            break;
    }
    embedded_task_ended(e);
}
