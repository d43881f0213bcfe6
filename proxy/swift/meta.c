/* proxy/swift/meta.c - rules of request headers: metadata, lists, expiry, kept headers. */
#include <ctype.h>
#include <strings.h>

#include "proxy/swift/call.h"

bool header_true(struct slice v)
{
    static const char *const yes[] = { "true", "1", "yes", "on", "t", "y" };

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (v.size == strlen(yes[i]) && strncasecmp((const char *)v.data, yes[i], v.size) == 0)
            return true;
    return false;
}

struct slice strip_quotes(struct slice tag)
{
    if (tag.size >= 2 && tag.data[0] == '"' && tag.data[tag.size - 1] == '"')
        return slice_of(tag.data + 1, tag.size - 2);
    return tag;
}

static struct slice lower(struct arena *arena, struct slice s)
{
    struct slice copy = arena_dup(arena, s);

    if (copy.data)
        for (size_t i = 0; i < copy.size; i++)
            ((uint8_t *)(uintptr_t)copy.data)[i] = (uint8_t)tolower(copy.data[i]);
    return copy;
}

int check_headers(struct call *c)
{
    for (uint32_t i = 0; i < c->rq->header_count; i++)
        if (c->rq->headers[i].value.size > HEADER_VALUE_MAX) {
            c->why = arena_printf(c->arena, "Header value too long: %.*s", SLICE_ARG(c->rq->headers[i].name));
            return 400;
        }
    return 0;
}

/* The rules for one item. 'prefix' is for the message. */
static int check_item(struct call *c, const char *prefix, struct slice name, struct slice value)
{
    if (name.size == 0) {
        c->why = "Metadata name cannot be empty";
        return 400;
    }
    if (name.size > META_NAME_MAX) {
        c->why = arena_printf(c->arena, "Metadata name too long: %s%.*s", prefix, SLICE_ARG(name));
        return 400;
    }
    if (value.size > META_VALUE_MAX) {
        c->why = arena_printf(c->arena, "Metadata value longer than %d: %s%.*s", META_VALUE_MAX, prefix, SLICE_ARG(name));
        return 400;
    }
    if (!http_valid_utf8(name) || !http_valid_utf8(value)) {
        c->why = "Metadata must be valid UTF-8";
        return 400;
    }
    return 0;
}

/* Counts and sizes over all items. */
static int check_total(struct call *c, uint32_t count, size_t bytes)
{
    if (count > META_COUNT_MAX) {
        c->why = arena_printf(c->arena, "Too many metadata items; max %d", META_COUNT_MAX);
        return 400;
    }
    if (bytes > META_TOTAL_MAX) {
        c->why = arena_printf(c->arena, "Total metadata too large; max %d", META_TOTAL_MAX);
        return 400;
    }
    return 0;
}

static int add_changes(struct call *c, const char *prefix, bool remove, struct meta_change *changes, uint32_t *count,
                       size_t *bytes)
{
    struct http_header h;
    uint32_t           at = 0;

    while (http_header_prefix(c->rq, prefix, &at, &h)) {
        struct slice name = slice_from(h.name, strlen(prefix));
        int          status = check_item(c, prefix, name, h.value);
        if (status)
            return status;
        changes[*count].name = lower(c->arena, name);
        changes[*count].value = remove ? SLICE_NONE : h.value;
        if (!changes[*count].name.data)
            return -ENOMEM;
        (*count)++;
        *bytes += name.size + (remove ? 0 : h.value.size);
    }
    return 0;
}

int meta_changes(struct call *c, const char *type, struct meta_change **ret_changes, uint32_t *ret_count)
{
    struct meta_change *changes = arena_array(c->arena, struct meta_change, c->rq->header_count + 1);
    char               *set = arena_printf(c->arena, "X-%s-Meta-", type);
    char               *remove = arena_printf(c->arena, "X-Remove-%s-Meta-", type);
    uint32_t            count = 0;
    size_t              bytes = 0;
    int                 status;

    if (!changes || !set || !remove)
        return -ENOMEM;
    /* A name that is both set and removed is set, as in Swift. */
    status = add_changes(c, remove, true, changes, &count, &bytes);
    if (status == 0)
        status = add_changes(c, set, false, changes, &count, &bytes);
    if (status == 0)
        status = check_total(c, count, bytes);
    if (status)
        return status;
    *ret_changes = changes;
    *ret_count = count;
    return 0;
}

static int list_change(struct call *c, const char *name, const char *remove_name, bool write, const struct slice **ret)
{
    struct slice  value = http_header(c->rq, name);
    struct slice *acl;
    const char   *why;
    int           rc;

    if (!value.data && !http_header(c->rq, remove_name).data)
        return 0;
    acl = arena_new(c->arena, struct slice);
    if (!acl)
        return -ENOMEM;
    if (value.data) {
        rc = acl_clean(c->arena, value, write, acl, &why);
        if (rc == -E_SYNTAX) {
            c->why = arena_printf(c->arena, "Header %s value %.*s invalid: %s", name, SLICE_ARG(value), why);
            return 400;
        }
        if (rc)
            return rc;
    }
    *ret = acl;
    return 0;
}

