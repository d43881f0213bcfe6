/* tests/proxy/object/checksum_test.c - check values of the algorithms, in any pieces, combined, as text. */
#include "proxy/object/checksum.h"

#include <stdlib.h>

#include "tests/lib/test.h"

static void text_of(enum checksum_kind kind, const void *data, size_t size, size_t step, char out[CHECKSUM_TEXT_MAX])
{
    struct checksum sum;
    uint8_t         value[CHECKSUM_BYTES_MAX];

    checksum_init(&sum, kind);
    for (size_t at = 0; at < size; at += step)
        checksum_add(&sum, (const uint8_t *)data + at, size - at < step ? size - at : step);
    checksum_end(&sum, value);
    checksum_text(out, slice_of(value, checksum_size(kind)), 0);
}

static void checksum__of_the_check_string(void **unused)
{
    static const char *const expect[CHECKSUM_END_] = {
        [CHECKSUM_CRC32] = "y/Q5Jg==", [CHECKSUM_CRC32C] = "4waSgw==", [CHECKSUM_CRC64NVME] = "rosUhgp5mIg=",
        [CHECKSUM_SHA1] = "98O8HYCOBHMq32eZZczDTKeuNEE=",
        [CHECKSUM_SHA256] = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
    };
    char text[CHECKSUM_TEXT_MAX];

    (void)unused;
    for (int kind = 1; kind < CHECKSUM_END_; kind++)
        for (size_t step = 1; step < 11; step++) {
            text_of((enum checksum_kind)kind, "123456789", 9, step, text);
            assert_string_equal(text, expect[kind]);
        }
}

/* Values that the public S3 test suite knows. */
static void checksum__of_five_mebibytes_of_a_letter(void **unused)
{
    static const struct {
        enum checksum_kind kind;
        const char        *part[3], *whole;
    } cases[] = {
        { CHECKSUM_CRC64NVME, { "L/E4WYn8v98=", "xW1l19VobYM=", "cK5MnNaWrW4=" }, "i+6LR0y3eFo=" },
        { CHECKSUM_CRC32, { "JRTCyQ==", "QoZTGg==", "YAgjqw==" }, "WgDhBQ==" },
        { CHECKSUM_CRC32C, { "MDaLrw==", "TH4EZg==", "Z7mBIQ==" }, "xU+Krw==" },
        { CHECKSUM_SHA1, { "iIaTCGbm+vdVjNqIMF2S0T7ibMk=", "LS/TJ32bAVKEwRu+sE3X7awh/lk=",
                           "6DDwovUaHwrKNXDMzOGbuvj9kxI=" }, "sizjvY4eud3MrcHdZM3cQ/ol39o=-3" },
        { CHECKSUM_SHA256, { "275VF5loJr1YYawit0XSHREhkFXYkkPKGuoK0x9VKxI=",
                             "mrHwOfjTL5Zwfj74F05HOQGLdUb7E5szdCbxgUSq6NM=",
                             "Vw7oB/nKQ5xWb3hNgbyfkvDiivl+U+/Dft48nfJfDow=" },
          "uWBwpe1dxI4Vw8Gf0X9ynOdw/SS6VBzfWm9giiv1sf4=-3" },
    };
    enum { SIZE = 5 * 1024 * 1024 };
    uint8_t *data = malloc(SIZE);
    char     text[CHECKSUM_TEXT_MAX];

    (void)unused;
    assert_non_null(data);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct checksum composite;
        uint8_t         whole[CHECKSUM_BYTES_MAX], part[CHECKSUM_BYTES_MAX];
        size_t          size = checksum_size(cases[i].kind);
        bool            crc = checksum_is_crc(cases[i].kind);

        checksum_init(&composite, cases[i].kind);
        for (int p = 0; p < 3; p++) {
            memset(data, 'A' + p, SIZE);
            text_of(cases[i].kind, data, SIZE, 1000003, text);
            assert_string_equal(text, cases[i].part[p]);
            assert_int_equal(checksum_parse(cases[i].kind, slice_str(text), part, NULL), 0);
            if (p == 0)
                memcpy(whole, part, size);
            else
                checksum_combine(cases[i].kind, whole, part, SIZE);
            checksum_add(&composite, part, size);
        }
        if (!crc)
            checksum_end(&composite, whole);
        checksum_text(text, slice_of(whole, size), crc ? 0 : 3);
        assert_string_equal(text, cases[i].whole);
    }
    free(data);
}

static void crc64__folding_is_the_plain_way(void **unused)
{
    uint8_t data[700];

    (void)unused;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 167 + i / 7);
    for (size_t size = 0; size < 600; size++) {
        struct checksum sum;
        uint8_t         value[CHECKSUM_BYTES_MAX], expect[8];
        uint64_t        plain = ~checksum_crc64_plain(UINT64_MAX, data + size % 17, size);

        checksum_init(&sum, CHECKSUM_CRC64NVME);
        checksum_add(&sum, data + size % 17, size);
        checksum_end(&sum, value);
        for (int i = 0; i < 8; i++)
            expect[i] = (uint8_t)(plain >> (56 - 8 * i));
        assert_memory_equal(value, expect, 8);
    }
}

