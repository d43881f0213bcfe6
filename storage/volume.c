/* storage/volume.c - see storage/volume.h. */
#include "storage/volume.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"

COUNTER(volume_records, "Chunks written to volume files.");
COUNTER(volume_bytes, "Bytes written to volume files.");
COUNTER(volume_syncs, "fdatasync calls on volume files.");
COUNTER(volume_syncs_shared, "Requests that another one's sync made durable.");

enum {
    SCAN_BYTES = 2 * 1024 * 1024,     /* Holds any record from its beginning. */
    VERIFY_INLINE_BYTES = 64 * 1024   /* More is hashed on a worker. */
};

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* --- Files. --- */

static int path_of(const char *dir, uint32_t number, char *ret_path)
{
    int n = snprintf(ret_path, ENV_PATH_MAX, "%s/%08u.vol", dir, number);

    return n < 0 || n >= ENV_PATH_MAX ? -ENAMETOOLONG : 0;
}

static struct volume *volume_alloc(struct env *env)
{
    struct volume *v = calloc(1, sizeof *v);

    if (v) {
        v->env = env;
        v->refs = 1;
    }
    return v;
}

WAITS int volume_create(struct env *env, const char *dir, const struct volume_header *header,
                        struct volume **ret_volume)
{
    struct volume *v = volume_alloc(env);
    struct buf    *block = buf_new(VOLUME_ALIGN);
    int            rc = v && block ? path_of(dir, header->number, v->path) : -ENOMEM;

    if (rc == 0)
        rc = env_open(env, v->path, FILE_CREATE | FILE_EXCLUSIVE | FILE_DIRECT, &v->file);
    if (rc == 0) {
        v->header = *header;
        v->position = VOLUME_ALIGN;
        memset(block->data, 0, VOLUME_ALIGN);
        volume_header_encode(block->data, header);
        rc = file_write(v->file, block->data, VOLUME_ALIGN, 0);
        if (rc == 0)
            rc = file_sync(v->file);
        if (rc == 0)
            rc = env_sync_dir(env, dir);
        v->allocated = VOLUME_ALIGN;
    }
    buf_unref(block);
    if (rc == 0) {
        *ret_volume = v;
        return 0;
    }
    if (v && v->file && rc != -EEXIST)
        env_unlink(env, v->path);   /* So that the next try finds the name free. */
    volume_unref(v);
    return rc;
}

WAITS int volume_open(struct env *env, const char *dir, uint32_t number, struct volume **ret_volume)
{
    struct volume *v = volume_alloc(env);
    struct buf    *block = buf_new(VOLUME_ALIGN);
    size_t         got = 0;
    int            rc = v && block ? path_of(dir, number, v->path) : -ENOMEM;

    if (rc == 0)
        rc = env_open(env, v->path, FILE_DIRECT, &v->file);
    if (rc == 0)
        rc = file_size(v->file, &v->allocated);
    if (rc == 0)
        rc = file_read(v->file, block->data, VOLUME_ALIGN, 0, &got);
    if (rc == 0)
        rc = volume_header_decode(slice_of(block->data, got), &v->header);
    if (rc == 0 && v->header.number != number)
        rc = -E_CORRUPT;
    buf_unref(block);
    if (rc) {
        volume_unref(v);
        return rc;
    }
    v->allocated = v->allocated / VOLUME_ALIGN * VOLUME_ALIGN;
    v->position = v->allocated;
    *ret_volume = v;
    return 0;
}

struct volume *volume_ref(struct volume *v)
{
    v->refs++;
    return v;
}

struct volume *volume_unref(struct volume *v)
{
    if (v && --v->refs == 0) {
        file_close(v->file);
        free(v);
    }
    return NULL;
}

WAITS int volume_unlink(struct volume *v, const char *dir)
{
    int rc = env_unlink(v->env, v->path);

    return rc ? rc : env_sync_dir(v->env, dir);
}

/* --- Writing. --- */

WAITS static int extend(struct volume *v, uint64_t need)
{
    uint64_t to = round_up(need, VOLUME_STEP_BYTES);
    int      rc;

    if (to > v->header.bytes)
        to = v->header.bytes;
    v->allocating = true;
    rc = file_allocate(v->file, v->allocated, to - v->allocated, false);
    if (rc == -ENOSPC && need < to) {   /* The last bytes of a drive are used too. */
        to = need;
        rc = file_allocate(v->file, v->allocated, to - v->allocated, false);
    }
    v->allocating = false;
    if (rc == 0)
        v->allocated = to;
    waitq_wake_all(&v->allocate_q);
    return rc;
}