/* Quotas must be whole numbers, or empty to remove them. */
static int check_quota(struct call *c, const char *name, const char *why)
{
    struct slice value = http_header(c->rq, name);
    uint64_t     n;

    if (value.size && !slice_u64(value, &n)) {
        c->why = why;
        return 400;
    }
    return 0;
}

int container_changes(struct call *c, struct config_changes *ret_changes)
{
    struct config_changes changes = { 0 };
    struct meta_change   *meta;
    int                   status = check_quota(c, "X-Container-Meta-Quota-Bytes", "Invalid bytes quota.");

    if (status == 0)
        status = check_quota(c, "X-Container-Meta-Quota-Count", "Invalid count quota.");
    if (status == 0)
        status = meta_changes(c, "Container", &meta, &changes.meta_count);
    if (status == 0)
        status = list_change(c, "X-Container-Read", "X-Remove-Container-Read", false, &changes.read_acl);
    if (status == 0)
        status = list_change(c, "X-Container-Write", "X-Remove-Container-Write", true, &changes.write_acl);
    if (status)
        return status;
    changes.meta = meta;
    *ret_changes = changes;
    return 0;
}

/* --- Objects. --- */

static const char *const kept[] = {
    "content-encoding", "content-disposition", "content-language", "cache-control", "expires", "x-robots-tag",
    "x-object-manifest",
};

static int add_item(struct call *c, Rs__MetaItem ***items, size_t *count, struct slice name, struct slice value)
{
    Rs__MetaItem *item = arena_new(c->arena, Rs__MetaItem);

    if (!item)
        return -ENOMEM;
    rs__meta_item__init(item);
    item->name = (ProtobufCBinaryData) { .len = name.size, .data = (uint8_t *)(uintptr_t)name.data };
    item->value = (ProtobufCBinaryData) { .len = value.size, .data = (uint8_t *)(uintptr_t)value.data };
    (*items)[(*count)++] = item;
    return 0;
}

int object_headers(struct call *c, Rs__ObjectMeta *meta)
{
    struct http_header h;
    uint32_t           at = 0;
    size_t             bytes = 0;
    int                status = 0;

    meta->n_meta = meta->n_headers = 0;
    meta->meta = arena_array(c->arena, Rs__MetaItem *, c->rq->header_count + 1);
    meta->headers = arena_array(c->arena, Rs__MetaItem *, sizeof kept / sizeof *kept);
    if (!meta->meta || !meta->headers)
        return -ENOMEM;
    while (status == 0 && http_header_prefix(c->rq, "X-Object-Meta-", &at, &h)) {
        struct slice name = slice_from(h.name, strlen("X-Object-Meta-"));
        status = check_item(c, "X-Object-Meta-", name, h.value);
        bytes += name.size + h.value.size;
        if (status == 0 && h.value.size)
            status = add_item(c, &meta->meta, &meta->n_meta, lower(c->arena, name), h.value);
    }
    if (status == 0)
        status = check_total(c, (uint32_t)meta->n_meta, bytes);
    for (size_t i = 0; status == 0 && i < sizeof kept / sizeof *kept; i++) {
        struct slice value = http_header(c->rq, kept[i]);
        if (!value.size)
            continue;
        if (!http_valid_utf8(value)) {
            c->why = arena_printf(c->arena, "Header %s is not valid UTF-8", kept[i]);
            return 400;
        }
        status = add_item(c, &meta->headers, &meta->n_headers, slice_str(kept[i]), value);
    }
    return status;
}

static bool parse_signed(struct slice text, bool *ret_negative, uint64_t *ret)
{
    *ret_negative = text.size && text.data[0] == '-';
    return slice_u64(*ret_negative ? slice_from(text, 1) : text, ret);
}

int object_expiry(struct call *c, bool *ret_given, uint64_t *ret_expires_s)
{
    struct slice after = http_header(c->rq, "X-Delete-After"), at = http_header(c->rq, "X-Delete-At");
    uint64_t     now = (uint64_t)(env_wall(c->rq->env) / NS_PER_S), n;
    bool         negative;

    *ret_given = false;
    *ret_expires_s = 0;
    if (after.size) {
        if (!parse_signed(after, &negative, &n)) {
            c->why = "Non-integer X-Delete-After";
            return 400;
        }
        if (negative || n == 0) {
            c->why = "X-Delete-After in past";
            return 400;
        }
        *ret_given = true;
        if (__builtin_add_overflow(n, now, ret_expires_s) || *ret_expires_s > 9999999999)
            *ret_expires_s = 9999999999;
        return 0;
    }
    if (at.size) {
        if (!parse_signed(at, &negative, &n)) {
            c->why = "Non-integer X-Delete-At";
            return 400;
        }
        if (negative || n <= now) {
            c->why = "X-Delete-At in past";
            return 400;
        }
        *ret_given = true;
        *ret_expires_s = n > 9999999999 ? 9999999999 : n;
    }
    return 0;
}
