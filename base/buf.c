/* base/buf.c - pools of aligned data blocks, by power-of-two size.
 *
 * The pools belong to the thread (the loop's): no locks. Small blocks come from
 * the heap. Large ones are cut from slabs of 2 MiB, each one huge page where the
 * kernel has them: a disk then gets a block in one piece, not as hundreds of
 * pages to be looked up, pinned and listed one by one, and a block that is used
 * anew costs no page faults. A slab serves one size until all of it is free. */
#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/sanitize.h"

enum {
    BUF_CLASSES = 10,                    /* 4 KiB << 9 is BUF_SIZE_MAX. */
    SLAB_BYTES = BUF_SIZE_MAX,
    SLAB_CLASS = 4,                      /* The first that is cut from slabs: 64 KiB. */
    SLAB_BUFS_MAX = 32,
#if defined(__SANITIZE_ADDRESS__)
    HEAP_CLASSES = BUF_CLASSES,          /* All from the heap, and freed at once, so that stale pointers are found. */
    HEAP_POOLED_MAX = 0,
#else
    HEAP_CLASSES = SLAB_CLASS,
    HEAP_POOLED_MAX = 16 * 1024 * 1024,  /* Free bytes kept over all classes of the heap, ... */
#endif
    SLABS_FREE_MAX = 64                  /* ... and slabs that are wholly free. */
};
static_assert(HEAP_POOLED_MAX + SLABS_FREE_MAX * SLAB_BYTES <= BUF_POOLED_MAX, "what is kept is what the header says");
static_assert(BUF_ALIGN << (BUF_CLASSES - 1) == BUF_SIZE_MAX, "the largest class is the largest buffer");
static_assert((BUF_ALIGN << SLAB_CLASS) * SLAB_BUFS_MAX == SLAB_BYTES, "a slab has room for its smallest buffers");

/* While in a pool, 'data' stays with its header and the header's 'refs' is 0. */
struct pooled {
    struct buf     buf;
    struct pooled *next;
};

struct slab {
    struct buf   buf[SLAB_BUFS_MAX];   /* First: found from a buffer by its index. */
    uint8_t     *base;                 /* SLAB_BYTES-aligned. */
    uint32_t     free;                 /* Bit per buffer. */
    uint32_t     all;                  /* 'free' when all are. */
    struct slab *prev, *next;          /* Among those of its class with free buffers, or the free ones. */
};

static _Thread_local struct {
    struct pooled *first[HEAP_CLASSES];
    uint32_t       count[HEAP_CLASSES];
    uint32_t       low[HEAP_CLASSES];     /* Least count since buf_trim_unused(): so many were not needed. */
    size_t         heap_pooled_bytes;
    struct slab   *partial[BUF_CLASSES];  /* Some buffers free, some not. */
    struct slab   *slab_free;             /* Singly linked: the last one used first. */
    uint32_t       slabs_free, slabs_low;
    size_t         slab_bytes;            /* Of all slabs. */
    size_t         live_bytes, slab_live_bytes;
} pools;

static uint32_t class_of(size_t capacity)
{
    if (capacity <= BUF_ALIGN)
        return 0;
    return 64 - (uint32_t)__builtin_clzll((capacity - 1) / BUF_ALIGN);
}

/* --- Small buffers: the heap. --- */

static struct buf *heap_new(uint32_t class_index)
{
    size_t         bytes = (size_t)BUF_ALIGN << class_index;
    struct pooled *p = pools.first[class_index];

    if (p) {
        pools.first[class_index] = p->next;
        pools.heap_pooled_bytes -= bytes;
        if (--pools.count[class_index] < pools.low[class_index])
            pools.low[class_index] = pools.count[class_index];
    } else {
        p = malloc(sizeof *p);
        if (!p)
            return NULL;
        p->buf = (struct buf) { .class_index = class_index, .capacity = bytes, .data = aligned_alloc(BUF_ALIGN, bytes) };
        if (!p->buf.data) {
            free(p);
            return NULL;
        }
    }
    p->next = NULL;
    return &p->buf;
}

static void pooled_free(struct pooled *p)
{
    free(p->buf.data);
    free(p);
}

static void heap_put(struct buf *buf)
{
    struct pooled *p = (struct pooled *)buf;

    if (pools.heap_pooled_bytes + buf->capacity > HEAP_POOLED_MAX) {
        pooled_free(p);
        return;
    }
    p->next = pools.first[buf->class_index];
    pools.first[buf->class_index] = p;
    pools.count[buf->class_index]++;
    pools.heap_pooled_bytes += buf->capacity;
}

static void heap_trim(uint32_t i, uint32_t drop)
{
    for (; drop > 0; drop--) {
        struct pooled *p = pools.first[i];
        pools.first[i] = p->next;
        pools.count[i]--;
        pools.heap_pooled_bytes -= p->buf.capacity;
        pooled_free(p);
    }
    pools.low[i] = pools.count[i];
}

