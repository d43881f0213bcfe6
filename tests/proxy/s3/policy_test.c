/* tests/proxy/s3/policy_test.c - bucket policies: what is refused, and how requests are judged. */
#include "proxy/s3/policy.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, S3_POLICY_ARENA_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

/* --- Reading. --- */

static int parse(const char *json, struct s3_policy **ret)
{
    struct error err = { .text = "" };
    int          rc = s3_policy_parse(&arena, slice_str(json), SLICE("box"), ret, &err);

    assert_true(rc == 0 || err.text[0]);
    return rc;
}

/* A policy of one statement with these members. */
static struct s3_policy *statement(const char *members)
{
    struct s3_policy *policy = NULL;
    char             *json = arena_printf(&arena, "{\"Version\":\"2012-10-17\",\"Statement\":[{%s}]}", members);

    assert_non_null(json);
    assert_int_equal(parse(json, &policy), 0);
    return policy;
}

static void assert_malformed(const char *json)
{
    struct s3_policy *policy = NULL;

    assert_int_equal(parse(json, &policy), S3_MALFORMED_POLICY);
    assert_null(policy);
}

static void assert_statement_malformed(const char *members)
{
    char *json = arena_printf(&arena, "{\"Version\":\"2012-10-17\",\"Statement\":[{%s}]}", members);

    assert_non_null(json);
    assert_malformed(json);
}

#define ALLOW "\"Effect\":\"Allow\","
#define DENY "\"Effect\":\"Deny\","
#define ALL "\"Principal\":\"*\","
#define GET "\"Action\":\"s3:GetObject\","
#define BOX "\"Resource\":[\"arn:aws:s3:::box\",\"arn:aws:s3:::box/*\"]"

static void parse__takes_what_aws_takes(void **state)
{
    struct s3_policy *policy;

    (void)state;
    assert_int_equal(parse("{\"Statement\":{" ALLOW ALL GET BOX "}}", &policy), 0);
    assert_int_equal(
        parse("{\"Version\":\"2008-10-17\",\"Id\":\"x\",\"Statement\":[{\"Sid\":\"1\"," ALLOW ALL GET BOX
              "}]}",
              &policy),
        0);
    statement(
        ALLOW
        "\"Principal\":{\"AWS\":[\"*\"],\"CanonicalUser\":\"x\",\"Service\":\"a.b\",\"Federated\":\"c\"}," GET
            BOX);
    statement(DENY "\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::p1:root\"},\"NotAction\":\"s3:Get*\","
              "\"NotResource\":\"arn:aws:s3:::box/x\"");
    statement(ALLOW ALL "\"Action\":[\"s3:*\"],\"Resource\":\"*\"");
    statement(ALLOW ALL "\"Action\":\"*\",\"Resource\":[\"arn:aws:s3:::*\",\"arn:aws:s3:::*/*\"],\"Condition\":{}");
    statement(ALLOW ALL "\"Action\":\"S3:getobject\"," BOX);
}

static void parse__refuses_what_is_no_policy(void **state)
{
    (void)state;
    assert_malformed("");
    assert_malformed("x");
    assert_malformed("[]");
    assert_malformed("{}");
    assert_malformed("{\"Version\":\"2012-10-17\"}");
    assert_malformed("{\"Statement\":[]}");
    assert_malformed("{\"Statement\":[3]}");
    assert_malformed("{\"Version\":\"2011-01-01\",\"Statement\":[{" ALLOW ALL GET BOX "}]}");
    assert_malformed("{\"Other\":1,\"Statement\":[{" ALLOW ALL GET BOX "}]}");
    assert_malformed("{\"Statement\":[{" ALLOW ALLOW ALL GET BOX "}]}");
}

