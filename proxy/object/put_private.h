/* proxy/object/put_private.h - an object_put's fields, for put.c and upload_part.c. */
#ifndef PROXY_OBJECT_PUT_PRIVATE_H
#define PROXY_OBJECT_PUT_PRIVATE_H

#include "base/fsm.h"
#include "proxy/object/hasher.h"
#include "proxy/object/seal.h"

enum { PUT_RECEIVING, PUT_COMPLETE, PUT_COMMITTED };

struct object_put {
    struct object_service *service;
    struct container      *container;
    struct slice           name;         /* Of the row that its blobs belong to. */
    struct arena          *arena;
    struct held            held;         /* For the blob writer. */
    struct fsm             fsm;
    int64_t                deadline;
    uint64_t               announced;    /* UINT64_MAX: unknown. */
    uint64_t               room;         /* What quotas leave. */
    uint64_t               size;
    uint32_t               unit;         /* Buffer size of a long body. */
    bool                   never_inline;
    struct buf            *buf;          /* Being filled. */
    uint32_t               filled, capacity;
    struct blob_writer    *writer;
    Rs__Extent           **extents;
    size_t                 extent_count;
    struct hasher          hasher;
    struct seal           *seal;         /* NULL: the bytes are stored as they come. */
    uint8_t                digest[16];
    uint8_t                version[VERSION_BYTES];
    /* Parts of uploads. */
    struct slice           upload_row, object;
    uint8_t                upload[UPLOAD_ID_BYTES];
    uint32_t               part;
    bool                   must_seal;    /* The upload's parts are encrypted. */
    Rs__Encryption         upload_record;   /* Then: by what; its key_md5 is the arena's. */
};

/* Bytes that quotas leave. -EDQUOT: the announced ones (UINT64_MAX: unknown) are more. */
WAITS int put_quota(struct object_service *s, struct container *c, uint64_t announced, int64_t deadline,
                    uint64_t *ret_room, struct error *err);
/* As object_put_new(), for any row. */
WAITS int put_begin(struct object_service *s, struct container *c, struct slice row, uint64_t size, int64_t deadline,
                    struct arena *arena, bool never_inline, struct object_put **ret_put, struct error *err);

#endif
