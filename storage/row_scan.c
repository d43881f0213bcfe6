/* storage/row_scan.c - one page of a shard's rows on this device, for listings
 * and comparisons.
 *
 * Every row is reported, tombstones and uncounted ones as bare ballots, since
 * the asker must see where replicas differ. With a delimiter, names that share
 * a fold are reported as one entry: its witness is the first live row in it, its
 * digest a hash over what was looked at up to the witness; two replicas with
 * equal fold entries agree about them. Once a fold is proved live, the rest of
 * it is skipped by seeking.
 *
 * The visitor may run on a worker thread: it touches only its 'struct walk'. */
#include <stdlib.h>
#include <xxhash.h>

#include "base/counter.h"
#include "storage/row_store_private.h"

COUNTER(row_scan_rows, "Rows looked at by range requests.");
COUNTER(row_scan_seeks, "Times a range request skipped a fold by seeking.");

enum { FOLD_RESERVE = ROW_NAME_MAX + 64 };

struct walk {
    struct row_scan *scan;
    int              error;
    uint32_t         rows, live, walked;
    bool             full, seek;
    /* The fold that we are in. */
    uint8_t          fold[ROW_NAME_MAX];
    size_t           fold_size;
    bool             fold_open, fold_live;
    struct row_digest fold_digest;
    /* Position: all up to here is covered. */
    uint8_t          last[ROW_NAME_MAX];
    size_t           last_size;
};

/* 'reserve': room that must stay for the dead fold at the end of a page. */
static bool emit(struct walk *w, const struct row_range_entry *entry, size_t reserve)
{
    size_t size = row_range_entry_size(entry) + reserve;

    if (size > w->scan->out_capacity - w->scan->out_size) {
        w->full = true;
        return false;
    }
    row_range_entry_encode(entry, w->scan->out + w->scan->out_size);
    w->scan->out_size += size - reserve;
    return true;
}

/* A fold without a live row in what was looked at: its hash still says what was there. */
static bool emit_dead_fold(struct walk *w, size_t reserve)
{
    struct row_range_entry entry = { .folded = true, .name = slice_of(w->fold, w->fold_size),
                                     .flags = ROW_FLAG_TOMBSTONE, .digest = w->fold_digest };
    bool                   fits = !w->fold_open || w->fold_live || emit(w, &entry, reserve);

    if (fits && !w->fold_live)
        w->fold_open = false;
    return fits;
}

/* The fold of a name, or empty. */
static struct slice fold_of(const struct row_scan *scan, struct slice name)
{
    const uint8_t *at;

    if (!scan->delimiter.size || !slice_starts(name, scan->prefix))
        return SLICE_NONE;
    at = memmem(name.data + scan->prefix.size, name.size - scan->prefix.size, scan->delimiter.data,
                scan->delimiter.size);
    return at ? slice_of(name.data, (size_t)(at - name.data) + scan->delimiter.size) : SLICE_NONE;
}

/* Does the page list it? What it does not list is reported as a bare ballot. */
static bool entry_is(const struct row_scan *scan, const struct row_head *head)
{
    return scan->uncounted ? row_head_live(head) : row_head_counted(head);
}

static void covered(struct walk *w, struct slice name)
{
    memcpy(w->last, name.data, name.size);
    w->last_size = name.size;
}

static bool visit_folded(struct walk *w, struct slice fold, struct slice name, const struct row_head *head)
{
    if (!w->fold_open || !slice_equal(fold, slice_of(w->fold, w->fold_size))) {
        if (!emit_dead_fold(w, FOLD_RESERVE))
            return false;
        memcpy(w->fold, fold.data, fold.size);
        w->fold_size = fold.size;
        w->fold_open = true;
        w->fold_live = false;
        w->fold_digest = (struct row_digest) { 0 };
        w->walked = 0;
    }
    if (w->fold_live) {
        covered(w, name);
        w->seek = ++w->walked >= ROW_FOLD_WALK;
        return !w->seek;
    }
    w->fold_digest.meta = XXH3_64bits_withSeed(&(uint64_t) { row_head_hash(head, name) }, 8, w->fold_digest.meta);
    if (entry_is(w->scan, head)) {
        struct row_range_entry entry = { .folded = true, .name = fold, .witness = name, .ballot = head->accepted,
                                         .digest = w->fold_digest, .flags = head->flags };
        if (!emit(w, &entry, FOLD_RESERVE))
            return false;
        w->fold_live = true;
        w->live++;
    }
    covered(w, name);
    return true;
}

