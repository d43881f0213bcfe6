/* identity/check.c - from a token's text to who its bearer is.
 *
 * A token says who asked and for which scope; names, roles and whether all of it
 * is still enabled are looked up in the model, so that a change counts at once.
 * What was found is cached until the model changes. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/counter.h"
#include "identity/private.h"

COUNTER(identity_tokens_checked, "Tokens checked.");
COUNTER(identity_tokens_unsealed, "Tokens that were not in the cache.");
COUNTER(identity_tokens_refused, "Tokens that were not valid.");

enum { IMPLIED_DEPTH_MAX = 8 };

bool identity_has_role(const struct identity_context *who, const char *role)
{
    for (uint32_t i = 0; who && i < who->role_count; i++) {
        if (strcmp(who->roles[i], role) == 0)
            return true;
    }
    return false;
}

static void add_role(struct identity *identity, const char *id, int depth, struct identity_context *ret)
{
    const Rs__IdentityRole *role = model_role(&identity->model, id);

    if (role == NULL || depth == IMPLIED_DEPTH_MAX || identity_has_role(ret, role->name) ||
        ret->role_count == IDENTITY_ROLES_MAX || strlen(role->name) >= sizeof ret->roles[0])
        return;
    text_copy(ret->roles[ret->role_count++], sizeof ret->roles[0], role->name);
    for (size_t i = 0; i < role->n_implies; i++)
        add_role(identity, role->implies[i], depth + 1, ret);
}

void check_roles(struct identity *identity, char target_kind, const char *target, const char *user,
                 struct identity_context *ret)
{
    const Rs__IdentityGrant *grant = model_grant(&identity->model, target_kind, target, user);

    for (size_t i = 0; grant && i < grant->n_role_ids; i++)
        add_role(identity, grant->role_ids[i], 0, ret);
}

static bool domain_enabled(struct identity *identity, const char *id)
{
    const Rs__IdentityDomain *domain = model_domain(&identity->model, id);
    return domain && domain->enabled;
}

static int resolve_scope(struct identity *identity, const struct token *token, struct identity_context *ret)
{
    if (token->scope == TOKEN_PROJECT) {
        const Rs__IdentityProject *project = model_project(&identity->model, token->scope_id);
        if (project == NULL || !project->enabled || !domain_enabled(identity, project->domain_id))
            return -E_UNAUTHORIZED;
        text_copy(ret->project_id, sizeof ret->project_id, project->id);
        text_copy(ret->project_name, sizeof ret->project_name, project->name);
        text_copy(ret->project_domain_id, sizeof ret->project_domain_id, project->domain_id);
        check_roles(identity, 'p', project->id, token->user_id, ret);
    } else if (token->scope == TOKEN_DOMAIN) {
        if (!domain_enabled(identity, token->scope_id))
            return -E_UNAUTHORIZED;
        text_copy(ret->domain_id, sizeof ret->domain_id, token->scope_id);
        check_roles(identity, 'd', token->scope_id, token->user_id, ret);
    }
    return token->scope == TOKEN_UNSCOPED || ret->role_count ? 0 : -E_UNAUTHORIZED;
}

int check_resolve(struct identity *identity, const struct token *token, struct identity_context *ret)
{
    const Rs__IdentityUser *user = model_user(&identity->model, token->user_id);

    memset(ret, 0, sizeof *ret);
    if (token->expires_us <= env_wall(identity->env) / NS_PER_US)
        return -E_UNAUTHORIZED;
    if (user == NULL || !user->enabled || !domain_enabled(identity, user->domain_id) ||
        token->issued_us < user->tokens_after_us)
        return -E_UNAUTHORIZED;
    token_base64(ret->audit_id, token->audit, TOKEN_AUDIT_BYTES);
    if (token->has_parent)
        token_base64(ret->parent_audit_id, token->parent, TOKEN_AUDIT_BYTES);
    if (model_revoked(&identity->model, ret->audit_id))
        return -E_UNAUTHORIZED;
    text_copy(ret->user_id, sizeof ret->user_id, user->id);
    text_copy(ret->user_name, sizeof ret->user_name, user->name);
    text_copy(ret->user_domain_id, sizeof ret->user_domain_id, user->domain_id);
    ret->issued_us = token->issued_us;
    ret->expires_us = token->expires_us;
    ret->issued_s = token->issued_us / 1000000;
    ret->expires_s = token->expires_us / 1000000;
    ret->methods = token->methods;
    return resolve_scope(identity, token, ret);
}

/* --- The cache. --- */

