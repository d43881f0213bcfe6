/* tests/proxy/s3/acl_test.c - access control lists from headers and XML, what they allow, who owns. */
#include "proxy/s3/acl.h"

#include <stdlib.h>

#include "tests/lib/test.h"

#define ALL_USERS "http://acs.amazonaws.com/groups/global/AllUsers"
#define AUTHENTICATED "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"

static struct arena            arena;
static const struct acl_person owner = { { (const uint8_t *)"p1", 2 }, { (const uint8_t *)"main", 4 } };
static const struct acl_person other = { { (const uint8_t *)"p2", 2 }, { (const uint8_t *)"alt", 3 } };

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static int by_id(void *ctx, struct slice id, struct arena *a, struct slice *ret_name)
{
    (void)ctx;
    (void)a;
    const struct acl_person *people[] = { &owner, &other };
    for (int i = 0; i < 2; i++)
        if (slice_equal(id, people[i]->id)) {
            *ret_name = people[i]->name;
            return 0;
        }
    return -ENOENT;
}

static int by_email(void *ctx, struct slice email, struct arena *a, struct acl_person *ret)
{
    (void)ctx;
    (void)a;
    if (!slice_equal(email, SLICE("alt@example.com")))
        return -ENOENT;
    *ret = other;
    return 0;
}

static const struct acl_names names = { by_id, by_email, NULL };

static void assert_text(struct slice got, const char *want)
{
    assert_int_equal(got.size, strlen(want));
    assert_memory_equal(got.size ? (const char *)got.data : "", want, got.size);
}

/* "main:15 all:1" - who has what, in order. */
static void assert_grants(const Rs__Acl *acl, const char *want)
{
    static const char *const kinds[] = { NULL, "all", "authenticated", "log" };
    struct text              t = { .limit = 8192 };

    for (size_t i = 0; i < acl->n_grants; i++) {
        const Rs__Grant *g = acl->grants[i];
        if (i)
            text_lit(&t, " ");
        assert_in_range(g->grantee, 0, 3);
        text_add(&t, g->grantee ? slice_str(kinds[g->grantee])
                                : slice_of(g->display_name.data, g->display_name.len));
        text_lit(&t, ":");
        text_number(&t, g->permission);
    }
    assert_text(text_slice(&t), want);
    text_done(&t);
}

static Rs__Acl *canned(const char *name, bool of_bucket, const struct acl_person *writer)
{
    Rs__Acl *acl = NULL;

    assert_int_equal(s3_acl_canned(&arena, slice_str(name), of_bucket, writer, &owner, &acl, NULL), 0);
    return acl;
}

static void canned__gives_what_its_name_says(void **state)
{
    Rs__Acl *acl = NULL;

    (void)state;
    assert_grants(canned("", true, &owner), "main:15");
    assert_grants(canned("private", false, &other), "alt:15");
    assert_grants(canned("public-read", true, &owner), "all:1 main:15");
    assert_grants(canned("public-read-write", true, &owner), "all:1 all:2 main:15");
    assert_grants(canned("authenticated-read", true, &owner), "authenticated:1 main:15");
    assert_grants(canned("bucket-owner-read", false, &other), "alt:15 main:1");
    assert_grants(canned("bucket-owner-full-control", false, &other), "alt:15 main:15");
    assert_grants(canned("bucket-owner-full-control", false, &owner), "main:15");
    assert_grants(canned("bucket-owner-read", true, &owner), "main:15");
    assert_grants(canned("log-delivery-write", true, &owner), "log:2 log:4 main:15");
    assert_int_equal(s3_acl_canned(&arena, SLICE("log-delivery-write"), false, &owner, &owner, &acl, NULL),
                     S3_INVALID_ARGUMENT);
    assert_int_equal(s3_acl_canned(&arena, SLICE("Public-Read"), true, &owner, &owner, &acl, NULL),
                     S3_INVALID_ARGUMENT);
    assert_int_equal(s3_acl_canned(&arena, SLICE("aws-exec-read"), true, &owner, &owner, &acl, NULL),
                     S3_NOT_IMPLEMENTED);
    assert_null(acl);
}

static int from_headers(const struct acl_headers *headers, Rs__Acl **ret)
{
    return s3_acl_from_headers(&arena, headers, true, &owner, &owner, &names, ret, NULL);
}

