/* proxy/s3/auth.c - see auth.h: which kind of signature, times, forms of the body. */
#include "proxy/s3/auth.h"

#include <strings.h>
#include <time.h>

/* --- Times. --- */

static bool digits(struct slice text, size_t at, size_t count, int *ret)
{
    int value = 0;

    if (at + count > text.size)
        return false;
    for (size_t i = at; i < at + count; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *ret = value;
    return true;
}

static bool tm_valid(const struct tm *tm)
{
    static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int              year = tm->tm_year + 1900;
    bool             leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_mday < 1 || tm->tm_mday > month_days[tm->tm_mon])
        return false;
    if (tm->tm_mon == 1 && tm->tm_mday == 29 && !leap)
        return false;
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

/* Offsets of year, month, day, hour, minute, second, and what stands between them. */
static bool iso_parse(struct slice text, bool basic, int64_t *ret_unix_s)
{
    static const uint8_t at[2][6] = { { 0, 5, 8, 11, 14, 17 }, { 0, 4, 6, 9, 11, 13 } };
    static const char    forms[2][21] = { "####-##-##T##:##:##", "########T######" };
    const char          *form = forms[basic];
    size_t               size = strlen(form);
    struct tm            tm = { 0 };

    if (text.size <= size || text.data[text.size - 1] != 'Z')
        return false;
    for (size_t i = 0; i < size; i++)
        if (form[i] != '#' && text.data[i] != (uint8_t)form[i])
            return false;
    if (text.size > size + 1) {   /* A fraction of the second. */
        if (basic || text.data[size] != '.' || text.size < size + 3 || text.size > size + 11)
            return false;
        for (size_t i = size + 1; i + 1 < text.size; i++)
            if (text.data[i] < '0' || text.data[i] > '9')
                return false;
    }
    if (!digits(text, at[basic][0], 4, &tm.tm_year) || !digits(text, at[basic][1], 2, &tm.tm_mon) ||
        !digits(text, at[basic][2], 2, &tm.tm_mday) || !digits(text, at[basic][3], 2, &tm.tm_hour) ||
        !digits(text, at[basic][4], 2, &tm.tm_min) || !digits(text, at[basic][5], 2, &tm.tm_sec))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!tm_valid(&tm))
        return false;
    *ret_unix_s = (int64_t)timegm(&tm);
    return true;
}

bool s3_time_parse(struct slice text, int64_t *ret_unix_s)
{
    uint8_t copy[40];

    if (text.size > 5 && text.size < sizeof copy &&
        (memcmp(text.data + text.size - 6, " +0000", 6) == 0 || memcmp(text.data + text.size - 6, " -0000", 6) == 0)) {
        memcpy(copy, text.data, text.size - 6);
        memcpy(copy + text.size - 6, " GMT", 4);
        return http_date_parse(slice_of(copy, text.size - 2), ret_unix_s);
    }
    if (text.size && text.data[0] >= '0' && text.data[0] <= '9')
        return iso_parse(text, text.size == S3_TIMESTAMP, ret_unix_s);
    return http_date_parse(text, ret_unix_s);
}

void s3_timestamp(int64_t unix_s, char out[S3_TIMESTAMP])
{
    time_t    t = (time_t)unix_s;
    struct tm tm = { 0 };
    char      text[64];

    if (!gmtime_r(&t, &tm) || strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &tm) != S3_TIMESTAMP)
        memset(text, '0', S3_TIMESTAMP);
    memcpy(out, text, S3_TIMESTAMP);
}

int s3_request_time(const struct s3_auth_options *options, const struct http_request *rq, int64_t *ret_unix_s,
                    struct error *err)
{
    struct slice text = http_header(rq, "x-amz-date");
    int64_t      t;

    if (!text.data)
        text = http_header(rq, "Date");
    if (!text.size || !s3_time_parse(text, &t) || t < 0)
        return error_set(err, S3_ACCESS_DENIED, "AWS authentication requires a valid Date or x-amz-date header.");
    if (t < options->now_s - S3_SKEW_MAX_S || t > options->now_s + S3_SKEW_MAX_S)
        return s3_fail(err, S3_REQUEST_TIME_TOO_SKEWED);
    *ret_unix_s = t;
    return 0;
}

/* --- Forms of the body. --- */

