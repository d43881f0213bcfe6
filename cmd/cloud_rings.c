/* cmd/cloud_rings.c - the cloud's rings, kept in the control store.
 *
 * Index rings hold rows: one for each number of replicas that a policy asks
 * for. Each policy has an object ring. All are built from the same devices with
 * fixed seeds, and only once: what is stored is what counts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cmd/cloud_private.h"
#include "ring/builder.h"

enum { RING_LOAD_TRIES_MS = 500, RING_NAME_BYTES = 96 };

static int add_devices(const struct cloud_plan *plan, struct builder *builder, struct error *err)
{
    for (uint32_t i = 0; i < plan->device_count; i++) {
        const struct cloud_device *d = &plan->devices[i];
        char                       name[16];
        snprintf(name, sizeof name, "%u", d->id);
        struct ring_device device = {
            .id = d->id, .port = 0, .region = d->region, .zone = d->zone, .node = d->node,
            .weight = d->weight, .host = d->host, .name = name,
        };
        int rc = builder_add(builder, &device, NULL, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int make_ring(const struct cloud_plan *plan, unsigned replicas, uint64_t seed, uint8_t **ret_data,
                     size_t *ret_size, struct error *err)
{
    struct builder_options   options = { .part_power = CLOUD_PART_POWER, .replicas = replicas, .hash_seed = seed };
    struct builder_rebalance how = { .seed = seed, .ignore_min_part_hours = true };
    struct builder          *builder = NULL;
    struct ring             *ring = NULL;

    int rc = builder_new(&options, &builder, err);
    if (rc == 0)
        rc = add_devices(plan, builder, err);
    if (rc == 0)
        rc = builder_rebalance(builder, &how, NULL, err);
    if (rc == 0)
        rc = ring_make(builder, 1, NULL, &ring, err);
    if (rc == 0)
        rc = ring_encode(ring, ret_data, ret_size, err);
    ring_unref(ring);
    builder_free(builder);
    return rc;
}

/* Loads "ring/<name>"; makes it first on the control node. Elsewhere waits until it is there. */
WAITS static int load_ring(struct cloud *cloud, const char *name, unsigned replicas, uint64_t seed,
                           struct ring **ret_ring, struct error *err)
{
    char                 key_text[RING_NAME_BYTES];
    struct control_entry entry;
    struct arena         arena;
    int                  rc;

    snprintf(key_text, sizeof key_text, "ring/%s", name);
    struct slice key = slice_str(key_text);
    for (;;) {
        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        rc = control_get(cloud->control, key, &arena, &entry);
        if (rc == 0) {
            rc = ring_parse(entry.value, ret_ring, err);
            arena_done(&arena);
            return rc;
        }
        arena_done(&arena);
        if (!cloud->plan->control) {
            if (rc == -ECANCELED)
                return rc;
            log_info("cloud.waiting", "for=ring ring=%s reason=%s", name, error_name(rc));
            rc = task_sleep(RING_LOAD_TRIES_MS * NS_PER_MS);
            if (rc != 0)
                return rc;
            continue;
        }
        if (rc != -ENOENT)
            return error_set(err, rc, "ring %s: %s", name, error_text(rc));
        uint8_t *data;
        size_t   size;
        rc = make_ring(cloud->plan, replicas, seed, &data, &size, err);
        if (rc != 0)
            return rc;
        struct control_compare missing = { .kind = CONTROL_IF_MISSING, .key = key };
        struct control_op      put = { .kind = CONTROL_PUT, .key = key, .value = slice_of(data, size) };
        rc = control_txn(cloud->control, &missing, 1, &put, 1, NULL, NULL);
        free(data);
        if (rc != 0 && rc != -E_CONDITION)
            return error_set(err, rc, "ring %s: %s", name, error_text(rc));
        log_info("cloud.ring_made", "ring=%s replicas=%u devices=%u", name, replicas, cloud->plan->device_count);
    }
}

static bool has_index_ring(const struct cloud *cloud, uint8_t replicas)
{
    for (uint32_t i = 0; i < cloud->index_rings; i++)
        if (cloud->index_ring[i].replicas == replicas)
            return true;
    return false;
}

WAITS int cloud_rings_load(struct cloud *cloud, struct error *err)
{
    char name[RING_NAME_BYTES];

    for (uint32_t i = 0; i < cloud->plan->policy_count; i++) {
        const struct policy *p = &cloud->plan->policies[i];
        uint8_t              replicas = policy_row_replicas(p);
        if (!has_index_ring(cloud, replicas)) {
            if (cloud->index_rings == CLOUD_INDEX_RINGS_MAX)
                return error_set(err, -E_LIMIT, "policies of more than %d kinds of durability", CLOUD_INDEX_RINGS_MAX);
            snprintf(name, sizeof name, "index-%u", replicas);
            int rc = load_ring(cloud, name, replicas, 1000 + replicas, &cloud->index_ring[cloud->index_rings].ring, err);
            if (rc != 0)
                return rc;
            cloud->index_ring[cloud->index_rings++].replicas = replicas;
        }
        snprintf(name, sizeof name, "object-%s", p->name);
        int rc = load_ring(cloud, name, policy_fragments(p), 2000 + p->index, &cloud->object_ring[p->index], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

void cloud_rings_done(struct cloud *cloud)
{
    for (uint32_t i = 0; i < cloud->index_rings; i++)
        ring_unref(cloud->index_ring[i].ring);
    for (uint32_t i = 0; i < POLICIES_MAX; i++)
        cloud->object_ring[i] = ring_unref(cloud->object_ring[i]);
    cloud->index_rings = 0;
}

const struct ring *cloud_index_ring(void *ctx, uint8_t replicas)
{
    const struct cloud *cloud = ctx;

    for (uint32_t i = 0; i < cloud->index_rings; i++)
        if (cloud->index_ring[i].replicas == replicas)
            return cloud->index_ring[i].ring;
    return NULL;
}
