/* tests/identity/api_test.c - the Keystone API and Swift's login through a real HTTP server, in one process. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_kernel.h"
#include "base/counter.h"
#include "base/log.h"
#include "identity/private.h"
#include "tests/lib/test.h"

struct fixture {
    struct env         *env;
    char                dir[64];
    struct control     *control;
    struct identity    *identity;
    struct http_server *server;
    struct arena        arena;
    char               *admin_password, *demo_password;
    char                address[64];
    char                token[TOKEN_TEXT_MAX];   /* Of the admin. */
};

struct answer {
    int    status;
    char  *head;      /* Status line and headers. */
    char  *text;      /* Body. */
    json_t *json;     /* Body, if it is JSON. */
};

static void handle(void *ctx, struct http_request *rq)
{
    if (slice_starts(rq->path, SLICE("/auth/v1.0")))
        identity_auth_v1(ctx, rq);
    else
        keystone_handle(ctx, rq);
}

/* --- A client. --- */

/* "name: value" lines, each ended by CRLF; the answer's memory is the fixture's arena, but for the JSON. */
static struct answer ask(struct fixture *f, const char *method, const char *path, const char *headers,
                         const char *body)
{
    struct answer a = { 0 };
    struct conn  *conn;
    struct error  err;
    static char   buffer[8 * 1024 * 1024];
    size_t        size = 0, n = 1;

    assert_int_equal(conn_connect(f->env, f->address, TASK_FOREVER, &conn, &err), 0);
    char *request = arena_printf(&f->arena, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
                                 method, path, headers ? headers : "", body ? strlen(body) : 0, body ? body : "");
    assert_non_null(request);
    struct iovec iov = { request, strlen(request) };
    assert_int_equal(conn_write(conn, &iov, 1, TASK_FOREVER), 0);
    while (n && size < sizeof buffer - 1) {
        assert_int_equal(conn_read(conn, buffer + size, sizeof buffer - 1 - size, env_now(f->env) + 20 * NS_PER_S, &n), 0);
        size += n;
    }
    conn_free(conn);
    buffer[size] = '\0';
    char *end = strstr(buffer, "\r\n\r\n");
    assert_non_null(end);
    a.head = arena_str(&f->arena, slice_of(buffer, (size_t)(end + 2 - buffer)));
    a.text = arena_str(&f->arena, slice_of(end + 4, size - (size_t)(end + 4 - buffer)));
    assert_int_equal(sscanf(a.head, "HTTP/1.1 %d", &a.status), 1);
    a.json = json_loads(a.text, 0, NULL);
    return a;
}

static const char *header(struct fixture *f, const struct answer *a, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = strstr(a->head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            const char *value = line + 2 + n + 1, *end = strstr(value, "\r\n");
            while (*value == ' ')
                value++;
            return arena_str(&f->arena, slice_of(value, (size_t)(end - value)));
        }
    }
    return NULL;
}

static struct answer as(struct fixture *f, const char *token, const char *method, const char *path, const char *body)
{
    return ask(f, method, path, arena_printf(&f->arena, "X-Auth-Token: %s\r\n", token), body);
}

/* Asks and throws the answer's body away. */
static int status(struct fixture *f, const char *token, const char *method, const char *path, const char *body)
{
    struct answer a = as(f, token, method, path, body);
    json_decref(a.json);
    return a.status;
}

/* A path of members and indices: "token.roles.0.name". */
static const json_t *at(const json_t *json, const char *path)
{
    char copy[256], *save = NULL;

    snprintf(copy, sizeof copy, "%s", path);
    for (char *part = strtok_r(copy, ".", &save); part && json; part = strtok_r(NULL, ".", &save))
        json = json_is_array(json) ? json_array_get(json, (size_t)strtol(part, NULL, 10)) : json_object_get(json, part);
    return json;
}

static const char *text_at(const json_t *json, const char *path)
{
    const char *text = json_string_value(at(json, path));
    return text ? text : "(none)";
}

static struct answer login_as(struct fixture *f, const char *user, const char *password, const char *scope)
{
    return ask(f, "POST", "/v3/auth/tokens", NULL,
               arena_printf(&f->arena, "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{"
                            "\"name\":\"%s\",\"domain\":{\"id\":\"default\"},\"password\":\"%s\"}}}%s%s}}", user,
                            password, scope ? ",\"scope\":" : "", scope ? scope : ""));
}

