/* base/arena.c - bump allocation in blocks that are freed together. */
#include "base/arena.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sanitize.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_CACHE_MAX 0   /* Freed blocks go back to malloc, so that stale pointers are found. */
#else
#define ARENA_CACHE_MAX 64  /* Blocks kept a thread: 512 KiB. */
#endif

struct arena_block {
    struct arena_block *next;
    size_t              size;     /* Bytes of the whole block, this header included. */
    uint8_t             bytes[] __attribute__((aligned(16)));
};

struct block_cache {
    struct arena_block *first;
    uint32_t            count;
    bool                registered;   /* Its destructor will run when the thread ends. */
};

static _Thread_local struct block_cache cache;
static pthread_key_t  cache_key;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static void cache_drop(void *arg)
{
    struct block_cache *c = arg;

    while (c->first) {
        struct arena_block *block = c->first;
        c->first = block->next;
        free(block);
    }
    c->count = 0;
    c->registered = false;
}

static void cache_key_make(void)
{
    int rc = pthread_key_create(&cache_key, cache_drop);
    assert(rc == 0);
    (void)rc;
}

static struct arena_block *block_get(size_t size)
{
    if (size == ARENA_BLOCK_BYTES && cache.first) {
        struct arena_block *block = cache.first;
        cache.first = block->next;
        cache.count--;
        return block;
    }
    struct arena_block *block = malloc(size);
    if (block)
        block->size = size;
    return block;
}

static void block_put(struct arena_block *block)
{
    if (block->size != ARENA_BLOCK_BYTES || cache.count + 1 > ARENA_CACHE_MAX) {
        free(block);
        return;
    }
    if (!cache.registered) {
        pthread_once(&cache_once, cache_key_make);
        cache.registered = pthread_setspecific(cache_key, &cache) == 0;
    }
    block->next = cache.first;
    cache.first = block;
    cache.count++;
}

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena) { .limit = limit_bytes };
}

static void arena_drop(struct arena *arena, struct arena_block *keep)
{
    struct arena_block *block = arena->blocks;

    while (block) {
        struct arena_block *next = block->next;
        if (block != keep)
            block_put(block);
        block = next;
    }
    arena->blocks = NULL;
    arena->next = arena->end = NULL;
    arena->used = 0;
}

void arena_done(struct arena *arena)
{
    arena_drop(arena, NULL);
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = NULL;

    /* A block of its own for a large piece is not worth keeping. */
    for (struct arena_block *b = arena->blocks; b && !keep; b = b->next)
        if (b->size == ARENA_BLOCK_BYTES)
            keep = b;
    arena_drop(arena, keep);
    if (keep) {
        keep->next = NULL;
        arena->blocks = keep;
        arena->next = keep->bytes;
        arena->end = (uint8_t *)keep + keep->size;
    }
}

/* Uninitialised; '*ret_rounded' bytes of it are the caller's. */
static void *take(struct arena *arena, size_t size, size_t *ret_rounded)
{
    size_t rounded;

    if (size == 0)
        size = 1;   /* Distinct, valid pointers keep callers free of a special case. */
    if (!size_add(size, 15, &rounded))
        return NULL;
    rounded &= ~(size_t)15;
    if (rounded > arena->limit || arena->used > arena->limit - rounded)
        return NULL;

    if ((size_t)(arena->end - arena->next) < rounded) {
        size_t usual = ARENA_BLOCK_BYTES - sizeof(struct arena_block);
        bool   own = rounded > usual / 2;   /* Would waste much of a usual block. */
        size_t bytes;

        if (!size_add(rounded, sizeof(struct arena_block), &bytes))
            return NULL;
        struct arena_block *block = block_get(own ? bytes : ARENA_BLOCK_BYTES);
        if (!block)
            return NULL;
        block->next = arena->blocks;
        arena->blocks = block;
        if (own) {
            arena->used += rounded;
            *ret_rounded = rounded;
            return block->bytes;
        }
        arena->next = block->bytes;
        arena->end = (uint8_t *)block + block->size;
    }
    void *p = arena->next;
    arena->next += rounded;
    arena->used += rounded;
    *ret_rounded = rounded;
    return p;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded;
    void  *p = take(arena, size, &rounded);

    return p ? memset(p, 0, rounded) : NULL;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    return size_mul(count, size, &bytes) ? arena_alloc(arena, bytes) : NULL;
}

struct slice arena_dup(struct arena *arena, struct slice bytes)
{
    size_t   with_nul, rounded;
    uint8_t *p = size_add(bytes.size, 1, &with_nul) ? take(arena, with_nul, &rounded) : NULL;

    if (!p)
        return SLICE_NONE;
    if (bytes.size)
        memcpy(p, bytes.data, bytes.size);
    memset(p + bytes.size, 0, rounded - bytes.size);
    return slice_of(p, bytes.size);
}

char *arena_str(struct arena *arena, struct slice bytes)
{
    return (char *)(uintptr_t)arena_dup(arena, bytes).data;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    char    few[128];   /* Most texts fit, and are formatted once. */

    va_start(args, format);
    int n = vsnprintf(few, sizeof few, format, args);
    va_end(args);
    if (n < 0)
        return NULL;
    char *text = arena_alloc(arena, (size_t)n + 1);
    if (!text)
        return NULL;
    if ((size_t)n < sizeof few)
        return memcpy(text, few, (size_t)n + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}
