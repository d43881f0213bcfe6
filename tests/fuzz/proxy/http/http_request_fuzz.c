/* tests/fuzz/proxy/http/http_request_fuzz.c - heads and chunked bodies from
 * hostile clients, whole and in pieces.
 *
 * Besides crashes it looks for disagreement: the scanner must come to the same
 * end however the bytes are cut, and an accepted head must hold together. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct slice outer, struct slice inner)
{
    return inner.size == 0 || (inner.data >= outer.data && inner.data + inner.size <= outer.data + outer.size);
}

static void check_request(const struct http_request *rq, struct slice head)
{
    uint32_t hosts = 0, lengths = 0, codings = 0;

    assert(http_is_token(rq->method) && inside(head, rq->method) && inside(head, rq->target));
    assert(rq->raw_path.size > 0 && !memchr(rq->path.data, 0, rq->path.size));
    for (uint32_t i = 0; i < rq->header_count; i++) {
        const struct http_header *h = &rq->headers[i];
        assert(http_is_token(h->name) && http_is_value(h->value) && inside(head, h->name) && inside(head, h->value));
        assert(!memchr(h->value.data, '\n', h->value.size) && !memchr(h->value.data, '\r', h->value.size));
        hosts += http_name_is(h->name, "host", 4);
        lengths += http_name_is(h->name, "content-length", 14);
        codings += http_name_is(h->name, "transfer-encoding", 17);
    }
    assert(hosts <= 1 && lengths <= 1 && codings <= 1 && lengths + codings <= 1);
    assert(rq->has_length == (lengths == 1) && rq->chunked == (codings == 1));
    for (uint32_t i = 0; i < rq->query_count; i++)
        assert(rq->query[i].name.data && rq->query[i].value.data);
    http_header(rq, "X-Auth-Token");
    http_query(rq, "format");
}

static void check_head(struct slice bytes, size_t step)
{
    struct http_head    whole = { 0 }, pieces = { 0 };
    struct http_refusal refusal = { 0 }, other = { 0 };
    struct http_request rq = { 0 };
    int                 rc = http_head_scan(&whole, bytes, &refusal), again = -EAGAIN;

    for (size_t have = 0; again == -EAGAIN && have < bytes.size;) {
        have = have + step < bytes.size ? have + step : bytes.size;
        again = http_head_scan(&pieces, slice_of(bytes.data, have), &other);
    }
    assert(bytes.size == 0 || rc == again);
    if (rc)
        return;
    assert(whole.size == pieces.size && whole.size <= bytes.size);
    arena_init(&rq.arena, ARENA_LIMIT_DEFAULT);
    struct slice head = slice_of(bytes.data, whole.size);
    rc = http_head_parse(&whole, head, true, &rq, &refusal);
    if (rc == 0)
        check_request(&rq, head);
    else
        assert(refusal.status >= 400 && refusal.status <= 505 && refusal.why);
    arena_done(&rq.arena);
}

/* Returns the size of the data, or a negative code. */
static int64_t decode(struct slice bytes, size_t step, struct arena *arena, uint32_t *ret_trailers)
{
    struct http_chunks  chunks = { 0 };
    struct http_header *trailers;
    size_t              at = 0, given = 0, used;
    int64_t             size = 0;

    while (chunks.state != HTTP_CHUNK_DONE) {
        if (at == given) {
            if (given == bytes.size)
                return -EAGAIN;
            given = given + step < bytes.size ? given + step : bytes.size;
        }
        if (chunks.state == HTTP_CHUNK_DATA) {
            size_t n = chunks.left < given - at ? (size_t)chunks.left : given - at;
            http_chunks_data(&chunks, n);
            size += (int64_t)n;
            at += n;
            continue;
        }
        int rc = http_chunks_step(&chunks, arena, slice_of(bytes.data + at, given - at), &used);
        if (rc)
            return rc;
        at += used;
    }
    int rc = http_chunks_trailers(&chunks, arena, &trailers, ret_trailers);
    return rc ? rc : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    uint32_t     a = 0, b = 0;
    uint8_t     *copy;

    if (size < 1 || !(copy = malloc(size)))   /* Ends where the bytes end. */
        return 0;
    memcpy(copy, data, size);
    struct slice bytes = slice_of(copy + 1, size - 1);
    size_t       step = 1 + copy[0] % 61;

    check_head(bytes, step);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    int64_t whole = decode(bytes, SIZE_MAX / 2, &arena, &a), pieces = decode(bytes, step, &arena, &b);
    assert(whole == pieces && a == b);
    arena_done(&arena);
    free(copy);
    return 0;
}
