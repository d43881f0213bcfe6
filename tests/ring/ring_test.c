/* Goal: a reader finds what the ring says, in constant time, and no bytes from
 * outside can make it do anything else.
 * Method: rings by hand; damaged, cut, forged and too new files; handoff walks. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ring/builder.h"
#include "ring/ring.h"

/* 'zones' zones of 'hosts' hosts of 'disks' devices, 3 replicas. */
static struct ring *new_ring(unsigned part_power, uint32_t zones, uint32_t hosts, uint32_t disks)
{
    struct builder_options   options = { .part_power = (uint8_t)part_power, .replicas = 3, .hash_seed = 99 };
    struct builder_rebalance how = { .now = 1700000000, .seed = 1 };
    struct builder          *b = NULL;
    struct ring             *ring = NULL;
    struct error             err;

    assert_int_equal(builder_new(&options, &b, &err), 0);
    for (uint32_t i = 0; i < zones * hosts * disks; i++) {
        char               host[32], name[32];
        struct ring_device d = { .id = RING_NONE, .port = 6200, .region = 1, .zone = i % zones, .weight = 100,
                                 .node = i % (zones * hosts), .host = host, .name = name };
        snprintf(host, sizeof(host), "h%u", i % (zones * hosts));
        snprintf(name, sizeof(name), "d%u", i);
        assert_int_equal(builder_add(b, &d, NULL, &err), 0);
    }
    assert_int_equal(builder_rebalance(b, &how, NULL, &err), 0);
    assert_int_equal(ring_make(b, 5, NULL, &ring, &err), 0);
    builder_free(b);
    return ring;
}

static const struct ring_device TWO[] = {
    { .id = 4, .port = 1, .region = 1, .zone = 1, .node = 7, .weight = 1, .host = "a", .name = "x" },
    { .id = 2, .port = 2, .region = 1, .zone = 2, .node = 8, .weight = 2, .host = "b", .name = "y" },
};

static struct ring_spec small_spec(const uint16_t *device, const uint16_t *joining)
{
    return (struct ring_spec) { .epoch = 3, .part_power = 1, .replicas = 2, .full = 1, .devices = TWO,
                                .device_count = 2, .device = device, .joining = joining };
}

static void ring_lookup__gives_the_slots_of_the_partition(void **state)
{
    const uint16_t   device[] = { 4, 2, 2, RING_NONE };   /* 1.5 replicas. */
    struct ring_spec spec = small_spec(device, NULL);
    struct ring     *ring = NULL;
    struct ring_set  set;
    struct error     err;

    (void)state;
    assert_int_equal(ring_new(&spec, &ring, &err), 0);
    ring_lookup(ring, 0, &set);
    assert_int_equal(set.epoch, 3);
    assert_int_equal(set.count, 2);
    assert_int_equal(set.device[0], 4);
    assert_int_equal(set.device[1], 2);
    assert_int_equal(set.joining[1], RING_NONE);
    ring_lookup(ring, 1, &set);
    assert_int_equal(set.count, 1);
    assert_int_equal(set.device[0], 2);
    assert_int_equal(ring_device(ring, 4)->node, 7);
    assert_string_equal(ring_device(ring, 2)->host, "b");
    assert_null(ring_device(ring, 3));
    assert_null(ring_device(ring, RING_NONE));
    assert_int_equal(ring_device_end(ring), 5);
    assert_ptr_equal(ring_ref(ring), ring);
    assert_null(ring_unref(ring));
    assert_null(ring_unref(ring));
    assert_null(ring_unref(NULL));
}

static void ring_new__refuses_what_cannot_be(void **state)
{
    const uint16_t   twice[] = { 4, 4, 2, RING_NONE }, unknown[] = { 4, 3, 2, RING_NONE }, good[] = { 4, 2, 2, RING_NONE };
    const uint16_t   clash[] = { 2, RING_NONE, RING_NONE, RING_NONE }, swap[] = { 2, 4, RING_NONE, RING_NONE };
    const uint16_t  *bad[] = { twice, unknown };
    struct ring_spec spec;
    struct ring     *ring = NULL;
    struct error     err;

    (void)state;
    for (int i = 0; i < 2; i++) {
        spec = small_spec(bad[i], NULL);
        assert_int_equal(ring_new(&spec, &ring, &err), -EINVAL);
    }
    spec = small_spec(good, clash);   /* Device 2 would be there twice. */
    assert_int_equal(ring_new(&spec, &ring, &err), -EINVAL);
    spec = small_spec(good, NULL), spec.replicas = RING_SET_MAX + 1;
    assert_int_equal(ring_new(&spec, &ring, &err), -EINVAL);
    spec = small_spec(good, NULL), spec.part_power = RING_PART_POWER_MAX + 1;
    assert_int_equal(ring_new(&spec, &ring, &err), -EINVAL);
    spec = small_spec(good, NULL), spec.full = 3;
    assert_int_equal(ring_new(&spec, &ring, &err), -EINVAL);
    assert_null(ring);
    spec = small_spec(good, swap);   /* Two that change places are no clash. */
    assert_int_equal(ring_new(&spec, &ring, &err), 0);
    assert_int_equal(ring_moving(ring), 2);
    ring_unref(ring);
}

