/* tests/proxy/http/fixture.h - a server whose handler does what the path says, and
 * a test that talks to it from the same loop. */
#ifndef TESTS_PROXY_HTTP_FIXTURE_H
#define TESTS_PROXY_HTTP_FIXTURE_H

#include "tests/proxy/http/client.h"

#include "base/log.h"

/* What a test shares with its handler. */
struct fixture {
    struct env         *env;
    struct http_server *server;
    void (*test)(struct fixture *f);
    struct http_limits  limits;
    struct tls         *server_tls, *client_tls;
    bool                plain_ids;      /* Not Swift's. */
    struct event        entered, release;
    uint32_t            handled;
    int                 body_rc;        /* Of the last failed body read. */
    int                 write_rc;
    char                path[256];
    char                trace[TASK_TRACE_MAX];
};

static inline struct slice echo_body(struct fixture *f, struct http_request *rq)
{
    struct slice body = SLICE_NONE;

    f->body_rc = http_body_all(rq, 1024 * 1024, &body);
    return body;
}

static inline void stream(struct fixture *f, struct http_request *rq, uint64_t announced, uint64_t count, size_t piece)
{
    uint8_t *data = malloc(piece);

    memset(data, 'x', piece);
    http_reply_begin(rq, 200);
    f->write_rc = http_reply_stream(rq, announced);
    for (uint64_t at = 0; f->write_rc == 0 && at < count; at += piece)
        f->write_rc = http_reply_write(rq, slice_of(data, count - at < piece ? (size_t)(count - at) : piece));
    if (f->write_rc == 0)
        f->write_rc = http_reply_end(rq);
    free(data);
}

