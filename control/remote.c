/* control/remote.c - a control store that is on another node.
 *
 * A call whose request left but whose answer did not come is -E_UNSURE when it
 * may have changed something: never "failed". Reads are simply tried again until
 * CONTROL_CALL_MS is over. A watch is a sequence of long polls, each from the
 * revision reached: a lost connection loses nothing. */
#include <stdlib.h>

#include "base/rpc.h"
#include "control/internal.h"
#include "storage/device.h"

enum { RETRY_MS = 100, WATCH_GRACE_MS = 5000, CLOSE_TICK_MS = 500 };

struct remote {
    struct control base;
    struct rpc    *rpc;
    uint32_t       node;
    uint64_t       client, sequence;
    uint64_t       incarnation;   /* Of the server, as last heard; 0: not yet. */
    struct control_watch *watches;
    uint32_t       watch_count;
};

struct remote_watch {
    struct control_watch base;
    struct rpc_message  *reply;   /* Being delivered. */
    size_t               commit, change;
};

/* --- Calls. --- */

/* One call. The reply, if there is one, is the caller's to unref, also with an error. '*ret_sent': it may have run. */
WAITS static int call(struct remote *r, int method, struct rpc_message *message, int64_t deadline,
                      struct rpc_message **ret_reply, bool *ret_sent)
{
    struct rpc_fan          fan;
    const struct rpc_reply *reply;

    *ret_reply = NULL;
    *ret_sent = true;
    rpc_fan_open(&fan, r->rpc, deadline);
    rpc_fan_send(&fan, 0, r->node, (uint16_t)(METHOD_CONTROL_FIRST + method), 0, message);
    int rc;
    do {
        /* A long poll must not hold up a store that is being closed. */
        int64_t tick = env_now(r->base.env) + CLOSE_TICK_MS * NS_PER_MS;
        rc = rpc_fan_next(&fan, tick < deadline ? tick : deadline, &reply);
    } while (rc == -ETIMEDOUT && !r->base.closing && env_now(r->base.env) < deadline);
    if (rc == -ETIMEDOUT && r->base.closing)
        rc = -E_CLOSED;
    if (rc == 0) {
        rc = reply->code;
        *ret_sent = reply->sent;
        if (reply->message)
            *ret_reply = rpc_message_ref(reply->message);
    }
    rpc_fan_close(&fan);
    return rc;
}

static bool transient(int rc)
{
    return rc == -ETIMEDOUT || rc == -E_CLOSED || rc == -E_UNAVAILABLE || rc == -E_OVERLOAD || rc == -ECONNRESET;
}

/* Repeats a call that changes nothing until it is answered or time is up. */
WAITS static int call_again(struct remote *r, int method, struct rpc_message *message, struct rpc_message **ret_reply)
{
    int64_t deadline = env_now(r->base.env) + CONTROL_CALL_MS * NS_PER_MS;

    for (;;) {
        bool    sent;
        int64_t now = env_now(r->base.env), one = now + CONTROL_CALL_MS * NS_PER_MS / 4;
        int     rc = call(r, method, message, one < deadline ? one : deadline, ret_reply, &sent);
        if (!transient(rc))
            return rc;
        rpc_message_unref(*ret_reply);
        *ret_reply = NULL;
        if (r->base.closing)
            return -E_CLOSED;
        now = env_now(r->base.env);
        if (now + RETRY_MS * NS_PER_MS >= deadline)
            return -E_UNAVAILABLE;
        rc = task_sleep(RETRY_MS * NS_PER_MS);
        if (rc)
            return rc;
    }
}

#define MESSAGE(name, type, TYPE)                                                                  \
    struct rpc_message *name = rpc_message_new();                                                  \
    type *name##_head = name ? arena_new(&name->arena, type) : NULL;                               \
    if (name##_head == NULL) {                                                                     \
        rpc_message_unref(name);                                                                   \
        return -ENOMEM;                                                                            \
    }                                                                                              \
    *name##_head = (type)TYPE;                                                                     \
    name->head = &name##_head->base

