/* control/store.c - the face of the control store: checks, then the backend. */
#include "control/store.h"

#include <stdlib.h>

#include "control/internal.h"

enum { PREFIX_TRIES = 16 };   /* Restarts of a paged read that changes kept overtaking. */

int control_enter(struct control *control)
{
    if (control->closing)
        return -E_CLOSED;
    control->users++;
    return 0;
}

void control_leave(struct control *control)
{
    if (--control->users == 0 && control->closer)
        task_unpark(control->closer);
}

void control_drain(struct control *control)
{
    control->closer = task_self();
    while (control->users)
        task_park_shielded();
    control->closer = NULL;
}

static int check_key(struct slice key)
{
    if (key.size == 0)
        return -EINVAL;
    return key.size > CONTROL_KEY_MAX ? -E_LIMIT : 0;
}

int control_check_txn(const struct control_compare *compares, uint32_t compare_count, const struct control_op *ops,
                      uint32_t op_count)
{
    size_t bytes = 0;

    if (compare_count > CONTROL_TXN_COMPARES_MAX || op_count > CONTROL_TXN_OPS_MAX)
        return -E_LIMIT;
    for (uint32_t i = 0; i < compare_count; i++) {
        int rc = check_key(compares[i].key);
        if (rc)
            return rc;
        if ((unsigned)compares[i].kind > CONTROL_IF_VALUE)
            return -EINVAL;
        if (compares[i].value.size > CONTROL_VALUE_MAX)
            return -E_LIMIT;
        bytes += compares[i].key.size + compares[i].value.size;
    }
    for (uint32_t i = 0; i < op_count; i++) {
        int rc = check_key(ops[i].key);
        if (rc)
            return rc;
        if ((unsigned)ops[i].kind > CONTROL_DELETE_PREFIX)
            return -EINVAL;
        if (ops[i].value.size > CONTROL_VALUE_MAX)
            return -E_LIMIT;
        bytes += ops[i].key.size + ops[i].value.size;
    }
    return bytes > CONTROL_TXN_BYTES_MAX ? -E_LIMIT : 0;
}

int control_prefix_end(struct arena *arena, struct slice prefix, struct slice *ret_end)
{
    size_t n = prefix.size;

    while (n > 0 && prefix.data[n - 1] == 0xff)
        n--;
    if (n == 0) {
        *ret_end = SLICE_NONE;
        return 0;
    }
    struct slice copy = arena_dup(arena, slice_of(prefix.data, n));
    if (copy.data == NULL)
        return -ENOMEM;
    ((uint8_t *)(uintptr_t)copy.data)[n - 1]++;
    *ret_end = copy;
    return 0;
}

int control_get(struct control *control, struct slice key, struct arena *arena, struct control_entry *ret_entry)
{
    int rc = check_key(key);
    if (rc == 0)
        rc = control_enter(control);
    if (rc)
        return rc;
    rc = control->ops->get(control, key, arena, ret_entry);
    control_leave(control);
    return rc;
}

int control_range(struct control *control, struct slice from, struct slice to, uint32_t limit, struct arena *arena,
                  struct control_entry **ret_entries, uint32_t *ret_count, bool *ret_more, uint64_t *ret_revision)
{
    if (from.size > CONTROL_KEY_MAX + 1 || to.size > CONTROL_KEY_MAX + 1 || limit > CONTROL_RANGE_MAX)
        return -E_LIMIT;
    int rc = control_enter(control);
    if (rc)
        return rc;
    rc = control->ops->range(control, from, to, limit ? limit : CONTROL_RANGE_MAX, CONTROL_RANGE_BYTES_MAX, arena,
                             ret_entries, ret_count, ret_more, ret_revision);
    control_leave(control);
    return rc;
}

/* One try: pages until the end, or -EAGAIN when a page was of another revision than the first. */
static int prefix_once(struct control *control, struct slice prefix, struct slice end, struct arena *arena,
                       struct control_entry **ret_entries, uint32_t *ret_count, uint64_t *ret_revision)
{
    struct control_entry *all = NULL;
    uint32_t              count = 0;
    uint64_t              revision = 0;
    struct slice          from = prefix;

    for (;;) {
        struct control_entry *page;
        uint32_t              n;
        bool                  more;
        uint64_t              at;
        /* The embedded store reads all at once: only a wire needs pages. */
        int rc = control->ops->range(control, from, end, CONTROL_RANGE_MAX, SIZE_MAX, arena, &page, &n, &more, &at);
        if (rc)
            return rc;
        if (all != NULL && at != revision)
            return -EAGAIN;
        if (count + n > CONTROL_RANGE_MAX || (more && count + n == CONTROL_RANGE_MAX))
            return -E_LIMIT;
        if (all == NULL) {
            all = page;
        } else if (n) {
            struct control_entry *both = arena_array(arena, struct control_entry, count + n);
            if (both == NULL)
                return -ENOMEM;
            memcpy(both, all, count * sizeof *all);
            memcpy(both + count, page, n * sizeof *page);
            all = both;
        }
        count += n;
        revision = at;
        if (!more || n == 0)
            break;
        /* The smallest key after the last one: it followed by a zero byte; arena copies end with one. */
        from = slice_of(page[n - 1].key.data, page[n - 1].key.size + 1);
    }
    *ret_entries = all;
    *ret_count = count;
    *ret_revision = revision;
    return 0;
}

