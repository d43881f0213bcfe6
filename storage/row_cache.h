/* storage/row_cache.h - the hot rows of the devices, in memory.
 *
 * Holds heads as the index has them, and inline bytes of rows that were read, or
 * were written with the hint that reads will ask here. The devices of a process
 * share one room (struct row_memory), in which the row used longest ago gives way.
 * The committer keeps it right: it puts what it changed together with the index.
 * A reader may put what it looked up only if nothing was committed meanwhile.
 * Everything in it was verified when it came from disk, and is verified again by
 * whoever receives it. Loop thread only. */
#ifndef STORAGE_ROW_CACHE_H
#define STORAGE_ROW_CACHE_H

#include "storage/row_record.h"

enum {
    ROW_CACHE_BYTES = 16 * 1024 * 1024,  /* Of a device by itself: the heads of some 35,000 rows. */
    ROW_MEMORY_BYTES = 160 * 1024 * 1024, /* Of a process whose devices share. */
    ROW_CACHE_ENTRY_MAX = 64 * 1024,     /* Larger rows are not kept. */
    ROW_CACHE_BUCKETS = 32 * 1024
};

struct row_cache;

struct cached_row {
    struct row_cache  *cache;
    struct cached_row *next;                 /* Of its bucket. */
    struct cached_row *newer, *older;        /* By use. */
    uint64_t           hash;
    struct row_head    head;                 /* meta points into 'bytes'. */
    bool               has_data;             /* Or there is none. */
    struct slice       data;
    uint32_t           key_size;
    uint8_t            bytes[];              /* Key, meta, data. */
};
/* Room for rows; zeroed but for the limit. Outlives the caches that use it. */
struct row_memory {
    struct cached_row *newest, *oldest;
    size_t             bytes, limit;
};
struct row_cache {
    struct row_memory *memory;
    struct row_memory  own;                  /* Without a shared one. */
    struct cached_row *bucket[ROW_CACHE_BUCKETS];
};

/* 'cache' is zeroed; 'memory' NULL: its own, of ROW_CACHE_BYTES. */
void row_cache_init(struct row_cache *cache, struct row_memory *memory);
/* NULL: not here. Borrowed until the next wait or change. */
const struct cached_row *row_cache_get(struct row_cache *cache, struct slice key);
/* Inserts or replaces. 'data' NULL: the head only, unless the row was cached with its data. A row
 * that does not fit is left out (and an older state of it removed). */
void row_cache_put(struct row_cache *cache, struct slice key, const struct row_head *head, const struct slice *data);
/* What a change of a row that is not cached adds. */
enum row_keep { ROW_KEEP_NOTHING, ROW_KEEP_HEAD, ROW_KEEP_DATA };
/* After a change of a row. An entry that had its data gets the new one. */
void row_cache_update(struct row_cache *cache, struct slice key, const struct row_head *head, bool data_changed,
                      struct slice data, enum row_keep keep);
void row_cache_drop(struct row_cache *cache, struct slice key);
void row_cache_clear(struct row_cache *cache);

#endif
