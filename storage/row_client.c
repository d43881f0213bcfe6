/* storage/row_client.c - what the operations of the row client share: whom to
 * ask, values as bytes, messages. */
#include "storage/row_client_private.h"

#include <stdlib.h>

#include "base/counter.h"

COUNTER(row_config_repairs, "Replicas that had missed their shard's configuration row and were given it.");
COUNTER(row_values_damaged, "Row values from replicas that did not match their digest.");

/* A restart with a clock that ran back, or that catches up with what it sees, could repeat a time
 * that the life before had used. A random number below the node id, of as many bits as the
 * ids leave, keeps the ballot different; so does the random step of row_next_ballot(). */
static uint32_t incarnation_of(uint32_t node, uint32_t random)
{
    if (node < UINT32_C(1) << 11)
        return node << 20 | (random & 0xfffff);
    return UINT32_C(1) << 31 | node << 11 | (random & 0x7ff);
}

struct row_client *row_client_new(struct rpc *rpc, struct hlc *hlc)
{
    struct row_client *client = rpc_node(rpc) < UINT32_C(1) << 20 ? calloc(1, sizeof *client) : NULL;

    if (!client)
        return NULL;
    client->rpc = rpc;
    client->env = rpc_env(rpc);
    client->hlc = hlc;
    env_random(client->env, &client->random, sizeof client->random);
    client->random |= 1;
    client->node = incarnation_of(rpc_node(rpc), (uint32_t)(client->random >> 32));
    return client;
}

struct row_client *row_client_free(struct row_client *client)
{
    free(client);
    return NULL;
}

uint32_t shard_partition(const struct shard *shard)
{
    return ring_partition(shard->ring, slice_of(shard->id, SHARD_ID_BYTES));
}

/* --- Whom to ask. --- */

static bool is_bad(const struct row_client *client, uint16_t device, int64_t now)
{
    return client->bad[device % ROW_BAD_SLOTS].device == device && client->bad[device % ROW_BAD_SLOTS].until > now;
}

void row_target_failed(struct row_target *target, uint8_t replica)
{
    struct row_client *client = target->client;
    uint16_t           device = target->device[replica];

    client->bad[device % ROW_BAD_SLOTS].device = device;
    client->bad[device % ROW_BAD_SLOTS].until = env_now(client->env) + ROW_BAD_MS * NS_PER_MS;
}

static void add_member(struct row_target *target, uint16_t device)
{
    const struct ring_device *info = device == RING_NONE ? NULL : ring_device(target->shard->ring, device);

    target->device[target->members.count] = info ? device : RING_NONE;
    target->node[target->members.count] = info ? info->node : 0;
    target->order[target->members.count] = target->members.count;
    target->members.count++;
}

/* Insertion sort of a handful: healthy before bad, then the nearest; by slot at last, so that
 * the full value is read where the cache has it. */
static void sort_order(struct row_target *target)
{
    struct row_client *client = target->client;
    int64_t            now = env_now(client->env), cost[ROW_REPLICAS_MAX];

    for (uint8_t i = 0; i < target->members.count; i++) {
        cost[i] = target->node[i] == rpc_node(client->rpc) ? 0 : 1 + rpc_latency(client->rpc, target->node[i]);
        if (target->device[i] == RING_NONE)
            cost[i] = INT64_MAX;
        else if (is_bad(client, target->device[i], now))
            cost[i] = INT64_MAX / 2;
    }
    for (uint8_t i = 1; i < target->members.count; i++)
        for (uint8_t j = i; j > 0 && cost[target->order[j]] < cost[target->order[j - 1]]; j--) {
            uint8_t swap = target->order[j];
            target->order[j] = target->order[j - 1];
            target->order[j - 1] = swap;
        }
}

int row_target_init(struct row_target *target, struct row_client *client, const struct shard *shard,
                    struct slice name, struct error *err)
{
    struct ring_set set;

