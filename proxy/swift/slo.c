/* proxy/swift/slo.c - see slo.h. */
#include "proxy/swift/slo.h"

#include "proxy/swift/bulk.h"

#include <stdlib.h>

#include <jansson.h>

#include "proxy/swift/listing.h"
#include "proxy/swift/put.h"

enum { DELETE_ARENA_MAX = 16 * 1024 * 1024 };

/* --- Parsing. --- */

bool slo_range(struct slice range, uint64_t size, uint64_t *ret_first, uint64_t *ret_length)
{
    const uint8_t *dash = range.size ? memchr(range.data, '-', range.size) : NULL;
    struct slice   a, b;
    uint64_t       first, last;

    if (!dash || size == 0)
        return false;
    a = slice_of(range.data, (size_t)(dash - range.data));
    b = slice_from(range, a.size + 1);
    if (a.size == 0) {
        uint64_t n;
        if (!slice_u64(b, &n) || n == 0)
            return false;
        first = n < size ? size - n : 0;
        last = size - 1;
    } else {
        if (!slice_u64(a, &first) || first >= size)
            return false;
        last = size - 1;
        if (b.size && (!slice_u64(b, &last) || last < first))
            return false;
        if (last >= size)
            last = size - 1;
    }
    *ret_first = first;
    *ret_length = last - first + 1;
    return true;
}

static struct slice json_slice(struct arena *arena, const json_t *value)
{
    return arena_dup(arena, slice_of(json_string_value(value), json_string_length(value)));
}

struct slice_pair {
    struct slice container, object;
};

/* The path "/container/object"; false when it is none. */
static bool item_path(struct arena *arena, const json_t *value, struct slice_pair *ret)
{
    struct slice   text = json_slice(arena, value);
    const uint8_t *slash;

    while (text.size && text.data[0] == '/')
        text = slice_from(text, 1);
    slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    if (!slash || slash == text.data || slash == text.data + text.size - 1)
        return false;
    ret->container = slice_of(text.data, (size_t)(slash - text.data));
    ret->object = slice_from(text, ret->container.size + 1);
    return ret->container.size <= CONTAINER_NAME_MAX && ret->object.size <= OBJECT_NAME_MAX;
}

/* NULL, or what is wrong. */
static const char *item_keys(const json_t *value)
{
    static const char *const known[] = { "path", "etag", "size_bytes", "range" };
    const char *key;
    json_t     *v;

    json_object_foreach((json_t *)(uintptr_t)value, key, v) {
        bool ok = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            ok = ok || strcmp(key, known[i]) == 0;
        if (!ok)
            return "extraneous keys";
    }
    return NULL;
}

static const char *item_size(const json_t *value, bool last, struct slo_item *item)
{
    struct slice text;

    if (!value || json_is_null(value))
        return NULL;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        item->size = (uint64_t)json_integer_value(value);
    else if (json_is_string(value) && (text = slice_of(json_string_value(value), json_string_length(value)),
                                       slice_u64(text, &item->size)))
        ;
    else
        return "invalid size_bytes";
    item->has_size = true;
    return item->size < 1 && !last ? "too small; each segment must be at least 1 byte." : NULL;
}

static const char *item_parse(struct arena *arena, const json_t *value, bool last, struct slo_item *item)
{
    const json_t     *path, *etag, *range;
    const char       *why;
    struct slice_pair names;
    uint64_t          first, length;

    if (!json_is_object(value))
        return "not a JSON object";
    path = json_object_get(value, "path");
    if (!path)
        return "expected keys to include one of 'path'";
    why = item_keys(value);
    if (why)
        return why;
    if (!json_is_string(path))
        return "\"path\" must be a string";
    etag = json_object_get(value, "etag");
    if (etag && !json_is_null(etag) && !json_is_string(etag))
        return "\"etag\" must be a string or null (if provided)";
    if (!item_path(arena, path, &names))
        return "path does not refer to an object. Path must be of the form /container/object.";
    item->container = names.container;
    item->object = names.object;
    if (json_is_string(etag))
        item->etag = strip_quotes(json_slice(arena, etag));
    why = item_size(json_object_get(value, "size_bytes"), last, item);
    if (why)
        return why;
    range = json_object_get(value, "range");
    if (!range || json_is_null(range) || (json_is_string(range) && json_string_length(range) == 0))
        return NULL;
    if (!json_is_string(range))
        return "invalid range";
    item->ranged = true;
    item->range = json_slice(arena, range);
    if (memchr(item->range.data, ',', item->range.size))
        return "multiple ranges (only one allowed)";
    if (!slo_range(item->range, UINT64_MAX, &first, &length))
        return "invalid range";
    if (item->has_size && !slo_range(item->range, item->size, &first, &length))
        return "unsatisfiable range";
    return NULL;
}

