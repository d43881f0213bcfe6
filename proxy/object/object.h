/* proxy/object/object.h - the object service: accounts, containers and objects,
 * beneath the Swift and S3 dialects. Knows nothing of HTTP, so that the
 * simulator calls it directly.
 *
 * Rows (storage/row.h). The account's shard id is a hash of its name; its rows,
 * on the widest index ring of the policies, are the containers: name ->
 * ContainerEntry {container id, policy}; row "" has the account's metadata. A
 * container's shard id is its id; the row "" of that shard is its configuration
 * (metadata, ACLs, state), the others are objects, on the index ring of its
 * policy. Counts and bytes of containers flow asynchronously to rows of two
 * statistics shards of the account (one sums bytes, one sums objects).
 *
 * Every object call names the configuration's ballot (struct shard.config), so
 * a changed ACL or a deleted container binds at once, though proxies cache
 * configurations. A call that meets a newer one fails with -E_STALE: the caller
 * drops its container (container_forget()), opens it again, authorises again and
 * repeats. A PUT repeats only its commit.
 *
 * A container's life (the configuration's state, each step a conditional write):
 *
 *   LIVE <--- not empty, or its deleter died --- SEALED --- listed empty ---> DEAD
 *      '------------- DELETE ----------------------^
 *
 * SEALED and DEAD refuse object writes at every replica. The move to DEAD is the
 * moment of deletion; removing the account's entry afterwards is clean-up that
 * whoever meets a dead container finishes.
 *
 * All calls run as tasks, on the scheduler's thread, with absolute deadlines.
 * Errors: -ENOENT, -E_CONFLICT, -E_CONDITION, -EDQUOT (quota), -ENOSPC (disks),
 * -E_UNSURE, -E_UNAVAILABLE, -ETIMEDOUT, and those of the rows and blobs. */
#ifndef PROXY_OBJECT_OBJECT_H
#define PROXY_OBJECT_OBJECT_H

#include "proto/object.pb-c.h"
#include "storage/blob.h"

enum {
    ACCOUNT_NAME_MAX = 256, CONTAINER_NAME_MAX = 256, OBJECT_NAME_MAX = 1024,   /* Bytes, as Swift's. */
    META_NAME_MAX = 128, META_VALUE_MAX = 256, META_COUNT_MAX = 90, META_TOTAL_MAX = 4096,   /* As Swift's. */
    ACL_BYTES_MAX = 8192,
    CONTAINER_CACHE_MAX = 16384,         /* Configurations kept. */
    CONTAINER_SEAL_TIMEOUT_MS = 15000,   /* After that a sealed container's deleter counts as dead. */
    STATS_DELAY_MS = 1000,               /* Changes of a container are gathered before they flow to its account. */
    STATS_DIRTY_MAX = 65536,
    LIST_LIMIT_MAX = ROW_PAGE_MAX
};
/* As Swift's default: 5 GiB and 2 bytes. */
#define OBJECT_SIZE_MAX UINT64_C(5368709122)

struct object_service;

struct object_service_options {
    struct env         *env;
    struct row_client  *rows;
    struct blob_client *blobs;
    struct blob_directory directory;
    const struct policy *policies;       /* Borrowed for the service's life. */
    uint32_t             policy_count;
    /* The index ring of so many replicas (policy_row_replicas()); NULL when there is none. */
    const struct ring *(*index_ring)(void *ctx, uint8_t replicas);
    void              *index_ring_ctx;
};
/* -EINVAL: no policies. -ENOMEM. */
int object_service_new(const struct object_service_options *options, struct object_service **ret_service,
                       struct error *err);
/* Accepts NULL. The tasks of env->group must have ended. */
struct object_service *object_service_free(struct object_service *service);
struct env *object_service_env(const struct object_service *service);
const struct policy *object_service_policy(const struct object_service *service, struct slice name);  /* Empty: the default. */
const struct policy *object_service_policy_at(const struct object_service *service, uint32_t i);      /* NULL past the end. */

