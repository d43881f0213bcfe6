/* storage/mutant.h - deliberately broken variants, to test the simulator itself.
 *
 * Built only with -DRINGSTACK_MUTANTS; otherwise every mutant() is constant
 * false and the compiler drops the code. `make sim-mutants` expects each to be
 * found. */
#ifndef STORAGE_MUTANT_H
#define STORAGE_MUTANT_H

#include <stdbool.h>

enum mutant {
    MUTANT_NONE,
    MUTANT_SKIP_WRITE_BACK,        /* A read answers without repairing the quorum. */
    MUTANT_ACK_BEFORE_SYNC,        /* A replica answers before its journal is durable. */
    MUTANT_RETRY_AFTER_TIMEOUT,    /* A write takes another ballot after silence. */
    MUTANT_PURGE_EARLY,            /* Tombstones go while a replica may lack them. */
    MUTANT_READ_ONE,               /* A read trusts one replica. */
    MUTANT_ORPHAN_EARLY,           /* Blobs that no row names go while their writer lives. */
    MUTANT_ARCHIVE_BLIND,          /* A version is archived though it was deleted meanwhile. */
    MUTANT_COMPLETE_AGAIN,         /* A decided completion is carried out over another object than was judged. */
    MUTANT_GROUP_EARLY,            /* Parts go with their upload's row though an object has them. */
    MUTANT_COUNT_
};

#ifdef RINGSTACK_MUTANTS
extern enum mutant mutant_now;
static inline bool mutant(enum mutant which) { return mutant_now == which; }
#else
static inline bool mutant(enum mutant which)
{
    (void)which;
    return false;
}
#endif

#endif
