/* tests/proxy/s3/lifecycle_test.c - lifecycle rules: what is refused, what is due and when. */
#include "proxy/s3/lifecycle.h"

#include <stdlib.h>

#include "tests/lib/test.h"

#define DAY UINT64_C(86400000000)
#define T0 (UINT64_C(20000) * DAY)   /* A midnight. */

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

#define RULE(text) "<Rule>" text "</Rule>"
#define ON "<Status>Enabled</Status>"
#define ID(text) "<ID>" text "</ID>"
#define PREFIX(text) "<Prefix>" text "</Prefix>"
#define FILTER(text) "<Filter>" text "</Filter>"
#define TAG(key, value) "<Tag><Key>" key "</Key><Value>" value "</Value></Tag>"
#define EXPIRE(text) "<Expiration>" text "</Expiration>"
#define DAYS(text) "<Days>" text "</Days>"
#define NONCURRENT(text) "<NoncurrentVersionExpiration>" text "</NoncurrentVersionExpiration>"
#define ABORT(text) "<AbortIncompleteMultipartUpload><DaysAfterInitiation>" text \
                    "</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
#define MOVE(text, class) "<Transition>" text "<StorageClass>" class "</StorageClass></Transition>"

static int parse(const char *text, struct lifecycle **ret)
{
    struct text t = { .limit = XML_BYTES_MAX };

    text_lit(&t, "<LifecycleConfiguration>");
    text_add(&t, slice_str(text));
    text_lit(&t, "</LifecycleConfiguration>");
    int rc = lifecycle_parse(&arena, text_slice(&t), ret, NULL);
    text_done(&t);
    return rc;
}

static struct lifecycle *rules(const char *text)
{
    struct lifecycle *l = NULL;

    assert_int_equal(parse(text, &l), 0);
    return l;
}

static void assert_text(struct slice got, const char *want)
{
    assert_int_equal(got.size, strlen(want));
    assert_memory_equal(got.size ? (const char *)got.data : "", want, got.size);
}

static void assert_refused(const char *text, int code)
{
    struct lifecycle *l = NULL;

    assert_int_equal(parse(text, &l), code);
    assert_null(l);
}

static void parse__refuses_broken_documents(void **state)
{
    struct lifecycle *l = NULL;

    (void)state;
    assert_int_equal(lifecycle_parse(&arena, SLICE("<x/>"), &l, NULL), S3_MALFORMED_XML);
    assert_refused("", S3_MALFORMED_XML);
    assert_refused(RULE(ON EXPIRE(DAYS("1"))), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") FILTER("") ON EXPIRE(DAYS("1"))), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") EXPIRE(DAYS("1"))), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") "<Status>enabled</Status>" EXPIRE(DAYS("1"))), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON EXPIRE("")), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON EXPIRE(DAYS("1") "<Date>2030-01-01</Date>")), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON EXPIRE(DAYS("x"))), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON EXPIRE("<Date>20200101</Date>")), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON EXPIRE("<ExpiredObjectDeleteMarker>1</ExpiredObjectDeleteMarker>")),
                   S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON NONCURRENT("")), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON MOVE(DAYS("1"), "")), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON MOVE("", "GLACIER")), S3_MALFORMED_XML);
    assert_refused(RULE(PREFIX("a") ON "<Other/>"), S3_MALFORMED_XML);
    assert_refused(RULE(FILTER("<ObjectSizeLessThan>x</ObjectSizeLessThan>") ON EXPIRE(DAYS("1"))),
                   S3_MALFORMED_XML);
}

