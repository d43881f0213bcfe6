/* proxy/s3/policy_parse.c - from the JSON of a policy to its compiled form; see policy.h. */
#include <jansson.h>

#include "proxy/s3/policy_private.h"
#include "proxy/s3/xml.h"

struct parser {
    struct arena  *arena;
    struct error  *err;
    struct s3_policy *policy;
    struct slice   bucket;
    bool           variables;   /* Version 2012-10-17 knows "${...}". */
};

static int malformed(struct parser *p, const char *why)
{
    return error_set(p->err, S3_MALFORMED_POLICY, "%s", why);
}

static struct slice json_slice(const json_t *value)
{
    return slice_of(json_string_value(value), json_string_length(value));
}

static struct slice lower_dup(struct arena *arena, struct slice text)
{
    struct slice copy = arena_dup(arena, text);
    uint8_t     *bytes = (uint8_t *)(uintptr_t)copy.data;

    for (size_t i = 0; bytes && i < copy.size; i++)
        if (bytes[i] >= 'A' && bytes[i] <= 'Z')
            bytes[i] |= 32;
    return copy;
}

static bool is(struct slice text, const char *name)
{
    return slice_equal(text, slice_str(name));
}

/* A value that may stand alone or in a list: how many there are, and the i-th. */
static size_t list_size(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) : 1;
}

static const json_t *list_at(const json_t *value, size_t i)
{
    return json_is_array(value) ? json_array_get(value, i) : value;
}

/* --- Strings with wildcards and variables. --- */

/* The list doubles when its count is a power of two. */
static int keep_variable(struct parser *p, const struct policy_variable *v, uint16_t *ret_code)
{
    struct s3_policy *policy = p->policy;
    uint32_t       count = policy->variable_count;

    if ((count & (count - 1)) == 0) {
        struct policy_variable *more = arena_array(p->arena, struct policy_variable, count ? 2 * (size_t)count : 1);
        if (!more)
            return -ENOMEM;
        if (count)
            memcpy(more, policy->variables, count * sizeof *more);
        policy->variables = more;
    }
    *ret_code = (uint16_t)(CODE_VARIABLE + count);   /* A policy of 20 KiB has fewer than 2^15. */
    policy->variables[policy->variable_count++] = *v;
    return 0;
}

static int add_variable(struct parser *p, struct slice inside, uint16_t *ret_code)
{
    const uint8_t         *comma = memchr(inside.data, ',', inside.size);
    struct policy_variable v = { .name = inside };

    if (comma) {
        struct slice rest = xml_trim(slice_of(comma + 1, (size_t)(inside.data + inside.size - comma - 1)));
        v.name = xml_trim(slice_of(inside.data, (size_t)(comma - inside.data)));
        if (rest.size < 2 || rest.data[0] != '\'' || rest.data[rest.size - 1] != '\'')
            return malformed(p, "The default of a policy variable is not quoted.");
        v.has_fallback = true;
        v.fallback = arena_dup(p->arena, slice_of(rest.data + 1, rest.size - 2));
        if (!v.fallback.data)
            return -ENOMEM;
    }
    if (v.name.size == 0 || !memchr(v.name.data, ':', v.name.size))
        return malformed(p, "A policy variable is not valid.");
    v.name = lower_dup(p->arena, v.name);
    if (!v.name.data)
        return -ENOMEM;
    return keep_variable(p, &v, ret_code);
}

/* The "${...}" at the start of 'text': its code, and how many bytes it takes. */
static int read_variable(struct parser *p, struct slice text, uint16_t *ret_code, size_t *ret_size)
{
    const uint8_t *end = memchr(text.data, '}', text.size);

    if (!end)
        return malformed(p, "A policy variable is not closed.");
    struct slice inside = slice_of(text.data + 2, (size_t)(end - text.data) - 2);
    *ret_size = (size_t)(end - text.data) + 1;
    if (is(inside, "*") || is(inside, "?") || is(inside, "$")) {
        *ret_code = inside.data[0];
        return 0;
    }
    return add_variable(p, inside, ret_code);
}

