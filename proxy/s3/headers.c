/* proxy/s3/headers.c - what the headers of a write say about the object to come: metadata, class, tags, lock, ACL,
 * conditions. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "proxy/s3/body.h"
#include "proxy/s3/compiled.h"
#include "proxy/s3/docs.h"
#include "proxy/s3/lifecycle_work.h"
#include "proxy/s3/object.h"
#include "proxy/s3/xml.h"

void s3_iso_time(uint64_t us, char out[40])
{
    time_t    s = (time_t)(us / 1000000);
    struct tm tm;

    gmtime_r(&s, &tm);
    snprintf(out, 40, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(us % 1000000 / 1000));
}

struct slice s3_kept_header(const Rs__ObjectMeta *meta, const char *lower_name)
{
    for (size_t i = 0; i < meta->n_headers; i++)
        if (slice_equal(s3_pb(meta->headers[i]->name), slice_str(lower_name)))
            return s3_pb(meta->headers[i]->value);
    return SLICE_NONE;
}

/* --- Metadata. --- */

static const char *const kept[] = {
    "content-encoding", "content-disposition", "content-language", "cache-control", "expires",
    "x-amz-website-redirect-location",
};

static int add_item(struct s3_call *c, Rs__MetaItem **items, size_t *count, struct slice name, struct slice value)
{
    Rs__MetaItem *item = arena_new(c->arena, Rs__MetaItem);

    if (!item)
        return -ENOMEM;
    rs__meta_item__init(item);
    item->name = s3_pb_of(name);
    item->value = s3_pb_of(value);
    items[(*count)++] = item;
    return 0;
}

static struct slice lower(struct arena *arena, struct slice s)
{
    struct slice copy = arena_dup(arena, s);

    for (size_t i = 0; copy.data && i < copy.size; i++)
        ((uint8_t *)(uintptr_t)copy.data)[i] = (uint8_t)tolower(copy.data[i]);
    return copy;
}

static Rs__MetaItem *item_named(Rs__MetaItem **items, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(s3_pb(items[i]->name), name))
            return items[i];
    return NULL;
}

/* One line of user metadata; a name that comes twice has both values, with a comma. */
static int add_meta(struct s3_call *c, Rs__ObjectMeta *meta, struct slice name, struct slice value)
{
    Rs__MetaItem *before;

    name = lower(c->arena, name);
    if (!name.data)
        return -ENOMEM;
    before = item_named(meta->meta, meta->n_meta, name);
    if (!before)
        return add_item(c, meta->meta, &meta->n_meta, name, value);
    struct slice both = slice_str(arena_printf(c->arena, "%.*s,%.*s", (int)before->value.len,
                                               (const char *)before->value.data, SLICE_ARG(value)));
    before->value = s3_pb_of(both);
    return both.data ? 0 : -ENOMEM;
}

static int user_meta(struct s3_call *c, Rs__ObjectMeta *meta)
{
    struct http_header h;
    uint32_t           at = 0, count = 0;
    size_t             bytes = 0;
    int                rc = 0;

    while (http_header_prefix(c->rq, "x-amz-meta-", &at, &h))
        count++;
    at = 0;
    meta->n_meta = 0;
    meta->meta = arena_array(c->arena, Rs__MetaItem *, count + 1);
    if (!meta->meta)
        return -ENOMEM;
    while (rc == 0 && http_header_prefix(c->rq, "x-amz-meta-", &at, &h)) {
        struct slice name = slice_from(h.name, strlen("x-amz-meta-"));
        bytes += name.size + h.value.size;
        if (name.size == 0)
            continue;
        if (name.size > META_NAME_MAX || bytes > S3_META_BYTES_MAX || meta->n_meta == S3_META_COUNT_MAX)
            return s3_errorf(c, S3_METADATA_TOO_LARGE, "Your metadata headers exceed the maximum allowed metadata size.");
        rc = add_meta(c, meta, name, h.value);
    }
    return rc;
}

static int kept_headers(struct s3_call *c, Rs__ObjectMeta *meta)
{
    meta->n_headers = 0;
    meta->headers = arena_array(c->arena, Rs__MetaItem *, sizeof kept / sizeof *kept);
    if (!meta->headers)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        struct slice value = s3_header(c, kept[i]);
        int          rc;

        if (i == 0 && value.size) {
            rc = s3_content_encoding(value, c->arena, &value);
            if (rc)
                return rc;
        }
        rc = value.size ? add_item(c, meta->headers, &meta->n_headers, slice_str(kept[i]), value) : 0;
        if (rc)
            return rc;
    }
    struct slice redirect = s3_header(c, "x-amz-website-redirect-location");
    if (redirect.size && !slice_starts(redirect, SLICE("/")) && !slice_starts(redirect, SLICE("http://")) &&
        !slice_starts(redirect, SLICE("https://")))
        return s3_bad_argument(c, "x-amz-website-redirect-location", redirect,
                               "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.");
    return 0;
}

