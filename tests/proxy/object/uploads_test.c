/* tests/proxy/object/uploads_test.c - multipart uploads over real rows and blobs. */
#include "tests/lib/test.h"

#include "proxy/object/checksum.h"
#include "proxy/object/upload.h"
#include "tests/lib/object_cluster.h"

enum { PART = 200 * 1024, LAST = 777, PARTS_MAX = 300 };

struct upload {
    struct object_cluster *f;
    struct container      *c;
    const char            *name;
    uint8_t                id[UPLOAD_ID_BYTES];
    struct complete_part   parts[PARTS_MAX];
    uint32_t               count;
};

static void begin(struct object_cluster *f, struct container *c, const char *name, uint32_t checksum_kind,
                  bool composite, struct upload *ret)
{
    Rs__ObjectMeta meta = RS__OBJECT_META__INIT;
    Rs__Upload     upload = RS__UPLOAD__INIT;

    *ret = (struct upload) { .f = f, .c = c, .name = name };
    meta.content_type = pb_data(SLICE("text/x"));
    meta.checksum_kind = checksum_kind;
    meta.checksum_composite = composite;
    upload.meta = &meta;
    f->service->options.part_size_min = 1000;
    assert_int_equal(upload_create(f->service, c, slice_str(name), &upload, f->soon, &f->arena, ret->id, NULL), 0);
}

/* Bytes [offset, offset + size) of the value 'seed'. */
static int send_part(struct upload *u, uint32_t number, uint64_t seed, uint64_t offset, uint32_t size)
{
    struct object_cluster *f = u->f;
    Rs__Part              *part = arena_new(&f->arena, Rs__Part);
    struct object_put     *put = NULL;
    struct upload_row      row;
    uint8_t                bytes[4096];
    int rc = upload_read(f->service, u->c, slice_str(u->name), u->id, f->soon, &f->arena, &row, NULL);

    rs__part__init(part);
    if (rc)
        return rc;
    rc = upload_put_new(f->service, u->c, &row, number, size, f->soon, &f->arena, &put, NULL);
    if (rc)
        return rc;
    if (row.upload->meta->checksum_kind)
        assert_int_equal(object_put_checksum(put, row.upload->meta->checksum_kind, NULL), 0);
    for (uint32_t at = 0; rc == 0 && at < size; at += sizeof bytes) {
        size_t n = size - at < sizeof bytes ? size - at : sizeof bytes;
        object_cluster_fill(seed, offset + at, bytes, n);
        rc = object_put_bytes(put, slice_of(bytes, n), NULL);
    }
    if (rc == 0)
        rc = object_put_end(put, NULL);
    part->checksum_kind = row.upload->meta->checksum_kind;
    part->checksum = pb_data(arena_dup(&f->arena, object_put_checksum_value(put)));
    if (rc == 0)
        rc = upload_put_commit(put, u->c, part, f->soon, NULL);
    if (rc == 0) {
        struct complete_part *p = &u->parts[u->count++];
        p->number = number;
        memcpy(p->etag, object_put_md5(put), 16);
    }
    object_put_free(put);
    return rc;
}

static int complete_as(struct upload *u, const struct object_condition *condition, Rs__ObjectMeta **ret_meta,
                       uint32_t *ret_wrong)
{
    struct complete_request rq = { .parts = u->parts, .count = u->count, .condition = condition, .size = UINT64_MAX };
    struct object_cluster  *f = u->f;
    Rs__ObjectMeta         *meta = NULL;
    uint32_t                wrong = 0;
    int rc = upload_complete(f->service, u->c, slice_str(u->name), u->id, &rq, f->soon, &f->arena, &meta, &wrong, NULL);

    if (ret_meta)
        *ret_meta = meta;
    if (ret_wrong)
        *ret_wrong = wrong;
    return rc;
}

static int complete(struct upload *u)
{
    return complete_as(u, NULL, NULL, NULL);
}

static int abort_upload(struct upload *u)
{
    return upload_abort(u->f->service, u->c, slice_str(u->name), u->id, u->f->soon, NULL);
}

