/* identity/role_api.c - /v3/roles. */
#include "identity/resource.h"

enum { ROLE_NAME_MAX = 63 };   /* As a context holds it. */

static const struct field fields[] = {
    { "name", FIELD_REQUIRED | FIELD_FILTER, ROLE_NAME_MAX },
    { "description", FIELD_NULL, DESCRIPTION_MAX },
};

static void show(struct identity *identity, const ProtobufCMessage *record, json_t *object)
{
    (void)identity;
    (void)record;
    json_object_set_new(object, "domain_id", json_null());
    json_object_set_new(object, "options", json_object());
}

static const struct resource roles = {
    .member = "role", .collection = "roles", .kind = MODEL_ROLE, .type = &rs__identity_role__descriptor,
    .fields = fields, .field_count = sizeof fields / sizeof fields[0], .named = true,
    .show = show, .remove = remove_role,
};

RESOURCE_HANDLERS(role, roles)

json_t *role_json(struct identity *identity, const Rs__IdentityRole *role)
{
    return resource_json(&roles, identity, &role->base);
}
