/* cmd/inspect.c - `ringstack inspect`: what is on a device, in a volume file, in a
 * journal, in a row, in a blob. Works on files, whether or not a cluster runs; writes nothing. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cli.h"
#include "base/env_kernel.h"
#include "base/log.h"
#include "cmd/commands.h"
#include "storage/blob_store_private.h"
#include "storage/journal_format.h"
#include "storage/row_record.h"

struct inspection {
    const char *what, *path, *arg1, *arg2;
    uint64_t    limit;
    bool        json;
    struct env *env;
    json_t     *out;      /* What is printed. */
    int         rc;
    char        why[ERROR_TEXT_MAX];
};

WAITS static int fail(struct inspection *in, int rc, const char *why)
{
    in->rc = rc;
    snprintf(in->why, sizeof in->why, "%.180s: %.70s", why, error_text(rc));
    return rc;
}

static json_t *hex(const void *data, size_t size)
{
    const uint8_t *p = data;
    char          *text = malloc(2 * size + 3);
    json_t        *value;

    if (!text)
        return json_null();
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", p[i]);
    text[2 * size] = 0;
    value = json_string(text);
    free(text);
    return value;
}

static bool unhex(const char *text, uint8_t *out, size_t size)
{
    if (strlen(text) != 2 * size || strspn(text, "0123456789abcdefABCDEF") != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned byte;

        sscanf(text + 2 * i, "%2x", &byte);
        out[i] = (uint8_t)byte;
    }
    return true;
}

/* Names may hold any bytes; what is not printable is escaped. */
static json_t *text_of(struct slice s)
{
    char   *out = malloc(4 * s.size + 8);
    json_t *value = out ? json_string(log_escape(out, 4 * s.size + 8, s.data, s.size)) : json_null();

    free(out);
    return value ? value : hex(s.data, s.size);
}

static json_t *ballot_of(struct ballot b)
{
    char text[48];

    snprintf(text, sizeof text, "%" PRIu64 ".%u", b.time, b.node);
    return json_string(text);
}

/* --- Volume files. --- */

struct volume_listing {
    struct inspection *in;
    json_t            *records;
    uint64_t           count, bytes;
};

static json_t *record_json(const struct volume_record *r, uint64_t position)
{
    json_t *o = json_object();

    json_object_set_new(o, "position", json_integer((json_int_t)position));
    json_object_set_new(o, "bytes", json_integer(volume_record_bytes(r)));
    json_object_set_new(o, "blob", hex(r->blob, sizeof r->blob));
    json_object_set_new(o, "fragment", json_integer(r->fragment));
    json_object_set_new(o, "segment", json_integer(r->segment));
    json_object_set_new(o, "length", json_integer(r->length));
    json_object_set_new(o, "segment_bytes", json_integer(r->segment_bytes));
    json_object_set_new(o, "k", json_integer(r->k));
    json_object_set_new(o, "m", json_integer(r->m));
    json_object_set_new(o, "erasure", json_boolean(r->erasure));
    if (r->owner_name.size) {
        json_object_set_new(o, "owner_shard", hex(r->owner_shard, SHARD_ID_BYTES));
        json_object_set_new(o, "owner_name", text_of(r->owner_name));
    }
    return o;
}

WAITS static int list_record(void *ctx, struct volume *v, uint64_t position, const struct volume_record *r,
                             const struct buf_part *part)
{
    struct volume_listing *l = ctx;

    (void)v;
    if (!part)
        return 0;   /* Counted as damaged. */
    l->count++;
    l->bytes += volume_record_bytes(r);
    if (json_array_size(l->records) < l->in->limit)
        json_array_append_new(l->records, record_json(r, position));
    return 0;
}

/* Splits ".../00000001.vol". */
static bool volume_path(const char *path, char dir[ENV_PATH_MAX], uint32_t *ret_number)
{
    const char *name = strrchr(path, '/');
    char       *end;

    snprintf(dir, ENV_PATH_MAX, "%.*s", name ? (int)(name - path) : 1, name ? path : ".");
    name = name ? name + 1 : path;
    *ret_number = (uint32_t)strtoul(name, &end, 10);
    return strlen(name) == 12 && strcmp(end, ".vol") == 0;
}

