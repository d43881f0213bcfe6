/* tests/fuzz/proxy/s3/s3_xml_fuzz.c - every XML document of S3 and two headers. The first byte picks. What is
 * accepted must survive being written and read again, unchanged. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/s3/cors.h"
#include "proxy/s3/docs.h"
#include "proxy/s3/lifecycle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 * 1024 * 1024, TEXT_BYTES = 32 * 1024 * 1024, ROUNDS = 2 };

static const struct acl_person owner = {{(const uint8_t *)"p1", 2},
                                        {(const uint8_t *)"p1", 2}}; /* Names are ids here. */

static int by_id(void *ctx, struct slice id, struct arena *a, struct slice *ret_name)
{
    (void)ctx;
    *ret_name = arena_dup(a, id);
    return id.size > 4 ? -ENOENT : ret_name->data ? 0 : -ENOMEM;
}

static int by_email(void *ctx, struct slice email, struct arena *a, struct acl_person *ret)
{
    (void)ctx;
    (void)a;
    *ret = owner;
    return email.size > 4 ? -ENOENT : 0;
}

static const struct acl_names names = { by_id, by_email, NULL };

/* Each reads 'in' and, when it is accepted, writes 'out'. */
typedef int (*round_fn)(struct arena *arena, struct slice in, struct text *out, struct error *err);

static int round_acl(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    Rs__Acl *acl;
    int      rc = s3_acl_from_xml(arena, in, &owner, &names, &acl, err);

    if (rc == 0) {
        assert(acl->n_grants <= ACL_GRANTS_MAX);
        s3_acl_allows(acl, SLICE("p2"), ACL_READ, false);
        s3_acl_write(out, acl);
    }
    return rc;
}

static int round_cors(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct cors       *cors;
    struct cors_answer answer;
    int                rc = cors_parse(arena, in, &cors, err);

    if (rc == 0) {
        const struct cors_rule *rule =
            cors_match(cors, SLICE("http://a.example.com"), SLICE("GET"), SLICE("range,x-amz-date"));
        if (rule)
            assert(cors_answer(arena, rule, SLICE("http://a.example.com"), SLICE_NONE, &answer) == 0);
        cors_write(out, cors);
    }
    return rc;
}

static int round_lifecycle(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct lifecycle        *l;
    struct lifecycle_subject s = { .name = SLICE("a/b"), .size = 7, .since_us = 1700000000000000, .alone = true };
    struct lifecycle_due     due;
    int                      rc = lifecycle_parse(arena, in, &l, err);

    if (rc == 0) {
        for (int kind = LIFECYCLE_CURRENT; kind <= LIFECYCLE_UPLOAD; kind++) {
            s.kind = (enum lifecycle_kind)kind;
            lifecycle_judge(l, &s, 1800000000000000, LIFECYCLE_DAY_S, &due);
            assert(due.what == LIFECYCLE_NOTHING || (due.rule && due.at_us <= 1800000000000000));
        }
        s.kind = LIFECYCLE_CURRENT;
        if (lifecycle_expiry(l, &s, LIFECYCLE_DAY_S, &due))
            assert(lifecycle_expiry_text(arena, &due));
        lifecycle_write(out, l);
    }
    return rc;
}

static int round_tagging(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    Rs__MetaItem **tags;
    size_t         count;
    int            rc = docs_tagging_parse(arena, in, TAGS_BUCKET_MAX, &tags, &count, err);

    if (rc == 0)
        docs_tagging_write(out, tags, count);
    return rc;
}

static int round_versioning(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    enum versioning v;
    int             rc = docs_versioning_parse(arena, in, &v, err);

    if (rc == 0)
        docs_versioning_write(out, v);
    return rc;
}

static int round_lock(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct lock_config lock;
    int                rc = docs_lock_parse(arena, in, &lock, err);

    if (rc == 0)
        docs_lock_write(out, &lock);
    return rc;
}

static int round_retention(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    enum object_lock_mode mode;
    uint64_t              until_us;
    int                   rc = docs_retention_parse(arena, in, &mode, &until_us, err);

    if (rc == 0)
        docs_retention_write(out, mode, until_us);
    return rc;
}

