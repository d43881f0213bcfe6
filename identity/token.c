/* identity/token.c - see token.h. */
#include "identity/token.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/bytes.h"

enum { VERSION = 1, NONCE_BYTES = 12, TAG_BYTES = 16, HEAD_BYTES = 5, PAYLOAD_MAX = 512 };
enum { SEALED_MAX = HEAD_BYTES + NONCE_BYTES + PAYLOAD_MAX + TAG_BYTES };
_Static_assert(SEALED_MAX * 4 / 3 + 4 < TOKEN_TEXT_MAX, "every token fits its text");

enum { FLAG_USER_HEX = 1, FLAG_SCOPE_HEX = 2, FLAG_PARENT = 4 };

struct token_key {
    uint32_t        id;
    int64_t         created_s;
    bool            seen;
    EVP_CIPHER_CTX *seal, *open;   /* With the key scheduled; only the nonce changes. */
};

struct token_ring {
    struct token_key key[TOKEN_KEYS_MAX];
    uint32_t         count;
};

/* --- base64url. --- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t token_base64(char *out, const uint8_t *data, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i += 3) {
        size_t   left = size - i;
        uint32_t v = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        out[n++] = alphabet[v >> 18];
        out[n++] = alphabet[v >> 12 & 63];
        if (left > 1)
            out[n++] = alphabet[v >> 6 & 63];
        if (left > 2)
            out[n++] = alphabet[v & 63];
    }
    out[n] = '\0';
    return n;
}

static int digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int token_unbase64(uint8_t *out, size_t capacity, struct slice text, size_t *ret_size)
{
    uint32_t v = 0, bits = 0;
    size_t   n = 0;

    if (text.size % 4 == 1)
        return -E_SYNTAX;
    for (size_t i = 0; i < text.size; i++) {
        int d = digit(text.data[i]);
        if (d < 0)
            return -E_SYNTAX;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (n == capacity)
                return -E_SYNTAX;
            out[n++] = (uint8_t)(v >> bits);
            v &= (1u << bits) - 1;
        }
    }
    /* One text for one value: bits left over are zero. */
    if (v)
        return -E_SYNTAX;
    *ret_size = n;
    return 0;
}

/* --- Keys. --- */

struct token_ring *token_ring_new(void)
{
    return calloc(1, sizeof(struct token_ring));
}

static void key_done(struct token_key *key)
{
    EVP_CIPHER_CTX_free(key->seal);
    EVP_CIPHER_CTX_free(key->open);
    memset(key, 0, sizeof *key);
}

struct token_ring *token_ring_free(struct token_ring *ring)
{
    if (ring) {
        for (uint32_t i = 0; i < ring->count; i++)
            key_done(&ring->key[i]);
        free(ring);
    }
    return NULL;
}

void token_ring_begin(struct token_ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++)
        ring->key[i].seen = false;
}

int token_ring_add(struct token_ring *ring, uint32_t id, const uint8_t secret[TOKEN_KEY_BYTES], int64_t created_s)
{
    for (uint32_t i = 0; i < ring->count; i++) {
        if (ring->key[i].id == id) {
            ring->key[i].seen = true;
            return 0;
        }
    }
    if (ring->count == TOKEN_KEYS_MAX)
        return -E_LIMIT;
    struct token_key *key = &ring->key[ring->count];
    *key = (struct token_key) { id, created_s, true, EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_new() };
    if (key->seal == NULL || key->open == NULL ||
        EVP_EncryptInit_ex(key->seal, EVP_aes_256_gcm(), NULL, secret, NULL) != 1 ||
        EVP_DecryptInit_ex(key->open, EVP_aes_256_gcm(), NULL, secret, NULL) != 1) {
        key_done(key);
        return -ENOMEM;
    }
    ring->count++;
    return 0;
}

void token_ring_end(struct token_ring *ring)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ring->count; i++) {
        if (!ring->key[i].seen)
            key_done(&ring->key[i]);
        else
            ring->key[kept++] = ring->key[i];
    }
    ring->count = kept;
}

