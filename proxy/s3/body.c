/* proxy/s3/body.c - see body.h.
 *
 * Signatures of chunks: HMAC-SHA256 by the day's signing key of "AWS4-HMAC-SHA256-PAYLOAD", time, scope, the signature
 * before, SHA-256 of nothing, SHA-256 of the chunk; the first goes on from the request's signature. Trailers:
 * "AWS4-HMAC-SHA256-TRAILER", time, scope, the signature before, SHA-256 of the lines "name:value\n". */
#define OPENSSL_SUPPRESS_DEPRECATED   /* SHA256_Init() and so on: EVP allocates at each use. */
#include "proxy/s3/body.h"

#include <strings.h>

static const char sha256_of_nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char payload_name[] = "AWS4-HMAC-SHA256-PAYLOAD\n", trailer_name[] = "AWS4-HMAC-SHA256-TRAILER\n";
enum { TEXT_TAIL = 3 * SHA256_HEX + 2 };

WAITS static int read_http(void *ctx, void *data, size_t capacity, size_t *ret_size)
{
    return http_body_read(ctx, data, capacity, ret_size);
}

static bool hashed(const struct s3_body *body)
{
    return body->payload != S3_PAYLOAD_UNSIGNED && body->payload != S3_PAYLOAD_UNSIGNED_TRAILER;
}

static bool chunked(const struct s3_body *body)
{
    return body->payload != S3_PAYLOAD_UNSIGNED && body->payload != S3_PAYLOAD_SHA256;
}

/* --- Opening. --- */

static int decoded_length(const struct http_request *rq, uint64_t *ret, struct error *err)
{
    struct slice text = http_header(rq, "x-amz-decoded-content-length");
    uint64_t     value = 0;

    if (!text.size)
        return s3_fail(err, S3_MISSING_CONTENT_LENGTH);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i == 15)
            return error_set(err, S3_INVALID_ARGUMENT, "x-amz-decoded-content-length is not a length.");
        value = value * 10 + (text.data[i] - '0');
    }
    *ret = value;
    return 0;
}

static int prepare_text(struct s3_body *body, struct arena *arena)
{
    const struct s3_auth *auth = body->auth;
    size_t                size = sizeof payload_name - 1 + auth->timestamp.size + 1 + auth->scope.size + 1;
    uint8_t              *out = arena_alloc(arena, size + TEXT_TAIL);

    if (!out)
        return -ENOMEM;
    body->text = out;
    body->text_size = size;
    memcpy(out, payload_name, sizeof payload_name - 1);
    out += sizeof payload_name - 1;
    if (auth->timestamp.size)
        memcpy(out, auth->timestamp.data, auth->timestamp.size);
    out += auth->timestamp.size;
    *out++ = '\n';
    if (auth->scope.size)
        memcpy(out, auth->scope.data, auth->scope.size);
    out[auth->scope.size] = '\n';
    hex_of(auth->signature, SHA256_BYTES, body->previous);
    return 0;
}

static int open_chunked(struct s3_body *body, struct http_request *rq, struct error *err)
{
    int rc = decoded_length(rq, &body->size, err);

    if (rc)
        return rc;
    if (rq->has_length && body->size > rq->content_length)
        return error_set(err, S3_INCOMPLETE_BODY, "x-amz-decoded-content-length is larger than Content-Length.");
    body->announced = http_header(rq, "x-amz-trailer");
    body->stage = arena_alloc(&rq->arena, S3_BODY_STAGE_BYTES);
    rc = aws_chunks_init(&body->chunks, body->payload, body->size, &rq->arena);
    if (rc == 0 && hashed(body))
        rc = prepare_text(body, &rq->arena);
    return rc || !body->stage ? error_set(err, -ENOMEM, "out of memory") : 0;
}

int s3_body_open(struct s3_body *body, struct http_request *rq, const struct s3_auth *auth, struct error *err)
{
    memset(body, 0, offsetof(struct s3_body, segments));
    body->wrong = false;
    body->source = (struct s3_source) { read_http, rq, rq->env };
    body->auth = auth;
    body->payload = auth->payload;
    body->size = rq->has_length ? rq->content_length : rq->chunked ? UINT64_MAX : 0;
    SHA256_Init(&body->sha256);
    if (chunked(body))
        body->rc = open_chunked(body, rq, err);
    return body->rc;
}

/* --- Signatures. --- */

