/* tests/proxy/s3/auth_test.c - signatures of version 4 and 2: Amazon's published examples, and every refusal. */
#include "tests/proxy/s3/request.h"

#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define CREDENTIAL "Credential=" EXAMPLE_KEY "/20130524/us-east-1/s3/aws4_request"
#define HOST "Host: examplebucket.s3.amazonaws.com\n"

static struct error   last;
static struct s3_auth auth;

static int check_with(const struct s3_auth_options *options, const char *text)
{
    struct http_request rq;
    int                 rc;

    request_parse(&rq, text);
    memset(&last, 0, sizeof last);
    rc = s3_authenticate(options, &rq, &auth, &last);
    if (rc && last.code != rc)
        fail_msg("the error says %d, not %d", last.code, rc);
    if (rc)
        assert_null(auth.who);
    arena_done(&rq.arena);   /* What 'auth' borrows is gone; the tests look at numbers only. */
    return rc;
}

static int check_at(int64_t now_s, const char *text)
{
    struct s3_auth_options options = example_options(now_s);

    return check_with(&options, text);
}

static int check(const char *text)
{
    return check_at(EXAMPLE_TIME, text);
}

static void v4__published_examples(void **unused)
{
    static const char *const requests[] = {
        "GET /test.txt HTTP/1.1\n" HOST "Authorization: AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=host;range;"
        "x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\n"
        "Range: bytes=0-9\nx-amz-content-sha256: " NOTHING "\nx-amz-date: 20130524T000000Z\n\n",
        "PUT /test$file.text HTTP/1.1\n" HOST "Date: Fri, 24 May 2013 00:00:00 GMT\nAuthorization: AWS4-HMAC-SHA256 "
        CREDENTIAL ",SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd\n"
        "x-amz-date: 20130524T000000Z\nx-amz-storage-class: REDUCED_REDUNDANCY\n"
        "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\n\n",
        "GET /?lifecycle HTTP/1.1\n" HOST "Authorization: AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=host;"
        "x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543\n"
        "x-amz-date: 20130524T000000Z\nx-amz-content-sha256: " NOTHING "\n\n",
        "GET /?max-keys=2&prefix=J HTTP/1.1\n" HOST "Authorization: AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=host;"
        "x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7\n"
        "x-amz-date: 20130524T000000Z\nx-amz-content-sha256: " NOTHING "\n\n",
        /* The same, in another order, with blanks where they do not count. */
        "GET /?prefix=%4A&max-keys=2 HTTP/1.1\n" HOST "Authorization: AWS4-HMAC-SHA256   " CREDENTIAL " , SignedHeaders="
        "host;x-amz-content-sha256;x-amz-date ,   "
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7\n"
        "X-AMZ-Date:    20130524T000000Z\nX-Amz-Content-SHA256: \t" NOTHING "  \n\n",
    };

    (void)unused;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        int rc = check(requests[i]);
        if (rc)
            fail_msg("example %zu: %s", i, last.text);
        assert_int_equal(auth.kind, S3_AUTH_V4_HEADER);
        assert_int_equal(auth.payload, S3_PAYLOAD_SHA256);
        assert_int_equal(auth.signed_s, EXAMPLE_TIME);
        assert_ptr_equal(auth.who, example_who);
    }
}

#define PRESIGNED(expires, signature)                                                                                \
    "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" EXAMPLE_KEY                                   \
    "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=" expires                 \
    "&X-Amz-SignedHeaders=host&X-Amz-Signature=" signature " HTTP/1.1\n" HOST
#define PRESIGNED_SIGNATURE "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

static void presigned__lives_as_long_as_it_says(void **unused)
{
    const char *example = PRESIGNED("86400", PRESIGNED_SIGNATURE) "\n";

    (void)unused;
    assert_int_equal(check(example), 0);
    assert_int_equal(auth.kind, S3_AUTH_V4_QUERY);
    assert_int_equal(auth.payload, S3_PAYLOAD_UNSIGNED);
    assert_int_equal(check_at(EXAMPLE_TIME + 86400, example), 0);
    assert_int_equal(check_at(EXAMPLE_TIME + 86401, example), S3_ACCESS_DENIED);
    assert_string_equal(last.text, "Request has expired");
    assert_int_equal(check_at(EXAMPLE_TIME - S3_SKEW_MAX_S, example), 0);
    assert_int_equal(check_at(EXAMPLE_TIME - S3_SKEW_MAX_S - 1, example), S3_ACCESS_DENIED);
    assert_string_equal(last.text, "Request is not valid yet");
}

