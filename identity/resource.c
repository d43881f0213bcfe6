/* identity/resource.c - see resource.h. */
#include "identity/resource.h"

#include <stdlib.h>

#include "identity/policy.h"

/* --- Fields of records. --- */

static void *place(const struct resource *r, const ProtobufCMessage *record, const char *name, bool *ret_bool)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(r->type, name);

    if (f == NULL)
        return NULL;
    *ret_bool = f->type == PROTOBUF_C_TYPE_BOOL;
    return (uint8_t *)(uintptr_t)record + f->offset;
}

static const char *text_of(const struct resource *r, const ProtobufCMessage *record, const char *name)
{
    bool         is_bool;
    char *const *at = place(r, record, name, &is_bool);
    return at && !is_bool && *at ? *at : "";
}

static void set_text(const struct resource *r, ProtobufCMessage *record, const char *name, const char *text)
{
    bool         is_bool;
    const char **at = place(r, record, name, &is_bool);

    if (at && !is_bool)
        *at = text;
}

static void *arena_allocate(void *arena, size_t size) { return arena_alloc(arena, size); }
static void arena_keep(void *arena, void *pointer) { (void)arena; (void)pointer; }

ProtobufCMessage *resource_copy(struct arena *arena, const ProtobufCMessage *record)
{
    ProtobufCAllocator allocator = { arena_allocate, arena_keep, arena };
    size_t             size = protobuf_c_message_get_packed_size(record);
    uint8_t           *packed = arena_alloc(arena, size + 1);

    if (packed == NULL)
        return NULL;
    protobuf_c_message_pack(record, packed);
    ProtobufCMessage *copy = protobuf_c_message_unpack(record->descriptor, &allocator, size, packed);
    explicit_bzero(packed, size);
    return copy;
}

static const struct model_object *find(const struct resource *r, struct identity *identity, const char *id)
{
    char key[MODEL_KEY_MAX];

    return id[0] && model_key(key, "%s/%s", r->member, id) == 0 ? model_find(&identity->model, r->kind, key) : NULL;
}

/* --- Out. --- */

json_t *resource_json(const struct resource *r, struct identity *identity, const ProtobufCMessage *record)
{
    const char *id = text_of(r, record, "id");
    json_t     *object = json_pack("{s:s}", "id", id);

    for (uint32_t i = 0; i < r->field_count; i++) {
        const struct field *f = &r->fields[i];
        bool                is_bool = false;
        const void         *at = place(r, record, f->name, &is_bool);
        if (at && is_bool) {
            json_object_set_new(object, f->name, json_boolean(*(const protobuf_c_boolean *)at));
            continue;
        }
        const char *text = text_of(r, record, f->name);
        if (text[0] || !(f->flags & (FIELD_SPARSE | FIELD_NULL)))
            json_object_set_new(object, f->name, json_string(text));
        else if (f->flags & FIELD_NULL)
            json_object_set_new(object, f->name, json_null());
    }
    if (r->show)
        r->show(identity, record, object);
    api_self(identity, object, r->collection, id);
    return object;
}

void resource_missing(struct identity *identity, struct http_request *rq, const char *member, const char *id)
{
    reply_error(identity, rq, 404, "Could not find %s: %s.", member, id);
}

static bool matches(const struct resource *r, struct identity *identity, const struct http_request *rq,
                    const struct identity_context *who, const ProtobufCMessage *record)
{
    for (uint32_t i = 0; i < r->field_count; i++) {
        const struct field *f = &r->fields[i];
        bool                is_bool = false;
        if (!(f->flags & FIELD_FILTER))
            continue;
        const void *at = place(r, record, f->name, &is_bool);
        if (is_bool ? !api_matches_bool(rq, f->name, *(const protobuf_c_boolean *)at)
                    : !api_matches(rq, f->name, text_of(r, record, f->name)))
            return false;
    }
    return r->listed == NULL || r->listed(identity, rq, who, record);
}

