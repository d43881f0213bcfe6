/* proxy/http/reply.c - answers: the head grows in the request's arena and leaves
 * together with the first bytes of the body, in one write.
 *
 * The framing headers (Content-Length, Transfer-Encoding, Connection) and those
 * that every answer has (Date, the request ids) are made here only. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/http/private.h"

enum { TEXT_FIRST_BYTES = 1024, GATHER_BELOW_BYTES = 4096, IOV_MAX_HERE = 6 };

/* --- The head's text. --- */

static int text_reserve(struct http_connection *c, size_t more)
{
    struct http_reply *reply = &c->reply;
    size_t             need = reply->text_size + more, capacity = reply->text_capacity;

    if (need <= capacity)
        return 0;
    if (need > HTTP_REPLY_HEAD_MAX)
        return -E_LIMIT;
    for (capacity = capacity ? capacity : TEXT_FIRST_BYTES; capacity < need;)
        capacity *= 2;
    uint8_t *bigger = arena_alloc(&c->rq.arena, capacity);
    if (!bigger)
        return -ENOMEM;
    if (reply->text_size)
        memcpy(bigger, reply->text, reply->text_size);
    reply->text = bigger;
    reply->text_capacity = (uint32_t)capacity;
    return 0;
}

static int text_add(struct http_connection *c, const void *data, size_t size)
{
    int rc = text_reserve(c, size);

    if (rc == 0 && size > 0) {
        memcpy(c->reply.text + c->reply.text_size, data, size);
        c->reply.text_size += (uint32_t)size;
    }
    return rc;
}

#define text_literal(c, literal) text_add((c), "" literal, sizeof(literal) - 1)

static int text_line(struct http_connection *c, struct slice name, struct slice value)
{
    int rc = text_reserve(c, name.size + value.size + 4);

    if (rc)
        return rc;
    text_add(c, name.data, name.size);
    text_literal(c, ": ");
    text_add(c, value.data, value.size);
    return text_literal(c, "\r\n");
}

static int text_number(struct http_connection *c, struct slice name, uint64_t value)
{
    char   text[24];
    size_t at = sizeof text;

    do
        text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    return text_line(c, name, slice_of(text + at, sizeof text - at));
}

/* --- Beginning. --- */

void http_reply_init(struct http_connection *c)
{
    c->reply = (struct http_reply) { 0 };
}

void http_reply_done(struct http_connection *c)
{
    c->reply.gather = buf_unref(c->reply.gather);
}

