/* proxy/swift/large.h - what a GET or a copy reads: a plain object, or one that stands for many
 * (proxy/object/manifest.h), by this dialect's rules of access. */
#ifndef PROXY_SWIFT_LARGE_H
#define PROXY_SWIFT_LARGE_H

#include "proxy/object/manifest.h"
#include "proxy/swift/call.h"

struct source {
    struct call           *c;
    struct container      *container;
    struct slice           account, name;
    struct object          object;
    struct manifest        manifest;     /* Its kind says what the object is: MANIFEST_NONE when it is read raw, too. */
    struct manifest_access access;
    uint64_t               size;         /* Of what is read. */
    struct slice           etag;         /* Without quotes. */
    char                   hex[33];
};

/* Opens, authorises and reads; 0, a status or a negative code. 'raw': the stored bytes, whatever they mean. Needs
 * source_close() after 0. The source must stay where it is. */
WAITS int source_open(struct call *c, struct slice account, struct slice container, struct slice object,
                      enum row_want want, bool raw, struct source *ret_source);
void      source_close(struct source *source);

/* Hands bytes [offset, offset + size) to 'sink', whose failures end it. Segments that changed give -E_CONFLICT. */
WAITS int source_send(struct source *source, uint64_t offset, uint64_t size, object_sink sink, void *ctx);

/* The list of a static large object, in the arena. */
WAITS int segments_of(struct call *c, const struct object *object, struct arena *arena, Rs__SegmentList **ret_list);

#endif
