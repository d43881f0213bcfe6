/* tests/identity/ec2_sign_test.c - signatures as published examples have them. */
#include <string.h>

#include "identity/private.h"
#include "tests/lib/test.h"

#define AWS_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"   /* Of the test suite of Signature Version 4. */
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char *sign(struct arena *arena, const char *text, const char *host, const char *secret, int want)
{
    json_t *json = json_loads(text, 0, NULL);
    char   *signature = arena_alloc(arena, SIGNATURE_MAX);

    assert_non_null(json);
    assert_int_equal(ec2_signature(arena, json, slice_str(host), slice_str(secret), signature), want);
    json_decref(json);
    return signature;
}

static void version_2__example_of_the_documentation(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    const char *text = "{\"verb\":\"GET\",\"path\":\"/\",\"params\":{\"Version\":\"2009-03-31\",\"AWSAccessKeyId\":"
                       "\"AKIAIOSFODNN7EXAMPLE\",\"Action\":\"DescribeJobFlows\",\"SignatureVersion\":\"2\","
                       "\"Timestamp\":\"2011-10-03T15:19:30\"}}";
    assert_string_equal(sign(&arena, text, "elasticmapreduce.amazonaws.com", AWS_SECRET, 0),
                        "i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf/Mj6vPxyYIs=");
    assert_string_not_equal(sign(&arena, text, "elasticmapreduce.amazonaws.com:80", AWS_SECRET, 0),
                            "i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf/Mj6vPxyYIs=");
    arena_done(&arena);
}

