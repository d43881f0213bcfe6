/* proxy/s3/cors.c - see cors.h. */
#include "proxy/s3/cors.h"

#include <strings.h>

static uint32_t stars(struct slice text)
{
    uint32_t count = 0;

    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '*';
    return count;
}

static bool method_known(struct slice method)
{
    static const char *const methods[] = { "GET", "PUT", "POST", "DELETE", "HEAD" };

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (slice_equal(method, slice_str(methods[i])))
            return true;
    return false;
}

static int read_list(struct arena *arena, const struct xml_node *rule, const char *name, uint32_t stars_max,
                     struct cors_list *ret, struct error *err)
{
    ret->items = arena_array(arena, struct slice, xml_count(rule, name) + 1);
    if (!ret->items)
        return -ENOMEM;
    for (const struct xml_node *n = xml_child(rule, name); n; n = xml_again(n)) {
        struct slice text = xml_trim(n->text);
        if (text.size == 0)
            return s3_fail(err, S3_MALFORMED_XML);
        if (stars(text) > stars_max)
            return error_set(err, S3_INVALID_REQUEST, "%s \"%.*s\" has too many wildcards.", name,
                             text.size < 100 ? (int)text.size : 100, (const char *)text.data);
        for (size_t i = 0; i < text.size; i++)
            if (text.data[i] < 0x20 || text.data[i] == 0x7f)
                return s3_fail(err, S3_MALFORMED_XML);   /* It is going to be a header. */
        ret->items[ret->count++] = text;
    }
    return 0;
}

static int read_rule(struct arena *arena, const struct xml_node *node, struct cors_rule *rule, struct error *err)
{
    uint64_t age;
    int      rc;

    if (!xml_fits(node, "ID? AllowedMethod+ AllowedOrigin+ AllowedHeader* ExposeHeader* MaxAgeSeconds?"))
        return s3_fail(err, S3_MALFORMED_XML);
    rule->id = xml_word(node, "ID");
    if (rule->id.size > CORS_ID_MAX)
        return error_set(err, S3_INVALID_REQUEST, "A rule's ID is longer than %d bytes.", CORS_ID_MAX);
    rc = read_list(arena, node, "AllowedMethod", 0, &rule->methods, err);
    if (rc == 0)
        rc = read_list(arena, node, "AllowedOrigin", 1, &rule->origins, err);
    if (rc == 0)
        rc = read_list(arena, node, "AllowedHeader", 1, &rule->headers, err);
    if (rc == 0)
        rc = read_list(arena, node, "ExposeHeader", 0, &rule->expose, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < rule->methods.count; i++)
        if (!method_known(rule->methods.items[i]))
            return error_set(err, S3_INVALID_REQUEST, "A CORS rule has a method that is not supported.");
    rule->has_max_age = xml_child(node, "MaxAgeSeconds") != NULL;
    if (rule->has_max_age) {
        if (!xml_number(xml_word(node, "MaxAgeSeconds"), CORS_AGE_MAX_S, &age))
            return s3_fail(err, S3_MALFORMED_XML);
        rule->max_age_s = (uint32_t)age;
    }
    return 0;
}

int cors_parse(struct arena *arena, struct slice document, struct cors **ret_cors, struct error *err)
{
    struct xml_node *root;
    struct cors     *cors = arena_new(arena, struct cors);
    uint32_t         count;
    int              rc;

    if (!cors)
        return -ENOMEM;
    if (document.size > CORS_BYTES_MAX)
        return s3_fail(err, S3_MALFORMED_XML);
    rc = xml_parse(arena, document, "CORSConfiguration", &root, err);
    if (rc)
        return rc;
    if (!xml_fits(root, "CORSRule+"))
        return s3_fail(err, S3_MALFORMED_XML);
    count = xml_count(root, "CORSRule");
    if (count > CORS_RULES_MAX)
        return error_set(err, S3_INVALID_REQUEST, "There are more than %d CORS rules.", CORS_RULES_MAX);
    cors->rules = arena_array(arena, struct cors_rule, count);
    if (!cors->rules)
        return -ENOMEM;
    for (const struct xml_node *n = xml_child(root, "CORSRule"); rc == 0 && n; n = xml_again(n))
        rc = read_rule(arena, n, &cors->rules[cors->rule_count++], err);
    if (rc == 0)
        *ret_cors = cors;
    return rc;
}

