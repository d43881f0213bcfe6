/* base/rpc_tcp.c - rpc frames over TCP.
 *
 * Tasks: one accepts; one per peer connects and, while connected, reads; one per
 * accepted connection reads; one per connection writes. A link is shared by its
 * reader and its writer; the last one frees it. The transport itself is freed by
 * the last task after rpc_tcp_close(). */
#include "base/rpc_tcp.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/rpc_private.h"

COUNTER(rpc_tcp_connected, "RPC connections made or accepted, hello exchanged.");
COUNTER(rpc_tcp_lost, "RPC connections that broke.");
COUNTER(rpc_tcp_overload, "Frames refused because too many wait to be written to a peer.");

enum {
    HELLO_BYTES = 64,
    VERSION = 1,
    READ_BYTES = 64 * 1024,        /* Read at once; more goes straight to where it belongs. */
    SCRATCH_KEEP = 256 * 1024      /* A larger head's memory is given back. */
};
static const char hello_magic[8] = "RSHELLO";

struct out_frame {
    struct out_frame *next;
    uint8_t          *head;         /* Behind the parts. */
    size_t            head_size, bytes;
    uint32_t          parts_count;
    uint8_t           tail[8];
    struct buf_part   parts[];
};

struct link {
    struct rpc_tcp   *tcp;
    struct conn      *conn;
    uint32_t          node;
    uint32_t          refs;
    bool              closed;
    struct out_frame *first, *last;
    uint32_t          frames;
    size_t            bytes;
    struct waitq      writer;
    /* The reader's. */
    uint8_t          *input, *scratch;
    size_t            at, end, scratch_size;
};

struct tcp_peer {
    struct rpc_tcp *tcp;
    uint32_t        node;
    bool            has_address, complained;
    char            address[CONN_ADDRESS_MAX];
    struct link    *made, *accepted;
};

/* So that rpc_tcp_close() finds the tasks; on their stacks. */
struct tcp_task {
    struct tcp_task *next, *prev;
    struct task     *task;
};

struct rpc_tcp {
    struct rpc       *rpc;
    struct env       *env;
    uint64_t          cluster_id;
    struct tls       *server_tls, *client_tls;
    struct listener  *listener;     /* Freed by the task that accepts. */
    uint16_t          port;
    struct tcp_peer **peers;        /* By node id. */
    uint32_t          peers_count, peers_capacity;
    struct tcp_task  *tasks;
    uint32_t          refs;         /* Tasks (also those yet to start) and the owner. */
    uint32_t          greeting;     /* Accepted connections that have not said hello. */
    bool              closed;
};

static int64_t in_ms(struct rpc_tcp *tcp, int64_t ms)
{
    return env_now(tcp->env) + ms * NS_PER_MS;
}

static void tcp_unref(struct rpc_tcp *tcp)
{
    if (--tcp->refs > 0)
        return;
    for (uint32_t i = 0; i < tcp->peers_count; i++)
        free(tcp->peers[i]);
    free(tcp->peers);
    free(tcp);
}

static void task_enter(struct rpc_tcp *tcp, struct tcp_task *self)
{
    *self = (struct tcp_task) { .next = tcp->tasks, .task = task_self() };
    if (tcp->tasks)
        tcp->tasks->prev = self;
    tcp->tasks = self;
    if (tcp->closed)
        task_cancel(self->task);   /* It was spawned before the close and runs after it. */
}

static void task_leave(struct rpc_tcp *tcp, struct tcp_task *self)
{
    *(self->prev ? &self->prev->next : &tcp->tasks) = self->next;
    if (self->next)
        self->next->prev = self->prev;
    tcp_unref(tcp);
}

static int spawn(struct rpc_tcp *tcp, const char *name, task_fn fn, void *arg)
{
    int rc = env_spawn(tcp->env, name, fn, arg);

    if (rc == 0)
        tcp->refs++;
    return rc;
}

/* --- Peers --- */

