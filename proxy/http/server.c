/* proxy/http/server.c - listening, connections, and the life of a request.
 *
 * One task accepts; each connection is a task of its own:
 *
 *   wait (no buffer held) -> read head -> parse -> handler -> reply -> drain -> wait ...
 *
 * All tasks are in env->group, so that the end of the node ends them too. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/http/private.h"

enum {
    REJECTS_MAX = 64,        /* Connections that are just being told 503; beyond it they are closed without a word. */
    EMPTY_LINES_MAX = 2,     /* Before a request line (RFC 9112, 2.2). */
    ACCEPT_PAUSE_MS = 10,
    WARM_MS = 250,           /* How long an idle connection keeps its buffer. */
    LINGER_GAPS = 10         /* A closing connection listens for at most so many gaps. */
};

/* --- Request ids. --- */

/* splitmix64 steps: the ids must not repeat; guessing one gains nothing. */
static uint64_t id_next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static char *put_hex(char *out, uint64_t value, int digits)
{
    static const char hex[] = "0123456789abcdef";

    for (int i = digits - 1; i >= 0; i--, value >>= 4)
        out[i] = hex[value & 15];
    return out + digits;
}

static void add_extra(const struct http_request *rq, char *p)
{
    struct slice extra = http_header(rq, "X-Trans-Id-Extra");

    if (extra.size == 0)
        return;
    *p++ = '-';
    for (size_t i = 0; i < extra.size && i < HTTP_TRANS_ID_EXTRA_MAX; i++) {
        uint8_t c = extra.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        *p++ = plain ? (char)c : '_';
    }
    *p = '\0';
}

void http_make_trace(struct http_server *server, struct http_request *rq)
{
    uint64_t a = id_next(&server->id_state[0]), b = id_next(&server->id_state[1]);
    char    *p = rq->trace;

    static_assert(2 + 21 + 1 + 10 + 1 + HTTP_TRANS_ID_EXTRA_MAX + 1 <= TASK_TRACE_MAX, "Swift's id fits");
    if (server->options.swift_trans_id) {
        memcpy(p, "tx", 2);
        p = put_hex(put_hex(p + 2, a, 16), b, 5);
        *p++ = '-';
        p = put_hex(p, (uint64_t)(env_wall(server->env) / NS_PER_S), 10);
        *p = '\0';
        add_extra(rq, p);
        return;
    }
    /* "req-" and a random UUID. */
    memcpy(p, "req-", 4);
    p = put_hex(p + 4, a >> 32, 8);
    *p++ = '-';
    p = put_hex(p, a >> 16, 4);
    *p++ = '-';
    p = put_hex(p, (a & 0xfff) | 0x4000, 4);
    *p++ = '-';
    p = put_hex(p, (b >> 48 & 0x3fff) | 0x8000, 4);
    *p++ = '-';
    p = put_hex(p, b, 12);
    *p = '\0';
}

struct slice http_server_date(struct http_server *server)
{
    int64_t now = env_wall(server->env) / NS_PER_S;

    if (now != server->date_s || server->date_size == 0) {
        char text[32];
        http_date(now, text);
        server->date_size = (uint32_t)snprintf(server->date, sizeof server->date, "Date: %s\r\n", text);
        server->date_s = now;
    }
    return slice_of(server->date, server->date_size);
}

/* --- Reading a head. --- */

static struct slice unread(const struct http_connection *c)
{
    return c->in ? slice_of(c->in->data + c->in_start, c->in_end - c->in_start) : SLICE_NONE;
}

/* Keeps what follows the last request, at the buffer's start; gives an empty buffer back. */
static void settle_buffer(struct http_connection *c)
{
    uint32_t left = c->in_end - c->in_start;

    c->head_buf = buf_unref(c->head_buf);
    if (left == 0)
        c->in = buf_unref(c->in);
    else if (c->in_start > 0)
        memmove(c->in->data, c->in->data + c->in_start, left);
    c->in_start = 0;
    c->in_end = left;
}

static void skip_empty_lines(struct http_connection *c, uint32_t *lines)
{
    while (*lines < EMPTY_LINES_MAX && slice_starts(unread(c), SLICE("\r\n"))) {
        (*lines)++;
        c->in_start += 2;
    }
    if (c->in && c->in_start > 0 && c->head.scanned == 0)
        settle_buffer(c);
}