static int storage_class(struct s3_call *c, Rs__ObjectMeta *meta)
{
    static const char *const known[] = {
        "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE",
        "GLACIER_IR", "EXPRESS_ONEZONE", "OUTPOSTS", "SNOW",
    };
    struct slice name = s3_header(c, "x-amz-storage-class");
    bool         found = !name.size || object_service_policy(c->os, name) != NULL;

    for (size_t i = 0; i < sizeof known / sizeof *known && !found; i++)
        found = slice_equal(name, slice_str(known[i]));
    if (!found && !c->s3->any_storage_class)
        return s3_errorf(c, S3_INVALID_STORAGE_CLASS, "The storage class you specified is not valid");
    if (name.size > 64)
        return s3_error(c, S3_INVALID_STORAGE_CLASS);
    meta->storage_class = s3_pb_of(slice_equal(name, SLICE("STANDARD")) ? SLICE_NONE : name);
    return 0;
}

/* --- Object lock. --- */

int s3_lock_headers(struct s3_call *c, const struct container *container, Rs__ObjectMeta *meta)
{
    struct slice mode = s3_header(c, "x-amz-object-lock-mode"), hold = s3_header(c, "x-amz-object-lock-legal-hold");
    struct slice until = s3_header(c, "x-amz-object-lock-retain-until-date");
    struct s3_need retain = { .action = S3_DO_PUT_OBJECT_RETENTION, .bucket = c->bucket, .key = c->key };
    struct s3_need hold_it = { .action = S3_DO_PUT_OBJECT_LEGAL_HOLD, .bucket = c->bucket, .key = c->key };
    uint64_t     us;

    if (!mode.data && !hold.data && !until.data)
        return 0;
    if (!container->config->lock)
        return s3_errorf(c, S3_INVALID_REQUEST, "Bucket is missing Object Lock Configuration");
    if (!mode.data != !until.data)
        return s3_bad_argument(c, "x-amz-object-lock-mode", mode,
                               "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied");
    if (mode.data) {
        if (slice_equal(mode, SLICE("COMPLIANCE")))
            meta->lock_mode = LOCK_COMPLIANCE;
        else if (slice_equal(mode, SLICE("GOVERNANCE")))
            meta->lock_mode = LOCK_GOVERNANCE;
        else
            return s3_bad_argument(c, "x-amz-object-lock-mode", mode, "Unknown wormMode directive.");
        if (!xml_time(until, &us))
            return s3_bad_argument(c, "x-amz-object-lock-retain-until-date", until,
                                   "The retain until date must be provided in ISO 8601 format");
        if ((int64_t)us <= env_wall(c->rq->env) / NS_PER_US)
            return s3_bad_argument(c, "x-amz-object-lock-retain-until-date", until,
                                   "The retain until date must be in the future!");
        meta->retain_until_us = us;
    }
    if (hold.data && !slice_equal(hold, SLICE("ON")) && !slice_equal(hold, SLICE("OFF")))
        return s3_bad_argument(c, "x-amz-object-lock-legal-hold", hold, "Legal Hold must be either of 'ON' or 'OFF'");
    meta->legal_hold = slice_equal(hold, SLICE("ON"));
    /* Who may write an object may not thereby make one that nobody can delete. */
    if ((mode.data && !s3_may(c, container, &retain, meta)) || (hold.data && !s3_may(c, container, &hold_it, meta)))
        return s3_error(c, S3_ACCESS_DENIED);
    return 0;
}

/* --- Owner and ACL. --- */

int s3_object_owner(struct s3_call *c, const struct container *container, const struct acl_headers *headers,
                    Rs__ObjectMeta *meta)
{
    enum s3_ownership ownership = s3_bucket_ownership(container);
    struct slice      bucket_owner = s3_project_of(container);
    struct slice      writer = c->who ? slice_str(c->who->project_id) : bucket_owner;
    struct s3_need    put_acl = { .action = S3_DO_PUT_OBJECT_ACL, .bucket = c->bucket, .key = c->key };
    struct acl_person owner, theirs;
    struct acl_names  names;
    int               rc = s3_ownership_check(ownership, headers, bucket_owner, &c->err);

    if (rc)
        return rc;
    if (slice_equal(writer, bucket_owner) || ownership == OWNERSHIP_BUCKET_OWNER_ENFORCED ||
        s3_ownership_takes(ownership, headers))
        writer = bucket_owner;
    meta->owner = s3_pb_of(slice_equal(writer, bucket_owner) ? SLICE_NONE : writer);
    meta->acl = NULL;
    if (ownership == OWNERSHIP_BUCKET_OWNER_ENFORCED || !s3_acl_headers_given(headers))
        return 0;
    if (s3_policy_denies(c, container, &put_acl, NULL))
        return s3_error(c, S3_ACCESS_DENIED);
    owner = s3_person(c, writer);
    theirs = s3_person(c, bucket_owner);
    names = s3_acl_names(c);
    rc = s3_acl_from_headers(c->arena, headers, false, &owner, &theirs, &names, &meta->acl, &c->err);
    if (rc == 0 && s3_bucket_block(container).block_acls && s3_acl_is_public(meta->acl))
        return s3_error(c, S3_ACCESS_DENIED);
    return rc;
}

