/* storage/blob_reader.c - reading, decoding and verifying blobs; see storage/blob.h.
 *
 * The range is cut into segments; those within the window are asked for ahead,
 * each by a fan of its own, and delivered in order. A segment is read
 *
 *   EXACT - just the bytes that are wanted, of one copy or of the data fragments
 *           that hold them - or, when one of those fails or is late,
 *   WHOLE - k whole fragments of any kind, decoded, the segment's checksum verified.
 *
 * A whole segment that is wanted is WHOLE from the start, data fragments first.
 * A call that is later than usual is hedged by another fragment or copy. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "storage/blob_private.h"
#include "storage/device.h"
#include "storage/hash.h"

COUNTER(blob_reads_degraded, "Segments that were decoded because a data fragment was missing or late.");
COUNTER(blob_reads_hedged, "Chunk reads that were asked for again elsewhere because an answer was late.");
COUNTER(blob_reads_retried, "Chunk reads that failed and were asked for elsewhere.");
COUNTER(blob_reads_failed, "Segments that could not be read.");
COUNTER(blob_segments_corrupt, "Segments whose checksum did not match after all their blocks did.");

enum {
    SEGMENTS_AHEAD = 32,
    HEDGE_MIN_MS = 20,
    HEDGE_TIMES_USUAL = 4,
    HANDOFFS_TRIED = 4,              /* Per fragment, after its usual places. */
    INLINE_BYTES = 64 * 1024,        /* Smaller segments are verified on the loop. */
    GENERATION_SHIFT = 8             /* In a call's tag. */
};

struct segment_read {
    const Rs__Extent *extent;
    struct blob_shape shape;
    uint32_t          number, length, chunk;   /* Of the segment: its bytes, and of each fragment. */
    uint32_t          from, to;                /* Wanted of it. */
    bool              whole;                   /* WHOLE; else EXACT. */
    bool              fan_open, ready;
    struct rpc_fan    fan;
    uint32_t          generation;
    uint32_t          wanted;                  /* EXACT: bit per fragment. */
    uint32_t          flying, good;
    uint8_t           tries[POLICY_FRAGMENTS_MAX];     /* Places tried of each fragment. */
    struct buf_part   part[POLICY_FRAGMENTS_MAX];      /* Answers; for copies in [0] only. */
    uint64_t          checksum;
    bool              checksum_known;
    int64_t           asked_at, hedge_at;
    int               worst;                   /* The most telling error so far. */
    char              text[128];
    uint32_t          next_out;                /* Fragment to deliver next. */
    size_t            bytes;                   /* Counted into the window. */
};

struct blob_reader {
    struct blob_client  *client;
    Rs__Extent *const   *extents;     /* The caller's. */
    size_t               count;
    uint64_t             skip;        /* Of the extent at 'at'. */
    uint64_t             left;        /* Bytes not yet asked for. */
    size_t               at;
    int64_t              deadline;
    struct segment_read *ahead[SEGMENTS_AHEAD];   /* Ring. */
    uint32_t             first, flights;
    size_t               window;      /* Bytes in flight. */
    int                  failed;
};

/* --- Places and calls. --- */

/* The n-th place where a fragment may be; RING_NONE: past the last. */
static uint16_t place_of(const struct ring *ring, const struct segment_read *s, uint32_t fragment, uint32_t n)
{
    struct ring_handoff walk;
    struct ring_set     set;
    uint32_t            partition = ring_partition(ring, slice_of(s->extent->blob.data, s->extent->blob.len));
    uint16_t            hint = RING_NONE, primary, joining, handoff = RING_NONE;

    if (fragment < s->extent->n_devices && s->extent->devices[fragment] < RING_NONE)
        hint = (uint16_t)s->extent->devices[fragment];
    if (hint != RING_NONE && n-- == 0)
        return hint;
    ring_lookup(ring, partition, &set);
    primary = fragment < set.count ? set.device[fragment] : RING_NONE;
    joining = fragment < set.count ? set.joining[fragment] : RING_NONE;
    if (primary != RING_NONE && primary != hint && n-- == 0)
        return primary;
    if (joining != RING_NONE && joining != hint && n-- == 0)
        return joining;
    if (n >= HANDOFFS_TRIED)
        return RING_NONE;
    ring_handoff_init(&walk, ring, partition);
    for (uint32_t i = 0; i <= n; i++)
        handoff = ring_handoff_next(&walk);
    return handoff;
}

