/* The replica alone: operations given to one device's row store. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/counter.h"
#include "storage/row_store_private.h"
#include "tests/lib/row_cluster.h"

static const uint8_t shard[SHARD_ID_BYTES] = "shard-of-a-test";

static struct ballot now(struct row_cluster *c, int64_t ahead_ms)
{
    return (struct ballot) { hlc_of_ms((uint64_t)(env_wall(c->env) / NS_PER_MS + ahead_ms)), 1 };
}

static struct ballot later(struct ballot b, uint64_t ms)
{
    return (struct ballot) { b.time + hlc_of_ms(ms), 1 };
}

static int accept(struct row_cluster *c, const char *name, struct ballot ballot, const char *data, uint8_t flags,
                  bool repair)
{
    struct row_op op = { .kind = ROW_OP_ACCEPT, .shard = shard, .name = slice_str(name), .replicas = 3,
                         .ballot = ballot, .flags = flags, .data = slice_str(data), .repair = repair,
                         .size = strlen(data) };

    op.digest = row_digest_of(op.meta, op.data);
    return row_store_submit(c->device[0]->rows, &op);
}

static int other(struct row_cluster *c, enum row_op_kind kind, const char *name, struct ballot ballot,
                 struct ballot *ret_highest)
{
    struct arena  arena;
    struct row_op op = { .kind = kind, .shard = shard, .name = slice_str(name), .replicas = 3, .ballot = ballot,
                         .arena = &arena };

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    int rc = row_store_submit(c->device[0]->rows, &op);
    arena_done(&arena);
    if (ret_highest)
        *ret_highest = op.highest;
    return rc;
}

/* The row's data; "-" when there is no live row. */
static const char *data_of(struct row_cluster *c, const char *name)
{
    static char      text[64];
    struct row_found found;
    struct arena     arena;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    assert_int_equal(row_store_read(c->device[0]->rows, shard, slice_str(name), ROW_FULL, (struct ballot) { 0 }, &arena,
                                    &found), 0);
    snprintf(text, sizeof text, "%.*s", row_head_live(&found.head) ? (int)found.data.size : 1,
             row_head_live(&found.head) ? (const char *)found.data.data : "-");
    arena_done(&arena);
    return text;
}

static void rules(struct row_cluster *c, void *arg)
{
    struct ballot b = now(c, 0), p = later(b, 50), highest;

    (void)arg;
    assert_int_equal(accept(c, "a", b, "one", 0, false), 0);
    assert_int_equal(accept(c, "a", b, "one", 0, false), 0);
    int64_t conflicts = counter_value("row_conflicting_digest");
    assert_int_equal(accept(c, "a", b, "two", 0, false), -E_CORRUPT);
    assert_int_equal(counter_value("row_conflicting_digest"), conflicts + 1);
    assert_string_equal(data_of(c, "a"), "one");
    assert_int_equal(other(c, ROW_OP_PREPARE, "a", p, NULL), 0);
    assert_int_equal(other(c, ROW_OP_PREPARE, "a", p, &highest), -E_OUTBID);
    assert_int_equal(ballot_compare(highest, p), 0);
    /* A promise outlives a restart. */
    row_cluster_reopen(c->device[0]);
    assert_int_equal(accept(c, "a", later(b, 10), "two", 0, false), -E_OUTBID);
    assert_int_equal(accept(c, "a", p, "three", 0, false), 0);
    row_cluster_reopen(c->device[0]);
    assert_string_equal(data_of(c, "a"), "three");
    /* A wild clock does not get in. */
    assert_int_equal(accept(c, "a", now(c, HLC_AHEAD_MAX_MS + 10000), "far", 0, false), -E_FENCED);
    assert_int_equal(other(c, ROW_OP_PREPARE, "a", now(c, HLC_AHEAD_MAX_MS + 10000), NULL), -E_FENCED);
    assert_int_equal(accept(c, "a", now(c, HLC_AHEAD_MAX_MS - 10000), "near", 0, false), 0);
}