static int compile_string(struct parser *p, struct slice text, bool wild, struct policy_string *ret)
{
    uint16_t *codes = arena_array(p->arena, uint16_t, text.size + 1);
    uint32_t  count = 0;
    bool      variables = false;

    if (!codes)
        return -ENOMEM;
    for (size_t i = 0; i < text.size;) {
        uint8_t b = text.data[i];
        size_t  size = 1;
        codes[count] = wild && b == '*' ? CODE_RUN : wild && b == '?' ? CODE_ONE : b;
        if (p->variables && b == '$' && i + 1 < text.size && text.data[i + 1] == '{') {
            int rc = read_variable(p, slice_from(text, i), &codes[count], &size);
            if (rc)
                return rc;
            variables |= codes[count] >= CODE_VARIABLE;
        }
        count++;
        i += size;
    }
    *ret = (struct policy_string) { codes, count, variables };
    return 0;
}

/* --- Principals. --- */

/* "arn:aws:iam::ACCOUNT:user/NAME": account and the rest after the fifth colon. */
static bool split_arn(struct slice arn, struct slice parts[6])
{
    for (int i = 0; i < 5; i++) {
        const uint8_t *colon = arn.size ? memchr(arn.data, ':', arn.size) : NULL;
        if (!colon)
            return false;
        parts[i] = slice_of(arn.data, (size_t)(colon - arn.data));
        arn = slice_from(arn, parts[i].size + 1);
    }
    parts[5] = arn;
    return is(parts[0], "arn") && parts[1].size && arn.size;
}

/* What follows the last '/': users and roles may have a path. */
static struct slice last_name(struct slice text)
{
    for (size_t i = text.size; i > 0; i--)
        if (text.data[i - 1] == '/')
            return slice_from(text, i);
    return text;
}

static int read_aws_principal(struct parser *p, struct slice text, struct policy_principal *ret)
{
    struct slice part[6];

    if (is(text, "*")) {
        ret->kind = PRINCIPAL_ANYBODY;
        return 0;
    }
    if (text.size == 0)
        return malformed(p, "A principal is empty.");
    if (!memchr(text.data, ':', text.size)) {
        if (memchr(text.data, '*', text.size))
            return malformed(p, "A principal has a wildcard.");
        *ret = (struct policy_principal) { PRINCIPAL_ID, SLICE_NONE, text };
        return 0;
    }
    if (!split_arn(text, part) || (!is(part[2], "iam") && !is(part[2], "sts")))
        return malformed(p, "A principal is not valid.");
    ret->project = part[4];
    ret->kind = PRINCIPAL_NOBODY;
    if (is(part[2], "sts"))
        return 0;
    if (is(part[5], "root")) {
        if (part[4].size)
            ret->kind = PRINCIPAL_PROJECT;
    } else if (slice_starts(part[5], SLICE("user/")) && part[5].size > 5) {
        ret->name = last_name(part[5]);
        ret->kind = part[4].size ? PRINCIPAL_USER : PRINCIPAL_ID;
    } else if (slice_starts(part[5], SLICE("role/")) && part[5].size > 5 && part[4].size) {
        ret->name = last_name(part[5]);
        ret->kind = PRINCIPAL_ROLE;
    }
    return 0;
}

static int read_principal(struct parser *p, const char *type, const json_t *value, struct policy_principal *ret)
{
    struct slice text = json_slice(value);
    int          rc = 0;

    if (!json_is_string(value) || text.size == 0)
        return malformed(p, "A principal is not a string.");
    text = arena_dup(p->arena, text);
    if (!text.data)
        return -ENOMEM;
    if (strcmp(type, "AWS") == 0)
        rc = read_aws_principal(p, text, ret);
    else if (strcmp(type, "CanonicalUser") == 0)
        *ret = (struct policy_principal) { PRINCIPAL_PROJECT, text, SLICE_NONE };
    else if (strcmp(type, "Service") == 0)
        *ret = (struct policy_principal) { PRINCIPAL_SERVICE, SLICE_NONE, text };
    else if (strcmp(type, "Federated") == 0)
        *ret = (struct policy_principal) { .kind = PRINCIPAL_NOBODY };
    else
        return malformed(p, "A type of principal is not known.");
    return rc;
}

