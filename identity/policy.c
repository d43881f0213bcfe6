/* identity/policy.c - the table. Actions are named as in Keystone's policy.
 *
 * Role "admin" on any project or domain administers the whole cloud, as in
 * Keystone's classic policy; grant it accordingly. */
#include "identity/policy.h"

enum rule { ADMIN, SERVICE_OR_ADMIN, OWNER_OR_ADMIN, MEMBER_OWNER_OR_ADMIN, ANYBODY };

static const struct {
    const char *action;
    enum rule   rule;
} table[] = {
    { "identity:validate_token", OWNER_OR_ADMIN },
    { "identity:revoke_token", OWNER_OR_ADMIN },
    { "identity:get_auth_catalog", ANYBODY },
    { "identity:get_auth_projects", ANYBODY },
    { "identity:get_auth_domains", ANYBODY },
    { "identity:list_users", ADMIN },
    { "identity:get_user", OWNER_OR_ADMIN },
    { "identity:create_user", ADMIN },
    { "identity:update_user", ADMIN },
    { "identity:delete_user", ADMIN },
    { "identity:list_user_projects", OWNER_OR_ADMIN },
    /* Each sees what is the own of it. */
    { "identity:list_credentials", ANYBODY },
    { "identity:get_credential", OWNER_OR_ADMIN },
    { "identity:create_credential", OWNER_OR_ADMIN },
    { "identity:update_credential", OWNER_OR_ADMIN },
    { "identity:delete_credential", OWNER_OR_ADMIN },
    { "identity:ec2_list_credentials", OWNER_OR_ADMIN },
    { "identity:ec2_get_credential", OWNER_OR_ADMIN },
    { "identity:ec2_create_credential", MEMBER_OWNER_OR_ADMIN },
    { "identity:ec2_delete_credential", MEMBER_OWNER_OR_ADMIN },
    { "identity:ec2tokens_validate", SERVICE_OR_ADMIN },
    { "identity:s3tokens_validate", SERVICE_OR_ADMIN },
    { "identity:list_projects", ADMIN },
    { "identity:get_project", OWNER_OR_ADMIN },
    { "identity:create_project", ADMIN },
    { "identity:update_project", ADMIN },
    { "identity:delete_project", ADMIN },
    { "identity:list_domains", ADMIN },
    { "identity:get_domain", OWNER_OR_ADMIN },
    { "identity:create_domain", ADMIN },
    { "identity:update_domain", ADMIN },
    { "identity:delete_domain", ADMIN },
    { "identity:list_roles", ADMIN },
    { "identity:get_role", ADMIN },
    { "identity:create_role", ADMIN },
    { "identity:update_role", ADMIN },
    { "identity:delete_role", ADMIN },
    { "identity:list_grants", ADMIN },
    { "identity:check_grant", ADMIN },
    { "identity:create_grant", ADMIN },
    { "identity:revoke_grant", ADMIN },
    { "identity:list_role_assignments", OWNER_OR_ADMIN },
    { "identity:list_services", ADMIN },
    { "identity:get_service", ADMIN },
    { "identity:list_endpoints", ADMIN },
    { "identity:get_endpoint", ADMIN },
    { "identity:list_regions", ANYBODY },
    { "identity:get_region", ANYBODY },
};

bool policy_allows(const char *action, const struct identity_context *who, const char *owner)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].action, action) != 0)
            continue;
        bool own = owner && owner[0] && strcmp(owner, who->user_id) == 0;
        switch (table[i].rule) {
        case ANYBODY: return true;
        case ADMIN: return identity_has_role(who, "admin");
        case SERVICE_OR_ADMIN: return identity_has_role(who, "admin") || identity_has_role(who, "service");
        case OWNER_OR_ADMIN: return own || identity_has_role(who, "admin");
        case MEMBER_OWNER_OR_ADMIN:
            return (own && identity_has_role(who, "member")) || identity_has_role(who, "admin");
        }
    }
    return false;
}
