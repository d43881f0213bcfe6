/* sim/cluster.c - a whole cluster of the real code in one process. */
#include "sim/cluster.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/object/object.h"
#include "sim/control_workload.h"
#include "sim/kv_sim.h"
#include "sim/objects.h"
#include "storage/gc.h"

/* --- Rings --- */

static struct ring *make_ring(struct cluster *cluster, uint32_t replicas, uint8_t part_power, uint64_t seed)
{
    struct builder_options options = { .part_power = part_power, .replicas = replicas, .hash_seed = seed };
    struct builder        *builder;
    struct ring           *ring;
    struct error           err;
    int                    rc = builder_new(&options, &builder, &err);

    for (uint32_t i = 1; rc == 0 && i <= cluster->options.nodes; i++) {
        char               host[32];
        struct ring_device device = {
            .id = (uint16_t)i, .port = 1, .region = 1, .zone = i, .node = i, .weight = 100, .host = host, .name = "d",
        };

        snprintf(host, sizeof host, "n%u", i);
        rc = builder_add(builder, &device, NULL, &err);
    }
    if (rc == 0)
        rc = builder_rebalance(builder, &(struct builder_rebalance) { .now = 1, .seed = seed }, NULL, &err);
    if (rc == 0)
        rc = ring_make(builder, 1, NULL, &ring, &err);
    if (rc < 0) {
        fprintf(stderr, "sim: the ring can't be made: %s\n", err.text);
        abort();
    }
    builder_free(builder);
    return ring;
}

static void add_policy(struct cluster *cluster, const char *name)
{
    struct policy *policy = &cluster->policy[cluster->policies];
    struct error   err;

    if (policy_parse(name, (uint16_t)cluster->policies, policy, &err) < 0 ||
        policy_fragments(policy) > cluster->options.nodes)
        abort();
    policy->is_default = cluster->policies == 0;
    cluster->policy_ring[cluster->policies] = make_ring(cluster, policy_fragments(policy), 3, 77 + cluster->policies);
    cluster->policies++;
}

/* --- A life --- */

static const struct ring *gc_ring(void *ctx, uint32_t replicas)
{
    struct life *life = ctx;

    return replicas == 3 ? life->node->cluster->index3 : replicas == 5 ? life->node->cluster->index5 : NULL;
}

static WAITS int gc_named(void *ctx, const struct shard *shard, struct slice name, const Rs__Extent *extent,
                          int64_t deadline, bool *ret_named)
{
    return object_rows_name(((struct life *)ctx)->rows, shard, name, extent, deadline, ret_named);
}

static size_t gc_heirs(void *ctx, struct slice name, uint8_t prefix[ROW_NAME_MAX])
{
    (void)ctx;
    return object_row_heirs(name, prefix);
}

static void gc_start(struct life *life)
{
    struct cluster   *cluster = life->node->cluster;
    uint32_t          ms = cluster->options.gc_ms;
    struct gc_options options = {
        .rpc = life->rpc, .hlc = &life->hlc, .rows = life->rows, .blobs = life->blobs, .ctx = life,
        .index_ring = gc_ring, .grace_ms = ms * 4, .purge_age_ms = cluster->options.purge_ms ? cluster->options.purge_ms : ms, .repair_ms = ms * 2,
        .orphan_age_ms = ms, .orphan_settle_ms = ms * 40, .orphan_pass_ms = ms * 8,
    };

    if (ms == 0)
        return;
    if (cluster->options.objects) {
        options.named = gc_named;
        options.heirs = gc_heirs;
    }
    if (gc_new(&options, &life->gc) < 0 || gc_add(life->gc, life->device) < 0)
        sim_fail(&cluster->sim, "node %u: background work does not start", life->node->id);
}

static WAITS void life_free(struct life *life)
{
    life->gc = gc_free(life->gc);
    control_stop(life);
    objects_stop(life);
    life->rows = row_client_free(life->rows);
    life->service = storage_service_free(life->service);
    if (life->device)
        life->device = device_close(life->device);
    life->rpc = rpc_free(life->rpc);
    free(life);
}

