/* identity/project_api.c - /v3/projects and /v3/domains. */
#include "identity/resource.h"

/* --- Projects. --- */

static const struct field project_fields[] = {
    { "name", FIELD_REQUIRED | FIELD_FILTER, IDENTITY_NAME_MAX },
    { "domain_id", FIELD_FIXED | FIELD_FILTER, IDENTITY_ID_MAX - 1 },
    { "description", 0, DESCRIPTION_MAX },
    { "enabled", FIELD_TRUE | FIELD_FILTER, 0 },
};

static void project_show(struct identity *identity, const ProtobufCMessage *record, json_t *object)
{
    const Rs__IdentityProject *project = (const Rs__IdentityProject *)record;

    (void)identity;
    json_object_set_new(object, "parent_id", json_string(project->domain_id));
    json_object_set_new(object, "is_domain", json_false());
    json_object_set_new(object, "options", json_object());
    json_object_set_new(object, "tags", json_array());
}

static bool project_listed(struct identity *identity, const struct http_request *rq,
                           const struct identity_context *who, const ProtobufCMessage *record)
{
    (void)identity;
    (void)who;
    return api_matches(rq, "parent_id", ((const Rs__IdentityProject *)record)->domain_id) &&
           api_matches_bool(rq, "is_domain", false);
}

/* Whoever has a role on a project may look at it. */
static const char *project_owner(struct identity *identity, const struct identity_context *who,
                                 const ProtobufCMessage *record)
{
    const Rs__IdentityProject *project = (const Rs__IdentityProject *)record;

    return project && project->id[0] && model_grant(&identity->model, 'p', project->id, who->user_id) ? who->user_id
                                                                                                     : NULL;
}

WAITS static bool project_accept(struct change *c)
{
    Rs__IdentityProject *project = RECORD(c, Rs__IdentityProject);
    bool                 bad = false;
    struct slice         parent = json_text(c->body, "parent_id", &bad), domain = slice_str(project->domain_id);

    if (bad || parent.size >= IDENTITY_ID_MAX) {
        reply_error(c->identity, c->rq, 400, "Invalid input for field 'parent_id' of 'project'.");
        return false;
    }
    if (c->old)
        return true;
    if (json_is_true(json_object_get(c->body, "is_domain")) ||
        (parent.size && domain.size && !slice_equal(parent, domain))) {
        reply_error(c->identity, c->rq, 403, "Projects inside of projects, and projects that act as domains, are not "
                    "supported.");
        return false;
    }
    if (domain.size == 0) {
        project->domain_id = arena_str(&c->rq->arena, parent.size ? parent : SLICE(DOMAIN_DEFAULT));
        if (project->domain_id == NULL) {
            reply_code(c->identity, c->rq, -ENOMEM, "project");
            return false;
        }
    }
    return resource_domain_exists(c, project->domain_id);
}

static void project_write(struct change *c, struct api_write *w)
{
    api_require(w, CONTROL_IF_EXISTS, 0, "domain/%s", RECORD(c, Rs__IdentityProject)->domain_id);
}

static const struct resource projects = {
    .member = "project", .collection = "projects", .kind = MODEL_PROJECT, .type = &rs__identity_project__descriptor,
    .fields = project_fields, .field_count = sizeof project_fields / sizeof project_fields[0], .named = true,
    .show = project_show, .listed = project_listed, .owner = project_owner, .accept = project_accept,
    .write = project_write, .remove = remove_project,
};

RESOURCE_HANDLERS(project, projects)

json_t *project_json(struct identity *identity, const Rs__IdentityProject *project)
{
    return resource_json(&projects, identity, &project->base);
}

/* --- Domains. --- */

static const struct field domain_fields[] = {
    { "name", FIELD_REQUIRED | FIELD_FILTER, IDENTITY_NAME_MAX },
    { "description", 0, DESCRIPTION_MAX },
    { "enabled", FIELD_TRUE | FIELD_FILTER, 0 },
};

static void domain_show(struct identity *identity, const ProtobufCMessage *record, json_t *object)
{
    (void)identity;
    (void)record;
    json_object_set_new(object, "options", json_object());
    json_object_set_new(object, "tags", json_array());
}

/* Everybody may look at the own domain. */
static const char *domain_owner(struct identity *identity, const struct identity_context *who,
                                const ProtobufCMessage *record)
{
    (void)identity;
    return record && strcmp(((const Rs__IdentityDomain *)record)->id, who->user_domain_id) == 0 ? who->user_id : NULL;
}

WAITS static bool domain_accept(struct change *c)
{
    if (c->old == NULL || strcmp(c->id, DOMAIN_DEFAULT) != 0 || RECORD(c, Rs__IdentityDomain)->enabled)
        return true;
    reply_error(c->identity, c->rq, 403, "Domain %s cannot be disabled.", c->id);
    return false;
}

static const struct resource domains = {
    .member = "domain", .collection = "domains", .kind = MODEL_DOMAIN, .type = &rs__identity_domain__descriptor,
    .fields = domain_fields, .field_count = sizeof domain_fields / sizeof domain_fields[0], .named = true,
    .show = domain_show, .owner = domain_owner, .accept = domain_accept, .remove = remove_domain,
    .refusal = "Cannot delete a domain that is enabled, please disable it first.",
};

RESOURCE_HANDLERS(domain, domains)

json_t *domain_json(struct identity *identity, const Rs__IdentityDomain *domain)
{
    return resource_json(&domains, identity, &domain->base);
}
