/* proxy/object/named.c - which rows name a blob, or a group of parts: what garbage collection asks.
 *
 * What a name's rows share moves between them, and the new one always names it before the old one stops: the upload's
 * row, then the head, then a version's row; and a version that comes back to the head keeps its row. So looking in that
 * order misses nothing. */
#include "proxy/object/upload.h"
#include "storage/mutant.h"

static bool value_names(const Rs__RowValue *value, struct slice blob, bool group)
{
    for (size_t i = 0; i < value->n_extents; i++)
        if (value->extents[i]->group == group && slice_equal(pb_slice(value->extents[i]->blob), blob))
            return true;
    return false;
}

WAITS static int row_names(struct row_client *rows, const struct shard *shard, struct slice name, struct slice blob,
                           bool group, int64_t deadline, bool *io_named)
{
    struct row_state row;
    struct arena     arena;
    int              rc;

    if (*io_named)
        return 0;
    arena_init(&arena, CONTAINER_ARENA_MAX);
    rc = row_read(rows, shard, name, ROW_META, deadline, &arena, &row, NULL);
    if (rc == 0)
        *io_named = row.exists && value_names(row.value, blob, group);
    arena_done(&arena);
    return rc;
}

WAITS static int versions_name(struct row_client *rows, const struct shard *shard, struct slice object,
                               struct slice blob, bool group, int64_t deadline, bool *io_named)
{
    struct row_range range = { .limit = UPLOAD_PAGE, .uncounted = true };
    struct row_page  page = { .more = true };
    struct row_name  prefix, begin;
    struct arena     arena;
    int              rc = 0;

    range.prefix = name_versions(&prefix, object);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    while (rc == 0 && !*io_named && page.more) {
        arena_reset(&arena);
        rc = row_list(rows, shard, &range, deadline, &arena, &page, NULL);
        for (uint32_t i = 0; rc == 0 && i < page.count && !*io_named; i++)
            *io_named = value_names(page.entries[i].value, blob, group);
        if (rc || page.count == 0)
            break;
        memcpy(begin.bytes, page.entries[page.count - 1].name.data, page.entries[page.count - 1].name.size);
        range.after = slice_of(begin.bytes, page.entries[page.count - 1].name.size);
    }
    arena_done(&arena);
    return rc;
}

WAITS int group_named(struct row_client *rows, const struct shard *shard, struct slice object,
                      const uint8_t id[UPLOAD_ID_BYTES], int64_t deadline, bool *ret_named)
{
    struct row_name row;
    struct slice    blob = slice_of(id, UPLOAD_ID_BYTES);
    bool            named = false;
    int             rc = row_names(rows, shard, name_upload(&row, object, id), blob, true, deadline, &named);

    if (mutant(MUTANT_GROUP_EARLY) && rc == 0) {
        *ret_named = named;
        return 0;
    }
    if (rc == 0)
        rc = row_names(rows, shard, object, blob, true, deadline, &named);
    if (rc == 0)
        rc = versions_name(rows, shard, object, blob, true, deadline, &named);
    if (rc == 0)
        *ret_named = named;
    return rc;
}

WAITS int object_rows_name(struct row_client *rows, const struct shard *shard, struct slice name,
                           const Rs__Extent *extent, int64_t deadline, bool *ret_named)
{
    struct slice  object, blob = pb_slice(extent->blob);
    uint8_t       id[16];
    enum row_kind kind = name_parse(name, &object, id, NULL, NULL);
    bool          named = false;
    int           rc;

    if (extent->group) {
        if (blob.size == UPLOAD_ID_BYTES && kind != ROW_PART && kind != ROW_UNKNOWN)
            return group_named(rows, shard, object, blob.data, deadline, ret_named);
        *ret_named = true;   /* Nothing is deleted that can't be judged. */
        return 0;
    }
    if (kind == ROW_PART || kind == ROW_UPLOAD || kind == ROW_UNKNOWN) {
        rc = row_names(rows, shard, name, blob, false, deadline, &named);
    } else {
        rc = row_names(rows, shard, object, blob, false, deadline, &named);
        if (rc == 0)
            rc = versions_name(rows, shard, object, blob, false, deadline, &named);
    }
    if (rc == 0)
        *ret_named = named;
    return rc;
}

size_t object_row_heirs(struct slice name, uint8_t prefix[ROW_NAME_MAX])
{
    struct row_name row;
    struct slice    versions;

    if (!name_valid(name))
        return 0;   /* The configuration, or a hidden row: nothing moves on from there to rows with other names. */
    versions = name_versions(&row, name);
    memcpy(prefix, versions.data, versions.size);
    return versions.size;
}
