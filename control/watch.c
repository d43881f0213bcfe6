/* control/watch.c - watches of the embedded store.
 *
 * A watch is only a position in the sequence of revisions: it pulls the next
 * commit, from the recent ones in memory or from the history in the index. So a
 * slow watcher costs nothing, and one that falls behind history is told so. */
#include <stdlib.h>

#include "base/counter.h"
#include "control/internal.h"

COUNTER(control_watch_compacted, "Control watches that fell behind the kept history.");

struct embedded_watch {
    struct control_watch base;
    struct commit       *commit;   /* The one that is being delivered. */
    size_t               index;    /* Its next change to look at. */
};

/* --- Commits. --- */

struct commit *commit_new(uint64_t revision, struct slice packed)
{
    struct commit *commit = calloc(1, sizeof *commit);
    uint8_t       *copy = malloc(packed.size ? packed.size : 1);

    if (commit == NULL || copy == NULL) {
        free(commit);
        free(copy);
        return NULL;
    }
    if (packed.size)
        memcpy(copy, packed.data, packed.size);
    commit->refs = 1;
    commit->revision = revision;
    commit->packed = slice_of(copy, packed.size);
    arena_init(&commit->arena, 4 * COMMIT_BYTES_MAX);
    return commit;
}

struct commit *commit_ref(struct commit *commit)
{
    commit->refs++;
    return commit;
}

struct commit *commit_unref(struct commit *commit)
{
    if (commit && --commit->refs == 0) {
        arena_done(&commit->arena);
        free((void *)(uintptr_t)commit->packed.data);
        free(commit);
    }
    return NULL;
}

const Rs__ControlCommit *commit_message(struct commit *commit)
{
    if (commit->message == NULL)
        commit->message = record_unpack(&commit->arena, &rs__control_commit__descriptor, commit->packed);
    return commit->message;
}

/* --- Publishing. --- */

static void drop_oldest(struct embedded *e)
{
    struct commit **slot = &e->recent[e->recent_first++ % CONTROL_WATCH_QUEUE_MAX];

    if (*slot) {
        e->recent_bytes -= (*slot)->packed.size;
        *slot = commit_unref(*slot);
    }
}

static bool concerns(const Rs__ControlCommit *commit, struct slice prefix)
{
    for (size_t i = 0; i < commit->n_changes; i++) {
        if (slice_starts(record_of_bin(commit->changes[i]->key), prefix))
            return true;
    }
    return false;
}

void watch_publish(struct embedded *e, const Rs__ControlCommit *commit, struct slice packed)
{
    struct commit *copy = commit_new(commit->revision, packed);

    /* Without memory the commit is simply not among the recent ones: watches read it from the index. */
    if (commit->revision - e->recent_first >= CONTROL_WATCH_QUEUE_MAX)
        drop_oldest(e);
    e->recent[commit->revision % CONTROL_WATCH_QUEUE_MAX] = copy;
    e->recent_bytes += copy ? packed.size : 0;
    while (e->recent_bytes > CONTROL_WATCH_BYTES_MAX && e->recent_first < commit->revision)
        drop_oldest(e);

    for (struct control_watch *w = e->watches; w; w = w->next) {
        if (!w->waiting)
            continue;
        if (w->position + 1 == commit->revision && !concerns(commit, w->prefix))
            w->position = commit->revision;   /* Stays asleep. */
        else
            waitq_wake_all(&w->q);
    }
}

void watch_close_all(struct embedded *e)
{
    while (e->watches) {
        struct control_watch *w = e->watches;
        e->watches = w->next;
        w->next = w->prev = NULL;
        w->control = NULL;
        waitq_wake_all(&w->q);
    }
    while (e->recent_first <= e->revision)
        drop_oldest(e);
}

/* --- Following. --- */

