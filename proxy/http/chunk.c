/* proxy/http/chunk.c - the framing of chunked bodies, strict (RFC 9112, 7.1).
 *
 *   SIZE_FIRST -> SIZE -> [EXTENSION ->] SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE_FIRST ...
 *                                           '-(size 0)-> TRAILERS -> DONE
 *
 * Extensions are skipped. Trailer lines are kept and parsed at the end. */
#include <assert.h>
#include <string.h>

#include "proxy/http/private.h"

enum { TRAILERS_MAX = 64, SIZE_DIGITS_MAX = 16 };

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int size_digit(struct http_chunks *chunks, uint8_t c)
{
    int digit = hex_value(c);

    if (digit < 0 || chunks->line_size > SIZE_DIGITS_MAX)
        return -E_SYNTAX;
    if (chunks->left >> 59)   /* The sum of a body's chunks shall stay far from overflow. */
        return -E_SYNTAX;
    chunks->left = chunks->left * 16 + (uint64_t)digit;
    return 0;
}

static int trailer_byte(struct http_chunks *chunks, struct arena *arena, uint8_t c)
{
    if (chunks->trailer_size == chunks->trailer_capacity) {
        uint32_t capacity = chunks->trailer_capacity ? chunks->trailer_capacity * 2 : 128;
        if (capacity > HTTP_TRAILER_BYTES_MAX)
            return -E_LIMIT;
        uint8_t *bigger = arena_alloc(arena, capacity);
        if (!bigger)
            return -ENOMEM;
        if (chunks->trailer_size)
            memcpy(bigger, chunks->trailer, chunks->trailer_size);
        chunks->trailer = bigger;
        chunks->trailer_capacity = capacity;
    }
    chunks->trailer[chunks->trailer_size++] = c;
    return 0;
}

/* Collects lines until the empty one; a line must end in CRLF. */
static int trailers_step(struct http_chunks *chunks, struct arena *arena, uint8_t c)
{
    const uint8_t *text = chunks->trailer;
    uint32_t       size = chunks->trailer_size;
    bool           after_cr = size > 0 && text[size - 1] == '\r';
    bool           line_start = size == 0 || text[size - 1] == '\n';

    if (after_cr != (c == '\n'))
        return -E_SYNTAX;
    if (line_start && (c == ' ' || c == '\t'))
        return -E_SYNTAX;
    if (c == '\n' && (size == 1 || text[size - 2] == '\n')) {
        chunks->trailer_size--;   /* The CR of the empty line. */
        chunks->state = HTTP_CHUNK_DONE;
        return 0;
    }
    return trailer_byte(chunks, arena, c);
}

static int framing_byte(struct http_chunks *chunks, struct arena *arena, uint8_t c)
{
    switch (chunks->state) {
    case HTTP_CHUNK_SIZE_FIRST:
        chunks->left = 0;
        chunks->line_size = 1;
        chunks->state = HTTP_CHUNK_SIZE;
        return size_digit(chunks, c);
    case HTTP_CHUNK_SIZE:
    case HTTP_CHUNK_EXTENSION:
        if (++chunks->line_size > HTTP_CHUNK_LINE_MAX)
            return -E_LIMIT;
        if (c == '\r')
            chunks->state = HTTP_CHUNK_SIZE_LF;
        else if (chunks->state == HTTP_CHUNK_EXTENSION)
            return (c < 0x20 && c != '\t') || c == 0x7f ? -E_SYNTAX : 0;
        else if (c == ';')
            chunks->state = HTTP_CHUNK_EXTENSION;
        else
            return size_digit(chunks, c);
        return 0;
    case HTTP_CHUNK_SIZE_LF:
        chunks->state = chunks->left ? HTTP_CHUNK_DATA : HTTP_CHUNK_TRAILERS;
        return c == '\n' ? 0 : -E_SYNTAX;
    case HTTP_CHUNK_DATA_CR:
        chunks->state = HTTP_CHUNK_DATA_LF;
        return c == '\r' ? 0 : -E_SYNTAX;
    case HTTP_CHUNK_DATA_LF:
        chunks->state = HTTP_CHUNK_SIZE_FIRST;
        return c == '\n' ? 0 : -E_SYNTAX;
    case HTTP_CHUNK_TRAILERS:
        return trailers_step(chunks, arena, c);
    case HTTP_CHUNK_DATA:
    case HTTP_CHUNK_DONE:
        break;
    }
    return -E_SYNTAX;
}

int http_chunks_step(struct http_chunks *chunks, struct arena *arena, struct slice bytes, size_t *ret_used)
{
    size_t i = 0;

    while (i < bytes.size && chunks->state != HTTP_CHUNK_DATA && chunks->state != HTTP_CHUNK_DONE) {
        int rc = framing_byte(chunks, arena, bytes.data[i]);
        if (rc)
            return rc;
        i++;
    }
    *ret_used = i;
    return 0;
}

void http_chunks_data(struct http_chunks *chunks, uint64_t size)
{
    assert(chunks->state == HTTP_CHUNK_DATA && size <= chunks->left);
    chunks->left -= size;
    if (chunks->left == 0)
        chunks->state = HTTP_CHUNK_DATA_CR;
}

int http_chunks_trailers(const struct http_chunks *chunks, struct arena *arena, struct http_header **ret_trailers,
                         uint32_t *ret_count)
{
    struct slice        rest = slice_of(chunks->trailer, chunks->trailer_size);
    struct http_header *trailers = NULL;
    uint32_t            count = 0;

    for (size_t i = 0; i < rest.size; i++)
        count += rest.data[i] == '\n';
    if (count > TRAILERS_MAX)
        return -E_LIMIT;
    if (count > 0) {
        trailers = arena_array(arena, struct http_header, count);
        if (!trailers)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        struct slice   line = slice_of(rest.data, (size_t)(end - rest.data) - 1);
        const uint8_t *colon = memchr(line.data, ':', line.size);

        if (!colon)
            return -E_SYNTAX;
        trailers[i].name = slice_of(line.data, (size_t)(colon - line.data));
        trailers[i].value = http_trim(slice_from(line, trailers[i].name.size + 1));
        if (!http_is_token(trailers[i].name) || !http_is_value(trailers[i].value))
            return -E_SYNTAX;
        rest = slice_from(rest, line.size + 2);
    }
    *ret_trailers = trailers;
    *ret_count = count;
    return 0;
}
