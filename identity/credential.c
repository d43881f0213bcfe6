/* identity/credential.c - credentials of users at rest: sealed with AES-256-GCM.
 *
 * The key is one of the record "credential_keys" in the control store, as the
 * keys of tokens are: a credential alone, as it may show in a dump of one key or
 * in a log of the store, says nothing; whoever has the whole store has both. Id,
 * user, project and type are authenticated, so that a sealed blob cannot be moved
 * to another user's record. */
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

#include "base/bytes.h"
#include "identity/private.h"

enum { NONCE_BYTES = 12, TAG_BYTES = 16, AAD_MAX = 4 * (2 + IDENTITY_NAME_MAX) };

void sha256_text(struct slice text, char ret[SHA256_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t           digest[EVP_MAX_MD_SIZE] = { 0 };

    /* It fails only without memory; a hash of zeros then finds nothing, since no access key has it. */
    if (EVP_Digest(text.size ? text.data : (const void *)"", text.size, digest, NULL, EVP_sha256(), NULL) != 1)
        memset(digest, 0, sizeof digest);
    for (int i = 0; i < 32; i++) {
        ret[2 * i] = hex[digest[i] >> 4];
        ret[2 * i + 1] = hex[digest[i] & 15];
    }
    ret[64] = '\0';
}

bool credential_is_ec2(const Rs__IdentityCredential *record)
{
    return strcasecmp(record->type, "ec2") == 0;
}

static const Rs__IdentityKey *key_of(struct identity *identity, const Rs__IdentityCredential *record)
{
    const struct model_object *object = model_find(&identity->model, MODEL_CREDENTIAL_KEYS, "credential_keys");
    const Rs__IdentityKeys    *keys = object ? MODEL_OBJECT(object, Rs__IdentityKeys) : NULL;

    /* Newest first; without a record the newest one. */
    for (size_t i = keys ? keys->n_keys : 0; i > 0; i--) {
        const Rs__IdentityKey *key = keys->keys[i - 1];
        if (key->secret.len == TOKEN_KEY_BYTES && (record == NULL || key->id == record->key_id))
            return key;
    }
    return NULL;
}

/* What is authenticated beside the blob; 0 when it does not fit. */
static int additional(const Rs__IdentityCredential *record, uint8_t out[AAD_MAX])
{
    struct bytes_writer w;

    bytes_writer_init(&w, out, AAD_MAX);
    bytes_put_slice16(&w, slice_str(record->id));
    bytes_put_slice16(&w, slice_str(record->user_id));
    bytes_put_slice16(&w, slice_str(record->project_id));
    bytes_put_slice16(&w, slice_str(record->type));
    return w.failed ? 0 : (int)w.size;
}

int credential_seal(struct identity *identity, Rs__IdentityCredential *record, struct slice blob, struct arena *arena)
{
    const Rs__IdentityKey *key = key_of(identity, NULL);
    uint8_t                aad[AAD_MAX];
    int                    aad_size = additional(record, aad), n = 0, tail = 0, rc = -ENOMEM;

    if (key == NULL)
        return -E_UNAVAILABLE;
    if (aad_size == 0 || blob.size > CREDENTIAL_BLOB_MAX)
        return -E_LIMIT;
    uint8_t        *nonce = arena_alloc(arena, NONCE_BYTES), *sealed = arena_alloc(arena, blob.size + TAG_BYTES);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (nonce == NULL || sealed == NULL || cipher == NULL)
        goto out;
    env_random(identity->env, nonce, NONCE_BYTES);
    if (EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->secret.data, nonce) != 1 ||
        EVP_EncryptUpdate(cipher, NULL, &n, aad, aad_size) != 1 ||
        EVP_EncryptUpdate(cipher, sealed, &n, blob.data, (int)blob.size) != 1 ||
        EVP_EncryptFinal_ex(cipher, sealed + n, &tail) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, sealed + blob.size) != 1)
        goto out;
    record->key_id = key->id;
    record->nonce = (ProtobufCBinaryData) { NONCE_BYTES, nonce };
    record->sealed = (ProtobufCBinaryData) { blob.size + TAG_BYTES, sealed };
    rc = 0;
out:
    EVP_CIPHER_CTX_free(cipher);
    return rc;
}

int credential_open(struct identity *identity, const Rs__IdentityCredential *record, struct arena *arena,
                    struct slice *ret_blob)
{
    const Rs__IdentityKey *key = key_of(identity, record);
    uint8_t                aad[AAD_MAX], tag[TAG_BYTES];
    int                    aad_size = additional(record, aad), n = 0, tail = 0, rc = -E_CORRUPT;

    if (key == NULL || aad_size == 0 || record->nonce.len != NONCE_BYTES || record->sealed.len < TAG_BYTES ||
        record->sealed.len > CREDENTIAL_BLOB_MAX + TAG_BYTES)
        return -E_CORRUPT;
    size_t          size = record->sealed.len - TAG_BYTES;
    uint8_t        *blob = arena_alloc(arena, size + 1);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    memcpy(tag, record->sealed.data + size, TAG_BYTES);
    if (blob == NULL || cipher == NULL)
        rc = -ENOMEM;
    else if (EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->secret.data, record->nonce.data) == 1 &&
             EVP_DecryptUpdate(cipher, NULL, &n, aad, aad_size) == 1 &&
             EVP_DecryptUpdate(cipher, blob, &n, record->sealed.data, (int)size) == 1 &&
             EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
             EVP_DecryptFinal_ex(cipher, blob + n, &tail) == 1)
        rc = 0;
    if (rc == 0)
        *ret_blob = slice_of(blob, size);
    EVP_CIPHER_CTX_free(cipher);
    return rc;
}

/* An access key goes into headers and URLs as it is. */
static bool valid_access(struct slice access)
{
    if (access.size == 0 || access.size > IDENTITY_ACCESS_MAX)
        return false;
    for (size_t i = 0; i < access.size; i++) {
        if (access.data[i] <= ' ' || access.data[i] >= 0x7f || access.data[i] == '/' || access.data[i] == ',')
            return false;
    }
    return true;
}

int credential_parse_ec2(struct slice blob, struct ec2_blob *ret)
{
    json_t      *json;
    struct error err;
    bool         bad = false;

    if (json_parse(blob, &json, &err))
        return -E_SYNTAX;
    struct slice access = json_text(json, "access", &bad), secret = json_text(json, "secret", &bad);
    if (bad || !valid_access(access) || secret.size > IDENTITY_SECRET_MAX) {
        json_decref(json);
        return -E_SYNTAX;
    }
    *ret = (struct ec2_blob) { json, access, secret };
    return 0;
}
