/* proxy/object/object.h - the object service: accounts, containers and objects,
 * beneath the Swift and S3 dialects. Knows nothing of HTTP, so that the
 * simulator calls it directly.
 *
 * Rows (storage/row.h). The account's shard id is a hash of its name; its rows,
 * on the widest index ring of the policies, are the containers: name ->
 * ContainerEntry {container id, policy}; row "" has the account's metadata. A
 * container's shard id is its id; the row "" of that shard is its configuration
 * (metadata, ACLs, state), the others are objects, on the index ring of its
 * policy. Counts and bytes of containers flow asynchronously to rows of two
 * statistics shards of the account (one sums bytes, one sums objects).
 *
 * Every object call names the configuration's ballot (struct shard.config), so
 * a changed ACL or a deleted container binds at once, though proxies cache
 * configurations. A call that meets a newer one fails with -E_STALE: the caller
 * drops its container (container_forget()), opens it again, authorises again and
 * repeats. A PUT repeats only its commit.
 *
 * A container's life (the configuration's state, each step a conditional write):
 *
 *   LIVE <--- not empty, or its deleter died --- SEALED --- listed empty ---> DEAD
 *      '------------- DELETE ----------------------^
 *
 * SEALED and DEAD refuse object writes at every replica. The move to DEAD is the
 * moment of deletion; removing the account's entry afterwards is clean-up that
 * whoever meets a dead container finishes.
 *
 * All calls run as tasks, on the scheduler's thread, with absolute deadlines.
 * Errors: -ENOENT, -E_CONFLICT, -E_CONDITION, -EDQUOT (quota), -ENOSPC (disks),
 * -E_UNSURE, -E_UNAVAILABLE, -ETIMEDOUT, and those of the rows and blobs. */
#ifndef PROXY_OBJECT_OBJECT_H
#define PROXY_OBJECT_OBJECT_H

#include "proto/object.pb-c.h"
#include "proxy/object/crypt_keys.h"
#include "storage/blob.h"

enum {
    ACCOUNT_NAME_MAX = 256, CONTAINER_NAME_MAX = 256, OBJECT_NAME_MAX = 1024,   /* Bytes, as Swift's. */
    META_NAME_MAX = 128, META_VALUE_MAX = 256, META_COUNT_MAX = 90, META_TOTAL_MAX = 4096,   /* As Swift's. */
    ACL_BYTES_MAX = 8192,
    CONTAINER_CACHE_MAX = 16384,         /* Configurations kept. */
    CONTAINER_SEAL_TIMEOUT_MS = 15000,   /* After that a sealed container's deleter counts as dead. */
    STATS_DELAY_MS = 1000,               /* Changes of a container are gathered before they flow to its account. */
    STATS_DIRTY_MAX = 65536,
    LIST_LIMIT_MAX = ROW_PAGE_MAX
};
/* As Swift's default: 5 GiB and 2 bytes. */
#define OBJECT_SIZE_MAX UINT64_C(5368709122)

struct object_service;

struct object_service_options {
    struct env         *env;
    struct row_client  *rows;
    struct blob_client *blobs;
    struct blob_directory directory;
    const struct policy *policies;       /* Borrowed for the service's life. */
    uint32_t             policy_count;
    /* The index ring of so many replicas (policy_row_replicas()); NULL when there is none. */
    const struct ring *(*index_ring)(void *ctx, uint8_t replicas);
    void              *index_ring_ctx;
    struct crypt_keys *keys;             /* Borrowed. NULL: no encryption by the service's own keys. */
    uint64_t           part_size_min;        /* 0: PART_SIZE_MIN. The simulator's are small. */
};
/* -EINVAL: no policies. -ENOMEM. */
int object_service_new(const struct object_service_options *options, struct object_service **ret_service,
                       struct error *err);
/* Accepts NULL. The tasks of env->group must have ended. */
struct object_service *object_service_free(struct object_service *service);
struct env *object_service_env(const struct object_service *service);
const struct policy *object_service_policy(const struct object_service *service, struct slice name);  /* Empty: the default. */
const struct policy *object_service_policy_at(const struct object_service *service, uint32_t i);      /* NULL past the end. */

