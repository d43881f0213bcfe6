/* base/env_kernel.c - the loop of a real process: libuv, tasks, workers, signals.
 *
 * Tasks run in the prepare phase of each turn of the loop; the poll that follows
 * waits for sockets, workers and the next deadline. Callbacks only make tasks
 * runnable. */
#include "base/env_kernel.h"

#include <assert.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/counter.h"
#include "base/env_kernel_private.h"
#include "base/log.h"

COUNTER(work_overload, "Jobs refused because too many waited for a worker.");

enum {
    SWITCHES_A_TURN = 128,     /* Then sockets get a look, though tasks are still ready. */
    IO_THREADS_DEFAULT = 24,
    TICK_MS = 5000,
    STUCK_TICKS = 2            /* A stop that takes longer is logged at each tick. */
};

/* --- Clock and chance --- */

static int64_t clock_read(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t sched_clock(void *arg)
{
    (void)arg;
    return clock_read(CLOCK_MONOTONIC);
}

static int64_t kernel_now(struct env *env)
{
    (void)env;
    return clock_read(CLOCK_MONOTONIC);
}

static int64_t kernel_wall(struct env *env)
{
    (void)env;
    return clock_read(CLOCK_REALTIME);
}

static void random_fill(uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = getrandom(bytes, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        assert(n > 0);   /* The kernel promises it for a valid buffer. */
        bytes += n;
        size -= (size_t)n;
    }
}

static void kernel_random(struct env *env, void *bytes, size_t size)
{
    struct kernel *k = kernel_of(env);

    if (size > sizeof k->random / 4) {
        random_fill(bytes, size);
        return;
    }
    if (k->random_left < size) {
        random_fill(k->random, sizeof k->random);
        k->random_left = sizeof k->random;
    }
    uint8_t *from = k->random + sizeof k->random - k->random_left;
    memcpy(bytes, from, size);
    explicit_bzero(from, size);   /* It may become a key. */
    k->random_left -= (uint32_t)size;
}

/* --- Workers --- */

struct work {
    struct worker_job job;    /* First. */
    struct kernel    *kernel;
    enum work_kind    kind;
    struct wait_group finished;
};

static void work_done(struct worker_job *job)
{
    struct work *work = (struct work *)job;

    credit_give(&work->kernel->room[work->kind], 1);
    wait_group_done(&work->finished);
}

/* With a credit of the pool taken. */
WAITS static int work_run(struct kernel *k, enum work_kind kind, work_fn fn, void *arg)
{
    struct work work = { .job = { .fn = fn, .arg = arg, .done = work_done }, .kernel = k, .kind = kind };

    wait_group_add(&work.finished, 1);
    k->jobs++;
    int rc = worker_pool_submit(k->pool[kind], &work.job);
    if (rc != 0) {
        credit_give(&k->room[kind], 1);
        return rc;
    }
    /* The worker uses 'work' and 'arg', so this waits whatever happens. */
    wait_group_wait_shielded(&work.finished);
    return 0;
}

WAITS static int kernel_work(struct env *env, enum work_kind kind, work_fn fn, void *arg)
{
    struct kernel *k = kernel_of(env);

    if (env->dead)
        return -ECANCELED;
    if (!credit_try(&k->room[kind], 1)) {
        counter_inc(work_overload);
        return -E_OVERLOAD;
    }
    return work_run(k, kind, fn, arg);
}

int kernel_work_queued(struct env *env, enum work_kind kind, work_fn fn, void *arg)
{
    struct kernel *k = kernel_of(env);
    int            rc = credit_take(&k->room[kind], 1, TASK_FOREVER);

    return rc ? rc : work_run(k, kind, fn, arg);
}

/* --- io_uring --- */

struct uring_call {
    struct uring_op   op;    /* First. */
    struct kernel    *kernel;
    struct wait_group finished;
};

static void uring_call_done(struct uring_op *op)
{
    struct uring_call *call = (struct uring_call *)op;

    credit_give(&call->kernel->uring_room, 1);
    wait_group_done(&call->finished);
}

int kernel_uring_move(struct env *env, bool write, bool sync, int fd, const struct iovec *iov, int count,
                      uint64_t offset)
{
    struct kernel    *k = kernel_of(env);
    struct uring_call call = { .op = { .done = uring_call_done }, .kernel = k };

    if (k->uring.fd < 0)
        return -EAGAIN;
    int rc = credit_take(&k->uring_room, 1, TASK_FOREVER);
    if (rc != 0)
        return rc;
    rc = uring_queue(&k->uring, &call.op, write, sync, fd, iov, count, offset);
    if (rc != 0) {
        credit_give(&k->uring_room, 1);
        return rc;
    }
    k->jobs++;
    wait_group_add(&call.finished, 1);
    /* The kernel uses 'call' and the buffers, so this waits whatever happens. */
    wait_group_wait_shielded(&call.finished);
    return call.op.result;
}

static int uring_setup(struct kernel *k, const struct kernel_options *options)
{
    uint32_t threads = options->io_threads ? options->io_threads : IO_THREADS_DEFAULT;

    if (options->no_uring)
        return 0;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (uring_init(&k->uring, fd, threads) != 0) {
        close(fd);   /* Files use the workers then. */
        return 0;
    }
    credit_init(&k->uring_room, URING_IN_FLIGHT_MAX, TASKS_MAX);
    return poller_add(&k->poller, &k->uring_event, fd);
}

static const struct env_ops kernel_ops = {
    .now = kernel_now,
    .wall = kernel_wall,
    .random = kernel_random,
    .work = kernel_work,
    .open = kernel_file_open,
    .read = kernel_file_read,
    .write = kernel_file_write,
    .write_sync = kernel_file_write_sync,
    .sync = kernel_file_sync,
    .allocate = kernel_file_allocate,
    .truncate = kernel_file_truncate,
    .size = kernel_file_size,
    .close = kernel_file_close,
    .mkdir = kernel_mkdir,
    .rename = kernel_rename,
    .unlink = kernel_unlink,
    .list = kernel_list,
    .sync_dir = kernel_sync_dir,
    .space = kernel_space,
};

struct kernel *kernel_of(struct env *env)
{
    assert(env->ops == &kernel_ops);
    return (struct kernel *)env;
}

/* --- The loop --- */

static void on_timer(uv_timer_t *timer)
{
    struct kernel *k = timer->data;
    k->timer_at = TASK_FOREVER;
}

static void timer_set(struct kernel *k, int64_t deadline)
{
    /* A timer that is set too early fires for nothing once; moving it at each
     * change of the next deadline would cost more. */
    if (deadline >= k->timer_at)
        return;
    int64_t left = deadline - clock_read(CLOCK_MONOTONIC);
    uv_update_time(&k->loop);
    uv_timer_start(&k->timer, on_timer, left <= 0 ? 0 : (uint64_t)((left + NS_PER_MS - 1) / NS_PER_MS), 0);
    k->timer_at = deadline;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct kernel *k = prepare->data;
    struct sched  *sched = k->env.sched;
    int64_t        deadline;
    bool           ready;

    worker_done_awake(&k->done);
    do {
        if (k->stopping && !k->cancelled) {
            k->cancelled = true;
            task_group_cancel(&k->env.group);
        }
        worker_done_take(&k->done);
        if (k->uring.fd >= 0)
            uring_reap(&k->uring);
        deadline = sched_run_some(sched, SWITCHES_A_TURN);
        if (sched_tasks(sched) == 0 && (k->stopping || k->until_idle)) {
            log_flush();
            uv_stop(&k->loop);
            return;
        }
        ready = sched_ready(sched) || (k->stopping && !k->cancelled);
        /* What the tasks of this turn asked of their disks goes out at once. What was
         * in the page cache may be back already. */
        if (k->uring.fd >= 0 && (!uring_submit(&k->uring) || uring_reap(&k->uring)))
            ready = true;
        /* Announce the sleep, and look once more for jobs that finished before that. */
    } while (!ready && !worker_done_sleep(&k->done));
    log_flush();

    if (ready) {
        if (!uv_is_active((uv_handle_t *)&k->idle))
            uv_idle_start(&k->idle, on_idle);
        return;
    }
    if (uv_is_active((uv_handle_t *)&k->idle))
        uv_idle_stop(&k->idle);
    timer_set(k, deadline);
}

static void on_async(uv_async_t *async)
{
    (void)async;   /* The prepare phase takes the jobs. */
}

static void on_tick(uv_timer_t *tick)
{
    struct kernel *k = tick->data;

    sched_trim(k->env.sched);
    buf_trim_unused();
    /* Once after the work ended, for it walks the whole heap. */
    bool idle = k->jobs == k->jobs_at_tick;
    if (idle && !k->trimmed)
        malloc_trim(0);
    k->trimmed = idle;
    k->jobs_at_tick = k->jobs;
    if (k->cancelled && ++k->stuck_ticks >= STUCK_TICKS)
        log_warn("kernel.stopping", "tasks=%u in_node_group=%u", sched_tasks(k->env.sched), k->env.group.count);
}

/* --- Life --- */

static void process_setup(void)
{
    static bool   done;   /* Settings of the process, the same for every env. */
    struct rlimit files;

    if (done)
        return;
    done = true;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    /* Few arenas: many threads that allocate now and then must not make an idle process
     * large. While there is work freed memory is kept, for giving it back and faulting it in
     * again costs more than many a request; on_tick() trims when the work ended. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
}

static int loop_setup(struct kernel *k)
{
    int rc = uv_loop_init(&k->loop);

    if (rc != 0)
        return rc;
    k->loop_made = true;
    k->prepare.data = k->timer.data = k->tick.data = k->async.data = k;
    uv_prepare_init(&k->loop, &k->prepare);
    uv_idle_init(&k->loop, &k->idle);
    uv_timer_init(&k->loop, &k->timer);
    uv_timer_init(&k->loop, &k->tick);
    rc = uv_async_init(&k->loop, &k->async, on_async);
    if (rc != 0)
        return rc;
    rc = poller_init(&k->poller, &k->loop);
    if (rc != 0)
        return rc;
    uv_prepare_start(&k->prepare, on_prepare);
    uv_timer_start(&k->tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}

static void done_wake(void *arg)
{
    uv_async_send(arg);
}

int kernel_new(const struct kernel_options *options, struct env **ret_env, struct error *err)
{
    static const struct kernel_options defaults;
    struct kernel                     *k = calloc(1, sizeof *k);
    int                                rc;

    if (!options)
        options = &defaults;
    if (!k)
        return error_set(err, -ENOMEM, "no memory for the loop");
    process_setup();
    k->env.ops = &kernel_ops;
    k->env.node_id = options->node_id;
    k->timer_at = TASK_FOREVER;
    k->root_fd = AT_FDCWD;
    k->poller.epoll_fd = -1;
    k->uring.fd = -1;
    k->done.wake = done_wake;
    k->done.arg = &k->async;
    rc = loop_setup(k);
    if (rc == 0)
        rc = uring_setup(k, options);
    if (rc != 0) {
        error_set(err, rc, "cannot make the event loop: %s", error_text(rc));
        goto failed;
    }
    if (options->root) {
        k->root_fd = open(options->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (k->root_fd < 0) {
            rc = error_set(err, -errno, "cannot open the directory '%s': %s", options->root, error_text(errno));
            goto failed;
        }
    }
    long     cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t threads[2] = { [WORK_CPU] = options->cpu_threads ? options->cpu_threads : cores > 0 ? (uint32_t)cores : 1,
                            [WORK_IO] = options->io_threads ? options->io_threads : IO_THREADS_DEFAULT };
    k->pool[WORK_CPU] = worker_pool_new("cpu", threads[WORK_CPU], &k->done);
    k->pool[WORK_IO] = worker_pool_new("io", threads[WORK_IO], &k->done);
    k->env.sched = sched_new(sched_clock, NULL);
    if (!k->pool[WORK_CPU] || !k->pool[WORK_IO] || !k->env.sched) {
        rc = error_set(err, -ENOMEM, "no memory for workers and tasks");
        goto failed;
    }
    for (int i = 0; i < 2; i++)   /* Those that run do not wait. File operations queue as tasks, which are limited. */
        credit_init(&k->room[i], WORK_QUEUE_MAX + threads[i], TASKS_MAX);
    task_group_init(&k->env.group, k->env.sched);
    *ret_env = &k->env;
    return 0;

failed:
    kernel_free(&k->env);
    return rc;
}

int kernel_run(struct env *env)
{
    struct kernel *k = kernel_of(env);

    uv_run(&k->loop, UV_RUN_DEFAULT);
    assert(sched_tasks(env->sched) == 0);
    worker_done_awake(&k->done);
    env->dead = true;
    return 0;
}

void kernel_stop(struct env *env)
{
    kernel_of(env)->stopping = true;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

struct env *kernel_free(struct env *env)
{
    if (!env)
        return NULL;
    struct kernel *k = kernel_of(env);

    env->dead = true;
    /* Detached jobs may still finish; nobody sleeps, so nobody is woken. */
    worker_done_awake(&k->done);
    k->pool[WORK_CPU] = worker_pool_free(k->pool[WORK_CPU]);
    k->pool[WORK_IO] = worker_pool_free(k->pool[WORK_IO]);
    worker_done_take(&k->done);
    if (k->loop_made) {
        uv_walk(&k->loop, close_handle, NULL);
        uv_run(&k->loop, UV_RUN_DEFAULT);
        int rc = uv_loop_close(&k->loop);
        assert(rc == 0);
        (void)rc;
    }
    if (k->uring.fd >= 0) {
        uring_done(&k->uring);
        poller_close(&k->poller, &k->uring_event);
    }
    poller_done(&k->poller);
    sched_free(env->sched);
    if (k->root_fd >= 0)
        close(k->root_fd);
    buf_trim();
    free(k);
    return NULL;
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct kernel_signal *s = handle->data;

    (void)signal_number;
    s->fn(s->arg);
}

int kernel_on_signal(struct env *env, int signal_number, void (*fn)(void *arg), void *arg)
{
    struct kernel *k = kernel_of(env);

    if (k->signals == KERNEL_SIGNALS_MAX)
        return -E_LIMIT;
    struct kernel_signal *s = &k->signal[k->signals];
    int                   rc = uv_signal_init(&k->loop, &s->handle);
    if (rc != 0)
        return rc;
    k->signals++;
    s->handle.data = s;
    s->fn = fn;
    s->arg = arg;
    return uv_signal_start(&s->handle, on_signal, signal_number);
}

struct main_call {
    struct env *env;
    void      (*fn)(struct env *env, void *arg);
    void       *arg;
};

static void main_task(void *arg)
{
    struct main_call *call = arg;
    call->fn(call->env, call->arg);
}

int kernel_main(const struct kernel_options *options, void (*fn)(struct env *env, void *arg), void *arg)
{
    struct env *env;
    int         rc = kernel_new(options, &env, NULL);

    if (rc != 0)
        return rc;
    struct main_call call = { env, fn, arg };
    kernel_of(env)->until_idle = true;
    rc = env_spawn(env, "main", main_task, &call);
    if (rc == 0)
        rc = kernel_run(env);
    kernel_free(env);
    return rc;
}
