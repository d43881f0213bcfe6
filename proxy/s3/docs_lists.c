/* proxy/s3/docs_lists.c - documents that are lists: tags, objects to delete, parts to complete; see docs.h. */
#include "proxy/http/http.h"
#include "proxy/s3/docs.h"

static int malformed(struct error *err)
{
    return s3_fail(err, S3_MALFORMED_XML);
}

/* --- Tags. --- */

struct tags {
    struct arena  *arena;
    struct error  *err;
    Rs__MetaItem **items;
    size_t         count, count_max;
};

static int tags_init(struct tags *tags, struct arena *arena, size_t count_max, struct error *err)
{
    *tags = (struct tags) { .arena = arena, .err = err, .count_max = count_max };
    tags->items = arena_array(arena, Rs__MetaItem *, count_max + 1);
    return tags->items ? 0 : -ENOMEM;
}

/* Unicode characters; SIZE_MAX when it is no UTF-8 or has control characters. */
static size_t characters(struct slice text)
{
    size_t count = 0;

    if (!http_valid_utf8(text))
        return SIZE_MAX;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return SIZE_MAX;
        count += (text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

static int tags_add(struct tags *tags, struct slice key, struct slice value)
{
    Rs__MetaItem *item = arena_new(tags->arena, Rs__MetaItem);

    if (!item)
        return -ENOMEM;
    if (tags->count == tags->count_max)
        return error_set(tags->err, S3_INVALID_TAG, "There are more than %zu tags.", tags->count_max);
    if (key.size == 0 || characters(key) > TAG_KEY_MAX)
        return error_set(tags->err, S3_INVALID_TAG, "The TagKey you have provided is invalid");
    if (characters(value) > TAG_VALUE_MAX)
        return error_set(tags->err, S3_INVALID_TAG, "The TagValue you have provided is invalid");
    if (slice_starts(key, SLICE("aws:")))
        return error_set(tags->err, S3_INVALID_TAG, "Tag keys that begin with \"aws:\" are reserved.");
    for (size_t i = 0; i < tags->count; i++)
        if (slice_equal(slice_of(tags->items[i]->name.data, tags->items[i]->name.len), key))
            return error_set(tags->err, S3_INVALID_TAG, "Cannot provide multiple Tags with the same key");
    rs__meta_item__init(item);
    item->name = (ProtobufCBinaryData) { key.size, (uint8_t *)(uintptr_t)key.data };
    item->value = (ProtobufCBinaryData) { value.size, (uint8_t *)(uintptr_t)value.data };
    tags->items[tags->count++] = item;
    return 0;
}

/* The Tag elements in 'node'. */
static int tags_of(struct tags *tags, const struct xml_node *node)
{
    int rc = 0;

    for (const struct xml_node *n = xml_child(node, "Tag"); rc == 0 && n; n = xml_again(n))
        rc = xml_fits(n, "Key Value") ? tags_add(tags, xml_child(n, "Key")->text, xml_child(n, "Value")->text)
                                      : malformed(tags->err);
    return rc;
}

int docs_tagging_parse(struct arena *arena, struct slice document, size_t count_max, Rs__MetaItem ***ret_tags,
                       size_t *ret_count, struct error *err)
{
    struct xml_node *root;
    struct tags      tags;
    int              rc = tags_init(&tags, arena, count_max, err);

    if (rc == 0)
        rc = xml_parse(arena, document, "Tagging", &root, err);
    if (rc)
        return rc;
    if (!xml_fits(root, "TagSet") || !xml_fits(root->child, "Tag*"))
        return malformed(err);
    rc = tags_of(&tags, root->child);
    if (rc)
        return rc;
    *ret_tags = tags.items;
    *ret_count = tags.count;
    return 0;
}

int docs_tagging_header(struct arena *arena, struct slice header, size_t count_max, Rs__MetaItem ***ret_tags,
                        size_t *ret_count, struct error *err)
{
    struct tags tags;
    int         rc = tags_init(&tags, arena, count_max, err);

    while (rc == 0 && header.size) {
        const uint8_t *end = memchr(header.data, '&', header.size);
        size_t         size = end ? (size_t)(end - header.data) : header.size;
        const uint8_t *equals = memchr(header.data, '=', size);
        size_t         key_size = equals ? (size_t)(equals - header.data) : size;
        struct slice   key = slice_of(header.data, key_size), value = SLICE_NONE;

        if (equals)
            value = slice_of(equals + 1, size - key_size - 1);
        header = slice_from(header, size + (end != NULL));
        rc = http_unquote(arena, key, true, &key);
        if (rc == 0)
            rc = http_unquote(arena, value, true, &value);
        if (rc == -E_SYNTAX)
            rc = error_set(err, S3_INVALID_ARGUMENT,
                           "The header 'x-amz-tagging' shall be encoded as UTF-8 then "
                           "URLEncoded URL query parameters without tag name duplicates.");
        if (rc == 0)
            rc = tags_add(&tags, key, value);
    }
    if (rc)
        return rc;
    *ret_tags = tags.items;
    *ret_count = tags.count;
    return 0;
}

void docs_tagging_write(struct text *t, Rs__MetaItem *const *tags, size_t count)
{
    xml_begin(t, "Tagging");
    xml_open(t, "TagSet");
    for (size_t i = 0; i < count; i++) {
        xml_open(t, "Tag");
        xml_leaf(t, "Key", slice_of(tags[i]->name.data, tags[i]->name.len));
        xml_leaf(t, "Value", slice_of(tags[i]->value.data, tags[i]->value.len));
        xml_close(t, "Tag");
    }
    xml_close(t, "TagSet");
    xml_close(t, "Tagging");
}

/* --- CreateBucket. --- */

int docs_create_bucket_parse(struct arena *arena, struct slice document, struct docs_create_bucket *ret,
                             struct error *err)
{
    struct docs_create_bucket create = { .tags = NULL };
    struct xml_node          *root;
    struct tags               tags;
    int                       rc;

    if (xml_trim(document).size == 0) {
        *ret = create;
        return 0;
    }
    rc = tags_init(&tags, arena, TAGS_BUCKET_MAX, err);
    if (rc == 0)
        rc = xml_parse(arena, document, "CreateBucketConfiguration", &root, err);
    if (rc)
        return rc;
    if (xml_child(root, "Location") || xml_child(root, "Bucket"))
        return s3_fail(err, S3_NOT_IMPLEMENTED);
    if (!xml_fits(root, "LocationConstraint? Tags?"))
        return malformed(err);
    rc = tags_of(&tags, xml_child(root, "Tags"));
    if (rc)
        return rc;
    create.location = xml_word(root, "LocationConstraint");
    create.tags = tags.items;
    create.tag_count = tags.count;
    *ret = create;
    return 0;
}

/* --- DeleteObjects. --- */

/* Clients write dates as HTTP does, and as XML does. */
static bool read_date(struct slice text, int64_t *ret_s)
{
    uint64_t us;

    if (http_date_parse(text, ret_s))
        return true;
    if (!xml_time(text, &us))
        return false;
    *ret_s = (int64_t)(us / 1000000);
    return true;
}

static int read_item(const struct xml_node *node, struct docs_delete_item *item, struct error *err)
{
    if (!xml_fits(node, "Key VersionId? ETag? LastModifiedTime? Size?"))
        return malformed(err);
    item->key = xml_child(node, "Key")->text;
    item->version = xml_word(node, "VersionId");
    item->etag = xml_word(node, "ETag");
    item->has_size = xml_child(node, "Size") != NULL;
    item->has_modified = xml_child(node, "LastModifiedTime") != NULL;
    if (item->key.size == 0 || (item->has_size && !xml_number(xml_word(node, "Size"), INT64_MAX, &item->size)) ||
        (item->has_modified && !read_date(xml_word(node, "LastModifiedTime"), &item->modified_s)))
        return malformed(err);
    return 0;
}

int docs_delete_parse(struct arena *arena, struct slice document, struct docs_delete *ret, struct error *err)
{
    struct docs_delete d = { .count = 0 };
    struct xml_node   *root;
    int                rc;

    if (document.size > DOCS_DELETE_BYTES_MAX)
        return malformed(err);
    rc = xml_parse(arena, document, "Delete", &root, err);
    if (rc)
        return rc;
    if (!xml_fits(root, "Object+ Quiet?") || xml_count(root, "Object") > DOCS_DELETE_MAX ||
        (xml_child(root, "Quiet") && !xml_bool(xml_word(root, "Quiet"), &d.quiet)))
        return malformed(err);
    d.items = arena_array(arena, struct docs_delete_item, xml_count(root, "Object"));
    if (!d.items)
        return -ENOMEM;
    for (const struct xml_node *n = xml_child(root, "Object"); rc == 0 && n; n = xml_again(n))
        rc = read_item(n, &d.items[d.count++], err);
    if (rc == 0)
        *ret = d;
    return rc;
}

/* --- CompleteMultipartUpload. --- */

static int read_part(const struct xml_node *node, struct docs_part *part, struct error *err)
{
    uint64_t number;

    if (!xml_fits(node, "PartNumber ETag ChecksumCRC32? ChecksumCRC32C? ChecksumCRC64NVME? ChecksumSHA1? "
                        "ChecksumSHA256?"))
        return malformed(err);
    if (!xml_number(xml_word(node, "PartNumber"), UINT64_MAX, &number))
        return malformed(err);
    if (number < 1 || number > PART_NUMBER_MAX)
        return error_set(err, S3_INVALID_ARGUMENT, "PartNumber must be an integer between 1 and 10000, inclusive");
    part->number = (uint32_t)number;
    part->etag = xml_word(node, "ETag");
    for (const struct xml_node *n = node->child; n; n = n->next) {
        if (!slice_starts(n->name, SLICE("Checksum")))
            continue;
        if (part->checksum_kind != CHECKSUM_NONE)
            return error_set(err, S3_INVALID_REQUEST, "A part has more than one checksum.");
        part->checksum_kind = checksum_kind_of(slice_from(n->name, sizeof "Checksum" - 1));
        part->checksum = xml_trim(n->text);
        if (part->checksum.size == 0)
            return malformed(err);
    }
    return 0;
}

/* Copies what the parts point to out of the tree, into one piece. */
static int parts_keep(struct arena *arena, struct docs_part *parts, uint32_t count)
{
    size_t   size = 1;
    uint8_t *bytes;

    for (uint32_t i = 0; i < count; i++)
        size += parts[i].etag.size + parts[i].checksum.size;
    bytes = arena_alloc(arena, size);
    if (!bytes)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct slice *texts[] = { &parts[i].etag, &parts[i].checksum };
        for (int k = 0; k < 2; k++) {
            if (texts[k]->size)
                memcpy(bytes, texts[k]->data, texts[k]->size);
            texts[k]->data = bytes;
            bytes += texts[k]->size;
        }
    }
    return 0;
}

static int read_parts(struct arena *arena, const struct xml_node *root, struct docs_part **ret_parts,
                      uint32_t *ret_count, struct error *err)
{
    uint32_t          count = xml_count(root, "Part"), at = 0;
    struct docs_part *parts;
    int               rc = 0;

    if (!xml_fits(root, "Part+") || count > PART_NUMBER_MAX)
        return malformed(err);
    parts = arena_array(arena, struct docs_part, count);
    if (!parts)
        return -ENOMEM;
    for (const struct xml_node *n = root->child; rc == 0 && n; n = xml_again(n))
        rc = read_part(n, &parts[at++], err);
    if (rc == 0)
        rc = parts_keep(arena, parts, count);
    if (rc)
        return rc;
    *ret_parts = parts;
    *ret_count = count;
    return 0;
}

/* The tree of 10,000 parts takes more than a request may hold, so it has an arena of its own, for this moment. */
int docs_complete_parse(struct arena *arena, struct slice document, struct docs_part **ret_parts,
                        uint32_t *ret_count, struct error *err)
{
    struct xml_node *root;
    struct arena     tree;
    int              rc;

    arena_init(&tree, XML_ARENA_BYTES);
    rc = xml_parse(&tree, document, "CompleteMultipartUpload", &root, err);
    if (rc == 0)
        rc = read_parts(arena, root, ret_parts, ret_count, err);
    arena_done(&tree);
    return rc;
}
