/* The blob client against real devices in one process: every edge size, every
 * loss that a policy promises to survive, and the losses past it. */
#include "tests/lib/test.h"

#include <stdio.h>

#include "ring/ring.h"
#include "base/counter.h"
#include "storage/blob.h"
#include "storage/blob_store.h"
#include "storage/row_store.h"
#include "tests/storage/env_posix.h"

enum { DEVICES = 8 };

struct world {
    struct test_env        *t;
    struct hlc              hlc;
    struct rpc             *rpc;
    struct storage_service *service;
    struct device          *device[DEVICES];
    struct ring            *ring;
    struct policy           policy;
    struct blob_directory   directory;
    struct blob_client     *client;
    struct arena            arena;
    bool                    down[DEVICES];   /* As the client sees it. */
    const char             *name;
    uint32_t                devices, tasks;
};

static const struct policy *get_policy(void *ctx, uint16_t index)
{
    (void)index;
    return &((struct world *)ctx)->policy;
}
static const struct ring *get_ring(void *ctx, uint16_t index)
{
    (void)index;
    return ((struct world *)ctx)->ring;
}
static bool is_up(void *ctx, uint16_t device)
{
    return !((struct world *)ctx)->down[device];
}

static void make_ring(struct world *w)
{
    struct ring_device devices[DEVICES];
    uint8_t            replicas = policy_fragments(&w->policy);
    uint16_t           table[16 * 32];
    struct ring_spec   spec = { .epoch = 5, .hash_seed = 1, .part_power = 4, .replicas = replicas, .full = 16,
                                .devices = devices, .device_count = w->devices, .device = table };
    struct error       err = { 0 };

    for (uint16_t i = 0; i < w->devices; i++)
        devices[i] = (struct ring_device) { .id = i, .port = 1, .region = 1, .zone = 1, .node = 1, .weight = 1, .host = "h", .name = "d" };
    for (uint32_t p = 0; p < 16; p++)
        for (uint32_t r = 0; r < replicas; r++)
            table[p * replicas + r] = (uint16_t)((p + r) % w->devices);
    if (ring_new(&spec, &w->ring, &err))
        fail_msg("ring: %s", err.text);
}

WAITS static void setup(struct world *w)
{
    struct error err = { 0 };

    hlc_init(&w->hlc, &w->t->env);
    arena_init(&w->arena, 1 << 24);
    assert_int_equal(policy_parse(w->name, 0, &w->policy, NULL), 0);
    make_ring(w);
    w->rpc = rpc_new(&w->t->env, 1);
    assert_int_equal(storage_service_new(w->rpc, &w->hlc, &w->service), 0);
    for (uint16_t i = 0; i < w->devices; i++) {
        char                  path[128];
        struct device_options o = { .id = i, .path = path, .cluster_id = 1, .journal_segment_bytes = 64 * 1024,
                                    .volume_bytes = 64 << 20 };

        snprintf(path, sizeof path, "%s/d%u", w->t->dir, i);
        if (device_open(&w->t->env, &w->hlc, &o, &w->device[i], &err))
            fail_msg("device: %s", err.text);
        assert_int_equal(storage_service_add(w->service, w->device[i]), 0);
    }
    w->directory = (struct blob_directory) { w, get_policy, get_ring, is_up };
    w->client = blob_client_new(w->rpc, &w->hlc, &w->directory);
    w->tasks = sched_tasks(w->t->env.sched);
}

WAITS static void teardown(struct world *w)
{
    blob_client_free(w->client);
    while (sched_tasks(w->t->env.sched) > w->tasks)   /* Calls that nobody waits for. */
        task_sleep(NS_PER_MS);
    for (uint32_t i = 0; i < w->devices; i++)
        device_close(w->device[i]);
    while (sched_tasks(w->t->env.sched) > 1)
        task_sleep(NS_PER_MS);
    storage_service_free(w->service);
    rpc_free(w->rpc);
    ring_unref(w->ring);
    arena_done(&w->arena);
}

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 131 + (i >> 8) * 17 + (i >> 20));
}

WAITS static int64_t soon(struct world *w)
{
    return env_now(&w->t->env) + 120 * NS_PER_S;
}

