/* cmd/ring_private.h - what the two halves of 'ringstack ring' share. */
#ifndef CMD_RING_PRIVATE_H
#define CMD_RING_PRIVATE_H

#include <stdio.h>

#include "base/cli.h"
#include "ring/builder.h"

/* Prints "ringstack ring NAME: text" on stderr; returns the exit status 1. */
int ring_failed(const struct cli_command *command, const struct error *err);

/* A builder that is being edited: locked until closed. */
struct ring_edit {
    const char     *path;
    int             lock;
    struct builder *builder;
};

int  ring_edit_open(struct ring_edit *edit, const char *path, struct error *err);
int  ring_edit_save(struct ring_edit *edit, struct error *err);
void ring_edit_close(struct ring_edit *edit);

int ring_read_builder(const char *path, struct builder **ret_builder, struct error *err);
int ring_read_ring(const char *path, struct ring **ret_ring, struct error *err);

/* Whole texts only. Return false when 'text' is not such a number. */
bool ring_number(const char *text, double *ret_value);
bool ring_id(const char *text, uint16_t *ret_id);

/* Commands that only look. Each gets its own name as argv[0]. */
int ring_show(int argc, char **argv);
int ring_validate(int argc, char **argv);
int ring_dispersion(int argc, char **argv);
int ring_find(int argc, char **argv);

#endif