/* --- Versions. ---
 *
 * The row "name" is the current version (which may be a delete marker); the row "\0v" name "\0" key, key = the
 * complement of the version, is a noncurrent one. A write to a container with versioning first copies the current
 * version to its noncurrent row and then replaces the head on the condition that it is unchanged. A noncurrent row
 * that has the head's version is that version itself, not another one; it goes only when its version is deleted for good. */
enum versioning { VERSIONING_OFF, VERSIONING_ENABLED, VERSIONING_SUSPENDED };
enum object_lock_mode { LOCK_NONE, LOCK_GOVERNANCE, LOCK_COMPLIANCE };
enum { VERSION_BYTES = 16, VERSION_TEXT_MAX = 32, DOCUMENT_BYTES_MAX = 32 * 1024, DOCUMENTS_BYTES_MAX = 96 * 1024 };
struct lock_config {
    enum object_lock_mode mode;          /* Default retention of new objects, for days or years; both 0: none. */
    uint32_t              days, years;
};
struct version_ref {
    bool    given;                       /* False: the current one. */
    bool    null_version;                /* "null": the one written without versioning. */
    uint8_t id[VERSION_BYTES];
};
/* From a client's text ("null", or 32 hex digits). -EINVAL. An empty text gives the current one. */
int          version_parse(struct slice text, struct version_ref *ret_version);
/* "null" or 32 hex digits, into 'text'. */
struct slice version_text(const Rs__ObjectMeta *meta, char text[VERSION_TEXT_MAX + 1]);

/* --- Changes of metadata: set, or remove when the value is empty. --- */
struct meta_change {
    struct slice name, value;   /* Name in lower case. */
};
struct config_changes {
    const struct meta_change *meta;
    uint32_t                  meta_count;
    const struct slice       *read_acl, *write_acl;   /* NULL: unchanged; empty: none. */
    const uint64_t           *quota_bytes;            /* Accounts only; NULL: unchanged; UINT64_MAX: none. */
    /* Containers only. Documents are a dialect's (policy, cors, ...): name and value, an empty value removes. */
    const struct meta_change *documents;
    uint32_t                  document_count;
    const enum versioning    *versioning;             /* NULL: unchanged. OFF only while it never was anything else. */
    const struct lock_config *lock;                   /* NULL: unchanged. Can't be switched off; needs and keeps versioning. */
    struct slice              domain;                 /* With container_create(): see bucket_claim(). */
};

/* --- Accounts. They exist as soon as somebody uses them. --- */
struct account {
    Rs__AccountConfig *config;   /* In the arena; never NULL. */
    uint64_t containers, objects, bytes;
};
WAITS int account_get(struct object_service *service, struct slice account, int64_t deadline, struct arena *arena,
                      struct account *ret_account, struct error *err);
/* -E_LIMIT when the result would pass META_COUNT_MAX or META_TOTAL_MAX. */
WAITS int account_update(struct object_service *service, struct slice account, const struct config_changes *changes,
                         int64_t deadline, struct arena *arena, struct error *err);

/* One page in byte order; the bounds are as struct row_range says. Reads at most range->limit; an arena that is
 * too small gives -ENOMEM (ask for less). */
struct container_item {
    struct slice name;
    bool         folded;
    uint64_t     count, bytes, modified_us;
    uint32_t     policy;
};
WAITS int account_list(struct object_service *service, struct slice account, const struct row_range *range,
                       int64_t deadline, struct arena *arena, struct container_item **ret_items, uint32_t *ret_count,
                       bool *ret_more, struct error *err);

/* --- Containers: shared, immutable, referenced. --- */
struct container {
    uint32_t             refs;
    struct slice         account, name;   /* Inside 'config'. */
    const struct policy *policy;
    struct shard         shard;           /* 'ring' is filled in by the service for each call. */
    Rs__ContainerConfig *config;
    uint64_t             quota_bytes, quota_count;   /* UINT64_MAX: none. From meta quota-bytes, quota-count. */
    bool                 dirty;               /* Its statistics are to flow to the account. */
    bool                 flowed;              /* They did, as the next two say. */
    uint64_t             flowed_count, flowed_bytes;
};
struct container *container_ref(struct container *container);
struct container *container_unref(struct container *container);   /* Accepts NULL; returns NULL. */

/* From the cache, or read when it is not there or 'fresh'. -ENOENT. '*ret_container' becomes the caller's. */
WAITS int container_open(struct object_service *service, struct slice account, struct slice name, bool fresh,
                         int64_t deadline, struct container **ret_container, struct error *err);
