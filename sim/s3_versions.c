/* sim/s3_versions.c - a few names in a container whose versioning is switched between enabled and suspended.
 *
 * In the history each version is a register of its own: its PUT writes it, its deletion writes "nothing", whoever sees
 * it (by its id, as the current one, in a listing) or misses it has read it. So an acknowledged version may not be
 * missed, and a deleted one may not come back. Another register beside it is a mark in its metadata. The null version
 * of a name is one register, too, which PUTs and DELETEs write while versioning is suspended. */
#include "sim/s3_versions.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "sim/s3_common.h"

COUNTER(sim_s3_versions, "Simulator: versions of objects written.");
COUNTER(sim_s3_versions_deleted, "Simulator: versions of objects deleted.");
COUNTER(sim_s3_nulls, "Simulator: null versions of objects written.");
COUNTER(sim_s3_listed, "Simulator: listings of versions compared.");

enum { VERSIONS_MAX = 600, RECENT = 8, KEY_VERSIONS = 16 /* Keys below are null versions, by name. */ };

struct sim_version {
    struct version_ref ref;
    uint32_t           name, key;   /* key: whether it is there; key + 1: its mark. */
    uint64_t           value;
};

struct versions {
    struct s3_values   values;
    struct sim_version version[VERSIONS_MAX];
    uint32_t           count, keys;
};

static struct versions *versions_of(struct run *run)
{
    if (!run->workload) {
        run->workload = calloc(1, sizeof(struct versions));
        assert(run->workload);
    }
    return run->workload;
}

void s3_versions_free(struct run *run)
{
    struct versions *v = run->workload;

    if (v)
        s3_values_done(&v->values);
    free(v);
}

static WAITS int go(struct s3_going *g, struct run *run, struct life *life, uint32_t name)
{
    return s3_go(g, run, life, &versions_of(run)->values, "box", name);
}

WAITS int s3_versions_prepare(struct run *run, struct life *life)
{
    int64_t               deadline = env_now(&life->env.env) + S3_STEP_MS * NS_PER_MS;
    enum versioning       versioning = VERSIONING_ENABLED;
    struct config_changes changes = { .versioning = &versioning };
    bool                  created;

    (void)run;
    return container_create(life->objects, SLICE("acc"), SLICE("box"), NULL, &changes, deadline, &created, NULL);
}

static WAITS void do_switch(struct run *run, struct life *life)
{
    enum versioning       versioning = rng_chance(run_rng(run), 2, 3) ? VERSIONING_ENABLED : VERSIONING_SUSPENDED;
    struct config_changes changes = { .versioning = &versioning };
    struct s3_going       g;

    if (go(&g, run, life, 0) == 0)
        (void)container_update(life->objects, g.container, &changes, g.deadline, NULL);
    s3_going_ends(&g);
}

/* --- Observations: reads that begin before it is known what they will have seen. --- */

struct watch {
    struct sim_version version;     /* value 0: the null version of the name. */
    uint32_t           op, mark_op;
    bool               closed;
};
struct watching {
    struct run  *run;
    uint32_t     client, count;
    struct watch of[2 * RECENT + KEY_VERSIONS];
};

static void watch_one(struct watching *w, const struct sim_version *version)
{
    struct watch *o = &w->of[w->count++];

    *o = (struct watch) { .version = *version };
    o->op = run_begin(w->run, w->client, version->key, HISTORY_READ, 0, 0);
    if (version->value)
        o->mark_op = run_begin(w->run, w->client, version->key + 1, HISTORY_READ, 0, 0);
}

/* The null version of the name and its last versions; of all names, if name is UINT32_MAX. */
static void watch_name(struct watching *w, struct run *run, uint32_t client, uint32_t name)
{
    struct versions *v = versions_of(run);
    uint32_t         found = 0;

    *w = (struct watching) { .run = run, .client = client };
    for (uint32_t i = 0; i < run->scenario->keys; i++)
        if (name == i || name == UINT32_MAX)
            watch_one(w, &(struct sim_version) { .name = i, .key = i });
    for (uint32_t i = v->count; i > 0 && found < RECENT; i--)
        if (v->version[i - 1].name == name || name == UINT32_MAX) {
            watch_one(w, &v->version[i - 1]);
            found++;
        }
}

