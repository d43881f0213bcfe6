/* proxy/s3/token.h - continuation tokens of listings: the last name that was shown, in a form that clients leave alone.
 *
 * Pure; any thread. */
#ifndef PROXY_S3_TOKEN_H
#define PROXY_S3_TOKEN_H

#include "proxy/object/checksum.h"
#include "proxy/s3/call.h"

enum {
    S3_TOKEN_NAME_MAX = S3_KEY_MAX + 8,
    S3_TOKEN_TEXT_MAX = BASE64_SIZE(1 + S3_TOKEN_NAME_MAX)   /* With a NUL. */
};

/* Returns the token's size. A name has 1 to S3_TOKEN_NAME_MAX bytes. */
size_t s3_token_write(struct slice name, char out[S3_TOKEN_TEXT_MAX]);
/* False: not a token of ours, or of a name with no byte, with more than 'capacity' (at most S3_TOKEN_NAME_MAX), or with
 * a NUL, as only rows inside of the service have. */
bool s3_token_read(struct slice token, size_t capacity, uint8_t *ret_name, size_t *ret_size);

#endif
