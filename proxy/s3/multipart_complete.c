/* proxy/s3/multipart_complete.c - CompleteMultipartUpload: the list of parts becomes an object. */
#include "proxy/s3/docs.h"
#include "proxy/s3/multipart.h"
#include "proxy/s3/object.h"
#include "proxy/s3/receive.h"
#include "proxy/s3/xml.h"

/* 10,000 parts as XML, as a tree, as what the object service is asked, and its table. */
enum { COMPLETION_ARENA_BYTES = XML_ARENA_BYTES + S3_DOCUMENT_MAX + 16 * 1024 * 1024 };

struct completion {
    struct arena            arena;
    bool                    read;        /* The body was read and checked. */
    struct complete_part   *parts;
    uint32_t                count;
    enum checksum_kind      kind;        /* Of the checksums that the client gave; none: it gave none. */
    struct object_condition condition;
    uint8_t                 id[UPLOAD_ID_BYTES];
    uint64_t                size;
    /* What the client says the whole object's checksum is. */
    enum checksum_kind      whole_kind;
    uint8_t                 whole[CHECKSUM_BYTES_MAX];
    uint32_t                whole_parts; /* 0: of the object's bytes; else composite of so many. */
    struct slice            type;        /* x-amz-checksum-type */
};

/* "x-amz-checksum-<kind>": that of the object, known to the client before. */
static int read_whole_checksum(struct s3_call *c, struct completion *m)
{
    for (int kind = CHECKSUM_NONE + 1; kind < CHECKSUM_END_; kind++) {
        char         header[40];
        struct slice text;

        checksum_header((enum checksum_kind)kind, header);
        text = s3_header(c, header);
        if (!text.size)
            continue;
        if (checksum_parse((enum checksum_kind)kind, text, m->whole, &m->whole_parts))
            return s3_errorf(c, S3_BAD_DIGEST, "The value of %s is not a checksum of the object.", header);
        m->whole_kind = (enum checksum_kind)kind;
    }
    m->type = s3_header(c, "x-amz-checksum-type");
    return 0;
}

static int read_size(struct s3_call *c, struct completion *m)
{
    struct slice text = s3_header(c, "x-amz-mp-object-size");

    m->size = UINT64_MAX;
    if (text.size && (!slice_u64(text, &m->size) || m->size > UPLOAD_SIZE_MAX))
        return s3_errorf(c, S3_INVALID_REQUEST, "Value for x-amz-mp-object-size header is invalid.");
    return 0;
}

