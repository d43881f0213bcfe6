/* base/buf.c - pools of aligned data blocks, by power-of-two size.
 *
 * The pools belong to the thread (the loop's): no locks. Blocks from
 * BUF_MAPPED_BYTES up are mmap()ed, so that freeing them gives memory back
 * whatever the state of the heap. */
#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/sanitize.h"

enum {
    BUF_CLASSES = 10,                    /* 4 KiB << 9 is BUF_SIZE_MAX. */
    BUF_MAPPED_BYTES = 64 * 1024,
#if defined(__SANITIZE_ADDRESS__)
    BUF_POOLED_MAX = 0                   /* Freed at once, so that stale pointers are found. */
#else
    BUF_POOLED_MAX = 32 * 1024 * 1024    /* Free bytes kept over all classes. */
#endif
};
static_assert(BUF_ALIGN << (BUF_CLASSES - 1) == BUF_SIZE_MAX, "the largest class is the largest buffer");

/* While in a pool, 'data' stays with its header and the header's 'refs' is 0. */
struct pooled {
    struct buf     buf;
    struct pooled *next;
};

static _Thread_local struct {
    struct pooled *first[BUF_CLASSES];
    uint32_t       count[BUF_CLASSES];
    uint32_t       low[BUF_CLASSES];   /* Least count since buf_trim_unused(): so many were not needed. */
    size_t         live_bytes, pooled_bytes;
} pools;

static uint32_t class_of(size_t capacity)
{
    if (capacity <= BUF_ALIGN)
        return 0;
    return 64 - (uint32_t)__builtin_clzll((capacity - 1) / BUF_ALIGN);
}

static uint8_t *data_new(size_t capacity)
{
    if (capacity < BUF_MAPPED_BYTES)
        return aligned_alloc(BUF_ALIGN, capacity);
    void *p = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void pooled_free(struct pooled *p)
{
    if (p->buf.capacity < BUF_MAPPED_BYTES)
        free(p->buf.data);
    else
        munmap(p->buf.data, p->buf.capacity);
    free(p);
}

struct buf *buf_new(size_t capacity)
{
    if (capacity > BUF_SIZE_MAX)
        return NULL;
    uint32_t       class_index = class_of(capacity);
    size_t         bytes = (size_t)BUF_ALIGN << class_index;
    struct pooled *p = pools.first[class_index];

    if (p) {
        pools.first[class_index] = p->next;
        pools.pooled_bytes -= bytes;
        if (--pools.count[class_index] < pools.low[class_index])
            pools.low[class_index] = pools.count[class_index];
    } else {
        p = malloc(sizeof *p);
        if (!p)
            return NULL;
        p->buf = (struct buf) { .class_index = class_index, .capacity = bytes, .data = data_new(bytes) };
        if (!p->buf.data) {
            free(p);
            return NULL;
        }
    }
    p->next = NULL;
    p->buf.refs = 1;
    pools.live_bytes += bytes;
    return &p->buf;
}

struct buf *buf_ref(struct buf *buf)
{
    assert(buf->refs > 0 && buf->refs < UINT32_MAX);
    buf->refs++;
    return buf;
}

struct buf *buf_unref(struct buf *buf)
{
    if (!buf)
        return NULL;
    assert(buf->refs > 0);
    if (--buf->refs > 0)
        return NULL;

    struct pooled *p = (struct pooled *)buf;
    pools.live_bytes -= buf->capacity;
    if (pools.pooled_bytes + buf->capacity > BUF_POOLED_MAX) {
        pooled_free(p);
        return NULL;
    }
    p->next = pools.first[buf->class_index];
    pools.first[buf->class_index] = p;
    pools.count[buf->class_index]++;
    pools.pooled_bytes += buf->capacity;
    return NULL;
}

size_t buf_live_bytes(void)
{
    return pools.live_bytes;
}

size_t buf_pooled_bytes(void)
{
    return pools.pooled_bytes;
}

static void class_trim(uint32_t i, uint32_t drop)
{
    for (; drop > 0; drop--) {
        struct pooled *p = pools.first[i];
        pools.first[i] = p->next;
        pools.count[i]--;
        pools.pooled_bytes -= p->buf.capacity;
        pooled_free(p);
    }
    pools.low[i] = pools.count[i];
}

void buf_trim(void)
{
    for (uint32_t i = 0; i < BUF_CLASSES; i++)
        class_trim(i, pools.count[i]);
}

void buf_trim_unused(void)
{
    for (uint32_t i = 0; i < BUF_CLASSES; i++)
        class_trim(i, pools.low[i]);
}
