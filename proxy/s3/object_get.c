/* proxy/s3/object_get.c - GET and HEAD of objects: versions, conditions, ranges, parts. */
#include <stdio.h>

#include "proxy/object/checksum.h"
#include "proxy/s3/large.h"

struct get {
    struct s3_call   *c;
    struct container *container;
    struct object     object;
    struct s3_content content;
    uint64_t          size;            /* As clients see it. */
    uint64_t          first, length;   /* What is sent. */
    bool              started;         /* The answer to a large object's read. */
    bool              partial;         /* 206, with Content-Range. */
    bool              whole;           /* Of one object, so its checksum fits. */
    uint32_t          part_count;      /* x-amz-mp-parts-count; 0: none. */
    struct slice      part_checksum;   /* Of the part that is sent; empty: of none. */
};

/* --- Conditions (RFC 9110, section 13; AWS: an If-Match that holds beats If-Unmodified-Since, and so on). --- */

bool s3_tag_listed(struct slice list, struct slice etag)
{
    while (list.size) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        struct slice   tag = slice_of(list.data, comma ? (size_t)(comma - list.data) : list.size);

        list = comma ? slice_from(list, tag.size + 1) : SLICE_NONE;
        tag = s3_tag_bare(tag);
        if (slice_equal(tag, SLICE("*")) || slice_equal(tag, s3_tag_bare(etag)))
            return true;
    }
    return false;
}

struct slice s3_tag_bare(struct slice tag)
{
    while (tag.size && (tag.data[0] == ' ' || tag.data[0] == '\t'))
        tag = slice_from(tag, 1);
    while (tag.size && (tag.data[tag.size - 1] == ' ' || tag.data[tag.size - 1] == '\t'))
        tag.size--;
    if (slice_starts(tag, SLICE("W/")))
        tag = slice_from(tag, 2);
    if (tag.size >= 2 && tag.data[0] == '"' && tag.data[tag.size - 1] == '"')
        tag = slice_of(tag.data + 1, tag.size - 2);
    /* Of a large object made through Swift: see s3_etag_in(). */
    if (tag.size > 2 && memcmp(tag.data + tag.size - 2, "-N", 2) == 0)
        tag.size -= 2;
    return tag;
}

static bool since(struct slice text, int64_t modified_s, bool *ret_later)
{
    int64_t when;

    if (!text.data || !http_date_parse(text, &when))
        return false;
    *ret_later = modified_s > when;
    return true;
}

enum s3_judged s3_judge(const struct s3_conditions *if_, struct slice etag, uint64_t modified_us)
{
    int64_t modified_s = (int64_t)(modified_us / 1000000);
    bool    later;

    if (if_->match.data) {
        if (!s3_tag_listed(if_->match, etag))
            return S3_JUDGED_FAILED;
    } else if (since(if_->unmodified_since, modified_s, &later) && later) {
        return S3_JUDGED_FAILED;
    }
    if (if_->none_match.data)
        return s3_tag_listed(if_->none_match, etag) ? S3_JUDGED_NOT_MODIFIED : S3_JUDGED_HOLDS;
    if (since(if_->modified_since, modified_s, &later) && !later)
        return S3_JUDGED_NOT_MODIFIED;
    return S3_JUDGED_HOLDS;
}

/* --- Headers of the answer. --- */

static void reply_meta(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    char     name[128 + 16] = "x-amz-meta-";
    size_t   n = strlen(name);
    uint32_t missing = 0;

    for (size_t i = 0; i < meta->n_meta; i++) {
        const Rs__MetaItem *item = meta->meta[i];
        if (item->name.len + n >= sizeof name) {
            missing++;
            continue;
        }
        memcpy(name + n, item->name.data, item->name.len);
        name[n + item->name.len] = 0;
        if (http_reply_header(c->rq, name, s3_pb(item->value)))
            missing++;   /* It came in a form that headers cannot carry. */
    }
    if (missing)
        s3_header_number(c, "x-amz-missing-meta", missing);
}

static void reply_lock(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    if (meta->lock_mode != LOCK_NONE) {
        char until[40];
        s3_iso_time(meta->retain_until_us, until);
        http_reply_header(c->rq, "x-amz-object-lock-mode",
                          meta->lock_mode == LOCK_COMPLIANCE ? SLICE("COMPLIANCE") : SLICE("GOVERNANCE"));
        http_reply_header(c->rq, "x-amz-object-lock-retain-until-date", slice_str(until));
    }
    if (meta->legal_hold)
        http_reply_header(c->rq, "x-amz-object-lock-legal-hold", SLICE("ON"));
}

