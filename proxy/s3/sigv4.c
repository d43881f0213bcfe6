/* proxy/s3/sigv4.c - AWS Signature Version 4 in the Authorization header and in the query.
 *
 * Canonical request: method, path (decoded, then encoded once), sorted query, the signed headers (trimmed, runs of
 * blanks made one, equal names joined by commas), their names, and x-amz-content-sha256 as sent. */
#include <stdlib.h>

#include "proxy/s3/auth.h"

/* What the Authorization header or the query says, not verified. */
struct claim {
    struct sigv4_credential credential;
    struct slice signed_headers;
    struct slice signature;       /* Hex as sent. */
    struct slice timestamp;       /* S3_TIMESTAMP bytes. */
    struct slice payload;         /* As it goes into the canonical request. */
    bool         query;
    int          malformed;       /* Which code says that the claim cannot be read. */
};

/* --- Credentials. --- */

bool sigv4_credential_parse(struct slice text, struct sigv4_credential *ret)
{
    size_t end = text.size, slash[4];

    for (int i = 3; i >= 0; i--) {   /* From the end: an access key may contain slashes. */
        while (end > 0 && text.data[end - 1] != '/')
            end--;
        if (end == 0)
            return false;
        slash[i] = --end;
    }
    ret->access_key = slice_of(text.data, slash[0]);
    ret->scope = slice_from(text, slash[0] + 1);
    ret->date = slice_of(text.data + slash[0] + 1, slash[1] - slash[0] - 1);
    ret->region = slice_of(text.data + slash[1] + 1, slash[2] - slash[1] - 1);
    ret->service = slice_of(text.data + slash[2] + 1, slash[3] - slash[2] - 1);
    return ret->access_key.size > 0 && ret->access_key.size <= S3_ACCESS_KEY_MAX &&
           slice_equal(slice_from(text, slash[3] + 1), SLICE("aws4_request"));
}

int sigv4_credential_check(const struct s3_auth_options *options, const struct sigv4_credential *credential,
                           struct slice timestamp, int malformed, struct error *err)
{
    if (!slice_equal(credential->date, slice_of(timestamp.data, 8)))
        return error_set(err, malformed, "The credential's date \"%.*s\" is not that of the request's time \"%.*s\".",
                         SLICE_ARG(slice_of(credential->date.data, credential->date.size < 32 ? credential->date.size
                                                                                              : 32)),
                         SLICE_ARG(timestamp));
    if (!slice_equal(credential->service, SLICE("s3")))
        return error_set(err, malformed, "The credential's service is wrong; expecting \"s3\".");
    if (!slice_equal(credential->region, options->region) && !slice_equal(credential->region, SLICE("us-east-1")))
        return error_set(err, malformed, "The credential's region is wrong; expecting \"%.*s\".",
                         SLICE_ARG(options->region));
    return 0;
}

int sigv4_key(const struct s3_auth_options *options, const struct sigv4_credential *credential, struct s3_auth *auth,
              struct error *err)
{
    auth->access_key = credential->access_key;
    auth->scope = credential->scope;
    int rc = options->keys.signing_key(options->keys.ctx, credential->access_key, credential->date, credential->region,
                                       credential->service, &auth->who, auth->signing_key);
    return rc ? s3_fail(err, S3_INVALID_ACCESS_KEY_ID) : 0;
}

/* --- The canonical request. --- */

struct pair {
    struct slice name, value;   /* Encoded. */
};

static int pair_compare(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int                c = slice_compare(x->name, y->name);

    return c ? c : slice_compare(x->value, y->value);
}

static uint8_t *put(uint8_t *out, struct slice text)
{
    if (text.size)
        memcpy(out, text.data, text.size);
    return out + text.size;
}

static bool in_query(const struct claim *claim, const struct http_query *q)
{
    return !(claim->query && slice_equal(q->name, SLICE("X-Amz-Signature")));
}

