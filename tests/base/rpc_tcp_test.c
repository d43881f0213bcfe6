/* tests/base/rpc_tcp_test.c - rpc over real sockets on the loopback: two nodes in
 * one process, each with its own transport. */
#include "base/rpc_tcp.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/env_kernel.h"
#include "base/log.h"
#include "proto/storage.pb-c.h"
#include "tests/lib/test.h"

enum { METHOD_ECHO = 3, METHOD_HANG };
#define CLUSTER UINT64_C(0x1234)

struct side {
    struct rpc     *rpc;
    struct rpc_tcp *tcp;
};

struct pair {
    struct env  *process;
    struct side  side[2];
    uint32_t     ran;
    struct rpc  *all[8];
    uint32_t     opened;
};

static int echo(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    (void)err;
    ((struct pair *)ctx)->ran++;
    for (uint32_t i = 0; i < request->message->parts_count; i++)
        rpc_message_add(reply, request->message->parts[i].buf, request->message->parts[i].offset,
                        request->message->parts[i].size);
    return 0;
}

static int hang(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    (void)ctx;
    (void)reply;
    (void)err;
    return task_sleep_until(request->deadline);
}

static int64_t soon(struct pair *p)
{
    return env_now(p->process) + 10 * NS_PER_S;
}

static void open_side(struct pair *p, int i, uint64_t cluster, const char *listen)
{
    struct side *s = &p->side[i];
    struct error err;

    p->process->node_id = (uint32_t)i + 1;   /* Looked at here only. */
    s->rpc = p->all[p->opened++] = rpc_new(p->process, cluster);
    rpc_register(s->rpc, METHOD_ECHO, "echo", NULL, NULL, echo, p);
    rpc_register(s->rpc, METHOD_HANG, "hang", NULL, NULL, hang, p);
    assert_int_equal(rpc_tcp_new(s->rpc, cluster, &(struct rpc_tcp_options) { .listen = listen }, &s->tcp, &err), 0);
}

static void close_side(struct pair *p, int i)
{
    p->side[i].tcp = rpc_tcp_close(p->side[i].tcp);
}

/* Closes what is open; frees when the tasks have unwound and hanging handlers have ended. */
static void finish(struct pair *p)
{
    close_side(p, 0);
    close_side(p, 1);
    while (p->process->group.count > 1)
        assert_int_equal(task_sleep(NS_PER_MS), 0);
    for (uint32_t i = 0; i < p->opened; i++)
        rpc_free(p->all[i]);
}

static void connect_sides(struct pair *p, int from, int to)
{
    char address[CONN_ADDRESS_MAX];

    snprintf(address, sizeof address, "127.0.0.1:%u", rpc_tcp_port(p->side[to].tcp));
    assert_int_equal(rpc_tcp_add_peer(p->side[from].tcp, (uint32_t)to + 1, address), 0);
    assert_int_equal(rpc_tcp_add_peer(p->side[from].tcp, (uint32_t)to + 1, address), -EEXIST);
}

static void wait_connected(struct pair *p, int from, int to)
{
    while (!rpc_tcp_connected(p->side[from].tcp, (uint32_t)to + 1))
        assert_int_equal(task_sleep(NS_PER_MS), 0);
}

static int call(struct pair *p, int from, uint32_t to, uint16_t method, size_t size, int64_t timeout_ms)
{
    struct rpc_message *m = rpc_message_new(), *reply = NULL;
    size_t              left = size;
    int                 rc;

    while (left > 0) {
        size_t      n = left < BUF_SIZE_MAX ? left : BUF_SIZE_MAX;
        struct buf *buf = buf_new(n);

        memset(buf->data, (int)(left * 7), n);
        assert_int_equal(rpc_message_add(m, buf, 0, (uint32_t)n), 0);
        buf_unref(buf);
        left -= n;
    }
    rc = rpc_call(p->side[from].rpc, to, method, 0, m, env_now(p->process) + timeout_ms * NS_PER_MS, &reply, NULL);
    if (rc == 0) {
        assert_int_equal(reply->payload_bytes, size);
        if (size > 0)
            assert_int_equal(reply->parts[0].buf->data[reply->parts[0].offset], (uint8_t)(size * 7));
    }
    rpc_message_unref(reply);
    rpc_message_unref(m);
    return rc;
}

static void run(void (*fn)(struct env *env, void *arg))
{
    struct pair p = { .ran = 0 };

    log_set_level(LOG_ERROR);
    assert_int_equal(kernel_main(&(struct kernel_options) { .node_id = 9 }, fn, &p), 0);
    buf_trim();
}

static void sizes_task(struct env *env, void *arg)
{
    static const size_t sizes[] = { 0, 1, 4096, 65535, 65536, 65537, 1000000, BUF_SIZE_MAX, BUF_SIZE_MAX + 1,
                                    RPC_PAYLOAD_MAX };
    struct pair *p = arg;

    p->process = env;
    open_side(p, 0, CLUSTER, "127.0.0.1:0");
    open_side(p, 1, CLUSTER, "127.0.0.1:0");
    connect_sides(p, 0, 1);
    connect_sides(p, 1, 0);
    wait_connected(p, 0, 1);
    wait_connected(p, 1, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(call(p, 0, 2, METHOD_ECHO, sizes[i], 10000), 0);
        assert_int_equal(call(p, 1, 1, METHOD_ECHO, sizes[i], 10000), 0);
    }
    finish(p);
}

static void call__any_payload_size_comes_back(void **state)
{
    (void)state;
    run(sizes_task);
}

