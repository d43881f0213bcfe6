/* identity/catalog.c - the services of this cloud and where they are.
 *
 * A table, since the services and their ports are the program's: docs/operations.md
 * has the ranks. Only what exists is listed. */
#include <openssl/evp.h>
#include <stdio.h>

#include "identity/private.h"

static const struct service {
    const char *name, *type, *description;
    uint16_t    rank, port;      /* Port when there is no port base. */
    const char *path;
    bool        per_project;     /* The project's id follows the path. */
} services[] = {
    { "keystone", "identity", "Identity", 0, 5000, "/v3", false },
    { "swift", "object-store", "Object storage", 1, 8080, "/v1/AUTH_", true },
    { "s3", "s3", "Object storage, S3 API", 1, 8080, "", false },
};
static const char *const interfaces[] = { "public", "internal", "admin" };

enum { SERVICES = sizeof services / sizeof services[0], INTERFACES = 3 };

#define REGION "RegionOne"

/* Ids that never change, without a record of them. */
static void stable_id(const char *what, const char *name, char out[33])
{
    uint8_t  digest[EVP_MAX_MD_SIZE];
    char     text[128];
    unsigned size = 0;

    snprintf(text, sizeof text, "ringstack/%s/%s", what, name);
    if (EVP_Digest(text, strlen(text), digest, &size, EVP_sha256(), NULL) != 1)
        memset(digest, 0, 16);
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void url_of(struct identity *identity, const struct service *service, char *out, size_t capacity)
{
    bool     v6 = strchr(identity->public_host, ':') && identity->public_host[0] != '[';
    unsigned port = identity->port_base ? identity->port_base + service->rank : service->port;

    snprintf(out, capacity, "%s://%s%s%s:%u", identity->tls ? "https" : "http", v6 ? "[" : "",
             identity->public_host, v6 ? "]" : "", port);
}

void catalog_url(struct identity *identity, const char *name, char *out, size_t capacity)
{
    out[0] = '\0';
    for (int i = 0; i < SERVICES; i++) {
        if (strcmp(services[i].name, name) == 0)
            url_of(identity, &services[i], out, capacity);
    }
}

static void endpoint_id(const struct service *service, const char *interface, char out[33])
{
    char text[64];

    snprintf(text, sizeof text, "%s/%s", service->name, interface);
    stable_id("endpoint", text, out);
}

json_t *catalog_json(struct identity *identity, const char *project_id)
{
    json_t *catalog = json_array();

    for (int i = 0; i < SERVICES; i++) {
        const struct service *s = &services[i];
        json_t               *endpoints = json_array();
        char                  base[URL_MAX], url[URL_MAX + IDENTITY_ID_MAX + 32], id[33];
        url_of(identity, s, base, sizeof base);
        snprintf(url, sizeof url, "%s%s%s", base, s->path, s->per_project ? project_id : "");
        for (int k = 0; k < INTERFACES && (!s->per_project || project_id[0]); k++) {
            endpoint_id(s, interfaces[k], id);
            json_array_append_new(endpoints, json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", id, "interface",
                                                       interfaces[k], "region_id", REGION, "url", url, "region",
                                                       REGION));
        }
        stable_id("service", s->name, id);
        json_array_append_new(catalog, json_pack("{s:o, s:s, s:s, s:s}", "endpoints", endpoints, "id", id, "type",
                                                 s->type, "name", s->name));
    }
    return catalog;
}

json_t *catalog_services(struct identity *identity)
{
    json_t *array = json_array();
    char    id[33];

    for (int i = 0; i < SERVICES; i++) {
        stable_id("service", services[i].name, id);
        json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:b}", "id", id, "name", services[i].name, "type",
                                   services[i].type, "description", services[i].description, "enabled", 1);
        api_self(identity, object, "services", id);
        json_array_append_new(array, object);
    }
    return array;
}

json_t *catalog_endpoints(struct identity *identity)
{
    json_t *array = json_array();

    for (int i = 0; i < SERVICES; i++) {
        const struct service *s = &services[i];
        char                  base[URL_MAX], url[URL_MAX + 64], id[33], service_id[33];
        url_of(identity, s, base, sizeof base);
        snprintf(url, sizeof url, "%s%s%s", base, s->path, s->per_project ? "%(project_id)s" : "");
        stable_id("service", s->name, service_id);
        for (int k = 0; k < INTERFACES; k++) {
            endpoint_id(s, interfaces[k], id);
            json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "id", id, "interface", interfaces[k],
                                       "service_id", service_id, "region_id", REGION, "region", REGION, "url", url,
                                       "enabled", 1);
            api_self(identity, object, "endpoints", id);
            json_array_append_new(array, object);
        }
    }
    return array;
}
