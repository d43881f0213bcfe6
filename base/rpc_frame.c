/* base/rpc_frame.c - frames on the wire (docs/formats/rpc.md): packing, and
 * checking what arrived. No I/O. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY   /* For a state on the stack. */
#include <xxhash.h>

#include "base/bytes.h"
#include "base/rpc_private.h"

/* Later versions keep these four bytes, the size of the header and its checksum at the end. */
static const uint8_t magic[3] = { 'R', 'S', 'R' };
enum { VERSION = 1, CHECKED_BYTES = RPC_FRAME_HEADER_BYTES - 8 };

static void header_pack(const struct rpc_header *header, uint8_t *to)
{
    struct bytes_writer w;

    bytes_writer_init(&w, to, RPC_FRAME_HEADER_BYTES);
    bytes_put(&w, magic, sizeof magic);
    bytes_put_u8(&w, VERSION);
    bytes_put_u8(&w, (uint8_t)header->kind);
    bytes_put_u8(&w, 0);
    bytes_put_u16le(&w, header->method);
    bytes_put_u32le(&w, header->head_size);
    bytes_put_u32le(&w, header->payload_size);
    bytes_put_u16le(&w, (uint16_t)-header->code);
    bytes_put_u16le(&w, header->text_size);
    bytes_put_u32le(&w, header->from);
    bytes_put_u64le(&w, header->cluster_id);
    bytes_put_u64le(&w, header->epoch);
    bytes_put_u64le(&w, header->call_id);
    bytes_put_u32le(&w, header->left_ms);
    bytes_put_u32le(&w, header->to);
    bytes_put(&w, header->trace, sizeof header->trace);
    bytes_put_u64le(&w, XXH3_64bits(to, CHECKED_BYTES));
    assert(!w.failed && w.size == RPC_FRAME_HEADER_BYTES);
}

int rpc_header_unpack(struct slice bytes, struct rpc_header *ret_header)
{
    struct rpc_header   h;
    struct bytes_reader r;
    struct slice        trace;
    uint8_t             reserved, kind;

    if (bytes.size < RPC_FRAME_HEADER_BYTES || memcmp(bytes.data, magic, sizeof magic) != 0 ||
        get_u64le(bytes.data + CHECKED_BYTES) != XXH3_64bits(bytes.data, CHECKED_BYTES))
        return -E_CORRUPT;
    bytes_reader_init(&r, slice_of(bytes.data + sizeof magic, CHECKED_BYTES - sizeof magic));
    if (bytes_u8(&r) != VERSION)
        return -E_TOO_NEW;
    kind = bytes_u8(&r);
    reserved = bytes_u8(&r);
    h.method = bytes_u16le(&r);
    h.head_size = bytes_u32le(&r);
    h.payload_size = bytes_u32le(&r);
    h.code = -(int)bytes_u16le(&r);
    h.text_size = bytes_u16le(&r);
    h.from = bytes_u32le(&r);
    h.cluster_id = bytes_u64le(&r);
    h.epoch = bytes_u64le(&r);
    h.call_id = bytes_u64le(&r);
    h.left_ms = bytes_u32le(&r);
    h.to = bytes_u32le(&r);
    trace = bytes_take(&r, sizeof h.trace);
    assert(bytes_done(&r));
    if (kind < RPC_REQUEST || kind > RPC_PING || reserved != 0)
        return -E_TOO_NEW;
    h.kind = (enum rpc_kind)kind;
    if (h.head_size > RPC_HEAD_MAX + RPC_TEXT_MAX || h.payload_size > RPC_PAYLOAD_MAX ||
        h.text_size > RPC_TEXT_MAX || h.text_size > h.head_size || h.code <= -E_END_ || h.method >= RPC_METHOD_MAX)
        return -E_LIMIT;
    /* The trace goes into log lines: nothing but visible characters. */
    memcpy(h.trace, trace.data, sizeof h.trace);
    h.trace[sizeof h.trace - 1] = 0;
    for (char *c = h.trace; *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '?';
    *ret_header = h;
    return 0;
}

int rpc_frame_sizes(struct slice header, size_t *ret_head, size_t *ret_payload)
{
    struct rpc_header h;
    int               rc = rpc_header_unpack(header, &h);

    if (rc < 0)
        return rc;
    *ret_head = h.head_size;
    *ret_payload = h.payload_size;
    return 0;
}

/* Over head and payload, seeded by the header's checksum, so that parts of two frames do not mix. */
static uint64_t tail_of(const uint8_t *frame, size_t head_size, const struct buf_part *parts, uint32_t count)
{
    uint64_t     seed = get_u64le(frame + CHECKED_BYTES);
    XXH3_state_t state;

    if (count == 0)
        return XXH3_64bits_withSeed(frame + RPC_FRAME_HEADER_BYTES, head_size, seed);
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset_withSeed(&state, seed);
    XXH3_64bits_update(&state, frame + RPC_FRAME_HEADER_BYTES, head_size);
    for (uint32_t i = 0; i < count; i++)
        XXH3_64bits_update(&state, parts[i].buf->data + parts[i].offset, parts[i].size);
    return XXH3_64bits_digest(&state);
}

int rpc_frame_pack(struct rpc_header *header, struct slice text, const struct rpc_message *message,
                   struct rpc_frame *ret_frame, uint8_t **ret_memory)
{
    size_t   packed = message && message->head ? protobuf_c_message_get_packed_size(message->head) : 0;
    uint8_t *memory;

    if (packed > RPC_HEAD_MAX)
        return -E_LIMIT;
    if (text.size > RPC_TEXT_MAX)
        text.size = RPC_TEXT_MAX;
    header->head_size = (uint32_t)(text.size + packed);
    header->text_size = (uint16_t)text.size;
    header->payload_size = message ? (uint32_t)message->payload_bytes : 0;
    memory = malloc(RPC_FRAME_HEADER_BYTES + header->head_size);
    if (!memory)
        return -ENOMEM;
    header_pack(header, memory);
    if (text.size > 0)
        memcpy(memory + RPC_FRAME_HEADER_BYTES, text.data, text.size);
    if (packed > 0)
        protobuf_c_message_pack(message->head, memory + RPC_FRAME_HEADER_BYTES + text.size);
    *ret_frame = (struct rpc_frame) {
        .head = slice_of(memory, RPC_FRAME_HEADER_BYTES + header->head_size),
        .parts = message ? message->parts : NULL,
        .parts_count = message ? message->parts_count : 0,
    };
    ret_frame->tail = tail_of(memory, header->head_size, ret_frame->parts, ret_frame->parts_count);
    *ret_memory = memory;
    return 0;
}

int rpc_frame_unpack(struct slice head, const struct buf_part *payload, uint32_t payload_count, uint64_t tail,
                     struct rpc_header *ret_header, struct slice *ret_text, struct slice *ret_head)
{
    struct rpc_header h;
    size_t            payload_size = 0;
    int               rc = rpc_header_unpack(head, &h);

    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < payload_count; i++)
        payload_size += payload[i].size;
    if (head.size != RPC_FRAME_HEADER_BYTES + h.head_size || payload_size != h.payload_size ||
        payload_count > RPC_PARTS_MAX || tail != tail_of(head.data, h.head_size, payload, payload_count))
        return -E_CORRUPT;
    *ret_text = slice_of(head.data + RPC_FRAME_HEADER_BYTES, h.text_size);
    *ret_head = slice_of(head.data + RPC_FRAME_HEADER_BYTES + h.text_size, h.head_size - h.text_size);
    *ret_header = h;
    return 0;
}
