/* sim/scenario.h - one run: a cluster, clients, faults, and the judgement. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "sim/cluster.h"
#include "sim/linear.h"

/* Faults of a run; chance picks among them. */
enum sim_fault {
    FAULT_KILL = 1, FAULT_POWER = 2, FAULT_PARTITION = 4, FAULT_CLOCK = 8, FAULT_SLOW_DISK = 16,
    FAULT_SYNC = 32,        /* Failing syncs, on one weak node. */
    FAULT_ROT = 64,         /* Lost and rotten sectors of volume files, on one weak node. */
    FAULT_FULL = 128, FAULT_BREAK = 256, FAULT_BLACKOUT = 512 /* Power cut of all nodes at once. */
};

struct run;

struct scenario {
    const char *name, *summary;
    struct cluster_options options;
    uint32_t    faults;           /* enum sim_fault */
    uint32_t    keys, clients;    /* Clients on each node. */
    uint32_t    think_ms;         /* Longest pause of a client between two operations; 0: 20. */
    bool        deletes;          /* Rows: every third operation is a delete. */
    uint32_t    steps;            /* Operations, unless the caller wants another number. */
    /* A client's operation, in a task; ends what it began in the history unless the outcome is unknown. */
    WAITS void (*step)(struct run *run, struct life *life, uint32_t client);
    /* Once, before the first client: makes what they work on. Repeated until 0. */
    WAITS int (*prepare)(struct run *run, struct life *life);
    /* After healing: reads a key; 0, or why it can't be read yet. */
    WAITS int (*verify)(struct run *run, struct life *life, uint32_t key);
    /* At rest: how many blobs on all devices no row names; negative: it can't be told now. NULL: not looked at. */
    WAITS int (*orphans)(struct run *run, struct life *life);
    void (*free_workload)(struct run *run);   /* May be NULL. */
};

extern const struct scenario scenarios[];
extern const uint32_t        scenarios_count;
const struct scenario *scenario_find(const char *name);

struct sim_result {
    bool     failed, undecided;
    char     failure[512];
    uint64_t trace;
    uint64_t steps_done, ok, refused, never, unknown;   /* Operations by outcome. */
    uint64_t frames, kills, starts, events;
    int64_t  virtual_ns;
};

struct run {
    struct cluster         cluster;
    const struct scenario *scenario;
    struct history         history;
    uint32_t               steps_left, clients_running, next_client;
    bool                   stop;          /* Clients end. */
    bool                   prepared, verified;
    uint32_t               weak;          /* The node whose disk may be bad. */
    uint32_t               kills;
    void                  *workload;      /* The scenario's own. */
};

void scenario_run(const struct scenario *scenario, uint64_t seed, uint32_t steps, bool verbose,
                  struct sim_result *ret_result);

/* For workloads. */
void run_begin_note(struct run *run, uint32_t op);   /* When verbose, says what begins or ended. */
static inline struct rng *run_rng(struct run *run) { return &run->cluster.sim.rng; }
uint32_t run_begin(struct run *run, uint32_t client, uint32_t key, enum history_kind kind, uint64_t value,
                   uint64_t expected);
void     run_end(struct run *run, uint32_t op, enum history_outcome outcome, uint64_t value, int rc);

#endif
