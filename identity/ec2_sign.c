/* identity/ec2_sign.c - the signatures that POST /v3/ec2tokens and /v3/s3tokens check.
 *
 * A service that got a signed request sends what was signed, as JSON; the
 * signature is made again here. AWS Signature Version 2 (HMAC-SHA256 over verb,
 * host, path and sorted query) and Version 4, in the variants that Keystone's
 * clients send: the path goes in as given, a POST of version 4 signs no query,
 * and headers count by their own names, whatever their case. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "identity/private.h"

enum { PARAMS_MAX = 128, SIGNED_HEADERS_MAX = 128, SHA256_BYTES = 32 };

static struct slice text_of(const json_t *object, const char *name)
{
    bool bad = false;
    return json_text(object, name, &bad);
}

/* A member whose name differs at most in case: header names. */
static struct slice header_of(const json_t *headers, struct slice name)
{
    const char *key;
    json_t     *value;

    json_object_foreach ((json_t *)(uintptr_t)headers, key, value) {
        if (strlen(key) == name.size && strncasecmp(key, (const char *)name.data, name.size) == 0 &&
            json_is_string(value))
            return slice_of(json_string_value(value), json_string_length(value));
    }
    return SLICE_NONE;
}

static struct slice trim(struct slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_from(text, 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static void hex_text(const uint8_t digest[SHA256_BYTES], char ret[SIGNATURE_MAX])
{
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

static int sign(const EVP_MD *md, const uint8_t *key, size_t key_size, struct slice text, uint8_t *out, unsigned *ret_size)
{
    return HMAC(md, key, (int)key_size, text.size ? text.data : (const void *)"", text.size, out, ret_size) ? 0 : -ENOMEM;
}

static void base64_text(const uint8_t *digest, unsigned size, char ret[SIGNATURE_MAX])
{
    EVP_EncodeBlock((unsigned char *)ret, digest, (int)size);   /* 44 characters of 32 bytes. */
}

/* --- Version 2. --- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* name=value&..., sorted by name, all but unreserved characters quoted. 'method': SignatureMethod as it counts. */
static int canonical_query(struct arena *arena, const json_t *params, const char *method, struct slice *ret)
{
    const char *names[PARAMS_MAX], *key;
    size_t      count = 0;
    json_t     *value;
    char       *text = arena_str(arena, SLICE(""));

    if (method)
        names[count++] = "SignatureMethod";
    json_object_foreach ((json_t *)(uintptr_t)params, key, value) {
        if (method && strcmp(key, "SignatureMethod") == 0)
            continue;
        if (!json_is_string(value) || count == PARAMS_MAX)
            return -E_SYNTAX;
        names[count++] = key;
    }
    qsort(names, count, sizeof names[0], by_name);
    for (size_t i = 0; i < count && text; i++) {
        bool         fixed = method && strcmp(names[i], "SignatureMethod") == 0;
        struct slice name = http_quote(arena, slice_str(names[i]), "");
        struct slice quoted = http_quote(arena, fixed ? slice_str(method) : text_of(params, names[i]), "");
        text = arena_printf(arena, "%s%s%.*s=%.*s", text, i ? "&" : "", SLICE_ARG(name), SLICE_ARG(quoted));
    }
    *ret = slice_str(text);
    return text ? 0 : -ENOMEM;
}

static int signature_2(struct arena *arena, const json_t *credentials, struct slice host, struct slice secret,
                       char ret[SIGNATURE_MAX])
{
    struct slice verb = text_of(credentials, "verb"), path = text_of(credentials, "path"), query;
    uint8_t      digest[EVP_MAX_MD_SIZE];
    unsigned     size = 0;

    if (verb.data == NULL || path.data == NULL)
        return -E_SYNTAX;
    int rc = canonical_query(arena, json_object_get(credentials, "params"), "HmacSHA256", &query);
    if (rc)
        return rc;
    const char *text = arena_printf(arena, "%.*s\n%.*s\n%.*s\n%.*s", SLICE_ARG(verb), SLICE_ARG(host), SLICE_ARG(path),
                                    SLICE_ARG(query));
    rc = text ? sign(EVP_sha256(), secret.data, secret.size, slice_str(text), digest, &size) : -ENOMEM;
    if (rc == 0)
        base64_text(digest, size, ret);
    return rc;
}

/* --- Version 4. --- */

/* "name=" up to a comma in the Authorization header, or X-Amz-name of the parameters. */
static struct slice auth_part(const json_t *credentials, const char *name)
{
    struct slice authorization = header_of(json_object_get(credentials, "headers"), SLICE("Authorization"));
    char         wanted[64];

    if (authorization.data == NULL) {
        snprintf(wanted, sizeof wanted, "X-Amz-%s", name);
        return text_of(json_object_get(credentials, "params"), wanted);
    }
    snprintf(wanted, sizeof wanted, "%s=", name);
    const uint8_t *at = memmem(authorization.data, authorization.size, wanted, strlen(wanted));
    if (at == NULL)
        return SLICE_NONE;
    at += strlen(wanted);
    size_t         left = (size_t)(authorization.data + authorization.size - at);
    const uint8_t *comma = memchr(at, ',', left);
    return trim(slice_of(at, comma ? (size_t)(comma - at) : left));
}

static bool is_version_4(const json_t *credentials)
{
    struct slice authorization = header_of(json_object_get(credentials, "headers"), SLICE("Authorization"));

    if (authorization.data)
        return slice_starts(authorization, SLICE("AWS4-HMAC-SHA256"));
    return slice_equal(text_of(json_object_get(credentials, "params"), "X-Amz-Algorithm"), SLICE("AWS4-HMAC-SHA256"));
}

/* The next piece up to 'separator'; false at the end. */
static bool next_piece(struct slice *rest, char separator, struct slice *ret)
{
    if (rest->data == NULL)
        return false;
    const uint8_t *end = memchr(rest->data, separator, rest->size);
    size_t         size = end ? (size_t)(end - rest->data) : rest->size;
    *ret = slice_of(rest->data, size);
    *rest = end ? slice_from(*rest, size + 1) : SLICE_NONE;
    return true;
}

/* "name:value\n" of the signed headers that are there; NULL without memory. */
static const char *canonical_headers(struct arena *arena, const json_t *headers, struct slice signed_names)
{
    const char  *text = "";
    struct slice name;

    for (int i = 0; i < SIGNED_HEADERS_MAX && text && next_piece(&signed_names, ';', &name); i++) {
        struct slice value = header_of(headers, name);
        if (value.data) {
            value = trim(value);
            text = arena_printf(arena, "%s%.*s:%.*s\n", text, SLICE_ARG(name), SLICE_ARG(value));
        }
    }
    return text;
}

struct scope {
    struct slice date, region, service, end;
};

/* DATE/REGION/SERVICE/aws4_request */
static bool parse_scope(struct slice text, struct scope *ret)
{
    return next_piece(&text, '/', &ret->date) && next_piece(&text, '/', &ret->region) &&
           next_piece(&text, '/', &ret->service) && next_piece(&text, '/', &ret->end) && text.data == NULL &&
           ret->date.size && slice_equal(ret->end, SLICE("aws4_request"));
}

static int sign_4(struct slice string_to_sign, const struct scope *scope, struct slice secret, char ret[SIGNATURE_MAX])
{
    uint8_t  key[IDENTITY_SIGNING_KEY_BYTES], digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    int rc = access_key_derive(secret, scope->date, scope->region, scope->service, key);
    if (rc == 0)
        rc = sign(EVP_sha256(), key, sizeof key, string_to_sign, digest, &size);
    if (rc == 0)
        hex_text(digest, ret);
    explicit_bzero(key, sizeof key);
    return rc;
}

static int signature_4(struct arena *arena, const json_t *credentials, struct slice secret, char ret[SIGNATURE_MAX])
{
    const json_t *headers = json_object_get(credentials, "headers"), *params = json_object_get(credentials, "params");
    struct slice  verb = text_of(credentials, "verb"), path = text_of(credentials, "path"), query = SLICE("");
    struct slice  body_hash = text_of(credentials, "body_hash"), signed_names = auth_part(credentials, "SignedHeaders");
    struct slice  credential = auth_part(credentials, "Credential"), access, date;
    struct scope  scope;
    char          hash[SHA256_TEXT];

    date = header_of(headers, SLICE("X-Amz-Date"));
    if (date.data == NULL)
        date = text_of(params, "X-Amz-Date");
    if (verb.data == NULL || path.data == NULL || body_hash.data == NULL || signed_names.data == NULL ||
        date.data == NULL || !next_piece(&credential, '/', &access) || credential.data == NULL ||
        !parse_scope(credential, &scope))
        return -E_SYNTAX;
    if (!slice_starts(date, scope.date))
        return -E_UNAUTHORIZED;
    if (verb.size != 4 || strncasecmp((const char *)verb.data, "POST", 4) != 0) {
        int rc = canonical_query(arena, params, NULL, &query);
        if (rc)
            return rc;
    }
    char *upper = arena_str(arena, verb);
    for (size_t i = 0; upper && upper[i]; i++)
        upper[i] = (char)(upper[i] >= 'a' && upper[i] <= 'z' ? upper[i] - 'a' + 'A' : upper[i]);
    const char *names = canonical_headers(arena, headers, signed_names);
    const char *request = upper && names ? arena_printf(arena, "%s\n%.*s\n%.*s\n%s\n%.*s\n%.*s", upper, SLICE_ARG(path),
                                                        SLICE_ARG(query), names[0] ? names : "\n",
                                                        SLICE_ARG(signed_names), SLICE_ARG(body_hash)) : NULL;
    if (request == NULL)
        return -ENOMEM;
    sha256_text(slice_str(request), hash);
    const char *text = arena_printf(arena, "AWS4-HMAC-SHA256\n%.*s\n%.*s\n%s", SLICE_ARG(date), SLICE_ARG(credential),
                                    hash);
    return text ? sign_4(slice_str(text), &scope, secret, ret) : -ENOMEM;
}

int ec2_signature(struct arena *arena, const json_t *credentials, struct slice host, struct slice secret,
                  char ret[SIGNATURE_MAX])
{
    struct slice version = text_of(json_object_get(credentials, "params"), "SignatureVersion");

    if (slice_equal(version, SLICE("2")))
        return signature_2(arena, credentials, host, secret, ret);
    if (version.data == NULL && is_version_4(credentials))
        return signature_4(arena, credentials, secret, ret);
    return -E_SYNTAX;
}

int s3_signature(struct slice text, struct slice secret, char ret[SIGNATURE_MAX])
{
    struct slice rest = text, algorithm, date, scope_text, hash;
    struct scope scope;
    uint8_t      digest[EVP_MAX_MD_SIZE];
    unsigned     size = 0;

    if (!slice_starts(text, SLICE("AWS4"))) {
        int rc = sign(EVP_sha1(), secret.data, secret.size, text, digest, &size);
        if (rc == 0)
            base64_text(digest, size, ret);
        return rc;
    }
    if (!next_piece(&rest, '\n', &algorithm) || !next_piece(&rest, '\n', &date) ||
        !next_piece(&rest, '\n', &scope_text) || !next_piece(&rest, '\n', &hash) || rest.data ||
        !slice_equal(algorithm, SLICE("AWS4-HMAC-SHA256")) || !parse_scope(scope_text, &scope) ||
        (!slice_equal(scope.service, SLICE("s3")) && !slice_equal(scope.service, SLICE("iam")) &&
         !slice_equal(scope.service, SLICE("sts"))))
        return -E_UNAUTHORIZED;
    return sign_4(text, &scope, secret, ret);
}

/* --- Times and base64. --- */

static bool number(const char *digits, int count, int low, int high, int *ret)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        value = value * 10 + (digits[i] - '0');
    }
    *ret = value;
    return value >= low && value <= high;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, "days_from_civil"). */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool ec2_time(struct slice text, int64_t *ret_s)
{
    char digits[15] = "";
    int  year, month, day, hour, minute, second, n = 0;

    /* Both forms are 14 digits and marks at known places; a fraction of a second does not matter. */
    bool extended = text.size > 4 && text.data[4] == '-';
    const char *shape = extended ? "dddd-dd-ddTdd:dd:dd" : "ddddddddTdddddd";
    size_t      size = strlen(shape);
    if (text.size < size)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (shape[i] == 'd')
            digits[n++] = (char)text.data[i];
        else if (text.data[i] != (uint8_t)shape[i] && !(shape[i] == 'T' && text.data[i] == ' '))
            return false;
    }
    struct slice rest = slice_from(text, size);
    if (rest.size && rest.data[0] == '.') {
        do
            rest = slice_from(rest, 1);
        while (rest.size && rest.data[0] >= '0' && rest.data[0] <= '9');
    }
    if (rest.size && !slice_equal(rest, SLICE("Z")) && !slice_equal(rest, SLICE("+00:00")))
        return false;
    if (!number(digits, 4, 1970, 9999, &year) || !number(digits + 4, 2, 1, 12, &month) ||
        !number(digits + 6, 2, 1, 31, &day) || !number(digits + 8, 2, 0, 23, &hour) ||
        !number(digits + 10, 2, 0, 59, &minute) || !number(digits + 12, 2, 0, 60, &second))
        return false;
    *ret_s = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

int ec2_unbase64(struct arena *arena, struct slice text, struct slice *ret)
{
    while (text.size && text.data[text.size - 1] == '=')
        text.size--;
    char    *copy = arena_str(arena, text);
    uint8_t *out = arena_alloc(arena, text.size + 1);
    size_t   size;

    if (copy == NULL || out == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < text.size; i++)
        copy[i] = (char)(copy[i] == '+' ? '-' : copy[i] == '/' ? '_' : copy[i]);
    int rc = token_unbase64(out, text.size + 1, slice_of(copy, text.size), &size);
    if (rc == 0)
        *ret = slice_of(out, size);
    return rc;
}
