/* proxy/s3/policy_private.h - a compiled policy, shared by the file that makes it and the one that judges by it. */
#ifndef PROXY_S3_POLICY_PRIVATE_H
#define PROXY_S3_POLICY_PRIVATE_H

#include "proxy/s3/policy.h"

/* A string with wildcards and variables: one code a byte, or one of these. What a variable brings in is literal
 * bytes, so that a request cannot bring in a wildcard. */
enum { CODE_RUN = 256 /* '*' */, CODE_ONE = 257 /* '?' */, CODE_VARIABLE = 258 /* and up: an index is added. */ };

struct policy_string {
    const uint16_t *codes;
    uint32_t        count;
    bool            variables;
};

struct policy_variable {
    struct slice name;       /* Lower case. */
    struct slice fallback;
    bool         has_fallback;
};

enum principal_kind {
    PRINCIPAL_ANYBODY,
    PRINCIPAL_PROJECT,       /* 'project' */
    PRINCIPAL_ID,            /* 'name' is the id of a user or of a project. */
    PRINCIPAL_USER,          /* 'name' in 'project'; "*": all. */
    PRINCIPAL_ROLE,
    PRINCIPAL_SERVICE,       /* 'name' */
    PRINCIPAL_NOBODY         /* Something that this cloud does not have. */
};

struct policy_principal {
    enum principal_kind kind;
    struct slice        project, name;
};

enum condition_family {
    FAMILY_STRING,
    FAMILY_NUMBER,
    FAMILY_DATE,
    FAMILY_BOOL,
    FAMILY_IP,
    FAMILY_ARN,
    FAMILY_NULL
};
enum condition_compare { COMPARE_EQUAL, COMPARE_LESS, COMPARE_LESS_EQUAL, COMPARE_GREATER, COMPARE_GREATER_EQUAL };
enum condition_set { SET_NONE, SET_ALL, SET_ANY };

struct policy_ip {
    uint8_t address[16];     /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;            /* Of the prefix, 0 to 128. */
};

struct policy_value {
    struct policy_string text;     /* Strings, ARNs. */
    union {
        double           number;   /* Numbers; dates as seconds since 1970. */
        struct policy_ip ip;
        bool             yes;
    };
};

struct policy_operator {
    const char            *name;
    enum condition_family  family;
    enum condition_compare compare;
    bool                   negate, fold, wild;
};

struct policy_condition {
    const struct policy_operator *op;
    enum condition_set   set;
    bool                 if_exists;
    struct slice         key;      /* Lower case. */
    struct policy_value *values;
    uint32_t             value_count;
};

enum { ACTION_WORDS = (S3_ACTION_COUNT + 63) / 64 };

struct policy_statement {
    bool                     allow, not_principal, not_resource;
    uint64_t                 actions[ACTION_WORDS];
    struct policy_principal *principals;
    uint32_t                 principal_count;
    struct policy_string    *resources;   /* "bucket", "bucket/key": what follows "arn:aws:s3:::". */
    uint32_t                 resource_count;
    struct policy_condition *conditions;
    uint32_t                 condition_count;
};

struct s3_policy {
    struct policy_statement *statements;
    uint32_t                 statement_count;
    struct policy_variable  *variables;
    uint32_t                 variable_count;
};

/* Does the text fit, as a whole? */
bool s3_policy_fits(const uint16_t *codes, size_t count, struct slice text, bool fold);
bool s3_policy_number(struct slice text, double *ret);
bool s3_policy_date(struct slice text, double *ret_s);       /* ISO 8601, or seconds since 1970. */
bool s3_policy_ip(struct slice text, struct policy_ip *ret);   /* With or without "/bits". */

#endif
