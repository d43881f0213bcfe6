/* tests/proxy/swift/acl_test.c - access lists: cleaning and judging. */
#include "proxy/swift/acl.h"

#include "tests/lib/test.h"

static void assert_clean(const char *header, const char *want)
{
    struct arena arena;
    struct slice acl;
    const char  *why;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    assert_int_equal(acl_clean(&arena, slice_str(header), false, &acl, &why), 0);
    assert_int_equal(acl.size, strlen(want));
    assert_memory_equal(acl.data, want, acl.size);
    arena_done(&arena);
}

static void clean__takes_out_what_is_messy(void **state)
{
    (void)state;
    assert_clean("bob, sue", "bob,sue");
    assert_clean("bob , sue", "bob,sue");
    assert_clean("bob,,,sue", "bob,sue");
    assert_clean(".referrer : *", ".r:*");
    assert_clean(".ref:*.example.com", ".r:.example.com");
    assert_clean(".r:*, .rlistings", ".r:*,.rlistings");
    assert_clean(".r: - .thief.com", ".r:-.thief.com");
    assert_clean("p1:u1 , *:u2,p3:*", "p1:u1,*:u2,p3:*");
    assert_clean("", "");
    assert_clean(" , ,", "");
}

static void assert_refused(const char *header, bool write)
{
    struct arena arena;
    struct slice acl;
    const char  *why = NULL;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    assert_int_equal(acl_clean(&arena, slice_str(header), write, &acl, &why), -E_SYNTAX);
    assert_non_null(why);
    arena_done(&arena);
}

static void clean__refuses_what_means_nothing(void **state)
{
    (void)state;
    assert_refused(".r:", false);
    assert_refused(".r:-", false);
    assert_refused(".r:*.", false);
    assert_refused(".unknown:x", false);
    assert_refused(".r:*", true);
}

static bool referrer(const char *acl, const char *referer)
{
    return acl_referrer(slice_str(acl), slice_str(referer));
}

static void referrer__last_rule_decides(void **state)
{
    (void)state;
    assert_true(referrer(".r:*", ""));
    assert_true(referrer(".r:*", "http://www.example.com/x"));
    assert_false(referrer("", "http://www.example.com/x"));
    assert_false(referrer("bob", "http://www.example.com/x"));
    assert_true(referrer(".r:.example.com", "http://www.example.com/x"));
    assert_true(referrer(".r:www.example.com", "https://user:pw@WWW.example.com:8080/x"));
    assert_false(referrer(".r:.example.com", "http://example.com.thief.com/"));
    assert_false(referrer(".r:.example.com", "http://thief.com/.example.com"));
    assert_false(referrer(".r:*,.r:-.thief.com", "http://a.thief.com/"));
    assert_true(referrer(".r:*,.r:-.thief.com", "http://other.com/"));
    assert_true(referrer(".r:-.thief.com,.r:*", "http://a.thief.com/"));
    assert_false(referrer(".r:.example.com", ""));
}

static void listings__are_a_right_of_their_own(void **state)
{
    (void)state;
    assert_true(acl_listings(SLICE(".r:*,.rlistings")));
    assert_false(acl_listings(SLICE(".r:*")));
    assert_false(acl_listings(SLICE("x.rlistings")));
}

static void user__by_id_name_star_or_role(void **state)
{
    struct slice   roles[] = { SLICE("Auditor") };
    struct acl_who who = { SLICE("u1"), SLICE("alice"), SLICE("p1"), SLICE("red"), roles, 1 };

    (void)state;
    assert_true(acl_user(SLICE("p1:u1"), &who));
    assert_true(acl_user(SLICE("red:alice"), &who));
    assert_true(acl_user(SLICE("x:y,p1:alice"), &who));
    assert_true(acl_user(SLICE("p1:*"), &who));
    assert_true(acl_user(SLICE("*:u1"), &who));
    assert_true(acl_user(SLICE("*:*"), &who));
    assert_true(acl_user(SLICE("auditor"), &who));
    assert_false(acl_user(SLICE("p2:u1"), &who));
    assert_false(acl_user(SLICE("p1:u2"), &who));
    assert_false(acl_user(SLICE("alice"), &who));
    assert_false(acl_user(SLICE("u1"), &who));
    assert_false(acl_user(SLICE(".r:*"), &who));
    assert_false(acl_user(SLICE(":"), &who));
    who.user_name = SLICE_NONE;   /* Another domain's names say nothing. */
    assert_false(acl_user(SLICE("red:alice"), &who));
    assert_false(acl_user(SLICE("red:"), &who));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean__takes_out_what_is_messy), cmocka_unit_test(clean__refuses_what_means_nothing),
        cmocka_unit_test(referrer__last_rule_decides),    cmocka_unit_test(listings__are_a_right_of_their_own),
        cmocka_unit_test(user__by_id_name_star_or_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
