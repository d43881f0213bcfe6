/* tests/fuzz/identity/ec2_body_fuzz.c - what signed token requests and credentials bring: the body of /v3/ec2tokens, a
 * string to sign, a credential's blob, times and base64. Anything may come, nothing may break. */
#include <assert.h>
#include <stdlib.h>

#include "identity/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_json(struct arena *arena, struct slice text)
{
    char         signature[SIGNATURE_MAX];
    struct error err;
    json_t      *root;

    if (json_parse(text, &root, &err))
        return;
    bool         bad = false;
    struct slice host = json_text(root, "host", &bad);
    int          rc = ec2_signature(arena, root, host, SLICE("secret"), signature);
    assert(rc == 0 || rc == -E_SYNTAX || rc == -E_UNAUTHORIZED || rc == -ENOMEM);
    assert(rc || strlen(signature) == 44 || strlen(signature) == 64);
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena    arena;
    struct ec2_blob blob;
    struct slice    out;
    char            signature[SIGNATURE_MAX];
    int64_t         time_s;
    uint8_t        *copy = malloc(size ? size : 1);   /* Ends where the input ends. */

    if (copy == NULL)
        return 0;
    if (size)
        memcpy(copy, data, size);
    struct slice text = slice_of(copy, size);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    try_json(&arena, text);
    if (credential_parse_ec2(text, &blob) == 0) {
        assert(blob.access.size && blob.access.size <= IDENTITY_ACCESS_MAX && blob.secret.size <= IDENTITY_SECRET_MAX);
        json_decref(blob.json);
    }
    int rc = s3_signature(text, SLICE("secret"), signature);
    assert(rc == -E_UNAUTHORIZED || (rc == 0 && strlen(signature) >= 28));
    if (ec2_unbase64(&arena, text, &out) == 0)
        assert(out.size <= size);
    if (ec2_time(text, &time_s))
        assert(time_s >= 0 && time_s < INT64_C(253402300801));   /* Year 10000, and a leap second. */
    arena_done(&arena);
    free(copy);
    return 0;
}
