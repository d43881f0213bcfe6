/* base/env.h - the only door to time, randomness, disk, network and threads.
 *
 * Two implementations: the kernel (base/env_kernel.c, libuv and a worker pool)
 * and the simulator (sim/env_sim.c). One env is one node: its tasks are in
 * env->group, its files below its own root. All calls on the scheduler's thread.
 *
 * After env is "dead" (simulated kill, or shutdown) every call fails with
 * -ECANCELED and has no effect outside. */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/task.h"

struct env;
struct file;

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

enum {
    ENV_PATH_MAX = 1024, /* Bytes with the NUL; -ENAMETOOLONG past it. */
    ENV_NAME_MAX = 255,
    ENV_IOV_MAX = 64,    /* Pieces a read or write; -EINVAL past it. */
    ENV_LIST_MAX = 262144 /* Entries of a listed directory; -E_LIMIT past it. */
};

enum file_flags {
    FILE_CREATE = 1,      /* Create if missing (the directory entry is durable after env_sync_dir()). */
    FILE_EXCLUSIVE = 2,   /* With FILE_CREATE: -EEXIST when it is there. */
    FILE_READ_ONLY = 4,
    FILE_DIRECT = 8       /* Bypass the page cache: offsets, sizes and addresses are multiples of BUF_ALIGN. */
};

struct env_entry {
    char     name[ENV_NAME_MAX + 1];
    bool     directory;
    uint64_t size;   /* Bytes. */
};

typedef void (*work_fn)(void *arg);

enum work_kind {
    WORK_CPU,   /* Hash, encode, decompress: never blocks on I/O. */
    WORK_IO     /* May block: RocksDB, sync, directory scans. */
};

struct env_ops {
    int64_t (*now)(struct env *env);
    int64_t (*wall)(struct env *env);
    void (*random)(struct env *env, void *bytes, size_t size);
    WAITS int (*work)(struct env *env, enum work_kind kind, work_fn fn, void *arg);

    WAITS int (*open)(struct env *env, const char *path, int flags, struct file **ret_file);
    WAITS int (*read)(struct file *file, const struct iovec *iov, int count, uint64_t offset, size_t *ret_size);
    WAITS int (*write)(struct file *file, const struct iovec *iov, int count, uint64_t offset);
    WAITS int (*write_sync)(struct file *file, const struct iovec *iov, int count, uint64_t offset);
    WAITS int (*sync)(struct file *file);
    WAITS int (*allocate)(struct file *file, uint64_t offset, uint64_t size, bool zero);
    WAITS int (*truncate)(struct file *file, uint64_t size);
    WAITS int (*size)(struct file *file, uint64_t *ret_size);
    void (*close)(struct file *file);

    WAITS int (*mkdir)(struct env *env, const char *path);
    WAITS int (*rename)(struct env *env, const char *from, const char *to);
    WAITS int (*unlink)(struct env *env, const char *path);
    WAITS int (*list)(struct env *env, const char *path, struct env_entry **ret_entries, uint32_t *ret_count);
    WAITS int (*sync_dir)(struct env *env, const char *path);
    WAITS int (*space)(struct env *env, const char *path, uint64_t *ret_free, uint64_t *ret_total);
};

struct env {
    const struct env_ops *ops;
    struct sched         *sched;
    struct task_group     group;     /* Every task of this node. */
    uint32_t              node_id;   /* Unique in the cluster; part of ballots and ids. */
    bool                  dead;
};

/* Monotonic, ns; for deadlines and durations. */
static inline int64_t env_now(struct env *env) { return env->ops->now(env); }
/* Wall clock, ns since 1970; may jump. For ballots go through base/hlc.h. */
static inline int64_t env_wall(struct env *env) { return env->ops->wall(env); }
static inline void env_random(struct env *env, void *bytes, size_t size) { env->ops->random(env, bytes, size); }
static inline uint64_t env_random64(struct env *env)
{
    uint64_t v;
    env->ops->random(env, &v, sizeof v);
    return v;
}

/* Runs fn(arg) on a worker thread while the task waits; never cut short by
 * cancellation, since 'arg' is lent. -E_OVERLOAD when WORK_QUEUE_MAX jobs wait;
 * then fn did not run. File operations wait for room instead. In the simulator
 * fn runs inline. */
WAITS static inline int env_work(struct env *env, enum work_kind kind, work_fn fn, void *arg)
{
    return env->ops->work(env, kind, fn, arg);
}
enum { WORK_QUEUE_MAX = 4096 };

/* --- Files. Paths are made by our code, relative to the env's root or absolute;
 * never from a client's names. Reads and writes are whole or fail: a short read
 * happens only at the end of the file (*ret_size tells). -EIO and -ENOSPC mean
 * what they say; after a failed sync the file's unsynced content is undefined
 * and must not be synced again. Buffers are lent until the call returns, even
 * when the task is cancelled meanwhile. --- */

WAITS int env_open(struct env *env, const char *path, int flags, struct file **ret_file);
WAITS int file_read(struct file *file, void *data, size_t size, uint64_t offset, size_t *ret_size);
WAITS int file_readv(struct file *file, const struct iovec *iov, int count, uint64_t offset, size_t *ret_size);
WAITS int file_write(struct file *file, const void *data, size_t size, uint64_t offset);
WAITS int file_writev(struct file *file, const struct iovec *iov, int count, uint64_t offset);
/* Writes and makes these bytes durable (one job: pwritev + fdatasync, or RWF_DSYNC). */
WAITS int file_write_sync(struct file *file, const struct iovec *iov, int count, uint64_t offset);
WAITS int file_sync(struct file *file);   /* fdatasync: what was written before is durable. */
/* Reserves space so that writes inside need no metadata; with 'zero' they also
 * read as zeros and need no extent conversion at sync. Durable after file_sync(). */
WAITS int file_allocate(struct file *file, uint64_t offset, uint64_t size, bool zero);
WAITS int file_truncate(struct file *file, uint64_t size);
WAITS int file_size(struct file *file, uint64_t *ret_size);
void      file_close(struct file *file);   /* Accepts NULL. No operation may be in flight. */

WAITS int env_mkdir(struct env *env, const char *path);   /* 0 also when it exists. */
WAITS int env_rename(struct env *env, const char *from, const char *to);   /* Durable after env_sync_dir(). */
WAITS int env_unlink(struct env *env, const char *path);
/* malloc()ed array for the caller to free; "." and ".." left out; sorted by name. -ENOENT. */
WAITS int env_list(struct env *env, const char *path, struct env_entry **ret_entries, uint32_t *ret_count);
WAITS int env_sync_dir(struct env *env, const char *path);
WAITS int env_space(struct env *env, const char *path, uint64_t *ret_free, uint64_t *ret_total);

/* Base of every file implementation. */
struct file {
    struct env *env;
};

int env_spawn(struct env *env, const char *name, task_fn fn, void *arg);   /* Into env->group. */

#endif
