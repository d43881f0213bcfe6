/* proxy/s3/action.c - see action.h. */
#include "proxy/s3/action.h"

enum { ON_A, ON_B, ON_O };   /* The account, a bucket, an object. */

static const struct {
    const char *name;
    uint8_t     resource, whose, permission;
} actions[S3_ACTION_COUNT] = {
#define X(name, text, resource, whose, permission) [S3_DO_##name] = { text, ON_##resource, ON_##whose, permission },
    S3_ACTIONS(X)
#undef X
};

const char *s3_action_name(enum s3_action action)
{
    return (unsigned)action < S3_ACTION_COUNT ? actions[action].name : "";
}

bool s3_action_on_object(enum s3_action action)
{
    return (unsigned)action < S3_ACTION_COUNT && actions[action].resource == ON_O;
}

uint32_t s3_action_permission(enum s3_action action, bool *ret_of_object)
{
    bool known = (unsigned)action < S3_ACTION_COUNT;

    *ret_of_object = known && actions[action].whose == ON_O;
    return known ? actions[action].permission : 0;
}
