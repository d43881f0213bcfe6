/* identity/private.h - what the files of this room share; nobody else includes it. */
#ifndef IDENTITY_PRIVATE_H
#define IDENTITY_PRIVATE_H

#include <jansson.h>

#include "identity/identity.h"
#include "identity/model.h"
#include "identity/password.h"
#include "identity/token.h"

#define DOMAIN_DEFAULT "default"

enum {
    CACHE_SETS = 512, CACHE_WAYS = 4,     /* Tokens seen lately: about 6 MiB when all are used. */
    BODY_MAX = 64 * 1024,                 /* Bytes of a request body. */
    JSON_DEPTH_MAX = 32,
    DESCRIPTION_MAX = 4096,
    MAINTAIN_S = 600,                     /* Between looks at keys and revocations. */
    KEY_SETS = 256, KEY_WAYS = 4,         /* Access keys used lately: about 4 MiB when all are used. */
    CREDENTIAL_BLOB_MAX = 16 * 1024,      /* Bytes: a certificate fits. */
    CREDENTIAL_TYPE_MAX = 64,
    CREDENTIALS_MAX = 500,                /* Of a user. */
    SHA256_TEXT = 65                      /* In hex, with NUL. */
};

/* A token that was checked lately. */
struct cached {
    uint64_t                hash;
    char                   *text;         /* Whole: a hash is no proof. */
    size_t                  size;
    struct token            token;
    uint64_t                generation;   /* Of the model when 'context' was made from it. */
    uint64_t                used;         /* For choosing whom to replace. */
    int                     code;         /* Of the context: 0 or -E_UNAUTHORIZED. */
    struct identity_context context;
};

struct identity {
    struct env            *env;
    struct control        *control;
    struct model           model;
    struct token_ring     *ring;
    struct password_guard *guard;
    struct cached         *cache[CACHE_SETS][CACHE_WAYS];
    uint64_t               cache_clock, cache_seed;
    struct key_cached     *keys[KEY_SETS][KEY_WAYS];   /* access_key.c */
    char                   public_host[256];
    uint16_t               port_base;
    bool                   tls, closing;
    uint32_t               refs;          /* The owner's and the tasks'. */
    struct task           *tasks[2];
};

/* Copies a text that was checked to fit; cuts it otherwise. */
static inline void text_copy(char *out, size_t capacity, const char *text)
{
    size_t n = strnlen(text, capacity - 1);
    memcpy(out, text, n);
    out[n] = '\0';
}

/* --- setup.c --- */
WAITS int setup_first(struct identity *identity, const struct identity_options *options, struct arena *arena,
                      char **ret_admin_password, char **ret_demo_password, struct error *err);
WAITS int setup_rotate_keys(struct identity *identity);   /* When it is time. */
WAITS int setup_forget_revoked(struct identity *identity);
void      setup_load_keys(struct identity *identity);     /* From the model into the ring. */
WAITS int setup_credential_key(struct identity *identity, struct error *err);   /* Makes it when there is none. */
void      identity_new_id(struct identity *identity, char ret_id[IDENTITY_ID_MAX]);

/* --- check.c --- */
/* Who the token's bearer is now. -E_UNAUTHORIZED: expired, revoked, disabled, no role left. */
int  check_resolve(struct identity *identity, const struct token *token, struct identity_context *ret);
void check_cache_clear(struct identity *identity);
/* Adds the roles of the user on a target, with what they imply. */
void check_roles(struct identity *identity, char target_kind, const char *target, const char *user,
                 struct identity_context *ret);

/* --- credential.c: what is secret of a credential, sealed in the store. --- */
/* Seals 'blob' into '*record', whose id, user, project and type are set; what it points to is in the arena. */
int credential_seal(struct identity *identity, Rs__IdentityCredential *record, struct slice blob, struct arena *arena);
/* -E_CORRUPT: not what was sealed, or its key is gone. The blob is in the arena. */
int credential_open(struct identity *identity, const Rs__IdentityCredential *record, struct arena *arena,
                    struct slice *ret_blob);
bool credential_is_ec2(const Rs__IdentityCredential *record);
void sha256_text(struct slice text, char ret[SHA256_TEXT]);
/* The JSON of a blob of type ec2. 'ret' holds the reference that the slices borrow from. -E_SYNTAX: no access key in
 * it, or too long; 'secret' may be empty. */
struct ec2_blob {
    json_t      *json;
    struct slice access, secret;
};
int credential_parse_ec2(struct slice blob, struct ec2_blob *ret);
/* Puts the blob of type ec2 together: JSON text of the arena; data NULL without memory. */
struct slice credential_ec2_text(struct arena *arena, struct slice access, struct slice secret);
/* Creates a credential of type ec2; the errors of identity_create_key(). */
WAITS int credential_create_ec2(struct identity *identity, struct arena *arena, const char *user_id,
                                const char *project_id, struct slice access, struct slice secret);
