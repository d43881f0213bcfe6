/* proxy/s3/receive.h - the bytes of a request into an object or a part, with the client's checksums proved; only for
 * proxy/s3. */
#ifndef PROXY_S3_RECEIVE_H
#define PROXY_S3_RECEIVE_H

#include "proxy/object/checksum.h"
#include "proxy/s3/body.h"
#include "proxy/s3/call.h"

/* What the client says that its bytes give. */
struct receipt {
    bool               md5_given;
    uint8_t            md5[16];
    enum checksum_kind kind;            /* Of the checksum that is computed; CHECKSUM_NONE: none. */
    bool               given, trailing; /* The client sends it: in a header, or behind the body. */
    uint8_t            value[CHECKSUM_BYTES_MAX];
    char               header[40];      /* "x-amz-checksum-crc32c" */
};
/* Reads Content-MD5 and x-amz-checksum-*. 'wanted': computed even when the client sends none; one of another kind is
 * refused. S3_INVALID_DIGEST, S3_BAD_DIGEST, S3_INVALID_REQUEST. */
int receipt_read(struct s3_call *c, enum checksum_kind wanted, struct receipt *ret_receipt);

/* "x-amz-checksum-crc32c" */
void checksum_header(enum checksum_kind kind, char ret_header[40]);

/* The whole body into 'put', which is new; ends it and compares. S3_BAD_DIGEST and what s3_body_read() gives. */
WAITS int receive_body(struct s3_call *c, const struct receipt *receipt, struct object_put *put);

/* Compares what 'put' (ended) got with what was announced; 'trailer': the value behind the body, or empty. */
int receipt_check(struct s3_call *c, const struct receipt *receipt, const struct object_put *put, struct slice trailer);

#endif
