/* proxy/s3/body.h - the bytes of a request, whatever protects and frames them.
 *
 * Plain, with a SHA-256, or aws-chunked: handlers read one stream of bytes, and when it has ended without a failure
 * everything that was signed has been verified. Bytes are handed out before that, so nothing may be made visible
 * until the read that says "end". Long pieces are hashed on a worker. Memory: struct s3_body and a few KiB. */
#ifndef PROXY_S3_BODY_H
#define PROXY_S3_BODY_H

#include <openssl/sha.h>

#include "proxy/s3/chunked.h"

enum {
    S3_BODY_STAGE_BYTES = 4096,        /* Read at once where framing is expected. */
    S3_BODY_SEGMENTS_MAX = 32,         /* Chunks, or pieces of them, in one read. */
    S3_BODY_GATHER_BYTES = 256 * 1024, /* Pieces to be hashed are filled up to this. */
    S3_BODY_LOOP_MAX = 32 * 1024       /* Hashed on the loop: less than a hand-over to a worker costs others. */
};

/* Where the raw bytes come from: as http_body_read(). */
struct s3_source {
    WAITS int (*read)(void *ctx, void *data, size_t capacity, size_t *ret_size);
    void       *ctx;
    struct env *env;     /* Has the workers. NULL: everything is hashed at once, for tests and fuzzers. */
};

struct s3_segment {
    size_t  offset, size;
    bool    ends;                      /* The chunk, whose signature is 'claimed'. */
    uint8_t claimed[SHA256_BYTES];
};

struct s3_body {
    struct s3_source     source;
    const struct s3_auth *auth;        /* Borrowed. */
    enum s3_payload      payload;
    uint64_t             size;         /* Of the bytes handed out; UINT64_MAX: unknown. */
    uint64_t             read;
    bool                 done;
    int                  rc;           /* Sticky. */
    struct slice         announced;    /* x-amz-trailer. */
    struct aws_chunks    chunks;
    uint8_t             *stage;
    size_t               stage_at, stage_end;
    /* For verify_segments(), which runs on a worker. */
    SHA256_CTX           sha256;
    uint8_t             *text;         /* String to sign; its beginning stays. */
    size_t               text_size;
    char                 previous[SHA256_HEX];
    const uint8_t       *data;
    uint32_t             segment_count;
    struct s3_segment    segments[S3_BODY_SEGMENTS_MAX];
    bool                 wrong;        /* A signature did not match. */
};

/* Borrows request and 'auth' for the body's life; nothing is to be closed. S3_MISSING_CONTENT_LENGTH: aws-chunked
 * without x-amz-decoded-content-length. S3_INVALID_REQUEST, -ENOMEM. */
int s3_body_open(struct s3_body *body, struct http_request *rq, const struct s3_auth *auth, struct error *err);
/* Next bytes; *ret_size 0: the end, and all is verified. Read until then, also when the size is known. Fails with
 * S3_INCOMPLETE_BODY, S3_SIGNATURE_DOES_NOT_MATCH, S3_CONTENT_SHA256_MISMATCH, S3_MALFORMED_TRAILER,
 * S3_INVALID_REQUEST, S3_REQUEST_TIMEOUT, -E_OVERLOAD, -ECANCELED. */
WAITS int s3_body_read(struct s3_body *body, void *data, size_t capacity, size_t *ret_size, struct error *err);
/* The whole of a small body, verified. S3_MAX_MESSAGE_LENGTH_EXCEEDED. */
WAITS int s3_body_all(struct s3_body *body, struct arena *arena, size_t limit, struct slice *ret_bytes,
                      struct error *err);
/* What will be handed out in all, or UINT64_MAX. */
static inline uint64_t s3_body_size(const struct s3_body *body) { return body->size; }
/* After the end; data NULL when it was not sent. */
struct slice s3_body_trailer(const struct s3_body *body, const char *name);
/* x-amz-trailer names it: its value comes behind the body. */
bool s3_body_announces(const struct s3_body *body, const char *name);

/* Content-Encoding without "aws-chunked", which is the transport's; empty: nothing is left. -ENOMEM. */
int s3_content_encoding(struct slice value, struct arena *arena, struct slice *ret_value);

#endif
