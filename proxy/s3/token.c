/* proxy/s3/token.c - see token.h. A token is the base64 of the name behind a byte that says its form. */
#include "proxy/s3/token.h"

#include <assert.h>

enum { FORM = '1' };

size_t s3_token_write(struct slice name, char out[S3_TOKEN_TEXT_MAX])
{
    uint8_t raw[1 + S3_TOKEN_NAME_MAX];

    assert(name.size > 0 && name.size <= S3_TOKEN_NAME_MAX);
    raw[0] = FORM;
    memcpy(raw + 1, name.data, name.size);
    return base64_encode(out, raw, name.size + 1);
}

bool s3_token_read(struct slice token, size_t capacity, uint8_t *ret_name, size_t *ret_size)
{
    uint8_t raw[1 + S3_TOKEN_NAME_MAX];
    size_t  size;

    assert(capacity <= S3_TOKEN_NAME_MAX);
    if (base64_decode(raw, 1 + capacity, token, &size) || size < 2 || raw[0] != FORM || memchr(raw, 0, size))
        return false;
    memcpy(ret_name, raw + 1, size - 1);
    *ret_size = size - 1;
    return true;
}