static void parse__refuses_broken_statements(void **state)
{
    (void)state;
    assert_statement_malformed(ALL GET BOX);
    assert_statement_malformed("\"Effect\":\"allow\"," ALL GET BOX);
    assert_statement_malformed(ALLOW GET BOX);
    assert_statement_malformed(ALLOW ALL BOX);
    assert_statement_malformed(ALLOW ALL "\"Action\":\"s3:GetObject\"");
    assert_statement_malformed(ALLOW ALL GET BOX ",\"Extra\":1");
    assert_statement_malformed(ALLOW ALL GET "\"NotAction\":\"s3:GetObject\"," BOX);
    /* Everybody but one may never be allowed. */
    assert_statement_malformed(ALLOW "\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::p1:root\"}," GET BOX);
    assert_statement_malformed(ALLOW "\"Principal\":\"bob\"," GET BOX);
    assert_statement_malformed(ALLOW "\"Principal\":{\"AWS\":[]}," GET BOX);
    assert_statement_malformed(ALLOW "\"Principal\":{\"Nobody\":\"x\"}," GET BOX);
    assert_statement_malformed(ALLOW "\"Principal\":{\"AWS\":\"arn:aws:iam:x\"}," GET BOX);
    assert_statement_malformed(ALLOW "\"Principal\":{\"AWS\":\"ab*\"}," GET BOX);
    assert_statement_malformed(ALLOW ALL "\"Action\":[]," BOX);
    assert_statement_malformed(ALLOW ALL "\"Action\":\"s3:Nothing\"," BOX);
    assert_statement_malformed(ALLOW ALL "\"Action\":\"ec2:Run\"," BOX);
    assert_statement_malformed(ALLOW ALL GET "\"Resource\":[]");
    assert_statement_malformed(ALLOW ALL GET "\"Resource\":\"box/*\"");
    assert_statement_malformed(ALLOW ALL GET "\"Resource\":\"arn:aws:s3:::other/*\"");
    assert_statement_malformed(ALLOW ALL GET "\"Resource\":\"arn:aws:sqs:::box\"");
}

#define COND(text) ALLOW ALL GET BOX ",\"Condition\":" text

static void parse__refuses_broken_conditions(void **state)
{
    (void)state;
    assert_statement_malformed(COND("3"));
    assert_statement_malformed(COND("{\"StringEquals\":3}"));
    assert_statement_malformed(COND("{\"stringequals\":{\"aws:x\":\"1\"}}"));
    assert_statement_malformed(COND("{\"NullIfExists\":{\"aws:x\":\"true\"}}"));
    assert_statement_malformed(COND("{\"StringEquals\":{\"aws:x\":[]}}"));
    assert_statement_malformed(COND("{\"StringEquals\":{\"nocolon\":\"1\"}}"));
    assert_statement_malformed(COND("{\"StringEquals\":{\"s3:unknown\":\"1\"}}"));
    assert_statement_malformed(COND("{\"StringEquals\":{\"aws:x\":{}}}"));
    assert_statement_malformed(COND("{\"NumericEquals\":{\"s3:max-keys\":\"x\"}}"));
    assert_statement_malformed(COND("{\"DateEquals\":{\"aws:CurrentTime\":\"yesterday\"}}"));
    assert_statement_malformed(COND("{\"Bool\":{\"aws:SecureTransport\":\"maybe\"}}"));
    assert_statement_malformed(COND("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}"));
    assert_statement_malformed(COND("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0\"}}"));
    assert_statement_malformed(COND("{\"StringEquals\":{\"aws:x\":\"${aws:username\"}}"));
    assert_statement_malformed(COND("{\"StringEquals\":{\"aws:x\":\"${username}\"}}"));
    assert_statement_malformed(COND("{\"StringEquals\":{\"aws:x\":\"${aws:username, x}\"}}"));
}

static struct slice policy_of_size(size_t size)
{
    static const char head[] = "{\"Id\":\"", tail[] = "\",\"Statement\":{" ALLOW ALL GET BOX "}}";
    char             *json = arena_alloc(&arena, size + 1);

    assert_non_null(json);
    memset(json, 'x', size);
    memcpy(json, head, sizeof head - 1);
    memcpy(json + size - (sizeof tail - 1), tail, sizeof tail - 1);
    return slice_of(json, size);
}

static void parse__size_has_a_limit(void **state)
{
    struct s3_policy *policy;

    (void)state;
    assert_int_equal(s3_policy_parse(&arena, policy_of_size(S3_POLICY_BYTES_MAX), SLICE("box"), &policy, NULL), 0);
    assert_int_equal(s3_policy_parse(&arena, policy_of_size(S3_POLICY_BYTES_MAX + 1), SLICE("box"), &policy, NULL),
                     S3_MALFORMED_POLICY);
}

