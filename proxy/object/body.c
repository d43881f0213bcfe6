/* proxy/object/body.c - the bytes of objects.
 *
 * They are inline, or blobs that the row names, or, of a multipart object, blobs that its part table names (and the rows
 * of its group own). The table is loaded once; the extents of all parts make one sequence, so that no gap arises between
 * parts. A blob reader gets a window of it, which begins at the extent of the next byte. Encrypted bytes go on to
 * unseal.c, which says which stored bytes a range needs. */
#include <stdlib.h>

#include "proxy/object/seal.h"
#include "proxy/object/version.h"

enum {
    BODY_READER_MS = 120000,
    BODY_WINDOW = 512,                          /* Extents of one reader: 32 GiB, or 512 small parts. */
    BODY_TABLE_ARENA = 64 * 1024 * 1024         /* A table of UPLOAD_TABLE_BYTES_MAX unpacked, and its extents. */
};

/* --- The part table. --- */

/* The bytes of a run of extents, at most 'max', into the arena. */
WAITS static int read_all(struct object_service *s, Rs__Extent *const *extents, size_t count, uint64_t max,
                          int64_t deadline, struct arena *arena, struct slice *ret_bytes, struct error *err)
{
    struct blob_reader *reader = NULL;
    uint64_t            size = 0, at = 0;
    uint8_t            *bytes;
    int                 rc;

    for (size_t i = 0; i < count; i++)
        size += extents[i]->size;
    bytes = size <= max ? arena_alloc(arena, size + 1) : NULL;
    if (!bytes)
        return error_set(err, size > max ? -E_CORRUPT : -ENOMEM, "the part table is too long");
    rc = blob_reader_new(s->options.blobs, extents, count, 0, size, deadline, &reader, err);
    while (rc == 0 && at < size) {
        struct buf_part part = { 0 };

        rc = blob_read(reader, &part, err);
        if (rc == 0 && (part.size == 0 || part.size > size - at))
            rc = error_set(err, -E_CORRUPT, "the part table is cut off");
        if (rc == 0)
            memcpy(bytes + at, buf_part_slice(&part).data, part.size);
        at += part.size;
        buf_unref(part.buf);
    }
    blob_reader_free(reader);
    if (rc == 0)
        *ret_bytes = slice_of(bytes, size);
    return rc;
}

/* A long table is a part row of its own. */
WAITS static int table_row(struct object_service *s, const struct object *o, int64_t deadline, struct arena *arena,
                           struct slice *ret_bytes, struct error *err)
{
    struct row_name  name;
    struct row_state row;
    struct held      held;
    int              rc = held_container(s, o->shard, o->policy, (struct ballot) { 0, 0 }, &held, err);

    if (rc)
        return rc;
    rc = row_read(s->options.rows, &held.shard,
                  name_part(&name, o->meta->upload.data, 0, o->meta->table_suffix.data), ROW_META, deadline, arena, &row,
                  err);
    held_drop(&held);
    if (rc)
        return rc;
    if (!row.exists)   /* The object was deleted since it was read. */
        return error_set(err, -ENOENT, "the object's part table is gone");
    return read_all(s, row.value->extents, row.value->n_extents, UPLOAD_TABLE_BYTES_MAX, deadline, arena, ret_bytes, err);
}

int object_parts(struct object_service *s, const struct object *o, int64_t deadline, struct arena *arena,
                 Rs__PartTable **ret_table, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(arena);
    struct slice       bytes = pb_slice(o->value->data);
    Rs__PartTable     *table;
    int                rc = 0;

    if (o->meta->upload.len != UPLOAD_ID_BYTES)
        return error_set(err, -EINVAL, "the object has no parts");
    if (o->meta->table_suffix.len == PART_SUFFIX_BYTES)
        rc = table_row(s, o, deadline, arena, &bytes, err);
    if (rc)
        return rc;
    table = rs__part_table__unpack(&allocator, bytes.size, bytes.data);
    if (!table)
        return error_set(err, -E_CORRUPT, "the object's part table can't be read");
    *ret_table = table;
    return 0;
}

/* --- Streaming. --- */

