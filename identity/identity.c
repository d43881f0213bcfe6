/* identity/identity.c - beginning and end of the room's object, and its two tasks.
 *
 * "identity.follow" keeps the model up to date; "identity.maintain" rotates token
 * keys and forgets revocations that are over. The object lives until both ended. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "identity/private.h"

static void unref(struct identity *identity)
{
    if (--identity->refs)
        return;
    check_cache_clear(identity);
    access_key_cache_clear(identity);
    model_done(&identity->model);
    token_ring_free(identity->ring);
    password_guard_free(identity->guard);
    free(identity);
}

static void on_change(void *arg)
{
    struct identity *identity = arg;

    if (identity->model.keys_changed)
        setup_load_keys(identity);
}

WAITS static void follow_run(void *arg)
{
    struct identity *identity = arg;

    identity->tasks[0] = task_self();
    if (!identity->closing)
        model_follow(&identity->model, on_change, identity);
    identity->tasks[0] = NULL;
    unref(identity);
}

WAITS static void maintain_run(void *arg)
{
    struct identity *identity = arg;
    int              rc = 0;

    identity->tasks[1] = task_self();
    while (!identity->closing) {
        rc = setup_rotate_keys(identity);
        if (rc && rc != -ECANCELED)
            log_warn("identity.keys", "rotated=no error=%s", error_name(rc));
        do {
            rc = setup_forget_revoked(identity);
        } while (rc == -EAGAIN);
        rc = remove_orphans(identity);
        if (rc && rc != -ECANCELED)
            log_warn("identity.orphans", "error=%s", error_name(rc));
        if (task_sleep(MAINTAIN_S * NS_PER_S))
            break;
    }
    identity->tasks[1] = NULL;
    unref(identity);
}

static int start(struct identity *identity)
{
    identity->refs++;
    int rc = env_spawn(identity->env, "identity.follow", follow_run, identity);
    if (rc) {
        identity->refs--;
        return rc;
    }
    identity->refs++;
    rc = env_spawn(identity->env, "identity.maintain", maintain_run, identity);
    if (rc)
        identity->refs--;
    return rc;
}

int identity_new(struct env *env, struct control *control, const struct identity_options *options,
                 struct identity **ret_identity, struct arena *arena, char **ret_admin_password,
                 char **ret_demo_password, struct error *err)
{
    struct identity *identity = calloc(1, sizeof *identity);

    if (identity == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    identity->env = env;
    identity->control = control;
    identity->refs = 1;
    identity->port_base = options->port_base;
    identity->tls = options->tls;
    identity->cache_seed = env_random64(env);
    snprintf(identity->public_host, sizeof identity->public_host, "%s",
             options->public_host ? options->public_host : "127.0.0.1");
    json_object_seed((size_t)env_random64(env));
    identity->ring = token_ring_new();
    identity->guard = password_guard_new(env, options->weak_passwords);
    int rc = model_init(&identity->model, env, control);
    if (rc || identity->ring == NULL || identity->guard == NULL) {
        rc = error_set(err, -ENOMEM, "out of memory");
        goto fail;
    }
    rc = model_load(&identity->model);
    if (rc) {
        error_set(err, rc, "cannot read identity from the control store: %s", error_text(rc));
        goto fail;
    }
    rc = setup_first(identity, options, arena, ret_admin_password, ret_demo_password, err);
    if (rc == 0)
        rc = setup_credential_key(identity, err);
    if (rc)
        goto fail;
    setup_load_keys(identity);
    rc = start(identity);
    if (rc) {
        error_set(err, rc, "cannot start identity's tasks");
        goto fail;
    }
    *ret_identity = identity;
    return 0;
fail:
    identity_free(identity);
    return rc;
}

struct identity *identity_free(struct identity *identity)
{
    if (identity) {
        identity->closing = true;
        for (int i = 0; i < 2; i++) {
            if (identity->tasks[i])
                task_cancel(identity->tasks[i]);
        }
        unref(identity);
    }
    return NULL;
}
