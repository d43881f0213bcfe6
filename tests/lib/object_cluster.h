/* tests/lib/object_cluster.h - an object service with rows, blobs and background work on a row_cluster. */
#ifndef TESTS_LIB_OBJECT_CLUSTER_H
#define TESTS_LIB_OBJECT_CLUSTER_H

#include "proxy/object/service.h"
#include "storage/gc.h"
#include "tests/lib/row_cluster.h"

struct object_cluster {
    struct row_cluster    *rows;
    struct blob_client    *blobs;
    struct object_service *service;
    struct gc             *gc;
    struct policy          policies[2];   /* replicated-3 (default), ec-4-2 */
    struct arena           arena;         /* Of 64 MiB; emptied at the end. */
    int64_t                soon;          /* A deadline of a minute. */
};

/* Runs the test as a task on 6 devices. */
void object_cluster_run(void (*test)(struct object_cluster *f));

/* Rounds of background work, after everything is due. */
WAITS void object_cluster_collect(struct object_cluster *f, int rounds);
/* Blobs that are stored somewhere. */
WAITS uint32_t object_cluster_blobs(struct object_cluster *f);

/* Creates the container and opens it. */
WAITS struct container *object_cluster_container(struct object_cluster *f, const char *name,
                                                 enum versioning versioning);
/* As it is configured now. */
WAITS struct container *object_cluster_open(struct object_cluster *f, const char *name);

/* Bytes of a value: 'size' bytes that follow from the seed. */
void object_cluster_fill(uint64_t seed, uint64_t offset, uint8_t *to, size_t size);
/* Puts them; '*ret_meta' (in the arena) may be NULL. */
WAITS int object_cluster_put(struct object_cluster *f, struct container *c, const char *name, uint64_t seed,
                             uint64_t size, const struct object_condition *condition, Rs__ObjectMeta **ret_meta);
/* Reads a version ('version' NULL: the current one) and compares all of its bytes. Returns the code of the read. */
WAITS int object_cluster_check(struct object_cluster *f, struct container *c, const char *name,
                               const struct version_ref *version, uint64_t seed, uint64_t size);
/* The whole body of an object that was read. */
WAITS void object_cluster_compare(struct object_cluster *f, const struct object *object, uint64_t seed,
                                  uint64_t size);

#endif
