/* tests/fuzz/proxy/s3/s3_names_fuzz.c - names that clients choose: Host headers, buckets, tokens of listings. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/s3/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_host(struct slice host)
{
    static const struct s3 s3 = { .hosts = { "example.org", "objects.example.org", "a" } };
    struct slice           bucket = { 0 };
    bool                   ours = s3_host_bucket(&s3, host, &bucket);

    if (bucket.size) {   /* It is the beginning of the host, and a dot follows. */
        assert(bucket.data == host.data && bucket.size < host.size && host.data[bucket.size] == '.');
        assert(host.data[0] != '[');
    }
    assert(!ours || host.size);
    /* Whatever may be a bucket's name of AWS is one in front of our names. */
    if (s3_bucket_name_valid(host)) {
        char name[128];
        assert(s3_host_valid(host));
        int n = snprintf(name, sizeof name, "%.*s.objects.example.org:80", SLICE_ARG(host));
        assert(n > 0 && (size_t)n < sizeof name);
        assert(s3_host_bucket(&s3, slice_of(name, (size_t)n), &bucket));
        bool at_s3 = host.size > 3 && memcmp(host.data + host.size - 3, ".s3", 3) == 0;
        assert(at_s3 || slice_equal(bucket, host));
    }
}

static void check_token(struct slice token)
{
    uint8_t name[S3_TOKEN_NAME_MAX];
    char    text[S3_TOKEN_TEXT_MAX];
    size_t  size;

    if (!s3_token_read(token, sizeof name, name, &size))
        return;
    assert(size > 0 && size <= sizeof name && !memchr(name, 0, size));
    assert(slice_equal(slice_of(text, s3_token_write(slice_of(name, size), text)), token));   /* There is one form only. */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));   /* Ends where the bytes end. */

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    check_host(slice_of(copy, size));
    check_token(slice_of(copy, size));
    free(copy);
    return 0;
}
