/* tests/proxy/object/service_test.c - the object service over real rows in one
 * process: containers' lives, objects in rows, conditions, listings, quotas. */
#include "tests/lib/row_cluster.h"
#include "tests/lib/test.h"

#include "proxy/object/object.h"
#include "proxy/object/service.h"

struct fixture {
    struct row_cluster    *cluster;
    struct object_service *service;
    struct policy          policies[2];
    struct arena           arena;
    int64_t                soon;
};

static const struct slice account = { (const uint8_t *)"AUTH_test", 9 };

static const struct ring *index_ring(void *ctx, uint8_t replicas)
{
    (void)replicas;   /* One ring of three does for all. */
    return ((struct row_cluster *)ctx)->ring;
}

static void open_service(struct fixture *f)
{
    struct object_service_options options = { .env = f->cluster->env, .rows = f->cluster->client,
                                              .policies = f->policies, .policy_count = 2,
                                              .index_ring = index_ring, .index_ring_ctx = f->cluster };

    assert_int_equal(policy_parse("replicated-3", 0, &f->policies[0], NULL), 0);
    assert_int_equal(policy_parse("ec-4-2", 1, &f->policies[1], NULL), 0);
    f->policies[0].is_default = true;
    assert_int_equal(object_service_new(&options, &f->service, NULL), 0);
}

static void with_service(struct row_cluster *cluster, void *arg)
{
    struct fixture f = { .cluster = cluster, .soon = row_cluster_soon(cluster) };

    arena_init(&f.arena, ARENA_LIMIT_DEFAULT);
    open_service(&f);
    ((void (*)(struct fixture *))arg)(&f);
    /* The task that carries statistics ends by itself when nothing is left. */
    while (f.service->flushing)
        task_sleep(10 * NS_PER_MS);
    object_service_free(f.service);
    arena_done(&f.arena);
}

static void run(void (*test)(struct fixture *f))
{
    row_cluster_run(4, 3, with_service, (void *)test);
}

static int create(struct fixture *f, const char *name, const struct policy *policy, bool *ret_created)
{
    return container_create(f->service, account, slice_str(name), policy, NULL, f->soon, ret_created, NULL);
}

static struct container *open_container(struct fixture *f, const char *name)
{
    struct container *c;
    assert_int_equal(container_open(f->service, account, slice_str(name), false, f->soon, &c, NULL), 0);
    return c;
}

static int put_if(struct fixture *f, struct container *c, const char *name, const char *text,
                  const struct object_condition *condition, uint64_t expires_s)
{
    struct object_put *put;
    Rs__ObjectMeta     meta = RS__OBJECT_META__INIT;
    int rc = object_put_new(f->service, c, slice_str(name), strlen(text), f->soon, &f->arena, &put, NULL);

    if (rc)
        return rc;
    rc = object_put_bytes(put, slice_str(text), NULL);
    if (rc == 0)
        rc = object_put_end(put, NULL);
    if (rc == 0)
        rc = object_put_commit(put, c, &meta, expires_s, condition, f->soon, NULL);
    object_put_free(put);
    return rc;
}

static int put(struct fixture *f, struct container *c, const char *name, const char *text)
{
    return put_if(f, c, name, text, NULL, 0);
}

static void assert_body(struct fixture *f, struct container *c, const char *name, const char *text)
{
    struct object      o;
    struct object_body body;
    struct slice       bytes;

    assert_int_equal(object_read(f->service, c, slice_str(name), ROW_FULL, f->soon, &f->arena, &o, NULL), 0);
    assert_int_equal(o.size, strlen(text));
    assert_int_equal(object_body_open(f->service, &o, 0, o.size, f->soon, &body, NULL), 0);
    assert_int_equal(object_body_next(&body, &bytes, NULL), 0);
    assert_true(slice_equal(bytes, slice_str(text)));
    object_body_close(&body);
}

static int get(struct fixture *f, struct container *c, const char *name)
{
    struct object o;
    return object_read(f->service, c, slice_str(name), ROW_META, f->soon, &f->arena, &o, NULL);
}

/* --- Containers. --- */