static void presigned__limits_of_expires(void **unused)
{
    (void)unused;
    assert_int_equal(check(PRESIGNED("604800", PRESIGNED_SIGNATURE) "\n"), S3_SIGNATURE_DOES_NOT_MATCH);
    assert_int_equal(check(PRESIGNED("1", PRESIGNED_SIGNATURE) "\n"), S3_SIGNATURE_DOES_NOT_MATCH);
    assert_int_equal(check(PRESIGNED("604801", PRESIGNED_SIGNATURE) "\n"), S3_ACCESS_DENIED);
    assert_int_equal(check(PRESIGNED("0", PRESIGNED_SIGNATURE) "\n"), S3_ACCESS_DENIED);
    assert_int_equal(check(PRESIGNED("-7", PRESIGNED_SIGNATURE) "\n"), S3_ACCESS_DENIED);
    assert_int_equal(check(PRESIGNED("1h", PRESIGNED_SIGNATURE) "\n"), S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR);
    assert_int_equal(check(PRESIGNED("9999999999999999", PRESIGNED_SIGNATURE) "\n"),
                     S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR);
    assert_int_equal(check(PRESIGNED("", PRESIGNED_SIGNATURE) "\n"), S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR);
}

static void presigned__headers_that_count_are_signed(void **unused)
{
    (void)unused;
    assert_int_equal(check(PRESIGNED("86400", PRESIGNED_SIGNATURE) "x-amz-acl: public-read\n\n"), S3_ACCESS_DENIED);
    assert_int_equal(check(PRESIGNED("86400", PRESIGNED_SIGNATURE) "x-amz-content-sha256: UNSIGNED-PAYLOAD\n\n"), 0);
    assert_int_equal(check(PRESIGNED("86400", PRESIGNED_SIGNATURE) "User-Agent: curl\n\n"), 0);
    /* The framing of the body is as it is, whatever was signed. */
    assert_int_equal(check(PRESIGNED("86400", PRESIGNED_SIGNATURE)
                           "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n\n"), 0);
    assert_int_equal(auth.payload, S3_PAYLOAD_UNSIGNED_TRAILER);
}

/* One request with one thing that can be put in the place of each part. */
static int header_request(const char *credential, const char *headers, const char *signature, const char *more)
{
    char text[4096];

    snprintf(text, sizeof text, "GET /test.txt HTTP/1.1\n" HOST "Range: bytes=0-9\nAuthorization: AWS4-HMAC-SHA256 %s,"
             "SignedHeaders=%s,Signature=%s\n%s\n", credential, headers, signature, more);
    return check(text);
}

#define GOOD_HEADERS "host;range;x-amz-content-sha256;x-amz-date"
#define GOOD_SIGNATURE "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
#define GOOD_MORE "x-amz-content-sha256: " NOTHING "\nx-amz-date: 20130524T000000Z\n"

