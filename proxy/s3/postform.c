/* proxy/s3/postform.c - see postform.h: the multipart/form-data reader and the signature of its policy. */
#include "proxy/s3/postform.h"

#include <strings.h>

#include "proxy/object/checksum.h"

WAITS static int read_http(void *ctx, void *data, size_t capacity, size_t *ret_size)
{
    return http_body_read(ctx, data, capacity, ret_size);
}

static bool same_name(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.size) == 0);
}

static int malformed(struct error *err)
{
    return s3_fail(err, S3_MALFORMED_POST_REQUEST);
}

/* --- Parameters of header values: name=token or name="quoted". --- */

static struct slice trim(struct slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_from(text, 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* Where the value that starts 'text' ends. A backslash before a quote escapes it; any other one is a path's. */
static bool value_end(struct slice text, size_t *ret_end)
{
    size_t i = 0;

    if (text.size == 0 || text.data[0] != '"') {
        while (i < text.size && text.data[i] != ';')
            i++;
        *ret_end = i;
        return true;
    }
    for (i = 1; i < text.size; i++) {
        if (text.data[i] == '\\' && i + 1 < text.size && text.data[i + 1] == '"' && i + 2 < text.size)
            i++;
        else if (text.data[i] == '"') {
            *ret_end = i + 1;
            return true;
        }
    }
    return false;
}

static struct slice unquote(struct slice text, struct arena *arena)
{
    uint8_t *out;
    size_t   n = 0;

    text = trim(text);
    if (text.size < 2 || text.data[0] != '"')
        return text;
    text = slice_of(text.data + 1, text.size - 2);
    out = arena_alloc(arena, text.size + 1);
    if (!out)
        return SLICE_NONE;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\\' && i + 1 < text.size && text.data[i + 1] == '"')
            i++;
        out[n++] = text.data[i];
    }
    return slice_of(out, n);
}

/* 'value' is behind the first ';'. 0: found, data never NULL; -ENOENT; -E_SYNTAX; -ENOMEM. */
static int parameter(struct slice value, struct slice name, struct arena *arena, struct slice *ret)
{
    while (value.size) {
        const uint8_t *equals = memchr(value.data, '=', value.size);
        struct slice   found, rest;
        size_t         end;

        if (!equals)
            return trim(value).size ? -E_SYNTAX : -ENOENT;
        found = trim(slice_of(value.data, (size_t)(equals - value.data)));
        rest = slice_from(value, (size_t)(equals - value.data) + 1);
        while (rest.size && rest.data[0] == ' ')
            rest = slice_from(rest, 1);
        if (!value_end(rest, &end))
            return -E_SYNTAX;
        if (same_name(found, name)) {
            *ret = unquote(slice_of(rest.data, end), arena);
            return ret->data ? 0 : -ENOMEM;
        }
        rest = trim(slice_from(rest, end));
        if (rest.size && rest.data[0] != ';')
            return -E_SYNTAX;
        value = rest.size ? slice_from(rest, 1) : rest;
    }
    return -ENOENT;
}

/* --- Opening. --- */

int s3_form_open(struct s3_form *form, struct http_request *rq, struct error *err)
{
    struct slice   type = trim(http_header(rq, "Content-Type")), boundary;
    const uint8_t *semicolon = type.size ? memchr(type.data, ';', type.size) : NULL;
    uint8_t       *delimiter;
    int            rc;

    memset(form, 0, sizeof *form);
    if (!semicolon || !same_name(trim(slice_of(type.data, (size_t)(semicolon - type.data))),
                                 SLICE("multipart/form-data")))
        return s3_fail(err, S3_REQUEST_IS_NOT_MULTIPART);
    rc = parameter(slice_from(type, (size_t)(semicolon - type.data) + 1), SLICE("boundary"), &rq->arena, &boundary);
    if (rc == -ENOMEM)
        return error_set(err, rc, "out of memory");
    if (rc || boundary.size == 0 || boundary.size > S3_FORM_BOUNDARY_MAX)
        return error_set(err, S3_MALFORMED_POST_REQUEST, "The form's boundary must have 1 to %d bytes.",
                         S3_FORM_BOUNDARY_MAX);
    form->source = (struct s3_source) { read_http, rq, rq->env };
    form->arena = &rq->arena;
    form->size_max = UINT64_MAX;
    form->stage = arena_alloc(form->arena, S3_FORM_STAGE_BYTES);
    form->fields = arena_array(form->arena, struct http_header, S3_FORM_FIELDS_MAX);
    delimiter = arena_alloc(form->arena, boundary.size + 4);
    if (!form->stage || !form->fields || !delimiter)
        return error_set(err, -ENOMEM, "out of memory");
    memcpy(delimiter, "\r\n--", 4);
    memcpy(delimiter + 4, boundary.data, boundary.size);
    form->delimiter = slice_of(delimiter, boundary.size + 4);
    return 0;
}

/* --- Fields. --- */

/* More bytes behind those that are staged. */
WAITS static int fill(struct s3_form *form, struct error *err)
{
    size_t n = 0;
    int    rc;

    if (form->at > 0 && form->end == S3_FORM_STAGE_BYTES) {
        memmove(form->stage, form->stage + form->at, form->end - form->at);
        form->end -= form->at;
        form->at = 0;
    }
    rc = form->source_ended ? 0 : form->source.read(form->source.ctx, form->stage + form->end,
                                                    S3_FORM_STAGE_BYTES - form->end, &n);
    if (rc == -ETIMEDOUT)
        return s3_fail(err, S3_REQUEST_TIMEOUT);
    if (rc == -E_SYNTAX)
        return malformed(err);
    if (rc && rc != -E_CLOSED)
        return error_set(err, rc, "the body could not be read");
    if (rc || n == 0) {
        form->source_ended = true;
        return s3_fail(err, S3_INCOMPLETE_BODY);
    }
    form->end += n;
    return 0;
}

static struct slice staged(const struct s3_form *form)
{
    return slice_of(form->stage + form->at, form->end - form->at);
}

static bool find(struct slice text, struct slice what, size_t *ret_at)
{
    const uint8_t *found = text.data ? memmem(text.data, text.size, what.data, what.size) : NULL;

    if (found)
        *ret_at = (size_t)(found - text.data);
    return found != NULL;
}

/* A path of the client's machine is not part of the name. */
static struct slice base_name(struct slice name)
{
    for (size_t i = name.size; i > 0; i--)
        if (name.data[i - 1] == '/' || name.data[i - 1] == '\\')
            return slice_from(name, i);
    return name;
}

struct part {
    struct slice name, file_name, type;
};

/* RFC 5987: charset'language'percent-encoded. */
static int extended_name(struct slice text, struct arena *arena, struct slice *ret)
{
    for (int quotes = 0; quotes < 2; quotes++) {
        const uint8_t *quote = text.size ? memchr(text.data, '\'', text.size) : NULL;
        if (!quote)
            return -E_SYNTAX;
        text = slice_from(text, (size_t)(quote - text.data) + 1);
    }
    return http_unquote(arena, text, false, ret);
}

static int parse_disposition(struct slice value, struct arena *arena, struct part *part)
{
    const uint8_t *semicolon = memchr(value.data, ';', value.size);
    struct slice   extended;
    int            rc;

    if (!semicolon || !same_name(trim(slice_of(value.data, (size_t)(semicolon - value.data))), SLICE("form-data")))
        return -E_SYNTAX;
    value = slice_from(value, (size_t)(semicolon - value.data) + 1);
    rc = parameter(value, SLICE("name"), arena, &part->name);
    if (rc)
        return rc == -ENOENT ? -E_SYNTAX : rc;
    rc = parameter(value, SLICE("filename*"), arena, &extended);
    if (rc == 0)
        return extended_name(extended, arena, &part->file_name);
    if (rc == -ENOENT)
        rc = parameter(value, SLICE("filename"), arena, &part->file_name);
    return rc == -ENOENT ? 0 : rc;
}

/* 'head': header lines, each with its CRLF; it stays where it is. */
static int parse_head(struct slice head, struct arena *arena, struct part *part)
{
    *part = (struct part) { SLICE_NONE, SLICE(""), SLICE("") };
    while (head.size) {
        size_t       end = head.size, colon;
        struct slice line, value;

        find(head, SLICE("\r\n"), &end);
        line = slice_of(head.data, end);
        head = slice_from(head, end + 2 <= head.size ? end + 2 : head.size);
        if (!find(line, SLICE(":"), &colon))
            return -E_SYNTAX;
        value = trim(slice_from(line, colon + 1));
        line = slice_of(line.data, colon);
        if (same_name(line, SLICE("Content-Disposition"))) {
            int rc = value.size ? parse_disposition(value, arena, part) : -E_SYNTAX;
            if (rc)
                return rc;
        } else if (same_name(line, SLICE("Content-Type"))) {
            part->type = value;
        }
    }
    return part->name.data ? 0 : -E_SYNTAX;
}

/* A whole field, or the head of the file's part; -EAGAIN: more bytes are needed. Moves on past what it took. */
static int parse_part(struct s3_form *form, bool *ret_file, struct error *err)
{
    struct slice text = staged(form), name, value;
    struct part  part;
    size_t       head = form->delimiter.size - 2, head_end, end;   /* The CRLF of the delimiter belongs before it. */
    int          rc;

    if (text.size < head + 2)
        return -EAGAIN;
    if (memcmp(text.data, form->delimiter.data + 2, head) != 0)
        return malformed(err);
    if (memcmp(text.data + head, "--", 2) == 0)
        return error_set(err, S3_INCORRECT_NUMBER_OF_FILES, "The form has no field \"file\".");
    if (memcmp(text.data + head, "\r\n", 2) != 0)
        return malformed(err);
    if (!find(slice_from(text, head), SLICE("\r\n\r\n"), &head_end))
        return -EAGAIN;
    rc = parse_head(slice_of(text.data + head + 2, head_end > 2 ? head_end - 2 : 0), form->arena, &part);
    if (rc)
        return rc == -ENOMEM ? error_set(err, rc, "out of memory") : malformed(err);
    text = slice_from(text, head + head_end + 4);
    name = arena_dup(form->arena, part.name);
    if (same_name(part.name, SLICE("file"))) {
        form->file_name = arena_dup(form->arena, base_name(part.file_name));
        form->file_type = arena_dup(form->arena, part.type);
        form->at += head + head_end + 4;
        *ret_file = true;
        return form->file_name.data && form->file_type.data ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    if (!find(text, form->delimiter, &end))
        return -EAGAIN;
    value = arena_dup(form->arena, slice_of(text.data, end));
    if (!name.data || !value.data)
        return error_set(err, -ENOMEM, "out of memory");
    if (form->field_count == S3_FORM_FIELDS_MAX)
        return s3_fail(err, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED);
    /* The policy is asked about one value, and another must not count. */
    for (uint32_t i = 0; i < form->field_count && name.size > 6 && strncasecmp((const char *)name.data, "x-amz-", 6) == 0; i++)
        if (form->fields[i].name.size == name.size &&
            strncasecmp((const char *)form->fields[i].name.data, (const char *)name.data, name.size) == 0)
            return error_set(err, S3_INVALID_ARGUMENT, "A field is given twice.");
    form->fields[form->field_count++] = (struct http_header) { name, value };
    form->at += head + head_end + 4 + end + 2;
    return 0;
}

static int make_key(struct s3_form *form, struct error *err)
{
    static const char name[] = "${filename}";
    struct slice      key = s3_form_field(form, "key"), word = slice_of(name, sizeof name - 1);
    uint8_t          *out;
    size_t            count = 0, at, n = 0;

    if (!key.size)
        return s3_fail(err, S3_USER_KEY_MUST_BE_SPECIFIED);
    for (struct slice rest = key; find(rest, word, &at); count++)
        rest = slice_from(rest, at + word.size);
    if (form->file_name.size && count > S3_FORM_BYTES_MAX / form->file_name.size)
        return s3_fail(err, S3_KEY_TOO_LONG);
    out = arena_alloc(form->arena, key.size + count * form->file_name.size + 1);
    if (!out)
        return error_set(err, -ENOMEM, "out of memory");
    while (find(key, word, &at)) {
        memcpy(out + n, key.data, at);
        n += at;
        memcpy(out + n, form->file_name.data, form->file_name.size);
        n += form->file_name.size;
        key = slice_from(key, at + word.size);
    }
    memcpy(out + n, key.data, key.size);
    form->key = slice_of(out, n + key.size);
    return 0;
}

int s3_form_fields(struct s3_form *form, struct error *err)
{
    bool file = false;

    while (!file) {
        int rc = parse_part(form, &file, err);

        if (form->at > S3_FORM_BYTES_MAX || (rc == -EAGAIN && form->end > S3_FORM_BYTES_MAX))
            return s3_fail(err, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED);
        if (rc == -EAGAIN)
            rc = fill(form, err);
        if (rc)
            return rc;
    }
    return make_key(form, err);
}

struct slice s3_form_field(const struct s3_form *form, const char *name)
{
    for (uint32_t i = 0; i < form->field_count; i++)
        if (same_name(form->fields[i].name, slice_str(name)))
            return form->fields[i].value;
    return SLICE_NONE;
}

/* --- Signatures. --- */

static int missing(const char *name, struct error *err)
{
    return error_set(err, S3_INVALID_ARGUMENT,
                     "Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the "
                     "fields.", name);
}

static int verify_v4(const struct s3_form *form, const struct s3_auth_options *options, struct slice policy,
                     struct s3_auth *auth, struct error *err)
{
    struct slice algorithm = s3_form_field(form, "x-amz-algorithm"), date = s3_form_field(form, "x-amz-date");
    struct slice credential = s3_form_field(form, "x-amz-credential");
    struct slice signature = s3_form_field(form, "x-amz-signature");
    struct sigv4_credential c;
    uint8_t      given[SHA256_BYTES];
    int          rc;

    if (!algorithm.size || !date.size || !credential.size || !signature.size)
        return missing(!algorithm.size ? "X-Amz-Algorithm" : !date.size ? "X-Amz-Date"
                                         : !credential.size             ? "X-Amz-Credential"
                                                                        : "X-Amz-Signature", err);
    if (!slice_equal(algorithm, SLICE("AWS4-HMAC-SHA256")))
        return error_set(err, S3_INVALID_ARGUMENT, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    if (!sigv4_credential_parse(credential, &c) || date.size != S3_TIMESTAMP || !s3_time_parse(date, &auth->signed_s))
        return error_set(err, S3_INVALID_ARGUMENT, "X-Amz-Credential or X-Amz-Date is malformed.");
    auth->kind = S3_AUTH_V4_POST;
    rc = sigv4_credential_check(options, &c, date, S3_INVALID_ARGUMENT, err);
    if (rc == 0)
        rc = sigv4_key(options, &c, auth, err);
    if (rc)
        return rc;
    hmac_sha256(slice_of(auth->signing_key, SHA256_BYTES), policy, auth->signature);
    if (hex_parse(signature, given, sizeof given) && equal_secret(given, auth->signature, sizeof given))
        return 0;
    auth->given = signature;
    return s3_fail(err, S3_SIGNATURE_DOES_NOT_MATCH);
}

static int verify_v2(const struct s3_form *form, const struct s3_auth_options *options, struct slice policy,
                     struct s3_auth *auth, struct error *err)
{
    struct slice signature = s3_form_field(form, "signature"), secret;
    uint8_t      given[SHA1_BYTES], digest[SHA1_BYTES];
    size_t       size;

    auth->access_key = s3_form_field(form, "AWSAccessKeyId");
    if (!auth->access_key.size || !signature.size)
        return missing(auth->access_key.size ? "Signature" : "AWSAccessKeyId", err);
    auth->kind = S3_AUTH_V2_POST;
    if (auth->access_key.size > S3_ACCESS_KEY_MAX ||
        options->keys.secret(options->keys.ctx, auth->access_key, &auth->who, &secret))
        return s3_fail(err, S3_INVALID_ACCESS_KEY_ID);
    hmac_sha1(secret, policy, digest);
    if (base64_decode(given, sizeof given, signature, &size) == 0 && size == SHA1_BYTES &&
        equal_secret(given, digest, sizeof given))
        return 0;
    auth->given = signature;
    return s3_fail(err, S3_SIGNATURE_DOES_NOT_MATCH);
}

int s3_form_authenticate(struct s3_form *form, const struct s3_auth_options *options, struct s3_auth *auth,
                         struct error *err)
{
    struct slice policy = s3_form_field(form, "policy");
    bool         v4 = s3_form_field(form, "x-amz-algorithm").data || s3_form_field(form, "x-amz-signature").data;
    bool         v2 = s3_form_field(form, "AWSAccessKeyId").data || s3_form_field(form, "signature").data;
    uint8_t     *json;
    size_t       size;
    int          rc;

    memset(auth, 0, sizeof *auth);
    if (!policy.size)
        return v2 || v4 ? missing("policy", err) : 0;
    if (s3_form_field(form, "x-amz-security-token").size)
        return error_set(err, S3_INVALID_TOKEN, "Session tokens are not issued here.");
    rc = v4 ? verify_v4(form, options, policy, auth, err) : verify_v2(form, options, policy, auth, err);
    if (rc == 0) {
        json = arena_alloc(form->arena, policy.size);
        if (!json)
            rc = error_set(err, -ENOMEM, "out of memory");
        else if (base64_decode(json, policy.size, policy, &size))
            rc = error_set(err, S3_INVALID_POLICY_DOCUMENT, "Invalid Policy: the field is not base64.");
        else
            rc = s3_form_policy(form, slice_of(json, size), options->bucket, options->now_s, err);
    }
    if (rc)
        auth->who = NULL;
    return rc;
}

/* --- The file. --- */

/* Sets 'safe', or 'ended'. */
static void find_end(struct s3_form *form)
{
    struct slice text = staged(form);
    size_t       at;

    if (find(text, form->delimiter, &at)) {
        form->safe = at;
        form->ended = at == 0;
    } else if (text.size >= form->delimiter.size) {
        form->safe = text.size - form->delimiter.size + 1;   /* The rest may be a delimiter's beginning. */
    }
}

WAITS static int read_file(struct s3_form *form, void *data, size_t capacity, size_t *ret_size, struct error *err)
{
    size_t n;

    *ret_size = 0;
    while (form->safe == 0 && !form->ended) {
        find_end(form);
        if (form->safe == 0 && !form->ended) {
            int rc = fill(form, err);
            if (rc)
                return rc;
        }
    }
    if (form->ended)
        return form->size < form->size_min ? s3_fail(err, S3_ENTITY_TOO_SMALL) : 0;
    n = form->safe < capacity ? form->safe : capacity;
    memcpy(data, form->stage + form->at, n);
    form->at += n;
    form->safe -= n;
    form->size += n;
    if (form->at == form->end)
        form->at = form->end = 0;
    *ret_size = n;
    return form->size > form->size_max ? s3_fail(err, S3_ENTITY_TOO_LARGE) : 0;
}

int s3_form_read(struct s3_form *form, void *data, size_t capacity, size_t *ret_size, struct error *err)
{
    size_t n = 0;
    int    rc = form->rc;

    if (rc)
        return error_set(err, rc, "the form has failed before");
    rc = read_file(form, data, capacity, &n, err);
    form->rc = rc;
    if (rc == 0)
        *ret_size = n;
    return rc;
}