/* An ETag with or without quotes; one that cannot be an MD5 fits no part. */
static bool etag_parse(struct slice text, uint8_t ret_md5[16])
{
    if (text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"')
        text = slice_of(text.data + 1, text.size - 2);
    if (text.size != 32)
        return false;
    for (size_t i = 0; i < 32; i++) {
        uint8_t d = text.data[i];
        uint8_t nibble = d >= '0' && d <= '9' ? d - '0' : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10 : 255;
        if (nibble == 255)
            return false;
        ret_md5[i / 2] = (uint8_t)(ret_md5[i / 2] << 4 | nibble);
    }
    return true;
}

static int invalid_part(struct s3_call *c, uint32_t number)
{
    s3_extra(c, "UploadId", s3_query(c, "uploadId"));
    s3_extra(c, "PartNumber", slice_str(arena_printf(c->arena, "%u", number)));
    return s3_error(c, S3_INVALID_PART);
}

static int read_part(struct s3_call *c, struct completion *m, const struct docs_part *from, struct complete_part *to)
{
    uint8_t *value;

    to->number = from->number;
    if (!etag_parse(from->etag, to->etag))
        return invalid_part(c, from->number);
    if (from->checksum.size == 0)
        return 0;
    value = arena_alloc(&m->arena, CHECKSUM_BYTES_MAX);
    if (!value)
        return -ENOMEM;
    if (checksum_parse(from->checksum_kind, from->checksum, value, NULL) || (m->kind && m->kind != from->checksum_kind))
        return invalid_part(c, from->number);
    m->kind = from->checksum_kind;
    to->checksum = slice_of(value, checksum_size(m->kind));
    return 0;
}

WAITS static int completion_read(struct s3_call *c, struct completion *m)
{
    struct docs_part *parts;
    struct slice      body;
    int               rc = read_whole_checksum(c, m);

    if (rc == 0)
        rc = read_size(c, m);
    if (rc == 0)
        rc = s3_write_condition(c, &m->condition);
    /* The checksum in the headers is the object's, not the body's: so not by s3_document(). */
    if (rc == 0)
        rc = s3_body_all(c->body, &m->arena, S3_DOCUMENT_MAX, &body, &c->err);
    if (rc == 0)
        rc = docs_complete_parse(&m->arena, body, &parts, &m->count, &c->err);
    if (rc)
        return rc;
    m->parts = arena_array(&m->arena, struct complete_part, m->count);
    if (!m->parts)
        return -ENOMEM;
    for (uint32_t i = 0; i < m->count; i++) {
        if (i > 0 && parts[i].number <= parts[i - 1].number)
            return s3_error(c, S3_INVALID_PART_ORDER);
        rc = read_part(c, m, &parts[i], &m->parts[i]);
        if (rc)
            return rc;
    }
    m->read = true;
    return 0;
}

/* Do the client's checksums fit the way the upload was begun? */
static int check_kinds(struct s3_call *c, struct completion *m, const Rs__ObjectMeta *meta)
{
    if (m->type.size && !slice_equal(m->type, slice_str(checksum_type_name(meta))) && meta->checksum_kind)
        return s3_errorf(c, S3_INVALID_REQUEST, "The upload was created using the %s checksum type. The complete request "
                         "must use the same type.", checksum_type_name(meta));
    if (m->kind && m->kind != meta->checksum_kind)
        return meta->checksum_kind ? invalid_part(c, m->parts[0].number) : 0;
    if (!m->whole_kind || !meta->checksum_kind)
        return 0;
    if (m->whole_kind != meta->checksum_kind)
        return s3_errorf(c, S3_BAD_DIGEST, "The upload has checksums of another kind.");
    /* The count is optional in a composite: "value" and "value-3" are both understood. */
    if (m->whole_parts && (!meta->checksum_composite || m->whole_parts != m->count))
        return s3_errorf(c, S3_BAD_DIGEST, "The checksum of the object does not fit its parts.");
    return 0;
}

WAITS static int complete_failed(struct s3_call *c, struct container *container, const struct completion *m, int rc,
                                 uint32_t wrong)
{
    switch (rc) {
    case -EINVAL:
        return invalid_part(c, wrong);
    case -E_LIMIT:
        s3_extra(c, "PartNumber", slice_str(arena_printf(c->arena, "%u", wrong)));
        s3_extra(c, "MinSizeAllowed", SLICE("5242880"));
        return s3_errorf(c, S3_ENTITY_TOO_SMALL, "A part that is not the last one is smaller than is allowed.");
    case -E_CORRUPT:
        return s3_error(c, S3_BAD_DIGEST);
    case -E_CONDITION:
        return s3_condition_failed(c, container, &m->condition);
    default:
        return upload_code(c, rc);
    }
}

WAITS static int complete_reply(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta)
{
    struct text  xml = { .limit = S3_REPLY_MAX };
    struct slice location = http_quote(c->arena, c->key, "/");
    int          rc;

    xml_begin(&xml, "CompleteMultipartUploadResult");
    xml_open(&xml, "Location");
    text_lit(&xml, "http://");
    xml_escape(&xml, c->rq->host);
    text_lit(&xml, "/");
    if (!c->virtual_host) {
        xml_escape(&xml, c->bucket);
        text_lit(&xml, "/");
    }
    xml_escape(&xml, location);
    xml_close(&xml, "Location");
    xml_leaf(&xml, "Bucket", c->bucket);
    xml_leaf(&xml, "Key", c->key);
    text_lit(&xml, "<ETag>&quot;");
    xml_escape(&xml, s3_etag(c, meta));
    text_lit(&xml, "&quot;</ETag>");
    if (meta->checksum_kind) {
        checksum_element(&xml, meta->checksum_kind, s3_pb(meta->checksum), meta->checksum_composite ? meta->part_count : 0);
        xml_leaf(&xml, "ChecksumType", slice_str(checksum_type_name(meta)));
    }
    xml_close(&xml, "CompleteMultipartUploadResult");
    rc = xml.failed ? -ENOMEM : 0;
    if (rc == 0) {
        s3_begin(c, 200);
        if (!meta->null_version)   /* As after every write: there is no version to name. */
            s3_header_version(c, container, meta);
        s3_reply_encryption(c, meta);
        http_reply_body(c->rq, "application/xml", text_slice(&xml));
    }
    text_done(&xml);
    return rc;
}

WAITS static int complete_in(struct s3_call *c, struct container *container, void *arg)
{
    struct completion      *m = arg;
    struct complete_request request;
    struct upload_row       upload;
    Rs__ObjectMeta         *meta;
    uint32_t                wrong = 0;
    int                     rc = upload_id_parse(c, m->id);

    if (rc == 0 && !m->read)
        rc = completion_read(c, m);
    if (rc)
        return rc;
    /* A completed upload has no row any more; upload_complete() knows it still when it is repeated. */
    rc = upload_read(c->os, container, c->key, m->id, s3_deadline(c), c->arena, &upload, &c->err);
    if (rc == 0)
        rc = check_kinds(c, m, upload.upload->meta);
    if (rc == 0)
        rc = s3_encryption_complete(c, upload.upload->meta);
    if (rc && rc != -ENOENT)
        return rc;
    bool compare = rc == 0 && m->whole_kind && m->whole_kind == upload.upload->meta->checksum_kind;
    /* Checksums that the upload does not keep are not compared with the parts'. */
    if (rc == 0 && m->kind != upload.upload->meta->checksum_kind)
        for (uint32_t i = 0; i < m->count; i++)
            m->parts[i].checksum = SLICE_NONE;
    request = (struct complete_request) {
        .parts = m->parts, .count = m->count, .condition = &m->condition, .size = m->size,
        .checksum = compare ? slice_of(m->whole, checksum_size(m->whole_kind)) : SLICE_NONE,
    };
    rc = upload_complete(c->os, container, c->key, m->id, &request, s3_deadline(c), &m->arena, &meta, &wrong, &c->err);
    if (rc)
        return complete_failed(c, container, m, rc, wrong);
    return complete_reply(c, container, meta);
}

int s3_complete_upload(struct s3_call *c)
{
    struct completion *m = arena_new(c->arena, struct completion);
    int                rc;

    if (!m)
        return -ENOMEM;
    arena_init(&m->arena, COMPLETION_ARENA_BYTES);
    rc = s3_with_bucket(c, complete_in, m);
    arena_done(&m->arena);
    return rc;
}
