/* proxy/swift/object_get.c - GET and HEAD of objects: conditions, ranges, large objects. */
#include <stdio.h>

#include "proxy/swift/slo.h"

struct sender {
    struct call      *c;
    struct source    *source;
    struct http_range ranges[HTTP_RANGES_MAX];
    uint32_t          range_count;
    bool              started;
    char              boundary[33];
    char             *prefix;      /* Head of a part, to be sent before its bytes. */
};

/* --- Conditions (RFC 9110, section 13). --- */

static bool tag_listed(struct slice list, struct slice etag)
{
    while (list.size) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        struct slice   tag = slice_of(list.data, comma ? (size_t)(comma - list.data) : list.size);

        list = comma ? slice_from(list, tag.size + 1) : SLICE_NONE;
        while (tag.size && tag.data[0] == ' ')
            tag = slice_from(tag, 1);
        while (tag.size && tag.data[tag.size - 1] == ' ')
            tag.size--;
        if (slice_starts(tag, SLICE("W/")))
            tag = slice_from(tag, 2);
        if (slice_equal(tag, SLICE("*")) || slice_equal(strip_quotes(tag), etag))
            return true;
    }
    return false;
}

static int64_t modified_s(const struct source *s)
{
    return (int64_t)((s->object.meta->modified_us + 999999) / 1000000);
}

/* 0, 304 or 412. */
static int judge(struct call *c, const struct source *s)
{
    struct slice match = http_header(c->rq, "If-Match"), none = http_header(c->rq, "If-None-Match");
    struct slice text;
    int64_t      when;

    if (match.data && !tag_listed(match, s->etag))
        return 412;
    if (!match.data && (text = http_header(c->rq, "If-Unmodified-Since")).data && http_date_parse(text, &when) &&
        modified_s(s) > when)
        return 412;
    if (none.data)
        return tag_listed(none, s->etag) ? 304 : 0;
    if ((text = http_header(c->rq, "If-Modified-Since")).data && http_date_parse(text, &when) && modified_s(s) <= when)
        return 304;
    return 0;
}

static bool range_applies(struct call *c, const struct source *s)
{
    struct slice text = http_header(c->rq, "If-Range");
    int64_t      when;

    if (!text.data)
        return true;
    if (http_date_parse(text, &when))
        return when == modified_s(s);
    return slice_equal(strip_quotes(text), s->etag);
}

/* --- Headers. --- */

static void object_reply(struct sender *sender, int status)
{
    struct http_request  *rq = sender->c->rq;
    struct source        *s = sender->source;
    const Rs__ObjectMeta *meta = s->object.meta;

    http_reply_begin(rq, status);
    /* What S3 clients uploaded in parts is shown as a static large object: its ETag is no MD5 of the bytes. */
    if (s->manifest.kind == MANIFEST_NONE && meta->upload.len == 0)
        http_reply_header(rq, "Etag", s->etag);
    else
        http_reply_headerf(rq, "Etag", "\"%.*s\"", SLICE_ARG(s->etag));
    reply_date(rq, "Last-Modified", meta->modified_us);
    reply_time(rq, "X-Timestamp", meta->modified_us);
    http_reply_header(rq, "Accept-Ranges", SLICE("bytes"));
    reply_meta(rq, "X-Object-Meta-", meta->meta, meta->n_meta);
    for (size_t i = 0; i < meta->n_headers; i++)
        reply_header_title(rq, slice_of(meta->headers[i]->name.data, meta->headers[i]->name.len),
                           slice_of(meta->headers[i]->value.data, meta->headers[i]->value.len));
    if (meta->manifest || meta->upload.len)
        http_reply_header(rq, "X-Static-Large-Object", SLICE("True"));
    if (s->object.value->expires_s)
        reply_number(rq, "X-Delete-At", s->object.value->expires_s);
}

static struct slice type_of(const struct sender *sender)
{
    const Rs__ObjectMeta *meta = sender->source->object.meta;
    return slice_of(meta->content_type.data, meta->content_type.len);
}

static const char *type_text(const struct sender *sender)
{
    const char *text = arena_str(sender->c->arena, type_of(sender));
    return text ? text : "application/octet-stream";
}

static void range_header(struct sender *sender)
{
    const struct http_range *r = &sender->ranges[0];

    http_reply_headerf(sender->c->rq, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)r->first,
                       (unsigned long long)(r->first + r->size - 1), (unsigned long long)sender->source->size);
}

static int part_head(const struct sender *sender, uint32_t i, char *to, size_t capacity)
{
    const struct http_range *r = &sender->ranges[i];
    struct slice             type = type_of(sender);

    return snprintf(to, capacity, "%s--%s\r\nContent-Type: %.*s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
                    i ? "\r\n" : "", sender->boundary, SLICE_ARG(type), (unsigned long long)r->first,
                    (unsigned long long)(r->first + r->size - 1), (unsigned long long)sender->source->size);
}

/* Length of the whole multipart body. */
static uint64_t parts_length(const struct sender *sender)
{
    uint64_t n = 2 + 2 + 32 + 2;   /* "\r\n--boundary--" */

    for (uint32_t i = 0; i < sender->range_count; i++)
        n += (uint64_t)part_head(sender, i, NULL, 0) + sender->ranges[i].size;
    return n;
}

/* --- Body. --- */

