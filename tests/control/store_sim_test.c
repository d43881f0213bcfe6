/* tests/control/store_sim_test.c - the control store and its remote clients in the simulator.
 *
 * Goal: acknowledged transactions survive what a crash and a bad network may do;
 * none runs twice; watches skip nothing; leases keep their promise.
 * Method: node 1 serves the store and is killed or loses power at random; nodes 2
 * and 3 work through RPC while frames are lost, doubled, late and connections
 * break. The seed decides everything; SEED=N replays one, SEEDS=N runs more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/rpc.h"
#include "control/store.h"
#include "sim/env_sim.h"
#include "sim/kv_sim.h"
#include "sim/net_sim.h"
#include "tests/lib/test.h"

enum {
    SERVER = 1, CLIENTS = 2, CLUSTER = 9,
    DISK_BYTES = 256 * 1024 * 1024,
    CHAOS_S = 120,                /* Virtual. */
    QUIET_S = 300,                /* To come to an end after healing. */
    COUNTERS = 4, KEYS_MAX = 4096
};

struct world;
struct life {
    struct env_sim  env;
    struct world   *world;
    struct rpc     *rpc;
    struct control *control;
    bool            boot_done;
};

/* What a watcher knows of a key. */
struct seen {
    char     key[48], value[48];
    uint64_t version, mod;
    bool     deleted;
};

struct world {
    struct sim        sim;
    struct net_sim    net;
    struct task_group group;
    struct disk      *server_disk, *client_disk[CLIENTS];
    struct life      *server, *client[CLIENTS];
    uint32_t          dying, running;
    bool              stop, done;
    uint32_t          crashes;                     /* Of the server: leases may live longer then. */
    uint64_t          acked, unsure, refused, lease_ends, watched, reloads;
    uint32_t          counter_acked[COUNTERS], counter_unsure[COUNTERS];
    struct seen       seen[KEYS_MAX];
    uint32_t          seen_count;
    uint64_t          watch_revision;
};

static bool chance(struct world *w, uint64_t n, uint64_t of) { return rng_chance(&w->sim.rng, n, of); }

/* --- Lives. --- */

WAITS static void boot_server(void *arg)
{
    struct life    *life = arg;
    struct error    err = { 0 };
    struct control *control;
    int             rc = control_open_embedded(&life->env.env, "srv/control", &kv_sim, &control, &err);

    if (rc == 0) {
        life->control = control;
        if (!life->env.env.dead) {
            control_serve(control, life->rpc);
            net_sim_plug(&life->world->net, SERVER, life->rpc);
        }
    } else if (!life->env.env.dead) {
        sim_fail(&life->world->sim, "the store does not open: %s: %s", error_name(rc), err.text);
    }
    life->boot_done = true;
}

static struct life *life_new(struct world *w, struct disk *disk, uint32_t node)
{
    struct life *life = calloc(1, sizeof *life);

    env_sim_init(&life->env, &w->sim, disk, node);
    life->world = w;
    life->rpc = rpc_new(&life->env.env, CLUSTER);
    return life;
}

static void start_server(struct world *w)
{
    w->server = life_new(w, w->server_disk, SERVER);
    assert_int_equal(env_spawn(&w->server->env.env, "boot", boot_server, w->server), 0);
}

WAITS static void bury(void *arg)
{
    struct life  *life = arg;
    struct world *w = life->world;

    for (int i = 0; life->env.env.group.count > 0; i++) {
        if (i == 60000) {
            sim_fail(&w->sim, "task '%s' of a dead node does not end", task_name(life->env.env.group.first));
            return;
        }
        sim_pause(&w->sim, NS_PER_MS);
    }
    control_close(life->control);
    rpc_free(life->rpc);
    free(life);
    w->dying--;
}

static void kill_life(struct world *w, struct life **io_life, uint32_t node, bool power)
{
    struct life *life = *io_life;

    *io_life = NULL;
    net_sim_plug(&w->net, node, NULL);
    env_sim_kill(&life->env, power);
    w->dying++;
    assert_int_equal(task_spawn(w->sim.sched, &w->group, "bury", bury, life), 0);
}

