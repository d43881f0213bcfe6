/* proxy/object/container.c - containers: open, create, change, delete. See object.h for the states. */
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

/* --- The configuration row. --- */

enum edit_kind { EDIT_CHANGE, EDIT_SEAL, EDIT_UNSEAL, EDIT_KILL };
struct config_edit {
    enum edit_kind               kind;
    const struct config_changes *changes;
    struct ballot                expect;   /* UNSEAL and KILL apply to this version only. */
    uint64_t                     now_us;
};

static int config_change(Rs__ContainerConfig *config, const struct config_edit *edit, struct arena *arena,
                         struct error *err)
{
    const struct config_changes *changes = edit->changes;

    if (config->state != RS__CONTAINER_CONFIG__STATE__LIVE)
        return error_set(err, -E_CONFLICT, "the container is being deleted");
    if (changes && changes->read_acl)
        config->read_acl = pb_data(*changes->read_acl);
    if (changes && changes->write_acl)
        config->write_acl = pb_data(*changes->write_acl);
    config->modified_us = edit->now_us;
    return meta_merge(config->meta, config->n_meta, changes ? changes->meta : NULL, changes ? changes->meta_count : 0,
                      arena, &config->meta, &config->n_meta, err);
}

static int config_move(Rs__ContainerConfig *config, const struct config_edit *edit, bool expected, struct error *err)
{
    bool sealed = config->state == RS__CONTAINER_CONFIG__STATE__SEALED;

    if (edit->kind == EDIT_SEAL) {
        /* A younger seal has a deleter at work; an older one's is taken over. */
        if (sealed && edit->now_us < config->state_us + CONTAINER_SEAL_TIMEOUT_MS * UINT64_C(1000))
            return error_set(err, -E_CONFLICT, "the container is being deleted");
        config->state = RS__CONTAINER_CONFIG__STATE__SEALED;
    } else if (!sealed || !expected) {
        return error_set(err, -E_CONFLICT, "the container's state changed");
    } else if (edit->kind == EDIT_UNSEAL) {
        config->state = RS__CONTAINER_CONFIG__STATE__LIVE;
    } else {
        /* What stays of a deleted container: its names are needed to finish the deletion. */
        config->state = RS__CONTAINER_CONFIG__STATE__DEAD;
        config->n_meta = 0;
        config->read_acl = config->write_acl = pb_data(SLICE_NONE);
    }
    config->state_us = edit->now_us;
    return 0;
}

static int config_value(const Rs__ContainerConfig *config, struct arena *arena, Rs__RowValue **ret_value,
                        struct error *err)
{
    struct slice  meta = pack_in(arena, &config->base);
    Rs__RowValue *value = arena_new(arena, Rs__RowValue);

    if (!meta.data || !value)
        return error_set(err, -ENOMEM, "the container's configuration is too large");
    rs__row_value__init(value);
    value->meta = pb_data(meta);
    value->size = config->state != RS__CONTAINER_CONFIG__STATE__LIVE;   /* Replicas refuse object writes. */
    *ret_value = value;
    return 0;
}

static int config_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                         struct error *err)
{
    const struct config_edit *edit = ctx;
    ProtobufCAllocator        allocator = arena_allocator(arena);
    Rs__ContainerConfig      *config;
    int                       rc;

    if (!now->exists)
        return error_set(err, -ENOENT, "there is no such container");
    config = rs__container_config__unpack(&allocator, now->value->meta.len, now->value->meta.data);
    if (!config)
        return error_set(err, -E_CORRUPT, "the container's configuration can't be read");
    if (config->state == RS__CONTAINER_CONFIG__STATE__DEAD)
        return error_set(err, -ENOENT, "there is no such container");
    if (edit->kind == EDIT_CHANGE)
        rc = config_change(config, edit, arena, err);
    else
        rc = config_move(config, edit, ballot_compare(now->ballot, edit->expect) == 0, err);
    return rc ? rc : config_value(config, arena, ret_value, err);
}