WAITS static int inspect_volume(struct inspection *in)
{
    struct volume_listing l = { .in = in, .records = json_array() };
    struct volume        *v;
    char                  dir[ENV_PATH_MAX];
    uint32_t              number;
    struct volume_walk    walk = { 0 };
    int                   rc;

    json_object_set_new(in->out, "records", l.records);
    if (!volume_path(in->path, dir, &number))
        return fail(in, -EINVAL, "a volume file is named NNNNNNNN.vol");
    rc = volume_open(in->env, dir, number, &v);
    if (rc)
        return fail(in, rc, in->path);
    rc = volume_scan(v, 0, list_record, &l, &walk);
    json_object_set_new(in->out, "volume", json_integer(v->header.number));
    json_object_set_new(in->out, "device", hex(v->header.device, 16));
    json_object_set_new(in->out, "file_bytes", json_integer((json_int_t)v->allocated));
    json_object_set_new(in->out, "end", json_integer((json_int_t)walk.end));
    json_object_set_new(in->out, "intact_records", json_integer((json_int_t)l.count));
    json_object_set_new(in->out, "intact_bytes", json_integer((json_int_t)l.bytes));
    json_object_set_new(in->out, "damaged_records", json_integer((json_int_t)walk.damaged));
    json_object_set_new(in->out, "unreadable_blocks", json_integer((json_int_t)walk.unreadable));
    volume_unref(v);
    return rc ? fail(in, rc, in->path) : 0;
}

/* --- Journals. --- */

static const char *const journal_kinds[] = { "?", "accept", "promise", "floor", "drop" };

static void list_journal_record(struct inspection *in, json_t *records, const struct journal_record *r)
{
    struct row_journal row;
    json_t            *o;

    if (json_array_size(records) >= in->limit)
        return;
    o = json_object();
    json_object_set_new(o, "lsn", json_integer((json_int_t)r->lsn));
    json_object_set_new(o, "append_first", json_integer((json_int_t)r->append_first));
    json_object_set_new(o, "sequence", json_integer((json_int_t)r->sequence));
    json_object_set_new(o, "bytes", json_integer((json_int_t)r->bytes_of.size));
    if (row_journal_decode(r->bytes_of, &row) == 0 && row.kind < 5) {
        json_object_set_new(o, "kind", json_string(journal_kinds[row.kind]));
        json_object_set_new(o, "shard", hex(row.shard, SHARD_ID_BYTES));
        json_object_set_new(o, "name", text_of(row.name));
        json_object_set_new(o, "ballot", ballot_of(row.ballot));
    }
    json_array_append_new(records, o);
}

WAITS static int read_file(struct inspection *in, const char *path, uint8_t **ret_data, size_t *ret_size)
{
    struct file *file;
    uint64_t     size;
    uint8_t     *data = NULL;
    size_t       got = 0;
    int          rc = env_open(in->env, path, FILE_READ_ONLY, &file);

    if (rc)
        return rc;
    rc = file_size(file, &size);
    if (rc == 0 && size > UINT64_C(1) << 30)
        rc = -E_LIMIT;
    if (rc == 0 && !(data = malloc(size ? size : 1)))
        rc = -ENOMEM;
    while (rc == 0 && *ret_size < size) {
        rc = file_read(file, data + *ret_size, size - *ret_size < 1 << 20 ? size - *ret_size : 1 << 20, *ret_size, &got);
        if (rc == 0 && got == 0)
            break;
        *ret_size += got;
    }
    file_close(file);
    *ret_data = data;
    return rc;
}

WAITS static int inspect_segment(struct inspection *in, const char *path, json_t *segments, json_t *records)
{
    json_t               *o = json_object();
    struct journal_record r;
    uint8_t              *data = NULL;
    size_t                size = 0;
    uint64_t              id = 0, bytes = 0, first = 0, last = 0, count = 0;
    uint32_t              number = 0;
    int                   rc = read_file(in, path, &data, &size);

    json_array_append_new(segments, o);
    json_object_set_new(o, "path", json_string(path));
    if (rc == 0)
        rc = journal_header_decode(slice_of(data, size), &id, &bytes, &number);
    if (rc) {
        json_object_set_new(o, "error", json_string(error_text(rc)));
        free(data);
        return 0;
    }
    for (size_t at = 4096; at + JOURNAL_RECORD_HEADER_BYTES <= size;) {
        if (journal_record_decode(slice_of(data + at, size - at), id, &r)) {
            at = (at / 4096 + 1) * 4096;
            continue;
        }
        at += r.bytes;
        count++;
        first = first ? first : r.lsn;
        last = r.lsn > last ? r.lsn : last;
        list_journal_record(in, records, &r);
    }
    json_object_set_new(o, "journal", json_integer((json_int_t)id));
    json_object_set_new(o, "bytes", json_integer((json_int_t)bytes));
    json_object_set_new(o, "records", json_integer((json_int_t)count));
    json_object_set_new(o, "first_lsn", json_integer((json_int_t)first));
    json_object_set_new(o, "last_lsn", json_integer((json_int_t)last));
    free(data);
    return 0;
}