void http_reply_begin(struct http_request *rq, int status)
{
    struct http_connection *c = http_connection_of(rq);
    struct http_reply      *reply = &c->reply;
    const char             *text = http_status_text(status);
    char                    code[4] = { (char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                                        (char)('0' + status % 10), ' ' };

    assert(!reply->head_sent && !reply->ended && status >= 200 && status <= 599);
    reply->begun = true;
    reply->status = status;
    reply->no_body = status == 204 || status == 304;
    reply->streaming = reply->chunked = reply->head_done = false;
    reply->size = reply->written = 0;
    reply->text_size = reply->gather_size = 0;
    /* An empty body is never read, but some clients (botocore) lose track of their connection without the interim answer
     * that they asked for. */
    if (c->body.expect_pending && c->body.done && text_literal(c, "HTTP/1.1 100 Continue\r\n\r\n"))
        reply->rc = -ENOMEM;
    if (text_literal(c, "HTTP/1.1 ") || text_add(c, code, sizeof code) || text_add(c, text, strlen(text)) ||
        text_literal(c, "\r\n"))
        reply->rc = -ENOMEM;
}

bool http_reply_begun(const struct http_request *rq)
{
    return http_connection_of(rq)->reply.begun;
}

int http_reply_status(const struct http_request *rq)
{
    return http_connection_of(rq)->reply.status;
}

static bool is_framing(struct slice name)
{
    switch (name.size) {
    case 4:
        return http_name_is(name, "date", 4);
    case 10:
        return http_name_is(name, "connection", 10) || http_name_is(name, "x-trans-id", 10);
    case 14:
        return http_name_is(name, "content-length", 14);
    case 17:
        return http_name_is(name, "transfer-encoding", 17);
    case 22:
        return http_name_is(name, "x-openstack-request-id", 22);
    default:
        return false;
    }
}

int http_reply_header(struct http_request *rq, const char *name, struct slice value)
{
    struct http_connection *c = http_connection_of(rq);
    struct slice            key = slice_str(name);

    assert(c->reply.begun && !c->reply.head_done);
    if (!http_is_token(key) || !http_is_value(value))
        return -E_SYNTAX;
    if (is_framing(key))
        return -EINVAL;
    return text_line(c, key, value);
}

int http_reply_headerf(struct http_request *rq, const char *name, const char *format, ...)
{
    char    few[256];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(few, sizeof few, format, args);
    va_end(args);
    if (n < 0)
        return -EINVAL;
    if ((size_t)n < sizeof few)
        return http_reply_header(rq, name, slice_of(few, (size_t)n));
    char *text = arena_alloc(&rq->arena, (size_t)n + 1);
    if (!text)
        return -ENOMEM;
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return http_reply_header(rq, name, slice_of(text, (size_t)n));
}

/* May another request follow on this connection? Decided when the head is made, since it says so. */
static bool may_keep(struct http_connection *c)
{
    uint64_t left = http_body_left(&c->rq);

    if (!c->keep || c->server->stopping)
        return false;
    if (left != UINT64_MAX && left > HTTP_DRAIN_BYTES_MAX)
        return false;
    return !(c->body.expect_pending && !c->body.done && c->in_end == c->in_start);
}

/* Ends the head: framing, ids, date. */
static int finish_head(struct http_connection *c, bool has_size, uint64_t size)
{
    struct http_reply *reply = &c->reply;
    struct slice       trace = slice_str(c->rq.trace), date = http_server_date(c->server);
    int                rc = reply->rc;

    if (rc)
        return rc;
    if (!has_size && !reply->no_body) {
        reply->chunked = !c->head.http10;
        if (c->head.http10)
            c->keep = false;   /* The end of the connection is the end of the body. */
    }
    c->keep = may_keep(c);
    if (reply->chunked)
        rc = text_literal(c, "Transfer-Encoding: chunked\r\n");
    else if (has_size && !reply->no_body)
        rc = text_number(c, SLICE("Content-Length"), size);
    if (rc == 0 && reply->allow && reply->status == 405)
        rc = text_line(c, SLICE("Allow"), slice_str(reply->allow));
    if (rc == 0 && c->server->options.swift_trans_id)
        rc = text_line(c, SLICE("X-Trans-Id"), trace);
    if (rc == 0)
        rc = text_line(c, SLICE("X-Openstack-Request-Id"), trace);
    if (rc == 0)
        rc = text_add(c, date.data, date.size);
    if (rc == 0 && !c->keep)
        rc = text_literal(c, "Connection: close\r\n");
    else if (rc == 0 && c->head.http10)
        rc = text_literal(c, "Connection: keep-alive\r\n");
    if (rc == 0)
        rc = text_literal(c, "\r\n");
    reply->head_done = true;
    return rc;
}

/* --- Sending. --- */

static int reply_fail(struct http_connection *c, int rc)
{
    if (rc == -ECONNRESET || rc == -EPROTO || rc == -EPIPE || rc == -EIO)
        rc = -E_CLOSED;
    c->reply.rc = rc;
    c->keep = false;
    c->broken = true;
    return rc;
}

/* Writes it all, in pieces that the client must each take within the time-out: a slow client is served as long as
 * it goes on reading. */
WAITS static int send_all(struct http_connection *c, struct iovec *iov, int count)
{
    while (count > 0) {
        struct iovec piece[IOV_MAX_HERE];
        size_t       room = HTTP_SEND_PIECE_BYTES;
        int          n = 0;

        while (count > 0 && room > 0) {
            size_t size = iov->iov_len < room ? iov->iov_len : room;
            if (size > 0)
                piece[n++] = (struct iovec) { iov->iov_base, size };
            room -= size;
            iov->iov_base = (uint8_t *)iov->iov_base + size;
            iov->iov_len -= size;
            if (iov->iov_len == 0) {
                iov++;
                count--;
            }
        }
        if (n == 0)
            continue;
        int rc = conn_write(c->conn, piece, n, http_deadline(c, c->server->limits.send_timeout_ms));
        if (rc)
            return reply_fail(c, rc);
        c->reply.sent += HTTP_SEND_PIECE_BYTES - room;
    }
    return 0;
}

static struct iovec iov_of(struct slice s)
{
    return (struct iovec) { (void *)(uintptr_t)s.data, s.size };
}

/* Sends the head if it is still here, what was gathered, 'bytes', and the end of a chunked body. */
WAITS static int send_stream(struct http_connection *c, struct slice bytes, bool last)
{
    struct http_reply *reply = &c->reply;
    struct iovec       iov[IOV_MAX_HERE];
    size_t             data = reply->gather_size + bytes.size;
    char               line[24];
    int                n = 0;

    if (!reply->head_sent)
        iov[n++] = iov_of(slice_of(reply->text, reply->text_size));
    if (reply->chunked && data > 0)
        iov[n++] = (struct iovec) { line, (size_t)snprintf(line, sizeof line, "%zx\r\n", data) };
    if (reply->gather_size)
        iov[n++] = (struct iovec) { reply->gather->data, reply->gather_size };
    if (bytes.size)
        iov[n++] = iov_of(bytes);
    if (reply->chunked && !c->rq.head && (data > 0 || last)) {
        struct slice tail = data > 0 && last ? SLICE("\r\n0\r\n\r\n") : data > 0 ? SLICE("\r\n") : SLICE("0\r\n\r\n");
        iov[n++] = iov_of(tail);
    }
    reply->head_sent = true;
    reply->gather_size = 0;
    return n > 0 ? send_all(c, iov, n) : 0;
}

WAITS int http_reply_body(struct http_request *rq, const char *content_type, struct slice body)
{
    struct http_connection *c = http_connection_of(rq);
    int                     rc = c->reply.rc;

    assert(c->reply.begun && !c->reply.head_done);
    if (rc == 0 && content_type)
        rc = text_line(c, SLICE("Content-Type"), slice_str(content_type));
    if (rc == 0)
        rc = finish_head(c, true, body.size);
    if (rc)
        return rc;
    c->reply.ended = true;
    c->reply.size = c->reply.written = body.size;
    return send_stream(c, rq->head || c->reply.no_body ? SLICE_NONE : body, false);
}

WAITS int http_reply_empty(struct http_request *rq)
{
    return http_reply_body(rq, NULL, SLICE_NONE);
}

WAITS int http_reply_length_only(struct http_request *rq, uint64_t size)
{
    struct http_connection *c = http_connection_of(rq);

    assert(c->reply.begun && !c->reply.head_done);
    /* Only an answer to HEAD may announce what it does not send. */
    if (!rq->head && !c->reply.no_body && size > 0)
        return -EINVAL;
    int rc = finish_head(c, true, size);
    if (rc)
        return rc;
    c->reply.ended = true;
    return send_stream(c, SLICE_NONE, false);
}

WAITS int http_reply_stream(struct http_request *rq, uint64_t size)
{
    struct http_connection *c = http_connection_of(rq);
    int                     rc = c->reply.rc;

    assert(c->reply.begun && !c->reply.head_done);
    if (rc == 0)
        rc = finish_head(c, size != UINT64_MAX, size);
    if (rc)
        return rc;
    c->reply.streaming = true;
    c->reply.size = size;
    return 0;
}

WAITS int http_reply_write(struct http_request *rq, struct slice bytes)
{
    struct http_connection *c = http_connection_of(rq);
    struct http_reply      *reply = &c->reply;

    assert(reply->streaming && !reply->ended);
    if (reply->rc)
        return reply->rc;
    if (bytes.size == 0)
        return 0;
    if (reply->size != UINT64_MAX && bytes.size > reply->size - reply->written)
        return -E_LIMIT;   /* More than was announced would be taken for the next answer. */
    reply->written += bytes.size;
    if (rq->head || reply->no_body)
        return 0;

    bool last = reply->written == reply->size;
    if (bytes.size >= GATHER_BELOW_BYTES || reply->gather_size + bytes.size > HTTP_GATHER_BYTES ||
        (last && reply->gather_size == 0))
        return send_stream(c, bytes, false);
    if (!reply->gather && !(reply->gather = buf_new(HTTP_GATHER_BYTES)))
        return send_stream(c, bytes, false);
    memcpy(reply->gather->data + reply->gather_size, bytes.data, bytes.size);
    reply->gather_size += (uint32_t)bytes.size;
    return last ? send_stream(c, SLICE_NONE, false) : 0;
}

WAITS int http_reply_flush(struct http_request *rq)
{
    struct http_connection *c = http_connection_of(rq);

    assert(c->reply.streaming && !c->reply.ended);
    if (c->reply.rc)
        return c->reply.rc;
    return send_stream(c, SLICE_NONE, false);
}

WAITS int http_reply_end(struct http_request *rq)
{
    struct http_connection *c = http_connection_of(rq);
    struct http_reply      *reply = &c->reply;

    assert(reply->streaming && !reply->ended);
    if (reply->rc)
        return reply->rc;
    if (reply->size != UINT64_MAX && reply->written < reply->size && !rq->head && !reply->no_body) {
        http_reply_abort(rq);
        return -E_CLOSED;
    }
    reply->ended = true;
    return send_stream(c, SLICE_NONE, true);
}

void http_reply_abort(struct http_request *rq)
{
    struct http_connection *c = http_connection_of(rq);

    c->reply.aborted = true;
    if (!c->reply.head_sent) {
        /* Nothing left yet: the connection's task can still answer 500. */
        c->reply.begun = c->reply.streaming = c->reply.head_done = false;
        return;
    }
    c->keep = false;
    c->broken = true;
    c->reply.rc = -E_CLOSED;
    c->reply.ended = true;
}

WAITS int http_reply_refuse(struct http_request *rq, int status, const char *why)
{
    char text[512];

    http_reply_begin(rq, status);
    if (status == 503)
        http_reply_headerf(rq, "Retry-After", "%d", HTTP_RETRY_AFTER_S);
    int n = snprintf(text, sizeof text, "%d %s\n\n%s\n", status, http_status_text(status), why);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    return http_reply_body(rq, "text/plain; charset=UTF-8", slice_of(text, size));
}

WAITS int http_reply_continue(struct http_connection *c)
{
    struct iovec iov = iov_of(SLICE("HTTP/1.1 100 Continue\r\n\r\n"));

    c->body.expect_pending = false;
    if (c->reply.head_sent)
        return 0;
    return send_all(c, &iov, 1);
}
