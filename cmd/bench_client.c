/* cmd/bench_client.c - one keep-alive HTTP/1.1 connection to the server under test. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/bench_private.h"
#include "proxy/http/chunk.h"

enum {
    HEAD_MAX = 16 * 1024,
    IN_BYTES = 128 * 1024,
    IN_BYTES_MANY = 16 * 1024,     /* Over MANY connections. */
    MANY = 64,
    PIECE_BYTES = 1024 * 1024      /* Of a body, in one write. */
};

/* What the reader of an answer knows. */
struct reading {
    const struct bench_call *call;
    struct bench_answer     *answer;
    int64_t                  deadline;
    bool                     chunked, has_length, close, interim;
    uint64_t                 length;
};

int bench_parse_url(const char *url, struct bench_target *ret, struct error *err)
{
    struct bench_target target = { 0 };
    const char         *rest;

    if (strncasecmp(url, "http://", 7) == 0)
        rest = url + 7;
    else if (strncasecmp(url, "https://", 8) == 0)
        rest = url + 8;
    else
        return error_set(err, -EINVAL, "'%.100s' does not begin with http:// or https://", url);
    target.tls = rest == url + 8;
    size_t host = strcspn(rest, "/?#");
    if (host == 0 || host >= sizeof target.host || strlen(rest + host) >= sizeof target.path ||
        strpbrk(rest, " \t\r\n?#"))
        return error_set(err, -EINVAL, "'%.100s' is not a usable URL", url);
    snprintf(target.host, sizeof target.host, "%.*s", (int)host, rest);
    snprintf(target.path, sizeof target.path, "%s", rest + host);
    for (size_t n = strlen(target.path); n > 0 && target.path[n - 1] == '/'; n--)
        target.path[n - 1] = '\0';

    const char *bracket = strchr(target.host, ']'), *colon = strchr(bracket ? bracket : target.host, ':');
    size_t      name = colon ? (size_t)(colon - target.host) : strlen(target.host);
    snprintf(target.address, sizeof target.address, "%.*s:%s", (int)name, target.host,
             colon ? colon + 1 : target.tls ? "443" : "80");
    if (bracket)
        snprintf(target.name, sizeof target.name, "%.*s", (int)(name - 2), target.host + 1);
    else
        snprintf(target.name, sizeof target.name, "%.*s", (int)name, target.host);
    *ret = target;
    return 0;
}

int bench_client_init(struct bench_client *client, struct bench *bench, const struct bench_target *target)
{
    size_t capacity = bench->options.concurrency > MANY ? IN_BYTES_MANY : IN_BYTES;

    *client = (struct bench_client) { .bench = bench, .target = target, .capacity = capacity, .in = malloc(capacity) };
    return client->in ? 0 : -ENOMEM;
}

static void disconnect(struct bench_client *client)
{
    client->conn = conn_free(client->conn);
    client->start = client->end = 0;
    client->used = false;
}

void bench_client_done(struct bench_client *client)
{
    disconnect(client);
    free(client->in);
}

WAITS static int connect_to(struct bench_client *client, int64_t deadline)
{
    const struct bench_target *target = client->target;
    int rc = conn_connect(client->bench->env, target->address, deadline, &client->conn, NULL);

    if (rc)
        return rc;
    if (target->tls)
        rc = conn_start_tls(client->conn, client->bench->tls, target->name, deadline);
    if (rc)
        disconnect(client);
    return rc;
}

/* --- Sending. --- */

WAITS static int send_call(struct bench_client *client, const struct bench_call *call, int64_t deadline)
{
    struct bench *b = client->bench;
    char          head[BENCH_HEADERS_MAX + BENCH_URL_MAX + 4096], length[64] = "";
    uint64_t      at = call->body_at, left = call->has_body ? call->body_size : 0;
    bool          first = true;

    if (call->has_body)
        snprintf(length, sizeof length, "Content-Length: %llu\r\n", (unsigned long long)call->body_size);
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: ringstack-bench\r\n%s%s%s\r\n",
                     call->method, call->path, client->target->host, b->headers, call->headers ? call->headers : "",
                     length);
    if (n < 0 || (size_t)n >= sizeof head)
        return -E_LIMIT;
    while (first || left > 0) {
        struct iovec iov[3];
        int          count = 0;
        uint64_t     want = left < PIECE_BYTES ? left : PIECE_BYTES;

        if (first)
            iov[count++] = (struct iovec) { head, (size_t)n };
        first = false;
        left -= want;
        while (want > 0) {
            uint64_t place = at % BENCH_POOL_BYTES, run = BENCH_POOL_BYTES - place;
            run = run < want ? run : want;
            iov[count++] = (struct iovec) { b->pool + place, run };
            at += run;
            want -= run;
        }
        int rc = conn_write(client->conn, iov, count, deadline);
        if (rc)
            return rc;
    }
    return 0;
}

