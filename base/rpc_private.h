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

#endif
