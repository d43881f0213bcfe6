/* storage/blob_writer.c - cutting, encoding and sending a blob; see storage/blob.h.
 *
 * Bytes gather in a stage of k units: a whole unit that arrives contiguous and
 * aligned is referenced, anything else is copied. A full stage is a segment: a
 * worker computes its checksums and parity, then each fragment's chunk goes out as
 * a call; a task of its own does that for a segment, so that the next one can
 * gather meanwhile. Segments in flight are a queue, settled in order. A blob's life:
 *
 *   FILLING -- full, or the end --> CLOSED -- all chunks answered --> SYNCING -- all answered --> STORED
 *
 * so that one blob of a large object syncs while the next one fills. A blob of one
 * segment is written and synced by the same call. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "storage/blob_private.h"
#include "storage/device.h"
#include "storage/hash.h"

COUNTER(blob_writes, "Blobs written and acknowledged.");
COUNTER(blob_write_copies_lost, "Copies or fragments dropped from a blob while it was written.");
COUNTER(blob_writes_failed, "Blob writers that failed.");
COUNTER(blob_bytes_copied, "Bytes that a blob writer had to copy because they came unaligned.");

enum {
    SEGMENTS_IN_FLIGHT = 32,
    RUNS_AT_ONCE = 2,                           /* Blobs of a writer that are not stored yet, besides the one filling. */
    INLINE_BYTES = 16 * 1024,                   /* Smaller segments are hashed on the loop. */
    CHUNK_WAIT_MS = 30 * 1000                   /* A device that takes longer is given up. */
};

enum run_state { RUN_FILLING, RUN_CLOSED, RUN_SYNCING, RUN_STORED };

/* One blob being written. */
struct run {
    struct run    *next;
    uint8_t        id[BLOB_ID_BYTES];
    enum run_state state;
    uint64_t       epoch;
    uint64_t       bytes;
    uint32_t       segments;        /* Sent. */
    uint32_t       unsettled;       /* Of these. */
    uint32_t       alive;           /* Bit per fragment: all its calls so far went well. */
    uint16_t       device[POLICY_FRAGMENTS_MAX];
    uint32_t       node[POLICY_FRAGMENTS_MAX];
    struct rpc_fan fan;             /* While SYNCING. */
};

struct segment {
    struct buf_part   part[POLICY_FRAGMENTS_MAX];   /* By fragment; for copies only the first. */
    uint32_t          number;                       /* In its blob. */
    uint32_t          length, chunk;                /* Bytes of the segment, of each fragment. */
    uint32_t          parts;
    bool              erasure, sync;
    uint32_t          k, m;
    const struct ec  *ec;
    uint64_t          checksum;
    uint64_t          checksums[POLICY_FRAGMENTS_MAX][CHUNK_BLOCKS_MAX];
};

struct flight {
    struct blob_writer *writer;
    struct run         *run;
    struct segment     *segment;    /* Until it is sent. */
    struct rpc_fan      fan;
    uint32_t            asked;      /* Bit per fragment, not yet answered. */
    size_t              bytes;
};

struct blob_writer {
    struct blob_client *client;
    struct blob_alive   alive;          /* Its place among the client's writers. */
    struct policy       policy;
    struct blob_shape   shape;
    struct ring        *ring;
    const struct ec    *ec;
    uint8_t             owner_shard[SHARD_ID_BYTES];
    uint8_t            *owner_name;
    size_t              owner_name_size;
    int64_t             deadline;
    int                 failed;         /* First failure; final. */
    bool                finished;
    struct error        why;
    struct run         *first, *last;   /* In order; 'last' may be filling. */
    uint32_t            runs_open;      /* CLOSED or SYNCING. */
    struct flight       flight[SEGMENTS_IN_FLIGHT];   /* Ring. */
    uint32_t            flight_first, flights;
    size_t              flying;         /* Bytes. */
    uint32_t            encoding;       /* Tasks of this writer. */
    struct waitq        encoded_q;
    struct task        *closer;         /* Waits for them. */
    struct buf_part     stage[POLICY_FRAGMENTS_MAX];  /* By unit. */
    uint32_t            staged;         /* Bytes. */
};

