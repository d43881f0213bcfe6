/* proxy/s3/docs.c - documents that are settings; see docs.h. */
#include "proxy/s3/docs.h"

static bool is(struct slice text, const char *name)
{
    return slice_equal(text, slice_str(name));
}

static int malformed(struct error *err)
{
    return s3_fail(err, S3_MALFORMED_XML);
}

/* Reads a document whose root has these children. */
static int read(struct arena *arena, struct slice document, const char *root, const char *form,
                struct xml_node **ret_root, struct error *err)
{
    int rc = xml_parse(arena, document, root, ret_root, err);

    return rc ? rc : xml_fits(*ret_root, form) ? 0 : malformed(err);
}

/* --- Versioning. --- */

int docs_versioning_parse(struct arena *arena, struct slice document, enum versioning *ret, struct error *err)
{
    struct xml_node *root;
    struct slice     status, mfa;
    int              rc = read(arena, document, "VersioningConfiguration", "Status? MfaDelete?", &root, err);

    if (rc)
        return rc;
    status = xml_word(root, "Status");
    mfa = xml_word(root, "MfaDelete");
    if (is(mfa, "Enabled"))
        return error_set(err, S3_NOT_IMPLEMENTED, "MFA delete is not implemented.");
    if ((mfa.size && !is(mfa, "Disabled")) || (!is(status, "Enabled") && !is(status, "Suspended")))
        return malformed(err);
    *ret = is(status, "Enabled") ? VERSIONING_ENABLED : VERSIONING_SUSPENDED;
    return 0;
}

void docs_versioning_write(struct text *t, enum versioning versioning)
{
    xml_begin(t, "VersioningConfiguration");
    if (versioning != VERSIONING_OFF)
        xml_leaf(t, "Status", versioning == VERSIONING_ENABLED ? SLICE("Enabled") : SLICE("Suspended"));
    xml_close(t, "VersioningConfiguration");
}

/* --- Object lock. --- */

bool docs_lock_mode_of(struct slice name, enum object_lock_mode *ret)
{
    bool governance = is(name, "GOVERNANCE");

    if (!governance && !is(name, "COMPLIANCE"))
        return false;
    *ret = governance ? LOCK_GOVERNANCE : LOCK_COMPLIANCE;
    return true;
}

const char *docs_lock_mode_name(enum object_lock_mode mode)
{
    return mode == LOCK_GOVERNANCE ? "GOVERNANCE" : mode == LOCK_COMPLIANCE ? "COMPLIANCE" : NULL;
}

/* A period of 1 to 'max'; what is a number but not in there is an error of its own. */
static int read_period(struct slice text, uint64_t max, uint32_t *ret, struct error *err)
{
    bool     negative = text.size > 1 && text.data[0] == '-';
    uint64_t n;

    if (!xml_number(negative ? slice_from(text, 1) : text, UINT64_MAX, &n))
        return malformed(err);
    if (negative || n < 1 || n > max)
        return error_set(err, S3_INVALID_RETENTION_PERIOD, "The default retention period must be from 1 to %llu.",
                         (unsigned long long)max);
    *ret = (uint32_t)n;
    return 0;
}

int docs_lock_parse(struct arena *arena, struct slice document, struct lock_config *ret, struct error *err)
{
    struct lock_config     lock = { .mode = LOCK_NONE };
    const struct xml_node *rule, *retention;
    struct xml_node       *root;
    int                    rc;

    rc = read(arena, document, "ObjectLockConfiguration", "ObjectLockEnabled Rule?", &root, err);
    if (rc)
        return rc;
    if (!is(xml_word(root, "ObjectLockEnabled"), "Enabled"))
        return malformed(err);
    rule = xml_child(root, "Rule");
    if (!rule) {
        *ret = lock;
        return 0;
    }
    retention = xml_child(rule, "DefaultRetention");
    if (!xml_fits(rule, "DefaultRetention") || !xml_fits(retention, "Mode Days? Years?") ||
        !docs_lock_mode_of(xml_word(retention, "Mode"), &lock.mode) ||
        (xml_child(retention, "Days") != NULL) == (xml_child(retention, "Years") != NULL))
        return malformed(err);
    if (xml_child(retention, "Days"))
        rc = read_period(xml_word(retention, "Days"), DOCS_LOCK_DAYS_MAX, &lock.days, err);
    else
        rc = read_period(xml_word(retention, "Years"), DOCS_LOCK_YEARS_MAX, &lock.years, err);
    if (rc == 0)
        *ret = lock;
    return rc;
}

void docs_lock_write(struct text *t, const struct lock_config *lock)
{
    const char *mode = docs_lock_mode_name(lock->mode);

    xml_begin(t, "ObjectLockConfiguration");
    xml_leaf(t, "ObjectLockEnabled", SLICE("Enabled"));
    if (mode && (lock->days || lock->years)) {
        xml_open(t, "Rule");
        xml_open(t, "DefaultRetention");
        xml_leaf(t, "Mode", slice_str(mode));
        xml_leaf_number(t, lock->days ? "Days" : "Years", lock->days ? lock->days : lock->years);
        xml_close(t, "DefaultRetention");
        xml_close(t, "Rule");
    }
    xml_close(t, "ObjectLockConfiguration");
}

int docs_retention_parse(struct arena *arena, struct slice document, enum object_lock_mode *ret_mode,
                         uint64_t *ret_until_us, struct error *err)
{
    enum object_lock_mode mode = LOCK_NONE;
    uint64_t              until_us = 0;
    struct xml_node      *root;
    int                   rc = read(arena, document, "Retention", "Mode? RetainUntilDate?", &root, err);

    if (rc)
        return rc;
    if (root->child && (!docs_lock_mode_of(xml_word(root, "Mode"), &mode) ||
                        !xml_time(xml_word(root, "RetainUntilDate"), &until_us)))
        return malformed(err);
    *ret_mode = mode;
    *ret_until_us = until_us;
    return 0;
}

