/* proxy/swift/object_put.c - PUT of objects. */
#include "proxy/swift/slo.h"

#include "proxy/swift/put.h"

/* --- Before the bytes. --- */

static int add_tags(struct upload *u, struct slice list, struct slice *tags, uint32_t *count)
{
    while (list.size) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        struct slice   tag = slice_of(list.data, comma ? (size_t)(comma - list.data) : list.size);

        list = comma ? slice_from(list, tag.size + 1) : SLICE_NONE;
        while (tag.size && tag.data[0] == ' ')
            tag = slice_from(tag, 1);
        while (tag.size && tag.data[tag.size - 1] == ' ')
            tag.size--;
        if (tag.size == 0)
            continue;
        if (*count == CONDITION_TAGS_MAX) {
            u->c->why = "Too many entity tags";
            return 400;
        }
        tags[(*count)++] = strip_quotes(tag);
    }
    return 0;
}

static int upload_condition(struct upload *u)
{
    struct http_request *rq = u->c->rq;
    struct slice         match = http_header(rq, "If-Match"), none = http_header(rq, "If-None-Match");

    if (none.data) {
        if (!slice_equal(none, SLICE("*"))) {
            u->c->why = "If-None-Match only supports *";
            return 400;
        }
        u->condition.must_be_missing = true;
    }
    if (!match.data)
        return 0;
    if (slice_equal(match, SLICE("*"))) {
        u->condition.must_exist = true;
        return 0;
    }
    return add_tags(u, match, u->condition.match, &u->condition.match_count);
}

int upload_type(struct upload *u)
{
    struct slice type = http_header(u->c->rq, "Content-Type");

    if (type.size == 0 || header_true(http_header(u->c->rq, "X-Detect-Content-Type")))
        type = mime_guess(u->name);
    if (!http_valid_utf8(type)) {
        u->c->why = "Content-Type is not valid UTF-8";
        return 400;
    }
    u->meta.content_type = (ProtobufCBinaryData) { .len = type.size, .data = (uint8_t *)(uintptr_t)type.data };
    return 0;
}

static int check_manifest_header(struct upload *u)
{
    struct slice   where = http_header(u->c->rq, "X-Object-Manifest");
    const uint8_t *slash;

    if (!where.size)
        return 0;
    slash = memchr(where.data, '/', where.size);
    if (!slash || slash == where.data || slash == where.data + where.size - 1 || memchr(where.data, '?', where.size) ||
        memchr(where.data, '&', where.size)) {
        u->c->why = "X-Object-Manifest must be in the format container/prefix";
        return 400;
    }
    return 0;
}

int swift_upload_open(struct upload *u, struct call *c, struct slice account, struct slice container, struct slice name)
{
    bool given;
    int  rc;

    memset(u, 0, sizeof *u);
    rs__object_meta__init(&u->meta);
    u->c = c;
    u->account = account;
    u->container_name = container;
    u->name = name;
    rc = call_container(c, account, container, ACCESS_OBJECT_WRITE, false, &u->container);
    if (rc)
        return rc;
    if (name.size > OBJECT_NAME_MAX) {
        c->why = arena_printf(c->arena, "Object name length of %zu longer than %d", name.size, OBJECT_NAME_MAX);
        rc = 400;
    }
    if (rc == 0)
        rc = object_headers(c, &u->meta);
    if (rc == 0)
        rc = check_manifest_header(u);
    if (rc == 0)
        rc = object_expiry(c, &given, &u->expires_s);
    if (rc == 0)
        rc = upload_type(u);
    if (rc == 0)
        rc = upload_condition(u);
    u->etag = strip_quotes(http_header(c->rq, "Etag"));
    if (rc)
        upload_close(u);
    return rc;
}

/* After -E_STALE: the container as it is now, if the caller still may write it. */
WAITS static int upload_again(struct upload *u)
{
    struct container *fresh;
    int               rc;

    container_forget(u->c->os, u->container);
    rc = call_container(u->c, u->account, u->container_name, ACCESS_OBJECT_WRITE, true, &fresh);
    if (rc)
        return rc;
    container_unref(u->container);
    u->container = fresh;
    return 0;
}

