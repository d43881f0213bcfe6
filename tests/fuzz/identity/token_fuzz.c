/* tests/fuzz/identity/token_fuzz.c - texts that claim to be tokens. None that we did not seal opens; and base64url
 * has one text for one value. */
#include <assert.h>
#include <stdlib.h>

#include "identity/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_ring *ring;
    static const uint8_t      secret[TOKEN_KEY_BYTES] = { 1, 2, 3 };
    struct token              token = { .methods = 77 };
    uint8_t                   bytes[TOKEN_TEXT_MAX];
    char                      text[TOKEN_TEXT_MAX * 4 / 3 + 8];
    size_t                    n;

    if (ring == NULL) {
        ring = token_ring_new();
        /* Ids that are easy to hit. */
        assert(token_ring_add(ring, 0, secret, 0) == 0 && token_ring_add(ring, 0x01010101, secret, 0) == 0);
    }
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL)
        return 0;
    if (size)
        memcpy(copy, data, size);
    assert(token_unseal(ring, slice_of(copy, size), &token) == -E_UNAUTHORIZED && token.methods == 77);
    if (token_unbase64(bytes, sizeof bytes, slice_of(copy, size), &n) == 0) {
        assert(token_base64(text, bytes, n) == size);
        assert(size == 0 || memcmp(text, copy, size) == 0);
    }
    free(copy);
    return 0;
}
