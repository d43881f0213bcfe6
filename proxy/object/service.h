/* proxy/object/service.h - inside of the object service; only for proxy/object. */
#ifndef PROXY_OBJECT_SERVICE_H
#define PROXY_OBJECT_SERVICE_H

#include "proxy/object/md5_lanes.h"
#include "proxy/object/object.h"

enum {
    CACHE_BUCKETS = 8192,
    QUOTA_CACHE_SLOTS = 256,
    QUOTA_CACHE_MS = 2000,               /* A changed account quota binds after that. */
    BUCKET_CACHE_SLOTS = 512,
    BUCKET_CACHE_MS = 5000,              /* Who has a bucket's name. What is done there is checked by the container. */
    CONTAINER_ARENA_MAX = 2 * 1024 * 1024   /* For one configuration (of ROW_META_MAX) and what is read around it. */
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

struct bucket_slot {
    uint64_t hash;                       /* Of domain and name. */
    int64_t  until;                      /* env_now() */
    char     account[ACCOUNT_NAME_MAX];
    uint16_t size;
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
    struct bucket_slot bucket[BUCKET_CACHE_SLOTS];
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
enum account_shard { ACCOUNT_CONTAINERS, ACCOUNT_BYTES, ACCOUNT_OBJECTS, DOMAIN_BUCKETS /* 'account' is a domain. */ };
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

/* The same without limits. */
int items_merge(Rs__MetaItem **items, size_t count, const struct meta_change *changes, uint32_t change_count,
                struct arena *arena, Rs__MetaItem ***ret_items, size_t *ret_count, struct error *err);

/* The configuration row (config.c). */
enum edit_kind { EDIT_CHANGE, EDIT_SEAL, EDIT_UNSEAL, EDIT_KILL };
struct config_edit {
    enum edit_kind               kind;
    const struct config_changes *changes;
    struct ballot                expect;   /* UNSEAL and KILL apply to this version only. */
    uint64_t                     now_us;
};
/* 'creating': to a fresh one. The changes' bytes are borrowed. */
int config_apply(Rs__ContainerConfig *config, const struct config_changes *changes, bool creating,
                 struct arena *arena, struct error *err);
int config_value(const Rs__ContainerConfig *config, struct arena *arena, Rs__RowValue **ret_value,
                 struct error *err);
WAITS int config_update(struct object_service *s, const uint8_t *id, const struct policy *policy,
                        struct config_edit *edit, int64_t deadline, struct ballot *ret_ballot, struct error *err);

/* Who has a bucket's name, and the time of that claim; releases just that one (bucket_name.c). */
WAITS int bucket_claim_read(struct object_service *s, struct slice domain, struct slice name, int64_t deadline,
                            struct arena *arena, struct slice *ret_account, uint64_t *ret_claimed_us,
                            struct error *err);
WAITS int bucket_release_claim(struct object_service *s, struct slice domain, struct slice name, struct slice account,
                               uint64_t claimed_us, int64_t deadline, struct error *err);

/* Removes what points at a dead container (container.c). */
WAITS int dead_finish(struct object_service *s, struct slice account, struct slice name, const uint8_t *id,
                      int64_t deadline, struct error *err);

/* --- Hidden rows of a container's shard (names.c); docs/formats/rows.md. All names that clients give lie behind
 * HIDDEN_LAST. --- */
#define HIDDEN_LAST SLICE("\0\xff")
enum row_kind {
    ROW_OBJECT,      /* name */
    ROW_VERSION,     /* "\0v" name "\0" complement of the version (16 bytes) */
    ROW_UPLOAD,      /* "\0u" name "\0" upload id (16 bytes) */
    ROW_PART,        /* "\0p" upload id, part number (big-endian, 4 bytes), suffix (12 bytes) */
    ROW_UNKNOWN
};
struct row_name {
    uint8_t bytes[ROW_NAME_MAX];
    size_t  size;
};
static inline struct slice name_slice(const struct row_name *name) { return slice_of(name->bytes, name->size); }
/* 'object' may be any slice of at most OBJECT_NAME_MAX bytes: a shorter one makes a prefix. */
struct slice name_version(struct row_name *ret, struct slice object, const uint8_t version[VERSION_BYTES]);
struct slice name_upload(struct row_name *ret, struct slice object, const uint8_t id[UPLOAD_ID_BYTES]);
struct slice name_part(struct row_name *ret, const uint8_t id[UPLOAD_ID_BYTES], uint32_t number,
                       const uint8_t suffix[PART_SUFFIX_BYTES]);
/* Prefixes: all versions or uploads of the object, parts of an upload, rows of a part number (any >= 0). */
struct slice name_versions(struct row_name *ret, struct slice object);
struct slice name_uploads(struct row_name *ret, struct slice object);
struct slice name_parts(struct row_name *ret, const uint8_t id[UPLOAD_ID_BYTES], int64_t number);
/* Takes a row's name apart; the object's name and the id point into it. For ROW_VERSION 'id' is the version. */
enum row_kind name_parse(struct slice row, struct slice *ret_object, uint8_t ret_id[16], uint32_t *ret_number,
                         struct slice *ret_suffix);
/* May clients give it to an object? */
static inline bool name_valid(struct slice name)
{
    return name.size > 0 && name.size <= OBJECT_NAME_MAX && !memchr(name.data, 0, name.size);
}

/* Is the upload of that row open? One whose completion was decided is not, for UPLOAD_INTENT_MS: later nobody
 * finishes it any more. */
enum { UPLOAD_INTENT_MS = 30 * 60 * 1000 };
bool upload_open(const Rs__RowValue *value, uint64_t now_us);

/* A tombstone, whatever is there. */
WAITS int row_erase(struct object_service *s, const struct shard *shard, struct slice name, int64_t deadline,
                    struct error *err);
/* A tombstone if the row is still the one with that ballot; -E_CONDITION. */
WAITS int row_erase_if(struct row_client *rows, const struct shard *shard, struct slice name, struct ballot ballot,
                       int64_t deadline, struct error *err);

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
