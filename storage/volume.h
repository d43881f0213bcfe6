/* storage/volume.h - one append-only file of chunks.
 *
 * Positions are handed out in order; the records themselves are written in
 * parallel, so a crash may leave holes. Space is reserved in steps ahead of the
 * writers. One sync at a time serves everybody whose writes ended before it began.
 *
 * A volume is reference-counted: compaction unlinks its file while readers
 * still hold it. Failed writes and syncs are final for the volume and for the
 * caller to report; nothing is retried. */
#ifndef STORAGE_VOLUME_H
#define STORAGE_VOLUME_H

#include "base/buf.h"
#include "base/env.h"
#include "storage/volume_format.h"

enum {
    VOLUME_STEP_BYTES = 64 * 1024 * 1024,   /* Reserved ahead. */
    VOLUME_UNREADABLE_MAX = 256,            /* Blocks of one volume that a walk passes over: 1 MiB. */
    VOLUME_PARTS_MAX = 32                   /* Of one payload. */
};

struct volume {
    struct env          *env;
    struct volume       *next;              /* The store's list, by number. */
    struct volume_header header;
    struct file         *file;
    uint32_t             refs;
    uint32_t             pins;              /* Chunks in it that the index does not name yet. */
    uint64_t             position;          /* Where the next record goes. */
    uint64_t             allocated;         /* Bytes of the file. */
    uint64_t             written, synced;   /* Writes that ended; of these, durable. */
    uint64_t             live;              /* Bytes of records that the index names. */
    bool                 allocating, syncing, failed;
    bool                 damaged;           /* Live chunks in it can't be read: it is never compacted. */
    struct waitq         allocate_q, sync_q;
    char                 path[ENV_PATH_MAX];
};

/* Files are "DIR/<number>.vol". A new one is durable, with its name, on return. */
WAITS int volume_create(struct env *env, const char *dir, const struct volume_header *header,
                        struct volume **ret_volume);
/* -E_CORRUPT, -E_TOO_NEW: the header. */
WAITS int volume_open(struct env *env, const char *dir, uint32_t number, struct volume **ret_volume);
struct volume *volume_ref(struct volume *volume);
struct volume *volume_unref(struct volume *volume);
WAITS int volume_unlink(struct volume *volume, const char *dir);

/* The place of a record. -E_LIMIT: the volume is full; -ENOSPC. */
WAITS int volume_reserve(struct volume *volume, uint32_t bytes, uint64_t *ret_position);
/* Writes the record at a reserved place; not durable yet. The payload's parts are borrowed. */
WAITS int volume_write(struct volume *volume, uint64_t position, const struct volume_record *record,
                       const struct buf_part *parts, uint32_t count);
/* Everything written before the call is durable on return. */
WAITS int volume_sync(struct volume *volume);

/* Reads bytes [offset, offset + size) of the payload (size 0: to its end) of the record
 * at 'position', verified. '*ret_part' gets a reference; '*ret_record' loses its name.
 * -E_CORRUPT: a checksum, or it is another chunk than 'blob', 'fragment', 'segment' say. */
struct chunk_id {
    uint8_t  blob[16];
    uint8_t  fragment;
    uint32_t segment;
};
WAITS int volume_read(struct volume *volume, uint64_t position, uint32_t bytes, const struct chunk_id *id,
                      uint32_t offset, uint32_t size, struct buf_part *ret_part, struct volume_record *ret_record);

/* Walks the intact records at or after 'from', resynchronising behind damage. 'part' is the payload, verified,
 * borrowed for the call; NULL for a record whose header is intact and whose payload is not. A visit's non-zero
 * return ends the walk. Blocks that can't be read (-EIO) are passed over, up to VOLUME_UNREADABLE_MAX of them:
 * more, and the drive is not to be trusted. */
typedef WAITS int (*volume_visit)(void *ctx, struct volume *volume, uint64_t position,
                                  const struct volume_record *record, const struct buf_part *part);
struct volume_walk {
    uint64_t end;          /* Behind the last intact record or unreadable block. */
    uint64_t damaged;      /* Records with a good header and a bad payload. */
    uint64_t unreadable;   /* Blocks of VOLUME_ALIGN. */
};
WAITS int volume_scan(struct volume *volume, uint64_t from, volume_visit visit, void *ctx,
                      struct volume_walk *ret_walk /* May be NULL. */);

#endif