/* Writes in pieces of 'piece' bytes; 0: whole aligned megabytes. */
WAITS static int put(struct world *w, uint64_t size, uint32_t piece, Rs__Extent ***ret_extents, size_t *ret_count)
{
    struct shard        shard = { .id = { 1, 2, 3 } };
    struct blob_writer *writer;
    struct error        err = { 0 };
    int rc = blob_writer_new(w->client, &w->policy, &shard, slice_str("an/object"), soon(w), &writer, &err);

    if (piece == 0)
        piece = 1 << 20;
    for (uint64_t at = 0; at < size && rc == 0; at += piece) {
        uint32_t    n = size - at < piece ? (uint32_t)(size - at) : piece;
        struct buf *buf = buf_new(n);

        for (uint32_t i = 0; i < n; i++)
            buf->data[i] = byte_at(at + i);
        rc = blob_write(writer, buf, 0, n, &err);
        buf_unref(buf);
    }
    if (rc == 0)
        rc = blob_writer_finish(writer, &w->arena, ret_extents, ret_count, &err);
    if (rc)
        assert_string_not_equal(err.text, "");
    if (rc)
        print_message("put: %s\n", err.text);
    blob_writer_free(writer);
    return rc;
}

WAITS static int get(struct world *w, Rs__Extent **extents, size_t count, uint64_t offset, uint64_t size)
{
    struct blob_reader *reader;
    struct error        err = { 0 };
    uint64_t            at = offset;
    int                 rc = blob_reader_new(w->client, extents, count, offset, size, soon(w), &reader, &err);

    if (rc)
        return rc;
    for (;;) {
        struct buf_part part;

        rc = blob_read(reader, &part, &err);
        if (rc || part.size == 0)
            break;
        for (uint32_t i = 0; i < part.size; i++, at++)
            if (part.buf->data[part.offset + i] != byte_at(at))
                fail_msg("byte %llu of %llu+%llu", (unsigned long long)at, (unsigned long long)offset,
                         (unsigned long long)size);
        buf_unref(part.buf);
    }
    blob_reader_free(reader);
    if (rc)
        assert_string_not_equal(err.text, "");
    else
        assert_int_equal(at, offset + size);
    return rc;
}

WAITS static void round_trip(struct world *w, uint64_t size, uint32_t piece)
{
    Rs__Extent **e;
    size_t       n;

    assert_int_equal(put(w, size, piece, &e, &n), 0);
    assert_int_equal(n == 0, size == 0);
    assert_int_equal(get(w, e, n, 0, size), 0);
    if (size) {
        assert_int_equal(get(w, e, n, size - 1, 1), 0);
        assert_int_equal(get(w, e, n, 0, 1), 0);
        assert_int_equal(get(w, e, n, size / 3, size / 2), 0);
        assert_int_equal(get(w, e, n, size, 0), 0);
        assert_int_equal(get(w, e, n, size, 1), -EINVAL);
    }
}

WAITS static void edges(struct world *w)
{
    uint64_t unit = policy_unit(&w->policy), b[3] = { 65536, unit, unit * w->policy.k };

    round_trip(w, 0, 0);
    round_trip(w, 1, 0);
    for (int i = 0; i < 3; i++)
        for (int d = -1; d <= 1; d++)
            round_trip(w, b[i] + (uint64_t)d, d == 0 ? 0 : 100000);
    round_trip(w, 3 * unit * w->policy.k + 12345, 0);
    round_trip(w, 5 * unit * w->policy.k, 777777);
}

static void run(const char *name, uint32_t devices, void (*fn)(void *))
{
    struct world w = { .t = test_env_new(), .name = name, .devices = devices };

    test_env_run(w.t, fn, &w);
    test_env_free(w.t);
}

static void edges_task(void *arg)
{
    setup(arg);
    edges(arg);
    teardown(arg);
}

static void blob__edge_sizes_replicated(void **s) { (void)s; run("replicated-3", 4, edges_task); }
static void blob__edge_sizes_one_copy(void **s) { (void)s; run("replicated-1", 2, edges_task); }
static void blob__edge_sizes_ec_4_2(void **s) { (void)s; run("ec-4-2", 6, edges_task); }
static void blob__edge_sizes_ec_3_1(void **s) { (void)s; run("ec-3-1", 5, edges_task); }

