/* proxy/s3/handle.c - from host, path, method and subresource to the operation that answers. */
#include "base/counter.h"
#include "base/log.h"
#include "proxy/s3/auth.h"
#include "proxy/s3/compiled.h"
#include "proxy/s3/call.h"

COUNTER(s3_requests, "Requests of the S3 dialect.");
COUNTER(s3_failures, "Requests of the S3 dialect that were answered with a 5xx status.");

static bool path_is_under(struct slice path, struct slice top)
{
    return slice_starts(path, top) && (path.size == top.size || path.data[top.size] == '/');
}

bool s3_claims(const struct s3 *s3, const struct http_request *rq)
{
    struct slice bucket;

    if (s3_auth_present(rq) || (s3_host_bucket(s3, rq->host, &bucket) && bucket.size))
        return true;
    return !path_is_under(rq->path, SLICE("/v1")) && !path_is_under(rq->path, SLICE("/v1.0")) &&
           !path_is_under(rq->path, SLICE("/auth")) && !slice_equal(rq->path, SLICE("/info")) &&
           !slice_equal(rq->path, SLICE("/healthcheck"));
}

/* --- Names. --- */

static int find_names(struct s3_call *c)
{
    struct slice path = c->rq->path, front;

    if (path.size == 0 || path.data[0] != '/')
        return s3_error(c, S3_INVALID_URI);
    path = slice_from(path, 1);
    (void)s3_host_bucket(c->s3, c->rq->host, &front);
    if (front.size) {
        c->virtual_host = true;
        c->bucket = front;
        c->key = path;
    } else {
        const uint8_t *slash = path.size ? memchr(path.data, '/', path.size) : NULL;
        c->bucket = slice_of(path.data, slash ? (size_t)(slash - path.data) : path.size);
        c->key = slash ? slice_from(path, c->bucket.size + 1) : SLICE_NONE;
        if (slash && c->bucket.size == 0)
            return s3_error(c, S3_INVALID_BUCKET_NAME);
    }
    if (!http_valid_utf8(c->bucket) || !http_valid_utf8(c->key) || memchr(path.data, 0, path.size))
        return s3_errorf(c, S3_INVALID_URI, "The path is not valid UTF-8.");
    if (c->bucket.size > CONTAINER_NAME_MAX)
        return s3_error(c, S3_INVALID_BUCKET_NAME);
    if (c->key.size > S3_KEY_MAX) {
        s3_extra(c, "Size", slice_str(arena_printf(c->arena, "%zu", c->key.size)));
        s3_extra(c, "MaxSizeAllowed", SLICE("1024"));
        return s3_error(c, S3_KEY_TOO_LONG);
    }
    return 0;
}

static int find_version(struct s3_call *c)
{
    struct slice text = c->rq->query_count ? s3_query(c, "versionId") : SLICE_NONE;

    if (!text.data)
        return 0;
    if (text.size == 0)
        return s3_bad_argument(c, "versionId", text, "Version id cannot be the empty string.");
    if (version_parse(text, &c->version))
        return s3_bad_argument(c, "versionId", text, "Invalid version id specified.");
    return 0;
}

/* --- The operation. --- */

static bool op_fits(const struct s3_call *c, const struct s3_operation *op, enum s3_level level)
{
    return op->level == level && slice_equal(c->rq->method, slice_str(op->method)) &&
           (!op->query || (c->rq->query_count && s3_query(c, op->query).data)) &&
           (!op->header || s3_header(c, op->header).data);
}

/* Is a parameter there that names a subresource, for other methods than this? */
static bool names_subresource(const struct s3_call *c, enum s3_level level)
{
    for (size_t i = 0; i < s3_operation_count; i++)
        if (s3_operations[i].level == level && s3_operations[i].query && s3_query(c, s3_operations[i].query).data)
            return true;
    return false;
}

/* Operations without a row that the plain one would be mistaken for. */
static bool is_unknown_operation(const struct s3_call *c, enum s3_level level)
{
    static const char *const object[] = { "renameObject", "append", "encryption" };
    static const char *const bucket[] = { "session", "abac", "metadataTable", "metadataConfiguration",
                                          "metadataInventoryTable", "metadataJournalTable" };
    const char *const *names = level == S3_OBJECT ? object : bucket;
    size_t             count = level == S3_OBJECT ? sizeof object / sizeof *object : sizeof bucket / sizeof *bucket;

    for (size_t i = 0; i < count && level != S3_SERVICE; i++)
        if (s3_query(c, names[i]).data)
            return true;
    return level == S3_OBJECT && s3_header(c, "x-amz-write-offset-bytes").data;
}

static int find_op(struct s3_call *c)
{
    enum s3_level level = c->key.size ? S3_OBJECT : c->bucket.size ? S3_BUCKET : S3_SERVICE;

    for (size_t i = 0; i < s3_operation_count; i++) {
        if (!op_fits(c, &s3_operations[i], level))
            continue;
        if (!s3_operations[i].query && c->rq->query_count && names_subresource(c, level))
            break;
        if (!s3_operations[i].query && is_unknown_operation(c, level))
            return s3_error(c, S3_NOT_IMPLEMENTED);
        c->op = &s3_operations[i];
        c->rq->action = c->op->name;
        return c->op->fn ? 0 : s3_errorf(c, S3_NOT_IMPLEMENTED, "%s is not implemented.", c->op->name);
    }
    return s3_error(c, S3_METHOD_NOT_ALLOWED);
}

WAITS static int serve(struct s3_call *c)
{
    int rc = find_names(c);

    if (rc == 0 && slice_equal(c->rq->method, SLICE("OPTIONS")))
        return s3_preflight(c);
    if (rc == 0)
        rc = find_op(c);
    if (rc == 0)
        rc = find_version(c);
    if (rc == 0)
        rc = s3_identify(c);
    /* Whoever holds a presigned URL of version 2 must not make another operation of it. */
    if (rc == 0 && c->auth->kind == S3_AUTH_V2_QUERY && c->op->query && !s3_sigv2_signs(c->op->query))
        rc = s3_error(c, S3_ACCESS_DENIED);
    if (rc == 0 && s3_header(c, "Origin").data && c->bucket.size && s3_cors_headers(c) == -ENOMEM)
        return -ENOMEM;   /* Any other failure the operation meets itself. */
    return rc ? rc : c->op->fn(c);
}

void s3_handle(void *ctx, struct http_request *rq)
{
    struct s3     *s3 = ctx;
    struct s3_call c = { .s3 = s3, .os = s3->objects, .rq = rq, .arena = &rq->arena };
    int            rc;

    rq->service = "s3";
    counter_inc(s3_requests);
    if (!s3->compiled)
        s3->compiled = compiled_new();
    rc = s3->compiled ? serve(&c) : -ENOMEM;
    if (rc) {
        int code = s3_code_of(&c, rc);
        if (s3_code_status(code) >= 500 && rc != -ECANCELED && code != S3_NOT_IMPLEMENTED) {
            counter_inc(s3_failures);
            log_warn("s3.failed", "action=%s code=%s cause=%s why=\"%s\"", rq->action ? rq->action : "",
                     s3_code_name(code), rc < 0 ? error_name(rc) : "", c.err.text);
        }
        if (http_reply_begun(rq))
            http_reply_abort(rq);
        else
            s3_reply_error(&c, rc);
    }
}

void s3_done(struct s3 *s3)
{
    s3->compiled = compiled_free(s3->compiled);
}
