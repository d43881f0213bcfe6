/* Chunks on one device: what is synced survives, what rots is found, what is deleted is won back. */
#include "tests/lib/test.h"

#include <xxhash.h>

#include "storage/blob_store.h"
#include "storage/row_store.h"
#include "tests/storage/env_posix.h"

enum { VOLUME = 4 * 1024 * 1024 };

struct world {
    struct test_env *t;
    struct hlc       hlc;
    struct device   *device;
    char             path[128];
};

WAITS static int reopen_code(struct world *w)
{
    struct device_options o = { .id = 3, .path = w->path, .cluster_id = 77, .journal_segment_bytes = 64 * 1024,
                                .volume_bytes = VOLUME };
    struct error          err = { 0 };
    int                   rc;

    w->device = device_close(w->device);
    rc = device_open(&w->t->env, &w->hlc, &o, &w->device, &err);
    if (rc)
        assert_string_not_equal(err.text, "");
    return rc;
}

WAITS static void reopen(struct world *w)
{
    assert_int_equal(reopen_code(w), 0);
}

/* As after a power cut or kill: the files as they are now, none of the closing. */
WAITS static void crash(struct world *w)
{
    char command[512], old[128];

    snprintf(old, sizeof old, "%s", w->path);
    strcat(w->path, "x");
    snprintf(command, sizeof command, "cp -a --sparse=always %s %s", old, w->path);
    assert_int_equal(system(command), 0);
    reopen(w);
    snprintf(command, sizeof command, "rm -rf %s", old);
    assert_int_equal(system(command), 0);
}

static uint8_t byte_at(uint32_t blob, uint32_t segment, uint32_t i)
{
    return (uint8_t)(blob * 37 + segment * 11 + i * 7 + i / 251);
}

static void fill(uint8_t *data, uint32_t blob, uint32_t segment, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        data[i] = byte_at(blob, segment, i);
}

static struct chunk_id id_of(uint32_t blob, uint8_t fragment, uint32_t segment)
{
    struct chunk_id id = { .fragment = fragment, .segment = segment };

    memcpy(id.blob, &blob, sizeof blob);
    id.blob[15] = 9;
    return id;
}

/* 'shift': how the payload lies in its buffer; 'cut': where it is cut in two parts (0: not). */
WAITS static int put_how(struct world *w, uint32_t blob, uint32_t segment, uint32_t size, bool sync, uint32_t shift,
                         uint32_t cut)
{
    struct chunk_id      id = id_of(blob, 1, segment);
    struct volume_record r = { .fragment = 1, .k = 1, .m = 2, .segment = segment, .unit = CHUNK_BYTES_MAX, .length = size,
                               .segment_bytes = size };
    struct buf          *buf = buf_new(size + shift);
    struct buf_part      parts[2] = { { buf, shift, cut ? cut : size }, { buf, shift + cut, size - cut } };
    int                  rc;

    memcpy(r.blob, id.blob, 16);
    if (segment == 0)
        r.owner_name = slice_str("a/name");
    fill(buf->data + shift, blob, segment, size);
    chunk_checksums(buf->data + shift, size, r.checksum);
    r.segment_checksum = XXH3_64bits(buf->data + shift, size);
    rc = blob_store_write(w->device->blobs, &r, parts, cut ? 2 : 1, sync);
    buf_unref(buf);
    return rc;
}

WAITS static int put(struct world *w, uint32_t blob, uint32_t segment, uint32_t size, bool sync)
{
    return put_how(w, blob, segment, size, sync, 0, 0);
}

WAITS static int get(struct world *w, uint32_t blob, uint32_t segment, uint32_t offset, uint32_t size, uint32_t expect)
{
    struct chunk_id      id = id_of(blob, 1, segment);
    struct buf_part      part;
    struct volume_record r;
    int                  rc = blob_store_read(w->device->blobs, &id, offset, size, &part, &r);

    if (rc)
        return rc;
    assert_int_equal(part.size, expect);
    for (uint32_t i = 0; i < part.size; i++)
        if (part.buf->data[part.offset + i] != byte_at(blob, segment, offset + i))
            fail_msg("blob %u segment %u byte %u", blob, segment, offset + i);
    buf_unref(part.buf);
    return 0;
}

static void run(void (*fn)(void *))
{
    struct world w = { .t = test_env_new() };

    hlc_init(&w.hlc, &w.t->env);
    snprintf(w.path, sizeof w.path, "%s/d", w.t->dir);
    test_env_run(w.t, fn, &w);
    test_env_free(w.t);
}

