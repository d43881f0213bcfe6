/* tests/lib/row_cluster.c - devices, a ring and a row client in one process. */
#include "tests/lib/row_cluster.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

uint64_t row_cluster_journal_bytes = 1 << 20;

struct run {
    uint32_t devices, replicas;
    void (*fn)(struct row_cluster *c, void *arg);
    void       *arg;
    struct env *env;
    struct rpc *rpc;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static struct ring *make_ring(uint32_t devices, uint32_t replicas, uint32_t node)
{
    enum { POWER = 6 };
    struct ring_device device[CLUSTER_DEVICES_MAX];
    static char        names[CLUSTER_DEVICES_MAX][8];
    uint16_t           table[(1 << POWER) * 8];
    struct ring_spec   spec = { .epoch = 1, .hash_seed = 7, .part_power = POWER, .replicas = (uint8_t)replicas,
                                .full = 1 << POWER, .devices = device, .device_count = devices, .device = table };
    struct ring       *ring;
    struct error       err = { 0 };

    for (uint32_t i = 0; i < devices; i++) {
        snprintf(names[i], sizeof names[i], "d%u", i);
        device[i] = (struct ring_device) { .id = (uint16_t)i, .port = 6000, .region = 1, .zone = 1, .node = node,
                                           .weight = 1, .host = "here", .name = names[i] };
    }
    for (uint32_t p = 0; p < 1 << POWER; p++)
        for (uint32_t r = 0; r < replicas; r++)
            table[p * replicas + r] = (uint16_t)((p + r) % devices);
    if (ring_new(&spec, &ring, &err)) {
        fprintf(stderr, "ring: %s\n", err.text);
        abort();
    }
    return ring;
}

WAITS static struct device *open_device(struct row_cluster *c, uint16_t id)
{
    char                  path[128];
    struct device_options options = { .id = id, .path = path, .cluster_id = 1, .journal_segment_bytes = row_cluster_journal_bytes,
                                      .journal_segments = 2, .volume_bytes = 4 << 20 };
    struct device        *device;
    struct error          err = { 0 };

    snprintf(path, sizeof path, "%s/d%u", c->root, id);
    if (device_open(c->env, &c->hlc, &options, &device, &err)) {
        fprintf(stderr, "device: %s\n", err.text);
        abort();
    }
    return device;
}

static void main_task(void *arg)
{
    struct run         *run = arg;
    struct env         *env = run->env;
    struct row_cluster *c = calloc(1, sizeof *c);

    MUST(c);
    c->env = env;
    hlc_init(&c->hlc, env);
    snprintf(c->root, sizeof c->root, "/tmp/row_cluster.XXXXXX");
    MUST(mkdtemp(c->root));
    c->rpc = run->rpc = rpc_new(env, 1);
    MUST(c->rpc && storage_service_new(c->rpc, &c->hlc, &c->service) == 0);
    c->devices = run->devices;
    for (uint16_t i = 0; i < run->devices; i++) {
        c->device[i] = open_device(c, i);
        MUST(storage_service_add(c->service, c->device[i]) == 0);
    }
    c->ring = make_ring(run->devices, run->replicas, env->node_id);
    c->client = row_client_new(c->rpc, &c->hlc);
    c->shard.ring = c->ring;
    memcpy(c->shard.id, "shard-of-a-test!", SHARD_ID_BYTES);
    run->fn(c, run->arg);
    row_client_free(c->client);
    for (uint32_t i = 0; i < c->devices; i++)
        row_cluster_down(c->device[i]);
    task_sleep(NS_PER_MS);   /* Calls that nobody waits for any more find no device. */
    for (uint32_t i = 0; i < c->devices; i++)
        device_close(c->device[i]);
    storage_service_free(c->service);
    ring_unref(c->ring);
    nftw(c->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(c);
    kernel_stop(env);
}

void row_cluster_run(uint32_t devices, uint32_t replicas, void (*fn)(struct row_cluster *c, void *arg), void *arg)
{
    struct kernel_options options = { .node_id = 1, .io_threads = 8 };
    struct run            run = { .devices = devices, .replicas = replicas, .fn = fn, .arg = arg };

    MUST(devices <= CLUSTER_DEVICES_MAX && kernel_new(&options, &run.env, NULL) == 0);
    MUST(env_spawn(run.env, "main", main_task, &run) == 0 && kernel_run(run.env) == 0);
    rpc_free(run.rpc);   /* Only now: calls may have been in flight until the last task ended. */
    kernel_free(run.env);
}

struct device *row_cluster_holder(struct row_cluster *c, uint32_t slot)
{
    struct ring_set set;

    ring_lookup(c->ring, shard_partition(&c->shard), &set);
    return c->device[set.device[slot]];
}

void row_cluster_down(struct device *device)
{
    device->state = DEVICE_FAILED;
}

void row_cluster_up(struct device *device)
{
    device->state = DEVICE_IN_SERVICE;
}

WAITS void row_cluster_reopen(struct device *device)
{
    struct row_store      *rows = device->rows;
    char                   path[ENV_PATH_MAX + 16];
    struct journal_options journal = { .path = path, .segment_bytes = row_cluster_journal_bytes,
                                       .segments = 2 };
    struct error           err = { 0 };

    device->state = DEVICE_FAILED;
    device->rows = NULL;
    row_store_close(rows);
    snprintf(path, sizeof path, "%s/journal", device->path);
    if (row_store_open(device, &journal, NULL, &device->rows, &err)) {
        fprintf(stderr, "reopen of %u: %s\n", device->id, err.text);
        abort();
    }
    device->state = DEVICE_IN_SERVICE;
}

int64_t row_cluster_soon(struct row_cluster *c)
{
    return env_now(c->env) + 5 * NS_PER_S;
}
