/* sim/scenario.c - one run: start, chaos, healing, judgement.
 *
 *   start all -> prepare -> clients and faults -> heal -> every key is read again
 *   -> the network falls silent -> the history must be linearizable
 *
 * Faults stay within what the system promises to survive: any number of kills,
 * power cuts and partitions at a time (they only cost availability), but disks
 * that lose or damage data on one node only, the weak one. */
#include "sim/scenario.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"

COUNTER(sim_sectors_spoiled, "Simulator: sectors of volume files lost or rotted.");
COUNTER(sim_devices_lost, "Simulator: devices that could not be opened again after damage.");
COUNTER(sim_partitions, "Simulator: partitions of the network.");
COUNTER(sim_blackouts, "Simulator: power cuts of all nodes at once.");

enum {
    START_S = 60,          /* All nodes are up by then. */
    CHAOS_S = 120,         /* Longest phase of faults. */
    DRAIN_S = 120,         /* Clients end their last operation. */
    VERIFY_S = 400,        /* All keys are readable: ballots of wild clocks are in the past by then. */
    QUIET_WINDOW_S = 10,
    QUIET_S = 600          /* Repair and garbage collection have come to their end. */
};

const struct scenario *scenario_find(const char *name)
{
    for (uint32_t i = 0; i < scenarios_count; i++)
        if (!strcmp(scenarios[i].name, name))
            return &scenarios[i];
    return NULL;
}

/* --- History, with notes --- */

void run_begin_note(struct run *run, uint32_t op)
{
    char text[256];

    if (run->cluster.sim.verbose)
        sim_note(&run->cluster.sim, "  op %u %s", op, history_text(&run->history.ops[op], text, sizeof text));
}

uint32_t run_begin(struct run *run, uint32_t client, uint32_t key, enum history_kind kind, uint64_t value,
                   uint64_t expected)
{
    uint32_t op = history_begin(&run->history, run->cluster.sim.now, client, key, kind, value, expected);

    sim_trace(&run->cluster.sim, "begin", op, key, value);
    return op;
}

void run_end(struct run *run, uint32_t op, enum history_outcome outcome, uint64_t value, int rc)
{
    history_end(&run->history, run->cluster.sim.now, op, outcome, value);
    sim_trace(&run->cluster.sim, "end", op, (uint64_t)outcome, value);
    if (run->cluster.sim.verbose && outcome != HISTORY_OPEN)
        run_begin_note(run, op);
    else if (run->cluster.sim.verbose)
        sim_note(&run->cluster.sim, "  op %u unknown: %s", op, error_name(rc));
}

/* --- Clients --- */

struct client {
    struct run  *run;
    struct life *life;
    uint32_t     id;
};

static WAITS void client_task(void *arg)
{
    struct client c = *(struct client *)arg;
    struct run   *run = c.run;
    uint64_t      think_us = run->scenario->think_ms ? run->scenario->think_ms * 1000 : 20000;

    free(arg);
    while (!run->stop && run->steps_left > 0 && !task_cancelled()) {
        run->steps_left--;
        run->scenario->step(run, c.life, c.id);
        task_sleep((int64_t)rng_below(run_rng(run), think_us) * NS_PER_US);
    }
    run->clients_running--;
}

static void start_clients(struct cluster_node *node, void *arg)
{
    struct run *run = arg;

    if (!run->prepared || run->stop)
        return;
    for (uint32_t i = 0; i < run->scenario->clients; i++) {
        struct client *c = malloc(sizeof *c);

        assert(c);
        *c = (struct client) { run, node->life, run->next_client++ };
        if (env_spawn(&node->life->env.env, "client", client_task, c) < 0)
            free(c);
        else
            run->clients_running++;
    }
}

/* --- Faults --- */

static uint32_t random_node(struct run *run)
{
    return 1 + (uint32_t)rng_below(run_rng(run), run->scenario->options.nodes);
}

static void partition(struct run *run)
{
    struct net_sim *net = &run->cluster.net;
    uint32_t        nodes = run->scenario->options.nodes;
    uint32_t        side = rng_u32(run_rng(run));
    bool            one_way = rng_chance(run_rng(run), 1, 3);

    counter_inc(sim_partitions);
    memset(net->cut, 0, sizeof net->cut);
    sim_note(&run->cluster.sim, "partition %x%s", side & ((2u << nodes) - 2), one_way ? ", one way" : "");
    for (uint32_t a = 1; a <= nodes; a++)
        for (uint32_t b = 1; b <= nodes; b++)
            if ((side >> a & 1) != (side >> b & 1) && !(one_way && (side >> a & 1)))
                net->cut[a][b] = true;
}