/* What is asked of a fragment: all of its chunk, or the part that is wanted. */
static void span(const struct segment_read *s, uint32_t fragment, uint32_t *ret_from, uint32_t *ret_to)
{
    uint32_t begin = s->shape.erasure ? fragment * s->chunk : 0;

    *ret_from = 0;
    *ret_to = s->chunk;
    if (s->whole)
        return;
    if (s->from > begin)
        *ret_from = s->from - begin;
    if (s->to < begin + s->chunk)
        *ret_to = s->to - begin;
}

/* Asks the next place of a fragment that is in service. False: there is none left. */
static bool ask(struct blob_reader *r, struct segment_read *s, uint32_t fragment)
{
    const struct blob_directory *d = &r->client->directory;
    const struct ring           *ring = d->ring(d->ctx, (uint16_t)s->extent->policy);
    const struct ring_device    *device = NULL;
    struct rpc_message          *message;
    Rs__BlobRead                *head;
    uint8_t                     *id;
    uint16_t                     at = RING_NONE;
    uint32_t                     from, to;

    while (ring && !device && s->tries[fragment] < UINT8_MAX) {
        at = place_of(ring, s, fragment, s->tries[fragment]);
        if (at == RING_NONE)
            return false;
        s->tries[fragment]++;
        if (d->device_up(d->ctx, at))
            device = ring_device(ring, at);
    }
    if (!device)
        return false;
    message = rpc_message_new();
    head = message ? arena_new(&message->arena, Rs__BlobRead) : NULL;
    id = head ? arena_alloc(&message->arena, BLOB_ID_BYTES) : NULL;
    if (!id) {
        rpc_message_unref(message);
        return false;
    }
    span(s, fragment, &from, &to);
    memcpy(id, s->extent->blob.data, BLOB_ID_BYTES);
    rs__blob_read__init(head);
    head->device = at;
    head->blob = (ProtobufCBinaryData) { BLOB_ID_BYTES, id };
    head->fragment = fragment;
    head->segment = s->number;
    head->offset = from;
    head->size = to - from;
    message->head = &head->base;
    s->flying |= UINT32_C(1) << fragment;
    rpc_fan_send(&s->fan, s->generation << GENERATION_SHIFT | fragment, device->node, METHOD_BLOB_READ,
                 ring_epoch(ring), message);
    rpc_message_unref(message);
    return true;
}

/* Is the n-th fragment's first place in service, and how near? Lower is better. */
static int64_t distance(struct blob_reader *r, const struct segment_read *s, uint32_t fragment)
{
    const struct blob_directory *d = &r->client->directory;
    const struct ring           *ring = d->ring(d->ctx, (uint16_t)s->extent->policy);
    uint16_t                     at = ring ? place_of(ring, s, fragment, 0) : RING_NONE;
    const struct ring_device    *device = at == RING_NONE ? NULL : ring_device(ring, at);

    if (!device || !d->device_up(d->ctx, at))
        return INT64_MAX;
    return device->node == rpc_node(r->client->rpc) ? 0 : rpc_latency(r->client->rpc, device->node) / NS_PER_MS + 1;
}

/* --- Asking for a segment. --- */

static uint32_t fragments(const struct segment_read *s)
{
    return shape_fragments(&s->shape);
}

/* How many answers make the segment ready. */
static bool complete(const struct segment_read *s)
{
    if (!s->shape.erasure)
        return s->good != 0;
    if (!s->whole)
        return (s->good & s->wanted) == s->wanted;
    return (uint32_t)__builtin_popcount(s->good) >= s->shape.k;
}

/* One more fragment that neither flies nor is here; data before parity, untried before tried. */
static bool ask_another(struct blob_reader *r, struct segment_read *s)
{
    for (uint32_t tries = 0; tries < 3 + HANDOFFS_TRIED; tries++)
        for (uint32_t n = 0; n < fragments(s); n++) {
            uint32_t f = s->shape.erasure ? n : (n + s->number) % fragments(s);

            if (s->tries[f] == tries && !((s->flying | s->good) >> f & 1) && ask(r, s, f))
                return true;
        }
    return false;
}

static void go_whole(struct blob_reader *r, struct segment_read *s)
{
    for (uint32_t i = 0; i < fragments(s); i++) {
        buf_unref(s->part[i].buf);
        s->part[i] = (struct buf_part) { 0 };
        s->tries[i] = 0;
    }
    s->whole = true;
    s->generation++;
    s->flying = 0;
    s->good = 0;
    for (uint32_t i = 0; i < s->shape.k; i++)
        if (!ask_another(r, s))
            break;
}

/* Something failed or is late: asks for what may help. False: nothing is left to ask. */
static bool ask_more(struct blob_reader *r, struct segment_read *s)
{
    if (s->shape.erasure && !s->whole) {
        go_whole(r, s);
        return s->flying != 0;
    }
    return ask_another(r, s);
}

