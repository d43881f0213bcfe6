/* proxy/object/crypt_keys.h - the master keys of SSE-S3 in the control store.
 *
 * "object/master-keys/<id>" holds 32 random bytes, "object/master-keys/current" the
 * id that new objects use; a key is never removed, since objects name it. All proxies
 * share them; each keeps those it met in memory. Loop thread only. */
#ifndef PROXY_OBJECT_CRYPT_KEYS_H
#define PROXY_OBJECT_CRYPT_KEYS_H

#include "control/store.h"
#include "proxy/object/crypt.h"

enum { CRYPT_KEY_ID_BYTES = 16, CRYPT_KEYS_MAX = 256 };

struct crypt_keys;

/* Makes the first key when there is none. */
WAITS int crypt_keys_open(struct env *env, struct control *control, struct crypt_keys **ret_keys, struct error *err);
struct crypt_keys *crypt_keys_close(struct crypt_keys *keys);   /* Wipes them. Accepts NULL. */

/* The key for new objects. */
void crypt_keys_current(const struct crypt_keys *keys, uint8_t ret_id[CRYPT_KEY_ID_BYTES], struct crypt_key *ret_key);
/* -ENOENT: nobody ever made it; and what control_get() returns. */
WAITS int crypt_keys_find(struct crypt_keys *keys, struct slice id, struct crypt_key *ret_key);
/* A new current key; objects keep theirs. -E_LIMIT past CRYPT_KEYS_MAX. */
WAITS int crypt_keys_rotate(struct crypt_keys *keys, struct error *err);

#endif
