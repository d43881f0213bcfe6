/* tests/proxy/object/manifest_test.c - objects that stand for many, over real rows in one process. */
#include "tests/lib/row_cluster.h"
#include "tests/lib/test.h"

#include "proxy/object/manifest.h"
#include "proxy/object/service.h"

struct fixture {
    struct row_cluster    *cluster;
    struct object_service *service;
    struct policy          policy;
    struct arena           arena;
    struct manifest_access access;
    struct container      *box;
    int64_t                soon;
    const char            *closed;       /* No segment of that name may be read. */
    char                   got[256];     /* What came out last. */
    size_t                 got_size;
    int                    sink_fails;   /* What the sink answers. */
};

static const struct slice account = { (const uint8_t *)"AUTH_test", 9 };

static const struct ring *index_ring(void *ctx, uint8_t replicas)
{
    (void)replicas;
    return ((struct row_cluster *)ctx)->ring;
}

WAITS static int open_box(void *ctx, struct slice name, bool listing, bool fresh, struct container **ret_container)
{
    struct fixture *f = ctx;
    (void)listing;
    return container_open(f->service, account, name, fresh, f->soon, ret_container, NULL);
}

static int may_read(void *ctx, const struct container *container, struct slice name, const Rs__ObjectMeta *meta)
{
    const struct fixture *f = ctx;
    (void)container, (void)meta;
    return f->closed && slice_equal(name, slice_str(f->closed)) ? -E_FORBIDDEN : 0;
}

static void with_box(struct row_cluster *cluster, void *arg)
{
    struct fixture                f = { .cluster = cluster, .soon = row_cluster_soon(cluster) };
    struct object_service_options options = { .env = cluster->env, .rows = cluster->client, .policies = &f.policy,
                                              .policy_count = 1, .index_ring = index_ring, .index_ring_ctx = cluster };
    bool                          created;

    arena_init(&f.arena, ARENA_LIMIT_DEFAULT);
    f.access = (struct manifest_access) { .open = open_box, .may_read = may_read, .ctx = &f };
    assert_int_equal(policy_parse("replicated-3", 0, &f.policy, NULL), 0);
    f.policy.is_default = true;
    assert_int_equal(object_service_new(&options, &f.service, NULL), 0);
    assert_int_equal(container_create(f.service, account, SLICE("box"), NULL, NULL, f.soon, &created, NULL), 0);
    assert_int_equal(open_box(&f, SLICE("box"), false, false, &f.box), 0);
    ((void (*)(struct fixture *))arg)(&f);
    container_unref(f.box);
    while (f.service->flushing)
        task_sleep(10 * NS_PER_MS);
    object_service_free(f.service);
    arena_done(&f.arena);
}

static void run(void (*test)(struct fixture *f))
{
    row_cluster_run(4, 3, with_box, (void *)test);
}

static void put_meta(struct fixture *f, const char *name, struct slice bytes, Rs__ObjectMeta *meta)
{
    struct object_put *put;

    assert_int_equal(object_put_new(f->service, f->box, slice_str(name), bytes.size, f->soon, &f->arena, &put, NULL), 0);
    assert_int_equal(object_put_bytes(put, bytes, NULL), 0);
    assert_int_equal(object_put_end(put, NULL), 0);
    assert_int_equal(object_put_commit(put, f->box, meta, 0, NULL, f->soon, NULL), 0);
    object_put_free(put);
}

static void put(struct fixture *f, const char *name, const char *text)
{
    Rs__ObjectMeta meta = RS__OBJECT_META__INIT;
    put_meta(f, name, slice_str(text), &meta);
}

/* One element of a manifest. */
struct part {
    const char *name, *etag;   /* etag NULL: the MD5 of 'text'. */
    const char *text;
    uint64_t    first, length, size;   /* size 0: that of 'text'. */
};

