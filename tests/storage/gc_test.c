/* Background work of rows: garbage, expiry, purge of tombstones, repair. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/counter.h"
#include "storage/blob.h"
#include "storage/blob_store.h"
#include "storage/gc.h"
#include "tests/lib/row_cluster.h"

struct fixture {
    struct row_cluster *c;
    struct policy       policy;
    struct blob_client *blobs;
    struct gc          *gc;
};

static const struct ring *index_ring(void *ctx, uint32_t replicas)
{
    struct fixture *f = ctx;

    return replicas == ring_replicas(f->c->ring) ? f->c->ring : NULL;
}

static const struct policy *find_policy(void *ctx, uint16_t index)
{
    (void)index;
    return &((struct fixture *)ctx)->policy;
}

static const struct ring *find_ring(void *ctx, uint16_t index)
{
    (void)index;
    return ((struct fixture *)ctx)->c->ring;
}

static bool device_up(void *ctx, uint16_t device)
{
    return ((struct fixture *)ctx)->c->device[device]->state == DEVICE_IN_SERVICE;
}

static size_t heirs(void *ctx, struct slice name, uint8_t prefix[ROW_NAME_MAX])
{
    (void)ctx;
    memcpy(prefix, "heir:", 5);
    memcpy(prefix + 5, name.data, name.size);
    return 5 + name.size;
}

static void setup_with(struct fixture *f, struct row_cluster *c, uint32_t orphan_ms)
{
    struct blob_directory directory = { .ctx = f, .policy = find_policy, .ring = find_ring, .device_up = device_up };
    struct gc_options     options = { .rpc = c->rpc, .hlc = &c->hlc, .rows = c->client, .ctx = f,
                                      .index_ring = index_ring, .grace_ms = 1, .purge_age_ms = 1, .repair_ms = 1,
                                      .heirs = heirs, .orphan_age_ms = orphan_ms, .orphan_settle_ms = orphan_ms,
                                      .orphan_pass_ms = orphan_ms, .manual = true };

    *f = (struct fixture) { .c = c };
    assert_int_equal(policy_parse("replicated-3", 0, &f->policy, NULL), 0);
    f->blobs = blob_client_new(c->rpc, &c->hlc, &directory);
    options.blobs = f->blobs;
    assert_int_equal(gc_new(&options, &f->gc), 0);
    for (uint32_t i = 0; i < c->devices; i++)
        assert_int_equal(gc_add(f->gc, c->device[i]), 0);
}

static void setup(struct fixture *f, struct row_cluster *c)
{
    setup_with(f, c, 0);
}

static void teardown(struct fixture *f)
{
    gc_free(f->gc);
    blob_client_free(f->blobs);
}

/* Time passes, so that everything is due. */
static void later(struct fixture *f, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        task_sleep(5 * NS_PER_MS);
        gc_run(f->gc);
    }
}

static int put(struct row_cluster *c, const char *name, const char *meta, Rs__Extent **extents, size_t count,
               uint64_t expires_s)
{
    Rs__RowValue v = RS__ROW_VALUE__INIT;

    v.counted = true;
    v.size = 7;
    v.meta = (ProtobufCBinaryData) { .len = strlen(meta), .data = (uint8_t *)(uintptr_t)meta };
    v.extents = extents;
    v.n_extents = count;
    v.expires_s = expires_s;
    return row_write(c->client, &c->shard, slice_str(name), &v, row_cluster_soon(c), NULL, NULL, NULL);
}

static int erase(struct row_cluster *c, const char *name)
{
    Rs__RowValue v = RS__ROW_VALUE__INIT;

    v.tombstone = true;
    return row_write(c->client, &c->shard, slice_str(name), &v, row_cluster_soon(c), NULL, NULL, NULL);
}

static bool exists(struct row_cluster *c, const char *name)
{
    struct row_state state;
    struct arena     arena;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    assert_int_equal(row_read(c->client, &c->shard, slice_str(name), ROW_META, row_cluster_soon(c), &arena, &state, NULL),
                     0);
    arena_done(&arena);
    return state.exists;
}