WAITS static int sender_start(struct sender *sender)
{
    struct http_request *rq = sender->c->rq;
    uint64_t             size = sender->source->size;

    sender->started = true;
    object_reply(sender, sender->range_count ? 206 : 200);
    if (sender->range_count > 1) {
        http_reply_headerf(rq, "Content-Type", "multipart/byteranges;boundary=%s", sender->boundary);
        size = parts_length(sender);
    } else {
        http_reply_header(rq, "Content-Type", type_of(sender));
        if (sender->range_count == 1) {
            range_header(sender);
            size = sender->ranges[0].size;
        }
    }
    return http_reply_stream(rq, size);
}

/* The status is only sent when the first bytes are here: a lost segment is still a clean 409 then. */
WAITS static int sender_sink(void *ctx, struct slice bytes)
{
    struct sender *sender = ctx;
    int            rc = sender->started ? 0 : sender_start(sender);

    if (rc == 0 && sender->prefix) {
        rc = http_reply_write(sender->c->rq, slice_str(sender->prefix));
        sender->prefix = NULL;
    }
    return rc ? rc : http_reply_write(sender->c->rq, bytes);
}

WAITS static int send_parts(struct sender *sender)
{
    char head[HEADER_VALUE_MAX + 512], tail[40];
    int  rc = 0;

    for (uint32_t i = 0; rc == 0 && i < sender->range_count; i++) {
        part_head(sender, i, head, sizeof head);
        sender->prefix = head;
        rc = source_send(sender->source, sender->ranges[i].first, sender->ranges[i].size, sender_sink, sender);
    }
    snprintf(tail, sizeof tail, "\r\n--%s--", sender->boundary);
    return rc ? rc : http_reply_write(sender->c->rq, slice_str(tail));
}

WAITS static int send_body(struct sender *sender)
{
    struct source       *s = sender->source;
    struct http_request *rq = sender->c->rq;
    uint64_t             first = sender->range_count ? sender->ranges[0].first : 0;
    uint64_t             size = sender->range_count ? sender->ranges[0].size : s->size;
    int                  rc;

    if (sender->range_count <= 1 && s->manifest.kind == MANIFEST_NONE && s->object.value->n_extents == 0 &&
        !s->object.meta->encryption) {
        /* In the row: one write. */
        if (s->object.value->data.len != s->object.size)
            return error_set(&sender->c->err, -E_CORRUPT, "an inline object is not as long as its row says");
        object_reply(sender, sender->range_count ? 206 : 200);
        if (sender->range_count)
            range_header(sender);
        http_reply_body(rq, type_text(sender), slice_of(s->object.value->data.data + first, size));
        return 0;
    }
    rc = sender->range_count > 1 ? send_parts(sender) : source_send(s, first, size, sender_sink, sender);
    if (rc == 0 && !sender->started)
        rc = sender_start(sender);   /* No bytes at all. */
    if (rc == 0)
        rc = http_reply_end(rq);
    if (rc && sender->started) {
        http_reply_abort(rq);
        return 0;
    }
    return rc;
}

WAITS static int send_head(struct sender *sender)
{
    struct http_request *rq = sender->c->rq;

    object_reply(sender, 200);
    http_reply_header(rq, "Content-Type", type_of(sender));
    http_reply_length_only(rq, sender->source->size);
    return 0;
}

static void make_boundary(struct sender *sender)
{
    uint8_t random[16];

    env_random(sender->c->rq->env, random, sizeof random);
    for (int i = 0; i < 16; i++)
        snprintf(sender->boundary + 2 * i, 3, "%02x", random[i]);
}

WAITS static int object_answer(struct sender *sender)
{
    struct call   *c = sender->c;
    struct source *s = sender->source;
    struct slice   range = http_header(c->rq, "Range");
    int            status = judge(c, s);

    if (status) {
        object_reply(sender, status);
        if (status == 412)
            call_reply_rest(c, 412);
        else
            http_reply_empty(c->rq);
        return 0;
    }
    if (range.data && !c->rq->head && range_applies(c, s)) {
        if (http_ranges(range, s->size, sender->ranges, &sender->range_count) == -ERANGE) {
            object_reply(sender, 416);
            http_reply_headerf(c->rq, "Content-Range", "bytes */%llu", (unsigned long long)s->size);
            call_reply_rest(c, 416);
            return 0;
        }
        if (sender->range_count > 1)
            make_boundary(sender);
    }
    return c->rq->head ? send_head(sender) : send_body(sender);
}

int object_get_call(struct call *c)
{
    bool           manifest = slice_equal(http_query(c->rq, "multipart-manifest"), SLICE("get"));
    struct sender *sender;
    struct source *source;
    int            rc;

    if (c->object.size > OBJECT_NAME_MAX)
        return 404;
    sender = arena_new(c->arena, struct sender);
    source = arena_new(c->arena, struct source);
    if (!sender || !source)
        return -ENOMEM;
    rc = source_open(c, c->account, c->container, c->object, c->rq->head && !manifest ? ROW_META : ROW_FULL, manifest,
                     source);
    if (rc)
        return rc;
    sender->c = c;
    sender->source = source;
    if (manifest && (source->object.meta->manifest || source->object.meta->upload.len))
        rc = slo_show(c, source);
    else
        rc = object_answer(sender);
    source_close(source);
    return rc;
}