static uint32_t parts_there(struct upload *u)
{
    struct row_range range = { .limit = 1000, .uncounted = true };
    struct row_page  page;
    struct row_name  name;
    struct held      held;

    range.prefix = name_parts(&name, u->id, -1);
    assert_int_equal(held_container(u->f->service, u->c->shard.id, u->c->policy, (struct ballot) { 0, 0 }, &held, NULL), 0);
    assert_int_equal(row_list(u->f->rows->client, &held.shard, &range, u->f->soon, &u->f->arena, &page, NULL), 0);
    held_drop(&held);
    return page.count;
}

static void body(struct upload *u, uint64_t seed)
{
    assert_int_equal(send_part(u, 1, seed, 0, PART), 0);
    assert_int_equal(send_part(u, 2, seed, PART, PART), 0);
    assert_int_equal(send_part(u, 7, seed, 2 * PART, LAST), 0);
}

/* --- The usual way. --- */

static void whole(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "box", VERSIONING_OFF);
    struct shard_stats stats;
    struct object_body b;
    struct object      o;
    struct upload      u;
    Rs__ObjectMeta    *meta;
    struct slice       bytes, tag;
    uint8_t            expected[100];
    char               hex[33];

    begin(f, c, "o", CHECKSUM_CRC32C, false, &u);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 0, 0), -ENOENT);
    body(&u, 5);
    assert_int_equal(complete_as(&u, NULL, &meta, NULL), 0);
    assert_int_equal(meta->part_count, 3);
    object_etag(meta, hex, &tag);
    assert_true(tag.size == 34 && memcmp(tag.data + 32, "-3", 2) == 0);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 5, 2 * PART + LAST), 0);
    assert_int_equal(container_stats(f->service, c, f->soon, &stats, NULL), 0);
    assert_int_equal(stats.count, 1);
    assert_int_equal(stats.bytes, 2 * PART + LAST);
    /* The checksum is that of the whole. */
    struct checksum sum;
    uint8_t         value[CHECKSUM_BYTES_MAX];
    checksum_init(&sum, CHECKSUM_CRC32C);
    for (uint32_t at = 0; at < 2 * PART + LAST; at++) {
        object_cluster_fill(5, at, value, 1);
        checksum_add(&sum, value, 1);
    }
    checksum_end(&sum, value);
    assert_true(slice_equal(pb_slice(meta->checksum), slice_of(value, 4)));
    /* A range over the border of two parts. */
    assert_int_equal(object_read(f->service, c, SLICE("o"), ROW_FULL, f->soon, &f->arena, &o, NULL), 0);
    assert_int_equal(object_body_open(f->service, &o, PART - 50, 100, f->soon, &b, NULL), 0);
    object_cluster_fill(5, PART - 50, expected, sizeof expected);
    for (size_t at = 0; at < 100; at += bytes.size) {
        assert_int_equal(object_body_next(&b, &bytes, NULL), 0);
        assert_true(bytes.size > 0 && bytes.size <= 100 - at);
        assert_memory_equal(bytes.data, expected + at, bytes.size);
    }
    object_body_close(&b);
    /* Said again it is said again; its parts stay as long as it. */
    assert_int_equal(complete(&u), 0);
    object_cluster_collect(f, 4);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 5, 2 * PART + LAST), 0);
    assert_int_equal(abort_upload(&u), -ENOENT);
    assert_int_equal(send_part(&u, 3, 5, 0, 10), -ENOENT);
    assert_int_equal(object_cluster_put(f, c, "o", 6, 10, NULL, NULL), 0);
    assert_int_equal(complete(&u), -ENOENT);
    object_cluster_collect(f, 6);
    assert_int_equal(object_cluster_blobs(f), 0);
    assert_int_equal(parts_there(&u), 0);
    container_unref(c);
}

static void complete__makes_one_object_of_the_parts(void **state)
{
    (void)state;
    object_cluster_run(whole);
}

