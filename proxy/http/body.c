/* proxy/http/body.c - reading request bodies: what came with the head first, then
 * straight from the socket into the caller's memory. */
#include <assert.h>
#include <string.h>

#include "proxy/http/private.h"

int64_t http_deadline(struct http_connection *c, uint32_t ms)
{
    return env_now(c->server->env) + (int64_t)ms * NS_PER_MS;
}

static uint32_t buffered(const struct http_connection *c)
{
    return c->in_end - c->in_start;
}

/* Makes room behind in_end. The head is never moved while a request lives, since its slices point there: when its
 * buffer is full it is set aside. */
static int make_room(struct http_connection *c)
{
    if (c->in && buffered(c) == 0 && c->head.size > 0 && !c->head_buf)
        c->in_start = c->in_end = (uint32_t)c->head.size;
    else if (c->in && buffered(c) == 0 && c->head_buf)
        c->in_start = c->in_end = 0;
    if (c->in && c->in->capacity - c->in_end >= HTTP_IN_ROOM_MIN)
        return 0;

    size_t      want = c->in && c->head.size == 0 ? c->in->capacity * 2 : HTTP_IN_BYTES;
    struct buf *bigger = buf_new(want);
    if (!bigger)
        return -ENOMEM;
    if (c->in) {
        memcpy(bigger->data, c->in->data + c->in_start, buffered(c));
        if (c->head.size > 0 && !c->head_buf)
            c->head_buf = c->in;
        else
            buf_unref(c->in);
        c->in_end -= c->in_start;
    }
    c->in_start = 0;
    c->in = bigger;
    return 0;
}

WAITS int http_in_fill(struct http_connection *c, int64_t deadline, size_t *ret_size)
{
    size_t size;
    int    rc = make_room(c);

    if (rc)
        return rc;
    rc = conn_read(c->conn, c->in->data + c->in_end, c->in->capacity - c->in_end, deadline, &size);
    if (rc)
        return rc;
    c->in_end += (uint32_t)size;
    c->received += size;
    *ret_size = size;
    return 0;
}

void http_body_init(struct http_connection *c)
{
    c->body = (struct http_body) {
        .left = c->rq.has_length ? c->rq.content_length : 0,
        .expect_pending = c->rq.expect_continue,
    };
    c->body.done = !c->rq.chunked && c->body.left == 0;
}

static int body_fail(struct http_connection *c, int rc)
{
    if (rc == -ECONNRESET || rc == -EPROTO || rc == -EPIPE || rc == -EIO)
        rc = -E_CLOSED;
    c->body.rc = rc;
    c->keep = false;
    return rc;
}

uint64_t http_body_left(const struct http_request *rq)
{
    const struct http_connection *c = http_connection_of(rq);

    if (c->body.done)
        return 0;
    return rq->chunked ? UINT64_MAX : c->body.left;
}

/* Up to 'want' bytes of data: from the buffer, or straight from the socket when it is empty. */
WAITS static int read_data(struct http_connection *c, void *data, size_t want, size_t *ret_size)
{
    size_t size = buffered(c);

    if (size > 0) {
        size = size < want ? size : want;
        memcpy(data, c->in->data + c->in_start, size);
        c->in_start += (uint32_t)size;
        *ret_size = size;
        return 0;
    }
    int rc = conn_read(c->conn, data, want, http_deadline(c, c->server->limits.body_timeout_ms), &size);
    if (rc)
        return rc;
    if (size == 0)
        return -E_CLOSED;
    c->received += size;
    *ret_size = size;
    return 0;
}

/* Goes on to the next data byte, or to the end with its trailers. */
WAITS static int next_chunk(struct http_connection *c)
{
    struct http_chunks *chunks = &c->body.chunks;

    while (chunks->state != HTTP_CHUNK_DATA && chunks->state != HTTP_CHUNK_DONE) {
        size_t size;
        int    rc;

        if (buffered(c) == 0) {
            rc = http_in_fill(c, http_deadline(c, c->server->limits.body_timeout_ms), &size);
            if (rc)
                return rc;
            if (size == 0)
                return -E_CLOSED;
        }
        rc = http_chunks_step(chunks, &c->rq.arena, slice_of(c->in->data + c->in_start, buffered(c)), &size);
        if (rc)
            return rc == -E_LIMIT ? -E_SYNTAX : rc;
        c->in_start += (uint32_t)size;
    }
    if (chunks->state == HTTP_CHUNK_DONE) {
        int rc = http_chunks_trailers(chunks, &c->rq.arena, &c->body.trailers, &c->body.trailer_count);
        if (rc)
            return rc == -E_LIMIT ? -E_SYNTAX : rc;
        c->body.done = true;
    }
    return 0;
}

