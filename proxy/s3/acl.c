/* proxy/s3/acl.c - see acl.h. */
#include "proxy/s3/acl.h"

#include <strings.h>

#define GROUP_URI "http://acs.amazonaws.com/groups/"

static const struct {
    enum acl_grantee grantee;
    const char      *uri;
} groups[] = {
    { ACL_ALL_USERS, GROUP_URI "global/AllUsers" },
    { ACL_AUTHENTICATED_USERS, GROUP_URI "global/AuthenticatedUsers" },
    { ACL_LOG_DELIVERY, GROUP_URI "s3/LogDelivery" },
};
enum { GROUP_COUNT = sizeof groups / sizeof *groups };

static const struct {
    uint32_t    permission;
    const char *name;
} permissions[] = {
    { ACL_READ, "READ" },           { ACL_WRITE, "WRITE" },
    { ACL_READ_ACP, "READ_ACP" },   { ACL_WRITE_ACP, "WRITE_ACP" },
    { ACL_FULL_CONTROL, "FULL_CONTROL" },
};
enum { PERMISSION_COUNT = sizeof permissions / sizeof *permissions };

static bool is(struct slice text, const char *name)
{
    return slice_equal(text, slice_str(name));
}

static struct slice bytes_of(ProtobufCBinaryData data)
{
    return slice_of(data.data, data.len);
}

static int keep(struct arena *arena, struct slice text, ProtobufCBinaryData *ret)
{
    struct slice copy = arena_dup(arena, text);

    if (!copy.data)
        return -ENOMEM;
    *ret = (ProtobufCBinaryData) { copy.size, (uint8_t *)(uintptr_t)copy.data };
    return 0;
}

/* --- Making. --- */

static int acl_new(struct arena *arena, const struct acl_person *owner, Rs__Acl **ret)
{
    Rs__Acl *acl = arena_new(arena, Rs__Acl);

    if (!acl)
        return -ENOMEM;
    rs__acl__init(acl);
    acl->grants = arena_array(arena, Rs__Grant *, ACL_GRANTS_MAX);
    if (!acl->grants || keep(arena, owner->id, &acl->owner) || keep(arena, owner->name, &acl->owner_name))
        return -ENOMEM;
    *ret = acl;
    return 0;
}

/* Groups stand before users; each in the order in which they came. */
static int add_grant(struct arena *arena, Rs__Acl *acl, enum acl_grantee grantee, const struct acl_person *person,
                     uint32_t permission, struct error *err)
{
    Rs__Grant *grant = arena_new(arena, Rs__Grant);
    size_t     at = acl->n_grants;

    if (acl->n_grants == ACL_GRANTS_MAX)
        return error_set(err, S3_MALFORMED_ACL, "An ACL has at most %d grants.", ACL_GRANTS_MAX);
    if (!grant)
        return -ENOMEM;
    rs__grant__init(grant);
    grant->grantee = grantee;
    grant->permission = permission;
    if (person && (keep(arena, person->id, &grant->id) || keep(arena, person->name, &grant->display_name)))
        return -ENOMEM;
    while (grantee != ACL_USER && at > 0 && acl->grants[at - 1]->grantee == ACL_USER)
        at--;
    memmove(acl->grants + at + 1, acl->grants + at, (acl->n_grants - at) * sizeof *acl->grants);
    acl->grants[at] = grant;
    acl->n_grants++;
    return 0;
}

