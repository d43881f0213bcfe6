/* storage/row_record.c - rows as bytes. See row_record.h and docs/formats/rows.md. */
#include "storage/row_record.h"

#include <xxhash.h>

#include "base/bytes.h"

enum {
    HEAD_FORMAT = 1,
    SHARD_FORMAT = 1,
    GARBAGE_FORMAT = 1,
    JOURNAL_FORMAT = 1,
    BALLOT_BYTES = 12,
    HEAD_SUMMED_BYTES = ROW_HEAD_BYTES - 8
};

/* --- Keys. --- */

static struct slice key_finish(struct row_key *key, uint8_t *at, const uint8_t *shard, struct slice name)
{
    if (shard) {
        memcpy(at, shard, SHARD_ID_BYTES);
        at += SHARD_ID_BYTES;
    }
    if (name.size) {
        memcpy(at, name.data, name.size);
        at += name.size;
    }
    key->size = (size_t)(at - key->bytes);
    return slice_of(key->bytes, key->size);
}

struct slice row_key_make(struct row_key *key, enum row_key_kind kind, const uint8_t *shard, struct slice name)
{
    key->bytes[0] = (uint8_t)kind;
    return key_finish(key, key->bytes + 1, shard, name);
}

struct slice row_key_time(struct row_key *key, enum row_key_kind kind, uint64_t time, const uint8_t *shard,
                          struct slice name)
{
    key->bytes[0] = (uint8_t)kind;
    put_u64be(key->bytes + 1, time);
    return key_finish(key, key->bytes + 9, shard, name);
}

struct slice row_key_after(struct row_key *key, struct slice prefix)
{
    size_t size = prefix.size;

    while (size && prefix.data[size - 1] == 0xff)
        size--;
    if (size)
        memmove(key->bytes, prefix.data, size);
    key->size = size;
    if (size)
        key->bytes[size - 1]++;
    return slice_of(key->bytes, size);
}

/* --- Pieces. --- */

static uint8_t *put_ballot(uint8_t *out, struct ballot b)
{
    put_u64le(out, b.time);
    put_u32le(out + 8, b.node);
    return out + BALLOT_BYTES;
}

static struct ballot take_ballot(struct bytes_reader *reader)
{
    struct ballot b;

    b.time = bytes_u64le(reader);
    b.node = bytes_u32le(reader);
    return b;
}

static uint8_t *put_slice(uint8_t *out, struct slice s)
{
    if (s.size)
        memcpy(out, s.data, s.size);
    return out + s.size;
}

struct row_digest row_digest_of(struct slice meta, struct slice data)
{
    return (struct row_digest) { .meta = XXH3_64bits(meta.data, meta.size),
                                 .data = data.size ? XXH3_64bits(data.data, data.size) : 0 };
}

/* The key is hashed in as a seed: the record is only right at its place. */
static uint64_t sum(struct slice key, const uint8_t *data, size_t size)
{
    return XXH3_64bits_withSeed(data, size, XXH3_64bits(key.data, key.size));
}

/* --- Heads. Fixed part: format, flags, 2 reserved, data size; promised; accepted; digest; size;
 * expires; 8 reserved; checksum of what is before it. Then meta, which its digest checks. --- */

void row_head_encode(const struct row_head *head, struct slice key, uint8_t *out)
{
    uint8_t *p = out;

    *p++ = HEAD_FORMAT;
    *p++ = head->flags;
    put_u16le(p, 0);
    put_u32le(p + 2, head->data_size);
    p = put_ballot(p + 6, head->promised);
    p = put_ballot(p, head->accepted);
    put_u64le(p, head->digest.meta);
    put_u64le(p + 8, head->digest.data);
    put_u64le(p + 16, head->size);
    put_u64le(p + 24, head->expires_s);
    put_u64le(p + 32, 0);
    p += 40;
    put_u64le(p, sum(key, out, HEAD_SUMMED_BYTES));
    put_slice(p + 8, head->meta);
}

int row_head_decode(struct slice key, struct slice record, struct row_head *ret_head)
{
    struct bytes_reader r;
    struct row_head     head;
    uint64_t            want;

    if (record.size < ROW_HEAD_BYTES)
        return -E_CORRUPT;
    if (record.data[0] != HEAD_FORMAT)
        return record.data[0] > HEAD_FORMAT ? -E_TOO_NEW : -E_CORRUPT;
    bytes_reader_init(&r, record);
    bytes_u8(&r);
    head.flags = bytes_u8(&r);
    bytes_u16le(&r);
    head.data_size = bytes_u32le(&r);
    head.promised = take_ballot(&r);
    head.accepted = take_ballot(&r);
    head.digest.meta = bytes_u64le(&r);
    head.digest.data = bytes_u64le(&r);
    head.size = bytes_u64le(&r);
    head.expires_s = bytes_u64le(&r);
    bytes_u64le(&r);
    want = bytes_u64le(&r);
    head.meta = bytes_take(&r, bytes_left(&r));

    if (sum(key, record.data, HEAD_SUMMED_BYTES) != want)
        return -E_CORRUPT;
    if (ballot_is_zero(head.accepted) ? head.meta.size != 0
                                      : XXH3_64bits(head.meta.data, head.meta.size) != head.digest.meta)
        return -E_CORRUPT;
    *ret_head = head;
    return 0;
}

