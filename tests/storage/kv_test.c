/* The contract of storage/kv.h, on RocksDB. */
#include "tests/lib/test.h"

#include "storage/kv.h"
#include "tests/storage/env_posix.h"

struct world {
    struct test_env *t;
    struct kv       *kv;
    struct kv_batch *batch;
    struct arena     arena;
    char             path[128];
    char             seen[4096];
    uint32_t         limit;
};

static void setup(struct world *w)
{
    struct error err = { 0 };

    snprintf(w->path, sizeof w->path, "%s/index", w->t->dir);
    arena_init(&w->arena, 1 << 20);
    w->batch = kv_batch_new();
    assert_int_equal(kv_open(&kv_rocks, &w->t->env, w->path, NULL, &w->kv, &err), 0);
}

static void teardown(struct world *w)
{
    kv_close(w->kv);
    kv_batch_free(w->batch);
    arena_done(&w->arena);
}

static void put(struct world *w, const char *key, const char *value)
{
    assert_int_equal(kv_batch_put(w->batch, slice_str(key), slice_str(value)), 0);
}

static void expect(struct world *w, const char *key, const char *value)
{
    struct slice v;
    int          rc = kv_get(w->kv, slice_str(key), &w->arena, &v);

    assert_int_equal(rc, value ? 0 : -ENOENT);
    if (value)
        assert_true(slice_equal(v, slice_str(value)));
}

static bool collect(void *arg, struct slice key, struct slice value)
{
    struct world *w = arg;
    size_t        n = strlen(w->seen);

    snprintf(w->seen + n, sizeof w->seen - n, "%.*s=%.*s ", SLICE_ARG(key), SLICE_ARG(value));
    return w->limit == 0 || --w->limit > 0;
}

static const char *scan(struct world *w, const char *from, const char *to, bool reverse, uint32_t limit)
{
    w->seen[0] = 0;
    w->limit = limit;
    assert_int_equal(kv_scan(w->kv, slice_str(from), slice_str(to), reverse, collect, w), 0);
    return w->seen;
}

static void contract_task(void *arg)
{
    struct world *w = arg;

    setup(w);
    expect(w, "a", NULL);
    put(w, "a", "1");
    put(w, "b", "2");
    put(w, "c", "");
    put(w, "a", "3");
    assert_int_equal(kv_write(w->kv, w->batch), 0);
    assert_int_equal(kv_batch_count(w->batch), 0);
    expect(w, "a", "3");
    expect(w, "c", "");
    assert_string_equal(scan(w, "", "", false, 0), "a=3 b=2 c= ");
    assert_string_equal(scan(w, "", "", true, 0), "c= b=2 a=3 ");
    assert_string_equal(scan(w, "a", "c", false, 0), "a=3 b=2 ");
    assert_string_equal(scan(w, "a", "c", true, 0), "b=2 a=3 ");
    assert_string_equal(scan(w, "aa", "bb", true, 0), "b=2 ");
    assert_string_equal(scan(w, "a", "z", false, 1), "a=3 ");
    assert_string_equal(scan(w, "b", "b", false, 0), "");
    assert_int_equal(kv_batch_delete(w->batch, SLICE("b")), 0);
    put(w, "d", "4");
    assert_int_equal(kv_write(w->kv, w->batch), 0);
    expect(w, "b", NULL);
    assert_int_equal(kv_flush(w->kv), 0);
    assert_string_equal(scan(w, "", "", false, 0), "a=3 c= d=4 ");
    teardown(w);
}

static void flush_task(void *arg)
{
    struct world *w = arg;
    char          copy[512];
    struct error  err = { 0 };

    setup(w);
    put(w, "kept", "1");
    assert_int_equal(kv_write(w->kv, w->batch), 0);
    assert_int_equal(kv_flush(w->kv), 0);
    put(w, "later", "1");
    assert_int_equal(kv_write(w->kv, w->batch), 0);
    /* A crash: what is on disk now, without closing. */
    snprintf(copy, sizeof copy, "cp -a %s %s.crashed", w->path, w->path);
    assert_int_equal(system(copy), 0);
    kv_close(w->kv);
    strcat(w->path, ".crashed");
    assert_int_equal(kv_open(&kv_rocks, &w->t->env, w->path, NULL, &w->kv, &err), 0);
    expect(w, "kept", "1");
    expect(w, "later", NULL);
    teardown(w);
}

/* Values far beyond memtable and cache: gets go to disk, writes are delayed, nothing is lost or reordered. */
static void large_task(void *arg)
{
    struct world     *w = arg;
    struct kv_options small = { .write_buffer_bytes = 64 * 1024 };
    struct error      err = { 0 };
    uint8_t          *value = malloc(10000);
    char              key[32];
    struct slice      v;

    snprintf(w->path, sizeof w->path, "%s/index", w->t->dir);
    arena_init(&w->arena, 1 << 20);
    w->batch = kv_batch_new();
    assert_int_equal(kv_open(&kv_rocks, &w->t->env, w->path, &small, &w->kv, &err), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key%u", i % 2500);
        for (uint32_t j = 0; j < 10000; j++)
            value[j] = (uint8_t)(i * 31 + j * j);
        assert_int_equal(kv_batch_put(w->batch, slice_str(key), slice_of(value, 10000)), 0);
        assert_int_equal(kv_write(w->kv, w->batch), 0);
    }
    for (uint32_t k = 0; k < 2500; k++) {
        uint32_t i = k < 500 ? k + 2500 : k;

        snprintf(key, sizeof key, "key%u", k);
        arena_reset(&w->arena);
        assert_int_equal(kv_get(w->kv, slice_str(key), &w->arena, &v), 0);
        assert_int_equal(v.size, 10000);
        for (uint32_t j = 0; j < 10000; j += 777)
            assert_int_equal(v.data[j], (uint8_t)(i * 31 + j * j));
    }
    free(value);
    teardown(w);
}

