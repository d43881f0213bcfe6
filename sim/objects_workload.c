/* sim/objects_workload.c - objects as registers. An object's value id is its
 * content type; its bytes follow from the id, so every byte read is checked. */
#include "sim/objects_workload.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "proxy/object/object.h"

COUNTER(sim_objects_read, "Simulator: objects read back whole and compared.");
COUNTER(sim_ranges_read, "Simulator: ranges of objects read back and compared.");
COUNTER(sim_stale_reopened, "Simulator: containers opened again because their configuration changed.");

enum { STEP_MS = 8000, TRIES = 4 };

static const struct slice account = SLICE("acc");

/* What the workload knows of each value: its size, and its ETag once it was computed. */
struct content {
    uint64_t size;
    bool     hashed;
    char     etag[33];
};

struct contents {
    struct content *of;       /* By value id. */
    uint64_t        capacity;
};

static struct content *content_of(struct run *run, uint64_t id)
{
    struct contents *c = run->workload;

    if (!c) {
        c = run->workload = calloc(1, sizeof *c);
        assert(c);
    }
    if (id >= c->capacity) {
        uint64_t capacity = c->capacity ? c->capacity : 256;

        while (capacity <= id)
            capacity *= 2;
        c->of = realloc(c->of, capacity * sizeof *c->of);
        assert(c->of);
        memset(c->of + c->capacity, 0, (capacity - c->capacity) * sizeof *c->of);
        c->capacity = capacity;
    }
    return &c->of[id];
}

void objects_free(struct run *run)
{
    struct contents *c = run->workload;

    if (c)
        free(c->of);
    free(c);
}

/* --- Bytes --- */

static void fill(uint64_t id, uint64_t offset, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint64_t at = offset + i, word = (at / 8 + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ id * UINT64_C(0xD6E8FEB86659FD93);
        size_t   within = at % 8, n = 8 - within < size - i ? 8 - within : size - i;

        word ^= word >> 29;
        memcpy(to + i, (uint8_t *)&word + within, n);
        i += n;
    }
}

static bool matches(uint64_t id, uint64_t offset, struct slice bytes)
{
    uint8_t expected[4096];

    for (size_t at = 0; at < bytes.size; at += sizeof expected) {
        size_t n = bytes.size - at < sizeof expected ? bytes.size - at : sizeof expected;

        fill(id, offset + at, expected, n);
        if (memcmp(expected, bytes.data + at, n) != 0)
            return false;
    }
    return true;
}

/* Sizes around every block that is cut somewhere: inline, checksummed block, unit, segment. */
static uint64_t random_size(struct run *run, const struct policy *policy)
{
    uint64_t blocks[] = { 0, 1, ROW_INLINE_MAX, 64 * 1024, policy_unit(policy), policy_unit(policy) * policy->k };
    uint64_t size;

    if (rng_chance(run_rng(run), 1, 2))
        return rng_below(run_rng(run), 3 * ROW_INLINE_MAX);
    size = blocks[rng_below(run_rng(run), sizeof blocks / sizeof blocks[0])];
    if (rng_chance(run_rng(run), 1, 4) && size < 128 * 1024)
        size *= 3;
    return size + rng_below(run_rng(run), 3) - (size > 0);
}

/* --- Containers: one for each policy; keys alternate. --- */

static const struct policy *policy_of(struct run *run, uint32_t key)
{
    return &run->cluster.policy[key % run->cluster.policies];
}

static struct slice container_name(const struct policy *policy)
{
    return slice_str(policy->name);
}

static struct slice object_name(uint32_t key, char name[16])
{
    return slice_of(name, (size_t)snprintf(name, 16, "key-%04u", key));
}

static int64_t deadline_of(struct life *life)
{
    return env_now(&life->env.env) + STEP_MS * NS_PER_MS;
}

