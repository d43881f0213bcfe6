/* sim/s3_uploads.c - objects as registers that multipart uploads, plain puts, copies and deletes write. Even keys are in
 * a container without versions, odd ones in a container with them.
 *
 * All clients share the uploads that were begun: any two may send the same part, complete and abort at once, and again.
 * An upload is one write in the history, from the first call that completes it to the first that says it did; an abort
 * that says it did means that this write never happens. */
#include "sim/s3_uploads.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/counter.h"
#include "sim/s3_common.h"

COUNTER(sim_s3_completed, "Simulator: multipart uploads completed.");
COUNTER(sim_s3_recompleted, "Simulator: completions that said again what another had done.");
COUNTER(sim_s3_aborted, "Simulator: multipart uploads aborted.");
COUNTER(sim_s3_copied, "Simulator: copies of objects.");

enum { UPLOADS_MAX = 400, PARTS_MAX = 4, RECENT = 6 };

struct sim_upload {
    uint32_t          key;
    uint8_t           id[UPLOAD_ID_BYTES];
    uint64_t          value;
    uint32_t          parts, op;
    uint64_t          offset[PARTS_MAX], size[PARTS_MAX];
    uint8_t           etag[PARTS_MAX][16];
    bool              begun, done, aborted;
    enum history_kind kind;
    uint64_t          expected;
};

struct uploads {
    struct s3_values  values;
    struct sim_upload upload[UPLOADS_MAX];
    uint32_t          count;
};

static struct uploads *uploads_of(struct run *run)
{
    if (!run->workload) {
        run->workload = calloc(1, sizeof(struct uploads));
        assert(run->workload);
    }
    return run->workload;
}

void s3_uploads_free(struct run *run)
{
    struct uploads *u = run->workload;

    if (u)
        s3_values_done(&u->values);
    free(u);
}

static const char *container_of(uint32_t key)
{
    return key % 2 ? "versions" : "plain";
}

static WAITS int go(struct s3_going *g, struct run *run, struct life *life, uint32_t key)
{
    return s3_go(g, run, life, &uploads_of(run)->values, container_of(key), key);
}

WAITS int s3_uploads_prepare(struct run *run, struct life *life)
{
    int64_t deadline = env_now(&life->env.env) + S3_STEP_MS * NS_PER_MS;
    int     rc = 0;

    for (uint32_t i = 0; rc == 0 && i < 2; i++) {
        enum versioning       versioning = i ? VERSIONING_ENABLED : VERSIONING_OFF;
        struct config_changes changes = { .versioning = &versioning };
        bool                  created;

        rc = container_create(life->objects, SLICE("acc"), slice_str(container_of(i)),
                              &run->cluster.policy[i % run->cluster.policies], &changes, deadline, &created, NULL);
    }
    return rc;
}

/* A value that some client knows to have been there, and whose ETag no other has. */
static uint64_t last_seen(struct run *run, uint32_t key)
{
    struct uploads *u = uploads_of(run);

    for (uint32_t i = run->history.count; i > 0; i--) {
        const struct history_op *op = &run->history.ops[i - 1];
        const struct s3_value   *v = op->value != 0 && op->outcome == HISTORY_OK ? s3_value_of(&u->values, op->value) : NULL;

        if (op->key == key && v && v->etag[0] && v->size >= 16 && v->bytes == op->value)
            return op->value;
    }
    return HISTORY_ANYTHING;
}

static void set_condition(struct run *run, enum history_kind kind, uint64_t expected, struct object_condition *ret)
{
    if (kind != HISTORY_SWAP)
        return;
    ret->must_be_missing = expected == 0;
    ret->must_exist = expected == HISTORY_ANYTHING;
    if (expected != 0 && expected != HISTORY_ANYTHING) {
        ret->match_count = 1;
        ret->match[0] = slice_str(s3_value_of(&uploads_of(run)->values, expected)->etag);
    }
}

static void random_condition(struct run *run, uint32_t key, enum history_kind *ret_kind, uint64_t *ret_expected)
{
    *ret_kind = HISTORY_WRITE;
    *ret_expected = 0;
    if (rng_chance(run_rng(run), 1, 2))
        return;
    *ret_kind = HISTORY_SWAP;
    /* A copy has its source's ETag: among copies it tells nothing. */
    if (run->scenario->step != s3_copies_step && rng_chance(run_rng(run), 1, 2))
        *ret_expected = last_seen(run, key);
}

/* --- Plain objects --- */

