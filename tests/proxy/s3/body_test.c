/* tests/proxy/s3/body_test.c - plain, hashed and aws-chunked bodies: Amazon's examples in any pieces, every refusal. */
#include "proxy/s3/body.h"

#include "base/env_kernel.h"
#include "tests/proxy/s3/request.h"

enum { EXAMPLE_BYTES = 66560, ROOM = 1024 * 1024 };

/* Hands out 'bytes', at most 'step' at once. */
struct pieces {
    struct slice bytes;
    size_t       at, step;
    int          rc;      /* In the end; 0: just the end. */
};

static int pieces_read(void *ctx, void *data, size_t capacity, size_t *ret_size)
{
    struct pieces *p = ctx;
    size_t         n = p->bytes.size - p->at;

    n = n < p->step ? n : p->step;
    n = n < capacity ? n : capacity;
    if (n == 0 && p->rc)
        return p->rc;
    if (n)
        memcpy(data, p->bytes.data + p->at, n);
    p->at += n;
    *ret_size = n;
    return 0;
}

static struct error   last;
static struct s3_auth auth;
static struct s3_body body;
static uint8_t        out[ROOM];

/* Reads 'raw' as the body of 'rq' to its end, 'step' bytes from the client and 'room' for the handler at once. */
static int read_body(struct http_request *rq, struct env *env, struct slice raw, size_t step, size_t room,
                     size_t *ret_size)
{
    struct pieces pieces = { .bytes = raw, .step = step };
    size_t        size = 0, n = 1;
    int           rc = s3_body_open(&body, rq, &auth, &last);

    body.source = (struct s3_source) { pieces_read, &pieces, env };
    while (rc == 0 && n > 0) {
        assert_true(size < ROOM);
        rc = s3_body_read(&body, out + size, room < ROOM - size ? room : ROOM - size, &n, &last);
        if (rc == 0)
            size += n;
    }
    if (rc) {
        assert_int_equal(last.code, rc);
        assert_int_equal(s3_body_read(&body, out, 1, &n, &last), rc);   /* It stays so. */
    }
    *ret_size = size;
    return rc;
}

/* --- Signed chunks. --- */

#define CHUNKED_HEAD(kind, more_names, more, signature)                                                              \
    "PUT /examplebucket/chunkObject.txt HTTP/1.1\nHost: s3.amazonaws.com\nx-amz-date: 20130524T000000Z\n"            \
    "x-amz-storage-class: REDUCED_REDUNDANCY\nAuthorization: AWS4-HMAC-SHA256 Credential=" EXAMPLE_KEY               \
    "/20130524/us-east-1/s3/aws4_request,SignedHeaders=content-encoding;" more_names ","                             \
    "Signature=" signature "\nx-amz-content-sha256: " kind "\nContent-Encoding: aws-chunked\n"                       \
    "x-amz-decoded-content-length: 66560\n" more "\n"
