/* tests/identity/api_test.c - the Keystone API and Swift's login through a real HTTP server, in one process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "tests/lib/keystone.h"
#include "tests/lib/test.h"

/* --- Discovery. --- */

static void discovery__as_keystone(struct ks *f)
{
    struct ks_answer a = ks_ask(f, "GET", "/", NULL, NULL);
    assert_int_equal(a.status, 300);
    assert_string_equal(ks_text(a.json, "versions.values.0.id"), "v3.14");
    assert_string_equal(ks_text(a.json, "versions.values.0.links.0.href"), "http://127.0.0.1:5000/v3/");
    assert_string_equal(ks_header(f, &a, "Vary"), "X-Auth-Token");
    assert_non_null(ks_header(f, &a, "X-Openstack-Request-Id"));
    json_decref(a.json);
    for (int i = 0; i < 2; i++) {
        a = ks_ask(f, "GET", i ? "/v3/" : "/v3", NULL, NULL);
        assert_int_equal(a.status, 200);
        assert_string_equal(ks_text(a.json, "version.status"), "stable");
        json_decref(a.json);
    }
    ks_assert_error(ks_ask(f, "GET", "/v2.0", NULL, NULL), 404, "Not Found");
    ks_assert_error(ks_ask(f, "PATCH", "/v3/auth/tokens", NULL, NULL), 405, "Method Not Allowed");
}

/* --- Logging in. --- */

static void login__project_scope_has_roles_and_catalog(struct ks *f)
{
    struct ks_answer a = ks_login(f, "admin", f->admin_password, KS_PROJECT("admin"));
    char          url[128];

    assert_int_equal(a.status, 201);
    assert_string_equal(ks_text(a.json, "token.methods.0"), "password");
    assert_string_equal(ks_text(a.json, "token.user.name"), "admin");
    assert_string_equal(ks_text(a.json, "token.user.domain.name"), "Default");
    assert_string_equal(ks_text(a.json, "token.project.domain.id"), "default");
    assert_int_equal(json_array_size(ks_at(a.json, "token.audit_ids")), 1);
    assert_int_equal(json_array_size(ks_at(a.json, "token.roles")), 3);   /* admin, and what it implies. */
    assert_string_equal(ks_text(a.json, "token.roles.0.name"), "admin");
    assert_string_equal(ks_text(a.json, "token.catalog.0.type"), "identity");
    assert_string_equal(ks_text(a.json, "token.catalog.1.type"), "object-store");
    snprintf(url, sizeof url, "http://127.0.0.1:8080/v1/AUTH_%s", ks_text(a.json, "token.project.id"));
    assert_string_equal(ks_text(a.json, "token.catalog.1.endpoints.0.url"), url);
    assert_string_equal(ks_text(a.json, "token.catalog.1.endpoints.0.region_id"), "RegionOne");
    assert_string_equal(ks_text(a.json, "token.expires_at") + 26, "Z");
    json_decref(a.json);

    a = ks_ask(f, "POST", "/v3/auth/tokens?nocatalog", NULL,
            arena_printf(&f->arena, "{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{\"id\":\"%s\"}},"
                         "\"scope\":" KS_PROJECT("admin") "}}", f->token));
    assert_int_equal(a.status, 201);
    assert_null(ks_at(a.json, "token.catalog"));
    assert_int_equal(json_array_size(ks_at(a.json, "token.audit_ids")), 2);
    assert_int_equal(json_array_size(ks_at(a.json, "token.methods")), 2);
    json_decref(a.json);
}

static void login__scopes(struct ks *f)
{
    struct ks_answer a = ks_login(f, "demo", f->demo_password, NULL);   /* The default project. */
    assert_int_equal(a.status, 201);
    assert_string_equal(ks_text(a.json, "token.project.name"), "demo");
    assert_int_equal(json_array_size(ks_at(a.json, "token.roles")), 2);
    const char *body = arena_printf(&f->arena, "{\"project\":{\"id\":\"%s\"}}", ks_text(a.json, "token.project.id"));
    json_decref(a.json);
    a = ks_login(f, "demo", f->demo_password, body);
    assert_int_equal(a.status, 201);
    json_decref(a.json);
    a = ks_login(f, "demo", f->demo_password, "\"unscoped\"");
    assert_int_equal(a.status, 201);
    assert_null(ks_at(a.json, "token.project"));
    assert_null(ks_at(a.json, "token.roles"));
    assert_null(ks_at(a.json, "token.catalog"));
    json_decref(a.json);
    a = ks_login(f, "admin", f->admin_password, "{\"domain\":{\"id\":\"default\"}}");
    assert_int_equal(a.status, 201);
    assert_string_equal(ks_text(a.json, "token.domain.name"), "Default");
    json_decref(a.json);
    ks_assert_error(ks_login(f, "demo", f->demo_password, "{\"domain\":{\"id\":\"default\"}}"), 401, "Unauthorized");
    ks_assert_error(ks_login(f, "demo", f->demo_password, KS_PROJECT("admin")), 401, "Unauthorized");
    ks_assert_error(ks_login(f, "demo", f->demo_password, KS_PROJECT("nothing")), 401, "Unauthorized");
    ks_assert_error(ks_login(f, "demo", f->demo_password, "{\"system\":{\"all\":true}}"), 401, "Unauthorized");
}

