/* proxy/s3/bucket_config.c - subresources of buckets that are documents: read, checked, stored, removed.
 *
 * A document is checked when it comes and stored as we would write it, so that reading it back never fails and needs
 * no knowledge of what the client sent. The typed ones (versioning, object lock, ACL) are in bucket_state.c. */
#include "proxy/s3/config.h"
#include "proxy/s3/cors.h"
#include "proxy/s3/docs.h"
#include "proxy/s3/lifecycle.h"
#include "proxy/s3/lifecycle_index.h"
#include "proxy/s3/policy.h"
#include "proxy/s3/xml.h"

enum { CONFIG_BYTES_MAX = 64 * 1024 };

/* --- The three verbs. --- */

/* Checks 'body' and writes what is stored into 'stored'. 0, a code, or an S3_*. */
typedef WAITS int (*check_fn)(struct s3_call *c, const struct container *container, struct slice body,
                              struct text *stored);

struct document {
    struct slice name;       /* In the bucket's configuration. */
    check_fn    check;
    size_t      limit;       /* Bytes of what a client sends. */
    int         missing;     /* The S3_* when there is none. */
    int         put_status;
    bool        json;
};

WAITS static int get_in(struct s3_call *c, struct container *container, void *arg)
{
    const struct document *d = arg;
    struct slice           value = container_document(container, d->name);
    struct text            xml = { .limit = S3_REPLY_MAX };
    int                    rc;

    if (value.size == 0)
        return s3_error(c, d->missing);
    if (d->json)
        return s3_reply_json(c, 200, value);
    text_add(&xml, value);
    rc = s3_reply_xml(c, 200, &xml);
    text_done(&xml);
    return rc;
}

int config_body(struct s3_call *c, struct config_body *body, size_t limit)
{
    int rc;

    if (body->read)
        return 0;
    rc = s3_document(c, limit, &body->bytes);
    body->read = rc == 0;
    return rc;
}

int config_store(struct s3_call *c, struct container *container, const struct config_changes *changes)
{
    int rc = container_update(c->os, container, changes, s3_deadline(c), &c->err);

    if (rc == -ENOENT)
        return s3_error(c, S3_NO_SUCH_BUCKET);   /* Deleted since it was opened. */
    return rc == -E_LIMIT ? s3_errorf(c, S3_MAX_MESSAGE_LENGTH_EXCEEDED, "The bucket's configuration would be too large.")
                          : rc;
}

int config_store_document(struct s3_call *c, struct container *container, struct slice name, struct slice value)
{
    struct meta_change    change = { .name = name, .value = value };
    struct config_changes changes = { .documents = &change, .document_count = 1 };

    return config_store(c, container, &changes);
}

struct put {
    const struct document *document;
    struct config_body     body;
};

WAITS static int put_in(struct s3_call *c, struct container *container, void *arg)
{
    struct put            *put = arg;
    const struct document *d = put->document;
    struct text            stored = { .limit = DOCUMENT_BYTES_MAX };
    int                    rc = config_body(c, &put->body, d->limit);

    if (rc == 0)
        rc = d->check(c, container, put->body.bytes, &stored);
    if (rc == 0 && stored.failed)
        rc = s3_error(c, S3_MAX_MESSAGE_LENGTH_EXCEEDED);
    if (rc == 0)
        rc = config_store_document(c, container, d->name, text_slice(&stored));
    text_done(&stored);
    return rc ? rc : s3_reply_empty(c, d->put_status);
}

WAITS static int delete_in(struct s3_call *c, struct container *container, void *arg)
{
    const struct document *d = arg;
    int                    rc = 0;

    if (container_document(container, d->name).size)
        rc = config_store_document(c, container, d->name, SLICE_NONE);
    return rc ? rc : s3_reply_empty(c, 204);
}

WAITS static int document_get(struct s3_call *c, const struct document *d)
{
    return s3_with_bucket(c, get_in, (void *)(uintptr_t)d);
}

WAITS static int document_put(struct s3_call *c, const struct document *d)
{
    struct put put = { .document = d };

    return s3_with_bucket(c, put_in, &put);
}

WAITS static int document_delete(struct s3_call *c, const struct document *d)
{
    return s3_with_bucket(c, delete_in, (void *)(uintptr_t)d);
}

#define DOCUMENT_CALLS(noun, document)                                                                               \
    int s3_get_##noun(struct s3_call *c) { return document_get(c, &document); }                                      \
    int s3_put_##noun(struct s3_call *c) { return document_put(c, &document); }                                      \
    int s3_delete_##noun(struct s3_call *c) { return document_delete(c, &document); }

/* --- Tags. --- */

WAITS static int check_tagging(struct s3_call *c, const struct container *container, struct slice body,
                               struct text *stored)
{
    Rs__MetaItem **tags;
    size_t         count;
    int            rc = docs_tagging_parse(c->arena, body, TAGS_BUCKET_MAX, &tags, &count, &c->err);

    (void)container;
    if (rc == 0)
        docs_tagging_write(stored, tags, count);
    return rc;
}

static const struct document tagging = { .name = S3_DOC_TAGGING, .check = check_tagging, .limit = CONFIG_BYTES_MAX,
                                         .missing = S3_NO_SUCH_TAG_SET, .put_status = 204 };
DOCUMENT_CALLS(bucket_tagging, tagging)

/* --- Policy. --- */