static int read_principals(struct parser *p, const json_t *value, struct policy_statement *s)
{
    const char *type;
    json_t     *list;
    size_t      count = 0;

    if (json_is_string(value)) {
        s->principals = arena_array(p->arena, struct policy_principal, 1);
        if (!s->principals)
            return -ENOMEM;
        if (!is(json_slice(value), "*"))
            return malformed(p, "The principal is not valid.");
        s->principals[s->principal_count++].kind = PRINCIPAL_ANYBODY;
        return 0;
    }
    if (!json_is_object(value) || json_object_size(value) == 0)
        return malformed(p, "The principal is not valid.");
    json_object_foreach((json_t *)(uintptr_t)value, type, list)
        count += list_size(list);
    s->principals = arena_array(p->arena, struct policy_principal, count + 1);
    if (!s->principals)
        return -ENOMEM;
    json_object_foreach((json_t *)(uintptr_t)value, type, list) {
        if (list_size(list) == 0)
            return malformed(p, "A list of principals is empty.");
        for (size_t i = 0; i < list_size(list); i++) {
            int rc = read_principal(p, type, list_at(list, i), &s->principals[s->principal_count]);
            if (rc)
                return rc;
            s->principal_count++;
        }
    }
    return 0;
}

/* --- Actions and resources. --- */

static int read_action(struct parser *p, const json_t *value, struct policy_statement *s)
{
    struct slice         text = json_slice(value);
    struct policy_string pattern;
    bool                 any = false;

    if (!json_is_string(value))
        return malformed(p, "An action is not a string.");
    if (is(text, "*"))
        text = SLICE("s3:*");
    if (text.size < 4 || (text.data[0] | 32) != 's' || text.data[1] != '3' || text.data[2] != ':')
        return malformed(p, "Policy has invalid action.");
    int rc = compile_string(p, slice_from(text, 3), true, &pattern);
    if (rc)
        return rc;
    for (uint32_t a = 0; a < S3_ACTION_COUNT; a++)
        if (s3_policy_fits(pattern.codes, pattern.count, slice_str(s3_action_name(a)), true)) {
            s->actions[a / 64] |= 1ull << (a % 64);
            any = true;
        }
    return any ? 0 : malformed(p, "Policy has invalid action.");
}

static int read_actions(struct parser *p, const json_t *value, bool negate, struct policy_statement *s)
{
    if (list_size(value) == 0)
        return malformed(p, "A list of actions is empty.");
    for (size_t i = 0; i < list_size(value); i++) {
        int rc = read_action(p, list_at(value, i), s);
        if (rc)
            return rc;
    }
    for (uint32_t i = 0; negate && i < ACTION_WORDS; i++)
        s->actions[i] = ~s->actions[i];
    return 0;
}

static int read_resource(struct parser *p, const json_t *value, struct policy_string *ret)
{
    struct slice text = json_slice(value), part[6];
    uint32_t     bucket_size = 0;

    if (!json_is_string(value))
        return malformed(p, "A resource is not a string.");
    if (is(text, "*"))
        return compile_string(p, text, true, ret);
    if (!split_arn(text, part) || !is(part[2], "s3") || (part[3].size && !is(part[3], "*")) ||
        (part[4].size && !is(part[4], "*")))
        return malformed(p, "Policy has invalid resource.");
    int rc = compile_string(p, part[5], true, ret);
    if (rc || ret->variables)
        return rc;
    while (bucket_size < ret->count && ret->codes[bucket_size] != '/')
        bucket_size++;
    return s3_policy_fits(ret->codes, bucket_size, p->bucket, false)
               ? 0
               : malformed(p, "Policy has invalid resource.");
}

static int read_resources(struct parser *p, const json_t *value, struct policy_statement *s)
{
    if (list_size(value) == 0)
        return malformed(p, "A list of resources is empty.");
    s->resources = arena_array(p->arena, struct policy_string, list_size(value));
    if (!s->resources)
        return -ENOMEM;
    for (size_t i = 0; i < list_size(value); i++) {
        int rc = read_resource(p, list_at(value, i), &s->resources[i]);
        if (rc)
            return rc;
        s->resource_count++;
    }
    return 0;
}