/* --- Clients. --- */

struct job {
    struct world *world;
    struct life  *life;
    uint32_t      number;
};

static bool went_on(int rc) { return rc == -E_OVERLOAD || rc == -E_UNAVAILABLE || rc == -E_CLOSED || rc == -E_DEVICE; }

static void count(struct world *w, int rc)
{
    if (rc == 0)
        w->acked++;
    else if (rc == -E_UNSURE)
        w->unsure++;
    else if (rc == -E_CONDITION || went_on(rc))
        w->refused++;
    else
        sim_fail(&w->sim, "unexpected: %s", error_name(rc));
}

WAITS static void increment_run(void *arg)
{
    struct job     job = *(struct job *)arg;
    struct world  *w = job.world;
    struct control *control = job.life->control;

    while (!w->stop && !sim_failed(&w->sim)) {
        struct arena         arena;
        struct control_entry entry = { .mod_revision = 0 };
        uint32_t             i = (uint32_t)rng_below(&w->sim.rng, COUNTERS);
        char                 key[48], value[48] = "1";
        snprintf(key, sizeof key, "counter/%u", i);
        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        int rc = control_get(control, slice_str(key), &arena, &entry);
        if (rc == 0)
            snprintf(value, sizeof value, "%lu", strtoul(arena_str(&arena, entry.value), NULL, 10) + 1);
        if (rc == 0 || rc == -ENOENT) {
            struct control_compare same = { .kind = CONTROL_IF_MOD_REVISION, .key = slice_str(key),
                                            .revision = entry.mod_revision };
            struct control_op      op = { .kind = CONTROL_PUT, .key = slice_str(key), .value = slice_str(value) };
            rc = control_txn(control, &same, 1, &op, 1, NULL, NULL);
            count(w, rc);
            w->counter_acked[i] += rc == 0;
            w->counter_unsure[i] += rc == -E_UNSURE;
        }
        arena_done(&arena);
        task_sleep((int64_t)rng_below(&w->sim.rng, 300) * NS_PER_MS);
    }
    w->running--;
}

/* Only this task writes its key, without condition: a read after an acknowledged write finds it, unless a late
 * duplicate of an older one ran again. An unknown outcome may come true at any time: then another key is taken. */
WAITS static void owner_run(void *arg)
{
    struct job      job = *(struct job *)arg;
    struct world   *w = job.world;
    struct control *control = job.life->control;
    uint32_t        epoch = 0, n = 0;

    while (!w->stop && !sim_failed(&w->sim)) {
        struct arena         arena;
        struct control_entry entry;
        char                 key[48], value[48];
        snprintf(key, sizeof key, "own/%u/%u", job.number, epoch);
        snprintf(value, sizeof value, "%u", ++n);
        int rc = control_put(control, slice_str(key), slice_str(value), NULL);
        count(w, rc);
        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        if (rc == -E_UNSURE) {
            epoch++;
        } else if (rc == 0) {
            rc = control_get(control, slice_str(key), &arena, &entry);
            if (rc == 0 && !slice_equal(entry.value, slice_str(value)))
                sim_fail(&w->sim, "%s is %.*s after %s was acknowledged", key, SLICE_ARG(entry.value), value);
            else if (rc == -ENOENT)
                sim_fail(&w->sim, "%s is missing after %s was acknowledged", key, value);
        }
        arena_done(&arena);
        task_sleep((int64_t)rng_below(&w->sim.rng, 200) * NS_PER_MS);
    }
    w->running--;
}

