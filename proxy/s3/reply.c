/* proxy/s3/reply.c - answers: request ids, error documents, times, entity tags. */
#include <stdio.h>

#include "proxy/s3/object.h"
#include "proxy/s3/xml.h"

/* --- Beginning. --- */

void s3_begin(struct s3_call *c, int status)
{
    struct slice id = slice_str(c->rq->trace);

    http_reply_begin(c->rq, status);
    http_reply_header(c->rq, "x-amz-request-id", id);
    http_reply_header(c->rq, "x-amz-id-2", id);
    for (uint32_t i = 0; i < c->header_count; i++)
        http_reply_header(c->rq, c->headers[i].name, c->headers[i].value);
}

void s3_add_header(struct s3_call *c, const char *name, struct slice value)
{
    if (value.data && c->header_count < S3_HEADERS_MAX) {
        c->headers[c->header_count].name = name;
        c->headers[c->header_count++].value = value;
    }
}

int s3_reply_empty(struct s3_call *c, int status)
{
    s3_begin(c, status);
    http_reply_empty(c->rq);
    return 0;
}

int s3_reply_xml(struct s3_call *c, int status, const struct text *xml)
{
    if (xml->failed)
        return -ENOMEM;
    s3_begin(c, status);
    http_reply_body(c->rq, "application/xml", text_slice(xml));
    return 0;
}

int s3_reply_json(struct s3_call *c, int status, struct slice json)
{
    s3_begin(c, status);
    http_reply_body(c->rq, "application/json", json);
    return 0;
}

/* --- Errors. --- */

void s3_extra(struct s3_call *c, const char *element, struct slice value)
{
    if (c->extra_count < S3_EXTRA_MAX) {
        c->extra[c->extra_count].name = element;
        c->extra[c->extra_count++].value = value;
    }
}

int s3_bad_argument(struct s3_call *c, const char *name, struct slice value, const char *why)
{
    s3_extra(c, "ArgumentName", slice_str(name));
    s3_extra(c, "ArgumentValue", value);
    return s3_errorf(c, S3_INVALID_ARGUMENT, "%s", why ? why : s3_code_text(S3_INVALID_ARGUMENT));
}

int s3_code_of(struct s3_call *c, int code)
{
    if (code > 0)
        return code;
    switch (code) {
    case -ENOENT: case -E_GONE:
        return c->key.size ? S3_NO_SUCH_KEY : S3_NO_SUCH_BUCKET;
    case -E_CONDITION:
        return S3_PRECONDITION_FAILED;
    case -E_CONFLICT:
        return S3_OPERATION_ABORTED;
    case -EPERM: case -E_FORBIDDEN: case -E_UNAUTHORIZED:
        return S3_ACCESS_DENIED;
    case -EDQUOT:
        return S3_ACCESS_DENIED;
    case -E_LIMIT:
        return S3_ENTITY_TOO_LARGE;
    case -ENOTSUP:
        return S3_NOT_IMPLEMENTED;
    case -E_CLOSED: case -ECONNRESET: case -E_SYNTAX:
        return S3_INCOMPLETE_BODY;
    case -ERANGE:
        return S3_INVALID_RANGE;
    case -E_OVERLOAD:
        return S3_SLOW_DOWN;
    default:
        return error_http(code) == 503 || code == -ETIMEDOUT || code == -ENOSPC ? S3_SERVICE_UNAVAILABLE
                                                                                : S3_INTERNAL_ERROR;
    }
}

void s3_reply_error(struct s3_call *c, int code)
{
    struct text  t = { .limit = S3_REPLY_MAX };
    int          shown = s3_code_of(c, code), status = s3_code_status(shown);
    struct slice id = slice_str(c->rq->trace);
    /* What went wrong inside is for the log; a client's own mistakes are explained. */
    bool         own = c->err.text[0] && c->err.code == code && (code > 0 || status < 500);

    s3_begin(c, status);
    if (status == 503)
        http_reply_header(c->rq, "Retry-After", SLICE("1"));
    if (status == 304 || c->rq->head) {
        http_reply_empty(c->rq);
        return;
    }
    text_lit(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml_open(&t, "Error");
    xml_leaf(&t, "Code", slice_str(s3_code_name(shown)));
    xml_leaf(&t, "Message", slice_str(own ? c->err.text : s3_code_text(shown)));
    for (uint32_t i = 0; i < c->extra_count; i++)
        xml_leaf(&t, c->extra[i].name, c->extra[i].value);
    if (c->bucket.size && (shown == S3_NO_SUCH_BUCKET || shown == S3_BUCKET_ALREADY_EXISTS))
        xml_leaf(&t, "BucketName", c->bucket);
    if (c->key.size && shown == S3_NO_SUCH_KEY)
        xml_leaf(&t, "Key", c->key);
    xml_leaf(&t, "Resource", c->rq->path);
    xml_leaf(&t, "RequestId", id);
    xml_leaf(&t, "HostId", id);
    xml_close(&t, "Error");
    http_reply_body(c->rq, "application/xml", t.failed ? SLICE_NONE : text_slice(&t));
    text_done(&t);
}

/* --- Headers. --- */

void s3_header_number(struct s3_call *c, const char *name, uint64_t n)
{
    char  digits[24];
    char *at = digits + sizeof digits;

    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    http_reply_header(c->rq, name, slice_of(at, (size_t)(digits + sizeof digits - at)));
}

void s3_header_date(struct s3_call *c, const char *name, uint64_t us)
{
    char date[32];

    http_date((int64_t)(us / 1000000), date);
    http_reply_header(c->rq, name, slice_str(date));
}

struct slice s3_etag_in(struct arena *arena, const Rs__ObjectMeta *meta)
{
    char        *hex = arena_alloc(arena, 33);
    struct slice tag = SLICE_NONE;

    if (hex)
        object_etag(meta, hex, &tag);
    if (hex && meta->upload.len && !memchr(tag.data, '-', tag.size))
        tag = slice_str(arena_printf(arena, "%.*s-%u", SLICE_ARG(tag), meta->part_count));
    else if (hex && meta->manifest)   /* As Swift's own S3 dialect: no MD5 of the bytes, of an unknown number of parts. */
        tag = slice_str(arena_printf(arena, "%.*s-N", SLICE_ARG(tag)));
    return tag;
}

struct slice s3_etag(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    return s3_etag_in(c->arena, meta);
}

void s3_header_etag(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    char         quoted[128];
    struct slice tag = s3_etag(c, meta);

    if (tag.size + 2 > sizeof quoted) {
        http_reply_headerf(c->rq, "ETag", "\"%.*s\"", SLICE_ARG(tag));
        return;
    }
    quoted[0] = '"';
    memcpy(quoted + 1, tag.data, tag.size);
    quoted[tag.size + 1] = '"';
    http_reply_header(c->rq, "ETag", slice_of(quoted, tag.size + 2));
}

void s3_header_version(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta)
{
    char text[VERSION_TEXT_MAX + 1];
    bool writes = slice_equal(c->rq->method, SLICE("PUT")) || slice_equal(c->rq->method, SLICE("POST"));

    if (container->config->versioning == VERSIONING_OFF)
        return;
    /* What is written without versions has no id to tell; who reads it learns that it is "null". */
    if (writes && (meta->null_version || meta->version.len == 0))
        return;
    http_reply_header(c->rq, "x-amz-version-id", version_text(meta, text));
}