/* What a canned ACL gives beside full control to the owner. */
static const struct {
    const char *name;
    uint32_t    grants[2][2];      /* Group and permission; 0: none. */
    uint32_t    bucket_owner;      /* Permission, on objects. */
    bool        buckets_only;
} canned[] = {
    { "private", { { 0 } }, 0, false },
    { "public-read", { { ACL_ALL_USERS, ACL_READ } }, 0, false },
    { "public-read-write", { { ACL_ALL_USERS, ACL_READ }, { ACL_ALL_USERS, ACL_WRITE } }, 0, false },
    { "authenticated-read", { { ACL_AUTHENTICATED_USERS, ACL_READ } }, 0, false },
    { "bucket-owner-read", { { 0 } }, ACL_READ, false },
    { "bucket-owner-full-control", { { 0 } }, ACL_FULL_CONTROL, false },
    { "log-delivery-write", { { ACL_LOG_DELIVERY, ACL_WRITE }, { ACL_LOG_DELIVERY, ACL_READ_ACP } }, 0, true },
};

int s3_acl_canned(struct arena *arena, struct slice name, bool of_bucket, const struct acl_person *owner,
                  const struct acl_person *bucket_owner, Rs__Acl **ret_acl, struct error *err)
{
    Rs__Acl *acl;
    size_t   i = 0;
    int      rc;

    if (is(name, "aws-exec-read"))
        return s3_fail(err, S3_NOT_IMPLEMENTED);
    while (name.size && i < sizeof canned / sizeof *canned && !is(name, canned[i].name))
        i++;
    if (i == sizeof canned / sizeof *canned || (canned[i].buckets_only && !of_bucket))
        return error_set(err, S3_INVALID_ARGUMENT, "The canned ACL is not known.");
    rc = acl_new(arena, owner, &acl);
    for (int g = 0; rc == 0 && g < 2 && canned[i].grants[g][0]; g++)
        rc = add_grant(arena, acl, (enum acl_grantee)canned[i].grants[g][0], NULL, canned[i].grants[g][1], err);
    if (rc == 0)
        rc = add_grant(arena, acl, ACL_USER, owner, ACL_FULL_CONTROL, err);
    if (rc == 0 && canned[i].bucket_owner && !of_bucket && !slice_equal(owner->id, bucket_owner->id))
        rc = add_grant(arena, acl, ACL_USER, bucket_owner, canned[i].bucket_owner, err);
    if (rc == 0)
        *ret_acl = acl;
    return rc;
}

/* --- Grants by name. --- */

static int add_by_id(struct arena *arena, Rs__Acl *acl, const struct acl_names *names, struct slice id,
                     uint32_t permission, struct error *err)
{
    struct acl_person person = { .id = id };
    int               rc;

    if (id.size == 0)
        return error_set(err, S3_INVALID_ARGUMENT, "Invalid id");
    rc = names->by_id(names->ctx, id, arena, &person.name);
    if (rc == -ENOENT)
        return error_set(err, S3_INVALID_ARGUMENT, "Invalid id");
    return rc ? rc : add_grant(arena, acl, ACL_USER, &person, permission, err);
}

static int add_by_email(struct arena *arena, Rs__Acl *acl, const struct acl_names *names, struct slice email,
                        uint32_t permission, struct error *err)
{
    struct acl_person person;
    int               rc = email.size ? names->by_email(names->ctx, email, arena, &person) : -ENOENT;

    if (rc == -ENOENT)
        return s3_fail(err, S3_UNRESOLVABLE_GRANT_BY_EMAIL);
    return rc ? rc : add_grant(arena, acl, ACL_USER, &person, permission, err);
}

static int add_by_uri(struct arena *arena, Rs__Acl *acl, struct slice uri, uint32_t permission, struct error *err)
{
    for (int i = 0; i < GROUP_COUNT; i++)
        if (is(uri, groups[i].uri))
            return add_grant(arena, acl, groups[i].grantee, NULL, permission, err);
    return error_set(err, S3_INVALID_ARGUMENT, "Invalid group uri");
}

/* --- Headers. --- */

bool s3_acl_headers_given(const struct acl_headers *h)
{
    return h->canned.data || h->read.data || h->write.data || h->read_acp.data || h->write_acp.data ||
           h->full_control.data;
}

static bool name_is(struct slice text, const char *name)
{
    return text.size == strlen(name) && strncasecmp((const char *)text.data, name, text.size) == 0;
}

