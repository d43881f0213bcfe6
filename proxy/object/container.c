/* proxy/object/container.c - containers: open, create, change, list. See object.h for the states; config.c has the
 * configuration row, container_delete.c the end. */
#include <stdlib.h>

#include "base/counter.h"
#include "base/log.h"
#include "proxy/object/service.h"

COUNTER(container_delete_finished, "Deletions of containers that another request had to finish.");
COUNTER(container_unsealed, "Containers whose deleter died half-way and which were opened again.");

enum { CREATE_ATTEMPTS_MAX = 8, ENTRY_ARENA = CONTAINER_ARENA_MAX };

/* --- References. --- */

struct container *container_ref(struct container *container)
{
    container->refs++;
    return container;
}

struct container *container_unref(struct container *container)
{
    if (container && --container->refs == 0) {
        rs__container_config__free_unpacked(container->config, NULL);
        free(container);
    }
    return NULL;
}

static uint64_t quota_of(const Rs__ContainerConfig *config, struct slice name)
{
    for (size_t i = 0; i < config->n_meta; i++) {
        struct slice value = pb_slice(config->meta[i]->value);
        uint64_t     n = 0;
        size_t       at = 0;

        if (!slice_equal(pb_slice(config->meta[i]->name), name))
            continue;
        while (at < value.size && at < 18 && value.data[at] >= '0' && value.data[at] <= '9')
            n = n * 10 + (uint64_t)(value.data[at++] - '0');
        return at > 0 && at == value.size ? n : UINT64_MAX;
    }
    return UINT64_MAX;
}

/* Makes a container of its configuration row. */
static int container_new(struct object_service *s, const uint8_t *id, const struct row_state *row,
                         struct container **ret_container, struct error *err)
{
    struct container *c = calloc(1, sizeof *c);

    if (!c)
        return error_set(err, -ENOMEM, "out of memory");
    c->refs = 1;
    c->config = rs__container_config__unpack(NULL, row->value->meta.len, row->value->meta.data);
    c->policy = c->config ? service_policy_index(s, c->config->policy) : NULL;
    if (!c->policy) {
        int rc = c->config ? error_set(err, -E_UNAVAILABLE, "policy %u is not configured here", c->config->policy)
                           : error_set(err, -E_CORRUPT, "the container's configuration can't be read");
        if (c->config)
            rs__container_config__free_unpacked(c->config, NULL);
        free(c);
        return rc;
    }
    c->account = pb_slice(c->config->account);
    c->name = pb_slice(c->config->name);
    memcpy(c->shard.id, id, SHARD_ID_BYTES);
    c->shard.config = row->ballot;
    c->quota_bytes = quota_of(c->config, SLICE("quota-bytes"));
    c->quota_count = quota_of(c->config, SLICE("quota-count"));
    *ret_container = c;
    return 0;
}

/* --- The account's entry. --- */

struct entry_edit {
    const Rs__RowValue *create;       /* Or NULL: delete ... */
    const uint8_t      *id;           /* ... the entry of this container. */
};

static bool entry_is(const struct row_state *row, const uint8_t *id, struct arena *arena, Rs__ContainerEntry **ret)
{
    ProtobufCAllocator  allocator = arena_allocator(arena);
    Rs__ContainerEntry *entry;

    if (!row->exists)
        return false;
    entry = rs__container_entry__unpack(&allocator, row->value->meta.len, row->value->meta.data);
    if (!entry || entry->id.len != SHARD_ID_BYTES)
        return false;
    if (ret)
        *ret = entry;
    return !id || memcmp(entry->id.data, id, SHARD_ID_BYTES) == 0;
}

static int entry_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                        struct error *err)
{
    const struct entry_edit *edit = ctx;
    Rs__RowValue            *value = arena_new(arena, Rs__RowValue);

    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    rs__row_value__init(value);
    if (edit->create) {
        if (now->exists)
            return error_set(err, -EEXIST, "the container exists");
        *value = *edit->create;
    } else {
        if (!entry_is(now, edit->id, arena, NULL))
            return error_set(err, -ENOENT, "another container has the name by now");
        value->tombstone = true;
    }
    *ret_value = value;
    return 0;
}