/* The caller's bytes may go while the frame waits for its turn: they are copied. */
static bool set_bytes(struct rpc_message *message, ProtobufCBinaryData *ret, struct slice bytes)
{
    struct slice copy = arena_dup(&message->arena, bytes);

    *ret = record_bin(copy);
    return copy.data != NULL;
}

/* --- Reading. --- */

static int copy_entry(struct arena *arena, const Rs__ControlEntry *from, struct control_entry *ret)
{
    ret->key = arena_dup(arena, record_of_bin(from->key));
    ret->value = arena_dup(arena, record_of_bin(from->value));
    ret->create_revision = from->create_revision;
    ret->mod_revision = from->mod_revision;
    ret->version = from->version;
    ret->lease = from->lease;
    return ret->key.data && ret->value.data ? 0 : -ENOMEM;
}

WAITS static int remote_get(struct control *control, struct slice key, struct arena *arena,
                            struct control_entry *ret_entry)
{
    struct remote      *r = (struct remote *)control;
    struct rpc_message *reply = NULL;
    MESSAGE(rq, Rs__ControlRangeRequest, RS__CONTROL_RANGE_REQUEST__INIT);

    rq_head->single = true;
    int rc = set_bytes(rq, &rq_head->from, key) ? call_again(r, CONTROL_METHOD_RANGE, rq, &reply) : -ENOMEM;
    rpc_message_unref(rq);
    if (rc == 0) {
        const Rs__ControlRangeReply *head = (const Rs__ControlRangeReply *)reply->head;
        struct control_entry         entry;
        r->incarnation = head->incarnation;
        rc = head->n_entries == 1 ? copy_entry(arena, head->entries[0], &entry) : -E_CORRUPT;
        if (rc == 0)
            *ret_entry = entry;
    }
    rpc_message_unref(reply);
    return rc;
}

WAITS static int remote_range(struct control *control, struct slice from, struct slice to, uint32_t limit,
                              size_t bytes_max, struct arena *arena, struct control_entry **ret_entries,
                              uint32_t *ret_count, bool *ret_more, uint64_t *ret_revision)
{
    struct remote      *r = (struct remote *)control;
    struct rpc_message *reply;
    MESSAGE(rq, Rs__ControlRangeRequest, RS__CONTROL_RANGE_REQUEST__INIT);

    (void)bytes_max;   /* The server answers at most CONTROL_RANGE_BYTES_MAX. */
    rq_head->limit = limit;
    if (!set_bytes(rq, &rq_head->from, from) || !set_bytes(rq, &rq_head->to, to)) {
        rpc_message_unref(rq);
        return -ENOMEM;
    }
    int rc = call_again(r, CONTROL_METHOD_RANGE, rq, &reply);
    rpc_message_unref(rq);
    if (rc) {
        rpc_message_unref(reply);
        return rc;
    }
    const Rs__ControlRangeReply *head = (const Rs__ControlRangeReply *)reply->head;
    struct control_entry        *entries = arena_array(arena, struct control_entry, head->n_entries + 1);
    rc = entries == NULL ? -ENOMEM : head->n_entries > limit ? -E_CORRUPT : 0;
    for (size_t i = 0; i < head->n_entries && rc == 0; i++)
        rc = copy_entry(arena, head->entries[i], &entries[i]);
    if (rc == 0) {
        r->incarnation = head->incarnation;
        *ret_entries = entries;
        *ret_count = (uint32_t)head->n_entries;
        *ret_more = head->more;
        *ret_revision = head->revision;
    }
    rpc_message_unref(reply);
    return rc;
}

/* --- Changing. --- */

WAITS static int learn_incarnation(struct remote *r)
{
    struct rpc_message *reply = NULL, *rq = rpc_message_new();

    if (rq == NULL)
        return -ENOMEM;
    int rc = call_again(r, CONTROL_METHOD_STATUS, rq, &reply);
    if (rc == 0)
        r->incarnation = ((const Rs__ControlStatusReply *)reply->head)->incarnation;
    rpc_message_unref(rq);
    rpc_message_unref(reply);
    return rc;
}

