/* proxy/s3/policy.c - judging by a compiled policy; see policy.h. */
#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "proxy/s3/policy_private.h"
#include "proxy/s3/xml.h"

enum { NUMBER_BYTES_MAX = 40, RESOURCE_BYTES = 2048 };

/* --- Patterns and values. --- */

static uint8_t lower(uint8_t b)
{
    return b >= 'A' && b <= 'Z' ? b | 32 : b;
}

/* Only the last '*' is ever tried again, so the time is at most the product of the sizes. */
bool s3_policy_fits(const uint16_t *codes, size_t count, struct slice text, bool fold)
{
    size_t at = 0, i = 0, back_at = 0, back_i = 0;
    bool   back = false;

    while (at < text.size) {
        uint8_t b = text.data[at];
        if (i < count && codes[i] == CODE_RUN) {
            back = true;
            back_i = ++i;
            back_at = at;
        } else if (i < count && codes[i] == CODE_ONE) {
            i++;
            for (at++; at < text.size && (text.data[at] & 0xc0) == 0x80; at++)
                ;   /* One character, not one byte of it. */
        } else if (i < count &&
                   (codes[i] == b || (fold && codes[i] < 256 && lower((uint8_t)codes[i]) == lower(b)))) {
            i++;
            at++;
        } else if (back) {
            i = back_i;
            at = ++back_at;
        } else {
            return false;
        }
    }
    while (i < count && codes[i] == CODE_RUN)
        i++;
    return i == count;
}

bool s3_policy_number(struct slice text, double *ret)
{
    char  copy[NUMBER_BYTES_MAX + 1], *end;

    if (text.size == 0 || text.size > NUMBER_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t b = text.data[i];
        if (!(b >= '0' && b <= '9') && b != '.' && b != '-' && b != '+' && b != 'e' && b != 'E')
            return false;
        copy[i] = (char)b;
    }
    copy[text.size] = 0;
    double number = strtod(copy, &end);
    if (*end || end == copy || !isfinite(number))
        return false;
    *ret = number;
    return true;
}

bool s3_policy_date(struct slice text, double *ret_s)
{
    uint64_t us;

    if (text.size > 4 && text.data[4] == '-' && xml_time(text, &us)) {
        *ret_s = (double)us / 1e6;
        return true;
    }
    return s3_policy_number(text, ret_s);
}

bool s3_policy_ip(struct slice text, struct policy_ip *ret)
{
    static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    struct policy_ip     ip = { .bits = 128 };
    const uint8_t       *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    size_t               size = slash ? (size_t)(slash - text.data) : text.size;
    char                 copy[INET6_ADDRSTRLEN + 1];
    uint64_t             bits;

    if (size == 0 || size >= sizeof copy)
        return false;
    memcpy(copy, text.data, size);
    copy[size] = 0;
    bool v4 = inet_pton(AF_INET, copy, ip.address + 12) == 1;
    if (v4)
        memcpy(ip.address, v4_prefix, sizeof v4_prefix);
    else if (inet_pton(AF_INET6, copy, ip.address) != 1)
        return false;
    if (slash) {
        if (!xml_number(slice_from(text, size + 1), v4 ? 32 : 128, &bits))
            return false;
        ip.bits = (uint8_t)(bits + (v4 ? 96 : 0));
    }
    *ret = ip;
    return true;
}

static bool ip_within(const struct policy_ip *net, const struct policy_ip *ip)
{
    uint32_t whole = net->bits / 8, rest = net->bits % 8;

    if (memcmp(net->address, ip->address, whole) != 0)
        return false;
    return rest == 0 || ((net->address[whole] ^ ip->address[whole]) >> (8 - rest)) == 0;
}

/* --- One judgement. --- */

struct judge {
    const struct s3_policy         *policy;
    const struct policy_request *rq;
    struct arena                *arena;
    struct slice                 resource;   /* "bucket" or "bucket/key" */
    bool                         broken;     /* Memory or a limit: the verdict is DENY. */
};

