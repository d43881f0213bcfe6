/* sim/scenarios.c - the table of scenarios. */
#include "sim/containers_workload.h"
#include "sim/control_workload.h"
#include "sim/objects_workload.h"
#include "sim/rows.h"
#include "sim/s3_uploads.h"
#include "sim/s3_versions.h"

#define OBJECTS                                                                                    \
    { .nodes = 6, .row_replicas = 3, .objects = true, .disk_bytes = 256 * 1024 * 1024,             \
      .journal_segment_bytes = 512 * 1024, .journal_segments = 3, .volume_bytes = 8 * 1024 * 1024, .gc_ms = 250 }

/* Tombstones are kept longer than a step of a change takes, as they are outside of the simulator. */
#define S3_OBJECTS                                                                                 \
    { .nodes = 6, .row_replicas = 3, .objects = true, .disk_bytes = 256 * 1024 * 1024,             \
      .journal_segment_bytes = 512 * 1024, .journal_segments = 3, .volume_bytes = 8 * 1024 * 1024, .gc_ms = 250, \
      .purge_ms = 20000 }

#define ROWS                                                                                       \
    { .nodes = 4, .row_replicas = 3, .disk_bytes = 64 * 1024 * 1024,                               \
      .journal_segment_bytes = 256 * 1024, .journal_segments = 3, .volume_bytes = 1024 * 1024, .gc_ms = 100 }