static int write_txn(struct rpc_message *rq, Rs__ControlTxnRequest *head, const struct control_compare *compares,
                     uint32_t compare_count, const struct control_op *ops, uint32_t op_count)
{
    head->compares = arena_array(&rq->arena, Rs__ControlCompare *, compare_count + 1);
    head->ops = arena_array(&rq->arena, Rs__ControlOp *, op_count + 1);
    Rs__ControlCompare *c = arena_array(&rq->arena, Rs__ControlCompare, compare_count + 1);
    Rs__ControlOp      *o = arena_array(&rq->arena, Rs__ControlOp, op_count + 1);
    if (head->compares == NULL || head->ops == NULL || c == NULL || o == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < compare_count; i++) {
        rs__control_compare__init(&c[i]);
        c[i].kind = compares[i].kind;
        c[i].revision = compares[i].revision;
        if (!set_bytes(rq, &c[i].key, compares[i].key) || !set_bytes(rq, &c[i].value, compares[i].value))
            return -ENOMEM;
        head->compares[head->n_compares++] = &c[i];
    }
    for (uint32_t i = 0; i < op_count; i++) {
        rs__control_op__init(&o[i]);
        o[i].kind = ops[i].kind;
        o[i].lease = ops[i].lease;
        if (!set_bytes(rq, &o[i].key, ops[i].key) || !set_bytes(rq, &o[i].value, ops[i].value))
            return -ENOMEM;
        head->ops[head->n_ops++] = &o[i];
    }
    return 0;
}

/* What a caller is told when there was no clear answer. */
static int change_outcome(int rc, bool sent)
{
    if (!transient(rc) && rc != -E_STALE && rc != -E_CORRUPT && rc != -ECANCELED)
        return rc;
    if (sent && rc != -E_OVERLOAD)
        return -E_UNSURE;
    return rc == -E_OVERLOAD ? rc : -E_UNAVAILABLE;
}

WAITS static int remote_txn(struct control *control, const struct control_compare *compares, uint32_t compare_count,
                            const struct control_op *ops, uint32_t op_count, uint64_t *ret_revision,
                            uint32_t *ret_failed, bool *ret_changed)
{
    struct remote      *r = (struct remote *)control;
    struct rpc_message *reply = NULL;
    bool                sent = false;
    MESSAGE(rq, Rs__ControlTxnRequest, RS__CONTROL_TXN_REQUEST__INIT);

    (void)ret_changed;
    int rc = write_txn(rq, rq_head, compares, compare_count, ops, op_count);
    if (rc == 0 && r->incarnation == 0)
        rc = learn_incarnation(r);
    if (rc == 0) {
        rq_head->client = r->client;
        rq_head->sequence = ++r->sequence;
        rq_head->incarnation = r->incarnation;
        rc = call(r, CONTROL_METHOD_TXN, rq, env_now(r->base.env) + CONTROL_CALL_MS * NS_PER_MS, &reply, &sent);
        if (rc == 0 && reply == NULL)
            rc = -E_CORRUPT;
        /* A restarted server refused it; but an earlier copy of the frame may have reached the run before. */
        if (rc == -E_STALE)
            r->incarnation = 0;
        rc = change_outcome(rc, sent);
    }
    if (reply && reply->head) {
        const Rs__ControlTxnReply *head = (const Rs__ControlTxnReply *)reply->head;
        *ret_revision = head->revision;
        *ret_failed = head->failed;
    }
    rpc_message_unref(rq);
    rpc_message_unref(reply);
    return rc;
}

WAITS static int lease_call(struct remote *r, int method, uint32_t ttl_s, uint64_t *io_lease)
{
    struct rpc_message *reply;
    bool                sent;
    MESSAGE(rq, Rs__ControlLeaseRequest, RS__CONTROL_LEASE_REQUEST__INIT);

    rq_head->ttl_s = ttl_s;
    rq_head->lease = *io_lease;
    int rc = call(r, method, rq, env_now(r->base.env) + CONTROL_CALL_MS * NS_PER_MS, &reply, &sent);
    if (rc == 0 && (reply == NULL || reply->head == NULL))
        rc = -E_CORRUPT;
    rc = change_outcome(rc, sent);
    if (rc == 0)
        *io_lease = ((const Rs__ControlLeaseReply *)reply->head)->lease;
    rpc_message_unref(rq);
    rpc_message_unref(reply);
    return rc;
}

