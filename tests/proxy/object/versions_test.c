/* tests/proxy/object/versions_test.c - versions, delete markers, object lock, over real rows and blobs. */
#include "tests/lib/test.h"

#include <stdio.h>

#include "tests/lib/object_cluster.h"

enum { SMALL = 100, BIG = 300 * 1024 };

static struct version_ref ref_of(const Rs__ObjectMeta *meta)
{
    char               text[VERSION_TEXT_MAX + 1];
    struct version_ref ref;

    assert_int_equal(version_parse(version_text(meta, text), &ref), 0);
    return ref;
}

static struct version_ref null_ref(void)
{
    struct version_ref ref;

    assert_int_equal(version_parse(SLICE("null"), &ref), 0);
    return ref;
}

static int erase(struct object_cluster *f, struct container *c, const char *name, const struct version_ref *version,
                 struct object_deleted *ret)
{
    struct object_deletion d = { .condition = NULL };
    struct object_deleted  deleted = { .marker = false };
    int                    rc;

    if (version)
        d.version = *version;
    rc = object_delete_version(f->service, c, slice_str(name), &d, f->soon, &f->arena, &deleted, NULL);
    if (ret)
        *ret = deleted;
    return rc;
}

static int current(struct object_cluster *f, struct container *c, const char *name, struct object *o)
{
    return object_read(f->service, c, slice_str(name), ROW_META, f->soon, &f->arena, o, NULL);
}

static uint64_t bytes_of(struct object_cluster *f, struct container *c)
{
    struct shard_stats stats;

    assert_int_equal(container_stats(f->service, c, f->soon, &stats, NULL), 0);
    return stats.bytes;
}

/* --- Versions come and go. --- */

static void overwrite(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "box", VERSIONING_ENABLED);
    Rs__ObjectMeta    *a, *b, *d;
    struct version_ref va, vb, vd;

    assert_int_equal(object_cluster_put(f, c, "o", 1, SMALL, NULL, &a), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 2, BIG, NULL, &b), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 3, SMALL, NULL, &d), 0);
    va = ref_of(a);
    vb = ref_of(b);
    vd = ref_of(d);
    assert_true(memcmp(va.id, vb.id, VERSION_BYTES) < 0 && memcmp(vb.id, vd.id, VERSION_BYTES) < 0);
    object_cluster_collect(f, 3);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 3, SMALL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &va, 1, SMALL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &vb, 2, BIG), 0);
    assert_int_equal(bytes_of(f, c), BIG + 2 * SMALL);
    /* The middle one goes for good, and its blob with it. */
    assert_int_equal(erase(f, c, "o", &vb, NULL), 0);
    assert_int_equal(erase(f, c, "o", &vb, NULL), -ENOENT);
    assert_int_equal(object_cluster_check(f, c, "o", &vb, 2, BIG), -ENOENT);
    object_cluster_collect(f, 3);
    assert_int_equal(object_cluster_blobs(f), 0);
    /* Deleting the current one brings back the one before. */
    assert_int_equal(erase(f, c, "o", &vd, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 1, SMALL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &va, 1, SMALL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &vd, 3, SMALL), -ENOENT);
    assert_int_equal(erase(f, c, "o", &va, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 1, SMALL), -ENOENT);
    assert_int_equal(bytes_of(f, c), 0);
    container_unref(c);
}

static void put__keeps_what_it_replaces(void **state)
{
    (void)state;
    object_cluster_run(overwrite);
}

static void restored(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "box", VERSIONING_ENABLED);
    Rs__ObjectMeta    *a, *b;
    struct version_ref va, vb;

    assert_int_equal(object_cluster_put(f, c, "o", 1, BIG, NULL, &a), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 2, BIG, NULL, &b), 0);
    va = ref_of(a);
    vb = ref_of(b);
    assert_int_equal(erase(f, c, "o", &vb, NULL), 0);
    /* Archived, restored, archived again: its blob is there all the time. */
    object_cluster_collect(f, 3);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 1, BIG), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 3, SMALL, NULL, NULL), 0);
    object_cluster_collect(f, 3);
    assert_int_equal(object_cluster_check(f, c, "o", &va, 1, BIG), 0);
    assert_int_equal(object_cluster_blobs(f), 1);
    assert_int_equal(erase(f, c, "o", &va, NULL), 0);
    object_cluster_collect(f, 3);
    assert_int_equal(object_cluster_blobs(f), 0);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 3, SMALL), 0);
    container_unref(c);
}

