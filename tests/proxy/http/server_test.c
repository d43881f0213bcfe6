/* tests/proxy/http/server_test.c - the server over loopback sockets: what goes in
 * byte by byte, what comes out, and when the connection ends. */
#include "tests/proxy/http/fixture.h"

#include <unistd.h>

/* --- Plain exchanges. --- */

static void test_keep_alive(struct fixture *f)
{
    struct client c;
    struct slice  head, body;

    open_client(f, &c);
    for (int i = 0; i < 3; i++) {
        client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
        assert_int_equal(client_answer(&c, false, &head, &body), 200);
        assert_body(body, "hello");
        struct slice id = client_header(head, "X-Trans-Id");
        assert_int_equal(id.size, 34);
        assert_memory_equal(id.data, "tx", 2);
        assert_true(slice_equal(id, client_header(head, "X-Openstack-Request-Id")));
        assert_true(slice_equal(id, slice_str(f->trace)));
        assert_int_equal(client_header(head, "Date").size, 29);
        assert_null(client_header(head, "Connection").data);
    }
    assert_int_equal(http_server_connections(f->server), 1);
    client_send(&c, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    assert_int_equal(client_answer(&c, false, &head, &body), 200);
    assert_true(slice_equal(client_header(head, "Connection"), SLICE("close")));
    client_read_to_end(&c);
    assert_int_equal(c.size, c.taken);
    client_close(&c);
}

static void server__keeps_a_connection(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_keep_alive);
}

static void test_ids(struct fixture *f)
{
    struct client c;
    struct slice  head;

    open_client(f, &c);
    client_send(&c, "GET / HTTP/1.1\r\n" HOST "X-Openstack-Request-Id: mine\r\nX-Trans-Id-Extra: a b/c\"\r\n\r\n");
    assert_int_equal(client_answer(&c, false, &head, NULL), 200);
    struct slice id = client_header(head, "X-Openstack-Request-Id");
    if (f->plain_ids) {
        assert_int_equal(id.size, 40);
        assert_memory_equal(id.data, "req-", 4);
        assert_null(client_header(head, "X-Trans-Id").data);
    } else {
        assert_int_equal(id.size, 34 + 7);
        assert_memory_equal(id.data + 34, "-a_b_c_", 7);
    }
    client_send(&c, "GET / HTTP/1.1\r\n" HOST "X-Trans-Id-Extra: 0123456789012345678901234567890123456789\r\n\r\n");
    assert_int_equal(client_answer(&c, false, &head, NULL), 200);
    if (!f->plain_ids)
        assert_int_equal(client_header(head, "X-Trans-Id").size, 34 + 1 + HTTP_TRANS_ID_EXTRA_MAX);
    client_close(&c);
}

static void server__request_ids_are_its_own(void **state)
{
    struct fixture swift = { 0 }, plain = { .plain_ids = true };
    (void)state;
    run(&swift, test_ids);
    run(&plain, test_ids);
}

static void test_pipeline(struct fixture *f)
{
    struct client c;
    struct slice  body;

    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\none\r\n"   /* A stray empty line. */
                    "PUT /b HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
                    GET("/sized") GET("/small-chunks")
                    "PUT /ignore-body HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nunread"
                    "PUT /c HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nthr");
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_body(body, "one");
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_body(body, "two");
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_int_equal(body.size, 100000);
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_body(body, "c\r\nxxxxxxxxxxxx\r\n0\r\n\r\n");
    assert_int_equal(client_answer(&c, false, NULL, &body), 403);
    client_send(&c, "ee");
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_body(body, "three");
    client_close(&c);
}

static void server__answers_pipelined_requests_in_order(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_pipeline);
}

static void test_byte_by_byte(struct fixture *f)
{
    static const char text[] = "\r\nPUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                               "3;x=y\r\none\r\n2\r\nto\r\n0\r\nX-Sum: 42\r\n\r\n" GET("/b");
    struct client c;
    struct slice  head, body;

    open_client(f, &c);
    for (size_t i = 0; i < sizeof text - 1; i++)
        assert_int_equal(client_try_send(&c, text + i, 1), 0);
    assert_int_equal(client_answer(&c, false, &head, &body), 200);
    assert_body(body, "oneto");
    assert_true(slice_equal(client_header(head, "X-Sum"), SLICE("42")));
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    client_close(&c);
}

static void server__takes_bytes_one_by_one(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_byte_by_byte);
}

