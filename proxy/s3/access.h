/* proxy/s3/access.h - between access.c, which decides, and access_keys.c, which describes a request to policies. */
#ifndef PROXY_S3_ACCESS_H
#define PROXY_S3_ACCESS_H

#include "proxy/s3/call.h"
#include "proxy/s3/policy.h"

/* Judges with the condition keys of this request; 'meta' (may be NULL) gives those of the object. */
enum policy_verdict s3_judge_policy(struct s3_call *c, const struct s3_policy *policy, const struct s3_need *need,
                                    const Rs__ObjectMeta *meta, struct arena *arena);

static inline bool only_reads_needed(uint32_t permission)
{
    return (permission & ~(uint32_t)(ACL_READ | ACL_READ_ACP)) == 0;
}

#endif
