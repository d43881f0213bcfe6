/* sim/objects.c - blobs and the object service in a simulated node. */
#include "sim/objects.h"

#include "proxy/object/object.h"

static const struct policy *directory_policy(void *ctx, uint16_t index)
{
    struct life    *life = ctx;
    struct cluster *cluster = life->node->cluster;

    return index < cluster->policies ? &cluster->policy[index] : NULL;
}

static const struct ring *directory_ring(void *ctx, uint16_t index)
{
    struct life    *life = ctx;
    struct cluster *cluster = life->node->cluster;

    return index < cluster->policies ? cluster->policy_ring[index] : NULL;
}

/* Nobody knows better than by asking; the own device's state is known. */
static bool directory_device_up(void *ctx, uint16_t device)
{
    struct life *life = ctx;

    return device != life->node->id || (life->device && life->device->state == DEVICE_IN_SERVICE);
}

static const struct ring *index_ring(void *ctx, uint8_t replicas)
{
    struct life    *life = ctx;
    struct cluster *cluster = life->node->cluster;

    return replicas == 3 ? cluster->index3 : replicas == 5 ? cluster->index5 : NULL;
}

void objects_start(struct life *life)
{
    struct cluster               *cluster = life->node->cluster;
    struct blob_directory         directory = { life, directory_policy, directory_ring, directory_device_up };
    struct object_service_options options;
    struct error                  err;

    if (!cluster->options.objects)
        return;
    life->blobs = blob_client_new(life->rpc, &life->hlc, &directory);
    options = (struct object_service_options) {
        .env = &life->env.env, .rows = life->rows, .blobs = life->blobs, .directory = directory,
        .policies = cluster->policy, .policy_count = cluster->policies, .index_ring = index_ring,
        .index_ring_ctx = life, .part_size_min = 1,
    };
    if (!life->blobs || object_service_new(&options, &life->objects, &err) < 0)
        sim_fail(&cluster->sim, "node %u: the object service does not start", life->node->id);
}

WAITS void objects_stop(struct life *life)
{
    life->objects = object_service_free(life->objects);
    life->blobs = blob_client_free(life->blobs);
}
