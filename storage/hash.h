/* storage/hash.h - XXH3-64 by the widest instructions that this machine has.
 *
 * The results are the same everywhere; the plain functions of the distribution's
 * library use SSE2 only. */
#ifndef STORAGE_HASH_H
#define STORAGE_HASH_H

#define XXH_STATIC_LINKING_ONLY   /* For states on the stack. */
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

#endif
