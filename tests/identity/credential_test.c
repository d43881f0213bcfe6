/* tests/identity/credential_test.c - access keys: made through the API, sealed in the store, used by the data path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "tests/lib/keystone.h"
#include "tests/lib/test.h"

static const char *keys_of(struct ks *f, const char *user)
{
    return arena_printf(&f->arena, "/v3/users/%s/credentials/OS-EC2", ks_id(f, "users", user));
}

/* A key of 'user' for its project, made by the API; texts in the arena. */
struct key {
    const char *path;   /* Of the credential. */
    const char *access, *secret;
};
static struct key make_key(struct ks *f, const char *token, const char *user, const char *project)
{
    struct ks_answer a = ks_as(f, token, "POST", keys_of(f, user),
                               arena_printf(&f->arena, "{\"tenant_id\":\"%s\"}", ks_id(f, "projects", project)));
    struct key       key;

    assert_int_equal(a.status, 201);
    key.access = arena_str(&f->arena, slice_str(ks_text(a.json, "credential.access")));
    key.secret = arena_str(&f->arena, slice_str(ks_text(a.json, "credential.secret")));
    key.path = arena_printf(&f->arena, "%s/%s", keys_of(f, user), key.access);
    json_decref(a.json);
    return key;
}

static int check(struct ks *f, const char *access, const struct identity_context **ret_who, struct slice *ret_secret)
{
    return identity_s3_key(f->identity, slice_str(access), ret_who, ret_secret);
}

static const char *credential_body(struct ks *f, const char *user, const char *project, const char *access,
                                   const char *secret)
{
    return arena_printf(&f->arena, "{\"credential\":{\"type\":\"ec2\",\"user_id\":\"%s\",\"project_id\":\"%s\",\"blob\":"
                        "\"{\\\"access\\\":\\\"%s\\\",\\\"secret\\\":\\\"%s\\\"}\"}}", ks_id(f, "users", user),
                        ks_id(f, "projects", project), access, secret);
}

/* --- The data path. --- */

static void key__stands_for_its_user_as_it_is_now(struct ks *f)
{
    const char                    *demo = ks_token(f, "demo", f->demo_password, NULL);
    const struct identity_context *who;
    struct slice                   secret;
    struct key                     key = make_key(f, demo, "demo", "demo");

    assert_int_equal(check(f, key.access, &who, &secret), 0);
    assert_true(slice_equal(secret, slice_str(key.secret)));
    assert_string_equal(who->user_name, "demo");
    assert_string_equal(who->project_name, "demo");
    assert_string_equal(who->project_domain_id, "default");
    assert_true(identity_has_role(who, "member") && identity_has_role(who, "reader") && !identity_has_role(who, "admin"));
    assert_int_equal(check(f, "nothing", &who, &secret), -E_UNAUTHORIZED);
    assert_int_equal(check(f, "", &who, &secret), -E_UNAUTHORIZED);

    const char *user = arena_printf(&f->arena, "/v3/users/%s", ks_id(f, "users", "demo"));
    const char *project = arena_printf(&f->arena, "/v3/projects/%s", ks_id(f, "projects", "demo"));
    const char *grant = arena_printf(&f->arena, "%s/users/%s/roles/%s", project, ks_id(f, "users", "demo"),
                                     ks_id(f, "roles", "member"));
    /* Each of them counts at once, and so does its end. */
    assert_int_equal(ks_status(f, f->token, "PATCH", user, "{\"user\":{\"enabled\":false}}"), 200);
    assert_int_equal(check(f, key.access, &who, &secret), -E_UNAUTHORIZED);
    assert_int_equal(ks_status(f, f->token, "PATCH", user, "{\"user\":{\"enabled\":true}}"), 200);
    assert_int_equal(check(f, key.access, &who, &secret), 0);
    assert_int_equal(ks_status(f, f->token, "PATCH", project, "{\"project\":{\"enabled\":false}}"), 200);
    assert_int_equal(check(f, key.access, &who, &secret), -E_UNAUTHORIZED);
    assert_int_equal(ks_status(f, f->token, "PATCH", project, "{\"project\":{\"enabled\":true}}"), 200);
    assert_int_equal(ks_status(f, f->token, "DELETE", grant, NULL), 204);
    assert_int_equal(check(f, key.access, &who, &secret), -E_UNAUTHORIZED);
    assert_int_equal(ks_status(f, f->token, "PUT", grant, NULL), 204);
    assert_int_equal(check(f, key.access, &who, &secret), 0);
    assert_int_equal(ks_status(f, f->token, "DELETE", key.path, NULL), 204);
    assert_int_equal(check(f, key.access, &who, &secret), -E_UNAUTHORIZED);
}