static void delete__of_the_current_version_brings_back_the_one_before(void **state)
{
    (void)state;
    object_cluster_run(restored);
}

static void markers(struct object_cluster *f)
{
    struct container     *c = object_cluster_container(f, "box", VERSIONING_ENABLED);
    struct row_range      range = { .limit = 10 };
    struct row_page       page;
    struct object_deleted deleted;
    struct version_ref    marker;
    struct object         o;
    Rs__ObjectMeta       *a;

    assert_int_equal(object_cluster_put(f, c, "o", 1, BIG, NULL, &a), 0);
    assert_int_equal(erase(f, c, "o", NULL, &deleted), 0);
    assert_true(deleted.marker);
    marker = ref_of(deleted.meta);
    assert_int_equal(current(f, c, "o", &o), -ENOENT);
    assert_non_null(o.meta);
    assert_true(o.meta->delete_marker);
    assert_int_equal(container_list(f->service, c, &range, f->soon, &f->arena, &page, NULL), 0);
    assert_int_equal(page.count, 0);
    object_cluster_collect(f, 3);
    struct version_ref va = ref_of(a);
    assert_int_equal(object_cluster_check(f, c, "o", &va, 1, BIG), 0);
    /* A container with nothing but a marker and a version is not empty. */
    assert_int_equal(container_delete(f->service, SLICE("AUTH_test"), SLICE("box"), f->soon, NULL), -E_CONFLICT);
    assert_int_equal(erase(f, c, "o", &marker, &deleted), 0);
    assert_true(deleted.marker);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 1, BIG), 0);
    assert_int_equal(erase(f, c, "o", &va, NULL), 0);
    assert_int_equal(current(f, c, "o", &o), -ENOENT);
    assert_null(o.meta);
    assert_int_equal(container_delete(f->service, SLICE("AUTH_test"), SLICE("box"), f->soon, NULL), 0);
    container_unref(c);
}

static void delete__adds_a_marker_that_can_be_removed(void **state)
{
    (void)state;
    object_cluster_run(markers);
}

/* --- Null versions. --- */

static struct container *switch_to(struct object_cluster *f, struct container *c, enum versioning versioning)
{
    struct config_changes changes = { .versioning = &versioning };

    assert_int_equal(container_update(f->service, c, &changes, f->soon, NULL), 0);
    container_unref(c);
    return object_cluster_open(f, "box");
}

static void nulls(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "box", VERSIONING_OFF);
    struct version_ref null = null_ref(), vb;
    Rs__ObjectMeta    *b, *d;
    enum versioning    off = VERSIONING_OFF;
    struct config_changes undo = { .versioning = &off };

    assert_int_equal(object_cluster_put(f, c, "o", 1, BIG, NULL, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &null, 1, BIG), 0);
    c = switch_to(f, c, VERSIONING_ENABLED);
    assert_int_equal(container_update(f->service, c, &undo, f->soon, NULL), -EINVAL);
    assert_int_equal(object_cluster_put(f, c, "o", 2, SMALL, NULL, &b), 0);
    vb = ref_of(b);
    object_cluster_collect(f, 3);
    assert_int_equal(object_cluster_check(f, c, "o", &null, 1, BIG), 0);
    /* A null version that is written while suspended takes the place of the archived one. */
    c = switch_to(f, c, VERSIONING_SUSPENDED);
    assert_int_equal(object_cluster_put(f, c, "o", 3, SMALL, NULL, &d), 0);
    assert_true(d->null_version);
    assert_int_equal(object_cluster_check(f, c, "o", &null, 3, SMALL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &vb, 2, SMALL), 0);
    object_cluster_collect(f, 3);
    assert_int_equal(object_cluster_blobs(f), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 4, SMALL, NULL, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &null, 4, SMALL), 0);
    assert_int_equal(bytes_of(f, c), 2 * SMALL);
    /* It is archived once versions are kept again, and found by its name. */
    c = switch_to(f, c, VERSIONING_ENABLED);
    assert_int_equal(object_cluster_put(f, c, "o", 5, SMALL, NULL, &d), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &null, 4, SMALL), 0);
    struct version_ref vd = ref_of(d);
    assert_int_equal(erase(f, c, "o", &vd, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 4, SMALL), 0);
    assert_int_equal(erase(f, c, "o", &null, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &null, 4, SMALL), -ENOENT);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 2, SMALL), 0);
    container_unref(c);
}