/* More table files than RocksDB opens at a start, or keeps open: what it does not know by heart is no empty value. */
static void many_files_task(void *arg)
{
    enum { ROWS = 1000, BYTES = 5000 };
    struct world     *w = arg;
    struct kv_options small = { .write_buffer_bytes = 32 * 1024 };
    struct error      err = { 0 };
    uint8_t           value[BYTES];
    char              key[32];
    struct slice      v;

    snprintf(w->path, sizeof w->path, "%s/index", w->t->dir);
    arena_init(&w->arena, 1 << 20);
    w->batch = kv_batch_new();
    assert_int_equal(kv_open(&kv_rocks, &w->t->env, w->path, &small, &w->kv, &err), 0);
    for (uint32_t pass = 0; pass < 3; pass++) {
        uint64_t chance = 1;   /* Bytes that do not compress, the same each time. */
        if (pass == 2) {
            kv_close(w->kv);
            assert_int_equal(kv_open(&kv_rocks, &w->t->env, w->path, &small, &w->kv, &err), 0);
        }
        for (uint32_t i = 0; i < ROWS; i++) {
            for (uint32_t j = 0; j < BYTES; j++) {
                chance = chance * 6364136223846793005u + 1442695040888963407u;
                value[j] = (uint8_t)(chance >> 56);
            }
            snprintf(key, sizeof key, "key%u", i * 7919 % ROWS);
            if (pass == 0) {
                assert_int_equal(kv_batch_put(w->batch, slice_str(key), slice_of(value, BYTES)), 0);
                assert_int_equal(kv_write(w->kv, w->batch), 0);
                continue;
            }
            arena_reset(&w->arena);
            assert_int_equal(kv_get(w->kv, slice_str(key), &w->arena, &v), 0);
            assert_int_equal(v.size, BYTES);
            assert_memory_equal(v.data, value, BYTES);
        }
    }
    teardown(w);
}

/* An empty value is one. */
static void empty_task(void *arg)
{
    struct world *w = arg;
    struct slice  v;

    setup(w);
    put(w, "empty", "");
    assert_int_equal(kv_write(w->kv, w->batch), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kv_get(w->kv, SLICE("empty"), &w->arena, &v), 0);
        assert_int_equal(v.size, 0);
        assert_int_equal(kv_flush(w->kv), 0);
    }
    expect(w, "empt", NULL);
    teardown(w);
}

static void limits_task(void *arg)
{
    struct world *w = arg;
    uint8_t      *bytes = calloc(1, KV_VALUE_MAX + 1);
    struct slice  v;
    uint32_t      n = 0;

    setup(w);
    assert_int_equal(kv_batch_put(w->batch, slice_of(bytes, KV_KEY_MAX), slice_of(bytes, KV_VALUE_MAX)), 0);
    assert_int_equal(kv_batch_put(w->batch, slice_of(bytes, KV_KEY_MAX + 1), SLICE("x")), -E_LIMIT);
    assert_int_equal(kv_batch_put(w->batch, SLICE("x"), slice_of(bytes, KV_VALUE_MAX + 1)), -E_LIMIT);
    assert_int_equal(kv_batch_put(w->batch, SLICE(""), SLICE("x")), -E_LIMIT);
    assert_int_equal(kv_write(w->kv, w->batch), 0);
    arena_done(&w->arena);
    arena_init(&w->arena, 16 * 1024);
    assert_int_equal(kv_get(w->kv, slice_of(bytes, KV_KEY_MAX), &w->arena, &v), -ENOMEM);
    while (kv_batch_put(w->batch, SLICE("x"), slice_of(bytes, KV_VALUE_MAX)) == 0)
        n++;
    assert_int_equal(n, KV_BATCH_BYTES_MAX / KV_VALUE_MAX - 1);
    kv_batch_clear(w->batch);
    free(bytes);
    teardown(w);
}

static void damage_task(void *arg)
{
    struct world *w = arg;
    char          command[512];
    struct error  err = { 0 };

    setup(w);
    put(w, "a", "1");
    assert_int_equal(kv_write(w->kv, w->batch), 0);
    kv_close(w->kv);
    snprintf(command, sizeof command, "rm %s/MANIFEST* && echo garbage > %s/CURRENT", w->path, w->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(kv_open(&kv_rocks, &w->t->env, w->path, NULL, &w->kv, &err), -E_CORRUPT);
    w->kv = NULL;
    teardown(w);
}

static void run(void (*fn)(void *))
{
    struct world w = { .t = test_env_new() };

    test_env_run(w.t, fn, &w);
    test_env_free(w.t);
}

#define CASE(name)                     \
    static void kv__##name(void **s)   \
    {                                  \
        (void)s;                       \
        run(name##_task);              \
    }
CASE(contract)
CASE(flush)
CASE(large)
CASE(many_files)
CASE(empty)
CASE(limits)
CASE(damage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kv__contract),
        cmocka_unit_test(kv__flush),
        cmocka_unit_test(kv__large),
        cmocka_unit_test(kv__many_files),
        cmocka_unit_test(kv__empty),
        cmocka_unit_test(kv__limits),
        cmocka_unit_test(kv__damage),
    };

    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
