/* sim/s3_common.h - what the workloads of S3's objects share: values whose every byte follows from an id, containers by
 * key, calls that are repeated when a configuration changed. */
#ifndef SIM_S3_COMMON_H
#define SIM_S3_COMMON_H

#include "proxy/object/object.h"
#include "sim/scenario.h"

enum { S3_STEP_MS = 8000, S3_TRIES = 5, S3_TAG_MAX = 48 };

struct s3_value {
    uint64_t bytes;              /* Id whose bytes it has: its own, or, of a copy, its source's. */
    uint64_t size;
    char     etag[S3_TAG_MAX];   /* Once known. */
};
struct s3_values {
    struct s3_value *of;         /* By value id. */
    uint64_t         capacity;
};
struct s3_value *s3_value_of(struct s3_values *values, uint64_t id);
void             s3_values_done(struct s3_values *values);

void s3_fill(uint64_t id, uint64_t offset, uint8_t *to, size_t size);

/* One operation on a container. */
struct s3_going {
    struct run       *run;
    struct life      *life;
    struct s3_values *values;
    struct slice      container_name;
    struct container *container;
    struct slice      name;      /* Of the object. */
    char              text[16];
    int64_t           deadline;
    struct arena      arena;
};
/* Opens the container; the caller ends it whatever the result. */
WAITS int  s3_go(struct s3_going *g, struct run *run, struct life *life, struct s3_values *values,
                 const char *container, uint32_t key);
void       s3_going_ends(struct s3_going *g);
/* After -E_STALE: opens the container anew. */
WAITS int  s3_reopen(struct s3_going *g);
/* Repeats a call on 'g' while the configuration changes under it. */
#define S3_AGAIN(g, rc, call)                                      \
    do {                                                           \
        for (int tries_ = 0; (rc) == 0; tries_++) {                \
            (rc) = (call);                                         \
            if ((rc) != -E_STALE || tries_ == S3_TRIES)            \
                break;                                             \
            (rc) = s3_reopen(g);                                   \
        }                                                          \
    } while (0)

/* The id that an object's content type says; 0 and a failed run: it is damaged or unknown. */
uint64_t  s3_id_of(struct run *run, const Rs__ObjectMeta *meta);
void      s3_set_id(Rs__ObjectMeta *meta, uint64_t id, char text[24]);
/* Reads all of an object that was read with ROW_FULL and compares it. */
WAITS int s3_check_body(struct s3_going *g, const struct object *object, uint64_t id);
/* Sends bytes [offset, offset + size) of a value. */
WAITS int s3_send(struct s3_going *g, struct object_put *put, uint64_t id, uint64_t offset, uint64_t size);
uint64_t  s3_random_size(struct run *run);
void      s3_note_tag(struct s3_values *values, uint64_t id, const Rs__ObjectMeta *meta);

enum history_outcome s3_outcome(int rc);   /* Of a write. */

#endif
