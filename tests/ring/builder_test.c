/* Goal: a builder keeps its promises whatever is done to it: nobody twice in a
 * set, one move a partition, shares to the slot, dispersion, rest, determinism.
 * Method: small clusters by hand, then random histories by seed. */
#include "tests/lib/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/builder.h"
#include "ring/tier.h"

enum { HOUR = 3600, SOME_DAY = 1700000000 };

static struct builder *new_builder(unsigned part_power, double replicas)
{
    struct builder_options options = { .part_power = (uint8_t)part_power, .replicas = replicas, .hash_seed = 7 };
    struct builder        *b = NULL;
    struct error           err;

    assert_int_equal(builder_new(&options, &b, &err), 0);
    return b;
}

static uint16_t add(struct builder *b, uint32_t region, uint32_t zone, uint32_t host, uint32_t disk, double weight)
{
    char               address[64], name[16];
    struct ring_device device = { .id = RING_NONE, .port = 6200, .region = region, .zone = zone, .node = host,
                                  .weight = weight, .host = address, .name = name };
    uint16_t           id = RING_NONE;
    struct error       err;

    snprintf(address, sizeof(address), "r%u-z%u-h%u", region, zone, host);
    snprintf(name, sizeof(name), "d%u", disk);
    assert_int_equal(builder_add(b, &device, &id, &err), 0);
    return id;
}

static void add_many(struct builder *b, uint32_t zones, uint32_t hosts, uint32_t disks, double weight)
{
    for (uint32_t z = 1; z <= zones; z++)
        for (uint32_t h = 1; h <= hosts; h++)
            for (uint32_t d = 1; d <= disks; d++)
                add(b, 1, z, h, d, weight);
}

static struct builder_moves rebalance_at(struct builder *b, uint64_t now)
{
    struct builder_rebalance how = { .now = now, .seed = 1 };
    struct builder_moves     moves;
    struct error             err;

    assert_int_equal(builder_rebalance(b, &how, &moves, &err), 0);
    assert_int_equal(builder_validate(b, &err), 0);
    return moves;
}

static struct builder_moves rebalance(struct builder *b)
{
    return rebalance_at(b, SOME_DAY);
}

static struct builder_report report_of(const struct builder *b)
{
    struct builder_report report;
    struct error          err;

    assert_int_equal(builder_report(b, &report, &err), 0);
    return report;
}

static uint32_t parts_of(const struct builder *b, uint16_t id)
{
    uint32_t *parts = calloc(builder_device_end(b) + 1, sizeof(*parts)), count;

    builder_parts(b, parts);
    count = parts[id];
    free(parts);
    return count;
}

static uint32_t partitions_of(const struct builder *b)
{
    return 1u << builder_options(b)->part_power;
}

/* Everybody's set, one after another. */
static uint16_t *sets_of(const struct builder *b)
{
    uint16_t *sets = malloc((size_t)partitions_of(b) * RING_SET_MAX * sizeof(*sets));

    memset(sets, 0xff, (size_t)partitions_of(b) * RING_SET_MAX * sizeof(*sets));
    for (uint32_t p = 0; p < partitions_of(b); p++)
        builder_set(b, p, sets + (size_t)p * RING_SET_MAX);
    return sets;
}

/* Slots of partition p whose device was another one before, placed ones apart. */
static unsigned changed_in(const uint16_t *before, const uint16_t *after, uint32_t p, const struct builder *b)
{
    unsigned changed = 0;

    for (unsigned r = 0; r < RING_SET_MAX; r++) {
        uint16_t old = before[(size_t)p * RING_SET_MAX + r];
        changed += old != RING_NONE && builder_device(b, old) && old != after[(size_t)p * RING_SET_MAX + r];
    }
    return changed;
}

