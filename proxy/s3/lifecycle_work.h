/* proxy/s3/lifecycle_work.h - the task that does what lifecycle rules say.
 *
 * Every process with the proxy role runs one. Each LIFECYCLE_PASSES-th of a day it goes through the index of buckets
 * that have rules (lifecycle_index.h); a bucket is one worker's at a time, by a lease. In a bucket it goes through
 * all versions and uploads and removes what is due; a transition changes the storage class that a version shows. Nothing is kept between passes: whatever was interrupted is
 * found again by the next one, and every removal names the very version, or is conditional on what was judged.
 * What object lock holds stays. The pace is limited, so that clients hardly notice. */
#ifndef PROXY_S3_LIFECYCLE_WORK_H
#define PROXY_S3_LIFECYCLE_WORK_H

#include "proxy/object/object.h"
#include "proxy/s3/lifecycle.h"

enum {
    LIFECYCLE_PASSES = 24,               /* A day. */
    LIFECYCLE_PASS_S_MIN = 1,
    LIFECYCLE_ACTIONS_PER_S = 500,       /* Removals; reading a page counts as LIFECYCLE_PAGE_COST of them. */
    LIFECYCLE_PAGE_COST = 5,
    LIFECYCLE_PAGE_ITEMS = 500
};

struct lifecycle_options {
    struct object_service *objects;
    uint32_t               day_s;        /* Length of a "day"; 0: LIFECYCLE_DAY_S. Tests shorten it. */
};
/* Spawns the task into the env's group; it ends when that is cancelled. -ENOMEM, -E_OVERLOAD. */
int lifecycle_start(const struct lifecycle_options *options, struct error *err);

/* One pass over the buckets of the index, now. For tests and the simulator. 'holder' is unique to the caller. */
WAITS int lifecycle_pass(const struct lifecycle_options *options, uint64_t holder, struct error *err);

#endif
