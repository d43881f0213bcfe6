/* proxy/s3/ops.c - the S3 API as data: from level, method and subresource to the operation.
 *
 * A row without a function is answered 501 NotImplemented. Order matters within a level and method: rows with a
 * query parameter or header come before the plain one. */
#include "proxy/s3/call.h"

#define OBJECT(name, method, query, header, action, version_action, by, reads, fn) \
    { name, S3_OBJECT, method, query, header, action, version_action, by, reads, fn }
#define BUCKET(name, method, query, action, by, reads, fn) \
    { name, S3_BUCKET, method, query, NULL, action, NULL, by, reads, fn }

const struct s3_op s3_ops[] = {
    /* Objects: GET and HEAD. */
    OBJECT("GetObjectAttributes", "GET", "attributes", NULL, "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes",
           S3_BY_OBJECT_READ, true, NULL),
    OBJECT("GetObjectAcl", "GET", "acl", NULL, "s3:GetObjectAcl", "s3:GetObjectVersionAcl", S3_BY_OBJECT_READ_ACP, true, NULL),
    OBJECT("GetObjectTagging", "GET", "tagging", NULL, "s3:GetObjectTagging", "s3:GetObjectVersionTagging",
           S3_BY_OBJECT_READ, true, NULL),
    OBJECT("GetObjectRetention", "GET", "retention", NULL, "s3:GetObjectRetention", NULL, S3_BY_OWNER, true, NULL),
    OBJECT("GetObjectLegalHold", "GET", "legal-hold", NULL, "s3:GetObjectLegalHold", NULL, S3_BY_OWNER, true, NULL),
    OBJECT("GetObjectTorrent", "GET", "torrent", NULL, "s3:GetObjectTorrent", NULL, S3_BY_OBJECT_READ, true, NULL),
    OBJECT("ListParts", "GET", "uploadId", NULL, "s3:ListMultipartUploadParts", NULL, S3_BY_OWNER, true, NULL),
    OBJECT("GetObject", "GET", NULL, NULL, "s3:GetObject", "s3:GetObjectVersion", S3_BY_OBJECT_READ, true, NULL),
    OBJECT("HeadObject", "HEAD", NULL, NULL, "s3:GetObject", "s3:GetObjectVersion", S3_BY_OBJECT_READ, true, NULL),
    /* Objects: PUT. */
    OBJECT("PutObjectAcl", "PUT", "acl", NULL, "s3:PutObjectAcl", "s3:PutObjectVersionAcl", S3_BY_OBJECT_WRITE_ACP, false, NULL),
    OBJECT("PutObjectTagging", "PUT", "tagging", NULL, "s3:PutObjectTagging", "s3:PutObjectVersionTagging",
           S3_BY_OWNER, false, NULL),
    OBJECT("PutObjectRetention", "PUT", "retention", NULL, "s3:PutObjectRetention", NULL, S3_BY_OWNER, false, NULL),
    OBJECT("PutObjectLegalHold", "PUT", "legal-hold", NULL, "s3:PutObjectLegalHold", NULL, S3_BY_OWNER, false, NULL),
    OBJECT("UploadPartCopy", "PUT", "uploadId", "x-amz-copy-source", "s3:PutObject", NULL, S3_BY_BUCKET_WRITE, false, NULL),
    OBJECT("UploadPart", "PUT", "uploadId", NULL, "s3:PutObject", NULL, S3_BY_BUCKET_WRITE, false, NULL),
    OBJECT("CopyObject", "PUT", NULL, "x-amz-copy-source", "s3:PutObject", NULL, S3_BY_BUCKET_WRITE, false, NULL),
    OBJECT("PutObject", "PUT", NULL, NULL, "s3:PutObject", NULL, S3_BY_BUCKET_WRITE, false, NULL),
    /* Objects: POST and DELETE. */
    OBJECT("CreateMultipartUpload", "POST", "uploads", NULL, "s3:PutObject", NULL, S3_BY_BUCKET_WRITE, false, NULL),
    OBJECT("CompleteMultipartUpload", "POST", "uploadId", NULL, "s3:PutObject", NULL, S3_BY_BUCKET_WRITE, false, NULL),
    OBJECT("RestoreObject", "POST", "restore", NULL, "s3:RestoreObject", NULL, S3_BY_OWNER, false, NULL),
    OBJECT("SelectObjectContent", "POST", "select", NULL, "s3:GetObject", NULL, S3_BY_OBJECT_READ, true, NULL),
    OBJECT("AbortMultipartUpload", "DELETE", "uploadId", NULL, "s3:AbortMultipartUpload", NULL, S3_BY_BUCKET_WRITE, false, NULL),
    OBJECT("DeleteObjectTagging", "DELETE", "tagging", NULL, "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging",
           S3_BY_OWNER, false, NULL),
    OBJECT("DeleteObject", "DELETE", NULL, NULL, "s3:DeleteObject", "s3:DeleteObjectVersion", S3_BY_BUCKET_WRITE, false, NULL),

    /* Buckets: GET and HEAD. */
    BUCKET("GetBucketAcl", "GET", "acl", "s3:GetBucketAcl", S3_BY_BUCKET_READ_ACP, true, NULL),
    BUCKET("GetBucketVersioning", "GET", "versioning", "s3:GetBucketVersioning", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketTagging", "GET", "tagging", "s3:GetBucketTagging", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketPolicyStatus", "GET", "policyStatus", "s3:GetBucketPolicyStatus", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketPolicy", "GET", "policy", "s3:GetBucketPolicy", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketCors", "GET", "cors", "s3:GetBucketCORS", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketLifecycleConfiguration", "GET", "lifecycle", "s3:GetLifecycleConfiguration", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketOwnershipControls", "GET", "ownershipControls", "s3:GetBucketOwnershipControls", S3_BY_OWNER, true, NULL),
    BUCKET("GetPublicAccessBlock", "GET", "publicAccessBlock", "s3:GetBucketPublicAccessBlock", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketEncryption", "GET", "encryption", "s3:GetEncryptionConfiguration", S3_BY_OWNER, true, NULL),
    BUCKET("GetObjectLockConfiguration", "GET", "object-lock", "s3:GetBucketObjectLockConfiguration", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketRequestPayment", "GET", "requestPayment", "s3:GetBucketRequestPayment", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketLocation", "GET", "location", "s3:GetBucketLocation", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketLogging", "GET", "logging", "s3:GetBucketLogging", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketNotificationConfiguration", "GET", "notification", "s3:GetBucketNotification", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketReplication", "GET", "replication", "s3:GetReplicationConfiguration", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketWebsite", "GET", "website", "s3:GetBucketWebsite", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketAccelerateConfiguration", "GET", "accelerate", "s3:GetAccelerateConfiguration", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketAnalyticsConfiguration", "GET", "analytics", "s3:GetAnalyticsConfiguration", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketInventoryConfiguration", "GET", "inventory", "s3:GetInventoryConfiguration", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketMetricsConfiguration", "GET", "metrics", "s3:GetMetricsConfiguration", S3_BY_OWNER, true, NULL),
    BUCKET("GetBucketIntelligentTieringConfiguration", "GET", "intelligent-tiering", "s3:GetIntelligentTieringConfiguration",
           S3_BY_OWNER, true, NULL),
    BUCKET("ListMultipartUploads", "GET", "uploads", "s3:ListBucketMultipartUploads", S3_BY_BUCKET_READ, true, NULL),
    BUCKET("ListObjectVersions", "GET", "versions", "s3:ListBucketVersions", S3_BY_BUCKET_READ, true, NULL),
    BUCKET("ListObjects", "GET", NULL, "s3:ListBucket", S3_BY_BUCKET_READ, true, NULL),
    BUCKET("HeadBucket", "HEAD", NULL, "s3:ListBucket", S3_BY_BUCKET_READ, true, NULL),
    /* Buckets: PUT. */
    BUCKET("PutBucketAcl", "PUT", "acl", "s3:PutBucketAcl", S3_BY_BUCKET_WRITE_ACP, false, NULL),
    BUCKET("PutBucketVersioning", "PUT", "versioning", "s3:PutBucketVersioning", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketTagging", "PUT", "tagging", "s3:PutBucketTagging", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketPolicy", "PUT", "policy", "s3:PutBucketPolicy", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketCors", "PUT", "cors", "s3:PutBucketCORS", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketLifecycleConfiguration", "PUT", "lifecycle", "s3:PutLifecycleConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketOwnershipControls", "PUT", "ownershipControls", "s3:PutBucketOwnershipControls", S3_BY_OWNER, false, NULL),
    BUCKET("PutPublicAccessBlock", "PUT", "publicAccessBlock", "s3:PutBucketPublicAccessBlock", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketEncryption", "PUT", "encryption", "s3:PutEncryptionConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("PutObjectLockConfiguration", "PUT", "object-lock", "s3:PutBucketObjectLockConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketRequestPayment", "PUT", "requestPayment", "s3:PutBucketRequestPayment", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketLogging", "PUT", "logging", "s3:PutBucketLogging", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketNotificationConfiguration", "PUT", "notification", "s3:PutBucketNotification", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketReplication", "PUT", "replication", "s3:PutReplicationConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketWebsite", "PUT", "website", "s3:PutBucketWebsite", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketAccelerateConfiguration", "PUT", "accelerate", "s3:PutAccelerateConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketAnalyticsConfiguration", "PUT", "analytics", "s3:PutAnalyticsConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketInventoryConfiguration", "PUT", "inventory", "s3:PutInventoryConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketMetricsConfiguration", "PUT", "metrics", "s3:PutMetricsConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("PutBucketIntelligentTieringConfiguration", "PUT", "intelligent-tiering", "s3:PutIntelligentTieringConfiguration",
           S3_BY_OWNER, false, NULL),
    BUCKET("CreateBucket", "PUT", NULL, "s3:CreateBucket", S3_BY_ITSELF, false, NULL),
    /* Buckets: POST and DELETE. */
    BUCKET("DeleteObjects", "POST", "delete", "s3:DeleteObject", S3_BY_ITSELF, false, NULL),
    BUCKET("PostObject", "POST", NULL, "s3:PutObject", S3_BY_ITSELF, false, NULL),
    BUCKET("DeleteBucketTagging", "DELETE", "tagging", "s3:PutBucketTagging", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketPolicy", "DELETE", "policy", "s3:DeleteBucketPolicy", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketCors", "DELETE", "cors", "s3:PutBucketCORS", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketLifecycle", "DELETE", "lifecycle", "s3:PutLifecycleConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketOwnershipControls", "DELETE", "ownershipControls", "s3:PutBucketOwnershipControls", S3_BY_OWNER, false, NULL),
    BUCKET("DeletePublicAccessBlock", "DELETE", "publicAccessBlock", "s3:PutBucketPublicAccessBlock", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketEncryption", "DELETE", "encryption", "s3:PutEncryptionConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketReplication", "DELETE", "replication", "s3:PutReplicationConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketWebsite", "DELETE", "website", "s3:DeleteBucketWebsite", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketAnalyticsConfiguration", "DELETE", "analytics", "s3:PutAnalyticsConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketInventoryConfiguration", "DELETE", "inventory", "s3:PutInventoryConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketMetricsConfiguration", "DELETE", "metrics", "s3:PutMetricsConfiguration", S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucketIntelligentTieringConfiguration", "DELETE", "intelligent-tiering", "s3:PutIntelligentTieringConfiguration",
           S3_BY_OWNER, false, NULL),
    BUCKET("DeleteBucket", "DELETE", NULL, "s3:DeleteBucket", S3_BY_OWNER, false, NULL),

    /* The service. POST is IAM, STS, SNS. */
    { "ListBuckets", S3_SERVICE, "GET", NULL, NULL, "s3:ListAllMyBuckets", NULL, S3_BY_ITSELF, true, NULL },
    { "ServicePost", S3_SERVICE, "POST", NULL, NULL, "", NULL, S3_BY_ITSELF, false, NULL },
};
const size_t s3_op_count = sizeof s3_ops / sizeof *s3_ops;
