/* proxy/swift/call.h - inside of the dialect; only for proxy/swift.
 *
 * A method function returns 0 (it replied), a positive HTTP status to be sent
 * with Swift's usual body (or call->why), or a negative code, which
 * call_fail_status() maps to one. */
#ifndef PROXY_SWIFT_CALL_H
#define PROXY_SWIFT_CALL_H

#include "base/text.h"
#include "proxy/swift/acl.h"
#include "proxy/swift/swift.h"

enum {
    SWIFT_TIMEOUT_MS = 20000,          /* For one step on the rows. */
    SWIFT_BODY_TIMEOUT_S = 24 * 3600,  /* For the bytes of one object: a slow client may take long. */
    STALE_ATTEMPTS_MAX = 100,
    HEADER_VALUE_MAX = 8192,
    MANIFEST_BYTES_MAX = 8 * 1024 * 1024, MANIFEST_SEGMENTS_MAX = 1000,
    LIST_STEP = 1000                   /* Entries read at once; a page is streamed in such steps. */
};

struct call {
    struct swift          *swift;
    struct object_service *os;
    struct http_request   *rq;
    struct arena          *arena;
    struct slice           account, container, object;   /* Decoded; empty when not in the path. */
    bool                   owner;      /* May do all in this account: admin or member of it, or reseller. */
    bool                   reseller;
    bool                   known;      /* A valid token came along. */
    const char            *why;        /* Body of an error answer; NULL: Swift's usual one. */
    struct error           err;
};

static inline int64_t call_deadline(struct call *c)
{
    return env_now(c->rq->env) + SWIFT_TIMEOUT_MS * NS_PER_MS;
}
static inline int64_t call_body_deadline(struct call *c)
{
    return env_now(c->rq->env) + SWIFT_BODY_TIMEOUT_S * NS_PER_S;
}

/* --- Replies (reply.c). --- */
int  call_status_of(struct call *c, int rc);   /* A negative code's HTTP status; may set c->why. */
WAITS void call_reply_status(struct call *c, int status);      /* The whole answer, with the usual body. */
/* The same, after headers were begun: body of the status only. */
WAITS void call_reply_rest(struct call *c, int status);
void reply_time(struct http_request *rq, const char *name, uint64_t us);            /* "1234567890.12345" */
void reply_date(struct http_request *rq, const char *name, uint64_t us);            /* Rounded up to a second. */
void reply_number(struct http_request *rq, const char *name, uint64_t n);
/* "X-Object-Meta-" + Name-In-Title-Case. */
void reply_meta(struct http_request *rq, const char *prefix, Rs__MetaItem **items, size_t count);
void reply_header_title(struct http_request *rq, struct slice lower_name, struct slice value);

/* --- Access (access.c). 0, or 401 or 403. --- */
int  access_account(struct call *c, bool write);
enum access_kind { ACCESS_OBJECT_READ, ACCESS_OBJECT_WRITE, ACCESS_LISTING, ACCESS_CONTAINER_WRITE };
/* 'container' NULL: it does not exist. 'account': NULL for the call's. */
int  access_container(struct call *c, const struct container *container, struct slice account, enum access_kind kind);
/* Opens and authorises: 0, an HTTP status or a negative code. 'fresh' after -E_STALE: drops the old one. */
WAITS int call_container(struct call *c, struct slice account, struct slice name, enum access_kind kind, bool fresh,
                         struct container **ret_container);

/* --- Headers (meta.c). Positive status on refusal, with c->why. --- */
int  check_headers(struct call *c);                             /* Lengths of all. */
/* X-<type>-Meta-* and X-Remove-<type>-Meta-* as changes. */
int  meta_changes(struct call *c, const char *type, struct meta_change **ret_changes, uint32_t *ret_count);
int  container_changes(struct call *c, struct config_changes *ret_changes);
/* User metadata and kept headers of an object request into 'meta'; absent ones are left out. */
int  object_headers(struct call *c, Rs__ObjectMeta *meta);
int  object_expiry(struct call *c, bool *ret_given, uint64_t *ret_expires_s);   /* X-Delete-At, X-Delete-After. */
bool header_true(struct slice value);                           /* "true", "1", "yes", "on", "t", "y" */
struct slice strip_quotes(struct slice tag);
struct slice mime_guess(struct slice name);

/* --- Methods. --- */
WAITS int account_get_call(struct call *c);
WAITS int account_post_call(struct call *c);
WAITS int container_get_call(struct call *c);
WAITS int container_put_call(struct call *c);
WAITS int container_post_call(struct call *c);
WAITS int container_delete_call(struct call *c);
WAITS int object_get_call(struct call *c);
WAITS int object_put_call(struct call *c);
WAITS int object_post_call(struct call *c);
WAITS int object_delete_call(struct call *c);
WAITS int object_copy_call(struct call *c);
WAITS int info_call(struct call *c);

#endif
