/* base/rpc.c - calls in flight, credit, handlers.
 *
 *   a call:  WAITING for credit -> FLYING -> DONE (its answer is with the fan)
 *               '--------------------------^
 *
 * A call belongs to its fan until rpc_fan_close(). One that still flies then
 * stays as an orphan: it holds its credit until its answer, the loss of the
 * peer, or its deadline. Answers find their call by id in a table of slots; ids
 * start at random, so that answers to an earlier life of this node find nothing. */
#include "base/rpc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/rpc_private.h"

COUNTER(rpc_calls_local, "Calls to the own node.");
COUNTER(rpc_calls_remote, "Calls sent to other nodes.");
COUNTER(rpc_calls_waited, "Calls that waited for credit.");
COUNTER(rpc_calls_refused, "Calls not sent because too many waited, or handlers refused for overload.");
COUNTER(rpc_calls_lost, "Calls whose connection broke before the answer.");
COUNTER(rpc_replies_late, "Answers that nobody waited for any more (late or duplicate).");
COUNTER(rpc_replies_unsent, "Answers that could not be sent; the caller's deadline passes.");
COUNTER(rpc_frames_bad, "Frames refused: damaged, foreign or too new.");

enum {
    SLOT_BITS = 20,                        /* Calls in flight, at most a million. */
    SLOTS_MAX = 1 << SLOT_BITS,
    POOL_MAX = 1024                        /* Idle records kept of each kind. */
};

enum call_state { CALL_WAITING, CALL_FLYING, CALL_DONE };

struct rpc_call {
    struct rpc_reply    reply;         /* First: a reply is found back to its call. */
    struct rpc_call    *fan_next, *fan_prev;
    struct rpc_call    *done_next;
    struct rpc_call    *peer_next, *peer_prev;   /* In peer->waiting or peer->flying. */
    struct rpc_fan     *fan;           /* NULL: an orphan. */
    struct rpc_peer    *peer;          /* NULL: the own node. */
    struct rpc_message *message;       /* While WAITING. */
    uint64_t            id;            /* 0: not in the table. */
    uint64_t            epoch;
    int64_t             deadline, sent_at;
    size_t              bytes;         /* Of payload: its credit. */
    uint16_t            method;
    enum call_state     state;
};

struct call_list {
    struct rpc_call *first, *last;
    uint32_t         count;
};

struct rpc_peer {
    uint32_t         node;
    struct call_list waiting, flying;
    uint64_t         flying_bytes;
    int64_t          latency;      /* Smoothed round trip, ns. */
    int64_t          sweep_at;     /* No orphan expires before. */
    bool             pumping;
};

/* A call being handled here. */
struct rpc_serving {
    struct rpc_serving *next;          /* Pool. */
    struct rpc_request  request;
    struct rpc_message *message;
    uint64_t            call_id;       /* Of the caller. */
    bool                local;
    char                trace[TASK_TRACE_MAX];
};

struct rpc_method {
    const char                       *name;
    const ProtobufCMessageDescriptor *request, *reply;
    rpc_handler                       handler;
    void                             *ctx;
    bool                              known;
};

struct rpc_slot {
    struct rpc_call *call;
    uint32_t         next_free;
};

struct rpc {
    struct env          *env;
    uint32_t             node;
    uint64_t             cluster_id;
    struct rpc_transport transport;
    struct rpc_method    methods[RPC_METHOD_MAX];
    struct rpc_slot     *slots;
    uint32_t             slots_count, slot_free;   /* slots_count: none is free. */
    uint64_t             generation;               /* Upper bits of the next id. */
    struct rpc_peer    **peers;                    /* Hash table by node id, open addressing. */
    uint32_t             peers_count, peers_capacity;
    uint32_t             serving;
    struct rpc_call     *call_pool;
    struct rpc_serving  *serving_pool;
    uint32_t             call_pool_count, serving_pool_count;
};

/* --- Records --- */

static struct rpc_call *call_new(struct rpc *rpc)
{
    struct rpc_call *call = rpc->call_pool;

    if (!call)
        return malloc(sizeof *call);
    rpc->call_pool = call->fan_next;
    rpc->call_pool_count--;
    return call;
}

