/* storage/row_service.c - the row methods of a node: requests are checked here,
 * judged by the row store of the device that they name. */
#include "proto/row.pb-c.h"
#include "storage/row_store_private.h"

/* The device's rows, when it can serve. A device out of service took part in nothing. */
static int store_of(struct storage_service *service, uint32_t device_id, struct row_store **ret_store)
{
    struct device *device = device_id <= UINT16_MAX ? storage_service_device(service, (uint16_t)device_id) : NULL;

    if (!device || device->state != DEVICE_IN_SERVICE || !device->rows || !row_store_enter(device->rows))
        return -ENODEV;
    *ret_store = device->rows;
    return 0;
}

static bool shard_valid(const ProtobufCBinaryData *shard)
{
    return shard->len == SHARD_ID_BYTES;
}

static struct slice slice_bin(const ProtobufCBinaryData *bytes)
{
    return slice_of(bytes->data, bytes->len);
}

static bool names_valid(const ProtobufCBinaryData *shard, const ProtobufCBinaryData *name)
{
    return shard_valid(shard) && name->len <= ROW_NAME_MAX;
}

/* Damage that a read finds means that this replica no longer knows its state. */
static int read_fault(struct row_store *store, int code)
{
    if (code == -E_CORRUPT || code == -EIO || code == -E_TOO_NEW) {
        device_fail(store->device, code, "a row could not be read");
        return -E_DEVICE;
    }
    return code;
}

static void fill_read_reply(Rs__RowReadReply *reply, const struct row_head *head, struct slice data,
                            struct ballot highest, bool meta)
{
    reply->accepted_time = head->accepted.time;
    reply->accepted_node = head->accepted.node;
    reply->digest_meta = head->digest.meta;
    reply->digest_data = head->digest.data;
    reply->flags = head->flags;
    if (meta)
        reply->meta = (ProtobufCBinaryData) { .len = head->meta.size, .data = (uint8_t *)(uintptr_t)head->meta.data };
    reply->data = (ProtobufCBinaryData) { .len = data.size, .data = (uint8_t *)(uintptr_t)data.data };
    reply->highest_time = highest.time;
    reply->highest_node = highest.node;
}

WAITS static int on_read(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    const Rs__RowReadRequest *q = (const Rs__RowReadRequest *)request->message->head;
    Rs__RowReadReply         *r = arena_new(&reply->arena, Rs__RowReadReply);
    struct row_found          found;
    struct row_store         *store;
    int                       rc;

    if (!q || !names_valid(&q->shard, &q->name) || q->want > ROW_FULL)
        return error_set(err, -E_LIMIT, "malformed row read");
    if (!r)
        return -E_OVERLOAD;
    rs__row_read_reply__init(r);
    rc = store_of(ctx, q->device, &store);
    if (rc)
        return rc;
    rc = row_store_read(store, q->shard.data, slice_bin(&q->name), q->want,
                        (struct ballot) { q->config_time, q->config_node }, &reply->arena, &found);
    rc = read_fault(store, rc);
    row_store_leave(store);
    if (rc)
        return rc;
    fill_read_reply(r, &found.head, found.data, found.highest, q->want != 0);
    reply->head = &r->base;
    return 0;
}

/* The payload as one run of bytes: as it is, or gathered. */
static int payload_of(const struct rpc_message *message, struct arena *arena, struct slice *ret_bytes)
{
    uint8_t *bytes;
    size_t   at = 0;

    if (message->parts_count == 1) {
        *ret_bytes = buf_part_slice(&message->parts[0]);
        return 0;
    }
    if (message->payload_bytes > ROW_META_MAX + ROW_INLINE_MAX)
        return -E_LIMIT;
    bytes = arena_alloc(arena, message->payload_bytes);
    if (!bytes)
        return -E_OVERLOAD;
    for (uint32_t i = 0; i < message->parts_count; i++) {
        struct slice part = buf_part_slice(&message->parts[i]);
        if (part.size)
            memcpy(bytes + at, part.data, part.size);
        at += part.size;
    }
    *ret_bytes = slice_of(bytes, at);
    return 0;
}

/* -E_LIMIT unless the payload is what the head says. */
static int value_of(const Rs__RowAcceptRequest *q, struct slice payload, struct row_op *op)
{
    if (q->meta_size > payload.size || q->meta_size > ROW_META_MAX || payload.size - q->meta_size > ROW_INLINE_MAX)
        return -E_LIMIT;
    op->meta = slice_of(payload.data, q->meta_size);
    op->data = slice_from(payload, q->meta_size);
    op->digest = (struct row_digest) { q->digest_meta, q->digest_data };
    op->flags = (uint8_t)(q->flags & (ROW_FLAG_TOMBSTONE | ROW_FLAG_COUNTED | ROW_FLAG_EXTENTS));
    op->size = q->size;
    op->expires_s = q->expires_s;
    return row_digest_equal(row_digest_of(op->meta, op->data), op->digest) ? 0 : -E_CORRUPT;
}

