/* proxy/s3/cors_headers.c - the cross-origin rules of a bucket at work: preflights, and headers on other answers.
 *
 * What a rule allows is nobody's secret, so a bucket is looked at here without authorisation; access to it is judged
 * as ever. */
#include "proxy/s3/call.h"
#include "proxy/s3/compiled.h"

/* A preflight carries no credentials, but a presigned URL names a key, and so the name space of its bucket. */
static const struct identity_context *presigner(struct s3_call *c)
{
    const struct identity_context *who;
    struct slice                   key = s3_query(c, "X-Amz-Credential"), secret;
    const uint8_t                 *slash = key.size ? memchr(key.data, '/', key.size) : NULL;

    if (slash)
        key.size = (size_t)(slash - key.data);
    if (!key.size)
        key = s3_query(c, "AWSAccessKeyId");
    return key.size && identity_s3_key(c->s3->identity, key, &who, &secret) == 0 ? who : NULL;
}

/* Fills '*ret' with copies in the call's arena. -ENOENT: no rule allows it. */
static int match(struct s3_call *c, const struct container *container, struct slice origin, struct slice method,
                 struct slice headers, struct cors_answer *ret)
{
    struct slice            document = container_document(container, S3_DOC_CORS);
    const struct cors_rule *rule;
    const struct cors      *cors;
    int                     rc;

    if (!document.size)
        return -ENOENT;
    rc = compiled_cors(c->s3->compiled, document, &cors, &c->err);
    rule = rc == 0 ? cors_match(cors, origin, method, headers) : NULL;
    if (rc == 0)
        rc = rule ? cors_answer(c->arena, rule, origin, headers, ret) : -ENOENT;
    if (rc == 0) {   /* Some of it may lie in the rules. */
        ret->allow_origin = arena_dup(c->arena, ret->allow_origin);
        ret->allow_methods = arena_dup(c->arena, ret->allow_methods);
        ret->allow_headers = arena_dup(c->arena, ret->allow_headers);
        ret->expose_headers = arena_dup(c->arena, ret->expose_headers);
    }
    return rc > 0 ? -E_CORRUPT : rc;
}

static void add(struct s3_call *c, const char *name, struct slice value)
{
    if (value.size && c->header_count < S3_HEADERS_MAX) {
        c->headers[c->header_count].name = name;
        c->headers[c->header_count++].value = value;
    }
}

static void add_answer(struct s3_call *c, const struct cors_answer *answer, bool preflight)
{
    add(c, "Access-Control-Allow-Origin", answer->allow_origin);
    add(c, "Access-Control-Allow-Methods", answer->allow_methods);
    add(c, "Access-Control-Expose-Headers", answer->expose_headers);
    if (answer->credentials)
        add(c, "Access-Control-Allow-Credentials", SLICE("true"));
    add(c, "Vary", SLICE("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"));
    if (!preflight)
        return;
    add(c, "Access-Control-Allow-Headers", answer->allow_headers);
    if (answer->has_max_age)
        add(c, "Access-Control-Max-Age", slice_str(arena_printf(c->arena, "%u", answer->max_age_s)));
}

int s3_preflight(struct s3_call *c)
{
    struct slice       origin = s3_header(c, "Origin"), method = s3_header(c, "Access-Control-Request-Method");
    struct slice       headers = s3_header(c, "Access-Control-Request-Headers");
    struct container  *container;
    struct cors_answer answer;
    int                rc;

    c->rq->action = "Preflight";
    if (!origin.size)
        return s3_errorf(c, S3_INVALID_REQUEST, "Insufficient information. Origin request header needed.");
    if (!method.size)
        return s3_errorf(c, S3_INVALID_REQUEST, "Invalid Access-Control-Request-Method: null");
    if (!c->bucket.size)
        return s3_errorf(c, S3_ACCESS_DENIED, "CORSResponse: CORS is not enabled for this bucket.");
    c->who = presigner(c);
    if (c->who) {
        struct identity_context *copy = arena_alloc(c->arena, sizeof *copy);
        if (!copy)
            return -ENOMEM;
        *copy = *c->who;   /* The original may go with the next wait. */
        c->who = copy;
    }
    rc = s3_bucket_find(c, c->bucket, false, &container);
    c->who = NULL;
    if (rc == -ENOENT)
        return s3_error(c, S3_NO_SUCH_BUCKET);
    if (rc)
        return rc;
    rc = match(c, container, origin, method, headers, &answer);
    container_unref(container);
    if (rc == -ENOENT)
        return s3_errorf(c, S3_ACCESS_DENIED, "CORSResponse: This CORS request is not allowed.");
    if (rc)
        return rc;
    add_answer(c, &answer, true);
    return s3_reply_empty(c, 200);
}

int s3_cors_headers(struct s3_call *c)
{
    struct slice       origin = s3_header(c, "Origin"), method = s3_header(c, "Access-Control-Request-Method");
    struct container  *container;
    struct cors_answer answer;
    int                rc = s3_bucket_find(c, c->bucket, false, &container);

    if (rc)
        return rc == -ENOENT ? 0 : rc;   /* The operation itself tells that. */
    rc = match(c, container, origin, method.size ? method : c->rq->method, SLICE_NONE, &answer);
    container_unref(container);
    if (rc == 0)
        add_answer(c, &answer, false);
    return rc == -ENOENT ? 0 : rc;
}
