/* proxy/swift/swift.h - the Swift dialect (OpenStack Object Storage API v1) over the object service.
 *
 * swift_handle() is the handler of the object port: /v1/..., /auth/v1.0, /info,
 * /healthcheck. docs/api-swift.md says what is there. */
#ifndef PROXY_SWIFT_SWIFT_H
#define PROXY_SWIFT_SWIFT_H

#include "identity/identity.h"
#include "proxy/object/object.h"

struct swift {
    struct object_service *objects;
    struct identity       *identity;
};

WAITS void swift_handle(void *ctx /* struct swift */, struct http_request *rq);

#endif