static uint64_t mark_of(const Rs__ObjectMeta *meta)
{
    char text[24] = "";

    if (meta->storage_class.len > 0 && meta->storage_class.len < sizeof text)
        memcpy(text, meta->storage_class.data, meta->storage_class.len);
    return strtoull(text, NULL, 10);
}

/* It was seen; 'meta' NULL: it was missed. */
static void watch_close(struct watching *w, struct watch *o, const Rs__ObjectMeta *meta)
{
    uint64_t id = meta ? s3_id_of(w->run, meta) : 0;

    if (o->closed)
        sim_fail(&w->run->cluster.sim, "a version is there twice");
    if (meta && o->version.value && id != o->version.value)
        sim_fail(&w->run->cluster.sim, "a version has the value %llu, not %llu", (unsigned long long)id,
                 (unsigned long long)o->version.value);
    o->closed = true;
    run_end(w->run, o->op, HISTORY_OK, id, 0);
    if (o->version.value && meta)
        run_end(w->run, o->mark_op, HISTORY_OK, mark_of(meta), 0);
    else if (o->version.value)
        run_end(w->run, o->mark_op, HISTORY_NEVER, 0, 0);
}

/* What is still open was missed, or nothing is known of it. */
static void watch_end(struct watching *w, bool missed)
{
    for (uint32_t i = 0; i < w->count; i++) {
        struct watch *o = &w->of[i];

        if (!o->closed && missed)
            watch_close(w, o, NULL);
        if (o->closed)
            continue;
        run_end(w->run, o->op, HISTORY_NEVER, 0, 0);
        if (o->version.value)
            run_end(w->run, o->mark_op, HISTORY_NEVER, 0, 0);
    }
}

static struct watch *watch_find(struct watching *w, uint32_t name, const Rs__ObjectMeta *meta)
{
    for (uint32_t i = 0; i < w->count; i++) {
        struct watch *o = &w->of[i];
        char          text[VERSION_TEXT_MAX + 1];
        struct version_ref ref;

        if (o->version.name != name || version_parse(version_text(meta, text), &ref) < 0)
            continue;
        if (ref.null_version ? o->version.value == 0
                             : o->version.value != 0 && memcmp(ref.id, o->version.ref.id, VERSION_BYTES) == 0)
            return o;
    }
    return NULL;
}

/* --- Writing. --- */

/* A write that makes a version or writes the null version: which, is known only afterwards. */
struct writing {
    struct run *run;
    uint32_t    name, null_op, version_op, key;
    uint64_t    value;
};

static void write_begin(struct writing *w, struct run *run, uint32_t client, uint32_t name, uint64_t value)
{
    struct versions *v = versions_of(run);

    *w = (struct writing) { .run = run, .name = name, .value = value };
    w->null_op = run_begin(run, client, name, HISTORY_WRITE, value, 0);
    if (value) {
        w->key = KEY_VERSIONS + 2 * v->keys++;
        w->version_op = run_begin(run, client, w->key, HISTORY_WRITE, value, 0);
    }
}

static void write_end(struct writing *w, int rc, const Rs__ObjectMeta *meta)
{
    struct versions     *v = versions_of(w->run);
    enum history_outcome outcome = s3_outcome(rc);
    bool                 null = rc == 0 && meta->null_version;
    char                 text[VERSION_TEXT_MAX + 1];

    if (outcome != HISTORY_OK) {
        run_end(w->run, w->null_op, outcome, 0, rc);
        if (w->value)
            run_end(w->run, w->version_op, outcome, 0, rc);
        return;
    }
    run_end(w->run, w->null_op, null ? HISTORY_OK : HISTORY_NEVER, 0, 0);
    if (!w->value)
        return;
    run_end(w->run, w->version_op, null ? HISTORY_NEVER : HISTORY_OK, 0, 0);
    if (null) {
        counter_inc(sim_s3_nulls);
    } else if (v->count < VERSIONS_MAX) {
        struct sim_version *n = &v->version[v->count++];

        *n = (struct sim_version) { .name = w->name, .key = w->key, .value = w->value };
        if (version_parse(version_text(meta, text), &n->ref) < 0 || !n->ref.given || n->ref.null_version)
            sim_fail(&w->run->cluster.sim, "a new version has no id");
        counter_inc(sim_s3_versions);
    }
}

