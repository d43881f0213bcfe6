/* tests/proxy/swift/rules_test.c - pure rules of the dialect: headers, listings, manifests, content types. */
#include "proxy/swift/listing.h"
#include "proxy/swift/slo.h"
#include "tests/lib/test.h"

#include <time.h>

struct fixture {
    struct http_request rq;
    struct http_header  headers[128];
    struct http_query   query[16];
    struct call         c;
};

static void start(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    arena_init(&f->rq.arena, ARENA_LIMIT_DEFAULT);
    f->rq.headers = f->headers;
    f->rq.query = f->query;
    f->c.rq = &f->rq;
    f->c.arena = &f->rq.arena;
    f->c.container = SLICE("box");
}

static void header(struct fixture *f, const char *name, const char *value)
{
    f->headers[f->rq.header_count++] = (struct http_header) { slice_str(name), slice_str(value) };
}

static void query(struct fixture *f, const char *name, const char *value)
{
    f->query[f->rq.query_count++] = (struct http_query) { slice_str(name), slice_str(value) };
}

static void done(struct fixture *f)
{
    arena_done(&f->rq.arena);
}

/* --- Headers. --- */

static char long_text[1024];

static int object_with(const char *name, const char *value, size_t *ret_count)
{
    struct fixture f;
    Rs__ObjectMeta meta = RS__OBJECT_META__INIT;
    int            status;

    start(&f);
    header(&f, name, value);
    status = object_headers(&f.c, &meta);
    if (status)
        assert_non_null(f.c.why);
    *ret_count = meta.n_meta + meta.n_headers;
    done(&f);
    return status;
}

