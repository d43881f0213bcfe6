/* base/hlc.h - hybrid logical clock (Kulkarni et al., 2014): 48 bits of
 * milliseconds and 16 bits of counter in one u64 that never runs backwards on
 * a node. The wall clock is only a hint. One task scheduler's thread. */
#ifndef BASE_HLC_H
#define BASE_HLC_H

#include "base/env.h"

/* A value further ahead of the own wall clock than this is refused. */
#define HLC_AHEAD_MAX_MS 60000

struct hlc {
    struct env *env;
    uint64_t    last;
};

void     hlc_init(struct hlc *hlc, struct env *env);
uint64_t hlc_next(struct hlc *hlc);                          /* Greater than all before and all observed. */
int      hlc_observe(struct hlc *hlc, uint64_t seen);        /* -E_FENCED when it is too far ahead; not adopted then. */
static inline uint64_t hlc_ms(uint64_t value) { return value >> 16; }
static inline uint64_t hlc_of_ms(uint64_t ms) { return ms << 16; }

#endif
