/* proxy/object/container_delete.c - the end of a container.
 *
 * Objects, delete markers and noncurrent versions keep a container alive. What does not, goes with it: open multipart
 * uploads, their parts, parts of objects that are deleted already, archived null versions that no head names any more.
 * They are removed while the container is still live, since a sealed one takes no writes; if under the seal a row of
 * any kind is there again, the container is opened again. */
#include "base/counter.h"
#include "proxy/object/service.h"

COUNTER(container_delete_uploads, "Multipart uploads aborted since their container was deleted.");

enum { SWEEPS_MAX = 3, SWEEP_PAGE = 500 };

/* The first live row in a range of all kinds of rows. */
WAITS static int first_row(struct object_service *s, const struct shard *shard, struct slice after, int64_t deadline,
                           bool *ret_any, struct error *err)
{
    struct row_range range = { .limit = 1, .after = after, .uncounted = true };
    struct row_page  page;
    struct arena     arena;
    int              rc;

    arena_init(&arena, CONTAINER_ARENA_MAX);
    rc = row_list(s->options.rows, shard, &range, deadline, &arena, &page, err);
    if (rc == 0)
        *ret_any = page.count > 0;
    arena_done(&arena);
    return rc;
}

static bool version_counts(const struct row_entry *e, struct arena *arena)
{
    ProtobufCAllocator allocator = arena_allocator(arena);
    Rs__ObjectMeta    *meta = rs__object_meta__unpack(&allocator, e->value->meta.len, e->value->meta.data);

    return !meta || !meta->null_version;   /* No head names it, for there is none. */
}

/* One hidden row of a container without objects. */
WAITS static int sweep_row(struct object_service *s, const struct shard *shard, const struct row_entry *e,
                           int64_t deadline, struct arena *arena, struct error *err)
{
    struct slice  object;
    uint8_t       id[16];
    enum row_kind kind = name_parse(e->name, &object, id, NULL, NULL);
    int           rc;

    if (kind == ROW_OBJECT || kind == ROW_UNKNOWN || (kind == ROW_VERSION && version_counts(e, arena)))
        return error_set(err, -E_CONFLICT, "the container is not empty");
    if (kind != ROW_UPLOAD)
        return row_erase(s, shard, e->name, deadline, err);
    if (!upload_open(e->value, service_now_us(s)))
        return error_set(err, -E_CONFLICT, "a multipart upload is just being completed");
    rc = row_erase_if(s->options.rows, shard, e->name, e->ballot, deadline, err);
    if (rc == 0)
        counter_inc(container_delete_uploads);
    return rc == -E_CONDITION ? error_set(err, -E_CONFLICT, "a multipart upload is just being completed") : rc;
}

/* Removes what a container without objects may still hold. -E_CONFLICT: it is not empty. */
WAITS static int sweep(struct object_service *s, const struct shard *shard, int64_t deadline, struct error *err)
{
    struct row_range range = { .limit = SWEEP_PAGE, .uncounted = true };
    struct row_page  page = { .more = true };
    struct arena     arena;
    bool             any = false;
    int              rc = first_row(s, shard, HIDDEN_LAST, deadline, &any, err);

    if (rc == 0 && any)
        return error_set(err, -E_CONFLICT, "the container is not empty");
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    /* Versions first: they decide whether anything may go at all. Of the rest, uploads before their parts. */
    for (int kind = 0; kind < 3 && rc == 0; kind++) {
        static const struct slice prefixes[] = { SLICE("\0v"), SLICE("\0u"), SLICE("\0p") };

        range.prefix = prefixes[kind];
        page.more = true;
        while (rc == 0 && page.more) {
            arena_reset(&arena);
            rc = row_list(s->options.rows, shard, &range, deadline, &arena, &page, err);
            for (uint32_t i = 0; rc == 0 && i < page.count; i++)
                rc = sweep_row(s, shard, &page.entries[i], deadline, &arena, err);
            page.more = page.more && page.count > 0;   /* From the start again: those are gone. */
        }
    }
    arena_done(&arena);
    return rc;
}

