/* sim/net_sim.h - the network between simulated nodes: carries rpc frames, late,
 * twice, out of order, or not at all. */
#ifndef SIM_NET_SIM_H
#define SIM_NET_SIM_H

#include "base/rpc.h"
#include "sim/sim.h"

enum { NET_NODES_MAX = 64 };

struct net_sim;

struct net_port {                /* One node's access to the network. */
    struct net_sim *net;
    uint32_t        node;        /* 1..NET_NODES_MAX - 1 */
    struct rpc     *rpc;         /* NULL: the node is down. */
    uint64_t        life;        /* Counts restarts. */
};

struct net_sim {
    struct sim     *sim;
    struct net_port port[NET_NODES_MAX];
    bool            cut[NET_NODES_MAX][NET_NODES_MAX];   /* [from][to]: frames vanish. */
    uint32_t        drop_ppm, duplicate_ppm, late_ppm;
    uint32_t        late_ms_max;
    uint64_t        sent, delivered, dropped;
};

void net_sim_init(struct net_sim *net, struct sim *sim);
/* The node is up with this rpc, whose transport it becomes; NULL: it is down. */
void net_sim_plug(struct net_sim *net, uint32_t node, struct rpc *rpc);
/* The connection of the two breaks: their calls in flight fail, and frames on the way are lost by chance. */
void net_sim_break(struct net_sim *net, uint32_t a, uint32_t b);
void net_sim_heal(struct net_sim *net);   /* No cuts and no more faults. */

#endif