uint32_t credential_count(struct identity *identity, const char *user_id);   /* Of a user. */
/* The record of an access key; NULL. Borrowed until the next wait. */
const struct model_object *credential_of_access(struct identity *identity, struct slice access);

/* --- access_key.c --- */
struct key_cached;
void access_key_cache_clear(struct identity *identity);
/* AWS Signature Version 4, "deriving the signing key". -E_LIMIT: no secret, or too long. */
int  access_key_derive(struct slice secret, struct slice date, struct slice region, struct slice service,
                       uint8_t ret_key[IDENTITY_SIGNING_KEY_BYTES]);

/* --- ec2_sign.c: signatures of token requests, as Keystone checks them. Pure. --- */
enum { SIGNATURE_MAX = 65 };
/* What was signed, from the JSON of POST /v3/ec2tokens; the signature in base64 (version 2) or hex (version 4). 'host'
 * is what to take for the host, in version 2. -E_SYNTAX: something is missing; -E_UNAUTHORIZED: dates that differ. */
int ec2_signature(struct arena *arena, const json_t *credentials, struct slice host, struct slice secret,
                  char ret[SIGNATURE_MAX]);
/* Of a string to sign, for POST /v3/s3tokens: version 4 when it begins with "AWS4", else HMAC-SHA1. */
int s3_signature(struct slice string_to_sign, struct slice secret, char ret[SIGNATURE_MAX]);
/* "2015-08-30T12:36:00Z" or "20150830T123600Z" in Unix seconds. False: neither. */
bool ec2_time(struct slice text, int64_t *ret_s);
/* Base64 of either alphabet, padded or not; into the arena. -E_SYNTAX. */
int ec2_unbase64(struct arena *arena, struct slice text, struct slice *ret);

/* --- login.c --- */
/* A token for the user and project of an access key whose signature was checked. */
int login_by_key(struct identity *identity, const char *user_id, const char *project_id,
                 char ret_token[TOKEN_TEXT_MAX], struct identity_context *ret_context, struct error *err);

/* --- catalog.c --- */
/* The catalog as in a token's body; 'project_id' "" leaves out what needs one. New reference. */
json_t *catalog_json(struct identity *identity, const char *project_id);
json_t *catalog_services(struct identity *identity);
json_t *catalog_endpoints(struct identity *identity);
void    catalog_url(struct identity *identity, const char *service, char *out, size_t capacity);   /* "http://h:p" */
enum { URL_MAX = 512 };

