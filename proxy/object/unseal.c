/* proxy/object/unseal.c - opening encrypted objects: frame by frame, each part by its own data key. See seal.h. */
#include "proxy/object/seal.h"

#include <stdlib.h>

struct unseal {
    struct object_service *service;
    const struct object   *object;
    struct crypt_key       customer;    /* If has_customer. */
    bool                   has_customer;
    Rs__PartEntry          whole;       /* An object without parts, as if it were its only one. */
    Rs__PartEntry         *only;
    Rs__PartEntry *const  *parts;
    size_t                 count, at;   /* 'at': the part that is being read. */
    uint64_t               frame;       /* Of that part: the next one. */
    struct crypt_key       key;         /* Of that part, once 'open'. */
    bool                   open;
    uint64_t               skip, left;  /* Plain bytes before what is wanted, and wanted ones. */
    struct slice           raw;         /* From the source, not used yet. */
    struct buf            *in, *out;    /* Stored frames that came in pieces; the plain ones. */
};

/* --- Keys. --- */

/* A part that says how its bytes lie. -E_CORRUPT, -E_TOO_NEW. */
static int part_check(const Rs__PartEntry *p, struct error *err)
{
    const Rs__Encryption *e = p->encryption;

    if (!e || p->stored != crypt_stored_size(p->size) || e->salt.len != CRYPT_SALT_BYTES)
        return error_set(err, -E_CORRUPT, "the record of an encrypted object can't be read");
    if (e->frame != CRYPT_FRAME_BYTES || (e->kind != ENCRYPTION_S3 && e->kind != ENCRYPTION_CUSTOMER))
        return error_set(err, -E_TOO_NEW, "the object is encrypted in a way that this program does not know");
    return 0;
}

WAITS static int part_open(struct unseal *u, struct error *err)
{
    const Rs__PartEntry  *p = u->parts[u->at];
    const Rs__Encryption *e = p->encryption;
    const Rs__ObjectMeta *meta = u->object->meta;
    struct seal_context   context;
    struct crypt_key      by = { { 0 } }, wrapping = { { 0 } };
    int                   rc = part_check(p, err);

    if (rc)
        return rc;
    if (e->kind == ENCRYPTION_CUSTOMER) {
        if (!u->has_customer)
            return error_set(err, -E_UNAUTHORIZED, "the object can only be read with its owner's key");
        by = u->customer;
    } else {
        rc = u->service->options.keys ? crypt_keys_find(u->service->options.keys, pb_slice(e->key_id), &by) : -ENOTSUP;
        if (rc)   /* Not -ENOENT: the object is there. */
            return error_set(err, rc == -ENOENT ? -E_CORRUPT : rc, "the master key of the object: %s", error_text(rc));
    }
    rc = crypt_derive(&by, pb_slice(e->salt), &wrapping);
    if (rc == 0)
        rc = crypt_unwrap(&wrapping,
                          seal_context(&context, u->object->shard, meta->upload.len ? meta->upload.data : NULL,
                                       meta->upload.len ? p->number : 0, u->object->name),
                          pb_slice(e->wrapped_key), &u->key);
    crypt_wipe(&by);
    crypt_wipe(&wrapping);
    if (rc == -E_UNAUTHORIZED && e->kind != ENCRYPTION_CUSTOMER)
        rc = -E_CORRUPT;   /* Our own key opens what it sealed. */
    if (rc)
        return error_set(err, rc, "the object's key can't be opened: %s", error_text(rc));
    u->open = true;
    return 0;
}

/* --- Where the bytes lie. --- */

/* Stored bytes of the part before its plain byte 'at', to the border of a frame. */
static uint64_t stored_before(uint64_t at)
{
    return at / CRYPT_FRAME_BYTES * CRYPT_SEALED_BYTES;
}

/* Finds the first part and frame, and which stored bytes are needed. */
static int locate(struct unseal *u, uint64_t offset, uint64_t size, uint64_t *ret_first, uint64_t *ret_size,
                  struct error *err)
{
    uint64_t plain = 0, stored = 0, end = offset + size, first = UINT64_MAX;

    for (size_t i = 0; i < u->count; i++) {
        const Rs__PartEntry *p = u->parts[i];
        int                  rc = part_check(p, err);

        if (rc)
            return rc;
        if (first == UINT64_MAX && offset < plain + p->size) {
            first = stored + stored_before(offset - plain);
            u->at = i;
            u->frame = (offset - plain) / CRYPT_FRAME_BYTES;
            u->skip = (offset - plain) % CRYPT_FRAME_BYTES;
        }
        if (end <= plain + p->size) {
            uint64_t last = stored + stored_before(end - 1 - plain) + CRYPT_SEALED_BYTES;

            *ret_first = first;
            *ret_size = (last < stored + p->stored ? last : stored + p->stored) - first;
            return 0;
        }
        plain += p->size;
        stored += p->stored;
    }
    return error_set(err, -E_CORRUPT, "the object's parts end before it does");
}

