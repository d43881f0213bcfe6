/* proxy/s3/multipart.c - multipart uploads: begin, list, complete, abort. Parts are sent in multipart_part.c. */
#include "proxy/object/checksum.h"
#include "proxy/s3/compiled.h"
#include "proxy/s3/multipart.h"
#include "proxy/s3/object.h"
#include "proxy/s3/xml.h"

/* --- What the calls share. --- */

int upload_id_parse(struct s3_call *c, uint8_t ret_id[UPLOAD_ID_BYTES])
{
    struct slice text = s3_query(c, "uploadId");
    uint8_t      id[UPLOAD_ID_BYTES] = { 0 };

    if (text.size != sizeof id * 2)
        return s3_error(c, S3_NO_SUCH_UPLOAD);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t d = text.data[i];
        uint8_t nibble = d >= '0' && d <= '9' ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : 255;
        if (nibble == 255)
            return s3_error(c, S3_NO_SUCH_UPLOAD);
        id[i / 2] = (uint8_t)(id[i / 2] << 4 | nibble);
    }
    memcpy(ret_id, id, sizeof id);
    return 0;
}

static struct slice hex_of(struct arena *arena, const uint8_t *bytes, size_t size)
{
    char *text = arena_alloc(arena, size * 2 + 1);

    for (size_t i = 0; text && i < size; i++) {
        text[i * 2] = "0123456789abcdef"[bytes[i] >> 4];
        text[i * 2 + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    return slice_of(text, text ? size * 2 : 0);
}

/* -ENOENT of the object service is NoSuchUpload here. */
int upload_code(struct s3_call *c, int rc)
{
    return rc == -ENOENT ? s3_error(c, S3_NO_SUCH_UPLOAD) : rc;
}

const char *checksum_type_name(const Rs__ObjectMeta *meta)
{
    return meta->checksum_composite ? "COMPOSITE" : "FULL_OBJECT";
}

void checksum_element(struct text *xml, uint32_t kind, struct slice value, uint32_t parts)
{
    char        text[CHECKSUM_TEXT_MAX], element[32] = "Checksum";
    const char *name = checksum_name((enum checksum_kind)kind);

    if (!name || value.size == 0)
        return;
    checksum_text(text, value, parts);
    memcpy(element + 8, name, strlen(name) + 1);
    xml_leaf(xml, element, slice_str(text));
}

/* A canonical id and the project's name. */
static void person(struct s3_call *c, struct text *xml, const char *element, struct slice id, struct slice name)
{
    struct identity_project project;

    if (name.size == 0 && identity_project(c->s3->identity, id, &project) == 0)
        name = slice_str(project.name);
    xml_open(xml, element);
    xml_leaf(xml, "ID", id);
    xml_leaf(xml, "DisplayName", name);
    xml_close(xml, element);
}

/* The owner of what the upload will make: who began it, unless the bucket owns all that is in it. */
static void upload_people(struct s3_call *c, struct text *xml, const struct container *container,
                          const Rs__Upload *upload)
{
    struct slice initiator = s3_pb(upload->initiator), owner = s3_pb(upload->meta->owner);

    if (owner.size == 0)
        owner = s3_project_of(container);
    if (initiator.size == 0)
        initiator = owner;
    person(c, xml, "Initiator", initiator, s3_pb(upload->initiator_name));
    person(c, xml, "Owner", owner, SLICE_NONE);
}

static struct slice storage_class_of(const Rs__ObjectMeta *meta)
{
    return meta->storage_class.len ? s3_pb(meta->storage_class) : SLICE("STANDARD");
}

static void upload_checksum_elements(struct text *xml, const Rs__ObjectMeta *meta)
{
    const char *name = checksum_name((enum checksum_kind)meta->checksum_kind);

    if (!name)
        return;
    xml_leaf(xml, "ChecksumAlgorithm", slice_str(name));
    xml_leaf(xml, "ChecksumType", slice_str(checksum_type_name(meta)));
}

/* A number in the query, 'absent' when it is not there; past 'max' it is 'max'. */
static int query_number(struct s3_call *c, const char *name, uint64_t absent, uint64_t max, uint64_t *ret)
{
    struct slice text = s3_query(c, name);
    uint64_t     n;

    if (!text.size) {
        *ret = absent;
        return 0;
    }
    if (!slice_u64(text, &n) || n > INT32_MAX)
        return s3_bad_argument(c, name, text, "It must be a number between 0 and 2147483647.");
    *ret = n < max ? n : max;
    return 0;
}

WAITS static int reply_text(struct s3_call *c, struct text *xml)
{
    int rc = s3_reply_xml(c, 200, xml);

    text_done(xml);
    return rc;
}

/* --- CreateMultipartUpload. --- */

static int checksum_choice(struct s3_call *c, Rs__ObjectMeta *meta)
{
    struct slice       name = s3_header(c, "x-amz-checksum-algorithm"), type = s3_header(c, "x-amz-checksum-type");
    enum checksum_kind kind = CHECKSUM_NONE;
    bool               composite;

    if (!name.size)
        return type.size ? s3_errorf(c, S3_INVALID_REQUEST, "x-amz-checksum-type needs x-amz-checksum-algorithm.") : 0;
    kind = checksum_kind_of(name);
    if (kind == CHECKSUM_NONE)
        return s3_errorf(c, S3_INVALID_REQUEST, "Checksum algorithm provided is unsupported. Please try again with any of "
                         "the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    if (!type.size)
        composite = kind != CHECKSUM_CRC64NVME;
    else if (slice_equal(type, SLICE("COMPOSITE")))
        composite = true;
    else if (slice_equal(type, SLICE("FULL_OBJECT")))
        composite = false;
    else
        return s3_errorf(c, S3_INVALID_REQUEST, "Value for x-amz-checksum-type header is invalid.");
    if (composite ? kind == CHECKSUM_CRC64NVME : !checksum_is_crc(kind))
        return s3_errorf(c, S3_INVALID_REQUEST, "The %s checksum type cannot be used with the %s checksum algorithm.",
                         composite ? "COMPOSITE" : "FULL_OBJECT", checksum_name(kind));
    meta->checksum_kind = kind;
    meta->checksum_composite = composite;
    return 0;
}

/* When the bucket's rules will abort it; a hint, so trouble with the rules is passed over. */
static void abort_headers(struct s3_call *c, const struct container *container)
{
    struct slice             document = container_document(container, S3_DOC_LIFECYCLE);
    struct lifecycle_subject subject = { .kind = LIFECYCLE_UPLOAD, .name = c->key,
                                         .since_us = (uint64_t)(env_wall(c->rq->env) / NS_PER_US) };
    struct lifecycle_due     due;
    const struct lifecycle  *lifecycle;

    if (!document.size)
        return;
    if (compiled_lifecycle(c->s3->compiled, document, &lifecycle, NULL) == 0 &&
        lifecycle_abort(lifecycle, &subject, LIFECYCLE_DAY_S, &due)) {
        s3_header_date(c, "x-amz-abort-date", due.at_us);
        http_reply_header(c->rq, "x-amz-abort-rule-id", due.rule->id);
    }
}

WAITS static int create_in(struct s3_call *c, struct container *container, void *arg)
{
    Rs__ObjectMeta *meta = arena_new(c->arena, Rs__ObjectMeta);
    Rs__Upload      upload = RS__UPLOAD__INIT;
    uint8_t         id[UPLOAD_ID_BYTES];
    struct text     xml = { .limit = S3_REPLY_MAX };
    int             rc;

    (void)arg;
    if (!meta)
        return -ENOMEM;
    rs__object_meta__init(meta);
    rc = s3_object_headers(c, container, meta);
    if (rc == 0)
        rc = checksum_choice(c, meta);
    if (rc == 0)
        rc = s3_encryption_upload(c, meta);
    if (rc)
        return rc;
    upload.meta = meta;
    if (c->who) {
        upload.initiator = s3_pb_of(slice_str(c->who->project_id));
        upload.initiator_name = s3_pb_of(slice_str(c->who->project_name));
    }
    rc = upload_create(c->os, container, c->key, &upload, s3_deadline(c), c->arena, id, &c->err);
    if (rc)
        return rc;
    xml_begin(&xml, "InitiateMultipartUploadResult");
    xml_leaf(&xml, "Bucket", c->bucket);
    xml_leaf(&xml, "Key", c->key);
    xml_leaf(&xml, "UploadId", hex_of(c->arena, id, sizeof id));
    xml_close(&xml, "InitiateMultipartUploadResult");
    rc = xml.failed ? -ENOMEM : 0;
    if (rc == 0) {
        s3_begin(c, 200);
        if (meta->checksum_kind) {
            http_reply_header(c->rq, "x-amz-checksum-algorithm",
                              slice_str(checksum_name((enum checksum_kind)meta->checksum_kind)));
            http_reply_header(c->rq, "x-amz-checksum-type", slice_str(checksum_type_name(meta)));
        }
        s3_reply_encryption(c, meta);
        abort_headers(c, container);
        http_reply_body(c->rq, "application/xml", text_slice(&xml));
    }
    text_done(&xml);
    return rc;
}

int s3_create_upload(struct s3_call *c)
{
    return s3_with_bucket(c, create_in, NULL);
}

/* --- ListParts. --- */

WAITS static int list_parts_in(struct s3_call *c, struct container *container, void *arg)
{
    uint8_t           id[UPLOAD_ID_BYTES];
    uint64_t          after, limit;
    struct upload_row upload;
    struct part_item *items = NULL;
    uint32_t          count = 0;
    bool              more = false;
    struct text       xml = { .limit = S3_REPLY_MAX };
    int               rc = upload_id_parse(c, id);

    (void)arg;
    if (rc == 0)
        rc = query_number(c, "part-number-marker", 0, INT32_MAX, &after);
    if (rc == 0)
        rc = query_number(c, "max-parts", S3_LIST_MAX, S3_LIST_MAX, &limit);
    if (rc == 0)
        rc = upload_code(c, upload_read(c->os, container, c->key, id, s3_deadline(c), c->arena, &upload, &c->err));
    if (rc == 0 && limit > 0)
        rc = upload_list_parts(c->os, container, id, (uint32_t)after, (uint32_t)limit, s3_deadline(c), c->arena, &items,
                               &count, &more, &c->err);
    if (rc)
        return rc;
    xml_begin(&xml, "ListPartsResult");
    xml_leaf(&xml, "Bucket", c->bucket);
    xml_leaf(&xml, "Key", c->key);
    xml_leaf(&xml, "UploadId", s3_query(c, "uploadId"));
    upload_people(c, &xml, container, upload.upload);
    xml_leaf(&xml, "StorageClass", storage_class_of(upload.upload->meta));
    xml_leaf_number(&xml, "PartNumberMarker", after);
    xml_leaf_number(&xml, "NextPartNumberMarker", count ? items[count - 1].number : after);
    xml_leaf_number(&xml, "MaxParts", limit);
    xml_leaf_bool(&xml, "IsTruncated", more);
    upload_checksum_elements(&xml, upload.upload->meta);
    for (uint32_t i = 0; i < count; i++) {
        const Rs__Part *part = items[i].part;
        struct slice    tag = hex_of(c->arena, part->etag.data, part->etag.len);
        xml_open(&xml, "Part");
        xml_leaf_number(&xml, "PartNumber", items[i].number);
        xml_leaf_time(&xml, "LastModified", part->modified_us);
        text_lit(&xml, "<ETag>&quot;");
        text_add(&xml, tag);
        text_lit(&xml, "&quot;</ETag>");
        xml_leaf_number(&xml, "Size", part->size);
        checksum_element(&xml, part->checksum_kind, s3_pb(part->checksum), 0);
        xml_close(&xml, "Part");
    }
    xml_close(&xml, "ListPartsResult");
    return reply_text(c, &xml);
}

int s3_list_parts(struct s3_call *c)
{
    return s3_with_bucket(c, list_parts_in, NULL);
}

/* --- ListMultipartUploads. --- */

struct uploads_query {
    struct slice prefix, delimiter, key_marker, id_marker;
    uint8_t      id[UPLOAD_ID_BYTES];
    uint64_t     limit;
    bool         encode;
};

static int uploads_query_read(struct s3_call *c, struct uploads_query *q)
{
    struct slice encoding = s3_query(c, "encoding-type");

    *q = (struct uploads_query) { .prefix = s3_query(c, "prefix"), .delimiter = s3_query(c, "delimiter"),
                                  .key_marker = s3_query(c, "key-marker"), .id_marker = s3_query(c, "upload-id-marker") };
    q->encode = slice_equal(encoding, SLICE("url"));
    if (encoding.size && !q->encode)
        return s3_bad_argument(c, "encoding-type", encoding, "Invalid Encoding Method specified in Request");
    if (q->key_marker.size == 0)
        q->id_marker = SLICE_NONE;   /* It counts only beside a key. */
    if (q->id_marker.size) {
        struct slice text = q->id_marker;
        if (text.size != UPLOAD_ID_BYTES * 2)
            return s3_bad_argument(c, "upload-id-marker", text, "Invalid uploadId marker");
        for (size_t i = 0; i < text.size; i++) {
            uint8_t d = text.data[i], nibble = d <= '9' ? d - '0' : (d | 32) - 'a' + 10;
            if (nibble > 15)
                return s3_bad_argument(c, "upload-id-marker", text, "Invalid uploadId marker");
            q->id[i / 2] = (uint8_t)(q->id[i / 2] << 4 | nibble);
        }
    }
    return query_number(c, "max-uploads", S3_LIST_MAX, S3_LIST_MAX, &q->limit);
}

static void name_leaf(struct s3_call *c, struct text *xml, const struct uploads_query *q, const char *element,
                      struct slice name)
{
    xml_leaf(xml, element, q->encode ? http_quote(c->arena, name, "/") : name);
}

static void uploads_head(struct s3_call *c, struct text *xml, const struct uploads_query *q,
                         const struct upload_item *last, bool more)
{
    xml_begin(xml, "ListMultipartUploadsResult");
    xml_leaf(xml, "Bucket", c->bucket);
    name_leaf(c, xml, q, "KeyMarker", q->key_marker);
    xml_leaf(xml, "UploadIdMarker", q->id_marker);
    if (more && last) {
        name_leaf(c, xml, q, "NextKeyMarker", last->name);
        if (!last->folded)
            xml_leaf(xml, "NextUploadIdMarker", hex_of(c->arena, last->id, sizeof last->id));
    }
    name_leaf(c, xml, q, "Prefix", q->prefix);
    if (q->delimiter.size)
        name_leaf(c, xml, q, "Delimiter", q->delimiter);
    if (q->encode)
        xml_leaf(xml, "EncodingType", SLICE("url"));
    xml_leaf_number(xml, "MaxUploads", q->limit);
    xml_leaf_bool(xml, "IsTruncated", more);
}

WAITS static int list_uploads_in(struct s3_call *c, struct container *container, void *arg)
{
    struct uploads_query q;
    struct upload_item  *items = NULL;
    uint32_t             count = 0;
    bool                 more = false;
    struct text          xml = { .limit = S3_REPLY_MAX };
    int                  rc = uploads_query_read(c, &q);

    (void)arg;
    if (rc == 0 && q.limit > 0)
        rc = upload_list(c->os, container, q.key_marker, q.id_marker.size ? q.id : NULL, q.prefix, q.delimiter,
                         (uint32_t)q.limit, s3_deadline(c), c->arena, &items, &count, &more, &c->err);
    if (rc)
        return rc;
    uploads_head(c, &xml, &q, count ? &items[count - 1] : NULL, more);
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].folded)
            continue;
        xml_open(&xml, "Upload");
        name_leaf(c, &xml, &q, "Key", items[i].name);
        xml_leaf(&xml, "UploadId", hex_of(c->arena, items[i].id, sizeof items[i].id));
        upload_people(c, &xml, container, items[i].upload);
        xml_leaf(&xml, "StorageClass", storage_class_of(items[i].upload->meta));
        xml_leaf_time(&xml, "Initiated", items[i].upload->started_us);
        upload_checksum_elements(&xml, items[i].upload->meta);
        xml_close(&xml, "Upload");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!items[i].folded)
            continue;
        xml_open(&xml, "CommonPrefixes");
        name_leaf(c, &xml, &q, "Prefix", items[i].name);
        xml_close(&xml, "CommonPrefixes");
    }
    xml_close(&xml, "ListMultipartUploadsResult");
    return reply_text(c, &xml);
}

int s3_list_uploads(struct s3_call *c)
{
    return s3_with_bucket(c, list_uploads_in, NULL);
}

/* --- AbortMultipartUpload. --- */

WAITS static int abort_in(struct s3_call *c, struct container *container, void *arg)
{
    uint8_t id[UPLOAD_ID_BYTES];
    int     rc = upload_id_parse(c, id);

    (void)arg;
    if (rc == 0)
        rc = upload_code(c, upload_abort(c->os, container, c->key, id, s3_deadline(c), &c->err));
    return rc ? rc : s3_reply_empty(c, 204);
}

int s3_abort_upload(struct s3_call *c)
{
    return s3_with_bucket(c, abort_in, NULL);
}
