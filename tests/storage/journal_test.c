/* What storage/journal.h promises: replay in order, recognition of torn and
 * recycled tails, and of damage to what was synced. */
#include "tests/lib/test.h"

#include "storage/journal.h"
#include "tests/storage/env_posix.h"

enum { SEGMENT = 64 * 1024 };

struct world {
    struct test_env *t;
    struct journal  *journal;
    uint64_t         seen[4096];   /* First 8 bytes of each record replayed, by order. */
    uint64_t         first;        /* lsn of the first one. */
    uint32_t         count;
    int              rc;
};

WAITS static int note(void *ctx, uint64_t lsn, struct slice record)
{
    struct world *w = ctx;

    if (w->count == 0)
        w->first = lsn;
    assert_int_equal(lsn, w->first + w->count);
    memcpy(&w->seen[w->count++], record.data, 8);
    return 0;
}

WAITS static int reopen(struct world *w, uint64_t applied)
{
    struct journal_options o = { .path = "j", .segment_bytes = SEGMENT, .segments = 2, .applied_lsn = applied };
    struct error           err = { 0 };
    int                    rc;

    journal_close(w->journal);
    w->journal = NULL;
    w->count = 0;
    rc = journal_open(&w->t->env, &o, note, w, &w->journal, &err);
    if (rc)
        assert_string_not_equal(err.text, "");
    return rc;
}

/* Appends 'count' records of 'size' bytes, each beginning with its lsn. */
WAITS static int put(struct world *w, uint32_t count, size_t size)
{
    struct slice records[64];
    uint8_t     *bytes = calloc(count, size);
    uint64_t     lsn = 0, next = journal_last(w->journal) + 1;
    int          rc;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t v = next + i;

        memcpy(bytes + i * size, &v, 8);
        records[i] = slice_of(bytes + i * size, size);
    }
    rc = journal_append(w->journal, records, count, &lsn);
    if (rc == 0)
        assert_int_equal(lsn, next + count - 1);
    free(bytes);
    return rc;
}

static void check(struct world *w, uint64_t first, uint64_t last)
{
    assert_int_equal(w->count, last - first + 1);
    for (uint32_t i = 0; i < w->count; i++)
        assert_int_equal(w->seen[i], first + i);
    assert_int_equal(journal_last(w->journal), last);
}

/* Overwrites bytes of the segment file 'number'. */
static void scribble(struct world *w, uint32_t number, uint64_t offset, size_t size, int value)
{
    char  path[128], bytes[8192];
    FILE *f;

    snprintf(path, sizeof path, "%s/j/journal-%06u", w->t->dir, number);
    f = fopen(path, "r+");
    assert_non_null(f);
    memset(bytes, value, sizeof bytes);
    fseek(f, (long)offset, SEEK_SET);
    fwrite(bytes, 1, size, f);
    fclose(f);
}