/* --- Changes of metadata: set, or remove when the value is empty. --- */
struct meta_change {
    struct slice name, value;   /* Name in lower case. */
};
struct config_changes {
    const struct meta_change *meta;
    uint32_t                  meta_count;
    const struct slice       *read_acl, *write_acl;   /* NULL: unchanged; empty: none. */
    const uint64_t           *quota_bytes;            /* Accounts only; NULL: unchanged; UINT64_MAX: none. */
};

/* --- Accounts. They exist as soon as somebody uses them. --- */
struct account {
    Rs__AccountConfig *config;   /* In the arena; never NULL. */
    uint64_t containers, objects, bytes;
};
WAITS int account_get(struct object_service *service, struct slice account, int64_t deadline, struct arena *arena,
                      struct account *ret_account, struct error *err);
/* -E_LIMIT when the result would pass META_COUNT_MAX or META_TOTAL_MAX. */
WAITS int account_update(struct object_service *service, struct slice account, const struct config_changes *changes,
                         int64_t deadline, struct arena *arena, struct error *err);

/* One page in byte order; the bounds are as struct row_range says. Reads at most range->limit; an arena that is
 * too small gives -ENOMEM (ask for less). */
struct container_item {
    struct slice name;
    bool         folded;
    uint64_t     count, bytes, modified_us;
    uint32_t     policy;
};
WAITS int account_list(struct object_service *service, struct slice account, const struct row_range *range,
                       int64_t deadline, struct arena *arena, struct container_item **ret_items, uint32_t *ret_count,
                       bool *ret_more, struct error *err);

/* --- Containers: shared, immutable, referenced. --- */
struct container {
    uint32_t             refs;
    struct slice         account, name;   /* Inside 'config'. */
    const struct policy *policy;
    struct shard         shard;           /* 'ring' is filled in by the service for each call. */
    Rs__ContainerConfig *config;
    uint64_t             quota_bytes, quota_count;   /* UINT64_MAX: none. From meta quota-bytes, quota-count. */
    bool                 dirty;               /* Its statistics are to flow to the account. */
    bool                 flowed;              /* They did, as the next two say. */
    uint64_t             flowed_count, flowed_bytes;
};
struct container *container_ref(struct container *container);
struct container *container_unref(struct container *container);   /* Accepts NULL; returns NULL. */

/* From the cache, or read when it is not there or 'fresh'. -ENOENT. '*ret_container' becomes the caller's. */
WAITS int container_open(struct object_service *service, struct slice account, struct slice name, bool fresh,
                         int64_t deadline, struct container **ret_container, struct error *err);
/* Drops this version from the cache. */
void container_forget(struct object_service *service, struct container *container);
/* Creates, or changes the metadata of the one that exists (*ret_created false; -E_CONFLICT when 'policy' is
 * given and another one was chosen before). 'policy' NULL: the default. */
WAITS int container_create(struct object_service *service, struct slice account, struct slice name,
                           const struct policy *policy, const struct config_changes *changes, int64_t deadline,
                           bool *ret_created, struct error *err);
WAITS int container_update(struct object_service *service, struct container *container,
                           const struct config_changes *changes, int64_t deadline, struct error *err);
/* -ENOENT; -E_CONFLICT: not empty, or somebody else is deleting it. */
WAITS int container_delete(struct object_service *service, struct slice account, struct slice name, int64_t deadline,
                           struct error *err);
WAITS int container_stats(struct object_service *service, struct container *container, int64_t deadline,
                          struct shard_stats *ret_stats, struct error *err);
/* Entries of live objects; entry->value->meta is a packed ObjectMeta. -E_STALE. */
WAITS int container_list(struct object_service *service, struct container *container,
                         const struct row_range *range, int64_t deadline, struct arena *arena,
                         struct row_page *ret_page, struct error *err);

/* --- Objects: reading. --- */
struct object {
    Rs__RowValue   *value;      /* In the arena. */
    Rs__ObjectMeta *meta;       /* In the arena. */
    uint64_t        size;       /* Of the stored bytes. */
    struct ballot   ballot;
};
/* -ENOENT (also when expired); -E_STALE. */
WAITS int object_read(struct object_service *service, struct container *container, struct slice name,
                      enum row_want want, int64_t deadline, struct arena *arena, struct object *ret_object,
                      struct error *err);

