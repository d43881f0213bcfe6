/* proxy/s3/sigv2.c - AWS Signature Version 2, for old clients: HMAC-SHA1 over method, Content-MD5, Content-Type, date,
 * x-amz- headers and resource; in the Authorization header, or with an expiry in the query. */
#include <stdlib.h>

#include "proxy/object/checksum.h"
#include "proxy/s3/auth.h"

/* Parameters of the query that belong to the resource. Sorted. */
static const char *const resource_names[] = {
    "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
    "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
    "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
    "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
};

bool s3_sigv2_signs(const char *query)
{
    for (size_t i = 0; i < sizeof resource_names / sizeof *resource_names; i++)
        if (strcmp(resource_names[i], query) == 0)
            return true;
    return false;
}

struct line {
    struct slice name;    /* Lower case. */
    uint32_t     header;
};

static int line_compare(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int                c = slice_compare(x->name, y->name);

    return c ? c : (x->header > y->header) - (x->header < y->header);
}

static uint8_t *put(uint8_t *out, struct slice text)
{
    if (text.size)
        memcpy(out, text.data, text.size);
    return out + text.size;
}

static struct slice trim(struct slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_from(text, 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* The x-amz- headers, sorted; equal names joined by commas. NULL: no memory. */
static uint8_t *put_headers(uint8_t *out, struct http_request *rq)
{
    struct line       *lines = arena_array(&rq->arena, struct line, rq->header_count + 1);
    uint32_t           count = 0, at = 0;
    struct http_header header;

    if (!lines)
        return NULL;
    while (http_header_prefix(rq, "x-amz-", &at, &header)) {
        uint8_t *name = arena_alloc(&rq->arena, header.name.size + 1);
        if (!name)
            return NULL;
        for (size_t i = 0; i < header.name.size; i++) {
            uint8_t c = header.name.data[i];
            name[i] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
        }
        lines[count] = (struct line) { slice_of(name, header.name.size), at - 1 };
        count++;
    }
    if (count > 1)
        qsort(lines, count, sizeof *lines, line_compare);
    for (uint32_t i = 0; i < count; i++) {
        if (i && slice_equal(lines[i].name, lines[i - 1].name)) {
            out[-1] = ',';
        } else {
            out = put(out, lines[i].name);
            *out++ = ':';
        }
        out = put(out, trim(rq->headers[lines[i].header].value));
        *out++ = '\n';
    }
    return out;
}

/* "/bucket" and nothing behind. */
static bool names_bucket_only(const struct s3_auth_options *options, const struct http_request *rq)
{
    return options->bucket.size == 0 && rq->raw_path.size > 1 && !memchr(rq->raw_path.data + 1, '/', rq->raw_path.size - 1);
}

/* 'slash': behind the bucket's name, where the path has none. */
static uint8_t *put_resource(uint8_t *out, const struct s3_auth_options *options, const struct http_request *rq,
                             bool slash)
{
    char mark = '?';

    if (options->bucket.size) {
        *out++ = '/';
        out = put(out, options->bucket);
    }
    out = put(out, rq->raw_path);
    if (slash)
        *out++ = '/';
    for (size_t i = 0; i < sizeof resource_names / sizeof *resource_names; i++) {
        struct slice name = slice_str(resource_names[i]);
        for (uint32_t j = 0; j < rq->query_count; j++) {
            if (!slice_equal(rq->query[j].name, name))
                continue;
            *out++ = (uint8_t)mark;
            mark = '&';
            out = put(out, name);
            if (rq->query[j].value.size) {
                *out++ = '=';
                out = put(out, rq->query[j].value);
            }
        }
    }
    return out;
}

static bool signature_fits(struct slice secret, struct slice to_sign, struct slice given)
{
    uint8_t digest[SHA1_BYTES], claimed[SHA1_BYTES];
    size_t  size;

    hmac_sha1(secret, to_sign, digest);
    return base64_decode(claimed, sizeof claimed, given, &size) == 0 && size == SHA1_BYTES &&
           equal_secret(claimed, digest, sizeof digest);
}

static int verify(const struct s3_auth_options *options, struct http_request *rq, struct slice date,
                  struct slice given, struct s3_auth *auth, struct error *err)
{
    size_t       size = rq->method.size + rq->target.size + options->bucket.size + date.size + 64;
    uint8_t     *text, *out, *resource;
    struct slice secret, to_sign;
    int          rc = options->keys.secret(options->keys.ctx, auth->access_key, &auth->who, &secret);

    if (rc)
        return s3_fail(err, S3_INVALID_ACCESS_KEY_ID);
    for (uint32_t i = 0; i < rq->header_count; i++)
        size += rq->headers[i].name.size + rq->headers[i].value.size + 2;
    text = arena_alloc(&rq->arena, size);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    out = put(text, rq->method);
    *out++ = '\n';
    out = put(out, trim(http_header(rq, "Content-MD5")));
    *out++ = '\n';
    out = put(out, trim(http_header(rq, "Content-Type")));
    *out++ = '\n';
    out = put(out, date);
    *out++ = '\n';
    out = put_headers(out, rq);
    if (!out)
        return error_set(err, -ENOMEM, "out of memory");
    resource = out;
    /* boto signs "/bucket/" though it asks for "/bucket". */
    if (names_bucket_only(options, rq)) {
        out = put_resource(resource, options, rq, true);
        if (signature_fits(secret, slice_of(text, (size_t)(out - text)), given))
            return 0;
    }
    out = put_resource(resource, options, rq, false);
    to_sign = slice_of(text, (size_t)(out - text));
    if (signature_fits(secret, to_sign, given))
        return 0;
    auth->string_to_sign = to_sign;
    auth->given = given;
    auth->who = NULL;
    return s3_fail(err, S3_SIGNATURE_DOES_NOT_MATCH);
}

int sigv2_header(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                 struct error *err)
{
    struct slice   text = trim(slice_from(http_header(rq, "Authorization"), strlen("AWS ")));
    struct slice   date = http_header(rq, "x-amz-date").data ? SLICE_NONE : trim(http_header(rq, "Date"));
    size_t         colon = text.size;
    int            rc;

    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon < 2 || colon == text.size || colon - 1 > S3_ACCESS_KEY_MAX)
        return error_set(err, S3_INVALID_ARGUMENT, "The Authorization header must be AWS ACCESSKEY:SIGNATURE.");
    auth->access_key = slice_of(text.data, colon - 1);
    rc = s3_request_time(options, rq, &auth->signed_s, err);
    if (rc)
        return rc;
    return verify(options, rq, date, slice_from(text, colon), auth, err);
}

int sigv2_query(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                struct error *err)
{
    struct slice expires = http_query(rq, "Expires"), signature = http_query(rq, "Signature");
    int64_t      until = 0;

    auth->access_key = http_query(rq, "AWSAccessKeyId");
    if (!expires.size || !signature.size || !auth->access_key.size || auth->access_key.size > S3_ACCESS_KEY_MAX)
        return error_set(err, S3_ACCESS_DENIED, "Query-string authentication requires the Signature, Expires and "
                                                "AWSAccessKeyId parameters");
    for (size_t i = 0; i < expires.size; i++) {
        if (expires.data[i] < '0' || expires.data[i] > '9' || i == 15)
            return error_set(err, S3_ACCESS_DENIED, "Invalid date (should be seconds since epoch): \"Expires\"");
        until = until * 10 + (expires.data[i] - '0');
    }
    if (options->now_s > until)
        return error_set(err, S3_ACCESS_DENIED, "Request has expired");
    return verify(options, rq, expires, signature, auth, err);
}