int upload_begin(struct upload *u, uint64_t size)
{
    struct call  *c = u->c;
    struct object old;
    int           rc = 0;

    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX; attempt++) {
        /* Judged again with the write; but now the body need not come. */
        if (u->condition.must_be_missing) {
            rc = object_read(c->os, u->container, u->name, ROW_META, call_deadline(c), c->arena, &old, &c->err);
            if (rc == 0)
                return 412;
        }
        if (rc == 0 || rc == -ENOENT)
            rc = object_put_new(c->os, u->container, u->name, size, call_body_deadline(c), c->arena, &u->put, &c->err);
        if (rc != -E_STALE)
            return rc;
        rc = upload_again(u);
        if (rc)
            return rc;
    }
    return -E_STALE;
}

int upload_commit(struct upload *u)
{
    struct call *c = u->c;
    int          rc;

    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX; attempt++) {
        rc = object_put_commit(u->put, u->container, &u->meta, u->expires_s, &u->condition, call_deadline(c), &c->err);
        if (rc != -E_STALE)
            return rc;
        rc = upload_again(u);
        if (rc)
            return rc;
    }
    return -E_STALE;
}

void upload_close(struct upload *u)
{
    u->put = object_put_free(u->put);
    u->container = container_unref(u->container);
}

/* --- PUT. --- */

WAITS static int receive(struct upload *u, uint64_t size)
{
    struct call *c = u->c;
    uint64_t     got = 0;

    while (got != size) {
        uint8_t *to;
        size_t   room, n;
        int      rc = object_put_room(u->put, &to, &room, &c->err);

        if (rc)
            return rc;
        if (size != UINT64_MAX && room > size - got)
            room = (size_t)(size - got);
        rc = http_body_read(c->rq, to, room, &n);
        if (rc == -ETIMEDOUT)
            return 408;
        if (rc)
            return rc;
        if (n == 0)
            return size == UINT64_MAX ? 0 : -E_CLOSED;
        rc = object_put_filled(u->put, n, &c->err);
        if (rc)
            return rc;
        got += n;
    }
    return 0;
}

static int check_etag(struct upload *u)
{
    const uint8_t *md5 = object_put_md5(u->put);
    struct slice   tag = u->etag;

    if (tag.size == 0)
        return 0;
    if (tag.size != 32)
        return 422;
    for (int i = 0; i < 32; i++) {
        uint8_t d = tag.data[i] | 32, nibble = i % 2 ? md5[i / 2] & 15 : md5[i / 2] >> 4;
        if (d != "0123456789abcdef"[nibble])
            return 422;
    }
    return 0;
}

int object_put_call(struct call *c)
{
    struct http_request *rq = c->rq;
    uint64_t             size = rq->has_length ? rq->content_length : UINT64_MAX;
    struct upload       *u;
    int                  rc;

    if (http_header(rq, "X-Copy-From").data)
        return object_copy_call(c);
    u = arena_new(c->arena, struct upload);
    if (!u)
        return -ENOMEM;
    if (slice_equal(http_query(rq, "multipart-manifest"), SLICE("put")))
        return slo_put_call(c);
    rc = swift_upload_open(u, c, c->account, c->container, c->object);
    if (rc)
        return rc;
    if (http_header(rq, "X-Static-Large-Object").data) {
        c->why = "X-Static-Large-Object is a reserved header. To create a static large object add query param "
                 "multipart-manifest=put.";
        rc = 400;
    } else if (!rq->has_length && !rq->chunked) {
        c->why = "Missing Content-Length header.";
        rc = 411;
    } else if (rq->has_length && size > OBJECT_SIZE_MAX) {
        c->why = "Your request is too large.";
        rc = 413;
    }
    if (rc == 0)
        rc = upload_begin(u, size);
    if (rc == 0)
        rc = receive(u, size);
    if (rc == 0)
        rc = object_put_end(u->put, &c->err);
    if (rc == 0)
        rc = check_etag(u);
    if (rc == 0)
        rc = upload_commit(u);
    if (rc == 0) {
        char         hex[33];
        struct slice tag;
        object_etag(&u->meta, hex, &tag);
        http_reply_begin(rq, 201);
        http_reply_header(rq, "Etag", tag);
        reply_date(rq, "Last-Modified", u->meta.modified_us);
        call_reply_rest(c, 201);
    }
    upload_close(u);
    return rc;
}
