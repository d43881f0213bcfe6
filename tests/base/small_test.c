/* tests/base/small_test.c - errors, arenas, buffers, log lines, counters. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/counter.h"
#include "base/error.h"
#include "base/log.h"

/* --- error --- */

static void error__names_texts_and_status(void **state)
{
    struct error err = { 0 };
    char         text[2 * ERROR_TEXT_MAX];

    (void)state;
    assert_string_equal(error_name(-E_UNSURE), "E_UNSURE");
    assert_string_equal(error_name(E_FENCED), "E_FENCED");
    assert_string_equal(error_name(-ENOENT), "ENOENT");
    assert_string_equal(error_name(0), "OK");
    assert_string_equal(error_name(-E_END_), "E_UNKNOWN");
    assert_string_equal(error_name(INT32_MIN), "E_UNKNOWN");
    assert_string_equal(error_text(-E_CORRUPT), "a checksum does not match");
    assert_string_equal(error_text(-ENOENT), "No such file or directory");
    assert_non_null(error_text(-99999));
    assert_int_equal(error_http(-E_CONDITION), 412);
    assert_int_equal(error_http(-ENOENT), 404);
    assert_int_equal(error_http(-EIO), 500);
    assert_int_equal(error_http(0), 200);
    assert_int_equal(error_set(NULL, -EIO, "%s", "nobody reads this"), -EIO);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(error_set(&err, -E_LIMIT, "%s", text), -E_LIMIT);
    assert_int_equal(err.code, -E_LIMIT);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
}

/* --- arena --- */

static void arena__gives_zeroed_aligned_memory(void **state)
{
    struct arena arena;

    (void)state;
    for (int round = 0; round < 3; round++) {
        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        for (size_t size = 0; size < 20000; size += 37) {
            uint8_t *p = arena_alloc(&arena, size);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xff, size);
            if (arena.used > ARENA_LIMIT_DEFAULT - 40000)
                arena_reset(&arena);
        }
        arena_done(&arena);
    }
}

static void arena__limit_is_exact(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 4096);
    assert_null(arena_alloc(&arena, 4097));
    assert_non_null(arena_alloc(&arena, 4080));
    assert_null(arena_alloc(&arena, 17));
    assert_non_null(arena_alloc(&arena, 16));
    assert_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_calloc(&arena, SIZE_MAX / 2, 3));
    assert_null(arena_str(&arena, SLICE("x")));
    assert_null(arena_printf(&arena, "x"));
    arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_alloc(&arena, 4096));
    arena_done(&arena);
    assert_int_equal(arena.used, 0);
}

