/* proxy/s3/config_read.c - what a bucket's documents say, and who is who in ACLs. See config.h. */
#include "proxy/s3/config.h"

int config_acl(struct s3_call *c, const struct container *container, Rs__Acl **ret_acl)
{
    struct slice       packed = container_document(container, SLICE(DOCUMENT_ACL));
    ProtobufCAllocator allocator = arena_allocator_of(c->arena);
    struct acl_person  owner = config_owner(c, container);

    if (packed.size == 0)
        return s3_acl_canned(c->arena, SLICE("private"), true, &owner, &owner, ret_acl, &c->err);
    Rs__Acl *acl = rs__acl__unpack(&allocator, packed.size, packed.data);
    if (!acl)
        return error_set(&c->err, -E_CORRUPT, "the bucket's ACL can't be read");
    *ret_acl = acl;
    return 0;
}

enum s3_ownership config_ownership(const struct container *container)
{
    enum s3_ownership ownership = OWNERSHIP_OBJECT_WRITER;

    (void)s3_ownership_of(container_document(container, SLICE(DOCUMENT_OWNERSHIP)), &ownership);
    return ownership;
}

struct public_access_block config_public_access(const struct container *container)
{
    struct slice text = container_document(container, SLICE(DOCUMENT_PUBLIC_ACCESS));

    if (text.size != 4)
        return (struct public_access_block) { .block_acls = false };
    return (struct public_access_block) {
        .block_acls = text.data[0] == '1', .ignore_acls = text.data[1] == '1', .block_policy = text.data[2] == '1',
        .restrict_buckets = text.data[3] == '1',
    };
}

struct acl_person config_owner(struct s3_call *c, const struct container *container)
{
    struct acl_person       person = { .id = s3_project_of(container) };
    struct identity_project project;

    if (identity_project(c->s3->identity, person.id, &project) == 0)
        person.name = arena_dup(c->arena, slice_str(project.name));
    return person;
}

struct acl_person config_requester(struct s3_call *c)
{
    struct acl_person person = { SLICE_NONE, SLICE_NONE };

    if (c->who)
        person = (struct acl_person) { slice_str(c->who->project_id), slice_str(c->who->project_name) };
    return person;
}

static int name_by_id(void *ctx, struct slice id, struct arena *arena, struct slice *ret_name)
{
    struct s3_call         *c = ctx;
    struct identity_project project;
    int                     rc = identity_project(c->s3->identity, id, &project);

    if (rc == 0)
        *ret_name = arena_dup(arena, slice_str(project.name));
    return rc;
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
    return 0;
}

struct acl_names config_names(struct s3_call *c)
{
    return (struct acl_names) { .by_id = name_by_id, .by_email = person_by_email, .ctx = c };
}

struct acl_headers config_acl_headers(struct s3_call *c)
{
    return (struct acl_headers) {
        .canned = s3_header(c, "x-amz-acl"), .read = s3_header(c, "x-amz-grant-read"),
        .write = s3_header(c, "x-amz-grant-write"), .read_acp = s3_header(c, "x-amz-grant-read-acp"),
        .write_acp = s3_header(c, "x-amz-grant-write-acp"), .full_control = s3_header(c, "x-amz-grant-full-control"),
    };
}