static void parse__refuses_values_that_make_no_sense(void **state)
{
    (void)state;
    assert_refused(RULE(PREFIX("a") ON EXPIRE(DAYS("0"))), S3_INVALID_ARGUMENT);
    assert_refused(RULE(PREFIX("a") ON EXPIRE(DAYS("-1"))), S3_INVALID_ARGUMENT);
    assert_refused(RULE(PREFIX("a") ON EXPIRE(DAYS("2147483648"))), S3_INVALID_ARGUMENT);
    assert_refused(RULE(PREFIX("a") ON EXPIRE("<Date>2030-01-01T00:00:01Z</Date>")), S3_INVALID_ARGUMENT);
    assert_refused(RULE(PREFIX("a") ON NONCURRENT("<NoncurrentDays>0</NoncurrentDays>")), S3_INVALID_ARGUMENT);
    assert_refused(RULE(PREFIX("a") ON NONCURRENT("<NoncurrentDays>1</NoncurrentDays>"
                                                  "<NewerNoncurrentVersions>101</NewerNoncurrentVersions>")),
                   S3_INVALID_ARGUMENT);
    assert_refused(RULE(PREFIX("a") ON ABORT("0")), S3_INVALID_ARGUMENT);
    assert_refused(RULE(ID("x") PREFIX("a") ON ABORT("1")) RULE(ID("x") PREFIX("b") ON ABORT("1")),
                   S3_INVALID_ARGUMENT);
    assert_refused(RULE(PREFIX("a") ON EXPIRE(DAYS("3")) MOVE(DAYS("3"), "GLACIER")), S3_INVALID_ARGUMENT);
}

static void parse__refuses_what_does_not_go_together(void **state)
{
    (void)state;
    assert_refused(RULE(PREFIX("a") ON), S3_INVALID_REQUEST);
    assert_refused(RULE(FILTER(TAG("k", "v")) ON ABORT("1")), S3_INVALID_REQUEST);
    assert_refused(
        RULE(FILTER(TAG("k", "v")) ON EXPIRE("<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>")),
        S3_INVALID_REQUEST);
    assert_refused(RULE(FILTER("<ObjectSizeLessThan>9</ObjectSizeLessThan>") ON ABORT("1")), S3_INVALID_REQUEST);
    assert_refused(RULE(FILTER("<And>" TAG("k", "v") TAG("k", "w") "</And>") ON EXPIRE(DAYS("1"))),
                   S3_INVALID_REQUEST);
    assert_refused(
        RULE(FILTER(
            "<And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan>"
            "</And>") ON EXPIRE(DAYS("1"))),
        S3_INVALID_REQUEST);
    assert_refused(RULE(PREFIX("a") ON EXPIRE(DAYS("3")) MOVE("<Date>2030-01-01</Date>", "GLACIER")),
                   S3_INVALID_REQUEST);
    assert_refused(RULE(PREFIX("a") ON MOVE(DAYS("3"), "GLACIER") MOVE(DAYS("4"), "GLACIER")), S3_INVALID_REQUEST);
    assert_refused(RULE(FILTER(TAG("", "v")) ON EXPIRE(DAYS("1"))), S3_INVALID_TAG);
}

static int parse_id(size_t size)
{
    struct lifecycle *l;
    char             *id = arena_alloc(&arena, size + 1);

    assert_non_null(id);
    memset(id, 'i', size);
    return parse(arena_printf(&arena, RULE("<ID>%s</ID>" PREFIX("a") ON EXPIRE(DAYS("1"))), id), &l);
}

static int parse_count(const char *before, const char *item, int count, const char *after)
{
    struct lifecycle *l;
    struct text       t = { .limit = XML_BYTES_MAX };

    text_add(&t, slice_str(before));
    for (int i = 0; i < count; i++)
        text_add(&t, slice_str(arena_printf(&arena, item, i, i)));
    text_add(&t, slice_str(after));
    text_add(&t, slice_of("", 1));
    assert_false(t.failed);
    int rc = parse(t.data, &l);
    text_done(&t);
    return rc;
}

