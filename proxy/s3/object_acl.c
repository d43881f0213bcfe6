/* proxy/s3/object_acl.c - the ACL of an object. */
#include "proxy/s3/config.h"
#include "proxy/s3/object.h"
#include "proxy/s3/xml.h"

enum { ACL_DOCUMENT_MAX = 256 * 1024 };

WAITS static int get_acl_in(struct s3_call *c, struct container *container, void *arg)
{
    struct object  object;
    const Rs__Acl *acl;
    struct text    xml = { .limit = S3_REPLY_MAX };
    int            rc = config_object_read(c, container, &object);

    (void)arg;
    if (rc)
        return rc;
    acl = s3_object_acl(c, container, object.meta);
    if (!acl)
        return -ENOMEM;
    s3_acl_write(&xml, acl);
    rc = xml.failed ? -ENOMEM : 0;
    if (rc == 0) {
        s3_begin(c, 200);
        s3_header_version(c, container, object.meta);
        http_reply_body(c->rq, "application/xml", text_slice(&xml));
    }
    text_done(&xml);
    return rc;
}

int s3_get_object_acl(struct s3_call *c)
{
    return s3_with_bucket(c, get_acl_in, NULL);
}

struct acl_put {
    struct config_edit edit;
    struct config_body body;
    struct slice       owner;   /* Of the object that 'acl' was made for: empty, the bucket's. */
    Rs__Acl           *acl;
};

static int edit_acl(struct config_edit *edit, struct arena *arena, Rs__ObjectMeta *meta)
{
    const struct acl_put *p = (const struct acl_put *)edit;

    (void)arena;
    if (!slice_equal(s3_pb(meta->owner), p->owner))   /* Another object by now. */
        return s3_error(edit->c, S3_OPERATION_ABORTED);
    meta->acl = p->acl;
    return 0;
}

WAITS static int put_acl_in(struct s3_call *c, struct container *container, void *arg)
{
    struct acl_put   *p = arg;
    struct object     object;
    Rs__ObjectMeta   *meta;
    struct acl_person owner;
    int               rc = config_body(c, &p->body, ACL_DOCUMENT_MAX);

    if (rc == 0)
        rc = config_object_read(c, container, &object);
    if (rc)
        return rc;
    p->owner = arena_dup(c->arena, s3_pb(object.meta->owner));
    owner = s3_person(c, p->owner.size && s3_bucket_ownership(container) != OWNERSHIP_BUCKET_OWNER_ENFORCED
                             ? p->owner : s3_project_of(container));
    rc = config_new_acl(c, container, p->body.bytes, false, &owner, &p->acl);
    if (rc == 0)
        rc = config_object_edit(c, container, &p->edit, &meta);
    if (rc)
        return rc;
    s3_begin(c, 200);
    s3_header_version(c, container, meta);
    http_reply_empty(c->rq);
    return 0;
}

int s3_put_object_acl(struct s3_call *c)
{
    struct acl_put p = { .edit.edit = edit_acl };

    return s3_with_bucket(c, put_acl_in, &p);
}
