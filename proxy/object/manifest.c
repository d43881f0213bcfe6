/* proxy/object/manifest.c - see manifest.h. */
#include "proxy/object/manifest.h"

#include <openssl/evp.h>

#include "base/text.h"
#include "proxy/object/service.h"

enum {
    PIECES_ARENA_MAX = 24 * 1024 * 1024,
    STEP_ARENA_MAX = 16 * 1024 * 1024,
    DLO_STEP = 1000                          /* Segments listed at once. */
};

static int64_t step_deadline(struct object_service *s)
{
    return env_now(s->options.env) + MANIFEST_STEP_MS * NS_PER_MS;
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

struct slice manifest_where(const Rs__ObjectMeta *meta)
{
    for (size_t i = 0; i < meta->n_headers; i++)
        if (slice_equal(pb_slice(meta->headers[i]->name), SLICE("x-object-manifest")))
            return pb_slice(meta->headers[i]->value);
    return SLICE_NONE;
}

enum manifest_kind manifest_kind(const Rs__ObjectMeta *meta)
{
    return meta->manifest ? MANIFEST_STATIC : manifest_where(meta).size ? MANIFEST_DYNAMIC : MANIFEST_NONE;
}

uint64_t manifest_size_shown(const Rs__ObjectMeta *meta, uint64_t stored)
{
    return meta->manifest ? meta->manifest_size : object_size_of(meta, stored);
}

/* --- Static manifests. --- */

struct all {
    uint8_t *data;
    size_t   at, size;
};

WAITS static int all_sink(void *ctx, struct slice bytes)
{
    struct all *all = ctx;

    if (bytes.size > all->size - all->at)
        return -E_CORRUPT;
    memcpy(all->data + all->at, bytes.data, bytes.size);
    all->at += bytes.size;
    return 0;
}

int manifest_segments(struct object_service *s, const struct object *object, int64_t deadline, struct arena *arena,
                      Rs__SegmentList **ret_list, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator_of(arena);
    struct all         all = { .data = arena_alloc(arena, object->size + 1), .size = object->size };
    Rs__SegmentList   *list;
    int                rc;

    if (!all.data)
        return error_set(err, -ENOMEM, "the manifest is too large");
    rc = object_send(s, object, 0, object->size, deadline, all_sink, &all, err);
    if (rc == 0 && all.at != all.size)
        rc = error_set(err, -E_CORRUPT, "fewer bytes than the row says");
    if (rc)
        return rc;
    list = rs__segment_list__unpack(&allocator, all.at, all.data);
    if (!list)
        return error_set(err, -E_CORRUPT, "the manifest can't be read");
    *ret_list = list;
    return 0;
}

WAITS static int static_pieces(struct object_service *s, const struct object *object, struct arena *arena,
                               struct manifest_piece **ret_pieces, uint32_t *ret_count, struct error *err)
{
    Rs__SegmentList       *list;
    struct manifest_piece *pieces;
    int                    rc = manifest_segments(s, object, step_deadline(s), arena, &list, err);

    if (rc)
        return rc;
    pieces = arena_array(arena, struct manifest_piece, list->n_segments + 1);
    if (!pieces)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < list->n_segments; i++) {
        const Rs__Segment *segment = list->segments[i];
        pieces[i] = (struct manifest_piece) {
            .container = pb_slice(segment->container), .object = pb_slice(segment->object),
            .etag = pb_slice(segment->etag), .size = segment->size, .first = segment->first,
            .length = segment->length, .manifest = segment->manifest,
        };
    }
    *ret_pieces = pieces;
    *ret_count = (uint32_t)list->n_segments;
    return 0;
}

/* --- Dynamic manifests. --- */

struct dlo_list {
    struct manifest *manifest;
    struct arena     step;
    struct row_range range;
    struct text      etags;
    bool             more;
};

static int dlo_piece(struct dlo_list *d, const struct row_entry *e)
{
    struct manifest       *m = d->manifest;
    ProtobufCAllocator     allocator = arena_allocator_of(&d->step);
    struct manifest_piece *p = &m->pieces[m->piece_count];
    Rs__ObjectMeta        *meta = rs__object_meta__unpack(&allocator, e->value->meta.len, e->value->meta.data);
    char                   hex[33];
    struct slice           tag;

    if (!meta)
        return -E_CORRUPT;
    memset(p, 0, sizeof *p);
    p->object = arena_dup(&m->arena, e->name);
    if (!p->object.data)
        return -ENOMEM;
    p->size = p->length = manifest_size_shown(meta, e->value->size);
    p->manifest = meta->manifest;
    p->dynamic = true;
    object_etag(meta, hex, &tag);
    text_add(&d->etags, tag);
    if (__builtin_add_overflow(m->size, p->length, &m->size))
        return -E_LIMIT;
    m->piece_count++;
    return 0;
}