static void ask_copy(struct blob_reader *r, struct segment_read *s)
{
    uint32_t best = s->number % fragments(s);   /* Turns, so that all drives work. */
    int64_t  near = INT64_MAX;

    for (uint32_t n = 0; n < fragments(s); n++) {
        uint32_t f = (n + s->number) % fragments(s);
        int64_t  d = distance(r, s, f);

        if (d < near) {
            near = d;
            best = f;
        }
    }
    if (!ask(r, s, best))
        ask_another(r, s);
}

static void segment_ask(struct blob_reader *r, struct segment_read *s)
{
    rpc_fan_open(&s->fan, r->client->rpc, r->deadline);
    s->fan_open = true;
    s->asked_at = env_now(r->client->env);
    s->hedge_at = HEDGE_TIMES_USUAL * r->client->read_ns;
    if (s->hedge_at < HEDGE_MIN_MS * NS_PER_MS)
        s->hedge_at = HEDGE_MIN_MS * NS_PER_MS;
    s->hedge_at += s->asked_at;
    if (!s->shape.erasure) {
        ask_copy(r, s);
        return;
    }
    if (s->whole) {
        for (uint32_t i = 0; i < s->shape.k; i++)
            if (!ask(r, s, i))
                ask_another(r, s);
        return;
    }
    for (uint32_t f = s->from / s->chunk; f <= (s->to - 1) / s->chunk; f++)
        s->wanted |= UINT32_C(1) << f;
    for (uint32_t f = 0; f < s->shape.k && !s->whole; f++)
        if ((s->wanted >> f & 1) && !ask(r, s, f))
            go_whole(r, s);
}

/* --- Answers. --- */

/* Makes the payload one part; a transport may have cut it. */
static int flatten(const struct rpc_message *message, uint32_t size, struct buf_part *ret_part)
{
    struct buf *buf;
    uint32_t    at = 0;

    if (message->payload_bytes != size)
        return -E_CORRUPT;
    if (message->parts_count == 1) {
        *ret_part = message->parts[0];
        buf_ref(ret_part->buf);
        return 0;
    }
    buf = buf_new(size);
    if (!buf)
        return -ENOMEM;
    for (uint32_t i = 0; i < message->parts_count; i++) {
        struct slice s = buf_part_slice(&message->parts[i]);

        memcpy(buf->data + at, s.data, s.size);
        at += (uint32_t)s.size;
    }
    *ret_part = (struct buf_part) { buf, 0, size };
    return 0;
}

static void take(struct blob_reader *r, struct segment_read *s, const struct rpc_reply *reply)
{
    uint32_t                 f = reply->tag & ((1 << GENERATION_SHIFT) - 1), from, to;
    const Rs__BlobReadReply *head = reply->message ? (const Rs__BlobReadReply *)reply->message->head : NULL;
    int                      rc = reply->code;
    int64_t                  took = env_now(r->client->env) - s->asked_at;

    if (reply->tag >> GENERATION_SHIFT != s->generation || s->good >> f & 1)
        return;   /* Of before the change to WHOLE, or twice. */
    s->flying &= ~(UINT32_C(1) << f);
    span(s, f, &from, &to);
    if (rc == 0 && (!head || head->segment_bytes != s->length || head->chunk_bytes != s->chunk ||
                    (s->checksum_known && head->segment_checksum != s->checksum)))
        rc = -E_CORRUPT;
    if (rc == 0)
        rc = flatten(reply->message, to - from, &s->part[f]);
    if (rc) {
        counter_inc(blob_reads_retried);
        if (s->worst == 0 || s->worst == -ENOENT) {
            s->worst = rc;
            snprintf(s->text, sizeof s->text, "%.127s", reply->text[0] ? reply->text : error_text(rc));
        }
        return;
    }
    s->checksum = head->segment_checksum;
    s->checksum_known = true;
    s->good |= UINT32_C(1) << f;
    r->client->read_ns += (took - r->client->read_ns) / 8;
}