static bool count_keys(void *arg, struct slice key, struct slice value)
{
    (void)key;
    (void)value;
    ++*(uint32_t *)arg;
    return true;
}

/* Keys of a kind in a device's index. */
static uint32_t keys(struct device *device, uint8_t kind)
{
    uint8_t  end = kind + 1;
    uint32_t count = 0;

    assert_int_equal(kv_scan(device->kv, slice_of(&kind, 1), slice_of(&end, 1), false, count_keys, &count), 0);
    return count;
}

/* --- Repair. --- */

static void repair(struct row_cluster *c, void *arg)
{
    struct device *away = row_cluster_holder(c, 1);
    struct fixture f;
    char           name[16];

    (void)arg;
    setup(&f, c);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "k%02d", i);
        assert_int_equal(put(c, name, "one", NULL, 0, 0), 0);
    }
    task_sleep(20 * NS_PER_MS);
    row_cluster_down(away);
    for (int i = 0; i < 50; i += 2) {
        snprintf(name, sizeof name, "k%02d", i);
        assert_int_equal(i % 4 ? put(c, name, "two", NULL, 0, 0) : erase(c, name), 0);
    }
    assert_int_equal(put(c, "new", "two", NULL, 0, 0), 0);
    row_cluster_up(away);
    later(&f, 3);
    /* Now only the one that was away and one other are left. */
    row_cluster_down(row_cluster_holder(c, 0));
    int64_t repairs = counter_value("row_read_repairs");
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "k%02d", i);
        assert_int_equal(exists(c, name), i % 4 != 0);
    }
    assert_true(exists(c, "new"));
    assert_int_equal(counter_value("row_read_repairs"), repairs);   /* They agree already. */
    row_cluster_up(row_cluster_holder(c, 0));
    /* And then it is quiet. */
    int64_t differ = counter_value("repair_shards_differ");
    later(&f, 3);
    assert_int_equal(counter_value("repair_shards_differ"), differ);
    teardown(&f);
}

static void gc__gives_a_replica_what_it_missed(void **state)
{
    (void)state;
    row_cluster_run(3, 3, repair, NULL);
}

/* --- Purge. --- */

static void purge(struct row_cluster *c, void *arg)
{
    struct device *away = row_cluster_holder(c, 2);
    struct fixture f;

    (void)arg;
    setup(&f, c);
    assert_int_equal(put(c, "a", "one", NULL, 0, 0), 0);
    task_sleep(20 * NS_PER_MS);
    row_cluster_down(away);
    assert_int_equal(erase(c, "a"), 0);
    later(&f, 2);
    /* One replica does not know of the deletion: nothing goes. */
    assert_int_equal(keys(row_cluster_holder(c, 0), 't'), 1);
    assert_int_equal(keys(row_cluster_holder(c, 0), 'r'), 1);
    row_cluster_up(away);
    later(&f, 4);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(keys(row_cluster_holder(c, i), 't'), 0);
        assert_int_equal(keys(row_cluster_holder(c, i), 'r'), 0);
    }
    assert_false(exists(c, "a"));
    /* And what is written afterwards stays. */
    assert_int_equal(put(c, "a", "two", NULL, 0, 0), 0);
    later(&f, 2);
    assert_true(exists(c, "a"));
    teardown(&f);
}

static void gc__purges_a_tombstone_that_every_replica_holds(void **state)
{
    (void)state;
    row_cluster_run(3, 3, purge, NULL);
}

/* --- Expiry. --- */

static void expiry(struct row_cluster *c, void *arg)
{
    uint64_t       now = (uint64_t)(env_wall(c->env) / NS_PER_S);
    struct fixture f;

    (void)arg;
    setup(&f, c);
    assert_int_equal(put(c, "past", "x", NULL, 0, now - 5), 0);
    assert_int_equal(put(c, "future", "x", NULL, 0, now + 3600), 0);
    assert_int_equal(put(c, "changed", "x", NULL, 0, now - 5), 0);
    assert_int_equal(put(c, "changed", "y", NULL, 0, now + 3600), 0);
    later(&f, 2);
    assert_false(exists(c, "past"));
    assert_true(exists(c, "future"));
    assert_true(exists(c, "changed"));
    teardown(&f);
}