static void parse__has_limits(void **state)
{
    static const char rule[] = RULE(ID("r%d") PREFIX("%d") ON EXPIRE(DAYS("1")));
    static const char tag[] = "<Tag><Key>%d</Key><Value>%d</Value></Tag>";
    static const char move[] = "<Transition><Days>1</Days><StorageClass>C%d-%d</StorageClass></Transition>";

    (void)state;
    assert_int_equal(parse_id(LIFECYCLE_ID_MAX), 0);
    assert_int_equal(parse_id(LIFECYCLE_ID_MAX + 1), S3_INVALID_ARGUMENT);
    assert_int_equal(parse_count("", rule, LIFECYCLE_RULES_MAX, ""), 0);
    assert_int_equal(parse_count("", rule, LIFECYCLE_RULES_MAX + 1, ""), S3_INVALID_REQUEST);
    assert_int_equal(parse_count("<Rule><Filter><And>", tag, LIFECYCLE_TAGS_MAX,
                                 "</And></Filter>" ON EXPIRE(DAYS("1")) "</Rule>"),
                     0);
    assert_int_equal(parse_count("<Rule><Filter><And>", tag, LIFECYCLE_TAGS_MAX + 1,
                                 "</And></Filter>" ON EXPIRE(DAYS("1")) "</Rule>"),
                     S3_INVALID_REQUEST);
    assert_int_equal(parse_count("<Rule>" PREFIX("a") ON, move, LIFECYCLE_TRANSITIONS_MAX, "</Rule>"), 0);
    assert_int_equal(parse_count("<Rule>" PREFIX("a") ON, move, LIFECYCLE_TRANSITIONS_MAX + 1, "</Rule>"),
                     S3_INVALID_REQUEST);
}

static void parse__names_rules_that_have_no_id(void **state)
{
    struct lifecycle *l = rules(RULE(PREFIX("a") ON EXPIRE(DAYS("1"))) RULE(
        ID("rule-1") PREFIX("b") ON EXPIRE(DAYS("1"))) RULE(PREFIX("c") ON EXPIRE(DAYS("1"))));

    (void)state;
    assert_text(l->rules[0].id, "rule-2");
    assert_text(l->rules[1].id, "rule-1");
    assert_text(l->rules[2].id, "rule-3");
}

static void write__is_read_back(void **state)
{
    struct lifecycle *l = rules(
                         RULE(ID("a&amp;b") PREFIX("p/") "<Status>Disabled</Status>" EXPIRE(
                             "<Date>2030-01-01</Date>") MOVE("<Date>2029-01-01</Date>", "GLACIER"))
                             RULE(ID("2") FILTER("<And>" PREFIX("x") TAG("k", "v")
                                                     TAG("l", "") "<ObjectSizeGreaterThan>5"
                                                                  "</ObjectSizeGreaterThan></And>")
                                      ON EXPIRE(DAYS("7")) MOVE(DAYS("0"), "COLD"))
                                 RULE(ID("3") FILTER("") ON ABORT("2") NONCURRENT(
                                     "<NoncurrentDays>3</NoncurrentDays>"
                                     "<NewerNoncurrentVersions>4</NewerNoncurrentVersions>")
                                          EXPIRE("<ExpiredObjectDeleteMarker>true</"
                                                 "ExpiredObjectDeleteMarker>") "<NoncurrentVersionTransition>"
                                                                               "<NoncurrentDays>1</"
                                                                               "NoncurrentDays><StorageClass>"
                                                                               "COLD</StorageClass>"
                                                                               "</"
                                                                               "NoncurrentVersionTransition"
                                                                               ">")),
                     *again = NULL;
    struct text t = { .limit = 65536 }, t2 = { .limit = 65536 };

    (void)state;
    lifecycle_write(&t, l);
    assert_int_equal(lifecycle_parse(&arena, text_slice(&t), &again, NULL), 0);
    lifecycle_write(&t2, again);
    assert_int_equal(t.size, t2.size);
    assert_memory_equal(t.data, t2.data, t.size);
    assert_int_equal(again->rule_count, 3);
    assert_text(again->rules[0].id, "a&b");
    assert_int_equal(again->rules[1].tag_count, 2);
    assert_int_equal(again->rules[2].noncurrent_newer, 4);
    assert_true(again->rules[2].filter);
    assert_false(again->rules[2].has_prefix);
    text_done(&t);
    text_done(&t2);
}