WAITS static int entry_update(struct object_service *s, struct slice account, struct slice name,
                              struct entry_edit *edit, int64_t deadline, struct error *err)
{
    struct arena arena;
    struct held  held;
    int          rc = held_account(s, account, ACCOUNT_CONTAINERS, &held, err);

    if (rc)
        return rc;
    arena_init(&arena, ENTRY_ARENA);
    rc = row_update(s->options.rows, &held.shard, name, entry_decide, edit, deadline, &arena, NULL, NULL, err);
    held_drop(&held);
    arena_done(&arena);
    return rc;
}

WAITS int dead_finish(struct object_service *s, struct slice account, struct slice name, const uint8_t *id,
                      int64_t deadline, struct error *err)
{
    struct entry_edit edit = { .id = id };
    int               rc = entry_update(s, account, name, &edit, deadline, err);

    return rc == -ENOENT ? 0 : rc;
}

/* --- Open. --- */

WAITS static int row_of(struct object_service *s, struct held *held, struct slice name, int64_t deadline,
                        struct arena *arena, struct row_state *ret_row, struct error *err)
{
    int rc = row_read(s->options.rows, &held->shard, name, ROW_META, deadline, arena, ret_row, err);

    held_drop(held);
    return rc;
}

WAITS static int container_read(struct object_service *s, struct slice account, struct slice name, int64_t deadline,
                                struct arena *arena, struct container **ret_container, struct error *err)
{
    struct held          held;
    struct row_state     row;
    Rs__ContainerEntry  *entry = NULL;
    const struct policy *policy;
    int                  rc;

    rc = held_account(s, account, ACCOUNT_CONTAINERS, &held, err);
    if (rc == 0)
        rc = row_of(s, &held, name, deadline, arena, &row, err);
    if (rc)
        return rc;
    if (!row.exists)
        return error_set(err, -ENOENT, "there is no such container");
    if (!entry_is(&row, NULL, arena, &entry))
        return error_set(err, -E_CORRUPT, "the container's entry can't be read");
    policy = service_policy_index(s, entry->policy);
    if (!policy)
        return error_set(err, -E_UNAVAILABLE, "policy %u is not configured here", entry->policy);
    rc = held_container(s, entry->id.data, policy, (struct ballot) { 0, 0 }, &held, err);
    if (rc == 0)
        rc = row_of(s, &held, SLICE_NONE, deadline, arena, &row, err);
    if (rc)
        return rc;
    if (!row.exists)   /* It is written before the entry, and never deleted. */
        return error_set(err, -E_CORRUPT, "the container's configuration is missing");
    return container_new(s, entry->id.data, &row, ret_container, err);
}

int container_open(struct object_service *s, struct slice account, struct slice name, bool fresh, int64_t deadline,
                   struct container **ret_container, struct error *err)
{
    struct container *c = fresh ? NULL : cache_get(s, account, name);
    struct arena      arena;
    int               rc = 0;

    if (c) {
        *ret_container = c;
        return 0;
    }
    arena_init(&arena, CONTAINER_ARENA_MAX);
    for (int attempt = 0; attempt < 3; attempt++) {
        arena_reset(&arena);
        rc = container_read(s, account, name, deadline, &arena, &c, err);
        if (rc)
            break;
        if (c->config->state != RS__CONTAINER_CONFIG__STATE__SEALED ||
            service_now_us(s) < c->config->state_us + CONTAINER_SEAL_TIMEOUT_MS * UINT64_C(1000))
            break;
        /* Its deleter died. Whatever comes of this, the row tells. */
        struct config_edit edit = { .kind = EDIT_UNSEAL, .expect = c->shard.config };
        if (config_update(s, c->shard.id, c->policy, &edit, deadline, NULL, NULL) == 0)
            counter_inc(container_unsealed);
        if (attempt < 2)
            c = container_unref(c);
    }
    arena_done(&arena);
    if (rc == 0 && c->config->state == RS__CONTAINER_CONFIG__STATE__DEAD) {
        rc = dead_finish(s, account, name, c->shard.id, deadline, err);
        c = container_unref(c);
        counter_inc(container_delete_finished);
        if (rc == 0)
            rc = error_set(err, -ENOENT, "there is no such container");
    }
    if (rc) {
        if (rc == -ENOENT)
            cache_drop(s, account, name, NULL);
        return rc;
    }
    if (c->config->state == RS__CONTAINER_CONFIG__STATE__LIVE)
        cache_put(s, c);
    *ret_container = c;
    return 0;
}

