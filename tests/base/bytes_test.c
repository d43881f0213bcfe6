/* tests/base/bytes_test.c */
#include "base/bytes.h"

#include "tests/lib/test.h"

static void writer_and_reader__agree(void **state)
{
    uint8_t             data[64];
    struct bytes_writer w;
    struct bytes_reader r;

    (void)state;
    bytes_writer_init(&w, data, sizeof data);
    bytes_put_u8(&w, 1);
    bytes_put_u16le(&w, 0x0203);
    bytes_put_u32be(&w, 0x04050607);
    bytes_put_u64le(&w, UINT64_C(0x08090a0b0c0d0e0f));
    bytes_put_slice32(&w, SLICE("abc"));
    bytes_put_slice16(&w, SLICE_NONE);
    assert_false(w.failed);
    assert_int_equal(data[1], 3);   /* Little-endian. */
    assert_int_equal(data[3], 4);   /* Big-endian. */
    bytes_reader_init(&r, slice_of(data, w.size));
    assert_int_equal(bytes_u8(&r), 1);
    assert_int_equal(bytes_u16le(&r), 0x0203);
    assert_int_equal(bytes_u32be(&r), 0x04050607);
    assert_true(bytes_u64le(&r) == UINT64_C(0x08090a0b0c0d0e0f));
    assert_true(slice_equal(bytes_slice32(&r, 3), SLICE("abc")));
    assert_int_equal(bytes_slice16(&r, 3).size, 0);
    assert_true(bytes_done(&r));
}

static void reader__failure_is_sticky(void **state)
{
    struct bytes_reader r;

    (void)state;
    bytes_reader_init(&r, SLICE("\1\2\3"));
    assert_int_equal(bytes_u32le(&r), 0);
    assert_true(r.failed);
    assert_int_equal(bytes_u8(&r), 0);
    assert_false(bytes_done(&r));
}

static void reader__length_over_the_limit_or_the_input_fails(void **state)
{
    struct bytes_reader r;

    (void)state;
    bytes_reader_init(&r, SLICE("\4\0\0\0abcd"));
    assert_int_equal(bytes_slice32(&r, 3).size, 0);
    assert_true(r.failed);
    bytes_reader_init(&r, SLICE("\377\377\377\377abcd"));
    assert_int_equal(bytes_slice32(&r, SIZE_MAX).size, 0);
    assert_true(r.failed);
}

static void writer__past_the_capacity_writes_nothing_more(void **state)
{
    uint8_t             data[4] = { 9, 9, 9, 9 };
    struct bytes_writer w;

    (void)state;
    bytes_writer_init(&w, data, 3);
    bytes_put_u16le(&w, 0);
    bytes_put_u16le(&w, 0);
    bytes_put_u8(&w, 0);
    assert_true(w.failed);
    assert_int_equal(w.size, 2);
    assert_int_equal(data[2], 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_and_reader__agree),
        cmocka_unit_test(reader__failure_is_sticky),
        cmocka_unit_test(reader__length_over_the_limit_or_the_input_fails),
        cmocka_unit_test(writer__past_the_capacity_writes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