static void write_list(struct text *t, const char *name, const struct cors_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        xml_leaf(t, name, list->items[i]);
}

void cors_write(struct text *t, const struct cors *cors)
{
    xml_begin(t, "CORSConfiguration");
    for (uint32_t i = 0; i < cors->rule_count; i++) {
        const struct cors_rule *rule = &cors->rules[i];
        xml_open(t, "CORSRule");
        if (rule->id.size)
            xml_leaf(t, "ID", rule->id);
        write_list(t, "AllowedMethod", &rule->methods);
        write_list(t, "AllowedOrigin", &rule->origins);
        write_list(t, "AllowedHeader", &rule->headers);
        write_list(t, "ExposeHeader", &rule->expose);
        if (rule->has_max_age)
            xml_leaf_number(t, "MaxAgeSeconds", rule->max_age_s);
        xml_close(t, "CORSRule");
    }
    xml_close(t, "CORSConfiguration");
}

/* --- Matching. --- */

static bool same(const uint8_t *a, const uint8_t *b, size_t size, bool fold)
{
    if (size == 0)
        return true;
    return fold ? strncasecmp((const char *)a, (const char *)b, size) == 0 : memcmp(a, b, size) == 0;
}

/* A pattern with at most one '*'. */
static bool fits(struct slice pattern, struct slice text, bool fold)
{
    const uint8_t *star = pattern.size ? memchr(pattern.data, '*', pattern.size) : NULL;
    size_t         head, tail;

    if (!star)
        return pattern.size == text.size && same(pattern.data, text.data, text.size, fold);
    head = (size_t)(star - pattern.data);
    tail = pattern.size - head - 1;
    return text.size >= head + tail && same(pattern.data, text.data, head, fold) &&
           same(star + 1, text.data + text.size - tail, tail, fold);
}

static bool any_fits(const struct cors_list *list, struct slice text, bool fold)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (fits(list->items[i], text, fold))
            return true;
    return false;
}

static bool headers_fit(const struct cors_rule *rule, struct slice rest)
{
    while (rest.size) {
        const uint8_t *comma = memchr(rest.data, ',', rest.size);
        size_t         size = comma ? (size_t)(comma - rest.data) : rest.size;
        struct slice   name = xml_trim(slice_of(rest.data, size));
        if (name.size && !any_fits(&rule->headers, name, true))
            return false;
        rest = slice_from(rest, size + (comma != NULL));
    }
    return true;
}

const struct cors_rule *cors_match(const struct cors *cors, struct slice origin, struct slice method,
                                   struct slice headers)
{
    for (uint32_t i = 0; origin.size && i < cors->rule_count; i++) {
        const struct cors_rule *rule = &cors->rules[i];
        if (any_fits(&rule->origins, origin, false) && any_fits(&rule->methods, method, false) &&
            headers_fit(rule, headers))
            return rule;
    }
    return NULL;
}

static int join(struct arena *arena, const struct cors_list *list, struct slice *ret)
{
    size_t   size = 0, at = 0;
    uint8_t *out;

    *ret = SLICE_NONE;
    if (list->count == 0)
        return 0;
    for (uint32_t i = 0; i < list->count; i++)
        size += list->items[i].size + 2;
    out = arena_alloc(arena, size);
    if (!out)
        return -ENOMEM;
    for (uint32_t i = 0; i < list->count; i++) {
        if (i) {
            memcpy(out + at, ", ", 2);
            at += 2;
        }
        memcpy(out + at, list->items[i].data, list->items[i].size);
        at += list->items[i].size;
    }
    *ret = slice_of(out, at);
    return 0;
}

int cors_answer(struct arena *arena, const struct cors_rule *rule, struct slice origin, struct slice headers,
                struct cors_answer *ret)
{
    struct cors_answer a = {
        .allow_headers = headers, .has_max_age = rule->has_max_age, .max_age_s = rule->max_age_s};
    bool               anybody = false;

    for (uint32_t i = 0; i < rule->origins.count; i++)
        anybody |= slice_equal(rule->origins.items[i], SLICE("*"));
    /* Browsers refuse credentials together with "*". */
    a.allow_origin = anybody ? SLICE("*") : origin;
    a.credentials = !anybody;
    if (join(arena, &rule->methods, &a.allow_methods) || join(arena, &rule->expose, &a.expose_headers))
        return -ENOMEM;
    *ret = a;
    return 0;
}
