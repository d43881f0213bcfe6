/* proxy/object/delete.c - objects and versions go. See version.h for what that means where versions are kept. */
#include "proxy/object/version.h"

struct deleting {
    struct name_work              w;
    const struct object_deletion *deletion;
    struct arena                 *arena;      /* The caller's. */
    Rs__ObjectMeta               *meta;       /* Of what was deleted or made; in 'arena'. */
    bool                          marker;
    bool                          done;       /* The version's own row was erased in an earlier try. */
    const struct ballot          *only;       /* Expiry: of this head. */
};

static int remember(struct deleting *d, const Rs__ObjectMeta *meta, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(d->arena);
    struct slice       packed = pack_in(d->arena, &meta->base);

    d->meta = packed.data ? rs__object_meta__unpack(&allocator, packed.size, packed.data) : NULL;
    d->marker = meta->delete_marker;
    return d->meta ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* A condition of a deletion is about what is there, a delete marker included. */
static int judge(struct deleting *d, const Rs__ObjectMeta *meta, const Rs__RowValue *value, struct error *err)
{
    return condition_judge(d->deletion->condition, true, meta, value->size, err);
}

/* --- Without versioning. --- */

struct plain {
    struct deleting *d;
    bool             expired;
};

static int plain_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                        struct error *err)
{
    struct plain       *p = ctx;
    ProtobufCAllocator  allocator = arena_allocator(arena);
    Rs__RowValue       *value = arena_new(arena, Rs__RowValue);
    Rs__ObjectMeta     *meta;
    int                 rc;

    if (!now->exists)
        return error_set(err, -ENOENT, "there is no such object");
    p->expired = value_expired(p->d->w.service, now->value);
    meta = rs__object_meta__unpack(&allocator, now->value->meta.len, now->value->meta.data);
    if (!meta || !value)
        return error_set(err, -E_CORRUPT, "the object's metadata can't be read");
    rc = p->expired ? 0 : judge(p->d, meta, now->value, err);
    if (rc)
        return rc;
    rs__row_value__init(value);
    value->tombstone = true;
    *ret_value = value;
    return 0;
}

WAITS static int delete_plain(struct deleting *d, struct error *err)
{
    struct name_work *w = &d->w;
    Rs__RowValue      value = RS__ROW_VALUE__INIT;
    struct plain      p = { .d = d };
    bool              existed = false;
    int               rc;

    if (!object_condition_empty(d->deletion->condition)) {
        rc = row_update(w->service->options.rows, &w->held.shard, w->name, plain_decide, &p, w->deadline, &w->arena, NULL,
                        NULL, err);
        existed = !p.expired;
    } else {
        value.tombstone = true;
        rc = row_write(w->service->options.rows, &w->held.shard, w->name, &value, w->deadline, NULL, &existed, err);
    }
    if (rc == 0)
        stats_dirty(w->service, w->container);
    return rc ? rc : existed ? 0 : error_set(err, -ENOENT, "there is no such object");
}

/* --- With versioning: a marker. --- */

WAITS static int add_marker(struct deleting *d, struct error *err)
{
    Rs__RowValue    value = RS__ROW_VALUE__INIT;
    Rs__ObjectMeta  meta = RS__OBJECT_META__INIT;
    struct head     head;
    uint8_t         version[VERSION_BYTES];
    int             rc = head_settled(&d->w, &head, err);

    if (rc)
        return rc;
    if (d->only && ballot_compare(*d->only, head.row.ballot) != 0)
        return error_set(err, -ENOENT, "the object was changed since");
    if (!object_condition_empty(d->deletion->condition)) {
        if (!head.row.exists || value_expired(d->w.service, head.row.value))
            return error_set(err, -ENOENT, "there is no such object");
        rc = judge(d, head.meta, head.row.value, err);
        if (rc)
            return rc;
    }
    meta.delete_marker = true;
    meta.modified_us = service_now_us(d->w.service);
    version_stamp(&d->w, &head, &meta, version);
    rc = version_replace(&d->w, &head, &value, &meta, err);
    return rc ? rc : remember(d, &meta, err);
}

