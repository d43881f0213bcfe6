/* storage/kv.h - an ordered map of bytes that is only an index.
 *
 * The truth lies in journals and volume files; the map may forget. Contract,
 * kept by RocksDB without WAL (storage/kv_rocks.c) and by the simulator
 * (sim/kv_sim.c): batches are atomic and ordered; after a crash the content is
 * that of some prefix of the batches written, at least up to the last completed
 * kv_flush(). Readers see every batch whose kv_write() was called before. */
#ifndef STORAGE_KV_H
#define STORAGE_KV_H

#include "base/arena.h"
#include "base/env.h"

enum {
    KV_KEY_MAX = 4096,
    KV_VALUE_MAX = 1024 * 1024,
    KV_BATCH_BYTES_MAX = 16 * 1024 * 1024
};

struct kv;
struct kv_batch;

struct kv_options {
    size_t write_buffer_bytes;   /* Memtable; 0: the default (16 MiB). */
    bool   read_only;            /* For inspection: nothing is created, locked or written. */
};

/* Return false to stop the scan. Slices are borrowed for the call. May run on a
 * worker thread: touches only 'arg'. */
typedef bool (*kv_visit)(void *arg, struct slice key, struct slice value);

struct kv_backend {
    const char *name;
    WAITS int (*open)(struct env *env, const char *path, const struct kv_options *options, struct kv **ret_kv,
                      struct error *err);
    WAITS void (*close)(struct kv *kv);
    WAITS int (*get)(struct kv *kv, struct slice key, struct arena *arena, struct slice *ret_value);
    WAITS int (*write)(struct kv *kv, struct kv_batch *batch);
    WAITS int (*scan)(struct kv *kv, struct slice from, struct slice to, bool reverse, kv_visit visit, void *arg);
    WAITS int (*flush)(struct kv *kv);
};
struct kv {
    const struct kv_backend *backend;
    struct env              *env;
};

extern const struct kv_backend kv_rocks;

/* Opens or creates below 'path'. -E_CORRUPT when it can't be read: the caller
 * may remove it and rebuild. */
WAITS int kv_open(const struct kv_backend *backend, struct env *env, const char *path,
                  const struct kv_options *options, struct kv **ret_kv, struct error *err);
WAITS void kv_close(struct kv *kv);   /* Accepts NULL. */
/* -ENOENT; -ENOMEM when the arena is full; -EIO and -E_CORRUPT take the device out of service. */
WAITS int kv_get(struct kv *kv, struct slice key, struct arena *arena, struct slice *ret_value);
/* Applies and clears the batch. Not durable before kv_flush(). */
WAITS int kv_write(struct kv *kv, struct kv_batch *batch);
/* Keys in [from, to), ascending, or descending when reverse; empty 'to': no end. A consistent snapshot. */
WAITS int kv_scan(struct kv *kv, struct slice from, struct slice to, bool reverse, kv_visit visit, void *arg);
WAITS int kv_flush(struct kv *kv);

/* Batches: one representation for all backends, so that the simulator and tests can look inside. */
struct kv_batch *kv_batch_new(void);
struct kv_batch *kv_batch_free(struct kv_batch *batch);
int    kv_batch_put(struct kv_batch *batch, struct slice key, struct slice value);   /* Copies. -ENOMEM, -E_LIMIT. */
int    kv_batch_delete(struct kv_batch *batch, struct slice key);
void   kv_batch_clear(struct kv_batch *batch);
size_t kv_batch_count(const struct kv_batch *batch);
/* The i-th change, in order; value.data NULL means delete. */
void   kv_batch_entry(const struct kv_batch *batch, size_t i, bool *ret_delete, struct slice *ret_key,
                      struct slice *ret_value);

#endif
