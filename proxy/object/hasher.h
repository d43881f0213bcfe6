/* proxy/object/hasher.h - MD5, and perhaps one more checksum, of a stream of buffers, beside the task that
 * receives them.
 *
 * MD5 is the wall of a single stream (0.77 GB/s on our machines), so a long body
 * gets a task that hashes on a worker while the next buffer is received and the
 * last one encoded. Short ones are hashed at once. */
#ifndef PROXY_OBJECT_HASHER_H
#define PROXY_OBJECT_HASHER_H

#include "base/buf.h"
#include "proxy/object/checksum.h"
#include "proxy/object/md5_lanes.h"

enum { HASH_QUEUE = 4 };   /* Buffers that wait for the worker; more wait at the receiver. */

struct hash_stream;

struct hasher {
    struct md5_lanes   *lanes;    /* Must outlive the tasks of its env. */
    struct hash_stream *stream;   /* NULL before the first bytes. */
    enum checksum_kind  kind;     /* Of the checksum beside the MD5; CHECKSUM_NONE. */
};

void hasher_init(struct hasher *hasher, struct md5_lanes *lanes);
/* Before the first bytes. -EINVAL: unknown, or too late. */
int  hasher_checksum(struct hasher *hasher, enum checksum_kind kind);
/* References the buffer. 'overlap': hash beside the caller. */
WAITS int hasher_add(struct hasher *hasher, struct buf *buf, uint32_t size, bool overlap, int64_t deadline,
                     struct error *err);
WAITS int hasher_end(struct hasher *hasher, uint8_t ret_digest[16], struct error *err);
/* After the end: the checksum; empty when none was asked for. Lives as long as the hasher. */
struct slice hasher_checksum_value(const struct hasher *hasher);
void hasher_done(struct hasher *hasher);   /* At any time. */

#endif
