/* identity/api.c - what the handlers of the management API share. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "identity/policy.h"
#include "identity/private.h"

bool api_authenticated(struct identity *identity, struct http_request *rq, struct identity_context *ret_who)
{
    struct slice token = http_header(rq, "X-Auth-Token");

    if (token.size == 0 || identity_check_token(identity, token, ret_who)) {
        reply_error(identity, rq, 401, "The request you have made requires authentication.");
        return false;
    }
    rq->user = arena_dup(&rq->arena, slice_str(ret_who->user_id));
    rq->project = arena_dup(&rq->arena, slice_str(ret_who->project_id));
    return true;
}

bool api_permitted(struct identity *identity, struct http_request *rq, const struct identity_context *who,
                   const char *owner)
{
    if (policy_allows(rq->action, who, owner))
        return true;
    reply_error(identity, rq, 403, "You are not authorized to perform the requested action: %s.", rq->action);
    return false;
}

bool api_allowed(struct identity *identity, struct http_request *rq, const char *owner,
                 struct identity_context *ret_who)
{
    return api_authenticated(identity, rq, ret_who) && api_permitted(identity, rq, ret_who, owner);
}

const char *api_param(struct http_request *rq, const struct http_params *params, uint32_t index)
{
    struct slice value = index < params->count ? params->value[index] : SLICE_NONE;

    if (value.size == 0 || value.size >= IDENTITY_ID_MAX || memchr(value.data, '/', value.size) ||
        memchr(value.data, '\0', value.size) || !http_valid_utf8(value))
        return "";
    char *text = arena_str(&rq->arena, value);
    return text ? text : "";
}

const json_t *api_body(struct identity *identity, struct http_request *rq, const char *name, json_t **ret_root)
{
    struct slice body;
    struct error err;
    json_t      *root;

    int rc = http_body_all(rq, BODY_MAX, &body);
    if (rc == 0) {
        rc = json_parse(body, &root, &err);
        if (rc) {
            reply_error(identity, rq, 400, "%s.", err.text);
            return NULL;
        }
    } else {
        reply_code(identity, rq, rc, "body");
        return NULL;
    }
    const json_t *object = name ? json_object_get(root, name) : root;
    if (!json_is_object(object)) {
        json_decref(root);
        if (name)
            reply_error(identity, rq, 400, "'%s' is a required property", name);
        else
            reply_error(identity, rq, 400, "the body is no JSON object");
        return NULL;
    }
    *ret_root = root;
    return object;
}

int api_commit(struct identity *identity, const struct control_compare *compares, uint32_t compare_count,
               const struct control_op *ops, uint32_t op_count)
{
    uint64_t revision;
    int      rc = control_txn(identity->control, compares, compare_count, ops, op_count, &revision, NULL);

    if (rc)
        return rc;
    rc = model_wait(&identity->model, revision);
    return rc == 0 ? 0 : -E_UNSURE;
}

bool api_matches(const struct http_request *rq, const char *name, const char *value)
{
    struct slice wanted = http_query(rq, name);
    return wanted.data == NULL || slice_equal(wanted, slice_str(value));
}

bool api_matches_bool(const struct http_request *rq, const char *name, bool value)
{
    struct slice wanted = http_query(rq, name);

    if (wanted.data == NULL)
        return true;
    bool no = slice_equal(wanted, SLICE("0")) || slice_equal(wanted, SLICE("false")) ||
              slice_equal(wanted, SLICE("False"));
    return value == !no;
}

void api_self(struct identity *identity, json_t *object, const char *collection, const char *id)
{
    char base[URL_MAX], url[URL_MAX + 160];

    catalog_url(identity, "keystone", base, sizeof base);
    snprintf(url, sizeof url, "%s/v3/%s/%s", base, collection, id);
    json_object_set_new(object, "links", json_pack("{s:s}", "self", url));
}

bool api_limit(struct slice text, uint32_t *ret_limit)
{
    uint64_t limit = 0;

    if (text.size > 10)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        limit = limit * 10 + (text.data[i] - '0');
    }
    if (limit > UINT32_MAX)
        return false;
    *ret_limit = (uint32_t)limit;
    return true;
}

/* The URL of the page after the entry 'last': this request's query, with another marker. */
static const char *next_page(struct http_request *rq, const char *self, const char *last)
{
    const char *url = arena_printf(&rq->arena, "%s?", self);

    for (uint32_t i = 0; url && i < rq->query_count; i++) {
        const struct http_query *q = &rq->query[i];
        if (slice_equal(q->name, SLICE("marker")))
            continue;
        struct slice name = http_quote(&rq->arena, q->name, ""), value = http_quote(&rq->arena, q->value, "");
        url = arena_printf(&rq->arena, "%s%.*s=%.*s&", url, SLICE_ARG(name), SLICE_ARG(value));
    }
    return url ? arena_printf(&rq->arena, "%smarker=%s", url, last) : NULL;
}