WAITS static int inspect_journal(struct inspection *in)
{
    json_t           *segments = json_array(), *records = json_array();
    struct env_entry *entries = NULL;
    uint32_t          count = 0;
    char              path[2 * ENV_PATH_MAX];
    int               rc = env_list(in->env, in->path, &entries, &count);

    json_object_set_new(in->out, "segments", segments);
    json_object_set_new(in->out, "records", records);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        if (strncmp(entries[i].name, "journal-", 8) == 0) {
            snprintf(path, sizeof path, "%s/%s", in->path, entries[i].name);
            rc = inspect_segment(in, path, segments, records);
        }
    free(entries);
    return rc ? fail(in, rc, in->path) : 0;
}

/* --- What is in the index. --- */

WAITS static int index_open(struct inspection *in, struct kv **ret_kv)
{
    struct kv_options options = { .read_only = true };
    struct error      err = { 0 };
    char              path[ENV_PATH_MAX + 16];
    int               rc;

    snprintf(path, sizeof path, "%s/index", in->path);
    rc = kv_open(&kv_rocks, in->env, path, &options, ret_kv, &err);
    if (rc) {
        in->rc = rc;
        snprintf(in->why, sizeof in->why, "%.250s", err.text);
    }
    return rc;
}

WAITS static int inspect_row(struct inspection *in)
{
    struct kv      *kv;
    struct row_key  key, data_key;
    struct row_head head;
    struct arena    arena;
    struct slice    k, value, bytes;
    uint8_t         shard[SHARD_ID_BYTES];
    int             rc;

    if (!unhex(in->arg1, shard, sizeof shard) || strlen(in->arg2) > ROW_NAME_MAX)
        return fail(in, -EINVAL, "a shard id is 32 hex digits, a name at most 2048 bytes");
    rc = index_open(in, &kv);
    if (rc)
        return rc;
    arena_init(&arena, 4 * 1024 * 1024);
    k = row_key_make(&key, ROW_KEY_HEAD, shard, slice_str(in->arg2));
    rc = kv_get(kv, k, &arena, &value);
    if (rc == 0)
        rc = row_head_decode(k, value, &head);
    if (rc == 0) {
        json_object_set_new(in->out, "name", text_of(slice_str(in->arg2)));
        json_object_set_new(in->out, "promised", ballot_of(head.promised));
        json_object_set_new(in->out, "accepted", ballot_of(head.accepted));
        json_object_set_new(in->out, "live", json_boolean(row_head_live(&head)));
        json_object_set_new(in->out, "counted", json_boolean(row_head_counted(&head)));
        json_object_set_new(in->out, "size", json_integer((json_int_t)head.size));
        json_object_set_new(in->out, "expires_s", json_integer((json_int_t)head.expires_s));
        json_object_set_new(in->out, "inline_bytes", json_integer(head.data_size));
        json_object_set_new(in->out, "meta_bytes", json_integer((json_int_t)head.meta.size));
        Rs__RowValue *v = row_unpack(&rs__row_value__descriptor, head.meta, &arena);
        json_t       *extents = json_array();
        for (size_t i = 0; v && i < v->n_extents; i++) {
            json_t *e = json_object(), *devices = json_array();

            json_object_set_new(e, "blob", hex(v->extents[i]->blob.data, v->extents[i]->blob.len));
            json_object_set_new(e, "size", json_integer((json_int_t)v->extents[i]->size));
            for (size_t d = 0; d < v->extents[i]->n_devices; d++)
                json_array_append_new(devices, json_integer(v->extents[i]->devices[d]));
            json_object_set_new(e, "devices", devices);
            json_array_append_new(extents, e);
        }
        json_object_set_new(in->out, "extents", extents);
        if (kv_get(kv, row_key_make(&data_key, ROW_KEY_DATA, shard, slice_str(in->arg2)), &arena, &bytes) == 0)
            json_object_set_new(in->out, "inline_stored_bytes", json_integer((json_int_t)bytes.size));
    }
    arena_done(&arena);
    kv_close(kv);
    return rc ? fail(in, rc, "the row") : 0;
}

