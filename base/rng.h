/* base/rng.h - a seeded pseudo-random source: PCG-XSH-RR 64/32 pairs (O'Neill, 2014).
 *
 * For decisions that must be repeatable: the simulator, tests, jitter. Never for
 * secrets or unique ids; those come from env_random(). Not thread-safe. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state, stream;
};

/* Sources with different streams are independent, also with the same seed. */
void     rng_init(struct rng *rng, uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *rng);
uint64_t rng_u64(struct rng *rng);
/* Uniform in [0, below); 0 when below is 0. */
uint64_t rng_below(struct rng *rng, uint64_t below);
/* Uniform in [low, high], both included; low <= high. */
uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high);
/* True 'numerator' times in 'denominator'. */
bool     rng_chance(struct rng *rng, uint64_t numerator, uint64_t denominator);
void     rng_fill(struct rng *rng, void *bytes, size_t size);
/* A source of its own, whose use does not disturb this one's sequence. */
struct rng rng_fork(struct rng *rng);

#endif
