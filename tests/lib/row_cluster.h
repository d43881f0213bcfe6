/* tests/lib/row_cluster.h - devices, a ring and a row client in one process, on
 * a temporary directory. */
#ifndef TESTS_LIB_ROW_CLUSTER_H
#define TESTS_LIB_ROW_CLUSTER_H

#include "base/env_kernel.h"
#include "storage/device.h"
#include "storage/row.h"
#include "storage/row_store.h"

enum { CLUSTER_DEVICES_MAX = 8 };

extern uint64_t row_cluster_journal_bytes;   /* A segment; small, so that tests meet its end. Benches raise it. */

struct row_cluster {
    struct env             *env;
    struct hlc              hlc;
    struct rpc             *rpc;
    struct storage_service *service;
    uint32_t                devices;
    struct device          *device[CLUSTER_DEVICES_MAX];
    struct ring            *ring;
    struct row_client      *client;
    struct shard            shard;          /* One that tests may use. */
    char                    root[64];
};

/* Runs fn(cluster, arg) as a task on a cluster of that many devices and replicas. Fails the test
 * program when it can't. */
void row_cluster_run(uint32_t devices, uint32_t replicas, void (*fn)(struct row_cluster *c, void *arg), void *arg);

/* The device that holds replica 'slot' of the cluster's shard. */
struct device *row_cluster_holder(struct row_cluster *c, uint32_t slot);
/* Out of service (requests answer -ENODEV) and back. */
void row_cluster_down(struct device *device);
void row_cluster_up(struct device *device);
/* Closes the device's rows and opens them again: what was only in memory is gone. */
WAITS void row_cluster_reopen(struct device *device);

int64_t row_cluster_soon(struct row_cluster *c);   /* A deadline of 5 s. */

#endif