/* --- With versioning: a version for good. --- */

WAITS static int delete_head(struct deleting *d, struct head *head, struct error *err)
{
    struct name_work *w = &d->w;
    Rs__RowValue      value = *head->row.value, none = RS__ROW_VALUE__INIT;
    int               rc = judge(d, head->meta, head->row.value, err);

    if (rc == 0)
        rc = lock_check_delete(w->service, head->meta, d->deletion->bypass_governance, err);
    if (rc == 0)
        rc = remember(d, head->meta, err);
    if (rc)
        return rc;
    if (w->container->config->versioning == VERSIONING_OFF) {
        none.tombstone = true;   /* There is no other version. */
        return head_swap(w, head, &none, NULL, err);
    }
    head->meta->dying = true;
    rc = head_swap(w, head, &value, head->meta, err);
    if (rc)
        return rc;
    /* From here on it goes, whoever ends it and whatever becomes of the configuration. */
    w->held.shard.config = (struct ballot) { 0, 0 };
    rc = head_read(w, ROW_FULL, head, err);
    if (rc == 0 && head->meta && head->meta->dying)
        rc = version_finish_dying(w, head, err);
    return rc && rc != -ECANCELED ? -E_UNSURE : rc;
}

/* Erases the row of a noncurrent version, then looks at the head again: if it is another one, the version may have
 * been restored to it meanwhile. */
WAITS static int delete_archived(struct deleting *d, const struct head *head, struct error *err)
{
    struct name_work  *w = &d->w;
    ProtobufCAllocator allocator = arena_allocator(&w->arena);
    struct row_state   row = { 0 };
    Rs__ObjectMeta    *meta = NULL;
    struct row_name    name;
    struct slice       row_name;
    struct head        now;
    int                rc = 0;

    if (version_row(head, w->name, &d->deletion->version, &name, &row_name))
        rc = row_read(w->service->options.rows, &w->held.shard, row_name, ROW_META, w->deadline, &w->arena, &row, err);
    if (rc == 0 && row.exists)
        meta = rs__object_meta__unpack(&allocator, row.value->meta.len, row.value->meta.data);
    if (rc == 0 && (!meta || !version_is(meta, &d->deletion->version))) {
        if (d->deletion->version.null_version && !d->done)
            rc = null_missed(w, head, err);
        return rc ? rc : d->done ? 0 : error_set(err, -ENOENT, "there is no such version");
    }
    if (rc == 0)
        rc = judge(d, meta, row.value, err);
    if (rc == 0)
        rc = lock_check_delete(w->service, meta, d->deletion->bypass_governance, err);
    if (rc == 0)
        rc = remember(d, meta, err);
    if (rc == 0)
        rc = upload_settle(w, meta, err);
    if (rc)
        return rc;
    rc = row_erase_if(w->service->options.rows, &w->held.shard, row_name, row.ballot, w->deadline, err);
    if (rc)
        return rc == -E_CONDITION ? -EAGAIN : rc;
    d->done = true;
    w->held.shard.config = (struct ballot) { 0, 0 };   /* The rest is the same under any configuration. */
    rc = head_read(w, ROW_META, &now, err);
    if (rc == 0 && ballot_compare(now.row.ballot, head->row.ballot) != 0)
        rc = -EAGAIN;
    return rc;
}

WAITS static int delete_version(struct deleting *d, struct error *err)
{
    struct head head;
    int         rc = head_settled(&d->w, &head, err);

    if (rc)
        return rc;
    if (head.meta && version_is(head.meta, &d->deletion->version))
        return delete_head(d, &head, err);
    if (d->w.container->config->versioning == VERSIONING_OFF)
        return error_set(err, -ENOENT, "there is no such version");
    return delete_archived(d, &head, err);
}