static const char *token_of(struct fixture *f, const char *user, const char *password, const char *scope)
{
    struct answer a = login_as(f, user, password, scope);
    assert_int_equal(a.status, 201);
    json_decref(a.json);
    return header(f, &a, "X-Subject-Token");
}

#define PROJECT(name) "{\"project\":{\"name\":\"" name "\",\"domain\":{\"name\":\"Default\"}}}"

static void assert_error(struct answer a, int code, const char *title)
{
    assert_int_equal(a.status, code);
    assert_int_equal(json_integer_value(at(a.json, "error.code")), code);
    assert_string_equal(text_at(a.json, "error.title"), title);
    assert_true(json_is_string(at(a.json, "error.message")));
    json_decref(a.json);
}

/* --- Set-up. --- */

static void open_all(struct fixture *f)
{
    struct error            err = { 0 };
    struct identity_options options = { .public_host = "127.0.0.1", .weak_passwords = true };

    assert_int_equal(control_open_embedded(f->env, f->dir, NULL, &f->control, &err), 0);
    if (identity_new(f->env, f->control, &options, &f->identity, &f->arena, &f->admin_password, &f->demo_password, &err))
        fail_msg("identity_new: %s", err.text);
    struct http_server_options server = { .name = "identity", .access_log = true };
    f->server = http_server_new(f->env, &server, handle, f->identity);
    assert_non_null(f->server);
    assert_int_equal(http_server_listen(f->server, "127.0.0.1:0", &err), 0);
    snprintf(f->address, sizeof f->address, "127.0.0.1:%u", http_server_port(f->server));
}

static void close_all(struct fixture *f)
{
    http_server_stop(f->server, env_now(f->env) + 5 * NS_PER_S);
    http_server_free(f->server);
    identity_free(f->identity);
    control_close(f->control);
}

struct run {
    void (*fn)(struct fixture *f);
};

