/* identity/access_key.c - the data path of S3: from an access key to who sent it and what checks the signature.
 *
 * Keys that were used lately are kept opened, with the signing keys derived from
 * them. What was found is good until the model changes: then user, project and
 * roles are looked up again, and the secret only when its record changed. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <strings.h>
#include <xxhash.h>

#include "base/counter.h"
#include "base/log.h"
#include "identity/private.h"

COUNTER(identity_keys_checked, "Access keys looked up.");
COUNTER(identity_keys_opened, "Access keys that were not in the cache, or had changed.");
COUNTER(identity_keys_refused, "Access keys that were not valid.");
COUNTER(identity_signing_keys_derived, "Signing keys that were not in the cache.");

enum { SIGNING_WAYS = 4 };   /* Two days around midnight, two regions. */

struct key_cached {
    uint64_t                hash;
    uint64_t                generation;   /* Of the model when 'context' was made from it. */
    uint64_t                revision;     /* Of the credential that the secret is from. */
    uint64_t                used;         /* For choosing whom to replace. */
    int                     code;         /* 0 or -E_UNAUTHORIZED. */
    uint8_t                 access_size;
    uint8_t                 access[IDENTITY_ACCESS_MAX];
    uint16_t                secret_size;
    uint8_t                 secret[IDENTITY_SECRET_MAX];
    uint32_t                signing_next;
    struct {
        uint8_t scope_size;               /* 0: free. */
        uint8_t scope[IDENTITY_SCOPE_MAX];
        uint8_t key[IDENTITY_SIGNING_KEY_BYTES];
    } signing[SIGNING_WAYS];
    struct identity_context context;
};

static void cached_free(struct key_cached *c)
{
    if (c) {
        explicit_bzero(c, sizeof *c);
        free(c);
    }
}

void access_key_cache_clear(struct identity *identity)
{
    for (int set = 0; set < KEY_SETS; set++) {
        for (int way = 0; way < KEY_WAYS; way++) {
            cached_free(identity->keys[set][way]);
            identity->keys[set][way] = NULL;
        }
    }
}

static struct key_cached **cache_find(struct identity *identity, struct slice access, uint64_t hash)
{
    struct key_cached **set = identity->keys[hash % KEY_SETS];

    for (int way = 0; way < KEY_WAYS; way++) {
        if (set[way] && set[way]->hash == hash &&
            slice_equal(slice_of(set[way]->access, set[way]->access_size), access))
            return &set[way];
    }
    return NULL;
}

/* The place of a key that is not in the cache: an empty one, or that of the key not used for longest. */
static struct key_cached **cache_place(struct identity *identity, uint64_t hash)
{
    struct key_cached **set = identity->keys[hash % KEY_SETS], **at = &set[0];

    for (int way = 1; way < KEY_WAYS && *at; way++) {
        if (set[way] == NULL || set[way]->used < (*at)->used)
            at = &set[way];
    }
    return at;
}

/* Reads the secret of a credential into an entry. */
static int fill(struct identity *identity, struct key_cached *c, const struct model_object *object)
{
    struct arena    arena;
    struct slice    blob = SLICE_NONE;
    struct ec2_blob ec2 = { 0 };

    counter_inc(identity_keys_opened);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    int rc = credential_open(identity, MODEL_OBJECT(object, Rs__IdentityCredential), &arena, &blob);
    if (rc)
        log_error("identity.credential", "key=\"%s\" error=%s", object->key, error_name(rc));
    else
        rc = credential_parse_ec2(blob, &ec2);
    explicit_bzero(c->signing, sizeof c->signing);
    c->secret_size = 0;
    if (rc == 0) {
        c->secret_size = (uint16_t)ec2.secret.size;
        if (ec2.secret.size)
            memcpy(c->secret, ec2.secret.data, ec2.secret.size);
        json_decref(ec2.json);
        c->revision = object->mod_revision;
    }
    if (blob.size)
        explicit_bzero((void *)(uintptr_t)blob.data, blob.size);
    arena_done(&arena);
    return rc;
}

/* Who the credential's user is now, as a token of the same scope would say. */
static int resolve(struct identity *identity, const Rs__IdentityCredential *record, struct identity_context *ret)
{
    struct token token = { .scope = TOKEN_PROJECT, .methods = TOKEN_BY_EC2, .issued_us = INT64_MAX,
                           .expires_us = INT64_MAX };

    if (record->project_id[0] == '\0' || strlen(record->user_id) >= sizeof token.user_id ||
        strlen(record->project_id) >= sizeof token.scope_id)
        return -E_UNAUTHORIZED;
    text_copy(token.user_id, sizeof token.user_id, record->user_id);
    text_copy(token.scope_id, sizeof token.scope_id, record->project_id);
    int rc = check_resolve(identity, &token, ret);
    ret->issued_us = ret->issued_s = ret->expires_us = ret->expires_s = 0;
    ret->audit_id[0] = '\0';
    return rc;
}

