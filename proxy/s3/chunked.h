/* proxy/s3/chunked.h - the framing of aws-chunked bodies as a state machine: no I/O, no hashing.
 *
 *   body    = *( size [";chunk-signature=" hex] CRLF data CRLF ) "0" [";chunk-signature=" hex] CRLF trailers CRLF
 *   trailers= *( name ":" value LF )      with x-amz-trailer-signature as the last one when chunks are signed
 *
 * AWS: "Signature calculations for the Authorization header: transferring payload in multiple chunks", and the same
 * "including trailing headers". Lines may end in LF alone within trailers, and signed trailers may have empty lines
 * before their signature, as real clients write them. */
#ifndef PROXY_S3_CHUNKED_H
#define PROXY_S3_CHUNKED_H

#include "proxy/s3/auth.h"

enum {
    AWS_CHUNK_LINE_MAX = 256,      /* Bytes of the line before a chunk's data. */
    AWS_TRAILER_BYTES_MAX = 4096,  /* All trailer lines. */
    AWS_TRAILERS_MAX = 8
};

enum aws_chunk_state {
    AWS_CHUNK_LINE, AWS_CHUNK_DATA, AWS_CHUNK_DATA_END, AWS_CHUNK_TRAILERS, AWS_CHUNK_FINAL, AWS_CHUNK_DONE
};

struct aws_chunks {
    bool     sign, trailers;
    enum aws_chunk_state state;
    uint64_t left;                     /* Of this chunk's data. */
    uint64_t size, size_max;           /* Data announced by chunk lines so far; what it may be in all. */
    uint8_t  claimed[SHA256_BYTES];    /* The chunk's signature, from its line. */
    bool     started;                  /* A chunk line was read since it was last set to false. */
    uint32_t line_size;
    char     line[AWS_CHUNK_LINE_MAX];
    uint8_t *text;                     /* Trailer lines; AWS_TRAILER_BYTES_MAX from the arena. */
    uint32_t text_size, text_line;     /* Used; where the line being read begins. */
    uint32_t trailer_count;
    struct http_header trailer[AWS_TRAILERS_MAX];   /* Without the signature. Values are trimmed. */
    bool     trailer_signed;
    uint8_t  trailer_signature[SHA256_BYTES];
};

/* -ENOMEM. */
int aws_chunks_init(struct aws_chunks *chunks, enum s3_payload payload, uint64_t size_max, struct arena *arena);
/* Consumes framing until the state is DATA or DONE, a chunk line was read, or 'bytes' end. S3_INVALID_REQUEST,
 * S3_MALFORMED_TRAILER, S3_INCOMPLETE_BODY. The caller takes the data of state DATA, with aws_chunks_data(). */
int aws_chunks_step(struct aws_chunks *chunks, struct slice bytes, size_t *ret_used, struct error *err);
void aws_chunks_data(struct aws_chunks *chunks, uint64_t size);
/* The source ended: 0 when nothing but a last empty line is missing; else S3_INCOMPLETE_BODY. */
int aws_chunks_end(struct aws_chunks *chunks, struct error *err);

#endif