/* 'parts': of a composite. */
static void header_checksum(struct s3_call *c, const Rs__ObjectMeta *meta, struct slice value, uint32_t parts)
{
    char        text[CHECKSUM_TEXT_MAX], name[40];
    const char *kind = checksum_name(meta->checksum_kind);

    if (!kind || value.size == 0)
        return;
    checksum_text(text, value, parts);
    snprintf(name, sizeof name, "x-amz-checksum-%s", kind);
    for (char *p = name; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 32) : *p;
    http_reply_header(c->rq, name, slice_str(text));
    http_reply_header(c->rq, "x-amz-checksum-type", meta->checksum_composite ? SLICE("COMPOSITE") : SLICE("FULL_OBJECT"));
}

void s3_header_checksum(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    header_checksum(c, meta, s3_pb(meta->checksum), meta->checksum_composite ? meta->part_count : 0);
}

static const struct override {
    const char *query, *header, *lower;
} overrides[] = {
    { "response-content-type", "Content-Type", "content-type" },
    { "response-cache-control", "Cache-Control", "cache-control" },
    { "response-content-disposition", "Content-Disposition", "content-disposition" },
    { "response-content-encoding", "Content-Encoding", "content-encoding" },
    { "response-content-language", "Content-Language", "content-language" },
    { "response-expires", "Expires", "expires" },
};
enum { OVERRIDES = sizeof overrides / sizeof *overrides };

static struct slice overridden(const struct s3_call *c, uint32_t i)
{
    return c->rq->query_count ? s3_query(c, overrides[i].query) : SLICE_NONE;
}

static struct slice type_of(const struct get *g)
{
    struct slice type = overridden(g->c, 0);

    if (!type.data)
        type = s3_pb(g->object.meta->content_type);
    return type.size ? type : SLICE("binary/octet-stream");
}

static void reply_kept(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    for (uint32_t i = 1; i < OVERRIDES; i++) {
        struct slice value = overridden(c, i);
        if (!value.data)
            value = s3_kept_header(meta, overrides[i].lower);
        if (value.size)
            http_reply_header(c->rq, overrides[i].header, value);
    }
    struct slice redirect = s3_kept_header(meta, "x-amz-website-redirect-location");
    if (redirect.size)
        http_reply_header(c->rq, "x-amz-website-redirect-location", redirect);
}

/* All but Content-Type, which the body's reply may carry. */
static void object_reply(struct get *g, int status)
{
    struct s3_call       *c = g->c;
    const Rs__ObjectMeta *meta = g->object.meta;

    s3_begin(c, status);
    if (g->content.manifest.kind == MANIFEST_NONE)
        s3_header_etag(c, meta);
    else
        http_reply_headerf(c->rq, "ETag", "\"%.*s\"", SLICE_ARG(g->content.etag));
    s3_header_date(c, "Last-Modified", meta->modified_us);
    s3_header_version(c, g->container, meta);
    reply_kept(c, meta);
    if (status == 304)
        return;
    http_reply_header(c->rq, "Accept-Ranges", SLICE("bytes"));
    reply_meta(c, meta);
    reply_lock(c, meta);
    s3_reply_encryption(c, meta);
    if (meta->storage_class.len)
        http_reply_header(c->rq, "x-amz-storage-class", s3_pb(meta->storage_class));
    if (meta->n_tags)
        s3_header_number(c, "x-amz-tagging-count", meta->n_tags);
    if (g->part_count)
        s3_header_number(c, "x-amz-mp-parts-count", g->part_count);
    if (slice_equal(s3_header(c, "x-amz-checksum-mode"), SLICE("ENABLED"))) {
        if (g->part_checksum.size)
            header_checksum(c, meta, g->part_checksum, 0);
        else if (g->whole)
            s3_header_checksum(c, meta);
    }
    s3_reply_expiration(c, g->container, meta, g->size);
    if (g->partial)
        http_reply_headerf(c->rq, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)g->first,
                           (unsigned long long)(g->first + g->length - 1), (unsigned long long)g->size);
}

/* --- What is sent. --- */

