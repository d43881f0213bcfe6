/* base/bytes.c - bounded reading and writing of integers and slices. */
#include "base/bytes.h"

void bytes_reader_init(struct bytes_reader *reader, struct slice bytes)
{
    *reader = (struct bytes_reader) { .data = bytes.data, .size = bytes.size };
}

struct slice bytes_take(struct bytes_reader *reader, size_t size)
{
    struct slice taken;

    if (reader->failed || size > reader->size - reader->at) {
        reader->failed = true;
        return SLICE_NONE;
    }
    taken = slice_of(reader->data ? reader->data + reader->at : NULL, size);
    reader->at += size;
    return taken;
}

#define READ(name, type, get)                                                                      \
    type bytes_##name(struct bytes_reader *reader)                                                 \
    {                                                                                              \
        struct slice s = bytes_take(reader, sizeof(type));                                         \
        return s.size == sizeof(type) ? get(s.data) : 0;                                           \
    }
#define GET_U8(p) (*(p))
READ(u8, uint8_t, GET_U8)
READ(u16le, uint16_t, get_u16le)
READ(u32le, uint32_t, get_u32le)
READ(u64le, uint64_t, get_u64le)
READ(u16be, uint16_t, get_u16be)
READ(u32be, uint32_t, get_u32be)
READ(u64be, uint64_t, get_u64be)

struct slice bytes_slice32(struct bytes_reader *reader, size_t size_max)
{
    uint32_t size = bytes_u32le(reader);

    if (size > size_max)
        reader->failed = true;
    return bytes_take(reader, size);
}

struct slice bytes_slice16(struct bytes_reader *reader, size_t size_max)
{
    uint16_t size = bytes_u16le(reader);

    if (size > size_max)
        reader->failed = true;
    return bytes_take(reader, size);
}

void bytes_writer_init(struct bytes_writer *writer, void *data, size_t capacity)
{
    *writer = (struct bytes_writer) { .data = data, .capacity = capacity };
}

void bytes_put(struct bytes_writer *writer, const void *data, size_t size)
{
    if (writer->failed || size > writer->capacity - writer->size) {
        writer->failed = true;
        return;
    }
    if (size > 0)
        memcpy(writer->data + writer->size, data, size);
    writer->size += size;
}

void bytes_put_u8(struct bytes_writer *writer, uint8_t v)
{
    bytes_put(writer, &v, 1);
}

#define WRITE(name, type)                                                                          \
    void bytes_put_##name(struct bytes_writer *writer, type v)                                     \
    {                                                                                              \
        uint8_t packed[sizeof(type)];                                                              \
        put_##name(packed, v);                                                                     \
        bytes_put(writer, packed, sizeof packed);                                                  \
    }
WRITE(u16le, uint16_t)
WRITE(u32le, uint32_t)
WRITE(u64le, uint64_t)
WRITE(u16be, uint16_t)
WRITE(u32be, uint32_t)
WRITE(u64be, uint64_t)

void bytes_put_slice32(struct bytes_writer *writer, struct slice s)
{
    if (s.size > UINT32_MAX) {
        writer->failed = true;
        return;
    }
    bytes_put_u32le(writer, (uint32_t)s.size);
    bytes_put(writer, s.data, s.size);
}

void bytes_put_slice16(struct bytes_writer *writer, struct slice s)
{
    if (s.size > UINT16_MAX) {
        writer->failed = true;
        return;
    }
    bytes_put_u16le(writer, (uint16_t)s.size);
    bytes_put(writer, s.data, s.size);
}