/* Waits until enough fragments are here. */
WAITS static int segment_wait(struct blob_reader *r, struct segment_read *s, struct error *err)
{
    while (!complete(s)) {
        const struct rpc_reply *reply;
        uint32_t                flying = s->flying;
        int                     rc;

        if (s->flying == 0 && !ask_more(r, s)) {
            counter_inc(blob_reads_failed);
            return error_set(err, s->worst == -E_CORRUPT ? -E_CORRUPT : -E_UNAVAILABLE,
                             "too few fragments of segment %u can be read: %.120s", s->number,
                             s->text[0] ? s->text : "no device that may hold them is in service");
        }
        rc = rpc_fan_next(&s->fan, s->hedge_at < r->deadline ? s->hedge_at : r->deadline, &reply);
        if (rc == 0) {
            take(r, s, reply);
            if (!complete(s) && (flying & ~s->flying & ~s->good))
                ask_more(r, s);   /* One failed. */
        } else if (rc == -ETIMEDOUT && env_now(r->client->env) < r->deadline) {
            counter_inc(blob_reads_hedged);
            for (uint32_t late = (uint32_t)__builtin_popcount(s->flying); late > 0 && ask_more(r, s); late--)
                ;
            s->hedge_at += s->hedge_at - s->asked_at;
        } else if (rc == -ENOENT) {
            s->flying = 0;
        } else {
            return error_set(err, rc, "blob read: %s", error_text(rc));
        }
    }
    return 0;
}

/* --- Decoding and verifying. --- */

struct decode_job {
    struct segment_read *s;
    const struct ec     *ec;
    uint32_t             missing;   /* Data fragments to compute. */
    int                  rc;
};

static void decode_work(void *arg)
{
    struct decode_job   *job = arg;
    struct segment_read *s = job->s;
    uint8_t             *data[POLICY_FRAGMENTS_MAX] = { 0 };
    XXH3_state_t         state;
    uint32_t             left = s->length;

    for (uint32_t i = 0; i < fragments(s); i++)
        if (s->part[i].buf)
            data[i] = s->part[i].buf->data + s->part[i].offset;
    if (job->missing)
        job->rc = ec_rebuild(job->ec, data, s->good, job->missing, s->chunk);
    if (job->rc)
        return;
    XXH3_64bits_reset(&state);
    for (uint32_t i = 0; i < s->shape.k && left > 0; i++) {
        uint32_t n = left < s->chunk ? left : s->chunk;

        XXH3_64bits_update(&state, data[i], n);
        left -= n;
    }
    if (XXH3_64bits_digest(&state) != s->checksum)
        job->rc = -E_CORRUPT;
}

WAITS static int segment_finish(struct blob_reader *r, struct segment_read *s, struct error *err)
{
    struct decode_job job = { .s = s };
    int               rc = 0;

    if (!s->shape.erasure) {   /* The copy that answered becomes the only one. */
        uint32_t f = (uint32_t)__builtin_ctz(s->good);
        struct buf_part part = s->part[f];

        s->part[f] = (struct buf_part) { 0 };
        s->part[0] = part;
        s->good = 1;
        if (!s->whole)
            return 0;   /* Its blocks were verified where they were read. */
    } else if (!s->whole) {
        return 0;
    } else {
        job.missing = ((UINT32_C(1) << s->shape.k) - 1) & ~s->good;
    }
    if (job.missing) {
        counter_inc(blob_reads_degraded);
        rc = blob_ec(r->client, s->shape.k, s->shape.m, &job.ec, err);
        for (uint32_t i = 0; i < s->shape.k && rc == 0; i++)
            if (job.missing >> i & 1) {
                s->part[i] = (struct buf_part) { buf_new(s->chunk), 0, s->chunk };
                if (!s->part[i].buf)
                    rc = error_set(err, -ENOMEM, "no memory to decode");
            }
        if (rc)
            return rc;
    }
    if (s->length <= INLINE_BYTES || env_work(r->client->env, WORK_CPU, decode_work, &job))
        decode_work(&job);
    if (job.rc) {
        counter_inc(blob_segments_corrupt);
        return error_set(err, job.rc, "segment %u of a blob: %s", s->number, error_text(job.rc));
    }
    return 0;
}

/* --- The window. --- */

static struct segment_read *segment_free(struct segment_read *s)
{
    if (s) {
        if (s->fan_open)
            rpc_fan_close(&s->fan);
        for (uint32_t i = 0; i < POLICY_FRAGMENTS_MAX; i++)
            buf_unref(s->part[i].buf);
        free(s);
    }
    return NULL;
}

static bool extent_good(const Rs__Extent *e)
{
    return e->blob.len == BLOB_ID_BYTES && e->k > 0 && e->k + (uint64_t)e->m <= POLICY_FRAGMENTS_MAX && e->unit > 0 &&
           e->unit <= CHUNK_BYTES_MAX && e->size > 0 && e->size <= BLOB_SIZE_MAX && e->policy <= UINT16_MAX &&
           (e->erasure ? e->m > 0 && e->unit % BLOB_ROUND_BYTES == 0 : e->k == 1);
}

