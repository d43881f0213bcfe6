/* sim/net_sim.c - the network between simulated nodes. */
#include "sim/net_sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A frame on its way. Copied at sending; the payload only referenced, so that
 * whoever writes into a buffer that was sent is found out by the checksum. */
struct packet {
    struct net_sim *net;
    uint32_t        from, to;
    uint64_t        life;          /* Of the receiver when it was sent. */
    uint64_t        tail;
    size_t          head_size, payload_size;
    uint32_t        parts_count;
    struct buf_part parts[RPC_PARTS_MAX];
    uint8_t         head[];
};

static void packet_free(struct packet *p)
{
    for (uint32_t i = 0; i < p->parts_count; i++)
        buf_unref(p->parts[i].buf);
    free(p);
}

/* As from a socket: the payload in buffers of its own, cut where the receiver likes. */
static uint32_t payload_copy(const struct packet *p, struct buf_part *ret_parts)
{
    size_t   left = p->payload_size, within = 0;
    uint32_t count = 0, from = 0;

    while (left > 0) {
        size_t      n = left < BUF_SIZE_MAX ? left : BUF_SIZE_MAX, done = 0;
        struct buf *buf = buf_new(n);

        assert(buf);
        while (done < n) {
            const struct buf_part *part = &p->parts[from];
            size_t                 step = part->size - within < n - done ? part->size - within : n - done;

            memcpy(buf->data + done, part->buf->data + part->offset + within, step);
            done += step;
            within += step;
            if (within == part->size) {
                from++;
                within = 0;
            }
        }
        ret_parts[count++] = (struct buf_part) { .buf = buf, .size = (uint32_t)n };
        left -= n;
    }
    return count;
}

static void arrive(void *arg)
{
    struct packet   *p = arg;
    struct net_sim  *net = p->net;
    struct net_port *port = &net->port[p->to];
    struct buf_part  parts[RPC_PAYLOAD_MAX / BUF_SIZE_MAX + 1];
    uint32_t         count;
    int              rc;

    /* A connection does not outlive the process at its other end. */
    if (!port->rpc || port->life != p->life || net->cut[p->from][p->to]) {
        net->dropped++;
        packet_free(p);
        return;
    }
    net->delivered++;
    sim_trace(net->sim, "frame", p->from, p->to, p->tail);
    count = payload_copy(p, parts);
    rc = rpc_deliver(port->rpc, p->from, slice_of(p->head, p->head_size), parts, count, p->tail);
    if (rc < 0)
        sim_fail(net->sim, "a frame from node %u to node %u was refused: %s (was its payload changed after it was sent?)",
                 p->from, p->to, error_name(rc));
    for (uint32_t i = 0; i < count; i++)
        buf_unref(parts[i].buf);
    packet_free(p);
}

static void carry(struct net_sim *net, uint32_t from, uint32_t to, const struct rpc_frame *frame)
{
    struct packet *p = calloc(1, sizeof *p + frame->head.size);
    int64_t        delay = (int64_t)rng_between(&net->sim->rng, 20, 400) * NS_PER_US;

    assert(p);
    p->net = net;
    p->from = from;
    p->to = to;
    p->life = net->port[to].life;
    p->tail = frame->tail;
    p->head_size = frame->head.size;
    memcpy(p->head, frame->head.data, frame->head.size);
    for (uint32_t i = 0; i < frame->parts_count; i++) {
        p->parts[i] = frame->parts[i];
        buf_ref(p->parts[i].buf);
        p->payload_size += p->parts[i].size;
    }
    p->parts_count = frame->parts_count;
    if (rng_chance(&net->sim->rng, net->late_ppm, 1000000))
        delay += (int64_t)rng_below(&net->sim->rng, (uint64_t)net->late_ms_max * 1000 + 1) * NS_PER_US;
    sim_after(net->sim, delay, arrive, p);
}

static int transport_send(void *ctx, uint32_t node, const struct rpc_frame *frame)
{
    struct net_port *port = ctx;
    struct net_sim  *net = port->net;

    if (node >= NET_NODES_MAX || (!net->port[node].rpc && rng_chance(&net->sim->rng, 1, 2)))
        return -E_UNAVAILABLE;   /* Sometimes it is known that nobody is there. */
    if (net->cut[port->node][node] && net->cut[node][port->node] && rng_chance(&net->sim->rng, 1, 4))
        return -E_UNAVAILABLE;
    net->sent++;
    if (rng_chance(&net->sim->rng, net->drop_ppm, 1000000)) {
        net->dropped++;
        return 0;
    }
    carry(net, port->node, node, frame);
    if (rng_chance(&net->sim->rng, net->duplicate_ppm, 1000000))
        carry(net, port->node, node, frame);
    return 0;
}

void net_sim_init(struct net_sim *net, struct sim *sim)
{
    *net = (struct net_sim) { .sim = sim };
    for (uint32_t i = 0; i < NET_NODES_MAX; i++)
        net->port[i] = (struct net_port) { .net = net, .node = i };
}

void net_sim_plug(struct net_sim *net, uint32_t node, struct rpc *rpc)
{
    struct net_port *port = &net->port[node];

    assert(node > 0 && node < NET_NODES_MAX);
    if (!rpc) {
        port->life++;
        port->rpc = NULL;
        /* Its peers see the connections break, some of them at once. */
        for (uint32_t i = 1; i < NET_NODES_MAX; i++)
            if (net->port[i].rpc && rng_chance(&net->sim->rng, 1, 2))
                rpc_peer_lost(net->port[i].rpc, node);
        return;
    }
    port->rpc = rpc;
    rpc_set_transport(rpc, &(struct rpc_transport) { port, transport_send });
}

void net_sim_break(struct net_sim *net, uint32_t a, uint32_t b)
{
    if (net->port[a].rpc)
        rpc_peer_lost(net->port[a].rpc, b);
    if (net->port[b].rpc)
        rpc_peer_lost(net->port[b].rpc, a);
}

void net_sim_heal(struct net_sim *net)
{
    memset(net->cut, 0, sizeof net->cut);
    net->drop_ppm = net->duplicate_ppm = net->late_ppm = 0;
}