static void ring_partition__spreads_keys_by_top_bits_and_seed(void **state)
{
    struct ring *ring = new_ring(6, 3, 1, 1), *one = new_ring(0, 3, 1, 1);
    unsigned     seen[64] = { 0 };

    (void)state;
    for (uint32_t i = 0; i < 6400; i++) {
        struct slice key = slice_of(&i, sizeof(i));
        uint32_t     p = ring_partition(ring, key);
        assert_in_range(p, 0, 63);
        assert_int_equal(p, XXH3_64bits_withSeed(&i, sizeof(i), ring_hash_seed(ring)) >> 58);
        assert_int_equal(ring_partition(one, key), 0);
        seen[p]++;
    }
    for (int p = 0; p < 64; p++)
        assert_in_range(seen[p], 50, 150);
    assert_in_range(ring_partition(ring, SLICE_NONE), 0, 63);
    ring_unref(ring);
    ring_unref(one);
}

static void ring_settle__partition_by_partition(void **state)
{
    struct ring_spec spec = { .epoch = 3, .part_power = 2, .replicas = 1, .full = 4, .devices = TWO, .device_count = 2 };
    const uint16_t   device4[] = { 4, 4, 2, 2 }, joining4[] = { 2, 2, RING_NONE, RING_NONE };
    const uint8_t    done[] = { 0x2 };
    struct ring     *ring = NULL, *next = NULL;
    struct ring_set  set;
    struct error     err;

    (void)state;
    spec.device = device4, spec.joining = joining4;
    assert_int_equal(ring_new(&spec, &ring, &err), 0);
    assert_int_equal(ring_settle(ring, 3, done, &next, &err), -EINVAL);
    assert_int_equal(ring_settle(ring, 4, done, &next, &err), 0);
    assert_int_equal(ring_moving(next), 1);
    ring_lookup(next, 0, &set);
    assert_int_equal(set.device[0], 4);
    assert_int_equal(set.joining[0], 2);
    ring_lookup(next, 1, &set);
    assert_int_equal(set.device[0], 2);
    assert_int_equal(set.joining[0], RING_NONE);
    ring_unref(ring);
    ring_unref(next);
}

static void ring_file__round_trip(void **state)
{
    const uint16_t   device[] = { 4, 2, 2, RING_NONE }, joining[] = { 2, 4, RING_NONE, RING_NONE };
    struct ring_spec spec = small_spec(device, joining);
    struct ring     *ring = NULL, *back = NULL;
    uint8_t         *data, *again;
    size_t           size, again_size;
    struct error     err;

    (void)state;
    assert_int_equal(ring_new(&spec, &ring, &err), 0);
    assert_int_equal(ring_encode(ring, &data, &size, &err), 0);
    assert_int_equal(ring_parse(slice_of(data, size), &back, &err), 0);
    assert_int_equal(ring_encode(back, &again, &again_size, &err), 0);
    assert_int_equal(size, again_size);
    assert_memory_equal(data, again, size);
    assert_int_equal(ring_moving(back), 2);
    free(data);
    free(again);
    ring_unref(ring);
    ring_unref(back);
}

static void ring_file__every_damaged_byte_and_every_cut_is_noticed(void **state)
{
    struct ring *ring = new_ring(3, 3, 1, 2), *back = NULL;
    uint8_t     *data;
    size_t       size;
    struct error err;

    (void)state;
    assert_int_equal(ring_encode(ring, &data, &size, &err), 0);
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 1u << (i % 8);
        assert_int_equal(ring_parse(slice_of(data, size), &back, &err), -E_CORRUPT);
        assert_int_equal(err.code, -E_CORRUPT);
        data[i] ^= 1u << (i % 8);
        assert_int_equal(ring_parse(slice_of(data, i), &back, NULL), -E_CORRUPT);
    }
    assert_null(back);
    free(data);
    ring_unref(ring);
}

