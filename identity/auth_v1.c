/* identity/auth_v1.c - Swift's own login: GET /auth/v1.0 with X-Auth-User and X-Auth-Key.
 *
 * The user is "project:user", or "user" for the user's default project, in
 * domain Default. */
#include <stdio.h>

#include "identity/private.h"

WAITS static void refuse(struct identity *identity, struct http_request *rq, int status)
{
    static const char text[] = "<html><h1>Unauthorized</h1><p>This server could not verify that you are authorized to "
                               "access the document you requested.</p></html>";

    (void)identity;
    http_reply_begin(rq, status);
    if (status == 401)
        http_reply_header(rq, "WWW-Authenticate", SLICE("Swift realm=\"unknown\""));
    if (status == 503)
        http_reply_header(rq, "Retry-After", SLICE("1"));
    if (status == 401)
        http_reply_body(rq, "text/html; charset=UTF-8", slice_of(text, sizeof text - 1));
    else
        http_reply_empty(rq);
}

static struct slice either(struct http_request *rq, const char *first, const char *second)
{
    struct slice value = http_header(rq, first);
    return value.data ? value : http_header(rq, second);
}

WAITS static void answer(struct identity *identity, struct http_request *rq, const char *token,
                         const struct identity_context *who)
{
    char    base[URL_MAX];
    int64_t left = who->expires_s - env_wall(identity->env) / NS_PER_S;

    catalog_url(identity, "swift", base, sizeof base);
    rq->user = arena_dup(&rq->arena, slice_str(who->user_id));
    rq->project = arena_dup(&rq->arena, slice_str(who->project_id));
    http_reply_begin(rq, 200);
    http_reply_headerf(rq, "X-Storage-Url", "%s/v1/AUTH_%s", base, who->project_id);
    http_reply_header(rq, "X-Auth-Token", slice_str(token));
    http_reply_header(rq, "X-Storage-Token", slice_str(token));
    http_reply_headerf(rq, "X-Auth-Token-Expires", "%lld", (long long)(left > 0 ? left : 0));
    http_reply_empty(rq);
}

void identity_auth_v1(struct identity *identity, struct http_request *rq)
{
    struct slice             user = either(rq, "X-Auth-User", "X-Storage-User");
    struct slice             key = either(rq, "X-Auth-Key", "X-Storage-Pass");
    struct identity_context *who = arena_new(&rq->arena, struct identity_context);
    struct identity_login    login = { .password = key };
    char                     token[TOKEN_TEXT_MAX], peer[CONN_ADDRESS_MAX] = "";
    struct error             err;

    rq->service = "swift";
    rq->action = "auth.v1";
    if (user.size == 0 || key.data == NULL) {
        refuse(identity, rq, 401);
        return;
    }
    const uint8_t *colon = memchr(user.data, ':', user.size);
    if (colon) {
        login.project_name = slice_of(user.data, (size_t)(colon - user.data));
        login.user_name = slice_of(colon + 1, user.size - (size_t)(colon - user.data) - 1);
    } else {
        login.user_name = user;
    }
    if (rq->conn)
        conn_peer(rq->conn, peer, sizeof peer);
    char *port = strrchr(peer, ':');
    login.address = slice_of(peer, port ? (size_t)(port - peer) : strlen(peer));
    int rc = who ? identity_login(identity, &login, token, who, &err) : -ENOMEM;
    if (rc == 0 && who->project_id[0] == '\0')
        rc = -E_UNAUTHORIZED;   /* Without a project there is no account. */
    if (rc)
        refuse(identity, rq, error_http(rc));
    else
        answer(identity, rq, token, who);
    explicit_bzero(token, sizeof token);
}
