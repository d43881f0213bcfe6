/* proxy/swift/copy.c - COPY, and PUT with X-Copy-From: reads the source and stores it anew.
 *
 * The bytes are written again: a blob belongs to the one row that it was written
 * for, which garbage collection asks. */
#include "proxy/swift/large.h"
#include "proxy/swift/put.h"

struct copy {
    struct slice from_account, from_container, from_object;
    struct slice to_account, to_container, to_object;
};

/* "container/object", percent-encoded, with or without a slash in front. */
static int path_header(struct call *c, const char *name, struct slice *ret_container, struct slice *ret_object)
{
    struct slice   text = http_header(c->rq, name);
    const uint8_t *slash;

    if (text.data && http_unquote(c->arena, text, false, &text) == 0) {
        if (text.size && text.data[0] == '/')
            text = slice_from(text, 1);
        slash = text.size ? memchr(text.data, '/', text.size) : NULL;
        if (slash && slash != text.data && slash != text.data + text.size - 1 && http_valid_utf8(text)) {
            *ret_container = slice_of(text.data, (size_t)(slash - text.data));
            *ret_object = slice_from(text, ret_container->size + 1);
            return 0;
        }
    }
    c->why = arena_printf(c->arena, "%s header must be of the form <container name>/<object name>", name);
    return 412;
}

static int account_header(struct call *c, const char *name, struct slice *ret_account)
{
    struct slice text = http_header(c->rq, name);

    if (!text.data)
        return 0;
    if (http_unquote(c->arena, text, false, &text) || text.size == 0 || memchr(text.data, '/', text.size) ||
        !http_valid_utf8(text) || text.size > ACCOUNT_NAME_MAX) {
        c->why = "Account name cannot contain slashes";
        return 412;
    }
    *ret_account = text;
    return 0;
}

static int copy_names(struct call *c, struct copy *copy)
{
    int rc;

    if (slice_equal(c->rq->method, SLICE("COPY"))) {
        *copy = (struct copy) { c->account, c->container, c->object, c->account, SLICE_NONE, SLICE_NONE };
        if (!http_header(c->rq, "Destination").data) {
            c->why = "Destination header required";
            return 412;
        }
        rc = account_header(c, "Destination-Account", &copy->to_account);
        return rc ? rc : path_header(c, "Destination", &copy->to_container, &copy->to_object);
    }
    *copy = (struct copy) { c->account, SLICE_NONE, SLICE_NONE, c->account, c->container, c->object };
    rc = account_header(c, "X-Copy-From-Account", &copy->from_account);
    return rc ? rc : path_header(c, "X-Copy-From", &copy->from_container, &copy->from_object);
}

/* --- Metadata: the source's, with the request's on top. --- */

static int add_missing(struct arena *arena, Rs__MetaItem ***items, size_t *count, Rs__MetaItem **more, size_t more_count)
{
    Rs__MetaItem **all = arena_array(arena, Rs__MetaItem *, *count + more_count + 1);
    size_t         n = *count;

    if (!all)
        return -ENOMEM;
    if (n)
        memcpy(all, *items, n * sizeof *all);
    for (size_t i = 0; i < more_count; i++) {
        struct slice name = slice_of(more[i]->name.data, more[i]->name.len);
        bool         have = slice_equal(name, SLICE("x-object-manifest"));
        for (size_t j = 0; j < *count && !have; j++)
            have = slice_equal(name, slice_of((*items)[j]->name.data, (*items)[j]->name.len));
        if (!have)
            all[n++] = more[i];
    }
    *items = all;
    *count = n;
    return 0;
}

