/* identity/model.c - see model.h. A hash table by key, and a list of each kind. */
#include "identity/model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/counter.h"
#include "base/log.h"

COUNTER(identity_reloads, "Times that all of identity was read again because history was gone.");

enum { BUCKETS_FIRST = 256, RETRY_MS = 500 };

static const struct {
    const char                       *prefix;
    const ProtobufCMessageDescriptor *type;
} kinds[MODEL_KINDS] = {
    [MODEL_DOMAIN] = { "domain/", &rs__identity_domain__descriptor },
    [MODEL_PROJECT] = { "project/", &rs__identity_project__descriptor },
    [MODEL_USER] = { "user/", &rs__identity_user__descriptor },
    [MODEL_ROLE] = { "role/", &rs__identity_role__descriptor },
    [MODEL_NAME] = { "name/", &rs__identity_name__descriptor },
    [MODEL_GRANT] = { "grant/", &rs__identity_grant__descriptor },
    [MODEL_REVOKED] = { "revoked/", &rs__identity_revocation__descriptor },
    [MODEL_KEYS] = { "keys", &rs__identity_keys__descriptor },
    [MODEL_CREDENTIAL] = { "credential/", &rs__identity_credential__descriptor },
    [MODEL_CREDENTIAL_KEYS] = { "credential_keys", &rs__identity_keys__descriptor },
};

int model_init(struct model *model, struct env *env, struct control *control)
{
    memset(model, 0, sizeof *model);
    model->env = env;
    model->control = control;
    model->buckets = BUCKETS_FIRST;
    model->bucket = calloc(model->buckets, sizeof *model->bucket);
    return model->bucket ? 0 : -ENOMEM;
}

/* Hashes and keys must not stay in freed memory. */
static void message_free(enum model_kind kind, ProtobufCMessage *message)
{
    if (kind == MODEL_KEYS || kind == MODEL_CREDENTIAL_KEYS) {
        Rs__IdentityKeys *keys = (Rs__IdentityKeys *)message;
        for (size_t i = 0; i < keys->n_keys; i++)
            explicit_bzero(keys->keys[i]->secret.data, keys->keys[i]->secret.len);
    } else if (kind == MODEL_USER) {
        Rs__IdentityUser *user = (Rs__IdentityUser *)message;
        explicit_bzero(user->password_hash, strlen(user->password_hash));
    }
    protobuf_c_message_free_unpacked(message, NULL);
}

static void object_free(struct model_object *object)
{
    message_free(object->kind, object->message);
    free(object);
}

void model_done(struct model *model)
{
    for (int kind = 0; kind < MODEL_KINDS; kind++) {
        while (model->first[kind]) {
            struct model_object *object = model->first[kind];
            model->first[kind] = object->after;
            object_free(object);
        }
    }
    free(model->bucket);
    model->bucket = NULL;
}

/* --- The table. --- */

static struct model_object **find(const struct model *model, struct slice key, uint64_t *ret_hash)
{
    uint64_t              hash = XXH3_64bits(key.data, key.size);
    struct model_object **at = &model->bucket[hash & (model->buckets - 1)];

    while (*at && ((*at)->hash != hash || !slice_equal(slice_str((*at)->key), key)))
        at = &(*at)->next;
    *ret_hash = hash;
    return at;
}

/* Doubles the table; without memory it stays as it is, only slower. */
static void grow(struct model *model)
{
    uint32_t              buckets = model->buckets * 2;
    struct model_object **bucket = calloc(buckets, sizeof *bucket);

    if (bucket == NULL)
        return;
    for (uint32_t i = 0; i < model->buckets; i++) {
        while (model->bucket[i]) {
            struct model_object *object = model->bucket[i];
            model->bucket[i] = object->next;
            object->next = bucket[object->hash & (buckets - 1)];
            bucket[object->hash & (buckets - 1)] = object;
        }
    }
    free(model->bucket);
    model->bucket = bucket;
    model->buckets = buckets;
}

static void link_kind(struct model *model, struct model_object *object)
{
    object->before = model->last[object->kind];
    if (object->before)
        object->before->after = object;
    else
        model->first[object->kind] = object;
    model->last[object->kind] = object;
}

