/* tests/bench/http_bench.c - a server whose handlers do nothing, to measure what
 * the HTTP edge itself costs: GET answers 4 KiB, or /SIZE bytes; PUT reads its
 * body. Usage: http_bench ADDR:PORT [CERT KEY]. Ends at SIGTERM or SIGINT. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env_kernel.h"
#include "proxy/http/http.h"

enum { UNIT_BYTES = 256 * 1024 };

static uint8_t payload[UNIT_BYTES];

static void get(struct http_request *rq)
{
    uint64_t size = strtoull((const char *)rq->path.data + 1, NULL, 10);

    if (size == 0)
        size = 4096;
    http_reply_begin(rq, 200);
    http_reply_header(rq, "ETag", SLICE("\"0123456789abcdef0123456789abcdef\""));
    http_reply_header(rq, "Content-Type", SLICE("application/octet-stream"));
    if (http_reply_stream(rq, size) != 0)
        return;
    for (uint64_t at = 0; at < size;) {
        uint64_t n = size - at < UNIT_BYTES ? size - at : UNIT_BYTES;
        if (http_reply_write(rq, slice_of(payload, n)) != 0)
            return;
        at += n;
    }
    http_reply_end(rq);
}

static void put(struct http_request *rq)
{
    struct buf *buf = buf_new(UNIT_BYTES);
    size_t      size = 1;

    while (size > 0)
        if (http_body_read(rq, buf->data, buf->capacity, &size) != 0)
            break;
    buf_unref(buf);
    http_reply_begin(rq, 201);
    http_reply_empty(rq);
}

static void handle(void *ctx, struct http_request *rq)
{
    (void)ctx;
    if (slice_equal(rq->method, SLICE("PUT")))
        put(rq);
    else
        get(rq);
}

static void stop(void *arg)
{
    kernel_stop(arg);
}

int main(int argc, char **argv)
{
    struct env        *env;
    struct error       err = { 0 };
    struct tls        *tls = NULL;
    struct tls_options files = { .cert_file = argc > 3 ? argv[2] : NULL, .key_file = argc > 3 ? argv[3] : NULL };

    if (argc < 2 || kernel_new(&(struct kernel_options) { 0 }, &env, &err) != 0 ||
        (files.key_file && tls_new_server(&files, &tls, &err) != 0)) {
        fprintf(stderr, "http_bench: %s\n", argc < 2 ? "usage: http_bench ADDR:PORT [CERT KEY]" : err.text);
        return 2;
    }
    struct http_server_options options = { .name = "object", .swift_trans_id = true, .tls = tls };
    struct http_server        *server = http_server_new(env, &options, handle, NULL);
    if (!server || http_server_listen(server, argv[1], &err) != 0) {
        fprintf(stderr, "http_bench: %s\n", err.text);
        return 1;
    }
    kernel_on_signal(env, SIGTERM, stop, env);
    kernel_on_signal(env, SIGINT, stop, env);
    printf("listening on port %u\n", http_server_port(server));
    fflush(stdout);
    kernel_run(env);
    http_server_free(server);
    tls_free(tls);
    kernel_free(env);
    return 0;
}
