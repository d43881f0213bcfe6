/* proxy/s3/object_delete.c - DeleteObject and DeleteObjects. */
#include "proxy/s3/docs.h"
#include "proxy/s3/object.h"
#include "proxy/s3/xml.h"

/* One object or version to delete. */
struct target {
    struct slice            key;
    struct version_ref      version;
    struct slice            version_text;      /* As sent; empty: none. */
    bool                    no_version;        /* What was sent cannot be one. */
    struct object_condition condition;
};

static bool bypass_asked(const struct s3_call *c)
{
    struct slice h = s3_header(c, "x-amz-bypass-governance-retention");
    return slice_equal(h, SLICE("true")) || slice_equal(h, SLICE("True")) || slice_equal(h, SLICE("TRUE"));
}

static struct s3_need need_of(const struct s3_call *c, const struct target *t)
{
    return (struct s3_need) { .action = t->version.given ? S3_DO_DELETE_OBJECT_VERSION : S3_DO_DELETE_OBJECT,
                              .bucket = c->bucket, .key = t->key };
}

/* A condition that met nothing at all is no failure: there is nothing to delete. */
WAITS static int condition_failed(struct s3_call *c, struct container *container, const struct target *t)
{
    struct object object = { 0 };
    int           rc = object_read_version(c->os, container, t->key, &t->version, ROW_META, s3_deadline(c), c->arena,
                                           &object, &c->err);

    if (rc == -ENOENT && (!object.meta || (t->condition.must_exist && !t->condition.match_count)))
        return 0;
    return rc && rc != -ENOENT ? rc : s3_error(c, S3_PRECONDITION_FAILED);
}

/* 0 also when there was nothing. *ret_deleted: what became of it. */
WAITS static int delete_one(struct s3_call *c, struct container *container, const struct target *t, bool bypass,
                            struct object_deleted *ret_deleted)
{
    struct object_deletion deletion = { .version = t->version, .condition = &t->condition };
    struct s3_need         may = need_of(c, t);
    int                    rc;

    memset(ret_deleted, 0, sizeof *ret_deleted);
    if (bypass) {
        may.action = S3_DO_BYPASS_GOVERNANCE_RETENTION;
        deletion.bypass_governance = s3_may(c, container, &may, NULL);
    }
    rc = object_delete_version(c->os, container, t->key, &deletion, s3_deadline(c), c->arena, ret_deleted, &c->err);
    if (rc == -ENOENT)
        return 0;
    if (rc == -E_CONDITION)
        return condition_failed(c, container, t);
    if (rc == -EPERM)
        return s3_errorf(c, S3_ACCESS_DENIED, "Access Denied because object protected by object lock.");
    return rc;
}

/* --- DeleteObject. --- */

static int condition_of_headers(struct s3_call *c, struct target *t)
{
    struct slice size = s3_header(c, "x-amz-if-match-size"), time = s3_header(c, "x-amz-if-match-last-modified-time");
    int          rc = s3_write_condition(c, &t->condition);
    uint64_t     us;

    if (rc)
        return rc;
    if (size.data) {
        if (!slice_u64(size, &t->condition.size))
            return s3_bad_argument(c, "x-amz-if-match-size", size, NULL);
        t->condition.size_given = true;
    }
    if (time.data) {
        if (!http_date_parse(time, &t->condition.modified_s)) {
            if (!xml_time(time, &us))
                return s3_bad_argument(c, "x-amz-if-match-last-modified-time", time, NULL);
            t->condition.modified_s = (int64_t)(us / 1000000);
        }
        t->condition.modified_given = true;
    }
    return 0;
}

WAITS static int delete_in_bucket(struct s3_call *c, struct container *container, void *arg)
{
    struct target        *t = arg;
    struct object_deleted deleted;
    int                   rc = delete_one(c, container, t, bypass_asked(c), &deleted);

    if (rc)
        return rc;
    s3_begin(c, 204);
    if (deleted.marker)
        http_reply_header(c->rq, "x-amz-delete-marker", SLICE("true"));
    if (deleted.meta)
        s3_header_version(c, container, deleted.meta);
    else if (t->version.given)
        http_reply_header(c->rq, "x-amz-version-id", t->version_text);
    http_reply_empty(c->rq);
    return 0;
}

