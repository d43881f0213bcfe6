/* proxy/object/version.c - heads and the versions that they push aside; see version.h. */
#include "proxy/object/version.h"

#include "base/bytes.h"
#include "base/counter.h"
#include "storage/mutant.h"

COUNTER(version_archived, "Versions copied to rows of their own before they were replaced.");
COUNTER(version_contended, "Tries of a change that met another change of the same object.");
COUNTER(version_restored, "Noncurrent versions that became current since the one after them was deleted.");
COUNTER(version_finished, "Deletions of a version that somebody else had begun.");

enum { GONE_WAIT_MS = 20, RESTORE_PAGE = 16, RESTORE_TRIES = 8, BACKOFF_US_MAX = 64000 };

/* --- Work on a name. --- */

WAITS int work_begin(struct name_work *w, struct object_service *s, struct container *c, struct slice name,
                     int64_t deadline, struct error *err)
{
    int rc;

    *w = (struct name_work) { .service = s, .container = c, .name = name, .deadline = deadline };
    rc = container_settled(c);
    if (rc == 0 && !name_valid(name))
        rc = error_set(err, -EINVAL, "object names have 1 to %d bytes, none of them NUL", OBJECT_NAME_MAX);
    if (rc == 0)
        rc = held_container(s, c->shard.id, c->policy, c->shard.config, &w->held, err);
    if (rc == 0)
        arena_init(&w->arena, ARENA_LIMIT_DEFAULT);
    return rc;
}

void work_end(struct name_work *w)
{
    held_drop(&w->held);
    arena_done(&w->arena);
}

WAITS int work_again(struct name_work *w, int tries, struct error *err)
{
    struct env *env = w->service->options.env;
    uint64_t    range = UINT64_C(500) << (tries < 7 ? tries : 7);
    int64_t     until = env_now(env) + (int64_t)(env_random64(env) % (range < BACKOFF_US_MAX ? range : BACKOFF_US_MAX)) * NS_PER_US;

    counter_inc(version_contended);
    if (tries >= VERSION_TRIES_MAX || until >= w->deadline)
        return error_set(err, -E_UNAVAILABLE, "too many others change the object at once");
    arena_reset(&w->arena);
    return task_sleep_until(until) ? -ECANCELED : 0;
}

WAITS int gone_is_stale(int rc)
{
    if (rc != -E_GONE)
        return rc;
    if (task_sleep(GONE_WAIT_MS * NS_PER_MS))
        return -ECANCELED;
    return -E_STALE;
}

/* --- Heads. --- */

bool meta_is_null(const Rs__ObjectMeta *meta)
{
    return meta->null_version || meta->version.len != VERSION_BYTES;
}

void meta_key(const Rs__ObjectMeta *meta, uint8_t key[VERSION_BYTES])
{
    memset(key, 0, VERSION_BYTES);
    if (meta->version.len == VERSION_BYTES)
        memcpy(key, meta->version.data, VERSION_BYTES);
    else
        put_u64be(key, meta->modified_us);   /* Written without versioning. */
}

bool value_expired(struct object_service *s, const Rs__RowValue *value)
{
    return value->expires_s && (int64_t)value->expires_s <= env_wall(s->options.env) / NS_PER_S;
}

WAITS int head_read(struct name_work *w, enum row_want want, struct head *ret_head, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(&w->arena);
    struct head        h = { .read_at = env_now(w->service->options.env) };
    int                rc;

    rc = row_read(w->service->options.rows, &w->held.shard, w->name, want, w->deadline, &w->arena, &h.row, err);
    if (rc)
        return rc;
    if (h.row.exists) {
        h.meta = rs__object_meta__unpack(&allocator, h.row.value->meta.len, h.row.value->meta.data);
        if (!h.meta)
            return error_set(err, -E_CORRUPT, "the object's metadata can't be read");
        h.present = !h.meta->delete_marker && !value_expired(w->service, h.row.value);
    }
    *ret_head = h;
    return 0;
}

