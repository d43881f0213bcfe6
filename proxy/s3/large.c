/* proxy/s3/large.c - see large.h. */
#include "proxy/s3/large.h"

/* Segments are in containers of the large object's account, whoever asks. */
WAITS static int segment_container(void *ctx, struct slice name, bool listing, bool fresh,
                                   struct container **ret_container)
{
    struct s3_content *t = ctx;
    struct s3_need     list = { .action = S3_DO_LIST_BUCKET, .bucket = name };
    struct container  *container = NULL;
    int rc = container_open(t->c->os, t->container->account, name, fresh, s3_deadline(t->c), &container, &t->c->err);

    if (rc == 0 && listing && !s3_may(t->c, container, &list, NULL))
        rc = s3_error(t->c, S3_ACCESS_DENIED);
    if (rc)
        container_unref(container);
    else
        *ret_container = container;
    return rc;
}

static int segment_read(void *ctx, const struct container *container, struct slice name, const Rs__ObjectMeta *meta)
{
    struct s3_content *t = ctx;
    struct s3_need     need = { .action = S3_DO_GET_OBJECT, .bucket = container->name, .key = name };

    return s3_may(t->c, container, &need, meta) ? 0 : -E_FORBIDDEN;
}

int s3_content_open(struct s3_call *c, const struct container *container, const struct object *object, bool bytes,
                    struct s3_content *t)
{
    struct slice where;
    int          rc;

    memset(t, 0, sizeof *t);
    t->c = c;
    t->container = container;
    t->object = object;
    t->size = object_size(object);
    t->etag = s3_etag(c, object->meta);
    if (manifest_kind(object->meta) == MANIFEST_NONE)
        return 0;
    rc = http_unquote(c->arena, manifest_where(object->meta), false, &where);
    if (rc)
        return rc;
    t->access = (struct manifest_access) { .open = segment_container, .may_read = segment_read, .ctx = t };
    rc = manifest_open(c->os, &t->access, object, where, bytes, s3_body_deadline(c), &t->manifest, &c->err);
    if (rc)
        return rc;
    t->size = t->manifest.size;
    /* Clients that see no dash take it for the MD5 of the bytes, so a dynamic one gets it as a static one does. */
    if (t->manifest.kind == MANIFEST_DYNAMIC)
        t->etag = slice_str(arena_printf(c->arena, "%.*s-N", SLICE_ARG(t->manifest.etag)));
    return 0;
}

void s3_content_close(struct s3_content *t)
{
    manifest_close(&t->manifest);
}

struct into_put {
    struct s3_call    *c;
    struct object_put *put;
};

WAITS static int put_sink(void *ctx, struct slice bytes)
{
    struct into_put *to = ctx;
    return object_put_bytes(to->put, bytes, &to->c->err);
}

int s3_content_copy(struct s3_content *t, uint64_t offset, uint64_t size, struct object_put *put)
{
    struct s3_call *c = t->c;
    struct into_put to = { .c = c, .put = put };
    int             rc;

    if (t->manifest.kind == MANIFEST_NONE)
        rc = object_send(c->os, t->object, offset, size, s3_body_deadline(c), put_sink, &to, &c->err);
    else
        rc = manifest_send(&t->manifest, offset, size, put_sink, &to, &c->err);
    return rc ? rc : object_put_end(put, &c->err);
}

/* --- Sources of copies. --- */

WAITS static int source_read(struct s3_call *c, const struct s3_copy_from *from, const struct s3_need *need,
                             struct container *container, struct s3_copied *copied)
{
    struct s3_conditions if_ = { s3_header(c, "x-amz-copy-source-if-match"), s3_header(c, "x-amz-copy-source-if-none-match"),
                                 s3_header(c, "x-amz-copy-source-if-modified-since"),
                                 s3_header(c, "x-amz-copy-source-if-unmodified-since") };
    struct object       *object = &copied->object;
    int                  rc;

    memset(copied, 0, sizeof *copied);
    rc = object_read_version(c->os, container, from->key, &from->version, ROW_FULL, s3_deadline(c), c->arena, object,
                             &c->err);
    if (rc == -ENOENT && object->meta && object->meta->delete_marker && from->version.given)
        return s3_errorf(c, S3_INVALID_REQUEST, "The source of a copy request may not specifically refer to a delete "
                         "marker by version id.");
    if (rc == -ENOENT)
        return s3_object_missing(c, container, need);
    if (rc == 0)
        rc = s3_object_allowed(c, container, need, object->meta);
    if (rc == 0)
        rc = s3_content_open(c, container, object, true, &copied->content);
    if (rc)
        return rc;
    if (s3_judge(&if_, copied->content.etag, object->meta->modified_us) != S3_JUDGED_HOLDS)
        rc = s3_error(c, S3_PRECONDITION_FAILED);
    else
        rc = s3_encryption_source(c, object);
    if (rc)
        s3_content_close(&copied->content);
    return rc;
}

int s3_copied_open(struct s3_call *c, const struct s3_copy_from *from, struct s3_copied *copied)
{
    struct s3_need    need = { .action = from->version.given ? S3_DO_GET_OBJECT_VERSION : S3_DO_GET_OBJECT,
                               .bucket = from->bucket, .key = from->key };
    struct container *container;
    int               rc = -E_STALE;

    for (int attempt = 0; attempt < S3_STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = s3_bucket_open(c, &need, attempt > 0, &container);
        if (rc)
            return rc;
        rc = source_read(c, from, &need, container, copied);
        if (rc == 0) {
            copied->container = container;
            return 0;
        }
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
    }
    return rc;
}

void s3_copied_done(struct s3_copied *copied)
{
    s3_content_close(&copied->content);
    copied->container = container_unref(copied->container);
}
