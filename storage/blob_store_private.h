/* storage/blob_store_private.h - what blob_store.c, blob_index.c, blob_stored.c, blob_scan.c and
 * blob_compact.c share. */
#ifndef STORAGE_BLOB_STORE_PRIVATE_H
#define STORAGE_BLOB_STORE_PRIVATE_H

#include "storage/blob_store.h"

enum { OPEN_BUCKETS = 1024, INDEX_KEY_BYTES = 22, INDEX_VALUE_BYTES = 16 };

enum chunk_state { CHUNK_ABSENT, CHUNK_WRITING, CHUNK_DONE };

struct open_chunk {
    struct volume   *volume;     /* Pinned and referenced. */
    uint64_t         position;
    uint32_t         bytes;
    enum chunk_state state;
};

/* A fragment that is being written. */
struct open_blob {
    struct open_blob  *next;             /* In its bucket. */
    struct open_blob  *all_next, *all_prev;
    uint8_t            blob[16];
    uint8_t            fragment;
    bool               forgotten;        /* Deleted meanwhile: freed when the last user leaves. */
    uint32_t           users;            /* Calls that hold it. */
    uint32_t           writing;
    uint32_t           count;            /* Slots of 'chunk'. */
    struct open_chunk *chunk;            /* By segment. */
    uint32_t           first_volume;     /* Its lowest place: the checkpoint stays before it. */
    uint64_t           first_position;
    int64_t            used_at;
    struct waitq       q;                /* Writers that end. */
};

struct blob_store {
    struct device    *device;
    struct env       *env;
    char              dir[ENV_PATH_MAX];
    uint64_t          volume_bytes;
    struct volume   **volume;            /* Sorted by number. */
    uint32_t          volumes, volumes_capacity;
    struct volume    *active;            /* NULL: none yet. */
    bool              rolling;
    struct waitq      roll_q;
    struct credit     index_lock;        /* Read-then-write of index entries. */
    struct open_blob *bucket[OPEN_BUCKETS];
    struct open_blob *open_first;
    uint32_t          open_count;
    uint64_t          unflushed;         /* Bytes indexed since the last flush. */
    bool              flushing, closing;
    uint32_t          tasks;             /* Of this store, running. */
    struct waitq      close_q;
    struct task      *closer;            /* Waits for them. */
};

/* Where the index says that a chunk is. */
struct place {
    uint32_t volume;
    uint64_t position;
    uint32_t bytes;
};

void index_key(const struct chunk_id *id, uint8_t out[INDEX_KEY_BYTES]);
int  index_key_decode(struct slice key, struct chunk_id *ret_id);
void place_encode(const struct place *place, uint8_t out[INDEX_VALUE_BYTES]);
int  place_decode(struct slice value, struct place *ret_place);
WAITS int index_get(struct blob_store *store, const struct chunk_id *id, struct place *ret_place);   /* -ENOENT */
static inline bool place_is(const struct place *p, const struct volume *v, uint64_t position)
{
    return p->volume == v->header.number && p->position == position;
}

/* Batch entries: chunk -> place, and what goes with every change. */
int  batch_put_place(struct kv_batch *batch, const struct chunk_id *id, const struct place *place);
int  batch_put_live(struct kv_batch *batch, const struct volume *volume);
int  batch_put_checkpoint(struct blob_store *store, struct kv_batch *batch);

WAITS int  index_lock(struct blob_store *store);
void       index_unlock(struct blob_store *store);

struct volume *store_volume(const struct blob_store *store, uint32_t number);   /* NULL. */
int            store_volume_add(struct blob_store *store, struct volume *volume);   /* Takes the reference. */
void           store_volume_remove(struct blob_store *store, struct volume *volume);   /* Gives it back. */
/* Seals the active volume and begins a new one. Not while store->rolling. */
WAITS int      store_roll(struct blob_store *store);
/* A place for a record, in the active volume or a new one. The volume is referenced for the caller. */
WAITS int      store_reserve(struct blob_store *store, uint32_t bytes, struct volume **ret_volume,
                             uint64_t *ret_position);
/* Takes the device out of service when 'rc' says that it is broken; returns 'rc'. */
int            store_check(struct blob_store *store, int rc, const char *what, const struct volume *volume,
                           uint64_t position);

WAITS int blob_store_scan(struct blob_store *store, struct error *err);   /* blob_scan.c */
WAITS void blob_store_maintain(void *arg);                                /* blob_compact.c: the store's task. */
void      store_task_ends(struct blob_store *store);
void      open_blobs_expire(struct blob_store *store);
/* What is being written of the blob becomes dead space. */
void      open_blob_drop(struct blob_store *store, const uint8_t blob[16]);
static inline int store_in_service(const struct blob_store *store)
{
    return store->device->state == DEVICE_FAILED ? -E_DEVICE : 0;
}

#endif