static void login__wrong_credentials_are_401(struct ks *f)
{
    struct ks_answer a = ks_login(f, "admin", "wrong", KS_PROJECT("admin"));
    assert_string_equal(ks_header(f, &a, "WWW-Authenticate"), "Keystone uri=\"http://127.0.0.1:5000/v3\"");
    ks_assert_error(a, 401, "Unauthorized");
    ks_assert_error(ks_login(f, "nobody", f->admin_password, KS_PROJECT("admin")), 401, "Unauthorized");
    ks_assert_error(ks_login(f, "admin", "", KS_PROJECT("admin")), 401, "Unauthorized");
    /* As long as allowed, and longer. */
    char *long_password = arena_alloc(&f->arena, IDENTITY_PASSWORD_MAX + 2);
    memset(long_password, 'x', IDENTITY_PASSWORD_MAX + 1);
    ks_assert_error(ks_login(f, "admin", long_password, NULL), 401, "Unauthorized");
}

static void login__malformed_bodies_are_400(struct ks *f)
{
    static const char *const bodies[] = {
        "", "{", "[]", "null", "{\"auth\":1}", "{\"auth\":{}}", "{\"auth\":{},\"auth\":{}}",
        "{\"auth\":{\"identity\":{\"methods\":[]}}}", "{\"auth\":{\"identity\":{\"methods\":\"password\"}}}",
        "{\"auth\":{\"identity\":{\"methods\":[\"password\"]}}}",
        "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":[]}}}}",
        "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{\"name\":\"a\",\"password\":\"b\"}}}}}",
        "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{\"id\":7,\"password\":\"b\"}}}}}",
        "{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{}}}}",
        "{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{\"id\":\"x\"}},\"scope\":7}}",
        "{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{\"id\":\"x\"}},\"scope\":{\"project\":{\"name\":\"a\"}}}}",
        "{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{\"id\":\"x\"}},\"scope\":{\"project\":{\"id\":\"a\"},\"domain\":{\"id\":\"b\"}}}}",
        "\"\\ud800\"", "{\"auth\":\"\\u0000\"}", "{\"a\xff\":1}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        ks_assert_error(ks_ask(f, "POST", "/v3/auth/tokens", NULL, bodies[i]), 400, "Bad Request");
    ks_assert_error(ks_ask(f, "POST", "/v3/auth/tokens", NULL, "{\"auth\":{\"identity\":{\"methods\":[\"oauth1\"]}}}"), 401,
                 "Unauthorized");
    /* Nesting at the limit is only wrong; beyond it is refused before it is parsed. */
    for (int depth = JSON_DEPTH_MAX - 1; depth <= 20000; depth += 19969) {
        char *deep = arena_alloc(&f->arena, (size_t)depth + 1);
        memset(deep, '[', (size_t)depth);
        ks_assert_error(ks_ask(f, "POST", "/v3/auth/tokens", NULL, deep), 400, "Bad Request");
    }
    char *large = arena_alloc(&f->arena, BODY_MAX + 2);
    memset(large, ' ', BODY_MAX + 1);
    ks_assert_error(ks_ask(f, "POST", "/v3/auth/tokens", NULL, large), 413, "Request Entity Too Large");
}

static void login__guessing_is_limited_by_user_and_address(struct ks *f)
{
    for (int i = 0; i < PASSWORD_FAILURES_MAX; i++)
        ks_assert_error(ks_login(f, "demo", "wrong", NULL), 401, "Unauthorized");
    int64_t checks = counter_value("identity_password_checks");
    ks_assert_error(ks_login(f, "demo", f->demo_password, NULL), 401, "Unauthorized");   /* Right, and too late. */
    assert_int_equal(counter_value("identity_password_checks"), checks);
    assert_non_null(ks_token(f, "admin", f->admin_password, NULL));   /* Others are not concerned. */
    struct identity_login elsewhere = { .user_name = SLICE("demo"), .password = slice_str(f->demo_password),
                                        .address = SLICE("192.0.2.1") };
    struct identity_context who;
    char                    token[TOKEN_TEXT_MAX];
    assert_int_equal(identity_login(f->identity, &elsewhere, token, &who, NULL), 0);
}