static WAITS void do_put(struct run *run, struct life *life, uint32_t client, uint32_t name)
{
    uint64_t           id = history_value(&run->history), size = s3_random_size(run);
    Rs__ObjectMeta     meta = RS__OBJECT_META__INIT;
    struct object_put *put = NULL;
    struct writing     w;
    struct s3_going    g;
    char               text[24];
    int                rc = go(&g, run, life, name);

    *s3_value_of(g.values, id) = (struct s3_value) { .bytes = id, .size = size };
    s3_set_id(&meta, id, text);
    S3_AGAIN(&g, rc, object_put_new(life->objects, g.container, g.name, size, g.deadline, &g.arena, &put, NULL));
    if (rc == 0)
        rc = s3_send(&g, put, id, 0, size);
    if (rc == 0) {
        write_begin(&w, run, client, name, id);
        S3_AGAIN(&g, rc, object_put_commit(put, g.container, &meta, 0, NULL, g.deadline, NULL));
        write_end(&w, rc, &meta);
    }
    object_put_free(put);
    s3_going_ends(&g);
}

/* An object of one part. */
static WAITS void do_upload(struct run *run, struct life *life, uint32_t client, uint32_t name)
{
    uint64_t                id = history_value(&run->history), size = 1 + s3_random_size(run);
    Rs__ObjectMeta          meta = RS__OBJECT_META__INIT, *made = NULL;
    Rs__Upload              upload = RS__UPLOAD__INIT;
    Rs__Part                part = RS__PART__INIT;
    struct complete_part    parts[1] = { { .number = 1 } };
    struct complete_request rq = { .parts = parts, .count = 1, .size = UINT64_MAX };
    struct upload_row       row = { .upload = &upload };
    struct object_put      *put = NULL;
    struct writing          w;
    struct s3_going         g;
    char                    text[24];
    uint32_t                wrong;
    int                     rc = go(&g, run, life, name);

    *s3_value_of(g.values, id) = (struct s3_value) { .bytes = id, .size = size };
    s3_set_id(&meta, id, text);
    upload.meta = &meta;
    row.name = g.name;
    S3_AGAIN(&g, rc, upload_create(life->objects, g.container, g.name, &upload, g.deadline, &g.arena, row.id, NULL));
    S3_AGAIN(&g, rc, upload_put_new(life->objects, g.container, &row, 1, size, g.deadline, &g.arena, &put, NULL));
    if (rc == 0)
        rc = s3_send(&g, put, id, 0, size);
    if (rc == 0)
        memcpy(parts[0].etag, object_put_md5(put), 16);
    S3_AGAIN(&g, rc, upload_put_commit(put, g.container, &part, g.deadline, NULL));
    if (rc == 0) {
        write_begin(&w, run, client, name, id);
        S3_AGAIN(&g, rc, upload_complete(life->objects, g.container, g.name, row.id, &rq, g.deadline, &g.arena, &made, &wrong, NULL));
        /* A decision that met a changed configuration stands, though the next try may not get that far. */
        write_end(&w, rc == -E_UNAVAILABLE ? -E_UNSURE : rc, made);
    }
    object_put_free(put);
    s3_going_ends(&g);
}

