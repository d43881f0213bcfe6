/* control/commit.c - the committer: one task that evaluates, journals, applies and answers.
 *
 * Transactions are judged serially, in the order they came, against the index
 * plus an overlay of what the same batch already changed; one journal append
 * makes the whole batch durable; one index batch applies it; then all are
 * answered, refusals too, since they may have been judged on the overlay.
 *
 *   evaluate ... -> journal_append -> (no range is running) kv_write -> publish -> answer */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/counter.h"
#include "base/log.h"
#include "control/internal.h"

COUNTER(control_commits, "Transactions that changed the control store.");
COUNTER(control_batches, "Journal appends of the control store.");
COUNTER(control_conditions, "Control transactions refused because a condition did not hold.");

enum {
    BATCH_RECORDS_MAX = BATCH_TXNS_MAX * PIECES_MAX,
    BATCH_ARENA_MAX = 24 * 1024 * 1024,
    LOOKUP_ARENA_MAX = 4 * 1024 * 1024
};

/* A key's state after a transaction of the batch. */
struct staged {
    struct staged *shadow;    /* What the overlay held for the key before: an older transaction's, or NULL. */
    struct staged *prev;      /* The change staged before, of any key. */
    struct slice   key, value;
    bool           deleted;
    bool           existed;   /* Before the transaction. */
    uint64_t       create, mod, version, lease, old_lease;
    uint32_t       slot, txn;
};

struct batch {
    struct embedded   *e;
    struct arena       arena;
    struct staged     *last;               /* Newest change. */
    uint32_t           staged_count;
    struct pending    *pending[BATCH_TXNS_MAX];
    uint32_t           count;
    Rs__ControlCommit *commit[BATCH_TXNS_MAX];
    struct slice       packed[BATCH_TXNS_MAX];
    uint32_t           commit_count;
    size_t             bytes;
    uint64_t           revision;           /* Of the newest commit. */
    struct slice       record[BATCH_RECORDS_MAX];
    uint32_t           record_count;
};

/* --- Requests. --- */

struct pending *pending_new(struct embedded *e, enum pending_kind kind)
{
    struct pending *p = calloc(1, sizeof *p);

    (void)e;
    if (p == NULL)
        return NULL;
    p->refs = 1;
    p->kind = kind;
    arena_init(&p->arena, 2 * CONTROL_TXN_BYTES_MAX + 64 * 1024);
    return p;
}

struct pending *pending_unref(struct pending *p)
{
    if (p && --p->refs == 0) {
        arena_done(&p->arena);
        free(p);
    }
    return NULL;
}

static void answer(struct pending *p, int code)
{
    p->code = code;
    event_set(&p->done);
    pending_unref(p);
}

int embedded_submit(struct embedded *e, struct pending *p)
{
    if (e->failure)
        return e->failure;
    if (e->queued >= CONTROL_QUEUE_MAX)
        return -E_OVERLOAD;
    p->refs++;
    p->next = NULL;
    if (e->last)
        e->last->next = p;
    else
        e->first = p;
    e->last = p;
    e->queued++;
    waitq_wake_one(&e->work);
    /* Cancelled: the committer goes on with it, so nobody can say how it ended. */
    return event_wait(&p->done, TASK_FOREVER) ? -E_UNSURE : p->code;
}

static struct pending *dequeue(struct embedded *e)
{
    struct pending *p = e->first;

    e->first = p->next;
    if (e->first == NULL)
        e->last = NULL;
    e->queued--;
    return p;
}

static int copy_slice(struct arena *arena, struct slice *io)
{
    struct slice copy = arena_dup(arena, *io);
    if (copy.data == NULL)
        return -ENOMEM;
    *io = copy;
    return 0;
}

