/* base/rpc.h - calls between nodes and between the roles of one process.
 *
 * A message is a protobuf-c head (small) and payload parts (object bytes, never
 * copied into protobuf). It is built once in its own arena, then immutable and
 * reference-counted: a fan-out shares one message among all replicas, and a
 * call to the own node hands it over without packing. Over a wire it becomes
 *
 *   frame: magic, lengths, kind, method, cluster id, epoch, call id, deadline
 *          left, trace id, error code, header checksum (XXH3-64)
 *          | packed head | payload | checksum of both (XXH3-64)
 *
 * (docs/formats/rpc.md). Loss, duplication, delay and reordering of frames are
 * the transport's right: a call that was sent may run zero, one or (in the
 * simulator) more times, and a call without an answer has an unknown outcome.
 *
 * Flow control is by credit: RPC_INFLIGHT_MAX calls and RPC_INFLIGHT_BYTES of
 * payload to a peer may be unanswered; more wait their turn in order, or fail
 * with -E_OVERLOAD when RPC_WAITING_MAX already wait. Calls to the own node need
 * no credit (a handler may call its own node, and would wait for itself); for
 * them RPC_SERVING_MAX is the bound. A call whose fan was closed keeps its credit
 * until the answer or its deadline, so that a slow peer can't be flooded. A
 * stream of blob chunks is a window of idempotent calls: send some, take one
 * answer, rpc_fan_forget() it, send the next.
 *
 * All on the thread of env->sched. */
#ifndef BASE_RPC_H
#define BASE_RPC_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/env.h"

enum {
    RPC_HEAD_MAX = 1024 * 1024,           /* Packed head, bytes: a page of a listing. */
    RPC_PAYLOAD_MAX = 4 * 1024 * 1024,    /* Bytes. */
    RPC_PARTS_MAX = 32,
    RPC_METHOD_MAX = 256,
    RPC_INFLIGHT_MAX = 1024,
    RPC_INFLIGHT_BYTES = 64 * 1024 * 1024,
    RPC_WAITING_MAX = 4096,
    RPC_SERVING_MAX = 8192,               /* Handlers running; more answer -E_OVERLOAD. */
    RPC_MESSAGE_ARENA_MAX = 16 * 1024 * 1024   /* A head of RPC_HEAD_MAX, unpacked; bytes. */
};

struct rpc;          /* One node's end: its handlers, peers and calls in flight. */

struct rpc_message {
    uint32_t          refs;
    uint32_t          parts_count;
    struct arena      arena;      /* Holds the head and what it points to. */
    ProtobufCMessage *head;       /* May be NULL: empty. */
    struct buf_part   parts[RPC_PARTS_MAX];
    size_t            payload_bytes;
};

struct rpc_message *rpc_message_new(void);                              /* NULL: no memory. */
struct rpc_message *rpc_message_ref(struct rpc_message *message);
struct rpc_message *rpc_message_unref(struct rpc_message *message);     /* Accepts NULL; returns NULL. */
/* Takes a reference to the part's buffer. -E_LIMIT. */
int rpc_message_add(struct rpc_message *message, struct buf *buf, uint32_t offset, uint32_t size);
/* Copies small bytes into a buffer of the message's own. */
int rpc_message_add_bytes(struct rpc_message *message, struct slice bytes);

/* A call as its handler sees it. */
struct rpc_request {
    struct rpc               *rpc;
    uint32_t                  from;       /* Node id of the caller. */
    uint16_t                  method;
    uint64_t                  epoch;
    int64_t                   deadline;   /* Of this env's clock. */
    const struct rpc_message *message;    /* Head is of the registered request type; borrowed for the call. */
};

/* Runs as a task of its own, with the caller's trace id. Fills 'reply' (its
 * head in reply->arena). A non-zero return is the call's error, sent with
 * 'err->text'; the reply is sent as well (a refusal may carry ballots). */
typedef WAITS int (*rpc_handler)(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                                 struct error *err);

struct rpc *rpc_new(struct env *env, uint64_t cluster_id);
struct rpc *rpc_free(struct rpc *rpc);   /* After the tasks of env->group ended. */
/* Both types may be NULL (no head). Register before the first call arrives. A
 * node that only calls the method registers it too, with 'handler' NULL, so that
 * replies can be unpacked (called, it answers -ENOSYS); a handler may be added later. */
void rpc_register(struct rpc *rpc, uint16_t method, const char *name, const ProtobufCMessageDescriptor *request,
                  const ProtobufCMessageDescriptor *reply, rpc_handler handler, void *ctx);

