/* tests/control/store_test.c - the control store's promises, on the embedded and on the remote face of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env_kernel.h"
#include "base/log.h"
#include "base/rpc.h"
#include "control/store.h"
#include "tests/lib/test.h"

enum { CLUSTER = 7 };

struct fixture {
    struct env     *env;
    char            dir[64];
    struct rpc     *rpc;
    struct control *embedded, *control;   /* 'control' is the face under test. */
    bool            remote;
    struct arena    arena;
};

static void open_store(struct fixture *f)
{
    struct error err = { 0 };
    int          rc = control_open_embedded(f->env, f->dir, NULL, &f->embedded, &err);

    if (rc)
        fail_msg("open: %s: %s", error_name(rc), err.text);
    f->control = f->embedded;
    if (f->remote) {
        control_serve(f->embedded, f->rpc);
        assert_int_equal(control_open_remote(f->rpc, rpc_node(f->rpc), &f->control, &err), 0);
    }
}

static void close_store(struct fixture *f)
{
    if (f->remote)
        control_close(f->control);
    control_close(f->embedded);
    f->control = f->embedded = NULL;
}

struct run {
    void (*fn)(struct fixture *f);
    bool remote;
};

static void run_task(struct env *env, void *arg)
{
    struct run    *run = arg;
    struct fixture f = { .env = env, .remote = run->remote };
    char           command[512];

    snprintf(f.dir, sizeof f.dir, "/tmp/control_test.XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    arena_init(&f.arena, 64 * 1024 * 1024);
    f.rpc = rpc_new(env, CLUSTER);
    open_store(&f);
    run->fn(&f);
    close_store(&f);
    /* Handlers and the rest of the RPC's tasks end before it is freed. */
    while (env->group.count > 1)
        task_yield();
    rpc_free(f.rpc);
    arena_done(&f.arena);
    snprintf(command, sizeof command, "rm -rf %s %s.copy", f.dir, f.dir);
    assert_int_equal(system(command), 0);
}

static void run_in_loop(void **state)
{
    struct kernel_options options = { .cpu_threads = 1, .io_threads = 2, .node_id = 1 };
    assert_int_equal(kernel_main(&options, run_task, *state), 0);
}

/* --- Helpers. --- */

static struct slice str(const char *text) { return slice_str(text); }

static uint64_t put(struct fixture *f, const char *key, const char *value)
{
    uint64_t revision = 0;
    assert_int_equal(control_put(f->control, str(key), str(value), &revision), 0);
    return revision;
}

static const char *get(struct fixture *f, const char *key)
{
    struct control_entry entry;
    int                  rc = control_get(f->control, str(key), &f->arena, &entry);
    if (rc == -ENOENT)
        return NULL;
    assert_int_equal(rc, 0);
    return arena_str(&f->arena, entry.value);
}

static int number(const char *text) { return (int)strtol(text, NULL, 10); }

static int64_t in_ms(struct fixture *f, int64_t ms) { return env_now(f->env) + ms * NS_PER_MS; }

static void expect_change(struct fixture *f, struct control_watch *w, const char *key, const char *value)
{
    struct control_change change;
    int                   rc = control_watch_next(w, in_ms(f, 10000), &change);

    assert_int_equal(rc, 0);
    assert_string_equal(arena_str(&f->arena, change.entry.key), key);
    assert_int_equal(change.deleted, value == NULL);
    if (value)
        assert_string_equal(arena_str(&f->arena, change.entry.value), value);
}

/* --- Keys and transactions. --- */

static void put__is_read_back_with_revisions(struct fixture *f)
{
    struct control_entry entry;
    uint64_t             first = put(f, "a", "1"), second = put(f, "a", "2");

    assert_int_equal(second, first + 1);
    assert_int_equal(control_get(f->control, str("a"), &f->arena, &entry), 0);
    assert_true(slice_equal(entry.value, str("2")));
    assert_int_equal(entry.create_revision, first);
    assert_int_equal(entry.mod_revision, second);
    assert_int_equal(entry.version, 2);
    assert_int_equal(control_get(f->control, str("b"), &f->arena, &entry), -ENOENT);
}

static void delete__missing_key_is_enoent(struct fixture *f)
{
    uint64_t revision = put(f, "a", "1"), deleted = 0;

    assert_int_equal(control_delete(f->control, str("b"), NULL), -ENOENT);
    assert_int_equal(control_delete(f->control, str("a"), &deleted), 0);
    assert_int_equal(deleted, revision + 1);
    assert_null(get(f, "a"));
    assert_int_equal(control_delete(f->control, str("a"), NULL), -ENOENT);
}

static void txn__each_precondition_guards_all_ops(struct fixture *f)
{
    uint64_t revision = put(f, "a", "1"), answered = 0;
    struct control_op ops[2] = { { .kind = CONTROL_PUT, .key = str("x"), .value = str("X") },
                                 { .kind = CONTROL_PUT, .key = str("y"), .value = str("Y") } };
    struct control_compare bad[] = {
        { .kind = CONTROL_IF_MISSING, .key = str("a") },
        { .kind = CONTROL_IF_EXISTS, .key = str("b") },
        { .kind = CONTROL_IF_MOD_REVISION, .key = str("a"), .revision = revision + 1 },
        { .kind = CONTROL_IF_MOD_REVISION, .key = str("b"), .revision = revision },
        { .kind = CONTROL_IF_VALUE, .key = str("a"), .value = str("2") },
        { .kind = CONTROL_IF_VALUE, .key = str("b"), .value = str("") },
    };
    struct control_compare good[] = {
        { .kind = CONTROL_IF_MISSING, .key = str("b") },
        { .kind = CONTROL_IF_EXISTS, .key = str("a") },
        { .kind = CONTROL_IF_MOD_REVISION, .key = str("a"), .revision = revision },
        { .kind = CONTROL_IF_MOD_REVISION, .key = str("b"), .revision = 0 },
        { .kind = CONTROL_IF_VALUE, .key = str("a"), .value = str("1") },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct control_compare compares[2] = { good[0], bad[i] };
        uint32_t               failed = 99;
        assert_int_equal(control_txn(f->control, compares, 2, ops, 2, NULL, &failed), -E_CONDITION);
        assert_int_equal(failed, 1);
    }
    assert_null(get(f, "x"));
    assert_int_equal(control_txn(f->control, good, 5, ops, 2, &answered, NULL), 0);
    assert_int_equal(answered, revision + 1);
    assert_string_equal(get(f, "x"), "X");
    assert_string_equal(get(f, "y"), "Y");
}

static void txn__later_ops_see_earlier_ones(struct fixture *f)
{
    put(f, "p/1", "old");
    put(f, "p/2", "old");
    struct control_op ops[] = {
        { .kind = CONTROL_PUT, .key = str("p/3"), .value = str("gone") },
        { .kind = CONTROL_DELETE_PREFIX, .key = str("p/") },
        { .kind = CONTROL_PUT, .key = str("p/2"), .value = str("new") },
    };
    uint64_t revision;
    assert_int_equal(control_txn(f->control, NULL, 0, ops, 3, &revision, NULL), 0);
    assert_null(get(f, "p/1"));
    assert_null(get(f, "p/3"));
    assert_string_equal(get(f, "p/2"), "new");

    struct control_watch *w;
    assert_int_equal(control_watch(f->control, str("p/"), revision - 1, &w), 0);
    struct control_change change;
    int                   seen = 0, last = 0;
    do {
        assert_int_equal(control_watch_next(w, in_ms(f, 10000), &change), 0);
        assert_int_equal(change.revision, revision);
        assert_false(slice_equal(change.entry.key, str("p/3")));   /* Came and went unseen. */
        seen++;
        last += change.last;
    } while (!change.last);
    assert_int_equal(seen, 2);
    assert_int_equal(last, 1);
    control_watch_free(w);
}

static void txn__without_effect_keeps_the_revision(struct fixture *f)
{
    uint64_t               revision = put(f, "a", "1"), answered = 0;
    struct control_compare there = { .kind = CONTROL_IF_EXISTS, .key = str("a") };
    struct control_op      nothing = { .kind = CONTROL_DELETE, .key = str("b") };

    assert_int_equal(control_txn(f->control, &there, 1, NULL, 0, &answered, NULL), 0);
    assert_int_equal(answered, revision);
    assert_int_equal(control_txn(f->control, NULL, 0, &nothing, 1, &answered, NULL), 0);
    assert_int_equal(answered, revision);
}

static void range__respects_bounds_limit_and_order(struct fixture *f)
{
    struct control_entry *entries;
    uint32_t              count;
    bool                  more;
    uint64_t              revision, last = 0;

    for (int i = 9; i >= 0; i--) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        last = put(f, key, key);
    }
    put(f, "j", "before");
    last = put(f, "l", "after");
    assert_int_equal(control_range(f->control, str("k2"), str("k5"), 0, &f->arena, &entries, &count, &more, &revision), 0);
    assert_int_equal(count, 3);
    assert_false(more);
    assert_int_equal(revision, last);
    assert_true(slice_equal(entries[0].key, str("k2")));
    assert_true(slice_equal(entries[2].key, str("k4")));
    assert_int_equal(control_range(f->control, str("k"), str(""), 4, &f->arena, &entries, &count, &more, &revision), 0);
    assert_int_equal(count, 4);
    assert_true(more);
    assert_int_equal(control_range(f->control, str("k5"), str("k2"), 0, &f->arena, &entries, &count, &more, &revision), 0);
    assert_int_equal(count, 0);
    assert_int_equal(control_prefix(f->control, str("k"), &f->arena, &entries, &count, &revision), 0);
    assert_int_equal(count, 10);
    assert_int_equal(control_prefix(f->control, str(""), &f->arena, &entries, &count, &revision), 0);
    assert_int_equal(count, 12);
}

