/* base/env_kernel.h - the env of a real process: libuv, worker threads, sockets.
 *
 * One loop thread a process runs all tasks; blocking calls and heavy kernels run
 * on two pools of worker threads (docs/decisions/ says why one loop). */
#ifndef BASE_ENV_KERNEL_H
#define BASE_ENV_KERNEL_H

#include "base/env.h"

struct kernel_options {
    const char *root;        /* Directory that relative paths start at; NULL: the current one. */
    uint32_t    cpu_threads; /* 0: one per core. */
    uint32_t    io_threads;  /* 0: 24; they mostly sleep in the kernel. */
    uint32_t    node_id;
    bool        no_uring;    /* Files by worker threads only, as where the kernel forbids io_uring. */
};

/* Makes the env of this process, to be run on the calling thread. Sets
 * RLIMIT_NOFILE up to its hard limit and ignores SIGPIPE. */
int  kernel_new(const struct kernel_options *options, struct env **ret_env, struct error *err);
/* Runs the loop until kernel_stop(), then cancels env->group, waits for the
 * tasks to unwind and returns. */
int  kernel_run(struct env *env);
void kernel_stop(struct env *env);   /* From a task, or through a signal below. */
struct env *kernel_free(struct env *env);

/* Calls fn(arg) on the loop thread (outside of tasks) at each such signal. */
int kernel_on_signal(struct env *env, int signal_number, void (*fn)(void *arg), void *arg);

/* Convenience for tests and offline commands: runs fn(arg) as a task of a fresh
 * loop and returns when it and everything it spawned has ended. */
int kernel_main(const struct kernel_options *options, void (*fn)(struct env *env, void *arg), void *arg);

#endif
