/* proxy/s3/bucket.c - ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.
 *
 * A bucket is a container of the project's account, and its name is claimed in the name space of the project's domain:
 * first the claim, then the container, then the claim once more, for a deletion of the same bucket may just have given it
 * back (container_create() does that). A claim without a container is harmless: its account may create the bucket. */
#include <arpa/inet.h>

#include "proxy/s3/docs.h"
#include "proxy/s3/object.h"
#include "proxy/s3/token.h"
#include "proxy/s3/xml.h"

enum { BUCKET_NAME_MIN = 3, BUCKET_NAME_MAX = 63, BUCKETS_MAX = 10000, BUCKETS_STEP = 1000, BUCKETS_ARENA = 8 * 1024 * 1024 };

bool s3_bucket_name_valid(struct slice name)
{
    static const char *const heads[] = { "xn--", "sthree-", "amzn-s3-demo-" };
    static const char *const tails[] = { "-s3alias", "--ol-s3", ".mrap", "--x-s3" };
    char                     text[BUCKET_NAME_MAX + 1];
    struct in_addr           address;

    if (name.size < BUCKET_NAME_MIN || name.size > BUCKET_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t b = name.data[i];
        bool    letter = (b >= 'a' && b <= 'z') || (b >= '0' && b <= '9');
        bool    edge = i == 0 || i == name.size - 1;
        bool    after_dot = i && name.data[i - 1] == '.', after_dash = i && name.data[i - 1] == '-';

        if (!letter && b != '-' && b != '.')
            return false;
        if (!letter && (edge || after_dot || (b == '.' && after_dash)))
            return false;
    }
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    if (inet_pton(AF_INET, text, &address) == 1)
        return false;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (strncmp(text, heads[i], strlen(heads[i])) == 0)
            return false;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (name.size > strlen(tails[i]) && strcmp(text + name.size - strlen(tails[i]), tails[i]) == 0)
            return false;
    return true;
}

/* --- ListBuckets. --- */

struct buckets {
    struct s3_call *c;
    struct slice    prefix, token;
    uint64_t        max;
    struct text     xml;
    uint32_t        count;
    bool            more;
    char            last[CONTAINER_NAME_MAX + 1];
    size_t          last_size;
};

static int buckets_parse(struct buckets *b)
{
    struct s3_call *c = b->c;
    struct slice    max = s3_query(c, "max-buckets"), token = s3_query(c, "continuation-token");
    size_t          size;

    b->prefix = s3_query(c, "prefix");
    b->max = BUCKETS_MAX;
    if (max.data && (!slice_u64(max, &b->max) || b->max == 0 || b->max > BUCKETS_MAX))
        return s3_bad_argument(c, "max-buckets", max, "Argument max-buckets must be an integer between 1 and 10000.");
    if (token.size) {
        if (!s3_token_read(token, CONTAINER_NAME_MAX, (uint8_t *)b->last, &size))
            return s3_bad_argument(c, "continuation-token", token, "The continuation token provided is incorrect");
        b->last_size = size;
    }
    return 0;
}

WAITS static int buckets_step(struct buckets *b, struct slice account, struct arena *arena)
{
    struct row_range       range = { .prefix = b->prefix, .after = slice_of(b->last, b->last_size) };
    struct container_item *items;
    uint32_t               count;
    uint64_t               left = b->max - b->count;
    int                    rc;

    range.limit = left < BUCKETS_STEP ? (uint32_t)left : BUCKETS_STEP;
    rc = account_list(b->c->os, account, &range, s3_deadline(b->c), arena, &items, &count, &b->more, &b->c->err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < count; i++) {
        xml_open(&b->xml, "Bucket");
        xml_leaf(&b->xml, "Name", items[i].name);
        xml_leaf_time(&b->xml, "CreationDate", items[i].modified_us);
        xml_leaf(&b->xml, "BucketRegion", slice_str(b->c->s3->region));
        xml_close(&b->xml, "Bucket");
        b->last_size = items[i].name.size <= CONTAINER_NAME_MAX ? items[i].name.size : CONTAINER_NAME_MAX;
        memcpy(b->last, items[i].name.data, b->last_size);
    }
    b->count += count;
    b->more = b->more && count > 0;
    return b->xml.failed ? -ENOMEM : 0;
}

