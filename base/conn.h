/* base/conn.h - byte streams: TCP and TLS, client and server, for HTTP and RPC.
 *
 * Kernel only; the simulator replaces the layer above (rpc transport, and the
 * object service is called without HTTP). One task reads and one writes a
 * connection at a time. Sockets are non-blocking with TCP_NODELAY. */
#ifndef BASE_CONN_H
#define BASE_CONN_H

#include "base/env.h"

struct conn;
struct listener;
struct tls;   /* A server's or client's TLS settings; shared by connections. */

struct tls_options {
    const char *cert_file, *key_file;   /* PEM. */
    const char *ca_file;                /* When set, the peer must show a certificate of this CA. */
};
/* TLS 1.2 and 1.3 only. */
int         tls_new_server(const struct tls_options *options, struct tls **ret_tls, struct error *err);
int         tls_new_client(const struct tls_options *options, struct tls **ret_tls, struct error *err);
struct tls *tls_free(struct tls *tls);

enum { CONN_ADDRESS_MAX = 64, LISTEN_BACKLOG = 1024 };

/* Listens on "ADDR:PORT" or "[V6]:PORT"; port 0 picks one (see listener_port()). */
int      listener_new(struct env *env, const char *address, struct listener **ret_listener, struct error *err);
uint16_t listener_port(const struct listener *listener);
/* -ECANCELED when the listener is closed or the task cancelled. Out of file
 * descriptors it waits and goes on. The TLS handshake is not done here. */
WAITS int listener_accept(struct listener *listener, struct conn **ret_conn);
struct listener *listener_free(struct listener *listener);

WAITS int conn_connect(struct env *env, const char *address, int64_t deadline, struct conn **ret_conn,
                       struct error *err);
/* Performs the handshake in the direction that the settings say. 'name' (may be NULL): SNI and verified host, which
 * may be an address. Errors as conn_read(); also -E_OVERLOAD. After a failure the connection can only be freed. */
WAITS int conn_start_tls(struct conn *conn, struct tls *tls, const char *name, int64_t deadline);

/* At least one byte unless the peer ended its side (0, *ret_size = 0). -ETIMEDOUT, -ECONNRESET, -ECANCELED, -EPROTO
 * (TLS), -E_CLOSED (after conn_shutdown()). Bytes that are there are given though the deadline passed. */
WAITS int conn_read(struct conn *conn, void *data, size_t capacity, int64_t deadline, size_t *ret_size);
/* All of it, or an error. */
WAITS int conn_write(struct conn *conn, const struct iovec *iov, int count, int64_t deadline);
/* Waits until bytes can be read or the peer is gone, without reading. */
WAITS int conn_wait_readable(struct conn *conn, int64_t deadline);
bool      conn_peer_closed(struct conn *conn);   /* A cheap look: has the peer ended its side, and all is read? */
void      conn_peer(const struct conn *conn, char *ret_text, size_t capacity);   /* "ADDR:PORT" */
bool      conn_is_tls(const struct conn *conn);
void      conn_end(struct conn *conn);           /* Ends our side after what was written; reading goes on. */
void      conn_shutdown(struct conn *conn);      /* Makes waits on it fail; from any task. */
struct conn *conn_free(struct conn *conn);       /* Closes. Accepts NULL. No task may be waiting on it. */

#endif
