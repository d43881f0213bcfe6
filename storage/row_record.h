/* storage/row_record.h - rows as bytes: keys and values of the index, journal
 * records, range entries. docs/formats/rows.md is the reference.
 *
 * Decoders check every length and, for what comes from disk, a checksum; slices
 * they return point into the input. Any thread. */
#ifndef STORAGE_ROW_RECORD_H
#define STORAGE_ROW_RECORD_H

#include "base/arena.h"
#include "storage/row_fsm.h"

/* Why these: a key holds its kind, the shard and the longest name. */
enum {
    ROW_KEY_MAX = 1 + 8 + SHARD_ID_BYTES + ROW_NAME_MAX,
    ROW_HEAD_BYTES = 80,             /* Fixed part of a head record. */
    ROW_EXTENTS_PARSE_MAX = 4096     /* More than any row has here; a bound on foreign input. */
};

/* --- Keys of the index. Numbers are big-endian, so that they sort. --- */
enum row_key_kind {
    ROW_KEY_HEAD = 'r',      /* shard, name -> head record (with meta) */
    ROW_KEY_DATA = 'd',      /* shard, name -> inline bytes */
    ROW_KEY_SHARD = 's',     /* shard -> shard record */
    ROW_KEY_GARBAGE = 'g',   /* blob id, ballot that replaced it -> garbage record */
    ROW_KEY_EXPIRY = 'x',    /* time, shard, name -> ballot */
    ROW_KEY_TOMB = 't',      /* time, shard, name -> ballot of a tombstone */
    ROW_KEY_APPLIED = 'j'    /* -> lsn of the journal that is applied, and a format number */
};

struct row_key {
    uint8_t bytes[ROW_KEY_MAX];
    size_t  size;
};
/* 'name' is at most ROW_NAME_MAX. */
struct slice row_key_make(struct row_key *key, enum row_key_kind kind, const uint8_t *shard, struct slice name);
struct slice row_key_time(struct row_key *key, enum row_key_kind kind, uint64_t time, const uint8_t *shard,
                          struct slice name);
/* The key after every key that starts with 'prefix'; size 0: there is none. */
struct slice row_key_after(struct row_key *key, struct slice prefix);

/* --- A row's head: everything but the inline bytes. --- */
struct row_head {
    struct ballot     promised, accepted;
    struct row_digest digest;
    uint8_t           flags;        /* enum row_flag */
    uint64_t          size, expires_s;
    uint32_t          data_size;
    struct slice      meta;         /* RowValue without 'data', packed. */
};
static inline bool row_head_live(const struct row_head *head)
{
    return !ballot_is_zero(head->accepted) && !(head->flags & ROW_FLAG_TOMBSTONE);
}
static inline bool row_head_counted(const struct row_head *head)
{
    return row_head_live(head) && (head->flags & ROW_FLAG_COUNTED);
}
static inline size_t row_head_size(const struct row_head *head) { return ROW_HEAD_BYTES + head->meta.size; }
/* Writes row_head_size() bytes. 'key' goes into the checksum, so that a record at a wrong place is found. */
void row_head_encode(const struct row_head *head, struct slice key, uint8_t *out);
int  row_head_decode(struct slice key, struct slice record, struct row_head *ret_head);   /* -E_CORRUPT, -E_TOO_NEW */
/* What a row adds to its shard's hash; 0 for a row that never was accepted. */
uint64_t row_head_hash(const struct row_head *head, struct slice name);

struct row_digest row_digest_of(struct slice meta, struct slice data);

/* --- A shard on one device. --- */
struct shard_record {
    struct ballot floor, newest;
    int64_t       count, bytes;
    uint64_t      hash;
    uint32_t      replicas;      /* Which index ring. */
};
enum { SHARD_RECORD_BYTES = 64 };
void shard_record_encode(const struct shard_record *record, struct slice key, uint8_t out[SHARD_RECORD_BYTES]);
int  shard_record_decode(struct slice key, struct slice bytes, struct shard_record *ret_record);

/* --- Garbage: a blob that a row named before. --- */
struct garbage_record {
    uint8_t       shard[SHARD_ID_BYTES];
    uint32_t      replicas;
    struct ballot ballot;        /* Of the value that replaced the one that named it. */
    struct slice  name;
    struct slice  extent;        /* Packed. */
};
size_t garbage_record_size(const struct garbage_record *record);
void   garbage_record_encode(const struct garbage_record *record, uint8_t *out);
int    garbage_record_decode(struct slice bytes, struct garbage_record *ret_record);

/* --- Journal records: what a row becomes, not what was asked. --- */
enum row_journal_kind {
    ROW_JOURNAL_ACCEPT = 1,
    ROW_JOURNAL_PROMISE,
    ROW_JOURNAL_FLOOR,
    ROW_JOURNAL_DROP
};
struct row_journal {
    enum row_journal_kind kind;
    uint8_t               shard[SHARD_ID_BYTES];
    uint32_t              replicas;
    struct slice          name;
    struct ballot         ballot;   /* Accepted, promised, or the floor; of the tombstone dropped. */
    struct row_digest     digest;   /* From here on: ACCEPT only. */
    uint8_t               flags;
    uint64_t              size, expires_s;
    struct slice          meta, data;
};
size_t row_journal_size(const struct row_journal *record);
void   row_journal_encode(const struct row_journal *record, uint8_t *out);
int    row_journal_decode(struct slice bytes, struct row_journal *ret_record);   /* -E_CORRUPT, -E_TOO_NEW */

/* --- Range entries, as METHOD_ROW_RANGE sends them. --- */
struct row_range_entry {
    bool              folded;   /* 'name' is the fold; 'witness' the live row that proves it. */
    struct slice      name, witness;
    struct ballot     ballot;
    struct row_digest digest;
    uint8_t           flags;
    struct slice      meta;     /* Empty when not asked for. */
};
size_t row_range_entry_size(const struct row_range_entry *entry);
void   row_range_entry_encode(const struct row_range_entry *entry, uint8_t *out);
/* Decodes the entry at '*at' and moves it behind. */
int    row_range_entry_decode(struct slice bytes, size_t *at, struct row_range_entry *ret_entry);

/* --- Values. --- */

/* Unpacks a RowValue (or another message) into the arena; NULL when it can't be. */
void *row_unpack(const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena);

#endif
