/* proxy/s3/call.h - inside of the dialect; only for proxy/s3.
 *
 * One request is one struct s3_call: handle.c finds bucket, key and the row of the operation table (ops.c), proves
 * who asks (auth.c), and calls the row's function. That function returns 0 (it replied), a positive S3_* of code.h,
 * or a negative code (base/error.h); handle.c makes the error answer of the last two. c->err carries a better
 * sentence than the table's; s3_extra() adds elements to the error document.
 *
 * Everything about a bucket goes through s3_with_bucket(): it opens, authorises, and repeats both when the bucket's
 * configuration changed meanwhile. access.c is the only place that says who may do what. */
#ifndef PROXY_S3_CALL_H
#define PROXY_S3_CALL_H

#include "base/text.h"
#include "proxy/s3/acl.h"
#include "proxy/s3/code.h"
#include "proxy/s3/s3.h"

enum {
    S3_TIMEOUT_MS = 20000,               /* For one step on the rows. */
    S3_BODY_TIMEOUT_S = 24 * 3600,       /* For the bytes of one object: a slow client may take long. */
    S3_STALE_ATTEMPTS_MAX = 100,
    S3_HEADERS_MAX = 8,
    S3_EXTRA_MAX = 4,                    /* Elements of an error document beyond the usual ones. */
    S3_META_BYTES_MAX = 2048,            /* Names and values of user metadata. */
    S3_META_COUNT_MAX = 90,
    S3_KEY_MAX = OBJECT_NAME_MAX,
    S3_LIST_MAX = 1000,                  /* Entries of a page of any listing. */
    S3_DOCUMENT_MAX = 2 * 1024 * 1024,   /* Any XML or JSON body; single kinds have their own limits. */
    S3_REPLY_MAX = 4 * 1024 * 1024       /* A document that we write. */
};

enum s3_level { S3_SERVICE, S3_BUCKET, S3_OBJECT };

struct s3_call;
typedef WAITS int (*s3_fn)(struct s3_call *c);

/* One operation. The rows of a method and level are tried in order: 'query' (a parameter of that name is there) and
 * 'header' must match when they are given. */
struct s3_operation {
    const char    *name;                 /* "PutObject": of logs, counters, documents. */
    enum s3_level  level;
    const char    *method;
    const char    *query, *header;       /* NULL: none. */
    enum s3_action action, with_version; /* What it needs; what it needs when a versionId is given. */
    s3_fn          fn;                   /* NULL: 501 NotImplemented. */
};
extern const struct s3_operation s3_operations[];
extern const size_t              s3_operation_count;

struct s3_body;                          /* body.h */
struct s3_auth;

struct s3_call {
    struct s3             *s3;
    struct object_service *os;
    struct http_request   *rq;
    struct arena          *arena;
    const struct s3_operation *op;
    struct slice           bucket, key;          /* Decoded; empty when not in the path. */
    struct version_ref     version;              /* versionId=; handle.c parsed it (InvalidArgument when it can't be). */
    bool                   virtual_host;
    /* Who asks; NULL: nobody known (anonymous). The canonical id is who->project_id. A copy, in the arena. */
    const struct identity_context *who;
    bool                   query_auth, v2;       /* How it was signed: s3:authType, s3:signatureversion. */
    bool                   post;                 /* A browser's form. */
    int64_t                signed_s;             /* Unix time of the signature; s3:signatureAge. */
    const struct meta_change *tags;              /* Tags of a document or form, for policies; set before the bucket is opened. */
    uint32_t               tag_count;
    struct s3_auth        *auth;                 /* auth.h; NULL before s3_identify(). */
    struct s3_body        *body;                 /* Opened by who.c; body.h, receive.h. */
    /* Of the bucket that was authorised last (s3_with_bucket, s3_bucket_open). */
    bool                   owner;                /* The requester acts as the bucket's owner. */
    bool                   ask_object;           /* The object's ACL or tags decide: s3_object_allowed(). */
    bool                   ask_tags;             /* The policy looks at the object's tags. */
    struct { const char *name; struct slice value; } headers[S3_HEADERS_MAX];   /* Of every reply of this call: CORS. */
    uint32_t               header_count;
    struct error           err;
    struct { const char *name; struct slice value; } extra[S3_EXTRA_MAX];
    uint32_t               extra_count;
};

