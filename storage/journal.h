/* storage/journal.h - a write-ahead log in preallocated, recycled segments.
 *
 * Records get consecutive sequence numbers (lsn, from 1). One append of several
 * records is written and synced at once (O_DIRECT, data-synchronous, into space
 * that was zeroed before, so that no file-system metadata is touched: measured
 * three times cheaper than growing a file). Every record carries its lsn, the
 * journal's id and an XXH3-64, so that a torn or recycled tail is recognised.
 * Each append starts at a 4 KiB boundary: no synced sector is written again.
 *
 * One task appends at a time (the committer of its owner). Storage is a
 * directory of files "journal-<n>" (docs/formats/journal.md). */
#ifndef STORAGE_JOURNAL_H
#define STORAGE_JOURNAL_H

#include "base/env.h"

enum {
    JOURNAL_RECORD_MAX = 256 * 1024,         /* Bytes of one record. */
    JOURNAL_APPEND_MAX = 4 * 1024 * 1024,    /* Bytes of one append. */
    JOURNAL_SEGMENTS_MAX = 64
};

struct journal;

struct journal_options {
    const char *path;            /* Directory; created when missing. */
    uint64_t    segment_bytes;   /* 0: 8 MiB. */
    uint32_t    segments;        /* 0: 4. More are added (up to JOURNAL_SEGMENTS_MAX) when nothing can be recycled. */
    uint64_t    applied_lsn;     /* Replay begins after it. */
};

/* Called for each record in order during journal_open(). */
typedef WAITS int (*journal_replay)(void *ctx, uint64_t lsn, struct slice record);

/* Opens or creates, and replays. A gap, or a damaged record that is followed by
 * a valid later one, is -E_CORRUPT (something synced was lost): the device must
 * leave service. The clean end is where the next record is missing. */
WAITS int journal_open(struct env *env, const struct journal_options *options, journal_replay replay, void *ctx,
                       struct journal **ret_journal, struct error *err);
WAITS void journal_close(struct journal *journal);

/* Appends 'count' records; returns when they are durable. '*ret_lsn': of the
 * last. Any failure is final: the journal refuses everything afterwards
 * (-E_DEVICE), since the state of unsynced bytes is unknown. -ENOSPC is found
 * before anything is written and is not final. */
WAITS int journal_append(struct journal *journal, const struct slice *records, uint32_t count, uint64_t *ret_lsn);

/* Records up to 'lsn' are durable elsewhere; their segments may be recycled. */
void     journal_trim(struct journal *journal, uint64_t lsn);
uint64_t journal_last(const struct journal *journal);
uint64_t journal_bytes_untrimmed(const struct journal *journal);   /* When to flush and trim. */
uint64_t journal_bytes_total(const struct journal *journal);

#endif
