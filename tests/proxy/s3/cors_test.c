/* tests/proxy/s3/cors_test.c - cross-origin rules: what is refused, what matches, what is answered. */
#include "proxy/s3/cors.h"

#include <stdlib.h>

#include "tests/lib/test.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

#define RULE(text) "<CORSRule>" text "</CORSRule>"
#define GET "<AllowedMethod>GET</AllowedMethod>"
#define PUT "<AllowedMethod>PUT</AllowedMethod>"
#define ORIGIN(text) "<AllowedOrigin>" text "</AllowedOrigin>"
#define ALLOW(text) "<AllowedHeader>" text "</AllowedHeader>"

static int parse(const char *rules, struct cors **ret)
{
    struct text t = { .limit = XML_BYTES_MAX };

    text_lit(&t, "<CORSConfiguration>");
    text_add(&t, slice_str(rules));
    text_lit(&t, "</CORSConfiguration>");
    int rc = cors_parse(&arena, text_slice(&t), ret, NULL);
    text_done(&t);
    return rc;
}

static struct cors *rules(const char *text)
{
    struct cors *cors = NULL;

    assert_int_equal(parse(text, &cors), 0);
    return cors;
}

/* The index of the rule that matches; -1: none. */
static int match(const struct cors *cors, const char *origin, const char *method, const char *headers)
{
    const struct cors_rule *rule = cors_match(cors, slice_str(origin), slice_str(method), slice_str(headers));

    return rule ? (int)(rule - cors->rules) : -1;
}

static void match__origins_with_one_wildcard(void **state)
{
    struct cors *c = rules(RULE(GET ORIGIN("*suffix")) RULE(GET ORIGIN("start*end")) RULE(GET ORIGIN("prefix*"))
                           RULE(PUT ORIGIN("*.put")));

    (void)state;
    assert_int_equal(match(c, "foo.suffix", "GET", ""), 0);
    assert_int_equal(match(c, "suffix", "GET", ""), 0);
    assert_int_equal(match(c, "foo.suffix.get", "GET", ""), -1);
    assert_int_equal(match(c, "startend", "GET", ""), 1);
    assert_int_equal(match(c, "start12end", "GET", ""), 1);
    assert_int_equal(match(c, "0start12end", "GET", ""), -1);
    assert_int_equal(match(c, "starend", "GET", ""), -1);
    assert_int_equal(match(c, "prefix.suffix", "GET", ""), 0);
    assert_int_equal(match(c, "prefix.x", "GET", ""), 2);
    assert_int_equal(match(c, "foo.put", "GET", ""), -1);
    assert_int_equal(match(c, "foo.put", "PUT", ""), 3);
    assert_int_equal(match(c, "", "GET", ""), -1);
    assert_int_equal(match(c, "FOO.SUFFIX", "GET", ""), -1);
}

static void match__all_request_headers_must_be_allowed(void **state)
{
    struct cors *c = rules(RULE(GET ORIGIN("*") ALLOW("x-amz-*") ALLOW("Content-Type")));

    (void)state;
    assert_int_equal(match(c, "a", "GET", "X-Amz-Date, content-type"), 0);
    assert_int_equal(match(c, "a", "GET", "x-amz-date,range"), -1);
    assert_int_equal(match(c, "a", "GET", " , "), 0);
    assert_int_equal(match(rules(RULE(GET ORIGIN("*"))), "a", "GET", "range"), -1);
    assert_int_equal(match(rules(RULE(GET ORIGIN("*") ALLOW("*"))), "a", "GET", "range"), 0);
}

static void assert_text(struct slice got, const char *want)
{
    assert_int_equal(got.size, strlen(want));
    assert_memory_equal(got.size ? (const char *)got.data : "", want, got.size);
}

static void answer__names_origin_methods_and_headers(void **state)
{
    struct cors *c = rules(RULE(GET PUT ORIGIN("*.a") ALLOW(
        "*") "<ExposeHeader>ETag</ExposeHeader>"
             "<ExposeHeader>x-amz-version-id</ExposeHeader><MaxAgeSeconds>300</MaxAgeSeconds>")
                               RULE(GET ORIGIN("*")));
    struct cors_answer a;

    (void)state;
    assert_int_equal(cors_answer(&arena, &c->rules[0], SLICE("x.a"), SLICE("range"), &a), 0);
    assert_text(a.allow_origin, "x.a");
    assert_text(a.allow_methods, "GET, PUT");
    assert_text(a.allow_headers, "range");
    assert_text(a.expose_headers, "ETag, x-amz-version-id");
    assert_true(a.credentials);
    assert_true(a.has_max_age);
    assert_int_equal(a.max_age_s, 300);
    assert_int_equal(cors_answer(&arena, &c->rules[1], SLICE("x.a"), SLICE_NONE, &a), 0);
    assert_text(a.allow_origin, "*");
    assert_text(a.expose_headers, "");
    assert_false(a.credentials);
    assert_false(a.has_max_age);
}

