/* sim/history.h - what clients asked and were told, in order.
 *
 * Each key is a register that holds nothing (0) or a value id. Values are unique
 * over the run, so that what is read names the write it came from. An operation
 * whose outcome is unknown stays pending for ever: it may take effect at any
 * time after its beginning, or never. */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_kind {
    HISTORY_READ,       /* Saw 'value'. */
    HISTORY_WRITE,      /* Sets 'value'; a delete sets 0. */
    HISTORY_SWAP,       /* If it holds 'expected' (or just anything, or nothing) sets 'value'; else is refused. */
    /* A container with one object: 0 no container, 1 an empty one, else the object's value. */
    HISTORY_MAKE,       /* Makes the container if there is none. */
    HISTORY_DROP,       /* Deletes the container, which is empty; refused: there is none. */
    HISTORY_FILL,       /* Writes the object; refused: there is no container. */
    HISTORY_CLEAR       /* Deletes the object if there is one; refused: there is no container. */
};
#define HISTORY_EMPTY UINT64_C(1)
enum history_outcome {
    HISTORY_OPEN,       /* Not answered, or answered "unknown". */
    HISTORY_OK,
    HISTORY_REFUSED,    /* A swap whose condition did not hold. */
    HISTORY_NEVER       /* It certainly did and will not happen. */
};
/* What a swap expects, beside a value id. */
#define HISTORY_ANYTHING UINT64_MAX          /* Something is there. */

struct history_op {
    enum history_kind    kind;
    enum history_outcome outcome;
    uint32_t             key;
    uint32_t             client;
    uint64_t             value;       /* Written; or seen, by a read. */
    uint64_t             expected;    /* Swap. 0: must hold nothing. */
    uint64_t             begin, end;  /* Places in the order of all events; end 0: open. */
    int64_t              begin_ns, end_ns;   /* For people. */
};

struct history {
    struct history_op *ops;
    uint32_t           count, capacity;
    uint64_t           order;      /* Events so far. */
    uint64_t           values;     /* Ids given out. */
};

void     history_init(struct history *history);
void     history_done(struct history *history);
uint64_t history_value(struct history *history);   /* A new, unique id. */
/* Returns the operation's index. */
uint32_t history_begin(struct history *history, int64_t now, uint32_t client, uint32_t key, enum history_kind kind,
                       uint64_t value, uint64_t expected);
/* For reads 'value' is what was seen. */
void     history_end(struct history *history, int64_t now, uint32_t op, enum history_outcome outcome, uint64_t value);
/* One line about an operation. */
const char *history_text(const struct history_op *op, char *text, size_t capacity);

#endif
