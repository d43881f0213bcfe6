/* proxy/object/seal.c - encrypting objects and parts on their way in. See seal.h. */
#include "proxy/object/seal.h"

#include <openssl/evp.h>

#include "base/bytes.h"

/* --- Keys. --- */

struct slice seal_context(struct seal_context *ret, const uint8_t shard[SHARD_ID_BYTES], const uint8_t *upload,
                          uint32_t part, struct slice name)
{
    uint8_t *to = ret->bytes;

    memcpy(to, shard, SHARD_ID_BYTES);
    to += SHARD_ID_BYTES;
    memset(to, 0, UPLOAD_ID_BYTES);
    if (upload)
        memcpy(to, upload, UPLOAD_ID_BYTES);
    to += UPLOAD_ID_BYTES;
    put_u32be(to, part);
    to += 4;
    memcpy(to, name.data, name.size);
    ret->size = (size_t)(to - ret->bytes) + name.size;
    return slice_of(ret->bytes, ret->size);
}

static struct slice key_md5(const struct crypt_key *key, struct arena *arena)
{
    uint8_t *digest = arena_alloc(arena, 16);

    if (!digest || EVP_Digest(key->bytes, sizeof key->bytes, digest, NULL, EVP_md5(), NULL) != 1)
        return SLICE_NONE;
    return slice_of(digest, 16);
}

/* The record's kind, and which key seals the data key; the master key that is current, or the customer's. */
static int choose_key(struct object_service *s, const struct put_encryption *e, struct arena *arena,
                      Rs__Encryption *record, struct crypt_key *ret_key, struct error *err)
{
    rs__encryption__init(record);
    record->kind = (uint32_t)e->kind;
    record->frame = CRYPT_FRAME_BYTES;
    if (e->kind == ENCRYPTION_S3) {
        uint8_t *id = arena_alloc(arena, CRYPT_KEY_ID_BYTES);

        if (!s->options.keys)
            return error_set(err, -ENOTSUP, "this service has no keys to encrypt objects with");
        if (!id)
            return error_set(err, -ENOMEM, "out of memory");
        crypt_keys_current(s->options.keys, id, ret_key);
        record->key_id = pb_data(slice_of(id, CRYPT_KEY_ID_BYTES));
        return 0;
    }
    if (e->kind != ENCRYPTION_CUSTOMER || !e->customer_key)
        return error_set(err, -EINVAL, "there is no key to encrypt with");
    record->key_md5 = pb_data(key_md5(e->customer_key, arena));
    if (!record->key_md5.data)
        return error_set(err, -ENOMEM, "out of memory");
    *ret_key = *e->customer_key;
    return 0;
}

int upload_encryption(struct object_service *s, const struct put_encryption *encryption, struct arena *arena,
                      Rs__Encryption **ret_record, struct error *err)
{
    Rs__Encryption  *record = arena_new(arena, Rs__Encryption);
    struct crypt_key key;
    int              rc;

    if (!record)
        return error_set(err, -ENOMEM, "out of memory");
    rc = choose_key(s, encryption, arena, record, &key, err);
    crypt_wipe(&key);
    record->key_id = pb_data(SLICE_NONE);   /* Each part names the one that it uses. */
    if (rc == 0)
        *ret_record = record;
    return rc;
}

/* Makes the data key, and seals it by the one that follows from 'by' and a fresh salt. */
static int wrap_fresh(struct seal *seal, const struct crypt_key *by, struct slice context, struct arena *arena)
{
    uint8_t          nonce[CRYPT_NONCE_BYTES];
    uint8_t         *salt = arena_alloc(arena, CRYPT_SALT_BYTES), *wrapped = arena_alloc(arena, CRYPT_WRAPPED_BYTES);
    struct crypt_key wrapping;
    int              rc;

    if (!salt || !wrapped)
        return -ENOMEM;
    env_random(seal->env, seal->key.bytes, sizeof seal->key.bytes);
    env_random(seal->env, salt, CRYPT_SALT_BYTES);
    env_random(seal->env, nonce, sizeof nonce);
    rc = crypt_derive(by, slice_of(salt, CRYPT_SALT_BYTES), &wrapping);
    if (rc == 0)
        rc = crypt_wrap(&wrapping, nonce, context, &seal->key, wrapped);
    crypt_wipe(&wrapping);
    seal->record.salt = pb_data(slice_of(salt, CRYPT_SALT_BYTES));
    seal->record.wrapped_key = pb_data(slice_of(wrapped, CRYPT_WRAPPED_BYTES));
    return rc;
}

