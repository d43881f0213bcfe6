/* proxy/object/version.h - inside of the object service: the current version of a name (its head), and how one
 * value takes another's place when versions are kept. docs/decisions/0007-versions-and-uploads.md has the reasons.
 *
 * ENABLED, SUSPENDED: a head is replaced only on the condition that its ballot is the one that was read. If its version
 * is to be kept, its value is written to the version's own row first.
 *
 * Deleting the version that is the head:
 *
 *   HEAD k --- marked dying, on its ballot ---> DYING k --- row of k erased, then ---> HEAD newest other version,
 *                                                                                      or none
 *
 * A dying head still reads as k. Whoever wants to change the name finishes the deletion first, so nothing is archived
 * from it; and an erased row of a version says for good that this version was, or is to be, deleted. */
#ifndef PROXY_OBJECT_VERSION_H
#define PROXY_OBJECT_VERSION_H

#include "proxy/object/service.h"

enum {
    VERSION_TRIES_MAX = 24,          /* Of one change against others of the same name. */
    /* A change is given up so long after it read the head. Far below the age at which tombstones are purged
     * (GC_PURGE_AGE_MS): a slow one must still meet the tombstone of the version that it would archive. */
    VERSION_STEP_MS = 30000
};

/* A container's shard while a call works on one name of it. */
struct name_work {
    struct object_service *service;
    struct container      *container;
    struct held            held;
    struct slice           name;
    int64_t                deadline;
    struct arena           arena;        /* Of one try. */
};
WAITS int  work_begin(struct name_work *w, struct object_service *s, struct container *c, struct slice name,
                      int64_t deadline, struct error *err);
void       work_end(struct name_work *w);
/* Before another try: waits a little and empties the arena. -E_UNAVAILABLE: too many. */
WAITS int  work_again(struct name_work *w, int tries, struct error *err);
/* What a caller is told: a sealed container is looked at anew a little later. */
WAITS int  gone_is_stale(int rc);

struct head {
    struct row_state row;
    Rs__ObjectMeta  *meta;       /* NULL unless row.exists. */
    bool             present;    /* An object for readers: no marker, not expired. */
    int64_t          read_at;    /* env_now() */
};
WAITS int head_read(struct name_work *w, enum row_want want, struct head *ret_head, struct error *err);
/* The same after finishing a deletion of its version that is under way. */
WAITS int head_settled(struct name_work *w, struct head *ret_head, struct error *err);
/* Puts 'value' (with this metadata) in the head's place. -EAGAIN: it is another one by now. */
WAITS int head_swap(struct name_work *w, const struct head *head, Rs__RowValue *value, Rs__ObjectMeta *meta,
                    struct error *err);

/* The same of another row, read as 'head' is. */
WAITS int head_swap_row(struct name_work *w, struct slice name, const struct head *head, Rs__RowValue *value,
                        Rs__ObjectMeta *meta, struct error *err);

bool meta_is_null(const Rs__ObjectMeta *meta);
/* The version's key, also of what was written without versioning. */
void meta_key(const Rs__ObjectMeta *meta, uint8_t key[VERSION_BYTES]);
bool version_is(const Rs__ObjectMeta *meta, const struct version_ref *version);
/* The row of a noncurrent version ('version' is given); false: there is none. */
bool version_row(const struct head *head, struct slice name, const struct version_ref *version, struct row_name *row,
                 struct slice *ret_name);
bool value_expired(struct object_service *s, const Rs__RowValue *value);

/* Gives 'meta' its version, after the head's; 'version' is where its bytes are kept. */
void version_stamp(struct name_work *w, const struct head *head, Rs__ObjectMeta *meta, uint8_t version[VERSION_BYTES]);
/* Replaces the head by a new version, keeping what is to be kept. -EAGAIN: begin again. */
WAITS int version_replace(struct name_work *w, const struct head *head, Rs__RowValue *value, Rs__ObjectMeta *meta,
                          struct error *err);
/* After an archived null version was missed: has the head changed, so that another one may be the null version? -EAGAIN. */
WAITS int null_missed(struct name_work *w, const struct head *head, struct error *err);
/* Ends the deletion of a dying head. 0 also when somebody else did. */
WAITS int version_finish_dying(struct name_work *w, const struct head *head, struct error *err);

/* Judges; -E_CONDITION. 'meta' may be NULL when it is not 'present'. */
int condition_judge(const struct object_condition *condition, bool present, const Rs__ObjectMeta *meta,
                    uint64_t size, struct error *err);
/* -EPERM: object lock forbids to delete it. */
int lock_check_delete(struct object_service *s, const Rs__ObjectMeta *meta, bool bypass_governance,
                      struct error *err);
/* -EPERM: object lock forbids the change. */
int lock_check_edit(struct object_service *s, uint32_t mode, uint64_t until_us, const Rs__ObjectMeta *after,
                    struct error *err);
/* The container's default retention, unless the object brings its own. */
void lock_default(const struct container *c, Rs__ObjectMeta *meta);

/* The upload that made this object is over: its row goes before the object may be replaced (upload.c). */
WAITS int upload_settle(struct name_work *w, const Rs__ObjectMeta *meta, struct error *err);

#endif
