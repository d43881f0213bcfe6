/* proxy/s3/post_object.c - POST of an object by an HTML form.
 *
 * The form's fields say what headers say in a PUT. They take the place of the request's headers once the form is
 * proved, so that everything behind works as in PutObject. */
#include <strings.h>

#include "proxy/s3/config.h"
#include "proxy/s3/docs.h"
#include "proxy/s3/object.h"
#include "proxy/s3/postform.h"
#include "proxy/s3/write.h"
#include "proxy/s3/xml.h"

enum { POST_URL_MAX = 2048 };

struct post {
    struct s3_form     form;
    struct s3_auth     auth;
    struct receipt     receipt;
    struct s3_write    write;
};

/* --- The form. --- */

/* Headers that still describe the request, not the object. */
static bool keeps(struct slice name)
{
    static const char *const kept[] = { "Host", "Origin", "Referer", "User-Agent", "X-Forwarded-For" };

    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (name.size == strlen(kept[i]) && strncasecmp((const char *)name.data, kept[i], name.size) == 0)
            return true;
    return false;
}

static int take_fields(struct s3_call *c, const struct s3_form *form)
{
    struct http_request *rq = c->rq;
    struct http_header  *headers = arena_array(c->arena, struct http_header, rq->header_count + form->field_count);
    uint32_t             count = 0;

    if (!headers)
        return -ENOMEM;
    for (uint32_t i = 0; i < form->field_count; i++) {
        headers[count] = form->fields[i];
        if (headers[count].name.size == 3 && strncasecmp((const char *)headers[count].name.data, "acl", 3) == 0)
            headers[count].name = SLICE("x-amz-acl");
        count++;
    }
    for (uint32_t i = 0; i < rq->header_count; i++)
        if (keeps(rq->headers[i].name))
            headers[count++] = rq->headers[i];
    rq->headers = headers;
    rq->header_count = count;
    return 0;
}

/* The tags that it will give are known to the bucket's policy. */
static int form_tags(struct s3_call *c, const struct s3_form *form)
{
    struct slice        tagging = s3_form_field(form, "tagging");
    struct meta_change *tags;
    Rs__MetaItem      **items;
    size_t              count;
    int                 rc;

    if (!tagging.size)
        return 0;
    rc = docs_tagging_parse(c->arena, tagging, TAGS_OBJECT_MAX, &items, &count, &c->err);
    if (rc)
        return rc;
    tags = arena_array(c->arena, struct meta_change, count + 1);
    if (!tags)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        tags[i] = (struct meta_change) { s3_pb(items[i]->name), s3_pb(items[i]->value) };
    c->tags = tags;
    c->tag_count = (uint32_t)count;
    return 0;
}

WAITS static int form_begin(struct s3_call *c, struct post *p)
{
    struct s3_auth_options options = s3_auth_options(c);
    int                    rc = s3_form_open(&p->form, c->rq, &c->err);

    options.bucket = c->bucket;
    if (rc == 0)
        rc = s3_form_fields(&p->form, &c->err);
    if (rc == 0)
        rc = s3_form_authenticate(&p->form, &options, &p->auth, &c->err);
    if (rc == 0 && p->auth.who)
        rc = s3_become(c, p->auth.who);
    if (rc)
        return rc;
    if (p->form.key.size == 0)
        return s3_bad_argument(c, "key", p->form.key, "User key must have a length greater than 0.");
    if (p->form.key.size > S3_KEY_MAX)
        return s3_error(c, S3_KEY_TOO_LONG);
    if (!http_valid_utf8(p->form.key) || memchr(p->form.key.data, 0, p->form.key.size))
        return s3_bad_argument(c, "key", p->form.key, "The key must be valid UTF-8.");
    c->key = p->form.key;
    c->post = true;
    c->signed_s = p->auth.signed_s;
    c->v2 = p->auth.kind == S3_AUTH_V2_POST;
    rc = form_tags(c, &p->form);
    return rc ? rc : take_fields(c, &p->form);
}

/* --- The object. --- */

static int post_prepare(struct s3_write *w)
{
    const struct post *p = w->ctx;
    struct s3_need     tag = { .action = S3_DO_PUT_OBJECT_TAGGING, .bucket = w->c->bucket, .key = w->c->key };
    struct slice       tagging = s3_form_field(&p->form, "tagging");
    int                rc = s3_object_headers(w->c, w->container, &w->meta);

    if (rc == 0 && tagging.size && s3_policy_denies(w->c, w->container, &tag, NULL))
        rc = s3_error(w->c, S3_ACCESS_DENIED);
    if (rc == 0 && tagging.size)
        rc = docs_tagging_parse(w->c->arena, tagging, TAGS_OBJECT_MAX, &w->meta.tags, &w->meta.n_tags, &w->c->err);
    return rc;
}

