/* Listings against a model: random rows, of which each replica missed some,
 * and random ranges, forward and reverse, plain and folded. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/counter.h"
#include "base/rng.h"
#include "tests/lib/row_cluster.h"

enum { NAMES_MAX = 600 };

struct model {
    char     name[NAMES_MAX][12];
    bool     live[NAMES_MAX];
    uint32_t count;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Names over a small alphabet with '/', so that there are folds of all sizes. */
static void make_names(struct model *m, struct rng *rng)
{
    static const char alphabet[] = "ab/\xff";
    uint32_t          n = 0;

    for (int i = 0; i < NAMES_MAX; i++) {
        int size = (int)rng_between(rng, 1, 7);
        for (int j = 0; j < size; j++)
            m->name[i][j] = alphabet[rng_below(rng, 4)];
        m->name[i][size] = 0;
    }
    qsort(m->name, NAMES_MAX, sizeof m->name[0], by_name);
    for (int i = 0; i < NAMES_MAX; i++)
        if (n == 0 || strcmp(m->name[i], m->name[n - 1]) != 0)
            memmove(m->name[n++], m->name[i], sizeof m->name[0]);
    m->count = n;
}

static void write_row(struct row_cluster *c, struct model *m, uint32_t i, bool live)
{
    Rs__RowValue v = RS__ROW_VALUE__INIT;

    v.tombstone = !live;
    v.counted = live;
    v.size = 1;
    v.meta = (ProtobufCBinaryData) { .len = strlen(m->name[i]), .data = (uint8_t *)m->name[i] };
    assert_int_equal(row_write(c->client, &c->shard, slice_str(m->name[i]), &v, row_cluster_soon(c), NULL, NULL, NULL), 0);
    m->live[i] = live;
}

struct expected {
    char     name[NAMES_MAX][12];
    uint32_t count;
};

static void expect(const struct model *m, const struct row_range *r, struct expected *e)
{
    e->count = 0;
    for (uint32_t k = 0; k < m->count; k++) {
        uint32_t     i = r->reverse ? m->count - 1 - k : k;
        struct slice n = slice_str(m->name[i]);
        char        *out = e->name[e->count];

        if (!m->live[i] || !slice_starts(n, r->prefix))
            continue;
        struct slice low = r->reverse ? r->before : r->after, high = r->reverse ? r->after : r->before;
        if ((low.size && slice_compare(n, low) <= 0) || (high.size && slice_compare(n, high) >= 0))
            continue;
        strcpy(out, m->name[i]);
        if (r->delimiter.size) {
            char *at = strchr(out + r->prefix.size, '/');
            if (at)
                at[1] = 0;
            /* A marker that is the fold itself: that fold was listed before. */
            if (at && !r->reverse && slice_equal(slice_str(out), r->after))
                continue;
        }
        if (e->count && strcmp(out, e->name[e->count - 1]) == 0)
            continue;
        e->count++;
    }
}

static void check_range(struct row_cluster *c, const struct model *m, struct row_range *r)
{
    static struct expected e;
    struct row_page        page;
    struct arena           arena;
    struct error           err = { 0 };
    uint32_t               want;

    expect(m, r, &e);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    int rc = row_list(c->client, &c->shard, r, row_cluster_soon(c), &arena, &page, &err);
    if (rc)
        print_message("%s\n", err.text);
    assert_int_equal(rc, 0);
    want = e.count < r->limit ? e.count : r->limit;
    if (page.count != want || page.more != (e.count > r->limit))
        print_message("prefix '%.*s' delimiter %zu after '%.*s' before '%.*s' reverse %d limit %u: %u of %u, want %u\n",
                      SLICE_ARG(r->prefix), r->delimiter.size, SLICE_ARG(r->after), SLICE_ARG(r->before), r->reverse,
                      r->limit, page.count, e.count, want);
    assert_int_equal(page.count, want);
    assert_int_equal(page.more, e.count > r->limit);
    for (uint32_t i = 0; i < want; i++) {
        assert_true(slice_equal(page.entries[i].name, slice_str(e.name[i])));
        if (!page.entries[i].folded) {
            assert_non_null(page.entries[i].value);
            assert_int_equal(page.entries[i].value->meta.len, page.entries[i].name.size);
        }
    }
    arena_done(&arena);
}

