/* storage/device.h - one drive: a directory with an identity, a journal, an
 * index and volume files.
 *
 *   DIR/device.id      identity (cluster, device uuid, format); checksummed
 *   DIR/journal/       rows' write-ahead log           (storage/journal.h)
 *   DIR/index/         RocksDB without WAL             (storage/kv.h)
 *   DIR/volumes/       blobs, append-only              (storage/volume.h)
 *
 *   STARTING -- replayed, scanned --> IN_SERVICE -- fault, or directory gone --> FAILED (final until restart)
 *
 * A failed write, sync or checksum of the device's own structures, or the
 * disappearance of its directory, takes it out of service with one error line;
 * nothing is retried on dirty pages. */
#ifndef STORAGE_DEVICE_H
#define STORAGE_DEVICE_H

#include "base/hlc.h"
#include "base/rpc.h"
#include "storage/journal.h"
#include "storage/kv.h"

struct row_memory;

enum device_state { DEVICE_STARTING, DEVICE_IN_SERVICE, DEVICE_FAILED };
enum { DEVICE_CHECK_MS = 1000 /* How often identity and free space are looked at. */ };

struct device_options {
    uint16_t                 id;            /* As in the rings. */
    const char              *path;
    uint64_t                 cluster_id;
    const struct kv_backend *backend;       /* NULL: kv_rocks. */
    uint64_t                 journal_segment_bytes;   /* 0: default. */
    uint32_t                 journal_segments;
    uint64_t                 volume_bytes;  /* Size of a volume file; 0: 1 GiB. */
    struct row_memory       *row_memory;    /* Where hot rows are kept, shared by devices; NULL: its own, smaller. */
    uint64_t                 reserve_bytes; /* Kept free for compaction and journal; 0: 256 MiB or 5%, the smaller. */
};

struct row_store;
struct blob_store;

struct device {
    struct env        *env;
    struct hlc        *hlc;
    uint16_t           id;
    char               path[ENV_PATH_MAX];
    enum device_state  state;
    char               failure[ERROR_TEXT_MAX];   /* Why it failed. */
    bool               full;                      /* Below the reserve: accepts answer -ENOSPC. */
    uint64_t           free_bytes, total_bytes;
    struct kv         *kv;
    struct row_store  *rows;
    struct blob_store *blobs;
    uint8_t            uuid[16];
    void              *private_;                  /* device.c's. */
};

/* Creates the structures when the directory is empty (or missing); otherwise
 * checks the identity, replays and scans. Starts the device's tasks. */
WAITS int device_open(struct env *env, struct hlc *hlc, const struct device_options *options,
                      struct device **ret_device, struct error *err);
WAITS struct device *device_close(struct device *device);   /* Flushes, so that the next start is quick. */
/* Takes the device out of service, once; 'why' goes to the log. */
void device_fail(struct device *device, int code, const char *why);

/* --- The storage role of a node: its devices, served over RPC (proto/storage.proto, storage/service.c). --- */
struct storage_service;
int  storage_service_new(struct rpc *rpc, struct hlc *hlc, struct storage_service **ret_service);
int  storage_service_add(struct storage_service *service, struct device *device);   /* Borrowed. -E_LIMIT, -EEXIST. */
struct device *storage_service_device(struct storage_service *service, uint16_t id);   /* NULL. */
struct storage_service *storage_service_free(struct storage_service *service);

/* RPC method numbers of the storage role. */
enum storage_method {
    METHOD_ROW_READ = 1, METHOD_ROW_ACCEPT, METHOD_ROW_PREPARE, METHOD_ROW_RANGE, METHOD_ROW_PURGE,
    METHOD_SHARD_STATS, METHOD_ROW_RESERVED_1, METHOD_ROW_RESERVED_2,
    METHOD_BLOB_WRITE = 16, METHOD_BLOB_SYNC, METHOD_BLOB_READ, METHOD_BLOB_DELETE, METHOD_BLOB_STAT,
    METHOD_BLOB_FLOOR,
    METHOD_DEVICE_STATUS = 32,
    METHOD_CONTROL_FIRST = 64, METHOD_IDENTITY_FIRST = 96
};

#endif
