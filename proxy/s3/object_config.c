/* proxy/s3/object_config.c - subresources of objects: tags, retention, legal hold. ACLs are in object_acl.c. */
#include <stdlib.h>

#include "proxy/s3/config.h"
#include "proxy/s3/docs.h"
#include "proxy/s3/object.h"
#include "proxy/s3/xml.h"

enum { OBJECT_DOCUMENT_MAX = 256 * 1024 };

int config_object_read(struct s3_call *c, struct container *container, struct object *ret_object)
{
    struct s3_need need = s3_need(c);
    struct object  object = { 0 };
    int            rc;

    rc = object_read_version(c->os, container, c->key, &c->version, ROW_META, s3_deadline(c), c->arena, &object, &c->err);
    if (rc == -ENOENT)
        return s3_gone(c, container, &need, &c->version, &object);
    if (rc == 0)
        rc = s3_object_allowed(c, container, &need, object.meta);
    if (rc == 0)
        *ret_object = object;
    return rc;
}

/* Asks again whether it is allowed, of the very version that is changed. */
static int edit_checked(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s)
{
    struct config_edit *e = ctx;
    struct s3_need      need = s3_need(e->c);
    int                 rc = s3_object_allowed(e->c, e->container, &need, meta);

    (void)expires_s;
    if (rc == 0)
        rc = e->edit(e, arena, meta);
    e->code = rc > 0 ? rc : 0;
    return rc > 0 ? -E_FORBIDDEN : rc;
}

int config_object_edit(struct s3_call *c, struct container *container, struct config_edit *edit,
                       Rs__ObjectMeta **ret_meta)
{
    struct object object;
    int           rc = config_object_read(c, container, &object);   /* Gives the errors of what is not there. */

    edit->c = c;
    edit->container = container;
    edit->code = 0;
    if (rc == 0)
        rc = object_update_version(c->os, container, c->key, &c->version, edit_checked, edit, s3_deadline(c), c->arena,
                                   ret_meta, &c->err);
    if (rc == -E_FORBIDDEN && edit->code)
        return c->err.code == edit->code ? edit->code : s3_error(c, edit->code);
    return rc;
}

WAITS static int reply_version(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta, int status)
{
    s3_begin(c, status);
    s3_header_version(c, container, meta);
    http_reply_empty(c->rq);
    return 0;
}

WAITS static int reply_document(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta,
                                struct text *xml)
{
    int rc = xml->failed ? -ENOMEM : 0;

    if (rc == 0) {
        s3_begin(c, 200);
        s3_header_version(c, container, meta);
        http_reply_body(c->rq, "application/xml", text_slice(xml));
    }
    text_done(xml);
    return rc;
}

/* --- Tags. --- */

static int compare_tags(const void *a, const void *b)
{
    const Rs__MetaItem *one = *(Rs__MetaItem *const *)a, *two = *(Rs__MetaItem *const *)b;

    return slice_compare(s3_pb(one->name), s3_pb(two->name));
}

WAITS static int get_tagging_in(struct s3_call *c, struct container *container, void *arg)
{
    struct object object;
    struct text   xml = { .limit = S3_REPLY_MAX };
    int           rc = config_object_read(c, container, &object);

    (void)arg;
    if (rc)
        return rc;
    /* The order in which they were given is nobody's business; by name, answers compare. */
    if (object.meta->n_tags)
        qsort(object.meta->tags, object.meta->n_tags, sizeof *object.meta->tags, compare_tags);
    docs_tagging_write(&xml, object.meta->tags, object.meta->n_tags);
    return reply_document(c, container, object.meta, &xml);
}

int s3_get_object_tagging(struct s3_call *c)
{
    return s3_with_bucket(c, get_tagging_in, NULL);
}

struct tagging {
    struct config_edit edit;
    struct config_body body;
    Rs__MetaItem     **tags;
    size_t             count;
};

static int edit_tags(struct config_edit *edit, struct arena *arena, Rs__ObjectMeta *meta)
{
    const struct tagging *t = (const struct tagging *)edit;

    (void)arena;
    meta->tags = t->tags;
    meta->n_tags = t->count;
    return 0;
}

WAITS static int put_tagging_in(struct s3_call *c, struct container *container, void *arg)
{
    struct tagging *t = arg;
    Rs__ObjectMeta *meta;
    int             rc = config_body(c, &t->body, OBJECT_DOCUMENT_MAX);

    if (rc == 0)
        rc = docs_tagging_parse(c->arena, t->body.bytes, TAGS_OBJECT_MAX, &t->tags, &t->count, &c->err);
    if (rc == 0)
        rc = config_object_edit(c, container, &t->edit, &meta);
    return rc ? rc : reply_version(c, container, meta, 200);
}

int s3_put_object_tagging(struct s3_call *c)
{
    struct tagging t = { .edit.edit = edit_tags };

    return s3_with_bucket(c, put_tagging_in, &t);
}

WAITS static int delete_tagging_in(struct s3_call *c, struct container *container, void *arg)
{
    Rs__ObjectMeta *meta;
    int             rc = config_object_edit(c, container, arg, &meta);

    return rc ? rc : reply_version(c, container, meta, 204);
}

int s3_delete_object_tagging(struct s3_call *c)
{
    struct tagging t = { .edit.edit = edit_tags };

    return s3_with_bucket(c, delete_tagging_in, &t.edit);
}

/* --- Retention. --- */