/* partNumber= */
WAITS static int pick_part(struct get *g, uint64_t number)
{
    struct s3_call  *c = g->c;
    Rs__PartTable   *table;
    int              rc;

    if (g->object.meta->upload.len == 0) {
        if (number != 1)
            return s3_error(c, S3_INVALID_PART);
        g->partial = g->size > 0;
        return 0;
    }
    rc = object_parts(c->os, &g->object, s3_body_deadline(c), c->arena, &table, &c->err);
    if (rc)
        return rc;
    g->part_count = (uint32_t)table->n_parts;
    g->first = 0;
    for (size_t i = 0; i < table->n_parts; i++) {
        const Rs__PartEntry *part = table->parts[i];
        if (part->number == number) {
            g->length = part->size;
            g->partial = part->size > 0;
            g->whole = false;
            g->part_checksum = s3_pb(part->checksum);
            return 0;
        }
        g->first += part->size;
    }
    return s3_error(c, S3_INVALID_PART);
}

static bool range_applies(const struct get *g)
{
    struct slice text = s3_header(g->c, "If-Range");
    int64_t      when;

    if (!text.data)
        return true;
    if (http_date_parse(text, &when))
        return when == (int64_t)(g->object.meta->modified_us / 1000000);
    return s3_tag_listed(text, g->content.etag);
}

WAITS static int pick_range(struct get *g)
{
    struct s3_call   *c = g->c;
    struct slice      range = s3_header(c, "Range");
    struct slice      part = c->rq->query_count ? s3_query(c, "partNumber") : SLICE_NONE;
    struct http_range ranges[HTTP_RANGES_MAX];
    uint32_t          count = 0;
    uint64_t          number;

    g->first = 0;
    g->length = g->size;
    g->whole = true;
    if (part.data) {
        if (range.data)
            return s3_errorf(c, S3_INVALID_REQUEST, "Cannot specify both Range header and partNumber query parameter.");
        if (!slice_u64(part, &number) || number == 0 || number > PART_NUMBER_MAX)
            return s3_bad_argument(c, "partNumber", part, "Part number must be an integer between 1 and 10000, inclusive");
        return pick_part(g, number);
    }
    if (!range.data || !range_applies(g))
        return 0;
    if (http_ranges(range, g->size, ranges, &count) == -ERANGE) {
        s3_extra(c, "RangeRequested", range);
        s3_extra(c, "ActualObjectSize", slice_str(arena_printf(c->arena, "%llu", (unsigned long long)g->size)));
        return s3_error(c, S3_INVALID_RANGE);
    }
    if (count != 1)
        return 0;   /* As AWS: several ranges are no range. */
    g->first = ranges[0].first;
    g->length = ranges[0].size;
    g->partial = true;
    g->whole = false;
    return 0;
}

WAITS static int stream_start(struct get *g)
{
    g->started = true;
    object_reply(g, g->partial ? 206 : 200);
    http_reply_header(g->c->rq, "Content-Type", type_of(g));
    return http_reply_stream(g->c->rq, g->length);
}

WAITS static int send_stream(struct get *g, struct object_body *body, struct slice bytes)
{
    struct s3_call *c = g->c;
    int             rc = stream_start(g);

    while (rc == 0 && bytes.size) {
        rc = http_reply_write(c->rq, bytes);
        if (rc == 0)
            rc = object_body_next(body, &bytes, &c->err);
    }
    return rc ? rc : http_reply_end(c->rq);
}

/* The status is only sent when the first bytes are here. */
WAITS static int send_body(struct get *g)
{
    struct s3_call    *c = g->c;
    struct object_body body;
    struct slice       bytes = SLICE_NONE;
    int rc = object_body_open(c->os, &g->object, g->first, g->length, s3_body_deadline(c), &body, &c->err);

    if (rc)
        return rc;
    rc = object_body_next(&body, &bytes, &c->err);
    if (rc == 0 && bytes.size == g->length) {
        char *type = arena_str(c->arena, type_of(g));
        object_reply(g, g->partial ? 206 : 200);
        http_reply_body(c->rq, type ? type : "binary/octet-stream", bytes);
    } else if (rc == 0) {
        rc = send_stream(g, &body, bytes);
        if (rc) {
            http_reply_abort(c->rq);   /* The client sees a short body. */
            rc = 0;
        }
    }
    object_body_close(&body);
    return rc;
}

/* As with plain objects: a segment that is gone is still an error of its own before the first bytes. */
WAITS static int large_sink(void *ctx, struct slice bytes)
{
    struct get *g = ctx;
    int         rc = g->started ? 0 : stream_start(g);

    return rc ? rc : http_reply_write(g->c->rq, bytes);
}

