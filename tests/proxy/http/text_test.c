/* tests/proxy/http/text_test.c - percent-encoding, UTF-8, dates and ranges. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/http/http.h"

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_done(*state);
    return 0;
}

static void unquote__decodes_and_refuses(void **state)
{
    static const struct { const char *in; bool plus; const char *out; } cases[] = {
        { "", false, "" }, { "abc", false, "abc" }, { "a+b", false, "a+b" }, { "a+b", true, "a b" },
        { "%41%2f%2F", false, "A//" }, { "%c3%BC", false, "\xc3\xbc" }, { "%25%2B", true, "%+" },
        { "%", false, NULL }, { "%4", false, NULL }, { "a%4", false, NULL }, { "%4g", false, NULL },
        { "%g4", false, NULL }, { "%%41", false, NULL },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice out = SLICE("untouched");
        int          rc = http_unquote(*state, slice_str(cases[i].in), cases[i].plus, &out);
        assert_int_equal(rc, cases[i].out ? 0 : -E_SYNTAX);
        assert_true(slice_equal(out, cases[i].out ? slice_str(cases[i].out) : SLICE("untouched")));
        assert_non_null(out.data);
    }
}

static void quote__round_trips_every_byte(void **state)
{
    uint8_t      all[256];
    struct slice back;

    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    struct slice quoted = http_quote(*state, slice_of(all, 256), "/");
    for (size_t i = 0; i < quoted.size; i++)
        assert_true(quoted.data[i] > 0x20 && quoted.data[i] < 0x7f);
    assert_int_equal(http_unquote(*state, quoted, true, &back), 0);
    assert_true(slice_equal(back, slice_of(all, 256)));
    assert_true(slice_equal(http_quote(*state, SLICE("a/b ~\xff"), "/"), SLICE("a/b%20~%FF")));
    assert_true(slice_equal(http_quote(*state, SLICE("a/b"), NULL), SLICE("a%2Fb")));
}

static void utf8__is_checked_strictly(void **state)
{
    static const char *const good[] = { "", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf",
                                       "\xed\xa0\x80", "\xed\xbf\xbf", "\xe1\x80", "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xf0\x90\x80" };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(http_valid_utf8(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(http_valid_utf8(slice_str(bad[i])));
}

static void date__is_written_as_imf_fixdate(void **state)
{
    char text[32];
    (void)state;

    http_date(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date(0, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date(-1, text);
    assert_string_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT");
    http_date(951782400, text);
    assert_string_equal(text, "Tue, 29 Feb 2000 00:00:00 GMT");
    http_date(INT64_MAX, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void date__agrees_with_the_library(void **state)
{
    (void)state;
    for (int64_t t = -86400 * 366; t < INT64_C(86400) * 366 * 200; t += 86400 * 13 + 4711) {
        char      ours[32], theirs[64];
        struct tm tm;
        time_t    when = t;
        int64_t   back;
        http_date(t, ours);
        strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
        assert_string_equal(ours, theirs);
        assert_true(http_date_parse(slice_str(ours), &back));
        assert_int_equal(back, t);
    }
}

static void date__three_forms_are_read(void **state)
{
    static const char *const good[] = { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994", "Sun Nov 06 08:49:37 1994" };
    static const char *const bad[] = { "", "Sun", "Sun,", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37",
                                       "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 1994 24:00:00 GMT",
                                       "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
                                       "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
                                       "Sun, 06 Foo 1994 08:49:37 GMT", "Foo, 06 Nov 1994 08:49:37 GMT",
                                       "Sun, 06 Nov 94 08:49:37 GMT", "Sunda, 06-Nov-94 08:49:37 GMT",
                                       "Sun, 06 Nov 1994 08:49:37 UTC", "Sun Nov  6 08:49:37 1994 GMT",
                                       "1994-11-06T08:49:37Z", "784111777" };
    int64_t t;
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(http_date_parse(slice_str(good[i]), &t));
        assert_int_equal(t, 784111777);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        t = 42;
        if (http_date_parse(slice_str(bad[i]), &t))
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(t, 42);
    }
}

/* --- Ranges. --- */

static void assert_ranges(const char *header, uint64_t size, int rc, const char *expected)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    uint32_t          count = 99;
    char              text[2048] = "";

    int got = http_ranges(slice_str(header), size, ranges, &count);
    for (uint32_t i = 0; got == 0 && i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%llu+%llu", i ? " " : "", (unsigned long long)ranges[i].first,
                (unsigned long long)ranges[i].size);
    if (got != rc || (rc == 0 && strcmp(text, expected) != 0))
        fail_msg("%s of %llu: %d [%s], not %d [%s]", header, (unsigned long long)size, got, text, rc, expected);
}