    if (name.size > ROW_NAME_MAX)
        return error_set(err, -E_LIMIT, "a row name of %zu bytes is over %d", name.size, ROW_NAME_MAX);
    ring_lookup(shard->ring, shard_partition(shard), &set);
    target->client = client;
    target->shard = shard;
    target->name = name;
    target->epoch = set.epoch;
    target->replicas = ring_replicas(shard->ring);
    target->members = (struct row_members) { 0 };
    for (uint8_t i = 0; i < set.count && i < ROW_REPLICAS_MAX / 2; i++)
        add_member(target, set.device[i]);
    if (target->members.count == 0)
        return error_set(err, -E_UNAVAILABLE, "the ring places no replica of this row");
    target->members.old = target->members.new_ = (UINT32_C(1) << target->members.count) - 1;
    for (uint8_t i = 0; i < set.count && i < ROW_REPLICAS_MAX / 2; i++)
        if (set.joining[i] != RING_NONE) {
            target->members.new_ &= ~(UINT32_C(1) << i);
            target->members.new_ |= UINT32_C(1) << target->members.count;
            add_member(target, set.joining[i]);
        }
    sort_order(target);
    return 0;
}

struct ballot row_next_ballot(struct row_client *client, struct ballot above)
{
    uint64_t time;

    hlc_observe(client->hlc, above.time);   /* Too far ahead: the row's logic goes on, replicas judge. */
    time = hlc_next(client->hlc);
    if (time <= above.time)
        time = above.time + 1;
    client->random ^= client->random << 13;   /* xorshift64 */
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    time += client->random & 0xff;   /* Of 65536 a millisecond: the clock keeps up with 500 ballots in it. */
    hlc_observe(client->hlc, time);
    return (struct ballot) { .time = time, .node = client->node };
}

/* --- Values. --- */

static int proposal_alloc(struct row_proposal *p, size_t meta, size_t data, struct error *err)
{
    if (meta > ROW_META_MAX || data > ROW_INLINE_MAX)
        return error_set(err, -E_LIMIT, "a row of %zu bytes and %zu inline bytes is too large", meta, data);
    p->buf = buf_new(meta + data ? meta + data : 1);
    if (!p->buf)
        return error_set(err, -ENOMEM, "no memory for a row");
    p->meta_size = (uint32_t)meta;
    p->data_size = (uint32_t)data;
    return 0;
}

int row_proposal_pack(struct row_proposal *proposal, const Rs__RowValue *value, struct error *err)
{
    struct row_proposal p = { .size = value->size, .expires_s = value->expires_s };
    Rs__RowValue        meta = *value;
    int                 rc;

    meta.data = (ProtobufCBinaryData) { 0 };
    rc = proposal_alloc(&p, rs__row_value__get_packed_size(&meta), value->data.len, err);
    if (rc)
        return rc;
    rs__row_value__pack(&meta, p.buf->data);
    if (p.data_size)
        memcpy(p.buf->data + p.meta_size, value->data.data, p.data_size);
    p.flags = (uint8_t)((value->tombstone ? ROW_FLAG_TOMBSTONE : 0) | (value->counted ? ROW_FLAG_COUNTED : 0) |
                        (value->n_extents ? ROW_FLAG_EXTENTS : 0));
    p.digest = row_digest_of(slice_of(p.buf->data, p.meta_size), slice_of(p.buf->data + p.meta_size, p.data_size));
    *proposal = p;
    return 0;
}

int row_proposal_copy(struct row_proposal *proposal, const Rs__RowReadReply *reply, struct arena *arena)
{
    struct row_seen     seen = row_seen_of(reply);
    struct row_proposal p = { .ballot = seen.accepted, .digest = seen.digest, .flags = seen.flags, .repair = true };
    const Rs__RowValue *value;
    int                 rc;

    value = row_unpack(&rs__row_value__descriptor, slice_of(reply->meta.data, reply->meta.len), arena);
    if (!value)
        return -E_CORRUPT;
    p.size = value->size;
    p.expires_s = value->expires_s;
    rc = proposal_alloc(&p, reply->meta.len, reply->data.len, NULL);
    if (rc)
        return rc;
    if (p.meta_size)
        memcpy(p.buf->data, reply->meta.data, p.meta_size);
    if (p.data_size)
        memcpy(p.buf->data + p.meta_size, reply->data.data, p.data_size);
    *proposal = p;
    return 0;
}

