/* base/env_kernel_dir.c - directories by system calls on worker threads. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/env_kernel_private.h"

struct dir_job {
    void              (*run)(struct dir_job *job);
    int                 root_fd;
    const char         *path, *to;
    struct env_entry   *entries;
    uint32_t            count, capacity;
    uint64_t            free_bytes, total_bytes;
    int                 rc;
};

static void dir_job_run(void *arg)
{
    struct dir_job *job = arg;
    job->run(job);
}

WAITS static int dir_job(struct env *env, struct dir_job *job)
{
    job->root_fd = kernel_of(env)->root_fd;
    int rc = kernel_work_queued(env, WORK_IO, dir_job_run, job);
    return rc ? rc : job->rc;
}

static void mkdir_run(struct dir_job *job)
{
    struct stat st;

    if (mkdirat(job->root_fd, job->path, 0700) == 0)
        return;
    job->rc = -errno;
    if (job->rc == -EEXIST && fstatat(job->root_fd, job->path, &st, 0) == 0)
        job->rc = S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int kernel_mkdir(struct env *env, const char *path)
{
    return dir_job(env, &(struct dir_job) { .run = mkdir_run, .path = path });
}

static void rename_run(struct dir_job *job)
{
    job->rc = renameat(job->root_fd, job->path, job->root_fd, job->to) == 0 ? 0 : -errno;
}

int kernel_rename(struct env *env, const char *from, const char *to)
{
    return dir_job(env, &(struct dir_job) { .run = rename_run, .path = from, .to = to });
}

static void unlink_run(struct dir_job *job)
{
    job->rc = unlinkat(job->root_fd, job->path, 0) == 0 ? 0 : -errno;
}

int kernel_unlink(struct env *env, const char *path)
{
    return dir_job(env, &(struct dir_job) { .run = unlink_run, .path = path });
}

static int open_dir(const struct dir_job *job)
{
    int fd = openat(job->root_fd, job->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void sync_dir_run(struct dir_job *job)
{
    int fd = open_dir(job);

    if (fd < 0) {
        job->rc = fd;
        return;
    }
    job->rc = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
}

int kernel_sync_dir(struct env *env, const char *path)
{
    return dir_job(env, &(struct dir_job) { .run = sync_dir_run, .path = path });
}

static void space_run(struct dir_job *job)
{
    struct statvfs st;
    int            fd = openat(job->root_fd, job->path, O_PATH | O_CLOEXEC);

    if (fd < 0) {
        job->rc = -errno;
        return;
    }
    job->rc = fstatvfs(fd, &st) == 0 ? 0 : -errno;
    close(fd);
    if (job->rc == 0) {
        job->free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
        job->total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
    }
}

int kernel_space(struct env *env, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct dir_job job = { .run = space_run, .path = path };
    int            rc = dir_job(env, &job);

    if (rc == 0) {
        *ret_free = job.free_bytes;
        *ret_total = job.total_bytes;
    }
    return rc;
}

/* --- Listing --- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct env_entry *)a)->name, ((const struct env_entry *)b)->name);
}

static int list_add(struct dir_job *job, int dir_fd, const char *name)
{
    struct stat st;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -errno;   /* Removed meanwhile. */
    if (job->count == ENV_LIST_MAX)
        return -E_LIMIT;
    if (job->count == job->capacity) {
        uint32_t          capacity = job->capacity ? 2 * job->capacity : 16;
        struct env_entry *entries = realloc(job->entries, capacity * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        job->entries = entries;
        job->capacity = capacity;
    }
    struct env_entry *entry = &job->entries[job->count];
    size_t            size = strlen(name);
    if (size > ENV_NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(entry->name, name, size + 1);
    entry->directory = S_ISDIR(st.st_mode);
    entry->size = (uint64_t)st.st_size;
    job->count++;
    return 0;
}

static void list_run(struct dir_job *job)
{
    int  fd = open_dir(job);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        job->rc = fd < 0 ? fd : -errno;
        if (fd >= 0)
            close(fd);
        return;
    }
    while (job->rc == 0) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (!d) {
            job->rc = -errno;
            break;
        }
        job->rc = list_add(job, fd, d->d_name);
    }
    closedir(dir);
    if (job->rc != 0) {
        free(job->entries);
        job->entries = NULL;
        return;
    }
    if (job->count)
        qsort(job->entries, job->count, sizeof *job->entries, by_name);
}

int kernel_list(struct env *env, const char *path, struct env_entry **ret_entries, uint32_t *ret_count)
{
    struct dir_job job = { .run = list_run, .path = path };
    int            rc = dir_job(env, &job);

    if (rc == 0) {
        *ret_entries = job.entries;
        *ret_count = job.count;
    }
    return rc;
}
