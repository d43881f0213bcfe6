/* proxy/object/upload_complete.c - parts become an object, once.
 *
 *   OPEN --- the parts are checked, the condition is judged on the head ---> COMPLETING {meta, table, head's ballot}
 *    |  ^                                                                        |
 *    |  '---- the head is another one by now: judge again ----------------------'|
 *    '--- abort ---> gone <--- its row is erased --- the head names the upload <-'
 *
 * Each arrow is a conditional write of the upload's row or of the head, so calls may be repeated and raced: whoever
 * meets COMPLETING ends it. What has to be told apart when the head is neither the one that was judged nor this
 * upload's object:
 *   not done yet        the decision is taken back, and the caller judges anew.
 *   done and replaced   the upload is over.
 * Only one who wrote the row himself and saw it unchanged afterwards is sure that nobody else tried; and where versions
 * are kept, a head that names an upload is not replaced before the upload's row is erased, so its being there means "not
 * done". Else (no versioning, a try of unknown outcome, and another write since) nobody can tell: the upload ends, and
 * the answer is -E_UNSURE. */
#include <openssl/evp.h>

#include "base/counter.h"
#include "proxy/object/checksum.h"
#include "proxy/object/put_private.h"
#include "proxy/object/upload.h"
#include "storage/mutant.h"

COUNTER(upload_completed, "Multipart uploads that became objects.");
COUNTER(upload_resumed, "Completions of uploads that another call had decided.");
COUNTER(upload_ambiguous, "Completions of which nobody can tell whether they took effect before another write.");

enum { PARTS_ARENA = 96 * 1024 * 1024, TABLE_INLINE = ROW_INLINE_MAX };

/* --- The parts. --- */

struct gathered {
    Rs__Part    *part;
    Rs__Extent **extents;
    size_t       extent_count;
    uint32_t     number;
    struct slice suffix;
};
struct gathering {
    struct arena    *arena;
    struct gathered *parts;
    uint32_t         count;
};

static int gather(void *ctx, const struct row_entry *e, uint32_t number, struct slice suffix)
{
    struct gathering  *g = ctx;
    ProtobufCAllocator allocator = arena_allocator(g->arena);
    Rs__Part          *part = rs__part__unpack(&allocator, e->value->meta.len, e->value->meta.data);

    if (!part || part->etag.len != 16 || number > PART_NUMBER_MAX)
        return -E_CORRUPT;
    if (g->count == 0 || g->parts[g->count - 1].number != number)
        g->count++;   /* Rows of one number come oldest first: the last one counts. */
    g->parts[g->count - 1] = (struct gathered) { part, e->value->extents, e->value->n_extents, number, suffix };
    return 0;
}

struct completion {
    struct name_work               *w;
    const uint8_t                  *id;
    const struct complete_request  *request;
    uint32_t                        wrong;
    struct arena                    parts;      /* Of the table and what it comes from. */
    bool                            prepared, decided;
    Rs__PartTable                   table;
    Rs__ObjectMeta                 *meta;       /* What the object will have. */
    struct slice                    packed;     /* The table; empty when it is a row of its own. */
    uint64_t                        stored;
    uint8_t                         etag[16], version[VERSION_BYTES], suffix[PART_SUFFIX_BYTES];
};

static int entry_of(struct completion *c, const struct complete_part *want, const struct gathered *g, uint32_t kind,
                    Rs__PartEntry **ret_entry, struct error *err)
{
    Rs__PartEntry *entry = arena_new(&c->parts, Rs__PartEntry);

    c->wrong = want->number;
    if (!g || memcmp(g->part->etag.data, want->etag, 16) != 0)
        return error_set(err, -EINVAL, "part %u is not there, or has another ETag", want->number);
    if (want->checksum.size && !slice_equal(want->checksum, pb_slice(g->part->checksum)))
        return error_set(err, -EINVAL, "part %u has another checksum", want->number);
    if (kind && g->part->checksum_kind != kind)
        return error_set(err, -EINVAL, "part %u has no checksum of the upload's kind", want->number);
    if (!entry)
        return error_set(err, -ENOMEM, "out of memory");
    rs__part_entry__init(entry);
    entry->number = want->number;
    entry->size = g->part->size;
    entry->etag = g->part->etag;
    entry->checksum = g->part->checksum;
    entry->suffix = pb_data(g->suffix);
    entry->extents = g->extents;
    entry->n_extents = g->extent_count;
    entry->encryption = g->part->encryption;
    for (size_t i = 0; i < g->extent_count; i++)
        entry->stored += g->extents[i]->size;
    *ret_entry = entry;
    return 0;
}

