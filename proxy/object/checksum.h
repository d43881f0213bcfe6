/* proxy/object/checksum.h - the checksums that clients may choose for their objects.
 *
 * CRC-32 (ISO-HDLC, as zlib's), CRC-32C (Castagnoli), CRC-64/NVME, SHA-1, SHA-256, all incremental. Values are raw
 * bytes, big endian as clients write them in base64. CRCs of parts combine to the CRC of the whole; of the others
 * (and of CRCs too, when asked) a composite is the checksum of the parts' raw checksums, written with "-" and the
 * number of parts. CRC-64/NVME: NVM Express, NVM Command Set 1.0, 5.2.1.3.4; folding as in V. Gopal et al., "Fast CRC
 * Computation for Generic Polynomials Using PCLMULQDQ". Pure; any thread. */
#ifndef PROXY_OBJECT_CHECKSUM_H
#define PROXY_OBJECT_CHECKSUM_H

#include <openssl/sha.h>

#include "base/error.h"
#include "base/slice.h"

/* Kept on disk: numbers never change. */
enum checksum_kind {
    CHECKSUM_NONE, CHECKSUM_CRC32, CHECKSUM_CRC32C, CHECKSUM_CRC64NVME, CHECKSUM_SHA1, CHECKSUM_SHA256, CHECKSUM_END_
};
enum {
    CHECKSUM_BYTES_MAX = 32,
    CHECKSUM_TEXT_MAX = 64   /* Base64 of that, "-10000", NUL. */
};

struct checksum {
    enum checksum_kind kind;
    union {
        uint32_t   crc32;
        uint64_t   crc64;
        SHA_CTX    sha1;
        SHA256_CTX sha256;
    };
};

void checksum_init(struct checksum *checksum, enum checksum_kind kind);
void checksum_add(struct checksum *checksum, const void *data, size_t size);
/* Writes checksum_size() bytes; the state is void then. */
void checksum_end(struct checksum *checksum, uint8_t ret_value[CHECKSUM_BYTES_MAX]);

size_t             checksum_size(enum checksum_kind kind);   /* Bytes; 0 for none and unknown ones. */
const char        *checksum_name(enum checksum_kind kind);   /* "CRC32C", as in headers and XML; NULL for those. */
enum checksum_kind checksum_kind_of(struct slice name);      /* Any case; CHECKSUM_NONE when unknown. */
bool               checksum_is_crc(enum checksum_kind kind); /* Can be combined. */

/* CRCs only: 'value' of some bytes becomes that of these and 'size' more bytes, whose checksum is 'next'. */
void checksum_combine(enum checksum_kind kind, uint8_t *value, const uint8_t *next, uint64_t size);

/* Base64 with padding (RFC 4648, 4). 'out' has room for BASE64_SIZE(size) bytes, a NUL among them. */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4 + 1)
size_t base64_encode(char *out, const void *data, size_t size);
/* Strict: no blanks, full padding, no stray bits. -E_SYNTAX; -E_LIMIT: it has more than 'capacity' bytes. */
int base64_decode(uint8_t *out, size_t capacity, struct slice text, size_t *ret_size);

/* Value as clients see it; 'parts' 0: of the whole object, else composite. Empty 'value': "". */
void checksum_text(char out[CHECKSUM_TEXT_MAX], struct slice value, uint32_t parts);
/* What a client sent: raw bytes of the kind's size. Composite forms ("...-3") are given back with '*ret_parts'; NULL
 * refuses them. -E_SYNTAX. */
int checksum_parse(enum checksum_kind kind, struct slice text, uint8_t ret_value[CHECKSUM_BYTES_MAX],
                   uint32_t *ret_parts);

/* For tests: the plain way that machines without carry-less multiplication take. */
uint64_t checksum_crc64_plain(uint64_t state, const uint8_t *data, size_t size);

#endif
