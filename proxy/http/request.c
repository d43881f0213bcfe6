/* proxy/http/request.c - looking things up in a parsed request. Pure. */
#include <string.h>
#include <strings.h>

#include "proxy/http/private.h"

struct slice http_header(const struct http_request *rq, const char *name)
{
    size_t size = strlen(name);

    for (uint32_t i = 0; i < rq->header_count; i++)
        if (http_name_is(rq->headers[i].name, name, size))
            return rq->headers[i].value;
    return SLICE_NONE;
}

bool http_header_prefix(const struct http_request *rq, const char *prefix, uint32_t *at, struct http_header *ret)
{
    size_t size = strlen(prefix);

    while (*at < rq->header_count) {
        const struct http_header *header = &rq->headers[(*at)++];
        if (header->name.size >= size && strncasecmp((const char *)header->name.data, prefix, size) == 0) {
            *ret = *header;
            return true;
        }
    }
    return false;
}

struct slice http_query(const struct http_request *rq, const char *name)
{
    struct slice key = slice_str(name);

    for (uint32_t i = 0; i < rq->query_count; i++)
        if (slice_equal(rq->query[i].name, key))
            return rq->query[i].value;
    return SLICE_NONE;
}
