/* base/arena.h - memory that is freed all at once: one arena a request.
 *
 * Not thread-safe: one task at a time. Blocks come from a small per-thread
 * cache, so an arena of a few KiB costs no malloc. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    ARENA_BLOCK_BYTES = 8192,            /* First and usual block. */
    ARENA_LIMIT_DEFAULT = 4 * 1024 * 1024 /* What one request may hold. */
};

struct arena_block;

struct arena {
    struct arena_block *blocks;
    uint8_t            *next, *end;
    size_t              used, limit;   /* Bytes. */
};

void arena_init(struct arena *arena, size_t limit_bytes);
void arena_done(struct arena *arena);    /* Frees everything; may be used again after init. */
void arena_reset(struct arena *arena);   /* Frees everything but one block. */

/* 16-byte aligned, zeroed. NULL when the limit or memory is exhausted. */
void *arena_alloc(struct arena *arena, size_t size);
#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, n) ((type *)arena_calloc((arena), (n), sizeof(type)))
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* Copies; a NUL follows the bytes. data is NULL on exhaustion. */
struct slice arena_dup(struct arena *arena, struct slice bytes);
char        *arena_str(struct arena *arena, struct slice bytes);
char        *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
