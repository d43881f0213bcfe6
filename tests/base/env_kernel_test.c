/* tests/base/env_kernel_test.c - the kernel env: files, workers, loop and signals. */
#include "tests/lib/test.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/counter.h"
#include "base/env_kernel.h"

struct fixture {
    char root[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    /* A real file system, where /tmp may be memory. */
    snprintf(f->root, sizeof f->root, "/var/tmp/ringstack-env-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char            command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", f->root);
    int rc = system(command);
    free(f);
    return rc;
}

static void run(void **state, void (*fn)(struct env *env, void *arg), void *arg)
{
    struct fixture       *f = *state;
    struct kernel_options options = { .root = f->root };
    assert_int_equal(kernel_main(&options, fn, arg), 0);
}

/* As where the kernel has no io_uring. */
static void run_by_workers(void **state, void (*fn)(struct env *env, void *arg), void *arg)
{
    struct fixture       *f = *state;
    struct kernel_options options = { .root = f->root, .no_uring = true };
    assert_int_equal(kernel_main(&options, fn, arg), 0);
}

/* --- Files --- */

static void check_file(struct env *env, const char *name, int flags)
{
    struct file *file = NULL;
    struct buf  *a = buf_new(65536), *b = buf_new(65536);
    size_t       size = 1;
    uint64_t     file_bytes = 0;

    assert_int_equal(env_open(env, name, flags | FILE_CREATE | FILE_EXCLUSIVE, &file), 0);
    memset(a->data, 'x', 65536);
    memset(a->data + 4096, 'y', 4096);
    assert_int_equal(file_write(file, a->data, 65536, 4096), 0);
    assert_int_equal(file_size(file, &file_bytes), 0);
    assert_int_equal(file_bytes, 69632);
    assert_int_equal(file_read(file, b->data, 65536, 4096, &size), 0);
    assert_int_equal(size, 65536);
    assert_memory_equal(a->data, b->data, 65536);

    /* Short at the end, nothing past it. */
    assert_int_equal(file_read(file, b->data, 65536, 8192, &size), 0);
    assert_int_equal(size, 61440);
    assert_int_equal(file_read(file, b->data, 4096, 1024 * 1024, &size), 0);
    assert_int_equal(size, 0);

    struct iovec iov[2] = { { a->data + 4096, 4096 }, { a->data, 4096 } };
    assert_int_equal(file_write_sync(file, iov, 2, 0), 0);
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(file_readv(file, iov, 2, 0, &size), 0);
    assert_int_equal(size, 8192);
    assert_int_equal(a->data[4096], 'y');

    assert_int_equal(file_allocate(file, 0, 3 * 1024 * 1024, true), 0);
    assert_int_equal(file_size(file, &file_bytes), 0);
    assert_int_equal(file_bytes, 3 * 1024 * 1024);
    assert_int_equal(file_read(file, b->data, 65536, 0, &size), 0);
    memset(a->data, 0, 65536);
    assert_memory_equal(a->data, b->data, 65536);
    assert_int_equal(file_allocate(file, 3 * 1024 * 1024, 1024 * 1024, false), 0);
    assert_int_equal(file_size(file, &file_bytes), 0);
    assert_int_equal(file_bytes, 4 * 1024 * 1024);
    assert_int_equal(file_truncate(file, 4096), 0);
    assert_int_equal(file_size(file, &file_bytes), 0);
    assert_int_equal(file_bytes, 4096);
    file_close(file);

    assert_int_equal(env_open(env, name, FILE_CREATE | FILE_EXCLUSIVE, &file), -EEXIST);

    /* An end that is not aligned. */
    assert_int_equal(env_open(env, name, flags, &file), 0);
    assert_int_equal(file_truncate(file, 5000), 0);
    assert_int_equal(file_read(file, b->data, 8192, 0, &size), 0);
    assert_int_equal(size, 5000);
    assert_int_equal(file_read(file, b->data, 8192, 4096, &size), 0);
    assert_int_equal(size, 904);
    file_close(file);
    assert_int_equal(env_unlink(env, name), 0);
    buf_unref(a);
    buf_unref(b);
}

static void buffered_task(struct env *env, void *arg)
{
    (void)arg;
    check_file(env, "buffered", 0);
}

static void file__writes_and_reads_back(void **state)
{
    run(state, buffered_task, NULL);
    run_by_workers(state, buffered_task, NULL);
}

static void direct_task(struct env *env, void *arg)
{
    struct file *file;
    uint8_t      byte = 1;
    size_t       size;

    (void)arg;
    check_file(env, "direct", FILE_DIRECT);
    assert_int_equal(env_open(env, "direct", FILE_DIRECT | FILE_CREATE, &file), 0);
    assert_int_equal(file_write(file, &byte, 1, 0), -EINVAL);
    assert_int_equal(file_read(file, &byte, 1, 0, &size), -EINVAL);
    assert_int_equal(file_allocate(file, 1, 4096, true), -EINVAL);
    file_close(file);
    assert_int_equal(env_unlink(env, "direct"), 0);
}

static void file__direct_writes_and_reads_back_and_demands_alignment(void **state)
{
    run(state, direct_task, NULL);
    run_by_workers(state, direct_task, NULL);
}

static void memory_task(struct env *env, void *arg)
{
    char name[64];
    (void)arg;
    snprintf(name, sizeof name, "/dev/shm/ringstack-env-%d", getpid());
    check_file(env, name, FILE_DIRECT);
}

static void file__direct_works_on_a_memory_file_system(void **state)
{
    if (access("/dev/shm", W_OK) != 0)
        skip();
    run(state, memory_task, NULL);
    run_by_workers(state, memory_task, NULL);
}

/* More tasks than may be in flight; each block is its own. */
struct blocks {
    struct env  *env;
    struct file *file;
    uint32_t     next, done;
};

enum { BLOCKS = 1500 };
static_assert(BLOCKS > 512, "more than the ring takes");

static void block_task(void *arg)
{
    struct blocks *b = arg;
    uint32_t       i = b->next++;
    struct buf    *buf = buf_new(8192);
    struct iovec   iov[2] = { { buf->data, 4096 }, { buf->data + 4096, 4096 } };
    size_t         size;

    memset(buf->data, (int)i, 4096);
    memset(buf->data + 4096, (int)(i / 256), 4096);
    assert_int_equal(i % 2 ? file_writev(b->file, iov, 2, i * UINT64_C(8192))
                           : file_write_sync(b->file, iov, 2, i * UINT64_C(8192)), 0);
    memset(buf->data, 0xee, 8192);
    assert_int_equal(i % 3 ? file_read(b->file, buf->data, 8192, i * UINT64_C(8192), &size)
                           : file_readv(b->file, iov, 2, i * UINT64_C(8192), &size), 0);
    assert_int_equal(size, 8192);
    assert_int_equal(buf->data[100], i % 256);
    assert_int_equal(buf->data[4196], i / 256);
    buf_unref(buf);
    b->done++;
}

static void blocks_task(struct env *env, void *arg)
{
    struct blocks    *b = arg;
    struct task_group group;

    task_group_init(&group, env->sched);
    assert_int_equal(env_open(env, "blocks", FILE_CREATE | FILE_DIRECT, &b->file), 0);
    for (int i = 0; i < BLOCKS; i++)
        assert_int_equal(task_spawn(NULL, &group, "block", block_task, b), 0);
    assert_int_equal(task_group_wait(&group, TASK_FOREVER), 0);
    file_close(b->file);
}

static void file__more_at_once_than_the_ring_takes(void **state)
{
    struct blocks b = { 0 };
    run(state, blocks_task, &b);
    assert_int_equal(b.done, BLOCKS);
}

/* Cancelled tasks see their operations through, for the buffers are lent. */
static void cancelled_blocks_task(struct env *env, void *arg)
{
    struct blocks    *b = arg;
    struct task_group group;

    task_group_init(&group, env->sched);
    assert_int_equal(env_open(env, "blocks", FILE_CREATE | FILE_DIRECT, &b->file), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(task_spawn(NULL, &group, "block", block_task, b), 0);
    assert_int_equal(task_yield(), 0);
    task_group_close(&group);
    file_close(b->file);
}

static void file__cancellation_waits_for_the_disk(void **state)
{
    struct blocks b = { 0 };
    run(state, cancelled_blocks_task, &b);
    assert_int_equal(b.done, 100);
}

static void cached_task(struct env *env, void *arg)
{
    struct file *file;
    char         data[100];
    size_t       size;
    int64_t      before = counter_value("file_read_cached");

    assert_int_equal(env_open(env, "cached", FILE_CREATE, &file), 0);
    assert_int_equal(file_write(file, "hello", 5, 0), 0);
    struct stat st;
    char        path[256];
    snprintf(path, sizeof path, "%s/cached", (const char *)arg);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_read(file, data, sizeof data, 0, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "hello", 5);
    assert_true(counter_value("file_read_cached") >= before);
    file_close(file);
}

static void file__cached_read_is_whole(void **state)
{
    run(state, cached_task, ((struct fixture *)*state)->root);
}

static void limits_task(struct env *env, void *arg)
{
    struct file *file = NULL;
    char         path[ENV_PATH_MAX + 1], name[300];
    struct iovec iov[ENV_IOV_MAX + 1];
    size_t       size;

    (void)arg;
    memset(path, 'a', sizeof path);
    for (size_t i = 0; i < sizeof path; i += 2)
        path[i] = '/';
    path[0] = '.';
    path[ENV_PATH_MAX] = '\0';
    assert_int_equal(env_open(env, path, FILE_CREATE, &file), -ENAMETOOLONG);
    path[ENV_PATH_MAX - 1] = '\0';
    assert_int_equal(env_open(env, path, FILE_CREATE, &file), -ENOENT);
    memset(name, 'n', sizeof name);
    name[ENV_NAME_MAX + 1] = '\0';
    assert_int_equal(env_mkdir(env, name), -ENAMETOOLONG);
    name[ENV_NAME_MAX] = '\0';
    assert_int_equal(env_mkdir(env, name), 0);
    assert_int_equal(env_open(env, "", FILE_CREATE, &file), -ENOENT);
    assert_int_equal(env_open(env, name, 0, &file), -EISDIR);

    assert_int_equal(env_open(env, "limits", FILE_CREATE, &file), 0);
    for (int i = 0; i < ENV_IOV_MAX + 1; i++)
        iov[i] = (struct iovec) { &name[i], 1 };
    assert_int_equal(file_writev(file, iov, ENV_IOV_MAX + 1, 0), -EINVAL);
    assert_int_equal(file_writev(file, iov, ENV_IOV_MAX, 0), 0);
    assert_int_equal(file_readv(file, iov, ENV_IOV_MAX, 0, &size), 0);
    assert_int_equal(size, ENV_IOV_MAX);
    assert_int_equal(file_writev(file, iov, 1, UINT64_MAX), -EINVAL);
    assert_int_equal(file_truncate(file, UINT64_MAX), -EINVAL);
    file_close(file);
    assert_int_equal(env_open(env, "limits", FILE_READ_ONLY, &file), 0);
    assert_int_equal(file_writev(file, iov, 1, 0), -EBADF);
    file_close(file);
    file_close(NULL);
}

static void file__limits(void **state)
{
    run(state, limits_task, NULL);
}

static void dirs_task(struct env *env, void *arg)
{
    struct env_entry *entries = NULL;
    struct file      *file;
    uint32_t          count = 99;
    uint64_t          free_bytes = 0, total = 0;

    (void)arg;
    assert_int_equal(env_list(env, "none", &entries, &count), -ENOENT);
    assert_int_equal(count, 99);
    assert_int_equal(env_mkdir(env, "d"), 0);
    assert_int_equal(env_mkdir(env, "d"), 0);
    assert_int_equal(env_list(env, "d", &entries, &count), 0);
    assert_int_equal(count, 0);
    free(entries);
    assert_int_equal(env_mkdir(env, "d/z"), 0);
    assert_int_equal(env_open(env, "d/b", FILE_CREATE, &file), 0);
    assert_int_equal(file_write(file, "123", 3, 0), 0);
    file_close(file);
    assert_int_equal(env_rename(env, "d/b", "d/a"), 0);
    assert_int_equal(env_mkdir(env, "d/a"), -ENOTDIR);
    assert_int_equal(env_sync_dir(env, "d"), 0);
    assert_int_equal(env_list(env, "d", &entries, &count), 0);
    assert_int_equal(count, 2);
    assert_string_equal(entries[0].name, "a");
    assert_int_equal(entries[0].size, 3);
    assert_false(entries[0].directory);
    assert_string_equal(entries[1].name, "z");
    assert_true(entries[1].directory);
    free(entries);
    assert_int_equal(env_unlink(env, "d/a"), 0);
    assert_int_equal(env_unlink(env, "d/a"), -ENOENT);
    assert_int_equal(env_space(env, "d", &free_bytes, &total), 0);
    assert_true(free_bytes > 0 && free_bytes <= total);
}

static void dir__makes_lists_renames_and_unlinks(void **state)
{
    run(state, dirs_task, NULL);
}

/* --- Workers --- */

struct work {
    struct env    *env;
    pthread_mutex_t gate;
    _Atomic uint32_t ran;
    uint32_t       ok, overload;
};

static void gated(void *arg)
{
    struct work *w = arg;
    pthread_mutex_lock(&w->gate);
    pthread_mutex_unlock(&w->gate);
    w->ran++;
}

static void worker_user(void *arg)
{
    struct work *w = arg;
    int          rc = env_work(w->env, WORK_CPU, gated, w);
    assert_true(rc == 0 || rc == -E_OVERLOAD);
    w->ok += rc == 0;
    w->overload += rc == -E_OVERLOAD;
}

static void overload_task(struct env *env, void *arg)
{
    struct work *w = arg;

    w->env = env;
    pthread_mutex_lock(&w->gate);
    for (uint32_t i = 0; i < WORK_QUEUE_MAX + 100; i++)
        assert_int_equal(env_spawn(env, "user", worker_user, w), 0);
    task_yield();
    assert_int_equal(w->overload, 98);   /* Two run on the two threads. */
    pthread_mutex_unlock(&w->gate);
}

static void work__overload_is_refused_and_the_rest_runs(void **state)
{
    struct fixture       *f = *state;
    struct kernel_options options = { .root = f->root, .cpu_threads = 2 };
    struct work           w = { .gate = PTHREAD_MUTEX_INITIALIZER };

    assert_int_equal(kernel_main(&options, overload_task, &w), 0);
    assert_int_equal(w.ok, WORK_QUEUE_MAX + 2);
    assert_int_equal(w.ran, w.ok);
}

static void cancelled_user(void *arg)
{
    struct work *w = arg;
    assert_int_equal(env_work(w->env, WORK_IO, gated, w), 0);   /* 'arg' is lent: never cut short. */
    assert_int_equal(task_sleep(1), -ECANCELED);
    w->ok++;
}

static void cancel_task(struct env *env, void *arg)
{
    struct work      *w = arg;
    struct task_group group;

    w->env = env;
    task_group_init(&group, env->sched);
    pthread_mutex_lock(&w->gate);
    assert_int_equal(task_spawn(env->sched, &group, "user", cancelled_user, w), 0);
    task_yield();
    task_group_cancel(&group);
    task_yield();
    assert_int_equal(w->ok, 0);
    pthread_mutex_unlock(&w->gate);
    assert_int_equal(task_group_wait(&group, TASK_FOREVER), 0);
    assert_int_equal(w->ok, 1);
}

static void work__cancellation_waits_for_the_worker(void **state)
{
    struct work w = { .gate = PTHREAD_MUTEX_INITIALIZER };
    run(state, cancel_task, &w);
    assert_int_equal(w.ran, 1);
}

static void add_one(void *arg)
{
    ++*(uint32_t *)arg;
}

static void many_user(void *arg)
{
    struct work *w = arg;
    uint32_t     mine = 0;
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(env_work(w->env, i % 2 ? WORK_CPU : WORK_IO, add_one, &mine), 0);
    w->ok += mine;
}

static void many_task(struct env *env, void *arg)
{
    struct work *w = arg;
    w->env = env;
    for (int i = 0; i < 50; i++)
        assert_int_equal(env_spawn(env, "user", many_user, w), 0);
}

static void work__results_are_seen_by_the_task(void **state)
{
    struct work w = { 0 };
    run(state, many_task, &w);
    assert_int_equal(w.ok, 50 * 200);
}

/* --- Loop --- */

static void sleep_task(struct env *env, void *arg)
{
    int64_t start = env_now(env), *took = arg;
    assert_int_equal(task_sleep(20 * NS_PER_MS), 0);
    *took = env_now(env) - start;
}

static void loop__sleeps_at_least_as_long_as_asked(void **state)
{
    int64_t took = 0;
    run(state, sleep_task, &took);
    assert_true(took >= 20 * NS_PER_MS);
}

struct stop {
    struct env *env;
    int         unwound, signals;
};

static void waits_forever(void *arg)
{
    struct stop *s = arg;
    assert_int_equal(task_park(TASK_FOREVER), -ECANCELED);
    s->unwound++;
}

static void raises(void *arg)
{
    (void)arg;
    raise(SIGUSR1);
    assert_int_equal(task_sleep_until(TASK_FOREVER - 1), -ECANCELED);
}

static void on_usr1(void *arg)
{
    struct stop *s = arg;
    assert_null(task_self());
    s->signals++;
    kernel_stop(s->env);
}

static void loop__signal_stops_and_unwinds_tasks(void **state)
{
    struct stop s = { 0 };
    (void)state;
    assert_int_equal(kernel_new(NULL, &s.env, NULL), 0);
    assert_int_equal(kernel_on_signal(s.env, SIGUSR1, on_usr1, &s), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(env_spawn(s.env, "waits", waits_forever, &s), 0);
    assert_int_equal(env_spawn(s.env, "raises", raises, &s), 0);
    assert_int_equal(kernel_run(s.env), 0);
    assert_int_equal(s.unwound, 10);
    assert_int_equal(s.signals, 1);
    struct file *file;
    assert_int_equal(env_open(s.env, "x", 0, &file), -ECANCELED);
    assert_int_equal(env_spawn(s.env, "late", raises, &s), -ECANCELED);
    kernel_free(s.env);
}

static void yield_forever(void *arg)
{
    struct stop *s = arg;
    while (task_yield() == 0) { }
    s->unwound++;
}

static void stopper(void *arg)
{
    struct stop *s = arg;
    assert_int_equal(task_sleep(5 * NS_PER_MS), 0);
    kernel_stop(s->env);
}

static void loop__yielding_tasks_do_not_starve_timers(void **state)
{
    struct stop s = { 0 };
    (void)state;
    assert_int_equal(kernel_new(NULL, &s.env, NULL), 0);
    assert_int_equal(env_spawn(s.env, "yields", yield_forever, &s), 0);
    assert_int_equal(env_spawn(s.env, "stops", stopper, &s), 0);
    assert_int_equal(kernel_run(s.env), 0);
    assert_int_equal(s.unwound, 1);
    kernel_free(s.env);
}

static void kernel__missing_root_is_an_error(void **state)
{
    struct kernel_options options = { .root = "/nonexistent/root" };
    struct env           *env = NULL;
    struct error          err;
    (void)state;
    assert_int_equal(kernel_new(&options, &env, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/root"));
    assert_null(env);
    assert_null(kernel_free(NULL));
}

static void random_task(struct env *env, void *arg)
{
    uint8_t a[1000] = { 0 }, b[1000] = { 0 };
    (void)arg;
    env_random(env, a, sizeof a);
    env_random(env, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    for (int i = 0; i < 1000; i++)
        assert_int_not_equal(env_random64(env), env_random64(env));
    assert_true(env_wall(env) > INT64_C(1600000000) * NS_PER_S);
}

static void kernel__random_differs(void **state)
{
    run(state, random_task, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(file__writes_and_reads_back, setup, teardown),
        cmocka_unit_test_setup_teardown(file__direct_writes_and_reads_back_and_demands_alignment, setup, teardown),
        cmocka_unit_test_setup_teardown(file__direct_works_on_a_memory_file_system, setup, teardown),
        cmocka_unit_test_setup_teardown(file__more_at_once_than_the_ring_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(file__cancellation_waits_for_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(file__cached_read_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(file__limits, setup, teardown),
        cmocka_unit_test_setup_teardown(dir__makes_lists_renames_and_unlinks, setup, teardown),
        cmocka_unit_test_setup_teardown(work__overload_is_refused_and_the_rest_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(work__cancellation_waits_for_the_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(work__results_are_seen_by_the_task, setup, teardown),
        cmocka_unit_test_setup_teardown(loop__sleeps_at_least_as_long_as_asked, setup, teardown),
        cmocka_unit_test(loop__signal_stops_and_unwinds_tasks),
        cmocka_unit_test(loop__yielding_tasks_do_not_starve_timers),
        cmocka_unit_test(kernel__missing_root_is_an_error),
        cmocka_unit_test_setup_teardown(kernel__random_differs, setup, teardown),
    };
    return cmocka_run_group_tests_name("env_kernel", tests, NULL, NULL);
}