int s3_delete_object(struct s3_call *c)
{
    struct target *t = arena_new(c->arena, struct target);
    int            rc;

    if (!t)
        return -ENOMEM;
    t->key = c->key;
    t->version = c->version;
    t->version_text = c->version.given ? s3_query(c, "versionId") : SLICE_NONE;
    rc = condition_of_headers(c, t);
    return rc ? rc : s3_with_bucket(c, delete_in_bucket, t);
}

/* --- DeleteObjects. ---
 *
 * Keys are deleted by up to DELETES_AT_ONCE tasks, of which the request's own is one; each takes the next key that
 * nobody has. What became of a key is kept with it, and the answer is written in the order of the request. */

enum {
    DELETES_AT_ONCE = 16,                              /* A key's deletion mostly waits for other nodes. */
    DELETE_ARENA_BYTES = 1024 * 1024,                  /* Of one key: its old metadata, its version, an ACL. */
    DELETE_REPLY_BYTES_MAX = 16 * 1024 * 1024          /* Every byte of the keys may need six to be escaped. */
};

enum fate { FATE_OPEN, FATE_DELETED, FATE_FAILED };

/* One key of the request and what became of it. */
struct batch_item {
    struct target t;
    enum fate     fate;
    bool          marker;                              /* A delete marker was made or deleted... */
    char          version[VERSION_TEXT_MAX + 1];       /* ...with this version; "": it has none. */
    int           code;                                /* FATE_FAILED: S3_*... */
    struct slice  why;                                 /* ...with a sentence, if it is not the code's own. */
};

struct batch {
    struct arena       arena;     /* The request's document and sentences; shared by the tasks, which never wait in it. */
    struct batch_item *items;
    uint32_t           count;
    bool               quiet, bypass;
    /* Of one round, which ends when the bucket has to be opened anew. */
    uint32_t           next;      /* The first that no task took. */
    int                rc;        /* Not 0: no more keys are begun. */
};

static void read_target(const struct docs_delete_item *item, struct target *t)
{
    t->key = item->key;
    t->version_text = item->version;
    if (item->version.size && version_parse(item->version, &t->version)) {
        t->version.given = true;
        t->no_version = true;   /* It names nothing; told so when its turn comes. */
    }
    if (slice_equal(item->etag, SLICE("*"))) {
        t->condition.must_exist = true;
    } else if (item->etag.size) {
        t->condition.match[0] = s3_tag_bare(item->etag);
        t->condition.match_count = 1;
    }
    t->condition.size_given = item->has_size;
    t->condition.size = item->size;
    t->condition.modified_given = item->has_modified;
    t->condition.modified_s = item->modified_s;
}

WAITS static int read_batch(struct s3_call *c, struct batch *b)
{
    struct docs_delete document;
    struct slice       body;
    int                rc = s3_document(c, DOCS_DELETE_BYTES_MAX, &body);

    if (rc == 0)
        rc = docs_delete_parse(&b->arena, body, &document, &c->err);
    if (rc)
        return rc;
    b->quiet = document.quiet;
    b->count = document.count;
    b->items = arena_array(&b->arena, struct batch_item, b->count);
    if (!b->items)
        return -ENOMEM;
    for (uint32_t i = 0; i < b->count; i++)
        read_target(&document.items[i], &b->items[i].t);
    return 0;
}

/* --- One key. --- */

static void item_failed(struct s3_call *c, struct batch *b, struct batch_item *item, int rc)
{
    item->fate = FATE_FAILED;
    item->code = s3_code_of(c, rc);
    if (rc > 0 && c->err.code == rc && c->err.text[0])
        item->why = arena_dup(&b->arena, slice_str(c->err.text));
}

static void item_deleted(const struct container *container, struct batch_item *item, const struct object_deleted *deleted)
{
    item->fate = FATE_DELETED;
    item->marker = deleted->marker && container->config->versioning != VERSIONING_OFF;
    if (item->marker && deleted->meta)
        version_text(deleted->meta, item->version);
}

/* 0: its fate is known; else the round ends. */
WAITS static int batch_step(struct s3_call *c, struct container *container, struct batch *b, struct batch_item *item)
{
    struct target        *t = &item->t;
    struct s3_need        need = need_of(c, t);
    struct object_deleted deleted = { 0 };
    int                   rc = 0;

    if (t->key.size > S3_KEY_MAX)
        rc = s3_error(c, S3_KEY_TOO_LONG);
    else if (t->no_version)
        rc = s3_error(c, S3_NO_SUCH_VERSION);
    else if (!s3_may(c, container, &need, NULL))
        rc = s3_error(c, S3_ACCESS_DENIED);
    if (rc == 0)
        rc = delete_one(c, container, t, b->bypass, &deleted);
    if (rc == -E_STALE || rc == -ECANCELED)
        return rc;
    if (rc)
        item_failed(c, b, item, rc);
    else
        item_deleted(container, item, &deleted);
    return 0;
}

