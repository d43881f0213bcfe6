/* proxy/s3/who.c - between the signature of a request and its operation: who asks, and what the body is. */
#include <openssl/evp.h>
#include <string.h>

#include "proxy/object/checksum.h"
#include "proxy/s3/body.h"
#include "proxy/s3/receive.h"

/* --- Keys, from the identity service's memory. --- */

static int secret_of(void *ctx, struct slice access_key, const struct identity_context **ret_who,
                     struct slice *ret_secret)
{
    struct s3_call *c = ctx;
    return identity_s3_key(c->s3->identity, access_key, ret_who, ret_secret);
}

static int signing_key_of(void *ctx, struct slice access_key, struct slice date, struct slice region,
                          struct slice service, const struct identity_context **ret_who, uint8_t ret_key[SHA256_BYTES])
{
    struct s3_call *c = ctx;
    return identity_s3_signing_key(c->s3->identity, access_key, date, region, service, ret_who, ret_key);
}

struct s3_auth_options s3_auth_options(struct s3_call *c)
{
    return (struct s3_auth_options) {
        .keys = { .ctx = c, .secret = secret_of, .signing_key = signing_key_of },
        .region = slice_str(c->s3->region),
        .bucket = c->virtual_host ? c->bucket : SLICE_NONE,
        .now_s = env_wall(c->rq->env) / NS_PER_S,
    };
}

int s3_become(struct s3_call *c, const struct identity_context *who)
{
    struct identity_context *copy = arena_alloc(c->arena, sizeof *copy);

    if (!copy)
        return -ENOMEM;
    *copy = *who;   /* The original may go with the next wait. */
    c->who = copy;
    c->rq->user = slice_str(copy->user_id);
    c->rq->project = slice_str(copy->project_id);
    return 0;
}

static void explain(struct s3_call *c, const struct s3_auth *auth)
{
    if (auth->string_to_sign.size) {
        s3_extra(c, "AWSAccessKeyId", auth->access_key);
        s3_extra(c, "StringToSign", auth->string_to_sign);
        s3_extra(c, "SignatureProvided", auth->given);
        s3_extra(c, "CanonicalRequest", auth->canonical_request);
    }
}

int s3_identify(struct s3_call *c)
{
    struct s3_auth_options options = s3_auth_options(c);
    struct s3_auth        *auth = arena_new(c->arena, struct s3_auth);
    struct s3_body        *body = arena_new(c->arena, struct s3_body);
    int                    rc;

    if (!auth || !body)
        return -ENOMEM;
    rc = s3_authenticate(&options, c->rq, auth, &c->err);
    if (rc) {
        explain(c, auth);
        return rc;
    }
    c->auth = auth;
    c->query_auth = auth->kind == S3_AUTH_V4_QUERY || auth->kind == S3_AUTH_V2_QUERY;
    c->v2 = auth->kind == S3_AUTH_V2_HEADER || auth->kind == S3_AUTH_V2_QUERY;
    c->signed_s = auth->signed_s;
    if (auth->who)
        rc = s3_become(c, auth->who);
    if (rc == 0)
        rc = s3_body_open(body, c->rq, auth, &c->err);
    if (rc)
        return rc;
    c->body = body;
    return 0;
}

/* --- Documents. --- */

static int check_document(struct s3_call *c, const struct receipt *r, struct slice bytes)
{
    uint8_t         md5[EVP_MAX_MD_SIZE], value[CHECKSUM_BYTES_MAX], sent[CHECKSUM_BYTES_MAX];
    struct checksum checksum;

    if (r->md5_given && (!EVP_Digest(bytes.data, bytes.size, md5, NULL, EVP_md5(), NULL) ||
                         memcmp(md5, r->md5, sizeof r->md5) != 0))
        return s3_errorf(c, S3_BAD_DIGEST, "The Content-MD5 you specified did not match what we received.");
    if (!r->given)
        return 0;
    memcpy(sent, r->value, sizeof sent);
    if (r->trailing && checksum_parse(r->kind, s3_body_trailer(c->body, r->header), sent, NULL))
        return s3_errorf(c, S3_BAD_DIGEST, "The trailer %s is missing, or not a checksum of that kind.", r->header);
    checksum_init(&checksum, r->kind);
    checksum_add(&checksum, bytes.data, bytes.size);
    checksum_end(&checksum, value);
    return memcmp(value, sent, checksum_size(r->kind)) == 0
               ? 0 : s3_errorf(c, S3_BAD_DIGEST, "The %s you specified did not match the calculated checksum.", r->header);
}

int s3_document(struct s3_call *c, size_t limit, struct slice *ret_body)
{
    struct receipt receipt;
    struct slice   bytes;
    int            rc = receipt_read(c, CHECKSUM_NONE, &receipt);

    if (rc == 0)
        rc = s3_body_all(c->body, c->arena, limit, &bytes, &c->err);
    if (rc == 0)
        rc = check_document(c, &receipt, bytes);
    if (rc == 0)
        *ret_body = bytes;
    return rc;
}
