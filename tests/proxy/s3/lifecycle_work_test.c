/* tests/proxy/s3/lifecycle_work_test.c - the index of buckets with rules, its leases, and passes of the worker, on a cluster
 * of real rows and blobs. */
#include "tests/lib/test.h"

#include "proxy/s3/lifecycle_index.h"
#include "proxy/s3/lifecycle_work.h"
#include "tests/lib/object_cluster.h"

#define ACCOUNT SLICE("AUTH_a")
#define SECOND_US UINT64_C(1000000)

WAITS static uint32_t entries(struct object_cluster *f, struct lifecycle_entry **ret)
{
    uint32_t count = 0;
    bool     more = false;

    assert_int_equal(lifecycle_index_list(f->service, SLICE_NONE, 100, f->soon, &f->arena, ret, &count, &more, NULL), 0);
    assert_false(more);
    return count;
}

WAITS static void index_task(struct object_cluster *f)
{
    struct lifecycle_entry *list, old;

    assert_int_equal(entries(f, &list), 0);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(lifecycle_index_add(f->service, ACCOUNT, SLICE("one"), f->soon, &f->arena, NULL), 0);
        assert_int_equal(lifecycle_index_add(f->service, ACCOUNT, SLICE("two"), f->soon, &f->arena, NULL), 0);
    }
    assert_int_equal(entries(f, &list), 2);
    assert_true(slice_equal(list[0].bucket, SLICE("one")) && slice_equal(list[1].account, ACCOUNT));
    old = list[0];
    /* Noted again since it was listed: it stays. */
    assert_int_equal(lifecycle_index_add(f->service, ACCOUNT, SLICE("one"), f->soon, &f->arena, NULL), 0);
    assert_int_equal(lifecycle_index_drop(f->service, &old, f->soon, &f->arena, NULL), -E_CONDITION);
    assert_int_equal(entries(f, &list), 2);
    assert_int_equal(lifecycle_index_drop(f->service, &list[0], f->soon, &f->arena, NULL), 0);
    assert_int_equal(entries(f, &list), 1);
}

static void index__entry_noted_again_is_not_dropped(void **state)
{
    (void)state;
    object_cluster_run(index_task);
}

WAITS static int take(struct object_cluster *f, struct slice name, uint64_t holder, uint64_t now, uint64_t interval)
{
    return lifecycle_lease_take(f->service, name, holder, now, interval, f->soon, &f->arena, NULL);
}

WAITS static void lease_task(struct object_cluster *f)
{
    const uint64_t          now = 1000 * SECOND_US, end = now + LIFECYCLE_LEASE_S * SECOND_US;
    struct lifecycle_entry *list;

    assert_int_equal(lifecycle_index_add(f->service, ACCOUNT, SLICE("b"), f->soon, &f->arena, NULL), 0);
    assert_int_equal(entries(f, &list), 1);
    struct slice name = list[0].name;
    assert_int_equal(take(f, SLICE("none/such"), 1, now, 0), -ENOENT);
    assert_int_equal(take(f, name, 1, now, 0), 0);
    assert_int_equal(take(f, name, 2, now, 0), -E_CONFLICT);
    assert_int_equal(take(f, name, 1, now, 0), 0);           /* Renewed. */
    assert_int_equal(take(f, name, 2, end - 1, 0), -E_CONFLICT);
    assert_int_equal(take(f, name, 2, end, 0), 0);           /* It ran out. */
    assert_int_equal(lifecycle_lease_give(f->service, name, 1, end, true, f->soon, &f->arena, NULL), -E_CONFLICT);
    assert_int_equal(lifecycle_lease_give(f->service, name, 2, end, true, f->soon, &f->arena, NULL), 0);
    assert_int_equal(take(f, name, 3, end + SECOND_US, 2 * SECOND_US), -E_CONFLICT);   /* Done just now. */
    assert_int_equal(take(f, name, 3, end + 2 * SECOND_US, 2 * SECOND_US), 0);
}

static void lease__is_one_holders_until_it_runs_out(void **state)
{
    (void)state;
    object_cluster_run(lease_task);
}

#define RULES \
    "<LifecycleConfiguration><Rule><ID>r</ID><Filter><Prefix>go/</Prefix></Filter><Status>Enabled</Status>" \
    "<Expiration><Date>2001-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>"

WAITS static void pass_task(struct object_cluster *f)
{
    struct lifecycle_options options = { .objects = f->service };
    struct container        *c = object_cluster_container(f, "bucket", VERSIONING_OFF);
    struct meta_change       document = { SLICE("lifecycle"), SLICE(RULES) };
    struct config_changes    changes = { .documents = &document, .document_count = 1 };

    assert_int_equal(object_cluster_put(f, c, "go/away", 1, 100, NULL, NULL), 0);
    assert_int_equal(object_cluster_put(f, c, "stays", 2, 100, NULL, NULL), 0);
    assert_int_equal(lifecycle_index_add(f->service, c->account, c->name, f->soon, &f->arena, NULL), 0);
    /* Without rules nothing goes, and the entry stays for a while: they may be on their way. */
    struct lifecycle_entry *list;
    assert_int_equal(lifecycle_pass(&options, 1, NULL), 0);
    assert_int_equal(entries(f, &list), 1);
    assert_int_equal(object_cluster_check(f, c, "go/away", NULL, 1, 100), 0);
    assert_int_equal(container_update(f->service, c, &changes, f->soon, NULL), 0);
    container_unref(c);
    c = object_cluster_open(f, "bucket");
    /* It was done just now: passes leave it alone until a 48th of a day is over. */
    options.day_s = 1;
    for (int i = 0; i < 10000 && object_cluster_check(f, c, "go/away", NULL, 1, 100) == 0; i++)
        assert_int_equal(lifecycle_pass(&options, 2, NULL), 0);
    assert_int_equal(object_cluster_check(f, c, "go/away", NULL, 1, 100), -ENOENT);
    assert_int_equal(object_cluster_check(f, c, "stays", NULL, 2, 100), 0);
    container_unref(c);
}

static void pass__removes_what_is_due_and_nothing_else(void **state)
{
    (void)state;
    object_cluster_run(pass_task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index__entry_noted_again_is_not_dropped),
        cmocka_unit_test(lease__is_one_holders_until_it_runs_out),
        cmocka_unit_test(pass__removes_what_is_due_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
