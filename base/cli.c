/* base/cli.c - command lines from a table. */
#include "base/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"

static void print_help(const struct cli_command *command)
{
    int width = 6;

    for (const struct cli_option *o = command->options; o && o->name; o++) {
        int w = (int)strlen(o->name) + (o->value_name ? (int)strlen(o->value_name) + 1 : 0);

        width = w > width ? w : width;
    }
    printf("usage: %s [OPTION]...%s%s\n%s\n\n", command->name, command->operands ? " " : "",
           command->operands ? command->operands : "", command->summary);
    for (const struct cli_option *o = command->options; o && o->name; o++) {
        char left[128];

        snprintf(left, sizeof left, "%s%s%s", o->name, o->value_name ? " " : "",
                 o->value_name ? o->value_name : "");
        printf("  --%-*s  %s\n", width, left, o->help);
    }
    printf("  --%-*s  %s\n", width, "help", "show this text");
}

int cli_usage(const struct cli_command *command, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see %s --help\n", command->name);
    return 2;
}

static const struct cli_option *find(const struct cli_command *command, const char *name, size_t size)
{
    for (const struct cli_option *o = command->options; o && o->name; o++)
        if (strlen(o->name) == size && !memcmp(o->name, name, size))
            return o;
    return NULL;
}

static int set_value(const struct cli_command *command, const struct cli_option *o, const char *text)
{
    uint64_t         v;
    struct cli_list *list;

    switch (o->kind) {
    case CLI_STRING:
        *(const char **)o->value = text;
        return -1;
    case CLI_LIST:
        list = o->value;
        if (list->count == CLI_LIST_MAX)
            return cli_usage(command, "--%s may be given at most %d times", o->name, CLI_LIST_MAX);
        list->value[list->count++] = text;
        return -1;
    case CLI_U64:
    case CLI_SIZE:
        if (!(o->kind == CLI_SIZE ? config_parse_size(text, &v) : config_parse_u64(text, &v)))
            return cli_usage(command, "--%s wants a number, not '%s'", o->name, text);
        if (v < o->min || (o->max && v > o->max))
            return cli_usage(command, "--%s must be from %llu to %llu", o->name, (unsigned long long)o->min,
                             (unsigned long long)(o->max ? o->max : UINT64_MAX));
        *(uint64_t *)o->value = v;
        return -1;
    case CLI_BOOL:
        break;
    }
    return cli_usage(command, "--%s takes no value", o->name);
}

/* One option at argv[*at]; moves '*at' past its value. */
static int parse_option(const struct cli_command *command, int argc, char **argv, int *at)
{
    const char              *name = argv[*at] + 2;
    const char              *equals = strchr(name, '=');
    size_t                   size = equals ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *o = find(command, name, size);

    if (!o && !equals && size == 4 && !memcmp(name, "help", 4)) {
        print_help(command);
        return 0;
    }
    if (!o && !equals && size > 3 && !memcmp(name, "no-", 3)) {
        o = find(command, name + 3, size - 3);
        if (o && o->kind == CLI_BOOL) {
            *(bool *)o->value = false;
            return -1;
        }
        o = NULL;
    }
    if (!o)
        return cli_usage(command, "unknown option '%s'", argv[*at]);
    if (o->kind == CLI_BOOL && !equals) {
        *(bool *)o->value = true;
        return -1;
    }
    if (equals)
        return set_value(command, o, equals + 1);
    if (*at + 1 >= argc)
        return cli_usage(command, "--%s needs a value", o->name);
    return set_value(command, o, argv[++*at]);
}

int cli_parse(const struct cli_command *command, int argc, char **argv, int *ret_operands)
{
    uint32_t operands = 0;
    bool     options = true;

    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        int   rc;

        if (options && !strcmp(arg, "--")) {
            options = false;
        } else if (options && arg[0] == '-' && arg[1] == '-') {
            rc = parse_option(command, argc, argv, &i);
            if (rc >= 0)
                return rc;
        } else if (options && arg[0] == '-' && arg[1] == 'h' && !arg[2]) {
            print_help(command);
            return 0;
        } else if (options && arg[0] == '-' && arg[1]) {
            return cli_usage(command, "unknown option '%s'", arg);
        } else if (operands == command->operands_max) {
            return cli_usage(command, "too many operands at '%s'", arg);
        } else {
            argv[1 + operands++] = arg;
        }
    }
    if (operands < command->operands_min)
        return cli_usage(command, "missing operand: %s", command->operands ? command->operands : "");
    if (ret_operands)
        *ret_operands = (int)operands;
    return -1;
}
