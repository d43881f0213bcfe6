/* proxy/swift/large.c - see large.h. */
#include "proxy/swift/large.h"

#include <openssl/evp.h>

#include "proxy/swift/listing.h"

enum { PIECES_ARENA_MAX = 24 * 1024 * 1024, STEP_ARENA_MAX = 16 * 1024 * 1024 };

static struct slice pb(ProtobufCBinaryData d)
{
    return slice_of(d.data, d.len);
}

void md5_hex(struct slice bytes, char hex[33])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t           md[EVP_MAX_MD_SIZE] = { 0 };

    EVP_Digest(bytes.data, bytes.size, md, NULL, EVP_md5(), NULL);
    for (int i = 0; i < 16; i++) {
        hex[2 * i] = digits[md[i] >> 4];
        hex[2 * i + 1] = digits[md[i] & 15];
    }
    hex[32] = 0;
}

struct slice kept_header(const Rs__ObjectMeta *meta, const char *lower_name)
{
    for (size_t i = 0; i < meta->n_headers; i++)
        if (slice_equal(pb(meta->headers[i]->name), slice_str(lower_name)))
            return pb(meta->headers[i]->value);
    return SLICE_NONE;
}

/* --- Static manifests. --- */

int object_all(struct call *c, const struct object *object, struct arena *arena, struct slice *ret_bytes)
{
    struct object_body body;
    struct slice       part;
    size_t             at = 0;
    uint8_t           *data = arena_alloc(arena, object->size + 1);
    int                rc;

    if (!data)
        return error_set(&c->err, -ENOMEM, "the manifest is too large");
    rc = object_body_open(c->os, object, 0, object->size, call_deadline(c), &body, &c->err);
    while (rc == 0 && (rc = object_body_next(&body, &part, &c->err)) == 0 && part.size) {
        if (part.size > object->size - at) {
            rc = error_set(&c->err, -E_CORRUPT, "more bytes than the row says");
            break;
        }
        memcpy(data + at, part.data, part.size);
        at += part.size;
    }
    object_body_close(&body);
    if (rc == 0 && at != object->size)
        rc = error_set(&c->err, -E_CORRUPT, "fewer bytes than the row says");
    if (rc == 0)
        *ret_bytes = slice_of(data, at);
    return rc;
}

int segments_of(struct call *c, const struct object *object, struct arena *arena, Rs__SegmentList **ret_list)
{
    ProtobufCAllocator allocator = arena_allocator_of(arena);
    Rs__SegmentList   *list;
    struct slice       bytes;
    int                rc = object_all(c, object, arena, &bytes);

    if (rc)
        return rc;
    list = rs__segment_list__unpack(&allocator, bytes.size, bytes.data);
    if (!list)
        return error_set(&c->err, -E_CORRUPT, "the manifest can't be read");
    *ret_list = list;
    return 0;
}

WAITS static int static_pieces(struct call *c, const struct object *object, struct arena *arena,
                               struct piece **ret_pieces, uint32_t *ret_count)
{
    Rs__SegmentList *list;
    struct piece    *pieces;
    int              rc = segments_of(c, object, arena, &list);

    if (rc)
        return rc;
    pieces = arena_array(arena, struct piece, list->n_segments + 1);
    if (!pieces)
        return -ENOMEM;
    for (size_t i = 0; i < list->n_segments; i++) {
        const Rs__Segment *s = list->segments[i];
        pieces[i] = (struct piece) { .container = pb(s->container), .object = pb(s->object), .etag = pb(s->etag),
                                     .size = s->size, .first = s->first, .length = s->length, .manifest = s->manifest };
    }
    *ret_pieces = pieces;
    *ret_count = (uint32_t)list->n_segments;
    return 0;
}

/* --- Dynamic manifests. --- */

struct dlo_list {
    struct source   *source;
    struct arena     step;
    struct row_range range;
    struct text      etags;
    bool             more;
};