static void v4_header__refusals(void **unused)
{
    static const char bad[] = "Credential=" EXAMPLE_KEY;

    (void)unused;
    assert_int_equal(header_request(CREDENTIAL, GOOD_HEADERS, GOOD_SIGNATURE, GOOD_MORE), 0);
    assert_int_equal(header_request(CREDENTIAL, GOOD_HEADERS, "0" GOOD_SIGNATURE, GOOD_MORE),
                     S3_SIGNATURE_DOES_NOT_MATCH);
    assert_int_equal(header_request(CREDENTIAL, GOOD_HEADERS, "nonsense", GOOD_MORE), S3_SIGNATURE_DOES_NOT_MATCH);
    assert_int_equal(header_request(bad, GOOD_HEADERS, GOOD_SIGNATURE, GOOD_MORE), S3_AUTHORIZATION_HEADER_MALFORMED);
    assert_int_equal(header_request("Credential=/20130524/us-east-1/s3/aws4_request", GOOD_HEADERS, GOOD_SIGNATURE,
                                    GOOD_MORE), S3_AUTHORIZATION_HEADER_MALFORMED);
    assert_int_equal(header_request("Credential=unknown/20130524/us-east-1/s3/aws4_request", GOOD_HEADERS,
                                    GOOD_SIGNATURE, GOOD_MORE), S3_INVALID_ACCESS_KEY_ID);
    assert_int_equal(header_request("Credential=" EXAMPLE_KEY "/20130525/us-east-1/s3/aws4_request", GOOD_HEADERS,
                                    GOOD_SIGNATURE, GOOD_MORE), S3_AUTHORIZATION_HEADER_MALFORMED);
    assert_int_equal(header_request("Credential=" EXAMPLE_KEY "/20130524/eu-west-9/s3/aws4_request", GOOD_HEADERS,
                                    GOOD_SIGNATURE, GOOD_MORE), S3_AUTHORIZATION_HEADER_MALFORMED);
    assert_int_equal(header_request("Credential=" EXAMPLE_KEY "/20130524/RegionOne/s3/aws4_request", GOOD_HEADERS,
                                    GOOD_SIGNATURE, GOOD_MORE), S3_SIGNATURE_DOES_NOT_MATCH);
    assert_int_equal(header_request("Credential=" EXAMPLE_KEY "/20130524/us-east-1/ec2/aws4_request", GOOD_HEADERS,
                                    GOOD_SIGNATURE, GOOD_MORE), S3_AUTHORIZATION_HEADER_MALFORMED);
    assert_int_equal(header_request(CREDENTIAL, "range;x-amz-content-sha256;x-amz-date", GOOD_SIGNATURE, GOOD_MORE),
                     S3_ACCESS_DENIED);
    assert_int_equal(header_request(CREDENTIAL, "host;range", GOOD_SIGNATURE, GOOD_MORE), S3_ACCESS_DENIED);
    assert_int_equal(header_request(CREDENTIAL, "range;host;x-amz-content-sha256;x-amz-date", GOOD_SIGNATURE,
                                    GOOD_MORE), S3_AUTHORIZATION_HEADER_MALFORMED);
    assert_int_equal(header_request(CREDENTIAL, "host;host;range;x-amz-content-sha256;x-amz-date", GOOD_SIGNATURE,
                                    GOOD_MORE), S3_AUTHORIZATION_HEADER_MALFORMED);
    assert_int_equal(header_request(CREDENTIAL, GOOD_HEADERS, GOOD_SIGNATURE, "x-amz-date: 20130524T000000Z\n"),
                     S3_MISSING_SECURITY_HEADER);
    assert_int_equal(header_request(CREDENTIAL, GOOD_HEADERS, GOOD_SIGNATURE,
                                    "x-amz-content-sha256: abc\nx-amz-date: 20130524T000000Z\n"), S3_INVALID_ARGUMENT);
    assert_int_equal(header_request(CREDENTIAL, GOOD_HEADERS, GOOD_SIGNATURE, "x-amz-content-sha256: STREAMING-AWS4-"
                                    "ECDSA-P256-SHA256-PAYLOAD\nx-amz-date: 20130524T000000Z\n"), S3_NOT_IMPLEMENTED);
    assert_int_equal(header_request(CREDENTIAL, GOOD_HEADERS, GOOD_SIGNATURE, GOOD_MORE "x-amz-security-token: x\n"),
                     S3_INVALID_TOKEN);
    assert_int_equal(header_request(CREDENTIAL ",Credential=x", GOOD_HEADERS, GOOD_SIGNATURE, GOOD_MORE),
                     S3_AUTHORIZATION_HEADER_MALFORMED);
    assert_int_equal(check("GET / HTTP/1.1\n" HOST "Authorization: AWS4-ECDSA-P256-SHA256 x\n\n"), S3_NOT_IMPLEMENTED);
    assert_int_equal(check("GET / HTTP/1.1\n" HOST "Authorization: Basic QTpC\n\n"), S3_INVALID_ARGUMENT);
    assert_int_equal(check("GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256 HTTP/1.1\n" HOST "Authorization: AWS a:b\n\n"),
                     S3_INVALID_ARGUMENT);
    assert_int_equal(check("GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256 HTTP/1.1\n" HOST "\n"),
                     S3_AUTHORIZATION_QUERY_PARAMETERS_ERROR);
}