static void row_store__keeps_the_rules_over_restarts(void **state)
{
    (void)state;
    row_cluster_run(1, 1, rules, NULL);
}

static void floors(struct row_cluster *c, void *arg)
{
    struct ballot b = now(c, 0), t = later(b, 10);

    (void)arg;
    assert_int_equal(accept(c, "a", b, "one", 0, false), 0);
    assert_int_equal(accept(c, "a", t, "", ROW_FLAG_TOMBSTONE, false), 0);
    assert_int_equal(other(c, ROW_OP_DROP, "a", t, NULL), 0);   /* Without a floor: stays. */
    assert_int_equal(accept(c, "a", b, "one", 0, false), -E_OUTBID);
    assert_int_equal(other(c, ROW_OP_RAISE, "", t, NULL), 0);
    assert_int_equal(other(c, ROW_OP_DROP, "a", t, NULL), 0);
    row_cluster_reopen(c->device[0]);
    /* The row is forgotten, and still nothing old comes back. */
    assert_int_equal(accept(c, "a", b, "one", 0, false), -E_OUTBID);
    assert_int_equal(accept(c, "b", t, "one", 0, true), -E_OUTBID);
    assert_string_equal(data_of(c, "a"), "-");
    assert_int_equal(accept(c, "a", later(b, 20), "two", 0, false), 0);
    assert_int_equal(other(c, ROW_OP_DROP, "a", t, NULL), 0);   /* Something newer came. */
    assert_string_equal(data_of(c, "a"), "two");
}

static void row_store__a_floor_keeps_the_dead_away(void **state)
{
    (void)state;
    row_cluster_run(1, 1, floors, NULL);
}

static void full(struct row_cluster *c, void *arg)
{
    struct ballot b = now(c, 0);

    (void)arg;
    assert_int_equal(accept(c, "a", b, "one", 0, false), 0);
    c->device[0]->full = true;
    assert_int_equal(accept(c, "b", b, "one", 0, false), -ENOSPC);
    assert_int_equal(accept(c, "b", b, "one", 0, true), 0);   /* Somebody's read settles it. */
    assert_int_equal(accept(c, "a", later(b, 10), "", ROW_FLAG_TOMBSTONE, false), 0);
    assert_string_equal(data_of(c, "a"), "-");
    assert_string_equal(data_of(c, "b"), "one");
    c->device[0]->full = false;
}

static void row_store__a_full_device_reads_and_deletes(void **state)
{
    (void)state;
    row_cluster_run(1, 1, full, NULL);
}

/* --- The queue has an end. --- */

struct flood {
    struct row_cluster *c;
    uint32_t            next, done, accepted, refused;
};

static void flood_task(void *arg)
{
    struct flood *f = arg;
    char          name[16];

    snprintf(name, sizeof name, "k%05u", f->next++);
    int rc = accept(f->c, name, now(f->c, 0), "x", 0, false);
    f->accepted += rc == 0;
    f->refused += rc == -E_OVERLOAD;
    f->done++;
}

static void flood(struct row_cluster *c, void *arg)
{
    enum { EXTRA = 300 };
    struct flood f = { .c = c };

    (void)arg;
    for (int i = 0; i < ROW_QUEUE_MAX + EXTRA; i++)
        assert_int_equal(env_spawn(c->env, "flood", flood_task, &f), 0);
    while (f.done < ROW_QUEUE_MAX + EXTRA)
        task_sleep(NS_PER_MS);
    assert_int_equal(f.accepted + f.refused, ROW_QUEUE_MAX + EXTRA);
    assert_true(f.refused > 0 && f.refused <= EXTRA);
    assert_true(counter_value("row_overload") >= f.refused);
    /* And afterwards it works again. */
    assert_int_equal(accept(c, "later", now(c, 0), "x", 0, false), 0);
}

static void row_store__refuses_early_when_the_queue_is_full(void **state)
{
    (void)state;
    row_cluster_run(1, 1, flood, NULL);
}

