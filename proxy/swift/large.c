/* proxy/swift/large.c - see large.h. */
#include "proxy/swift/large.h"

int segments_of(struct call *c, const struct object *object, struct arena *arena, Rs__SegmentList **ret_list)
{
    return manifest_segments(c->os, object, call_deadline(c), arena, ret_list, &c->err);
}

/* A segment's container goes by its own lists. */
WAITS static int segment_container(void *ctx, struct slice name, bool listing, bool fresh,
                                   struct container **ret_container)
{
    struct source *s = ctx;
    int rc = call_container(s->c, s->account, name, listing ? ACCESS_LISTING : ACCESS_OBJECT_READ, fresh, ret_container);

    return !listing && (rc == 401 || rc == 403) ? -E_FORBIDDEN : rc;
}

WAITS static int source_large(struct source *s, enum row_want want)
{
    struct call *c = s->c;
    struct slice where = manifest_where(s->object.meta);
    int          rc = where.size ? http_unquote(c->arena, where, false, &where) : 0;

    if (rc)
        return rc;
    s->access = (struct manifest_access) { .open = segment_container, .ctx = s };
    rc = manifest_open(c->os, &s->access, &s->object, where, want == ROW_FULL, call_body_deadline(c), &s->manifest,
                       &c->err);
    if (rc == -E_CONFLICT)
        c->why = arena_str(c->arena, slice_str(c->err.text));
    if (rc == 0 && s->manifest.kind != MANIFEST_NONE) {
        s->size = s->manifest.size;
        s->etag = s->manifest.etag;
    }
    return rc;
}

static bool customer_key(const struct object *o)
{
    return o->meta->encryption && o->meta->encryption->kind == ENCRYPTION_CUSTOMER;
}

int source_open(struct call *c, struct slice account, struct slice container, struct slice object, enum row_want want,
                bool raw, struct source *s)
{
    int rc = -E_STALE;

    memset(s, 0, sizeof *s);
    s->c = c;
    s->account = account;
    s->name = object;
    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = call_container(c, account, container, ACCESS_OBJECT_READ, attempt > 0, &s->container);
        if (rc)
            return rc;
        rc = object_read(c->os, s->container, object, want, call_deadline(c), c->arena, &s->object, &c->err);
        if (rc == -E_STALE)
            container_forget(c->os, s->container);
        if (rc)
            s->container = container_unref(s->container);
    }
    if (rc)
        return rc;
    s->size = s->object.size;
    /* This dialect has no way to give a customer's key. */
    if (want == ROW_FULL && customer_key(&s->object))
        rc = error_set(&c->err, 422, "the object is encrypted by a customer's key: S3 reads it");
    if (rc == 0 && !raw)
        rc = source_large(s, want);
    if (s->manifest.kind == MANIFEST_NONE) {
        Rs__ObjectMeta stored = *s->object.meta;
        if (stored.manifest)
            stored.manifest_etag.len = 0;   /* Only of what it stands for. */
        object_etag(&stored, s->hex, &s->etag);
    }
    if (rc)
        source_close(s);
    return rc;
}

void source_close(struct source *s)
{
    manifest_close(&s->manifest);
    s->container = container_unref(s->container);
}

int source_send(struct source *s, uint64_t offset, uint64_t size, object_sink sink, void *ctx)
{
    struct call *c = s->c;

    if (s->manifest.kind == MANIFEST_NONE)
        return object_send(c->os, &s->object, offset, size, call_body_deadline(c), sink, ctx, &c->err);
    return manifest_send(&s->manifest, offset, size, sink, ctx, &c->err);
}