/* Holds a key by a lease, keeps it for a while, lets it go: not before its time, and not for ever. */
WAITS static void lease_round(struct world *w, struct control *control, struct env *env, uint32_t number,
                              uint32_t *io_round)
{
    enum { TTL_S = 5, SLACK_S = 60 };
    struct arena         arena;
    struct control_entry entry;
    uint64_t             lease;
    char                 key[48];
    int64_t              kept = env_now(env);

    snprintf(key, sizeof key, "lease/%u/%u", number, (*io_round)++);
    if (control_lease_grant(control, TTL_S, &lease))
        return;
    struct control_op op = { .kind = CONTROL_PUT, .key = slice_str(key), .value = SLICE("held"), .lease = lease };
    if (control_txn(control, NULL, 0, &op, 1, NULL, NULL))
        return;
    for (int i = 0; i < 5; i++) {
        task_sleep(NS_PER_S + (int64_t)rng_below(&w->sim.rng, 2000) * NS_PER_MS);
        int64_t now = env_now(env);
        if (control_lease_keep(control, lease) == 0)
            kept = now;
    }
    bool held = true;
    while (held && !sim_failed(&w->sim)) {
        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        int rc = control_get(control, slice_str(key), &arena, &entry);
        arena_done(&arena);
        int64_t age = env_now(env) - kept;
        if (rc == -ENOENT && age < TTL_S * NS_PER_S)
            sim_fail(&w->sim, "%s went %lld ms after it was kept", key, (long long)(age / NS_PER_MS));
        if (rc == 0 && w->stop && age > (TTL_S + SLACK_S) * NS_PER_S)
            sim_fail(&w->sim, "%s is still held %lld s later", key, (long long)(age / NS_PER_S));
        held = rc != -ENOENT;
        task_sleep(500 * NS_PER_MS);
    }
    w->lease_ends++;
}

WAITS static void lease_run(void *arg)
{
    struct job job = *(struct job *)arg;
    uint32_t   round = 0;

    while (!job.world->stop && !sim_failed(&job.world->sim)) {
        lease_round(job.world, job.life->control, &job.life->env.env, job.number, &round);
        task_sleep(NS_PER_S);
    }
    job.world->running--;
}

/* --- The watcher. --- */

static struct seen *seen_find(struct world *w, struct slice key)
{
    for (uint32_t i = 0; i < w->seen_count; i++) {
        if (slice_equal(slice_str(w->seen[i].key), key))
            return &w->seen[i];
    }
    if (w->seen_count == KEYS_MAX) {
        sim_fail(&w->sim, "too many keys");
        return &w->seen[0];
    }
    struct seen *s = &w->seen[w->seen_count++];
    snprintf(s->key, sizeof s->key, "%.*s", SLICE_ARG(key));
    s->deleted = true;
    return s;
}

static void take(struct world *w, const struct control_change *change)
{
    struct seen *s = seen_find(w, change->entry.key);

    if (change->revision < w->watch_revision)
        sim_fail(&w->sim, "revision %llu after %llu", (unsigned long long)change->revision,
                 (unsigned long long)w->watch_revision);
    if (!change->deleted && change->entry.version != (s->deleted ? 1 : s->version + 1))
        sim_fail(&w->sim, "%s: version %llu after %llu%s", s->key, (unsigned long long)change->entry.version,
                 (unsigned long long)s->version, s->deleted ? " and a delete" : "");
    if (change->deleted && s->deleted)
        sim_fail(&w->sim, "%s deleted twice", s->key);
    w->watch_revision = change->revision;
    w->watched++;
    s->deleted = change->deleted;
    s->version = change->entry.version;
    s->mod = change->revision;
    snprintf(s->value, sizeof s->value, "%.*s", SLICE_ARG(change->entry.value));
}

/* Follows everything from the beginning; now and then by a new watch from where the last one stopped. */
WAITS static void watch_run(void *arg)
{
    struct job            job = *(struct job *)arg;
    struct world         *w = job.world;
    struct env           *env = &job.life->env.env;
    struct control_watch *watch = NULL;
    uint64_t              position = 0;
    bool                  whole = true;    /* Between two revisions. */

    while (!w->done && !sim_failed(&w->sim)) {
        struct control_change change;
        if (watch == NULL)
            assert_int_equal(control_watch(job.life->control, SLICE(""), position, &watch), 0);
        int rc = control_watch_next(watch, env_now(env) + 2 * NS_PER_S, &change);
        if (rc == 0) {
            take(w, &change);
            whole = change.last;
            if (whole)
                position = change.revision;
        } else if (rc != -ETIMEDOUT && !went_on(rc)) {
            sim_fail(&w->sim, "watch: %s", error_name(rc));
        }
        if (whole && chance(w, 1, 20)) {
            watch = control_watch_free(watch);
            w->reloads++;
        }
    }
    control_watch_free(watch);
    w->running--;
}

