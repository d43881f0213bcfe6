/* tests/proxy/object/encryption_test.c - encrypted objects and uploads over real rows and blobs. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/object/seal.h"
#include "tests/lib/object_cluster.h"

enum { PART = 200 * 1024, LAST = 777 };

static const struct crypt_key mine = { { 1, 2, 3 } }, yours = { { 4, 5, 6 } };
static const struct put_encryption by_service = { .kind = ENCRYPTION_S3 };
static const struct put_encryption by_mine = { .kind = ENCRYPTION_CUSTOMER, .customer_key = &mine };
static const struct put_encryption by_yours = { .kind = ENCRYPTION_CUSTOMER, .customer_key = &yours };

/* --- Keys of the service. --- */

typedef void (*body_fn)(struct object_cluster *f);

/* Runs with master keys in a control store. */
static void with_keys(struct object_cluster *f, body_fn fn)
{
    char               dir[] = "/tmp/encryption_test.XXXXXX", command[64];
    struct control    *control = NULL;
    struct crypt_keys *keys = NULL;

    assert_non_null(mkdtemp(dir));
    assert_int_equal(control_open_embedded(f->rows->env, dir, NULL, &control, NULL), 0);
    assert_int_equal(crypt_keys_open(f->rows->env, control, &keys, NULL), 0);
    f->service->options.keys = keys;
    fn(f);
    f->service->options.keys = crypt_keys_close(keys);
    control_close(control);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* --- Helpers. --- */

static void feed(struct object_put *put, uint64_t seed, uint64_t offset, uint64_t size)
{
    uint8_t bytes[5000];   /* No divisor of anything. */

    for (uint64_t at = 0; at < size; at += sizeof bytes) {
        size_t n = size - at < sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        object_cluster_fill(seed, offset + at, bytes, n);
        assert_int_equal(object_put_bytes(put, slice_of(bytes, n), NULL), 0);
    }
    assert_int_equal(object_put_end(put, NULL), 0);
}

static void put_sealed(struct object_cluster *f, struct container *c, const char *name, uint64_t seed, uint64_t size,
                       uint64_t announced, const struct put_encryption *encryption)
{
    Rs__ObjectMeta     meta = RS__OBJECT_META__INIT;
    struct object_put *put = NULL;

    assert_int_equal(object_put_new(f->service, c, slice_str(name), announced, f->soon, &f->arena, &put, NULL), 0);
    assert_int_equal(object_put_encrypt(put, encryption, NULL), 0);
    feed(put, seed, 0, size);
    assert_int_equal(object_put_commit(put, c, &meta, 0, NULL, f->soon, NULL), 0);
    assert_int_equal(object_put_size(put), size);
    object_put_free(put);
}

static void read_it(struct object_cluster *f, struct container *c, const char *name, const struct crypt_key *key,
                    struct object *ret)
{
    assert_int_equal(object_read(f->service, c, slice_str(name), ROW_FULL, f->soon, &f->arena, ret, NULL), 0);
    ret->customer_key = key;
}

static void compare_range(struct object_cluster *f, const struct object *o, uint64_t seed, uint64_t first, uint64_t size)
{
    struct object_body body;
    struct slice       bytes = SLICE_NONE;
    uint64_t           at = first;

    assert_int_equal(object_body_open(f->service, o, first, size, f->soon, &body, NULL), 0);
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
    assert_int_equal(at, first + size);
    object_body_close(&body);
}

static int open_code(struct object_cluster *f, const struct object *o)
{
    struct object_body body;
    int                rc = object_body_open(f->service, o, 0, o->size, f->soon, &body, NULL);

    object_body_close(&body);
    return rc;
}

/* --- Whole objects. --- */

static const uint64_t edges[] = {
    0, 1, 15, ROW_INLINE_MAX - CRYPT_TAG_BYTES, ROW_INLINE_MAX - CRYPT_TAG_BYTES + 1, ROW_INLINE_MAX, ROW_INLINE_MAX + 1,
    CRYPT_FRAME_BYTES - 1, CRYPT_FRAME_BYTES, CRYPT_FRAME_BYTES + 1, SEAL_FRAMES * CRYPT_FRAME_BYTES,
    REPLICA_CHUNK_BYTES - 1, REPLICA_CHUNK_BYTES, REPLICA_CHUNK_BYTES + 1, 2 * REPLICA_CHUNK_BYTES,
    3 * REPLICA_CHUNK_BYTES + 4711
};

static void edges_come_back(struct object_cluster *f)
{
    struct container *c = object_cluster_container(f, "edges", VERSIONING_OFF);

    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        for (int announced = 0; announced < 2; announced++) {
            struct object o;
            uint64_t      size = edges[i];

            put_sealed(f, c, "o", i, size, announced ? size : UINT64_MAX, announced ? &by_service : &by_mine);
            read_it(f, c, "o", announced ? NULL : &mine, &o);
            assert_int_equal(o.size, size);
            assert_int_equal(object_size(&o), size);
            assert_int_equal(o.value->size, crypt_stored_size(size));
            assert_int_equal(o.value->n_extents > 0, crypt_stored_size(size) > ROW_INLINE_MAX);
            compare_range(f, &o, i, 0, size);
            if (size > 1)
                compare_range(f, &o, i, size - 1, 1);
            arena_reset(&f->arena);
        }
    container_unref(c);
}

static void edges_test(struct object_cluster *f)
{
    with_keys(f, edges_come_back);
}

static void encrypted__objects_of_every_size_come_back(void **state)
{
    (void)state;
    object_cluster_run(edges_test);
}

static void ranges_open_frames(struct object_cluster *f)
{
    const uint64_t    size = 2 * REPLICA_CHUNK_BYTES + 100, frame = CRYPT_FRAME_BYTES;
    const uint64_t    cuts[] = { 0, 1, frame - 1, frame, frame + 1, 15 * frame, 15 * frame + 1, 16 * frame, 17 * frame - 3,
                                 size - 101, size - 100, size - 1, size };
    struct container *c = object_cluster_container(f, "ranges", VERSIONING_OFF);
    struct object     o;

    put_sealed(f, c, "o", 7, size, size, &by_service);
    read_it(f, c, "o", NULL, &o);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        for (size_t j = i; j < sizeof cuts / sizeof *cuts; j++)
            compare_range(f, &o, 7, cuts[i], cuts[j] - cuts[i]);
    container_unref(c);
}

static void ranges_test(struct object_cluster *f)
{
    with_keys(f, ranges_open_frames);
}

static void encrypted__ranges_cross_frames(void **state)
{
    (void)state;
    object_cluster_run(ranges_test);
}

static void customers(struct object_cluster *f)
{
    struct container *c = object_cluster_container(f, "keys", VERSIONING_OFF);
    const uint64_t    sizes[] = { 100, 300 * 1024 };

    for (int i = 0; i < 2; i++) {
        struct object o;

        put_sealed(f, c, "o", 3, sizes[i], sizes[i], &by_mine);
        read_it(f, c, "o", NULL, &o);
        assert_int_equal(open_code(f, &o), -E_UNAUTHORIZED);
        o.customer_key = &yours;
        assert_int_equal(open_code(f, &o), -E_UNAUTHORIZED);
        o.customer_key = &mine;
        compare_range(f, &o, 3, 0, sizes[i]);
    }
    container_unref(c);
}

static void encrypted__another_customers_key_opens_nothing(void **state)
{
    (void)state;
    object_cluster_run(customers);
}

static void without_keys(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "none", VERSIONING_OFF);
    struct object_put *put = NULL;

    assert_int_equal(object_put_new(f->service, c, SLICE("o"), 10, f->soon, &f->arena, &put, NULL), 0);
    assert_int_equal(object_put_encrypt(put, &by_service, NULL), -ENOTSUP);
    assert_int_equal(object_put_encrypt(put, &(struct put_encryption) { .kind = ENCRYPTION_CUSTOMER }, NULL), -EINVAL);
    assert_int_equal(object_put_bytes(put, SLICE("late"), NULL), 0);
    assert_int_equal(object_put_encrypt(put, &by_mine, NULL), -EINVAL);
    object_put_free(put);
    container_unref(c);
}

