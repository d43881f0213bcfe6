/* proxy/s3/large.h - what a read of an object gives: its own bytes, or those that a manifest made through Swift stands
 * for (proxy/object/manifest.h), by this dialect's rules of access: each segment as if it were read by itself. */
#ifndef PROXY_S3_LARGE_H
#define PROXY_S3_LARGE_H

#include "proxy/object/manifest.h"
#include "proxy/s3/object.h"

struct s3_content {
    struct s3_call         *c;
    const struct container *container;
    const struct object    *object;
    struct manifest         manifest;    /* Its kind: MANIFEST_NONE of a plain object. */
    struct manifest_access  access;
    uint64_t                size;        /* Of what is read. */
    struct slice            etag;        /* As shown, without quotes. */
};

/* 'bytes': they will be read (the object was, with ROW_FULL). Borrows container and object until the close, and must
 * stay where it is. 0, S3_*, or the codes of manifest_open(). */
WAITS int s3_content_open(struct s3_call *c, const struct container *container, const struct object *object, bool bytes,
                          struct s3_content *ret_content);
void      s3_content_close(struct s3_content *content);   /* Also of a zeroed one. */

/* Bytes [offset, offset + size) into a put, which is ended. */
WAITS int s3_content_copy(struct s3_content *content, uint64_t offset, uint64_t size, struct object_put *put);

/* A copy's source, opened, authorised and judged by x-amz-copy-source-if-*. Needs s3_copied_done() after 0. Must stay
 * where it is. */
struct s3_copied {
    struct container *container;         /* Referenced. */
    struct object     object;
    struct s3_content content;
};
WAITS int s3_copied_open(struct s3_call *c, const struct s3_copy_from *from, struct s3_copied *ret_copied);
void      s3_copied_done(struct s3_copied *copied);       /* Also of a zeroed one. */

#endif
