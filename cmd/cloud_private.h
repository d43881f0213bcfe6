/* cmd/cloud_private.h - what the files of cmd/cloud*.c share. */
#ifndef CMD_CLOUD_PRIVATE_H
#define CMD_CLOUD_PRIVATE_H

#include "base/hlc.h"
#include "base/rpc.h"
#include "cmd/cloud.h"
#include "control/store.h"
#include "identity/identity.h"
#include "proxy/object/object.h"
#include "ring/ring.h"
#include "storage/blob.h"
#include "storage/device.h"
#include "storage/gc.h"
#include "storage/row.h"
#include "storage/row_cache.h"

enum { CLOUD_INDEX_RINGS_MAX = 8 };

struct cloud {
    const struct cloud_plan *plan;
    struct env              *env;
    struct hlc               hlc;
    uint64_t                 cluster_id;
    struct rpc              *rpc;
    struct control          *control;
    struct rpc_tcp          *tcp;            /* NULL in a cloud of one process. */

    /* Rings: borrowed by everybody for the life of the process (static until rings can change). */
    struct ring *object_ring[POLICIES_MAX];  /* By policy index. */
    struct {
        uint8_t      replicas;
        struct ring *ring;
    } index_ring[CLOUD_INDEX_RINGS_MAX];
    uint32_t     index_rings;

    struct storage_service *service;
    struct row_memory       row_memory;                  /* Hot rows of all devices. */
    struct device          *device[CLOUD_DEVICES_MAX];   /* By place in the plan; NULL: elsewhere, or not opened. */
    bool                    up[65536];                   /* By device id: in service as far as known here. */

    struct gc             *gc;                            /* Background work of this node's devices. */

    struct row_client     *rows;
    struct blob_client    *blobs;
    struct blob_directory  directory;
    struct identity       *identity;
    struct object_service *objects;
    struct crypt_keys     *object_keys;   /* Of the proxy: master keys of encrypted objects. */
    struct http_server    *keystone, *swift, *metrics;
    struct s3             *s3;              /* NULL: no proxy role. */
    struct tls            *tls;
    struct tls            *rpc_server_tls, *rpc_client_tls;   /* Between nodes; NULL: plain TCP. */
    char                  *admin_password, *demo_password;   /* Of a fresh cloud; NULL once users exist. */
    struct arena           arena;
    bool                   ready, stopping;
    int                    status;
};

/* cloud_rings.c: reads the rings from the control store, after the control role made those that are missing. */
WAITS int cloud_rings_load(struct cloud *cloud, struct error *err);
void      cloud_rings_done(struct cloud *cloud);
const struct ring *cloud_index_ring(void *cloud, uint8_t replicas);

/* cloud_devices.c: opens this node's devices, and watches those of the others. */
WAITS int  cloud_devices_open(struct cloud *cloud, struct error *err);
WAITS void cloud_devices_close(struct cloud *cloud);
int        cloud_devices_watch(struct cloud *cloud);
/* Waits until so many devices are in service that every policy can be read; for a proxy whose storage is elsewhere. */
WAITS int  cloud_devices_wait(struct cloud *cloud);
void       cloud_directory_init(struct cloud *cloud);

/* cloud_credentials.c: passwords of a fresh cloud, kept in openrc, openrc-demo and clouds.yaml, mode 0600. The first
 * sets admin_password and demo_password unless users were made before; the second marks that they were. */
WAITS int cloud_credentials_prepare(struct cloud *cloud, struct error *err);
WAITS int cloud_credentials_made(struct cloud *cloud, struct error *err);
WAITS int cloud_credentials_s3(struct cloud *cloud, struct error *err);   /* s3.env: the admin's access key. */

#endif