/* --- Conditions. --- */

static const struct policy_operator operators[] = {
    { "StringEquals", FAMILY_STRING, COMPARE_EQUAL, false, false, false },
    { "StringNotEquals", FAMILY_STRING, COMPARE_EQUAL, true, false, false },
    { "StringEqualsIgnoreCase", FAMILY_STRING, COMPARE_EQUAL, false, true, false },
    { "StringNotEqualsIgnoreCase", FAMILY_STRING, COMPARE_EQUAL, true, true, false },
    { "StringLike", FAMILY_STRING, COMPARE_EQUAL, false, false, true },
    { "StringNotLike", FAMILY_STRING, COMPARE_EQUAL, true, false, true },
    { "NumericEquals", FAMILY_NUMBER, COMPARE_EQUAL, false, false, false },
    { "NumericNotEquals", FAMILY_NUMBER, COMPARE_EQUAL, true, false, false },
    { "NumericLessThan", FAMILY_NUMBER, COMPARE_LESS, false, false, false },
    { "NumericLessThanEquals", FAMILY_NUMBER, COMPARE_LESS_EQUAL, false, false, false },
    { "NumericGreaterThan", FAMILY_NUMBER, COMPARE_GREATER, false, false, false },
    { "NumericGreaterThanEquals", FAMILY_NUMBER, COMPARE_GREATER_EQUAL, false, false, false },
    { "DateEquals", FAMILY_DATE, COMPARE_EQUAL, false, false, false },
    { "DateNotEquals", FAMILY_DATE, COMPARE_EQUAL, true, false, false },
    { "DateLessThan", FAMILY_DATE, COMPARE_LESS, false, false, false },
    { "DateLessThanEquals", FAMILY_DATE, COMPARE_LESS_EQUAL, false, false, false },
    { "DateGreaterThan", FAMILY_DATE, COMPARE_GREATER, false, false, false },
    { "DateGreaterThanEquals", FAMILY_DATE, COMPARE_GREATER_EQUAL, false, false, false },
    { "Bool", FAMILY_BOOL, COMPARE_EQUAL, false, false, false },
    { "BinaryEquals", FAMILY_STRING, COMPARE_EQUAL, false, false, false },
    { "IpAddress", FAMILY_IP, COMPARE_EQUAL, false, false, false },
    { "NotIpAddress", FAMILY_IP, COMPARE_EQUAL, true, false, false },
    { "ArnEquals", FAMILY_ARN, COMPARE_EQUAL, false, false, true },
    { "ArnNotEquals", FAMILY_ARN, COMPARE_EQUAL, true, false, true },
    { "ArnLike", FAMILY_ARN, COMPARE_EQUAL, false, false, true },
    { "ArnNotLike", FAMILY_ARN, COMPARE_EQUAL, true, false, true },
    { "Null", FAMILY_NULL, COMPARE_EQUAL, false, false, false },
};

static int read_operator(struct parser *p, const char *text, struct policy_condition *ret)
{
    struct slice name = slice_str(text);

    if (slice_starts(name, SLICE("ForAllValues:"))) {
        ret->set = SET_ALL;
        name = slice_from(name, sizeof "ForAllValues:" - 1);
    } else if (slice_starts(name, SLICE("ForAnyValue:"))) {
        ret->set = SET_ANY;
        name = slice_from(name, sizeof "ForAnyValue:" - 1);
    }
    if (name.size > 8 && memcmp(name.data + name.size - 8, "IfExists", 8) == 0) {
        ret->if_exists = true;
        name.size -= 8;
    }
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (is(name, operators[i].name)) {
            if (operators[i].family == FAMILY_NULL && (ret->if_exists || ret->set))
                break;
            ret->op = &operators[i];
            return 0;
        }
    return malformed(p, "Policy has an invalid condition operator.");
}