static void v4_header__clock(void **unused)
{
    static const struct {
        const char *date;
        int         rc;
    } cases[] = {
        { "x-amz-date: 20130524T001500Z\n", S3_SIGNATURE_DOES_NOT_MATCH },
        { "x-amz-date: 20130524T001501Z\n", S3_REQUEST_TIME_TOO_SKEWED },
        { "x-amz-date: 20120524T000000Z\n", S3_REQUEST_TIME_TOO_SKEWED },
        { "x-amz-date: 99990524T000000Z\n", S3_REQUEST_TIME_TOO_SKEWED },
        { "x-amz-date: Fri, 24 May 2013 00:00:00 GMT\n", S3_SIGNATURE_DOES_NOT_MATCH },
        { "x-amz-date: 20130532T000000Z\n", S3_ACCESS_DENIED },
        { "x-amz-date: 20130524T250000Z\n", S3_ACCESS_DENIED },
        { "x-amz-date:\n", S3_ACCESS_DENIED },
        { "x-amz-date: soon\n", S3_ACCESS_DENIED },
        { "", S3_ACCESS_DENIED },
    };
    char more[256];

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(more, sizeof more, "x-amz-content-sha256: " NOTHING "\n%s", cases[i].date);
        assert_int_equal(header_request(CREDENTIAL, GOOD_HEADERS, GOOD_SIGNATURE, more), cases[i].rc);
    }
    /* Without x-amz-date the Date header counts; the signature has it in its own form. */
    assert_int_equal(check("GET / HTTP/1.1\n" HOST "Date: Fri, 24 May 2013 00:00:00 +0000\nx-amz-content-sha256: " NOTHING
                           "\nAuthorization: AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;x-amz-content-sha256, "
                           "Signature=" GOOD_SIGNATURE "\n\n"), S3_SIGNATURE_DOES_NOT_MATCH);
}

/* Signs what the module says is to be signed: for requests that no example covers. */
static void v4__canonical_form(void **unused)
{
    static const struct {
        const char *request, *canonical;
    } cases[] = {
        { "GET /a%20b/%C3%A9+%2B(x)//./~_ HTTP/1.1\nHost: h:8080\nX-Amz-Meta-A:  two   blanks\tand a tab \n"
          "x-amz-meta-a: again\n",
          "GET\n/a%20b/%C3%A9%2B%2B%28x%29//./~_\n\nhost:h:8080\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n"
          "x-amz-date:20130524T000000Z\nx-amz-meta-a:two blanks and a tab,again\n\n"
          "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a\nUNSIGNED-PAYLOAD" },
        { "GET /b?a-b=2&a=1&a=0&%7e=t&flag&p=a+b%2Fc&empty= HTTP/1.1\nHost: h\nx-amz-meta-a:\n",
          "GET\n/b\na=0&a=1&a-b=2&empty=&flag=&p=a%20b%2Fc&~=t\nhost:h\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n"
          "x-amz-date:20130524T000000Z\nx-amz-meta-a:\n\n"
          "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a\nUNSIGNED-PAYLOAD" },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct s3_auth_options options = example_options(EXAMPLE_TIME);
        struct http_request    rq;
        char                   text[2048];
        struct slice           canonical;

        snprintf(text, sizeof text, "%sx-amz-content-sha256: UNSIGNED-PAYLOAD\nx-amz-date: 20130524T000000Z\n"
                 "Authorization: AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
                 "x-amz-meta-a, Signature=00\n\n", cases[i].request);
        request_parse(&rq, text);
        assert_int_equal(s3_authenticate(&options, &rq, &auth, &last), S3_SIGNATURE_DOES_NOT_MATCH);
        canonical = auth.canonical_request;
        if (!slice_equal(canonical, slice_str(cases[i].canonical)))
            fail_msg("%.*s", SLICE_ARG(canonical));
        arena_done(&rq.arena);
    }
}

