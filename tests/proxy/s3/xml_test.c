/* tests/proxy/s3/xml_test.c - XML in and out, and its limits. */
#include "proxy/s3/xml.h"

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

static struct xml_node *parsed(const char *text)
{
    struct xml_node *root = NULL;
    struct error     err;

    assert_int_equal(xml_parse(&arena, slice_str(text), NULL, &root, &err), 0);
    assert_non_null(root);
    return root;
}

static int refusal(struct slice text, const char *root)
{
    struct xml_node *node = NULL;
    int              rc = xml_parse(&arena, text, root, &node, NULL);

    assert_true(rc == 0 || node == NULL);
    return rc;
}

static void assert_slice(struct slice got, const char *want)
{
    assert_int_equal(got.size, strlen(want));
    assert_memory_equal(got.size ? (const char *)got.data : "", want, got.size);
}

static void parse__gives_a_tree_by_names(void **state)
{
    struct xml_node *root =
        parsed("<?xml version=\"1.0\"?>\n<a:Top xmlns:a=\"urn:x\">\n <B><C> one </C><C>two</C></B>"
               "<a:D><![CDATA[<&>]]>&amp;&#65;</a:D><E/></a:Top>");

    (void)state;
    assert_true(xml_is(root, "Top"));
    assert_slice(xml_at(root, "B/C")->text, " one ");
    assert_slice(xml_word(xml_child(root, "B"), "C"), "one");
    assert_slice(xml_again(xml_at(root, "B/C"))->text, "two");
    assert_null(xml_again(xml_again(xml_at(root, "B/C"))));
    assert_slice(xml_word(root, "D"), "<&>&A");
    assert_slice(xml_word(root, "E"), "");
    assert_int_equal(xml_count(xml_child(root, "B"), "C"), 2);
    assert_null(xml_at(root, "B/X/Y"));
    assert_null(xml_child(NULL, "B"));
}

static void parse__keeps_the_type_of_a_grantee(void **state)
{
    struct xml_node *root = parsed("<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
                                   "xsi:type=\"Group\"><URI>u</URI></Grantee>");

    (void)state;
    assert_slice(root->type, "Group");
}

static void parse__refuses_what_is_not_well_formed(void **state)
{
    const char *const bad[] = { "", " ", "<a>", "<a></b>", "<a/><b/>", "<a>&unknown;</a>", "text", "<a b=c/>",
                                "<a>\x01</a>", "<a>\xff\xfe</a>" };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(refusal(slice_str(bad[i]), NULL), S3_MALFORMED_XML);
    assert_int_equal(refusal(SLICE("<a/>"), "b"), S3_MALFORMED_XML);
    assert_int_equal(refusal(SLICE("<a/>"), "a"), 0);
}

static void parse__refuses_document_types_and_entities(void **state)
{
    (void)state;
    assert_int_equal(refusal(SLICE("<!DOCTYPE a><a/>"), NULL), S3_MALFORMED_XML);
    assert_int_equal(refusal(SLICE("<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>"), NULL),
                     S3_MALFORMED_XML);
    assert_int_equal(refusal(SLICE("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>"), NULL),
                     S3_MALFORMED_XML);
}

static struct slice nested(int depth)
{
    struct text t = { .limit = 4096 };

    for (int i = 0; i < depth; i++)
        xml_open(&t, "a");
    for (int i = 0; i < depth; i++)
        xml_close(&t, "a");
    struct slice copy = arena_dup(&arena, text_slice(&t));
    text_done(&t);
    return copy;
}

static void parse__depth_has_a_limit(void **state)
{
    (void)state;
    assert_int_equal(refusal(nested(XML_DEPTH_MAX), NULL), 0);
    assert_int_equal(refusal(nested(XML_DEPTH_MAX + 1), NULL), S3_MALFORMED_XML);
}

static int parse_children(uint32_t count)
{
    struct text t = { .limit = XML_BYTES_MAX };

    xml_open(&t, "r");
    for (uint32_t i = 0; i < count; i++)
        text_lit(&t, "<a/>");
    xml_close(&t, "r");
    assert_false(t.failed);
    int rc = refusal(text_slice(&t), NULL);
    text_done(&t);
    return rc;
}

static void parse__number_of_elements_has_a_limit(void **state)
{
    (void)state;
    assert_int_equal(parse_children(XML_NODES_MAX - 1), 0);
    assert_int_equal(parse_children(XML_NODES_MAX), S3_MALFORMED_XML);
}

static int parse_text(size_t size)
{
    char *text = malloc(size + 8);

    assert_non_null(text);
    memcpy(text, "<a>", 3);
    memset(text + 3, 'x', size);
    memcpy(text + 3 + size, "</a>", 4);
    int rc = refusal(slice_of(text, size + 7), NULL);
    free(text);
    return rc;
}

static void parse__text_and_document_have_limits(void **state)
{
    (void)state;
    assert_int_equal(parse_text(XML_TEXT_MAX), 0);
    assert_int_equal(parse_text(XML_TEXT_MAX + 1), S3_MALFORMED_XML);
    assert_int_equal(parse_text(XML_BYTES_MAX), S3_MALFORMED_XML);
}