static void headers__make_grants(void **state)
{
    struct acl_headers h = {.read = SLICE("id=p2"),
                            .full_control = SLICE("emailAddress=\"alt@example.com\", ID=\"p1\""),
                            .write_acp = SLICE(" uri=" ALL_USERS " ,id=p1")};
    Rs__Acl           *acl = NULL;

    (void)state;
    assert_true(s3_acl_headers_given(&h));
    assert_int_equal(from_headers(&h, &acl), 0);
    assert_grants(acl, "all:8 alt:1 main:8 alt:15 main:15");
    h = (struct acl_headers) { .canned = SLICE("public-read") };
    assert_int_equal(from_headers(&h, &acl), 0);
    assert_grants(acl, "all:1 main:15");
    h = (struct acl_headers) { .canned = SLICE_NONE };
    assert_false(s3_acl_headers_given(&h));
    assert_int_equal(from_headers(&h, &acl), 0);
    assert_grants(acl, "main:15");
}

static void headers__are_refused_when_malformed(void **state)
{
    static const char *const bad[] = {"x",      "id",           "id=", "id=p3", "id=\"p1", "id=\"p1\" id=p1",
                                      "who=p1", "uri=http://x", "=p1"};
    struct acl_headers       h;
    Rs__Acl                 *acl = NULL;
    static char              longer[ACL_HEADER_BYTES_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        h = (struct acl_headers) { .read = slice_str(bad[i]) };
        assert_int_equal(from_headers(&h, &acl), S3_INVALID_ARGUMENT);
    }
    h = (struct acl_headers) { .read = SLICE("emailAddress=no@example.com") };
    assert_int_equal(from_headers(&h, &acl), S3_UNRESOLVABLE_GRANT_BY_EMAIL);
    h = (struct acl_headers) { .canned = SLICE("private"), .read = SLICE("id=p2") };
    assert_int_equal(from_headers(&h, &acl), S3_INVALID_REQUEST);
    h = (struct acl_headers) { .canned = SLICE("") };
    assert_int_equal(from_headers(&h, &acl), S3_INVALID_ARGUMENT);
    memset(longer, ' ', sizeof longer);
    h = (struct acl_headers) { .read = slice_of(longer, sizeof longer) };
    assert_int_equal(from_headers(&h, &acl), S3_INVALID_ARGUMENT);
    assert_null(acl);
}

#define XSI " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
#define POLICY(grants)                                                                                       \
    "<AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner><ID>p1</ID></Owner>"      \
    "<AccessControlList>" grants "</AccessControlList></AccessControlPolicy>"
#define GRANT(type, who, permission)                                                                         \
    "<Grant><Grantee" XSI type ">" who "</Grantee><Permission>" permission "</Permission></Grant>"

static int from_xml(const char *xml, Rs__Acl **ret)
{
    return s3_acl_from_xml(&arena, slice_str(xml), &owner, &names, ret, NULL);
}

static void xml__makes_grants(void **state)
{
    Rs__Acl *acl = NULL;

    (void)state;
    assert_int_equal(
        from_xml(POLICY(GRANT("xsi:type=\"CanonicalUser\"", "<ID>p2</ID><DisplayName>no matter</DisplayName>",
                              "READ") GRANT("xsi:type=\"Group\"", "<URI>" AUTHENTICATED "</URI>", "WRITE")
                            GRANT("xsi:type=\"AmazonCustomerByEmail\"",
                                  "<EmailAddress>alt@example.com</EmailAddress>", "FULL_CONTROL")
                                GRANT("", "<ID>p1</ID>", "READ_ACP")
                                    GRANT("", "<URI>" ALL_USERS "</URI>", "WRITE_ACP")),
                 &acl),
        0);
    assert_grants(acl, "authenticated:2 all:8 alt:1 alt:15 main:4");
    assert_int_equal(from_xml(POLICY(""), &acl), 0);
    assert_grants(acl, "");
    assert_text(slice_of(acl->owner_name.data, acl->owner_name.len), "main");
}

