/* proxy/object/crypt_keys.c - see crypt_keys.h. */
#include "proxy/object/crypt_keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

enum { KEY_ARENA_MAX = 64 * 1024, OPEN_ATTEMPTS_MAX = 4 };
#define PREFIX "object/master-keys/"

struct master_key {
    uint8_t          id[CRYPT_KEY_ID_BYTES];
    struct crypt_key key;
};

struct crypt_keys {
    struct env       *env;
    struct control   *control;
    uint32_t          count, current;
    struct master_key keys[CRYPT_KEYS_MAX];
};

static struct slice path_of(const uint8_t id[CRYPT_KEY_ID_BYTES], char text[sizeof PREFIX + 2 * CRYPT_KEY_ID_BYTES])
{
    int n = snprintf(text, sizeof PREFIX, "%s", PREFIX);

    for (int i = 0; i < CRYPT_KEY_ID_BYTES; i++, n += 2)
        snprintf(text + n, 3, "%02x", id[i]);
    return slice_of(text, (size_t)n);
}

/* Its place; -ENOENT, -E_LIMIT. */
WAITS static int key_load(struct crypt_keys *keys, struct slice id, uint32_t *ret_at)
{
    char                 text[sizeof PREFIX + 2 * CRYPT_KEY_ID_BYTES];
    struct control_entry entry;
    struct arena         arena;
    int                  rc;

    if (id.size != CRYPT_KEY_ID_BYTES)
        return -ENOENT;
    for (uint32_t i = 0; i < keys->count; i++)
        if (memcmp(keys->keys[i].id, id.data, CRYPT_KEY_ID_BYTES) == 0) {
            *ret_at = i;
            return 0;
        }
    arena_init(&arena, KEY_ARENA_MAX);
    rc = control_get(keys->control, path_of(id.data, text), &arena, &entry);
    if (rc == 0 && entry.value.size != CRYPT_KEY_BYTES)
        rc = -E_CORRUPT;
    if (rc == 0 && keys->count == CRYPT_KEYS_MAX)
        rc = -E_LIMIT;
    if (rc == 0) {
        struct master_key *k = &keys->keys[keys->count];

        memcpy(k->id, id.data, CRYPT_KEY_ID_BYTES);
        memcpy(k->key.bytes, entry.value.data, CRYPT_KEY_BYTES);
        *ret_at = keys->count++;
    }
    arena_done(&arena);
    return rc;
}

/* A new key, which becomes the current one unless 'seen' (the current entry's revision; 0: none) changed meanwhile. */
WAITS static int key_make(struct crypt_keys *keys, uint64_t seen)
{
    uint8_t                id[CRYPT_KEY_ID_BYTES];
    char                   text[sizeof PREFIX + 2 * CRYPT_KEY_ID_BYTES];
    struct crypt_key       key;
    struct control_compare compare = { .kind = CONTROL_IF_MOD_REVISION, .key = SLICE(PREFIX "current"), .revision = seen };
    struct control_op      ops[2] = { { .kind = CONTROL_PUT }, { .kind = CONTROL_PUT, .key = SLICE(PREFIX "current") } };
    int                    rc;

    env_random(keys->env, id, sizeof id);
    env_random(keys->env, key.bytes, sizeof key.bytes);
    ops[0].key = path_of(id, text);
    ops[0].value = slice_of(key.bytes, sizeof key.bytes);
    ops[1].value = slice_of(id, sizeof id);
    rc = control_txn(keys->control, &compare, 1, ops, 2, NULL, NULL);
    crypt_wipe(&key);
    return rc;
}

/* Reads which key is current; '*ret_revision' 0: none. */
WAITS static int current_load(struct crypt_keys *keys, uint64_t *ret_revision)
{
    struct control_entry entry;
    struct arena         arena;
    uint32_t             at = 0;
    int                  rc;

    arena_init(&arena, KEY_ARENA_MAX);
    rc = control_get(keys->control, SLICE(PREFIX "current"), &arena, &entry);
    *ret_revision = rc == 0 ? entry.mod_revision : 0;
    if (rc == 0)
        rc = key_load(keys, entry.value, &at);
    if (rc == 0)
        keys->current = at;
    arena_done(&arena);
    return rc;
}

int crypt_keys_open(struct env *env, struct control *control, struct crypt_keys **ret_keys, struct error *err)
{
    struct crypt_keys *keys = calloc(1, sizeof *keys);
    uint64_t           revision;
    int                rc = -ENOENT;

    if (!keys)
        return error_set(err, -ENOMEM, "out of memory");
    keys->env = env;
    keys->control = control;
    for (int attempt = 0; attempt < OPEN_ATTEMPTS_MAX; attempt++) {
        rc = current_load(keys, &revision);
        if (rc != -ENOENT || revision)
            break;
        rc = key_make(keys, 0);
        if (rc != 0 && rc != -E_CONDITION)   /* Another proxy was first: read its key. */
            break;
    }
    if (rc) {
        crypt_keys_close(keys);
        return error_set(err, rc, "the master keys can't be read: %s", error_text(rc));
    }
    *ret_keys = keys;
    return 0;
}

struct crypt_keys *crypt_keys_close(struct crypt_keys *keys)
{
    for (uint32_t i = 0; keys && i < keys->count; i++)
        crypt_wipe(&keys->keys[i].key);
    free(keys);
    return NULL;
}

void crypt_keys_current(const struct crypt_keys *keys, uint8_t ret_id[CRYPT_KEY_ID_BYTES], struct crypt_key *ret_key)
{
    memcpy(ret_id, keys->keys[keys->current].id, CRYPT_KEY_ID_BYTES);
    *ret_key = keys->keys[keys->current].key;
}

int crypt_keys_find(struct crypt_keys *keys, struct slice id, struct crypt_key *ret_key)
{
    uint32_t at = 0;
    int      rc = key_load(keys, id, &at);

    if (rc == 0)
        *ret_key = keys->keys[at].key;
    return rc;
}

int crypt_keys_rotate(struct crypt_keys *keys, struct error *err)
{
    uint64_t revision;
    int      rc = keys->count == CRYPT_KEYS_MAX ? -E_LIMIT : current_load(keys, &revision);

    if (rc == 0)
        rc = key_make(keys, revision);
    if (rc == 0)
        rc = current_load(keys, &revision);
    if (rc)
        return error_set(err, rc, "the master key was not replaced: %s", error_text(rc));
    log_info("crypt.new_key", "keys=%u", keys->count);
    return 0;
}
