/* identity/project_api.c - /v3/projects and /v3/domains, which have the same shape. */
#include <stdlib.h>

#include "identity/private.h"

json_t *project_json(struct identity *identity, const Rs__IdentityProject *project)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:b, s:{}, s:[]}", "id", project->id, "name",
                               project->name, "domain_id", project->domain_id, "description", project->description,
                               "enabled", project->enabled, "parent_id", project->domain_id, "is_domain", 0,
                               "options", "tags");
    api_self(identity, object, "projects", project->id);
    return object;
}

static json_t *domain_json(struct identity *identity, const Rs__IdentityDomain *domain)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:b, s:{}, s:[]}", "id", domain->id, "name", domain->name,
                               "description", domain->description, "enabled", domain->enabled, "options", "tags");
    api_self(identity, object, "domains", domain->id);
    return object;
}

static const struct model_object *find(struct identity *identity, enum model_kind kind, const char *id)
{
    char key[MODEL_KEY_MAX];

    if (id[0] == '\0' || model_key(key, "%s/%s", kind == MODEL_DOMAIN ? "domain" : "project", id))
        return NULL;
    return model_find(&identity->model, kind, key);
}

WAITS static void not_found(struct identity *identity, struct http_request *rq, const char *what, const char *id)
{
    reply_error(identity, rq, 404, "Could not find %s: %s.", what, id);
}

WAITS static void done(struct http_request *rq)
{
    http_reply_begin(rq, 204);
    reply_vary(rq);
    http_reply_empty(rq);
}

/* The members that both have. */
struct fields {
    const char  *name, *description;
    bool         enabled;
    const char  *old_name;
};

WAITS static bool read_fields(struct identity *identity, struct http_request *rq, const char *what, const json_t *body,
                        struct fields *fields)
{
    const json_t *enabled = json_object_get(body, "enabled");
    bool          bad = enabled && !json_is_boolean(enabled);
    struct slice  name = json_text(body, "name", &bad), description = json_text(body, "description", &bad);

    if (bad || (name.data && !api_valid_name(name)) || description.size > DESCRIPTION_MAX) {
        reply_error(identity, rq, 400, "Invalid input for a field of '%s': a name has 1 to %d bytes.", what,
                    IDENTITY_NAME_MAX);
        return false;
    }
    if (name.data)
        fields->name = arena_str(&rq->arena, name);
    if (description.data)
        fields->description = arena_str(&rq->arena, description);
    if (enabled)
        fields->enabled = json_is_true(enabled);
    if (fields->name == NULL || fields->description == NULL) {
        reply_code(identity, rq, -ENOMEM, what);
        return false;
    }
    if (fields->name[0] == '\0') {
        reply_error(identity, rq, 400, "'name' is a required property");
        return false;
    }
    return true;
}

WAITS static bool stored(struct identity *identity, struct http_request *rq, const char *what,
                         const struct fields *fields, int rc)
{
    if (rc == -E_CONDITION)
        reply_error(identity, rq, 409, "Conflict occurred attempting to store %s - it is not possible to store one "
                    "with the name %s: duplicate entry, or changed meanwhile.", what, fields->name);
    else if (rc)
        reply_code(identity, rq, rc, what);
    return rc == 0;
}

/* --- Projects. --- */

HANDLER(project_list)
{
    struct identity        *identity = ctx;
    struct identity_context who;

    (void)params;
    if (!api_allowed(identity, rq, NULL, &who))
        return;
    json_t *array = json_array();
    for (const struct model_object *o = identity->model.first[MODEL_PROJECT]; o && !api_list_full(array); o = o->after) {
        const Rs__IdentityProject *project = MODEL_OBJECT(o, Rs__IdentityProject);
        if (api_matches(rq, "name", project->name) && api_matches(rq, "domain_id", project->domain_id) &&
            api_matches(rq, "parent_id", project->domain_id) && api_matches_bool(rq, "enabled", project->enabled) &&
            api_matches_bool(rq, "is_domain", false))
            json_array_append_new(array, project_json(identity, project));
    }
    api_reply_list(identity, rq, "projects", array);
}

HANDLER(project_get)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);
    struct slice            token = http_header(rq, "X-Auth-Token");
    const char             *owner = NULL;

    /* Whoever has a role on a project may look at it. */
    if (token.size && identity_check_token(identity, token, &who) == 0 &&
        model_grant(&identity->model, 'p', id, who.user_id))
        owner = arena_str(&rq->arena, slice_str(who.user_id));
    if (!api_allowed(identity, rq, owner, &who))
        return;
    const struct model_object *object = find(identity, MODEL_PROJECT, id);
    if (object == NULL)
        not_found(identity, rq, "project", id);
    else
        api_reply_one(identity, rq, 200, "project", project_json(identity, MODEL_OBJECT(object, Rs__IdentityProject)));
}