/* The parts that the request names, of those that are there. */
static int choose(struct completion *c, const struct gathering *g, uint32_t kind, struct error *err)
{
    const struct complete_request *rq = c->request;
    uint64_t size_min = c->w->service->options.part_size_min ? c->w->service->options.part_size_min : PART_SIZE_MIN;
    uint32_t at = 0;

    rs__part_table__init(&c->table);
    c->table.parts = arena_array(&c->parts, Rs__PartEntry *, rq->count + 1);
    if (!c->table.parts)
        return error_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < rq->count; i++) {
        const struct complete_part *want = &rq->parts[i];
        Rs__PartEntry              *entry = NULL;
        int                         rc;

        while (at < g->count && g->parts[at].number < want->number)
            at++;
        rc = entry_of(c, want, at < g->count && g->parts[at].number == want->number ? &g->parts[at] : NULL, kind, &entry, err);
        if (rc == 0 && i > 0 && want->number <= rq->parts[i - 1].number)
            rc = error_set(err, -EINVAL, "the parts are not in order");
        if (rc)
            return rc;
        if (i + 1 < rq->count && entry->size < size_min)
            return error_set(err, -E_LIMIT, "part %u is too small", want->number);
        c->meta->parts_size += entry->size;
        c->stored += entry->stored;
        c->table.parts[c->table.n_parts++] = entry;
    }
    c->wrong = 0;
    if (rq->count == 0)
        return error_set(err, -EINVAL, "an upload has at least one part");
    if (c->meta->parts_size > UPLOAD_SIZE_MAX)
        return error_set(err, -E_LIMIT, "an object has at most %llu bytes", (unsigned long long)UPLOAD_SIZE_MAX);
    if (rq->size != UINT64_MAX && rq->size != c->meta->parts_size)
        return error_set(err, -E_CORRUPT, "the parts have another size than was announced");
    return 0;
}

/* MD5 of the parts' MD5s. */
static int etag_of(struct completion *c, struct error *err)
{
    EVP_MD_CTX *md5 = EVP_MD_CTX_new();
    unsigned    size = 0;
    char        hex[33];
    struct slice tag;
    bool        ok = md5 && EVP_DigestInit_ex(md5, EVP_md5(), NULL) == 1;

    for (size_t i = 0; ok && i < c->table.n_parts; i++)
        ok = EVP_DigestUpdate(md5, c->table.parts[i]->etag.data, 16) == 1;
    ok = ok && EVP_DigestFinal_ex(md5, c->etag, &size) == 1;
    EVP_MD_CTX_free(md5);
    if (!ok)
        return error_set(err, -ENOMEM, "MD5 fails");
    c->meta->etag = pb_data(slice_of(c->etag, 16));
    c->meta->part_count = (uint32_t)c->table.n_parts;
    c->meta->manifest_etag = pb_data(SLICE_NONE);
    object_etag(c->meta, hex, &tag);
    char *text = arena_printf(&c->parts, "%s-%u", hex, c->meta->part_count);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    c->meta->manifest_etag = pb_data(slice_str(text));
    return 0;
}

/* Of the whole, from the parts': combined, or a checksum of checksums. */
static int checksum_of(struct completion *c, struct error *err)
{
    enum checksum_kind kind = (enum checksum_kind)c->meta->checksum_kind;
    uint8_t           *value = arena_alloc(&c->parts, CHECKSUM_BYTES_MAX);
    size_t             size = checksum_size(kind);
    struct checksum    sum;

    if (size == 0)
        return 0;
    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    checksum_init(&sum, kind);
    if (!c->meta->checksum_composite && !checksum_is_crc(kind))
        return error_set(err, -EINVAL, "only CRCs of parts give one of the whole object");
    for (size_t i = 0; i < c->table.n_parts; i++) {
        const Rs__PartEntry *e = c->table.parts[i];

        if (e->checksum.len != size) {
            c->wrong = e->number;
            return error_set(err, -EINVAL, "part %u has no checksum", e->number);
        }
        if (c->meta->checksum_composite)
            checksum_add(&sum, e->checksum.data, size);
        else if (i == 0)
            memcpy(value, e->checksum.data, size);
        else
            checksum_combine(kind, value, e->checksum.data, e->size);
    }
    if (c->meta->checksum_composite)
        checksum_end(&sum, value);
    c->meta->checksum = pb_data(slice_of(value, size));
    if (c->request->checksum.size && !slice_equal(c->request->checksum, slice_of(value, size)))
        return error_set(err, -E_CORRUPT, "the object has another checksum than was announced");
    return 0;
}

