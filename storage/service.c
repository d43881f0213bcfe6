/* storage/service.c - the storage role of a node: its devices by id, and the
 * RPC handlers of blobs and of device status. Those of rows are in row_service.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/blob.pb-c.h"
#include "storage/blob_store.h"
#include "storage/row_store.h"

enum { SERVICE_DEVICES_MAX = 256 /* Of one process: each has files, tasks and an index. */ };

struct storage_service {
    struct rpc    *rpc;
    struct hlc    *hlc;
    struct device *device[SERVICE_DEVICES_MAX];
    uint32_t       count;
};

struct device *storage_service_device(struct storage_service *service, uint16_t id)
{
    for (uint32_t i = 0; i < service->count; i++)
        if (service->device[i]->id == id)
            return service->device[i];
    return NULL;
}

int storage_service_add(struct storage_service *service, struct device *device)
{
    if (storage_service_device(service, device->id))
        return -EEXIST;
    if (service->count == SERVICE_DEVICES_MAX)
        return -E_LIMIT;
    service->device[service->count++] = device;
    return 0;
}

/* The blobs of a device in service, or why not. */
static int find(struct storage_service *service, uint32_t id, struct blob_store **ret_store, struct error *err)
{
    struct device *device = id <= UINT16_MAX ? storage_service_device(service, (uint16_t)id) : NULL;

    if (!device)
        return error_set(err, -E_DEVICE, "device %u is not here", id);
    if (device->state != DEVICE_IN_SERVICE)
        return error_set(err, -E_DEVICE, "device %u is out of service: %.200s", id, device->failure);
    *ret_store = device->blobs;
    return 0;
}

static int blob_id(ProtobufCBinaryData bytes, uint32_t fragment, struct error *err)
{
    if (bytes.len != 16 || fragment >= POLICY_FRAGMENTS_MAX)
        return error_set(err, -E_SYNTAX, "a blob id of 16 bytes and a fragment below %d are expected",
                         POLICY_FRAGMENTS_MAX);
    return 0;
}

static int record_of(const Rs__BlobChunk *chunk, size_t length, struct volume_record *ret_record, struct error *err)
{
    struct volume_record *r = ret_record;

    if (!chunk || blob_id(chunk->blob, chunk->fragment, err))
        return -E_SYNTAX;
    if (length == 0 || length > CHUNK_BYTES_MAX || chunk->n_checksums != chunk_blocks((uint32_t)length) ||
        chunk->k > UINT8_MAX || chunk->m > UINT8_MAX ||
        (chunk->owner_shard.len && chunk->owner_shard.len != SHARD_ID_BYTES))
        return error_set(err, -E_SYNTAX, "a chunk that contradicts itself");
    memset(r, 0, sizeof *r);
    memcpy(r->blob, chunk->blob.data, 16);
    r->fragment = (uint8_t)chunk->fragment;
    r->k = (uint8_t)chunk->k;
    r->m = (uint8_t)chunk->m;
    r->erasure = chunk->erasure;
    r->segment = chunk->segment;
    r->unit = chunk->unit;
    r->length = (uint32_t)length;
    r->segment_bytes = chunk->segment_bytes;
    r->segment_checksum = chunk->segment_checksum;
    if (chunk->owner_shard.len)
        memcpy(r->owner_shard, chunk->owner_shard.data, SHARD_ID_BYTES);
    r->owner_name = slice_of(chunk->owner_name.data, chunk->owner_name.len);
    memcpy(r->checksum, chunk->checksums, chunk->n_checksums * sizeof r->checksum[0]);
    return 0;
}

WAITS static int handle_write(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                              struct error *err)
{
    const Rs__BlobWrite *head = (const Rs__BlobWrite *)request->message->head;
    struct volume_record record;
    struct blob_store   *store;
    int                  rc = find(ctx, head->device, &store, err);

    (void)reply;
    if (rc == 0)
        rc = record_of(head->chunk, request->message->payload_bytes, &record, err);
    if (rc)
        return rc;
    return blob_store_write(store, &record, request->message->parts, request->message->parts_count, head->sync);
}

WAITS static int handle_sync(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                             struct error *err)
{
    const Rs__BlobSync *head = (const Rs__BlobSync *)request->message->head;
    struct blob_store  *store;
    int                 rc = find(ctx, head->device, &store, err);

    (void)reply;
    if (rc == 0)
        rc = blob_id(head->blob, head->fragment, err);
    return rc ? rc : blob_store_sync(store, head->blob.data, (uint8_t)head->fragment, head->chunks);
}

WAITS static int handle_read(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                             struct error *err)
{
    const Rs__BlobRead  *head = (const Rs__BlobRead *)request->message->head;
    Rs__BlobReadReply   *answer = arena_new(&reply->arena, Rs__BlobReadReply);
    struct chunk_id      id = { 0 };
    struct volume_record record;
    struct blob_store   *store;
    struct buf_part      part;
    int                  rc = answer ? find(ctx, head->device, &store, err) : -ENOMEM;

    if (rc == 0)
        rc = blob_id(head->blob, head->fragment, err);
    if (rc)
        return rc;
    memcpy(id.blob, head->blob.data, 16);
    id.fragment = (uint8_t)head->fragment;
    id.segment = head->segment;
    rc = blob_store_read(store, &id, head->offset, head->size, &part, &record);
    if (rc)
        return rc;
    rs__blob_read_reply__init(answer);
    answer->chunk_bytes = record.length;
    answer->segment_bytes = record.segment_bytes;
    answer->segment_checksum = record.segment_checksum;
    reply->head = &answer->base;
    rc = rpc_message_add(reply, part.buf, part.offset, part.size);
    buf_unref(part.buf);
    return rc;
}

