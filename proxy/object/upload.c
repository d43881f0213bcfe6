/* proxy/object/upload.c - multipart uploads: begin, look at, list, abort. Parts are in upload_part.c, the end in
 * upload_complete.c. */
#include "proxy/object/upload.h"

#include "base/bytes.h"

/* --- Rows. --- */

WAITS int upload_state_read(struct object_service *s, const struct shard *shard, struct slice row, int64_t deadline,
                            struct arena *arena, struct upload_state *ret_state, struct error *err)
{
    ProtobufCAllocator  allocator = arena_allocator(arena);
    struct upload_state u = { .upload = NULL };
    int rc = row_read(s->options.rows, shard, row, ROW_FULL, deadline, arena, &u.row, err);

    if (rc)
        return rc;
    if (u.row.exists) {
        u.upload = rs__upload__unpack(&allocator, u.row.value->meta.len, u.row.value->meta.data);
        if (!u.upload || !u.upload->meta)
            return error_set(err, -E_CORRUPT, "the upload's row can't be read");
    }
    *ret_state = u;
    return 0;
}

Rs__Extent **group_extent(const uint8_t id[UPLOAD_ID_BYTES], struct arena *arena)
{
    Rs__Extent **extents = arena_new(arena, Rs__Extent *);
    Rs__Extent  *group = arena_new(arena, Rs__Extent);
    struct slice bytes = arena_dup(arena, slice_of(id, UPLOAD_ID_BYTES));

    if (!extents || !group || !bytes.data)
        return NULL;
    rs__extent__init(group);
    group->group = true;
    group->blob = pb_data(bytes);
    *extents = group;
    return extents;
}

WAITS int upload_settle(struct name_work *w, const Rs__ObjectMeta *meta, struct error *err)
{
    struct row_name  name;
    struct row_state row;
    struct slice     upload;
    int              rc;

    if (meta->upload.len != UPLOAD_ID_BYTES)
        return 0;
    upload = name_upload(&name, w->name, meta->upload.data);
    rc = row_read(w->service->options.rows, &w->held.shard, upload, ROW_META, w->deadline, &w->arena, &row, err);
    if (rc == 0 && row.exists)
        rc = row_erase(w->service, &w->held.shard, upload, w->deadline, err);
    return rc;
}

/* --- Begin, read. --- */

/* Parts are encrypted from the first one on, or none is. */
static int default_encryption(struct name_work *w, Rs__ObjectMeta *meta, struct arena *arena, struct error *err)
{
    static const struct put_encryption by_default = { .kind = ENCRYPTION_S3 };

    if (meta->encryption || !container_encrypts(w->container))
        return 0;
    return upload_encryption(w->service, &by_default, arena, &meta->encryption, err);
}

int upload_create(struct object_service *s, struct container *c, struct slice name, const Rs__Upload *upload,
                  int64_t deadline, struct arena *arena, uint8_t ret_id[UPLOAD_ID_BYTES], struct error *err)
{
    Rs__RowValue     value = RS__ROW_VALUE__INIT;
    Rs__Upload       u = *upload;
    struct name_work w;
    struct row_name  row;
    struct slice     packed;
    uint8_t          id[UPLOAD_ID_BYTES];
    int              rc = work_begin(&w, s, c, name, deadline, err);

    if (rc)
        return rc;
    u.state = RS__UPLOAD__STATE__OPEN;
    u.started_us = u.state_us = service_now_us(s);
    put_u64be(id, u.started_us);
    env_random(s->options.env, id + 8, UPLOAD_ID_BYTES - 8);
    rc = default_encryption(&w, u.meta, arena, err);
    packed = pack_in(&w.arena, &u.base);
    value.extents = group_extent(id, &w.arena);
    value.n_extents = 1;
    value.meta = pb_data(packed);
    if (rc == 0 && (!packed.data || !value.extents))
        rc = error_set(err, -ENOMEM, "too much metadata");
    if (rc == 0)
        rc = row_write(s->options.rows, &w.held.shard, name_upload(&row, name, id), &value, deadline, NULL, NULL, err);
    work_end(&w);
    if (rc == 0)
        memcpy(ret_id, id, UPLOAD_ID_BYTES);
    return gone_is_stale(rc);
}

