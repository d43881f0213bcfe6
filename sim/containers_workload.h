/* sim/containers_workload.h - the life of containers: made, filled, emptied and
 * deleted by everybody at once. Each holds one small object; container and object
 * together are judged as one register (HISTORY_MAKE and following). */
#ifndef SIM_CONTAINERS_WORKLOAD_H
#define SIM_CONTAINERS_WORKLOAD_H

#include "sim/scenario.h"

WAITS int  containers_prepare(struct run *run, struct life *life);
WAITS void containers_step(struct run *run, struct life *life, uint32_t client);
WAITS int  containers_verify(struct run *run, struct life *life, uint32_t key);

#endif
