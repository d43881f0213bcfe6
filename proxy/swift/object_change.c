/* proxy/swift/object_change.c - POST and DELETE of objects. */
#include "proxy/swift/slo.h"

/* --- POST: new metadata in place of the old. --- */

struct post {
    Rs__ObjectMeta meta;        /* User metadata and kept headers. */
    struct slice   type;        /* Empty: as it was. */
    uint64_t       expires_s, modified_us;
};

static int post_edit(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s)
{
    const struct post *post = ctx;

    (void)arena;
    meta->meta = post->meta.meta;
    meta->n_meta = post->meta.n_meta;
    meta->headers = post->meta.headers;
    meta->n_headers = post->meta.n_headers;
    if (post->type.size)
        meta->content_type =
            (ProtobufCBinaryData) { .len = post->type.size, .data = (uint8_t *)(uintptr_t)post->type.data };
    /* Two changes in one moment, or a clock that went back, still show in order. */
    meta->modified_us = post->modified_us > meta->modified_us ? post->modified_us : meta->modified_us + 10;
    *expires_s = post->expires_s;
    return 0;
}

int object_post_call(struct call *c)
{
    struct container *container;
    struct post      *post = arena_new(c->arena, struct post);
    bool              given;
    int               rc = -E_STALE;

    if (!post)
        return -ENOMEM;
    rs__object_meta__init(&post->meta);
    post->type = http_header(c->rq, "Content-Type");
    post->modified_us = (uint64_t)(env_wall(c->rq->env) / NS_PER_US);
    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = call_container(c, c->account, c->container, ACCESS_OBJECT_WRITE, attempt > 0, &container);
        if (rc)
            return rc;
        if (c->object.size > OBJECT_NAME_MAX)
            rc = 404;
        if (rc == 0 && !http_valid_utf8(post->type)) {
            c->why = "Content-Type is not valid UTF-8";
            rc = 400;
        }
        if (rc == 0)
            rc = object_headers(c, &post->meta);
        if (rc == 0)
            rc = object_expiry(c, &given, &post->expires_s);
        if (rc == 0)
            rc = object_update(c->os, container, c->object, post_edit, post, call_deadline(c), c->arena, &c->err);
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
    }
    return rc ? rc : 202;
}

/* --- DELETE. --- */

int object_delete_call(struct call *c)
{
    struct container *container;
    int               rc = -E_STALE;

    if (slice_equal(http_query(c->rq, "multipart-manifest"), SLICE("delete")))
        return slo_delete_call(c);
    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = call_container(c, c->account, c->container, ACCESS_OBJECT_WRITE, attempt > 0, &container);
        if (rc)
            return rc;
        rc = c->object.size > OBJECT_NAME_MAX
                 ? 404
                 : object_delete(c->os, container, c->object, call_deadline(c), &c->err);
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
    }
    return rc ? rc : 204;
}
