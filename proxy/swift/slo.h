/* proxy/swift/slo.h - static large objects: their manifests in and out. */
#ifndef PROXY_SWIFT_SLO_H
#define PROXY_SWIFT_SLO_H

#include "proxy/swift/large.h"

/* One element of a manifest as a client sends it. */
struct slo_item {
    struct slice container, object, etag;   /* etag empty: not given. */
    uint64_t     size;
    bool         has_size;
    bool         ranged;
    struct slice range;                     /* "first-last", "first-" or "-count". */
};
/* Parses {path, etag, size_bytes, range} objects. 0, 400 or 413 with c->why, or -ENOMEM. Pure but for the arena. */
int slo_parse(struct call *c, struct slice json, struct slo_item **ret_items, uint32_t *ret_count);
/* The part of a segment that a range names. False: malformed or outside. */
bool slo_range(struct slice range, uint64_t size, uint64_t *ret_first, uint64_t *ret_length);

WAITS int slo_put_call(struct call *c);                          /* PUT ?multipart-manifest=put */
WAITS int slo_show(struct call *c, struct source *source);       /* GET, HEAD ?multipart-manifest=get */
WAITS int slo_delete_call(struct call *c);                       /* DELETE ?multipart-manifest=delete */

#endif