WAITS int http_body_read(struct http_request *rq, void *data, size_t capacity, size_t *ret_size)
{
    struct http_connection *c = http_connection_of(rq);
    size_t                  size = 0;
    int                     rc;

    assert(capacity > 0);
    if (c->body.rc)
        return c->body.rc;
    if (!c->body.done && c->body.expect_pending && buffered(c) == 0) {
        rc = http_reply_continue(c);
        if (rc)
            return body_fail(c, rc);
    }
    if (!c->body.done)
        c->body.expect_pending = false;   /* The client did not wait. */
    if (!c->body.done && rq->chunked) {
        rc = next_chunk(c);
        if (rc)
            return body_fail(c, rc);
    }
    if (c->body.done) {
        *ret_size = 0;
        return 0;
    }
    uint64_t left = rq->chunked ? c->body.chunks.left : c->body.left;
    rc = read_data(c, data, left < capacity ? (size_t)left : capacity, &size);
    if (rc)
        return body_fail(c, rc);
    if (rq->chunked) {
        http_chunks_data(&c->body.chunks, size);
    } else {
        c->body.left -= size;
        c->body.done = c->body.left == 0;
    }
    *ret_size = size;
    return 0;
}

WAITS int http_body_all(struct http_request *rq, size_t limit, struct slice *ret_body)
{
    size_t   capacity = rq->has_length ? rq->content_length : limit < 4096 ? limit : 4096;
    size_t   used = 0;
    uint8_t *bytes;

    if (rq->has_length && rq->content_length > limit)
        return -E_LIMIT;
    /* One byte more, to see the end of a chunked body of exactly 'limit' bytes. */
    bytes = arena_alloc(&rq->arena, capacity + 1);
    if (!bytes)
        return -ENOMEM;
    for (;;) {
        size_t size;
        int    rc = http_body_read(rq, bytes + used, capacity + 1 - used, &size);

        if (rc)
            return rc;
        if (size == 0)
            break;
        used += size;
        if (used > limit)
            return -E_LIMIT;
        if (used == capacity + 1) {
            size_t   larger = capacity > limit / 2 ? limit : capacity * 2;
            uint8_t *bigger = arena_alloc(&rq->arena, larger + 1);
            if (!bigger)
                return -ENOMEM;
            memcpy(bigger, bytes, used);
            bytes = bigger;
            capacity = larger;
        }
    }
    *ret_body = slice_of(bytes, used);
    return 0;
}

struct slice http_trailer(const struct http_request *rq, const char *name)
{
    const struct http_connection *c = http_connection_of(rq);
    size_t                        size = strlen(name);

    for (uint32_t i = 0; i < c->body.trailer_count; i++)
        if (http_name_is(c->body.trailers[i].name, name, size))
            return c->body.trailers[i].value;
    return SLICE_NONE;
}

WAITS bool http_body_drain(struct http_connection *c)
{
    uint64_t drained = 0;
    uint8_t  scrap[8192];

    if (c->body.done)
        return true;
    /* Without its "100 Continue" nobody knows whether the client sends the body. */
    if (c->body.rc || (c->body.expect_pending && buffered(c) == 0))
        return false;
    if (!c->rq.chunked && c->body.left > HTTP_DRAIN_BYTES_MAX)
        return false;
    c->body.expect_pending = false;
    while (drained <= HTTP_DRAIN_BYTES_MAX) {
        size_t size;
        if (http_body_read(&c->rq, scrap, sizeof scrap, &size) != 0)
            return false;
        if (size == 0)
            return true;
        drained += size;
    }
    return false;
}
