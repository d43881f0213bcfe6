/* base/conn_private.h - what the files of conn share. Inside base/ only. */
#ifndef BASE_CONN_PRIVATE_H
#define BASE_CONN_PRIVATE_H

#include <netinet/in.h>
#include <openssl/ssl.h>

#include "base/conn.h"
#include "base/env_kernel_private.h"

struct conn {
    struct kernel       *kernel;
    struct poller_fd     pfd;
    SSL                 *ssl;       /* NULL: plain. */
    bool                 failed;    /* TLS: no close_notify may follow an error. */
    bool                 ended;     /* conn_end() was called. */
    uint32_t             calls;     /* Reads and writes since it last let others run. */
    struct sockaddr_storage peer;
};

/* Lets other tasks run now and then where a fast peer leaves nothing to wait for. */
WAITS int conn_breathe(struct conn *conn, int64_t deadline);

/* conn_address.c. Parses a numeric "ADDR:PORT" or "[V6]:PORT"; -EINVAL. */
int  address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_size);
void address_format(const struct sockaddr_storage *address, char *ret_text, size_t capacity);
enum { ADDRESS_RESULTS_MAX = 8 };
/* As address_parse(), and asks the resolver (on a worker) about names. */
WAITS int address_resolve(struct env *env, const char *text, struct sockaddr_storage ret_addresses[ADDRESS_RESULTS_MAX],
                          uint32_t *ret_count);
socklen_t address_size(const struct sockaddr_storage *address);

/* conn_tls.c */
WAITS int conn_tls_read(struct conn *conn, void *data, size_t capacity, int64_t deadline, size_t *ret_size);
WAITS int conn_tls_write(struct conn *conn, const struct iovec *iov, int count, int64_t deadline);
bool conn_tls_peer_closed(struct conn *conn);   /* When it hung up: is all read? */
void conn_tls_end(struct conn *conn);    /* Sends close_notify if that needs no waiting. */
void conn_tls_free(struct conn *conn);

#endif
