/* storage/journal.c - segments, records, recovery. The format is in docs/formats/journal.md.
 *
 * Life of a segment file:
 *
 *   FREE --- becomes the one appended to ---> ACTIVE --- full ---> FULL --- all its records trimmed ---> FREE
 *
 * Segments are numbered anew (the *sequence*) each time they become active, and
 * every record carries the sequence, so what a former life left behind is never
 * taken for news. Each open begins a new segment with its first append: bytes of
 * a torn append are never followed by live ones in the same segment. */
#include "storage/journal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/counter.h"
#include "storage/journal_format.h"

COUNTER(journal_appends, "Synced appends to journals.");
COUNTER(journal_records, "Records appended to journals.");
COUNTER(journal_segments_added, "Segments added to journals because none could be recycled.");

enum {
    SEGMENT_BYTES_DEFAULT = 8 * 1024 * 1024,
    SEGMENTS_DEFAULT = 4,
    SEGMENTS_AT_FIRST = 2,           /* Zeroed at creation; the others when first needed, so that a start is quick. */
    SCAN_BYTES = 1024 * 1024,        /* Read at once; holds any record after one refill. */
    KEEP_BYTES = 512 * 1024          /* The append buffer gives back more than this. */
};

enum segment_state { SEGMENT_FREE, SEGMENT_ACTIVE, SEGMENT_FULL };

struct segment {
    struct file       *file;
    uint32_t           number;          /* Of the file name. */
    enum segment_state state;
    uint64_t           sequence;        /* 0: never used. */
    uint64_t           last;            /* Highest lsn in it. */
    uint64_t           used;            /* Bytes of records. */
    uint64_t           trimmed;         /* Of these, known to be trimmed. */
};

struct journal {
    struct env    *env;
    char           path[ENV_PATH_MAX];
    uint64_t       id;
    uint64_t       segment_bytes;
    uint32_t       segments_wanted;
    struct segment segment[JOURNAL_SEGMENTS_MAX];
    uint32_t       count;
    int            active;              /* Index; -1: the next append picks one. */
    uint64_t       sequence;            /* Of the newest segment. */
    uint64_t       position;            /* In the active segment. */
    uint64_t       last;                /* lsn. */
    uint64_t       trimmed;
    bool           appending, failed;
    uint8_t       *buffer;              /* Of one append; BUF_ALIGN-aligned. */
    size_t         capacity;
};

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* --- Creating segments. --- */