/* Longer than one blob. */
static void many_task(void *arg)
{
    struct world *w = arg;
    Rs__Extent  **e;
    size_t        n;
    uint64_t      size = 2 * (uint64_t)BLOB_SIZE_MAX + 4321;
    uint32_t      before = 0, after = 0;
    int           rc;

    setup(w);
    rc = put(w, size, 0, &e, &n);
    assert_int_equal(rc, 0);
    assert_int_equal(n, 3);
    assert_int_equal(get(w, e, n, 0, size), 0);
    assert_int_equal(get(w, e, n, BLOB_SIZE_MAX - 7, 20), 0);
    for (uint32_t i = 0; i < w->devices; i++) {
        struct blob_usage u;

        blob_store_usage(w->device[i]->blobs, &u);
        before += u.live_bytes > 0;
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(blob_delete(w->client, e[i], soon(w), NULL), 0);
    for (uint32_t i = 0; i < w->devices; i++) {
        struct blob_usage u;

        blob_store_usage(w->device[i]->blobs, &u);
        after += u.live_bytes > 0;
    }
    assert_true(before > 0 && after == 0);
    assert_int_equal(get(w, e, n, 0, 10), -E_UNAVAILABLE);
    teardown(w);
}
static void blob__longer_than_one_blob(void **s) { (void)s; run("replicated-2", 2, many_task); }

/* Every pattern of m lost devices, seen as down, and answering with errors. */
static void losses_task(void *arg)
{
    struct world *w = arg;
    uint64_t      size = 3 * (uint64_t)policy_unit(&w->policy) * 4 + 33333;
    Rs__Extent  **e, **small;
    size_t        n, small_n;

    setup(w);
    size = 2 * (uint64_t)policy_unit(&w->policy) * w->policy.k + 33333;
    assert_int_equal(put(w, size, 0, &e, &n), 0);
    assert_int_equal(put(w, 100, 0, &small, &small_n), 0);
    for (uint32_t lost = 1; lost < 1u << w->devices; lost++) {
        bool alive = __builtin_popcount(lost) <= w->policy.m;

        if (__builtin_popcount(lost) > w->policy.m + 1)
            continue;
        for (int seen = 0; seen < 2; seen++) {
            int rc;

            for (uint32_t i = 0; i < w->devices; i++) {
                w->down[i] = seen && (lost >> i & 1);
                w->device[i]->state = !seen && (lost >> i & 1) ? DEVICE_FAILED : DEVICE_IN_SERVICE;
            }
            rc = get(w, e, n, 0, size);
            assert_int_equal(rc, alive ? 0 : w->devices > policy_fragments(&w->policy) ? rc : -E_UNAVAILABLE);
            assert_int_equal(get(w, small, small_n, 5, 50), alive ? 0 : get(w, small, small_n, 5, 50));
            if (alive && seen)
                assert_int_equal(get(w, e, n, size / 5, size / 2), 0);
        }
    }
    for (uint32_t i = 0; i < w->devices; i++) {
        w->down[i] = false;
        w->device[i]->state = DEVICE_IN_SERVICE;
    }
    teardown(w);
}
static void blob__every_loss_replicated(void **s) { (void)s; run("replicated-3", 3, losses_task); }
static void blob__every_loss_ec(void **s) { (void)s; run("ec-4-2", 6, losses_task); }

/* Devices that leave while a blob is written. */
static void midway_task(void *arg)
{
    struct world       *w = arg;
    struct shard        shard = { .id = { 9 } };
    struct blob_writer *writer;
    Rs__Extent        **e;
    size_t              n;
    struct error        err = { 0 };
    int                 rc = 0;

    setup(w);
    for (uint32_t lost = 0; lost <= 2; lost++) {
        assert_int_equal(blob_writer_new(w->client, &w->policy, &shard, slice_str("o"), soon(w), &writer, &err), 0);
        for (uint32_t i = 0; i < 24 && rc == 0; i++) {
            struct buf *buf = buf_new(1 << 20);

            for (uint32_t j = 0; j < 1 << 20; j++)
                buf->data[j] = byte_at(((uint64_t)i << 20) + j);
            rc = blob_write(writer, buf, 0, 1 << 20, &err);
            buf_unref(buf);
            for (uint32_t d = 0; d < lost && i == 11; d++)
                w->device[d]->state = DEVICE_FAILED;
        }
        if (rc == 0)
            rc = blob_writer_finish(writer, &w->arena, &e, &n, &err);
        blob_writer_free(writer);
        if (w->devices > policy_fragments(&w->policy)) {   /* It depends on where the blob is. */
            assert_true(rc == -E_UNAVAILABLE || (rc == 0 && get(w, e, n, 0, 24 << 20) == 0));
        } else if (w->policy.erasure ? lost > 0 : lost > w->policy.m / 2u) {
            assert_int_equal(rc, -E_UNAVAILABLE);
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(get(w, e, n, 0, 24 << 20), 0);
        }
        rc = 0;
        for (uint32_t d = 0; d < w->devices; d++)
            w->device[d]->state = DEVICE_IN_SERVICE;
    }
    /* Known to be down before: handoffs take the fragments, or the write is refused. */
    w->down[0] = w->down[1] = true;
    rc = put(w, 5 << 20, 0, &e, &n);
    if (w->devices < policy_fragments(&w->policy) + 2u && w->policy.erasure) {
        assert_int_equal(rc, -E_UNAVAILABLE);
    } else if (w->devices >= policy_fragments(&w->policy) + 2u) {
        assert_int_equal(rc, 0);
        w->down[0] = w->down[1] = false;
        assert_int_equal(get(w, e, n, 0, 5 << 20), 0);
    }
    teardown(w);
}
static void blob__devices_lost_midway_replicated(void **s) { (void)s; run("replicated-3", 3, midway_task); }
static void blob__devices_lost_midway_handoff(void **s) { (void)s; run("replicated-3", 5, midway_task); }
static void blob__devices_lost_midway_ec(void **s) { (void)s; run("ec-2-1", 3, midway_task); }
static void blob__devices_lost_midway_ec_handoff(void **s) { (void)s; run("ec-4-2", 8, midway_task); }

/* Rot in one fragment: its device leaves service, the bytes come from the others. */
static void rot_task(void *arg)
{
    struct world *w = arg;
    Rs__Extent  **e;
    char          command[512];
    size_t        n;
    uint32_t      failed = 0;

    setup(w);
    assert_int_equal(put(w, 3 << 20, 0, &e, &n), 0);
    for (uint32_t d = 0; d < 2; d++) {
        snprintf(command, sizeof command,
                 "for b in 12000 300000 500000 1500000 2500000; do "
                 "printf XXXX | dd of=%s/d%u/volumes/00000001.vol bs=1 seek=$b conv=notrunc status=none; done",
                 w->t->dir, e[0]->devices[d]);
        assert_int_equal(system(command), 0);
    }
    for (int i = 0; i < 6; i++)
        assert_int_equal(get(w, e, n, 0, 3 << 20), 0);
    for (uint32_t d = 0; d < w->devices; d++)
        failed += w->device[d]->state == DEVICE_FAILED;
    assert_true(failed >= 1 && failed <= 2);
    teardown(w);
}
static void blob__rot_is_read_around_replicated(void **s) { (void)s; run("replicated-3", 3, rot_task); }
static void blob__rot_is_read_around_ec(void **s) { (void)s; run("ec-4-2", 6, rot_task); }

/* A writer that goes away leaves nothing that counts as stored. */
static void abandoned_task(void *arg)
{
    struct world       *w = arg;
    struct shard        shard = { .id = { 9 } };
    struct blob_writer *writer;
    struct error        err = { 0 };

    setup(w);
    for (uint32_t pieces = 0; pieces < 70; pieces += 23) {
        assert_int_equal(blob_writer_new(w->client, &w->policy, &shard, slice_str("o"), soon(w), &writer, &err), 0);
        for (uint32_t i = 0; i < pieces; i++) {
            struct buf *buf = buf_new(1 << 20);

            memset(buf->data, 1, 1 << 20);
            assert_int_equal(blob_write(writer, buf, 0, 1 << 20, &err), 0);
            buf_unref(buf);
        }
        blob_writer_free(writer);
    }
    task_sleep(200 * NS_PER_MS);
    for (uint32_t d = 0; d < w->devices; d++) {
        struct blob_usage u;

        blob_store_usage(w->device[d]->blobs, &u);
        assert_int_equal(u.live_bytes, 0);
    }
    teardown(w);
}
static void blob__abandoned_leaves_nothing(void **s) { (void)s; run("replicated-3", 3, abandoned_task); }

static void full_task(void *arg)
{
    struct world *w = arg;
    Rs__Extent  **e;
    size_t        n;

    setup(w);
    assert_int_equal(put(w, 100000, 0, &e, &n), 0);
    w->t->space_free = 1 << 20;
    for (uint32_t d = 0; d < w->devices; d++)
        w->device[d]->full = true;
    assert_int_equal(put(w, 100000, 0, NULL, NULL), -ENOSPC);
    assert_int_equal(get(w, e, n, 0, 100000), 0);
    teardown(w);
}
static void blob__full_is_told_and_reads_go_on(void **s) { (void)s; run("ec-2-1", 3, full_task); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blob__edge_sizes_replicated),
        cmocka_unit_test(blob__edge_sizes_one_copy),
        cmocka_unit_test(blob__edge_sizes_ec_4_2),
        cmocka_unit_test(blob__edge_sizes_ec_3_1),
        cmocka_unit_test(blob__longer_than_one_blob),
        cmocka_unit_test(blob__every_loss_replicated),
        cmocka_unit_test(blob__every_loss_ec),
        cmocka_unit_test(blob__devices_lost_midway_replicated),
        cmocka_unit_test(blob__devices_lost_midway_handoff),
        cmocka_unit_test(blob__devices_lost_midway_ec),
        cmocka_unit_test(blob__devices_lost_midway_ec_handoff),
        cmocka_unit_test(blob__rot_is_read_around_replicated),
        cmocka_unit_test(blob__rot_is_read_around_ec),
        cmocka_unit_test(blob__abandoned_leaves_nothing),
        cmocka_unit_test(blob__full_is_told_and_reads_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
