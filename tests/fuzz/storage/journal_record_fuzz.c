/* tests/fuzz/storage/journal_record_fuzz.c - journal headers and records as a rotten disk may
 * show them. The checksum is made right, so that what is behind it is reached. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "storage/journal_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ID = 77 };

static void record(const uint8_t *bytes, size_t size)
{
    struct journal_record r, again;
    uint8_t              *out;

    if (journal_record_decode(slice_of(bytes, size), ID, &r))
        return;
    assert(r.bytes % 8 == 0 && r.lsn >= r.append_first && r.bytes_of.data + r.bytes_of.size <= bytes + size);
    out = malloc(r.bytes);
    if (!out)
        return;
    assert(journal_record_encode(out, ID, &r) == r.bytes);
    assert(journal_record_decode(slice_of(out, r.bytes), ID, &again) == 0);
    assert(again.lsn == r.lsn && again.sequence == r.sequence && slice_equal(again.bytes_of, r.bytes_of));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t id, bytes;
    uint32_t number;
    uint8_t *copy = malloc(size ? size : 1);
    size_t   content;

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    journal_header_decode(slice_of(copy, size), &id, &bytes, &number);
    record(copy, size);
    if (size >= JOURNAL_RECORD_HEADER_BYTES) {
        memcpy(copy, "RSJL", 4);
        put_u64le(copy + 8, ID);
        content = get_u32le(copy + 4);
        if (content <= size - JOURNAL_RECORD_HEADER_BYTES)
            put_u64le(copy + 40, XXH3_64bits_withSeed(copy + JOURNAL_RECORD_HEADER_BYTES, content, XXH3_64bits(copy, 40)));
        record(copy, size);
    }
    free(copy);
    return 0;
}
