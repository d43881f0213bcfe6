/* sim/containers_workload.c - the life of containers. */
#include "sim/containers_workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/object/object.h"

enum { STEP_MS = 8000, TRIES = 5 };

static const struct slice account = SLICE("acc");
static const struct slice object_name = SLICE("o");

/* One operation under way. */
struct going {
    struct run       *run;
    struct life      *life;
    struct container *container;   /* NULL: not opened, or it does not exist. */
    struct slice      name;        /* Of the container. */
    char              text[16];
    int64_t           deadline;
    struct arena      arena;
    bool              missing;     /* The container does not exist. */
};

static void go(struct going *g, struct run *run, struct life *life, uint32_t key)
{
    *g = (struct going) { .run = run, .life = life, .deadline = env_now(&life->env.env) + STEP_MS * NS_PER_MS };
    g->name = slice_of(g->text, (size_t)snprintf(g->text, sizeof g->text, "c%u", key));
    arena_init(&g->arena, ARENA_LIMIT_DEFAULT);
}

static void done(struct going *g)
{
    container_unref(g->container);
    arena_done(&g->arena);
}

/* 'anew': its configuration changed since it was opened. */
static WAITS int enter(struct going *g, bool anew)
{
    int rc;

    if (anew && g->container)
        container_forget(g->life->objects, g->container);
    g->container = container_unref(g->container);
    rc = container_open(g->life->objects, account, g->name, false, g->deadline, &g->container, NULL);
    g->missing = rc == -ENOENT;
    return rc;
}

static enum history_outcome outcome_of(const struct going *g, int rc)
{
    return rc == 0 ? HISTORY_OK : g->missing ? HISTORY_REFUSED
         : rc == -E_UNAVAILABLE || rc == -E_STALE ? HISTORY_NEVER : HISTORY_OPEN;
}

/* --- What clients do --- */

static WAITS void do_make(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    struct config_changes none = { 0 };
    struct going          g;
    bool                  created;
    uint32_t              op = run_begin(run, client, key, HISTORY_MAKE, 0, 0);
    int                   rc;

    go(&g, run, life, key);
    rc = container_create(life->objects, account, g.name, &run->cluster.policy[key % run->cluster.policies], &none,
                          g.deadline, &created, NULL);
    /* Several rows are written: only success, or a conflict with a delete under way, says what became of it. */
    run_end(run, op, rc == 0 ? HISTORY_OK : rc == -E_CONFLICT ? HISTORY_NEVER : HISTORY_OPEN, 0, rc);
    done(&g);
}

static WAITS void do_drop(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    struct going g;
    uint32_t     op = run_begin(run, client, key, HISTORY_DROP, 0, 0);
    int          rc;

    go(&g, run, life, key);
    rc = container_delete(life->objects, account, g.name, g.deadline, NULL);
    run_end(run, op, rc == 0 ? HISTORY_OK : rc == -ENOENT ? HISTORY_REFUSED
                   : rc == -E_CONFLICT ? HISTORY_NEVER : HISTORY_OPEN, 0, rc);
    done(&g);
}

static WAITS void do_fill(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    uint64_t           id = history_value(&run->history);
    Rs__ObjectMeta     meta = RS__OBJECT_META__INIT;
    struct object_put *put = NULL;
    struct going       g;
    char               text[24];
    uint32_t           op = run_begin(run, client, key, HISTORY_FILL, id, 0);
    int                rc;

    go(&g, run, life, key);
    meta.content_type.len = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    meta.content_type.data = (uint8_t *)text;
    rc = enter(&g, false);
    if (rc == 0)
        rc = object_put_new(life->objects, g.container, object_name, meta.content_type.len, g.deadline, &g.arena, &put,
                            NULL);
    if (rc == 0)
        rc = object_put_bytes(put, slice_of(text, meta.content_type.len), NULL);
    if (rc == 0)
        rc = object_put_end(put, NULL);
    for (int i = 0; rc == 0 && i < TRIES; i++) {
        rc = object_put_commit(put, g.container, &meta, 0, NULL, g.deadline, NULL);
        if (rc != -E_STALE)
            break;
        rc = enter(&g, true);
        if (rc == 0 && i + 1 == TRIES)
            rc = -E_STALE;   /* Sealed all the time. */
    }
    run_end(run, op, outcome_of(&g, rc), 0, rc);
    object_put_free(put);
    done(&g);
}

static WAITS void do_clear(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    struct going g;
    uint32_t     op = run_begin(run, client, key, HISTORY_CLEAR, 0, 0);
    int          rc;

    go(&g, run, life, key);
    rc = enter(&g, false);
    for (int i = 0; rc == 0 && i < TRIES; i++) {
        rc = object_delete(life->objects, g.container, object_name, g.deadline, NULL);
        if (rc == -ENOENT)
            rc = 0;   /* The object, not the container. */
        if (rc != -E_STALE)
            break;
        rc = enter(&g, true);
        if (rc == 0 && i + 1 == TRIES)
            rc = -E_STALE;   /* Sealed all the time. */
    }
    run_end(run, op, outcome_of(&g, rc), 0, rc);
    done(&g);
}

static uint64_t id_of(struct run *run, const Rs__ObjectMeta *meta)
{
    char text[24] = { 0 };

    memcpy(text, meta->content_type.data, meta->content_type.len < 23 ? meta->content_type.len : 23);
    uint64_t id = strtoull(text, NULL, 10);
    if (id <= HISTORY_EMPTY || id > run->history.values)
        sim_fail(&run->cluster.sim, "an object has the unknown content type '%s'", text);
    return id;
}

static WAITS int do_look(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    struct object object;
    struct going  g;
    uint64_t      seen = HISTORY_EMPTY;
    uint32_t      op = run_begin(run, client, key, HISTORY_READ, 0, 0);
    int           rc;

    go(&g, run, life, key);
    rc = enter(&g, false);
    for (int i = 0; rc == 0 && i < TRIES; i++) {
        rc = object_read(life->objects, g.container, object_name, ROW_META, g.deadline, &g.arena, &object, NULL);
        if (rc == 0)
            seen = id_of(run, object.meta);
        if (rc == -ENOENT)
            rc = 0;
        if (rc != -E_STALE)
            break;
        rc = enter(&g, true);
        if (rc == 0 && i + 1 == TRIES)
            rc = -E_STALE;   /* Sealed all the time. */
    }
    if (g.missing)
        seen = rc = 0;
    run_end(run, op, rc == 0 ? HISTORY_OK : HISTORY_OPEN, seen, rc);
    done(&g);
    return rc;
}

WAITS int containers_prepare(struct run *run, struct life *life)
{
    (void)life;
    while (run->history.values < HISTORY_EMPTY)
        history_value(&run->history);   /* Ids of objects begin above. */
    return 0;
}

WAITS void containers_step(struct run *run, struct life *life, uint32_t client)
{
    uint32_t key = (uint32_t)rng_below(run_rng(run), run->scenario->keys);

    switch (rng_below(run_rng(run), 12)) {
    case 0: case 1: case 2:
        do_make(run, life, client, key);
        break;
    case 3: case 4:
        do_drop(run, life, client, key);
        break;
    case 5: case 6:
        do_fill(run, life, client, key);
        break;
    case 7: case 8:
        do_clear(run, life, client, key);
        break;
    default:
        do_look(run, life, client, key);
    }
}

WAITS int containers_verify(struct run *run, struct life *life, uint32_t key)
{
    return do_look(run, life, UINT32_MAX, key);
}
