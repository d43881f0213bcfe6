/* identity/password.c - see password.h. */
#include "identity/password.h"

#include <argon2.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/counter.h"

COUNTER(identity_password_checks, "Passwords checked.");
COUNTER(identity_password_throttled, "Logins refused without a check after too many failures.");

enum { SALT_BYTES = 16, HASH_BYTES = 32, WEAK_MEMORY_KIB = 64, SETS = 1024, WAYS = 4 };

/* Failures of one (user, address), or of one user. */
struct failures {
    uint64_t who;
    uint32_t count;
    int64_t  since;   /* Of env_now(). */
};

struct password_guard {
    struct env     *env;
    bool            weak;
    struct credit   credit;
    uint64_t        seed;        /* So that nobody can choose names that collide. */
    char            dummy[PASSWORD_HASH_MAX];   /* Of no password: the work for users that do not exist. */
    /* Checks are so slow that a minute's failures never fill it. */
    struct failures failures[SETS][WAYS];
};

struct job {
    const char *hash;            /* To check, or NULL. */
    uint8_t    *password;
    size_t      size;
    uint8_t     salt[SALT_BYTES];
    uint32_t    memory_kib, passes;
    char        encoded[PASSWORD_HASH_MAX];
    int         result;
};

static void run_job(void *arg)
{
    struct job *job = arg;

    if (job->hash)
        job->result = argon2_verify(job->hash, job->password, job->size, Argon2_id);
    else
        job->result = argon2id_hash_encoded(job->passes, job->memory_kib, 1, job->password, job->size, job->salt,
                                            SALT_BYTES, HASH_BYTES, job->encoded, sizeof job->encoded);
}

/* 0 when argon2 said yes; -E_UNAUTHORIZED when it said no. */
WAITS static int work(struct password_guard *guard, struct job *job, struct slice password)
{
    int rc = credit_take(&guard->credit, 1, env_now(guard->env) + PASSWORD_WAIT_MS * NS_PER_MS);

    if (rc)
        return rc;
    /* The worker reads a copy: the request's memory may go when its task is cancelled. */
    job->password = malloc(password.size + 1);
    if (job->password) {
        if (password.size)
            memcpy(job->password, password.data, password.size);
        job->size = password.size;
        /* Not on the CPU workers, of which there is one a core: a flood of logins would hold up whoever needs them
         * for a moment, such as reads and writes of objects. */
        rc = env_work(guard->env, WORK_IO, run_job, job);
        explicit_bzero(job->password, password.size);
        free(job->password);
    } else {
        rc = -ENOMEM;
    }
    credit_give(&guard->credit, 1);
    if (rc)
        return rc;
    if (job->result == ARGON2_OK)
        return 0;
    return job->result == ARGON2_MEMORY_ALLOCATION_ERROR ? -ENOMEM : -E_UNAUTHORIZED;
}

struct password_guard *password_guard_new(struct env *env, bool weak)
{
    struct password_guard *guard = calloc(1, sizeof *guard);
    uint8_t                random[SALT_BYTES + 16];

    if (guard == NULL)
        return NULL;
    guard->env = env;
    guard->weak = weak;
    guard->seed = env_random64(env);
    credit_init(&guard->credit, PASSWORD_AT_ONCE, PASSWORD_WAITING_MAX);
    env_random(env, random, sizeof random);
    /* A hash with the usual cost whose password nobody knows. */
    if (argon2id_hash_encoded(weak ? 1 : PASSWORD_PASSES, weak ? WEAK_MEMORY_KIB : PASSWORD_MEMORY_KIB, 1,
                              random + SALT_BYTES, 16, random, SALT_BYTES, HASH_BYTES, guard->dummy,
                              sizeof guard->dummy) != ARGON2_OK) {
        free(guard);
        return NULL;
    }
    return guard;
}

struct password_guard *password_guard_free(struct password_guard *guard)
{
    free(guard);
    return NULL;
}

int password_hash(struct password_guard *guard, struct slice password, char ret_hash[PASSWORD_HASH_MAX])
{
    struct job job = { .memory_kib = guard->weak ? WEAK_MEMORY_KIB : PASSWORD_MEMORY_KIB,
                       .passes = guard->weak ? 1 : PASSWORD_PASSES };

    env_random(guard->env, job.salt, sizeof job.salt);
    int rc = work(guard, &job, password);
    if (rc == 0)
        memcpy(ret_hash, job.encoded, PASSWORD_HASH_MAX);
    return rc;
}

int password_check(struct password_guard *guard, const char *hash, struct slice password)
{
    char       copy[PASSWORD_HASH_MAX];
    bool       known = hash && hash[0] && strlen(hash) < sizeof copy;
    struct job job = { .hash = copy };

    /* The model's string may be replaced while the worker reads. */
    memcpy(copy, known ? hash : guard->dummy, known ? strlen(hash) + 1 : sizeof copy);
    counter_inc(identity_password_checks);
    int rc = work(guard, &job, password);
    explicit_bzero(copy, sizeof copy);
    return rc == 0 && !known ? -E_UNAUTHORIZED : rc;
}

/* --- Guessing. --- */

static struct failures *failures_of(struct password_guard *guard, uint64_t who, bool make)
{
    struct failures *set = guard->failures[(who >> 1) % SETS], *oldest = &set[0];
    int64_t          now = env_now(guard->env);

    for (int i = 0; i < WAYS; i++) {
        if (set[i].who == who) {
            if (now - set[i].since > PASSWORD_WINDOW_S * NS_PER_S)
                set[i] = (struct failures) { who, 0, now };
            return &set[i];
        }
        if (set[i].since < oldest->since)
            oldest = &set[i];
    }
    if (!make)
        return NULL;
    *oldest = (struct failures) { who, 0, now };
    return oldest;
}

static uint64_t name_user(const struct password_guard *guard, struct slice user)
{
    return XXH3_64bits_withSeed(user.data, user.size, guard->seed) | 1;
}

static uint64_t name_pair(const struct password_guard *guard, struct slice user, struct slice address)
{
    return XXH3_64bits_withSeed(address.data, address.size, name_user(guard, user)) | 1;
}

bool password_may_try(struct password_guard *guard, struct slice user, struct slice address)
{
    const struct failures *one = failures_of(guard, name_pair(guard, user, address), false);
    const struct failures *all = failures_of(guard, name_user(guard, user), false);

    if ((one == NULL || one->count < PASSWORD_FAILURES_MAX) &&
        (all == NULL || all->count < PASSWORD_FAILURES_USER_MAX))
        return true;
    counter_inc(identity_password_throttled);
    return false;
}

void password_failed(struct password_guard *guard, struct slice user, struct slice address)
{
    failures_of(guard, name_pair(guard, user, address), true)->count++;
    failures_of(guard, name_user(guard, user), true)->count++;
}