/* The caller may be cancelled and its memory go while the committer works: everything is copied. */
static int pending_fill(struct pending *p, const struct control_compare *compares, uint32_t compare_count,
                        const struct control_op *ops, uint32_t op_count)
{
    p->compares = arena_array(&p->arena, struct control_compare, compare_count + 1);
    p->ops = arena_array(&p->arena, struct control_op, op_count + 1);
    if (p->compares == NULL || p->ops == NULL)
        return -ENOMEM;
    for (; p->compare_count < compare_count; p->compare_count++) {
        struct control_compare *c = &p->compares[p->compare_count];
        *c = compares[p->compare_count];
        if (copy_slice(&p->arena, &c->key) || copy_slice(&p->arena, &c->value))
            return -ENOMEM;
    }
    for (; p->op_count < op_count; p->op_count++) {
        struct control_op *op = &p->ops[p->op_count];
        *op = ops[p->op_count];
        if (copy_slice(&p->arena, &op->key) || copy_slice(&p->arena, &op->value))
            return -ENOMEM;
    }
    return 0;
}

int embedded_txn(struct control *control, const struct control_compare *compares, uint32_t compare_count,
                 const struct control_op *ops, uint32_t op_count, uint64_t *ret_revision, uint32_t *ret_failed,
                 bool *ret_changed)
{
    struct embedded *e = (struct embedded *)control;
    struct pending  *p = pending_new(e, PENDING_TXN);

    if (p == NULL)
        return -ENOMEM;
    int rc = pending_fill(p, compares, compare_count, ops, op_count);
    if (rc == 0)
        rc = embedded_submit(e, p);
    if (rc == 0) {
        *ret_revision = p->revision;
        *ret_changed = p->changed;
    } else if (rc == -E_CONDITION) {
        *ret_failed = p->failed;
    }
    pending_unref(p);
    return rc;
}

/* --- Evaluation. --- */

/* The overlay slot of a key: where its newest change is, or an empty one. The table is never full, since a batch
 * stages far fewer keys than it has slots. */
static uint32_t overlay_slot(const struct batch *b, struct slice key)
{
    uint32_t slot = (uint32_t)XXH3_64bits(key.data, key.size) & (OVERLAY_SLOTS - 1);

    while (b->e->overlay[slot] && !slice_equal(b->e->overlay[slot]->key, key))
        slot = (slot + 1) & (OVERLAY_SLOTS - 1);
    return slot;
}

/* Reads a key as the batch sees it. The value is only valid until 'scratch' goes. -ENOENT. */
WAITS static int lookup(struct batch *b, struct slice key, struct arena *scratch, struct control_entry *ret)
{
    const struct staged *s = b->e->overlay[overlay_slot(b, key)];
    struct record_key    name;
    struct slice         packed;

    if (s) {
        if (s->deleted)
            return -ENOENT;
        *ret = (struct control_entry) { s->key, s->value, s->create, s->mod, s->version, s->lease };
        return 0;
    }
    record_key_data(&name, key);
    int rc = kv_get(b->e->kv, record_slice(&name), scratch, &packed);
    if (rc)
        return rc;
    Rs__ControlRecord *r = record_unpack(scratch, &rs__control_record__descriptor, packed);
    if (r == NULL)
        return -E_CORRUPT;
    *ret = (struct control_entry) { key, record_of_bin(r->value), r->create_revision, r->mod_revision, r->version,
                                    r->lease };
    return 0;
}

WAITS static int judge(struct batch *b, const struct control_compare *c)
{
    struct control_entry entry = { .mod_revision = 0 };
    struct arena         scratch;
    bool                 holds = false;

    arena_init(&scratch, LOOKUP_ARENA_MAX);
    int rc = lookup(b, c->key, &scratch, &entry);
    if (rc == 0 || rc == -ENOENT) {
        bool exists = rc == 0;
        switch (c->kind) {
        case CONTROL_IF_MISSING: holds = !exists; break;
        case CONTROL_IF_EXISTS: holds = exists; break;
        case CONTROL_IF_MOD_REVISION: holds = entry.mod_revision == c->revision; break;
        case CONTROL_IF_VALUE: holds = exists && slice_equal(entry.value, c->value); break;
        }
        rc = holds ? 0 : -E_CONDITION;
    }
    arena_done(&scratch);
    return rc;
}

