/* proxy/object/version_list.c - listings of versions: heads, and the rows of noncurrent versions, as one sequence.
 *
 * A window of heads is read first, then the version rows of the names in it: a version moves from the head to a row of
 * its own, never away from that, so this order misses none; one that is seen at both places is the head's. Names are
 * folded by the rows' own listing where they are heads. Version rows (whose names end with a binary key) are folded here,
 * by seeking behind each fold.
 *
 * One thing moves the other way: a null version that is written while versioning is suspended takes the place of the
 * archived one, whose row goes. When a head's null version is missed and the head has changed, the window is read again. */
#include "proxy/object/version.h"

enum { WINDOW = 1000, WINDOW_TRIES = 8, WINDOW_ARENA = 16 * 1024 * 1024 };

struct version_listing {
    struct object_service      *s;
    const struct version_range *range;
    struct shard               *shard;
    int64_t                     deadline;
    struct arena               *arena;      /* The caller's: items. */
    struct version_item        *items;
    uint32_t                    count;
    bool                        more;       /* One was found that has no room. */
    /* The window. */
    struct arena                heads_arena, rows_arena;
    struct row_page             heads;
    uint32_t                    at;         /* The next head. */
    Rs__ObjectMeta             *head;       /* Of the name at hand; NULL: it has none. */
    struct ballot               head_ballot;
    bool                        null_seen;  /* The archived null version that it names. */
    bool                        stale;      /* It names another one by now: the window is to be read again. */
    struct slice                name;       /* The name at hand; in 'name_bytes'. */
    uint8_t                     name_bytes[OBJECT_NAME_MAX];
    bool                        passed;     /* What comes now is behind (after, after_version). */
    uint8_t                     fold_bytes[OBJECT_NAME_MAX];
    struct slice                fold;       /* The last fold that was listed. */
};

static struct slice fold_of(const struct version_listing *l, struct slice name)
{
    const struct version_range *r = l->range;
    const uint8_t              *at;

    if (!r->delimiter.size || !slice_starts(name, r->prefix))
        return SLICE_NONE;
    at = memmem(name.data + r->prefix.size, name.size - r->prefix.size, r->delimiter.data, r->delimiter.size);
    return at ? slice_of(name.data, (size_t)(at - name.data) + r->delimiter.size) : SLICE_NONE;
}

/* Room for one more item; NULL: none is left (more), or -ENOMEM in *rc. */
static struct version_item *next_item(struct version_listing *l, struct slice name, int *rc)
{
    struct version_item *item = &l->items[l->count];

    if (l->count == l->range->limit) {
        l->more = true;
        return NULL;
    }
    *item = (struct version_item) { .name = arena_dup(l->arena, name) };
    if (!item->name.data) {
        *rc = -ENOMEM;
        return NULL;
    }
    l->count++;
    return item;
}

static int emit_fold(struct version_listing *l, struct slice fold)
{
    struct version_item *item;
    int                  rc = 0;

    if (slice_equal(fold, l->fold))
        return 0;
    item = next_item(l, fold, &rc);
    if (item)
        item->folded = true;
    memcpy(l->fold_bytes, fold.data, fold.size);
    l->fold = slice_of(l->fold_bytes, fold.size);
    return rc;
}

/* Is the version behind where the listing goes on? Only the name it stopped at has any before that. */
static bool behind(struct version_listing *l, const Rs__ObjectMeta *meta)
{
    const struct version_range *r = l->range;
    uint8_t                     key[VERSION_BYTES];

    if (!r->after_version_given || l->passed || !slice_equal(l->name, r->after))
        return true;
    if (version_is(meta, &r->after_version)) {
        l->passed = true;
        return false;
    }
    meta_key(meta, key);
    return !r->after_version.null_version && memcmp(key, r->after_version.id, sizeof key) < 0;
}

static int emit_version(struct version_listing *l, const struct row_entry *e, const Rs__ObjectMeta *meta, bool current)
{
    ProtobufCAllocator   allocator = arena_allocator(l->arena);
    struct version_item *item;
    int                  rc = 0;

    if (!behind(l, meta))
        return 0;
    item = next_item(l, l->name, &rc);
    if (!item)
        return rc;
    item->current = current;
    item->stored = e->value->size;
    item->meta = rs__object_meta__unpack(&allocator, e->value->meta.len, e->value->meta.data);
    return item->meta ? 0 : -ENOMEM;
}

/* The versions of the name at hand have been seen. */
WAITS static int leave_name(struct version_listing *l)
{
    struct row_state row;
    struct arena     arena;
    bool             missed = l->head && l->head->null_key.len && !l->null_seen;
    int              rc;

    l->head = NULL;
    if (!missed || l->stale || l->more)
        return 0;
    arena_init(&arena, CONTAINER_ARENA_MAX);
    rc = row_read(l->s->options.rows, l->shard, l->name, ROW_META, l->deadline, &arena, &row, NULL);
    if (rc == 0 && ballot_compare(row.ballot, l->head_ballot) != 0)
        l->stale = true;
    arena_done(&arena);
    return rc;
}

