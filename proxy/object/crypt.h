/* proxy/object/crypt.h - objects encrypted at rest: AES-256-GCM in frames, under envelope keys.
 *
 * Each object (each part of a multipart object) has a random data key. Its bytes
 * are cut into frames of CRYPT_FRAME_BYTES; a frame is stored as its ciphertext and
 * a tag of CRYPT_TAG_BYTES. The nonce of frame i is i, which never repeats under a
 * data key; the last frame is marked in the nonce, so that a stream that was cut at
 * a frame's border does not open. The data key is stored with the object, sealed by
 * a key that follows from the object's salt (so none seals twice) and
 *
 *   SSE-S3  a master key of the control store (crypt_keys.h), named by its id;
 *   SSE-C   the key that the customer sends with each request, which is not kept:
 *           a wrong one does not open the data key.
 *
 * Sealing binds a context (shard, upload, part and name: seal.h), so that a row's key opens nowhere else.
 * AES-GCM: NIST SP 800-38D. HMAC: RFC 2104. Pure functions, any thread; those over whole buffers are
 * for workers. Keys are wiped by whoever holds them: crypt_wipe(). */
#ifndef PROXY_OBJECT_CRYPT_H
#define PROXY_OBJECT_CRYPT_H

#include "base/error.h"
#include "base/slice.h"

enum {
    CRYPT_KEY_BYTES = 32,
    CRYPT_TAG_BYTES = 16,
    CRYPT_FRAME_BYTES = 64 * 1024,
    CRYPT_SEALED_BYTES = CRYPT_FRAME_BYTES + CRYPT_TAG_BYTES,
    CRYPT_NONCE_BYTES = 12,
    CRYPT_SALT_BYTES = 16,
    CRYPT_WRAPPED_BYTES = CRYPT_NONCE_BYTES + CRYPT_KEY_BYTES + CRYPT_TAG_BYTES
};

/* In Rs__Encryption.kind; numbers are stored. */
enum encryption_kind { ENCRYPTION_NONE, ENCRYPTION_S3, ENCRYPTION_CUSTOMER };

struct crypt_key {
    uint8_t bytes[CRYPT_KEY_BYTES];
};
void crypt_wipe(struct crypt_key *key);

/* Bytes that 'plain' bytes take when stored, and back. A stored size that no plain size gives: UINT64_MAX. */
uint64_t crypt_stored_size(uint64_t plain);
uint64_t crypt_plain_size(uint64_t stored);

/* Seals 'plain' as frames from number 'first' on, into 'out' (crypt_stored_size(plain.size) bytes). All but the object's
 * last frame are whole; 'ends': the last frame here is the object's last one. An object of 0 bytes has no frames.
 * -ENOMEM, -EINVAL (a partial frame that is not the last). */
int crypt_seal(const struct crypt_key *key, uint64_t first, bool ends, struct slice plain, uint8_t *out);
/* Opens whole frames, the reverse. Nothing is to be shown unless it returns 0: -E_CORRUPT when a tag does not match. */
int crypt_open(const struct crypt_key *key, uint64_t first, bool ends, struct slice stored, uint8_t *out);

/* The key that follows from another one and a salt: HMAC-SHA-256. -ENOMEM. */
int crypt_derive(const struct crypt_key *from, struct slice salt, struct crypt_key *ret_key);

/* Seals a data key by another one. 'nonce' is random, CRYPT_NONCE_BYTES. */
int crypt_wrap(const struct crypt_key *by, const uint8_t *nonce, struct slice context, const struct crypt_key *key,
               uint8_t out[CRYPT_WRAPPED_BYTES]);
/* -E_UNAUTHORIZED: another key, context or a damaged record. */
int crypt_unwrap(const struct crypt_key *by, struct slice context, struct slice wrapped, struct crypt_key *ret_key);

#endif
