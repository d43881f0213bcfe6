/* tests/proxy/s3/postform_test.c - POST forms: the reader in any pieces, policies, signatures. */
#include "proxy/s3/postform.h"

#include "proxy/object/checksum.h"
#include "tests/proxy/s3/request.h"

struct pieces {
    struct slice bytes;
    size_t       at, step;
};

static int pieces_read(void *ctx, void *data, size_t capacity, size_t *ret_size)
{
    struct pieces *p = ctx;
    size_t         n = p->bytes.size - p->at;

    n = n < p->step ? n : p->step;
    n = n < capacity ? n : capacity;
    if (n)
        memcpy(data, p->bytes.data + p->at, n);
    p->at += n;
    *ret_size = n;
    return 0;
}

static struct error        last;
static struct s3_auth      auth;
static struct s3_form      form;
static struct http_request rq;
static struct pieces       pieces;
static uint8_t             out[512 * 1024];
static size_t              out_size;

/* The form in 'body' (LF line ends), 'step' bytes at once; rq's arena is to be done. */
static int open_form(const char *type, struct slice body, size_t step)
{
    char head[512];
    int  rc;

    snprintf(head, sizeof head, "POST /bucket HTTP/1.1\nHost: h\nContent-Type: %s\nContent-Length: %zu\n\n", type,
             body.size);
    request_parse(&rq, head);
    rc = s3_form_open(&form, &rq, &last);
    if (rc)
        return rc;
    pieces = (struct pieces) { body, 0, step };
    form.source = (struct s3_source) { pieces_read, &pieces, NULL };
    return s3_form_fields(&form, &last);
}

static int read_file(size_t room)
{
    size_t n = 1;
    int    rc = 0;

    out_size = 0;
    while (rc == 0 && n > 0) {
        rc = s3_form_read(&form, out + out_size, room < sizeof out - out_size ? room : sizeof out - out_size, &n,
                          &last);
        if (rc == 0)
            out_size += n;
    }
    return rc;
}

static struct slice with_crlf(const char *text)
{
    static uint8_t body[64 * 1024];
    size_t         n = 0;

    for (; *text; text++) {
        assert_true(n + 2 < sizeof body);
        if (*text == '\n')
            body[n++] = '\r';
        body[n++] = (uint8_t)*text;
    }
    return slice_of(body, n);
}

#define TYPE "multipart/form-data; boundary=9431149156168"
#define FIELD(name, value) "--9431149156168\nContent-Disposition: form-data; name=\"" name "\"\n\n" value "\n"
#define FILE_HEAD(parameters) "--9431149156168\nContent-Disposition: form-data; name=\"file\"" parameters "\n"
#define LAST "\n--9431149156168--\n"

static void form__fields_and_file_in_any_pieces(void **unused)
{
    static const char text[] =
        FIELD("key", "user/eric/${filename}") FIELD("ACL", "public-read") FIELD("empty", "")
        "--9431149156168\nContent-Disposition: form-data; name=\"Content-Type\"; filename=\"x\"\nX-Other: y\n\nimage/jpeg\n"
        FILE_HEAD("; filename=\"C:\\dir\\My \\\"File\\\".jpg\"")
        "Content-Type: image/png\n\nline one\n--943114915616\n--\n\n--9431149156168\n"
        "Content-Disposition: form-data; name=\"submit\"\n\nUpload" LAST;

    (void)unused;
    for (size_t step = 1; step < 1000; step = step < 20 ? step + 1 : step * 3)
        for (size_t room = 1; room < 100; room += 33) {
            assert_int_equal(open_form(TYPE, with_crlf(text), step), 0);
            assert_true(slice_equal(s3_form_field(&form, "acl"), SLICE("public-read")));
            assert_true(slice_equal(s3_form_field(&form, "content-type"), SLICE("image/jpeg")));
            assert_non_null(s3_form_field(&form, "empty").data);
            assert_int_equal(s3_form_field(&form, "empty").size, 0);
            assert_null(s3_form_field(&form, "submit").data);
            assert_true(slice_equal(form.key, SLICE("user/eric/My \"File\".jpg")));
            assert_true(slice_equal(form.file_type, SLICE("image/png")));
            assert_int_equal(read_file(room), 0);
            assert_true(slice_equal(slice_of(out, out_size), SLICE("line one\r\n--943114915616\r\n--\r\n")));
            arena_done(&rq.arena);
        }
}

