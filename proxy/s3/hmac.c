/* proxy/s3/hmac.c - see hmac.h. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "proxy/s3/hmac.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

enum { BLOCK = 64 };

void hash_sha256(struct slice text, uint8_t ret_digest[SHA256_BYTES])
{
    SHA256_CTX ctx;

    SHA256_Init(&ctx);
    SHA256_Update(&ctx, text.size ? text.data : (const uint8_t *)"", text.size);
    SHA256_Final(ret_digest, &ctx);
}

void hmac_sha256(struct slice key, struct slice text, uint8_t ret_digest[SHA256_BYTES])
{
    uint8_t    pad[BLOCK] = { 0 }, inner[SHA256_BYTES];
    SHA256_CTX ctx;

    if (key.size > BLOCK)
        hash_sha256(key, pad);
    else if (key.size)
        memcpy(pad, key.data, key.size);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, pad, BLOCK);
    SHA256_Update(&ctx, text.size ? text.data : (const uint8_t *)"", text.size);
    SHA256_Final(inner, &ctx);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, pad, BLOCK);
    SHA256_Update(&ctx, inner, sizeof inner);
    SHA256_Final(ret_digest, &ctx);
}

void hmac_sha1(struct slice key, struct slice text, uint8_t ret_digest[SHA1_BYTES])
{
    uint8_t pad[BLOCK] = { 0 }, inner[SHA1_BYTES];
    SHA_CTX ctx;

    if (key.size > BLOCK)
        SHA1(key.data, key.size, pad);
    else if (key.size)
        memcpy(pad, key.data, key.size);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    SHA1_Init(&ctx);
    SHA1_Update(&ctx, pad, BLOCK);
    SHA1_Update(&ctx, text.size ? text.data : (const uint8_t *)"", text.size);
    SHA1_Final(inner, &ctx);
    for (int i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    SHA1_Init(&ctx);
    SHA1_Update(&ctx, pad, BLOCK);
    SHA1_Update(&ctx, inner, sizeof inner);
    SHA1_Final(ret_digest, &ctx);
}

void sigv4_signing_key(struct slice secret, struct slice date, struct slice region, struct slice service,
                       uint8_t ret_key[SHA256_BYTES])
{
    uint8_t first[4 + S3_SECRET_MAX], key[SHA256_BYTES];
    size_t  size = secret.size < S3_SECRET_MAX ? secret.size : S3_SECRET_MAX;

    memcpy(first, "AWS4", 4);
    if (size)
        memcpy(first + 4, secret.data, size);
    hmac_sha256(slice_of(first, 4 + size), date, key);
    hmac_sha256(slice_of(key, sizeof key), region, key);
    hmac_sha256(slice_of(key, sizeof key), service, key);
    hmac_sha256(slice_of(key, sizeof key), SLICE("aws4_request"), ret_key);
    OPENSSL_cleanse(first, sizeof first);
}

void hex_of(const uint8_t *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_parse(struct slice text, uint8_t *out, size_t size)
{
    if (text.size != 2 * size)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (hex_value(text.data[i]) < 0)
            return false;
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(hex_value(text.data[2 * i]) << 4 | hex_value(text.data[2 * i + 1]));
    return true;
}

bool equal_secret(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}
