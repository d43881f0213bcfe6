/* base/rpc_call.c - the calls that a node makes: their table, credit, fans.
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
#include "base/rpc_private.h"

COUNTER(rpc_calls_local, "Calls to the own node.");
COUNTER(rpc_calls_remote, "Calls sent to other nodes.");
COUNTER(rpc_calls_waited, "Calls that waited for credit.");
COUNTER(rpc_calls_refused, "Calls not sent because too many waited.");

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
    if (rpc->call_pool_count == RPC_POOL_MAX) {
        free(call);
        return;
    }
    call->fan_next = rpc->call_pool;
    rpc->call_pool = call;
    rpc->call_pool_count++;
}

/* --- The table of calls in flight --- */

static int slot_take(struct rpc *rpc, struct rpc_call *call)
{
    uint32_t at;

    if (rpc->slot_free == rpc->slots_count) {
        uint32_t         count = rpc->slots_count ? rpc->slots_count * 2 : 64;
        struct rpc_slot *slots;

        if (count > RPC_SLOTS_MAX)
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
    call->id = ++rpc->generation << RPC_SLOT_BITS | at;
    return 0;
}

struct rpc_call *rpc_slot_find(struct rpc *rpc, uint64_t id)
{
    uint32_t         at = (uint32_t)(id & (RPC_SLOTS_MAX - 1));
    struct rpc_call *call = at < rpc->slots_count ? rpc->slots[at].call : NULL;

    return call && call->id == id ? call : NULL;
}

static void slot_give(struct rpc *rpc, struct rpc_call *call)
{
    uint32_t at = (uint32_t)(call->id & (RPC_SLOTS_MAX - 1));

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

struct rpc_peer *rpc_peer_find(const struct rpc *rpc, uint32_t node)
{
    return rpc->peers_capacity ? *peer_place(rpc->peers, rpc->peers_capacity, node) : NULL;
}

static struct rpc_peer *peer_get(struct rpc *rpc, uint32_t node)
{
    struct rpc_peer *peer = rpc_peer_find(rpc, node);

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
void rpc_call_land(struct rpc *rpc, struct rpc_call *call, int code, const char *text,
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
            rpc_call_land(rpc, call, -ETIMEDOUT, "", NULL);
        else if (call->deadline < peer->sweep_at)
            peer->sweep_at = call->deadline;
    }
}

/* Credit may have come back: sends what waits, in order. */
void rpc_peer_pump(struct rpc *rpc, struct rpc_peer *peer)
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

static void launch_local(struct rpc *rpc, struct rpc_call *call)
{
    struct rpc_request request = {
        .from = rpc->node, .method = call->method, .epoch = call->epoch, .deadline = call->deadline,
    };
    struct rpc_message *message = call->message;
    int                 rc = slot_take(rpc, call);

    call->message = NULL;
    if (rc == 0)
        rc = rpc_serve(rpc, &request, message, call->id, true, NULL);
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

int64_t rpc_latency(const struct rpc *rpc, uint32_t node)
{
    const struct rpc_peer *peer = rpc_peer_find(rpc, node);

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
        rpc_peer_pump(rpc, peer);
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