WAITS static int buckets_all(struct buckets *b)
{
    struct slice account = s3_account_of(b->c);
    struct arena arena;
    int          rc = 0;

    arena_init(&arena, BUCKETS_ARENA);
    b->more = account.size > 0;
    while (rc == 0 && b->more && b->count < b->max) {
        arena_reset(&arena);
        rc = buckets_step(b, account, &arena);
    }
    arena_done(&arena);
    return rc;
}

WAITS static int buckets_reply(struct buckets *b)
{
    struct s3_call   *c = b->c;
    struct acl_person me = { .id = slice_of("anonymous", 9) };
    char              token[S3_TOKEN_TEXT_MAX];

    if (c->who)
        me = (struct acl_person) { slice_str(c->who->project_id), slice_str(c->who->project_name) };
    xml_close(&b->xml, "Buckets");
    xml_open(&b->xml, "Owner");
    xml_leaf(&b->xml, "ID", me.id);
    xml_leaf(&b->xml, "DisplayName", me.name);
    xml_close(&b->xml, "Owner");
    if (b->prefix.size)
        xml_leaf(&b->xml, "Prefix", b->prefix);
    if (b->more)
        xml_leaf(&b->xml, "ContinuationToken", slice_of(token, s3_token_write(slice_of(b->last, b->last_size), token)));
    xml_close(&b->xml, "ListAllMyBucketsResult");
    return s3_reply_xml(c, 200, &b->xml);
}

/* An anonymous requester owns nothing. */
int s3_list_buckets(struct s3_call *c)
{
    struct buckets b = { .c = c, .xml = { .limit = S3_REPLY_MAX } };
    int            rc = buckets_parse(&b);

    if (rc)
        return rc;
    if (c->who && !identity_has_role(c->who, "reader") && !identity_has_role(c->who, "member") &&
        !identity_has_role(c->who, "admin"))
        return s3_error(c, S3_ACCESS_DENIED);
    xml_begin(&b.xml, "ListAllMyBucketsResult");
    xml_open(&b.xml, "Buckets");
    rc = buckets_all(&b);
    if (rc == 0)
        rc = buckets_reply(&b);
    text_done(&b.xml);
    return rc;
}

/* --- CreateBucket. --- */

struct creation {
    const struct policy  *policy;
    Rs__Acl              *acl;          /* NULL: private. */
    enum s3_ownership     ownership;
    bool                  ownership_given;
    struct meta_change    documents[4];
    struct config_changes changes;
    enum versioning       versioning;
    struct lock_config    lock;
    struct text           xml, tags;
};

/* "", our region, or "REGION:POLICY" for a storage policy. */
static int read_location(struct s3_call *c, struct slice location, struct creation *n)
{
    const uint8_t *colon = location.size ? memchr(location.data, ':', location.size) : NULL;
    struct slice   region = colon ? slice_of(location.data, (size_t)(colon - location.data)) : location;

    if (region.size && !slice_equal(region, slice_str(c->s3->region)) && !slice_equal(region, SLICE("us-east-1")))
        return s3_errorf(c, S3_INVALID_LOCATION_CONSTRAINT, "The specified location-constraint is not valid");
    if (!colon)
        return 0;
    n->policy = object_service_policy(c->os, slice_from(location, region.size + 1));
    return n->policy && !n->policy->deprecated
               ? 0 : s3_errorf(c, S3_INVALID_LOCATION_CONSTRAINT, "There is no such storage policy.");
}

static int add_document(struct creation *n, struct slice name, struct slice value)
{
    n->documents[n->changes.document_count++] = (struct meta_change) { name, value };
    n->changes.documents = n->documents;
    return value.data ? 0 : -ENOMEM;
}

