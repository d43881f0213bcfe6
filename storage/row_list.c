/* storage/row_list.c - listings of a shard, and its sums.
 *
 * A round asks a quorum of replicas for the same range, the best one for values,
 * the others for ballots and digests, and merges the answers up to where all of
 * them reach. What a quorum reports alike is listed. At the first difference the
 * other replicas are asked as well; a name on which still no quorum agrees is
 * read (and so repaired) by itself, a fold is looked into by a listing of its
 * own. Rounds follow until the page is full or the range ends. */
#include <string.h>

#include "base/counter.h"
#include "storage/row_client_private.h"

COUNTER(row_lists, "Pages of listings read.");
COUNTER(row_list_resolved, "Names in listings on which replicas differed, so that they were read one by one.");

enum {
    LIST_HEDGE_MS = 250,     /* Scans take longer than lookups. */
    REPAIRS_MAX = 3,
    BOUND_MAX = ROW_NAME_MAX + 1
};

struct bound {
    uint8_t bytes[BOUND_MAX + ROW_KEY_MAX];   /* row_key_after() works in place. */
    size_t  size;
};

struct source {
    struct slice           bytes;     /* Entries not yet merged begin at 'at'. */
    size_t                 at;
    struct row_range_entry entry;
    bool                   has;       /* 'entry' is filled. */
    const Rs__RowRangeReply *reply;
};

struct listing {
    struct row_target *target;
    struct slice       prefix, delimiter;
    bool               reverse, tombstones, uncounted;
    uint32_t           limit;
    int64_t            deadline;
    struct arena      *arena;
    struct bound       from, to;      /* Names in [from, to); to.size 0: no end. */
    struct row_entry  *entries;
    uint32_t           count;
    bool               exhausted;     /* The arena: the page ends early. */
    /* The present round. */
    struct rpc_fan     fan;
    struct source      source[ROW_REPLICAS_MAX];
    uint32_t           asked, got, lost;
    uint8_t            next;
    uint32_t           repairs;
    struct bound       reach;         /* Exclusive end (forward) or inclusive start (reverse); size 0: all. */
};

static struct slice bound_slice(const struct bound *b)
{
    return slice_of(b->bytes, b->size);
}

static void bound_set(struct bound *b, struct slice s)
{
    if (s.size)
        memmove(b->bytes, s.data, s.size);
    b->size = s.size;
}

/* The first name after all that start with 's'; size 0: none. */
static void bound_after(struct bound *b, struct slice s)
{
    bound_set(b, s);
    while (b->size && b->bytes[b->size - 1] == 0xff)
        b->size--;
    if (b->size)
        b->bytes[b->size - 1]++;
}

/* The first name after 's'. */
static void bound_next(struct bound *b, struct slice s)
{
    bound_set(b, s);
    b->bytes[b->size++] = 0;
}

static bool range_empty(const struct listing *l)
{
    return l->to.size && slice_compare(bound_slice(&l->from), bound_slice(&l->to)) >= 0;
}

/* --- One round of requests. --- */

static bool ask(struct listing *l, bool meta)
{
    struct row_target   *t = l->target;
    uint8_t              replica = l->next < t->members.count ? t->order[l->next++] : ROW_REPLICAS_MAX;
    struct rpc_message  *message;
    Rs__RowRangeRequest *q;

    if (replica == ROW_REPLICAS_MAX)
        return false;
    l->asked |= UINT32_C(1) << replica;
    message = rpc_message_new();
    q = message && t->device[replica] != RING_NONE ? arena_new(&message->arena, Rs__RowRangeRequest) : NULL;
    if (!q) {
        rpc_message_unref(message);
        l->lost |= UINT32_C(1) << replica;
        return true;
    }
    rs__row_range_request__init(q);
    q->device = t->device[replica];
    q->shard = row_copy_bin(message, slice_of(t->shard->id, SHARD_ID_BYTES));
    q->config_time = t->shard->config.time;
    q->config_node = t->shard->config.node;
    q->from = row_copy_bin(message, bound_slice(&l->from));
    q->to = row_copy_bin(message, bound_slice(&l->to));
    q->prefix = row_copy_bin(message, l->prefix);
    q->delimiter = row_copy_bin(message, l->delimiter);
    q->reverse = l->reverse;
    q->limit = l->limit + 1 - l->count;
    q->meta = meta;
    q->uncounted = l->uncounted;
    message->head = &q->base;
    rpc_fan_send(&l->fan, replica, t->node[replica], METHOD_ROW_RANGE, t->epoch, message);
    rpc_message_unref(message);
    return true;
}