int object_delete_version(struct object_service *s, struct container *c, struct slice name,
                          const struct object_deletion *deletion, int64_t deadline, struct arena *arena,
                          struct object_deleted *ret_deleted, struct error *err)
{
    struct deleting d = { .deletion = deletion, .arena = arena };
    int             rc = work_begin(&d.w, s, c, name, deadline, err);

    if (rc)
        return rc == -EINVAL ? -ENOENT : rc;
    if (!deletion->version.given && c->config->versioning == VERSIONING_OFF) {
        rc = delete_plain(&d, err);
    } else {
        for (int tries = 0;; tries++) {
            rc = deletion->version.given ? delete_version(&d, err) : add_marker(&d, err);
            if (rc != -EAGAIN)
                break;
            rc = work_again(&d.w, tries, err);
            if (rc)
                break;
        }
        if (rc == 0)
            stats_dirty(s, c);
        if (d.done && rc && rc != -ECANCELED)
            rc = -E_UNSURE;   /* It is gone, or will be. */
    }
    work_end(&d.w);
    if (rc == 0)
        *ret_deleted = (struct object_deleted) { .marker = d.marker, .meta = d.meta };
    return gone_is_stale(rc);
}

/* --- Expiry. --- */

WAITS static int expire_version(struct object_service *s, const Rs__ContainerConfig *config, const uint8_t *shard,
                                struct slice name, struct ballot ballot, struct arena *arena, int64_t deadline)
{
    struct object_deletion plain = { .condition = NULL };
    struct deleting        d = { .deletion = &plain, .arena = arena, .only = &ballot };
    struct container      *c = NULL;
    int rc = container_open(s, pb_slice(config->account), pb_slice(config->name), false, deadline, &c, NULL);

    if (rc)
        return rc == -ENOENT ? 0 : rc;
    rc = memcmp(c->shard.id, shard, SHARD_ID_BYTES) == 0 ? work_begin(&d.w, s, c, name, deadline, NULL) : -ENOENT;
    if (rc == 0) {
        rc = c->config->versioning == VERSIONING_OFF ? -E_STALE : add_marker(&d, NULL);
        work_end(&d.w);
    }
    if (rc == 0)
        stats_dirty(s, c);
    if (rc == -E_STALE)
        container_forget(s, c);
    container_unref(c);
    return rc == -ENOENT || rc == -EAGAIN ? 0 : rc;
}

int object_expire(struct object_service *s, struct row_client *rows, const struct shard *shard, struct slice name,
                  struct ballot ballot, int64_t deadline)
{
    ProtobufCAllocator   allocator;
    Rs__ContainerConfig *config = NULL;
    struct row_state     row;
    struct shard         of = *shard;
    struct arena         arena;
    int                  rc;

    arena_init(&arena, CONTAINER_ARENA_MAX);
    allocator = arena_allocator(&arena);
    rc = row_read(rows, shard, SLICE_NONE, ROW_META, deadline, &arena, &row, NULL);
    if (rc == 0 && row.exists)
        config = rs__container_config__unpack(&allocator, row.value->meta.len, row.value->meta.data);
    if (rc == 0 && !config)
        rc = -E_CORRUPT;
    of.config = row.ballot;
    if (rc == 0 && config->versioning == VERSIONING_OFF) {
        rc = row_erase_if(rows, &of, name, ballot, deadline, NULL);
        rc = rc == -E_CONDITION ? 0 : rc;
    } else if (rc == 0) {
        rc = !s ? -EAGAIN : expire_version(s, config, shard->id, name, ballot, &arena, deadline);
    }
    arena_done(&arena);
    return rc;
}

int object_delete(struct object_service *s, struct container *c, struct slice name, int64_t deadline,
                  struct error *err)
{
    struct object_deletion plain = { .condition = NULL };
    struct object_deleted  deleted;
    struct arena           arena;
    int                    rc;

    arena_init(&arena, CONTAINER_ARENA_MAX);
    rc = object_delete_version(s, c, name, &plain, deadline, &arena, &deleted, err);
    arena_done(&arena);
    return rc;
}
