/* proxy/s3/acl.h - access control lists of buckets and objects, and who owns a new object.
 *
 * The kept form is Rs__Acl (proto/object.proto). A canonical id is a Keystone project id, a display name its name.
 * Grants to groups come first, as clients expect. S3 user guide: "Access control list (ACL) overview",
 * "Controlling ownership of objects". Pure but for the lookups, which must not wait. */
#ifndef PROXY_S3_ACL_H
#define PROXY_S3_ACL_H

#include "proto/object.pb-c.h"
#include "proxy/s3/action.h"
#include "proxy/s3/xml.h"

enum { ACL_GRANTS_MAX = 100, ACL_HEADER_BYTES_MAX = 8192 };

enum acl_grantee { ACL_USER, ACL_ALL_USERS, ACL_AUTHENTICATED_USERS, ACL_LOG_DELIVERY };   /* Rs__Grant.grantee */

struct acl_person {
    struct slice id, name;
};

/* How grants find their people. 0; -ENOENT: nobody has that id or address. */
struct acl_names {
    int (*by_id)(void *ctx, struct slice id, struct arena *arena, struct slice *ret_name);
    int (*by_email)(void *ctx, struct slice email, struct arena *arena, struct acl_person *ret_person);
    void *ctx;
};

/* The headers of a request that make an ACL; data NULL: absent. */
struct acl_headers {
    struct slice canned;                                        /* x-amz-acl */
    struct slice read, write, read_acp, write_acp, full_control;   /* x-amz-grant-... */
};
bool s3_acl_headers_given(const struct acl_headers *headers);

/* A canned ACL by name; empty: "private". 'bucket_owner' counts for objects (of_bucket false).
 * S3_INVALID_ARGUMENT: no such name. S3_NOT_IMPLEMENTED: aws-exec-read. -ENOMEM. */
int s3_acl_canned(struct arena *arena, struct slice name, bool of_bucket, const struct acl_person *owner,
                  const struct acl_person *bucket_owner, Rs__Acl **ret_acl, struct error *err);

/* From headers: canned, or grants, or none (private). S3_INVALID_REQUEST: both. S3_INVALID_ARGUMENT: a header is
 * malformed, or nobody has the id. S3_UNRESOLVABLE_GRANT_BY_EMAIL. -ENOMEM. */
int s3_acl_from_headers(struct arena *arena, const struct acl_headers *headers, bool of_bucket,
                        const struct acl_person *owner, const struct acl_person *bucket_owner,
                        const struct acl_names *names, Rs__Acl **ret_acl, struct error *err);

/* From an AccessControlPolicy document. Its owner must be 'owner' (S3_ACCESS_DENIED). S3_MALFORMED_XML,
 * S3_MALFORMED_ACL (owner, permission or grantee is missing or unknown; more than ACL_GRANTS_MAX grants),
 * S3_INVALID_ARGUMENT (nobody has the id), S3_UNRESOLVABLE_GRANT_BY_EMAIL, -ENOMEM. */
int s3_acl_from_xml(struct arena *arena, struct slice document, const struct acl_person *owner,
                    const struct acl_names *names, Rs__Acl **ret_acl, struct error *err);

void s3_acl_write(struct text *t, const Rs__Acl *acl);   /* A whole AccessControlPolicy document. */

/* Has 'project_id' (empty: anonymous) all bits of 'permission'? The owner may always read and write the ACL
 * itself. 'ignore_public': grants to everybody and to all users do not count (IgnorePublicAcls). */
bool s3_acl_allows(const Rs__Acl *acl, struct slice project_id, uint32_t permission, bool ignore_public);
bool s3_acl_is_public(const Rs__Acl *acl);   /* It grants something to everybody or to all users. */
/* It grants something to somebody who is not 'owner_id'. */
bool s3_acl_grants_others(const Rs__Acl *acl, struct slice owner_id);

/* --- Ownership of objects. --- */
enum s3_ownership { OWNERSHIP_OBJECT_WRITER, OWNERSHIP_BUCKET_OWNER_PREFERRED, OWNERSHIP_BUCKET_OWNER_ENFORCED };
const char *s3_ownership_name(enum s3_ownership ownership);             /* "ObjectWriter" */
bool        s3_ownership_of(struct slice name, enum s3_ownership *ret);

/* May a request with these headers be made? Under BucketOwnerEnforced only none, bucket-owner-full-control, or a
 * grant of full control to the bucket's owner alone; else S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED. */
int s3_ownership_check(enum s3_ownership ownership, const struct acl_headers *headers, struct slice bucket_owner_id,
                       struct error *err);
/* Does the bucket's owner own an object that another project writes with these headers? */
bool s3_ownership_takes(enum s3_ownership ownership, const struct acl_headers *headers);

/* --- Public access block. --- */
struct public_access_block {
    bool block_acls;         /* New public ACLs are refused: S3_ACCESS_DENIED. */
    bool ignore_acls;        /* Public grants do not count. */
    bool block_policy;       /* New public policies are refused. */
    bool restrict_buckets;   /* Under a public policy only the owner's project has access. */
};

#endif
