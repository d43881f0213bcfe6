/* identity/auth_api.c - version discovery and /v3/auth: tokens, catalog, where one may go. */
#include <stdio.h>
#include <stdlib.h>

#include "identity/policy.h"
#include "identity/private.h"

/* --- Discovery. --- */

static json_t *version_json(struct identity *identity)
{
    char base[URL_MAX], url[URL_MAX + 8];

    catalog_url(identity, "keystone", base, sizeof base);
    snprintf(url, sizeof url, "%s/v3/", base);
    return json_pack("{s:s, s:s, s:s, s:[{s:s, s:s}], s:[{s:s, s:s}]}", "id", "v3.14", "status", "stable", "updated",
                     "2020-04-07T00:00:00Z", "links", "rel", "self", "href", url, "media-types", "base",
                     "application/json", "type", "application/vnd.openstack.identity-v3+json");
}

HANDLER(discover_all)
{
    struct identity *identity = ctx;
    char             base[URL_MAX];

    (void)params;
    catalog_url(identity, "keystone", base, sizeof base);
    http_reply_begin(rq, 300);
    reply_vary(rq);
    http_reply_headerf(rq, "Location", "%s/v3/", base);
    reply_json(rq, 300, json_pack("{s:{s:[o]}}", "versions", "values", version_json(identity)));
}

HANDLER(discover_v3)
{
    (void)params;
    reply_json(rq, 200, json_pack("{s:o}", "version", version_json(ctx)));
}

/* --- What a token says. --- */

static json_t *domain_name_json(struct identity *identity, const char *id)
{
    const Rs__IdentityDomain *domain = model_domain(&identity->model, id);
    return json_pack("{s:s, s:s}", "id", id, "name", domain ? domain->name : "");
}

static json_t *roles_json(struct identity *identity, const struct identity_context *who)
{
    json_t *roles = json_array();

    for (uint32_t i = 0; i < who->role_count; i++) {
        const char *id = model_id_of_name(&identity->model, "role", "", who->roles[i]);
        json_array_append_new(roles, json_pack("{s:s, s:s}", "id", id ? id : "", "name", who->roles[i]));
    }
    return roles;
}

json_t *auth_token_json(struct identity *identity, const struct identity_context *who, bool catalog)
{
    char    issued[TIME_TEXT_MAX], expires[TIME_TEXT_MAX];
    json_t *methods = json_array(), *audits = json_array();

    time_text(who->issued_us, issued);
    time_text(who->expires_us, expires);
    if (who->methods & TOKEN_BY_TOKEN)
        json_array_append_new(methods, json_string("token"));
    if (who->methods & TOKEN_BY_PASSWORD)
        json_array_append_new(methods, json_string("password"));
    if (who->methods & TOKEN_BY_EC2)
        json_array_append_new(methods, json_string("ec2credential"));
    json_array_append_new(audits, json_string(who->audit_id));
    if (who->parent_audit_id[0])
        json_array_append_new(audits, json_string(who->parent_audit_id));
    json_t *token = json_pack("{s:o, s:{s:o, s:s, s:s, s:n}, s:o, s:s, s:s}", "methods", methods, "user", "domain",
                              domain_name_json(identity, who->user_domain_id), "id", who->user_id, "name",
                              who->user_name, "password_expires_at", "audit_ids", audits, "expires_at", expires,
                              "issued_at", issued);
    if (who->project_id[0]) {
        json_object_set_new(token, "project", json_pack("{s:o, s:s, s:s}", "domain",
                                                        domain_name_json(identity, who->project_domain_id), "id",
                                                        who->project_id, "name", who->project_name));
        json_object_set_new(token, "is_domain", json_false());
    } else if (who->domain_id[0]) {
        json_object_set_new(token, "domain", domain_name_json(identity, who->domain_id));
    }
    if (who->project_id[0] || who->domain_id[0]) {
        json_object_set_new(token, "roles", roles_json(identity, who));
        if (catalog)
            json_object_set_new(token, "catalog", catalog_json(identity, who->project_id));
    }
    return json_pack("{s:o}", "token", token);
}

/* --- POST /v3/auth/tokens --- */

/* {"id": ...} or {"name": ..., "domain": {"id" or "name": ...}} */
static void parse_domain(const json_t *domain, struct slice *ret, bool *bad)
{
    if (domain == NULL)
        return;
    if (!json_is_object(domain))
        *bad = true;
    *ret = json_text(domain, "id", bad);
    if (ret->size == 0)
        *ret = json_text(domain, "name", bad);
    if (ret->size == 0)
        *bad = true;
}