/* --- The run. --- */

WAITS static void chaos_run(void *arg)
{
    struct world *w = arg;
    int64_t       end = w->sim.now + CHAOS_S * NS_PER_S;

    while (w->sim.now < end && !sim_failed(&w->sim)) {
        sim_pause(&w->sim, (int64_t)rng_below(&w->sim.rng, 6000) * NS_PER_MS);
        if (chance(w, 1, 2)) {
            net_sim_break(&w->net, SERVER, 2 + (uint32_t)rng_below(&w->sim.rng, CLIENTS));
        } else if (chance(w, 1, 2) && w->server) {
            w->crashes++;
            kill_life(w, &w->server, SERVER, chance(w, 1, 2));
            sim_pause(&w->sim, (int64_t)rng_below(&w->sim.rng, 3000) * NS_PER_MS);
            start_server(w);
        }
    }
    net_sim_heal(&w->net);
    w->stop = true;
    w->running--;
}

/* After everything stopped: what is there against what was acknowledged and what was watched. */
WAITS static void judge_run(void *arg)
{
    struct world         *w = arg;
    struct arena          arena;
    struct control_entry *entries;
    uint32_t              n, live = 0;
    uint64_t              revision;

    arena_init(&arena, 16 * 1024 * 1024);
    int rc = control_prefix(w->client[0]->control, SLICE(""), &arena, &entries, &n, &revision);
    if (rc)
        sim_fail(&w->sim, "the store cannot be read at the end: %s", error_name(rc));
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        struct seen *s = seen_find(w, entries[i].key);
        if (s->deleted || s->mod != entries[i].mod_revision || !slice_equal(slice_str(s->value), entries[i].value))
            sim_fail(&w->sim, "%s is %.*s, but the watch saw %s", s->key, SLICE_ARG(entries[i].value), s->value);
        for (uint32_t k = 0; k < COUNTERS; k++) {
            char key[48];
            snprintf(key, sizeof key, "counter/%u", k);
            uint64_t value = strtoul(arena_str(&arena, entries[i].value), NULL, 10);
            if (slice_equal(entries[i].key, slice_str(key)) &&
                (value < w->counter_acked[k] || value > w->counter_acked[k] + w->counter_unsure[k]))
                sim_fail(&w->sim, "%s is %llu: %u acknowledged, %u unknown", key, (unsigned long long)value,
                         w->counter_acked[k], w->counter_unsure[k]);
        }
    }
    for (uint32_t i = 0; i < w->seen_count; i++)
        live += !w->seen[i].deleted;
    if (rc == 0 && live != n)
        sim_fail(&w->sim, "%u keys, but the watch knows %u", n, live);
    arena_done(&arena);
    w->running--;
}

static void spawn(struct world *w, struct env *env, const char *name, task_fn fn, void *arg)
{
    w->running++;
    assert_int_equal(env ? env_spawn(env, name, fn, arg) : task_spawn(w->sim.sched, &w->group, name, fn, arg), 0);
}

static void run_until_idle(struct world *w, const char *what, uint32_t left, int64_t seconds)
{
    int64_t end = w->sim.now + seconds * NS_PER_S;

    while (w->running > left && !sim_failed(&w->sim) && w->sim.now < end)
        sim_run_until(&w->sim, w->sim.now + NS_PER_S);
    if (w->running > left)
        sim_fail(&w->sim, "%s: %u tasks still run", what, w->running - left);
}

