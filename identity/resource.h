/* identity/resource.h - a REST resource as data: what it is made of and how it is named; listing, showing, creating,
 * changing and deleting it follow from that.
 *
 * A resource is a record of the model (or, read-only, a table of the program).
 * Types and places of fields come from the record's protobuf descriptor; the
 * table here says which of them a client sees, sets and filters by. What is
 * special about a resource is in its hooks. Who may do what is the policy's
 * (identity/policy.c), by the action of the route: "identity:create_project".
 *
 *     static const struct field fields[] = { { "name", FIELD_REQUIRED | FIELD_FILTER, IDENTITY_NAME_MAX }, ... };
 *     static const struct resource projects = { "project", "projects", MODEL_PROJECT, ... };
 *     RESOURCE_HANDLERS(project, projects)                 -- defines project_list() ... project_delete()
 *
 * and RESOURCE_ROUTES("projects", project) in the table of routes. All handlers
 * run on the scheduler's thread. */
#ifndef IDENTITY_RESOURCE_H
#define IDENTITY_RESOURCE_H

#include "identity/private.h"

enum field_flag {
    FIELD_REQUIRED = 1,    /* Given at creation; never null or empty. */
    FIELD_FIXED = 2,       /* Set at creation only. */
    FIELD_FILTER = 4,      /* ?field=value */
    FIELD_SPARSE = 8,      /* Left out of answers while it is empty; */
    FIELD_NULL = 16,       /* or null then. */
    FIELD_TRUE = 32        /* A boolean that is true unless it is given. */
};
struct field {
    const char *name;      /* In JSON and in the record, where it is a string or a bool. */
    unsigned    flags;
    uint32_t    max;       /* Bytes of a text. */
};

/* One creation or change on its way. */
struct resource;
struct change {
    const struct resource   *resource;
    struct identity         *identity;
    struct http_request     *rq;
    struct identity_context *who;
    const json_t            *body;
    ProtobufCMessage        *record;      /* As it will be; what it points to is in the request's arena. */
    const ProtobufCMessage  *old;         /* A copy of what was there; NULL at creation. */
    uint64_t                 revision;    /* Of 'old'. */
    char                    *id;          /* At creation: a new one, unless accept() sets another. */
};
#define RECORD(change, type) ((type *)(change)->record)
#define OLD(change, type) ((const type *)(change)->old)

struct resource {
    const char                       *member, *collection;   /* "project", "projects" */
    enum model_kind                   kind;
    const ProtobufCMessageDescriptor *type;                  /* NULL: a table of the program, see all(). */
    const struct field               *fields;
    uint32_t                          field_count;
    bool                              named;                 /* 'name' is unique in 'domain_id', if it has one. */
    bool                              owner_creates;         /* The policy is asked when the body says whose it is. */

    /* All hooks may be NULL. Further members of the JSON. */
    void (*show)(struct identity *identity, const ProtobufCMessage *record, json_t *object);
    /* The entries of a table of the program; their members are what a list is filtered by. New reference. */
    json_t *(*all)(struct identity *identity);
    /* Whether a list shows the record: filters that are no fields, and what is not everybody's to see. */
    bool (*listed)(struct identity *identity, const struct http_request *rq, const struct identity_context *who,
                   const ProtobufCMessage *record);
    /* The id of the user that the record (NULL: it does not exist) belongs to, for the policy; NULL: nobody's. */
    const char *(*owner)(struct identity *identity, const struct identity_context *who, const ProtobufCMessage *record);
    /* Checks a change and completes the record. False: answered. */
    WAITS bool (*accept)(struct change *change);
    /* Further conditions and rows of the transaction. */
    void (*write)(struct change *change, struct api_write *w);
    /* -ENOENT; -E_FORBIDDEN with a reason that refusal() gives. */
    WAITS int (*remove)(struct identity *identity, const char *id);
    const char *refusal;
};

WAITS void resource_list(const struct resource *r, struct identity *identity, struct http_request *rq);
WAITS void resource_get(const struct resource *r, struct identity *identity, struct http_request *rq,
                        const struct http_params *params);
WAITS void resource_create(const struct resource *r, struct identity *identity, struct http_request *rq);
WAITS void resource_update(const struct resource *r, struct identity *identity, struct http_request *rq,
                           const struct http_params *params);
WAITS void resource_delete(const struct resource *r, struct identity *identity, struct http_request *rq,
                           const struct http_params *params);
/* A record as clients see it. New reference. */
json_t *resource_json(const struct resource *r, struct identity *identity, const ProtobufCMessage *record);
/* A deep copy in the arena, which outlives waits; NULL without memory. */
ProtobufCMessage *resource_copy(struct arena *arena, const ProtobufCMessage *record);
/* For accept(): is there such a domain? False: answered. */
WAITS bool resource_domain_exists(struct change *change, const char *domain_id);
WAITS void resource_missing(struct identity *identity, struct http_request *rq, const char *member, const char *id);

#define RESOURCE_READERS(noun, resource)                                                           \
    HANDLER(noun##_list) { (void)params; resource_list(&(resource), ctx, rq); }                    \
    HANDLER(noun##_get) { resource_get(&(resource), ctx, rq, params); }
#define RESOURCE_HANDLERS(noun, resource)                                                          \
    RESOURCE_READERS(noun, resource)                                                               \
    HANDLER(noun##_create) { (void)params; resource_create(&(resource), ctx, rq); }                \
    HANDLER(noun##_update) { resource_update(&(resource), ctx, rq, params); }                      \
    HANDLER(noun##_delete) { resource_delete(&(resource), ctx, rq, params); }

#define RESOURCE_READ_ROUTES(nouns, noun)                                                          \
    { "GET", "/v3/" nouns, noun##_list, "identity:list_" nouns },                                  \
    { "GET", "/v3/" nouns "/{id}", noun##_get, "identity:get_" #noun }
#define RESOURCE_ROUTES(nouns, noun)                                                               \
    RESOURCE_READ_ROUTES(nouns, noun),                                                             \
    { "POST", "/v3/" nouns, noun##_create, "identity:create_" #noun },                             \
    { "PATCH", "/v3/" nouns "/{id}", noun##_update, "identity:update_" #noun },                    \
    { "DELETE", "/v3/" nouns "/{id}", noun##_delete, "identity:delete_" #noun }

#endif