static int segment_path(const struct journal *j, const char *prefix, uint32_t number, char *ret_path)
{
    int n = snprintf(ret_path, ENV_PATH_MAX, "%s/%s%06u", j->path, prefix, number);

    return n < 0 || n >= ENV_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Zeros the file, so that later writes change no metadata, and writes its header. */
WAITS static int segment_fill(struct journal *j, struct file *file, uint32_t number)
{
    struct buf *zeros = buf_new(SCAN_BYTES);
    int         rc;

    if (!zeros)
        return -ENOMEM;
    memset(zeros->data, 0, SCAN_BYTES);
    rc = file_allocate(file, 0, j->segment_bytes, false);
    for (uint64_t at = 0; rc == 0 && at < j->segment_bytes; at += SCAN_BYTES) {
        uint64_t left = j->segment_bytes - at;

        rc = file_write(file, zeros->data, left < SCAN_BYTES ? left : SCAN_BYTES, at);
    }
    if (rc == 0) {
        journal_header_encode(zeros->data, j->id, j->segment_bytes, number);
        rc = file_write(file, zeros->data, BUF_ALIGN, 0);
    }
    if (rc == 0)
        rc = file_sync(file);
    buf_unref(zeros);
    return rc;
}

/* Adds a free segment. The file gets its name only when it is complete. */
WAITS static int segment_add(struct journal *j)
{
    char            fresh[ENV_PATH_MAX], final[ENV_PATH_MAX];
    struct segment *s = &j->segment[j->count];
    struct file    *file;
    uint32_t        number = 0;
    int             rc;

    if (j->count == JOURNAL_SEGMENTS_MAX)
        return -ENOSPC;
    for (uint32_t i = 0; i < j->count; i++)
        if (j->segment[i].number >= number)
            number = j->segment[i].number + 1;
    rc = segment_path(j, "new-", number, fresh);
    if (rc == 0)
        rc = segment_path(j, "journal-", number, final);
    if (rc == 0)
        rc = env_open(j->env, fresh, FILE_CREATE | FILE_DIRECT, &file);
    if (rc)
        return rc;
    rc = segment_fill(j, file, number);
    if (rc == 0)
        rc = env_rename(j->env, fresh, final);
    if (rc == 0)
        rc = env_sync_dir(j->env, j->path);
    if (rc) {
        file_close(file);
        env_unlink(j->env, fresh);
        return rc;
    }
    *s = (struct segment) { .file = file, .number = number };
    j->count++;
    return 0;
}

/* --- Reading. --- */

/* Walks one segment's records; see scan_next(). */
struct scan {
    struct journal *journal;
    struct segment *segment;
    struct buf     *buf;
    uint64_t        start, end;     /* What of the file 'buf' holds. */
    uint64_t        at;             /* Where the next record may begin. */
};

/* Makes at least 'need' bytes at scan->at available, or what the segment still has. */
WAITS static int scan_load(struct scan *scan, size_t need)
{
    uint64_t size = scan->journal->segment_bytes, start;
    size_t   got;
    int      rc;

    if (scan->at + need > size)
        need = size - scan->at;
    if (scan->at >= scan->start && scan->at + need <= scan->end)
        return 0;
    start = scan->at / BUF_ALIGN * BUF_ALIGN;
    size = size - start < SCAN_BYTES ? size - start : SCAN_BYTES;
    rc = file_read(scan->segment->file, scan->buf->data, size, start, &got);
    if (rc)
        return rc;
    if (got != size)
        return -E_CORRUPT;   /* Shorter than its header says. */
    scan->start = start;
    scan->end = start + size;
    return 0;
}

/* The next intact record at or after scan->at, skipping what is none by whole
 * blocks. -ENOENT: the end. */
WAITS static int scan_next(struct scan *scan, struct journal_record *ret_record)
{
    int rc;

    for (;;) {
        if (scan->at + JOURNAL_RECORD_HEADER_BYTES > scan->journal->segment_bytes)
            return -ENOENT;
        rc = scan_load(scan, JOURNAL_RECORD_HEADER_BYTES + JOURNAL_RECORD_MAX);
        if (rc)
            return rc;
        rc = journal_record_decode(slice_of(scan->buf->data + (scan->at - scan->start), scan->end - scan->at),
                                   scan->journal->id, ret_record);
        if (rc == 0)
            break;
        scan->at = (scan->at / BUF_ALIGN + 1) * BUF_ALIGN;
    }
    scan->at += ret_record->bytes;
    return 0;
}

/* What survey learns of all segments before anything is replayed. */
struct survey {
    uint64_t append_max;   /* Highest first lsn of any append of which a record is intact. */
};

/* Finds the segment's sequence: the highest among its intact records. */
WAITS static int segment_survey(struct journal *j, struct segment *s, struct buf *buf, struct survey *survey)
{
    struct scan           scan = { .journal = j, .segment = s, .buf = buf, .at = BUF_ALIGN };
    struct journal_record record;
    int                   rc;

    while ((rc = scan_next(&scan, &record)) == 0) {
        if (record.sequence > s->sequence) {
            s->sequence = record.sequence;
            s->used = 0;
            s->last = 0;
        }
        if (record.sequence == s->sequence) {
            s->last = record.lsn > s->last ? record.lsn : s->last;
            s->used = scan.at - BUF_ALIGN;
        }
        if (record.append_first > survey->append_max)
            survey->append_max = record.append_first;
    }
    return rc == -ENOENT ? 0 : rc;
}

struct replay {
    journal_replay fn;
    void          *ctx;
    uint64_t       applied;   /* Records up to it are skipped. */
    uint64_t       next;      /* lsn expected; 0: any up to applied + 1. */
};

WAITS static int replay_segment(struct journal *j, struct segment *s, struct buf *buf, struct replay *replay,
                                struct error *err)
{
    struct scan           scan = { .journal = j, .segment = s, .buf = buf, .at = BUF_ALIGN };
    struct journal_record record;
    int                   rc;

    while ((rc = scan_next(&scan, &record)) == 0) {
        uint64_t expected = replay->next ? replay->next : replay->applied + 1;

        if (record.sequence != s->sequence)
            break;   /* From here on the segment's former life. */
        if (record.lsn > expected && record.append_first <= expected)
            break;   /* The rest of a torn append. */
        if (record.lsn > expected && record.lsn > replay->applied + 1)
            return error_set(err, -E_CORRUPT, "journal %s: records %llu to %llu are missing", j->path,
                             (unsigned long long)expected, (unsigned long long)record.lsn - 1);
        if (replay->next && record.lsn < expected)
            return error_set(err, -E_CORRUPT, "journal %s: record %llu comes after %llu", j->path,
                             (unsigned long long)record.lsn, (unsigned long long)expected - 1);
        replay->next = record.lsn + 1;
        s->last = record.lsn;
        s->used = scan.at - BUF_ALIGN;
        if (record.lsn > replay->applied) {
            rc = replay->fn(replay->ctx, record.lsn, record.bytes_of);
            if (rc)
                return error_set(err, rc, "journal %s: record %llu could not be applied", j->path,
                                 (unsigned long long)record.lsn);
        }
    }
    return rc == -ENOENT ? 0 : rc;
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t x = ((const struct segment *)a)->sequence, y = ((const struct segment *)b)->sequence;

    return (x > y) - (x < y);
}

WAITS static int recover(struct journal *j, struct buf *buf, struct replay *replay, struct error *err)
{
    struct survey   survey = { 0 };
    struct segment *newest;
    int             rc;

    if (j->count == 0)
        return error_set(err, -E_CORRUPT, "journal %s is missing, but the index has record %llu", j->path,
                         (unsigned long long)replay->applied);
    for (uint32_t i = 0; i < j->count; i++) {
        rc = segment_survey(j, &j->segment[i], buf, &survey);
        if (rc)
            return error_set(err, rc, "journal %s: segment %u can't be read", j->path, j->segment[i].number);
    }
    qsort(j->segment, j->count, sizeof j->segment[0], by_sequence);
    /* The newest records may have been written but never synced (the process was killed between the two). They
     * are made durable before the replay, since that puts them into the index, which may become durable by itself. */
    newest = &j->segment[j->count - 1];
    rc = newest->sequence ? file_sync(newest->file) : 0;
    if (rc)
        return error_set(err, rc, "journal %s: sync failed", j->path);
    for (uint32_t i = 0; i < j->count; i++) {
        struct segment *s = &j->segment[i];

        if (s->sequence == 0)
            continue;
        if (s->last > replay->applied) {
            s->last = s->used = 0;   /* Of what is live in it. */
            rc = replay_segment(j, s, buf, replay, err);
            if (rc)
                return rc;
        }
        if (s->last > j->last)
            j->last = s->last;
        s->state = SEGMENT_FULL;
        j->sequence = s->sequence;
    }
    /* An append begins after the one before is durable: one that begins past the end proves a loss. */
    if (survey.append_max > j->last + 1)
        return error_set(err, -E_CORRUPT, "journal %s: records %llu to %llu are damaged, later ones exist", j->path,
                         (unsigned long long)j->last + 1, (unsigned long long)survey.append_max - 1);
    if (j->last < replay->applied)
        return error_set(err, -E_CORRUPT, "journal %s ends at record %llu, but the index has %llu", j->path,
                         (unsigned long long)j->last, (unsigned long long)replay->applied);
    return 0;
}

/* --- Opening. --- */

WAITS static int segment_open(struct journal *j, const struct env_entry *entry, struct buf *buf, struct error *err)
{
    struct segment *s = &j->segment[j->count];
    char            path[ENV_PATH_MAX];
    uint64_t        id = 0, bytes = 0;
    uint32_t        number = 0;
    size_t          got = 0;
    int             rc, n;

    if (j->count == JOURNAL_SEGMENTS_MAX)
        return error_set(err, -E_LIMIT, "journal %s has more than %d segments", j->path, JOURNAL_SEGMENTS_MAX);
    n = snprintf(path, sizeof path, "%s/%s", j->path, entry->name);
    if (n < 0 || (size_t)n >= sizeof path)
        return error_set(err, -ENAMETOOLONG, "journal %s: path too long", j->path);
    rc = env_open(j->env, path, FILE_DIRECT, &s->file);
    if (rc)
        return error_set(err, rc, "%s can't be opened", path);
    j->count++;   /* From here on journal_close() closes it. */
    rc = file_read(s->file, buf->data, BUF_ALIGN, 0, &got);
    if (rc == 0)
        rc = journal_header_decode(slice_of(buf->data, got), &id, &bytes, &number);
    if (rc == 0 && ((j->id && (id != j->id || bytes != j->segment_bytes)) || bytes != entry->size))
        rc = -E_CORRUPT;
    if (rc)
        return error_set(err, rc, "%s: not a segment of this journal", path);
    j->id = id;
    j->segment_bytes = bytes;
    s->number = number;
    return 0;
}

WAITS static int open_files(struct journal *j, struct buf *buf, struct error *err)
{
    struct env_entry *entries = NULL;
    char              path[ENV_PATH_MAX];
    uint32_t          count = 0;
    int               rc;

    rc = env_mkdir(j->env, j->path);
    /* A segment's name may have been given but not yet synced when the process was killed. */
    if (rc == 0)
        rc = env_sync_dir(j->env, j->path);
    if (rc == 0)
        rc = env_list(j->env, j->path, &entries, &count);
    if (rc)
        return error_set(err, rc, "journal %s can't be opened", j->path);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        if (strncmp(entries[i].name, "journal-", 8) == 0) {
            rc = segment_open(j, &entries[i], buf, err);
        } else if (strncmp(entries[i].name, "new-", 4) == 0) {   /* Its making was interrupted. */
            int n = snprintf(path, sizeof path, "%s/%s", j->path, entries[i].name);

            if (n > 0 && (size_t)n < sizeof path)
                env_unlink(j->env, path);
        }
    }
    free(entries);
    return rc;
}

