/* identity/token.h - sealed tokens: what is in them, and the keys that seal them.
 *
 *   base64url( version 1 | key id, 4 bytes | nonce, 12 | AES-256-GCM of the payload | tag, 16 )
 *
 * Version and key id are authenticated too. Keys rotate: a new key opens tokens
 * at once and seals them only TOKEN_KEY_SETTLE_S after it was made, when every
 * process has it; a key is dropped when no token that it sealed can be alive. */
#ifndef IDENTITY_TOKEN_H
#define IDENTITY_TOKEN_H

#include "base/error.h"
#include "base/slice.h"
#include "identity/identity.h"

enum {
    TOKEN_KEYS_MAX = 16,
    TOKEN_KEY_BYTES = 32,
    TOKEN_AUDIT_BYTES = 16,
    TOKEN_KEY_SETTLE_S = 300,
    TOKEN_KEY_ROTATE_S = 24 * 3600
};

enum token_scope { TOKEN_UNSCOPED, TOKEN_PROJECT, TOKEN_DOMAIN };
enum token_method { TOKEN_BY_PASSWORD = 1, TOKEN_BY_TOKEN = 2, TOKEN_BY_EC2 = 4 };   /* Bits. */

struct token {
    char             user_id[IDENTITY_ID_MAX];
    enum token_scope scope;
    char             scope_id[IDENTITY_ID_MAX];
    uint8_t          methods;
    int64_t          issued_us, expires_us;         /* Unix. */
    uint8_t          audit[TOKEN_AUDIT_BYTES];
    bool             has_parent;
    uint8_t          parent[TOKEN_AUDIT_BYTES];     /* Of the first token of the chain. */
};

struct token_ring;
struct token_ring *token_ring_new(void);
struct token_ring *token_ring_free(struct token_ring *ring);
/* Adds a key; those not mentioned since token_ring_begin() go at token_ring_end(). -E_LIMIT, -ENOMEM. */
void token_ring_begin(struct token_ring *ring);
int  token_ring_add(struct token_ring *ring, uint32_t id, const uint8_t secret[TOKEN_KEY_BYTES], int64_t created_s);
void token_ring_end(struct token_ring *ring);

/* 'ret_text' is NUL-terminated. -E_UNAVAILABLE without a key. */
int token_seal(struct token_ring *ring, struct env *env, const struct token *token, char ret_text[TOKEN_TEXT_MAX]);
/* -E_UNAUTHORIZED: not sealed by us, or damaged. Says nothing about expiry or revocation. */
int token_unseal(struct token_ring *ring, struct slice text, struct token *ret_token);

/* base64url without padding; what audit ids look like. 'out' holds 4/3 of the size and a NUL. */
size_t token_base64(char *out, const uint8_t *data, size_t size);
int    token_unbase64(uint8_t *out, size_t capacity, struct slice text, size_t *ret_size);   /* -E_SYNTAX */

#endif