static void prefix__of_many_large_values_is_whole(struct fixture *f)
{
    enum { SIZE = 100 * 1024, COUNT = 25 };
    struct control_entry *entries;
    uint32_t              count;
    bool                  more;
    uint64_t              revision;
    char                 *value = malloc(SIZE);

    for (int i = 0; i < COUNT; i++) {
        char key[8];
        snprintf(key, sizeof key, "v%02d", i);
        memset(value, 'a' + i, SIZE);
        assert_int_equal(control_put(f->control, str(key), slice_of(value, SIZE), NULL), 0);
    }
    free(value);
    assert_int_equal(control_range(f->control, str("v"), str("w"), 0, &f->arena, &entries, &count, &more, &revision), 0);
    assert_true(more);
    assert_in_range(count, 1, 7);
    assert_int_equal(control_prefix(f->control, str("v"), &f->arena, &entries, &count, &revision), 0);
    assert_int_equal(count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(entries[i].value.size, SIZE);
        assert_int_equal(entries[i].value.data[SIZE - 1], 'a' + i);
    }
}

/* --- Limits. --- */

static void limits__at_the_limit_works_past_it_fails(struct fixture *f)
{
    uint8_t *bytes = calloc(1, CONTROL_VALUE_MAX + 1);
    memset(bytes, 'k', CONTROL_KEY_MAX + 1);

    assert_int_equal(control_put(f->control, slice_of(bytes, CONTROL_KEY_MAX), str("v"), NULL), 0);
    assert_int_equal(control_put(f->control, slice_of(bytes, CONTROL_KEY_MAX + 1), str("v"), NULL), -E_LIMIT);
    assert_int_equal(control_put(f->control, str(""), str("v"), NULL), -EINVAL);
    assert_int_equal(control_put(f->control, str("v"), slice_of(bytes, CONTROL_VALUE_MAX), NULL), 0);
    assert_int_equal(control_put(f->control, str("v"), slice_of(bytes, CONTROL_VALUE_MAX + 1), NULL), -E_LIMIT);

    struct control_entry entry;
    assert_int_equal(control_get(f->control, str("v"), &f->arena, &entry), 0);
    assert_int_equal(entry.value.size, CONTROL_VALUE_MAX);
    free(bytes);

    static struct control_op ops[CONTROL_TXN_OPS_MAX + 1];
    static char              keys[CONTROL_TXN_OPS_MAX + 1][16];
    for (int i = 0; i <= CONTROL_TXN_OPS_MAX; i++) {
        snprintf(keys[i], sizeof keys[i], "op%d", i);
        ops[i] = (struct control_op) { .kind = CONTROL_PUT, .key = str(keys[i]), .value = str("x") };
    }
    assert_int_equal(control_txn(f->control, NULL, 0, ops, CONTROL_TXN_OPS_MAX + 1, NULL, NULL), -E_LIMIT);
    assert_null(get(f, "op0"));
    assert_int_equal(control_txn(f->control, NULL, 0, ops, CONTROL_TXN_OPS_MAX, NULL, NULL), 0);
}

