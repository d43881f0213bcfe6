/* proxy/s3/bucket_state.c - subresources of buckets that are more than documents: versioning, object lock, ACL, policy
 * status, request payment. */
#include "proxy/s3/config.h"
#include "proxy/s3/docs.h"
#include "proxy/s3/policy.h"
#include "proxy/s3/xml.h"

enum { STATE_DOCUMENT_MAX = 64 * 1024 };

WAITS static int reply_text(struct s3_call *c, struct text *xml)
{
    int rc = s3_reply_xml(c, 200, xml);

    text_done(xml);
    return rc;
}

/* --- Versioning. --- */

WAITS static int get_versioning_in(struct s3_call *c, struct container *container, void *arg)
{
    struct text xml = { .limit = S3_REPLY_MAX };

    (void)arg;
    docs_versioning_write(&xml, (enum versioning)container->config->versioning);
    return reply_text(c, &xml);
}

int s3_get_bucket_versioning(struct s3_call *c)
{
    return s3_with_bucket(c, get_versioning_in, NULL);
}

WAITS static int put_versioning_in(struct s3_call *c, struct container *container, void *arg)
{
    struct config_changes changes = { .versioning = NULL };
    enum versioning       wanted;
    int                   rc = config_body(c, arg, STATE_DOCUMENT_MAX);

    if (rc == 0)
        rc = docs_versioning_parse(c->arena, ((struct config_body *)arg)->bytes, &wanted, &c->err);
    if (rc)
        return rc;
    if (wanted == VERSIONING_SUSPENDED && container->config->lock)
        return s3_errorf(c, S3_INVALID_BUCKET_STATE,
                         "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.");
    changes.versioning = &wanted;
    rc = config_store(c, container, &changes);
    return rc ? rc : s3_reply_empty(c, 200);
}

int s3_put_bucket_versioning(struct s3_call *c)
{
    struct config_body body = { .read = false };

    return s3_with_bucket(c, put_versioning_in, &body);
}

/* --- Object lock. --- */

WAITS static int get_lock_in(struct s3_call *c, struct container *container, void *arg)
{
    const Rs__ContainerConfig *config = container->config;
    struct lock_config         lock = { .mode = (enum object_lock_mode)config->lock_mode, .days = config->lock_days,
                                        .years = config->lock_years };
    struct text                xml = { .limit = S3_REPLY_MAX };

    (void)arg;
    if (!config->lock)
        return s3_error(c, S3_OBJECT_LOCK_NOT_FOUND);
    docs_lock_write(&xml, &lock);
    return reply_text(c, &xml);
}

int s3_get_object_lock_config(struct s3_call *c)
{
    return s3_with_bucket(c, get_lock_in, NULL);
}

WAITS static int put_lock_in(struct s3_call *c, struct container *container, void *arg)
{
    struct config_changes changes = { .lock = NULL };
    struct lock_config    lock;
    int                   rc = config_body(c, arg, STATE_DOCUMENT_MAX);

    if (rc == 0)
        rc = docs_lock_parse(c->arena, ((struct config_body *)arg)->bytes, &lock, &c->err);
    if (rc)
        return rc;
    if (container->config->versioning != VERSIONING_ENABLED)
        return s3_errorf(c, S3_INVALID_BUCKET_STATE, "Versioning must be 'Enabled' on the bucket to apply a Object Lock "
                         "configuration");
    changes.lock = &lock;
    rc = config_store(c, container, &changes);
    return rc ? rc : s3_reply_empty(c, 200);
}

int s3_put_object_lock_config(struct s3_call *c)
{
    struct config_body body = { .read = false };

    return s3_with_bucket(c, put_lock_in, &body);
}

/* --- ACL of the bucket. --- */

WAITS static int get_acl_in(struct s3_call *c, struct container *container, void *arg)
{
    struct text xml = { .limit = S3_REPLY_MAX };
    Rs__Acl    *acl = s3_bucket_acl(c, container);

    (void)arg;
    if (!acl)
        return -ENOMEM;
    s3_acl_write(&xml, acl);
    return reply_text(c, &xml);
}

int s3_get_bucket_acl(struct s3_call *c)
{
    return s3_with_bucket(c, get_acl_in, NULL);
}