static int read_ownership(struct s3_call *c, struct creation *n)
{
    struct slice       name = s3_header(c, "x-amz-object-ownership");
    struct acl_headers acl = s3_acl_headers(c);
    struct acl_person  me = { slice_str(c->who->project_id), slice_str(c->who->project_name) };
    struct acl_names   names = s3_acl_names(c);
    struct slice       packed;
    uint8_t           *bytes;
    int                rc;

    if (name.data) {
        if (!s3_ownership_of(name, &n->ownership))
            return s3_bad_argument(c, "x-amz-object-ownership", name, "Invalid x-amz-object-ownership header");
        docs_ownership_write(&n->xml, n->ownership);
        if (n->xml.failed)
            return -ENOMEM;
        rc = add_document(n, S3_DOC_OWNERSHIP, text_slice(&n->xml));
        if (rc)
            return rc;
    }
    if (!s3_acl_headers_given(&acl))
        return 0;
    if (n->ownership == OWNERSHIP_BUCKET_OWNER_ENFORCED && !slice_equal(acl.canned, SLICE("private")))
        return s3_errorf(c, S3_INVALID_BUCKET_ACL_WITH_OBJECT_OWNERSHIP, "Bucket cannot have ACLs set with "
                         "ObjectOwnership's BucketOwnerEnforced setting");
    rc = s3_acl_from_headers(c->arena, &acl, true, &me, &me, &names, &n->acl, &c->err);
    if (rc)
        return rc;
    bytes = arena_alloc(c->arena, rs__acl__get_packed_size(n->acl));
    packed = slice_of(bytes, bytes ? rs__acl__pack(n->acl, bytes) : 0);
    return add_document(n, S3_DOC_ACL, packed);
}

static int read_lock(struct s3_call *c, struct creation *n)
{
    struct slice lock = s3_header(c, "x-amz-bucket-object-lock-enabled");
    bool         on;

    if (!lock.data)
        return 0;
    if (!xml_bool(lock, &on))
        return s3_bad_argument(c, "x-amz-bucket-object-lock-enabled", lock, NULL);
    if (on) {
        n->versioning = VERSIONING_ENABLED;
        n->changes.versioning = &n->versioning;
        n->changes.lock = &n->lock;
    }
    return 0;
}

WAITS static int creation_read(struct s3_call *c, struct creation *n)
{
    struct docs_create_bucket document;
    struct slice              body;
    int                       rc = s3_document(c, S3_DOCUMENT_MAX, &body);

    if (rc == 0)
        rc = docs_create_bucket_parse(c->arena, body, &document, &c->err);
    if (rc == 0)
        rc = read_location(c, document.location, n);
    if (rc == 0)
        rc = read_ownership(c, n);
    if (rc == 0)
        rc = read_lock(c, n);
    if (rc == 0 && document.tag_count) {
        docs_tagging_write(&n->tags, document.tags, document.tag_count);
        rc = n->tags.failed ? -ENOMEM : add_document(n, S3_DOC_TAGGING, text_slice(&n->tags));
    }
    return rc;
}

/* What the new bucket's ACL is to be; empty: private. */
static struct slice wanted_acl(const struct s3_call *c, const struct creation *n)
{
    if (!n->acl || !s3_acl_grants_others(n->acl, slice_str(c->who->project_id)))
        return SLICE_NONE;
    for (uint32_t i = 0; i < n->changes.document_count; i++)
        if (slice_equal(n->documents[i].name, S3_DOC_ACL))
            return n->documents[i].value;
    return SLICE_NONE;
}

/* It is there and ours: as in us-east-1 that is fine, unless it is asked to become another one. */
static int recreate(struct s3_call *c, const struct creation *n, const struct container *container)
{
    Rs__Acl     *acl = s3_bucket_acl(c, container);
    struct slice have = container_document(container, S3_DOC_ACL);

    if (!acl)
        return -ENOMEM;
    if (!s3_acl_grants_others(acl, s3_project_of(container)))
        have = SLICE_NONE;
    if (!slice_equal(have, wanted_acl(c, n)))
        return s3_errorf(c, S3_BUCKET_ALREADY_EXISTS, "The bucket exists, with another ACL.");
    if ((n->changes.lock != NULL) != container->config->lock || (n->policy && n->policy != container->policy))
        return s3_error(c, S3_BUCKET_ALREADY_OWNED_BY_YOU);
    return 0;
}