static void version_4__example_of_the_test_suite(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    const char *text = "{\"verb\":\"GET\",\"path\":\"/\",\"params\":{},\"headers\":{\"host\":\" example.amazonaws.com\","
                       "\"x-amz-date\":\"20150830T123600Z\",\"authorization\":\"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"
                       "20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=x\"},"
                       "\"body_hash\":\"" EMPTY_HASH "\"}";
    assert_string_equal(sign(&arena, text, "", SUITE_SECRET, 0),
                        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    /* In the query; from keystoneclient's signer. */
    text = "{\"verb\":\"get\",\"path\":\"/p\",\"params\":{\"X-Amz-Algorithm\":\"AWS4-HMAC-SHA256\",\"X-Amz-Credential\":"
           "\"AK/20150830/r/s/aws4_request\",\"X-Amz-Date\":\"20150830T123600Z\",\"X-Amz-SignedHeaders\":\"host\"},"
           "\"headers\":{\"Host\":\"h:1\"},\"body_hash\":\"UNSIGNED-PAYLOAD\"}";
    assert_string_equal(sign(&arena, text, "", "secret", 0),
                        "559ce3a3a636826e8cce8d5a55ef7a40eec34ec49d76fa807a2947f472cdb4f1");
    arena_done(&arena);
}

static void malformed__is_refused(void **state)
{
    static const char *const texts[] = {
        "{}", "[]", "{\"params\":{\"SignatureVersion\":\"2\"}}", "{\"params\":{\"SignatureVersion\":\"3\"}}",
        "{\"params\":{\"SignatureVersion\":\"2\",\"a\":7},\"verb\":\"GET\",\"path\":\"/\"}",
        "{\"params\":7,\"headers\":{\"Authorization\":\"AWS4-HMAC-SHA256\"},\"verb\":\"GET\",\"path\":\"/\"}",
        "{\"headers\":{\"Authorization\":\"AWS4-HMAC-SHA256 Credential=A/1/2, SignedHeaders=host\",\"X-Amz-Date\":\"1\"},"
            "\"verb\":\"GET\",\"path\":\"/\",\"body_hash\":\"x\"}",
        "{\"headers\":{\"Authorization\":\"AWS4-HMAC-SHA256 Credential=A/1/r/s/aws4, SignedHeaders=h\",\"X-Amz-Date\":\"1\"},"
            "\"verb\":\"GET\",\"path\":\"/\",\"body_hash\":\"x\"}",
        "{\"headers\":{\"Authorization\":\"AWS4-HMAC-SHA256 Credential=A/1/r/s/aws4_request\",\"X-Amz-Date\":\"1\"},"
            "\"verb\":\"GET\",\"path\":\"/\",\"body_hash\":\"x\"}",
    };
    struct arena arena;

    (void)state;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        sign(&arena, texts[i], "", "s", -E_SYNTAX);
    /* The date of the scope is another than that of the request. */
    sign(&arena, "{\"headers\":{\"Authorization\":\"AWS4-HMAC-SHA256 Credential=A/20150831/r/s/aws4_request, "
         "SignedHeaders=h\",\"X-Amz-Date\":\"20150830T123600Z\"},\"verb\":\"GET\",\"path\":\"/\",\"body_hash\":\"x\"}", "",
         "s", -E_UNAUTHORIZED);
    arena_done(&arena);
}

static void signing_key__example_of_the_documentation(void **state)
{
    static const uint8_t want[] = { 0xf4, 0x78, 0x0e, 0x2d, 0x9f, 0x65, 0xfa, 0x89, 0x5f, 0x9c, 0x67,
                                    0xb3, 0x2c, 0xe1, 0xba, 0xf0, 0xb0, 0xd8, 0xa4, 0x35, 0x05, 0xa0,
                                    0x00, 0xa1, 0xa9, 0xe0, 0x90, 0xd4, 0x14, 0xdb, 0x40, 0x4d };
    uint8_t key[IDENTITY_SIGNING_KEY_BYTES];
    char    longest[IDENTITY_SECRET_MAX + 2];

    (void)state;
    assert_int_equal(access_key_derive(SLICE(SUITE_SECRET), SLICE("20120215"), SLICE("us-east-1"), SLICE("iam"), key), 0);
    assert_memory_equal(key, want, sizeof want);
    memset(longest, 's', sizeof longest);
    assert_int_equal(access_key_derive(slice_of(longest, IDENTITY_SECRET_MAX), SLICE("1"), SLICE(""), SLICE(""), key), 0);
    assert_int_equal(access_key_derive(slice_of(longest, IDENTITY_SECRET_MAX + 1), SLICE("1"), SLICE(""), SLICE(""), key),
                     -E_LIMIT);
    assert_int_equal(access_key_derive(SLICE_NONE, SLICE("1"), SLICE(""), SLICE(""), key), -E_LIMIT);
}

static void s3_strings__of_both_kinds(void **state)
{
    char signature[SIGNATURE_MAX];

    (void)state;
    assert_int_equal(s3_signature(SLICE("GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/awsexamplebucket1/photos/puppy.jpg"),
                                  SLICE(AWS_SECRET), signature), 0);
    assert_string_equal(signature, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=");
    assert_int_equal(s3_signature(SLICE("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/s3/aws4_request\nx"),
                                  SLICE(AWS_SECRET), signature), 0);
    assert_int_equal(strlen(signature), 64);
    static const char *const refused[] = {
        "AWS4", "AWS4-HMAC-SHA256\n1\n1/r/s3/aws4_request", "AWS4-HMAC-SHA256\n1\n1/r/s3/aws4_request\nx\ny",
        "AWS4-HMAC-SHA256\n1\n1/r/ec2/aws4_request\nx", "AWS4-HMAC-SHA512\n1\n1/r/s3/aws4_request\nx",
        "AWS4-HMAC-SHA256\n1\n1/r/s3/aws4\nx", "AWS4-HMAC-SHA256\n1\n/r/s3/aws4_request\nx",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_equal(s3_signature(slice_str(refused[i]), SLICE(AWS_SECRET), signature), -E_UNAUTHORIZED);
}

static void times__of_both_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t     want;   /* -1: refused. */
    } cases[] = {
        { "2015-08-30T12:36:00Z", 1440938160 }, { "20150830T123600Z", 1440938160 }, { "2000-02-29T23:59:59", 951868799 },
        { "2015-08-30T12:36:00.123456Z", 1440938160 }, { "2015-08-30T12:36:00+00:00", 1440938160 },
        { "1970-01-01T00:00:00Z", 0 }, { "", -1 }, { "2015", -1 }, { "2015-08-30", -1 }, { "2015-13-30T12:36:00Z", -1 },
        { "2015-08-30T24:36:00Z", -1 }, { "20150830T123600+0200", -1 }, { "2015-08-30T12:36:00x", -1 },
        { "Sun, 30 Aug 2015 12:36:00 GMT", -1 }, { "20150830T12360Z", -1 }, { "1969-12-31T23:59:59Z", -1 },
        { "2015-08-30T12:36:00.", 1440938160 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t got = -1;
        assert_int_equal(ec2_time(slice_str(cases[i].text), &got), cases[i].want >= 0);
        assert_int_equal(got, cases[i].want);
    }
}

static void base64__of_both_alphabets(void **state)
{
    struct arena arena;
    struct slice out;

    (void)state;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    assert_int_equal(ec2_unbase64(&arena, SLICE("-_+/"), &out), 0);
    assert_int_equal(out.size, 3);
    assert_memory_equal(out.data, "\xfb\xff\xbf", 3);
    assert_int_equal(ec2_unbase64(&arena, SLICE("QQ=="), &out), 0);
    assert_true(slice_equal(out, SLICE("A")));
    assert_int_equal(ec2_unbase64(&arena, SLICE(""), &out), 0);
    assert_int_equal(out.size, 0);
    assert_int_equal(ec2_unbase64(&arena, SLICE("Q"), &out), -E_SYNTAX);
    assert_int_equal(ec2_unbase64(&arena, SLICE("Q Q="), &out), -E_SYNTAX);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2__example_of_the_documentation),
        cmocka_unit_test(version_4__example_of_the_test_suite),
        cmocka_unit_test(malformed__is_refused),
        cmocka_unit_test(signing_key__example_of_the_documentation),
        cmocka_unit_test(s3_strings__of_both_kinds),
        cmocka_unit_test(times__of_both_forms),
        cmocka_unit_test(base64__of_both_alphabets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
