/* ring/wire.c - the envelope and the numbers of ring and builder files. */
#define XXH_INLINE_ALL
#include "ring/wire.h"

#include <endian.h>
#include <stdlib.h>
#include <xxhash.h>

enum { VERSION_AT = 8, SIZE_AT = 16, SUM_AT = 24, SUM_BYTES = 16, OUT_FIRST_BYTES = 4096 };

/* Room for 'size' more bytes, or NULL. */
static uint8_t *extend(struct wire_out *out, size_t size)
{
    size_t wanted;

    if (out->failed || !size_add(out->size, size, &wanted)) {
        out->failed = true;
        return NULL;
    }
    if (wanted > out->capacity) {
        size_t   capacity = out->capacity ? out->capacity : OUT_FIRST_BYTES;
        uint8_t *data;
        while (capacity < wanted)
            if (!size_mul(capacity, 2, &capacity)) {
                out->failed = true;
                return NULL;
            }
        data = realloc(out->data, capacity);
        if (!data) {
            out->failed = true;
            return NULL;
        }
        out->data = data;
        out->capacity = capacity;
    }
    out->size = wanted;
    return out->data + wanted - size;
}

static void put(struct wire_out *out, const void *bytes, size_t size)
{
    uint8_t *to = extend(out, size);
    if (to && size)
        memcpy(to, bytes, size);
}

void wire_put_u8(struct wire_out *out, uint8_t value)
{
    put(out, &value, 1);
}

void wire_put_u16(struct wire_out *out, uint16_t value)
{
    value = htole16(value);
    put(out, &value, sizeof(value));
}

void wire_put_u32(struct wire_out *out, uint32_t value)
{
    value = htole32(value);
    put(out, &value, sizeof(value));
}

void wire_put_u64(struct wire_out *out, uint64_t value)
{
    value = htole64(value);
    put(out, &value, sizeof(value));
}

void wire_put_f64(struct wire_out *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    wire_put_u64(out, bits);
}

void wire_put_text(struct wire_out *out, const char *text)
{
    size_t size = strlen(text);

    if (size > UINT8_MAX) {
        out->failed = true;
        return;
    }
    wire_put_u8(out, (uint8_t)size);
    put(out, text, size);
}

void wire_put_device(struct wire_out *out, const struct ring_device *device)
{
    wire_put_u16(out, device->id);
    wire_put_u16(out, device->port);
    wire_put_u32(out, device->region);
    wire_put_u32(out, device->zone);
    wire_put_u32(out, device->node);
    wire_put_f64(out, device->weight);
    wire_put_text(out, device->host);
    wire_put_text(out, device->name);
}

void wire_put_slots(struct wire_out *out, const uint16_t *slots, uint32_t partitions,
                    unsigned replicas, uint32_t full)
{
    for (unsigned r = 0; r < replicas; r++) {
        uint32_t row = r + 1 < replicas ? partitions : full;
        uint8_t *to = extend(out, (size_t)row * 2);
        if (!to)
            return;
        for (uint32_t p = 0; p < row; p++) {
            uint16_t value = htole16(slots[(size_t)p * replicas + r]);
            memcpy(to + (size_t)p * 2, &value, 2);
        }
    }
}

void wire_begin(struct wire_out *out, const char magic[static WIRE_MAGIC_BYTES], uint32_t version)
{
    static const uint8_t blank[WIRE_HEADER_BYTES - SIZE_AT];

    *out = (struct wire_out) { 0 };
    put(out, magic, WIRE_MAGIC_BYTES);
    wire_put_u32(out, version);
    wire_put_u32(out, 0);
    put(out, blank, sizeof(blank));
}

static XXH128_canonical_t checksum(const uint8_t *data, size_t size)
{
    XXH3_state_t       state;
    XXH128_canonical_t sum;

    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, data, SUM_AT);
    XXH3_128bits_update(&state, data + WIRE_HEADER_BYTES, size - WIRE_HEADER_BYTES);
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(&state));
    return sum;
}

int wire_finish(struct wire_out *out, uint8_t **ret_data, size_t *ret_size, struct error *err)
{
    uint64_t           size = htole64(out->size);
    XXH128_canonical_t sum;

    if (out->failed) {
        free(out->data);
        *out = (struct wire_out) { 0 };
        return error_set(err, -ENOMEM, "no memory for the file's bytes");
    }
    memcpy(out->data + SIZE_AT, &size, sizeof(size));
    sum = checksum(out->data, out->size);
    _Static_assert(sizeof(sum) == SUM_BYTES, "XXH3-128 is 16 bytes");
    memcpy(out->data + SUM_AT, &sum, sizeof(sum));
    *ret_data = out->data;
    *ret_size = out->size;
    *out = (struct wire_out) { 0 };
    return 0;
}