int upload_read(struct object_service *s, struct container *c, struct slice name, const uint8_t id[UPLOAD_ID_BYTES],
                int64_t deadline, struct arena *arena, struct upload_row *ret_upload, struct error *err)
{
    struct upload_state u;
    struct row_name     row;
    struct held         held;
    int                 rc = container_settled(c);

    if (rc == 0 && !name_valid(name))
        rc = error_set(err, -ENOENT, "there is no such upload");
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = upload_state_read(s, &held.shard, name_upload(&row, name, id), deadline, arena, &u, err);
    held_drop(&held);
    if (rc)
        return rc;
    if (!u.upload || !upload_open(u.row.value, service_now_us(s)))
        return error_set(err, -ENOENT, "there is no such upload");
    ret_upload->upload = u.upload;
    ret_upload->name = arena_dup(arena, name);
    ret_upload->ballot = u.row.ballot;
    memcpy(ret_upload->id, id, UPLOAD_ID_BYTES);
    return ret_upload->name.data ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* --- Abort. --- */

int upload_abort(struct object_service *s, struct container *c, struct slice name, const uint8_t id[UPLOAD_ID_BYTES],
                 int64_t deadline, struct error *err)
{
    struct upload_state u;
    struct name_work    w;
    struct row_name     row;
    struct slice        upload;
    int                 rc = work_begin(&w, s, c, name, deadline, err);

    if (rc)
        return rc == -EINVAL ? -ENOENT : rc;
    upload = name_upload(&row, name, id);
    for (int tries = 0;; tries++) {
        rc = upload_state_read(s, &w.held.shard, upload, deadline, &w.arena, &u, err);
        if (rc == 0 && !u.upload)
            rc = error_set(err, -ENOENT, "there is no such upload");
        if (rc)
            break;
        if (upload_open(u.row.value, service_now_us(s))) {
            rc = row_erase_if(s->options.rows, &w.held.shard, upload, u.row.ballot, deadline, err);
            if (rc != -E_CONDITION)
                break;
        } else {
            /* Its completion was decided before: that comes first. */
            rc = upload_finish(&w, id, NULL, NULL, err);
            if (rc && rc != -ENOENT && rc != -ESTALE && rc != -EAGAIN)
                break;
        }
        rc = work_again(&w, tries, err);
        if (rc)
            break;
    }
    work_end(&w);
    return gone_is_stale(rc);
}

/* --- Listing uploads. --- */

struct upload_listing {
    struct slice        prefix, delimiter;
    struct arena       *arena;
    struct upload_item *items;
    uint32_t            count, limit;
    uint64_t            now_us;
    struct slice        skip;          /* A fold that is listed: what is in it is passed over. */
};

/* 1: the page is full. */
static int upload_item_of(struct upload_listing *l, const struct row_entry *e, struct error *err)
{
    ProtobufCAllocator  allocator = arena_allocator(l->arena);
    struct upload_item *item = &l->items[l->count];
    struct slice        object, rest;
    const uint8_t      *at;
    uint8_t             id[UPLOAD_ID_BYTES];

    if (name_parse(e->name, &object, id, NULL, NULL) != ROW_UPLOAD || !slice_starts(object, l->prefix) ||
        !upload_open(e->value, l->now_us) || (l->skip.size && slice_starts(object, l->skip)))
        return 0;
    if (l->count == l->limit)
        return 1;
    rest = slice_from(object, l->prefix.size);
    at = l->delimiter.size ? memmem(rest.data, rest.size, l->delimiter.data, l->delimiter.size) : NULL;
    if (at)
        object.size = (size_t)(at - object.data) + l->delimiter.size;
    *item = (struct upload_item) { .name = arena_dup(l->arena, object), .folded = at != NULL };
    if (!at) {
        memcpy(item->id, id, sizeof id);
        item->upload = rs__upload__unpack(&allocator, e->value->meta.len, e->value->meta.data);
    }
    if (!item->name.data || (!at && !item->upload))
        return error_set(err, -ENOMEM, "the page is too large");
    if (at)
        l->skip = item->name;
    l->count++;
    return 0;
}

/* Where the listing begins: a row name that it goes on after. */
static struct slice upload_after(struct row_name *row, struct slice after, const uint8_t *after_id,
                                 const struct upload_listing *l)
{
    static const uint8_t last[UPLOAD_ID_BYTES] = { 255, 255, 255, 255, 255, 255, 255, 255,
                                                   255, 255, 255, 255, 255, 255, 255, 255 };
    bool fold = l->delimiter.size && after.size >= l->prefix.size + l->delimiter.size && slice_starts(after, l->prefix) &&
                memcmp(after.data + after.size - l->delimiter.size, l->delimiter.data, l->delimiter.size) == 0;

    if (after.size == 0)
        return SLICE_NONE;
    if (fold && !after_id) {
        /* All that begins with it was listed as one entry. */
        struct slice name = name_upload(row, after, last);
        row->bytes[2 + after.size] = 0xff;
        return name;
    }
    return name_upload(row, after, after_id ? after_id : last);
}

int upload_list(struct object_service *s, struct container *c, struct slice after, const uint8_t *after_id,
                struct slice prefix, struct slice delimiter, uint32_t limit, int64_t deadline, struct arena *arena,
                struct upload_item **ret_items, uint32_t *ret_count, bool *ret_more, struct error *err)
{
    struct upload_listing l = { .prefix = prefix, .delimiter = delimiter, .arena = arena, .limit = limit,
                                .now_us = service_now_us(s) };
    struct row_range      range = { .limit = UPLOAD_PAGE, .uncounted = true };
    struct row_page       page = { .more = true };
    struct row_name       begin, all;
    struct arena          own;
    struct held           held;
    int                   rc = container_settled(c);

    if (rc == 0 && (after.size > OBJECT_NAME_MAX || prefix.size > OBJECT_NAME_MAX || limit > LIST_LIMIT_MAX))
        rc = error_set(err, -E_LIMIT, "a listing's names or limit are too long");
    l.items = arena_array(arena, struct upload_item, limit + 1);
    if (rc == 0 && !l.items)
        rc = error_set(err, -ENOMEM, "the page is too large");
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    range.prefix = name_uploads(&all, prefix);
    range.prefix.size--;   /* Of names that only begin with it, too. */
    range.after = upload_after(&begin, after, after_id, &l);
    arena_init(&own, ARENA_LIMIT_DEFAULT);
    while (rc == 0 && page.more && limit) {
        arena_reset(&own);
        rc = row_list(s->options.rows, &held.shard, &range, deadline, &own, &page, err);
        for (uint32_t i = 0; rc == 0 && i < page.count; i++)
            rc = upload_item_of(&l, &page.entries[i], err);
        if (page.count == 0)
            break;
        if (rc == 0) {
            struct slice last = page.entries[page.count - 1].name;
            memcpy(begin.bytes, last.data, last.size);
            range.after = slice_of(begin.bytes, last.size);
        }
    }
    arena_done(&own);
    held_drop(&held);
    if (rc < 0)
        return rc;
    *ret_items = l.items;
    *ret_count = l.count;
    *ret_more = rc == 1;
    return 0;
}