static bool parse_identity(const json_t *identity, struct auth *auth)
{
    const json_t *methods = json_object_get(identity, "methods"), *method, *member;
    size_t        i;
    bool          bad = !json_is_array(methods) || json_array_size(methods) == 0;

    json_array_foreach (methods, i, method) {
        const char *name = json_string_value(method);
        member = name ? json_object_get(identity, name) : NULL;
        if (name && strcmp(name, "password") == 0 && json_is_object(member)) {
            const json_t *user = json_object_get(member, "user");
            auth->by_password = true;
            auth->login.user_id = json_text(user, "id", &bad);
            auth->login.user_name = json_text(user, "name", &bad);
            auth->login.password = json_text(user, "password", &bad);
            parse_domain(json_object_get(user, "domain"), &auth->login.user_domain, &bad);
            if (!json_is_object(user) || auth->login.password.data == NULL ||
                (auth->login.user_id.size == 0) == (auth->login.user_name.size == 0))
                bad = true;
            /* A name alone says nothing. */
            if (auth->login.user_name.size && auth->login.user_domain.size == 0)
                bad = true;
        } else if (name && strcmp(name, "token") == 0 && json_is_object(member)) {
            auth->by_token = true;
            auth->token = json_text(member, "id", &bad);
            bad |= auth->token.size == 0;
        } else if (name && (strcmp(name, "password") == 0 || strcmp(name, "token") == 0)) {
            bad = true;
        }
    }
    return !bad;
}

/* False: malformed. '*ret_none': a scope that this cloud does not have. */
static bool parse_scope(const json_t *scope, struct auth *auth, bool *ret_none)
{
    const json_t *project = json_object_get(scope, "project"), *domain = json_object_get(scope, "domain");
    bool          bad = false;

    *ret_none = false;
    if (scope == NULL)
        return true;
    if (json_is_string(scope)) {
        auth->login.unscoped = strcmp(json_string_value(scope), "unscoped") == 0;
        return auth->login.unscoped;
    }
    if (!json_is_object(scope) || json_object_size(scope) != 1)
        return false;
    if (json_object_get(scope, "unscoped")) {
        auth->login.unscoped = true;
    } else if (json_is_object(project)) {
        auth->login.project_id = json_text(project, "id", &bad);
        auth->login.project_name = json_text(project, "name", &bad);
        parse_domain(json_object_get(project, "domain"), &auth->login.project_domain, &bad);
        if ((auth->login.project_id.size == 0) == (auth->login.project_name.size == 0))
            bad = true;
        if (auth->login.project_name.size && auth->login.project_domain.size == 0)
            bad = true;
    } else if (json_is_object(domain)) {
        parse_domain(domain, &auth->login.domain, &bad);
    } else {
        *ret_none = json_object_get(scope, "system") || json_object_get(scope, "OS-TRUST:trust");
        return *ret_none;
    }
    return !bad;
}

int auth_parse(const json_t *auth, struct auth *ret)
{
    const json_t *who = json_object_get(auth, "identity");
    bool          none = false;

    memset(ret, 0, sizeof *ret);
    if (!json_is_object(who) || !parse_identity(who, ret) || !parse_scope(json_object_get(auth, "scope"), ret, &none))
        return -E_SYNTAX;
    return none || (!ret->by_password && !ret->by_token) ? -E_UNAUTHORIZED : 0;
}

static struct slice peer_address(struct http_request *rq)
{
    char text[CONN_ADDRESS_MAX];

    if (rq->conn == NULL)
        return SLICE_NONE;
    conn_peer(rq->conn, text, sizeof text);
    char *colon = strrchr(text, ':');
    return arena_dup(&rq->arena, slice_of(text, colon ? (size_t)(colon - text) : strlen(text)));
}

WAITS static void answer_login(struct identity *identity, struct http_request *rq, struct auth *auth)
{
    struct identity_context *who = arena_new(&rq->arena, struct identity_context);
    char                     text[TOKEN_TEXT_MAX];
    struct error             err = { 0 };

    auth->login.address = peer_address(rq);
    int rc = who == NULL ? -ENOMEM
             : auth->by_password ? identity_login(identity, &auth->login, text, who, &err)
                                 : identity_rescope(identity, auth->token, &auth->login, text, who, &err);
    if (rc) {
        reply_code(identity, rq, rc, "authentication");
        return;
    }
    rq->user = arena_dup(&rq->arena, slice_str(who->user_id));
    rq->project = arena_dup(&rq->arena, slice_str(who->project_id));
    http_reply_begin(rq, 201);
    reply_vary(rq);
    http_reply_header(rq, "X-Subject-Token", slice_str(text));
    explicit_bzero(text, sizeof text);
    reply_json(rq, 201, auth_token_json(identity, who, http_query(rq, "nocatalog").data == NULL));
}