/* Strings, numbers and truth values may be written as such or as strings. */
static int read_value(struct parser *p, const struct policy_operator *op, const json_t *value,
                      struct policy_value *ret)
{
    char         number[32];
    struct slice text = json_slice(value);
    bool         fits = true;

    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        text = slice_str(number);
    } else if (json_is_real(value)) {
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        text = slice_str(number);
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? SLICE("true") : SLICE("false");
    } else if (!json_is_string(value)) {
        return malformed(p, "A condition's value is not valid.");
    }
    switch (op->family) {
    case FAMILY_NUMBER: fits = s3_policy_number(text, &ret->number); break;
    case FAMILY_DATE: fits = s3_policy_date(text, &ret->number); break;
    case FAMILY_BOOL:
    case FAMILY_NULL: fits = xml_bool(text, &ret->yes); break;
    case FAMILY_IP: fits = s3_policy_ip(text, &ret->ip); break;
    default: return compile_string(p, text, op->wild, &ret->text);
    }
    return fits ? 0 : malformed(p, "A condition's value does not fit its operator.");
}

/* Keys of S3 that no request will ever have are mistakes, which in a Deny would fail open. */
static bool key_known(struct slice key)
{
    static const char *const names[] = {
        "authtype",
        "signatureage",
        "signatureversion",
        "tlsversion",
        "resourceaccount",
        "prefix",
        "delimiter",
        "max-keys",
        "versionid",
        "locationconstraint",
        "dataaccesspointaccount",
        "dataaccesspointarn",
        "if-match",
        "accesspointnetworkorigin",
        "accessgrantsinstancearn",
        "bucketnamespace",
        "requestobjecttagkeys",
        "if-none-match",
        "object-lock-legal-hold",
        "object-lock-mode",
        "object-lock-remaining-retention-days",
        "object-lock-retain-until-date",
        "existingjoboperation",
        "existingjobpriority",
        "inventoryaccessibleoptionalfields",
        "jobsuspendedcause",
        "requestjoboperation",
        "requestjobpriority",
        "objectcreationoperation",
    };
    const struct slice starts[] = { SLICE("x-amz-"), SLICE("existingobjecttag/"), SLICE("requestobjecttag/"),
                                    SLICE("buckettag/") };

    if (!slice_starts(key, SLICE("s3:")))
        return memchr(key.data, ':', key.size) != NULL;
    key = slice_from(key, 3);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is(key, names[i]))
            return true;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (slice_starts(key, starts[i]) && key.size > starts[i].size)
            return true;
    return false;
}

static int read_condition(struct parser *p, const char *op, const char *key, const json_t *values,
                          struct policy_condition *ret)
{
    int rc = read_operator(p, op, ret);

    if (rc)
        return rc;
    ret->key = lower_dup(p->arena, slice_str(key));
    if (!ret->key.data)
        return -ENOMEM;
    if (ret->key.size == 0 || !key_known(ret->key))
        return malformed(p, "Policy has an invalid condition key.");
    if (list_size(values) == 0)
        return malformed(p, "A condition has no values.");
    ret->values = arena_array(p->arena, struct policy_value, list_size(values));
    if (!ret->values)
        return -ENOMEM;
    for (size_t i = 0; rc == 0 && i < list_size(values); i++) {
        rc = read_value(p, ret->op, list_at(values, i), &ret->values[i]);
        ret->value_count++;
    }
    return rc;
}

static int read_conditions(struct parser *p, json_t *object, struct policy_statement *s)
{
    const char *op, *key;
    json_t     *keys, *values;
    size_t      count = 0;

    if (!json_is_object(object))
        return malformed(p, "The condition is not an object.");
    json_object_foreach(object, op, keys) {
        if (!json_is_object(keys))
            return malformed(p, "A condition is not an object.");
        count += json_object_size(keys);
    }
    if (count == 0)
        return 0;
    s->conditions = arena_array(p->arena, struct policy_condition, count);
    if (!s->conditions)
        return -ENOMEM;
    json_object_foreach(object, op, keys)
        json_object_foreach(keys, key, values) {
            int rc = read_condition(p, op, key, values, &s->conditions[s->condition_count]);
            if (rc)
                return rc;
            s->condition_count++;
        }
    return 0;
}

/* --- Statements. --- */

static bool fields_known(json_t *object, const char *const *names, size_t count)
{
    const char *name;
    json_t     *value;

    json_object_foreach(object, name, value) {
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known |= strcmp(name, names[i]) == 0;
        if (!known)
            return false;
    }
    return true;
}

