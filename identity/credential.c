/* identity/credential.c - credentials of users at rest: sealed with AES-256-GCM.
 *
 * The key is one of the record "credential_keys" in the control store, as the
 * keys of tokens are: a credential alone, as it may show in a dump of one key or
 * in a log of the store, says nothing; whoever has the whole store has both. Id,
 * user, project and type are authenticated, so that a sealed blob cannot be moved
 * to another user's record. */
#include <openssl/evp.h>
#include <stdlib.h>
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

struct slice credential_ec2_text(struct arena *arena, struct slice access, struct slice secret)
{
    json_t *json = json_pack("{s:s%, s:s%, s:n}", "access", (const char *)access.data, access.size, "secret",
                             (const char *)secret.data, secret.size, "trust_id");
    char        *text = json ? json_dumps(json, 0) : NULL;
    struct slice copy = text ? arena_dup(arena, slice_str(text)) : SLICE_NONE;

    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    json_decref(json);
    return copy;
}

uint32_t credential_count(struct identity *identity, const char *user_id)
{
    uint32_t count = 0;

    for (const struct model_object *o = identity->model.first[MODEL_CREDENTIAL]; o; o = o->after)
        count += strcmp(MODEL_OBJECT(o, Rs__IdentityCredential)->user_id, user_id) == 0;
    return count;
}

int credential_create_ec2(struct identity *identity, struct arena *arena, const char *user_id, const char *project_id,
                          struct slice access, struct slice secret)
{
    Rs__IdentityCredential record = RS__IDENTITY_CREDENTIAL__INIT;
    struct api_write      *w = arena_new(arena, struct api_write);
    char                   hash[SHA256_TEXT];
    struct slice           blob = credential_ec2_text(arena, access, secret);

    if (w == NULL || blob.data == NULL)
        return -ENOMEM;
    if (!valid_access(access) || secret.size == 0 || secret.size > IDENTITY_SECRET_MAX || !http_valid_utf8(secret) ||
        strlen(user_id) >= IDENTITY_ID_MAX || strlen(project_id) >= IDENTITY_ID_MAX ||
        credential_count(identity, user_id) >= CREDENTIALS_MAX)
        return -E_LIMIT;
    if (model_user(&identity->model, user_id) == NULL || model_project(&identity->model, project_id) == NULL)
        return -ENOENT;
    sha256_text(access, hash);
    record.id = record.access_hash = hash;
    record.user_id = (char *)(uintptr_t)user_id;
    record.project_id = (char *)(uintptr_t)project_id;
    record.type = (char *)(uintptr_t)"ec2";
    int rc = credential_seal(identity, &record, blob, arena);
    explicit_bzero((void *)(uintptr_t)blob.data, blob.size);
    if (rc)
        return rc;
    api_write_init(w, arena);
    api_require(w, CONTROL_IF_MISSING, 0, "credential/%s", hash);
    api_require(w, CONTROL_IF_EXISTS, 0, "user/%s", user_id);
    api_require(w, CONTROL_IF_EXISTS, 0, "project/%s", project_id);
    api_put(w, &record.base, "credential/%s", hash);
    api_put_name(w, hash, "access", "", hash);
    return api_write_commit(w, identity);
}

int identity_create_key(struct identity *identity, const char *user_id, const char *project_id,
                        struct slice access_key, struct slice secret)
{
    struct arena arena;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    int rc = credential_create_ec2(identity, &arena, user_id, project_id, access_key, secret);
    arena_done(&arena);
    return rc;
}
