/* proxy/object/upload.h - inside of the object service: rows of multipart uploads. The protocol is in
 * upload_complete.c and docs/decisions/0007-versions-and-uploads.md. */
#ifndef PROXY_OBJECT_UPLOAD_H
#define PROXY_OBJECT_UPLOAD_H

#include "proxy/object/version.h"

enum { UPLOAD_PAGE = 1000 };

struct upload_state {
    struct row_state row;
    Rs__Upload      *upload;      /* In the arena; NULL: there is none. */
};
WAITS int upload_state_read(struct object_service *s, const struct shard *shard, struct slice row, int64_t deadline,
                            struct arena *arena, struct upload_state *ret_state, struct error *err);

/* Calls for each part row of the upload, in the order of numbers and then of age; stops at a code that is not 0. What
 * it gets is in 'arena', which is not emptied meanwhile. */
typedef int (*part_visit)(void *ctx, const struct row_entry *entry, uint32_t number, struct slice suffix);
WAITS int upload_each_part(struct object_service *s, const struct shard *shard, const uint8_t id[UPLOAD_ID_BYTES],
                           uint32_t after, int64_t deadline, struct arena *arena, part_visit visit, void *ctx,
                           struct error *err);
/* Is the group named by its upload, the object or one of its versions? In the order in which it moves. */
WAITS int group_named(struct row_client *rows, const struct shard *shard, struct slice object,
                      const uint8_t id[UPLOAD_ID_BYTES], int64_t deadline, bool *ret_named);
/* An extent that names the group; in the arena. NULL: it is full. */
Rs__Extent **group_extent(const uint8_t id[UPLOAD_ID_BYTES], struct arena *arena);
/* The newest suffix that any row of the part's number has; zeroes: there is none. */
WAITS int part_newest(struct object_service *s, const struct shard *shard, const uint8_t id[UPLOAD_ID_BYTES],
                      uint32_t number, int64_t deadline, uint8_t ret_suffix[PART_SUFFIX_BYTES], struct error *err);
/* A suffix after 'newest'. */
void part_suffix(struct object_service *s, const uint8_t newest[PART_SUFFIX_BYTES],
                 uint8_t ret_suffix[PART_SUFFIX_BYTES]);
/* Writes a part row: its blobs are its extents. */
WAITS int part_write(struct object_service *s, const struct shard *shard, struct slice row, const Rs__Part *part,
                     Rs__Extent **extents, size_t extent_count, int64_t deadline, struct arena *arena,
                     struct error *err);

/* Ends a completion that was decided; upload_complete.c. */
WAITS int upload_finish(struct name_work *w, const uint8_t id[UPLOAD_ID_BYTES], Rs__ObjectMeta **ret_meta,
                        struct arena *arena, struct error *err);

#endif