uint64_t row_head_hash(const struct row_head *head, struct slice name)
{
    uint8_t bytes[28];

    if (ballot_is_zero(head->accepted))
        return 0;
    put_u64le(put_ballot(bytes, head->accepted), head->digest.meta);
    put_u64le(bytes + 20, head->digest.data);
    return XXH3_64bits_withSeed(bytes, sizeof bytes, XXH3_64bits(name.data, name.size));
}

/* --- Shards. --- */

void shard_record_encode(const struct shard_record *record, struct slice key, uint8_t out[SHARD_RECORD_BYTES])
{
    memset(out, 0, SHARD_RECORD_BYTES);
    out[0] = SHARD_FORMAT;
    put_u16le(out + 2, (uint16_t)record->replicas);
    put_ballot(put_ballot(out + 4, record->floor), record->newest);
    put_u32le(out + 28, 0);
    put_u64le(out + 32, (uint64_t)record->count);
    put_u64le(out + 40, (uint64_t)record->bytes);
    put_u64le(out + 48, record->hash);
    put_u64le(out + 56, sum(key, out, SHARD_RECORD_BYTES));
}

int shard_record_decode(struct slice key, struct slice bytes, struct shard_record *ret_record)
{
    struct shard_record record;
    struct bytes_reader r;
    uint8_t             copy[SHARD_RECORD_BYTES];

    if (bytes.size != SHARD_RECORD_BYTES)
        return -E_CORRUPT;
    if (bytes.data[0] != SHARD_FORMAT)
        return bytes.data[0] > SHARD_FORMAT ? -E_TOO_NEW : -E_CORRUPT;
    memcpy(copy, bytes.data, sizeof copy);
    memset(copy + 56, 0, 8);
    if (sum(key, copy, sizeof copy) != get_u64le(bytes.data + 56))
        return -E_CORRUPT;
    bytes_reader_init(&r, bytes);
    bytes_u16le(&r);
    record.replicas = bytes_u16le(&r);
    record.floor = take_ballot(&r);
    record.newest = take_ballot(&r);
    bytes_u32le(&r);
    record.count = (int64_t)bytes_u64le(&r);
    record.bytes = (int64_t)bytes_u64le(&r);
    record.hash = bytes_u64le(&r);
    *ret_record = record;
    return 0;
}

/* --- Garbage. --- */

size_t garbage_record_size(const struct garbage_record *record)
{
    return 4 + SHARD_ID_BYTES + BALLOT_BYTES + 2 + record->name.size + record->extent.size;
}

void garbage_record_encode(const struct garbage_record *record, uint8_t *out)
{
    out[0] = GARBAGE_FORMAT;
    out[1] = 0;
    put_u16le(out + 2, (uint16_t)record->replicas);
    memcpy(out + 4, record->shard, SHARD_ID_BYTES);
    out = put_ballot(out + 4 + SHARD_ID_BYTES, record->ballot);
    put_u16le(out, (uint16_t)record->name.size);
    put_slice(put_slice(out + 2, record->name), record->extent);
}

int garbage_record_decode(struct slice bytes, struct garbage_record *ret_record)
{
    struct garbage_record record;
    struct bytes_reader   r;
    struct slice          shard;
    uint8_t               format;

    bytes_reader_init(&r, bytes);
    format = bytes_u8(&r);
    if (format != GARBAGE_FORMAT)
        return format > GARBAGE_FORMAT ? -E_TOO_NEW : -E_CORRUPT;
    bytes_u8(&r);
    record.replicas = bytes_u16le(&r);
    shard = bytes_take(&r, SHARD_ID_BYTES);
    record.ballot = take_ballot(&r);
    record.name = bytes_slice16(&r, ROW_NAME_MAX);
    record.extent = bytes_take(&r, bytes_left(&r));
    if (r.failed)
        return -E_CORRUPT;
    memcpy(record.shard, shard.data, SHARD_ID_BYTES);
    *ret_record = record;
    return 0;
}

/* --- Journal records. The journal itself has checksums. --- */

size_t row_journal_size(const struct row_journal *record)
{
    size_t size = 4 + SHARD_ID_BYTES + BALLOT_BYTES + 2 + record->name.size;

    if (record->kind == ROW_JOURNAL_ACCEPT)
        size += 16 + 1 + 8 + 8 + 4 + record->meta.size + record->data.size;
    return size;
}

