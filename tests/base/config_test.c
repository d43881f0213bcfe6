/* tests/base/config_test.c - configuration files and command lines. */
#include "base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cli.h"
#include "tests/lib/test.h"

static int parse(const char *text, struct config **ret_config, struct error *err)
{
    return config_parse(slice_str(text), "t.conf", ret_config, err);
}

static void config__sections_keys_values(void **state)
{
    struct config *c;
    const char    *s;
    uint64_t       v;
    bool           b;

    (void)state;
    assert_int_equal(parse("# top\nname = x y\r\n\n[device d1]\n path=/a=b \n size = 2G\n; c\n[device d2]\nok = yes", &c, NULL), 0);
    assert_int_equal(config_section_count(c), 3);
    assert_int_equal(config_string(config_find(c, "", ""), "name", "", &s, NULL), 0);
    assert_string_equal(s, "x y");
    assert_int_equal(config_string(config_find(c, "device", "d1"), "path", "", &s, NULL), 0);
    assert_string_equal(s, "/a=b");
    assert_int_equal(config_size(config_find(c, "device", "d1"), "size", 0, 0, UINT64_MAX, &v, NULL), 0);
    assert_true(v == UINT64_C(2) << 30);
    assert_int_equal(config_bool(config_section_at(c, 2), "ok", false, &b, NULL), 0);
    assert_true(b);
    assert_int_equal(config_u64(config_find(c, "none", ""), "n", 7, 0, 9, &v, NULL), 0);
    assert_int_equal(v, 7);
    assert_int_equal(config_unknown(c, NULL), 0);
    config_free(c);
}

static void config__errors_name_file_and_line(void **state)
{
    static const struct { const char *text, *says; } cases[] = {
        { "a = 1\n[x\n", "t.conf:2: a section needs a closing ']'" },
        { "\nnonsense\n", "t.conf:2: expected 'key = value' or '[section]'" },
        { "a=1\na=2\n", "t.conf:2: this key is in the section already" },
        { "[a b]\n[a b]\n", "t.conf:2: this section is there already" },
        { "a b = 1\n", "t.conf:1: a key is made of letters, digits, '-', '_' and '.'" },
        { "[]\n", "t.conf:1: a section is [kind] or [kind name]" },
    };
    struct config *c = NULL;
    struct error   err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(parse(cases[i].text, &c, &err), -E_SYNTAX);
        assert_string_equal(err.text, cases[i].says);
        assert_null(c);
    }
}

static void config__unknown_keys_and_sections_are_found(void **state)
{
    struct config *c;
    struct error   err;
    uint64_t       v;

    (void)state;
    assert_int_equal(parse("[a]\nx = 1\ny = 2\n[b]\n", &c, NULL), 0);
    assert_int_equal(config_u64(config_find(c, "a", ""), "x", 0, 0, 9, &v, NULL), 0);
    assert_int_equal(config_unknown(c, &err), -E_SYNTAX);
    assert_string_equal(err.text, "t.conf:3: unknown key 'y'");
    assert_int_equal(config_u64(config_find(c, "a", ""), "y", 0, 0, 9, &v, NULL), 0);
    assert_int_equal(config_unknown(c, &err), -E_SYNTAX);
    assert_string_equal(err.text, "t.conf:4: unknown section [b]");
    config_free(c);
}

static void config__values_out_of_range_or_malformed(void **state)
{
    struct config *c;
    struct error   err;
    uint64_t       v = 5;
    bool           b = true;

    (void)state;
    assert_int_equal(parse("n = 12\ns = 1X\nb = maybe\nbig = 99999999999999999999\n", &c, NULL), 0);
    assert_int_equal(config_u64(config_find(c, "", ""), "n", 0, 0, 11, &v, &err), -E_LIMIT);
    assert_int_equal(config_size(config_find(c, "", ""), "s", 0, 0, 11, &v, &err), -E_SYNTAX);
    assert_int_equal(config_u64(config_find(c, "", ""), "big", 0, 0, UINT64_MAX, &v, &err), -E_SYNTAX);
    assert_int_equal(config_bool(config_find(c, "", ""), "b", false, &b, &err), -E_SYNTAX);
    assert_int_equal(v, 5);
    assert_true(b);
    config_free(c);
    assert_false(config_parse_size("20000000T", &v));
    assert_false(config_parse_size("K", &v));
    assert_false(config_parse_size("", &v));
}

