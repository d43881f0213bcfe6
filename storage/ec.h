/* storage/ec.h - Reed-Solomon codes with Cauchy matrices, by ISA-L.
 *
 * All functions are pure and thread-safe; they run on worker threads (WORK_CPU).
 * ISA-L's plain Vandermonde matrix is singular for some erasures past four
 * parities; the Cauchy matrix never is, and ec_check() proves it for the codes
 * in use. Work is done in slices that fit the second-level cache. */
#ifndef STORAGE_EC_H
#define STORAGE_EC_H

#include <stdint.h>

#include "base/error.h"
#include "storage/policy.h"

enum {
    EC_SLICE_BYTES = 16 * 1024,     /* Of each fragment at a time. */
    EC_CHECK_MAX = 10000            /* More erasure patterns than that are sampled. */
};

/* A prepared code: about 32 bytes for each k * m. Immutable. */
struct ec;
int        ec_new(unsigned k, unsigned m, struct ec **ret_ec);   /* -EINVAL, -ENOMEM. */
struct ec *ec_free(struct ec *ec);

/* parity[0..m) from data[0..k), each 'size' bytes, any alignment. */
void ec_encode(const struct ec *ec, uint8_t *const *data, uint8_t *const *parity, size_t size);

/* fragment[0..k+m): those whose bit in 'have' is set hold 'size' bytes. Computes those in
 * 'want' (disjoint from 'have'); the others may be NULL. -E_UNAVAILABLE: fewer than k in 'have'. */
int ec_rebuild(const struct ec *ec, uint8_t *const *fragment, uint32_t have, uint32_t want, size_t size);

/* Inverts the matrix of every pattern of m erasures (or EC_CHECK_MAX of them) and decodes
 * with it. -E_CORRUPT: this code, or this build of ISA-L, is not to be used. */
int ec_check(unsigned k, unsigned m, struct error *err);

#endif
