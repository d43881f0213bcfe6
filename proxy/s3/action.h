/* proxy/s3/action.h - the actions of S3 that policies name. ops.c says which ones an operation needs.
 *
 * The table also says which permission of an ACL stands for an action. Source: AWS Service Authorization Reference,
 * "Actions, resources, and condition keys for Amazon S3"; S3 user guide, "Access control list overview". Pure. */
#ifndef PROXY_S3_ACTION_H
#define PROXY_S3_ACTION_H

#include "base/slice.h"

/* Permissions of ACL grants; also kept in Rs__Grant.permission. */
enum acl_permission {
    ACL_READ = 1,
    ACL_WRITE = 2,
    ACL_READ_ACP = 4,
    ACL_WRITE_ACP = 8,
    ACL_FULL_CONTROL = 15
};

/* X(NAME, name, resource, whose ACL, permission): without a permission only the owner may, or whom a policy allows.
 * Resources: B bucket, O object, A account. */
#define S3_ACTIONS(X)                                                  \
    X(ABORT_MULTIPART_UPLOAD, "AbortMultipartUpload", O, B, ACL_WRITE) \
    X(BYPASS_GOVERNANCE_RETENTION, "BypassGovernanceRetention", O, B, 0) \
    X(CREATE_BUCKET, "CreateBucket", B, B, 0)                          \
    X(DELETE_BUCKET, "DeleteBucket", B, B, 0)                          \
    X(DELETE_BUCKET_OWNERSHIP_CONTROLS, "DeleteBucketOwnershipControls", B, B, 0) \
    X(DELETE_BUCKET_POLICY, "DeleteBucketPolicy", B, B, 0)             \
    X(DELETE_BUCKET_PUBLIC_ACCESS_BLOCK, "DeleteBucketPublicAccessBlock", B, B, 0) \
    X(DELETE_BUCKET_WEBSITE, "DeleteBucketWebsite", B, B, 0)           \
    X(DELETE_OBJECT, "DeleteObject", O, B, ACL_WRITE)                  \
    X(DELETE_OBJECT_TAGGING, "DeleteObjectTagging", O, B, 0)           \
    X(DELETE_OBJECT_VERSION, "DeleteObjectVersion", O, B, 0)           \
    X(DELETE_OBJECT_VERSION_TAGGING, "DeleteObjectVersionTagging", O, B, 0) \
    X(GET_ACCELERATE_CONFIGURATION, "GetAccelerateConfiguration", B, B, 0) \
    X(GET_ANALYTICS_CONFIGURATION, "GetAnalyticsConfiguration", B, B, 0) \
    X(GET_BUCKET_ACL, "GetBucketAcl", B, B, ACL_READ_ACP)              \
    X(GET_BUCKET_CORS, "GetBucketCORS", B, B, 0)                       \
    X(GET_BUCKET_LOCATION, "GetBucketLocation", B, B, 0)               \
    X(GET_BUCKET_LOGGING, "GetBucketLogging", B, B, 0)                 \
    X(GET_BUCKET_NOTIFICATION, "GetBucketNotification", B, B, 0)       \
    X(GET_BUCKET_OBJECT_LOCK_CONFIGURATION, "GetBucketObjectLockConfiguration", B, B, 0) \
    X(GET_BUCKET_OWNERSHIP_CONTROLS, "GetBucketOwnershipControls", B, B, 0) \
    X(GET_BUCKET_POLICY, "GetBucketPolicy", B, B, 0)                   \
    X(GET_BUCKET_POLICY_STATUS, "GetBucketPolicyStatus", B, B, 0)      \
    X(GET_BUCKET_PUBLIC_ACCESS_BLOCK, "GetBucketPublicAccessBlock", B, B, 0) \
    X(GET_BUCKET_REQUEST_PAYMENT, "GetBucketRequestPayment", B, B, 0)  \
    X(GET_BUCKET_TAGGING, "GetBucketTagging", B, B, 0)                 \
    X(GET_BUCKET_VERSIONING, "GetBucketVersioning", B, B, 0)           \
    X(GET_BUCKET_WEBSITE, "GetBucketWebsite", B, B, 0)                 \
    X(GET_ENCRYPTION_CONFIGURATION, "GetEncryptionConfiguration", B, B, 0) \
    X(GET_INTELLIGENT_TIERING, "GetIntelligentTieringConfiguration", B, B, 0) \
    X(GET_INVENTORY_CONFIGURATION, "GetInventoryConfiguration", B, B, 0) \
    X(GET_LIFECYCLE_CONFIGURATION, "GetLifecycleConfiguration", B, B, 0) \
    X(GET_METRICS_CONFIGURATION, "GetMetricsConfiguration", B, B, 0)   \
    X(GET_OBJECT, "GetObject", O, O, ACL_READ)                         \
    X(GET_OBJECT_ACL, "GetObjectAcl", O, O, ACL_READ_ACP)              \
    X(GET_OBJECT_ATTRIBUTES, "GetObjectAttributes", O, O, ACL_READ)    \
    X(GET_OBJECT_LEGAL_HOLD, "GetObjectLegalHold", O, B, 0)            \
    X(GET_OBJECT_RETENTION, "GetObjectRetention", O, B, 0)             \
    X(GET_OBJECT_TAGGING, "GetObjectTagging", O, B, 0)                 \
    X(GET_OBJECT_TORRENT, "GetObjectTorrent", O, O, ACL_READ)          \
    X(GET_OBJECT_VERSION, "GetObjectVersion", O, O, ACL_READ)          \
    X(GET_OBJECT_VERSION_ACL, "GetObjectVersionAcl", O, O, ACL_READ_ACP) \
    X(GET_OBJECT_VERSION_ATTRIBUTES, "GetObjectVersionAttributes", O, O, ACL_READ) \
    X(GET_OBJECT_VERSION_FOR_REPLICATION, "GetObjectVersionForReplication", O, B, 0) \
    X(GET_OBJECT_VERSION_TAGGING, "GetObjectVersionTagging", O, B, 0)  \
    X(GET_OBJECT_VERSION_TORRENT, "GetObjectVersionTorrent", O, O, ACL_READ) \
    X(GET_REPLICATION_CONFIGURATION, "GetReplicationConfiguration", B, B, 0) \
    X(INITIATE_REPLICATION, "InitiateReplication", O, B, 0)            \
    X(LIST_ALL_MY_BUCKETS, "ListAllMyBuckets", A, B, 0)                \
    X(LIST_BUCKET, "ListBucket", B, B, ACL_READ)                       \
    X(LIST_BUCKET_MULTIPART_UPLOADS, "ListBucketMultipartUploads", B, B, ACL_READ) \
    X(LIST_BUCKET_VERSIONS, "ListBucketVersions", B, B, ACL_READ)      \
    X(LIST_MULTIPART_UPLOAD_PARTS, "ListMultipartUploadParts", O, B, 0) \
    X(LIST_TAGS_FOR_RESOURCE, "ListTagsForResource", B, B, 0)          \
    X(OBJECT_OWNER_OVERRIDE, "ObjectOwnerOverrideToBucketOwner", O, B, 0) \
    X(PUT_ACCELERATE_CONFIGURATION, "PutAccelerateConfiguration", B, B, 0) \
    X(PUT_ANALYTICS_CONFIGURATION, "PutAnalyticsConfiguration", B, B, 0) \
    X(PUT_BUCKET_ACL, "PutBucketAcl", B, B, ACL_WRITE_ACP)             \
    X(PUT_BUCKET_CORS, "PutBucketCORS", B, B, 0)                       \
    X(PUT_BUCKET_LOGGING, "PutBucketLogging", B, B, 0)                 \
    X(PUT_BUCKET_NOTIFICATION, "PutBucketNotification", B, B, 0)       \
    X(PUT_BUCKET_OBJECT_LOCK_CONFIGURATION, "PutBucketObjectLockConfiguration", B, B, 0) \
    X(PUT_BUCKET_OWNERSHIP_CONTROLS, "PutBucketOwnershipControls", B, B, 0) \
    X(PUT_BUCKET_POLICY, "PutBucketPolicy", B, B, 0)                   \
    X(PUT_BUCKET_PUBLIC_ACCESS_BLOCK, "PutBucketPublicAccessBlock", B, B, 0) \
    X(PUT_BUCKET_REQUEST_PAYMENT, "PutBucketRequestPayment", B, B, 0)  \
    X(PUT_BUCKET_TAGGING, "PutBucketTagging", B, B, 0)                 \
    X(PUT_BUCKET_VERSIONING, "PutBucketVersioning", B, B, 0)           \
    X(PUT_BUCKET_WEBSITE, "PutBucketWebsite", B, B, 0)                 \
    X(PUT_ENCRYPTION_CONFIGURATION, "PutEncryptionConfiguration", B, B, 0) \
    X(PUT_INTELLIGENT_TIERING, "PutIntelligentTieringConfiguration", B, B, 0) \
    X(PUT_INVENTORY_CONFIGURATION, "PutInventoryConfiguration", B, B, 0) \
    X(PUT_LIFECYCLE_CONFIGURATION, "PutLifecycleConfiguration", B, B, 0) \
    X(PUT_METRICS_CONFIGURATION, "PutMetricsConfiguration", B, B, 0)   \
    X(PUT_OBJECT, "PutObject", O, B, ACL_WRITE)                        \
    X(PUT_OBJECT_ACL, "PutObjectAcl", O, O, ACL_WRITE_ACP)             \
    X(PUT_OBJECT_LEGAL_HOLD, "PutObjectLegalHold", O, B, 0)            \
    X(PUT_OBJECT_RETENTION, "PutObjectRetention", O, B, 0)             \
    X(PUT_OBJECT_TAGGING, "PutObjectTagging", O, B, 0)                 \
    X(PUT_OBJECT_VERSION_ACL, "PutObjectVersionAcl", O, O, ACL_WRITE_ACP) \
    X(PUT_OBJECT_VERSION_TAGGING, "PutObjectVersionTagging", O, B, 0)  \
    X(PUT_REPLICATION_CONFIGURATION, "PutReplicationConfiguration", B, B, 0) \
    X(REPLICATE_DELETE, "ReplicateDelete", O, B, 0)                    \
    X(REPLICATE_OBJECT, "ReplicateObject", O, B, 0)                    \
    X(REPLICATE_TAGS, "ReplicateTags", O, B, 0)                        \
    X(RESTORE_OBJECT, "RestoreObject", O, B, 0)                        \
    X(TAG_RESOURCE, "TagResource", B, B, 0)                            \
    X(UNTAG_RESOURCE, "UntagResource", B, B, 0)                        \
    X(UPDATE_OBJECT_ENCRYPTION, "UpdateObjectEncryption", O, B, 0)

enum s3_action {
#define X(name, text, resource, whose, permission) S3_DO_##name,
    S3_ACTIONS(X)
#undef X
    S3_ACTION_COUNT,
    S3_DO_NOTHING = S3_ACTION_COUNT   /* In tables: no action. */
};

const char *s3_action_name(enum s3_action action);      /* "GetObject", without "s3:". */
bool        s3_action_on_object(enum s3_action action);  /* Its resource is an object. */
/* The permission that allows it, of the object's ACL or the bucket's; 0: ACLs never allow it. */
uint32_t    s3_action_permission(enum s3_action action, bool *ret_of_object);

#endif
