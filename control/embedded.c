/* control/embedded.c - the store in this process: opening, reading, closing.
 *
 *   PATH/journal/   what was committed since the last flush of the index
 *   PATH/index/     everything else (control/record.c)
 *
 * Tasks: the committer (commit.c) and the one that lets leases expire (lease.c). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "control/internal.h"

enum { ENTRY_OVERHEAD = 48 };   /* Bytes of an entry in a remote answer besides key and value. */

static const struct control_ops embedded_ops;

/* --- Reading. --- */

WAITS static int embedded_get(struct control *control, struct slice key, struct arena *arena,
                              struct control_entry *ret_entry)
{
    struct embedded  *e = (struct embedded *)control;
    struct record_key name;
    struct arena      scratch;
    struct slice      packed, copy = arena_dup(arena, key);

    if (copy.data == NULL)
        return -ENOMEM;
    arena_init(&scratch, 2 * CONTROL_VALUE_MAX);
    record_key_data(&name, key);
    int rc = kv_get(e->kv, record_slice(&name), &scratch, &packed);
    if (rc == 0) {
        Rs__ControlRecord *r = record_unpack(arena, &rs__control_record__descriptor, packed);
        if (r)
            *ret_entry = (struct control_entry) { copy, record_of_bin(r->value), r->create_revision,
                                                  r->mod_revision, r->version, r->lease };
        else
            rc = arena->limit - arena->used < packed.size + 256 ? -ENOMEM : -E_CORRUPT;
    }
    arena_done(&scratch);
    return rc;
}

struct collect {
    struct arena         *arena;
    struct control_entry *entry;      /* Grows by doubling. */
    uint32_t              count, capacity, limit;
    size_t                bytes, bytes_max;
    bool                  more;
    int                   rc;
};

static bool collect_grow(struct collect *c)
{
    uint32_t              capacity = c->capacity ? 2 * c->capacity : 16;
    struct control_entry *grown = realloc(c->entry, capacity * sizeof *grown);

    if (grown == NULL)
        return false;
    c->entry = grown;
    c->capacity = capacity;
    return true;
}

/* May run on a worker while the asking task waits; the arena is lent to it. */
static bool collect_entry(void *arg, struct slice key, struct slice value)
{
    struct collect *c = arg;

    size_t bytes = key.size + value.size + ENTRY_OVERHEAD;
    if (c->count == c->limit || (c->count && c->bytes + bytes > c->bytes_max)) {
        c->more = true;
        return false;
    }
    c->rc = -ENOMEM;
    if (c->count == c->capacity && !collect_grow(c))
        return false;
    struct slice       name = arena_dup(c->arena, slice_from(key, 1));
    Rs__ControlRecord *r = record_unpack(c->arena, &rs__control_record__descriptor, value);
    if (name.data == NULL || r == NULL)
        return false;
    c->bytes += bytes;
    c->entry[c->count++] = (struct control_entry) { name, record_of_bin(r->value), r->create_revision,
                                                    r->mod_revision, r->version, r->lease };
    c->rc = 0;
    return true;
}

/* Ranges see the index between two batches, never a part of one; see 'applying'. */
WAITS static int range_begin(struct embedded *e)
{
    while (e->applying) {
        int rc = waitq_wait(&e->gate, TASK_FOREVER);
        if (rc)
            return rc;
    }
    e->readers++;
    return 0;
}

static void range_end(struct embedded *e)
{
    if (--e->readers == 0)
        waitq_wake_all(&e->gate);
}

WAITS static int embedded_range(struct control *control, struct slice from, struct slice to, uint32_t limit,
                                size_t bytes_max, struct arena *arena, struct control_entry **ret_entries,
                                uint32_t *ret_count, bool *ret_more, uint64_t *ret_revision)
{
    struct embedded  *e = (struct embedded *)control;
    struct record_key first, end;
    struct collect    c = { .arena = arena, .limit = limit, .bytes_max = bytes_max };

    record_key_data(&first, from);
    record_key_data(&end, to);
    if (to.size == 0)
        end.byte[0] = 'd' + 1;
    else if (slice_compare(from, to) >= 0)
        end = first;
    int rc = range_begin(e);
    if (rc)
        return rc;
    uint64_t revision = e->revision;
    if (slice_compare(record_slice(&first), record_slice(&end)) < 0)
        rc = kv_scan(e->kv, record_slice(&first), record_slice(&end), false, collect_entry, &c);
    range_end(e);
    if (rc == 0)
        rc = c.rc;
    struct control_entry *entries = rc == 0 ? arena_array(arena, struct control_entry, c.count + 1) : NULL;
    if (rc == 0 && entries == NULL)
        rc = -ENOMEM;
    if (rc == 0) {
        if (c.count)
            memcpy(entries, c.entry, c.count * sizeof *entries);
        *ret_entries = entries;
        *ret_count = c.count;
        *ret_more = c.more;
        *ret_revision = revision;
    }
    free(c.entry);
    return rc;
}