WAITS static int set_name(struct version_listing *l, struct slice name)
{
    int rc = leave_name(l);

    l->null_seen = false;
    memcpy(l->name_bytes, name.data, name.size);
    l->name = slice_of(l->name_bytes, name.size);
    return rc;
}

/* The next head of the window becomes the name at hand, or is a fold. */
WAITS static int take_head(struct version_listing *l)
{
    const struct row_entry *e = &l->heads.entries[l->at++];
    ProtobufCAllocator      allocator = arena_allocator(&l->heads_arena);
    int                     rc = e->folded ? leave_name(l) : set_name(l, e->name);

    if (rc)
        return rc;
    if (e->folded)
        return emit_fold(l, e->name);
    l->head_ballot = e->ballot;
    l->head = rs__object_meta__unpack(&allocator, e->value->meta.len, e->value->meta.data);
    return l->head ? emit_version(l, e, l->head, true) : -E_CORRUPT;
}

/* One row of a version, whose name is 'object'. '*ret_skip': go on behind this fold. */
WAITS static int take_row(struct version_listing *l, const struct row_entry *e, struct slice object, struct slice *ret_skip)
{
    ProtobufCAllocator allocator = arena_allocator(&l->rows_arena);
    struct slice       fold = fold_of(l, object);
    Rs__ObjectMeta    *meta;
    uint8_t            key[VERSION_BYTES], head_key[VERSION_BYTES];
    int                rc = 0;

    while (rc == 0 && !l->more && l->at < l->heads.count && slice_compare(l->heads.entries[l->at].name, object) <= 0)
        rc = take_head(l);
    if (rc || l->more)
        return rc;
    meta = rs__object_meta__unpack(&allocator, e->value->meta.len, e->value->meta.data);
    if (!meta)
        return -E_CORRUPT;
    if (fold.size) {
        if (slice_equal(fold, l->fold) || !meta->null_version) {
            *ret_skip = fold;
            return emit_fold(l, fold);
        }
        return 0;   /* An archived null version whose head is not at hand: a head, if it has one, makes the fold. */
    }
    if (!slice_equal(l->name, object)) {
        rc = set_name(l, object);
        if (rc)
            return rc;
    }
    meta_key(meta, key);
    if (l->head) {
        meta_key(l->head, head_key);
        if (memcmp(key, head_key, sizeof key) == 0)
            return 0;   /* The head itself. */
    }
    if (meta->null_version && !(l->head && slice_equal(pb_slice(l->head->null_key), slice_of(key, sizeof key))))
        return 0;   /* A null version that another one took the place of. */
    l->null_seen = l->null_seen || meta->null_version;
    return emit_version(l, e, meta, false);
}

/* Version rows of the names in (after, upto]; upto empty: all. With 'with_after' those of 'after' as well. */
WAITS static int take_rows(struct version_listing *l, struct slice after, bool with_after, struct slice upto,
                           bool upto_fold)
{
    struct row_range r = { .limit = WINDOW, .uncounted = true };
    struct row_page  page = { .more = true };
    struct row_name  prefix, begin;
    int              rc = 0;

    r.prefix = name_versions(&prefix, l->range->prefix);
    r.prefix.size--;   /* Of names that only begin with it, too. */
    if (after.size) {
        r.after = name_versions(&begin, after);
        /* Behind all that begins with a fold; else behind the NUL of that name, before all longer ones. */
        if (!with_after)
            begin.bytes[r.after.size - 1] = slice_equal(fold_of(l, after), after) ? 0xff : 1;
    }
    while (rc == 0 && !l->more && page.more) {
        struct slice skip = SLICE_NONE;

        arena_reset(&l->rows_arena);
        rc = row_list(l->s->options.rows, l->shard, &r, l->deadline, &l->rows_arena, &page, NULL);
        for (uint32_t i = 0; rc == 0 && !l->more && i < page.count && !skip.size; i++) {
            const struct row_entry *e = &page.entries[i];
            struct slice            object;
            uint8_t                 id[16];

            if (name_parse(e->name, &object, id, NULL, NULL) != ROW_VERSION || !slice_starts(object, l->range->prefix))
                continue;
            if (upto.size && slice_compare(object, upto) > 0 && !(upto_fold && slice_starts(object, upto)))
                return 0;
            rc = take_row(l, e, object, &skip);
        }
        if (rc || l->more || page.count == 0)
            break;
        struct slice last = skip.size ? name_versions(&begin, skip) : page.entries[page.count - 1].name;
        if (skip.size)
            begin.bytes[last.size - 1] = 0xff;   /* Behind all that begins with the fold. */
        else
            memcpy(begin.bytes, last.data, last.size);
        r.after = slice_of(begin.bytes, last.size);
        page.more = page.more || skip.size > 0;
    }
    return rc;
}

