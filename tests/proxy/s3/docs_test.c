/* tests/proxy/s3/docs_test.c - the smaller documents of S3. */
#include "proxy/s3/docs.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, XML_ARENA_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void assert_text(struct slice got, const char *want)
{
    assert_int_equal(got.size, strlen(want));
    assert_memory_equal(got.size ? (const char *)got.data : "", want, got.size);
}

/* What a writer wrote, after S3's declaration and root. */
static void assert_written(struct text *t, const char *root, const char *want)
{
    char *whole = arena_printf(&arena, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s "
                               "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s</%s>", root, want, root);

    assert_false(t->failed);
    assert_text(text_slice(t), whole);
    text_done(t);
}

/* --- Tags. --- */

#define TAG(key, value) "<Tag><Key>" key "</Key><Value>" value "</Value></Tag>"
#define TAGGING(tags) "<Tagging><TagSet>" tags "</TagSet></Tagging>"

static int tagging(const char *text, size_t *ret_count, Rs__MetaItem ***ret_tags)
{
    return docs_tagging_parse(&arena, slice_str(text), TAGS_OBJECT_MAX, ret_tags, ret_count, NULL);
}

static void tagging__is_read_and_written(void **state)
{
    Rs__MetaItem **tags = NULL;
    size_t         count = 9;
    struct text    t = { .limit = 4096 };

    (void)state;
    assert_int_equal(tagging(TAGGING(TAG("a b", "1&amp;2") TAG("c", "")), &count, &tags), 0);
    assert_int_equal(count, 2);
    docs_tagging_write(&t, tags, count);
    assert_written(&t, "Tagging", "<TagSet>" TAG("a b", "1&amp;2") TAG("c", "") "</TagSet>");
    assert_int_equal(tagging(TAGGING(""), &count, &tags), 0);
    assert_int_equal(count, 0);
}

static void tagging__refuses_what_is_wrong(void **state)
{
    Rs__MetaItem **tags = NULL;
    size_t         count;

    (void)state;
    assert_int_equal(tagging("<Tagging/>", &count, &tags), S3_MALFORMED_XML);
    assert_int_equal(tagging(TAGGING("<Tag><Key>a</Key></Tag>"), &count, &tags), S3_MALFORMED_XML);
    assert_int_equal(tagging(TAGGING("<Other/>"), &count, &tags), S3_MALFORMED_XML);
    assert_int_equal(tagging(TAGGING(TAG("", "v")), &count, &tags), S3_INVALID_TAG);
    assert_int_equal(tagging(TAGGING(TAG("aws:x", "v")), &count, &tags), S3_INVALID_TAG);
    assert_int_equal(tagging(TAGGING(TAG("a", "&#10;")), &count, &tags), S3_INVALID_TAG);
    assert_int_equal(tagging(TAGGING(TAG("a", "v") TAG("a", "w")), &count, &tags), S3_INVALID_TAG);
    assert_null(tags);
}

static int tag_of_sizes(int key, int value, const char *letter)
{
    Rs__MetaItem **tags;
    size_t         count;
    struct text    t = { .limit = 65536 };

    text_lit(&t, "<Tagging><TagSet><Tag><Key>");
    for (int i = 0; i < key; i++)
        text_add(&t, slice_str(letter));
    text_lit(&t, "</Key><Value>");
    for (int i = 0; i < value; i++)
        text_add(&t, slice_str(letter));
    text_lit(&t, "</Value></Tag></TagSet></Tagging>");
    int rc = docs_tagging_parse(&arena, text_slice(&t), TAGS_OBJECT_MAX, &tags, &count, NULL);
    text_done(&t);
    return rc;
}

static int tags_of_count(int n, size_t max)
{
    Rs__MetaItem **tags;
    size_t         count;
    struct text    t = { .limit = 65536 };

    for (int i = 0; i < n; i++)
        text_add(&t, slice_str(arena_printf(&arena, "%sk%d=v", i ? "&" : "", i)));
    int rc = docs_tagging_header(&arena, text_slice(&t), max, &tags, &count, NULL);
    if (rc == 0)
        assert_int_equal(count, n);
    text_done(&t);
    return rc;
}

