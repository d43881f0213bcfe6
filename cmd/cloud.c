/* cmd/cloud.c - one process of a cloud: starts its roles in order, serves, stops them in reverse. */
#include "cmd/cloud.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_kernel.h"
#include "base/log.h"
#include "base/rpc_tcp.h"
#include "cmd/cloud_private.h"
#include "proxy/http/metrics.h"
#include "proxy/s3/lifecycle_work.h"
#include "proxy/s3/s3.h"
#include "proxy/swift/swift.h"

/* Requests in flight get this long at the end. */
#define CLOUD_STOP_MS 10000
#define CLOUD_GRACE_MS 500   /* Handlers that take longer at a stop wait for something. */

uint16_t cloud_port(const struct cloud_plan *plan, unsigned rank)
{
    static const uint16_t known[] = { 5000, 8080, 9292, 8776, 9696, 8774, 8778, 9876, 8775, 10809, 6080, 8000, 9100 };

    return plan->port_base ? (uint16_t)(plan->port_base + rank) : known[rank];
}

static const char *node_address(const struct cloud_plan *plan, uint32_t id)
{
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].id == id)
            return plan->nodes[i].address;
    return NULL;
}

/* The cluster's id: given, or made at the first start. */
WAITS static int find_cluster_id(struct cloud *cloud, struct error *err)
{
    struct control_entry entry;
    struct slice         key = SLICE("cluster/id");
    char                 text[17];

    if (cloud->plan->cluster_id) {
        cloud->cluster_id = cloud->plan->cluster_id;
        return 0;
    }
    int rc = control_get(cloud->control, key, &cloud->arena, &entry);
    if (rc == -ENOENT) {
        uint64_t id;
        do
            id = env_random64(cloud->env);
        while (id == 0);
        snprintf(text, sizeof text, "%016" PRIx64, id);
        rc = control_put(cloud->control, key, slice_str(text), NULL);
        cloud->cluster_id = id;
    } else if (rc == 0) {
        cloud->cluster_id = strtoull(arena_str(&cloud->arena, entry.value), NULL, 16);
    }
    return rc == 0 ? 0 : error_set(err, rc, "control store: %s", error_text(rc));
}

WAITS static int start_control(struct cloud *cloud, struct error *err)
{
    char path[ENV_PATH_MAX];

    if (!cloud->plan->control)
        return 0;
    if ((size_t)snprintf(path, sizeof path, "%s/control", cloud->plan->data) >= sizeof path)
        return error_set(err, -ENAMETOOLONG, "the name of the data directory is too long");
    return control_open_embedded(cloud->env, path, NULL, &cloud->control, err);
}

WAITS static int start_rpc(struct cloud *cloud, struct error *err)
{
    const struct cloud_plan *plan = cloud->plan;

    hlc_init(&cloud->hlc, cloud->env);
    cloud->rpc = rpc_new(cloud->env, cloud->cluster_id);
    if (!cloud->rpc)
        return error_set(err, -ENOMEM, "no memory");
    if (plan->control)
        control_serve(cloud->control, cloud->rpc);
    return 0;
}

static int load_rpc_tls(struct cloud *cloud, struct error *err)
{
    struct tls_options options = { .cert_file = cloud->plan->rpc_cert, .key_file = cloud->plan->rpc_key,
                                   .ca_file = cloud->plan->rpc_ca };
    int                rc = tls_new_server(&options, &cloud->rpc_server_tls, err);

    return rc == 0 ? tls_new_client(&options, &cloud->rpc_client_tls, err) : rc;
}

/* After all handlers are registered: calls may come in from now on. */
WAITS static int start_network(struct cloud *cloud, struct error *err)
{
    const struct cloud_plan *plan = cloud->plan;
    int                      rc = 0;

    if (plan->node_count < 2)
        return 0;
    if (plan->rpc_ca)
        rc = load_rpc_tls(cloud, err);
    if (rc != 0)
        return rc;
    struct rpc_tcp_options options = { .listen = node_address(plan, plan->node_id), .server_tls = cloud->rpc_server_tls,
                                       .client_tls = cloud->rpc_client_tls };
    rc = rpc_tcp_new(cloud->rpc, cloud->cluster_id, &options, &cloud->tcp, err);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].id != plan->node_id) {
            rc = rpc_tcp_add_peer(cloud->tcp, plan->nodes[i].id, plan->nodes[i].address);
            if (rc != 0)
                return error_set(err, rc, "node %u at %s: %s", plan->nodes[i].id, plan->nodes[i].address, error_text(rc));
        }
    return 0;
}

