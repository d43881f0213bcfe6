/* proxy/object/upload_part.c - the parts of a multipart upload.
 *
 * A part is a row that is written once, under a name of its own: "\0p", the upload, the part's number, a suffix that
 * grows with each upload of that number. So a part that is sent again never touches what an earlier one has stored,
 * and a completion that has chosen it keeps it. Parts that no completion chose go with their group. */
#include "proxy/object/upload.h"

#include "base/bytes.h"
#include "base/counter.h"
#include "proxy/object/put_private.h"

COUNTER(upload_part_late, "Parts that arrived after their upload was over and were removed again.");

WAITS int part_newest(struct object_service *s, const struct shard *shard, const uint8_t id[UPLOAD_ID_BYTES],
                      uint32_t number, int64_t deadline, uint8_t ret_suffix[PART_SUFFIX_BYTES], struct error *err)
{
    struct row_range range = { .limit = 1, .reverse = true, .uncounted = true };
    struct row_page  page;
    struct row_name  name;
    struct arena     arena;
    struct slice     object, suffix;
    uint8_t          of[16];
    int              rc;

    range.prefix = name_parts(&name, id, number);
    arena_init(&arena, CONTAINER_ARENA_MAX);
    rc = row_list(s->options.rows, shard, &range, deadline, &arena, &page, err);
    if (rc == 0) {
        memset(ret_suffix, 0, PART_SUFFIX_BYTES);
        if (page.count && name_parse(page.entries[0].name, &object, of, NULL, &suffix) == ROW_PART)
            memcpy(ret_suffix, suffix.data, PART_SUFFIX_BYTES);
    }
    arena_done(&arena);
    return rc;
}

void part_suffix(struct object_service *s, const uint8_t newest[PART_SUFFIX_BYTES],
                 uint8_t ret_suffix[PART_SUFFIX_BYTES])
{
    uint64_t time = service_now_us(s);

    if (time <= get_u64be(newest))
        time = get_u64be(newest) + 1;
    put_u64be(ret_suffix, time);
    env_random(s->options.env, ret_suffix + 8, PART_SUFFIX_BYTES - 8);
}

WAITS int part_write(struct object_service *s, const struct shard *shard, struct slice row, const Rs__Part *part,
                     Rs__Extent **extents, size_t extent_count, int64_t deadline, struct arena *arena,
                     struct error *err)
{
    Rs__RowValue value = RS__ROW_VALUE__INIT;
    struct slice packed = pack_in(arena, &part->base);

    if (!packed.data)
        return error_set(err, -ENOMEM, "out of memory");
    /* Its bytes are counted when an object has them. */
    value.meta = pb_data(packed);
    value.extents = extents;
    value.n_extents = extent_count;
    return row_write(s->options.rows, shard, row, &value, deadline, NULL, NULL, err);
}

/* Parts are encrypted as their upload was begun. With a customer's key the caller has to say it: object_put_encrypt(). */
static int part_encryption(struct object_put *put, const Rs__Encryption *record, struct error *err)
{
    static const struct put_encryption by_service = { .kind = ENCRYPTION_S3 };
    struct slice                       md5;

    if (!record)
        return 0;
    rs__encryption__init(&put->upload_record);
    put->must_seal = true;
    put->upload_record.kind = record->kind;
    md5 = arena_dup(put->arena, pb_slice(record->key_md5));
    if (record->key_md5.len && !md5.data)
        return error_set(err, -ENOMEM, "out of memory");
    put->upload_record.key_md5 = pb_data(md5);
    return record->kind == ENCRYPTION_S3 ? object_put_encrypt(put, &by_service, err) : 0;
}

int upload_put_new(struct object_service *s, struct container *c, const struct upload_row *upload, uint32_t number,
                   uint64_t size, int64_t deadline, struct arena *arena, struct object_put **ret_put,
                   struct error *err)
{
    struct row_name   *row = arena_new(arena, struct row_name), *of = arena_new(arena, struct row_name);
    struct object_put *put;
    struct held        held;
    uint8_t            newest[PART_SUFFIX_BYTES], suffix[PART_SUFFIX_BYTES];
    int                rc;

    if (number < 1 || number > PART_NUMBER_MAX)
        return error_set(err, -EINVAL, "part numbers are 1 to %d", PART_NUMBER_MAX);
    if (!row || !of)
        return error_set(err, -ENOMEM, "out of memory");
    rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = part_newest(s, &held.shard, upload->id, number, deadline, newest, err);
    held_drop(&held);
    if (rc)
        return rc;
    part_suffix(s, newest, suffix);
    rc = put_begin(s, c, name_part(row, upload->id, number, suffix), size, deadline, arena, true, &put, err);
    if (rc)
        return rc;
    put->object = upload->name;
    put->upload_row = name_upload(of, upload->name, upload->id);
    put->part = number;
    memcpy(put->upload, upload->id, UPLOAD_ID_BYTES);
    rc = part_encryption(put, upload->upload->meta->encryption, err);
    if (rc) {
        object_put_free(put);
        return rc;
    }
    *ret_put = put;
    return 0;
}

/* 0: its row is there. */
WAITS static int upload_there(struct object_put *put, const struct shard *shard, int64_t deadline, struct error *err)
{
    struct upload_state u;
    struct arena        arena;
    int                 rc;

    arena_init(&arena, CONTAINER_ARENA_MAX);
    rc = upload_state_read(put->service, shard, put->upload_row, deadline, &arena, &u, err);
    if (rc == 0 && !u.upload)
        rc = error_set(err, -ENOENT, "there is no such upload");
    arena_done(&arena);
    return rc;
}

