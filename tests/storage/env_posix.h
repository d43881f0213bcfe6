/* tests/storage/env_posix.h - the smallest env: real files below a temporary
 * directory, every call inline, and faults on demand. For unit tests of the
 * storage room; the whole truth is tested on the simulator's disk.
 *
 *   struct test_env *t = test_env_new();  test_env_run(t, fn, arg);  test_env_free(t);  */
#ifndef TESTS_STORAGE_ENV_POSIX_H
#define TESTS_STORAGE_ENV_POSIX_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"

struct test_env {
    struct env env;
    char       dir[64];
    uint64_t   seed;
    int        fail_write_after;   /* > 0: counts down; the write (or sync) at 0 fails with -EIO. */
    int        fail_sync_after;
    uint64_t   bad_from, bad_to;   /* Reads of direct files that touch these bytes fail with -EIO. */
    uint64_t   space_free;         /* 0: what the file system says. */
    uint64_t   syncs, writes;
};

struct test_file {
    struct file file;
    int         fd;
    bool        direct;
};

static inline struct test_env *test_env_of(struct env *env) { return (struct test_env *)env; }

static int64_t te_clock(void *arg)
{
    struct timespec ts;

    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t te_now(struct env *env) { return te_clock(env); }

static int64_t te_wall(struct env *env)
{
    struct timespec ts;

    (void)env;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void te_random(struct env *env, void *bytes, size_t size)
{
    uint8_t *p = bytes;

    for (size_t i = 0; i < size; i++) {
        uint64_t *s = &test_env_of(env)->seed;

        *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        p[i] = (uint8_t)(*s >> 56);
    }
}

WAITS static int te_work(struct env *env, enum work_kind kind, work_fn fn, void *arg)
{
    (void)env;
    (void)kind;
    task_yield();   /* Other tasks may run meanwhile, as with real workers. */
    fn(arg);
    return 0;
}

static const char *te_path(struct env *env, const char *path, char *out)
{
    if (path[0] == '/')
        return path;
    snprintf(out, 2 * ENV_PATH_MAX, "%s/%s", test_env_of(env)->dir, path);
    return out;
}

WAITS static int te_open(struct env *env, const char *path, int flags, struct file **ret_file)
{
    char              full[2 * ENV_PATH_MAX];
    int               how = (flags & FILE_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    struct test_file *f;
    int               fd;

    if (flags & FILE_CREATE)
        how |= O_CREAT;
    if (flags & FILE_EXCLUSIVE)
        how |= O_EXCL;
    fd = open(te_path(env, path, full), how, 0600);   /* The page cache is good enough here. */
    if (fd < 0)
        return -errno;
    f = calloc(1, sizeof *f);
    f->file.env = env;
    f->fd = fd;
    f->direct = flags & FILE_DIRECT;
    *ret_file = &f->file;
    return 0;
}

static void te_check_direct(struct test_file *f, const struct iovec *iov, int count, uint64_t offset)
{
    for (int i = 0; f->direct && i < count; i++)
        if ((uintptr_t)iov[i].iov_base % 4096 || iov[i].iov_len % 4096 || offset % 4096)
            abort();   /* The kernel would say EINVAL. */
}

WAITS static int te_read(struct file *file, const struct iovec *iov, int count, uint64_t offset, size_t *ret_size)
{
    struct test_file *f = (struct test_file *)file;
    struct test_env  *t = test_env_of(file->env);
    uint64_t          wanted = 0;
    ssize_t           n;

    te_check_direct(f, iov, count, offset);
    task_yield();
    for (int i = 0; i < count; i++)
        wanted += iov[i].iov_len;
    if (f->direct && offset < t->bad_to && offset + wanted > t->bad_from)
        return -EIO;
    n = preadv(f->fd, iov, count, (off_t)offset);
    if (n < 0)
        return -errno;
    *ret_size = (size_t)n;
    return 0;
}

WAITS static int te_write(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    struct test_file *f = (struct test_file *)file;
    struct test_env  *t = test_env_of(file->env);
    ssize_t           n;

    te_check_direct(f, iov, count, offset);
    task_yield();
    t->writes++;
    if (t->fail_write_after > 0 && --t->fail_write_after == 0)
        return -EIO;
    n = pwritev(f->fd, iov, count, (off_t)offset);
    return n < 0 ? -errno : 0;
}

WAITS static int te_sync(struct file *file)
{
    struct test_env *t = test_env_of(file->env);

    task_yield();
    t->syncs++;
    if (t->fail_sync_after > 0 && --t->fail_sync_after == 0)
        return -EIO;
    return 0;
}

WAITS static int te_write_sync(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    int rc = te_write(file, iov, count, offset);

    return rc ? rc : te_sync(file);
}

WAITS static int te_allocate(struct file *file, uint64_t offset, uint64_t size, bool zero)
{
    struct test_file *f = (struct test_file *)file;

    (void)zero;
    return -posix_fallocate(f->fd, (off_t)offset, (off_t)size);
}

WAITS static int te_truncate(struct file *file, uint64_t size)
{
    return ftruncate(((struct test_file *)file)->fd, (off_t)size) ? -errno : 0;
}

WAITS static int te_size(struct file *file, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(((struct test_file *)file)->fd, &st))
        return -errno;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static void te_close(struct file *file)
{
    close(((struct test_file *)file)->fd);
    free(file);
}

WAITS static int te_mkdir(struct env *env, const char *path)
{
    char full[2 * ENV_PATH_MAX];

    return mkdir(te_path(env, path, full), 0700) && errno != EEXIST ? -errno : 0;
}

WAITS static int te_rename(struct env *env, const char *from, const char *to)
{
    char a[2 * ENV_PATH_MAX], b[2 * ENV_PATH_MAX];

    return rename(te_path(env, from, a), te_path(env, to, b)) ? -errno : 0;
}

WAITS static int te_unlink(struct env *env, const char *path)
{
    char full[2 * ENV_PATH_MAX];

    return unlink(te_path(env, path, full)) ? -errno : 0;
}

WAITS static int te_list(struct env *env, const char *path, struct env_entry **ret_entries, uint32_t *ret_count)
{
    char              full[2 * ENV_PATH_MAX], name[4 * ENV_PATH_MAX];
    struct dirent   **names;
    struct env_entry *entries;
    uint32_t          count = 0;
    int               n = scandir(te_path(env, path, full), &names, NULL, alphasort);

    if (n < 0)
        return -errno;
    entries = calloc((size_t)n + 1, sizeof *entries);
    for (int i = 0; i < n; i++) {
        struct stat st;

        snprintf(name, sizeof name, "%s/%s", full, names[i]->d_name);
        if (path[0] == '/')
            snprintf(name, sizeof name, "%s/%s", path, names[i]->d_name);
        if (strcmp(names[i]->d_name, ".") && strcmp(names[i]->d_name, "..") && stat(name, &st) == 0) {
            snprintf(entries[count].name, sizeof entries[count].name, "%s", names[i]->d_name);
            entries[count].directory = S_ISDIR(st.st_mode);
            entries[count++].size = (uint64_t)st.st_size;
        }
        free(names[i]);
    }
    free(names);
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

WAITS static int te_sync_dir(struct env *env, const char *path)
{
    (void)env;
    (void)path;
    task_yield();
    return 0;
}

WAITS static int te_space(struct env *env, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    char           full[2 * ENV_PATH_MAX];
    struct statvfs v;

    if (statvfs(te_path(env, path, full), &v))
        return -errno;
    *ret_total = v.f_blocks * v.f_frsize;
    *ret_free = test_env_of(env)->space_free ? test_env_of(env)->space_free : v.f_bavail * v.f_frsize;
    return 0;
}

static const struct env_ops test_env_ops = {
    .now = te_now, .wall = te_wall, .random = te_random, .work = te_work, .open = te_open, .read = te_read,
    .write = te_write, .write_sync = te_write_sync, .sync = te_sync, .allocate = te_allocate,
    .truncate = te_truncate, .size = te_size, .close = te_close, .mkdir = te_mkdir, .rename = te_rename,
    .unlink = te_unlink, .list = te_list, .sync_dir = te_sync_dir, .space = te_space,
};

static inline struct test_env *test_env_new(void)
{
    struct test_env *t = calloc(1, sizeof *t);

    strcpy(t->dir, "/tmp/ringstack-test-XXXXXX");
    if (!mkdtemp(t->dir))
        abort();
    t->seed = 42;
    t->env.ops = &test_env_ops;
    t->env.node_id = 1;
    t->env.sched = sched_new(te_clock, NULL);
    task_group_init(&t->env.group, t->env.sched);
    return t;
}

/* Runs fn(arg) as a task and returns when no task is left. Timers are waited for in earnest. */
static inline void test_env_run(struct test_env *t, task_fn fn, void *arg)
{
    if (task_spawn(t->env.sched, &t->env.group, "test", fn, arg))
        abort();
    while (sched_tasks(t->env.sched)) {
        int64_t next = sched_run(t->env.sched), now = te_clock(NULL);

        if (sched_tasks(t->env.sched) && next != TASK_FOREVER && next > now) {
            struct timespec ts = { (next - now) / NS_PER_S, (next - now) % NS_PER_S };

            nanosleep(&ts, NULL);
        } else if (next == TASK_FOREVER && sched_tasks(t->env.sched)) {
            abort();   /* Nobody will ever wake them. */
        }
    }
}

static inline struct test_env *test_env_free(struct test_env *t)
{
    char command[128];

    sched_free(t->env.sched);
    snprintf(command, sizeof command, "rm -rf '%s'", t->dir);
    if (system(command))
        abort();
    free(t);
    return NULL;
}

#endif