static WAITS void do_put(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    struct uploads         *u = uploads_of(run);
    struct object_condition condition = { 0 };
    uint64_t                id = history_value(&run->history), size = s3_random_size(run), expected;
    Rs__ObjectMeta          meta = RS__OBJECT_META__INIT;
    struct object_put      *put = NULL;
    struct s3_going         g;
    enum history_kind       kind;
    char                    text[24];
    uint32_t                op;
    int                     rc = go(&g, run, life, key);

    *s3_value_of(&u->values, id) = (struct s3_value) { .bytes = id, .size = size };
    s3_set_id(&meta, id, text);
    random_condition(run, key, &kind, &expected);
    S3_AGAIN(&g, rc, object_put_new(life->objects, g.container, g.name, size, g.deadline, &g.arena, &put, NULL));
    if (rc == 0)
        rc = s3_send(&g, put, id, 0, size);
    if (rc == 0) {
        set_condition(run, kind, expected, &condition);
        op = run_begin(run, client, key, kind, id, expected);
        S3_AGAIN(&g, rc, object_put_commit(put, g.container, &meta, 0, &condition, g.deadline, NULL));
        if (rc == 0)
            s3_note_tag(&u->values, id, &meta);
        run_end(run, op, s3_outcome(rc), 0, rc);
    }
    object_put_free(put);
    s3_going_ends(&g);
}

static WAITS void do_delete(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    struct s3_going g;
    int             rc = go(&g, run, life, key);

    if (rc == 0) {
        uint32_t op = run_begin(run, client, key, HISTORY_WRITE, 0, 0);

        S3_AGAIN(&g, rc, object_delete(life->objects, g.container, g.name, g.deadline, NULL));
        run_end(run, op, rc == -ENOENT ? HISTORY_OK : s3_outcome(rc), 0, rc);
    }
    s3_going_ends(&g);
}

/* Reads the object; 0: '*ret_object' is in g->arena and '*ret_id' its value, 0: there is none. */
static WAITS int read_object(struct s3_going *g, uint32_t client, uint32_t key, struct object *ret_object,
                             uint64_t *ret_id)
{
    struct run *run = g->run;
    uint32_t    op = run_begin(run, client, key, HISTORY_READ, 0, 0);
    int         rc = 0;

    *ret_id = 0;
    S3_AGAIN(g, rc, object_read(g->life->objects, g->container, g->name, ROW_FULL, g->deadline, &g->arena, ret_object, NULL));
    if (rc == 0)
        *ret_id = s3_id_of(run, ret_object->meta);
    if (rc == 0 && *ret_id)
        s3_note_tag(g->values, *ret_id, ret_object->meta);
    run_end(run, op, rc == 0 || rc == -ENOENT ? HISTORY_OK : HISTORY_OPEN, *ret_id, rc);
    return rc == -ENOENT ? 0 : rc;
}

static WAITS int do_get(struct run *run, struct life *life, uint32_t client, uint32_t key)
{
    struct s3_going g;
    struct object   object;
    uint64_t        id = 0;
    int             rc = go(&g, run, life, key);

    if (rc == 0)
        rc = read_object(&g, client, key, &object, &id);
    /* The register is what the row said. The bytes come after, and may be gone: overwritten and collected. */
    if (rc == 0 && id)
        rc = s3_check_body(&g, &object, id);
    s3_going_ends(&g);
    return rc;
}

WAITS int s3_uploads_verify(struct run *run, struct life *life, uint32_t key)
{
    return do_get(run, life, UINT32_MAX, key);
}

/* --- Copies --- */

static WAITS int copy_bytes(struct s3_going *g, const struct object *from, struct object_put *put)
{
    struct object_body body = { 0 };
    struct slice       bytes = SLICE_NONE;
    int rc = object_body_open(g->life->objects, from, 0, from->size, g->deadline, &body, NULL);

    while (rc == 0) {
        rc = object_body_next(&body, &bytes, NULL);
        if (rc || bytes.size == 0)
            break;
        rc = object_put_bytes(put, bytes, NULL);
    }
    object_body_close(&body);
    return rc == 0 ? object_put_end(put, NULL) : rc;
}

