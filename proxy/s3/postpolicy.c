/* proxy/s3/postpolicy.c - the policy document of a POST form.
 *
 * {"expiration": "2030-01-01T00:00:00Z", "conditions": [{"acl": "private"}, ["eq", "$key", "a"],
 *  ["starts-with", "$key", "a"], ["content-length-range", 1, 10]]}. Names of fields and operators in any case. Every
 * field of the form must be named by a condition, but those that carry the policy and its signature, x-ignore-*, and
 * checksums of the file, which can only make an upload fail. */
#include <strings.h>

#include <jansson.h>

#include "proxy/s3/postform.h"

enum { POLICY_DEPTH_MAX = 8 };

static struct slice text_of(const json_t *string)
{
    return slice_of(json_string_value(string), json_string_length(string));
}

static bool same_name(struct slice a, struct slice b)
{
    return a.size == b.size && strncasecmp((const char *)a.data, (const char *)b.data, a.size) == 0;
}

static bool starts_with(struct slice text, struct slice prefix)
{
    return text.size >= prefix.size && same_name(slice_of(text.data, prefix.size), prefix);
}

struct check {
    struct s3_form *form;
    struct slice    bucket;
    bool            covered[S3_FORM_FIELDS_MAX];
    bool            bucket_covered;
    uint32_t        count;
};

static int invalid(struct error *err, const char *why)
{
    return error_set(err, S3_INVALID_POLICY_DOCUMENT, "Invalid Policy: %s.", why);
}

static int failed(struct error *err, struct slice name)
{
    name.size = name.size < 100 ? name.size : 100;
    return error_set(err, S3_ACCESS_DENIED, "Invalid according to Policy: Policy Condition failed: \"$%.*s\"",
                     SLICE_ARG(name));
}

/* What the condition is about: a field that is not sent is empty. */
static struct slice value_of(struct check *check, struct slice name)
{
    struct slice value = SLICE_NONE;

    if (same_name(name, SLICE("bucket"))) {
        check->bucket_covered = true;
        value = check->bucket;
    } else if (same_name(name, SLICE("key"))) {
        value = check->form->key;
    }
    for (uint32_t i = 0; i < check->form->field_count; i++) {
        if (!same_name(check->form->fields[i].name, name))
            continue;
        check->covered[i] = true;
        if (!value.data)
            value = check->form->fields[i].value;
    }
    return value;
}

static int check_equal(struct check *check, struct slice name, const json_t *wanted, struct error *err)
{
    if (!json_is_string(wanted))
        return invalid(err, "a condition's value is no string");
    return slice_equal(value_of(check, name), text_of(wanted)) ? 0 : failed(err, name);
}

static bool whole_number(const json_t *value, uint64_t *ret)
{
    uint64_t     number = 0;
    struct slice text;

    if (json_is_integer(value)) {
        if (json_integer_value(value) < 0)
            return false;
        *ret = (uint64_t)json_integer_value(value);
        return true;
    }
    if (!json_is_string(value))
        return false;
    text = text_of(value);
    if (text.size == 0 || text.size > 15)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret = number;
    return true;
}

static int check_range(struct check *check, const json_t *low, const json_t *high, struct error *err)
{
    uint64_t min, max;

    if (!whole_number(low, &min) || !whole_number(high, &max) || min > max)
        return invalid(err, "content-length-range takes two sizes");
    if (min > check->form->size_min)
        check->form->size_min = min;
    if (max < check->form->size_max)
        check->form->size_max = max;
    return 0;
}