static void arena__copies_text(void **state)
{
    struct arena arena;
    char         longer[1000];

    (void)state;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    struct slice copy = arena_dup(&arena, SLICE("a\0b"));
    assert_int_equal(copy.size, 3);
    assert_memory_equal(copy.data, "a\0b", 4);
    assert_non_null(arena_dup(&arena, SLICE_NONE).data);
    assert_string_equal(arena_str(&arena, SLICE("text")), "text");
    assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    memset(longer, 'y', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_string_equal(arena_printf(&arena, "%s", longer), longer);
    arena_done(&arena);
}

/* --- buf --- */

static void buf__classes_and_limit(void **state)
{
    (void)state;
    assert_null(buf_new(BUF_SIZE_MAX + 1));
    assert_null(buf_unref(NULL));
    for (size_t want = 1, size = BUF_ALIGN; size <= BUF_SIZE_MAX; want = size + 1, size *= 2) {
        struct buf *a = buf_new(want), *b = buf_new(size);
        assert_int_equal(a->capacity, size);
        assert_int_equal(b->capacity, size);
        assert_int_equal((uintptr_t)a->data % BUF_ALIGN, 0);
        a->data[0] = a->data[size - 1] = 1;
        buf_unref(a);
        buf_unref(b);
    }
    struct buf *none = buf_new(0);
    assert_int_equal(none->capacity, BUF_ALIGN);
    buf_unref(none);
    assert_int_equal(buf_live_bytes(), 0);
    buf_trim();
    assert_int_equal(buf_pooled_bytes(), 0);
}

static void buf__lives_until_the_last_reference(void **state)
{
    struct buf *buf = buf_new(100);

    (void)state;
    buf_ref(buf);
    buf->data[0] = 42;
    buf_unref(buf);
    assert_int_equal(buf->data[0], 42);
    assert_int_equal(buf_live_bytes(), BUF_ALIGN);
    struct buf_part part = { buf, 0, 1 };
    assert_int_equal(buf_part_slice(&part).data[0], 42);
    buf_unref(buf);
    assert_int_equal(buf_live_bytes(), 0);
    buf_trim();
}

static void buf__pool_is_bounded_and_gives_the_unused_back(void **state)
{
    enum { COUNT = BUF_POOLED_MAX / BUF_SIZE_MAX + 8 };
    struct buf *bufs[COUNT];

    (void)state;
    for (int i = 0; i < COUNT; i++)
        assert_non_null(bufs[i] = buf_new(BUF_SIZE_MAX));
    assert_int_equal(buf_live_bytes(), COUNT * (size_t)BUF_SIZE_MAX);
    for (int i = 0; i < COUNT; i++)
        buf_unref(bufs[i]);
    assert_true(buf_pooled_bytes() <= BUF_POOLED_MAX);
    size_t full = buf_pooled_bytes();
    buf_trim_unused();   /* All were used since the start. */
    assert_int_equal(buf_pooled_bytes(), full);
    buf_unref(buf_new(BUF_SIZE_MAX));
    buf_trim_unused();   /* One was. */
    assert_true(buf_pooled_bytes() <= BUF_SIZE_MAX);
    buf_trim();
    assert_int_equal(buf_pooled_bytes(), 0);
}

static void buf__buffers_of_all_sizes_never_overlap(void **state)
{
    enum { COUNT = 400 };
    struct buf *bufs[COUNT] = { 0 };
    uint32_t    chance = 1;

    (void)state;
    for (int round = 0; round < 4000; round++) {
        chance = chance * 1664525 + 1013904223;
        uint32_t i = (chance >> 8) % COUNT;
        if (bufs[i]) {   /* Its first and last byte are as they were written. */
            assert_int_equal(bufs[i]->data[0], (uint8_t)i);
            assert_int_equal(bufs[i]->data[bufs[i]->capacity - 1], (uint8_t)(i + 1));
            bufs[i] = buf_unref(bufs[i]);
            continue;
        }
        bufs[i] = buf_new((size_t)BUF_ALIGN << (chance >> 24) % 10);
        assert_non_null(bufs[i]);
        assert_int_equal((uintptr_t)bufs[i]->data % BUF_ALIGN, 0);
        bufs[i]->data[0] = (uint8_t)i;
        bufs[i]->data[bufs[i]->capacity - 1] = (uint8_t)(i + 1);
    }
    for (int i = 0; i < COUNT; i++)
        buf_unref(bufs[i]);
    assert_int_equal(buf_live_bytes(), 0);
    buf_trim();
    assert_int_equal(buf_pooled_bytes(), 0);
}

/* --- log --- */

static char last_line[LOG_LINE_MAX + 100];

static void keep_line(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    (void)level;
    snprintf(last_line, sizeof last_line, "%s", line);
}

static int log_setup(void **state)
{
    (void)state;
    last_line[0] = '\0';
    log_set_sink(keep_line, NULL);
    return 0;
}

static int log_teardown(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL);
    log_set_json(false);
    log_set_level(LOG_INFO);
    log_set_debug("");
    return 0;
}

static void log__writes_pairs(void **state)
{
    (void)state;
    log_warn("device.slow", "device=%u p99_ms=%u", 3u, 250u);
    assert_string_equal(last_line, "level=warn event=device.slow device=3 p99_ms=250");
    log_info("bare", "%s", "");
    assert_string_equal(last_line, "level=info event=bare");
}

static void log__hostile_text_stays_in_its_line(void **state)
{
    char escaped[64];
    (void)state;
    log_error("x", "name=\"%s\"", "a\nlevel=error\x7f");
    assert_string_equal(last_line, "level=error event=x name=\"a\\x0alevel=error\\x7f\"");
    log_error("x", "name=\"%s\"", log_escape(escaped, sizeof escaped, "\"q\\\n\xc3", 5));
    assert_string_equal(last_line, "level=error event=x name=\"\\\"q\\\\\\x0a\\xc3\"");
    /* Never half an escape. */
    assert_string_equal(log_escape(escaped, 6, "ab\n\n", 4), "ab");
    assert_string_equal(log_escape(escaped, 7, "ab\n\n", 4), "ab\\x0a");
    assert_string_equal(log_escape(escaped, 1, "ab", 2), "");
}

static void log__long_line_is_cut(void **state)
{
    static char text[3 * LOG_LINE_MAX];
    (void)state;
    memset(text, '\n', sizeof text - 1);
    log_info("x", "a=%s", text);
    assert_true(strlen(last_line) < LOG_LINE_MAX);
    log_set_json(true);
    log_info("x", "a=\"%s", text);
    assert_true(strlen(last_line) < LOG_LINE_MAX);
    assert_string_equal(last_line + strlen(last_line) - 8, "\\u000a\"}");
}

static void log__json(void **state)
{
    char escaped[64];
    (void)state;
    log_set_json(true);
    log_info("a.b", "n=%d z=007 neg=-5 s=text q=\"%s\" flag e= big=1234567890123456", 12,
             log_escape(escaped, sizeof escaped, "say \"hi\"\n\\", 10));
    assert_string_equal(last_line, "{\"level\":\"info\",\"event\":\"a.b\",\"n\":12,\"z\":\"007\",\"neg\":-5,\"s\":\"text\","
                                   "\"q\":\"say \\\"hi\\\"\\u000a\\\\\",\"flag\":true,\"e\":\"\","
                                   "\"big\":\"1234567890123456\"}");
}