static void v4__limit_of_signed_headers(void **unused)
{
    char   headers[4096] = "host", more[8192] = GOOD_MORE;
    size_t h = strlen(headers), m = strlen(more);

    (void)unused;
    for (int i = 0; i < S3_SIGNED_HEADERS_MAX - 1; i++) {
        h += (size_t)snprintf(headers + h, sizeof headers - h, ";x-%02d", i);
        m += (size_t)snprintf(more + m, sizeof more - m, "x-%02d: v\n", i);
    }
    assert_int_equal(header_request(CREDENTIAL, headers, GOOD_SIGNATURE, more), S3_ACCESS_DENIED);   /* x-amz-date. */
    snprintf(headers + h, sizeof headers - h, ";x-amz-date");
    assert_int_equal(header_request(CREDENTIAL, headers, GOOD_SIGNATURE, more), S3_AUTHORIZATION_HEADER_MALFORMED);
}

/* --- Version 2. --- */

static int check_v2(const char *method, const char *path, const char *date, const char *more, const char *signature)
{
    struct s3_auth_options options = example_options(0);
    struct http_request    rq;
    char                   text[2048];
    int                    rc;

    assert_true(s3_time_parse(slice_str(date), &options.now_s));
    options.bucket = SLICE("johnsmith");
    snprintf(text, sizeof text, "%s %s HTTP/1.1\nHost: johnsmith.s3.amazonaws.com\n%sAuthorization: AWS " EXAMPLE_KEY
             ":%s\n\n", method, path, more, signature);
    request_parse(&rq, text);
    rc = s3_authenticate(&options, &rq, &auth, &last);
    arena_done(&rq.arena);
    return rc;
}

static void v2__published_examples(void **unused)
{
    (void)unused;
    assert_int_equal(check_v2("GET", "/photos/puppy.jpg", "Tue, 27 Mar 2007 19:36:42 +0000",
                              "Date: Tue, 27 Mar 2007 19:36:42 +0000\n", "bWq2s1WEIj+Ydj0vQ697zp+IXMU="), 0);
    assert_int_equal(auth.kind, S3_AUTH_V2_HEADER);
    assert_int_equal(check_v2("PUT", "/photos/puppy.jpg", "Tue, 27 Mar 2007 21:15:45 +0000",
                              "Content-Type: image/jpeg\nContent-Length: 94328\n"
                              "Date: Tue, 27 Mar 2007 21:15:45 +0000\n", "MyyxeRY7whkBe+bq8fHCL/2kKUg="), 0);
    assert_int_equal(check_v2("GET", "/?prefix=photos&max-keys=50&marker=puppy", "Tue, 27 Mar 2007 19:42:41 +0000",
                              "User-Agent: Mozilla/5.0\nDate: Tue, 27 Mar 2007 19:42:41 +0000\n",
                              "htDYFYduRNen8P9ZfE/s9SuKy0U="), 0);
    assert_int_equal(check_v2("GET", "/?acl", "Tue, 27 Mar 2007 19:44:46 +0000",
                              "Date: Tue, 27 Mar 2007 19:44:46 +0000\n", "c2WLPFtWHVgbEmeEG93a4cG37dM="), 0);
    assert_int_equal(check_v2("GET", "/?acl", "Tue, 27 Mar 2007 19:44:46 +0000",
                              "Date: Tue, 27 Mar 2007 19:44:46 +0000\nContent-Type: a\n",
                              "c2WLPFtWHVgbEmeEG93a4cG37dM="), S3_SIGNATURE_DOES_NOT_MATCH);
}