static inline int64_t s3_deadline(const struct s3_call *c)
{
    return env_now(c->rq->env) + S3_TIMEOUT_MS * NS_PER_MS;
}
static inline int64_t s3_body_deadline(const struct s3_call *c)
{
    return env_now(c->rq->env) + S3_BODY_TIMEOUT_S * NS_PER_S;
}
static inline struct slice s3_pb(ProtobufCBinaryData d) { return slice_of(d.data, d.len); }
static inline ProtobufCBinaryData s3_pb_of(struct slice s)
{
    return (ProtobufCBinaryData) { .len = s.size, .data = (uint8_t *)(uintptr_t)s.data };
}
static inline struct slice s3_header(const struct s3_call *c, const char *name) { return http_header(c->rq, name); }
static inline struct slice s3_query(const struct s3_call *c, const char *name) { return http_query(c->rq, name); }

/* --- Errors (reply.c). --- */
/* The table's sentence; "return s3_error(c, S3_NO_SUCH_KEY)". */
static inline int s3_error(struct s3_call *c, int code) { return s3_fail(&c->err, code); }
#define s3_errorf(c, code, ...) error_set(&(c)->err, (code), __VA_ARGS__)
/* Another element of the error document: s3_extra(c, "BucketName", c->bucket). Past S3_EXTRA_MAX: left out. */
void s3_extra(struct s3_call *c, const char *element, struct slice value);
/* InvalidArgument with ArgumentName and ArgumentValue. */
int  s3_bad_argument(struct s3_call *c, const char *name, struct slice value, const char *why);
/* Sends the error document of a positive or negative code; a HEAD gets the status alone. */
WAITS void s3_reply_error(struct s3_call *c, int code);
/* What a negative code means to clients: S3_*. */
int  s3_code_of(struct s3_call *c, int code);

/* --- Replies (reply.c). Each begins with s3_begin(), which adds the request ids and CORS headers. --- */
void s3_begin(struct s3_call *c, int status);
WAITS int s3_reply_empty(struct s3_call *c, int status);             /* The whole reply. */
/* The whole reply: a document begun by xml_begin(). Frees nothing. -ENOMEM when the text failed. */
WAITS int s3_reply_xml(struct s3_call *c, int status, const struct text *xml);
WAITS int s3_reply_json(struct s3_call *c, int status, struct slice json);
void s3_header_number(struct s3_call *c, const char *name, uint64_t n);
void s3_header_date(struct s3_call *c, const char *name, uint64_t us);  /* IMF-fixdate, whole seconds (cut). */
void s3_header_etag(struct s3_call *c, const Rs__ObjectMeta *meta);
/* "x-amz-version-id" when the container is or was versioned. */
void s3_header_version(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta);
/* The ETag as shown, without quotes: object_etag() plus "-parts". Lives in the arena. */
struct slice s3_etag(struct s3_call *c, const Rs__ObjectMeta *meta);

/* --- Who asks (who.c, over auth.h). --- */
/* Proves the signature, fills c->who, opens c->body. */
int s3_identify(struct s3_call *c);
/* Becomes this user, for as long as the call lasts (a form is signed inside its body). -ENOMEM. */
int s3_become(struct s3_call *c, const struct identity_context *who);
struct s3_auth_options;
struct s3_auth_options s3_auth_options(struct s3_call *c);

/* --- Bodies (who.c, over body.h). --- */
/* The whole body, checked against Content-MD5, x-amz-content-sha256 and x-amz-checksum-*; for documents.
 * MaxMessageLengthExceeded past 'limit'. */
WAITS int s3_document(struct s3_call *c, size_t limit, struct slice *ret_body);

/* --- Buckets and access (access.c). --- */
/* Documents of a bucket's configuration. "acl" is a packed Rs__Acl; the others are what a client reads back, as our own
 * writers make it (access.c looks for "<BlockPublicAcls>true" and the like in it, without parsing). */
#define S3_DOC_ACL           SLICE("acl")
#define S3_DOC_POLICY        SLICE("policy")
#define S3_DOC_OWNERSHIP     SLICE("ownership")
#define S3_DOC_PUBLIC_ACCESS SLICE("public-access-block")
#define S3_DOC_CORS          SLICE("cors")
#define S3_DOC_LIFECYCLE     SLICE("lifecycle")
#define S3_DOC_TAGGING       SLICE("tagging")
#define S3_DOC_ENCRYPTION    SLICE("encryption")

/* What is to be authorised; s3_need() makes that of the call's own operation. Who has the role reader in the owning
 * project may Get and List; an ACL allows what s3_action_permission() says. */