static void create_twice(struct fixture *f)
{
    bool              created = false;
    struct container *c;

    assert_int_equal(container_open(f->service, account, SLICE("box"), false, f->soon, &c, NULL), -ENOENT);
    assert_int_equal(create(f, "box", NULL, &created), 0);
    assert_true(created);
    assert_int_equal(create(f, "box", &f->policies[0], &created), 0);
    assert_false(created);
    assert_int_equal(create(f, "box", &f->policies[1], &created), -E_CONFLICT);
    c = open_container(f, "box");
    assert_ptr_equal(c->policy, &f->policies[0]);
    container_unref(c);
}

static void create__is_idempotent_and_keeps_its_policy(void **state)
{
    (void)state;
    run(create_twice);
}

static void change_metadata(struct fixture *f)
{
    struct meta_change    set[] = { { SLICE("color"), SLICE("red") }, { SLICE("quota-count"), SLICE("1") } };
    struct meta_change    unset[] = { { SLICE("color"), SLICE_NONE } };
    struct slice          acl = SLICE(".r:*");
    struct config_changes changes = { .meta = set, .meta_count = 2, .read_acl = &acl };
    struct container     *c, *old;
    bool                  created;

    create(f, "box", NULL, &created);
    old = open_container(f, "box");
    assert_int_equal(container_update(f->service, old, &changes, f->soon, NULL), 0);
    /* Whoever still holds the old configuration is refused. */
    assert_int_equal(put(f, old, "o", "x"), -E_STALE);
    assert_int_equal(get(f, old, "o"), -E_STALE);
    container_unref(old);
    c = open_container(f, "box");
    assert_int_equal(c->config->n_meta, 2);
    assert_int_equal(c->quota_count, 1);
    assert_true(slice_equal(slice_of(c->config->read_acl.data, c->config->read_acl.len), acl));
    assert_int_equal(put(f, c, "o", "x"), 0);
    assert_int_equal(put(f, c, "p", "x"), -EDQUOT);
    changes = (struct config_changes) { .meta = unset, .meta_count = 1 };
    assert_int_equal(container_update(f->service, c, &changes, f->soon, NULL), 0);
    container_unref(c);
    c = open_container(f, "box");
    assert_int_equal(c->config->n_meta, 1);
    container_unref(c);
}

static void update__binds_at_once_and_merges(void **state)
{
    (void)state;
    run(change_metadata);
}

static void delete_and_again(struct fixture *f)
{
    struct container *c, *old;
    bool              created;

    create(f, "box", NULL, &created);
    old = open_container(f, "box");
    assert_int_equal(put(f, old, "o", "x"), 0);
    assert_int_equal(container_delete(f->service, account, SLICE("box"), f->soon, NULL), -E_CONFLICT);
    assert_int_equal(put(f, old, "o", "y"), 0);   /* The cheap refusal does not even disturb it. */
    assert_int_equal(object_delete(f->service, old, SLICE("o"), f->soon, NULL), 0);
    assert_int_equal(object_delete(f->service, old, SLICE("o"), f->soon, NULL), -ENOENT);
    assert_int_equal(container_delete(f->service, account, SLICE("box"), f->soon, NULL), 0);
    assert_int_equal(container_delete(f->service, account, SLICE("box"), f->soon, NULL), -ENOENT);
    assert_int_equal(put(f, old, "o", "z"), -E_STALE);
    assert_int_equal(create(f, "box", &f->policies[1], &created), 0);
    assert_true(created);
    c = open_container(f, "box");
    assert_int_equal(get(f, c, "o"), -ENOENT);
    assert_memory_not_equal(c->shard.id, old->shard.id, SHARD_ID_BYTES);
    container_unref(c);
    container_unref(old);
}

static void delete__needs_emptiness_and_a_new_one_is_another(void **state)
{
    (void)state;
    run(delete_and_again);
}

/* Writes the configuration as a deleter leaves it that dies there. */
static void leave(struct fixture *f, struct container *c, int dead_state, uint64_t state_us)
{
    Rs__ContainerConfig config = *c->config;
    Rs__RowValue        value = RS__ROW_VALUE__INIT;
    struct held         held;

    config.state = (Rs__ContainerConfig__State)dead_state;
    config.state_us = state_us;
    value.meta = pb_data(pack_in(&f->arena, &config.base));
    value.size = 1;
    assert_int_equal(held_container(f->service, c->shard.id, c->policy, (struct ballot) { 0, 0 }, &held, NULL), 0);
    assert_int_equal(row_write(f->cluster->client, &held.shard, SLICE_NONE, &value, f->soon, NULL, NULL, NULL), 0);
    held_drop(&held);
}

