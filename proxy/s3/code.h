/* proxy/s3/code.h - the error codes of S3: name, HTTP status, usual sentence.
 *
 * Functions of this folder return 0, a negative code (base/error.h: memory, storage), or a positive S3_* from
 * this table, which is what the client is told. A 'struct error *err' carries a better sentence than the table's,
 * when there is one. Codes and statuses: Amazon S3 API reference, "Error responses". Any thread. */
#ifndef PROXY_S3_CODE_H
#define PROXY_S3_CODE_H

#include "base/error.h"

/* X(NAME, code, HTTP status, sentence) */
#define S3_CODES(X)                                                                                                  \
    X(ACCESS_DENIED, "AccessDenied", 403, "Access denied.")                                                          \
    X(ACCESS_FORBIDDEN, "AccessForbidden", 403, "No CORS rule allows this request.")                                 \
    X(ACCESS_CONTROL_LIST_NOT_SUPPORTED, "AccessControlListNotSupported", 400, "The bucket does not allow ACLs.")    \
    X(AUTHORIZATION_HEADER_MALFORMED, "AuthorizationHeaderMalformed", 400, "The Authorization header is malformed.") \
    X(AUTHORIZATION_QUERY_PARAMETERS_ERROR, "AuthorizationQueryParametersError", 400,                                \
      "The query's authorization parameters are malformed.")                                                         \
    X(BAD_DIGEST, "BadDigest", 400, "The checksum that was given does not match what was received.")                 \
    X(BAD_REQUEST, "BadRequest", 400, "The request is not valid.")                                                   \
    X(BUCKET_ALREADY_EXISTS, "BucketAlreadyExists", 409, "The bucket name is taken.")                                \
    X(BUCKET_ALREADY_OWNED_BY_YOU, "BucketAlreadyOwnedByYou", 409, "You own this bucket already.")                   \
    X(BUCKET_HAS_ACCESS_POINTS, "BucketHasAccessPointsAttached", 400, "The bucket has access points.")               \
    X(BUCKET_NOT_EMPTY, "BucketNotEmpty", 409, "The bucket is not empty.")                                           \
    X(CONDITIONAL_REQUEST_CONFLICT, "ConditionalRequestConflict", 409,                                               \
      "Another operation on the same object came between; try again.")                                               \
    X(CREDENTIALS_NOT_SUPPORTED, "CredentialsNotSupported", 400, "This request does not take credentials.")          \
    X(ENTITY_TOO_LARGE, "EntityTooLarge", 400, "The object is larger than is allowed.")                              \
    X(ENTITY_TOO_SMALL, "EntityTooSmall", 400, "The object is smaller than is allowed.")                             \
    X(EXPIRED_TOKEN, "ExpiredToken", 400, "The token has expired.")                                                  \
    X(ILLEGAL_LOCATION_CONSTRAINT, "IllegalLocationConstraintException", 400,                                        \
      "The location constraint does not fit the region of the request.")                                             \
    X(ILLEGAL_VERSIONING_CONFIGURATION, "IllegalVersioningConfigurationException", 400,                              \
      "The versioning configuration is not valid.")                                                                  \
    X(INCOMPLETE_BODY, "IncompleteBody", 400, "The body is shorter than was announced.")                             \
    X(INCORRECT_NUMBER_OF_FILES, "IncorrectNumberOfFilesInPostRequest", 400, "A POST carries exactly one file.")     \
    X(INTERNAL_ERROR, "InternalError", 500, "An internal error occurred; try again.")                                \
    X(INVALID_ACCESS_KEY_ID, "InvalidAccessKeyId", 403, "The access key is not known.")                              \
    X(INVALID_ARGUMENT, "InvalidArgument", 400, "An argument is not valid.")                                         \
    X(INVALID_BUCKET_ACL_WITH_OBJECT_OWNERSHIP, "InvalidBucketAclWithObjectOwnership", 400,                          \
      "A bucket whose owner owns all objects cannot have ACLs that grant to others.")                                \
    X(INVALID_BUCKET_NAME, "InvalidBucketName", 400, "The bucket name is not valid.")                                \
    X(INVALID_BUCKET_STATE, "InvalidBucketState", 409, "The bucket's state does not allow this.")                    \
    X(INVALID_DIGEST, "InvalidDigest", 400, "The Content-MD5 or checksum is not valid.")                             \
    X(INVALID_ENCRYPTION_ALGORITHM, "InvalidEncryptionAlgorithmError", 400, "The encryption algorithm is not valid.") \
    X(INVALID_LOCATION_CONSTRAINT, "InvalidLocationConstraint", 400, "The location constraint is not known.")        \
    X(INVALID_OBJECT_STATE, "InvalidObjectState", 403, "The object's state does not allow this.")                    \
    X(INVALID_PART, "InvalidPart", 400, "A part was not found, or its entity tag does not match.")                   \
    X(INVALID_PART_NUMBER, "InvalidPartNumber", 416, "The part number is not satisfiable.")                          \
    X(INVALID_PART_ORDER, "InvalidPartOrder", 400, "The parts are not in ascending order.")                          \
    X(INVALID_POLICY_DOCUMENT, "InvalidPolicyDocument", 400, "The POST policy is not valid.")                        \
    X(INVALID_RANGE, "InvalidRange", 416, "The range is not satisfiable.")                                           \
    X(INVALID_REQUEST, "InvalidRequest", 400, "The request is not valid.")                                           \
    X(INVALID_RETENTION_PERIOD, "InvalidRetentionPeriod", 400, "The retention period is not valid.")                 \
    X(INVALID_SECURITY, "InvalidSecurity", 403, "The credentials are not valid.")                                    \
    X(INVALID_STORAGE_CLASS, "InvalidStorageClass", 400, "The storage class is not known.")                          \
    X(INVALID_TAG, "InvalidTag", 400, "A tag is not valid.")                                                         \
    X(INVALID_TARGET_BUCKET_FOR_LOGGING, "InvalidTargetBucketForLogging", 400, "The target bucket is not valid.")    \
    X(INVALID_TOKEN, "InvalidToken", 400, "The token is not valid.")                                                 \
    X(INVALID_URI, "InvalidURI", 400, "The URI cannot be parsed.")                                                   \
    X(KEY_TOO_LONG, "KeyTooLongError", 400, "The key is too long.")                                                  \
    X(MALFORMED_ACL, "MalformedACLError", 400, "The ACL is malformed.")                                              \
    X(MALFORMED_POLICY, "MalformedPolicy", 400, "The policy is malformed.")                                          \
    X(MALFORMED_POST_REQUEST, "MalformedPOSTRequest", 400, "The POST body is not well-formed multipart/form-data.")  \
    X(MALFORMED_TRAILER, "MalformedTrailerError", 400, "The trailers of the body are malformed or not as announced.") \
    X(MALFORMED_XML, "MalformedXML", 400, "The XML is not well-formed or does not fit the published schema.")        \
    X(MAX_MESSAGE_LENGTH_EXCEEDED, "MaxMessageLengthExceeded", 400, "The request is too large.")                     \
    X(MAX_POST_PRE_DATA_LENGTH_EXCEEDED, "MaxPostPreDataLengthExceededError", 400,                                   \
      "The POST fields before the file are too large.")                                                              \
    X(METADATA_TOO_LARGE, "MetadataTooLarge", 400, "The metadata headers are too large.")                            \
    X(METHOD_NOT_ALLOWED, "MethodNotAllowed", 405, "The method is not allowed on this resource.")                    \
    X(MISSING_CONTENT_LENGTH, "MissingContentLength", 411, "Content-Length is required.")                            \
    X(MISSING_REQUEST_BODY, "MissingRequestBodyError", 400, "The request has no body.")                              \
    X(MISSING_SECURITY_HEADER, "MissingSecurityHeader", 400, "A required header is missing.")                        \
    X(NO_SUCH_BUCKET, "NoSuchBucket", 404, "The bucket does not exist.")                                             \
    X(NO_SUCH_BUCKET_POLICY, "NoSuchBucketPolicy", 404, "The bucket has no policy.")                                 \
    X(NO_SUCH_CORS_CONFIGURATION, "NoSuchCORSConfiguration", 404, "The bucket has no CORS configuration.")           \
    X(NO_SUCH_KEY, "NoSuchKey", 404, "The key does not exist.")                                                      \
    X(NO_SUCH_LIFECYCLE_CONFIGURATION, "NoSuchLifecycleConfiguration", 404,                                          \
      "The bucket has no lifecycle configuration.")                                                                  \
    X(NO_SUCH_OBJECT_LOCK_CONFIGURATION, "NoSuchObjectLockConfiguration", 404,                                       \
      "The object has no such lock.")                                                                                \
    X(NO_SUCH_PUBLIC_ACCESS_BLOCK, "NoSuchPublicAccessBlockConfiguration", 404,                                      \
      "The bucket has no public access block.")                                                                      \
    X(NO_SUCH_TAG_SET, "NoSuchTagSet", 404, "The bucket has no tags.")                                               \
    X(NO_SUCH_UPLOAD, "NoSuchUpload", 404, "The upload does not exist; it may be completed or aborted.")             \
    X(NO_SUCH_VERSION, "NoSuchVersion", 404, "The version does not exist.")                                          \
    X(NO_SUCH_WEBSITE_CONFIGURATION, "NoSuchWebsiteConfiguration", 404, "The bucket has no website configuration.")  \
    X(NOT_IMPLEMENTED, "NotImplemented", 501, "This is not implemented.")                                            \
    X(NOT_MODIFIED, "NotModified", 304, "Not modified.")                                                             \
    X(OBJECT_LOCK_NOT_FOUND, "ObjectLockConfigurationNotFoundError", 404, "The bucket has no object lock.")          \
    X(OPERATION_ABORTED, "OperationAborted", 409, "A conflicting operation is in progress; try again.")              \
    X(OWNERSHIP_CONTROLS_NOT_FOUND, "OwnershipControlsNotFoundError", 404, "The bucket has no ownership controls.")  \
    X(PERMANENT_REDIRECT, "PermanentRedirect", 301, "The bucket is elsewhere.")                                      \
    X(PRECONDITION_FAILED, "PreconditionFailed", 412, "A precondition does not hold.")                               \
    X(REQUEST_HEADER_SECTION_TOO_LARGE, "RequestHeaderSectionTooLarge", 400, "The headers are too large.")           \
    X(REQUEST_IS_NOT_MULTIPART, "RequestIsNotMultiPartContent", 412, "The body must be multipart/form-data.")        \
    X(REQUEST_TIMEOUT, "RequestTimeout", 400, "The client was silent for too long.")                                 \
    X(REQUEST_TIME_TOO_SKEWED, "RequestTimeTooSkewed", 403, "The clocks of client and server differ too much.")      \
    X(SERVER_SIDE_ENCRYPTION_NOT_FOUND, "ServerSideEncryptionConfigurationNotFoundError", 404,                       \
      "The bucket has no encryption configuration.")                                                                 \
    X(SERVICE_UNAVAILABLE, "ServiceUnavailable", 503, "The service is not available now; try again.")                \
    X(SIGNATURE_DOES_NOT_MATCH, "SignatureDoesNotMatch", 403, "The signature does not match; check key and method.") \
    X(SLOW_DOWN, "SlowDown", 503, "Too many requests; slow down.")                                                   \
    X(TOO_MANY_BUCKETS, "TooManyBuckets", 400, "There are too many buckets.")                                        \
    X(UNEXPECTED_CONTENT, "UnexpectedContent", 400, "This request takes no body.")                                   \
    X(UNRESOLVABLE_GRANT_BY_EMAIL, "UnresolvableGrantByEmailAddress", 400, "No account has this e-mail address.")    \
    X(USER_KEY_MUST_BE_SPECIFIED, "UserKeyMustBeSpecified", 400, "The POST has no field \"key\".")                   \
    X(CONTENT_SHA256_MISMATCH, "XAmzContentSHA256Mismatch", 400,                                                     \
      "x-amz-content-sha256 does not match the body.")

enum s3_code {
    S3_NONE_ = 0,
#define X(name, code, status, text) S3_##name,
    S3_CODES(X)
#undef X
    S3_CODE_END_
};

/* Of a positive code; of anything else those of InternalError. Never NULL. */
const char *s3_code_name(int code);
int         s3_code_status(int code);
const char *s3_code_text(int code);

/* Fills '*err' (if not NULL) with the table's sentence and returns 'code': "return s3_fail(err, S3_NO_SUCH_KEY)".
 * error_set() does it with another sentence. */
int s3_fail(struct error *err, int code);

#endif
