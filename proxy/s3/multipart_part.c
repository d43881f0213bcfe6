/* proxy/s3/multipart_part.c - UploadPart and UploadPartCopy. */
#include "proxy/s3/large.h"
#include "proxy/s3/multipart.h"
#include "proxy/s3/receive.h"
#include "proxy/s3/xml.h"

/* A part on its way. Its bytes are sent once; what may be repeated after -E_STALE is the commit. */
struct part_put {
    uint8_t            id[UPLOAD_ID_BYTES];
    uint32_t           number;
    struct upload_row  upload;
    struct container  *first;       /* The put's; referenced. */
    struct object_put *put;
    bool               ended;
    Rs__Part           part;
    enum checksum_kind kind;        /* Of the part's checksum. */
};

WAITS WAITS static void part_done(struct part_put *p)
{
    p->put = object_put_free(p->put);
    p->first = container_unref(p->first);
}

WAITS static int part_begin(struct s3_call *c, struct container *container, struct part_put *p)
{
    uint64_t number = 0;
    int      rc = 0;

    if (!slice_u64(s3_query(c, "partNumber"), &number) || number < 1 || number > PART_NUMBER_MAX)
        return s3_bad_argument(c, "partNumber", s3_query(c, "partNumber"),
                               "Part number must be an integer between 1 and 10000, inclusive");
    p->number = (uint32_t)number;
    rc = upload_id_parse(c, p->id);
    if (rc == 0)
        rc = upload_code(c, upload_read(c->os, container, c->key, p->id, s3_deadline(c), c->arena, &p->upload, &c->err));
    return rc;
}

WAITS static int part_open(struct s3_call *c, struct container *container, struct part_put *p, uint64_t size)
{
    int rc;

    part_done(p);   /* Of an attempt whose source changed half-way. */
    rc = upload_put_new(c->os, container, &p->upload, p->number, size, s3_body_deadline(c), c->arena, &p->put, &c->err);
    if (rc)
        return upload_code(c, rc);
    p->first = container_ref(container);
    return s3_encryption_part(c, p->upload.upload->meta, p->put);
}

/* After the bytes: the record of the part. Again with another container after -E_STALE. */
WAITS static int part_commit(struct s3_call *c, struct container *container, struct part_put *p)
{
    struct slice checksum = object_put_checksum_value(p->put);
    int          rc;

    if (!p->ended) {
        rs__part__init(&p->part);
        p->part.etag = s3_pb_of(slice_of(object_put_md5(p->put), 16));
        p->part.size = object_put_size(p->put);
        p->part.checksum_kind = checksum.size ? p->kind : CHECKSUM_NONE;
        p->part.checksum = s3_pb_of(checksum);
        p->ended = true;
    }
    rc = upload_put_commit(p->put, container, &p->part, s3_deadline(c), &c->err);
    return upload_code(c, rc);
}

static void part_etag(const Rs__Part *part, char quoted[36])
{
    quoted[0] = '"';
    for (size_t i = 0; i < 16 && i < part->etag.len; i++) {
        quoted[1 + i * 2] = "0123456789abcdef"[part->etag.data[i] >> 4];
        quoted[2 + i * 2] = "0123456789abcdef"[part->etag.data[i] & 15];
    }
    quoted[33] = '"';
    quoted[34] = 0;
}

/* --- UploadPart. --- */

WAITS static int upload_part_bytes(struct s3_call *c, struct container *container, struct part_put *p)
{
    struct receipt receipt;
    uint64_t       size = s3_body_size(c->body);
    int            rc = part_begin(c, container, p);

    if (rc)
        return rc;
    if (size == UINT64_MAX && !c->rq->chunked)
        return s3_error(c, S3_MISSING_CONTENT_LENGTH);
    if (size != UINT64_MAX && size > OBJECT_SIZE_MAX)
        return s3_error(c, S3_ENTITY_TOO_LARGE);
    rc = receipt_read(c, (enum checksum_kind)p->upload.upload->meta->checksum_kind, &receipt);
    if (rc == 0)
        rc = part_open(c, container, p, size);
    if (rc)
        return rc;
    p->kind = receipt.kind;
    return receive_body(c, &receipt, p->put);
}

WAITS static int upload_part_in(struct s3_call *c, struct container *container, void *arg)
{
    struct part_put *p = arg;
    char             etag[36];
    int              rc = 0;

    if (!p->ended)
        rc = upload_part_bytes(c, container, p);
    if (rc == 0)
        rc = part_commit(c, container, p);
    if (rc)
        return rc;
    part_etag(&p->part, etag);
    s3_begin(c, 200);
    http_reply_header(c->rq, "ETag", slice_str(etag));
    if (p->part.checksum_kind) {
        char text[CHECKSUM_TEXT_MAX], header[40];
        checksum_text(text, s3_pb(p->part.checksum), 0);
        checksum_header((enum checksum_kind)p->part.checksum_kind, header);
        http_reply_header(c->rq, header, slice_str(text));
    }
    s3_reply_encryption(c, p->upload.upload->meta);
    http_reply_empty(c->rq);
    return 0;
}

