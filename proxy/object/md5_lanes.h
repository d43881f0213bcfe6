/* proxy/object/md5_lanes.h - MD5 of several streams at once, one stream a vector lane.
 *
 * MD5 has no parallelism within a stream: 0.77 GB/s a core here, more than half
 * of the CPU of a large PUT. Eight streams side by side in vector registers
 * take hardly longer than one. Pieces of streams that are hashed at the same
 * time gather in a queue; whoever finds a free worker takes up to MD5_LANES of
 * them along. Without AVX2 each is hashed by itself. */
#ifndef PROXY_OBJECT_MD5_LANES_H
#define PROXY_OBJECT_MD5_LANES_H

#include "base/env.h"

enum {
    MD5_LANES = 8,
    MD5_BLOCK = 64,
    MD5_WORKERS = 2   /* Batches at once: more of them would each be emptier. */
};

struct md5_job {
    uint32_t       *state;    /* Four words; advanced. */
    const uint8_t  *data;
    size_t          blocks;   /* Of MD5_BLOCK bytes. */
    struct md5_job *next;
    struct task    *owner;
    bool            queued, done;
    int             rc;
};

struct md5_lanes {
    struct env     *env;
    struct md5_job *first, *last;   /* Waiting. */
    uint32_t        running;
};

void md5_lanes_init(struct md5_lanes *lanes, struct env *env);
/* Advances state[4] over 'blocks' blocks on a worker, perhaps with others' pieces. Not cut short by cancellation:
 * the memory is lent. -E_OVERLOAD, -ECANCELED (the node is dead): the state is unchanged or void. */
WAITS int md5_lanes_run(struct md5_lanes *lanes, uint32_t state[4], const uint8_t *data, size_t blocks);

/* The kernel: advances all jobs to their ends. Any thread. */
void md5_lanes_compute(struct md5_job *const *jobs, uint32_t count);

#endif
