/* proxy/object/object.h - the object service: accounts, containers and objects,
 * beneath the Swift and S3 dialects. Knows nothing of HTTP, so that the
 * simulator calls it directly.
 *
 * Rows (storage/row.h). The account's shard id is a hash of its name; its rows,
 * on the widest index ring of the policies, are the containers: name ->
 * ContainerEntry {container id, policy}. A container's shard id is its id; the
 * row "" of that shard is its configuration (metadata, ACLs, quotas, state), the
 * others are objects, on the index ring of its policy. Counts and bytes of
 * containers flow to "stats" rows of the account asynchronously.
 *
 * Every object call names the configuration's ballot (struct shard.config), so
 * a changed ACL or a deleted container binds at once, though proxies cache
 * configurations. */
#ifndef PROXY_OBJECT_OBJECT_H
#define PROXY_OBJECT_OBJECT_H

#include "control/store.h"
#include "proto/object.pb-c.h"
#include "storage/blob.h"

enum {
    ACCOUNT_NAME_MAX = 256, CONTAINER_NAME_MAX = 256, OBJECT_NAME_MAX = 1024,   /* Bytes, as Swift's. */
    OBJECT_SIZE_MAX_GIB = 5,
    META_NAME_MAX = 128, META_VALUE_MAX = 256, META_COUNT_MAX = 90, META_TOTAL_MAX = 4096,   /* As Swift's. */
    OBJECT_BODY_UNIT = REPLICA_CHUNK_BYTES
};

struct object_service;

struct object_service_options {
    struct env         *env;
    struct row_client  *rows;
    struct blob_client *blobs;
    struct blob_directory directory;
    const struct policy *policies;  uint32_t policy_count;
    /* The index ring for 2m + 1 replicas; NULL when there is none. */
    const struct ring *(*index_ring)(void *ctx, uint8_t replicas);
    void              *index_ring_ctx;
};
int  object_service_new(const struct object_service_options *options, struct object_service **ret_service, struct error *err);
struct object_service *object_service_free(struct object_service *service);

/* A container as cached; copied into the caller's arena. */
struct container {
    struct slice     account, name;
    uint8_t          id[SHARD_ID_BYTES];
    const struct policy *policy;
    struct shard     shard;              /* With config set: pass it on as it is. */
    Rs__ContainerConfig *config;         /* Metadata, ACLs. */
    struct ballot    ballot;
};
#endif
