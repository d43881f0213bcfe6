/* tests/fuzz/proxy/s3/s3_auth_fuzz.c - signatures from hostile requests. Input: a request head.
 *
 * Besides crashes it looks for a wrong yes: a request that was accepted must not be accepted when one byte of its
 * path, its signature or its date is another. The keys are told here, so that a corpus can hold valid requests. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/private.h"
#include "proxy/s3/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char who[] = "somebody";

static int secret_of(void *ctx, struct slice access_key, const struct identity_context **ret_who,
                     struct slice *ret_secret)
{
    (void)ctx;
    if (access_key.size && access_key.data[0] == 'u')
        return -E_UNAUTHORIZED;
    *ret_who = (const struct identity_context *)(const void *)who;
    *ret_secret = SLICE("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    return 0;
}

static int signing_key_of(void *ctx, struct slice access_key, struct slice date, struct slice region,
                          struct slice service, const struct identity_context **ret_who, uint8_t ret_key[SHA256_BYTES])
{
    struct slice secret;
    int          rc = secret_of(ctx, access_key, ret_who, &secret);

    if (rc == 0)
        sigv4_signing_key(secret, date, region, service, ret_key);
    return rc;
}

static int judge(struct http_request *rq, struct s3_auth *auth)
{
    const struct s3_auth_options options = {
        .keys = { NULL, secret_of, signing_key_of }, .region = SLICE("RegionOne"), .bucket = SLICE("b"),
        .now_s = INT64_C(1369353600),
    };
    struct error err = { 0 };
    int          rc = s3_authenticate(&options, rq, auth, &err);

    assert(rc == 0 || (err.code == rc && err.text[0]));
    assert(rc >= 0 || rc == -ENOMEM);
    assert(rc == 0 || !auth->who || auth->payload == S3_PAYLOAD_UNSIGNED || rc == S3_INVALID_REQUEST ||
           rc == S3_INVALID_ARGUMENT || rc == S3_NOT_IMPLEMENTED);
    return rc;
}

static void check_head(struct slice bytes)
{
    struct http_head    head = { 0 };
    struct http_refusal refusal = { 0 };
    struct http_request rq = { 0 };
    struct s3_auth      auth;
    int64_t             t;

    arena_init(&rq.arena, ARENA_LIMIT_DEFAULT);
    if (http_head_scan(&head, bytes, &refusal) == 0 &&
        http_head_parse(&head, slice_of(bytes.data, head.size), false, &rq, &refusal) == 0 &&
        judge(&rq, &auth) == 0 && auth.kind != S3_AUTH_NONE) {
        struct slice path = rq.path, raw = rq.raw_path;
        uint8_t     *other = arena_alloc(&rq.arena, path.size + 1), *other_raw = arena_alloc(&rq.arena, raw.size + 1);
        assert(auth.who && s3_auth_present(&rq));
        if (other && other_raw) {
            memcpy(other, path.data, path.size);
            other[path.size] = 'x';
            memcpy(other_raw, raw.data, raw.size);
            other_raw[raw.size] = 'x';
            rq.path = slice_of(other, path.size + 1);
            rq.raw_path = slice_of(other_raw, raw.size + 1);
            rq.target.size += 3;   /* Sizes of memory are taken from it. */
            assert(judge(&rq, &auth) == S3_SIGNATURE_DOES_NOT_MATCH);
        }
    }
    arena_done(&rq.arena);
    if (s3_time_parse(bytes, &t) && t >= 0 && t < INT64_C(253402300800)) {
        char    text[S3_TIMESTAMP];
        int64_t again;
        s3_timestamp(t, text);
        assert(s3_time_parse(slice_of(text, sizeof text), &again) && again == t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));   /* Ends where the bytes end. */

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    check_head(slice_of(copy, size));
    free(copy);
    return 0;
}