static void config__limits(void **state)
{
    struct config *c;
    char          *text = malloc(CONFIG_FILE_MAX + 2);

    (void)state;
    memset(text, '#', CONFIG_FILE_MAX + 1);
    assert_int_equal(config_parse(slice_of(text, CONFIG_FILE_MAX + 1), "t", &c, NULL), -E_LIMIT);
    assert_int_equal(config_parse(slice_of(text, CONFIG_LINE_MAX + 1), "t", &c, NULL), -E_LIMIT);
    assert_int_equal(config_parse(slice_of(text, CONFIG_LINE_MAX), "t", &c, NULL), 0);
    config_free(c);
    assert_int_equal(config_parse(SLICE("a\0b"), "t", &c, NULL), -E_SYNTAX);
    size_t at = 0;
    for (int i = 0; i <= CONFIG_SECTION_KEYS_MAX; i++)
        at += (size_t)sprintf(text + at, "k%d=\n", i);
    assert_int_equal(config_parse(slice_of(text, at), "t", &c, NULL), -E_LIMIT);
    free(text);
    assert_int_equal(config_load("/nonexistent/x.conf", &c, NULL), -ENOENT);
}

struct parsed {
    const char     *name;
    uint64_t        number, size;
    bool            flag;
    struct cli_list list;
};

static int cli(struct parsed *p, int argc, const char **argv, int *operands)
{
    const struct cli_option options[] = {
        { "name", CLI_STRING, "NAME", "a name", &p->name, 0, 0 },
        { "number", CLI_U64, "N", "a number", &p->number, 1, 10 },
        { "size", CLI_SIZE, "SIZE", "a size", &p->size, 0, 0 },
        { "flag", CLI_BOOL, NULL, "a flag", &p->flag, 0, 0 },
        { "item", CLI_LIST, "X", "an item", &p->list, 0, 0 },
        CLI_END
    };
    const struct cli_command command = { "t", "Tests.", "FILE", 0, 2, options };

    return cli_parse(&command, argc, (char **)(uintptr_t)argv, operands);
}

static void cli__options_and_operands_in_any_order(void **state)
{
    struct parsed p = { .flag = true };
    const char   *argv[] = { "t", "one", "--name=a=b", "--number", "10", "--size", "3M", "--no-flag", "--item", "x",
                             "--item=y", "--", "--two" };
    int           operands;

    (void)state;
    assert_int_equal(cli(&p, 13, argv, &operands), -1);
    assert_string_equal(p.name, "a=b");
    assert_int_equal(p.number, 10);
    assert_int_equal(p.size, 3 << 20);
    assert_false(p.flag);
    assert_int_equal(p.list.count, 2);
    assert_int_equal(operands, 2);
    assert_string_equal(argv[1], "one");
    assert_string_equal(argv[2], "--two");
}

static void cli__usage_errors_are_status_2(void **state)
{
    static const char *const bad[][3] = {
        { "t", "--nope", NULL }, { "t", "--number=11", NULL }, { "t", "--number", "x" }, { "t", "--name", NULL },
        { "t", "--flag=1", NULL }, { "t", "-x", NULL }, { "t", "--no-name", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct parsed p = { .flag = false };
        const char   *argv[] = { bad[i][0], bad[i][1], bad[i][2] };

        assert_int_equal(cli(&p, bad[i][2] ? 3 : 2, argv, NULL), 2);
    }
    struct parsed p = { .flag = false };
    const char   *many[] = { "t", "a", "b", "c" }, *help[] = { "t", "--help" };
    assert_int_equal(cli(&p, 4, many, NULL), 2);
    assert_int_equal(cli(&p, 2, help, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config__sections_keys_values),
        cmocka_unit_test(config__errors_name_file_and_line),
        cmocka_unit_test(config__unknown_keys_and_sections_are_found),
        cmocka_unit_test(config__values_out_of_range_or_malformed),
        cmocka_unit_test(config__limits),
        cmocka_unit_test(cli__options_and_operands_in_any_order),
        cmocka_unit_test(cli__usage_errors_are_status_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