/* --- Tokens. --- */

static struct ks_answer about(struct ks *f, const char *method, const char *token, const char *subject)
{
    return ks_ask(f, method, "/v3/auth/tokens",
               arena_printf(&f->arena, "X-Auth-Token: %s\r\nX-Subject-Token: %s\r\n", token, subject), NULL);
}

static void token__validate_and_revoke(struct ks *f)
{
    const char   *demo = ks_token(f, "demo", f->demo_password, NULL), *second = ks_token(f, "demo", f->demo_password, NULL);
    struct ks_answer a = about(f, "GET", f->token, demo);

    assert_int_equal(a.status, 200);
    assert_string_equal(ks_text(a.json, "token.user.name"), "demo");
    assert_string_equal(ks_header(f, &a, "X-Subject-Token"), demo);
    json_decref(a.json);
    a = about(f, "HEAD", demo, demo);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.text, "");
    ks_assert_error(about(f, "GET", demo, f->token), 403, "Forbidden");
    ks_assert_error(about(f, "GET", f->token, "nonsense"), 404, "Not Found");
    ks_assert_error(about(f, "GET", "nonsense", demo), 401, "Unauthorized");
    ks_assert_error(ks_ask(f, "GET", "/v3/auth/tokens", NULL, NULL), 401, "Unauthorized");

    ks_assert_error(about(f, "DELETE", demo, f->token), 403, "Forbidden");
    a = about(f, "DELETE", f->token, demo);
    assert_int_equal(a.status, 204);
    ks_assert_error(about(f, "GET", f->token, demo), 404, "Not Found");
    ks_assert_error(ks_as(f, demo, "GET", "/v3/auth/catalog", NULL), 401, "Unauthorized");
    assert_int_equal(ks_status(f, second, "GET", "/v3/auth/catalog", NULL), 200);   /* Only that one. */
}

static void token__revocation_survives_a_restart(struct ks *f)
{
    const char *demo = ks_token(f, "demo", f->demo_password, NULL), *other = ks_token(f, "demo", f->demo_password, NULL);

    assert_int_equal(about(f, "DELETE", demo, demo).status, 204);
    char *password = f->admin_password;
    ks_close(f);
    ks_open(f);
    assert_ptr_equal(password, f->admin_password);   /* Not made again. */
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_int_equal(ks_status(f, other, "GET", "/v3/auth/catalog", NULL), 200);
}

static void token__expires(struct ks *f)
{
    struct token            token;
    struct identity_context who;
    char                    text[TOKEN_TEXT_MAX];
    int64_t                 now_us = env_wall(f->env) / NS_PER_US;

    assert_int_equal(token_unseal(f->identity->ring, slice_str(f->token), &token), 0);
    assert_in_range(token.expires_us - token.issued_us, TOKEN_LIFETIME_S * INT64_C(1000000),
                    TOKEN_LIFETIME_S * INT64_C(1000000));
    token.expires_us = now_us + 3600 * INT64_C(1000000);
    assert_int_equal(token_seal(f->identity->ring, f->env, &token, text), 0);
    assert_int_equal(identity_check_token(f->identity, slice_str(text), &who), 0);
    token.expires_us = now_us;
    assert_int_equal(token_seal(f->identity->ring, f->env, &token, text), 0);
    assert_int_equal(identity_check_token(f->identity, slice_str(text), &who), -E_UNAUTHORIZED);
    /* From the cache too: as if time had passed. */
    token.expires_us = now_us + 3600 * INT64_C(1000000);
    assert_int_equal(token_seal(f->identity->ring, f->env, &token, text), 0);
    assert_int_equal(identity_check_token(f->identity, slice_str(text), &who), 0);
    for (int set = 0; set < CACHE_SETS; set++) {
        for (int way = 0; way < CACHE_WAYS; way++) {
            if (f->identity->cache[set][way])
                f->identity->cache[set][way]->token.expires_us = now_us;
        }
    }
    assert_int_equal(identity_check_token(f->identity, slice_str(text), &who), -E_UNAUTHORIZED);
}

