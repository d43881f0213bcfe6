/* storage/blob_alive.c - which blobs still have a writer.
 *
 * A blob that no row names may belong to an upload that is still coming in. Only
 * the node that writes it knows. It answers with the lowest time of the first blobs
 * of its living writers (or its clock, when it has none): each blob it had made by
 * then with a lower time was either named or given up, since a writer lives until
 * its row is settled. Blobs of an earlier life of the node have no writer; another
 * 'life' in the answer tells that there was one. */
#include "storage/blob_private.h"
#include "storage/device.h"

void blob_alive_enter(struct blob_client *client, struct blob_alive *alive)
{
    *alive = (struct blob_alive) { .next = client->alive, .first = UINT64_MAX };
    if (alive->next)
        alive->next->prev = alive;
    client->alive = alive;
}

void blob_alive_leave(struct blob_client *client, struct blob_alive *alive)
{
    *(alive->prev ? &alive->prev->next : &client->alive) = alive->next;
    if (alive->next)
        alive->next->prev = alive->prev;
}

WAITS static int handle_floor(void *ctx, const struct rpc_request *request, struct rpc_message *reply,
                              struct error *err)
{
    struct blob_client *client = ctx;
    Rs__BlobFloorReply *answer = arena_new(&reply->arena, Rs__BlobFloorReply);

    (void)request;
    if (!answer)
        return error_set(err, -ENOMEM, "no memory");
    rs__blob_floor_reply__init(answer);
    answer->life = client->life;
    answer->before = hlc_next(client->hlc);   /* Every later blob has a greater time. */
    for (const struct blob_alive *a = client->alive; a; a = a->next)
        if (a->first < answer->before)
            answer->before = a->first;
    reply->head = &answer->base;
    return 0;
}

void blob_alive_register(struct blob_client *client)
{
    env_random(client->env, &client->life, sizeof client->life);
    rpc_register(client->rpc, METHOD_BLOB_FLOOR, "blob-floor", NULL, &rs__blob_floor_reply__descriptor, handle_floor,
                 client);
}

WAITS int blob_floor(struct blob_client *client, uint32_t node, int64_t deadline, struct blob_floor *ret_floor,
                     struct error *err)
{
    struct rpc_message *message = rpc_message_new(), *reply = NULL;
    int                 rc = message ? rpc_call(client->rpc, node, METHOD_BLOB_FLOOR, 0, message, deadline, &reply, err)
                                     : error_set(err, -ENOMEM, "no memory");

    if (rc == 0 && (!reply || !reply->head))
        rc = error_set(err, -E_CORRUPT, "node %u answered without a floor of blobs", node);
    if (rc == 0) {
        const Rs__BlobFloorReply *answer = (const Rs__BlobFloorReply *)reply->head;

        *ret_floor = (struct blob_floor) { .life = answer->life, .before = answer->before };
    }
    rpc_message_unref(message);
    rpc_message_unref(reply);
    return rc;
}
