/* base/rpc_private.h - what the files of the rpc share. Nobody else includes this. */
#ifndef BASE_RPC_PRIVATE_H
#define BASE_RPC_PRIVATE_H

#include "base/rpc.h"

enum rpc_kind { RPC_REQUEST = 1, RPC_REPLY = 2, RPC_PING = 3 };

enum { RPC_TEXT_MAX = ERROR_TEXT_MAX - 1 };

/* A frame's fixed header, unpacked; docs/formats/rpc.md. */
struct rpc_header {
    enum rpc_kind kind;
    uint16_t      method;
    uint32_t      head_size;      /* Error text and packed head, bytes. */
    uint32_t      payload_size;
    int           code;           /* Replies: 0 or negative. */
    uint16_t      text_size;      /* Error text: the first bytes of the head. */
    uint32_t      from, to;       /* Node ids. */
    uint64_t      cluster_id, epoch, call_id;
    uint32_t      left_ms;        /* Of the deadline; RPC_LEFT_FOREVER. */
    char          trace[TASK_TRACE_MAX];
};
#define RPC_LEFT_FOREVER UINT32_MAX

/* -E_CORRUPT, -E_TOO_NEW, -E_LIMIT. */
int rpc_header_unpack(struct slice bytes, struct rpc_header *ret_header);

/* Packs header, text and the message's head (NULL: none) into memory that the
 * caller frees; 'ret_frame' refers to it and to the message's parts. The sizes
 * in 'header' are filled in here. -E_LIMIT, -ENOMEM. */
int rpc_frame_pack(struct rpc_header *header, struct slice text, const struct rpc_message *message,
                   struct rpc_frame *ret_frame, uint8_t **ret_memory);
/* Checks all of an arrived frame. '*ret_text' and '*ret_head' point into 'head'. */
int rpc_frame_unpack(struct slice head, const struct buf_part *payload, uint32_t payload_count, uint64_t tail,
                     struct rpc_header *ret_header, struct slice *ret_text, struct slice *ret_head);
/* A new message with one reference from what arrived: the head in its arena, the
 * parts referenced. -E_SYNTAX (not such a head, or no type known), -ENOMEM, -E_LIMIT. */
int rpc_message_unpack(const ProtobufCMessageDescriptor *type, struct slice head, const struct buf_part *payload,
                       uint32_t payload_count, struct rpc_message **ret_message);

/* --- A node's end, shared by rpc.c and rpc_call.c. --- */

enum {
    RPC_SLOT_BITS = 20,                    /* Calls in flight, at most a million. */
    RPC_SLOTS_MAX = 1 << RPC_SLOT_BITS,
    RPC_POOL_MAX = 1024                    /* Idle records kept of each kind. */
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
    struct rpc_serving *next, *prev;   /* Those that run; or 'next' in the pool. */
    struct task        *task;          /* NULL: it has not begun. */
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
    struct rpc_serving  *serving_first;
    bool                 refusing;                 /* No handler is started any more. */
    struct waitq         idle_q;                   /* Wakes when the last handler ended, then. */
    struct rpc_call     *call_pool;
    struct rpc_serving  *serving_pool;
    uint32_t             call_pool_count, serving_pool_count;
};

/* rpc_call.c. Ends a flying call: gives back its credit and slot; an orphan is dropped. */
void             rpc_call_land(struct rpc *rpc, struct rpc_call *call, int code, const char *text,
                               struct rpc_message *message);
struct rpc_call *rpc_slot_find(struct rpc *rpc, uint64_t id);                    /* NULL. */
struct rpc_peer *rpc_peer_find(const struct rpc *rpc, uint32_t node);            /* NULL. */
void             rpc_peer_pump(struct rpc *rpc, struct rpc_peer *peer);          /* Sends what waits, as credit allows. */
/* rpc.c. Starts the handler of a request; takes the message's reference. '*trace' (may be NULL: the caller's). */
int              rpc_serve(struct rpc *rpc, const struct rpc_request *request, struct rpc_message *message,
                           uint64_t call_id, bool local, const char *trace);

#endif