/* Exactly one of two fields; NULL: none, or both. */
static json_t *one_of(json_t *object, const char *name, const char *not_name, bool *ret_not)
{
    json_t *value = json_object_get(object, name), *other = json_object_get(object, not_name);

    *ret_not = other != NULL;
    return value && other ? NULL : value ? value : other;
}

static int read_statement(struct parser *p, json_t *object, struct policy_statement *s)
{
    static const char *const names[] = { "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction",
                                         "Resource", "NotResource", "Condition" };
    json_t *sid, *effect, *principal, *action, *resource, *condition;
    bool    not_action;
    int     rc;

    if (!json_is_object(object) || !fields_known(object, names, sizeof names / sizeof *names))
        return malformed(p, "A statement is not valid: unknown field, or no object.");
    sid = json_object_get(object, "Sid");
    effect = json_object_get(object, "Effect");
    condition = json_object_get(object, "Condition");
    if (sid && !json_is_string(sid))
        return malformed(p, "A statement's Sid is not a string.");
    if (!json_is_string(effect) || (!is(json_slice(effect), "Allow") && !is(json_slice(effect), "Deny")))
        return malformed(p, "A statement's effect is neither Allow nor Deny.");
    s->allow = is(json_slice(effect), "Allow");
    principal = one_of(object, "Principal", "NotPrincipal", &s->not_principal);
    action = one_of(object, "Action", "NotAction", &not_action);
    resource = one_of(object, "Resource", "NotResource", &s->not_resource);
    if (!principal || !action || !resource)
        return malformed(p, "A statement needs one principal, action and resource element each.");
    if (s->not_principal && s->allow)
        return malformed(p, "Allow with NotPrincipal is not supported.");
    rc = read_principals(p, principal, s);
    if (rc == 0)
        rc = read_actions(p, action, not_action, s);
    if (rc == 0)
        rc = read_resources(p, resource, s);
    if (rc == 0 && condition)
        rc = read_conditions(p, condition, s);
    return rc;
}

static int read_policy(struct parser *p, json_t *root)
{
    static const char *const names[] = { "Version", "Id", "Statement" };
    json_t *version, *id, *list;
    size_t  count;
    int     rc = 0;

    if (!json_is_object(root) || !fields_known(root, names, sizeof names / sizeof *names))
        return malformed(p, "The policy is not valid: unknown field, or no object.");
    version = json_object_get(root, "Version");
    id = json_object_get(root, "Id");
    list = json_object_get(root, "Statement");
    if (version && !(json_is_string(version) &&
                     (is(json_slice(version), "2012-10-17") || is(json_slice(version), "2008-10-17"))))
        return malformed(p, "The policy must contain a valid version string.");
    if (id && !json_is_string(id))
        return malformed(p, "The policy's Id is not a string.");
    p->variables = version && is(json_slice(version), "2012-10-17");
    count = list ? list_size(list) : 0;
    if (count == 0)
        return malformed(p, "The policy has no statement.");
    p->policy->statements = arena_array(p->arena, struct policy_statement, count);
    if (!p->policy->statements)
        return -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = read_statement(p, (json_t *)(uintptr_t)list_at(list, i), &p->policy->statements[i]);
        p->policy->statement_count++;
    }
    return rc;
}

int s3_policy_parse(struct arena *arena, struct slice json, struct slice bucket, struct s3_policy **ret_policy,
                 struct error *err)
{
    struct parser p = { .arena = arena, .err = err, .bucket = bucket };
    json_error_t  where;
    json_t       *root;
    int           rc;

    if (json.size == 0)
        return malformed(&p, "The policy is empty.");
    if (json.size > S3_POLICY_BYTES_MAX)
        return malformed(&p, "The policy is larger than 20 KiB.");
    p.policy = arena_new(arena, struct s3_policy);
    if (!p.policy)
        return -ENOMEM;
    root = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return malformed(&p, "Policies must be valid JSON, beginning with '{', without repeated names.");
    rc = read_policy(&p, root);
    json_decref(root);
    if (rc == 0)
        *ret_policy = p.policy;
    return rc;
}
