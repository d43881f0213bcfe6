/* tests/fuzz/storage/volume_record_fuzz.c - record and file headers of volumes as a rotten
 * disk may show them. The checksum is made right, so that what is behind it is reached. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "storage/volume_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED = 77 };

static void record(uint8_t *bytes, size_t size)
{
    struct volume_record r, again;
    uint8_t              out[RECORD_HEADER_LARGE];
    uint32_t             header, header_again;

    if (volume_record_decode(slice_of(bytes, size), SEED, &r, &header))
        return;
    assert(header <= size && volume_record_check(&r) == 0);
    assert(volume_record_bytes(&r) % VOLUME_ALIGN == 0 && volume_record_bytes(&r) >= header + r.length);
    for (size_t i = 0; i < r.owner_name.size; i++)
        out[i % sizeof out] = r.owner_name.data[i];
    /* What was decoded encodes to what decodes the same. */
    volume_record_encode(out, SEED, &r);
    assert(volume_record_decode(slice_of(out, header), SEED, &again, &header_again) == 0);
    assert(header_again == header && again.length == r.length && slice_equal(again.owner_name, r.owner_name) &&
           again.segment == r.segment && again.fragment == r.fragment && memcmp(again.blob, r.blob, 16) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct volume_header h;
    uint8_t             *bytes = malloc(size ? size : 1);
    size_t               header;

    if (!bytes)
        return 0;
    memcpy(bytes, data, size);
    volume_header_decode(slice_of(bytes, size), &h);
    record(bytes, size);
    if (size >= RECORD_HEADER_SMALL) {
        header = size >= RECORD_HEADER_LARGE && (data[6] & 1) ? RECORD_HEADER_LARGE : RECORD_HEADER_SMALL;
        memcpy(bytes, "RSCK", 4);
        bytes[4] = 1;
        put_u16le(bytes + 6, (uint16_t)header);
        put_u64le(bytes + header - 8, XXH3_64bits_withSeed(bytes, header - 8, SEED));
        record(bytes, size);
    }
    free(bytes);
    return 0;
}