/* Drops this version from the cache. */
void container_forget(struct object_service *service, struct container *container);
/* Creates, or changes the metadata of the one that exists (*ret_created false; -E_CONFLICT when 'policy' is
 * given and another one was chosen before). 'policy' NULL: the default. */
WAITS int container_create(struct object_service *service, struct slice account, struct slice name,
                           const struct policy *policy, const struct config_changes *changes, int64_t deadline,
                           bool *ret_created, struct error *err);
WAITS int container_update(struct object_service *service, struct container *container,
                           const struct config_changes *changes, int64_t deadline, struct error *err);
/* -ENOENT; -E_CONFLICT: not empty, or somebody else is deleting it. */
WAITS int container_delete(struct object_service *service, struct slice account, struct slice name, int64_t deadline,
                           struct error *err);
/* --- Names of buckets: one name space per domain, beside the accounts' own lists of containers. --- */
/* Claims the name for the account, for good or until bucket_release(). -EEXIST: another account has it
 * (*ret_mine false) or this one has it already (*ret_mine true). Linearizable. */
WAITS int bucket_claim(struct object_service *service, struct slice domain, struct slice name, struct slice account,
                       int64_t deadline, bool *ret_mine, struct error *err);
/* Gives it back if the account has it. */
WAITS int bucket_release(struct object_service *service, struct slice domain, struct slice name, struct slice account,
                         int64_t deadline, struct error *err);
/* Which account has it; in the arena. -ENOENT. Answers of the last seconds are cached; 'fresh' asks again. */
WAITS int bucket_account(struct object_service *service, struct slice domain, struct slice name, bool fresh,
                         int64_t deadline, struct arena *arena, struct slice *ret_account, struct error *err);
/* The document of that name of a container's configuration; data NULL: it has none. */
struct slice container_document(const struct container *container, struct slice name);

WAITS int container_stats(struct object_service *service, struct container *container, int64_t deadline,
                          struct shard_stats *ret_stats, struct error *err);
/* Entries of live objects; entry->value->meta is a packed ObjectMeta. -E_STALE. */
WAITS int container_list(struct object_service *service, struct container *container,
                         const struct row_range *range, int64_t deadline, struct arena *arena,
                         struct row_page *ret_page, struct error *err);

/* --- Objects: reading. --- */
struct object {
    Rs__RowValue   *value;      /* In the arena. */
    Rs__ObjectMeta *meta;       /* In the arena. */
    uint64_t        size;       /* As clients see it: of all parts, decrypted. value->size are the stored bytes. */
    struct ballot   ballot;
    uint8_t         shard[SHARD_ID_BYTES];   /* Of its container, whose policy ... */
    const struct policy *policy;             /* ... says which index ring has it. */
    struct slice    name;       /* Of an encrypted object; in the arena. */
    /* For bytes that a customer's key encrypts: whoever opens them sets it. Borrowed until the body is open. */
    const struct crypt_key *customer_key;
};
/* -ENOENT (also when expired); -E_STALE. */
WAITS int object_read(struct object_service *service, struct container *container, struct slice name,
                      enum row_want want, int64_t deadline, struct arena *arena, struct object *ret_object,
                      struct error *err);

/* A version. -ENOENT: there is none, or it is a delete marker: then *ret_object is filled nevertheless (meta not NULL),
 * for x-amz-delete-marker and the version id. object_read() does the same with the current version. */
WAITS int object_read_version(struct object_service *service, struct container *container, struct slice name,
                              const struct version_ref *version, enum row_want want, int64_t deadline,
                              struct arena *arena, struct object *ret_object, struct error *err);
/* Bytes as a client sees them: of all parts, decrypted; a Swift manifest's own bytes. */
uint64_t object_size(const struct object *object);
/* The same for a listing's entry: 'stored' is its row's size. */
uint64_t object_size_of(const Rs__ObjectMeta *meta, uint64_t stored);

/* Versions and delete markers in the order of names, of one name the newest first; folded as container_list()
 * does. Starts after (after, after_version); after_version empty: after all versions of that name. */