static WAITS void do_copy(struct run *run, struct life *life, uint32_t client, uint32_t from_key, uint32_t key)
{
    struct uploads    *u = uploads_of(run);
    uint64_t           id = history_value(&run->history), from_id = 0;
    Rs__ObjectMeta     meta = RS__OBJECT_META__INIT;
    struct object_put *put = NULL;
    struct s3_going    g, to;
    struct object      object;
    char               text[24];
    uint32_t           op;
    int                rc = go(&g, run, life, from_key), to_rc = go(&to, run, life, key);

    s3_set_id(&meta, id, text);
    rc = rc ? rc : to_rc;
    if (rc == 0)
        rc = read_object(&g, client, from_key, &object, &from_id);
    if (rc == 0 && from_id) {
        *s3_value_of(&u->values, id) = *s3_value_of(&u->values, from_id);
        S3_AGAIN(&to, rc, object_put_new(life->objects, to.container, to.name, object.size, to.deadline, &to.arena, &put, NULL));
        if (rc == 0)
            rc = copy_bytes(&g, &object, put);
        if (rc == 0) {
            op = run_begin(run, client, key, HISTORY_WRITE, id, 0);
            S3_AGAIN(&to, rc, object_put_commit(put, to.container, &meta, 0, NULL, to.deadline, NULL));
            run_end(run, op, s3_outcome(rc), 0, rc);
        }
        if (rc == 0)
            counter_inc(sim_s3_copied);
    }
    object_put_free(put);
    s3_going_ends(&g);
    s3_going_ends(&to);
}

/* --- Uploads --- */

/* Sends a part; 'right' false: first bytes that are not to be in the object. */
static WAITS int send_part(struct s3_going *g, struct sim_upload *up, uint32_t i, bool right)
{
    Rs__Part           part = RS__PART__INIT;
    struct object_put *put = NULL;
    struct upload_row  row;
    int                rc = 0;

    S3_AGAIN(g, rc, upload_read(g->life->objects, g->container, g->name, up->id, g->deadline, &g->arena, &row, NULL));
    if (rc == 0)
        rc = upload_put_new(g->life->objects, g->container, &row, i + 1, up->size[i], g->deadline, &g->arena, &put, NULL);
    if (rc == 0)
        rc = s3_send(g, put, right ? up->value : up->value + 1000000, up->offset[i], up->size[i]);
    if (rc == 0 && right)
        memcpy(up->etag[i], object_put_md5(put), 16);
    S3_AGAIN(g, rc, upload_put_commit(put, g->container, &part, g->deadline, NULL));
    object_put_free(put);
    return rc;
}

static WAITS void do_begin(struct run *run, struct life *life, uint32_t key)
{
    struct uploads    *u = uploads_of(run);
    struct sim_upload  up = { .key = key, .value = history_value(&run->history) };
    Rs__ObjectMeta     meta = RS__OBJECT_META__INIT;
    Rs__Upload         upload = RS__UPLOAD__INIT;
    struct s3_value   *value = s3_value_of(&u->values, up.value);
    struct s3_going    g;
    char               text[24];
    int                rc = go(&g, run, life, key);

    *value = (struct s3_value) { .bytes = up.value };
    up.parts = 1 + (uint32_t)rng_below(run_rng(run), PARTS_MAX);
    for (uint32_t i = 0; i < up.parts; i++) {
        up.offset[i] = value->size;
        up.size[i] = 1 + s3_random_size(run);
        value->size += up.size[i];
    }
    random_condition(run, key, &up.kind, &up.expected);
    s3_set_id(&meta, up.value, text);
    upload.meta = &meta;
    S3_AGAIN(&g, rc, upload_create(life->objects, g.container, g.name, &upload, g.deadline, &g.arena, up.id, NULL));
    for (uint32_t i = 0; rc == 0 && i < up.parts; i++) {
        if (rng_chance(run_rng(run), 1, 4))
            rc = send_part(&g, &up, i, false);
        if (rc == 0)
            rc = send_part(&g, &up, i, true);
    }
    if (rc == 0 && u->count < UPLOADS_MAX)
        u->upload[u->count++] = up;
    s3_going_ends(&g);
}

static struct sim_upload *pick(struct run *run)
{
    struct uploads *u = uploads_of(run);
    uint32_t        recent = u->count < RECENT ? u->count : RECENT;

    return recent ? &u->upload[u->count - 1 - rng_below(run_rng(run), recent)] : NULL;
}

/* The same part again, as a client sends it that did not get the answer. */
static WAITS void do_part_again(struct run *run, struct life *life, struct sim_upload *up)
{
    struct s3_going g;

    if (go(&g, run, life, up->key) == 0)
        (void)send_part(&g, up, (uint32_t)rng_below(run_rng(run), up->parts), true);
    s3_going_ends(&g);
}

static void completed(struct run *run, struct sim_upload *up, const Rs__ObjectMeta *meta, uint32_t op, bool before)
{
    if (up->aborted)
        sim_fail(&run->cluster.sim, "an upload of value %llu was completed after it was aborted",
                 (unsigned long long)up->value);
    if (s3_id_of(run, meta) != up->value)
        sim_fail(&run->cluster.sim, "an upload of value %llu became another", (unsigned long long)up->value);
    s3_note_tag(&uploads_of(run)->values, up->value, meta);
    if (before) {
        /* It can only have seen it there. */
        counter_inc(sim_s3_recompleted);
        run_end(run, op, HISTORY_OK, up->value, 0);
        return;
    }
    run_end(run, op, HISTORY_NEVER, 0, 0);
    if (!up->done) {
        counter_inc(sim_s3_completed);
        run_end(run, up->op, HISTORY_OK, 0, 0);
    }
    up->done = true;
}

