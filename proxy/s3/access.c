/* proxy/s3/access.c - the one place of this dialect that says who may do what.
 *
 * A request is judged in this order, as AWS does:
 *
 *   bucket policy denies ----------------------------> no (but the owner always gets at the policy itself)
 *   bucket policy allows ----------------------------> yes
 *   requester acts as the owner of the bucket -------> yes, but objects of other projects go by their own ACL
 *   requester owns the object -----------------------> yes, what an ACL could give
 *   ACL of bucket or object, as the action says -----> yes
 *   otherwise ---------------------------------------> no
 *
 * Roles: admin and member of the owning project act as the owner, reader may Get and List. The public access block
 * takes away what policies and ACLs give to everybody; BucketOwnerEnforced takes away all ACLs. Whether an action on
 * an object is allowed may depend on the object (its owner, ACL, tags), which is only known once it was read: then
 * s3_bucket_open() leaves c->ask_object, and s3_object_allowed() decides. */
#include "proxy/s3/access.h"
#include "proxy/s3/compiled.h"

#include "base/counter.h"

COUNTER(s3_denied, "Requests of the S3 dialect that were not allowed.");

static const struct slice account_prefix = { (const uint8_t *)"AUTH_", 5 };

/* --- Who owns what. --- */

struct slice s3_project_of(const struct container *container)
{
    return slice_starts(container->account, account_prefix) ? slice_from(container->account, account_prefix.size)
                                                            : container->account;
}

struct slice s3_account_of(struct s3_call *c)
{
    char *text = c->who ? arena_printf(c->arena, "AUTH_%s", c->who->project_id) : NULL;
    return slice_str(text);
}

static bool in_project(const struct s3_call *c, struct slice project)
{
    return c->who && c->who->project_id[0] && slice_equal(slice_str(c->who->project_id), project);
}

static bool writes(const struct s3_call *c)
{
    return identity_has_role(c->who, "member") || identity_has_role(c->who, "admin");
}

/* Get..., List...: what a reader may do. */
static bool only_reads(enum s3_action action)
{
    const char *name = s3_action_name(action);
    return name[0] == 'G' || name[0] == 'L';
}

static bool acts_for(const struct s3_call *c, struct slice project, enum s3_action action)
{
    return in_project(c, project) && (writes(c) || (only_reads(action) && identity_has_role(c->who, "reader")));
}

/* --- What the bucket's configuration says. --- */

enum s3_ownership s3_bucket_ownership(const struct container *container)
{
    struct slice doc = container_document(container, S3_DOC_OWNERSHIP);

    if (doc.size && memmem(doc.data, doc.size, "BucketOwnerEnforced", 19))
        return OWNERSHIP_BUCKET_OWNER_ENFORCED;
    if (doc.size && memmem(doc.data, doc.size, "BucketOwnerPreferred", 20))
        return OWNERSHIP_BUCKET_OWNER_PREFERRED;
    return OWNERSHIP_OBJECT_WRITER;
}

static bool says(struct slice doc, const char *text)
{
    return memmem(doc.data, doc.size, text, strlen(text)) != NULL;
}

struct public_access_block s3_bucket_block(const struct container *container)
{
    struct slice               doc = container_document(container, S3_DOC_PUBLIC_ACCESS);
    struct public_access_block block = { 0 };

    if (doc.size) {
        block.block_acls = says(doc, "<BlockPublicAcls>true<");
        block.ignore_acls = says(doc, "<IgnorePublicAcls>true<");
        block.block_policy = says(doc, "<BlockPublicPolicy>true<");
        block.restrict_buckets = says(doc, "<RestrictPublicBuckets>true<");
    }
    return block;
}

/* --- ACLs. --- */

struct acl_headers s3_acl_headers(const struct s3_call *c)
{
    return (struct acl_headers) {
        .canned = s3_header(c, "x-amz-acl"), .read = s3_header(c, "x-amz-grant-read"),
        .write = s3_header(c, "x-amz-grant-write"), .read_acp = s3_header(c, "x-amz-grant-read-acp"),
        .write_acp = s3_header(c, "x-amz-grant-write-acp"), .full_control = s3_header(c, "x-amz-grant-full-control"),
    };
}

static int name_by_id(void *ctx, struct slice id, struct arena *arena, struct slice *ret_name)
{
    struct s3_call         *c = ctx;
    struct identity_project project;
    int                     rc = identity_project(c->s3->identity, id, &project);

    if (rc)
        return rc;
    *ret_name = arena_dup(arena, slice_str(project.name));
    return ret_name->data ? 0 : -ENOMEM;
}