#define PLAIN_HEAD                                                                                                   \
    CHUNKED_HEAD("STREAMING-AWS4-HMAC-SHA256-PAYLOAD",                                                               \
                 "content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"                 \
                 "x-amz-storage-class", "Content-Length: 66824\n",                                                   \
                 "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
#define TRAILER_HEAD                                                                                                 \
    CHUNKED_HEAD("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",                                                       \
                 "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"            \
                 "x-amz-trailer", "x-amz-trailer: x-amz-checksum-crc32c\nTransfer-Encoding: chunked\n",              \
                 "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
#define TRAILER                                                                                                      \
    "x-amz-checksum-crc32c:sOO8/Q==\r\n"                                                                             \
    "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"

static const char *const plain_signatures[3] = {
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
};
static const char *const trailer_signatures[3] = {
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
};

static struct slice make_chunks(const char *const signatures[3], const char *end)
{
    static uint8_t      raw[EXAMPLE_BYTES + 4096];
    static const size_t sizes[3] = { 65536, 1024, 0 };
    size_t              n = 0;

    for (int i = 0; i < 3; i++) {
        n += (size_t)snprintf((char *)raw + n, 128, "%zx;chunk-signature=%s\r\n", sizes[i], signatures[i]);
        memset(raw + n, 'a', sizes[i]);
        n += sizes[i];
        if (i < 2) {
            memcpy(raw + n, "\r\n", 2);
            n += 2;
        }
    }
    memcpy(raw + n, end, strlen(end));
    return slice_of(raw, n + strlen(end));
}

static int read_example(const char *head, const char *const signatures[3], const char *end, size_t step, size_t room)
{
    struct s3_auth_options options = example_options(EXAMPLE_TIME);
    struct http_request    rq;
    size_t                 size;
    int                    rc;

    request_parse(&rq, head);
    assert_int_equal(s3_authenticate(&options, &rq, &auth, &last), 0);
    rc = read_body(&rq, NULL, make_chunks(signatures, end), step, room, &size);
    if (rc == 0) {
        assert_int_equal(size, EXAMPLE_BYTES);
        assert_int_equal(s3_body_size(&body), EXAMPLE_BYTES);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(out[i], 'a');
        if (auth.payload == S3_PAYLOAD_CHUNKS_TRAILER)
            assert_true(slice_equal(s3_body_trailer(&body, "X-Amz-Checksum-CRC32C"), SLICE("sOO8/Q==")));
    }
    arena_done(&rq.arena);
    return rc;
}

static void signed_chunks__published_examples_in_any_pieces(void **unused)
{
    static const size_t steps[] = { 1, 2, 7, 86, 4096, 5000, 65535, ROOM }, rooms[] = { 1000, 65536, 66560, ROOM };

    (void)unused;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t j = 0; j < sizeof rooms / sizeof *rooms; j++) {
            assert_int_equal(read_example(PLAIN_HEAD, plain_signatures, "\r\n", steps[i], rooms[j]), 0);
            assert_int_equal(read_example(TRAILER_HEAD, trailer_signatures, TRAILER, steps[i], rooms[j]), 0);
        }
}

static void signed_chunks__a_last_empty_line_may_be_missing(void **unused)
{
    (void)unused;
    assert_int_equal(read_example(PLAIN_HEAD, plain_signatures, "", ROOM, ROOM), 0);
    assert_int_equal(read_example(PLAIN_HEAD, plain_signatures, "\r", ROOM, ROOM), S3_INCOMPLETE_BODY);
    assert_int_equal(read_example(PLAIN_HEAD, plain_signatures, "\r\nx", ROOM, ROOM), S3_INVALID_REQUEST);
    assert_int_equal(read_example(PLAIN_HEAD, plain_signatures, "\r\nx", 1, ROOM), S3_INVALID_REQUEST);
    assert_int_equal(read_example(PLAIN_HEAD, plain_signatures, "x", ROOM, ROOM), S3_INVALID_REQUEST);
}

static void signed_chunks__each_signature_counts(void **unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++) {
        const char *signatures[3] = { plain_signatures[0], plain_signatures[1], plain_signatures[2] };
        signatures[i] = plain_signatures[(i + 1) % 3];
        for (size_t step = 4096; step <= ROOM; step *= 16)
            assert_int_equal(read_example(PLAIN_HEAD, signatures, "\r\n", step, ROOM), S3_SIGNATURE_DOES_NOT_MATCH);
        signatures[i] = "00";
        assert_int_equal(read_example(PLAIN_HEAD, signatures, "\r\n", ROOM, ROOM), S3_INVALID_REQUEST);
    }
}

static void signed_trailers__announced_and_signed(void **unused)
{
#define SIGNED(hex) "x-amz-trailer-signature:" hex "\r\n\r\n"
#define RIGHT "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
#define WRONG "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e436"
    static const struct {
        const char *end;
        int         rc;
    } cases[] = {
        { "x-amz-checksum-crc32c: sOO8/Q== \n\r\n" SIGNED(RIGHT), 0 },
        { "x-amz-checksum-crc32c:sOO8/Q==\n" SIGNED(RIGHT), 0 },
        { "x-amz-checksum-crc32c:sOO8/Q==\r\n" SIGNED(WRONG), S3_SIGNATURE_DOES_NOT_MATCH },
        { "x-amz-checksum-crc32c:sOO8/R==\r\n" SIGNED(RIGHT), S3_SIGNATURE_DOES_NOT_MATCH },
        { SIGNED(RIGHT), S3_SIGNATURE_DOES_NOT_MATCH },
        { "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n", S3_INCOMPLETE_BODY },
        { "x-amz-checksum-crc32c:sOO8/Q==\r\n" SIGNED("d81f"), S3_MALFORMED_TRAILER },
        { "x-amz-checksum-crc32c\r\n" SIGNED(RIGHT), S3_MALFORMED_TRAILER },
        { ":sOO8/Q==\r\n" SIGNED(RIGHT), S3_MALFORMED_TRAILER },
        { "x amz:sOO8/Q==\r\n" SIGNED(RIGHT), S3_MALFORMED_TRAILER },
        { "x-amz-trailer-signature:" RIGHT "\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n", S3_MALFORMED_TRAILER },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= ROOM; step *= 1024) {
            int rc = read_example(TRAILER_HEAD, trailer_signatures, cases[i].end, step, ROOM);
            if (rc != cases[i].rc)
                fail_msg("case %zu: %d %s", i, rc, last.text);
        }
}