WAITS static int start_storage_clients(struct cloud *cloud, struct error *err)
{
    cloud_directory_init(cloud);
    cloud->rows = row_client_new(cloud->rpc, &cloud->hlc);
    cloud->blobs = blob_client_new(cloud->rpc, &cloud->hlc, &cloud->directory);
    if (!cloud->rows || !cloud->blobs)
        return error_set(err, -ENOMEM, "no memory");
    return cloud_devices_watch(cloud);
}

WAITS static int start_identity(struct cloud *cloud, struct error *err)
{
    const struct cloud_plan *plan = cloud->plan;
    char                    *admin, *demo;

    if (plan->credentials) {
        int rc = cloud_credentials_prepare(cloud, err);
        if (rc != 0)
            return rc;
    }
    struct identity_options options = {
        .admin_password = cloud->admin_password ? cloud->admin_password : plan->admin_password,
        .demo_password = cloud->demo_password,
        .public_host = plan->listen, .port_base = plan->port_base, .tls = plan->tls_cert != NULL,
    };
    int rc = identity_new(cloud->env, cloud->control, &options, &cloud->identity, &cloud->arena, &admin, &demo, err);
    if (rc == 0 && plan->credentials)
        rc = cloud_credentials_made(cloud, err);
    if (rc == 0 && plan->credentials)
        rc = cloud_credentials_s3(cloud, err);
    return rc;
}

static int listen_on(struct cloud *cloud, struct http_server **ret_server, const struct http_server_options *options,
                     http_handler handler, void *ctx, unsigned rank, struct error *err)
{
    char address[CONN_ADDRESS_MAX];
    bool v6 = strchr(cloud->plan->listen, ':') != NULL;

    *ret_server = http_server_new(cloud->env, options, handler, ctx);
    if (!*ret_server)
        return error_set(err, -ENOMEM, "no memory");
    snprintf(address, sizeof address, v6 ? "[%s]:%u" : "%s:%u", cloud->plan->listen, cloud_port(cloud->plan, rank));
    return http_server_listen(*ret_server, address, err);
}

int cloud_add_s3_host(struct cloud_plan *plan, const char *name, struct error *err)
{
    if (!s3_host_valid(slice_str(name)))
        return error_set(err, -E_SYNTAX, "s3-host '%s' is not a host name", name);
    if (plan->s3_host_count == S3_HOSTS_MAX)
        return error_set(err, -E_LIMIT, "more than %d s3-hosts", S3_HOSTS_MAX);
    plan->s3_hosts[plan->s3_host_count++] = name;
    return 0;
}

/* The two dialects share the object port. */
struct dialects {
    struct swift swift;
    struct s3    s3;
};

WAITS static void objects_handle(void *ctx, struct http_request *rq)
{
    struct dialects *dialects = ctx;

    if (s3_claims(&dialects->s3, rq))
        s3_handle(&dialects->s3, rq);
    else
        swift_handle(&dialects->swift, rq);
}

WAITS static int listen_objects(struct cloud *cloud, struct error *err)
{
    static struct dialects     dialects;
    struct http_server_options options = { .name = "object", .tls = cloud->tls, .swift_trans_id = true,
                                           .access_log = cloud->plan->access_log };
    struct lifecycle_options   lifecycle = { .objects = cloud->objects, .day_s = cloud->plan->s3_day_s };
    int                        rc;

    dialects.swift = (struct swift) { .objects = cloud->objects, .identity = cloud->identity };
    dialects.s3 = (struct s3) { .objects = cloud->objects, .identity = cloud->identity, .region = "RegionOne",
                                .lifecycle_day_s = cloud->plan->s3_day_s };
    for (uint32_t i = 0; i < cloud->plan->s3_host_count; i++)
        dialects.s3.hosts[i] = cloud->plan->s3_hosts[i];
    cloud->s3 = &dialects.s3;
    rc = listen_on(cloud, &cloud->swift, &options, objects_handle, &dialects, RANK_OBJECT, err);
    return rc ? rc : lifecycle_start(&lifecycle, err);
}

