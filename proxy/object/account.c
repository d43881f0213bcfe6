/* proxy/object/account.c - accounts: totals, metadata, quota, the list of containers. */
#include "proxy/object/service.h"

#include <stdlib.h>

#include <xxhash.h>

enum { ACCOUNT_ARENA_MAX = 512 * 1024, STATS_PAGE = 1000 };

WAITS static int account_sum(struct object_service *s, struct slice account, enum account_shard which,
                             int64_t deadline, struct shard_stats *ret_stats, struct error *err)
{
    struct held held;
    int         rc = held_account(s, account, which, &held, err);

    if (rc)
        return rc;
    rc = shard_stats(s->options.rows, &held.shard, deadline, ret_stats, err);
    held_drop(&held);
    return rc;
}

WAITS static int account_config(struct object_service *s, struct slice account, int64_t deadline, struct arena *arena,
                                Rs__AccountConfig **ret_config, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(arena);
    struct row_state   row;
    struct held        held;
    int                rc = held_account(s, account, ACCOUNT_CONTAINERS, &held, err);

    if (rc)
        return rc;
    rc = row_read(s->options.rows, &held.shard, SLICE_NONE, ROW_META, deadline, arena, &row, err);
    held_drop(&held);
    if (rc)
        return rc;
    if (row.exists) {
        *ret_config = rs__account_config__unpack(&allocator, row.value->meta.len, row.value->meta.data);
        return *ret_config ? 0 : error_set(err, -E_CORRUPT, "the account's configuration can't be read");
    }
    *ret_config = arena_new(arena, Rs__AccountConfig);
    if (!*ret_config)
        return error_set(err, -ENOMEM, "out of memory");
    rs__account_config__init(*ret_config);
    return 0;
}

int account_get(struct object_service *s, struct slice account, int64_t deadline, struct arena *arena,
                struct account *ret_account, struct error *err)
{
    struct shard_stats containers, bytes, objects;
    struct account     a = { 0 };
    int                rc = account_config(s, account, deadline, arena, &a.config, err);

    if (rc == 0)
        rc = account_sum(s, account, ACCOUNT_CONTAINERS, deadline, &containers, err);
    if (rc == 0)
        rc = account_sum(s, account, ACCOUNT_BYTES, deadline, &bytes, err);
    if (rc == 0)
        rc = account_sum(s, account, ACCOUNT_OBJECTS, deadline, &objects, err);
    if (rc)
        return rc;
    a.containers = containers.count;
    a.bytes = bytes.bytes;
    a.objects = objects.bytes;   /* In that shard a row's size is a number of objects. */
    *ret_account = a;
    return 0;
}

/* --- Metadata. --- */

struct account_edit {
    const struct config_changes *changes;
    uint64_t                     now_us;
};

static int account_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                          struct error *err)
{
    const struct account_edit   *edit = ctx;
    const struct config_changes *changes = edit->changes;
    ProtobufCAllocator           allocator = arena_allocator(arena);
    Rs__AccountConfig            fresh = RS__ACCOUNT_CONFIG__INIT, *config = &fresh;
    Rs__RowValue                *value = arena_new(arena, Rs__RowValue);
    struct slice                 meta;
    int                          rc;

    fresh.created_us = edit->now_us;
    if (now->exists)
        config = rs__account_config__unpack(&allocator, now->value->meta.len, now->value->meta.data);
    if (!config || !value)
        return error_set(err, -E_CORRUPT, "the account's configuration can't be read");
    config->modified_us = edit->now_us;
    if (changes->quota_bytes) {
        config->limited = *changes->quota_bytes != UINT64_MAX;
        config->quota_bytes = config->limited ? *changes->quota_bytes : 0;
    }
    rc = meta_merge(config->meta, config->n_meta, changes->meta, changes->meta_count, arena, &config->meta,
                    &config->n_meta, err);
    if (rc)
        return rc;
    meta = pack_in(arena, &config->base);
    if (!meta.data)
        return error_set(err, -ENOMEM, "too much metadata");
    rs__row_value__init(value);
    value->meta = pb_data(meta);
    *ret_value = value;
    return 0;
}

int account_update(struct object_service *s, struct slice account, const struct config_changes *changes,
                   int64_t deadline, struct arena *arena, struct error *err)
{
    struct account_edit edit = { .changes = changes, .now_us = service_now_us(s) };
    struct held         held;
    int                 rc = held_account(s, account, ACCOUNT_CONTAINERS, &held, err);

    if (rc)
        return rc;
    rc = row_update(s->options.rows, &held.shard, SLICE_NONE, account_decide, &edit, deadline, arena, NULL, NULL, err);
    held_drop(&held);
    quota_forget(s, account);
    return rc;
}

/* --- Quota. --- */

