/* storage/kv.c - the calls of storage/kv.h, handed to the backend after checking what they promise. */
#include "storage/kv.h"

#include <assert.h>

WAITS int kv_open(const struct kv_backend *backend, struct env *env, const char *path,
                  const struct kv_options *options, struct kv **ret_kv, struct error *err)
{
    static const struct kv_options defaults;
    struct kv *kv;
    int        rc;

    rc = backend->open(env, path, options ? options : &defaults, &kv, err);
    if (rc)
        return rc;
    kv->backend = backend;
    kv->env = env;
    *ret_kv = kv;
    return 0;
}

WAITS void kv_close(struct kv *kv)
{
    if (kv)
        kv->backend->close(kv);
}

WAITS int kv_get(struct kv *kv, struct slice key, struct arena *arena, struct slice *ret_value)
{
    if (key.size == 0 || key.size > KV_KEY_MAX)
        return -E_LIMIT;
    return kv->backend->get(kv, key, arena, ret_value);
}

WAITS int kv_write(struct kv *kv, struct kv_batch *batch)
{
    int rc;

    if (kv_batch_count(batch) == 0)
        return 0;
    rc = kv->backend->write(kv, batch);
    if (rc == 0)
        kv_batch_clear(batch);
    return rc;
}

WAITS int kv_scan(struct kv *kv, struct slice from, struct slice to, bool reverse, kv_visit visit, void *arg)
{
    if (to.size && slice_compare(from, to) >= 0)
        return 0;
    return kv->backend->scan(kv, from, to, reverse, visit, arg);
}

WAITS int kv_flush(struct kv *kv)
{
    return kv->backend->flush(kv);
}