int s3_payload_parse(struct slice text, struct s3_auth *auth, struct error *err)
{
    static const struct {
        const char     *name;
        enum s3_payload payload;
    } names[] = {
        { "UNSIGNED-PAYLOAD", S3_PAYLOAD_UNSIGNED },
        { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", S3_PAYLOAD_CHUNKS },
        { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", S3_PAYLOAD_CHUNKS_TRAILER },
        { "STREAMING-UNSIGNED-PAYLOAD-TRAILER", S3_PAYLOAD_UNSIGNED_TRAILER },
    };

    auth->payload = S3_PAYLOAD_UNSIGNED;
    if (text.size == 0)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal(text, slice_str(names[i].name))) {
            auth->payload = names[i].payload;
            return 0;
        }
    if (hex_parse(text, auth->payload_sha256, SHA256_BYTES)) {
        auth->payload = S3_PAYLOAD_SHA256;
        return 0;
    }
    if (slice_starts(text, SLICE("STREAMING-")))
        return error_set(err, S3_NOT_IMPLEMENTED, "This form of x-amz-content-sha256 is not implemented.");
    return error_set(err, S3_INVALID_ARGUMENT, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a form of STREAMING- "
                                               "or a SHA-256 in lower-case hex.");
}

/* --- Which kind. --- */

static enum s3_auth_kind query_kind(const struct http_request *rq)
{
    if (http_query(rq, "X-Amz-Algorithm").data || http_query(rq, "X-Amz-Signature").data ||
        http_query(rq, "X-Amz-Credential").data)
        return S3_AUTH_V4_QUERY;
    if (http_query(rq, "AWSAccessKeyId").data && (http_query(rq, "Signature").data || http_query(rq, "Expires").data))
        return S3_AUTH_V2_QUERY;
    return S3_AUTH_NONE;
}

static bool starts_with_word(struct slice text, const char *word)
{
    size_t size = strlen(word);

    return text.size >= size && strncasecmp((const char *)text.data, word, size) == 0;
}

bool s3_auth_present(const struct http_request *rq)
{
    struct slice header = http_header(rq, "Authorization");

    return starts_with_word(header, "AWS4-") || starts_with_word(header, "AWS ") || query_kind(rq) != S3_AUTH_NONE;
}

/* Without a signature over the headers nothing can be said of signed chunks. */
static int plain_payload(const struct http_request *rq, struct s3_auth *auth, struct error *err)
{
    int rc = s3_payload_parse(http_header(rq, "x-amz-content-sha256"), auth, err);

    if (rc == 0 && (auth->payload == S3_PAYLOAD_CHUNKS || auth->payload == S3_PAYLOAD_CHUNKS_TRAILER))
        rc = error_set(err, S3_INVALID_REQUEST, "Signed chunks need a request with a signature of version 4.");
    return rc;
}

int s3_authenticate(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                    struct error *err)
{
    struct slice      header = http_header(rq, "Authorization");
    enum s3_auth_kind kind = query_kind(rq);
    int               rc;

    memset(auth, 0, sizeof *auth);
    if (header.size && kind != S3_AUTH_NONE)
        return error_set(err, S3_INVALID_ARGUMENT, "Only one way of authentication is allowed: the Authorization "
                                                   "header or the query.");
    if (http_header(rq, "x-amz-security-token").size || http_query(rq, "X-Amz-Security-Token").size)
        return error_set(err, S3_INVALID_TOKEN, "Session tokens are not issued here.");
    if (starts_with_word(header, "AWS4-HMAC-SHA256"))
        kind = S3_AUTH_V4_HEADER;
    else if (starts_with_word(header, "AWS4-"))
        return error_set(err, S3_NOT_IMPLEMENTED, "Only the algorithm AWS4-HMAC-SHA256 is implemented.");
    else if (starts_with_word(header, "AWS "))
        kind = S3_AUTH_V2_HEADER;
    else if (header.size)
        return error_set(err, S3_INVALID_ARGUMENT, "Unsupported Authorization Type");
    auth->kind = kind;
    switch (kind) {
    case S3_AUTH_V4_HEADER: return sigv4_header(options, rq, auth, err);
    case S3_AUTH_V4_QUERY: return sigv4_query(options, rq, auth, err);
    case S3_AUTH_V2_HEADER: rc = sigv2_header(options, rq, auth, err); break;
    case S3_AUTH_V2_QUERY: rc = sigv2_query(options, rq, auth, err); break;
    default: rc = 0; break;
    }
    return rc ? rc : plain_payload(rq, auth, err);
}

/* --- Percent-encoding as signed. --- */

uint8_t *s3_encode(uint8_t *out, struct slice text, bool path)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' ||
            c == '_' || c == '~' || (path && c == '/')) {
            *out++ = c;
        } else {
            *out++ = '%';
            *out++ = (uint8_t)hex[c >> 4];
            *out++ = (uint8_t)hex[c & 15];
        }
    }
    return out;
}
