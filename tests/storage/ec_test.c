/* Erasure codes: every pattern of losses decodes, for the codes that people use. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "storage/ec.h"

static void ec__every_pattern_decodes(void **state)
{
    static const unsigned codes[][2] = { { 1, 1 }, { 2, 1 }, { 4, 2 }, { 8, 3 }, { 8, 5 }, { 10, 4 }, { 10, 6 }, { 16, 4 },
                                         { 31, 1 }, { 1, 31 }, { 16, 16 } };

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct error err = { 0 };

        assert_int_equal(ec_check(codes[i][0], codes[i][1], &err), 0);
    }
    assert_int_equal(ec_check(0, 2, NULL), -EINVAL);
    assert_int_equal(ec_check(30, 3, NULL), -EINVAL);
}

static void ec__sizes_around_a_slice(void **state)
{
    static const size_t sizes[] = { 1, 63, 64, 65, EC_SLICE_BYTES - 1, EC_SLICE_BYTES, EC_SLICE_BYTES + 1, 3 * EC_SLICE_BYTES + 77 };
    struct ec          *ec;

    (void)state;
    assert_int_equal(ec_new(4, 2, &ec), 0);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint8_t *f[6], *copy = malloc(sizes[s]);

        for (unsigned i = 0; i < 6; i++) {
            f[i] = malloc(sizes[s]);
            for (size_t j = 0; j < sizes[s]; j++)
                f[i][j] = (uint8_t)(rand() >> 3);
        }
        ec_encode(ec, f, f + 4, sizes[s]);
        for (uint32_t lost = 1; lost < 64; lost++) {
            int rc;

            if (__builtin_popcount(lost) > 2) {
                assert_int_equal(ec_rebuild(ec, f, 63 & ~lost, lost, sizes[s]), -E_UNAVAILABLE);
                continue;
            }
            memcpy(copy, f[__builtin_ctz(lost)], sizes[s]);
            for (unsigned i = 0; i < 6; i++)
                if (lost >> i & 1)
                    memset(f[i], 0xaa, i == (unsigned)__builtin_ctz(lost) ? sizes[s] : 0);
            rc = ec_rebuild(ec, f, 63 & ~lost, lost, sizes[s]);
            assert_int_equal(rc, 0);
            assert_memory_equal(copy, f[__builtin_ctz(lost)], sizes[s]);
        }
        for (unsigned i = 0; i < 6; i++)
            free(f[i]);
        free(copy);
    }
    ec_free(ec);
}

static void policy__names(void **state)
{
    static const char *const bad[] = { "", "replicated-", "replicated-0", "replicated-33", "replicated-3x", "replicated-03",
                                       "ec-4", "ec-4-", "ec-0-2", "ec-4-0", "ec-31-2", "ec-4-2-1", "EC-4-2", "ec--4-2",
                                       "replicated-99999999999999999999" };
    struct policy p;

    (void)state;
    assert_int_equal(policy_parse("replicated-3", 7, &p, NULL), 0);
    assert_true(p.index == 7 && p.k == 1 && p.m == 2 && !p.erasure);
    assert_true(policy_losses(&p) == 1 && policy_row_replicas(&p) == 3);
    assert_int_equal(policy_parse("replicated-2", 7, &p, NULL), 0);
    assert_true(policy_losses(&p) == 1 && policy_row_replicas(&p) == 3);
    assert_int_equal(policy_parse("replicated-5", 7, &p, NULL), 0);
    assert_true(policy_losses(&p) == 2 && policy_row_replicas(&p) == 5);
    assert_int_equal(policy_parse("ec-4-2", 7, &p, NULL), 0);
    assert_true(policy_losses(&p) == 2 && policy_row_replicas(&p) == 5);
    assert_int_equal(policy_parse("ec-8-3", 0, &p, NULL), 0);
    assert_true(p.k == 8 && p.m == 3 && p.erasure);
    assert_int_equal(policy_parse("ec-31-1", 0, &p, NULL), 0);
    assert_int_equal(policy_parse("replicated-1", 0, &p, NULL), 0);
    assert_true(policy_losses(&p) == 0 && policy_row_replicas(&p) == 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(policy_parse(bad[i], 0, &p, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ec__every_pattern_decodes),
        cmocka_unit_test(ec__sizes_around_a_slice),
        cmocka_unit_test(policy__names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
