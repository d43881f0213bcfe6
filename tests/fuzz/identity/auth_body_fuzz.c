/* tests/fuzz/identity/auth_body_fuzz.c - the body of POST /v3/auth/tokens: anything may come, nothing may break,
 * and what is understood is consistent. */
#include <assert.h>
#include <stdlib.h>

#include "identity/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct auth  auth;
    json_t      *root;
    uint8_t     *copy = malloc(size ? size : 1);   /* Ends where the body ends. */

    if (copy == NULL)
        return 0;
    if (size)
        memcpy(copy, data, size);
    int rc = json_parse(slice_of(copy, size), &root, &err);
    assert(rc == 0 || rc == -E_SYNTAX || rc == -E_LIMIT);
    if (rc == 0) {
        rc = auth_parse(json_object_get(root, "auth"), &auth);
        if (rc == 0) {
            const struct identity_login *login = &auth.login;
            assert(auth.by_password || auth.by_token);
            assert(!auth.by_password || (login->password.data && !login->user_id.size != !login->user_name.size));
            assert(!auth.by_password || login->user_id.size || login->user_domain.size);
            assert(!auth.by_token || auth.token.size);
            assert(!login->project_id.size || !login->project_name.size);
            assert(!login->project_name.size || login->project_domain.size);
            assert((login->project_id.size || login->project_name.size) + (login->domain.size > 0) +
                       login->unscoped <= 1);
        }
        json_decref(root);
    }
    free(copy);
    return 0;
}