static int round_hold(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    bool on;
    int  rc = docs_legal_hold_parse(arena, in, &on, err);

    if (rc == 0)
        docs_legal_hold_write(out, on);
    return rc;
}

static int round_block(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct public_access_block block;
    int                        rc = docs_public_access_parse(arena, in, &block, err);

    if (rc == 0)
        docs_public_access_write(out, &block);
    return rc;
}

static int round_ownership(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    enum s3_ownership ownership;
    int               rc = docs_ownership_parse(arena, in, &ownership, err);

    if (rc == 0)
        docs_ownership_write(out, ownership);
    return rc;
}

static int round_encryption(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct docs_encryption e;
    int                    rc = docs_encryption_parse(arena, in, &e, err);

    if (rc == 0)
        docs_encryption_write(out, &e);
    return rc;
}

/* These are only read. */

static int round_delete(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct docs_delete d;
    int                rc = docs_delete_parse(arena, in, &d, err);

    (void)out;
    if (rc == 0) {
        assert(d.count > 0 && d.count <= DOCS_DELETE_MAX);
        for (uint32_t i = 0; i < d.count; i++)
            assert(d.items[i].key.size);
    }
    return rc;
}

static int round_complete(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct docs_part *parts;
    uint32_t          count;
    int               rc = docs_complete_parse(arena, in, &parts, &count, err);

    (void)out;
    if (rc == 0) {
        assert(count > 0 && count <= PART_NUMBER_MAX);
        for (uint32_t i = 0; i < count; i++)
            assert(parts[i].number > 0 && parts[i].number <= PART_NUMBER_MAX &&
                   (parts[i].checksum_kind == CHECKSUM_NONE) == (parts[i].checksum.size == 0));
    }
    return rc;
}

static int round_create(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct docs_create_bucket create;

    (void)out;
    return docs_create_bucket_parse(arena, in, &create, err);
}

static int round_tag_header(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    Rs__MetaItem **tags;
    size_t         count;
    int            rc = docs_tagging_header(arena, in, TAGS_OBJECT_MAX, &tags, &count, err);

    (void)out;
    assert(rc || count <= TAGS_OBJECT_MAX);
    return rc;
}

static int round_grant_header(struct arena *arena, struct slice in, struct text *out, struct error *err)
{
    struct acl_headers headers = { .read = in };
    Rs__Acl           *acl;

    (void)out;
    s3_ownership_check(OWNERSHIP_BUCKET_OWNER_ENFORCED, &(struct acl_headers){.full_control = in}, owner.id,
                       NULL);
    return s3_acl_from_headers(arena, &headers, true, &owner, &owner, &names, &acl, err);
}

static const round_fn rounds[] = {
    round_acl,       round_cors,   round_lifecycle,  round_tagging,      round_versioning, round_lock,
    round_retention, round_hold,   round_block,      round_ownership,    round_encryption, round_delete,
    round_complete,  round_create, round_tag_header, round_grant_header,
};

/* Reads, writes, reads what was written and writes it again: the two must be the same. */
static void check(struct arena *arena, round_fn round, struct slice text)
{
    struct text  out[ROUNDS] = { { .limit = TEXT_BYTES }, { .limit = TEXT_BYTES } };
    struct error err = { .text = "" };
    int          rc = round(arena, text, &out[0], &err);

    assert(rc == 0 || rc == -ENOMEM || (rc > 0 && rc < S3_CODE_END_ && err.code == rc && err.text[0]));
    if (rc == 0 && out[0].size && out[0].size < XML_BYTES_MAX) {
        rc = round(arena, text_slice(&out[0]), &out[1], &err);
        /* What was just under a limit of bytes may be over it with our declaration and escapes. */
        assert(rc == 0 || out[0].size > CORS_BYTES_MAX);
        assert(rc || slice_equal(text_slice(&out[0]), text_slice(&out[1])));
    }
    text_done(&out[0]);
    text_done(&out[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    uint8_t     *copy;

    if (size < 1 || !(copy = malloc(size)))   /* Ends where the text ends. */
        return 0;
    memcpy(copy, data + 1, size - 1);
    arena_init(&arena, ARENA_BYTES);
    check(&arena, rounds[data[0] % (sizeof rounds / sizeof *rounds)], slice_of(copy, size - 1));
    arena_done(&arena);
    free(copy);
    return 0;
}