static void key__survives_a_restart_sealed(struct ks *f)
{
    struct key                     key = make_key(f, f->token, "demo", "demo");
    const struct identity_context *who;
    struct slice                   secret;
    struct control_entry          *entries;
    uint32_t                       count;
    uint64_t                       revision;

    /* Nothing in the store, keys and values, has the secret or the access key. */
    assert_int_equal(control_prefix(f->control, SLICE("identity/"), &f->arena, &entries, &count, &revision), 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_null(memmem(entries[i].value.data, entries[i].value.size, key.secret, strlen(key.secret)));
        assert_null(memmem(entries[i].value.data, entries[i].value.size, key.access, strlen(key.access)));
        assert_null(memmem(entries[i].key.data, entries[i].key.size, key.access, strlen(key.access)));
    }
    ks_close(f);
    ks_open(f);
    assert_int_equal(check(f, key.access, &who, &secret), 0);
    assert_true(slice_equal(secret, slice_str(key.secret)));
}

/* A sealed record cannot be made to serve another user. */
static void key__moved_to_another_user_is_void(struct ks *f)
{
    struct key                     key = make_key(f, f->token, "demo", "demo");
    const struct identity_context *who;
    struct slice                   secret;
    Rs__IdentityCredential        *record = (Rs__IdentityCredential *)f->identity->model.first[MODEL_CREDENTIAL]->message;

    char *was = record->user_id;
    record->user_id = (char *)(uintptr_t)ks_id(f, "users", "admin");
    assert_int_equal(check(f, key.access, &who, &secret), -E_UNAUTHORIZED);
    record->user_id = was;
    assert_int_equal(check(f, key.access, &who, &secret), 0);
    access_key_cache_clear(f->identity);
    record->sealed.data[3] ^= 1;
    assert_int_equal(check(f, key.access, &who, &secret), -E_UNAUTHORIZED);
    record->sealed.data[3] ^= 1;
}

static void signing_key__is_derived_once_and_follows_the_secret(struct ks *f)
{
    const struct identity_context *who;
    uint8_t                        key[IDENTITY_SIGNING_KEY_BYTES], want[IDENTITY_SIGNING_KEY_BYTES];
    char                           region[IDENTITY_SCOPE_MAX];
    struct ks_answer a = ks_as(f, f->token, "POST", "/v3/credentials", credential_body(f, "demo", "demo", "AK", "first"));

    assert_int_equal(a.status, 201);
    const char *path = arena_printf(&f->arena, "/v3/credentials/%s", ks_text(a.json, "credential.id"));
    json_decref(a.json);
    int64_t before = counter_value("identity_signing_keys_derived");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(identity_s3_signing_key(f->identity, SLICE("AK"), SLICE("20260101"), SLICE("r"), SLICE("s3"),
                                                 &who, key), 0);
        assert_string_equal(who->user_name, "demo");
    }
    assert_int_equal(counter_value("identity_signing_keys_derived"), before + 1);
    access_key_derive(SLICE("first"), SLICE("20260101"), SLICE("r"), SLICE("s3"), want);
    assert_memory_equal(key, want, sizeof key);
    /* More scopes than are kept; the parts of one are not taken for another's. */
    for (int i = 0; i < 9; i++) {
        snprintf(region, sizeof region, "r%d", i);
        assert_int_equal(identity_s3_signing_key(f->identity, SLICE("AK"), SLICE("20260101"), slice_str(region),
                                                 SLICE("s3"), &who, key), 0);
        access_key_derive(SLICE("first"), SLICE("20260101"), slice_str(region), SLICE("s3"), want);
        assert_memory_equal(key, want, sizeof key);
    }
    assert_int_equal(ks_status(f, f->token, "PATCH", path, credential_body(f, "demo", "demo", "AK", "second")), 200);
    assert_int_equal(identity_s3_signing_key(f->identity, SLICE("AK"), SLICE("20260101"), SLICE("r8"), SLICE("s3"), &who,
                                             key), 0);
    access_key_derive(SLICE("second"), SLICE("20260101"), SLICE("r8"), SLICE("s3"), want);
    assert_memory_equal(key, want, sizeof key);

    /* As long as a scope may be: date, region, service, and a slash after each. */
    memset(region, 'x', sizeof region);
    size_t longest = IDENTITY_SCOPE_MAX - 8 - 2 - 3;
    assert_int_equal(identity_s3_signing_key(f->identity, SLICE("AK"), SLICE("20260101"), slice_of(region, longest),
                                             SLICE("s3"), &who, key), 0);
    assert_int_equal(identity_s3_signing_key(f->identity, SLICE("AK"), SLICE("20260101"), slice_of(region, longest + 1),
                                             SLICE("s3"), &who, key), -E_LIMIT);
    assert_int_equal(identity_s3_signing_key(f->identity, SLICE("BK"), SLICE("20260101"), SLICE("r"), SLICE("s3"), &who,
                                             key), -E_UNAUTHORIZED);
}

