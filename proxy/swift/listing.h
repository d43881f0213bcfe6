/* proxy/swift/listing.h - what a listing asks for, and how its entries are written. */
#ifndef PROXY_SWIFT_LISTING_H
#define PROXY_SWIFT_LISTING_H

#include "base/text.h"
#include "proxy/swift/call.h"

enum list_format { LIST_PLAIN, LIST_JSON, LIST_XML };

struct list_request {
    struct row_range range;      /* 'limit' is set for each step. */
    uint32_t         limit;      /* Of the whole page. */
    enum list_format format;
    bool             path;       /* ?path=: what folds is only shown if it is an object itself. */
};
/* 0, or a status: 400, 406, 412. */
int         list_parse(struct call *c, struct list_request *ret_list);
/* "format=", or the Accept header. 0, 400 or 406. */
int         list_format_of(struct call *c, enum list_format *ret_format);
const char *list_type(enum list_format format);

struct list_entry {
    struct slice name, hash, content_type, slo_etag;
    bool         folded;
    uint64_t     count, bytes, modified_us;
};
void list_open(struct text *text, enum list_format format, bool of_account, struct slice name);
void list_object(struct text *text, enum list_format format, bool first, const struct list_entry *entry);
void list_container(struct text *text, enum list_format format, bool first, const struct list_entry *entry);
void list_close(struct text *text, enum list_format format, bool of_account);

#endif
