/* storage/policy.c - names of storage policies. */
#include "storage/policy.h"

#include <stdio.h>
#include <string.h>

/* A decimal number without sign or leading zeros, 1..max, that ends at '*end'. */
static bool number(const char **at, unsigned max, unsigned *ret)
{
    const char *p = *at;
    unsigned    n = 0;

    if (*p < '1' || *p > '9')
        return false;
    while (*p >= '0' && *p <= '9') {
        n = n * 10 + (unsigned)(*p++ - '0');
        if (n > max)
            return false;
    }
    *at = p;
    *ret = n;
    return true;
}

int policy_parse(const char *name, uint16_t index, struct policy *ret_policy, struct error *err)
{
    struct policy p = { .index = index };
    const char   *at = name;
    unsigned      k = 1, m, copies;

    if (strncmp(name, "replicated-", 11) == 0) {
        at += 11;
        if (!number(&at, POLICY_FRAGMENTS_MAX, &copies) || *at)
            goto bad;
        m = copies - 1;
    } else if (strncmp(name, "ec-", 3) == 0) {
        at += 3;
        if (!number(&at, POLICY_FRAGMENTS_MAX - 1, &k) || *at++ != '-' ||
            !number(&at, POLICY_FRAGMENTS_MAX - k, &m) || *at)
            goto bad;
        p.erasure = true;
    } else {
        goto bad;
    }
    p.k = (uint8_t)k;
    p.m = (uint8_t)m;
    snprintf(p.name, sizeof p.name, "%s", name);
    *ret_policy = p;
    return 0;
bad:
    return error_set(err, -EINVAL, "storage policy \"%.40s\": expected replicated-R or ec-K-M, at most %d devices", name,
                     POLICY_FRAGMENTS_MAX);
}
