/* sim/objects_workload.h - objects of edge sizes in both policies, through the
 * real object service; judged as registers. */
#ifndef SIM_OBJECTS_WORKLOAD_H
#define SIM_OBJECTS_WORKLOAD_H

#include "sim/scenario.h"

WAITS int  objects_prepare(struct run *run, struct life *life);
WAITS void objects_step(struct run *run, struct life *life, uint32_t client);
WAITS int  objects_verify(struct run *run, struct life *life, uint32_t key);
void       objects_free(struct run *run);

/* Blobs on devices in service that no key names. */
WAITS int objects_orphans(struct run *run, struct life *life);

#endif