/* --- Records. --- */

static void row_record__at_another_key_is_damage(void **state)
{
    struct row_key  key, wrong;
    struct row_head head = { .accepted = { 5, 6 }, .promised = { 7, 8 }, .size = 9, .meta = SLICE("meta") }, again;
    uint8_t         bytes[ROW_HEAD_BYTES + 4];
    struct slice    k = row_key_make(&key, ROW_KEY_HEAD, shard, SLICE("a")), w;

    (void)state;
    w = row_key_make(&wrong, ROW_KEY_HEAD, shard, SLICE("b"));
    head.digest = row_digest_of(head.meta, SLICE_NONE);
    row_head_encode(&head, k, bytes);
    assert_int_equal(row_head_decode(k, slice_of(bytes, sizeof bytes), &again), 0);
    assert_int_equal(again.promised.node, 8);
    assert_int_equal(row_head_decode(w, slice_of(bytes, sizeof bytes), &again), -E_CORRUPT);
    for (size_t i = 1; i < sizeof bytes; i++) {
        bytes[i] ^= 0x10;
        assert_int_equal(row_head_decode(k, slice_of(bytes, sizeof bytes), &again), -E_CORRUPT);
        bytes[i] ^= 0x10;
    }
    bytes[0] = 2;
    assert_int_equal(row_head_decode(k, slice_of(bytes, sizeof bytes), &again), -E_TOO_NEW);
    assert_int_equal(row_head_decode(k, slice_of(bytes, ROW_HEAD_BYTES - 1), &again), -E_CORRUPT);
}

static void row_key__after_a_prefix(void **state)
{
    struct row_key key;

    (void)state;
    assert_true(slice_equal(row_key_after(&key, SLICE("ab")), SLICE("ac")));
    assert_true(slice_equal(row_key_after(&key, SLICE("a\xff\xff")), SLICE("b")));
    assert_int_equal(row_key_after(&key, SLICE("\xff")).size, 0);
}

/* --- The cache. --- */

static void row_cache__stays_within_its_size_and_forgets_the_oldest(void **state)
{
    struct row_cache *cache = calloc(1, sizeof *cache);
    struct row_head   head = { .accepted = { 1, 1 }, .data_size = 4000 };
    uint8_t           data[4000] = { 0 };
    struct slice      bytes = slice_of(data, sizeof data);
    struct row_key    key;
    char              name[16];

    (void)state;
    row_cache_init(cache, NULL);
    for (int i = 0; i < 2 * ROW_CACHE_BYTES / 4000; i++) {
        snprintf(name, sizeof name, "k%05d", i);
        row_cache_put(cache, row_key_make(&key, ROW_KEY_HEAD, shard, slice_str(name)), &head, &bytes);
        assert_true(cache->own.bytes <= ROW_CACHE_BYTES);
        /* One is used all the time. */
        assert_non_null(row_cache_get(cache, row_key_make(&key, ROW_KEY_HEAD, shard, SLICE("k00000"))));
    }
    assert_null(row_cache_get(cache, row_key_make(&key, ROW_KEY_HEAD, shard, SLICE("k00001"))));
    assert_non_null(row_cache_get(cache, row_key_make(&key, ROW_KEY_HEAD, shard, slice_str(name))));
    /* A promise keeps the data; a new value brings its own. */
    struct slice k = row_key_make(&key, ROW_KEY_HEAD, shard, SLICE("k00000"));
    head.promised = (struct ballot) { 9, 9 };
    row_cache_update(cache, k, &head, false, SLICE_NONE, ROW_KEEP_NOTHING);
    assert_int_equal(row_cache_get(cache, k)->data.size, 4000);
    assert_int_equal(row_cache_get(cache, k)->head.promised.time, 9);
    head.data_size = 3;
    row_cache_update(cache, k, &head, true, SLICE("new"), ROW_KEEP_NOTHING);
    assert_true(slice_equal(row_cache_get(cache, k)->data, SLICE("new")));
    row_cache_drop(cache, k);
    assert_null(row_cache_get(cache, k));
    row_cache_clear(cache);
    assert_int_equal(cache->own.bytes, 0);
    free(cache);
}