static const uint8_t *take(struct wire_in *in, size_t size)
{
    const uint8_t *at = in->next;

    if (in->bad || wire_left(in) < size) {
        in->bad = true;
        return NULL;
    }
    in->next += size;
    return at;
}

uint8_t wire_u8(struct wire_in *in)
{
    const uint8_t *at = take(in, 1);
    return at ? *at : 0;
}

uint16_t wire_u16(struct wire_in *in)
{
    uint16_t       value = 0;
    const uint8_t *at = take(in, sizeof(value));
    if (at)
        memcpy(&value, at, sizeof(value));
    return le16toh(value);
}

uint32_t wire_u32(struct wire_in *in)
{
    uint32_t       value = 0;
    const uint8_t *at = take(in, sizeof(value));
    if (at)
        memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

uint64_t wire_u64(struct wire_in *in)
{
    uint64_t       value = 0;
    const uint8_t *at = take(in, sizeof(value));
    if (at)
        memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

double wire_f64(struct wire_in *in)
{
    uint64_t bits = wire_u64(in);
    double   value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

void wire_text(struct wire_in *in, char *text, size_t max)
{
    size_t         size = wire_u8(in);
    const uint8_t *at = take(in, size);

    text[0] = '\0';
    if (!at)
        return;
    if (size > max || memchr(at, 0, size)) {
        in->bad = true;
        return;
    }
    memcpy(text, at, size);
    text[size] = '\0';
}

void wire_device(struct wire_in *in, struct ring_device *ret_device, char *host, char *name)
{
    ret_device->id = wire_u16(in);
    ret_device->port = wire_u16(in);
    ret_device->region = wire_u32(in);
    ret_device->zone = wire_u32(in);
    ret_device->node = wire_u32(in);
    ret_device->weight = wire_f64(in);
    wire_text(in, host, RING_HOST_MAX);
    wire_text(in, name, RING_NAME_MAX);
    ret_device->host = host;
    ret_device->name = name;
}

void wire_slots(struct wire_in *in, uint16_t *ret_slots, uint32_t partitions, unsigned replicas,
                uint32_t full)
{
    for (unsigned r = 0; r < replicas; r++) {
        uint32_t       row = r + 1 < replicas ? partitions : full;
        const uint8_t *from = take(in, (size_t)row * 2);
        if (!from)
            return;
        for (uint32_t p = 0; p < row; p++) {
            uint16_t value;
            memcpy(&value, from + (size_t)p * 2, 2);
            ret_slots[(size_t)p * replicas + r] = le16toh(value);
        }
        for (uint32_t p = row; p < partitions; p++)
            ret_slots[(size_t)p * replicas + r] = RING_NONE;
    }
}

int wire_open(struct slice file, const char magic[static WIRE_MAGIC_BYTES], uint32_t version_max,
              const char *what, struct wire_in *ret_in, struct error *err)
{
    XXH128_canonical_t sum;
    uint64_t           size;
    uint32_t           version;

    if (file.size < WIRE_HEADER_BYTES || memcmp(file.data, magic, WIRE_MAGIC_BYTES) != 0)
        return error_set(err, -E_CORRUPT, "this is not a %s", what);
    memcpy(&size, file.data + SIZE_AT, sizeof(size));
    if (le64toh(size) != file.size)
        return error_set(err, -E_CORRUPT, "the %s has %zu bytes and says it has %llu; restore it from a copy",
                         what, file.size, (unsigned long long)le64toh(size));
    sum = checksum(file.data, file.size);
    if (memcmp(&sum, file.data + SUM_AT, sizeof(sum)) != 0)
        return error_set(err, -E_CORRUPT, "the checksum of the %s does not match; restore it from a copy",
                         what);
    memcpy(&version, file.data + VERSION_AT, sizeof(version));
    version = le32toh(version);
    if (version == 0 || version > version_max)
        return error_set(err, -E_TOO_NEW, "the %s has format %u and this program reads up to %u; upgrade it",
                         what, version, version_max);
    *ret_in = (struct wire_in) { file.data + WIRE_HEADER_BYTES, file.data + file.size, false };
    return 0;
}