static void deleter_dies(struct fixture *f)
{
    struct container *c, *d;
    bool              created;

    create(f, "box", NULL, &created);
    c = open_container(f, "box");
    /* A fresh seal: somebody is at it. */
    leave(f, c, RS__CONTAINER_CONFIG__STATE__SEALED, service_now_us(f->service));
    assert_int_equal(container_delete(f->service, account, SLICE("box"), f->soon, NULL), -E_CONFLICT);
    assert_int_equal(container_open(f->service, account, SLICE("box"), true, f->soon, &d, NULL), 0);
    assert_int_equal(put(f, d, "o", "x"), -E_STALE);
    container_unref(d);
    /* An old one: its deleter died, and the next one opens it again. */
    leave(f, c, RS__CONTAINER_CONFIG__STATE__SEALED, 1);
    assert_int_equal(container_open(f->service, account, SLICE("box"), true, f->soon, &d, NULL), 0);
    assert_int_equal(d->config->state, RS__CONTAINER_CONFIG__STATE__LIVE);
    assert_int_equal(put(f, d, "o", "x"), 0);
    container_unref(d);
    container_unref(c);
}

static void delete__of_a_dead_deleter_is_undone(void **state)
{
    (void)state;
    run(deleter_dies);
}

static void deleter_dies_late(struct fixture *f)
{
    struct container_item *items;
    struct container      *c, *d;
    struct row_range       range = { .limit = 10 };
    uint32_t               count;
    bool                   created, more;

    create(f, "box", NULL, &created);
    c = open_container(f, "box");
    leave(f, c, RS__CONTAINER_CONFIG__STATE__DEAD, 1);
    assert_int_equal(container_open(f->service, account, SLICE("box"), true, f->soon, &d, NULL), -ENOENT);
    assert_int_equal(account_list(f->service, account, &range, f->soon, &f->arena, &items, &count, &more, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(create(f, "box", NULL, &created), 0);
    assert_true(created);
    container_unref(c);
}

static void delete__past_its_point_is_finished_by_the_next(void **state)
{
    (void)state;
    run(deleter_dies_late);
}

/* --- Objects. --- */

static void put_get(struct fixture *f)
{
    struct object     o;
    struct container *c;
    bool              created;
    char              hex[33];
    struct slice      tag;

    create(f, "box", NULL, &created);
    c = open_container(f, "box");
    assert_int_equal(get(f, c, "a/b"), -ENOENT);
    assert_int_equal(put(f, c, "a/b", "hello"), 0);
    assert_body(f, c, "a/b", "hello");
    assert_int_equal(put(f, c, "a/b", ""), 0);
    assert_int_equal(object_read(f->service, c, SLICE("a/b"), ROW_FULL, f->soon, &f->arena, &o, NULL), 0);
    assert_int_equal(o.size, 0);
    object_etag(o.meta, hex, &tag);
    assert_string_equal(hex, "d41d8cd98f00b204e9800998ecf8427e");
    assert_int_equal(put_if(f, c, "old", "x", NULL, 1), 0);
    assert_int_equal(get(f, c, "old"), -ENOENT);
    container_unref(c);
}

static void put__is_read_back_and_expired_ones_are_not(void **state)
{
    (void)state;
    run(put_get);
}

static void conditions(struct fixture *f)
{
    struct object_condition missing = { .must_be_missing = true }, exist = { .must_exist = true };
    struct object_condition match = { .match_count = 1, .match = { SLICE("5d41402abc4b2a76b9719d911017c592") } };
    struct container       *c;
    bool                    created;

    create(f, "box", NULL, &created);
    c = open_container(f, "box");
    assert_int_equal(put_if(f, c, "o", "hello", &exist, 0), -E_CONDITION);
    assert_int_equal(put_if(f, c, "o", "hello", &match, 0), -E_CONDITION);
    assert_int_equal(put_if(f, c, "o", "hello", &missing, 0), 0);
    assert_int_equal(put_if(f, c, "o", "other", &missing, 0), -E_CONDITION);
    assert_body(f, c, "o", "hello");
    assert_int_equal(put_if(f, c, "o", "second", &match, 0), 0);
    assert_int_equal(put_if(f, c, "o", "third", &match, 0), -E_CONDITION);
    assert_int_equal(put_if(f, c, "o", "third", &exist, 0), 0);
    assert_body(f, c, "o", "third");
    container_unref(c);
}

static void put__conditions_are_judged_with_the_write(void **state)
{
    (void)state;
    run(conditions);
}

static void listing(struct fixture *f)
{
    static const char *const names[] = { "a", "a/1", "a/2", "b/1", "c" };
    struct row_range         range = { .limit = 10, .delimiter = SLICE("/") };
    struct row_page          page;
    struct shard_stats       stats;
    struct container        *c;
    bool                     created;

    create(f, "box", NULL, &created);
    c = open_container(f, "box");
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(put(f, c, names[i], "12"), 0);
    assert_int_equal(container_list(f->service, c, &range, f->soon, &f->arena, &page, NULL), 0);
    assert_int_equal(page.count, 4);   /* a, a/, b/, c */
    assert_true(page.entries[1].folded);
    assert_int_equal(container_stats(f->service, c, f->soon, &stats, NULL), 0);
    assert_int_equal(stats.count, 5);
    assert_int_equal(stats.bytes, 10);
    container_unref(c);
}

static void list__shows_what_was_put_and_counts_it(void **state)
{
    (void)state;
    run(listing);
}

static void flows(struct fixture *f)
{
    struct container_item *items;
    struct account         a = { 0 };
    struct container      *c;
    struct row_range       range = { .limit = 10 };
    uint32_t               count;
    bool                   created, more;

    create(f, "box", NULL, &created);
    create(f, "empty", NULL, &created);
    c = open_container(f, "box");
    assert_int_equal(put(f, c, "o", "12345"), 0);
    while (f->service->flushing)
        task_sleep(10 * NS_PER_MS);
    assert_int_equal(account_get(f->service, account, f->soon, &f->arena, &a, NULL), 0);
    assert_int_equal(a.containers, 2);
    assert_int_equal(a.objects, 1);
    assert_int_equal(a.bytes, 5);
    assert_int_equal(account_list(f->service, account, &range, f->soon, &f->arena, &items, &count, &more, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(items[0].bytes, 5);
    assert_int_equal(items[0].count, 1);
    assert_int_equal(items[1].bytes, 0);
    /* With the container its statistics go. */
    assert_int_equal(object_delete(f->service, c, SLICE("o"), f->soon, NULL), 0);
    assert_int_equal(container_delete(f->service, account, SLICE("box"), f->soon, NULL), 0);
    while (f->service->flushing)
        task_sleep(10 * NS_PER_MS);
    assert_int_equal(account_get(f->service, account, f->soon, &f->arena, &a, NULL), 0);
    assert_int_equal(a.containers, 1);
    assert_int_equal(a.objects, 0);
    assert_int_equal(a.bytes, 0);
    container_unref(c);
}

static void stats__flow_to_the_account(void **state)
{
    (void)state;
    run(flows);
}

static void account_quota(struct fixture *f)
{
    uint64_t              quota = 4;
    struct config_changes changes = { .quota_bytes = &quota };
    struct container     *c;
    bool                  created;

    create(f, "box", NULL, &created);
    c = open_container(f, "box");
    assert_int_equal(account_update(f->service, account, &changes, f->soon, &f->arena, NULL), 0);
    assert_int_equal(put(f, c, "o", "12345"), -EDQUOT);
    assert_int_equal(put(f, c, "o", "1234"), 0);
    quota = UINT64_MAX;
    assert_int_equal(account_update(f->service, account, &changes, f->soon, &f->arena, NULL), 0);
    assert_int_equal(put(f, c, "o", "12345"), 0);
    container_unref(c);
}

static void quota__of_the_account_refuses(void **state)
{
    (void)state;
    run(account_quota);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create__is_idempotent_and_keeps_its_policy),
        cmocka_unit_test(update__binds_at_once_and_merges),
        cmocka_unit_test(delete__needs_emptiness_and_a_new_one_is_another),
        cmocka_unit_test(delete__of_a_dead_deleter_is_undone),
        cmocka_unit_test(delete__past_its_point_is_finished_by_the_next),
        cmocka_unit_test(put__is_read_back_and_expired_ones_are_not),
        cmocka_unit_test(put__conditions_are_judged_with_the_write),
        cmocka_unit_test(list__shows_what_was_put_and_counts_it),
        cmocka_unit_test(stats__flow_to_the_account),
        cmocka_unit_test(quota__of_the_account_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
