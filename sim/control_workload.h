/* sim/control_workload.h - keys of the control store as registers: transactions,
 * reads and ranges from every node, while the store's node comes and goes. */
#ifndef SIM_CONTROL_WORKLOAD_H
#define SIM_CONTROL_WORKLOAD_H

#include "sim/scenario.h"

enum { CONTROL_NODE = 1 };   /* Where the embedded store is. */

/* Does nothing unless the cluster has a control store. On failure the node is broken. */
WAITS int  control_start(struct life *life, struct error *err);
WAITS void control_stop(struct life *life);

WAITS void control_step(struct run *run, struct life *life, uint32_t client);
WAITS int  control_verify(struct run *run, struct life *life, uint32_t key);

#endif