static void rebalance__fills_every_slot_once_and_evenly(void **state)
{
    struct builder       *b = new_builder(8, 3);
    struct builder_report r;

    (void)state;
    add_many(b, 3, 2, 4, 100);   /* 24 devices, 32 slots each. */
    assert_int_equal(rebalance(b).placed, 768);
    r = report_of(b);
    assert_int_equal(r.unplaced, 0);
    assert_true(r.balance < 1e-9);
    assert_true(r.dispersion == 0);
    assert_int_equal(r.same_zone, 0);
    for (uint16_t id = 0; id < 24; id++)
        assert_int_equal(parts_of(b, id), 32);
    builder_free(b);
}

static void rebalance__without_change_moves_nothing(void **state)
{
    struct builder      *b = new_builder(8, 3);
    struct builder_moves moves;

    (void)state;
    add_many(b, 4, 3, 2, 70);
    rebalance(b);
    moves = rebalance(b);
    assert_int_equal(moves.moved + moves.placed, 0);
    builder_free(b);
}

static void rebalance__same_seed_same_result(void **state)
{
    uint8_t     *data[2];
    size_t       size[2];
    struct error err;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct builder *b = new_builder(9, 3);
        add_many(b, 3, 3, 3, 50);
        rebalance(b);
        add(b, 1, 2, 9, 1, 500);
        rebalance(b);
        assert_int_equal(builder_encode(b, &data[i], &size[i], &err), 0);
        builder_free(b);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(data[0], data[1], size[0]);
    free(data[0]);
    free(data[1]);
}

static void rebalance__fractional_replicas_cover_part_of_the_partitions(void **state)
{
    struct builder *b = new_builder(8, 2.25);
    uint16_t        set[RING_SET_MAX];

    (void)state;
    add_many(b, 3, 1, 2, 100);
    assert_int_equal(rebalance(b).placed, 576);
    for (uint32_t p = 0; p < 256; p++)
        assert_int_equal(builder_set(b, p, set), p < 64 ? 3 : 2);
    assert_true(report_of(b).balance < 1e-9);
    assert_int_equal(report_of(b).same_zone, 0);
    builder_free(b);
}

static void set_replicas__up_places_only_the_new_slots_down_drops_them(void **state)
{
    struct builder      *b = new_builder(8, 2);
    struct builder_moves moves;
    struct error         err;

    (void)state;
    add_many(b, 4, 1, 2, 100);
    rebalance(b);
    assert_int_equal(builder_set_replicas(b, 3.5, &err), 0);
    moves = rebalance(b);
    assert_int_equal(moves.placed, 384);
    assert_int_equal(moves.moved, 0);   /* Where one is placed, no other moves; so it is not even yet. */
    assert_true(report_of(b).dispersion < 1e-9);
    assert_in_range(rebalance(b).moved, 0, 12);
    assert_true(report_of(b).balance < 1e-9);
    assert_int_equal(builder_set_replicas(b, 1, &err), 0);
    assert_int_equal(report_of(b).slots, 256);
    assert_int_equal(builder_set_replicas(b, 33, &err), -EINVAL);
    assert_int_equal(builder_set_replicas(b, NAN, &err), -EINVAL);
    builder_free(b);
}

static void rebalance__weightless_device_gets_nothing_and_is_drained(void **state)
{
    struct builder *b = new_builder(8, 3);
    struct error    err;
    uint16_t        never;

    (void)state;
    add_many(b, 3, 2, 2, 100);
    never = add(b, 1, 1, 9, 1, 0);
    rebalance(b);
    assert_int_equal(parts_of(b, never), 0);
    assert_int_equal(builder_set_weight(b, 0, 0, &err), 0);
    for (int i = 0; i < 3; i++)
        rebalance(b);
    assert_int_equal(parts_of(b, 0), 0);
    assert_int_equal(report_of(b).unplaced, 0);
    builder_free(b);
}

static void rebalance__fewer_devices_than_replicas_is_refused_unchanged(void **state)
{
    struct builder          *b = new_builder(4, 3);
    struct builder_rebalance how = { .now = SOME_DAY };
    struct error             err;

    (void)state;
    assert_int_equal(builder_rebalance(b, &how, NULL, &err), -E_UNAVAILABLE);
    add_many(b, 1, 1, 2, 100);
    add(b, 1, 1, 1, 9, 0);
    assert_int_equal(builder_rebalance(b, &how, NULL, &err), -E_UNAVAILABLE);
    assert_non_null(strstr(err.text, "add devices"));
    assert_int_equal(report_of(b).unplaced, 48);
    builder_free(b);
}

