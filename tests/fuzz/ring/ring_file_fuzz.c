/* Fuzzes the parsers of ring and builder files. The first byte chooses: as it
 * is, or with size and checksum made right, to get past the envelope. What is
 * accepted must be usable, and come back the same from its own bytes. */
#define XXH_INLINE_ALL
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "ring/builder.h"
#include "ring/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *file, size_t size)
{
    XXH3_state_t       state;
    XXH128_canonical_t sum;
    uint64_t           bytes = size;   /* The fuzzer runs on little-endian machines. */

    memcpy(file + 16, &bytes, sizeof(bytes));
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, file, 24);
    XXH3_128bits_update(&state, file + 40, size - 40);
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(&state));
    memcpy(file + 24, &sum, sizeof(sum));
}

static void try_ring(struct slice file)
{
    struct ring        *ring = NULL, *next = NULL;
    struct ring_handoff walk;
    struct ring_set     set;
    uint8_t            *bytes = NULL;
    size_t              size;

    if (ring_parse(file, &ring, NULL) != 0)
        return;
    for (uint32_t p = 0; p < ring_partitions(ring) && p < 64; p++) {
        ring_lookup(ring, p, &set);
        for (unsigned r = 0; r < set.count; r++)
            assert(ring_device(ring, set.device[r]));
        ring_handoff_init(&walk, ring, p);
        while (ring_handoff_next(&walk) != RING_NONE)
            ;
    }
    assert(ring_partition(ring, file) < ring_partitions(ring));
    assert(ring_encode(ring, &bytes, &size, NULL) == 0);
    assert(ring_parse(slice_of(bytes, size), &next, NULL) == 0);
    assert(ring_epoch(next) == ring_epoch(ring) && ring_moving(next) == ring_moving(ring));
    free(bytes);
    ring_unref(next);
    ring_unref(ring);
}

static void try_builder(struct slice file)
{
    struct builder          *builder = NULL, *again = NULL;
    struct builder_rebalance how = { .now = 1700000000, .seed = 1 };
    uint8_t                 *bytes = NULL;
    size_t                   size;

    if (builder_parse(file, &builder, NULL) != 0)
        return;
    assert(builder_validate(builder, NULL) == 0);
    if (builder_rebalance(builder, &how, NULL, NULL) == 0)
        assert(builder_validate(builder, NULL) == 0);
    assert(builder_encode(builder, &bytes, &size, NULL) == 0);
    assert(builder_parse(slice_of(bytes, size), &again, NULL) == 0);
    free(bytes);
    builder_free(again);
    builder_free(builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *file;

    if (size < 1)
        return 0;
    file = malloc(size - 1 ? size - 1 : 1);   /* Its own block, so that reading past it is seen. */
    if (!file)
        return 0;
    memcpy(file, data + 1, size - 1);
    if ((data[0] & 1) && size - 1 >= 40)
        seal(file, size - 1);
    try_ring(slice_of(file, size - 1));
    try_builder(slice_of(file, size - 1));
    free(file);
    return 0;
}
