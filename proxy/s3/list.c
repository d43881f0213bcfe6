/* proxy/s3/list.c - ListObjects (v1 and v2) and ListObjectVersions.
 *
 * A page is read in steps into an arena that each step empties, and written at once; folded names go into a text of
 * their own, since S3 shows them after the objects. */
#include <stdio.h>

#include "proxy/object/checksum.h"
#include "proxy/object/manifest.h"
#include "proxy/s3/object.h"
#include "proxy/s3/token.h"
#include "proxy/s3/xml.h"

enum { LIST_ARENA_MAX = 16 * 1024 * 1024, LIST_TEXT_MAX = 8 * 1024 * 1024, LIST_STEP = 1000 };

struct list {
    struct s3_call   *c;
    struct container *container;
    /* What is asked for. */
    bool              v2, url, owners;
    struct slice      prefix, delimiter;
    struct slice      marker;          /* marker, key-marker, start-after. */
    struct slice      token;           /* As sent; data NULL: none. */
    struct slice      after;           /* Where the page begins. */
    struct version_ref after_version;
    struct slice      version_marker;  /* As sent. */
    uint64_t          max;
    /* What was found. */
    struct arena      arena;
    struct text       entries, folds;
    uint32_t          count, step;
    bool              more;
    char              last[S3_TOKEN_NAME_MAX];   /* Name of the last entry. */
    size_t            last_size;
    char              last_version[VERSION_TEXT_MAX + 1];
};

/* --- The request. --- */

static int list_parse(struct list *l)
{
    struct s3_call *c = l->c;
    struct slice    encoding = s3_query(c, "encoding-type"), max = s3_query(c, "max-keys");
    struct slice    unordered = s3_query(c, "allow-unordered");

    l->prefix = s3_query(c, "prefix");
    l->delimiter = s3_query(c, "delimiter");
    l->max = S3_LIST_MAX;
    if (max.size && (!slice_u64(max, &l->max) || l->max > INT32_MAX))
        return s3_bad_argument(c, "max-keys", max, "Provided max-keys not an integer or within integer range");
    if (l->max > S3_LIST_MAX)
        l->max = S3_LIST_MAX;
    if (encoding.size) {
        if (!slice_equal(encoding, SLICE("url")))
            return s3_bad_argument(c, "encoding-type", encoding, "Invalid Encoding Method specified in Request");
        l->url = true;
    }
    if (slice_equal(unordered, SLICE("true")) && l->delimiter.size)
        return s3_bad_argument(c, "allow-unordered", unordered, "allow-unordered cannot be used with a delimiter");
    if (l->prefix.size > S3_KEY_MAX || l->delimiter.size > S3_KEY_MAX || l->marker.size > S3_KEY_MAX)
        return s3_error(c, S3_KEY_TOO_LONG);
    if (!http_valid_utf8(l->prefix) || !http_valid_utf8(l->delimiter) || !http_valid_utf8(l->marker))
        return s3_bad_argument(c, "prefix", SLICE_NONE, "The parameters must be valid UTF-8.");
    return 0;
}

static int token_parse(struct list *l)
{
    uint8_t *name = arena_alloc(l->c->arena, S3_KEY_MAX);
    size_t   size;

    if (!name)
        return -ENOMEM;
    if (!s3_token_read(l->token, S3_KEY_MAX, name, &size))
        return s3_bad_argument(l->c, "continuation-token", l->token, "The continuation token provided is incorrect");
    l->after = slice_of(name, size);
    return 0;
}

static void token_leaf(const struct list *l, struct text *xml)
{
    char text[S3_TOKEN_TEXT_MAX];

    xml_leaf(xml, "NextContinuationToken", slice_of(text, s3_token_write(slice_of(l->last, l->last_size), text)));
}

/* --- Entries. --- */

static void name_leaf(struct list *l, struct text *xml, const char *element, struct slice name)
{
    if (l->url)
        name = http_quote(&l->arena, name, "/");
    xml_leaf(xml, element, name);
}