/* The densest policies that fit into 20 KiB also fit into the arena that is promised for them. */
static void parse__any_policy_fits_into_its_arena(void **state)
{
    static const char *const shapes[][3] = {
        {"{\"Statement\":{" ALLOW ALL GET "\"Resource\":[", "\"*\",", "\"*\"]}}"},
        {"{\"Statement\":{" ALLOW ALL "\"Action\":[", "\"*\",", "\"*\"]," BOX "}}"},
        {"{\"Statement\":{" ALLOW "\"Principal\":{\"AWS\":[", "\"*\",", "\"*\"]}," GET BOX "}}"},
        {"{\"Version\":\"2012-10-17\",\"Statement\":{" ALLOW ALL GET "\"Resource\":\"arn:aws:s3:::", "${:}",
         "\"}}"},
        {"{\"Statement\":{" ALLOW ALL GET BOX ",\"Condition\":{\"StringLike\":{\"a:\":[", "1,", "1]}}}}"},
        {"{\"Statement\":[", "{" ALLOW ALL "\"Action\":\"*\",\"Resource\":\"*\"},",
         "{" ALLOW ALL GET BOX "}]}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char              *json = malloc(S3_POLICY_BYTES_MAX + 1);
        size_t             head = strlen(shapes[i][0]), item = strlen(shapes[i][1]), tail = strlen(shapes[i][2]);
        size_t             at = head;
        struct arena       own;
        struct s3_policy  *policy = NULL;
        assert_non_null(json);
        memcpy(json, shapes[i][0], head);
        for (; at + item + tail <= S3_POLICY_BYTES_MAX; at += item)
            memcpy(json + at, shapes[i][1], item);
        memcpy(json + at, shapes[i][2], tail);
        arena_init(&own, S3_POLICY_ARENA_BYTES);
        assert_int_equal(s3_policy_parse(&own, slice_of(json, at + tail), SLICE("box"), &policy, NULL), 0);
        arena_done(&own);
        free(json);
    }
}

static void parse__says_when_memory_is_out(void **state)
{
    struct arena      small;
    struct s3_policy *policy = NULL;

    (void)state;
    for (size_t limit = 0; limit < 2048; limit += 16) {
        arena_init(&small, limit);
        int rc = s3_policy_parse(&small, SLICE("{\"Statement\":{" ALLOW ALL GET BOX "}}"), SLICE("box"),
                                 &policy, NULL);
        assert_true(rc == 0 || rc == -ENOMEM);
        arena_done(&small);
    }
}

/* --- Judging. --- */

static const struct policy_who alice = {.user_id = {(const uint8_t *)"u1", 2},
                                        .user_name = {(const uint8_t *)"alice", 5},
                                        .project_id = {(const uint8_t *)"p1", 2}};
static const struct policy_who nobody;

static enum policy_verdict judge_keys(const struct s3_policy *policy, const struct policy_who *who,
                                      enum s3_action action, const char *object, const struct policy_key *keys,
                                      uint32_t count)
{
    struct policy_request rq = { .who = who, .action = action, .bucket = SLICE("box"), .object = slice_str(object),
                                 .keys = keys, .key_count = count };

    return s3_policy_judge(policy, &rq, &arena);
}

static enum policy_verdict judge(const struct s3_policy *policy, const struct policy_who *who,
                                 enum s3_action action, const char *object)
{
    return judge_keys(policy, who, action, object, NULL, 0);
}

static void judge__actions_and_resources_select(void **state)
{
    struct s3_policy *p = statement(ALLOW ALL "\"Action\":[\"s3:Get*\",\"s3:ListBucket\"],\"Resource\":"
                                    "[\"arn:aws:s3:::box\",\"arn:aws:s3:::box/pub/*.jp?g\"]");

    (void)state;
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, "pub/a/b.jpeg"), POLICY_ALLOW);
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, "pub/a.jpg"), POLICY_NONE);
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, "pub/a.jp\xc3\xa9g"), POLICY_ALLOW);   /* One character. */
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, "priv/a.jpeg"), POLICY_NONE);
    assert_int_equal(judge(p, &nobody, S3_DO_PUT_OBJECT, "pub/a.jpeg"), POLICY_NONE);
    assert_int_equal(judge(p, &nobody, S3_DO_LIST_BUCKET, ""), POLICY_ALLOW);
    assert_int_equal(judge(p, &nobody, S3_DO_GET_BUCKET_ACL, ""), POLICY_ALLOW);
    assert_int_equal(judge(p, &nobody, S3_DO_PUT_BUCKET_ACL, ""), POLICY_NONE);
    assert_int_equal(judge(p, &nobody, S3_DO_NOTHING, ""), POLICY_DENY);
}

static void judge__negated_elements_take_the_rest(void **state)
{
    struct s3_policy *p = statement(DENY "\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::p1:root\"},"
                                    "\"NotAction\":\"s3:Get*\",\"NotResource\":\"arn:aws:s3:::box/open/*\"");

    (void)state;
    assert_int_equal(judge(p, &nobody, S3_DO_PUT_OBJECT, "x"), POLICY_DENY);
    assert_int_equal(judge(p, &nobody, S3_DO_PUT_OBJECT, "open/x"), POLICY_NONE);
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, "x"), POLICY_NONE);
    assert_int_equal(judge(p, &alice, S3_DO_PUT_OBJECT, "x"), POLICY_NONE);
}