static void rebalance__single_host_with_just_enough_devices(void **state)
{
    struct builder *b = new_builder(6, 3);

    (void)state;
    add(b, 1, 1, 1, 1, 1);
    add(b, 1, 1, 1, 2, 10);
    add(b, 1, 1, 1, 3, 1000);   /* A replica of each partition on each, whatever they weigh. */
    rebalance(b);
    for (uint16_t id = 0; id < 3; id++)
        assert_int_equal(parts_of(b, id), 64);
    builder_free(b);
}

static void rebalance__regions_before_zones(void **state)
{
    struct builder       *b = new_builder(8, 3);
    struct builder_report r;

    (void)state;
    for (uint32_t region = 1; region <= 3; region++)
        for (uint32_t zone = 1; zone <= 2; zone++)
            for (uint32_t disk = 1; disk <= 2; disk++)
                add(b, region, zone, 1, disk, 100);
    rebalance(b);
    r = report_of(b);
    assert_int_equal(r.same_region, 0);
    assert_true(r.dispersion == 0);
    builder_free(b);
}

static void rebalance__new_zone_takes_one_replica_of_each_partition(void **state)
{
    struct builder *b = new_builder(8, 3);
    uint16_t       *before, *after;

    (void)state;
    add_many(b, 2, 2, 3, 100);
    rebalance(b);
    for (uint32_t d = 1; d <= 6; d++)
        add(b, 1, 3, d % 2, d, 100);
    before = sets_of(b);
    assert_int_equal(rebalance(b).moved, 256);   /* The least that gives it a third. */
    after = sets_of(b);
    for (uint32_t p = 0; p < 256; p++)
        assert_int_equal(changed_in(before, after, p, b), 1);
    assert_int_equal(report_of(b).same_zone, 0);
    assert_true(report_of(b).dispersion == 0);
    free(before);
    free(after);
    builder_free(b);
}

static void rebalance__one_replica_at_a_time_even_if_two_should_move(void **state)
{
    struct builder *b = new_builder(8, 3);
    struct error    err;
    uint16_t       *before, *after;

    (void)state;
    add_many(b, 3, 1, 1, 100);   /* Ids 0..2 hold everything... */
    rebalance(b);
    for (uint32_t i = 0; i < 12; i++)
        add(b, 1, 1 + i % 3, 2 + i % 2, i, 100);
    for (uint16_t id = 0; id < 3; id++)
        builder_set_weight(b, id, 0, &err);   /* ...and nothing of it should stay. */
    for (int round = 0; round < 3; round++) {
        before = sets_of(b);
        assert_int_equal(rebalance(b).moved, 256);
        after = sets_of(b);
        for (uint32_t p = 0; p < 256; p++)
            assert_int_equal(changed_in(before, after, p, b), 1);
        free(before);
        free(after);
    }
    assert_int_equal(parts_of(b, 0) + parts_of(b, 1) + parts_of(b, 2), 0);
    assert_true(report_of(b).dispersion == 0);
    builder_free(b);
}

static void rebalance__min_part_hours_keeps_partitions_at_rest(void **state)
{
    struct builder          *b = new_builder(8, 3);
    struct builder_rebalance force = { .now = SOME_DAY, .seed = 1, .ignore_min_part_hours = true };
    struct builder_moves     moves;
    struct error             err;

    (void)state;
    assert_int_equal(builder_set_min_part_hours(b, 2, &err), 0);
    add_many(b, 3, 2, 2, 100);
    rebalance(b);
    add(b, 1, 1, 7, 1, 100);
    moves = rebalance_at(b, SOME_DAY + 2 * HOUR - 60);
    assert_int_equal(moves.moved, 0);
    assert_int_equal(moves.resting, 256);
    assert_int_equal(builder_rebalance(b, &force, &moves, &err), 0);
    assert_int_equal(moves.moved, parts_of(b, 12));
    assert_true(moves.moved > 0);
    add(b, 1, 2, 7, 1, 100);
    moves = rebalance_at(b, SOME_DAY + 2 * HOUR);   /* The clock of each partition is its own. */
    assert_int_equal(moves.resting, 0);
    assert_true(moves.moved > 0);
    builder_free(b);
}

