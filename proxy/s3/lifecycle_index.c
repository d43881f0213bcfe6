/* proxy/s3/lifecycle_index.c - see lifecycle_index.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/s3/lifecycle_index.h"

enum { INDEX_ATTEMPTS_MAX = 20, NONCE_BYTES = 16 };
#define INDEX_ACCOUNT SLICE(".ringstack")
#define INDEX_CONTAINER SLICE("lifecycle")

WAITS static int index_open(struct object_service *s, bool fresh, int64_t deadline, struct container **ret_container,
                            struct error *err)
{
    bool created;
    int  rc = container_open(s, INDEX_ACCOUNT, INDEX_CONTAINER, fresh, deadline, ret_container, err);

    if (rc != -ENOENT)
        return rc;
    rc = container_create(s, INDEX_ACCOUNT, INDEX_CONTAINER, NULL, NULL, deadline, &created, err);
    return rc ? rc : container_open(s, INDEX_ACCOUNT, INDEX_CONTAINER, true, deadline, ret_container, err);
}

static struct slice slice_of_pb(ProtobufCBinaryData data)
{
    return slice_of(data.data, data.len);
}

/* --- Adding. --- */

WAITS static int add_once(struct object_service *s, struct container *container, struct slice name, int64_t deadline,
                          struct arena *arena, struct error *err)
{
    Rs__ObjectMeta     meta = RS__OBJECT_META__INIT;
    struct object_put *put = NULL;
    uint8_t            nonce[NONCE_BYTES];
    int                rc = object_put_new(s, container, name, sizeof nonce, deadline, arena, &put, err);

    if (rc)
        return rc;
    /* Its ETag tells one addition from another. */
    env_random(object_service_env(s), nonce, sizeof nonce);
    rc = object_put_bytes(put, slice_of(nonce, sizeof nonce), err);
    if (rc == 0)
        rc = object_put_end(put, err);
    if (rc == 0)
        rc = object_put_commit(put, container, &meta, 0, NULL, deadline, err);
    object_put_free(put);
    return rc;
}

int lifecycle_index_add(struct object_service *s, struct slice account, struct slice bucket, int64_t deadline,
                        struct arena *arena, struct error *err)
{
    char *name = arena_printf(arena, "%.*s/%.*s", SLICE_ARG(account), SLICE_ARG(bucket));
    int   rc = -E_STALE;

    if (!name)
        return error_set(err, -ENOMEM, "out of memory");
    for (int attempt = 0; attempt < INDEX_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        struct container *container;

        rc = index_open(s, attempt > 0, deadline, &container, err);
        if (rc)
            return rc;
        rc = add_once(s, container, slice_str(name), deadline, arena, err);
        if (rc == -E_STALE)
            container_forget(s, container);
        container_unref(container);
    }
    return rc;
}

/* --- Reading. --- */

static uint64_t field_number(const Rs__ObjectMeta *meta, const char *name, uint64_t *ret_second)
{
    for (size_t i = 0; i < meta->n_meta; i++) {
        char               text[64];
        unsigned long long first = 0, second = 0;

        if (!slice_equal(slice_of_pb(meta->meta[i]->name), slice_str(name)) || meta->meta[i]->value.len >= sizeof text)
            continue;
        memcpy(text, meta->meta[i]->value.data, meta->meta[i]->value.len);
        text[meta->meta[i]->value.len] = 0;
        if (sscanf(text, "%llu %llu", &first, &second) < 1)
            return 0;
        if (ret_second)
            *ret_second = second;
        return first;
    }
    return 0;
}

/* False: it is nothing that lifecycle_index_add() wrote. */
static bool entry_of(const struct row_entry *row, struct arena *arena, struct lifecycle_entry *ret)
{
    ProtobufCAllocator allocator = arena_allocator_of(arena);
    Rs__ObjectMeta    *meta = row->folded ? NULL : rs__object_meta__unpack(&allocator, row->value->meta.len,
                                                                           row->value->meta.data);
    const uint8_t     *slash = memchr(row->name.data, '/', row->name.size);
    struct slice       etag;

    if (!meta || !slash)
        return false;
    ret->name = row->name;
    ret->account = slice_of(row->name.data, (size_t)(slash - row->name.data));
    ret->bucket = slice_from(row->name, ret->account.size + 1);
    ret->noted_us = meta->modified_us;
    ret->done_us = field_number(meta, "done", NULL);
    object_etag(meta, ret->etag, &etag);
    return true;
}

WAITS static int list_once(struct object_service *s, struct container *container, const struct row_range *range,
                           int64_t deadline, struct arena *arena, struct lifecycle_entry **ret_entries,
                           uint32_t *ret_count, bool *ret_more, struct error *err)
{
    struct lifecycle_entry *entries;
    struct row_page         page;
    uint32_t                count = 0;
    int                     rc = container_list(s, container, range, deadline, arena, &page, err);

    if (rc)
        return rc;
    entries = arena_array(arena, struct lifecycle_entry, page.count ? page.count : 1);
    if (!entries)
        return error_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < page.count; i++)
        count += entry_of(&page.entries[i], arena, &entries[count]);
    *ret_entries = entries;
    *ret_count = count;
    *ret_more = page.more && count > 0;
    return 0;
}

