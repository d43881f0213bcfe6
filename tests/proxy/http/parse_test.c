/* tests/proxy/http/parse_test.c - request heads, one malformed byte at a time. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/private.h"

/* Parses a whole head from a copy that ends exactly with it, so that the sanitizer sees an overrun. Returns the
 * status of the refusal, 0, or -1 when the head is not complete. */
struct parsed {
    struct http_head    head;
    struct http_request rq;
    uint8_t            *copy;
};

static int parse_bytes(struct parsed *p, const void *data, size_t size, bool swift)
{
    struct http_refusal refusal = { 0 };

    memset(p, 0, sizeof *p);
    p->copy = malloc(size + 1);
    memcpy(p->copy, data, size);
    p->copy = realloc(p->copy, size ? size : 1);
    arena_init(&p->rq.arena, ARENA_LIMIT_DEFAULT);
    int rc = http_head_scan(&p->head, slice_of(p->copy, size), &refusal);
    if (rc == 0)
        rc = http_head_parse(&p->head, slice_of(p->copy, p->head.size), swift, &p->rq, &refusal);
    if (rc == -EAGAIN)
        return -1;
    if (rc == 0)
        return 0;
    assert_int_equal(rc, -E_SYNTAX);
    assert_non_null(refusal.why);
    return refusal.status;
}

static void parsed_done(struct parsed *p)
{
    arena_done(&p->rq.arena);
    free(p->copy);
}

static int status_of(const char *text)
{
    struct parsed p;
    int           status = parse_bytes(&p, text, strlen(text), true);

    parsed_done(&p);
    return status;
}

static void assert_slice(struct slice s, const char *text)
{
    assert_non_null(s.data);
    assert_int_equal(s.size, strlen(text));
    assert_memory_equal(s.data, text, s.size);
}

#define HOST "Host: h\r\n"

static void head__fields_of_a_request(void **state)
{
    static const char text[] = "PUT /v1/AUTH_a/c%20d/o%2Fp?format=json&x&prefix=a+b%26&empty= HTTP/1.1\r\n"
                               "Host: cloud.example:8080\r\nX-Auth-Token:  tok \t\r\nX-Empty:\r\n"
                               "X-Object-Meta-A: 1\r\nx-object-meta-b:2\r\nContent-Length: 12\r\n"
                               "Expect: 100-Continue\r\n\r\nbody";
    struct parsed      p;
    struct http_header header;
    uint32_t           at = 0;
    (void)state;

    assert_int_equal(parse_bytes(&p, text, sizeof text - 1, true), 0);
    assert_int_equal(p.head.size, sizeof text - 1 - 4);
    assert_slice(p.rq.method, "PUT");
    assert_slice(p.rq.path, "/v1/AUTH_a/c d/o/p");
    assert_slice(p.rq.raw_path, "/v1/AUTH_a/c%20d/o%2Fp");
    assert_slice(p.rq.raw_query, "format=json&x&prefix=a+b%26&empty=");
    assert_slice(http_query(&p.rq, "format"), "json");
    assert_slice(http_query(&p.rq, "prefix"), "a b&");
    assert_slice(http_query(&p.rq, "x"), "");
    assert_slice(http_query(&p.rq, "empty"), "");
    assert_null(http_query(&p.rq, "none").data);
    assert_slice(p.rq.host, "cloud.example:8080");
    assert_slice(http_header(&p.rq, "x-auth-token"), "tok");
    assert_slice(http_header(&p.rq, "X-EMPTY"), "");
    assert_null(http_header(&p.rq, "X-None").data);
    assert_true(p.rq.has_length && p.rq.content_length == 12 && p.rq.expect_continue && !p.rq.chunked);
    assert_true(p.head.keep_alive && !p.head.http10);
    assert_true(http_header_prefix(&p.rq, "X-Object-Meta-", &at, &header));
    assert_slice(header.value, "1");
    assert_true(http_header_prefix(&p.rq, "X-Object-Meta-", &at, &header));
    assert_slice(header.name, "x-object-meta-b");
    assert_false(http_header_prefix(&p.rq, "X-Object-Meta-", &at, &header));
    parsed_done(&p);
}