static bool key_is(const struct policy_key *key, struct slice lower_name)
{
    return key->name.size == lower_name.size &&
           strncasecmp((const char *)key->name.data, (const char *)lower_name.data, lower_name.size) == 0;
}

/* The one value of a key; false when there is none, or several, which cannot stand in a string. */
static bool only_value(const struct policy_request *rq, struct slice name, struct slice *ret)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < rq->key_count; i++)
        if (key_is(&rq->keys[i], name)) {
            *ret = rq->keys[i].value;
            found++;
        }
    return found == 1;
}

static bool variable_value(const struct judge *j, uint16_t code, struct slice *ret)
{
    const struct policy_variable *v = &j->policy->variables[code - CODE_VARIABLE];

    if (only_value(j->rq, v->name, ret))
        return true;
    *ret = v->fallback;
    return v->has_fallback;
}

/* Fills in the variables. False: one has no value, so that nothing fits; or 'broken'. */
static bool expand(struct judge *j, const struct policy_string *in, struct policy_string *ret)
{
    uint16_t *codes;
    size_t    size = 0;
    uint32_t  count = 0;

    if (!in->variables) {
        *ret = *in;
        return true;
    }
    for (uint32_t i = 0; i < in->count; i++) {
        struct slice value = SLICE_NONE;
        if (in->codes[i] >= CODE_VARIABLE && !variable_value(j, in->codes[i], &value))
            return false;
        size += in->codes[i] < CODE_VARIABLE ? 1 : value.size;
    }
    codes = size <= S3_POLICY_EXPANDED_MAX ? arena_array(j->arena, uint16_t, size + 1) : NULL;
    if (!codes) {
        j->broken = true;
        return false;
    }
    for (uint32_t i = 0; i < in->count; i++) {
        struct slice value = SLICE_NONE;
        if (in->codes[i] < CODE_VARIABLE)
            codes[count++] = in->codes[i];
        else
            variable_value(j, in->codes[i], &value);
        for (size_t k = 0; k < value.size; k++)
            codes[count++] = value.data[k];
    }
    *ret = (struct policy_string) { codes, count, false };
    return true;
}

/* ARNs are compared part by part, so that a wildcard does not run over a colon of the first five. */
static bool arn_fits(const struct policy_string *pattern, struct slice text)
{
    const uint16_t *codes = pattern->codes;
    size_t          left = pattern->count;

    for (int part = 0; part < 5; part++) {
        size_t         size = 0;
        const uint8_t *colon = text.size ? memchr(text.data, ':', text.size) : NULL;
        while (size < left && codes[size] != ':')
            size++;
        if (size == left || !colon)
            return false;
        if (!s3_policy_fits(codes, size, slice_of(text.data, (size_t)(colon - text.data)), false))
            return false;
        codes += size + 1;
        left -= size + 1;
        text = slice_from(text, (size_t)(colon - text.data) + 1);
    }
    return s3_policy_fits(codes, left, text, false);
}

static bool compare(enum condition_compare how, double a, double b)
{
    switch (how) {
    case COMPARE_EQUAL: return a == b;
    case COMPARE_LESS: return a < b;
    case COMPARE_LESS_EQUAL: return a <= b;
    case COMPARE_GREATER: return a > b;
    default: return a >= b;
    }
}

/* Does this value of the request fit any of the condition's values? */
static bool value_fits(struct judge *j, const struct policy_condition *c, struct slice text)
{
    const struct policy_operator *op = c->op;
    struct policy_string          filled;
    struct policy_ip              ip;
    double                        number = 0;
    bool                          yes = false;

    if ((op->family == FAMILY_NUMBER && !s3_policy_number(text, &number)) ||
        (op->family == FAMILY_DATE && !s3_policy_date(text, &number)) ||
        (op->family == FAMILY_BOOL && !xml_bool(text, &yes)) ||
        (op->family == FAMILY_IP && !s3_policy_ip(text, &ip)))
        return false;
    for (uint32_t i = 0; i < c->value_count; i++) {
        const struct policy_value *v = &c->values[i];
        bool                       fits = false;
        switch (op->family) {
        case FAMILY_STRING:
            fits = expand(j, &v->text, &filled) && s3_policy_fits(filled.codes, filled.count, text, op->fold);
            break;
        case FAMILY_ARN: fits = expand(j, &v->text, &filled) && arn_fits(&filled, text); break;
        case FAMILY_IP: fits = ip_within(&v->ip, &ip); break;
        case FAMILY_BOOL: fits = v->yes == yes; break;
        default: fits = compare(op->compare, number, v->number); break;
        }
        if (fits)
            return true;
    }
    return false;
}