WAITS int objects_prepare(struct run *run, struct life *life)
{
    for (uint32_t i = 0; i < run->cluster.policies; i++) {
        struct config_changes none = { 0 };
        struct error          err;
        bool                  created;
        int                   rc = container_create(life->objects, account, container_name(&run->cluster.policy[i]),
                                                    &run->cluster.policy[i], &none, deadline_of(life), &created, &err);
        if (rc < 0) {
            sim_note(&run->cluster.sim, "no container yet: %s", err.text);
            return rc;
        }
    }
    return 0;
}

static WAITS int open_container(struct run *run, struct life *life, uint32_t key, int64_t deadline,
                                struct container **ret_container)
{
    struct error err;

    return container_open(life->objects, account, container_name(policy_of(run, key)), false, deadline,
                          ret_container, &err);
}

/* As the dialects do: its configuration changed, so it is opened anew. */
static WAITS int reopen(struct run *run, struct life *life, uint32_t key, int64_t deadline,
                        struct container **io_container)
{
    counter_inc(sim_stale_reopened);
    container_forget(life->objects, *io_container);
    *io_container = container_unref(*io_container);
    return open_container(run, life, key, deadline, io_container);
}

/* --- Reading --- */

static uint64_t id_of(struct run *run, const Rs__ObjectMeta *meta)
{
    char     text[24];
    uint64_t id;

    if (!meta || meta->content_type.len == 0 || meta->content_type.len >= sizeof text) {
        sim_fail(&run->cluster.sim, "an object has no content type");
        return 0;
    }
    memcpy(text, meta->content_type.data, meta->content_type.len);
    text[meta->content_type.len] = 0;
    id = strtoull(text, NULL, 10);
    if (id == 0 || id > run->history.values)
        sim_fail(&run->cluster.sim, "an object has the unknown content type '%s'", text);
    return id;
}

/* Reads a part of an object and compares it. */
static WAITS int read_body(struct run *run, struct life *life, const struct object *object, uint64_t id,
                           uint64_t offset, uint64_t size, int64_t deadline)
{
    struct object_body body = { 0 };
    struct slice       bytes;
    struct error       err;
    uint64_t           done = 0;
    int                rc = object_body_open(life->objects, object, offset, size, deadline, &body, &err);

    while (rc == 0) {
        rc = object_body_next(&body, &bytes, &err);
        if (rc < 0 || bytes.size == 0)
            break;
        if (bytes.size > size - done || !matches(id, offset + done, bytes)) {
            sim_fail(&run->cluster.sim, "value %llu: wrong bytes at %llu of %llu", (unsigned long long)id,
                     (unsigned long long)(offset + done), (unsigned long long)object->size);
            rc = -E_CORRUPT;
            break;
        }
        done += bytes.size;
    }
    object_body_close(&body);
    if (rc == 0 && done != size) {
        sim_fail(&run->cluster.sim, "value %llu: only %llu bytes of %llu came", (unsigned long long)id,
                 (unsigned long long)done, (unsigned long long)size);
        rc = -E_CORRUPT;
    }
    if (rc < 0)
        sim_note(&run->cluster.sim, "value %llu can't be read: %s", (unsigned long long)id, err.text);
    return rc;
}