WAITS static int start_proxy(struct cloud *cloud, struct error *err)
{
    const struct cloud_plan      *plan = cloud->plan;
    struct object_service_options options = {
        .env = cloud->env, .rows = cloud->rows, .blobs = cloud->blobs, .directory = cloud->directory,
        .policies = plan->policies, .policy_count = plan->policy_count,
        .index_ring = cloud_index_ring, .index_ring_ctx = cloud,
    };

    if (!plan->proxy)
        return 0;
    int rc = 0;
    if (plan->node_count > 1)   /* Elsewhere devices may still be starting; here they are open, or lost. */
        rc = cloud_devices_wait(cloud);
    if (rc == 0)
        rc = start_identity(cloud, err);
    if (rc == 0)
        rc = crypt_keys_open(cloud->env, cloud->control, &cloud->object_keys, err);
    if (rc == 0 && plan->new_object_key)
        rc = crypt_keys_rotate(cloud->object_keys, err);
    options.keys = cloud->object_keys;
    if (rc == 0)
        rc = object_service_new(&options, &cloud->objects, err);
    if (rc == 0 && plan->tls_cert) {
        struct tls_options tls = { .cert_file = plan->tls_cert, .key_file = plan->tls_key };
        rc = tls_new_server(&tls, &cloud->tls, err);
    }
    if (rc != 0)
        return rc;
    struct http_server_options keystone = { .name = "identity", .tls = cloud->tls, .access_log = true };
    rc = listen_on(cloud, &cloud->keystone, &keystone, keystone_handle, cloud->identity, RANK_IDENTITY, err);
    return rc ? rc : listen_objects(cloud, err);
}

/* Every role of this process serves, and it knows enough working devices. */
static bool is_ready(void *ctx)
{
    const struct cloud *cloud = ctx;

    return cloud->ready && !cloud->stopping;
}

WAITS static int start_metrics(struct cloud *cloud, struct error *err)
{
    static struct metrics      metrics;
    struct http_server_options options = { .name = "metrics" };

    metrics = (struct metrics) { .ready = is_ready, .ctx = cloud };
    return listen_on(cloud, &cloud->metrics, &options, metrics_handle, &metrics, RANK_METRICS, err);
}

WAITS static int start(struct cloud *cloud, struct error *err)
{
    int rc;

    if ((rc = start_control(cloud, err)) != 0)
        return rc;
    if (!cloud->plan->control)
        cloud->cluster_id = cloud->plan->cluster_id;
    else if ((rc = find_cluster_id(cloud, err)) != 0)
        return rc;
    if ((rc = start_rpc(cloud, err)) != 0)
        return rc;
    /* A proxy has one without devices: it makes the answers of the storage role known to its RPC. */
    if ((cloud->plan->storage || cloud->plan->proxy) && (rc = storage_service_new(cloud->rpc, &cloud->hlc, &cloud->service)) != 0)
        return error_set(err, rc, "no memory");
    if ((rc = start_network(cloud, err)) != 0)
        return rc;
    if (!cloud->plan->control && (rc = control_open_remote(cloud->rpc, cloud->plan->control_node, &cloud->control, err)) != 0)
        return rc;
    if ((rc = cloud_rings_load(cloud, err)) != 0)
        return rc;
    if ((rc = start_storage_clients(cloud, err)) != 0)
        return rc;
    if ((rc = cloud_devices_open(cloud, err)) != 0)
        return rc;
    if ((rc = start_proxy(cloud, err)) != 0)
        return rc;
    return start_metrics(cloud, err);
}

static void announce(const struct cloud *cloud)
{
    const struct cloud_plan *plan = cloud->plan;
    const char              *scheme = plan->tls_cert ? "https" : "http";

    if (plan->proxy) {
        printf("Keystone   %s://%s:%u/v3\n", scheme, plan->listen, cloud_port(plan, RANK_IDENTITY));
        printf("Swift      %s://%s:%u/v1   (legacy auth at /auth/v1.0)\n", scheme, plan->listen, cloud_port(plan, RANK_OBJECT));
    }
    printf("metrics    http://%s:%u/metrics\n", plan->listen, cloud_port(plan, RANK_METRICS));
    if (plan->credentials) {
        printf("credentials: %s/openrc (admin), %s/openrc-demo (demo), %s/clouds.yaml, %s/s3.env\n", plan->data, plan->data,
               plan->data, plan->data);
        printf("try:  . %s/openrc && swift upload first README.md && swift list first\n", plan->data);
    }
    printf("ringstack: ready\n");
    fflush(stdout);
}

