/* proxy/s3/lifecycle_work.c - see lifecycle_work.h. */
#include <stdlib.h>

#include "base/counter.h"
#include "base/log.h"
#include "proxy/object/manifest.h"
#include "proxy/s3/lifecycle_index.h"
#include "proxy/s3/lifecycle_work.h"

COUNTER(lifecycle_expired, "Current objects that lifecycle rules removed.");
COUNTER(lifecycle_noncurrent_expired, "Noncurrent versions that lifecycle rules removed.");
COUNTER(lifecycle_markers_expired, "Delete markers without versions that lifecycle rules removed.");
COUNTER(lifecycle_moved, "Versions that lifecycle rules gave another storage class.");
COUNTER(lifecycle_uploads_aborted, "Multipart uploads that lifecycle rules aborted.");
COUNTER(lifecycle_locked, "Removals that were due but that object lock forbids.");
COUNTER(lifecycle_buckets, "Buckets that were looked through for lifecycle rules.");
COUNTER(lifecycle_failures, "Buckets whose lifecycle pass was cut short by an error; the next pass takes them up.");

enum {
    STEP_MS = 20000,                     /* Deadline of one step on the rows. */
    INDEX_PAGE = 100,
    RULES_ARENA_BYTES = 2 * 1024 * 1024,
    PAGE_ARENA_BYTES = 16 * 1024 * 1024,
    STALE_MAX = 100,                     /* Changes of a bucket's configuration during one pass. */
    PACE_AHEAD_MS = 50                   /* Actions are done in bursts of about that. */
};

/* One worker's pace: 'next' is when the next action may be done. */
struct pace {
    struct env *env;
    int64_t     next;
};

WAITS static int pace_take(struct pace *pace, uint32_t actions)
{
    int64_t now = env_now(pace->env);

    if (pace->next < now)
        pace->next = now;
    pace->next += actions * (NS_PER_S / LIFECYCLE_ACTIONS_PER_S);
    return pace->next > now + PACE_AHEAD_MS * NS_PER_MS ? task_sleep_until(pace->next) : 0;
}

/* --- One bucket. --- */

struct visit {
    const struct lifecycle_options *options;
    struct object_service          *os;
    struct env                     *env;
    const struct lifecycle_entry   *entry;
    struct pace                    *pace;
    uint64_t                        holder;
    int64_t                         leased;      /* env_now() of the last renewal. */
    struct arena                    rules_arena, page;
    struct container               *container;
    struct lifecycle               *rules;       /* In 'rules_arena'. */
    uint32_t                        stale;       /* Times that the configuration changed on the way. */

    /* Where we are in the list of versions, and what is known about the name there. */
    char               after[OBJECT_NAME_MAX];
    size_t             after_size;
    struct version_ref after_version;
    bool               begun;
    uint64_t           newer_us;                 /* When the next newer version of that name was made. */
    uint32_t           newer;                    /* Newer noncurrent versions of that name. */
    /* Where we are in the list of uploads. */
    uint8_t            after_id[UPLOAD_ID_BYTES];
    struct error       err;
};

static int64_t step_deadline(const struct visit *v)
{
    return env_now(v->env) + STEP_MS * NS_PER_MS;
}

static uint64_t wall_us(const struct visit *v)
{
    return (uint64_t)(env_wall(v->env) / NS_PER_US);
}

/* Opens the bucket and reads its rules. -ENOENT: there is no bucket, or it has no rules. */
WAITS static int visit_open(struct visit *v, bool fresh)
{
    struct slice document;
    int rc = container_open(v->os, v->entry->account, v->entry->bucket, fresh, step_deadline(v), &v->container, &v->err);

    if (rc)
        return rc;
    document = container_document(v->container, SLICE("lifecycle"));
    if (document.size == 0)
        return -ENOENT;
    arena_reset(&v->rules_arena);
    rc = lifecycle_parse(&v->rules_arena, document, &v->rules, &v->err);
    return rc > 0 ? -E_CORRUPT : rc;   /* It was checked when it was stored. */
}