static void log__levels_and_debug_modules(void **state)
{
    (void)state;
    log_set_level(LOG_WARN);
    log_info("x", "a=1");
    assert_string_equal(last_line, "");
    log_set_level(LOG_INFO);
    assert_false(log_debug_on("row.write"));
    log_debug("row.write", "a=1");
    assert_string_equal(last_line, "");
    log_set_debug("http,row");
    assert_true(log_debug_on("row.write"));
    assert_true(log_debug_on("http"));
    assert_false(log_debug_on("rows.write"));
    assert_false(log_debug_on("ro.write"));
    log_debug("row.write", "a=1");
    assert_string_equal(last_line, "level=debug event=row.write a=1");
    log_set_debug("all");
    assert_true(log_debug_on("anything"));
    log_set_debug(NULL);
    assert_false(log_debug_on("row.write"));
}

/* --- counter --- */

COUNTER(test_things, "Things\nthat the \\ test counts.");
GAUGE(test_level, "A level.");
HISTOGRAM(put, test_request, "op=\"put\"", "Request time.");
HISTOGRAM(get, test_request, "op=\"get\"", "Request time.");

static void counter__counts_and_prints(void **state)
{
    size_t size = 0;

    (void)state;
    counter_inc(test_things);
    counter_add(test_things, 4);
    gauge_set(test_level, -7);
    assert_int_equal(counter_value("test_things"), 5);
    assert_int_equal(counter_value("test_level"), -7);
    assert_int_equal(counter_value("no_such"), -1);
    histogram_record(&histogram_put, 3);
    char *text = counters_text(&size);
    assert_non_null(text);
    assert_int_equal(strlen(text), size);
    assert_non_null(strstr(text, "# HELP ringstack_test_things_total Things\\nthat the \\\\ test counts.\n"
                                 "# TYPE ringstack_test_things_total counter\nringstack_test_things_total 5\n"));
    assert_non_null(strstr(text, "# TYPE ringstack_test_level gauge\nringstack_test_level -7\n"));
    assert_non_null(strstr(text, "ringstack_test_request_seconds_bucket{op=\"put\",le=\"0.000002\"} 0\n"
                                 "ringstack_test_request_seconds_bucket{op=\"put\",le=\"0.000004\"} 1\n"));
    assert_non_null(strstr(text, "ringstack_test_request_seconds_bucket{op=\"put\",le=\"+Inf\"} 1\n"));
    assert_non_null(strstr(text, "ringstack_test_request_seconds_count{op=\"get\"} 0\n"));
    const char *type = strstr(text, "# TYPE ringstack_test_request_seconds histogram\n");
    assert_non_null(type);
    assert_null(strstr(type + 1, "# TYPE ringstack_test_request_seconds histogram\n"));
    assert_non_null(strstr(text, "ringstack_process_resident_memory_bytes "));
    assert_non_null(strstr(text, "ringstack_process_cpu_seconds_total "));
    assert_non_null(strstr(text, "ringstack_process_open_fds "));
    free(text);
}

static void histogram__quantiles(void **state)
{
    static struct histogram h = { .name = "h", .help = "", .labels = "" };

    (void)state;
    assert_int_equal(histogram_quantile_us(&h, 0.5), 0);
    for (int i = 0; i < 90; i++)
        histogram_record(&h, 100);
    for (int i = 0; i < 10; i++)
        histogram_record(&h, 5000);
    assert_in_range(histogram_quantile_us(&h, 0.5), 65, 128);
    assert_in_range(histogram_quantile_us(&h, 0.99), 4097, 8192);
    histogram_record(&h, 0);
    histogram_record(&h, UINT64_MAX);   /* Into the last bucket. */
    assert_int_equal(h.bucket[HISTOGRAM_BUCKETS - 1], 1);
    assert_int_equal(h.count, 102);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error__names_texts_and_status),
        cmocka_unit_test(arena__gives_zeroed_aligned_memory),
        cmocka_unit_test(arena__limit_is_exact),
        cmocka_unit_test(arena__copies_text),
        cmocka_unit_test(buf__classes_and_limit),
        cmocka_unit_test(buf__lives_until_the_last_reference),
        cmocka_unit_test(buf__pool_is_bounded_and_gives_the_unused_back),
        cmocka_unit_test(buf__buffers_of_all_sizes_never_overlap),
        cmocka_unit_test_setup_teardown(log__writes_pairs, log_setup, log_teardown),
        cmocka_unit_test_setup_teardown(log__hostile_text_stays_in_its_line, log_setup, log_teardown),
        cmocka_unit_test_setup_teardown(log__long_line_is_cut, log_setup, log_teardown),
        cmocka_unit_test_setup_teardown(log__json, log_setup, log_teardown),
        cmocka_unit_test_setup_teardown(log__levels_and_debug_modules, log_setup, log_teardown),
        cmocka_unit_test(counter__counts_and_prints),
        cmocka_unit_test(histogram__quantiles),
    };
    return cmocka_run_group_tests_name("small", tests, NULL, NULL);
}