/* --- Large buffers: slabs. --- */

static uint8_t *slab_map(void)
{
    uint8_t *p = mmap(NULL, 2 * (size_t)SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                      -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t before = -(uintptr_t)p % SLAB_BYTES;

    if (before)
        munmap(p, before);
    munmap(p + before + SLAB_BYTES, SLAB_BYTES - before);
    p += before;
    madvise(p, SLAB_BYTES, MADV_HUGEPAGE);   /* Where it can't be, small pages do as well. */
    return p;
}

static void slab_unmap(struct slab *s)
{
    munmap(s->base, SLAB_BYTES);
    pools.slab_bytes -= SLAB_BYTES;
    free(s);
}

static struct slab *slab_new(void)
{
    struct slab *s = pools.slab_free;

    if (s) {
        pools.slab_free = s->next;
        if (--pools.slabs_free < pools.slabs_low)
            pools.slabs_low = pools.slabs_free;
        return s;
    }
    s = malloc(sizeof *s);
    if (!s)
        return NULL;
    s->base = slab_map();
    if (!s->base) {
        free(s);
        return NULL;
    }
    pools.slab_bytes += SLAB_BYTES;
    return s;
}

static void partial_add(struct slab *s, uint32_t class_index)
{
    s->prev = NULL;
    s->next = pools.partial[class_index];
    if (s->next)
        s->next->prev = s;
    pools.partial[class_index] = s;
}

static void partial_remove(struct slab *s, uint32_t class_index)
{
    *(s->prev ? &s->prev->next : &pools.partial[class_index]) = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

/* Makes a free slab one of a class. */
static void slab_cut(struct slab *s, uint32_t class_index)
{
    size_t   bytes = (size_t)BUF_ALIGN << class_index;
    uint32_t count = (uint32_t)(SLAB_BYTES / bytes);

    for (uint32_t i = 0; i < count; i++)
        s->buf[i] = (struct buf) { .class_index = class_index, .capacity = bytes, .data = s->base + i * bytes };
    s->all = s->free = (uint32_t)((UINT64_C(1) << count) - 1);
    partial_add(s, class_index);
}

static struct buf *slab_buf_new(uint32_t class_index)
{
    struct slab *s = pools.partial[class_index];

    if (!s) {
        s = slab_new();
        if (!s)
            return NULL;
        slab_cut(s, class_index);
    }
    uint32_t i = (uint32_t)__builtin_ctz(s->free);
    s->free &= ~(UINT32_C(1) << i);
    if (s->free == 0)
        partial_remove(s, class_index);
    pools.slab_live_bytes += s->buf[i].capacity;
    return &s->buf[i];
}

static void slab_buf_put(struct buf *buf)
{
    uint32_t     i = (uint32_t)((uintptr_t)buf->data % SLAB_BYTES / buf->capacity);
    struct slab *s = (struct slab *)(buf - i);

    pools.slab_live_bytes -= buf->capacity;
    if (s->free == 0)
        partial_add(s, buf->class_index);
    s->free |= UINT32_C(1) << i;
    if (s->free != s->all)
        return;
    partial_remove(s, buf->class_index);
    if (pools.slabs_free >= SLABS_FREE_MAX) {
        slab_unmap(s);
        return;
    }
    s->next = pools.slab_free;
    pools.slab_free = s;
    pools.slabs_free++;
}

static void slab_trim(uint32_t drop)
{
    for (; drop > 0; drop--) {
        struct slab *s = pools.slab_free;
        pools.slab_free = s->next;
        pools.slabs_free--;
        slab_unmap(s);
    }
    pools.slabs_low = pools.slabs_free;
}

/* --- The interface. --- */

struct buf *buf_new(size_t capacity)
{
    if (capacity > BUF_SIZE_MAX)
        return NULL;
    uint32_t    class_index = class_of(capacity);
    struct buf *buf = class_index < HEAP_CLASSES ? heap_new(class_index) : slab_buf_new(class_index);

    if (buf) {
        buf->refs = 1;
        pools.live_bytes += buf->capacity;
    }
    return buf;
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
    pools.live_bytes -= buf->capacity;
    if (buf->class_index < HEAP_CLASSES)
        heap_put(buf);
    else
        slab_buf_put(buf);
    return NULL;
}

size_t buf_live_bytes(void)
{
    return pools.live_bytes;
}

size_t buf_pooled_bytes(void)
{
    return pools.heap_pooled_bytes + pools.slab_bytes - pools.slab_live_bytes;
}

void buf_trim(void)
{
    for (uint32_t i = 0; i < HEAP_CLASSES; i++)
        heap_trim(i, pools.count[i]);
    slab_trim(pools.slabs_free);
}

void buf_trim_unused(void)
{
    for (uint32_t i = 0; i < HEAP_CLASSES; i++)
        heap_trim(i, pools.low[i]);
    slab_trim(pools.slabs_low);
}