void docs_retention_write(struct text *t, enum object_lock_mode mode, uint64_t until_us)
{
    const char *name = docs_lock_mode_name(mode);

    xml_begin(t, "Retention");
    if (name) {
        xml_leaf(t, "Mode", slice_str(name));
        xml_leaf_time(t, "RetainUntilDate", until_us);
    }
    xml_close(t, "Retention");
}

int docs_legal_hold_parse(struct arena *arena, struct slice document, bool *ret_on, struct error *err)
{
    struct xml_node *root;
    struct slice     status;
    int              rc = read(arena, document, "LegalHold", "Status", &root, err);

    if (rc)
        return rc;
    status = xml_word(root, "Status");
    if (!is(status, "ON") && !is(status, "OFF"))
        return malformed(err);
    *ret_on = is(status, "ON");
    return 0;
}

void docs_legal_hold_write(struct text *t, bool on)
{
    xml_begin(t, "LegalHold");
    xml_leaf(t, "Status", on ? SLICE("ON") : SLICE("OFF"));
    xml_close(t, "LegalHold");
}

/* --- Who may. --- */

int docs_public_access_parse(struct arena *arena, struct slice document, struct public_access_block *ret,
                             struct error *err)
{
    struct public_access_block block = { 0 };
    const struct {
        const char *name;
        bool       *to;
    } flags[] = {
        { "BlockPublicAcls", &block.block_acls },
        { "IgnorePublicAcls", &block.ignore_acls },
        { "BlockPublicPolicy", &block.block_policy },
        { "RestrictPublicBuckets", &block.restrict_buckets },
    };
    struct xml_node *root;
    int rc = read(arena, document, "PublicAccessBlockConfiguration",
                  "BlockPublicAcls? IgnorePublicAcls? BlockPublicPolicy? RestrictPublicBuckets?", &root, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (xml_child(root, flags[i].name) && !xml_bool(xml_word(root, flags[i].name), flags[i].to))
            return malformed(err);
    *ret = block;
    return 0;
}

void docs_public_access_write(struct text *t, const struct public_access_block *block)
{
    xml_begin(t, "PublicAccessBlockConfiguration");
    xml_leaf_bool(t, "BlockPublicAcls", block->block_acls);
    xml_leaf_bool(t, "IgnorePublicAcls", block->ignore_acls);
    xml_leaf_bool(t, "BlockPublicPolicy", block->block_policy);
    xml_leaf_bool(t, "RestrictPublicBuckets", block->restrict_buckets);
    xml_close(t, "PublicAccessBlockConfiguration");
}

int docs_ownership_parse(struct arena *arena, struct slice document, enum s3_ownership *ret, struct error *err)
{
    struct xml_node *root;
    int              rc = read(arena, document, "OwnershipControls", "Rule", &root, err);

    if (rc)
        return rc;
    if (!xml_fits(root->child, "ObjectOwnership") ||
        !s3_ownership_of(xml_word(root->child, "ObjectOwnership"), ret))
        return malformed(err);
    return 0;
}

void docs_ownership_write(struct text *t, enum s3_ownership ownership)
{
    xml_begin(t, "OwnershipControls");
    xml_open(t, "Rule");
    xml_leaf(t, "ObjectOwnership", slice_str(s3_ownership_name(ownership)));
    xml_close(t, "Rule");
    xml_close(t, "OwnershipControls");
}

/* --- Default encryption. --- */

int docs_encryption_parse(struct arena *arena, struct slice document, struct docs_encryption *ret,
                          struct error *err)
{
    struct docs_encryption e = { .bucket_key = false };
    const struct xml_node *rule, *apply;
    struct xml_node       *root;
    int                    rc = read(arena, document, "ServerSideEncryptionConfiguration", "Rule", &root, err);

    if (rc)
        return rc;
    rule = root->child;
    apply = xml_child(rule, "ApplyServerSideEncryptionByDefault");
    if (!xml_fits(rule, "ApplyServerSideEncryptionByDefault BucketKeyEnabled?") ||
        !xml_fits(apply, "SSEAlgorithm KMSMasterKeyID?") ||
        (xml_child(rule, "BucketKeyEnabled") && !xml_bool(xml_word(rule, "BucketKeyEnabled"), &e.bucket_key)))
        return malformed(err);
    e.algorithm = xml_word(apply, "SSEAlgorithm");
    e.key_id = xml_word(apply, "KMSMasterKeyID");
    if (!is(e.algorithm, "AES256") && !is(e.algorithm, "aws:kms") && !is(e.algorithm, "aws:kms:dsse"))
        return malformed(err);
    if (is(e.algorithm, "AES256") && e.key_id.size)
        return error_set(err, S3_INVALID_ARGUMENT, "A KMS key goes with aws:kms only.");
    *ret = e;
    return 0;
}

void docs_encryption_write(struct text *t, const struct docs_encryption *e)
{
    xml_begin(t, "ServerSideEncryptionConfiguration");
    xml_open(t, "Rule");
    xml_open(t, "ApplyServerSideEncryptionByDefault");
    xml_leaf(t, "SSEAlgorithm", e->algorithm);
    if (e->key_id.size)
        xml_leaf(t, "KMSMasterKeyID", e->key_id);
    xml_close(t, "ApplyServerSideEncryptionByDefault");
    xml_leaf_bool(t, "BucketKeyEnabled", e->bucket_key);
    xml_close(t, "Rule");
    xml_close(t, "ServerSideEncryptionConfiguration");
}