/* --- Unsigned chunks. --- */

static int read_unsigned(const char *headers, const char *text, size_t step, size_t *ret_size)
{
    struct http_request rq;
    char                head[1024];
    int                 rc;

    snprintf(head, sizeof head, "PUT /b/k HTTP/1.1\nHost: h\n%s\n", headers);
    request_parse(&rq, head);
    memset(&auth, 0, sizeof auth);
    auth.payload = S3_PAYLOAD_UNSIGNED_TRAILER;
    rc = read_body(&rq, NULL, slice_str(text), step, 8, ret_size);
    arena_done(&rq.arena);
    return rc;
}

#define LENGTH(n) "Transfer-Encoding: chunked\nx-amz-decoded-content-length: " n "\n"
#define ANNOUNCED LENGTH("11") "x-amz-trailer: x-amz-checksum-crc32\n"

static void unsigned_chunks__what_is_accepted_and_what_not(void **unused)
{
    static const struct {
        const char *headers, *text;
        int         rc;
    } cases[] = {
        { ANNOUNCED, "5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n", 0 },
        { ANNOUNCED, "B\r\nhello world\r\n0\r\nX-Amz-Checksum-Crc32: DUoRhQ==\r\n\r\n", 0 },
        { ANNOUNCED, "b;extension=1\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\n\n", 0 },
        { ANNOUNCED, "000000b\r\nhello world\r\n0\r\n\r\n", S3_MALFORMED_TRAILER },
        { ANNOUNCED, "b\r\nhello world\r\n0\r\nx-amz-meta-a:b\r\n\r\n", S3_MALFORMED_TRAILER },
        { ANNOUNCED, "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:1\r\nx-amz-checksum-crc32:2\r\n\r\n",
          S3_MALFORMED_TRAILER },
        { ANNOUNCED, "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n", S3_INCOMPLETE_BODY },
        { ANNOUNCED, "b\r\nhello world\r\n", S3_INCOMPLETE_BODY },
        { ANNOUNCED, "b\r\nhello wor", S3_INCOMPLETE_BODY },
        { ANNOUNCED, "", S3_INCOMPLETE_BODY },
        { LENGTH("11"), "b\r\nhello world\r\n0\r\n\r\n", 0 },
        { LENGTH("12"), "b\r\nhello world\r\n0\r\n\r\n", S3_INCOMPLETE_BODY },
        { LENGTH("10"), "b\r\nhello world\r\n0\r\n\r\n", S3_INVALID_REQUEST },
        { LENGTH("0"), "0\r\n\r\n", 0 },
        { LENGTH("11"), "b\nhello world\r\n0\r\n\r\n", S3_INVALID_REQUEST },
        { LENGTH("11"), "b\r\nhello world0\r\n\r\n", S3_INVALID_REQUEST },
        { LENGTH("11"), "\r\nhello world\r\n0\r\n\r\n", S3_INVALID_REQUEST },
        { LENGTH("11"), "g\r\nhello world\r\n0\r\n\r\n", S3_INVALID_REQUEST },
        { LENGTH("11"), "ffffffffffffffff\r\nhello world\r\n0\r\n\r\n", S3_INVALID_REQUEST },
        { LENGTH("11"), "b \r\nhello world\r\n0\r\n\r\n", S3_INVALID_REQUEST },
        { "Transfer-Encoding: chunked\n", "0\r\n\r\n", S3_MISSING_CONTENT_LENGTH },
        { LENGTH("-1"), "0\r\n\r\n", S3_INVALID_ARGUMENT },
        { LENGTH("1000000000000000"), "0\r\n\r\n", S3_INVALID_ARGUMENT },
        { "Content-Length: 10\nx-amz-decoded-content-length: 11\n", "b\r\nhello wor", S3_INCOMPLETE_BODY },
    };
    size_t size;

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 200; step += 66) {
            int rc = read_unsigned(cases[i].headers, cases[i].text, step, &size);
            if (rc != cases[i].rc)
                fail_msg("case %zu, step %zu: %d %s", i, step, rc, last.text);
            if (rc == 0 && size)
                assert_memory_equal(out, "hello world", 11);
        }
}