WAITS static int dlo_step(struct dlo_list *d, struct container *container, struct error *err)
{
    struct manifest *m = d->manifest;
    struct row_page  page;
    int              rc;

    arena_reset(&d->step);
    d->range.limit = DLO_STEP;
    rc = container_list(m->service, container, &d->range, step_deadline(m->service), &d->step, &page, err);
    if (rc)
        return rc;
    if (page.count > DLO_SEGMENTS_MAX - m->piece_count)
        return error_set(err, -E_CONFLICT, "The prefix names more segments than a dynamic large object may have.");
    for (uint32_t i = 0; rc == 0 && i < page.count; i++)
        rc = dlo_piece(d, &page.entries[i]);
    d->more = page.more && page.count > 0;
    if (rc == 0 && d->more)
        d->range.after = m->pieces[m->piece_count - 1].object;
    return rc;
}

/* One look at the container; what an earlier one found is forgotten. */
WAITS static int dlo_listing(struct dlo_list *d, struct slice name, bool fresh, struct error *err)
{
    struct manifest  *m = d->manifest;
    struct container *container = NULL;
    int               rc;

    m->piece_count = 0;
    m->size = 0;
    d->etags.size = 0;
    d->more = true;
    d->range.after = SLICE_NONE;
    rc = m->access->open(m->access->ctx, name, true, fresh, &container);
    if (rc)
        return rc;
    while (rc == 0 && d->more)
        rc = dlo_step(d, container, err);
    if (rc == -E_STALE)
        container_forget(m->service, container);
    container_unref(container);
    return rc;
}

WAITS static int dlo_pieces(struct manifest *m, struct slice where, struct error *err)
{
    struct dlo_list d = { .manifest = m, .etags = { .limit = DLO_SEGMENTS_MAX * 64 } };
    struct slice    name;
    const uint8_t  *slash;
    int             rc = -E_STALE;

    while (where.size && where.data[0] == '/')
        where = slice_from(where, 1);
    slash = where.size ? memchr(where.data, '/', where.size) : NULL;
    if (!slash)
        return error_set(err, -E_CONFLICT, "the object's X-Object-Manifest names no container and prefix");
    name = arena_dup(&m->arena, slice_of(where.data, (size_t)(slash - where.data)));
    d.range.prefix = slice_from(where, name.size + 1);
    m->pieces = arena_array(&m->arena, struct manifest_piece, DLO_SEGMENTS_MAX);
    if (!name.data || !m->pieces)
        return error_set(err, -ENOMEM, "out of memory");
    arena_init(&d.step, STEP_ARENA_MAX);
    for (int attempt = 0; attempt < MANIFEST_STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++)
        rc = dlo_listing(&d, name, attempt > 0, err);
    for (uint32_t i = 0; i < m->piece_count; i++)
        m->pieces[i].container = name;
    if (rc == 0 && d.etags.failed)
        rc = error_set(err, -ENOMEM, "out of memory");
    if (rc == 0) {
        md5_hex(text_slice(&d.etags), m->hex);
        m->etag = slice_of(m->hex, 32);
    }
    text_done(&d.etags);
    arena_done(&d.step);
    return rc;
}

/* --- Open. --- */

int manifest_open(struct object_service *service, const struct manifest_access *access, const struct object *object,
                  struct slice where, bool pieces, int64_t deadline, struct manifest *m, struct error *err)
{
    int rc = 0;

    memset(m, 0, sizeof *m);
    m->service = service;
    m->access = access;
    m->deadline = deadline;
    m->kind = manifest_kind(object->meta);
    if (m->kind == MANIFEST_NONE)
        return 0;
    arena_init(&m->arena, PIECES_ARENA_MAX);
    if (m->kind == MANIFEST_DYNAMIC) {
        rc = dlo_pieces(m, where, err);
    } else {
        m->size = object->meta->manifest_size;
        m->etag = pb_slice(object->meta->manifest_etag);
        if (pieces)
            rc = static_pieces(service, object, &m->arena, &m->pieces, &m->piece_count, err);
    }
    if (rc)
        manifest_close(m);
    return rc;
}

void manifest_close(struct manifest *m)
{
    if (m->kind != MANIFEST_NONE)
        arena_done(&m->arena);
    m->kind = MANIFEST_NONE;
}

/* --- Send. --- */

