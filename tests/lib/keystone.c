/* tests/lib/keystone.c - see keystone.h. */
#include "tests/lib/keystone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_kernel.h"
#include "tests/lib/test.h"

static void handle(void *ctx, struct http_request *rq)
{
    if (slice_starts(rq->path, SLICE("/auth/v1.0")))
        identity_auth_v1(ctx, rq);
    else
        keystone_handle(ctx, rq);
}

/* --- A client. --- */

/* "name: value" lines, each ended by CRLF; the answer's memory is the fixture's arena, but for the JSON. */
struct ks_answer ks_ask(struct ks *f, const char *method, const char *path, const char *headers,
                         const char *body)
{
    struct ks_answer a = { 0 };
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

const char *ks_header(struct ks *f, const struct ks_answer *a, const char *name)
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

struct ks_answer ks_as(struct ks *f, const char *token, const char *method, const char *path, const char *body)
{
    return ks_ask(f, method, path, arena_printf(&f->arena, "X-Auth-Token: %s\r\n", token), body);
}

/* Asks and throws the answer's body away. */
int ks_status(struct ks *f, const char *token, const char *method, const char *path, const char *body)
{
    struct ks_answer a = ks_as(f, token, method, path, body);
    json_decref(a.json);
    return a.status;
}

/* A path of members and indices: "token.roles.0.name". */
const json_t *ks_at(const json_t *json, const char *path)
{
    char copy[256], *save = NULL;

    snprintf(copy, sizeof copy, "%s", path);
    for (char *part = strtok_r(copy, ".", &save); part && json; part = strtok_r(NULL, ".", &save))
        json = json_is_array(json) ? json_array_get(json, (size_t)strtol(part, NULL, 10)) : json_object_get(json, part);
    return json;
}

const char *ks_text(const json_t *json, const char *path)
{
    const char *text = json_string_value(ks_at(json, path));
    return text ? text : "(none)";
}

struct ks_answer ks_login(struct ks *f, const char *user, const char *password, const char *scope)
{
    return ks_ask(f, "POST", "/v3/auth/tokens", NULL,
               arena_printf(&f->arena, "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{"
                            "\"name\":\"%s\",\"domain\":{\"id\":\"default\"},\"password\":\"%s\"}}}%s%s}}", user,
                            password, scope ? ",\"scope\":" : "", scope ? scope : ""));
}

const char *ks_token(struct ks *f, const char *user, const char *password, const char *scope)
{
    struct ks_answer a = ks_login(f, user, password, scope);
    assert_int_equal(a.status, 201);
    json_decref(a.json);
    return ks_header(f, &a, "X-Subject-Token");
}

void ks_assert_error(struct ks_answer a, int code, const char *title)
{
    assert_int_equal(a.status, code);
    assert_int_equal(json_integer_value(ks_at(a.json, "error.code")), code);
    assert_string_equal(ks_text(a.json, "error.title"), title);
    assert_true(json_is_string(ks_at(a.json, "error.message")));
    json_decref(a.json);
}

const char *ks_id(struct ks *f, const char *kind, const char *name)
{
    struct ks_answer a = ks_as(f, f->token, "GET", arena_printf(&f->arena, "/v3/%s?name=%s", kind, name), NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(ks_at(a.json, kind)), 1);
    const char *id = arena_str(&f->arena, slice_str(ks_text(a.json, arena_printf(&f->arena, "%s.0.id", kind))));
    json_decref(a.json);
    return id;
}

/* --- Set-up. --- */

void ks_open(struct ks *f)
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

void ks_close(struct ks *f)
{
    http_server_stop(f->server, env_now(f->env) + 5 * NS_PER_S);
    http_server_free(f->server);
    identity_free(f->identity);
    control_close(f->control);
}

static void run_task(struct env *env, void *arg)
{
    struct ks f = { .env = env };
    char           command[128];

    snprintf(f.dir, sizeof f.dir, "/tmp/identity_test.XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    arena_init(&f.arena, 64 * 1024 * 1024);
    ks_open(&f);
    text_copy(f.token, sizeof f.token, ks_token(&f, "admin", f.admin_password, KS_PROJECT("admin")));
    ((struct ks_test *)arg)->fn(&f);
    ks_close(&f);
    arena_done(&f.arena);
    snprintf(command, sizeof command, "rm -rf %s", f.dir);
    assert_int_equal(system(command), 0);
}

void ks_run(void **state)
{
    assert_int_equal(kernel_main(&(struct kernel_options) { .cpu_threads = 2, .io_threads = 2 }, run_task, *state), 0);
}