static int give_up(struct blob_writer *w, int code, const char *text)
{
    if (!w->failed) {
        w->failed = code;
        error_set(&w->why, code, "%s", text);
        if (code != -ECANCELED)
            counter_inc(blob_writes_failed);
    }
    return w->failed;
}

static int failure(const struct blob_writer *w, struct error *err)
{
    return error_set(err, w->failed, "%s", w->why.text);
}

/* --- Starting a blob. --- */

static bool enough(const struct blob_writer *w, uint32_t alive)
{
    uint32_t n = (uint32_t)__builtin_popcount(alive), all = shape_fragments(&w->shape);

    return w->shape.erasure ? n == all : n > all / 2;
}

static void make_id(struct blob_client *client, uint8_t id[BLOB_ID_BYTES])
{
    /* Ordered by time, so that the index appends; unique by clock and node; random against two lives of a node. */
    put_u64be(id, hlc_next(client->hlc));
    put_u32be(id + 8, client->env->node_id);
    env_random(client->env, id + 12, 4);
}

/* The ring's primaries; for each that is out of service the next handoff that is in. */
static int place(struct blob_writer *w, struct run *run)
{
    const struct blob_directory *d = &w->client->directory;
    struct ring_handoff          walk;
    struct ring_set              set;
    uint32_t                     partition = ring_partition(w->ring, slice_of(run->id, sizeof run->id));

    ring_lookup(w->ring, partition, &set);
    ring_handoff_init(&walk, w->ring, partition);
    run->epoch = set.epoch;
    for (uint32_t i = 0; i < shape_fragments(&w->shape); i++) {
        uint16_t                  id = i < set.count ? set.device[i] : RING_NONE;
        const struct ring_device *device;

        while (id == RING_NONE || !d->device_up(d->ctx, id)) {
            id = ring_handoff_next(&walk);
            if (id == RING_NONE)
                break;
        }
        run->device[i] = id;
        device = id == RING_NONE ? NULL : ring_device(w->ring, id);
        if (!device)
            continue;
        run->node[i] = device->node;
        run->alive |= UINT32_C(1) << i;
    }
    if (!enough(w, run->alive))
        return give_up(w, -E_UNAVAILABLE, "too few devices are in service for this storage policy");
    return 0;
}

WAITS static int settle_one(struct blob_writer *w);
WAITS static int sync_wait(struct blob_writer *w, struct run *run);

WAITS static int start_run(struct blob_writer *w)
{
    struct run *run;
    int         rc = 0;

    while (rc == 0 && w->runs_open >= RUNS_AT_ONCE) {
        for (run = w->first; run->state == RUN_STORED; run = run->next)
            ;
        rc = run->state == RUN_SYNCING ? sync_wait(w, run) : settle_one(w);
    }
    if (rc)
        return rc;
    run = calloc(1, sizeof *run);
    if (!run)
        return give_up(w, -ENOMEM, "no memory for a blob");
    make_id(w->client, run->id);
    if (!w->first)
        w->alive.first = blob_id_time(run->id);
    *(w->last ? &w->last->next : &w->first) = run;
    w->last = run;
    return place(w, run);
}

/* --- Answers. --- */

static int lose(struct blob_writer *w, struct run *run, uint32_t fragment, int code, const char *text)
{
    char why[ERROR_TEXT_MAX];

    if (!(run->alive >> fragment & 1))
        return 0;
    run->alive &= ~(UINT32_C(1) << fragment);
    counter_inc(blob_write_copies_lost);
    if (enough(w, run->alive))
        return 0;
    snprintf(why, sizeof why, "device %u: %.180s", run->device[fragment], text[0] ? text : error_text(code));
    return give_up(w, code == -ENOSPC ? -ENOSPC : -E_UNAVAILABLE, why);
}