static void parse__refuses_what_s3_refuses(void **state)
{
    struct cors *c = NULL;

    (void)state;
    assert_int_equal(cors_parse(&arena, SLICE("<x/>"), &c, NULL), S3_MALFORMED_XML);
    assert_int_equal(parse("", &c), S3_MALFORMED_XML);
    assert_int_equal(parse(RULE(GET), &c), S3_MALFORMED_XML);
    assert_int_equal(parse(RULE(ORIGIN("*")), &c), S3_MALFORMED_XML);
    assert_int_equal(parse(RULE(GET ORIGIN("")), &c), S3_MALFORMED_XML);
    assert_int_equal(parse(RULE(GET ORIGIN("a&#10;b")), &c), S3_MALFORMED_XML);
    assert_int_equal(parse(RULE(GET ORIGIN("*") "<Other/>"), &c), S3_MALFORMED_XML);
    assert_int_equal(parse(RULE("<AllowedMethod>PATCH</AllowedMethod>" ORIGIN("*")), &c), S3_INVALID_REQUEST);
    assert_int_equal(parse(RULE("<AllowedMethod>get</AllowedMethod>" ORIGIN("*")), &c), S3_INVALID_REQUEST);
    assert_int_equal(parse(RULE(GET ORIGIN("*.a.*")), &c), S3_INVALID_REQUEST);
    assert_int_equal(parse(RULE(GET ORIGIN("*") ALLOW("*a*")), &c), S3_INVALID_REQUEST);
    assert_int_equal(parse(RULE(GET ORIGIN("*") "<ExposeHeader>*</ExposeHeader>"), &c), S3_INVALID_REQUEST);
    assert_int_equal(parse(RULE(GET ORIGIN("*") "<MaxAgeSeconds>-1</MaxAgeSeconds>"), &c), S3_MALFORMED_XML);
    assert_null(c);
}

static int parse_many(int count, struct cors **ret)
{
    struct text t = { .limit = XML_BYTES_MAX };

    for (int i = 0; i < count; i++)
        text_lit(&t, RULE(GET ORIGIN("*")));
    text_add(&t, slice_of("", 1));
    int rc = parse(t.data, ret);
    text_done(&t);
    return rc;
}

static int parse_id(size_t size, struct cors **ret)
{
    char *id = arena_alloc(&arena, size + 1);

    assert_non_null(id);
    memset(id, 'i', size);
    return parse(arena_printf(&arena, RULE("<ID>%s</ID>" GET ORIGIN("*")), id), ret);
}

static void parse__has_limits(void **state)
{
    struct cors *c = NULL;

    (void)state;
    assert_int_equal(parse_many(CORS_RULES_MAX + 1, &c), S3_INVALID_REQUEST);
    assert_int_equal(parse_many(CORS_RULES_MAX, &c), 0);
    assert_int_equal(parse_id(CORS_ID_MAX + 1, &c), S3_INVALID_REQUEST);
    assert_int_equal(parse_id(CORS_ID_MAX, &c), 0);
    assert_int_equal(parse_id(CORS_BYTES_MAX, &c), S3_MALFORMED_XML);
}

static void write__is_read_back(void **state)
{
    struct cors *c = rules(RULE("<ID>a&amp;b</ID>" GET PUT ORIGIN("http://*.x")
                                    ALLOW("*") "<ExposeHeader>ETag</ExposeHeader>"
                                               "<MaxAgeSeconds>0</MaxAgeSeconds>") RULE(GET ORIGIN("*"))),
                *again = NULL;
    struct text  t = { .limit = 65536 }, t2 = { .limit = 65536 };

    (void)state;
    cors_write(&t, c);
    assert_int_equal(cors_parse(&arena, text_slice(&t), &again, NULL), 0);
    cors_write(&t2, again);
    assert_int_equal(t.size, t2.size);
    assert_memory_equal(t.data, t2.data, t.size);
    assert_true(again->rules[0].has_max_age);
    assert_text(again->rules[0].id, "a&b");
    text_done(&t);
    text_done(&t2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(match__origins_with_one_wildcard),
        T(match__all_request_headers_must_be_allowed),
        T(answer__names_origin_methods_and_headers),
        T(parse__refuses_what_s3_refuses),
        T(parse__has_limits),
        T(write__is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