static void judge__deny_wins_in_any_order(void **state)
{
    struct s3_policy *p;

    (void)state;
    assert_int_equal(parse("{\"Statement\":[{" ALLOW ALL GET BOX "},{" DENY ALL GET BOX "}]}", &p), 0);
    assert_int_equal(judge(p, &alice, S3_DO_GET_OBJECT, "x"), POLICY_DENY);
    assert_int_equal(parse("{\"Statement\":[{" DENY ALL GET BOX "},{" ALLOW ALL GET BOX "}]}", &p), 0);
    assert_int_equal(judge(p, &alice, S3_DO_GET_OBJECT, "x"), POLICY_DENY);
}

static void assert_principal(const char *principal, const struct policy_who *who, bool want)
{
    struct s3_policy *p = statement(arena_printf(&arena, ALLOW "\"Principal\":%s," GET BOX, principal));

    assert_int_equal(judge(p, who, S3_DO_GET_OBJECT, "x"), want ? POLICY_ALLOW : POLICY_NONE);
}

static void judge__principals_are_keystones(void **state)
{
    const struct slice      role = SLICE("auditor");
    const struct policy_who bob = { .user_id = SLICE("u2"), .user_name = SLICE("bob"), .project_id = SLICE("p2"),
                                    .roles = &role, .role_count = 1 };
    const struct policy_who logging = { .service = SLICE("logging.s3.amazonaws.com") };

    (void)state;
    assert_principal("\"*\"", &nobody, true);
    assert_principal("{\"AWS\":\"*\"}", &nobody, true);
    assert_principal("{\"AWS\":\"p1\"}", &alice, true);
    assert_principal("{\"AWS\":\"u1\"}", &alice, true);
    assert_principal("{\"AWS\":\"p1\"}", &bob, false);
    assert_principal("{\"AWS\":\"p1\"}", &nobody, false);
    assert_principal("{\"AWS\":\"arn:aws:iam::p1:root\"}", &alice, true);
    assert_principal("{\"AWS\":\"arn:aws:iam::p1:root\"}", &bob, false);
    assert_principal("{\"AWS\":[\"arn:aws:iam::p9:root\",\"arn:aws:iam::p2:user/bob\"]}", &bob, true);
    assert_principal("{\"AWS\":\"arn:aws:iam::p2:user/team/bob\"}", &bob, true);
    assert_principal("{\"AWS\":\"arn:aws:iam::p2:user/u2\"}", &bob, true);
    assert_principal("{\"AWS\":\"arn:aws:iam::p2:user/*\"}", &bob, true);
    assert_principal("{\"AWS\":\"arn:aws:iam::p1:user/bob\"}", &bob, false);
    assert_principal("{\"AWS\":\"arn:aws:iam:::user/u2\"}", &bob, true);
    assert_principal("{\"AWS\":\"arn:aws:iam:::user/p2\"}", &bob, true);
    assert_principal("{\"AWS\":\"arn:aws:iam:::user/bob\"}", &bob, false);   /* A name is no id. */
    assert_principal("{\"AWS\":\"arn:aws:iam::p2:role/auditor\"}", &bob, true);
    assert_principal("{\"AWS\":\"arn:aws:iam::p2:role/other\"}", &bob, false);
    assert_principal("{\"AWS\":\"arn:aws:iam::p1:role/auditor\"}", &bob, false);
    assert_principal("{\"AWS\":\"arn:aws:sts::p2:assumed-role/auditor/x\"}", &bob, false);
    assert_principal("{\"CanonicalUser\":\"p2\"}", &bob, true);
    assert_principal("{\"CanonicalUser\":\"p1\"}", &bob, false);
    assert_principal("{\"Service\":\"logging.s3.amazonaws.com\"}", &logging, true);
    assert_principal("{\"Service\":\"logging.s3.amazonaws.com\"}", &bob, false);
    assert_principal("{\"Service\":\"other\"}", &logging, false);
    assert_principal("{\"AWS\":\"arn:aws:iam:::root\"}", &nobody, false);
    assert_principal("{\"Federated\":\"x\"}", &bob, false);
}

