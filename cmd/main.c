/* cmd/main.c - bin/ringstack: picks the command. */
#include <stdio.h>
#include <string.h>

#include "cmd/commands.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "dev", "a whole cloud in one process, on this machine", cmd_dev },
    { "node", "the roles of one machine of a cluster", cmd_node },
    { "ring", "build and look into rings", cmd_ring },
    { "inspect", "what is on a device, volume file, journal, row or blob", cmd_inspect },
    { "bench", "generate and verify object load", cmd_bench },
    { "sim", "the deterministic simulator", cmd_sim },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

#ifndef RINGSTACK_VERSION
#define RINGSTACK_VERSION "0.1.0"
#endif

static void help(FILE *out)
{
    fprintf(out, "ringstack %s: a private cloud in one program\n\nusage: ringstack COMMAND [OPTION]...\n\n", RINGSTACK_VERSION);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n'ringstack COMMAND --help' tells the options of a command.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help") || !strcmp(argv[1], "-h")) {
        help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("ringstack %s\n", RINGSTACK_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "ringstack: unknown command '%s'; see ringstack --help\n", argv[1]);
    return 2;
}