static int parse_items(struct call *c, const json_t *root, struct slo_item **ret_items, uint32_t *ret_count)
{
    size_t           n = json_array_size(root);
    struct slo_item *items;
    struct text      errors = { .limit = 64 * 1024 };

    if (n == 0) {
        c->why = "Must have at least one segment.";
        return 400;
    }
    if (n > MANIFEST_SEGMENTS_MAX) {
        c->why = arena_printf(c->arena, "Number of object-backed segments must be <= %d", MANIFEST_SEGMENTS_MAX);
        return 413;
    }
    items = arena_array(c->arena, struct slo_item, n);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *why = item_parse(c->arena, json_array_get(root, i), i + 1 == n, &items[i]);
        if (!why)
            continue;
        text_lit(&errors, "Index ");
        text_number(&errors, i);
        text_lit(&errors, ": ");
        text_add(&errors, slice_str(why));
        text_lit(&errors, "\n");
    }
    if (errors.size) {
        c->why = arena_str(c->arena, text_slice(&errors));
        text_done(&errors);
        return 400;
    }
    *ret_items = items;
    *ret_count = (uint32_t)n;
    return 0;
}

int slo_parse(struct call *c, struct slice json, struct slo_item **ret_items, uint32_t *ret_count)
{
    json_t *root = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, NULL);
    int     rc;

    if (!root) {
        c->why = "Manifest must be valid JSON.\n";
        return 400;
    }
    if (json_is_array(root)) {
        rc = parse_items(c, root, ret_items, ret_count);
    } else {
        c->why = "Manifest must be a list.\n";
        rc = 400;
    }
    json_decref(root);
    return rc;
}

/* --- PUT. --- */

WAITS static int read_manifest(struct call *c, struct text *body)
{
    char buffer[16 * 1024];
    int  rc = 0;

    if (!c->rq->has_length && !c->rq->chunked) {
        c->why = "Missing Content-Length header.";
        return 411;
    }
    for (;;) {
        size_t n;
        if (body->size > MANIFEST_BYTES_MAX || (c->rq->has_length && c->rq->content_length > MANIFEST_BYTES_MAX)) {
            c->why = arena_printf(c->arena, "Manifest File > %d bytes", MANIFEST_BYTES_MAX);
            return 413;
        }
        rc = http_body_read(c->rq, buffer, sizeof buffer, &n);
        if (rc == -ETIMEDOUT)
            return 408;
        if (rc || n == 0)
            return rc;
        text_add(body, slice_of(buffer, n));
        if (body->failed)
            return -ENOMEM;
    }
}

struct slo_build {
    struct call     *c;
    Rs__SegmentList  list;
    uint64_t         total;
    struct text      etags, problems;
};

static void problem(struct slo_build *b, const struct slo_item *item, const char *why)
{
    struct slice container = http_quote(b->c->arena, item->container, "/");
    struct slice object = http_quote(b->c->arena, item->object, "/");

    text_lit(&b->problems, "/");
    text_add(&b->problems, container);
    text_lit(&b->problems, "/");
    text_add(&b->problems, object);
    text_lit(&b->problems, ", ");
    text_add(&b->problems, slice_str(why));
    text_lit(&b->problems, "\n");
}

WAITS static int segment_head(struct call *c, const struct slo_item *item, struct object *ret_object)
{
    struct container *container;
    int               rc = -E_STALE;

    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = call_container(c, c->account, item->container, ACCESS_OBJECT_READ, attempt > 0, &container);
        if (rc)
            return rc;
        rc = object_read(c->os, container, item->object, ROW_META, call_deadline(c), c->arena, ret_object, &c->err);
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
    }
    return rc;
}