WAITS static int create(struct journal *j, struct error *err)
{
    int rc = 0;

    while (j->id == 0)
        env_random(j->env, &j->id, sizeof j->id);
    for (uint32_t i = 0; i < SEGMENTS_AT_FIRST && rc == 0; i++)
        rc = segment_add(j);
    return rc ? error_set(err, rc, "journal %s can't be created", j->path) : 0;
}

WAITS int journal_open(struct env *env, const struct journal_options *options, journal_replay replay_fn, void *ctx,
                       struct journal **ret_journal, struct error *err)
{
    struct replay   replay = { .fn = replay_fn, .ctx = ctx, .applied = options->applied_lsn };
    struct journal *j = calloc(1, sizeof *j);
    struct buf     *buf = buf_new(SCAN_BYTES);
    int             rc;

    if (!j || !buf) {
        free(j);
        buf_unref(buf);
        return error_set(err, -ENOMEM, "no memory for a journal");
    }
    j->env = env;
    j->active = -1;
    j->segment_bytes = options->segment_bytes ? options->segment_bytes : SEGMENT_BYTES_DEFAULT;
    j->segments_wanted = options->segments ? options->segments : SEGMENTS_DEFAULT;
    if (j->segments_wanted < SEGMENTS_AT_FIRST)
        j->segments_wanted = SEGMENTS_AT_FIRST;
    if (j->segments_wanted > JOURNAL_SEGMENTS_MAX || j->segment_bytes % BUF_ALIGN ||
        j->segment_bytes < 4 * (uint64_t)BUF_ALIGN || strlen(options->path) >= sizeof j->path) {
        rc = error_set(err, -EINVAL, "journal %s: bad options", options->path);
        goto out;
    }
    memcpy(j->path, options->path, strlen(options->path) + 1);

