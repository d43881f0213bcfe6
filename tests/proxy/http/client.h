/* tests/proxy/http/client.h - a blunt HTTP client for tests: sends any bytes,
 * collects what comes back. Runs as a task of the server's own loop. */
#ifndef TESTS_PROXY_HTTP_CLIENT_H
#define TESTS_PROXY_HTTP_CLIENT_H

#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_kernel.h"
#include "proxy/http/http.h"

enum { CLIENT_BYTES_MAX = 4 * 1024 * 1024, CLIENT_PATIENCE_S = 20 };

struct client {
    struct env  *env;
    struct conn *conn;
    char        *text;           /* All received, NUL-terminated. */
    size_t       size, taken;    /* 'taken': answers already looked at end here. */
    bool         ended;
};

static inline int64_t client_deadline(struct client *c)
{
    return env_now(c->env) + CLIENT_PATIENCE_S * NS_PER_S;
}

static inline void client_open(struct client *c, struct env *env, uint16_t port, struct tls *tls)
{
    char address[32];

    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    *c = (struct client) { .env = env, .text = calloc(1, CLIENT_BYTES_MAX + 1) };
    assert_int_equal(conn_connect(env, address, client_deadline(c), &c->conn, NULL), 0);
    if (tls)
        assert_int_equal(conn_start_tls(c->conn, tls, NULL, client_deadline(c)), 0);
}

static inline void client_close(struct client *c)
{
    c->conn = conn_free(c->conn);
    free(c->text);
    c->text = NULL;
}

static inline int client_try_send(struct client *c, const void *data, size_t size)
{
    struct iovec iov = { (void *)(uintptr_t)data, size };
    return conn_write(c->conn, &iov, 1, client_deadline(c));
}

static inline void client_send(struct client *c, const char *text)
{
    assert_int_equal(client_try_send(c, text, strlen(text)), 0);
}

/* More bytes, or false at the end. A reset counts as the end. */
static inline bool client_more(struct client *c)
{
    size_t size = 0;

    if (c->ended)
        return false;
    assert_true(c->size < CLIENT_BYTES_MAX);
    int rc = conn_read(c->conn, c->text + c->size, CLIENT_BYTES_MAX - c->size, client_deadline(c), &size);
    assert_int_not_equal(rc, -ETIMEDOUT);
    c->size += size;
    c->text[c->size] = '\0';
    c->ended = rc != 0 || size == 0;
    return !c->ended;
}

static inline void client_read_to_end(struct client *c)
{
    while (client_more(c))
        ;
}

/* Waits for a whole head, from 'taken' on; returns its status. The head becomes part of 'taken'. '*ret_head' is
 * borrowed and not terminated there. -1 at the end of the stream. */
static inline int client_head(struct client *c, struct slice *ret_head)
{
    char *end;

    while (!(end = strstr(c->text + c->taken, "\r\n\r\n")))
        if (!client_more(c))
            return -1;
    struct slice head = slice_of(c->text + c->taken, (size_t)(end + 4 - (c->text + c->taken)));
    assert_int_equal(strncmp((const char *)head.data, "HTTP/1.1 ", 9), 0);
    c->taken += head.size;
    if (ret_head)
        *ret_head = head;
    return (int)strtol((const char *)head.data + 9, NULL, 10);
}

/* Value of a header in a head, or data NULL. */
static inline struct slice client_header(struct slice head, const char *name)
{
    const char *p = (const char *)head.data, *end = p + head.size;
    size_t      size = strlen(name);

    while ((p = memchr(p, '\n', (size_t)(end - p)))) {
        p++;
        if ((size_t)(end - p) > size && strncasecmp(p, name, size) == 0 && p[size] == ':') {
            const char *value = p + size + 2;
            return slice_of(value, (size_t)((const char *)memchr(value, '\r', (size_t)(end - value)) - value));
        }
    }
    return SLICE_NONE;
}

/* One answer with its body (Content-Length or chunked; the chunks stay undecoded). Returns the status, or -1. */
static inline int client_answer(struct client *c, bool head_only, struct slice *ret_head, struct slice *ret_body)
{
    struct slice head;
    int          status = client_head(c, &head);

    if (status < 0)
        return status;
    struct slice length = client_header(head, "Content-Length");
    size_t       size = 0;
    if (head_only || status == 204 || status == 304 || status == 100) {
        size = 0;
    } else if (length.data) {
        size = strtoul((const char *)length.data, NULL, 10);
        while (c->size - c->taken < size)
            if (!client_more(c))
                break;
        if (size > c->size - c->taken)
            size = c->size - c->taken;
    } else if (client_header(head, "Transfer-Encoding").data) {
        char *end;
        while (!(end = memmem(c->text + c->taken, c->size - c->taken, "0\r\n\r\n", 5)))
            if (!client_more(c))
                break;
        size = end ? (size_t)(end + 5 - (c->text + c->taken)) : c->size - c->taken;
    }
    if (ret_head)
        *ret_head = head;
    if (ret_body)
        *ret_body = slice_of(c->text + c->taken, size);
    c->taken += size;
    return status;
}

#endif