#define CASE(name)                                     \
    static void name##_task(void *arg);                \
    static void name(void **state)                     \
    {                                                  \
        (void)state;                                   \
        run(name##_task);                              \
    }                                                  \
    static void name##_task(void *arg)

static const uint32_t sizes[] = { 1, 511, 4096, 65023, 65024, 65025, 65535, 65536, 65537, 70000, 131072, 262144, 262143,
                                  1048575, 1048576 };
enum { SIZES = sizeof sizes / sizeof *sizes };

CASE(blob_store__sizes_and_ranges)
{
    struct world *w = arg;

    reopen(w);
    for (uint32_t i = 0; i < SIZES; i++) {
        assert_int_equal(put_how(w, i, 0, sizes[i], true, i % 3 == 1 ? 8 : 0, i % 3 == 2 && sizes[i] > 9 ? 9 : 0), 0);
        assert_int_equal(get(w, i, 0, 0, 0, sizes[i]), 0);
    }
    reopen(w);
    for (uint32_t i = 0; i < SIZES; i++) {
        uint32_t n = sizes[i];

        assert_int_equal(get(w, i, 0, 0, 0, n), 0);
        assert_int_equal(get(w, i, 0, n - 1, 0, 1), 0);
        assert_int_equal(get(w, i, 0, n / 2, n / 3 + 1, n / 3 + 1), n / 2 + n / 3 + 1 <= n ? 0 : -EINVAL);
        assert_int_equal(get(w, i, 0, 0, 1, 1), 0);
        assert_int_equal(get(w, i, 0, n, 0, 0), -EINVAL);
        assert_int_equal(get(w, i, 0, 0, n + 1, 0), -EINVAL);
    }
    assert_int_equal(get(w, 0, 1, 0, 0, 0), -ENOENT);
    assert_int_equal(get(w, 1000, 0, 0, 0, 0), -ENOENT);
    assert_int_equal(w->device->state, DEVICE_IN_SERVICE);
    device_close(w->device);
}

CASE(blob_store__synced_survives_a_crash)
{
    struct world     *w = arg;
    struct blob_usage usage;
    struct chunk_id   id = id_of(1, 1, 0);

    reopen(w);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t s = 0; s < 5; s++)
            assert_int_equal(put(w, round, s, 300000 + s, false), 0);
        assert_int_equal(blob_store_sync(w->device->blobs, id_of(round, 1, 0).blob, 1, 6), -ENOENT);
        assert_int_equal(blob_store_sync(w->device->blobs, id_of(round, 1, 0).blob, 1, 5), 0);
        assert_int_equal(blob_store_sync(w->device->blobs, id_of(round, 1, 0).blob, 1, 5), 0);   /* Again. */
        assert_int_equal(put(w, 100 + round, 0, 5000, false), 0);   /* Never synced. */
        crash(w);
    }
    for (uint32_t round = 0; round < 4; round++)
        for (uint32_t s = 0; s < 5; s++)
            assert_int_equal(get(w, round, s, 0, 0, 300000 + s), 0);
    blob_store_usage(w->device->blobs, &usage);
    assert_int_equal(usage.open, 0);
    assert_true(usage.live_bytes >= 4 * 5 * 300000);
    assert_int_equal(blob_store_sync(w->device->blobs, id.blob, 2, 1), -ENOENT);
    device_close(w->device);
}

CASE(blob_store__repeated_writes_count_once)
{
    struct world     *w = arg;
    struct blob_usage before, after;
    struct blob_stat  stat;

    reopen(w);
    assert_int_equal(put(w, 5, 0, 4000, false), 0);
    assert_int_equal(put(w, 5, 0, 4000, false), 0);
    assert_int_equal(put(w, 5, 1, 4000, true), 0);
    blob_store_usage(w->device->blobs, &before);
    assert_int_equal(put(w, 5, 0, 4000, false), 0);   /* Late repetitions. */
    assert_int_equal(put(w, 5, 1, 4000, true), 0);
    blob_store_usage(w->device->blobs, &after);
    assert_int_equal(before.live_bytes, after.live_bytes);
    assert_int_equal(blob_store_stat(w->device->blobs, id_of(5, 0, 0).blob, &stat), 0);
    assert_int_equal(stat.chunks[1], 2);
    assert_int_equal(stat.chunks[0], 0);
    assert_int_equal(get(w, 5, 1, 0, 0, 4000), 0);
    device_close(w->device);
}