/* The newest key that everybody has by now; at first there is only a fresh one. */
static struct token_key *sealing_key(struct token_ring *ring, int64_t now_s)
{
    struct token_key *best = NULL, *oldest = NULL;

    for (uint32_t i = 0; i < ring->count; i++) {
        struct token_key *key = &ring->key[i];
        if (oldest == NULL || key->created_s < oldest->created_s)
            oldest = key;
        if (key->created_s + TOKEN_KEY_SETTLE_S <= now_s && (best == NULL || key->created_s > best->created_s))
            best = key;
    }
    return best ? best : oldest;
}

/* --- The payload. --- */

/* 32 lower-case hex digits, as ids that we make, become 16 bytes. */
static bool hex_pack(const char *id, uint8_t out[16])
{
    for (int i = 0; i < 32; i++) {
        int d = id[i] >= '0' && id[i] <= '9' ? id[i] - '0' : id[i] >= 'a' && id[i] <= 'f' ? id[i] - 'a' + 10 : -1;
        if (d < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | d : d << 4);
    }
    return id[32] == '\0';
}

static void put_id(struct bytes_writer *w, const char *id, bool hex, const uint8_t packed[16])
{
    if (hex) {
        bytes_put(w, packed, 16);
    } else {
        bytes_put_u8(w, (uint8_t)strlen(id));
        bytes_put(w, id, strlen(id));
    }
}