/* Does the condition hold with these values of the key "aws:k"? */
static bool holds(const char *condition, const char *const *values, uint32_t count)
{
    struct s3_policy *p = statement(arena_printf(&arena, ALLOW ALL GET BOX ",\"Condition\":%s", condition));
    struct policy_key keys[8] = { { SLICE("aws:other"), SLICE("z") } };

    assert_in_range(count, 0, 7);
    for (uint32_t i = 0; i < count; i++)
        keys[i + 1] = (struct policy_key) { SLICE("AWS:K"), slice_str(values[i]) };
    return judge_keys(p, &nobody, S3_DO_GET_OBJECT, "x", keys, count + 1) == POLICY_ALLOW;
}

#define YES(condition, ...)                                                                 \
    do {                                                                                    \
        const char *const values_[] = { __VA_ARGS__ };                                      \
        assert_true(holds(condition, values_, sizeof values_ / sizeof *values_));           \
    } while (0)
#define NO(condition, ...)                                                                  \
    do {                                                                                    \
        const char *const values_[] = { __VA_ARGS__ };                                      \
        assert_false(holds(condition, values_, sizeof values_ / sizeof *values_));          \
    } while (0)
#define K(operator, value) "{\"" operator "\":{\"aws:k\":" value "}}"

static void condition__strings(void **state)
{
    (void)state;
    YES(K("StringEquals", "\"a\""), "a");
    NO(K("StringEquals", "\"a\""), "A");
    NO(K("StringEquals", "\"a*\""), "ab");
    YES(K("StringEquals", "\"a*\""), "a*");
    YES(K("StringEquals", "[\"b\",\"a\"]"), "a");
    YES(K("StringNotEquals", "[\"b\",\"a\"]"), "c");
    NO(K("StringNotEquals", "[\"b\",\"a\"]"), "a");
    YES(K("StringEqualsIgnoreCase", "\"aB\""), "Ab");
    NO(K("StringNotEqualsIgnoreCase", "\"aB\""), "Ab");
    YES(K("StringLike", "\"a*c?\""), "abbcd");
    NO(K("StringLike", "\"a*c?\""), "abbc");
    YES(K("StringNotLike", "\"a*\""), "b");
    YES(K("BinaryEquals", "\"QQ==\""), "QQ==");
    YES(K("StringEquals", "true"), "true");
    YES(K("StringEquals", "42"), "42");
    YES(K("StringEquals", "\"\""), "");
}

static void condition__numbers_dates_and_truth(void **state)
{
    (void)state;
    YES(K("NumericEquals", "\"10\""), "10.0");
    YES(K("NumericNotEquals", "10"), "11");
    YES(K("NumericLessThan", "10"), "9.5");
    NO(K("NumericLessThan", "10"), "10");
    YES(K("NumericLessThanEquals", "10"), "10");
    YES(K("NumericGreaterThan", "-1"), "0");
    YES(K("NumericGreaterThanEquals", "0"), "0");
    NO(K("NumericEquals", "10"), "ten");
    NO(K("NumericEquals", "10"), "0x0A");
    YES(K("DateLessThan", "\"2030-01-01T00:00:00Z\""), "2029-12-31T23:59:59Z");
    NO(K("DateLessThan", "\"2030-01-01T00:00:00Z\""), "2030-01-01T00:00:00Z");
    YES(K("DateEquals", "\"1893456000\""), "2030-01-01T00:00:00Z");
    YES(K("DateGreaterThanEquals", "\"2030-01-01\""), "1893456000");
    YES(K("DateNotEquals", "\"2030-01-01\""), "2030-01-02");
    YES(K("Bool", "\"true\""), "true");
    YES(K("Bool", "false"), "false");
    NO(K("Bool", "true"), "false");
    NO(K("Bool", "true"), "1");
}

static void condition__addresses(void **state)
{
    (void)state;
    YES(K("IpAddress", "\"10.1.0.0/16\""), "10.1.255.3");
    NO(K("IpAddress", "\"10.1.0.0/16\""), "10.2.0.0");
    YES(K("IpAddress", "[\"10.1.0.0/16\",\"192.0.2.7\"]"), "192.0.2.7");
    YES(K("IpAddress", "\"10.1.0.0/13\""), "10.7.0.1");
    NO(K("IpAddress", "\"10.1.0.0/13\""), "10.8.0.1");
    YES(K("IpAddress", "\"0.0.0.0/0\""), "8.8.8.8");
    NO(K("IpAddress", "\"0.0.0.0/0\""), "2001:db8::1");
    YES(K("IpAddress", "\"2001:db8::/32\""), "2001:db8:1::2");
    NO(K("IpAddress", "\"2001:db8::/32\""), "2001:db9::");
    YES(K("IpAddress", "\"10.0.0.0/8\""), "::ffff:10.0.0.1");
    NO(K("NotIpAddress", "\"10.0.0.0/8\""), "10.0.0.1");
    YES(K("NotIpAddress", "\"10.0.0.0/8\""), "11.0.0.1");
    NO(K("IpAddress", "\"0.0.0.0/0\""), "not an address");
}