/* From now on every call to this node, also its own, is refused (-E_UNAVAILABLE, certainly not run); waits until the
 * handlers that run have ended, so that what they use can go. Those that still run (long polls) after 'grace' are
 * cancelled. -ETIMEDOUT: some still run at the deadline. */
WAITS int rpc_stop_serving(struct rpc *rpc, int64_t grace, int64_t deadline);

/* --- Transport: what carries frames to other nodes. TCP in base/rpc_tcp.h, the
 * simulator's in sim/. The own node needs none. --- */
struct rpc_frame {
    struct slice           head;        /* Fixed frame header and packed head, contiguous; owned by the frame. */
    const struct buf_part *parts;       /* Payload. */
    uint32_t               parts_count;
    uint64_t               tail;        /* Checksum after the payload. */
};
struct rpc_transport {
    void *ctx;
    /* Queues the frame for 'node', copying or referencing what it keeps; never
     * waits. -E_UNAVAILABLE (no connection now), -E_OVERLOAD. */
    int (*send)(void *ctx, uint32_t node, const struct rpc_frame *frame);
};
void rpc_set_transport(struct rpc *rpc, const struct rpc_transport *transport);
/* A whole frame arrived from 'from': verified here; -E_CORRUPT (drop the
 * connection), -E_TOO_NEW. 'payload' is borrowed: the parts are referenced. */
int rpc_deliver(struct rpc *rpc, uint32_t from, struct slice head, const struct buf_part *payload,
                uint32_t payload_count, uint64_t tail);
enum { RPC_FRAME_HEADER_BYTES = 128 };
/* What follows a frame header: for transports that read streams. -E_CORRUPT, -E_TOO_NEW, -E_LIMIT. */
int rpc_frame_sizes(struct slice header, size_t *ret_head, size_t *ret_payload);
/* The connection to 'node' broke: its calls in flight fail with -E_CLOSED (outcome unknown). */
void rpc_peer_lost(struct rpc *rpc, uint32_t node);

/* --- Calling. A fan sends one or several calls and takes their answers as they
 * come. It stays on the caller's stack; closing it stops listening and recalls
 * nothing. The message is referenced, not copied. --- */
struct rpc_reply {
    uint32_t            tag;       /* As given to rpc_fan_send(). */
    int                 code;      /* 0, the handler's error, or -ETIMEDOUT, -E_CLOSED, -E_UNAVAILABLE, -E_OVERLOAD. */
    bool                sent;      /* False: the call certainly did not and will not run. */
    char                text[ERROR_TEXT_MAX];
    struct rpc_message *message;   /* May be NULL; owned by the fan until rpc_fan_close(). */
};
struct rpc_fan {
    struct rpc      *rpc;
    int64_t          deadline;
    uint32_t         open, count;    /* Not yet answered; sent in all. */
    struct rpc_call *first;          /* Intrusive, owned by rpc.c. */
    struct rpc_call *done_first, *done_last;
    struct waitq     q;
};
void rpc_fan_open(struct rpc_fan *fan, struct rpc *rpc, int64_t deadline);
/* Never waits. A failure to send comes as an answer, so callers handle one shape. */
void rpc_fan_send(struct rpc_fan *fan, uint32_t tag, uint32_t node, uint16_t method, uint64_t epoch,
                  struct rpc_message *message);
/* The next answer. -ETIMEDOUT: the fan's deadline (or the earlier one given) passed;
 * -ENOENT: every call was answered already; -ECANCELED. */
WAITS int rpc_fan_next(struct rpc_fan *fan, int64_t deadline, const struct rpc_reply **ret_reply);
/* Gives up an answer (and its message) before rpc_fan_close(): for long windows. */
void rpc_fan_forget(struct rpc_fan *fan, const struct rpc_reply *reply);
/* Sends that still wait for credit are not made any more. */
void rpc_fan_close(struct rpc_fan *fan);

/* One call. '*ret_reply' (may be NULL to ignore) becomes the caller's to unref,
 * also on an error that carries one. */
WAITS int rpc_call(struct rpc *rpc, uint32_t node, uint16_t method, uint64_t epoch, struct rpc_message *message,
                   int64_t deadline, struct rpc_message **ret_reply, struct error *err);

uint32_t    rpc_node(const struct rpc *rpc);
struct env *rpc_env(const struct rpc *rpc);
/* Round trip seen lately to a node, ns; 0 unknown. For choosing the fastest and for hedging. */
int64_t rpc_latency(const struct rpc *rpc, uint32_t node);

#endif
