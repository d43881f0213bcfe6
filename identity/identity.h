/* identity/identity.h - who asks, and may they: the one place that authorises.
 *
 * Users, projects, domains, roles and assignments live in the control store
 * under "identity/"; every process keeps a copy in memory that follows by watch,
 * so that authentication and authorisation need no remote call. Tokens are
 * sealed (AES-256-GCM, rotating keys in the control store) and carry user,
 * project, roles, expiry; revocations come by watch. */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

#include "control/store.h"
#include "proxy/http/http.h"

enum {
    IDENTITY_ID_MAX = 65,           /* Bytes with NUL: 32 hex, or a chosen id such as "default". */
    IDENTITY_NAME_MAX = 255,
    IDENTITY_ROLES_MAX = 32,
    IDENTITY_PASSWORD_MAX = 1024,
    IDENTITY_EMAIL_MAX = 255,
    IDENTITY_ACCESS_MAX = 128,      /* Bytes of an access key, and */
    IDENTITY_SECRET_MAX = 256,      /* of its secret. */
    IDENTITY_SCOPE_MAX = 96,        /* Of "date/region/service". */
    IDENTITY_SIGNING_KEY_BYTES = 32,
    TOKEN_TEXT_MAX = 2048,
    TOKEN_LIFETIME_S = 24 * 3600
};

struct identity;

/* Who a request comes from; filled from a token, or from an access key: then there are no times and audit ids. */
struct identity_context {
    char     user_id[IDENTITY_ID_MAX], user_name[IDENTITY_NAME_MAX + 1];
    char     user_domain_id[IDENTITY_ID_MAX];
    char     project_id[IDENTITY_ID_MAX], project_name[IDENTITY_NAME_MAX + 1];   /* "" when unscoped. */
    char     project_domain_id[IDENTITY_ID_MAX];
    char     domain_id[IDENTITY_ID_MAX];      /* Of a domain-scoped token; else "". */
    uint32_t role_count;
    char     roles[IDENTITY_ROLES_MAX][64];   /* Names. */
    int64_t  issued_s, expires_s;             /* Unix. */
    int64_t  issued_us, expires_us;
    uint8_t  methods;                         /* Bits of enum token_method. */
    char     audit_id[32], parent_audit_id[32];   /* Parent: of the first token of a chain, or "". */
};

struct identity_options {
    const char *admin_password;   /* Used when the admin is first created; NULL: random. */
    const char *demo_password;    /* Likewise. */
    const char *public_host;      /* Of catalog URLs: "127.0.0.1". */
    uint16_t    port_base;        /* 0: the contract's default ports. */
    bool        tls;
    bool        weak_passwords;   /* Tests only: hashing costs nothing. */
};
/* Creates domain Default, roles, admin and demo with their projects, token keys, endpoints and the catalog when
 * missing; follows the store. '*ret_admin_password' and '*ret_demo_password' (arena) are set when just created. */
WAITS int identity_new(struct env *env, struct control *control, const struct identity_options *options,
                       struct identity **ret_identity, struct arena *arena, char **ret_admin_password,
                       char **ret_demo_password, struct error *err);
struct identity *identity_free(struct identity *identity);

/* Validates a token. Cheap (about 1 us when seen lately). -E_UNAUTHORIZED. */
int identity_check_token(struct identity *identity, struct slice token, struct identity_context *ret_context);
/* As the Swift dialect uses it: the token of X-Auth-Token (or X-Storage-Token); result cached, borrowed until the
 * next wait. NULL: none or invalid; *ret_present tells which. */
const struct identity_context *identity_of_request(struct identity *identity, const struct http_request *rq,
                                                   bool *ret_present);
bool identity_has_role(const struct identity_context *who, const char *role);

/* Password check by argon2id in a worker; the same time for unknown users. -E_UNAUTHORIZED; -E_OVERLOAD. Issues a
 * token scoped to the project (id or name in the domain; both NULL: the user's default project, else unscoped). */
struct identity_login {
    struct slice user_id, user_name, user_domain;      /* domain: id or name; empty: Default. */
    struct slice password;
    struct slice project_id, project_name, project_domain;
    struct slice domain;           /* Scope to this domain (id or name) instead. */
    bool         unscoped;         /* Not even the default project. */
    struct slice address;          /* Of the client, for the limit on guessing. */
};
WAITS int identity_login(struct identity *identity, const struct identity_login *login, char ret_token[TOKEN_TEXT_MAX],
                         struct identity_context *ret_context, struct error *err);

/* Another token for the bearer of 'token', with another scope, expiring with it. Scope fields of 'login' only. */
int identity_rescope(struct identity *identity, struct slice token, const struct identity_login *login,
                     char ret_token[TOKEN_TEXT_MAX], struct identity_context *ret_context, struct error *err);
WAITS int identity_revoke(struct identity *identity, struct slice token);   /* -E_UNAUTHORIZED: it is void already. */
/* Sets a password and voids the user's tokens; for a lost admin password too. -ENOENT, -E_LIMIT. */
WAITS int identity_set_password(struct identity *identity, const char *user_id, struct slice password);
/* The user, or project, of a name in domain Default; NULL. Borrowed until the next wait. */
const char *identity_user_id(struct identity *identity, const char *name);
const char *identity_project_id(struct identity *identity, const char *name);
const char *identity_domain_id(struct identity *identity, const char *name);   /* Of a domain's name or id. */

/* --- For S3. All from memory: no wait, no remote call; what is returned is borrowed until the next wait. --- */
/* Who an access key (an EC2 credential) stands for, with the roles that its user has now on its project, and the
 * secret of it. -E_UNAUTHORIZED: no such key; or user, project or domain are disabled or gone; or no role there. A key
 * that was used lately costs one look into a table. */
int identity_s3_key(struct identity *identity, struct slice access_key, const struct identity_context **ret_who,
                    struct slice *ret_secret);
/* The same, with the key that signs requests of one day, region and service (AWS Signature Version 4, "deriving the
 * signing key"), kept for the last few of each access key. 'date' is YYYYMMDD as in the request's scope: the caller
 * checks that it is near. -E_UNAUTHORIZED as above; -E_LIMIT: the three are longer than IDENTITY_SCOPE_MAX. */
int identity_s3_signing_key(struct identity *identity, struct slice access_key, struct slice date, struct slice region,
                            struct slice service, const struct identity_context **ret_who,
                            uint8_t ret_key[IDENTITY_SIGNING_KEY_BYTES]);
/* -ENOENT. */
struct identity_project {
    const char *id, *name, *domain_id, *domain_name;
    bool        enabled;   /* And its domain is. */
};
int identity_project(struct identity *identity, struct slice project_id, struct identity_project *ret_project);
/* The default project of the user with an e-mail address (compared without case), for grants by e-mail; looks at all
 * users. -ENOENT: nobody has it, or no default project; -E_CONFLICT: users with different default projects have. */
int identity_project_of_email(struct identity *identity, struct slice email, struct identity_project *ret_project);
/* Gives a user an access key for a project. -ENOENT: no such user or project; -E_CONDITION: the key exists; -E_LIMIT:
 * too long, or the user has too many. */
WAITS int identity_create_key(struct identity *identity, const char *user_id, const char *project_id,
                              struct slice access_key, struct slice secret);

/* The Keystone v3 API: handler of its HTTP server; and GET /auth/v1.0 of the Swift dialect. */
WAITS void keystone_handle(void *ctx /* struct identity */, struct http_request *rq);
WAITS void identity_auth_v1(struct identity *identity, struct http_request *rq);   /* X-Auth-User "project:user" or "user". */

#endif