/* Names and values sorted by their encoded form. The pairs' text is written behind 'out', which is then moved over. */
static uint8_t *put_query(uint8_t *out, const struct claim *claim, const struct http_request *rq, struct pair *pairs,
                          uint8_t *text)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < rq->query_count; i++) {
        const struct http_query *q = &rq->query[i];
        uint8_t                 *end;

        if (!in_query(claim, q))
            continue;
        end = s3_encode(text, q->name, false);
        pairs[count].name = slice_of(text, (size_t)(end - text));
        text = end;
        end = s3_encode(text, q->value, false);
        pairs[count++].value = slice_of(text, (size_t)(end - text));
        text = end;
    }
    if (count > 1)
        qsort(pairs, count, sizeof *pairs, pair_compare);
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            *out++ = '&';
        out = put(out, pairs[i].name);
        *out++ = '=';
        out = put(out, pairs[i].value);
    }
    return out;
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static uint8_t *put_trimmed(uint8_t *out, struct slice value)
{
    uint8_t *start = out;

    for (size_t i = 0; i < value.size; i++) {
        if (!blank(value.data[i]))
            *out++ = value.data[i];
        else if (out > start && out[-1] != ' ')
            *out++ = ' ';
    }
    if (out > start && out[-1] == ' ')
        out--;
    return out;
}

/* Case-insensitive against a name that is in lower case already. */
static bool name_is(struct slice name, struct slice lower)
{
    if (name.size != lower.size)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        if (c != lower.data[i])
            return false;
    }
    return true;
}

static struct slice next_name(struct slice *list)
{
    const uint8_t *end = list->size ? memchr(list->data, ';', list->size) : NULL;
    struct slice   name = slice_of(list->data, end ? (size_t)(end - list->data) : list->size);

    *list = slice_from(*list, name.size + (end != NULL));
    return name;
}

static bool is_signed(struct slice list, struct slice name)
{
    while (list.size)
        if (name_is(name, next_name(&list)))
            return true;
    return false;
}

static uint8_t *put_headers(uint8_t *out, const struct claim *claim, const struct http_request *rq)
{
    struct slice list = claim->signed_headers;

    while (list.size) {
        struct slice name = next_name(&list);
        bool         first = true;

        out = put(out, name);
        *out++ = ':';
        if (slice_equal(name, SLICE("host"))) {   /* The one that chooses the bucket; an absolute target may name another than the header. */
            out = put_trimmed(out, rq->host);
            *out++ = '\n';
            continue;
        }
        for (uint32_t i = 0; i < rq->header_count; i++) {
            if (!name_is(rq->headers[i].name, name))
                continue;
            if (!first)
                *out++ = ',';
            out = put_trimmed(out, rq->headers[i].value);
            first = false;
        }
        *out++ = '\n';
    }
    return out;
}

/* The names ascend, so that none is there twice; the host and every x-amz- header are among them. */
static int check_signed_headers(const struct claim *claim, const struct http_request *rq, struct error *err)
{
    struct slice list = claim->signed_headers, last = SLICE_NONE;

    for (int count = 0; list.size; count++) {
        struct slice name = next_name(&list);
        if (count == S3_SIGNED_HEADERS_MAX || name.size == 0 || slice_compare(last, name) >= 0)
            return error_set(err, claim->malformed, "SignedHeaders must be up to %d sorted names in lower case.",
                             S3_SIGNED_HEADERS_MAX);
        last = name;
    }
    bool missing = !is_signed(claim->signed_headers, SLICE("host"));
    for (uint32_t i = 0; i < rq->header_count && !missing; i++) {
        struct slice name = rq->headers[i].name;
        if (name.size > 6 && name_is(slice_of(name.data, 6), SLICE("x-amz-")) &&
            !(claim->query && name_is(name, SLICE("x-amz-content-sha256"))))
            missing = !is_signed(claim->signed_headers, name);
    }
    if (missing)
        return error_set(err, S3_ACCESS_DENIED, "There were headers present in the request which were not signed.");
    return 0;
}

/* In the arena; data NULL when that is full. */
static struct slice canonical_request(const struct claim *claim, struct http_request *rq)
{
    size_t       size = rq->method.size + 3 * rq->path.size + 2 * claim->signed_headers.size + claim->payload.size + 16;
    size_t       query = 0;
    struct pair *pairs;
    uint8_t     *text, *out;