struct version_item {
    struct slice    name;
    bool            folded, current;
    uint64_t        stored;       /* Bytes of the row. */
    Rs__ObjectMeta *meta;         /* NULL when folded. */
};
struct version_page {
    struct version_item *items;
    uint32_t             count;
    bool                 more;
};
struct version_range {
    struct slice after;
    bool         after_version_given;
    struct version_ref after_version;
    struct slice prefix, delimiter;
    uint32_t     limit;
};
WAITS int object_list_versions(struct object_service *service, struct container *container,
                               const struct version_range *range, int64_t deadline, struct arena *arena,
                               struct version_page *ret_page, struct error *err);

/* For protobuf-c messages in arenas. */
ProtobufCAllocator arena_allocator_of(struct arena *arena);
/* The ETag as clients see it: hex of the MD5 (into 'hex'), or the manifest's. */
void object_etag(const Rs__ObjectMeta *meta, char hex[33], struct slice *ret_tag);

/* Bytes [offset, offset + size) of an object read with ROW_FULL. Zero-initialise; close always. */
struct object_body {
    struct object_service *service;
    const struct object   *object;     /* Borrowed until the close. */
    struct blob_reader    *reader;
    struct unseal         *unseal;     /* Of encrypted bytes. */
    uint64_t               at, end, window_end;   /* In the stored bytes. */
    int64_t                deadline, renew;
    struct slice           inline_rest;
    struct buf_part        part;
    struct arena           table;      /* Of a multipart object: its part table. */
    Rs__Extent *const     *extents;
    size_t                 extent_count;
};
/* -E_UNAUTHORIZED: encrypted by a customer's key that object->customer_key is not. */
WAITS int  object_body_open(struct object_service *service, const struct object *object, uint64_t offset,
                            uint64_t size, int64_t deadline, struct object_body *ret_body, struct error *err);
/* The next bytes, borrowed until the next call; empty: the end. */
WAITS int  object_body_next(struct object_body *body, struct slice *ret_bytes, struct error *err);
WAITS void object_body_close(struct object_body *body);

/* --- Objects: writing. --- */
enum { CONDITION_TAGS_MAX = 32 };
/* Judged on the current row, atomically with the write. ETags are 32 hex digits, or as a manifest has it. */
struct object_condition {
    bool         must_be_missing;        /* If-None-Match: * */
    bool         must_exist;             /* If-Match: * */
    uint32_t     match_count, none_match_count;
    struct slice match[CONDITION_TAGS_MAX], none_match[CONDITION_TAGS_MAX];
    bool         size_given, modified_given;     /* The object's size, its time in whole seconds. */
    uint64_t     size;
    int64_t      modified_s;
};
static inline bool object_condition_empty(const struct object_condition *c)
{
    return !c || (!c->must_be_missing && !c->must_exist && c->match_count == 0 && c->none_match_count == 0 &&
                  !c->size_given && !c->modified_given);
}

struct object_put;
/* 'size': bytes to come, UINT64_MAX when unknown. Name and container are borrowed until the put is freed.
 * -EDQUOT: the announced size passes a quota. -E_LIMIT: larger than OBJECT_SIZE_MAX. */
WAITS int object_put_new(struct object_service *service, struct container *container, struct slice name,
                         uint64_t size, int64_t deadline, struct arena *arena, struct object_put **ret_put,
                         struct error *err);
/* Where the next bytes of the body go (no room: all announced ones are there). Then 'n' of them were filled. */
int object_put_room(struct object_put *put, uint8_t **ret_data, size_t *ret_capacity, struct error *err);
WAITS int object_put_filled(struct object_put *put, size_t n, struct error *err);
WAITS int object_put_bytes(struct object_put *put, struct slice bytes, struct error *err);   /* Room, copy, filled. */
/* Waits until the bytes are durable (unless they go inline) and hashed. */
WAITS int object_put_end(struct object_put *put, struct error *err);
uint64_t object_put_size(const struct object_put *put);
const uint8_t *object_put_md5(const struct object_put *put);   /* 16 bytes, after the end. */
/* Makes the object visible. Fills meta->etag and, when 0, meta->modified_us. May be repeated with a fresh container after -E_STALE.
 * -E_CONDITION. After -E_UNSURE the object may be there. */
WAITS int object_put_commit(struct object_put *put, struct container *container, Rs__ObjectMeta *meta,
                            uint64_t expires_s, const struct object_condition *condition, int64_t deadline,
                            struct error *err);
