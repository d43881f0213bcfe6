/* ring/wire.h - the envelope and the numbers of ring and builder files.
 *
 * Every version of both formats begins with the same 40 bytes, so that damage
 * is told from a newer format:
 *
 *    0  8  magic
 *    8  4  format version
 *   12  4  reserved, 0
 *   16  8  size of the file in bytes
 *   24 16  XXH3-128 (canonical) of the bytes before and after this field
 *
 * Numbers are little-endian. Internal to ring/. */
#ifndef RING_WIRE_H
#define RING_WIRE_H

#include "ring/ring.h"

enum { WIRE_HEADER_BYTES = 40, WIRE_MAGIC_BYTES = 8 };

/* Growing output; after a failed allocation 'failed' is set and writes do nothing. */
struct wire_out {
    uint8_t *data;
    size_t   size, capacity;
    bool     failed;
};

void wire_put_u8(struct wire_out *out, uint8_t value);
void wire_put_u16(struct wire_out *out, uint16_t value);
void wire_put_u32(struct wire_out *out, uint32_t value);
void wire_put_u64(struct wire_out *out, uint64_t value);
void wire_put_f64(struct wire_out *out, double value);
void wire_put_text(struct wire_out *out, const char *text);   /* Length byte, then bytes. */
void wire_put_device(struct wire_out *out, const struct ring_device *device);
/* Slot after slot of one replica, then the next: see ring_spec for the layout. */
void wire_put_slots(struct wire_out *out, const uint16_t *slots, uint32_t partitions,
                    unsigned replicas, uint32_t full);

void wire_begin(struct wire_out *out, const char magic[static WIRE_MAGIC_BYTES], uint32_t version);
/* Fills size and checksum; the bytes become the caller's, to free(). */
int wire_finish(struct wire_out *out, uint8_t **ret_data, size_t *ret_size, struct error *err);

/* Bounded input; a read past the end sets 'bad' and gives 0. */
struct wire_in {
    const uint8_t *next, *end;
    bool           bad;
};

uint8_t  wire_u8(struct wire_in *in);
uint16_t wire_u16(struct wire_in *in);
uint32_t wire_u32(struct wire_in *in);
uint64_t wire_u64(struct wire_in *in);
double   wire_f64(struct wire_in *in);
/* Copies at most 'max' bytes and a NUL into 'text' (max + 1 bytes); refuses NULs inside. */
void wire_text(struct wire_in *in, char *text, size_t max);
/* Strings go to 'host' and 'name', of RING_HOST_MAX + 1 and RING_NAME_MAX + 1 bytes. */
void wire_device(struct wire_in *in, struct ring_device *ret_device, char *host, char *name);
void wire_slots(struct wire_in *in, uint16_t *ret_slots, uint32_t partitions, unsigned replicas,
                uint32_t full);
static inline size_t wire_left(const struct wire_in *in) { return (size_t)(in->end - in->next); }

/* Checks the envelope. Fails with -E_CORRUPT or -E_TOO_NEW. */
int wire_open(struct slice file, const char magic[static WIRE_MAGIC_BYTES], uint32_t version_max,
              const char *what, struct wire_in *ret_in, struct error *err);

#endif