static void condition__arns_match_part_by_part(void **state)
{
    (void)state;
    YES(K("ArnLike", "\"arn:aws:s3:::box*\""), "arn:aws:s3:::boxes");
    YES(K("ArnEquals", "\"arn:aws:s3:*:*:box/*\""), "arn:aws:s3:::box/a:b");
    NO(K("ArnLike", "\"arn:*:box\""), "arn:aws:s3:::box");
    NO(K("ArnLike", "\"arn:aws:*:box\""), "arn:aws:s3:::box");
    YES(K("ArnNotLike", "\"arn:aws:s3:::box\""), "arn:aws:s3:::other");
    NO(K("ArnNotEquals", "\"arn:aws:s3:::box\""), "arn:aws:s3:::box");
}

static void condition__missing_keys(void **state)
{
    (void)state;
    NO(K("StringEquals", "\"a\""));
    YES(K("StringNotEquals", "\"a\""));
    YES(K("StringEqualsIfExists", "\"a\""));
    NO(K("StringEqualsIfExists", "\"a\""), "b");
    YES(K("NotIpAddress", "\"10.0.0.0/8\""));
    NO(K("Bool", "true"));
    YES(K("BoolIfExists", "true"));
    YES(K("Null", "true"));
    NO(K("Null", "\"false\""));
    YES(K("Null", "false"), "x");
    NO(K("Null", "true"), "x");
    YES(K("ForAllValues:StringEquals", "\"a\""));
    NO(K("ForAnyValue:StringEquals", "\"a\""));
    NO(K("ForAnyValue:StringNotEquals", "\"a\""));
}

static void condition__sets_of_values(void **state)
{
    (void)state;
    YES(K("ForAllValues:StringLike", "[\"a*\",\"b\"]"), "a1", "b", "a2");
    NO(K("ForAllValues:StringLike", "[\"a*\",\"b\"]"), "a1", "c");
    YES(K("ForAnyValue:StringEquals", "[\"a\",\"b\"]"), "z", "b");
    NO(K("ForAnyValue:StringEquals", "[\"a\",\"b\"]"), "z", "y");
    NO(K("ForAllValues:StringNotEquals", "\"a\""), "b", "a");
    YES(K("ForAnyValue:StringNotEquals", "\"a\""), "b", "a");
    YES(K("StringEquals", "\"a\""), "b", "a");
    NO(K("StringNotEquals", "\"a\""), "b", "a");
}

static void condition__all_must_hold(void **state)
{
    (void)state;
    YES("{\"StringLike\":{\"aws:k\":\"a*\",\"aws:other\":\"z\"},\"StringNotEquals\":{\"aws:k\":\"ab\"}}", "ac");
    NO("{\"StringLike\":{\"aws:k\":\"a*\",\"aws:other\":\"y\"}}", "ac");
    NO("{\"StringLike\":{\"aws:k\":\"a*\"},\"StringNotEquals\":{\"aws:k\":\"ab\"}}", "ab");
}