static void put_static(struct fixture *f, const char *name, const char *etag, uint64_t size, const struct part *parts,
                       uint32_t count)
{
    Rs__SegmentList list = RS__SEGMENT_LIST__INIT;
    Rs__Segment     segments[4], *at[4];
    char            hex[4][33];
    uint8_t         packed[1024];
    Rs__ObjectMeta  meta = RS__OBJECT_META__INIT;

    for (uint32_t i = 0; i < count; i++) {
        md5_hex(slice_str(parts[i].text), hex[i]);
        rs__segment__init(at[i] = &segments[i]);
        segments[i].container = pb_data(SLICE("box"));
        segments[i].object = pb_data(slice_str(parts[i].name));
        segments[i].etag = pb_data(slice_str(parts[i].etag ? parts[i].etag : hex[i]));
        segments[i].size = parts[i].size ? parts[i].size : strlen(parts[i].text);
        segments[i].first = parts[i].first;
        segments[i].length = parts[i].length;
    }
    list.segments = at;
    list.n_segments = count;
    meta.manifest = true;
    meta.manifest_size = size;
    meta.manifest_etag = pb_data(slice_str(etag));
    put_meta(f, name, slice_of(packed, rs__segment_list__pack(&list, packed)), &meta);
}

WAITS static int sink(void *ctx, struct slice bytes)
{
    struct fixture *f = ctx;

    if (f->sink_fails)
        return f->sink_fails;
    assert_true(bytes.size <= sizeof f->got - f->got_size);
    memcpy(f->got + f->got_size, bytes.data, bytes.size);
    f->got_size += bytes.size;
    return 0;
}

static int open_manifest(struct fixture *f, const char *name, struct object *object, struct manifest *m)
{
    assert_int_equal(object_read(f->service, f->box, slice_str(name), ROW_FULL, f->soon, &f->arena, object, NULL), 0);
    return manifest_open(f->service, &f->access, object, manifest_where(object->meta), true, f->soon, m, NULL);
}

static int get(struct fixture *f, const char *name, uint64_t offset, uint64_t size)
{
    struct object   object;
    struct manifest m;
    int             rc = open_manifest(f, name, &object, &m);

    f->got_size = 0;
    if (rc == 0)
        rc = manifest_send(&m, offset, size, sink, f, NULL);
    if (rc == 0)
        assert_int_equal(f->got_size, size);
    if (rc == 0)
        f->got[f->got_size] = 0;
    manifest_close(&m);
    return rc;
}

static const struct part abc[] = { { "s/a", NULL, "alpha", 0, 5, 0 }, { "s/b", NULL, "beta", 1, 2, 0 },
                                   { "s/c", NULL, "gamma", 0, 5, 0 } };

/* "large" is "alpha" "et" "gamma". */
static void put_large(struct fixture *f)
{
    put(f, "s/a", "alpha");
    put(f, "s/b", "beta");
    put(f, "s/c", "gamma");
    put_static(f, "large", "0123", 12, abc, 3);
}

static void ranges_in(struct fixture *f)
{
    static const char whole[] = "alphaetgamma";

    put_large(f);
    for (uint64_t first = 0; first < 12; first++)
        for (uint64_t size = 1; size <= 12 - first; size++) {
            assert_int_equal(get(f, "large", first, size), 0);
            assert_memory_equal(f->got, whole + first, size);
        }
    assert_int_equal(get(f, "large", 12, 0), 0);
}

static void static__every_range_crosses_segments_rightly(void **state)
{
    (void)state;
    run(ranges_in);
}

static void nested_in(struct fixture *f)
{
    const struct part outer[] = { { "large", "0123", "", 3, 5, 12 }, { "s/a", NULL, "alpha", 0, 5, 0 } };
    const struct part self[] = { { "self", "77", "", 0, 3, 3 } };

    put_large(f);
    put_static(f, "outer", "4567", 10, outer, 2);
    assert_int_equal(get(f, "outer", 0, 10), 0);
    assert_string_equal(f->got, "haetgalpha");
    put_static(f, "self", "77", 3, self, 1);
    assert_int_equal(get(f, "self", 0, 3), -E_CONFLICT);   /* Past MANIFEST_DEPTH_MAX. */
}