/* Stages a new state of a key; a transaction's second change of a key replaces its first. */
WAITS static int stage(struct batch *b, uint32_t txn, struct slice key, const struct control_op *put)
{
    struct control_entry old = { .version = 0 };
    struct arena         scratch;
    uint32_t             slot = overlay_slot(b, key);
    struct staged       *s = b->e->overlay[slot];

    arena_init(&scratch, LOOKUP_ARENA_MAX);
    int  rc = lookup(b, key, &scratch, &old);
    bool exists = rc == 0;
    arena_done(&scratch);
    if (rc && rc != -ENOENT)
        return rc;
    if (!exists && put == NULL)
        return 0;   /* Deleting what is not there. */
    if (s == NULL || s->txn != txn) {
        /* More than a transaction may change is staged for a moment, to be refused as a whole. */
        if (b->staged_count >= BATCH_CHANGES_MAX + TXN_CHANGES_MAX)
            return -E_LIMIT;
        s = arena_new(&b->arena, struct staged);
        if (s == NULL)
            return -ENOMEM;
        s->shadow = b->e->overlay[slot];
        s->prev = b->last;
        s->key = key;
        s->slot = slot;
        s->txn = txn;
        s->existed = exists;
        s->old_lease = exists ? old.lease : 0;
        b->last = s;
        b->staged_count++;
        b->e->overlay[slot] = s;
    }
    s->deleted = put == NULL;
    s->value = put ? put->value : SLICE_NONE;
    s->lease = put ? put->lease : 0;
    s->mod = b->revision + 1;
    s->create = exists ? old.create_revision : s->mod;
    s->version = put == NULL ? 0 : exists ? old.version + 1 : 1;
    return 0;
}

struct collect {
    struct arena *arena;
    struct slice  key[CONTROL_DELETE_MAX + 1];
    uint32_t      count;
    size_t        skip;      /* Bytes of the index key before the name. */
    int           rc;
};

static bool collect_key(void *arg, struct slice key, struct slice value)
{
    struct collect *c = arg;

    (void)value;
    if (key.size < c->skip) {
        c->rc = -E_CORRUPT;
        return false;
    }
    c->key[c->count] = arena_dup(c->arena, slice_from(key, c->skip));
    if (c->key[c->count].data == NULL) {
        c->rc = -ENOMEM;
        return false;
    }
    return ++c->count <= CONTROL_DELETE_MAX;
}

/* Names below an index prefix, at most CONTROL_DELETE_MAX + 1 of them. */
WAITS static int collect_names(struct batch *b, struct slice prefix, size_t skip, struct collect **ret)
{
    struct slice    end;
    struct collect *c = arena_new(&b->arena, struct collect);

    if (c == NULL)
        return -ENOMEM;
    c->arena = &b->arena;
    c->skip = skip;
    int rc = control_prefix_end(&b->arena, prefix, &end);
    if (rc == 0)
        rc = kv_scan(b->e->kv, prefix, end, false, collect_key, c);
    if (rc == 0)
        rc = c->rc;
    if (rc == 0)
        *ret = c;
    return rc;
}

WAITS static int stage_delete_prefix(struct batch *b, uint32_t txn, struct slice prefix)
{
    struct record_key name;
    struct collect   *c;

    record_key_data(&name, prefix);
    int rc = collect_names(b, record_slice(&name), 1, &c);
    if (rc)
        return rc;
    /* Keys that only the batch knows so far; a key may be met twice, which does no harm. */
    for (struct staged *s = b->last; s && c->count <= CONTROL_DELETE_MAX; s = s->prev) {
        if (b->e->overlay[s->slot] == s && !s->deleted && slice_starts(s->key, prefix))
            c->key[c->count++] = s->key;
    }
    if (c->count > CONTROL_DELETE_MAX)
        return -E_LIMIT;
    for (uint32_t i = 0; i < c->count; i++) {
        rc = stage(b, txn, c->key[i], NULL);
        if (rc)
            return rc;
    }
    return 0;
}

WAITS static int stage_op(struct batch *b, uint32_t txn, const struct control_op *op)
{
    switch (op->kind) {
    case CONTROL_PUT:
        if (op->lease) {
            const struct lease *lease = lease_find(b->e, op->lease);
            if (lease == NULL || lease->ending)
                return -ENOENT;
            if (lease->keys >= CONTROL_LEASE_KEYS_MAX)
                return -E_LIMIT;
        }
        return stage(b, txn, op->key, op);
    case CONTROL_DELETE:
        return stage(b, txn, op->key, NULL);
    case CONTROL_DELETE_PREFIX:
        return stage_delete_prefix(b, txn, op->key);
    }
    return -EINVAL;
}