static void unlink_kind(struct model *model, struct model_object *object)
{
    if (object->before)
        object->before->after = object->after;
    else
        model->first[object->kind] = object->after;
    if (object->after)
        object->after->before = object->before;
    else
        model->last[object->kind] = object->before;
}

static int kind_of(struct slice key)
{
    for (int kind = 0; kind < MODEL_KINDS; kind++) {
        if (slice_starts(key, slice_str(kinds[kind].prefix)))
            return kind;
    }
    return -1;
}

static void remove_at(struct model *model, struct model_object **at)
{
    struct model_object *object = *at;

    *at = object->next;
    unlink_kind(model, object);
    model->count--;
    object_free(object);
}

static int insert(struct model *model, struct slice key, enum model_kind kind, uint64_t hash,
                  ProtobufCMessage *message, uint64_t revision)
{
    struct model_object *object = calloc(1, sizeof *object + key.size + 1);

    if (object == NULL)
        return -ENOMEM;
    memcpy(object->key, key.data, key.size);
    object->kind = kind;
    object->hash = hash;
    object->message = message;
    object->mod_revision = revision;
    if (model->count >= model->buckets)
        grow(model);
    object->next = model->bucket[hash & (model->buckets - 1)];
    model->bucket[hash & (model->buckets - 1)] = object;
    link_kind(model, object);
    model->count++;
    return 0;
}

int model_apply(struct model *model, struct slice key, struct slice value, bool deleted, uint64_t revision)
{
    uint64_t hash;

    if (!slice_starts(key, SLICE(IDENTITY_PREFIX)))
        return 0;
    key = slice_from(key, sizeof IDENTITY_PREFIX - 1);
    int kind = kind_of(key);
    if (kind < 0 || key.size >= MODEL_KEY_MAX || memchr(key.data, '\0', key.size))
        return 0;   /* A later program's; not for us. */
    struct model_object **at = find(model, key, &hash);
    if (*at && (*at)->mod_revision >= revision)
        return 0;   /* The load was ahead of the watch. */
    model->generation++;
    if (kind == MODEL_KEYS)
        model->keys_changed = true;
    if (deleted) {
        if (*at)
            remove_at(model, at);
        return 0;
    }
    ProtobufCMessage *message = protobuf_c_message_unpack(kinds[kind].type, NULL, value.size, value.data);
    if (message == NULL) {
        log_error("identity.record", "key=\"%.*s\" error=damaged", SLICE_ARG(key));
        return -E_CORRUPT;
    }
    if (*at) {
        message_free((*at)->kind, (*at)->message);
        (*at)->message = message;
        (*at)->mod_revision = revision;
        return 0;
    }
    int rc = insert(model, key, kind, hash, message, revision);
    if (rc)
        message_free(kind, message);
    return rc;
}

/* --- Loading and following. --- */

int model_load(struct model *model)
{
    struct arena          arena;
    struct slice          from = SLICE(IDENTITY_PREFIX), to = SLICE("identity0");   /* '0' follows '/'. */
    struct control_entry *entries;
    uint32_t              count;
    uint64_t              revision, first = 0;
    bool                  more = true;
    uint8_t               next[CONTROL_KEY_MAX + 1];
    int                   rc = 0;

    /* Pages may be of different revisions: the watch starts at the first one's, and what it brings that a later
     * page had already is recognised by its revision. */
    while (more && rc == 0) {
        arena_init(&arena, ARENA_LIMIT_DEFAULT);
        rc = control_range(model->control, from, to, 0, &arena, &entries, &count, &more, &revision);
        if (rc == 0 && first == 0)
            first = revision;
        for (uint32_t i = 0; rc == 0 && i < count; i++)
            rc = model_apply(model, entries[i].key, entries[i].value, false, entries[i].mod_revision);
        if (rc == 0 && more && count) {
            struct slice key = entries[count - 1].key;
            memcpy(next, key.data, key.size);
            next[key.size] = 0;
            from = slice_of(next, key.size + 1);
        }
        arena_done(&arena);
    }
    if (rc == 0)
        model->revision = first;
    return rc;
}

/* History is gone: another copy is read, and takes this one's place. */
WAITS static int reload(struct model *model)
{
    struct model fresh;
    int          rc = model_init(&fresh, model->env, model->control);

    if (rc)
        return rc;
    counter_inc(identity_reloads);
    rc = model_load(&fresh);
    if (rc) {
        model_done(&fresh);
        return rc;
    }
    struct waitq moved = model->moved;
    fresh.generation = model->generation + 1;
    fresh.keys_changed = true;
    model_done(model);
    *model = fresh;
    model->moved = moved;
    return 0;
}

