/* identity/remove.c - deleting users, projects, domains, roles and credentials, with what hangs on them.
 *
 * The object and its name go in one transaction, which ends every use of it at
 * once: grants and credentials that name something missing mean nothing. They
 * are swept up afterwards, in pieces. */
#include <stdlib.h>

#include "identity/private.h"

enum { AT_ONCE = 100 };   /* Grants swept in one transaction. */

struct sweep {
    struct arena     arena;
    struct api_write w;
};

static struct sweep *sweep_new(void)
{
    struct sweep *s = calloc(1, sizeof *s);

    if (s) {
        arena_init(&s->arena, ARENA_LIMIT_DEFAULT);
        api_write_init(&s->w, &s->arena);
    }
    return s;
}

static struct sweep *sweep_free(struct sweep *s)
{
    if (s)
        arena_done(&s->arena);
    free(s);
    return NULL;
}

/* Does the grant with this key ("grant/p/TARGET/USER") concern it? */
static bool grant_concerns(const char *key, char kind, const char *target, const char *user)
{
    const char *name = key + 8, *slash = strchr(name, '/');

    if (slash == NULL)
        return false;
    if (user)
        return strcmp(slash + 1, user) == 0;
    return key[6] == kind && (size_t)(slash - name) == strlen(target) && memcmp(name, target, strlen(target)) == 0;
}

/* Deletes the grants of a target, or of a user on anything. */
WAITS static int sweep_grants(struct identity *identity, char kind, const char *target, const char *user)
{
    bool more = true;
    int  rc = 0;

    while (more && rc == 0) {
        struct sweep *s = sweep_new();
        if (s == NULL)
            return -ENOMEM;
        for (const struct model_object *o = identity->model.first[MODEL_GRANT]; o && s->w.ops < AT_ONCE; o = o->after) {
            if (grant_concerns(o->key, kind, target, user))
                api_drop(&s->w, CONTROL_DELETE, "%s", o->key);
        }
        more = s->w.ops == AT_ONCE;
        rc = s->w.ops ? api_write_commit(&s->w, identity) : 0;
        sweep_free(s);
    }
    return rc;
}

/* The object and its name, in one transaction. */
WAITS static int drop(struct identity *identity, const char *kind, const char *id, const char *domain,
                      const char *name)
{
    struct sweep *s = sweep_new();

    if (s == NULL)
        return -ENOMEM;
    api_require(&s->w, CONTROL_IF_EXISTS, 0, "%s/%s", kind, id);
    api_require(&s->w, CONTROL_IF_EXISTS, 0, "name/%s/%s/%s", kind, domain, name);
    api_drop(&s->w, CONTROL_DELETE, "%s/%s", kind, id);
    api_drop(&s->w, CONTROL_DELETE, "name/%s/%s/%s", kind, domain, name);
    int rc = api_write_commit(&s->w, identity);
    sweep_free(s);
    return rc;
}

/* --- Credentials. --- */

static void drop_credential(struct sweep *s, const struct model_object *object)
{
    const Rs__IdentityCredential *credential = MODEL_OBJECT(object, Rs__IdentityCredential);

    api_drop(&s->w, CONTROL_DELETE, "%s", object->key);
    if (credential->access_hash[0])
        api_drop(&s->w, CONTROL_DELETE, "name/access//%s", credential->access_hash);
}

int remove_credential(struct identity *identity, const char *id)
{
    char                       key[MODEL_KEY_MAX];
    const struct model_object *object = id[0] && model_key(key, "credential/%s", id) == 0
                                            ? model_find(&identity->model, MODEL_CREDENTIAL, key) : NULL;

    if (object == NULL)
        return -ENOENT;
    struct sweep *s = sweep_new();
    if (s == NULL)
        return -ENOMEM;
    api_require(&s->w, CONTROL_IF_MOD_REVISION, object->mod_revision, "%s", key);
    drop_credential(s, object);
    int rc = api_write_commit(&s->w, identity);
    sweep_free(s);
    return rc;
}