/* Undoes a transaction's changes, newest first, which restores the overlay exactly. */
static void unstage(struct batch *b, struct staged *until)
{
    while (b->last != until) {
        b->e->overlay[b->last->slot] = b->last->shadow;
        b->last = b->last->prev;
        b->staged_count--;
    }
}

/* Makes the commit of what was staged since 'until', oldest first. */
static int make_commit(struct batch *b, struct staged *until, Rs__ControlCommit *commit)
{
    uint32_t n = 0;

    for (struct staged *s = b->last; s != until; s = s->prev)
        n += s->existed || !s->deleted;
    commit->changes = arena_array(&b->arena, Rs__ControlChange *, n + 1);
    if (commit->changes == NULL)
        return -ENOMEM;
    commit->n_changes = n;
    for (struct staged *s = b->last; s != until; s = s->prev) {
        if (!s->existed && s->deleted)
            continue;   /* Came and went inside the transaction. */
        Rs__ControlChange *change = arena_new(&b->arena, Rs__ControlChange);
        if (change == NULL)
            return -ENOMEM;
        rs__control_change__init(change);
        change->key = record_bin(s->key);
        change->value = record_bin(s->value);
        change->deleted = s->deleted;
        change->create_revision = s->create;
        change->version = s->version;
        change->lease = s->lease;
        change->old_lease = s->old_lease;
        commit->changes[--n] = change;
    }
    commit->revision = commit->n_changes ? b->revision + 1 : 0;
    return 0;
}

static int add_commit(struct batch *b, Rs__ControlCommit *commit)
{
    struct slice packed = record_pack(&b->arena, &commit->base);

    if (packed.data == NULL)
        return -ENOMEM;
    if (packed.size > COMMIT_BYTES_MAX)
        return -E_LIMIT;
    int rc = apply_pieces(&b->arena, packed, b->record, &b->record_count, BATCH_RECORDS_MAX);
    if (rc)
        return rc;
    b->commit[b->commit_count] = commit;
    b->packed[b->commit_count++] = packed;
    b->bytes += packed.size;
    if (commit->revision)
        b->revision = commit->revision;
    return 0;
}

WAITS static int evaluate_txn(struct batch *b, struct pending *p, Rs__ControlCommit *commit)
{
    struct staged *until = b->last;

    for (uint32_t i = 0; i < p->compare_count; i++) {
        int rc = judge(b, &p->compares[i]);
        p->failed = i;
        if (rc)
            return rc;
    }
    int rc = 0;
    for (uint32_t i = 0; i < p->op_count && rc == 0; i++)
        rc = stage_op(b, b->count, &p->ops[i]);
    if (rc == 0)
        rc = make_commit(b, until, commit);
    if (rc == 0 && commit->n_changes > TXN_CHANGES_MAX)
        rc = -E_LIMIT;
    if (rc == 0 && commit->n_changes) {
        rc = add_commit(b, commit);
        p->changed = true;
    }
    if (rc)
        unstage(b, until);
    p->revision = b->revision;
    return rc;
}

static int commit_lease(struct batch *b, Rs__ControlCommit *commit, uint64_t id, uint32_t ttl_s, bool removed)
{
    commit->leases = arena_array(&b->arena, Rs__ControlLease *, 1);
    Rs__ControlLease *lease = arena_new(&b->arena, Rs__ControlLease);

    if (commit->leases == NULL || lease == NULL)
        return -ENOMEM;
    rs__control_lease__init(lease);
    lease->id = id;
    lease->ttl_s = ttl_s;
    lease->removed = removed;
    commit->leases[0] = lease;
    commit->n_leases = 1;
    return 0;
}

static int evaluate_grant(struct batch *b, struct pending *p, Rs__ControlCommit *commit)
{
    if (b->e->lease_count >= CONTROL_LEASES_MAX)
        return -E_LIMIT;
    do {
        p->lease = env_random64(b->e->base.env);
    } while (p->lease == 0 || lease_find(b->e, p->lease));
    int rc = commit_lease(b, commit, p->lease, p->ttl_s, false);
    if (rc)
        return rc;
    struct lease *lease = lease_add(b->e, p->lease, p->ttl_s);
    if (lease == NULL)
        return -ENOMEM;
    lease->ending = true;   /* Not to be used before it is durable. */
    rc = add_commit(b, commit);
    if (rc)
        lease_remove(b->e, p->lease);
    return rc;
}