static void call_drop(struct rpc *rpc, struct rpc_call *call)
{
    rpc_message_unref(call->message);
    rpc_message_unref(call->reply.message);
    if (rpc->call_pool_count == POOL_MAX) {
        free(call);
        return;
    }
    call->fan_next = rpc->call_pool;
    rpc->call_pool = call;
    rpc->call_pool_count++;
}

static struct rpc_serving *serving_new(struct rpc *rpc)
{
    struct rpc_serving *serving = rpc->serving_pool;

    if (!serving)
        return malloc(sizeof *serving);
    rpc->serving_pool = serving->next;
    rpc->serving_pool_count--;
    return serving;
}

static void serving_drop(struct rpc *rpc, struct rpc_serving *serving)
{
    rpc_message_unref(serving->message);
    if (rpc->serving_pool_count == POOL_MAX) {
        free(serving);
        return;
    }
    serving->next = rpc->serving_pool;
    rpc->serving_pool = serving;
    rpc->serving_pool_count++;
}

/* --- The table of calls in flight --- */

static int slot_take(struct rpc *rpc, struct rpc_call *call)
{
    uint32_t at;

    if (rpc->slot_free == rpc->slots_count) {
        uint32_t         count = rpc->slots_count ? rpc->slots_count * 2 : 64;
        struct rpc_slot *slots;

        if (count > SLOTS_MAX)
            return -E_OVERLOAD;
        slots = realloc(rpc->slots, count * sizeof *slots);
        if (!slots)
            return -ENOMEM;
        for (uint32_t i = rpc->slots_count; i < count; i++)
            slots[i] = (struct rpc_slot) { .next_free = i + 1 };
        rpc->slots = slots;
        rpc->slots_count = count;
    }
    at = rpc->slot_free;
    rpc->slot_free = rpc->slots[at].next_free == rpc->slots_count ? rpc->slots_count : rpc->slots[at].next_free;
    rpc->slots[at].call = call;
    call->id = ++rpc->generation << SLOT_BITS | at;
    return 0;
}

static struct rpc_call *slot_find(struct rpc *rpc, uint64_t id)
{
    uint32_t         at = (uint32_t)(id & (SLOTS_MAX - 1));
    struct rpc_call *call = at < rpc->slots_count ? rpc->slots[at].call : NULL;

    return call && call->id == id ? call : NULL;
}

static void slot_give(struct rpc *rpc, struct rpc_call *call)
{
    uint32_t at = (uint32_t)(call->id & (SLOTS_MAX - 1));

    if (call->id == 0)
        return;
    assert(rpc->slots[at].call == call);
    rpc->slots[at] = (struct rpc_slot) { .next_free = rpc->slot_free };
    rpc->slot_free = at;
    call->id = 0;
}

/* --- Peers --- */

static void list_push(struct call_list *list, struct rpc_call *call)
{
    call->peer_next = NULL;
    call->peer_prev = list->last;
    *(list->last ? &list->last->peer_next : &list->first) = call;
    list->last = call;
    list->count++;
}

static void list_remove(struct call_list *list, struct rpc_call *call)
{
    *(call->peer_prev ? &call->peer_prev->peer_next : &list->first) = call->peer_next;
    *(call->peer_next ? &call->peer_next->peer_prev : &list->last) = call->peer_prev;
    list->count--;
}

