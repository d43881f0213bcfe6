/* tests/fuzz/proxy/s3/aws_chunked_fuzz.c - aws-chunked bodies. Byte 0: form, piece size; byte 1: room; byte 2: the
 * announced length; then the body.
 *
 * However the bytes are cut, the result must be the same: the same failure, or the same data. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/s3/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pieces {
    struct slice bytes;
    size_t       at, step;
};

static int pieces_read(void *ctx, void *data, size_t capacity, size_t *ret_size)
{
    struct pieces *p = ctx;
    size_t         n = p->bytes.size - p->at;

    n = n < p->step ? n : p->step;
    n = n < capacity ? n : capacity;
    if (n)
        memcpy(data, p->bytes.data + p->at, n);
    p->at += n;
    *ret_size = n;
    return 0;
}

struct result {
    int     rc;
    size_t  size, trailers;
    uint8_t sum[SHA256_BYTES];
};

static struct result run(struct slice raw, enum s3_payload payload, const char *length, size_t step, size_t room)
{
    struct http_header  headers[2] = {
        { SLICE("x-amz-decoded-content-length"), slice_str(length) },
        { SLICE("x-amz-trailer"), SLICE("x-amz-checksum-crc32, x-amz-checksum-sha256") },
    };
    struct http_request rq = { .headers = headers, .header_count = 1 + (raw.size % 2), .chunked = true };
    struct s3_auth      auth = { .payload = payload, .timestamp = SLICE("20130524T000000Z"), .scope = SLICE("s") };
    struct pieces       pieces = { raw, 0, step };
    struct result       result = { 0 };
    struct error        err = { 0 };
    struct s3_body      body;
    SHA256_CTX          sum;
    uint8_t             data[512];
    size_t              n = 1;

    arena_init(&rq.arena, ARENA_LIMIT_DEFAULT);
    SHA256_Init(&sum);
    result.rc = s3_body_open(&body, &rq, &auth, &err);
    body.source = (struct s3_source) { pieces_read, &pieces, NULL };
    while (result.rc == 0 && n > 0) {
        result.rc = s3_body_read(&body, data, room, &n, &err);
        assert(result.rc || n <= room);
        if (result.rc == 0 && n) {
            SHA256_Update(&sum, data, n);
            result.size += n;
        }
    }
    assert(result.rc == 0 || err.code == result.rc);
    if (result.rc == 0) {
        assert(result.size == s3_body_size(&body));
        SHA256_Final(result.sum, &sum);
        result.trailers = s3_body_trailer(&body, "x-amz-checksum-crc32").size;
    }
    arena_done(&rq.arena);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char          length[4] = { 0 };
    struct result whole, cut;
    uint8_t      *copy;

    if (size < 3 || !(copy = malloc(size)))
        return 0;
    memcpy(copy, data, size);
    enum s3_payload payload = S3_PAYLOAD_CHUNKS + copy[0] % 3;
    length[0] = (char)('0' + copy[2] / 100);
    length[1] = (char)('0' + copy[2] / 10 % 10);
    length[2] = (char)('0' + copy[2] % 10);
    whole = run(slice_of(copy + 3, size - 3), payload, length, SIZE_MAX, 512);
    cut = run(slice_of(copy + 3, size - 3), payload, length, 1 + copy[0] / 3 % 40, 1 + copy[1] % 64);
    /* Of several faults in one body, the signature's may be seen earlier or later than one of the framing. */
    if (whole.rc && cut.rc && (whole.rc == S3_SIGNATURE_DOES_NOT_MATCH || cut.rc == S3_SIGNATURE_DOES_NOT_MATCH))
        cut = whole;
    assert(whole.rc == cut.rc);
    assert(whole.rc || (whole.size == cut.size && whole.trailers == cut.trailers && memcmp(whole.sum, cut.sum, sizeof whole.sum) == 0));
    free(copy);
    return 0;
}