static void remove__is_placed_anew_at_once_despite_rest(void **state)
{
    struct builder      *b = new_builder(8, 3);
    struct builder_moves moves;
    struct error         err;
    uint32_t             had;

    (void)state;
    assert_int_equal(builder_set_min_part_hours(b, 24, &err), 0);
    add_many(b, 3, 3, 2, 100);
    rebalance(b);
    had = parts_of(b, 5) + parts_of(b, 11);
    assert_int_equal(builder_remove(b, 5, &err), 0);
    assert_int_equal(builder_remove(b, 11, &err), 0);
    assert_null(builder_device(b, 5));
    assert_int_equal(builder_remove(b, 5, &err), -ENOENT);
    moves = rebalance_at(b, SOME_DAY + 60);
    assert_int_equal(moves.placed, had);
    assert_int_equal(moves.moved, 0);
    assert_int_equal(report_of(b).unplaced, 0);
    assert_int_equal(add(b, 1, 1, 1, 77, 1), 18);   /* No id comes back by itself. */
    builder_free(b);
}

static void overload__trades_balance_for_dispersion_within_its_limit(void **state)
{
    struct builder       *b = new_builder(10, 3);
    struct builder_report r;
    struct error          err;

    (void)state;
    for (uint32_t zone = 1; zone <= 3; zone++)
        for (uint32_t disk = 1; disk <= 4; disk++)
            add(b, 1, zone, disk, disk, zone == 3 ? 80 : 100);   /* Zone 3 has 2/7 of the weight: 0.857 replicas. */
    rebalance(b);
    r = report_of(b);
    assert_true(fabs(r.overload_needed - 1.0 / 6) < 1e-6);
    assert_in_range(r.same_zone, 1024 - 878, 1024 - 877);   /* 877.7, up or down. */
    assert_int_equal(builder_set_overload(b, 0.05, &err), 0);
    rebalance(b);
    r = report_of(b);
    assert_true(r.balance < 5.5);
    assert_in_range(r.same_zone, 1024 - 877 - 45, 1024 - 878 - 43);   /* 5 % of 877.7 is 43.9. */
    assert_int_equal(builder_set_overload(b, 0.5, &err), 0);
    rebalance(b);
    r = report_of(b);
    assert_int_equal(r.same_zone, 0);
    assert_true(r.balance < 17.5);   /* Not more than needed. */
    assert_int_equal(builder_set_overload(b, -0.1, &err), -EINVAL);
    builder_free(b);
}

