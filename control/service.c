/* control/service.c - serves the embedded store to other nodes.
 *
 * A network may deliver a request twice, late, or after this process restarted.
 * Reads and lease calls bear that. A transaction carries its client's identity
 * and number, and is run once; and the incarnation of the server it was meant
 * for, so that a duplicate which outlived a restart is refused. */
#include <stdlib.h>
#include <xxhash.h>

#include "base/counter.h"
#include "base/rpc.h"
#include "control/internal.h"
#include "storage/device.h"

COUNTER(control_txn_duplicates, "Duplicated control transactions that were not run again.");

enum {
    /* How many transactions are remembered. A duplicate older than all of them would run again: at 4000
     * transactions a second that is 16 s late, past the deadline of any call. */
    SEEN_MAX = 65536,
    SEEN_BUCKETS = 16384          /* A power of two. */
};

/* A transaction that ran, or runs. */
struct seen {
    struct seen *next;            /* In its bucket. */
    uint64_t     client, sequence;
    bool         ended;
    int          code;
    uint64_t     revision;
    uint32_t     failed;
    struct event done;
    uint32_t     waiters;
};

struct control_service {
    struct embedded *e;
    struct seen     *bucket[SEEN_BUCKETS];
    struct seen     *ring[SEEN_MAX];    /* In order of arrival. */
    uint64_t         arrived, forgotten;
};

static struct seen **bucket(struct control_service *service, uint64_t client, uint64_t sequence)
{
    uint64_t key[2] = { client, sequence };
    return &service->bucket[XXH3_64bits(key, sizeof key) & (SEEN_BUCKETS - 1)];
}

/* Makes room; -E_OVERLOAD when even the oldest is still running. */
static int forget_oldest(struct control_service *service)
{
    struct seen  *old = service->ring[service->forgotten % SEEN_MAX];
    struct seen **at = bucket(service, old->client, old->sequence);

    if (!old->ended || old->waiters)
        return -E_OVERLOAD;
    while (*at != old)
        at = &(*at)->next;
    *at = old->next;
    free(old);
    service->forgotten++;
    return 0;
}

static struct seen *find_seen(struct control_service *service, uint64_t client, uint64_t sequence)
{
    struct seen *s = *bucket(service, client, sequence);

    while (s && (s->client != client || s->sequence != sequence))
        s = s->next;
    return s;
}

