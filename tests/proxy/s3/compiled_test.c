/* tests/proxy/s3/compiled_test.c - what is compiled once, and how much of it is kept. */
#include "proxy/s3/compiled.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

static struct compiled *compiled;

static int setup(void **state)
{
    (void)state;
    compiled = compiled_new();
    return compiled ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    compiled = compiled_free(compiled);
    return 0;
}

#define POLICY "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::box/*\"}}"
#define CORS "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>"
#define RULES "<LifecycleConfiguration><Rule><Prefix/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"

static void same_text__is_compiled_once(void **state)
{
    const struct s3_policy *policy = NULL, *again = NULL;
    const struct cors      *cors = NULL;
    const struct lifecycle *rules = NULL;
    char                   *copy = strdup(POLICY);

    (void)state;
    assert_non_null(copy);
    assert_int_equal(compiled_policy(compiled, slice_str(copy), SLICE("box"), &policy, NULL), 0);
    free(copy);   /* Nothing of it is borrowed. */
    assert_int_equal(compiled_policy(compiled, SLICE(POLICY), SLICE("box"), &again, NULL), 0);
    assert_ptr_equal(policy, again);
    assert_true(s3_policy_is_public(again));
    assert_int_equal(compiled_cors(compiled, SLICE(CORS), &cors, NULL), 0);
    assert_int_equal(cors->rule_count, 1);
    assert_int_equal(compiled_lifecycle(compiled, SLICE(RULES), &rules, NULL), 0);
    assert_int_equal(rules->rules[0].expire_days, 1);
    assert_int_equal(compiled_stats(compiled).count, 3);
    assert_int_equal(compiled_stats(compiled).hits, 1);
}

static void kinds_and_buckets__are_kept_apart(void **state)
{
    const struct s3_policy *policy = NULL;
    const struct cors      *cors = NULL;
    const struct lifecycle *rules = NULL;

    (void)state;
    assert_int_equal(compiled_policy(compiled, SLICE(POLICY), SLICE("box"), &policy, NULL), 0);
    policy = NULL;
    /* The same text is no policy of another bucket, and nothing of another kind. */
    assert_int_equal(compiled_policy(compiled, SLICE(POLICY), SLICE("other"), &policy, NULL), S3_MALFORMED_POLICY);
    assert_int_equal(compiled_cors(compiled, SLICE(POLICY), &cors, NULL), S3_MALFORMED_XML);
    assert_int_equal(compiled_lifecycle(compiled, SLICE(CORS), &rules, NULL), S3_MALFORMED_XML);
    assert_true(!policy && !cors && !rules);
    assert_int_equal(compiled_stats(compiled).count, 1);
}

static int rules_of(int number)
{
    const struct lifecycle *rules;
    char                    text[512];

    snprintf(text, sizeof text, "<LifecycleConfiguration><Rule><ID>%d</ID><Prefix/><Status>Enabled</Status><Expiration>"
             "<Days>%d</Days></Expiration></Rule></LifecycleConfiguration>", number, number + 1);
    int rc = compiled_lifecycle(compiled, slice_str(text), &rules, NULL);
    if (rc == 0)
        assert_int_equal(rules->rules[0].expire_days, number + 1);
    return rc;
}

static void number__has_a_limit_and_the_unused_go_first(void **state)
{
    (void)state;
    for (int i = 0; i < COMPILED_COUNT_MAX; i++)
        assert_int_equal(rules_of(i), 0);
    assert_int_equal(compiled_stats(compiled).count, COMPILED_COUNT_MAX);
    assert_int_equal(compiled_stats(compiled).dropped, 0);
    assert_int_equal(rules_of(0), 0);   /* Used again: 1 is the oldest now. */
    assert_int_equal(rules_of(COMPILED_COUNT_MAX), 0);
    assert_int_equal(compiled_stats(compiled).count, COMPILED_COUNT_MAX);
    assert_int_equal(compiled_stats(compiled).dropped, 1);
    uint64_t misses = compiled_stats(compiled).misses;
    assert_int_equal(rules_of(0), 0);
    assert_int_equal(compiled_stats(compiled).misses, misses);
    assert_int_equal(rules_of(1), 0);
    assert_int_equal(compiled_stats(compiled).misses, misses + 1);
}

static void bytes__have_a_limit(void **state)
{
    struct text             t = { .limit = XML_BYTES_MAX };
    const struct lifecycle *rules;
    size_t                  most = 0;

    (void)state;
    for (int i = 0; i < 80; i++) {
        t.size = 0;
        text_lit(&t, "<LifecycleConfiguration>");
        for (int k = 0; k < LIFECYCLE_RULES_MAX; k++)
            text_lit(&t, "<Rule><Prefix/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>");
        for (int k = 0; k < i; k++)
            text_lit(&t, " ");
        text_lit(&t, "</LifecycleConfiguration>");
        assert_int_equal(compiled_lifecycle(compiled, text_slice(&t), &rules, NULL), 0);
        most = compiled_stats(compiled).bytes > most ? compiled_stats(compiled).bytes : most;
    }
    assert_in_range(most, COMPILED_BYTES_MAX / 2, COMPILED_BYTES_MAX);
    assert_true(compiled_stats(compiled).dropped > 0);
    text_done(&t);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(same_text__is_compiled_once),
        T(kinds_and_buckets__are_kept_apart),
        T(number__has_a_limit_and_the_unused_go_first),
        T(bytes__have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