static void add__refuses_what_is_out_of_bounds(void **state)
{
    struct builder    *b = new_builder(4, 1);
    struct ring_device d = { .id = RING_NONE, .weight = 1, .host = "h", .name = "d" }, bad;
    char               longest[RING_HOST_MAX + 2];
    struct error       err;

    (void)state;
    assert_int_equal(builder_add(b, &d, NULL, &err), 0);
    assert_int_equal(builder_add(b, &d, NULL, &err), -EEXIST);
    bad = d, bad.name = "e", bad.id = 0;
    assert_int_equal(builder_add(b, &bad, NULL, &err), -EEXIST);
    bad.id = RING_DEVICES_MAX;
    assert_int_equal(builder_add(b, &bad, NULL, &err), -E_LIMIT);
    bad.id = RING_NONE, bad.weight = -1;
    assert_int_equal(builder_add(b, &bad, NULL, &err), -EINVAL);
    bad.weight = NAN;
    assert_int_equal(builder_add(b, &bad, NULL, &err), -EINVAL);
    bad.weight = 1, bad.name = "";
    assert_int_equal(builder_add(b, &bad, NULL, &err), -EINVAL);
    bad.name = NULL;
    assert_int_equal(builder_add(b, &bad, NULL, &err), -EINVAL);
    bad.name = "a b";
    assert_int_equal(builder_add(b, &bad, NULL, &err), -EINVAL);
    memset(longest, 'x', sizeof(longest));
    longest[RING_HOST_MAX + 1] = '\0';
    bad.name = "e", bad.host = longest;
    assert_int_equal(builder_add(b, &bad, NULL, &err), -EINVAL);
    longest[RING_HOST_MAX] = '\0';
    assert_int_equal(builder_add(b, &bad, NULL, &err), 0);
    assert_int_equal(builder_set_weight(b, 9, 1, &err), -ENOENT);
    assert_int_equal(builder_set_weight(b, 0, INFINITY, &err), -EINVAL);
    builder_free(b);
}

static void new__bounds_of_options(void **state)
{
    struct builder_options o = { .part_power = RING_PART_POWER_MAX + 1, .replicas = 1 };
    struct builder        *b = NULL;
    struct error           err;

    (void)state;
    assert_int_equal(builder_new(&o, &b, &err), -EINVAL);
    o.part_power = RING_PART_POWER_MAX, o.replicas = 9;   /* 144 M slots. */
    assert_int_equal(builder_new(&o, &b, &err), -EINVAL);
    o.replicas = 8;
    assert_int_equal(builder_new(&o, &b, &err), 0);
    b = builder_free(b);
    o.replicas = 0.5;
    assert_int_equal(builder_new(&o, &b, &err), -EINVAL);
    o = (struct builder_options) { .part_power = 0, .replicas = RING_SET_MAX };
    assert_int_equal(builder_new(&o, &b, &err), 0);
    add_many(b, 1, 1, RING_SET_MAX, 1);
    assert_int_equal(rebalance(b).placed, RING_SET_MAX);
    builder_free(b);
}

static void rebalance__most_devices(void **state)
{
    struct builder    *b = new_builder(16, 1);
    struct ring_device one_more = { .id = RING_NONE, .weight = 1, .host = "h", .name = "d" };
    struct error       err;

    (void)state;
    for (uint32_t i = 0; i < RING_DEVICES_MAX; i++)
        add(b, 1, i % 7, i / 50, i, 1);
    assert_int_equal(builder_add(b, &one_more, NULL, &err), -E_LIMIT);
    assert_int_equal(rebalance(b).placed, 65536);
    for (uint32_t i = 0; i < 3; i++)
        assert_in_range(parts_of(b, (uint16_t)i), 1, 2);
    builder_free(b);
}

static void file__round_trip_keeps_everything(void **state)
{
    struct builder *b = new_builder(7, 2.5), *c = NULL;
    uint8_t        *data, *again;
    size_t          size, again_size;
    struct error    err;

    (void)state;
    add_many(b, 3, 2, 2, 100);
    rebalance(b);
    assert_int_equal(builder_remove(b, 3, &err), 0);
    assert_int_equal(builder_encode(b, &data, &size, &err), 0);
    assert_int_equal(builder_parse(slice_of(data, size), &c, &err), 0);
    assert_int_equal(builder_encode(c, &again, &again_size, &err), 0);
    assert_int_equal(size, again_size);
    assert_memory_equal(data, again, size);
    assert_string_equal(builder_device(c, 4)->host, builder_device(b, 4)->host);
    assert_int_equal(rebalance(b).placed, rebalance(c).placed);
    free(data);
    free(again);
    builder_free(b);
    builder_free(c);
}