WAITS static int handle_delete(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                               struct error *err)
{
    const Rs__BlobDelete *head = (const Rs__BlobDelete *)request->message->head;
    Rs__BlobDeleteReply  *answer = arena_new(&reply->arena, Rs__BlobDeleteReply);
    struct blob_store    *store;
    uint32_t              chunks = 0;
    int                   rc = answer ? find(ctx, head->device, &store, err) : -ENOMEM;

    if (rc == 0)
        rc = blob_id(head->blob, 0, err);
    if (rc == 0)
        rc = blob_store_delete(store, head->blob.data, &chunks);
    if (rc)
        return rc;
    rs__blob_delete_reply__init(answer);
    answer->chunks = chunks;
    reply->head = &answer->base;
    return 0;
}

WAITS static int handle_stat(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                             struct error *err)
{
    const Rs__BlobStat *head = (const Rs__BlobStat *)request->message->head;
    Rs__BlobStatReply  *answer = arena_new(&reply->arena, Rs__BlobStatReply);
    struct blob_store  *store;
    struct blob_stat    stat;
    int                 rc = answer ? find(ctx, head->device, &store, err) : -ENOMEM;

    if (rc == 0)
        rc = blob_id(head->blob, 0, err);
    if (rc == 0)
        rc = blob_store_stat(store, head->blob.data, &stat);
    if (rc)
        return rc;
    rs__blob_stat_reply__init(answer);
    answer->fragments = arena_array(&reply->arena, Rs__BlobFragment *, POLICY_FRAGMENTS_MAX);
    for (uint32_t i = 0; i < POLICY_FRAGMENTS_MAX && answer->fragments; i++) {
        Rs__BlobFragment *f = stat.chunks[i] ? arena_new(&reply->arena, Rs__BlobFragment) : NULL;

        if (!f)
            continue;
        rs__blob_fragment__init(f);
        f->fragment = i;
        f->chunks = stat.chunks[i];
        f->bytes = stat.bytes[i];
        answer->fragments[answer->n_fragments++] = f;
    }
    reply->head = &answer->base;
    return 0;
}

WAITS static int handle_status(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                               struct error *err)
{
    const Rs__DeviceStatus *head = (const Rs__DeviceStatus *)request->message->head;
    Rs__DeviceStatusReply  *answer = arena_new(&reply->arena, Rs__DeviceStatusReply);
    struct device          *device = head->device <= UINT16_MAX ? storage_service_device(ctx, (uint16_t)head->device)
                                                                : NULL;
    struct blob_usage       usage;

    if (!device)
        return error_set(err, -E_DEVICE, "device %u is not here", head->device);
    if (!answer)
        return -ENOMEM;
    rs__device_status_reply__init(answer);
    answer->state = (uint32_t)device->state;
    answer->failure = arena_str(&reply->arena, slice_str(device->failure));
    if (!answer->failure)
        return -ENOMEM;
    answer->free_bytes = device->free_bytes;
    answer->total_bytes = device->total_bytes;
    answer->full = device->full;
    if (device->blobs) {
        blob_store_usage(device->blobs, &usage);
        answer->live_bytes = usage.live_bytes;
        answer->dead_bytes = usage.dead_bytes;
        answer->volumes = usage.volumes;
    }
    reply->head = &answer->base;
    return 0;
}

int storage_service_new(struct rpc *rpc, struct hlc *hlc, struct storage_service **ret_service)
{
    struct storage_service *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->rpc = rpc;
    s->hlc = hlc;
    rpc_register(rpc, METHOD_BLOB_WRITE, "blob-write", &rs__blob_write__descriptor, NULL, handle_write, s);
    rpc_register(rpc, METHOD_BLOB_SYNC, "blob-sync", &rs__blob_sync__descriptor, NULL, handle_sync, s);
    rpc_register(rpc, METHOD_BLOB_READ, "blob-read", &rs__blob_read__descriptor, &rs__blob_read_reply__descriptor,
                 handle_read, s);
    rpc_register(rpc, METHOD_BLOB_DELETE, "blob-delete", &rs__blob_delete__descriptor,
                 &rs__blob_delete_reply__descriptor, handle_delete, s);
    rpc_register(rpc, METHOD_BLOB_STAT, "blob-stat", &rs__blob_stat__descriptor, &rs__blob_stat_reply__descriptor,
                 handle_stat, s);
    rpc_register(rpc, METHOD_DEVICE_STATUS, "device-status", &rs__device_status__descriptor,
                 &rs__device_status_reply__descriptor, handle_status, s);
    row_service_register(rpc, s);
    *ret_service = s;
    return 0;
}

struct storage_service *storage_service_free(struct storage_service *service)
{
    free(service);
    return NULL;
}