WAITS int volume_reserve(struct volume *v, uint32_t bytes, uint64_t *ret_position)
{
    int rc = 0;

    assert(bytes % VOLUME_ALIGN == 0);
    for (;;) {
        if (v->failed)
            return -E_DEVICE;
        if (v->position + bytes > v->header.bytes)
            return -E_LIMIT;
        if (v->position + bytes <= v->allocated)
            break;
        rc = v->allocating ? waitq_wait(&v->allocate_q, TASK_FOREVER) : extend(v, v->position + bytes);
        if (rc)
            return rc;
    }
    *ret_position = v->position;
    v->position += bytes;
    return 0;
}

/* What goes to the file: a header, the parts as they are where alignment allows, and copies where not. */
struct layout {
    struct iovec iov[4];
    int          count;
    struct buf  *buf[2];   /* To unref. */
};

static void gather(uint8_t *to, const struct buf_part *parts, uint32_t count, uint32_t skip)
{
    for (uint32_t i = 0; i < count; i++) {
        struct slice s = buf_part_slice(&parts[i]);

        if (skip >= s.size) {
            skip -= (uint32_t)s.size;
            continue;
        }
        memcpy(to, s.data + skip, s.size - skip);
        to += s.size - skip;
        skip = 0;
    }
}

/* Copies the payload from 'skip' on behind 'header' bytes of head, pads with zeros. */
static struct buf *pack(const struct volume_record *r, uint32_t header, const struct buf_part *parts, uint32_t count,
                        uint32_t skip, uint32_t *ret_bytes)
{
    uint32_t    used = header + r->length - skip;
    struct buf *buf;

    *ret_bytes = (uint32_t)round_up(used, VOLUME_ALIGN);
    buf = buf_new(*ret_bytes);
    if (buf) {
        gather(buf->data + header, parts, count, skip);
        memset(buf->data + used, 0, *ret_bytes - used);
    }
    return buf;
}

static int layout_record(struct layout *l, uint64_t seed, const struct volume_record *r, const struct buf_part *parts,
                         uint32_t count)
{
    uint32_t header = volume_record_header_bytes(r), whole = 0, bytes;
    uint8_t *data = parts[0].buf->data + parts[0].offset;

    memset(l, 0, sizeof *l);
    if (header == RECORD_HEADER_LARGE && count == 1 && (uintptr_t)data % VOLUME_ALIGN == 0)
        whole = r->length / VOLUME_ALIGN * VOLUME_ALIGN;
    if (whole == 0) {
        l->buf[0] = r->length + header <= BUF_SIZE_MAX ? pack(r, header, parts, count, 0, &bytes) : NULL;
        if (!l->buf[0])
            return -ENOMEM;
        l->iov[l->count++] = (struct iovec) { l->buf[0]->data, bytes };
    } else {
        l->buf[0] = buf_new(header);
        if (!l->buf[0])
            return -ENOMEM;
        l->iov[l->count++] = (struct iovec) { l->buf[0]->data, header };
        l->iov[l->count++] = (struct iovec) { data, whole };
        if (whole < r->length) {
            l->buf[1] = pack(r, 0, parts, count, whole, &bytes);
            if (!l->buf[1]) {
                buf_unref(l->buf[0]);
                return -ENOMEM;
            }
            l->iov[l->count++] = (struct iovec) { l->buf[1]->data, bytes };
        }
    }
    volume_record_encode(l->buf[0]->data, seed, r);
    return 0;
}

WAITS int volume_write(struct volume *v, uint64_t position, const struct volume_record *record,
                       const struct buf_part *parts, uint32_t count)
{
    struct layout l;
    int           rc;

    if (v->failed)
        return -E_DEVICE;
    rc = layout_record(&l, v->header.seed, record, parts, count);
    if (rc)
        return rc;
    rc = file_writev(v->file, l.iov, l.count, position);
    buf_unref(l.buf[0]);
    buf_unref(l.buf[1]);
    if (rc) {
        v->failed = v->failed || (rc != -E_OVERLOAD && rc != -ECANCELED);
        return rc;
    }
    v->written++;
    counter_inc(volume_records);
    counter_add(volume_bytes, volume_record_bytes(record));
    return 0;
}

WAITS int volume_sync(struct volume *v)
{
    uint64_t need = v->written;
    bool     waited = false;
    int      rc;

    while (v->synced < need) {
        uint64_t target = v->written;

        if (v->failed)
            return -E_DEVICE;
        if (v->syncing) {
            waited = true;
            rc = waitq_wait(&v->sync_q, TASK_FOREVER);
            if (rc)
                return rc;
            continue;
        }
        waited = false;
        v->syncing = true;
        rc = file_sync(v->file);
        v->syncing = false;
        counter_inc(volume_syncs);
        if (rc == 0)
            v->synced = target;
        else if (rc != -E_OVERLOAD && rc != -ECANCELED)
            v->failed = true;   /* What is on disk is unknown: never asked again. */
        waitq_wake_all(&v->sync_q);
        if (rc)
            return rc;
    }
    if (waited)
        counter_inc(volume_syncs_shared);
    return 0;
}

