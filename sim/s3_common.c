/* sim/s3_common.c - see s3_common.h. */
#include "sim/s3_common.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"

COUNTER(sim_s3_bodies, "Simulator: bodies of S3 objects read back whole and compared.");

static const struct slice account = SLICE("acc");

struct s3_value *s3_value_of(struct s3_values *v, uint64_t id)
{
    if (id >= v->capacity) {
        uint64_t capacity = v->capacity ? v->capacity : 256;

        while (capacity <= id)
            capacity *= 2;
        v->of = realloc(v->of, capacity * sizeof *v->of);
        assert(v->of);
        memset(v->of + v->capacity, 0, (capacity - v->capacity) * sizeof *v->of);
        v->capacity = capacity;
    }
    return &v->of[id];
}

void s3_values_done(struct s3_values *values)
{
    free(values->of);
}

void s3_fill(uint64_t id, uint64_t offset, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint64_t at = offset + i, word = (at / 8 + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ id * UINT64_C(0xD6E8FEB86659FD93);
        size_t   within = at % 8, n = 8 - within < size - i ? 8 - within : size - i;

        word ^= word >> 29;
        memcpy(to + i, (uint8_t *)&word + within, n);
        i += n;
    }
}

/* --- Operations. --- */

WAITS int s3_go(struct s3_going *g, struct run *run, struct life *life, struct s3_values *values,
                const char *container, uint32_t key)
{
    *g = (struct s3_going) { .run = run, .life = life, .values = values, .container_name = slice_str(container),
                             .deadline = env_now(&life->env.env) + S3_STEP_MS * NS_PER_MS };
    g->name = slice_of(g->text, (size_t)snprintf(g->text, sizeof g->text, "key-%04u", key));
    arena_init(&g->arena, 32 * 1024 * 1024);
    return container_open(life->objects, account, g->container_name, false, g->deadline, &g->container, NULL);
}

void s3_going_ends(struct s3_going *g)
{
    container_unref(g->container);
    arena_done(&g->arena);
}

WAITS int s3_reopen(struct s3_going *g)
{
    if (g->container)
        container_forget(g->life->objects, g->container);
    g->container = container_unref(g->container);
    return container_open(g->life->objects, account, g->container_name, false, g->deadline, &g->container, NULL);
}

enum history_outcome s3_outcome(int rc)
{
    return rc == 0 ? HISTORY_OK : rc == -E_CONDITION ? HISTORY_REFUSED : rc == -E_UNAVAILABLE ? HISTORY_NEVER
                                                                                              : HISTORY_OPEN;
}

/* --- Values. --- */

uint64_t s3_id_of(struct run *run, const Rs__ObjectMeta *meta)
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

void s3_set_id(Rs__ObjectMeta *meta, uint64_t id, char text[24])
{
    meta->content_type.len = (size_t)snprintf(text, 24, "%llu", (unsigned long long)id);
    meta->content_type.data = (uint8_t *)text;
}

void s3_note_tag(struct s3_values *values, uint64_t id, const Rs__ObjectMeta *meta)
{
    struct s3_value *value = s3_value_of(values, id);
    struct slice     tag;
    char             hex[33];

    object_etag(meta, hex, &tag);
    if (tag.size < sizeof value->etag) {
        memcpy(value->etag, tag.data, tag.size);
        value->etag[tag.size] = 0;
    }
}

uint64_t s3_random_size(struct run *run)
{
    static const uint64_t sizes[] = { 0, 1, 100, ROW_INLINE_MAX, ROW_INLINE_MAX + 1, 70000 };

    return rng_chance(run_rng(run), 1, 2) ? rng_below(run_rng(run), 20000)
                                          : sizes[rng_below(run_rng(run), sizeof sizes / sizeof *sizes)];
}

static bool matches(uint64_t id, uint64_t offset, struct slice bytes)
{
    uint8_t expected[4096];

    for (size_t at = 0; at < bytes.size; at += sizeof expected) {
        size_t n = bytes.size - at < sizeof expected ? bytes.size - at : sizeof expected;

        s3_fill(id, offset + at, expected, n);
        if (memcmp(expected, bytes.data + at, n) != 0)
            return false;
    }
    return true;
}

WAITS int s3_check_body(struct s3_going *g, const struct object *object, uint64_t id)
{
    const struct s3_value value = *s3_value_of(g->values, id);
    struct object_body    body = { 0 };
    struct slice          bytes = SLICE_NONE;
    uint64_t              done = 0;
    int                   rc;

    if (object->size != value.size)
        sim_fail(&g->run->cluster.sim, "value %llu has %llu bytes, not %llu", (unsigned long long)id,
                 (unsigned long long)object->size, (unsigned long long)value.size);
    rc = object_body_open(g->life->objects, object, 0, object->size, g->deadline, &body, NULL);
    while (rc == 0) {
        rc = object_body_next(&body, &bytes, NULL);
        if (rc < 0 || bytes.size == 0)
            break;
        if (bytes.size > value.size - done || !matches(value.bytes, done, bytes))
            sim_fail(&g->run->cluster.sim, "value %llu: wrong bytes at %llu of %llu", (unsigned long long)id,
                     (unsigned long long)done, (unsigned long long)value.size);
        if (sim_failed(&g->run->cluster.sim))
            rc = -E_CORRUPT;
        done += bytes.size;
    }
    object_body_close(&body);
    if (rc == 0 && done != value.size)
        sim_fail(&g->run->cluster.sim, "value %llu: only %llu bytes of %llu came", (unsigned long long)id,
                 (unsigned long long)done, (unsigned long long)value.size);
    if (rc == 0)
        counter_inc(sim_s3_bodies);
    else
        sim_note(&g->run->cluster.sim, "  value %llu can't be read: %s", (unsigned long long)id, error_name(rc));
    return rc;
}

WAITS int s3_send(struct s3_going *g, struct object_put *put, uint64_t id, uint64_t offset, uint64_t size)
{
    uint64_t done = 0;
    int      rc = 0;

    while (rc == 0 && done < size) {
        uint8_t *to;
        size_t   room, n;

        rc = object_put_room(put, &to, &room, NULL);
        if (rc < 0)
            break;
        n = size - done < room ? size - done : room;
        if (rng_chance(run_rng(g->run), 1, 3))
            n = 1 + rng_below(run_rng(g->run), n);
        s3_fill(id, offset + done, to, n);
        rc = object_put_filled(put, n, NULL);
        done += n;
    }
    return rc == 0 ? object_put_end(put, NULL) : rc;
}
