/* storage/policy.h - what a container's objects are stored as. */
#ifndef STORAGE_POLICY_H
#define STORAGE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
    POLICIES_MAX = 64,
    POLICY_NAME_MAX = 64,
    POLICY_FRAGMENTS_MAX = 32,
    REPLICA_CHUNK_BYTES = 1024 * 1024,   /* Of a replicated blob. */
    EC_UNIT_BYTES = 256 * 1024           /* Of one fragment in one segment; a segment is k units. */
};

struct policy {
    uint16_t index;                  /* Never reused: it is in rows. */
    char     name[POLICY_NAME_MAX];
    uint8_t  k, m;                   /* k data and m parity fragments; replicated-R is k = 1, m = R - 1. */
    bool     erasure;                /* False: copies. */
    bool     is_default, deprecated;
};

static inline uint8_t policy_fragments(const struct policy *p) { return (uint8_t)(p->k + p->m); }
/* Lost devices that it promises to survive: m of an erasure code, which is acknowledged when all its fragments are
 * durable; one less than a majority of R copies, since that majority is enough to acknowledge. */
static inline uint8_t policy_losses(const struct policy *p) { return p->erasure ? p->m : (uint8_t)((p->m + 1) / 2); }
/* Its containers' rows are on so many devices that a majority is left after that. */
static inline uint8_t policy_row_replicas(const struct policy *p) { return (uint8_t)(2 * policy_losses(p) + 1); }
static inline uint32_t policy_unit(const struct policy *p)
{
    return p->erasure ? EC_UNIT_BYTES : REPLICA_CHUNK_BYTES;
}

/* "replicated-R" or "ec-K-M", any K + M up to POLICY_FRAGMENTS_MAX. -EINVAL. */
int policy_parse(const char *name, uint16_t index, struct policy *ret_policy, struct error *err);

#endif