static void parse__says_when_memory_is_out(void **state)
{
    struct arena small;
    int          rc = 0;

    (void)state;
    arena_init(&small, 4096);
    struct xml_node *node = NULL;
    struct slice     document = arena_dup(&arena, nested(8));
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = xml_parse(&small, document, NULL, &node, NULL);
    assert_int_equal(rc, -ENOMEM);
    arena_done(&small);
}

static void fits__counts_children(void **state)
{
    struct xml_node *node = parsed("<r><A/><B/><B/></r>");

    (void)state;
    assert_true(xml_fits(node, "A B+"));
    assert_true(xml_fits(node, "A B* C?"));
    assert_true(xml_fits(node, "A ..."));
    assert_false(xml_fits(node, "A B"));
    assert_false(xml_fits(node, "A B?"));
    assert_false(xml_fits(node, "A"));
    assert_false(xml_fits(node, "A B+ C"));
    assert_false(xml_fits(node, "A B+ C+"));
    assert_true(xml_fits(parsed("<r> </r>"), "C?"));
}

static void number__takes_digits_up_to_its_limit(void **state)
{
    uint64_t n = 7;

    (void)state;
    assert_true(xml_number(SLICE("0"), 10, &n));
    assert_int_equal(n, 0);
    assert_true(xml_number(SLICE("18446744073709551615"), UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    assert_false(xml_number(SLICE("18446744073709551616"), UINT64_MAX, &n));
    assert_false(xml_number(SLICE("11"), 10, &n));
    assert_false(xml_number(SLICE(""), 10, &n));
    assert_false(xml_number(SLICE("-1"), 10, &n));
    assert_false(xml_number(SLICE("1x"), 10, &n));
}

static void assert_time(const char *text, uint64_t want_us)
{
    uint64_t us = 0;

    assert_true(xml_time(slice_str(text), &us));
    assert_true(us == want_us);
}

static void time__reads_the_forms_of_clients(void **state)
{
    uint64_t us;

    (void)state;
    assert_time("1970-01-01", 0);
    assert_time("2026-01-31T12:00:00Z", 1769860800000000);
    assert_time("2026-01-31T12:00:00.5Z", 1769860800500000);
    assert_time("2026-01-31T12:00:00.1234567890Z", 1769860800123456);
    assert_time("2026-01-31T12:00:00", 1769860800000000);
    assert_time("2026-01-31T13:30:00+01:30", 1769860800000000);
    assert_time("2026-01-31T07:00:00-0500", 1769860800000000);
    assert_time("2024-02-29", 1709164800000000);
    assert_time("2100-03-01", 4107542400000000);
    assert_false(xml_time(SLICE("2023-02-29"), &us));
    assert_false(xml_time(SLICE("2100-02-29"), &us));
    assert_false(xml_time(SLICE("20260131"), &us));
    assert_false(xml_time(SLICE("2026-13-01"), &us));
    assert_false(xml_time(SLICE("1969-12-31"), &us));
    assert_false(xml_time(SLICE("2026-01-31T24:00:00Z"), &us));
    assert_false(xml_time(SLICE("2026-01-31T12:00:00.Z"), &us));
    assert_false(xml_time(SLICE("2026-01-31T12:00:00Zx"), &us));
    assert_false(xml_time(SLICE("1970-01-01T00:00:00+00:01"), &us));
    assert_false(xml_time(SLICE(""), &us));
}

static void write__escapes_and_is_read_back(void **state)
{
    static const char value[] = "a<b>&\"c'\r\n\td\xc3\xa9";
    struct text       t = { .limit = 4096 };

    (void)state;
    xml_begin(&t, "Result");
    xml_leaf(&t, "Key", slice_str(value));
    xml_leaf_number(&t, "Size", 12345678901234567890ull);
    xml_leaf_bool(&t, "Yes", true);
    xml_leaf_time(&t, "When", 1769860800123456);
    xml_close(&t, "Result");
    assert_false(t.failed);
    struct xml_node *root = NULL;
    assert_int_equal(xml_parse(&arena, text_slice(&t), "Result", &root, NULL), 0);
    assert_slice(xml_child(root, "Key")->text, value);
    assert_slice(xml_word(root, "Size"), "12345678901234567890");
    assert_slice(xml_word(root, "Yes"), "true");
    assert_slice(xml_word(root, "When"), "2026-01-31T12:00:00.123Z");
    text_done(&t);
}

static void write__control_bytes_are_references(void **state)
{
    struct text t = { .limit = 64 };

    (void)state;
    xml_escape(&t, SLICE("\x01x\x1f"));
    assert_slice(text_slice(&t), "&#x01;x&#x1f;");
    text_done(&t);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(parse__gives_a_tree_by_names),
        T(parse__keeps_the_type_of_a_grantee),
        T(parse__refuses_what_is_not_well_formed),
        T(parse__refuses_document_types_and_entities),
        T(parse__depth_has_a_limit),
        T(parse__number_of_elements_has_a_limit),
        T(parse__text_and_document_have_limits),
        T(parse__says_when_memory_is_out),
        T(fits__counts_children),
        T(number__takes_digits_up_to_its_limit),
        T(time__reads_the_forms_of_clients),
        T(write__escapes_and_is_read_back),
        T(write__control_bytes_are_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
