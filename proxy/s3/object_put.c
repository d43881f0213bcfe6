/* proxy/s3/object_put.c - PutObject, and the steps of every write (write.h). */
#include "proxy/s3/write.h"

/* --- Steps. --- */

int s3_write_open(struct s3_write *w, struct s3_call *c, int (*prepare)(struct s3_write *w), void *ctx)
{
    int rc;

    memset(w, 0, sizeof *w);
    w->c = c;
    w->need = s3_need(c);
    w->prepare = prepare;
    w->ctx = ctx;
    rs__object_meta__init(&w->meta);
    rc = s3_bucket_open(c, &w->need, false, &w->container);
    if (rc)
        return rc;
    rc = prepare(w);
    if (rc == 0)
        rc = s3_encryption_valid(c);
    if (rc == 0)
        rc = s3_write_condition(c, &w->condition);
    if (rc)
        s3_write_close(w);
    return rc;
}

/* The bucket as it is now; what was checked against its old configuration is checked again. */
WAITS static int write_again(struct s3_write *w)
{
    int rc = s3_bucket_again(w->c, &w->need, &w->container);

    return rc ? rc : w->prepare(w);
}

/* Conditions are judged with the write; but when they fail by now, the body need not come. */
WAITS static int write_worth(struct s3_write *w)
{
    struct s3_call *c = w->c;
    struct object   old;
    int             rc;

    if (object_condition_empty(&w->condition))
        return 0;
    rc = object_read(c->os, w->container, w->need.key, ROW_META, s3_deadline(c), c->arena, &old, &c->err);
    if (rc == -ENOENT)
        return w->condition.must_exist || w->condition.match_count ? s3_error(c, S3_NO_SUCH_KEY) : 0;
    if (rc == 0 && w->condition.must_be_missing)
        return s3_error(c, S3_PRECONDITION_FAILED);
    return rc;
}

int s3_write_begin(struct s3_write *w, uint64_t size)
{
    struct s3_call *c = w->c;
    int             rc = -E_STALE;

    for (int attempt = 0; attempt < S3_STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        if (attempt && (rc = write_again(w)) != 0)
            return rc;
        rc = write_worth(w);
        if (rc == 0)
            rc = object_put_new(c->os, w->container, w->need.key, size, s3_body_deadline(c), c->arena, &w->put, &c->err);
    }
    if (rc == 0 && w->kind)
        rc = object_put_checksum(w->put, w->kind, &c->err);
    if (rc == 0)
        rc = s3_encryption_put(c, w->put);
    return rc;
}

int s3_write_commit(struct s3_write *w)
{
    struct s3_call *c = w->c;
    struct slice    value = object_put_checksum_value(w->put);
    int             rc = -E_STALE;

    for (int attempt = 0; attempt < S3_STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        if (attempt && (rc = write_again(w)) != 0)
            return rc;
        w->meta.checksum_kind = value.size ? w->kind : CHECKSUM_NONE;
        w->meta.checksum = s3_pb_of(value);
        w->meta.checksum_composite = false;
        rc = object_put_commit(w->put, w->container, &w->meta, w->expires_s, &w->condition, s3_deadline(c), &c->err);
    }
    return rc == -E_CONDITION ? s3_condition_failed(c, w->container, &w->condition) : rc;
}

void s3_write_close(struct s3_write *w)
{
    w->put = object_put_free(w->put);
    w->container = container_unref(w->container);
}

void s3_write_headers(struct s3_write *w)
{
    s3_header_etag(w->c, &w->meta);
    if (!w->meta.null_version)   /* With versioning suspended a write has no version to name. */
        s3_header_version(w->c, w->container, &w->meta);
    s3_header_checksum(w->c, &w->meta);
    s3_reply_encryption(w->c, &w->meta);
    s3_reply_expiration(w->c, w->container, &w->meta, object_put_size(w->put));
}

/* --- PutObject. --- */

static int put_prepare(struct s3_write *w)
{
    return s3_object_headers(w->c, w->container, &w->meta);
}

WAITS static int put_run(struct s3_write *w)
{
    struct s3_call *c = w->c;
    struct receipt  receipt;
    int             rc = receipt_read(c, CHECKSUM_NONE, &receipt);

    if (rc)
        return rc;
    w->kind = receipt.kind;
    rc = s3_write_begin(w, s3_body_size(c->body));
    if (rc == 0)
        rc = receive_body(c, &receipt, w->put);
    if (rc == 0)
        rc = s3_write_commit(w);
    if (rc)
        return rc;
    s3_begin(c, 200);
    s3_write_headers(w);
    http_reply_empty(c->rq);
    return 0;
}

int s3_put_object(struct s3_call *c)
{
    struct s3_write *w = arena_new(c->arena, struct s3_write);
    uint64_t         size = s3_body_size(c->body);
    int              rc;

    if (!w)
        return -ENOMEM;
    if (!c->rq->has_length && !c->rq->chunked)
        return s3_error(c, S3_MISSING_CONTENT_LENGTH);
    if (size != UINT64_MAX && size > OBJECT_SIZE_MAX)
        return s3_errorf(c, S3_ENTITY_TOO_LARGE, "Your proposed upload exceeds the maximum allowed size");
    rc = s3_write_open(w, c, put_prepare, NULL);
    if (rc)
        return rc;
    rc = put_run(w);
    s3_write_close(w);
    return rc;
}