const struct model_object *credential_of_access(struct identity *identity, struct slice access)
{
    char hash[SHA256_TEXT], key[MODEL_KEY_MAX];

    sha256_text(access, hash);
    const char *id = model_id_of_name(&identity->model, "access", "", hash);
    if (id == NULL || model_key(key, "credential/%s", id))
        return NULL;
    const struct model_object *object = model_find(&identity->model, MODEL_CREDENTIAL, key);
    return object && credential_is_ec2(MODEL_OBJECT(object, Rs__IdentityCredential)) &&
                   strcmp(MODEL_OBJECT(object, Rs__IdentityCredential)->access_hash, hash) == 0
               ? object : NULL;
}

/* Brings an entry, which may be a new one, up to date with the model. */
static int refresh(struct identity *identity, struct key_cached *c, struct slice access)
{
    const struct model_object *object = credential_of_access(identity, access);

    if (object == NULL)
        return -E_UNAUTHORIZED;
    int rc = c->revision == object->mod_revision ? 0 : fill(identity, c, object);
    if (rc)
        return rc;
    c->code = c->secret_size ? resolve(identity, MODEL_OBJECT(object, Rs__IdentityCredential), &c->context)
                             : -E_UNAUTHORIZED;
    c->generation = identity->model.generation;
    return 0;
}

/* The entry of an access key; NULL: there is no such key. Only keys that exist displace others. */
static struct key_cached *look(struct identity *identity, struct slice access)
{
    counter_inc(identity_keys_checked);
    if (access.size == 0 || access.size > IDENTITY_ACCESS_MAX)
        return NULL;
    uint64_t            hash = XXH3_64bits_withSeed(access.data, access.size, identity->cache_seed);
    struct key_cached **at = cache_find(identity, access, hash);
    struct key_cached  *c = at ? *at : NULL;
    if (c == NULL || c->generation != identity->model.generation) {
        if (c == NULL && credential_of_access(identity, access) == NULL)
            return NULL;
        if (c == NULL && (c = calloc(1, sizeof *c)) == NULL)
            return NULL;
        if (refresh(identity, c, access)) {
            cached_free(c);
            if (at)
                *at = NULL;
            return NULL;
        }
        if (at == NULL) {
            c->hash = hash;
            c->access_size = (uint8_t)access.size;
            memcpy(c->access, access.data, access.size);
            at = cache_place(identity, hash);
            cached_free(*at);
            *at = c;
        }
    }
    c->used = ++identity->cache_clock;
    return c;
}

static struct key_cached *look_valid(struct identity *identity, struct slice access)
{
    struct key_cached *c = look(identity, access);

    if (c && c->code == 0)
        return c;
    counter_inc(identity_keys_refused);
    return NULL;
}

int identity_s3_key(struct identity *identity, struct slice access_key, const struct identity_context **ret_who,
                    struct slice *ret_secret)
{
    const struct key_cached *c = look_valid(identity, access_key);

    if (c == NULL)
        return -E_UNAUTHORIZED;
    *ret_who = &c->context;
    *ret_secret = slice_of(c->secret, c->secret_size);
    return 0;
}

/* --- Signing keys. --- */

static int hmac(const uint8_t *key, size_t key_size, struct slice text, uint8_t out[IDENTITY_SIGNING_KEY_BYTES])
{
    uint8_t  digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (HMAC(EVP_sha256(), key, (int)key_size, text.data, text.size, digest, &size) == NULL ||
        size != IDENTITY_SIGNING_KEY_BYTES)
        return -ENOMEM;
    memcpy(out, digest, IDENTITY_SIGNING_KEY_BYTES);
    explicit_bzero(digest, sizeof digest);
    return 0;
}