WAITS static int follow_once(struct model *model, void (*changed)(void *arg), void *arg)
{
    struct control_watch *watch;
    struct control_change change;
    int                   rc = control_watch(model->control, SLICE(IDENTITY_PREFIX), model->revision, &watch);

    while (rc == 0) {
        rc = control_watch_next(watch, TASK_FOREVER, &change);
        if (rc == 0)
            rc = model_apply(model, change.entry.key, change.entry.value, change.deleted, change.revision);
        if (rc == 0 && change.last) {
            model->revision = change.revision;
            changed(arg);
            waitq_wake_all(&model->moved);
        }
        if (rc) {
            control_watch_free(watch);
            break;
        }
    }
    return rc;
}

void model_follow(struct model *model, void (*changed)(void *arg), void *arg)
{
    for (;;) {
        int rc = follow_once(model, changed, arg);
        if (rc == -ECANCELED || rc == -E_CLOSED)
            return;
        log_warn("identity.follow", "error=%s note=\"reading all again\"", error_name(rc));
        while ((rc = reload(model)) != 0) {
            if (rc == -ECANCELED || rc == -E_CLOSED || task_sleep(RETRY_MS * NS_PER_MS))
                return;
        }
        changed(arg);
        waitq_wake_all(&model->moved);
    }
}

int model_wait(struct model *model, uint64_t revision)
{
    int64_t deadline = env_now(model->env) + MODEL_WAIT_MS * NS_PER_MS;
    int     rc = 0;

    while (rc == 0 && model->revision < revision)
        rc = waitq_wait(&model->moved, deadline);
    return rc;
}

/* --- Looking up. --- */

int model_key(char *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(out, MODEL_KEY_MAX, format, args);
    va_end(args);
    return n < 0 || n >= MODEL_KEY_MAX ? -E_LIMIT : 0;
}

const struct model_object *model_find(const struct model *model, enum model_kind kind, const char *key)
{
    uint64_t                   hash;
    const struct model_object *object = *find(model, slice_str(key), &hash);

    return object && object->kind == kind ? object : NULL;
}

static const void *get(const struct model *model, enum model_kind kind, const char *id)
{
    char key[MODEL_KEY_MAX];

    if (id[0] == '\0' || model_key(key, "%s%s", kinds[kind].prefix, id))
        return NULL;
    const struct model_object *object = model_find(model, kind, key);
    return object ? object->message : NULL;
}

const Rs__IdentityDomain *model_domain(const struct model *model, const char *id)
{
    return get(model, MODEL_DOMAIN, id);
}

const Rs__IdentityProject *model_project(const struct model *model, const char *id)
{
    return get(model, MODEL_PROJECT, id);
}

const Rs__IdentityUser *model_user(const struct model *model, const char *id)
{
    return get(model, MODEL_USER, id);
}

const Rs__IdentityRole *model_role(const struct model *model, const char *id)
{
    return get(model, MODEL_ROLE, id);
}

const Rs__IdentityCredential *model_credential(const struct model *model, const char *id)
{
    return get(model, MODEL_CREDENTIAL, id);
}

const char *model_id_of_name(const struct model *model, const char *kind, const char *domain, const char *name)
{
    char key[MODEL_KEY_MAX];

    if (model_key(key, "name/%s/%s/%s", kind, domain, name))
        return NULL;
    const struct model_object *object = model_find(model, MODEL_NAME, key);
    return object ? MODEL_OBJECT(object, Rs__IdentityName)->id : NULL;
}

const Rs__IdentityGrant *model_grant(const struct model *model, char target_kind, const char *target,
                                     const char *user)
{
    char key[MODEL_KEY_MAX];

    if (model_key(key, "grant/%c/%s/%s", target_kind, target, user))
        return NULL;
    const struct model_object *object = model_find(model, MODEL_GRANT, key);
    return object ? MODEL_OBJECT(object, Rs__IdentityGrant) : NULL;
}

bool model_revoked(const struct model *model, const char *audit_id)
{
    return get(model, MODEL_REVOKED, audit_id) != NULL;
}