static void clock_fault(struct run *run)
{
    static const int64_t jumps_ms[] = { 1, 50, 500, 3000, 20000, 50000 };
    int64_t              ahead = jumps_ms[rng_below(run_rng(run), 6)] * NS_PER_MS;

    if (rng_chance(run_rng(run), 1, 2))
        ahead = -ahead;
    cluster_set_clock(&run->cluster, random_node(run), ahead, (int64_t)rng_below(run_rng(run), 2000) - 1000);
}

static void disk_fault(struct run *run, uint32_t kind)
{
    struct cluster_node *node = &run->cluster.node[kind == FAULT_SLOW_DISK || kind == FAULT_FULL ? random_node(run)
                                                                                                 : run->weak];
    if (kind == FAULT_SLOW_DISK) {
        node->faults.slow_ppm = rng_chance(run_rng(run), 1, 2) ? 50000 : 0;
        node->faults.slow_ms_max = 1u << rng_below(run_rng(run), 11);
    } else if (kind == FAULT_SYNC) {
        node->faults.sync_fails_ppm = rng_chance(run_rng(run), 1, 2) ? 30000 : 0;
    } else if (kind == FAULT_FULL) {
        bool full = rng_chance(run_rng(run), 1, 2);

        disk_set_capacity(node->disk, full ? disk_used(node->disk) + rng_below(run_rng(run), 256 * 1024)
                                           : run->scenario->options.disk_bytes);
    } else {
        bool rot = rng_chance(run_rng(run), 1, 2);

        if (rot ? disk_rot(node->disk, "volumes/") : disk_lose_sector(node->disk, "volumes/"))
            counter_inc(sim_sectors_spoiled);
    }
    if (node->life)
        node->life->env.faults = node->faults;
}

static void kill_node(struct run *run, uint32_t node, bool power)
{
    if (!run->cluster.node[node].life)
        return;
    cluster_kill(&run->cluster, node, power);
    run->kills++;
}

static void one_fault(struct run *run)
{
    uint32_t bit;

    do
        bit = 1u << rng_below(run_rng(run), 10);
    while (!(run->scenario->faults & bit));
    switch (bit) {
    case FAULT_KILL:
    case FAULT_POWER:
        kill_node(run, random_node(run), bit == FAULT_POWER);
        break;
    case FAULT_BLACKOUT:
        if (rng_chance(run_rng(run), 3, 4))
            break;
        counter_inc(sim_blackouts);
        for (uint32_t i = 1; i <= run->scenario->options.nodes; i++)
            kill_node(run, i, true);
        break;
    case FAULT_PARTITION:
        partition(run);
        break;
    case FAULT_BREAK:
        net_sim_break(&run->cluster.net, random_node(run), random_node(run));
        break;
    case FAULT_CLOCK:
        clock_fault(run);
        break;
    default:
        disk_fault(run, bit);
    }
}

/* What an operator or a supervisor does meanwhile. */
static void one_repair(struct run *run)
{
    struct cluster *cluster = &run->cluster;
    uint32_t        id = random_node(run);
    struct life    *life = cluster->node[id].life;

    if (rng_chance(run_rng(run), 1, 6))
        memset(cluster->net.cut, 0, sizeof cluster->net.cut);
    if (!life)
        cluster_start(cluster, id);
    else if ((life->up && life->device->state != DEVICE_IN_SERVICE) || life->broken)
        kill_node(run, id, rng_chance(run_rng(run), 1, 2));
}

static void network_weather(struct run *run)
{
    struct net_sim *net = &run->cluster.net;
    struct rng     *rng = run_rng(run);

    if (rng_chance(rng, 1, 3))
        return;   /* A fine day: other faults show alone. */
    net->drop_ppm = (uint32_t)rng_below(rng, 50000);
    net->duplicate_ppm = (uint32_t)rng_below(rng, 50000);
    net->late_ppm = (uint32_t)rng_below(rng, 200000);
    net->late_ms_max = 1u << rng_below(rng, 12);
}

static void chaos(struct run *run)
{
    struct sim *sim = &run->cluster.sim;
    int64_t     end = sim->now + CHAOS_S * NS_PER_S;
    uint64_t    calm_ms = UINT64_C(1) << rng_between(&sim->rng, 2, 8);   /* Mean pause, by seed. */

    network_weather(run);
    while (!sim_failed(sim) && sim->now < end && run->steps_left > 0) {
        sim_run_until(sim, sim->now + (int64_t)rng_below(&sim->rng, 2 * calm_ms) * NS_PER_MS);
        if (rng_chance(&sim->rng, 1, 2))
            one_fault(run);
        else
            one_repair(run);
    }
}