struct blob_listing {
    json_t  *chunks;
    uint64_t bytes;
};

static bool list_chunk(void *arg, struct slice key, struct slice value)
{
    struct blob_listing *l = arg;
    struct chunk_id      id;
    struct place         place;
    json_t              *o;

    if (index_key_decode(key, &id) || place_decode(value, &place))
        return true;
    o = json_object();
    json_object_set_new(o, "fragment", json_integer(id.fragment));
    json_object_set_new(o, "segment", json_integer(id.segment));
    json_object_set_new(o, "volume", json_integer(place.volume));
    json_object_set_new(o, "position", json_integer((json_int_t)place.position));
    json_object_set_new(o, "bytes", json_integer(place.bytes));
    json_array_append_new(l->chunks, o);
    l->bytes += place.bytes;
    return true;
}

/* Reads the chunk that 'o' tells of, and says how it is. */
WAITS static void check_chunk(struct inspection *in, const uint8_t blob[16], json_t *o)
{
    struct chunk_id      id = { .fragment = (uint8_t)json_integer_value(json_object_get(o, "fragment")),
                                .segment = (uint32_t)json_integer_value(json_object_get(o, "segment")) };
    struct volume       *v;
    struct volume_record r;
    struct buf_part      part;
    char                 dir[ENV_PATH_MAX + 16];
    int                  rc;

    memcpy(id.blob, blob, 16);
    snprintf(dir, sizeof dir, "%s/volumes", in->path);
    rc = volume_open(in->env, dir, (uint32_t)json_integer_value(json_object_get(o, "volume")), &v);
    if (rc == 0) {
        rc = volume_read(v, (uint64_t)json_integer_value(json_object_get(o, "position")),
                         (uint32_t)json_integer_value(json_object_get(o, "bytes")), &id, 0, 0, &part, &r);
        if (rc == 0)
            buf_unref(part.buf);
        volume_unref(v);
    }
    json_object_set_new(o, "state", json_string(rc ? error_text(rc) : "intact"));
}

WAITS static int inspect_blob(struct inspection *in)
{
    struct blob_listing l = { .chunks = json_array() };
    struct kv          *kv;
    uint8_t             from[17] = { 'b' }, to[18] = { 'b' };
    json_t             *o;
    size_t              i;
    int                 rc;

    json_object_set_new(in->out, "chunks", l.chunks);
    if (!unhex(in->arg1, from + 1, 16))
        return fail(in, -EINVAL, "a blob id is 32 hex digits");
    memcpy(to, from, sizeof from);
    to[17] = 0xff;
    rc = index_open(in, &kv);
    if (rc)
        return rc;
    rc = kv_scan(kv, slice_of(from, sizeof from), slice_of(to, sizeof to), false, list_chunk, &l);
    kv_close(kv);
    if (rc == 0 && json_array_size(l.chunks) == 0)
        rc = -ENOENT;
    json_array_foreach(l.chunks, i, o)
        check_chunk(in, from + 1, o);
    json_object_set_new(in->out, "bytes", json_integer((json_int_t)l.bytes));
    return rc ? fail(in, rc, "the blob on this device") : 0;
}

/* --- Devices. --- */

struct device_summary {
    uint64_t rows, chunks, chunk_bytes, garbage, shards;
};

static bool count_key(void *arg, struct slice key, struct slice value)
{
    struct device_summary *s = arg;
    struct place           place;

    s->rows += key.data[0] == ROW_KEY_HEAD;
    s->shards += key.data[0] == ROW_KEY_SHARD;
    s->garbage += key.data[0] == ROW_KEY_GARBAGE;
    if (key.data[0] == 'b' && place_decode(value, &place) == 0) {
        s->chunks++;
        s->chunk_bytes += place.bytes;
    }
    return true;
}