static void key__check_is_cheap_and_cache_is_bounded(struct ks *f)
{
    enum { ROUNDS = 100000, KEYS = CREDENTIALS_MAX };
    struct key                     key = make_key(f, f->token, "demo", "demo");
    const struct identity_context *who;
    uint8_t                        out[IDENTITY_SIGNING_KEY_BYTES];
    char                           access[32];
    struct slice                   secret;

    int64_t start = env_now(f->env);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(identity_s3_signing_key(f->identity, slice_str(key.access), SLICE("20260101"),
                                                 SLICE("RegionOne"), SLICE("s3"), &who, out), 0);
    int64_t cached = (env_now(f->env) - start) / ROUNDS;
    const char *user = arena_str(&f->arena, slice_str(identity_user_id(f->identity, "demo")));
    const char *project = arena_str(&f->arena, slice_str(identity_project_id(f->identity, "demo")));
    for (int i = 1; i < KEYS; i++) {
        snprintf(access, sizeof access, "key-%d", i);
        assert_int_equal(identity_create_key(f->identity, user, project, slice_str(access), SLICE("s")), 0);
    }
    /* The limit of a user. */
    assert_int_equal(identity_create_key(f->identity, user, project, SLICE("more"), SLICE("s")), -E_LIMIT);
    ks_assert_error(ks_as(f, f->token, "POST", keys_of(f, "demo"), arena_printf(&f->arena, "{\"tenant_id\":\"%s\"}",
                          project)), 403, "Forbidden");
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/credentials", credential_body(f, "demo", "demo", "more", "s")), 403,
                    "Forbidden");
    access_key_cache_clear(f->identity);
    start = env_now(f->env);
    for (int i = 1; i < KEYS; i++) {
        snprintf(access, sizeof access, "key-%d", i);
        assert_int_equal(check(f, access, &who, &secret), 0);
    }
    print_message("access key: %lld ns cached, with its signing key; %lld ns opened\n", (long long)cached,
                  (long long)((env_now(f->env) - start) / (KEYS - 1)));
    assert_true(cached < 100000);
    assert_int_equal(check(f, key.access, &who, &secret), 0);
}

/* --- What goes with what. --- */

static void credentials__go_with_their_user_and_project(struct ks *f)
{
    const struct identity_context *who;
    struct slice                   secret;
    struct key                     first, second;

    assert_int_equal(ks_status(f, f->token, "POST", "/v3/projects", "{\"project\":{\"name\":\"p\"}}"), 201);
    first = make_key(f, f->token, "admin", "p");
    second = make_key(f, f->token, "demo", "demo");
    assert_int_equal(check(f, first.access, &who, &secret), -E_UNAUTHORIZED);   /* No role there. */
    assert_int_equal(ks_status(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/projects/%s",
                               ks_id(f, "projects", "p")), NULL), 204);
    ks_assert_error(ks_as(f, f->token, "GET", first.path, NULL), 404, "Not Found");
    assert_int_equal(check(f, second.access, &who, &secret), 0);
    assert_int_equal(ks_status(f, f->token, "DELETE", arena_printf(&f->arena, "/v3/users/%s", ks_id(f, "users", "demo")),
                               NULL), 204);
    assert_int_equal(check(f, second.access, &who, &secret), -E_UNAUTHORIZED);
    assert_null(f->identity->model.first[MODEL_CREDENTIAL]);
    for (const struct model_object *o = f->identity->model.first[MODEL_NAME]; o; o = o->after)
        assert_int_not_equal(strncmp(o->key, "name/access/", 12), 0);
}