CASE(blob_store__index_is_rebuilt_behind_damage)
{
    struct world *w = arg;
    char          command[512];

    reopen(w);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(put(w, i, 0, 20000 + 90000 * (i % 3), true), 0);
    device_close(w->device);
    w->device = NULL;
    /* The index is gone (and the journal with it, or rows would be missed); the header of blob 1 rots. */
    snprintf(command, sizeof command,
             "rm -rf %s/index %s/journal && printf X | dd of=%s/volumes/00000001.vol bs=1 seek=%u conv=notrunc status=none",
             w->path, w->path, w->path, 4096 + 24576 + 30);
    assert_int_equal(system(command), 0);
    reopen(w);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(get(w, i, 0, 0, 0, 20000 + 90000 * (i % 3)), i == 1 ? -ENOENT : 0);
    assert_int_equal(w->device->state, DEVICE_IN_SERVICE);
    device_close(w->device);
}

/* Records of 20,000 bytes: 24,576 with header and padding, the first at 4096. */
CASE(blob_store__unreadable_sectors_at_start_cost_only_their_chunks)
{
    struct world *w = arg;
    char          command[512];

    reopen(w);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(put(w, i, 0, 20000, true), 0);
    /* Blob 5 rots and blob 3 can't be read; the crash comes before the index was flushed. */
    snprintf(command, sizeof command, "printf X | dd of=%s/volumes/00000001.vol bs=1 seek=%u conv=notrunc status=none",
             w->path, 4096 + 5 * 24576 + 9000);
    assert_int_equal(system(command), 0);
    w->t->bad_from = 4096 + 3 * 24576 + 8192;
    w->t->bad_to = w->t->bad_from + 512;
    crash(w);
    assert_int_equal(w->device->state, DEVICE_IN_SERVICE);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(get(w, i, 0, 0, 0, 20000), i == 3 || i == 5 ? -ENOENT : 0);
    assert_int_equal(w->device->state, DEVICE_IN_SERVICE);
    assert_int_equal(put(w, 100, 0, 20000, true), 0);
    assert_int_equal(get(w, 100, 0, 0, 0, 20000), 0);
    device_close(w->device);
}

CASE(blob_store__unreadable_sectors_that_the_index_names_are_dropped)
{
    struct world *w = arg;
    char          command[512];

    reopen(w);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(put(w, i, 0, 20000, true), 0);
    assert_int_equal(kv_flush(w->device->kv), 0);
    /* The checkpoint goes back to the beginning: what the index names is scanned. */
    struct kv_batch *batch = kv_batch_new();
    assert_int_equal(kv_batch_delete(batch, SLICE("Bc")), 0);
    assert_int_equal(kv_write(w->device->kv, batch), 0);
    kv_batch_free(batch);
    assert_int_equal(kv_flush(w->device->kv), 0);
    snprintf(command, sizeof command, "printf X | dd of=%s/volumes/00000001.vol bs=1 seek=%u conv=notrunc status=none",
             w->path, 4096 + 5 * 24576 + 9000);
    assert_int_equal(system(command), 0);
    w->t->bad_from = 4096 + 3 * 24576;
    w->t->bad_to = w->t->bad_from + 512;
    crash(w);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(get(w, i, 0, 0, 0, 20000), i == 3 || i == 5 ? -ENOENT : 0);
    assert_int_equal(w->device->state, DEVICE_IN_SERVICE);
    device_close(w->device);
}

CASE(blob_store__a_drive_with_many_unreadable_sectors_stays_out)
{
    struct world *w = arg;
    char          command[512];

    reopen(w);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(put(w, i, 0, 1000000, true), 0);
    device_close(w->device);
    w->device = NULL;
    snprintf(command, sizeof command, "rm -rf %s/index %s/journal", w->path, w->path);   /* All is scanned. */
    assert_int_equal(system(command), 0);
    w->t->bad_from = 8192;
    w->t->bad_to = 8192 + VOLUME_UNREADABLE_MAX * 4096;
    reopen(w);
    assert_int_equal(get(w, 0, 0, 0, 0, 1000000), -ENOENT);
    assert_int_equal(get(w, 2, 0, 0, 0, 1000000), 0);
    device_close(w->device);
    w->device = NULL;
    assert_int_equal(system(command), 0);
    w->t->bad_to += 4096;
    assert_int_equal(reopen_code(w), -EIO);
}