static int add_seen(struct control_service *service, uint64_t client, uint64_t sequence, struct seen **ret)
{
    if (service->arrived - service->forgotten == SEEN_MAX) {
        int rc = forget_oldest(service);
        if (rc)
            return rc;
    }
    struct seen *s = calloc(1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    struct seen **at = bucket(service, client, sequence);
    s->client = client;
    s->sequence = sequence;
    s->next = *at;
    *at = s;
    service->ring[service->arrived++ % SEEN_MAX] = s;
    *ret = s;
    return 0;
}

struct control_service *control_service_free(struct control_service *service)
{
    if (service) {
        for (; service->forgotten < service->arrived; service->forgotten++)
            free(service->ring[service->forgotten % SEEN_MAX]);
        free(service);
    }
    return NULL;
}

/* --- Handlers. Heads of replies live in the reply's arena. --- */

#define REPLY_HEAD(reply, type, TYPE)                                                              \
    ({                                                                                             \
        type *head_ = arena_new(&(reply)->arena, type);                                            \
        if (head_) {                                                                               \
            *head_ = (type)TYPE;                                                                   \
            (reply)->head = &head_->base;                                                          \
        }                                                                                          \
        head_;                                                                                     \
    })

WAITS static int on_status(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    struct control_service  *service = ctx;
    Rs__ControlStatusReply  *head = REPLY_HEAD(reply, Rs__ControlStatusReply, RS__CONTROL_STATUS_REPLY__INIT);

    (void)request;
    (void)err;
    if (head == NULL)
        return -ENOMEM;
    head->incarnation = service->e->incarnation;
    head->revision = service->e->revision;
    return 0;
}

static int fill_range(struct rpc_message *reply, Rs__ControlRangeReply *head, const struct control_entry *entries,
                      uint32_t count)
{
    head->entries = arena_array(&reply->arena, Rs__ControlEntry *, count + 1);
    Rs__ControlEntry *all = arena_array(&reply->arena, Rs__ControlEntry, count + 1);
    if (head->entries == NULL || all == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        rs__control_entry__init(&all[i]);
        all[i].key = record_bin(entries[i].key);
        all[i].value = record_bin(entries[i].value);
        all[i].create_revision = entries[i].create_revision;
        all[i].mod_revision = entries[i].mod_revision;
        all[i].version = entries[i].version;
        all[i].lease = entries[i].lease;
        head->entries[i] = &all[i];
    }
    head->n_entries = count;
    return 0;
}

WAITS static int on_range(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    struct control_service          *service = ctx;
    struct control                  *control = &service->e->base;
    const Rs__ControlRangeRequest   *rq = (const Rs__ControlRangeRequest *)request->message->head;
    Rs__ControlRangeReply           *head = REPLY_HEAD(reply, Rs__ControlRangeReply, RS__CONTROL_RANGE_REPLY__INIT);
    struct control_entry            *entries, one;
    uint32_t                         count = 0;
    bool                             more = false;
    uint64_t                         revision = service->e->revision;
    int                              rc;

    (void)err;
    if (head == NULL)
        return -ENOMEM;
    if (rq->single) {
        rc = control_get(control, record_of_bin(rq->from), &reply->arena, &one);
        entries = &one;
        count = 1;
    } else {
        rc = control_range(control, record_of_bin(rq->from), record_of_bin(rq->to), rq->limit, &reply->arena,
                           &entries, &count, &more, &revision);
    }
    if (rc)
        return rc;
    head->incarnation = service->e->incarnation;
    head->more = more;
    head->revision = revision;
    return fill_range(reply, head, entries, count);
}

/* Translates what a peer sent; control_txn() checks it. Reads are of the request's message, which is lent. */
static int read_txn(const Rs__ControlTxnRequest *rq, struct arena *arena, struct control_compare **ret_compares,
                    struct control_op **ret_ops)
{
    if (rq->n_compares > CONTROL_TXN_COMPARES_MAX || rq->n_ops > CONTROL_TXN_OPS_MAX)
        return -E_LIMIT;
    struct control_compare *compares = arena_array(arena, struct control_compare, rq->n_compares + 1);
    struct control_op      *ops = arena_array(arena, struct control_op, rq->n_ops + 1);
    if (compares == NULL || ops == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < rq->n_compares; i++) {
        const Rs__ControlCompare *c = rq->compares[i];
        if (c->kind > CONTROL_IF_VALUE)
            return -EINVAL;
        compares[i] = (struct control_compare) { .kind = c->kind, .key = record_of_bin(c->key),
                                                 .revision = c->revision, .value = record_of_bin(c->value) };
    }
    for (size_t i = 0; i < rq->n_ops; i++) {
        const Rs__ControlOp *op = rq->ops[i];
        if (op->kind > CONTROL_DELETE_PREFIX)
            return -EINVAL;
        ops[i] = (struct control_op) { .kind = op->kind, .key = record_of_bin(op->key),
                                       .value = record_of_bin(op->value), .lease = op->lease };
    }
    *ret_compares = compares;
    *ret_ops = ops;
    return 0;
}

/* Runs it, or waits for the run that its duplicate is. */
WAITS static int run_once(struct control_service *service, const Rs__ControlTxnRequest *rq, struct arena *arena,
                          struct seen **ret_seen)
{
    struct control_compare *compares;
    struct control_op      *ops;
    struct seen            *s = find_seen(service, rq->client, rq->sequence);
    int                     rc;

    if (s) {
        counter_inc(control_txn_duplicates);
        s->waiters++;
        rc = s->ended ? 0 : event_wait(&s->done, TASK_FOREVER);
        s->waiters--;
        *ret_seen = s;
        return rc ? -E_UNSURE : s->code;
    }
    rc = read_txn(rq, arena, &compares, &ops);
    if (rc == 0)
        rc = add_seen(service, rq->client, rq->sequence, &s);
    if (rc)
        return rc;
    s->code = control_txn(&service->e->base, compares, (uint32_t)rq->n_compares, ops, (uint32_t)rq->n_ops,
                          &s->revision, &s->failed);
    s->ended = true;
    event_set(&s->done);
    *ret_seen = s;
    return s->code;
}

WAITS static int on_txn(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    struct control_service       *service = ctx;
    const Rs__ControlTxnRequest  *rq = (const Rs__ControlTxnRequest *)request->message->head;
    Rs__ControlTxnReply          *head = REPLY_HEAD(reply, Rs__ControlTxnReply, RS__CONTROL_TXN_REPLY__INIT);
    struct seen                  *s = NULL;

    if (head == NULL)
        return -ENOMEM;
    head->incarnation = service->e->incarnation;
    if (rq->incarnation != service->e->incarnation)
        return error_set(err, -E_STALE, "the control store restarted since the transaction was made");
    int rc = control_enter(&service->e->base);   /* The table lives as long as the store. */
    if (rc)
        return rc;
    rc = run_once(service, rq, &reply->arena, &s);
    if (s) {
        head->revision = s->revision;
        head->failed = s->failed;
    }
    control_leave(&service->e->base);
    return rc;
}

WAITS static int on_lease(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    struct control_service         *service = ctx;
    struct control                 *control = &service->e->base;
    const Rs__ControlLeaseRequest  *rq = (const Rs__ControlLeaseRequest *)request->message->head;
    Rs__ControlLeaseReply          *head = REPLY_HEAD(reply, Rs__ControlLeaseReply, RS__CONTROL_LEASE_REPLY__INIT);

    (void)err;
    if (head == NULL)
        return -ENOMEM;
    head->lease = rq->lease;
    switch (request->method - METHOD_CONTROL_FIRST) {
    case CONTROL_METHOD_LEASE_GRANT: return control_lease_grant(control, rq->ttl_s, &head->lease);
    case CONTROL_METHOD_LEASE_KEEP: return control_lease_keep(control, rq->lease);
    case CONTROL_METHOD_LEASE_REVOKE: return control_lease_revoke(control, rq->lease);
    }
    return -ENOSYS;
}

/* One revision's changes below the prefix, as a commit of the reply. */
static int add_change(struct rpc_message *reply, Rs__ControlWatchReply *head, const struct control_change *change,
                      size_t *io_bytes)
{
    struct arena      *arena = &reply->arena;
    Rs__ControlCommit *commit = head->n_commits ? head->commits[head->n_commits - 1] : NULL;

    if (commit == NULL || commit->revision != change->revision) {
        commit = arena_new(arena, Rs__ControlCommit);
        if (commit)
            rs__control_commit__init(commit);
        Rs__ControlChange **changes = arena_array(arena, Rs__ControlChange *,
                                                  TXN_CHANGES_MAX);
        if (commit == NULL || changes == NULL)
            return -ENOMEM;
        commit->revision = change->revision;
        commit->changes = changes;
        head->commits[head->n_commits++] = commit;
    }
    if (commit->n_changes == TXN_CHANGES_MAX)
        return -E_LIMIT;
    Rs__ControlChange *c = arena_new(arena, Rs__ControlChange);
    struct slice       key = arena_dup(arena, change->entry.key), value = arena_dup(arena, change->entry.value);
    if (c == NULL || key.data == NULL || value.data == NULL)
        return -ENOMEM;
    rs__control_change__init(c);
    c->key = record_bin(key);
    c->value = record_bin(value);
    c->deleted = change->deleted;
    c->create_revision = change->entry.create_revision;
    c->version = change->entry.version;
    c->lease = change->entry.lease;
    commit->changes[commit->n_changes++] = c;
    *io_bytes += key.size + value.size + 64;
    return 0;
}

enum { WATCH_COMMITS_MAX = 128 };   /* Of one answer. */

/* Waits for the first change, then takes what is there without waiting, in whole revisions. */
WAITS static int gather(struct control_watch *watch, int64_t deadline, struct rpc_message *reply,
                        Rs__ControlWatchReply *head)
{
    struct control_change change = { .last = true };
    size_t                bytes = 0;
    int                   rc = control_watch_next(watch, deadline, &change);

    while (rc == 0) {
        rc = add_change(reply, head, &change, &bytes);
        if (rc)
            return rc;
        head->through = change.revision;
        if (change.last && (bytes >= CONTROL_WATCH_REPLY_BYTES || head->n_commits == WATCH_COMMITS_MAX))
            return 0;
        /* Deadline 0 has passed: only what needs no waiting. A revision is never left half. */
        rc = control_watch_next(watch, change.last ? 0 : deadline, &change);
    }
    if (rc != -ETIMEDOUT)
        return rc;
    if (watch->position > head->through)
        head->through = watch->position;
    return 0;
}

WAITS static int on_watch(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    struct control_service         *service = ctx;
    struct control                 *control = &service->e->base;
    const Rs__ControlWatchRequest  *rq = (const Rs__ControlWatchRequest *)request->message->head;
    Rs__ControlWatchReply          *head = REPLY_HEAD(reply, Rs__ControlWatchReply, RS__CONTROL_WATCH_REPLY__INIT);
    struct control_watch           *watch;
    uint32_t                        wait_ms = rq->wait_ms;

    (void)err;
    if (head == NULL)
        return -ENOMEM;
    head->incarnation = service->e->incarnation;
    head->through = rq->after;
    head->commits = arena_array(&reply->arena, Rs__ControlCommit *, WATCH_COMMITS_MAX + 1);
    if (head->commits == NULL)
        return -ENOMEM;
    if (wait_ms > CONTROL_WATCH_WAIT_MS)
        wait_ms = CONTROL_WATCH_WAIT_MS;
    int rc = control_enter(control);
    if (rc)
        return rc;
    rc = control_watch(control, record_of_bin(rq->prefix), rq->after, &watch);
    if (rc == 0) {
        rc = gather(watch, env_now(control->env) + wait_ms * NS_PER_MS, reply, head);
        control_watch_free(watch);
    }
    control_leave(control);
    if (rc)
        head->n_commits = 0;
    return rc;
}

void control_serve(struct control *control, struct rpc *rpc)
{
    struct embedded        *e = (struct embedded *)control;
    struct control_service *service = e->service ? e->service : calloc(1, sizeof *service);
    uint16_t                m = METHOD_CONTROL_FIRST;

    if (service == NULL)
        abort();   /* At start, before anything is served. */
    service->e = e;
    e->service = service;
    rpc_register(rpc, m + CONTROL_METHOD_STATUS, "control.status", NULL, &rs__control_status_reply__descriptor,
                 on_status, service);
    rpc_register(rpc, m + CONTROL_METHOD_RANGE, "control.range", &rs__control_range_request__descriptor,
                 &rs__control_range_reply__descriptor, on_range, service);
    rpc_register(rpc, m + CONTROL_METHOD_TXN, "control.txn", &rs__control_txn_request__descriptor,
                 &rs__control_txn_reply__descriptor, on_txn, service);
    rpc_register(rpc, m + CONTROL_METHOD_LEASE_GRANT, "control.lease_grant", &rs__control_lease_request__descriptor,
                 &rs__control_lease_reply__descriptor, on_lease, service);
    rpc_register(rpc, m + CONTROL_METHOD_LEASE_KEEP, "control.lease_keep", &rs__control_lease_request__descriptor,
                 &rs__control_lease_reply__descriptor, on_lease, service);
    rpc_register(rpc, m + CONTROL_METHOD_LEASE_REVOKE, "control.lease_revoke",
                 &rs__control_lease_request__descriptor, &rs__control_lease_reply__descriptor, on_lease, service);
    rpc_register(rpc, m + CONTROL_METHOD_WATCH, "control.watch", &rs__control_watch_request__descriptor,
                 &rs__control_watch_reply__descriptor, on_watch, service);
}