WAITS static int on_accept(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    const Rs__RowAcceptRequest *q = (const Rs__RowAcceptRequest *)request->message->head;
    Rs__RowAcceptReply         *r = arena_new(&reply->arena, Rs__RowAcceptReply);
    struct row_op               op = { .kind = ROW_OP_ACCEPT };
    struct row_store           *store;
    struct slice                payload;
    int                         rc;

    if (!q || !names_valid(&q->shard, &q->name) || q->time == 0 || q->replicas > ROW_REPLICAS_MAX)
        return error_set(err, -E_LIMIT, "malformed row accept");
    if (!r)
        return -E_OVERLOAD;
    rs__row_accept_reply__init(r);
    rc = payload_of(request->message, &reply->arena, &payload);
    if (rc == 0)
        rc = value_of(q, payload, &op);
    if (rc == 0)
        rc = store_of(ctx, q->device, &store);
    if (rc)
        return rc;
    op.shard = q->shard.data;
    op.name = slice_bin(&q->name);
    op.replicas = q->replicas;
    op.ballot = (struct ballot) { q->time, q->node };
    op.config = (struct ballot) { q->config_time, q->config_node };
    op.repair = q->repair;
    op.keep = q->keep;
    rc = row_store_submit(store, &op);
    row_store_leave(store);
    r->existed = op.existed;
    r->highest_time = op.highest.time;
    r->highest_node = op.highest.node;
    reply->head = &r->base;
    return rc;
}

WAITS static int on_prepare(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                            struct error *err)
{
    const Rs__RowPrepareRequest *q = (const Rs__RowPrepareRequest *)request->message->head;
    Rs__RowReadReply            *r = arena_new(&reply->arena, Rs__RowReadReply);
    struct row_op                op = { .kind = ROW_OP_PREPARE, .arena = &reply->arena };
    struct row_store            *store;
    int                          rc;

    if (!q || !names_valid(&q->shard, &q->name) || q->time == 0 || q->replicas > ROW_REPLICAS_MAX)
        return error_set(err, -E_LIMIT, "malformed row prepare");
    if (!r)
        return -E_OVERLOAD;
    rs__row_read_reply__init(r);
    rc = store_of(ctx, q->device, &store);
    if (rc)
        return rc;
    op.shard = q->shard.data;
    op.name = slice_bin(&q->name);
    op.replicas = q->replicas;
    op.ballot = (struct ballot) { q->time, q->node };
    op.config = (struct ballot) { q->config_time, q->config_node };
    rc = row_store_submit(store, &op);
    row_store_leave(store);
    if (rc == 0)
        fill_read_reply(r, &op.head, op.value_data, op.highest, true);
    r->highest_time = op.highest.time;
    r->highest_node = op.highest.node;
    reply->head = &r->base;
    return rc;
}

WAITS static int on_purge(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    const Rs__RowPurgeRequest *q = (const Rs__RowPurgeRequest *)request->message->head;
    struct row_op              op = { .kind = ROW_OP_RAISE };
    struct row_store          *store;
    int                        rc;

    (void)reply;
    if (!q || !names_valid(&q->shard, &q->name) || q->time == 0 || q->replicas > ROW_REPLICAS_MAX)
        return error_set(err, -E_LIMIT, "malformed purge");
    rc = store_of(ctx, q->device, &store);
    if (rc)
        return rc;
    if (q->drop)
        op.kind = ROW_OP_DROP;
    op.shard = q->shard.data;
    op.name = slice_bin(&q->name);
    op.replicas = q->replicas;
    op.ballot = (struct ballot) { q->time, q->node };
    rc = row_store_submit(store, &op);
    row_store_leave(store);
    return rc;
}

