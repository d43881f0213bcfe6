/* proxy/swift/acl.h - access lists of containers: X-Container-Read and X-Container-Write.
 *
 * A list is kept clean: entries joined by commas, without blanks. Entries are
 * ".r:HOST" and ".r:-HOST" (referrer allowed, denied; HOST "*", a name, or
 * ".domain"), ".rlistings", "PROJECT:USER" (ids or names, "*" for any), and role
 * names. Pure functions. */
#ifndef PROXY_SWIFT_ACL_H
#define PROXY_SWIFT_ACL_H

#include "base/arena.h"

/* Checks and cleans. 'write': referrer entries are refused. -E_SYNTAX; -ENOMEM; '*ret_why' (arena) says what is wrong. */
int acl_clean(struct arena *arena, struct slice header, bool write, struct slice *ret_acl, const char **ret_why);

/* May a request with this Referer header (empty: none) read by referrer rules? The last rule that matches decides. */
bool acl_referrer(struct slice acl, struct slice referer);
bool acl_listings(struct slice acl);   /* ".rlistings" */

struct acl_who {
    struct slice        user_id, user_name, project_id, project_name;
    const struct slice *roles;
    uint32_t            role_count;
};
bool acl_user(struct slice acl, const struct acl_who *who);

#endif