/* Under the seal nothing is written any more: what is not there now will not be. */
WAITS static int sealed_empty(struct object_service *s, struct container *c, struct ballot seal, int64_t deadline,
                              bool *ret_empty, struct error *err)
{
    struct held held;
    bool        any = true;
    int         rc = held_container(s, c->shard.id, c->policy, seal, &held, err);

    if (rc)
        return rc;
    rc = first_row(s, &held.shard, SLICE_NONE, deadline, &any, err);
    held_drop(&held);
    if (rc == 0)
        *ret_empty = !any;
    return rc;
}

/* Sealed, looked at, and dead or open again. */
WAITS static int seal_and_kill(struct object_service *s, struct container *c, int64_t deadline, bool *ret_dead,
                               struct error *err)
{
    struct config_edit seal = { .kind = EDIT_SEAL }, next = { .kind = EDIT_KILL };
    bool               empty = false;
    int                rc = config_update(s, c->shard.id, c->policy, &seal, deadline, &next.expect, err);

    if (rc)
        return rc;
    rc = sealed_empty(s, c, next.expect, deadline, &empty, err);
    if (rc || !empty) {
        next.kind = EDIT_UNSEAL;
        (void)config_update(s, c->shard.id, c->policy, &next, deadline, NULL, NULL);
        return rc;
    }
    rc = config_update(s, c->shard.id, c->policy, &next, deadline, NULL, err);
    if (rc == 0)
        *ret_dead = true;
    return rc;
}

/* Before anybody is disturbed: what is in the way is refused, what goes with the container goes. */
WAITS static int prepare(struct object_service *s, struct container *c, int64_t deadline, struct error *err)
{
    struct held held;
    bool        any = true;
    int         rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);

    if (rc)
        return rc;
    rc = first_row(s, &held.shard, SLICE_NONE, deadline, &any, err);
    if (rc == 0 && any)
        rc = sweep(s, &held.shard, deadline, err);
    held_drop(&held);
    return rc;
}

/* The bucket's claim as it is while the container lives. */
WAITS static int claim_of(struct object_service *s, struct container *c, int64_t deadline, bool *ret_mine,
                          uint64_t *ret_claimed_us, struct error *err)
{
    struct slice domain = pb_slice(c->config->domain), account;
    struct arena arena;
    int          rc = -ENOENT;

    arena_init(&arena, CONTAINER_ARENA_MAX);
    if (domain.size)
        rc = bucket_claim_read(s, domain, c->name, deadline, &arena, &account, ret_claimed_us, err);
    *ret_mine = rc == 0 && slice_equal(account, c->account);
    arena_done(&arena);
    return rc == -ENOENT ? 0 : rc;
}

WAITS static int delete_open(struct object_service *s, struct container *c, int64_t deadline, struct error *err)
{
    uint64_t claimed_us = 0;
    bool     dead = false, claimed = false;
    int      rc = claim_of(s, c, deadline, &claimed, &claimed_us, err);

    if (rc == 0)
        rc = prepare(s, c, deadline, err);
    if (rc == 0)
        rc = seal_and_kill(s, c, deadline, &dead, err);
    if (rc == 0 && !dead)
        return -E_STALE;   /* Unsealing made another configuration: the caller comes back with it. */
    if (rc == 0)
        rc = dead_finish(s, c->account, c->name, c->shard.id, deadline, err);
    if (rc == 0 && claimed)
        rc = bucket_release_claim(s, pb_slice(c->config->domain), c->name, c->account, claimed_us, deadline, err);
    if (rc == 0)
        stats_dirty(s, c);   /* The flow finds it dead and removes its statistics. */
    return rc;
}

int container_delete(struct object_service *s, struct slice account, struct slice name, int64_t deadline,
                     struct error *err)
{
    struct container *c;
    int               rc = 0;

    for (int attempt = 0; attempt < SWEEPS_MAX; attempt++) {
        rc = container_open(s, account, name, true, deadline, &c, err);
        if (rc)
            return rc;
        rc = delete_open(s, c, deadline, err);
        cache_drop(s, account, name, NULL);
        container_unref(c);
        if (rc != -E_STALE)
            return rc;
    }
    return error_set(err, -E_CONFLICT, "the container is not empty");
}