static void gc__expires_rows_whose_time_has_come(void **state)
{
    (void)state;
    row_cluster_run(3, 3, expiry, NULL);
}

/* --- Garbage. --- */

static size_t write_blob(struct fixture *f, struct arena *arena, const char *owner, Rs__Extent ***ret_extents)
{
    struct blob_writer *w;
    struct buf         *buf = buf_new(8192);
    size_t              count;
    struct error        err = { 0 };

    memset(buf->data, 'b', 8192);
    assert_int_equal(blob_writer_new(f->blobs, &f->policy, &f->c->shard, slice_str(owner), row_cluster_soon(f->c), &w,
                                     &err), 0);
    assert_int_equal(blob_write(w, buf, 0, 8192, &err), 0);
    assert_int_equal(blob_writer_finish(w, arena, ret_extents, &count, &err), 0);
    blob_writer_free(w);
    buf_unref(buf);
    return count;
}

static int read_blob(struct fixture *f, Rs__Extent **extents, size_t count)
{
    struct blob_reader *r;
    struct buf_part     part = { 0 };
    int rc = blob_reader_new(f->blobs, extents, count, 0, 8192, row_cluster_soon(f->c), &r, NULL);

    if (rc)
        return rc;
    rc = blob_read(r, &part, NULL);
    if (rc == 0)
        buf_unref(part.buf);
    blob_reader_free(r);
    return rc;
}

static void garbage(struct row_cluster *c, void *arg)
{
    Rs__Extent   **first, **second;
    size_t         first_count, second_count;
    struct fixture f;
    struct arena   arena;

    (void)arg;
    setup(&f, c);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    first_count = write_blob(&f, &arena, "a", &first);
    second_count = write_blob(&f, &arena, "a", &second);
    assert_int_equal(put(c, "a", "one", first, first_count, 0), 0);
    later(&f, 2);
    assert_int_equal(read_blob(&f, first, first_count), 0);
    /* New metadata, same blob: not garbage. */
    assert_int_equal(put(c, "a", "two", first, first_count, 0), 0);
    later(&f, 2);
    assert_int_equal(read_blob(&f, first, first_count), 0);
    /* Overwritten: garbage. Not while the row can't be asked. */
    assert_int_equal(put(c, "a", "three", second, second_count, 0), 0);
    assert_true(keys(row_cluster_holder(c, 0), 'g') + keys(row_cluster_holder(c, 1), 'g') +
                keys(row_cluster_holder(c, 2), 'g') >= 2);
    row_cluster_down(row_cluster_holder(c, 1));
    row_cluster_down(row_cluster_holder(c, 2));
    later(&f, 1);
    row_cluster_up(row_cluster_holder(c, 1));
    row_cluster_up(row_cluster_holder(c, 2));
    assert_int_equal(read_blob(&f, first, first_count), 0);
    teardown(&f);   /* A new one does not wait before it tries again. */
    setup(&f, c);
    later(&f, 3);
    assert_int_not_equal(read_blob(&f, first, first_count), 0);
    assert_int_equal(read_blob(&f, second, second_count), 0);
    assert_int_equal(keys(row_cluster_holder(c, 0), 'g'), 0);
    /* Deleted. */
    assert_int_equal(erase(c, "a"), 0);
    later(&f, 3);
    assert_int_not_equal(read_blob(&f, second, second_count), 0);
    arena_done(&arena);
    teardown(&f);
}

static void gc__deletes_a_blob_only_when_its_row_does_not_name_it(void **state)
{
    (void)state;
    row_cluster_run(3, 3, garbage, NULL);
}

/* --- Orphans. --- */

/* Of the blob, on all devices. */
static uint32_t chunks(struct fixture *f, Rs__Extent *const *extents)
{
    uint32_t         n = 0;
    struct blob_stat stat;

    for (uint32_t i = 0; i < f->c->devices; i++) {
        assert_int_equal(blob_store_stat(f->c->device[i]->blobs, extents[0]->blob.data, &stat), 0);
        for (uint32_t j = 0; j < POLICY_FRAGMENTS_MAX; j++)
            n += stat.chunks[j];
    }
    return n;
}