static void head__connection_and_version_decide_keep_alive(void **state)
{
    static const struct { const char *text; bool keep; } cases[] = {
        { "GET / HTTP/1.1\r\n" HOST "\r\n", true },
        { "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false },
        { "GET / HTTP/1.1\r\n" HOST "Connection: x, CLOSE\r\n\r\n", false },
        { "GET / HTTP/1.1\r\n" HOST "Connection: close, keep-alive\r\n\r\n", false },
        { "GET / HTTP/1.0\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true },
        { "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parsed p;
        assert_int_equal(parse_bytes(&p, cases[i].text, strlen(cases[i].text), true), 0);
        if (p.head.keep_alive != cases[i].keep)
            fail_msg("keep-alive of: %s", cases[i].text);
        parsed_done(&p);
    }
}

static void head__good_requests_are_accepted(void **state)
{
    static const char *const cases[] = {
        "GET / HTTP/1.1\r\n" HOST "\r\n",
        "GET /?a=b HTTP/1.1\r\nhOsT: h\r\n\r\n",
        "GET http://other:1/x?y HTTP/1.1\r\n" HOST "\r\n",
        "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
        "COPY /v1/a/c/o HTTP/1.1\r\n" HOST "Destination: c/p\r\n\r\n",
        "GET /v1/a/c/\xc3\xbc HTTP/1.1\r\n" HOST "\r\n",   /* As curl sends it; the bytes are clear. */
        "GET / HTTP/1.1\r\n" HOST "X: \xc3\xbc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n",
        "PUT / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n",
        "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = status_of(cases[i]);
        if (status)
            fail_msg("%d for: %s", status, cases[i]);
    }
}

static void head__bad_requests_are_refused(void **state)
{
    static const struct { int status; const char *text; } cases[] = {
        /* The request line. */
        { 400, "\x16\x03\x01" },
        { 400, " GET / HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET  / HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /  HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET / HTTP/1.1 \r\n" HOST "\r\n" },
        { 400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /\r\n\r\n" },
        { 400, "GET / FTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET / http/1.1\r\n" HOST "\r\n" },
        { 400, "GET / HTTP/1.10\r\n" HOST "\r\n" },
        { 400, "GE(T / HTTP/1.1\r\n" HOST "\r\n" },
        { 501, "BREW / HTTP/1.1\r\n" HOST "\r\n" },
        { 501, "get / HTTP/1.1\r\n" HOST "\r\n" },
        { 505, "GET / HTTP/2.0\r\n" HOST "\r\n" },
        { 505, "GET / HTTP/0.9\r\n" HOST "\r\n" },
        { 505, "PRI * HTTP/2.0\r\n\r\n" },
        /* The target. */
        { 400, "GET x HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET * HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /%zz HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /%2 HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /?a=%2 HTTP/1.1\r\n" HOST "\r\n" },
        { 412, "GET /%00 HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET http:///x HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n" },
        /* Lines. */
        { 400, "GET / HTTP/1.1\n" HOST "\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: h\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: h\r\n\n" },
        { 400, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n Host: h\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n" },
        /* Headers. */
        { 400, "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A(: b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "\xc3\xbc: b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n" },
        { 400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n" },
        /* The body's length. */
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5 5\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n" },
        { 413, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" },
        { 400, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { 501, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n" },
        { 501, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n" },
        { 501, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n" },
        { 501, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n" },
        { 501, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b" "chunked\r\n\r\n" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = status_of(cases[i].text);
        if (status != cases[i].status)
            fail_msg("%d instead of %d for: %s", status, cases[i].status, cases[i].text);
    }
}

static void head__nul_bytes_are_refused(void **state)
{
    static const char in_value[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n";
    static const char in_target[] = "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n";
    struct parsed p;
    (void)state;

    assert_int_equal(parse_bytes(&p, in_value, sizeof in_value - 1, true), 400);
    parsed_done(&p);
    assert_int_equal(parse_bytes(&p, in_target, sizeof in_target - 1, true), 400);
    parsed_done(&p);
}

/* The scanner may be called after any number of bytes. */
static void head__arrives_in_any_pieces(void **state)
{
    static const char text[] = "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    size_t            end = sizeof text - 1 - 3;
    (void)state;

    for (size_t step = 1; step < end; step++) {
        struct http_head    head = { 0 };
        struct http_refusal refusal;
        size_t              have = 0;
        int                 rc = -EAGAIN;
        while (rc == -EAGAIN) {
            have = have + step < sizeof text - 1 ? have + step : sizeof text - 1;
            rc = http_head_scan(&head, slice_of(text, have), &refusal);
            assert_true(rc == 0 || have < end);
        }
        assert_int_equal(rc, 0);
        assert_int_equal(head.size, end);
    }
}

static void head__absolute_form_replaces_the_host(void **state)
{
    static const char text[] = "GET HTTP://other:81/x?y=z HTTP/1.1\r\nHost: h\r\n\r\n";
    struct parsed p;
    (void)state;

    assert_int_equal(parse_bytes(&p, text, sizeof text - 1, true), 0);
    assert_slice(p.rq.host, "other:81");
    assert_slice(p.rq.path, "/x");
    assert_slice(http_query(&p.rq, "y"), "z");
    parsed_done(&p);
}

/* --- Limits: at the limit, and one past it. --- */

static char *repeat(const char *head, char c, size_t count, const char *tail)
{
    size_t a = strlen(head), b = strlen(tail);
    char  *text = malloc(a + count + b + 1);

    memcpy(text, head, a);
    memset(text + a, c, count);
    memcpy(text + a + count, tail, b + 1);
    return text;
}

static int status_of_repeat(const char *head, size_t count, const char *tail)
{
    char *text = repeat(head, 'a', count, tail);
    int   status = status_of(text);

    free(text);
    return status;
}

static void limit__request_line(void **state)
{
    size_t fixed = strlen("GET / HTTP/1.1\r\n");
    (void)state;

    assert_int_equal(status_of_repeat("GET /", HTTP_LINE_MAX - fixed, " HTTP/1.1\r\n" HOST "\r\n"), 0);
    assert_int_equal(status_of_repeat("GET /", HTTP_LINE_MAX - fixed + 1, " HTTP/1.1\r\n" HOST "\r\n"), 414);
    assert_int_equal(status_of_repeat("GET /", HTTP_LINE_MAX + 1, ""), 414);   /* Before its end is seen. */
}

static void limit__header_bytes(void **state)
{
    /* All that follows the request line's text counts. */
    size_t fixed = strlen("\r\n" HOST "A: \r\n\r\n");
    (void)state;

    assert_int_equal(status_of_repeat("GET / HTTP/1.1\r\n" HOST "A: ", HTTP_HEADER_BYTES_MAX - fixed, "\r\n\r\n"), 0);
    assert_int_equal(status_of_repeat("GET / HTTP/1.1\r\n" HOST "A: ", HTTP_HEADER_BYTES_MAX - fixed + 1, "\r\n\r\n"),
                     431);
    assert_int_equal(status_of_repeat("GET / HTTP/1.1\r\n" HOST "A: ", HTTP_LINE_MAX + HTTP_HEADER_BYTES_MAX, ""),
                     431);
}

static void limit__header_count(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        char   text[64 + 8 * (HTTP_HEADERS_MAX + 1)];
        size_t n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST);
        for (int i = 1; i < HTTP_HEADERS_MAX + over; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "A: b\r\n");
        snprintf(text + n, sizeof text - n, "\r\n");
        assert_int_equal(status_of(text), over ? 431 : 0);
    }
}

static void limit__query_parameters(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        char   text[64 + 4 * (HTTP_QUERY_MAX + 1)];
        size_t n = (size_t)snprintf(text, sizeof text, "GET /?");
        for (int i = 0; i < HTTP_QUERY_MAX + over; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%sa", i ? "&" : "");
        snprintf(text + n, sizeof text - n, " HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(status_of(text), over ? 400 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head__fields_of_a_request),
        cmocka_unit_test(head__connection_and_version_decide_keep_alive),
        cmocka_unit_test(head__good_requests_are_accepted),
        cmocka_unit_test(head__bad_requests_are_refused),
        cmocka_unit_test(head__nul_bytes_are_refused),
        cmocka_unit_test(head__arrives_in_any_pieces),
        cmocka_unit_test(head__absolute_form_replaces_the_host),
        cmocka_unit_test(limit__request_line),
        cmocka_unit_test(limit__header_bytes),
        cmocka_unit_test(limit__header_count),
        cmocka_unit_test(limit__query_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