static void unused(struct object_cluster *f)
{
    struct container *c = object_cluster_container(f, "box", VERSIONING_OFF);
    struct part_item *items;
    struct upload     u;
    uint32_t          count;
    bool              more;

    begin(f, c, "o", CHECKSUM_SHA256, true, &u);
    assert_int_equal(send_part(&u, 1, 9, 0, PART), 0);
    u.count = 0;
    body(&u, 5);   /* Part 1 again: the later one counts. */
    assert_int_equal(send_part(&u, 9, 9, 0, 100), 0);
    assert_int_equal(upload_list_parts(f->service, c, u.id, 0, 3, f->soon, &f->arena, &items, &count, &more, NULL), 0);
    assert_int_equal(count, 3);
    assert_true(more);
    assert_int_equal(items[2].number, 7);
    assert_memory_equal(items[0].part->etag.data, u.parts[0].etag, 16);
    assert_int_equal(upload_list_parts(f->service, c, u.id, 7, 3, f->soon, &f->arena, &items, &count, &more, NULL), 0);
    assert_int_equal(count, 1);
    assert_false(more);
    u.count = 3;
    assert_int_equal(complete(&u), 0);
    assert_int_equal(parts_there(&u), 3);   /* The others went with the upload. */
    object_cluster_collect(f, 4);
    assert_int_equal(object_cluster_blobs(f), 3);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 5, 2 * PART + LAST), 0);
    container_unref(c);
}

static void complete__leaves_parts_that_it_does_not_name(void **state)
{
    (void)state;
    object_cluster_run(unused);
}

static void wrong(struct object_cluster *f)
{
    struct container *c = object_cluster_container(f, "box", VERSIONING_OFF);
    struct upload     u;
    uint32_t          which;

    begin(f, c, "o", 0, false, &u);
    body(&u, 5);
    u.parts[1].etag[0] ^= 1;
    assert_int_equal(complete_as(&u, NULL, NULL, &which), -EINVAL);
    assert_int_equal(which, 2);
    u.parts[1].etag[0] ^= 1;
    u.parts[1].number = 3;
    assert_int_equal(complete_as(&u, NULL, NULL, &which), -EINVAL);
    assert_int_equal(which, 3);
    u.parts[1].number = 2;
    f->service->options.part_size_min = PART + 1;
    assert_int_equal(complete_as(&u, NULL, NULL, &which), -E_LIMIT);
    assert_int_equal(which, 1);
    f->service->options.part_size_min = PART;
    assert_int_equal(send_part(&u, 0, 5, 0, 10), -EINVAL);
    assert_int_equal(send_part(&u, PART_NUMBER_MAX + 1, 5, 0, 10), -EINVAL);
    /* A condition that does not hold leaves the upload open. */
    assert_int_equal(object_cluster_put(f, c, "o", 6, 10, NULL, NULL), 0);
    struct object_condition missing = { .must_be_missing = true };
    assert_int_equal(complete_as(&u, &missing, NULL, NULL), -E_CONDITION);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 6, 10), 0);
    assert_int_equal(object_delete(f->service, c, SLICE("o"), f->soon, NULL), 0);
    assert_int_equal(complete_as(&u, &missing, NULL, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 5, 2 * PART + LAST), 0);
    container_unref(c);
}

static void complete__refuses_wrong_parts_and_conditions(void **state)
{
    (void)state;
    object_cluster_run(wrong);
}

