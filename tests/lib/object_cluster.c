/* tests/lib/object_cluster.c - see object_cluster.h. */
#include "tests/lib/object_cluster.h"

#include "storage/blob_store.h"
#include "tests/lib/test.h"

static const struct slice account = { (const uint8_t *)"AUTH_test", 9 };

static const struct ring *index_ring(void *ctx, uint8_t replicas)
{
    (void)replicas;   /* One ring of three does for all. */
    return ((struct object_cluster *)ctx)->rows->ring;
}

static const struct ring *gc_ring(void *ctx, uint32_t replicas)
{
    (void)replicas;
    return ((struct object_cluster *)ctx)->rows->ring;
}

static const struct policy *find_policy(void *ctx, uint16_t index)
{
    return &((struct object_cluster *)ctx)->policies[index];
}

static const struct ring *find_ring(void *ctx, uint16_t index)
{
    (void)index;
    return ((struct object_cluster *)ctx)->rows->ring;
}

static bool device_up(void *ctx, uint16_t device)
{
    return ((struct object_cluster *)ctx)->rows->device[device]->state == DEVICE_IN_SERVICE;
}

WAITS static int named(void *ctx, const struct shard *shard, struct slice name, const Rs__Extent *extent,
                       int64_t deadline, bool *ret_named)
{
    return object_rows_name(((struct object_cluster *)ctx)->rows->client, shard, name, extent, deadline, ret_named);
}

static void open_all(struct object_cluster *f)
{
    struct blob_directory directory = { .ctx = f, .policy = find_policy, .ring = find_ring, .device_up = device_up };
    struct object_service_options options = { .env = f->rows->env, .rows = f->rows->client, .policies = f->policies,
                                              .policy_count = 2, .index_ring = index_ring, .index_ring_ctx = f,
                                              .directory = directory };
    struct gc_options gc = { .rpc = f->rows->rpc, .hlc = &f->rows->hlc, .rows = f->rows->client, .ctx = f,
                             .index_ring = gc_ring, .named = named, .grace_ms = 1, .purge_age_ms = 60000,
                             .repair_ms = 1, .manual = true };

    assert_int_equal(policy_parse("replicated-3", 0, &f->policies[0], NULL), 0);
    assert_int_equal(policy_parse("ec-4-2", 1, &f->policies[1], NULL), 0);
    f->policies[0].is_default = true;
    f->blobs = blob_client_new(f->rows->rpc, &f->rows->hlc, &directory);
    options.blobs = gc.blobs = f->blobs;
    assert_int_equal(object_service_new(&options, &f->service, NULL), 0);
    assert_int_equal(gc_new(&gc, &f->gc), 0);
    for (uint32_t i = 0; i < f->rows->devices; i++)
        assert_int_equal(gc_add(f->gc, f->rows->device[i]), 0);
}

static void with_rows(struct row_cluster *rows, void *arg)
{
    struct object_cluster f = { .rows = rows, .soon = env_now(rows->env) + 60 * NS_PER_S };

    arena_init(&f.arena, 64 * 1024 * 1024);
    open_all(&f);
    ((void (*)(struct object_cluster *))arg)(&f);
    /* The task that carries statistics ends by itself when nothing is left. */
    while (f.service->flushing)
        task_sleep(10 * NS_PER_MS);
    gc_free(f.gc);
    object_service_free(f.service);
    blob_client_free(f.blobs);
    arena_done(&f.arena);
}

void object_cluster_run(void (*test)(struct object_cluster *f))
{
    row_cluster_run(6, 3, with_rows, (void *)test);
}

WAITS void object_cluster_collect(struct object_cluster *f, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        task_sleep(5 * NS_PER_MS);
        gc_run(f->gc);
    }
}