static void token__check_is_cheap_and_cache_is_bounded(struct ks *f)
{
    struct identity_context who;
    struct token            token;
    char                    text[TOKEN_TEXT_MAX];
    enum { ROUNDS = 100000 };

    int64_t start = env_now(f->env);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(identity_check_token(f->identity, slice_str(f->token), &who), 0);
    int64_t cached = (env_now(f->env) - start) / ROUNDS;
    assert_int_equal(token_unseal(f->identity->ring, slice_str(f->token), &token), 0);
    start = env_now(f->env);
    for (int i = 0; i < ROUNDS / 10; i++) {
        assert_int_equal(token_seal(f->identity->ring, f->env, &token, text), 0);
        assert_int_equal(identity_check_token(f->identity, slice_str(text), &who), 0);
    }
    print_message("token check: %lld ns cached, %lld ns sealed anew and unsealed\n", (long long)cached,
                  (long long)((env_now(f->env) - start) / (ROUNDS / 10)));
    assert_true(cached < 100000);
}

/* --- What ends tokens. --- */

static void change__of_user_or_project_counts_at_once(struct ks *f)
{
    const char *user = arena_printf(&f->arena, "/v3/users/%s", ks_id(f, "users", "demo"));
    const char *project = arena_printf(&f->arena, "/v3/projects/%s", ks_id(f, "projects", "demo"));
    const char *grant = arena_printf(&f->arena, "%s/users/%s/roles/%s", project, ks_id(f, "users", "demo"),
                                     ks_id(f, "roles", "member"));
    const char *demo = ks_token(f, "demo", f->demo_password, NULL);

    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 200);
    /* Disabled and enabled again: the old token stays void. */
    assert_int_equal(ks_status(f, f->token, "PATCH", user, "{\"user\":{\"enabled\":false}}"), 200);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    ks_assert_error(ks_login(f, "demo", f->demo_password, NULL), 401, "Unauthorized");
    assert_int_equal(ks_status(f, f->token, "PATCH", user, "{\"user\":{\"enabled\":true}}"), 200);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    /* Another password. */
    demo = ks_token(f, "demo", f->demo_password, NULL);
    assert_int_equal(ks_status(f, f->token, "PATCH", user, "{\"user\":{\"password\":\"new one\"}}"), 200);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    ks_assert_error(ks_login(f, "demo", f->demo_password, NULL), 401, "Unauthorized");
    demo = ks_token(f, "demo", "new one", NULL);
    /* The user's own change. */
    assert_int_equal(ks_ask(f, "POST", arena_printf(&f->arena, "%s/password", user), NULL,
                         "{\"user\":{\"original_password\":\"new one\",\"password\":\"third\"}}").status, 204);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    demo = ks_token(f, "demo", "third", NULL);
    /* The project disabled; the role taken away; the user deleted. */
    assert_int_equal(ks_status(f, f->token, "PATCH", project, "{\"project\":{\"enabled\":false}}"), 200);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_int_equal(ks_status(f, f->token, "PATCH", project, "{\"project\":{\"enabled\":true}}"), 200);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 200);
    assert_int_equal(ks_status(f, f->token, "DELETE", grant, NULL), 204);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_int_equal(ks_status(f, f->token, "PUT", grant, NULL), 204);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 200);
    assert_int_equal(ks_status(f, f->token, "DELETE", user, NULL), 204);
    assert_int_equal(ks_status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    ks_assert_error(ks_as(f, f->token, "GET", user, NULL), 404, "Not Found");
}

/* --- Management. --- */