/* --- Receiving. --- */

WAITS static int fill(struct bench_client *client, int64_t deadline)
{
    size_t size;

    if (client->start == client->end)
        client->start = client->end = 0;
    if (client->end == client->capacity)
        return -E_LIMIT;
    int rc = conn_read(client->conn, client->in + client->end, client->capacity - client->end, deadline, &size);
    if (rc)
        return rc;
    if (size == 0)
        return -E_CLOSED;
    client->end += size;
    return 0;
}

static void copy_value(char *out, size_t capacity, const char *value, size_t size)
{
    if (size < capacity) {
        memcpy(out, value, size);
        out[size] = '\0';
    }
}

static bool line_is(const char *line, size_t size, const char *name, const char **ret_value, size_t *ret_size)
{
    size_t n = strlen(name);

    if (size <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return false;
    line += n + 1;
    size -= n + 1;
    while (size > 0 && *line == ' ') {
        line++;
        size--;
    }
    *ret_value = line;
    *ret_size = size;
    return true;
}

static int parse_line(struct reading *r, const char *line, size_t size)
{
    struct bench_answer *answer = r->answer;
    const char          *value;
    size_t               n;

    if (line_is(line, size, "Content-Length", &value, &n)) {
        if (n == 0 || n > 18 || strspn(value, "0123456789") < n)
            return -E_SYNTAX;
        r->length = strtoull(value, NULL, 10);
        r->has_length = true;
    } else if (line_is(line, size, "Transfer-Encoding", &value, &n)) {
        if (n != 7 || strncasecmp(value, "chunked", 7) != 0)
            return -E_SYNTAX;
        r->chunked = true;
    } else if (line_is(line, size, "Connection", &value, &n)) {
        r->close = n == 5 && strncasecmp(value, "close", 5) == 0;
    } else if (line_is(line, size, "ETag", &value, &n)) {
        if (n >= 2 && *value == '"') {
            value++;
            n -= 2;
        }
        copy_value(answer->etag, sizeof answer->etag, value, n);
    } else if (line_is(line, size, "X-Storage-Url", &value, &n)) {
        copy_value(answer->storage_url, sizeof answer->storage_url, value, n);
    } else if (line_is(line, size, "X-Auth-Token", &value, &n)) {
        copy_value(answer->token, sizeof answer->token, value, n);
    }
    return 0;
}

static int parse_head(struct reading *r, const char *head, size_t size)
{
    if (size < 14 || memcmp(head, "HTTP/1.", 7) != 0 || head[8] != ' ' || !isdigit((unsigned char)head[9]))
        return -E_SYNTAX;
    r->answer->status = (head[9] - '0') * 100 + (head[10] - '0') * 10 + (head[11] - '0');
    if (r->answer->status < 100 || r->answer->status >= BENCH_STATUS_MAX)
        return -E_SYNTAX;
    r->close = head[7] == '0';
    r->chunked = r->has_length = false;
    r->length = 0;
    r->interim = r->answer->status < 200;
    for (const char *line = head, *end = head + size; line < end;) {
        const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (!next)
            break;
        int rc = parse_line(r, line, (size_t)(next - line));
        if (rc)
            return rc;
        line = next + 2;
    }
    return 0;
}

WAITS static int read_head(struct bench_client *client, struct reading *r)
{
    for (;;) {
        uint8_t *from = client->in + client->start;
        size_t   have = client->end - client->start;
        uint8_t *end = have ? memmem(from, have, "\r\n\r\n", 4) : NULL;

        if (end) {
            size_t size = (size_t)(end - from) + 4;
            client->start += size;
            int rc = parse_head(r, (const char *)from, size - 2);
            if (rc || !r->interim)
                return rc;
            continue;   /* 100 Continue; the answer follows. */
        }
        if (have > HEAD_MAX)
            return -E_LIMIT;
        int rc = fill(client, r->deadline);
        if (rc)
            return rc;
    }
}

static void take_body(struct bench_client *client, struct reading *r, const uint8_t *data, size_t size)
{
    static const char mark[] = "\"name\":";
    struct bench_answer *answer = r->answer;
    uint64_t place = (r->call->body_at + answer->size) % BENCH_POOL_BYTES;

    answer->size += size;
    if (r->call->compare && answer->status == 200)
        for (size_t at = 0; at < size && !answer->differs;) {
            size_t run = BENCH_POOL_BYTES - place < size - at ? BENCH_POOL_BYTES - place : size - at;
            answer->differs = memcmp(client->bench->pool + place, data + at, run) != 0;
            at += run;
            place = 0;
        }
    if (r->call->entries)
        for (size_t i = 0; i < size; i++) {
            client->match = data[i] == mark[client->match] ? client->match + 1 : data[i] == mark[0];
            if (client->match == sizeof mark - 1) {
                answer->entries++;
                client->match = 0;
            }
        }
}

/* Data up to 'left' bytes, whatever is there. */
WAITS static int read_data(struct bench_client *client, struct reading *r, uint64_t left, uint64_t *ret_size)
{
    if (client->start == client->end) {
        int rc = fill(client, r->deadline);
        if (rc)
            return rc;
    }
    size_t have = client->end - client->start, size = left < have ? (size_t)left : have;
    take_body(client, r, client->in + client->start, size);
    client->start += size;
    *ret_size = size;
    return 0;
}

WAITS static int read_chunked(struct bench_client *client, struct reading *r)
{
    struct http_chunks chunks = { 0 };
    struct arena       arena;
    int                rc = 0;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    while (rc == 0 && chunks.state != HTTP_CHUNK_DONE) {
        uint64_t size;
        size_t   used;
        if (chunks.state == HTTP_CHUNK_DATA) {
            rc = read_data(client, r, chunks.left, &size);
            if (rc == 0)
                http_chunks_data(&chunks, size);
            continue;
        }
        if (client->start == client->end)
            rc = fill(client, r->deadline);
        if (rc == 0)
            rc = http_chunks_step(&chunks, &arena, slice_of(client->in + client->start, client->end - client->start),
                                  &used);
        if (rc == 0)
            client->start += used;
    }
    arena_done(&arena);
    return rc;
}

WAITS static int read_answer(struct bench_client *client, struct reading *r)
{
    int      rc = read_head(client, r), status = r->answer->status;
    uint64_t size;

    client->match = 0;
    if (rc || strcmp(r->call->method, "HEAD") == 0 || status == 204 || status == 304)
        return rc;
    if (r->chunked)
        return read_chunked(client, r);
    if (!r->has_length) {   /* Until the server closes. */
        r->close = true;
        while ((rc = read_data(client, r, UINT64_MAX, &size)) == 0)
            ;
        return rc == -E_CLOSED ? 0 : rc;
    }
    for (uint64_t left = r->length; left > 0; left -= size) {
        rc = read_data(client, r, left, &size);
        if (rc)
            return rc;
    }
    return 0;
}

WAITS int bench_call(struct bench_client *client, const struct bench_call *call, struct bench_answer *ret)
{
    struct bench  *b = client->bench;
    struct reading r = { .call = call, .answer = ret };

    r.deadline = env_now(b->env) + (int64_t)b->options.timeout_s * NS_PER_S;
    for (;;) {
        bool kept = client->conn && client->used;
        int  rc = 0;

        *ret = (struct bench_answer) { 0 };
        if (!client->conn)
            rc = connect_to(client, r.deadline);
        if (rc)
            return rc;
        int sent = send_call(client, call, r.deadline);
        /* A server may refuse a body before it has all of it; then its answer is there. */
        rc = sent == 0 || sent == -ECONNRESET ? read_answer(client, &r) : sent;
        if (rc == 0 && (sent || r.close || client->start != client->end))
            disconnect(client);
        else if (rc == 0)
            client->used = true;
        if (rc == 0)
            return 0;
        bool stale = kept && ret->status == 0 && (rc == -E_CLOSED || rc == -ECONNRESET);
        disconnect(client);
        if (!stale)
            return rc;
        b->stats.reconnects++;   /* The server had closed the idle connection meanwhile. */
    }
}