struct s3_need {
    enum s3_action action;
    struct slice   bucket, key;
};
struct s3_need s3_need(const struct s3_call *c);
/* Opens a bucket by name and authorises. 0, S3_NO_SUCH_BUCKET, S3_ACCESS_DENIED, a code. Sets c->owner and
 * c->ask_object. 'fresh': not from the cache. Checks x-amz-expected-bucket-owner for the call's own bucket. */
WAITS int s3_bucket_open(struct s3_call *c, const struct s3_need *need, bool fresh, struct container **ret_container);
/* Only opens it (and checks x-amz-expected-bucket-owner): for operations that authorise by s3_may(), key by key. */
WAITS int s3_bucket_find(struct s3_call *c, struct slice name, bool fresh, struct container **ret_container);
/* After -E_STALE: '*container' becomes the bucket as it is now, if the requester still may; else it stays. */
WAITS int s3_bucket_again(struct s3_call *c, const struct s3_need *need, struct container **container);
/* Runs 'fn' with the call's bucket, authorised; after -E_STALE again with the bucket as it is then. 'fn' must not
 * have replied when it returns that. */
typedef WAITS int (*s3_bucket_fn)(struct s3_call *c, struct container *container, void *arg);
WAITS int s3_with_bucket(struct s3_call *c, s3_bucket_fn fn, void *arg);
/* To be asked by every operation on an object once it read it (its ACL and tags may decide): 0 or S3_ACCESS_DENIED.
 * Costs nothing unless c->ask_object. */
int s3_object_allowed(struct s3_call *c, const struct container *container, const struct s3_need *need,
                      const Rs__ObjectMeta *meta);
/* The answer for an object that is not there: S3_NO_SUCH_KEY or S3_NO_SUCH_VERSION, or S3_ACCESS_DENIED for one who may not list. */
int s3_object_missing(struct s3_call *c, const struct container *container, const struct s3_need *need);
/* Whether policy and ACL of the bucket let the requester do this too, say s3:BypassGovernanceRetention. */
bool s3_may(struct s3_call *c, const struct container *container, const struct s3_need *need,
            const Rs__ObjectMeta *meta);
/* Whether the bucket's policy denies this, whatever ACLs say. */
bool s3_policy_denies(struct s3_call *c, const struct container *container, const struct s3_need *need,
                      const Rs__ObjectMeta *meta);
struct acl_headers s3_acl_headers(const struct s3_call *c);              /* x-amz-acl, x-amz-grant-*. */
struct acl_names   s3_acl_names(struct s3_call *c);
struct acl_person  s3_person(struct s3_call *c, struct slice project_id);   /* Name borrowed until the next wait: copied. */
enum s3_ownership  s3_bucket_ownership(const struct container *container);
struct public_access_block s3_bucket_block(const struct container *container);
/* The bucket's ACL, or the private one of its owner; in the arena. NULL: no memory, or damaged. */
Rs__Acl           *s3_bucket_acl(struct s3_call *c, const struct container *container);
/* The ACL of an object ('meta' may have none), likewise. */
Rs__Acl           *s3_object_acl(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta);
struct slice s3_account_of(struct s3_call *c);                           /* "AUTH_<project id>" of the requester; in the arena. */
struct slice s3_project_of(const struct container *container);           /* The owner's canonical id. */
bool s3_bucket_name_valid(struct slice name);                            /* AWS's rules for new buckets. */

/* The bucket that a Host header names, empty when it names none: what stands in front of one of our names, or of ".s3."
 * anywhere. True when the host is one of our names or below it. An address has no bucket. Borrows. Pure (host.c). */
bool s3_host_bucket(const struct s3 *s3, struct slice host, struct slice *ret_bucket);

/* --- Helpers of object operations (object_put.c, object_get.c). --- */
/* User metadata, kept headers, content type, storage class, tags, lock of the request into 'meta'; 0 or a code. */
int  s3_object_headers(struct s3_call *c, const struct container *container, Rs__ObjectMeta *meta);
/* If-Match and If-None-Match of a write. */
int  s3_write_condition(struct s3_call *c, struct object_condition *ret_condition);
/* x-amz-copy-source, decoded: bucket, key, version. */
struct s3_copy_from {
    struct slice       bucket, key;
    struct version_ref version;
};
int  s3_copy_source(struct s3_call *c, struct s3_copy_from *ret_from);

