/* proxy/s3/config.h - subresources of buckets and objects: in what form they are kept, and what their calls share; only
 * for proxy/s3.
 *
 * Documents of a bucket's configuration (container_document()), all checked before they were stored:
 *
 *   "acl"                  packed Rs__Acl; none: private to the owner
 *   "policy"               JSON, as it was sent
 *   "ownership"            name of the rule, s3_ownership_of() reads it; none: ObjectWriter
 *   "public-access-block"  four of '0' and '1': block_acls, ignore_acls, block_policy, restrict_buckets; none: all '0'
 *   "cors", "lifecycle", "tagging", "encryption"    XML, as we write it
 *
 * Versioning and object lock are fields of the configuration. */
#ifndef PROXY_S3_CONFIG_H
#define PROXY_S3_CONFIG_H

#include "proxy/s3/acl.h"
#include "proxy/s3/call.h"

#define DOCUMENT_ACL "acl"
#define DOCUMENT_POLICY "policy"
#define DOCUMENT_OWNERSHIP "ownership"
#define DOCUMENT_PUBLIC_ACCESS "public-access-block"
#define DOCUMENT_CORS "cors"
#define DOCUMENT_LIFECYCLE "lifecycle"
#define DOCUMENT_TAGGING "tagging"
#define DOCUMENT_ENCRYPTION "encryption"

/* --- What a bucket's documents say, for whoever judges by them (config_read.c). Pure. --- */
/* '*ret_acl' is in the arena; the bucket's own ACL, or the one that makes it private. -ENOMEM, -E_CORRUPT. */
int config_acl(struct s3_call *c, const struct container *container, Rs__Acl **ret_acl);
enum s3_ownership          config_ownership(const struct container *container);
struct public_access_block config_public_access(const struct container *container);
/* The owning project, with its name as it is now. */
struct acl_person config_owner(struct s3_call *c, const struct container *container);
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
WAITS int config_store_document(struct s3_call *c, struct container *container, const char *name, struct slice value);

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
