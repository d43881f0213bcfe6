/* identity/ec2_api.c - EC2 credentials of users (/v3/users/ID/credentials/OS-EC2), and tokens for signed requests
 * (/v3/ec2tokens, /v3/s3tokens). */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "identity/resource.h"

enum { SIGNED_FOR_S = 15 * 60 };   /* How old a signed request may be; as Keystone's auth_ttl. */

/* --- A user's keys. --- */

/* As Keystone shows them; NULL: it cannot be opened. */
static json_t *ec2_json(struct identity *identity, const Rs__IdentityCredential *record)
{
    struct arena    arena;
    struct slice    blob = SLICE_NONE;
    struct ec2_blob ec2;
    json_t         *object = NULL;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    if (credential_open(identity, record, &arena, &blob) == 0 && credential_parse_ec2(blob, &ec2) == 0) {
        object = json_pack("{s:s, s:s, s:s%, s:s%, s:n}", "user_id", record->user_id, "tenant_id", record->project_id,
                           "access", (const char *)ec2.access.data, ec2.access.size, "secret",
                           ec2.secret.size ? (const char *)ec2.secret.data : "", ec2.secret.size, "trust_id");
        char path[IDENTITY_ID_MAX + 64], name[IDENTITY_ACCESS_MAX + 1];
        snprintf(path, sizeof path, "users/%s/credentials/OS-EC2", record->user_id);
        snprintf(name, sizeof name, "%.*s", SLICE_ARG(ec2.access));
        api_self(identity, object, path, name);
        json_decref(ec2.json);
    }
    if (blob.size)
        explicit_bzero((void *)(uintptr_t)blob.data, blob.size);
    arena_done(&arena);
    return object;
}

/* Authenticates, asks the policy with the path's user as owner, and finds that user. False: answered. */
WAITS static bool user_of_path(struct identity *identity, struct http_request *rq, const struct http_params *params,
                               const char **ret_user_id)
{
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);

    if (!api_allowed(identity, rq, id, &who))
        return false;
    if (model_user(&identity->model, id) == NULL) {
        resource_missing(identity, rq, "user", id);
        return false;
    }
    *ret_user_id = id;
    return true;
}

HANDLER(ec2_list)
{
    struct identity *identity = ctx;
    const char      *user_id;

    if (!user_of_path(identity, rq, params, &user_id))
        return;
    json_t *array = json_array();
    for (const struct model_object *o = identity->model.first[MODEL_CREDENTIAL]; o && !api_list_full(array);
         o = o->after) {
        const Rs__IdentityCredential *record = MODEL_OBJECT(o, Rs__IdentityCredential);
        json_t *object = credential_is_ec2(record) && strcmp(record->user_id, user_id) == 0 ? ec2_json(identity, record)
                                                                                            : NULL;
        if (object)
            json_array_append_new(array, object);
    }
    api_reply_list(identity, rq, "credentials", array, 0);
}

/* The user's credential with the access key of the path; NULL: answered. */
WAITS static const struct model_object *of_path(struct identity *identity, struct http_request *rq,
                                                const struct http_params *params)
{
    const char  *user_id;
    struct slice access = params->count > 1 ? params->value[1] : SLICE_NONE;

    if (!user_of_path(identity, rq, params, &user_id))
        return NULL;
    const struct model_object *object = access.size <= IDENTITY_ACCESS_MAX ? credential_of_access(identity, access) : NULL;
    if (object == NULL || strcmp(MODEL_OBJECT(object, Rs__IdentityCredential)->user_id, user_id) != 0) {
        reply_error(identity, rq, 404, "Could not find credential: EC2 access key not found.");
        return NULL;
    }
    return object;
}

HANDLER(ec2_get)
{
    const struct model_object *object = of_path(ctx, rq, params);

    if (object == NULL)
        return;
    json_t *json = ec2_json(ctx, MODEL_OBJECT(object, Rs__IdentityCredential));
    if (json)
        api_reply_one(ctx, rq, 200, "credential", json);
    else
        reply_code(ctx, rq, -E_CORRUPT, "credential");
}