WAITS static void write_project(struct identity *identity, struct http_request *rq, Rs__IdentityProject *project,
                                const struct fields *fields, uint64_t revision)
{
    struct api_write *w = arena_new(&rq->arena, struct api_write);
    bool              new = revision == 0;

    project->name = (char *)(uintptr_t)fields->name;
    project->description = (char *)(uintptr_t)fields->description;
    project->enabled = fields->enabled;
    int rc = w == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        api_write_init(w, &rq->arena);
        if (new || strcmp(fields->name, fields->old_name) != 0)
            api_put_name(w, project->id, "project", project->domain_id, fields->name);
        if (!new && strcmp(fields->name, fields->old_name) != 0)
            api_drop(w, CONTROL_DELETE, "name/project/%s/%s", project->domain_id, fields->old_name);
        api_require(w, CONTROL_IF_MOD_REVISION, revision, "project/%s", project->id);
        api_require(w, CONTROL_IF_EXISTS, 0, "domain/%s", project->domain_id);
        api_put(w, &project->base, "project/%s", project->id);
        rc = api_write_commit(w, identity);
    }
    if (stored(identity, rq, "project", fields, rc))
        api_reply_one(identity, rq, new ? 201 : 200, "project", project_json(identity, project));
}

WAITS static void create_project(struct identity *identity, struct http_request *rq, const json_t *body)
{
    Rs__IdentityProject project = RS__IDENTITY_PROJECT__INIT;
    struct fields       fields = { .name = "", .description = "", .enabled = true };
    bool                bad = false;
    struct slice        domain = json_text(body, "domain_id", &bad), parent = json_text(body, "parent_id", &bad);
    char                id[IDENTITY_ID_MAX];

    if (!read_fields(identity, rq, "project", body, &fields))
        return;
    if (json_is_true(json_object_get(body, "is_domain")) ||
        (parent.size && domain.size && !slice_equal(parent, domain))) {
        reply_error(identity, rq, 403, "Projects inside of projects, and projects that act as domains, are not "
                    "supported.");
        return;
    }
    if (domain.size == 0)
        domain = parent.size ? parent : SLICE(DOMAIN_DEFAULT);
    project.domain_id = arena_str(&rq->arena, domain);
    if (bad || project.domain_id == NULL || model_domain(&identity->model, project.domain_id) == NULL) {
        not_found(identity, rq, "domain", project.domain_id ? project.domain_id : "");
        return;
    }
    identity_new_id(identity, id);
    project.id = id;
    write_project(identity, rq, &project, &fields, 0);
}

HANDLER(project_create)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    json_t                 *root;

    (void)params;
    if (!api_allowed(identity, rq, NULL, &who))
        return;
    const json_t *body = api_body(identity, rq, "project", &root);
    if (body) {
        create_project(identity, rq, body);
        json_decref(root);
    }
}

HANDLER(project_update)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);
    json_t                 *root;

    if (!api_allowed(identity, rq, NULL, &who))
        return;
    const json_t *body = api_body(identity, rq, "project", &root);
    if (body == NULL)
        return;
    const struct model_object *object = find(identity, MODEL_PROJECT, id);
    if (object == NULL) {
        not_found(identity, rq, "project", id);
    } else {
        const Rs__IdentityProject *now = MODEL_OBJECT(object, Rs__IdentityProject);
        Rs__IdentityProject        project = RS__IDENTITY_PROJECT__INIT;
        struct fields fields = { .name = arena_str(&rq->arena, slice_str(now->name)),
                                 .description = arena_str(&rq->arena, slice_str(now->description)),
                                 .enabled = now->enabled };
        uint64_t revision = object->mod_revision;
        fields.old_name = fields.name;
        project.id = arena_str(&rq->arena, slice_str(now->id));
        project.domain_id = arena_str(&rq->arena, slice_str(now->domain_id));
        if (project.id == NULL || project.domain_id == NULL)
            reply_code(identity, rq, -ENOMEM, "project");
        else if (read_fields(identity, rq, "project", body, &fields))
            write_project(identity, rq, &project, &fields, revision);
    }
    json_decref(root);
}

HANDLER(project_delete)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);

    if (!api_allowed(identity, rq, NULL, &who))
        return;
    int rc = remove_project(identity, id);
    if (rc == -ENOENT)
        not_found(identity, rq, "project", id);
    else if (rc)
        reply_code(identity, rq, rc, "project");
    else
        done(rq);
}

/* --- Domains. --- */

