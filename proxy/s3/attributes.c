/* proxy/s3/attributes.c - GetObjectAttributes. */
#include "proxy/object/checksum.h"
#include "proxy/s3/large.h"
#include "proxy/s3/xml.h"

enum { WANT_ETAG = 1, WANT_CHECKSUM = 2, WANT_PARTS = 4, WANT_CLASS = 8, WANT_SIZE = 16 };
static const struct { const char *name; uint32_t bit; } wants[] = {
    { "ETag", WANT_ETAG }, { "Checksum", WANT_CHECKSUM }, { "ObjectParts", WANT_PARTS },
    { "StorageClass", WANT_CLASS }, { "ObjectSize", WANT_SIZE },
};
enum { WANTS = sizeof wants / sizeof *wants };

struct attributes {
    uint32_t want;
    uint64_t marker, max;
};

static int want_one(struct s3_call *c, struct slice name, uint32_t *want)
{
    for (size_t i = 0; i < WANTS; i++)
        if (slice_equal(name, slice_str(wants[i].name))) {
            *want |= wants[i].bit;
            return 0;
        }
    return s3_bad_argument(c, "x-amz-object-attributes", name, "Invalid attribute name specified.");
}

/* The header may come once with commas or several times. */
static int read_wants(struct s3_call *c, uint32_t *want)
{
    struct http_header h;
    uint32_t           at = 0;
    int                rc = 0;

    while (rc == 0 && http_header_prefix(c->rq, "x-amz-object-attributes", &at, &h)) {
        struct slice list = h.value;
        while (rc == 0 && list.size) {
            const uint8_t *comma = memchr(list.data, ',', list.size);
            struct slice   name = slice_of(list.data, comma ? (size_t)(comma - list.data) : list.size);
            list = comma ? slice_from(list, name.size + 1) : SLICE_NONE;
            name = xml_trim(name);
            if (name.size)
                rc = want_one(c, name, want);
        }
    }
    if (rc == 0 && *want == 0)
        return s3_bad_argument(c, "x-amz-object-attributes", SLICE_NONE, "The x-amz-object-attributes header specifying "
                               "the attributes to be retrieved is either missing or empty");
    return rc;
}

static int read_number(struct s3_call *c, const char *header, uint64_t absent, uint64_t max, uint64_t *ret)
{
    struct slice text = s3_header(c, header);

    *ret = absent;
    if (!text.size)
        return 0;
    if (!slice_u64(text, ret) || *ret > INT32_MAX)
        return s3_bad_argument(c, header, text, "It must be a number between 0 and 2147483647.");
    if (*ret > max)
        *ret = max;
    return 0;
}

static void checksum_leaf(struct text *xml, uint32_t kind, struct slice value, uint32_t parts)
{
    char        text[CHECKSUM_TEXT_MAX], element[32] = "Checksum";
    const char *name = checksum_name((enum checksum_kind)kind);

    if (!name || !value.size)
        return;
    memcpy(element + 8, name, strlen(name) + 1);
    checksum_text(text, value, parts);
    xml_leaf(xml, element, slice_str(text));
}

static void parts_element(struct text *xml, const struct attributes *a, const Rs__ObjectMeta *meta,
                          const Rs__PartTable *table)
{
    uint64_t shown = 0, last = a->marker;
    size_t   first = 0;

    while (first < table->n_parts && table->parts[first]->number <= a->marker)
        first++;
    shown = table->n_parts - first < a->max ? table->n_parts - first : a->max;
    if (shown)
        last = table->parts[first + shown - 1]->number;
    xml_open(xml, "ObjectParts");
    xml_leaf_number(xml, "PartsCount", table->n_parts);
    xml_leaf_number(xml, "PartNumberMarker", a->marker);
    xml_leaf_number(xml, "NextPartNumberMarker", last);
    xml_leaf_number(xml, "MaxParts", a->max);
    xml_leaf_bool(xml, "IsTruncated", first + shown < table->n_parts);
    for (size_t i = first; i < first + shown; i++) {
        const Rs__PartEntry *part = table->parts[i];
        xml_open(xml, "Part");
        checksum_leaf(xml, meta->checksum_kind, s3_pb(part->checksum), 0);
        xml_leaf_number(xml, "PartNumber", part->number);
        xml_leaf_number(xml, "Size", part->size);
        xml_close(xml, "Part");
    }
    xml_close(xml, "ObjectParts");
}

