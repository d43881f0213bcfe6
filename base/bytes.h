/* base/bytes.h - bounded reading and writing of integers and slices, for
 * formats on disk and on the wire that are not protobuf.
 *
 * Reader and writer have a sticky error: after the first overrun everything
 * reads as zero and nothing more is written, so that code checks once, at the
 * end. Any thread; nothing is allocated. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <endian.h>

#include "base/slice.h"

static inline void put_u16le(void *to, uint16_t v) { v = htole16(v); memcpy(to, &v, sizeof v); }
static inline void put_u32le(void *to, uint32_t v) { v = htole32(v); memcpy(to, &v, sizeof v); }
static inline void put_u64le(void *to, uint64_t v) { v = htole64(v); memcpy(to, &v, sizeof v); }
static inline void put_u16be(void *to, uint16_t v) { v = htobe16(v); memcpy(to, &v, sizeof v); }
static inline void put_u32be(void *to, uint32_t v) { v = htobe32(v); memcpy(to, &v, sizeof v); }
static inline void put_u64be(void *to, uint64_t v) { v = htobe64(v); memcpy(to, &v, sizeof v); }
static inline uint16_t get_u16le(const void *from) { uint16_t v; memcpy(&v, from, sizeof v); return le16toh(v); }
static inline uint32_t get_u32le(const void *from) { uint32_t v; memcpy(&v, from, sizeof v); return le32toh(v); }
static inline uint64_t get_u64le(const void *from) { uint64_t v; memcpy(&v, from, sizeof v); return le64toh(v); }
static inline uint16_t get_u16be(const void *from) { uint16_t v; memcpy(&v, from, sizeof v); return be16toh(v); }
static inline uint32_t get_u32be(const void *from) { uint32_t v; memcpy(&v, from, sizeof v); return be32toh(v); }
static inline uint64_t get_u64be(const void *from) { uint64_t v; memcpy(&v, from, sizeof v); return be64toh(v); }

struct bytes_reader {
    const uint8_t *data;
    size_t         size, at;   /* Bytes. */
    bool           failed;     /* Sticky: something asked for was not there. */
};

void bytes_reader_init(struct bytes_reader *reader, struct slice bytes);
static inline size_t bytes_left(const struct bytes_reader *reader) { return reader->size - reader->at; }
uint8_t      bytes_u8(struct bytes_reader *reader);
uint16_t     bytes_u16le(struct bytes_reader *reader);
uint32_t     bytes_u32le(struct bytes_reader *reader);
uint64_t     bytes_u64le(struct bytes_reader *reader);
uint16_t     bytes_u16be(struct bytes_reader *reader);
uint32_t     bytes_u32be(struct bytes_reader *reader);
uint64_t     bytes_u64be(struct bytes_reader *reader);
struct slice bytes_take(struct bytes_reader *reader, size_t size);   /* Borrowed from the input. */
/* A u32le length and that many bytes; a length over 'size_max' is a failure. */
struct slice bytes_slice32(struct bytes_reader *reader, size_t size_max);
struct slice bytes_slice16(struct bytes_reader *reader, size_t size_max);
/* All was there and nothing is left over. */
static inline bool bytes_done(const struct bytes_reader *reader)
{
    return !reader->failed && reader->at == reader->size;
}

struct bytes_writer {
    uint8_t *data;
    size_t   capacity, size;   /* Bytes. */
    bool     failed;           /* Sticky: it did not fit. */
};

void bytes_writer_init(struct bytes_writer *writer, void *data, size_t capacity);
void bytes_put(struct bytes_writer *writer, const void *data, size_t size);
void bytes_put_u8(struct bytes_writer *writer, uint8_t v);
void bytes_put_u16le(struct bytes_writer *writer, uint16_t v);
void bytes_put_u32le(struct bytes_writer *writer, uint32_t v);
void bytes_put_u64le(struct bytes_writer *writer, uint64_t v);
void bytes_put_u16be(struct bytes_writer *writer, uint16_t v);
void bytes_put_u32be(struct bytes_writer *writer, uint32_t v);
void bytes_put_u64be(struct bytes_writer *writer, uint64_t v);
void bytes_put_slice32(struct bytes_writer *writer, struct slice s);
void bytes_put_slice16(struct bytes_writer *writer, struct slice s);

#endif