static void metadata__has_limits(void **state)
{
    size_t n;

    (void)state;
    memset(long_text, 'n', sizeof long_text - 1);
    assert_int_equal(object_with("X-Object-Meta-Color", "red", &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(object_with("Content-Encoding", "gzip", &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(object_with("X-Object-Meta-", "red", &n), 400);
    assert_int_equal(object_with("X-Object-Meta-Color", "\xff", &n), 400);
    assert_int_equal(object_with("X-Object-Meta-Color", long_text + sizeof long_text - 1 - META_VALUE_MAX, &n), 0);
    assert_int_equal(object_with("X-Object-Meta-Color", long_text + sizeof long_text - 2 - META_VALUE_MAX, &n), 400);

    char name[64 + META_NAME_MAX + 2] = "X-Object-Meta-";
    memset(name + 14, 'n', META_NAME_MAX);
    assert_int_equal(object_with(name, "x", &n), 0);
    name[14 + META_NAME_MAX] = 'n';
    assert_int_equal(object_with(name, "x", &n), 400);
}

static void metadata__counts_are_limited(void **state)
{
    struct fixture f;
    Rs__ObjectMeta meta = RS__OBJECT_META__INIT;

    (void)state;
    start(&f);
    for (int i = 0; i < META_COUNT_MAX; i++)
        header(&f, arena_printf(f.c.arena, "X-Object-Meta-%d", i), "v");
    assert_int_equal(object_headers(&f.c, &meta), 0);
    header(&f, "X-Object-Meta-More", "v");
    assert_int_equal(object_headers(&f.c, &meta), 400);
    done(&f);
}

static void container_changes__set_and_remove(void **state)
{
    struct fixture        f;
    struct config_changes changes;

    (void)state;
    start(&f);
    header(&f, "X-Container-Meta-COLOR", "red");
    header(&f, "X-Remove-Container-Meta-Shape", "x");
    header(&f, "X-Container-Read", ".r:* , .rlistings");
    header(&f, "X-Remove-Container-Write", "x");
    assert_int_equal(container_changes(&f.c, &changes), 0);
    assert_int_equal(changes.meta_count, 2);
    assert_true(slice_equal(changes.meta[0].name, SLICE("shape")));
    assert_int_equal(changes.meta[0].value.size, 0);
    assert_true(slice_equal(changes.meta[1].name, SLICE("color")));
    assert_true(slice_equal(*changes.read_acl, SLICE(".r:*,.rlistings")));
    assert_int_equal(changes.write_acl->size, 0);
    header(&f, "X-Container-Meta-Quota-Bytes", "many");
    assert_int_equal(container_changes(&f.c, &changes), 400);
    done(&f);
}

static void mime__by_ending(void **state)
{
    (void)state;
    assert_true(slice_equal(mime_guess(SLICE("a/b.TXT")), SLICE("text/plain")));
    assert_true(slice_equal(mime_guess(SLICE("x.tar.gz")), SLICE("application/gzip")));
    assert_true(slice_equal(mime_guess(SLICE("noending")), SLICE("application/octet-stream")));
    assert_true(slice_equal(mime_guess(SLICE("")), SLICE("application/octet-stream")));
}

/* --- Listings. --- */

static int format_for(const char *format, const char *accept, enum list_format *ret)
{
    struct fixture f;
    int            status;

    start(&f);
    if (format)
        query(&f, "format", format);
    if (accept)
        header(&f, "Accept", accept);
    status = list_format_of(&f.c, ret);
    done(&f);
    return status;
}

static void format__is_negotiated(void **state)
{
    enum list_format f;

    (void)state;
    assert_int_equal(format_for(NULL, NULL, &f), 0);
    assert_int_equal(f, LIST_PLAIN);
    assert_int_equal(format_for("json", "text/plain", &f), 0);
    assert_int_equal(f, LIST_JSON);
    assert_int_equal(format_for(NULL, "application/json", &f), 0);
    assert_int_equal(f, LIST_JSON);
    assert_int_equal(format_for(NULL, "text/xml;q=0.5, application/json;q=0.4", &f), 0);
    assert_int_equal(f, LIST_XML);
    assert_int_equal(format_for(NULL, "*/*", &f), 0);
    assert_int_equal(f, LIST_PLAIN);
    assert_int_equal(format_for(NULL, "application/*", &f), 0);
    assert_int_equal(f, LIST_JSON);
    assert_int_equal(format_for(NULL, "image/png", &f), 406);
    assert_int_equal(format_for(NULL, "text/plain;q=zero", &f), 400);
}

static void list__parameters(void **state)
{
    struct fixture      f;
    struct list_request list;

    (void)state;
    start(&f);
    query(&f, "limit", "10000");
    query(&f, "path", "a/b/");
    query(&f, "reverse", "on");
    assert_int_equal(list_parse(&f.c, &list), 0);
    assert_int_equal(list.limit, 10000);
    assert_true(list.path && list.range.reverse);
    assert_true(slice_equal(list.range.prefix, SLICE("a/b/")));
    assert_true(slice_equal(list.range.delimiter, SLICE("/")));
    f.query[0].value = SLICE("10001");
    assert_int_equal(list_parse(&f.c, &list), 412);
    f.query[0].value = SLICE("x");
    assert_int_equal(list_parse(&f.c, &list), 0);
    f.query[2] = (struct http_query) { SLICE("marker"), SLICE("\xff") };
    assert_int_equal(list_parse(&f.c, &list), 400);
    done(&f);
}

static void assert_text(struct text *t, const char *want)
{
    assert_false(t->failed);
    assert_int_equal(t->size, strlen(want));
    assert_memory_equal(t->data, want, t->size);
    text_done(t);
}

static void entries__are_escaped(void **state)
{
    struct text       t = { .limit = 100000 };
    struct list_entry e = { .name = SLICE("a<\"\\\n\x01>&\xc3\xa9"), .hash = SLICE("h"), .content_type = SLICE("t"),
                            .bytes = 7, .modified_us = UINT64_C(1700000000123456) };
    struct list_entry fold = { .name = SLICE("x/"), .folded = true };

    (void)state;
    list_open(&t, LIST_JSON, false, SLICE("box"));
    list_object(&t, LIST_JSON, true, &e);
    list_object(&t, LIST_JSON, false, &fold);
    list_close(&t, LIST_JSON, false);
    assert_text(&t, "[{\"name\":\"a<\\\"\\\\\\n\\u0001>&\xc3\xa9\",\"hash\":\"h\",\"bytes\":7,\"content_type\":\"t\","
                    "\"last_modified\":\"2023-11-14T22:13:20.123456\"},{\"subdir\":\"x/\"}]");
    e.name = SLICE("a<\"&>");
    list_open(&t, LIST_XML, false, SLICE("b\"x"));
    list_object(&t, LIST_XML, true, &e);
    list_object(&t, LIST_XML, false, &fold);
    list_close(&t, LIST_XML, false);
    assert_text(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<container name=\"b&quot;x\"><object><name>a&lt;&quot;&amp;&gt;"
                    "</name><hash>h</hash><bytes>7</bytes><content_type>t</content_type><last_modified>"
                    "2023-11-14T22:13:20.123456</last_modified></object><subdir name=\"x/\"><name>x/</name></subdir>"
                    "</container>");
}

static void time__is_that_of_the_calendar(void **state)
{
    (void)state;
    /* Every 11 days and some from 1970 to 2100: all months, leap days, hours. */
    for (uint64_t s = 0; s < UINT64_C(4102444800); s += 11 * 86400 + 3723) {
        time_t      when = (time_t)s;
        struct text t = { .limit = 100 };
        struct tm   tm;
        char        want[64];

        gmtime_r(&when, &tm);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000042", &tm);
        text_iso_time(&t, s * 1000000 + 42);
        assert_text(&t, want);
    }
}

static void text__stops_at_its_limit(void **state)
{
    struct text t = { .limit = 5 };

    (void)state;
    text_lit(&t, "12345");
    assert_false(t.failed);
    text_lit(&t, "6");
    assert_true(t.failed);
    assert_int_equal(t.size, 5);
    text_done(&t);
}

/* --- Manifests. --- */

static int manifest(const char *json, struct fixture *f, struct slo_item **ret_items, uint32_t *ret_count)
{
    f->c.why = NULL;
    return slo_parse(&f->c, slice_str(json), ret_items, ret_count);
}

static void manifest__is_parsed(void **state)
{
    struct fixture   f;
    struct slo_item *items;
    uint32_t         n;

    (void)state;
    start(&f);
    assert_int_equal(manifest("[{\"path\":\"/c/o/x\",\"etag\":\"\\\"abc\\\"\",\"size_bytes\":\"12\",\"range\":\"0-3\"},"
                              "{\"path\":\"d/p\",\"etag\":null,\"size_bytes\":null}]", &f, &items, &n), 0);
    assert_int_equal(n, 2);
    assert_true(slice_equal(items[0].container, SLICE("c")));
    assert_true(slice_equal(items[0].object, SLICE("o/x")));
    assert_true(slice_equal(items[0].etag, SLICE("abc")));
    assert_true(items[0].has_size && items[0].size == 12 && items[0].ranged);
    assert_false(items[1].has_size);
    done(&f);
}

static void manifest__bad_ones_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "{", "{}", "[]", "[1]", "[{}]", "[{\"path\":1}]", "[{\"path\":\"/c\"}]", "[{\"path\":\"/c/\"}]",
        "[{\"path\":\"/c/o\",\"etag\":1}]", "[{\"path\":\"/c/o\",\"size_bytes\":-1}]", "[{\"path\":\"/c/o\",\"size_bytes\":1.5}]",
        "[{\"path\":\"/c/o\",\"more\":1}]", "[{\"path\":\"/c/o\",\"range\":\"x\"}]", "[{\"path\":\"/c/o\",\"range\":\"5-4\"}]",
        "[{\"path\":\"/c/o\",\"range\":\"0-1,3-4\"}]", "[{\"path\":\"/c/o\",\"size_bytes\":2,\"range\":\"2-\"}]",
        "[{\"path\":\"/c/o\",\"size_bytes\":0},{\"path\":\"/c/p\"}]",
        "[{\"path\":\"/c/o\",\"size_bytes\":99999999999999999999999}]",
    };
    struct fixture   f;
    struct slo_item *items;
    uint32_t         n;

    (void)state;
    start(&f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(manifest(bad[i], &f, &items, &n), 400);
        assert_non_null(f.c.why);
    }
    done(&f);
}

static void range__of_a_segment(void **state)
{
    uint64_t first, length;

    (void)state;
    assert_true(slo_range(SLICE("0-0"), 10, &first, &length));
    assert_int_equal(length, 1);
    assert_true(slo_range(SLICE("-3"), 10, &first, &length));
    assert_int_equal(first, 7);
    assert_true(slo_range(SLICE("4-"), 10, &first, &length));
    assert_int_equal(length, 6);
    assert_true(slo_range(SLICE("4-99"), 10, &first, &length));
    assert_int_equal(length, 6);
    assert_true(slo_range(SLICE("-99"), 10, &first, &length));
    assert_int_equal(length, 10);
    assert_false(slo_range(SLICE("10-"), 10, &first, &length));
    assert_false(slo_range(SLICE("-0"), 10, &first, &length));
    assert_false(slo_range(SLICE("-"), 10, &first, &length));
    assert_false(slo_range(SLICE("0-1"), 0, &first, &length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata__has_limits),      cmocka_unit_test(metadata__counts_are_limited),
        cmocka_unit_test(container_changes__set_and_remove), cmocka_unit_test(mime__by_ending),
        cmocka_unit_test(format__is_negotiated),     cmocka_unit_test(list__parameters),
        cmocka_unit_test(entries__are_escaped),      cmocka_unit_test(text__stops_at_its_limit),
        cmocka_unit_test(time__is_that_of_the_calendar),
        cmocka_unit_test(manifest__is_parsed),       cmocka_unit_test(manifest__bad_ones_are_refused),
        cmocka_unit_test(range__of_a_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