static void orphans__are_swept_in_pieces(struct ks *f)
{
    enum { MANY = 50 };
    const char *user = arena_str(&f->arena, slice_str(identity_user_id(f->identity, "demo")));
    const char *project = arena_str(&f->arena, slice_str(identity_project_id(f->identity, "demo")));
    char        access[32];

    for (int i = 0; i < MANY; i++) {
        snprintf(access, sizeof access, "key-%d", i);
        assert_int_equal(identity_create_key(f->identity, user, project, slice_str(access), SLICE("s")), 0);
    }
    assert_int_equal(remove_orphans(f->identity), 0);
    assert_int_equal(credential_count(f->identity, user), MANY);
    assert_int_equal(remove_user(f->identity, user), 0);
    assert_int_equal(credential_count(f->identity, user), 0);
    assert_null(f->identity->model.first[MODEL_CREDENTIAL]);
}

static void create_key__needs_user_and_project(struct ks *f)
{
    const char *user = arena_str(&f->arena, slice_str(identity_user_id(f->identity, "demo")));
    const char *project = arena_str(&f->arena, slice_str(identity_project_id(f->identity, "demo")));
    char        longest[IDENTITY_SECRET_MAX + 1];

    memset(longest, 'a', sizeof longest);
    assert_int_equal(identity_create_key(f->identity, "x", project, SLICE("A"), SLICE("s")), -ENOENT);
    assert_int_equal(identity_create_key(f->identity, user, "x", SLICE("A"), SLICE("s")), -ENOENT);
    assert_int_equal(identity_create_key(f->identity, user, project, SLICE("A"), SLICE("")), -E_LIMIT);
    assert_int_equal(identity_create_key(f->identity, user, project, SLICE(""), SLICE("s")), -E_LIMIT);
    assert_int_equal(identity_create_key(f->identity, user, project, SLICE("a/b"), SLICE("s")), -E_LIMIT);
    assert_int_equal(identity_create_key(f->identity, user, project, slice_of(longest, IDENTITY_ACCESS_MAX + 1),
                                         SLICE("s")), -E_LIMIT);
    assert_int_equal(identity_create_key(f->identity, user, project, SLICE("A"),
                                         slice_of(longest, IDENTITY_SECRET_MAX + 1)), -E_LIMIT);
    assert_int_equal(identity_create_key(f->identity, user, project, slice_of(longest, IDENTITY_ACCESS_MAX),
                                         slice_of(longest, IDENTITY_SECRET_MAX)), 0);
    assert_int_equal(identity_create_key(f->identity, user, project, SLICE("A"), SLICE("s")), 0);
    assert_int_equal(identity_create_key(f->identity, user, project, SLICE("A"), SLICE("t")), -E_CONDITION);
}

/* --- /v3/credentials --- */