WAITS static int send_large(struct get *g)
{
    struct s3_call *c = g->c;
    int             rc = manifest_send(&g->content.manifest, g->first, g->length, large_sink, g, &c->err);

    if (rc == 0 && !g->started)
        rc = stream_start(g);   /* No bytes at all. */
    if (rc == 0)
        rc = http_reply_end(c->rq);
    if (rc && g->started) {
        http_reply_abort(c->rq);
        rc = 0;
    }
    return rc;
}

WAITS static int send(struct get *g)
{
    struct s3_call *c = g->c;

    if (!c->rq->head)
        return g->content.manifest.kind == MANIFEST_NONE ? send_body(g) : send_large(g);
    object_reply(g, g->partial ? 206 : 200);
    http_reply_header(c->rq, "Content-Type", type_of(g));
    http_reply_length_only(c->rq, g->length);
    return 0;
}

/* --- The call. --- */

/* What stands in the way of an object's bytes: a delete marker, or nothing at all. */
WAITS int s3_gone(struct s3_call *c, struct container *container, const struct s3_need *need,
                  const struct version_ref *version, const struct object *object)
{
    char text[VERSION_TEXT_MAX + 1];
    int  rc;

    rc = s3_object_missing(c, container, need);
    if (rc == S3_ACCESS_DENIED)
        return rc;
    if (!object->meta || !object->meta->delete_marker) {
        s3_add_header(c, "x-amz-delete-marker", SLICE("false"));   /* As Ceph's gateway says it. */
        return rc;
    }
    s3_add_header(c, "x-amz-delete-marker", SLICE("true"));
    s3_add_header(c, "x-amz-version-id", arena_dup(c->arena, version_text(object->meta, text)));
    if (!version->given)
        return s3_error(c, S3_NO_SUCH_KEY);
    s3_add_header(c, "Allow", SLICE("DELETE"));
    return s3_error(c, S3_METHOD_NOT_ALLOWED);
}

WAITS static int answer(struct get *g)
{
    struct s3_call      *c = g->c;
    struct s3_conditions if_ = { s3_header(c, "If-Match"), s3_header(c, "If-None-Match"),
                                 s3_header(c, "If-Modified-Since"), s3_header(c, "If-Unmodified-Since") };
    int                  rc = s3_encryption_check(c, &g->object);

    if (rc)   /* A part that is not there is told before a key that is not. */
        return c->rq->query_count && pick_range(g) == S3_INVALID_PART ? S3_INVALID_PART : rc;
    switch (s3_judge(&if_, g->content.etag, g->object.meta->modified_us)) {
    case S3_JUDGED_FAILED:
        return s3_error(c, S3_PRECONDITION_FAILED);
    case S3_JUDGED_NOT_MODIFIED:
        object_reply(g, 304);
        http_reply_empty(c->rq);
        return 0;
    case S3_JUDGED_HOLDS:
        break;
    }
    rc = pick_range(g);
    return rc ? rc : send(g);
}

WAITS static int get_in_bucket(struct s3_call *c, struct container *container, void *arg)
{
    struct get    *g = arg;
    struct s3_need need = s3_need(c);
    /* Which bytes a part has is in the object's own bytes. */
    enum row_want  want = c->rq->head && !s3_query(c, "partNumber").data ? ROW_META : ROW_FULL;
    int            rc;

    memset(&g->object, 0, sizeof g->object);
    g->container = container;
    rc = object_read_version(c->os, container, c->key, &c->version, want, s3_deadline(c),
                             c->arena, &g->object, &c->err);
    if (rc == -ENOENT)
        return s3_gone(c, container, &need, &c->version, &g->object);
    if (rc)
        return rc;
    rc = s3_object_allowed(c, container, &need, g->object.meta);
    if (rc)
        return rc;
    rc = s3_content_open(c, container, &g->object, want == ROW_FULL, &g->content);
    if (rc)
        return rc;
    g->size = g->content.size;
    rc = answer(g);
    s3_content_close(&g->content);
    return rc;
}

int s3_get_object(struct s3_call *c)
{
    struct get *g = arena_new(c->arena, struct get);

    if (!g)
        return -ENOMEM;
    g->c = c;
    for (uint32_t i = 0; !c->who && i < OVERRIDES; i++)
        if (overridden(c, i).data)
            return s3_errorf(c, S3_INVALID_REQUEST, "Request specific response headers cannot be used for anonymous GET requests.");
    return s3_with_bucket(c, get_in_bucket, g);
}