WAITS static int remote_lease_grant(struct control *control, uint32_t ttl_s, uint64_t *ret_lease)
{
    uint64_t lease = 0;
    int      rc = lease_call((struct remote *)control, CONTROL_METHOD_LEASE_GRANT, ttl_s, &lease);

    if (rc == 0)
        *ret_lease = lease;
    return rc;
}

WAITS static int remote_lease_keep(struct control *control, uint64_t lease)
{
    return lease_call((struct remote *)control, CONTROL_METHOD_LEASE_KEEP, 0, &lease);
}

WAITS static int remote_lease_revoke(struct control *control, uint64_t lease)
{
    return lease_call((struct remote *)control, CONTROL_METHOD_LEASE_REVOKE, 0, &lease);
}

/* --- Watching. --- */

static int remote_watch(struct control *control, struct slice prefix, uint64_t after, struct control_watch **ret)
{
    struct remote       *r = (struct remote *)control;
    struct remote_watch *w;
    uint8_t             *copy;

    if (r->watch_count >= CONTROL_WATCHES_MAX)
        return -E_LIMIT;
    w = calloc(1, sizeof *w);
    copy = malloc(prefix.size ? prefix.size : 1);
    if (w == NULL || copy == NULL) {
        free(w);
        free(copy);
        return -ENOMEM;
    }
    if (prefix.size)
        memcpy(copy, prefix.data, prefix.size);
    w->base.ops = control->ops;
    w->base.control = control;
    w->base.prefix = slice_of(copy, prefix.size);
    w->base.position = after;
    w->base.next = r->watches;
    if (r->watches)
        r->watches->prev = &w->base;
    r->watches = &w->base;
    r->watch_count++;
    *ret = &w->base;
    return 0;
}

static void remote_watch_free(struct control_watch *watch)
{
    struct remote_watch *w = (struct remote_watch *)watch;
    struct remote       *r = (struct remote *)watch->control;

    if (r) {
        if (watch->prev)
            watch->prev->next = watch->next;
        else
            r->watches = watch->next;
        if (watch->next)
            watch->next->prev = watch->prev;
        r->watch_count--;
    }
    rpc_message_unref(w->reply);
    free((void *)(uintptr_t)watch->prefix.data);
    free(w);
}

/* Delivers the next change of the answer at hand; false when there is none. */
static bool deliver(struct remote_watch *w, struct control_change *ret)
{
    const Rs__ControlWatchReply *head = w->reply ? (const Rs__ControlWatchReply *)w->reply->head : NULL;

    while (head && w->commit < head->n_commits) {
        const Rs__ControlCommit *commit = head->commits[w->commit];
        if (w->change == commit->n_changes) {
            w->base.position = commit->revision;
            w->commit++;
            w->change = 0;
            continue;
        }
        const Rs__ControlChange *change = commit->changes[w->change++];
        *ret = (struct control_change) {
            .deleted = change->deleted,
            .last = w->change == commit->n_changes,
            .revision = commit->revision,
            .entry = { .key = record_of_bin(change->key), .value = record_of_bin(change->value),
                       .create_revision = change->create_revision, .mod_revision = commit->revision,
                       .version = change->version, .lease = change->lease },
        };
        return true;
    }
    if (head && head->through > w->base.position)
        w->base.position = head->through;
    w->reply = rpc_message_unref(w->reply);
    return false;
}

WAITS static int poll_once(struct remote *r, struct remote_watch *w, int64_t deadline)
{
    int64_t  now = env_now(r->base.env), left = deadline - now;
    uint32_t wait_ms = CONTROL_WATCH_WAIT_MS;
    bool     sent;
    MESSAGE(rq, Rs__ControlWatchRequest, RS__CONTROL_WATCH_REQUEST__INIT);

    if (deadline != TASK_FOREVER && left < wait_ms * NS_PER_MS)
        wait_ms = left > 0 ? (uint32_t)(left / NS_PER_MS) : 0;
    rq_head->after = w->base.position;
    rq_head->wait_ms = wait_ms;
    int rc = set_bytes(rq, &rq_head->prefix, w->base.prefix) ? 0 : -ENOMEM;
    if (rc == 0)
        rc = call(r, CONTROL_METHOD_WATCH, rq, now + (wait_ms + WATCH_GRACE_MS) * NS_PER_MS, &w->reply, &sent);
    rpc_message_unref(rq);
    w->commit = w->change = 0;
    if (rc == 0 && (w->reply == NULL || w->reply->head == NULL))
        rc = -E_CORRUPT;
    if (rc == 0)
        r->incarnation = ((const Rs__ControlWatchReply *)w->reply->head)->incarnation;
    else
        w->reply = rpc_message_unref(w->reply);
    return rc;
}

