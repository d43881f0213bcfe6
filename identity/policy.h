/* identity/policy.h - who may do what: one table for all actions. */
#ifndef IDENTITY_POLICY_H
#define IDENTITY_POLICY_H

#include "identity/identity.h"

/* 'owner': the id of the user that the thing belongs to; NULL: nobody's. An action that the table does not have
 * is refused. 'who' is never NULL. Any thread. */
bool policy_allows(const char *action, const struct identity_context *who, const char *owner);

#endif