static void xml__is_refused_when_wrong(void **state)
{
    Rs__Acl *acl = NULL;

    (void)state;
    assert_int_equal(from_xml("<x/>", &acl), S3_MALFORMED_XML);
    assert_int_equal(from_xml("<AccessControlPolicy/>", &acl), S3_MALFORMED_ACL);
    assert_int_equal(from_xml("<AccessControlPolicy><Owner/></AccessControlPolicy>", &acl), S3_MALFORMED_ACL);
    assert_int_equal(from_xml("<AccessControlPolicy><Owner><ID>p2</ID></Owner></AccessControlPolicy>", &acl),
                     S3_ACCESS_DENIED);
    assert_int_equal(from_xml(POLICY("<Grant/>"), &acl), S3_MALFORMED_ACL);
    assert_int_equal(from_xml(POLICY(GRANT("", "<ID>p1</ID>", "EVERYTHING")), &acl), S3_MALFORMED_ACL);
    assert_int_equal(from_xml(POLICY(GRANT("xsi:type=\"Robot\"", "<ID>p1</ID>", "READ")), &acl), S3_MALFORMED_ACL);
    assert_int_equal(from_xml(POLICY(GRANT("xsi:type=\"CanonicalUser\"", "<ID>_foo</ID>", "READ")), &acl),
                     S3_INVALID_ARGUMENT);
    assert_int_equal(from_xml(POLICY(GRANT("xsi:type=\"CanonicalUser\"", "", "READ")), &acl), S3_INVALID_ARGUMENT);
    assert_int_equal(from_xml(POLICY(GRANT("xsi:type=\"Group\"", "<URI>x</URI>", "READ")), &acl),
                     S3_INVALID_ARGUMENT);
    assert_int_equal(from_xml(POLICY(GRANT("", "<EmailAddress>x</EmailAddress>", "READ")), &acl),
                     S3_UNRESOLVABLE_GRANT_BY_EMAIL);
    assert_null(acl);
}

static int parse_grants(int count, Rs__Acl **ret)
{
    struct text t = { .limit = XML_BYTES_MAX };

    text_lit(&t, "<AccessControlPolicy><Owner><ID>p1</ID></Owner><AccessControlList>");
    for (int i = 0; i < count; i++)
        text_lit(&t, "<Grant><Grantee><ID>p2</ID></Grantee><Permission>READ</Permission></Grant>");
    text_lit(&t, "</AccessControlList></AccessControlPolicy>");
    int rc = s3_acl_from_xml(&arena, text_slice(&t), &owner, &names, ret, NULL);
    text_done(&t);
    return rc;
}

static void grants__have_a_limit(void **state)
{
    Rs__Acl *acl = NULL;

    (void)state;
    assert_int_equal(parse_grants(ACL_GRANTS_MAX + 1, &acl), S3_MALFORMED_ACL);
    assert_null(acl);
    assert_int_equal(parse_grants(ACL_GRANTS_MAX, &acl), 0);
    assert_int_equal(acl->n_grants, ACL_GRANTS_MAX);
}

static void write__is_read_back(void **state)
{
    struct text t = { .limit = 65536 };
    Rs__Acl    *acl = canned("public-read-write", true, &owner), *again = NULL;

    (void)state;
    s3_acl_write(&t, acl);
    assert_false(t.failed);
    assert_int_equal(s3_acl_from_xml(&arena, text_slice(&t), &owner, &names, &again, NULL), 0);
    assert_grants(again, "all:1 all:2 main:15");
    assert_non_null(
        strstr(t.data, "xsi:type=\"Group\"><URI>" ALL_USERS "</URI></Grantee><Permission>READ</Permission>"));
    text_done(&t);
}

static void allows__by_owner_grant_and_group(void **state)
{
    struct slice p1 = owner.id, p2 = other.id, anonymous = SLICE_NONE;
    Rs__Acl     *acl = canned("public-read", true, &owner);

    (void)state;
    assert_true(s3_acl_allows(acl, p1, ACL_FULL_CONTROL, false));
    assert_true(s3_acl_allows(acl, p2, ACL_READ, false));
    assert_true(s3_acl_allows(acl, anonymous, ACL_READ, false));
    assert_false(s3_acl_allows(acl, anonymous, ACL_WRITE, false));
    assert_false(s3_acl_allows(acl, anonymous, ACL_READ, true));
    assert_false(s3_acl_allows(acl, p1, 0, false));   /* No permission stands for that action. */
    acl = canned("authenticated-read", true, &owner);
    assert_true(s3_acl_allows(acl, p2, ACL_READ, false));
    assert_false(s3_acl_allows(acl, p2, ACL_READ, true));
    assert_false(s3_acl_allows(acl, anonymous, ACL_READ, false));
    acl = canned("log-delivery-write", true, &owner);
    assert_false(s3_acl_allows(acl, p2, ACL_WRITE, false));
    assert_int_equal(from_xml(POLICY(GRANT("", "<ID>p2</ID>", "READ") GRANT("", "<ID>p2</ID>", "WRITE")), &acl), 0);
    assert_true(s3_acl_allows(acl, p2, ACL_READ | ACL_WRITE, false));
    assert_false(s3_acl_allows(acl, p2, ACL_READ_ACP, false));
    /* The owner took all rights from himself, but for those to the list. */
    assert_false(s3_acl_allows(acl, p1, ACL_READ, false));
    assert_true(s3_acl_allows(acl, p1, ACL_READ_ACP | ACL_WRITE_ACP, false));
}

