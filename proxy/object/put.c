/* proxy/object/put.c - one object on its way in.
 *
 * Up to ROW_INLINE_MAX bytes stay in memory and go into the row. Longer bodies
 * fill buffers of the policy's unit (so that the blob writer need not copy); a
 * full buffer goes to the hasher (hasher.h) and to the blob writer, whose window
 * bounds what is in flight.
 *
 *   RECEIVING --- object_put_end() ---> COMPLETE --- object_put_commit(): 0 ---> COMMITTED
 *
 * Dropped before COMPLETE the blob writer asks the devices to forget; after it,
 * bytes that no row names are for garbage collection. */
#include "proxy/object/put_private.h"

#include <stdlib.h>

#include "proxy/object/version.h"

static const struct fsm_state states[] = {
    [PUT_RECEIVING] = { "receiving", FSM_TO(PUT_COMPLETE) },
    [PUT_COMPLETE] = { "complete", FSM_TO(PUT_COMMITTED) },
    [PUT_COMMITTED] = { "committed", 0 },
};

enum { BUFFER_MIN = 4096 };

/* --- Quotas. --- */

WAITS int put_quota(struct object_service *s, struct container *c, uint64_t announced, int64_t deadline,
                    uint64_t *ret_room, struct error *err)
{
    struct shard_stats stats;
    uint64_t           room;
    int                rc = account_room(s, c->account, deadline, &room, err);

    if (rc)
        return rc;
    if (c->quota_bytes != UINT64_MAX || c->quota_count != UINT64_MAX) {
        rc = container_stats(s, c, deadline, &stats, err);
        if (rc)
            return rc;
        if (stats.count >= c->quota_count)
            return error_set(err, -EDQUOT, "Upload exceeds quota.");
        uint64_t left = stats.bytes < c->quota_bytes ? c->quota_bytes - stats.bytes : 0;
        if (c->quota_bytes != UINT64_MAX && left < room)
            room = left;
    }
    if (announced != UINT64_MAX && announced > room)
        return error_set(err, -EDQUOT, "Upload exceeds quota.");
    *ret_room = room;
    return 0;
}

/* --- Receiving. --- */

WAITS int put_begin(struct object_service *s, struct container *c, struct slice row, uint64_t size, int64_t deadline,
                    struct arena *arena, bool never_inline, struct object_put **ret_put, struct error *err)
{
    struct object_put *put;
    uint64_t           unit = c->policy->erasure ? (uint64_t)c->policy->k * EC_UNIT_BYTES : REPLICA_CHUNK_BYTES;
    int                rc;

    if (size != UINT64_MAX && size > OBJECT_SIZE_MAX)
        return error_set(err, -E_LIMIT, "objects have at most %llu bytes", (unsigned long long)OBJECT_SIZE_MAX);
    put = arena_new(arena, struct object_put);
    if (!put)
        return error_set(err, -ENOMEM, "out of memory");
    put->service = s;
    put->name = row;
    put->never_inline = never_inline;
    put->arena = arena;
    put->deadline = deadline;
    put->announced = size;
    put->unit = unit <= BUF_SIZE_MAX ? (uint32_t)unit : REPLICA_CHUNK_BYTES;
    put->container = container_ref(c);
    fsm_init(&put->fsm, states, PUT_RECEIVING);
    hasher_init(&put->hasher, &s->md5);
    rc = held_container(s, c->shard.id, c->policy, c->shard.config, &put->held, err);
    if (rc == 0)
        rc = put_quota(s, c, size, deadline, &put->room, err);
    if (rc) {
        object_put_free(put);
        return rc;
    }
    *ret_put = put;
    return 0;
}

int object_put_new(struct object_service *s, struct container *c, struct slice name, uint64_t size, int64_t deadline,
                   struct arena *arena, struct object_put **ret_put, struct error *err)
{
    static const struct put_encryption by_default = { .kind = ENCRYPTION_S3 };
    struct object_put *put;
    int                rc;

    if (!name_valid(name))
        return error_set(err, -EINVAL, "object names have 1 to %d bytes, none of them NUL", OBJECT_NAME_MAX);
    rc = put_begin(s, c, name, size, deadline, arena, false, &put, err);
    if (rc == 0 && container_encrypts(c)) {
        rc = object_put_encrypt(put, &by_default, err);
        if (rc)
            object_put_free(put);
    }
    if (rc == 0)
        *ret_put = put;
    return rc;
}

int object_put_encrypt(struct object_put *put, const struct put_encryption *encryption, struct error *err)
{
    struct seal_context context;
    struct seal        *seal;
    bool                part = put->upload_row.size > 0;
    int                 rc;

    if (put->size > 0)
        return error_set(err, -EINVAL, "bytes are there already");
    rc = seal_new(put->service, encryption,
                  seal_context(&context, put->container->shard.id, part ? put->upload : NULL, put->part,
                               part ? put->object : put->name),
                  put->arena, &seal, err);
    if (rc)
        return rc;
    if (part && (!put->must_seal || put->upload_record.kind != seal->record.kind ||
                 !slice_equal(pb_slice(put->upload_record.key_md5), pb_slice(seal->record.key_md5)))) {
        seal_done(seal);
        return error_set(err, -EINVAL, "the upload was begun with another encryption");
    }
    seal_done(put->seal);
    put->seal = seal;
    return 0;
}

