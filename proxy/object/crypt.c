/* proxy/object/crypt.c - see crypt.h. */
#include "proxy/object/crypt.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/bytes.h"

enum { NONCE_LAST = 1 };   /* In the nonce's first byte, of an object's last frame. */

void crypt_wipe(struct crypt_key *key)
{
    OPENSSL_cleanse(key, sizeof *key);
}

uint64_t crypt_stored_size(uint64_t plain)
{
    uint64_t frames = plain / CRYPT_FRAME_BYTES + (plain % CRYPT_FRAME_BYTES != 0);

    return plain + frames * CRYPT_TAG_BYTES;
}

uint64_t crypt_plain_size(uint64_t stored)
{
    uint64_t whole = stored / CRYPT_SEALED_BYTES, rest = stored % CRYPT_SEALED_BYTES;

    if (rest > 0 && rest <= CRYPT_TAG_BYTES)
        return UINT64_MAX;
    return whole * CRYPT_FRAME_BYTES + (rest ? rest - CRYPT_TAG_BYTES : 0);
}

static void frame_nonce(uint8_t nonce[CRYPT_NONCE_BYTES], uint64_t number, bool last)
{
    memset(nonce, 0, CRYPT_NONCE_BYTES);
    nonce[0] = last ? NONCE_LAST : 0;
    put_u64be(nonce + CRYPT_NONCE_BYTES - 8, number);
}

static int seal_frame(EVP_CIPHER_CTX *cipher, const uint8_t *nonce, struct slice plain, uint8_t *out)
{
    int n = 0, tail = 0;

    if (EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, nonce) != 1 ||
        EVP_EncryptUpdate(cipher, out, &n, plain.data, (int)plain.size) != 1 ||
        EVP_EncryptFinal_ex(cipher, out + n, &tail) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, CRYPT_TAG_BYTES, out + plain.size) != 1)
        return -EINVAL;
    return 0;
}

static int open_frame(EVP_CIPHER_CTX *cipher, const uint8_t *nonce, struct slice sealed, uint8_t *out)
{
    size_t  size = sealed.size - CRYPT_TAG_BYTES;
    uint8_t tag[CRYPT_TAG_BYTES];
    int     n = 0, tail = 0;

    memcpy(tag, sealed.data + size, sizeof tag);
    if (EVP_DecryptInit_ex(cipher, NULL, NULL, NULL, nonce) != 1 ||
        EVP_DecryptUpdate(cipher, out, &n, sealed.data, (int)size) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, CRYPT_TAG_BYTES, tag) != 1)
        return -EINVAL;
    return EVP_DecryptFinal_ex(cipher, out + n, &tail) == 1 ? 0 : -E_CORRUPT;
}

int crypt_seal(const struct crypt_key *key, uint64_t first, bool ends, struct slice plain, uint8_t *out)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int             rc = cipher ? 0 : -ENOMEM;

    if (rc == 0 && EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, NULL) != 1)
        rc = -EINVAL;
    while (rc == 0 && plain.size > 0) {
        uint8_t nonce[CRYPT_NONCE_BYTES];
        size_t  n = plain.size < CRYPT_FRAME_BYTES ? plain.size : CRYPT_FRAME_BYTES;
        bool    last = ends && n == plain.size;

        if (n < CRYPT_FRAME_BYTES && !last)
            rc = -EINVAL;
        frame_nonce(nonce, first++, last);
        if (rc == 0)
            rc = seal_frame(cipher, nonce, slice_of(plain.data, n), out);
        plain = slice_from(plain, n);
        out += n + CRYPT_TAG_BYTES;
    }
    EVP_CIPHER_CTX_free(cipher);
    return rc;
}

int crypt_open(const struct crypt_key *key, uint64_t first, bool ends, struct slice stored, uint8_t *out)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int             rc = cipher ? 0 : -ENOMEM;

    if (rc == 0 && EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, NULL) != 1)
        rc = -EINVAL;
    while (rc == 0 && stored.size > 0) {
        uint8_t nonce[CRYPT_NONCE_BYTES];
        size_t  n = stored.size < CRYPT_SEALED_BYTES ? stored.size : CRYPT_SEALED_BYTES;
        bool    last = ends && n == stored.size;

        if (n <= CRYPT_TAG_BYTES || (n < CRYPT_SEALED_BYTES && !last)) {
            rc = -E_CORRUPT;
            break;
        }
        frame_nonce(nonce, first++, last);
        rc = open_frame(cipher, nonce, slice_of(stored.data, n), out);
        stored = slice_from(stored, n);
        out += n - CRYPT_TAG_BYTES;
    }
    EVP_CIPHER_CTX_free(cipher);
    return rc;
}

int crypt_derive(const struct crypt_key *from, struct slice salt, struct crypt_key *ret_key)
{
    unsigned size = 0;

    if (!HMAC(EVP_sha256(), from->bytes, CRYPT_KEY_BYTES, salt.data, salt.size, ret_key->bytes, &size) ||
        size != CRYPT_KEY_BYTES)
        return -ENOMEM;
    return 0;
}

int crypt_wrap(const struct crypt_key *by, const uint8_t *nonce, struct slice context, const struct crypt_key *key,
               uint8_t out[CRYPT_WRAPPED_BYTES])
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    uint8_t        *sealed = out + CRYPT_NONCE_BYTES;
    int             n = 0, rc = cipher ? 0 : -ENOMEM;

    memcpy(out, nonce, CRYPT_NONCE_BYTES);
    if (rc == 0 && (EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, by->bytes, nonce) != 1 ||
                    EVP_EncryptUpdate(cipher, NULL, &n, context.data, (int)context.size) != 1 ||
                    EVP_EncryptUpdate(cipher, sealed, &n, key->bytes, CRYPT_KEY_BYTES) != 1 ||
                    EVP_EncryptFinal_ex(cipher, sealed + n, &n) != 1 ||
                    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, CRYPT_TAG_BYTES, sealed + CRYPT_KEY_BYTES) != 1))
        rc = -EINVAL;
    EVP_CIPHER_CTX_free(cipher);
    return rc;
}

int crypt_unwrap(const struct crypt_key *by, struct slice context, struct slice wrapped, struct crypt_key *ret_key)
{
    struct crypt_key key;
    EVP_CIPHER_CTX  *cipher;
    uint8_t          tag[CRYPT_TAG_BYTES];
    const uint8_t   *sealed = wrapped.data + CRYPT_NONCE_BYTES;
    int              n = 0, rc = 0;

    if (wrapped.size != CRYPT_WRAPPED_BYTES)
        return -E_UNAUTHORIZED;
    cipher = EVP_CIPHER_CTX_new();
    if (!cipher)
        return -ENOMEM;
    memcpy(tag, sealed + CRYPT_KEY_BYTES, sizeof tag);
    if (EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, by->bytes, wrapped.data) != 1 ||
        EVP_DecryptUpdate(cipher, NULL, &n, context.data, (int)context.size) != 1 ||
        EVP_DecryptUpdate(cipher, key.bytes, &n, sealed, CRYPT_KEY_BYTES) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, CRYPT_TAG_BYTES, tag) != 1 ||
        EVP_DecryptFinal_ex(cipher, key.bytes + n, &n) != 1)
        rc = -E_UNAUTHORIZED;
    if (rc == 0)
        *ret_key = key;
    crypt_wipe(&key);
    EVP_CIPHER_CTX_free(cipher);
    return rc;
}
