/* base/env.c - what every env does before its own implementation: a dead env
 * does nothing more, and arguments are checked once, here. */
#include "base/env.h"

#include <string.h>


static int check_path(const char *path)
{
    size_t size = strnlen(path, ENV_PATH_MAX);

    if (size == 0)
        return -ENOENT;
    if (size >= ENV_PATH_MAX)
        return -ENAMETOOLONG;
    for (const char *p = path; *p;) {
        size_t part = strcspn(p, "/");
        if (part > ENV_NAME_MAX)
            return -ENAMETOOLONG;
        p += part + (p[part] == '/');
    }
    return 0;
}

static int check_iov(const struct iovec *iov, int count, uint64_t offset)
{
    uint64_t end = offset;

    if (count < 0 || count > ENV_IOV_MAX)
        return -EINVAL;
    for (int i = 0; i < count; i++)
        if (__builtin_add_overflow(end, iov[i].iov_len, &end))
            return -EINVAL;
    return end > INT64_MAX ? -EINVAL : 0;
}

int env_open(struct env *env, const char *path, int flags, struct file **ret_file)
{
    int rc = check_path(path);

    if (env->dead)
        return -ECANCELED;
    if (rc == 0 && (flags & FILE_READ_ONLY) && (flags & FILE_CREATE))
        rc = -EINVAL;
    return rc ? rc : env->ops->open(env, path, flags, ret_file);
}

int file_readv(struct file *file, const struct iovec *iov, int count, uint64_t offset, size_t *ret_size)
{
    int rc = check_iov(iov, count, offset);

    if (file->env->dead)
        return -ECANCELED;
    return rc ? rc : file->env->ops->read(file, iov, count, offset, ret_size);
}

int file_read(struct file *file, void *data, size_t size, uint64_t offset, size_t *ret_size)
{
    struct iovec iov = { data, size };
    return file_readv(file, &iov, 1, offset, ret_size);
}

int file_writev(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    int rc = check_iov(iov, count, offset);

    if (file->env->dead)
        return -ECANCELED;
    return rc ? rc : file->env->ops->write(file, iov, count, offset);
}

int file_write(struct file *file, const void *data, size_t size, uint64_t offset)
{
    struct iovec iov = { (void *)(uintptr_t)data, size };
    return file_writev(file, &iov, 1, offset);
}

int file_write_sync(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    int rc = check_iov(iov, count, offset);

    if (file->env->dead)
        return -ECANCELED;
    return rc ? rc : file->env->ops->write_sync(file, iov, count, offset);
}

int file_sync(struct file *file)
{
    return file->env->dead ? -ECANCELED : file->env->ops->sync(file);
}

int file_allocate(struct file *file, uint64_t offset, uint64_t size, bool zero)
{
    if (file->env->dead)
        return -ECANCELED;
    if (size == 0 || offset > INT64_MAX || size > INT64_MAX - offset)
        return -EINVAL;
    return file->env->ops->allocate(file, offset, size, zero);
}

int file_truncate(struct file *file, uint64_t size)
{
    if (file->env->dead)
        return -ECANCELED;
    return size > INT64_MAX ? -EINVAL : file->env->ops->truncate(file, size);
}

int file_size(struct file *file, uint64_t *ret_size)
{
    return file->env->dead ? -ECANCELED : file->env->ops->size(file, ret_size);
}

/* Closing frees the caller's resource, so a dead env does it too. */
void file_close(struct file *file)
{
    if (file)
        file->env->ops->close(file);
}

int env_mkdir(struct env *env, const char *path)
{
    int rc = check_path(path);

    if (env->dead)
        return -ECANCELED;
    return rc ? rc : env->ops->mkdir(env, path);
}

int env_rename(struct env *env, const char *from, const char *to)
{
    int rc = check_path(from);

    if (rc == 0)
        rc = check_path(to);
    if (env->dead)
        return -ECANCELED;
    return rc ? rc : env->ops->rename(env, from, to);
}

int env_unlink(struct env *env, const char *path)
{
    int rc = check_path(path);

    if (env->dead)
        return -ECANCELED;
    return rc ? rc : env->ops->unlink(env, path);
}

int env_list(struct env *env, const char *path, struct env_entry **ret_entries, uint32_t *ret_count)
{
    int rc = check_path(path);

    if (env->dead)
        return -ECANCELED;
    return rc ? rc : env->ops->list(env, path, ret_entries, ret_count);
}

int env_sync_dir(struct env *env, const char *path)
{
    int rc = check_path(path);

    if (env->dead)
        return -ECANCELED;
    return rc ? rc : env->ops->sync_dir(env, path);
}

int env_space(struct env *env, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    int rc = check_path(path);

    if (env->dead)
        return -ECANCELED;
    return rc ? rc : env->ops->space(env, path, ret_free, ret_total);
}

int env_spawn(struct env *env, const char *name, task_fn fn, void *arg)
{
    return env->dead ? -ECANCELED : task_spawn(env->sched, &env->group, name, fn, arg);
}