    rc = open_files(j, buf, err);
    if (rc == 0)
        rc = j->count == 0 && options->applied_lsn == 0 ? create(j, err) : recover(j, buf, &replay, err);
    if (rc)
        goto out;
    journal_trim(j, options->applied_lsn);
    *ret_journal = j;
    j = NULL;
out:
    journal_close(j);
    buf_unref(buf);
    return rc;
}

WAITS void journal_close(struct journal *j)
{
    if (!j)
        return;
    assert(!j->appending);
    for (uint32_t i = 0; i < j->count; i++)
        file_close(j->segment[i].file);
    free(j->buffer);
    free(j);
}

/* --- Appending. --- */

/* Lays the records out in j->buffer; the sequence is that of the segment they go to. */
static int build(struct journal *j, const struct slice *records, uint32_t count, uint64_t sequence, size_t bytes)
{
    size_t at = 0;

    if (bytes > j->capacity || (j->capacity > KEEP_BYTES && bytes <= KEEP_BYTES)) {
        free(j->buffer);
        j->capacity = 0;
        j->buffer = aligned_alloc(BUF_ALIGN, bytes);
        if (!j->buffer)
            return -ENOMEM;
        j->capacity = bytes;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct journal_record record = { .sequence = sequence, .lsn = j->last + 1 + i, .append_first = j->last + 1,
                                         .bytes_of = records[i] };

        at += journal_record_encode(j->buffer + at, j->id, &record);
    }
    memset(j->buffer + at, 0, bytes - at);
    return 0;
}

