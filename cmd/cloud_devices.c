/* cmd/cloud_devices.c - opens this node's devices and follows the state of all.
 *
 * Devices open side by side, so that a start takes as long as the slowest. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cloud_private.h"
#include "proto/blob.pb-c.h"

/* How often a proxy asks devices of other nodes how they are, and how long it waits for an answer. */
#define STATUS_EVERY_MS 1000
#define STATUS_FIRST_MS 100   /* While the cloud starts. */
#define STATUS_WAIT_MS 2000

enum { UUID_BYTES = 16 };

struct opening {
    struct cloud      *cloud;
    uint32_t           place;     /* In the plan. */
    struct wait_group *group;
};

static void device_key(char key[32], uint16_t id) { snprintf(key, 32, "device/%u", id); }

/* Is there an identity at the path? */
WAITS static bool has_identity(struct env *env, const char *path)
{
    char         name[ENV_PATH_MAX];
    struct file *file;

    if ((size_t)snprintf(name, sizeof name, "%s/device.id", path) >= sizeof name)
        return false;
    if (env_open(env, name, FILE_READ_ONLY, &file) != 0)
        return false;
    file_close(file);
    return true;
}

static void stays_out(uint16_t id, const char *path, const char *why)
{
    log_error("device.kept_out", "device=%u path=\"%s\" why=\"%s\"", id, path, why);
}

/* Opens one device unless it was known and is gone or another one now. */
WAITS static void open_device(struct cloud *cloud, uint32_t place)
{
    const struct cloud_device *d = &cloud->plan->devices[place];
    struct device_options      options = { .id = d->id, .path = d->path, .cluster_id = cloud->cluster_id,
                                           .row_memory = &cloud->row_memory };
    struct control_entry       entry;
    struct device             *device;
    struct error               err = { 0 };
    struct arena               arena;
    char                       key[32];

    device_key(key, d->id);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    int rc = control_get(cloud->control, slice_str(key), &arena, &entry);
    bool known = rc == 0;
    if (rc != 0 && rc != -ENOENT) {
        stays_out(d->id, d->path, error_text(rc));
    } else if (known && !has_identity(cloud->env, d->path)) {
        stays_out(d->id, d->path, "the drive is missing or empty; it held data before, and repair is needed before it may serve");
    } else if ((rc = device_open(cloud->env, &cloud->hlc, &options, &device, &err)) != 0) {
        stays_out(d->id, d->path, err.text[0] ? err.text : error_text(rc));
    } else if (known && (entry.value.size != UUID_BYTES || memcmp(entry.value.data, device->uuid, UUID_BYTES))) {
        stays_out(d->id, d->path, "this is another drive than the one that served under this id");
        device_close(device);
    } else if (!known && (rc = control_put(cloud->control, slice_str(key), slice_of(device->uuid, UUID_BYTES), NULL)) != 0) {
        stays_out(d->id, d->path, "its identity could not be recorded in the control store");
        device_close(device);
    } else {
        cloud->device[place] = device;
    }
    arena_done(&arena);
}

WAITS static void open_task(void *arg)
{
    struct opening *opening = arg;

    open_device(opening->cloud, opening->place);
    wait_group_done(opening->group);
}

static const struct ring *gc_index_ring(void *ctx, uint32_t replicas)
{
    return cloud_index_ring(ctx, (uint8_t)replicas);
}

WAITS static int gc_named(void *ctx, const struct shard *shard, struct slice name, const Rs__Extent *extent,
                          int64_t deadline, bool *ret_named)
{
    return object_rows_name(((struct cloud *)ctx)->rows, shard, name, extent, deadline, ret_named);
}

static size_t gc_heirs(void *ctx, struct slice name, uint8_t prefix[ROW_NAME_MAX])
{
    (void)ctx;
    return object_row_heirs(name, prefix);
}

enum { EXPIRE_MS = 10000 };

WAITS static int gc_expire(void *ctx, const struct shard *shard, struct slice name, struct ballot ballot)
{
    struct cloud *cloud = ctx;

    return object_expire(cloud->objects, cloud->rows, shard, name, ballot, env_now(cloud->env) + EXPIRE_MS * NS_PER_MS);
}

/* Garbage, expiry, purge and repair of rows, on each device that serves. */
static int start_background(struct cloud *cloud)
{
    struct gc_options options = {
        .rpc = cloud->rpc, .hlc = &cloud->hlc, .rows = cloud->rows, .blobs = cloud->blobs, .ctx = cloud, .index_ring = gc_index_ring,
        .named = gc_named, .heirs = gc_heirs, .expire = gc_expire,
    };
    int rc = gc_new(&options, &cloud->gc);

    for (uint32_t i = 0; i < cloud->plan->device_count && rc == 0; i++)
        if (cloud->device[i])
            rc = gc_add(cloud->gc, cloud->device[i]);
    return rc;
}

