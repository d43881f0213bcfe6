/* proxy/swift/handle.c - from a path and a method to the function that answers. */
#include "base/counter.h"
#include "base/log.h"
#include "proxy/object/manifest.h"
#include "proxy/swift/bulk.h"

COUNTER(swift_requests, "Requests of the Swift dialect.");
COUNTER(swift_failures, "Requests of the Swift dialect that were answered with a 5xx status.");

typedef WAITS int (*method_fn)(struct call *c);

enum level { LEVEL_ACCOUNT, LEVEL_CONTAINER, LEVEL_OBJECT, LEVELS };

struct method {
    enum level  level;
    const char *method;
    method_fn   fn;
    const char *action;
};
static const struct method methods[] = {
    { LEVEL_OBJECT, "GET", object_get_call, "object.get" },
    { LEVEL_OBJECT, "PUT", object_put_call, "object.put" },
    { LEVEL_OBJECT, "HEAD", object_get_call, "object.head" },
    { LEVEL_OBJECT, "DELETE", object_delete_call, "object.delete" },
    { LEVEL_OBJECT, "POST", object_post_call, "object.post" },
    { LEVEL_OBJECT, "COPY", object_copy_call, "object.copy" },
    { LEVEL_CONTAINER, "GET", container_get_call, "container.get" },
    { LEVEL_CONTAINER, "HEAD", container_get_call, "container.head" },
    { LEVEL_CONTAINER, "PUT", container_put_call, "container.put" },
    { LEVEL_CONTAINER, "POST", container_post_call, "container.post" },
    { LEVEL_CONTAINER, "DELETE", container_delete_call, "container.delete" },
    { LEVEL_ACCOUNT, "GET", account_get_call, "account.get" },
    { LEVEL_ACCOUNT, "HEAD", account_get_call, "account.head" },
    { LEVEL_ACCOUNT, "POST", account_post_call, "account.post" },
};
static const char *const allowed[LEVELS] = {
    [LEVEL_ACCOUNT] = "GET, HEAD, OPTIONS, POST",
    [LEVEL_CONTAINER] = "DELETE, GET, HEAD, OPTIONS, POST, PUT",
    [LEVEL_OBJECT] = "COPY, DELETE, GET, HEAD, OPTIONS, POST, PUT",
};

/* "/v1/account/container/object with / and more"; 0 or a status. */
static int path_split(struct call *c, enum level *ret_level)
{
    struct slice rest = c->rq->path, part[3] = { SLICE_NONE, SLICE_NONE, SLICE_NONE };
    int          count = 0;

    if (!http_valid_utf8(rest) || memchr(rest.data, 0, rest.size)) {
        c->why = "Invalid UTF8 or contains NULL";
        return 412;
    }
    if (rest.size < 2 || rest.data[0] != '/' || rest.data[1] == '/')
        return 404;
    rest = slice_from(rest, 1);
    for (; count < 3 && rest.size; count++) {
        const uint8_t *slash = memchr(rest.data, '/', rest.size);
        part[count] = slice_of(rest.data, slash ? (size_t)(slash - rest.data) : rest.size);
        rest = slash ? slice_from(rest, part[count].size + 1) : SLICE_NONE;
        if (part[count].size == 0)
            return 404;   /* "//" where a name should be. */
    }
    if (count < 2) {
        c->why = "Bad URL";
        return 412;
    }
    if (!slice_equal(part[0], SLICE("v1")) && !slice_equal(part[0], SLICE("v1.0")))
        return 400;
    c->account = part[1];
    c->container = part[2];
    c->object = rest;
    *ret_level = count == 2 ? LEVEL_ACCOUNT : rest.size == 0 ? LEVEL_CONTAINER : LEVEL_OBJECT;
    return 0;
}

static int check_names(struct call *c)
{
    if (c->account.size > ACCOUNT_NAME_MAX) {
        c->why = arena_printf(c->arena, "Account name length of %zu longer than %d", c->account.size, ACCOUNT_NAME_MAX);
        return 400;
    }
    if (c->container.size > CONTAINER_NAME_MAX && slice_equal(c->rq->method, SLICE("PUT"))) {
        c->why = arena_printf(c->arena, "Container name length of %zu longer than %d", c->container.size,
                              CONTAINER_NAME_MAX);
        return 400;
    }
    /* Such names can't exist. */
    return c->container.size > CONTAINER_NAME_MAX ? 404 : 0;
}

WAITS static int dispatch(struct call *c)
{
    enum level level;
    int        status = path_split(c, &level);

    if (status)
        return status;
    if (level == LEVEL_ACCOUNT && http_query(c->rq, "bulk-delete").data &&
        (slice_equal(c->rq->method, SLICE("POST")) || slice_equal(c->rq->method, SLICE("DELETE")))) {
        c->rq->action = "account.bulk_delete";
        return bulk_delete_call(c);
    }
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (methods[i].level != level || !slice_equal(c->rq->method, slice_str(methods[i].method)))
            continue;
        c->rq->action = methods[i].action;
        status = check_headers(c);
        if (status == 0)
            status = check_names(c);
        return status ? status : methods[i].fn(c);
    }
    bool options = slice_equal(c->rq->method, SLICE("OPTIONS"));
    http_reply_begin(c->rq, options ? 200 : 405);
    http_reply_header(c->rq, "Allow", slice_str(allowed[level]));
    if (options)
        http_reply_empty(c->rq);
    else
        call_reply_rest(c, 405);
    return 0;
}

