/* proxy/s3/cors.h - cross-origin rules of a bucket: read, written, matched.
 *
 * S3 user guide, "CORS configuration"; the Fetch standard, "CORS protocol". Pure. */
#ifndef PROXY_S3_CORS_H
#define PROXY_S3_CORS_H

#include "proxy/s3/xml.h"

enum { CORS_RULES_MAX = 100, CORS_ID_MAX = 255, CORS_BYTES_MAX = 64 * 1024, CORS_AGE_MAX_S = 0x7fffffff };

struct cors_list {
    struct slice *items;
    uint32_t      count;
};

struct cors_rule {
    struct slice     id;               /* May be empty. */
    struct cors_list methods;          /* GET PUT POST DELETE HEAD */
    struct cors_list origins;          /* One '*' each at most. */
    struct cors_list headers;          /* Allowed in requests; one '*' each at most; any case. */
    struct cors_list expose;           /* Shown to scripts. */
    bool             has_max_age;
    uint32_t         max_age_s;
};

struct cors {
    struct cors_rule *rules;
    uint32_t          rule_count;
};

/* A CORSConfiguration. S3_MALFORMED_XML; S3_INVALID_REQUEST: a method, wildcard or count that is not allowed. -ENOMEM. */
int  cors_parse(struct arena *arena, struct slice document, struct cors **ret_cors, struct error *err);
void cors_write(struct text *t, const struct cors *cors);

/* The first rule that allows it, or NULL. 'method': of a preflight, Access-Control-Request-Method; S3 uses that
 * header for other requests too when it is there. 'headers': Access-Control-Request-Headers, or empty. */
const struct cors_rule *cors_match(const struct cors *cors, struct slice origin, struct slice method,
                                   struct slice headers);

/* What is answered under a rule; empty: leave the header out. Beside these, answers carry "Vary: Origin,
 * Access-Control-Request-Headers, Access-Control-Request-Method". */
struct cors_answer {
    struct slice allow_origin;
    struct slice allow_methods;        /* "GET, PUT" */
    struct slice allow_headers;        /* Of a preflight that asked for some. */
    struct slice expose_headers;
    bool         credentials;          /* Access-Control-Allow-Credentials: true */
    bool         has_max_age;          /* Of a preflight. */
    uint32_t     max_age_s;
};
int cors_answer(struct arena *arena, const struct cors_rule *rule, struct slice origin, struct slice headers,
                struct cors_answer *ret);   /* -ENOMEM */

#endif
