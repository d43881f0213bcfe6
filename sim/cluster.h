/* sim/cluster.h - a whole cluster of the real code in one process.
 *
 * Each node has a disk with one device and lives again and again: a life is an
 * env, an rpc, a storage service, clients of rows and blobs, and (when asked
 * for) an object service. Killing a node ends its life in the middle of
 * everything; starting it opens the device anew. Called from outside of tasks,
 * between runs of the world, unless said otherwise. */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "base/hlc.h"
#include "ring/builder.h"
#include "sim/env_sim.h"
#include "sim/history.h"
#include "sim/net_sim.h"
#include "storage/blob.h"
#include "storage/device.h"
#include "storage/row.h"
#include "storage/row_cache.h"

enum {
    CLUSTER_NODES_MAX = 16,
    CLUSTER_POLICIES_MAX = 4,
    CLUSTER_ID = 0x51AB
};

struct cluster;
struct object_service;
struct gc;
struct control;

/* One life of a node. */
struct life {
    struct env_sim          env;
    struct cluster_node    *node;
    struct hlc              hlc;
    struct rpc             *rpc;
    struct storage_service *service;
    struct row_memory       row_memory;
    struct device          *device;    /* NULL until it is open. */
    struct row_client      *rows;
    struct blob_client     *blobs;
    struct object_service  *objects;
    struct gc              *gc;
    struct control         *control;
    bool                    up;        /* The device is open, clients may run here. */
    bool                    broken;    /* The device can't be opened. */
};

struct cluster_node {
    struct cluster *cluster;
    uint32_t        id;          /* 1.. ; also the device's id. */
    struct disk    *disk;
    struct life    *life;        /* NULL: down. */
    int64_t         wall_ahead, drift_ppm;
    struct disk_faults faults;
    uint32_t        lives;
};

struct cluster_options {
    uint32_t nodes;
    uint8_t  row_replicas;            /* Of the rows workload: 3 or 5. */
    bool     control;                 /* With a control store, on node 1. */
    bool     objects;                 /* With blobs and the object service. */
    uint64_t disk_bytes;
    uint64_t journal_segment_bytes;   /* Small: segments are recycled often. */
    uint32_t journal_segments;
    uint64_t volume_bytes;
    uint32_t gc_ms;                   /* Background work runs with ages about this short; 0: it does not. */
    uint32_t purge_ms;                /* Age at which tombstones are purged; 0: gc_ms. */
};

struct cluster {
    struct sim             sim;
    struct net_sim         net;
    struct cluster_options options;
    struct cluster_node    node[CLUSTER_NODES_MAX + 1];   /* By id. */
    struct ring           *index3, *index5;
    struct policy          policy[CLUSTER_POLICIES_MAX];
    struct ring           *policy_ring[CLUSTER_POLICIES_MAX];
    uint32_t               policies;
    struct task_group      group;      /* Tasks of no node: those that bury the dead. */
    uint32_t               dying;
    /* Called in a task of a node that has come up: starts its clients. */
    void (*started)(struct cluster_node *node, void *arg);
    void                  *started_arg;
};

void cluster_init(struct cluster *cluster, uint64_t seed, const struct cluster_options *options, bool verbose);
void cluster_done(struct cluster *cluster);

void cluster_start(struct cluster *cluster, uint32_t node);               /* A node that is down. */
void cluster_kill(struct cluster *cluster, uint32_t node, bool power_cut); /* A node that is not. */
/* A new and empty disk in place of the old; the node must be down. */
void cluster_wipe(struct cluster *cluster, uint32_t node);
void cluster_set_clock(struct cluster *cluster, uint32_t node, int64_t ahead_ns, int64_t drift_ppm);
/* Ends every fault: network, clocks, slow and failing disks; starts what is down
 * and restarts nodes whose device is out of service. */
void cluster_heal(struct cluster *cluster);
uint32_t cluster_up(const struct cluster *cluster);   /* Nodes with an open device in service. */

#endif