static void ask_quorum(struct listing *l)
{
    while (!row_quorum(&l->target->members, l->asked & ~l->lost) && ask(l, (l->asked & ~l->lost) == 0))
        ;
}

/* A range reply's payload is one buffer here, or comes in several parts from a wire. */
static int reply_bytes(const struct rpc_message *message, struct arena *arena, struct slice *ret_bytes)
{
    uint8_t *all;
    size_t   at = 0;

    if (message->parts_count <= 1) {
        *ret_bytes = message->parts_count ? buf_part_slice(&message->parts[0]) : SLICE_NONE;
        return 0;
    }
    all = arena_alloc(arena, message->payload_bytes);
    if (!all)
        return -ENOMEM;
    for (uint32_t i = 0; i < message->parts_count; i++) {
        struct slice part = buf_part_slice(&message->parts[i]);
        memcpy(all + at, part.data, part.size);
        at += part.size;
    }
    *ret_bytes = slice_of(all, at);
    return 0;
}

WAITS static int on_reply(struct listing *l, const struct rpc_reply *reply)
{
    uint8_t        replica = (uint8_t)reply->tag;
    uint32_t       bit = UINT32_C(1) << replica;
    struct source *source = &l->source[replica];
    int            rc;

    if (reply->code == -E_STALE)
        return -E_STALE;
    if (reply->code == -E_BEHIND && l->repairs++ < REPAIRS_MAX) {
        rc = row_repair_config(l->target, replica, l->deadline);
        if (rc == -E_STALE)
            return rc;
    }
    if (reply->code || !reply->message || !reply->message->head) {
        if (reply->code == -ENODEV || !reply->sent)
            row_target_failed(l->target, replica);
        l->lost |= bit;
        ask_quorum(l);
        return 0;
    }
    source->reply = (const Rs__RowRangeReply *)reply->message->head;
    if (source->reply->upto.len > ROW_NAME_MAX)
        return -E_CORRUPT;
    rc = reply_bytes(reply->message, l->arena, &source->bytes);
    if (rc)
        return rc;
    l->got |= bit;
    return 0;
}

/* Until every one that was asked has answered, or enough have and the others are late. */
WAITS static int collect(struct listing *l)
{
    int64_t                 hedge = env_now(l->target->client->env) + LIST_HEDGE_MS * NS_PER_MS;
    const struct rpc_reply *reply;
    int                     rc;

    while ((l->got | l->lost) != l->asked) {
        rc = rpc_fan_next(&l->fan, hedge < l->deadline ? hedge : l->deadline, &reply);
        if (rc == -ENOENT)
            break;
        if (rc == -ETIMEDOUT) {
            if (row_quorum(&l->target->members, l->got))
                break;
            if (hedge >= l->deadline)
                return -E_UNAVAILABLE;
            hedge = ask(l, true) ? hedge + LIST_HEDGE_MS * NS_PER_MS : l->deadline;
            continue;
        }
        if (rc == 0)
            rc = on_reply(l, reply);
        if (rc)
            return rc;
    }
    return row_quorum(&l->target->members, l->got) ? 0 : -E_UNAVAILABLE;
}

/* --- Merging. --- */

/* How far one reply covers; false: to the end of the range. */
static bool reach_of(const struct listing *l, const struct source *s, struct bound *ret)
{
    struct slice upto = slice_of(s->reply->upto.data, s->reply->upto.len);

    if (!s->reply->more)
        return false;
    if (l->reverse)
        bound_set(ret, upto);
    else if (s->reply->upto_fold)
        bound_after(ret, upto);
    else
        bound_next(ret, upto);
    return l->reverse || ret->size;
}

static void compute_reach(struct listing *l)
{
    struct bound b;

    l->reach.size = 0;
    for (uint8_t i = 0; i < l->target->members.count; i++) {
        if (!(l->got & (UINT32_C(1) << i)) || !reach_of(l, &l->source[i], &b))
            continue;
        int order = slice_compare(bound_slice(&b), bound_slice(&l->reach));
        if (l->reach.size == 0 || (l->reverse ? order > 0 : order < 0))
            bound_set(&l->reach, bound_slice(&b));
    }
}

static bool reached(const struct listing *l, const struct row_range_entry *e)
{
    struct slice reach = bound_slice(&l->reach);
    int          order = slice_compare(e->name, reach);

    if (reach.size == 0 || (l->reverse ? order >= 0 : order < 0))
        return true;
    return e->folded && slice_starts(reach, e->name);
}

