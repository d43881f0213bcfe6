/* proxy/object/names.c - names of the rows of a container's shard, and rows that go. */
#include "base/bytes.h"
#include "proxy/object/service.h"

static struct slice finish(struct row_name *name, char kind, struct slice object, bool end, const void *tail,
                           size_t tail_size)
{
    name->bytes[0] = 0;
    name->bytes[1] = (uint8_t)kind;
    if (object.size)
        memcpy(name->bytes + 2, object.data, object.size);
    name->size = 2 + object.size;
    if (end)
        name->bytes[name->size++] = 0;
    if (tail_size)
        memcpy(name->bytes + name->size, tail, tail_size);
    name->size += tail_size;
    return name_slice(name);
}

struct slice name_version(struct row_name *ret, struct slice object, const uint8_t version[VERSION_BYTES])
{
    uint8_t inverted[VERSION_BYTES];

    for (int i = 0; i < VERSION_BYTES; i++)
        inverted[i] = (uint8_t)~version[i];   /* The newest comes first. */
    return finish(ret, 'v', object, true, inverted, sizeof inverted);
}

struct slice name_versions(struct row_name *ret, struct slice object)
{
    return finish(ret, 'v', object, true, NULL, 0);
}

struct slice name_upload(struct row_name *ret, struct slice object, const uint8_t id[UPLOAD_ID_BYTES])
{
    return finish(ret, 'u', object, true, id, UPLOAD_ID_BYTES);
}

struct slice name_uploads(struct row_name *ret, struct slice object)
{
    return finish(ret, 'u', object, true, NULL, 0);
}

struct slice name_part(struct row_name *ret, const uint8_t id[UPLOAD_ID_BYTES], uint32_t number,
                       const uint8_t suffix[PART_SUFFIX_BYTES])
{
    uint8_t tail[4 + PART_SUFFIX_BYTES];

    put_u32be(tail, number);
    memcpy(tail + 4, suffix, PART_SUFFIX_BYTES);
    return finish(ret, 'p', slice_of(id, UPLOAD_ID_BYTES), false, tail, sizeof tail);
}

struct slice name_parts(struct row_name *ret, const uint8_t id[UPLOAD_ID_BYTES], int64_t number)
{
    uint8_t tail[4];

    if (number >= 0)
        put_u32be(tail, (uint32_t)number);
    return finish(ret, 'p', slice_of(id, UPLOAD_ID_BYTES), false, tail, number >= 0 ? sizeof tail : 0);
}

enum row_kind name_parse(struct slice row, struct slice *ret_object, uint8_t ret_id[16], uint32_t *ret_number,
                         struct slice *ret_suffix)
{
    char         kind = row.size > 1 ? (char)row.data[1] : 0;
    struct slice object;

    if (!row_hidden(row)) {
        *ret_object = row;
        return ROW_OBJECT;
    }
    if (kind == 'p' && row.size == 2 + 16 + 4 + PART_SUFFIX_BYTES) {
        memcpy(ret_id, row.data + 2, 16);
        if (ret_number)
            *ret_number = get_u32be(row.data + 18);
        if (ret_suffix)
            *ret_suffix = slice_from(row, 22);
        *ret_object = SLICE_NONE;
        return ROW_PART;
    }
    if ((kind != 'v' && kind != 'u') || row.size < 2 + 1 + 1 + 16)
        return ROW_UNKNOWN;
    object = slice_of(row.data + 2, row.size - 2 - 17);
    if (row.data[2 + object.size] != 0 || !name_valid(object))
        return ROW_UNKNOWN;
    memcpy(ret_id, row.data + row.size - 16, 16);
    if (kind == 'v')
        for (int i = 0; i < 16; i++)
            ret_id[i] = (uint8_t)~ret_id[i];
    *ret_object = object;
    return kind == 'v' ? ROW_VERSION : ROW_UPLOAD;
}

/* --- Uploads. --- */

bool upload_open(const Rs__RowValue *value, uint64_t now_us)
{
    Rs__Upload *upload = rs__upload__unpack(NULL, value->meta.len, value->meta.data);
    bool        open = upload && (upload->state == RS__UPLOAD__STATE__OPEN ||
                           upload->state_us + UPLOAD_INTENT_MS * UINT64_C(1000) < now_us);

    if (upload)
        rs__upload__free_unpacked(upload, NULL);
    return open;
}

/* --- Rows that go. --- */

WAITS int row_erase(struct object_service *s, const struct shard *shard, struct slice name, int64_t deadline,
                    struct error *err)
{
    Rs__RowValue value = RS__ROW_VALUE__INIT;

    value.tombstone = true;
    return row_write(s->options.rows, shard, name, &value, deadline, NULL, NULL, err);
}

static int erase_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                        struct error *err)
{
    const struct ballot *ballot = ctx;
    Rs__RowValue        *value = arena_new(arena, Rs__RowValue);

    if (!now->exists || ballot_compare(now->ballot, *ballot) != 0)
        return error_set(err, -E_CONDITION, "it was changed meanwhile");
    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    rs__row_value__init(value);
    value->tombstone = true;
    *ret_value = value;
    return 0;
}

WAITS int row_erase_if(struct row_client *rows, const struct shard *shard, struct slice name, struct ballot ballot,
                       int64_t deadline, struct error *err)
{
    struct arena arena;
    int          rc;

    arena_init(&arena, CONTAINER_ARENA_MAX);
    rc = row_update(rows, shard, name, erase_decide, &ballot, deadline, &arena, NULL, NULL, err);
    arena_done(&arena);
    return rc;
}
