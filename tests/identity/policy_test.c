/* tests/identity/policy_test.c - the policy table refuses what it does not allow. */
#include <string.h>

#include "identity/policy.h"
#include "tests/lib/test.h"

static struct identity_context who_is(const char *id, const char *role)
{
    struct identity_context who = { .role_count = role != NULL };

    memcpy(who.user_id, id, strlen(id));
    if (role)
        memcpy(who.roles[0], role, strlen(role));
    return who;
}

static void policy__admin_may(void **state)
{
    struct identity_context admin = who_is("a", "admin");

    (void)state;
    assert_true(policy_allows("identity:list_users", &admin, NULL));
    assert_true(policy_allows("identity:get_user", &admin, "somebody"));
    assert_true(policy_allows("identity:revoke_token", &admin, "somebody"));
}

static void policy__others_only_their_own(void **state)
{
    static const char *const roles[] = { NULL, "member", "reader", "Admin", "admin " };

    (void)state;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct identity_context who = who_is("u", roles[i]);
        assert_false(policy_allows("identity:list_users", &who, NULL));
        assert_false(policy_allows("identity:create_grant", &who, "u"));
        assert_false(policy_allows("identity:get_user", &who, "v"));
        assert_false(policy_allows("identity:get_user", &who, NULL));
        assert_false(policy_allows("identity:get_user", &who, ""));
        assert_true(policy_allows("identity:get_user", &who, "u"));
        assert_true(policy_allows("identity:get_auth_catalog", &who, NULL));
    }
    struct identity_context nobody = who_is("", NULL);   /* An empty id owns nothing. */
    assert_false(policy_allows("identity:get_user", &nobody, ""));
}

static void policy__unknown_actions_are_refused_even_to_admin(void **state)
{
    struct identity_context admin = who_is("a", "admin");

    (void)state;
    assert_false(policy_allows("identity:no_such_action", &admin, "a"));
    assert_false(policy_allows("", &admin, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy__admin_may),
        cmocka_unit_test(policy__others_only_their_own),
        cmocka_unit_test(policy__unknown_actions_are_refused_even_to_admin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
