/* proxy/object/update.c - changing the metadata of objects and versions, without their bytes. */
#include "proxy/object/version.h"

struct update {
    struct object_service *service;
    object_edit            edit;
    void                  *ctx;
};

static int edit_checked(struct object_service *s, object_edit edit, void *ctx, struct arena *arena,
                        Rs__ObjectMeta *meta, uint64_t *expires_s, struct error *err)
{
    uint32_t mode = meta->lock_mode;
    uint64_t until_us = meta->retain_until_us;
    int      rc = edit(ctx, arena, meta, expires_s);

    return rc ? rc : lock_check_edit(s, mode, until_us, meta, err);
}

static int update_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                         struct error *err)
{
    const struct update *u = ctx;
    ProtobufCAllocator   allocator = arena_allocator(arena);
    Rs__ObjectMeta      *meta;
    Rs__RowValue        *value = arena_new(arena, Rs__RowValue);
    struct slice         packed;
    uint64_t             expires_s;
    int                  rc;

    if (!now->exists || value_expired(u->service, now->value))
        return error_set(err, -ENOENT, "there is no such object");
    meta = rs__object_meta__unpack(&allocator, now->value->meta.len, now->value->meta.data);
    if (!meta || !value)
        return error_set(err, -E_CORRUPT, "the object's metadata can't be read");
    if (meta->delete_marker)
        return error_set(err, -ENOENT, "the object is deleted");
    expires_s = now->value->expires_s;
    rc = edit_checked(u->service, u->edit, u->ctx, arena, meta, &expires_s, err);
    if (rc)
        return rc;
    packed = pack_in(arena, &meta->base);
    if (!packed.data)
        return error_set(err, -ENOMEM, "too much metadata");
    *value = *now->value;   /* The same bytes. */
    value->meta = pb_data(packed);
    value->expires_s = expires_s;
    *ret_value = value;
    return 0;
}

/* Without versioning: one conditional write. */
WAITS static int update_plain(struct object_service *s, struct container *c, struct slice name, object_edit edit,
                              void *ctx, int64_t deadline, struct arena *arena, struct error *err)
{
    struct update u = { s, edit, ctx };
    struct held   held;
    int           rc = container_settled(c);

    if (rc == 0 && !name_valid(name))
        rc = error_set(err, -ENOENT, "there is no such object");
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);
    if (rc)
        return rc;
    rc = row_update(s->options.rows, &held.shard, name, update_decide, &u, deadline, arena, NULL, NULL, err);
    held_drop(&held);
    return gone_is_stale(rc);
}

/* The version is the head: changed in place. -EAGAIN. */
WAITS static int edit_head(struct name_work *w, struct head *head, object_edit edit, void *ctx, struct error *err)
{
    Rs__RowValue value;
    int          rc;

    if (!head->present)
        return error_set(err, -ENOENT, "there is no such object");
    value = *head->row.value;   /* The same bytes. */
    rc = edit_checked(w->service, edit, ctx, &w->arena, head->meta, &value.expires_s, err);
    return rc ? rc : head_swap(w, head, &value, head->meta, err);
}

/* A noncurrent one. The head is looked at again afterwards: if it is another one, the version may have been restored
 * to it meanwhile, without this change. 0, or -EAGAIN: begin again (the edit can be repeated). */
WAITS static int edit_archived(struct name_work *w, const struct head *head, const struct version_ref *version,
                               object_edit edit, void *ctx, Rs__ObjectMeta **ret_meta, bool *io_changed,
                               struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(&w->arena);
    struct row_name    row;
    struct slice       name;
    struct head        now, archived = { .read_at = head->read_at };
    Rs__RowValue       value;
    int                rc;

    if (!version_row(head, w->name, version, &row, &name))
        return error_set(err, -ENOENT, "there is no such version");
    rc = row_read(w->service->options.rows, &w->held.shard, name, ROW_FULL, w->deadline, &w->arena,
                  &archived.row, err);
    if (rc)
        return rc;
    if (archived.row.exists)
        archived.meta = rs__object_meta__unpack(&allocator, archived.row.value->meta.len, archived.row.value->meta.data);
    if (!archived.meta || !version_is(archived.meta, version) || archived.meta->delete_marker) {
        rc = version->null_version ? null_missed(w, head, err) : 0;
        return rc ? rc : error_set(err, -ENOENT, "there is no such version");
    }
    value = *archived.row.value;
    rc = edit_checked(w->service, edit, ctx, &w->arena, archived.meta, &value.expires_s, err);
    value.expires_s = 0;
    if (rc == 0)
        rc = head_swap_row(w, name, &archived, &value, archived.meta, err);
    if (rc)
        return rc;
    *io_changed = true;
    w->held.shard.config = (struct ballot) { 0, 0 };   /* The rest is the same under any configuration. */
    rc = head_read(w, ROW_META, &now, err);
    if (rc)
        return rc;
    *ret_meta = archived.meta;
    return ballot_compare(now.row.ballot, head->row.ballot) == 0 ? 0 : -EAGAIN;
}

/* A copy that outlives the work's arena. */
static int meta_keep(const Rs__ObjectMeta *meta, struct arena *arena, Rs__ObjectMeta **ret_meta, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(arena);
    struct slice       packed = pack_in(arena, &meta->base);
    Rs__ObjectMeta    *copy = packed.data ? rs__object_meta__unpack(&allocator, packed.size, packed.data) : NULL;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    *ret_meta = copy;
    return 0;
}

int object_update_version(struct object_service *s, struct container *c, struct slice name,
                          const struct version_ref *version, object_edit edit, void *ctx, int64_t deadline,
                          struct arena *arena, Rs__ObjectMeta **ret_meta, struct error *err)
{
    struct name_work w;
    struct head      head;
    Rs__ObjectMeta  *meta = NULL;
    bool             changed = false;      /* An archived version has the change; it may have to be made again. */
    int              rc = work_begin(&w, s, c, name, deadline, err);

    if (rc)
        return rc == -EINVAL ? -ENOENT : rc;
    for (int tries = 0;; tries++) {
        rc = head_settled(&w, &head, err);
        if (rc == 0 && (!version->given || (head.meta && version_is(head.meta, version)))) {
            rc = edit_head(&w, &head, edit, ctx, err);
            meta = head.meta;
        } else if (rc == 0) {
            rc = edit_archived(&w, &head, version, edit, ctx, &meta, &changed, err);
        }
        if (rc == -EAGAIN)
            rc = work_again(&w, tries, err);
        else
            break;
        if (rc)
            break;
    }
    if (changed && rc && rc != -ENOENT && rc != -ECANCELED)
        rc = -E_UNSURE;
    if (rc == 0 && ret_meta)
        rc = meta_keep(meta, arena, ret_meta, err);
    work_end(&w);
    return gone_is_stale(rc);
}

int object_update(struct object_service *s, struct container *c, struct slice name, object_edit edit, void *ctx,
                  int64_t deadline, struct arena *arena, struct error *err)
{
    struct version_ref current = { .given = false };

    if (c->config->versioning == VERSIONING_OFF)
        return update_plain(s, c, name, edit, ctx, deadline, arena, err);
    return object_update_version(s, c, name, &current, edit, ctx, deadline, arena, NULL, err);
}