static int copy_meta(struct call *c, struct upload *u, const struct source *s, bool raw)
{
    const Rs__ObjectMeta *from = s->object.meta;
    bool                  expiry_given = http_header(c->rq, "X-Delete-At").size || http_header(c->rq, "X-Delete-After").size;
    struct slice          where = manifest_where(from);
    int                   rc = 0;

    if (!http_header(c->rq, "Content-Type").size)
        u->meta.content_type = from->content_type;
    if (!header_true(http_header(c->rq, "X-Fresh-Metadata"))) {
        rc = add_missing(c->arena, &u->meta.meta, &u->meta.n_meta, from->meta, from->n_meta);
        if (rc == 0)
            rc = add_missing(c->arena, &u->meta.headers, &u->meta.n_headers, from->headers, from->n_headers);
        if (!expiry_given)
            u->expires_s = s->object.value->expires_s;
    }
    if (rc || !raw)
        return rc;
    /* A manifest is copied as a manifest. */
    u->meta.manifest = from->manifest;
    u->meta.manifest_size = from->manifest_size;
    if (from->manifest)
        u->meta.manifest_etag = s->object.meta->manifest_etag;
    for (size_t i = 0; where.size && i < from->n_headers; i++)
        if (slice_equal(slice_of(from->headers[i]->name.data, from->headers[i]->name.len), SLICE("x-object-manifest"))) {
            Rs__MetaItem **all = arena_array(c->arena, Rs__MetaItem *, u->meta.n_headers + 1);
            if (!all)
                return -ENOMEM;
            memcpy(all, u->meta.headers, u->meta.n_headers * sizeof *all);
            all[u->meta.n_headers++] = from->headers[i];
            u->meta.headers = all;
        }
    return 0;
}

static int copy_range(struct call *c, const struct source *s, struct http_range *ret)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    uint32_t          count = 0;
    struct slice      header = http_header(c->rq, "Range");

    *ret = (struct http_range) { 0, s->size };
    if (header.data && http_ranges(header, s->size, ranges, &count) == -ERANGE)
        return 416;
    if (count == 1)
        *ret = ranges[0];
    return 0;
}

WAITS static int copy_sink(void *ctx, struct slice bytes)
{
    struct upload *u = ctx;
    return object_put_bytes(u->put, bytes, &u->c->err);
}

WAITS static void copy_reply(struct call *c, const struct copy *copy, const struct source *s, struct upload *u)
{
    struct http_request *rq = c->rq;
    char                 hex[33];
    struct slice         tag, container = http_quote(c->arena, copy->from_container, "/");

    http_reply_begin(rq, 201);
    object_etag(&u->meta, hex, &tag);
    http_reply_header(rq, "Etag", tag);
    reply_date(rq, "Last-Modified", u->meta.modified_us);
    struct slice object = http_quote(c->arena, copy->from_object, "/");
    http_reply_headerf(rq, "X-Copied-From", "%.*s/%.*s", SLICE_ARG(container), SLICE_ARG(object));
    http_reply_header(rq, "X-Copied-From-Account", http_quote(c->arena, copy->from_account, ""));
    reply_date(rq, "X-Copied-From-Last-Modified", s->object.meta->modified_us);
    reply_meta(rq, "X-Object-Meta-", u->meta.meta, u->meta.n_meta);
    call_reply_rest(c, 201);
}

WAITS static int copy_bytes(struct call *c, const struct copy *copy, struct source *s, struct upload *u, bool raw)
{
    struct http_range range;
    int               rc = copy_range(c, s, &range);

    if (rc == 0 && range.size > OBJECT_SIZE_MAX)
        rc = 413;
    if (rc == 0)
        rc = copy_meta(c, u, s, raw);
    if (rc == 0)
        rc = upload_begin(u, range.size);
    if (rc == 0)
        rc = source_send(s, range.first, range.size, copy_sink, u);
    if (rc == 0 && object_put_size(u->put) != range.size)
        rc = error_set(&c->err, -E_CORRUPT, "the source gave fewer bytes than it has");
    if (rc == 0)
        rc = object_put_end(u->put, &c->err);
    if (rc == 0)
        rc = upload_commit(u);
    if (rc == 0)
        copy_reply(c, copy, s, u);
    return rc;
}

int object_copy_call(struct call *c)
{
    bool           raw = slice_equal(http_query(c->rq, "multipart-manifest"), SLICE("get"));
    struct source *s = arena_new(c->arena, struct source);
    struct upload *u = arena_new(c->arena, struct upload);
    struct copy    copy;
    int            rc;

    if (!s || !u)
        return -ENOMEM;
    if (c->rq->chunked || (c->rq->has_length && c->rq->content_length > 0)) {
        c->why = "Copy requests require a zero byte body";
        return 400;
    }
    rc = copy_names(c, &copy);
    if (rc)
        return rc;
    rc = swift_upload_open(u, c, copy.to_account, copy.to_container, copy.to_object);
    if (rc)
        return rc;
    rc = source_open(c, copy.from_account, copy.from_container, copy.from_object, ROW_FULL, raw, s);
    if (rc == 0) {
        rc = copy_bytes(c, &copy, s, u, raw);
        source_close(s);
    }
    upload_close(u);
    return rc;
}