/* --- The table's place. --- */

/* Too long for the object's row: a row of the group, as the parts are, with the number 0. */
WAITS static int table_store(struct completion *c, struct slice packed, struct error *err)
{
    struct name_work   *w = c->w;
    struct blob_writer *writer = NULL;
    Rs__Part            part = RS__PART__INIT;
    Rs__Extent        **extents = NULL;
    uint8_t             newest[PART_SUFFIX_BYTES] = { 0 };
    struct row_name     row;
    struct slice        name, rest = packed;
    size_t              count = 0;
    int                 rc;

    part_suffix(w->service, newest, c->suffix);
    name = name_part(&row, c->id, 0, c->suffix);
    rc = blob_writer_new(w->service->options.blobs, w->container->policy, &w->held.shard, name, w->deadline, &writer, err);
    while (rc == 0 && rest.size) {
        size_t      n = rest.size < REPLICA_CHUNK_BYTES ? rest.size : REPLICA_CHUNK_BYTES;
        struct buf *buf = buf_new((uint32_t)n);

        if (!buf) {
            rc = error_set(err, -ENOMEM, "out of memory");
            break;
        }
        memcpy(buf->data, rest.data, n);
        rc = blob_write(writer, buf, 0, (uint32_t)n, err);
        buf_unref(buf);
        rest = slice_from(rest, n);
    }
    if (rc == 0)
        rc = blob_writer_finish(writer, &c->parts, &extents, &count, err);
    part.size = packed.size;
    part.modified_us = service_now_us(w->service);
    if (rc == 0)
        rc = part_write(w->service, &w->held.shard, name, &part, extents, count, w->deadline, &c->parts, err);
    blob_writer_free(writer);
    if (rc == 0)
        c->meta->table_suffix = pb_data(slice_of(c->suffix, sizeof c->suffix));
    return rc;
}

WAITS static int table_place(struct completion *c, struct error *err)
{
    size_t size = rs__part_table__get_packed_size(&c->table);

    if (size > UPLOAD_TABLE_BYTES_MAX)
        return error_set(err, -E_LIMIT, "the object has too many pieces");
    struct slice packed = pack_in(&c->parts, &c->table.base);
    if (!packed.data)
        return error_set(err, -ENOMEM, "out of memory");
    if (size > TABLE_INLINE)
        return table_store(c, packed, err);
    c->packed = packed;
    return 0;
}

WAITS static int quota_of(struct completion *c, struct error *err)
{
    uint64_t room;

    return put_quota(c->w->service, c->w->container, c->meta->parts_size, c->w->deadline, &room, err);
}

/* Everything about the object that does not depend on what it replaces. */
WAITS static int prepare(struct completion *c, const Rs__Upload *upload, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(&c->parts);
    struct slice       packed = pack_in(&c->parts, &upload->meta->base);
    struct gathering   g = { .arena = &c->parts };
    int                rc;

    if (c->prepared)
        return 0;
    c->meta = packed.data ? rs__object_meta__unpack(&allocator, packed.size, packed.data) : NULL;
    g.parts = arena_array(&c->parts, struct gathered, PART_NUMBER_MAX + 1);
    if (!c->meta || !g.parts)
        return error_set(err, -ENOMEM, "out of memory");
    c->meta->parts_size = 0;
    rc = upload_each_part(c->w->service, &c->w->held.shard, c->id, 0, c->w->deadline, &c->parts, gather, &g, err);
    if (rc)
        return rc;
    rc = choose(c, &g, c->meta->checksum_kind, err);
    if (rc == 0)
        rc = etag_of(c, err);
    if (rc == 0)
        rc = checksum_of(c, err);
    if (rc == 0)
        rc = quota_of(c, err);
    if (rc == 0)
        rc = table_place(c, err);
    c->meta->upload = pb_data(slice_of(c->id, UPLOAD_ID_BYTES));
    c->meta->modified_us = service_now_us(c->w->service);
    lock_default(c->w->container, c->meta);
    c->prepared = rc == 0;
    return rc;
}

