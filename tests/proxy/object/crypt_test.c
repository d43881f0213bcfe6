/* tests/proxy/object/crypt_test.c - frames and wrapped keys of encrypted objects. */
#include "tests/lib/test.h"

#include <stdlib.h>

#include "proxy/object/crypt.h"

static struct crypt_key key_of(uint8_t seed)
{
    struct crypt_key key;

    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (uint8_t)(seed * 31 + i);
    return key;
}

static uint8_t *bytes_of(size_t size)
{
    uint8_t *bytes = malloc(size + 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    return bytes;
}

static const uint64_t sizes[] = { 0, 1, 16, CRYPT_FRAME_BYTES - 1, CRYPT_FRAME_BYTES, CRYPT_FRAME_BYTES + 1,
                                  3 * CRYPT_FRAME_BYTES, 3 * CRYPT_FRAME_BYTES + 17 };

static void crypt__opens_what_it_sealed_at_every_edge(void **state)
{
    struct crypt_key key = key_of(1);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t stored = crypt_stored_size(sizes[i]);
        uint8_t *plain = bytes_of(sizes[i]), *sealed = malloc(stored + 1), *back = malloc(sizes[i] + 1);

        assert_int_equal(crypt_seal(&key, 0, true, slice_of(plain, sizes[i]), sealed), 0);
        assert_int_equal(crypt_open(&key, 0, true, slice_of(sealed, stored), back), 0);
        assert_memory_equal(plain, back, sizes[i]);
        assert_int_equal(crypt_plain_size(stored), sizes[i]);
        if (sizes[i] >= 16)
            assert_memory_not_equal(plain, sealed, 16);
        free(plain);
        free(sealed);
        free(back);
    }
}

static void crypt__frames_in_the_middle_open_by_themselves(void **state)
{
    struct crypt_key key = key_of(2);
    uint64_t         size = 3 * CRYPT_FRAME_BYTES + 5, stored = crypt_stored_size(size);
    uint8_t         *plain = bytes_of(size), *sealed = malloc(stored), *back = malloc(size);

    (void)state;
    assert_int_equal(crypt_seal(&key, 0, false, slice_of(plain, 2 * CRYPT_FRAME_BYTES), sealed), 0);
    assert_int_equal(crypt_seal(&key, 2, true, slice_of(plain + 2 * CRYPT_FRAME_BYTES, CRYPT_FRAME_BYTES + 5),
                                sealed + 2 * CRYPT_SEALED_BYTES), 0);
    assert_int_equal(crypt_open(&key, 1, false, slice_of(sealed + CRYPT_SEALED_BYTES, CRYPT_SEALED_BYTES), back), 0);
    assert_memory_equal(back, plain + CRYPT_FRAME_BYTES, CRYPT_FRAME_BYTES);
    assert_int_equal(crypt_open(&key, 3, true, slice_of(sealed + 3 * CRYPT_SEALED_BYTES, 5 + CRYPT_TAG_BYTES), back), 0);
    assert_memory_equal(back, plain + 3 * CRYPT_FRAME_BYTES, 5);
    free(plain);
    free(sealed);
    free(back);
}

static void crypt__refuses_what_was_changed_moved_or_cut(void **state)
{
    struct crypt_key key = key_of(3), other = key_of(4);
    uint64_t         size = 2 * CRYPT_FRAME_BYTES, stored = crypt_stored_size(size);
    uint8_t         *plain = bytes_of(size), *sealed = malloc(stored), *back = malloc(size);

    (void)state;
    assert_int_equal(crypt_seal(&key, 0, true, slice_of(plain, size), sealed), 0);
    assert_int_equal(crypt_open(&other, 0, true, slice_of(sealed, stored), back), -E_CORRUPT);
    assert_int_equal(crypt_open(&key, 1, false, slice_of(sealed, CRYPT_SEALED_BYTES), back), -E_CORRUPT);
    /* Cut at a frame's border: the first frame is not the last. */
    assert_int_equal(crypt_open(&key, 0, true, slice_of(sealed, CRYPT_SEALED_BYTES), back), -E_CORRUPT);
    assert_int_equal(crypt_open(&key, 0, true, slice_of(sealed, stored - 1), back), -E_CORRUPT);
    assert_int_equal(crypt_open(&key, 0, true, slice_of(sealed, CRYPT_TAG_BYTES), back), -E_CORRUPT);
    for (size_t at = 0; at < stored; at += stored / 7) {
        sealed[at] ^= 1;
        assert_int_equal(crypt_open(&key, 0, true, slice_of(sealed, stored), back), -E_CORRUPT);
        sealed[at] ^= 1;
    }
    assert_int_equal(crypt_seal(&key, 0, false, slice_of(plain, 5), sealed), -EINVAL);
    free(plain);
    free(sealed);
    free(back);
}

static void crypt__stored_sizes_that_cannot_be_are_told(void **state)
{
    (void)state;
    assert_true(crypt_plain_size(1) == UINT64_MAX);
    assert_true(crypt_plain_size(CRYPT_TAG_BYTES) == UINT64_MAX);
    assert_true(crypt_plain_size(CRYPT_SEALED_BYTES + 3) == UINT64_MAX);
    assert_int_equal(crypt_plain_size(CRYPT_SEALED_BYTES), CRYPT_FRAME_BYTES);
}

static void crypt__a_wrapped_key_opens_only_with_its_key_and_context(void **state)
{
    struct crypt_key master = key_of(5), wrong = key_of(6), data = key_of(7), back = key_of(0);
    uint8_t          nonce[CRYPT_NONCE_BYTES] = { 9 }, wrapped[CRYPT_WRAPPED_BYTES];
    struct slice     context = SLICE("shard/name");

    (void)state;
    assert_int_equal(crypt_wrap(&master, nonce, context, &data, wrapped), 0);
    assert_int_equal(crypt_unwrap(&master, context, slice_of(wrapped, sizeof wrapped), &back), 0);
    assert_memory_equal(back.bytes, data.bytes, sizeof data.bytes);
    back = key_of(0);
    assert_int_equal(crypt_unwrap(&wrong, context, slice_of(wrapped, sizeof wrapped), &back), -E_UNAUTHORIZED);
    assert_int_equal(crypt_unwrap(&master, SLICE("shard/other"), slice_of(wrapped, sizeof wrapped), &back), -E_UNAUTHORIZED);
    assert_int_equal(crypt_unwrap(&master, context, slice_of(wrapped, sizeof wrapped - 1), &back), -E_UNAUTHORIZED);
    wrapped[20] ^= 1;
    assert_int_equal(crypt_unwrap(&master, context, slice_of(wrapped, sizeof wrapped), &back), -E_UNAUTHORIZED);
    assert_memory_equal(back.bytes, key_of(0).bytes, sizeof back.bytes);   /* Untouched on failure. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crypt__opens_what_it_sealed_at_every_edge),
        cmocka_unit_test(crypt__frames_in_the_middle_open_by_themselves),
        cmocka_unit_test(crypt__refuses_what_was_changed_moved_or_cut),
        cmocka_unit_test(crypt__stored_sizes_that_cannot_be_are_told),
        cmocka_unit_test(crypt__a_wrapped_key_opens_only_with_its_key_and_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