/* The same for what is written when the arena of the steps may be gone: the call's. */
static void parameter_leaf(struct list *l, struct text *xml, const char *element, struct slice text)
{
    xml_leaf(xml, element, l->url && text.size ? http_quote(l->c->arena, text, "/") : text);
}

static void owner_element(struct list *l, struct text *xml, struct slice id)
{
    struct identity_project project;
    struct slice            name = SLICE_NONE;

    if (identity_project(l->c->s3->identity, id, &project) == 0)
        name = slice_str(project.name);
    xml_open(xml, "Owner");
    xml_leaf(xml, "ID", id);
    xml_leaf(xml, "DisplayName", name);
    xml_close(xml, "Owner");
}

static void object_elements(struct list *l, struct text *xml, const Rs__ObjectMeta *meta, uint64_t size)
{
    struct slice tag = s3_etag_in(&l->arena, meta);
    const char  *checksum = checksum_name(meta->checksum_kind);

    xml_leaf_time(xml, "LastModified", meta->modified_us);
    text_lit(xml, "<ETag>&quot;");
    xml_escape(xml, tag);
    text_lit(xml, "&quot;</ETag>");
    if (checksum) {
        xml_leaf(xml, "ChecksumAlgorithm", slice_str(checksum));
        xml_leaf(xml, "ChecksumType", meta->checksum_composite ? SLICE("COMPOSITE") : SLICE("FULL_OBJECT"));
    }
    xml_leaf_number(xml, "Size", size);
    xml_leaf(xml, "StorageClass", meta->storage_class.len ? s3_pb(meta->storage_class) : SLICE("STANDARD"));
}

static void last_is(struct list *l, struct slice name)
{
    l->last_size = name.size < sizeof l->last ? name.size : sizeof l->last;
    memcpy(l->last, name.data, l->last_size);
}

static void fold_element(struct list *l, struct slice name)
{
    xml_open(&l->folds, "CommonPrefixes");
    name_leaf(l, &l->folds, "Prefix", name);
    xml_close(&l->folds, "CommonPrefixes");
}

static struct slice owner_of(const struct list *l, const Rs__ObjectMeta *meta)
{
    return meta->owner.len ? s3_pb(meta->owner) : s3_project_of(l->container);
}

static int object_entry(struct list *l, const struct row_entry *row)
{
    ProtobufCAllocator allocator = arena_allocator_of(&l->arena);
    Rs__ObjectMeta    *meta;

    if (row->folded) {
        fold_element(l, row->name);
    } else {
        meta = rs__object_meta__unpack(&allocator, row->value->meta.len, row->value->meta.data);
        if (!meta)
            return -ENOMEM;
        xml_open(&l->entries, "Contents");
        name_leaf(l, &l->entries, "Key", row->name);
        object_elements(l, &l->entries, meta, manifest_size_shown(meta, row->value->size));
        if (l->owners)
            owner_element(l, &l->entries, owner_of(l, meta));
        xml_close(&l->entries, "Contents");
    }
    l->count++;
    return 0;
}

/* Reads some entries after l->after; false in *ret_more ends the page. */
WAITS static int object_step(struct list *l)
{
    struct row_range range = { .after = l->after, .prefix = l->prefix, .delimiter = l->delimiter };
    struct row_page  page;
    uint32_t         left = (uint32_t)l->max - l->count;
    int              rc = 0;

    range.limit = left < l->step ? left : l->step;
    rc = container_list(l->c->os, l->container, &range, s3_deadline(l->c), &l->arena, &page, &l->c->err);
    for (uint32_t i = 0; rc == 0 && i < page.count; i++) {
        const struct row_entry *row = &page.entries[i];
        if (row->folded && slice_equal(row->name, l->after))
            continue;   /* The marker stands for all that it folds. */
        rc = object_entry(l, row);
    }
    if (rc)
        return rc;
    l->more = page.more && page.count > 0;
    if (page.count)
        last_is(l, page.entries[page.count - 1].name);
    return 0;
}

