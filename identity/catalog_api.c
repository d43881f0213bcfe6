/* identity/catalog_api.c - /v3/services, /v3/endpoints, /v3/regions: read-only views of the catalog's table. */
#include "identity/private.h"

WAITS static void list(void *ctx, struct http_request *rq, const char *names, json_t *array)
{
    struct identity        *identity = ctx;
    struct identity_context who;

    if (!api_allowed(identity, rq, NULL, &who)) {
        json_decref(array);
        return;
    }
    json_t *kept = json_array(), *object;
    size_t  i;
    json_array_foreach (array, i, object) {
        static const char *const filters[] = { "name", "type", "interface", "service_id", "region_id" };
        bool                     fits = true;
        for (size_t k = 0; k < sizeof filters / sizeof filters[0]; k++) {
            const char *value = json_string_value(json_object_get(object, filters[k]));
            fits &= value == NULL || api_matches(rq, filters[k], value);
        }
        if (fits)
            json_array_append(kept, object);
    }
    json_decref(array);
    api_reply_list(identity, rq, names, kept);
}

WAITS static void one(void *ctx, struct http_request *rq, const struct http_params *params, const char *name,
                      json_t *array)
{
    struct identity        *identity = ctx;
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);
    json_t                 *object, *found = NULL;
    size_t                  i;

    if (api_allowed(identity, rq, NULL, &who)) {
        json_array_foreach (array, i, object) {
            if (strcmp(json_string_value(json_object_get(object, "id")), id) == 0)
                found = object;
        }
        if (found)
            api_reply_one(identity, rq, 200, name, json_incref(found));
        else
            reply_error(identity, rq, 404, "Could not find %s: %s.", name, id);
    }
    json_decref(array);
}

static json_t *regions(struct identity *identity)
{
    json_t *region = json_pack("{s:s, s:s, s:n}", "id", "RegionOne", "description", "", "parent_region_id");

    api_self(identity, region, "regions", "RegionOne");
    return json_pack("[o]", region);
}

HANDLER(service_list) { (void)params; list(ctx, rq, "services", catalog_services(ctx)); }
HANDLER(service_get) { one(ctx, rq, params, "service", catalog_services(ctx)); }
HANDLER(endpoint_list) { (void)params; list(ctx, rq, "endpoints", catalog_endpoints(ctx)); }
HANDLER(endpoint_get) { one(ctx, rq, params, "endpoint", catalog_endpoints(ctx)); }
HANDLER(region_list) { (void)params; list(ctx, rq, "regions", regions(ctx)); }
HANDLER(region_get) { one(ctx, rq, params, "region", regions(ctx)); }
