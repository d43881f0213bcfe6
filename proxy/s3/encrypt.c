/* proxy/s3/encrypt.c - the headers of server-side encryption.
 *
 * Nothing is encrypted yet: a request that asks for it is refused, so that nobody believes it was done. */
#include "proxy/s3/object.h"

static int refuse(struct s3_call *c, const char *prefix)
{
    struct http_header h;
    uint32_t           at = 0;

    return http_header_prefix(c->rq, prefix, &at, &h)
               ? s3_errorf(c, S3_NOT_IMPLEMENTED, "Server-side encryption is not implemented.") : 0;
}

int s3_encryption_put(struct s3_call *c, const struct container *container, struct object_put *put, Rs__ObjectMeta *meta)
{
    (void)container;
    (void)put;
    (void)meta;
    return refuse(c, "x-amz-server-side-encryption");
}

int s3_encryption_check(struct s3_call *c, const struct object *object)
{
    if (object->meta->encryption)
        return s3_error(c, S3_NOT_IMPLEMENTED);
    return refuse(c, "x-amz-server-side-encryption-customer");
}

int s3_encryption_source(struct s3_call *c, const struct object *object)
{
    if (object->meta->encryption)
        return s3_error(c, S3_NOT_IMPLEMENTED);
    return refuse(c, "x-amz-copy-source-server-side-encryption-customer");
}

void s3_reply_encryption(struct s3_call *c, const Rs__ObjectMeta *meta)
{
    (void)c;
    (void)meta;
}
