/* proxy/object/read.c - objects: read their row, stream their bytes; change or delete the row. */
#include "base/counter.h"
#include "proxy/object/service.h"

COUNTER(object_expired_seen, "Reads that met an expired object.");

enum { GONE_WAIT_MS = 20, BODY_READER_MS = 120000 };

static bool expired(struct object_service *s, const Rs__RowValue *value)
{
    return value->expires_s && (int64_t)value->expires_s <= env_wall(s->options.env) / NS_PER_S;
}

int object_read(struct object_service *s, struct container *c, struct slice name, enum row_want want,
                int64_t deadline, struct arena *arena, struct object *ret_object, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(arena);
    struct row_state   row;
    struct object      o;
    struct held        held;
    int                rc = container_settled(c);

    if (rc == 0 && !name_valid(name))
        rc = error_set(err, -ENOENT, "there is no such object");
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = row_read(s->options.rows, &held.shard, name, want, deadline, arena, &row, err);
    held_drop(&held);
    if (rc)
        return rc;
    if (!row.exists)
        return error_set(err, -ENOENT, "there is no such object");
    if (expired(s, row.value)) {
        counter_inc(object_expired_seen);
        return error_set(err, -ENOENT, "the object expired");
    }
    o.value = row.value;
    o.size = row.value->size;
    o.ballot = row.ballot;
    o.meta = rs__object_meta__unpack(&allocator, row.value->meta.len, row.value->meta.data);
    if (!o.meta)
        return error_set(err, -E_CORRUPT, "the object's metadata can't be read");
    *ret_object = o;
    return 0;
}

uint64_t object_size_of(const Rs__ObjectMeta *meta, uint64_t stored)
{
    return meta->upload.len ? meta->parts_size : meta->encryption ? meta->plain_size : stored;
}

uint64_t object_size(const struct object *object)
{
    return object_size_of(object->meta, object->size);
}

/* --- Bytes. --- */

/* A reader lives for a while only, so that the whole may take hours (a slow client) but no device's silence may. */
WAITS static int body_renew(struct object_body *body, struct error *err)
{
    struct object_service *s = body->service;
    int64_t                now = env_now(s->options.env), deadline = now + BODY_READER_MS * NS_PER_MS;

    if (body->reader)
        body->reader = blob_reader_free(body->reader);
    body->renew = now + BODY_READER_MS / 2 * NS_PER_MS;
    return blob_reader_new(s->options.blobs, body->object->value->extents, body->object->value->n_extents, body->at,
                           body->end - body->at, deadline < body->deadline ? deadline : body->deadline, &body->reader,
                           err);
}

int object_body_open(struct object_service *s, const struct object *o, uint64_t offset, uint64_t size,
                     int64_t deadline, struct object_body *body, struct error *err)
{
    memset(body, 0, sizeof *body);
    if (offset > o->size || size > o->size - offset)
        return error_set(err, -ERANGE, "the range passes the object's end");
    if (size == 0)
        return 0;
    if (o->value->n_extents == 0) {
        if (o->value->data.len != o->size)
            return error_set(err, -E_CORRUPT, "an inline object has %zu bytes in place of %llu",
                             (size_t)o->value->data.len, (unsigned long long)o->size);
        body->inline_rest = slice_of(o->value->data.data + offset, size);
        return 0;
    }
    body->service = s;
    body->object = o;
    body->at = offset;
    body->end = offset + size;
    body->deadline = deadline;
    return body_renew(body, err);
}

int object_body_next(struct object_body *body, struct slice *ret_bytes, struct error *err)
{
    int rc;

    if (!body->reader) {
        *ret_bytes = body->inline_rest;
        body->inline_rest = SLICE_NONE;
        return 0;
    }
    body->part.buf = buf_unref(body->part.buf);
    body->part.size = 0;
    if (body->at < body->end && env_now(body->service->options.env) > body->renew) {
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

void object_body_close(struct object_body *body)
{
    buf_unref(body->part.buf);
    if (body->reader)
        blob_reader_free(body->reader);
    memset(body, 0, sizeof *body);
}

/* --- Changing the row. --- */

/* A sealed container is either gone soon or open again: let the caller look anew a little later. */
WAITS static int gone_is_stale(int rc)
{
    if (rc != -E_GONE)
        return rc;
    if (task_sleep(GONE_WAIT_MS * NS_PER_MS))
        return -ECANCELED;
    return -E_STALE;
}

struct update {
    struct object_service *service;
    object_edit            edit;
    void                  *ctx;
};

static int update_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                         struct error *err)
{
    const struct update *u = ctx;
    ProtobufCAllocator   allocator = arena_allocator(arena);
    Rs__ObjectMeta      *meta;
    Rs__RowValue        *value = arena_new(arena, Rs__RowValue);
    struct slice         packed;
    uint64_t             expires_s;
    int                  rc;

    if (!now->exists || expired(u->service, now->value))
        return error_set(err, -ENOENT, "there is no such object");
    meta = rs__object_meta__unpack(&allocator, now->value->meta.len, now->value->meta.data);
    if (!meta || !value)
        return error_set(err, -E_CORRUPT, "the object's metadata can't be read");
    expires_s = now->value->expires_s;
    rc = u->edit(u->ctx, arena, meta, &expires_s);
    if (rc)
        return rc;
    packed = pack_in(arena, &meta->base);
    if (!packed.data)
        return error_set(err, -ENOMEM, "too much metadata");
    *value = *now->value;   /* The same bytes. */
    value->meta = pb_data(packed);
    value->expires_s = expires_s;
    *ret_value = value;
    return 0;
}

int object_update(struct object_service *s, struct container *c, struct slice name, object_edit edit, void *ctx,
                  int64_t deadline, struct arena *arena, struct error *err)
{
    struct update u = { s, edit, ctx };
    struct held   held;
    int           rc = container_settled(c);

    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = row_update(s->options.rows, &held.shard, name, update_decide, &u, deadline, arena, NULL, NULL, err);
    held_drop(&held);
    return gone_is_stale(rc);
}

int object_delete(struct object_service *s, struct container *c, struct slice name, int64_t deadline,
                  struct error *err)
{
    Rs__RowValue value = RS__ROW_VALUE__INIT;
    struct held  held;
    bool         existed = false;
    int          rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    value.tombstone = true;
    rc = row_write(s->options.rows, &held.shard, name, &value, deadline, NULL, &existed, err);
    held_drop(&held);
    if (rc)
        return gone_is_stale(rc);
    stats_dirty(s, c);
    return existed ? 0 : error_set(err, -ENOENT, "there is no such object");
}
