/* identity/login.c - tokens are made here: by password, or from another token. */
#include <stdlib.h>

#include "base/counter.h"
#include "identity/private.h"

COUNTER(identity_logins, "Tokens issued for a password.");
COUNTER(identity_logins_failed, "Logins refused.");

/* A client's text for a lookup: "" when it cannot be a name. */
static void take(struct slice text, char out[IDENTITY_NAME_MAX + 1])
{
    if (text.size > IDENTITY_NAME_MAX || (text.size && memchr(text.data, '\0', text.size)))
        text.size = 0;
    if (text.size)
        memcpy(out, text.data, text.size);
    out[text.size] = '\0';
}

/* A domain by id or name; empty: Default. NULL when there is none. */
static const char *domain_of(struct identity *identity, struct slice text)
{
    char name[IDENTITY_NAME_MAX + 1];

    if (text.size == 0)
        return DOMAIN_DEFAULT;
    take(text, name);
    const Rs__IdentityDomain *domain = model_domain(&identity->model, name);
    return domain ? domain->id : model_id_of_name(&identity->model, "domain", "", name);
}

static const Rs__IdentityUser *user_of(struct identity *identity, const struct identity_login *login)
{
    char name[IDENTITY_NAME_MAX + 1];

    if (login->user_id.size) {
        take(login->user_id, name);
        return model_user(&identity->model, name);
    }
    const char *domain = domain_of(identity, login->user_domain);
    take(login->user_name, name);
    const char *id = domain ? model_id_of_name(&identity->model, "user", domain, name) : NULL;
    return id ? model_user(&identity->model, id) : NULL;
}

static const char *project_of(struct identity *identity, const struct identity_login *login)
{
    char name[IDENTITY_NAME_MAX + 1];

    if (login->project_id.size) {
        take(login->project_id, name);
        const Rs__IdentityProject *project = model_project(&identity->model, name);
        return project ? project->id : NULL;
    }
    const char *domain = domain_of(identity, login->project_domain);
    take(login->project_name, name);
    return domain ? model_id_of_name(&identity->model, "project", domain, name) : NULL;
}

/* -E_UNAUTHORIZED when the scope does not exist; whether the user has a role there is checked afterwards. */
static int choose_scope(struct identity *identity, const struct identity_login *login, struct token *token,
                        bool *ret_default)
{
    const char *id = NULL;

    *ret_default = false;
    token->scope = TOKEN_UNSCOPED;
    if (login->unscoped)
        return 0;
    if (login->project_id.size || login->project_name.size) {
        token->scope = TOKEN_PROJECT;
        id = project_of(identity, login);
    } else if (login->domain.size) {
        token->scope = TOKEN_DOMAIN;
        id = domain_of(identity, login->domain);
    } else {
        const Rs__IdentityUser *user = model_user(&identity->model, token->user_id);
        if (user == NULL || user->default_project_id[0] == '\0')
            return 0;
        *ret_default = true;
        token->scope = TOKEN_PROJECT;
        id = user->default_project_id;
    }
    if (id == NULL || strlen(id) >= sizeof token->scope_id)
        return -E_UNAUTHORIZED;
    text_copy(token->scope_id, sizeof token->scope_id, id);
    return 0;
}

static int issue(struct identity *identity, const struct identity_login *login, struct token *token,
                 char ret_text[TOKEN_TEXT_MAX], struct identity_context *ret_context, struct error *err)
{
    struct identity_context context;
    bool                    by_default;

    env_random(identity->env, token->audit, sizeof token->audit);
    int rc = choose_scope(identity, login, token, &by_default);
    if (rc == 0)
        rc = check_resolve(identity, token, &context);
    if (rc == -E_UNAUTHORIZED && by_default) {
        /* As Keystone: a default project without a role there gives an unscoped token. */
        token->scope = TOKEN_UNSCOPED;
        rc = check_resolve(identity, token, &context);
    }
    if (rc)
        return error_set(err, rc, "no such scope, or no role there");
    rc = token_seal(identity->ring, identity->env, token, ret_text);
    if (rc)
        return error_set(err, rc, "no token can be sealed");
    *ret_context = context;
    return 0;
}

/* What names the user in the table of failures, known or not. */
static struct slice guess_name(const struct identity_login *login, char out[2 * IDENTITY_NAME_MAX + 2])
{
    struct slice a = login->user_id.size ? login->user_id : login->user_name;
    struct slice b = login->user_id.size ? SLICE_NONE : login->user_domain;
    size_t       n = a.size < IDENTITY_NAME_MAX ? a.size : IDENTITY_NAME_MAX, m;

    if (n)
        memcpy(out, a.data, n);
    out[n] = '\0';
    m = b.size < IDENTITY_NAME_MAX ? b.size : IDENTITY_NAME_MAX;
    if (m)
        memcpy(out + n + 1, b.data, m);
    return slice_of(out, n + 1 + m);
}

WAITS static int check_password(struct identity *identity, const struct identity_login *login, char ret_user_id[],
                                struct error *err)
{
    char                    buffer[2 * IDENTITY_NAME_MAX + 2], hash[PASSWORD_HASH_MAX] = "";
    struct slice            name = guess_name(login, buffer);
    const Rs__IdentityUser *user = user_of(identity, login);
    char                    id[IDENTITY_ID_MAX] = "";