int s3_upload_part(struct s3_call *c)
{
    struct part_put p = { .number = 0 };
    int             rc = s3_with_bucket(c, upload_part_in, &p);

    part_done(&p);
    return rc;
}

/* --- UploadPartCopy. --- */

struct part_copy {
    struct part_put  part;
    struct s3_copy_from source;
};

/* "bytes=first-last", both given. */
static int copy_range(struct s3_call *c, uint64_t size, uint64_t *ret_first, uint64_t *ret_size)
{
    struct slice   text = s3_header(c, "x-amz-copy-source-range"), rest = text;
    const uint8_t *dash;
    uint64_t       first, last;

    if (!text.data) {
        *ret_first = 0;
        *ret_size = size;
        return 0;
    }
    if (slice_starts(rest, SLICE("bytes=")))
        rest = slice_from(rest, 6);
    else
        rest = SLICE_NONE;
    dash = rest.size ? memchr(rest.data, '-', rest.size) : NULL;
    if (!dash || !slice_u64(slice_of(rest.data, (size_t)(dash - rest.data)), &first) ||
        !slice_u64(slice_from(rest, (size_t)(dash - rest.data) + 1), &last) || first > last)
        return s3_bad_argument(c, "x-amz-copy-source-range", text,
                               "The x-amz-copy-source-range value must be of the form bytes=first-last where first and "
                               "last are the zero-based offsets of the first and last bytes to copy");
    if (last >= size)
        return s3_errorf(c, S3_INVALID_RANGE, "Range specified is not valid for source object of size: %llu",
                         (unsigned long long)size);
    *ret_first = first;
    *ret_size = last - first + 1;
    return 0;
}

WAITS static int copy_bytes(struct s3_call *c, struct part_put *p, struct s3_content *from, uint64_t first, uint64_t size)
{
    int rc = 0;

    p->kind = (enum checksum_kind)p->upload.upload->meta->checksum_kind;
    if (p->kind)
        rc = object_put_checksum(p->put, p->kind, &c->err);
    return rc ? rc : s3_content_copy(from, first, size, p->put);
}

WAITS static int copy_from(struct s3_call *c, struct container *container, struct part_copy *p, struct s3_copied *from)
{
    uint64_t first = 0, size = 0;
    char    *version;
    int      rc = copy_range(c, from->content.size, &first, &size);

    if (rc == 0 && size > OBJECT_SIZE_MAX)
        rc = s3_errorf(c, S3_INVALID_REQUEST, "The specified copy source is larger than the maximum allowable size for a "
                       "copy source: 5368709120");
    if (rc == 0)
        rc = part_open(c, container, &p->part, size);
    if (rc == 0)
        rc = copy_bytes(c, &p->part, &from->content, first, size);
    if (rc == 0 && from->container->config->versioning != VERSIONING_OFF &&
        (version = arena_alloc(c->arena, VERSION_TEXT_MAX + 1)) != NULL)
        s3_add_header(c, "x-amz-copy-source-version-id", version_text(from->object.meta, version));
    return rc;
}

WAITS static int copy_part_bytes(struct s3_call *c, struct container *container, struct part_copy *p)
{
    struct s3_copied from;
    int              rc = part_begin(c, container, &p->part);

    if (rc == 0)
        rc = s3_copy_source(c, &p->source);
    if (rc == 0)
        rc = s3_copied_open(c, &p->source, &from);
    if (rc)
        return rc;
    rc = copy_from(c, container, p, &from);
    s3_copied_done(&from);
    return rc;
}

WAITS static int copy_part_in(struct s3_call *c, struct container *container, void *arg)
{
    struct part_copy *p = arg;
    struct text       xml = { .limit = S3_REPLY_MAX };
    char              etag[36];
    int               rc = 0;

    if (!p->part.ended)
        rc = copy_part_bytes(c, container, p);
    if (rc == 0)
        rc = part_commit(c, container, &p->part);
    if (rc)
        return rc;
    part_etag(&p->part.part, etag);
    xml_begin(&xml, "CopyPartResult");
    xml_leaf_time(&xml, "LastModified", p->part.part.modified_us);
    xml_leaf(&xml, "ETag", slice_str(etag));
    checksum_element(&xml, p->part.part.checksum_kind, s3_pb(p->part.part.checksum), 0);
    xml_close(&xml, "CopyPartResult");
    rc = xml.failed ? -ENOMEM : 0;
    if (rc == 0) {
        s3_begin(c, 200);
        s3_reply_encryption(c, p->part.upload.upload->meta);
        http_reply_body(c->rq, "application/xml", text_slice(&xml));
    }
    text_done(&xml);
    return rc;
}

int s3_upload_part_copy(struct s3_call *c)
{
    struct part_copy p = { .part.number = 0 };
    int              rc = s3_with_bucket(c, copy_part_in, &p);

    part_done(&p.part);
    return rc;
}