/* Looks at the segment and adds it to the list; what does not fit becomes a line of 'problems'. */
WAITS static int segment_add(struct slo_build *b, const struct slo_item *item, Rs__Segment *seg)
{
    struct object o;
    char          hex[33];
    struct slice  tag;
    int           rc = segment_head(b->c, item, &o);

    if (rc == -ENOENT || rc > 0) {
        problem(b, item, rc > 0 ? (rc == 401 ? "401 Unauthorized" : "403 Forbidden") : "404 Not Found");
        return 0;
    }
    if (rc)
        return rc;
    object_etag(o.meta, hex, &tag);
    rs__segment__init(seg);
    seg->manifest = o.meta->manifest;
    seg->size = seg->length = seg->manifest ? o.meta->manifest_size : o.size;
    seg->modified_us = o.meta->modified_us;
    seg->content_type = o.meta->content_type;
    tag = arena_dup(b->c->arena, tag);
    seg->etag = (ProtobufCBinaryData) { tag.size, (uint8_t *)(uintptr_t)tag.data };
    seg->container = (ProtobufCBinaryData) { item->container.size, (uint8_t *)(uintptr_t)item->container.data };
    seg->object = (ProtobufCBinaryData) { item->object.size, (uint8_t *)(uintptr_t)item->object.data };
    if (item->ranged && !slo_range(item->range, seg->size, &seg->first, &seg->length))
        problem(b, item, "Unsatisfiable Range");
    if (seg->size == 0)
        problem(b, item, "Too small; each segment must be at least 1 byte.");
    if (item->has_size && item->size != seg->size)
        problem(b, item, "Size Mismatch");
    if (item->etag.size && !slice_equal(item->etag, tag))
        problem(b, item, "Etag Mismatch");
    /* A range that is the whole object is none. */
    seg->ranged = item->ranged && seg->length != seg->size;
    text_add(&b->etags, tag);
    if (seg->ranged) {
        text_lit(&b->etags, ":");
        text_number(&b->etags, seg->first);
        text_lit(&b->etags, "-");
        text_number(&b->etags, seg->first + seg->length - 1);
        text_lit(&b->etags, ";");
    }
    if (__builtin_add_overflow(b->total, seg->length, &b->total))
        return -E_LIMIT;
    return 0;
}

WAITS static int slo_build(struct slo_build *b, const struct slo_item *items, uint32_t count)
{
    struct call *c = b->c;
    int          rc = 0;

    rs__segment_list__init(&b->list);
    b->list.segments = arena_array(c->arena, Rs__Segment *, count);
    if (!b->list.segments)
        return -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        Rs__Segment *seg = arena_new(c->arena, Rs__Segment);
        if (!seg)
            return -ENOMEM;
        rs__segment__init(seg);
        if (slice_equal(items[i].container, c->container) && slice_equal(items[i].object, c->object))
            problem(b, &items[i], "manifest must not include itself as a segment");
        else
            rc = segment_add(b, &items[i], seg);
        b->list.segments[b->list.n_segments++] = seg;
    }
    if (rc == 0 && b->problems.size) {
        c->why = arena_printf(c->arena, "Errors:\n%.*s", SLICE_ARG(text_slice(&b->problems)));
        rc = 400;
    }
    return rc ? rc : b->etags.failed || b->problems.failed ? -ENOMEM : 0;
}

WAITS static int slo_store(struct slo_build *b, struct upload *u)
{
    struct call *c = b->c;
    size_t       size = rs__segment_list__get_packed_size(&b->list);
    uint8_t     *packed = arena_alloc(c->arena, size + 1);
    char         hex[33];
    int          rc;

    if (!packed)
        return -ENOMEM;
    rs__segment_list__pack(&b->list, packed);
    md5_hex(text_slice(&b->etags), hex);
    if (u->etag.size && !slice_equal(u->etag, slice_of(hex, 32)))
        return 422;
    u->meta.manifest = true;
    u->meta.manifest_size = b->total;
    u->meta.manifest_etag = (ProtobufCBinaryData) { 32, (uint8_t *)hex };
    rc = upload_begin(u, size);
    if (rc == 0)
        rc = object_put_bytes(u->put, slice_of(packed, size), &c->err);
    if (rc == 0)
        rc = object_put_end(u->put, &c->err);
    if (rc == 0)
        rc = upload_commit(u);
    if (rc)
        return rc;
    http_reply_begin(c->rq, 201);
    http_reply_headerf(c->rq, "Etag", "\"%s\"", hex);
    reply_date(c->rq, "Last-Modified", u->meta.modified_us);
    call_reply_rest(c, 201);
    return 0;
}