static void random_ranges(struct row_cluster *c, struct model *m, struct rng *rng, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        struct row_range r = { .limit = (uint32_t)rng_between(rng, 1, rng_chance(rng, 1, 2) ? 10 : 1000) };

        r.reverse = rng_chance(rng, 1, 3);
        if (rng_chance(rng, 1, 2))
            r.delimiter = SLICE("/");
        if (rng_chance(rng, 1, 2))
            r.prefix = slice_of(m->name[rng_below(rng, m->count)], rng_between(rng, 0, 1));
        if (rng_chance(rng, 1, 3))
            r.after = slice_str(m->name[rng_below(rng, m->count)]);
        if (rng_chance(rng, 1, 3))
            r.before = slice_str(m->name[rng_below(rng, m->count)]);
        if (r.delimiter.size && r.after.size && rng_chance(rng, 1, 2)) {
            uint8_t *slash = memchr(r.after.data, '/', r.after.size);
            if (slash)
                r.after.size = (size_t)(slash - r.after.data) + 1;
        }
        check_range(c, m, &r);
    }
}

static void compare(struct row_cluster *c, void *arg)
{
    static struct model m;
    struct rng          rng;

    rng_init(&rng, *(uint64_t *)arg, 0);
    memset(&m, 0, sizeof m);
    make_names(&m, &rng);
    for (int round = 0; round < 900; round++) {
        struct device *down = row_cluster_holder(c, (uint32_t)rng_below(&rng, 3));

        if (rng_chance(&rng, 1, 2))
            row_cluster_down(down);
        write_row(c, &m, (uint32_t)rng_below(&rng, m.count), rng_chance(&rng, 2, 3));
        row_cluster_up(down);
    }
    random_ranges(c, &m, &rng, 60);
    /* With one replica away there is no third opinion. */
    row_cluster_down(row_cluster_holder(c, (uint32_t)rng_below(&rng, 3)));
    random_ranges(c, &m, &rng, 100);
}

static void row_list__agrees_with_a_model(void **state)
{
    uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 1;

    (void)state;
    row_cluster_run(3, 3, compare, &seed);
    assert_true(counter_value("row_list_resolved") > 0);
}

/* --- A fold of many names is skipped, not walked. --- */

static void big_fold(struct row_cluster *c, void *arg)
{
    static struct model m;
    struct row_range    r = { .limit = 10, .delimiter = SLICE("/") };

    (void)arg;
    m.count = 500;
    for (uint32_t i = 0; i < m.count; i++) {
        snprintf(m.name[i], sizeof m.name[i], i < 490 ? "big/%04u" : "c%04u", i);
        write_row(c, &m, i, true);
    }
    int64_t before = counter_value("row_scan_rows");
    check_range(c, &m, &r);
    assert_true(counter_value("row_scan_rows") - before < 3 * 100);
    r.reverse = true;
    r.limit = 11;
    before = counter_value("row_scan_rows");
    check_range(c, &m, &r);
    assert_true(counter_value("row_scan_rows") - before < 3 * 100);
}

static void row_list__skips_a_fold_by_seeking(void **state)
{
    (void)state;
    row_cluster_run(3, 3, big_fold, NULL);
}

static void limits(struct row_cluster *c, void *arg)
{
    struct row_range r = { .limit = 0 };
    struct row_page  page;
    struct arena     arena;
    struct error     err = { 0 };

    (void)arg;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    assert_int_equal(row_list(c->client, &c->shard, &r, row_cluster_soon(c), &arena, &page, &err), -E_LIMIT);
    r.limit = ROW_PAGE_MAX + 1;
    assert_int_equal(row_list(c->client, &c->shard, &r, row_cluster_soon(c), &arena, &page, &err), -E_LIMIT);
    r.limit = ROW_PAGE_MAX;
    assert_int_equal(row_list(c->client, &c->shard, &r, row_cluster_soon(c), &arena, &page, &err), 0);
    assert_int_equal(page.count, 0);
    assert_false(page.more);
    arena_done(&arena);
    row_cluster_down(row_cluster_holder(c, 0));
    row_cluster_down(row_cluster_holder(c, 1));
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    assert_int_equal(row_list(c->client, &c->shard, &r, row_cluster_soon(c), &arena, &page, &err), -E_UNAVAILABLE);
    arena_done(&arena);
}

static void row_list__has_limits_and_needs_a_quorum(void **state)
{
    (void)state;
    row_cluster_run(3, 3, limits, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_list__agrees_with_a_model),
        cmocka_unit_test(row_list__skips_a_fold_by_seeking),
        cmocka_unit_test(row_list__has_limits_and_needs_a_quorum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