WAITS static int dlo_step(struct dlo_list *d, struct container *container)
{
    struct source     *s = d->source;
    ProtobufCAllocator allocator = arena_allocator_of(&d->step);
    struct row_page    page;
    int                rc;

    arena_reset(&d->step);
    d->range.limit = LIST_STEP;
    rc = container_list(s->c->os, container, &d->range, call_deadline(s->c), &d->step, &page, &s->c->err);
    if (rc)
        return rc;
    if (s->piece_count + page.count > DLO_SEGMENTS_MAX) {
        s->c->why = "The prefix names more segments than a dynamic large object may have.";
        return 409;
    }
    for (uint32_t i = 0; i < page.count; i++) {
        const struct row_entry *e = &page.entries[i];
        struct piece           *p = &s->pieces[s->piece_count];
        Rs__ObjectMeta         *meta = rs__object_meta__unpack(&allocator, e->value->meta.len, e->value->meta.data);
        char                    hex[33];
        struct slice            tag;

        if (!meta)
            return -E_CORRUPT;
        p->object = arena_dup(&s->pieces_arena, e->name);
        if (!p->object.data)
            return -ENOMEM;
        p->size = p->length = meta->manifest ? meta->manifest_size : e->value->size;
        p->manifest = meta->manifest;
        p->dynamic = true;
        object_etag(meta, hex, &tag);
        text_add(&d->etags, tag);
        if (__builtin_add_overflow(s->size, p->length, &s->size))
            return -E_LIMIT;
        s->piece_count++;
    }
    d->more = page.more && page.count > 0;
    if (d->more)
        d->range.after = s->pieces[s->piece_count - 1].object;
    return 0;
}

WAITS static int dlo_pieces(struct source *s, struct slice where)
{
    struct call      *c = s->c;
    struct dlo_list   d = { .source = s, .more = true, .etags = { .limit = DLO_SEGMENTS_MAX * 64 } };
    struct container *container = NULL;
    struct slice      text, name;
    const uint8_t    *slash;
    int               rc = http_unquote(c->arena, where, false, &text);

    if (rc)
        return rc;
    while (text.size && text.data[0] == '/')
        text = slice_from(text, 1);
    slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    if (!slash)
        return 409;
    name = slice_of(text.data, (size_t)(slash - text.data));
    d.range.prefix = slice_from(text, name.size + 1);
    s->pieces = arena_array(&s->pieces_arena, struct piece, DLO_SEGMENTS_MAX);
    if (!s->pieces)
        return -ENOMEM;
    arena_init(&d.step, STEP_ARENA_MAX);
    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX; attempt++) {
        s->piece_count = 0;
        s->size = 0;
        d.etags.size = 0;
        d.more = true;
        d.range.after = SLICE_NONE;
        rc = call_container(c, s->account, name, ACCESS_LISTING, attempt > 0, &container);
        while (rc == 0 && d.more)
            rc = dlo_step(&d, container);
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container = container_unref(container);
        if (rc != -E_STALE)
            break;
    }
    for (uint32_t i = 0; i < s->piece_count; i++)
        s->pieces[i].container = name;
    if (rc == 0 && d.etags.failed)
        rc = -ENOMEM;
    if (rc == 0) {
        md5_hex(text_slice(&d.etags), s->hex);
        s->etag = slice_of(s->hex, 32);
    }
    text_done(&d.etags);
    arena_done(&d.step);
    return rc;
}

/* --- Open. --- */