static void test_large(struct fixture *f)
{
    enum { SIZE = 1024 * 1024 };
    char         *data = malloc(SIZE);
    char          line[128];
    struct client c;
    struct slice  body;

    for (size_t i = 0; i < SIZE; i++)
        data[i] = (char)('a' + i * 7 % 26);
    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n");
    assert_int_equal(client_try_send(&c, data, SIZE), 0);
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_int_equal(body.size, SIZE);
    assert_memory_equal(body.data, data, SIZE);

    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, n = 1; at < SIZE; at += n, n = n * 3 + 1) {
        if (n > SIZE - at)
            n = SIZE - at;
        snprintf(line, sizeof line, "%zX\r\n", n);
        client_send(&c, line);
        assert_int_equal(client_try_send(&c, data + at, n), 0);
        client_send(&c, "\r\n");
    }
    client_send(&c, "0\r\n\r\n");
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_int_equal(body.size, SIZE);
    assert_memory_equal(body.data, data, SIZE);

    /* One byte more than the handler takes: known beforehand, and found out on the way. */
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n");
    assert_int_equal(client_answer(&c, false, NULL, &body), 413);
    client_close(&c);
    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100001\r\n");
    client_try_send(&c, data, SIZE);
    client_try_send(&c, "x\r\n0\r\n\r\n", 8);
    assert_int_equal(client_answer(&c, false, NULL, &body), 413);
    client_close(&c);
    free(data);
}

static void server__carries_large_bodies(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_large);
}

/* A head that nearly fills its buffer leaves no room for chunk lines: it is set aside, and stays valid. */
static void test_head_fills_buffer(struct fixture *f)
{
    struct client c;
    struct slice  body;
    char          text[16384];

    for (size_t size = 7000; size < 9000; size += 31) {
        size_t n = (size_t)snprintf(text, sizeof text, "PUT /%zu HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nX-Pad: ", size);
        memset(text + n, 'p', size - n);
        memcpy(text + size, "\r\n\r\n", 5);
        open_client(f, &c);
        client_send(&c, text);
        client_send(&c, "5\r\nhel");
        client_send(&c, "lo\r\n6\r\n world\r\n0\r\n\r\n");
        assert_int_equal(client_answer(&c, false, NULL, &body), 200);
        assert_body(body, "hello world");
        assert_int_equal(strtoul(f->path + 1, NULL, 10), size);
        client_close(&c);
    }
}

static void server__head_may_fill_its_buffer(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_head_fills_buffer);
}

/* --- What is not sent. --- */