static void credentials__ec2_blob_is_checked(struct ks *f)
{
    static const char *const bodies[] = {
        "{\"credential\":{}}", "{\"credential\":{\"type\":\"cert\",\"user_id\":\"USER\"}}",
        "{\"credential\":{\"type\":\"cert\",\"user_id\":\"USER\",\"blob\":7}}",
        "{\"credential\":{\"type\":\"\",\"user_id\":\"USER\",\"blob\":\"x\"}}",
        "{\"credential\":{\"type\":\"ec2\",\"user_id\":\"USER\",\"blob\":\"{\\\"access\\\":\\\"a\\\"}\"}}",
        "{\"credential\":{\"type\":\"ec2\",\"user_id\":\"USER\",\"project_id\":\"PROJECT\",\"blob\":\"x\"}}",
        "{\"credential\":{\"type\":\"ec2\",\"user_id\":\"USER\",\"project_id\":\"PROJECT\",\"blob\":\"[]\"}}",
        "{\"credential\":{\"type\":\"ec2\",\"user_id\":\"USER\",\"project_id\":\"PROJECT\",\"blob\":\"{}\"}}",
        "{\"credential\":{\"type\":\"ec2\",\"user_id\":\"USER\",\"project_id\":\"PROJECT\",\"blob\":\"{\\\"access\\\":1}\"}}",
        "{\"credential\":{\"type\":\"ec2\",\"user_id\":\"USER\",\"project_id\":\"PROJECT\",\"blob\":\"{\\\"access\\\":\\\"a b\\\"}\"}}",
        "{\"credential\":{\"type\":\"EC2\",\"user_id\":\"USER\",\"project_id\":null,\"blob\":\"{\\\"access\\\":\\\"a\\\"}\"}}",
    };
    const char *user = ks_id(f, "users", "demo"), *project = ks_id(f, "projects", "demo");

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char *body = arena_alloc(&f->arena, 1024), *out = body;
        for (const char *in = bodies[i]; *in;) {
            const char *word = strncmp(in, "USER", 4) == 0 ? user : strncmp(in, "PROJECT", 7) == 0 ? project : NULL;
            if (word) {
                out += snprintf(out, 64, "%s", word);
                in += word == user ? 4 : 7;
            } else {
                *out++ = *in++;
            }
        }
        *out = '\0';
        ks_assert_error(ks_as(f, f->token, "POST", "/v3/credentials", body), 400, "Bad Request");
    }
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/credentials",
                          "{\"credential\":{\"type\":\"cert\",\"user_id\":\"nobody\",\"blob\":\"x\"}}"), 404, "Not Found");
    assert_null(f->identity->model.first[MODEL_CREDENTIAL]);
    /* As long as a blob may be, and longer. */
    for (int more = 0; more < 2; more++) {
        char *blob = arena_alloc(&f->arena, CREDENTIAL_BLOB_MAX + 2);
        memset(blob, 'b', (size_t)(CREDENTIAL_BLOB_MAX + more));
        assert_int_equal(ks_status(f, f->token, "POST", "/v3/credentials", arena_printf(&f->arena, "{\"credential\":{"
                                   "\"type\":\"cert\",\"user_id\":\"%s\",\"blob\":\"%s\"}}", user, blob)), more ? 400 : 201);
    }
}

static void credentials__another_access_key_takes_the_firsts_place(struct ks *f)
{
    const struct identity_context *who;
    struct slice                   secret;
    struct ks_answer a = ks_as(f, f->token, "POST", "/v3/credentials", credential_body(f, "demo", "demo", "A1", "s1"));

    assert_int_equal(a.status, 201);
    const char *path = arena_printf(&f->arena, "/v3/credentials/%s", ks_text(a.json, "credential.id"));
    json_decref(a.json);
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/credentials", credential_body(f, "admin", "admin", "A1", "x")), 409,
                    "Conflict");
    assert_int_equal(ks_status(f, f->token, "PATCH", path, credential_body(f, "demo", "demo", "A2", "s2")), 200);
    assert_int_equal(check(f, "A1", &who, &secret), -E_UNAUTHORIZED);
    assert_int_equal(check(f, "A2", &who, &secret), 0);
    assert_true(slice_equal(secret, SLICE("s2")));
    /* Without a blob it stays; it may become another's. */
    assert_int_equal(ks_status(f, f->token, "PATCH", path, arena_printf(&f->arena, "{\"credential\":{\"user_id\":\"%s\","
                               "\"project_id\":\"%s\"}}", ks_id(f, "users", "admin"), ks_id(f, "projects", "admin"))), 200);
    assert_int_equal(check(f, "A2", &who, &secret), 0);
    assert_string_equal(who->user_name, "admin");
    /* A key that is taken stays its owner's. */
    assert_int_equal(ks_status(f, f->token, "POST", "/v3/credentials", credential_body(f, "demo", "demo", "A3", "s3")), 201);
    ks_assert_error(ks_as(f, f->token, "PATCH", path, credential_body(f, "demo", "demo", "A3", "x")), 409, "Conflict");
    /* No key any more. */
    assert_int_equal(ks_status(f, f->token, "PATCH", path, "{\"credential\":{\"type\":\"cert\"}}"), 200);
    assert_int_equal(check(f, "A2", &who, &secret), -E_UNAUTHORIZED);
    assert_int_equal(ks_status(f, f->token, "DELETE", path, NULL), 204);
    ks_assert_error(ks_as(f, f->token, "GET", path, NULL), 404, "Not Found");
}