HANDLER(ec2_delete)
{
    const struct model_object *object = of_path(ctx, rq, params);

    if (object == NULL)
        return;
    const char *id = arena_str(&rq->arena, slice_str(MODEL_OBJECT(object, Rs__IdentityCredential)->id));
    int         rc = id ? remove_credential(ctx, id) : -ENOMEM;
    if (rc)
        reply_code(ctx, rq, rc, "credential");
    else
        reply_none(rq);
}

HANDLER(ec2_create)
{
    struct identity *identity = ctx;
    const char      *user_id;
    char             access[IDENTITY_ID_MAX], secret[IDENTITY_ID_MAX];
    json_t          *root;
    bool             bad = false;

    if (!user_of_path(identity, rq, params, &user_id))
        return;
    const json_t *body = api_body(identity, rq, NULL, &root);
    if (body == NULL)
        return;
    struct slice text = json_text(body, "tenant_id", &bad);
    const char  *project_id = bad || text.size >= IDENTITY_ID_MAX ? "" : arena_str(&rq->arena, text);
    json_decref(root);
    if (project_id == NULL || model_project(&identity->model, project_id) == NULL) {
        resource_missing(identity, rq, "project", project_id ? project_id : "");
        return;
    }
    identity_new_id(identity, access);   /* 128 bits in hex each, as Keystone's. */
    identity_new_id(identity, secret);
    int rc = credential_create_ec2(identity, &rq->arena, user_id, project_id, slice_str(access), slice_str(secret));
    explicit_bzero(secret, sizeof secret);
    const struct model_object *object = rc == 0 ? credential_of_access(identity, slice_str(access)) : NULL;
    json_t *json = object ? ec2_json(identity, MODEL_OBJECT(object, Rs__IdentityCredential)) : NULL;
    if (rc == -E_LIMIT)
        reply_error(identity, rq, 403, "Unable to create additional credentials, maximum of %d already exceeded for "
                    "user.", CREDENTIALS_MAX);
    else if (json == NULL)
        reply_code(identity, rq, rc ? rc : -E_UNAVAILABLE, "credential");   /* Gone again, already. */
    else
        api_reply_one(identity, rq, 201, "credential", json);
}

/* --- Tokens for signed requests. --- */

/* "host:port" without the port; some clients sign it so. */
static struct slice without_port(struct slice host)
{
    const uint8_t *colon = memrchr(host.data, ':', host.size);
    const uint8_t *bracket = memrchr(host.data, ']', host.size);

    return colon && (bracket == NULL || bracket < colon) ? slice_of(host.data, (size_t)(colon - host.data)) : host;
}

static bool same_text(struct slice given, const char *made)
{
    return given.size == strlen(made) && CRYPTO_memcmp(given.data, made, given.size) == 0;
}

/* 0: the signature is the secret's. */
static int check_ec2(struct arena *arena, const json_t *credentials, struct slice secret)
{
    bool         bad = false;
    struct slice signature = json_text(credentials, "signature", &bad), host = json_text(credentials, "host", &bad);
    char         made[SIGNATURE_MAX];

    if (bad || signature.size == 0)
        return -E_UNAUTHORIZED;
    if (host.data == NULL)
        host = SLICE("");
    int rc = ec2_signature(arena, credentials, host, secret, made);
    if (rc == 0 && !same_text(signature, made)) {
        struct slice bare = host.size ? without_port(host) : host;
        rc = bare.size == host.size ? -E_UNAUTHORIZED : ec2_signature(arena, credentials, bare, secret, made);
        if (rc == 0 && !same_text(signature, made))
            rc = -E_UNAUTHORIZED;
    }
    return rc == -ENOMEM ? rc : rc ? -E_UNAUTHORIZED : 0;
}