static void test_head_rules(struct fixture *f)
{
    struct client c;
    struct slice  head, body;

    open_client(f, &c);
    client_send(&c, "HEAD /sized HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_answer(&c, true, &head, NULL), 200);
    assert_true(slice_equal(client_header(head, "Content-Length"), SLICE("100000")));
    client_send(&c, "HEAD /chunked HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_answer(&c, true, &head, NULL), 200);
    assert_true(slice_equal(client_header(head, "Transfer-Encoding"), SLICE("chunked")));
    client_send(&c, "HEAD /ignore-body HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_answer(&c, true, &head, NULL), 403);
    assert_true(slice_equal(client_header(head, "Content-Length"), SLICE("2")));
    client_send(&c, "HEAD /length-only HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_answer(&c, true, &head, NULL), 200);
    assert_true(slice_equal(client_header(head, "Content-Length"), SLICE("5000000000")));
    client_send(&c, GET("/204"));
    assert_int_equal(client_answer(&c, false, &head, NULL), 204);
    assert_null(client_header(head, "Content-Length").data);
    client_send(&c, GET("/304"));
    assert_int_equal(client_answer(&c, false, &head, NULL), 304);
    assert_null(client_header(head, "Content-Length").data);
    client_send(&c, GET("/a"));
    assert_int_equal(client_answer(&c, false, &head, &body), 200);
    assert_int_equal(body.size, 0);
    assert_int_equal(c.size, c.taken);
    client_send(&c, GET("/length-only"));   /* Only HEAD may announce without sending: the handler's mistake. */
    assert_int_equal(client_answer(&c, false, &head, NULL), 500);
    assert_int_equal(f->write_rc, -EINVAL);
    client_close(&c);
}

static void server__sends_no_body_where_there_is_none(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_head_rules);
}

static void test_http10(struct fixture *f)
{
    struct client c;
    struct slice  head, body;

    open_client(f, &c);
    client_send(&c, "GET /sized HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(client_answer(&c, false, &head, &body), 200);
    assert_true(slice_equal(client_header(head, "Connection"), SLICE("keep-alive")));
    client_send(&c, "GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_int_equal(client_head(&c, &head), 200);
    assert_true(slice_equal(client_header(head, "Connection"), SLICE("close")));
    assert_null(client_header(head, "Transfer-Encoding").data);
    client_read_to_end(&c);
    assert_int_equal(c.size - c.taken, 100000);
    client_close(&c);

    open_client(f, &c);
    client_send(&c, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(client_answer(&c, false, &head, &body), 200);
    client_read_to_end(&c);
    client_close(&c);
}

static void server__speaks_http_1_0(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_http10);
}

static void test_reply_headers(struct fixture *f)
{
    struct client c;
    struct slice  head, body;

    open_client(f, &c);
    client_send(&c, GET("/headers"));
    assert_int_equal(client_answer(&c, false, &head, &body), 200);
    assert_body(body, "ok");
    assert_true(slice_equal(client_header(head, "X-Good"), SLICE("a\tb \xc3\xbc")));
    assert_int_equal(client_header(head, "X-Long").size, 600);
    assert_null(client_header(head, "X-Evil").data);
    assert_null(client_header(head, "X-Bad").data);
    client_send(&c, GET("/head-limit"));
    assert_int_equal(client_answer(&c, false, &head, &body), 507);
    assert_int_equal(f->write_rc, -E_LIMIT);
    client_close(&c);
}

static void server__refuses_bad_answer_headers(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_reply_headers);
}

static void test_handler_mistakes(struct fixture *f)
{
    struct client c;
    struct slice  body;

    open_client(f, &c);
    client_send(&c, GET("/nothing"));
    assert_int_equal(client_answer(&c, false, NULL, &body), 500);
    client_send(&c, GET("/abort-early"));   /* Nothing was sent yet: there can be an answer. */
    assert_int_equal(client_answer(&c, false, NULL, &body), 500);
    client_send(&c, GET("/long"));          /* More than announced. */
    assert_int_equal(client_answer(&c, false, NULL, &body), 500);
    assert_int_equal(f->write_rc, -E_LIMIT);
    client_send(&c, GET("/short"));
    assert_int_equal(client_answer(&c, false, NULL, &body), 500);
    client_send(&c, GET("/abort"));
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_true(body.size < 100);
    client_read_to_end(&c);                 /* Closed: the client sees that it is short. */
    client_close(&c);
}

static void server__never_fakes_a_whole_answer(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_handler_mistakes);
}

/* --- Expect. --- */

static void test_continue(struct fixture *f)
{
    struct client c;
    struct slice  head, body;

    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(client_answer(&c, false, NULL, NULL), 100);
    client_send(&c, "hello");
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_body(body, "hello");
    /* A client that does not wait for it gets none. */
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    /* An empty body is never waited for; the interim answer comes with the final one, and the connection goes on. */
    for (int i = 0; i < 2; i++) {
        client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n");
        assert_int_equal(client_answer(&c, false, NULL, NULL), 100);
        assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    }
    /* Nor is it sent before a final answer that does not need the body. */
    client_send(&c, "PUT /ignore-body HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(client_answer(&c, false, &head, &body), 403);
    assert_true(slice_equal(client_header(head, "Connection"), SLICE("close")));
    client_read_to_end(&c);
    assert_int_equal(c.size, c.taken);
    client_close(&c);

    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(client_answer(&c, false, NULL, NULL), 100);
    client_send(&c, "2\r\nhi\r\n0\r\n\r\n");
    assert_int_equal(client_answer(&c, false, NULL, &body), 200);
    assert_body(body, "hi");
    client_close(&c);
}

static void server__says_continue_when_the_body_is_wanted(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_continue);
}

/* --- Bodies that nobody read. --- */

static void test_unread(struct fixture *f)
{
    struct client c;
    struct slice  head;
    char         *data = calloc(1, HTTP_DRAIN_BYTES_MAX * 4);
    char          line[128];

    for (int over = 0; over < 2; over++) {
        size_t size = HTTP_DRAIN_BYTES_MAX + (size_t)over;
        snprintf(line, sizeof line, "PUT /ignore-body HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", size);
        open_client(f, &c);
        client_send(&c, line);
        assert_int_equal(client_try_send(&c, data, size), 0);
        client_try_send(&c, GET("/a"), strlen(GET("/a")));
        assert_int_equal(client_answer(&c, false, &head, NULL), 403);
        if (over)
            assert_true(slice_equal(client_header(head, "Connection"), SLICE("close")));
        assert_int_equal(client_answer(&c, false, NULL, NULL), over ? -1 : 200);
        client_close(&c);
    }
    open_client(f, &c);
    client_send(&c, "PUT /ignore-body HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" GET("/a"));
    assert_int_equal(client_answer(&c, false, &head, NULL), 403);
    assert_int_equal(client_answer(&c, false, &head, NULL), 200);
    client_send(&c, "PUT /ignore-body HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n40000\r\n");
    assert_int_equal(client_try_send(&c, data, 0x40000), 0);
    assert_int_equal(client_answer(&c, false, &head, NULL), 403);
    assert_int_equal(client_answer(&c, false, &head, NULL), -1);
    client_close(&c);
    free(data);
}

static void server__drains_a_little_and_closes_on_much(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_unread);
}

static void test_client_leaves(struct fixture *f)
{
    struct client c;

    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nhalf");
    conn_end(c.conn);
    client_read_to_end(&c);
    assert_int_equal(f->body_rc, -E_CLOSED);
    client_close(&c);

    f->body_rc = 0;
    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    conn_end(c.conn);
    client_read_to_end(&c);
    assert_int_equal(f->body_rc, -E_CLOSED);
    client_close(&c);

    open_client(f, &c);
    client_send(&c, GET("/endless"));
    assert_int_equal(client_head(&c, NULL), 200);
    client_close(&c);
    while (http_server_requests(f->server) > 0)
        task_yield();
    assert_int_equal(f->write_rc, -E_CLOSED);
}

static void server__notices_that_the_client_left(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_client_leaves);
}

static void test_bad_chunk(struct fixture *f)
{
    struct client c;

    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n" GET("/a"));
    assert_int_equal(client_answer(&c, false, NULL, NULL), 400);
    assert_int_equal(f->body_rc, -E_SYNTAX);
    assert_int_equal(client_answer(&c, false, NULL, NULL), -1);   /* What follows is not a request. */
    assert_int_equal(f->handled, 1);
    client_close(&c);
}

static void server__bad_chunk_ends_the_connection(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_bad_chunk);
}