WAITS int head_settled(struct name_work *w, struct head *ret_head, struct error *err)
{
    for (int tries = 0;; tries++) {
        int rc = head_read(w, ROW_FULL, ret_head, err);

        if (rc || !ret_head->meta || !ret_head->meta->dying)
            return rc;
        counter_inc(version_finished);
        rc = version_finish_dying(w, ret_head, err);
        if (rc == 0)
            rc = work_again(w, tries, err);
        if (rc)
            return rc;
    }
}

/* When a change has to be over; see VERSION_STEP_MS. */
static int64_t step_deadline(const struct name_work *w, const struct head *head)
{
    int64_t end = head->read_at + VERSION_STEP_MS * NS_PER_MS;

    return end < w->deadline ? end : w->deadline;
}

struct swap {
    struct ballot       expect;
    const Rs__RowValue *value;
};

static int swap_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                       struct error *err)
{
    const struct swap *swap = ctx;
    Rs__RowValue      *value = arena_new(arena, Rs__RowValue);

    if (ballot_compare(now->ballot, swap->expect) != 0)
        return error_set(err, -EAGAIN, "the object was changed meanwhile");
    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    *value = *swap->value;
    *ret_value = value;
    return 0;
}

WAITS static int swap_row(struct name_work *w, struct slice name, struct ballot expect, const Rs__RowValue *value,
                          int64_t deadline, struct error *err)
{
    struct swap swap = { expect, value };

    return row_update(w->service->options.rows, &w->held.shard, name, swap_decide, &swap, deadline, &w->arena, NULL,
                      NULL, err);
}

WAITS int head_swap_row(struct name_work *w, struct slice name, const struct head *head, Rs__RowValue *value,
                        Rs__ObjectMeta *meta, struct error *err)
{
    if (meta) {
        struct slice packed = pack_in(&w->arena, &meta->base);
        if (!packed.data)
            return error_set(err, -ENOMEM, "too much metadata");
        value->meta = pb_data(packed);
    }
    return swap_row(w, name, head->row.ballot, value, step_deadline(w, head), err);
}

WAITS int head_swap(struct name_work *w, const struct head *head, Rs__RowValue *value, Rs__ObjectMeta *meta,
                    struct error *err)
{
    return head_swap_row(w, w->name, head, value, meta, err);
}

/* --- Keeping a version. --- */

struct archiving {
    struct ballot       source;
    const Rs__RowValue *value;
};

static int archive_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                          struct error *err)
{
    const struct archiving *a = ctx;
    ProtobufCAllocator      allocator = arena_allocator(arena);
    Rs__RowValue           *value = arena_new(arena, Rs__RowValue);
    Rs__ObjectMeta         *old;

    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    if (!now->exists && now->ballot.time && !mutant(MUTANT_ARCHIVE_BLIND))
        return error_set(err, -EAGAIN, "the version is being deleted");
    if (now->exists) {
        old = rs__object_meta__unpack(&allocator, now->value->meta.len, now->value->meta.data);
        if (!old)
            return error_set(err, -E_CORRUPT, "a version's metadata can't be read");
        /* A copy of the same head, or of a later state of it: a slow one must not undo it. */
        if (ballot_compare((struct ballot) { old->source_time, old->source_node }, a->source) >= 0)
            return -EEXIST;
    }
    *value = *a->value;
    *ret_value = value;
    return 0;
}

/* The head's value to the row of its version. -EAGAIN: that version was deleted meanwhile, or is to be. */
WAITS static int archive(struct name_work *w, const struct head *head, struct error *err)
{
    Rs__RowValue    *value = arena_new(&w->arena, Rs__RowValue);
    Rs__ObjectMeta  *meta = arena_new(&w->arena, Rs__ObjectMeta);
    struct archiving a = { .source = head->row.ballot, .value = value };
    struct row_name *row = arena_new(&w->arena, struct row_name);
    uint8_t          key[VERSION_BYTES];
    struct slice     packed;
    int              rc;

    if (!value || !meta || !row)
        return error_set(err, -ENOMEM, "out of memory");
    meta_key(head->meta, key);
    *meta = *head->meta;
    meta->null_version = meta_is_null(head->meta);
    meta->version = pb_data(slice_of(key, sizeof key));
    meta->null_key = pb_data(SLICE_NONE);
    meta->source_time = head->row.ballot.time;
    meta->source_node = head->row.ballot.node;
    packed = pack_in(&w->arena, &meta->base);
    if (!packed.data)
        return error_set(err, -ENOMEM, "too much metadata");
    *value = *head->row.value;
    value->meta = pb_data(packed);
    value->counted = false;
    value->expires_s = 0;   /* Expiry makes an object noncurrent; that it is already. */
    rc = row_update(w->service->options.rows, &w->held.shard, name_version(row, w->name, key), archive_decide, &a,
                    step_deadline(w, head), &w->arena, NULL, NULL, err);
    if (rc == 0)
        counter_inc(version_archived);
    if (rc == -E_UNSURE)
        rc = -E_UNAVAILABLE;   /* Whatever became of the copy, the object is as it was. */
    return rc == -EEXIST ? 0 : rc;
}