static WAITS void do_marker(struct run *run, struct life *life, uint32_t client, uint32_t name)
{
    struct object_deletion d = { .condition = NULL };
    struct object_deleted  deleted = { .meta = NULL };
    struct writing         w;
    struct s3_going        g;
    int                    rc = go(&g, run, life, name);

    if (rc == 0) {
        write_begin(&w, run, client, name, 0);
        S3_AGAIN(&g, rc, object_delete_version(life->objects, g.container, g.name, &d, g.deadline, &g.arena, &deleted, NULL));
        write_end(&w, rc, deleted.meta);
    }
    s3_going_ends(&g);
}

static struct sim_version *pick(struct run *run)
{
    struct versions *v = versions_of(run);
    uint32_t         recent = v->count < RECENT ? v->count : RECENT;

    return recent ? &v->version[v->count - 1 - rng_below(run_rng(run), recent)] : NULL;
}

/* 'version' NULL: the null version of the name. */
static WAITS void do_delete(struct run *run, struct life *life, uint32_t client, uint32_t name,
                            const struct sim_version *version)
{
    struct object_deletion d = { .version = { .given = true, .null_version = true } };
    struct object_deleted  deleted;
    struct s3_going        g;
    uint32_t               op;
    int                    rc = go(&g, run, life, name);

    if (version)
        d.version = version->ref;
    if (rc == 0) {
        op = run_begin(run, client, version ? version->key : name, HISTORY_WRITE, 0, 0);
        S3_AGAIN(&g, rc, object_delete_version(life->objects, g.container, g.name, &d, g.deadline, &g.arena, &deleted, NULL));
        run_end(run, op, rc == -ENOENT ? HISTORY_OK : s3_outcome(rc), 0, rc);
        if (rc == 0)
            counter_inc(sim_s3_versions_deleted);
    }
    s3_going_ends(&g);
}

static int set_mark(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s)
{
    char *text = arena_printf(arena, "%llu", *(unsigned long long *)ctx);

    (void)expires_s;
    if (!text)
        return -ENOMEM;
    meta->storage_class = (ProtobufCBinaryData) { strlen(text), (uint8_t *)text };
    return 0;
}

static WAITS void do_mark(struct run *run, struct life *life, uint32_t client, const struct sim_version *version)
{
    unsigned long long mark = history_value(&run->history);
    struct s3_going    g;
    int                rc = go(&g, run, life, version->name);

    if (rc == 0) {
        uint32_t op = run_begin(run, client, version->key + 1, HISTORY_WRITE, mark, 0);

        S3_AGAIN(&g, rc, object_update_version(life->objects, g.container, g.name, &version->ref, set_mark, &mark,
                                               g.deadline, &g.arena, NULL, NULL));
        /* "There is none" may come after the first of several tries to change it. */
        run_end(run, op, rc == -ENOENT ? HISTORY_OPEN : s3_outcome(rc), 0, rc);
    }
    s3_going_ends(&g);
}

/* --- Reading. --- */

static WAITS int do_read(struct run *run, struct life *life, uint32_t client, uint32_t name,
                         const struct sim_version *version)
{
    struct version_ref ref = { .given = true, .null_version = true };
    struct watching    w = { .run = run, .client = client };
    struct object      object = { .meta = NULL };
    struct s3_going    g;
    int                rc = go(&g, run, life, name);

    if (version)
        ref = version->ref;
    if (rc == 0) {
        watch_one(&w, version ? version : &(struct sim_version) { .name = name, .key = name });
        S3_AGAIN(&g, rc, object_read_version(life->objects, g.container, g.name, &ref, ROW_FULL, g.deadline, &g.arena, &object, NULL));
        if (rc == 0)
            watch_close(&w, &w.of[0], object.meta);
        watch_end(&w, rc == -ENOENT);
    }
    if (rc == 0 && !sim_failed(&run->cluster.sim))
        rc = s3_check_body(&g, &object, s3_id_of(run, object.meta));
    s3_going_ends(&g);
    return rc == -ENOENT ? 0 : rc;
}