int control_prefix(struct control *control, struct slice prefix, struct arena *arena,
                   struct control_entry **ret_entries, uint32_t *ret_count, uint64_t *ret_revision)
{
    struct slice end;

    if (prefix.size > CONTROL_KEY_MAX)
        return -E_LIMIT;
    int rc = control_prefix_end(arena, prefix, &end);
    if (rc == 0)
        rc = control_enter(control);
    if (rc)
        return rc;
    rc = -EAGAIN;
    for (int i = 0; i < PREFIX_TRIES && rc == -EAGAIN; i++)
        rc = prefix_once(control, prefix, end, arena, ret_entries, ret_count, ret_revision);
    control_leave(control);
    return rc == -EAGAIN ? -E_OVERLOAD : rc;
}

static int txn(struct control *control, const struct control_compare *compares, uint32_t compare_count,
               const struct control_op *ops, uint32_t op_count, uint64_t *ret_revision, uint32_t *ret_failed,
               bool *ret_changed)
{
    uint64_t revision = 0;
    uint32_t failed = 0;
    bool     changed = false;
    int      rc = control_check_txn(compares, compare_count, ops, op_count);

    if (rc == 0)
        rc = control_enter(control);
    if (rc)
        return rc;
    rc = control->ops->txn(control, compares, compare_count, ops, op_count, &revision, &failed, &changed);
    control_leave(control);
    if (rc == 0 && ret_revision)
        *ret_revision = revision;
    if (rc == 0 && ret_changed)
        *ret_changed = changed;
    if (rc == -E_CONDITION && ret_failed)
        *ret_failed = failed;
    return rc;
}

int control_txn(struct control *control, const struct control_compare *compares, uint32_t compare_count,
                const struct control_op *ops, uint32_t op_count, uint64_t *ret_revision, uint32_t *ret_failed)
{
    return txn(control, compares, compare_count, ops, op_count, ret_revision, ret_failed, NULL);
}

int control_put(struct control *control, struct slice key, struct slice value, uint64_t *ret_revision)
{
    struct control_op op = { .kind = CONTROL_PUT, .key = key, .value = value };
    return txn(control, NULL, 0, &op, 1, ret_revision, NULL, NULL);
}

int control_delete(struct control *control, struct slice key, uint64_t *ret_revision)
{
    struct control_compare there = { .kind = CONTROL_IF_EXISTS, .key = key };
    struct control_op      op = { .kind = CONTROL_DELETE, .key = key };
    int                    rc = txn(control, &there, 1, &op, 1, ret_revision, NULL, NULL);
    return rc == -E_CONDITION ? -ENOENT : rc;
}

int control_watch(struct control *control, struct slice prefix, uint64_t after, struct control_watch **ret_watch)
{
    if (prefix.size > CONTROL_KEY_MAX)
        return -E_LIMIT;
    if (control->closing)
        return -E_CLOSED;
    return control->ops->watch(control, prefix, after, ret_watch);
}

int control_watch_next(struct control_watch *watch, int64_t deadline, struct control_change *ret_change)
{
    struct control *control = watch->control;
    int             rc = control ? control_enter(control) : -E_CLOSED;

    if (rc)
        return rc;
    rc = watch->ops->watch_next(watch, deadline, ret_change);
    control_leave(control);
    return rc;
}

struct control_watch *control_watch_free(struct control_watch *watch)
{
    if (watch)
        watch->ops->watch_free(watch);
    return NULL;
}

int control_lease_grant(struct control *control, uint32_t ttl_s, uint64_t *ret_lease)
{
    if (ttl_s == 0 || ttl_s > CONTROL_LEASE_TTL_MAX_S)
        return -E_LIMIT;
    int rc = control_enter(control);
    if (rc)
        return rc;
    rc = control->ops->lease_grant(control, ttl_s, ret_lease);
    control_leave(control);
    return rc;
}

int control_lease_keep(struct control *control, uint64_t lease)
{
    int rc = control_enter(control);
    if (rc)
        return rc;
    rc = control->ops->lease_keep(control, lease);
    control_leave(control);
    return rc;
}

int control_lease_revoke(struct control *control, uint64_t lease)
{
    int rc = control_enter(control);
    if (rc)
        return rc;
    rc = control->ops->lease_revoke(control, lease);
    control_leave(control);
    return rc;
}

struct control *control_close(struct control *control)
{
    if (control)
        control->ops->close(control);
    return NULL;
}