static bool null_holds(const struct policy_condition *c, bool present)
{
    for (uint32_t i = 0; i < c->value_count; i++)
        if (c->values[i].yes != present)
            return true;
    return false;
}

static bool condition_holds(struct judge *j, const struct policy_condition *c)
{
    bool negate = c->op->negate, any = false, all = true, present = false;

    for (uint32_t i = 0; i < j->rq->key_count; i++) {
        if (!key_is(&j->rq->keys[i], c->key))
            continue;
        present = true;
        if (c->op->family == FAMILY_NULL)
            break;
        bool holds = value_fits(j, c, j->rq->keys[i].value) != negate;
        any |= holds;
        all &= holds;
    }
    if (c->op->family == FAMILY_NULL)
        return null_holds(c, present);
    if (!present)
        return c->if_exists || c->set == SET_ALL || (c->set == SET_NONE && negate);
    /* Without a set operator, a key with several values fits if one does; "not" holds if it does for each. */
    return c->set == SET_ALL || (c->set == SET_NONE && negate) ? all : any;
}

static bool has_role(const struct policy_who *who, struct slice name)
{
    for (uint32_t i = 0; i < who->role_count; i++)
        if (slice_equal(who->roles[i], name))
            return true;
    return false;
}

static bool principal_is(const struct policy_principal *p, const struct policy_who *who)
{
    bool known = who->user_id.size > 0;

    switch (p->kind) {
    case PRINCIPAL_ANYBODY: return true;
    case PRINCIPAL_PROJECT: return known && slice_equal(p->project, who->project_id);
    case PRINCIPAL_ID:
        return known && (slice_equal(p->name, who->user_id) || slice_equal(p->name, who->project_id));
    case PRINCIPAL_USER:
        return known && slice_equal(p->project, who->project_id) &&
               (slice_equal(p->name, SLICE("*")) || slice_equal(p->name, who->user_name) ||
                slice_equal(p->name, who->user_id));
    case PRINCIPAL_ROLE: return known && slice_equal(p->project, who->project_id) && has_role(who, p->name);
    case PRINCIPAL_SERVICE: return who->service.size > 0 && slice_equal(p->name, who->service);
    default: return false;
    }
}

static bool statement_applies(struct judge *j, const struct policy_statement *s)
{
    bool found = false;

    if (!(s->actions[j->rq->action / 64] >> (j->rq->action % 64) & 1))
        return false;
    for (uint32_t i = 0; i < s->principal_count && !found; i++)
        found = principal_is(&s->principals[i], j->rq->who);
    if (found == s->not_principal)
        return false;
    found = false;
    for (uint32_t i = 0; i < s->resource_count && !found; i++) {
        struct policy_string filled;
        if (expand(j, &s->resources[i], &filled))
            found = s3_policy_fits(filled.codes, filled.count, j->resource, false);
        else if (s->not_resource && s->allow)
            return false;   /* "All but" something unknown gives nothing. */
    }
    if (found == s->not_resource)
        return false;
    for (uint32_t i = 0; i < s->condition_count; i++)
        if (!condition_holds(j, &s->conditions[i]))
            return false;
    return true;
}

enum policy_verdict s3_policy_judge(const struct s3_policy *policy, const struct policy_request *rq,
                                    struct arena *arena)
{
    struct judge        j = { .policy = policy, .rq = rq, .arena = arena, .resource = rq->bucket };
    enum policy_verdict verdict = POLICY_NONE;
    uint8_t             on_stack[RESOURCE_BYTES], *name = on_stack;

