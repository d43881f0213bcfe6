/* tests/proxy/http/server_limit_test.c - slow clients, too many of them, and the
 * end of the server. Time-outs are the server's own, shortened. */
#include "tests/proxy/http/fixture.h"

/* --- Time. --- */

static void test_slow_head(struct fixture *f)
{
    struct client c;

    open_client(f, &c);
    client_send(&c, "GET / HT");
    assert_int_equal(client_answer(&c, false, NULL, NULL), 408);
    client_read_to_end(&c);
    client_close(&c);
    open_client(f, &c);   /* Not even a byte: closed without a word. */
    client_read_to_end(&c);
    assert_int_equal(c.size, 0);
    client_close(&c);
}

static void server__slow_head_is_408(void **state)
{
    struct fixture f = { .limits.header_timeout_ms = 20 };
    (void)state;
    run(&f, test_slow_head);
}

static void test_idle(struct fixture *f)
{
    struct client c;

    open_client(f, &c);
    client_send(&c, GET("/a"));
    assert_int_equal(client_answer(&c, false, NULL, NULL), 200);
    client_read_to_end(&c);
    assert_int_equal(c.size, c.taken);
    client_close(&c);
}

static void server__idle_connections_are_closed(void **state)
{
    struct fixture warm = { .limits.idle_timeout_ms = 20 };
    struct fixture cold = { .limits.idle_timeout_ms = 270 };   /* After the buffer was given back. */
    (void)state;
    run(&warm, test_idle);
    run(&cold, test_idle);
}

static void test_slow_body(struct fixture *f)
{
    struct client c;

    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nhalf");
    assert_int_equal(client_answer(&c, false, NULL, NULL), 408);
    assert_int_equal(f->body_rc, -ETIMEDOUT);
    client_read_to_end(&c);
    client_close(&c);
    open_client(f, &c);
    client_send(&c, "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello");
    assert_int_equal(client_answer(&c, false, NULL, NULL), 408);
    client_read_to_end(&c);
    client_close(&c);
}

static void server__slow_body_times_out(void **state)
{
    struct fixture f = { .limits.body_timeout_ms = 20 };
    (void)state;
    run(&f, test_slow_body);
}

static void test_slow_reader(struct fixture *f)
{
    struct client c;

    open_client(f, &c);
    client_send(&c, GET("/endless"));
    while (f->write_rc == 0)
        task_sleep(NS_PER_MS);   /* The server's own time-out is what is waited for. */
    assert_int_equal(f->write_rc, -ETIMEDOUT);
    client_close(&c);
}

static void server__slow_reader_times_out(void **state)
{
    struct fixture f = { .limits.send_timeout_ms = 20 };
    (void)state;
    run(&f, test_slow_reader);
}

/* --- Overload and stopping. --- */

static void test_overload(struct fixture *f)
{
    struct client a, b;
    struct slice  head;

    open_client(f, &a);
    client_send(&a, GET("/hang"));
    assert_int_equal(event_wait(&f->entered, client_deadline(&a)), 0);
    open_client(f, &b);
    client_send(&b, GET("/a"));
    assert_int_equal(client_answer(&b, false, &head, NULL), 503);
    assert_true(slice_equal(client_header(head, "Retry-After"), SLICE("1")));
    event_set(&f->release);
    assert_int_equal(client_answer(&a, false, NULL, NULL), 200);
    client_send(&b, GET("/a"));   /* The connection was kept, and there is room again. */
    assert_int_equal(client_answer(&b, false, NULL, NULL), 200);
    client_close(&a);
    client_close(&b);
}

static void limit__requests_being_handled(void **state)
{
    struct fixture f = { .limits.requests_max = 1 };
    (void)state;
    run(&f, test_overload);
}

static void test_connections_max(struct fixture *f)
{
    struct client a, b, c;
    struct slice  head;

    open_client(f, &a);
    client_send(&a, GET("/a"));
    assert_int_equal(client_answer(&a, false, NULL, NULL), 200);
    open_client(f, &b);
    client_send(&b, GET("/a"));
    assert_int_equal(client_answer(&b, false, NULL, NULL), 200);
    open_client(f, &c);
    assert_int_equal(client_answer(&c, false, &head, NULL), 503);
    assert_non_null(client_header(head, "Retry-After").data);
    client_read_to_end(&c);
    client_close(&c);
    client_close(&b);
    while (http_server_connections(f->server) == 2)
        task_yield();
    open_client(f, &c);
    client_send(&c, GET("/a"));
    assert_int_equal(client_answer(&c, false, NULL, NULL), 200);
    client_close(&c);
    client_close(&a);
}

static void limit__connections(void **state)
{
    struct fixture f = { .limits.connections_max = 2 };
    (void)state;
    run(&f, test_connections_max);
}

static void stop_task(void *arg)
{
    struct fixture *f = arg;
    http_server_stop(f->server, env_now(f->env) + 10 * NS_PER_S);
}

static void test_graceful_stop(struct fixture *f)
{
    struct client idle, busy, late;
    struct slice  head;
    uint16_t      port = http_server_port(f->server);
    char          address[32];

    open_client(f, &idle);
    client_send(&idle, GET("/a"));
    assert_int_equal(client_answer(&idle, false, NULL, NULL), 200);
    open_client(f, &busy);
    client_send(&busy, GET("/hang") GET("/a"));
    assert_int_equal(event_wait(&f->entered, client_deadline(&busy)), 0);
    assert_int_equal(env_spawn(f->env, "stop", stop_task, f), 0);
    client_read_to_end(&idle);   /* Idle connections end at once, */
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    assert_int_not_equal(conn_connect(f->env, address, client_deadline(&idle), &late.conn, NULL), 0);
    event_set(&f->release);      /* and requests are finished. */
    assert_int_equal(client_answer(&busy, false, &head, NULL), 200);
    assert_true(slice_equal(client_header(head, "Connection"), SLICE("close")));
    assert_int_equal(client_answer(&busy, false, &head, NULL), -1);
    client_close(&idle);
    client_close(&busy);
}

static void server__stops_gracefully(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_graceful_stop);
}

static void test_stop_deadline(struct fixture *f)
{
    struct client c;

    open_client(f, &c);
    client_send(&c, GET("/hang"));
    assert_int_equal(event_wait(&f->entered, client_deadline(&c)), 0);
    http_server_stop(f->server, env_now(f->env));
    assert_int_equal(http_server_connections(f->server), 0);
    client_read_to_end(&c);
    client_close(&c);
}

static void server__stop_cancels_at_its_deadline(void **state)
{
    struct fixture f = { 0 };
    (void)state;
    run(&f, test_stop_deadline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server__slow_head_is_408),
        cmocka_unit_test(server__idle_connections_are_closed),
        cmocka_unit_test(server__slow_body_times_out),
        cmocka_unit_test(server__slow_reader_times_out),
        cmocka_unit_test(limit__requests_being_handled),
        cmocka_unit_test(limit__connections),
        cmocka_unit_test(server__stops_gracefully),
        cmocka_unit_test(server__stop_cancels_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