static void form__long_files(void **unused)
{
    static const size_t sizes[] = { 0, 1, S3_FORM_STAGE_BYTES - 200, S3_FORM_STAGE_BYTES, 300000 };
    static uint8_t      body[400000];

    (void)unused;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t step = 1000; step < 1000000; step *= 9) {
            struct slice head = with_crlf(FIELD("key", "k") FILE_HEAD("") "\n");
            size_t       n = head.size;

            memcpy(body, head.data, head.size);
            for (size_t j = 0; j < sizes[i]; j++)
                body[n++] = j % 3 == 0 ? '\r' : j % 3 == 1 ? '\n' : '-';
            head = with_crlf(LAST);
            memcpy(body + n, head.data, head.size);
            assert_int_equal(open_form(TYPE, slice_of(body, n + head.size), step), 0);
            assert_int_equal(read_file(70000), 0);
            assert_int_equal(out_size, sizes[i]);
            assert_memory_equal(out, body + n - sizes[i], sizes[i]);
            arena_done(&rq.arena);
            assert_int_equal(open_form(TYPE, slice_of(body, n), step), 0);   /* Without its end. */
            assert_int_equal(read_file(70000), S3_INCOMPLETE_BODY);
            arena_done(&rq.arena);
        }
}

static void form__refusals(void **unused)
{
    static const struct {
        const char *type, *text;
        int         rc;
    } cases[] = {
        { TYPE, FIELD("key", "k") FILE_HEAD("") "\nx" LAST, 0 },
        { "multipart/form-data; charset=x; boundary=\"9431149156168\"", FIELD("key", "k") FILE_HEAD("") "\nx" LAST, 0 },
        { TYPE, FIELD("key", "a") FIELD("Key", "b") FILE_HEAD("; filename*=UTF-8''%C3%A9") "\n" LAST, 0 },
        { TYPE, FIELD("key", "a") FIELD("x-amz-meta-a", "1") FIELD("X-Amz-Meta-A", "2") FILE_HEAD("") "\n" LAST,
          S3_INVALID_ARGUMENT },
        { "multipart/form-data", "", S3_REQUEST_IS_NOT_MULTIPART },
        { "multipart/form-data; charset=x", "", S3_MALFORMED_POST_REQUEST },
        { "multipart/form-data; boundary=", "", S3_MALFORMED_POST_REQUEST },
        { "multipart/form-data; boundary=\"x", "", S3_MALFORMED_POST_REQUEST },
        { "text/plain; boundary=x", "", S3_REQUEST_IS_NOT_MULTIPART },
        { TYPE, "", S3_INCOMPLETE_BODY },
        { TYPE, "--another boundary that is longer\n\n", S3_MALFORMED_POST_REQUEST },
        { TYPE, FIELD("key", "k"), S3_INCOMPLETE_BODY },
        { TYPE, FIELD("key", "k") "--9431149156168--\n", S3_INCORRECT_NUMBER_OF_FILES },
        { TYPE, FILE_HEAD("") "\nx" LAST, S3_USER_KEY_MUST_BE_SPECIFIED },
        { TYPE, FIELD("key", "") FILE_HEAD("") "\nx" LAST, S3_USER_KEY_MUST_BE_SPECIFIED },
        { TYPE, "--9431149156168\nContent-Type: a\n\nx" LAST, S3_MALFORMED_POST_REQUEST },
        { TYPE, "--9431149156168\n\n\nx" LAST, S3_MALFORMED_POST_REQUEST },
        { TYPE, "--9431149156168\n\nx" LAST "\n\n\n\n", S3_MALFORMED_POST_REQUEST },
        { TYPE, "--9431149156168\nContent-Disposition: form-data\n\nx" LAST, S3_MALFORMED_POST_REQUEST },
        { TYPE, "--9431149156168\nContent-Disposition: attachment; name=\"a\"\n\nx" LAST, S3_MALFORMED_POST_REQUEST },
        { TYPE, "--9431149156168\nContent-Disposition: form-data; name=\"a\n\nx" LAST, S3_MALFORMED_POST_REQUEST },
        { TYPE, "--9431149156168\nContent-Disposition: form-data; name=\"a\"b\n\nx" LAST, S3_MALFORMED_POST_REQUEST },
        { TYPE, "--9431149156168\nno colon\n\nx" LAST, S3_MALFORMED_POST_REQUEST },
        { TYPE, "--9431149156168x\n\n", S3_MALFORMED_POST_REQUEST },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 1000; step += 500) {
            int rc = open_form(cases[i].type, with_crlf(cases[i].text), step);
            if (rc != cases[i].rc)
                fail_msg("case %zu: %d %s", i, rc, last.text);
            arena_done(&rq.arena);
        }
}