/* A table of the program. */
static json_t *list_table(const struct resource *r, struct identity *identity, const struct http_request *rq)
{
    json_t *all = r->all(identity), *kept = json_array(), *object;
    size_t  i;

    json_array_foreach (all, i, object) {
        bool fits = true;
        for (uint32_t k = 0; k < r->field_count; k++) {
            const char *value = json_string_value(json_object_get(object, r->fields[k].name));
            fits &= !(r->fields[k].flags & FIELD_FILTER) || value == NULL || api_matches(rq, r->fields[k].name, value);
        }
        if (fits)
            json_array_append(kept, object);
    }
    json_decref(all);
    return kept;
}

static int by_key(const void *a, const void *b)
{
    const struct model_object *const *left = a, *const *right = b;
    return strcmp((*left)->key, (*right)->key);
}

/* A page: what comes after 'marker' (an id) in the order of ids, at most 'limit'. */
static json_t *list_page(const struct resource *r, struct identity *identity, const struct http_request *rq,
                         const struct identity_context *who, uint32_t limit, const char *marker)
{
    size_t                      count = 0, capacity = 0, prefix = strlen(r->member) + 1;
    const struct model_object **found = NULL;
    json_t                     *array = json_array();

    for (const struct model_object *o = identity->model.first[r->kind]; o; o = o->after) {
        if (strcmp(o->key + prefix, marker) <= 0 || !matches(r, identity, rq, who, o->message))
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            const struct model_object **more = reallocarray(found, capacity, sizeof(struct model_object *));
            if (more == NULL)
                break;   /* A shorter page; its marker leads on. */
            found = more;
        }
        found[count++] = o;
    }
    if (count)
        qsort(found, count, sizeof(struct model_object *), by_key);
    for (size_t i = 0; i < count && i < limit; i++)
        json_array_append_new(array, resource_json(r, identity, found[i]->message));
    free(found);
    return array;
}

void resource_list(const struct resource *r, struct identity *identity, struct http_request *rq)
{
    struct identity_context who;
    struct slice            limit_text = http_query(rq, "limit"), marker = http_query(rq, "marker");
    uint32_t                limit = 0;
    json_t                 *array;

    if (!api_authenticated(identity, rq, &who) || !api_permitted(identity, rq, &who, NULL))
        return;
    if (r->all) {
        api_reply_list(identity, rq, r->collection, list_table(r, identity, rq), 0);
        return;
    }
    if (!api_limit(limit_text, &limit) || marker.size >= IDENTITY_ID_MAX) {
        reply_error(identity, rq, 400, "Invalid 'limit' or 'marker': a limit is 0 to 4294967295.");
        return;
    }
    if (limit || marker.size) {
        char *after = arena_str(&rq->arena, marker);
        limit = limit && limit < LIST_MAX ? limit : LIST_MAX;
        array = list_page(r, identity, rq, &who, limit, after ? after : "");
    } else {
        array = json_array();
        for (const struct model_object *o = identity->model.first[r->kind]; o && !api_list_full(array); o = o->after) {
            if (matches(r, identity, rq, &who, o->message))
                json_array_append_new(array, resource_json(r, identity, o->message));
        }
    }
    api_reply_list(identity, rq, r->collection, array, limit);
}

/* --- One. --- */

static const char *owner_of(const struct resource *r, struct identity *identity, const struct identity_context *who,
                            const ProtobufCMessage *record)
{
    return r->owner ? r->owner(identity, who, record) : NULL;
}

void resource_get(const struct resource *r, struct identity *identity, struct http_request *rq,
                  const struct http_params *params)
{
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);

    if (!api_authenticated(identity, rq, &who))
        return;
    if (r->all) {
        json_t *all = r->all(identity), *object, *found = NULL;
        size_t  i;
        bool    may = api_permitted(identity, rq, &who, NULL);
        json_array_foreach (all, i, object) {
            if (strcmp(json_string_value(json_object_get(object, "id")), id) == 0)
                found = object;
        }
        if (may && found)
            api_reply_one(identity, rq, 200, r->member, json_incref(found));
        else if (may)
            resource_missing(identity, rq, r->member, id);
        json_decref(all);
        return;
    }
    const struct model_object *object = find(r, identity, id);
    if (!api_permitted(identity, rq, &who, owner_of(r, identity, &who, object ? object->message : NULL)))
        return;
    if (object == NULL)
        resource_missing(identity, rq, r->member, id);
    else
        api_reply_one(identity, rq, 200, r->member, resource_json(r, identity, object->message));
}