static bool signed_as(struct s3_body *body, const uint8_t claimed[SHA256_BYTES])
{
    uint8_t signature[SHA256_BYTES];

    hmac_sha256(slice_of(body->auth->signing_key, SHA256_BYTES), slice_of(body->text, body->text_size + TEXT_TAIL),
                signature);
    hex_of(signature, SHA256_BYTES, body->previous);
    return equal_secret(signature, claimed, SHA256_BYTES);
}

/* Any thread: touches only what is in the body. */
static void verify_segments(void *arg)
{
    struct s3_body *body = arg;

    for (uint32_t i = 0; i < body->segment_count; i++) {
        const struct s3_segment *s = &body->segments[i];
        uint8_t                  digest[SHA256_BYTES], *out;

        if (s->size)
            SHA256_Update(&body->sha256, body->data + s->offset, s->size);
        if (!s->ends)
            continue;
        SHA256_Final(digest, &body->sha256);
        SHA256_Init(&body->sha256);
        out = body->text + body->text_size;
        memcpy(out, body->previous, SHA256_HEX);
        out[SHA256_HEX] = '\n';
        memcpy(out + SHA256_HEX + 1, sha256_of_nothing, SHA256_HEX);
        out[2 * SHA256_HEX + 1] = '\n';
        hex_of(digest, SHA256_BYTES, (char *)out + 2 * SHA256_HEX + 2);
        if (!signed_as(body, s->claimed))
            body->wrong = true;
    }
}

WAITS static int verify(struct s3_body *body, const uint8_t *data, struct error *err)
{
    size_t total = 0;
    int    rc = 0;

    if (!hashed(body) || body->segment_count == 0)
        return 0;
    for (uint32_t i = 0; i < body->segment_count; i++)
        total += body->segments[i].size;
    body->data = data;
    if (total > S3_BODY_LOOP_MAX && body->source.env)
        rc = env_work(body->source.env, WORK_CPU, verify_segments, body);
    else
        verify_segments(body);
    body->segment_count = 0;
    if (rc)
        return error_set(err, rc, "the signature could not be computed");
    return body->wrong ? s3_fail(err, S3_SIGNATURE_DOES_NOT_MATCH) : 0;
}

static bool trailer_is_signed(struct s3_body *body)
{
    static const uint8_t colon = ':', end = '\n';
    uint8_t              digest[SHA256_BYTES], *out = body->text + body->text_size;
    SHA256_CTX           ctx;
    struct slice         text;
    uint8_t              signature[SHA256_BYTES];

    SHA256_Init(&ctx);
    for (uint32_t i = 0; i < body->chunks.trailer_count; i++) {
        const struct http_header *t = &body->chunks.trailer[i];
        SHA256_Update(&ctx, t->name.data, t->name.size);
        SHA256_Update(&ctx, &colon, 1);
        if (t->value.size)
            SHA256_Update(&ctx, t->value.data, t->value.size);
        SHA256_Update(&ctx, &end, 1);
    }
    SHA256_Final(digest, &ctx);
    memcpy(body->text, trailer_name, sizeof trailer_name - 1);
    memcpy(out, body->previous, SHA256_HEX);
    out[SHA256_HEX] = '\n';
    hex_of(digest, SHA256_BYTES, (char *)out + SHA256_HEX + 1);
    text = slice_of(body->text, body->text_size + 2 * SHA256_HEX + 1);
    hmac_sha256(slice_of(body->auth->signing_key, SHA256_BYTES), text, signature);
    return equal_secret(signature, body->chunks.trailer_signature, SHA256_BYTES);
}

/* --- Trailers. --- */

static bool same_name(struct slice a, struct slice b)
{
    return a.size == b.size && strncasecmp((const char *)a.data, (const char *)b.data, a.size) == 0;
}

/* The next name of a list that commas part. */
static struct slice next_item(struct slice *list)
{
    const uint8_t *comma = memchr(list->data, ',', list->size);
    struct slice   item = slice_of(list->data, comma ? (size_t)(comma - list->data) : list->size);

    *list = slice_from(*list, item.size + (comma != NULL));
    while (item.size && (item.data[0] == ' ' || item.data[0] == '\t'))
        item = slice_from(item, 1);
    while (item.size && (item.data[item.size - 1] == ' ' || item.data[item.size - 1] == '\t'))
        item.size--;
    return item;
}

static bool announces(const struct s3_body *body, struct slice name)
{
    struct slice list = body->announced;

    while (list.size)
        if (same_name(next_item(&list), name))
            return true;
    return false;
}

bool s3_body_announces(const struct s3_body *body, const char *name)
{
    return body->chunks.trailers && announces(body, slice_str(name));
}

