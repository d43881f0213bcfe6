/* sim/kv_sim.h - the index of a simulated device: storage/kv.h's contract at its
 * weakest. After a crash the content is that of a prefix of the batches, chosen
 * by chance, but never less than the last completed flush. */
#ifndef SIM_KV_SIM_H
#define SIM_KV_SIM_H

#include "storage/kv.h"

extern const struct kv_backend kv_sim;   /* Only with an env of sim/env_sim.h. */

#endif