/* Without a secret nobody can sign, not even with an empty one. */
static void credentials__without_a_secret_open_nothing(struct ks *f)
{
    const struct identity_context *who;
    struct slice                   secret;

    assert_int_equal(ks_status(f, f->token, "POST", "/v3/credentials", credential_body(f, "demo", "demo", "A1", "")), 201);
    assert_int_equal(check(f, "A1", &who, &secret), -E_UNAUTHORIZED);
}

static void policy__everybody_has_only_the_own(struct ks *f)
{
    const char *demo = ks_token(f, "demo", f->demo_password, NULL);
    struct key  own = make_key(f, demo, "demo", "demo"), admins = make_key(f, f->token, "admin", "admin");
    const char *admin_path = NULL, *own_path = NULL;

    struct ks_answer a = ks_as(f, f->token, "GET", "/v3/credentials", NULL);
    assert_int_equal(json_array_size(ks_at(a.json, "credentials")), 2);
    for (int i = 0; i < 2; i++) {
        bool own_one = strstr(ks_text(a.json, i ? "credentials.1.blob" : "credentials.0.blob"), own.access) != NULL;
        const char *path = arena_printf(&f->arena, "/v3/credentials/%s",
                                        ks_text(a.json, i ? "credentials.1.id" : "credentials.0.id"));
        *(own_one ? &own_path : &admin_path) = path;
    }
    json_decref(a.json);
    assert_true(own_path && admin_path);
    a = ks_as(f, demo, "GET", "/v3/credentials", NULL);
    assert_int_equal(json_array_size(ks_at(a.json, "credentials")), 1);
    assert_non_null(strstr(ks_text(a.json, "credentials.0.blob"), own.access));
    json_decref(a.json);
    a = ks_as(f, demo, "GET", arena_printf(&f->arena, "/v3/credentials?user_id=%s", ks_id(f, "users", "admin")), NULL);
    assert_int_equal(json_array_size(ks_at(a.json, "credentials")), 0);
    json_decref(a.json);

    const char *others[][2] = { { "GET", admin_path }, { "PATCH", admin_path }, { "DELETE", admin_path },
                                { "GET", admins.path }, { "DELETE", admins.path }, { "GET", keys_of(f, "admin") },
                                { "POST", keys_of(f, "admin") }, { "GET", "/v3/credentials/nothing" } };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ks_assert_error(ks_as(f, demo, others[i][0], others[i][1], "{\"credential\":{}}"), 403, "Forbidden");
        ks_assert_error(ks_ask(f, others[i][0], others[i][1], NULL, "{}"), 401, "Unauthorized");
    }
    ks_assert_error(ks_as(f, demo, "POST", "/v3/credentials", credential_body(f, "admin", "admin", "A", "s")), 403,
                    "Forbidden");
    ks_assert_error(ks_as(f, demo, "PATCH", own_path, arena_printf(&f->arena, "{\"credential\":{\"user_id\":\"%s\"}}",
                          ks_id(f, "users", "admin"))), 403, "Forbidden");
    assert_int_equal(ks_status(f, demo, "POST", "/v3/credentials", credential_body(f, "demo", "demo", "B", "s")), 201);
    /* Through the own path another's key is not there. */
    ks_assert_error(ks_as(f, demo, "GET", arena_printf(&f->arena, "%s/%s", keys_of(f, "demo"), admins.access), NULL), 404,
                    "Not Found");
    /* A reader has keys, and makes none. */
    const char *roles = arena_printf(&f->arena, "/v3/projects/%s/users/%s/roles", ks_id(f, "projects", "demo"),
                                     ks_id(f, "users", "demo"));
    assert_int_equal(ks_status(f, f->token, "PUT", arena_printf(&f->arena, "%s/%s", roles, ks_id(f, "roles", "reader")),
                               NULL), 204);
    assert_int_equal(ks_status(f, f->token, "DELETE", arena_printf(&f->arena, "%s/%s", roles,
                               ks_id(f, "roles", "member")), NULL), 204);
    assert_int_equal(ks_status(f, demo, "GET", own.path, NULL), 200);
    ks_assert_error(ks_as(f, demo, "DELETE", own.path, NULL), 403, "Forbidden");
    ks_assert_error(ks_as(f, demo, "POST", keys_of(f, "demo"), "{}"), 403, "Forbidden");
}

/* --- Tokens for signed requests. --- */