/* --- Many keys. --- */

/* One task of a round, in the frame of the task that waits for all of them. */
struct batch_worker {
    struct batch      *batch;
    struct s3_call    *c;
    struct container  *container;
    struct wait_group *finished;
};

static struct batch_item *batch_take(struct batch *b)
{
    while (b->rc == 0 && b->next < b->count) {
        struct batch_item *item = &b->items[b->next++];
        if (item->fate == FATE_OPEN)
            return item;
    }
    return NULL;
}

/* Each task has its own copy of the call: steps leave their errors and their memory in it. */
WAITS static void batch_work(void *arg)
{
    struct batch_worker *w = arg;
    struct s3_call       call = *w->c;
    struct arena         step;
    struct batch_item   *item;

    arena_init(&step, DELETE_ARENA_BYTES);
    call.arena = &step;
    while ((item = batch_take(w->batch)) != NULL) {
        int rc = batch_step(&call, w->container, w->batch, item);
        if (rc && (w->batch->rc == 0 || rc == -ECANCELED))
            w->batch->rc = rc;
        arena_reset(&step);
    }
    arena_done(&step);
    if (w->finished)
        wait_group_done(w->finished);
}

/* Goes on with the keys whose fate is open. Where no task is to be had, those that run do all the work. */
WAITS static int batch_in_bucket(struct s3_call *c, struct container *container, struct batch *b)
{
    struct wait_group   finished = { 0 };
    struct batch_worker other = { b, c, container, &finished }, self = { b, c, container, NULL };

    b->next = 0;
    b->rc = 0;
    for (uint32_t i = 1; i < DELETES_AT_ONCE && i < b->count; i++) {
        wait_group_add(&finished, 1);
        if (env_spawn(c->rq->env, "s3.delete", batch_work, &other) != 0) {
            wait_group_done(&finished);
            break;
        }
    }
    batch_work(&self);
    wait_group_wait_shielded(&finished);   /* They use our memory; each of their steps has a deadline. */
    return b->rc;
}

static void item_element(struct text *xml, const struct batch *b, const struct batch_item *item)
{
    const char *element = item->fate == FATE_DELETED ? "Deleted" : "Error";

    if (b->quiet && item->fate == FATE_DELETED)
        return;
    xml_open(xml, element);
    xml_leaf(xml, "Key", item->t.key);
    if (item->t.version_text.size)
        xml_leaf(xml, "VersionId", item->t.version_text);
    if (item->fate == FATE_FAILED) {
        xml_leaf(xml, "Code", slice_str(s3_code_name(item->code)));
        xml_leaf(xml, "Message", item->why.size ? item->why : slice_str(s3_code_text(item->code)));
    } else if (item->marker) {
        xml_leaf_bool(xml, "DeleteMarker", true);
        if (item->version[0])
            xml_leaf(xml, "DeleteMarkerVersionId", slice_str(item->version));
    }
    xml_close(xml, element);
}

WAITS static int batch_reply(struct s3_call *c, const struct batch *b)
{
    struct text xml = { .limit = DELETE_REPLY_BYTES_MAX };
    int         rc;

    xml_begin(&xml, "DeleteResult");
    for (uint32_t i = 0; i < b->count; i++)
        item_element(&xml, b, &b->items[i]);
    xml_close(&xml, "DeleteResult");
    rc = s3_reply_xml(c, 200, &xml);
    text_done(&xml);
    return rc;
}

WAITS static int batch_run(struct s3_call *c, struct batch *b)
{
    struct container *container;
    int               rc = -E_STALE;

    for (int attempt = 0; attempt < S3_STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = s3_bucket_find(c, c->bucket, attempt > 0, &container);
        if (rc)
            return rc;
        rc = batch_in_bucket(c, container, b);
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
    }
    return rc ? rc : batch_reply(c, b);
}

int s3_delete_objects(struct s3_call *c)
{
    struct batch b = { .bypass = bypass_asked(c) };
    int          rc;

    arena_init(&b.arena, XML_ARENA_BYTES);
    rc = read_batch(c, &b);
    if (rc == 0)
        rc = batch_run(c, &b);
    arena_done(&b.arena);
    return rc;
}