    if ((unsigned)rq->action >= S3_ACTION_COUNT)
        return POLICY_DENY;
    if (rq->object.size) {
        size_t size = rq->bucket.size + 1 + rq->object.size;
        if (size > sizeof on_stack && !(name = arena_alloc(arena, size)))
            return POLICY_DENY;
        memcpy(name, rq->bucket.data, rq->bucket.size);
        name[rq->bucket.size] = '/';
        memcpy(name + rq->bucket.size + 1, rq->object.data, rq->object.size);
        j.resource = slice_of(name, size);
    }
    for (uint32_t i = 0; i < policy->statement_count; i++) {
        const struct policy_statement *s = &policy->statements[i];
        if (s->allow && verdict == POLICY_ALLOW)
            continue;
        if (statement_applies(&j, s)) {
            if (!s->allow)
                return POLICY_DENY;
            verdict = POLICY_ALLOW;
        }
        if (j.broken)
            return POLICY_DENY;
    }
    return verdict;
}

bool s3_policy_looks_at(const struct s3_policy *policy, const char *prefix)
{
    size_t size = strlen(prefix);

    for (uint32_t i = 0; i < policy->variable_count; i++) {
        struct slice name = policy->variables[i].name;
        if (name.size >= size && strncasecmp((const char *)name.data, prefix, size) == 0)
            return true;
    }
    for (uint32_t i = 0; i < policy->statement_count; i++)
        for (uint32_t k = 0; k < policy->statements[i].condition_count; k++) {
            struct slice key = policy->statements[i].conditions[k].key;
            if (key.size >= size && strncasecmp((const char *)key.data, prefix, size) == 0)
                return true;
        }
    return false;
}

/* --- What is public. --- */

static bool literal(const struct policy_string *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->codes[i] >= CODE_RUN)
            return false;
    return true;
}

enum { PUBLIC_V4_BITS = 96 + 8, PUBLIC_V6_BITS = 32 };   /* Shorter prefixes are no limit to speak of. */

static bool ip_fixed(const struct policy_ip *ip)
{
    static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    bool                 v4 = memcmp(ip->address, v4_prefix, sizeof v4_prefix) == 0 && ip->bits >= 96;

    return ip->bits >= (v4 ? PUBLIC_V4_BITS : PUBLIC_V6_BITS);
}

/* Does the condition tie the statement to somebody in particular? */
static bool condition_fixes(const struct policy_condition *c)
{
    static const char *const keys[] = {
        "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount", "aws:userid",
        "aws:principalorgid", "aws:principalaccount", "aws:principalarn", "aws:username",
        "s3:x-amz-server-side-encryption-aws-kms-key-id", "s3:dataaccesspointaccount", "s3:dataaccesspointarn",
    };
    bool address = slice_equal(c->key, SLICE("aws:sourceip")), named = false;

    if (c->if_exists || c->op->negate || c->set == SET_ALL)
        return false;
    if (address && c->op->family == FAMILY_IP) {
        for (uint32_t i = 0; i < c->value_count; i++)
            if (!ip_fixed(&c->values[i].ip))
                return false;
        return true;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        named |= slice_equal(c->key, slice_str(keys[i]));
    if (!named || (c->op->family != FAMILY_STRING && c->op->family != FAMILY_ARN))
        return false;
    for (uint32_t i = 0; i < c->value_count; i++)
        if (!literal(&c->values[i].text))
            return false;
    return true;
}

bool s3_policy_is_public(const struct s3_policy *policy)
{
    for (uint32_t i = 0; i < policy->statement_count; i++) {
        const struct policy_statement *s = &policy->statements[i];
        bool                           fixed = !s->not_principal;
        if (!s->allow)
            continue;
        for (uint32_t k = 0; k < s->principal_count && fixed; k++)
            fixed = s->principals[k].kind != PRINCIPAL_ANYBODY;
        for (uint32_t k = 0; k < s->condition_count && !fixed; k++)
            fixed = condition_fixes(&s->conditions[k]);
        if (!fixed)
            return true;
    }
    return false;
}