static void limits__prefix_delete_is_bounded_and_atomic(struct fixture *f)
{
    static struct control_op ops[CONTROL_TXN_OPS_MAX];
    static char              keys[CONTROL_TXN_OPS_MAX][16];
    struct control_op        all = { .kind = CONTROL_DELETE_PREFIX, .key = str("n/") };
    int                      made = 0;

    while (made < CONTROL_DELETE_MAX) {
        for (int i = 0; i < CONTROL_TXN_OPS_MAX; i++, made++) {
            snprintf(keys[i], sizeof keys[i], "n/%d", made);
            ops[i] = (struct control_op) { .kind = CONTROL_PUT, .key = str(keys[i]) };
        }
        assert_int_equal(control_txn(f->control, NULL, 0, ops, CONTROL_TXN_OPS_MAX, NULL, NULL), 0);
    }
    put(f, "n/one more", "");
    assert_int_equal(control_txn(f->control, NULL, 0, &all, 1, NULL, NULL), -E_LIMIT);
    assert_non_null(get(f, "n/0"));
    assert_int_equal(control_delete(f->control, str("n/one more"), NULL), 0);
    assert_int_equal(control_txn(f->control, NULL, 0, &all, 1, NULL, NULL), 0);
    assert_null(get(f, "n/0"));
}

