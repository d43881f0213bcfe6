/* sim/rows.c - registers: writes, conditional writes, deletes, reads and listings
 * of rows, all of one shard, judged as registers. A row's value carries its id,
 * and inline bytes that follow from it. */
#include "sim/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/counter.h"

COUNTER(sim_rows_damaged, "Simulator: rows read whose bytes were not those of their id.");

enum { ID_BYTES = 8, STEP_MS = 3000 };

static void shard_of(struct run *run, struct shard *ret_shard)
{
    *ret_shard = (struct shard) {
        .ring = run->scenario->options.row_replicas == 5 ? run->cluster.index5 : run->cluster.index3,
    };
    memset(ret_shard->id, 0x5A, sizeof ret_shard->id);
}

static struct slice key_name(uint32_t key, char name[16])
{
    return slice_of(name, (size_t)snprintf(name, 16, "key-%04u", key));
}

/* How many inline bytes a value has follows from its id. */
static size_t data_size(uint64_t id)
{
    static const size_t sizes[] = { 0, 0, 1, 100, 511, 4096, ROW_INLINE_MAX };

    return sizes[id % (sizeof sizes / sizeof sizes[0])];
}

static Rs__RowValue *make_value(struct arena *arena, uint64_t id)
{
    Rs__RowValue *value = arena_new(arena, Rs__RowValue);

    rs__row_value__init(value);
    if (id == 0) {
        value->tombstone = true;
        return value;
    }
    value->meta.len = ID_BYTES;
    value->meta.data = arena_alloc(arena, ID_BYTES);
    put_u64le(value->meta.data, id);
    value->data.len = data_size(id);
    value->data.data = arena_alloc(arena, value->data.len + 1);
    memset(value->data.data, (int)(id * 131 % 251), value->data.len);
    value->size = value->data.len;
    value->counted = true;
    return value;
}

/* The id that a value carries; 0 when there is none. Checks the bytes when they are there. */
static uint64_t value_id(struct run *run, const Rs__RowValue *value, bool full)
{
    uint64_t id;

    if (!value)
        return 0;
    if (value->meta.len != ID_BYTES) {
        sim_fail(&run->cluster.sim, "a row has metadata of %zu bytes", value->meta.len);
        return 0;
    }
    id = get_u64le(value->meta.data);
    if (!full)
        return id;
    if (value->data.len != data_size(id))
        sim_fail(&run->cluster.sim, "value %llu has %zu inline bytes, not %zu", (unsigned long long)id,
                 value->data.len, data_size(id));
    for (size_t i = 0; i < value->data.len; i++)
        if (value->data.data[i] != (uint8_t)(id * 131 % 251)) {
            counter_inc(sim_rows_damaged);
            sim_fail(&run->cluster.sim, "value %llu has wrong inline bytes", (unsigned long long)id);
            break;
        }
    return id;
}

static int64_t deadline_of(struct life *life)
{
    return env_now(&life->env.env) + STEP_MS * NS_PER_MS;
}

/* Nothing was accepted: that is promised with this code only. */
static enum history_outcome outcome_of(int rc)
{
    return rc == 0 ? HISTORY_OK : rc == -E_UNAVAILABLE ? HISTORY_NEVER : HISTORY_OPEN;
}

static WAITS int do_read(struct run *run, struct life *life, uint32_t client, uint32_t key, int64_t deadline)
{
    enum row_want    want = rng_chance(run_rng(run), 1, 2) ? ROW_FULL : ROW_META;
    struct shard     shard;
    struct row_state state;
    struct arena     arena;
    struct error     err;
    char             name[16];
    uint32_t         op = run_begin(run, client, key, HISTORY_READ, 0, 0);
    int              rc;

    shard_of(run, &shard);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = row_read(life->rows, &shard, key_name(key, name), want, deadline, &arena, &state, &err);
    if (rc == -E_CORRUPT)
        sim_fail(&run->cluster.sim, "key %u: %s", key, err.text);
    run_end(run, op, rc == 0 ? HISTORY_OK : HISTORY_OPEN,
            rc == 0 && state.exists ? value_id(run, state.value, want == ROW_FULL) : 0, rc);
    arena_done(&arena);
    return rc;
}

static WAITS void do_write(struct run *run, struct life *life, uint32_t client, uint32_t key, uint64_t id)
{
    struct shard shard;
    struct arena arena;
    char         name[16];
    uint32_t     op = run_begin(run, client, key, HISTORY_WRITE, id, 0);
    int          rc;

    shard_of(run, &shard);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = row_write(life->rows, &shard, key_name(key, name), make_value(&arena, id), deadline_of(life), NULL, NULL, NULL);
    run_end(run, op, outcome_of(rc), 0, rc);
    arena_done(&arena);
}

struct swap {
    struct run *run;
    uint64_t    expected, value;
};