/* For protobuf-c messages in arenas. */
ProtobufCAllocator arena_allocator_of(struct arena *arena);
/* The ETag as clients see it: hex of the MD5 (into 'hex'), or the manifest's. */
void object_etag(const Rs__ObjectMeta *meta, char hex[33], struct slice *ret_tag);

/* Bytes [offset, offset + size) of an object read with ROW_FULL. Zero-initialise; close always. */
struct object_body {
    struct object_service *service;
    const struct object   *object;     /* Borrowed until the close. */
    struct blob_reader    *reader;
    uint64_t               at, end;
    int64_t                deadline, renew;
    struct slice           inline_rest;
    struct buf_part        part;
};
WAITS int  object_body_open(struct object_service *service, const struct object *object, uint64_t offset,
                            uint64_t size, int64_t deadline, struct object_body *ret_body, struct error *err);
/* The next bytes, borrowed until the next call; empty: the end. */
WAITS int  object_body_next(struct object_body *body, struct slice *ret_bytes, struct error *err);
WAITS void object_body_close(struct object_body *body);

/* --- Objects: writing. --- */
enum { CONDITION_TAGS_MAX = 32 };
/* Judged on the current row, atomically with the write. ETags are 32 hex digits, or as a manifest has it. */
struct object_condition {
    bool         must_be_missing;        /* If-None-Match: * */
    bool         must_exist;             /* If-Match: * */
    uint32_t     match_count, none_match_count;
    struct slice match[CONDITION_TAGS_MAX], none_match[CONDITION_TAGS_MAX];
};
static inline bool object_condition_empty(const struct object_condition *c)
{
    return !c || (!c->must_be_missing && !c->must_exist && c->match_count == 0 && c->none_match_count == 0);
}

struct object_put;
/* 'size': bytes to come, UINT64_MAX when unknown. Name and container are borrowed until the put is freed.
 * -EDQUOT: the announced size passes a quota. -E_LIMIT: larger than OBJECT_SIZE_MAX. */
WAITS int object_put_new(struct object_service *service, struct container *container, struct slice name,
                         uint64_t size, int64_t deadline, struct arena *arena, struct object_put **ret_put,
                         struct error *err);
/* Where the next bytes of the body go (no room: all announced ones are there). Then 'n' of them were filled. */
int object_put_room(struct object_put *put, uint8_t **ret_data, size_t *ret_capacity, struct error *err);
WAITS int object_put_filled(struct object_put *put, size_t n, struct error *err);
WAITS int object_put_bytes(struct object_put *put, struct slice bytes, struct error *err);   /* Room, copy, filled. */
/* Waits until the bytes are durable (unless they go inline) and hashed. */
WAITS int object_put_end(struct object_put *put, struct error *err);
uint64_t object_put_size(const struct object_put *put);
const uint8_t *object_put_md5(const struct object_put *put);   /* 16 bytes, after the end. */
/* Makes the object visible. Fills meta->etag and, when 0, meta->modified_us. May be repeated with a fresh container after -E_STALE.
 * -E_CONDITION. After -E_UNSURE the object may be there. */
WAITS int object_put_commit(struct object_put *put, struct container *container, Rs__ObjectMeta *meta,
                            uint64_t expires_s, const struct object_condition *condition, int64_t deadline,
                            struct error *err);
WAITS struct object_put *object_put_free(struct object_put *put);   /* Accepts NULL. Without a commit, forgets the bytes. */

/* Changes an object's row without its bytes. 'edit' may be called several times; it alters *meta (its arrays are to
 * be replaced, not written into) and *expires_s. -ENOENT. */
typedef int (*object_edit)(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s);
WAITS int object_update(struct object_service *service, struct container *container, struct slice name,
                        object_edit edit, void *ctx, int64_t deadline, struct arena *arena, struct error *err);
/* -ENOENT: it was not there. */
WAITS int object_delete(struct object_service *service, struct container *container, struct slice name,
                        int64_t deadline, struct error *err);

#endif