/* --- Watches. --- */

static void watch__sees_every_change_in_order(struct fixture *f)
{
    uint64_t              start = put(f, "w/before", "0");
    struct control_watch *w;

    assert_int_equal(control_watch(f->control, str("w/"), start, &w), 0);
    put(f, "w/a", "1");
    put(f, "other", "x");
    put(f, "w/a", "2");
    assert_int_equal(control_delete(f->control, str("w/a"), NULL), 0);
    expect_change(f, w, "w/a", "1");
    expect_change(f, w, "w/a", "2");
    expect_change(f, w, "w/a", NULL);
    struct control_change change;
    assert_int_equal(control_watch_next(w, env_now(f->env), &change), -ETIMEDOUT);
    put(f, "w/b", "3");
    expect_change(f, w, "w/b", "3");
    control_watch_free(w);
}

static void watch__resumes_from_a_revision_after_a_restart(struct fixture *f)
{
    uint64_t start = put(f, "w/a", "1");
    put(f, "w/a", "2");
    put(f, "w/b", "3");
    close_store(f);
    open_store(f);
    put(f, "w/c", "4");

    struct control_watch *w;
    assert_int_equal(control_watch(f->control, str("w/"), start, &w), 0);
    expect_change(f, w, "w/a", "2");
    expect_change(f, w, "w/b", "3");
    expect_change(f, w, "w/c", "4");
    control_watch_free(w);
}

