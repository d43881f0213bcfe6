/* proxy/swift/large.h - what a GET or a copy reads: a plain object, or one that stands for many.
 *
 * A static large object (SLO) is a row whose bytes are a SegmentList: which
 * objects, with their ETags and sizes as they were. A dynamic one (DLO) is a row
 * whose X-Object-Manifest names a container and a prefix, listed at each read. */
#ifndef PROXY_SWIFT_LARGE_H
#define PROXY_SWIFT_LARGE_H

#include "proxy/swift/call.h"

enum source_kind { SOURCE_PLAIN, SOURCE_SLO, SOURCE_DLO };

struct piece {
    struct slice container, object, etag;
    uint64_t     size, first, length;   /* Of the segment; the part used. */
    bool         manifest, dynamic;     /* A large object itself; of a DLO: its ETag is not fixed. */
};

struct source {
    struct call      *c;
    struct container *container;
    struct slice      account, name;
    struct object     object;
    enum source_kind  kind;
    uint64_t          size;         /* Of what is read. */
    struct slice      etag;         /* Without quotes. */
    char              hex[33];
    struct arena      pieces_arena; /* In use unless kind is PLAIN. */
    struct piece     *pieces;
    uint32_t          piece_count;
};

/* Opens, authorises and reads; 0, a status or a negative code. 'raw': the stored bytes, whatever they mean. Needs
 * source_close() after 0. The source must stay where it is. */
WAITS int source_open(struct call *c, struct slice account, struct slice container, struct slice object,
                      enum row_want want, bool raw, struct source *ret_source);
void      source_close(struct source *source);

/* Hands bytes [offset, offset + size) to 'sink', whose failures end it. Segments that changed give -E_CONFLICT. */
typedef WAITS int (*source_sink)(void *ctx, struct slice bytes);
WAITS int source_send(struct source *source, uint64_t offset, uint64_t size, source_sink sink, void *ctx);

/* The stored bytes of an object read in full, in the arena. */
WAITS int object_all(struct call *c, const struct object *object, struct arena *arena, struct slice *ret_bytes);
WAITS int segments_of(struct call *c, const struct object *object, struct arena *arena, Rs__SegmentList **ret_list);
struct slice kept_header(const Rs__ObjectMeta *meta, const char *lower_name);   /* data NULL: none. */
void md5_hex(struct slice bytes, char hex[33]);

#endif
