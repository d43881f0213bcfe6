/* proxy/object/manifest.h - objects that stand for many: Swift's large objects, beneath both dialects.
 *
 * A static one is a row whose bytes are a SegmentList: which objects of its account, with their ETags and sizes as they
 * were when it was made. A dynamic one is a row with the header x-object-manifest, which names a container and a prefix;
 * that is listed at each read. Reading gives the bytes of the segments, one after the other; segments may be static
 * manifests themselves, down to MANIFEST_DEPTH_MAX.
 *
 * Whether the requester may read a segment is the dialect's to say: it opens the containers (struct manifest_access).
 * A static manifest whose segments changed since, and one whose segments may not be read, is a conflict, which is met
 * when the segment's turn comes: some of the bytes may have been handed out before. No more than one segment's row,
 * and the lists of the manifests above it, are held in memory. */
#ifndef PROXY_OBJECT_MANIFEST_H
#define PROXY_OBJECT_MANIFEST_H

#include "proxy/object/object.h"

enum {
    MANIFEST_DEPTH_MAX = 10,             /* Of manifests in manifests. */
    DLO_SEGMENTS_MAX = 10000,
    MANIFEST_STEP_MS = 20000,            /* For one step on the rows. */
    MANIFEST_STALE_ATTEMPTS_MAX = 100
};

enum manifest_kind { MANIFEST_NONE, MANIFEST_STATIC, MANIFEST_DYNAMIC };
/* Pure. */
enum manifest_kind manifest_kind(const Rs__ObjectMeta *meta);
/* What a dynamic one says, as the client sent it (percent-encoded "container/prefix"); data NULL: nothing. */
struct slice manifest_where(const Rs__ObjectMeta *meta);
/* Bytes as a listing shows them: of a static manifest those that it stands for. Of a dynamic one nobody knows without
 * listing its segments: its own. 'stored': the row's size. */
uint64_t manifest_size_shown(const Rs__ObjectMeta *meta, uint64_t stored);

/* How a dialect lets segments be read. */
struct manifest_access {
    /* Opens a container of the large object's account. 'listing': its objects are to be listed, else to be read (then
     * a refusal is -E_FORBIDDEN). 'fresh' after -E_STALE. Errors of a listing are handed to manifest_open()'s caller
     * as they are, also positive ones. '*ret_container' becomes the manifest's. */
    WAITS int (*open)(void *ctx, struct slice container, bool listing, bool fresh, struct container **ret_container);
    /* Is this object's owner of another mind? 0 or -E_FORBIDDEN. NULL: whoever opens a container may read its objects. */
    int (*may_read)(void *ctx, const struct container *container, struct slice name, const Rs__ObjectMeta *meta);
    void *ctx;
};

struct manifest_piece {
    struct slice container, object, etag;
    uint64_t     size, first, length;   /* Of the segment; the part used. */
    bool         manifest, dynamic;     /* A static manifest itself; of a dynamic one: its ETag is not fixed. */
};

struct manifest {
    struct object_service        *service;
    const struct manifest_access *access;
    int64_t                       deadline;      /* Of all bytes. */
    enum manifest_kind            kind;
    uint64_t                      size;          /* Of what it stands for. */
    struct slice                  etag;          /* Hex; no MD5 of the bytes. */
    char                          hex[33];
    struct arena                  arena;         /* In use unless kind is MANIFEST_NONE. */
    struct manifest_piece        *pieces;
    uint32_t                      piece_count;
};

/* Learns what the object stands for; kind MANIFEST_NONE when it is a plain one. 'where': of a dynamic one,
 * manifest_where() decoded. 'pieces': the bytes will be wanted (the object was read with ROW_FULL), else a static one
 * tells its size and ETag only. 'deadline' is that of all bytes. The manifest borrows 'access', and the object for
 * the ETag, and must stay where it is. Needs manifest_close() after 0. Fails with -E_CONFLICT (a dynamic one that names
 * no container, or too many segments), and what access->open, the rows and blobs say. */
WAITS int manifest_open(struct object_service *service, const struct manifest_access *access, const struct object *object,
                        struct slice where, bool pieces, int64_t deadline, struct manifest *ret_manifest,
                        struct error *err);
void      manifest_close(struct manifest *manifest);   /* Also of a plain object's. */

/* Hands the bytes [offset, offset + size) to 'sink', whose failures end it. -E_CONFLICT: segments changed, are gone, or
 * may not be read. */
typedef WAITS int (*object_sink)(void *ctx, struct slice bytes);
WAITS int manifest_send(struct manifest *manifest, uint64_t offset, uint64_t size, object_sink sink, void *ctx,
                        struct error *err);

/* The same for the object's own bytes. */
WAITS int object_send(struct object_service *service, const struct object *object, uint64_t offset, uint64_t size,
                      int64_t deadline, object_sink sink, void *ctx, struct error *err);
/* The list of a static one, in the arena. -E_CORRUPT. */
WAITS int manifest_segments(struct object_service *service, const struct object *object, int64_t deadline,
                            struct arena *arena, Rs__SegmentList **ret_list, struct error *err);
void md5_hex(struct slice bytes, char hex[33]);

#endif
