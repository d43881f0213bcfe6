/* tests/fuzz/base/rpc_frame_fuzz.c - frames as a hostile peer may send them.
 *
 * The input is header, head and payload; the checksums are made right (random
 * bytes would never pass them), so that what is behind them is reached. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/rpc_private.h"
#include "proto/storage.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_header   header;
    struct rpc_message *message;
    struct slice        text, head;
    struct buf_part     part = { 0 };
    uint8_t            *frame;
    size_t              head_size, payload_size;

    rpc_frame_sizes(slice_of(data, size), &head_size, &payload_size);
    if (size < RPC_FRAME_HEADER_BYTES || !(frame = malloc(size)))
        return 0;
    memcpy(frame, data, size);
    memcpy(frame, "RSR\1", 4);
    /* The sizes are those of the input, unless they are too large to be true. */
    if (get_u32le(frame + 12) > size - RPC_FRAME_HEADER_BYTES)
        put_u32le(frame + 12, 0);
    payload_size = get_u32le(frame + 12);
    head_size = size - RPC_FRAME_HEADER_BYTES - payload_size;
    put_u32le(frame + 8, (uint32_t)head_size);
    put_u64le(frame + 120, XXH3_64bits(frame, 120));
    if (payload_size > 0 && payload_size <= BUF_SIZE_MAX) {
        part = (struct buf_part) { .buf = buf_new(payload_size), .size = (uint32_t)payload_size };
        memcpy(part.buf->data, frame + RPC_FRAME_HEADER_BYTES + head_size, payload_size);
    }
    uint8_t *checked = malloc(head_size + payload_size + 1);
    memcpy(checked, frame + RPC_FRAME_HEADER_BYTES, head_size + payload_size);
    uint64_t tail = XXH3_64bits_withSeed(checked, head_size + payload_size, get_u64le(frame + 120));
    free(checked);
    if (rpc_frame_unpack(slice_of(frame, RPC_FRAME_HEADER_BYTES + head_size), &part, part.buf ? 1 : 0, tail, &header,
                         &text, &head) == 0 &&
        rpc_message_unpack(&rs__row_value__descriptor, head, &part, part.buf ? 1 : 0, &message) == 0) {
        protobuf_c_message_get_packed_size(message->head);
        rpc_message_unref(message);
    }
    buf_unref(part.buf);
    free(frame);
    return 0;
}
