/* identity/user_api.c - /v3/users. Passwords and their hashes never leave. */
#include <stdlib.h>

#include "identity/private.h"

static json_t *user_json(struct identity *identity, const Rs__IdentityUser *user)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:b, s:{}, s:n}", "id", user->id, "name", user->name, "domain_id",
                               user->domain_id, "enabled", user->enabled, "options", "password_expires_at");

    if (user->description[0])
        json_object_set_new(object, "description", json_string(user->description));
    if (user->email[0])
        json_object_set_new(object, "email", json_string(user->email));
    if (user->default_project_id[0])
        json_object_set_new(object, "default_project_id", json_string(user->default_project_id));
    api_self(identity, object, "users", user->id);
    return object;
}

static const struct model_object *find(struct identity *identity, const char *id)
{
    char key[MODEL_KEY_MAX];
    return id[0] && model_key(key, "user/%s", id) == 0 ? model_find(&identity->model, MODEL_USER, key) : NULL;
}

HANDLER(user_list)
{
    struct identity        *identity = ctx;
    struct identity_context who;

    (void)params;
    if (!api_allowed(identity, rq, NULL, &who))
        return;
    json_t *array = json_array();
    for (const struct model_object *o = identity->model.first[MODEL_USER]; o && !api_list_full(array); o = o->after) {
        const Rs__IdentityUser *user = MODEL_OBJECT(o, Rs__IdentityUser);
        if (api_matches(rq, "name", user->name) && api_matches(rq, "domain_id", user->domain_id) &&
            api_matches_bool(rq, "enabled", user->enabled))
            json_array_append_new(array, user_json(identity, user));
    }
    api_reply_list(identity, rq, "users", array);
}

HANDLER(user_get)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);

    if (!api_allowed(identity, rq, id, &who))
        return;
    const struct model_object *object = find(identity, id);
    if (object == NULL)
        reply_error(identity, rq, 404, "Could not find user: %s.", id);
    else
        api_reply_one(identity, rq, 200, "user", user_json(identity, MODEL_OBJECT(object, Rs__IdentityUser)));
}

/* What a client may set; absent members keep what is there. */
WAITS static bool read_user(struct identity *identity, struct http_request *rq, const json_t *body, Rs__IdentityUser *user,
                      struct slice *ret_password)
{
    const json_t *enabled = json_object_get(body, "enabled");
    bool          bad = enabled && !json_is_boolean(enabled);
    struct slice  name = json_text(body, "name", &bad), description = json_text(body, "description", &bad);
    struct slice  email = json_text(body, "email", &bad), project = json_text(body, "default_project_id", &bad);

    *ret_password = json_text(body, "password", &bad);
    if (bad || (name.data && !api_valid_name(name)) || description.size > DESCRIPTION_MAX ||
        email.size > IDENTITY_NAME_MAX || project.size >= IDENTITY_ID_MAX ||
        ret_password->size > IDENTITY_PASSWORD_MAX || (ret_password->data && ret_password->size == 0)) {
        reply_error(identity, rq, 400, "Invalid input for a field of 'user': a name has 1 to %d bytes, a password 1 to "
                    "%d.", IDENTITY_NAME_MAX, IDENTITY_PASSWORD_MAX);
        return false;
    }
    if (name.data)
        user->name = arena_str(&rq->arena, name);
    if (description.data)
        user->description = arena_str(&rq->arena, description);
    if (email.data)
        user->email = arena_str(&rq->arena, email);
    if (project.data || json_is_null(json_object_get(body, "default_project_id")))
        user->default_project_id = arena_str(&rq->arena, project);
    if (enabled)
        user->enabled = json_is_true(enabled);
    if (user->name == NULL || user->description == NULL || user->email == NULL || user->default_project_id == NULL) {
        reply_code(identity, rq, -ENOMEM, "user");
        return false;
    }
    return true;
}

WAITS static void create(struct identity *identity, struct http_request *rq, const json_t *body)
{
    Rs__IdentityUser  user = RS__IDENTITY_USER__INIT;
    char              id[IDENTITY_ID_MAX], hash[PASSWORD_HASH_MAX] = "";
    struct slice      password;
    bool              bad = false;
    struct slice      domain = json_text(body, "domain_id", &bad);
    struct api_write *w = arena_new(&rq->arena, struct api_write);
    char             *domain_id = arena_str(&rq->arena, domain.size ? domain : SLICE(DOMAIN_DEFAULT));

    user.enabled = true;
    if (!read_user(identity, rq, body, &user, &password))
        return;
    if (user.name[0] == '\0') {
        reply_error(identity, rq, 400, "'name' is a required property");
        return;
    }
    int rc = w == NULL || domain_id == NULL ? -ENOMEM : 0;
    if (rc == 0 && password.size)
        rc = password_hash(identity->guard, password, hash);
    if (rc) {
        reply_code(identity, rq, rc, "user");
        return;
    }
    if (bad || model_domain(&identity->model, domain_id) == NULL) {
        reply_error(identity, rq, 404, "Could not find domain: %s.", domain_id);
        return;
    }
    identity_new_id(identity, id);
    user.id = id;
    user.domain_id = domain_id;
    user.password_hash = hash;
    api_write_init(w, &rq->arena);
    api_put_name(w, id, "user", domain_id, user.name);
    api_require(w, CONTROL_IF_EXISTS, 0, "domain/%s", domain_id);
    api_put(w, &user.base, "user/%s", id);
    rc = api_write_commit(w, identity);
    explicit_bzero(hash, sizeof hash);
    if (rc == -E_CONDITION)
        reply_error(identity, rq, 409, "Conflict occurred attempting to store user - Duplicate entry found with name "
                    "%s at domain ID %s.", user.name, domain_id);
    else if (rc)
        reply_code(identity, rq, rc, "user");
    else
        api_reply_one(identity, rq, 201, "user", user_json(identity, &user));
}

