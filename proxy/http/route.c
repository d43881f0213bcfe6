/* proxy/http/route.c - finds the row of a service's route table. */
#include <string.h>

#include "proxy/http/private.h"

enum { SEGMENTS_MAX = 32 };

struct segments {
    uint32_t     count;
    struct slice value[SEGMENTS_MAX];   /* Percent-decoded. */
};

/* A slash at the end changes nothing; an empty segment in the middle is one. */
static int split_path(struct http_request *rq, struct segments *ret)
{
    struct slice rest = rq->raw_path;

    ret->count = 0;
    while (rest.size > 0 && *rest.data == '/') {
        rest = slice_from(rest, 1);
        if (rest.size == 0)
            return 0;
        const uint8_t *slash = memchr(rest.data, '/', rest.size);
        struct slice   raw = slice_of(rest.data, slash ? (size_t)(slash - rest.data) : rest.size);

        if (ret->count == SEGMENTS_MAX)
            return -E_LIMIT;
        int rc = http_unquote(&rq->arena, raw, false, &ret->value[ret->count]);
        if (rc)
            return rc;
        ret->count++;
        rest = slice_from(rest, raw.size);
    }
    return 0;
}

static bool match(const char *pattern, const struct segments *path, struct http_params *ret)
{
    uint32_t i = 0;

    ret->count = 0;
    while (*pattern == '/' && pattern[1] != '\0') {
        size_t size = strcspn(++pattern, "/");
        if (i == path->count)
            return false;
        if (*pattern == '{') {
            if (path->value[i].size == 0 || ret->count == HTTP_PARAMS_MAX)
                return false;
            ret->value[ret->count++] = path->value[i];
        } else if (!slice_equal(slice_of(pattern, size), path->value[i])) {
            return false;
        }
        i++;
        pattern += size;
    }
    return i == path->count;
}

static bool method_is(struct slice method, const char *name)
{
    return slice_equal(method, slice_str(name));
}

/* Names the methods of all rows whose pattern fits. */
static const char *allowed(const struct http_route *routes, size_t count, const struct segments *path,
                           struct http_request *rq)
{
    struct http_params params;
    const char        *list = NULL;
    bool               get = false, head = false;

    for (size_t i = 0; i < count; i++) {
        if (!match(routes[i].pattern, path, &params))
            continue;
        get |= strcmp(routes[i].method, "GET") == 0;
        head |= strcmp(routes[i].method, "HEAD") == 0;
        list = arena_printf(&rq->arena, "%s%s%s", list ? list : "", list ? ", " : "", routes[i].method);
        if (!list)
            return NULL;
    }
    return get && !head ? arena_printf(&rq->arena, "%s, HEAD", list) : list;
}

WAITS void http_route(const struct http_route *routes, size_t count, void *ctx, struct http_request *rq,
                      void (*fail)(void *ctx, struct http_request *rq, int status, const char *why))
{
    struct segments    path;
    struct http_params params;

    if (split_path(rq, &path) != 0) {
        fail(ctx, rq, 404, "The resource could not be found.");
        return;
    }
    for (int pass = 0; pass < (rq->head ? 2 : 1); pass++)
        for (size_t i = 0; i < count; i++) {
            bool fits = pass == 0 ? method_is(rq->method, routes[i].method) : strcmp(routes[i].method, "GET") == 0;
            if (fits && match(routes[i].pattern, &path, &params)) {
                rq->action = routes[i].action;
                routes[i].handler(ctx, rq, &params);
                return;
            }
        }
    const char *methods = allowed(routes, count, &path, rq);
    if (!methods) {
        fail(ctx, rq, 404, "The resource could not be found.");
        return;
    }
    http_connection_of(rq)->reply.allow = methods;
    fail(ctx, rq, 405, "The method is not allowed for this resource.");
}
