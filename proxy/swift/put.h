/* proxy/swift/put.h - the steps that every way of storing an object shares. */
#ifndef PROXY_SWIFT_PUT_H
#define PROXY_SWIFT_PUT_H

#include "proxy/swift/call.h"

struct upload {
    struct call            *c;
    struct slice            account, container_name, name;   /* Where it goes. */
    struct container       *container;
    struct object_put      *put;
    Rs__ObjectMeta          meta;
    uint64_t                expires_s;
    struct object_condition condition;
    struct slice            etag;        /* What the client says the bytes hash to; empty: nothing. */
};

/* Checks names and headers, opens the container, judges cheap conditions. 'size' UINT64_MAX: unknown. 0, status or code. */
WAITS int swift_upload_open(struct upload *u, struct call *c, struct slice account, struct slice container, struct slice name);
WAITS int upload_begin(struct upload *u, uint64_t size);
WAITS int upload_commit(struct upload *u);     /* Ends the bytes, checks the ETag, makes it visible. */
WAITS void upload_close(struct upload *u);
int upload_type(struct upload *u);             /* Content-Type of the request, or by the name. */

#endif
