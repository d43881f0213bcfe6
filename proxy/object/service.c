/* proxy/object/service.c - the object service itself, its shards and small helpers. */
#include "proxy/object/service.h"

#include <stdlib.h>

#include <xxhash.h>

int object_service_new(const struct object_service_options *options, struct object_service **ret_service,
                       struct error *err)
{
    struct object_service *s;

    if (options->policy_count == 0 || options->policy_count > POLICIES_MAX)
        return error_set(err, -EINVAL, "the object service needs 1 to %d policies", POLICIES_MAX);
    s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, -ENOMEM, "out of memory");
    s->options = *options;
    md5_lanes_init(&s->md5, options->env);
    for (uint32_t i = 0; i < options->policy_count; i++)
        if (policy_row_replicas(&options->policies[i]) > s->account_replicas)
            s->account_replicas = policy_row_replicas(&options->policies[i]);
    *ret_service = s;
    return 0;
}

struct object_service *object_service_free(struct object_service *s)
{
    if (!s)
        return NULL;
    stats_clear(s);
    cache_clear(s);
    free(s);
    return NULL;
}

struct env *object_service_env(const struct object_service *s)
{
    return s->options.env;
}

const struct policy *object_service_policy(const struct object_service *s, struct slice name)
{
    for (uint32_t i = 0; i < s->options.policy_count; i++) {
        const struct policy *p = &s->options.policies[i];
        if (name.size == 0 ? p->is_default : slice_equal(name, slice_str(p->name)))
            return p;
    }
    return name.size == 0 ? &s->options.policies[0] : NULL;
}

const struct policy *object_service_policy_at(const struct object_service *s, uint32_t i)
{
    return i < s->options.policy_count ? &s->options.policies[i] : NULL;
}

const struct policy *service_policy_index(const struct object_service *s, uint32_t index)
{
    for (uint32_t i = 0; i < s->options.policy_count; i++)
        if (s->options.policies[i].index == index)
            return &s->options.policies[i];
    return NULL;
}

uint64_t service_now_us(struct object_service *s)
{
    uint64_t now = (uint64_t)(env_wall(s->options.env) / NS_PER_US);

    /* Dialects show 10 us: two changes in one moment still get different times. */
    if (now < s->last_us + 10)
        now = s->last_us + 10;
    s->last_us = now;
    return now;
}

/* --- Shards. --- */

static int held_ring(struct object_service *s, uint8_t replicas, struct held *ret, struct error *err)
{
    const struct ring *ring = s->options.index_ring(s->options.index_ring_ctx, replicas);

    if (!ring)
        return error_set(err, -E_UNAVAILABLE, "there is no index ring of %u replicas", (unsigned)replicas);
    ret->shard.ring = ring_ref((struct ring *)(uintptr_t)ring);
    return 0;
}

int held_container(struct object_service *s, const uint8_t id[SHARD_ID_BYTES], const struct policy *policy,
                   struct ballot config, struct held *ret, struct error *err)
{
    memset(ret, 0, sizeof *ret);
    memcpy(ret->shard.id, id, SHARD_ID_BYTES);
    ret->shard.config = config;
    return held_ring(s, policy_row_replicas(policy), ret, err);
}

int held_account(struct object_service *s, struct slice account, enum account_shard which, struct held *ret,
                 struct error *err)
{
    memset(ret, 0, sizeof *ret);
    /* The seed keeps the three shards of an account apart, and apart from random ids. */
    XXH128_hash_t hash = XXH3_128bits_withSeed(account.data, account.size, 0xacc0047000u + (unsigned)which);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(ret->shard.id, canonical.digest, SHARD_ID_BYTES);
    return held_ring(s, s->account_replicas, ret, err);
}

void held_drop(struct held *held)
{
    ring_unref((struct ring *)(uintptr_t)held->shard.ring);
    held->shard.ring = NULL;
}

/* --- protobuf-c in arenas. --- */

static void *arena_pb_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void arena_pb_free(void *arena, void *data)
{
    (void)arena;
    (void)data;
}

ProtobufCAllocator arena_allocator(struct arena *arena)
{
    return (ProtobufCAllocator) { .alloc = arena_pb_alloc, .free = arena_pb_free, .allocator_data = arena };
}

struct slice pack_in(struct arena *arena, const ProtobufCMessage *message)
{
    size_t   size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(arena, size ? size : 1);

    if (!data)
        return SLICE_NONE;
    protobuf_c_message_pack(message, data);
    return slice_of(data, size);
}

/* --- Metadata. --- */

static size_t meta_find(Rs__MetaItem **items, size_t count, struct slice name)
{
    size_t i = 0;
    while (i < count && !slice_equal(pb_slice(items[i]->name), name))
        i++;
    return i;
}

int items_merge(Rs__MetaItem **items, size_t count, const struct meta_change *changes, uint32_t change_count,
                struct arena *arena, Rs__MetaItem ***ret_items, size_t *ret_count, struct error *err)
{
    Rs__MetaItem **out;
    size_t         n = count;

    out = arena_array(arena, Rs__MetaItem *, count + change_count + 1);
    if (!out)
        return error_set(err, -ENOMEM, "too much metadata");
    if (count)
        memcpy(out, items, count * sizeof *out);
    for (uint32_t i = 0; i < change_count; i++) {
        size_t at = meta_find(out, n, changes[i].name);
        if (changes[i].value.size == 0) {
            if (at < n)
                out[at] = out[--n];
            continue;
        }
        Rs__MetaItem *item = arena_new(arena, Rs__MetaItem);
        if (!item)
            return error_set(err, -ENOMEM, "too much metadata");
        rs__meta_item__init(item);
        item->name = pb_data(changes[i].name);
        item->value = pb_data(changes[i].value);
        out[at] = item;
        if (at == n)
            n++;
    }
    *ret_items = out;
    *ret_count = n;
    return 0;
}

int meta_merge(Rs__MetaItem **items, size_t count, const struct meta_change *changes, uint32_t change_count,
               struct arena *arena, Rs__MetaItem ***ret_items, size_t *ret_count, struct error *err)
{
    Rs__MetaItem **out;
    size_t         n, total = 0;
    int            rc = items_merge(items, count, changes, change_count, arena, &out, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        total += out[i]->name.len + out[i]->value.len;
    if (n > META_COUNT_MAX)
        return error_set(err, -E_LIMIT, "Too many metadata items; max %d", META_COUNT_MAX);
    if (total > META_TOTAL_MAX)
        return error_set(err, -E_LIMIT, "Total metadata too large; max %d", META_TOTAL_MAX);
    *ret_items = out;
    *ret_count = n;
    return 0;
}