/* After -E_STALE: the bucket and its rules as they are now. What was done stays done. */
WAITS static int visit_again(struct visit *v)
{
    if (++v->stale > STALE_MAX)
        return -E_STALE;
    container_forget(v->os, v->container);
    v->container = container_unref(v->container);
    return visit_open(v, true);
}

/* Renews the lease when a third of it is gone. -E_CONFLICT: another worker has the bucket by now. */
WAITS static int visit_renew(struct visit *v)
{
    int64_t now = env_now(v->env);
    int     rc;

    if (now < v->leased + LIFECYCLE_LEASE_S / 3 * NS_PER_S)
        return 0;
    rc = lifecycle_lease_take(v->os, v->entry->name, v->holder, wall_us(v), 0, step_deadline(v), &v->page, &v->err);
    if (rc == 0)
        v->leased = now;
    return rc;
}

/* --- Versions. --- */

static struct version_ref version_of(const Rs__ObjectMeta *meta)
{
    struct version_ref ref = { .given = true, .null_version = meta->null_version || meta->version.len != VERSION_BYTES };

    if (meta->version.len == VERSION_BYTES)
        memcpy(ref.id, meta->version.data, VERSION_BYTES);
    return ref;
}

/* The outcome of a removal: what is gone already, or was replaced meanwhile, needs none. */
static int removal_code(int rc)
{
    if (rc == -EPERM) {
        counter_inc(lifecycle_locked);
        return 0;
    }
    return rc == -ENOENT || rc == -E_CONDITION ? 0 : rc;
}

WAITS static int remove_version(struct visit *v, const struct version_item *item)
{
    struct object_deletion deletion = { .version = version_of(item->meta) };
    struct object_deleted  deleted;
    int                    rc = pace_take(v->pace, 1);

    if (rc == 0)
        rc = object_delete_version(v->os, v->container, item->name, &deletion, step_deadline(v), &v->page, &deleted,
                                   &v->err);
    if (rc == 0 && item->meta->delete_marker)
        counter_inc(lifecycle_markers_expired);
    else if (rc == 0)
        counter_inc(lifecycle_noncurrent_expired);
    return removal_code(rc);
}

/* As a client's DELETE would, but only if it still is what was judged. */
WAITS static int expire_current(struct visit *v, const struct version_item *item)
{
    struct object_condition condition = { .match_count = 1, .modified_given = true,
                                          .modified_s = (int64_t)(item->meta->modified_us / 1000000) };
    struct object_deletion  deletion = { .condition = &condition };
    struct object_deleted   deleted;
    char                    hex[33];
    int                     rc = pace_take(v->pace, 1);

    if (rc)
        return rc;
    object_etag(item->meta, hex, &condition.match[0]);
    rc = object_delete_version(v->os, v->container, item->name, &deletion, step_deadline(v), &v->page, &deleted, &v->err);
    if (rc == 0)
        counter_inc(lifecycle_expired);
    return removal_code(rc);
}

struct move_edit {
    struct slice version;         /* As it was when it was judged. */
    uint64_t     modified_us;
    struct slice storage_class;
};

static int decide_move(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s)
{
    const struct move_edit *edit = ctx;
    struct slice            version = slice_of(meta->version.data, meta->version.len);
    struct slice            copy = arena_dup(arena, edit->storage_class);

    (void)expires_s;
    if (meta->modified_us != edit->modified_us || !slice_equal(version, edit->version))
        return -E_CONDITION;
    if (!copy.data)
        return -ENOMEM;
    meta->storage_class = (ProtobufCBinaryData) { .len = copy.size, .data = (uint8_t *)(uintptr_t)copy.data };
    return 0;
}