WAITS int cloud_devices_open(struct cloud *cloud, struct error *err)
{
    static struct opening openings[CLOUD_DEVICES_MAX];
    struct wait_group     group = { 0 };
    uint32_t              mine = 0, open = 0;

    if (!cloud->plan->storage)
        return 0;
    for (uint32_t i = 0; i < cloud->plan->device_count; i++) {
        if (cloud->plan->devices[i].node != cloud->plan->node_id)
            continue;
        mine++;
        openings[i] = (struct opening) { cloud, i, &group };
        wait_group_add(&group, 1);
        int rc = env_spawn(cloud->env, "device.open", open_task, &openings[i]);
        if (rc != 0) {
            wait_group_done(&group);
            return error_set(err, rc, "device %u: %s", cloud->plan->devices[i].id, error_text(rc));
        }
    }
    int rc = wait_group_wait(&group, TASK_FOREVER);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < cloud->plan->device_count; i++) {
        if (!cloud->device[i])
            continue;
        rc = storage_service_add(cloud->service, cloud->device[i]);
        if (rc != 0)
            return error_set(err, rc, "device %u: %s", cloud->plan->devices[i].id, error_text(rc));
        open++;
    }
    log_info("cloud.devices", "open=%u of=%u", open, mine);
    if (mine && !open)
        return error_set(err, -E_DEVICE, "none of this node's %u devices can serve; see the log lines above", mine);
    rc = start_background(cloud);
    return rc == 0 ? 0 : error_set(err, rc, "background work of devices: %s", error_text(rc));
}

WAITS void cloud_devices_close(struct cloud *cloud)
{
    cloud->gc = gc_free(cloud->gc);
    for (uint32_t i = 0; i < cloud->plan->device_count; i++)
        if (cloud->device[i])
            cloud->device[i] = device_close(cloud->device[i]);
}

/* --- What is known of every device. --- */

static const struct policy *find_policy(void *ctx, uint16_t index)
{
    const struct cloud *cloud = ctx;

    return index < cloud->plan->policy_count ? &cloud->plan->policies[index] : NULL;
}

static const struct ring *find_ring(void *ctx, uint16_t policy_index)
{
    const struct cloud *cloud = ctx;

    return policy_index < POLICIES_MAX ? cloud->object_ring[policy_index] : NULL;
}

static bool is_up(void *ctx, uint16_t id)
{
    const struct cloud  *cloud = ctx;
    const struct device *here = cloud->service ? storage_service_device(cloud->service, id) : NULL;

    return here ? here->state == DEVICE_IN_SERVICE : cloud->up[id];
}

void cloud_directory_init(struct cloud *cloud)
{
    cloud->directory = (struct blob_directory) { .ctx = cloud, .policy = find_policy, .ring = find_ring, .device_up = is_up };
}

/* Asks one device how it is. A node that is away counts as down until it answers. */
WAITS static bool ask(struct cloud *cloud, const struct cloud_device *d)
{
    struct rpc_message *request = rpc_message_new(), *reply = NULL;
    bool                up = false;

    if (!request)
        return cloud->up[d->id];
    Rs__DeviceStatus *head = arena_new(&request->arena, Rs__DeviceStatus);
    if (head) {
        rs__device_status__init(head);
        head->device = d->id;
        request->head = &head->base;
        int rc = rpc_call(cloud->rpc, d->node, METHOD_DEVICE_STATUS, 1, request,
                          env_now(cloud->env) + STATUS_WAIT_MS * NS_PER_MS, &reply, NULL);
        if (rc == 0 && reply && reply->head)
            up = ((Rs__DeviceStatusReply *)reply->head)->state == DEVICE_IN_SERVICE;
    }
    rpc_message_unref(reply);
    rpc_message_unref(request);
    return up;
}

struct watching {
    struct cloud *cloud;
    uint32_t      node;
};

/* One task a node, so that one that is away delays no other. */
WAITS static void watch_task(void *arg)
{
    struct watching *w = arg;
    struct cloud    *cloud = w->cloud;

    do {
        for (uint32_t i = 0; i < cloud->plan->device_count && !task_cancelled(); i++) {
            const struct cloud_device *d = &cloud->plan->devices[i];
            if (d->node != w->node)
                continue;
            bool up = ask(cloud, d);
            if (up != cloud->up[d->id])
                log_warn("cloud.device", "device=%u node=%u in_service=%s", d->id, d->node, up ? "yes" : "no");
            cloud->up[d->id] = up;
        }
    } while (task_sleep((cloud->ready ? STATUS_EVERY_MS : STATUS_FIRST_MS) * NS_PER_MS) == 0);
}

/* Devices that every policy can do without. */
static uint32_t spare_devices(const struct cloud_plan *plan)
{
    uint32_t spare = UINT32_MAX;

    for (uint32_t i = 0; i < plan->policy_count; i++)
        if (policy_losses(&plan->policies[i]) < spare)
            spare = policy_losses(&plan->policies[i]);
    return spare;
}

WAITS int cloud_devices_wait(struct cloud *cloud)
{
    const struct cloud_plan *plan = cloud->plan;
    int64_t                  said = 0;

    for (;;) {
        uint32_t up = 0;
        for (uint32_t i = 0; i < plan->device_count; i++)
            up += is_up(cloud, plan->devices[i].id);
        if (up + spare_devices(plan) >= plan->device_count)
            return 0;
        if (env_now(cloud->env) - said > 5 * NS_PER_S) {
            log_info("cloud.waiting", "for=devices in_service=%u of=%u", up, plan->device_count);
            said = env_now(cloud->env);
        }
        int rc = task_sleep(STATUS_FIRST_MS * NS_PER_MS);
        if (rc != 0)
            return rc;
    }
}

int cloud_devices_watch(struct cloud *cloud)
{
    static struct watching watching[CLOUD_NODES_MAX];

    for (uint32_t i = 0; i < cloud->plan->node_count; i++) {
        watching[i] = (struct watching) { cloud, cloud->plan->nodes[i].id };
        if (watching[i].node == cloud->plan->node_id)
            continue;
        int rc = env_spawn(cloud->env, "devices.watch", watch_task, &watching[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}