/* Waits for the first byte. A busy connection's next request comes soon, and is read at once into a warm buffer;
 * an idle one then waits without any. */
WAITS static int wait_request(struct http_connection *c, bool first)
{
    const struct http_limits *limits = &c->server->limits;
    size_t size;

    if (c->in)
        return 0;
    int64_t now = env_now(c->server->env);
    int64_t deadline = now + (int64_t)(first ? limits->header_timeout_ms : limits->idle_timeout_ms) * NS_PER_MS;
    int64_t warm = now + WARM_MS * NS_PER_MS;
    c->idle = true;
    int rc = http_in_fill(c, warm < deadline ? warm : deadline, &size);
    if (rc == -ETIMEDOUT && warm < deadline) {
        settle_buffer(c);
        rc = conn_wait_readable(c->conn, deadline);
    } else if (rc == 0 && size == 0) {
        rc = -E_CLOSED;
    }
    c->idle = false;
    return rc;
}

/* 0, or -E_SYNTAX with a refusal to answer; anything else closes without a word. */
WAITS static int read_head(struct http_connection *c, bool first, struct http_refusal *refusal)
{
    uint32_t empty_lines = 0;
    size_t   size;

    c->head = (struct http_head) { 0 };
    c->received = unread(c).size;
    int rc = wait_request(c, first);
    if (rc)
        return rc;
    int64_t deadline = http_deadline(c, c->server->limits.header_timeout_ms);
    for (;;) {
        skip_empty_lines(c, &empty_lines);
        struct slice bytes = unread(c);
        if (bytes.size > 0 && !(bytes.size == 1 && *bytes.data == '\r' && empty_lines < EMPTY_LINES_MAX)) {
            rc = http_head_scan(&c->head, bytes, refusal);
            if (rc != -EAGAIN)
                return rc;
        }
        rc = http_in_fill(c, deadline, &size);
        if (rc == -ETIMEDOUT && unread(c).size > 0) {
            *refusal = (struct http_refusal) { 408, "The request's head took too long." };
            return -E_SYNTAX;
        }
        if (rc)
            return rc;
        if (size == 0)
            return -E_CLOSED;
    }
}

/* --- One request. --- */

static void access_log(const struct http_connection *c, int64_t ns)
{
    const struct http_request *rq = &c->rq;
    char peer[CONN_ADDRESS_MAX], path[512], method[32], user[80], project[80];
    const char *how = c->reply.aborted ? " end=aborted" : c->reply.rc || c->body.rc ? " end=client" : "";

    conn_peer(c->conn, peer, sizeof peer);
    log_escape(path, sizeof path, rq->target.data, rq->target.size);
    log_escape(method, sizeof method, rq->method.data, rq->method.size);
    log_escape(user, sizeof user, rq->user.data, rq->user.size);
    log_escape(project, sizeof project, rq->project.data, rq->project.size);
    log_info("http.request", "server=%s peer=%s method=%s path=\"%s\" status=%d in=%llu out=%llu us=%lld action=%s "
             "user=\"%s\" project=\"%s\"%s", c->server->name, peer, *method ? method : "-", path, c->reply.status,
             (unsigned long long)c->received, (unsigned long long)c->reply.sent, (long long)(ns / 1000),
             rq->action ? rq->action : "-", user, project, how);
}

/* Runs the handler and makes sure that there is an answer. */
WAITS static void run_handler(struct http_connection *c)
{
    struct http_server  *server = c->server;
    struct http_request *rq = &c->rq;

    if (server->request_count >= server->limits.requests_max) {
        http_stats_refused(503);
        http_reply_refuse(rq, 503, "Too many requests are being handled; try again.");
        return;
    }
    server->request_count++;
    http_stats_requests(1);
    server->handler(server->ctx, rq);
    server->request_count--;
    http_stats_requests(-1);

    if (c->reply.ended || c->broken)
        return;
    if (c->reply.streaming && c->reply.head_sent) {
        http_reply_abort(rq);   /* The handler gave up without saying so. */
        return;
    }
    if (!task_cancelled())
        http_reply_refuse(rq, 500, "The request could not be completed.");
}