static struct rpc_peer **peer_place(struct rpc_peer **peers, uint32_t capacity, uint32_t node)
{
    uint32_t at = (uint32_t)((node * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (capacity - 1);

    while (peers[at] && peers[at]->node != node)
        at = (at + 1) & (capacity - 1);
    return &peers[at];
}

static struct rpc_peer *peer_find(const struct rpc *rpc, uint32_t node)
{
    return rpc->peers_capacity ? *peer_place(rpc->peers, rpc->peers_capacity, node) : NULL;
}

static struct rpc_peer *peer_get(struct rpc *rpc, uint32_t node)
{
    struct rpc_peer *peer = peer_find(rpc, node);

    if (peer)
        return peer;
    if (rpc->peers_count * 2 >= rpc->peers_capacity) {
        uint32_t          capacity = rpc->peers_capacity ? rpc->peers_capacity * 2 : 16;
        struct rpc_peer **peers = calloc(capacity, sizeof *peers);

        if (!peers)
            return NULL;
        for (uint32_t i = 0; i < rpc->peers_capacity; i++)
            if (rpc->peers[i])
                *peer_place(peers, capacity, rpc->peers[i]->node) = rpc->peers[i];
        free(rpc->peers);
        rpc->peers = peers;
        rpc->peers_capacity = capacity;
    }
    peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->node = node;
    *peer_place(rpc->peers, rpc->peers_capacity, node) = peer;
    rpc->peers_count++;
    return peer;
}

static bool peer_has_credit(const struct rpc_peer *peer, size_t bytes)
{
    return peer->flying.count < RPC_INFLIGHT_MAX &&
           (peer->flying_bytes == 0 || peer->flying_bytes + bytes <= RPC_INFLIGHT_BYTES);
}

/* --- The life of a call --- */

static void call_done(struct rpc_call *call, int code, bool sent, const char *text)
{
    struct rpc_fan *fan = call->fan;

    call->state = CALL_DONE;
    call->reply.code = code;
    call->reply.sent = sent;
    if (code)
        snprintf(call->reply.text, sizeof call->reply.text, "%s", text);
    else
        call->reply.text[0] = 0;
    call->done_next = NULL;
    *(fan->done_last ? &fan->done_last->done_next : &fan->done_first) = call;
    fan->done_last = call;
    fan->open--;
    waitq_wake_one(&fan->q);
}

/* Ends a flying call: gives back its credit and slot; an orphan is dropped. */
static void call_land(struct rpc *rpc, struct rpc_call *call, int code, const char *text,
                      struct rpc_message *message)
{
    assert(call->state == CALL_FLYING);
    if (call->peer) {
        list_remove(&call->peer->flying, call);
        call->peer->flying_bytes -= call->bytes;
    }
    slot_give(rpc, call);
    call->reply.message = message;
    if (call->fan)
        call_done(call, code, true, text);
    else
        call_drop(rpc, call);
}

static int call_transmit(struct rpc *rpc, struct rpc_call *call)
{
    int64_t           now = env_now(rpc->env), left = call->deadline - now;
    struct rpc_frame  frame;
    uint8_t          *memory;
    struct rpc_header header = {
        .kind = RPC_REQUEST, .method = call->method, .from = rpc->node, .to = call->peer->node,
        .cluster_id = rpc->cluster_id, .epoch = call->epoch, .call_id = call->id,
    };
    int rc;

    if (left <= 0)
        return -ETIMEDOUT;
    if (!rpc->transport.send)
        return -E_UNAVAILABLE;
    left = left / NS_PER_MS + 1;
    header.left_ms = call->deadline == TASK_FOREVER || left >= RPC_LEFT_FOREVER ? RPC_LEFT_FOREVER : (uint32_t)left;
    memcpy(header.trace, task_trace(), strnlen(task_trace(), sizeof header.trace - 1));
    rc = rpc_frame_pack(&header, SLICE_NONE, call->message, &frame, &memory);
    if (rc < 0)
        return rc;
    call->sent_at = now;
    rc = rpc->transport.send(rpc->transport.ctx, call->peer->node, &frame);
    free(memory);
    return rc;
}

/* Sends a call that has credit. A failure comes as its answer. */
static void call_launch(struct rpc *rpc, struct rpc_call *call)
{
    int rc = slot_take(rpc, call);

    if (rc == 0)
        rc = call_transmit(rpc, call);
    if (rc < 0) {
        slot_give(rpc, call);
        call_done(call, rc, false, error_text(rc));
        return;
    }
    counter_inc(rpc_calls_remote);
    call->state = CALL_FLYING;
    list_push(&call->peer->flying, call);
    call->peer->flying_bytes += call->bytes;
    call->message = rpc_message_unref(call->message);
}

/* Drops the orphans whose deadline has passed: their answers were lost. */
static void peer_sweep(struct rpc *rpc, struct rpc_peer *peer)
{
    int64_t          now = env_now(rpc->env);
    struct rpc_call *next;

    if (now < peer->sweep_at)
        return;
    peer->sweep_at = TASK_FOREVER;
    for (struct rpc_call *call = peer->flying.first; call; call = next) {
        next = call->peer_next;
        if (!call->fan && call->deadline <= now)
            call_land(rpc, call, -ETIMEDOUT, "", NULL);
        else if (call->deadline < peer->sweep_at)
            peer->sweep_at = call->deadline;
    }
}

/* Credit may have come back: sends what waits, in order. */
static void peer_pump(struct rpc *rpc, struct rpc_peer *peer)
{
    if (!peer || peer->pumping)
        return;
    peer->pumping = true;   /* A transport may fail at once and come back here. */
    while (peer->waiting.first && peer_has_credit(peer, peer->waiting.first->bytes)) {
        struct rpc_call *call = peer->waiting.first;

        list_remove(&peer->waiting, call);
        call_launch(rpc, call);
    }
    peer->pumping = false;
}

/* --- Serving --- */

static void answer_local(struct rpc *rpc, struct rpc_serving *serving, int code, struct rpc_message *reply,
                         const char *text)
{
    struct rpc_call *call = slot_find(rpc, serving->call_id);

    if (!call) {
        counter_inc(rpc_replies_late);
        rpc_message_unref(reply);
        return;
    }
    call_land(rpc, call, code, text, reply);
}

static void answer_remote(struct rpc *rpc, struct rpc_serving *serving, int code, const struct rpc_message *reply,
                          const char *text)
{
    struct rpc_header header = {
        .kind = RPC_REPLY, .method = serving->request.method, .code = code, .from = rpc->node,
        .to = serving->request.from, .cluster_id = rpc->cluster_id, .epoch = serving->request.epoch,
        .call_id = serving->call_id, .left_ms = RPC_LEFT_FOREVER,
    };
    struct rpc_frame frame;
    uint8_t         *memory;
    int              rc;

    rc = rpc_frame_pack(&header, slice_str(code ? text : ""), reply, &frame, &memory);
    if (rc == -E_LIMIT) {
        header.code = -E_LIMIT;
        rc = rpc_frame_pack(&header, SLICE("the reply is too large"), NULL, &frame, &memory);
    }
    if (rc == 0) {
        rc = rpc->transport.send ? rpc->transport.send(rpc->transport.ctx, serving->request.from, &frame)
                                 : -E_UNAVAILABLE;
        free(memory);
    }
    if (rc < 0)
        counter_inc(rpc_replies_unsent);
}

/* Takes 'reply' (may be NULL) and 'serving'. */
static void serving_end(struct rpc *rpc, struct rpc_serving *serving, int code, struct rpc_message *reply,
                        const char *text)
{
    if (code > 0 || code <= -E_END_)
        code = -EIO;   /* A handler's mistake must not look like success. */
    if (rpc->env->dead) {
        rpc_message_unref(reply);
    } else if (serving->local) {
        answer_local(rpc, serving, code, reply, text);
    } else {
        answer_remote(rpc, serving, code, reply, text);
        rpc_message_unref(reply);
    }
    serving_drop(rpc, serving);
}

static void serve(void *arg)
{
    struct rpc_serving       *serving = arg;
    struct rpc               *rpc = serving->request.rpc;
    const struct rpc_method  *method = &rpc->methods[serving->request.method];
    struct rpc_message       *reply = NULL;
    struct error              err;
    int                       rc = 0;

    err.text[0] = 0;
    if (!serving->local)
        task_set_trace(serving->trace);
    if (env_now(rpc->env) >= serving->request.deadline)
        rc = -ETIMEDOUT;   /* Nobody waits any more. */
    else if (!method->handler)
        rc = -ENOSYS;
    else if (!(reply = rpc_message_new()))
        rc = -ENOMEM;
    else
        rc = method->handler(method->ctx, &serving->request, reply, &err);
    /* As after unpacking: a caller on the own node sees a head of defaults too. */
    if (reply && !reply->head && method->reply) {
        reply->head = arena_alloc(&reply->arena, method->reply->sizeof_message);
        if (reply->head)
            protobuf_c_message_init(method->reply, reply->head);
    }
    rpc->serving--;
    serving_end(rpc, serving, rc, reply, rc == 0 ? "" : err.text[0] ? err.text : error_text(rc));
}

/* Takes 'message'. The caller's error is returned, not answered. */
static int serve_spawn(struct rpc *rpc, const struct rpc_request *request, struct rpc_message *message,
                       uint64_t call_id, bool local, const char *trace)
{
    struct rpc_serving *serving;
    int                 rc;

    if (rpc->serving >= RPC_SERVING_MAX) {
        counter_inc(rpc_calls_refused);
        rpc_message_unref(message);
        return -E_OVERLOAD;
    }
    serving = serving_new(rpc);
    if (!serving) {
        rpc_message_unref(message);
        return -ENOMEM;
    }
    serving->request = *request;
    serving->request.rpc = rpc;
    serving->request.message = message;
    serving->message = message;
    serving->call_id = call_id;
    serving->local = local;
    if (!local)
        memcpy(serving->trace, trace, sizeof serving->trace);
    rc = env_spawn(rpc->env, rpc->methods[request->method].known ? rpc->methods[request->method].name : "rpc",
                   serve, serving);
    if (rc < 0) {
        serving_drop(rpc, serving);
        return rc;
    }
    rpc->serving++;
    return 0;
}

static void launch_local(struct rpc *rpc, struct rpc_call *call)
{
    struct rpc_request request = {
        .from = rpc->node, .method = call->method, .epoch = call->epoch, .deadline = call->deadline,
    };
    struct rpc_message *message = call->message;
    int                 rc = slot_take(rpc, call);

    call->message = NULL;
    if (rc == 0)
        rc = serve_spawn(rpc, &request, message, call->id, true, NULL);
    else
        rpc_message_unref(message);
    if (rc < 0) {
        slot_give(rpc, call);
        call_done(call, rc, false, error_text(rc));
        return;
    }
    counter_inc(rpc_calls_local);
    call->state = CALL_FLYING;
}

/* --- Frames that arrive --- */

static int deliver_request(struct rpc *rpc, const struct rpc_header *header, struct slice head,
                           const struct buf_part *payload, uint32_t payload_count)
{
    const ProtobufCMessageDescriptor *type = rpc->methods[header->method].request;
    bool                              known = rpc->methods[header->method].handler != NULL;
    struct rpc_message               *message = NULL;
    struct rpc_request                request = {
        .from = header->from, .method = header->method, .epoch = header->epoch,
        .deadline = header->left_ms == RPC_LEFT_FOREVER ? TASK_FOREVER
                                                        : env_now(rpc->env) + header->left_ms * NS_PER_MS,
    };
    int rc = known ? rpc_message_unpack(type, head, payload, payload_count, &message) : -ENOSYS;

    if (rc == 0)
        rc = serve_spawn(rpc, &request, message, header->call_id, false, header->trace);
    if (rc < 0 && rc != -ECANCELED) {
        struct rpc_serving refused = { .request = request, .call_id = header->call_id };

        answer_remote(rpc, &refused, rc, NULL, error_text(rc));
    }
    return 0;
}

static int deliver_reply(struct rpc *rpc, const struct rpc_header *header, struct slice text, struct slice head,
                         const struct buf_part *payload, uint32_t payload_count)
{
    struct rpc_call    *call = slot_find(rpc, header->call_id);
    struct rpc_message *message = NULL;
    struct rpc_peer    *peer;
    char                words[ERROR_TEXT_MAX];
    int64_t             trip;
    int                 code = header->code, rc;

    if (!call || !call->peer || call->peer->node != header->from || call->state != CALL_FLYING) {
        counter_inc(rpc_replies_late);
        return 0;
    }
    peer = call->peer;
    trip = env_now(rpc->env) - call->sent_at;
    peer->latency = peer->latency ? peer->latency + (trip - peer->latency) / 8 : trip + 1;
    snprintf(words, sizeof words, "%.*s", SLICE_ARG(text));
    if (call->fan) {
        rc = rpc_message_unpack(rpc->methods[call->method].reply, head, payload, payload_count, &message);
        /* What can't be understood may have taken effect: not the handler's refusal. */
        if (rc < 0 && code == 0) {
            code = rc == -ENOMEM ? -ENOMEM : -E_CORRUPT;
            snprintf(words, sizeof words, "%s", "the reply can't be unpacked");
        }
    }
    call_land(rpc, call, code, words, message);
    peer_pump(rpc, peer);
    return 0;
}

int rpc_deliver(struct rpc *rpc, uint32_t from, struct slice head, const struct buf_part *payload,
                uint32_t payload_count, uint64_t tail)
{
    struct rpc_header header;
    struct slice      text, packed;
    int               rc = rpc_frame_unpack(head, payload, payload_count, tail, &header, &text, &packed);

    if (rc == 0 && (header.cluster_id != rpc->cluster_id || header.from != from ||
                    header.to != rpc->node || from == rpc->node))
        rc = -E_FORBIDDEN;
    if (rc < 0) {
        counter_inc(rpc_frames_bad);
        return rc;
    }
    if (rpc->env->dead || header.kind == RPC_PING)
        return 0;
    return header.kind == RPC_REQUEST ? deliver_request(rpc, &header, packed, payload, payload_count)
                                      : deliver_reply(rpc, &header, text, packed, payload, payload_count);
}

void rpc_peer_lost(struct rpc *rpc, uint32_t node)
{
    struct rpc_peer *peer = peer_find(rpc, node);

    if (!peer)
        return;
    /* Only those of now: the answers may lead to new calls. */
    for (uint32_t left = peer->flying.count; left > 0; left--) {
        counter_inc(rpc_calls_lost);
        call_land(rpc, peer->flying.first, -E_CLOSED, "the connection to the node broke", NULL);
    }
    peer_pump(rpc, peer);
}

/* --- Set-up --- */

struct rpc *rpc_new(struct env *env, uint64_t cluster_id)
{
    struct rpc *rpc = calloc(1, sizeof *rpc);

    if (!rpc)
        return NULL;
    rpc->env = env;
    rpc->node = env->node_id;
    rpc->cluster_id = cluster_id;
    rpc->generation = env_random64(env) >> (SLOT_BITS + 1);
    return rpc;
}

struct rpc *rpc_free(struct rpc *rpc)
{
    if (!rpc)
        return NULL;
    assert(rpc->serving == 0);
    for (uint32_t i = 0; i < rpc->peers_capacity; i++) {
        struct rpc_peer *peer = rpc->peers[i];

        if (!peer)
            continue;
        assert(peer->waiting.count == 0);
        while (peer->flying.first) {
            assert(!peer->flying.first->fan);
            call_land(rpc, peer->flying.first, -ECANCELED, "", NULL);
        }
        free(peer);
    }
    while (rpc->call_pool) {
        struct rpc_call *call = rpc->call_pool;

        rpc->call_pool = call->fan_next;
        free(call);
    }
    while (rpc->serving_pool) {
        struct rpc_serving *serving = rpc->serving_pool;

        rpc->serving_pool = serving->next;
        free(serving);
    }
    free(rpc->peers);
    free(rpc->slots);
    free(rpc);
    return NULL;
}

void rpc_register(struct rpc *rpc, uint16_t method, const char *name, const ProtobufCMessageDescriptor *request,
                  const ProtobufCMessageDescriptor *reply, rpc_handler handler, void *ctx)
{
    struct rpc_method *m;

    assert(method < RPC_METHOD_MAX);
    m = &rpc->methods[method];
    assert(!m->known || (m->request == request && m->reply == reply));
    if (m->known && !handler)
        return;   /* Only the types, and those are known. */
    assert(!m->handler || m->handler == handler);
    *m = (struct rpc_method) { name, request, reply, handler, ctx, true };
}

void rpc_set_transport(struct rpc *rpc, const struct rpc_transport *transport)
{
    rpc->transport = *transport;
}

uint32_t rpc_node(const struct rpc *rpc)
{
    return rpc->node;
}

struct env *rpc_env(const struct rpc *rpc)
{
    return rpc->env;
}

int64_t rpc_latency(const struct rpc *rpc, uint32_t node)
{
    const struct rpc_peer *peer = peer_find(rpc, node);

    return peer ? peer->latency : 0;
}

/* --- Fans --- */

void rpc_fan_open(struct rpc_fan *fan, struct rpc *rpc, int64_t deadline)
{
    *fan = (struct rpc_fan) { .rpc = rpc, .deadline = deadline };
}

void rpc_fan_send(struct rpc_fan *fan, uint32_t tag, uint32_t node, uint16_t method, uint64_t epoch,
                  struct rpc_message *message)
{
    struct rpc      *rpc = fan->rpc;
    struct rpc_call *call = call_new(rpc);
    struct rpc_peer *peer = NULL;
    int              rc = 0;

    assert(method < RPC_METHOD_MAX);
    assert(call);   /* A few hundred bytes: without them nothing can be answered either. */
    /* Member by member: most of the record is text that is only written on failure. */
    call->reply.tag = tag;
    call->reply.message = NULL;
    call->fan_next = fan->first;
    call->fan_prev = NULL;
    call->fan = fan;
    call->peer = NULL;
    call->message = message ? rpc_message_ref(message) : NULL;
    call->id = 0;
    call->epoch = epoch;
    call->deadline = fan->deadline;
    call->sent_at = 0;
    call->bytes = message ? message->payload_bytes : 0;
    call->method = method;
    call->state = CALL_WAITING;
    if (fan->first)
        fan->first->fan_prev = call;
    fan->first = call;
    fan->open++;
    fan->count++;

    if (rpc->env->dead) {
        call_done(call, -ECANCELED, false, error_text(-ECANCELED));
        return;
    }
    if (node == rpc->node) {
        launch_local(rpc, call);
        return;
    }
    call->peer = peer = peer_get(rpc, node);
    if (!peer) {
        call_done(call, -ENOMEM, false, error_text(-ENOMEM));
        return;
    }
    if (peer->waiting.count > 0 || !peer_has_credit(peer, call->bytes)) {
        peer_sweep(rpc, peer);
        peer_pump(rpc, peer);
    }
    if (peer->waiting.count == 0 && peer_has_credit(peer, call->bytes)) {
        call_launch(rpc, call);
        return;
    }
    if (peer->waiting.count >= RPC_WAITING_MAX)
        rc = -E_OVERLOAD;
    if (rc < 0) {
        counter_inc(rpc_calls_refused);
        call_done(call, rc, false, error_text(rc));
        return;
    }
    counter_inc(rpc_calls_waited);
    list_push(&peer->waiting, call);
}

int rpc_fan_next(struct rpc_fan *fan, int64_t deadline, const struct rpc_reply **ret_reply)
{
    struct rpc_call *call;
    int              rc;

    if (deadline > fan->deadline)
        deadline = fan->deadline;
    while (!fan->done_first) {
        if (fan->open == 0)
            return -ENOENT;
        rc = waitq_wait(&fan->q, deadline);
        if (rc < 0 && !(rc == -ETIMEDOUT && fan->done_first))
            return rc;
    }
    call = fan->done_first;
    fan->done_first = call->done_next;
    if (!fan->done_first)
        fan->done_last = NULL;
    *ret_reply = &call->reply;
    return 0;
}

static void fan_unlink(struct rpc_fan *fan, struct rpc_call *call)
{
    *(call->fan_prev ? &call->fan_prev->fan_next : &fan->first) = call->fan_next;
    if (call->fan_next)
        call->fan_next->fan_prev = call->fan_prev;
}

void rpc_fan_forget(struct rpc_fan *fan, const struct rpc_reply *reply)
{
    struct rpc_call *call = (struct rpc_call *)(uintptr_t)reply;

    assert(call->fan == fan && call->state == CALL_DONE);
    fan_unlink(fan, call);
    call_drop(fan->rpc, call);
}

void rpc_fan_close(struct rpc_fan *fan)
{
    struct rpc *rpc = fan->rpc;

    while (fan->first) {
        struct rpc_call *call = fan->first;
        struct rpc_peer *peer = call->peer;

        fan->first = call->fan_next;
        call->fan = NULL;
        if (call->state == CALL_WAITING) {
            list_remove(&peer->waiting, call);
            call_drop(rpc, call);
        } else if (call->state == CALL_DONE) {
            call_drop(rpc, call);
        } else if (!peer) {
            slot_give(rpc, call);   /* The handler goes on, its answer finds nobody. */
            call_drop(rpc, call);
        } else if (call->deadline < peer->sweep_at) {
            peer->sweep_at = call->deadline;
        }
    }
    fan->done_first = fan->done_last = NULL;
    fan->open = 0;
}

int rpc_call(struct rpc *rpc, uint32_t node, uint16_t method, uint64_t epoch, struct rpc_message *message,
             int64_t deadline, struct rpc_message **ret_reply, struct error *err)
{
    struct rpc_fan          fan;
    const struct rpc_reply *reply = NULL;
    int                     rc;

    rpc_fan_open(&fan, rpc, deadline);
    rpc_fan_send(&fan, 0, node, method, epoch, message);
    rc = rpc_fan_next(&fan, deadline, &reply);
    if (rc < 0) {
        error_set(err, rc, "%s", error_text(rc));
    } else {
        rc = reply->code;
        if (rc < 0)
            error_set(err, rc, "%s", reply->text[0] ? reply->text : error_text(rc));
    }
    if (ret_reply && reply && (rc == 0 || reply->message))
        *ret_reply = reply->message ? rpc_message_ref(reply->message) : NULL;
    rpc_fan_close(&fan);
    return rc;
}