/* Takes all answers of a fan. 'asked': who has not answered yet. */
WAITS static int collect(struct blob_writer *w, struct run *run, struct rpc_fan *fan, uint32_t *asked)
{
    const struct rpc_reply *reply;
    int                     rc;

    while (*asked) {
        rc = rpc_fan_next(fan, fan->deadline, &reply);
        if (rc == -ECANCELED)
            return give_up(w, rc, "cancelled");
        if (rc) {   /* Silence: whoever has not answered is given up. */
            uint32_t silent = *asked;

            *asked = 0;
            for (uint32_t i = 0; silent >> i; i++)
                if (silent >> i & 1)
                    lose(w, run, i, -ETIMEDOUT, "no answer in time");
            break;
        }
        *asked &= ~(UINT32_C(1) << reply->tag);
        if (reply->code)
            lose(w, run, reply->tag, reply->code, reply->text);
    }
    return w->failed;
}

static int64_t call_deadline(const struct blob_writer *w)
{
    int64_t limit = env_now(w->client->env) + CHUNK_WAIT_MS * NS_PER_MS;

    return limit < w->deadline ? limit : w->deadline;
}

static void *message_head(struct rpc_message *message, size_t size, const uint8_t id[BLOB_ID_BYTES],
                          uint8_t **ret_id)
{
    void *head = message ? arena_alloc(&message->arena, size) : NULL;

    *ret_id = head ? arena_alloc(&message->arena, BLOB_ID_BYTES) : NULL;
    if (*ret_id)
        memcpy(*ret_id, id, BLOB_ID_BYTES);
    return *ret_id ? head : NULL;
}

static void sync_send(struct blob_writer *w, struct run *run)
{
    run->state = RUN_SYNCING;
    rpc_fan_open(&run->fan, w->client->rpc, call_deadline(w));
    for (uint32_t i = 0; i < shape_fragments(&w->shape); i++) {
        struct rpc_message *message;
        Rs__BlobSync       *head;
        uint8_t            *id;

        if (!(run->alive >> i & 1))
            continue;
        message = rpc_message_new();
        head = message_head(message, sizeof *head, run->id, &id);
        if (head) {
            rs__blob_sync__init(head);
            head->device = run->device[i];
            head->blob = (ProtobufCBinaryData) { BLOB_ID_BYTES, id };
            head->fragment = i;
            head->chunks = run->segments;
            message->head = &head->base;
            rpc_fan_send(&run->fan, i, run->node[i], METHOD_BLOB_SYNC, run->epoch, message);
        } else {
            lose(w, run, i, -ENOMEM, "no memory");
        }
        rpc_message_unref(message);
    }
}

static void run_stored(struct blob_writer *w, struct run *run)
{
    run->state = RUN_STORED;
    w->runs_open--;
    if (!w->failed)
        counter_inc(blob_writes);
}

WAITS static int sync_wait(struct blob_writer *w, struct run *run)
{
    uint32_t asked = run->alive;
    int      rc = collect(w, run, &run->fan, &asked);

    rpc_fan_close(&run->fan);
    run_stored(w, run);
    return rc;
}

/* Waits for the answers of the oldest segment in flight. */
WAITS static int settle_one(struct blob_writer *w)
{
    struct flight *f = &w->flight[w->flight_first];
    struct run    *run = f->run;
    int            rc;

    assert(w->flights > 0);
    while (f->segment)
        if (waitq_wait(&w->encoded_q, TASK_FOREVER))
            return give_up(w, -ECANCELED, "cancelled");
    rc = collect(w, run, &f->fan, &f->asked);
    rpc_fan_close(&f->fan);
    w->flying -= f->bytes;
    w->flight_first = (w->flight_first + 1) % SEGMENTS_IN_FLIGHT;
    w->flights--;
    run->unsettled--;
    if (run->state == RUN_CLOSED && run->unsettled == 0) {
        if (run->segments == 1)   /* Its only write was synced. */
            run_stored(w, run);
        else if (rc == 0)
            sync_send(w, run);
    }
    return rc;
}

/* --- Sending a segment. --- */

/* Checksums of the data fragments' blocks and of the segment in one pass over memory. */
static void segment_hash(struct segment *s, uint8_t *const *data)
{
    XXH3_state_t state;
    uint32_t     left = s->length;

    XXH3_64bits_reset(&state);
    for (uint32_t i = 0; i < s->k; i++)
        for (uint32_t at = 0, block = 0; at < s->chunk; at += CHUNK_BLOCK_BYTES, block++) {
            uint32_t n = s->chunk - at < CHUNK_BLOCK_BYTES ? s->chunk - at : CHUNK_BLOCK_BYTES;

            s->checksums[i][block] = XXH3_64bits(data[i] + at, n);
            n = n < left ? n : left;   /* What pads the last fragments is not the client's. */
            XXH3_64bits_update(&state, data[i] + at, n);
            left -= n;
        }
    s->checksum = XXH3_64bits_digest(&state);
}

