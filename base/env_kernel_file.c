/* base/env_kernel_file.c - files by io_uring, or by system calls on worker threads.
 *
 * Reads, and writes of FILE_DIRECT, go through io_uring where there is one; what
 * that leaves over, and all else, is a worker's. A read whose bytes are in the page
 * cache is answered on the loop thread, at once (RWF_NOWAIT). FILE_DIRECT falls back to the page cache where
 * the file system refuses O_DIRECT; durability is the same. */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/counter.h"
#include "base/env_kernel_private.h"

COUNTER(file_read_cached, "Reads answered from the page cache without a worker.");
COUNTER(file_direct_refused, "Files opened through the page cache because the file system refuses O_DIRECT.");

enum {
    READ_INLINE_MAX = 64 * 1024,        /* More bytes would hold up the loop with copying. */
    ZERO_PIECE = 1024 * 1024,
    ZERO_JOB = 16 * ZERO_PIECE          /* Zeroed by one job; between two a cancelled task stops. */
};

struct kernel_file {
    struct file file;      /* First. */
    int         fd;
    bool        direct;    /* Asked for: sizes and addresses are checked, also after a fall-back. */
    bool        o_direct;  /* Granted. */
    bool        no_nowait; /* The file system does not know RWF_NOWAIT. */
};

static struct kernel_file *file_of(struct file *file)
{
    return (struct kernel_file *)file;
}

/* --- One operation of a file, as a job. --- */

enum file_op { OP_READ, OP_WRITE, OP_WRITE_SYNC, OP_SYNC, OP_ALLOCATE, OP_ZERO, OP_TRUNCATE };

struct file_job {
    enum file_op        op;
    int                 fd;
    const struct iovec *iov;
    int                 count;
    uint64_t            offset, size;
    size_t              done;    /* Bytes moved. */
    int                 rc;
};

/* Read by the kernel only, so its pages stay the shared zero page. */
static uint8_t zeros[ZERO_PIECE] __attribute__((aligned(4096)));

static size_t iov_bytes(const struct iovec *iov, int count)
{
    size_t size = 0;   /* env.c checked that the sum fits. */
    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}

/* The rest of 'iov' after 'skip' bytes; returns how many pieces. */
static int iov_rest(const struct iovec *iov, int count, size_t skip, struct iovec rest[ENV_IOV_MAX])
{
    int n = 0;

    for (int i = 0; i < count; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        rest[n].iov_base = (uint8_t *)iov[i].iov_base + skip;
        rest[n++].iov_len = iov[i].iov_len - skip;
        skip = 0;
    }
    return n;
}

/* After a short read. Asking once more would be no way to know: a direct read
 * must not start at an end that is not aligned. */
static bool at_end(const struct file_job *job)
{
    struct stat st;
    return fstat(job->fd, &st) == 0 && job->offset + job->done >= (uint64_t)st.st_size;
}