static void run_task(struct env *env, void *arg)
{
    struct fixture f = { .env = env };
    char           command[128];

    snprintf(f.dir, sizeof f.dir, "/tmp/identity_test.XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    arena_init(&f.arena, 64 * 1024 * 1024);
    open_all(&f);
    text_copy(f.token, sizeof f.token, token_of(&f, "admin", f.admin_password, PROJECT("admin")));
    ((struct run *)arg)->fn(&f);
    close_all(&f);
    arena_done(&f.arena);
    snprintf(command, sizeof command, "rm -rf %s", f.dir);
    assert_int_equal(system(command), 0);
}

static void run_in_loop(void **state)
{
    assert_int_equal(kernel_main(&(struct kernel_options) { .cpu_threads = 2, .io_threads = 2 }, run_task, *state), 0);
}

/* --- Discovery. --- */

static void discovery__as_keystone(struct fixture *f)
{
    struct answer a = ask(f, "GET", "/", NULL, NULL);
    assert_int_equal(a.status, 300);
    assert_string_equal(text_at(a.json, "versions.values.0.id"), "v3.14");
    assert_string_equal(text_at(a.json, "versions.values.0.links.0.href"), "http://127.0.0.1:5000/v3/");
    assert_string_equal(header(f, &a, "Vary"), "X-Auth-Token");
    assert_non_null(header(f, &a, "X-Openstack-Request-Id"));
    json_decref(a.json);
    for (int i = 0; i < 2; i++) {
        a = ask(f, "GET", i ? "/v3/" : "/v3", NULL, NULL);
        assert_int_equal(a.status, 200);
        assert_string_equal(text_at(a.json, "version.status"), "stable");
        json_decref(a.json);
    }
    assert_error(ask(f, "GET", "/v2.0", NULL, NULL), 404, "Not Found");
    assert_error(ask(f, "PATCH", "/v3/auth/tokens", NULL, NULL), 405, "Method Not Allowed");
}

/* --- Logging in. --- */

static void login__project_scope_has_roles_and_catalog(struct fixture *f)
{
    struct answer a = login_as(f, "admin", f->admin_password, PROJECT("admin"));
    char          url[128];

    assert_int_equal(a.status, 201);
    assert_string_equal(text_at(a.json, "token.methods.0"), "password");
    assert_string_equal(text_at(a.json, "token.user.name"), "admin");
    assert_string_equal(text_at(a.json, "token.user.domain.name"), "Default");
    assert_string_equal(text_at(a.json, "token.project.domain.id"), "default");
    assert_int_equal(json_array_size(at(a.json, "token.audit_ids")), 1);
    assert_int_equal(json_array_size(at(a.json, "token.roles")), 3);   /* admin, and what it implies. */
    assert_string_equal(text_at(a.json, "token.roles.0.name"), "admin");
    assert_string_equal(text_at(a.json, "token.catalog.0.type"), "identity");
    assert_string_equal(text_at(a.json, "token.catalog.1.type"), "object-store");
    snprintf(url, sizeof url, "http://127.0.0.1:8080/v1/AUTH_%s", text_at(a.json, "token.project.id"));
    assert_string_equal(text_at(a.json, "token.catalog.1.endpoints.0.url"), url);
    assert_string_equal(text_at(a.json, "token.catalog.1.endpoints.0.region_id"), "RegionOne");
    assert_string_equal(text_at(a.json, "token.expires_at") + 26, "Z");
    json_decref(a.json);

    a = ask(f, "POST", "/v3/auth/tokens?nocatalog", NULL,
            arena_printf(&f->arena, "{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{\"id\":\"%s\"}},"
                         "\"scope\":" PROJECT("admin") "}}", f->token));
    assert_int_equal(a.status, 201);
    assert_null(at(a.json, "token.catalog"));
    assert_int_equal(json_array_size(at(a.json, "token.audit_ids")), 2);
    assert_int_equal(json_array_size(at(a.json, "token.methods")), 2);
    json_decref(a.json);
}

static void login__scopes(struct fixture *f)
{
    struct answer a = login_as(f, "demo", f->demo_password, NULL);   /* The default project. */
    assert_int_equal(a.status, 201);
    assert_string_equal(text_at(a.json, "token.project.name"), "demo");
    assert_int_equal(json_array_size(at(a.json, "token.roles")), 2);
    const char *body = arena_printf(&f->arena, "{\"project\":{\"id\":\"%s\"}}", text_at(a.json, "token.project.id"));
    json_decref(a.json);
    a = login_as(f, "demo", f->demo_password, body);
    assert_int_equal(a.status, 201);
    json_decref(a.json);
    a = login_as(f, "demo", f->demo_password, "\"unscoped\"");
    assert_int_equal(a.status, 201);
    assert_null(at(a.json, "token.project"));
    assert_null(at(a.json, "token.roles"));
    assert_null(at(a.json, "token.catalog"));
    json_decref(a.json);
    a = login_as(f, "admin", f->admin_password, "{\"domain\":{\"id\":\"default\"}}");
    assert_int_equal(a.status, 201);
    assert_string_equal(text_at(a.json, "token.domain.name"), "Default");
    json_decref(a.json);
    assert_error(login_as(f, "demo", f->demo_password, "{\"domain\":{\"id\":\"default\"}}"), 401, "Unauthorized");
    assert_error(login_as(f, "demo", f->demo_password, PROJECT("admin")), 401, "Unauthorized");
    assert_error(login_as(f, "demo", f->demo_password, PROJECT("nothing")), 401, "Unauthorized");
    assert_error(login_as(f, "demo", f->demo_password, "{\"system\":{\"all\":true}}"), 401, "Unauthorized");
}

static void login__wrong_credentials_are_401(struct fixture *f)
{
    struct answer a = login_as(f, "admin", "wrong", PROJECT("admin"));
    assert_string_equal(header(f, &a, "WWW-Authenticate"), "Keystone uri=\"http://127.0.0.1:5000/v3\"");
    assert_error(a, 401, "Unauthorized");
    assert_error(login_as(f, "nobody", f->admin_password, PROJECT("admin")), 401, "Unauthorized");
    assert_error(login_as(f, "admin", "", PROJECT("admin")), 401, "Unauthorized");
    /* As long as allowed, and longer. */
    char *long_password = arena_alloc(&f->arena, IDENTITY_PASSWORD_MAX + 2);
    memset(long_password, 'x', IDENTITY_PASSWORD_MAX + 1);
    assert_error(login_as(f, "admin", long_password, NULL), 401, "Unauthorized");
}

static void login__malformed_bodies_are_400(struct fixture *f)
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
        assert_error(ask(f, "POST", "/v3/auth/tokens", NULL, bodies[i]), 400, "Bad Request");
    assert_error(ask(f, "POST", "/v3/auth/tokens", NULL, "{\"auth\":{\"identity\":{\"methods\":[\"oauth1\"]}}}"), 401,
                 "Unauthorized");
    /* Nesting at the limit is only wrong; beyond it is refused before it is parsed. */
    for (int depth = JSON_DEPTH_MAX - 1; depth <= 20000; depth += 19969) {
        char *deep = arena_alloc(&f->arena, (size_t)depth + 1);
        memset(deep, '[', (size_t)depth);
        assert_error(ask(f, "POST", "/v3/auth/tokens", NULL, deep), 400, "Bad Request");
    }
    char *large = arena_alloc(&f->arena, BODY_MAX + 2);
    memset(large, ' ', BODY_MAX + 1);
    assert_error(ask(f, "POST", "/v3/auth/tokens", NULL, large), 413, "Request Entity Too Large");
}