HANDLER(domain_list)
{
    struct identity        *identity = ctx;
    struct identity_context who;

    (void)params;
    if (!api_allowed(identity, rq, NULL, &who))
        return;
    json_t *array = json_array();
    for (const struct model_object *o = identity->model.first[MODEL_DOMAIN]; o && !api_list_full(array); o = o->after) {
        const Rs__IdentityDomain *domain = MODEL_OBJECT(o, Rs__IdentityDomain);
        if (api_matches(rq, "name", domain->name) && api_matches_bool(rq, "enabled", domain->enabled))
            json_array_append_new(array, domain_json(identity, domain));
    }
    api_reply_list(identity, rq, "domains", array);
}

HANDLER(domain_get)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0), *owner = NULL;
    struct slice            token = http_header(rq, "X-Auth-Token");

    /* Everybody may look at the own domain. */
    if (token.size && identity_check_token(identity, token, &who) == 0 && strcmp(who.user_domain_id, id) == 0)
        owner = arena_str(&rq->arena, slice_str(who.user_id));
    if (!api_allowed(identity, rq, owner, &who))
        return;
    const struct model_object *object = find(identity, MODEL_DOMAIN, id);
    if (object == NULL)
        not_found(identity, rq, "domain", id);
    else
        api_reply_one(identity, rq, 200, "domain", domain_json(identity, MODEL_OBJECT(object, Rs__IdentityDomain)));
}

WAITS static void write_domain(struct identity *identity, struct http_request *rq, Rs__IdentityDomain *domain,
                               const struct fields *fields, uint64_t revision)
{
    struct api_write *w = arena_new(&rq->arena, struct api_write);
    bool              new = revision == 0;

    domain->name = (char *)(uintptr_t)fields->name;
    domain->description = (char *)(uintptr_t)fields->description;
    domain->enabled = fields->enabled;
    int rc = w == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        api_write_init(w, &rq->arena);
        if (new || strcmp(fields->name, fields->old_name) != 0)
            api_put_name(w, domain->id, "domain", "", fields->name);
        if (!new && strcmp(fields->name, fields->old_name) != 0)
            api_drop(w, CONTROL_DELETE, "name/domain//%s", fields->old_name);
        api_require(w, CONTROL_IF_MOD_REVISION, revision, "domain/%s", domain->id);
        api_put(w, &domain->base, "domain/%s", domain->id);
        rc = api_write_commit(w, identity);
    }
    if (stored(identity, rq, "domain", fields, rc))
        api_reply_one(identity, rq, new ? 201 : 200, "domain", domain_json(identity, domain));
}

HANDLER(domain_create)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    json_t                 *root;

    (void)params;
    if (!api_allowed(identity, rq, NULL, &who))
        return;
    const json_t *body = api_body(identity, rq, "domain", &root);
    if (body == NULL)
        return;
    Rs__IdentityDomain domain = RS__IDENTITY_DOMAIN__INIT;
    struct fields      fields = { .name = "", .description = "", .enabled = true };
    char               id[IDENTITY_ID_MAX];
    identity_new_id(identity, id);
    domain.id = id;
    if (read_fields(identity, rq, "domain", body, &fields))
        write_domain(identity, rq, &domain, &fields, 0);
    json_decref(root);
}

HANDLER(domain_update)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);
    json_t                 *root;

    if (!api_allowed(identity, rq, NULL, &who))
        return;
    const json_t *body = api_body(identity, rq, "domain", &root);
    if (body == NULL)
        return;
    const struct model_object *object = find(identity, MODEL_DOMAIN, id);
    if (object == NULL) {
        not_found(identity, rq, "domain", id);
    } else {
        const Rs__IdentityDomain *now = MODEL_OBJECT(object, Rs__IdentityDomain);
        Rs__IdentityDomain        domain = RS__IDENTITY_DOMAIN__INIT;
        struct fields fields = { .name = arena_str(&rq->arena, slice_str(now->name)),
                                 .description = arena_str(&rq->arena, slice_str(now->description)),
                                 .enabled = now->enabled };
        uint64_t revision = object->mod_revision;
        fields.old_name = fields.name;
        domain.id = (char *)(uintptr_t)id;
        if (!read_fields(identity, rq, "domain", body, &fields)) {
            /* Answered. */
        } else if (strcmp(id, DOMAIN_DEFAULT) == 0 && !fields.enabled) {
            reply_error(identity, rq, 403, "Domain %s cannot be disabled.", id);
        } else {
            write_domain(identity, rq, &domain, &fields, revision);
        }
    }
    json_decref(root);
}

HANDLER(domain_delete)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);

    if (!api_allowed(identity, rq, NULL, &who))
        return;
    int rc = remove_domain(identity, id);
    if (rc == -ENOENT)
        not_found(identity, rq, "domain", id);
    else if (rc == -E_FORBIDDEN)
        reply_error(identity, rq, 403, "Cannot delete a domain that is enabled, please disable it first.");
    else if (rc)
        reply_code(identity, rq, rc, "domain");
    else
        done(rq);
}