void row_journal_encode(const struct row_journal *record, uint8_t *out)
{
    out[0] = JOURNAL_FORMAT;
    out[1] = (uint8_t)record->kind;
    put_u16le(out + 2, (uint16_t)record->replicas);
    memcpy(out + 4, record->shard, SHARD_ID_BYTES);
    out = put_ballot(out + 4 + SHARD_ID_BYTES, record->ballot);
    put_u16le(out, (uint16_t)record->name.size);
    out = put_slice(out + 2, record->name);
    if (record->kind != ROW_JOURNAL_ACCEPT)
        return;
    put_u64le(out, record->digest.meta);
    put_u64le(out + 8, record->digest.data);
    out[16] = record->flags;
    put_u64le(out + 17, record->size);
    put_u64le(out + 25, record->expires_s);
    put_u32le(out + 33, (uint32_t)record->meta.size);
    put_slice(put_slice(out + 37, record->meta), record->data);
}

int row_journal_decode(struct slice bytes, struct row_journal *ret_record)
{
    struct row_journal  record = { .kind = 0 };
    struct bytes_reader r;
    struct slice        shard;
    uint8_t             format;

    bytes_reader_init(&r, bytes);
    format = bytes_u8(&r);
    if (format != JOURNAL_FORMAT)
        return format > JOURNAL_FORMAT ? -E_TOO_NEW : -E_CORRUPT;
    record.kind = bytes_u8(&r);
    record.replicas = bytes_u16le(&r);
    shard = bytes_take(&r, SHARD_ID_BYTES);
    record.ballot = take_ballot(&r);
    record.name = bytes_slice16(&r, ROW_NAME_MAX);
    if (record.kind == ROW_JOURNAL_ACCEPT) {
        record.digest.meta = bytes_u64le(&r);
        record.digest.data = bytes_u64le(&r);
        record.flags = bytes_u8(&r);
        record.size = bytes_u64le(&r);
        record.expires_s = bytes_u64le(&r);
        record.meta = bytes_slice32(&r, ROW_META_MAX);
        record.data = bytes_take(&r, bytes_left(&r));
        if (record.data.size > ROW_INLINE_MAX)
            return -E_CORRUPT;
    } else if (record.kind < ROW_JOURNAL_ACCEPT || record.kind > ROW_JOURNAL_DROP) {
        return -E_TOO_NEW;
    }
    if (!bytes_done(&r))
        return -E_CORRUPT;
    memcpy(record.shard, shard.data, SHARD_ID_BYTES);
    *ret_record = record;
    return 0;
}

/* --- Range entries. --- */

enum { ENTRY_FOLDED = 1 };

size_t row_range_entry_size(const struct row_range_entry *entry)
{
    return 2 + BALLOT_BYTES + 16 + 2 + 2 + 4 + entry->name.size + entry->witness.size + entry->meta.size;
}

void row_range_entry_encode(const struct row_range_entry *entry, uint8_t *out)
{
    out[0] = entry->folded ? ENTRY_FOLDED : 0;
    out[1] = entry->flags;
    out = put_ballot(out + 2, entry->ballot);
    put_u64le(out, entry->digest.meta);
    put_u64le(out + 8, entry->digest.data);
    put_u16le(out + 16, (uint16_t)entry->name.size);
    put_u16le(out + 18, (uint16_t)entry->witness.size);
    put_u32le(out + 20, (uint32_t)entry->meta.size);
    put_slice(put_slice(put_slice(out + 24, entry->name), entry->witness), entry->meta);
}

int row_range_entry_decode(struct slice bytes, size_t *at, struct row_range_entry *ret_entry)
{
    struct row_range_entry entry;
    struct bytes_reader    r;
    uint32_t               name, witness, meta;

    if (*at > bytes.size)
        return -E_CORRUPT;
    bytes_reader_init(&r, slice_from(bytes, *at));
    entry.folded = bytes_u8(&r) & ENTRY_FOLDED;
    entry.flags = bytes_u8(&r);
    entry.ballot = take_ballot(&r);
    entry.digest.meta = bytes_u64le(&r);
    entry.digest.data = bytes_u64le(&r);
    name = bytes_u16le(&r);
    witness = bytes_u16le(&r);
    meta = bytes_u32le(&r);
    if (name > ROW_NAME_MAX || witness > ROW_NAME_MAX || meta > ROW_META_MAX)
        return -E_CORRUPT;
    entry.name = bytes_take(&r, name);
    entry.witness = bytes_take(&r, witness);
    entry.meta = bytes_take(&r, meta);
    if (r.failed)
        return -E_CORRUPT;
    *at += r.at;
    *ret_entry = entry;
    return 0;
}

/* --- Values. --- */

static void *unpack_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void unpack_free(void *arena, void *p)
{
    (void)arena;
    (void)p;   /* The arena's. */
}

void *row_unpack(const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena)
{
    ProtobufCAllocator allocator = { .alloc = unpack_alloc, .free = unpack_free, .allocator_data = arena };

    return protobuf_c_message_unpack(type, &allocator, bytes.size, bytes.data);
}
