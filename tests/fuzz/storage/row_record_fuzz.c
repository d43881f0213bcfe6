/* tests/fuzz/storage/row_record_fuzz.c - every decoder of row records: anything
 * may come, nothing may break, and what is understood encodes to the same bytes.
 * The first byte chooses the decoder. */
#include <assert.h>
#include <stdlib.h>

#include "proto/row.pb-c.h"
#include "storage/row_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key_bytes[] = "r0123456789abcdefname";
static const struct slice key = { key_bytes, sizeof key_bytes - 1 };

static void head(struct slice bytes)
{
    struct row_head h, again;
    uint8_t        *out;

    row_head_decode(key, bytes, &h);
    if (bytes.size < 64)
        return;
    /* A record of ours, made of the input: it must come back, and not when a byte changed. */
    memset(&h, 0, sizeof h);
    memcpy(&h.promised.time, bytes.data, 8);
    memcpy(&h.accepted.time, bytes.data + 8, 8);
    memcpy(&h.size, bytes.data + 16, 8);
    memcpy(&h.digest.data, bytes.data + 24, 8);
    h.flags = bytes.data[32];
    h.accepted.node = 1;
    h.meta = slice_from(bytes, 64);
    h.digest = row_digest_of(h.meta, SLICE_NONE);
    out = malloc(row_head_size(&h));
    if (!out)
        return;
    row_head_encode(&h, key, out);
    assert(row_head_decode(key, slice_of(out, row_head_size(&h)), &again) == 0);
    assert(ballot_compare(h.accepted, again.accepted) == 0 && slice_equal(h.meta, again.meta) && h.size == again.size);
    out[bytes.data[33] % row_head_size(&h)] ^= 1 + bytes.data[34] % 255;
    assert(row_head_decode(key, slice_of(out, row_head_size(&h)), &again) != 0);
    free(out);
}

static void journal(struct slice bytes)
{
    struct row_journal r;
    uint8_t           *out;

    if (row_journal_decode(bytes, &r))
        return;
    assert(r.name.size <= ROW_NAME_MAX && r.meta.size <= ROW_META_MAX && r.data.size <= ROW_INLINE_MAX);
    assert(row_journal_size(&r) == bytes.size);
    out = malloc(bytes.size);
    if (!out)
        return;
    row_journal_encode(&r, out);
    assert(memcmp(out, bytes.data, bytes.size) == 0);
    free(out);
}

static void garbage(struct slice bytes)
{
    struct garbage_record r;
    uint8_t              *out;

    if (garbage_record_decode(bytes, &r))
        return;
    assert(garbage_record_size(&r) == bytes.size);
    out = malloc(bytes.size);
    if (!out)
        return;
    garbage_record_encode(&r, out);
    assert(memcmp(out + 2, bytes.data + 2, bytes.size - 2) == 0);   /* Byte 1 is reserved. */
    free(out);
}

static void range(struct slice bytes)
{
    struct row_range_entry e;
    size_t                 at = 0, before = 0;

    while (at < bytes.size && row_range_entry_decode(bytes, &at, &e) == 0) {
        assert(at > before && at <= bytes.size && at - before == row_range_entry_size(&e));
        before = at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard_record shard;
    struct arena        arena;
    uint8_t            *copy = malloc(size ? size : 1);   /* Ends where the record ends. */

    if (!copy || size == 0) {
        free(copy);
        return 0;
    }
    memcpy(copy, data + 1, size - 1);
    struct slice bytes = slice_of(copy, size - 1);
    switch (data[0] % 7) {
    case 0: head(bytes); break;
    case 1: journal(bytes); break;
    case 2: garbage(bytes); break;
    case 3: range(bytes); break;
    case 4: shard_record_decode(key, bytes, &shard); break;
    default:
        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        row_unpack(data[0] % 7 == 5 ? &rs__row_value__descriptor : &rs__row_accept_request__descriptor, bytes, &arena);
        arena_done(&arena);
        break;
    }
    free(copy);
    return 0;
}