WAITS static int move_version(struct visit *v, const struct version_item *item, struct slice storage_class)
{
    struct version_ref version = version_of(item->meta);
    struct move_edit   edit = { .version = slice_of(item->meta->version.data, item->meta->version.len),
                                .modified_us = item->meta->modified_us, .storage_class = storage_class };
    Rs__ObjectMeta    *meta;
    int                rc = pace_take(v->pace, 1);

    if (rc == 0)
        rc = object_update_version(v->os, v->container, item->name, &version, decide_move, &edit, step_deadline(v),
                                   &v->page, &meta, &v->err);
    if (rc == 0)
        counter_inc(lifecycle_moved);
    return removal_code(rc);
}

/* 'alone': the name has no other version. */
WAITS static int version_step(struct visit *v, const struct version_item *item, bool alone)
{
    struct lifecycle_subject subject = {
        .kind = !item->current ? LIFECYCLE_NONCURRENT : item->meta->delete_marker ? LIFECYCLE_MARKER : LIFECYCLE_CURRENT,
        .name = item->name, .size = manifest_size_shown(item->meta, item->stored), .newer = v->newer, .alone = alone,
        .tags = item->meta->tags, .tag_count = item->meta->n_tags,
        .since_us = item->current ? item->meta->modified_us : v->newer_us,
        .storage_class = slice_of(item->meta->storage_class.data, item->meta->storage_class.len),
    };
    struct lifecycle_due due;

    lifecycle_judge(v->rules, &subject, wall_us(v), v->options->day_s, &due);
    switch (due.what) {
    case LIFECYCLE_EXPIRE:
        return expire_current(v, item);
    case LIFECYCLE_REMOVE:
        return remove_version(v, item);
    case LIFECYCLE_MOVE:
        return slice_equal(due.storage_class, subject.storage_class) ? 0 : move_version(v, item, due.storage_class);
    default:
        return 0;
    }
}

static bool same_name(const struct visit *v, struct slice name)
{
    return v->begun && slice_equal(slice_of(v->after, v->after_size), name);
}

static int visit_advance(struct visit *v, const struct version_item *item)
{
    bool same = same_name(v, item->name);

    if (item->name.size > sizeof v->after)
        return -E_CORRUPT;
    v->newer = same ? v->newer + !item->current : !item->current;
    v->newer_us = item->meta->modified_us;
    memcpy(v->after, item->name.data, item->name.size);
    v->after_size = item->name.size;
    v->after_version = version_of(item->meta);
    v->begun = true;
    return 0;
}

/* Judges a page's items. The last one of a page that is not the last waits for the next page, which shows whether it
 * is alone. */
WAITS static int versions_judge(struct visit *v, const struct version_page *page)
{
    uint32_t count = page->more && page->count > 1 ? page->count - 1 : page->count;

    for (uint32_t i = 0; i < count; i++) {
        const struct version_item *item = &page->items[i];
        bool first = !same_name(v, item->name);
        bool next = i + 1 < page->count ? slice_equal(page->items[i + 1].name, item->name) : page->more;

        if (first)
            v->newer = 0, v->newer_us = 0;
        int rc = version_step(v, item, first && !next);
        if (rc == 0)
            rc = visit_advance(v, item);
        if (rc)
            return rc;
    }
    return 0;
}

WAITS static int versions_page(struct visit *v, uint32_t limit, bool *ret_more)
{
    struct version_range range = { .after = slice_of(v->after, v->after_size), .after_version_given = v->begun,
                                   .after_version = v->after_version, .limit = limit };
    struct version_page  page;
    int                  rc;

    rc = object_list_versions(v->os, v->container, &range, step_deadline(v), &v->page, &page, &v->err);
    if (rc)
        return rc;
    rc = versions_judge(v, &page);
    *ret_more = page.more && page.count > 0;
    return rc;
}

