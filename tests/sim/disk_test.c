/* tests/sim/disk_test.c - the simulated disk forgets what it may forget, and nothing else. */
#include "sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

enum { CAPACITY = 1024 * 1024 };

static struct disk *disk_of(uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed, 0);
    return disk_new(rng, CAPACITY);
}

static struct inode *file(struct disk *disk, const char *path)
{
    struct inode *inode;

    assert_int_equal(disk_open(disk, path, FILE_CREATE, &inode), 0);
    return inode;
}

static uint8_t byte_at(struct disk *disk, struct inode *inode, uint64_t offset)
{
    uint8_t b = 0xEE;
    size_t  n;

    assert_int_equal(inode_read(disk, inode, &b, 1, offset, &n), 0);
    return n ? b : 0xEE;
}

static void power_cut__synced_bytes_and_names_stay(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct disk  *disk = disk_of(seed);
        struct inode *f = file(disk, "a"), *again;
        uint8_t       page[2 * DISK_PAGE_BYTES];

        memset(page, 7, sizeof page);
        assert_int_equal(inode_write(disk, f, page, sizeof page, 100), 0);
        inode_sync(disk, f);
        assert_int_equal(disk_sync_dir(disk, ""), 0);
        memset(page, 9, sizeof page);
        assert_int_equal(inode_write(disk, f, page, 10, DISK_PAGE_BYTES), 0);   /* Unsynced. */
        disk_close(disk, f);
        disk_power_cut(disk);
        assert_int_equal(disk_open(disk, "a", 0, &again), 0);
        assert_int_equal(inode_size(again), 100 + sizeof page);
        assert_int_equal(byte_at(disk, again, 100), 7);
        assert_int_equal(byte_at(disk, again, 99), 0);
        assert_int_equal(byte_at(disk, again, 99 + sizeof page), 7);
        disk_close(disk, again);
        disk_free(disk);
    }
}

static void power_cut__unsynced_is_kept_lost_or_torn(void **state)
{
    uint32_t kept = 0, lost = 0, torn = 0, unnamed = 0, shorter = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct disk  *disk = disk_of(seed);
        struct inode *f = file(disk, "a"), *g = file(disk, "b"), *again;
        uint8_t       page[DISK_PAGE_BYTES];
        uint32_t      sectors = 0;

        memset(page, 1, sizeof page);
        inode_write(disk, f, page, sizeof page, 0);
        inode_sync(disk, f);
        disk_sync_dir(disk, "");
        disk_close(disk, file(disk, "late"));
        memset(page, 2, sizeof page);
        inode_write(disk, f, page, sizeof page, 0);
        inode_write(disk, g, page, sizeof page, 0);
        disk_power_cut(disk);
        for (uint64_t at = 0; at < DISK_PAGE_BYTES; at += DISK_SECTOR_BYTES) {
            assert_in_range(byte_at(disk, f, at), 1, 2);
            assert_int_equal(byte_at(disk, f, at), byte_at(disk, f, at + DISK_SECTOR_BYTES - 1));
            sectors += byte_at(disk, f, at) == 2;
        }
        kept += sectors == 8;
        lost += sectors == 0;
        torn += sectors > 0 && sectors < 8;
        shorter += inode_size(g) < sizeof page;
        if (disk_open(disk, "late", 0, &again) == 0)
            disk_close(disk, again);
        else
            unnamed++;
        disk_close(disk, f);
        disk_close(disk, g);
        disk_free(disk);
    }
    assert_in_range(kept, 40, 200);
    assert_in_range(lost, 100, 300);
    assert_in_range(torn, 20, 150);
    assert_in_range(unnamed, 50, 200);
    assert_in_range(shorter, 100, 399);
}

