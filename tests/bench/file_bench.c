/* tests/bench/file_bench.c - what worker jobs and file operations cost. Not a test.
 *
 *   file_bench DIRECTORY [SECONDS] */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/env_kernel.h"

enum { FILE_BYTES = 64 * 1024 * 1024, BLOCK = 4096 };

static struct env  *env;
static struct file *direct, *buffered;
static int64_t      end_at;
static uint64_t     done;
static double       seconds = 1;

static void nothing(void *arg)
{
    (void)arg;
}

static uint64_t any_block(void)
{
    return env_random64(env) % (FILE_BYTES / BLOCK) * BLOCK;
}

static void jobs(void *arg)
{
    for (; env_now(env) < end_at; done++)
        if (env_work(env, *(enum work_kind *)arg, nothing, NULL) != 0)
            abort();
}

static void writes(void *arg)
{
    struct buf  *buf = buf_new(BLOCK);
    struct iovec iov = { buf->data, BLOCK };

    (void)arg;
    for (; env_now(env) < end_at; done++)
        if (file_write_sync(direct, &iov, 1, any_block()) != 0)
            abort();
    buf_unref(buf);
}

static void reads(void *arg)
{
    struct buf *buf = buf_new(BLOCK);
    size_t      n;

    for (; env_now(env) < end_at; done++)
        if (file_read(*(struct file **)arg, buf->data, BLOCK, any_block(), &n) != 0)
            abort();
    buf_unref(buf);
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void measure(const char *what, task_fn fn, void *arg, uint32_t tasks)
{
    struct task_group group;
    double            cpu = cpu_us();
    int64_t           start = env_now(env);

    task_group_init(&group, env->sched);
    end_at = start + (int64_t)(seconds * 1e9);
    done = 0;
    for (uint32_t i = 0; i < tasks; i++)
        if (task_spawn(NULL, &group, what, fn, arg) != 0)
            abort();
    task_group_wait(&group, TASK_FOREVER);
    double took = (double)(env_now(env) - start) / 1e9;
    printf("%-24s %3u tasks: %8.0f /s, %7.1f us each, %6.1f us CPU\n", what, tasks, (double)done / took,
           took * 1e6 * tasks / (double)(done ? done : 1), (cpu_us() - cpu) / (double)(done ? done : 1));
}

static void main_task(struct env *e, void *arg)
{
    static const uint32_t concurrency[] = { 1, 4, 16, 64 };
    enum work_kind        cpu = WORK_CPU;

    (void)arg;
    env = e;
    if (env_open(env, "file_bench.tmp", FILE_CREATE | FILE_DIRECT, &direct) != 0 ||
        env_open(env, "file_bench.tmp", 0, &buffered) != 0 ||
        file_allocate(direct, 0, FILE_BYTES, true) != 0 || file_sync(direct) != 0)
        abort();
    for (size_t i = 0; i < sizeof concurrency / sizeof concurrency[0]; i++) {
        measure("empty job", jobs, &cpu, concurrency[i]);
        measure("4 KiB direct write_sync", writes, NULL, concurrency[i]);
        measure("4 KiB direct read", reads, &direct, concurrency[i]);
        measure("4 KiB buffered read", reads, &buffered, concurrency[i]);
    }
    file_close(direct);
    file_close(buffered);
    env_unlink(env, "file_bench.tmp");
}

int main(int argc, char **argv)
{
    struct kernel_options options = { .root = argc > 1 ? argv[1] : "/var/tmp" };

    if (argc > 2)
        seconds = atof(argv[2]);
    return kernel_main(&options, main_task, NULL) != 0;
}
