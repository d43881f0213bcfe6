/* tests/fuzz/proxy/s3/post_form_fuzz.c - POST forms and their policies. Byte 0: which of the two, and how the form is
 * cut; for a form byte 1 is the handler's room. The boundary is "B".
 *
 * However a form is cut, it means the same. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/s3/postform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

struct result {
    int      rc, file_rc;
    uint32_t fields;
    size_t   size;
    uint8_t  sum[SHA256_BYTES];   /* Of key, names, values, and the file. */
};

static void add(SHA256_CTX *sum, struct slice bytes)
{
    SHA256_Update(sum, &bytes.size, sizeof bytes.size);
    if (bytes.size)
        SHA256_Update(sum, bytes.data, bytes.size);
}

static struct result run(struct slice raw, size_t step, size_t room)
{
    struct http_header  header = { SLICE("Content-Type"), SLICE("multipart/form-data; boundary=B") };
    struct http_request rq = { .headers = &header, .header_count = 1 };
    struct pieces       pieces = { raw, 0, step };
    struct result       result = { 0 };
    struct error        err = { 0 };
    struct s3_form      form;
    uint8_t             data[512];
    SHA256_CTX          sum;
    size_t              n = 1;

    arena_init(&rq.arena, ARENA_LIMIT_DEFAULT);
    SHA256_Init(&sum);
    assert(s3_form_open(&form, &rq, &err) == 0);
    form.source = (struct s3_source) { pieces_read, &pieces, NULL };
    result.rc = s3_form_fields(&form, &err);
    if (result.rc == 0) {
        result.fields = form.field_count;
        add(&sum, form.key);
        add(&sum, form.file_name);
        for (uint32_t i = 0; i < form.field_count; i++) {
            add(&sum, form.fields[i].name);
            add(&sum, form.fields[i].value);
        }
    }
    while (result.rc == 0 && result.file_rc == 0 && n > 0) {
        result.file_rc = s3_form_read(&form, data, room, &n, &err);
        if (result.file_rc == 0 && n) {
            SHA256_Update(&sum, data, n);
            result.size += n;
        }
    }
    if (result.file_rc)
        result.size = 0;
    else
        SHA256_Final(result.sum, &sum);
    arena_done(&rq.arena);
    return result;
}

static void check_policy(struct slice json)
{
    struct http_header fields[3] = {
        { SLICE("key"), SLICE("k") }, { SLICE("acl"), SLICE("private") }, { SLICE("policy"), SLICE("p") }
    };
    struct s3_form form = { .fields = fields, .field_count = 3, .key = SLICE("k"), .size_max = UINT64_MAX };
    struct error   err = { 0 };
    int            rc = s3_form_policy(&form, json, SLICE("bucket"), 0, &err);

    assert(rc == 0 || rc == S3_INVALID_POLICY_DOCUMENT || rc == S3_ACCESS_DENIED);
    assert(rc == 0 || (err.code == rc && err.text[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size < 2 || !(copy = malloc(size)))
        return 0;
    memcpy(copy, data, size);
    if (copy[0] % 2) {
        check_policy(slice_of(copy + 1, size - 1));
    } else {
        struct result whole = run(slice_of(copy + 2, size - 2), SIZE_MAX, 512);
        struct result cut = run(slice_of(copy + 2, size - 2), 1 + copy[0] / 2 % 40, 1 + copy[1] % 64);
        assert(whole.rc == cut.rc && whole.file_rc == cut.file_rc && whole.size == cut.size);
        assert(whole.fields == cut.fields && memcmp(whole.sum, cut.sum, sizeof whole.sum) == 0);
    }
    free(copy);
    return 0;
}