static void encrypted__without_keys_or_too_late_is_refused(void **state)
{
    (void)state;
    object_cluster_run(without_keys);
}

/* What is stored is neither the plain bytes nor to be changed. */
static void tampering(struct object_cluster *f)
{
    struct container *c = object_cluster_container(f, "tamper", VERSIONING_OFF);
    struct object     o;
    uint8_t           plain[1000];

    object_cluster_fill(5, 0, plain, sizeof plain);
    put_sealed(f, c, "o", 5, sizeof plain, sizeof plain, &by_service);
    read_it(f, c, "o", NULL, &o);
    assert_int_equal(o.value->data.len, sizeof plain + CRYPT_TAG_BYTES);
    for (size_t i = 0; i + 16 <= sizeof plain; i += 16)
        assert_memory_not_equal(o.value->data.data + i, plain + i, 16);
    for (size_t i = 0; i < o.value->data.len; i += 97) {
        struct object_body body;
        struct slice       bytes;

        o.value->data.data[i] ^= 0x40;
        assert_int_equal(object_body_open(f->service, &o, 0, o.size, f->soon, &body, NULL), 0);
        assert_int_equal(object_body_next(&body, &bytes, NULL), -E_CORRUPT);
        object_body_close(&body);
        o.value->data.data[i] ^= 0x40;
    }
    compare_range(f, &o, 5, 0, sizeof plain);

    /* Its key is bound to the name, its record to the size. */
    o.name = SLICE("p");
    assert_int_equal(open_code(f, &o), -E_CORRUPT);
    o.name = SLICE("o");
    o.size--;
    assert_int_equal(open_code(f, &o), -E_CORRUPT);
    o.size++;
    o.meta->encryption->frame = 4096;
    assert_int_equal(open_code(f, &o), -E_TOO_NEW);
    container_unref(c);
}