void row_proposal_done(struct row_proposal *proposal)
{
    proposal->buf = buf_unref(proposal->buf);
}

bool row_reply_verified(const Rs__RowReadReply *reply, enum row_want want)
{
    struct row_digest digest = row_digest_of(slice_of(reply->meta.data, reply->meta.len),
                                             slice_of(reply->data.data, reply->data.len));

    if (reply->accepted_time == 0)
        return reply->meta.len == 0 && reply->data.len == 0;
    if (digest.meta == reply->digest_meta && (want != ROW_FULL || digest.data == reply->digest_data))
        return true;
    counter_inc(row_values_damaged);
    return false;
}

int row_state_of(const Rs__RowReadReply *reply, enum row_want want, struct arena *arena, struct row_state *ret_state)
{
    struct row_state state = { .ballot = { reply->accepted_time, reply->accepted_node } };

    if (reply->accepted_time && !(reply->flags & ROW_FLAG_TOMBSTONE)) {
        state.exists = true;
        state.value = row_unpack(&rs__row_value__descriptor, slice_of(reply->meta.data, reply->meta.len), arena);
        if (!state.value)
            return -ENOMEM;   /* It was verified, so it can only be that. */
        if (want == ROW_FULL && reply->data.len) {
            struct slice data = arena_dup(arena, slice_of(reply->data.data, reply->data.len));
            if (!data.data)
                return -ENOMEM;
            state.value->data = (ProtobufCBinaryData) { .len = data.size, .data = (uint8_t *)(uintptr_t)data.data };
        }
    }
    *ret_state = state;
    return 0;
}

/* --- Messages. --- */

ProtobufCBinaryData row_copy_bin(struct rpc_message *message, struct slice bytes)
{
    struct slice copy = arena_dup(&message->arena, bytes);

    return (ProtobufCBinaryData) { .len = copy.size, .data = (uint8_t *)(uintptr_t)copy.data };
}

static struct ballot config_of(const struct row_target *target)
{
    /* The configuration row itself is not read under a configuration. */
    return target->name.size ? target->shard->config : (struct ballot) { 0 };
}

static bool send(struct rpc_fan *fan, struct row_target *target, uint8_t replica, uint32_t tag, uint16_t method,
                 struct rpc_message *message)
{
    rpc_fan_send(fan, tag, target->node[replica], method, target->epoch, message);
    rpc_message_unref(message);
    return true;
}

bool row_send_read(struct rpc_fan *fan, struct row_target *target, uint8_t replica, uint32_t want)
{
    struct rpc_message  *message = rpc_message_new();
    Rs__RowReadRequest  *q = message && target->device[replica] != RING_NONE ?
                                   arena_new(&message->arena, Rs__RowReadRequest) : NULL;
    struct ballot        config = config_of(target);

    if (!q) {
        rpc_message_unref(message);
        return false;
    }
    rs__row_read_request__init(q);
    q->device = target->device[replica];
    q->shard = row_copy_bin(message, slice_of(target->shard->id, SHARD_ID_BYTES));
    q->name = row_copy_bin(message, target->name);
    q->want = want;
    q->config_time = config.time;
    q->config_node = config.node;
    message->head = &q->base;
    return send(fan, target, replica, replica | want << 8, METHOD_ROW_READ, message);
}