/* A reader lives for a while only, so that the whole may take hours (a slow client) but no device's silence may. */
WAITS static int body_renew(struct object_body *body, struct error *err)
{
    struct object_service *s = body->service;
    int64_t                now = env_now(s->options.env), deadline = now + BODY_READER_MS * NS_PER_MS;
    uint64_t               start = 0, end;
    size_t                 first = 0, count = 0;

    if (body->reader)
        body->reader = blob_reader_free(body->reader);
    body->renew = now + BODY_READER_MS / 2 * NS_PER_MS;
    while (first < body->extent_count && start + body->extents[first]->size <= body->at)
        start += body->extents[first++]->size;
    for (end = start; first + count < body->extent_count && count < BODY_WINDOW && end < body->end; count++)
        end += body->extents[first + count]->size;
    if (end > body->end)
        end = body->end;
    if (end <= body->at)
        return error_set(err, -E_CORRUPT, "the object's blobs end before it does");
    body->window_end = end;
    return blob_reader_new(s->options.blobs, body->extents + first, count, body->at - start, end - body->at,
                           deadline < body->deadline ? deadline : body->deadline, &body->reader, err);
}

WAITS static int open_parts(struct object_body *body, Rs__PartTable **ret_table, struct error *err)
{
    Rs__PartTable *table;
    Rs__Extent   **extents;
    size_t         count = 0;
    int            rc;

    arena_init(&body->table, BODY_TABLE_ARENA);
    rc = object_parts(body->service, body->object, body->deadline, &body->table, &table, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < table->n_parts; i++)
        count += table->parts[i]->n_extents;
    extents = arena_array(&body->table, Rs__Extent *, count + 1);
    if (!extents)
        return error_set(err, -ENOMEM, "out of memory");
    count = 0;
    for (size_t i = 0; i < table->n_parts; i++)
        for (size_t e = 0; e < table->parts[i]->n_extents; e++)
            extents[count++] = table->parts[i]->extents[e];
    body->extents = extents;
    body->extent_count = count;
    *ret_table = table;
    return 0;
}

/* Bytes of the row itself, as they are stored. */
static int open_inline(struct object_body *body, const struct object *o, uint64_t offset, uint64_t size,
                       struct error *err)
{
    if (o->value->data.len != o->value->size || offset > o->value->size || size > o->value->size - offset)
        return error_set(err, -E_CORRUPT, "an inline object has %zu bytes in place of %llu",
                         (size_t)o->value->data.len, (unsigned long long)o->value->size);
    body->inline_rest = slice_of(o->value->data.data + offset, (size_t)size);
    return 0;
}

int object_body_open(struct object_service *s, const struct object *o, uint64_t offset, uint64_t size,
                     int64_t deadline, struct object_body *body, struct error *err)
{
    Rs__PartTable *table = NULL;
    bool           parts = o->meta->upload.len > 0;
    int            rc = 0;

    memset(body, 0, sizeof *body);
    if (offset > o->size || size > o->size - offset)
        return error_set(err, -ERANGE, "the range passes the object's end");
    if (size == 0)
        return 0;
    body->service = s;
    body->object = o;
    body->deadline = deadline;
    body->extents = o->value->extents;
    body->extent_count = o->value->n_extents;
    if (parts)
        rc = open_parts(body, &table, err);
    if (rc == 0 && o->meta->encryption)   /* From here on: which stored bytes. */
        rc = unseal_new(s, o, table, offset, size, &body->unseal, &offset, &size, err);
    if (rc)
        return rc;
    if (!parts && o->value->n_extents == 0)
        return open_inline(body, o, offset, size, err);
    body->at = offset;
    body->end = offset + size;
    return body_renew(body, err);
}

/* The next stored bytes. */
WAITS static int stored_next(void *ctx, struct slice *ret_bytes, struct error *err)
{
    struct object_body *body = ctx;
    int                 rc;

    if (!body->reader) {
        *ret_bytes = body->inline_rest;
        body->inline_rest = SLICE_NONE;
        return 0;
    }
    body->part.buf = buf_unref(body->part.buf);
    body->part.size = 0;
    if (body->at < body->end &&
        (body->at >= body->window_end || env_now(body->service->options.env) > body->renew)) {
        rc = body_renew(body, err);
        if (rc)
            return rc;
    }
    rc = blob_read(body->reader, &body->part, err);
    if (rc)
        return rc;
    *ret_bytes = buf_part_slice(&body->part);
    body->at += body->part.size;
    return 0;
}

int object_body_next(struct object_body *body, struct slice *ret_bytes, struct error *err)
{
    return body->unseal ? unseal_next(body->unseal, stored_next, body, ret_bytes, err)
                        : stored_next(body, ret_bytes, err);
}

void object_body_close(struct object_body *body)
{
    buf_unref(body->part.buf);
    if (body->reader)
        blob_reader_free(body->reader);
    unseal_free(body->unseal);
    arena_done(&body->table);
    memset(body, 0, sizeof *body);
}