static void finish(struct world *w)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        kill_life(w, &w->client[i], 2 + i, false);
    if (w->server)
        kill_life(w, &w->server, SERVER, false);
    w->sim.failure[0] = '\0';
    for (int i = 0; i < 1000 && w->dying; i++)
        sim_run_until(&w->sim, w->sim.now + NS_PER_S);
    assert_int_equal(w->dying, 0);
    sim_run_until(&w->sim, w->sim.now + 1000 * NS_PER_S);
    disk_free(w->server_disk);
    for (uint32_t i = 0; i < CLIENTS; i++)
        disk_free(w->client_disk[i]);
    sim_done(&w->sim);
}

/* True when nothing was wrong. */
static bool run_seed(uint64_t seed, struct world *w)
{
    struct job   job[CLIENTS * 3 + 1];
    struct error err;
    uint32_t     jobs = 0;

    memset(w, 0, sizeof *w);
    sim_init(&w->sim, seed);
    net_sim_init(&w->net, &w->sim);
    task_group_init(&w->group, w->sim.sched);
    w->net.drop_ppm = chance(w, 1, 2) ? 20000 : 0;
    w->net.duplicate_ppm = 100000;
    w->net.late_ppm = 50000;
    w->net.late_ms_max = 3000;
    w->server_disk = disk_new(rng_fork(&w->sim.rng), DISK_BYTES);
    disk_mount(w->server_disk, "srv");
    start_server(w);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        w->client_disk[i] = disk_new(rng_fork(&w->sim.rng), DISK_BYTES);
        w->client[i] = life_new(w, w->client_disk[i], 2 + i);
        net_sim_plug(&w->net, 2 + i, w->client[i]->rpc);
        assert_int_equal(control_open_remote(w->client[i]->rpc, SERVER, &w->client[i]->control, &err), 0);
        task_fn fn[3] = { increment_run, owner_run, lease_run };
        for (int k = 0; k < 3; k++) {
            job[jobs] = (struct job) { w, w->client[i], i };
            spawn(w, &w->client[i]->env.env, "client", fn[k], &job[jobs++]);
        }
    }
    job[jobs] = (struct job) { w, w->client[1], 0 };
    spawn(w, &w->client[1]->env.env, "watch", watch_run, &job[jobs]);
    spawn(w, NULL, "chaos", chaos_run, w);
    run_until_idle(w, "after healing", 1, CHAOS_S + QUIET_S);   /* The watcher goes on. */
    sim_run_until(&w->sim, w->sim.now + 30 * NS_PER_S);
    w->done = true;
    run_until_idle(w, "the watcher", 0, 60);
    if (!sim_failed(&w->sim)) {
        spawn(w, &w->client[0]->env.env, "judge", judge_run, w);
        run_until_idle(w, "the judge", 0, 60);
    }
    bool good = !sim_failed(&w->sim);
    if (!good)
        print_message("seed %llu: %s\n", (unsigned long long)seed, w->sim.failure);
    finish(w);
    return good;
}

static void store__keeps_its_promises_under_faults(void **state)
{
    const char   *one = getenv("SEED"), *many = getenv("SEEDS");
    uint64_t      first = one ? strtoull(one, NULL, 0) : 1, seeds = one ? 1 : many ? strtoull(many, NULL, 0) : 20;
    uint64_t      acked = 0, unsure = 0, crashes = 0, leases = 0, bad = 0;
    struct world *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        bad += !run_seed(seed, w);
        acked += w->acked;
        unsure += w->unsure;
        crashes += w->crashes;
        leases += w->lease_ends;
    }
    print_message("%llu seeds: %llu acknowledged, %llu unknown, %llu crashes, %llu leases ended\n",
                  (unsigned long long)seeds, (unsigned long long)acked, (unsigned long long)unsure,
                  (unsigned long long)crashes, (unsigned long long)leases);
    free(w);
    assert_int_equal(bad, 0);
    /* Refusing all is no success; and the hard paths ran. */
    assert_true(acked > 100 * seeds);
    assert_true(one || (unsure > 0 && crashes > 0 && leases > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(store__keeps_its_promises_under_faults) };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
