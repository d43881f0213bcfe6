/* sim/history.c - what clients asked and were told. */
#include "sim/history.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void history_init(struct history *history)
{
    *history = (struct history) { .order = 1 };
}

void history_done(struct history *history)
{
    free(history->ops);
    history->ops = NULL;
}

uint64_t history_value(struct history *history)
{
    return ++history->values;
}

uint32_t history_begin(struct history *history, int64_t now, uint32_t client, uint32_t key, enum history_kind kind,
                       uint64_t value, uint64_t expected)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity ? history->capacity * 2 : 256;
        history->ops = realloc(history->ops, history->capacity * sizeof *history->ops);
        assert(history->ops);
    }
    history->ops[history->count] = (struct history_op) {
        .kind = kind, .outcome = HISTORY_OPEN, .key = key, .client = client, .value = value, .expected = expected,
        .begin = history->order++, .begin_ns = now,
    };
    return history->count++;
}

void history_end(struct history *history, int64_t now, uint32_t op, enum history_outcome outcome, uint64_t value)
{
    struct history_op *o = &history->ops[op];

    assert(o->end == 0);
    if (outcome == HISTORY_OPEN)
        return;
    o->outcome = outcome;
    o->end = history->order++;
    o->end_ns = now;
    if (o->kind == HISTORY_READ)
        o->value = value;
}

const char *history_text(const struct history_op *op, char *text, size_t capacity)
{
    static const char *const kinds[] = { "read", "write", "swap", "make", "drop", "fill", "clear" };
    static const char *const outcomes[] = { "open", "ok", "refused", "never" };
    char                     expected[40] = "";

    if (op->kind == HISTORY_SWAP && op->expected == HISTORY_ANYTHING)
        snprintf(expected, sizeof expected, " if=any");
    else if (op->kind == HISTORY_SWAP)
        snprintf(expected, sizeof expected, " if=%llu", (unsigned long long)op->expected);
    snprintf(text, capacity, "key=%u client=%u %s value=%llu%s %s [%.6f, %.6f]", op->key, op->client,
             kinds[op->kind], (unsigned long long)op->value, expected, outcomes[op->outcome],
             (double)op->begin_ns / 1e9, (double)op->end_ns / 1e9);
    return text;
}