/* --- All of them. --- */

int s3_object_headers(struct s3_call *c, const struct container *container, Rs__ObjectMeta *meta)
{
    struct acl_headers acl = s3_acl_headers(c);
    struct slice       type = s3_header(c, "Content-Type");
    int                rc = user_meta(c, meta);

    meta->content_type = s3_pb_of(type.size ? type : SLICE("binary/octet-stream"));
    if (rc == 0)
        rc = kept_headers(c, meta);
    if (rc == 0)
        rc = storage_class(c, meta);
    if (rc == 0)
        rc = s3_lock_headers(c, container, meta);
    if (rc == 0)
        rc = s3_object_owner(c, container, &acl, meta);
    if (rc == 0 && s3_header(c, "x-amz-tagging").data)
        rc = s3_tag_header(c, container, meta);
    return rc;
}

/* --- Conditions. --- */

static int tags_of(struct s3_call *c, struct slice list, struct slice *tags, uint32_t *count)
{
    while (list.size) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        struct slice   tag = slice_of(list.data, comma ? (size_t)(comma - list.data) : list.size);

        list = comma ? slice_from(list, tag.size + 1) : SLICE_NONE;
        tag = s3_tag_bare(tag);
        if (tag.size == 0)
            continue;
        if (*count == CONDITION_TAGS_MAX)
            return s3_errorf(c, S3_INVALID_REQUEST, "At most %d entity tags can be compared.", CONDITION_TAGS_MAX);
        tags[(*count)++] = tag;
    }
    return 0;
}

int s3_write_condition(struct s3_call *c, struct object_condition *condition)
{
    struct slice match = s3_header(c, "If-Match"), none = s3_header(c, "If-None-Match");
    int          rc = 0;

    memset(condition, 0, sizeof *condition);
    if (slice_equal(s3_tag_bare(none), SLICE("*")))
        condition->must_be_missing = true;
    else if (none.size)
        rc = tags_of(c, none, condition->none_match, &condition->none_match_count);
    if (slice_equal(s3_tag_bare(match), SLICE("*")))
        condition->must_exist = true;
    else if (match.size && rc == 0)
        rc = tags_of(c, match, condition->match, &condition->match_count);
    return rc;
}

int s3_condition_failed(struct s3_call *c, struct container *container, const struct object_condition *condition)
{
    struct object object;

    /* What asks for an object that is there, and is not, is told so. */
    if ((condition->must_exist || condition->match_count) &&
        object_read(c->os, container, c->key, ROW_META, s3_deadline(c), c->arena, &object, &c->err) == -ENOENT)
        return s3_error(c, S3_NO_SUCH_KEY);
    return s3_error(c, S3_PRECONDITION_FAILED);
}

/* --- Tags, expiration. --- */

int s3_tag_header(struct s3_call *c, const struct container *container, Rs__ObjectMeta *meta)
{
    struct s3_need need = { .action = S3_DO_PUT_OBJECT_TAGGING, .bucket = c->bucket, .key = c->key };

    /* Who may write objects by an ACL alone may not tag them. */
    if (!s3_may(c, container, &need, meta))
        return s3_error(c, S3_ACCESS_DENIED);
    return docs_tagging_header(c->arena, s3_header(c, "x-amz-tagging"), TAGS_OBJECT_MAX, &meta->tags, &meta->n_tags,
                               &c->err);
}

void s3_reply_expiration(struct s3_call *c, const struct container *container, const Rs__ObjectMeta *meta,
                         uint64_t size)
{
    struct slice             doc = container_document(container, S3_DOC_LIFECYCLE);
    struct lifecycle_subject subject = { .kind = LIFECYCLE_CURRENT, .name = c->key, .size = size, .tags = meta->tags,
                                         .tag_count = meta->n_tags, .since_us = meta->modified_us,
                                         .storage_class = s3_pb(meta->storage_class) };
    struct lifecycle_due     due;
    const struct lifecycle  *rules;
    const char              *text;

    if (!doc.size || c->version.given)
        return;
    /* In days of the calendar, though tests may have shorter ones: the header is a date. */
    if (compiled_lifecycle(c->s3->compiled, doc, &rules, NULL) == 0 &&
        lifecycle_expiry(rules, &subject, LIFECYCLE_DAY_S, &due)) {
        text = lifecycle_expiry_text(c->arena, &due);
        if (text)
            http_reply_header(c->rq, "x-amz-expiration", slice_str(text));
    }
}