WAITS static int check_policy(struct s3_call *c, const struct container *container, struct slice body,
                              struct text *stored)
{
    struct s3_policy *policy;
    struct arena      arena;
    int               rc;

    arena_init(&arena, S3_POLICY_ARENA_BYTES);
    rc = s3_policy_parse(&arena, body, container->name, &policy, &c->err);
    if (rc == 0 && s3_bucket_block(container).block_policy && s3_policy_is_public(policy))
        rc = s3_errorf(c, S3_ACCESS_DENIED, "Public policies are blocked by the public access block of this bucket.");
    arena_done(&arena);
    if (rc == 0)
        text_add(stored, body);
    return rc;
}

static const struct document policy_document = { .name = S3_DOC_POLICY, .check = check_policy,
                                                 .limit = S3_POLICY_BYTES_MAX + 1, .missing = S3_NO_SUCH_BUCKET_POLICY,
                                                 .put_status = 204, .json = true };
DOCUMENT_CALLS(bucket_policy, policy_document)

/* --- CORS. --- */

WAITS static int check_cors(struct s3_call *c, const struct container *container, struct slice body, struct text *stored)
{
    struct cors *cors;
    int          rc = cors_parse(c->arena, body, &cors, &c->err);

    (void)container;
    if (rc == 0)
        cors_write(stored, cors);
    return rc;
}

static const struct document cors_document = { .name = S3_DOC_CORS, .check = check_cors, .limit = CORS_BYTES_MAX,
                                               .missing = S3_NO_SUCH_CORS_CONFIGURATION, .put_status = 200 };
DOCUMENT_CALLS(bucket_cors, cors_document)

/* --- Lifecycle. --- */

WAITS static int check_lifecycle(struct s3_call *c, const struct container *container, struct slice body,
                                 struct text *stored)
{
    struct lifecycle *lifecycle;
    struct arena      arena;
    int               rc;

    arena_init(&arena, XML_ARENA_BYTES);
    rc = lifecycle_parse(&arena, body, &lifecycle, &c->err);
    if (rc == 0)
        lifecycle_write(stored, lifecycle);
    arena_done(&arena);
    /* Before the rules: so rules that no worker finds cannot be. */
    if (rc == 0)
        rc = lifecycle_index_add(c->os, container->account, container->name, s3_deadline(c), c->arena, &c->err);
    return rc;
}

static const struct document lifecycle_document = { .name = S3_DOC_LIFECYCLE, .check = check_lifecycle,
                                                    .limit = S3_DOCUMENT_MAX,
                                                    .missing = S3_NO_SUCH_LIFECYCLE_CONFIGURATION, .put_status = 200 };
DOCUMENT_CALLS(bucket_lifecycle, lifecycle_document)

/* --- Who may. --- */

WAITS static int check_ownership(struct s3_call *c, const struct container *container, struct slice body,
                                 struct text *stored)
{
    enum s3_ownership ownership;
    struct slice      owner = s3_project_of(container);
    const Rs__Acl    *acl;
    int               rc = docs_ownership_parse(c->arena, body, &ownership, &c->err);

    if (rc)
        return rc;
    acl = s3_bucket_acl(c, container);
    if (!acl)
        return -ENOMEM;
    if (ownership == OWNERSHIP_BUCKET_OWNER_ENFORCED && s3_acl_grants_others(acl, owner))
        return s3_errorf(c, S3_INVALID_BUCKET_ACL_WITH_OBJECT_OWNERSHIP,
                         "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting");
    docs_ownership_write(stored, ownership);
    return 0;
}

static const struct document ownership_document = { .name = S3_DOC_OWNERSHIP, .check = check_ownership,
                                                    .limit = CONFIG_BYTES_MAX, .missing = S3_OWNERSHIP_CONTROLS_NOT_FOUND,
                                                    .put_status = 200 };
DOCUMENT_CALLS(bucket_ownership, ownership_document)

WAITS static int check_public_access(struct s3_call *c, const struct container *container, struct slice body,
                                     struct text *stored)
{
    struct public_access_block block;
    int                        rc = docs_public_access_parse(c->arena, body, &block, &c->err);

    (void)container;
    if (rc == 0)
        docs_public_access_write(stored, &block);
    return rc;
}

static const struct document public_access_document = { .name = S3_DOC_PUBLIC_ACCESS, .check = check_public_access,
                                                        .limit = CONFIG_BYTES_MAX,
                                                        .missing = S3_NO_SUCH_PUBLIC_ACCESS_BLOCK, .put_status = 200 };
DOCUMENT_CALLS(public_access_block, public_access_document)

/* --- Default encryption. --- */

WAITS static int check_encryption(struct s3_call *c, const struct container *container, struct slice body,
                                  struct text *stored)
{
    struct docs_encryption encryption;
    int                    rc = docs_encryption_parse(c->arena, body, &encryption, &c->err);

    (void)container;
    if (rc)
        return rc;
    if (!slice_equal(encryption.algorithm, SLICE("AES256")))
        return s3_errorf(c, S3_NOT_IMPLEMENTED, "Encryption by a key management service is not implemented.");
    docs_encryption_write(stored, &encryption);
    return 0;
}

static const struct document encryption_document = { .name = S3_DOC_ENCRYPTION, .check = check_encryption,
                                                     .limit = CONFIG_BYTES_MAX,
                                                     .missing = S3_SERVER_SIDE_ENCRYPTION_NOT_FOUND, .put_status = 200 };
DOCUMENT_CALLS(bucket_encryption, encryption_document)