enum { SEALED_WAIT_MS = 20 };

WAITS int container_settled(const struct container *c)
{
    if (c->config->state == RS__CONTAINER_CONFIG__STATE__LIVE)
        return 0;
    return task_sleep(SEALED_WAIT_MS * NS_PER_MS) ? -ECANCELED : -E_STALE;
}

void container_forget(struct object_service *s, struct container *container)
{
    cache_drop(s, container->account, container->name, container);
}

/* --- Create. --- */

struct creation {
    uint8_t             id[SHARD_ID_BYTES];
    Rs__ContainerEntry  entry;
    Rs__ContainerConfig config;
};

WAITS static int create_rows(struct object_service *s, struct creation *n, const struct policy *policy,
                             struct arena *arena, int64_t deadline, struct error *err)
{
    Rs__RowValue *value, entry = RS__ROW_VALUE__INIT;
    struct slice  packed = pack_in(arena, &n->entry.base);
    struct held   held;
    int           rc;

    /* The configuration first: an entry always leads to one. Dying in between leaves a row that nobody names. */
    rc = config_value(&n->config, arena, &value, err);
    if (rc == 0 && !packed.data)
        rc = error_set(err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = held_container(s, n->id, policy, (struct ballot) { 0, 0 }, &held, err);
    if (rc)
        return rc;
    rc = row_write(s->options.rows, &held.shard, SLICE_NONE, value, deadline, NULL, NULL, err);
    held_drop(&held);
    if (rc)
        return rc;
    entry.meta = pb_data(packed);
    entry.counted = true;
    struct entry_edit edit = { .create = &entry };
    return entry_update(s, pb_slice(n->config.account), pb_slice(n->config.name), &edit, deadline, err);
}

WAITS static int create_new(struct object_service *s, struct slice account, struct slice name,
                            const struct policy *policy, const struct config_changes *changes, int64_t deadline,
                            struct error *err)
{
    struct creation n = { .entry = RS__CONTAINER_ENTRY__INIT, .config = RS__CONTAINER_CONFIG__INIT };
    struct arena    arena;
    int             rc;