WAITS struct object_put *object_put_free(struct object_put *put);   /* Accepts NULL. Without a commit, forgets the bytes. */

/* Before the first byte: the bytes are stored encrypted (crypt.h). Objects of a container whose configuration says so
 * (container_encrypts()), and parts of an upload that was begun so, need no call: they are, by the service's keys. The
 * customer's key is not kept. -ENOTSUP: the service has no keys; -EINVAL: too late, no key, or not as the upload was begun. */
struct put_encryption {
    enum encryption_kind    kind;            /* ENCRYPTION_S3 or ENCRYPTION_CUSTOMER. */
    const struct crypt_key *customer_key;    /* Borrowed for the call. */
};
int object_put_encrypt(struct object_put *put, const struct put_encryption *encryption, struct error *err);
/* Does its document "encryption" ask for the service's keys? */
bool container_encrypts(const struct container *container);

/* Before the first byte: one more checksum is computed beside the MD5 (checksum.h). After the end: its bytes. */
int          object_put_checksum(struct object_put *put, uint32_t checksum_kind, struct error *err);
struct slice object_put_checksum_value(const struct object_put *put);

/* --- Multipart uploads. Parts may be sent again and in any order; the parts that complete names win, the others go
 * with their upload. Every call may be repeated and raced; see upload.c for the protocol. --- */
enum {
    UPLOAD_ID_BYTES = 16, PART_NUMBER_MAX = 10000, PART_SUFFIX_BYTES = 12,
    PART_SIZE_MIN = 5 * 1024 * 1024,            /* But for the last one. */
    UPLOAD_TABLE_BYTES_MAX = 8 * 1024 * 1024
};
#define UPLOAD_SIZE_MAX (UINT64_C(5) << 40)
struct upload_row {
    Rs__Upload   *upload;         /* In the arena. */
    struct slice  name;           /* Of the object. */
    uint8_t       id[UPLOAD_ID_BYTES];
    struct ballot ballot;
};
/* 'meta': what the object will have; etag, times and version are filled in at completion. meta->encryption is made by
 * upload_encryption(), or, when it is missing and container_encrypts(), here. */
WAITS int upload_create(struct object_service *service, struct container *container, struct slice name,
                        const Rs__Upload *upload, int64_t deadline, struct arena *arena,
                        uint8_t ret_id[UPLOAD_ID_BYTES], struct error *err);
/* What meta->encryption of an upload says: in the arena. Errors as of object_put_encrypt(). */
int upload_encryption(struct object_service *service, const struct put_encryption *encryption, struct arena *arena,
                      Rs__Encryption **ret_record, struct error *err);
/* -ENOENT: never begun, aborted or completed. */
WAITS int upload_read(struct object_service *service, struct container *container, struct slice name,
                      const uint8_t id[UPLOAD_ID_BYTES], int64_t deadline, struct arena *arena,
                      struct upload_row *ret_upload, struct error *err);
/* A put whose object_put_commit() makes a part: only 'part' of the commit is used. */
WAITS int upload_put_new(struct object_service *service, struct container *container, const struct upload_row *upload,
                         uint32_t number, uint64_t size, int64_t deadline, struct arena *arena,
                         struct object_put **ret_put, struct error *err);
WAITS int upload_put_commit(struct object_put *put, struct container *container, Rs__Part *part, int64_t deadline,
                            struct error *err);
/* The newest of each number, ascending, from 'after' (exclusive). */
struct part_item {
    uint32_t  number;
    Rs__Part *part;
};
WAITS int upload_list_parts(struct object_service *service, struct container *container,
                            const uint8_t id[UPLOAD_ID_BYTES], uint32_t after, uint32_t limit, int64_t deadline,
                            struct arena *arena, struct part_item **ret_items, uint32_t *ret_count, bool *ret_more,
                            struct error *err);
/* Uploads in the order of names, then ids (which begin with their time). Folded ones have upload NULL. */
struct upload_item {
    struct slice name;
    bool         folded;
    uint8_t      id[UPLOAD_ID_BYTES];
    Rs__Upload  *upload;
};
WAITS int upload_list(struct object_service *service, struct container *container, struct slice after,
                      const uint8_t *after_id /* or NULL: after all of that name */, struct slice prefix, struct slice delimiter, uint32_t limit,
                      int64_t deadline, struct arena *arena, struct upload_item **ret_items, uint32_t *ret_count,
                      bool *ret_more, struct error *err);