/* The upload ended while the part was written. If nobody has its group any more, nobody would remove the part. */
WAITS static int part_late(struct object_put *put, const struct shard *shard, int64_t deadline, struct error *err)
{
    bool named = true;
    int  rc = group_named(put->service->options.rows, shard, put->object, put->upload, deadline, &named);

    if (rc == 0 && !named)
        rc = row_erase(put->service, shard, put->name, deadline, err);
    if (rc == 0 && !named) {
        counter_inc(upload_part_late);
        rc = error_set(err, -ENOENT, "there is no such upload");
    }
    return rc;
}

int upload_put_commit(struct object_put *put, struct container *c, Rs__Part *part, int64_t deadline, struct error *err)
{
    struct object_service *s = put->service;
    struct held            held;
    int                    rc = container_settled(c);

    if (memcmp(c->shard.id, put->container->shard.id, SHARD_ID_BYTES) != 0)
        return error_set(err, -ENOENT, "the container was deleted");
    part->etag = pb_data(slice_of(put->digest, sizeof put->digest));
    if (part->modified_us == 0)
        part->modified_us = service_now_us(s);
    if (put->must_seal && !put->seal)
        return error_set(err, -E_UNAUTHORIZED, "the upload's parts are encrypted by their owner's key");
    part->encryption = put->seal ? &put->seal->record : NULL;
    part->size = put->size;
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = upload_there(put, &held.shard, deadline, err);
    if (rc == 0)
        rc = part_write(s, &held.shard, put->name, part, put->extents, put->extent_count, deadline, put->arena, err);
    if (rc == 0) {
        int after = upload_there(put, &held.shard, deadline, err);
        if (after == -ENOENT)
            rc = part_late(put, &held.shard, deadline, err);
    }
    held_drop(&held);
    rc = gone_is_stale(rc);
    if (rc)
        return rc;
    fsm_move(&put->fsm, PUT_COMMITTED);
    return 0;
}

/* --- Listing parts. --- */

WAITS int upload_each_part(struct object_service *s, const struct shard *shard, const uint8_t id[UPLOAD_ID_BYTES],
                           uint32_t after, int64_t deadline, struct arena *arena, part_visit visit, void *ctx,
                           struct error *err)
{
    static const uint8_t last[PART_SUFFIX_BYTES] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
    struct row_range range = { .limit = UPLOAD_PAGE, .uncounted = true };
    struct row_page  page = { .more = true };
    struct row_name  all, begin;
    int              rc = 0;

    range.prefix = name_parts(&all, id, -1);
    range.after = name_part(&begin, id, after, last);   /* Number 0 is no part: a table. */
    while (rc == 0 && page.more) {
        rc = row_list(s->options.rows, shard, &range, deadline, arena, &page, err);
        for (uint32_t i = 0; rc == 0 && i < page.count; i++) {
            struct slice object, suffix = SLICE_NONE;
            uint8_t      of[16];
            uint32_t     number = 0;

            if (name_parse(page.entries[i].name, &object, of, &number, &suffix) == ROW_PART)
                rc = visit(ctx, &page.entries[i], number, suffix);
        }
        if (rc || page.count == 0)
            break;
        range.after = page.entries[page.count - 1].name;
    }
    return rc;
}

struct part_listing {
    struct arena     *arena;
    struct part_item *items;
    uint32_t          count, limit;
};

/* The rows of a number come oldest first: the last one counts. */
static int part_item_of(void *ctx, const struct row_entry *e, uint32_t number, struct slice suffix)
{
    struct part_listing *l = ctx;
    ProtobufCAllocator   allocator = arena_allocator(l->arena);
    bool                 again = l->count && l->items[l->count - 1].number == number;
    Rs__Part            *part;

    (void)suffix;
    if (!again && l->count == l->limit)
        return 1;
    part = rs__part__unpack(&allocator, e->value->meta.len, e->value->meta.data);
    if (!part)
        return -ENOMEM;
    if (!again)
        l->count++;
    l->items[l->count - 1] = (struct part_item) { .number = number, .part = part };
    return 0;
}

int upload_list_parts(struct object_service *s, struct container *c, const uint8_t id[UPLOAD_ID_BYTES], uint32_t after,
                      uint32_t limit, int64_t deadline, struct arena *arena, struct part_item **ret_items,
                      uint32_t *ret_count, bool *ret_more, struct error *err)
{
    struct part_listing l = { .arena = arena, .limit = limit, .items = arena_array(arena, struct part_item, limit + 1) };
    struct arena        own;
    struct held         held;
    int                 rc = container_settled(c);

    if (rc == 0 && (!l.items || limit > LIST_LIMIT_MAX))
        rc = error_set(err, -ENOMEM, "the page is too large");
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    arena_init(&own, 64 * 1024 * 1024);
    rc = limit ? upload_each_part(s, &held.shard, id, after, deadline, &own, part_item_of, &l, err) : 0;
    held_drop(&held);
    arena_done(&own);
    if (rc < 0)
        return error_set(err, rc, "listing parts: %s", error_text(rc));
    *ret_items = l.items;
    *ret_count = l.count;
    *ret_more = rc == 1;
    return 0;
}
