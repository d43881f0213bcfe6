/* sim/linear.h - is a history linearizable?
 *
 * Wing and Gong's search with Lowe's memory of visited configurations, one key
 * after the other (registers are independent: Horn and Kroening's
 * P-compositionality). Pure. */
#ifndef SIM_LINEAR_H
#define SIM_LINEAR_H

#include "sim/history.h"

enum {
    LINEAR_OPS_MAX = 4096,           /* Of one key. */
    LINEAR_STEPS_MAX = 4 * 1000 * 1000
};

enum linear_verdict { LINEAR_YES, LINEAR_NO, LINEAR_UNDECIDED /* LINEAR_STEPS_MAX or LINEAR_OPS_MAX passed. */ };

struct linear_result {
    enum linear_verdict verdict;
    uint32_t            key;        /* The first bad one. */
    uint32_t            stuck;      /* Index in the history of an operation that no order explains. */
    uint64_t            steps;
};

void linear_check(const struct history *history, struct linear_result *ret_result);
/* Of one key alone. */
void linear_check_key(const struct history *history, uint32_t key, struct linear_result *ret_result);

#endif