static void file__every_damaged_byte_and_every_cut_is_noticed(void **state)
{
    struct builder *b = new_builder(3, 2), *c = NULL;
    uint8_t        *data;
    size_t          size;
    struct error    err;

    (void)state;
    add_many(b, 2, 1, 2, 100);
    rebalance(b);
    assert_int_equal(builder_encode(b, &data, &size, &err), 0);
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 1u << (i % 8);
        assert_int_equal(builder_parse(slice_of(data, size), &c, &err), -E_CORRUPT);
        data[i] ^= 1u << (i % 8);
        assert_int_equal(builder_parse(slice_of(data, i), &c, &err), -E_CORRUPT);
    }
    assert_null(c);
    free(data);
    builder_free(b);
}

/* A random history. What holds after each step, whatever it was: nobody twice
 * in a set, all placed, at most one replica of a partition taken from a device
 * that stays, and nothing left to do once two rebalances found nothing. */
static void random_history(uint64_t seed)
{
    static const double replicas[] = { 1, 2, 2.5, 3, 3.25, 4, 6, 12 };
    struct builder     *b = new_builder(3 + tier_mix(seed) % 6, replicas[tier_mix(seed + 1) % 8]);
    struct error        err;
    uint64_t            n = seed * 1000;

    builder_set_overload(b, (double)(tier_mix(n++) % 4) * 0.1, &err);
    for (unsigned i = 0; i < 14; i++)
        add(b, 1 + tier_mix(n) % 2, 1 + tier_mix(n + 1) % 3, tier_mix(n + 2) % 4, i,
            1 + (double)(tier_mix(n + 3) % 300)), n += 4;
    for (unsigned step = 0; step < 12; step++) {
        uint16_t            *before, *after;
        uint16_t             id = (uint16_t)(tier_mix(n++) % builder_device_end(b));
        struct builder_moves moves;
        unsigned             rounds = 0;

        if (builder_device(b, id) && tier_mix(n++) % 2)
            builder_set_weight(b, id, (double)(tier_mix(n) % 3 ? 1 + tier_mix(n + 1) % 300 : 0), &err), n += 2;
        else if (builder_device(b, id) && builder_device_count(b) > 13)
            builder_remove(b, id, &err);
        else
            add(b, 1 + tier_mix(n) % 3, 1, tier_mix(n) % 5, 100 + step, 1 + (double)(tier_mix(n + 1) % 300)), n += 2;
        do {
            struct builder_rebalance how = { .now = SOME_DAY, .seed = n++ };
            int                      rc;
            before = sets_of(b);
            rc = builder_rebalance(b, &how, &moves, &err);
            if (rc == -E_UNAVAILABLE) {   /* Too many drained: an answer, too. */
                free(before);
                break;
            }
            assert_int_equal(rc, 0);
            assert_int_equal(builder_validate(b, &err), 0);
            assert_int_equal(report_of(b).unplaced, 0);
            assert_int_equal(report_of(b).same_device, 0);
            after = sets_of(b);
            for (uint32_t p = 0; p < partitions_of(b); p++)
                assert_in_range(changed_in(before, after, p, b), 0, 1);
            free(before);
            free(after);
        } while (moves.moved && ++rounds < 40);
        if (rounds >= 40)
            fail_msg("seed %llu: never at rest", (unsigned long long)seed);
    }
    builder_free(b);
}

static void rebalance__random_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        random_history(seed);
}

/* On a fresh ring the targets are met exactly, however odd the weights. */
static void rebalance__fresh_rings_are_exact(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct builder *b = new_builder(8, 1 + (double)(tier_mix(seed) % 12) / 4);
        uint64_t        n = seed << 20;
        double         *share;
        uint32_t       *parts;
        struct error    err;

        for (unsigned i = 0; i < 20; i++)
            add(b, 1, tier_mix(n) % 4, tier_mix(n + 1) % 3, i, 1 + (double)(tier_mix(n + 2) % 50)), n += 3;
        rebalance(b);
        share = calloc(20, sizeof(*share));
        parts = calloc(20, sizeof(*parts));
        assert_int_equal(builder_shares(b, share, &err), 0);
        builder_parts(b, parts);
        for (unsigned i = 0; i < 20; i++)
            if (fabs(parts[i] - share[i]) >= 1)
                fail_msg("seed %llu: device %u has %u of %f", (unsigned long long)seed, i, parts[i], share[i]);
        free(share);
        free(parts);
        builder_free(b);
    }
}