/* --- What is due. --- */

static struct lifecycle_subject current(const char *name)
{
    return (struct lifecycle_subject){
        .kind = LIFECYCLE_CURRENT, .name = slice_str(name), .since_us = T0 + 1, .size = 10};
}

static struct lifecycle_due judge(const struct lifecycle *l, const struct lifecycle_subject *s, uint64_t now_us)
{
    struct lifecycle_due due = { .what = LIFECYCLE_MOVE };

    lifecycle_judge(l, s, now_us, LIFECYCLE_DAY_S, &due);
    return due;
}

static void expiry__is_rounded_up_to_midnight(void **state)
{
    struct lifecycle        *l = rules(RULE(PREFIX("a") ON EXPIRE(DAYS("2"))));
    struct lifecycle_subject s = current("abc"), b = current("b");
    struct lifecycle_due     due;

    (void)state;
    assert_int_equal(judge(l, &s, T0 + 3 * DAY - 1).what, LIFECYCLE_NOTHING);
    assert_int_equal(judge(l, &s, T0 + 3 * DAY).what, LIFECYCLE_EXPIRE);
    assert_int_equal(judge(l, &b, T0 + 9 * DAY).what, LIFECYCLE_NOTHING);
    assert_true(lifecycle_expiry(l, &s, LIFECYCLE_DAY_S, &due));
    assert_true(due.at_us == T0 + 3 * DAY);
    s.since_us = T0;   /* At midnight: exactly two days. */
    assert_true(lifecycle_expiry(l, &s, LIFECYCLE_DAY_S, &due));
    assert_true(due.at_us == T0 + 2 * DAY);
    /* Short days of tests are not rounded. */
    s.since_us = T0 + 5;
    assert_true(lifecycle_expiry(l, &s, 10, &due));
    assert_true(due.at_us == T0 + 5 + 20 * 1000000);
    assert_false(lifecycle_expiry(l, &b, LIFECYCLE_DAY_S, &due));
}

static void expiry__of_several_rules_the_first_counts(void **state)
{
    struct lifecycle *l = rules(
        RULE(ID("late") PREFIX("") ON EXPIRE(DAYS("9"))) RULE(ID("soon r") PREFIX("a") ON EXPIRE(DAYS("1")))
            RULE(ID("off") PREFIX("") "<Status>Disabled</Status>" EXPIRE("<Date>1970-01-02</Date>")));
    struct lifecycle_subject s = current("a"), b = current("b");
    struct lifecycle_due     due;

    (void)state;
    assert_true(lifecycle_expiry(l, &s, LIFECYCLE_DAY_S, &due));
    assert_text(due.rule->id, "soon r");
    assert_string_equal(lifecycle_expiry_text(&arena, &due),
                        "expiry-date=\"Sun, 06 Oct 2024 00:00:00 GMT\", rule-id=\"soon%20r\"");
    assert_true(lifecycle_expiry(l, &b, LIFECYCLE_DAY_S, &due));
    assert_text(due.rule->id, "late");
}