static void variables__are_filled_in(void **state)
{
    struct s3_policy *p = statement(ALLOW ALL GET "\"Resource\":\"arn:aws:s3:::box/home/${aws:username}/*\"");
    struct policy_key bob[] = { { SLICE("aws:UserName"), SLICE("bob") } };
    struct policy_key star[] = { { SLICE("aws:username"), SLICE("*") } };
    struct policy_key two[] = { { SLICE("aws:username"), SLICE("a") }, { SLICE("aws:username"), SLICE("b") } };

    (void)state;
    assert_int_equal(judge_keys(p, &alice, S3_DO_GET_OBJECT, "home/bob/x", bob, 1), POLICY_ALLOW);
    assert_int_equal(judge_keys(p, &alice, S3_DO_GET_OBJECT, "home/sue/x", bob, 1), POLICY_NONE);
    assert_int_equal(judge_keys(p, &alice, S3_DO_GET_OBJECT, "home/sue/x", NULL, 0), POLICY_NONE);
    assert_int_equal(judge_keys(p, &alice, S3_DO_GET_OBJECT, "home/a/x", two, 2), POLICY_NONE);
    /* What a request brings in is no wildcard. */
    assert_int_equal(judge_keys(p, &alice, S3_DO_GET_OBJECT, "home/sue/x", star, 1), POLICY_NONE);
    assert_int_equal(judge_keys(p, &alice, S3_DO_GET_OBJECT, "home/*/x", star, 1), POLICY_ALLOW);

    p = statement(ALLOW ALL GET "\"Resource\":\"arn:aws:s3:::box/${aws:x, 'none'}/${*}${?}${$}{a}\"");
    assert_int_equal(judge(p, &alice, S3_DO_GET_OBJECT, "none/*?${a}"), POLICY_ALLOW);
    assert_int_equal(judge(p, &alice, S3_DO_GET_OBJECT, "none/xyz{a}"), POLICY_NONE);

    p = statement(ALLOW ALL "\"Action\":\"s3:ListBucket\"," BOX
                  ",\"Condition\":{\"StringLike\":{\"s3:prefix\":[\"\",\"home/${aws:username}/*\"]}}");
    struct policy_key list[] = {{SLICE("aws:username"), SLICE("bob")},
                                {SLICE("s3:prefix"), SLICE("home/bob/")}};
    assert_int_equal(judge_keys(p, &alice, S3_DO_LIST_BUCKET, "", list, 2), POLICY_ALLOW);
    list[1].value = SLICE("home/sue/");
    assert_int_equal(judge_keys(p, &alice, S3_DO_LIST_BUCKET, "", list, 2), POLICY_NONE);
    /* "All but" what cannot be known gives nothing, but takes everything. */
    p = statement(ALLOW ALL GET "\"NotResource\":\"arn:aws:s3:::box/${aws:username}\"");
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, "x"), POLICY_NONE);
    p = statement(DENY ALL GET "\"NotResource\":\"arn:aws:s3:::box/${aws:username}\"");
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, "x"), POLICY_DENY);
}

static void variables__are_plain_text_in_the_old_version(void **state)
{
    struct s3_policy *p;

    (void)state;
    assert_int_equal(parse("{\"Version\":\"2008-10-17\",\"Statement\":{" ALLOW ALL GET
                           "\"Resource\":\"arn:aws:s3:::box/${aws:username}\"}}", &p), 0);
    assert_int_equal(judge(p, &alice, S3_DO_GET_OBJECT, "${aws:username}"), POLICY_ALLOW);
    assert_false(s3_policy_looks_at(p, "aws:username"));
}

static void variables__that_grow_too_long_deny(void **state)
{
    static char       value[S3_POLICY_EXPANDED_MAX];
    struct s3_policy *p = statement(ALLOW ALL GET "\"Resource\":\"arn:aws:s3:::box/${aws:x}*\"");
    struct policy_key keys[] = { { SLICE("aws:x"), slice_of(value, S3_POLICY_EXPANDED_MAX - 5) } };

    (void)state;
    memset(value, 'v', sizeof value);
    assert_int_equal(judge_keys(p, &nobody, S3_DO_GET_OBJECT, "x", keys, 1), POLICY_NONE);
    keys[0].value.size++;   /* "box/", the value and '*'. */
    assert_int_equal(judge_keys(p, &nobody, S3_DO_GET_OBJECT, "x", keys, 1), POLICY_DENY);
}

static void judge__denies_when_memory_is_out(void **state)
{
    struct s3_policy     *p = statement(ALLOW ALL GET "\"Resource\":\"arn:aws:s3:::box/${aws:x, 'y'}\"");
    struct policy_request rq = {
        .who = &nobody, .action = S3_DO_GET_OBJECT, .bucket = SLICE("box"), .object = SLICE("y")};
    struct arena          empty;

    (void)state;
    arena_init(&empty, 0);
    assert_int_equal(s3_policy_judge(p, &rq, &empty), POLICY_DENY);
    assert_int_equal(s3_policy_judge(p, &rq, &arena), POLICY_ALLOW);
    arena_done(&empty);
}

static void judge__long_names_are_judged_whole(void **state)
{
    static char       name[4096];
    struct s3_policy *p = statement(ALLOW ALL GET "\"Resource\":\"arn:aws:s3:::box/*z\"");

    (void)state;
    memset(name, 'a', sizeof name - 1);
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, name), POLICY_NONE);
    name[sizeof name - 2] = 'z';
    assert_int_equal(judge(p, &nobody, S3_DO_GET_OBJECT, name), POLICY_ALLOW);
}