static void tampering_test(struct object_cluster *f)
{
    with_keys(f, tampering);
}

static void encrypted__changed_bytes_are_never_shown(void **state)
{
    (void)state;
    object_cluster_run(tampering_test);
}

static void versions(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "versions", VERSIONING_ENABLED);
    struct object      o;
    struct version_ref old = { .given = true };

    put_sealed(f, c, "o", 1, 200000, 200000, &by_service);
    read_it(f, c, "o", NULL, &o);
    memcpy(old.id, o.meta->version.data, VERSION_BYTES);
    put_sealed(f, c, "o", 2, 50, 50, &by_mine);
    assert_int_equal(object_cluster_put(f, c, "o", 3, 70000, NULL, NULL), 0);
    /* A version's row has another name than the object's. */
    assert_int_equal(object_cluster_check(f, c, "o", &old, 1, 200000), 0);
    read_it(f, c, "o", NULL, &o);
    assert_null(o.meta->encryption);
    compare_range(f, &o, 3, 0, 70000);
    container_unref(c);
}

static void versions_test(struct object_cluster *f)
{
    with_keys(f, versions);
}

static void encrypted__versions_open_from_their_own_rows(void **state)
{
    (void)state;
    object_cluster_run(versions_test);
}

static void by_default(struct object_cluster *f)
{
    struct meta_change document = { SLICE("encryption"),
                                    SLICE("<X><Rule><SSEAlgorithm>AES256</SSEAlgorithm></Rule></X>") };
    struct config_changes changes = { .documents = &document, .document_count = 1 };
    struct container *c = object_cluster_container(f, "default", VERSIONING_OFF);
    struct object     o;

    assert_false(container_encrypts(c));
    assert_int_equal(container_update(f->service, c, &changes, f->soon, NULL), 0);
    container_unref(c);
    c = object_cluster_open(f, "default");
    assert_true(container_encrypts(c));
    assert_int_equal(object_cluster_put(f, c, "o", 3, 70000, NULL, NULL), 0);
    read_it(f, c, "o", NULL, &o);
    assert_int_equal(o.meta->encryption->kind, ENCRYPTION_S3);
    compare_range(f, &o, 3, 0, 70000);
    /* What the writer asks for goes first. */
    put_sealed(f, c, "o", 4, 10, 10, &by_mine);
    read_it(f, c, "o", &mine, &o);
    assert_int_equal(o.meta->encryption->kind, ENCRYPTION_CUSTOMER);
    compare_range(f, &o, 4, 0, 10);
    container_unref(c);
}

static void by_default_test(struct object_cluster *f)
{
    with_keys(f, by_default);
}

static void encrypted__a_containers_default_binds_every_put(void **state)
{
    (void)state;
    object_cluster_run(by_default_test);
}

/* --- Uploads. --- */

static void begin(struct object_cluster *f, struct container *c, const struct put_encryption *encryption, uint8_t *id)
{
    Rs__ObjectMeta meta = RS__OBJECT_META__INIT;
    Rs__Upload     upload = RS__UPLOAD__INIT;

    upload.meta = &meta;
    f->service->options.part_size_min = 1000;
    if (encryption)
        assert_int_equal(upload_encryption(f->service, encryption, &f->arena, &meta.encryption, NULL), 0);
    assert_int_equal(upload_create(f->service, c, SLICE("m"), &upload, f->soon, &f->arena, id, NULL), 0);
}

static int send(struct object_cluster *f, struct container *c, const uint8_t *id, uint32_t number, uint64_t offset,
                uint64_t size, const struct put_encryption *encryption, struct complete_part *ret)
{
    Rs__Part           part = RS__PART__INIT;
    struct object_put *put = NULL;
    struct upload_row  row;
    int                rc;

    assert_int_equal(upload_read(f->service, c, SLICE("m"), id, f->soon, &f->arena, &row, NULL), 0);
    assert_int_equal(upload_put_new(f->service, c, &row, number, size, f->soon, &f->arena, &put, NULL), 0);
    rc = encryption ? object_put_encrypt(put, encryption, NULL) : 0;
    if (rc == 0) {
        feed(put, 9, offset, size);
        rc = upload_put_commit(put, c, &part, f->soon, NULL);
    }
    if (rc == 0) {
        assert_int_equal(part.size, size);
        ret->number = number;
        memcpy(ret->etag, object_put_md5(put), 16);
    }
    object_put_free(put);
    return rc;
}