/* Waits until the tasks of a dead life have unwound, then frees it. */
static WAITS void bury(void *arg)
{
    struct life    *life = arg;
    struct cluster *cluster = life->node->cluster;

    for (int i = 0; life->env.env.group.count > 0; i++) {
        if (i == 60000) {
            struct task *task = life->env.env.group.first;

            sim_fail(&cluster->sim, "liveness: task '%s' of a dead node does not end", task_name(task));
            return;
        }
        sim_pause(&cluster->sim, NS_PER_MS);
    }
    life_free(life);
    cluster->dying--;
}

static WAITS void boot(void *arg)
{
    struct life           *life = arg;
    struct cluster_node   *node = life->node;
    struct cluster        *cluster = node->cluster;
    struct env            *env = &life->env.env;
    struct error           err = { 0 };
    struct device         *device;
    struct device_options  options = {
        .id = (uint16_t)node->id, .path = "srv/d", .cluster_id = CLUSTER_ID, .backend = &kv_sim,
        .journal_segment_bytes = cluster->options.journal_segment_bytes,
        .journal_segments = cluster->options.journal_segments, .volume_bytes = cluster->options.volume_bytes,
        .reserve_bytes = cluster->options.disk_bytes / 64, .row_memory = &life->row_memory,
    };
    int rc = device_open(env, &life->hlc, &options, &device, &err);

    if (rc == 0) {
        life->device = device;
        rc = control_start(life, &err);
    }
    if (env->dead)
        return;
    if (rc < 0) {
        sim_note(&cluster->sim, "node %u: can't start: %s: %s", node->id, error_name(rc), err.text);
        life->broken = true;
        return;
    }
    storage_service_add(life->service, device);
    objects_start(life);
    gc_start(life);
    life->up = true;
    sim_note(&cluster->sim, "node %u is up", node->id);
    if (cluster->started)
        cluster->started(node, cluster->started_arg);
}

void cluster_start(struct cluster *cluster, uint32_t id)
{
    struct cluster_node *node = &cluster->node[id];
    struct life         *life = calloc(1, sizeof *life);

    assert(life && !node->life);
    env_sim_init(&life->env, &cluster->sim, node->disk, id);
    life->env.wall_ahead = node->wall_ahead;
    life->env.drift_ppm = node->drift_ppm;
    life->env.faults = node->faults;
    life->node = node;
    /* Every other life keeps next to no rows in memory: reads go to the index. */
    life->row_memory.limit = (id + node->lives) % 2 ? 2048 : ROW_CACHE_BYTES;
    hlc_init(&life->hlc, &life->env.env);
    life->rpc = rpc_new(&life->env.env, CLUSTER_ID);
    assert(life->rpc);
    if (storage_service_new(life->rpc, &life->hlc, &life->service) < 0)
        abort();
    life->rows = row_client_new(life->rpc, &life->hlc);
    assert(life->rows);
    node->life = life;
    node->lives++;
    net_sim_plug(&cluster->net, id, life->rpc);
    env_spawn(&life->env.env, "boot", boot, life);
    sim_trace(&cluster->sim, "start", id, node->lives, 0);
}

void cluster_kill(struct cluster *cluster, uint32_t id, bool power_cut)
{
    struct cluster_node *node = &cluster->node[id];
    struct life         *life = node->life;

    assert(life);
    sim_note(&cluster->sim, "node %u: %s", id, power_cut ? "power cut" : "killed");
    sim_trace(&cluster->sim, "kill", id, power_cut, 0);
    node->life = NULL;
    net_sim_plug(&cluster->net, id, NULL);
    env_sim_kill(&life->env, power_cut);
    cluster->dying++;
    if (task_spawn(cluster->sim.sched, &cluster->group, "bury", bury, life) < 0)
        abort();
}