/* Its version's row was erased, so somebody began to delete it and did not get to the end: that is done now. */
WAITS static int finish_deletion(struct name_work *w, const struct head *head, struct error *err)
{
    struct head now;
    int         rc = head_read(w, ROW_FULL, &now, err);

    if (rc || ballot_compare(now.row.ballot, head->row.ballot) != 0)
        return rc ? rc : -EAGAIN;
    if (!now.meta->dying) {
        Rs__RowValue *value = arena_new(&w->arena, Rs__RowValue);

        if (!value)
            return error_set(err, -ENOMEM, "out of memory");
        *value = *now.row.value;
        now.meta->dying = true;
        rc = head_swap(w, &now, value, now.meta, err);
    }
    return rc ? rc : -EAGAIN;   /* The next reader of the head finds it dying. */
}

void version_stamp(struct name_work *w, const struct head *head, Rs__ObjectMeta *meta, uint8_t version[VERSION_BYTES])
{
    uint64_t time = service_now_us(w->service);
    uint8_t  key[VERSION_BYTES];

    if (head->meta) {
        meta_key(head->meta, key);
        if (time <= get_u64be(key))
            time = get_u64be(key) + 1;   /* Another node's clock is ahead. */
    }
    put_u64be(version, time);
    env_random(w->service->options.env, version + 8, 8);
    meta->version = pb_data(slice_of(version, VERSION_BYTES));
    meta->null_version = w->container->config->versioning == VERSIONING_SUSPENDED;
}

WAITS int version_replace(struct name_work *w, const struct head *head, Rs__RowValue *value, Rs__ObjectMeta *meta,
                          struct error *err)
{
    bool            null = meta_is_null(meta);   /* Not the configuration's word: it may have changed since. */
    bool            was_null = head->meta && meta_is_null(head->meta);
    uint8_t        *key = arena_alloc(&w->arena, VERSION_BYTES);
    struct row_name row;
    int             rc = 0;

    if (!key)
        return error_set(err, -ENOMEM, "out of memory");
    meta->null_key = pb_data(SLICE_NONE);
    if (head->meta) {
        meta_key(head->meta, key);
        if (!null)
            meta->null_key = was_null ? pb_data(slice_of(key, VERSION_BYTES)) : head->meta->null_key;
        rc = upload_settle(w, head->meta, err);
        if (rc == 0 && !(null && was_null))
            rc = archive(w, head, err);
        if (rc == -EAGAIN)
            rc = finish_deletion(w, head, err);
    }
    if (rc == 0)
        rc = head_swap(w, head, value, meta, err);
    /* Of null versions there is one: the archived one that no head names any more goes. */
    if (rc == 0 && null && head->meta && head->meta->null_key.len == VERSION_BYTES)
        (void)row_erase(w->service, &w->held.shard, name_version(&row, w->name, head->meta->null_key.data), w->deadline,
                        NULL);
    return rc;
}

WAITS int null_missed(struct name_work *w, const struct head *head, struct error *err)
{
    struct head now;
    int         rc = head_read(w, ROW_META, &now, err);

    return rc ? rc : ballot_compare(now.row.ballot, head->row.ballot) != 0 ? -EAGAIN : 0;
}

/* --- Deleting the version that is the head. --- */