static WAITS int do_get(struct run *run, struct life *life, uint32_t client, uint32_t key, bool whole)
{
    int64_t           deadline = deadline_of(life);
    struct container *container = NULL;
    struct object     object;
    struct arena      arena;
    struct error      err;
    char              name[16];
    uint64_t          id = 0;
    uint32_t          op = run_begin(run, client, key, HISTORY_READ, 0, 0);
    int               rc = open_container(run, life, key, deadline, &container);

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    if (rc == 0)
        rc = object_read(life->objects, container, object_name(key, name), ROW_FULL, deadline, &arena, &object, &err);
    for (int i = 0; rc == -E_STALE && i < TRIES; i++) {
        rc = reopen(run, life, key, deadline, &container);
        if (rc == 0)
            rc = object_read(life->objects, container, object_name(key, name), ROW_FULL, deadline, &arena, &object,
                             &err);
    }
    if (rc == 0) {
        id = id_of(run, object.meta);
        if (id != 0 && object.size != content_of(run, id)->size)
            sim_fail(&run->cluster.sim, "value %llu has %llu bytes, not %llu", (unsigned long long)id,
                     (unsigned long long)object.size, (unsigned long long)content_of(run, id)->size);
    }
    /* The register is what the row said. The bytes come after, and may be gone: overwritten and collected. */
    run_end(run, op, rc == 0 || rc == -ENOENT ? HISTORY_OK : HISTORY_OPEN, id, rc);
    if (rc == 0 && !sim_failed(&run->cluster.sim)) {
        uint64_t offset = whole ? 0 : rng_below(run_rng(run), object.size + 1);
        uint64_t size = whole ? object.size : rng_below(run_rng(run), object.size - offset + 1);

        rc = read_body(run, life, &object, id, offset, size, deadline);
        if (rc == 0 && whole)
            counter_inc(sim_objects_read);
        else if (rc == 0)
            counter_inc(sim_ranges_read);
    }
    arena_done(&arena);
    container_unref(container);
    return rc == -ENOENT ? 0 : rc;
}

/* --- Writing --- */

static WAITS int send_body(struct run *run, struct object_put *put, uint64_t id, uint64_t size, struct error *err)
{
    uint64_t done = 0;
    int      rc = 0;

    while (rc == 0 && done < size) {
        uint8_t *to;
        size_t   room, n;

        rc = object_put_room(put, &to, &room, err);
        if (rc < 0)
            break;
        n = size - done < room ? size - done : room;
        /* As from a socket: in pieces. */
        if (rng_chance(run_rng(run), 1, 3))
            n = 1 + rng_below(run_rng(run), n);
        fill(id, done, to, n);
        rc = object_put_filled(put, n, err);
        done += n;
    }
    return rc == 0 ? object_put_end(put, err) : rc;
}

static enum history_outcome outcome_of(int rc)
{
    return rc == 0 ? HISTORY_OK : rc == -E_CONDITION ? HISTORY_REFUSED : rc == -E_UNAVAILABLE ? HISTORY_NEVER
                                                                                              : HISTORY_OPEN;
}

static WAITS int commit(struct run *run, struct life *life, struct object_put *put, uint32_t key, uint64_t id,
                        const struct object_condition *condition, int64_t deadline, struct container **io_container,
                        struct error *err)
{
    char           type[24];
    Rs__ObjectMeta meta = RS__OBJECT_META__INIT;
    int            rc;

    meta.content_type.len = (size_t)snprintf(type, sizeof type, "%llu", (unsigned long long)id);
    meta.content_type.data = (uint8_t *)type;
    rc = object_put_commit(put, *io_container, &meta, 0, condition, deadline, err);
    for (int i = 0; rc == -E_STALE && i < TRIES; i++) {
        rc = reopen(run, life, key, deadline, io_container);
        if (rc == 0)
            rc = object_put_commit(put, *io_container, &meta, 0, condition, deadline, err);
        else if (rc == -E_UNAVAILABLE)
            rc = -E_UNSURE;
    }
    return rc;
}