int lifecycle_index_list(struct object_service *s, struct slice after, uint32_t limit, int64_t deadline,
                         struct arena *arena, struct lifecycle_entry **ret_entries, uint32_t *ret_count, bool *ret_more,
                         struct error *err)
{
    struct row_range range = { .after = after, .limit = limit };
    int              rc = -E_STALE;

    for (int attempt = 0; attempt < INDEX_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        struct container *container;

        rc = container_open(s, INDEX_ACCOUNT, INDEX_CONTAINER, attempt > 0, deadline, &container, err);
        if (rc == -ENOENT) {   /* No bucket ever had rules. */
            *ret_count = 0;
            *ret_more = false;
            return 0;
        }
        if (rc)
            return rc;
        rc = list_once(s, container, &range, deadline, arena, ret_entries, ret_count, ret_more, err);
        if (rc == -E_STALE)
            container_forget(s, container);
        container_unref(container);
    }
    return rc;
}

/* --- Leases. --- */

struct lease_edit {
    uint64_t holder, now_us, interval_us;
    bool     give, done;
};

static bool set_field(struct arena *arena, Rs__MetaItem *item, const char *name, const char *text)
{
    rs__meta_item__init(item);
    item->name = (ProtobufCBinaryData) { .len = strlen(name), .data = (uint8_t *)(uintptr_t)name };
    item->value.data = (uint8_t *)arena_str(arena, slice_str(text));
    item->value.len = strlen(text);
    return item->value.data != NULL;
}

static int lease_decide(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s)
{
    struct lease_edit *edit = ctx;
    uint64_t           until = 0, holder = field_number(meta, "lease", &until), done = field_number(meta, "done", NULL);
    Rs__MetaItem      *items = arena_array(arena, Rs__MetaItem, 2);
    Rs__MetaItem     **list = arena_array(arena, Rs__MetaItem *, 2);
    char               text[64];

    (void)expires_s;
    if (!items || !list)
        return -ENOMEM;
    if (holder != edit->holder && (edit->give || until > edit->now_us))
        return -E_CONFLICT;
    if (!edit->give && holder != edit->holder && edit->interval_us && done && done + edit->interval_us > edit->now_us)
        return -E_CONFLICT;
    if (edit->done)
        done = edit->now_us;
    if (edit->give)
        holder = until = 0;
    else {
        holder = edit->holder;
        until = edit->now_us + LIFECYCLE_LEASE_S * UINT64_C(1000000);
    }
    snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64, holder, until);
    if (!set_field(arena, &items[0], "lease", text))
        return -ENOMEM;
    snprintf(text, sizeof text, "%" PRIu64, done);
    if (!set_field(arena, &items[1], "done", text))
        return -ENOMEM;
    list[0] = &items[0];
    list[1] = &items[1];
    meta->meta = list;
    meta->n_meta = 2;
    return 0;
}

WAITS static int lease_change(struct object_service *s, struct slice name, struct lease_edit *edit, int64_t deadline,
                              struct arena *arena, struct error *err)
{
    int rc = -E_STALE;

    for (int attempt = 0; attempt < INDEX_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        struct container *container;

        rc = container_open(s, INDEX_ACCOUNT, INDEX_CONTAINER, attempt > 0, deadline, &container, err);
        if (rc)
            return rc;
        rc = object_update(s, container, name, lease_decide, edit, deadline, arena, err);
        if (rc == -E_STALE)
            container_forget(s, container);
        container_unref(container);
    }
    return rc;
}

int lifecycle_lease_take(struct object_service *s, struct slice name, uint64_t holder, uint64_t now_us,
                         uint64_t interval_us, int64_t deadline, struct arena *arena, struct error *err)
{
    struct lease_edit edit = { .holder = holder, .now_us = now_us, .interval_us = interval_us };

    return lease_change(s, name, &edit, deadline, arena, err);
}

int lifecycle_lease_give(struct object_service *s, struct slice name, uint64_t holder, uint64_t now_us, bool done,
                         int64_t deadline, struct arena *arena, struct error *err)
{
    struct lease_edit edit = { .holder = holder, .now_us = now_us, .give = true, .done = done };

    return lease_change(s, name, &edit, deadline, arena, err);
}

/* --- Dropping. --- */

int lifecycle_index_drop(struct object_service *s, const struct lifecycle_entry *entry, int64_t deadline,
                         struct arena *arena, struct error *err)
{
    struct object_condition condition = { .match_count = 1 };
    struct object_deletion  deletion = { .condition = &condition };
    struct object_deleted   deleted;
    int                     rc = -E_STALE;

    condition.match[0] = slice_str(entry->etag);
    for (int attempt = 0; attempt < INDEX_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        struct container *container;

        rc = container_open(s, INDEX_ACCOUNT, INDEX_CONTAINER, attempt > 0, deadline, &container, err);
        if (rc)
            return rc;
        rc = object_delete_version(s, container, entry->name, &deletion, deadline, arena, &deleted, err);
        if (rc == -E_STALE)
            container_forget(s, container);
        container_unref(container);
    }
    return rc == -ENOENT ? 0 : rc;
}