static const char *ec2_body(struct ks *f, const char *access, const char *secret, int64_t age_s)
{
    char    stamp[TIME_TEXT_MAX], signature[SIGNATURE_MAX];
    json_t *json;

    time_text(env_wall(f->env) / NS_PER_US - age_s * 1000000, stamp);
    const char *text = arena_printf(&f->arena, "{\"access\":\"%s\",\"verb\":\"GET\",\"path\":\"/\",\"host\":\"h:1\",\"params\":{"
                                    "\"SignatureVersion\":\"2\",\"Timestamp\":\"%s\"}}", access, stamp);
    json = json_loads(text, 0, NULL);
    assert_int_equal(ec2_signature(&f->arena, json, SLICE("h"), slice_str(secret), signature), 0);   /* Without the port. */
    json_object_set_new(json, "signature", json_string(signature));
    char       *dump = json_dumps(json, 0);
    const char *body = arena_printf(&f->arena, "{\"credentials\":%s}", dump);
    free(dump);
    json_decref(json);
    return body;
}

static void ec2_tokens__only_for_young_requests_of_valid_keys(struct ks *f)
{
    struct key key = make_key(f, f->token, "demo", "demo");

    struct ks_answer a = ks_as(f, f->token, "POST", "/v3/ec2tokens", ec2_body(f, key.access, key.secret, 60));
    assert_int_equal(a.status, 200);
    assert_string_equal(ks_text(a.json, "token.methods.0"), "ec2credential");
    assert_string_equal(ks_text(a.json, "token.project.name"), "demo");
    json_decref(a.json);
    const char *token = ks_header(f, &a, "X-Subject-Token");
    assert_int_equal(ks_status(f, token, "GET", "/v3/auth/catalog", NULL), 200);

    ks_assert_error(ks_as(f, f->token, "POST", "/v3/ec2tokens", ec2_body(f, key.access, key.secret, 16 * 60)), 401,
                    "Unauthorized");
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/ec2tokens", ec2_body(f, key.access, "wrong", 0)), 401, "Unauthorized");
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/ec2tokens", ec2_body(f, "unknown", "s", 0)), 404, "Not Found");
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/ec2tokens", "{}"), 401, "Unauthorized");
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/ec2tokens", "[]"), 400, "Bad Request");
    ks_assert_error(ks_as(f, token, "POST", "/v3/ec2tokens", ec2_body(f, key.access, key.secret, 0)), 403, "Forbidden");
    ks_assert_error(ks_ask(f, "POST", "/v3/ec2tokens", NULL, ec2_body(f, key.access, key.secret, 0)), 401, "Unauthorized");
    ks_assert_error(ks_ask(f, "POST", "/v3/s3tokens", NULL, "{}"), 401, "Unauthorized");
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/s3tokens", arena_printf(&f->arena, "{\"credentials\":{\"access\":"
                          "\"%s\",\"token\":\"!\",\"signature\":\"x\"}}", key.access)), 401, "Unauthorized");
    assert_int_equal(ks_status(f, f->token, "PATCH", arena_printf(&f->arena, "/v3/users/%s", ks_id(f, "users", "demo")),
                               "{\"user\":{\"enabled\":false}}"), 200);
    ks_assert_error(ks_as(f, f->token, "POST", "/v3/ec2tokens", ec2_body(f, key.access, key.secret, 0)), 401,
                    "Unauthorized");
}

/* --- Owners and grants. --- */

static void projects__by_id_and_by_email(struct ks *f)
{
    const char             *id = arena_str(&f->arena, slice_str(identity_project_id(f->identity, "demo")));
    struct identity_project project;

    assert_int_equal(identity_project(f->identity, slice_str(id), &project), 0);
    assert_string_equal(project.name, "demo");
    assert_string_equal(project.domain_name, "Default");
    assert_true(project.enabled);
    assert_int_equal(identity_project(f->identity, SLICE("no"), &project), -ENOENT);
    assert_int_equal(identity_project(f->identity, SLICE_NONE, &project), -ENOENT);
    assert_int_equal(identity_project_of_email(f->identity, SLICE("demo@x"), &project), -ENOENT);
    assert_int_equal(ks_status(f, f->token, "PATCH", arena_printf(&f->arena, "/v3/users/%s", ks_id(f, "users", "demo")),
                               "{\"user\":{\"email\":\"Demo@X\"}}"), 200);
    assert_int_equal(identity_project_of_email(f->identity, SLICE("demo@x"), &project), 0);
    assert_string_equal(project.id, id);
    assert_int_equal(ks_status(f, f->token, "PATCH", arena_printf(&f->arena, "/v3/users/%s", ks_id(f, "users", "admin")),
                               "{\"user\":{\"email\":\"demo@x\"}}"), 200);
    assert_int_equal(identity_project_of_email(f->identity, SLICE("demo@x"), &project), -E_CONFLICT);
}