static void aborted(struct object_cluster *f)
{
    struct container   *c = object_cluster_container(f, "box", VERSIONING_OFF);
    struct upload_item *items;
    struct upload       u, v, w;
    uint32_t            count;
    bool                more;

    begin(f, c, "a/1", 0, false, &u);
    begin(f, c, "a/2", 0, false, &v);
    begin(f, c, "b", 0, false, &w);
    body(&u, 5);
    assert_int_equal(upload_list(f->service, c, SLICE_NONE, NULL, SLICE_NONE, SLICE("/"), 10, f->soon, &f->arena, &items, &count, &more, NULL), 0);
    assert_int_equal(count, 2);
    assert_true(items[0].folded && slice_equal(items[0].name, SLICE("a/")));
    assert_true(slice_equal(items[1].name, SLICE("b")));
    assert_int_equal(upload_list(f->service, c, SLICE("a/"), NULL, SLICE_NONE, SLICE("/"), 10, f->soon, &f->arena, &items, &count, &more, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(upload_list(f->service, c, SLICE("a/1"), NULL, SLICE("a"), SLICE_NONE, 1, f->soon, &f->arena, &items, &count, &more, NULL), 0);
    assert_int_equal(count, 1);
    assert_true(slice_equal(items[0].name, SLICE("a/2")));
    assert_memory_equal(items[0].id, v.id, UPLOAD_ID_BYTES);
    assert_false(more);
    assert_int_equal(abort_upload(&u), 0);
    assert_int_equal(abort_upload(&u), -ENOENT);
    assert_int_equal(complete(&u), -ENOENT);
    object_cluster_collect(f, 6);
    assert_int_equal(parts_there(&u), 0);
    assert_int_equal(object_cluster_blobs(f), 0);
    /* A container goes with its open uploads. */
    u = v;
    body(&v, 5);
    assert_int_equal(container_delete(f->service, SLICE("AUTH_test"), SLICE("box"), f->soon, NULL), 0);
    object_cluster_collect(f, 6);
    assert_int_equal(object_cluster_blobs(f), 0);
    container_unref(c);
}

static void abort__frees_the_parts(void **state)
{
    (void)state;
    object_cluster_run(aborted);
}

static void versions(struct object_cluster *f)
{
    struct container      *c = object_cluster_container(f, "box", VERSIONING_ENABLED);
    struct object_deletion d = { .condition = NULL };
    struct object_deleted  deleted;
    struct version_ref     va;
    char                   text[VERSION_TEXT_MAX + 1];
    struct upload          u;
    Rs__ObjectMeta        *meta;

    assert_int_equal(object_cluster_put(f, c, "o", 1, 10, NULL, NULL), 0);
    begin(f, c, "o", 0, false, &u);
    body(&u, 5);
    assert_int_equal(complete_as(&u, NULL, &meta, NULL), 0);
    assert_int_equal(version_parse(version_text(meta, text), &va), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 2, 10, NULL, NULL), 0);
    object_cluster_collect(f, 4);
    assert_int_equal(object_cluster_check(f, c, "o", &va, 5, 2 * PART + LAST), 0);
    assert_int_equal(complete(&u), -ENOENT);
    assert_int_equal(object_cluster_blobs(f), 3);
    d.version = va;
    assert_int_equal(object_delete_version(f->service, c, SLICE("o"), &d, f->soon, &f->arena, &deleted, NULL), 0);
    object_cluster_collect(f, 6);
    assert_int_equal(object_cluster_blobs(f), 0);
    container_unref(c);
}

static void complete__in_a_versioned_container_makes_a_version(void **state)
{
    (void)state;
    object_cluster_run(versions);
}

static void many(struct object_cluster *f)
{
    struct container *c = object_cluster_container(f, "box", VERSIONING_OFF);
    struct upload     u;
    struct object     o;
    Rs__PartTable    *table;

    begin(f, c, "o", 0, false, &u);
    for (uint32_t i = 0; i < PARTS_MAX; i++)
        assert_int_equal(send_part(&u, i + 1, 5, i * 1000, 1000), 0);
    assert_int_equal(complete(&u), 0);
    assert_int_equal(object_read(f->service, c, SLICE("o"), ROW_FULL, f->soon, &f->arena, &o, NULL), 0);
    assert_int_equal(o.meta->table_suffix.len, PART_SUFFIX_BYTES);   /* Too long for the row. */
    assert_int_equal(object_parts(f->service, &o, f->soon, &f->arena, &table, NULL), 0);
    assert_int_equal(table->n_parts, PARTS_MAX);
    assert_int_equal(table->parts[10]->number, 11);
    object_cluster_collect(f, 3);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 5, PARTS_MAX * 1000), 0);
    assert_int_equal(object_delete(f->service, c, SLICE("o"), f->soon, NULL), 0);
    object_cluster_collect(f, 8);
    assert_int_equal(object_cluster_blobs(f), 0);
    container_unref(c);
}