static int pull(const struct listing *l, struct source *s)
{
    int rc;

    if (s->has || s->at >= s->bytes.size)
        return 0;
    rc = row_range_entry_decode(s->bytes, &s->at, &s->entry);
    if (rc)
        return rc;
    s->has = reached(l, &s->entry);
    if (!s->has)
        s->at = s->bytes.size;   /* Nothing later is reached either. */
    return 0;
}

static bool entries_alike(const struct row_range_entry *a, const struct row_range_entry *b)
{
    return a->folded == b->folded && ballot_compare(a->ballot, b->ballot) == 0 &&
           row_digest_equal(a->digest, b->digest) && slice_equal(a->witness, b->witness);
}

/* What the sources say of the next name. */
struct group {
    struct row_range_entry best;     /* The highest; of folds, the one most agree on. */
    uint32_t               alike;    /* Sources that say just that. */
    struct slice           meta;
    bool                   corrupt;
};

static void group_of(struct listing *l, uint32_t members, struct group *g)
{
    *g = (struct group) { 0 };
    for (uint32_t left = members; left; left &= left - 1) {
        const struct row_range_entry *e = &l->source[__builtin_ctz(left)].entry;
        uint32_t                      alike = 0;

        for (uint32_t other = members; other; other &= other - 1)
            if (entries_alike(e, &l->source[__builtin_ctz(other)].entry))
                alike |= UINT32_C(1) << __builtin_ctz(other);
        int order = e->folded ? __builtin_popcount(alike) - __builtin_popcount(g->alike)
                              : ballot_compare(e->ballot, g->best.ballot);
        if (!e->folded && g->alike && order == 0 && !row_digest_equal(e->digest, g->best.digest))
            g->corrupt = true;
        if (!g->alike || order > 0) {
            g->best = *e;
            g->alike = alike;
            g->meta = SLICE_NONE;
        }
        if (entries_alike(e, &g->best) && e->meta.size)
            g->meta = e->meta;
    }
}

/* The next name in order and the sources that have it; 0: the round is merged. */
static int next_group(struct listing *l, uint32_t *ret_members)
{
    struct slice best = SLICE_NONE;
    uint32_t     members = 0;

    for (uint8_t i = 0; i < l->target->members.count; i++) {
        struct source *s = &l->source[i];
        int            rc, order;

        if (!(l->got & (UINT32_C(1) << i)))
            continue;
        rc = pull(l, s);
        if (rc)
            return rc;
        if (!s->has)
            continue;
        order = members ? slice_compare(s->entry.name, best) : -1;
        if (members && l->reverse)
            order = -order;
        if (order < 0) {
            best = s->entry.name;
            members = 0;
        }
        if (order <= 0)
            members |= UINT32_C(1) << i;
    }
    *ret_members = members;
    return 0;
}

static int emit(struct listing *l, const struct row_range_entry *e, struct ballot ballot, Rs__RowValue *value)
{
    struct slice name = arena_dup(l->arena, e->name);

    if (!name.data) {
        l->exhausted = true;
        return 0;
    }
    l->entries[l->count++] = (struct row_entry) { .name = name, .folded = e->folded, .ballot = ballot, .value = value };
    return 0;
}

WAITS static int list_run(struct listing *l);

/* Is there a live row in the fold, within the range? */
WAITS static int fold_live(struct listing *l, struct slice fold, bool *ret_live)
{
    struct arena     arena;
    struct row_entry entries[2];
    struct listing  *sub;
    struct bound     end;
    int              rc;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    sub = arena_new(&arena, struct listing);
    if (!sub) {
        arena_done(&arena);
        return -ENOMEM;
    }
    sub->target = l->target;
    sub->limit = 1;
    sub->uncounted = l->uncounted;
    sub->deadline = l->deadline;
    sub->arena = &arena;
    sub->entries = entries;
    bound_set(&sub->from, slice_compare(fold, bound_slice(&l->from)) > 0 ? fold : bound_slice(&l->from));
    bound_after(&end, fold);
    if (end.size && (l->to.size == 0 || slice_compare(bound_slice(&end), bound_slice(&l->to)) < 0))
        bound_set(&sub->to, bound_slice(&end));
    else
        bound_set(&sub->to, bound_slice(&l->to));
    rc = list_run(sub);
    if (rc == 0)
        *ret_live = sub->count > 0;
    arena_done(&arena);
    return rc;
}

