/* identity/password.h - passwords by argon2id in a worker, and limits on guessing.
 *
 * At most PASSWORD_AT_ONCE checks run at a time, each with PASSWORD_MEMORY_KIB;
 * PASSWORD_WAITING_MAX wait, more are refused (-E_OVERLOAD). After
 * PASSWORD_FAILURES_MAX failures within a minute, one user from one address is
 * refused without a check; after PASSWORD_FAILURES_USER_MAX from anywhere. */
#ifndef IDENTITY_PASSWORD_H
#define IDENTITY_PASSWORD_H

#include "base/env.h"
#include "base/slice.h"

enum {
    PASSWORD_MEMORY_KIB = 19 * 1024,   /* OWASP's figure for argon2id with at least two passes. */
    PASSWORD_PASSES = 3,               /* 50 to 60 ms on a core of 2023. */
    PASSWORD_HASH_MAX = 192,           /* Bytes of the encoded form, with its NUL. */
    PASSWORD_AT_ONCE = 2,
    PASSWORD_WAITING_MAX = 64,
    PASSWORD_WAIT_MS = 10000,
    PASSWORD_FAILURES_MAX = 10,
    PASSWORD_FAILURES_USER_MAX = 200,
    PASSWORD_WINDOW_S = 60
};

struct password_guard;
/* 'weak': few KiB and one pass, for tests. */
struct password_guard *password_guard_new(struct env *env, bool weak);
struct password_guard *password_guard_free(struct password_guard *guard);

WAITS int password_hash(struct password_guard *guard, struct slice password, char ret_hash[PASSWORD_HASH_MAX]);
/* 'hash' NULL or "": the same work, then -E_UNAUTHORIZED. -E_OVERLOAD, -ETIMEDOUT. */
WAITS int password_check(struct password_guard *guard, const char *hash, struct slice password);

/* Who tries: 'user' is any text that names the user, known or not. False: refuse without a check. */
bool password_may_try(struct password_guard *guard, struct slice user, struct slice address);
void password_failed(struct password_guard *guard, struct slice user, struct slice address);

#endif