int config_new_acl(struct s3_call *c, const struct container *container, struct slice document, bool of_bucket,
                   const struct acl_person *owner, Rs__Acl **ret_acl)
{
    struct acl_headers headers = s3_acl_headers(c);
    struct acl_person  bucket_owner = s3_person(c, s3_project_of(container));
    struct acl_names   names = s3_acl_names(c);
    Rs__Acl           *acl;
    int                rc;

    if (s3_acl_headers_given(&headers) && document.size)
        return s3_errorf(c, S3_UNEXPECTED_CONTENT, "An ACL comes in headers or in the body, not in both.");
    if (s3_acl_headers_given(&headers))
        rc = s3_acl_from_headers(c->arena, &headers, of_bucket, owner, &bucket_owner, &names, &acl, &c->err);
    else if (document.size)
        rc = s3_acl_from_xml(c->arena, document, owner, &names, &acl, &c->err);
    else
        rc = s3_errorf(c, S3_MISSING_SECURITY_HEADER,
                       "Your request was missing a required header: an ACL in the body, or x-amz-acl.");
    if (rc == 0)
        rc = s3_ownership_check(s3_bucket_ownership(container), &headers, bucket_owner.id, &c->err);
    if (rc)
        return rc;
    if (s3_bucket_ownership(container) == OWNERSHIP_BUCKET_OWNER_ENFORCED && s3_acl_grants_others(acl, bucket_owner.id))
        return s3_error(c, S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED);
    if (s3_bucket_block(container).block_acls && s3_acl_is_public(acl))
        return s3_errorf(c, S3_ACCESS_DENIED, "Public ACLs are blocked for this bucket.");
    *ret_acl = acl;
    return 0;
}

WAITS static int put_acl_in(struct s3_call *c, struct container *container, void *arg)
{
    struct config_body *body = arg;
    struct acl_person   owner = s3_person(c, s3_project_of(container));
    Rs__Acl            *acl;
    uint8_t            *packed;
    size_t              size;
    int                 rc = config_body(c, body, STATE_DOCUMENT_MAX);

    if (rc == 0)
        rc = config_new_acl(c, container, body->bytes, true, &owner, &acl);
    if (rc)
        return rc;
    size = rs__acl__get_packed_size(acl);
    packed = arena_alloc(c->arena, size + 1);
    if (!packed)
        return -ENOMEM;
    rs__acl__pack(acl, packed);
    rc = config_store_document(c, container, S3_DOC_ACL, slice_of(packed, size));
    return rc ? rc : s3_reply_empty(c, 200);
}

int s3_put_bucket_acl(struct s3_call *c)
{
    struct config_body body = { .read = false };

    return s3_with_bucket(c, put_acl_in, &body);
}

/* --- Is the bucket public? --- */

WAITS static int get_status_in(struct s3_call *c, struct container *container, void *arg)
{
    struct slice   document = container_document(container, S3_DOC_POLICY);
    const Rs__Acl *acl = s3_bucket_acl(c, container);
    struct public_access_block block = s3_bucket_block(container);
    struct s3_policy *policy;
    struct arena   arena;
    struct text    xml = { .limit = S3_REPLY_MAX };
    bool           is_public = acl && s3_acl_is_public(acl) && !block.ignore_acls &&
                               s3_bucket_ownership(container) != OWNERSHIP_BUCKET_OWNER_ENFORCED;

    (void)arg;
    if (document.size) {
        arena_init(&arena, S3_POLICY_ARENA_BYTES);
        int rc = s3_policy_parse(&arena, document, c->bucket, &policy, &c->err);
        if (rc == 0 && !block.restrict_buckets)
            is_public = is_public || s3_policy_is_public(policy);
        arena_done(&arena);
        if (rc)
            return rc < 0 ? rc : -E_CORRUPT;
    }
    xml_begin(&xml, "PolicyStatus");
    xml_leaf_bool(&xml, "IsPublic", is_public);
    xml_close(&xml, "PolicyStatus");
    return reply_text(c, &xml);
}

int s3_get_bucket_policy_status(struct s3_call *c)
{
    return s3_with_bucket(c, get_status_in, NULL);
}

/* --- Who pays: always the owner. --- */

WAITS static int get_payment_in(struct s3_call *c, struct container *container, void *arg)
{
    struct text xml = { .limit = S3_REPLY_MAX };

    (void)container;
    (void)arg;
    xml_begin(&xml, "RequestPaymentConfiguration");
    xml_leaf(&xml, "Payer", SLICE("BucketOwner"));
    xml_close(&xml, "RequestPaymentConfiguration");
    return reply_text(c, &xml);
}

int s3_get_request_payment(struct s3_call *c)
{
    return s3_with_bucket(c, get_payment_in, NULL);
}

WAITS static int put_payment_in(struct s3_call *c, struct container *container, void *arg)
{
    struct xml_node *root;
    struct slice     payer;
    int              rc = config_body(c, arg, STATE_DOCUMENT_MAX);

    (void)container;
    if (rc == 0)
        rc = xml_parse(c->arena, ((struct config_body *)arg)->bytes, "RequestPaymentConfiguration", &root, &c->err);
    if (rc)
        return rc;
    payer = xml_word(root, "Payer");
    if (slice_equal(payer, SLICE("Requester")))
        return s3_errorf(c, S3_NOT_IMPLEMENTED, "Requests that the requester pays are not implemented.");
    return slice_equal(payer, SLICE("BucketOwner")) ? s3_reply_empty(c, 200) : s3_error(c, S3_MALFORMED_XML);
}

int s3_put_request_payment(struct s3_call *c)
{
    struct config_body body = { .read = false };

    return s3_with_bucket(c, put_payment_in, &body);
}