/* --- Lists in pages. --- */

static void list__pages_have_everything_once(struct ks *f)
{
    const char *path = "/v3/users?limit=2&enabled=true";
    char        seen[16][IDENTITY_ID_MAX];
    size_t      count = 0;

    for (int i = 0; i < 5; i++)
        assert_int_equal(ks_status(f, f->token, "POST", "/v3/users", arena_printf(&f->arena, "{\"user\":{\"name\":\"u%d\","
                                   "\"enabled\":%s}}", i, i == 3 ? "false" : "true")), 201);
    for (int pages = 0; path && pages < 8; pages++) {
        struct ks_answer a = ks_as(f, f->token, "GET", path, NULL);
        assert_int_equal(a.status, 200);
        const json_t *users = ks_at(a.json, "users"), *next = ks_at(a.json, "links.next");
        assert_true(json_array_size(users) <= 2);
        for (size_t i = 0; i < json_array_size(users); i++)
            text_copy(seen[count++], sizeof seen[0], json_string_value(json_object_get(json_array_get(users, i), "id")));
        path = json_is_string(next) ? strstr(arena_str(&f->arena, slice_str(json_string_value(next))), "/v3/") : NULL;
        json_decref(a.json);
    }
    assert_null(path);
    assert_int_equal(count, 6);   /* admin, demo, and four. */
    for (size_t i = 0; i + 1 < count; i++)
        assert_true(strcmp(seen[i], seen[i + 1]) < 0);
    ks_assert_error(ks_as(f, f->token, "GET", "/v3/users?limit=x", NULL), 400, "Bad Request");
    ks_assert_error(ks_as(f, f->token, "GET", "/v3/users?limit=4294967296", NULL), 400, "Bad Request");
    assert_int_equal(ks_status(f, f->token, "GET", "/v3/users?limit=4294967295&marker=zzz", NULL), 200);
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
    const struct identity_context *who;
    struct slice                   secret;

    logged_size = 0;
    log_set_sink(keep_line, NULL);
    log_set_level(LOG_DEBUG);
    log_set_debug("all");
    struct key key = make_key(f, f->token, "demo", "demo");
    assert_int_equal(ks_status(f, f->token, "POST", "/v3/credentials", credential_body(f, "demo", "demo", "AK",
                               "a-chosen-secret")), 201);
    assert_int_equal(check(f, "AK", &who, &secret), 0);
    assert_int_equal(ks_status(f, f->token, "POST", "/v3/ec2tokens", ec2_body(f, key.access, key.secret, 0)), 200);
    log_set_level(LOG_ERROR);
    log_set_debug("");
    log_set_sink(NULL, NULL);
    assert_true(logged_size > 0 && logged_size < sizeof logged);
    assert_non_null(strstr(logged, "identity:ec2_create_credential"));
    assert_null(strstr(logged, key.secret));
    assert_null(strstr(logged, "a-chosen-secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KS_TEST(key__stands_for_its_user_as_it_is_now),
        KS_TEST(key__survives_a_restart_sealed),
        KS_TEST(key__moved_to_another_user_is_void),
        KS_TEST(signing_key__is_derived_once_and_follows_the_secret),
        KS_TEST(key__check_is_cheap_and_cache_is_bounded),
        KS_TEST(credentials__go_with_their_user_and_project),
        KS_TEST(orphans__are_swept_in_pieces),
        KS_TEST(create_key__needs_user_and_project),
        KS_TEST(credentials__ec2_blob_is_checked),
        KS_TEST(credentials__another_access_key_takes_the_firsts_place),
        KS_TEST(credentials__without_a_secret_open_nothing),
        KS_TEST(policy__everybody_has_only_the_own),
        KS_TEST(ec2_tokens__only_for_young_requests_of_valid_keys),
        KS_TEST(projects__by_id_and_by_email),
        KS_TEST(list__pages_have_everything_once),
        KS_TEST(secrets__are_not_logged),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