int slo_put_call(struct call *c)
{
    struct text      body = { .limit = MANIFEST_BYTES_MAX + 64 * 1024 };
    struct slo_build b = { .c = c, .etags = { .limit = 1024 * 1024 }, .problems = { .limit = 1024 * 1024 } };
    struct slo_item *items;
    struct upload   *u = arena_new(c->arena, struct upload);
    uint32_t         count;
    int              rc;

    if (!u)
        return -ENOMEM;
    rc = swift_upload_open(u, c, c->account, c->container, c->object);
    if (rc)
        return rc;
    rc = read_manifest(c, &body);
    if (rc == 0)
        rc = slo_parse(c, text_slice(&body), &items, &count);
    text_done(&body);
    if (rc == 0)
        rc = slo_build(&b, items, count);
    if (rc == 0)
        rc = slo_store(&b, u);
    text_done(&b.etags);
    text_done(&b.problems);
    upload_close(u);
    return rc;
}

/* --- GET ?multipart-manifest=get: as a listing, or (format=raw) as it can be put again. --- */

static void show_segment(struct text *t, const Rs__Segment *s, bool raw)
{
    struct text path = { .limit = 64 * 1024 };

    text_lit(&path, "/");
    text_add(&path, slice_of(s->container.data, s->container.len));
    text_lit(&path, "/");
    text_add(&path, slice_of(s->object.data, s->object.len));
    text_add(t, raw ? SLICE("{\"path\":") : SLICE("{\"name\":"));
    text_json(t, text_slice(&path));
    text_done(&path);
    text_add(t, raw ? SLICE(",\"etag\":") : SLICE(",\"hash\":"));
    text_json(t, slice_of(s->etag.data, s->etag.len));
    text_add(t, raw ? SLICE(",\"size_bytes\":") : SLICE(",\"bytes\":"));
    text_number(t, s->size);
    if (s->ranged) {
        text_lit(t, ",\"range\":\"");
        text_number(t, s->first);
        text_lit(t, "-");
        text_number(t, s->first + s->length - 1);
        text_lit(t, "\"");
    }
    if (!raw) {
        text_lit(t, ",\"content_type\":");
        text_json(t, slice_of(s->content_type.data, s->content_type.len));
        text_lit(t, ",\"last_modified\":\"");
        text_iso_time(t, s->modified_us);
        text_lit(t, "\"");
        if (s->manifest)
            text_lit(t, ",\"sub_slo\":true");
    }
    text_lit(t, "}");
}

/* Parts that an S3 client uploaded, as ranges of the object itself. */
WAITS static int segments_of_parts(struct call *c, const struct source *source, Rs__SegmentList **ret_list)
{
    Rs__PartTable   *table;
    Rs__SegmentList *list = arena_new(c->arena, Rs__SegmentList);
    uint64_t         at = 0;
    int              rc = object_parts(c->os, &source->object, call_deadline(c), c->arena, &table, &c->err);

    if (rc)
        return rc;
    if (!list)
        return -ENOMEM;
    rs__segment_list__init(list);
    list->n_segments = table->n_parts;
    list->segments = arena_array(c->arena, Rs__Segment *, table->n_parts + 1);
    for (size_t i = 0; list->segments && i < table->n_parts; i++) {
        const Rs__ObjectMeta *meta = source->object.meta;
        Rs__Segment          *s = list->segments[i] = arena_new(c->arena, Rs__Segment);

        if (!s)
            return -ENOMEM;
        rs__segment__init(s);
        s->container = (ProtobufCBinaryData) { c->container.size, (uint8_t *)(uintptr_t)c->container.data };
        s->object = (ProtobufCBinaryData) { c->object.size, (uint8_t *)(uintptr_t)c->object.data };
        s->etag = meta->manifest_etag;
        s->content_type = meta->content_type;
        s->modified_us = meta->modified_us;
        s->size = source->size;
        s->first = at;
        s->length = table->parts[i]->size;
        s->ranged = true;
        at += s->length;
    }
    *ret_list = list;
    return list->segments ? 0 : -ENOMEM;
}