int access_key_derive(struct slice secret, struct slice date, struct slice region, struct slice service,
                      uint8_t ret_key[IDENTITY_SIGNING_KEY_BYTES])
{
    uint8_t first[4 + IDENTITY_SECRET_MAX] = "AWS4", key[IDENTITY_SIGNING_KEY_BYTES];

    if (secret.size == 0 || secret.size > IDENTITY_SECRET_MAX)
        return -E_LIMIT;
    memcpy(first + 4, secret.data, secret.size);
    int rc = hmac(first, 4 + secret.size, date, key);
    if (rc == 0)
        rc = hmac(key, sizeof key, region, key);
    if (rc == 0)
        rc = hmac(key, sizeof key, service, key);
    if (rc == 0)
        rc = hmac(key, sizeof key, SLICE("aws4_request"), key);
    if (rc == 0)
        memcpy(ret_key, key, sizeof key);
    explicit_bzero(first, sizeof first);
    explicit_bzero(key, sizeof key);
    return rc;
}

int identity_s3_signing_key(struct identity *identity, struct slice access_key, struct slice date, struct slice region,
                            struct slice service, const struct identity_context **ret_who,
                            uint8_t ret_key[IDENTITY_SIGNING_KEY_BYTES])
{
    struct slice       parts[3] = { date, region, service };
    uint8_t            scope[IDENTITY_SCOPE_MAX];
    size_t             size = 0;

    for (int i = 0; i < 3; i++) {
        if (parts[i].size + 1 > sizeof scope - size)
            return -E_LIMIT;
        if (parts[i].size)
            memcpy(scope + size, parts[i].data, parts[i].size);
        size += parts[i].size;
        scope[size++] = '/';
    }
    struct key_cached *c = look_valid(identity, access_key);
    if (c == NULL)
        return -E_UNAUTHORIZED;
    for (int i = 0; i < SIGNING_WAYS; i++) {
        if (slice_equal(slice_of(c->signing[i].scope, c->signing[i].scope_size), slice_of(scope, size))) {
            memcpy(ret_key, c->signing[i].key, IDENTITY_SIGNING_KEY_BYTES);
            *ret_who = &c->context;
            return 0;
        }
    }
    uint8_t key[IDENTITY_SIGNING_KEY_BYTES];
    int     rc = access_key_derive(slice_of(c->secret, c->secret_size), date, region, service, key);
    if (rc)
        return rc;
    counter_inc(identity_signing_keys_derived);
    int at = (int)(c->signing_next++ % SIGNING_WAYS);
    memcpy(c->signing[at].scope, scope, size);
    c->signing[at].scope_size = (uint8_t)size;
    memcpy(c->signing[at].key, key, sizeof key);
    memcpy(ret_key, key, sizeof key);
    explicit_bzero(key, sizeof key);
    *ret_who = &c->context;
    return 0;
}

/* --- Projects, for owners and grants. --- */

int identity_project(struct identity *identity, struct slice project_id, struct identity_project *ret_project)
{
    char id[IDENTITY_ID_MAX];

    if (project_id.size == 0 || project_id.size >= sizeof id || memchr(project_id.data, '\0', project_id.size))
        return -ENOENT;
    memcpy(id, project_id.data, project_id.size);
    id[project_id.size] = '\0';
    const Rs__IdentityProject *project = model_project(&identity->model, id);
    if (project == NULL)
        return -ENOENT;
    const Rs__IdentityDomain *domain = model_domain(&identity->model, project->domain_id);
    *ret_project = (struct identity_project) { project->id, project->name, project->domain_id,
                                               domain ? domain->name : "",
                                               project->enabled && domain && domain->enabled };
    return 0;
}

int identity_project_of_email(struct identity *identity, struct slice email, struct identity_project *ret_project)
{
    const char *found = NULL;

    if (email.size == 0 || email.size > IDENTITY_EMAIL_MAX)
        return -ENOENT;
    for (const struct model_object *o = identity->model.first[MODEL_USER]; o; o = o->after) {
        const Rs__IdentityUser *user = MODEL_OBJECT(o, Rs__IdentityUser);
        if (strlen(user->email) != email.size || user->default_project_id[0] == '\0' ||
            strncasecmp(user->email, (const char *)email.data, email.size) != 0)
            continue;
        if (found && strcmp(found, user->default_project_id) != 0)
            return -E_CONFLICT;
        found = user->default_project_id;
    }
    return found ? identity_project(identity, slice_str(found), ret_project) : -ENOENT;
}

const char *identity_domain_id(struct identity *identity, const char *name)
{
    return model_domain(&identity->model, name) ? name : model_id_of_name(&identity->model, "domain", "", name);
}

const char *identity_project_id(struct identity *identity, const char *name)
{
    return model_id_of_name(&identity->model, "project", DOMAIN_DEFAULT, name);
}