/* --- Opening. --- */

WAITS static int load_meta(struct embedded *e, struct error *err)
{
    struct record_key key;
    struct arena      arena;
    struct slice      packed;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    record_key_meta(&key);
    int rc = kv_get(e->kv, record_slice(&key), &arena, &packed);
    if (rc == 0) {
        Rs__ControlMeta *meta = record_unpack(&arena, &rs__control_meta__descriptor, packed);
        if (meta == NULL) {
            rc = error_set(err, -E_CORRUPT, "the control store's meta record is damaged");
        } else if (meta->format > CONTROL_FORMAT) {
            rc = error_set(err, -E_TOO_NEW, "the control store has format %u; this program knows %u", meta->format,
                           CONTROL_FORMAT);
        } else {
            e->revision = meta->revision;
            e->lsn = meta->lsn;
            e->compacted = meta->compacted;
        }
    } else if (rc == -ENOENT) {
        rc = 0;   /* New, or never flushed: then the journal has everything. */
    } else {
        error_set(err, rc, "the control store's index cannot be read");
    }
    arena_done(&arena);
    return rc;
}

struct load {
    struct embedded *e;
    struct arena    *arena;
    int              rc;
};

static bool load_history_size(void *arg, struct slice key, struct slice value)
{
    struct load *l = arg;

    if (key.size == 9) {
        l->e->history_size[record_u64(key.data + 1) % HISTORY_SLOTS] = (uint32_t)value.size;
        l->e->history_bytes += value.size;
    }
    return true;
}

static bool load_lease(void *arg, struct slice key, struct slice value)
{
    struct load       *l = arg;
    Rs__ControlLease  *lease = record_unpack(l->arena, &rs__control_lease__descriptor, value);

    if (lease == NULL || key.size != 9 || lease->id != record_u64(key.data + 1)) {
        l->rc = -E_CORRUPT;
        return false;
    }
    if (lease_add(l->e, lease->id, lease->ttl_s) == NULL)
        l->rc = -ENOMEM;
    return l->rc == 0;
}

static bool load_lease_key(void *arg, struct slice key, struct slice value)
{
    struct load  *l = arg;
    struct lease *lease = key.size >= 9 ? lease_find(l->e, record_u64(key.data + 1)) : NULL;

    (void)value;
    if (lease)
        lease->keys++;
    return true;
}

WAITS static int load_all(struct embedded *e, char kind, kv_visit visit)
{
    uint8_t      from = (uint8_t)kind, to = (uint8_t)(kind + 1);
    struct arena arena;
    struct load  load = { .e = e, .arena = &arena };

    arena_init(&arena, 16 * 1024 * 1024);
    int rc = kv_scan(e->kv, slice_of(&from, 1), slice_of(&to, 1), false, visit, &load);
    arena_done(&arena);
    return rc ? rc : load.rc;
}