WAITS static int scan_into(struct row_store *store, const Rs__RowRangeRequest *q, struct rpc_message *reply)
{
    Rs__RowRangeReply *r = arena_new(&reply->arena, Rs__RowRangeReply);
    struct row_scan   *scan = arena_new(&reply->arena, struct row_scan);
    /* Any single entry fits the smaller one. */
    struct buf        *buf = buf_new(q->limit <= 256 ? ROW_RANGE_BYTES / 4 : ROW_RANGE_BYTES);
    int                rc;

    if (!r || !scan || !buf) {
        buf_unref(buf);
        return -E_OVERLOAD;
    }
    rs__row_range_reply__init(r);
    scan->shard = q->shard.data;
    scan->from = slice_bin(&q->from);
    scan->to = slice_bin(&q->to);
    scan->prefix = slice_bin(&q->prefix);
    scan->delimiter = slice_bin(&q->delimiter);
    scan->reverse = q->reverse;
    scan->meta = q->meta;
    scan->uncounted = q->uncounted;
    scan->limit = q->limit;
    scan->out = buf->data;
    scan->out_capacity = buf->capacity;
    rc = row_store_scan(store, scan);
    if (rc == 0) {
        r->more = scan->more;
        r->upto = (ProtobufCBinaryData) { .len = scan->upto_size, .data = scan->upto };
        r->upto_fold = scan->upto_fold;
        reply->head = &r->base;
        if (scan->out_size)
            rc = rpc_message_add(reply, buf, 0, (uint32_t)scan->out_size);
    }
    buf_unref(buf);
    return rc;
}

WAITS static int on_range(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    const Rs__RowRangeRequest *q = (const Rs__RowRangeRequest *)request->message->head;
    struct shard_state         state;
    struct row_store          *store;
    int                        rc;

    if (!q || !names_valid(&q->shard, &q->prefix) || q->from.len > ROW_NAME_MAX + 1 || q->to.len > ROW_NAME_MAX + 1 ||
        q->delimiter.len > ROW_NAME_MAX || q->limit < 1 || q->limit > ROW_PAGE_MAX + 1)
        return error_set(err, -E_LIMIT, "malformed row range");
    rc = store_of(ctx, q->device, &store);
    if (rc)
        return rc;
    rc = shard_load(store, q->shard.data, &state);
    if (rc == 0)
        rc = shard_check_config(&state, (struct ballot) { q->config_time, q->config_node });
    if (rc == 0)
        rc = scan_into(store, q, reply);
    rc = read_fault(store, rc);
    row_store_leave(store);
    return rc;
}

WAITS static int on_stats(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    const Rs__ShardStatsRequest *q = (const Rs__ShardStatsRequest *)request->message->head;
    Rs__ShardStatsReply         *r = arena_new(&reply->arena, Rs__ShardStatsReply);
    struct shard_state           state;
    struct row_store            *store;
    int                          rc;

    if (!q || !shard_valid(&q->shard))
        return error_set(err, -E_LIMIT, "malformed shard stats");
    if (!r)
        return -E_OVERLOAD;
    rs__shard_stats_reply__init(r);
    rc = store_of(ctx, q->device, &store);
    if (rc)
        return rc;
    rc = shard_load(store, q->shard.data, &state);
    if (rc == 0)
        rc = shard_check_config(&state, (struct ballot) { q->config_time, q->config_node });
    rc = read_fault(store, rc);
    row_store_leave(store);
    if (rc)
        return rc;
    r->count = state.record.count > 0 ? (uint64_t)state.record.count : 0;
    r->bytes = state.record.bytes > 0 ? (uint64_t)state.record.bytes : 0;
    r->newest_time = state.record.newest.time;
    r->newest_node = state.record.newest.node;
    r->hash = state.record.hash;
    reply->head = &r->base;
    return 0;
}

void row_service_register(struct rpc *rpc, struct storage_service *service)
{
    rpc_register(rpc, METHOD_ROW_READ, "row.read", &rs__row_read_request__descriptor, &rs__row_read_reply__descriptor,
                 on_read, service);
    rpc_register(rpc, METHOD_ROW_ACCEPT, "row.accept", &rs__row_accept_request__descriptor,
                 &rs__row_accept_reply__descriptor, on_accept, service);
    rpc_register(rpc, METHOD_ROW_PREPARE, "row.prepare", &rs__row_prepare_request__descriptor,
                 &rs__row_read_reply__descriptor, on_prepare, service);
    rpc_register(rpc, METHOD_ROW_RANGE, "row.range", &rs__row_range_request__descriptor,
                 &rs__row_range_reply__descriptor, on_range, service);
    rpc_register(rpc, METHOD_ROW_PURGE, "row.purge", &rs__row_purge_request__descriptor, NULL, on_purge, service);
    rpc_register(rpc, METHOD_SHARD_STATS, "shard.stats", &rs__shard_stats_request__descriptor,
                 &rs__shard_stats_reply__descriptor, on_stats, service);
}