static int swap_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                       struct error *err)
{
    struct swap *s = ctx;
    uint64_t     id = now->exists ? value_id(s->run, now->value, false) : 0;

    if (s->expected == HISTORY_ANYTHING ? id == 0 : id != s->expected)
        return error_set(err, -E_CONDITION, "the row holds %llu", (unsigned long long)id);
    *ret_value = make_value(arena, s->value);
    return 0;
}

static WAITS void do_swap(struct run *run, struct life *life, uint32_t client, uint32_t key, uint64_t expected,
                          uint64_t value)
{
    struct swap      swap = { run, expected, value };
    struct shard     shard;
    struct row_state before;
    struct arena     arena;
    char             name[16];
    uint32_t         op = run_begin(run, client, key, HISTORY_SWAP, value, expected);
    int              rc;

    shard_of(run, &shard);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = row_update(life->rows, &shard, key_name(key, name), swap_decide, &swap, deadline_of(life), &arena, &before,
                    NULL, NULL);
    run_end(run, op, rc == -E_CONDITION ? HISTORY_REFUSED : outcome_of(rc), 0, rc);
    arena_done(&arena);
}

/* The newest id that some read saw of the key: so that a swap has a chance. */
static uint64_t last_seen(struct run *run, uint32_t key)
{
    for (uint32_t i = run->history.count; i > 0; i--) {
        const struct history_op *op = &run->history.ops[i - 1];

        if (op->key == key && op->outcome == HISTORY_OK)
            return op->value;
    }
    return 0;
}

/* One page of a listing is a read of every key that it covers. */
static WAITS int list_page(struct run *run, struct life *life, uint32_t client, uint32_t *from)
{
    uint32_t         keys = run->scenario->keys, limit = 1 + (uint32_t)rng_below(run_rng(run), keys + 2), end = keys;
    uint32_t         first = *from, op = 0, at = 0;
    char             after[16];
    struct row_range range = { .limit = limit };
    struct row_page  page = { 0 };
    struct shard     shard;
    struct arena     arena;
    int              rc;

    shard_of(run, &shard);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    if (first > 0)
        range.after = key_name(first - 1, after);
    for (uint32_t key = first; key < keys; key++) {
        uint32_t i = run_begin(run, client, key, HISTORY_READ, 0, 0);

        op = key == first ? i : op;
    }
    rc = row_list(life->rows, &shard, &range, deadline_of(life), &arena, &page, NULL);
    if (rc == 0 && page.more && page.count > 0)
        end = 0;
    for (uint32_t key = first; rc == 0 && key < keys; key++) {
        char         name[16];
        struct slice wanted = key_name(key, name);
        uint64_t     id = 0;

        if (at < page.count && slice_equal(page.entries[at].name, wanted)) {
            id = value_id(run, page.entries[at].value, false);
            at++;
            if (at == page.count && page.more)
                end = key + 1;
        } else if (end == 0 && at == page.count) {
            break;
        }
        /* A listing's reads end together; other tasks may not have begun others between them, since this does not wait. */
        run_end(run, op + (key - first), HISTORY_OK, id, 0);
        if (end == key + 1)
            break;
    }
    if (rc == 0 && at < page.count)
        sim_fail(&run->cluster.sim, "a listing has the name '%.*s' out of place", SLICE_ARG(page.entries[at].name));
    *from = end;
    arena_done(&arena);
    return rc;
}

static WAITS void do_list(struct run *run, struct life *life, uint32_t client)
{
    uint32_t from = 0;

    while (from < run->scenario->keys && list_page(run, life, client, &from) == 0)
        ;
}

WAITS void rows_step(struct run *run, struct life *life, uint32_t client)
{
    struct rng *rng = run_rng(run);
    uint32_t    key = (uint32_t)rng_below(rng, run->scenario->keys);

    if (run->scenario->deletes && rng_chance(rng, 1, 3)) {
        do_write(run, life, client, key, 0);
        return;
    }
    switch (rng_below(rng, 12)) {
    case 0: case 1: case 2:
        do_write(run, life, client, key, history_value(&run->history));
        break;
    case 3:
        do_write(run, life, client, key, 0);
        break;
    case 4:
        do_swap(run, life, client, key, 0, history_value(&run->history));
        break;
    case 5:
        do_swap(run, life, client, key, HISTORY_ANYTHING, rng_chance(rng, 1, 4) ? 0 : history_value(&run->history));
        break;
    case 6:
        do_swap(run, life, client, key, last_seen(run, key), history_value(&run->history));
        break;
    case 7:
        do_list(run, life, client);
        break;
    default:
        do_read(run, life, client, key, deadline_of(life));
    }
}

WAITS int rows_verify(struct run *run, struct life *life, uint32_t key)
{
    return do_read(run, life, UINT32_MAX, key, deadline_of(life));
}