/* The directory that a path is in: "." for a path without one. */
static void parent_of(const char *path, char ret[ENV_PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    snprintf(ret, ENV_PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (slash == path)
        snprintf(ret, ENV_PATH_MAX, "/");
}

WAITS static int open_files(struct embedded *e, const char *path, const struct kv_backend *backend,
                            struct error *err)
{
    char journal_path[ENV_PATH_MAX], index_path[ENV_PATH_MAX];

    if (snprintf(journal_path, sizeof journal_path, "%s/journal", path) >= (int)sizeof journal_path ||
        snprintf(index_path, sizeof index_path, "%s/index", path) >= (int)sizeof index_path)
        return error_set(err, -ENAMETOOLONG, "path of the control store is too long");
    int rc = env_mkdir(e->base.env, path);
    if (rc)
        return error_set(err, rc, "cannot create %s: %s", path, error_text(rc));
    char parent[ENV_PATH_MAX];
    parent_of(path, parent);
    rc = env_sync_dir(e->base.env, parent);   /* Also when it was there: whoever made it may have died before this. */
    if (rc)
        return error_set(err, rc, "cannot sync %s: %s", parent, error_text(rc));
    rc = kv_open(backend ? backend : &kv_rocks, e->base.env, index_path, NULL, &e->kv, err);
    if (rc == 0)
        rc = load_meta(e, err);
    if (rc == 0) {
        rc = load_all(e, 'h', load_history_size);
        if (rc)
            error_set(err, rc, "the control store's history cannot be read");
    }
    if (rc)
        return rc;
    struct journal_options options = { .path = journal_path, .segment_bytes = JOURNAL_SEGMENT_BYTES,
                                       .segments = JOURNAL_SEGMENTS, .applied_lsn = e->lsn };
    rc = journal_open(e->base.env, &options, apply_replay, e, &e->journal, err);
    free((void *)(uintptr_t)e->replay.data);
    e->replay = SLICE_NONE;
    if (rc)
        return rc;
    rc = env_sync_dir(e->base.env, path);   /* The names of journal and index. */
    if (rc)
        return error_set(err, rc, "cannot sync %s: %s", path, error_text(rc));
    if (journal_last(e->journal) < e->lsn)
        return error_set(err, -E_CORRUPT, "%s/journal is missing or older than %s/index", path, path);
    rc = load_all(e, 'l', load_lease);
    if (rc == 0)
        rc = load_all(e, 'k', load_lease_key);
    return rc ? error_set(err, rc, "the control store's leases cannot be read") : 0;
}

WAITS static void free_store(struct embedded *e)
{
    if (e->journal)
        journal_close(e->journal);
    kv_close(e->kv);
    lease_free_all(e);
    free((void *)(uintptr_t)e->replay.data);
    free(e->overlay);
    free(e);
}

void embedded_task_ended(struct embedded *e)
{
    e->tasks--;
    if (e->base.closer)
        task_unpark(e->base.closer);
}

WAITS static void wait_for_tasks(struct embedded *e)
{
    e->base.closer = task_self();
    while (e->tasks)
        task_park_shielded();
    e->base.closer = NULL;
}

WAITS static void stop_tasks(struct embedded *e)
{
    e->base.closing = true;
    waitq_wake_all(&e->work);
    waitq_wake_all(&e->lease_work);
    wait_for_tasks(e);
}

WAITS static int start_tasks(struct embedded *e)
{
    e->tasks = 1;
    int rc = env_spawn(e->base.env, "control.commit", committer_run, e);
    if (rc) {
        e->tasks = 0;
        return rc;
    }
    e->tasks++;
    rc = env_spawn(e->base.env, "control.lease", lease_run, e);
    if (rc) {
        e->tasks--;
        stop_tasks(e);
    }
    return rc;
}

int control_open_embedded(struct env *env, const char *path, const struct kv_backend *backend,
                          struct control **ret_control, struct error *err)
{
    struct embedded *e = calloc(1, sizeof *e);

    if (e == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    e->base.ops = &embedded_ops;
    e->base.env = env;
    e->incarnation = env_random64(env) | 1;   /* 0 means unknown. */
    e->overlay = calloc(OVERLAY_SLOTS, sizeof *e->overlay);
    int rc = e->overlay ? open_files(e, path, backend, err) : error_set(err, -ENOMEM, "out of memory");
    if (rc == 0) {
        e->recent_first = e->revision + 1;
        rc = start_tasks(e);
        if (rc)
            error_set(err, rc, "cannot start the control store's tasks");
    }
    if (rc) {
        free_store(e);
        return rc;
    }
    log_info("control.open", "path=%s revision=%llu leases=%u", path, (unsigned long long)e->revision,
             e->lease_count);
    *ret_control = &e->base;
    return 0;
}

WAITS static void embedded_close(struct control *control)
{
    struct embedded *e = (struct embedded *)control;

    e->base.closing = true;
    watch_close_all(e);
    stop_tasks(e);
    control_drain(control);
    /* The next start then has nothing to replay. A failure only means that it has. */
    if ((e->failure == 0 || e->failure == -E_CLOSED) && kv_flush(e->kv) == 0)
        journal_trim(e->journal, e->lsn);
    control_service_free(e->service);
    free_store(e);
}

static const struct control_ops embedded_ops = {
    .get = embedded_get,
    .range = embedded_range,
    .txn = embedded_txn,
    .watch = embedded_watch,
    .watch_next = embedded_watch_next,
    .watch_free = embedded_watch_free,
    .lease_grant = embedded_lease_grant,
    .lease_keep = embedded_lease_keep,
    .lease_revoke = embedded_lease_revoke,
    .close = embedded_close,
};
