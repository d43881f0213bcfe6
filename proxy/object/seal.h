/* proxy/object/seal.h - inside of the object service: encrypting bytes on their way in, and opening them on their way
 * out. crypt.h has the format; docs/formats/encryption.md the layout.
 *
 * Loop thread; more than a little is sealed and opened on workers while the task waits. */
#ifndef PROXY_OBJECT_SEAL_H
#define PROXY_OBJECT_SEAL_H

#include "proxy/object/service.h"

enum {
    SEAL_FRAMES = 15,                  /* At a time: the sealed frames fit in a buffer of 1 MiB. */
    SEAL_ON_LOOP_MAX = 32 * 1024,      /* Less than what a worker's hand-over costs. */
    SEAL_CONTEXT_MAX = SHARD_ID_BYTES + UPLOAD_ID_BYTES + 4 + OBJECT_NAME_MAX
};

/* What a data key is bound to: the container's shard, the upload (zeroes: none), the part's number (0: none) and
 * the object's name. Its versions share it, as they carry their record from row to row. */
struct seal_context {
    uint8_t bytes[SEAL_CONTEXT_MAX];
    size_t  size;
};
struct slice seal_context(struct seal_context *ret, const uint8_t shard[SHARD_ID_BYTES], const uint8_t *upload_or_null,
                          uint32_t part, struct slice name);

/* --- In. --- */
struct seal {
    struct env      *env;
    struct crypt_key key;
    Rs__Encryption   record;           /* Its bytes are in the arena. */
    uint64_t         frame;            /* Number of the next one. */
    struct buf      *waiting;          /* Whether the object ends with it is not known yet. */
    uint32_t         waiting_size;
};
/* In the arena. -ENOTSUP: no master keys; -EINVAL: no customer's key. */
int  seal_new(struct object_service *s, const struct put_encryption *encryption, struct slice context,
              struct arena *arena, struct seal **ret_seal, struct error *err);
/* References the buffer, which has whole frames unless it is the last one. The bytes go to the writer when the next
 * ones come, or at the end. */
WAITS int seal_add(struct seal *seal, struct blob_writer *writer, struct buf *buf, uint32_t size, struct error *err);
WAITS int seal_end(struct seal *seal, struct blob_writer *writer, struct error *err);
/* The whole object at once, at most ROW_INLINE_MAX plain bytes. '*ret_buf' becomes the caller's. */
int  seal_inline(struct seal *seal, const struct buf *buf, uint32_t size, struct buf **ret_buf, struct error *err);
void seal_done(struct seal *seal);     /* Wipes the key. Accepts NULL. */

/* --- Out. --- */
struct unseal;
/* Bytes as they are stored; empty: the end. Borrowed until the next call. */
typedef WAITS int (*unseal_source)(void *ctx, struct slice *ret_bytes, struct error *err);
/* For plain bytes [offset, offset + size) of the object, size > 0; 'table' NULL: it has no parts. The source is to
 * give stored bytes [*ret_first, *ret_first + *ret_size). Borrows object and table. -E_UNAUTHORIZED: the customer's
 * key is missing or another one. */
WAITS int unseal_new(struct object_service *s, const struct object *object, const Rs__PartTable *table, uint64_t offset,
                     uint64_t size, struct unseal **ret_unseal, uint64_t *ret_first, uint64_t *ret_size,
                     struct error *err);
/* The next plain bytes, borrowed until the next call; empty: the end. */
WAITS int unseal_next(struct unseal *unseal, unseal_source source, void *ctx, struct slice *ret_bytes,
                      struct error *err);
struct unseal *unseal_free(struct unseal *unseal);   /* Accepts NULL. */

#endif