/* --- In. --- */

static bool valid_text(const struct field *f, struct slice text)
{
    bool name = strcmp(f->name, "name") == 0;

    return text.size <= f->max && (!(f->flags & FIELD_REQUIRED) || text.size) && (!name || api_valid_name(text)) &&
           (text.size == 0 || memchr(text.data, '\0', text.size) == NULL);
}

/* One member of the body into the record. False: it is not what the field may be. */
static bool read_field(struct change *c, const struct field *f)
{
    const json_t *member = json_object_get(c->body, f->name);
    bool          is_bool = false, bad = false;
    void         *at = place(c->resource, c->record, f->name, &is_bool);

    if (member == NULL)
        return true;
    if (is_bool) {
        if (!json_is_boolean(member))
            return false;
        *(protobuf_c_boolean *)at = json_is_true(member);
        return true;
    }
    if (json_is_null(member) && c->old == NULL && !(f->flags & FIELD_REQUIRED))
        return true;
    struct slice text = json_text(c->body, f->name, &bad);
    if (bad || !valid_text(f, text))
        return false;
    if (c->old && (f->flags & FIELD_FIXED))
        return slice_equal(text, slice_str(text_of(c->resource, c->old, f->name)));
    const char *copy = arena_str(&c->rq->arena, text.size ? text : SLICE(""));
    if (copy == NULL)
        return false;
    set_text(c->resource, c->record, f->name, copy);
    return true;
}

/* What the client set, into the record. False: answered. */
WAITS static bool read_fields(struct change *c)
{
    const struct resource *r = c->resource;

    for (uint32_t i = 0; i < r->field_count; i++) {
        const struct field *f = &r->fields[i];
        bool                is_bool = false;
        if (c->old == NULL && (f->flags & FIELD_TRUE))
            *(protobuf_c_boolean *)place(r, c->record, f->name, &is_bool) = true;
        if (!read_field(c, f)) {
            if (f->max)
                reply_error(c->identity, c->rq, 400, "Invalid input for field '%s' of '%s': it is a text of %s%u bytes%s.",
                            f->name, r->member, f->flags & FIELD_REQUIRED ? "1 to " : "up to ", f->max,
                            c->old && (f->flags & FIELD_FIXED) ? ", and cannot be changed" : "");
            else
                reply_error(c->identity, c->rq, 400, "Invalid input for field '%s' of '%s': it is a boolean.", f->name,
                            r->member);
            return false;
        }
        if (c->old == NULL && (f->flags & FIELD_REQUIRED) && text_of(r, c->record, f->name)[0] == '\0') {
            reply_error(c->identity, c->rq, 400, "'%s' is a required property", f->name);
            return false;
        }
    }
    return true;
}

bool resource_domain_exists(struct change *c, const char *domain_id)
{
    if (model_domain(&c->identity->model, domain_id))
        return true;
    resource_missing(c->identity, c->rq, "domain", domain_id);
    return false;
}

static void write_name(struct change *c, struct api_write *w)
{
    const struct resource *r = c->resource;
    const char *name = text_of(r, c->record, "name"), *domain = text_of(r, c->record, "domain_id");
    const char *old = c->old ? text_of(r, c->old, "name") : NULL;

    if (old && strcmp(old, name) == 0)
        return;
    api_put_name(w, c->id, r->member, domain, name);
    if (old)
        api_drop(w, CONTROL_DELETE, "name/%s/%s/%s", r->member, domain, old);
}