/* --- The upload's row and the head. --- */

static struct slice upload_name(const struct name_work *w, const uint8_t *id, struct row_name *row)
{
    return name_upload(row, w->name, id);
}

struct upload_swap {
    struct ballot       expect;
    const Rs__RowValue *value;
};

static int upload_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                         struct error *err)
{
    const struct upload_swap *swap = ctx;
    Rs__RowValue             *value = arena_new(arena, Rs__RowValue);

    if (!now->exists || ballot_compare(now->ballot, swap->expect) != 0)
        return error_set(err, -EAGAIN, "the upload was changed meanwhile");
    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    *value = *swap->value;
    *ret_value = value;
    return 0;
}

/* The upload's row becomes this one; *io_ballot: the one that is there, then the new one's. -EAGAIN. */
WAITS static int upload_swap(struct name_work *w, const uint8_t *id, const Rs__Upload *upload, struct slice table,
                             struct ballot *io_ballot, struct error *err)
{
    Rs__RowValue       value = RS__ROW_VALUE__INIT;
    struct upload_swap swap = { *io_ballot, &value };
    struct slice       packed = pack_in(&w->arena, &upload->base);
    struct row_name    row;
    int                rc;

    value.meta = pb_data(packed);
    value.data = pb_data(table);
    value.extents = group_extent(id, &w->arena);
    value.n_extents = 1;
    if (!packed.data || !value.extents)
        return error_set(err, -ENOMEM, "out of memory");
    rc = row_update(w->service->options.rows, &w->held.shard, upload_name(w, id, &row), upload_decide, &swap, w->deadline,
                    &w->arena, NULL, io_ballot, err);
    return rc;
}

/* The object takes the head's place. 0; -EAGAIN: certainly not. */
WAITS static int head_take(struct name_work *w, const struct head *head, const uint8_t *id, Rs__ObjectMeta *meta,
                           struct slice table, uint64_t stored, struct error *err)
{
    Rs__RowValue value = RS__ROW_VALUE__INIT;

    value.data = pb_data(table);
    value.extents = group_extent(id, &w->arena);
    value.n_extents = 1;
    value.size = stored;
    value.counted = true;
    if (!value.extents)
        return error_set(err, -ENOMEM, "out of memory");
    if (w->container->config->versioning == VERSIONING_OFF)
        return head_swap(w, head, &value, meta, err);
    return version_replace(w, head, &value, meta, err);
}

/* The head names the upload: its row has done its work. What fails here is made up for later. */
WAITS static void upload_over(struct name_work *w, const uint8_t *id)
{
    struct row_name row;

    (void)row_erase(w->service, &w->held.shard, upload_name(w, id, &row), w->deadline, NULL);
    stats_dirty(w->service, w->container);
    counter_inc(upload_completed);
}

