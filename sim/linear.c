/* sim/linear.c - the linearizability checker.
 *
 * The events of a key (call, return) form a list. The search walks it from its
 * head: at a call it may let the operation take effect now, which takes both its
 * events out of the list and starts again at the head; at a return an operation
 * was passed that had to take effect before: back to the last choice. A
 * configuration (set of operations that took effect, state) that was seen before
 * is not entered again. Operations with an unknown outcome have no return. */
#include "sim/linear.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct entry {
    struct entry *next, *prev;
    struct entry *other;      /* Of a call its return (NULL: open); of a return its call. */
    uint32_t      op;         /* Index among the key's operations. */
    bool          is_call;
    uint64_t      order;
};

struct frame {
    struct entry *call;
    uint64_t      state;
};

struct search {
    const struct history_op **ops;
    uint32_t      count, words;
    struct entry *entries;
    struct entry  head;
    uint64_t     *done;          /* Bit per operation. */
    uint64_t     *seen;          /* Hash table of configurations: done words, then the state. */
    uint8_t      *used;
    uint64_t      seen_count, seen_capacity;
    struct frame *stack;
    uint32_t      depth;
    uint32_t      left;          /* Answered operations that did not take effect yet. */
};

/* May the operation take effect in this state? What follows from it? */
static bool step(const struct history_op *op, uint64_t state, uint64_t *ret_state)
{
    bool holds;

    *ret_state = state;
    switch (op->kind) {
    case HISTORY_READ:
        return op->value == state;
    case HISTORY_WRITE:
        *ret_state = op->value;
        return true;
    case HISTORY_SWAP:
        holds = op->expected == HISTORY_ANYTHING ? state != 0 : state == op->expected;
        if (op->outcome == HISTORY_REFUSED)
            return !holds;
        *ret_state = op->value;
        return holds;
    case HISTORY_MAKE:
        *ret_state = state ? state : HISTORY_EMPTY;
        return true;
    case HISTORY_DROP:
        *ret_state = 0;
        return op->outcome == HISTORY_REFUSED ? state == 0 : state == HISTORY_EMPTY;
    case HISTORY_FILL:
    case HISTORY_CLEAR:
        if (op->outcome == HISTORY_REFUSED)
            return state == 0;
        *ret_state = op->kind == HISTORY_FILL ? op->value : HISTORY_EMPTY;
        return state != 0;
    }
    return false;
}

static void lift(struct entry *call)
{
    call->prev->next = call->next;
    if (call->next)
        call->next->prev = call->prev;
    if (call->other) {
        call->other->prev->next = call->other->next;
        if (call->other->next)
            call->other->next->prev = call->other->prev;
    }
}

static void unlift(struct entry *call)
{
    if (call->other) {
        call->other->prev->next = call->other;
        if (call->other->next)
            call->other->next->prev = call->other;
    }
    call->prev->next = call;
    if (call->next)
        call->next->prev = call;
}

static uint64_t *seen_slot(uint64_t *seen, const uint8_t *used, uint64_t capacity, uint32_t words,
                           const uint64_t *key, uint64_t *ret_at)
{
    uint64_t at = XXH3_64bits(key, (words + 1) * sizeof *key) & (capacity - 1);

    while (used[at] && memcmp(&seen[at * (words + 1)], key, (words + 1) * sizeof *key) != 0)
        at = (at + 1) & (capacity - 1);
    *ret_at = at;
    return &seen[at * (words + 1)];
}

static void seen_grow(struct search *s)
{
    uint64_t  capacity = s->seen_capacity ? s->seen_capacity * 2 : 1024, at;
    uint64_t *seen = malloc(capacity * (s->words + 1) * sizeof *seen);
    uint8_t  *used = calloc(capacity, 1);

    assert(seen && used);
    for (uint64_t i = 0; i < s->seen_capacity; i++) {
        const uint64_t *key = &s->seen[i * (s->words + 1)];

        if (!s->used[i])
            continue;
        memcpy(seen_slot(seen, used, capacity, s->words, key, &at), key, (s->words + 1) * sizeof *key);
        used[at] = 1;
    }
    free(s->seen);
    free(s->used);
    s->seen = seen;
    s->used = used;
    s->seen_capacity = capacity;
}

/* True when the configuration is new. 'done' has a spare word for the state. */
static bool remember(struct search *s, uint64_t state)
{
    uint64_t at, *slot;

    if (s->seen_count * 2 >= s->seen_capacity)
        seen_grow(s);
    s->done[s->words] = state;
    slot = seen_slot(s->seen, s->used, s->seen_capacity, s->words, s->done, &at);
    if (s->used[at])
        return false;
    memcpy(slot, s->done, (s->words + 1) * sizeof *slot);
    s->used[at] = 1;
    s->seen_count++;
    return true;
}

static int by_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

/* Links the events of all operations, in order. */
static void make_list(struct search *s)
{
    uint32_t       n = 0;
    struct entry **calls = calloc(s->count, sizeof *calls);

    assert(calls);
    for (uint32_t i = 0; i < s->count; i++) {
        s->entries[n++] = (struct entry) { .op = i, .is_call = true, .order = s->ops[i]->begin };
        if (s->ops[i]->end)
            s->entries[n++] = (struct entry) { .op = i, .order = s->ops[i]->end };
    }
    qsort(s->entries, n, sizeof *s->entries, by_order);
    s->head = (struct entry) { 0 };
    for (uint32_t i = 0; i < n; i++) {
        struct entry *e = &s->entries[i];

        e->prev = i ? e - 1 : &s->head;
        e->next = i + 1 < n ? e + 1 : NULL;
        if (e->is_call) {
            calls[e->op] = e;
        } else {
            e->other = calls[e->op];
            calls[e->op]->other = e;
        }
    }
    s->head.next = n ? s->entries : NULL;
    free(calls);
}

