/* proxy/http/chunk.h - the framing of chunked bodies as a state machine: no I/O,
 * nothing but the trailers is kept. Used by the server and by HTTP clients. */
#ifndef PROXY_HTTP_CHUNK_H
#define PROXY_HTTP_CHUNK_H

#include "base/arena.h"
#include "proxy/http/http.h"

enum http_chunk_state {
    HTTP_CHUNK_SIZE_FIRST, HTTP_CHUNK_SIZE, HTTP_CHUNK_EXTENSION, HTTP_CHUNK_SIZE_LF, HTTP_CHUNK_DATA,
    HTTP_CHUNK_DATA_CR, HTTP_CHUNK_DATA_LF, HTTP_CHUNK_TRAILERS, HTTP_CHUNK_DONE
};
struct http_chunks {
    enum http_chunk_state state;
    uint64_t left;          /* Data bytes left of this chunk, in state DATA. */
    uint32_t line_size;     /* Of the chunk line so far. */
    uint8_t *trailer;       /* Arena; raw lines. */
    uint32_t trailer_size, trailer_capacity;
};
/* Consumes framing until the state is DATA or DONE or 'bytes' end; *ret_used says how far it got. -E_SYNTAX,
 * -E_LIMIT, -ENOMEM. The caller takes the data of state DATA itself, with http_chunks_data(). */
int http_chunks_step(struct http_chunks *chunks, struct arena *arena, struct slice bytes, size_t *ret_used);
void http_chunks_data(struct http_chunks *chunks, uint64_t size);
/* Parses the trailer lines; -E_SYNTAX. */
int http_chunks_trailers(const struct http_chunks *chunks, struct arena *arena, struct http_header **ret_trailers,
                         uint32_t *ret_count);

#endif