/* Moves all bytes, or up to the end of the file, from 'job->done' on. */
static int move_all(struct file_job *job)
{
    size_t       size = iov_bytes(job->iov, job->count);
    struct iovec rest[ENV_IOV_MAX];

    while (job->done < size) {
        const struct iovec *iov = job->iov;
        int                 count = job->count;
        off_t               offset = (off_t)(job->offset + job->done);
        ssize_t             n;

        if (job->done > 0) {
            count = iov_rest(job->iov, job->count, job->done, rest);
            iov = rest;
        }
        if (job->op == OP_READ)
            n = preadv2(job->fd, iov, count, offset, 0);
        else
            n = pwritev2(job->fd, iov, count, offset, job->op == OP_WRITE_SYNC ? RWF_DSYNC : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return job->op == OP_READ ? 0 : -EIO;
        job->done += (size_t)n;
        if (job->op == OP_READ && job->done < size && at_end(job))
            return 0;
    }
    return 0;
}

static int zero_range(int fd, uint64_t offset, uint64_t size)
{
    while (size > 0) {
        size_t  piece = size < ZERO_PIECE ? (size_t)size : ZERO_PIECE;
        ssize_t n = pwrite(fd, zeros, piece, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}

static int allocate_range(int fd, uint64_t offset, uint64_t size)
{
    struct stat st;

    while (fallocate(fd, 0, (off_t)offset, (off_t)size) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EOPNOTSUPP)
            return -errno;
        /* No reserving here; the size at least needs no change later. */
        if (fstat(fd, &st) != 0)
            return -errno;
        if ((uint64_t)st.st_size < offset + size && ftruncate(fd, (off_t)(offset + size)) != 0)
            return -errno;
        return 0;
    }
    return 0;
}

static void file_job_run(void *arg)
{
    struct file_job *job = arg;

    switch (job->op) {
    case OP_READ:
    case OP_WRITE:
    case OP_WRITE_SYNC:
        job->rc = move_all(job);
        break;
    case OP_SYNC:
        /* Not repeated on EINTR or anything else: a second sync would lie about the first. */
        job->rc = fdatasync(job->fd) == 0 ? 0 : -errno;
        break;
    case OP_ALLOCATE:
        job->rc = allocate_range(job->fd, job->offset, job->size);
        break;
    case OP_ZERO:
        job->rc = zero_range(job->fd, job->offset, job->size);
        break;
    case OP_TRUNCATE:
        job->rc = ftruncate(job->fd, (off_t)job->size) == 0 ? 0 : -errno;
        break;
    }
}

/* Moves all bytes by io_uring, or leaves the rest to a worker: -EAGAIN. */
WAITS static int move_by_uring(struct file *file, struct file_job *job)
{
    struct iovec        rest[ENV_IOV_MAX];
    const struct iovec *iov = job->iov;
    int                 count = job->count;
    size_t              left = iov_bytes(job->iov, job->count) - job->done;

    if (job->done > 0) {
        count = iov_rest(job->iov, job->count, job->done, rest);
        iov = rest;
    }
    if (left == 0 || left > UINT32_MAX / 2)
        return -EAGAIN;
    int rc = kernel_uring_move(file->env, job->op != OP_READ, job->op == OP_WRITE_SYNC, job->fd, iov, count,
                               job->offset + job->done);
    if (rc == -EINTR || rc == -EOPNOTSUPP)
        return -EAGAIN;
    if (rc < 0)
        return rc;
    job->done += (size_t)rc;
    return (size_t)rc == left || (job->op == OP_READ && at_end(job)) ? 0 : -EAGAIN;
}

WAITS static int file_job(struct file *file, struct file_job *job)
{
    job->fd = file_of(file)->fd;
    /* Writes through the page cache would only move to a thread of the kernel's. */
    if (job->op == OP_READ || (file_of(file)->o_direct && (job->op == OP_WRITE || job->op == OP_WRITE_SYNC))) {
        int rc = move_by_uring(file, job);
        if (rc != -EAGAIN)
            return rc;
    }
    int rc = kernel_work_queued(file->env, WORK_IO, file_job_run, job);
    return rc ? rc : job->rc;
}

/* --- Open, close --- */

struct open_job {
    int         root_fd, flags;
    const char *path;
    int         fd, rc;
    bool        o_direct;
};

static void open_run(void *arg)
{
    struct open_job *job = arg;
    int              flags = O_CLOEXEC | (job->flags & FILE_READ_ONLY ? O_RDONLY : O_RDWR);
    int              direct = job->flags & FILE_DIRECT ? O_DIRECT : 0;
    struct stat      st;

    if (job->flags & FILE_CREATE)
        flags |= O_CREAT;
    if ((job->flags & FILE_CREATE) && (job->flags & FILE_EXCLUSIVE))
        flags |= O_EXCL;
    do
        job->fd = openat(job->root_fd, job->path, flags | direct, 0600);
    while (job->fd < 0 && errno == EINTR);
    if (job->fd < 0 && errno == EINVAL && direct) {
        /* The refusal may come after the file was created: O_EXCL would meet it. */
        direct = 0;
        job->fd = openat(job->root_fd, job->path, flags & ~O_EXCL, 0600);
    }
    if (job->fd < 0) {
        job->rc = -errno;
        return;
    }
    if (fstat(job->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        job->rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
        close(job->fd);
        return;
    }
    job->o_direct = direct != 0;
    job->rc = 0;
}

int kernel_file_open(struct env *env, const char *path, int flags, struct file **ret_file)
{
    struct open_job     job = { .root_fd = kernel_of(env)->root_fd, .flags = flags, .path = path };
    struct kernel_file *file = calloc(1, sizeof *file);

    if (!file)
        return -ENOMEM;
    int rc = kernel_work_queued(env, WORK_IO, open_run, &job);
    if (rc == 0)
        rc = job.rc;
    if (rc != 0) {
        free(file);
        return rc;
    }
    file->file.env = env;
    file->fd = job.fd;
    file->direct = flags & FILE_DIRECT;
    file->o_direct = job.o_direct;
    if (file->direct && !file->o_direct)
        counter_inc(file_direct_refused);
    *ret_file = &file->file;
    return 0;
}

struct close_job {
    struct worker_job job;   /* First. */
    int               fd;
};

static void close_run(void *arg)
{
    struct close_job *job = arg;
    close(job->fd);
}

static void close_done(struct worker_job *job)
{
    free(job);
}

void kernel_file_close(struct file *file)
{
    struct kernel_file *f = file_of(file);
    struct kernel      *k = kernel_of(file->env);
    struct close_job   *job = k->env.dead ? NULL : malloc(sizeof *job);

    /* The last close of an unlinked file frees its blocks, which takes the disk's time. */
    if (job) {
        *job = (struct close_job) { .job = { .fn = close_run, .arg = job, .done = close_done }, .fd = f->fd };
        if (worker_pool_submit(k->pool[WORK_IO], &job->job) != 0) {
            free(job);
            job = NULL;
        }
    }
    if (!job)
        close(f->fd);
    free(f);
}

/* --- Read and write --- */

/* Direct I/O wants alignment; checked even where the page cache would not care,
 * so that code which works here works everywhere. */
static int check_aligned(const struct kernel_file *file, const struct iovec *iov, int count, uint64_t offset)
{
    if (!file->direct)
        return 0;
    uint64_t bits = offset;
    for (int i = 0; i < count; i++)
        bits |= (uint64_t)(uintptr_t)iov[i].iov_base | iov[i].iov_len;
    return bits % BUF_ALIGN == 0 ? 0 : -EINVAL;
}

/* From the page cache; true when that answered everything. */
static bool read_cached(struct kernel_file *file, struct file_job *job, size_t size)
{
    struct iovec rest[ENV_IOV_MAX];

    if (file->o_direct || file->no_nowait || size > READ_INLINE_MAX)
        return false;
    ssize_t n = preadv2(file->fd, job->iov, job->count, (off_t)job->offset, RWF_NOWAIT);
    if (n < 0) {
        file->no_nowait = errno == EOPNOTSUPP;
        return false;
    }
    job->done = (size_t)n;
    if (job->done < size && n > 0) {
        /* The end of the file, or of what is cached? */
        int count = iov_rest(job->iov, job->count, job->done, rest);
        n = preadv2(file->fd, rest, count, (off_t)(job->offset + job->done), RWF_NOWAIT);
        if (n > 0)
            job->done += (size_t)n;
    }
    return job->done == size || n == 0;
}

int kernel_file_read(struct file *file, const struct iovec *iov, int count, uint64_t offset, size_t *ret_size)
{
    struct file_job job = { .op = OP_READ, .iov = iov, .count = count, .offset = offset };
    size_t          size = iov_bytes(iov, count);
    int             rc = check_aligned(file_of(file), iov, count, offset);

    if (rc != 0)
        return rc;
    if (size > 0 && !read_cached(file_of(file), &job, size)) {
        rc = file_job(file, &job);
        if (rc != 0)
            return rc;
    } else if (size > 0) {
        counter_inc(file_read_cached);
    }
    *ret_size = job.done;
    return 0;
}

int kernel_file_write(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    struct file_job job = { .op = OP_WRITE, .iov = iov, .count = count, .offset = offset };
    int             rc = check_aligned(file_of(file), iov, count, offset);

    return rc ? rc : file_job(file, &job);
}

int kernel_file_write_sync(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    struct file_job job = { .op = OP_WRITE_SYNC, .iov = iov, .count = count, .offset = offset };
    int             rc = check_aligned(file_of(file), iov, count, offset);

    return rc ? rc : file_job(file, &job);
}

int kernel_file_sync(struct file *file)
{
    return file_job(file, &(struct file_job) { .op = OP_SYNC });
}

int kernel_file_allocate(struct file *file, uint64_t offset, uint64_t size, bool zero)
{
    if (file_of(file)->direct && (offset | size) % BUF_ALIGN != 0)
        return -EINVAL;
    /* First the reservation: the blocks come in one run, and -ENOSPC early. */
    int rc = file_job(file, &(struct file_job) { .op = OP_ALLOCATE, .offset = offset, .size = size });
    while (rc == 0 && zero && size > 0) {
        uint64_t piece = size < ZERO_JOB ? size : ZERO_JOB;
        if (task_cancelled())
            return -ECANCELED;
        rc = file_job(file, &(struct file_job) { .op = OP_ZERO, .offset = offset, .size = piece });
        offset += piece;
        size -= piece;
    }
    return rc;
}

int kernel_file_truncate(struct file *file, uint64_t size)
{
    return file_job(file, &(struct file_job) { .op = OP_TRUNCATE, .size = size });
}

int kernel_file_size(struct file *file, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(file_of(file)->fd, &st) != 0)
        return -errno;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}