    arena_init(&arena, CONTAINER_ARENA_MAX);
    env_random(s->options.env, n.id, sizeof n.id);
    n.entry.id = pb_data(slice_of(n.id, sizeof n.id));
    n.entry.policy = n.config.policy = policy->index;
    n.entry.created_us = n.config.created_us = n.config.modified_us = n.config.state_us = service_now_us(s);
    n.config.account = pb_data(account);
    n.config.name = pb_data(name);
    rc = config_apply(&n.config, changes, true, &arena, err);
    if (rc == 0)
        rc = create_rows(s, &n, policy, &arena, deadline, err);
    if (rc == -EEXIST) {
        /* Another request made it meanwhile: what was written here is closed for good. */
        struct config_edit seal = { .kind = EDIT_SEAL }, kill = { .kind = EDIT_KILL };
        if (config_update(s, n.id, policy, &seal, deadline, &kill.expect, NULL) == 0)
            (void)config_update(s, n.id, policy, &kill, deadline, NULL, NULL);
    }
    arena_done(&arena);
    return rc;
}

/* Somebody who was deleting an earlier container of that name may have given the bucket's name back meanwhile: it is
 * claimed again now that the container is there, which that one then notices. */
WAITS static int created_claim(struct object_service *s, struct slice account, struct slice name,
                               const struct config_changes *changes, int64_t deadline, struct error *err)
{
    bool mine = true;
    int  rc = changes && changes->domain.size
                  ? bucket_claim(s, changes->domain, name, account, deadline, &mine, err) : 0;

    if (rc != -EEXIST || mine)
        return rc == -EEXIST ? 0 : rc;
    cache_drop(s, account, name, NULL);
    (void)container_delete(s, account, name, deadline, NULL);
    return rc;
}

int container_create(struct object_service *s, struct slice account, struct slice name, const struct policy *policy,
                     const struct config_changes *changes, int64_t deadline, bool *ret_created, struct error *err)
{
    int rc = 0;

    for (int attempt = 0; attempt < CREATE_ATTEMPTS_MAX; attempt++) {
        struct container *c;

        rc = container_open(s, account, name, attempt > 0, deadline, &c, err);
        if (rc == -ENOENT) {
            rc = create_new(s, account, name, policy ? policy : object_service_policy(s, SLICE_NONE), changes, deadline,
                            err);
            if (rc == -EEXIST)
                continue;
            if (rc == 0)
                rc = created_claim(s, account, name, changes, deadline, err);
            if (rc == 0) {
                cache_drop(s, account, name, NULL);
                *ret_created = true;
            }
            return rc;
        }
        if (rc)
            return rc;
        if (policy && policy != c->policy)
            rc = error_set(err, -E_CONFLICT, "Requested policy does not match the existing container's");
        else
            rc = container_update(s, c, changes, deadline, err);
        container_unref(c);
        if (rc == -ENOENT)
            continue;   /* Deleted meanwhile. */
        if (rc == 0)
            *ret_created = false;
        return rc;
    }
    return error_set(err, -E_UNAVAILABLE, "the container is created and deleted by others at once");
}

int container_update(struct object_service *s, struct container *container, const struct config_changes *changes,
                     int64_t deadline, struct error *err)
{
    struct config_edit edit = { .kind = EDIT_CHANGE, .changes = changes };
    int                rc = config_update(s, container->shard.id, container->policy, &edit, deadline, NULL, err);

    /* Also when the outcome is unknown: the next one reads. */
    cache_drop(s, container->account, container->name, NULL);
    return rc;
}

/* --- What it holds. --- */

int container_stats(struct object_service *s, struct container *c, int64_t deadline, struct shard_stats *ret_stats,
                    struct error *err)
{
    struct held held;
    int         rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = shard_stats(s->options.rows, &held.shard, deadline, ret_stats, err);
    held_drop(&held);
    /* A proxy that died may have left the account's statistics behind. */
    if (rc == 0 && (!c->flowed || c->flowed_count != ret_stats->count || c->flowed_bytes != ret_stats->bytes))
        stats_dirty(s, c);
    return rc;
}

/* Only names that clients gave; hidden rows lie before them. False: nothing is left. */
static bool visible_range(const struct row_range *range, struct row_range *ret)
{
    struct slice *low = range->reverse ? &ret->before : &ret->after;
    struct slice  high = range->reverse ? range->after : range->before;

    *ret = *range;
    if (row_hidden(range->prefix) || row_hidden(high))
        return false;
    if (slice_compare(*low, HIDDEN_LAST) < 0)
        *low = HIDDEN_LAST;
    return true;
}

int container_list(struct object_service *s, struct container *c, const struct row_range *range, int64_t deadline,
                   struct arena *arena, struct row_page *ret_page, struct error *err)
{
    struct row_range visible;
    struct held      held;
    int              rc = container_settled(c);

    if (rc == 0 && !visible_range(range, &visible)) {
        *ret_page = (struct row_page) { .entries = NULL };
        return 0;
    }
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = row_list(s->options.rows, &held.shard, &visible, deadline, arena, ret_page, err);
    held_drop(&held);
    return rc;
}