HANDLER(user_create)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    json_t                 *root;

    (void)params;
    if (!api_allowed(identity, rq, NULL, &who))
        return;
    const json_t *body = api_body(identity, rq, "user", &root);
    if (body) {
        create(identity, rq, body);
        json_decref(root);
    }
}

/* Stores a changed user, unless somebody else changed it meanwhile. */
WAITS static int store(struct identity *identity, struct http_request *rq, const Rs__IdentityUser *user,
                       const char *old_name, uint64_t revision)
{
    struct api_write *w = arena_new(&rq->arena, struct api_write);

    if (w == NULL)
        return -ENOMEM;
    api_write_init(w, &rq->arena);
    api_require(w, CONTROL_IF_MOD_REVISION, revision, "user/%s", user->id);
    if (strcmp(user->name, old_name) != 0) {
        api_drop(w, CONTROL_DELETE, "name/user/%s/%s", user->domain_id, old_name);
        api_put_name(w, user->id, "user", user->domain_id, user->name);
    }
    api_put(w, &user->base, "user/%s", user->id);
    return api_write_commit(w, identity);
}

/* A copy of the user's record in the arena, which outlives waits. */
static Rs__IdentityUser *copy_user(struct http_request *rq, const Rs__IdentityUser *user)
{
    Rs__IdentityUser *copy = arena_new(&rq->arena, Rs__IdentityUser);

    if (copy == NULL)
        return NULL;
    *copy = *user;
    char **texts[] = { &copy->id, &copy->name, &copy->domain_id, &copy->description, &copy->email,
                       &copy->default_project_id, &copy->password_hash };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = arena_str(&rq->arena, slice_str(*texts[i]));
        if (*texts[i] == NULL)
            return NULL;
    }
    return copy;
}

WAITS static void update(struct identity *identity, struct http_request *rq, const char *id, const json_t *body)
{
    const struct model_object *object = find(identity, id);
    struct slice               password;
    char                       hash[PASSWORD_HASH_MAX];

    if (object == NULL) {
        reply_error(identity, rq, 404, "Could not find user: %s.", id);
        return;
    }
    uint64_t          revision = object->mod_revision;
    Rs__IdentityUser *user = copy_user(rq, MODEL_OBJECT(object, Rs__IdentityUser));
    if (user == NULL) {
        reply_code(identity, rq, -ENOMEM, "user");
        return;
    }
    const char *old_name = user->name;
    bool        was_enabled = user->enabled;
    if (!read_user(identity, rq, body, user, &password))
        return;
    int rc = password.size ? password_hash(identity->guard, password, hash) : 0;
    if (rc == 0 && password.size)
        user->password_hash = hash;
    /* Whoever is disabled, or gets another password, must log in again. */
    if (password.size || (was_enabled && !user->enabled))
        user->tokens_after_us = env_wall(identity->env) / NS_PER_US;
    if (rc == 0)
        rc = store(identity, rq, user, old_name, revision);
    explicit_bzero(hash, sizeof hash);
    user->password_hash = (char *)(uintptr_t)"";
    if (rc)
        reply_code(identity, rq, rc, "user");
    else
        api_reply_one(identity, rq, 200, "user", user_json(identity, user));
}

HANDLER(user_update)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);
    json_t                 *root;

    if (!api_allowed(identity, rq, NULL, &who))
        return;
    const json_t *body = api_body(identity, rq, "user", &root);
    if (body) {
        update(identity, rq, id, body);
        json_decref(root);
    }
}

HANDLER(user_delete)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);

    if (!api_allowed(identity, rq, NULL, &who))
        return;
    int rc = remove_user(identity, id);
    if (rc == -ENOENT) {
        reply_error(identity, rq, 404, "Could not find user: %s.", id);
    } else if (rc) {
        reply_code(identity, rq, rc, "user");
    } else {
        http_reply_begin(rq, 204);
        reply_vary(rq);
        http_reply_empty(rq);
    }
}

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
    http_reply_begin(rq, 204);
    reply_vary(rq);
    http_reply_empty(rq);
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
    if (find(identity, id) == NULL) {
        reply_error(identity, rq, 404, "Could not find user: %s.", id);
        return;
    }
    json_t *array = json_array();
    for (const struct model_object *o = identity->model.first[MODEL_PROJECT]; o && !api_list_full(array); o = o->after) {
        const Rs__IdentityProject *project = MODEL_OBJECT(o, Rs__IdentityProject);
        if (project->enabled && model_grant(&identity->model, 'p', project->id, id) &&
            api_matches(rq, "name", project->name))
            json_array_append_new(array, project_json(identity, project));
    }
    api_reply_list(identity, rq, "projects", array);
}
