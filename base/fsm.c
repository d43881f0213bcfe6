/* base/fsm.c - legal moves in a table, checked and traced. */
#include "base/fsm.h"

#include <assert.h>

#include "base/log.h"

void fsm_init(struct fsm *fsm, const struct fsm_state *states, int first)
{
    assert(first >= 0 && first < 64);
    fsm->states = states;
    fsm->now = first;
}

int fsm_move(struct fsm *fsm, int to)
{
    assert(to >= 0 && to < 64);
    assert(fsm->states[fsm->now].to & FSM_TO(to));
    log_debug("fsm.move", "from=%s to=%s", fsm->states[fsm->now].name, fsm->states[to].name);
    fsm->now = to;
    return to;
}

const char *fsm_name(const struct fsm *fsm)
{
    return fsm->states[fsm->now].name;
}