static void tagging__has_limits_in_characters(void **state)
{
    (void)state;
    assert_int_equal(tag_of_sizes(TAG_KEY_MAX, TAG_VALUE_MAX, "x"), 0);
    assert_int_equal(tag_of_sizes(TAG_KEY_MAX, TAG_VALUE_MAX, "\xc3\xa9"), 0);
    assert_int_equal(tag_of_sizes(TAG_KEY_MAX + 1, 1, "x"), S3_INVALID_TAG);
    assert_int_equal(tag_of_sizes(1, TAG_VALUE_MAX + 1, "x"), S3_INVALID_TAG);
    assert_int_equal(tags_of_count(TAGS_OBJECT_MAX, TAGS_OBJECT_MAX), 0);
    assert_int_equal(tags_of_count(TAGS_OBJECT_MAX + 1, TAGS_OBJECT_MAX), S3_INVALID_TAG);
    assert_int_equal(tags_of_count(TAGS_BUCKET_MAX, TAGS_BUCKET_MAX), 0);
    assert_int_equal(tags_of_count(TAGS_BUCKET_MAX + 1, TAGS_BUCKET_MAX), S3_INVALID_TAG);
}

static void tagging_header__is_a_query(void **state)
{
    Rs__MetaItem **tags = NULL;
    size_t         count = 0;

    (void)state;
    assert_int_equal(docs_tagging_header(&arena, SLICE("a%20b=1%262&c+d&e="), 10, &tags, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_text(slice_of(tags[0]->name.data, tags[0]->name.len), "a b");
    assert_text(slice_of(tags[0]->value.data, tags[0]->value.len), "1&2");
    assert_text(slice_of(tags[1]->name.data, tags[1]->name.len), "c d");
    assert_int_equal(tags[2]->value.len, 0);
    assert_int_equal(docs_tagging_header(&arena, SLICE(""), 10, &tags, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(docs_tagging_header(&arena, SLICE("a=%zz"), 10, &tags, &count, NULL), S3_INVALID_ARGUMENT);
    assert_int_equal(docs_tagging_header(&arena, SLICE("a=1&a=2"), 10, &tags, &count, NULL), S3_INVALID_TAG);
    assert_int_equal(docs_tagging_header(&arena, SLICE("=1"), 10, &tags, &count, NULL), S3_INVALID_TAG);
    assert_int_equal(docs_tagging_header(&arena, SLICE("a=%ff"), 10, &tags, &count, NULL), S3_INVALID_TAG);
}

/* --- Settings. --- */

static int versioning(const char *text, enum versioning *ret)
{
    return docs_versioning_parse(&arena, slice_str(text), ret, NULL);
}

static void versioning__is_enabled_or_suspended(void **state)
{
    enum versioning v = VERSIONING_OFF;
    struct text     t = { .limit = 4096 };

    (void)state;
    assert_int_equal(
        versioning("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", &v), 0);
    assert_int_equal(v, VERSIONING_ENABLED);
    assert_int_equal(versioning("<VersioningConfiguration><MfaDelete>Disabled</MfaDelete><Status>Suspended</Status>"
                                "</VersioningConfiguration>", &v), 0);
    assert_int_equal(v, VERSIONING_SUSPENDED);
    assert_int_equal(versioning("<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", &v),
                     S3_MALFORMED_XML);
    assert_int_equal(versioning("<VersioningConfiguration/>", &v), S3_MALFORMED_XML);
    assert_int_equal(versioning("<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"
                                "</VersioningConfiguration>", &v), S3_NOT_IMPLEMENTED);
    docs_versioning_write(&t, VERSIONING_OFF);
    assert_written(&t, "VersioningConfiguration", "");
    docs_versioning_write(&t, VERSIONING_SUSPENDED);
    assert_written(&t, "VersioningConfiguration", "<Status>Suspended</Status>");
}

#define LOCK(rule)                                                                                           \
    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>" rule                           \
    "</ObjectLockConfiguration>"
#define DEFAULT(text) LOCK("<Rule><DefaultRetention>" text "</DefaultRetention></Rule>")
#define GOVERNANCE "<Mode>GOVERNANCE</Mode>"

static int lock(const char *text, struct lock_config *ret)
{
    return docs_lock_parse(&arena, slice_str(text), ret, NULL);
}

static void lock__has_days_or_years(void **state)
{
    struct lock_config l = { .days = 9 };
    struct text        t = { .limit = 4096 };

    (void)state;
    assert_int_equal(lock(LOCK(""), &l), 0);
    assert_int_equal(l.mode, LOCK_NONE);
    assert_int_equal(l.days, 0);
    docs_lock_write(&t, &l);
    assert_written(&t, "ObjectLockConfiguration", "<ObjectLockEnabled>Enabled</ObjectLockEnabled>");
    assert_int_equal(lock(DEFAULT("<Mode>COMPLIANCE</Mode><Years>100</Years>"), &l), 0);
    docs_lock_write(&t, &l);
    assert_written(&t, "ObjectLockConfiguration",
                   "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
                   "<Mode>COMPLIANCE</Mode><Years>100</Years></DefaultRetention></Rule>");
    assert_int_equal(lock(DEFAULT(GOVERNANCE "<Days>36500</Days>"), &l), 0);
    assert_int_equal(l.days, DOCS_LOCK_DAYS_MAX);
    assert_int_equal(l.years, 0);
}

static void lock__refuses_what_is_wrong(void **state)
{
    struct lock_config l;

    (void)state;
    assert_int_equal(lock("<ObjectLockConfiguration/>", &l), S3_MALFORMED_XML);
    assert_int_equal(lock("<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></"
                          "ObjectLockConfiguration>",
                          &l),
                     S3_MALFORMED_XML);
    assert_int_equal(lock(LOCK("<Rule/>"), &l), S3_MALFORMED_XML);
    assert_int_equal(lock(DEFAULT("<Mode>governance</Mode><Days>1</Days>"), &l), S3_MALFORMED_XML);
    assert_int_equal(lock(DEFAULT(GOVERNANCE), &l), S3_MALFORMED_XML);
    assert_int_equal(lock(DEFAULT(GOVERNANCE "<Days>1</Days><Years>1</Years>"), &l), S3_MALFORMED_XML);
    assert_int_equal(lock(DEFAULT(GOVERNANCE "<Days>x</Days>"), &l), S3_MALFORMED_XML);
    assert_int_equal(lock(DEFAULT(GOVERNANCE "<Days>0</Days>"), &l), S3_INVALID_RETENTION_PERIOD);
    assert_int_equal(lock(DEFAULT(GOVERNANCE "<Days>36501</Days>"), &l), S3_INVALID_RETENTION_PERIOD);
    assert_int_equal(lock(DEFAULT(GOVERNANCE "<Years>-1</Years>"), &l), S3_INVALID_RETENTION_PERIOD);
    assert_int_equal(lock(DEFAULT(GOVERNANCE "<Years>101</Years>"), &l), S3_INVALID_RETENTION_PERIOD);
}

static int retention(const char *text, enum object_lock_mode *ret_mode, uint64_t *ret_until)
{
    return docs_retention_parse(&arena, slice_str(text), ret_mode, ret_until, NULL);
}

static void retention__has_mode_and_date_or_neither(void **state)
{
    enum object_lock_mode mode = LOCK_COMPLIANCE;
    uint64_t              until = 1;
    struct text           t = { .limit = 4096 };

    (void)state;
    assert_int_equal(retention("<Retention/>", &mode, &until), 0);
    assert_int_equal(mode, LOCK_NONE);
    assert_true(until == 0);
    docs_retention_write(&t, mode, until);
    assert_written(&t, "Retention", "");
    assert_int_equal(retention("<Retention>" GOVERNANCE
                               "<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>",
                               &mode, &until),
                     0);
    assert_int_equal(mode, LOCK_GOVERNANCE);
    docs_retention_write(&t, mode, until);
    assert_written(&t, "Retention", GOVERNANCE "<RetainUntilDate>2030-01-01T00:00:00.000Z</RetainUntilDate>");
    assert_int_equal(retention("<Retention>" GOVERNANCE "</Retention>", &mode, &until), S3_MALFORMED_XML);
    assert_int_equal(
        retention("<Retention><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>", &mode,
                  &until),
        S3_MALFORMED_XML);
    assert_int_equal(
        retention("<Retention><Mode>abc</Mode><RetainUntilDate>2030-01-01</RetainUntilDate></Retention>",
                  &mode, &until),
        S3_MALFORMED_XML);
}

static void legal_hold__is_on_or_off(void **state)
{
    bool        on = false;
    struct text t = { .limit = 4096 };

    (void)state;
    assert_int_equal(
        docs_legal_hold_parse(&arena, SLICE("<LegalHold><Status>ON</Status></LegalHold>"), &on, NULL), 0);
    assert_true(on);
    assert_int_equal(
        docs_legal_hold_parse(&arena, SLICE("<LegalHold><Status>OFF</Status></LegalHold>"), &on, NULL), 0);
    assert_false(on);
    assert_int_equal(
        docs_legal_hold_parse(&arena, SLICE("<LegalHold><Status>abc</Status></LegalHold>"), &on, NULL),
        S3_MALFORMED_XML);
    assert_int_equal(docs_legal_hold_parse(&arena, SLICE("<LegalHold/>"), &on, NULL), S3_MALFORMED_XML);
    docs_legal_hold_write(&t, true);
    assert_written(&t, "LegalHold", "<Status>ON</Status>");
}

#define BLOCK(text) "<PublicAccessBlockConfiguration>" text "</PublicAccessBlockConfiguration>"

static void public_access__has_four_flags(void **state)
{
    struct public_access_block b = { 0 };
    struct text                t = { .limit = 4096 };

    (void)state;
    assert_int_equal(docs_public_access_parse(
                         &arena,
                         SLICE(BLOCK("<IgnorePublicAcls>TRUE</IgnorePublicAcls><BlockPublicPolicy>"
                                     "true</BlockPublicPolicy><BlockPublicAcls>false</BlockPublicAcls>")),
                         &b, NULL),
                     0);
    assert_false(b.block_acls);
    assert_true(b.ignore_acls);
    assert_true(b.block_policy);
    assert_false(b.restrict_buckets);
    docs_public_access_write(&t, &b);
    assert_written(&t, "PublicAccessBlockConfiguration",
                   "<BlockPublicAcls>false</BlockPublicAcls><IgnorePublicAcls>true"
                   "</IgnorePublicAcls><BlockPublicPolicy>true</"
                   "BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets>");
    assert_int_equal(
        docs_public_access_parse(&arena, SLICE(BLOCK("<BlockPublicAcls>x</BlockPublicAcls>")), &b, NULL),
        S3_MALFORMED_XML);
    assert_int_equal(docs_public_access_parse(&arena, SLICE(BLOCK("<Other/>")), &b, NULL), S3_MALFORMED_XML);
}

#define OWNERSHIP(text)                                                                                      \
    "<OwnershipControls><Rule><ObjectOwnership>" text "</ObjectOwnership></Rule></OwnershipControls>"

static void ownership__has_one_rule(void **state)
{
    enum s3_ownership o = OWNERSHIP_OBJECT_WRITER;
    struct text       t = { .limit = 4096 };

    (void)state;
    assert_int_equal(docs_ownership_parse(&arena, SLICE(OWNERSHIP("BucketOwnerPreferred")), &o, NULL), 0);
    assert_int_equal(o, OWNERSHIP_BUCKET_OWNER_PREFERRED);
    docs_ownership_write(&t, o);
    assert_written(&t, "OwnershipControls", "<Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule>");
    assert_int_equal(docs_ownership_parse(&arena, SLICE(OWNERSHIP("Nobody")), &o, NULL), S3_MALFORMED_XML);
    assert_int_equal(docs_ownership_parse(&arena, SLICE("<OwnershipControls/>"), &o, NULL), S3_MALFORMED_XML);
    assert_int_equal(docs_ownership_parse(
                         &arena, SLICE("<OwnershipControls><Rule/><Rule/></OwnershipControls>"), &o, NULL),
                     S3_MALFORMED_XML);
}

#define SSE(text, rest) "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>" text \
                        "</ApplyServerSideEncryptionByDefault>" rest "</Rule></ServerSideEncryptionConfiguration>"

static int encryption(const char *text, struct docs_encryption *ret)
{
    return docs_encryption_parse(&arena, slice_str(text), ret, NULL);
}

static void encryption__names_an_algorithm(void **state)
{
    struct docs_encryption e;
    struct text            t = { .limit = 4096 };

    (void)state;
    assert_int_equal(encryption(SSE("<SSEAlgorithm>AES256</SSEAlgorithm>", ""), &e), 0);
    assert_text(e.algorithm, "AES256");
    assert_false(e.bucket_key);
    assert_int_equal(encryption(SSE("<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>",
                                    "<BucketKeyEnabled>true</BucketKeyEnabled>"), &e), 0);
    docs_encryption_write(&t, &e);
    assert_written(&t, "ServerSideEncryptionConfiguration",
                   "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms"
                   "</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></"
                   "ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true"
                   "</BucketKeyEnabled></Rule>");
    assert_int_equal(encryption(SSE("<SSEAlgorithm>ROT13</SSEAlgorithm>", ""), &e), S3_MALFORMED_XML);
    assert_int_equal(encryption(SSE("", ""), &e), S3_MALFORMED_XML);
    assert_int_equal(
        encryption(SSE("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>", ""), &e),
        S3_INVALID_ARGUMENT);
}

#define CREATE(text) "<CreateBucketConfiguration>" text "</CreateBucketConfiguration>"

static void create_bucket__may_say_nothing(void **state)
{
    struct docs_create_bucket c;

    (void)state;
    assert_int_equal(docs_create_bucket_parse(&arena, SLICE(" \r\n"), &c, NULL), 0);
    assert_int_equal(c.location.size, 0);
    assert_int_equal(
        docs_create_bucket_parse(
            &arena,
            SLICE(CREATE("<LocationConstraint>EU</LocationConstraint><Tags>" TAG("a", "b") "</Tags>")), &c,
            NULL),
        0);
    assert_text(c.location, "EU");
    assert_int_equal(c.tag_count, 1);
    assert_int_equal(docs_create_bucket_parse(&arena, SLICE(CREATE("<Other/>")), &c, NULL), S3_MALFORMED_XML);
    assert_int_equal(docs_create_bucket_parse(&arena, SLICE("<x/>"), &c, NULL), S3_MALFORMED_XML);
    assert_int_equal(
        docs_create_bucket_parse(&arena, SLICE(CREATE("<Bucket><Type>Directory</Type></Bucket>")), &c, NULL),
        S3_NOT_IMPLEMENTED);
}

/* --- Lists. --- */

static void delete__reads_keys_versions_and_conditions(void **state)
{
    struct docs_delete d;

    (void)state;
    assert_int_equal(
        docs_delete_parse(
            &arena,
            SLICE("<Delete><Object><Key> a &amp; b </Key><VersionId>v1</VersionId></Object><Quiet>true"
                  "</Quiet><Object><Key>c</Key><ETag>\"e\"</ETag><Size>7</Size><LastModifiedTime>Wed, 21 Oct "
                  "2015 07:28:00 GMT</LastModifiedTime>"
                  "</Object><Object><Key>d</Key><LastModifiedTime>2015-10-21T07:28:00Z</LastModifiedTime></"
                  "Object></Delete>"),
            &d, NULL),
        0);
    assert_int_equal(d.count, 3);
    assert_true(d.quiet);
    assert_text(d.items[0].key, " a & b ");   /* Blanks belong to a key. */
    assert_text(d.items[0].version, "v1");
    assert_false(d.items[0].has_size);
    assert_text(d.items[1].etag, "\"e\"");
    assert_true(d.items[1].has_size && d.items[1].size == 7);
    assert_true(d.items[1].has_modified && d.items[1].modified_s == 1445412480);
    assert_true(d.items[2].modified_s == 1445412480);
}

static int delete_many(int count)
{
    struct docs_delete d;
    struct text        t = { .limit = XML_BYTES_MAX };

    text_lit(&t, "<Delete>");
    for (int i = 0; i < count; i++)
        text_add(&t, slice_str(arena_printf(&arena, "<Object><Key>key-%d</Key></Object>", i)));
    text_lit(&t, "</Delete>");
    int rc = docs_delete_parse(&arena, text_slice(&t), &d, NULL);
    if (rc == 0)
        assert_int_equal(d.count, count);
    text_done(&t);
    return rc;
}

static void delete__has_limits(void **state)
{
    struct docs_delete d;

    (void)state;
    assert_int_equal(delete_many(DOCS_DELETE_MAX), 0);
    assert_int_equal(delete_many(DOCS_DELETE_MAX + 1), S3_MALFORMED_XML);
    assert_int_equal(delete_many(0), S3_MALFORMED_XML);
    assert_int_equal(
        docs_delete_parse(&arena, SLICE("<Delete><Object><Key></Key></Object></Delete>"), &d, NULL),
        S3_MALFORMED_XML);
    assert_int_equal(docs_delete_parse(&arena,
                                       SLICE("<Delete><Object><VersionId>1</VersionId></Object></Delete>"),
                                       &d, NULL),
                     S3_MALFORMED_XML);
    assert_int_equal(docs_delete_parse(&arena,
                                       SLICE("<Delete><Object><Key>k</Key><Size>x</Size></Object></Delete>"),
                                       &d, NULL),
                     S3_MALFORMED_XML);
}

#define COMPLETE(parts) "<CompleteMultipartUpload>" parts "</CompleteMultipartUpload>"
#define PART(number, rest) "<Part><PartNumber>" number "</PartNumber><ETag>&quot;e&quot;</ETag>" rest "</Part>"

static int complete(const char *text, struct docs_part **ret, uint32_t *ret_count)
{
    return docs_complete_parse(&arena, slice_str(text), ret, ret_count, NULL);
}

static void complete__reads_parts_in_order(void **state)
{
    struct docs_part *parts = NULL;
    uint32_t          count = 0;

    (void)state;
    assert_int_equal(
        complete(COMPLETE(PART("2", "<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>") PART("1", "")),
                 &parts, &count),
        0);
    assert_int_equal(count, 2);
    assert_int_equal(parts[0].number, 2);
    assert_text(parts[0].etag, "\"e\"");
    assert_int_equal(parts[0].checksum_kind, CHECKSUM_CRC64NVME);
    assert_text(parts[0].checksum, "AAAAAAAAAAA=");
    assert_int_equal(parts[1].checksum_kind, CHECKSUM_NONE);
    assert_int_equal(parts[1].checksum.size, 0);
    assert_int_equal(complete(COMPLETE(""), &parts, &count), S3_MALFORMED_XML);
    assert_int_equal(complete(COMPLETE("<Part><PartNumber>1</PartNumber></Part>"), &parts, &count),
                     S3_MALFORMED_XML);
    assert_int_equal(complete(COMPLETE(PART("x", "")), &parts, &count), S3_MALFORMED_XML);
    assert_int_equal(complete(COMPLETE(PART("0", "")), &parts, &count), S3_INVALID_ARGUMENT);
    assert_int_equal(complete(COMPLETE(PART("10001", "")), &parts, &count), S3_INVALID_ARGUMENT);
    assert_int_equal(
        complete(COMPLETE(PART("1", "<ChecksumCRC32>a</ChecksumCRC32><ChecksumSHA1>b</ChecksumSHA1>")),
                 &parts, &count),
        S3_INVALID_REQUEST);
    assert_int_equal(complete(COMPLETE(PART("1", "<ChecksumCRC32/>")), &parts, &count), S3_MALFORMED_XML);
}

/* The largest list with the longest checksum takes no more memory than is promised. */
static void complete__takes_all_parts_there_can_be(void **state)
{
    struct docs_part *parts;
    uint32_t          count;
    struct text       t = { .limit = XML_BYTES_MAX };
    char              line[256];

    (void)state;
    text_lit(&t, "<CompleteMultipartUpload>");
    for (int i = 1; i <= PART_NUMBER_MAX; i++) {
        snprintf(line, sizeof line,
                 "<Part><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><PartNumber>%d</PartNumber>"
                 "<ChecksumSHA256>ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=</ChecksumSHA256></Part>",
                 i);
        text_add(&t, slice_str(line));
    }
    size_t whole = t.size;
    text_lit(&t, "</CompleteMultipartUpload>");
    assert_false(t.failed);
    assert_int_equal(docs_complete_parse(&arena, text_slice(&t), &parts, &count, NULL), 0);
    assert_int_equal(count, PART_NUMBER_MAX);
    assert_int_equal(parts[count - 1].number, PART_NUMBER_MAX);
    assert_text(parts[count - 1].etag, "\"0123456789abcdef0123456789abcdef\"");
    assert_text(parts[count - 1].checksum, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    assert_in_range(arena.used, 1, 1536 * 1024);
    t.size = whole;
    text_add(&t, slice_str(line));
    text_lit(&t, "</CompleteMultipartUpload>");
    arena_reset(&arena);
    assert_int_equal(docs_complete_parse(&arena, text_slice(&t), &parts, &count, NULL), S3_MALFORMED_XML);
    text_done(&t);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(tagging__is_read_and_written),
        T(tagging__refuses_what_is_wrong),
        T(tagging__has_limits_in_characters),
        T(tagging_header__is_a_query),
        T(versioning__is_enabled_or_suspended),
        T(lock__has_days_or_years),
        T(lock__refuses_what_is_wrong),
        T(retention__has_mode_and_date_or_neither),
        T(legal_hold__is_on_or_off),
        T(public_access__has_four_flags),
        T(ownership__has_one_rule),
        T(encryption__names_an_algorithm),
        T(create_bucket__may_say_nothing),
        T(delete__reads_keys_versions_and_conditions),
        T(delete__has_limits),
        T(complete__reads_parts_in_order),
        T(complete__takes_all_parts_there_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