static void sync_range__makes_only_its_pages_durable(void **state)
{
    uint32_t lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct disk  *disk = disk_of(seed);
        struct inode *f = file(disk, "a");
        uint8_t       page[2 * DISK_PAGE_BYTES];

        inode_allocate(disk, f, 0, sizeof page);
        inode_sync(disk, f);
        memset(page, 5, sizeof page);
        inode_write(disk, f, page, sizeof page, 0);
        inode_sync_range(disk, f, DISK_PAGE_BYTES, DISK_PAGE_BYTES);
        disk_power_cut(disk);
        assert_int_equal(byte_at(disk, f, DISK_PAGE_BYTES), 5);
        lost += byte_at(disk, f, 0) == 0;
        disk_close(disk, f);
        disk_free(disk);
    }
    assert_in_range(lost, 20, 90);
}

static void failed_sync__later_sync_does_not_bring_it_back(void **state)
{
    uint32_t seen_then_lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct disk  *disk = disk_of(seed);
        struct inode *f = file(disk, "a");
        uint8_t       seen;

        inode_write(disk, f, "x", 1, 0);
        inode_sync_failed(disk, f);
        seen = byte_at(disk, f, 0);
        inode_sync(disk, f);   /* Succeeds, and writes nothing. */
        disk_power_cut(disk);
        seen_then_lost += seen == 'x' && byte_at(disk, f, 0) != 'x';
        disk_close(disk, f);
        disk_free(disk);
    }
    assert_in_range(seen_then_lost, 10, 80);
}

static void rename__is_all_or_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct disk      *disk = disk_of(seed);
        struct env_entry *entries;
        uint32_t          count;

        disk_mkdir(disk, "d");
        disk_sync_dir(disk, "");
        disk_close(disk, file(disk, "d/new"));
        disk_sync_dir(disk, "d");
        assert_int_equal(disk_rename(disk, "d/new", "d/final"), 0);
        disk_power_cut(disk);
        assert_int_equal(disk_list(disk, "d", &entries, &count), 0);
        assert_int_equal(count, 1);
        free(entries);
        disk_free(disk);
    }
}

static void space__full_disk_refuses_and_keeps(void **state)
{
    struct disk  *disk = disk_of(1);
    struct inode *f = file(disk, "a");
    static char   page[DISK_PAGE_BYTES];
    uint64_t      at = 0;

    (void)state;
    while (inode_write(disk, f, page, sizeof page, at) == 0)
        at += sizeof page;
    assert_int_equal(at, CAPACITY);
    assert_int_equal(inode_allocate(disk, f, at, 1), -ENOSPC);
    assert_int_equal(inode_write(disk, f, page, sizeof page, 0), 0);   /* In place. */
    assert_int_equal(inode_truncate(disk, f, 10), 0);
    assert_int_equal(disk_used(disk), DISK_PAGE_BYTES);
    disk_close(disk, f);
    disk_free(disk);
}

static void faults__lost_sector_and_rot(void **state)
{
    struct disk  *disk = disk_of(3);
    struct inode *f = file(disk, "x");
    static char   page[DISK_PAGE_BYTES], got[DISK_PAGE_BYTES];
    size_t        n;

    (void)state;
    assert_false(disk_rot(disk, NULL));
    memset(page, 3, sizeof page);
    inode_write(disk, f, page, sizeof page, 0);
    inode_sync(disk, f);
    assert_true(disk_rot(disk, NULL));
    assert_int_equal(inode_read(disk, f, got, sizeof got, 0, &n), 0);
    assert_memory_not_equal(got, page, sizeof page);
    assert_true(disk_lose_sector(disk, NULL));
    assert_int_equal(inode_read(disk, f, got, sizeof got, 0, &n), -EIO);
    inode_write(disk, f, page, sizeof page, 0);
    assert_int_equal(inode_read(disk, f, got, sizeof got, 0, &n), 0);
    assert_memory_equal(got, page, sizeof page);
    disk_close(disk, f);
    disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cut__synced_bytes_and_names_stay),
        cmocka_unit_test(power_cut__unsynced_is_kept_lost_or_torn),
        cmocka_unit_test(sync_range__makes_only_its_pages_durable),
        cmocka_unit_test(failed_sync__later_sync_does_not_bring_it_back),
        cmocka_unit_test(rename__is_all_or_nothing),
        cmocka_unit_test(space__full_disk_refuses_and_keeps),
        cmocka_unit_test(faults__lost_sector_and_rot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