CASE(blob_store__rot_is_found_and_the_device_leaves)
{
    struct world *w = arg;
    char          command[512];

    reopen(w);
    assert_int_equal(put(w, 1, 0, 300000, true), 0);
    assert_int_equal(put(w, 2, 0, 300000, true), 0);
    snprintf(command, sizeof command,
             "printf XXXX | dd of=%s/volumes/00000001.vol bs=1 seek=%u conv=notrunc status=none", w->path, 4096 * 2 + 150000);
    assert_int_equal(system(command), 0);
    assert_int_equal(get(w, 1, 0, 0, 100, 100), 0);   /* Another block than the rotten one. */
    assert_int_equal(get(w, 2, 0, 0, 0, 300000), 0);
    assert_int_equal(get(w, 1, 0, 0, 0, 300000), -E_CORRUPT);
    assert_int_equal(w->device->state, DEVICE_FAILED);
    assert_non_null(strstr(w->device->failure, "volume 1"));
    assert_int_equal(get(w, 2, 0, 0, 0, 300000), -E_DEVICE);
    assert_int_equal(put(w, 3, 0, 10, true), -E_DEVICE);
    device_close(w->device);
}

CASE(blob_store__failed_sync_is_final)
{
    struct world *w = arg;

    reopen(w);
    assert_int_equal(put(w, 1, 0, 300000, false), 0);
    w->t->fail_sync_after = 1;
    assert_int_equal(blob_store_sync(w->device->blobs, id_of(1, 1, 0).blob, 1, 1), -EIO);
    assert_int_equal(w->device->state, DEVICE_FAILED);
    assert_int_equal(blob_store_sync(w->device->blobs, id_of(1, 1, 0).blob, 1, 1), -E_DEVICE);
    device_close(w->device);
    w->device = NULL;
    reopen(w);
    w->t->fail_write_after = 1;
    assert_int_equal(put(w, 1, 0, 300000, false), -EIO);
    assert_int_equal(w->device->state, DEVICE_FAILED);
    device_close(w->device);
}

static uint32_t volume_files(struct world *w)
{
    struct env_entry *entries;
    char              path[256];
    uint32_t          count = 0;

    snprintf(path, sizeof path, "%s/volumes", w->path);
    assert_int_equal(env_list(&w->t->env, path, &entries, &count), 0);
    free(entries);
    return count;
}

CASE(blob_store__deleted_space_comes_back)
{
    struct world *w = arg;
    uint32_t      chunks, before;
    bool          done = true;

    reopen(w);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(put(w, i, 0, 400000, true), 0);
    before = volume_files(w);
    assert_true(before >= 4);
    assert_int_equal(blob_store_compact(w->device->blobs, &done), 0);
    assert_false(done);
    for (uint32_t i = 0; i < 40; i++)
        if (i % 4) {
            assert_int_equal(blob_store_delete(w->device->blobs, id_of(i, 0, 0).blob, &chunks), 0);
            assert_int_equal(chunks, 1);
            assert_int_equal(blob_store_delete(w->device->blobs, id_of(i, 0, 0).blob, &chunks), 0);
            assert_int_equal(chunks, 0);
        }
    do
        assert_int_equal(blob_store_compact(w->device->blobs, &done), 0);
    while (done);
    assert_true(volume_files(w) < before);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 40; i++)
            assert_int_equal(get(w, i, 0, 0, 0, 400000), i % 4 ? -ENOENT : 0);
        crash(w);
    }
    for (uint32_t i = 0; i < 40; i += 4)
        assert_int_equal(get(w, i, 0, 0, 0, 400000), 0);
    device_close(w->device);
}

CASE(blob_store__a_dead_active_volume_is_sealed)
{
    struct world     *w = arg;
    struct blob_usage usage;
    uint32_t          chunks;
    bool              done;

    reopen(w);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(put(w, i, 0, 400000, true), 0);
    for (uint32_t i = 1; i < 5; i++)
        assert_int_equal(blob_store_delete(w->device->blobs, id_of(i, 0, 0).blob, &chunks), 0);
    assert_int_equal(blob_store_compact(w->device->blobs, &done), 0);
    assert_true(done);
    assert_int_equal(volume_files(w), 1);
    blob_store_usage(w->device->blobs, &usage);
    assert_int_equal(usage.dead_bytes, 0);
    crash(w);
    assert_int_equal(get(w, 0, 0, 0, 0, 400000), 0);
    device_close(w->device);
}

