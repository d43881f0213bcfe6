/* tests/proxy/s3/request.h - requests parsed from text, and the keys of Amazon's published examples. */
#ifndef TESTS_PROXY_S3_REQUEST_H
#define TESTS_PROXY_S3_REQUEST_H

#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/private.h"
#include "proxy/s3/auth.h"
#include "tests/lib/test.h"

#define EXAMPLE_KEY "AKIAIOSFODNN7EXAMPLE"
#define EXAMPLE_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EXAMPLE_TIME INT64_C(1369353600)   /* 2013-05-24T00:00:00Z */

/* A stand-in for what the identity service knows; only its address counts. */
static const char example_who[] = "example";

static inline int example_secret(void *ctx, struct slice access_key, const struct identity_context **ret_who,
                                 struct slice *ret_secret)
{
    (void)ctx;
    if (!slice_equal(access_key, SLICE(EXAMPLE_KEY)))
        return -E_UNAUTHORIZED;
    *ret_who = (const struct identity_context *)(const void *)example_who;
    *ret_secret = SLICE(EXAMPLE_SECRET);
    return 0;
}

static inline int example_signing_key(void *ctx, struct slice access_key, struct slice date, struct slice region,
                                      struct slice service, const struct identity_context **ret_who,
                                      uint8_t ret_key[SHA256_BYTES])
{
    struct slice secret;
    int          rc = example_secret(ctx, access_key, ret_who, &secret);

    if (rc == 0)
        sigv4_signing_key(secret, date, region, service, ret_key);
    return rc;
}

static inline struct s3_auth_options example_options(int64_t now_s)
{
    return (struct s3_auth_options) {
        .keys = { NULL, example_secret, example_signing_key }, .region = SLICE("RegionOne"), .now_s = now_s,
    };
}

/* 'text' with LF line ends; its arena is to be done. */
static inline void request_parse(struct http_request *rq, const char *text)
{
    static char         head[64 * 1024];
    struct http_head    scan = { 0 };
    struct http_refusal refusal = { 0 };
    size_t              n = 0;
    struct slice        bytes;

    memset(rq, 0, sizeof *rq);
    arena_init(&rq->arena, ARENA_LIMIT_DEFAULT);
    for (; *text; text++) {
        assert_true(n + 2 < sizeof head);
        if (*text == '\n')
            head[n++] = '\r';
        head[n++] = *text;
    }
    bytes = arena_dup(&rq->arena, slice_of(head, n));
    assert_int_equal(http_head_scan(&scan, bytes, &refusal), 0);
    if (http_head_parse(&scan, bytes, false, rq, &refusal))
        fail_msg("%s", refusal.why);
}

#endif