static int check_array(struct check *check, const json_t *condition, struct error *err)
{
    const json_t *first = json_array_get(condition, 0), *second = json_array_get(condition, 1);
    const json_t *third = json_array_get(condition, 2);
    struct slice  operator, name, value;

    if (json_array_size(condition) != 3 || !json_is_string(first))
        return invalid(err, "a condition is an object or an array of three");
    operator = text_of(first);
    if (same_name(operator, SLICE("content-length-range")))
        return check_range(check, second, third, err);
    if (!json_is_string(second) || json_string_length(second) < 2 || json_string_value(second)[0] != '$' ||
        !json_is_string(third))
        return invalid(err, "a condition needs an operator, \"$field\" and a value");
    name = slice_from(text_of(second), 1);
    if (same_name(operator, SLICE("eq")))
        return check_equal(check, name, third, err);
    if (!same_name(operator, SLICE("starts-with")))
        return invalid(err, "a condition's operator is not known");
    value = value_of(check, name);
    return slice_starts(value, text_of(third)) ? 0 : failed(err, name);
}

static int check_condition(struct check *check, json_t *condition, struct error *err)
{
    const char *name;
    json_t     *value;

    if (++check->count > S3_POLICY_CONDITIONS_MAX)
        return invalid(err, "there are too many conditions");
    if (json_is_array(condition))
        return check_array(check, condition, err);
    if (!json_is_object(condition) || json_object_size(condition) != 1)
        return invalid(err, "a condition is an object with one field, or an array of three");
    json_object_foreach(condition, name, value)
        return check_equal(check, slice_str(name), value, err);
    return 0;
}

static bool exempt(struct slice name)
{
    static const char *const names[] = { "policy", "signature", "x-amz-signature", "awsaccesskeyid", "file" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (same_name(name, slice_str(names[i])))
            return true;
    return starts_with(name, SLICE("x-ignore-")) || starts_with(name, SLICE("x-amz-checksum-"));
}

static int check_document(struct check *check, const json_t *document, int64_t now_s, struct error *err)
{
    const json_t *expiration = json_object_get(document, "expiration");
    const json_t *conditions = json_object_get(document, "conditions");
    int64_t       until;
    int           rc;

    if (!json_is_object(document) || !json_is_string(expiration) || !json_is_array(conditions))
        return invalid(err, "it needs \"expiration\" and a list of \"conditions\"");
    if (json_string_value(expiration)[0] < '0' || json_string_value(expiration)[0] > '9' ||
        !s3_time_parse(text_of(expiration), &until))
        return invalid(err, "the expiration is no ISO 8601 time in UTC");
    if (now_s > until)
        return error_set(err, S3_ACCESS_DENIED, "Invalid according to Policy: Policy expired.");
    for (size_t i = 0; i < json_array_size(conditions); i++) {
        rc = check_condition(check, json_array_get(conditions, i), err);
        if (rc)
            return rc;
    }
    if (!check->bucket_covered)
        return failed(err, SLICE("bucket"));
    for (uint32_t i = 0; i < check->form->field_count; i++) {
        struct slice name = check->form->fields[i].name;
        if (check->covered[i] || exempt(name))
            continue;
        name.size = name.size < 100 ? name.size : 100;
        return error_set(err, S3_ACCESS_DENIED, "Invalid according to Policy: Extra input fields: %.*s",
                         SLICE_ARG(name));
    }
    return 0;
}

/* jansson parses nesting by recursion, on a task's small stack. */
static bool depth_ok(struct slice json)
{
    bool quoted = false;
    int  depth = 0;

    for (size_t i = 0; i < json.size; i++) {
        uint8_t c = json.data[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if ((c == '[' || c == '{') && ++depth > POLICY_DEPTH_MAX) {
            return false;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

int s3_form_policy(struct s3_form *form, struct slice json, struct slice bucket, int64_t now_s, struct error *err)
{
    struct check check = { .form = form, .bucket = bucket };
    json_error_t why;
    json_t      *document;
    int          rc;

    if (!depth_ok(json))
        return invalid(err, "it is nested too deeply");
    document = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &why);
    if (!document)
        return invalid(err, "it is no JSON document");
    rc = check_document(&check, document, now_s, err);
    json_decref(document);
    return rc;
}