static void segment_work(void *arg)
{
    struct segment *s = arg;
    uint8_t        *data[POLICY_FRAGMENTS_MAX];

    for (uint32_t i = 0; i < s->parts; i++)
        data[i] = s->part[i].buf->data + s->part[i].offset;
    if (s->erasure)
        ec_encode(s->ec, data, data + s->k, s->chunk);
    for (uint32_t i = s->k; i < s->parts; i++)
        chunk_checksums(data[i], s->chunk, s->checksums[i]);
    segment_hash(s, data);
}

/* The last segment of an erasure-coded blob is cut anew: its fragments are shorter than a unit. */
static int recut(struct blob_writer *w, struct segment *s)
{
    uint32_t from_unit = 0, from = 0, left = s->length;

    for (uint32_t i = 0; i < s->k; i++) {
        struct buf *buf = buf_new(s->chunk);
        uint32_t    filled = 0;

        if (!buf)
            return -ENOMEM;
        s->part[i] = (struct buf_part) { buf, 0, s->chunk };
        while (filled < s->chunk && left > 0) {
            const struct buf_part *p = &w->stage[from_unit];
            uint32_t               have = w->shape.unit - from, n = s->chunk - filled;

            n = n < have ? n : have;
            n = n < left ? n : left;
            memcpy(buf->data + filled, p->buf->data + p->offset + from, n);
            filled += n;
            left -= n;
            from += n;
            if (from == w->shape.unit) {
                from = 0;
                from_unit++;
            }
        }
        memset(buf->data + filled, 0, s->chunk - filled);
    }
    return 0;
}

static int segment_build(struct blob_writer *w, struct segment *s)
{
    int rc = 0;

    s->length = w->staged;
    s->chunk = shape_chunk(&w->shape, s->length);
    s->erasure = w->shape.erasure;
    s->k = w->shape.k;
    s->m = w->shape.m;
    s->ec = w->ec;
    s->parts = s->erasure ? s->k + s->m : 1;
    if (!s->erasure || s->length == shape_segment(&w->shape)) {
        for (uint32_t i = 0; i < s->k; i++) {
            s->part[i] = w->stage[i];   /* The reference moves. */
            s->part[i].size = s->chunk;
            w->stage[i] = (struct buf_part) { 0 };
        }
    } else {
        rc = recut(w, s);
        for (uint32_t i = 0; i < s->k; i++) {
            buf_unref(w->stage[i].buf);
            w->stage[i] = (struct buf_part) { 0 };
        }
    }
    w->staged = 0;
    for (uint32_t i = s->k; i < s->parts && rc == 0; i++) {
        s->part[i] = (struct buf_part) { buf_new(s->chunk), 0, s->chunk };
        if (!s->part[i].buf)
            rc = -ENOMEM;
    }
    return rc;
}

static struct rpc_message *chunk_message(struct blob_writer *w, struct run *run, const struct segment *s, uint32_t i)
{
    struct rpc_message *message = rpc_message_new();
    uint32_t            from = s->erasure ? i : 0, blocks = chunk_blocks(s->chunk);
    uint8_t            *id;
    Rs__BlobWrite      *head = message_head(message, sizeof *head, run->id, &id);
    Rs__BlobChunk      *chunk = head ? arena_new(&message->arena, Rs__BlobChunk) : NULL;
    uint64_t           *checksums = chunk ? arena_array(&message->arena, uint64_t, blocks) : NULL;
    struct slice        owner_shard, owner_name;

