/* proxy/s3/action.c - see action.h. */
#include "proxy/s3/action.h"

enum { ON_A, ON_B, ON_O };   /* The account, a bucket, an object. */

static const struct {
    const char *name;
    uint8_t     resource, whose, permission;
} actions[S3_ACTION_COUNT] = {
#define X(name, text, resource, whose, permission) [S3_DO_##name] = { text, ON_##resource, ON_##whose, permission },
    S3_ACTIONS(X)
#undef X
};

const char *s3_action_name(enum s3_action action)
{
    return (unsigned)action < S3_ACTION_COUNT ? actions[action].name : "";
}

bool s3_action_on_object(enum s3_action action)
{
    return (unsigned)action < S3_ACTION_COUNT && actions[action].resource == ON_O;
}

uint32_t s3_action_permission(enum s3_action action, bool *ret_of_object)
{
    bool known = (unsigned)action < S3_ACTION_COUNT;

    *ret_of_object = known && actions[action].whose == ON_O;
    return known ? actions[action].permission : 0;
}

#define SAME(action) S3_DO_##action, S3_DO_##action
#define PAIR(action, with_version) S3_DO_##action, S3_DO_##with_version

/* By name. */
static const struct s3_op ops[] = {
    { "AbortMultipartUpload", SAME(ABORT_MULTIPART_UPLOAD) },
    { "CompleteMultipartUpload", SAME(PUT_OBJECT) },
    { "CopyObject", SAME(PUT_OBJECT) },
    { "CreateBucket", SAME(CREATE_BUCKET) },
    { "CreateMultipartUpload", SAME(PUT_OBJECT) },
    { "DeleteBucket", SAME(DELETE_BUCKET) },
    { "DeleteBucketCors", SAME(PUT_BUCKET_CORS) },
    { "DeleteBucketEncryption", SAME(PUT_ENCRYPTION_CONFIGURATION) },
    { "DeleteBucketLifecycle", SAME(PUT_LIFECYCLE_CONFIGURATION) },
    { "DeleteBucketOwnershipControls", SAME(PUT_BUCKET_OWNERSHIP_CONTROLS) },
    { "DeleteBucketPolicy", SAME(DELETE_BUCKET_POLICY) },
    { "DeleteBucketTagging", SAME(PUT_BUCKET_TAGGING) },
    { "DeleteBucketWebsite", SAME(DELETE_BUCKET_WEBSITE) },
    { "DeleteObject", PAIR(DELETE_OBJECT, DELETE_OBJECT_VERSION) },
    { "DeleteObjectTagging", PAIR(DELETE_OBJECT_TAGGING, DELETE_OBJECT_VERSION_TAGGING) },
    { "DeleteObjects", PAIR(DELETE_OBJECT, DELETE_OBJECT_VERSION) },
    { "DeletePublicAccessBlock", SAME(PUT_BUCKET_PUBLIC_ACCESS_BLOCK) },
    { "GetBucketAccelerateConfiguration", SAME(GET_ACCELERATE_CONFIGURATION) },
    { "GetBucketAcl", SAME(GET_BUCKET_ACL) },
    { "GetBucketCors", SAME(GET_BUCKET_CORS) },
    { "GetBucketEncryption", SAME(GET_ENCRYPTION_CONFIGURATION) },
    { "GetBucketLifecycleConfiguration", SAME(GET_LIFECYCLE_CONFIGURATION) },
    { "GetBucketLocation", SAME(GET_BUCKET_LOCATION) },
    { "GetBucketLogging", SAME(GET_BUCKET_LOGGING) },
    { "GetBucketNotificationConfiguration", SAME(GET_BUCKET_NOTIFICATION) },
    { "GetBucketOwnershipControls", SAME(GET_BUCKET_OWNERSHIP_CONTROLS) },
    { "GetBucketPolicy", SAME(GET_BUCKET_POLICY) },
    { "GetBucketPolicyStatus", SAME(GET_BUCKET_POLICY_STATUS) },
    { "GetBucketReplication", SAME(GET_REPLICATION_CONFIGURATION) },
    { "GetBucketRequestPayment", SAME(GET_BUCKET_REQUEST_PAYMENT) },
    { "GetBucketTagging", SAME(GET_BUCKET_TAGGING) },
    { "GetBucketVersioning", SAME(GET_BUCKET_VERSIONING) },
    { "GetBucketWebsite", SAME(GET_BUCKET_WEBSITE) },
    { "GetObject", PAIR(GET_OBJECT, GET_OBJECT_VERSION) },
    { "GetObjectAcl", PAIR(GET_OBJECT_ACL, GET_OBJECT_VERSION_ACL) },
    { "GetObjectAttributes", PAIR(GET_OBJECT_ATTRIBUTES, GET_OBJECT_VERSION_ATTRIBUTES) },
    { "GetObjectLegalHold", SAME(GET_OBJECT_LEGAL_HOLD) },
    { "GetObjectLockConfiguration", SAME(GET_BUCKET_OBJECT_LOCK_CONFIGURATION) },
    { "GetObjectRetention", SAME(GET_OBJECT_RETENTION) },
    { "GetObjectTagging", PAIR(GET_OBJECT_TAGGING, GET_OBJECT_VERSION_TAGGING) },
    { "GetObjectTorrent", PAIR(GET_OBJECT_TORRENT, GET_OBJECT_VERSION_TORRENT) },
    { "GetPublicAccessBlock", SAME(GET_BUCKET_PUBLIC_ACCESS_BLOCK) },
    { "HeadBucket", SAME(LIST_BUCKET) },
    { "HeadObject", PAIR(GET_OBJECT, GET_OBJECT_VERSION) },
    { "ListBuckets", SAME(LIST_ALL_MY_BUCKETS) },
    { "ListMultipartUploads", SAME(LIST_BUCKET_MULTIPART_UPLOADS) },
    { "ListObjectVersions", SAME(LIST_BUCKET_VERSIONS) },
    { "ListObjects", SAME(LIST_BUCKET) },
    { "ListObjectsV2", SAME(LIST_BUCKET) },
    { "ListParts", SAME(LIST_MULTIPART_UPLOAD_PARTS) },
    { "PostObject", SAME(PUT_OBJECT) },
    { "PutBucketAccelerateConfiguration", SAME(PUT_ACCELERATE_CONFIGURATION) },
    { "PutBucketAcl", SAME(PUT_BUCKET_ACL) },
    { "PutBucketCors", SAME(PUT_BUCKET_CORS) },
    { "PutBucketEncryption", SAME(PUT_ENCRYPTION_CONFIGURATION) },
    { "PutBucketLifecycleConfiguration", SAME(PUT_LIFECYCLE_CONFIGURATION) },
    { "PutBucketLogging", SAME(PUT_BUCKET_LOGGING) },
    { "PutBucketNotificationConfiguration", SAME(PUT_BUCKET_NOTIFICATION) },
    { "PutBucketOwnershipControls", SAME(PUT_BUCKET_OWNERSHIP_CONTROLS) },
    { "PutBucketPolicy", SAME(PUT_BUCKET_POLICY) },
    { "PutBucketReplication", SAME(PUT_REPLICATION_CONFIGURATION) },
    { "PutBucketRequestPayment", SAME(PUT_BUCKET_REQUEST_PAYMENT) },
    { "PutBucketTagging", SAME(PUT_BUCKET_TAGGING) },
    { "PutBucketVersioning", SAME(PUT_BUCKET_VERSIONING) },
    { "PutBucketWebsite", SAME(PUT_BUCKET_WEBSITE) },
    { "PutObject", SAME(PUT_OBJECT) },
    { "PutObjectAcl", PAIR(PUT_OBJECT_ACL, PUT_OBJECT_VERSION_ACL) },
    { "PutObjectLegalHold", SAME(PUT_OBJECT_LEGAL_HOLD) },
    { "PutObjectLockConfiguration", SAME(PUT_BUCKET_OBJECT_LOCK_CONFIGURATION) },
    { "PutObjectRetention", SAME(PUT_OBJECT_RETENTION) },
    { "PutObjectTagging", PAIR(PUT_OBJECT_TAGGING, PUT_OBJECT_VERSION_TAGGING) },
    { "PutPublicAccessBlock", SAME(PUT_BUCKET_PUBLIC_ACCESS_BLOCK) },
    { "RestoreObject", SAME(RESTORE_OBJECT) },
    { "UploadPart", SAME(PUT_OBJECT) },
    { "UploadPartCopy", SAME(PUT_OBJECT) },
};

const struct s3_op *s3_op_find(const char *name)
{
    size_t low = 0, high = sizeof ops / sizeof *ops;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int    order = strcmp(name, ops[middle].name);
        if (order == 0)
            return &ops[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
