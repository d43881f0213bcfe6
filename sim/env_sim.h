/* sim/env_sim.h - one life of a simulated node: struct env on virtual time and a
 * disk model.
 *
 * The disk outlives the env: a node that is killed gets a new env on the same
 * disk. After env_sim_kill() every call fails with -ECANCELED and does nothing
 * outside; free the env when its group is empty. */
#ifndef SIM_ENV_SIM_H
#define SIM_ENV_SIM_H

#include "sim/disk.h"
#include "sim/sim.h"

/* What may go wrong with the disk of a node, per million operations, and how slow it is. */
struct disk_faults {
    uint32_t sync_fails_ppm;    /* A sync fails, see inode_sync_failed(). */
    uint32_t slow_ppm;          /* An operation takes up to slow_ms_max. */
    uint32_t slow_ms_max;
};

struct env_sim {
    struct env          env;       /* First. */
    struct sim         *sim;
    struct disk        *disk;
    struct disk_faults  faults;
    struct rng          rng;       /* env_random(). */
    int64_t             born;      /* Virtual time; the node's own monotonic clock starts anywhere. */
    int64_t             wall_ahead;   /* Wall clock minus true time, ns; may be changed at any time (a jump). */
    int64_t             drift_ppm;    /* And it runs too fast by this. */
};

/* The group is &env->env.group. */
void env_sim_init(struct env_sim *env, struct sim *sim, struct disk *disk, uint32_t node_id);
/* The process ends now; with 'power_cut' the disk forgets what was not synced. */
void env_sim_kill(struct env_sim *env, bool power_cut);
static inline struct env_sim *env_sim_of(struct env *env) { return (struct env_sim *)env; }

#endif