HANDLER(auth_token_post)
{
    struct identity *identity = ctx;
    struct auth      auth;
    json_t          *root;
    const json_t    *object = api_body(identity, rq, "auth", &root);

    (void)params;
    if (object == NULL)
        return;
    int rc = auth_parse(object, &auth);
    if (rc == -E_SYNTAX)
        reply_error(identity, rq, 400, "Expecting to find valid JSON in 'auth': identity.methods with their data, and "
                    "at most one scope.");
    else if (rc)
        reply_code(identity, rq, rc, "authentication");
    else
        answer_login(identity, rq, &auth);
    json_decref(root);
}

/* --- GET, HEAD, DELETE /v3/auth/tokens --- */

/* The subject, which must be the caller's own unless an admin asks. */
WAITS static bool subject_of(struct identity *identity, struct http_request *rq, struct identity_context *ret_subject)
{
    struct identity_context *who = arena_new(&rq->arena, struct identity_context);
    struct slice             subject = http_header(rq, "X-Subject-Token");
    bool                     valid = subject.size && identity_check_token(identity, subject, ret_subject) == 0;

    if (who == NULL) {
        reply_code(identity, rq, -ENOMEM, "token");
        return false;
    }
    if (!api_allowed(identity, rq, valid ? ret_subject->user_id : NULL, who))
        return false;
    if (!valid) {
        reply_error(identity, rq, 404, "Could not find token.");
        return false;
    }
    return true;
}

HANDLER(auth_token_get)
{
    struct identity         *identity = ctx;
    struct identity_context *subject = arena_new(&rq->arena, struct identity_context);

    (void)params;
    if (subject == NULL || !subject_of(identity, rq, subject))
        return;
    http_reply_begin(rq, 200);
    reply_vary(rq);
    http_reply_header(rq, "X-Subject-Token", http_header(rq, "X-Subject-Token"));
    reply_json(rq, 200, auth_token_json(identity, subject, http_query(rq, "nocatalog").data == NULL));
}

HANDLER(auth_token_delete)
{
    struct identity         *identity = ctx;
    struct identity_context *subject = arena_new(&rq->arena, struct identity_context);

    (void)params;
    if (subject == NULL || !subject_of(identity, rq, subject))
        return;
    int rc = identity_revoke(identity, http_header(rq, "X-Subject-Token"));
    if (rc && rc != -E_UNAUTHORIZED) {   /* Void already: fine. */
        reply_code(identity, rq, rc, "token");
        return;
    }
    reply_none(rq);
}

/* --- The catalog, and where one may go. --- */

HANDLER(auth_catalog)
{
    struct identity         *identity = ctx;
    struct identity_context *who = arena_new(&rq->arena, struct identity_context);

    (void)params;
    if (who == NULL || !api_allowed(identity, rq, NULL, who))
        return;
    if (who->project_id[0] == '\0' && who->domain_id[0] == '\0')
        reply_error(identity, rq, 403, "Unscoped tokens have no catalog.");
    else
        api_reply_list(identity, rq, "catalog", catalog_json(identity, who->project_id), 0);
}

HANDLER(auth_projects)
{
    struct identity         *identity = ctx;
    struct identity_context *who = arena_new(&rq->arena, struct identity_context);

    if (who == NULL || !api_allowed(identity, rq, NULL, who))
        return;
    (void)params;
    struct slice user = slice_str(who->user_id);
    struct http_params own = { .count = 1, .value = { user } };
    rq->action = "identity:list_user_projects";
    user_projects(ctx, rq, &own);
}

HANDLER(auth_domains)
{
    struct identity         *identity = ctx;
    struct identity_context *who = arena_new(&rq->arena, struct identity_context);
    json_t                  *array;

    (void)params;
    if (who == NULL || !api_allowed(identity, rq, NULL, who))
        return;
    array = json_array();
    for (const struct model_object *o = identity->model.first[MODEL_DOMAIN]; o; o = o->after) {
        const Rs__IdentityDomain *domain = MODEL_OBJECT(o, Rs__IdentityDomain);
        if (domain->enabled && model_grant(&identity->model, 'd', domain->id, who->user_id))
            json_array_append_new(array, domain_json(identity, domain));
    }
    api_reply_list(identity, rq, "domains", array, 0);
}