    /* A known user counts under one name, whichever way it was given. */
    if (user)
        name = guess_name(&(struct identity_login) { .user_id = slice_str(user->id) }, buffer);
    if (!password_may_try(identity->guard, name, login->address))
        return error_set(err, -E_UNAUTHORIZED, "too many failed logins; wait a minute");
    if (login->password.size > IDENTITY_PASSWORD_MAX)
        return error_set(err, -E_UNAUTHORIZED, "wrong user or password");
    if (user && strlen(user->id) < sizeof id && strlen(user->password_hash) < sizeof hash) {
        text_copy(id, sizeof id, user->id);
        text_copy(hash, sizeof hash, user->password_hash);
    }
    int rc = password_check(identity->guard, hash, login->password);   /* 'user' may be gone afterwards. */
    explicit_bzero(hash, sizeof hash);
    if (rc == -E_UNAUTHORIZED) {
        password_failed(identity->guard, name, login->address);
        return error_set(err, rc, "wrong user or password");
    }
    if (rc)
        return error_set(err, rc, "the password could not be checked");
    text_copy(ret_user_id, IDENTITY_ID_MAX, id);
    return 0;
}

int identity_login(struct identity *identity, const struct identity_login *login, char ret_token[TOKEN_TEXT_MAX],
                   struct identity_context *ret_context, struct error *err)
{
    struct token token = { .methods = TOKEN_BY_PASSWORD };
    int64_t      begun_us = env_wall(identity->env) / NS_PER_US;

    int rc = check_password(identity, login, token.user_id, err);
    if (rc == 0) {
        /* From when the password was read: one that was changed during the check gives no token. */
        token.issued_us = begun_us;
        token.expires_us = begun_us + (int64_t)TOKEN_LIFETIME_S * 1000000;
        rc = issue(identity, login, &token, ret_token, ret_context, err);
    }
    if (rc)
        counter_inc(identity_logins_failed);
    else
        counter_inc(identity_logins);
    return rc;
}

int login_by_key(struct identity *identity, const char *user_id, const char *project_id,
                 char ret_token[TOKEN_TEXT_MAX], struct identity_context *ret_context, struct error *err)
{
    struct token                token = { .methods = TOKEN_BY_EC2 };
    const struct identity_login login = { .project_id = slice_str(project_id) };

    if (project_id[0] == '\0' || strlen(user_id) >= sizeof token.user_id)
        return error_set(err, -E_UNAUTHORIZED, "the access key is for no project");
    text_copy(token.user_id, sizeof token.user_id, user_id);
    token.issued_us = env_wall(identity->env) / NS_PER_US;
    token.expires_us = token.issued_us + (int64_t)TOKEN_LIFETIME_S * 1000000;
    return issue(identity, &login, &token, ret_token, ret_context, err);
}

int identity_rescope(struct identity *identity, struct slice text, const struct identity_login *login,
                     char ret_token[TOKEN_TEXT_MAX], struct identity_context *ret_context, struct error *err)
{
    struct identity_context who;
    struct token            token;

    if (identity_check_token(identity, text, &who) || token_unseal(identity->ring, text, &token))
        return error_set(err, -E_UNAUTHORIZED, "the token is not valid");
    if (!token.has_parent)
        memcpy(token.parent, token.audit, sizeof token.parent);
    token.has_parent = true;
    token.methods |= TOKEN_BY_TOKEN;
    token.scope_id[0] = '\0';
    token.issued_us = env_wall(identity->env) / NS_PER_US;
    return issue(identity, login, &token, ret_token, ret_context, err);
}

int identity_revoke(struct identity *identity, struct slice text)
{
    struct identity_context  who;
    Rs__IdentityRevocation   record = RS__IDENTITY_REVOCATION__INIT;
    struct api_write        *w = malloc(sizeof *w);
    struct arena             arena;

    if (w == NULL)
        return -ENOMEM;
    int rc = identity_check_token(identity, text, &who);
    if (rc == 0) {
        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        api_write_init(w, &arena);
        record.expires_us = who.expires_us;
        api_put(w, &record.base, "revoked/%s", who.audit_id);
        rc = api_write_commit(w, identity);
        arena_done(&arena);
    }
    free(w);
    return rc;
}

const char *identity_user_id(struct identity *identity, const char *name)
{
    return model_id_of_name(&identity->model, "user", DOMAIN_DEFAULT, name);
}

int identity_set_password(struct identity *identity, const char *user_id, struct slice password)
{
    char              hash[PASSWORD_HASH_MAX], key[MODEL_KEY_MAX];
    struct api_write *w;
    struct arena      arena;

    if (password.size == 0 || password.size > IDENTITY_PASSWORD_MAX || model_key(key, "user/%s", user_id))
        return -E_LIMIT;
    int rc = password_hash(identity->guard, password, hash);
    if (rc)
        return rc;
    const struct model_object *object = model_find(&identity->model, MODEL_USER, key);
    if (object == NULL)
        return -ENOENT;
    w = malloc(sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    Rs__IdentityUser user = *MODEL_OBJECT(object, Rs__IdentityUser);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    api_write_init(w, &arena);
    user.password_hash = hash;
    user.tokens_after_us = env_wall(identity->env) / NS_PER_US;
    api_require(w, CONTROL_IF_MOD_REVISION, object->mod_revision, "%s", key);
    api_put(w, &user.base, "%s", key);
    rc = api_write_commit(w, identity);
    explicit_bzero(hash, sizeof hash);
    arena_done(&arena);
    free(w);
    return rc;
}