/* The next 'id="..."' of a grant header, with or without quotes; false at the end. A value cannot hold a comma
 * outside of quotes. */
static bool next_grantee(struct slice *rest, struct slice *ret_key, struct slice *ret_value, bool *ret_bad)
{
    *rest = xml_trim(*rest);
    if (rest->size == 0)
        return false;
    const uint8_t *equals = memchr(rest->data, '=', rest->size);
    *ret_bad = equals == NULL;
    if (!equals)
        return true;
    *ret_key = xml_trim(slice_of(rest->data, (size_t)(equals - rest->data)));
    *rest = xml_trim(slice_from(*rest, (size_t)(equals - rest->data) + 1));
    if (rest->size && rest->data[0] == '"') {
        const uint8_t *end = memchr(rest->data + 1, '"', rest->size - 1);
        *ret_bad = end == NULL;
        if (!end)
            return true;
        *ret_value = slice_of(rest->data + 1, (size_t)(end - rest->data) - 1);
        *rest = xml_trim(slice_from(*rest, ret_value->size + 2));
        *ret_bad = rest->size && rest->data[0] != ',';
        *rest = slice_from(*rest, rest->size > 0);
        return true;
    }
    const uint8_t *comma = rest->size ? memchr(rest->data, ',', rest->size) : NULL;
    size_t         size = comma ? (size_t)(comma - rest->data) : rest->size;
    *ret_value = xml_trim(slice_of(rest->data, size));
    *rest = slice_from(*rest, size + (comma != NULL));
    return true;
}

static int add_header(struct arena *arena, Rs__Acl *acl, const struct acl_names *names, struct slice header,
                      uint32_t permission, struct error *err)
{
    struct slice key, value;
    bool         bad = false;
    int          rc = 0;

    if (header.size > ACL_HEADER_BYTES_MAX)
        return error_set(err, S3_INVALID_ARGUMENT, "A grant header is too long.");
    while (rc == 0 && next_grantee(&header, &key, &value, &bad)) {
        if (bad)
            return error_set(err, S3_INVALID_ARGUMENT, "Argument format not recognized");
        if (name_is(key, "id"))
            rc = add_by_id(arena, acl, names, value, permission, err);
        else if (name_is(key, "emailaddress"))
            rc = add_by_email(arena, acl, names, value, permission, err);
        else if (name_is(key, "uri"))
            rc = add_by_uri(arena, acl, value, permission, err);
        else
            return error_set(err, S3_INVALID_ARGUMENT, "Argument format not recognized");
    }
    return rc;
}

int s3_acl_from_headers(struct arena *arena, const struct acl_headers *h, bool of_bucket,
                        const struct acl_person *owner, const struct acl_person *bucket_owner,
                        const struct acl_names *names, Rs__Acl **ret_acl, struct error *err)
{
    const struct slice headers[PERMISSION_COUNT] = {h->read, h->write, h->read_acp, h->write_acp,
                                                    h->full_control};
    bool               grants = false;
    Rs__Acl           *acl;
    int                rc;

    for (int i = 0; i < PERMISSION_COUNT; i++)
        grants |= headers[i].data != NULL;
    if (!grants)
        return h->canned.data && h->canned.size == 0
                   ? error_set(err, S3_INVALID_ARGUMENT, "The canned ACL is not known.")
                   : s3_acl_canned(arena, h->canned, of_bucket, owner, bucket_owner, ret_acl, err);
    if (h->canned.data)
        return error_set(err, S3_INVALID_REQUEST, "A canned ACL and grants exclude each other.");
    rc = acl_new(arena, owner, &acl);
    for (int i = 0; rc == 0 && i < PERMISSION_COUNT; i++)
        rc = add_header(arena, acl, names, headers[i], permissions[i].permission, err);
    if (rc == 0)
        *ret_acl = acl;
    return rc;
}

/* --- XML. --- */