static void null_version__is_one_and_follows_the_states_of_versioning(void **state)
{
    (void)state;
    object_cluster_run(nulls);
}

/* --- Conditions, metadata. --- */

static void conditions(struct object_cluster *f)
{
    struct container       *c = object_cluster_container(f, "box", VERSIONING_ENABLED);
    struct object_condition missing = { .must_be_missing = true }, size = { .size_given = true, .size = 7 };
    struct object_deletion  d = { .condition = &size };
    struct object_deleted   deleted;

    assert_int_equal(object_cluster_put(f, c, "o", 1, SMALL, &missing, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 2, SMALL, &missing, NULL), -E_CONDITION);
    assert_int_equal(object_delete_version(f->service, c, SLICE("o"), &d, f->soon, &f->arena, &deleted, NULL), -E_CONDITION);
    size.size = SMALL;
    assert_int_equal(object_delete_version(f->service, c, SLICE("o"), &d, f->soon, &f->arena, &deleted, NULL), 0);
    assert_true(deleted.marker);
    /* A delete marker is no object. */
    assert_int_equal(object_cluster_put(f, c, "o", 2, SMALL, &missing, NULL), 0);
    assert_int_equal(object_delete_version(f->service, c, SLICE("none"), &d, f->soon, &f->arena, &deleted, NULL), -ENOENT);
    container_unref(c);
}

static void conditions__see_through_delete_markers(void **state)
{
    (void)state;
    object_cluster_run(conditions);
}

static int set_type(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s)
{
    (void)arena;
    (void)expires_s;
    meta->content_type = pb_data(slice_str(ctx));
    return 0;
}

static void edits(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "box", VERSIONING_ENABLED);
    struct version_ref va;
    struct object      o;
    Rs__ObjectMeta    *a, *after;

    assert_int_equal(object_cluster_put(f, c, "o", 1, BIG, NULL, &a), 0);
    va = ref_of(a);
    assert_int_equal(object_update_version(f->service, c, SLICE("o"), &va, set_type, "text/a", f->soon, &f->arena, &after, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 2, SMALL, NULL, NULL), 0);
    assert_int_equal(object_read_version(f->service, c, SLICE("o"), &va, ROW_META, f->soon, &f->arena, &o, NULL), 0);
    assert_true(slice_equal(pb_slice(o.meta->content_type), SLICE("text/a")));
    assert_int_equal(object_update_version(f->service, c, SLICE("o"), &va, set_type, "text/b", f->soon, &f->arena, &after, NULL), 0);
    assert_int_equal(object_read_version(f->service, c, SLICE("o"), &va, ROW_META, f->soon, &f->arena, &o, NULL), 0);
    assert_true(slice_equal(pb_slice(o.meta->content_type), SLICE("text/b")));
    assert_int_equal(object_cluster_check(f, c, "o", &va, 1, BIG), 0);
    assert_int_equal(object_update(f->service, c, SLICE("none"), set_type, "x", f->soon, &f->arena, NULL), -ENOENT);
    container_unref(c);
}

static void update__changes_just_that_version(void **state)
{
    (void)state;
    object_cluster_run(edits);
}