WAITS static int post_file(struct s3_call *c, struct post *p)
{
    struct object_put *put = p->write.put;
    uint8_t           *to;
    size_t             room, n = 1;
    int                rc = 0;

    while (rc == 0 && n > 0) {
        rc = object_put_room(put, &to, &room, &c->err);
        if (rc == 0)
            rc = s3_form_read(&p->form, to, room, &n, &c->err);
        if (rc == 0 && n > 0)
            rc = object_put_filled(put, n, &c->err);
    }
    if (rc == 0)
        rc = object_put_end(put, &c->err);
    return rc ? rc : receipt_check(c, &p->receipt, put, SLICE_NONE);
}

/* --- The answer. --- */

static struct slice location_of(struct s3_call *c)
{
    struct slice key = http_quote(c->arena, c->key, "/");

    if (c->virtual_host)
        return slice_str(arena_printf(c->arena, "http://%.*s/%.*s", SLICE_ARG(c->rq->host), SLICE_ARG(key)));
    return slice_str(arena_printf(c->arena, "http://%.*s/%.*s/%.*s", SLICE_ARG(c->rq->host), SLICE_ARG(c->bucket),
                                  SLICE_ARG(key)));
}

/* Where the browser is sent afterwards; empty: nowhere. What is no web address is passed over, as AWS does. */
static struct slice redirect_of(struct s3_call *c, const struct post *p)
{
    struct slice url = s3_form_field(&p->form, "success_action_redirect"), bucket, key, etag;
    bool         more;

    if (!url.size)
        url = s3_form_field(&p->form, "redirect");
    if (url.size > POST_URL_MAX || (!slice_starts(url, SLICE("http://")) && !slice_starts(url, SLICE("https://"))))
        return SLICE_NONE;
    for (size_t i = 0; i < url.size; i++)
        if (url.data[i] <= ' ' || url.data[i] >= 127)
            return SLICE_NONE;
    more = memchr(url.data, '?', url.size) != NULL;
    bucket = http_quote(c->arena, c->bucket, "");
    key = http_quote(c->arena, c->key, "");
    etag = s3_etag(c, &p->write.meta);
    return slice_str(arena_printf(c->arena, "%.*s%sbucket=%.*s&key=%.*s&etag=%%22%.*s%%22", SLICE_ARG(url),
                                  more ? "&" : "?", SLICE_ARG(bucket), SLICE_ARG(key), SLICE_ARG(etag)));
}

static void reply_headers(struct s3_call *c, struct post *p, int status, struct slice location)
{
    s3_begin(c, status);
    s3_write_headers(&p->write);
    http_reply_header(c->rq, "Location", location);
}

WAITS static int post_reply(struct s3_call *c, struct post *p)
{
    struct slice status = s3_form_field(&p->form, "success_action_status");
    struct slice redirect = redirect_of(c, p), location = location_of(c);
    struct text  xml = { .limit = S3_REPLY_MAX };
    int          rc;

    if (redirect.size) {
        reply_headers(c, p, 303, redirect);
        http_reply_empty(c->rq);
        return 0;
    }
    if (!slice_equal(status, SLICE("201"))) {
        reply_headers(c, p, slice_equal(status, SLICE("200")) ? 200 : 204, location);
        http_reply_empty(c->rq);
        return 0;
    }
    /* Unlike other answers it has no name space. */
    text_lit(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml_open(&xml, "PostResponse");
    xml_leaf(&xml, "Location", location);
    xml_leaf(&xml, "Bucket", c->bucket);
    xml_leaf(&xml, "Key", c->key);
    text_lit(&xml, "<ETag>&quot;");
    xml_escape(&xml, s3_etag(c, &p->write.meta));
    text_lit(&xml, "&quot;</ETag>");
    xml_close(&xml, "PostResponse");
    rc = xml.failed ? -ENOMEM : 0;
    if (rc == 0) {
        reply_headers(c, p, 201, location);
        http_reply_body(c->rq, "application/xml", text_slice(&xml));
    }
    text_done(&xml);
    return rc;
}

WAITS static int post_run(struct s3_call *c, struct post *p)
{
    int rc = form_begin(c, p);

    if (rc)
        return rc;
    rc = s3_write_open(&p->write, c, post_prepare, p);
    if (rc)
        return rc;
    rc = receipt_read(c, CHECKSUM_NONE, &p->receipt);
    p->write.kind = p->receipt.kind;
    if (rc == 0)
        rc = s3_write_begin(&p->write, UINT64_MAX);
    if (rc == 0)
        rc = post_file(c, p);
    if (rc == 0)
        rc = s3_write_commit(&p->write);
    if (rc == 0)
        rc = post_reply(c, p);
    s3_write_close(&p->write);
    return rc;
}

int s3_post_object(struct s3_call *c)
{
    struct http_header *headers = c->rq->headers;
    uint32_t            count = c->rq->header_count;
    struct post        *p = arena_new(c->arena, struct post);
    int                 rc;

    if (!p)
        return -ENOMEM;
    if (c->auth->kind != S3_AUTH_NONE)   /* Nobody would compare the body with what that signature covers. */
        return s3_errorf(c, S3_INVALID_REQUEST, "A form carries its signature in its fields.");
    rc = post_run(c, p);
    c->rq->headers = headers;   /* For the log. */
    c->rq->header_count = count;
    return rc;
}