static int person_by_email(void *ctx, struct slice email, struct arena *arena, struct acl_person *ret_person)
{
    struct s3_call         *c = ctx;
    struct identity_project project;
    int                     rc = identity_project_of_email(c->s3->identity, email, &project);

    if (rc)
        return -ENOENT;
    ret_person->id = arena_dup(arena, slice_str(project.id));
    ret_person->name = arena_dup(arena, slice_str(project.name));
    return ret_person->id.data && ret_person->name.data ? 0 : -ENOMEM;
}

struct acl_names s3_acl_names(struct s3_call *c)
{
    return (struct acl_names) { .by_id = name_by_id, .by_email = person_by_email, .ctx = c };
}

struct acl_person s3_person(struct s3_call *c, struct slice project_id)
{
    struct acl_person person = { .id = project_id };

    if (name_by_id(c, project_id, c->arena, &person.name))
        person.name = SLICE_NONE;
    return person;
}

Rs__Acl *s3_bucket_acl(struct s3_call *c, const struct container *container)
{
    struct slice       doc = container_document(container, S3_DOC_ACL);
    ProtobufCAllocator allocator = arena_allocator_of(c->arena);
    struct acl_person  owner;
    Rs__Acl           *acl = NULL;

    if (doc.size)
        return rs__acl__unpack(&allocator, doc.size, doc.data);
    owner = s3_person(c, s3_project_of(container));
    return s3_acl_canned(c->arena, SLICE_NONE, true, &owner, &owner, &acl, &c->err) ? NULL : acl;
}

Rs__Acl *s3_object_acl(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta)
{
    struct acl_person owner, bucket_owner;
    Rs__Acl          *acl = NULL;

    if (meta->acl && s3_bucket_ownership(container) != OWNERSHIP_BUCKET_OWNER_ENFORCED)
        return meta->acl;
    bucket_owner = s3_person(c, s3_project_of(container));
    owner = meta->owner.len && s3_bucket_ownership(container) != OWNERSHIP_BUCKET_OWNER_ENFORCED
                ? s3_person(c, s3_pb(meta->owner)) : bucket_owner;
    return s3_acl_canned(c->arena, SLICE_NONE, false, &owner, &bucket_owner, &acl, &c->err) ? NULL : acl;
}

static struct slice requester(const struct s3_call *c)
{
    return c->who ? slice_str(c->who->project_id) : SLICE_NONE;
}

static bool bucket_acl_allows(struct s3_call *c, const struct container *container, uint32_t permission)
{
    const Rs__Acl *acl;

    /* Without a document it is private, and who asks is not the owner. */
    if (!permission || !container_document(container, S3_DOC_ACL).size ||
        s3_bucket_ownership(container) == OWNERSHIP_BUCKET_OWNER_ENFORCED)
        return false;
    if (!only_reads_needed(permission) && c->who && !writes(c))
        return false;   /* Nobody does more than his role lets him do at home. */
    acl = s3_bucket_acl(c, container);
    return acl && s3_acl_allows(acl, requester(c), permission, s3_bucket_block(container).ignore_acls);
}

/* --- Judging. --- */

struct s3_need s3_need(const struct s3_call *c)
{
    return (struct s3_need) { .action = c->version.given ? c->op->with_version : c->op->action, .bucket = c->bucket,
                              .key = c->key };
}

/* What the bucket's policy says; POLICY_NONE when there is none. 'meta': of the object when it is known. */
static enum policy_verdict policy_says(struct s3_call *c, const struct container *container,
                                       const struct s3_need *need, const Rs__ObjectMeta *meta, bool *ret_tags)
{
    struct slice        doc = container_document(container, S3_DOC_POLICY);
    struct arena        arena;
    const struct s3_policy *policy;
    enum policy_verdict verdict = POLICY_DENY;   /* What cannot be read protects nothing otherwise. */

    *ret_tags = false;
    if (!doc.size)
        return POLICY_NONE;
    arena_init(&arena, S3_POLICY_ARENA_BYTES);
    if (compiled_policy(c->s3->compiled, doc, container->name, &policy, &c->err) == 0) {
        *ret_tags = s3_policy_looks_at(policy, "s3:ExistingObjectTag/");
        struct s3_need named = { .action = need->action, .bucket = container->name, .key = need->key };
        verdict = s3_judge_policy(c, policy, &named, meta, &arena);
        if (verdict == POLICY_ALLOW && s3_policy_is_public(policy) && s3_bucket_block(container).restrict_buckets &&
            !in_project(c, s3_project_of(container)))
            verdict = POLICY_NONE;
    }
    arena_done(&arena);
    return verdict;
}