/* Three parts and a last one, of which none ends with a frame. */
static void upload_reads(struct object_cluster *f, struct container *c, const struct put_encryption *encryption,
                         const struct put_encryption *part_encryption, const struct crypt_key *key)
{
    struct complete_part    parts[4] = { 0 };
    struct complete_request rq = { .parts = parts, .count = 4, .size = UINT64_MAX };
    const uint64_t          size = 3 * PART + LAST;
    const uint64_t          cuts[] = { 0, 1, CRYPT_FRAME_BYTES, PART - 1, PART, PART + 1, 2 * PART + 70000, 3 * PART,
                                       size - 1, size };
    Rs__ObjectMeta         *meta = NULL;
    Rs__PartTable          *table = NULL;
    struct object           o;
    uint32_t                wrong = 0;
    uint8_t                 id[UPLOAD_ID_BYTES];

    begin(f, c, encryption, id);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(send(f, c, id, i + 1, (uint64_t)i * PART, i < 3 ? PART : LAST, part_encryption, &parts[i]), 0);
    assert_int_equal(upload_complete(f->service, c, SLICE("m"), id, &rq, f->soon, &f->arena, &meta, &wrong, NULL), 0);
    assert_non_null(meta->encryption);
    read_it(f, c, "m", key, &o);
    assert_int_equal(o.size, size);
    assert_true(o.value->size > size);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        for (size_t j = i; j < sizeof cuts / sizeof *cuts; j++)
            compare_range(f, &o, 9, cuts[i], cuts[j] - cuts[i]);
    /* No two parts share a data key. */
    assert_int_equal(object_parts(f->service, &o, f->soon, &f->arena, &table, NULL), 0);
    for (size_t i = 1; i < table->n_parts; i++)
        assert_memory_not_equal(table->parts[0]->encryption->wrapped_key.data,
                                table->parts[i]->encryption->wrapped_key.data, CRYPT_WRAPPED_BYTES);
    if (key) {
        o.customer_key = &yours;
        assert_int_equal(open_code(f, &o), -E_UNAUTHORIZED);
    }
}

static void uploads(struct object_cluster *f)
{
    struct container *c = object_cluster_container(f, "uploads", VERSIONING_OFF);

    upload_reads(f, c, &by_service, NULL, NULL);
    upload_reads(f, c, &by_mine, &by_mine, &mine);
    container_unref(c);
}

static void uploads_test(struct object_cluster *f)
{
    with_keys(f, uploads);
}

static void encrypted__parts_have_keys_of_their_own(void **state)
{
    (void)state;
    object_cluster_run(uploads_test);
}

static void parts_differ(struct object_cluster *f)
{
    struct container    *c = object_cluster_container(f, "differ", VERSIONING_OFF);
    struct complete_part part;
    uint8_t              id[UPLOAD_ID_BYTES];

    begin(f, c, &by_mine, id);
    assert_int_equal(send(f, c, id, 1, 0, PART, &by_yours, &part), -EINVAL);
    assert_int_equal(send(f, c, id, 1, 0, PART, &by_service, &part), -EINVAL);
    assert_int_equal(send(f, c, id, 1, 0, PART, NULL, &part), -E_UNAUTHORIZED);
    assert_int_equal(send(f, c, id, 1, 0, PART, &by_mine, &part), 0);
    begin(f, c, NULL, id);
    assert_int_equal(send(f, c, id, 1, 0, PART, &by_mine, &part), -EINVAL);
    begin(f, c, &by_service, id);
    assert_int_equal(send(f, c, id, 1, 0, PART, &by_mine, &part), -EINVAL);
    container_unref(c);
}

static void parts_differ_test(struct object_cluster *f)
{
    with_keys(f, parts_differ);
}

static void encrypted__a_part_must_fit_its_upload(void **state)
{
    (void)state;
    object_cluster_run(parts_differ_test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encrypted__objects_of_every_size_come_back),
        cmocka_unit_test(encrypted__ranges_cross_frames),
        cmocka_unit_test(encrypted__another_customers_key_opens_nothing),
        cmocka_unit_test(encrypted__without_keys_or_too_late_is_refused),
        cmocka_unit_test(encrypted__changed_bytes_are_never_shown),
        cmocka_unit_test(encrypted__versions_open_from_their_own_rows),
        cmocka_unit_test(encrypted__a_containers_default_binds_every_put),
        cmocka_unit_test(encrypted__parts_have_keys_of_their_own),
        cmocka_unit_test(encrypted__a_part_must_fit_its_upload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
