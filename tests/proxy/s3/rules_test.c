/* tests/proxy/s3/rules_test.c - the small rules of S3: entity tags and conditions, names of buckets and hosts, tokens of
 * listings, the table of operations. */
#include "proxy/s3/object.h"
#include "proxy/s3/token.h"
#include "tests/proxy/s3/request.h"

/* --- Entity tags and conditions. --- */

static bool listed(const char *list)
{
    return s3_tag_listed(slice_str(list), SLICE("abc"));
}

static void tag__is_found_in_a_list_with_or_without_quotes(void **state)
{
    (void)state;
    assert_true(listed("abc"));
    assert_true(listed("\"abc\""));
    assert_true(listed("W/\"abc\""));
    assert_true(listed("\"x\",\"abc\""));
    assert_true(listed("x ,\t\"abc\" , y"));
    assert_true(listed("*"));
    assert_true(listed("\"x\", *"));
    assert_false(listed(""));
    assert_false(listed(","));
    assert_false(listed("\"ab\", \"abcd\", \"ABC\""));
    assert_false(listed("\"abc"));
    assert_false(s3_tag_listed(SLICE_NONE, SLICE("abc")));
}

static void tag__bare_has_no_marks_around(void **state)
{
    static const char *const forms[] = { "abc", "\"abc\"", " \"abc\"\t", "W/\"abc\"" };

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        assert_true(slice_equal(s3_tag_bare(slice_str(forms[i])), SLICE("abc")));
    assert_int_equal(s3_tag_bare(SLICE("\"\"")).size, 0);
    assert_int_equal(s3_tag_bare(SLICE("\"")).size, 1);   /* One quote is not a pair. */
    assert_int_equal(s3_tag_bare(SLICE("  ")).size, 0);
}

#define BEFORE SLICE("Fri, 24 May 2013 00:00:00 GMT")
#define THEN   SLICE("Fri, 24 May 2013 12:00:00 GMT")
#define AFTER  SLICE("Sat, 25 May 2013 00:00:00 GMT")
#define THEN_US UINT64_C(1369396800999999)   /* Within that second: times of HTTP have no more. */

static enum s3_judged judge(struct s3_conditions conditions)
{
    return s3_judge(&conditions, SLICE("abc"), THEN_US);
}

#define IF(...) judge((struct s3_conditions) { __VA_ARGS__ })

static void conditions__alone(void **state)
{
    (void)state;
    assert_int_equal(IF(0), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.match = SLICE("\"abc\"")), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.match = SLICE("\"x\"")), S3_JUDGED_FAILED);
    assert_int_equal(IF(.none_match = SLICE("\"abc\"")), S3_JUDGED_NOT_MODIFIED);
    assert_int_equal(IF(.none_match = SLICE("\"x\"")), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.modified_since = BEFORE), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.modified_since = THEN), S3_JUDGED_NOT_MODIFIED);
    assert_int_equal(IF(.modified_since = AFTER), S3_JUDGED_NOT_MODIFIED);
    assert_int_equal(IF(.unmodified_since = BEFORE), S3_JUDGED_FAILED);
    assert_int_equal(IF(.unmodified_since = THEN), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.unmodified_since = AFTER), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.modified_since = SLICE("yesterday")), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.unmodified_since = SLICE("yesterday")), S3_JUDGED_HOLDS);
}

static void conditions__a_tag_outweighs_a_time(void **state)
{
    (void)state;
    assert_int_equal(IF(.match = SLICE("abc"), .unmodified_since = BEFORE), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.match = SLICE("x"), .unmodified_since = AFTER), S3_JUDGED_FAILED);
    assert_int_equal(IF(.none_match = SLICE("abc"), .modified_since = BEFORE), S3_JUDGED_NOT_MODIFIED);
    assert_int_equal(IF(.none_match = SLICE("x"), .modified_since = AFTER), S3_JUDGED_HOLDS);
    assert_int_equal(IF(.match = SLICE("x"), .none_match = SLICE("abc")), S3_JUDGED_FAILED);
    assert_int_equal(IF(.match = SLICE("abc"), .none_match = SLICE("abc")), S3_JUDGED_NOT_MODIFIED);
}

/* --- Names of buckets. --- */