    for (uint32_t i = 0; i < rq->query_count; i++)
        query += 3 * (rq->query[i].name.size + rq->query[i].value.size) + 2;
    for (uint32_t i = 0; i < rq->header_count; i++)
        size += rq->headers[i].value.size + 1;
    size += S3_SIGNED_HEADERS_MAX * 2 + rq->host.size;
    text = arena_alloc(&rq->arena, size + 2 * query);
    pairs = arena_array(&rq->arena, struct pair, rq->query_count + 1);
    if (!text || !pairs)
        return SLICE_NONE;
    out = put(text, rq->method);
    *out++ = '\n';
    if (rq->path.size == 0)
        *out++ = '/';
    out = s3_encode(out, rq->path, true);
    *out++ = '\n';
    out = put_query(out, claim, rq, pairs, text + size + query);
    *out++ = '\n';
    out = put_headers(out, claim, rq);
    *out++ = '\n';
    out = put(out, claim->signed_headers);
    *out++ = '\n';
    out = put(out, claim->payload);
    return slice_of(text, (size_t)(out - text));
}

static struct slice string_to_sign(const struct claim *claim, struct arena *arena, struct slice canonical)
{
    struct slice scope = claim->credential.scope;
    uint8_t     *text = arena_alloc(arena, 17 + S3_TIMESTAMP + 1 + scope.size + 1 + SHA256_HEX), *out;
    uint8_t      digest[SHA256_BYTES];

    if (!text)
        return SLICE_NONE;
    hash_sha256(canonical, digest);
    out = put(text, SLICE("AWS4-HMAC-SHA256\n"));
    out = put(out, claim->timestamp);
    *out++ = '\n';
    out = put(out, scope);
    *out++ = '\n';
    hex_of(digest, sizeof digest, (char *)out);
    return slice_of(text, (size_t)(out - text) + SHA256_HEX);
}

static int verify(const struct s3_auth_options *options, const struct claim *claim, struct http_request *rq,
                  struct s3_auth *auth, struct error *err)
{
    uint8_t      given[SHA256_BYTES];
    struct slice canonical, to_sign;
    int          rc = check_signed_headers(claim, rq, err);

    if (rc == 0)
        rc = s3_payload_parse(claim->payload, auth, err);
    if (rc == 0)
        rc = sigv4_key(options, &claim->credential, auth, err);
    if (rc)
        return rc;
    canonical = canonical_request(claim, rq);
    to_sign = canonical.data ? string_to_sign(claim, &rq->arena, canonical) : SLICE_NONE;
    if (!to_sign.data)
        return error_set(err, -ENOMEM, "out of memory");
    hmac_sha256(slice_of(auth->signing_key, SHA256_BYTES), to_sign, auth->signature);
    auth->timestamp = claim->timestamp;
    if (hex_parse(claim->signature, given, sizeof given) && equal_secret(given, auth->signature, sizeof given))
        return 0;
    auth->string_to_sign = to_sign;
    auth->canonical_request = canonical;
    auth->given = claim->signature;
    auth->who = NULL;
    return s3_fail(err, S3_SIGNATURE_DOES_NOT_MATCH);
}

/* --- The Authorization header. --- */