/* Bytes that the row and its blobs have. */
static uint64_t stored_size(const struct object_put *put)
{
    return put->seal ? crypt_stored_size(put->size) : put->size;
}

int object_put_room(struct object_put *put, uint8_t **ret_data, size_t *ret_capacity, struct error *err)
{
    if (!put->buf) {
        uint64_t left = put->announced == UINT64_MAX || put->announced < put->size ? put->unit
                                                                                  : put->announced - put->size;
        if (left < BUFFER_MIN)
            left = BUFFER_MIN;
        put->capacity = left < put->unit ? (uint32_t)left : put->unit;
        put->buf = buf_new(put->capacity);
        put->filled = 0;
        if (!put->buf)
            return error_set(err, -ENOMEM, "out of memory");
    }
    *ret_data = put->buf->data + put->filled;
    *ret_capacity = put->capacity - put->filled;
    return 0;
}

/* The buffer's bytes go to the hasher and the devices. */
WAITS static int put_flush(struct object_put *put, struct error *err)
{
    int rc;

    if (!put->writer) {
        rc = blob_writer_new(put->service->options.blobs, put->container->policy, &put->held.shard, put->name,
                             put->deadline, &put->writer, err);
        if (rc)
            return rc;
    }
    rc = hasher_add(&put->hasher, put->buf, put->filled, put->announced > put->unit, put->deadline, err);
    if (rc == 0 && put->seal)
        rc = seal_add(put->seal, put->writer, put->buf, put->filled, err);
    else if (rc == 0)
        rc = blob_write(put->writer, put->buf, 0, put->filled, err);
    put->buf = buf_unref(put->buf);
    put->filled = 0;
    return rc;
}

int object_put_filled(struct object_put *put, size_t n, struct error *err)
{
    put->filled += (uint32_t)n;
    put->size += n;
    if (put->size > OBJECT_SIZE_MAX)
        return error_set(err, -E_LIMIT, "objects have at most %llu bytes", (unsigned long long)OBJECT_SIZE_MAX);
    if (put->size > put->room)
        return error_set(err, -EDQUOT, "Upload exceeds quota.");
    /* The last buffer stays until the end, which decides whether it goes inline. */
    if (put->filled == put->capacity && (put->size > ROW_INLINE_MAX || put->capacity == put->unit))
        return put_flush(put, err);
    if (put->filled == put->capacity && put->size != put->announced)
        return error_set(err, -E_LIMIT, "the body is longer than announced");
    return 0;
}