static void cached_free(struct cached *c)
{
    if (c) {
        free(c->text);
        free(c);
    }
}

void check_cache_clear(struct identity *identity)
{
    for (int set = 0; set < CACHE_SETS; set++) {
        for (int way = 0; way < CACHE_WAYS; way++) {
            cached_free(identity->cache[set][way]);
            identity->cache[set][way] = NULL;
        }
    }
}

static struct cached **cache_find(struct identity *identity, struct slice text, uint64_t hash)
{
    struct cached **set = identity->cache[hash % CACHE_SETS];

    for (int way = 0; way < CACHE_WAYS; way++) {
        if (set[way] && set[way]->hash == hash && set[way]->size == text.size &&
            CRYPTO_memcmp(set[way]->text, text.data, text.size) == 0)
            return &set[way];
    }
    return NULL;
}

/* Remembers a token that we sealed; only those, so that made-up ones displace nothing. */
static struct cached *cache_add(struct identity *identity, struct slice text, uint64_t hash,
                                const struct token *token)
{
    struct cached **set = identity->cache[hash % CACHE_SETS], **at = &set[0];

    for (int way = 1; way < CACHE_WAYS && *at; way++) {
        if (set[way] == NULL || set[way]->used < (*at)->used)
            at = &set[way];
    }
    struct cached *c = calloc(1, sizeof *c);
    char          *copy = malloc(text.size);
    if (c == NULL || copy == NULL) {
        free(c);
        free(copy);
        return NULL;
    }
    memcpy(copy, text.data, text.size);
    *c = (struct cached) { .hash = hash, .text = copy, .size = text.size, .token = *token,
                           .generation = UINT64_MAX };
    cached_free(*at);
    *at = c;
    return c;
}

/* The cache entry of a token of ours, its context up to date; NULL: not ours, or no memory. */
static struct cached *look(struct identity *identity, struct slice text)
{
    struct token token;

    counter_inc(identity_tokens_checked);
    if (text.size == 0 || text.size >= TOKEN_TEXT_MAX)
        return NULL;
    uint64_t        hash = XXH3_64bits_withSeed(text.data, text.size, identity->cache_seed);
    struct cached **at = cache_find(identity, text, hash);
    struct cached  *c = at ? *at : NULL;
    if (c == NULL) {
        counter_inc(identity_tokens_unsealed);
        if (token_unseal(identity->ring, text, &token) == 0)
            c = cache_add(identity, text, hash, &token);
        if (c == NULL)
            return NULL;
    }
    c->used = ++identity->cache_clock;
    if (c->generation != identity->model.generation) {
        c->code = check_resolve(identity, &c->token, &c->context);
        c->generation = identity->model.generation;
    }
    if (c->code == 0 && c->token.expires_us <= env_wall(identity->env) / NS_PER_US)
        c->code = -E_UNAUTHORIZED;
    return c;
}

int identity_check_token(struct identity *identity, struct slice token, struct identity_context *ret_context)
{
    const struct cached *c = look(identity, token);

    if (c == NULL || c->code) {
        counter_inc(identity_tokens_refused);
        return -E_UNAUTHORIZED;
    }
    *ret_context = c->context;
    return 0;
}

const struct identity_context *identity_of_request(struct identity *identity, const struct http_request *rq,
                                                   bool *ret_present)
{
    struct slice token = http_header(rq, "X-Auth-Token");

    if (token.size == 0)
        token = http_header(rq, "X-Storage-Token");
    *ret_present = token.size > 0;
    if (token.size == 0)
        return NULL;
    const struct cached *c = look(identity, token);
    if (c && c->code == 0)
        return &c->context;
    counter_inc(identity_tokens_refused);
    return NULL;
}
