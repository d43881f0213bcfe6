/* identity/keystone.c - the Keystone v3 API as a table. Policy: identity/policy.c. */
#include "identity/resource.h"

static const struct http_route routes[] = {
    { "GET", "/", discover_all, "identity:discovery" },
    { "GET", "/v3", discover_v3, "identity:discovery" },
    { "POST", "/v3/auth/tokens", auth_token_post, "identity:authenticate" },
    { "GET", "/v3/auth/tokens", auth_token_get, "identity:validate_token" },
    { "DELETE", "/v3/auth/tokens", auth_token_delete, "identity:revoke_token" },
    { "GET", "/v3/auth/catalog", auth_catalog, "identity:get_auth_catalog" },
    { "GET", "/v3/auth/projects", auth_projects, "identity:get_auth_projects" },
    { "GET", "/v3/auth/domains", auth_domains, "identity:get_auth_domains" },
    RESOURCE_ROUTES("users", user),
    { "POST", "/v3/users/{user_id}/password", user_password, "identity:change_password" },
    { "GET", "/v3/users/{user_id}/projects", user_projects, "identity:list_user_projects" },
    { "GET", "/v3/users/{user_id}/credentials/OS-EC2", ec2_list, "identity:ec2_list_credentials" },
    { "POST", "/v3/users/{user_id}/credentials/OS-EC2", ec2_create, "identity:ec2_create_credential" },
    { "GET", "/v3/users/{user_id}/credentials/OS-EC2/{access}", ec2_get, "identity:ec2_get_credential" },
    { "DELETE", "/v3/users/{user_id}/credentials/OS-EC2/{access}", ec2_delete, "identity:ec2_delete_credential" },
    { "POST", "/v3/ec2tokens", ec2_token, "identity:ec2tokens_validate" },
    { "POST", "/v3/s3tokens", s3_token, "identity:s3tokens_validate" },
    RESOURCE_ROUTES("credentials", credential),
    RESOURCE_ROUTES("projects", project),
    RESOURCE_ROUTES("domains", domain),
    RESOURCE_ROUTES("roles", role),
    { "GET", "/v3/projects/{project_id}/users/{user_id}/roles", grant_list, "identity:list_grants" },
    { "HEAD", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", grant_check, "identity:check_grant" },
    { "PUT", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", grant_put, "identity:create_grant" },
    { "DELETE", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", grant_delete, "identity:revoke_grant" },
    { "GET", "/v3/domains/{domain_id}/users/{user_id}/roles", grant_list, "identity:list_grants" },
    { "HEAD", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", grant_check, "identity:check_grant" },
    { "PUT", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", grant_put, "identity:create_grant" },
    { "DELETE", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", grant_delete, "identity:revoke_grant" },
    { "GET", "/v3/role_assignments", assignment_list, "identity:list_role_assignments" },
    RESOURCE_READ_ROUTES("services", service),
    RESOURCE_READ_ROUTES("endpoints", endpoint),
    RESOURCE_READ_ROUTES("regions", region),
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