WAITS static void serve(struct http_connection *c, int head_rc, struct http_refusal *refusal)
{
    struct http_server  *server = c->server;
    struct http_request *rq = &c->rq;

    *rq = (struct http_request) { .env = server->env, .conn = c->conn, .server = server, .state = c };
    arena_init(&rq->arena, ARENA_LIMIT_DEFAULT);
    http_reply_init(c);
    c->body = (struct http_body) { .done = true };
    c->keep = false;
    rq->started = env_now(server->env);
    if (head_rc == 0) {
        struct slice head = slice_of(unread(c).data, c->head.size);
        c->in_start += (uint32_t)c->head.size;
        head_rc = http_head_parse(&c->head, head, server->options.swift_trans_id, rq, refusal);
    }
    http_make_trace(server, rq);
    task_set_trace(rq->trace);
    if (head_rc == 0) {
        c->keep = c->head.keep_alive;
        http_body_init(c);
        run_handler(c);
    } else {
        c->body = (struct http_body) { .rc = -E_SYNTAX };   /* Where it would begin, nobody knows. */
        rq->chunked = false;
        http_stats_refused(refusal->status);
        http_reply_refuse(rq, refusal->status, refusal->why);
    }
    if (c->keep && !c->broken)
        c->keep = http_body_drain(c);

    int64_t ns = env_now(server->env) - rq->started;
    http_stats_request(server->stats, rq, c->reply.status, ns);
    if (server->options.access_log)
        access_log(c, ns);
    task_set_trace("");
    http_reply_done(c);
    arena_done(&rq->arena);
}

/* --- One connection. --- */

/* Closing a socket with unread bytes resets it, and the client may lose the answer that it was just sent. So listen
 * until the client has closed, or shows that it does not mind. */
WAITS static void linger(struct http_connection *c)
{
    uint32_t gap_ms = c->server->limits.linger_ms;
    int64_t  end = http_deadline(c, gap_ms * LINGER_GAPS);
    uint8_t  scrap[4096];
    size_t   size;

    conn_end(c->conn);
    while (!c->server->stopping) {
        int64_t deadline = http_deadline(c, gap_ms);
        c->idle = true;
        int rc = conn_read(c->conn, scrap, sizeof scrap, deadline < end ? deadline : end, &size);
        c->idle = false;
        if (rc || size == 0)
            return;
    }
}

/* Over the limit of connections: says so, if that costs nothing. */
WAITS static void reject(struct http_connection *c)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n";
    struct iovec iov = { (void *)(uintptr_t)text, sizeof text - 1 };

    http_stats_refused(503);
    if (!c->server->options.tls && conn_write(c->conn, &iov, 1, http_deadline(c, c->server->limits.linger_ms)) == 0)
        linger(c);
}

WAITS static void converse(struct http_connection *c)
{
    struct http_server *server = c->server;
    bool                first = true;

    if (server->options.tls) {
        c->idle = true;
        int rc = conn_start_tls(c->conn, server->options.tls, NULL, http_deadline(c, server->limits.header_timeout_ms));
        c->idle = false;
        if (rc) {
            log_debug("http.tls", "server=%s rc=%s", server->name, error_name(rc));
            return;
        }
    }
    do {
        struct http_refusal refusal = { 400, "The request is malformed." };
        int rc = server->stopping ? -ECANCELED : read_head(c, first, &refusal);

        if (rc && rc != -E_SYNTAX)
            return;
        first = false;
        serve(c, rc, &refusal);
        settle_buffer(c);
    } while (c->keep && !c->broken && !task_cancelled());

    if (!c->broken && (!c->body.done || c->in) && !task_cancelled())
        linger(c);
}

static void connection_add(struct http_server *server, struct http_connection *c)
{
    c->next = server->connections;
    if (c->next)
        c->next->previous = c;
    server->connections = c;
    if (c->counted)
        server->connection_count++;
    else
        server->reject_count++;
    wait_group_add(&server->live, 1);
    http_stats_connections(1);
}

static void connection_free(struct http_connection *c)
{
    struct http_server *server = c->server;

    if (c->previous)
        c->previous->next = c->next;
    else
        server->connections = c->next;
    if (c->next)
        c->next->previous = c->previous;
    if (c->counted)
        server->connection_count--;
    else
        server->reject_count--;
    buf_unref(c->in);
    buf_unref(c->head_buf);
    conn_free(c->conn);
    free(c);
    http_stats_connections(-1);
    wait_group_done(&server->live);   /* The last: the server may be freed from here on. */
}

WAITS static void connection_run(void *arg)
{
    struct http_connection *c = arg;

    c->task = task_self();
    if (c->counted)
        converse(c);
    else
        reject(c);
    connection_free(c);
}