static bool visit_row(void *arg, struct slice key, struct slice value)
{
    struct walk    *w = arg;
    struct slice    name = slice_from(key, 1 + SHARD_ID_BYTES), fold;
    struct row_head head;

    if (name.size > ROW_NAME_MAX || (w->error = row_head_decode(key, value, &head))) {
        w->error = w->error ? w->error : -E_CORRUPT;
        return false;
    }
    fold = fold_of(w->scan, name);
    /* Stops before the row that is too many, so that 'last' is exact. */
    if (w->rows >= ROW_SCAN_ROWS || (w->live >= w->scan->limit && !(fold.size && w->fold_open && w->fold_live &&
                                                                     slice_equal(fold, slice_of(w->fold, w->fold_size))))) {
        w->full = true;
        return false;
    }
    w->rows++;
    if (fold.size)
        return visit_folded(w, fold, name, &head);
    if (!emit_dead_fold(w, FOLD_RESERVE))
        return false;
    w->fold_open = false;
    /* The configuration row is not listed; a bare promise is no row yet. */
    if (name.size && !ballot_is_zero(head.accepted)) {
        struct row_range_entry entry = { .name = name, .ballot = head.accepted, .digest = head.digest,
                                         .flags = head.flags };
        if (w->scan->meta && entry_is(w->scan, &head))
            entry.meta = head.meta;
        if (!emit(w, &entry, FOLD_RESERVE))
            return false;
        w->live += entry_is(w->scan, &head);
    }
    covered(w, name);
    return true;
}

/* Ends the page: how far it reaches. */
static void finish(struct walk *w)
{
    struct row_scan *scan = w->scan;
    bool             partial = w->full || w->seek;

    scan->more = partial;
    scan->upto_fold = false;
    scan->upto_size = 0;
    if (!partial)
        return;
    memcpy(scan->upto, w->last, w->last_size);
    scan->upto_size = w->last_size;
    if (w->fold_open && w->fold_live && w->last_size >= w->fold_size && memcmp(w->last, w->fold, w->fold_size) == 0) {
        memcpy(scan->upto, w->fold, w->fold_size);
        scan->upto_size = w->fold_size;
        scan->upto_fold = true;
    }
}

WAITS int row_store_scan(struct row_store *store, struct row_scan *scan)
{
    struct walk   *w = calloc(1, sizeof *w);
    struct row_key from, to;
    struct slice   shard_all;
    int            rc;

    if (!w)
        return -E_OVERLOAD;
    w->scan = scan;
    row_key_make(&from, ROW_KEY_HEAD, scan->shard, scan->from);
    if (scan->to.size) {
        row_key_make(&to, ROW_KEY_HEAD, scan->shard, scan->to);
    } else {
        shard_all = row_key_make(&to, ROW_KEY_HEAD, scan->shard, SLICE_NONE);
        row_key_after(&to, shard_all);
    }
    for (;;) {
        w->seek = false;
        rc = kv_scan(store->device->kv, slice_of(from.bytes, from.size), slice_of(to.bytes, to.size), scan->reverse,
                     visit_row, w);
        if (rc || w->error || w->full || !w->seek)
            break;
        counter_inc(row_scan_seeks);
        row_key_make(scan->reverse ? &to : &from, ROW_KEY_HEAD, scan->shard, slice_of(w->fold, w->fold_size));
        if (!scan->reverse)
            row_key_after(&from, slice_of(from.bytes, from.size));
        if (slice_compare(slice_of(from.bytes, from.size), slice_of(to.bytes, to.size)) >= 0) {
            w->seek = false;
            break;
        }
    }
    if (rc == 0)
        rc = w->error;
    if (rc == 0 && !emit_dead_fold(w, 0))
        rc = -E_LIMIT;   /* Cannot be: room was kept. */
    counter_add(row_scan_rows, w->rows);
    if (rc == 0)
        finish(w);
    free(w);
    return rc;
}