CASE(blob_store__full_disk_keeps_reading_and_its_sources)
{
    struct world *w = arg;
    uint32_t      chunks, count;
    bool          done;

    reopen(w);
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(put(w, i, 0, 400000, true), 0);
    for (uint32_t i = 0; i < 20; i++)
        if (i % 5)
            assert_int_equal(blob_store_delete(w->device->blobs, id_of(i, 0, 0).blob, &chunks), 0);
    w->device->full = true;
    assert_int_equal(put(w, 99, 0, 1000, true), -ENOSPC);
    assert_int_equal(get(w, 25, 0, 0, 0, 400000), 0);
    /* A write of the copies fails: nothing is lost, the source stays. */
    count = volume_files(w);
    w->t->fail_write_after = 2;
    assert_int_not_equal(blob_store_compact(w->device->blobs, &done), 0);
    assert_true(volume_files(w) >= count);
    w->t->fail_write_after = 0;
    crash(w);
    for (uint32_t i = 0; i < 30; i++)
        if (i >= 20 || i % 5 == 0)
            assert_int_equal(get(w, i, 0, 0, 0, 400000), 0);
    w->device->full = false;
    assert_int_equal(put(w, 99, 0, 1000, true), 0);
    device_close(w->device);
}

CASE(blob_store__limits)
{
    struct world        *w = arg;
    struct volume_record r = { .fragment = 0, .k = 1, .m = 0, .unit = CHUNK_BYTES_MAX, .length = 10, .segment_bytes = 10 };
    struct buf          *buf = buf_new(4096);
    struct buf_part      part = { buf, 0, 10 };

    reopen(w);
    assert_int_equal(put(w, 1, BLOB_CHUNKS_MAX, 10, false), -E_LIMIT);
    assert_int_equal(put(w, 1, BLOB_CHUNKS_MAX - 1, 10, false), 0);
    part.size = 9;
    assert_int_equal(blob_store_write(w->device->blobs, &r, &part, 1, false), -EINVAL);
    part.size = 10;
    r.fragment = 1;
    assert_int_equal(blob_store_write(w->device->blobs, &r, &part, 1, false), -E_LIMIT);
    r.fragment = 0;
    for (uint32_t i = 0; i < BLOB_OPEN_MAX - 1; i++) {
        memcpy(r.blob, &i, 4);
        assert_int_equal(blob_store_write(w->device->blobs, &r, &part, 1, false), 0);
    }
    r.blob[9] = 1;
    assert_int_equal(blob_store_write(w->device->blobs, &r, &part, 1, false), -E_OVERLOAD);
    buf_unref(buf);
    device_close(w->device);
}

CASE(device__identity)
{
    struct world *w = arg;
    char          command[512];

    reopen(w);
    snprintf(command, sizeof command, "rm %s/device.id", w->path);
    assert_int_equal(system(command), 0);
    while (w->device->state == DEVICE_IN_SERVICE)   /* The look every second finds it. */
        task_sleep(50 * NS_PER_MS);
    assert_non_null(strstr(w->device->failure, "gone"));
    assert_int_equal(put(w, 1, 0, 10, true), -E_DEVICE);
    assert_int_equal(reopen_code(w), -ENOTEMPTY);
    w->device = NULL;
    strcat(w->path, "2");
    reopen(w);
    device_close(w->device);
    w->device = NULL;
    snprintf(command, sizeof command, "sed -i 's/^id 3/id 4/' %s/device.id", w->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(reopen_code(w), -E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blob_store__sizes_and_ranges),
        cmocka_unit_test(blob_store__synced_survives_a_crash),
        cmocka_unit_test(blob_store__repeated_writes_count_once),
        cmocka_unit_test(blob_store__index_is_rebuilt_behind_damage),
        cmocka_unit_test(blob_store__unreadable_sectors_at_start_cost_only_their_chunks),
        cmocka_unit_test(blob_store__unreadable_sectors_that_the_index_names_are_dropped),
        cmocka_unit_test(blob_store__a_drive_with_many_unreadable_sectors_stays_out),
        cmocka_unit_test(blob_store__rot_is_found_and_the_device_leaves),
        cmocka_unit_test(blob_store__failed_sync_is_final),
        cmocka_unit_test(blob_store__deleted_space_comes_back),
        cmocka_unit_test(blob_store__a_dead_active_volume_is_sealed),
        cmocka_unit_test(blob_store__full_disk_keeps_reading_and_its_sources),
        cmocka_unit_test(blob_store__limits),
        cmocka_unit_test(device__identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