/* Makes the object of these parts, ascending. -ENOENT: no such upload (aborted, or completed and since replaced);
 * -E_CONDITION; -EINVAL and *ret_wrong: a part that is not there or has another ETag or checksum; -E_LIMIT and *ret_wrong:
 * one but the last is smaller than PART_SIZE_MIN. Repeated after success it succeeds again with the same object. */
struct complete_part {
    uint32_t     number;
    uint8_t      etag[16];
    struct slice checksum;        /* Raw; empty: not given. */
};
struct complete_request {
    const struct complete_part    *parts;
    uint32_t                       count;
    const struct object_condition *condition;
    /* Of the whole object, when the caller knows it: compared with what the parts give. */
    struct slice                   checksum;
    uint64_t                       size;         /* UINT64_MAX: not given. */
};
WAITS int upload_complete(struct object_service *service, struct container *container, struct slice name,
                          const uint8_t id[UPLOAD_ID_BYTES], const struct complete_request *request, int64_t deadline,
                          struct arena *arena, Rs__ObjectMeta **ret_meta, uint32_t *ret_wrong, struct error *err);
/* -ENOENT: aborted, or completed, before. */
WAITS int upload_abort(struct object_service *service, struct container *container, struct slice name,
                       const uint8_t id[UPLOAD_ID_BYTES], int64_t deadline, struct error *err);
/* The part table of a completed multipart object (meta->upload set), for partNumber reads and attributes. */
WAITS int object_parts(struct object_service *service, const struct object *object, int64_t deadline,
                       struct arena *arena, Rs__PartTable **ret_table, struct error *err);

/* Deletes a version for good, or, when none is given, the object: with versioning that adds a delete marker.
 * -ENOENT: it was not there (but a marker is added all the same: then 0). -E_CONDITION; -EPERM: object lock holds it. */
struct object_deletion {
    struct version_ref             version;
    const struct object_condition *condition;    /* NULL: none. Size and time conditions too, see below. */
    bool                           bypass_governance;
};
struct object_deleted {
    bool            marker;       /* A marker was made, or was what got deleted. */
    Rs__ObjectMeta *meta;         /* Its version, in the arena; NULL when there was no version. */
};
WAITS int object_delete_version(struct object_service *service, struct container *container, struct slice name,
                                const struct object_deletion *deletion, int64_t deadline, struct arena *arena,
                                struct object_deleted *ret_deleted, struct error *err);

/* Changes an object's row without its bytes. 'edit' may be called several times; it alters *meta (its arrays are to
 * be replaced, not written into) and *expires_s. -ENOENT. */
typedef int (*object_edit)(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s);
WAITS int object_update(struct object_service *service, struct container *container, struct slice name,
                        object_edit edit, void *ctx, int64_t deadline, struct arena *arena, struct error *err);
/* The same for a version. */
WAITS int object_update_version(struct object_service *service, struct container *container, struct slice name,
                                const struct version_ref *version, object_edit edit, void *ctx, int64_t deadline,
                                struct arena *arena, Rs__ObjectMeta **ret_meta, struct error *err);
/* --- For garbage collection on nodes that have no object service (storage/gc.h). --- */
/* Does some row name this extent? 'name': the row that named it, or was to. */
WAITS int object_rows_name(struct row_client *rows, const struct shard *shard, struct slice name,
                           const Rs__Extent *extent, int64_t deadline, bool *ret_named);
/* The prefix of all rows that may inherit what the row of that name names; its size, 0: there are none. */
size_t object_row_heirs(struct slice name, uint8_t prefix[ROW_NAME_MAX]);
/* The row is due: it goes, or a delete marker takes its place; iff its ballot is still this one. 'service' NULL: rows
 * of containers with versioning are left to a node that has one (-EAGAIN). */
WAITS int object_expire(struct object_service *service, struct row_client *rows, const struct shard *shard,
                        struct slice name, struct ballot ballot, int64_t deadline);

/* -ENOENT: it was not there. With versioning a delete marker takes its place. */
WAITS int object_delete(struct object_service *service, struct container *container, struct slice name,
                        int64_t deadline, struct error *err);

#endif