WAITS static int create(struct s3_call *c, struct creation *n)
{
    struct slice      account = s3_account_of(c), domain = slice_str(c->who->project_domain_id);
    struct container *container;
    bool              mine = false, created = false;
    int               rc = container_open(c->os, account, c->bucket, true, s3_deadline(c), &container, &c->err);

    if (rc == 0) {
        rc = recreate(c, n, container);
        container_unref(container);
        return rc;
    }
    if (rc == -ENOENT)
        rc = bucket_claim(c->os, domain, c->bucket, account, s3_deadline(c), &mine, &c->err);
    if (rc == -EEXIST && !mine)
        return s3_error(c, S3_BUCKET_ALREADY_EXISTS);
    if (rc && rc != -EEXIST)
        return rc;
    n->changes.domain = domain;
    rc = container_create(c->os, account, c->bucket, n->policy, &n->changes, s3_deadline(c), &created, &c->err);
    return rc == -EEXIST ? s3_error(c, S3_BUCKET_ALREADY_EXISTS) : rc == -E_LIMIT ? s3_error(c, S3_INVALID_REQUEST) : rc;
}

int s3_create_bucket(struct s3_call *c)
{
    struct creation *n = arena_new(c->arena, struct creation);
    int              rc;

    if (!n)
        return -ENOMEM;
    if (!c->who || (!identity_has_role(c->who, "member") && !identity_has_role(c->who, "admin")))
        return s3_error(c, S3_ACCESS_DENIED);
    if (!s3_bucket_name_valid(c->bucket))
        return s3_error(c, S3_INVALID_BUCKET_NAME);
    n->xml.limit = n->tags.limit = S3_REPLY_MAX;
    rc = creation_read(c, n);
    if (rc == 0)
        rc = create(c, n);
    text_done(&n->xml);
    text_done(&n->tags);
    if (rc)
        return rc;
    s3_begin(c, 200);
    http_reply_headerf(c->rq, "Location", "/%.*s", SLICE_ARG(c->bucket));
    http_reply_empty(c->rq);
    return 0;
}

/* --- HeadBucket, GetBucketLocation, DeleteBucket. --- */

/* The counts are those that Ceph's gateway gives, when asked for as it is. */
WAITS static int head_in(struct s3_call *c, struct container *container, void *arg)
{
    struct shard_stats stats = { 0 };
    bool               counts = slice_equal(s3_query(c, "read-stats"), SLICE("true"));
    int                rc = counts ? container_stats(c->os, container, s3_deadline(c), &stats, &c->err) : 0;

    (void)arg;
    if (rc)
        return rc;
    s3_begin(c, 200);
    http_reply_header(c->rq, "x-amz-bucket-region", slice_str(c->s3->region));
    if (counts) {
        s3_header_number(c, "x-rgw-object-count", stats.count);
        s3_header_number(c, "x-rgw-bytes-used", stats.bytes);
    }
    http_reply_empty(c->rq);
    return 0;
}

int s3_head_bucket(struct s3_call *c)
{
    return s3_with_bucket(c, head_in, NULL);
}

WAITS static int location_in(struct s3_call *c, struct container *container, void *arg)
{
    struct text xml = { .limit = S3_REPLY_MAX };
    int         rc;

    (void)container;
    (void)arg;
    text_lit(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                   "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    if (strcmp(c->s3->region, "us-east-1") != 0)
        xml_escape(&xml, slice_str(c->s3->region));
    text_lit(&xml, "</LocationConstraint>");
    rc = s3_reply_xml(c, 200, &xml);
    text_done(&xml);
    return rc;
}

int s3_get_bucket_location(struct s3_call *c)
{
    return s3_with_bucket(c, location_in, NULL);
}

WAITS static int delete_in(struct s3_call *c, struct container *container, void *arg)
{
    int rc = container_delete(c->os, container->account, container->name, s3_deadline(c), &c->err);

    (void)arg;
    if (rc == -E_CONFLICT)
        return s3_error(c, S3_BUCKET_NOT_EMPTY);
    return rc ? rc : s3_reply_empty(c, 204);
}

int s3_delete_bucket(struct s3_call *c)
{
    return s3_with_bucket(c, delete_in, NULL);
}
