/* base/buf.h - reference-counted, 4 KiB-aligned data blocks.
 *
 * Object bytes travel from socket to disk in these without being copied. The
 * bytes are written by the one owner before the buffer is shared; from then on
 * they are immutable. References are counted on the loop thread only; a worker
 * borrows a buffer from the task that waits for it. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/error.h"
#include "base/slice.h"

enum {
    BUF_ALIGN = 4096,               /* Fits direct I/O on every disk we know. */
    BUF_SIZE_MAX = 2 * 1024 * 1024, /* Largest buffer that may be asked for. */
    BUF_POOLED_MAX = 144 * 1024 * 1024   /* Free bytes kept: 128 MiB for large buffers, 16 MiB for small ones. */
};

struct buf {
    uint32_t refs;
    uint32_t class_index;   /* Which pool it returns to. */
    size_t   capacity;      /* Bytes at 'data'. */
    uint8_t *data;          /* BUF_ALIGN-aligned. */
};

/* At least 'capacity' bytes (not zeroed), one reference; NULL when capacity is
 * over BUF_SIZE_MAX or memory is out. Size classes are powers of two from 4 KiB. */
struct buf *buf_new(size_t capacity);
struct buf *buf_ref(struct buf *buf);
struct buf *buf_unref(struct buf *buf);   /* Accepts NULL; returns NULL. */

/* A run of bytes inside a buffer, holding a reference to it. */
struct buf_part {
    struct buf *buf;
    uint32_t    offset, size;   /* Bytes. */
};

static inline struct slice buf_part_slice(const struct buf_part *part)
{
    return slice_of(part->buf ? part->buf->data + part->offset : NULL, part->size);
}

/* Bytes now held by live buffers and by the pools' free lists. */
size_t buf_live_bytes(void);
size_t buf_pooled_bytes(void);
void   buf_trim(void);   /* Gives free buffers back to the system. */
void   buf_trim_unused(void);   /* Those that were not needed since the last call of it. */

#endif