/* The newest version beside the dying one; in the arena. -ENOENT: there is none. */
WAITS static int newest_other(struct name_work *w, const struct head *head, struct row_state *ret_row,
                              Rs__ObjectMeta **ret_meta, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(&w->arena);
    struct row_range   range = { .limit = RESTORE_PAGE, .uncounted = true };
    struct row_page    page = { .more = true };
    struct row_name   *prefix = arena_new(&w->arena, struct row_name);
    uint8_t            own[VERSION_BYTES], key[VERSION_BYTES];

    if (!prefix)
        return error_set(err, -ENOMEM, "out of memory");
    meta_key(head->meta, own);
    range.prefix = name_versions(prefix, w->name);
    while (page.more) {
        int rc = row_list(w->service->options.rows, &w->held.shard, &range, w->deadline, &w->arena, &page, err);

        for (uint32_t i = 0; rc == 0 && i < page.count; i++) {
            struct row_entry *e = &page.entries[i];
            Rs__ObjectMeta   *meta = rs__object_meta__unpack(&allocator, e->value->meta.len, e->value->meta.data);

            if (!meta)
                return error_set(err, -E_CORRUPT, "a version's metadata can't be read");
            meta_key(meta, key);
            if (memcmp(key, own, sizeof key) == 0 ||
                (meta->null_version && !slice_equal(pb_slice(head->meta->null_key), slice_of(key, sizeof key))))
                continue;
            *ret_meta = meta;
            return row_read(w->service->options.rows, &w->held.shard, e->name, ROW_FULL, w->deadline, &w->arena, ret_row,
                            err);
        }
        if (rc)
            return rc;
        if (page.count == 0)
            break;
        range.after = page.entries[page.count - 1].name;
    }
    return -ENOENT;
}

/* Copies that version into the head's place. Its own row stays: garbage collection looks at the head first. */
WAITS static int restore(struct name_work *w, const struct head *head, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(&w->arena);
    Rs__RowValue      *value = arena_new(&w->arena, Rs__RowValue);
    struct row_state   row = { 0 };
    Rs__ObjectMeta    *meta = NULL;
    int                rc = newest_other(w, head, &row, &meta, err);

    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    rs__row_value__init(value);
    if (rc == -ENOENT) {
        value->tombstone = true;
        return head_swap(w, head, value, NULL, err);
    }
    if (rc)
        return rc;
    if (!row.exists)
        return -EAGAIN;   /* Deleted since it was listed. */
    meta = rs__object_meta__unpack(&allocator, row.value->meta.len, row.value->meta.data);
    if (!meta)
        return error_set(err, -E_CORRUPT, "a version's metadata can't be read");
    *value = *row.value;
    value->counted = !meta->delete_marker;
    if (!meta->null_version)
        meta->null_key = head->meta->null_key;
    rc = head_swap(w, head, value, meta, err);
    if (rc == 0)
        counter_inc(version_restored);
    return rc;
}

/* Is it still the same dying version? Its ballot may be another one: what is read may be settled anew. */
static bool same_dying(const struct head *head, const uint8_t key[VERSION_BYTES])
{
    uint8_t now[VERSION_BYTES];

    if (!head->meta || !head->meta->dying)
        return false;
    meta_key(head->meta, now);
    return memcmp(now, key, sizeof now) == 0;
}

WAITS int version_finish_dying(struct name_work *w, const struct head *head, struct error *err)
{
    uint8_t         key[VERSION_BYTES];
    struct row_name row;
    struct head     now = *head;
    int             rc = upload_settle(w, head->meta, err);

    meta_key(head->meta, key);
    if (rc == 0)
        rc = row_erase(w->service, &w->held.shard, name_version(&row, w->name, key), w->deadline, err);
    for (int tries = 0; rc == 0; tries++) {
        rc = restore(w, &now, err);
        if (rc != -EAGAIN)
            return rc;
        /* Somebody else ended it, or the version that was to come back went as well. */
        rc = head_read(w, ROW_FULL, &now, err);
        if (rc || !same_dying(&now, key))
            return rc;
        if (tries >= RESTORE_TRIES)
            rc = error_set(err, -E_UNAVAILABLE, "too many others change the object at once");
    }
    return rc;
}