struct slice s3_body_trailer(const struct s3_body *body, const char *name)
{
    for (uint32_t i = 0; i < body->chunks.trailer_count; i++)
        if (same_name(body->chunks.trailer[i].name, slice_str(name)))
            return body->chunks.trailer[i].value;
    return SLICE_NONE;
}

/* Exactly those that x-amz-trailer announced, each once. */
static int check_trailers(struct s3_body *body, struct error *err)
{
    struct slice list = body->announced;

    if (!body->chunks.trailers)
        return 0;
    if (body->chunks.sign && !trailer_is_signed(body))
        return s3_fail(err, S3_SIGNATURE_DOES_NOT_MATCH);
    while (list.size) {
        struct slice item = next_item(&list);
        uint32_t     count = 0;
        for (uint32_t i = 0; i < body->chunks.trailer_count; i++)
            count += same_name(body->chunks.trailer[i].name, item);
        if (item.size && count != 1)
            return s3_fail(err, S3_MALFORMED_TRAILER);
    }
    for (uint32_t i = 0; i < body->chunks.trailer_count; i++)
        if (!announces(body, body->chunks.trailer[i].name))
            return s3_fail(err, S3_MALFORMED_TRAILER);
    return 0;
}

/* --- Reading. --- */

WAITS static int read_source(struct s3_body *body, void *data, size_t capacity, size_t *ret_size, struct error *err)
{
    int rc = body->source.read(body->source.ctx, data, capacity, ret_size);

    switch (rc) {
    case 0: return 0;
    case -ETIMEDOUT: return s3_fail(err, S3_REQUEST_TIMEOUT);
    case -E_CLOSED: return s3_fail(err, S3_INCOMPLETE_BODY);
    case -E_SYNTAX: return error_set(err, S3_INVALID_REQUEST, "The chunked transfer coding is malformed.");
    default: return error_set(err, rc, "the body could not be read");
    }
}

/* 'size' bytes of the chunk that is being read are at 'offset' of the caller's memory. */
static void add_segment(struct s3_body *body, size_t offset, size_t size, bool ends)
{
    struct s3_segment *s = body->segment_count ? &body->segments[body->segment_count - 1] : NULL;

    if (!hashed(body))
        return;
    if (s && !s->ends && s->offset + s->size == offset) {
        s->size += size;
    } else {
        s = &body->segments[body->segment_count++];
        s->offset = offset;
        s->size = size;
    }
    s->ends = ends;
    memcpy(s->claimed, body->chunks.claimed, SHA256_BYTES);
}

/* Framing up to the next data or the end. */
WAITS static int next_chunk(struct s3_body *body, size_t offset, struct error *err)
{
    struct aws_chunks *c = &body->chunks;
    size_t             used = 0;
    int                rc;

    if (body->stage_at == body->stage_end) {
        rc = read_source(body, body->stage, S3_BODY_STAGE_BYTES, &body->stage_end, err);
        body->stage_at = 0;
        if (rc) {
            body->stage_end = 0;
            return rc;
        }
        if (body->stage_end == 0)
            return aws_chunks_end(c, err);
    }
    rc = aws_chunks_step(c, slice_of(body->stage + body->stage_at, body->stage_end - body->stage_at), &used, err);
    body->stage_at += used;
    if (rc == 0 && c->started && c->left == 0)   /* The last chunk is empty, and signed. */
        add_segment(body, offset, 0, true);
    return rc;
}

/* Data of a chunk: what is staged, or straight from the source. */
WAITS static int chunk_data(struct s3_body *body, uint8_t *data, size_t capacity, size_t *at, struct error *err)
{
    struct aws_chunks *c = &body->chunks;
    size_t             want = capacity - *at, n = body->stage_end - body->stage_at;

    if (want > c->left)
        want = (size_t)c->left;
    if (n > 0) {
        n = n < want ? n : want;
        memcpy(data + *at, body->stage + body->stage_at, n);
        body->stage_at += n;
    } else {
        int rc = read_source(body, data + *at, want, &n, err);
        if (rc)
            return rc;
        if (n == 0)
            return s3_fail(err, S3_INCOMPLETE_BODY);
    }
    aws_chunks_data(c, n);
    add_segment(body, *at, n, c->left == 0);
    *at += n;
    return 0;
}

/* Behind the last chunk: nothing more may come. */
WAITS static int chunks_done(struct s3_body *body, uint64_t total, struct error *err)
{
    size_t n = body->stage_end - body->stage_at;
    int    rc = 0;

    if (n == 0 && body->stage_end > 0)
        rc = read_source(body, body->stage, S3_BODY_STAGE_BYTES, &n, err);
    if (rc == 0 && n > 0)
        rc = error_set(err, S3_INVALID_REQUEST, "There are bytes behind the last chunk.");
    if (rc == 0 && total != body->size)
        rc = s3_fail(err, S3_INCOMPLETE_BODY);
    return rc;
}