/* --- Malformed heads. --- */

static void test_malformed(struct fixture *f)
{
    static const struct { int status; const char *text; } cases[] = {
        { 400, "nonsense\r\n\r\n" }, { 400, "\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n" }, { 400, "\x16\x03\x01\x02" },
        { 400, "GET / HTTP/1.1\nHost: h\n\n" }, { 400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n" },
        { 400, "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { 501, "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n" },
        { 505, "GET / HTTP/2.0\r\n" HOST "\r\n" },
    };
    struct slice head, body;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client c;
        open_client(f, &c);
        client_send(&c, cases[i].text);
        assert_int_equal(client_answer(&c, false, &head, &body), cases[i].status);
        assert_true(slice_equal(client_header(head, "Connection"), SLICE("close")));
        assert_int_equal(client_header(head, "X-Trans-Id").size, 34);
        assert_true(body.size > 10);
        client_read_to_end(&c);
        client_close(&c);
    }
    assert_int_equal(f->handled, 0);
}

static void server__malformed_heads_are_answered_and_closed(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_malformed);
}

/* --- TLS. --- */

static void server__speaks_tls(void **state)
{
    char           dir[] = "/tmp/http_test.XXXXXX", cert[64], key[64], command[512];
    struct fixture f = { 0 };
    (void)state;

    assert_non_null(mkdtemp(dir));
    snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    snprintf(command, sizeof command, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
             "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout %s -out %s 2>/dev/null",
             key, cert);
    assert_int_equal(system(command), 0);
    struct tls_options server = { .cert_file = cert, .key_file = key }, client = { .ca_file = cert };
    assert_int_equal(tls_new_server(&server, &f.server_tls, NULL), 0);
    assert_int_equal(tls_new_client(&client, &f.client_tls, NULL), 0);
    run(&f, test_keep_alive);
    f.handled = 0;
    run(&f, test_pipeline);
    run(&f, test_large);
    f.body_rc = f.write_rc = 0;
    run(&f, test_handler_mistakes);

    /* Plain bytes to a TLS port: no answer that could be mistaken, and no harm. */
    tls_free(f.client_tls);
    tls_free(f.server_tls);
    unlink(cert);
    unlink(key);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server__keeps_a_connection),
        cmocka_unit_test(server__request_ids_are_its_own),
        cmocka_unit_test(server__answers_pipelined_requests_in_order),
        cmocka_unit_test(server__takes_bytes_one_by_one),
        cmocka_unit_test(server__carries_large_bodies),
        cmocka_unit_test(server__head_may_fill_its_buffer),
        cmocka_unit_test(server__sends_no_body_where_there_is_none),
        cmocka_unit_test(server__speaks_http_1_0),
        cmocka_unit_test(server__refuses_bad_answer_headers),
        cmocka_unit_test(server__never_fakes_a_whole_answer),
        cmocka_unit_test(server__says_continue_when_the_body_is_wanted),
        cmocka_unit_test(server__drains_a_little_and_closes_on_much),
        cmocka_unit_test(server__notices_that_the_client_left),
        cmocka_unit_test(server__bad_chunk_ends_the_connection),
        cmocka_unit_test(server__malformed_heads_are_answered_and_closed),
        cmocka_unit_test(server__speaks_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