static int add_node(struct arena *arena, Rs__Acl *acl, const struct acl_names *names, const struct xml_node *node,
                    struct error *err)
{
    const struct xml_node *grantee = xml_child(node, "Grantee");
    struct slice           word = xml_word(node, "Permission");
    uint32_t               permission = 0;

    if (!xml_fits(node, "Grantee Permission") ||
        !xml_fits(grantee, "ID? DisplayName? EmailAddress? URI?"))
        return s3_fail(err, S3_MALFORMED_ACL);
    for (int i = 0; i < PERMISSION_COUNT; i++)
        if (is(word, permissions[i].name))
            permission = permissions[i].permission;
    if (permission == 0)
        return s3_fail(err, S3_MALFORMED_ACL);
    /* The type is an attribute that some clients leave out; the element tells as much. */
    if (grantee->type.size && !is(grantee->type, "CanonicalUser") && !is(grantee->type, "Group") &&
        !is(grantee->type, "AmazonCustomerByEmail"))
        return s3_fail(err, S3_MALFORMED_ACL);
    if (is(grantee->type, "Group") || (grantee->type.size == 0 && xml_child(grantee, "URI")))
        return add_by_uri(arena, acl, xml_word(grantee, "URI"), permission, err);
    if (is(grantee->type, "AmazonCustomerByEmail") ||
        (grantee->type.size == 0 && xml_child(grantee, "EmailAddress")))
        return add_by_email(arena, acl, names, xml_word(grantee, "EmailAddress"), permission, err);
    return add_by_id(arena, acl, names, xml_word(grantee, "ID"), permission, err);
}

int s3_acl_from_xml(struct arena *arena, struct slice document, const struct acl_person *owner,
                    const struct acl_names *names, Rs__Acl **ret_acl, struct error *err)
{
    struct xml_node       *root;
    const struct xml_node *list;
    Rs__Acl               *acl;
    int                    rc = xml_parse(arena, document, "AccessControlPolicy", &root, err);

    if (rc)
        return rc;
    list = xml_child(root, "AccessControlList");
    if (!xml_fits(root, "Owner AccessControlList?") || !xml_child(xml_child(root, "Owner"), "ID") ||
        (list && !xml_fits(list, "Grant*")))
        return s3_fail(err, S3_MALFORMED_ACL);
    if (!slice_equal(xml_word(xml_child(root, "Owner"), "ID"), owner->id))
        return error_set(err, S3_ACCESS_DENIED, "The owner cannot be changed by an ACL.");
    rc = acl_new(arena, owner, &acl);
    for (const struct xml_node *n = xml_child(list, "Grant"); rc == 0 && n; n = xml_again(n))
        rc = add_node(arena, acl, names, n, err);
    if (rc == 0)
        *ret_acl = acl;
    return rc;
}

