/* proxy/s3/access_keys.c - a request as bucket policies see it: principal and condition keys.
 *
 * AWS: "Policy condition keys" of the S3 user guide and of the service authorization reference. */
#include <strings.h>
#include <ctype.h>
#include <stdio.h>

#include "proxy/s3/access.h"
#include "proxy/s3/object.h"
#include "proxy/s3/xml.h"

enum { KEYS_MAX = 160, TAGS_MAX = 50 };

struct keys {
    struct s3_call   *c;
    struct arena     *arena;
    struct policy_key list[KEYS_MAX];
    uint32_t          count;
    bool              full;          /* Something had no room: judged as denied. */
};

static void add(struct keys *k, struct slice name, struct slice value)
{
    if (!value.data || !name.data)
        return;
    if (k->count == KEYS_MAX) {
        k->full = true;
        return;
    }
    k->list[k->count++] = (struct policy_key) { name, value };
}

static void add_number(struct keys *k, const char *name, int64_t n)
{
    add(k, slice_str(name), slice_str(arena_printf(k->arena, "%lld", (long long)n)));
}

static void add_tag(struct keys *k, const char *prefix, struct slice key, struct slice value)
{
    add(k, slice_str(arena_printf(k->arena, "%s%.*s", prefix, SLICE_ARG(key))), value.data ? value : slice_of("", 0));
}

/* --- The connection and the requester. --- */

static void add_address(struct keys *k)
{
    char  text[128];
    char *end;

    conn_peer(k->c->rq->conn, text, sizeof text);
    end = strrchr(text, ':');
    if (end)
        *end = 0;
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (end)
            *end = 0;
        memmove(text, text + 1, strlen(text));
    }
    add(k, SLICE("aws:SourceIp"), arena_dup(k->arena, slice_str(text)));
}

static void add_requester(struct keys *k)
{
    const struct s3_call          *c = k->c;
    const struct identity_context *who = c->who;
    char                           now[40];
    int64_t                        wall = env_wall(c->rq->env);

    s3_iso_time((uint64_t)(wall / NS_PER_US), now);
    add(k, SLICE("aws:CurrentTime"), arena_dup(k->arena, slice_str(now)));
    add_number(k, "aws:EpochTime", wall / NS_PER_S);
    add(k, SLICE("aws:SecureTransport"), conn_is_tls(c->rq->conn) ? SLICE("true") : SLICE("false"));
    add(k, SLICE("aws:UserAgent"), s3_header(c, "User-Agent"));
    add(k, SLICE("aws:Referer"), s3_header(c, "Referer"));
    add(k, SLICE("aws:PrincipalType"), who ? SLICE("User") : SLICE("Anonymous"));
    if (who) {
        add(k, SLICE("aws:username"), slice_str(who->user_name));
        add(k, SLICE("aws:userid"), slice_str(who->user_id));
        add(k, SLICE("aws:PrincipalAccount"), slice_str(who->project_id));
        add(k, SLICE("s3:authType"), c->post ? SLICE("POST") : c->query_auth ? SLICE("REST-QUERY-STRING") : SLICE("REST-HEADER"));
        add(k, SLICE("s3:signatureversion"), c->v2 ? SLICE("AWS") : SLICE("AWS4-HMAC-SHA256"));
        if (c->signed_s)
            add_number(k, "s3:signatureAge", (wall / NS_PER_S - c->signed_s) * 1000);
    }
}

/* --- The request. --- */

static void add_request_tags(struct keys *k)
{
    struct slice text = s3_header(k->c, "x-amz-tagging");

    for (uint32_t i = 0; text.size && i < TAGS_MAX; i++) {
        const uint8_t *end = memchr(text.data, '&', text.size);
        struct slice   pair = slice_of(text.data, end ? (size_t)(end - text.data) : text.size), key, value;
        const uint8_t *equals = pair.size ? memchr(pair.data, '=', pair.size) : NULL;

        text = end ? slice_from(text, pair.size + 1) : SLICE_NONE;
        key = slice_of(pair.data, equals ? (size_t)(equals - pair.data) : pair.size);
        value = equals ? slice_from(pair, key.size + 1) : SLICE_NONE;
        if (http_unquote(k->arena, key, true, &key) || http_unquote(k->arena, value, true, &value)) {
            k->full = true;
            return;
        }
        add_tag(k, "s3:RequestObjectTag/", key, value);
        add(k, SLICE("s3:RequestObjectTagKeys"), key);
    }
    for (uint32_t i = 0; i < k->c->tag_count; i++) {
        add_tag(k, "s3:RequestObjectTag/", k->c->tags[i].name, k->c->tags[i].value);
        add(k, SLICE("s3:RequestObjectTagKeys"), k->c->tags[i].name);
    }
}

