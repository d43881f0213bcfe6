/* cmd/ring_file.c - whole files for the offline ring commands, by plain POSIX calls. */
#include "cmd/ring_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(struct error *err, const char *what, const char *path)
{
    int code = errno;
    return error_set(err, -code, "cannot %s %s: %s", what, path, strerror(code));
}

static int read_all(int fd, uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = read(fd, data + at, size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;   /* It shrank under our hands. */
        at += (size_t)n;
    }
    return 0;
}

int ring_file_read(const char *path, uint8_t **ret_data, size_t *ret_size, struct error *err)
{
    int         fd = open(path, O_RDONLY | O_CLOEXEC), rc;
    struct stat st;
    uint8_t    *data;

    if (fd < 0)
        return failed(err, "open", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return error_set(err, -EINVAL, "%s is not a regular file", path);
    }
    if (st.st_size > RING_FILE_BYTES_MAX) {
        close(fd);
        return error_set(err, -E_LIMIT, "%s has over %d bytes; no ring or builder is that big", path,
                         RING_FILE_BYTES_MAX);
    }
    data = malloc((size_t)st.st_size + 1);
    if (!data) {
        close(fd);
        return error_set(err, -ENOMEM, "no memory to read %s", path);
    }
    rc = read_all(fd, data, (size_t)st.st_size);
    close(fd);
    if (rc) {
        free(data);
        return error_set(err, rc, "cannot read %s: %s", path, strerror(-rc));
    }
    *ret_data = data;
    *ret_size = (size_t)st.st_size;
    return 0;
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.size) {
        ssize_t n = write(fd, bytes.data, bytes.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes = slice_from(bytes, (size_t)n);
    }
    return fsync(fd);
}

/* The rename is durable once the directory is. */
static int sync_folder(const char *path)
{
    char        folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t      size = slash ? (size_t)(slash - path) : 0;
    int         fd, rc;

    if (!slash)
        snprintf(folder, sizeof(folder), ".");
    else
        snprintf(folder, sizeof(folder), "%.*s", size ? (int)size : 1, path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    rc = fsync(fd);
    close(fd);
    return rc;
}

int ring_file_write(const char *path, struct slice bytes, bool fresh, struct error *err)
{
    char temporary[PATH_MAX];
    int  fd, rc;

    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return error_set(err, -ENAMETOOLONG, "the name %.64s... is too long", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return failed(err, "write beside", path);
    if (fchmod(fd, 0644) != 0 || write_all(fd, bytes) != 0) {
        rc = failed(err, "write", temporary);
        close(fd);
        unlink(temporary);
        return rc;
    }
    close(fd);
    if (fresh ? link(temporary, path) : rename(temporary, path)) {
        rc = errno == EEXIST ? error_set(err, -EEXIST, "%s exists; remove it or choose another name", path)
                             : failed(err, "put a new file at", path);
        unlink(temporary);
        return rc;
    }
    if (fresh)
        unlink(temporary);
    return sync_folder(path) == 0 ? 0 : failed(err, "sync the folder of", path);
}

int ring_file_lock(const char *path, int *ret_fd, struct error *err)
{
    /* Whoever held the lock may have put a new file in place of the one opened. */
    for (int attempt = 0; attempt < 16; attempt++) {
        struct stat mine, there;
        int         fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
            return failed(err, "open", path);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            close(fd);
            return error_set(err, -EBUSY, "another command is editing %s; try again when it is done", path);
        }
        if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
            mine.st_dev == there.st_dev) {
            *ret_fd = fd;
            return 0;
        }
        close(fd);
    }
    return error_set(err, -EBUSY, "%s keeps being replaced; try again", path);
}