/* --- Listing. --- */

/* The page as text: "name=size" ("name*=" of a current version, "=X" of a marker), folds as "name...". */
static void assert_page(struct object_cluster *f, struct container *c, struct version_range range, const char *expected,
                        bool more, struct version_page *ret)
{
    struct version_page page;
    char                text[1000] = "";
    size_t              n = 0;

    assert_int_equal(object_list_versions(f->service, c, &range, f->soon, &f->arena, &page, NULL), 0);
    for (uint32_t i = 0; i < page.count; i++) {
        const struct version_item *v = &page.items[i];
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", i ? " " : "", SLICE_ARG(v->name));
        if (v->folded)
            n += (size_t)snprintf(text + n, sizeof text - n, "...");
        else if (v->meta->delete_marker)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s=X", v->current ? "*" : "");
        else
            n += (size_t)snprintf(text + n, sizeof text - n, "%s=%u", v->current ? "*" : "", (unsigned)v->stored);
    }
    assert_string_equal(text, expected);
    assert_int_equal(page.more, more);
    if (ret)
        *ret = page;
}

static void listing(struct object_cluster *f)
{
    struct container    *c = object_cluster_container(f, "box", VERSIONING_OFF);
    struct version_range all = { .limit = 100 }, r;
    struct version_page  page;

    assert_int_equal(object_cluster_put(f, c, "b", 1, 1, NULL, NULL), 0);
    assert_page(f, c, all, "b*=1", false, NULL);
    c = switch_to(f, c, VERSIONING_ENABLED);
    assert_int_equal(object_cluster_put(f, c, "b", 1, 2, NULL, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "b", 1, 3, NULL, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "a", 1, 4, NULL, NULL), 0);
    assert_int_equal(erase(f, c, "a", NULL, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "d/1", 1, 5, NULL, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "d/1", 1, 6, NULL, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "d/2", 1, 7, NULL, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "e", 1, 8, NULL, NULL), 0);
    assert_page(f, c, all, "a*=X a=4 b*=3 b=2 b=1 d/1*=6 d/1=5 d/2*=7 e*=8", false, NULL);
    r = all;
    r.delimiter = SLICE("/");
    assert_page(f, c, r, "a*=X a=4 b*=3 b=2 b=1 d/... e*=8", false, NULL);
    r.prefix = SLICE("d/");
    assert_page(f, c, r, "d/1*=6 d/1=5 d/2*=7", false, NULL);
    /* Page by page, from where the one before ended. */
    for (uint32_t limit = 1; limit <= 4; limit++) {
        char        text[200] = "";
        uint32_t    pages = 0;

        r = (struct version_range) { .limit = limit, .delimiter = SLICE("/") };
        do {
            const struct version_item *last;

            assert_int_equal(object_list_versions(f->service, c, &r, f->soon, &f->arena, &page, NULL), 0);
            assert_true(page.count > 0 && page.count <= limit);
            for (uint32_t i = 0; i < page.count; i++)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s%u ", SLICE_ARG(page.items[i].name),
                         (unsigned)page.items[i].stored);
            last = &page.items[page.count - 1];
            r.after = last->name;
            r.after_version_given = !last->folded;
            if (!last->folded)
                r.after_version = ref_of(last->meta);
            pages++;
        } while (page.more);
        assert_string_equal(text, "a0 a4 b3 b2 b1 d/0 e8 ");
        assert_int_equal(pages, (7 + limit - 1) / limit);
    }
    /* Behind all versions of a name. */
    r = (struct version_range) { .limit = 10, .after = SLICE("b") };
    assert_page(f, c, r, "d/1*=6 d/1=5 d/2*=7 e*=8", false, NULL);
    r.limit = 2;
    assert_page(f, c, r, "d/1*=6 d/1=5", true, NULL);
    container_unref(c);
}

static void list__shows_versions_newest_first(void **state)
{
    (void)state;
    object_cluster_run(listing);
}

/* --- Object lock. --- */

