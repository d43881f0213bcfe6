/* storage/device.c - identity, life and health of one drive; see storage/device.h.
 *
 * device.id is a short text with a checksum, written once, by rename. It is read
 * again every second: when the directory was removed or another drive is
 * mounted there, open files would go on working, and only this look tells. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/counter.h"
#include "base/log.h"
#include "storage/blob_store.h"
#include "storage/row_store.h"

COUNTER(device_failures, "Devices taken out of service because of a fault.");
GAUGE(devices_in_service, "Devices in service in this process.");
GAUGE(devices_free_bytes, "Free bytes on the file systems of devices in service.");

enum {
    IDENTITY_BYTES_MAX = 512,
    RESERVE_BYTES = 256 * 1024 * 1024,
    RESERVE_PART = 20                 /* Or a twentieth of the drive, when that is less. */
};

struct device_private {
    char           identity[IDENTITY_BYTES_MAX];   /* What device.id must say. */
    uint64_t       reserve_bytes;
    uint64_t       counted_free;                   /* In the gauge. */
    bool           counted, closing, watching;
    struct waitq   close_q;
    struct task   *closer;
};

static struct device_private *private(const struct device *device)
{
    return device->private_;
}

/* --- Faults. --- */

static void gauges(struct device *device)
{
    struct device_private *p = private(device);
    bool                   in = device->state == DEVICE_IN_SERVICE;
    uint64_t               free_bytes = in ? device->free_bytes : 0;

    counter_add(devices_in_service, (int64_t)in - p->counted);
    counter_add(devices_free_bytes, (int64_t)(free_bytes - p->counted_free));
    p->counted = in;
    p->counted_free = free_bytes;
}

void device_fail(struct device *device, int code, const char *why)
{
    if (device->state == DEVICE_FAILED || device->env->dead || code == -ECANCELED)
        return;
    device->state = DEVICE_FAILED;
    snprintf(device->failure, sizeof device->failure, "%s: %s", why, error_text(code));
    counter_inc(device_failures);
    gauges(device);
    log_error("device.failed", "device=%u path=\"%s\" why=\"%s\" code=%s", device->id, device->path, device->failure,
              error_name(code));
}

/* --- Identity. --- */

static int identity_format(char out[IDENTITY_BYTES_MAX], uint64_t cluster_id, const uint8_t uuid[16], uint16_t id)
{
    int n = snprintf(out, IDENTITY_BYTES_MAX, "ringstack-device 1\ncluster %016" PRIx64 "\ndevice ", cluster_id);

    for (int i = 0; i < 16; i++)
        n += snprintf(out + n, IDENTITY_BYTES_MAX - (size_t)n, "%02x", uuid[i]);
    n += snprintf(out + n, IDENTITY_BYTES_MAX - (size_t)n, "\nid %u\n", id);
    n += snprintf(out + n, IDENTITY_BYTES_MAX - (size_t)n, "checksum %016" PRIx64 "\n",
                  (uint64_t)XXH3_64bits(out, (size_t)n));
    return n;
}

/* Reads what device.id says; the text is checked by making it again from what was read. */
static int identity_parse(const char *text, uint64_t *ret_cluster, uint8_t ret_uuid[16], unsigned *ret_id)
{
    char     again[IDENTITY_BYTES_MAX];
    char     hex[33];
    unsigned version;

    if (sscanf(text, "ringstack-device %u\n", &version) == 1 && version > 1 && version < 1000)
        return -E_TOO_NEW;
    if (sscanf(text, "ringstack-device 1\ncluster %16" SCNx64 "\ndevice %32[0-9a-f]\nid %5u\n", ret_cluster, hex,
               ret_id) != 3 ||
        strlen(hex) != 32 || *ret_id >= RING_NONE)
        return -E_CORRUPT;
    for (int i = 0; i < 16; i++) {
        unsigned byte;

        sscanf(hex + 2 * i, "%2x", &byte);
        ret_uuid[i] = (uint8_t)byte;
    }
    identity_format(again, *ret_cluster, ret_uuid, (uint16_t)*ret_id);
    return strcmp(again, text) == 0 ? 0 : -E_CORRUPT;
}

WAITS static int read_text(struct device *device, const char *name, char out[IDENTITY_BYTES_MAX])
{
    char         path[ENV_PATH_MAX + 32];
    struct file *file;
    size_t       size = 0;
    int          rc;

    snprintf(path, sizeof path, "%s/%s", device->path, name);
    rc = env_open(device->env, path, FILE_READ_ONLY, &file);
    if (rc)
        return rc;
    rc = file_read(file, out, IDENTITY_BYTES_MAX - 1, 0, &size);
    file_close(file);
    out[rc ? 0 : size] = 0;
    return rc;
}