    if (!checksums || rpc_message_add(message, s->part[from].buf, s->part[from].offset, s->chunk))
        return rpc_message_unref(message);
    memcpy(checksums, s->checksums[from], blocks * sizeof *checksums);
    rs__blob_write__init(head);
    rs__blob_chunk__init(chunk);
    head->device = run->device[i];
    head->chunk = chunk;
    head->sync = s->sync;
    chunk->blob = (ProtobufCBinaryData) { BLOB_ID_BYTES, id };
    chunk->fragment = i;
    chunk->segment = s->number;
    chunk->segment_bytes = s->length;
    chunk->segment_checksum = s->checksum;
    chunk->checksums = checksums;
    chunk->n_checksums = blocks;
    chunk->k = s->k;
    chunk->m = s->m;
    chunk->erasure = s->erasure;
    chunk->unit = w->shape.unit;
    owner_shard = arena_dup(&message->arena, slice_of(w->owner_shard, SHARD_ID_BYTES));
    owner_name = arena_dup(&message->arena, slice_of(w->owner_name, w->owner_name_size));
    if (!owner_shard.data || !owner_name.data)
        return rpc_message_unref(message);
    chunk->owner_shard = (ProtobufCBinaryData) { owner_shard.size, (uint8_t *)owner_shard.data };
    chunk->owner_name = (ProtobufCBinaryData) { owner_name.size, (uint8_t *)owner_name.data };
    message->head = &head->base;
    return message;
}

static struct segment *segment_free(struct segment *s)
{
    if (s)
        for (uint32_t i = 0; i < POLICY_FRAGMENTS_MAX; i++)
            buf_unref(s->part[i].buf);
    free(s);
    return NULL;
}

/* Encodes and sends the segment of a flight. */
WAITS static void flight_launch(struct flight *f)
{
    struct blob_writer *w = f->writer;
    struct segment     *s = f->segment;
    struct run         *run = f->run;

    if (s->length <= INLINE_BYTES || env_work(w->client->env, WORK_CPU, segment_work, s))
        segment_work(s);
    rpc_fan_open(&f->fan, w->client->rpc, call_deadline(w));
    for (uint32_t i = 0; i < shape_fragments(&w->shape) && !w->failed; i++) {
        struct rpc_message *message;

        if (!(run->alive >> i & 1))
            continue;
        message = chunk_message(w, run, s, i);
        if (!message) {
            lose(w, run, i, -ENOMEM, "no memory");
            continue;
        }
        f->asked |= UINT32_C(1) << i;
        rpc_fan_send(&f->fan, i, run->node[i], METHOD_BLOB_WRITE, run->epoch, message);
        rpc_message_unref(message);
    }
    f->segment = segment_free(s);
}

WAITS static void encode_task(void *arg)
{
    struct flight      *f = arg;
    struct blob_writer *w = f->writer;

    flight_launch(f);
    w->encoding--;
    waitq_wake_all(&w->encoded_q);
    if (w->encoding == 0 && w->closer)
        task_unpark(w->closer);
}

/* Puts a segment in flight. The last one of a blob is not worth a task. */
WAITS static void segment_fly(struct blob_writer *w, struct run *run, struct segment *s, bool end)
{
    struct flight *f = &w->flight[(w->flight_first + w->flights++) % SEGMENTS_IN_FLIGHT];

    *f = (struct flight) { .writer = w, .run = run, .segment = s,
                           .bytes = (size_t)s->chunk * (uint32_t)__builtin_popcount(run->alive) };
    s->number = run->segments++;
    s->sync = end && s->number == 0;
    w->flying += f->bytes;
    run->unsettled++;
    run->bytes += s->length;
    if (end) {
        run->state = RUN_CLOSED;
        w->runs_open++;
    }
    if (!end) {
        w->encoding++;
        if (env_spawn(w->client->env, "blob-encode", encode_task, f) == 0)
            return;
        w->encoding--;
    }
    flight_launch(f);
}