static void row_cache__devices_share_the_room_and_the_oldest_of_all_gives_way(void **state)
{
    struct row_memory memory = { .limit = 100 * 1000 };
    struct row_cache *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
    struct row_head   head = { .accepted = { 1, 1 }, .data_size = 4000 };
    uint8_t           data[4000] = { 0 };
    struct slice      bytes = slice_of(data, sizeof data);
    struct row_key    key;
    char              name[16];

    (void)state;
    row_cache_init(a, &memory);
    row_cache_init(b, &memory);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "k%05d", i);
        row_cache_put(i < 20 ? a : b, row_key_make(&key, ROW_KEY_HEAD, shard, slice_str(name)), &head, &bytes);
        assert_true(memory.bytes <= memory.limit);
        assert_true(i < 20 || row_cache_get(b, row_key_make(&key, ROW_KEY_HEAD, shard, slice_str(name))));
    }
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "k%05d", i);
        assert_null(row_cache_get(a, row_key_make(&key, ROW_KEY_HEAD, shard, slice_str(name))));
    }
    assert_null(row_cache_get(a, row_key_make(&key, ROW_KEY_HEAD, shard, SLICE("k00199"))));   /* The other's. */
    row_cache_put(a, row_key_make(&key, ROW_KEY_HEAD, shard, SLICE("x")), &head, &bytes);
    row_cache_clear(b);
    assert_non_null(row_cache_get(a, row_key_make(&key, ROW_KEY_HEAD, shard, SLICE("x"))));
    row_cache_clear(a);
    assert_int_equal(memory.bytes, 0);
    free(a);
    free(b);
}

static void row_cache__keeps_what_is_written_as_it_is_told(void **state)
{
    struct row_cache        *cache = calloc(1, sizeof *cache);
    struct row_head          head = { .accepted = { 1, 1 }, .data_size = 3 };
    struct row_key           key;
    struct slice             k = row_key_make(&key, ROW_KEY_HEAD, shard, SLICE("new"));
    const struct cached_row *row;

    (void)state;
    row_cache_init(cache, NULL);
    row_cache_update(cache, k, &head, true, SLICE("abc"), ROW_KEEP_NOTHING);
    assert_null(row_cache_get(cache, k));
    row_cache_update(cache, k, &head, true, SLICE("abc"), ROW_KEEP_HEAD);
    row = row_cache_get(cache, k);
    assert_true(row && !row->has_data);
    row_cache_update(cache, k, &head, true, SLICE("abc"), ROW_KEEP_DATA);
    row = row_cache_get(cache, k);
    assert_true(row && row->has_data && slice_equal(row->data, SLICE("abc")));
    /* A promise that came to a row without its data does not make it one that has it. */
    row_cache_drop(cache, k);
    row_cache_update(cache, k, &head, false, SLICE_NONE, ROW_KEEP_DATA);
    row = row_cache_get(cache, k);
    assert_true(row && !row->has_data);
    row_cache_clear(cache);
    free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_store__keeps_the_rules_over_restarts),
        cmocka_unit_test(row_store__a_floor_keeps_the_dead_away),
        cmocka_unit_test(row_store__a_full_device_reads_and_deletes),
        cmocka_unit_test(row_store__refuses_early_when_the_queue_is_full),
        cmocka_unit_test(row_record__at_another_key_is_damage),
        cmocka_unit_test(row_key__after_a_prefix),
        cmocka_unit_test(row_cache__stays_within_its_size_and_forgets_the_oldest),
        cmocka_unit_test(row_cache__devices_share_the_room_and_the_oldest_of_all_gives_way),
        cmocka_unit_test(row_cache__keeps_what_is_written_as_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
