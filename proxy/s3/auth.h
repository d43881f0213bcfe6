/* proxy/s3/auth.h - who signed a request: Signature Version 4 (sigv4.c) and Version 2 (sigv2.c), in a header or in
 * the query; and in what form the body comes.
 *
 * No I/O: keys come from callbacks that look into memory. Everything borrowed from the request, or in its arena.
 * One task. AWS: "Authenticating requests (AWS Signature Version 4)", "Signing and authenticating REST requests". */
#ifndef PROXY_S3_AUTH_H
#define PROXY_S3_AUTH_H

#include "proxy/http/http.h"
#include "proxy/s3/code.h"
#include "proxy/s3/hmac.h"

enum {
    S3_SKEW_MAX_S = 15 * 60,          /* Between the client's clock and ours. */
    S3_EXPIRES_MAX_S = 7 * 24 * 3600, /* Of a presigned URL. */
    S3_ACCESS_KEY_MAX = 128,          /* Bytes. */
    S3_SIGNED_HEADERS_MAX = 64,       /* Names in SignedHeaders. */
    S3_TIMESTAMP = 16                 /* Bytes: "20130524T000000Z". */
};

enum s3_auth_kind {
    S3_AUTH_NONE,      /* Anonymous. */
    S3_AUTH_V4_HEADER, S3_AUTH_V4_QUERY, S3_AUTH_V2_HEADER, S3_AUTH_V2_QUERY,
    S3_AUTH_V4_POST, S3_AUTH_V2_POST   /* postform.h */
};

/* x-amz-content-sha256: how the body is protected, and framed. */
enum s3_payload {
    S3_PAYLOAD_UNSIGNED,          /* Plain. */
    S3_PAYLOAD_SHA256,            /* Plain, with its SHA-256. */
    S3_PAYLOAD_CHUNKS,            /* aws-chunked, each chunk signed. */
    S3_PAYLOAD_CHUNKS_TRAILER,    /* Likewise, and signed trailers. */
    S3_PAYLOAD_UNSIGNED_TRAILER   /* aws-chunked, nothing signed, trailers. */
};

struct identity_context;

/* Both answer -E_UNAUTHORIZED when there is no such key. '*ret_who' and secret are borrowed until the next wait. */
struct s3_keys {
    void *ctx;
    int (*secret)(void *ctx, struct slice access_key, const struct identity_context **ret_who,
                  struct slice *ret_secret);
    int (*signing_key)(void *ctx, struct slice access_key, struct slice date, struct slice region,
                       struct slice service, const struct identity_context **ret_who, uint8_t ret_key[SHA256_BYTES]);
};

struct s3_auth_options {
    struct s3_keys keys;
    struct slice   region;   /* Ours; "us-east-1" is taken too, as clients without a region sign for it. */
    struct slice   bucket;   /* Named by the Host header; empty in path style. Only Version 2 needs it. */
    int64_t        now_s;    /* Unix, wall clock. */
};

struct s3_auth {
    enum s3_auth_kind kind;
    const struct identity_context *who;        /* NULL: anonymous. */
    struct slice    access_key;
    enum s3_payload payload;
    uint8_t         payload_sha256[SHA256_BYTES];
    int64_t         signed_s;                  /* Unix: when the client signed; 0: unknown. */
    /* Version 4: what the signatures of chunks go on from. */
    uint8_t         signing_key[SHA256_BYTES];
    uint8_t         signature[SHA256_BYTES];
    struct slice    timestamp, scope;
    /* After S3_SIGNATURE_DOES_NOT_MATCH, for the answer; else empty. */
    struct slice    string_to_sign, canonical_request, given;
};

/* 0 with '*auth' filled; a positive S3_* with '*err' and what was read until then; -ENOMEM. A request without
 * credentials is S3_AUTH_NONE: what it may do is for others to say. */
int s3_authenticate(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                    struct error *err);

/* Whether a request speaks S3's authentication, so that it is not for the Swift dialect. */
bool s3_auth_present(const struct http_request *rq);

/* --- Shared by the signature versions. --- */
int sigv4_header(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                 struct error *err);
int sigv4_query(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                struct error *err);
int sigv2_header(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                 struct error *err);
int sigv2_query(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                struct error *err);

/* "20130524/us-east-1/s3/aws4_request" behind an access key. */
struct sigv4_credential {
    struct slice access_key, date, region, service, scope;
};
bool sigv4_credential_parse(struct slice text, struct sigv4_credential *ret);
/* 0; S3_AUTHORIZATION_HEADER_MALFORMED or 'malformed' with a sentence. */
int sigv4_credential_check(const struct s3_auth_options *options, const struct sigv4_credential *credential,
                           struct slice timestamp, int malformed, struct error *err);
/* Key lookup: 0, or S3_INVALID_ACCESS_KEY_ID. */
int sigv4_key(const struct s3_auth_options *options, const struct sigv4_credential *credential, struct s3_auth *auth,
              struct error *err);

/* "20130524T000000Z", "2013-05-24T00:00:00[.000]Z", or an HTTP date; "+0000" and "-0000" mean GMT. */
bool s3_time_parse(struct slice text, int64_t *ret_unix_s);
void s3_timestamp(int64_t unix_s, char out[S3_TIMESTAMP]);
/* Parses x-amz-content-sha256; empty: unsigned. S3_INVALID_ARGUMENT, S3_NOT_IMPLEMENTED. */
int s3_payload_parse(struct slice text, struct s3_auth *auth, struct error *err);
/* The time of a signed request from x-amz-date or Date, near ours. S3_ACCESS_DENIED, S3_REQUEST_TIME_TOO_SKEWED. */
int s3_request_time(const struct s3_auth_options *options, const struct http_request *rq, int64_t *ret_unix_s,
                    struct error *err);
/* Percent-encodes all but unreserved bytes (and '/' when 'path'); returns the end. Room for three times the size. */
uint8_t *s3_encode(uint8_t *out, struct slice text, bool path);

/* Is this parameter of the query part of what version 2 signs? */
bool s3_sigv2_signs(const char *query);

#endif