/* Makes a free segment the active one. Changes nothing on disk but by adding a segment. */
WAITS static int next_segment(struct journal *j)
{
    int found = -1, rc;

    journal_trim(j, j->trimmed);
    for (uint32_t i = 0; i < j->count; i++)
        if (j->segment[i].state == SEGMENT_FREE &&
            (found < 0 || j->segment[i].sequence < j->segment[found].sequence))
            found = (int)i;
    if (found < 0) {
        rc = segment_add(j);
        if (rc) {
            j->failed = rc != -ENOSPC && rc != -ENOMEM && rc != -E_OVERLOAD;
            return rc;
        }
        found = (int)j->count - 1;
        counter_inc(journal_segments_added);
    }
    if (j->active >= 0)
        j->segment[j->active].state = SEGMENT_FULL;
    j->active = found;
    j->segment[found].state = SEGMENT_ACTIVE;
    j->segment[found].sequence = ++j->sequence;
    j->segment[found].used = 0;
    j->segment[found].trimmed = 0;
    j->segment[found].last = j->last;
    j->position = BUF_ALIGN;
    return 0;
}

WAITS static int append(struct journal *j, const struct slice *records, uint32_t count)
{
    struct segment *s;
    struct iovec    iov;
    size_t          bytes = 0;
    int             rc;

    for (uint32_t i = 0; i < count; i++) {
        if (records[i].size > JOURNAL_RECORD_MAX)
            return -E_LIMIT;
        bytes += round_up(JOURNAL_RECORD_HEADER_BYTES + records[i].size, 8);
        if (bytes > JOURNAL_APPEND_MAX)
            return -E_LIMIT;
    }
    bytes = round_up(bytes, BUF_ALIGN);
    if (bytes > j->segment_bytes - BUF_ALIGN)
        return -E_LIMIT;
    if (j->active < 0 || j->position + bytes > j->segment_bytes) {
        rc = next_segment(j);
        if (rc)
            return rc;
    }
    s = &j->segment[j->active];
    rc = build(j, records, count, s->sequence, bytes);
    if (rc)
        return rc;
    iov = (struct iovec) { j->buffer, bytes };
    rc = file_write_sync(s->file, &iov, 1, j->position);
    if (rc) {
        j->failed = rc != -E_OVERLOAD;   /* Then nothing was written. */
        return rc;
    }
    j->position += bytes;
    j->last += count;
    s->last = j->last;
    s->used += bytes;
    counter_inc(journal_appends);
    counter_add(journal_records, count);
    return 0;
}

WAITS int journal_append(struct journal *j, const struct slice *records, uint32_t count, uint64_t *ret_lsn)
{
    int rc;

    assert(!j->appending && count > 0);
    if (j->failed)
        return -E_DEVICE;
    j->appending = true;
    rc = append(j, records, count);
    j->appending = false;
    if (rc == 0)
        *ret_lsn = j->last;
    return rc;
}

/* --- Trimming. --- */

void journal_trim(struct journal *j, uint64_t lsn)
{
    if (lsn > j->trimmed)
        j->trimmed = lsn < j->last ? lsn : j->last;
    for (uint32_t i = 0; i < j->count; i++) {
        struct segment *s = &j->segment[i];

        if (s->last > j->trimmed)
            continue;
        s->trimmed = s->used;
        /* The segment of the last record is kept: it tells where the journal ends. */
        if (s->state == SEGMENT_FULL && s->last < j->last)
            s->state = SEGMENT_FREE;
    }
}

uint64_t journal_last(const struct journal *j)
{
    return j->last;
}

uint64_t journal_bytes_untrimmed(const struct journal *j)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < j->count; i++)
        if (j->segment[i].state != SEGMENT_FREE)
            bytes += j->segment[i].used - j->segment[i].trimmed;
    return bytes;
}

uint64_t journal_bytes_total(const struct journal *j)
{
    return (j->count > j->segments_wanted ? j->count : j->segments_wanted) * j->segment_bytes;
}
