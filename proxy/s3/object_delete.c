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
        if (!s3_parse_u64(size, &t->condition.size))
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

/* --- DeleteObjects. --- */

struct batch {
    struct target *targets;
    uint32_t       count, done;
    bool           quiet, bypass;
    struct text    xml;
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

WAITS static int read_batch(struct s3_call *c, struct arena *arena, struct batch *b)
{
    struct docs_delete document;
    struct slice       body;
    int                rc = s3_document(c, DOCS_DELETE_BYTES_MAX, &body);

    if (rc == 0)
        rc = docs_delete_parse(arena, body, &document, &c->err);
    if (rc)
        return rc;
    b->quiet = document.quiet;
    b->count = document.count;
    b->targets = arena_array(arena, struct target, b->count);
    if (!b->targets)
        return -ENOMEM;
    for (uint32_t i = 0; i < b->count; i++)
        read_target(&document.items[i], &b->targets[i]);
    return 0;
}

static void name_elements(struct batch *b, const struct target *t)
{
    xml_leaf(&b->xml, "Key", t->key);
    if (t->version_text.size)
        xml_leaf(&b->xml, "VersionId", t->version_text);
}

static void deleted_element(struct batch *b, const struct container *container, const struct target *t,
                            const struct object_deleted *deleted)
{
    char text[VERSION_TEXT_MAX + 1];

    if (b->quiet)
        return;
    xml_open(&b->xml, "Deleted");
    name_elements(b, t);
    if (deleted->marker && container->config->versioning != VERSIONING_OFF) {
        xml_leaf_bool(&b->xml, "DeleteMarker", true);
        if (deleted->meta)
            xml_leaf(&b->xml, "DeleteMarkerVersionId", version_text(deleted->meta, text));
    }
    xml_close(&b->xml, "Deleted");
}

static void error_element(struct s3_call *c, struct batch *b, const struct target *t, int rc)
{
    int  code = s3_code_of(c, rc);
    bool own = rc > 0 && c->err.code == rc && c->err.text[0];

    xml_open(&b->xml, "Error");
    name_elements(b, t);
    xml_leaf(&b->xml, "Code", slice_str(s3_code_name(code)));
    xml_leaf(&b->xml, "Message", slice_str(own ? c->err.text : s3_code_text(code)));
    xml_close(&b->xml, "Error");
}

WAITS static int batch_step(struct s3_call *c, struct container *container, struct batch *b, const struct target *t)
{
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
        error_element(c, b, t, rc);
    else
        deleted_element(b, container, t, &deleted);
    return 0;
}

/* Goes on where it stood when the bucket had to be opened anew. Each key has the memory of the step's arena. */
WAITS static int batch_in_bucket(struct s3_call *c, struct container *container, struct batch *b)
{
    struct arena *whole = c->arena, step;
    int           rc = 0;

    arena_init(&step, ARENA_LIMIT_DEFAULT);
    c->arena = &step;
    for (; rc == 0 && b->done < b->count; b->done += rc == 0) {
        arena_reset(&step);
        rc = batch_step(c, container, b, &b->targets[b->done]);
    }
    c->arena = whole;
    arena_done(&step);
    return rc;
}

WAITS static int batch_run(struct s3_call *c, struct batch *b)
{
    struct container *container;
    int               rc = -E_STALE;

    xml_begin(&b->xml, "DeleteResult");
    for (int attempt = 0; attempt < S3_STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = s3_bucket_find(c, c->bucket, attempt > 0, &container);
        if (rc)
            return rc;
        rc = batch_in_bucket(c, container, b);
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
    }
    xml_close(&b->xml, "DeleteResult");
    return rc ? rc : s3_reply_xml(c, 200, &b->xml);
}

int s3_delete_objects(struct s3_call *c)
{
    struct batch b = { .bypass = bypass_asked(c), .xml = { .limit = S3_REPLY_MAX } };
    struct arena arena;
    int          rc;

    arena_init(&arena, XML_ARENA_BYTES);
    rc = read_batch(c, &arena, &b);
    if (rc == 0)
        rc = batch_run(c, &b);
    text_done(&b.xml);
    arena_done(&arena);
    return rc;
}