static void watch__lost_history_is_reported(struct fixture *f)
{
    struct control_watch *w;
    struct control_change change;
    uint64_t              revision = put(f, "a", "1");

    /* A position of the future: this store is not the one it came from. */
    assert_int_equal(control_watch(f->control, str(""), revision + 10, &w), 0);
    assert_int_equal(control_watch_next(w, in_ms(f, 10000), &change), -E_COMPACTED);
    control_watch_free(w);

    /* History is bounded in bytes; values of half a MiB pass it quickly. */
    uint8_t *big = calloc(1, CONTROL_VALUE_MAX);
    for (int i = 0; i < 140; i++)
        assert_int_equal(control_put(f->control, str("big"), slice_of(big, CONTROL_VALUE_MAX), NULL), 0);
    free(big);
    assert_int_equal(control_watch(f->control, str("a"), revision, &w), 0);
    assert_int_equal(control_watch_next(w, in_ms(f, 10000), &change), -E_COMPACTED);
    control_watch_free(w);
    /* What is left still serves, from disk. */
    assert_int_equal(control_watch(f->control, str("big"), revision + 100, &w), 0);
    assert_int_equal(control_watch_next(w, in_ms(f, 10000), &change), 0);
    assert_int_equal(change.revision, revision + 101);
    control_watch_free(w);
    close_store(f);
    open_store(f);
    assert_int_equal(control_watch(f->control, str("a"), revision, &w), 0);
    assert_int_equal(control_watch_next(w, in_ms(f, 10000), &change), -E_COMPACTED);
    control_watch_free(w);
}

struct writer {
    struct fixture *f;
    uint32_t        number, rounds, won;
    struct wait_group *wg;
};

static void watch_writer(void *arg)
{
    struct writer *w = arg;
    put(w->f, "w/late", "now");
    wait_group_done(w->wg);
}

static void watch__sleeper_is_woken(struct fixture *f)
{
    uint64_t              revision = put(f, "a", "1");
    struct control_watch *w;
    struct wait_group     wg = { 0 };
    struct writer         writer = { .f = f, .wg = &wg };

    assert_int_equal(control_watch(f->control, str("w/"), revision, &w), 0);
    wait_group_add(&wg, 1);
    assert_int_equal(env_spawn(f->env, "writer", watch_writer, &writer), 0);
    expect_change(f, w, "w/late", "now");
    assert_int_equal(wait_group_wait(&wg, TASK_FOREVER), 0);
    control_watch_free(w);
}

/* --- Leases. --- */

static void lease__expiry_deletes_its_keys(struct fixture *f)
{
    uint64_t lease, kept;

    assert_int_equal(control_lease_grant(f->control, 0, &lease), -E_LIMIT);
    assert_int_equal(control_lease_grant(f->control, CONTROL_LEASE_TTL_MAX_S + 1, &lease), -E_LIMIT);
    assert_int_equal(control_lease_grant(f->control, 1, &lease), 0);
    assert_int_equal(control_lease_grant(f->control, 3600, &kept), 0);
    struct control_op ops[] = {
        { .kind = CONTROL_PUT, .key = str("l/a"), .value = str("1"), .lease = lease },
        { .kind = CONTROL_PUT, .key = str("l/b"), .value = str("2"), .lease = lease },
        { .kind = CONTROL_PUT, .key = str("l/c"), .value = str("3"), .lease = kept },
    };
    uint64_t revision;
    assert_int_equal(control_txn(f->control, NULL, 0, ops, 3, &revision, NULL), 0);
    /* Put again without the lease: no longer its key. */
    revision = put(f, "l/b", "stays");

    struct control_watch *w;
    assert_int_equal(control_watch(f->control, str("l/"), revision, &w), 0);
    expect_change(f, w, "l/a", NULL);   /* Arrives when the lease expired. */
    control_watch_free(w);
    assert_string_equal(get(f, "l/b"), "stays");
    assert_string_equal(get(f, "l/c"), "3");
    assert_int_equal(control_lease_keep(f->control, lease), -ENOENT);
    assert_int_equal(control_lease_revoke(f->control, lease), -ENOENT);
    assert_int_equal(control_lease_keep(f->control, kept), 0);
    assert_int_equal(control_txn(f->control, NULL, 0, ops, 1, NULL, NULL), -ENOENT);
    assert_int_equal(control_lease_revoke(f->control, kept), 0);
    assert_null(get(f, "l/c"));
}