static int keep_meta(const Rs__ObjectMeta *meta, struct arena *arena, Rs__ObjectMeta **ret_meta, struct error *err)
{
    ProtobufCAllocator allocator;
    struct slice       packed;

    if (!ret_meta)
        return 0;
    allocator = arena_allocator(arena);
    packed = pack_in(arena, &meta->base);
    *ret_meta = packed.data ? rs__object_meta__unpack(&allocator, packed.size, packed.data) : NULL;
    return *ret_meta ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static bool head_is(const struct head *head, const uint8_t *id)
{
    return head->meta && head->meta->upload.len == UPLOAD_ID_BYTES &&
           memcmp(head->meta->upload.data, id, UPLOAD_ID_BYTES) == 0;
}

/* The decision can't be carried out any more, if it has not been. Where versions were kept already when it was taken it
 * certainly has not: the upload opens again. Else nobody can tell. */
WAITS static int take_back(struct name_work *w, const uint8_t *id, const struct upload_state *u, struct error *err)
{
    Rs__Upload      open = *u->upload;
    struct ballot   ballot = u->row.ballot;
    struct row_name row;
    int             rc;

    if (u->upload->meta->version.len != VERSION_BYTES) {
        rc = row_erase_if(w->service->options.rows, &w->held.shard, upload_name(w, id, &row), ballot, w->deadline, err);
        if (rc == 0)
            counter_inc(upload_ambiguous);
        return rc == -E_CONDITION ? -EAGAIN : rc ? rc : -ESTALE;
    }
    open.state = RS__UPLOAD__STATE__OPEN;
    open.state_us = service_now_us(w->service);
    open.meta->upload = open.meta->checksum = open.meta->table_suffix = pb_data(SLICE_NONE);
    open.meta->version = open.meta->manifest_etag = pb_data(SLICE_NONE);
    rc = upload_swap(w, id, &open, SLICE_NONE, &ballot, err);
    return rc ? rc : -EAGAIN;
}

/* Ends a decision that some call took. 0; -EAGAIN: look again; -ENOENT; -ESTALE: the upload is over, and nobody can
 * tell whether it became the object for a moment. */
WAITS static int finish_as(struct name_work *w, const uint8_t *id, const struct upload_state *u,
                           Rs__ObjectMeta **ret_meta, struct arena *arena, struct error *err)
{
    struct slice  table;
    struct head   head;
    struct ballot ballot;
    int           rc = head_settled(w, &head, err);

    if (rc)
        return rc;
    if (head_is(&head, id)) {
        upload_over(w, id);
        return keep_meta(head.meta, arena, ret_meta, err);
    }
    if (!u->upload)
        return error_set(err, -ENOENT, "there is no such upload");
    if (u->upload->state != RS__UPLOAD__STATE__COMPLETING)
        return -EAGAIN;
    counter_inc(upload_resumed);
    ballot = (struct ballot) { u->upload->head_time, u->upload->head_node };
    if (ballot_compare(ballot, head.row.ballot) != 0 && !mutant(MUTANT_COMPLETE_AGAIN))
        return take_back(w, id, u, err);
    /* Whoever else tries sees by the row that he is not alone. */
    ballot = u->row.ballot;
    table = pb_slice(u->row.value->data);
    rc = upload_swap(w, id, u->upload, table, &ballot, err);
    if (rc == 0)
        rc = head_take(w, &head, id, u->upload->meta, table, u->upload->stored, err);
    if (rc)
        return rc;
    upload_over(w, id);
    return keep_meta(u->upload->meta, arena, ret_meta, err);
}

WAITS int upload_finish(struct name_work *w, const uint8_t id[UPLOAD_ID_BYTES], Rs__ObjectMeta **ret_meta,
                        struct arena *arena, struct error *err)
{
    struct upload_state u;
    struct row_name     row;
    struct arena        own;
    int                 rc;

    arena_init(&own, CONTAINER_ARENA_MAX);   /* The work's is emptied between tries. */
    rc = upload_state_read(w->service, &w->held.shard, upload_name(w, id, &row), w->deadline, &own, &u, err);
    if (rc == 0)
        rc = finish_as(w, id, &u, ret_meta, arena, err);
    arena_done(&own);
    return rc;
}

/* --- The whole. --- */

static bool table_has(const Rs__PartTable *table, size_t *at, uint32_t number, struct slice suffix)
{
    while (*at < table->n_parts && table->parts[*at]->number < number)
        ++*at;
    return *at < table->n_parts && table->parts[*at]->number == number &&
           slice_equal(pb_slice(table->parts[*at]->suffix), suffix);
}

/* Parts that were not chosen would stay as long as the object: they go now. */
WAITS static void parts_trim(struct completion *c)
{
    struct name_work *w = c->w;
    struct row_range  range = { .limit = UPLOAD_PAGE, .uncounted = true };
    struct row_page   page = { .more = true };
    struct row_name   all, begin;
    struct arena      arena;
    size_t            at = 0;

    range.prefix = name_parts(&all, c->id, -1);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    while (page.more) {
        arena_reset(&arena);
        if (row_list(w->service->options.rows, &w->held.shard, &range, w->deadline, &arena, &page, NULL) || page.count == 0)
            break;
        for (uint32_t i = 0; i < page.count; i++) {
            struct slice object, suffix = SLICE_NONE;
            uint8_t      id[16];
            uint32_t     number = 0;

            if (name_parse(page.entries[i].name, &object, id, &number, &suffix) == ROW_PART &&
                !(number == 0 && slice_equal(suffix, pb_slice(c->meta->table_suffix))) &&
                !table_has(&c->table, &at, number, suffix))
                (void)row_erase(w->service, &w->held.shard, page.entries[i].name, w->deadline, NULL);
        }
        struct slice last = page.entries[page.count - 1].name;
        memcpy(begin.bytes, last.data, last.size);
        range.after = slice_of(begin.bytes, last.size);
    }
    arena_done(&arena);
}

/* Judges, decides, and carries it out; again while others change the object. '*u' is OPEN. */
WAITS static int decide_and_take(struct completion *c, struct upload_state *u, struct error *err)
{
    struct name_work *w = c->w;
    struct ballot     ballot = u->row.ballot;
    Rs__Upload        upload = *u->upload;
    struct head       head;
    bool              mine = false;
    int               rc;

    upload.meta = c->meta;
    upload.stored = c->stored;
    for (int tries = 0;; tries++) {
        c->meta->null_key = pb_data(SLICE_NONE);   /* It was of the try before. */
        rc = head_settled(w, &head, err);
        if (rc == 0)
            rc = condition_judge(c->request->condition, head.present, head.meta, head.row.exists ? head.row.value->size : 0,
                                 err);
        if (rc == -E_CONDITION && mine) {
            /* Nobody else has tried, as the row is still the one that was written here: it opens again. */
            upload = *u->upload;
            int back = upload_swap(w, c->id, &upload, SLICE_NONE, &ballot, NULL);
            return back ? back : rc;
        }
        if (rc)
            return rc;
        if (w->container->config->versioning != VERSIONING_OFF)
            version_stamp(w, &head, c->meta, c->version);
        upload.state = RS__UPLOAD__STATE__COMPLETING;
        upload.state_us = service_now_us(w->service);
        upload.head_time = head.row.ballot.time;
        upload.head_node = head.row.ballot.node;
        rc = upload_swap(w, c->id, &upload, c->packed, &ballot, err);
        if (rc)
            return rc;
        mine = c->decided = true;
        rc = head_take(w, &head, c->id, c->meta, c->packed, c->stored, err);
        if (rc != -EAGAIN)
            return rc;
        rc = work_again(w, tries, err);
        if (rc)
            return rc;
    }
}

WAITS static int complete_once(struct completion *c, struct arena *arena, Rs__ObjectMeta **ret_meta, struct error *err)
{
    struct name_work   *w = c->w;
    struct upload_state u;
    struct row_name     row;
    struct arena        own;
    int                 rc;

    /* It is needed over several tries, which empty the work's arena. */
    arena_init(&own, CONTAINER_ARENA_MAX);
    rc = upload_state_read(w->service, &w->held.shard, upload_name(w, c->id, &row), w->deadline, &own, &u, err);
    if (rc == 0 && u.upload && u.upload->state == RS__UPLOAD__STATE__OPEN) {
        rc = prepare(c, u.upload, err);
        if (rc == 0)
            rc = decide_and_take(c, &u, err);
        if (rc == 0) {
            upload_over(w, c->id);
            parts_trim(c);
            rc = keep_meta(c->meta, arena, ret_meta, err);
        }
    } else if (rc == 0) {
        c->decided = c->decided || u.upload;
        rc = upload_finish(w, c->id, ret_meta, arena, err);
    }
    arena_done(&own);
    return rc;
}

int upload_complete(struct object_service *s, struct container *container, struct slice name,
                    const uint8_t id[UPLOAD_ID_BYTES], const struct complete_request *request, int64_t deadline,
                    struct arena *arena, Rs__ObjectMeta **ret_meta, uint32_t *ret_wrong, struct error *err)
{
    struct name_work  w;
    struct completion c = { .w = &w, .id = id, .request = request };
    int               rc = work_begin(&w, s, container, name, deadline, err);

    if (rc)
        return rc == -EINVAL ? -ENOENT : rc;
    if (request->count > PART_NUMBER_MAX) {
        work_end(&w);
        return error_set(err, -E_LIMIT, "an upload has at most %d parts", PART_NUMBER_MAX);
    }
    arena_init(&c.parts, PARTS_ARENA);
    for (int tries = 0;; tries++) {
        rc = complete_once(&c, arena, ret_meta, err);
        if (rc != -EAGAIN)
            break;
        rc = work_again(&w, tries, err);
        if (rc)
            break;
    }
    /* Once it was decided, somebody may still carry it out. */
    if (c.decided && (rc == -E_UNAVAILABLE || rc == -ETIMEDOUT || rc == -ENOMEM))
        rc = -E_UNSURE;
    if (rc == -ESTALE)
        rc = error_set(err, -E_UNSURE, "nobody can tell whether the upload became the object before another took its place");
    if (rc == -EINVAL || rc == -E_LIMIT)
        *ret_wrong = c.wrong;
    arena_done(&c.parts);
    work_end(&w);
    return gone_is_stale(rc);
}