static void ring_make__lists_what_moves_as_joining(void **state)
{
    struct builder *b = new_builder(6, 3);
    struct ring    *first = NULL, *joint = NULL, *last = NULL;
    struct ring_set old, set;
    uint16_t        now[RING_SET_MAX];
    uint64_t        moving = 0;
    struct error    err;

    (void)state;
    assert_int_equal(ring_make(b, 1, NULL, &first, &err), -EINVAL);   /* Not placed. */
    add_many(b, 3, 2, 1, 100);
    rebalance(b);
    assert_int_equal(ring_make(b, 1, NULL, &first, &err), 0);
    assert_int_equal(ring_moving(first), 0);
    builder_remove(b, 2, &err);
    rebalance(b);
    assert_int_equal(ring_make(b, 1, first, &joint, &err), -EINVAL);   /* Epochs only grow. */
    assert_int_equal(ring_make(b, 2, first, &joint, &err), 0);
    assert_non_null(ring_device(joint, 2));   /* Still holds data, or did. */
    assert_true(ring_device(joint, 2)->weight == 0);
    assert_int_equal(ring_settle(joint, 3, NULL, &last, &err), 0);
    assert_int_equal(ring_moving(last), 0);
    for (uint32_t p = 0; p < 64; p++) {
        unsigned count = builder_set(b, p, now);
        ring_lookup(first, p, &old);
        ring_lookup(joint, p, &set);
        assert_int_equal(set.epoch, 2);
        for (unsigned r = 0; r < count; r++) {
            assert_int_equal(set.device[r], old.device[r]);
            assert_int_equal(set.joining[r], old.device[r] == now[r] ? RING_NONE : now[r]);
            moving += set.joining[r] != RING_NONE;
        }
        ring_lookup(last, p, &set);
        for (unsigned r = 0; r < count; r++)
            assert_int_equal(set.device[r], now[r]);
    }
    assert_int_equal(ring_moving(joint), moving);
    assert_true(moving > 0);
    ring_unref(first);
    ring_unref(joint);
    ring_unref(last);
    builder_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rebalance__fills_every_slot_once_and_evenly),
        cmocka_unit_test(rebalance__without_change_moves_nothing),
        cmocka_unit_test(rebalance__same_seed_same_result),
        cmocka_unit_test(rebalance__fractional_replicas_cover_part_of_the_partitions),
        cmocka_unit_test(set_replicas__up_places_only_the_new_slots_down_drops_them),
        cmocka_unit_test(rebalance__weightless_device_gets_nothing_and_is_drained),
        cmocka_unit_test(rebalance__fewer_devices_than_replicas_is_refused_unchanged),
        cmocka_unit_test(rebalance__single_host_with_just_enough_devices),
        cmocka_unit_test(rebalance__regions_before_zones),
        cmocka_unit_test(rebalance__new_zone_takes_one_replica_of_each_partition),
        cmocka_unit_test(rebalance__one_replica_at_a_time_even_if_two_should_move),
        cmocka_unit_test(rebalance__min_part_hours_keeps_partitions_at_rest),
        cmocka_unit_test(remove__is_placed_anew_at_once_despite_rest),
        cmocka_unit_test(overload__trades_balance_for_dispersion_within_its_limit),
        cmocka_unit_test(add__refuses_what_is_out_of_bounds),
        cmocka_unit_test(new__bounds_of_options),
        cmocka_unit_test(rebalance__most_devices),
        cmocka_unit_test(file__round_trip_keeps_everything),
        cmocka_unit_test(file__every_damaged_byte_and_every_cut_is_noticed),
        cmocka_unit_test(rebalance__random_histories),
        cmocka_unit_test(rebalance__fresh_rings_are_exact),
        cmocka_unit_test(ring_make__lists_what_moves_as_joining),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