/* No quorum agrees on the name, or no source sent its value. */
WAITS static int resolve(struct listing *l, const struct row_range_entry *e)
{
    struct row_target target = *l->target;
    struct row_state  state;
    bool              live;
    int               rc;

    counter_inc(row_list_resolved);
    if (e->folded) {
        rc = fold_live(l, e->name, &live);
        return rc || !live ? rc : emit(l, e, (struct ballot) { 0 }, NULL);
    }
    target.name = e->name;
    rc = row_get(&target, ROW_META, l->deadline, l->arena, &state, NULL, NULL);
    if (rc == -ENOMEM && l->count) {
        l->exhausted = true;
        return 0;
    }
    if (rc)
        return rc;
    if (state.exists && (state.value->counted || l->uncounted))
        return emit(l, e, state.ballot, state.value);
    return l->tombstones ? emit(l, e, state.ballot, state.exists ? state.value : NULL) : 0;
}

WAITS static int take_settled(struct listing *l, const struct group *g)
{
    const struct row_range_entry *e = &g->best;
    Rs__RowValue                 *value = NULL;
    bool                          live = !(e->flags & ROW_FLAG_TOMBSTONE);

    if (e->folded)
        return live ? emit(l, e, (struct ballot) { 0 }, NULL) : 0;
    if (!live || !((e->flags & ROW_FLAG_COUNTED) || l->uncounted))
        return l->tombstones ? emit(l, e, e->ballot, NULL) : 0;
    if (!g->meta.data || row_digest_of(g->meta, SLICE_NONE).meta != e->digest.meta)
        return resolve(l, e);
    value = row_unpack(&rs__row_value__descriptor, g->meta, l->arena);
    if (!value) {
        l->exhausted = true;
        return 0;
    }
    return emit(l, e, e->ballot, value);
}

/* Merges what was collected. -EAGAIN: replicas differ, and others could be asked first. */
WAITS static int merge(struct listing *l)
{
    uint32_t     members;
    struct group g;
    int          rc;

    compute_reach(l);
    while (l->count <= l->limit && !l->exhausted) {
        rc = next_group(l, &members);
        if (rc || members == 0)
            return rc;
        group_of(l, members, &g);
        if (g.corrupt)
            return -E_CORRUPT;
        if (row_quorum(&l->target->members, g.alike))
            rc = take_settled(l, &g);
        else if (l->next < l->target->members.count)
            return -EAGAIN;
        else
            rc = resolve(l, &g.best);
        if (rc)
            return rc;
        for (uint32_t left = members; left; left &= left - 1)
            l->source[__builtin_ctz(left)].has = false;
    }
    return 0;
}

/* Moves the range behind what the round covered; false: nothing is left. */
static bool move_on(struct listing *l)
{
    struct slice reach = bound_slice(&l->reach);
    struct slice last = l->count && l->entries[l->count - 1].folded ? l->entries[l->count - 1].name : SLICE_NONE;

    if (reach.size == 0)
        return false;
    bound_set(l->reverse ? &l->to : &l->from, reach);
    /* A fold is listed once, even when the round ended inside of it. */
    if (last.size && slice_starts(reach, last)) {
        if (l->reverse)
            bound_set(&l->to, last);
        else
            bound_after(&l->from, last);
        if (!l->reverse && l->from.size == 0)
            return false;
    }
    return !range_empty(l);
}

WAITS static int round_of(struct listing *l)
{
    uint32_t count = l->count;
    int      rc;

    memset(l->source, 0, sizeof l->source);
    l->asked = l->got = l->lost = 0;
    l->next = 0;
    rpc_fan_open(&l->fan, l->target->client->rpc, l->deadline);
    ask_quorum(l);
    rc = collect(l);
    if (rc == 0)
        rc = merge(l);
    if (rc == -EAGAIN) {
        while (ask(l, true))
            ;
        rc = collect(l);
        l->count = count;
        for (uint8_t i = 0; i < l->target->members.count; i++) {
            l->source[i].at = 0;
            l->source[i].has = false;
        }
        if (rc == 0)
            rc = merge(l);
    }
    rpc_fan_close(&l->fan);
    return rc;
}

WAITS static int list_run(struct listing *l)
{
    if (range_empty(l))
        return 0;
    for (;;) {
        int rc = round_of(l);

        if (rc)
            return rc == -EAGAIN || rc == -ETIMEDOUT ? -E_UNAVAILABLE : rc;
        if (l->count > l->limit || l->exhausted || !move_on(l))
            return 0;
    }
}

/* --- The range that is asked for. --- */

