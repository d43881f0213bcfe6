/* proxy/s3/lifecycle_index.h - which buckets have lifecycle rules, so that nobody has to look at all of them.
 *
 * The index is a container of an account that no project can have: one object for each bucket, named
 * account "/" bucket. It is written before the rules are, so that rules without an entry cannot be; an entry
 * without rules is harmless, and the worker removes it when it is older than LIFECYCLE_INDEX_GRACE_S.
 *
 * An entry also carries the lease of the worker that is at the bucket, and when it was last done. Tasks, with absolute
 * deadlines; errors are those of proxy/object/object.h. */
#ifndef PROXY_S3_LIFECYCLE_INDEX_H
#define PROXY_S3_LIFECYCLE_INDEX_H

#include "proxy/object/object.h"

enum {
    LIFECYCLE_INDEX_GRACE_S = 3600,   /* A request that writes rules is over long before. */
    LIFECYCLE_LEASE_S = 120           /* Renewed with each page of a bucket. */
};

/* Notes that the bucket (is about to) have rules. Idempotent. */
WAITS int lifecycle_index_add(struct object_service *service, struct slice account, struct slice bucket,
                              int64_t deadline, struct arena *arena, struct error *err);

struct lifecycle_entry {
    struct slice name;             /* In the arena. */
    struct slice account, bucket;  /* Inside 'name'. */
    uint64_t     noted_us;         /* When it was last added. */
    char         etag[33];         /* Of that addition. */
    uint64_t     done_us;          /* When it was last done with; 0: never. */
};
/* Entries after 'after' in the order of their names, at most 'limit'. */
WAITS int lifecycle_index_list(struct object_service *service, struct slice after, uint32_t limit, int64_t deadline,
                               struct arena *arena, struct lifecycle_entry **ret_entries, uint32_t *ret_count,
                               bool *ret_more, struct error *err);

/* Takes or renews the lease for 'holder', which is unique to a worker. -E_CONFLICT: another one has it, or the bucket
 * was done less than 'interval_us' ago (0: not asked). -ENOENT: no such entry. */
WAITS int lifecycle_lease_take(struct object_service *service, struct slice name, uint64_t holder, uint64_t now_us,
                               uint64_t interval_us, int64_t deadline, struct arena *arena, struct error *err);
/* Gives it back; 'done': the bucket was looked through to its end. -E_CONFLICT: it was not held any more. */
WAITS int lifecycle_lease_give(struct object_service *service, struct slice name, uint64_t holder, uint64_t now_us,
                               bool done, int64_t deadline, struct arena *arena, struct error *err);

/* Removes an entry if nobody added it again since it was listed. -E_CONDITION: somebody did. */
WAITS int lifecycle_index_drop(struct object_service *service, const struct lifecycle_entry *entry, int64_t deadline,
                               struct arena *arena, struct error *err);

#endif
