/* proxy/s3/config.h - what the calls for subresources of buckets and objects share; only for proxy/s3. */
#ifndef PROXY_S3_CONFIG_H
#define PROXY_S3_CONFIG_H

#include "proxy/s3/call.h"

/* The requester; both empty when anonymous. */
struct acl_person config_requester(struct s3_call *c);
/* How ACLs of a request find people: in identity. */
struct acl_names  config_names(struct s3_call *c);
struct acl_headers config_acl_headers(struct s3_call *c);

/* --- Calls. --- */
/* The request's body, read once though the call may be repeated after -E_STALE. */
struct config_body {
    bool         read;
    struct slice bytes;
};
WAITS int config_body(struct s3_call *c, struct config_body *body, size_t limit);

/* container_update() with S3's errors. */
WAITS int config_store(struct s3_call *c, struct container *container, const struct config_changes *changes);
/* One document; an empty value removes it. */
WAITS int config_store_document(struct s3_call *c, struct container *container, struct slice name, struct slice value);

/* --- ACLs (bucket_state.c). --- */
/* The ACL that a request sets, from its headers or 'document' (the body); checked against ownership controls and public
 * access block. */
int config_new_acl(struct s3_call *c, const struct container *container, struct slice document, bool of_bucket,
                   const struct acl_person *owner, Rs__Acl **ret_acl);

/* --- Objects (object_config.c). --- */
/* Reads the call's object and version (without bytes), if the requester may; else with the fitting error. */
WAITS int config_object_read(struct s3_call *c, struct container *container, struct object *ret_object);

/* A change of one object's metadata. It is the first member of a struct with what 'edit' needs. 'edit' returns 0, a
 * negative code, or an S3_* with a sentence in c->err; it may be called several times. */
struct config_edit {
    int (*edit)(struct config_edit *edit, struct arena *arena, Rs__ObjectMeta *meta);
    struct s3_call         *c;
    const struct container *container;
    int                     code;
};
WAITS int config_object_edit(struct s3_call *c, struct container *container, struct config_edit *edit,
                             Rs__ObjectMeta **ret_meta);

#endif
