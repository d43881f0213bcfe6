/* proxy/s3/docs.h - the smaller XML documents of S3: read, checked, written.
 *
 * All readers: 0, S3_MALFORMED_XML, what is said beside them, or -ENOMEM. Results live in 'arena'; slices may point
 * into 'document'. Writers make whole documents. Amazon S3 API reference, "Data Types". Pure. */
#ifndef PROXY_S3_DOCS_H
#define PROXY_S3_DOCS_H

#include "proxy/object/checksum.h"
#include "proxy/object/object.h"
#include "proxy/s3/acl.h"

enum {
    TAGS_OBJECT_MAX = 10, TAGS_BUCKET_MAX = 50,
    TAG_KEY_MAX = 128, TAG_VALUE_MAX = 256,          /* Characters, not bytes. */
    DOCS_DELETE_MAX = 1000, DOCS_DELETE_BYTES_MAX = 2 * 1024 * 1024,
    DOCS_LOCK_DAYS_MAX = 36500, DOCS_LOCK_YEARS_MAX = 100
};

/* --- Tags. S3_INVALID_TAG: too many, too long, twice, reserved ("aws:"), no text. --- */
int docs_tagging_parse(struct arena *arena, struct slice document, size_t count_max, Rs__MetaItem ***ret_tags,
                       size_t *ret_count, struct error *err);
/* x-amz-tagging: "key=value&key2=value2", percent-encoded. S3_INVALID_ARGUMENT: not of that form. */
int docs_tagging_header(struct arena *arena, struct slice header, size_t count_max, Rs__MetaItem ***ret_tags,
                        size_t *ret_count, struct error *err);
void docs_tagging_write(struct text *t, Rs__MetaItem *const *tags, size_t count);

/* --- Versioning. S3_NOT_IMPLEMENTED: MFA delete. --- */
int  docs_versioning_parse(struct arena *arena, struct slice document, enum versioning *ret, struct error *err);
void docs_versioning_write(struct text *t, enum versioning versioning);

/* --- Object lock. S3_INVALID_RETENTION_PERIOD: days or years that are none. --- */
int  docs_lock_parse(struct arena *arena, struct slice document, struct lock_config *ret, struct error *err);
void docs_lock_write(struct text *t, const struct lock_config *lock);
bool docs_lock_mode_of(struct slice name, enum object_lock_mode *ret);   /* "GOVERNANCE", "COMPLIANCE" */
const char *docs_lock_mode_name(enum object_lock_mode mode);             /* NULL for LOCK_NONE. */
/* An empty Retention takes the lock away: LOCK_NONE, 0. */
int  docs_retention_parse(struct arena *arena, struct slice document, enum object_lock_mode *ret_mode,
                          uint64_t *ret_until_us, struct error *err);
void docs_retention_write(struct text *t, enum object_lock_mode mode, uint64_t until_us);
int  docs_legal_hold_parse(struct arena *arena, struct slice document, bool *ret_on, struct error *err);
void docs_legal_hold_write(struct text *t, bool on);

/* --- Who may. --- */
int  docs_public_access_parse(struct arena *arena, struct slice document, struct public_access_block *ret,
                              struct error *err);
void docs_public_access_write(struct text *t, const struct public_access_block *block);
int  docs_ownership_parse(struct arena *arena, struct slice document, enum s3_ownership *ret, struct error *err);
void docs_ownership_write(struct text *t, enum s3_ownership ownership);

/* --- Default encryption. S3_INVALID_ARGUMENT: a key id without KMS. --- */
struct docs_encryption {
    struct slice algorithm;      /* "AES256", "aws:kms", "aws:kms:dsse" */
    struct slice key_id;         /* Of KMS; may be empty. */
    bool         bucket_key;
};
int docs_encryption_parse(struct arena *arena, struct slice document, struct docs_encryption *ret,
                          struct error *err);
void docs_encryption_write(struct text *t, const struct docs_encryption *encryption);

/* --- CreateBucket. An empty document is none. S3_NOT_IMPLEMENTED: directory buckets. --- */
struct docs_create_bucket {
    struct slice   location;     /* LocationConstraint; may be empty. */
    Rs__MetaItem **tags;
    size_t         tag_count;
};
int docs_create_bucket_parse(struct arena *arena, struct slice document, struct docs_create_bucket *ret,
                             struct error *err);

/* --- DeleteObjects: at least one, at most DOCS_DELETE_MAX. --- */
struct docs_delete_item {
    struct slice key, version;   /* version empty: the current one. */
    struct slice etag;           /* Conditions; empty: none. ETags as sent, with quotes. */
    bool         has_size, has_modified;
    uint64_t     size;
    int64_t      modified_s;
};
struct docs_delete {
    struct docs_delete_item *items;
    uint32_t                 count;
    bool                     quiet;
};
int docs_delete_parse(struct arena *arena, struct slice document, struct docs_delete *ret, struct error *err);

/* --- CompleteMultipartUpload: parts in the client's order, at least one, at most PART_NUMBER_MAX.
 * S3_INVALID_ARGUMENT: a number that is no part's; S3_INVALID_REQUEST: a part with several checksums. Takes at most
 * 1.5 MiB of 'arena' (10,000 parts, SHA-256), nothing of 'document' is kept. --- */
struct docs_part {
    uint32_t           number;
    struct slice       etag;     /* As sent, with quotes. */
    enum checksum_kind checksum_kind;
    struct slice       checksum; /* Base64; empty with CHECKSUM_NONE. */
};
int docs_complete_parse(struct arena *arena, struct slice document, struct docs_part **ret_parts,
                        uint32_t *ret_count, struct error *err);

#endif