static void manage__users_projects_roles(struct ks *f)
{
    struct ks_answer a = ks_as(f, f->token, "POST", "/v3/projects", "{\"project\":{\"name\":\"p1\",\"domain_id\":\"default\"}}");
    assert_int_equal(a.status, 201);
    const char *project = arena_str(&f->arena, slice_str(ks_text(a.json, "project.id")));
    assert_int_equal(strlen(project), 32);
    json_decref(a.json);
    a = ks_as(f, f->token, "POST", "/v3/users", "{\"user\":{\"name\":\"u/1 \xc3\xa4\",\"password\":\"pw\",\"email\":\"u@x\"}}");
    assert_int_equal(a.status, 201);
    const char *user = arena_str(&f->arena, slice_str(ks_text(a.json, "user.id")));
    assert_null(strstr(a.text, "argon2"));
    json_decref(a.json);
    a = ks_as(f, f->token, "POST", "/v3/roles", "{\"role\":{\"name\":\"operator\"}}");
    assert_int_equal(a.status, 201);
    const char *role = arena_str(&f->arena, slice_str(ks_text(a.json, "role.id")));
    json_decref(a.json);

    ks_assert_error(ks_login(f, "u/1 \xc3\xa4", "pw", KS_PROJECT("p1")), 401, "Unauthorized");   /* No role yet. */
    const char *grant = arena_printf(&f->arena, "/v3/projects/%s/users/%s/roles/%s", project, user, role);
    assert_int_equal(ks_status(f, f->token, "HEAD", grant, NULL), 404);
    assert_int_equal(ks_status(f, f->token, "PUT", grant, NULL), 204);
    assert_int_equal(ks_status(f, f->token, "PUT", grant, NULL), 204);   /* Twice is fine. */
    assert_int_equal(ks_status(f, f->token, "HEAD", grant, NULL), 204);
    a = ks_login(f, "u/1 \xc3\xa4", "pw", KS_PROJECT("p1"));
    assert_int_equal(a.status, 201);
    assert_string_equal(ks_text(a.json, "token.roles.0.name"), "operator");
    json_decref(a.json);

    a = ks_as(f, f->token, "GET", arena_printf(&f->arena, "/v3/role_assignments?include_names&user.id=%s", user), NULL);
    assert_int_equal(json_array_size(ks_at(a.json, "role_assignments")), 1);
    assert_string_equal(ks_text(a.json, "role_assignments.0.role.name"), "operator");
    assert_string_equal(ks_text(a.json, "role_assignments.0.scope.project.name"), "p1");
    json_decref(a.json);

    ks_assert_error(ks_as(f, f->token, "POST", "/v3/projects", "{\"project\":{\"name\":\"p1\"}}"), 409, "Conflict");
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/projects", "{\"project\":{}}"), 400, "Bad Request");
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/users", "{\"user\":{\"name\":\"admin\",\"password\":\"x\"}}"), 409, "Conflict");
    a = ks_as(f, f->token, "PATCH", arena_printf(&f->arena, "/v3/projects/%s", project), "{\"project\":{\"name\":\"p2\"}}");
    assert_int_equal(a.status, 200);
    json_decref(a.json);
    assert_string_equal(ks_id(f, "projects", "p2"), project);
    assert_int_equal(ks_status(f, f->token, "POST", "/v3/projects", "{\"project\":{\"name\":\"p1\"}}"), 201);
    ks_assert_error(ks_as(f, f->token, "PATCH", arena_printf(&f->arena, "/v3/projects/%s", project),
                    "{\"project\":{\"name\":\"p1\"}}"), 409, "Conflict");

    assert_int_equal(ks_status(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/projects/%s", project), NULL), 204);
    assert_null(model_grant(&f->identity->model, 'p', project, user));
    assert_int_equal(ks_status(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/roles/%s", role), NULL), 204);
    assert_int_equal(ks_status(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/users/%s", user), NULL), 204);
    ks_assert_error(ks_as(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/users/%s", user), NULL), 404, "Not Found");
}

static void manage__domains_take_their_content_along(struct ks *f)
{
    struct ks_answer a = ks_as(f, f->token, "POST", "/v3/domains", "{\"domain\":{\"name\":\"d1\"}}");
    assert_int_equal(a.status, 201);
    const char *domain = arena_str(&f->arena, slice_str(ks_text(a.json, "domain.id")));
    const char *path = arena_printf(&f->arena, "/v3/domains/%s", domain);
    json_decref(a.json);
    /* The same name as in another domain. */
    assert_int_equal(ks_status(f, f->token, "POST", "/v3/users",
                            arena_printf(&f->arena, "{\"user\":{\"name\":\"admin\",\"domain_id\":\"%s\"}}", domain)), 201);
    assert_int_equal(ks_status(f, f->token, "POST", "/v3/projects",
                            arena_printf(&f->arena, "{\"project\":{\"name\":\"admin\",\"domain_id\":\"%s\"}}", domain)), 201);
    ks_assert_error(ks_as(f, f->token, "DELETE", path, NULL), 403, "Forbidden");
    assert_int_equal(ks_status(f, f->token, "PATCH", path, "{\"domain\":{\"enabled\":false}}"), 200);
    assert_int_equal(ks_status(f, f->token, "DELETE", path, NULL), 204);
    assert_string_equal(ks_id(f, "users", "admin"), identity_user_id(f->identity, "admin"));
    assert_int_equal(ks_status(f, f->token, "DELETE", "/v3/domains/default", NULL), 403);
    assert_int_equal(ks_status(f, f->token, "PATCH", "/v3/domains/default", "{\"domain\":{\"enabled\":false}}"), 403);
}

static void policy__a_member_manages_nothing(struct ks *f)
{
    const char *demo = ks_token(f, "demo", f->demo_password, NULL);
    const char *self = arena_printf(&f->arena, "/v3/users/%s", ks_id(f, "users", "demo"));
    static const char *const forbidden[][2] = {
        { "GET", "/v3/users" }, { "POST", "/v3/users" }, { "GET", "/v3/projects" }, { "POST", "/v3/projects" },
        { "GET", "/v3/domains" }, { "POST", "/v3/domains" }, { "GET", "/v3/roles" }, { "POST", "/v3/roles" },
        { "GET", "/v3/services" }, { "GET", "/v3/endpoints" }, { "GET", "/v3/role_assignments" },
        { "PUT", "/v3/projects/x/users/y/roles/z" }, { "DELETE", "/v3/users/x" }, { "PATCH", "/v3/users/x" },
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        ks_assert_error(ks_as(f, demo, forbidden[i][0], forbidden[i][1], "{}"), 403, "Forbidden");
        ks_assert_error(ks_ask(f, forbidden[i][0], forbidden[i][1], NULL, "{}"), 401, "Unauthorized");
    }
    assert_int_equal(ks_status(f, demo, "GET", self, NULL), 200);
    ks_assert_error(ks_as(f, demo, "PATCH", self, "{\"user\":{\"enabled\":false}}"), 403, "Forbidden");
    ks_assert_error(ks_as(f, demo, "GET", arena_printf(&f->arena, "/v3/users/%s", ks_id(f, "users", "admin")), NULL), 403,
                 "Forbidden");
    struct ks_answer a = ks_as(f, demo, "GET", "/v3/auth/projects", NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(ks_at(a.json, "projects")), 1);
    assert_string_equal(ks_text(a.json, "projects.0.name"), "demo");
    json_decref(a.json);
}

static void catalog__lists_only_what_exists(struct ks *f)
{
    struct ks_answer a = ks_as(f, f->token, "GET", "/v3/auth/catalog", NULL);
    assert_int_equal(json_array_size(ks_at(a.json, "catalog")), 3);
    assert_string_equal(ks_text(a.json, "catalog.2.type"), "s3");
    assert_string_equal(ks_text(a.json, "catalog.2.endpoints.0.url"), "http://127.0.0.1:8080");
    json_decref(a.json);
    a = ks_as(f, f->token, "GET", "/v3/endpoints?interface=public", NULL);
    assert_int_equal(json_array_size(ks_at(a.json, "endpoints")), 3);
    const char *path = arena_printf(&f->arena, "/v3/endpoints/%s", ks_text(a.json, "endpoints.0.id"));
    json_decref(a.json);
    assert_int_equal(ks_status(f, f->token, "GET", path, NULL), 200);
    assert_int_equal(ks_status(f, f->token, "GET", "/v3/services?type=object-store", NULL), 200);
    assert_int_equal(ks_status(f, f->token, "GET", "/v3/regions/RegionOne", NULL), 200);
    assert_int_equal(ks_status(f, f->token, "GET", "/v3/groups", NULL), 404);
    assert_int_equal(ks_status(f, f->token, "GET", "/v3/users/a%2Fb", NULL), 404);
    assert_int_equal(ks_status(f, f->token, "GET", "/v3/users/%ff", NULL), 404);
}

static void list__is_cut_at_its_limit(struct ks *f)
{
    Rs__IdentityRole role = RS__IDENTITY_ROLE__INIT;
    uint8_t          packed[256];
    char             id[32], key[64];

    /* Three roles are there; straight into the model, since only the listing matters. */
    for (int i = 3; i < LIST_MAX + 1; i++) {
        snprintf(id, sizeof id, "r%d", i);
        snprintf(key, sizeof key, "identity/role/%s", id);
        role.id = role.name = id;
        size_t size = rs__identity_role__pack(&role, packed);
        assert_int_equal(model_apply(&f->identity->model, slice_str(key), slice_of(packed, size), false, 1), 0);
        if (i == LIST_MAX - 2) {
            struct ks_answer a = ks_as(f, f->token, "GET", "/v3/roles", NULL);
            assert_int_equal(json_array_size(ks_at(a.json, "roles")), LIST_MAX - 1);
            assert_null(ks_at(a.json, "truncated"));
            json_decref(a.json);
        }
    }
    struct ks_answer a = ks_as(f, f->token, "GET", "/v3/roles", NULL);
    assert_int_equal(json_array_size(ks_at(a.json, "roles")), LIST_MAX);
    assert_true(json_is_true(ks_at(a.json, "truncated")));
    json_decref(a.json);
    a = ks_as(f, f->token, "GET", "/v3/roles?name=r10000", NULL);
    assert_int_equal(json_array_size(ks_at(a.json, "roles")), 1);
    json_decref(a.json);
}

/* --- Logs. --- */

static char   logged[256 * 1024];
static size_t logged_size;

static void keep_line(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    (void)level;
    logged_size += (size_t)snprintf(logged + logged_size, sizeof logged - logged_size, "%s\n", line);
}

static void secrets__are_not_logged(struct ks *f)
{
    logged_size = 0;
    log_set_sink(keep_line, NULL);
    log_set_level(LOG_DEBUG);
    log_set_debug("all");
    const char *token = ks_token(f, "demo", f->demo_password, NULL);
    ks_assert_error(ks_login(f, "demo", "a-wrong-password", NULL), 401, "Unauthorized");
    assert_int_equal(about(f, "DELETE", f->token, token).status, 204);
    assert_int_equal(ks_ask(f, "GET", "/auth/v1.0", arena_printf(&f->arena, "X-Auth-User: demo\r\nX-Auth-Key: %s\r\n",
                         f->demo_password), NULL).status, 200);
    assert_int_equal(ks_status(f, f->token, "POST", "/v3/users", "{\"user\":{\"name\":\"x\",\"password\":\"pass-of-x\"}}"), 201);
    ((Rs__IdentityKeys *)model_find(&f->identity->model, MODEL_KEYS, "keys")->message)->keys[0]->created_s -=
        TOKEN_KEY_ROTATE_S;
    assert_int_equal(setup_rotate_keys(f->identity), 0);
    log_set_level(LOG_ERROR);
    log_set_debug("");
    log_set_sink(NULL, NULL);
    assert_true(logged_size > 0 && logged_size < sizeof logged);
    assert_non_null(strstr(logged, "identity:authenticate"));
    const char *const secrets[] = { f->demo_password, f->admin_password, token, f->token, "a-wrong-password",
                                    "pass-of-x", "argon2" };
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        assert_null(strstr(logged, secrets[i]));
}

/* --- Swift's login. --- */

static void auth_v1__gives_token_and_account(struct ks *f)
{
    const char *const users[] = { "demo:demo", "demo" };

    for (int i = 0; i < 2; i++) {
        struct ks_answer a = ks_ask(f, "GET", "/auth/v1.0", arena_printf(&f->arena, "X-%s-User: %s\r\nX-%s: %s\r\n",
                              i ? "Storage" : "Auth", users[i], i ? "Storage-Pass" : "Auth-Key", f->demo_password), NULL);
        struct identity_context who;
        char                    url[128];
        assert_int_equal(a.status, 200);
        assert_string_equal(ks_header(f, &a, "X-Auth-Token"), ks_header(f, &a, "X-Storage-Token"));
        assert_int_equal(identity_check_token(f->identity, slice_str(ks_header(f, &a, "X-Auth-Token")), &who), 0);
        snprintf(url, sizeof url, "http://127.0.0.1:8080/v1/AUTH_%s", who.project_id);
        assert_string_equal(ks_header(f, &a, "X-Storage-Url"), url);
        assert_in_range(strtol(ks_header(f, &a, "X-Auth-Token-Expires"), NULL, 10), TOKEN_LIFETIME_S - 60, TOKEN_LIFETIME_S);
    }
    assert_int_equal(ks_ask(f, "GET", "/auth/v1.0", NULL, NULL).status, 401);
    assert_int_equal(ks_ask(f, "GET", "/auth/v1.0", "X-Auth-User: demo:demo\r\nX-Auth-Key: no\r\n", NULL).status, 401);
    assert_int_equal(ks_ask(f, "GET", "/auth/v1.0", arena_printf(&f->arena, "X-Auth-User: admin:demo\r\nX-Auth-Key: %s\r\n",
                         f->demo_password), NULL).status, 401);
}

/* --- Keys and upkeep. --- */

static void keys__rotate_without_ending_tokens(struct ks *f)
{
    const struct model_object *object = model_find(&f->identity->model, MODEL_KEYS, "keys");
    struct identity_context    who;

    assert_int_equal(MODEL_OBJECT(object, Rs__IdentityKeys)->n_keys, 1);
    assert_int_equal(setup_rotate_keys(f->identity), 0);   /* Not yet time. */
    assert_int_equal(MODEL_OBJECT(object, Rs__IdentityKeys)->n_keys, 1);
    ((Rs__IdentityKeys *)object->message)->keys[0]->created_s -= TOKEN_KEY_ROTATE_S;
    assert_int_equal(setup_rotate_keys(f->identity), 0);
    object = model_find(&f->identity->model, MODEL_KEYS, "keys");
    assert_int_equal(MODEL_OBJECT(object, Rs__IdentityKeys)->n_keys, 2);
    assert_int_equal(identity_check_token(f->identity, slice_str(f->token), &who), 0);
    /* Long after, the first one is dropped. */
    Rs__IdentityKeys *keys = (Rs__IdentityKeys *)object->message;
    keys->keys[0]->created_s -= 3 * TOKEN_KEY_ROTATE_S;
    keys->keys[1]->created_s -= 2 * TOKEN_KEY_ROTATE_S;
    assert_int_equal(setup_rotate_keys(f->identity), 0);
    object = model_find(&f->identity->model, MODEL_KEYS, "keys");
    assert_int_equal(MODEL_OBJECT(object, Rs__IdentityKeys)->n_keys, 2);
    assert_int_equal(identity_check_token(f->identity, slice_str(f->token), &who), 0);   /* Still in the cache. */
    check_cache_clear(f->identity);
    assert_int_equal(identity_check_token(f->identity, slice_str(f->token), &who), -E_UNAUTHORIZED);
}

static void revocations__are_forgotten_when_over(struct ks *f)
{
    const char *demo = ks_token(f, "demo", f->demo_password, NULL);

    assert_int_equal(about(f, "DELETE", demo, demo).status, 204);
    const struct model_object *o = f->identity->model.first[MODEL_REVOKED];
    assert_non_null(o);
    assert_int_equal(setup_forget_revoked(f->identity), 0);
    assert_ptr_equal(f->identity->model.first[MODEL_REVOKED], o);
    ((Rs__IdentityRevocation *)o->message)->expires_us = 1;
    assert_int_equal(setup_forget_revoked(f->identity), 0);
    assert_null(f->identity->model.first[MODEL_REVOKED]);
}

/* Two processes on one store: what one changes, the other honours. */
static void model__other_processes_follow(struct ks *f)
{
    struct identity_options options = { .weak_passwords = true };
    struct identity        *second;
    struct error            err;
    char                   *admin = NULL, *demo = NULL;
    struct identity_context who;

    assert_int_equal(identity_new(f->env, f->control, &options, &second, &f->arena, &admin, &demo, &err), 0);
    assert_null(admin);
    const char *token = ks_token(f, "demo", f->demo_password, NULL);
    assert_int_equal(identity_check_token(second, slice_str(token), &who), 0);
    assert_string_equal(who.project_name, "demo");
    assert_true(identity_has_role(&who, "reader"));
    assert_false(identity_has_role(&who, "admin"));
    assert_int_equal(identity_revoke(f->identity, slice_str(token)), 0);
    assert_int_equal(model_wait(&second->model, f->identity->model.revision), 0);
    assert_int_equal(identity_check_token(second, slice_str(token), &who), -E_UNAUTHORIZED);
    identity_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KS_TEST(discovery__as_keystone),
        KS_TEST(login__project_scope_has_roles_and_catalog),
        KS_TEST(login__scopes),
        KS_TEST(login__wrong_credentials_are_401),
        KS_TEST(login__malformed_bodies_are_400),
        KS_TEST(login__guessing_is_limited_by_user_and_address),
        KS_TEST(token__validate_and_revoke),
        KS_TEST(token__revocation_survives_a_restart),
        KS_TEST(token__expires),
        KS_TEST(token__check_is_cheap_and_cache_is_bounded),
        KS_TEST(change__of_user_or_project_counts_at_once),
        KS_TEST(manage__users_projects_roles),
        KS_TEST(manage__domains_take_their_content_along),
        KS_TEST(policy__a_member_manages_nothing),
        KS_TEST(catalog__lists_only_what_exists),
        KS_TEST(list__is_cut_at_its_limit),
        KS_TEST(secrets__are_not_logged),
        KS_TEST(auth_v1__gives_token_and_account),
        KS_TEST(keys__rotate_without_ending_tokens),
        KS_TEST(revocations__are_forgotten_when_over),
        KS_TEST(model__other_processes_follow),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
