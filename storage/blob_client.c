/* storage/blob_client.c - what writers and readers share, and deleting. */
#include <stdlib.h>
#include <string.h>

#include "storage/blob_private.h"
#include "storage/device.h"

struct blob_client *blob_client_new(struct rpc *rpc, struct hlc *hlc, const struct blob_directory *directory)
{
    struct blob_client *client = calloc(1, sizeof *client);

    if (client) {
        client->rpc = rpc;
        client->env = rpc_env(rpc);
        client->hlc = hlc;
        client->directory = *directory;
        blob_alive_register(client);
    }
    return client;
}

struct blob_client *blob_client_free(struct blob_client *client)
{
    if (client)
        for (unsigned k = 0; k < POLICY_FRAGMENTS_MAX; k++)
            for (unsigned m = 0; m < POLICY_FRAGMENTS_MAX; m++)
                ec_free(client->ec[k][m]);
    free(client);
    return NULL;
}

struct check_job {
    uint32_t     k, m;
    struct error err;
    int          rc;
};

static void check_work(void *arg)
{
    struct check_job *job = arg;

    job->rc = ec_check(job->k, job->m, &job->err);
}

WAITS int blob_ec(struct blob_client *client, uint32_t k, uint32_t m, const struct ec **ret_ec, struct error *err)
{
    struct check_job job = { .k = k, .m = m };
    struct ec       *ec;
    int              rc;

    if (k == 0 || m == 0 || k + m > POLICY_FRAGMENTS_MAX)
        return error_set(err, -E_CORRUPT, "no erasure code with k=%u m=%u", k, m);
    if (!client->ec[k][m]) {
        rc = env_work(client->env, WORK_CPU, check_work, &job);
        if (rc == 0)
            rc = job.rc;
        if (rc == 0)
            rc = ec_new(k, m, &ec);
        if (rc)
            return error_set(err, rc, "%s", job.err.text[0] ? job.err.text : error_text(rc));
        if (client->ec[k][m])
            ec_free(ec);   /* Another task was faster. */
        else
            client->ec[k][m] = ec;
    }
    *ret_ec = client->ec[k][m];
    return 0;
}

/* --- Deleting. --- */

static bool add_device(uint16_t *devices, uint32_t *count, uint32_t capacity, uint32_t device)
{
    if (device >= RING_NONE)
        return true;
    for (uint32_t i = 0; i < *count; i++)
        if (devices[i] == device)
            return true;
    if (*count == capacity)
        return false;
    devices[(*count)++] = (uint16_t)device;
    return true;
}

WAITS int blob_delete(struct blob_client *client, const Rs__Extent *extent, int64_t deadline, struct error *err)
{
    const struct ring      *ring;
    uint16_t                devices[3 * POLICY_FRAGMENTS_MAX];
    uint32_t                count = 0;
    struct ring_set         set;
    struct rpc_fan          fan;
    const struct rpc_reply *reply;
    int                     rc = 0, next;

    if (extent->blob.len != BLOB_ID_BYTES || extent->policy > UINT16_MAX)
        return error_set(err, -E_CORRUPT, "an extent without a blob id");
    ring = client->directory.ring(client->directory.ctx, (uint16_t)extent->policy);
    if (!ring)
        return error_set(err, -E_UNAVAILABLE, "no ring is known for policy %u", extent->policy);
    ring_lookup(ring, ring_partition(ring, slice_of(extent->blob.data, extent->blob.len)), &set);
    for (uint32_t i = 0; i < extent->n_devices && i < POLICY_FRAGMENTS_MAX; i++)
        add_device(devices, &count, 3 * POLICY_FRAGMENTS_MAX, extent->devices[i]);
    for (uint32_t i = 0; i < set.count; i++) {
        add_device(devices, &count, 3 * POLICY_FRAGMENTS_MAX, set.device[i]);
        add_device(devices, &count, 3 * POLICY_FRAGMENTS_MAX, set.joining[i]);
    }

    rpc_fan_open(&fan, client->rpc, deadline);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        const struct ring_device *device = ring_device(ring, devices[i]);
        struct rpc_message       *message;
        Rs__BlobDelete           *head;

        if (!device)
            continue;   /* It left the cluster, and what it held with it. */
        message = rpc_message_new();
        head = message ? arena_new(&message->arena, Rs__BlobDelete) : NULL;
        if (head) {
            rs__blob_delete__init(head);
            head->device = devices[i];
            head->blob.data = arena_alloc(&message->arena, BLOB_ID_BYTES);
            head->blob.len = BLOB_ID_BYTES;
        }
        if (!head || !head->blob.data) {
            rc = -ENOMEM;
        } else {
            memcpy(head->blob.data, extent->blob.data, BLOB_ID_BYTES);
            message->head = &head->base;
            rpc_fan_send(&fan, devices[i], device->node, METHOD_BLOB_DELETE, set.epoch, message);
        }
        rpc_message_unref(message);
    }
    while (rc == 0 && (next = rpc_fan_next(&fan, deadline, &reply)) != -ENOENT) {
        if (next)
            rc = error_set(err, next, "blob delete: %s", error_text(next));
        else if (reply->code)
            rc = error_set(err, -E_UNAVAILABLE, "device %u did not delete: %.160s", reply->tag,
                           reply->text[0] ? reply->text : error_text(reply->code));
    }
    rpc_fan_close(&fan);
    return rc;
}
