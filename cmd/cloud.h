/* cmd/cloud.h - one process of a cloud: puts the rooms together by its roles.
 *
 * `ringstack dev` makes a plan with all roles in one process, `ringstack node`
 * reads one from its configuration file; both come here.
 *
 * Rings are made once, by the control role, from the devices of the plan, and
 * kept in the control store ("ring/<name>"), where every process reads them.
 * Each device's identity is recorded there too ("device/<id>"): a drive that was
 * known and comes back empty is kept out of service, because an empty replica
 * that votes could undo acknowledged writes. */
#ifndef CMD_CLOUD_H
#define CMD_CLOUD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "proxy/s3/s3.h"
#include "storage/policy.h"

enum { CLOUD_DEVICES_MAX = 1024, CLOUD_NODES_MAX = 256, CLOUD_PART_POWER = 10 };

struct cloud_device {
    uint16_t    id;
    uint32_t    node;
    uint32_t    region, zone;
    double      weight;
    const char *host;    /* Failure domain. */
    const char *path;    /* On its node. */
};
struct cloud_node {
    uint32_t    id;
    const char *address;   /* "ADDR:PORT" of its RPC; NULL in a cloud of one process. */
};

struct cloud_plan {
    uint32_t             node_id;
    uint64_t             cluster_id;      /* 0: made at random and kept in the control store (dev). */
    bool                 control, storage, proxy;
    uint32_t             control_node;
    const char          *data;            /* Directory of this process: control store, credentials. */
    struct cloud_node    nodes[CLOUD_NODES_MAX];
    uint32_t             node_count;
    struct cloud_device  devices[CLOUD_DEVICES_MAX];
    uint32_t             device_count;
    struct policy        policies[POLICIES_MAX];
    uint32_t             policy_count;
    const char          *listen;          /* Address of the public services. */
    uint16_t             port_base;       /* 0: the default ports. */
    const char          *tls_cert, *tls_key;             /* Of the public services. */
    const char          *rpc_ca, *rpc_cert, *rpc_key;    /* Between nodes: both sides show a certificate of this CA. NULL: plain TCP. */
    const char          *admin_password;
    bool                 credentials;     /* Write openrc and clouds.yaml below 'data'. */
    bool                 access_log;      /* One line a request of the object service. */
    bool                 new_object_key;  /* Of encrypted objects: made at this start. Proxies only. */
    const char          *s3_hosts[S3_HOSTS_MAX];   /* "BUCKET.<host>" names a bucket: cloud_add_s3_host(). */
    uint32_t             s3_host_count;
    uint32_t             s3_day_s;        /* Length of a day of lifecycle rules; 0: a real one. */
};

/* Another name of the S3 service; borrows 'name'. -E_SYNTAX: not a DNS name; -E_LIMIT: more than S3_HOSTS_MAX. */
int cloud_add_s3_host(struct cloud_plan *plan, const char *name, struct error *err);

/* Runs until SIGTERM or SIGINT; the exit status. */
int cloud_run(const struct cloud_plan *plan);

/* Port of the service with this rank in docs/operations.md. */
uint16_t cloud_port(const struct cloud_plan *plan, unsigned rank);
enum { RANK_IDENTITY = 0, RANK_OBJECT = 1, RANK_METRICS = 12 };

#endif