static uint32_t peer_index(const struct rpc_tcp *tcp, uint32_t node)
{
    uint32_t low = 0, high = tcp->peers_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (tcp->peers[middle]->node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct tcp_peer *peer_find(const struct rpc_tcp *tcp, uint32_t node)
{
    uint32_t at = peer_index(tcp, node);

    return at < tcp->peers_count && tcp->peers[at]->node == node ? tcp->peers[at] : NULL;
}

static int peer_get(struct rpc_tcp *tcp, uint32_t node, struct tcp_peer **ret_peer)
{
    uint32_t         at = peer_index(tcp, node);
    struct tcp_peer *peer;

    if (at < tcp->peers_count && tcp->peers[at]->node == node) {
        *ret_peer = tcp->peers[at];
        return 0;
    }
    if (tcp->peers_count == RPC_TCP_PEERS_MAX)
        return -E_LIMIT;
    if (tcp->peers_count == tcp->peers_capacity) {
        uint32_t          capacity = tcp->peers_capacity ? tcp->peers_capacity * 2 : 16;
        struct tcp_peer **peers = realloc(tcp->peers, capacity * sizeof *peers);

        if (!peers)
            return -ENOMEM;
        tcp->peers = peers;
        tcp->peers_capacity = capacity;
    }
    peer = calloc(1, sizeof *peer);
    if (!peer)
        return -ENOMEM;
    peer->tcp = tcp;
    peer->node = node;
    memmove(&tcp->peers[at + 1], &tcp->peers[at], (tcp->peers_count - at) * sizeof *tcp->peers);
    tcp->peers[at] = peer;
    tcp->peers_count++;
    *ret_peer = peer;
    return 0;
}

/* --- Links --- */

static struct link *link_new(struct rpc_tcp *tcp, struct conn *conn, uint32_t node)
{
    struct link *link = calloc(1, sizeof *link);

    if (!link)
        return NULL;
    *link = (struct link) { .tcp = tcp, .conn = conn, .node = node, .refs = 1 };
    link->input = malloc(READ_BYTES);
    if (!link->input) {
        free(link);
        return NULL;
    }
    return link;
}

static struct out_frame *frame_pop(struct link *link)
{
    struct out_frame *frame = link->first;

    link->first = frame->next;
    if (!link->first)
        link->last = NULL;
    link->frames--;
    link->bytes -= frame->bytes;
    return frame;
}

static void frame_free(struct out_frame *frame)
{
    for (uint32_t i = 0; i < frame->parts_count; i++)
        buf_unref(frame->parts[i].buf);
    free(frame);
}

static void link_unref(struct link *link)
{
    if (--link->refs > 0)
        return;
    while (link->first)
        frame_free(frame_pop(link));
    conn_free(link->conn);
    free(link->input);
    free(link->scratch);
    free(link);
}

static void link_shut(struct link *link)
{
    if (link->closed)
        return;
    link->closed = true;
    conn_shutdown(link->conn);
    waitq_wake_all(&link->writer);
}

static int link_push(struct link *link, const struct rpc_frame *frame)
{
    size_t            parts_bytes = frame->parts_count * sizeof(struct buf_part);
    struct out_frame *out;

    if (link->frames >= RPC_TCP_QUEUE_FRAMES || link->bytes >= RPC_TCP_QUEUE_BYTES) {
        counter_inc(rpc_tcp_overload);
        return -E_OVERLOAD;
    }
    out = malloc(sizeof *out + parts_bytes + frame->head.size);
    if (!out)
        return -ENOMEM;
    *out = (struct out_frame) { .head_size = frame->head.size, .parts_count = frame->parts_count };
    out->head = (uint8_t *)out->parts + parts_bytes;
    memcpy(out->head, frame->head.data, frame->head.size);
    out->bytes = frame->head.size + sizeof out->tail;
    for (uint32_t i = 0; i < frame->parts_count; i++) {
        out->parts[i] = frame->parts[i];
        buf_ref(out->parts[i].buf);
        out->bytes += out->parts[i].size;
    }
    put_u64le(out->tail, frame->tail);
    if (link->last)
        link->last->next = out;
    else
        link->first = out;
    link->last = out;
    link->frames++;
    link->bytes += out->bytes;
    waitq_wake_one(&link->writer);
    return 0;
}

static int transport_send(void *ctx, uint32_t node, const struct rpc_frame *frame)
{
    struct tcp_peer *peer = peer_find(ctx, node);

    if (!peer || (!peer->made && !peer->accepted))
        return -E_UNAVAILABLE;
    return link_push(peer->made ? peer->made : peer->accepted, frame);
}

/* --- Writing --- */

static int frame_iov(const struct out_frame *frame, struct iovec *iov)
{
    int n = 0;

    iov[n++] = (struct iovec) { frame->head, frame->head_size };
    for (uint32_t i = 0; i < frame->parts_count; i++)
        iov[n++] = (struct iovec) { frame->parts[i].buf->data + frame->parts[i].offset, frame->parts[i].size };
    iov[n++] = (struct iovec) { (void *)(uintptr_t)frame->tail, sizeof frame->tail };
    return n;
}

/* Writes as many queued frames as go into one call. */
static WAITS int write_some(struct link *link)
{
    enum { IOV_MAX_ = ENV_IOV_MAX, FRAME_IOV_MAX = RPC_PARTS_MAX + 2 };
    struct iovec      iov[IOV_MAX_];
    struct out_frame *batch[IOV_MAX_];
    int               n = 0, count = 0, rc;

    while (link->first && n + FRAME_IOV_MAX <= IOV_MAX_) {
        batch[count] = frame_pop(link);
        n += frame_iov(batch[count], iov + n);
        count++;
    }
    rc = conn_write(link->conn, iov, n, in_ms(link->tcp, RPC_TCP_WRITE_MS));
    for (int i = 0; i < count; i++)
        frame_free(batch[i]);
    return rc;
}

static int push_ping(struct link *link)
{
    struct rpc_header header = {
        .kind = RPC_PING, .from = rpc_node(link->tcp->rpc), .to = link->node, .cluster_id = link->tcp->cluster_id,
    };
    struct rpc_frame frame;
    uint8_t         *memory;
    int              rc = rpc_frame_pack(&header, SLICE_NONE, NULL, &frame, &memory);

    if (rc < 0)
        return rc;
    rc = link_push(link, &frame);
    free(memory);
    return rc;
}

static WAITS void writer_task(void *arg)
{
    struct link    *link = arg;
    struct rpc_tcp *tcp = link->tcp;
    struct tcp_task self;
    int             rc = 0;

    task_enter(tcp, &self);
    task_set_trace("");
    while (rc == 0 && !link->closed) {
        if (link->first) {
            rc = write_some(link);
            continue;
        }
        rc = waitq_wait(&link->writer, in_ms(tcp, RPC_TCP_PING_MS));
        if (rc == -ETIMEDOUT)
            rc = link->first ? 0 : push_ping(link);
    }
    link_shut(link);
    link_unref(link);
    task_leave(tcp, &self);
}

/* --- Reading --- */

static WAITS int read_exact(struct link *link, void *data, size_t size)
{
    uint8_t *to = data;

    while (size > 0) {
        int64_t deadline = in_ms(link->tcp, RPC_TCP_SILENCE_MS);
        size_t  have = link->end - link->at, n;
        int     rc;

        if (have > 0) {
            n = have < size ? have : size;
            memcpy(to, link->input + link->at, n);
            link->at += n;
            to += n;
            size -= n;
            continue;
        }
        if (size >= READ_BYTES) {
            rc = conn_read(link->conn, to, size, deadline, &n);
            if (rc == 0) {
                to += n;
                size -= n;
            }
        } else {
            rc = conn_read(link->conn, link->input, READ_BYTES, deadline, &n);
            link->at = 0;
            link->end = rc == 0 ? n : 0;
        }
        if (rc == 0 && n == 0)
            return -E_CLOSED;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int scratch_reserve(struct link *link, size_t size)
{
    uint8_t *bigger;

    if (size <= link->scratch_size && (link->scratch_size <= SCRATCH_KEEP || size > SCRATCH_KEEP))
        return 0;
    size = size < 4096 ? 4096 : size;
    bigger = realloc(link->scratch, size);
    if (!bigger)
        return -ENOMEM;
    link->scratch = bigger;
    link->scratch_size = size;
    return 0;
}

static WAITS int read_frame(struct link *link)
{
    uint8_t         header[RPC_FRAME_HEADER_BYTES], tail[8];
    struct buf_part parts[RPC_PAYLOAD_MAX / BUF_SIZE_MAX + 1];
    uint32_t        count = 0;
    size_t          head_size, payload_size;
    int             rc = read_exact(link, header, sizeof header);

    if (rc == 0)
        rc = rpc_frame_sizes(slice_of(header, sizeof header), &head_size, &payload_size);
    if (rc == 0)
        rc = scratch_reserve(link, sizeof header + head_size);
    if (rc < 0)
        return rc;
    memcpy(link->scratch, header, sizeof header);
    rc = read_exact(link, link->scratch + sizeof header, head_size);
    while (rc == 0 && payload_size > 0) {
        size_t      n = payload_size < BUF_SIZE_MAX ? payload_size : BUF_SIZE_MAX;
        struct buf *buf = buf_new(n);

        if (!buf) {
            rc = -ENOMEM;
            break;
        }
        parts[count++] = (struct buf_part) { .buf = buf, .size = (uint32_t)n };
        rc = read_exact(link, buf->data, n);
        payload_size -= n;
    }
    if (rc == 0)
        rc = read_exact(link, tail, sizeof tail);
    if (rc == 0 && !link->tcp->closed)
        rc = rpc_deliver(link->tcp->rpc, link->node, slice_of(link->scratch, sizeof header + head_size), parts,
                         count, get_u64le(tail));
    for (uint32_t i = 0; i < count; i++)
        buf_unref(parts[i].buf);
    return rc;
}

/* Serves an established link until it breaks; takes over the conn. */
static WAITS int link_run(struct tcp_peer *peer, struct conn *conn, bool made)
{
    struct rpc_tcp *tcp = peer->tcp;
    struct link    *link = link_new(tcp, conn, peer->node), **place = made ? &peer->made : &peer->accepted;
    int             rc;

    if (!link) {
        conn_free(conn);
        return -ENOMEM;
    }
    rc = spawn(tcp, "rpc-write", writer_task, link);
    if (rc < 0) {
        link_unref(link);
        return rc;
    }
    link->refs++;
    if (*place)
        link_shut(*place);   /* The peer connected anew before we saw the old connection break. */
    *place = link;
    counter_inc(rpc_tcp_connected);
    log_info("rpc.connected", "node=%u by=%s", peer->node, made ? "us" : "peer");
    while (rc == 0 && !link->closed)
        rc = read_frame(link);
    link_shut(link);
    if (*place == link)
        *place = NULL;
    counter_inc(rpc_tcp_lost);
    if (!tcp->closed) {
        if (!task_cancelled())
            log_warn("rpc.lost", "node=%u by=%s code=%s", peer->node, made ? "us" : "peer", error_name(rc));
        rpc_peer_lost(tcp->rpc, peer->node);
    }
    link_unref(link);
    return rc;
}

/* --- Hello --- */

static WAITS int hello_write(struct rpc_tcp *tcp, struct conn *conn, uint32_t expected, int64_t deadline)
{
    uint8_t             bytes[HELLO_BYTES] = { 0 };
    struct bytes_writer w;
    struct iovec        iov = { bytes, sizeof bytes };

    bytes_writer_init(&w, bytes, sizeof bytes);
    bytes_put(&w, hello_magic, sizeof hello_magic);
    bytes_put_u32le(&w, VERSION);
    bytes_put_u32le(&w, VERSION);
    bytes_put_u64le(&w, tcp->cluster_id);
    bytes_put_u32le(&w, rpc_node(tcp->rpc));
    bytes_put_u32le(&w, expected);
    put_u64le(bytes + HELLO_BYTES - 8, XXH3_64bits(bytes, HELLO_BYTES - 8));
    return conn_write(conn, &iov, 1, deadline);
}

static WAITS int hello_read(struct rpc_tcp *tcp, struct conn *conn, int64_t deadline, uint32_t *ret_node)
{
    uint8_t  bytes[HELLO_BYTES];
    size_t   have = 0, n;
    uint32_t node, expected;
    int      rc;

    while (have < sizeof bytes) {
        rc = conn_read(conn, bytes + have, sizeof bytes - have, deadline, &n);
        if (rc == 0 && n == 0)
            return -E_CLOSED;
        if (rc < 0)
            return rc;
        have += n;
    }
    if (memcmp(bytes, hello_magic, sizeof hello_magic) != 0 ||
        get_u64le(bytes + HELLO_BYTES - 8) != XXH3_64bits(bytes, HELLO_BYTES - 8))
        return -E_CORRUPT;
    if (get_u32le(bytes + 8) > VERSION || get_u32le(bytes + 12) < VERSION)
        return -E_TOO_NEW;
    node = get_u32le(bytes + 24);
    expected = get_u32le(bytes + 28);
    if (get_u64le(bytes + 16) != tcp->cluster_id || node == rpc_node(tcp->rpc) ||
        (expected != 0 && expected != rpc_node(tcp->rpc)))
        return -E_FORBIDDEN;
    *ret_node = node;
    return 0;
}

/* --- Connecting and accepting --- */

static WAITS int peer_connect(struct tcp_peer *peer, struct conn **ret_conn, struct error *err)
{
    struct rpc_tcp *tcp = peer->tcp;
    int64_t         deadline = in_ms(tcp, RPC_TCP_CONNECT_MS);
    struct conn    *conn = NULL;
    uint32_t        node = 0;
    int             rc = conn_connect(tcp->env, peer->address, deadline, &conn, err);

    if (rc < 0)
        return rc;
    if (tcp->client_tls)
        rc = conn_start_tls(conn, tcp->client_tls, NULL, deadline);
    if (rc == 0)
        rc = hello_write(tcp, conn, peer->node, deadline);
    if (rc == 0)
        rc = hello_read(tcp, conn, deadline, &node);
    if (rc == 0 && node != peer->node)
        rc = -E_FORBIDDEN;
    if (rc < 0) {
        conn_free(conn);
        return error_set(err, rc, "%s", error_text(rc));
    }
    *ret_conn = conn;
    return 0;
}

static WAITS void connect_task(void *arg)
{
    struct tcp_peer *peer = arg;
    struct rpc_tcp  *tcp = peer->tcp;
    struct tcp_task  self;
    uint64_t         backoff = RPC_TCP_BACKOFF_MIN_MS;

    task_enter(tcp, &self);
    task_set_trace("");
    while (!task_cancelled()) {
        struct conn *conn = NULL;
        struct error err;
        int64_t      wait;

        if (peer_connect(peer, &conn, &err) == 0) {
            peer->complained = false;
            backoff = RPC_TCP_BACKOFF_MIN_MS;
            link_run(peer, conn, true);
        } else if (!peer->complained && !task_cancelled()) {
            peer->complained = true;   /* Once; it is tried again all the time. */
            log_warn("rpc.unreachable", "node=%u address=%s why=\"%s\"", peer->node, peer->address, err.text);
        }
        /* Jitter, so that nodes that lost the same peer do not return in step. */
        wait = (int64_t)(backoff / 2 + env_random64(tcp->env) % (backoff / 2 + 1));
        backoff = backoff * 2 < RPC_TCP_BACKOFF_MAX_MS ? backoff * 2 : RPC_TCP_BACKOFF_MAX_MS;
        task_sleep(wait * NS_PER_MS);
    }
    task_leave(tcp, &self);
}

struct accepted {
    struct rpc_tcp *tcp;
    struct conn    *conn;
};

static WAITS void accepted_task(void *arg)
{
    struct accepted  a = *(struct accepted *)arg;
    struct rpc_tcp  *tcp = a.tcp;
    int64_t          deadline = in_ms(tcp, RPC_TCP_CONNECT_MS);
    struct tcp_peer *peer = NULL;
    struct tcp_task  self;
    uint32_t         node = 0;
    int              rc = 0;

    free(arg);
    task_enter(tcp, &self);
    task_set_trace("");
    if (tcp->server_tls)
        rc = conn_start_tls(a.conn, tcp->server_tls, NULL, deadline);
    if (rc == 0)
        rc = hello_read(tcp, a.conn, deadline, &node);
    if (rc == 0)
        rc = hello_write(tcp, a.conn, node, deadline);
    if (rc == 0)
        rc = peer_get(tcp, node, &peer);
    tcp->greeting--;
    if (rc == 0) {
        link_run(peer, a.conn, false);
    } else {
        char from[CONN_ADDRESS_MAX];

        conn_peer(a.conn, from, sizeof from);
        if (rc != -ECANCELED && rc != -E_CLOSED)
            log_warn("rpc.refused", "peer=%s code=%s", from, error_name(rc));
        conn_free(a.conn);
    }
    task_leave(tcp, &self);
}

static WAITS void accept_task(void *arg)
{
    struct rpc_tcp *tcp = arg;
    struct tcp_task self;

    task_enter(tcp, &self);
    for (;;) {
        struct conn     *conn;
        struct accepted *a;

        if (listener_accept(tcp->listener, &conn) < 0)
            break;
        a = tcp->greeting < RPC_TCP_GREETING_MAX ? malloc(sizeof *a) : NULL;
        if (a)
            *a = (struct accepted) { tcp, conn };
        if (!a || spawn(tcp, "rpc-read", accepted_task, a) < 0) {
            conn_free(conn);
            free(a);
            continue;
        }
        tcp->greeting++;
    }
    tcp->listener = listener_free(tcp->listener);
    task_leave(tcp, &self);
}

/* --- The owner's side --- */

int rpc_tcp_new(struct rpc *rpc, uint64_t cluster_id, const struct rpc_tcp_options *options,
                struct rpc_tcp **ret_tcp, struct error *err)
{
    struct rpc_tcp *tcp = calloc(1, sizeof *tcp);
    int             rc = 0;

    if (!tcp)
        return error_set(err, -ENOMEM, "out of memory");
    *tcp = (struct rpc_tcp) {
        .rpc = rpc, .env = rpc_env(rpc), .cluster_id = cluster_id, .refs = 1,
        .server_tls = options->server_tls, .client_tls = options->client_tls,
    };
    if (options->listen) {
        rc = listener_new(tcp->env, options->listen, &tcp->listener, err);
        if (rc == 0) {
            tcp->port = listener_port(tcp->listener);
            rc = spawn(tcp, "rpc-accept", accept_task, tcp);
            if (rc < 0) {
                listener_free(tcp->listener);
                error_set(err, rc, "%s", error_text(rc));
            }
        }
    }
    if (rc < 0) {
        free(tcp);
        return rc;
    }
    rpc_set_transport(rpc, &(struct rpc_transport) { tcp, transport_send });
    *ret_tcp = tcp;
    return 0;
}

uint16_t rpc_tcp_port(const struct rpc_tcp *tcp)
{
    return tcp->port;
}

int rpc_tcp_add_peer(struct rpc_tcp *tcp, uint32_t node, const char *address)
{
    struct tcp_peer *peer;
    int              rc;

    if (strlen(address) >= CONN_ADDRESS_MAX)
        return -E_LIMIT;
    rc = peer_get(tcp, node, &peer);
    if (rc < 0)
        return rc;
    if (peer->has_address)
        return -EEXIST;
    snprintf(peer->address, sizeof peer->address, "%s", address);
    rc = spawn(tcp, "rpc-connect", connect_task, peer);
    peer->has_address = rc == 0;
    return rc;
}

bool rpc_tcp_connected(const struct rpc_tcp *tcp, uint32_t node)
{
    const struct tcp_peer *peer = peer_find(tcp, node);

    return peer && (peer->made || peer->accepted);
}

struct rpc_tcp *rpc_tcp_close(struct rpc_tcp *tcp)
{
    if (!tcp)
        return NULL;
    tcp->closed = true;
    rpc_set_transport(tcp->rpc, &(struct rpc_transport) { NULL, NULL });
    for (uint32_t i = 0; i < tcp->peers_count; i++) {
        if (tcp->peers[i]->made)
            link_shut(tcp->peers[i]->made);
        if (tcp->peers[i]->accepted)
            link_shut(tcp->peers[i]->accepted);
        rpc_peer_lost(tcp->rpc, tcp->peers[i]->node);
    }
    for (struct tcp_task *t = tcp->tasks; t; t = t->next)
        task_cancel(t->task);
    tcp_unref(tcp);
    return NULL;
}