static void unsigned_chunks__limits(void **unused)
{
    static char text[AWS_TRAILER_BYTES_MAX + 256];
    char        line[AWS_CHUNK_LINE_MAX + 2];
    size_t      size, n;

    (void)unused;
    /* A chunk line of exactly the limit: size, extension, and CR. */
    memset(line, 'x', sizeof line);
    memcpy(line, "b;", 2);
    line[AWS_CHUNK_LINE_MAX - 1] = 0;
    snprintf(text, sizeof text, "%s\r\nhello world\r\n0\r\n\r\n", line);
    assert_int_equal(read_unsigned(LENGTH("11"), text, ROOM, &size), 0);
    line[AWS_CHUNK_LINE_MAX - 1] = 'x';
    line[AWS_CHUNK_LINE_MAX] = 0;
    snprintf(text, sizeof text, "%s\r\nhello world\r\n0\r\n\r\n", line);
    assert_int_equal(read_unsigned(LENGTH("11"), text, ROOM, &size), S3_INVALID_REQUEST);
    for (int past = 0; past < 2; past++) {   /* Trailers of exactly the limit, and of one byte more. */
        n = (size_t)snprintf(text, sizeof text, "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:");
        size_t fill = AWS_TRAILER_BYTES_MAX - strlen("x-amz-checksum-crc32:") - 4 + (size_t)past;
        memset(text + n, 'x', fill);
        memcpy(text + n + fill, "\r\n\r\n", 5);
        assert_int_equal(read_unsigned(ANNOUNCED, text, ROOM, &size), past ? S3_MALFORMED_TRAILER : 0);
    }
    for (int past = 0; past < 2; past++) {   /* Their number: all but the announced one fail later. */
        char names[512] = LENGTH("11") "x-amz-trailer: a0";
        n = (size_t)snprintf(text, sizeof text, "b\r\nhello world\r\n0\r\na0:1\r\n");
        for (int i = 1; i < AWS_TRAILERS_MAX + past; i++) {
            n += (size_t)snprintf(text + n, sizeof text - n, "a%d:1\r\n", i);
            snprintf(names + strlen(names), sizeof names - strlen(names), ", a%d", i);
        }
        snprintf(text + n, sizeof text - n, "\r\n");
        snprintf(names + strlen(names), sizeof names - strlen(names), "\n");
        assert_int_equal(read_unsigned(names, text, ROOM, &size), past ? S3_MALFORMED_TRAILER : 0);
    }
}

/* --- Plain. --- */

static int read_plain(const char *length, struct slice raw, enum s3_payload payload, size_t room, size_t *ret_size)
{
    struct http_request rq;
    char                head[1024];
    int                 rc;

    snprintf(head, sizeof head, "PUT /b/k HTTP/1.1\nHost: h\n%s\n", length);
    request_parse(&rq, head);
    auth.payload = payload;
    rc = read_body(&rq, NULL, raw, 3, room, ret_size);
    arena_done(&rq.arena);
    return rc;
}

static void plain__hash_and_length(void **unused)
{
    static const char *const lengths[] = { "Content-Length: 11\n", "Transfer-Encoding: chunked\n" };
    size_t size;

    (void)unused;
    memset(&auth, 0, sizeof auth);
    for (size_t i = 0; i < 2; i++)
        for (size_t room = 1; room < 13; room++) {
            hash_sha256(SLICE("hello world"), auth.payload_sha256);
            assert_int_equal(read_plain(lengths[i], SLICE("hello world"), S3_PAYLOAD_SHA256, room, &size), 0);
            assert_int_equal(size, 11);
            assert_memory_equal(out, "hello world", 11);
            assert_int_equal(read_plain(lengths[i], SLICE("hello world"), S3_PAYLOAD_UNSIGNED, room, &size), 0);
            assert_int_equal(read_plain(lengths[i], SLICE("hello worle"), S3_PAYLOAD_SHA256, room, &size),
                             S3_CONTENT_SHA256_MISMATCH);
            assert_int_equal(read_plain(lengths[i], SLICE("hello worl"), S3_PAYLOAD_SHA256, room, &size),
                             i ? S3_CONTENT_SHA256_MISMATCH : S3_INCOMPLETE_BODY);
        }
    hash_sha256(SLICE(""), auth.payload_sha256);
    assert_int_equal(read_plain("", SLICE(""), S3_PAYLOAD_SHA256, 1, &size), 0);
    hash_sha256(SLICE("x"), auth.payload_sha256);
    assert_int_equal(read_plain("", SLICE(""), S3_PAYLOAD_SHA256, 1, &size), S3_CONTENT_SHA256_MISMATCH);
}

