/* proxy/object/service.h - inside of the object service; only for proxy/object. */
#ifndef PROXY_OBJECT_SERVICE_H
#define PROXY_OBJECT_SERVICE_H

#include "proxy/object/md5_lanes.h"
#include "proxy/object/object.h"

enum {
    CACHE_BUCKETS = 8192,
    QUOTA_CACHE_SLOTS = 256,
    QUOTA_CACHE_MS = 2000,               /* A changed account quota binds after that. */
    CONTAINER_ARENA_MAX = 512 * 1024     /* For one configuration and what is read around it. */
};

struct cached {
    struct cached    *hash_next, *newer, *older;
    uint64_t          hash;
    struct container *container;
};

struct quota_slot {
    char     name[ACCOUNT_NAME_MAX + 1];
    int64_t  until;                      /* env_now() */
    bool     limited;
    uint64_t bytes;
};

struct dirty {
    struct dirty     *next;
    struct container *container;
};

struct object_service {
    struct object_service_options options;
    uint8_t        account_replicas;     /* Of the widest index ring. */
    uint64_t       last_us;              /* Times given out do not repeat. */
    struct cached *buckets[CACHE_BUCKETS];
    struct cached *newest, *oldest;
    uint32_t       cached_count;
    struct quota_slot quota[QUOTA_CACHE_SLOTS];
    struct dirty  *dirty_first, *dirty_last;
    uint32_t       dirty_count;
    struct md5_lanes md5;
    bool           flushing;             /* A task carries statistics upwards. */
};

/* A shard with a ring that is held over waits. */
struct held {
    struct shard shard;
};
int  held_container(struct object_service *s, const uint8_t id[SHARD_ID_BYTES], const struct policy *policy,
                    struct ballot config, struct held *ret, struct error *err);
enum account_shard { ACCOUNT_CONTAINERS, ACCOUNT_BYTES, ACCOUNT_OBJECTS };
int  held_account(struct object_service *s, struct slice account, enum account_shard which, struct held *ret,
                  struct error *err);
void held_drop(struct held *held);

/* 0, or (a moment later) -E_STALE while somebody decides whether the container is deleted. Nothing in it is shown
 * meanwhile: a read could settle a write that only a minority has, and show it, after the deleter has looked and
 * found the container empty. */
WAITS int container_settled(const struct container *c);

uint64_t service_now_us(struct object_service *s);   /* Wall clock; strictly growing. */
const struct policy *service_policy_index(const struct object_service *s, uint32_t index);

/* protobuf-c messages in arenas. */
#define arena_allocator arena_allocator_of
static inline struct slice pb_slice(ProtobufCBinaryData d) { return slice_of(d.data, d.len); }
static inline ProtobufCBinaryData pb_data(struct slice s)
{
    return (ProtobufCBinaryData) { .len = s.size, .data = (uint8_t *)(uintptr_t)s.data };
}
/* Packs into the arena; data NULL when it is full. */
struct slice pack_in(struct arena *arena, const ProtobufCMessage *message);

/* Applies changes to an array of items; -E_LIMIT, -ENOMEM. The result is in the arena. */
int meta_merge(Rs__MetaItem **items, size_t count, const struct meta_change *changes, uint32_t change_count,
               struct arena *arena, Rs__MetaItem ***ret_items, size_t *ret_count, struct error *err);

/* Cache (cache.c). */
void cache_put(struct object_service *s, struct container *container);
struct container *cache_get(struct object_service *s, struct slice account, struct slice name);   /* A reference. */
void cache_drop(struct object_service *s, struct slice account, struct slice name, const struct container *only);
void cache_clear(struct object_service *s);

/* Statistics (stats.c). */
void stats_dirty(struct object_service *s, struct container *container);
void stats_clear(struct object_service *s);
/* Bytes that the account may still store; UINT64_MAX: no quota. */
WAITS int account_room(struct object_service *s, struct slice account, int64_t deadline, uint64_t *ret_room,
                       struct error *err);
void quota_forget(struct object_service *s, struct slice account);

#endif