static void lease__survives_a_restart_and_expires_then(struct fixture *f)
{
    uint64_t          lease, revision;
    assert_int_equal(control_lease_grant(f->control, 1, &lease), 0);
    struct control_op op = { .kind = CONTROL_PUT, .key = str("l/a"), .value = str("1"), .lease = lease };

    assert_int_equal(control_txn(f->control, NULL, 0, &op, 1, &revision, NULL), 0);
    close_store(f);
    open_store(f);
    assert_int_equal(control_lease_keep(f->control, lease), 0);
    struct control_watch *w;
    assert_int_equal(control_watch(f->control, str("l/"), revision, &w), 0);
    expect_change(f, w, "l/a", NULL);
    control_watch_free(w);
}

static void lease__keys_are_bounded(struct fixture *f)
{
    uint64_t lease;
    char     key[16];

    assert_int_equal(control_lease_grant(f->control, 3600, &lease), 0);
    struct control_op op = { .kind = CONTROL_PUT, .lease = lease };
    for (int i = 0; i < CONTROL_LEASE_KEYS_MAX; i++) {
        snprintf(key, sizeof key, "l/%d", i);
        op.key = str(key);
        assert_int_equal(control_txn(f->control, NULL, 0, &op, 1, NULL, NULL), 0);
    }
    op.key = str("l/more");
    assert_int_equal(control_txn(f->control, NULL, 0, &op, 1, NULL, NULL), -E_LIMIT);
    assert_int_equal(control_lease_revoke(f->control, lease), 0);
    struct control_entry *entries;
    uint32_t              count;
    uint64_t              revision;
    assert_int_equal(control_prefix(f->control, str("l/"), &f->arena, &entries, &count, &revision), 0);
    assert_int_equal(count, 0);
}

/* --- Concurrency. --- */

/* Counts one up by compare and swap, again until it wins. */
static void increment(void *arg)
{
    struct writer *w = arg;
    struct arena   arena;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    while (w->won < w->rounds) {
        struct control_entry entry;
        char                 text[16];
        arena_reset(&arena);
        assert_int_equal(control_get(w->f->control, str("counter"), &arena, &entry), 0);
        snprintf(text, sizeof text, "%d", number(arena_str(&arena, entry.value)) + 1);
        struct control_compare same = { .kind = CONTROL_IF_MOD_REVISION, .key = str("counter"),
                                        .revision = entry.mod_revision };
        struct control_op      op = { .kind = CONTROL_PUT, .key = str("counter"), .value = str(text) };
        int                    rc = control_txn(w->f->control, &same, 1, &op, 1, NULL, NULL);
        assert_true(rc == 0 || rc == -E_CONDITION);
        w->won += rc == 0;
    }
    arena_done(&arena);
    wait_group_done(w->wg);
}

static void txn__concurrent_increments_lose_nothing(struct fixture *f)
{
    enum { TASKS = 8, ROUNDS = 10 };
    struct writer     writer[TASKS];
    struct wait_group wg = { 0 };

    put(f, "counter", "0");
    wait_group_add(&wg, TASKS);
    for (uint32_t i = 0; i < TASKS; i++) {
        writer[i] = (struct writer) { .f = f, .number = i, .rounds = ROUNDS, .wg = &wg };
        assert_int_equal(env_spawn(f->env, "increment", increment, &writer[i]), 0);
    }
    assert_int_equal(wait_group_wait(&wg, TASK_FOREVER), 0);
    assert_int_equal(number(get(f, "counter")), TASKS * ROUNDS);
}

static void put_many(void *arg)
{
    struct writer *w = arg;
    char           key[32];

    for (uint32_t i = 0; i < w->rounds; i++) {
        snprintf(key, sizeof key, "m/%u/%u", w->number, i);
        assert_int_equal(control_put(w->f->control, str(key), str("x"), NULL), 0);
    }
    wait_group_done(w->wg);
}