static void orphan(struct row_cluster *c, void *arg)
{
    Rs__Extent        **dead, **named, **inherited, **open_extents;
    struct blob_writer *w;
    struct buf         *buf = buf_new(8192);
    size_t              count;
    struct fixture      f;
    struct arena        arena;

    (void)arg;
    setup_with(&f, c, 1);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    memset(buf->data, 'o', 8192);
    assert_int_equal(blob_writer_new(f.blobs, &f.policy, &c->shard, SLICE("open"), row_cluster_soon(c), &w, NULL), 0);
    assert_int_equal(blob_write(w, buf, 0, 8192, NULL), 0);
    assert_int_equal(blob_writer_finish(w, &arena, &open_extents, &count, NULL), 0);
    later(&f, 5);
    assert_int_equal(chunks(&f, open_extents), 3);   /* Its writer lives. */
    blob_writer_free(w);
    for (int i = 0; i < 100 && chunks(&f, open_extents) > 0; i++)
        later(&f, 1);
    assert_int_equal(chunks(&f, open_extents), 0);

    count = write_blob(&f, &arena, "named", &named);
    assert_int_equal(put(c, "named", "one", named, count, 0), 0);
    count = write_blob(&f, &arena, "moved", &inherited);
    assert_int_equal(put(c, "heir:moved:1", "one", inherited, count, 0), 0);
    write_blob(&f, &arena, "dead", &dead);
    row_cluster_down(row_cluster_holder(c, 1));
    later(&f, 5);
    row_cluster_up(row_cluster_holder(c, 1));
    assert_int_equal(chunks(&f, dead), 3);   /* Not every replica could be asked. */
    for (int i = 0; i < 100 && chunks(&f, dead) > 0; i++)
        later(&f, 1);
    assert_int_equal(chunks(&f, dead), 0);
    assert_int_equal(chunks(&f, named), 3);
    assert_int_equal(chunks(&f, inherited), 3);
    assert_int_equal(read_blob(&f, named, 1), 0);
    buf_unref(buf);
    arena_done(&arena);
    teardown(&f);
}

static void gc__deletes_a_blob_that_no_row_names_and_no_writer_holds(void **state)
{
    (void)state;
    row_cluster_run(3, 3, orphan, NULL);
}

/* A write of unknown outcome: one replica has it, and any later read may make it the value. */
static void unsure(struct row_cluster *c, void *arg)
{
    Rs__Extent   **extents;
    size_t         count;
    struct fixture f;
    struct arena   arena;

    (void)arg;
    setup_with(&f, c, 1);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    count = write_blob(&f, &arena, "a", &extents);
    row_cluster_down(row_cluster_holder(c, 1));
    row_cluster_down(row_cluster_holder(c, 2));
    assert_int_not_equal(put(c, "a", "one", extents, count, 0), 0);
    row_cluster_down(row_cluster_holder(c, 0));
    row_cluster_up(row_cluster_holder(c, 1));
    row_cluster_up(row_cluster_holder(c, 2));
    assert_false(exists(c, "a"));
    later(&f, 5);
    row_cluster_up(row_cluster_holder(c, 0));
    assert_int_equal(chunks(&f, extents), 3);
    later(&f, 5);
    assert_true(exists(c, "a"));   /* Repair settled it. */
    assert_int_equal(read_blob(&f, extents, count), 0);
    arena_done(&arena);
    teardown(&f);
}

static void gc__keeps_a_blob_that_a_single_replica_names(void **state)
{
    (void)state;
    row_cluster_run(3, 3, unsure, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gc__gives_a_replica_what_it_missed),
        cmocka_unit_test(gc__purges_a_tombstone_that_every_replica_holds),
        cmocka_unit_test(gc__expires_rows_whose_time_has_come),
        cmocka_unit_test(gc__deletes_a_blob_only_when_its_row_does_not_name_it),
        cmocka_unit_test(gc__deletes_a_blob_that_no_row_names_and_no_writer_holds),
        cmocka_unit_test(gc__keeps_a_blob_that_a_single_replica_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
