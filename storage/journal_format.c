/* storage/journal_format.c - see storage/journal_format.h. All integers are little-endian. */
#include "storage/journal_format.h"

#include <xxhash.h>

#include "base/bytes.h"

#define HEADER_MAGIC UINT64_C(0x314c4e524a475352)   /* "RSGJRNL1" */
#define RECORD_MAGIC UINT32_C(0x4c4a5352)           /* "RSJL" */
enum { HEADER_VERSION = 1, RECORD_MAX = 256 * 1024 };

void journal_header_encode(uint8_t *out, uint64_t id, uint64_t segment_bytes, uint32_t number)
{
    put_u64le(out, HEADER_MAGIC);
    put_u32le(out + 8, HEADER_VERSION);
    put_u32le(out + 12, number);
    put_u64le(out + 16, id);
    put_u64le(out + 24, segment_bytes);
    put_u64le(out + 32, 0);
    put_u64le(out + 40, XXH3_64bits(out, 40));
}

int journal_header_decode(struct slice in, uint64_t *ret_id, uint64_t *ret_segment_bytes, uint32_t *ret_number)
{
    const uint8_t *p = in.data;

    if (in.size < JOURNAL_HEADER_BYTES || get_u64le(p) != HEADER_MAGIC || get_u64le(p + 40) != XXH3_64bits(p, 40))
        return -E_CORRUPT;
    if (get_u32le(p + 8) != HEADER_VERSION)
        return -E_TOO_NEW;
    if (get_u64le(p + 16) == 0)
        return -E_CORRUPT;
    *ret_number = get_u32le(p + 12);
    *ret_id = get_u64le(p + 16);
    *ret_segment_bytes = get_u64le(p + 24);
    return 0;
}

/* Over the header before the checksum, then the content. */
static uint64_t checksum(const uint8_t *header, struct slice content)
{
    return XXH3_64bits_withSeed(content.size ? (const void *)content.data : "", content.size, XXH3_64bits(header, 40));
}

size_t journal_record_encode(uint8_t *out, uint64_t id, const struct journal_record *record)
{
    size_t bytes = JOURNAL_RECORD_HEADER_BYTES + record->bytes_of.size, padded = (bytes + 7) & ~(size_t)7;

    put_u32le(out, RECORD_MAGIC);
    put_u32le(out + 4, (uint32_t)record->bytes_of.size);
    put_u64le(out + 8, id);
    put_u64le(out + 16, record->sequence);
    put_u64le(out + 24, record->lsn);
    put_u64le(out + 32, record->append_first);
    put_u64le(out + 40, checksum(out, record->bytes_of));
    if (record->bytes_of.size)
        memcpy(out + JOURNAL_RECORD_HEADER_BYTES, record->bytes_of.data, record->bytes_of.size);
    memset(out + bytes, 0, padded - bytes);
    return padded;
}

int journal_record_decode(struct slice in, uint64_t id, struct journal_record *ret_record)
{
    const uint8_t *p = in.data;
    struct slice   content;
    size_t         size;

    if (in.size < JOURNAL_RECORD_HEADER_BYTES || get_u32le(p) != RECORD_MAGIC || get_u64le(p + 8) != id)
        return -E_CORRUPT;
    size = get_u32le(p + 4);
    if (size > RECORD_MAX || size > in.size - JOURNAL_RECORD_HEADER_BYTES)
        return -E_CORRUPT;
    content = slice_of(p + JOURNAL_RECORD_HEADER_BYTES, size);
    if (get_u64le(p + 40) != checksum(p, content))
        return -E_CORRUPT;
    ret_record->sequence = get_u64le(p + 16);
    ret_record->lsn = get_u64le(p + 24);
    ret_record->append_first = get_u64le(p + 32);
    ret_record->bytes_of = content;
    ret_record->bytes = (JOURNAL_RECORD_HEADER_BYTES + size + 7) & ~(size_t)7;
    if (ret_record->lsn == 0 || ret_record->append_first == 0 || ret_record->append_first > ret_record->lsn)
        return -E_CORRUPT;
    return 0;
}
