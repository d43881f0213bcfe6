/* proxy/s3/s3.h - the S3 dialect (Amazon S3 REST API, 2006-03-01) over the object service.
 *
 * It shares its port with the Swift dialect: s3_claims() says whose a request is. A bucket is a container of the
 * account "AUTH_<project id>"; owners are projects, access keys are Keystone's EC2 credentials.
 * docs/api-s3.md says what is there. */
#ifndef PROXY_S3_S3_H
#define PROXY_S3_S3_H

#include "identity/identity.h"
#include "proxy/object/object.h"

enum {
    S3_HOSTS_MAX = 8,
    S3_HOST_BYTES_MAX = 253   /* RFC 1035, section 2.3.4, without the last dot. */
};

struct s3 {
    struct object_service *objects;
    struct identity       *identity;
    const char            *region;                 /* Signed for, and GetBucketLocation's; "us-east-1" is accepted beside it. */
    /* "BUCKET.<host>" names a bucket (virtual-host style), for each of these; NULL ends them. "localhost" always does.
     * Each is s3_host_valid(). */
    const char            *hosts[S3_HOSTS_MAX + 1];
    uint32_t               lifecycle_day_s;        /* Length of a lifecycle rule's day; 0: 86400. Tests shorten it. */
    struct compiled       *compiled;               /* compiled.h; made with the first request. */
    bool                   any_storage_class;      /* Names that are neither AWS's nor a policy's are kept as they are. */
};

/* AWS credentials, a bucket in front of one of our host names, or a path that is not one of the Swift dialect's. */
bool s3_claims(const struct s3 *s3, const struct http_request *rq);
bool s3_host_valid(struct slice name);   /* A DNS name that may be one of 'hosts'. Pure. */
WAITS void s3_handle(void *ctx /* struct s3 */, struct http_request *rq);
void s3_done(struct s3 *s3);   /* Frees what requests left in it. */

#endif