/* --- Phases --- */

static bool wait_up(struct run *run, int64_t seconds)
{
    struct cluster *cluster = &run->cluster;
    int64_t         end = cluster->sim.now + seconds * NS_PER_S;
    uint32_t        nodes = run->scenario->options.nodes;

    while (!sim_failed(&cluster->sim) && cluster->sim.now < end && cluster_up(cluster) < nodes)
        sim_run_until(&cluster->sim, cluster->sim.now + 50 * NS_PER_MS);
    return cluster_up(cluster) == nodes;
}

/* The node with the bad disk may stay out: broken at start, or when compaction or a read met the rot later. */
static bool weak_is_out(const struct run *run)
{
    const struct life *life = run->cluster.node[run->weak].life;

    return life->broken || (life->up && life->device->state == DEVICE_FAILED);
}

static struct life *some_life(struct run *run)
{
    for (;;) {
        struct life *life = run->cluster.node[random_node(run)].life;

        if (life && life->up)
            return life;
    }
}

struct phase {
    struct run  *run;
    struct life *life;
    bool         done;
};

static WAITS void prepare_task(void *arg)
{
    struct phase *p = arg;

    while (p->run->scenario->prepare(p->run, p->life) < 0 && !task_cancelled())
        task_sleep(NS_PER_S);
    p->done = true;
}

static void prepare(struct run *run)
{
    struct sim  *sim = &run->cluster.sim;
    struct phase p = { run, some_life(run), run->scenario->prepare == NULL };

    if (!p.done) {
        env_spawn(&p.life->env.env, "prepare", prepare_task, &p);
        if (!sim_run_while(sim, &p.done, sim->now + START_S * NS_PER_S))
            sim_fail(sim, "liveness: the workload could not be prepared");
    }
    run->prepared = true;
    for (uint32_t i = 1; i <= run->scenario->options.nodes; i++)
        start_clients(&run->cluster.node[i], run);
}

static WAITS void verify_task(void *arg)
{
    struct phase *p = arg;
    struct run   *run = p->run;

    for (uint32_t key = 0; key < run->scenario->keys; key++) {
        int rc;

        while ((rc = run->scenario->verify(run, p->life, key)) < 0 && !task_cancelled()) {
            sim_note(&run->cluster.sim, "key %u is not readable yet: %s", key, error_name(rc));
            task_sleep(NS_PER_S);
        }
    }
    p->done = true;
}

static void verify(struct run *run)
{
    struct sim *sim = &run->cluster.sim;

    /* Twice, from two places: what one read repairs, the next must not undo. */
    for (int round = 0; round < 2 && !sim_failed(sim); round++) {
        struct phase p = { run, some_life(run), false };

        env_spawn(&p.life->env.env, "verify", verify_task, &p);
        if (!sim_run_while(sim, &p.done, sim->now + VERIFY_S * NS_PER_S))
            sim_fail(sim, "liveness: after healing, a key stays unreadable");
    }
}

static void drain(struct run *run)
{
    struct sim *sim = &run->cluster.sim;
    int64_t     end = sim->now + DRAIN_S * NS_PER_S;

    run->stop = true;
    while (!sim_failed(sim) && run->clients_running > 0 && sim->now < end)
        sim_run_until(sim, sim->now + 50 * NS_PER_MS);
    if (run->clients_running > 0)
        sim_fail(sim, "liveness: %u clients wait for ever", run->clients_running);
}

/* Changes that replicas made durable and blobs that were deleted: what repair and
 * garbage collection do; comparing and looking goes on for ever. */
static int64_t changes(void)
{
    return counter_value("row_commits") + counter_value("blob_chunks_deleted");
}

static void quiet(struct run *run)
{
    struct sim *sim = &run->cluster.sim;
    int64_t     end = sim->now + QUIET_S * NS_PER_S, before;

    do {
        before = changes();
        sim_run_until(sim, sim->now + QUIET_WINDOW_S * NS_PER_S);
        if (changes() == before)
            return;
    } while (!sim_failed(sim) && sim->now < end);
    sim_fail(sim, "liveness: the cluster does not come to rest (%lld changes in the last %d s)",
             (long long)(changes() - before), QUIET_WINDOW_S);
}