WAITS static int inspect_device(struct inspection *in)
{
    struct device_summary s = { 0 };
    struct env_entry     *entries = NULL;
    json_t               *volumes = json_array();
    struct kv            *kv;
    uint32_t              count = 0;
    uint8_t              *text = NULL;
    size_t                size = 0;
    char                  path[ENV_PATH_MAX + 16];
    int                   rc;

    json_object_set_new(in->out, "volumes", volumes);
    snprintf(path, sizeof path, "%s/device.id", in->path);
    rc = read_file(in, path, &text, &size);
    if (rc) {
        free(text);
        return fail(in, rc, path);
    }
    json_object_set_new(in->out, "identity", text_of(slice_of(text, size)));
    free(text);
    snprintf(path, sizeof path, "%s/volumes", in->path);
    rc = env_list(in->env, path, &entries, &count);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        json_t *o = json_object();

        json_object_set_new(o, "file", json_string(entries[i].name));
        json_object_set_new(o, "bytes", json_integer((json_int_t)entries[i].size));
        json_array_append_new(volumes, o);
    }
    free(entries);
    if (rc)
        return fail(in, rc, path);
    rc = index_open(in, &kv);
    if (rc)
        return rc;
    rc = kv_scan(kv, SLICE_NONE, SLICE_NONE, false, count_key, &s);
    kv_close(kv);
    json_object_set_new(in->out, "rows", json_integer((json_int_t)s.rows));
    json_object_set_new(in->out, "shards", json_integer((json_int_t)s.shards));
    json_object_set_new(in->out, "garbage_entries", json_integer((json_int_t)s.garbage));
    json_object_set_new(in->out, "chunks", json_integer((json_int_t)s.chunks));
    json_object_set_new(in->out, "chunk_bytes", json_integer((json_int_t)s.chunk_bytes));
    return rc ? fail(in, rc, "the index") : 0;
}

/* --- The command. --- */

static const struct {
    const char *what;
    int         operands;    /* After 'what'. */
    WAITS int (*run)(struct inspection *in);
} kinds[] = {
    { "device", 1, inspect_device }, { "volume", 1, inspect_volume }, { "journal", 1, inspect_journal },
    { "row", 3, inspect_row },       { "blob", 2, inspect_blob },
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void run(struct env *env, void *arg)
{
    struct inspection *in = arg;

    in->env = env;
    for (int i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].what, in->what) == 0)
            in->rc = kinds[i].run(in);
}

/* One "key: value" a line; the members of arrays on one line each. */
static void print_text(const json_t *object)
{
    const char *key, *k;
    json_t     *value, *item, *v;
    size_t      i;

    json_object_foreach((json_t *)object, key, value) {
        char *text = json_is_array(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        printf("%s: %s\n", key, json_is_string(value) ? json_string_value(value) : text ? text : "");
        free(text);
        if (!json_is_array(value))
            continue;
        json_array_foreach(value, i, item) {
            printf(" ");
            json_object_foreach(item, k, v) {
                text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
                printf(" %s=%s", k, json_is_string(v) ? json_string_value(v) : text ? text : "");
                free(text);
            }
            printf("\n");
        }
    }
}

int cmd_inspect(int argc, char **argv)
{
    struct inspection     in = { .limit = 1000 };
    struct kernel_options kernel = { .node_id = 1, .io_threads = 2 };
    struct cli_option     options[] = {
        { "json", CLI_BOOL, NULL, "print one JSON object", &in.json, 0, 0 },
        { "limit", CLI_U64, "N", "list at most N records (default 1000)", &in.limit, 0, 10000000 },
        CLI_END
    };
    struct cli_command command = { "ringstack inspect", "Shows what is on a device; works on files, offline.",
                                   "device DIR | volume FILE | journal DIR | row DIR SHARD NAME | blob DIR ID", 2, 4,
                                   options };
    int operands, rc = cli_parse(&command, argc, argv, &operands), kind = -1;

    if (rc >= 0)
        return rc;
    for (int i = 0; i < KINDS; i++)
        if (strcmp(argv[1], kinds[i].what) == 0)
            kind = i;
    if (kind < 0)
        return cli_usage(&command, "unknown kind \"%s\"", argv[1]);
    if (operands != 1 + kinds[kind].operands)
        return cli_usage(&command, "%s takes %d operands", argv[1], kinds[kind].operands);
    in.what = argv[1];
    in.path = argv[2];
    in.arg1 = operands > 2 ? argv[3] : "";
    in.arg2 = operands > 3 ? argv[4] : "";
    in.out = json_object();
    log_set_level(LOG_WARN);
    rc = kernel_main(&kernel, run, &in);
    if (rc == 0 && in.rc == 0) {
        if (in.json) {
            json_dumpf(in.out, stdout, JSON_INDENT(2));
            printf("\n");
        } else {
            print_text(in.out);
        }
    } else {
        fprintf(stderr, "ringstack inspect: %s\n", in.why[0] ? in.why : error_text(rc ? rc : in.rc));
    }
    json_decref(in.out);
    return rc || in.rc ? 1 : 0;
}