WAITS static void stop(struct cloud *cloud)
{
    int64_t deadline = env_now(cloud->env) + CLOUD_STOP_MS * NS_PER_MS;

    cloud->stopping = true;
    if (cloud->swift)
        http_server_stop(cloud->swift, deadline);
    if (cloud->keystone)
        http_server_stop(cloud->keystone, deadline);
    if (cloud->metrics)
        http_server_stop(cloud->metrics, deadline);
    /* Background work and other nodes may call still: devices go only when no handler uses them. */
    int64_t now = env_now(cloud->env);
    if (cloud->rpc && rpc_stop_serving(cloud->rpc, now + CLOUD_GRACE_MS * NS_PER_MS, now + CLOUD_STOP_MS * NS_PER_MS) != 0) {
        log_warn("cloud.stop_late", "why=\"calls are still being served; the next start replays\"");
        return;
    }
    cloud_devices_close(cloud);
    if (cloud->control)
        cloud->control = control_close(cloud->control);
}

WAITS static void main_task(void *arg)
{
    struct cloud *cloud = arg;
    struct error  err = { 0 };

    int rc = start(cloud, &err);
    if (rc != 0) {
        if (!cloud->stopping) {
            fprintf(stderr, "ringstack: %s\n", err.text[0] ? err.text : error_text(rc));
            cloud->status = 1;
        }
        stop(cloud);
        kernel_stop(cloud->env);
        return;
    }
    cloud->ready = true;
    malloc_trim(0);
    announce(cloud);
}

WAITS static void stop_task(void *arg)
{
    struct cloud *cloud = arg;

    stop(cloud);
    kernel_stop(cloud->env);
}

/* First signal: stop in order. Second: at once; everything acknowledged is durable anyway. */
static void on_signal(void *arg)
{
    struct cloud *cloud = arg;

    if (cloud->stopping || !cloud->ready) {
        cloud->stopping = true;
        kernel_stop(cloud->env);
        return;
    }
    cloud->stopping = true;
    log_info("cloud.stopping", "node=%u", cloud->plan->node_id);
    if (env_spawn(cloud->env, "stop", stop_task, cloud) != 0)
        kernel_stop(cloud->env);
}

static void cloud_free(struct cloud *cloud)
{
    http_server_free(cloud->swift);
    http_server_free(cloud->keystone);
    http_server_free(cloud->metrics);
    if (cloud->s3)
        s3_done(cloud->s3);
    object_service_free(cloud->objects);
    crypt_keys_close(cloud->object_keys);
    identity_free(cloud->identity);
    blob_client_free(cloud->blobs);
    row_client_free(cloud->rows);
    storage_service_free(cloud->service);
    rpc_tcp_close(cloud->tcp);
    rpc_free(cloud->rpc);
    cloud_rings_done(cloud);
    tls_free(cloud->tls);
    tls_free(cloud->rpc_server_tls);
    tls_free(cloud->rpc_client_tls);
    arena_done(&cloud->arena);
}

int cloud_run(const struct cloud_plan *plan)
{
    static struct cloud   cloud;
    struct kernel_options options = { .node_id = plan->node_id };
    struct error          err;

    cloud.plan = plan;
    cloud.row_memory.limit = ROW_MEMORY_BYTES;
    arena_init(&cloud.arena, ARENA_LIMIT_DEFAULT);
    if (kernel_new(&options, &cloud.env, &err) != 0) {
        fprintf(stderr, "ringstack: %s\n", err.text);
        return 1;
    }
    kernel_on_signal(cloud.env, SIGTERM, on_signal, &cloud);
    kernel_on_signal(cloud.env, SIGINT, on_signal, &cloud);
    if (env_spawn(cloud.env, "main", main_task, &cloud) != 0)
        return 1;
    log_gather(true);
    kernel_run(cloud.env);
    log_gather(false);
    cloud_free(&cloud);
    kernel_free(cloud.env);
    return cloud.status;
}