static void bucket_name__rules(void **state)
{
    static const char *const good[] = {
        "abc", "123", "a-b", "a.b", "a1.b2-c3", "my--bucket", "1.2.3", "1.2.3.4.5", "256.1.1.1", "xn-a",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",   /* 63 */
    };
    static const char *const bad[] = {
        "", "a", "ab", "Abc", "a_b", "a b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "1.2.3.4", "192.168.5.4",
        "xn--abc", "sthree-abc", "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "b\xc3\xbc" "cher",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",   /* 64 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!s3_bucket_name_valid(slice_str(good[i])))
            fail_msg("%s is a bucket's name", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (s3_bucket_name_valid(slice_str(bad[i])))
            fail_msg("%s is not a bucket's name", bad[i]);
    assert_false(s3_bucket_name_valid(slice_of("ab\0c", 4)));
}

/* --- Names of hosts. --- */

static void host__is_a_dns_name(void **state)
{
    char name[S3_HOST_BYTES_MAX + 2];

    (void)state;
    assert_true(s3_host_valid(SLICE("s3")));
    assert_true(s3_host_valid(SLICE("s3.Example.org")));
    assert_true(s3_host_valid(SLICE("a-1.b")));
    static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "-a", "a-", "a-.b", "a.-b", "a_b", "a:80", "[::1]", "a/b", "a b" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (s3_host_valid(slice_str(bad[i])))
            fail_msg("%s is not a host's name", bad[i]);
    memset(name, 'a', sizeof name);
    assert_true(s3_host_valid(slice_of(name, 63)));
    assert_false(s3_host_valid(slice_of(name, 64)));
    for (size_t i = 50; i < sizeof name; i += 50)
        name[i] = '.';
    assert_true(s3_host_valid(slice_of(name, S3_HOST_BYTES_MAX)));
    assert_false(s3_host_valid(slice_of(name, S3_HOST_BYTES_MAX + 1)));
}

static const struct s3 named = { .hosts = { "example.org", "objects.example.org", "s3.cloud.test" } };

/* The bucket of a host; "-" in front: the host is not one of ours. */
static const char *bucket_of(const char *host)
{
    static char  text[300];
    struct slice bucket;
    bool         ours = s3_host_bucket(&named, slice_str(host), &bucket);

    snprintf(text, sizeof text, "%s%.*s", ours ? "" : "-", SLICE_ARG(bucket));
    return text;
}

static void host__bucket_stands_in_front(void **state)
{
    (void)state;
    assert_string_equal(bucket_of("b.localhost"), "b");
    assert_string_equal(bucket_of("b.c.localhost:8080"), "b.c");
    assert_string_equal(bucket_of("b.s3.localhost"), "b");
    assert_string_equal(bucket_of("b.example.org"), "b");
    assert_string_equal(bucket_of("b.OBJECTS.Example.org:1"), "b");
    assert_string_equal(bucket_of("b.c.objects.example.org"), "b.c");
    assert_string_equal(bucket_of("b.S3.example.org"), "b");
    assert_string_equal(bucket_of("b.s3.cloud.test"), "b");
    assert_string_equal(bucket_of("b.s3.anything.else"), "-b");
}

static void host__of_the_service_alone_names_no_bucket(void **state)
{
    (void)state;
    assert_string_equal(bucket_of("localhost"), "");
    assert_string_equal(bucket_of("s3.localhost:8080"), "");
    assert_string_equal(bucket_of("example.org"), "");
    assert_string_equal(bucket_of("objects.example.org:443"), "");
    assert_string_equal(bucket_of("s3.example.org"), "");
    assert_string_equal(bucket_of("s3.cloud.test"), "");
    assert_string_equal(bucket_of(""), "-");
    assert_string_equal(bucket_of("127.0.0.1:8080"), "-");
    assert_string_equal(bucket_of("[::1]:8080"), "-");
    assert_string_equal(bucket_of("notexample.org"), "-");
    assert_string_equal(bucket_of("elsewhere.net"), "-");
}

static bool claims(const char *text)
{
    struct http_request rq;
    bool                claimed;

    request_parse(&rq, text);
    claimed = s3_claims(&named, &rq);
    arena_done(&rq.arena);
    return claimed;
}

static void request__is_for_swift_by_its_path_unless_it_speaks_s3(void **state)
{
    (void)state;
    assert_false(claims("GET /v1/AUTH_x/c/o HTTP/1.1\nHost: h\n\n"));
    assert_false(claims("GET /auth/v1.0 HTTP/1.1\nHost: example.org\n\n"));
    assert_false(claims("GET /info HTTP/1.1\nHost: localhost\n\n"));
    assert_false(claims("GET /healthcheck HTTP/1.1\nHost: h\n\n"));
    assert_true(claims("GET /v1x/o HTTP/1.1\nHost: h\n\n"));
    assert_true(claims("GET /infos HTTP/1.1\nHost: h\n\n"));
    assert_true(claims("GET / HTTP/1.1\nHost: h\n\n"));
    assert_true(claims("GET /v1/o HTTP/1.1\nHost: h\nAuthorization: AWS key:sign\n\n"));
    assert_true(claims("GET /v1/o?AWSAccessKeyId=k&Signature=s&Expires=1 HTTP/1.1\nHost: h\n\n"));
    assert_true(claims("GET /v1/o HTTP/1.1\nHost: b.example.org\n\n"));
    assert_false(claims("GET /v1/o HTTP/1.1\nHost: b.s3.elsewhere.net\n\n"));   /* Not surely ours. */
}

/* --- Tokens. --- */

static void token__gives_back_its_name(void **state)
{
    char    text[S3_TOKEN_TEXT_MAX], name[S3_TOKEN_NAME_MAX];
    uint8_t back[S3_TOKEN_NAME_MAX];
    size_t  size;

    (void)state;
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = (char)(1 + i % 255);
    for (size_t n = 1; n <= sizeof name; n++) {
        struct slice token = slice_of(text, s3_token_write(slice_of(name, n), text));
        assert_true(s3_token_read(token, sizeof back, back, &size));
        assert_int_equal(size, n);
        assert_memory_equal(back, name, n);
        assert_false(s3_token_read(token, n - 1, back, &size));
    }
}

static void token__of_another_form_is_refused(void **state)
{
    static const char *const bad[] = { "", "=", "a", "MQ==", "MmFi", "MWFi=", "MWEA", "MWF i", "MWFi\n" };
    uint8_t                  back[S3_TOKEN_NAME_MAX];
    size_t                   size;

    (void)state;
    assert_true(s3_token_read(SLICE("MWFi"), sizeof back, back, &size));   /* "1ab" */
    assert_int_equal(size, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)   /* "MmFi" is "2ab", "MWEA" has a NUL, "MQ==" is "1". */
        if (s3_token_read(slice_str(bad[i]), sizeof back, back, &size))
            fail_msg("'%s' is not a token", bad[i]);
}

/* --- The table of operations. --- */

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void operations__are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < s3_operation_count; i++) {
        const struct s3_operation *op = &s3_operations[i];
        for (size_t j = i + 1; j < s3_operation_count; j++) {
            const struct s3_operation *later = &s3_operations[j];
            if (strcmp(op->name, later->name) == 0)
                fail_msg("%s is there twice", op->name);
            if (op->level != later->level || strcmp(op->method, later->method) != 0)
                continue;
            /* An earlier row that asks for less would hide a later one. */
            if ((!op->query || same(op->query, later->query)) && (!op->header || same(op->header, later->header)))
                fail_msg("%s hides %s", op->name, later->name);
        }
    }
}