int embedded_watch(struct control *control, struct slice prefix, uint64_t after, struct control_watch **ret)
{
    struct embedded       *e = (struct embedded *)control;
    struct embedded_watch *w;
    uint8_t               *copy;

    if (e->watch_count >= CONTROL_WATCHES_MAX)
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
    w->base.next = e->watches;
    if (e->watches)
        e->watches->prev = &w->base;
    e->watches = &w->base;
    e->watch_count++;
    *ret = &w->base;
    return 0;
}

void embedded_watch_free(struct control_watch *watch)
{
    struct embedded_watch *w = (struct embedded_watch *)watch;
    struct embedded       *e = (struct embedded *)watch->control;

    if (e) {
        if (watch->prev)
            watch->prev->next = watch->next;
        else
            e->watches = watch->next;
        if (watch->next)
            watch->next->prev = watch->prev;
        e->watch_count--;
    }
    commit_unref(w->commit);
    free((void *)(uintptr_t)watch->prefix.data);
    free(w);
}

/* The commit of a revision that is applied. -E_COMPACTED when history lost it meanwhile. */
WAITS static int load(struct embedded *e, uint64_t revision, struct commit **ret_commit)
{
    struct commit    *commit = e->recent[revision % CONTROL_WATCH_QUEUE_MAX];
    struct record_key key;
    struct arena      arena;
    struct slice      packed;

    if (revision >= e->recent_first && commit && commit->revision == revision) {
        *ret_commit = commit_ref(commit);
        return 0;
    }
    arena_init(&arena, 2 * COMMIT_BYTES_MAX);
    record_key_history(&key, revision);
    int rc = kv_get(e->kv, record_slice(&key), &arena, &packed);
    if (rc == 0) {
        commit = commit_new(revision, packed);
        rc = commit ? 0 : -ENOMEM;
    } else if (rc == -ENOENT) {
        rc = -E_COMPACTED;
    }
    arena_done(&arena);
    if (rc == 0)
        *ret_commit = commit;
    return rc;
}

static size_t next_match(const Rs__ControlCommit *commit, size_t from, struct slice prefix)
{
    while (from < commit->n_changes && !slice_starts(record_of_bin(commit->changes[from]->key), prefix))
        from++;
    return from;
}

/* Delivers the next change of the commit at hand; false when none is left. */
static bool deliver(struct embedded_watch *w, struct control_change *ret)
{
    const Rs__ControlCommit *commit = commit_message(w->commit);
    size_t                   i = next_match(commit, w->index, w->base.prefix);

    if (i == commit->n_changes) {
        w->base.position = commit->revision;
        w->commit = commit_unref(w->commit);
        return false;
    }
    const Rs__ControlChange *change = commit->changes[i];
    w->index = i + 1;
    *ret = (struct control_change) {
        .deleted = change->deleted,
        .last = next_match(commit, i + 1, w->base.prefix) == commit->n_changes,
        .revision = commit->revision,
        .entry = { .key = record_of_bin(change->key), .value = record_of_bin(change->value),
                   .create_revision = change->create_revision, .mod_revision = commit->revision,
                   .version = change->version, .lease = change->lease },
    };
    return true;
}

int embedded_watch_next(struct control_watch *watch, int64_t deadline, struct control_change *ret_change)
{
    struct embedded_watch *w = (struct embedded_watch *)watch;

    for (;;) {
        struct embedded *e = (struct embedded *)watch->control;
        if (e == NULL)
            return -E_CLOSED;
        if (w->commit) {
            if (deliver(w, ret_change))
                return 0;
            continue;
        }
        if (watch->position > e->revision || watch->position < e->compacted) {
            counter_inc(control_watch_compacted);
            return -E_COMPACTED;
        }
        int rc;
        if (watch->position == e->revision) {
            watch->waiting = true;
            rc = waitq_wait(&watch->q, deadline);
            watch->waiting = false;
        } else {
            rc = load(e, watch->position + 1, &w->commit);
            w->index = 0;
            if (rc == 0 && commit_message(w->commit) == NULL) {
                w->commit = commit_unref(w->commit);
                rc = -E_CORRUPT;
            }
        }
        if (rc)
            return rc;
    }
}