/* --- JSON and replies (reply.c) --- */
/* Parses a request body: bounded depth, no duplicate keys. -E_SYNTAX, -E_LIMIT. */
int  json_parse(struct slice body, json_t **ret_json, struct error *err);
/* Text member of an object; data NULL when it is missing or null; *ret_bad when it is of another type. */
struct slice json_text(const json_t *object, const char *name, bool *ret_bad);
WAITS void reply_json(struct http_request *rq, int status, json_t *body);   /* Takes the reference. */
WAITS void reply_error(struct identity *identity, struct http_request *rq, int status, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* What a code of ours means to a client. */
WAITS void reply_code(struct identity *identity, struct http_request *rq, int code, const char *what);
void reply_vary(struct http_request *rq);
WAITS void reply_none(struct http_request *rq);   /* 204 */
enum { TIME_TEXT_MAX = 80 };
void time_text(int64_t us, char out[TIME_TEXT_MAX]);   /* "2026-11-22T22:00:00.000000Z" */

/* What a client asks of POST /v3/auth/tokens; borrows from the JSON. */
struct auth {
    struct identity_login login;
    bool                  by_password, by_token;
    struct slice          token;
};
/* The member "auth" of the body. -E_SYNTAX; -E_UNAUTHORIZED: methods or scopes that this cloud does not have. */
int auth_parse(const json_t *auth, struct auth *ret);

/* --- Handlers. --- */
#define HANDLER(name) WAITS void name(void *ctx, struct http_request *rq, const struct http_params *params)
#define READ_HANDLERS(noun) HANDLER(noun##_list); HANDLER(noun##_get)
#define ALL_HANDLERS(noun) READ_HANDLERS(noun); HANDLER(noun##_create); HANDLER(noun##_update); HANDLER(noun##_delete)
/* auth_api.c */
HANDLER(discover_all);
HANDLER(discover_v3);
HANDLER(auth_token_post);
HANDLER(auth_token_get);
HANDLER(auth_token_delete);
HANDLER(auth_catalog);
HANDLER(auth_projects);
HANDLER(auth_domains);
/* The body of an answer about a token. */
json_t *auth_token_json(struct identity *identity, const struct identity_context *who, bool catalog);
/* user_api.c */
ALL_HANDLERS(user);
HANDLER(user_password);
HANDLER(user_projects);
/* project_api.c */
ALL_HANDLERS(project);
ALL_HANDLERS(domain);
/* role_api.c */
ALL_HANDLERS(role);
/* grant_api.c */
HANDLER(grant_list);
HANDLER(grant_check);
HANDLER(grant_put);
HANDLER(grant_delete);
HANDLER(assignment_list);
/* catalog_api.c */
READ_HANDLERS(service);
READ_HANDLERS(endpoint);
READ_HANDLERS(region);
/* credential_api.c */
ALL_HANDLERS(credential);
/* ec2_api.c */
HANDLER(ec2_list);
HANDLER(ec2_get);
HANDLER(ec2_create);
HANDLER(ec2_delete);
HANDLER(ec2_token);
HANDLER(s3_token);

json_t *project_json(struct identity *identity, const Rs__IdentityProject *project);
json_t *domain_json(struct identity *identity, const Rs__IdentityDomain *domain);
json_t *role_json(struct identity *identity, const Rs__IdentityRole *role);

/* --- remove.c: -ENOENT; -E_FORBIDDEN: an enabled domain, or the default one. 'id' is of the caller's memory. --- */
WAITS int remove_user(struct identity *identity, const char *id);
WAITS int remove_project(struct identity *identity, const char *id);
WAITS int remove_domain(struct identity *identity, const char *domain_id);
WAITS int remove_role(struct identity *identity, const char *id);
WAITS int remove_credential(struct identity *identity, const char *id);
/* Credentials of users and projects that are gone: they are void, and only take space. */
WAITS int remove_orphans(struct identity *identity);

/* --- What handlers share (api.c). --- */
/* Authenticates; then asks the policy for rq->action; 'owner' (may be NULL) is the id of the user that the thing
 * belongs to. False: answered already. */
WAITS bool api_authenticated(struct identity *identity, struct http_request *rq, struct identity_context *ret_who);
WAITS bool api_permitted(struct identity *identity, struct http_request *rq, const struct identity_context *who,
                         const char *owner);
WAITS bool api_allowed(struct identity *identity, struct http_request *rq, const char *owner,
                       struct identity_context *ret_who);   /* Both. */
/* A path parameter as text of the arena; "" when it cannot be an id. */
const char *api_param(struct http_request *rq, const struct http_params *params, uint32_t index);
/* The body's member 'name' (NULL: the body itself), an object; NULL: answered already. '*ret_root' is to be decref'ed. */
WAITS const json_t *api_body(struct identity *identity, struct http_request *rq, const char *name, json_t **ret_root);
/* One transaction, and then until the model has it. */
WAITS int api_commit(struct identity *identity, const struct control_compare *compares, uint32_t compare_count,
                     const struct control_op *ops, uint32_t op_count);
/* Query filters: absent, or equal. */
bool api_matches(const struct http_request *rq, const char *name, const char *value);
bool api_matches_bool(const struct http_request *rq, const char *name, bool value);
/* Adds "links": {"self": base + path}. */
void api_self(struct identity *identity, json_t *object, const char *collection, const char *id);
/* A list ends at LIST_MAX entries and says so ("truncated": true), as Keystone's with a list_limit. */
enum { LIST_MAX = 10000 };
static inline bool api_list_full(const json_t *array) { return json_array_size(array) >= LIST_MAX; }
/* {"NAMES": [...], "links": {...}}; takes the reference. 'limit' (0: none): a list that long has a next page. */
WAITS void api_reply_list(struct identity *identity, struct http_request *rq, const char *names, json_t *array,
                          uint32_t limit);
/* The query's "limit"; empty: 0. False: no number. */
bool api_limit(struct slice text, uint32_t *ret_limit);
WAITS void api_reply_one(struct identity *identity, struct http_request *rq, int status, const char *name,
                         json_t *object);
/* Writes of a named object. All slices live in the arena. */
struct api_write {
    struct arena          *arena;
    struct control_compare compare[16];
    struct control_op      op[CONTROL_TXN_OPS_MAX];
    uint32_t               compares, ops;
    int                    rc;           /* Sticky. */
};
void api_write_init(struct api_write *w, struct arena *arena);
void api_require(struct api_write *w, int kind, uint64_t revision, const char *format, ...) PRINTF_LIKE(4, 5);
void api_put(struct api_write *w, const ProtobufCMessage *message, const char *format, ...) PRINTF_LIKE(3, 4);
void api_put_name(struct api_write *w, const char *id, const char *kind, const char *domain, const char *name);
void api_drop(struct api_write *w, int kind, const char *format, ...) PRINTF_LIKE(3, 4);
WAITS int api_write_commit(struct api_write *w, struct identity *identity);
/* A name or id as a client may choose it: 1 to IDENTITY_NAME_MAX bytes of UTF-8 without control bytes. */
bool api_valid_name(struct slice name);

#endif
