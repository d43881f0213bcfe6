/* proxy/http/parse.c - request heads: strict lines first, then llhttp.
 *
 * Two parsers must agree before a request is believed. Ours looks at lines and
 * bytes and knows the limits; llhttp parses the same bytes once more. What
 * either refuses is refused: smuggling lives on parsers that see two different
 * requests in the same bytes (RFC 9112, 11.2). */
#include "proxy/http/private.h"

#include <llhttp.h>
#include <strings.h>

/* RFC 9110, 5.6.2: tchar. */
static const bool token_char[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,
    ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

static int refuse(struct http_refusal *err, int status, const char *why)
{
    *err = (struct http_refusal) { status, why };
    return -E_SYNTAX;
}

bool http_is_token(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!token_char[text.data[i]])
            return false;
    return text.size > 0;
}

bool http_is_value(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

struct slice http_trim(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_from(text, 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

bool http_name_is(struct slice name, const char *lower, size_t size)
{
    return name.size == size && strncasecmp((const char *)name.data, lower, size) == 0;
}

int http_head_scan(struct http_head *head, struct slice bytes, struct http_refusal *err)
{
    while (head->scanned < bytes.size) {
        const uint8_t *line = bytes.data + head->scanned;
        size_t         left = bytes.size - head->scanned;
        const uint8_t *end = memchr(line, '\n', left);
        size_t         size = end ? (size_t)(end - line) + 1 : left;

        if (head->lines == 0) {
            /* Anything but a method, such as a TLS greeting, is refused at its first byte. */
            if (!token_char[line[0]])
                return refuse(err, 400, "The request line does not begin with a method.");
            if (size > HTTP_LINE_MAX)
                return refuse(err, 414, "The request line is too long.");
        }
        if (head->scanned + size > (size_t)HTTP_LINE_MAX + HTTP_HEADER_BYTES_MAX)
            return refuse(err, 431, "The headers are too long.");
        if (!end)
            return -EAGAIN;
        if (size < 2 || memchr(line, '\r', size) != end - 1)
            return refuse(err, 400, "A line ends in a bare CR or LF.");

        head->scanned += size;
        if (size == 2) {
            head->size = head->scanned;
            return 0;
        }
        if (head->lines > 0 && (line[0] == ' ' || line[0] == '\t'))
            return refuse(err, 400, "Folded header lines are not accepted.");
        if (head->lines++ > HTTP_HEADERS_MAX)
            return refuse(err, 431, "There are too many headers.");
        if (head->lines == 1)
            continue;
        /* The limit of all header lines counts from the end of the request line, which ended before. */
        if (head->scanned > (size_t)HTTP_LINE_MAX + HTTP_HEADER_BYTES_MAX)
            return refuse(err, 431, "The headers are too long.");
    }
    return -EAGAIN;
}

/* --- llhttp's view. --- */

struct seen {
    struct http_request *rq;
    uint32_t     capacity;     /* Of rq->headers. */
    struct slice url, name, value;
    bool         complete, lost;
};

static void span_add(struct slice *span, const char *at, size_t size, bool *lost)
{
    if (!span->data)
        *span = slice_of(at, size);
    else if (span->data + span->size == (const uint8_t *)at)
        span->size += size;
    else
        *lost = true;
}

static int on_url(llhttp_t *parser, const char *at, size_t size)
{
    struct seen *seen = parser->data;
    span_add(&seen->url, at, size, &seen->lost);
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t size)
{
    struct seen *seen = parser->data;
    span_add(&seen->name, at, size, &seen->lost);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t size)
{
    struct seen *seen = parser->data;
    span_add(&seen->value, at, size, &seen->lost);
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct seen *seen = parser->data;

    if (seen->rq->header_count >= seen->capacity) {
        seen->lost = true;
        return 0;
    }
    struct http_header *header = &seen->rq->headers[seen->rq->header_count++];
    header->name = seen->name;
    header->value = http_trim(seen->value);
    if (!header->value.data)
        header->value = slice_of("", 0);   /* Present, though empty. */
    seen->name = seen->value = SLICE_NONE;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct seen *seen = parser->data;
    seen->complete = true;
    return HPE_PAUSED;   /* The body is read by body.c. */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
};

static int refuse_by_llhttp(llhttp_errno_t code, struct http_refusal *err)
{
    switch (code) {
    case HPE_INVALID_METHOD:
        return refuse(err, 501, "The method is not known.");
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return refuse(err, 505, "HTTP/1.1 and HTTP/1.0 are spoken here.");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse(err, 501, "The only transfer coding is chunked.");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse(err, 400, "The length of the body is not clear.");
    case HPE_INVALID_HEADER_TOKEN:
        return refuse(err, 400, "A header line is malformed.");
    default:
        return refuse(err, 400, "The request is malformed.");
    }
}

/* --- Our view. --- */

/* "METHOD SP target SP HTTP/1.x": exactly one blank each. */
static int parse_line(struct http_head *head, struct slice line, struct http_request *rq, struct http_refusal *err)
{
    const uint8_t *blank = memchr(line.data, ' ', line.size);

    if (!blank)
        return refuse(err, 400, "The request line is malformed.");
    rq->method = slice_of(line.data, (size_t)(blank - line.data));
    struct slice rest = slice_from(line, rq->method.size + 1);
    blank = memchr(rest.data, ' ', rest.size);
    if (!blank || blank == rest.data || !http_is_token(rq->method))
        return refuse(err, 400, "The request line is malformed.");
    rq->target = slice_of(rest.data, (size_t)(blank - rest.data));
    struct slice version = slice_from(rest, rq->target.size + 1);

    for (size_t i = 0; i < rq->target.size; i++) {
        uint8_t c = rq->target.data[i];
        if (c <= 0x20 || c == 0x7f || c == '#')
            return refuse(err, 400, "The request target has a byte that must be percent-encoded.");
    }
    if (version.size != 8 || memcmp(version.data, "HTTP/", 5) != 0)
        return refuse(err, 400, "The request line is malformed.");
    if (memcmp(version.data + 5, "1.1", 3) != 0 && memcmp(version.data + 5, "1.0", 3) != 0)
        return refuse(err, 505, "HTTP/1.1 and HTTP/1.0 are spoken here.");
    head->http10 = version.data[7] == '0';
    return 0;
}

static int parse_length(struct http_request *rq, struct slice value, struct http_refusal *err)
{
    uint64_t length = 0;

    if (rq->has_length)
        return refuse(err, 400, "Content-Length is given twice.");
    if (value.size == 0)
        return refuse(err, 400, "Content-Length is not a number.");
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < '0' || value.data[i] > '9')
            return refuse(err, 400, "Content-Length is not a number.");
    for (size_t i = 0; i < value.size; i++)
        if (__builtin_mul_overflow(length, (uint64_t)10, &length) ||
            __builtin_add_overflow(length, (uint64_t)(value.data[i] - '0'), &length) || length > INT64_MAX)
            return refuse(err, 413, "Content-Length is larger than any body could be.");
    rq->content_length = length;
    rq->has_length = true;
    return 0;
}

/* A host and perhaps a port: nothing that could pass for another part of a URL. */
static bool host_valid(struct slice host)
{
    for (size_t i = 0; i < host.size; i++) {
        uint8_t c = host.data[i];
        if (c <= 0x20 || c == 0x7f || strchr("/\\@?#\"<>^`{|},", c))
            return false;
    }
    return true;
}

static int parse_headers(const struct http_head *head, struct http_request *rq, struct http_refusal *err)
{
    uint32_t hosts = 0;

    for (uint32_t i = 0; i < rq->header_count; i++) {
        struct slice name = rq->headers[i].name, value = rq->headers[i].value;
        int rc = 0;

        if (!http_is_token(name) || !http_is_value(value))
            return refuse(err, 400, "A header has a byte that is not allowed.");
        if (http_name_is(name, "host", 4)) {
            hosts++;
            rq->host = value;
        } else if (http_name_is(name, "content-length", 14)) {
            rc = parse_length(rq, value, err);
        } else if (http_name_is(name, "transfer-encoding", 17)) {
            if (rq->chunked)
                return refuse(err, 400, "Transfer-Encoding is given twice.");
            if (!http_name_is(value, "chunked", 7))
                return refuse(err, 501, "The only transfer coding is chunked.");
            rq->chunked = true;
        } else if (http_name_is(name, "expect", 6)) {
            /* Another expectation may be refused (RFC 9110, 10.1.1), or passed over, as S3's clients expect. */
            if (http_name_is(value, "100-continue", 12))
                rq->expect_continue = true;
        }
        if (rc)
            return rc;
    }
    if (rq->chunked && rq->has_length)
        return refuse(err, 400, "Both Content-Length and Transfer-Encoding are given.");
    if (rq->chunked && head->http10)
        return refuse(err, 400, "HTTP/1.0 has no Transfer-Encoding.");
    if (hosts > 1 || (hosts == 0 && !head->http10))
        return refuse(err, 400, "There must be one Host header.");
    if (!host_valid(rq->host))
        return refuse(err, 400, "The Host header is malformed.");
    if (head->http10)
        rq->expect_continue = false;   /* RFC 9110, 10.1.1: ignored. */
    return 0;
}

static int parse_query(struct http_request *rq, struct http_refusal *err)
{
    struct slice rest = rq->raw_query;
    uint32_t     count = rest.size > 0;

    for (size_t i = 0; i < rest.size; i++)
        count += rest.data[i] == '&';
    if (count == 0)
        return 0;
    if (count > HTTP_QUERY_MAX)
        return refuse(err, 400, "There are too many query parameters.");
    rq->query = arena_array(&rq->arena, struct http_query, count);
    if (!rq->query)
        return refuse(err, 503, "Out of memory.");

    while (rest.size > 0) {
        const uint8_t *amp = memchr(rest.data, '&', rest.size);
        struct slice   pair = slice_of(rest.data, amp ? (size_t)(amp - rest.data) : rest.size);
        rest = slice_from(rest, pair.size + (amp != NULL));
        if (pair.size == 0)
            continue;
        const uint8_t *equals = memchr(pair.data, '=', pair.size);
        struct slice   name = slice_of(pair.data, equals ? (size_t)(equals - pair.data) : pair.size);
        struct slice   value = equals ? slice_from(pair, name.size + 1) : slice_of("", 0);
        struct http_query *query = &rq->query[rq->query_count];

        if (http_unquote(&rq->arena, name, true, &query->name) != 0 ||
            http_unquote(&rq->arena, value, true, &query->value) != 0)
            return refuse(err, 400, "The query has an invalid percent-encoding.");
        rq->query_count++;
    }
    return 0;
}

/* Origin form; the absolute form, whose host then counts (RFC 9112, 3.2.2); "*" for OPTIONS. */
static int parse_target(struct http_request *rq, bool swift, struct http_refusal *err)
{
    struct slice target = rq->target;

    if (target.size >= 8 && (strncasecmp((const char *)target.data, "http://", 7) == 0 ||
                             strncasecmp((const char *)target.data, "https://", 8) == 0)) {
        target = slice_from(target, target.data[4] == ':' ? 7 : 8);
        size_t host = 0;
        while (host < target.size && target.data[host] != '/' && target.data[host] != '?')
            host++;
        rq->host = slice_of(target.data, host);
        if (host == 0 || !host_valid(rq->host))
            return refuse(err, 400, "The request target is malformed.");
        target = slice_from(target, host);
    } else if (slice_equal(target, SLICE("*")) && slice_equal(rq->method, SLICE("OPTIONS"))) {
        rq->raw_path = rq->path = target;
        return 0;
    } else if (target.data[0] != '/') {
        return refuse(err, 400, "The request target must be a path.");
    }
    const uint8_t *mark = target.size ? memchr(target.data, '?', target.size) : NULL;
    rq->raw_path = slice_of(target.data, mark ? (size_t)(mark - target.data) : target.size);
    if (mark)
        rq->raw_query = slice_from(target, rq->raw_path.size + 1);
    if (rq->raw_path.size == 0)
        rq->raw_path = SLICE("/");
    if (http_unquote(&rq->arena, rq->raw_path, false, &rq->path) != 0)
        return refuse(err, 400, "The path has an invalid percent-encoding.");
    if (memchr(rq->path.data, 0, rq->path.size))   /* As Swift says it. */
        return refuse(err, swift ? 412 : 400, "Invalid UTF8 or contains NULL.");
    return parse_query(rq, err);
}

int http_head_parse(struct http_head *head, struct slice bytes, bool swift, struct http_request *rq,
                    struct http_refusal *err)
{
    struct slice   line = slice_of(bytes.data, (size_t)((const uint8_t *)memchr(bytes.data, '\n', bytes.size) -
                                                        bytes.data) - 1);
    struct seen    seen = { .rq = rq, .capacity = head->lines };
    llhttp_t       parser;

    int rc = parse_line(head, line, rq, err);
    if (rc)
        return rc;
    if (bytes.size - line.size > HTTP_HEADER_BYTES_MAX)
        return refuse(err, 431, "The headers are too long.");
    rq->header_count = 0;
    rq->headers = arena_array(&rq->arena, struct http_header, head->lines);
    if (!rq->headers)
        return refuse(err, 503, "Out of memory.");

    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &seen;
    llhttp_errno_t code = llhttp_execute(&parser, (const char *)bytes.data, bytes.size);
    if (code != HPE_PAUSED) {
        /* A coding that llhttp has no name for is ours to refuse, with its own status. */
        return refuse_by_llhttp(code, err);
    }
    if (!seen.complete || seen.lost || !slice_equal(seen.url, rq->target) || rq->header_count != head->lines - 1)
        return refuse(err, 400, "The request is malformed.");

    bool close = parser.flags & F_CONNECTION_CLOSE;
    head->keep_alive = !close && (!head->http10 || (parser.flags & F_CONNECTION_KEEP_ALIVE));
    rq->head = slice_equal(rq->method, SLICE("HEAD"));
    rc = parse_headers(head, rq, err);
    if (rc == 0)
        rc = parse_target(rq, swift, err);
    return rc;
}