static struct slice trim(struct slice text)
{
    while (text.size && blank(text.data[0]))
        text = slice_from(text, 1);
    while (text.size && blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

static bool take(struct slice field, struct slice name, struct slice *value)
{
    if (!slice_starts(field, name) || value->data)
        return false;
    *value = trim(slice_from(field, name.size));
    return value->size > 0;
}

static int parse_header(struct slice text, struct claim *claim, struct error *err)
{
    struct slice credential = SLICE_NONE;

    text = trim(slice_from(text, strlen("AWS4-HMAC-SHA256")));
    while (text.size) {
        const uint8_t *comma = memchr(text.data, ',', text.size);
        struct slice   field = slice_of(text.data, comma ? (size_t)(comma - text.data) : text.size);

        text = slice_from(text, field.size + (comma != NULL));
        field = trim(field);
        if (!take(field, SLICE("Credential="), &credential) &&
            !take(field, SLICE("SignedHeaders="), &claim->signed_headers) &&
            !take(field, SLICE("Signature="), &claim->signature))
            return s3_fail(err, S3_AUTHORIZATION_HEADER_MALFORMED);
    }
    if (!credential.data || !claim->signed_headers.data || !claim->signature.data)
        return error_set(err, S3_AUTHORIZATION_HEADER_MALFORMED,
                         "The Authorization header needs Credential, SignedHeaders and Signature.");
    if (!sigv4_credential_parse(credential, &claim->credential))
        return error_set(err, S3_AUTHORIZATION_HEADER_MALFORMED,
                         "The credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request.");
    return 0;
}

int sigv4_header(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                 struct error *err)
{
    struct claim claim = { .malformed = S3_AUTHORIZATION_HEADER_MALFORMED };
    char        *timestamp = arena_alloc(&rq->arena, S3_TIMESTAMP);
    int          rc = parse_header(http_header(rq, "Authorization"), &claim, err);

    if (rc)
        return rc;
    if (!timestamp)
        return error_set(err, -ENOMEM, "out of memory");
    rc = s3_request_time(options, rq, &auth->signed_s, err);
    if (rc)
        return rc;
    s3_timestamp(auth->signed_s, timestamp);
    claim.timestamp = slice_of(timestamp, S3_TIMESTAMP);
    rc = sigv4_credential_check(options, &claim.credential, claim.timestamp, claim.malformed, err);
    if (rc)
        return rc;
    claim.payload = http_header(rq, "x-amz-content-sha256");
    if (!claim.payload.size)
        return error_set(err, S3_MISSING_SECURITY_HEADER,
                         "Missing required header for this request: x-amz-content-sha256");
    return verify(options, &claim, rq, auth, err);
}

/* --- The query. --- */

static bool number(struct slice text, int64_t *ret)
{
    bool    minus = text.size && text.data[0] == '-';
    int64_t value = 0;

    if (minus)
        text = slice_from(text, 1);
    if (text.size == 0 || text.size > 15)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *ret = minus ? -value : value;
    return true;
}

static int check_expiry(const struct s3_auth_options *options, const struct http_request *rq, int64_t signed_s,
                        struct error *err)
{
    int64_t seconds;

    if (!number(http_query(rq, "X-Amz-Expires"), &seconds))
        return error_set(err, S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR, "X-Amz-Expires should be a number");
    if (seconds < 1 || seconds > S3_EXPIRES_MAX_S)
        return error_set(err, S3_ACCESS_DENIED, "X-Amz-Expires must be from 1 to %d seconds.", S3_EXPIRES_MAX_S);
    if (signed_s > options->now_s + S3_SKEW_MAX_S)
        return error_set(err, S3_ACCESS_DENIED, "Request is not valid yet");
    if (options->now_s > signed_s + seconds)
        return error_set(err, S3_ACCESS_DENIED, "Request has expired");
    return 0;
}

int sigv4_query(const struct s3_auth_options *options, struct http_request *rq, struct s3_auth *auth,
                struct error *err)
{
    struct claim claim = { .malformed = S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR, .query = true };
    struct slice algorithm = http_query(rq, "X-Amz-Algorithm"), credential = http_query(rq, "X-Amz-Credential");
    struct slice sha256 = http_query(rq, "X-Amz-Content-Sha256");
    int          rc;

    claim.timestamp = http_query(rq, "X-Amz-Date");
    claim.signed_headers = http_query(rq, "X-Amz-SignedHeaders");
    claim.signature = http_query(rq, "X-Amz-Signature");
    if (!algorithm.size || !credential.size || !claim.timestamp.size || !claim.signed_headers.size ||
        !claim.signature.size || !http_query(rq, "X-Amz-Expires").size)
        return error_set(err, claim.malformed,
                         "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                         "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.");
    if (!slice_equal(algorithm, SLICE("AWS4-HMAC-SHA256")))
        return error_set(err, claim.malformed, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    if (!sigv4_credential_parse(credential, &claim.credential))
        return error_set(err, claim.malformed, "X-Amz-Credential must be KEY/YYYYMMDD/REGION/SERVICE/aws4_request.");
    if (claim.timestamp.size != S3_TIMESTAMP || !s3_time_parse(claim.timestamp, &auth->signed_s))
        return error_set(err, claim.malformed, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
    rc = sigv4_credential_check(options, &claim.credential, claim.timestamp, claim.malformed, err);
    if (rc == 0)
        rc = check_expiry(options, rq, auth->signed_s, err);
    if (rc)
        return rc;
    /* A header is part of what was signed only when it is listed. */
    if (!sha256.size && is_signed(claim.signed_headers, SLICE("x-amz-content-sha256")))
        sha256 = http_header(rq, "x-amz-content-sha256");
    claim.payload = sha256.size ? sha256 : SLICE("UNSIGNED-PAYLOAD");
    rc = verify(options, &claim, rq, auth, err);
    /* One that is not signed still says how the body is framed. */
    if (rc == 0 && !sha256.size)
        rc = s3_payload_parse(http_header(rq, "x-amz-content-sha256"), auth, err);
    return rc;
}