/* --- Reading. --- */

struct verify_job {
    const struct volume_record *record;
    uint32_t                    first;
    const uint8_t              *data;
    uint32_t                    size;
    bool                        good;
};

static void verify_work(void *arg)
{
    struct verify_job *job = arg;

    job->good = chunk_verify(job->record, job->first, job->data, job->size);
}

WAITS static int verify(struct env *env, const struct volume_record *record, uint32_t first, const uint8_t *data,
                        uint32_t size)
{
    struct verify_job job = { record, first, data, size, false };

    if (size <= VERIFY_INLINE_BYTES || env_work(env, WORK_CPU, verify_work, &job))
        verify_work(&job);
    return job.good ? 0 : -E_CORRUPT;
}

static int check_identity(struct slice header, uint64_t seed, uint32_t bytes, const struct chunk_id *id,
                          struct volume_record *ret_record)
{
    uint32_t header_bytes;
    int      rc = volume_record_decode(header, seed, ret_record, &header_bytes);

    if (rc)
        return rc;
    if (memcmp(ret_record->blob, id->blob, sizeof id->blob) || ret_record->fragment != id->fragment ||
        ret_record->segment != id->segment || volume_record_bytes(ret_record) != bytes)
        return -E_CORRUPT;
    return 0;
}

WAITS static int read_small(struct volume *v, uint64_t position, uint32_t bytes, const struct chunk_id *id,
                            struct buf **ret_buf, struct volume_record *ret_record)
{
    struct buf *buf = buf_new(bytes);
    size_t      got = 0;
    int         rc = buf ? file_read(v->file, buf->data, bytes, position, &got) : -ENOMEM;

    if (rc == 0)
        rc = got == bytes ? check_identity(slice_of(buf->data, bytes), v->header.seed, bytes, id, ret_record)
                          : -E_CORRUPT;
    if (rc == 0 && volume_record_header_bytes(ret_record) != RECORD_HEADER_SMALL)
        rc = -E_CORRUPT;
    if (rc == 0)
        rc = verify(v->env, ret_record, 0, buf->data + RECORD_HEADER_SMALL, ret_record->length);
    if (rc)
        buf_unref(buf);
    else
        *ret_buf = buf;
    return rc;
}

/* Reads the header and whole blocks around [offset, offset + size) of the payload: in one go when
 * the range begins in the first block. '*ret_start': the payload offset where the buffer begins. */
WAITS static int read_large(struct volume *v, uint64_t position, uint32_t bytes, const struct chunk_id *id,
                            uint32_t offset, uint32_t size, struct buf **ret_buf, uint32_t *ret_start,
                            struct volume_record *ret_record)
{
    uint32_t     padded = bytes - RECORD_HEADER_LARGE, start, end;
    struct buf  *header = buf_new(RECORD_HEADER_LARGE), *buf = NULL;
    struct iovec iov[2];
    size_t       got = 0;
    int          rc = -ENOMEM;

    start = offset / CHUNK_BLOCK_BYTES * CHUNK_BLOCK_BYTES;
    end = size == 0 ? padded : (uint32_t)round_up((uint64_t)offset + size, CHUNK_BLOCK_BYTES);
    if (end > padded)
        end = padded;
    if (start >= end) {
        buf_unref(header);
        return -EINVAL;
    }
    buf = buf_new(end - start);
    if (!header || !buf)
        goto out;
    iov[0] = (struct iovec) { header->data, RECORD_HEADER_LARGE };
    iov[1] = (struct iovec) { buf->data, end - start };
    rc = file_readv(v->file, iov, start == 0 ? 2 : 1, position, &got);
    if (rc == 0 && got != (start == 0 ? RECORD_HEADER_LARGE + end : (uint32_t)RECORD_HEADER_LARGE))
        rc = -E_CORRUPT;
    if (rc == 0 && start > 0) {
        rc = file_read(v->file, buf->data, end - start, position + RECORD_HEADER_LARGE + start, &got);
        if (rc == 0 && got != end - start)
            rc = -E_CORRUPT;
    }
    if (rc == 0)
        rc = check_identity(slice_of(header->data, RECORD_HEADER_LARGE), v->header.seed, bytes, id, ret_record);
    if (rc == 0) {
        if (end > ret_record->length)
            end = ret_record->length;
        rc = start < end ? verify(v->env, ret_record, start / CHUNK_BLOCK_BYTES, buf->data, end - start) : -EINVAL;
    }
out:
    buf_unref(header);
    if (rc) {
        buf_unref(buf);
        return rc;
    }
    *ret_buf = buf;
    *ret_start = start;
    return 0;
}