/* The path says what to do. */
static inline void handle(void *ctx, struct http_request *rq)
{
    struct fixture *f = ctx;
    struct slice    path = rq->path, body;

    f->handled++;
    snprintf(f->path, sizeof f->path, "%.*s", SLICE_ARG(path));
    snprintf(f->trace, sizeof f->trace, "%s", task_trace());
    if (slice_equal(path, SLICE("/nothing")))
        return;
    if (slice_equal(path, SLICE("/hang"))) {
        event_set(&f->entered);
        if (event_wait(&f->release, TASK_FOREVER) != 0)
            return;
    }
    if (slice_equal(path, SLICE("/chunked"))) {
        stream(f, rq, UINT64_MAX, 100000, 7777);
        return;
    }
    if (slice_equal(path, SLICE("/small-chunks"))) {
        stream(f, rq, UINT64_MAX, 12, 3);
        return;
    }
    if (slice_equal(path, SLICE("/sized"))) {
        stream(f, rq, 100000, 100000, 7777);
        return;
    }
    if (slice_equal(path, SLICE("/endless"))) {
        stream(f, rq, UINT64_MAX - 1, UINT64_MAX - 1, 65536);
        return;
    }
    if (slice_equal(path, SLICE("/short"))) {
        stream(f, rq, 10, 5, 5);
        return;
    }
    if (slice_equal(path, SLICE("/long"))) {
        stream(f, rq, 5, 10, 10);
        return;
    }
    if (slice_equal(path, SLICE("/abort"))) {
        http_reply_begin(rq, 200);
        http_reply_stream(rq, 100);
        http_reply_write(rq, SLICE("part"));
        http_reply_flush(rq);
        http_reply_abort(rq);
        return;
    }
    if (slice_equal(path, SLICE("/abort-early"))) {
        http_reply_begin(rq, 200);
        http_reply_stream(rq, 100);
        http_reply_write(rq, SLICE("part"));
        http_reply_abort(rq);
        return;
    }
    if (slice_equal(path, SLICE("/204")) || slice_equal(path, SLICE("/304"))) {
        http_reply_begin(rq, path.data[1] == '2' ? 204 : 304);
        http_reply_body(rq, NULL, SLICE("never sent"));
        return;
    }
    if (slice_equal(path, SLICE("/length-only"))) {
        http_reply_begin(rq, 200);
        f->write_rc = http_reply_length_only(rq, 5000000000);
        return;
    }
    if (slice_equal(path, SLICE("/headers"))) {
        http_reply_begin(rq, 500);
        http_reply_begin(rq, 200);   /* A change of mind. */
        assert_int_equal(http_reply_header(rq, "X-Good", SLICE("a\tb \xc3\xbc")), 0);
        assert_int_equal(http_reply_header(rq, "X-Bad", SLICE("a\r\nX-Evil: 1")), -E_SYNTAX);
        assert_int_equal(http_reply_header(rq, "X-Bad", slice_of("a\0b", 3)), -E_SYNTAX);
        assert_int_equal(http_reply_header(rq, "X Bad", SLICE("a")), -E_SYNTAX);
        assert_int_equal(http_reply_header(rq, "", SLICE("a")), -E_SYNTAX);
        assert_int_equal(http_reply_header(rq, "content-LENGTH", SLICE("1")), -EINVAL);
        assert_int_equal(http_reply_header(rq, "Transfer-Encoding", SLICE("chunked")), -EINVAL);
        assert_int_equal(http_reply_headerf(rq, "X-Long", "%0600d", 7), 0);
        http_reply_body(rq, "text/plain", SLICE("ok"));
        return;
    }
    if (slice_equal(path, SLICE("/head-limit"))) {
        char text[1024];
        int  rc = 0;
        memset(text, 'v', sizeof text);
        http_reply_begin(rq, 200);
        for (int i = 0; rc == 0 && i < 100; i++)
            rc = http_reply_header(rq, "X-Big", slice_of(text, sizeof text));
        f->write_rc = rc;
        http_reply_begin(rq, 507);
        http_reply_empty(rq);
        return;
    }
    if (slice_equal(path, SLICE("/ignore-body"))) {
        http_reply_begin(rq, 403);
        http_reply_body(rq, "text/plain", SLICE("no"));
        return;
    }
    body = echo_body(f, rq);
    if (f->body_rc) {
        http_reply_begin(rq, f->body_rc == -ETIMEDOUT ? 408 : f->body_rc == -E_LIMIT ? 413 : 400);
        http_reply_empty(rq);
        return;
    }
    http_reply_begin(rq, 200);
    if (http_trailer(rq, "X-Sum").data)
        http_reply_header(rq, "X-Sum", http_trailer(rq, "x-sum"));
    http_reply_body(rq, "text/plain", body);
}

static inline void body_of_test(struct env *env, void *arg)
{
    struct fixture *f = arg;
    struct error    err = { 0 };
    struct http_server_options options = { .name = "object", .swift_trans_id = !f->plain_ids, .tls = f->server_tls,
                                           .access_log = true, .limits = f->limits };

    f->env = env;
    f->server = http_server_new(env, &options, handle, f);
    if (http_server_listen(f->server, "127.0.0.1:0", &err) != 0)
        fail_msg("%s", err.text);
    f->test(f);
    http_server_stop(f->server, env_now(env) + 10 * NS_PER_S);
    assert_int_equal(http_server_connections(f->server), 0);
    f->server = http_server_free(f->server);
}

static inline void log_nowhere(void *arg, enum log_level level, const char *line)
{
    (void)arg, (void)level, (void)line;
}

static inline void run(struct fixture *f, void (*test)(struct fixture *f))
{
    f->test = test;
    log_set_sink(log_nowhere, NULL);
    assert_int_equal(kernel_main(&(struct kernel_options) { .io_threads = 1, .cpu_threads = 1 }, body_of_test, f), 0);
    log_set_sink(NULL, NULL);
}

static inline void open_client(struct fixture *f, struct client *c)
{
    client_open(c, f->env, http_server_port(f->server), f->client_tls);
}

#define HOST "Host: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static inline void assert_body(struct slice body, const char *text)
{
    assert_int_equal(body.size, strlen(text));
    assert_memory_equal(body.data, text, body.size);
}

#endif
