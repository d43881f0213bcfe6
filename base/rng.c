/* base/rng.c - PCG-XSH-RR 64/32, from the paper's description of the generator. */
#include "base/rng.h"

#include <assert.h>
#include <string.h>

#define PCG_MULTIPLIER UINT64_C(6364136223846793005)

void rng_init(struct rng *rng, uint64_t seed, uint64_t stream)
{
    rng->state = 0;
    rng->stream = stream << 1 | 1;   /* The increment must be odd for the full period. */
    rng_u32(rng);
    rng->state += seed;
    rng_u32(rng);
}

uint32_t rng_u32(struct rng *rng)
{
    uint64_t old = rng->state;
    uint32_t mixed, turn;

    rng->state = old * PCG_MULTIPLIER + rng->stream;
    mixed = (uint32_t)(((old >> 18) ^ old) >> 27);
    turn = (uint32_t)(old >> 59);
    return mixed >> turn | mixed << (-turn & 31);
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t high = rng_u32(rng);

    return high << 32 | rng_u32(rng);
}

uint64_t rng_below(struct rng *rng, uint64_t below)
{
    uint64_t reject, v;

    if (below <= 1)
        return 0;
    /* Values under 2^64 mod 'below' would favour the small results. */
    reject = -below % below;
    do
        v = rng_u64(rng);
    while (v < reject);
    return v % below;
}

uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high)
{
    assert(low <= high);
    if (high - low == UINT64_MAX)
        return rng_u64(rng);
    return low + rng_below(rng, high - low + 1);
}

bool rng_chance(struct rng *rng, uint64_t numerator, uint64_t denominator)
{
    return rng_below(rng, denominator) < numerator;
}

void rng_fill(struct rng *rng, void *bytes, size_t size)
{
    uint8_t *to = bytes;

    while (size > 0) {
        uint32_t v = rng_u32(rng);
        size_t   n = size < sizeof v ? size : sizeof v;

        memcpy(to, &v, n);
        to += n;
        size -= n;
    }
}

struct rng rng_fork(struct rng *rng)
{
    struct rng child;
    uint64_t   seed = rng_u64(rng);

    rng_init(&child, seed, rng_u64(rng));
    return child;
}