static bool about_policy(enum s3_action action)
{
    return action == S3_DO_GET_BUCKET_POLICY || action == S3_DO_PUT_BUCKET_POLICY ||
           action == S3_DO_DELETE_BUCKET_POLICY;
}

static int denied(struct s3_call *c)
{
    counter_inc(s3_denied);
    return s3_error(c, S3_ACCESS_DENIED);
}

/* s3_object_allowed() is asked for these once the object was read, and for no others: their decision may wait for its tags. */
static bool asks_object(enum s3_action action)
{
    switch (action) {
    case S3_DO_GET_OBJECT: case S3_DO_GET_OBJECT_VERSION:
    case S3_DO_GET_OBJECT_ACL: case S3_DO_GET_OBJECT_VERSION_ACL:
    case S3_DO_GET_OBJECT_ATTRIBUTES: case S3_DO_GET_OBJECT_VERSION_ATTRIBUTES:
    case S3_DO_GET_OBJECT_TAGGING: case S3_DO_GET_OBJECT_VERSION_TAGGING:
    case S3_DO_GET_OBJECT_RETENTION: case S3_DO_GET_OBJECT_LEGAL_HOLD:
    case S3_DO_PUT_OBJECT_ACL: case S3_DO_PUT_OBJECT_VERSION_ACL:
    case S3_DO_PUT_OBJECT_TAGGING: case S3_DO_PUT_OBJECT_VERSION_TAGGING:
    case S3_DO_DELETE_OBJECT_TAGGING: case S3_DO_DELETE_OBJECT_VERSION_TAGGING:
    case S3_DO_PUT_OBJECT_RETENTION: case S3_DO_PUT_OBJECT_LEGAL_HOLD:
        return true;
    default:
        return false;
    }
}

/* Without knowing the object. */
static int judge(struct s3_call *c, const struct container *container, const struct s3_need *need)
{
    bool                of_object = false, tags;
    uint32_t            permission = s3_action_permission(need->action, &of_object);
    enum policy_verdict verdict = policy_says(c, container, need, NULL, &tags);

    c->owner = acts_for(c, s3_project_of(container), need->action);
    c->ask_tags = tags && asks_object(need->action);
    c->ask_object = c->ask_tags;
    if (c->owner && about_policy(need->action) && writes(c))
        return 0;
    if (verdict == POLICY_DENY && !c->ask_tags)
        return denied(c);
    if (c->ask_tags || verdict == POLICY_ALLOW)
        return 0;
    if (of_object) {
        c->ask_object = true;
        return 0;
    }
    return c->owner || bucket_acl_allows(c, container, permission) ? 0 : denied(c);
}

int s3_object_allowed(struct s3_call *c, const struct container *container, const struct s3_need *need,
                      const Rs__ObjectMeta *meta)
{
    bool         of_object = false, tags, enforced;
    uint32_t     permission;
    struct slice owner = s3_pb(meta->owner);

    if (!c->ask_object)
        return 0;
    if (c->ask_tags) {
        enum policy_verdict verdict = policy_says(c, container, need, meta, &tags);
        if (verdict != POLICY_NONE)
            return verdict == POLICY_ALLOW ? 0 : denied(c);
    }
    permission = s3_action_permission(need->action, &of_object);
    enforced = s3_bucket_ownership(container) == OWNERSHIP_BUCKET_OWNER_ENFORCED;
    if (c->owner && (enforced || !of_object || owner.size == 0 || in_project(c, owner)))
        return 0;
    if (!of_object)
        return bucket_acl_allows(c, container, permission) ? 0 : denied(c);
    if (enforced)
        return denied(c);
    if (owner.size && acts_for(c, owner, need->action))
        return 0;
    if (meta->acl && (!c->who || writes(c) || only_reads_needed(permission)) &&
        s3_acl_allows(meta->acl, requester(c), permission, s3_bucket_block(container).ignore_acls))
        return 0;
    return denied(c);
}

bool s3_may(struct s3_call *c, const struct container *container, const struct s3_need *need,
            const Rs__ObjectMeta *meta)
{
    struct s3_call asking = *c;   /* The call's own flags stay. */

    if (judge(&asking, container, need))
        return false;
    if (!asking.ask_object)
        return true;
    /* What waits for tags that nobody will look at is refused. */
    return meta ? s3_object_allowed(&asking, container, need, meta) == 0 : asking.owner && !asking.ask_tags;
}

bool s3_policy_denies(struct s3_call *c, const struct container *container, const struct s3_need *need,
                      const Rs__ObjectMeta *meta)
{
    bool tags;

    return policy_says(c, container, need, meta, &tags) == POLICY_DENY;
}

