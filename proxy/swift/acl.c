/* proxy/swift/acl.c - see acl.h. */
#include "proxy/swift/acl.h"

#include <strings.h>

static struct slice trim(struct slice s)
{
    while (s.size && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = slice_from(s, 1);
    while (s.size && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t'))
        s.size--;
    return s;
}

/* The next part before 'mark'; false at the end. */
static bool next_part(struct slice *rest, char mark, struct slice *ret_part)
{
    const uint8_t *at;

    if (!rest->data)
        return false;
    at = rest->size ? memchr(rest->data, mark, rest->size) : NULL;
    if (at) {
        *ret_part = slice_of(rest->data, (size_t)(at - rest->data));
        *rest = slice_from(*rest, ret_part->size + 1);
        if (!rest->data)
            rest->data = (const uint8_t *)"";
    } else {
        *ret_part = *rest;
        *rest = SLICE_NONE;
    }
    return true;
}

static bool same(struct slice a, const char *text)
{
    return a.size == strlen(text) && strncasecmp((const char *)a.data, text, a.size) == 0;
}

static bool is_referrer(struct slice first)
{
    return same(first, ".r") || same(first, ".ref") || same(first, ".referer") || same(first, ".referrer");
}

/* One ".r:..." entry, cleaned. */
static int clean_referrer(struct arena *arena, struct slice raw, struct slice second, char **ret, const char **ret_why)
{
    bool negate = false;

    if (second.size && second.data[0] == '-') {
        negate = true;
        second = trim(slice_from(second, 1));
    }
    while (second.size && second.data[0] == '*' && !slice_equal(second, SLICE("*")))
        second = trim(slice_from(second, 1));
    if (second.size == 0 || second.data[0] == '-' || slice_equal(second, SLICE("."))) {
        *ret_why = arena_printf(arena, "No host/domain value after referrer designation in ACL: \"%.*s\"", SLICE_ARG(raw));
        return -E_SYNTAX;
    }
    *ret = arena_printf(arena, ".r:%s%.*s", negate ? "-" : "", SLICE_ARG(second));
    return *ret ? 0 : -ENOMEM;
}

static int clean_entry(struct arena *arena, struct slice raw, bool write, char **ret, const char **ret_why)
{
    const uint8_t *colon = memchr(raw.data, ':', raw.size);
    struct slice   first, second;

    if (!colon) {
        *ret = arena_str(arena, raw);
        return *ret ? 0 : -ENOMEM;
    }
    first = trim(slice_of(raw.data, (size_t)(colon - raw.data)));
    second = trim(slice_of(colon + 1, raw.size - (size_t)(colon - raw.data) - 1));
    if (first.size == 0 || first.data[0] != '.') {
        *ret = arena_str(arena, raw);
        return *ret ? 0 : -ENOMEM;
    }
    if (!is_referrer(first)) {
        *ret_why = arena_printf(arena, "Unknown designator \"%.*s\" in ACL: \"%.*s\"", SLICE_ARG(first), SLICE_ARG(raw));
        return -E_SYNTAX;
    }
    if (write) {
        *ret_why = arena_printf(arena, "Referrers not allowed in write ACL: \"%.*s\"", SLICE_ARG(raw));
        return -E_SYNTAX;
    }
    return clean_referrer(arena, raw, second, ret, ret_why);
}

int acl_clean(struct arena *arena, struct slice header, bool write, struct slice *ret_acl, const char **ret_why)
{
    struct slice rest = header, part;
    /* Cleaning lengthens nothing but ".r : x" forms, which it shortens too. */
    char  *out = arena_alloc(arena, header.size + 1);
    size_t size = 0;

    *ret_why = "too long";
    if (!out)
        return -ENOMEM;
    while (next_part(&rest, ',', &part)) {
        char *entry = NULL;
        part = trim(part);
        if (part.size == 0)
            continue;
        int rc = clean_entry(arena, part, write, &entry, ret_why);
        if (rc)
            return rc;
        size_t n = strlen(entry);
        if (size + n + 1 > header.size + 1)
            return -ENOMEM;
        if (size)
            out[size++] = ',';
        memcpy(out + size, entry, n);
        size += n;
    }
    *ret_acl = slice_of(out, size);
    return 0;
}

/* --- Judging. --- */

/* The host of "scheme://user@host:port/path"; empty when there is none. */
static struct slice url_host(struct slice url)
{
    const uint8_t *at = url.size > 2 ? memmem(url.data, url.size, "//", 2) : NULL;
    size_t         n = 0;

    if (!at)
        return SLICE_NONE;
    url = slice_from(url, (size_t)(at - url.data) + 2);
    while (n < url.size && url.data[n] != '/' && url.data[n] != '?' && url.data[n] != '#')
        n++;
    url.size = n;
    at = url.size ? memrchr(url.data, '@', url.size) : NULL;
    if (at)
        url = slice_from(url, (size_t)(at - url.data) + 1);
    if (url.size && url.data[0] == '[') {
        at = memchr(url.data, ']', url.size);
        return at ? slice_of(url.data + 1, (size_t)(at - url.data) - 1) : SLICE_NONE;
    }
    at = url.size ? memchr(url.data, ':', url.size) : NULL;
    return at ? slice_of(url.data, (size_t)(at - url.data)) : url;
}

static bool host_matches(struct slice host, struct slice rule)
{
    if (rule.size > 0 && rule.data[0] == '.')
        return host.size >= rule.size &&
               strncasecmp((const char *)host.data + (host.size - rule.size), (const char *)rule.data, rule.size) == 0;
    return host.size == rule.size && strncasecmp((const char *)host.data, (const char *)rule.data, rule.size) == 0;
}

bool acl_referrer(struct slice acl, struct slice referer)
{
    struct slice rest = acl, part, host = url_host(referer);
    bool         allowed = false;

    if (host.size == 0)
        host = SLICE("unknown");
    while (next_part(&rest, ',', &part)) {
        if (!slice_starts(part, SLICE(".r:")))
            continue;
        part = slice_from(part, 3);
        if (part.size && part.data[0] == '-') {
            if (host_matches(host, slice_from(part, 1)))
                allowed = false;
        } else if (slice_equal(part, SLICE("*")) || host_matches(host, part)) {
            allowed = true;
        }
    }
    return allowed;
}

bool acl_listings(struct slice acl)
{
    struct slice rest = acl, part;

    while (next_part(&rest, ',', &part))
        if (slice_equal(part, SLICE(".rlistings")))
            return true;
    return false;
}

static bool any_or(struct slice rule, struct slice id, struct slice name)
{
    return slice_equal(rule, SLICE("*")) || (id.size && slice_equal(rule, id)) || (name.size && slice_equal(rule, name));
}

bool acl_user(struct slice acl, const struct acl_who *who)
{
    struct slice rest = acl, part;

    while (next_part(&rest, ',', &part)) {
        const uint8_t *colon = part.size ? memchr(part.data, ':', part.size) : NULL;

        if (part.size == 0 || part.data[0] == '.')
            continue;
        if (colon) {
            struct slice project = slice_of(part.data, (size_t)(colon - part.data));
            struct slice user = slice_from(part, project.size + 1);
            if (any_or(project, who->project_id, who->project_name) && any_or(user, who->user_id, who->user_name))
                return true;
            continue;
        }
        for (uint32_t i = 0; i < who->role_count; i++)
            if (part.size == who->roles[i].size &&
                strncasecmp((const char *)part.data, (const char *)who->roles[i].data, part.size) == 0)
                return true;
    }
    return false;
}