static void one_way_task(struct env *env, void *arg)
{
    struct pair *p = arg;

    p->process = env;
    open_side(p, 0, CLUSTER, "127.0.0.1:0");
    open_side(p, 1, CLUSTER, NULL);
    connect_sides(p, 1, 0);
    wait_connected(p, 1, 0);
    assert_int_equal(call(p, 1, 1, METHOD_ECHO, 100, 10000), 0);
    wait_connected(p, 0, 1);
    assert_int_equal(call(p, 0, 2, METHOD_ECHO, 100, 10000), 0);   /* Over the connection that the other made. */
    finish(p);
}

static void call__node_without_address_calls_and_is_called(void **state)
{
    (void)state;
    run(one_way_task);
}

struct lone_call {
    struct pair *p;
    int          rc;
    bool         done;
};

static void lone_call_task(void *arg)
{
    struct lone_call *c = arg;

    c->rc = call(c->p, 0, 2, METHOD_HANG, 0, 500);
    c->done = true;
}

static void lost_task(struct env *env, void *arg)
{
    struct pair     *p = arg;
    struct lone_call c = { .p = p };
    char             address[CONN_ADDRESS_MAX];

    p->process = env;
    open_side(p, 0, CLUSTER, NULL);
    open_side(p, 1, CLUSTER, "127.0.0.1:0");
    assert_int_equal(call(p, 0, 2, METHOD_ECHO, 0, 1000), -E_UNAVAILABLE);   /* No such peer yet. */
    connect_sides(p, 0, 1);
    wait_connected(p, 0, 1);
    assert_int_equal(env_spawn(p->process, "call", lone_call_task, &c), 0);
    assert_int_equal(task_sleep(20 * NS_PER_MS), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", rpc_tcp_port(p->side[1].tcp));
    close_side(p, 1);
    while (!c.done)
        assert_int_equal(task_sleep(NS_PER_MS), 0);
    assert_int_equal(c.rc, -E_CLOSED);
    /* The peer comes back at the same address: the connection is made again. */
    open_side(p, 1, CLUSTER, address);
    wait_connected(p, 0, 1);
    assert_int_equal(call(p, 0, 2, METHOD_ECHO, 5000, 10000), 0);
    finish(p);
}

static void call__lost_peer_is_noticed_and_found_again(void **state)
{
    (void)state;
    run(lost_task);
}

static void foreign_task(struct env *env, void *arg)
{
    struct pair *p = arg;

    p->process = env;
    open_side(p, 0, CLUSTER, NULL);
    open_side(p, 1, CLUSTER + 1, "127.0.0.1:0");
    connect_sides(p, 0, 1);
    assert_int_equal(task_sleep(300 * NS_PER_MS), 0);
    assert_false(rpc_tcp_connected(p->side[0].tcp, 2));
    assert_false(rpc_tcp_connected(p->side[1].tcp, 1));
    finish(p);
}

static void hello__other_cluster_is_refused(void **state)
{
    (void)state;
    run(foreign_task);
}

struct many {
    struct pair *p;
    uint32_t     left;
};

static void many_call_task(void *arg)
{
    struct many *m = arg;

    for (int i = 0; i < 50; i++)
        assert_int_equal(call(m->p, 0, 2, METHOD_ECHO, 4096, 20000), 0);
    m->left--;
}

static void many_task(struct env *env, void *arg)
{
    struct pair *p = arg;
    struct many  m = { .p = p, .left = 64 };

    p->process = env;
    open_side(p, 0, CLUSTER, NULL);
    open_side(p, 1, CLUSTER, "127.0.0.1:0");
    connect_sides(p, 0, 1);
    wait_connected(p, 0, 1);
    int64_t start = env_now(env);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(env_spawn(p->process, "call", many_call_task, &m), 0);
    while (m.left > 0)
        assert_int_equal(task_sleep(NS_PER_MS), 0);
    printf("%u calls of 4 KiB both ways, %.1f us each\n", p->ran, (double)(env_now(env) - start) / 1e3 / p->ran);
    assert_int_equal(p->ran, 3200);
    assert_true(rpc_latency(p->side[0].rpc, 2) > 0);
    finish(p);
}

static void call__many_at_once_share_a_connection(void **state)
{
    (void)state;
    run(many_task);
}

static void garbage_task(struct env *env, void *arg)
{
    struct pair *p = arg;
    struct conn *conn;
    char         address[CONN_ADDRESS_MAX], junk[300];
    struct iovec iov = { junk, sizeof junk };
    size_t       n = 1;

    p->process = env;
    open_side(p, 0, CLUSTER, "127.0.0.1:0");
    snprintf(address, sizeof address, "127.0.0.1:%u", rpc_tcp_port(p->side[0].tcp));
    assert_int_equal(conn_connect(env, address, soon(p), &conn, NULL), 0);
    memset(junk, 'x', sizeof junk);
    assert_int_equal(conn_write(conn, &iov, 1, soon(p)), 0);
    /* Closed on us, in whichever way the kernel says so. */
    if (conn_read(conn, junk, sizeof junk, soon(p), &n) == 0)
        assert_int_equal(n, 0);
    conn_free(conn);
    finish(p);
}

static void hello__garbage_ends_the_connection(void **state)
{
    (void)state;
    run(garbage_task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call__any_payload_size_comes_back),
        cmocka_unit_test(call__node_without_address_calls_and_is_called),
        cmocka_unit_test(call__lost_peer_is_noticed_and_found_again),
        cmocka_unit_test(call__many_at_once_share_a_connection),
        cmocka_unit_test(hello__other_cluster_is_refused),
        cmocka_unit_test(hello__garbage_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
