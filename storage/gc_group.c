/* storage/gc_group.c - the rows of a group that nobody names any more go.
 *
 * A group is the rows whose names begin with ROW_GROUP_PREFIX and its id: the parts of a multipart upload. They live as
 * long as some row names the group by an extent (Extent.group). When they are erased, their blobs become garbage the
 * usual way, with a grace of their own for readers that began before. */
#include "base/counter.h"
#include "storage/gc_private.h"

COUNTER(gc_groups_deleted, "Groups of part rows erased because no row names them any more.");
COUNTER(gc_group_rows, "Part rows erased with their groups.");

enum { GROUP_PAGE = 500, GROUP_NAME_MAX = 128, GROUP_ID_MAX = 64 };

WAITS static int erase(struct gc *gc, const struct shard *shard, struct slice name)
{
    Rs__RowValue value = RS__ROW_VALUE__INIT;
    int          rc;

    value.tombstone = true;
    rc = row_write(gc->o.rows, shard, name, &value, gc_deadline(gc), NULL, NULL, NULL);
    if (rc == 0)
        counter_inc(gc_group_rows);
    return rc;
}

WAITS int gc_group(struct gc *gc, const struct shard *shard, const Rs__Extent *extent)
{
    uint8_t          prefix[GROUP_NAME_MAX];
    struct row_range range = { .limit = GROUP_PAGE, .uncounted = true };
    struct row_page  page = { .count = 1 };
    struct slice     start = ROW_GROUP_PREFIX;
    struct arena     arena;
    int              rc = 0;

    if (extent->blob.len == 0 || extent->blob.len > GROUP_ID_MAX)
        return -E_CORRUPT;
    memcpy(prefix, start.data, start.size);
    memcpy(prefix + start.size, extent->blob.data, extent->blob.len);
    range.prefix = slice_of(prefix, start.size + extent->blob.len);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    /* From the start each time, until nothing is left. */
    while (rc == 0 && page.count > 0 && !gc->stopping) {
        arena_reset(&arena);
        rc = row_list(gc->o.rows, shard, &range, gc_deadline(gc), &arena, &page, NULL);
        for (uint32_t i = 0; rc == 0 && i < page.count && !gc->stopping; i++)
            rc = erase(gc, shard, page.entries[i].name);
    }
    arena_done(&arena);
    if (rc == 0 && page.count > 0)
        rc = -ECANCELED;
    if (rc == 0)
        counter_inc(gc_groups_deleted);
    return rc;
}
