/* base/rpc_tcp.h - carries rpc frames over TCP, optionally with mutual TLS.
 *
 * One outgoing connection to each peer that has an address, kept up with
 * back-off; incoming ones are accepted from any node of the cluster. Frames to a
 * node use the connection that we made, else the one that it made: so a node
 * without an address of its own can call, and gets its answers. Kernel env only.
 * When a connection breaks, all calls in flight to its node fail (-E_CLOSED). */
#ifndef BASE_RPC_TCP_H
#define BASE_RPC_TCP_H

#include "base/conn.h"
#include "base/rpc.h"

enum {
    RPC_TCP_PEERS_MAX = 4096,
    RPC_TCP_GREETING_MAX = 256,                 /* Accepted, no hello yet; more are closed. */
    RPC_TCP_QUEUE_FRAMES = 16384,               /* Waiting to be written to a peer; more: -E_OVERLOAD. */
    RPC_TCP_QUEUE_BYTES = 128 * 1024 * 1024,
    RPC_TCP_BACKOFF_MIN_MS = 100,
    RPC_TCP_BACKOFF_MAX_MS = 5000,
    RPC_TCP_CONNECT_MS = 5000,                  /* Connect, TLS and hello together. */
    RPC_TCP_PING_MS = 5000,                     /* A quiet connection says so. */
    RPC_TCP_SILENCE_MS = 15000,                 /* Without any byte: the peer is gone. */
    RPC_TCP_WRITE_MS = 30000
};

struct rpc_tcp;

struct rpc_tcp_options {
    const char *listen;                  /* "ADDR:PORT"; NULL: only outgoing connections. */
    struct tls *server_tls, *client_tls; /* Borrowed; NULL: plain TCP. */
};

/* Sets itself as the transport of 'rpc' and starts listening. */
int rpc_tcp_new(struct rpc *rpc, uint64_t cluster_id, const struct rpc_tcp_options *options,
                struct rpc_tcp **ret_tcp, struct error *err);
uint16_t rpc_tcp_port(const struct rpc_tcp *tcp);   /* 0 when it does not listen. */
/* From now on connects to the node, "IP:PORT". -EEXIST, -E_LIMIT, -ENOMEM, -ECANCELED. */
int rpc_tcp_add_peer(struct rpc_tcp *tcp, uint32_t node, const char *address);
bool rpc_tcp_connected(const struct rpc_tcp *tcp, uint32_t node);
/* Ends connections and tasks; the rpc has no transport afterwards. Before rpc_free(). Accepts NULL. */
struct rpc_tcp *rpc_tcp_close(struct rpc_tcp *tcp);

#endif