static int set_retention(void *ctx, struct arena *arena, Rs__ObjectMeta *meta, uint64_t *expires_s)
{
    const Rs__ObjectMeta *from = ctx;

    (void)arena;
    (void)expires_s;
    meta->lock_mode = from->lock_mode;
    meta->retain_until_us = from->retain_until_us;
    meta->legal_hold = from->legal_hold;
    return 0;
}

static void locked(struct object_cluster *f)
{
    struct lock_config     lock = { .mode = LOCK_GOVERNANCE, .days = 1 };
    struct config_changes  changes = { .lock = &lock };
    enum versioning        suspended = VERSIONING_SUSPENDED;
    struct config_changes  suspend = { .versioning = &suspended };
    struct object_deletion d = { .bypass_governance = true };
    struct object_deleted  deleted;
    struct container      *c;
    Rs__ObjectMeta        *a, want = RS__OBJECT_META__INIT;
    bool                   created;

    assert_int_equal(container_create(f->service, SLICE("AUTH_test"), SLICE("box"), NULL, &changes, f->soon, &created, NULL), 0);
    c = object_cluster_open(f, "box");
    assert_int_equal(c->config->versioning, VERSIONING_ENABLED);
    assert_int_equal(container_update(f->service, c, &suspend, f->soon, NULL), -E_CONFLICT);
    assert_int_equal(object_cluster_put(f, c, "o", 1, SMALL, NULL, &a), 0);
    assert_int_equal(a->lock_mode, LOCK_GOVERNANCE);
    d.version = ref_of(a);
    assert_int_equal(erase(f, c, "o", &d.version, NULL), -EPERM);
    assert_int_equal(erase(f, c, "o", NULL, NULL), 0);   /* A marker hides it; it stays. */
    assert_int_equal(erase(f, c, "o", &d.version, NULL), -EPERM);
    /* Compliance: not even with the right to bypass, and never shorter. */
    want.lock_mode = LOCK_COMPLIANCE;
    want.retain_until_us = a->retain_until_us + 1000000;
    assert_int_equal(object_update_version(f->service, c, SLICE("o"), &d.version, set_retention, &want, f->soon, &f->arena, NULL, NULL), 0);
    assert_int_equal(object_delete_version(f->service, c, SLICE("o"), &d, f->soon, &f->arena, &deleted, NULL), -EPERM);
    want.retain_until_us -= 1;
    assert_int_equal(object_update_version(f->service, c, SLICE("o"), &d.version, set_retention, &want, f->soon, &f->arena, NULL, NULL), -EPERM);
    /* Another one: bypassed, but not under legal hold. */
    assert_int_equal(object_cluster_put(f, c, "p", 1, SMALL, NULL, &a), 0);
    d.version = ref_of(a);
    want = *a;
    want.legal_hold = true;
    assert_int_equal(object_update_version(f->service, c, SLICE("p"), &d.version, set_retention, &want, f->soon, &f->arena, NULL, NULL), 0);
    assert_int_equal(object_delete_version(f->service, c, SLICE("p"), &d, f->soon, &f->arena, &deleted, NULL), -EPERM);
    want.legal_hold = false;
    assert_int_equal(object_update_version(f->service, c, SLICE("p"), &d.version, set_retention, &want, f->soon, &f->arena, NULL, NULL), 0);
    assert_int_equal(object_delete_version(f->service, c, SLICE("p"), &d, f->soon, &f->arena, &deleted, NULL), 0);
    container_unref(c);
}

static void lock__holds_versions(void **state)
{
    (void)state;
    object_cluster_run(locked);
}

/* --- Half-done things. --- */