static void combine__any_lengths(void **unused)
{
    uint8_t data[300];

    (void)unused;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31 + 5);
    for (int kind = 1; kind < CHECKSUM_END_; kind++)
        for (size_t cut = 0; checksum_is_crc((enum checksum_kind)kind) && cut <= sizeof data; cut++) {
            struct checksum a, b, all;
            uint8_t         x[CHECKSUM_BYTES_MAX], y[CHECKSUM_BYTES_MAX], z[CHECKSUM_BYTES_MAX];

            checksum_init(&a, (enum checksum_kind)kind);
            checksum_init(&b, (enum checksum_kind)kind);
            checksum_init(&all, (enum checksum_kind)kind);
            checksum_add(&a, data, cut);
            checksum_add(&b, data + cut, sizeof data - cut);
            checksum_add(&all, data, sizeof data);
            checksum_end(&a, x);
            checksum_end(&b, y);
            checksum_end(&all, z);
            checksum_combine((enum checksum_kind)kind, x, y, sizeof data - cut);
            assert_memory_equal(x, z, checksum_size((enum checksum_kind)kind));
        }
}

static void base64__there_and_back_and_strict(void **unused)
{
    static const char *const wrong[] = { "A", "AA", "AAA", "A===", "AB==", "AAB=", "AA=A", "A A=", "====", "AAA\n",
                                         "AA-_", "=AAA", "AAAAA" };
    uint8_t data[64], back[64];
    char    text[BASE64_SIZE(64)];
    size_t  size;

    (void)unused;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 97);
    for (size_t n = 0; n <= sizeof data; n++) {
        assert_int_equal(base64_encode(text, data, n) + 1, BASE64_SIZE(n));
        assert_int_equal(base64_decode(back, n, slice_str(text), &size), 0);
        assert_int_equal(size, n);
        assert_memory_equal(back, data, n);
        if (n)
            assert_int_equal(base64_decode(back, n - 1, slice_str(text), &size), -E_LIMIT);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(base64_decode(back, sizeof back, slice_str(wrong[i]), &size), -E_SYNTAX);
}

static void parse__sizes_and_composites(void **unused)
{
    uint8_t  value[CHECKSUM_BYTES_MAX];
    uint32_t parts = 77;

    (void)unused;
    assert_int_equal(checksum_parse(CHECKSUM_CRC32, SLICE("y/Q5Jg=="), value, NULL), 0);
    assert_int_equal(checksum_parse(CHECKSUM_CRC32, SLICE("y/Q5Jg==-12"), value, &parts), 0);
    assert_int_equal(parts, 12);
    assert_int_equal(checksum_parse(CHECKSUM_CRC32, SLICE("y/Q5Jg==-12"), value, NULL), -E_SYNTAX);
    assert_int_equal(checksum_parse(CHECKSUM_CRC32, SLICE("y/Q5Jg==-"), value, &parts), -E_SYNTAX);
    assert_int_equal(checksum_parse(CHECKSUM_CRC32, SLICE("y/Q5Jg==-01"), value, &parts), -E_SYNTAX);
    assert_int_equal(checksum_parse(CHECKSUM_CRC32, SLICE("y/Q5Jg==-1x"), value, &parts), -E_SYNTAX);
    assert_int_equal(checksum_parse(CHECKSUM_CRC32, SLICE("y/Q5Jg==-123456"), value, &parts), -E_SYNTAX);
    assert_int_equal(checksum_parse(CHECKSUM_CRC64NVME, SLICE("y/Q5Jg=="), value, &parts), -E_SYNTAX);
    assert_int_equal(checksum_parse(CHECKSUM_CRC32, SLICE(""), value, &parts), -E_SYNTAX);
    assert_int_equal(checksum_parse(CHECKSUM_NONE, SLICE(""), value, &parts), -E_SYNTAX);
    assert_int_equal(checksum_parse(CHECKSUM_SHA256, SLICE("bad"), value, &parts), -E_SYNTAX);
    assert_int_equal(checksum_kind_of(SLICE("crc32c")), CHECKSUM_CRC32C);
    assert_int_equal(checksum_kind_of(SLICE("CRC64NVME")), CHECKSUM_CRC64NVME);
    assert_int_equal(checksum_kind_of(SLICE("MD5")), CHECKSUM_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum__of_the_check_string), cmocka_unit_test(checksum__of_five_mebibytes_of_a_letter),
        cmocka_unit_test(crc64__folding_is_the_plain_way), cmocka_unit_test(combine__any_lengths),
        cmocka_unit_test(base64__there_and_back_and_strict), cmocka_unit_test(parse__sizes_and_composites),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
