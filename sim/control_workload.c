/* sim/control_workload.c - keys of the control store as registers. */
#include "sim/control_workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/store.h"
#include "sim/kv_sim.h"

static struct slice key_name(uint32_t key, char name[16])
{
    return slice_of(name, (size_t)snprintf(name, 16, "k/%04u", key));
}

static struct slice value_text(uint64_t id, char text[24])
{
    return slice_of(text, (size_t)snprintf(text, 24, "%llu", (unsigned long long)id));
}

static uint64_t value_id(struct slice value)
{
    char text[24] = { 0 };

    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    return strtoull(text, NULL, 10);
}

WAITS int control_start(struct life *life, struct error *err)
{
    int rc;

    if (!life->node->cluster->options.control)
        return 0;
    if (life->node->id != CONTROL_NODE)
        return control_open_remote(life->rpc, CONTROL_NODE, &life->control, err);
    rc = control_open_embedded(&life->env.env, "srv/control", &kv_sim, &life->control, err);
    if (rc == 0)
        control_serve(life->control, life->rpc);
    return rc;
}

WAITS void control_stop(struct life *life)
{
    life->control = control_close(life->control);
}

static enum history_outcome outcome_of(int rc)
{
    return rc == 0 ? HISTORY_OK : rc == -E_CONDITION || rc == -ENOENT ? HISTORY_REFUSED
         : rc == -E_UNAVAILABLE ? HISTORY_NEVER : HISTORY_OPEN;
}

static WAITS int do_get(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    struct control_entry entry;
    struct arena         arena;
    char                 name[16];
    uint32_t             op = run_begin(run, client, key, HISTORY_READ, 0, 0);
    int                  rc;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = control_get(life->control, key_name(key, name), &arena, &entry);
    run_end(run, op, rc == 0 || rc == -ENOENT ? HISTORY_OK : HISTORY_OPEN, rc == 0 ? value_id(entry.value) : 0, rc);
    arena_done(&arena);
    return rc == -ENOENT ? 0 : rc;
}

/* One transaction: a put of 'value' (0: a delete) when the key holds what is expected. */
static WAITS void do_txn(struct run *run, struct life *life, uint32_t client, uint32_t key, enum history_kind kind,
                         uint64_t expected, uint64_t value)
{
    char                   name[16], old_text[24], new_text[24];
    struct control_compare compare = { .key = key_name(key, name) };
    struct control_op      change = { .kind = value ? CONTROL_PUT : CONTROL_DELETE, .key = compare.key };
    uint32_t               op, failed;
    int                    rc;

    compare.kind = expected == 0 ? CONTROL_IF_MISSING : expected == HISTORY_ANYTHING ? CONTROL_IF_EXISTS
                                                                                      : CONTROL_IF_VALUE;
    if (compare.kind == CONTROL_IF_VALUE)
        compare.value = value_text(expected, old_text);
    if (value)
        change.value = value_text(value, new_text);
    op = run_begin(run, client, key, kind, value, expected);
    rc = control_txn(life->control, &compare, kind == HISTORY_SWAP, &change, 1, NULL, &failed);
    run_end(run, op, outcome_of(rc), 0, rc);
}

static WAITS void do_delete(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    char     name[16];
    uint32_t op = run_begin(run, client, key, HISTORY_SWAP, 0, HISTORY_ANYTHING);
    int      rc = control_delete(life->control, key_name(key, name), NULL);

    run_end(run, op, outcome_of(rc), 0, rc);
}

/* A range is a snapshot, so certainly a read of each key. */
static WAITS void do_range(struct run *run, struct life *life, uint32_t client)
{
    struct control_entry *entries = NULL;
    struct arena          arena;
    uint64_t              revision;
    uint32_t              count = 0, at = 0, first = 0;
    int                   rc;

    for (uint32_t key = 0; key < run->scenario->keys; key++) {
        uint32_t op = run_begin(run, client, key, HISTORY_READ, 0, 0);

        first = key == 0 ? op : first;
    }
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = control_prefix(life->control, SLICE("k/"), &arena, &entries, &count, &revision);
    for (uint32_t key = 0; rc == 0 && key < run->scenario->keys; key++) {
        char     name[16];
        uint64_t id = 0;

        if (at < count && slice_equal(entries[at].key, key_name(key, name)))
            id = value_id(entries[at++].value);
        run_end(run, first + key, HISTORY_OK, id, 0);
    }
    if (rc == 0 && at < count)
        sim_fail(&run->cluster.sim, "a range has the key '%.*s' out of place", SLICE_ARG(entries[at].key));
    arena_done(&arena);
}

static uint64_t last_seen(struct run *run, uint32_t key)
{
    for (uint32_t i = run->history.count; i > 0; i--) {
        const struct history_op *op = &run->history.ops[i - 1];

        if (op->key == key && op->outcome == HISTORY_OK && op->value != 0)
            return op->value;
    }
    return HISTORY_ANYTHING;
}

WAITS void control_step(struct run *run, struct life *life, uint32_t client)
{
    struct rng *rng = run_rng(run);
    uint32_t    key = (uint32_t)rng_below(rng, run->scenario->keys);

    switch (rng_below(rng, 10)) {
    case 0: case 1:
        do_txn(run, life, client, key, HISTORY_WRITE, 0, history_value(&run->history));
        break;
    case 2:
        do_txn(run, life, client, key, HISTORY_SWAP, 0, history_value(&run->history));
        break;
    case 3: case 4:
        do_txn(run, life, client, key, HISTORY_SWAP, last_seen(run, key),
               rng_chance(rng, 1, 4) ? 0 : history_value(&run->history));
        break;
    case 5:
        do_delete(run, life, client, key);
        break;
    case 6:
        do_range(run, life, client);
        break;
    default:
        do_get(run, life, client, key);
    }
}

WAITS int control_verify(struct run *run, struct life *life, uint32_t key)
{
    return do_get(run, life, UINT32_MAX, key);
}
