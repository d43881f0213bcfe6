/* identity/setup.c - what a new cloud has, and the upkeep of token keys and revocations.
 *
 * The first process finds no domain Default and creates everything in one
 * transaction; another that tries at the same time sees that it lost. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "identity/private.h"

enum { PASSWORD_LENGTH = 24, KEY_KEEP_S = TOKEN_LIFETIME_S + 2 * TOKEN_KEY_SETTLE_S };

void identity_new_id(struct identity *identity, char ret_id[IDENTITY_ID_MAX])
{
    uint8_t bytes[16];

    env_random(identity->env, bytes, sizeof bytes);
    for (int i = 0; i < 16; i++)
        snprintf(ret_id + 2 * i, 3, "%02x", bytes[i]);
}

/* Letters and digits only, so that it can be pasted anywhere: 142 bits. */
static char *random_password(struct identity *identity, struct arena *arena)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char             *text = arena_alloc(arena, PASSWORD_LENGTH + 1);

    for (int i = 0; text && i < PASSWORD_LENGTH;) {
        uint8_t byte;
        env_random(identity->env, &byte, 1);
        if (byte < 248)   /* 4 * 62: all letters alike. */
            text[i++] = letters[byte % 62];
    }
    return text;
}

/* --- Token keys. --- */

static void init_key(struct identity *identity, Rs__IdentityKey *key, uint8_t secret[TOKEN_KEY_BYTES])
{
    rs__identity_key__init(key);
    env_random(identity->env, secret, TOKEN_KEY_BYTES);
    env_random(identity->env, &key->id, sizeof key->id);
    key->secret = (ProtobufCBinaryData) { TOKEN_KEY_BYTES, secret };
    key->created_s = env_wall(identity->env) / NS_PER_S;
}

void setup_load_keys(struct identity *identity)
{
    const struct model_object *object = model_find(&identity->model, MODEL_KEYS, "keys");

    identity->model.keys_changed = false;
    if (object == NULL)
        return;
    const Rs__IdentityKeys *keys = MODEL_OBJECT(object, Rs__IdentityKeys);
    token_ring_begin(identity->ring);
    for (size_t i = 0; i < keys->n_keys; i++) {
        const Rs__IdentityKey *key = keys->keys[i];
        int rc = key->secret.len == TOKEN_KEY_BYTES
                     ? token_ring_add(identity->ring, key->id, key->secret.data, key->created_s)
                     : -E_CORRUPT;
        if (rc)
            log_error("identity.key", "id=%08x error=%s", key->id, error_name(rc));
    }
    token_ring_end(identity->ring);
}

/* Drops keys whose tokens are all dead: those older than a key that seals since long enough. */
static size_t keep_keys(Rs__IdentityKey **keys, size_t count, int64_t now_s)
{
    size_t first = 0;

    while (first + 1 < count && keys[first + 1]->created_s + TOKEN_KEY_SETTLE_S + KEY_KEEP_S <= now_s)
        first++;
    if (count - first > TOKEN_KEYS_MAX - 1)
        first = count - (TOKEN_KEYS_MAX - 1);
    memmove(keys, keys + first, (count - first) * sizeof *keys);
    return count - first;
}