static void login__guessing_is_limited_by_user_and_address(struct fixture *f)
{
    for (int i = 0; i < PASSWORD_FAILURES_MAX; i++)
        assert_error(login_as(f, "demo", "wrong", NULL), 401, "Unauthorized");
    int64_t checks = counter_value("identity_password_checks");
    assert_error(login_as(f, "demo", f->demo_password, NULL), 401, "Unauthorized");   /* Right, and too late. */
    assert_int_equal(counter_value("identity_password_checks"), checks);
    assert_non_null(token_of(f, "admin", f->admin_password, NULL));   /* Others are not concerned. */
    struct identity_login elsewhere = { .user_name = SLICE("demo"), .password = slice_str(f->demo_password),
                                        .address = SLICE("192.0.2.1") };
    struct identity_context who;
    char                    token[TOKEN_TEXT_MAX];
    assert_int_equal(identity_login(f->identity, &elsewhere, token, &who, NULL), 0);
}

/* --- Tokens. --- */

static struct answer about(struct fixture *f, const char *method, const char *token, const char *subject)
{
    return ask(f, method, "/v3/auth/tokens",
               arena_printf(&f->arena, "X-Auth-Token: %s\r\nX-Subject-Token: %s\r\n", token, subject), NULL);
}

static void token__validate_and_revoke(struct fixture *f)
{
    const char   *demo = token_of(f, "demo", f->demo_password, NULL), *second = token_of(f, "demo", f->demo_password, NULL);
    struct answer a = about(f, "GET", f->token, demo);

    assert_int_equal(a.status, 200);
    assert_string_equal(text_at(a.json, "token.user.name"), "demo");
    assert_string_equal(header(f, &a, "X-Subject-Token"), demo);
    json_decref(a.json);
    a = about(f, "HEAD", demo, demo);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.text, "");
    assert_error(about(f, "GET", demo, f->token), 403, "Forbidden");
    assert_error(about(f, "GET", f->token, "nonsense"), 404, "Not Found");
    assert_error(about(f, "GET", "nonsense", demo), 401, "Unauthorized");
    assert_error(ask(f, "GET", "/v3/auth/tokens", NULL, NULL), 401, "Unauthorized");

    assert_error(about(f, "DELETE", demo, f->token), 403, "Forbidden");
    a = about(f, "DELETE", f->token, demo);
    assert_int_equal(a.status, 204);
    assert_error(about(f, "GET", f->token, demo), 404, "Not Found");
    assert_error(as(f, demo, "GET", "/v3/auth/catalog", NULL), 401, "Unauthorized");
    assert_int_equal(status(f, second, "GET", "/v3/auth/catalog", NULL), 200);   /* Only that one. */
}

static void token__revocation_survives_a_restart(struct fixture *f)
{
    const char *demo = token_of(f, "demo", f->demo_password, NULL), *other = token_of(f, "demo", f->demo_password, NULL);

    assert_int_equal(about(f, "DELETE", demo, demo).status, 204);
    char *password = f->admin_password;
    close_all(f);
    open_all(f);
    assert_ptr_equal(password, f->admin_password);   /* Not made again. */
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_int_equal(status(f, other, "GET", "/v3/auth/catalog", NULL), 200);
}

static void token__expires(struct fixture *f)
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

