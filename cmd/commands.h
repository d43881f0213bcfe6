/* cmd/commands.h - the commands of bin/ringstack. Each gets its own name as
 * argv[0] and returns the exit status: 0, 1 (failed) or 2 (usage). */
#ifndef CMD_COMMANDS_H
#define CMD_COMMANDS_H

int cmd_dev(int argc, char **argv);
int cmd_node(int argc, char **argv);
int cmd_ring(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_sim(int argc, char **argv);

#endif