bool row_send_accept(struct rpc_fan *fan, struct row_target *target, uint8_t replica,
                     const struct row_proposal *proposal)
{
    struct rpc_message   *message = rpc_message_new();
    Rs__RowAcceptRequest *q = message && target->device[replica] != RING_NONE ?
                                      arena_new(&message->arena, Rs__RowAcceptRequest) : NULL;
    struct ballot         config = config_of(target);

    if (!q || rpc_message_add(message, proposal->buf, 0, proposal->meta_size + proposal->data_size)) {
        rpc_message_unref(message);
        return false;
    }
    rs__row_accept_request__init(q);
    q->device = target->device[replica];
    q->shard = row_copy_bin(message, slice_of(target->shard->id, SHARD_ID_BYTES));
    q->name = row_copy_bin(message, target->name);
    q->config_time = config.time;
    q->config_node = config.node;
    q->time = proposal->ballot.time;
    q->node = proposal->ballot.node;
    q->digest_meta = proposal->digest.meta;
    q->digest_data = proposal->digest.data;
    q->flags = proposal->flags;
    q->size = proposal->size;
    q->expires_s = proposal->expires_s;
    q->replicas = target->replicas;
    q->repair = proposal->repair;
    q->meta_size = proposal->meta_size;
    q->keep = replica == target->order[0];   /* Where row_read.c asks for the value. */
    message->head = &q->base;
    return send(fan, target, replica, replica, METHOD_ROW_ACCEPT, message);
}

bool row_send_prepare(struct rpc_fan *fan, struct row_target *target, uint8_t replica, struct ballot ballot)
{
    struct rpc_message    *message = rpc_message_new();
    Rs__RowPrepareRequest *q = message && target->device[replica] != RING_NONE ?
                                       arena_new(&message->arena, Rs__RowPrepareRequest) : NULL;
    struct ballot          config = config_of(target);

    if (!q) {
        rpc_message_unref(message);
        return false;
    }
    rs__row_prepare_request__init(q);
    q->device = target->device[replica];
    q->shard = row_copy_bin(message, slice_of(target->shard->id, SHARD_ID_BYTES));
    q->name = row_copy_bin(message, target->name);
    q->config_time = config.time;
    q->config_node = config.node;
    q->time = ballot.time;
    q->node = ballot.node;
    q->replicas = target->replicas;
    message->head = &q->base;
    return send(fan, target, replica, replica, METHOD_ROW_PREPARE, message);
}

bool row_send_stats(struct rpc_fan *fan, struct row_target *target, uint8_t replica)
{
    struct rpc_message    *message = rpc_message_new();
    Rs__ShardStatsRequest *q = message && target->device[replica] != RING_NONE ?
                                   arena_new(&message->arena, Rs__ShardStatsRequest) : NULL;

    if (!q) {
        rpc_message_unref(message);
        return false;
    }
    rs__shard_stats_request__init(q);
    q->device = target->device[replica];
    q->shard = row_copy_bin(message, slice_of(target->shard->id, SHARD_ID_BYTES));
    q->config_time = target->shard->config.time;
    q->config_node = target->shard->config.node;
    message->head = &q->base;
    return send(fan, target, replica, replica, METHOD_SHARD_STATS, message);
}

/* --- Configuration rows. --- */

WAITS int row_repair_config(struct row_target *target, uint8_t replica, int64_t deadline)
{
    struct shard            shard = *target->shard;
    struct row_target       config;
    struct row_proposal     proposal = { .buf = NULL };
    struct row_state        state;
    struct arena            arena;
    struct rpc_fan          fan;
    const struct rpc_reply *reply;
    int                     rc;

    shard.config = (struct ballot) { 0 };
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = row_target_init(&config, target->client, &shard, SLICE_NONE, NULL);
    if (rc == 0)
        rc = row_get(&config, ROW_FULL, deadline, &arena, &state, &proposal, NULL);
    if (rc == 0 && ballot_compare(state.ballot, target->shard->config) != 0)
        rc = -E_STALE;
    if (rc == 0) {
        counter_inc(row_config_repairs);
        rpc_fan_open(&fan, target->client->rpc, deadline);
        row_send_accept(&fan, &config, replica, &proposal);
        rc = rpc_fan_next(&fan, deadline, &reply);
        if (rc == 0)
            rc = reply->code;
        rpc_fan_close(&fan);
        if (rc == -E_OUTBID) {
            /* It promised a ballot that nobody finished (or has a newer configuration). Under a higher one the
             * configuration passes again; it is a new one to the caller, who reads it. */
            struct row_state before;

            rc = row_propose(&config, NULL, NULL, state.ballot, deadline, &arena, &before, &state, NULL);
            rc = rc ? rc : -E_STALE;
        }
    }
    row_proposal_done(&proposal);
    arena_done(&arena);
    return rc;
}
