/* proxy/s3/compiled.h - policies, CORS and lifecycle rules in the form that requests are judged by, kept by their
 * text, so that a request does not parse what the one before it parsed.
 *
 * The text is the key: a bucket that gets other rules has another key, so nothing is ever stale and nothing needs to
 * be told. Least recently used ones go first. For the tasks of one thread; what is returned is borrowed until the
 * next call, so it must not be held across one that waits. */
#ifndef PROXY_S3_COMPILED_H
#define PROXY_S3_COMPILED_H

#include "proxy/s3/cors.h"
#include "proxy/s3/lifecycle.h"
#include "proxy/s3/policy.h"

enum {
    COMPILED_COUNT_MAX = 1024,
    COMPILED_BYTES_MAX = 64 * 1024 * 1024,      /* Of all of them. */
    COMPILED_ONE_BYTES_MAX = XML_ARENA_BYTES    /* Of one; 1,000 lifecycle rules take 2 MiB. */
};

struct compiled;

struct compiled *compiled_new(void);                             /* NULL: memory is out. */
struct compiled *compiled_free(struct compiled *compiled);       /* Accepts NULL; returns NULL. */

/* What s3_policy_parse(), cors_parse() and lifecycle_parse() give, with their errors. */
int compiled_policy(struct compiled *compiled, struct slice document, struct slice bucket,
                    const struct s3_policy **ret, struct error *err);
int compiled_cors(struct compiled *compiled, struct slice document, const struct cors **ret, struct error *err);
int compiled_lifecycle(struct compiled *compiled, struct slice document, const struct lifecycle **ret,
                       struct error *err);

struct compiled_stats {
    uint64_t hits, misses, dropped;
    uint32_t count;
    size_t   bytes;
};
struct compiled_stats compiled_stats(const struct compiled *compiled);

#endif
