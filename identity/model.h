/* identity/model.h - users, projects, domains, roles and grants in memory, as the control store has them.
 *
 * One copy a process, loaded once and then following a watch, so that nothing on
 * the path of a request waits for the store. Keys below "identity/":
 *
 *   domain/ID project/ID user/ID role/ID   the objects
 *   name/KIND/DOMAIN/NAME                  which id has the name: keeps names unique
 *   grant/p/PROJECT/USER grant/d/DOMAIN/USER   roles
 *   revoked/AUDIT                          revoked tokens
 *   keys                                   token keys
 *   credential/ID                          access keys and other credentials of users, sealed
 *   credential_keys                        what seals them
 *
 * What is returned is borrowed until the next wait of the task. */
#ifndef IDENTITY_MODEL_H
#define IDENTITY_MODEL_H

#include "control/store.h"
#include "proto/identity.pb-c.h"

#define IDENTITY_PREFIX "identity/"

enum {
    MODEL_OBJECTS_MAX = 500000,       /* Past it nothing is created any more. */
    MODEL_KEY_MAX = 512,              /* Bytes of a key, without the prefix. */
    MODEL_WAIT_MS = 5000              /* For a change of one's own to come back by watch. */
};

enum model_kind {
    MODEL_DOMAIN, MODEL_PROJECT, MODEL_USER, MODEL_ROLE, MODEL_NAME, MODEL_GRANT, MODEL_REVOKED, MODEL_KEYS,
    MODEL_CREDENTIAL, MODEL_CREDENTIAL_KEYS,
    MODEL_KINDS
};

struct model_object {
    struct model_object *next;           /* In its bucket. */
    struct model_object *before, *after; /* Of its kind. */
    enum model_kind      kind;
    uint64_t             hash;
    uint64_t             mod_revision;
    ProtobufCMessage    *message;
    char                 key[];          /* Without the prefix. */
};

struct model {
    struct control      *control;
    struct env          *env;
    struct model_object **bucket;
    uint32_t             buckets, count;
    struct model_object *first[MODEL_KINDS], *last[MODEL_KINDS];
    uint64_t             revision;       /* Everything up to it is in. */
    uint64_t             generation;     /* Grows with each change: what was derived before is stale. */
    bool                 keys_changed;
    struct waitq         moved;          /* 'revision' grew. */
};

int        model_init(struct model *model, struct env *env, struct control *control);
void       model_done(struct model *model);
/* Reads everything. */
WAITS int  model_load(struct model *model);
/* Follows until the task is cancelled or the store closed; calls 'changed' after each revision. */
WAITS void model_follow(struct model *model, void (*changed)(void *arg), void *arg);
/* Until 'revision' is in: after a change of one's own. */
WAITS int  model_wait(struct model *model, uint64_t revision);
/* One change of the store; the watch's, and the tests'. */
int        model_apply(struct model *model, struct slice key, struct slice value, bool deleted, uint64_t revision);

/* NULL when there is none, or the kind differs. */
const struct model_object *model_find(const struct model *model, enum model_kind kind, const char *key);
#define MODEL_OBJECT(object, type) ((const type *)(object)->message)
const Rs__IdentityDomain  *model_domain(const struct model *model, const char *id);
const Rs__IdentityProject *model_project(const struct model *model, const char *id);
const Rs__IdentityUser    *model_user(const struct model *model, const char *id);
const Rs__IdentityRole    *model_role(const struct model *model, const char *id);
const Rs__IdentityCredential *model_credential(const struct model *model, const char *id);
/* By name; NULL when there is none. 'kind' is "domain", "project", "user" or "role"; domain "" for domains and roles.
 * Kind "access", domain "": the credential of an access key, by its SHA-256 in hex. */
const char                *model_id_of_name(const struct model *model, const char *kind, const char *domain,
                                            const char *name);
const Rs__IdentityGrant   *model_grant(const struct model *model, char target_kind, const char *target,
                                       const char *user);
bool                       model_revoked(const struct model *model, const char *audit_id);

/* "KIND/A/B/C" into 'out' of MODEL_KEY_MAX; -E_LIMIT. */
int model_key(char *out, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
