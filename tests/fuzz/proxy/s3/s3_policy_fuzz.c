/* tests/fuzz/proxy/s3/s3_policy_fuzz.c - bucket policies: any text is refused with a reason, or judges without
 * trouble, within the memory that is promised. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/s3/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct s3_policy *policy, struct slice text)
{
    const struct slice      role = SLICE("reader");
    const struct policy_who who[] = {
        {.user_id = SLICE("u1"),
         .user_name = SLICE("alice"),
         .project_id = SLICE("p1"),
         .roles = &role,
         .role_count = 1},
        {.service = SLICE("logging.s3.amazonaws.com")},
        {.user_id = SLICE_NONE},
    };
    const struct policy_key keys[] = {
        {SLICE("aws:SourceIp"), SLICE("10.1.2.3")},
        {SLICE("aws:username"), SLICE("alice")},
        {SLICE("aws:CurrentTime"), SLICE("2026-01-31T12:00:00Z")},
        {SLICE("aws:SecureTransport"), SLICE("true")},
        {SLICE("s3:max-keys"), SLICE("100")},
        {SLICE("s3:prefix"), text.size > 64 ? slice_of(text.data, 64) : text},
        {SLICE("aws:SourceArn"), SLICE("arn:aws:s3:::box/x")},
        {SLICE("s3:RequestObjectTagKeys"), SLICE("a")},
        {SLICE("s3:RequestObjectTagKeys"), SLICE("b")},
    };
    static const enum s3_action actions[] = {S3_DO_GET_OBJECT, S3_DO_LIST_BUCKET, S3_DO_PUT_OBJECT,
                                             S3_DO_UPDATE_OBJECT_ENCRYPTION};
    struct arena arena;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    for (size_t w = 0; w < sizeof who / sizeof *who; w++)
        for (size_t a = 0; a < sizeof actions / sizeof *actions; a++) {
            struct policy_request rq = {
                .who = &who[w], .action = actions[a], .bucket = SLICE("box"), .keys = keys,
                .key_count = sizeof keys / sizeof *keys,
                .object = s3_action_on_object(actions[a]) ? SLICE("home/alice/a.jpg") : SLICE_NONE,
            };
            enum policy_verdict verdict = s3_policy_judge(policy, &rq, &arena);
            assert(verdict == POLICY_NONE || verdict == POLICY_ALLOW || verdict == POLICY_DENY);
            assert(s3_policy_judge(policy, &rq, &arena) == verdict || arena.used > ARENA_LIMIT_DEFAULT / 2);
            /* Nobody in particular is allowed only by what is public. */
            if (w == 2 && verdict == POLICY_ALLOW && !s3_policy_is_public(policy))
                assert(s3_policy_looks_at(policy, "aws:") || s3_policy_looks_at(policy, "s3:"));
        }
    s3_policy_looks_at(policy, "s3:ExistingObjectTag/");
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct s3_policy *policy = NULL;
    struct error      err = { .text = "" };
    struct arena      arena;
    uint8_t          *copy = malloc(size + 1);
    int               rc;

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    uint8_t *text = realloc(copy, size ? size : 1);   /* Ends where the text ends. */
    copy = text ? text : copy;
    arena_init(&arena, S3_POLICY_ARENA_BYTES);
    rc = s3_policy_parse(&arena, slice_of(copy, size), SLICE("box"), &policy, &err);
    assert(rc == 0 || (rc == S3_MALFORMED_POLICY && err.text[0]));   /* Never -ENOMEM: any policy fits. */
    if (rc == 0)
        judge(policy, slice_of(copy, size));
    arena_done(&arena);
    free(copy);
    return 0;
}