static void ranges__select_bytes(void **state)
{
    (void)state;
    assert_ranges("bytes=0-0", 100, 0, "0+1");
    assert_ranges("bytes=0-", 100, 0, "0+100");
    assert_ranges("bytes=10-19", 100, 0, "10+10");
    assert_ranges("BYTES=10-19", 100, 0, "10+10");
    assert_ranges("bytes=90-200", 100, 0, "90+10");
    assert_ranges("bytes=99-", 100, 0, "99+1");
    assert_ranges("bytes=-1", 100, 0, "99+1");
    assert_ranges("bytes=-100", 100, 0, "0+100");
    assert_ranges("bytes=-1000", 100, 0, "0+100");
    assert_ranges("bytes=0-1, 5-6 ,-2", 100, 0, "0+2 5+2 98+2");
    assert_ranges("bytes=0-1,200-300", 100, 0, "0+2");
    assert_ranges("bytes=0-99999999999999999999999999", 100, 0, "0+100");
    assert_ranges("bytes=18446744073709551614-", UINT64_MAX, 0, "18446744073709551614+1");
    assert_ranges("bytes=0-18446744073709551615", UINT64_MAX, 0, "0+18446744073709551615");
}

static void ranges__malformed_headers_are_ignored(void **state)
{
    static const char *const cases[] = { "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5", "bytes=5-4", "items=0-1",
                                         "bytes=0-1,", "bytes=,0-1", "bytes=0-1,x", "bytes=0--1", "bytes=--1",
                                         "bytes=0x1-2", "bytes=+1-2", "bytes=1 0-2", "bytes:0-1", "0-1" };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_ranges(cases[i], 100, 0, "");
}

static void ranges__nothing_satisfiable_is_416(void **state)
{
    (void)state;
    assert_ranges("bytes=100-", 100, -ERANGE, "");
    assert_ranges("bytes=100-200,300-", 100, -ERANGE, "");
    assert_ranges("bytes=-0", 100, -ERANGE, "");
    assert_ranges("bytes=0-", 0, -ERANGE, "");
    assert_ranges("bytes=0-0", 0, -ERANGE, "");
    assert_ranges("bytes=-5", 0, 0, "");   /* All of an empty object: a plain 200. */
    assert_ranges("bytes=99999999999999999999999999-", 100, -ERANGE, "");
}

static void ranges__too_many_or_overlapping_are_416(void **state)
{
    char text[4096];
    (void)state;

    for (int over = 0; over < 2; over++) {
        snprintf(text, sizeof text, "bytes=");
        for (int i = 0; i < HTTP_RANGES_MAX + over; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d-%d", i ? "," : "", i * 2, i * 2);
        struct http_range ranges[HTTP_RANGES_MAX];
        uint32_t          count = 0;
        assert_int_equal(http_ranges(slice_str(text), 1000, ranges, &count), over ? -ERANGE : 0);
        assert_int_equal(count, over ? 0 : HTTP_RANGES_MAX);
    }
    assert_ranges("bytes=0-9,5-14,10-19", 100, 0, "0+10 5+10 10+10");
    assert_ranges("bytes=0-9,5-14,10-19,15-24", 100, -ERANGE, "");
    assert_ranges("bytes=0-,0-,0-", 100, -ERANGE, "");
    assert_ranges("bytes=18-18,16-16,14-14,12-12,10-10,8-8,6-6,4-4,2-2", 100, 0,
                  "18+1 16+1 14+1 12+1 10+1 8+1 6+1 4+1 2+1");
    assert_ranges("bytes=18-18,16-16,14-14,12-12,10-10,8-8,6-6,4-4,2-2,0-0", 100, -ERANGE, "");
}

static void status__has_a_text(void **state)
{
    (void)state;
    assert_string_equal(http_status_text(200), "OK");
    assert_string_equal(http_status_text(507), "Insufficient Storage");
    assert_string_equal(http_status_text(299), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unquote__decodes_and_refuses),
        cmocka_unit_test(quote__round_trips_every_byte),
        cmocka_unit_test(utf8__is_checked_strictly),
        cmocka_unit_test(date__is_written_as_imf_fixdate),
        cmocka_unit_test(date__agrees_with_the_library),
        cmocka_unit_test(date__three_forms_are_read),
        cmocka_unit_test(ranges__select_bytes),
        cmocka_unit_test(ranges__malformed_headers_are_ignored),
        cmocka_unit_test(ranges__nothing_satisfiable_is_416),
        cmocka_unit_test(ranges__too_many_or_overlapping_are_416),
        cmocka_unit_test(status__has_a_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