/* Sends what is staged. 'end': nothing follows it. */
WAITS static int segment_send(struct blob_writer *w, bool end)
{
    uint32_t        whole = shape_segment(&w->shape);
    size_t          expected = (size_t)shape_chunk(&w->shape, w->staged) * shape_fragments(&w->shape);
    struct segment *s;
    struct run     *run;
    int             rc = 0;

    if (!w->last || w->last->state != RUN_FILLING)
        rc = start_run(w);
    while (rc == 0 && w->flights > 0 &&
           (w->flights == SEGMENTS_IN_FLIGHT || w->flying + expected > BLOB_WINDOW_BYTES))
        rc = settle_one(w);
    if (rc)
        return rc;
    run = w->last;
    s = calloc(1, sizeof *s);
    rc = s ? segment_build(w, s) : -ENOMEM;
    if (rc) {
        segment_free(s);
        return give_up(w, rc, "no memory for a segment");
    }
    end = end || (run->segments + 2) * (uint64_t)whole > BLOB_SIZE_MAX;   /* No room for another one. */
    segment_fly(w, run, s, end);
    return w->failed;
}

/* --- The interface. --- */

WAITS int blob_writer_new(struct blob_client *client, const struct policy *policy, const struct shard *owner_shard,
                          struct slice owner_name, int64_t deadline, struct blob_writer **ret_writer,
                          struct error *err)
{
    const struct ring  *ring = client->directory.ring(client->directory.ctx, policy->index);
    struct blob_writer *w;
    int                 rc = 0;

    if (!ring)
        return error_set(err, -E_UNAVAILABLE, "no ring is known for storage policy %.60s", policy->name);
    if (owner_name.size > ROW_NAME_MAX)
        return error_set(err, -E_LIMIT, "a name of more than %d bytes", ROW_NAME_MAX);
    w = calloc(1, sizeof *w);
    if (!w || !(w->owner_name = malloc(owner_name.size + 1))) {
        free(w);
        return error_set(err, -ENOMEM, "no memory for a writer");
    }
    w->client = client;
    blob_alive_enter(client, &w->alive);
    w->policy = *policy;
    w->shape = (struct blob_shape) { policy->k, policy->m, policy_unit(policy), policy->erasure };
    w->ring = ring_ref((struct ring *)ring);
    w->deadline = deadline;
    memcpy(w->owner_shard, owner_shard->id, SHARD_ID_BYTES);
    if (owner_name.size)
        memcpy(w->owner_name, owner_name.data, owner_name.size);
    w->owner_name_size = owner_name.size;
    if (policy->erasure)
        rc = blob_ec(client, policy->k, policy->m, &w->ec, err);
    if (rc) {
        blob_writer_free(w);
        return rc;
    }
    *ret_writer = w;
    return 0;
}

/* Puts up to 'size' bytes into the unit that is filling; returns how many, or a negative code. */
static int stage(struct blob_writer *w, struct buf *buf, uint32_t offset, uint32_t size)
{
    uint32_t         unit = w->shape.unit, used = w->staged % unit;
    struct buf_part *p = &w->stage[w->staged / unit];

    if (used == 0 && size >= unit && (uintptr_t)(buf->data + offset) % BUF_ALIGN == 0) {
        *p = (struct buf_part) { buf_ref(buf), offset, unit };
        return (int)unit;
    }
    if (size > unit - used)
        size = unit - used;
    if (used == 0 && !p->buf) {
        p->buf = buf_new(unit);
        p->offset = 0;
        if (!p->buf)
            return -ENOMEM;
    }
    memcpy(p->buf->data + p->offset + used, buf->data + offset, size);
    counter_add(blob_bytes_copied, size);
    return (int)size;
}

WAITS int blob_write(struct blob_writer *w, struct buf *buf, uint32_t offset, uint32_t size, struct error *err)
{
    assert(!w->finished && offset <= buf->capacity && size <= buf->capacity - offset);
    buf_ref(buf);   /* The caller may let go of it while we wait. */
    while (size > 0 && !w->failed) {
        int n;

        /* A full stage is sent only when more comes: the last segment carries the end with it. */
        if (w->staged == shape_segment(&w->shape) && segment_send(w, false))
            break;
        n = stage(w, buf, offset, size);
        if (n < 0) {
            give_up(w, n, "no memory for a segment");
            break;
        }
        w->staged += (uint32_t)n;
        offset += (uint32_t)n;
        size -= (uint32_t)n;
    }
    buf_unref(buf);
    return w->failed ? failure(w, err) : 0;
}