static void complete__of_many_parts_keeps_the_table_apart(void **state)
{
    (void)state;
    object_cluster_run(many);
}

/* --- Half-done completions. --- */

/* Leaves the upload's row as a completer does that dies after its decision, made on the head as it is now. */
static void decided(struct upload *u)
{
    struct object_cluster *f = u->f;
    struct row_state       head, row;
    struct row_name        name;
    struct held            held;
    ProtobufCAllocator     allocator = arena_allocator(&f->arena);
    struct slice           object = slice_str(u->name), upload_row = name_upload(&name, object, u->id);
    Rs__Upload            *upload;
    Rs__PartTable          table = RS__PART_TABLE__INIT;

    assert_int_equal(held_container(f->service, u->c->shard.id, u->c->policy, u->c->shard.config, &held, NULL), 0);
    assert_int_equal(row_read(f->rows->client, &held.shard, object, ROW_META, f->soon, &f->arena, &head, NULL), 0);
    assert_int_equal(row_read(f->rows->client, &held.shard, upload_row, ROW_FULL, f->soon, &f->arena, &row, NULL), 0);
    upload = rs__upload__unpack(&allocator, row.value->meta.len, row.value->meta.data);
    upload->state = RS__UPLOAD__STATE__COMPLETING;
    upload->state_us = service_now_us(f->service);
    upload->head_time = head.ballot.time;
    upload->head_node = head.ballot.node;
    upload->meta->upload = pb_data(slice_of(u->id, UPLOAD_ID_BYTES));
    upload->meta->etag = pb_data(SLICE("0123456789abcdef"));
    uint8_t *version = arena_alloc(&f->arena, VERSION_BYTES);
    memset(version, 0xee, VERSION_BYTES);
    if (u->c->config->versioning)
        upload->meta->version = pb_data(slice_of(version, VERSION_BYTES));
    row.value->meta = pb_data(pack_in(&f->arena, &upload->base));
    row.value->data = pb_data(pack_in(&f->arena, &table.base));
    assert_int_equal(row_write(f->rows->client, &held.shard, upload_row, row.value, f->soon, NULL, NULL, NULL), 0);
    held_drop(&held);
}

static bool is_upload(struct object_cluster *f, struct container *c, const char *name, const uint8_t *id)
{
    struct object o;
    int rc = object_read(f->service, c, slice_str(name), ROW_META, f->soon, &f->arena, &o, NULL);

    return rc == 0 && o.meta->upload.len == UPLOAD_ID_BYTES && memcmp(o.meta->upload.data, id, UPLOAD_ID_BYTES) == 0;
}

static void half_done(struct object_cluster *f, enum versioning versioning)
{
    struct container *c = object_cluster_container(f, "box", versioning);
    struct upload     u;

    /* Nothing came in between: whoever comes next ends it; also who wants to abort it. */
    begin(f, c, "a", 0, false, &u);
    body(&u, 5);
    decided(&u);
    assert_int_equal(complete(&u), 0);
    assert_true(is_upload(f, c, "a", u.id));
    begin(f, c, "b", 0, false, &u);
    body(&u, 5);
    decided(&u);
    assert_int_equal(abort_upload(&u), -ENOENT);
    assert_true(is_upload(f, c, "b", u.id));
    /* Another write came in between. */
    begin(f, c, "d", 0, false, &u);
    body(&u, 5);
    decided(&u);
    assert_int_equal(object_cluster_put(f, c, "d", 1, 10, NULL, NULL), 0);
    if (versioning == VERSIONING_OFF) {
        /* Nobody can tell whether it was done before; it is not done again. */
        assert_int_equal(complete(&u), -E_UNSURE);
        assert_int_equal(complete(&u), -ENOENT);
        assert_int_equal(object_cluster_check(f, c, "d", NULL, 1, 10), 0);
    } else {
        assert_int_equal(complete(&u), 0);
        assert_true(is_upload(f, c, "d", u.id));
        assert_int_equal(object_cluster_check(f, c, "d", NULL, 5, 2 * PART + LAST), 0);
    }
    container_unref(c);
}

