/* sim/rows.h - the registers workload, straight on the row client. */
#ifndef SIM_ROWS_H
#define SIM_ROWS_H

#include "sim/scenario.h"

WAITS void rows_step(struct run *run, struct life *life, uint32_t client);
WAITS int  rows_verify(struct run *run, struct life *life, uint32_t key);

#endif
