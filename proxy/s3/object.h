/* proxy/s3/object.h - what the operations on objects share; only for proxy/s3. */
#ifndef PROXY_S3_OBJECT_H
#define PROXY_S3_OBJECT_H

#include "proxy/s3/call.h"

/* --- Conditions of reads and of copies' sources. data NULL: not given. --- */
struct s3_conditions {
    struct slice match, none_match, modified_since, unmodified_since;
};
enum s3_judged { S3_JUDGED_HOLDS, S3_JUDGED_NOT_MODIFIED, S3_JUDGED_FAILED };
/* 'etag' without quotes. Dates that cannot be parsed are ignored. Pure. */
enum s3_judged s3_judge(const struct s3_conditions *conditions, struct slice etag, uint64_t modified_us);
/* A list of tags, or "*". */
bool         s3_tag_listed(struct slice list, struct slice etag);
struct slice s3_tag_bare(struct slice tag);   /* Without blanks, W/ and quotes around. */

/* --- Parts of replies. --- */
/* CopyObjectResult, CopyPartResult. */
void         s3_copy_result(struct s3_call *c, struct text *xml, const char *root, const Rs__ObjectMeta *meta);
void         s3_add_header(struct s3_call *c, const char *name, struct slice value);   /* To the reply to come, also an error. */
struct slice s3_etag_in(struct arena *arena, const Rs__ObjectMeta *meta);   /* As s3_etag(). */
void         s3_header_checksum(struct s3_call *c, const Rs__ObjectMeta *meta);
struct slice s3_kept_header(const Rs__ObjectMeta *meta, const char *lower_name);   /* data NULL: none. */
void         s3_iso_time(uint64_t us, char out[40]);   /* 2026-01-31T12:00:00.123Z */
/* The answer for a version that cannot be read: nothing there, or a delete marker ('object' as the service filled it). */
WAITS int    s3_gone(struct s3_call *c, struct container *container, const struct s3_need *need,
                     const struct version_ref *version, const struct object *object);

/* --- Writes. --- */
int  s3_lock_headers(struct s3_call *c, const struct container *container, Rs__ObjectMeta *meta);   /* x-amz-object-lock-*. */
/* Owner and ACL of an object that this request writes. */
int  s3_object_owner(struct s3_call *c, const struct container *container, const struct acl_headers *headers,
                     Rs__ObjectMeta *meta);
int  s3_tag_header(struct s3_call *c, const struct container *container, Rs__ObjectMeta *meta);     /* x-amz-tagging. */
/* The answer after -E_CONDITION: S3_PRECONDITION_FAILED, or S3_NO_SUCH_KEY when If-Match met nothing. */
WAITS int s3_condition_failed(struct s3_call *c, struct container *container, const struct object_condition *condition);

/* --- Encryption (encrypt.c). --- */
/* May the object's bytes be read by this request: SSE-C needs the key, which the object gets. 0, S3_*. */
int  s3_encryption_check(struct s3_call *c, struct object *object);
int  s3_encryption_source(struct s3_call *c, struct object *object);   /* The same for a copy's source. */
void s3_reply_encryption(struct s3_call *c, const Rs__ObjectMeta *meta);
/* What the headers of a write ask for: valid at all; done by the put, before the first byte; kept by the upload to be
 * begun. 0, S3_*, those of object_put_encrypt(). */
int  s3_encryption_valid(struct s3_call *c);
int  s3_encryption_put(struct s3_call *c, struct object_put *put);
int  s3_encryption_upload(struct s3_call *c, Rs__ObjectMeta *meta);
/* With an upload's metadata: SSE-C needs the same key for each part, and mostly for the completion. */
int  s3_encryption_part(struct s3_call *c, const Rs__ObjectMeta *meta, struct object_put *put);
int  s3_encryption_complete(struct s3_call *c, const Rs__ObjectMeta *meta);

/* x-amz-expiration by the bucket's lifecycle rules. */
void s3_reply_expiration(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta,
                         uint64_t size);

#endif
