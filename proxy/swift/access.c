/* proxy/swift/access.c - the one place of this dialect that says who may do what.
 *
 * The role "admin" or "member" on a project gives all of its account
 * AUTH_<project id>, "reader" its reading. The role "admin" on the project named
 * "admin" of the Default domain is the reseller: all accounts. Others go by the container's lists.
 * Who may not learns nothing about existence: 401 without a valid token, else 403. */
#include <strings.h>

#include "proxy/swift/call.h"

static const struct slice reseller_prefix = { (const uint8_t *)"AUTH_", 5 };

/* Fills the call's flags from the token; the context is not kept, since it is borrowed until the next wait. */
static const struct identity_context *look(struct call *c, struct slice account)
{
    bool                           present;
    const struct identity_context *who = identity_of_request(c->swift->identity, c->rq, &present);

    c->known = who != NULL;
    c->owner = c->reseller = false;
    if (!who)
        return NULL;
    if (!c->rq->user.data) {
        c->rq->user = arena_dup(c->arena, slice_str(who->user_id));
        c->rq->project = arena_dup(c->arena, slice_str(who->project_id));
    }
    if (who->project_id[0]) {
        bool admin = identity_has_role(who, "admin");
        bool own = slice_starts(account, reseller_prefix) &&
                   slice_equal(slice_from(account, reseller_prefix.size), slice_str(who->project_id));
        c->reseller = identity_has_role(who, "ResellerAdmin") ||
                      (admin && strcmp(who->project_name, "admin") == 0 && strcmp(who->project_domain_id, "default") == 0);
        c->owner = c->reseller || (own && (admin || identity_has_role(who, "member")));
    }
    return who;
}

static bool reads_own(const struct identity_context *who, struct slice account)
{
    return who && who->project_id[0] && identity_has_role(who, "reader") && slice_starts(account, reseller_prefix) &&
           slice_equal(slice_from(account, reseller_prefix.size), slice_str(who->project_id));
}

int access_account(struct call *c, bool write)
{
    const struct identity_context *who = look(c, c->account);

    if (c->owner || (!write && reads_own(who, c->account)))
        return 0;
    return c->known ? 403 : 401;
}

static bool listed(const struct identity_context *who, struct slice acl)
{
    struct slice   roles[IDENTITY_ROLES_MAX];
    struct acl_who w = { 0 };

    if (!who || acl.size == 0)
        return false;
    w.user_id = slice_str(who->user_id);
    w.user_name = slice_str(who->user_name);
    w.project_id = slice_str(who->project_id);
    w.project_name = slice_str(who->project_name);
    /* Names say nothing outside of the Default domain: another domain may have the same. */
    if (strcmp(who->user_domain_id, "default") != 0)
        w.user_name = SLICE_NONE;
    if (strcmp(who->project_domain_id, "default") != 0)
        w.project_name = SLICE_NONE;
    w.roles = roles;
    w.role_count = who->role_count <= IDENTITY_ROLES_MAX ? who->role_count : IDENTITY_ROLES_MAX;
    for (uint32_t i = 0; i < w.role_count; i++)
        roles[i] = slice_str(who->roles[i]);
    return acl_user(acl, &w);
}

int access_container(struct call *c, const struct container *container, struct slice account, enum access_kind kind)
{
    const struct identity_context *who = look(c, account.size ? account : c->account);
    struct slice                   acl = SLICE_NONE;

    /* A bucket policy may deny what roles and lists here allow, and only the S3 dialect judges it: refused, when in doubt. */
    if (container && !c->reseller && container_document(container, SLICE("policy")).size) {
        c->why = c->known ? "The container has a bucket policy: use the S3 API." : NULL;
        return c->known ? 403 : 401;
    }
    if (c->owner)
        return 0;
    if ((kind == ACCESS_OBJECT_READ || kind == ACCESS_LISTING) && reads_own(who, account.size ? account : c->account))
        return 0;
    if (container && kind == ACCESS_OBJECT_WRITE)
        acl = slice_of(container->config->write_acl.data, container->config->write_acl.len);
    else if (container && kind != ACCESS_CONTAINER_WRITE)
        acl = slice_of(container->config->read_acl.data, container->config->read_acl.len);
    if (acl.size) {
        if (kind != ACCESS_OBJECT_WRITE && acl_referrer(acl, http_header(c->rq, "Referer")) &&
            (kind == ACCESS_OBJECT_READ || acl_listings(acl)))
            return 0;
        if (listed(who, acl))
            return 0;
    }
    return c->known ? 403 : 401;
}

int call_container(struct call *c, struct slice account, struct slice name, enum access_kind kind, bool fresh,
                   struct container **ret_container)
{
    struct container *container = NULL;
    int rc = container_open(c->os, account, name, fresh, call_deadline(c), &container, &c->err);

    if (rc && rc != -ENOENT)
        return rc;
    int denied = access_container(c, container, account, kind);
    if (denied || rc) {
        container_unref(container);
        return denied ? denied : rc;
    }
    *ret_container = container;
    return 0;
}
