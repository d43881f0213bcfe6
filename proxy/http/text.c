/* proxy/http/text.c - small things that every dialect needs: percent-encoding,
 * UTF-8, the names of statuses. Pure. */
#include <string.h>

#include "proxy/http/http.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unreserved(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

struct slice http_quote(struct arena *arena, struct slice text, const char *keep)
{
    static const char hex[] = "0123456789ABCDEF";
    bool     plain[256];
    size_t   size = 0, n = 0;

    for (uint32_t c = 0; c < 256; c++)
        plain[c] = unreserved((uint8_t)c);
    for (; keep && *keep; keep++)
        plain[(uint8_t)*keep] = true;
    for (size_t i = 0; i < text.size; i++)
        size += plain[text.data[i]] ? 1 : 3;
    uint8_t *out = arena_alloc(arena, size + 1);
    if (!out)
        return SLICE_NONE;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (plain[c]) {
            out[n++] = c;
        } else {
            out[n++] = '%';
            out[n++] = (uint8_t)hex[c >> 4];
            out[n++] = (uint8_t)hex[c & 15];
        }
    }
    return slice_of(out, n);
}

int http_unquote(struct arena *arena, struct slice text, bool plus_is_blank, struct slice *ret_text)
{
    if (text.size == 0) {
        *ret_text = slice_of("", 0);
        return 0;
    }
    /* Most texts need no change, and are not copied. */
    if (!memchr(text.data, '%', text.size) && !(plus_is_blank && memchr(text.data, '+', text.size))) {
        *ret_text = text;
        return 0;
    }
    uint8_t *out = arena_alloc(arena, text.size + 1);
    size_t   n = 0;

    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '+' && plus_is_blank) {
            out[n++] = ' ';
        } else if (c != '%') {
            out[n++] = c;
        } else {
            int high = i + 2 < text.size ? hex_value(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_value(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -E_SYNTAX;
            out[n++] = (uint8_t)(high * 16 + low);
            i += 2;
        }
    }
    *ret_text = slice_of(out, n);
    return 0;
}

/* RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
bool http_valid_utf8(struct slice text)
{
    const uint8_t *p = text.data, *end = text.size ? p + text.size : p;   /* No data: NULL. */

    while (p < end) {
        uint32_t c = *p++, more, least;
        if (c < 0x80)
            continue;
        if (c >= 0xc2 && c <= 0xdf) {
            more = 1;
            least = 0x80;
            c &= 0x1f;
        } else if (c >= 0xe0 && c <= 0xef) {
            more = 2;
            least = 0x800;
            c &= 0x0f;
        } else if (c >= 0xf0 && c <= 0xf4) {
            more = 3;
            least = 0x10000;
            c &= 0x07;
        } else {
            return false;
        }
        if ((size_t)(end - p) < more)
            return false;
        for (; more > 0; more--, p++) {
            if ((*p & 0xc0) != 0x80)
                return false;
            c = c << 6 | (*p & 0x3f);
        }
        if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
    }
    return true;
}

const char *http_status_text(int status)
{
    static const struct { int status; const char *text; } table[] = {
        { 100, "Continue" }, { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
        { 203, "Non-Authoritative Information" }, { 204, "No Content" }, { 206, "Partial Content" },
        { 300, "Multiple Choices" }, { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" },
        { 304, "Not Modified" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
        { 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" },
        { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 408, "Request Timeout" },
        { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" },
        { 413, "Request Entity Too Large" }, { 414, "Request-URI Too Long" }, { 415, "Unsupported Media Type" },
        { 416, "Requested Range Not Satisfiable" }, { 417, "Expectation Failed" }, { 422, "Unprocessable Entity" },
        { 423, "Locked" }, { 424, "Failed Dependency" }, { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" }, { 498, "Rate Limited" }, { 499, "Client Disconnect" },
        { 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" },
        { 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
        { 507, "Insufficient Storage" },
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].text;
    return "Unknown";
}
