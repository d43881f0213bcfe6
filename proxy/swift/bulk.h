/* proxy/swift/bulk.h - many deletions in one request, and the answer that counts them:
 * POST or DELETE ?bulk-delete on an account, and DELETE ?multipart-manifest=delete.
 * The answer's form is that of Swift's bulk middleware. */
#ifndef PROXY_SWIFT_BULK_H
#define PROXY_SWIFT_BULK_H

#include "proxy/swift/listing.h"

enum {
    BULK_DELETES_MAX = 10000,      /* Lines of one request. */
    BULK_FAILURES_MAX = 1000,      /* After so many it stops. */
    BULK_LINE_MAX = 3 * (CONTAINER_NAME_MAX + OBJECT_NAME_MAX) + 8
};

struct bulk {
    struct call     *c;
    enum list_format format;
    uint64_t         deleted, missing, failed;
    int              status;       /* Of the whole, in the body: 0 for what the counts say. */
    const char      *body;         /* "Response Body". */
    struct text      errors;
};
/* Reads the wanted form of the answer. 0 or a status. */
int  bulk_open(struct bulk *b, struct call *c);
void bulk_done(struct bulk *b);
/* Deletes an object of the call's account, or a container ('object' empty), and counts what came of it. */
WAITS int bulk_delete(struct bulk *b, struct slice container, struct slice object);
void bulk_failure(struct bulk *b, struct slice path, int status);   /* Path not quoted. */
WAITS int bulk_reply(struct bulk *b);

WAITS int bulk_delete_call(struct call *c);

#endif