/* Makes the checksum right again: what a forger, or a newer program, would do. */
static void seal(uint8_t *data, size_t size)
{
    XXH3_state_t      *state = XXH3_createState();
    XXH128_canonical_t sum;

    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, data, 24);
    XXH3_128bits_update(state, data + 40, size - 40);
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(state));
    memcpy(data + 24, &sum, sizeof(sum));
    XXH3_freeState(state);
}

static void ring_file__newer_format_is_not_damage(void **state)
{
    struct ring *ring = new_ring(3, 3, 1, 1), *back = NULL;
    uint8_t     *data;
    size_t       size;
    struct error err;

    (void)state;
    assert_int_equal(ring_encode(ring, &data, &size, &err), 0);
    data[8] = 2;
    seal(data, size);
    assert_int_equal(ring_parse(slice_of(data, size), &back, &err), -E_TOO_NEW);
    assert_non_null(strstr(err.text, "upgrade"));
    free(data);
    ring_unref(ring);
}

static void ring_file__forged_bytes_are_refused_or_harmless(void **state)
{
    struct ring *ring = new_ring(3, 3, 1, 1);
    uint8_t     *data;
    size_t       size;
    struct error err;

    (void)state;
    assert_int_equal(ring_encode(ring, &data, &size, &err), 0);
    for (size_t i = 40; i < size; i++)
        for (int value = 0; value < 256; value += 15) {
            struct ring *back = NULL;
            uint8_t      old = data[i];
            data[i] = (uint8_t)value;
            seal(data, size);
            if (ring_parse(slice_of(data, size), &back, &err) == 0)
                for (uint32_t p = 0; p < ring_partitions(back); p++) {
                    struct ring_set set;
                    ring_lookup(back, p, &set);
                    for (unsigned r = 0; r < set.count; r++)
                        assert_non_null(ring_device(back, set.device[r]));
                }
            ring_unref(back);
            data[i] = old;
        }
    free(data);
    ring_unref(ring);
}

static void ring_handoff__yields_each_other_device_once_best_dispersed_first(void **state)
{
    struct ring *ring = new_ring(4, 5, 2, 3);   /* 30 devices on 10 hosts in 5 zones. */

    (void)state;
    for (uint32_t p = 0; p < 16; p++) {
        struct ring_handoff walk, again;
        struct ring_set     set;
        bool                used[30] = { false }, zone[5] = { false }, host[10] = { false };
        uint16_t            id;
        unsigned            count = 0;

        ring_lookup(ring, p, &set);
        for (unsigned r = 0; r < 3; r++)
            used[set.device[r]] = zone[set.device[r] % 5] = host[set.device[r] % 10] = true;
        ring_handoff_init(&walk, ring, p);
        ring_handoff_init(&again, ring, p);
        while ((id = ring_handoff_next(&walk)) != RING_NONE) {
            assert_int_equal(ring_handoff_next(&again), id);
            assert_false(used[id]);
            if (count < 2)
                assert_false(zone[id % 5]);
            if (count < 7)
                assert_false(host[id % 10]);
            used[id] = zone[id % 5] = host[id % 10] = true;
            count++;
        }
        assert_int_equal(count, 27);
        assert_int_equal(ring_handoff_next(&walk), RING_NONE);
    }
    ring_unref(ring);
}

static void ring_handoff__ends_at_its_limit_and_with_nobody_left(void **state)
{
    struct ring        *many = new_ring(2, 3, 10, 4), *few = new_ring(2, 3, 1, 1);
    struct ring_handoff walk;

    (void)state;
    ring_handoff_init(&walk, many, 1);
    for (int i = 0; i < RING_HANDOFF_MAX; i++)
        assert_int_not_equal(ring_handoff_next(&walk), RING_NONE);
    assert_int_equal(ring_handoff_next(&walk), RING_NONE);
    ring_handoff_init(&walk, few, 1);
    assert_int_equal(ring_handoff_next(&walk), RING_NONE);
    ring_unref(many);
    ring_unref(few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_lookup__gives_the_slots_of_the_partition),
        cmocka_unit_test(ring_new__refuses_what_cannot_be),
        cmocka_unit_test(ring_partition__spreads_keys_by_top_bits_and_seed),
        cmocka_unit_test(ring_settle__partition_by_partition),
        cmocka_unit_test(ring_file__round_trip),
        cmocka_unit_test(ring_file__every_damaged_byte_and_every_cut_is_noticed),
        cmocka_unit_test(ring_file__newer_format_is_not_damage),
        cmocka_unit_test(ring_file__forged_bytes_are_refused_or_harmless),
        cmocka_unit_test(ring_handoff__yields_each_other_device_once_best_dispersed_first),
        cmocka_unit_test(ring_handoff__ends_at_its_limit_and_with_nobody_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