static void v2__presigned(void **unused)
{
    static const char text[] = "GET /photos/puppy.jpg?AWSAccessKeyId=" EXAMPLE_KEY "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUs"
                               "Sn8%3D&Expires=1175139620 HTTP/1.1\nHost: johnsmith.s3.amazonaws.com\n\n";
    struct s3_auth_options options = example_options(1175139620);

    (void)unused;
    options.bucket = SLICE("johnsmith");
    assert_int_equal(check_with(&options, text), 0);
    assert_int_equal(auth.kind, S3_AUTH_V2_QUERY);
    options.now_s++;
    assert_int_equal(check_with(&options, text), S3_ACCESS_DENIED);
    options.now_s = 0;
    options.bucket = SLICE_NONE;
    assert_int_equal(check_with(&options, text), S3_SIGNATURE_DOES_NOT_MATCH);
    assert_int_equal(check("GET /?AWSAccessKeyId=x&Signature=y HTTP/1.1\n" HOST "\n"), S3_ACCESS_DENIED);
    assert_int_equal(check("GET /?AWSAccessKeyId=x&Signature=y&Expires=1x HTTP/1.1\n" HOST "\n"), S3_ACCESS_DENIED);
    assert_int_equal(check("GET /?AWSAccessKeyId=x&Signature=y&Expires=99999999999 HTTP/1.1\n" HOST "\n"),
                     S3_INVALID_ACCESS_KEY_ID);
}

static void v2__refusals(void **unused)
{
    static const char *const wrong[] = { "AWS HAHAHA", "AWS :x", "AWS x:", "AWS " };
    char text[512];

    (void)unused;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\nHost: h\nAuthorization: %s\nDate: Fri, 24 May 2013 00:00:00 GMT\n\n",
                 wrong[i]);
        assert_int_equal(check(text), S3_INVALID_ARGUMENT);
    }
#define V2(date) "GET / HTTP/1.1\nHost: h\nAuthorization: AWS " EXAMPLE_KEY ":x\n" date "\n"
    assert_int_equal(check(V2("x-amz-date: Bad Date\n")), S3_ACCESS_DENIED);
    assert_int_equal(check(V2("x-amz-date:\nDate: Fri, 24 May 2013 00:00:00 GMT\n")), S3_ACCESS_DENIED);
    assert_int_equal(check(V2("")), S3_ACCESS_DENIED);
    assert_int_equal(check(V2("x-amz-date: Tue, 07 Jul 2010 21:53:04 GMT\n")), S3_REQUEST_TIME_TOO_SKEWED);
    assert_int_equal(check(V2("x-amz-date: Tue, 07 Jul 1950 21:53:04 GMT\n")), S3_ACCESS_DENIED);
    assert_int_equal(check(V2("x-amz-date: Tue, 07 Jul 9999 21:53:04 GMT\n")), S3_REQUEST_TIME_TOO_SKEWED);
    assert_int_equal(check("GET / HTTP/1.1\nHost: h\nAuthorization: AWS unknown:x\nDate: Fri, 24 May 2013 00:00:00 GMT\n"
                           "\n"), S3_INVALID_ACCESS_KEY_ID);
}

/* The x-amz- headers are sorted, those of one name joined; the date counts once. */
static void v2__canonical_form(void **unused)
{
    struct s3_auth_options options = example_options(EXAMPLE_TIME);
    struct http_request    rq;
    static const char      want[] =
        "PUT\n4gJE4saaMU4BqNR0kLY+lw==\napplication/x-download\n\nx-amz-acl:public-read\n"
        "x-amz-date:Fri, 24 May 2013 00:00:00 GMT\nx-amz-meta-filechecksum:0x02661779\n"
        "x-amz-meta-reviewedby:joe@johnsmith.net,jane@johnsmith.net\n"
        "/static.johnsmith.net/db%20backup.dat.gz?partNumber=2&response-content-type=a b&uploadId=x";

    (void)unused;
    options.bucket = SLICE("static.johnsmith.net");
    request_parse(&rq, "PUT /db%20backup.dat.gz?uploadId=x&partNumber=2&other=1&response-content-type=a%20b HTTP/1.1\n"
                       "Host: static.johnsmith.net:8080\nx-amz-date: Fri, 24 May 2013 00:00:00 GMT\n"
                       "x-amz-acl: public-read\ncontent-type: application/x-download\n"
                       "Content-MD5: 4gJE4saaMU4BqNR0kLY+lw==\nX-Amz-Meta-ReviewedBy: joe@johnsmith.net\n"
                       "X-Amz-Meta-ReviewedBy:  jane@johnsmith.net\nX-Amz-Meta-FileChecksum: 0x02661779\n"
                       "Authorization: AWS " EXAMPLE_KEY ":AAAA\n\n");
    assert_int_equal(s3_authenticate(&options, &rq, &auth, &last), S3_SIGNATURE_DOES_NOT_MATCH);
    if (!slice_equal(auth.string_to_sign, slice_str(want)))
        fail_msg("%.*s", SLICE_ARG(auth.string_to_sign));
    arena_done(&rq.arena);
}