void cluster_wipe(struct cluster *cluster, uint32_t id)
{
    assert(!cluster->node[id].life);
    sim_note(&cluster->sim, "node %u: a new disk", id);
    disk_wipe(cluster->node[id].disk);
    disk_mount(cluster->node[id].disk, "srv");
}

void cluster_set_clock(struct cluster *cluster, uint32_t id, int64_t ahead_ns, int64_t drift_ppm)
{
    struct cluster_node *node = &cluster->node[id];

    node->wall_ahead = ahead_ns;
    node->drift_ppm = drift_ppm;
    if (node->life) {
        node->life->env.wall_ahead = ahead_ns;
        node->life->env.drift_ppm = drift_ppm;
    }
}

static bool in_service(const struct life *life)
{
    return life && life->up && life->device->state == DEVICE_IN_SERVICE;
}

uint32_t cluster_up(const struct cluster *cluster)
{
    uint32_t up = 0;

    for (uint32_t i = 1; i <= cluster->options.nodes; i++)
        up += in_service(cluster->node[i].life);
    return up;
}

void cluster_heal(struct cluster *cluster)
{
    sim_note(&cluster->sim, "healing");
    net_sim_heal(&cluster->net);
    for (uint32_t i = 1; i <= cluster->options.nodes; i++) {
        struct cluster_node *node = &cluster->node[i];

        cluster_set_clock(cluster, i, 0, 0);
        node->faults = (struct disk_faults) { 0 };
        disk_set_capacity(node->disk, cluster->options.disk_bytes);
        if (node->life)
            node->life->env.faults = node->faults;
        if (node->life && node->life->up && !in_service(node->life))
            cluster_kill(cluster, i, false);
        if (!node->life)
            cluster_start(cluster, i);
    }
}

/* --- The whole --- */

void cluster_init(struct cluster *cluster, uint64_t seed, const struct cluster_options *options, bool verbose)
{
    memset(cluster, 0, sizeof *cluster);
    assert(options->nodes <= CLUSTER_NODES_MAX);
    cluster->options = *options;
    sim_init(&cluster->sim, seed);
    cluster->sim.verbose = verbose;
    net_sim_init(&cluster->net, &cluster->sim);
    task_group_init(&cluster->group, cluster->sim.sched);
    cluster->index3 = make_ring(cluster, 3, 4, 33);
    if (options->nodes >= 5)
        cluster->index5 = make_ring(cluster, 5, 4, 55);
    if (options->objects) {
        add_policy(cluster, "replicated-3");
        if (options->nodes >= 6)
            add_policy(cluster, "ec-4-2");
    }
    for (uint32_t i = 1; i <= options->nodes; i++) {
        struct cluster_node *node = &cluster->node[i];

        node->cluster = cluster;
        node->id = i;
        node->disk = disk_new(rng_fork(&cluster->sim.rng), options->disk_bytes);
        disk_mount(node->disk, "srv");
    }
}

void cluster_done(struct cluster *cluster)
{
    cluster->started = NULL;
    for (uint32_t i = 1; i <= cluster->options.nodes; i++)
        if (cluster->node[i].life)
            cluster_kill(cluster, i, false);
    cluster->sim.failure[0] = 0;   /* What failed was reported; the dead are buried all the same. */
    for (int i = 0; i < 1000 && cluster->dying > 0; i++)
        sim_run_until(&cluster->sim, cluster->sim.now + NS_PER_S);
    if (cluster->dying > 0)
        return;   /* It was said which task hangs; the process ends soon. */
    sim_run_until(&cluster->sim, cluster->sim.now + 1000 * NS_PER_S);   /* Frames on the way arrive nowhere. */
    for (uint32_t i = 1; i <= cluster->options.nodes; i++)
        disk_free(cluster->node[i].disk);
    for (uint32_t i = 0; i < cluster->policies; i++)
        ring_unref(cluster->policy_ring[i]);
    ring_unref(cluster->index3);
    ring_unref(cluster->index5);
    sim_done(&cluster->sim);
}