int seal_new(struct object_service *s, const struct put_encryption *encryption, struct slice context,
             struct arena *arena, struct seal **ret_seal, struct error *err)
{
    struct seal     *seal = arena_new(arena, struct seal);
    struct crypt_key by;
    int              rc;

    if (!seal)
        return error_set(err, -ENOMEM, "out of memory");
    seal->env = s->options.env;
    rc = choose_key(s, encryption, arena, &seal->record, &by, err);
    if (rc == 0) {
        rc = wrap_fresh(seal, &by, context, arena);
        if (rc)
            error_set(err, rc, "the object's key can't be made: %s", error_text(rc));
    }
    crypt_wipe(&by);
    if (rc) {
        crypt_wipe(&seal->key);
        return rc;
    }
    *ret_seal = seal;
    return 0;
}

void seal_done(struct seal *seal)
{
    if (!seal)
        return;
    crypt_wipe(&seal->key);
    seal->waiting = buf_unref(seal->waiting);
}

/* --- Bytes. --- */

struct seal_job {
    const struct seal *seal;
    bool               ends;
    struct slice       plain;
    uint8_t           *out;
    int                rc;
};

static void seal_job(void *arg)
{
    struct seal_job *job = arg;

    job->rc = crypt_seal(&job->seal->key, job->seal->frame, job->ends, job->plain, job->out);
}

static uint64_t frames_of(uint64_t plain)
{
    return plain / CRYPT_FRAME_BYTES + (plain % CRYPT_FRAME_BYTES != 0);
}

/* Seals the waiting bytes and writes them. */
WAITS static int flush(struct seal *seal, struct blob_writer *writer, bool ends, struct error *err)
{
    struct slice rest = slice_of(seal->waiting ? seal->waiting->data : NULL, seal->waiting_size);
    int          rc = 0;

    while (rc == 0 && rest.size > 0) {
        size_t          n = rest.size < SEAL_FRAMES * CRYPT_FRAME_BYTES ? rest.size : SEAL_FRAMES * CRYPT_FRAME_BYTES;
        uint32_t        stored = (uint32_t)crypt_stored_size(n);
        struct buf     *buf = buf_new(stored);
        struct seal_job job = { .seal = seal, .ends = ends && n == rest.size, .plain = slice_of(rest.data, n) };

        if (!buf)
            return error_set(err, -ENOMEM, "out of memory");
        job.out = buf->data;
        if (n > SEAL_ON_LOOP_MAX)
            rc = env_work(seal->env, WORK_CPU, seal_job, &job);
        else
            seal_job(&job);
        if (rc == 0 && job.rc)
            rc = job.rc;
        if (rc)
            error_set(err, rc, "encrypting fails: %s", error_text(rc));
        else
            rc = blob_write(writer, buf, 0, stored, err);
        buf_unref(buf);
        seal->frame += frames_of(n);
        rest = slice_from(rest, n);
    }
    seal->waiting = buf_unref(seal->waiting);
    seal->waiting_size = 0;
    return rc;
}

int seal_add(struct seal *seal, struct blob_writer *writer, struct buf *buf, uint32_t size, struct error *err)
{
    int rc = flush(seal, writer, false, err);

    if (rc == 0) {
        seal->waiting = buf_ref(buf);
        seal->waiting_size = size;
    }
    return rc;
}

int seal_end(struct seal *seal, struct blob_writer *writer, struct error *err)
{
    return flush(seal, writer, true, err);
}

int seal_inline(struct seal *seal, const struct buf *buf, uint32_t size, struct buf **ret_buf, struct error *err)
{
    struct buf *out = buf_new(crypt_stored_size(size) + 1);
    int         rc;

    if (!out)
        return error_set(err, -ENOMEM, "out of memory");
    rc = crypt_seal(&seal->key, seal->frame, true, slice_of(buf->data, size), out->data);
    if (rc) {
        buf_unref(out);
        return error_set(err, rc, "encrypting fails: %s", error_text(rc));
    }
    *ret_buf = out;
    return 0;
}