/* Ranges taken while writers run: each is a prefix of every writer's puts, and watches after its revision see
 * exactly the rest. */
static void range__and_watch_join_without_gap(struct fixture *f)
{
    enum { TASKS = 4, ROUNDS = 25 };
    struct writer         writer[TASKS];
    struct wait_group     wg = { 0 };
    struct control_entry *entries;
    uint32_t              count;
    uint64_t              revision;

    wait_group_add(&wg, TASKS);
    for (uint32_t i = 0; i < TASKS; i++) {
        writer[i] = (struct writer) { .f = f, .number = i, .rounds = ROUNDS, .wg = &wg };
        assert_int_equal(env_spawn(f->env, "put", put_many, &writer[i]), 0);
    }
    do {
        assert_int_equal(control_prefix(f->control, str("m/"), &f->arena, &entries, &count, &revision), 0);
        task_yield();
    } while (count < TASKS * ROUNDS / 3);
    struct control_watch *w;
    struct control_change change;
    assert_int_equal(control_watch(f->control, str("m/"), revision, &w), 0);
    for (; count < TASKS * ROUNDS; count++) {
        assert_int_equal(control_watch_next(w, in_ms(f, 10000), &change), 0);
        assert_int_equal(change.entry.version, 1);
    }
    assert_int_equal(wait_group_wait(&wg, TASK_FOREVER), 0);
    assert_int_equal(control_watch_next(w, env_now(f->env), &change), -ETIMEDOUT);
    control_watch_free(w);
}

/* --- Crashes. --- */

/* A copy of the files at any moment is what kill -9 leaves: everything answered must be in it. */
static void crash__after_each_answer_nothing_is_lost(struct fixture *f)
{
    char            command[512], copy[80], key[16];
    struct control *other;
    struct error    err;

    snprintf(copy, sizeof copy, "%s.copy", f->dir);
    for (int i = 0; i < 12; i++) {
        snprintf(key, sizeof key, "c/%02d", i);
        uint64_t revision = put(f, key, "1");
        if (i % 4 == 3)
            assert_int_equal(control_delete(f->control, str(key), &revision), 0);
        snprintf(command, sizeof command, "rm -rf %s; cp -r %s %s; rm -f %s/index/LOCK", copy, f->dir, copy, copy);
        assert_int_equal(system(command), 0);
        assert_int_equal(control_open_embedded(f->env, copy, NULL, &other, &err), 0);
        struct control_entry *entries;
        uint32_t              count;
        uint64_t              at;
        assert_int_equal(control_prefix(other, str("c/"), &f->arena, &entries, &count, &at), 0);
        assert_int_equal(at, revision);
        assert_int_equal(count, i + 1 - (i + 1) / 4);
        /* And it goes on from there. */
        assert_int_equal(control_put(other, str("more"), str("x"), &at), 0);
        assert_int_equal(at, revision + 1);
        control_close(other);
    }
}

/* A large transaction is several journal records. */
static void crash__large_transactions_are_replayed_whole(struct fixture *f)
{
    char            command[512], copy[80];
    uint8_t        *big = malloc(700 * 1024);
    struct control *other;
    struct error    err;

    for (size_t i = 0; i < 700 * 1024; i++)
        big[i] = (uint8_t)(i * 2654435761u >> 13);
    struct control_op ops[] = {
        { .kind = CONTROL_PUT, .key = str("big/1"), .value = slice_of(big, 350 * 1024) },
        { .kind = CONTROL_PUT, .key = str("big/2"), .value = slice_of(big + 350 * 1024, 350 * 1024) },
    };
    assert_int_equal(control_txn(f->control, NULL, 0, ops, 2, NULL, NULL), 0);
    snprintf(copy, sizeof copy, "%s.copy", f->dir);
    snprintf(command, sizeof command, "cp -r %s %s; rm -f %s/index/LOCK", f->dir, copy, copy);
    assert_int_equal(system(command), 0);
    assert_int_equal(control_open_embedded(f->env, copy, NULL, &other, &err), 0);
    for (int i = 0; i < 2; i++) {
        struct control_entry entry;
        assert_int_equal(control_get(other, ops[i].key, &f->arena, &entry), 0);
        assert_true(slice_equal(entry.value, ops[i].value));
    }
    control_close(other);
    free(big);
}

