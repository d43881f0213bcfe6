/* proxy/swift/reply.c - answers: error bodies, time formats, metadata headers. */
#include <ctype.h>
#include <stdio.h>

#include "proxy/swift/call.h"

/* --- Errors. --- */

static const char *status_reason(int status)
{
    switch (status) {
    case 202: return "The request is accepted for processing.";
    case 400: return "The server could not comply with the request since it is either malformed or otherwise incorrect.";
    case 401: return "This server could not verify that you are authorized to access the document you requested.";
    case 403: return "Access was denied to this resource.";
    case 404: return "The resource could not be found.";
    case 405: return "The method is not allowed for this resource.";
    case 406: return "The resource is not available in a format acceptable to your browser.";
    case 408: return "The server has waited too long for the request to be sent by the client.";
    case 409: return "There was a conflict when trying to complete your request.";
    case 411: return "Content-Length header required.";
    case 412: return "A precondition for this request was not met.";
    case 413: return "The body of your request was too large for this server.";
    case 416: return "The Range requested is not available.";
    case 422: return "Unable to process the contained instructions";
    case 499: return "The client was disconnected during request.";
    case 501: return "The requested method is not implemented by this server.";
    case 503: return "The server is currently unavailable. Please try again at a later time.";
    case 507: return "There was not enough space to save the resource.";
    default: return "The server has either erred or is incapable of performing the requested operation.";
    }
}

static const char *status_title(int status)
{
    switch (status) {
    case 413: return "Request Entity Too Large";
    case 416: return "Requested Range Not Satisfiable";
    case 422: return "Unprocessable Entity";
    case 499: return "Client Disconnect";
    case 500: return "Internal Error";
    default: return http_status_text(status);
    }
}

int call_status_of(struct call *c, int rc)
{
    switch (rc) {
    case -ENOENT:
        return 404;
    case -EDQUOT:
        c->why = "Upload exceeds quota.";
        return 413;
    case -E_LIMIT:
        return 413;
    case -ETIMEDOUT:
        return 503;
    case -E_CLOSED: case -ECONNRESET:
        return 499;
    default:
        return error_http(rc);
    }
}

/* Status line and the headers that go with an error. */
static void status_headers(struct call *c, int status)
{
    if (status == 401)
        http_reply_headerf(c->rq, "Www-Authenticate", "Swift realm=\"%s\"",
                           c->account.size && http_valid_utf8(c->account)
                               ? (const char *)http_quote(c->arena, c->account, "").data : "unknown");
    if (status == 503)
        http_reply_header(c->rq, "Retry-After", SLICE("1"));
}

void call_reply_rest(struct call *c, int status)
{
    char         text[512];
    struct slice body = slice_str(c->why);
    const char  *type = "text/plain";

    status_headers(c, status);
    if (status == 204 || status == 304 || status == 201) {
        if (status == 201)
            http_reply_header(c->rq, "Content-Type", SLICE("text/html; charset=UTF-8"));
        http_reply_empty(c->rq);
        return;
    }
    if (!c->why) {
        snprintf(text, sizeof text, "<html><h1>%s</h1><p>%s</p></html>", status_title(status), status_reason(status));
        body = slice_str(text);
        type = "text/html; charset=UTF-8";
    }
    http_reply_body(c->rq, type, body);
}

void call_reply_status(struct call *c, int status)
{
    http_reply_begin(c->rq, status);
    call_reply_rest(c, status);
}

/* --- Headers. --- */

void reply_time(struct http_request *rq, const char *name, uint64_t us)
{
    http_reply_headerf(rq, name, "%010llu.%05llu", (unsigned long long)(us / 1000000),
                       (unsigned long long)(us % 1000000 / 10));
}

void reply_date(struct http_request *rq, const char *name, uint64_t us)
{
    char date[32];

    http_date((int64_t)((us + 999999) / 1000000), date);
    http_reply_header(rq, name, slice_str(date));
}

void reply_number(struct http_request *rq, const char *name, uint64_t n)
{
    char  digits[24];
    char *at = digits + sizeof digits;

    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    http_reply_header(rq, name, slice_of(at, (size_t)(digits + sizeof digits - at)));
}

static void title(char *to, struct slice lower)
{
    bool start = true;

    for (size_t i = 0; i < lower.size; i++) {
        to[i] = start && lower.data[i] < 128 ? (char)toupper(lower.data[i]) : (char)lower.data[i];
        start = lower.data[i] < 128 && !isalpha(lower.data[i]);
    }
    to[lower.size] = 0;
}

void reply_header_title(struct http_request *rq, struct slice lower_name, struct slice value)
{
    char name[META_NAME_MAX + 64];

    if (lower_name.size >= sizeof name)
        return;
    title(name, lower_name);
    http_reply_header(rq, name, value);
}

void reply_meta(struct http_request *rq, const char *prefix, Rs__MetaItem **items, size_t count)
{
    char   name[META_NAME_MAX + 64];
    size_t n = strlen(prefix);

    memcpy(name, prefix, n);
    for (size_t i = 0; i < count; i++) {
        if (items[i]->name.len + n >= sizeof name)
            continue;
        title(name + n, slice_of(items[i]->name.data, items[i]->name.len));
        http_reply_header(rq, name, slice_of(items[i]->value.data, items[i]->value.len));
    }
}