static void static__manifests_nest_but_not_for_ever(void **state)
{
    (void)state;
    run(nested_in);
}

static void changed_in(struct fixture *f)
{
    put_large(f);
    f->closed = "s/b";
    assert_int_equal(get(f, "large", 0, 12), -E_CONFLICT);
    assert_int_equal(get(f, "large", 0, 5), 0);   /* What is not read is not asked for. */
    f->closed = NULL;
    put(f, "s/b", "BETA");
    assert_int_equal(get(f, "large", 0, 12), -E_CONFLICT);
    put(f, "s/b", "betas");
    assert_int_equal(get(f, "large", 0, 12), -E_CONFLICT);
    put(f, "s/b", "beta");
    assert_int_equal(get(f, "large", 0, 12), 0);
    assert_int_equal(object_delete(f->service, f->box, SLICE("s/c"), f->soon, NULL), 0);
    assert_int_equal(get(f, "large", 0, 12), -E_CONFLICT);
    put_static(f, "short", "89", 8, abc, 2);   /* It says 8, they are 7. */
    assert_int_equal(get(f, "short", 0, 8), -E_CONFLICT);
    f->sink_fails = -E_CLOSED;
    assert_int_equal(get(f, "large", 0, 5), -E_CLOSED);
}

static void static__segments_that_changed_or_are_closed_are_a_conflict(void **state)
{
    (void)state;
    run(changed_in);
}

static void put_dynamic(struct fixture *f, const char *name, const char *where)
{
    Rs__ObjectMeta meta = RS__OBJECT_META__INIT;
    Rs__MetaItem   item = RS__META_ITEM__INIT, *items[] = { &item };

    item.name = pb_data(SLICE("x-object-manifest"));
    item.value = pb_data(slice_str(where));
    meta.headers = items;
    meta.n_headers = 1;
    put_meta(f, name, SLICE_NONE, &meta);
}

static void dynamic_in(struct fixture *f)
{
    struct object   object;
    struct manifest m;
    char            tags[3 * 32 + 1], hex[33];

    put_large(f);
    put_dynamic(f, "dynamic", "/box/s/");
    assert_int_equal(open_manifest(f, "dynamic", &object, &m), 0);
    assert_int_equal(m.kind, MANIFEST_DYNAMIC);
    assert_int_equal(m.size, 14);
    for (int i = 0; i < 3; i++) {
        md5_hex(slice_str(abc[i].text), hex);
        memcpy(tags + i * 32, hex, 33);
    }
    md5_hex(slice_str(tags), hex);
    assert_true(slice_equal(m.etag, slice_str(hex)));
    manifest_close(&m);
    assert_int_equal(get(f, "dynamic", 3, 8), 0);
    assert_string_equal(f->got, "habetaga");
    put(f, "s/b", "B");   /* It is what its segments are. */
    assert_int_equal(get(f, "dynamic", 0, 11), 0);
    assert_string_equal(f->got, "alphaBgamma");
    put_dynamic(f, "nowhere", "box");
    assert_int_equal(get(f, "nowhere", 0, 0), -E_CONFLICT);
    put_dynamic(f, "missing", "other/x");
    assert_int_equal(get(f, "missing", 0, 0), -ENOENT);
}

static void dynamic__joins_what_has_the_prefix_now(void **state)
{
    (void)state;
    run(dynamic_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(static__every_range_crosses_segments_rightly),
        cmocka_unit_test(static__manifests_nest_but_not_for_ever),
        cmocka_unit_test(static__segments_that_changed_or_are_closed_are_a_conflict),
        cmocka_unit_test(dynamic__joins_what_has_the_prefix_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
