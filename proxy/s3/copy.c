/* proxy/s3/copy.c - CopyObject, and the header that names the source of copies.
 *
 * A copy rewrites the bytes: every blob is named by one row. */
#include "proxy/s3/large.h"
#include "proxy/s3/write.h"
#include "proxy/s3/xml.h"

/* --- The source. --- */

int s3_copy_source(struct s3_call *c, struct s3_copy_from *ret_from)
{
    struct slice        text = s3_header(c, "x-amz-copy-source"), version = SLICE_NONE;
    struct s3_copy_from from = { 0 };
    const uint8_t      *mark, *slash;

    if (text.size && text.data[0] == '/')
        text = slice_from(text, 1);
    mark = text.size ? memmem(text.data, text.size, "?versionId=", 11) : NULL;
    if (mark) {
        size_t at = (size_t)(mark - text.data);
        version = slice_from(text, at + 11);
        text.size = at;
    }
    if (http_unquote(c->arena, text, false, &text) || http_unquote(c->arena, version, false, &version))
        return s3_bad_argument(c, "x-amz-copy-source", s3_header(c, "x-amz-copy-source"),
                               "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
    slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    if (!slash || slash == text.data || (size_t)(slash - text.data) == text.size - 1 || memchr(text.data, 0, text.size))
        return s3_bad_argument(c, "x-amz-copy-source", s3_header(c, "x-amz-copy-source"),
                               "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
    from.bucket = slice_of(text.data, (size_t)(slash - text.data));
    from.key = slice_from(text, from.bucket.size + 1);
    if (from.key.size > S3_KEY_MAX)
        return s3_error(c, S3_KEY_TOO_LONG);
    if (mark && version_parse(version, &from.version))
        return s3_bad_argument(c, "x-amz-copy-source", s3_header(c, "x-amz-copy-source"), "Invalid version id specified");
    *ret_from = from;
    return 0;
}

/* --- CopyObject. --- */

struct copy {
    struct s3_copy_from from;
    struct s3_copied    source;
    bool                replace_meta, replace_tags;
    enum checksum_kind  kind;
};

static int directive(struct s3_call *c, const char *header, bool *ret_replace)
{
    struct slice text = s3_header(c, header);

    *ret_replace = slice_equal(text, SLICE("REPLACE"));
    if (!text.data || *ret_replace || slice_equal(text, SLICE("COPY")))
        return 0;
    return s3_bad_argument(c, header, text, "Unknown directive.");
}

static int copy_parse(struct s3_call *c, struct copy *copy)
{
    struct slice algorithm = s3_header(c, "x-amz-checksum-algorithm");
    int          rc = s3_copy_source(c, &copy->from);

    if (rc == 0)
        rc = directive(c, "x-amz-metadata-directive", &copy->replace_meta);
    if (rc == 0)
        rc = directive(c, "x-amz-tagging-directive", &copy->replace_tags);
    if (rc == 0 && algorithm.size && (copy->kind = checksum_kind_of(algorithm)) == CHECKSUM_NONE)
        rc = s3_errorf(c, S3_INVALID_REQUEST, "Checksum algorithm provided is unsupported.");
    return rc;
}

/* What the bytes of a dynamic manifest stand for is copied, so the copy is none. */
static int copy_headers(struct s3_write *w, const Rs__ObjectMeta *old)
{
    w->meta.n_headers = 0;
    w->meta.headers = arena_array(w->c->arena, Rs__MetaItem *, old->n_headers + 1);
    if (!w->meta.headers)
        return -ENOMEM;
    for (size_t i = 0; i < old->n_headers; i++)
        if (!slice_equal(s3_pb(old->headers[i]->name), SLICE("x-object-manifest")))
            w->meta.headers[w->meta.n_headers++] = old->headers[i];
    return 0;
}

/* The metadata of the copy. Class, ACL and lock never come from the source. */
static int copy_prepare(struct s3_write *w)
{
    const struct copy    *copy = w->ctx;
    const Rs__ObjectMeta *old = copy->source.object.meta;
    int                   rc = s3_object_headers(w->c, w->container, &w->meta);

    if (rc)
        return rc;
    if (!old)
        return 0;   /* Not read yet: only checked. */
    if (!copy->replace_meta) {
        w->meta.content_type = old->content_type;
        w->meta.meta = old->meta;
        w->meta.n_meta = old->n_meta;
        rc = copy_headers(w, old);
    }
    if (!copy->replace_tags) {
        w->meta.tags = old->tags;
        w->meta.n_tags = old->n_tags;
    }
    return rc;
}

static int check_self(struct s3_write *w, const struct copy *copy)
{
    struct s3_call *c = w->c;

    if (!slice_equal(copy->from.bucket, c->bucket) || !slice_equal(copy->from.key, c->key) || copy->from.version.given ||
        copy->replace_meta || s3_header(c, "x-amz-storage-class").size ||
        s3_header(c, "x-amz-website-redirect-location").size || s3_header(c, "x-amz-server-side-encryption").size ||
        s3_header(c, "x-amz-server-side-encryption-customer-algorithm").size)
        return 0;
    return s3_errorf(c, S3_INVALID_REQUEST, "This copy request is illegal because it is trying to copy an object to "
                     "itself without changing the object's metadata, storage class, website redirect location or "
                     "encryption attributes.");
}

void s3_copy_result(struct s3_call *c, struct text *xml, const char *root, const Rs__ObjectMeta *meta)
{
    char        text[CHECKSUM_TEXT_MAX], element[32] = "Checksum";
    const char *kind = checksum_name((enum checksum_kind)meta->checksum_kind);

    xml_begin(xml, root);
    xml_leaf_time(xml, "LastModified", meta->modified_us);
    text_lit(xml, "<ETag>&quot;");
    xml_escape(xml, s3_etag(c, meta));
    text_lit(xml, "&quot;</ETag>");
    if (kind && meta->checksum.len) {
        memcpy(element + 8, kind, strlen(kind) + 1);
        checksum_text(text, s3_pb(meta->checksum), 0);
        xml_leaf(xml, element, slice_str(text));
        xml_leaf(xml, "ChecksumType", SLICE("FULL_OBJECT"));
    }
    xml_close(xml, root);
}

WAITS static int copy_reply(struct s3_write *w, const struct copy *copy)
{
    struct s3_call *c = w->c;
    struct text     xml = { .limit = S3_REPLY_MAX };
    char            version[VERSION_TEXT_MAX + 1];
    int             rc;

    s3_copy_result(c, &xml, "CopyObjectResult", &w->meta);
    if (xml.failed) {
        text_done(&xml);
        return -ENOMEM;
    }
    s3_begin(c, 200);
    s3_header_version(c, w->container, &w->meta);
    if (copy->source.container->config->versioning != VERSIONING_OFF)
        http_reply_header(c->rq, "x-amz-copy-source-version-id", version_text(copy->source.object.meta, version));
    s3_reply_encryption(c, &w->meta);
    s3_reply_expiration(c, w->container, &w->meta, object_put_size(w->put));
    rc = http_reply_body(c->rq, "application/xml", text_slice(&xml));
    text_done(&xml);
    (void)rc;   /* The client is gone: the copy is there all the same. */
    return 0;
}

WAITS static int copy_run(struct s3_write *w, struct copy *copy)
{
    struct s3_call *c = w->c;
    uint64_t        size;
    int             rc = s3_copied_open(c, &copy->from, &copy->source);

    if (rc)
        return rc;
    size = copy->source.content.size;
    if (size > OBJECT_SIZE_MAX)
        return s3_errorf(c, S3_INVALID_REQUEST, "The specified copy source is larger than the maximum allowable size for "
                         "a copy source: 5368709120");
    w->kind = copy->kind ? copy->kind : (enum checksum_kind)copy->source.object.meta->checksum_kind;
    rc = check_self(w, copy);
    if (rc == 0)
        rc = copy_prepare(w);
    if (rc == 0)
        rc = s3_write_begin(w, size);
    if (rc == 0)
        rc = s3_content_copy(&copy->source.content, 0, size, w->put);
    if (rc == 0)
        rc = s3_write_commit(w);
    return rc ? rc : copy_reply(w, copy);
}

int s3_copy_object(struct s3_call *c)
{
    struct s3_write *w = arena_new(c->arena, struct s3_write);
    struct copy     *copy = arena_new(c->arena, struct copy);
    int              rc;

    if (!w || !copy)
        return -ENOMEM;
    rc = copy_parse(c, copy);
    if (rc == 0)
        rc = s3_write_open(w, c, copy_prepare, copy);
    if (rc)
        return rc;
    rc = copy_run(w, copy);
    s3_copied_done(&copy->source);
    s3_write_close(w);
    return rc;
}