/* --- Operations: the dialect's core. --- */
WAITS int s3_list_buckets(struct s3_call *c);
WAITS int s3_create_bucket(struct s3_call *c);
WAITS int s3_head_bucket(struct s3_call *c);
WAITS int s3_delete_bucket(struct s3_call *c);
WAITS int s3_get_bucket_location(struct s3_call *c);
WAITS int s3_list_objects(struct s3_call *c);                            /* v1 and v2. */
WAITS int s3_list_versions(struct s3_call *c);
WAITS int s3_put_object(struct s3_call *c);
WAITS int s3_get_object(struct s3_call *c);                              /* And HEAD. */
WAITS int s3_delete_object(struct s3_call *c);
WAITS int s3_delete_objects(struct s3_call *c);
WAITS int s3_copy_object(struct s3_call *c);
WAITS int s3_get_object_attributes(struct s3_call *c);

/* --- Operations: multipart uploads (multipart.c). --- */
WAITS int s3_create_upload(struct s3_call *c);
WAITS int s3_upload_part(struct s3_call *c);
WAITS int s3_upload_part_copy(struct s3_call *c);
WAITS int s3_list_parts(struct s3_call *c);
WAITS int s3_list_uploads(struct s3_call *c);
WAITS int s3_complete_upload(struct s3_call *c);
WAITS int s3_abort_upload(struct s3_call *c);

/* --- Operations: subresources (bucket_config.c, object_config.c, post_object.c). --- */
WAITS int s3_get_bucket_acl(struct s3_call *c);
WAITS int s3_put_bucket_acl(struct s3_call *c);
WAITS int s3_get_bucket_versioning(struct s3_call *c);
WAITS int s3_put_bucket_versioning(struct s3_call *c);
WAITS int s3_get_bucket_tagging(struct s3_call *c);
WAITS int s3_put_bucket_tagging(struct s3_call *c);
WAITS int s3_delete_bucket_tagging(struct s3_call *c);
WAITS int s3_get_bucket_policy(struct s3_call *c);
WAITS int s3_put_bucket_policy(struct s3_call *c);
WAITS int s3_delete_bucket_policy(struct s3_call *c);
WAITS int s3_get_bucket_policy_status(struct s3_call *c);
WAITS int s3_get_bucket_cors(struct s3_call *c);
WAITS int s3_put_bucket_cors(struct s3_call *c);
WAITS int s3_delete_bucket_cors(struct s3_call *c);
WAITS int s3_get_bucket_lifecycle(struct s3_call *c);
WAITS int s3_put_bucket_lifecycle(struct s3_call *c);
WAITS int s3_delete_bucket_lifecycle(struct s3_call *c);
WAITS int s3_get_bucket_ownership(struct s3_call *c);
WAITS int s3_put_bucket_ownership(struct s3_call *c);
WAITS int s3_delete_bucket_ownership(struct s3_call *c);
WAITS int s3_get_public_access_block(struct s3_call *c);
WAITS int s3_put_public_access_block(struct s3_call *c);
WAITS int s3_delete_public_access_block(struct s3_call *c);
WAITS int s3_get_bucket_encryption(struct s3_call *c);
WAITS int s3_put_bucket_encryption(struct s3_call *c);
WAITS int s3_delete_bucket_encryption(struct s3_call *c);
WAITS int s3_get_object_lock_config(struct s3_call *c);
WAITS int s3_put_object_lock_config(struct s3_call *c);
WAITS int s3_get_request_payment(struct s3_call *c);
WAITS int s3_put_request_payment(struct s3_call *c);
WAITS int s3_get_object_acl(struct s3_call *c);
WAITS int s3_put_object_acl(struct s3_call *c);
WAITS int s3_get_object_tagging(struct s3_call *c);
WAITS int s3_put_object_tagging(struct s3_call *c);
WAITS int s3_delete_object_tagging(struct s3_call *c);
WAITS int s3_get_object_retention(struct s3_call *c);
WAITS int s3_put_object_retention(struct s3_call *c);
WAITS int s3_get_object_legal_hold(struct s3_call *c);
WAITS int s3_put_object_legal_hold(struct s3_call *c);
WAITS int s3_post_object(struct s3_call *c);
/* CORS. handle.c calls the first for OPTIONS, before any authentication, and the second for any request with an Origin
 * on an existing bucket, to fill c->headers. */
WAITS int s3_preflight(struct s3_call *c);
WAITS int s3_cors_headers(struct s3_call *c);

#endif
