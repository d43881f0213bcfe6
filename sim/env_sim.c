/* sim/env_sim.c - struct env on virtual time and a disk model.
 *
 * An operation suspends its task for a while of virtual time, then happens; or
 * happens first: chance decides, so that a kill meets both. Cancellation does
 * not cut it short, since its buffers are lent. */
#include "sim/env_sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"

COUNTER(sim_syncs_failed, "Simulator: syncs that failed.");

struct file_sim {
    struct file   file;
    struct inode *inode;
    struct disk  *disk;
};

static struct env_sim *sim_of(struct env *env)
{
    return env_sim_of(env);
}

/* --- Time and chance --- */

static int64_t op_now(struct env *env)
{
    return sim_of(env)->sim->now;
}

static int64_t op_wall(struct env *env)
{
    struct env_sim *e = sim_of(env);
    /* True time: some day in 2026. */
    int64_t true_wall = INT64_C(1790000000) * NS_PER_S + e->sim->now;

    return true_wall + e->wall_ahead + (e->sim->now - e->born) / 1000000 * e->drift_ppm;
}

static void op_random(struct env *env, void *bytes, size_t size)
{
    rng_fill(&sim_of(env)->rng, bytes, size);
}

static WAITS int op_work(struct env *env, enum work_kind kind, work_fn fn, void *arg)
{
    struct env_sim *e = sim_of(env);

    fn(arg);
    sim_pause(e->sim, (int64_t)rng_between(&e->sim->rng, 1, kind == WORK_CPU ? 50 : 300) * NS_PER_US);
    return 0;
}

/* --- Files --- */

static WAITS void delay(struct env_sim *e, uint64_t us_min, uint64_t us_max)
{
    uint64_t us = rng_between(&e->sim->rng, us_min, us_max);

    if (rng_chance(&e->sim->rng, e->faults.slow_ppm, 1000000))
        us += rng_below(&e->sim->rng, (uint64_t)e->faults.slow_ms_max * 1000 + 1);
    sim_pause(e->sim, (int64_t)us * NS_PER_US);
}

static struct file_sim *file_of(struct file *file)
{
    return (struct file_sim *)file;
}

static WAITS int op_open(struct env *env, const char *path, int flags, struct file **ret_file)
{
    struct env_sim  *e = sim_of(env);
    struct file_sim *f;
    struct inode    *inode;
    int              rc;

    delay(e, 1, 100);
    if (env->dead)
        return -ECANCELED;
    rc = disk_open(e->disk, path, flags, &inode);
    sim_trace(e->sim, "open", env->node_id, (uint64_t)flags, (uint64_t)-rc);
    if (rc < 0)
        return rc;
    f = calloc(1, sizeof *f);
    assert(f);
    *f = (struct file_sim) { .file = { env }, .inode = inode, .disk = e->disk };
    *ret_file = &f->file;
    return 0;
}

static WAITS int op_read(struct file *file, const struct iovec *iov, int count, uint64_t offset, size_t *ret_size)
{
    struct env_sim *e = sim_of(file->env);
    size_t          done = 0;

    delay(e, 5, 300);
    if (file->env->dead)
        return -ECANCELED;
    for (int i = 0; i < count; i++) {
        size_t n;
        int    rc = inode_read(e->disk, file_of(file)->inode, iov[i].iov_base, iov[i].iov_len, offset + done, &n);

        if (rc < 0)
            return rc;
        done += n;
        if (n < iov[i].iov_len)
            break;
    }
    *ret_size = done;
    return 0;
}

static int write_now(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    struct env_sim *e = sim_of(file->env);
    int             rc = 0;

    for (int i = 0; rc == 0 && i < count; i++) {
        rc = inode_write(e->disk, file_of(file)->inode, iov[i].iov_base, iov[i].iov_len, offset);
        offset += iov[i].iov_len;
    }
    sim_trace(e->sim, "write", file->env->node_id, offset, (uint64_t)-rc);
    return rc;
}

static WAITS int op_write(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    struct env_sim *e = sim_of(file->env);
    bool            first = rng_chance(&e->sim->rng, 1, 2);
    int             rc = first ? write_now(file, iov, count, offset) : 0;

    delay(e, 5, 100);
    if (file->env->dead)
        return -ECANCELED;
    return first ? rc : write_now(file, iov, count, offset);
}

static bool sync_fails(struct file *file)
{
    struct env_sim *e = sim_of(file->env);

    if (!rng_chance(&e->sim->rng, e->faults.sync_fails_ppm, 1000000))
        return false;
    counter_inc(sim_syncs_failed);
    inode_sync_failed(e->disk, file_of(file)->inode);
    sim_note(e->sim, "node %u: a sync failed", file->env->node_id);
    return true;
}

