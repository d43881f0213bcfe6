/* sim/disk.h - a disk that forgets what was not synced, tears, rots and fills up.
 *
 * Content is kept in pages of 4 KiB, twice: as programs see it now, and as it is
 * for sure after a power cut. Between the two lies chance: at a cut each unsynced
 * page is kept, lost, or torn at a 512-byte sector; changes of a directory that
 * were not synced survive as a prefix of their order. A killed process alone
 * loses nothing. No I/O, no time: the env above adds those. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "base/env.h"
#include "base/rng.h"

enum { DISK_PAGE_BYTES = 4096, DISK_SECTOR_BYTES = 512 };

struct disk;
struct inode;

struct disk *disk_new(struct rng rng, uint64_t capacity_bytes);
struct disk *disk_free(struct disk *disk);

/* Paths are relative and without "." parts; their directories must exist, but for the root "". */
int  disk_open(struct disk *disk, const char *path, int flags, struct inode **ret_inode);   /* A reference. */
void disk_close(struct disk *disk, struct inode *inode);
int  disk_mkdir(struct disk *disk, const char *path);
int  disk_rename(struct disk *disk, const char *from, const char *to);
int  disk_unlink(struct disk *disk, const char *path);
int  disk_list(struct disk *disk, const char *path, struct env_entry **ret_entries, uint32_t *ret_count);
int  disk_sync_dir(struct disk *disk, const char *path);

int      inode_read(struct disk *disk, struct inode *inode, void *data, size_t size, uint64_t offset, size_t *ret_size);
int      inode_write(struct disk *disk, struct inode *inode, const void *data, size_t size, uint64_t offset);
void     inode_sync(struct disk *disk, struct inode *inode);
void     inode_sync_range(struct disk *disk, struct inode *inode, uint64_t offset, uint64_t size);
/* A sync that failed: of each unsynced page, chance says whether it reached the
 * disk, was dropped, or is still seen but will never be written. */
void     inode_sync_failed(struct disk *disk, struct inode *inode);
int      inode_allocate(struct disk *disk, struct inode *inode, uint64_t offset, uint64_t size);
int      inode_truncate(struct disk *disk, struct inode *inode, uint64_t size);
uint64_t inode_size(const struct inode *inode);

/* The power fails: programs will see what survived. No file may be written meanwhile
 * by the dead; their inodes stay valid for disk_close(). */
void disk_power_cut(struct disk *disk);
/* A directory that is there for sure, as if made long ago. */
void disk_mount(struct disk *disk, const char *path);
/* Everything is gone: a new disk in the same slot. */
void disk_wipe(struct disk *disk);
/* Spoils a random written page of a file whose path contains 'part' (NULL: any):
 * reads fail, or one bit is flipped. False when there is none. */
bool disk_lose_sector(struct disk *disk, const char *part);
bool disk_rot(struct disk *disk, const char *part);

uint64_t disk_used(const struct disk *disk);
uint64_t disk_capacity(const struct disk *disk);
void     disk_set_capacity(struct disk *disk, uint64_t bytes);

/* State that others keep with the disk (the index of kv_sim). */
struct disk_extra {
    struct disk_extra *next;
    char               path[ENV_PATH_MAX];
    void             (*free)(struct disk_extra *extra);
    void             (*crash)(struct disk_extra *extra, struct rng *rng);   /* Process or machine ended. */
};
struct disk_extra *disk_extra_find(struct disk *disk, const char *path);
void               disk_extra_add(struct disk *disk, struct disk_extra *extra);
void               disk_extras_crash(struct disk *disk);

#endif