WAITS int volume_read(struct volume *v, uint64_t position, uint32_t bytes, const struct chunk_id *id, uint32_t offset,
                      uint32_t size, struct buf_part *ret_part, struct volume_record *ret_record)
{
    struct volume_record record;
    struct buf          *buf;
    uint32_t             start = 0, skip = 0;
    int                  rc;

    if (bytes <= RECORD_SMALL_BYTES) {
        rc = read_small(v, position, bytes, id, &buf, &record);
        skip = RECORD_HEADER_SMALL;
    } else {
        rc = read_large(v, position, bytes, id, offset, size, &buf, &start, &record);
    }
    if (rc)
        return rc;
    if (offset >= record.length || size > record.length - offset) {
        buf_unref(buf);
        return -EINVAL;
    }
    *ret_part = (struct buf_part) { buf, skip + offset - start, size ? size : record.length - offset };
    record.owner_name = SLICE_NONE;
    *ret_record = record;
    return 0;
}

/* --- Scanning. --- */

struct window {
    struct buf *buf;
    uint64_t    start;
    size_t      size;         /* Valid bytes. */
    uint64_t    unreadable;   /* Blocks so far, ... */
    uint64_t    bad_end;      /* ... and behind the last of them. */
};

/* Block by block. What can't be read is zeros, so that its record is found damaged. */
WAITS static int window_salvage(struct volume *v, struct window *w)
{
    size_t got = VOLUME_ALIGN;

    for (w->size = 0; w->size < SCAN_BYTES && got == VOLUME_ALIGN; w->size += got) {
        uint64_t at = w->start + w->size;
        int      rc = file_read(v->file, w->buf->data + w->size, VOLUME_ALIGN, at, &got);

        if (rc && rc != -EIO)
            return rc;
        if (rc == 0)
            continue;
        memset(w->buf->data + w->size, 0, VOLUME_ALIGN);
        got = VOLUME_ALIGN;
        if (at < w->bad_end)
            continue;   /* Seen before: windows overlap. */
        w->bad_end = at + VOLUME_ALIGN;
        if (++w->unreadable > VOLUME_UNREADABLE_MAX)
            return -EIO;
    }
    return 0;
}

WAITS static int window_load(struct volume *v, struct window *w, uint64_t at)
{
    int rc = file_read(v->file, w->buf->data, SCAN_BYTES, at, &w->size);

    w->start = at;
    if (rc == -EIO)
        rc = window_salvage(v, w);
    if (rc)
        w->size = 0;
    return rc;
}

/* Skips blocks that don't begin like a record, within the window. */
static uint64_t skip_blocks(const struct window *w, uint64_t at)
{
    while (at + VOLUME_ALIGN <= w->start + w->size && memcmp(w->buf->data + (at - w->start), "RSCK", 4) != 0)
        at += VOLUME_ALIGN;
    return at;
}

WAITS int volume_scan(struct volume *v, uint64_t from, volume_visit visit, void *ctx, struct volume_walk *ret_walk)
{
    struct window        w = { .buf = buf_new(SCAN_BYTES) };
    struct volume_record record;
    uint64_t             at = from < VOLUME_ALIGN ? VOLUME_ALIGN : round_up(from, VOLUME_ALIGN), end = at, damaged = 0;
    uint32_t             header, bytes;
    int                  rc = w.buf ? window_load(v, &w, at) : -ENOMEM;

    while (rc == 0) {
        at = skip_blocks(&w, at);
        if (at + VOLUME_ALIGN > w.start + w.size) {
            if (at == w.start)
                break;   /* The end of the file. */
            rc = window_load(v, &w, at);
            continue;
        }
        if (volume_record_decode(slice_of(w.buf->data + (at - w.start), w.start + w.size - at), v->header.seed, &record,
                                 &header)) {
            at += VOLUME_ALIGN;
            continue;
        }
        bytes = volume_record_bytes(&record);
        if (at + bytes > w.start + w.size) {
            if (at > w.start) {
                rc = window_load(v, &w, at);
                continue;
            }
            damaged++;   /* It reaches past the end of the file. */
            at += VOLUME_ALIGN;
            continue;
        }
        if (verify(v->env, &record, 0, w.buf->data + (at - w.start) + header, record.length)) {
            damaged++;
            if (visit && (rc = visit(ctx, v, at, &record, NULL)) != 0)
                break;
            at += VOLUME_ALIGN;
            continue;
        }
        if (visit) {
            struct buf_part part = { w.buf, (uint32_t)(at - w.start) + header, record.length };

            rc = visit(ctx, v, at, &record, &part);
        }
        at += bytes;
        end = at;
    }
    buf_unref(w.buf);
    if (rc == 0 && ret_walk)
        *ret_walk = (struct volume_walk) { .end = end > w.bad_end ? end : w.bad_end, .damaged = damaged,
                                           .unreadable = w.unreadable };
    return rc;
}