WAITS static int identity_write(struct device *device, const char *text)
{
    char         fresh[ENV_PATH_MAX + 32], final[ENV_PATH_MAX + 32];
    struct file *file;
    int          rc;

    snprintf(fresh, sizeof fresh, "%s/device.id.new", device->path);
    snprintf(final, sizeof final, "%s/device.id", device->path);
    rc = env_open(device->env, fresh, FILE_CREATE, &file);
    if (rc)
        return rc;
    rc = file_write(file, text, strlen(text), 0);
    if (rc == 0)
        rc = file_truncate(file, strlen(text));
    if (rc == 0)
        rc = file_sync(file);
    file_close(file);
    if (rc == 0)
        rc = env_rename(device->env, fresh, final);
    return rc ? rc : env_sync_dir(device->env, device->path);
}

/* A directory without device.id becomes a device only when it holds nothing. */
WAITS static int directory_is_empty(struct device *device, struct error *err)
{
    struct env_entry *entries = NULL;
    uint32_t          count = 0;
    int               rc = env_list(device->env, device->path, &entries, &count);

    for (uint32_t i = 0; i < count && rc == 0; i++)
        if (strcmp(entries[i].name, "lost+found") && strcmp(entries[i].name, "device.id.new"))
            rc = error_set(err, -ENOTEMPTY, "%s has no device.id but holds other files; give an empty directory",
                           device->path);
    free(entries);
    return rc;
}

WAITS static int identity_open(struct device *device, uint64_t cluster_id, struct error *err)
{
    struct device_private *p = private(device);
    char                   parent[ENV_PATH_MAX];
    uint64_t               cluster = 0;
    unsigned               id = 0;
    int                    rc = env_mkdir(device->env, device->path);

    if (rc)
        return error_set(err, rc, "%s can't be made: %s", device->path, error_text(rc));
    rc = read_text(device, "device.id", p->identity);
    if (rc == -ENOENT) {
        rc = directory_is_empty(device, err);
        if (rc)
            return rc;
        env_random(device->env, device->uuid, sizeof device->uuid);
        identity_format(p->identity, cluster_id, device->uuid, device->id);
        rc = identity_write(device, p->identity);
        /* The directory's own name must survive a power cut, too. */
        memcpy(parent, device->path, sizeof parent);
        if (rc == 0 && strrchr(parent, '/') && strrchr(parent, '/') != parent) {
            *strrchr(parent, '/') = 0;
            rc = env_sync_dir(device->env, parent);
        }
        if (rc)
            return error_set(err, rc, "%s/device.id can't be written: %s", device->path, error_text(rc));
        log_info("device.created", "device=%u path=\"%s\"", device->id, device->path);
        return 0;
    }
    /* Its name may have been given but not yet synced when the process was killed. */
    if (rc == 0)
        rc = env_sync_dir(device->env, device->path);
    if (rc == 0)
        rc = identity_parse(p->identity, &cluster, device->uuid, &id);
    if (rc)
        return error_set(err, rc, "%s/device.id can't be read: %s", device->path, error_text(rc));
    if (cluster != cluster_id)
        return error_set(err, -E_CONFLICT, "%s belongs to cluster %016" PRIx64 ", not %016" PRIx64, device->path,
                         cluster, cluster_id);
    if (id != device->id)
        return error_set(err, -E_CONFLICT, "%s is device %u, not %u", device->path, id, device->id);
    return 0;
}

/* --- Health. --- */

WAITS static int look_at_space(struct device *device)
{
    struct device_private *p = private(device);
    bool                   full;
    int rc = env_space(device->env, device->path, &device->free_bytes, &device->total_bytes);

    if (rc)
        return rc;
    /* A little more must be free again before it counts as not full, so that it does not flutter. */
    full = device->free_bytes < p->reserve_bytes + (device->full ? p->reserve_bytes / 8 : 0);
    if (full != device->full)
        log_warn(full ? "device.full" : "device.not_full", "device=%u free_bytes=%llu reserve_bytes=%llu", device->id,
                 (unsigned long long)device->free_bytes, (unsigned long long)p->reserve_bytes);
    device->full = full;
    gauges(device);
    return 0;
}