int s3_object_missing(struct s3_call *c, const struct container *container, const struct s3_need *need)
{
    struct s3_need list = { .action = S3_DO_LIST_BUCKET, .bucket = need->bucket };

    if (!c->owner && !s3_may(c, container, &list, NULL))
        return denied(c);
    return s3_error(c, c->version.given ? S3_NO_SUCH_VERSION : S3_NO_SUCH_KEY);
}

/* --- Opening. --- */

/* "DOMAIN:BUCKET" in path style names a bucket of another domain (by name or id), ":BUCKET" one of Default; as Ceph's
 * gateway has it with tenants. *name becomes the bucket's. False: there is no such domain. */
static bool domain_of_name(struct s3_call *c, struct slice *name, struct slice *ret_domain)
{
    const uint8_t *colon = memchr(name->data, ':', name->size);
    struct slice   text = slice_of(name->data, colon ? (size_t)(colon - name->data) : 0);
    const char    *id = "default";

    *ret_domain = c->who && c->who->project_domain_id[0] ? slice_str(c->who->project_domain_id) : SLICE("default");
    if (!colon)
        return true;
    if (text.size) {
        const char *given = arena_str(c->arena, text);
        id = given ? identity_domain_id(c->s3->identity, given) : NULL;
    }
    *name = slice_from(*name, text.size + 1);
    *ret_domain = arena_dup(c->arena, slice_str(id));
    return id && ret_domain->data && name->size;
}

/* The requester's own account is looked at first, then the names of the domain. */
WAITS static int find(struct s3_call *c, struct slice name, bool fresh, struct container **ret_container)
{
    struct slice own = s3_account_of(c), account, domain;
    int          rc = -ENOENT;

    if (name.size == 0 || name.size > CONTAINER_NAME_MAX || !domain_of_name(c, &name, &domain))
        return -ENOENT;
    if (own.size && (!c->who->project_domain_id[0] || slice_equal(domain, slice_str(c->who->project_domain_id))))
        rc = container_open(c->os, own, name, fresh, s3_deadline(c), ret_container, &c->err);
    if (rc != -ENOENT)
        return rc;
    rc = bucket_account(c->os, domain, name, fresh, s3_deadline(c), c->arena, &account, &c->err);
    if (rc || slice_equal(account, own))
        return rc ? rc : -ENOENT;
    return container_open(c->os, account, name, fresh, s3_deadline(c), ret_container, &c->err);
}

static int check_expected_owner(struct s3_call *c, const struct container *container, struct slice name)
{
    struct slice expected = s3_header(c, slice_equal(name, c->bucket) ? "x-amz-expected-bucket-owner"
                                                                      : "x-amz-source-expected-bucket-owner");

    return !expected.data || slice_equal(expected, s3_project_of(container)) ? 0 : denied(c);
}

int s3_bucket_find(struct s3_call *c, struct slice name, bool fresh, struct container **ret_container)
{
    struct container *container = NULL;
    int               rc = find(c, name, fresh, &container);

    if (rc == -ENOENT)
        return s3_error(c, S3_NO_SUCH_BUCKET);
    if (rc)
        return rc;
    rc = check_expected_owner(c, container, name);
    if (rc)
        container_unref(container);
    else
        *ret_container = container;
    return rc;
}

int s3_bucket_open(struct s3_call *c, const struct s3_need *need, bool fresh, struct container **ret_container)
{
    struct container *container = NULL;
    int               rc = s3_bucket_find(c, need->bucket, fresh, &container);

    if (rc)
        return rc;
    rc = judge(c, container, need);
    if (rc)
        container_unref(container);
    else
        *ret_container = container;
    return rc;
}

int s3_bucket_again(struct s3_call *c, const struct s3_need *need, struct container **container)
{
    struct container *fresh;
    int               rc;

    container_forget(c->os, *container);
    rc = s3_bucket_open(c, need, true, &fresh);
    if (rc)
        return rc;
    container_unref(*container);
    *container = fresh;
    return 0;
}

int s3_with_bucket(struct s3_call *c, s3_bucket_fn fn, void *arg)
{
    struct s3_need    need = s3_need(c);
    struct container *container;
    int               rc = s3_bucket_open(c, &need, false, &container);

    if (rc)
        return rc;
    for (int attempt = 0; attempt < S3_STALE_ATTEMPTS_MAX; attempt++) {
        rc = fn(c, container, arg);
        if (rc != -E_STALE)
            break;
        rc = s3_bucket_again(c, &need, &container);
        if (rc)
            break;
        rc = -E_STALE;
    }
    container_unref(container);
    return rc;
}