WAITS static int config_update(struct object_service *s, const uint8_t *id, const struct policy *policy,
                               struct config_edit *edit, int64_t deadline, struct ballot *ret_ballot,
                               struct error *err)
{
    struct arena  arena;
    struct held   held;
    struct ballot ballot;
    int           rc = held_container(s, id, policy, (struct ballot) { 0, 0 }, &held, err);

    if (rc)
        return rc;
    arena_init(&arena, CONTAINER_ARENA_MAX);
    edit->now_us = service_now_us(s);
    rc = row_update(s->options.rows, &held.shard, SLICE_NONE, config_decide, edit, deadline, &arena, NULL, &ballot, err);
    held_drop(&held);
    arena_done(&arena);
    if (rc == 0 && ret_ballot)
        *ret_ballot = ballot;
    return rc;
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

/* Removes what points at a dead container. */
WAITS static int dead_finish(struct object_service *s, struct slice account, struct slice name, const uint8_t *id,
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
    if (changes && changes->read_acl)
        n.config.read_acl = pb_data(*changes->read_acl);
    if (changes && changes->write_acl)
        n.config.write_acl = pb_data(*changes->write_acl);
    rc = meta_merge(NULL, 0, changes ? changes->meta : NULL, changes ? changes->meta_count : 0, &arena,
                    &n.config.meta, &n.config.n_meta, err);
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

/* --- Delete. --- */

/* 0: it is empty under this seal. */
WAITS static int check_empty(struct object_service *s, struct container *c, struct ballot seal, int64_t deadline,
                             struct error *err)
{
    struct row_range range = { .limit = 1 };
    struct row_page  page;
    struct arena     arena;
    struct held      held;
    int              rc = held_container(s, c->shard.id, c->policy, seal, &held, err);

    if (rc)
        return rc;
    arena_init(&arena, CONTAINER_ARENA_MAX);
    rc = row_list(s->options.rows, &held.shard, &range, deadline, &arena, &page, err);
    if (rc == 0 && page.count > 0)
        rc = error_set(err, -E_CONFLICT, "the container is not empty");
    held_drop(&held);
    arena_done(&arena);
    return rc;
}

WAITS static int delete_open(struct object_service *s, struct container *c, int64_t deadline, struct error *err)
{
    struct config_edit seal = { .kind = EDIT_SEAL }, next = { .kind = EDIT_KILL };
    int                rc;

    /* Cheap refusal before anybody is disturbed. */
    rc = check_empty(s, c, c->shard.config, deadline, err);
    if (rc)
        return rc;
    rc = config_update(s, c->shard.id, c->policy, &seal, deadline, &next.expect, err);
    if (rc)
        return rc;
    rc = check_empty(s, c, next.expect, deadline, err);
    if (rc) {
        next.kind = EDIT_UNSEAL;
        (void)config_update(s, c->shard.id, c->policy, &next, deadline, NULL, NULL);
        return rc;
    }
    rc = config_update(s, c->shard.id, c->policy, &next, deadline, NULL, err);
    if (rc)
        return rc;
    rc = dead_finish(s, c->account, c->name, c->shard.id, deadline, err);
    if (rc == 0)
        stats_dirty(s, c);   /* The flow finds it dead and removes its statistics. */
    return rc;
}

int container_delete(struct object_service *s, struct slice account, struct slice name, int64_t deadline,
                     struct error *err)
{
    struct container *c;
    int               rc = 0;

    for (int attempt = 0; attempt < 3; attempt++) {
        rc = container_open(s, account, name, true, deadline, &c, err);
        if (rc)
            return rc;
        rc = delete_open(s, c, deadline, err);
        cache_drop(s, account, name, NULL);
        container_unref(c);
        if (rc != -E_STALE)
            break;
    }
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

int container_list(struct object_service *s, struct container *c, const struct row_range *range, int64_t deadline,
                   struct arena *arena, struct row_page *ret_page, struct error *err)
{
    struct held held;
    int         rc = container_settled(c);

    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = row_list(s->options.rows, &held.shard, range, deadline, arena, ret_page, err);
    held_drop(&held);
    return rc;
}
