/* proxy/object/hasher.c - see hasher.h. */
#define OPENSSL_SUPPRESS_DEPRECATED   /* MD5_Init() and so on: EVP allocates at each use. */
#include "proxy/object/hasher.h"

#include <stdlib.h>

#include <openssl/md5.h>

enum { HASH_ON_LOOP_MAX = 32 * 1024 };   /* Less than what a hand-over to a worker and back costs others. */

struct piece {
    struct buf *buf;
    uint32_t    size;
};

/* Shared by the receiver and the hashing task, either of which may end first (cancelled). */
struct hash_stream {
    uint32_t      refs;
    struct md5_lanes *lanes;
    MD5_CTX       md5;
    struct checksum checksum;
    uint8_t       value[CHECKSUM_BYTES_MAX];   /* Of 'checksum', after the end. */
    bool          tasked;
    bool          closed;
    bool          ended;          /* The task is through. */
    int           rc;
    struct piece  queue[HASH_QUEUE];
    uint32_t      head, count;
    struct piece  at_work;
    struct waitq  wake_task, wake_owner;
};

static void checksum_job(void *arg)
{
    struct hash_stream *h = arg;

    checksum_add(&h->checksum, h->at_work.buf->data, h->at_work.size);
}

/* Whole blocks go to the lanes; what is left over (the end of the stream) is hashed here. */
WAITS static int hash_piece(struct hash_stream *h)
{
    const uint8_t *data = h->at_work.buf->data;
    size_t         size = h->at_work.size, blocks = size / MD5_BLOCK;
    uint64_t       bits;
    int            rc = 0;

    if (h->checksum.kind != CHECKSUM_NONE) {
        if (size > HASH_ON_LOOP_MAX)
            rc = env_work(h->lanes->env, WORK_CPU, checksum_job, h);
        else
            checksum_job(h);
        if (rc)
            return rc;
    }
    if (size > HASH_ON_LOOP_MAX && h->md5.num == 0) {
        uint32_t state[4] = { h->md5.A, h->md5.B, h->md5.C, h->md5.D };
        rc = md5_lanes_run(h->lanes, state, data, blocks);
        h->md5.A = state[0];
        h->md5.B = state[1];
        h->md5.C = state[2];
        h->md5.D = state[3];
        bits = ((uint64_t)h->md5.Nh << 32 | h->md5.Nl) + (uint64_t)blocks * MD5_BLOCK * 8;
        h->md5.Nl = (MD5_LONG)bits;
        h->md5.Nh = (MD5_LONG)(bits >> 32);
        data += blocks * MD5_BLOCK;
        size -= blocks * MD5_BLOCK;
    }
    MD5_Update(&h->md5, data, size);
    return rc;
}

static void hash_unref(struct hash_stream *h)
{
    if (--h->refs > 0)
        return;
    for (; h->count > 0; h->count--, h->head = (h->head + 1) % HASH_QUEUE)
        buf_unref(h->queue[h->head].buf);
    free(h);
}

WAITS static void hash_task(void *arg)
{
    struct hash_stream *h = arg;
    int                 rc = 0;

    while (rc == 0) {
        if (h->count == 0) {
            if (h->closed)
                break;
            rc = waitq_wait(&h->wake_task, TASK_FOREVER);
            continue;
        }
        h->at_work = h->queue[h->head];
        h->head = (h->head + 1) % HASH_QUEUE;
        h->count--;
        waitq_wake_all(&h->wake_owner);
        rc = hash_piece(h);   /* The buffer is ours until then. */
        buf_unref(h->at_work.buf);
    }
    h->rc = rc;
    h->ended = true;
    waitq_wake_all(&h->wake_owner);
    hash_unref(h);
}

void hasher_init(struct hasher *hasher, struct md5_lanes *lanes)
{
    hasher->lanes = lanes;
    hasher->stream = NULL;
    hasher->kind = CHECKSUM_NONE;
}

int hasher_checksum(struct hasher *hasher, enum checksum_kind kind)
{
    if (hasher->stream || (kind != CHECKSUM_NONE && checksum_size(kind) == 0))
        return -EINVAL;
    hasher->kind = kind;
    return 0;
}

struct slice hasher_checksum_value(const struct hasher *hasher)
{
    if (!hasher->stream || hasher->kind == CHECKSUM_NONE)
        return SLICE_NONE;
    return slice_of(hasher->stream->value, checksum_size(hasher->kind));
}

static int hash_start(struct hasher *hasher, struct error *err)
{
    struct hash_stream *h = calloc(1, sizeof *h);

    if (!h)
        return error_set(err, -ENOMEM, "out of memory");
    h->refs = 1;
    h->lanes = hasher->lanes;
    MD5_Init(&h->md5);
    checksum_init(&h->checksum, hasher->kind);
    hasher->stream = h;
    return 0;
}

static int hash_start_task(struct hash_stream *h, struct error *err)
{
    int rc;

    h->refs++;
    rc = env_spawn(h->lanes->env, "object.hash", hash_task, h);
    if (rc) {
        h->refs--;
        return error_set(err, rc, "no task for the checksum");
    }
    h->tasked = true;
    return 0;
}

int hasher_add(struct hasher *hasher, struct buf *buf, uint32_t size, bool overlap, int64_t deadline,
               struct error *err)
{
    struct hash_stream *h;
    int                 rc = hasher->stream ? 0 : hash_start(hasher, err);

    if (rc)
        return rc;
    h = hasher->stream;
    if (overlap && !h->tasked) {
        rc = hash_start_task(h, err);
        if (rc)
            return rc;
    }
    if (!h->tasked) {
        h->at_work = (struct piece) { buf, size };
        rc = hash_piece(h);
        return rc ? error_set(err, rc, "the checksum could not be computed") : 0;
    }
    while (h->count == HASH_QUEUE && !h->ended) {
        rc = waitq_wait(&h->wake_owner, deadline);
        if (rc)
            return rc;
    }
    if (h->ended)
        return error_set(err, h->rc ? h->rc : -ECANCELED, "the checksum could not be computed");
    h->queue[(h->head + h->count++) % HASH_QUEUE] = (struct piece) { buf_ref(buf), size };
    waitq_wake_one(&h->wake_task);
    return 0;
}

int hasher_end(struct hasher *hasher, uint8_t ret_digest[16], struct error *err)
{
    struct hash_stream *h;
    int                 rc = hasher->stream ? 0 : hash_start(hasher, err);

    if (rc)
        return rc;
    h = hasher->stream;
    h->closed = true;
    waitq_wake_one(&h->wake_task);
    while (h->tasked && !h->ended) {
        rc = waitq_wait(&h->wake_owner, TASK_FOREVER);
        if (rc)
            return rc;
    }
    if (h->rc)
        return error_set(err, h->rc, "the checksum could not be computed");
    MD5_Final(ret_digest, &h->md5);
    checksum_end(&h->checksum, h->value);
    return 0;
}

void hasher_done(struct hasher *hasher)
{
    struct hash_stream *h = hasher->stream;

    if (!h)
        return;
    hasher->stream = NULL;
    h->closed = true;
    waitq_wake_one(&h->wake_task);
    hash_unref(h);
}