static void write_document(struct text *xml, const struct attributes *a, const struct s3_content *content,
                           const Rs__PartTable *table)
{
    const Rs__ObjectMeta *meta = content->object->meta;

    xml_begin(xml, "GetObjectAttributesResponse");
    if (a->want & WANT_ETAG)
        xml_leaf(xml, "ETag", content->etag);
    if ((a->want & WANT_CHECKSUM) && meta->checksum_kind && meta->checksum.len) {
        xml_open(xml, "Checksum");
        checksum_leaf(xml, meta->checksum_kind, s3_pb(meta->checksum), meta->checksum_composite ? meta->part_count : 0);
        xml_leaf(xml, "ChecksumType", meta->checksum_composite ? SLICE("COMPOSITE") : SLICE("FULL_OBJECT"));
        xml_close(xml, "Checksum");
    }
    if (table)
        parts_element(xml, a, meta, table);
    if (a->want & WANT_CLASS)
        xml_leaf(xml, "StorageClass", meta->storage_class.len ? s3_pb(meta->storage_class) : SLICE("STANDARD"));
    if (a->want & WANT_SIZE)
        xml_leaf_number(xml, "ObjectSize", content->size);
    xml_close(xml, "GetObjectAttributesResponse");
}

WAITS static int attributes_in_bucket(struct s3_call *c, struct container *container, void *arg)
{
    const struct attributes *a = arg;
    struct s3_need           need = s3_need(c);
    struct object            object = { 0 };
    Rs__PartTable           *table = NULL;
    struct s3_content        content = { .size = 0 };
    struct text              xml = { .limit = S3_REPLY_MAX };
    int                      rc;

    rc = object_read_version(c->os, container, c->key, &c->version, a->want & WANT_PARTS ? ROW_FULL : ROW_META,
                             s3_deadline(c), c->arena, &object, &c->err);
    if (rc == -ENOENT)
        return s3_gone(c, container, &need, &c->version, &object);
    if (rc == 0)
        rc = s3_object_allowed(c, container, &need, object.meta);
    if (rc == 0)
        rc = s3_encryption_check(c, &object);
    if (rc == 0 && (a->want & WANT_PARTS) && object.meta->upload.len)
        rc = object_parts(c->os, &object, s3_deadline(c), c->arena, &table, &c->err);
    if (rc == 0)
        rc = s3_content_open(c, container, &object, false, &content);
    if (rc)
        return rc;
    write_document(&xml, a, &content, table);
    s3_content_close(&content);
    if (!xml.failed) {
        s3_begin(c, 200);
        s3_header_date(c, "Last-Modified", object.meta->modified_us);
        s3_header_version(c, container, object.meta);
        http_reply_body(c->rq, "application/xml", text_slice(&xml));
    }
    rc = xml.failed ? -ENOMEM : 0;
    text_done(&xml);
    return rc;
}

int s3_get_object_attributes(struct s3_call *c)
{
    struct attributes a = { 0 };
    int               rc = read_wants(c, &a.want);

    if (rc == 0)
        rc = read_number(c, "x-amz-max-parts", S3_LIST_MAX, S3_LIST_MAX, &a.max);
    if (rc == 0)
        rc = read_number(c, "x-amz-part-number-marker", 0, PART_NUMBER_MAX, &a.marker);
    return rc ? rc : s3_with_bucket(c, attributes_in_bucket, &a);
}