WAITS static int source_large(struct source *s, enum row_want want)
{
    const Rs__ObjectMeta *meta = s->object.meta;
    struct slice          where = kept_header(meta, "x-object-manifest");
    int                   rc = 0;

    if (meta->manifest) {
        s->kind = SOURCE_SLO;
        arena_init(&s->pieces_arena, PIECES_ARENA_MAX);
        s->size = meta->manifest_size;
        s->etag = pb(meta->manifest_etag);
        if (want == ROW_FULL)
            rc = static_pieces(s->c, &s->object, &s->pieces_arena, &s->pieces, &s->piece_count);
    } else if (where.size) {
        s->kind = SOURCE_DLO;
        arena_init(&s->pieces_arena, PIECES_ARENA_MAX);
        rc = dlo_pieces(s, where);
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
    if (s->kind == SOURCE_PLAIN) {
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
    if (s->kind != SOURCE_PLAIN)
        arena_done(&s->pieces_arena);
    s->kind = SOURCE_PLAIN;
    s->container = container_unref(s->container);
}

/* --- Send. --- */

WAITS static int object_send(struct call *c, const struct object *object, uint64_t offset, uint64_t size,
                             source_sink sink, void *ctx)
{
    struct object_body body;
    struct slice       bytes;
    int rc = object_body_open(c->os, object, offset, size, call_body_deadline(c), &body, &c->err);

    while (rc == 0) {
        rc = object_body_next(&body, &bytes, &c->err);
        if (rc || bytes.size == 0)
            break;
        rc = sink(ctx, bytes);
    }
    object_body_close(&body);
    return rc;
}

struct walk {
    struct call *c;
    struct slice account;
    source_sink  sink;
    void        *ctx;
    int          depth;
};

WAITS static int pieces_send(struct walk *w, const struct piece *pieces, uint32_t count, uint64_t offset, uint64_t size);

/* Is the segment what the manifest was made of? */
static int piece_check(struct walk *w, const struct piece *p, const struct object *o)
{
    char         hex[33];
    struct slice tag;
    uint64_t     size = o->meta->manifest ? o->meta->manifest_size : o->size;

    if (customer_key(o))
        return error_set(&w->c->err, -E_CONFLICT, "a segment is encrypted by a customer's key: %.*s/%.*s",
                         SLICE_ARG(p->container), SLICE_ARG(p->object));
    object_etag(o->meta, hex, &tag);
    if (size != p->size || (!p->dynamic && !slice_equal(tag, p->etag)))
        return error_set(&w->c->err, -E_CONFLICT, "a segment changed: %.*s/%.*s", SLICE_ARG(p->container),
                         SLICE_ARG(p->object));
    return 0;
}

WAITS static int piece_send(struct walk *w, const struct piece *p, uint64_t offset, uint64_t size)
{
    struct call      *c = w->c;
    struct container *container;
    struct object     o;
    struct arena      arena;
    int               rc = -E_STALE;

    arena_init(&arena, STEP_ARENA_MAX);
    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = call_container(c, w->account, p->container, ACCESS_OBJECT_READ, attempt > 0, &container);
        if (rc)
            break;
        rc = object_read(c->os, container, p->object, ROW_FULL, call_deadline(c), &arena, &o, &c->err);
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
    }
    if (rc == -ENOENT || rc == 401 || rc == 403)
        rc = error_set(&c->err, -E_CONFLICT, "a segment is gone or closed: %.*s/%.*s", SLICE_ARG(p->container),
                       SLICE_ARG(p->object));
    if (rc == 0)
        rc = piece_check(w, p, &o);
    if (rc == 0 && o.meta->manifest) {
        struct piece *pieces;
        uint32_t      count;
        if (w->depth >= MANIFEST_DEPTH_MAX)
            rc = error_set(&c->err, -E_CONFLICT, "manifests of manifests, too deep");
        else
            rc = static_pieces(c, &o, &arena, &pieces, &count);
        if (rc == 0) {
            w->depth++;
            rc = pieces_send(w, pieces, count, offset, size);
            w->depth--;
        }
    } else if (rc == 0) {
        rc = object_send(c, &o, offset, size, w->sink, w->ctx);
    }
    arena_done(&arena);
    return rc;
}

int pieces_send(struct walk *w, const struct piece *pieces, uint32_t count, uint64_t offset, uint64_t size)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count && size > 0; i++) {
        uint64_t n = pieces[i].length;
        if (offset >= n) {
            offset -= n;
            continue;
        }
        n -= offset;
        if (n > size)
            n = size;
        rc = piece_send(w, &pieces[i], pieces[i].first + offset, n);
        offset = 0;
        size -= n;
    }
    if (rc == 0 && size > 0)
        rc = error_set(&w->c->err, -E_CONFLICT, "the manifest's segments are shorter than it says");
    return rc;
}

int source_send(struct source *s, uint64_t offset, uint64_t size, source_sink sink, void *ctx)
{
    struct walk w = { .c = s->c, .account = s->account, .sink = sink, .ctx = ctx };

    if (s->kind == SOURCE_PLAIN)
        return object_send(s->c, &s->object, offset, size, sink, ctx);
    return pieces_send(&w, s->pieces, s->piece_count, offset, size);
}