/* --- The server. --- */

static void accepted(struct http_server *server, struct conn *conn)
{
    bool full = server->connection_count >= server->limits.connections_max;
    struct http_connection *c = NULL;

    if (!server->stopping && (!full || server->reject_count < REJECTS_MAX))
        c = calloc(1, sizeof *c);
    if (!c) {
        conn_free(conn);
        return;
    }
    c->server = server;
    c->conn = conn;
    c->counted = !full;
    connection_add(server, c);
    if (env_spawn(server->env, "http.connection", connection_run, c) != 0)
        connection_free(c);
}

WAITS static void accept_run(void *arg)
{
    struct http_server *server = arg;

    server->accept_task = task_self();
    while (!server->stopping) {
        struct conn *conn;
        int rc = listener_accept(server->listener, &conn);

        if (rc == 0) {
            accepted(server, conn);
        } else if (rc == -ECANCELED) {
            break;
        } else {
            log_warn("http.accept", "server=%s rc=%s", server->name, error_name(rc));
            if (task_sleep(ACCEPT_PAUSE_MS * NS_PER_MS) != 0)
                break;
        }
    }
    server->listener = listener_free(server->listener);
    server->accept_task = NULL;
    wait_group_done(&server->live);
}

static uint32_t or_default(uint32_t value, uint32_t usual)
{
    return value ? value : usual;
}

struct http_server *http_server_new(struct env *env, const struct http_server_options *options,
                                    http_handler handler, void *ctx)
{
    struct http_server *server = calloc(1, sizeof *server);
    struct http_limits *l;

    if (!server)
        return NULL;
    server->env = env;
    server->options = *options;
    server->handler = handler;
    server->ctx = ctx;
    snprintf(server->name, sizeof server->name, "%s", options->name ? options->name : "other");
    server->options.name = server->name;
    server->stats = http_stats_of(server->name);
    env_random(env, server->id_state, sizeof server->id_state);
    l = &server->limits;
    *l = options->limits;
    l->header_timeout_ms = or_default(l->header_timeout_ms, HTTP_HEADER_TIMEOUT_MS);
    l->idle_timeout_ms = or_default(l->idle_timeout_ms, HTTP_IDLE_TIMEOUT_MS);
    l->body_timeout_ms = or_default(l->body_timeout_ms, HTTP_BODY_TIMEOUT_MS);
    l->send_timeout_ms = or_default(l->send_timeout_ms, HTTP_SEND_TIMEOUT_MS);
    l->linger_ms = or_default(l->linger_ms, HTTP_LINGER_MS);
    l->connections_max = or_default(l->connections_max, HTTP_CONNECTIONS_MAX);
    l->requests_max = or_default(l->requests_max, HTTP_REQUESTS_MAX);
    return server;
}

int http_server_listen(struct http_server *server, const char *address, struct error *err)
{
    if (server->listening)
        return error_set(err, -EALREADY, "the server listens already");
    int rc = listener_new(server->env, address, &server->listener, err);
    if (rc)
        return rc;
    rc = env_spawn(server->env, "http.accept", accept_run, server);
    if (rc) {
        server->listener = listener_free(server->listener);
        return error_set(err, rc, "cannot start the accepting task");
    }
    server->listening = true;
    wait_group_add(&server->live, 1);
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->listener ? listener_port(server->listener) : 0;
}

uint32_t http_server_connections(const struct http_server *server)
{
    return server->connection_count;
}

uint32_t http_server_requests(const struct http_server *server)
{
    return server->request_count;
}

WAITS void http_server_stop(struct http_server *server, int64_t deadline)
{
    server->stopping = true;
    if (server->accept_task)
        task_cancel(server->accept_task);
    for (struct http_connection *c = server->connections; c; c = c->next)
        if (c->idle)
            conn_shutdown(c->conn);
    if (wait_group_wait(&server->live, deadline) == 0)
        return;
    for (struct http_connection *c = server->connections; c; c = c->next) {
        if (c->task)
            task_cancel(c->task);
        conn_shutdown(c->conn);
    }
    wait_group_wait_shielded(&server->live);
}

struct http_server *http_server_free(struct http_server *server)
{
    if (server) {
        assert(server->live.count == 0 && !server->listener);
        free(server);
    }
    return NULL;
}