static void plain__failures_of_the_transport(void **unused)
{
    static const int codes[][2] = { { -ETIMEDOUT, S3_REQUEST_TIMEOUT }, { -E_CLOSED, S3_INCOMPLETE_BODY },
                                    { -E_SYNTAX, S3_INVALID_REQUEST }, { -ECANCELED, -ECANCELED } };

    (void)unused;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct pieces       pieces = { .bytes = SLICE("x"), .step = 1, .rc = codes[i][0] };
        struct http_request rq;
        uint8_t             byte;
        size_t              n;

        request_parse(&rq, "PUT / HTTP/1.1\nHost: h\nContent-Length: 9\n\n");
        memset(&auth, 0, sizeof auth);
        assert_int_equal(s3_body_open(&body, &rq, &auth, &last), 0);
        body.source = (struct s3_source) { pieces_read, &pieces, NULL };
        assert_int_equal(s3_body_read(&body, &byte, 1, &n, &last), 0);
        assert_int_equal(s3_body_read(&body, &byte, 1, &n, &last), codes[i][1]);
        arena_done(&rq.arena);
    }
}

static void body_all__limit(void **unused)
{
    static const char *const lengths[] = { "Content-Length: 11\n", "Transfer-Encoding: chunked\n" };

    (void)unused;
    for (size_t i = 0; i < 4; i++) {
        struct pieces       pieces = { .bytes = SLICE("hello world"), .step = 4 };
        size_t              limit = i < 2 ? 11 : 10;
        struct http_request rq;
        char                head[256];
        struct slice        bytes;

        snprintf(head, sizeof head, "PUT / HTTP/1.1\nHost: h\n%s\n", lengths[i % 2]);
        request_parse(&rq, head);
        memset(&auth, 0, sizeof auth);
        assert_int_equal(s3_body_open(&body, &rq, &auth, &last), 0);
        body.source = (struct s3_source) { pieces_read, &pieces, NULL };
        assert_int_equal(s3_body_all(&body, &rq.arena, limit, &bytes, &last),
                         i < 2 ? 0 : S3_MAX_MESSAGE_LENGTH_EXCEEDED);
        if (i < 2)
            assert_true(slice_equal(bytes, SLICE("hello world")));
        arena_done(&rq.arena);
    }
}

/* Long pieces are hashed by a worker. */
static void run_on_workers(struct env *env, void *arg)
{
    struct http_request rq;
    static uint8_t      raw[900000];
    size_t              size;

    (void)arg;
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i * 7 >> 3);
    request_parse(&rq, "PUT /b/k HTTP/1.1\nHost: h\nContent-Length: 900000\n\n");
    memset(&auth, 0, sizeof auth);
    auth.payload = S3_PAYLOAD_SHA256;
    hash_sha256(slice_of(raw, sizeof raw), auth.payload_sha256);
    assert_int_equal(read_body(&rq, env, slice_of(raw, sizeof raw), 100000, ROOM, &size), 0);
    assert_int_equal(size, sizeof raw);
    assert_memory_equal(out, raw, sizeof raw);
    raw[800000] ^= 1;
    assert_int_equal(read_body(&rq, env, slice_of(raw, sizeof raw), 100000, ROOM, &size), S3_CONTENT_SHA256_MISMATCH);
    arena_done(&rq.arena);
}

static void plain__long_pieces_go_to_a_worker(void **unused)
{
    (void)unused;
    assert_int_equal(kernel_main(NULL, run_on_workers, NULL), 0);
}

static void content_encoding__aws_chunked_is_taken_away(void **unused)
{
    static const char *const cases[][2] = {
        { "gzip", "gzip" }, { "deflate, gzip", "deflate, gzip" }, { "gzip, aws-chunked", "gzip" },
        { "aws-chunked,gzip", "gzip" }, { "aws-chunked", "" }, { "AWS-Chunked , aws-chunked", "" }, { "", "" },
        { "a,b,c", "a, b, c" },
    };
    struct arena arena;
    struct slice value;

    (void)unused;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(s3_content_encoding(slice_str(cases[i][0]), &arena, &value), 0);
        assert_true(slice_equal(value, slice_str(cases[i][1])));
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_chunks__published_examples_in_any_pieces),
        cmocka_unit_test(signed_chunks__a_last_empty_line_may_be_missing),
        cmocka_unit_test(signed_chunks__each_signature_counts), cmocka_unit_test(signed_trailers__announced_and_signed),
        cmocka_unit_test(unsigned_chunks__what_is_accepted_and_what_not), cmocka_unit_test(unsigned_chunks__limits),
        cmocka_unit_test(plain__hash_and_length), cmocka_unit_test(plain__failures_of_the_transport),
        cmocka_unit_test(body_all__limit), cmocka_unit_test(plain__long_pieces_go_to_a_worker),
        cmocka_unit_test(content_encoding__aws_chunked_is_taken_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