static void run(void (*fn)(void *))
{
    struct world w = { .t = test_env_new() };

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

CASE(journal__replays_in_order)
{
    struct world *w = arg;

    assert_int_equal(reopen(w, 0), 0);
    assert_int_equal(w->count, 0);
    assert_int_equal(put(w, 1, 8), 0);
    assert_int_equal(put(w, 5, 3000), 0);
    assert_int_equal(put(w, 3, 11), 0);
    assert_int_equal(reopen(w, 0), 0);
    check(w, 1, 9);
    assert_int_equal(put(w, 2, 100), 0);
    assert_int_equal(reopen(w, 4), 0);
    assert_int_equal(w->first, 5);
    check(w, 5, 11);
    journal_close(w->journal);
}

CASE(journal__goes_round_when_trimmed)
{
    struct world *w = arg;

    assert_int_equal(reopen(w, 0), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(put(w, 1 + i % 3, 8 + i * 7 % 5000), 0);
        if (i % 5 == 0)
            journal_trim(w->journal, journal_last(w->journal));
    }
    assert_true(journal_bytes_total(w->journal) <= 4 * SEGMENT);
    assert_int_equal(reopen(w, journal_last(w->journal) - 4), 0);
    assert_true(w->count == 4);
    assert_int_equal(journal_last(w->journal), 1999);
    journal_close(w->journal);
}

CASE(journal__grows_when_not_trimmed)
{
    struct world *w = arg;
    int           rc = 0;
    uint64_t      last;

    assert_int_equal(reopen(w, 0), 0);
    while (rc == 0)
        rc = put(w, 8, 4096 - 48);
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(journal_bytes_total(w->journal), JOURNAL_SEGMENTS_MAX * SEGMENT);
    assert_true(journal_bytes_untrimmed(w->journal) <= journal_bytes_total(w->journal));
    last = journal_last(w->journal);
    journal_trim(w->journal, last);
    assert_int_equal(put(w, 1, 8), 0);   /* -ENOSPC was not final. */
    assert_int_equal(reopen(w, last), 0);
    check(w, last + 1, last + 1);
    journal_close(w->journal);
}

CASE(journal__torn_append_is_the_end)
{
    struct world *w = arg;

    assert_int_equal(reopen(w, 0), 0);
    assert_int_equal(put(w, 2, 100), 0);
    assert_int_equal(put(w, 6, 4096 - 48), 0);   /* Six blocks: records 3 to 8. */
    scribble(w, 0, 4096 * 4, 4096, 0);           /* Record 5. */
    assert_int_equal(reopen(w, 0), 0);
    check(w, 1, 4);
    assert_int_equal(put(w, 1, 50), 0);          /* The new record 5. */
    assert_int_equal(reopen(w, 0), 0);
    check(w, 1, 5);
    assert_int_equal(put(w, 9, 4096), 0);
    assert_int_equal(reopen(w, 2), 0);
    check(w, 3, 14);
    journal_close(w->journal);
}

CASE(journal__damage_before_a_later_append_is_found)
{
    struct world *w = arg;

    assert_int_equal(reopen(w, 0), 0);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(put(w, 1, 100), 0);
    scribble(w, 0, 4096 * 5 + 60, 1, 0xee);
    assert_int_equal(reopen(w, 0), -E_CORRUPT);
    assert_int_equal(reopen(w, 5), 0);   /* Record 5 is in the index already. */
    check(w, 6, 10);
    journal_close(w->journal);
}

CASE(journal__lost_segment_is_found)
{
    struct world *w = arg;
    char          path[128];

    assert_int_equal(reopen(w, 0), 0);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(put(w, 1, 3000), 0);
    snprintf(path, sizeof path, "%s/j/journal-000000", w->t->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(reopen(w, 0), -E_CORRUPT);
    assert_int_equal(reopen(w, 100), -E_CORRUPT);   /* The index can't be ahead. */
    scribble(w, 1, 0, 8, 0);
    assert_int_equal(reopen(w, 0), -E_CORRUPT);
}

CASE(journal__crash_at_every_append_loses_nothing)
{
    struct world *w = arg;
    uint64_t      last = 0;

    assert_int_equal(reopen(w, 0), 0);
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(put(w, 3, 1000 + 200 * (i % 9)), 0);
        last += 3;
        if (i % 2)
            assert_int_equal(reopen(w, last > 40 ? last - 40 : 0), 0);
        assert_int_equal(journal_last(w->journal), last);
    }
    journal_close(w->journal);
}

CASE(journal__failed_write_is_final)
{
    struct world *w = arg;

    assert_int_equal(reopen(w, 0), 0);
    assert_int_equal(put(w, 1, 100), 0);
    w->t->fail_sync_after = 1;
    assert_int_equal(put(w, 1, 100), -EIO);
    assert_int_equal(put(w, 1, 100), -E_DEVICE);
    journal_close(w->journal);
}

CASE(journal__limits)
{
    struct world *w = arg;
    struct slice  big;
    uint8_t      *bytes = calloc(1, JOURNAL_RECORD_MAX + 1);
    uint64_t      lsn;

    assert_int_equal(reopen(w, 0), 0);
    big = slice_of(bytes, JOURNAL_RECORD_MAX + 1);
    assert_int_equal(journal_append(w->journal, &big, 1, &lsn), -E_LIMIT);
    big.size = SEGMENT - 4096 - 48;
    assert_int_equal(journal_append(w->journal, &big, 1, &lsn), 0);
    big.size++;
    assert_int_equal(journal_append(w->journal, &big, 1, &lsn), -E_LIMIT);
    assert_int_equal(put(w, 1, 8), 0);
    assert_int_equal(reopen(w, 0), 0);
    assert_int_equal(w->count, 2);
    journal_close(w->journal);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journal__replays_in_order),
        cmocka_unit_test(journal__goes_round_when_trimmed),
        cmocka_unit_test(journal__grows_when_not_trimmed),
        cmocka_unit_test(journal__torn_append_is_the_end),
        cmocka_unit_test(journal__damage_before_a_later_append_is_found),
        cmocka_unit_test(journal__lost_segment_is_found),
        cmocka_unit_test(journal__crash_at_every_append_loses_nothing),
        cmocka_unit_test(journal__failed_write_is_final),
        cmocka_unit_test(journal__limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