/* The first of its batch, so that every key of the lease is in the index. Deletes some of them at one revision; the
 * lease itself goes with the last ones. -EAGAIN: there are more. */
WAITS static int evaluate_end(struct batch *b, struct pending *p, Rs__ControlCommit *commit)
{
    struct lease     *lease = lease_find(b->e, p->lease);
    struct staged    *until = b->last;
    struct record_key name;
    struct collect   *c;

    if (lease == NULL)
        return -ENOENT;
    if (p->kind == PENDING_LEASE_EXPIRE && !lease->ending && lease->deadline > env_now(b->e->base.env))
        return 0;   /* Kept alive while this was queued. */
    lease->ending = true;
    record_key_lease_key(&name, p->lease, SLICE_NONE);
    int rc = collect_names(b, record_slice(&name), 9, &c);
    if (rc)
        return rc;
    uint32_t n = c->count < CONTROL_DELETE_MAX ? c->count : CONTROL_DELETE_MAX;
    for (uint32_t i = 0; i < n && rc == 0; i++)
        rc = stage(b, b->count, c->key[i], NULL);
    if (rc == 0)
        rc = make_commit(b, until, commit);
    if (rc == 0 && n == c->count)
        rc = commit_lease(b, commit, p->lease, lease->ttl_s, true);
    if (rc == 0)
        rc = add_commit(b, commit);
    if (rc) {
        unstage(b, until);
        return rc;
    }
    p->changed = n < c->count;   /* More to do: see lease.c. */
    p->revision = b->revision;
    return 0;
}

WAITS static int evaluate(struct batch *b, struct pending *p)
{
    Rs__ControlCommit *commit = arena_new(&b->arena, Rs__ControlCommit);

    if (commit == NULL)
        return -ENOMEM;
    rs__control_commit__init(commit);
    switch (p->kind) {
    case PENDING_TXN: return evaluate_txn(b, p, commit);
    case PENDING_LEASE_GRANT: return evaluate_grant(b, p, commit);
    case PENDING_LEASE_REVOKE:
    case PENDING_LEASE_EXPIRE: return evaluate_end(b, p, commit);
    }
    return -EINVAL;
}

/* --- Making it durable and visible. --- */

static int build_index_batch(struct batch *b, struct kv_batch *kvb, struct history *history)
{
    struct embedded *e = b->e;
    int              rc;

    for (uint32_t i = 0; i < b->commit_count; i++) {
        rc = apply_to_batch(kvb, &b->arena, b->commit[i], b->packed[i]);
        if (rc == 0 && b->commit[i]->revision)
            rc = apply_history(e, kvb, history, b->commit[i]->revision, b->packed[i].size);
        if (rc)
            return rc;
    }
    /* Room for the meta record is taken now, when a failure is still harmless; the position is known later. */
    return apply_meta(kvb, &b->arena, history->revision, e->lsn, history->compacted);
}

WAITS static int write_index(struct batch *b, struct kv_batch *kvb, const struct history *history, uint64_t lsn)
{
    struct embedded *e = b->e;
    int              rc = apply_meta(kvb, &b->arena, history->revision, lsn, history->compacted);

    e->applying = true;
    while (rc == 0 && e->readers)
        rc = waitq_wait(&e->gate, TASK_FOREVER);
    if (rc == 0)
        rc = kv_write(e->kv, kvb);
    if (rc == 0) {
        e->revision = history->revision;
        e->compacted = history->compacted;
        e->history_bytes = history->bytes;
        e->lsn = lsn;
    }
    e->applying = false;
    waitq_wake_all(&e->gate);
    return rc;
}

static void fail_store(struct embedded *e, int rc, const char *what)
{
    if (e->failure)
        return;
    e->failure = rc == -ECANCELED ? rc : -E_DEVICE;
    if (rc != -ECANCELED)
        log_error("control.failed", "step=%s error=%s note=\"the control store refuses writes until restarted\"",
                  what, error_name(rc));
}