void api_reply_list(struct identity *identity, struct http_request *rq, const char *names, json_t *array,
                    uint32_t limit)
{
    char        base[URL_MAX], url[URL_MAX + 160];
    size_t      count = json_array_size(array);
    const char *next = NULL;

    catalog_url(identity, "keystone", base, sizeof base);
    snprintf(url, sizeof url, "%s/v3/%s", base, names);
    bool full = limit == 0 && api_list_full(array);
    if (limit && count == limit)
        next = next_page(rq, url, json_string_value(json_object_get(json_array_get(array, count - 1), "id")));
    json_t *list = json_pack("{s:{s:s?, s:s, s:n}, s:o}", "links", "next", next, "self", url, "previous", names, array);
    if (full)
        json_object_set_new(list, "truncated", json_true());
    reply_json(rq, 200, list);
}

void api_reply_one(struct identity *identity, struct http_request *rq, int status, const char *name, json_t *object)
{
    (void)identity;
    reply_json(rq, status, json_pack("{s:o}", name, object));
}

bool api_valid_name(struct slice name)
{
    if (name.size == 0 || name.size > IDENTITY_NAME_MAX || !http_valid_utf8(name))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < 0x20 || name.data[i] == 0x7f)
            return false;
    }
    return true;
}

/* --- Writes. --- */

void api_write_init(struct api_write *w, struct arena *arena)
{
    w->arena = arena;
    w->compares = w->ops = 0;
    w->rc = 0;
}

static struct slice format_key(struct api_write *w, const char *format, va_list args)
{
    char text[sizeof IDENTITY_PREFIX + MODEL_KEY_MAX] = IDENTITY_PREFIX;
    int  n = vsnprintf(text + sizeof IDENTITY_PREFIX - 1, MODEL_KEY_MAX, format, args);

    if (n < 0 || n >= MODEL_KEY_MAX) {
        w->rc = -E_LIMIT;
        return SLICE_NONE;
    }
    struct slice key = arena_dup(w->arena, slice_str(text));
    if (key.data == NULL)
        w->rc = -ENOMEM;
    return key;
}

void api_require(struct api_write *w, int kind, uint64_t revision, const char *format, ...)
{
    va_list args;

    if (w->compares == sizeof w->compare / sizeof w->compare[0]) {
        w->rc = -E_LIMIT;
        return;
    }
    va_start(args, format);
    struct slice key = format_key(w, format, args);
    va_end(args);
    w->compare[w->compares++] = (struct control_compare) { .kind = kind, .key = key, .revision = revision };
}

static void add_op(struct api_write *w, int kind, struct slice key, struct slice value)
{
    if (w->ops == CONTROL_TXN_OPS_MAX) {
        w->rc = -E_LIMIT;
        return;
    }
    w->op[w->ops++] = (struct control_op) { .kind = kind, .key = key, .value = value };
}

static struct slice pack(struct api_write *w, const ProtobufCMessage *message)
{
    size_t   size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(w->arena, size + 1);

    if (data == NULL) {
        w->rc = -ENOMEM;
        return SLICE_NONE;
    }
    protobuf_c_message_pack(message, data);
    return slice_of(data, size);
}

void api_put(struct api_write *w, const ProtobufCMessage *message, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    struct slice key = format_key(w, format, args);
    va_end(args);
    add_op(w, CONTROL_PUT, key, pack(w, message));
}

/* Takes a name; the transaction fails with -E_CONDITION when it is taken. */
void api_put_name(struct api_write *w, const char *id, const char *kind, const char *domain, const char *name)
{
    Rs__IdentityName record = RS__IDENTITY_NAME__INIT;

    record.id = (char *)(uintptr_t)id;
    api_require(w, CONTROL_IF_MISSING, 0, "name/%s/%s/%s", kind, domain, name);
    api_put(w, &record.base, "name/%s/%s/%s", kind, domain, name);
}

void api_drop(struct api_write *w, int kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    struct slice key = format_key(w, format, args);
    va_end(args);
    add_op(w, kind, key, SLICE_NONE);
}

int api_write_commit(struct api_write *w, struct identity *identity)
{
    if (w->rc)
        return w->rc;
    if (identity->model.count >= MODEL_OBJECTS_MAX && w->ops && w->op[0].kind == CONTROL_PUT && w->compares &&
        w->compare[0].kind == CONTROL_IF_MISSING)
        return -E_OVERLOAD;
    return api_commit(identity, w->compare, w->compares, w->op, w->ops);
}
