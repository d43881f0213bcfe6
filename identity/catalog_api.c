/* identity/catalog_api.c - /v3/services, /v3/endpoints, /v3/regions: read-only views of the catalog's table. */
#include "identity/resource.h"

static json_t *regions(struct identity *identity)
{
    json_t *region = json_pack("{s:s, s:s, s:n}", "id", "RegionOne", "description", "", "parent_region_id");

    api_self(identity, region, "regions", "RegionOne");
    return json_pack("[o]", region);
}

static const struct field service_fields[] = { { "name", FIELD_FILTER, 0 }, { "type", FIELD_FILTER, 0 } };
static const struct field endpoint_fields[] = {
    { "interface", FIELD_FILTER, 0 }, { "service_id", FIELD_FILTER, 0 }, { "region_id", FIELD_FILTER, 0 },
};

static const struct resource services = {
    .member = "service", .collection = "services", .all = catalog_services, .fields = service_fields,
    .field_count = sizeof service_fields / sizeof service_fields[0],
};
static const struct resource endpoints = {
    .member = "endpoint", .collection = "endpoints", .all = catalog_endpoints, .fields = endpoint_fields,
    .field_count = sizeof endpoint_fields / sizeof endpoint_fields[0],
};
static const struct resource region_table = { .member = "region", .collection = "regions", .all = regions };

RESOURCE_READERS(service, services)
RESOURCE_READERS(endpoint, endpoints)
RESOURCE_READERS(region, region_table)
