/* proxy/s3/policy.h - bucket policies in the IAM language: read once, judged at each request.
 *
 * s3_policy_parse() checks a document and compiles it: actions become bits, strings become patterns, condition keys are
 * lower case. Judging then touches no JSON and allocates only for policy variables. A compiled policy is immutable:
 * any thread may judge by it while its arena lives.
 *
 * Principals are those of Keystone: an account is a project id, a user a user of that project, a role a role there.
 *
 *   "*", {"AWS": "*"}                    everybody, anonymous requests too
 *   ID, arn:aws:iam::ID:root             everybody of project ID
 *   arn:aws:iam::ID:user/NAME            the user (name or id) in project ID; "user/" + NAME may hold a path
 *   arn:aws:iam:::user/ID                the user with that id, or everybody of the project with that id
 *   arn:aws:iam::ID:role/NAME            who has that role in project ID
 *   {"CanonicalUser": ID}                everybody of project ID
 *   {"Service": NAME}                    a request that the cloud makes itself in that name
 *   {"Federated": ...}, other ARNs       are accepted and fit nobody
 *
 * Unlike AWS, principals need not exist, and an action may stand beside resources that it cannot apply to.
 * The language: AWS Identity and Access Management user guide, "IAM JSON policy reference". */
#ifndef PROXY_S3_POLICY_H
#define PROXY_S3_POLICY_H

#include "base/arena.h"
#include "proxy/s3/action.h"
#include "proxy/s3/code.h"

enum {
    S3_POLICY_BYTES_MAX = 20 * 1024,         /* As AWS. */
    S3_POLICY_ARENA_BYTES = 2 * 1024 * 1024, /* Holds any compiled policy. */
    S3_POLICY_EXPANDED_MAX = 8192            /* Characters of a string with its variables; beyond: denied. */
};

struct s3_policy;

/* Checks and compiles the policy of 'bucket' into 'arena' (limit: S3_POLICY_ARENA_BYTES), which must outlive it.
 * S3_MALFORMED_POLICY with the reason; -ENOMEM. */
MUST_CHECK int s3_policy_parse(struct arena *arena, struct slice json, struct slice bucket,
                               struct s3_policy **ret_policy, struct error *err);

/* Who asks. All empty: an anonymous request. */
struct policy_who {
    struct slice        user_id, user_name, project_id;
    struct slice        service;     /* "logging.s3.amazonaws.com": the cloud itself; else empty. */
    const struct slice *roles;       /* Names, in that project. */
    uint32_t            role_count;
};

/* One value of a condition key; a key with several values has several. Names in any case. What a dialect gives:
 * aws:CurrentTime, aws:EpochTime, aws:SourceIp, aws:SecureTransport, aws:UserAgent, aws:Referer, aws:username,
 * aws:userid, aws:PrincipalType, aws:PrincipalAccount, s3:authType, s3:signatureversion, s3:signatureAge,
 * s3:x-amz-* (the request's headers of that name), s3:prefix, s3:delimiter, s3:max-keys, s3:VersionId,
 * s3:LocationConstraint, s3:RequestObjectTag/KEY, s3:RequestObjectTagKeys, s3:ExistingObjectTag/KEY,
 * s3:object-lock-*. */
struct policy_key {
    struct slice name, value;
};

struct policy_request {
    const struct policy_who *who;
    enum s3_action           action;
    struct slice             bucket, object;   /* object empty: the bucket itself. */
    const struct policy_key *keys;
    uint32_t                 key_count;
};

enum policy_verdict {
    POLICY_NONE,    /* It says nothing: ACLs and ownership decide. */
    POLICY_ALLOW,
    POLICY_DENY     /* Final, for the owner too. */
};

/* 'arena' is the request's: policy variables are filled in there. When it is exhausted, the verdict is POLICY_DENY. */
enum policy_verdict s3_policy_judge(const struct s3_policy *policy, const struct policy_request *request,
                                 struct arena *arena);

/* Does any condition or variable look at a key that begins so ("s3:ExistingObjectTag/")? What is costly to find
 * (an object's tags) need only be found then. Any case. */
bool s3_policy_looks_at(const struct s3_policy *policy, const char *key_prefix);

/* Does it give anything to everybody, by AWS's definition: a statement allows something to principals that are not
 * fixed, under no condition that ties it to fixed addresses, networks, sources or accounts? */
bool s3_policy_is_public(const struct s3_policy *policy);

#endif
