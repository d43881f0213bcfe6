/* base/hlc.c - hybrid logical clock. */
#include "base/hlc.h"

static uint64_t wall_ms(struct hlc *hlc)
{
    int64_t wall = env_wall(hlc->env);

    return wall < 0 ? 0 : (uint64_t)(wall / NS_PER_MS);
}

void hlc_init(struct hlc *hlc, struct env *env)
{
    hlc->env = env;
    hlc->last = 0;
}

uint64_t hlc_next(struct hlc *hlc)
{
    uint64_t wall = hlc_of_ms(wall_ms(hlc));

    /* When the wall clock stands still or ran back, the counter goes on; past
     * 65535 in one millisecond it borrows from the future, which is harmless. */
    hlc->last = wall > hlc->last ? wall : hlc->last + 1;
    return hlc->last;
}

int hlc_observe(struct hlc *hlc, uint64_t seen)
{
    if (seen <= hlc->last)
        return 0;
    if (hlc_ms(seen) > wall_ms(hlc) + HLC_AHEAD_MAX_MS)
        return -E_FENCED;
    hlc->last = seen;
    return 0;
}