WAITS static int read_chunked(struct s3_body *body, uint8_t *data, size_t capacity, size_t *ret_size,
                              struct error *err)
{
    struct aws_chunks *c = &body->chunks;
    size_t             at = 0;
    int                rc = 0;

    while (rc == 0 && c->state != AWS_CHUNK_DONE && body->segment_count < S3_BODY_SEGMENTS_MAX - 1 &&
           at < S3_BODY_GATHER_BYTES) {
        if (c->state != AWS_CHUNK_DATA)
            rc = next_chunk(body, at, err);
        else if (at < capacity)
            rc = chunk_data(body, data, capacity, &at, err);
        else
            break;
    }
    if (rc == 0)
        rc = verify(body, data, err);
    if (rc == 0 && c->state == AWS_CHUNK_DONE) {
        rc = chunks_done(body, body->read + at, err);
        if (rc == 0)
            rc = check_trailers(body, err);
        body->done = true;
    }
    *ret_size = at;
    return rc;
}

WAITS static int read_plain(struct s3_body *body, uint8_t *data, size_t capacity, size_t *ret_size, struct error *err)
{
    size_t  at = 0, n = 0, goal = hashed(body) && capacity > S3_BODY_GATHER_BYTES ? S3_BODY_GATHER_BYTES : capacity;
    uint8_t digest[SHA256_BYTES];
    int     rc;

    do {
        if (body->read + at == body->size) {
            body->done = true;
            break;
        }
        rc = read_source(body, data + at, goal - at, &n, err);
        if (rc)
            return rc;
        body->done = n == 0;
        at += n;
    } while (hashed(body) && !body->done && at < goal);
    if (body->done && body->size != UINT64_MAX && body->read + at < body->size)
        return s3_fail(err, S3_INCOMPLETE_BODY);
    *ret_size = at;
    if (!hashed(body))
        return 0;
    if (at)
        add_segment(body, 0, at, false);
    rc = verify(body, data, err);
    if (rc == 0 && body->done) {
        SHA256_Final(digest, &body->sha256);
        if (!equal_secret(digest, body->auth->payload_sha256, SHA256_BYTES))
            rc = s3_fail(err, S3_CONTENT_SHA256_MISMATCH);
    }
    return rc;
}

int s3_body_read(struct s3_body *body, void *data, size_t capacity, size_t *ret_size, struct error *err)
{
    size_t size = 0;
    int    rc = body->rc;

    if (rc)
        return error_set(err, rc, "the body has failed before");
    while (rc == 0 && size == 0 && !body->done)
        rc = chunked(body) ? read_chunked(body, data, capacity, &size, err)
                           : read_plain(body, data, capacity, &size, err);
    body->rc = rc;
    if (rc)
        return rc;
    body->read += size;
    *ret_size = size;
    return 0;
}

int s3_body_all(struct s3_body *body, struct arena *arena, size_t limit, struct slice *ret_bytes, struct error *err)
{
    size_t   capacity = body->size < limit ? (size_t)body->size : limit, used = 0, n;
    uint8_t *bytes;
    int      rc;

    if (body->size != UINT64_MAX && body->size > limit)
        return s3_fail(err, S3_MAX_MESSAGE_LENGTH_EXCEEDED);
    bytes = arena_alloc(arena, capacity + 1);   /* One more, to see the end. */
    if (!bytes)
        return error_set(err, -ENOMEM, "out of memory");
    do {
        if (used > capacity)
            return s3_fail(err, S3_MAX_MESSAGE_LENGTH_EXCEEDED);
        rc = s3_body_read(body, bytes + used, capacity + 1 - used, &n, err);
        if (rc)
            return rc;
        used += n;
    } while (n > 0);
    *ret_bytes = slice_of(bytes, used);
    return 0;
}

int s3_content_encoding(struct slice value, struct arena *arena, struct slice *ret_value)
{
    uint8_t *text = arena_alloc(arena, value.size * 2 + 1);
    size_t   size = 0;

    if (!text)
        return -ENOMEM;
    while (value.size) {
        struct slice item = next_item(&value);
        if (item.size == 0 || same_name(item, SLICE("aws-chunked")))
            continue;
        if (size) {
            memcpy(text + size, ", ", 2);
            size += 2;
        }
        memcpy(text + size, item.data, item.size);
        size += item.size;
    }
    *ret_value = slice_of(text, size);
    return 0;
}