static WAITS void orphans_task(void *arg)
{
    struct phase *p = arg;
    int           count;

    while ((count = p->run->scenario->orphans(p->run, p->life)) != 0 && !task_cancelled()) {
        sim_note(&p->run->cluster.sim, "%d blobs are named by no row", count);
        task_sleep(QUIET_WINDOW_S * NS_PER_S);
    }
    p->done = true;
}

/* What uploads that died have left goes. */
static void orphans_go(struct run *run)
{
    struct phase p = { run, some_life(run), false };

    env_spawn(&p.life->env.env, "orphans", orphans_task, &p);
    if (!sim_run_while(&run->cluster.sim, &p.done, run->cluster.sim.now + QUIET_S * NS_PER_S))
        sim_fail(&run->cluster.sim, "liveness: blobs that no row names stay");
}

static void judge(struct run *run, struct sim_result *result)
{
    struct linear_result linear;
    char                 text[256];

    linear_check(&run->history, &linear);
    result->undecided = linear.verdict == LINEAR_UNDECIDED;
    if (linear.verdict != LINEAR_NO)
        return;
    sim_fail(&run->cluster.sim, "not linearizable: %s",
             history_text(&run->history.ops[linear.stuck], text, sizeof text));
    for (uint32_t i = 0; run->cluster.sim.verbose && i < run->history.count; i++)
        if (run->history.ops[i].key == linear.key)
            sim_note(&run->cluster.sim, "history op %u %s", i,
                     history_text(&run->history.ops[i], text, sizeof text));
}

static void fill_result(struct run *run, struct sim_result *result)
{
    const struct sim *sim = &run->cluster.sim;

    for (uint32_t i = 0; i < run->history.count; i++) {
        switch (run->history.ops[i].outcome) {
        case HISTORY_OPEN:    result->unknown++; break;
        case HISTORY_OK:      result->ok++; break;
        case HISTORY_REFUSED: result->refused++; break;
        case HISTORY_NEVER:   result->never++; break;
        }
    }
    result->steps_done = run->history.count;
    result->trace = sim->trace;
    result->events = sim->steps;
    result->frames = run->cluster.net.sent;
    result->kills = run->kills;
    result->virtual_ns = sim->now;
    result->failed = sim_failed(sim);
    snprintf(result->failure, sizeof result->failure, "%s", sim->failure);
}

void scenario_run(const struct scenario *scenario, uint64_t seed, uint32_t steps, bool verbose,
                  struct sim_result *ret_result)
{
    struct run *run = calloc(1, sizeof *run);
    struct sim *sim;

    assert(run);
    *ret_result = (struct sim_result) { 0 };
    sim = &run->cluster.sim;
    run->scenario = scenario;
    run->steps_left = steps;
    history_init(&run->history);
    cluster_init(&run->cluster, seed, &scenario->options, verbose);
    run->cluster.started = start_clients;
    run->cluster.started_arg = run;
    run->weak = random_node(run);
    for (uint32_t i = 1; i <= scenario->options.nodes; i++)
        cluster_start(&run->cluster, i);
    if (!wait_up(run, START_S))
        sim_fail(sim, "liveness: only %u of %u nodes started", cluster_up(&run->cluster), scenario->options.nodes);
    if (!sim_failed(sim))
        prepare(run);
    if (!sim_failed(sim))
        chaos(run);
    if (!sim_failed(sim))
        cluster_heal(&run->cluster);
    if (!sim_failed(sim))
        drain(run);
    if (!sim_failed(sim) && !wait_up(run, START_S) &&
        !(scenario->faults & (FAULT_SYNC | FAULT_ROT) && weak_is_out(run) &&
          cluster_up(&run->cluster) + 1 == scenario->options.nodes))
        sim_fail(sim, "liveness: only %u of %u nodes came back", cluster_up(&run->cluster), scenario->options.nodes);
    counter_add(sim_devices_lost, scenario->options.nodes - cluster_up(&run->cluster));
    if (!sim_failed(sim))
        verify(run);
    if (!sim_failed(sim))
        quiet(run);
    if (!sim_failed(sim) && scenario->orphans)
        orphans_go(run);
    if (!sim_failed(sim) && scenario->orphans)
        verify(run);   /* And nothing else went with it. */
    if (!sim_failed(sim))
        judge(run, ret_result);
    fill_result(run, ret_result);
    if (!ret_result->failed)
        cluster_done(&run->cluster);   /* After a failure anything may hang; the process ends anyway. */
    history_done(&run->history);
    if (scenario->free_workload)
        scenario->free_workload(run);
    free(run);
}
