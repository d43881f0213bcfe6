/* identity/credential_api.c - /v3/credentials: any credential of a user, its secret part a text that we keep sealed.
 *
 * Of type "ec2" the text is JSON with an access key and its secret, and a name of
 * the model leads from the access key to the credential. */
#include <stdlib.h>

#include "base/log.h"
#include "identity/resource.h"

static const struct field fields[] = {
    { "user_id", FIELD_REQUIRED | FIELD_FILTER, IDENTITY_ID_MAX - 1 },
    { "type", FIELD_REQUIRED | FIELD_FILTER, CREDENTIAL_TYPE_MAX },
    { "project_id", FIELD_NULL | FIELD_FILTER, IDENTITY_ID_MAX - 1 },
};

static void show(struct identity *identity, const ProtobufCMessage *record, json_t *object)
{
    const Rs__IdentityCredential *credential = (const Rs__IdentityCredential *)record;
    struct arena                  arena;
    struct slice                  blob;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    int rc = credential_open(identity, credential, &arena, &blob);
    if (rc)
        log_error("identity.credential", "id=\"%s\" error=%s", credential->id, error_name(rc));
    json_object_set_new(object, "blob", rc ? json_null() : json_stringn((const char *)blob.data, blob.size));
    if (rc == 0)
        explicit_bzero((void *)(uintptr_t)blob.data, blob.size);
    arena_done(&arena);
}

static bool listed(struct identity *identity, const struct http_request *rq, const struct identity_context *who,
                   const ProtobufCMessage *record)
{
    (void)identity;
    (void)rq;
    return identity_has_role(who, "admin") ||
           strcmp(((const Rs__IdentityCredential *)record)->user_id, who->user_id) == 0;
}

static const char *owner(struct identity *identity, const struct identity_context *who, const ProtobufCMessage *record)
{
    (void)identity;
    (void)who;
    return record ? ((const Rs__IdentityCredential *)record)->user_id : NULL;
}

/* The blob that the credential will have: the body's, or the one that it has. False: answered. */
WAITS static bool read_blob(struct change *c, struct slice *ret_blob)
{
    bool         bad = false;
    struct slice blob = json_text(c->body, "blob", &bad);

    if (bad || blob.size > CREDENTIAL_BLOB_MAX || (blob.data == NULL && c->old == NULL)) {
        reply_error(c->identity, c->rq, 400, "'blob' is a required property, a text of up to %d bytes",
                    CREDENTIAL_BLOB_MAX);
        return false;
    }
    int rc = 0;
    if (blob.data == NULL)
        rc = credential_open(c->identity, OLD(c, Rs__IdentityCredential), &c->rq->arena, &blob);
    if (rc)
        reply_code(c->identity, c->rq, rc, "credential");
    else
        *ret_blob = blob;
    return rc == 0;
}

/* What type ec2 demands. False: answered. */
WAITS static bool accept_ec2(struct change *c, struct slice blob)
{
    Rs__IdentityCredential *credential = RECORD(c, Rs__IdentityCredential);
    struct ec2_blob         ec2;
    char                   *hash = arena_alloc(&c->rq->arena, SHA256_TEXT);

    if (hash == NULL) {
        reply_code(c->identity, c->rq, -ENOMEM, "credential");
        return false;
    }
    if (credential->project_id[0] == '\0') {
        reply_error(c->identity, c->rq, 400, "'project_id' is a required property of a credential of type ec2");
        return false;
    }
    if (credential_parse_ec2(blob, &ec2)) {
        reply_error(c->identity, c->rq, 400, "Invalid blob in credential: of type ec2 it is JSON with 'access' (1 to %d "
                    "visible characters but '/' and ',') and 'secret' (up to %d bytes).", IDENTITY_ACCESS_MAX,
                    IDENTITY_SECRET_MAX);
        return false;
    }
    sha256_text(ec2.access, hash);
    json_decref(ec2.json);
    credential->access_hash = hash;
    if (c->old == NULL)
        text_copy(c->id, IDENTITY_ID_MAX, hash);
    return true;
}

WAITS static bool accept_credential(struct change *c)
{
    Rs__IdentityCredential *credential = RECORD(c, Rs__IdentityCredential);
    struct slice            blob;

    /* Nobody gives a credential to somebody else. */
    if (c->old && !api_permitted(c->identity, c->rq, c->who, credential->user_id))
        return false;
    if (model_user(&c->identity->model, credential->user_id) == NULL) {
        resource_missing(c->identity, c->rq, "user", credential->user_id);
        return false;
    }
    if (credential->project_id[0] && model_project(&c->identity->model, credential->project_id) == NULL) {
        resource_missing(c->identity, c->rq, "project", credential->project_id);
        return false;
    }
    bool moves = c->old == NULL || strcmp(OLD(c, Rs__IdentityCredential)->user_id, credential->user_id) != 0;
    if (moves && credential_count(c->identity, credential->user_id) >= CREDENTIALS_MAX) {
        reply_error(c->identity, c->rq, 403, "Unable to create additional credentials, maximum of %d already exceeded "
                    "for user.", CREDENTIALS_MAX);
        return false;
    }
    if (!read_blob(c, &blob))
        return false;
    credential->access_hash = (char *)(uintptr_t)"";
    if (credential_is_ec2(credential) && !accept_ec2(c, blob))
        return false;
    credential->id = c->id;   /* It is sealed with the blob. */
    int rc = credential_seal(c->identity, credential, blob, &c->rq->arena);
    if (rc)
        reply_code(c->identity, c->rq, rc, "credential");
    return rc == 0;
}

static void write_credential(struct change *c, struct api_write *w)
{
    const Rs__IdentityCredential *credential = RECORD(c, Rs__IdentityCredential);
    const char                   *old = c->old ? OLD(c, Rs__IdentityCredential)->access_hash : "";

    api_require(w, CONTROL_IF_EXISTS, 0, "user/%s", credential->user_id);
    if (credential->project_id[0])
        api_require(w, CONTROL_IF_EXISTS, 0, "project/%s", credential->project_id);
    if (strcmp(old, credential->access_hash) == 0)
        return;
    if (old[0])
        api_drop(w, CONTROL_DELETE, "name/access//%s", old);
    if (credential->access_hash[0])
        api_put_name(w, c->id, "access", "", credential->access_hash);
}

static const struct resource credentials = {
    .member = "credential", .collection = "credentials", .kind = MODEL_CREDENTIAL,
    .type = &rs__identity_credential__descriptor, .fields = fields, .field_count = sizeof fields / sizeof fields[0],
    .owner_creates = true, .show = show, .listed = listed, .owner = owner, .accept = accept_credential,
    .write = write_credential, .remove = remove_credential,
};

RESOURCE_HANDLERS(credential, credentials)
