/* tests/proxy/http/chunk_test.c - the framing of chunked bodies, in any pieces. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/private.h"

/* Decodes 'text', given 'step' bytes at a time; the data goes to 'out'. 0, an error, or -EAGAIN when it has no end;
 * '*ret_used' is what the body took. */
static int decode(struct slice text, size_t step, struct arena *arena, struct http_chunks *chunks, uint8_t *out,
                  size_t *ret_size, size_t *ret_used)
{
    size_t at = 0, given = 0, size = 0, used;

    *chunks = (struct http_chunks) { 0 };
    while (given < text.size || at < given) {
        if (at == given)
            given = given + step < text.size ? given + step : text.size;
        if (chunks->state == HTTP_CHUNK_DONE)
            break;
        if (chunks->state == HTTP_CHUNK_DATA) {
            size_t n = chunks->left < given - at ? (size_t)chunks->left : given - at;
            memcpy(out + size, text.data + at, n);
            http_chunks_data(chunks, n);
            size += n;
            at += n;
            continue;
        }
        int rc = http_chunks_step(chunks, arena, slice_of(text.data + at, given - at), &used);
        if (rc)
            return rc;
        at += used;
    }
    *ret_size = size;
    *ret_used = at;
    return chunks->state == HTTP_CHUNK_DONE ? 0 : -EAGAIN;
}

static int decode_text(const char *text)
{
    struct http_chunks  chunks;
    struct arena        arena;
    struct http_header *trailers;
    uint32_t            count;
    uint8_t             out[4096];
    size_t              size, used;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    int rc = decode(slice_str(text), SIZE_MAX / 2, &arena, &chunks, out, &size, &used);
    if (rc == 0)
        rc = http_chunks_trailers(&chunks, &arena, &trailers, &count);
    arena_done(&arena);
    return rc;
}

static void chunks__decode_in_any_pieces(void **state)
{
    static const char text[] = "5\r\nhello\r\n001;name=\"v\"\r\n,\r\nA\r\n0123456789\r\n0\r\nX-A: 1\r\nX-B:\t2 \r\n\r\nGET /";
    (void)state;

    for (size_t step = 1; step < sizeof text; step++) {
        struct http_chunks  chunks;
        struct http_header *trailers;
        struct arena        arena;
        uint8_t             out[64];
        uint32_t            count;
        size_t              size, used;

        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        assert_int_equal(decode(slice_of(text, sizeof text - 1), step, &arena, &chunks, out, &size, &used), 0);
        assert_int_equal(size, 16);
        assert_memory_equal(out, "hello,0123456789", 16);
        assert_int_equal(used, sizeof text - 1 - 5);   /* The next request is untouched. */
        assert_int_equal(http_chunks_trailers(&chunks, &arena, &trailers, &count), 0);
        assert_int_equal(count, 2);
        assert_true(slice_equal(trailers[0].name, SLICE("X-A")) && slice_equal(trailers[0].value, SLICE("1")));
        assert_true(slice_equal(trailers[1].name, SLICE("X-B")) && slice_equal(trailers[1].value, SLICE("2")));
        arena_done(&arena);
    }
}

static void chunks__bad_framing_is_refused(void **state)
{
    static const char *const cases[] = {
        "g\r\n", "\r\n", "-1\r\n", "+1\r\na\r\n0\r\n\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", "1\n", "1\r\ra", "1\r\naX\r\n",
        "1\r\na\n0\r\n\r\n", "1\r\na\r0\r\n\r\n", "1;a\nb\r\n", "1;a\x01\r\n", "0\r\n\n", "0\r\nA: b\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n", "0\r\n A: b\r\n\r\n", "0\r\nA b\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\n: b\r\n\r\n",
        "0\r\nA: \x01\r\n\r\n", "0\r\nA: b\r\r\n\r\n", "0\r\n\rX", "10000000000000000\r\n", "ffffffffffffffff\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = decode_text(cases[i]);
        if (rc != -E_SYNTAX)
            fail_msg("%d for case %zu: %s", rc, i, cases[i]);
    }
}

static void chunks__unfinished_bodies_want_more(void **state)
{
    static const char *const cases[] = { "", "5", "5\r", "5\r\nhell", "5\r\nhello", "5\r\nhello\r\n", "0\r\n",
                                         "0\r\n\r", "0\r\nA: b\r\n", "0\r\nA: b\r\n\r" };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(decode_text(cases[i]), -EAGAIN);
}

static void limit__chunk_line(void **state)
{
    char text[HTTP_CHUNK_LINE_MAX + 16];
    (void)state;

    for (int over = 0; over < 2; over++) {
        /* The CR counts, the LF does not. */
        memset(text, 'x', sizeof text);
        memcpy(text, "0;", 2);
        memcpy(text + HTTP_CHUNK_LINE_MAX - 1 + over, "\r\n\r\n", 5);
        assert_int_equal(decode_text(text), over ? -E_LIMIT : 0);
    }
}

static void limit__trailer_bytes(void **state)
{
    char *text = malloc(HTTP_TRAILER_BYTES_MAX + 64);
    (void)state;

    for (int over = 0; over < 2; over++) {
        /* What is kept: the line, its CRLF, and for a moment the CR of the empty line. */
        size_t value = HTTP_TRAILER_BYTES_MAX - strlen("A: \r\n\r") + (size_t)over;
        memcpy(text, "0\r\nA: ", 6);
        memset(text + 6, 'v', value);
        memcpy(text + 6 + value, "\r\n\r\n", 5);
        assert_int_equal(decode_text(text), over ? -E_LIMIT : 0);
    }
    free(text);
}

static void limit__trailer_count(void **state)
{
    char text[1024];
    (void)state;

    for (int over = 0; over < 2; over++) {
        size_t n = (size_t)snprintf(text, sizeof text, "0\r\n");
        for (int i = 0; i < 64 + over; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "A: b\r\n");
        snprintf(text + n, sizeof text - n, "\r\n");
        assert_int_equal(decode_text(text), over ? -E_LIMIT : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks__decode_in_any_pieces),
        cmocka_unit_test(chunks__bad_framing_is_refused),
        cmocka_unit_test(chunks__unfinished_bodies_want_more),
        cmocka_unit_test(limit__chunk_line),
        cmocka_unit_test(limit__trailer_bytes),
        cmocka_unit_test(limit__trailer_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