static void write_grant(struct text *t, const Rs__Grant *grant)
{
    text_lit(t, "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"");
    text_add(t, grant->grantee == ACL_USER ? SLICE("CanonicalUser\">") : SLICE("Group\">"));
    if (grant->grantee == ACL_USER) {
        xml_leaf(t, "ID", bytes_of(grant->id));
        if (grant->display_name.len)
            xml_leaf(t, "DisplayName", bytes_of(grant->display_name));
    }
    for (int i = 0; i < GROUP_COUNT; i++)
        if (grant->grantee == groups[i].grantee)
            xml_leaf(t, "URI", slice_str(groups[i].uri));
    text_lit(t, "</Grantee>");
    for (int i = 0; i < PERMISSION_COUNT; i++)
        if (grant->permission == permissions[i].permission)
            xml_leaf(t, "Permission", slice_str(permissions[i].name));
    text_lit(t, "</Grant>");
}

void s3_acl_write(struct text *t, const Rs__Acl *acl)
{
    xml_begin(t, "AccessControlPolicy");
    xml_open(t, "Owner");
    xml_leaf(t, "ID", bytes_of(acl->owner));
    if (acl->owner_name.len)
        xml_leaf(t, "DisplayName", bytes_of(acl->owner_name));
    xml_close(t, "Owner");
    xml_open(t, "AccessControlList");
    for (size_t i = 0; i < acl->n_grants; i++)
        write_grant(t, acl->grants[i]);
    xml_close(t, "AccessControlList");
    xml_close(t, "AccessControlPolicy");
}

/* --- Judging. --- */

static bool grantee_is(const Rs__Grant *grant, struct slice project_id, bool ignore_public)
{
    switch (grant->grantee) {
    case ACL_USER: return project_id.size && slice_equal(bytes_of(grant->id), project_id);
    case ACL_ALL_USERS: return !ignore_public;
    case ACL_AUTHENTICATED_USERS: return !ignore_public && project_id.size;
    default: return false;
    }
}

bool s3_acl_allows(const Rs__Acl *acl, struct slice project_id, uint32_t permission, bool ignore_public)
{
    uint32_t have = 0;

    if (project_id.size && slice_equal(bytes_of(acl->owner), project_id))
        have |= ACL_READ_ACP | ACL_WRITE_ACP;
    for (size_t i = 0; i < acl->n_grants; i++)
        if (grantee_is(acl->grants[i], project_id, ignore_public))
            have |= acl->grants[i]->permission;
    return permission != 0 && (have & permission) == permission;
}

bool s3_acl_is_public(const Rs__Acl *acl)
{
    for (size_t i = 0; i < acl->n_grants; i++)
        if (acl->grants[i]->grantee == ACL_ALL_USERS || acl->grants[i]->grantee == ACL_AUTHENTICATED_USERS)
            return true;
    return false;
}

bool s3_acl_grants_others(const Rs__Acl *acl, struct slice owner_id)
{
    for (size_t i = 0; i < acl->n_grants; i++)
        if (acl->grants[i]->grantee != ACL_USER || !slice_equal(bytes_of(acl->grants[i]->id), owner_id))
            return true;
    return false;
}

/* --- Ownership. --- */

static const char *const ownerships[] = {
    [OWNERSHIP_OBJECT_WRITER] = "ObjectWriter",
    [OWNERSHIP_BUCKET_OWNER_PREFERRED] = "BucketOwnerPreferred",
    [OWNERSHIP_BUCKET_OWNER_ENFORCED] = "BucketOwnerEnforced",
};

const char *s3_ownership_name(enum s3_ownership ownership)
{
    return ownerships[ownership];
}

bool s3_ownership_of(struct slice name, enum s3_ownership *ret)
{
    for (size_t i = 0; i < sizeof ownerships / sizeof *ownerships; i++)
        if (is(name, ownerships[i])) {
            *ret = (enum s3_ownership)i;
            return true;
        }
    return false;
}

int s3_ownership_check(enum s3_ownership ownership, const struct acl_headers *h, struct slice bucket_owner_id,
                       struct error *err)
{
    struct slice rest = h->full_control, key, value;
    bool         bad = false;

    if (ownership != OWNERSHIP_BUCKET_OWNER_ENFORCED || !s3_acl_headers_given(h))
        return 0;
    if (h->read.data || h->write.data || h->read_acp.data || h->write_acp.data ||
        (h->canned.data && !is(h->canned, "bucket-owner-full-control")))
        return s3_fail(err, S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED);
    while (next_grantee(&rest, &key, &value, &bad))
        if (bad || !name_is(key, "id") || !slice_equal(value, bucket_owner_id))
            return s3_fail(err, S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED);
    return 0;
}

bool s3_ownership_takes(enum s3_ownership ownership, const struct acl_headers *h)
{
    return ownership == OWNERSHIP_BUCKET_OWNER_ENFORCED ||
           (ownership == OWNERSHIP_BUCKET_OWNER_PREFERRED && is(h->canned, "bucket-owner-full-control"));
}