int slo_show(struct call *c, struct source *source)
{
    bool             raw = slice_equal(http_query(c->rq, "format"), SLICE("raw"));
    struct text      t = { .limit = 2 * MANIFEST_BYTES_MAX };
    Rs__SegmentList *list;
    bool             parts = source->object.meta->upload.len > 0;
    int              rc = parts ? segments_of_parts(c, source, &list) : segments_of(c, &source->object, c->arena, &list);
    char             hex[33];

    if (rc)
        return rc;
    text_lit(&t, "[");
    for (size_t i = 0; i < list->n_segments; i++) {
        if (i)
            text_lit(&t, ",");
        show_segment(&t, list->segments[i], raw);
    }
    text_lit(&t, "]");
    if (!t.failed) {
        const Rs__ObjectMeta *meta = source->object.meta;
        md5_hex(text_slice(&t), hex);
        http_reply_begin(c->rq, 200);
        http_reply_header(c->rq, "Etag", slice_of(hex, 32));
        reply_date(c->rq, "Last-Modified", meta->modified_us);
        reply_time(c->rq, "X-Timestamp", meta->modified_us);
        http_reply_header(c->rq, "X-Static-Large-Object", SLICE("True"));
        reply_meta(c->rq, "X-Object-Meta-", meta->meta, meta->n_meta);
        http_reply_body(c->rq, "application/json; charset=utf-8", text_slice(&t));
    }
    text_done(&t);
    return t.failed ? -ENOMEM : 0;
}

/* --- DELETE ?multipart-manifest=delete: the segments, then the manifest. --- */

struct slo_delete {
    struct bulk bulk;
    int         depth;
};

WAITS static int delete_segments(struct slo_delete *d, const Rs__SegmentList *list);

/* A segment that is a manifest takes its own segments along. */
WAITS static int delete_segment(struct slo_delete *d, const Rs__Segment *s)
{
    struct call    *c = d->bulk.c;
    struct slice    container = slice_of(s->container.data, s->container.len);
    struct slice    object = slice_of(s->object.data, s->object.len);
    int             rc = 0;

    if (s->manifest && d->depth < MANIFEST_DEPTH_MAX) {
        struct slo_item  item = { .container = container, .object = object };
        struct container *box;
        struct object    o;
        struct arena     arena;
        Rs__SegmentList *list;

        arena_init(&arena, DELETE_ARENA_MAX);
        rc = call_container(c, c->account, item.container, ACCESS_OBJECT_READ, false, &box);
        if (rc == 0) {
            rc = object_read(c->os, box, item.object, ROW_FULL, call_deadline(c), &arena, &o, &c->err);
            container_unref(box);
        }
        if (rc == 0 && o.meta->manifest && segments_of(c, &o, &arena, &list) == 0) {
            d->depth++;
            rc = delete_segments(d, list);
            d->depth--;
        }
        arena_done(&arena);
    }
    return bulk_delete(&d->bulk, container, object);
}

int delete_segments(struct slo_delete *d, const Rs__SegmentList *list)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < list->n_segments; i++)
        rc = delete_segment(d, list->segments[i]);
    return rc;
}

int slo_delete_call(struct call *c)
{
    struct slo_delete d = { 0 };
    struct container *container;
    struct source    *s = arena_new(c->arena, struct source);
    int               rc;

    if (!s)
        return -ENOMEM;
    rc = bulk_open(&d.bulk, c);
    if (rc)
        return rc;
    rc = call_container(c, c->account, c->container, ACCESS_OBJECT_WRITE, false, &container);
    if (rc)
        return rc;
    container_unref(container);
    rc = source_open(c, c->account, c->container, c->object, ROW_FULL, true, s);
    if (rc)
        return rc;
    if (s->object.meta->upload.len) {
        rc = bulk_delete(&d.bulk, c->container, c->object);   /* Its parts go with it. */
        if (rc == 0)
            rc = bulk_reply(&d.bulk);
    } else if (!s->object.meta->manifest) {
        c->why = "Not an SLO manifest";
        rc = 400;
    } else {
        Rs__SegmentList *list;
        rc = segments_of(c, &s->object, c->arena, &list);
        if (rc == 0)
            rc = delete_segments(&d, list);
        /* What can't be deleted keeps its manifest, so that it can be found. */
        if (rc == 0 && d.bulk.failed == 0)
            rc = bulk_delete(&d.bulk, c->container, c->object);
        if (rc == 0)
            rc = bulk_reply(&d.bulk);
    }
    bulk_done(&d.bulk);
    source_close(s);
    return rc;
}
