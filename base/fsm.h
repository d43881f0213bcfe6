/* base/fsm.h - legal moves in a table, checked and traced. */
#ifndef BASE_FSM_H
#define BASE_FSM_H

#include <stdint.h>

#define FSM_TO(state) (UINT64_C(1) << (state))

struct fsm_state {
    const char *name;
    uint64_t    to;   /* States that may follow; 0: final. */
};
struct fsm {
    const struct fsm_state *states;
    int                     now;
};

void        fsm_init(struct fsm *fsm, const struct fsm_state *states, int first);
int         fsm_move(struct fsm *fsm, int to);   /* Asserts that the move is legal; returns 'to'. */
const char *fsm_name(const struct fsm *fsm);

#endif
