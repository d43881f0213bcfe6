/* storage/volume_format.c - see storage/volume_format.h. All integers are little-endian. */
#include "storage/volume_format.h"

#include <assert.h>

#include "base/bytes.h"
#include "storage/hash.h"

#define HEADER_MAGIC UINT64_C(0x314d554c4f565352)   /* "RSVOLUM1" */
#define RECORD_MAGIC UINT32_C(0x4b435352)           /* "RSCK" */
enum {
    VERSION = 1,
    FIXED_BYTES = 72,              /* Of a record header, before the checksums. */
    SEGMENTS_MAX = 1 << 20,
    FLAG_ERASURE = 1
};

void volume_header_encode(uint8_t *out, const struct volume_header *header)
{
    memset(out, 0, VOLUME_HEADER_BYTES);
    put_u64le(out, HEADER_MAGIC);
    put_u32le(out + 8, VERSION);
    put_u32le(out + 12, header->number);
    memcpy(out + 16, header->device, 16);
    put_u64le(out + 32, header->seed);
    put_u64le(out + 40, header->bytes);
    put_u64le(out + 56, XXH3_64bits(out, 56));
}

int volume_header_decode(struct slice in, struct volume_header *ret_header)
{
    if (in.size < VOLUME_HEADER_BYTES || get_u64le(in.data) != HEADER_MAGIC ||
        get_u64le(in.data + 56) != XXH3_64bits(in.data, 56))
        return -E_CORRUPT;
    if (get_u32le(in.data + 8) != VERSION)
        return -E_TOO_NEW;
    ret_header->number = get_u32le(in.data + 12);
    memcpy(ret_header->device, in.data + 16, 16);
    ret_header->seed = get_u64le(in.data + 32);
    ret_header->bytes = get_u64le(in.data + 40);
    return 0;
}

static uint32_t used_bytes(const struct volume_record *r)
{
    return FIXED_BYTES + 8 * chunk_blocks(r->length) + (uint32_t)r->owner_name.size + 8;
}

uint32_t volume_record_header_bytes(const struct volume_record *r)
{
    return used_bytes(r) <= RECORD_HEADER_SMALL && r->length <= RECORD_SMALL_BYTES - RECORD_HEADER_SMALL
               ? RECORD_HEADER_SMALL
               : RECORD_HEADER_LARGE;
}

uint32_t volume_record_bytes(const struct volume_record *r)
{
    return (volume_record_header_bytes(r) + r->length + VOLUME_ALIGN - 1) / VOLUME_ALIGN * VOLUME_ALIGN;
}

int volume_record_check(const struct volume_record *r)
{
    if (r->length == 0 || r->length > CHUNK_BYTES_MAX || r->k == 0 || r->k + r->m > POLICY_FRAGMENTS_MAX ||
        r->fragment >= r->k + r->m || r->segment >= SEGMENTS_MAX || r->owner_name.size > ROW_NAME_MAX ||
        r->unit > CHUNK_BYTES_MAX || r->segment_bytes == 0 || r->segment_bytes > (uint64_t)r->unit * r->k)
        return -E_LIMIT;
    return 0;
}

void volume_record_encode(uint8_t *out, uint64_t seed, const struct volume_record *r)
{
    uint32_t header = volume_record_header_bytes(r), blocks = chunk_blocks(r->length);
    uint8_t *p = out + FIXED_BYTES;

    assert(volume_record_check(r) == 0);
    memset(out, 0, header);
    put_u32le(out, RECORD_MAGIC);
    out[4] = VERSION;
    out[5] = r->erasure ? FLAG_ERASURE : 0;
    put_u16le(out + 6, (uint16_t)header);
    memcpy(out + 8, r->blob, 16);
    out[24] = r->fragment;
    out[25] = r->k;
    out[26] = r->m;
    put_u32le(out + 28, r->segment);
    put_u32le(out + 32, r->unit);
    put_u32le(out + 36, r->length);
    put_u32le(out + 40, r->segment_bytes);
    put_u16le(out + 44, (uint16_t)blocks);
    put_u16le(out + 46, (uint16_t)r->owner_name.size);
    put_u64le(out + 48, r->segment_checksum);
    memcpy(out + 56, r->owner_shard, SHARD_ID_BYTES);
    for (uint32_t i = 0; i < blocks; i++, p += 8)
        put_u64le(p, r->checksum[i]);
    if (r->owner_name.size)
        memcpy(p, r->owner_name.data, r->owner_name.size);
    put_u64le(out + header - 8, XXH3_64bits_withSeed(out, header - 8, seed));
}

int volume_record_decode(struct slice in, uint64_t seed, struct volume_record *ret_record, uint32_t *ret_header_bytes)
{
    const uint8_t       *p = in.data;
    struct volume_record r = { 0 };
    uint32_t             header, name;

    if (in.size < RECORD_HEADER_SMALL || get_u32le(p) != RECORD_MAGIC)
        return -E_CORRUPT;
    header = get_u16le(p + 6);
    if ((header != RECORD_HEADER_SMALL && header != RECORD_HEADER_LARGE) || header > in.size ||
        get_u64le(p + header - 8) != XXH3_64bits_withSeed(p, header - 8, seed))
        return -E_CORRUPT;
    if (p[4] != VERSION)
        return -E_TOO_NEW;
    r.erasure = p[5] & FLAG_ERASURE;
    memcpy(r.blob, p + 8, 16);
    r.fragment = p[24];
    r.k = p[25];
    r.m = p[26];
    r.segment = get_u32le(p + 28);
    r.unit = get_u32le(p + 32);
    r.length = get_u32le(p + 36);
    r.segment_bytes = get_u32le(p + 40);
    name = get_u16le(p + 46);
    r.segment_checksum = get_u64le(p + 48);
    memcpy(r.owner_shard, p + 56, SHARD_ID_BYTES);
    r.owner_name.size = name;
    if (volume_record_check(&r) || get_u16le(p + 44) != chunk_blocks(r.length) || used_bytes(&r) > header ||
        volume_record_header_bytes(&r) != header)
        return -E_CORRUPT;
    p += FIXED_BYTES;
    for (uint32_t i = 0; i < chunk_blocks(r.length); i++, p += 8)
        r.checksum[i] = get_u64le(p);
    r.owner_name.data = p;
    *ret_record = r;
    *ret_header_bytes = header;
    return 0;
}

void chunk_checksums(const uint8_t *data, uint32_t length, uint64_t *ret_checksums)
{
    for (uint32_t at = 0; at < length; at += CHUNK_BLOCK_BYTES)
        *ret_checksums++ = XXH3_64bits(data + at, length - at < CHUNK_BLOCK_BYTES ? length - at : CHUNK_BLOCK_BYTES);
}

bool chunk_verify(const struct volume_record *r, uint32_t first, const uint8_t *data, uint32_t size)
{
    for (uint32_t at = 0; at < size; at += CHUNK_BLOCK_BYTES, first++) {
        uint32_t n = size - at < CHUNK_BLOCK_BYTES ? size - at : CHUNK_BLOCK_BYTES;

        assert(first < chunk_blocks(r->length));
        if (XXH3_64bits(data + at, n) != r->checksum[first])
            return false;
    }
    return true;
}
