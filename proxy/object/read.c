/* proxy/object/read.c - objects and their versions: reading their rows. body.c has the bytes. */
#include "base/counter.h"
#include "proxy/object/version.h"

COUNTER(object_expired_seen, "Reads that met an expired object.");

/* One row, as an object. -ENOENT: it is not there, expired, or a delete marker (*ret_object is filled then). */
WAITS static int read_row(struct object_service *s, struct container *c, struct slice name, enum row_want want,
                          int64_t deadline, struct arena *arena, struct object *ret_object, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(arena);
    struct row_state   row;
    struct object      o;
    struct held        held;
    int                rc = held_container(s, c->shard.id, c->policy, c->shard.config, &held, err);

    ret_object->meta = NULL;
    if (rc)
        return rc;
    rc = row_read(s->options.rows, &held.shard, name, want, deadline, arena, &row, err);
    held_drop(&held);
    if (rc)
        return rc;
    if (!row.exists)
        return error_set(err, -ENOENT, "there is no such object");
    if (value_expired(s, row.value)) {
        counter_inc(object_expired_seen);
        return error_set(err, -ENOENT, "the object expired");
    }
    o.value = row.value;
    o.name = SLICE_NONE;
    o.customer_key = NULL;
    o.ballot = row.ballot;
    o.policy = c->policy;
    memcpy(o.shard, c->shard.id, SHARD_ID_BYTES);
    o.meta = rs__object_meta__unpack(&allocator, row.value->meta.len, row.value->meta.data);
    if (!o.meta)
        return error_set(err, -E_CORRUPT, "the object's metadata can't be read");
    o.size = object_size_of(o.meta, row.value->size);
    *ret_object = o;
    return o.meta->delete_marker ? error_set(err, -ENOENT, "the object is deleted") : 0;
}

/* The keys of encrypted bytes are bound to the object's name, which the row of a version does not show. */
static int keep_name(struct object *o, struct slice name, struct arena *arena, struct error *err)
{
    if (!o->meta->encryption)
        return 0;
    o->name = arena_dup(arena, name);
    return o->name.data ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int object_read(struct object_service *s, struct container *c, struct slice name, enum row_want want,
                int64_t deadline, struct arena *arena, struct object *ret_object, struct error *err)
{
    int rc = container_settled(c);

    ret_object->meta = NULL;
    if (rc == 0 && !name_valid(name))
        rc = error_set(err, -ENOENT, "there is no such object");
    if (rc == 0)
        rc = read_row(s, c, name, want, deadline, arena, ret_object, err);
    return rc ? rc : keep_name(ret_object, name, arena, err);
}

/* --- Versions. --- */

int version_parse(struct slice text, struct version_ref *ret_version)
{
    struct version_ref v = { .given = text.size > 0 };

    if (slice_equal(text, SLICE("null"))) {
        v.null_version = true;
    } else if (text.size) {
        if (text.size != 2 * VERSION_BYTES)
            return -EINVAL;
        for (size_t i = 0; i < text.size; i++) {
            uint8_t c = text.data[i], nibble = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
            if (nibble > 15)
                return -EINVAL;
            v.id[i / 2] = (uint8_t)(v.id[i / 2] << 4 | nibble);
        }
    }
    *ret_version = v;
    return 0;
}

struct slice version_text(const Rs__ObjectMeta *meta, char text[VERSION_TEXT_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";

    if (meta_is_null(meta)) {
        memcpy(text, "null", 5);
        return slice_of(text, 4);
    }
    for (int i = 0; i < VERSION_BYTES; i++) {
        text[2 * i] = digits[meta->version.data[i] >> 4];
        text[2 * i + 1] = digits[meta->version.data[i] & 15];
    }
    text[2 * VERSION_BYTES] = 0;
    return slice_of(text, 2 * VERSION_BYTES);
}

bool version_is(const Rs__ObjectMeta *meta, const struct version_ref *version)
{
    if (!version->given)
        return true;
    if (version->null_version || meta_is_null(meta))
        return version->null_version && meta_is_null(meta);
    return memcmp(meta->version.data, version->id, VERSION_BYTES) == 0;
}

bool version_row(const struct head *head, struct slice name, const struct version_ref *version, struct row_name *row,
                 struct slice *ret_name)
{
    const uint8_t *key = version->id;

    if (version->null_version) {
        /* Which of the archived null versions counts, the head says. */
        if (!head->meta || head->meta->null_key.len != VERSION_BYTES)
            return false;
        key = head->meta->null_key.data;
    }
    *ret_name = name_version(row, name, key);
    return true;
}

/* One look: the head, else the version's row. -EAGAIN: the head names another null version by now. */
WAITS static int look_for_version(struct object_service *s, struct container *c, struct slice name,
                                  const struct version_ref *version, enum row_want want, int64_t deadline,
                                  struct arena *arena, struct object *ret_object, struct error *err)
{
    struct row_name *row = arena_new(arena, struct row_name);
    struct head      head = { .read_at = 0 };
    struct object    o = { .meta = NULL }, again;
    struct slice     row_name;
    int              rc = object_read(s, c, name, want, deadline, arena, &o, err);

    if ((rc && rc != -ENOENT) || (o.meta && version_is(o.meta, version)) || !version->given || !name_valid(name)) {
        *ret_object = o;
        return rc;
    }
    head.meta = o.meta;
    head.row.ballot = o.ballot;
    if (!row)
        return error_set(err, -ENOMEM, "out of memory");
    if (!version_row(&head, name, version, row, &row_name))
        return error_set(err, -ENOENT, "there is no such version");
    o.meta = NULL;
    rc = read_row(s, c, row_name, want, deadline, arena, &o, err);
    if (rc == -ENOENT && !o.meta && version->null_version) {
        rc = object_read(s, c, name, ROW_META, deadline, arena, &again, err);
        if (rc && rc != -ENOENT)
            return rc;
        return again.meta && ballot_compare(again.ballot, head.row.ballot) == 0
                   ? error_set(err, -ENOENT, "there is no such version") : -EAGAIN;
    }
    if (o.meta && !version_is(o.meta, version))   /* An archived null version has an id that nobody was told. */
        return error_set(err, -ENOENT, "there is no such version");
    if (rc == 0)
        rc = keep_name(&o, name, arena, err);
    *ret_object = o;
    return rc;
}

enum { LOOKS_MAX = 8 };

int object_read_version(struct object_service *s, struct container *c, struct slice name,
                        const struct version_ref *version, enum row_want want, int64_t deadline, struct arena *arena,
                        struct object *ret_object, struct error *err)
{
    int rc = -EAGAIN;

    ret_object->meta = NULL;
    for (int i = 0; i < LOOKS_MAX && rc == -EAGAIN; i++)
        rc = look_for_version(s, c, name, version, want, deadline, arena, ret_object, err);
    return rc == -EAGAIN ? error_set(err, -E_UNAVAILABLE, "others change the object all the time") : rc;
}

uint64_t object_size_of(const Rs__ObjectMeta *meta, uint64_t stored)
{
    return meta->upload.len ? meta->parts_size : meta->encryption ? meta->plain_size : stored;
}

uint64_t object_size(const struct object *object)
{
    return object_size_of(object->meta, object->value->size);
}