static int lock_needed(struct s3_call *c, const struct container *container)
{
    return container->config->lock ? 0 : s3_errorf(c, S3_INVALID_REQUEST, "Bucket is missing Object Lock Configuration");
}

static uint64_t wall_us(const struct s3_call *c)
{
    return (uint64_t)(env_wall(c->rq->env) / NS_PER_US);
}

WAITS static int get_retention_in(struct s3_call *c, struct container *container, void *arg)
{
    struct object object;
    struct text   xml = { .limit = S3_REPLY_MAX };
    int           rc = lock_needed(c, container);

    (void)arg;
    if (rc == 0)
        rc = config_object_read(c, container, &object);
    if (rc)
        return rc;
    if (object.meta->lock_mode == LOCK_NONE)
        return s3_error(c, S3_NO_SUCH_OBJECT_LOCK_CONFIGURATION);
    docs_retention_write(&xml, (enum object_lock_mode)object.meta->lock_mode, object.meta->retain_until_us);
    return reply_document(c, container, object.meta, &xml);
}

int s3_get_object_retention(struct s3_call *c)
{
    return s3_with_bucket(c, get_retention_in, NULL);
}

struct retention {
    struct config_edit    edit;
    struct config_body    body;
    enum object_lock_mode mode;          /* LOCK_NONE: to be removed. */
    uint64_t              until_us;
    bool                  bypass;        /* Asked for, and allowed. */
};

/* What is held may be held longer. Anything less needs the bypass, and of COMPLIANCE there is none. */
static int edit_retention(struct config_edit *edit, struct arena *arena, Rs__ObjectMeta *meta)
{
    const struct retention *r = (const struct retention *)edit;
    bool held = meta->lock_mode != LOCK_NONE && meta->retain_until_us > wall_us(edit->c);
    bool less = r->mode != meta->lock_mode || r->until_us < meta->retain_until_us;

    (void)arena;
    if (held && less && (meta->lock_mode == LOCK_COMPLIANCE || !r->bypass))
        return s3_errorf(edit->c, S3_ACCESS_DENIED, "Access Denied because object protected by object lock.");
    meta->lock_mode = r->mode;
    meta->retain_until_us = r->until_us;
    return 0;
}

/* Whether the request may pass over governance: it must say so, and be allowed to. */
static bool bypasses(struct s3_call *c, const struct container *container)
{
    struct s3_need need = { .action = S3_DO_BYPASS_GOVERNANCE_RETENTION, .bucket = c->bucket, .key = c->key };
    struct slice   header = s3_header(c, "x-amz-bypass-governance-retention");
    bool           asked = false;

    return xml_bool(header, &asked) && asked && s3_may(c, container, &need, NULL);
}

WAITS static int put_retention_in(struct s3_call *c, struct container *container, void *arg)
{
    struct retention *r = arg;
    Rs__ObjectMeta   *meta;
    int               rc = lock_needed(c, container);

    if (rc == 0)
        rc = config_body(c, &r->body, OBJECT_DOCUMENT_MAX);
    if (rc == 0)
        rc = docs_retention_parse(c->arena, r->body.bytes, &r->mode, &r->until_us, &c->err);
    if (rc == 0 && r->mode != LOCK_NONE && r->until_us <= wall_us(c))
        rc = s3_errorf(c, S3_INVALID_ARGUMENT, "The retain until date must be in the future!");
    if (rc)
        return rc;
    r->bypass = bypasses(c, container);
    rc = config_object_edit(c, container, &r->edit, &meta);
    return rc ? rc : reply_version(c, container, meta, 200);
}

int s3_put_object_retention(struct s3_call *c)
{
    struct retention r = { .edit.edit = edit_retention };

    return s3_with_bucket(c, put_retention_in, &r);
}

/* --- Legal hold. --- */

WAITS static int get_hold_in(struct s3_call *c, struct container *container, void *arg)
{
    struct object object;
    struct text   xml = { .limit = S3_REPLY_MAX };
    int           rc = lock_needed(c, container);

    (void)arg;
    if (rc == 0)
        rc = config_object_read(c, container, &object);
    if (rc)
        return rc;
    docs_legal_hold_write(&xml, object.meta->legal_hold);
    return reply_document(c, container, object.meta, &xml);
}

int s3_get_object_legal_hold(struct s3_call *c)
{
    return s3_with_bucket(c, get_hold_in, NULL);
}

struct hold {
    struct config_edit edit;
    struct config_body body;
    bool               on;
};

static int edit_hold(struct config_edit *edit, struct arena *arena, Rs__ObjectMeta *meta)
{
    (void)arena;
    meta->legal_hold = ((const struct hold *)edit)->on;
    return 0;
}

WAITS static int put_hold_in(struct s3_call *c, struct container *container, void *arg)
{
    struct hold    *h = arg;
    Rs__ObjectMeta *meta;
    int             rc = lock_needed(c, container);

    if (rc == 0)
        rc = config_body(c, &h->body, OBJECT_DOCUMENT_MAX);
    if (rc == 0)
        rc = docs_legal_hold_parse(c->arena, h->body.bytes, &h->on, &c->err);
    if (rc == 0)
        rc = config_object_edit(c, container, &h->edit, &meta);
    return rc ? rc : reply_version(c, container, meta, 200);
}

int s3_put_object_legal_hold(struct s3_call *c)
{
    struct hold h = { .edit.edit = edit_hold };

    return s3_with_bucket(c, put_hold_in, &h);
}