/* kind: WRITE, or SWAP with what is expected. */
static WAITS void do_put(struct run *run, struct life *life, uint32_t client, uint32_t key, enum history_kind kind,
                         uint64_t expected)
{
    int64_t                 deadline = deadline_of(life);
    uint64_t                id = history_value(&run->history), size = random_size(run, policy_of(run, key));
    struct object_condition condition = { 0 };
    struct container       *container = NULL;
    struct object_put      *put = NULL;
    struct arena            arena;
    struct error            err = { 0 };
    char                    name[16];
    uint32_t                op;
    int                     rc = open_container(run, life, key, deadline, &container);

    content_of(run, id)->size = size;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    if (rc == 0)
        rc = object_put_new(life->objects, container, object_name(key, name),
                            rng_chance(run_rng(run), 1, 4) ? UINT64_MAX : size, deadline, &arena, &put, &err);
    if (rc == 0)
        rc = send_body(run, put, id, size, &err);
    if (rc == 0) {
        const uint8_t  *md5 = object_put_md5(put);
        struct content *content = content_of(run, id);

        for (int i = 0; i < 16; i++)
            snprintf(content->etag + 2 * i, 3, "%02x", md5[i]);
        content->hashed = true;
        if (kind == HISTORY_SWAP && expected == 0)
            condition.must_be_missing = true;
        else if (kind == HISTORY_SWAP && expected == HISTORY_ANYTHING)
            condition.must_exist = true;
        else if (kind == HISTORY_SWAP) {
            condition.match_count = 1;
            condition.match[0] = slice_str(content_of(run, expected)->etag);
        }
        op = run_begin(run, client, key, kind, id, expected);
        rc = commit(run, life, put, key, id, kind == HISTORY_SWAP ? &condition : NULL, deadline, &container, &err);
        run_end(run, op, outcome_of(rc), 0, rc);
    }
    if (rc < 0 && rc != -E_CONDITION)
        sim_note(&run->cluster.sim, "  put of %llu (%llu bytes): %s", (unsigned long long)id,
                 (unsigned long long)size, err.text);
    object_put_free(put);
    arena_done(&arena);
    container_unref(container);
}

static WAITS void do_delete(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    int64_t           deadline = deadline_of(life);
    struct container *container = NULL;
    struct error      err;
    char              name[16];
    uint32_t          op;
    int               rc = open_container(run, life, key, deadline, &container);

    if (rc < 0)
        return;
    op = run_begin(run, client, key, HISTORY_WRITE, 0, 0);
    rc = object_delete(life->objects, container, object_name(key, name), deadline, &err);
    for (int i = 0; rc == -E_STALE && i < TRIES; i++) {
        rc = reopen(run, life, key, deadline, &container);
        if (rc == 0)
            rc = object_delete(life->objects, container, object_name(key, name), deadline, &err);
        else if (rc == -E_UNAVAILABLE)
            rc = -E_UNSURE;
    }
    run_end(run, op, rc == -ENOENT ? HISTORY_OK : outcome_of(rc), 0, rc);   /* Either way it is gone now. */
    container_unref(container);
}

/* --- Listing: one container, one page; a read of each of its keys. --- */

static WAITS void do_list(struct run *run, struct life *life, uint32_t client)
{
    uint32_t          which = (uint32_t)rng_below(run_rng(run), run->cluster.policies), first = 0, at = 0, n = 0;
    int64_t           deadline = deadline_of(life);
    struct row_range  range = { .limit = run->scenario->keys + 1 };
    struct container *container = NULL;
    struct row_page   page;
    struct arena      arena;
    struct error      err;
    int               rc = open_container(run, life, which, deadline, &container);

    if (rc < 0)
        return;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    for (uint32_t key = which; key < run->scenario->keys; key += run->cluster.policies, n++) {
        uint32_t op = run_begin(run, client, key, HISTORY_READ, 0, 0);

        first = n == 0 ? op : first;
    }
    rc = container_list(life->objects, container, &range, deadline, &arena, &page, &err);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        uint32_t     key = which + i * run->cluster.policies;
        char         name[16];
        uint64_t     id = 0;

        if (at < page.count && slice_equal(page.entries[at].name, object_name(key, name))) {
            ProtobufCBinaryData packed = page.entries[at].value->meta;
            Rs__ObjectMeta     *meta = rs__object_meta__unpack(NULL, packed.len, packed.data);

            id = id_of(run, meta);
            if (meta)
                rs__object_meta__free_unpacked(meta, NULL);
            at++;
        }
        run_end(run, first + i, HISTORY_OK, id, 0);
    }
    if (rc == 0 && at < page.count)
        sim_fail(&run->cluster.sim, "a listing has the name '%.*s' out of place", SLICE_ARG(page.entries[at].name));
    arena_done(&arena);
    container_unref(container);
}