static void token__check_is_cheap_and_cache_is_bounded(struct fixture *f)
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

static const char *id_of(struct fixture *f, const char *kind, const char *name)
{
    struct answer a = as(f, f->token, "GET", arena_printf(&f->arena, "/v3/%s?name=%s", kind, name), NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(at(a.json, kind)), 1);
    const char *id = arena_str(&f->arena, slice_str(text_at(a.json, arena_printf(&f->arena, "%s.0.id", kind))));
    json_decref(a.json);
    return id;
}

static void change__of_user_or_project_counts_at_once(struct fixture *f)
{
    const char *user = arena_printf(&f->arena, "/v3/users/%s", id_of(f, "users", "demo"));
    const char *project = arena_printf(&f->arena, "/v3/projects/%s", id_of(f, "projects", "demo"));
    const char *grant = arena_printf(&f->arena, "%s/users/%s/roles/%s", project, id_of(f, "users", "demo"),
                                     id_of(f, "roles", "member"));
    const char *demo = token_of(f, "demo", f->demo_password, NULL);

    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 200);
    /* Disabled and enabled again: the old token stays void. */
    assert_int_equal(status(f, f->token, "PATCH", user, "{\"user\":{\"enabled\":false}}"), 200);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_error(login_as(f, "demo", f->demo_password, NULL), 401, "Unauthorized");
    assert_int_equal(status(f, f->token, "PATCH", user, "{\"user\":{\"enabled\":true}}"), 200);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    /* Another password. */
    demo = token_of(f, "demo", f->demo_password, NULL);
    assert_int_equal(status(f, f->token, "PATCH", user, "{\"user\":{\"password\":\"new one\"}}"), 200);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_error(login_as(f, "demo", f->demo_password, NULL), 401, "Unauthorized");
    demo = token_of(f, "demo", "new one", NULL);
    /* The user's own change. */
    assert_int_equal(ask(f, "POST", arena_printf(&f->arena, "%s/password", user), NULL,
                         "{\"user\":{\"original_password\":\"new one\",\"password\":\"third\"}}").status, 204);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    demo = token_of(f, "demo", "third", NULL);
    /* The project disabled; the role taken away; the user deleted. */
    assert_int_equal(status(f, f->token, "PATCH", project, "{\"project\":{\"enabled\":false}}"), 200);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_int_equal(status(f, f->token, "PATCH", project, "{\"project\":{\"enabled\":true}}"), 200);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 200);
    assert_int_equal(status(f, f->token, "DELETE", grant, NULL), 204);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_int_equal(status(f, f->token, "PUT", grant, NULL), 204);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 200);
    assert_int_equal(status(f, f->token, "DELETE", user, NULL), 204);
    assert_int_equal(status(f, demo, "GET", "/v3/auth/catalog", NULL), 401);
    assert_error(as(f, f->token, "GET", user, NULL), 404, "Not Found");
}

/* --- Management. --- */

