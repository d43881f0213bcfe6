/* identity/user_api.c - /v3/users. Passwords and their hashes never leave. */
#include <stdlib.h>

#include "identity/resource.h"

static const struct field fields[] = {
    { "name", FIELD_REQUIRED | FIELD_FILTER, IDENTITY_NAME_MAX },
    { "domain_id", FIELD_FIXED | FIELD_FILTER, IDENTITY_ID_MAX - 1 },
    { "enabled", FIELD_TRUE | FIELD_FILTER, 0 },
    { "description", FIELD_SPARSE, DESCRIPTION_MAX },
    { "email", FIELD_SPARSE, IDENTITY_EMAIL_MAX },
    { "default_project_id", FIELD_SPARSE, IDENTITY_ID_MAX - 1 },
};

static void show(struct identity *identity, const ProtobufCMessage *record, json_t *object)
{
    (void)identity;
    (void)record;
    json_object_set_new(object, "options", json_object());
    json_object_set_new(object, "password_expires_at", json_null());
}

static const char *owner(struct identity *identity, const struct identity_context *who, const ProtobufCMessage *record)
{
    (void)identity;
    (void)who;
    return record ? ((const Rs__IdentityUser *)record)->id : NULL;
}

/* The hash of the password that was given, if one was. */
WAITS static bool read_password(struct change *c, bool *ret_given)
{
    bool         bad = false;
    struct slice password = json_text(c->body, "password", &bad);
    char        *hash = arena_alloc(&c->rq->arena, PASSWORD_HASH_MAX);

    if (bad || password.size > IDENTITY_PASSWORD_MAX || (password.data && password.size == 0)) {
        reply_error(c->identity, c->rq, 400, "Invalid input for field 'password' of 'user': it has 1 to %d bytes.",
                    IDENTITY_PASSWORD_MAX);
        return false;
    }
    *ret_given = password.size > 0;
    if (password.size == 0)
        return true;
    int rc = hash ? password_hash(c->identity->guard, password, hash) : -ENOMEM;
    if (rc)
        reply_code(c->identity, c->rq, rc, "user");
    else
        RECORD(c, Rs__IdentityUser)->password_hash = hash;
    return rc == 0;
}

WAITS static bool accept_user(struct change *c)
{
    Rs__IdentityUser *user = RECORD(c, Rs__IdentityUser);
    bool              given;

    if (c->old == NULL && user->domain_id[0] == '\0')
        user->domain_id = (char *)(uintptr_t)DOMAIN_DEFAULT;
    if ((c->old == NULL && !resource_domain_exists(c, user->domain_id)) || !read_password(c, &given))
        return false;
    /* Whoever is disabled, or gets another password, must log in again. */
    if (c->old && (given || (OLD(c, Rs__IdentityUser)->enabled && !user->enabled)))
        user->tokens_after_us = env_wall(c->identity->env) / NS_PER_US;
    return true;
}

static void write_user(struct change *c, struct api_write *w)
{
    if (c->old == NULL)
        api_require(w, CONTROL_IF_EXISTS, 0, "domain/%s", RECORD(c, Rs__IdentityUser)->domain_id);
}

static const struct resource users = {
    .member = "user", .collection = "users", .kind = MODEL_USER, .type = &rs__identity_user__descriptor,
    .fields = fields, .field_count = sizeof fields / sizeof fields[0], .named = true,
    .show = show, .owner = owner, .accept = accept_user, .write = write_user, .remove = remove_user,
};

RESOURCE_HANDLERS(user, users)

/* POST /v3/users/ID/password: whoever knows the old password may set a new one; no token is needed. */
WAITS static void change_password(struct identity *identity, struct http_request *rq, const char *id,
                                  const json_t *body)
{
    bool                  bad = false;
    struct slice          old = json_text(body, "original_password", &bad), new = json_text(body, "password", &bad);
    struct identity_login login = { .user_id = slice_str(id), .password = old, .unscoped = true };
    char                  token[TOKEN_TEXT_MAX];
    struct error          err;

    if (bad || old.size == 0 || new.size == 0 || new.size > IDENTITY_PASSWORD_MAX) {
        reply_error(identity, rq, 400, "'password' (1 to %d bytes) and 'original_password' are required properties",
                    IDENTITY_PASSWORD_MAX);
        return;
    }
    struct identity_context *who = arena_new(&rq->arena, struct identity_context);
    int rc = who ? identity_login(identity, &login, token, who, &err) : -ENOMEM;
    explicit_bzero(token, sizeof token);
    if (rc == 0)
        rc = identity_set_password(identity, who->user_id, new);
    if (rc) {
        reply_code(identity, rq, rc, "password");
        return;
    }
    reply_none(rq);
}

HANDLER(user_password)
{
    struct identity *identity = ctx;
    const char      *id = api_param(rq, params, 0);
    json_t          *root;
    const json_t    *body = api_body(identity, rq, "user", &root);

    if (body == NULL)
        return;
    if (id[0])
        change_password(identity, rq, id, body);
    else
        reply_error(identity, rq, 404, "Could not find user.");
    json_decref(root);
}

HANDLER(user_projects)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);

    if (!api_allowed(identity, rq, id, &who))
        return;
    if (model_user(&identity->model, id) == NULL) {
        resource_missing(identity, rq, "user", id);
        return;
    }
    json_t *array = json_array();
    for (const struct model_object *o = identity->model.first[MODEL_PROJECT]; o && !api_list_full(array); o = o->after) {
        const Rs__IdentityProject *project = MODEL_OBJECT(o, Rs__IdentityProject);
        if (project->enabled && model_grant(&identity->model, 'p', project->id, id) &&
            api_matches(rq, "name", project->name))
            json_array_append_new(array, project_json(identity, project));
    }
    api_reply_list(identity, rq, "projects", array, 0);
}