static void half_done_plain(struct object_cluster *f)
{
    half_done(f, VERSIONING_OFF);
}

static void half_done_versioned(struct object_cluster *f)
{
    half_done(f, VERSIONING_ENABLED);
}

static void complete__that_died_is_finished_by_the_next(void **state)
{
    (void)state;
    object_cluster_run(half_done_plain);
}

static void complete__that_died_among_versions_is_finished_or_judged_anew(void **state)
{
    (void)state;
    object_cluster_run(half_done_versioned);
}

/* --- Names of buckets, documents. --- */

static void buckets(struct object_cluster *f)
{
    struct slice          a = SLICE("AUTH_a"), b = SLICE("AUTH_b"), owner, domain = SLICE("default"), name = SLICE("pail");
    struct meta_change    document = { SLICE("policy"), SLICE("{}") };
    struct config_changes changes = { .domain = domain, .documents = &document, .document_count = 1 };
    struct container     *c;
    bool                  mine, created;

    assert_int_equal(bucket_account(f->service, domain, name, false, f->soon, &f->arena, &owner, NULL), -ENOENT);
    assert_int_equal(bucket_claim(f->service, domain, name, a, f->soon, &mine, NULL), 0);
    assert_int_equal(bucket_claim(f->service, domain, name, b, f->soon, &mine, NULL), -EEXIST);
    assert_false(mine);
    assert_int_equal(bucket_claim(f->service, domain, name, a, f->soon, &mine, NULL), -EEXIST);
    assert_true(mine);
    assert_int_equal(bucket_claim(f->service, SLICE("other"), name, b, f->soon, &mine, NULL), 0);
    assert_int_equal(bucket_release(f->service, domain, name, b, f->soon, NULL), 0);   /* Not b's. */
    assert_int_equal(bucket_account(f->service, domain, name, true, f->soon, &f->arena, &owner, NULL), 0);
    assert_true(slice_equal(owner, a));
    assert_int_equal(container_create(f->service, a, name, NULL, &changes, f->soon, &created, NULL), 0);
    assert_int_equal(container_open(f->service, a, name, true, f->soon, &c, NULL), 0);
    assert_true(slice_equal(container_document(c, SLICE("policy")), SLICE("{}")));
    document.value = SLICE_NONE;
    assert_int_equal(container_update(f->service, c, &changes, f->soon, NULL), 0);
    container_unref(c);
    assert_int_equal(container_open(f->service, a, name, true, f->soon, &c, NULL), 0);
    assert_int_equal(container_document(c, SLICE("policy")).size, 0);
    container_unref(c);
    /* The name is free again with the container. */
    assert_int_equal(container_delete(f->service, a, name, f->soon, NULL), 0);
    assert_int_equal(bucket_claim(f->service, domain, name, b, f->soon, &mine, NULL), 0);
}

static void bucket__name_belongs_to_one_account(void **state)
{
    (void)state;
    object_cluster_run(buckets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete__makes_one_object_of_the_parts),
        cmocka_unit_test(complete__leaves_parts_that_it_does_not_name),
        cmocka_unit_test(complete__refuses_wrong_parts_and_conditions),
        cmocka_unit_test(abort__frees_the_parts),
        cmocka_unit_test(complete__in_a_versioned_container_makes_a_version),
        cmocka_unit_test(complete__of_many_parts_keeps_the_table_apart),
        cmocka_unit_test(complete__that_died_is_finished_by_the_next),
        cmocka_unit_test(complete__that_died_among_versions_is_finished_or_judged_anew),
        cmocka_unit_test(bucket__name_belongs_to_one_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