/* --- Neither. --- */

static void anonymous__without_credentials(void **unused)
{
    (void)unused;
    assert_int_equal(check("GET / HTTP/1.1\nHost: h\n\n"), 0);
    assert_int_equal(auth.kind, S3_AUTH_NONE);
    assert_null(auth.who);
    assert_int_equal(check("GET / HTTP/1.1\nHost: h\nAuthorization:\n\n"), 0);
    assert_int_equal(check("GET / HTTP/1.1\nHost: h\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n\n"), 0);
    assert_int_equal(auth.payload, S3_PAYLOAD_UNSIGNED_TRAILER);
    assert_int_equal(check("GET / HTTP/1.1\nHost: h\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n\n"),
                     S3_INVALID_REQUEST);
}

static void times__in_every_form(void **unused)
{
    static const char *const good[] = { "20130524T000000Z", "2013-05-24T00:00:00Z", "2013-05-24T00:00:00.000Z",
                                        "Fri, 24 May 2013 00:00:00 GMT", "Fri, 24 May 2013 00:00:00 +0000",
                                        "Fri, 24 May 2013 00:00:00 -0000", "2013-05-24T00:00:00.123456789Z" };
    static const char *const bad[] = { "", "2013", "20130524T000000", "20130524T000000ZZ", "2013-05-24T00:00:00",
                                       "2013-05-24 00:00:00Z", "2013-02-29T00:00:00Z", "2013-05-24T00:00:00.Z",
                                       "2013-05-24T00:00:00.1234567890Z", "2013-13-01T00:00:00Z", "20130024T000000Z",
                                       "2013-05-24T00:00:00+00:00", " +0000", "x +0000" };
    int64_t t;
    char    text[S3_TIMESTAMP];

    (void)unused;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        t = 0;
        assert_true(s3_time_parse(slice_str(good[i]), &t));
        assert_int_equal(t, EXAMPLE_TIME);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(s3_time_parse(slice_str(bad[i]), &t));
    s3_timestamp(EXAMPLE_TIME, text);
    assert_memory_equal(text, "20130524T000000Z", S3_TIMESTAMP);
}

/* RFC 4231, test cases 2 and 6; RFC 2202, test case 2. */
static void hmac__published_examples(void **unused)
{
    uint8_t key[131], digest[SHA256_BYTES];
    char    hex[SHA256_HEX];

    (void)unused;
    hmac_sha256(SLICE("Jefe"), SLICE("what do ya want for nothing?"), digest);
    hex_of(digest, SHA256_BYTES, hex);
    assert_memory_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", SHA256_HEX);
    memset(key, 0xaa, sizeof key);
    hmac_sha256(slice_of(key, sizeof key), SLICE("Test Using Larger Than Block-Size Key - Hash Key First"), digest);
    hex_of(digest, SHA256_BYTES, hex);
    assert_memory_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", SHA256_HEX);
    hmac_sha1(SLICE("Jefe"), SLICE("what do ya want for nothing?"), digest);
    hex_of(digest, SHA1_BYTES, hex);
    assert_memory_equal(hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", 2 * SHA1_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v4__published_examples), cmocka_unit_test(presigned__lives_as_long_as_it_says),
        cmocka_unit_test(presigned__limits_of_expires), cmocka_unit_test(presigned__headers_that_count_are_signed),
        cmocka_unit_test(v4_header__refusals), cmocka_unit_test(v4_header__clock),
        cmocka_unit_test(v4__canonical_form), cmocka_unit_test(v4__limit_of_signed_headers),
        cmocka_unit_test(v2__published_examples), cmocka_unit_test(v2__presigned), cmocka_unit_test(v2__refusals),
        cmocka_unit_test(v2__canonical_form), cmocka_unit_test(anonymous__without_credentials),
        cmocka_unit_test(times__in_every_form), cmocka_unit_test(hmac__published_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