static WAITS int op_write_sync(struct file *file, const struct iovec *iov, int count, uint64_t offset)
{
    struct env_sim *e = sim_of(file->env);
    uint64_t        size = 0;
    int             rc = write_now(file, iov, count, offset);

    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    delay(e, 100, 2000);
    if (file->env->dead)
        return -ECANCELED;
    if (rc < 0)
        return rc;
    if (sync_fails(file))
        return -EIO;
    inode_sync_range(e->disk, file_of(file)->inode, offset, size);
    sim_trace(e->sim, "write_sync", file->env->node_id, offset, size);
    return 0;
}

static WAITS int op_sync(struct file *file)
{
    struct env_sim *e = sim_of(file->env);

    delay(e, 100, 2000);
    if (file->env->dead)
        return -ECANCELED;
    if (sync_fails(file))
        return -EIO;
    /* What others wrote meanwhile may be included; the real call promises only what was written before. */
    inode_sync(e->disk, file_of(file)->inode);
    sim_trace(e->sim, "sync", file->env->node_id, 0, 0);
    return 0;
}

static WAITS int op_allocate(struct file *file, uint64_t offset, uint64_t size, bool zero)
{
    struct env_sim *e = sim_of(file->env);

    (void)zero;
    delay(e, 10, 500);
    if (file->env->dead)
        return -ECANCELED;
    return inode_allocate(e->disk, file_of(file)->inode, offset, size);
}

static WAITS int op_truncate(struct file *file, uint64_t size)
{
    struct env_sim *e = sim_of(file->env);

    delay(e, 5, 100);
    if (file->env->dead)
        return -ECANCELED;
    return inode_truncate(e->disk, file_of(file)->inode, size);
}

static WAITS int op_size(struct file *file, uint64_t *ret_size)
{
    *ret_size = inode_size(file_of(file)->inode);
    return 0;
}

static void op_close(struct file *file)
{
    struct file_sim *f = file_of(file);

    disk_close(f->disk, f->inode);
    free(f);
}

/* --- Names --- */

static WAITS int op_mkdir(struct env *env, const char *path)
{
    delay(sim_of(env), 5, 100);
    return env->dead ? -ECANCELED : disk_mkdir(sim_of(env)->disk, path);
}

static WAITS int op_rename(struct env *env, const char *from, const char *to)
{
    delay(sim_of(env), 5, 100);
    return env->dead ? -ECANCELED : disk_rename(sim_of(env)->disk, from, to);
}

static WAITS int op_unlink(struct env *env, const char *path)
{
    delay(sim_of(env), 5, 100);
    return env->dead ? -ECANCELED : disk_unlink(sim_of(env)->disk, path);
}

static WAITS int op_list(struct env *env, const char *path, struct env_entry **ret_entries, uint32_t *ret_count)
{
    delay(sim_of(env), 5, 200);
    return env->dead ? -ECANCELED : disk_list(sim_of(env)->disk, path, ret_entries, ret_count);
}

static WAITS int op_sync_dir(struct env *env, const char *path)
{
    delay(sim_of(env), 100, 2000);
    return env->dead ? -ECANCELED : disk_sync_dir(sim_of(env)->disk, path);
}

static WAITS int op_space(struct env *env, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct disk      *disk = sim_of(env)->disk;
    struct env_entry *entries;
    uint32_t          count;
    int               rc = disk_list(disk, path, &entries, &count);

    if (rc < 0)
        return rc;
    free(entries);
    *ret_total = disk_capacity(disk);
    *ret_free = disk_used(disk) < disk_capacity(disk) ? disk_capacity(disk) - disk_used(disk) : 0;
    return 0;
}

static const struct env_ops ops = {
    .now = op_now, .wall = op_wall, .random = op_random, .work = op_work,
    .open = op_open, .read = op_read, .write = op_write, .write_sync = op_write_sync, .sync = op_sync,
    .allocate = op_allocate, .truncate = op_truncate, .size = op_size, .close = op_close,
    .mkdir = op_mkdir, .rename = op_rename, .unlink = op_unlink, .list = op_list, .sync_dir = op_sync_dir,
    .space = op_space,
};

void env_sim_init(struct env_sim *env, struct sim *sim, struct disk *disk, uint32_t node_id)
{
    *env = (struct env_sim) {
        .env = { .ops = &ops, .sched = sim->sched, .node_id = node_id },
        .sim = sim, .disk = disk, .rng = rng_fork(&sim->rng), .born = sim->now,
    };
    task_group_init(&env->env.group, sim->sched);
}

void env_sim_kill(struct env_sim *env, bool power_cut)
{
    if (env->env.dead)
        return;
    env->env.dead = true;
    task_group_cancel(&env->env.group);
    if (power_cut)
        disk_power_cut(env->disk);
    disk_extras_crash(env->disk);
}
