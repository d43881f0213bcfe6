/* tests/proxy/http/route_test.c - the route table, and metrics and health, over sockets. */
#include "tests/proxy/http/client.h"

#include "base/log.h"
#include "proxy/http/metrics.h"

struct fixture {
    struct env         *env;
    struct http_server *server;
    http_handler        handler;
    void               *ctx;
    void (*test)(struct fixture *f);
};

static void run_task(struct env *env, void *arg)
{
    struct fixture *f = arg;
    struct http_server_options options = { .name = "identity" };

    f->env = env;
    f->server = http_server_new(env, &options, f->handler, f->ctx);
    assert_int_equal(http_server_listen(f->server, "127.0.0.1:0", NULL), 0);
    f->test(f);
    http_server_stop(f->server, env_now(env) + 10 * NS_PER_S);
    f->server = http_server_free(f->server);
}

static void run(struct fixture *f)
{
    assert_int_equal(kernel_main(&(struct kernel_options) { .io_threads = 1, .cpu_threads = 1 }, run_task, f), 0);
}

/* --- Routes. --- */

static void say(void *ctx, struct http_request *rq, const struct http_params *params)
{
    char text[512] = "";

    for (uint32_t i = 0; i < params->count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "[%.*s]", SLICE_ARG(params->value[i]));
    snprintf(text + strlen(text), sizeof text - strlen(text), " %s%s", rq->action, (const char *)ctx);
    http_reply_begin(rq, 200);
    http_reply_body(rq, "text/plain", slice_str(text));
}

static void fail_json(void *ctx, struct http_request *rq, int status, const char *why)
{
    (void)ctx;
    http_reply_begin(rq, status);
    http_reply_body(rq, "text/plain", slice_str(why));
}

static const struct http_route routes[] = {
    { "GET", "/", say, "root" },
    { "GET", "/v3", say, "version" },
    { "GET", "/v3/users/{user_id}", say, "get_user" },
    { "PATCH", "/v3/users/{user_id}", say, "update_user" },
    { "HEAD", "/v3/auth/tokens", say, "check" },
    { "GET", "/v3/auth/tokens", say, "validate" },
    { "GET", "/v3/a/{one}/b/{two}", say, "two" },
};

static void handle_routes(void *ctx, struct http_request *rq)
{
    http_route(routes, sizeof routes / sizeof *routes, ctx, rq, fail_json);
}

static struct slice ask(struct fixture *f, struct client *c, const char *request, int status, struct slice *ret_head)
{
    char         text[512];
    struct slice body, head;

    (void)f;
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: h\r\n\r\n", request);
    client_send(c, text);
    assert_int_equal(client_answer(c, strncmp(request, "HEAD", 4) == 0, &head, &body), status);
    if (ret_head)
        *ret_head = head;
    return body;
}

static void assert_says(struct slice body, const char *text)
{
    if (body.size != strlen(text) || memcmp(body.data, text, body.size) != 0)
        fail_msg("'%.*s' instead of '%s'", SLICE_ARG(body), text);
}

static void test_routes(struct fixture *f)
{
    struct client c;
    struct slice  head;

    client_open(&c, f->env, http_server_port(f->server), NULL);
    assert_says(ask(f, &c, "GET /", 200, NULL), " root!");
    assert_says(ask(f, &c, "GET /v3", 200, NULL), " version!");
    assert_says(ask(f, &c, "GET /v3/", 200, NULL), " version!");
    assert_says(ask(f, &c, "GET /v3/users/u%2F1%20?x=y", 200, NULL), "[u/1 ] get_user!");
    assert_says(ask(f, &c, "PATCH /v3/users/1", 200, NULL), "[1] update_user!");
    assert_says(ask(f, &c, "GET /v3/a/x/b/y", 200, NULL), "[x][y] two!");
    ask(f, &c, "HEAD /v3/users/1", 200, &head);   /* Falls back to GET. */
    assert_true(slice_equal(client_header(head, "Content-Length"), SLICE("13")));
    ask(f, &c, "HEAD /v3/auth/tokens", 200, &head);   /* Has a row of its own. */
    assert_true(slice_equal(client_header(head, "Content-Length"), SLICE("7")));
    ask(f, &c, "GET /v3/users", 404, NULL);
    ask(f, &c, "GET /v3/users/", 404, NULL);
    ask(f, &c, "GET /v3/users//", 404, NULL);
    ask(f, &c, "GET /v3/users/1/2", 404, NULL);
    ask(f, &c, "GET //v3", 404, NULL);
    ask(f, &c, "GET /V3", 404, NULL);
    ask(f, &c, "DELETE /v3/users/1", 405, &head);
    assert_true(slice_equal(client_header(head, "Allow"), SLICE("GET, PATCH, HEAD")));
    ask(f, &c, "PUT /v3/auth/tokens", 405, &head);
    assert_true(slice_equal(client_header(head, "Allow"), SLICE("HEAD, GET")));
    ask(f, &c, "GET /1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7", 404, NULL);
    client_close(&c);
}

static void route__table_decides(void **state)
{
    struct fixture f = { .handler = handle_routes, .ctx = "!", .test = test_routes };
    (void)state;
    run(&f);
}

/* --- Metrics. --- */

static bool is_ready(void *ctx)
{
    return *(bool *)ctx;
}

static void test_metrics(struct fixture *f)
{
    struct metrics *metrics = f->ctx;
    struct client   c;
    struct slice    body, head;

    client_open(&c, f->env, http_server_port(f->server), NULL);
    ask(f, &c, "GET /healthz", 200, NULL);
    ask(f, &c, "GET /readyz", 503, NULL);
    *(bool *)metrics->ctx = true;
    ask(f, &c, "GET /readyz", 200, NULL);
    body = ask(f, &c, "GET /metrics", 200, &head);
    assert_true(slice_starts(client_header(head, "Content-Type"), SLICE("text/plain; version=0.0.4")));
    assert_non_null(memmem(body.data, body.size, "\nringstack_http_connections 1\n", 30));
    assert_non_null(memmem(body.data, body.size, "\nringstack_http_answers_5xx_total 1\n", 36));
    const char *count = "\nringstack_http_request_seconds_count{server=\"identity\",method=\"GET\"} 3\n";
    assert_non_null(memmem(body.data, body.size, count, strlen(count)));
    ask(f, &c, "POST /metrics", 405, NULL);
    ask(f, &c, "GET /", 404, NULL);
    client_close(&c);
}

static void metrics__count_what_was_answered(void **state)
{
    bool           ready = false;
    struct metrics metrics = { is_ready, &ready };
    struct fixture f = { .handler = metrics_handle, .ctx = &metrics, .test = test_metrics };
    (void)state;
    run(&f);
}

int main(void)
{
    /* Metrics first: they count from the start of the process. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics__count_what_was_answered),
        cmocka_unit_test(route__table_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