static enum linear_verdict search(struct search *s, uint64_t steps_max, uint64_t *ret_steps, uint32_t *ret_stuck)
{
    struct entry *e = s->head.next;
    uint64_t      state = 0, steps = 0;
    uint32_t      deepest = 0;

    while (s->left > 0) {
        uint64_t next_state;

        if (++steps > steps_max)
            return LINEAR_UNDECIDED;
        *ret_steps = steps;
        if (e && e->is_call) {
            s->done[e->op / 64] |= UINT64_C(1) << (e->op % 64);
            if (step(s->ops[e->op], state, &next_state) && remember(s, next_state)) {
                s->stack[s->depth++] = (struct frame) { e, state };
                state = next_state;
                s->left -= e->other != NULL;
                lift(e);
                e = s->head.next;
            } else {
                s->done[e->op / 64] &= ~(UINT64_C(1) << (e->op % 64));
                e = e->next;
            }
            continue;
        }
        /* A return, or the end: an operation should have taken effect before. */
        if (e && s->depth >= deepest) {
            deepest = s->depth;
            *ret_stuck = e->op;
        }
        if (s->depth == 0)
            return LINEAR_NO;
        struct frame *top = &s->stack[--s->depth];

        e = top->call;
        state = top->state;
        s->done[e->op / 64] &= ~(UINT64_C(1) << (e->op % 64));
        s->left += e->other != NULL;
        unlift(e);
        e = e->next;
    }
    return LINEAR_YES;
}

/* Was a value seen by somebody, so that its write must have taken effect? */
static bool observed(const struct history *history, const struct history_op *write)
{
    if (write->kind == HISTORY_MAKE || write->kind == HISTORY_DROP || write->kind == HISTORY_CLEAR)
        return true;   /* They carry no value to be known by. */
    for (uint32_t i = 0; i < history->count; i++) {
        const struct history_op *op = &history->ops[i];

        if (op->key == write->key && op->outcome == HISTORY_OK && op != write &&
            ((op->kind == HISTORY_READ && op->value == write->value) ||
             (op->kind == HISTORY_SWAP && op->expected == write->value)))
            return true;
    }
    return false;
}

/* Which operations of unknown outcome a search lets take effect. */
enum level { LEVEL_SEEN, LEVEL_ALL };

static bool left_out(const struct history *history, const struct history_op *op, enum level level)
{
    /* What never happened, and reads that saw nothing, say nothing. */
    if (op->outcome == HISTORY_NEVER || (op->kind == HISTORY_READ && !op->end))
        return true;
    return !op->end && level == LEVEL_SEEN && !observed(history, op);
}

static void check_level(const struct history *history, uint32_t key, enum level level, uint64_t steps_max,
                        struct linear_result *ret_result)
{
    struct search s = { 0 };
    uint32_t      stuck = 0;

    *ret_result = (struct linear_result) { .verdict = LINEAR_YES, .key = key };
    for (uint32_t i = 0; i < history->count; i++)
        s.count += history->ops[i].key == key;
    s.ops = calloc(s.count + 1, sizeof *s.ops);
    assert(s.ops);
    s.count = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        const struct history_op *op = &history->ops[i];

        if (op->key != key || left_out(history, op, level))
            continue;
        s.ops[s.count++] = op;
        s.left += op->end != 0;
    }
    if (s.count > LINEAR_OPS_MAX) {
        ret_result->verdict = LINEAR_UNDECIDED;
        free(s.ops);
        return;
    }
    s.words = (s.count + 63) / 64;
    s.entries = calloc(2 * s.count + 1, sizeof *s.entries);
    s.done = calloc(s.words + 1, sizeof *s.done);
    s.stack = calloc(s.count + 1, sizeof *s.stack);
    assert(s.entries && s.done && s.stack);
    make_list(&s);
    ret_result->verdict = search(&s, steps_max, &ret_result->steps, &stuck);
    if (ret_result->verdict == LINEAR_NO)
        ret_result->stuck = (uint32_t)(s.ops[stuck] - history->ops);
    free(s.ops);
    free(s.entries);
    free(s.done);
    free(s.stack);
    free(s.seen);
    free(s.used);
}

/* First without the unknown operations that nobody saw: an order without them is
 * an order, and the search is a thousand times shorter. */
void linear_check_key(const struct history *history, uint32_t key, struct linear_result *ret_result)
{
    check_level(history, key, LEVEL_SEEN, LINEAR_STEPS_MAX / 4, ret_result);
    if (ret_result->verdict != LINEAR_YES)
        check_level(history, key, LEVEL_ALL, LINEAR_STEPS_MAX, ret_result);
}

void linear_check(const struct history *history, struct linear_result *ret_result)
{
    struct linear_result all = { .verdict = LINEAR_YES }, one;
    uint32_t             keys = 0;

    for (uint32_t i = 0; i < history->count; i++)
        if (history->ops[i].key >= keys)
            keys = history->ops[i].key + 1;
    for (uint32_t key = 0; key < keys; key++) {
        linear_check_key(history, key, &one);
        all.steps += one.steps;
        if (one.verdict == LINEAR_NO) {
            one.steps = all.steps;
            *ret_result = one;
            return;
        }
        if (one.verdict == LINEAR_UNDECIDED) {
            all.verdict = LINEAR_UNDECIDED;
            all.key = key;
        }
    }
    *ret_result = all;
}