static void get_id(struct bytes_reader *r, bool hex, char out[IDENTITY_ID_MAX])
{
    struct slice bytes = bytes_take(r, hex ? 16 : bytes_u8(r));

    if (r->failed || (!hex && (bytes.size >= IDENTITY_ID_MAX || memchr(bytes.data, 0, bytes.size)))) {
        r->failed = true;
        return;
    }
    if (!hex) {
        memcpy(out, bytes.data, bytes.size);
        out[bytes.size] = '\0';
        return;
    }
    for (int i = 0; i < 16; i++) {
        out[2 * i] = "0123456789abcdef"[bytes.data[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes.data[i] & 15];
    }
    out[32] = '\0';
}

static size_t pack(const struct token *token, uint8_t out[PAYLOAD_MAX])
{
    struct bytes_writer w;
    uint8_t             user[16], scope[16];
    bool                user_hex = hex_pack(token->user_id, user);
    bool                scope_hex = token->scope != TOKEN_UNSCOPED && hex_pack(token->scope_id, scope);

    bytes_writer_init(&w, out, PAYLOAD_MAX);
    bytes_put_u8(&w, (uint8_t)((user_hex ? FLAG_USER_HEX : 0) | (scope_hex ? FLAG_SCOPE_HEX : 0) |
                               (token->has_parent ? FLAG_PARENT : 0)));
    bytes_put_u8(&w, (uint8_t)token->scope);
    bytes_put_u8(&w, token->methods);
    bytes_put_u64be(&w, (uint64_t)token->issued_us);
    bytes_put_u64be(&w, (uint64_t)token->expires_us);
    bytes_put(&w, token->audit, TOKEN_AUDIT_BYTES);
    if (token->has_parent)
        bytes_put(&w, token->parent, TOKEN_AUDIT_BYTES);
    put_id(&w, token->user_id, user_hex, user);
    if (token->scope != TOKEN_UNSCOPED)
        put_id(&w, token->scope_id, scope_hex, scope);
    return w.failed ? 0 : w.size;
}

static int unpack(struct slice payload, struct token *ret)
{
    struct bytes_reader r;
    struct slice        audit, parent = SLICE_NONE;

    memset(ret, 0, sizeof *ret);
    bytes_reader_init(&r, payload);
    uint8_t flags = bytes_u8(&r), scope = bytes_u8(&r);
    ret->methods = bytes_u8(&r);
    ret->issued_us = (int64_t)bytes_u64be(&r);
    ret->expires_us = (int64_t)bytes_u64be(&r);
    audit = bytes_take(&r, TOKEN_AUDIT_BYTES);
    if (flags & FLAG_PARENT)
        parent = bytes_take(&r, TOKEN_AUDIT_BYTES);
    get_id(&r, flags & FLAG_USER_HEX, ret->user_id);
    if (scope != TOKEN_UNSCOPED)
        get_id(&r, flags & FLAG_SCOPE_HEX, ret->scope_id);
    if (!bytes_done(&r) || scope > TOKEN_DOMAIN)
        return -E_UNAUTHORIZED;
    ret->scope = scope;
    memcpy(ret->audit, audit.data, TOKEN_AUDIT_BYTES);
    ret->has_parent = flags & FLAG_PARENT;
    if (ret->has_parent)
        memcpy(ret->parent, parent.data, TOKEN_AUDIT_BYTES);
    return 0;
}

/* --- Sealing. --- */

int token_seal(struct token_ring *ring, struct env *env, const struct token *token, char ret_text[TOKEN_TEXT_MAX])
{
    struct token_key *key = sealing_key(ring, env_wall(env) / NS_PER_S);
    uint8_t           payload[PAYLOAD_MAX], sealed[SEALED_MAX];
    size_t            size = pack(token, payload);
    int               n = 0, tail = 0, aad = 0;

    if (key == NULL)
        return -E_UNAVAILABLE;
    if (size == 0)
        return -E_LIMIT;
    sealed[0] = VERSION;
    put_u32be(sealed + 1, key->id);
    env_random(env, sealed + HEAD_BYTES, NONCE_BYTES);
    uint8_t *body = sealed + HEAD_BYTES + NONCE_BYTES;
    if (EVP_EncryptInit_ex(key->seal, NULL, NULL, NULL, sealed + HEAD_BYTES) != 1 ||
        EVP_EncryptUpdate(key->seal, NULL, &aad, sealed, HEAD_BYTES) != 1 ||
        EVP_EncryptUpdate(key->seal, body, &n, payload, (int)size) != 1 ||
        EVP_EncryptFinal_ex(key->seal, body + n, &tail) != 1 ||
        EVP_CIPHER_CTX_ctrl(key->seal, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + size) != 1)
        return -ENOMEM;
    token_base64(ret_text, sealed, HEAD_BYTES + NONCE_BYTES + size + TAG_BYTES);
    return 0;
}

int token_unseal(struct token_ring *ring, struct slice text, struct token *ret_token)
{
    uint8_t           sealed[SEALED_MAX], payload[PAYLOAD_MAX + 16];
    struct token_key *key = NULL;
    struct token      token;
    size_t            size;
    int               n = 0, tail = 0, aad = 0;

    if (token_unbase64(sealed, sizeof sealed, text, &size) || size < HEAD_BYTES + NONCE_BYTES + TAG_BYTES ||
        sealed[0] != VERSION)
        return -E_UNAUTHORIZED;
    for (uint32_t i = 0; i < ring->count; i++) {
        if (ring->key[i].id == get_u32be(sealed + 1))
            key = &ring->key[i];
    }
    if (key == NULL)
        return -E_UNAUTHORIZED;
    size_t   body_size = size - HEAD_BYTES - NONCE_BYTES - TAG_BYTES;
    uint8_t *body = sealed + HEAD_BYTES + NONCE_BYTES;
    if (EVP_DecryptInit_ex(key->open, NULL, NULL, NULL, sealed + HEAD_BYTES) != 1 ||
        EVP_DecryptUpdate(key->open, NULL, &aad, sealed, HEAD_BYTES) != 1 ||
        EVP_DecryptUpdate(key->open, payload, &n, body, (int)body_size) != 1 ||
        EVP_CIPHER_CTX_ctrl(key->open, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, body + body_size) != 1 ||
        EVP_DecryptFinal_ex(key->open, payload + n, &tail) != 1)
        return -E_UNAUTHORIZED;
    int rc = unpack(slice_of(payload, body_size), &token);
    if (rc == 0)
        *ret_token = token;
    return rc;
}
