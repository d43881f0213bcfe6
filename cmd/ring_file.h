/* cmd/ring_file.h - whole files for the offline ring commands, by plain POSIX calls. */
#ifndef CMD_RING_FILE_H
#define CMD_RING_FILE_H

#include "base/error.h"
#include "base/slice.h"

enum { RING_FILE_BYTES_MAX = 1 << 30 };   /* The largest builder has 0.4 GB. */

/* The file's bytes, to free(). Fails with -errno, -E_LIMIT (too big) or -ENOMEM. */
int ring_file_read(const char *path, uint8_t **ret_data, size_t *ret_size, struct error *err);

/* Replaces the file at once: after a crash there is the old one or the new one,
 * whole. With 'fresh', fails with -EEXIST when there is a file already. */
int ring_file_write(const char *path, struct slice bytes, bool fresh, struct error *err);

/* Keeps other ring commands from editing the same file until the descriptor is
 * closed. Fails with -EBUSY or -errno. */
int ring_file_lock(const char *path, int *ret_fd, struct error *err);

#endif
