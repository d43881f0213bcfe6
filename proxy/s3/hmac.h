/* proxy/s3/hmac.h - keyed hashes and hex, as the signatures of S3 need them.
 *
 * RFC 2104 over OpenSSL's plain SHA functions: EVP allocates at each use, which would cost more than hashing such
 * short texts. Pure; any thread. */
#ifndef PROXY_S3_HMAC_H
#define PROXY_S3_HMAC_H

#include "base/slice.h"

enum { SHA256_BYTES = 32, SHA256_HEX = 64, SHA1_BYTES = 20 };

void hash_sha256(struct slice text, uint8_t ret_digest[SHA256_BYTES]);
void hmac_sha256(struct slice key, struct slice text, uint8_t ret_digest[SHA256_BYTES]);
void hmac_sha1(struct slice key, struct slice text, uint8_t ret_digest[SHA1_BYTES]);

/* The key that signs requests of one day, region and service. AWS Signature Version 4, "deriving the signing key".
 * Secrets past S3_SECRET_MAX bytes are cut, so that they do not match. */
enum { S3_SECRET_MAX = 256 };
void sigv4_signing_key(struct slice secret, struct slice date, struct slice region, struct slice service,
                       uint8_t ret_key[SHA256_BYTES]);

void hex_of(const uint8_t *data, size_t size, char *out);   /* Lower case; no NUL. */
/* Lower case only, as signatures are written; false unless 'text' has exactly 2 * size digits. */
bool hex_parse(struct slice text, uint8_t *out, size_t size);
bool equal_secret(const void *a, const void *b, size_t size);   /* Takes the same time whatever differs. */

#endif
