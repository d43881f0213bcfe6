/* identity/grant_api.c - grants of roles to users, and /v3/role_assignments. */
#include <stdio.h>
#include <stdlib.h>

#include "identity/private.h"

enum { GRANT_TRIES = 8 };   /* When others change the same grant. */

/* --- Grants: /v3/{projects,domains}/TARGET/users/USER/roles[/ROLE] --- */

struct grant {
    char        kind;     /* 'p' or 'd'. */
    const char *target, *user, *role;
};

/* False: answered 404 already. */
WAITS static bool read_grant(struct identity *identity, struct http_request *rq, const struct http_params *params,
                             struct grant *ret)
{
    ret->kind = slice_starts(rq->path, SLICE("/v3/projects/")) ? 'p' : 'd';
    ret->target = api_param(rq, params, 0);
    ret->user = api_param(rq, params, 1);
    ret->role = api_param(rq, params, 2);
    bool found = ret->kind == 'p' ? model_project(&identity->model, ret->target) != NULL
                                  : model_domain(&identity->model, ret->target) != NULL;
    if (!found)
        reply_error(identity, rq, 404, "Could not find %s: %s.", ret->kind == 'p' ? "project" : "domain", ret->target);
    else if (model_user(&identity->model, ret->user) == NULL)
        reply_error(identity, rq, 404, "Could not find user: %s.", ret->user);
    else if (params->count > 2 && model_role(&identity->model, ret->role) == NULL)
        reply_error(identity, rq, 404, "Could not find role: %s.", ret->role);
    else
        return true;
    return false;
}

static bool grant_has(const Rs__IdentityGrant *grant, const char *role)
{
    for (size_t i = 0; grant && i < grant->n_role_ids; i++) {
        if (strcmp(grant->role_ids[i], role) == 0)
            return true;
    }
    return false;
}

/* Adds or takes away a role, once. -E_CONDITION: somebody else changed the grant; try again. */
WAITS static int change_grant(struct identity *identity, struct http_request *rq, const struct grant *g, bool add)
{
    char              key[MODEL_KEY_MAX];
    struct api_write *w = arena_new(&rq->arena, struct api_write);
    Rs__IdentityGrant grant = RS__IDENTITY_GRANT__INIT;
    char             *ids[IDENTITY_ROLES_MAX];

    if (w == NULL)
        return -ENOMEM;
    int rc = model_key(key, "grant/%c/%s/%s", g->kind, g->target, g->user);
    if (rc)
        return rc;
    const struct model_object *object = model_find(&identity->model, MODEL_GRANT, key);
    const Rs__IdentityGrant   *now = object ? MODEL_OBJECT(object, Rs__IdentityGrant) : NULL;
    if (grant_has(now, g->role) == add)
        return add ? 0 : -ENOENT;
    grant.role_ids = ids;
    for (size_t i = 0; now && i < now->n_role_ids; i++) {
        /* Roles that were deleted go on this occasion. */
        if (strcmp(now->role_ids[i], g->role) != 0 && model_role(&identity->model, now->role_ids[i]) &&
            grant.n_role_ids < IDENTITY_ROLES_MAX)
            ids[grant.n_role_ids++] = now->role_ids[i];
    }
    if (add && grant.n_role_ids == IDENTITY_ROLES_MAX)
        return -E_LIMIT;
    if (add)
        ids[grant.n_role_ids++] = (char *)(uintptr_t)g->role;
    api_write_init(w, &rq->arena);
    api_require(w, CONTROL_IF_MOD_REVISION, object ? object->mod_revision : 0, "%s", key);
    if (grant.n_role_ids)
        api_put(w, &grant.base, "%s", key);
    else
        api_drop(w, CONTROL_DELETE, "%s", key);
    return api_write_commit(w, identity);
}

WAITS static void answer_grant(void *ctx, struct http_request *rq, const struct http_params *params, bool add)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    struct grant            g;
    int                     rc = -E_CONDITION;

    if (!api_allowed(identity, rq, NULL, &who) || !read_grant(identity, rq, params, &g))
        return;
    for (int i = 0; i < GRANT_TRIES && rc == -E_CONDITION; i++)
        rc = change_grant(identity, rq, &g, add);
    if (rc == -ENOENT) {
        reply_error(identity, rq, 404, "Could not find role assignment with role: %s.", g.role);
    } else if (rc) {
        reply_code(identity, rq, rc, "role assignment");
    } else {
        reply_none(rq);
    }
}

HANDLER(grant_put)
{
    answer_grant(ctx, rq, params, true);
}

HANDLER(grant_delete)
{
    answer_grant(ctx, rq, params, false);
}

HANDLER(grant_check)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    struct grant            g;

    if (!api_allowed(identity, rq, NULL, &who) || !read_grant(identity, rq, params, &g))
        return;
    if (!grant_has(model_grant(&identity->model, g.kind, g.target, g.user), g.role)) {
        reply_error(identity, rq, 404, "Could not find role assignment with role: %s.", g.role);
        return;
    }
    reply_none(rq);
}