WAITS uint32_t object_cluster_blobs(struct object_cluster *f)
{
    uint8_t  seen[256][BLOB_ID_BYTES];
    uint32_t count = 0;

    for (uint32_t i = 0; i < f->rows->devices; i++) {
        uint8_t  blobs[256][BLOB_ID_BYTES], from[BLOB_ID_BYTES] = { 0 };
        uint32_t n = 0;

        assert_int_equal(blob_store_walk(f->rows->device[i]->blobs, from, 256, blobs, &n), 0);
        for (uint32_t b = 0; b < n; b++) {
            uint32_t at = 0;
            while (at < count && memcmp(seen[at], blobs[b], BLOB_ID_BYTES) != 0)
                at++;
            assert_true(at < 256);
            if (at == count)
                memcpy(seen[count++], blobs[b], BLOB_ID_BYTES);
        }
    }
    return count;
}

WAITS struct container *object_cluster_open(struct object_cluster *f, const char *name)
{
    struct container *c = NULL;

    assert_int_equal(container_open(f->service, account, slice_str(name), true, f->soon, &c, NULL), 0);
    return c;
}

WAITS struct container *object_cluster_container(struct object_cluster *f, const char *name, enum versioning versioning)
{
    struct config_changes changes = { .versioning = &versioning };
    bool                  created = false;

    assert_int_equal(container_create(f->service, account, slice_str(name), NULL, &changes, f->soon, &created, NULL), 0);
    return object_cluster_open(f, name);
}

void object_cluster_fill(uint64_t seed, uint64_t offset, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint64_t at = offset + i;
        to[i] = (uint8_t)((at * 131 + at / 251 + seed * 7919) >> (at % 3));
    }
}

WAITS int object_cluster_put(struct object_cluster *f, struct container *c, const char *name, uint64_t seed,
                             uint64_t size, const struct object_condition *condition, Rs__ObjectMeta **ret_meta)
{
    Rs__ObjectMeta    *meta = arena_new(&f->arena, Rs__ObjectMeta);
    struct object_put *put = NULL;
    uint8_t            bytes[4096];
    int rc = object_put_new(f->service, c, slice_str(name), size, f->soon, &f->arena, &put, NULL);

    rs__object_meta__init(meta);
    for (uint64_t at = 0; rc == 0 && at < size; at += sizeof bytes) {
        size_t n = size - at < sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        object_cluster_fill(seed, at, bytes, n);
        rc = object_put_bytes(put, slice_of(bytes, n), NULL);
    }
    if (rc == 0)
        rc = object_put_end(put, NULL);
    if (rc == 0)
        rc = object_put_commit(put, c, meta, 0, condition, f->soon, NULL);
    object_put_free(put);
    if (rc == 0 && ret_meta)
        *ret_meta = meta;
    return rc;
}

WAITS void object_cluster_compare(struct object_cluster *f, const struct object *object, uint64_t seed, uint64_t size)
{
    struct object_body body;
    struct slice       bytes = SLICE_NONE;
    uint64_t           at = 0;

    assert_int_equal(object->size, size);
    assert_int_equal(object_body_open(f->service, object, 0, size, f->soon, &body, NULL), 0);
    do {
        assert_int_equal(object_body_next(&body, &bytes, NULL), 0);
        for (size_t i = 0; i < bytes.size; i += 4096) {
            uint8_t expected[4096];
            size_t  n = bytes.size - i < 4096 ? bytes.size - i : 4096;
            object_cluster_fill(seed, at + i, expected, n);
            assert_memory_equal(bytes.data + i, expected, n);
        }
        at += bytes.size;
    } while (bytes.size);
    assert_int_equal(at, size);
    object_body_close(&body);
}

WAITS int object_cluster_check(struct object_cluster *f, struct container *c, const char *name,
                               const struct version_ref *version, uint64_t seed, uint64_t size)
{
    struct object o;
    int rc = version ? object_read_version(f->service, c, slice_str(name), version, ROW_FULL, f->soon, &f->arena, &o, NULL)
                     : object_read(f->service, c, slice_str(name), ROW_FULL, f->soon, &f->arena, &o, NULL);

    if (rc == 0)
        object_cluster_compare(f, &o, seed, size);
    return rc;
}
