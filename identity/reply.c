/* identity/reply.c - JSON in and out, in Keystone's shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "identity/private.h"

/* --- In. --- */

/* jansson parses nesting by recursion: its depth is bounded before it sees the text. */
static bool depth_ok(struct slice body)
{
    int  depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < body.size; i++) {
        uint8_t c = body.data[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

int json_parse(struct slice body, json_t **ret_json, struct error *err)
{
    json_error_t error;

    if (body.size > BODY_MAX)
        return error_set(err, -E_LIMIT, "the body is too large");
    if (!depth_ok(body))
        return error_set(err, -E_LIMIT, "the JSON is nested too deeply");
    json_t *json = json_loadb(body.size ? (const char *)body.data : "", body.size, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        return error_set(err, -E_SYNTAX, "the body is not valid JSON: line %d", error.line);
    *ret_json = json;
    return 0;
}

struct slice json_text(const json_t *object, const char *name, bool *ret_bad)
{
    const json_t *member = json_object_get(object, name);

    if (member == NULL || json_is_null(member))
        return SLICE_NONE;
    if (!json_is_string(member)) {
        *ret_bad = true;
        return SLICE_NONE;
    }
    return slice_of(json_string_value(member), json_string_length(member));
}

/* --- Out. --- */

void time_text(int64_t us, char out[TIME_TEXT_MAX])
{
    time_t    s = us / 1000000;
    struct tm tm;

    gmtime_r(&s, &tm);
    snprintf(out, TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, (int)((uint64_t)us % 1000000));
}

void reply_vary(struct http_request *rq)
{
    http_reply_header(rq, "Vary", SLICE("X-Auth-Token"));
}

void reply_none(struct http_request *rq)
{
    http_reply_begin(rq, 204);
    reply_vary(rq);
    http_reply_empty(rq);
}

void reply_json(struct http_request *rq, int status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    json_decref(body);
    if (!http_reply_begun(rq)) {
        http_reply_begin(rq, text ? status : 503);
        reply_vary(rq);
    }
    http_reply_body(rq, "application/json", slice_str(text ? text : ""));
    free(text);
}

static const char *title_of(int status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Request Entity Too Large";
    case 503: return "Service Unavailable";
    default: return http_status_text(status);
    }
}

void reply_error(struct identity *identity, struct http_request *rq, int status, const char *format, ...)
{
    char    message[512], base[URL_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    /* What came from a client may have been cut in the middle of a character. */
    if (!http_valid_utf8(slice_str(message)))
        snprintf(message, sizeof message, "%s", title_of(status));
    http_reply_begin(rq, status);
    reply_vary(rq);
    if (status == 401) {
        catalog_url(identity, "keystone", base, sizeof base);
        http_reply_headerf(rq, "WWW-Authenticate", "Keystone uri=\"%s/v3\"", base);
    }
    if (status == 503)
        http_reply_header(rq, "Retry-After", SLICE("1"));
    reply_json(rq, status, json_pack("{s:{s:i, s:s, s:s}}", "error", "code", status, "message", message, "title",
                                     title_of(status)));
}

void reply_code(struct identity *identity, struct http_request *rq, int code, const char *what)
{
    int status = code == -E_CONDITION ? 409 : code == -E_LIMIT ? 413 : error_http(code);

    switch (status) {
    case 401:
        reply_error(identity, rq, 401, "The request you have made requires authentication.");
        break;
    case 409:
        reply_error(identity, rq, 409, "Conflict occurred attempting to store %s - Duplicate entry, or it was changed "
                    "meanwhile.", what);
        break;
    case 413:
        reply_error(identity, rq, 413, "Request is too large.");
        break;
    default:
        reply_error(identity, rq, status, "%s: %s", what, error_text(code));
    }
}
