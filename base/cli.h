/* base/cli.h - command lines from a table: GNU-style long options, typed values,
 * --help text, usage errors in one line on stderr.
 *
 *   struct cli_option options[] = {
 *       { "seed", CLI_U64, "N", "where the run starts", &seed, 0, UINT64_MAX },
 *       { "json", CLI_BOOL, NULL, "print JSON", &json, 0, 0 },
 *       CLI_END
 *   };
 *
 * "--name value" and "--name=value"; a bool is "--name" or "--no-name"; "--"
 * ends the options. Options and operands may be mixed. Values that are not
 * given keep what the variables held: the default. */
#ifndef BASE_CLI_H
#define BASE_CLI_H

#include <stdbool.h>
#include <stdint.h>

enum cli_kind {
    CLI_STRING,   /* const char * */
    CLI_U64,      /* uint64_t, from min to max */
    CLI_SIZE,     /* uint64_t, with K, M, G or T */
    CLI_BOOL,     /* bool */
    CLI_LIST      /* struct cli_list: may be given several times */
};

enum { CLI_LIST_MAX = 256 };
struct cli_list {
    const char *value[CLI_LIST_MAX];
    uint32_t    count;
};

struct cli_option {
    const char   *name;         /* Without the dashes. */
    enum cli_kind kind;
    const char   *value_name;   /* For the help: "DIR". */
    const char   *help;
    void         *value;
    uint64_t      min, max;     /* Of CLI_U64 and CLI_SIZE; max 0: no bound. */
};
#define CLI_END { 0 }

struct cli_command {
    const char              *name;       /* "ringstack sim" */
    const char              *summary;    /* One sentence. */
    const char              *operands;   /* "FILE [DEVICE]", or NULL for none. */
    uint32_t                 operands_min, operands_max;
    const struct cli_option *options;
};

/* argv[0] is the command's own name. Returns -1 to go on, else the exit status:
 * 0 after --help, 2 after a usage error. Operands are moved to the front of
 * argv (from argv[1]); '*ret_operands' (may be NULL) counts them. */
int cli_parse(const struct cli_command *command, int argc, char **argv, int *ret_operands);
/* A usage error found later: prints "NAME: text; see NAME --help"; returns 2. */
int cli_usage(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
