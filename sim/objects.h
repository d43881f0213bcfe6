/* sim/objects.h - blobs and the object service in a simulated node. */
#ifndef SIM_OBJECTS_H
#define SIM_OBJECTS_H

#include "sim/cluster.h"

void       objects_start(struct life *life);   /* Does nothing unless the cluster has objects. */
WAITS void objects_stop(struct life *life);

#endif