HANDLER(grant_list)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    struct grant            g;

    if (!api_allowed(identity, rq, NULL, &who) || !read_grant(identity, rq, params, &g))
        return;
    const Rs__IdentityGrant *grant = model_grant(&identity->model, g.kind, g.target, g.user);
    json_t                  *array = json_array();
    for (size_t i = 0; grant && i < grant->n_role_ids; i++) {
        const Rs__IdentityRole *role = model_role(&identity->model, grant->role_ids[i]);
        if (role)
            json_array_append_new(array, role_json(identity, role));
    }
    api_reply_list(identity, rq, "roles", array, 0);
}

/* --- /v3/role_assignments --- */

static json_t *named(const char *id, const char *name, const char *domain_id, const char *domain_name)
{
    json_t *object = json_pack("{s:s}", "id", id);

    if (name)
        json_object_set_new(object, "name", json_string(name));
    if (domain_id)
        json_object_set_new(object, "domain", json_pack("{s:s, s:s}", "id", domain_id, "name", domain_name));
    return object;
}

static const char *domain_name(struct identity *identity, const char *id)
{
    const Rs__IdentityDomain *domain = model_domain(&identity->model, id);
    return domain ? domain->name : "";
}

static json_t *assignment_json(struct identity *identity, char kind, const char *target, const Rs__IdentityUser *user,
                               const Rs__IdentityRole *role, bool names)
{
    const Rs__IdentityProject *project = kind == 'p' ? model_project(&identity->model, target) : NULL;
    const char                *targets = kind == 'p' ? "projects" : "domains";
    char                       base[URL_MAX], url[URL_MAX + 320];
    json_t                    *scope;

    if (project)
        scope = named(target, names ? project->name : NULL, names ? project->domain_id : NULL,
                      domain_name(identity, project->domain_id));
    else
        scope = named(target, names ? domain_name(identity, target) : NULL, NULL, NULL);
    catalog_url(identity, "keystone", base, sizeof base);
    snprintf(url, sizeof url, "%s/v3/%s/%s/users/%s/roles/%s", base, targets, target, user->id, role->id);
    return json_pack("{s:o, s:o, s:{s:o}, s:{s:s}}", "role", named(role->id, names ? role->name : NULL, NULL, NULL),
                     "user", named(user->id, names ? user->name : NULL, names ? user->domain_id : NULL,
                                   domain_name(identity, user->domain_id)),
                     "scope", kind == 'p' ? "project" : "domain", scope, "links", "assignment", url);
}

static bool query_set(const struct http_request *rq, const char *name)
{
    struct slice value = http_query(rq, name);
    return value.data && !slice_equal(value, SLICE("0")) && !slice_equal(value, SLICE("false")) &&
           !slice_equal(value, SLICE("False"));
}

/* One grant's rows: its roles, or with 'effective' also those they imply. */
static void add_assignments(struct identity *identity, const struct http_request *rq, const struct model_object *o,
                            json_t *array)
{
    const char             *target = o->key + 8, *slash = strchr(target, '/');
    char                    kind = o->key[6], id[IDENTITY_ID_MAX];
    struct identity_context roles = { .role_count = 0 };

    if (slash == NULL || (size_t)(slash - target) >= sizeof id)
        return;
    memcpy(id, target, (size_t)(slash - target));
    id[slash - target] = '\0';
    const Rs__IdentityUser *user = model_user(&identity->model, slash + 1);
    bool exists = kind == 'p' ? model_project(&identity->model, id) != NULL : model_domain(&identity->model, id) != NULL;
    if (user == NULL || !exists || !api_matches(rq, "user.id", user->id) ||
        !api_matches(rq, kind == 'p' ? "scope.project.id" : "scope.domain.id", id) ||
        http_query(rq, kind == 'p' ? "scope.domain.id" : "scope.project.id").data || http_query(rq, "group.id").data ||
        http_query(rq, "scope.system").data)
        return;
    if (query_set(rq, "effective")) {
        check_roles(identity, kind, id, user->id, &roles);
    } else {
        const Rs__IdentityGrant *grant = MODEL_OBJECT(o, Rs__IdentityGrant);
        for (size_t i = 0; i < grant->n_role_ids && roles.role_count < IDENTITY_ROLES_MAX; i++) {
            const Rs__IdentityRole *role = model_role(&identity->model, grant->role_ids[i]);
            if (role && strlen(role->name) < sizeof roles.roles[0])
                text_copy(roles.roles[roles.role_count++], sizeof roles.roles[0], role->name);
        }
    }
    for (uint32_t i = 0; i < roles.role_count; i++) {
        const char             *role_id = model_id_of_name(&identity->model, "role", "", roles.roles[i]);
        const Rs__IdentityRole *role = role_id ? model_role(&identity->model, role_id) : NULL;
        if (role && api_matches(rq, "role.id", role->id))
            json_array_append_new(array, assignment_json(identity, kind, id, user, role, query_set(rq, "include_names")));
    }
}

HANDLER(assignment_list)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    struct slice            user = http_query(rq, "user.id");
    const char             *owner = user.size && user.size < IDENTITY_ID_MAX ? arena_str(&rq->arena, user) : NULL;

    (void)params;
    if (!api_allowed(identity, rq, owner, &who))
        return;
    json_t *array = json_array();
    for (const struct model_object *o = identity->model.first[MODEL_GRANT]; o && !api_list_full(array); o = o->after)
        add_assignments(identity, rq, o, array);
    api_reply_list(identity, rq, "role_assignments", array, 0);
}