static void form__limits(void **unused)
{
    static char text[64 * 1024];
    char        type[256] = "multipart/form-data; boundary=";
    size_t      n;

    (void)unused;
    for (int past = 0; past < 2; past++) {   /* Number of fields. */
        n = (size_t)snprintf(text, sizeof text, "%s", FIELD("key", "k"));
        for (int i = 1; i < S3_FORM_FIELDS_MAX + past; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", FIELD("f", "v"));
        snprintf(text + n, sizeof text - n, "%s", FILE_HEAD("") "\nx" LAST);
        assert_int_equal(open_form(TYPE, with_crlf(text), 777), past ? S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED : 0);
        arena_done(&rq.arena);
    }
    for (int past = 0; past < 2; past++) {   /* Bytes before the file. */
        struct slice head = with_crlf(FIELD("key", "k") FIELD("f", "") FILE_HEAD("") "\n");
        size_t       fill = S3_FORM_BYTES_MAX - head.size + (size_t)past;
        n = (size_t)snprintf(text, sizeof text, "%s--9431149156168\nContent-Disposition: form-data; name=\"f\"\n\n",
                             FIELD("key", "k"));
        memset(text + n, 'v', fill);
        snprintf(text + n + fill, sizeof text - n - fill, "\n%s", FILE_HEAD("") "\n" LAST);
        for (size_t step = 100; step < 100000; step *= 20) {
            assert_int_equal(open_form(TYPE, with_crlf(text), step), past ? S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED : 0);
            arena_done(&rq.arena);
        }
    }
    for (int past = 0; past < 2; past++) {   /* The boundary. */
        n = strlen("multipart/form-data; boundary=");
        memset(type + n, 'b', S3_FORM_BOUNDARY_MAX + (size_t)past);
        type[n + S3_FORM_BOUNDARY_MAX + (size_t)past] = 0;
        assert_int_equal(open_form(type, SLICE(""), 1), past ? S3_MALFORMED_POST_REQUEST : S3_INCOMPLETE_BODY);
        arena_done(&rq.arena);
    }
}

/* --- Policies. --- */

static const char plain_fields[] = FIELD("key", "foo.txt") FIELD("acl", "private") FIELD("Content-Type", "text/plain");

/* Judges a document against the form of 'fields', posted to "bucket". */
static int judge(const char *fields, const char *json)
{
    static char text[32 * 1024];
    int         rc;

    snprintf(text, sizeof text, "%s%s", fields, FILE_HEAD("; filename=\"f.txt\"") "\n0123456789" LAST);
    assert_int_equal(open_form(TYPE, with_crlf(text), 1000), 0);
    rc = s3_form_policy(&form, slice_str(json), SLICE("bucket"), EXAMPLE_TIME, &last);
    if (rc == 0)
        rc = read_file(4);
    arena_done(&rq.arena);
    return rc;
}

#define UNTIL "\"expiration\":\"2013-05-24T00:00:00Z\","
#define USUAL "{\"bucket\":\"bucket\"},[\"starts-with\",\"$key\",\"foo\"],{\"acl\":\"private\"}," \
              "[\"starts-with\",\"$Content-Type\",\"text/plain\"]"
#define POLICY(conditions) "{" UNTIL "\"conditions\":[" conditions "]}"

static void policy__conditions(void **unused)
{
    static const struct {
        const char *fields, *json;
        int         rc;
    } cases[] = {
        { plain_fields, POLICY(USUAL), 0 },
        { plain_fields, POLICY("{\"bUcKeT\":\"bucket\"},[\"StArTs-WiTh\",\"$KeY\",\"foo\"],{\"AcL\":\"private\"},"
                               "[\"EQ\",\"$content-type\",\"text/plain\"]"), 0 },
        { plain_fields, POLICY(USUAL ",[\"content-length-range\",0,10]"), 0 },
        { plain_fields, POLICY(USUAL ",[\"content-length-range\",\"10\",\"10\"]"), 0 },
        { plain_fields, POLICY(USUAL ",[\"content-length-range\",0,9]"), S3_ENTITY_TOO_LARGE },
        { plain_fields, POLICY(USUAL ",[\"content-length-range\",11,1000]"), S3_ENTITY_TOO_SMALL },
        { plain_fields, POLICY(USUAL ",[\"content-length-range\",0]"), S3_INVALID_POLICY_DOCUMENT },
        { plain_fields, POLICY(USUAL ",[\"content-length-range\",-1,0]"), S3_INVALID_POLICY_DOCUMENT },
        { plain_fields, POLICY(USUAL ",[\"content-length-range\",2,1]"), S3_INVALID_POLICY_DOCUMENT },
        { plain_fields, POLICY(USUAL ",[\"content-length-range\",\"a\",1]"), S3_INVALID_POLICY_DOCUMENT },
        { FIELD("key", "foo.txt"), POLICY(USUAL), S3_ACCESS_DENIED },   /* A field of a condition is not sent. */
        { FIELD("key", "foo.txt"), POLICY("{\"bucket\":\"bucket\"},[\"starts-with\",\"$key\",\"\"],"
                                          "[\"starts-with\",\"$tagging\",\"\"]"), 0 },
        { FIELD("key", "bar.txt"), POLICY("{\"bucket\":\"bucket\"},[\"starts-with\",\"$key\",\"foo\"]"),
          S3_ACCESS_DENIED },
        { FIELD("key", "x-${filename}"), POLICY("{\"bucket\":\"bucket\"},{\"key\":\"x-f.txt\"}"), 0 },
        { FIELD("key", "k"), POLICY("{\"bucket\":\"other\"},{\"key\":\"k\"}"), S3_ACCESS_DENIED },
        { FIELD("key", "k") FIELD("bucket", "other"), POLICY("{\"bucket\":\"other\"},{\"key\":\"k\"}"),
          S3_ACCESS_DENIED },
        { FIELD("key", "k"), POLICY("{\"key\":\"k\"}"), S3_ACCESS_DENIED },   /* The bucket is not named. */
        { FIELD("key", "k"), POLICY("{\"bucket\":\"bucket\"}"), S3_ACCESS_DENIED },   /* The key is not. */
        { FIELD("key", "k") FIELD("x-amz-meta-foo", "bar"), POLICY("{\"bucket\":\"bucket\"},{\"key\":\"k\"}"),
          S3_ACCESS_DENIED },
        { FIELD("key", "k") FIELD("x-amz-meta-foo", "bar"),
          POLICY("{\"bucket\":\"bucket\"},{\"key\":\"k\"},[\"eq\",\"$x-amz-meta-foo\",\"\"]"), S3_ACCESS_DENIED },
        { FIELD("key", "k") FIELD("x-ignore-foo", "bar") FIELD("policy", "p") FIELD("AWSAccessKeyId", "a")
          FIELD("Signature", "s") FIELD("X-Amz-Signature", "s") FIELD("x-amz-checksum-sha256", "c"),
          POLICY("{\"bucket\":\"bucket\"},{\"key\":\"k\"}"), 0 },
        { FIELD("key", "k"), POLICY("{\"bucket\":\"bucket\"},[\"ends-with\",\"$key\",\"k\"]"),
          S3_INVALID_POLICY_DOCUMENT },
        { FIELD("key", "k"), POLICY("{\"bucket\":\"bucket\"},[\"eq\",\"key\",\"k\"]"), S3_INVALID_POLICY_DOCUMENT },
        { FIELD("key", "k"), POLICY("{\"bucket\":\"bucket\"},[\"eq\",\"$key\",5]"), S3_INVALID_POLICY_DOCUMENT },
        { FIELD("key", "k"), POLICY("{\"bucket\":\"bucket\",\"key\":\"k\"}"), S3_INVALID_POLICY_DOCUMENT },
        { FIELD("key", "k"), POLICY("{}"), S3_INVALID_POLICY_DOCUMENT },
        { FIELD("key", "k"), POLICY("7"), S3_INVALID_POLICY_DOCUMENT },
        { FIELD("key", "k"), POLICY("[]"), S3_INVALID_POLICY_DOCUMENT },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = judge(cases[i].fields, cases[i].json);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d %s", i, rc, last.text);
    }
}

static void policy__documents(void **unused)
{
#define REST "\"conditions\":[{\"bucket\":\"bucket\"},{\"key\":\"k\"}]}"
    static const struct {
        const char *json;
        int         rc;
    } cases[] = {
        { "{" UNTIL REST, 0 },
        { "{\"expiration\":\"2013-05-23T23:59:59Z\"," REST, S3_ACCESS_DENIED },
        { "{\"expiration\":\"2099-12-30T12:00:00.000Z\"," REST, 0 },
        { "{\"EXPIRATION\":\"2099-12-30T12:00:00.000Z\"," REST, S3_INVALID_POLICY_DOCUMENT },
        { "{\"expiration\":\"2026-11-23 01:17:07+00:00\"," REST, S3_INVALID_POLICY_DOCUMENT },
        { "{\"expiration\":\"\"," REST, S3_INVALID_POLICY_DOCUMENT },
        { "{\"expiration\":\"Fri, 24 May 2013 00:00:00 GMT\"," REST, S3_INVALID_POLICY_DOCUMENT },
        { "{" REST, S3_INVALID_POLICY_DOCUMENT },
        { "{\"expiration\":\"2099-12-30T12:00:00Z\"}", S3_INVALID_POLICY_DOCUMENT },
        { "{" UNTIL "\"CONDITIONS\":[]}", S3_INVALID_POLICY_DOCUMENT },
        { "{" UNTIL "\"conditions\":[[[[[[[[[]]]]]]]]]}", S3_INVALID_POLICY_DOCUMENT },
        { "{" UNTIL UNTIL REST, S3_INVALID_POLICY_DOCUMENT },
        { "[]", S3_INVALID_POLICY_DOCUMENT },
        { "", S3_INVALID_POLICY_DOCUMENT },
        { "{" UNTIL REST "x", S3_INVALID_POLICY_DOCUMENT },
    };
    static char many[64 * 1024];
    size_t      n;

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = judge(FIELD("key", "k"), cases[i].json);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d %s", i, rc, last.text);
    }
    for (int past = 0; past < 2; past++) {
        n = (size_t)snprintf(many, sizeof many, "{" UNTIL "\"conditions\":[{\"bucket\":\"bucket\"}");
        for (int i = 1; i < S3_POLICY_CONDITIONS_MAX + past; i++)
            n += (size_t)snprintf(many + n, sizeof many - n, ",{\"key\":\"k\"}");
        snprintf(many + n, sizeof many - n, "]}");
        assert_int_equal(judge(FIELD("key", "k"), many), past ? S3_INVALID_POLICY_DOCUMENT : 0);
    }
}