/* One window: heads behind 'after' (and itself, if 'with_after'), and the version rows of the names up to its end. */
WAITS static int take_window(struct version_listing *l, struct slice after, bool with_after, bool versions)
{
    struct row_range r = { .limit = l->range->limit < WINDOW ? l->range->limit + 1 : WINDOW, .uncounted = true,
                           .prefix = l->range->prefix, .delimiter = l->range->delimiter };
    struct slice     upto = SLICE_NONE;
    bool             upto_fold = false;
    int              rc;

    r.after = after.size ? after : HIDDEN_LAST;
    arena_reset(&l->heads_arena);
    l->at = 0;
    rc = row_list(l->s->options.rows, l->shard, &r, l->deadline, &l->heads_arena, &l->heads, NULL);
    if (rc)
        return rc;
    if (l->heads.more && l->heads.count) {
        upto = l->heads.entries[l->heads.count - 1].name;
        upto_fold = l->heads.entries[l->heads.count - 1].folded;
    }
    if (versions)
        rc = take_rows(l, after, with_after, upto, upto_fold);
    while (rc == 0 && !l->more && l->at < l->heads.count)
        rc = take_head(l);
    return rc ? rc : leave_name(l);
}

/* The name at which the page before ended, in the middle of its versions. */
WAITS static int take_first(struct version_listing *l, bool versions)
{
    ProtobufCAllocator allocator = arena_allocator(&l->heads_arena);
    struct slice       after = l->range->after;
    struct row_state   row;
    int rc = row_read(l->s->options.rows, l->shard, after, ROW_META, l->deadline, &l->heads_arena, &row, NULL);

    if (rc)
        return rc;
    rc = set_name(l, after);
    if (rc)
        return rc;
    l->heads = (struct row_page) { .count = 0 };
    if (row.exists) {
        struct row_entry e = { .name = after, .ballot = row.ballot, .value = row.value };

        l->head_ballot = row.ballot;
        l->head = rs__object_meta__unpack(&allocator, row.value->meta.len, row.value->meta.data);
        rc = l->head ? emit_version(l, &e, l->head, true) : -E_CORRUPT;
    }
    if (rc == 0 && versions)
        rc = take_rows(l, after, true, after, false);
    return rc ? rc : leave_name(l);
}

/* A window, or the first name, again while it turns out to be stale. */
WAITS static int take_settled(struct version_listing *l, struct slice after, bool first, bool versions)
{
    uint8_t      bytes[OBJECT_NAME_MAX];
    uint32_t     count = l->count;
    struct slice fold = slice_of(bytes, l->fold.size);
    bool         passed = l->passed;
    int          rc = -EAGAIN;

    if (fold.size)
        memcpy(bytes, l->fold_bytes, fold.size);
    for (int tries = 0; rc == -EAGAIN && tries < WINDOW_TRIES; tries++) {
        l->count = count;
        l->more = l->stale = false;
        l->passed = passed;
        memcpy(l->fold_bytes, bytes, fold.size);
        l->fold = slice_of(l->fold_bytes, fold.size);
        rc = first ? take_first(l, versions) : take_window(l, after, false, versions);
        if (rc == 0 && l->stale)
            rc = -EAGAIN;
    }
    return rc == -EAGAIN ? -E_UNAVAILABLE : rc;
}

WAITS static int list_all(struct version_listing *l, bool versions)
{
    const struct version_range *r = l->range;
    uint8_t                     bytes[OBJECT_NAME_MAX];
    struct slice                after = r->after;
    int                         rc = 0;

    if (r->after_version_given && after.size && !fold_of(l, after).size)
        rc = take_settled(l, after, true, versions);
    do {
        if (rc || l->more)
            return rc;
        l->heads.more = false;
        rc = take_settled(l, after, false, versions);
        if (rc == 0 && l->heads.count) {
            struct slice last = l->heads.entries[l->heads.count - 1].name;
            memcpy(bytes, last.data, last.size);
            after = slice_of(bytes, last.size);
        }
    } while (l->heads.more && l->heads.count);
    return rc;
}

int object_list_versions(struct object_service *s, struct container *c, const struct version_range *range,
                         int64_t deadline, struct arena *arena, struct version_page *ret_page, struct error *err)
{
    struct version_listing *l = arena_new(arena, struct version_listing);
    struct held             held;
    int                     rc = container_settled(c);

    if (rc == 0 && (range->limit < 1 || range->limit > LIST_LIMIT_MAX || range->after.size > OBJECT_NAME_MAX ||
                    range->prefix.size > OBJECT_NAME_MAX || row_hidden(range->prefix)))
        rc = error_set(err, -E_LIMIT, "a listing's names or limit are too long");
    if (rc == 0 && !l)
        rc = error_set(err, -ENOMEM, "the page is too large");
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    l->s = s;
    l->range = range;
    l->shard = &held.shard;
    l->deadline = deadline;
    l->arena = arena;
    l->items = arena_array(arena, struct version_item, range->limit + 1);
    arena_init(&l->heads_arena, WINDOW_ARENA);
    arena_init(&l->rows_arena, WINDOW_ARENA);
    rc = l->items ? list_all(l, c->config->versioning != VERSIONING_OFF) : -ENOMEM;
    arena_done(&l->heads_arena);
    arena_done(&l->rows_arena);
    held_drop(&held);
    if (rc)
        return error_set(err, rc, "listing versions: %s", error_text(rc));
    *ret_page = (struct version_page) { .items = l->items, .count = l->count, .more = l->more };
    return 0;
}