static WAITS int do_current(struct run *run, struct life *life, uint32_t client, uint32_t name)
{
    struct watching w;
    struct object   object = { .meta = NULL };
    struct s3_going g;
    int             rc = go(&g, run, life, name);

    if (rc == 0) {
        watch_name(&w, run, client, name);
        S3_AGAIN(&g, rc, object_read(life->objects, g.container, g.name, ROW_FULL, g.deadline, &g.arena, &object, NULL));
        struct watch *o = rc == 0 ? watch_find(&w, name, object.meta) : NULL;
        if (o)
            watch_close(&w, o, object.meta);
        watch_end(&w, false);
    }
    if (rc == 0 && !sim_failed(&run->cluster.sim))
        rc = s3_check_body(&g, &object, s3_id_of(run, object.meta));
    s3_going_ends(&g);
    return rc == -ENOENT ? 0 : rc;
}

/* 'quiet': nothing else goes on, so the page as a whole makes sense. */
static WAITS int do_list(struct run *run, struct life *life, uint32_t client, bool quiet)
{
    struct version_range range = { .limit = 1000 };
    struct version_page  page = { .count = 0 };
    struct watching      w;
    struct s3_going      g;
    int                  rc = go(&g, run, life, 0);

    if (rc) {
        s3_going_ends(&g);
        return rc;
    }
    watch_name(&w, run, client, UINT32_MAX);
    S3_AGAIN(&g, rc, object_list_versions(life->objects, g.container, &range, g.deadline, &g.arena, &page, NULL));
    for (uint32_t i = 0; rc == 0 && i < page.count; i++) {
        const struct version_item *item = &page.items[i];
        bool          first = i == 0 || !slice_equal(item->name, page.items[i - 1].name);
        uint32_t      name = (uint32_t)strtoul((const char *)item->name.data + 4, NULL, 10);
        struct watch *o = item->meta->delete_marker ? NULL : watch_find(&w, name, item->meta);

        if (item->current && !first)
            sim_fail(&run->cluster.sim, "a current version is listed behind others of %.*s", SLICE_ARG(item->name));
        if (quiet && first && !item->current)
            sim_fail(&run->cluster.sim, "no version of %.*s is current", SLICE_ARG(item->name));
        if (o)
            watch_close(&w, o, item->meta);
    }
    watch_end(&w, rc == 0);
    if (rc == 0)
        counter_inc(sim_s3_listed);
    s3_going_ends(&g);
    return rc;
}

WAITS int s3_versions_verify(struct run *run, struct life *life, uint32_t key)
{
    struct versions *v = versions_of(run);
    int              rc = do_list(run, life, UINT32_MAX, true);

    if (rc == 0)
        rc = do_current(run, life, UINT32_MAX, key);
    if (rc == 0)
        rc = do_read(run, life, UINT32_MAX, key, NULL);
    for (uint32_t i = 0; rc == 0 && i < v->count; i++)
        if (v->version[i].name == key)
            rc = do_read(run, life, UINT32_MAX, key, &v->version[i]);
    return rc;
}

WAITS void s3_versions_step(struct run *run, struct life *life, uint32_t client)
{
    uint32_t                  name = (uint32_t)rng_below(run_rng(run), run->scenario->keys);
    const struct sim_version *version = pick(run);

    switch (rng_below(run_rng(run), 24)) {
    case 0: case 1: case 2: case 3: case 4:
        do_put(run, life, client, name);
        break;
    case 5:
        do_upload(run, life, client, name);
        break;
    case 6: case 7:
        do_marker(run, life, client, name);
        break;
    case 8:
        do_delete(run, life, client, name, NULL);
        break;
    case 9: case 10: case 11: case 12: case 13:
        if (version)
            do_delete(run, life, client, version->name, version);
        break;
    case 14: case 15:
        if (version)
            do_mark(run, life, client, version);
        break;
    case 16:
        do_switch(run, life);
        break;
    case 17: case 18:
        (void)do_list(run, life, client, false);
        break;
    case 19: case 20:
        if (version)
            (void)do_read(run, life, client, version->name, version);
        break;
    case 21:
        (void)do_read(run, life, client, name, NULL);
        break;
    default:
        (void)do_current(run, life, client, name);
    }
}