static int check_s3(struct arena *arena, const json_t *credentials, struct slice secret)
{
    bool         bad = false;
    struct slice signature = json_text(credentials, "signature", &bad), token = json_text(credentials, "token", &bad);
    struct slice text;
    char         made[SIGNATURE_MAX];

    if (bad || signature.size == 0 || token.size == 0 || ec2_unbase64(arena, token, &text))
        return -E_UNAUTHORIZED;
    int rc = s3_signature(text, secret, made);
    return rc == 0 && !same_text(signature, made) ? -E_UNAUTHORIZED : rc == -E_LIMIT ? -E_UNAUTHORIZED : rc;
}

/* A request that says when it was signed must be young. */
static bool is_young(struct identity *identity, const json_t *credentials)
{
    const json_t *params = json_object_get(credentials, "params"), *headers = json_object_get(credentials, "headers");
    bool          bad = false;
    struct slice  text = json_text(params, "Timestamp", &bad);
    int64_t       signed_s;

    if (text.size == 0)
        text = json_text(headers, "X-Amz-Date", &bad);
    if (text.size == 0)
        text = json_text(params, "X-Amz-Date", &bad);
    if (bad)
        return false;
    return text.size == 0 || (ec2_time(text, &signed_s) && env_wall(identity->env) / NS_PER_S <= signed_s + SIGNED_FOR_S);
}

/* Checks the signature, then makes a token of the key's user and project. 'ret_text' is the token. */
static int exchange(struct identity *identity, struct http_request *rq, const json_t *credentials,
                    int (*check)(struct arena *, const json_t *, struct slice), char ret_text[TOKEN_TEXT_MAX],
                    struct identity_context *ret_who)
{
    bool            bad = false;
    struct slice    access = json_text(credentials, "access", &bad), blob;
    struct ec2_blob ec2;
    struct error    err;

    if (bad || access.data == NULL)
        return -E_UNAUTHORIZED;
    const struct model_object *object = access.size <= IDENTITY_ACCESS_MAX ? credential_of_access(identity, access) : NULL;
    if (object == NULL)
        return -ENOENT;
    const Rs__IdentityCredential *record = MODEL_OBJECT(object, Rs__IdentityCredential);
    int rc = credential_open(identity, record, &rq->arena, &blob);
    if (rc)
        return rc;
    rc = credential_parse_ec2(blob, &ec2);
    explicit_bzero((void *)(uintptr_t)blob.data, blob.size);
    if (rc)
        return -E_UNAUTHORIZED;
    rc = ec2.secret.size ? check(&rq->arena, credentials, ec2.secret) : -E_UNAUTHORIZED;
    json_decref(ec2.json);
    if (rc == 0 && !is_young(identity, credentials))
        rc = -E_UNAUTHORIZED;
    return rc ? rc : login_by_key(identity, record->user_id, record->project_id, ret_text, ret_who, &err);
}

WAITS static void answer_signed(struct identity *identity, struct http_request *rq, bool with_token,
                                int (*check)(struct arena *, const json_t *, struct slice))
{
    static const char *const names[] = { "credentials", "credential", "ec2Credentials" };
    struct identity_context *who = arena_new(&rq->arena, struct identity_context);
    const json_t            *credentials = NULL;
    char                     text[TOKEN_TEXT_MAX];
    json_t                  *root;

    if (who == NULL || !api_allowed(identity, rq, NULL, who))
        return;
    const json_t *body = api_body(identity, rq, NULL, &root);
    if (body == NULL)
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && credentials == NULL; i++)
        credentials = json_object_get(body, names[i]);
    int rc = exchange(identity, rq, credentials, check, text, who);
    json_decref(root);
    if (rc == -ENOENT) {
        reply_error(identity, rq, 404, "EC2 access key not found.");
    } else if (rc) {
        reply_code(identity, rq, rc, "authentication");
    } else {
        http_reply_begin(rq, 200);
        reply_vary(rq);
        if (with_token)
            http_reply_header(rq, "X-Subject-Token", slice_str(text));
        reply_json(rq, 200, auth_token_json(identity, who, true));
    }
    explicit_bzero(text, sizeof text);
}

HANDLER(ec2_token)
{
    (void)params;
    answer_signed(ctx, rq, true, check_ec2);
}

HANDLER(s3_token)
{
    (void)params;
    answer_signed(ctx, rq, false, check_s3);
}