static int version_entry(struct list *l, const struct version_item *item)
{
    char         version[VERSION_TEXT_MAX + 1];
    const char  *element;

    if (item->folded) {
        fold_element(l, item->name);
        l->count++;
        return 0;
    }
    element = item->meta->delete_marker ? "DeleteMarker" : "Version";
    xml_open(&l->entries, element);
    name_leaf(l, &l->entries, "Key", item->name);
    xml_leaf(&l->entries, "VersionId", version_text(item->meta, version));
    xml_leaf_bool(&l->entries, "IsLatest", item->current);
    if (item->meta->delete_marker) {
        xml_leaf_time(&l->entries, "LastModified", item->meta->modified_us);
    } else {
        object_elements(l, &l->entries, item->meta, manifest_size_shown(item->meta, item->stored));
    }
    owner_element(l, &l->entries, owner_of(l, item->meta));
    xml_close(&l->entries, element);
    l->count++;
    return 0;
}

WAITS static int version_step(struct list *l)
{
    struct version_range range = { .after = l->after, .after_version_given = l->after_version.given,
                                   .after_version = l->after_version, .prefix = l->prefix, .delimiter = l->delimiter };
    struct version_page  page;
    uint32_t             left = (uint32_t)l->max - l->count;
    int                  rc;

    range.limit = left < l->step ? left : l->step;
    rc = object_list_versions(l->c->os, l->container, &range, s3_deadline(l->c), &l->arena, &page, &l->c->err);
    for (uint32_t i = 0; rc == 0 && i < page.count; i++) {
        if (page.items[i].folded && slice_equal(page.items[i].name, l->after))
            continue;
        rc = version_entry(l, &page.items[i]);
    }
    if (rc)
        return rc;
    l->more = page.more && page.count > 0;
    l->after_version = (struct version_ref) { 0 };
    l->last_version[0] = 0;
    if (page.count) {
        const struct version_item *item = &page.items[page.count - 1];
        last_is(l, item->name);
        if (!item->folded) {
            version_text(item->meta, l->last_version);
            if (version_parse(slice_str(l->last_version), &l->after_version))
                return -E_CORRUPT;
        }
    }
    return 0;
}

/* Steps until the page is full. Steps that are too large for the arena are made smaller. */
WAITS static int list_read(struct list *l, WAITS int (*step)(struct list *l))
{
    int rc = 0;

    l->more = l->max > 0;
    l->step = LIST_STEP;
    while (l->more && l->count < l->max) {
        size_t   entries = l->entries.size, folds = l->folds.size;
        uint32_t count = l->count;

        arena_reset(&l->arena);
        rc = step(l);
        if (rc == -ENOMEM && l->step > 1) {
            l->entries.size = entries;
            l->folds.size = folds;
            l->count = count;
            l->step = l->step / 4 ? l->step / 4 : 1;
            continue;
        }
        if (rc)
            return rc;
        l->after = slice_of(l->last, l->last_size);
    }
    if (l->max == 0)
        l->more = false;
    return l->entries.failed || l->folds.failed ? -ENOMEM : 0;
}

/* --- The document. --- */

static void objects_head(struct list *l, struct text *xml)
{
    xml_leaf(xml, "Name", l->container->name);
    if (l->v2) {
        parameter_leaf(l, xml, "Prefix", l->prefix);
        if (l->token.data)
            xml_leaf(xml, "ContinuationToken", l->token);
        if (l->marker.size)
            parameter_leaf(l, xml, "StartAfter", l->marker);
        xml_leaf_number(xml, "KeyCount", l->count);
    } else {
        xml_leaf(xml, "Prefix", l->prefix);   /* Version 1 clients do not decode it. */
        parameter_leaf(l, xml, "Marker", l->marker);
    }
    xml_leaf_number(xml, "MaxKeys", l->max);
    if (l->delimiter.size)
        parameter_leaf(l, xml, "Delimiter", l->delimiter);
    if (l->url)
        xml_leaf(xml, "EncodingType", SLICE("url"));
    xml_leaf_bool(xml, "IsTruncated", l->more);
    if (l->more && l->v2)
        token_leaf(l, xml);
    else if (l->more && l->delimiter.size)
        parameter_leaf(l, xml, "NextMarker", slice_of(l->last, l->last_size));
}