static WAITS void do_complete(struct run *run, struct life *life, uint32_t client, struct sim_upload *up)
{
    struct complete_part    parts[PARTS_MAX] = { 0 };
    struct object_condition condition = { 0 };
    struct complete_request rq = { .parts = parts, .count = up->parts, .condition = &condition, .size = UINT64_MAX };
    Rs__ObjectMeta         *meta = NULL;
    struct s3_going         g;
    bool                    before = up->done;
    uint32_t                op, wrong = 0;
    int                     rc = go(&g, run, life, up->key);

    if (rc) {
        s3_going_ends(&g);
        return;
    }
    for (uint32_t i = 0; i < up->parts; i++) {
        parts[i].number = i + 1;
        memcpy(parts[i].etag, up->etag[i], 16);
    }
    set_condition(run, up->kind, up->expected, &condition);
    if (!up->begun) {
        up->begun = true;
        up->op = run_begin(run, client, up->key, up->kind, up->value, up->expected);
    }
    /* What this call by itself says: a refusal, or that the object is there already. */
    op = run_begin(run, client, up->key, before ? HISTORY_READ : HISTORY_SWAP, up->value, up->expected);
    S3_AGAIN(&g, rc, upload_complete(life->objects, g.container, g.name, up->id, &rq, g.deadline, &g.arena, &meta, &wrong, NULL));
    if (rc == 0)
        completed(run, up, meta, op, before);
    else
        run_end(run, op, rc == -E_CONDITION && !before ? HISTORY_REFUSED : HISTORY_NEVER, 0, rc);
    if (rc == -EINVAL || rc == -E_LIMIT)
        sim_fail(&run->cluster.sim, "an upload of value %llu lacks part %u", (unsigned long long)up->value, wrong);
    s3_going_ends(&g);
}

static WAITS void do_abort(struct run *run, struct life *life, struct sim_upload *up)
{
    struct s3_going g;
    int             rc = go(&g, run, life, up->key);

    S3_AGAIN(&g, rc, upload_abort(life->objects, g.container, g.name, up->id, g.deadline, NULL));
    if (rc == 0 && up->done)
        sim_fail(&run->cluster.sim, "an upload of value %llu was aborted after it was completed",
                 (unsigned long long)up->value);
    if (rc == 0 && up->begun && !up->aborted && !up->done)
        run_end(run, up->op, HISTORY_NEVER, 0, 0);
    if (rc == 0) {
        counter_inc(sim_s3_aborted);
        up->aborted = true;
    }
    s3_going_ends(&g);
}

WAITS void s3_uploads_step(struct run *run, struct life *life, uint32_t client)
{
    uint32_t           key = (uint32_t)rng_below(run_rng(run), run->scenario->keys);
    struct sim_upload *up = pick(run);

    switch (rng_below(run_rng(run), 16)) {
    case 0: case 1:
        do_put(run, life, client, key);
        break;
    case 2:
        do_delete(run, life, client, key);
        break;
    case 3: case 4: case 5:
        do_begin(run, life, key);
        break;
    case 6:
        if (up)
            do_part_again(run, life, up);
        break;
    case 7: case 8: case 9: case 10: case 11:
        if (up)
            do_complete(run, life, client, up);
        break;
    case 12:
        if (up)
            do_abort(run, life, up);
        break;
    default:
        do_get(run, life, client, key);
    }
}

WAITS void s3_copies_step(struct run *run, struct life *life, uint32_t client)
{
    uint32_t           key = (uint32_t)rng_below(run_rng(run), run->scenario->keys);
    struct sim_upload *up = pick(run);

    switch (rng_below(run_rng(run), 12)) {
    case 0:
        do_put(run, life, client, key);
        break;
    case 1:
        do_delete(run, life, client, key);
        break;
    case 2:
        do_begin(run, life, key);
        break;
    case 3:
        if (up)
            do_complete(run, life, client, up);
        break;
    case 4: case 5:
        do_copy(run, life, client, key, key);   /* Onto itself. */
        break;
    case 6: case 7: case 8:
        do_copy(run, life, client, (uint32_t)rng_below(run_rng(run), run->scenario->keys), key);
        break;
    default:
        do_get(run, life, client, key);
    }
}
