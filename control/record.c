/* control/record.c - keys and values of the control store in its index.
 *
 *   'd' key          ControlRecord   the current state of a key
 *   'h' revision     ControlCommit   what the revision changed, for watches
 *   'l' lease        ControlLease
 *   'k' lease key    ""              which keys a lease holds
 *   'm'              ControlMeta     revision and applied journal position
 *
 * Revisions and leases are big-endian, so that byte order is their order. */
#include "control/internal.h"

static void key_u64(struct record_key *key, char kind, uint64_t value)
{
    key->byte[0] = (uint8_t)kind;
    for (int i = 0; i < 8; i++)
        key->byte[1 + i] = (uint8_t)(value >> (56 - 8 * i));
    key->size = 9;
}

static void key_append(struct record_key *key, struct slice bytes)
{
    /* Keys were checked against CONTROL_KEY_MAX when they came in. */
    size_t room = sizeof key->byte - key->size;
    size_t n = bytes.size < room ? bytes.size : room;
    if (n)
        memcpy(key->byte + key->size, bytes.data, n);
    key->size += n;
}

uint64_t record_u64(const uint8_t *bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | bytes[i];
    return v;
}

void record_key_data(struct record_key *ret, struct slice key)
{
    ret->byte[0] = 'd';
    ret->size = 1;
    key_append(ret, key);
}

void record_key_history(struct record_key *ret, uint64_t revision)
{
    key_u64(ret, 'h', revision);
}

void record_key_lease(struct record_key *ret, uint64_t lease)
{
    key_u64(ret, 'l', lease);
}

void record_key_lease_key(struct record_key *ret, uint64_t lease, struct slice key)
{
    key_u64(ret, 'k', lease);
    key_append(ret, key);
}

void record_key_meta(struct record_key *ret)
{
    ret->byte[0] = 'm';
    ret->size = 1;
}

struct slice record_pack(struct arena *arena, const ProtobufCMessage *message)
{
    size_t   size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(arena, size ? size : 1);

    if (data == NULL)
        return SLICE_NONE;
    protobuf_c_message_pack(message, data);
    return slice_of(data, size);
}

static void *unpack_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void unpack_free(void *arena, void *data)
{
    (void)arena;   /* The arena frees all at once. */
    (void)data;
}

void *record_unpack(struct arena *arena, const ProtobufCMessageDescriptor *type, struct slice bytes)
{
    ProtobufCAllocator allocator = { unpack_alloc, unpack_free, arena };
    return protobuf_c_message_unpack(type, &allocator, bytes.size, bytes.data);
}