static struct quota_slot *quota_slot(struct object_service *s, struct slice account)
{
    return &s->quota[XXH3_64bits(account.data, account.size) % QUOTA_CACHE_SLOTS];
}

void quota_forget(struct object_service *s, struct slice account)
{
    quota_slot(s, account)->until = 0;
}

int account_room(struct object_service *s, struct slice account, int64_t deadline, uint64_t *ret_room,
                 struct error *err)
{
    struct quota_slot *slot = quota_slot(s, account);
    int64_t            now = env_now(s->options.env);
    struct shard_stats used;
    uint64_t           quota;
    int                rc;

    if (slot->until <= now || !slice_equal(slice_str(slot->name), account)) {
        Rs__AccountConfig *config;
        struct arena       arena;

        if (account.size > ACCOUNT_NAME_MAX)
            return error_set(err, -EINVAL, "the account's name is too long");
        arena_init(&arena, ACCOUNT_ARENA_MAX);
        rc = account_config(s, account, deadline, &arena, &config, err);
        if (rc == 0) {
            memcpy(slot->name, account.data, account.size);
            slot->name[account.size] = 0;
            slot->limited = config->limited;
            slot->bytes = config->quota_bytes;
            slot->until = now + QUOTA_CACHE_MS * NS_PER_MS;
        }
        arena_done(&arena);
        if (rc)
            return rc;
    }
    *ret_room = UINT64_MAX;
    if (!slot->limited)
        return 0;
    quota = slot->bytes;
    rc = account_sum(s, account, ACCOUNT_BYTES, deadline, &used, err);
    if (rc == 0)
        *ret_room = used.bytes < quota ? quota - used.bytes : 0;
    return rc;
}

/* --- Containers of an account. --- */

/* Walks the statistics rows of the same range beside the items; both are in the same order. */
WAITS static int list_stats(struct object_service *s, struct slice account, const struct row_range *range,
                            struct container_item *items, uint32_t count, int64_t deadline, struct arena *arena,
                            struct error *err)
{
    struct row_range   r = *range;
    struct row_page    page = { .more = true };
    ProtobufCAllocator allocator = arena_allocator(arena);
    uint32_t           at = 0;

    r.delimiter = SLICE_NONE;
    r.limit = STATS_PAGE;
    while (page.more && at < count) {
        struct held held;
        int         rc = held_account(s, account, ACCOUNT_BYTES, &held, err);
        if (rc)
            return rc;
        rc = row_list(s->options.rows, &held.shard, &r, deadline, arena, &page, err);
        held_drop(&held);
        if (rc)
            return rc;
        for (uint32_t i = 0; i < page.count && at < count; i++) {
            struct row_entry *e = &page.entries[i];
            int               c = -1;

            while (at < count && (c = slice_compare(items[at].name, e->name) * (range->reverse ? -1 : 1)) < 0)
                at++;
            if (at < count && c == 0 && !items[at].folded) {
                Rs__ContainerStats *stats =
                    rs__container_stats__unpack(&allocator, e->value->meta.len, e->value->meta.data);
                if (!stats)
                    return error_set(err, -E_CORRUPT, "a container's statistics can't be read");
                items[at].count = stats->count;
                items[at].bytes = stats->bytes;
            }
        }
        if (page.count == 0)
            break;
        r.after = page.entries[page.count - 1].name;
    }
    return 0;
}

int account_list(struct object_service *s, struct slice account, const struct row_range *range, int64_t deadline,
                 struct arena *arena, struct container_item **ret_items, uint32_t *ret_count, bool *ret_more,
                 struct error *err)
{
    ProtobufCAllocator     allocator = arena_allocator(arena);
    struct container_item *items;
    struct row_page        page;
    struct held            held;
    int                    rc = held_account(s, account, ACCOUNT_CONTAINERS, &held, err);

    if (rc)
        return rc;
    rc = row_list(s->options.rows, &held.shard, range, deadline, arena, &page, err);
    held_drop(&held);
    if (rc)
        return rc;
    items = arena_array(arena, struct container_item, page.count + 1);
    if (!items)
        return error_set(err, -ENOMEM, "the page is too large");
    for (uint32_t i = 0; i < page.count; i++) {
        struct row_entry   *e = &page.entries[i];
        Rs__ContainerEntry *entry;

        items[i].name = e->name;
        items[i].folded = e->folded;
        if (e->folded)
            continue;
        entry = rs__container_entry__unpack(&allocator, e->value->meta.len, e->value->meta.data);
        if (!entry)
            return error_set(err, -E_CORRUPT, "a container's entry can't be read");
        items[i].modified_us = entry->created_us;
        items[i].policy = entry->policy;
    }
    rc = list_stats(s, account, range, items, page.count, deadline, arena, err);
    if (rc)
        return rc;
    *ret_items = items;
    *ret_count = page.count;
    *ret_more = page.more;
    return 0;
}
