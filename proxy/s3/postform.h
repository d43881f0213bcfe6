/* proxy/s3/postform.h - POST of an object by an HTML form: multipart/form-data whose fields before "file" say what to
 * store, and a signed policy document that says what the form may say.
 *
 * Use: s3_form_open(), s3_form_fields(), s3_form_authenticate(), then the file by s3_form_read() until it says the
 * end; fields behind the file are ignored. AWS: "Browser-based uploads using POST", "POST Policy"; RFC 7578. One task;
 * memory is the request's arena. */
#ifndef PROXY_S3_POSTFORM_H
#define PROXY_S3_POSTFORM_H

#include "proxy/s3/body.h"

enum {
    S3_FORM_BYTES_MAX = 20 * 1024,      /* Everything before the file's bytes. */
    S3_FORM_FIELDS_MAX = 100,
    S3_FORM_BOUNDARY_MAX = 70,          /* RFC 2046, 5.1.1. */
    S3_FORM_STAGE_BYTES = 64 * 1024,
    S3_POLICY_CONDITIONS_MAX = 200
};

struct s3_form {
    struct s3_source source;
    struct arena    *arena;
    struct slice     delimiter;          /* CRLF "--" boundary. */
    uint8_t         *stage;
    size_t           at, end;            /* Unread part of the stage. */
    size_t           safe;               /* So many bytes at 'at' belong to the file. */
    bool             ended;              /* The delimiter behind the file was seen. */
    bool             source_ended;
    int              rc;                 /* Sticky. */
    struct http_header *fields;
    uint32_t         field_count;
    struct slice     key;                /* With ${filename} filled in. */
    struct slice     file_name;          /* Without folders; may be empty. */
    struct slice     file_type;          /* Content-Type of the part; may be empty. */
    uint64_t         size, size_min, size_max;   /* Of the file: read; allowed by the policy. */
};

/* S3_REQUEST_IS_NOT_MULTIPART, S3_MALFORMED_POST_REQUEST, -ENOMEM. */
int s3_form_open(struct s3_form *form, struct http_request *rq, struct error *err);
/* Reads up to the file's first byte. S3_MALFORMED_POST_REQUEST, S3_MAX_POST_PRE_DATA_LENGTH_EXCEEDED,
 * S3_INCORRECT_NUMBER_OF_FILES (no file), S3_USER_KEY_MUST_BE_SPECIFIED, S3_INCOMPLETE_BODY, S3_REQUEST_TIMEOUT. */
WAITS int s3_form_fields(struct s3_form *form, struct error *err);
/* First field of that name, in any case; data NULL when there is none. */
struct slice s3_form_field(const struct s3_form *form, const char *name);
/* Verifies the policy's signature and that the form obeys it. Without a policy the form is anonymous.
 * S3_INVALID_ARGUMENT, S3_INVALID_ACCESS_KEY_ID, S3_SIGNATURE_DOES_NOT_MATCH, S3_INVALID_POLICY_DOCUMENT,
 * S3_ACCESS_DENIED (expired, or a condition fails). 'options->bucket': the bucket the form was posted to. */
int s3_form_authenticate(struct s3_form *form, const struct s3_auth_options *options, struct s3_auth *auth,
                         struct error *err);
/* Bytes of the file; *ret_size 0: the end. S3_ENTITY_TOO_LARGE, S3_ENTITY_TOO_SMALL, S3_INCOMPLETE_BODY. */
WAITS int s3_form_read(struct s3_form *form, void *data, size_t capacity, size_t *ret_size, struct error *err);

/* The policy (postpolicy.c): its JSON, against the fields. Sets size_min and size_max. */
int s3_form_policy(struct s3_form *form, struct slice json, struct slice bucket, int64_t now_s, struct error *err);

#endif