static void public__is_a_grant_to_a_group_of_all(void **state)
{
    (void)state;
    assert_true(s3_acl_is_public(canned("public-read", true, &owner)));
    assert_true(s3_acl_is_public(canned("authenticated-read", true, &owner)));
    assert_false(s3_acl_is_public(canned("log-delivery-write", true, &owner)));
    assert_false(s3_acl_is_public(canned("private", true, &owner)));
    assert_true(s3_acl_grants_others(canned("log-delivery-write", true, &owner), owner.id));
    assert_true(s3_acl_grants_others(canned("bucket-owner-read", false, &other), owner.id));
    assert_false(s3_acl_grants_others(canned("private", true, &owner), owner.id));
}

static void ownership__enforced_refuses_acls(void **state)
{
    const struct acl_headers none = {.canned = SLICE_NONE},
                             full = {.canned = SLICE("bucket-owner-full-control")};
    const struct acl_headers private = {.canned = SLICE("private")},
                             grant = {.full_control = SLICE("id=\"p1\"")};
    const struct acl_headers foreign = { .full_control = SLICE("id=p1,id=p2") }, read = { .read = SLICE("id=p1") };

    (void)state;
    assert_int_equal(s3_ownership_check(OWNERSHIP_BUCKET_OWNER_ENFORCED, &none, owner.id, NULL), 0);
    assert_int_equal(s3_ownership_check(OWNERSHIP_BUCKET_OWNER_ENFORCED, &full, owner.id, NULL), 0);
    assert_int_equal(s3_ownership_check(OWNERSHIP_BUCKET_OWNER_ENFORCED, &grant, owner.id, NULL), 0);
    assert_int_equal(s3_ownership_check(OWNERSHIP_BUCKET_OWNER_ENFORCED, &private, owner.id, NULL),
                     S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED);
    assert_int_equal(s3_ownership_check(OWNERSHIP_BUCKET_OWNER_ENFORCED, &foreign, owner.id, NULL),
                     S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED);
    assert_int_equal(s3_ownership_check(OWNERSHIP_BUCKET_OWNER_ENFORCED, &read, owner.id, NULL),
                     S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED);
    assert_int_equal(s3_ownership_check(OWNERSHIP_OBJECT_WRITER, &private, owner.id, NULL), 0);
    assert_int_equal(s3_ownership_check(OWNERSHIP_BUCKET_OWNER_PREFERRED, &read, owner.id, NULL), 0);
    assert_true(s3_ownership_takes(OWNERSHIP_BUCKET_OWNER_ENFORCED, &none));
    assert_true(s3_ownership_takes(OWNERSHIP_BUCKET_OWNER_PREFERRED, &full));
    assert_false(s3_ownership_takes(OWNERSHIP_BUCKET_OWNER_PREFERRED, &none));
    assert_false(s3_ownership_takes(OWNERSHIP_OBJECT_WRITER, &full));
}

static void ownership__has_names(void **state)
{
    enum s3_ownership o = OWNERSHIP_OBJECT_WRITER;

    (void)state;
    assert_true(s3_ownership_of(SLICE("BucketOwnerEnforced"), &o));
    assert_int_equal(o, OWNERSHIP_BUCKET_OWNER_ENFORCED);
    assert_string_equal(s3_ownership_name(OWNERSHIP_BUCKET_OWNER_PREFERRED), "BucketOwnerPreferred");
    assert_false(s3_ownership_of(SLICE("Nobody"), &o));
}

static void acl__survives_packing(void **state)
{
    Rs__Acl *acl = canned("public-read", true, &owner);
    uint8_t *packed = malloc(rs__acl__get_packed_size(acl));

    (void)state;
    assert_non_null(packed);
    size_t   size = rs__acl__pack(acl, packed);
    Rs__Acl *again = rs__acl__unpack(NULL, size, packed);
    assert_non_null(again);
    assert_grants(again, "all:1 main:15");
    rs__acl__free_unpacked(again, NULL);
    free(packed);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(canned__gives_what_its_name_says),
        T(headers__make_grants),
        T(headers__are_refused_when_malformed),
        T(xml__makes_grants),
        T(xml__is_refused_when_wrong),
        T(grants__have_a_limit),
        T(write__is_read_back),
        T(allows__by_owner_grant_and_group),
        T(public__is_a_grant_to_a_group_of_all),
        T(ownership__enforced_refuses_acls),
        T(ownership__has_names),
        T(acl__survives_packing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
