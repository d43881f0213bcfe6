/* proxy/s3/chunked.c - see chunked.h.
 *
 *   LINE -(size > 0)-> DATA -> DATA_END -> LINE ...
 *     '---(size 0)---> TRAILERS or FINAL -> DONE */
#include "proxy/s3/chunked.h"

#include <assert.h>
#include <strings.h>

enum { SIZE_DIGITS_MAX = 15 };

int aws_chunks_init(struct aws_chunks *chunks, enum s3_payload payload, uint64_t size_max, struct arena *arena)
{
    memset(chunks, 0, sizeof *chunks);
    chunks->sign = payload == S3_PAYLOAD_CHUNKS || payload == S3_PAYLOAD_CHUNKS_TRAILER;
    chunks->trailers = payload != S3_PAYLOAD_CHUNKS;
    chunks->size_max = size_max;
    if (chunks->trailers) {
        chunks->text = arena_alloc(arena, AWS_TRAILER_BYTES_MAX);
        if (!chunks->text)
            return -ENOMEM;
    }
    return 0;
}

static int malformed(struct error *err)
{
    return error_set(err, S3_INVALID_REQUEST, "The aws-chunked body is malformed.");
}

/* Size, and for signed chunks the signature; other extensions mean nothing. */
static int parse_line(struct aws_chunks *c, struct error *err)
{
    struct slice line = slice_of(c->line, c->line_size);
    uint64_t     size = 0;
    size_t       digits = 0;

    for (; digits < line.size && line.data[digits] != ';'; digits++) {
        uint8_t d = line.data[digits], lower = d | 0x20;
        if (digits == SIZE_DIGITS_MAX)
            return malformed(err);
        if (d >= '0' && d <= '9')
            size = size * 16 + (d - '0');
        else if (lower >= 'a' && lower <= 'f')
            size = size * 16 + (lower - 'a' + 10);
        else
            return malformed(err);
    }
    if (digits == 0)
        return malformed(err);
    if (c->sign) {
        static const char name[] = ";chunk-signature=";
        struct slice      rest = slice_from(line, digits);
        if (!slice_starts(rest, SLICE(";chunk-signature=")) ||
            !hex_parse(slice_from(rest, sizeof name - 1), c->claimed, SHA256_BYTES))
            return malformed(err);
    }
    if (size > c->size_max - c->size)
        return error_set(err, S3_INVALID_REQUEST, "The body is longer than x-amz-decoded-content-length.");
    c->size += size;
    c->left = size;
    c->line_size = 0;
    c->started = true;
    c->state = size ? AWS_CHUNK_DATA : c->trailers ? AWS_CHUNK_TRAILERS : AWS_CHUNK_FINAL;
    return 0;
}

static struct slice trim(struct slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_from(text, 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* One line of trailers, without its end. */
static int parse_trailer(struct aws_chunks *c, struct slice line, struct error *err)
{
    static const char sign[] = "x-amz-trailer-signature";
    const uint8_t    *colon = line.size ? memchr(line.data, ':', line.size) : NULL;
    struct slice      name, value;

    if (line.size == 0) {
        if (!c->sign || c->trailer_signed)
            c->state = AWS_CHUNK_DONE;
        return 0;
    }
    if (!colon || colon == line.data || c->trailer_signed)
        return s3_fail(err, S3_MALFORMED_TRAILER);
    name = slice_of(line.data, (size_t)(colon - line.data));
    value = trim(slice_from(line, name.size + 1));
    if (c->sign && name.size == sizeof sign - 1 && strncasecmp((const char *)name.data, sign, name.size) == 0) {
        c->trailer_signed = hex_parse(value, c->trailer_signature, SHA256_BYTES);
        return c->trailer_signed ? 0 : s3_fail(err, S3_MALFORMED_TRAILER);
    }
    if (c->trailer_count == AWS_TRAILERS_MAX)
        return s3_fail(err, S3_MALFORMED_TRAILER);
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f)
            return s3_fail(err, S3_MALFORMED_TRAILER);
    c->trailer[c->trailer_count++] = (struct http_header) { name, value };
    return 0;
}

static int trailer_byte(struct aws_chunks *c, uint8_t byte, struct error *err)
{
    struct slice line;

    if (c->text_size == AWS_TRAILER_BYTES_MAX)
        return s3_fail(err, S3_MALFORMED_TRAILER);
    c->text[c->text_size++] = byte;
    if (byte != '\n')
        return 0;
    line = slice_of(c->text + c->text_line, c->text_size - c->text_line - 1);
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    c->text_line = c->text_size;
    return parse_trailer(c, line, err);
}

static int line_byte(struct aws_chunks *c, uint8_t byte, struct error *err)
{
    if (byte == '\n') {
        if (c->line_size == 0 || c->line[--c->line_size] != '\r')
            return malformed(err);
        return parse_line(c, err);
    }
    if (c->line_size == AWS_CHUNK_LINE_MAX)
        return malformed(err);
    c->line[c->line_size++] = (char)byte;
    return 0;
}

/* The CRLF behind data, and the last one. */
static int crlf_byte(struct aws_chunks *c, uint8_t byte, enum aws_chunk_state next, struct error *err)
{
    if (byte != (c->line_size == 0 ? '\r' : '\n'))
        return malformed(err);
    if (c->line_size++ == 1) {
        c->line_size = 0;
        c->state = next;
    }
    return 0;
}

int aws_chunks_step(struct aws_chunks *c, struct slice bytes, size_t *ret_used, struct error *err)
{
    size_t at = 0;
    int    rc = 0;

    c->started = false;
    while (rc == 0 && at < bytes.size && !c->started) {
        uint8_t byte = bytes.data[at];

        if (c->state == AWS_CHUNK_DATA || c->state == AWS_CHUNK_DONE)
            break;
        at++;
        switch (c->state) {
        case AWS_CHUNK_LINE: rc = line_byte(c, byte, err); break;
        case AWS_CHUNK_DATA_END: rc = crlf_byte(c, byte, AWS_CHUNK_LINE, err); break;
        case AWS_CHUNK_FINAL: rc = crlf_byte(c, byte, AWS_CHUNK_DONE, err); break;
        case AWS_CHUNK_TRAILERS: rc = trailer_byte(c, byte, err); break;
        default: break;
        }
    }
    if (rc == 0)
        *ret_used = at;
    return rc;
}

void aws_chunks_data(struct aws_chunks *c, uint64_t size)
{
    assert(c->state == AWS_CHUNK_DATA && size <= c->left);
    c->left -= size;
    if (c->left == 0)
        c->state = AWS_CHUNK_DATA_END;
}

int aws_chunks_end(struct aws_chunks *c, struct error *err)
{
    if (c->state == AWS_CHUNK_FINAL && c->line_size == 0)
        c->state = AWS_CHUNK_DONE;
    return c->state == AWS_CHUNK_DONE ? 0 : s3_fail(err, S3_INCOMPLETE_BODY);
}