int setup_rotate_keys(struct identity *identity)
{
    const struct model_object *object = model_find(&identity->model, MODEL_KEYS, "keys");
    int64_t                    now_s = env_wall(identity->env) / NS_PER_S;
    Rs__IdentityKey           *all[TOKEN_KEYS_MAX + 1], fresh;
    Rs__IdentityKeys           keys = RS__IDENTITY_KEYS__INIT;
    uint8_t                    secret[TOKEN_KEY_BYTES];
    struct arena               arena;

    if (object == NULL)
        return 0;
    const Rs__IdentityKeys *now = MODEL_OBJECT(object, Rs__IdentityKeys);
    if (now->n_keys == 0 || now->n_keys > TOKEN_KEYS_MAX ||
        now->keys[now->n_keys - 1]->created_s + TOKEN_KEY_ROTATE_S > now_s)
        return 0;
    memcpy(all, now->keys, now->n_keys * sizeof all[0]);
    keys.n_keys = keep_keys(all, now->n_keys, now_s);
    init_key(identity, &fresh, secret);
    all[keys.n_keys++] = &fresh;
    keys.keys = all;

    struct api_write *w = malloc(sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    api_write_init(w, &arena);
    api_require(w, CONTROL_IF_MOD_REVISION, object->mod_revision, "keys");
    api_put(w, &keys.base, "keys");
    int rc = api_write_commit(w, identity);
    for (uint32_t i = 0; i < w->ops; i++)
        explicit_bzero((void *)(uintptr_t)w->op[i].value.data, w->op[i].value.size);
    explicit_bzero(secret, sizeof secret);
    arena_done(&arena);
    free(w);
    if (rc == 0)
        log_info("identity.keys", "rotated=yes keys=%zu", keys.n_keys);
    return rc == -E_CONDITION ? 0 : rc;   /* Another process was first. */
}

int setup_credential_key(struct identity *identity, struct error *err)
{
    Rs__IdentityKey  key, *list[1] = { &key };
    Rs__IdentityKeys keys = RS__IDENTITY_KEYS__INIT;
    uint8_t          secret[TOKEN_KEY_BYTES];
    struct arena     arena;

    if (model_find(&identity->model, MODEL_CREDENTIAL_KEYS, "credential_keys"))
        return 0;
    struct api_write *w = malloc(sizeof *w);
    if (w == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    init_key(identity, &key, secret);
    keys.keys = list;
    keys.n_keys = 1;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    api_write_init(w, &arena);
    api_require(w, CONTROL_IF_MISSING, 0, "credential_keys");
    api_put(w, &keys.base, "credential_keys");
    /* Nobody follows the store yet: it is read again. */
    int rc = w->rc ? w->rc : control_txn(identity->control, w->compare, w->compares, w->op, w->ops, NULL, NULL);
    for (uint32_t i = 0; i < w->ops; i++)
        explicit_bzero((void *)(uintptr_t)w->op[i].value.data, w->op[i].value.size);
    explicit_bzero(secret, sizeof secret);
    arena_done(&arena);
    free(w);
    if (rc == 0 || rc == -E_CONDITION)   /* Or another process was first. */
        rc = model_load(&identity->model);
    return rc ? error_set(err, rc, "cannot make the key of credentials: %s", error_text(rc)) : 0;
}

int setup_forget_revoked(struct identity *identity)
{
    enum { AT_ONCE = 100 };
    int64_t           now_us = env_wall(identity->env) / NS_PER_US;
    struct arena      arena;
    struct api_write *w = malloc(sizeof *w);

    if (w == NULL)
        return -ENOMEM;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    api_write_init(w, &arena);
    for (const struct model_object *o = identity->model.first[MODEL_REVOKED]; o && w->ops < AT_ONCE; o = o->after) {
        if (MODEL_OBJECT(o, Rs__IdentityRevocation)->expires_us < now_us)
            api_drop(w, CONTROL_DELETE, "%s", o->key);
    }
    int rc = w->ops ? api_write_commit(w, identity) : 0;
    bool more = w->ops == AT_ONCE;
    arena_done(&arena);
    free(w);
    return rc ? rc : more ? -EAGAIN : 0;
}

/* --- The first run. --- */

struct first {
    struct identity  *identity;
    struct arena     *arena;
    struct api_write  w;
    char              admin_role[IDENTITY_ID_MAX], member_role[IDENTITY_ID_MAX], reader_role[IDENTITY_ID_MAX];
};

static void add_role(struct first *f, const char *id, const char *name, const char *implies)
{
    Rs__IdentityRole role = RS__IDENTITY_ROLE__INIT;
    char            *list[1] = { (char *)(uintptr_t)implies };

    role.id = (char *)(uintptr_t)id;
    role.name = (char *)(uintptr_t)name;
    role.implies = list;
    role.n_implies = implies ? 1 : 0;
    api_put(&f->w, &role.base, "role/%s", id);
    api_put_name(&f->w, id, "role", "", name);
}

static void add_project(struct first *f, const char *id, const char *name, const char *description)
{
    Rs__IdentityProject project = RS__IDENTITY_PROJECT__INIT;

    project.id = (char *)(uintptr_t)id;
    project.name = (char *)(uintptr_t)name;
    project.domain_id = (char *)(uintptr_t)DOMAIN_DEFAULT;
    project.description = (char *)(uintptr_t)description;
    project.enabled = true;
    api_put(&f->w, &project.base, "project/%s", id);
    api_put_name(&f->w, id, "project", DOMAIN_DEFAULT, name);
}

static void add_grant(struct first *f, char kind, const char *target, const char *user, const char *role)
{
    Rs__IdentityGrant grant = RS__IDENTITY_GRANT__INIT;
    char             *list[1] = { (char *)(uintptr_t)role };

    grant.role_ids = list;
    grant.n_role_ids = 1;
    api_put(&f->w, &grant.base, "grant/%c/%s/%s", kind, target, user);
}

/* A user and the project of the same name. */
WAITS static int add_account(struct first *f, const char *name, const char *role, const char *password, bool admin)
{
    Rs__IdentityUser user = RS__IDENTITY_USER__INIT;
    char             user_id[IDENTITY_ID_MAX], project_id[IDENTITY_ID_MAX], hash[PASSWORD_HASH_MAX];

    int rc = password_hash(f->identity->guard, slice_str(password), hash);
    if (rc)
        return rc;
    identity_new_id(f->identity, user_id);
    identity_new_id(f->identity, project_id);
    user.id = user_id;
    user.name = (char *)(uintptr_t)name;
    user.domain_id = (char *)(uintptr_t)DOMAIN_DEFAULT;
    user.enabled = true;
    user.default_project_id = project_id;
    user.password_hash = hash;
    api_put(&f->w, &user.base, "user/%s", user_id);
    api_put_name(&f->w, user_id, "user", DOMAIN_DEFAULT, name);
    add_project(f, project_id, name, admin ? "Bootstrap project of the administrator" : "For trying things out");
    add_grant(f, 'p', project_id, user_id, role);
    if (admin)
        add_grant(f, 'd', DOMAIN_DEFAULT, user_id, role);
    explicit_bzero(hash, sizeof hash);
    return 0;
}

WAITS static int fill_first(struct first *f, const char *admin_password, const char *demo_password)
{
    struct identity     *identity = f->identity;
    Rs__IdentityDomain   domain = RS__IDENTITY_DOMAIN__INIT;
    Rs__IdentityKeys     keys = RS__IDENTITY_KEYS__INIT;
    Rs__IdentityKey      key, *list[1] = { &key };
    uint8_t              secret[TOKEN_KEY_BYTES];

    domain.id = (char *)(uintptr_t)DOMAIN_DEFAULT;
    domain.name = (char *)(uintptr_t)"Default";
    domain.description = (char *)(uintptr_t)"The default domain";
    domain.enabled = true;
    api_require(&f->w, CONTROL_IF_MISSING, 0, "domain/%s", DOMAIN_DEFAULT);
    api_put(&f->w, &domain.base, "domain/%s", DOMAIN_DEFAULT);
    api_put_name(&f->w, DOMAIN_DEFAULT, "domain", "", "Default");

    identity_new_id(identity, f->admin_role);
    identity_new_id(identity, f->member_role);
    identity_new_id(identity, f->reader_role);
    add_role(f, f->admin_role, "admin", f->member_role);
    add_role(f, f->member_role, "member", f->reader_role);
    add_role(f, f->reader_role, "reader", NULL);

    init_key(identity, &key, secret);
    keys.keys = list;
    keys.n_keys = 1;
    api_put(&f->w, &keys.base, "keys");
    explicit_bzero(secret, sizeof secret);

    int rc = add_account(f, "admin", f->admin_role, admin_password, true);
    return rc ? rc : add_account(f, "demo", f->member_role, demo_password, false);
}

int setup_first(struct identity *identity, const struct identity_options *options, struct arena *arena,
                char **ret_admin_password, char **ret_demo_password, struct error *err)
{
    char *admin = options->admin_password ? arena_str(arena, slice_str(options->admin_password))
                                          : random_password(identity, arena);
    char *demo = options->demo_password ? arena_str(arena, slice_str(options->demo_password))
                                        : random_password(identity, arena);

    if (model_domain(&identity->model, DOMAIN_DEFAULT))
        return 0;
    if (admin == NULL || demo == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (admin[0] == '\0' || strlen(admin) > IDENTITY_PASSWORD_MAX)
        return error_set(err, -E_LIMIT, "the admin password has 1 to %d bytes", IDENTITY_PASSWORD_MAX);
    struct first *f = calloc(1, sizeof *f);
    if (f == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    struct arena scratch;
    arena_init(&scratch, ARENA_LIMIT_DEFAULT);
    f->identity = identity;
    f->arena = &scratch;
    api_write_init(&f->w, &scratch);
    int rc = fill_first(f, admin, demo);
    uint64_t revision = 0;
    if (rc == 0)
        rc = f->w.rc;
    if (rc == 0)
        rc = control_txn(identity->control, f->w.compare, f->w.compares, f->w.op, f->w.ops, &revision, NULL);
    for (uint32_t i = 0; i < f->w.ops; i++)
        explicit_bzero((void *)(uintptr_t)f->w.op[i].value.data, f->w.op[i].value.size);
    arena_done(&scratch);
    free(f);
    if (rc == 0) {
        *ret_admin_password = admin;
        *ret_demo_password = demo;
    } else if (rc == -E_CONDITION) {
        rc = 0;   /* Another process was first. */
    }
    if (rc == 0)
        rc = model_load(&identity->model);
    return rc ? error_set(err, rc, "cannot set up identity: %s", error_text(rc)) : 0;
}