/* Leaves the head as a deleter does that dies after its first step. */
static void dying(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "box", VERSIONING_ENABLED);
    struct version_ref va, vb;
    Rs__ObjectMeta    *a, *b;
    struct row_state   row;
    struct held        held;

    assert_int_equal(object_cluster_put(f, c, "o", 1, SMALL, NULL, &a), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 2, SMALL, NULL, &b), 0);
    va = ref_of(a);
    vb = ref_of(b);
    assert_int_equal(held_container(f->service, c->shard.id, c->policy, c->shard.config, &held, NULL), 0);
    assert_int_equal(row_read(f->rows->client, &held.shard, SLICE("o"), ROW_FULL, f->soon, &f->arena, &row, NULL), 0);
    ProtobufCAllocator allocator = arena_allocator(&f->arena);
    Rs__ObjectMeta    *meta = rs__object_meta__unpack(&allocator, row.value->meta.len, row.value->meta.data);
    meta->dying = true;
    row.value->meta = pb_data(pack_in(&f->arena, &meta->base));
    assert_int_equal(row_write(f->rows->client, &held.shard, SLICE("o"), row.value, f->soon, NULL, NULL, NULL), 0);
    held_drop(&held);
    /* It reads as before, until somebody wants to change it. */
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 2, SMALL), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 3, SMALL, NULL, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &vb, 2, SMALL), -ENOENT);
    assert_int_equal(object_cluster_check(f, c, "o", &va, 1, SMALL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 3, SMALL), 0);
    container_unref(c);
}

static void delete__of_a_dead_deleter_is_finished_by_the_next_writer(void **state)
{
    (void)state;
    object_cluster_run(dying);
}

static void erased_first(struct object_cluster *f)
{
    struct container  *c = object_cluster_container(f, "box", VERSIONING_ENABLED);
    struct version_ref vb;
    Rs__ObjectMeta    *b;
    struct row_name    name;
    struct held        held;

    assert_int_equal(object_cluster_put(f, c, "o", 1, SMALL, NULL, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "o", 2, SMALL, NULL, &b), 0);
    vb = ref_of(b);
    /* A version that was restored to the head just when its deletion had begun: the row is erased, the head has it. */
    assert_int_equal(held_container(f->service, c->shard.id, c->policy, c->shard.config, &held, NULL), 0);
    assert_int_equal(row_erase(f->service, &held.shard, name_version(&name, SLICE("o"), vb.id), f->soon, NULL), 0);
    held_drop(&held);
    assert_int_equal(object_cluster_put(f, c, "o", 3, SMALL, NULL, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "o", &vb, 2, SMALL), -ENOENT);
    assert_int_equal(object_cluster_check(f, c, "o", NULL, 3, SMALL), 0);
    container_unref(c);
}

static void put__over_a_version_whose_row_is_erased_finishes_its_deletion(void **state)
{
    (void)state;
    object_cluster_run(erased_first);
}

static void version__is_parsed_strictly(void **state)
{
    struct version_ref v;

    (void)state;
    assert_int_equal(version_parse(SLICE_NONE, &v), 0);
    assert_false(v.given);
    assert_int_equal(version_parse(SLICE("null"), &v), 0);
    assert_true(v.null_version);
    assert_int_equal(version_parse(SLICE("0123456789abcdef0123456789abcdef"), &v), 0);
    assert_int_equal(v.id[1], 0x23);
    assert_int_equal(version_parse(SLICE("0123456789abcdef0123456789abcde"), &v), -EINVAL);
    assert_int_equal(version_parse(SLICE("0123456789abcdef0123456789abcdeG"), &v), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put__keeps_what_it_replaces),
        cmocka_unit_test(delete__of_the_current_version_brings_back_the_one_before),
        cmocka_unit_test(delete__adds_a_marker_that_can_be_removed),
        cmocka_unit_test(null_version__is_one_and_follows_the_states_of_versioning),
        cmocka_unit_test(conditions__see_through_delete_markers),
        cmocka_unit_test(update__changes_just_that_version),
        cmocka_unit_test(list__shows_versions_newest_first),
        cmocka_unit_test(lock__holds_versions),
        cmocka_unit_test(delete__of_a_dead_deleter_is_finished_by_the_next_writer),
        cmocka_unit_test(put__over_a_version_whose_row_is_erased_finishes_its_deletion),
        cmocka_unit_test(version__is_parsed_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