WAITS static int plain_page(struct call *c)
{
    struct slice path = c->rq->path;
    bool         get = slice_equal(c->rq->method, SLICE("GET")) || c->rq->head;

    if (slice_equal(path, SLICE("/healthcheck"))) {
        if (!get)
            return 405;
        http_reply_begin(c->rq, 200);
        http_reply_body(c->rq, "text/plain", SLICE("OK"));
        return 0;
    }
    if (slice_equal(path, SLICE("/info")))
        return get ? info_call(c) : 405;
    return dispatch(c);
}

void swift_handle(void *ctx, struct http_request *rq)
{
    struct swift *swift = ctx;
    struct call   c = { .swift = swift, .os = swift->objects, .rq = rq, .arena = &rq->arena };
    int           rc;

    rq->service = "swift";
    counter_inc(swift_requests);
    if (slice_equal(rq->path, SLICE("/auth/v1.0")) || slice_equal(rq->path, SLICE("/auth/v1"))) {
        rq->action = "auth.v1";
        identity_auth_v1(swift->identity, rq);
        return;
    }
    rc = plain_page(&c);
    if (rc == 0)
        return;
    if (http_reply_begun(rq)) {
        http_reply_abort(rq);
        return;
    }
    if (rc < 0) {
        int status = call_status_of(&c, rc);
        if (status >= 500 && rc != -ECANCELED) {
            counter_inc(swift_failures);
            log_warn("swift.failed", "action=%s status=%d code=%s why=\"%s\"", rq->action ? rq->action : "", status,
                     error_name(rc), c.err.text);
        }
        rc = status;
    }
    call_reply_status(&c, rc);
}

/* --- /info: what is there, and nothing else. --- */

static void info_limit(struct text *t, const char *name, uint64_t value)
{
    text_lit(t, ",\"");
    text_add(t, slice_str(name));
    text_lit(t, "\":");
    text_number(t, value);
}

int info_call(struct call *c)
{
    struct text          t = { .limit = 256 * 1024 };
    const struct policy *p;
    const struct policy *dflt = object_service_policy(c->os, SLICE_NONE);
    bool                 first = true;

    c->rq->action = "info";
    text_lit(&t, "{\"swift\":{\"account_autocreate\":true,\"allow_account_management\":false");
    info_limit(&t, "account_listing_limit", LIST_LIMIT_MAX);
    info_limit(&t, "container_listing_limit", LIST_LIMIT_MAX);
    info_limit(&t, "extra_header_count", 0);
    info_limit(&t, "max_account_name_length", ACCOUNT_NAME_MAX);
    info_limit(&t, "max_container_name_length", CONTAINER_NAME_MAX);
    info_limit(&t, "max_object_name_length", OBJECT_NAME_MAX);
    info_limit(&t, "max_file_size", OBJECT_SIZE_MAX);
    info_limit(&t, "max_header_size", HEADER_VALUE_MAX);
    info_limit(&t, "max_meta_count", META_COUNT_MAX);
    info_limit(&t, "max_meta_name_length", META_NAME_MAX);
    info_limit(&t, "max_meta_overall_size", META_TOTAL_MAX);
    info_limit(&t, "max_meta_value_length", META_VALUE_MAX);
    text_lit(&t, ",\"strict_cors_mode\":true,\"policies\":[");
    for (uint32_t i = 0; (p = object_service_policy_at(c->os, i)) != NULL; i++) {
        if (p->deprecated)
            continue;
        text_add(&t, first ? SLICE("{\"name\":") : SLICE(",{\"name\":"));
        text_json(&t, slice_str(p->name));
        text_lit(&t, ",\"aliases\":");
        text_json(&t, slice_str(p->name));
        if (p == dflt)
            text_lit(&t, ",\"default\":true");
        text_lit(&t, "}");
        first = false;
    }
    text_lit(&t, "]},\"bulk_delete\":{\"max_deletes_per_request\":");
    text_number(&t, BULK_DELETES_MAX);
    info_limit(&t, "max_failed_deletes", BULK_FAILURES_MAX);
    text_lit(&t, "},\"account_quotas\":{},\"container_quotas\":{},\"dlo\":{\"max_segments\":");
    text_number(&t, DLO_SEGMENTS_MAX);
    text_lit(&t, "},\"slo\":{\"min_segment_size\":1,\"max_manifest_segments\":");
    text_number(&t, MANIFEST_SEGMENTS_MAX);
    info_limit(&t, "max_manifest_size", MANIFEST_BYTES_MAX);
    text_lit(&t, "}}");
    if (!t.failed) {
        http_reply_begin(c->rq, 200);
        http_reply_body(c->rq, "application/json; charset=UTF-8", text_slice(&t));
    }
    text_done(&t);
    return t.failed ? -ENOMEM : 0;
}