/* Checks the change, stores it, and answers. */
WAITS static void finish(struct change *c)
{
    const struct resource *r = c->resource;

    if (!read_fields(c))
        return;
    /* Whose it will be is known only now. */
    if (c->old == NULL && r->owner_creates &&
        !api_permitted(c->identity, c->rq, c->who, owner_of(r, c->identity, c->who, c->record)))
        return;
    if (r->accept && !r->accept(c))
        return;
    struct api_write *w = arena_new(&c->rq->arena, struct api_write);
    int               rc = w == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        set_text(r, c->record, "id", c->id);
        api_write_init(w, &c->rq->arena);
        if (c->old)
            api_require(w, CONTROL_IF_MOD_REVISION, c->revision, "%s/%s", r->member, c->id);
        else
            api_require(w, CONTROL_IF_MISSING, 0, "%s/%s", r->member, c->id);
        api_put(w, c->record, "%s/%s", r->member, c->id);
        if (r->named)
            write_name(c, w);
        if (r->write)
            r->write(c, w);
        rc = api_write_commit(w, c->identity);
    }
    if (rc == -E_CONDITION && r->named)
        reply_error(c->identity, c->rq, 409, "Conflict occurred attempting to store %s - Duplicate entry found with "
                    "name %s, or it was changed meanwhile.", r->member, text_of(r, c->record, "name"));
    else if (rc)
        reply_code(c->identity, c->rq, rc, r->member);
    else
        api_reply_one(c->identity, c->rq, c->old ? 200 : 201, r->member, resource_json(r, c->identity, c->record));
}

void resource_create(const struct resource *r, struct identity *identity, struct http_request *rq)
{
    struct identity_context who;
    char                    id[IDENTITY_ID_MAX];
    json_t                 *root;
    struct change           c = { r, identity, rq, &who, .id = id };

    if (!api_authenticated(identity, rq, &who) || (!r->owner_creates && !api_permitted(identity, rq, &who, NULL)))
        return;
    c.body = api_body(identity, rq, r->member, &root);
    if (c.body == NULL)
        return;
    c.record = arena_alloc(&rq->arena, r->type->sizeof_message);
    if (c.record) {
        protobuf_c_message_init(r->type, c.record);
        identity_new_id(identity, id);
        finish(&c);
    } else {
        reply_code(identity, rq, -ENOMEM, r->member);
    }
    json_decref(root);
}

void resource_update(const struct resource *r, struct identity *identity, struct http_request *rq,
                     const struct http_params *params)
{
    struct identity_context who;
    char                    id[IDENTITY_ID_MAX];
    json_t                 *root;
    struct change           c = { r, identity, rq, &who, .id = id };

    text_copy(id, sizeof id, api_param(rq, params, 0));
    if (!api_authenticated(identity, rq, &who))
        return;
    const struct model_object *object = find(r, identity, id);
    if (!api_permitted(identity, rq, &who, owner_of(r, identity, &who, object ? object->message : NULL)))
        return;
    c.body = api_body(identity, rq, r->member, &root);
    if (c.body == NULL)
        return;
    object = find(r, identity, id);   /* Reading the body waited. */
    if (object == NULL) {
        resource_missing(identity, rq, r->member, id);
    } else {
        c.revision = object->mod_revision;
        c.record = resource_copy(&rq->arena, object->message);
        c.old = resource_copy(&rq->arena, object->message);
        if (c.record && c.old)
            finish(&c);
        else
            reply_code(identity, rq, -ENOMEM, r->member);
    }
    json_decref(root);
}

void resource_delete(const struct resource *r, struct identity *identity, struct http_request *rq,
                     const struct http_params *params)
{
    struct identity_context who;
    const char             *id = api_param(rq, params, 0);

    if (!api_authenticated(identity, rq, &who))
        return;
    const struct model_object *object = find(r, identity, id);
    if (!api_permitted(identity, rq, &who, owner_of(r, identity, &who, object ? object->message : NULL)))
        return;
    int rc = r->remove(identity, id);
    if (rc == -ENOENT)
        resource_missing(identity, rq, r->member, id);
    else if (rc == -E_FORBIDDEN && r->refusal)
        reply_error(identity, rq, 403, "%s", r->refusal);
    else if (rc)
        reply_code(identity, rq, rc, r->member);
    else
        reply_none(rq);
}
