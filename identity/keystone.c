/* identity/keystone.c - the Keystone v3 API as a table. Policy: identity/policy.c. */
#include "identity/private.h"

static const struct http_route routes[] = {
    { "GET", "/", discover_all, "identity:discovery" },
    { "GET", "/v3", discover_v3, "identity:discovery" },
    { "POST", "/v3/auth/tokens", auth_token_post, "identity:authenticate" },
    { "GET", "/v3/auth/tokens", auth_token_get, "identity:validate_token" },
    { "DELETE", "/v3/auth/tokens", auth_token_delete, "identity:revoke_token" },
    { "GET", "/v3/auth/catalog", auth_catalog, "identity:get_auth_catalog" },
    { "GET", "/v3/auth/projects", auth_projects, "identity:get_auth_projects" },
    { "GET", "/v3/auth/domains", auth_domains, "identity:get_auth_domains" },
    { "GET", "/v3/users", user_list, "identity:list_users" },
    { "POST", "/v3/users", user_create, "identity:create_user" },
    { "GET", "/v3/users/{user_id}", user_get, "identity:get_user" },
    { "PATCH", "/v3/users/{user_id}", user_update, "identity:update_user" },
    { "DELETE", "/v3/users/{user_id}", user_delete, "identity:delete_user" },
    { "POST", "/v3/users/{user_id}/password", user_password, "identity:change_password" },
    { "GET", "/v3/users/{user_id}/projects", user_projects, "identity:list_user_projects" },
    { "GET", "/v3/projects", project_list, "identity:list_projects" },
    { "POST", "/v3/projects", project_create, "identity:create_project" },
    { "GET", "/v3/projects/{project_id}", project_get, "identity:get_project" },
    { "PATCH", "/v3/projects/{project_id}", project_update, "identity:update_project" },
    { "DELETE", "/v3/projects/{project_id}", project_delete, "identity:delete_project" },
    { "GET", "/v3/domains", domain_list, "identity:list_domains" },
    { "POST", "/v3/domains", domain_create, "identity:create_domain" },
    { "GET", "/v3/domains/{domain_id}", domain_get, "identity:get_domain" },
    { "PATCH", "/v3/domains/{domain_id}", domain_update, "identity:update_domain" },
    { "DELETE", "/v3/domains/{domain_id}", domain_delete, "identity:delete_domain" },
    { "GET", "/v3/roles", role_list, "identity:list_roles" },
    { "POST", "/v3/roles", role_create, "identity:create_role" },
    { "GET", "/v3/roles/{role_id}", role_get, "identity:get_role" },
    { "PATCH", "/v3/roles/{role_id}", role_update, "identity:update_role" },
    { "DELETE", "/v3/roles/{role_id}", role_delete, "identity:delete_role" },
    { "GET", "/v3/projects/{project_id}/users/{user_id}/roles", grant_list, "identity:list_grants" },
    { "HEAD", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", grant_check, "identity:check_grant" },
    { "PUT", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", grant_put, "identity:create_grant" },
    { "DELETE", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", grant_delete, "identity:revoke_grant" },
    { "GET", "/v3/domains/{domain_id}/users/{user_id}/roles", grant_list, "identity:list_grants" },
    { "HEAD", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", grant_check, "identity:check_grant" },
    { "PUT", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", grant_put, "identity:create_grant" },
    { "DELETE", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", grant_delete, "identity:revoke_grant" },
    { "GET", "/v3/role_assignments", assignment_list, "identity:list_role_assignments" },
    { "GET", "/v3/services", service_list, "identity:list_services" },
    { "GET", "/v3/services/{service_id}", service_get, "identity:get_service" },
    { "GET", "/v3/endpoints", endpoint_list, "identity:list_endpoints" },
    { "GET", "/v3/endpoints/{endpoint_id}", endpoint_get, "identity:get_endpoint" },
    { "GET", "/v3/regions", region_list, "identity:list_regions" },
    { "GET", "/v3/regions/{region_id}", region_get, "identity:get_region" },
};

WAITS static void fail(void *ctx, struct http_request *rq, int status, const char *why)
{
    reply_error(ctx, rq, status, "%s", why);
}

void keystone_handle(void *ctx, struct http_request *rq)
{
    rq->service = "keystone";
    http_route(routes, sizeof routes / sizeof routes[0], ctx, rq, fail);
}