/* --- Signatures. --- */

static int authenticate(const char *fields)
{
    struct s3_auth_options options = example_options(EXAMPLE_TIME);
    static char            text[16 * 1024];
    int                    rc;

    options.bucket = SLICE("bucket");
    snprintf(text, sizeof text, "%s%s", fields, FILE_HEAD("") "\nx" LAST);
    assert_int_equal(open_form(TYPE, with_crlf(text), 1000), 0);
    rc = s3_form_authenticate(&form, &options, &auth, &last);
    assert_true((auth.who != NULL) == (rc == 0 && auth.kind != S3_AUTH_NONE));
    arena_done(&rq.arena);
    return rc;
}

static void add_field(char *text, size_t capacity, const char *name, const char *value)
{
    size_t n = strlen(text);

    snprintf(text + n, capacity - n, "--9431149156168\nContent-Disposition: form-data; name=\"%s\"\n\n%s\n", name, value);
}

static void signature__version_2(void **unused)
{
    static const char json[] = POLICY("{\"bucket\":\"bucket\"},{\"key\":\"k\"}");
    char              policy[512], signature[64], fields[4096];
    uint8_t           digest[SHA1_BYTES];
    const char       *const keys[] = { EXAMPLE_KEY, "unknown" };

    (void)unused;
    base64_encode(policy, json, strlen(json));
    hmac_sha1(SLICE(EXAMPLE_SECRET), slice_str(policy), digest);
    base64_encode(signature, digest, sizeof digest);
    for (int i = 0; i < 5; i++) {
        snprintf(fields, sizeof fields, FIELD("key", "k"));
        if (i != 2)
            add_field(fields, sizeof fields, "AWSAccessKeyId", keys[i == 1]);
        if (i != 3)
            add_field(fields, sizeof fields, "signature", i == 4 ? "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" : signature);
        add_field(fields, sizeof fields, "pOLICy", policy);
        assert_int_equal(authenticate(fields), ((int[]) { 0, S3_INVALID_ACCESS_KEY_ID, S3_INVALID_ARGUMENT,
                                                          S3_INVALID_ARGUMENT, S3_SIGNATURE_DOES_NOT_MATCH })[i]);
        assert_true(i != 0 || auth.kind == S3_AUTH_V2_POST);
    }
    assert_int_equal(authenticate(FIELD("key", "k")), 0);
    assert_int_equal(auth.kind, S3_AUTH_NONE);
    assert_int_equal(authenticate(FIELD("key", "k") FIELD("AWSAccessKeyId", EXAMPLE_KEY)), S3_INVALID_ARGUMENT);
}