/* A value that some client knows to have been there, with bytes that no other value has. */
static uint64_t last_seen(struct run *run, uint32_t key)
{
    for (uint32_t i = run->history.count; i > 0; i--) {
        const struct history_op *op = &run->history.ops[i - 1];

        if (op->key == key && op->outcome == HISTORY_OK && op->value != 0 && content_of(run, op->value)->hashed &&
            content_of(run, op->value)->size >= 16)
            return op->value;
    }
    return HISTORY_ANYTHING;
}

WAITS void objects_step(struct run *run, struct life *life, uint32_t client)
{
    uint32_t key = (uint32_t)rng_below(run_rng(run), run->scenario->keys);

    switch (rng_below(run_rng(run), 12)) {
    case 0: case 1: case 2:
        do_put(run, life, client, key, HISTORY_WRITE, 0);
        break;
    case 3:
        do_put(run, life, client, key, HISTORY_SWAP, 0);
        break;
    case 4:
        do_put(run, life, client, key, HISTORY_SWAP, last_seen(run, key));
        break;
    case 5: case 6:
        do_delete(run, life, client, key);
        break;
    case 7: case 8:
        do_list(run, life, client);
        break;
    default:
        do_get(run, life, client, key, rng_chance(run_rng(run), 1, 2));
    }
}

WAITS int objects_verify(struct run *run, struct life *life, uint32_t key)
{
    return do_get(run, life, UINT32_MAX, key, true);
}

/* --- What is stored, against what is named. --- */

enum { NAMED_MAX = 256 };

struct stored {
    uint8_t  named[NAMED_MAX][BLOB_ID_BYTES];
    uint32_t named_count, orphans;
    uint8_t  last[BLOB_ID_BYTES];
};

static WAITS int add_named(struct run *run, struct life *life, uint32_t key, struct stored *stored)
{
    int64_t           deadline = deadline_of(life);
    struct container *container = NULL;
    struct object     object;
    struct arena      arena;
    char              name[16];
    int               rc = open_container(run, life, key, deadline, &container);

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    if (rc == 0)
        rc = object_read(life->objects, container, object_name(key, name), ROW_META, deadline, &arena, &object, NULL);
    for (size_t i = 0; rc == 0 && i < object.value->n_extents; i++) {
        assert(stored->named_count < NAMED_MAX && object.value->extents[i]->blob.len == BLOB_ID_BYTES);
        memcpy(stored->named[stored->named_count++], object.value->extents[i]->blob.data, BLOB_ID_BYTES);
    }
    arena_done(&arena);
    container_unref(container);
    return rc == -ENOENT ? 0 : rc;
}

static bool count_orphan(void *arg, struct slice key, struct slice value)
{
    struct stored *s = arg;

    (void)value;
    if (key.size < 1 + BLOB_ID_BYTES || memcmp(s->last, key.data + 1, BLOB_ID_BYTES) == 0)
        return true;
    memcpy(s->last, key.data + 1, BLOB_ID_BYTES);
    for (uint32_t i = 0; i < s->named_count; i++)
        if (memcmp(s->named[i], s->last, BLOB_ID_BYTES) == 0)
            return true;
    s->orphans++;
    return true;
}

WAITS int objects_orphans(struct run *run, struct life *life)
{
    struct stored *stored = calloc(1, sizeof *stored);
    int            rc = stored ? 0 : -ENOMEM;

    for (uint32_t key = 0; key < run->scenario->keys && rc == 0; key++)
        rc = add_named(run, life, key, stored);
    for (uint32_t i = 1; i <= run->scenario->options.nodes && rc == 0; i++) {
        const struct life *other = run->cluster.node[i].life;

        memset(stored->last, 0, sizeof stored->last);
        if (other && other->up && other->device->state == DEVICE_IN_SERVICE)
            rc = kv_scan(other->device->kv, SLICE("b"), SLICE("c"), false, count_orphan, stored);
    }
    if (rc == 0)
        rc = (int)stored->orphans;
    free(stored);
    return rc;
}