/* x-amz-* headers are keys by their own names; one with several lines has several values. */
static bool is_repeated(const struct http_request *rq, const struct http_header *h)
{
    for (uint32_t i = 0; i < rq->header_count; i++) {
        struct slice name = rq->headers[i].name;

        if (name.size == h->name.size && strncasecmp((const char *)name.data, (const char *)h->name.data, name.size) == 0)
            return name.data != h->name.data;
    }
    return false;
}

static void add_headers(struct keys *k)
{
    struct http_header h;
    uint32_t           at = 0;

    while (http_header_prefix(k->c->rq, "x-amz-", &at, &h)) {
        if (is_repeated(k->c->rq, &h))
            continue;   /* The first line takes effect, so it alone is judged. */
        char *name = arena_printf(k->arena, "s3:%.*s", SLICE_ARG(h.name));
        for (char *p = name; p && *p; p++)
            *p = (char)tolower((unsigned char)*p);
        add(k, slice_str(name), h.value.data ? h.value : slice_of("", 0));
    }
}

static void add_query(struct keys *k)
{
    static const struct { const char *query, *name; } known[] = {
        { "prefix", "s3:prefix" }, { "delimiter", "s3:delimiter" }, { "max-keys", "s3:max-keys" },
        { "versionId", "s3:VersionId" },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known && k->c->rq->query_count; i++)
        add(k, slice_str(known[i].name), s3_query(k->c, known[i].query));
}

static void add_lock(struct keys *k)
{
    const struct s3_call *c = k->c;
    struct slice          until = s3_header(c, "x-amz-object-lock-retain-until-date");
    uint64_t              until_us;

    add(k, SLICE("s3:object-lock-mode"), s3_header(c, "x-amz-object-lock-mode"));
    add(k, SLICE("s3:object-lock-legal-hold"), s3_header(c, "x-amz-object-lock-legal-hold"));
    add(k, SLICE("s3:object-lock-retain-until-date"), until);
    if (until.size && xml_time(until, &until_us))
        add_number(k, "s3:object-lock-remaining-retention-days",
                   ((int64_t)(until_us / 1000000) - env_wall(c->rq->env) / NS_PER_S) / (24 * 3600));
}

/* --- The object. --- */

static void add_object(struct keys *k, const Rs__ObjectMeta *meta)
{
    for (size_t i = 0; meta && i < meta->n_tags; i++)
        add_tag(k, "s3:ExistingObjectTag/", s3_pb(meta->tags[i]->name), s3_pb(meta->tags[i]->value));
}

enum policy_verdict s3_judge_policy(struct s3_call *c, const struct s3_policy *policy, const struct s3_need *need,
                                    const Rs__ObjectMeta *meta, struct arena *arena)
{
    struct keys          *k = arena_new(arena, struct keys);
    struct policy_who     who = { 0 };
    struct slice          roles[IDENTITY_ROLES_MAX];
    struct policy_request request = { .who = &who, .action = need->action, .bucket = need->bucket, .object = need->key };

    if (!k)
        return POLICY_DENY;
    k->c = c;
    k->arena = arena;
    if (c->who) {
        who.user_id = slice_str(c->who->user_id);
        who.user_name = slice_str(c->who->user_name);
        who.project_id = slice_str(c->who->project_id);
        who.roles = roles;
        who.role_count = c->who->role_count <= IDENTITY_ROLES_MAX ? c->who->role_count : IDENTITY_ROLES_MAX;
        for (uint32_t i = 0; i < who.role_count; i++)
            roles[i] = slice_str(c->who->roles[i]);
    }
    add_address(k);
    add_requester(k);
    add_query(k);
    add_headers(k);
    add_request_tags(k);
    add_lock(k);
    add_object(k, meta);
    if (k->full)
        return POLICY_DENY;
    request.keys = k->list;
    request.key_count = k->count;
    return s3_policy_judge(policy, &request, arena);
}