WAITS static int remote_watch_next(struct control_watch *watch, int64_t deadline, struct control_change *ret_change)
{
    struct remote_watch *w = (struct remote_watch *)watch;

    for (;;) {
        struct remote *r = (struct remote *)watch->control;
        if (r == NULL || r->base.closing)
            return -E_CLOSED;
        if (deliver(w, ret_change))
            return 0;
        int rc = poll_once(r, w, deadline);
        if (rc == 0 && deliver(w, ret_change))
            return 0;
        if (transient(rc)) {
            int64_t at = env_now(r->base.env) + RETRY_MS * NS_PER_MS;
            rc = task_sleep_until(at < deadline ? at : deadline);
        }
        if (rc)
            return rc;
        if (env_now(r->base.env) >= deadline)
            return -ETIMEDOUT;
    }
}

/* --- Opening and closing. --- */

WAITS static void remote_close(struct control *control)
{
    struct remote *r = (struct remote *)control;

    /* Calls in flight see it within CLOSE_TICK_MS. */
    r->base.closing = true;
    control_drain(control);
    for (struct control_watch *w = r->watches, *next; w; w = next) {
        next = w->next;
        w->control = NULL;
        w->prev = w->next = NULL;
    }
    free(r);
}

static const struct control_ops remote_ops = {
    .get = remote_get,
    .range = remote_range,
    .txn = remote_txn,
    .watch = remote_watch,
    .watch_next = remote_watch_next,
    .watch_free = remote_watch_free,
    .lease_grant = remote_lease_grant,
    .lease_keep = remote_lease_keep,
    .lease_revoke = remote_lease_revoke,
    .close = remote_close,
};

int control_open_remote(struct rpc *rpc, uint32_t node, struct control **ret_control, struct error *err)
{
    struct remote *r = calloc(1, sizeof *r);
    uint16_t       m = METHOD_CONTROL_FIRST;

    if (r == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r->base.ops = &remote_ops;
    r->base.env = rpc_env(rpc);
    r->rpc = rpc;
    r->node = node;
    r->client = env_random64(r->base.env);
    rpc_register(rpc, m + CONTROL_METHOD_STATUS, "control.status", NULL, &rs__control_status_reply__descriptor, NULL,
                 NULL);
    rpc_register(rpc, m + CONTROL_METHOD_RANGE, "control.range", &rs__control_range_request__descriptor,
                 &rs__control_range_reply__descriptor, NULL, NULL);
    rpc_register(rpc, m + CONTROL_METHOD_TXN, "control.txn", &rs__control_txn_request__descriptor,
                 &rs__control_txn_reply__descriptor, NULL, NULL);
    rpc_register(rpc, m + CONTROL_METHOD_LEASE_GRANT, "control.lease_grant", &rs__control_lease_request__descriptor,
                 &rs__control_lease_reply__descriptor, NULL, NULL);
    rpc_register(rpc, m + CONTROL_METHOD_LEASE_KEEP, "control.lease_keep", &rs__control_lease_request__descriptor,
                 &rs__control_lease_reply__descriptor, NULL, NULL);
    rpc_register(rpc, m + CONTROL_METHOD_LEASE_REVOKE, "control.lease_revoke",
                 &rs__control_lease_request__descriptor, &rs__control_lease_reply__descriptor, NULL, NULL);
    rpc_register(rpc, m + CONTROL_METHOD_WATCH, "control.watch", &rs__control_watch_request__descriptor,
                 &rs__control_watch_reply__descriptor, NULL, NULL);
    *ret_control = &r->base;
    return 0;
}