WAITS static void look(struct device *device)
{
    struct device_private *p = private(device);
    char                   text[IDENTITY_BYTES_MAX];
    int                    rc = read_text(device, "device.id", text);

    if (rc == 0 && strcmp(text, p->identity)) {
        device_fail(device, -E_CORRUPT, "device.id changed");
        return;
    }
    if (rc == 0)
        rc = look_at_space(device);
    switch (rc) {
    case 0: case -EMFILE: case -ENFILE: case -ENOMEM: case -E_OVERLOAD: case -ECANCELED:
        return;   /* Nothing, or not the device's fault. */
    case -ENOENT: case -ENOTDIR:
        device_fail(device, rc, "its directory is gone");
        return;
    default:
        device_fail(device, rc, "device.id can't be read");
    }
}

WAITS static void watch_task(void *arg)
{
    struct device         *device = arg;
    struct device_private *p = private(device);

    while (!p->closing && !task_cancelled() && device->state != DEVICE_FAILED) {
        if (waitq_wait(&p->close_q, env_now(device->env) + DEVICE_CHECK_MS * NS_PER_MS) == -ETIMEDOUT)
            look(device);
    }
    p->watching = false;
    if (p->closer)
        task_unpark(p->closer);
}

/* --- Opening and closing. --- */

WAITS static int open_parts(struct device *device, const struct device_options *o, struct error *err)
{
    char                   path[ENV_PATH_MAX + 16];
    struct journal_options journal = { .path = path, .segment_bytes = o->journal_segment_bytes,
                                       .segments = o->journal_segments };
    int                    rc;

    snprintf(path, sizeof path, "%s/index", device->path);
    rc = env_mkdir(device->env, path);
    if (rc == 0)
        rc = kv_open(o->backend ? o->backend : &kv_rocks, device->env, path, NULL, &device->kv, err);
    if (rc)
        return rc;
    snprintf(path, sizeof path, "%s/journal", device->path);
    rc = row_store_open(device, &journal, o->row_memory, &device->rows, err);
    if (rc == 0)
        rc = blob_store_open(device, o->volume_bytes, &device->blobs, err);
    return rc;
}

WAITS int device_open(struct env *env, struct hlc *hlc, const struct device_options *options,
                      struct device **ret_device, struct error *err)
{
    struct device         *device = calloc(1, sizeof *device);
    struct device_private *p = calloc(1, sizeof *p);
    int                    rc;

    if (!device || !p || strlen(options->path) + 32 >= sizeof device->path) {
        free(device);
        free(p);
        return error_set(err, device && p ? -ENAMETOOLONG : -ENOMEM, "device %u can't be opened", options->id);
    }
    device->env = env;
    device->hlc = hlc;
    device->id = options->id;
    device->private_ = p;
    memcpy(device->path, options->path, strlen(options->path) + 1);

    rc = identity_open(device, options->cluster_id, err);
    if (rc == 0) {
        rc = env_space(env, device->path, &device->free_bytes, &device->total_bytes);
        p->reserve_bytes = options->reserve_bytes ? options->reserve_bytes : RESERVE_BYTES;
        if (!options->reserve_bytes && device->total_bytes / RESERVE_PART < p->reserve_bytes)
            p->reserve_bytes = device->total_bytes / RESERVE_PART;
        if (rc == 0)
            rc = look_at_space(device);
        if (rc)
            error_set(err, rc, "%s: free space can't be learnt", device->path);
    }
    if (rc == 0)
        rc = open_parts(device, options, err);
    if (rc == 0 && device->state == DEVICE_FAILED)
        rc = error_set(err, -E_DEVICE, "device %u failed at once: %s", device->id, device->failure);
    if (rc == 0) {
        p->watching = true;
        rc = env_spawn(env, "device-watch", watch_task, device);
        if (rc)
            p->watching = false;
    }
    if (rc) {
        if (err && !err->text[0])
            error_set(err, rc, "%s can't be opened: %s", device->path, error_text(rc));
        device_close(device);
        return rc;
    }
    device->state = DEVICE_IN_SERVICE;
    gauges(device);
    *ret_device = device;
    return 0;
}

WAITS struct device *device_close(struct device *device)
{
    struct device_private *p;

    if (!device)
        return NULL;
    p = private(device);
    p->closing = true;
    waitq_wake_all(&p->close_q);
    p->closer = task_self();
    while (p->watching)
        task_park_shielded();
    device->blobs = blob_store_close(device->blobs);
    if (device->rows)
        device->rows = row_store_close(device->rows);   /* Flushes the index. */
    kv_close(device->kv);
    if (device->state == DEVICE_IN_SERVICE)
        device->state = DEVICE_STARTING;   /* Leaves the gauges. */
    device->free_bytes = 0;
    gauges(device);
    free(p);
    free(device);
    return NULL;
}