static void filter__needs_all_of_it(void **state)
{
    struct lifecycle *l = rules(RULE(FILTER("<And>" PREFIX("a/") TAG("k", "v") TAG(
        "l", "w") "<ObjectSizeGreaterThan>5"
                  "</ObjectSizeGreaterThan><ObjectSizeLessThan>20</ObjectSizeLessThan></And>")
                                         ON EXPIRE(DAYS("1"))));
    Rs__MetaItem             k = RS__META_ITEM__INIT, w = RS__META_ITEM__INIT, *tags[] = { &k, &w };
    struct lifecycle_subject s = current("a/x");

    (void)state;
    k.name = (ProtobufCBinaryData) { 1, (uint8_t *)"k" };
    k.value = (ProtobufCBinaryData) { 1, (uint8_t *)"v" };
    w.name = (ProtobufCBinaryData) { 1, (uint8_t *)"l" };
    w.value = (ProtobufCBinaryData) { 1, (uint8_t *)"w" };
    s.tags = tags;
    s.tag_count = 2;
    assert_int_equal(judge(l, &s, T0 + 9 * DAY).what, LIFECYCLE_EXPIRE);
    s.tag_count = 1;
    assert_int_equal(judge(l, &s, T0 + 9 * DAY).what, LIFECYCLE_NOTHING);
    s.tag_count = 2;
    s.size = 5;
    assert_int_equal(judge(l, &s, T0 + 9 * DAY).what, LIFECYCLE_NOTHING);
    s.size = 20;
    assert_int_equal(judge(l, &s, T0 + 9 * DAY).what, LIFECYCLE_NOTHING);
    s.size = 6;
    assert_int_equal(judge(l, &s, T0 + 9 * DAY).what, LIFECYCLE_EXPIRE);
    s.name = SLICE("b/x");
    assert_int_equal(judge(l, &s, T0 + 9 * DAY).what, LIFECYCLE_NOTHING);
}

static void filter__bare_predicates_all_count(void **state)
{
    struct lifecycle        *l = rules(RULE(FILTER(PREFIX("days1/") TAG("tom", "sawyer") "<And>" PREFIX("days1")
                                                   TAG("huck", "finn") "</And>") ON EXPIRE(DAYS("1"))));
    struct lifecycle_subject s = current("days1/tom");

    (void)state;
    assert_text(l->rules[0].prefix, "days1/");
    assert_int_equal(l->rules[0].tag_count, 2);
    assert_int_equal(judge(l, &s, T0 + 9 * DAY).what, LIFECYCLE_NOTHING);
}

static void noncurrent__keeps_the_newest(void **state)
{
    struct lifecycle *l =
        rules(RULE(PREFIX("") ON NONCURRENT("<NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>3"
                                            "</NewerNoncurrentVersions>")));
    struct lifecycle_subject s = current("a");

    (void)state;
    assert_int_equal(judge(l, &s, T0 + 99 * DAY).what, LIFECYCLE_NOTHING);
    s.kind = LIFECYCLE_NONCURRENT;
    s.newer = 2;
    assert_int_equal(judge(l, &s, T0 + 99 * DAY).what, LIFECYCLE_NOTHING);
    s.newer = 3;
    assert_int_equal(judge(l, &s, T0 + 99 * DAY).what, LIFECYCLE_REMOVE);
    assert_int_equal(judge(l, &s, T0 + 2 * DAY).what, LIFECYCLE_NOTHING);
}

static void marker__goes_when_it_is_alone(void **state)
{
    struct lifecycle *l =
        rules(RULE(PREFIX("") ON EXPIRE("<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>")));
    struct lifecycle *off =
        rules(RULE(PREFIX("") ON EXPIRE("<ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker>")));
    struct lifecycle        *days = rules(RULE(PREFIX("") ON EXPIRE(DAYS("5"))));
    struct lifecycle_subject s = current("a");

    (void)state;
    assert_int_equal(judge(l, &s, T0 + 99 * DAY).what, LIFECYCLE_NOTHING);
    s.kind = LIFECYCLE_MARKER;
    assert_int_equal(judge(l, &s, T0 + 99 * DAY).what, LIFECYCLE_NOTHING);
    s.alone = true;
    assert_int_equal(judge(l, &s, T0 + 1).what, LIFECYCLE_REMOVE);
    assert_int_equal(judge(off, &s, T0 + 99 * DAY).what, LIFECYCLE_NOTHING);
    assert_int_equal(judge(days, &s, T0 + 5 * DAY).what, LIFECYCLE_NOTHING);
    assert_int_equal(judge(days, &s, T0 + 6 * DAY).what, LIFECYCLE_REMOVE);
    s.alone = false;
    assert_int_equal(judge(days, &s, T0 + 6 * DAY).what, LIFECYCLE_NOTHING);
}

