/* proxy/s3/write.h - the steps that PutObject, CopyObject and PostObject share.
 *
 *   s3_write_open()    the bucket, authorised; 'prepare' fills the metadata
 *   s3_write_begin()   an object_put for so many bytes; cheap conditions are judged
 *   ... bytes into write->put, object_put_end() ...
 *   s3_write_commit()  makes the object visible
 *   s3_write_close()   always, after a successful open
 *
 * When the bucket's configuration changes meanwhile, it is opened, authorised and prepared again. */
#ifndef PROXY_S3_WRITE_H
#define PROXY_S3_WRITE_H

#include "proxy/s3/object.h"
#include "proxy/s3/receive.h"

struct s3_write {
    struct s3_call         *c;
    struct s3_need          need;        /* Bucket and key where it goes. */
    struct container       *container;
    struct object_put      *put;
    Rs__ObjectMeta          meta;
    struct object_condition condition;
    enum checksum_kind      kind;        /* Computed beside the MD5. */
    uint64_t                expires_s;
    /* Fills write->meta by the request and the bucket; may be called again. */
    int (*prepare)(struct s3_write *write);
    void *ctx;
};

WAITS int  s3_write_open(struct s3_write *write, struct s3_call *c, int (*prepare)(struct s3_write *write), void *ctx);
WAITS int  s3_write_begin(struct s3_write *write, uint64_t size);   /* UINT64_MAX: unknown. */
WAITS int  s3_write_commit(struct s3_write *write);
WAITS void s3_write_close(struct s3_write *write);
/* Headers of the answer: ETag, version, checksum, encryption, expiration. */
void       s3_write_headers(struct s3_write *write);

#endif