int object_send(struct object_service *service, const struct object *object, uint64_t offset, uint64_t size,
                int64_t deadline, object_sink sink, void *ctx, struct error *err)
{
    struct object_body body;
    struct slice       bytes;
    int                rc = object_body_open(service, object, offset, size, deadline, &body, err);

    while (rc == 0) {
        rc = object_body_next(&body, &bytes, err);
        if (rc || bytes.size == 0)
            break;
        rc = sink(ctx, bytes);
    }
    object_body_close(&body);
    return rc;
}

struct walk {
    struct manifest *manifest;
    object_sink      sink;
    void            *ctx;
    int              depth;
    struct error    *err;
};

WAITS static int pieces_send(struct walk *w, const struct manifest_piece *pieces, uint32_t count, uint64_t offset,
                             uint64_t size);

/* Is the segment what the manifest was made of? */
static int piece_check(struct walk *w, const struct manifest_piece *p, const struct object *o)
{
    char         hex[33];
    struct slice tag;

    if (o->meta->encryption && o->meta->encryption->kind == ENCRYPTION_CUSTOMER)
        return error_set(w->err, -E_CONFLICT, "a segment is encrypted by a customer's key: %.*s/%.*s",
                         SLICE_ARG(p->container), SLICE_ARG(p->object));
    object_etag(o->meta, hex, &tag);
    if (manifest_size_shown(o->meta, o->value->size) != p->size || (!p->dynamic && !slice_equal(tag, p->etag)))
        return error_set(w->err, -E_CONFLICT, "a segment changed: %.*s/%.*s", SLICE_ARG(p->container),
                         SLICE_ARG(p->object));
    return 0;
}

WAITS static int piece_read(struct walk *w, const struct manifest_piece *p, struct arena *arena, struct object *o)
{
    struct object_service        *s = w->manifest->service;
    const struct manifest_access *access = w->manifest->access;
    struct container             *container = NULL;
    int                           rc = -E_STALE;

    for (int attempt = 0; attempt < MANIFEST_STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = access->open(access->ctx, p->container, false, attempt > 0, &container);
        if (rc)
            break;
        rc = object_read(s, container, p->object, ROW_FULL, step_deadline(s), arena, o, w->err);
        if (rc == 0 && access->may_read)
            rc = access->may_read(access->ctx, container, p->object, o->meta);
        if (rc == -E_STALE)
            container_forget(s, container);
        container_unref(container);
    }
    if (rc == -ENOENT || rc == -E_FORBIDDEN)
        rc = error_set(w->err, -E_CONFLICT, "a segment is gone or closed: %.*s/%.*s", SLICE_ARG(p->container),
                       SLICE_ARG(p->object));
    return rc ? rc : piece_check(w, p, o);
}

/* Bytes of a segment that is a manifest. */
WAITS static int nested_send(struct walk *w, const struct object *o, struct arena *arena, uint64_t offset, uint64_t size)
{
    struct manifest_piece *pieces;
    uint32_t               count;
    int                    rc;

    if (w->depth >= MANIFEST_DEPTH_MAX)
        return error_set(w->err, -E_CONFLICT, "manifests of manifests, too deep");
    rc = static_pieces(w->manifest->service, o, arena, &pieces, &count, w->err);
    if (rc)
        return rc;
    w->depth++;
    rc = pieces_send(w, pieces, count, offset, size);
    w->depth--;
    return rc;
}

WAITS static int piece_send(struct walk *w, const struct manifest_piece *p, uint64_t offset, uint64_t size)
{
    struct manifest *m = w->manifest;
    struct object    o;
    struct arena     arena;
    int              rc;

    arena_init(&arena, STEP_ARENA_MAX);
    rc = piece_read(w, p, &arena, &o);
    if (rc == 0)
        rc = o.meta->manifest ? nested_send(w, &o, &arena, offset, size)
                              : object_send(m->service, &o, offset, size, m->deadline, w->sink, w->ctx, w->err);
    arena_done(&arena);
    return rc;
}

int pieces_send(struct walk *w, const struct manifest_piece *pieces, uint32_t count, uint64_t offset, uint64_t size)
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
        rc = error_set(w->err, -E_CONFLICT, "the manifest's segments are shorter than it says");
    return rc;
}

int manifest_send(struct manifest *m, uint64_t offset, uint64_t size, object_sink sink, void *ctx, struct error *err)
{
    struct walk w = { .manifest = m, .sink = sink, .ctx = ctx, .err = err };

    return pieces_send(&w, m->pieces, m->piece_count, offset, size);
}