int unseal_new(struct object_service *s, const struct object *object, const Rs__PartTable *table, uint64_t offset,
               uint64_t size, struct unseal **ret_unseal, uint64_t *ret_first, uint64_t *ret_size, struct error *err)
{
    struct unseal *u = calloc(1, sizeof *u);
    int            rc;

    if (!u)
        return error_set(err, -ENOMEM, "out of memory");
    u->service = s;
    u->object = object;
    u->has_customer = object->customer_key != NULL;
    if (u->has_customer)
        u->customer = *object->customer_key;
    rs__part_entry__init(&u->whole);
    u->whole.size = object->size;
    u->whole.stored = object->value->size;
    u->whole.encryption = object->meta->encryption;
    u->only = &u->whole;
    u->parts = table ? table->parts : &u->only;
    u->count = table ? table->n_parts : 1;
    u->left = size;
    rc = locate(u, offset, size, ret_first, ret_size, err);
    if (rc == 0)
        rc = part_open(u, err);   /* A wrong key is told before the first byte. */
    if (rc) {
        unseal_free(u);
        return rc;
    }
    *ret_unseal = u;
    return 0;
}

struct unseal *unseal_free(struct unseal *u)
{
    if (!u)
        return NULL;
    crypt_wipe(&u->customer);
    crypt_wipe(&u->key);
    buf_unref(u->in);
    buf_unref(u->out);
    free(u);
    return NULL;
}

/* --- Bytes. --- */

/* The next 'size' stored bytes: as they lie in what came, or put together. */
WAITS static int gather(struct unseal *u, size_t size, unseal_source source, void *ctx, struct slice *ret,
                        struct error *err)
{
    size_t filled = 0;

    if (u->raw.size >= size) {
        *ret = slice_of(u->raw.data, size);
        u->raw = slice_from(u->raw, size);
        return 0;
    }
    if (!u->in)
        u->in = buf_new(SEAL_FRAMES * CRYPT_SEALED_BYTES);
    if (!u->in)
        return error_set(err, -ENOMEM, "out of memory");
    while (filled < size) {
        size_t n = u->raw.size < size - filled ? u->raw.size : size - filled;

        if (n == 0) {
            int rc = source(ctx, &u->raw, err);
            if (rc)
                return rc;
            if (u->raw.size == 0)
                return error_set(err, -E_CORRUPT, "the object's stored bytes end before it does");
            continue;
        }
        memcpy(u->in->data + filled, u->raw.data, n);
        u->raw = slice_from(u->raw, n);
        filled += n;
    }
    *ret = slice_of(u->in->data, size);
    return 0;
}

struct open_job {
    const struct crypt_key *key;
    uint64_t                frame;
    bool                    ends;
    struct slice            stored;
    uint8_t                *out;
    int                     rc;
};

static void open_job(void *arg)
{
    struct open_job *job = arg;

    job->rc = crypt_open(job->key, job->frame, job->ends, job->stored, job->out);
}

/* A run of frames of one part. '*ret_plain': their bytes. */
WAITS static int open_frames(struct unseal *u, uint64_t frames, unseal_source source, void *ctx, size_t *ret_plain,
                             struct error *err)
{
    const Rs__PartEntry *p = u->parts[u->at];
    uint64_t             plain = p->size - u->frame * CRYPT_FRAME_BYTES;
    struct open_job      job = { .key = &u->key, .frame = u->frame, .ends = plain <= frames * CRYPT_FRAME_BYTES };
    int                  rc;

    if (!job.ends)
        plain = frames * CRYPT_FRAME_BYTES;
    rc = gather(u, (size_t)crypt_stored_size(plain), source, ctx, &job.stored, err);
    if (rc)
        return rc;
    buf_unref(u->out);
    u->out = buf_new((size_t)plain);
    if (!u->out)
        return error_set(err, -ENOMEM, "out of memory");
    job.out = u->out->data;
    if (plain > SEAL_ON_LOOP_MAX)
        rc = env_work(u->service->options.env, WORK_CPU, open_job, &job);
    else
        open_job(&job);
    if (rc == 0)
        rc = job.rc;
    if (rc)
        return error_set(err, rc, "an encrypted object does not open: %s", error_text(rc));
    u->frame += frames;
    *ret_plain = (size_t)plain;
    return 0;
}

int unseal_next(struct unseal *u, unseal_source source, void *ctx, struct slice *ret_bytes, struct error *err)
{
    size_t   plain = 0, take;
    uint64_t frames;
    int      rc = 0;

    if (u->left == 0) {
        *ret_bytes = SLICE_NONE;
        return 0;
    }
    while (u->at < u->count && u->frame * CRYPT_FRAME_BYTES >= u->parts[u->at]->size) {
        u->at++;
        u->frame = 0;
        u->open = false;
    }
    if (u->at == u->count)
        return error_set(err, -E_CORRUPT, "the object's parts end before it does");
    if (!u->open)
        rc = part_open(u, err);
    frames = (u->skip + u->left + CRYPT_FRAME_BYTES - 1) / CRYPT_FRAME_BYTES;
    if (frames > SEAL_FRAMES)
        frames = SEAL_FRAMES;
    if (rc == 0)
        rc = open_frames(u, frames, source, ctx, &plain, err);
    if (rc)
        return rc;
    take = plain - (size_t)u->skip;
    if (take > u->left)
        take = (size_t)u->left;
    *ret_bytes = slice_of(u->out->data + u->skip, take);
    u->skip = 0;
    u->left -= take;
    return 0;
}
