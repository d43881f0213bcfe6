/* base/rpc_message.c - messages: a head in an arena and referenced payload. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/rpc_private.h"

enum { POOL_MAX = 64 };
#if defined(__SANITIZE_ADDRESS__)
#define POOL_USED false   /* So that a stale pointer is seen. */
#else
#define POOL_USED true
#endif

/* A message is some 600 bytes and lives for one call. */
static _Thread_local struct rpc_message *pool[POOL_MAX];
static _Thread_local uint32_t            pool_count;

struct rpc_message *rpc_message_new(void)
{
    struct rpc_message *message = pool_count > 0 ? pool[--pool_count] : malloc(sizeof *message);

    if (!message)
        return NULL;
    message->refs = 1;
    message->parts_count = 0;
    message->head = NULL;
    message->payload_bytes = 0;
    arena_init(&message->arena, RPC_MESSAGE_ARENA_MAX);
    return message;
}

struct rpc_message *rpc_message_ref(struct rpc_message *message)
{
    assert(message->refs > 0 && message->refs < UINT32_MAX);
    message->refs++;
    return message;
}

struct rpc_message *rpc_message_unref(struct rpc_message *message)
{
    if (!message)
        return NULL;
    assert(message->refs > 0);
    if (--message->refs > 0)
        return NULL;
    for (uint32_t i = 0; i < message->parts_count; i++)
        buf_unref(message->parts[i].buf);
    arena_done(&message->arena);
    if (POOL_USED && pool_count < POOL_MAX)
        pool[pool_count++] = message;
    else
        free(message);
    return NULL;
}

int rpc_message_add(struct rpc_message *message, struct buf *buf, uint32_t offset, uint32_t size)
{
    assert(offset <= buf->capacity && size <= buf->capacity - offset);
    if (size == 0)
        return 0;
    if (message->parts_count == RPC_PARTS_MAX || size > RPC_PAYLOAD_MAX - message->payload_bytes)
        return -E_LIMIT;
    message->parts[message->parts_count++] =
        (struct buf_part) { .buf = buf_ref(buf), .offset = offset, .size = size };
    message->payload_bytes += size;
    return 0;
}

int rpc_message_add_bytes(struct rpc_message *message, struct slice bytes)
{
    struct buf *buf;
    int         rc;

    if (bytes.size == 0)
        return 0;
    if (bytes.size > BUF_SIZE_MAX)
        return -E_LIMIT;
    buf = buf_new(bytes.size);
    if (!buf)
        return -ENOMEM;
    memcpy(buf->data, bytes.data, bytes.size);
    rc = rpc_message_add(message, buf, 0, (uint32_t)bytes.size);
    buf_unref(buf);
    return rc;
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size ? size : 1);
}

static void release(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;   /* The arena goes at once. */
}

int rpc_message_unpack(const ProtobufCMessageDescriptor *type, struct slice head, const struct buf_part *payload,
                       uint32_t payload_count, struct rpc_message **ret_message)
{
    struct rpc_message *message;
    int                 rc = 0;

    if (head.size > 0 && !type)
        return -E_SYNTAX;
    message = rpc_message_new();
    if (!message)
        return -ENOMEM;
    if (type) {
        ProtobufCAllocator allocator = { allocate, release, &message->arena };

        /* An empty head is a message of defaults. */
        message->head = protobuf_c_message_unpack(type, &allocator, head.size, head.data);
        if (!message->head)
            rc = -E_SYNTAX;
    }
    for (uint32_t i = 0; rc == 0 && i < payload_count; i++)
        rc = rpc_message_add(message, payload[i].buf, payload[i].offset, payload[i].size);
    if (rc < 0) {
        rpc_message_unref(message);
        return rc;
    }
    *ret_message = message;
    return 0;
}