static bool is_orphan(struct identity *identity, const Rs__IdentityCredential *credential)
{
    return model_user(&identity->model, credential->user_id) == NULL ||
           (credential->project_id[0] && model_project(&identity->model, credential->project_id) == NULL);
}

int remove_orphans(struct identity *identity)
{
    enum { FEW = 14 };   /* Two deletes and one condition each. */
    bool more = true;
    int  rc = 0;

    while (more && rc == 0) {
        struct sweep *s = sweep_new();
        if (s == NULL)
            return -ENOMEM;
        for (const struct model_object *o = identity->model.first[MODEL_CREDENTIAL]; o && s->w.compares < FEW; o = o->after) {
            if (!is_orphan(identity, MODEL_OBJECT(o, Rs__IdentityCredential)))
                continue;
            api_require(&s->w, CONTROL_IF_MOD_REVISION, o->mod_revision, "%s", o->key);
            drop_credential(s, o);
        }
        more = s->w.compares == FEW;
        rc = s->w.ops ? api_write_commit(&s->w, identity) : 0;
        sweep_free(s);
    }
    return rc == -E_CONDITION ? 0 : rc;   /* Somebody else sweeps too, and the next look finds what is left. */
}

/* --- Users, projects, domains, roles. --- */

int remove_user(struct identity *identity, const char *id)
{
    const Rs__IdentityUser *user = model_user(&identity->model, id);
    if (user == NULL)
        return -ENOENT;
    int rc = drop(identity, "user", id, user->domain_id, user->name);
    if (rc == 0)
        rc = sweep_grants(identity, 0, NULL, id);
    return rc ? rc : remove_orphans(identity);
}

int remove_project(struct identity *identity, const char *id)
{
    const Rs__IdentityProject *project = model_project(&identity->model, id);
    if (project == NULL)
        return -ENOENT;
    int rc = drop(identity, "project", id, project->domain_id, project->name);
    if (rc == 0)
        rc = sweep_grants(identity, 'p', id, NULL);
    return rc ? rc : remove_orphans(identity);
}

/* One of the domain's users or projects; its id is copied, since removing it waits. */
static bool one_in_domain(struct identity *identity, const char *domain, enum model_kind kind,
                          char ret_id[IDENTITY_ID_MAX])
{
    for (const struct model_object *o = identity->model.first[kind]; o; o = o->after) {
        const char *in = kind == MODEL_USER ? MODEL_OBJECT(o, Rs__IdentityUser)->domain_id
                                            : MODEL_OBJECT(o, Rs__IdentityProject)->domain_id;
        const char *id = kind == MODEL_USER ? MODEL_OBJECT(o, Rs__IdentityUser)->id
                                            : MODEL_OBJECT(o, Rs__IdentityProject)->id;
        if (strcmp(in, domain) == 0 && strlen(id) < IDENTITY_ID_MAX) {
            text_copy(ret_id, IDENTITY_ID_MAX, id);
            return true;
        }
    }
    return false;
}

int remove_domain(struct identity *identity, const char *domain_id)
{
    const Rs__IdentityDomain *domain = model_domain(&identity->model, domain_id);
    char                      id[IDENTITY_ID_MAX];
    int                       rc = 0;

    if (domain == NULL)
        return -ENOENT;
    if (domain->enabled || strcmp(domain_id, DOMAIN_DEFAULT) == 0)
        return -E_FORBIDDEN;
    while (rc == 0 && one_in_domain(identity, domain_id, MODEL_USER, id))
        rc = remove_user(identity, id);
    while (rc == 0 && one_in_domain(identity, domain_id, MODEL_PROJECT, id))
        rc = remove_project(identity, id);
    if (rc)
        return rc;
    domain = model_domain(&identity->model, domain_id);
    if (domain == NULL)
        return -ENOENT;
    rc = drop(identity, "domain", domain_id, "", domain->name);
    return rc ? rc : sweep_grants(identity, 'd', domain_id, NULL);
}

int remove_role(struct identity *identity, const char *id)
{
    const Rs__IdentityRole *role = model_role(&identity->model, id);
    return role ? drop(identity, "role", id, "", role->name) : -ENOENT;
}