static void looks_at__finds_keys_and_variables(void **state)
{
    struct s3_policy *p = statement(COND("{\"StringEquals\":{\"s3:ExistingObjectTag/Security\":\"public\"}}"));

    (void)state;
    assert_true(s3_policy_looks_at(p, "s3:existingobjecttag/"));
    assert_false(s3_policy_looks_at(p, "s3:RequestObjectTag/"));
    p = statement(ALLOW ALL GET "\"Resource\":\"arn:aws:s3:::box/${s3:ExistingObjectTag/x}\"");
    assert_true(s3_policy_looks_at(p, "s3:ExistingObjectTag/"));
}

static bool is_public(const char *members)
{
    return s3_policy_is_public(statement(members));
}

static void public__is_what_gives_to_everybody(void **state)
{
    (void)state;
    assert_true(is_public(ALLOW ALL GET BOX));
    assert_true(is_public(ALLOW "\"Principal\":{\"AWS\":[\"p1\",\"*\"]}," GET BOX));
    assert_false(is_public(DENY ALL GET BOX));
    assert_false(is_public(ALLOW "\"Principal\":{\"AWS\":\"arn:aws:iam::p1:root\"}," GET BOX));
    assert_false(is_public(COND("{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/32\"}}")));
    assert_false(is_public(COND("{\"IpAddress\":{\"aws:SourceIp\":[\"10.0.0.0/8\",\"2001:db8::/32\"]}}")));
    assert_true(is_public(COND("{\"IpAddress\":{\"aws:SourceIp\":[\"10.0.0.0/8\",\"0.0.0.0/0\"]}}")));
    assert_true(is_public(COND("{\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}")));
    assert_true(is_public(COND("{\"IpAddressIfExists\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}")));
    assert_false(is_public(COND("{\"StringEquals\":{\"aws:SourceVpc\":\"vpc-1\"}}")));
    assert_true(is_public(COND("{\"StringLike\":{\"aws:SourceVpc\":\"vpc-*\"}}")));
    assert_true(is_public(COND("{\"StringEquals\":{\"aws:SourceVpc\":\"${aws:x}\"}}")));
    assert_false(is_public(COND("{\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:s3:::box\"}}")));
    assert_true(is_public(COND("{\"StringEquals\":{\"s3:prefix\":\"x\"}}")));
    assert_true(is_public(COND("{\"ForAllValues:StringEquals\":{\"aws:SourceVpc\":\"vpc-1\"}}")));
}

static void actions__have_names_resources_and_acl_permissions(void **state)
{
    bool of_object = false;

    (void)state;
    assert_string_equal(s3_action_name(S3_DO_GET_BUCKET_CORS), "GetBucketCORS");
    assert_true(s3_action_on_object(S3_DO_PUT_OBJECT));
    assert_false(s3_action_on_object(S3_DO_LIST_BUCKET));
    assert_int_equal(s3_action_permission(S3_DO_PUT_OBJECT, &of_object), ACL_WRITE);
    assert_false(of_object);
    assert_int_equal(s3_action_permission(S3_DO_GET_OBJECT_ACL, &of_object), ACL_READ_ACP);
    assert_true(of_object);
    assert_int_equal(s3_action_permission(S3_DO_PUT_BUCKET_POLICY, &of_object), 0);
    assert_int_equal(s3_code_status(S3_MALFORMED_POLICY), 400);
    assert_string_equal(s3_code_name(S3_MALFORMED_POLICY), "MalformedPolicy");
    assert_string_equal(s3_code_name(-ENOMEM), "InternalError");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(parse__takes_what_aws_takes),
        T(parse__refuses_what_is_no_policy),
        T(parse__refuses_broken_statements),
        T(parse__refuses_broken_conditions),
        T(parse__size_has_a_limit),
        T(parse__any_policy_fits_into_its_arena),
        T(parse__says_when_memory_is_out),
        T(judge__actions_and_resources_select),
        T(judge__negated_elements_take_the_rest),
        T(judge__deny_wins_in_any_order),
        T(judge__principals_are_keystones),
        T(condition__strings),
        T(condition__numbers_dates_and_truth),
        T(condition__addresses),
        T(condition__arns_match_part_by_part),
        T(condition__missing_keys),
        T(condition__sets_of_values),
        T(condition__all_must_hold),
        T(variables__are_filled_in),
        T(variables__are_plain_text_in_the_old_version),
        T(variables__that_grow_too_long_deny),
        T(judge__denies_when_memory_is_out),
        T(judge__long_names_are_judged_whole),
        T(looks_at__finds_keys_and_variables),
        T(public__is_what_gives_to_everybody),
        T(actions__have_names_resources_and_acl_permissions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