static void signature__version_4(void **unused)
{
    static const char json[] = POLICY("{\"bucket\":\"bucket\"},{\"key\":\"k\"},[\"starts-with\",\"$x-amz-algorithm\",\"\"],"
                                      "[\"starts-with\",\"$x-amz-credential\",\"\"],[\"starts-with\",\"$x-amz-date\",\"\"]");
    static const char good[] = EXAMPLE_KEY "/20130524/RegionOne/s3/aws4_request";
    static const struct {
        const char *algorithm, *credential, *date;
        int         rc;
    } cases[] = {
        { "AWS4-HMAC-SHA256", good, "20130524T000000Z", 0 },
        { "AWS4-HMAC-SHA1", good, "20130524T000000Z", S3_INVALID_ARGUMENT },
        { "AWS4-HMAC-SHA256", EXAMPLE_KEY, "20130524T000000Z", S3_INVALID_ARGUMENT },
        { "AWS4-HMAC-SHA256", "unknown/20130524/RegionOne/s3/aws4_request", "20130524T000000Z",
          S3_INVALID_ACCESS_KEY_ID },
        { "AWS4-HMAC-SHA256", EXAMPLE_KEY "/20130524/us-east-1/s3/aws4_request", "20130524T000000Z",
          S3_SIGNATURE_DOES_NOT_MATCH },
        { "AWS4-HMAC-SHA256", good, "20130525T000000Z", S3_INVALID_ARGUMENT },
        { "AWS4-HMAC-SHA256", good, "", S3_INVALID_ARGUMENT },
    };
    char    policy[1024], signature[SHA256_HEX + 1] = "", fields[8192];
    uint8_t key[SHA256_BYTES], digest[SHA256_BYTES];

    (void)unused;
    base64_encode(policy, json, strlen(json));
    sigv4_signing_key(SLICE(EXAMPLE_SECRET), SLICE("20130524"), SLICE("RegionOne"), SLICE("s3"), key);
    hmac_sha256(slice_of(key, sizeof key), slice_str(policy), digest);
    hex_of(digest, sizeof digest, signature);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(fields, sizeof fields, FIELD("key", "k"));
        add_field(fields, sizeof fields, "X-Amz-Algorithm", cases[i].algorithm);
        add_field(fields, sizeof fields, "X-Amz-Credential", cases[i].credential);
        add_field(fields, sizeof fields, "X-Amz-Date", cases[i].date);
        add_field(fields, sizeof fields, "Policy", policy);
        add_field(fields, sizeof fields, "X-Amz-Signature", signature);
        int rc = authenticate(fields);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d %s", i, rc, last.text);
    }
    /* Signed, but no policy. */
    memcpy(policy, "!!!!", 4);
    hmac_sha256(slice_of(key, sizeof key), slice_str(policy), digest);
    hex_of(digest, sizeof digest, signature);
    snprintf(fields, sizeof fields, FIELD("key", "k") FIELD("x-amz-algorithm", "AWS4-HMAC-SHA256")
             FIELD("x-amz-date", "20130524T000000Z"));
    add_field(fields, sizeof fields, "x-amz-credential", good);
    add_field(fields, sizeof fields, "policy", policy);
    add_field(fields, sizeof fields, "x-amz-signature", signature);
    assert_int_equal(authenticate(fields), S3_INVALID_POLICY_DOCUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(form__fields_and_file_in_any_pieces), cmocka_unit_test(form__long_files),
        cmocka_unit_test(form__refusals), cmocka_unit_test(form__limits), cmocka_unit_test(policy__conditions),
        cmocka_unit_test(policy__documents), cmocka_unit_test(signature__version_2),
        cmocka_unit_test(signature__version_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