const struct scenario scenarios[] = {
    {
        .name = "rows-calm", .summary = "registers on 3 replicas; only the network misbehaves",
        .options = ROWS, .faults = FAULT_PARTITION | FAULT_BREAK,
        .keys = 3, .clients = 2, .steps = 250, .step = rows_step, .verify = rows_verify,
    },
    {
        .name = "rows-crash", .summary = "registers; kills, power cuts, blackouts, slow disks, partitions",
        .options = ROWS,
        .faults = FAULT_KILL | FAULT_POWER | FAULT_BLACKOUT | FAULT_SLOW_DISK | FAULT_PARTITION | FAULT_BREAK,
        .keys = 3, .clients = 2, .steps = 250, .step = rows_step, .verify = rows_verify,
    },
    {
        .name = "rows-clock", .summary = "registers; clocks jump and drift, nodes are killed",
        .options = ROWS, .faults = FAULT_CLOCK | FAULT_KILL | FAULT_PARTITION,
        .keys = 3, .clients = 2, .steps = 250, .step = rows_step, .verify = rows_verify,
    },
    {
        .name = "rows-disk", .summary = "registers; failing syncs on one node, full and slow disks, power cuts",
        .options = ROWS,
        .faults = FAULT_SYNC | FAULT_FULL | FAULT_SLOW_DISK | FAULT_POWER | FAULT_KILL,
        .keys = 3, .clients = 2, .steps = 250, .step = rows_step, .verify = rows_verify,
    },
    {
        .name = "rows-5", .summary = "registers on 5 replicas; every fault",
        .options = { .nodes = 6, .row_replicas = 5, .disk_bytes = 64 * 1024 * 1024,
                     .journal_segment_bytes = 256 * 1024, .journal_segments = 3, .volume_bytes = 1024 * 1024, .gc_ms = 100 },
        .faults = FAULT_KILL | FAULT_POWER | FAULT_BLACKOUT | FAULT_SLOW_DISK | FAULT_PARTITION | FAULT_BREAK |
                  FAULT_CLOCK | FAULT_SYNC | FAULT_FULL,
        .keys = 3, .clients = 1, .steps = 200, .step = rows_step, .verify = rows_verify,
    },
    {
        .name = "rows-purge", .summary = "registers, many deletes; tombstones are purged while nodes come and go",
        .options = ROWS, .faults = FAULT_KILL | FAULT_POWER | FAULT_PARTITION | FAULT_BREAK,
        .keys = 4, .clients = 1, .steps = 200, .think_ms = 400, .deletes = true, .step = rows_step,
        .verify = rows_verify,
    },
    {
        .name = "control", .summary = "keys of the control store; its node is killed, its disk loses power, its clients are cut off",
        .options = { .nodes = 3, .row_replicas = 3, .control = true, .disk_bytes = 64 * 1024 * 1024,
                     .journal_segment_bytes = 256 * 1024, .journal_segments = 3, .volume_bytes = 1024 * 1024 },
        .faults = FAULT_KILL | FAULT_POWER | FAULT_SLOW_DISK | FAULT_PARTITION | FAULT_BREAK | FAULT_CLOCK,
        .keys = 4, .clients = 2, .steps = 250, .step = control_step, .verify = control_verify,
    },
    {
        .name = "containers", .summary = "containers made, filled, emptied and deleted at once from every node",
        .options = OBJECTS,
        .faults = FAULT_KILL | FAULT_POWER | FAULT_SLOW_DISK | FAULT_PARTITION | FAULT_BREAK | FAULT_CLOCK,
        .keys = 2, .clients = 1, .steps = 150, .step = containers_step, .prepare = containers_prepare,
        .verify = containers_verify,
    },
    {
        .name = "objects-calm", .summary = "objects of edge sizes in both policies; only the network misbehaves",
        .options = OBJECTS, .faults = FAULT_PARTITION | FAULT_BREAK,
        .keys = 6, .clients = 1, .steps = 80, .step = objects_step, .prepare = objects_prepare,
        .verify = objects_verify, .free_workload = objects_free,
    },
    {
        .name = "objects-crash", .summary = "objects; kills, power cuts, blackouts, slow disks, partitions",
        .options = OBJECTS,
        .faults = FAULT_KILL | FAULT_POWER | FAULT_BLACKOUT | FAULT_SLOW_DISK | FAULT_PARTITION | FAULT_BREAK,
        .keys = 6, .clients = 1, .steps = 80, .step = objects_step, .prepare = objects_prepare,
        .verify = objects_verify, .free_workload = objects_free,
    },
    {
        .name = "objects-disk", .summary = "objects; failing syncs, lost and rotten sectors on one node, full disks",
        .options = OBJECTS,
        .faults = FAULT_SYNC | FAULT_ROT | FAULT_FULL | FAULT_SLOW_DISK | FAULT_POWER | FAULT_KILL | FAULT_CLOCK,
        .keys = 6, .clients = 1, .steps = 80, .step = objects_step, .prepare = objects_prepare,
        .verify = objects_verify, .free_workload = objects_free,
    },
    {
        .name = "objects-orphans", .summary = "objects; writers die at any moment: what no row names goes, and nothing else",
        .options = OBJECTS, .faults = FAULT_KILL | FAULT_POWER | FAULT_PARTITION | FAULT_BREAK | FAULT_CLOCK,
        .keys = 6, .clients = 2, .steps = 80, .step = objects_step, .prepare = objects_prepare,
        .verify = objects_verify, .orphans = objects_orphans, .free_workload = objects_free,
    },
    {
        .name = "s3-uploads", .summary = "multipart uploads: every pair of calls crosses and is repeated; kills, power cuts, partitions",
        .options = S3_OBJECTS,
        .faults = FAULT_KILL | FAULT_POWER | FAULT_BLACKOUT | FAULT_SLOW_DISK | FAULT_PARTITION | FAULT_BREAK,
        .keys = 4, .clients = 1, .steps = 150, .step = s3_uploads_step, .prepare = s3_uploads_prepare,
        .verify = s3_uploads_verify, .free_workload = s3_uploads_free,
    },
    {
        .name = "s3-copies", .summary = "objects copied onto others and themselves, overwritten, deleted and collected",
        .options = S3_OBJECTS,
        .faults = FAULT_KILL | FAULT_POWER | FAULT_SLOW_DISK | FAULT_PARTITION | FAULT_BREAK,
        .keys = 4, .clients = 1, .steps = 120, .step = s3_copies_step, .prepare = s3_uploads_prepare,
        .verify = s3_uploads_verify, .free_workload = s3_uploads_free,
    },
    {
        .name = "s3-versions", .summary = "versions made, read, marked, listed and deleted while versioning is switched",
        .options = S3_OBJECTS,
        .faults = FAULT_KILL | FAULT_POWER | FAULT_BLACKOUT | FAULT_SLOW_DISK | FAULT_PARTITION | FAULT_BREAK,
        .keys = 2, .clients = 1, .steps = 200, .step = s3_versions_step, .prepare = s3_versions_prepare,
        .verify = s3_versions_verify, .free_workload = s3_versions_free,
    },
};
const uint32_t scenarios_count = sizeof scenarios / sizeof scenarios[0];