static void upload__is_aborted_by_its_name_only(void **state)
{
    struct lifecycle *l =
        rules(RULE(FILTER(PREFIX("a")) ON ABORT("1")) RULE(PREFIX("") ON EXPIRE(DAYS("1"))));
    struct lifecycle_subject s = current("a");
    struct lifecycle_due     due;

    (void)state;
    s.kind = LIFECYCLE_UPLOAD;
    assert_int_equal(judge(l, &s, T0 + DAY).what, LIFECYCLE_NOTHING);
    assert_int_equal(judge(l, &s, T0 + 2 * DAY).what, LIFECYCLE_ABORT);
    assert_true(lifecycle_abort(l, &s, LIFECYCLE_DAY_S, &due));
    assert_true(due.at_us == T0 + 2 * DAY);
    s.name = SLICE("b");
    assert_int_equal(judge(l, &s, T0 + 99 * DAY).what, LIFECYCLE_NOTHING);
}

static void move__goes_to_the_last_class_that_is_due(void **state)
{
    struct lifecycle *l =
        rules(RULE(PREFIX("") ON MOVE(DAYS("1"), "WARM") MOVE(DAYS("3"), "COLD") EXPIRE(DAYS("5"))));
    struct lifecycle_subject s = current("a");
    struct lifecycle_due     due;

    (void)state;
    assert_int_equal(judge(l, &s, T0 + DAY).what, LIFECYCLE_NOTHING);
    due = judge(l, &s, T0 + 2 * DAY);
    assert_int_equal(due.what, LIFECYCLE_MOVE);
    assert_text(due.storage_class, "WARM");
    due = judge(l, &s, T0 + 4 * DAY);
    assert_text(due.storage_class, "COLD");
    s.storage_class = SLICE("COLD");
    assert_int_equal(judge(l, &s, T0 + 4 * DAY).what, LIFECYCLE_NOTHING);
    /* Deleting goes before moving. */
    s.storage_class = SLICE_NONE;
    assert_int_equal(judge(l, &s, T0 + 6 * DAY).what, LIFECYCLE_EXPIRE);
}

static void date__holds_from_then_on(void **state)
{
    struct lifecycle        *l = rules(RULE(PREFIX("") ON EXPIRE("<Date>2015-01-01T00:00:00Z</Date>")));
    struct lifecycle_subject s = current("a");
    uint64_t                 at;

    (void)state;
    assert_true(xml_time(SLICE("2015-01-01"), &at));
    assert_int_equal(judge(l, &s, at - 1).what, LIFECYCLE_NOTHING);
    assert_int_equal(judge(l, &s, at).what, LIFECYCLE_EXPIRE);
    assert_int_equal(judge(l, &s, T0 + 9 * DAY).what, LIFECYCLE_EXPIRE);
}

static void days__do_not_overflow(void **state)
{
    struct lifecycle        *l = rules(RULE(PREFIX("") ON EXPIRE(DAYS("2147483647"))));
    struct lifecycle_subject s = current("a");

    (void)state;
    s.since_us = UINT64_MAX - DAY;
    assert_int_equal(judge(l, &s, T0).what, LIFECYCLE_NOTHING);
    s.since_us = T0;
    assert_int_equal(judge(l, &s, T0 + 99999 * DAY).what, LIFECYCLE_NOTHING);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(parse__refuses_broken_documents),
        T(parse__refuses_values_that_make_no_sense),
        T(parse__refuses_what_does_not_go_together),
        T(parse__has_limits),
        T(parse__names_rules_that_have_no_id),
        T(write__is_read_back),
        T(expiry__is_rounded_up_to_midnight),
        T(expiry__of_several_rules_the_first_counts),
        T(filter__needs_all_of_it),
        T(filter__bare_predicates_all_count),
        T(noncurrent__keeps_the_newest),
        T(marker__goes_when_it_is_alone),
        T(upload__is_aborted_by_its_name_only),
        T(move__goes_to_the_last_class_that_is_due),
        T(date__holds_from_then_on),
        T(days__do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