WAITS static int visit_versions(struct visit *v)
{
    uint32_t limit = LIFECYCLE_PAGE_ITEMS;
    bool     more = true;
    int      rc = 0;

    while (rc == 0 && more) {
        arena_reset(&v->page);
        rc = visit_renew(v);
        if (rc == 0)
            rc = pace_take(v->pace, LIFECYCLE_PAGE_COST);
        if (rc == 0)
            rc = versions_page(v, limit, &more);
        if (rc == -ENOMEM && limit > 2) {
            limit = limit / 4 > 2 ? limit / 4 : 2;   /* Large rows: fewer at once. */
            rc = 0;
        } else if (rc == -E_STALE) {
            rc = visit_again(v);
        }
    }
    return rc;
}

/* --- Uploads. --- */

WAITS static int uploads_page(struct visit *v, bool *ret_more)
{
    struct upload_item *items;
    uint32_t            count;
    int                 rc;

    rc = upload_list(v->os, v->container, slice_of(v->after, v->after_size), v->begun ? v->after_id : NULL, SLICE_NONE,
                     SLICE_NONE, LIFECYCLE_PAGE_ITEMS, step_deadline(v), &v->page, &items, &count, ret_more, &v->err);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct lifecycle_subject subject = { .kind = LIFECYCLE_UPLOAD, .name = items[i].name,
                                             .since_us = items[i].upload->started_us };
        struct lifecycle_due     due;

        lifecycle_judge(v->rules, &subject, wall_us(v), v->options->day_s, &due);
        if (due.what == LIFECYCLE_ABORT) {
            rc = pace_take(v->pace, 1);
            if (rc == 0)
                rc = upload_abort(v->os, v->container, items[i].name, items[i].id, step_deadline(v), &v->err);
            if (rc == 0)
                counter_inc(lifecycle_uploads_aborted);
            rc = removal_code(rc);
        }
        if (rc == 0 && items[i].name.size <= sizeof v->after) {
            memcpy(v->after, items[i].name.data, items[i].name.size);
            v->after_size = items[i].name.size;
            memcpy(v->after_id, items[i].id, sizeof v->after_id);
            v->begun = true;
        }
    }
    *ret_more = rc == 0 && *ret_more && count > 0;
    return rc;
}

WAITS static int visit_uploads(struct visit *v)
{
    bool more = true;
    int  rc = 0;

    v->begun = false;
    v->after_size = 0;
    while (rc == 0 && more) {
        arena_reset(&v->page);
        rc = visit_renew(v);
        if (rc == 0)
            rc = pace_take(v->pace, LIFECYCLE_PAGE_COST);
        if (rc == 0)
            rc = uploads_page(v, &more);
        if (rc == -E_STALE) {
            more = true;
            rc = visit_again(v);
        }
    }
    return rc;
}

/* --- Buckets. --- */

WAITS static int visit_bucket(struct visit *v)
{
    int rc = visit_open(v, false);

    if (rc == 0)
        rc = visit_versions(v);
    if (rc == 0)
        rc = visit_uploads(v);
    v->container = container_unref(v->container);
    if (rc != -ENOENT)
        return rc;
    /* No bucket or no rules any more: the entry goes, unless rules may be on their way. */
    if (v->entry->noted_us + LIFECYCLE_INDEX_GRACE_S * UINT64_C(1000000) > wall_us(v))
        return 0;
    arena_reset(&v->page);
    rc = lifecycle_index_drop(v->os, v->entry, step_deadline(v), &v->page, &v->err);
    return rc == -E_CONDITION ? 0 : rc;
}

WAITS static int visit_entry(const struct lifecycle_options *options, const struct lifecycle_entry *entry,
                             struct pace *pace, uint64_t holder)
{
    uint64_t      interval_us = (uint64_t)options->day_s * 1000000 / LIFECYCLE_PASSES / 2;
    struct visit *v = calloc(1, sizeof *v);
    int           rc;

