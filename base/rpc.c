/* base/rpc.c - what a node answers: its handlers, frames that arrive, set-up.
 * Calls that it makes are in rpc_call.c. */
#include "base/rpc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "base/log.h"
#include "base/rpc_private.h"

COUNTER(rpc_serving_refused, "Calls that came in while too many handlers ran, or while the node was stopping.");
COUNTER(rpc_calls_lost, "Calls whose connection broke before the answer.");
COUNTER(rpc_replies_late, "Answers that nobody waited for any more (late or duplicate).");
COUNTER(rpc_replies_unsent, "Answers that could not be sent; the caller's deadline passes.");
COUNTER(rpc_frames_bad, "Frames refused: damaged, foreign or too new.");

/* --- Records --- */

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
    if (rpc->serving_pool_count == RPC_POOL_MAX) {
        free(serving);
        return;
    }
    serving->next = rpc->serving_pool;
    rpc->serving_pool = serving;
    rpc->serving_pool_count++;
}

/* --- Serving --- */

static void answer_local(struct rpc *rpc, struct rpc_serving *serving, int code, struct rpc_message *reply,
                         const char *text)
{
    struct rpc_call *call = rpc_slot_find(rpc, serving->call_id);

    if (!call) {
        counter_inc(rpc_replies_late);
        rpc_message_unref(reply);
        return;
    }
    rpc_call_land(rpc, call, code, text, reply);
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
    serving->task = task_self();
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
    *(serving->prev ? &serving->prev->next : &rpc->serving_first) = serving->next;
    if (serving->next)
        serving->next->prev = serving->prev;
    if (--rpc->serving == 0 && rpc->refusing)
        waitq_wake_all(&rpc->idle_q);
    serving_end(rpc, serving, rc, reply, rc == 0 ? "" : err.text[0] ? err.text : error_text(rc));
}

/* Takes 'message'. The caller's error is returned, not answered. */
int rpc_serve(struct rpc *rpc, const struct rpc_request *request, struct rpc_message *message,
              uint64_t call_id, bool local, const char *trace)
{
    struct rpc_serving *serving;
    int                 rc;

    if (rpc->refusing || rpc->serving >= RPC_SERVING_MAX) {
        counter_inc(rpc_serving_refused);
        rpc_message_unref(message);
        return rpc->refusing ? -E_UNAVAILABLE : -E_OVERLOAD;
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
    serving->task = NULL;
    serving->prev = NULL;
    serving->next = rpc->serving_first;
    if (serving->next)
        serving->next->prev = serving;
    rpc->serving_first = serving;
    return 0;
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
        rc = rpc_serve(rpc, &request, message, header->call_id, false, header->trace);
    if (rc < 0 && rc != -ECANCELED) {
        struct rpc_serving refused = { .request = request, .call_id = header->call_id };

        answer_remote(rpc, &refused, rc, NULL, error_text(rc));
    }
    return 0;
}

static int deliver_reply(struct rpc *rpc, const struct rpc_header *header, struct slice text, struct slice head,
                         const struct buf_part *payload, uint32_t payload_count)
{
    struct rpc_call    *call = rpc_slot_find(rpc, header->call_id);
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
    rpc_call_land(rpc, call, code, words, message);
    rpc_peer_pump(rpc, peer);
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
    struct rpc_peer *peer = rpc_peer_find(rpc, node);

    if (!peer)
        return;
    /* Only those of now: the answers may lead to new calls. */
    for (uint32_t left = peer->flying.count; left > 0; left--) {
        counter_inc(rpc_calls_lost);
        rpc_call_land(rpc, peer->flying.first, -E_CLOSED, "the connection to the node broke", NULL);
    }
    rpc_peer_pump(rpc, peer);
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
    rpc->generation = env_random64(env) >> (RPC_SLOT_BITS + 1);
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
            rpc_call_land(rpc, peer->flying.first, -ECANCELED, "", NULL);
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

WAITS static int wait_idle(struct rpc *rpc, int64_t deadline)
{
    int rc = 0;

    while (rpc->serving > 0 && rc == 0)
        rc = waitq_wait(&rpc->idle_q, deadline);
    return rpc->serving > 0 ? rc : 0;
}

WAITS int rpc_stop_serving(struct rpc *rpc, int64_t grace, int64_t deadline)
{
    rpc->refusing = true;
    if (wait_idle(rpc, grace) == 0)
        return 0;
    for (struct rpc_serving *serving = rpc->serving_first; serving; serving = serving->next)
        if (serving->task)
            task_cancel(serving->task);
    return wait_idle(rpc, deadline);
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