/* Asks for the next segment of the range. */
static int segment_start(struct blob_reader *r)
{
    const Rs__Extent    *e = r->extents[r->at];
    struct segment_read *s = calloc(1, sizeof *s);
    uint32_t             whole;
    uint64_t             begin;

    if (!s)
        return -ENOMEM;
    s->extent = e;
    s->shape = (struct blob_shape) { e->k, e->m, e->unit, e->erasure };
    whole = shape_segment(&s->shape);
    s->number = (uint32_t)(r->skip / whole);
    begin = (uint64_t)s->number * whole;
    s->length = e->size - begin < whole ? (uint32_t)(e->size - begin) : whole;
    s->chunk = shape_chunk(&s->shape, s->length);
    s->from = (uint32_t)(r->skip - begin);
    s->to = r->left < s->length - s->from ? s->from + (uint32_t)r->left : s->length;
    s->whole = s->from == 0 && s->to == s->length;
    s->bytes = s->whole ? s->chunk * s->shape.k : s->to - s->from;
    r->left -= s->to - s->from;
    r->skip += s->to - s->from;
    if (r->skip == e->size) {
        r->skip = 0;
        r->at++;
    }
    r->window += s->bytes;
    r->ahead[(r->first + r->flights++) % SEGMENTS_AHEAD] = s;
    segment_ask(r, s);
    return 0;
}

/* The next run of wanted bytes of a ready segment. False: all was delivered. */
static bool deliver(struct segment_read *s, struct buf_part *ret_part)
{
    for (; s->next_out < (s->shape.erasure ? s->shape.k : 1); s->next_out++) {
        uint32_t         f = s->next_out, begin = s->shape.erasure ? f * s->chunk : 0, from, to;
        struct buf_part *p = &s->part[f];

        from = s->from > begin ? s->from : begin;
        to = s->to < begin + s->chunk ? s->to : begin + s->chunk;
        if (from >= to)
            continue;
        /* An EXACT answer begins at the first wanted byte already. */
        *ret_part = (struct buf_part) { p->buf, p->offset + (s->whole ? from - begin : 0), to - from };
        p->buf = NULL;   /* The reference moves. */
        s->next_out++;
        return true;
    }
    return false;
}

/* --- The interface. --- */

WAITS int blob_reader_new(struct blob_client *client, Rs__Extent *const *extents, size_t count, uint64_t offset,
                          uint64_t size, int64_t deadline, struct blob_reader **ret_reader, struct error *err)
{
    struct blob_reader *r;
    uint64_t            total = 0;

    for (size_t i = 0; i < count; i++) {
        if (!extent_good(extents[i]))
            return error_set(err, -E_CORRUPT, "an extent that contradicts itself");
        total += extents[i]->size;
    }
    if (offset > total || size > total - offset)
        return error_set(err, -EINVAL, "a range past the end");
    r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, -ENOMEM, "no memory for a reader");
    r->client = client;
    r->extents = extents;
    r->count = count;
    r->deadline = deadline;
    r->left = size;
    r->skip = offset;
    while (r->at < count && r->skip >= extents[r->at]->size)
        r->skip -= extents[r->at++]->size;
    *ret_reader = r;
    return 0;
}

WAITS int blob_read(struct blob_reader *r, struct buf_part *ret_part, struct error *err)
{
    int rc = r->failed;

    if (rc)
        return error_set(err, rc, "the reader failed before");
    for (;;) {
        struct segment_read *s;

        while (rc == 0 && r->left > 0 && r->flights < SEGMENTS_AHEAD &&
               (r->flights == 0 || r->window < BLOB_WINDOW_BYTES))
            rc = segment_start(r);
        if (rc) {
            error_set(err, rc, "no memory to read ahead");
            break;
        }
        if (r->flights == 0) {
            *ret_part = (struct buf_part) { 0 };
            return 0;
        }
        s = r->ahead[r->first];
        if (!s->ready) {
            rc = segment_wait(r, s, err);
            if (rc == 0)
                rc = segment_finish(r, s, err);
            if (rc)
                break;
            s->ready = true;
            rpc_fan_close(&s->fan);
            s->fan_open = false;
        }
        if (deliver(s, ret_part))
            return 0;
        r->window -= s->bytes;
        r->first = (r->first + 1) % SEGMENTS_AHEAD;
        r->flights--;
        segment_free(s);
    }
    r->failed = rc;
    return rc;
}

WAITS struct blob_reader *blob_reader_free(struct blob_reader *r)
{
    if (!r)
        return NULL;
    for (; r->flights > 0; r->flights--) {
        segment_free(r->ahead[r->first]);
        r->first = (r->first + 1) % SEGMENTS_AHEAD;
    }
    free(r);
    return NULL;
}