static void versions_head(struct list *l, struct text *xml)
{
    xml_leaf(xml, "Name", l->container->name);
    parameter_leaf(l, xml, "Prefix", l->prefix);
    parameter_leaf(l, xml, "KeyMarker", l->marker);
    xml_leaf(xml, "VersionIdMarker", l->version_marker);
    xml_leaf_number(xml, "MaxKeys", l->max);
    if (l->delimiter.size)
        parameter_leaf(l, xml, "Delimiter", l->delimiter);
    if (l->url)
        xml_leaf(xml, "EncodingType", SLICE("url"));
    xml_leaf_bool(xml, "IsTruncated", l->more);
    if (l->more) {
        parameter_leaf(l, xml, "NextKeyMarker", slice_of(l->last, l->last_size));
        if (l->last_version[0])
            xml_leaf(xml, "NextVersionIdMarker", slice_str(l->last_version));
    }
}

WAITS static int list_page(struct list *l, const char *root, WAITS int (*step)(struct list *l),
                           void (*head)(struct list *l, struct text *xml))
{
    struct text xml = { .limit = LIST_TEXT_MAX };
    int         rc;

    l->entries = (struct text) { .limit = LIST_TEXT_MAX };
    l->folds = (struct text) { .limit = LIST_TEXT_MAX };
    l->count = 0;
    arena_init(&l->arena, LIST_ARENA_MAX);
    rc = list_read(l, step);
    if (rc == 0) {
        xml_begin(&xml, root);
        head(l, &xml);
        text_add(&xml, text_slice(&l->entries));
        text_add(&xml, text_slice(&l->folds));
        xml_close(&xml, root);
        rc = s3_reply_xml(l->c, 200, &xml);
    }
    text_done(&xml);
    text_done(&l->entries);
    text_done(&l->folds);
    arena_done(&l->arena);
    return rc;
}

/* --- The calls. --- */

WAITS static int objects_in_bucket(struct s3_call *c, struct container *container, void *arg)
{
    struct list *l = arg;
    int          rc = list_parse(l);

    (void)c;
    l->container = container;
    l->after = l->marker;
    if (rc == 0 && l->token.size)
        rc = token_parse(l);
    return rc ? rc : list_page(l, "ListBucketResult", object_step, objects_head);
}

int s3_list_objects(struct s3_call *c)
{
    struct list *l = arena_new(c->arena, struct list);
    struct slice type = s3_query(c, "list-type");

    if (!l)
        return -ENOMEM;
    l->c = c;
    if (type.size) {
        if (!slice_equal(type, SLICE("2")))
            return s3_bad_argument(c, "list-type", type, "Invalid List Type specified in Request");
        l->v2 = true;
    }
    l->marker = s3_query(c, l->v2 ? "start-after" : "marker");
    l->owners = !l->v2 || slice_equal(s3_query(c, "fetch-owner"), SLICE("true"));
    if (l->v2)
        l->token = s3_query(c, "continuation-token");
    return s3_with_bucket(c, objects_in_bucket, l);
}

WAITS static int versions_in_bucket(struct s3_call *c, struct container *container, void *arg)
{
    struct list *l = arg;
    int          rc = list_parse(l);

    l->container = container;
    l->after = l->marker;
    l->after_version = (struct version_ref) { 0 };
    if (rc == 0 && l->version_marker.size) {
        if (l->marker.size == 0)
            return s3_bad_argument(c, "version-id-marker", l->version_marker,
                                   "A version-id marker cannot be specified without a key marker.");
        if (version_parse(l->version_marker, &l->after_version))
            return s3_bad_argument(c, "version-id-marker", l->version_marker, "Invalid version id specified");
    }
    return rc ? rc : list_page(l, "ListVersionsResult", version_step, versions_head);
}

int s3_list_versions(struct s3_call *c)
{
    struct list *l = arena_new(c->arena, struct list);

    if (!l)
        return -ENOMEM;
    l->c = c;
    l->marker = s3_query(c, "key-marker");
    l->version_marker = s3_query(c, "version-id-marker");
    return s3_with_bucket(c, versions_in_bucket, l);
}