static void set_range(struct listing *l, const struct row_range *range)
{
    struct slice low = range->reverse ? range->before : range->after;
    struct slice high = range->reverse ? range->after : range->before;
    struct slice prefix = range->prefix;
    bool         fold = false;

    if (range->delimiter.size && !range->reverse && low.size > prefix.size && slice_starts(low, prefix)) {
        const uint8_t *at = memmem(low.data + prefix.size, low.size - prefix.size, range->delimiter.data,
                                   range->delimiter.size);
        /* A marker that is a fold: go on behind all of it. */
        fold = at && (size_t)(at - low.data) + range->delimiter.size == low.size;
    }
    if (low.size && fold)
        bound_after(&l->from, low);
    else if (low.size)
        bound_next(&l->from, low);
    if (prefix.size && slice_compare(bound_slice(&l->from), prefix) < 0)
        bound_set(&l->from, prefix);
    if (high.size)
        bound_set(&l->to, high);
    if (prefix.size) {
        struct bound end;
        bound_after(&end, prefix);
        if (end.size && (l->to.size == 0 || slice_compare(bound_slice(&end), bound_slice(&l->to)) < 0))
            bound_set(&l->to, bound_slice(&end));
    }
}

WAITS int row_list(struct row_client *client, const struct shard *shard, const struct row_range *range,
                   int64_t deadline, struct arena *arena, struct row_page *ret_page, struct error *err)
{
    struct row_target target;
    struct arena      own;
    struct listing   *l;
    int               rc = row_target_init(&target, client, shard, SLICE_NONE, err);

    if (rc)
        return rc;
    if (range->limit < 1 || range->limit > ROW_PAGE_MAX || range->after.size > ROW_NAME_MAX ||
        range->before.size > ROW_NAME_MAX || range->prefix.size > ROW_NAME_MAX || range->delimiter.size > ROW_NAME_MAX)
        return error_set(err, -E_LIMIT, "a listing's limit must be 1 to %d and its names at most %d bytes",
                         ROW_PAGE_MAX, ROW_NAME_MAX);
    counter_inc(row_lists);
    arena_init(&own, ARENA_LIMIT_DEFAULT);
    l = arena_new(&own, struct listing);
    if (l)
        l->entries = arena_array(arena, struct row_entry, range->limit + 1);
    if (!l || !l->entries) {
        arena_done(&own);
        return error_set(err, -ENOMEM, "no memory for a listing");
    }
    l->target = &target;
    l->prefix = range->prefix;
    l->delimiter = range->delimiter;
    l->reverse = range->reverse;
    l->tombstones = range->with_tombstones;
    l->uncounted = range->uncounted;
    l->limit = range->limit;
    l->deadline = deadline;
    l->arena = arena;
    set_range(l, range);
    rc = list_run(l);
    if (rc == 0 && l->exhausted && l->count == 0)
        rc = -ENOMEM;
    if (rc == 0)
        *ret_page = (struct row_page) { .entries = l->entries,
                                        .count = l->count > l->limit ? l->limit : l->count,
                                        .more = l->count > l->limit || l->exhausted };
    else
        error_set(err, rc, "listing: %s", error_text(rc));
    arena_done(&own);
    return rc;
}

/* --- Sums. --- */

WAITS int shard_stats(struct row_client *client, const struct shard *shard, int64_t deadline,
                      struct shard_stats *ret_stats, struct error *err)
{
    struct row_target       target;
    struct shard_stats      best = { 0 };
    const struct rpc_reply *reply;
    struct rpc_fan          fan;
    uint32_t                got = 0;
    int                     rc = row_target_init(&target, client, shard, SLICE_NONE, err);

    if (rc)
        return rc;
    rpc_fan_open(&fan, client->rpc, deadline);
    for (uint8_t i = 0; i < target.members.count; i++)
        row_send_stats(&fan, &target, i);
    while (rc == 0 && !row_quorum(&target.members, got)) {
        const Rs__ShardStatsReply *r;

        rc = rpc_fan_next(&fan, deadline, &reply);
        if (rc || reply->code == -E_STALE) {
            rc = rc ? (rc == -ECANCELED ? rc : -E_UNAVAILABLE) : -E_STALE;
            break;
        }
        r = reply->message ? (const Rs__ShardStatsReply *)reply->message->head : NULL;
        if (reply->code == -E_BEHIND && row_repair_config(&target, (uint8_t)reply->tag, deadline) == 0)
            row_send_stats(&fan, &target, (uint8_t)reply->tag);
        if (reply->code || !r)
            continue;
        struct ballot newest = { r->newest_time, r->newest_node };
        if (!got || ballot_compare(newest, best.newest) > 0)
            best = (struct shard_stats) { .count = r->count, .bytes = r->bytes, .newest = newest };
        got |= UINT32_C(1) << reply->tag;
    }
    rpc_fan_close(&fan);
    if (rc)
        return error_set(err, rc, "shard: %s", error_text(rc));
    *ret_stats = best;
    return 0;
}