int object_put_bytes(struct object_put *put, struct slice bytes, struct error *err)
{
    while (bytes.size > 0) {
        uint8_t *to = NULL;
        size_t   n = 0;
        int      rc = object_put_room(put, &to, &n, err);

        if (rc)
            return rc;
        if (n > bytes.size)
            n = bytes.size;
        memcpy(to, bytes.data, n);
        bytes = slice_from(bytes, n);
        rc = object_put_filled(put, n, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* The buffer becomes what the row will have. The hasher may still hold the plain one. */
static int seal_in_row(struct object_put *put, struct error *err)
{
    struct buf *sealed;
    int         rc = seal_inline(put->seal, put->buf, put->filled, &sealed, err);

    if (rc)
        return rc;
    buf_unref(put->buf);
    put->buf = sealed;
    put->filled = (uint32_t)crypt_stored_size(put->size);
    return 0;
}

int object_put_end(struct object_put *put, struct error *err)
{
    int rc = 0;

    if (put->writer || stored_size(put) > ROW_INLINE_MAX || (put->never_inline && put->size > 0)) {
        if (put->filled > 0)
            rc = put_flush(put, err);
        if (rc == 0 && put->seal)
            rc = seal_end(put->seal, put->writer, err);
        if (rc == 0)
            rc = blob_writer_finish(put->writer, put->arena, &put->extents, &put->extent_count, err);
    } else if (put->filled > 0) {
        rc = hasher_add(&put->hasher, put->buf, put->filled, false, put->deadline, err);
        if (rc == 0 && put->seal)
            rc = seal_in_row(put, err);
    }
    if (rc == 0)
        rc = hasher_end(&put->hasher, put->digest, err);
    if (rc == 0)
        fsm_move(&put->fsm, PUT_COMPLETE);
    return rc;
}

uint64_t object_put_size(const struct object_put *put)
{
    return put->size;
}

const uint8_t *object_put_md5(const struct object_put *put)
{
    return put->digest;
}

int object_put_checksum(struct object_put *put, uint32_t checksum_kind, struct error *err)
{
    if (checksum_kind >= CHECKSUM_END_ || hasher_checksum(&put->hasher, (enum checksum_kind)checksum_kind))
        return error_set(err, -EINVAL, "the checksum is not known, or chosen too late");
    return 0;
}

struct slice object_put_checksum_value(const struct object_put *put)
{
    return hasher_checksum_value(&put->hasher);
}

/* --- The row. --- */

struct put_decision {
    const struct object_condition *condition;
    const Rs__RowValue            *value;
    struct object_service         *service;
};

static int put_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                      struct error *err)
{
    const struct put_decision *d = ctx;
    ProtobufCAllocator         allocator = arena_allocator(arena);
    bool                       present = now->exists && !value_expired(d->service, now->value);
    Rs__ObjectMeta            *meta = NULL;
    Rs__RowValue              *value = arena_new(arena, Rs__RowValue);
    int                        rc;

    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    if (present) {
        meta = rs__object_meta__unpack(&allocator, now->value->meta.len, now->value->meta.data);
        if (!meta)
            return error_set(err, -E_CORRUPT, "the object's metadata can't be read");
    }
    rc = condition_judge(d->condition, present, meta, present ? now->value->size : 0, err);
    if (rc)
        return rc;
    *value = *d->value;
    *ret_value = value;
    return 0;
}

/* Without versioning: one write; a conditional one when there is a condition. */
WAITS static int commit_plain(struct object_put *put, struct container *c, Rs__RowValue *value, Rs__ObjectMeta *meta,
                              const struct object_condition *condition, int64_t deadline, struct error *err)
{
    struct object_service *s = put->service;
    struct slice           packed = pack_in(put->arena, &meta->base);
    struct held            held;
    int                    rc;

    if (!packed.data)
        return error_set(err, -ENOMEM, "too much metadata");
    value->meta = pb_data(packed);
    rc = container_settled(c);
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    if (object_condition_empty(condition)) {
        rc = row_write(s->options.rows, &held.shard, put->name, value, deadline, NULL, NULL, err);
    } else {
        struct put_decision d = { condition, value, s };
        rc = row_update(s->options.rows, &held.shard, put->name, put_decide, &d, deadline, put->arena, NULL, NULL, err);
    }
    held_drop(&held);
    return gone_is_stale(rc);
}

WAITS static int commit_version(struct object_put *put, struct container *c, const Rs__RowValue *value,
                                Rs__ObjectMeta *meta, const struct object_condition *condition, int64_t deadline,
                                struct error *err)
{
    struct name_work w;
    struct head      head;
    int              rc = work_begin(&w, put->service, c, put->name, deadline, err);

    if (rc)
        return rc;
    for (int tries = 0;; tries++) {
        Rs__RowValue next = *value;

        rc = head_settled(&w, &head, err);
        if (rc == 0)
            rc = condition_judge(condition, head.present, head.meta, head.row.exists ? head.row.value->size : 0, err);
        if (rc)
            break;
        version_stamp(&w, &head, meta, put->version);
        rc = version_replace(&w, &head, &next, meta, err);
        if (rc != -EAGAIN)
            break;
        rc = work_again(&w, tries, err);
        if (rc)
            break;
    }
    meta->null_key = pb_data(SLICE_NONE);   /* It was of this try. */
    work_end(&w);
    return gone_is_stale(rc);
}

int object_put_commit(struct object_put *put, struct container *c, Rs__ObjectMeta *meta, uint64_t expires_s,
                      const struct object_condition *condition, int64_t deadline, struct error *err)
{
    Rs__RowValue value = RS__ROW_VALUE__INIT;
    int          rc;

    if (memcmp(c->shard.id, put->container->shard.id, SHARD_ID_BYTES) != 0)
        return error_set(err, -ENOENT, "the container was deleted");   /* Another has its name by now. */
    meta->etag = pb_data(slice_of(put->digest, sizeof put->digest));
    if (meta->modified_us == 0)
        meta->modified_us = service_now_us(put->service);
    lock_default(c, meta);
    meta->encryption = put->seal ? &put->seal->record : NULL;
    meta->plain_size = put->seal ? put->size : 0;
    value.size = stored_size(put);
    value.counted = true;
    value.expires_s = expires_s;
    if (put->extents) {
        value.n_extents = put->extent_count;
        value.extents = put->extents;
    } else if (put->filled) {
        value.data = pb_data(slice_of(put->buf->data, put->filled));
    }
    if (c->config->versioning == VERSIONING_OFF)
        rc = commit_plain(put, c, &value, meta, condition, deadline, err);
    else
        rc = commit_version(put, c, &value, meta, condition, deadline, err);
    if (rc)
        return rc;
    fsm_move(&put->fsm, PUT_COMMITTED);
    stats_dirty(put->service, c);
    return 0;
}

struct object_put *object_put_free(struct object_put *put)
{
    if (!put)
        return NULL;
    hasher_done(&put->hasher);
    seal_done(put->seal);
    if (put->writer)
        blob_writer_free(put->writer);
    buf_unref(put->buf);
    held_drop(&put->held);
    container_unref(put->container);
    return NULL;   /* The memory is the arena's. */
}