static void operations__on_objects_need_actions_on_objects(void **state)
{
    (void)state;
    for (size_t i = 0; i < s3_operation_count; i++) {
        const struct s3_operation *op = &s3_operations[i];
        bool into_a_bucket = strcmp(op->name, "PostObject") == 0 || strcmp(op->name, "DeleteObjects") == 0;
        if (op->action == S3_DO_NOTHING)
            continue;
        if (s3_action_on_object(op->action) != (op->level == S3_OBJECT || into_a_bucket))
            fail_msg("%s needs %s", op->name, s3_action_name(op->action));
        if (op->level != S3_SERVICE && s3_action_on_object(op->with_version) != s3_action_on_object(op->action))
            fail_msg("%s of a version needs %s", op->name, s3_action_name(op->with_version));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tag__is_found_in_a_list_with_or_without_quotes),
        cmocka_unit_test(tag__bare_has_no_marks_around),
        cmocka_unit_test(conditions__alone),
        cmocka_unit_test(conditions__a_tag_outweighs_a_time),
        cmocka_unit_test(bucket_name__rules),
        cmocka_unit_test(host__is_a_dns_name),
        cmocka_unit_test(host__bucket_stands_in_front),
        cmocka_unit_test(host__of_the_service_alone_names_no_bucket),
        cmocka_unit_test(request__is_for_swift_by_its_path_unless_it_speaks_s3),
        cmocka_unit_test(token__gives_back_its_name),
        cmocka_unit_test(token__of_another_form_is_refused),
        cmocka_unit_test(operations__are_told_apart),
        cmocka_unit_test(operations__on_objects_need_actions_on_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
