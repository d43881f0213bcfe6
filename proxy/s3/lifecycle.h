/* proxy/s3/lifecycle.h - lifecycle rules of a bucket: read, written, and what is due by them.
 *
 * Reading and judging are pure: the caller lists objects, versions and uploads, asks about each, and acts. Times are
 * microseconds since 1970, UTC. S3 user guide, "Lifecycle configuration elements". */
#ifndef PROXY_S3_LIFECYCLE_H
#define PROXY_S3_LIFECYCLE_H

#include "proto/object.pb-c.h"
#include "proxy/s3/xml.h"

enum {
    LIFECYCLE_RULES_MAX = 1000, LIFECYCLE_ID_MAX = 255, LIFECYCLE_PREFIX_MAX = 1024,   /* Bytes. */
    LIFECYCLE_TAGS_MAX = 10,                   /* Of a rule: an object has no more. */
    LIFECYCLE_TRANSITIONS_MAX = 16,            /* Of a rule, each kind. */
    LIFECYCLE_DAYS_MAX = 0x7fffffff, LIFECYCLE_NEWER_MAX = 100, LIFECYCLE_CLASS_MAX = 64,
    LIFECYCLE_DAY_S = 86400                    /* Tests shorten the day. */
};

struct lifecycle_tag {
    struct slice key, value;
};

struct lifecycle_move {                        /* A transition to another storage class. */
    bool         has_date;
    uint32_t     days;                         /* Without a date. */
    uint64_t     date_us;
    uint32_t     newer;                        /* Noncurrent only: that many are left alone; 0: none. */
    struct slice storage_class;
};

struct lifecycle_rule {
    struct slice id;                           /* Unique; made up when the client gave none. */
    bool         enabled;
    /* Which objects: all of these. */
    bool         filter;                       /* The document had <Filter>, not the old <Prefix>. */
    bool         has_prefix, has_greater, has_less;
    struct slice prefix;
    struct lifecycle_tag *tags;
    uint32_t     tag_count;
    uint64_t     greater, less;                /* Sizes in bytes, both exclusive. */
    /* What: those that are there. */
    uint32_t     expire_days;                  /* 0: none. */
    bool         has_expire_date, has_expire_marker, expire_marker;
    uint64_t     expire_date_us;
    uint32_t     noncurrent_days;              /* 0: none. */
    uint32_t     noncurrent_newer;             /* That many noncurrent versions are kept anyway. */
    uint32_t     abort_days;                   /* 0: none. */
    struct lifecycle_move *moves, *noncurrent_moves;
    uint32_t     move_count, noncurrent_move_count;
};

struct lifecycle {
    struct lifecycle_rule *rules;
    uint32_t               rule_count;
};

/* A LifecycleConfiguration. S3_MALFORMED_XML (schema, status, filter), S3_INVALID_ARGUMENT (ids, days, dates),
 * S3_INVALID_REQUEST (what does not go together; no action), -ENOMEM. Storage classes are checked for their form only:
 * the caller knows which there are. */
int lifecycle_parse(struct arena *arena, struct slice document, struct lifecycle **ret_lifecycle,
                    struct error *err);
void lifecycle_write(struct text *t, const struct lifecycle *lifecycle);

enum lifecycle_kind {
    LIFECYCLE_CURRENT,
    LIFECYCLE_NONCURRENT,      /* Delete markers that were replaced, too. */
    LIFECYCLE_MARKER,          /* A current delete marker. */
    LIFECYCLE_UPLOAD
};

struct lifecycle_subject {
    enum lifecycle_kind         kind;
    struct slice                name;
    uint64_t                    size;          /* Bytes, as clients see them. */
    Rs__MetaItem *const        *tags;          /* As ObjectMeta has them. */
    size_t                      tag_count;
    uint64_t                    since_us;      /* When it was written, began, or (noncurrent) was replaced. */
    uint32_t                    newer;         /* Noncurrent: noncurrent versions of the object that are newer. */
    bool                        alone;         /* Marker: there are no other versions of the object. */
    struct slice                storage_class; /* Empty: STANDARD. */
};

enum lifecycle_what {
    LIFECYCLE_NOTHING,
    LIFECYCLE_EXPIRE,          /* A current version: delete as a client does, which may leave a marker. */
    LIFECYCLE_REMOVE,          /* A noncurrent version or a lone marker: delete that version for good. */
    LIFECYCLE_ABORT,           /* An upload. */
    LIFECYCLE_MOVE             /* To 'storage_class'. */
};

struct lifecycle_due {
    enum lifecycle_what          what;
    uint64_t                     at_us;        /* When it is or was due. */
    const struct lifecycle_rule *rule;
    struct slice                 storage_class;
};

/* What is due now. Deleting goes before moving; of several moves the one that is due last counts. With a day of
 * 86400 s times are rounded up to midnight UTC. Object lock is the caller's concern. */
void lifecycle_judge(const struct lifecycle *lifecycle, const struct lifecycle_subject *subject, uint64_t now_us,
                     uint32_t day_s, struct lifecycle_due *ret);

/* When the current version will expire, for x-amz-expiration; false: never. The value of that header, in the arena
 * (NULL: memory is out). */
bool lifecycle_expiry(const struct lifecycle *lifecycle, const struct lifecycle_subject *subject,
                      uint32_t day_s, struct lifecycle_due *ret);
const char *lifecycle_expiry_text(struct arena *arena, const struct lifecycle_due *due);
/* When an upload will be aborted, for x-amz-abort-date and x-amz-abort-rule-id; false: never. */
bool lifecycle_abort(const struct lifecycle *lifecycle, const struct lifecycle_subject *subject,
                     uint32_t day_s, struct lifecycle_due *ret);

#endif