static void journal__missing_is_noticed(struct fixture *f)
{
    char           command[512];
    struct error   err;
    struct control *other;

    put(f, "a", "1");
    close_store(f);
    snprintf(command, sizeof command, "cp -r %s %s.copy && rm -rf %s.copy/journal", f->dir, f->dir, f->dir);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s.copy", f->dir);
    assert_int_equal(control_open_embedded(f->env, command, NULL, &other, &err), -E_CORRUPT);
    open_store(f);
    assert_string_equal(get(f, "a"), "1");
}

static void close__watches_answer_closed(struct fixture *f)
{
    struct control_watch *w;
    struct control_change change;

    assert_int_equal(control_watch(f->control, str(""), 0, &w), 0);
    close_store(f);
    assert_int_equal(control_watch_next(w, TASK_FOREVER, &change), -E_CLOSED);
    control_watch_free(w);
    open_store(f);
}

static void watch_until_closed(void *arg)
{
    struct writer        *w = arg;
    struct control_watch *watch;
    struct control_change change;

    assert_int_equal(control_watch(w->f->control, str("nothing/"), 0, &watch), 0);
    w->won = (uint32_t)-control_watch_next(watch, TASK_FOREVER, &change);
    control_watch_free(watch);
    wait_group_done(w->wg);
}

static void close__does_not_wait_for_watchers(struct fixture *f)
{
    struct wait_group wg = { 0 };
    struct writer     w = { .f = f, .wg = &wg };

    wait_group_add(&wg, 1);
    assert_int_equal(env_spawn(f->env, "watch", watch_until_closed, &w), 0);
    put(f, "other", "1");   /* The watcher is waiting by now. */
    int64_t start = env_now(f->env);
    close_store(f);
    assert_int_equal(wait_group_wait(&wg, TASK_FOREVER), 0);
    assert_int_equal(w.won, E_CLOSED);
    assert_true(env_now(f->env) - start < 10 * NS_PER_S);
    open_store(f);
}

#define BOTH(test)                                                                                 \
    { #test " (embedded)", run_in_loop, NULL, NULL, &(struct run) { test, false } },                  \
    { #test " (remote)", run_in_loop, NULL, NULL, &(struct run) { test, true } }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(put__is_read_back_with_revisions),
        BOTH(delete__missing_key_is_enoent),
        BOTH(txn__each_precondition_guards_all_ops),
        BOTH(txn__later_ops_see_earlier_ones),
        BOTH(txn__without_effect_keeps_the_revision),
        BOTH(range__respects_bounds_limit_and_order),
        BOTH(prefix__of_many_large_values_is_whole),
        BOTH(limits__at_the_limit_works_past_it_fails),
        BOTH(limits__prefix_delete_is_bounded_and_atomic),
        BOTH(watch__sees_every_change_in_order),
        BOTH(watch__resumes_from_a_revision_after_a_restart),
        BOTH(watch__lost_history_is_reported),
        BOTH(watch__sleeper_is_woken),
        BOTH(lease__expiry_deletes_its_keys),
        BOTH(lease__survives_a_restart_and_expires_then),
        BOTH(lease__keys_are_bounded),
        BOTH(txn__concurrent_increments_lose_nothing),
        BOTH(range__and_watch_join_without_gap),
        BOTH(crash__after_each_answer_nothing_is_lost),
        BOTH(crash__large_transactions_are_replayed_whole),
        BOTH(journal__missing_is_noticed),
        BOTH(close__watches_answer_closed),
        BOTH(close__does_not_wait_for_watchers),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
