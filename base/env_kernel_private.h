/* base/env_kernel_private.h - what the files of the kernel env share. Inside base/ only. */
#ifndef BASE_ENV_KERNEL_PRIVATE_H
#define BASE_ENV_KERNEL_PRIVATE_H

#include <uv.h>

#include "base/env.h"
#include "base/poller.h"
#include "base/uring.h"
#include "base/worker.h"

enum { KERNEL_SIGNALS_MAX = 8, KERNEL_RANDOM_BYTES = 256 };

struct kernel;

struct kernel_signal {
    uv_signal_t handle;
    void      (*fn)(void *arg);
    void       *arg;
};

struct kernel {
    struct env          env;            /* First: an env of ours is a kernel. */
    uv_loop_t           loop;
    uv_prepare_t        prepare;        /* Runs the tasks before each poll. */
    uv_idle_t           idle;           /* Active while tasks are ready: then the poll does not wait. */
    uv_async_t          async;          /* A worker wakes the poll. */
    uv_timer_t          timer;          /* The scheduler's next deadline, or an earlier time. */
    uv_timer_t          tick;           /* Gives idle memory back. */
    int64_t             timer_at;       /* What 'timer' is set to; TASK_FOREVER: not set. */
    struct poller       poller;
    struct uring        uring;          /* fd is -1 where the kernel has none. */
    struct poller_fd    uring_event;    /* Its event only ends the poll; never read, since edges count. */
    struct credit       uring_room;     /* Operations that may be in flight. */
    struct worker_done  done;
    struct worker_pool *pool[2];        /* By enum work_kind. */
    struct credit       room[2];        /* Jobs that may be queued. */
    int                 root_fd;        /* Or AT_FDCWD. */
    bool                stopping;       /* kernel_stop() was called. */
    bool                cancelled;      /* And env.group was cancelled for it. */
    bool                until_idle;     /* kernel_main(): ends when no task is left. */
    uint32_t            stuck_ticks;    /* Ticks since then. */
    bool                loop_made;
    bool                trimmed;        /* The heap was, since there was work. */
    uint64_t            jobs;           /* Ever queued; tells whether anything happened. */
    uint64_t            jobs_at_tick;
    struct kernel_signal signal[KERNEL_SIGNALS_MAX];
    uint32_t            signals;
    uint32_t            random_left;    /* Unused bytes at the end of 'random'. */
    uint8_t             random[KERNEL_RANDOM_BYTES];
};

/* Asserts that 'env' is a kernel's. */
struct kernel *kernel_of(struct env *env);

/* As env_work(), but waits for room in the queue instead of failing; -ECANCELED
 * when cancelled before the job was queued. */
WAITS int kernel_work_queued(struct env *env, enum work_kind kind, work_fn fn, void *arg);

/* Moves bytes by io_uring. Bytes moved (maybe fewer than asked for), or negative
 * errno; -EAGAIN: do it another way. */
WAITS int kernel_uring_move(struct env *env, bool write, bool sync, int fd, const struct iovec *iov, int count,
                            uint64_t offset);

/* File operations: env_kernel_file.c. */
WAITS int kernel_file_open(struct env *env, const char *path, int flags, struct file **ret_file);
WAITS int kernel_file_read(struct file *file, const struct iovec *iov, int count, uint64_t offset, size_t *ret_size);
WAITS int kernel_file_write(struct file *file, const struct iovec *iov, int count, uint64_t offset);
WAITS int kernel_file_write_sync(struct file *file, const struct iovec *iov, int count, uint64_t offset);
WAITS int kernel_file_sync(struct file *file);
WAITS int kernel_file_allocate(struct file *file, uint64_t offset, uint64_t size, bool zero);
WAITS int kernel_file_truncate(struct file *file, uint64_t size);
WAITS int kernel_file_size(struct file *file, uint64_t *ret_size);
void kernel_file_close(struct file *file);

/* Directory operations: env_kernel_dir.c. */
WAITS int kernel_mkdir(struct env *env, const char *path);
WAITS int kernel_rename(struct env *env, const char *from, const char *to);
WAITS int kernel_unlink(struct env *env, const char *path);
WAITS int kernel_list(struct env *env, const char *path, struct env_entry **ret_entries, uint32_t *ret_count);
WAITS int kernel_sync_dir(struct env *env, const char *path);
WAITS int kernel_space(struct env *env, const char *path, uint64_t *ret_free, uint64_t *ret_total);

#endif