    if (!v)
        return -ENOMEM;
    v->options = options;
    v->os = options->objects;
    v->env = object_service_env(options->objects);
    v->entry = entry;
    v->pace = pace;
    v->holder = holder;
    v->leased = env_now(v->env);
    arena_init(&v->rules_arena, RULES_ARENA_BYTES);
    arena_init(&v->page, PAGE_ARENA_BYTES);
    rc = lifecycle_lease_take(v->os, entry->name, holder, wall_us(v), interval_us, step_deadline(v), &v->page, &v->err);
    if (rc == 0) {
        counter_inc(lifecycle_buckets);
        rc = visit_bucket(v);
        if (rc && rc != -ECANCELED && rc != -E_CONFLICT) {
            counter_inc(lifecycle_failures);
            log_warn("lifecycle.cut_short", "bucket=\"%.*s\" code=%s why=\"%s\"", SLICE_ARG(entry->bucket),
                     error_name(rc), v->err.text);
        }
        arena_reset(&v->page);
        (void)lifecycle_lease_give(v->os, entry->name, holder, wall_us(v), rc == 0, step_deadline(v), &v->page, NULL);
    }
    arena_done(&v->rules_arena);
    arena_done(&v->page);
    free(v);
    return rc == -ECANCELED ? rc : 0;   /* One bucket's trouble does not keep the others waiting. */
}

WAITS static int index_page(const struct lifecycle_options *options, struct pace *pace, uint64_t holder,
                            char after[OBJECT_NAME_MAX], size_t *after_size, bool *ret_more, struct error *err)
{
    struct lifecycle_entry *entries = NULL;
    struct arena            arena;
    uint32_t                count = 0;
    int                     rc;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = lifecycle_index_list(options->objects, slice_of(after, *after_size), INDEX_PAGE,
                              env_now(pace->env) + STEP_MS * NS_PER_MS, &arena, &entries, &count, ret_more, err);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = visit_entry(options, &entries[i], pace, holder);
    if (rc == 0 && count) {
        *after_size = entries[count - 1].name.size;
        memcpy(after, entries[count - 1].name.data, *after_size);
    }
    arena_done(&arena);
    return rc;
}

int lifecycle_pass(const struct lifecycle_options *options, uint64_t holder, struct error *err)
{
    struct lifecycle_options o = *options;
    struct pace              pace = { .env = object_service_env(options->objects) };
    char                     after[OBJECT_NAME_MAX];
    size_t                   after_size = 0;
    bool                     more = true;
    int                      rc = 0;

    if (o.day_s == 0)
        o.day_s = LIFECYCLE_DAY_S;
    while (rc == 0 && more)
        rc = index_page(&o, &pace, holder, after, &after_size, &more, err);
    return rc;
}

/* --- The task. --- */

WAITS static void lifecycle_task(void *arg)
{
    struct lifecycle_options *options = arg;
    struct env               *env = object_service_env(options->objects);
    uint64_t                  holder = env_random64(env) | 1;
    uint32_t                  day_s = options->day_s ? options->day_s : LIFECYCLE_DAY_S;
    int64_t                   between = day_s / LIFECYCLE_PASSES;

    if (between < LIFECYCLE_PASS_S_MIN)
        between = LIFECYCLE_PASS_S_MIN;
    while (task_sleep(between * NS_PER_S) == 0) {
        struct error err = { 0 };
        int          rc = lifecycle_pass(options, holder, &err);

        if (rc && rc != -ECANCELED)
            log_warn("lifecycle.pass", "code=%s why=\"%s\"", error_name(rc), err.text);
    }
    free(options);
}

int lifecycle_start(const struct lifecycle_options *options, struct error *err)
{
    struct lifecycle_options *copy = malloc(sizeof *copy);
    int                       rc;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    *copy = *options;
    rc = env_spawn(object_service_env(options->objects), "s3.lifecycle", lifecycle_task, copy);
    if (rc) {
        free(copy);
        return error_set(err, rc, "the lifecycle task cannot start: %s", error_text(rc));
    }
    return 0;
}