static void manage__users_projects_roles(struct fixture *f)
{
    struct answer a = as(f, f->token, "POST", "/v3/projects", "{\"project\":{\"name\":\"p1\",\"domain_id\":\"default\"}}");
    assert_int_equal(a.status, 201);
    const char *project = arena_str(&f->arena, slice_str(text_at(a.json, "project.id")));
    assert_int_equal(strlen(project), 32);
    json_decref(a.json);
    a = as(f, f->token, "POST", "/v3/users", "{\"user\":{\"name\":\"u/1 \xc3\xa4\",\"password\":\"pw\",\"email\":\"u@x\"}}");
    assert_int_equal(a.status, 201);
    const char *user = arena_str(&f->arena, slice_str(text_at(a.json, "user.id")));
    assert_null(strstr(a.text, "argon2"));
    json_decref(a.json);
    a = as(f, f->token, "POST", "/v3/roles", "{\"role\":{\"name\":\"operator\"}}");
    assert_int_equal(a.status, 201);
    const char *role = arena_str(&f->arena, slice_str(text_at(a.json, "role.id")));
    json_decref(a.json);

    assert_error(login_as(f, "u/1 \xc3\xa4", "pw", PROJECT("p1")), 401, "Unauthorized");   /* No role yet. */
    const char *grant = arena_printf(&f->arena, "/v3/projects/%s/users/%s/roles/%s", project, user, role);
    assert_int_equal(status(f, f->token, "HEAD", grant, NULL), 404);
    assert_int_equal(status(f, f->token, "PUT", grant, NULL), 204);
    assert_int_equal(status(f, f->token, "PUT", grant, NULL), 204);   /* Twice is fine. */
    assert_int_equal(status(f, f->token, "HEAD", grant, NULL), 204);
    a = login_as(f, "u/1 \xc3\xa4", "pw", PROJECT("p1"));
    assert_int_equal(a.status, 201);
    assert_string_equal(text_at(a.json, "token.roles.0.name"), "operator");
    json_decref(a.json);

    a = as(f, f->token, "GET", arena_printf(&f->arena, "/v3/role_assignments?include_names&user.id=%s", user), NULL);
    assert_int_equal(json_array_size(at(a.json, "role_assignments")), 1);
    assert_string_equal(text_at(a.json, "role_assignments.0.role.name"), "operator");
    assert_string_equal(text_at(a.json, "role_assignments.0.scope.project.name"), "p1");
    json_decref(a.json);

    assert_error(as(f, f->token, "POST", "/v3/projects", "{\"project\":{\"name\":\"p1\"}}"), 409, "Conflict");
    assert_error(as(f, f->token, "POST", "/v3/projects", "{\"project\":{}}"), 400, "Bad Request");
    assert_error(as(f, f->token, "POST", "/v3/users", "{\"user\":{\"name\":\"admin\",\"password\":\"x\"}}"), 409, "Conflict");
    a = as(f, f->token, "PATCH", arena_printf(&f->arena, "/v3/projects/%s", project), "{\"project\":{\"name\":\"p2\"}}");
    assert_int_equal(a.status, 200);
    json_decref(a.json);
    assert_string_equal(id_of(f, "projects", "p2"), project);
    assert_int_equal(status(f, f->token, "POST", "/v3/projects", "{\"project\":{\"name\":\"p1\"}}"), 201);
    assert_error(as(f, f->token, "PATCH", arena_printf(&f->arena, "/v3/projects/%s", project),
                    "{\"project\":{\"name\":\"p1\"}}"), 409, "Conflict");

    assert_int_equal(status(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/projects/%s", project), NULL), 204);
    assert_null(model_grant(&f->identity->model, 'p', project, user));
    assert_int_equal(status(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/roles/%s", role), NULL), 204);
    assert_int_equal(status(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/users/%s", user), NULL), 204);
    assert_error(as(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/users/%s", user), NULL), 404, "Not Found");
}

static void manage__domains_take_their_content_along(struct fixture *f)
{
    struct answer a = as(f, f->token, "POST", "/v3/domains", "{\"domain\":{\"name\":\"d1\"}}");
    assert_int_equal(a.status, 201);
    const char *domain = arena_str(&f->arena, slice_str(text_at(a.json, "domain.id")));
    const char *path = arena_printf(&f->arena, "/v3/domains/%s", domain);
    json_decref(a.json);
    /* The same name as in another domain. */
    assert_int_equal(status(f, f->token, "POST", "/v3/users",
                            arena_printf(&f->arena, "{\"user\":{\"name\":\"admin\",\"domain_id\":\"%s\"}}", domain)), 201);
    assert_int_equal(status(f, f->token, "POST", "/v3/projects",
                            arena_printf(&f->arena, "{\"project\":{\"name\":\"admin\",\"domain_id\":\"%s\"}}", domain)), 201);
    assert_error(as(f, f->token, "DELETE", path, NULL), 403, "Forbidden");
    assert_int_equal(status(f, f->token, "PATCH", path, "{\"domain\":{\"enabled\":false}}"), 200);
    assert_int_equal(status(f, f->token, "DELETE", path, NULL), 204);
    assert_string_equal(id_of(f, "users", "admin"), identity_user_id(f->identity, "admin"));
    assert_int_equal(status(f, f->token, "DELETE", "/v3/domains/default", NULL), 403);
    assert_int_equal(status(f, f->token, "PATCH", "/v3/domains/default", "{\"domain\":{\"enabled\":false}}"), 403);
}

static void policy__a_member_manages_nothing(struct fixture *f)
{
    const char *demo = token_of(f, "demo", f->demo_password, NULL);
    const char *self = arena_printf(&f->arena, "/v3/users/%s", id_of(f, "users", "demo"));
    static const char *const forbidden[][2] = {
        { "GET", "/v3/users" }, { "POST", "/v3/users" }, { "GET", "/v3/projects" }, { "POST", "/v3/projects" },
        { "GET", "/v3/domains" }, { "POST", "/v3/domains" }, { "GET", "/v3/roles" }, { "POST", "/v3/roles" },
        { "GET", "/v3/services" }, { "GET", "/v3/endpoints" }, { "GET", "/v3/role_assignments" },
        { "PUT", "/v3/projects/x/users/y/roles/z" }, { "DELETE", "/v3/users/x" }, { "PATCH", "/v3/users/x" },
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        assert_error(as(f, demo, forbidden[i][0], forbidden[i][1], "{}"), 403, "Forbidden");
        assert_error(ask(f, forbidden[i][0], forbidden[i][1], NULL, "{}"), 401, "Unauthorized");
    }
    assert_int_equal(status(f, demo, "GET", self, NULL), 200);
    assert_error(as(f, demo, "PATCH", self, "{\"user\":{\"enabled\":false}}"), 403, "Forbidden");
    assert_error(as(f, demo, "GET", arena_printf(&f->arena, "/v3/users/%s", id_of(f, "users", "admin")), NULL), 403,
                 "Forbidden");
    struct answer a = as(f, demo, "GET", "/v3/auth/projects", NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(at(a.json, "projects")), 1);
    assert_string_equal(text_at(a.json, "projects.0.name"), "demo");
    json_decref(a.json);
}

static void catalog__lists_only_what_exists(struct fixture *f)
{
    struct answer a = as(f, f->token, "GET", "/v3/auth/catalog", NULL);
    assert_int_equal(json_array_size(at(a.json, "catalog")), 3);
    assert_string_equal(text_at(a.json, "catalog.2.type"), "s3");
    assert_string_equal(text_at(a.json, "catalog.2.endpoints.0.url"), "http://127.0.0.1:8080");
    json_decref(a.json);
    a = as(f, f->token, "GET", "/v3/endpoints?interface=public", NULL);
    assert_int_equal(json_array_size(at(a.json, "endpoints")), 3);
    const char *path = arena_printf(&f->arena, "/v3/endpoints/%s", text_at(a.json, "endpoints.0.id"));
    json_decref(a.json);
    assert_int_equal(status(f, f->token, "GET", path, NULL), 200);
    assert_int_equal(status(f, f->token, "GET", "/v3/services?type=object-store", NULL), 200);
    assert_int_equal(status(f, f->token, "GET", "/v3/regions/RegionOne", NULL), 200);
    assert_int_equal(status(f, f->token, "GET", "/v3/groups", NULL), 404);
    assert_int_equal(status(f, f->token, "GET", "/v3/users/a%2Fb", NULL), 404);
    assert_int_equal(status(f, f->token, "GET", "/v3/users/%ff", NULL), 404);
}

static void list__is_cut_at_its_limit(struct fixture *f)
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
            struct answer a = as(f, f->token, "GET", "/v3/roles", NULL);
            assert_int_equal(json_array_size(at(a.json, "roles")), LIST_MAX - 1);
            assert_null(at(a.json, "truncated"));
            json_decref(a.json);
        }
    }
    struct answer a = as(f, f->token, "GET", "/v3/roles", NULL);
    assert_int_equal(json_array_size(at(a.json, "roles")), LIST_MAX);
    assert_true(json_is_true(at(a.json, "truncated")));
    json_decref(a.json);
    a = as(f, f->token, "GET", "/v3/roles?name=r10000", NULL);
    assert_int_equal(json_array_size(at(a.json, "roles")), 1);
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

static void secrets__are_not_logged(struct fixture *f)
{
    logged_size = 0;
    log_set_sink(keep_line, NULL);
    log_set_level(LOG_DEBUG);
    log_set_debug("all");
    const char *token = token_of(f, "demo", f->demo_password, NULL);
    assert_error(login_as(f, "demo", "a-wrong-password", NULL), 401, "Unauthorized");
    assert_int_equal(about(f, "DELETE", f->token, token).status, 204);
    assert_int_equal(ask(f, "GET", "/auth/v1.0", arena_printf(&f->arena, "X-Auth-User: demo\r\nX-Auth-Key: %s\r\n",
                         f->demo_password), NULL).status, 200);
    assert_int_equal(status(f, f->token, "POST", "/v3/users", "{\"user\":{\"name\":\"x\",\"password\":\"pass-of-x\"}}"), 201);
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

static void auth_v1__gives_token_and_account(struct fixture *f)
{
    const char *const users[] = { "demo:demo", "demo" };

    for (int i = 0; i < 2; i++) {
        struct answer a = ask(f, "GET", "/auth/v1.0", arena_printf(&f->arena, "X-%s-User: %s\r\nX-%s: %s\r\n",
                              i ? "Storage" : "Auth", users[i], i ? "Storage-Pass" : "Auth-Key", f->demo_password), NULL);
        struct identity_context who;
        char                    url[128];
        assert_int_equal(a.status, 200);
        assert_string_equal(header(f, &a, "X-Auth-Token"), header(f, &a, "X-Storage-Token"));
        assert_int_equal(identity_check_token(f->identity, slice_str(header(f, &a, "X-Auth-Token")), &who), 0);
        snprintf(url, sizeof url, "http://127.0.0.1:8080/v1/AUTH_%s", who.project_id);
        assert_string_equal(header(f, &a, "X-Storage-Url"), url);
        assert_in_range(strtol(header(f, &a, "X-Auth-Token-Expires"), NULL, 10), TOKEN_LIFETIME_S - 60, TOKEN_LIFETIME_S);
    }
    assert_int_equal(ask(f, "GET", "/auth/v1.0", NULL, NULL).status, 401);
    assert_int_equal(ask(f, "GET", "/auth/v1.0", "X-Auth-User: demo:demo\r\nX-Auth-Key: no\r\n", NULL).status, 401);
    assert_int_equal(ask(f, "GET", "/auth/v1.0", arena_printf(&f->arena, "X-Auth-User: admin:demo\r\nX-Auth-Key: %s\r\n",
                         f->demo_password), NULL).status, 401);
}

/* --- Keys and upkeep. --- */

static void keys__rotate_without_ending_tokens(struct fixture *f)
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

static void revocations__are_forgotten_when_over(struct fixture *f)
{
    const char *demo = token_of(f, "demo", f->demo_password, NULL);

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
static void model__other_processes_follow(struct fixture *f)
{
    struct identity_options options = { .weak_passwords = true };
    struct identity        *second;
    struct error            err;
    char                   *admin = NULL, *demo = NULL;
    struct identity_context who;

    assert_int_equal(identity_new(f->env, f->control, &options, &second, &f->arena, &admin, &demo, &err), 0);
    assert_null(admin);
    const char *token = token_of(f, "demo", f->demo_password, NULL);
    assert_int_equal(identity_check_token(second, slice_str(token), &who), 0);
    assert_string_equal(who.project_name, "demo");
    assert_true(identity_has_role(&who, "reader"));
    assert_false(identity_has_role(&who, "admin"));
    assert_int_equal(identity_revoke(f->identity, slice_str(token)), 0);
    assert_int_equal(model_wait(&second->model, f->identity->model.revision), 0);
    assert_int_equal(identity_check_token(second, slice_str(token), &who), -E_UNAUTHORIZED);
    identity_free(second);
}

#define TEST(test) { #test, run_in_loop, NULL, NULL, &(struct run) { test } }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(discovery__as_keystone),
        TEST(login__project_scope_has_roles_and_catalog),
        TEST(login__scopes),
        TEST(login__wrong_credentials_are_401),
        TEST(login__malformed_bodies_are_400),
        TEST(login__guessing_is_limited_by_user_and_address),
        TEST(token__validate_and_revoke),
        TEST(token__revocation_survives_a_restart),
        TEST(token__expires),
        TEST(token__check_is_cheap_and_cache_is_bounded),
        TEST(change__of_user_or_project_counts_at_once),
        TEST(manage__users_projects_roles),
        TEST(manage__domains_take_their_content_along),
        TEST(policy__a_member_manages_nothing),
        TEST(catalog__lists_only_what_exists),
        TEST(list__is_cut_at_its_limit),
        TEST(secrets__are_not_logged),
        TEST(auth_v1__gives_token_and_account),
        TEST(keys__rotate_without_ending_tokens),
        TEST(revocations__are_forgotten_when_over),
        TEST(model__other_processes_follow),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