/* 0; or why: -ENOSPC and the like when nothing happened, -E_UNSURE when it may have. */
WAITS static int persist(struct batch *b)
{
    struct embedded *e = b->e;
    struct history   history = { e->revision, e->compacted, e->history_bytes };
    struct kv_batch *kvb = kv_batch_new();
    uint64_t         lsn;

    if (kvb == NULL)
        return -ENOMEM;
    int rc = build_index_batch(b, kvb, &history);
    if (rc)
        goto out;
    rc = journal_append(e->journal, b->record, b->record_count, &lsn);
    if (rc) {
        if (rc != -ENOSPC) {
            fail_store(e, rc, "journal");
            rc = -E_UNSURE;
        }
        goto out;
    }
    rc = write_index(b, kvb, &history, lsn);
    if (rc) {
        fail_store(e, rc, "index");
        rc = -E_UNSURE;
        goto out;
    }
    for (uint32_t i = 0; i < b->commit_count; i++) {
        apply_to_leases(e, b->commit[i]);
        if (b->commit[i]->revision)
            watch_publish(e, b->commit[i], b->packed[i]);
    }
    counter_inc(control_batches);
    counter_add(control_commits, b->commit_count);
out:
    kv_batch_free(kvb);
    return rc;
}

/* A grant becomes usable, a removal that failed is undone. */
static void settle_lease(struct embedded *e, const struct pending *p, int code)
{
    if (p->kind == PENDING_TXN)
        return;
    struct lease *lease = lease_find(e, p->lease);
    if (lease == NULL)
        return;
    if (p->kind == PENDING_LEASE_GRANT && code) {
        lease_remove(e, p->lease);
    } else if (p->kind == PENDING_LEASE_GRANT) {
        lease->ending = false;
        lease->deadline = env_now(e->base.env) + lease->ttl_s * NS_PER_S;
        waitq_wake_all(&e->lease_work);
    } else if (code) {
        lease->ending = false;
    }
}

WAITS static void run_batch(struct embedded *e, struct batch *b)
{
    memset(b, 0, sizeof *b);
    b->e = e;
    b->revision = e->revision;
    arena_init(&b->arena, BATCH_ARENA_MAX);

    int code[BATCH_TXNS_MAX];
    while (e->first && b->count < BATCH_TXNS_MAX && b->bytes < BATCH_BYTES_MAX &&
           b->staged_count < BATCH_CHANGES_MAX) {
        if (e->first->kind >= PENDING_LEASE_REVOKE && b->count)
            break;   /* Needs the index without an overlay. */
        struct pending *p = dequeue(e);
        code[b->count] = evaluate(b, p);
        b->pending[b->count++] = p;
    }
    int rc = b->commit_count ? persist(b) : 0;

    while (b->last) {
        e->overlay[b->last->slot] = NULL;
        b->last = b->last->prev;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        struct pending *p = b->pending[i];
        /* What was judged on an overlay that did not become true has no judgement. */
        int result = rc && (code[i] == 0 || code[i] == -E_CONDITION) ? rc : code[i];
        if (result == -E_CONDITION)
            counter_inc(control_conditions);
        settle_lease(e, p, result);
        answer(p, result);
    }
    arena_done(&b->arena);
}

/* Bounds the journal: what the index has made durable need not be replayed. */
WAITS static void checkpoint(struct embedded *e)
{
    if (e->failure || journal_bytes_untrimmed(e->journal) < JOURNAL_SEGMENT_BYTES)
        return;
    int rc = kv_flush(e->kv);
    if (rc)
        fail_store(e, rc, "flush");
    else
        journal_trim(e->journal, e->lsn);
}

void committer_run(void *arg)
{
    struct embedded *e = arg;
    struct batch    *b = malloc(sizeof *b);

    while (b && !e->failure) {
        if (e->first == NULL) {
            if (e->base.closing || waitq_wait(&e->work, TASK_FOREVER))
                break;
            continue;
        }
        run_batch(e, b);
        checkpoint(e);
    }
    if (e->failure == 0)
        e->failure = b ? -E_CLOSED : -ENOMEM;
    while (e->first)
        answer(dequeue(e), e->failure);
    free(b);
    embedded_task_ended(e);
}