static int make_extents(const struct blob_writer *w, struct arena *arena, Rs__Extent ***ret_extents, size_t *ret_count)
{
    size_t       count = 0, i = 0;
    Rs__Extent **extents;

    for (const struct run *run = w->first; run; run = run->next)
        count++;
    extents = arena_array(arena, Rs__Extent *, count + 1);
    if (!extents)
        return -ENOMEM;
    for (const struct run *run = w->first; run; run = run->next) {
        Rs__Extent *e = arena_new(arena, Rs__Extent);
        uint32_t    n = shape_fragments(&w->shape);

        if (!e)
            return -ENOMEM;
        rs__extent__init(e);
        e->blob = (ProtobufCBinaryData) { BLOB_ID_BYTES, arena_alloc(arena, BLOB_ID_BYTES) };
        e->devices = arena_array(arena, uint32_t, n);
        if (!e->blob.data || !e->devices)
            return -ENOMEM;
        memcpy(e->blob.data, run->id, BLOB_ID_BYTES);
        e->size = run->bytes;
        e->policy = w->policy.index;
        e->k = w->shape.k;
        e->m = w->shape.m;
        e->erasure = w->shape.erasure;
        e->unit = w->shape.unit;
        e->n_devices = n;
        for (uint32_t f = 0; f < n; f++)
            e->devices[f] = run->alive >> f & 1 ? run->device[f] : RING_NONE;
        extents[i++] = e;
    }
    *ret_extents = extents;
    *ret_count = count;
    return 0;
}

WAITS int blob_writer_finish(struct blob_writer *w, struct arena *arena, Rs__Extent ***ret_extents, size_t *ret_count,
                             struct error *err)
{
    int rc = w->failed;

    if (rc == 0 && w->staged > 0)
        rc = segment_send(w, true);
    while (rc == 0 && w->flights > 0)
        rc = settle_one(w);
    for (struct run *run = w->first; run && rc == 0; run = run->next)
        if (run->state == RUN_SYNCING)
            rc = sync_wait(w, run);
    if (rc)
        return failure(w, err);
    rc = make_extents(w, arena, ret_extents, ret_count);
    if (rc)
        return error_set(err, rc, "no memory for the extents");
    w->finished = true;
    return 0;
}

/* Asks the devices to forget a blob, without waiting for an answer. */
static void forget(struct blob_writer *w, struct run *run)
{
    struct rpc_fan fan;

    rpc_fan_open(&fan, w->client->rpc, env_now(w->client->env) + CHUNK_WAIT_MS * NS_PER_MS);
    for (uint32_t i = 0; i < shape_fragments(&w->shape); i++) {
        struct rpc_message *message = run->device[i] == RING_NONE ? NULL : rpc_message_new();
        uint8_t            *id;
        Rs__BlobDelete     *head = message_head(message, sizeof *head, run->id, &id);

        if (head) {
            rs__blob_delete__init(head);
            head->device = run->device[i];
            head->blob = (ProtobufCBinaryData) { BLOB_ID_BYTES, id };
            message->head = &head->base;
            rpc_fan_send(&fan, i, run->node[i], METHOD_BLOB_DELETE, run->epoch, message);
        }
        rpc_message_unref(message);
    }
    rpc_fan_close(&fan);
}

WAITS struct blob_writer *blob_writer_free(struct blob_writer *w)
{
    if (!w)
        return NULL;
    w->closer = task_self();
    while (w->encoding > 0)   /* They use what is freed below. */
        task_park_shielded();
    for (; w->flights > 0; w->flights--) {
        rpc_fan_close(&w->flight[w->flight_first].fan);
        w->flight_first = (w->flight_first + 1) % SEGMENTS_IN_FLIGHT;
    }
    for (struct run *run = w->first, *next; run; run = next) {
        next = run->next;
        if (run->state == RUN_SYNCING)
            rpc_fan_close(&run->fan);
        if (!w->finished && run->segments > 0)
            forget(w, run);
        free(run);
    }
    for (uint32_t i = 0; i < POLICY_FRAGMENTS_MAX; i++)
        buf_unref(w->stage[i].buf);
    blob_alive_leave(w->client, &w->alive);
    ring_unref(w->ring);
    free(w->owner_name);
    free(w);
    return NULL;
}
