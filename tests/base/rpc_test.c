/* tests/base/rpc_test.c - calls on the own node and between two nodes on a
 * clock and a wire that the test moves by hand. */
#include "base/rpc.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "proto/storage.pb-c.h"
#include "tests/lib/test.h"

enum { WIRE_MAX = 16384, METHOD_ECHO = 7, METHOD_REFUSE, METHOD_HANG, METHOD_UNKNOWN, METHOD_TRACE };

struct packet {
    uint32_t        from, to;
    uint8_t        *head;
    size_t          head_size;
    struct buf_part parts[RPC_PARTS_MAX];
    uint32_t        parts_count;
    uint64_t        tail;
};

struct node {
    struct env env;
    struct rpc *rpc;
    uint32_t   ran;          /* Handlers that began. */
    struct waitq hang;
    char       trace[TASK_TRACE_MAX];
};

struct world {
    struct sched *sched;
    int64_t       now;
    struct rng    rng;
    struct node   node[2];
    struct packet wire[WIRE_MAX];
    uint32_t      wire_count;
    int           send_rc;
};

static struct world *world;

static int64_t clock_now(void *arg) { (void)arg; return world->now; }
static int64_t env_clock(struct env *env) { (void)env; return world->now; }
static void env_fill(struct env *env, void *bytes, size_t size) { (void)env; rng_fill(&world->rng, bytes, size); }
static const struct env_ops ops = { .now = env_clock, .wall = env_clock, .random = env_fill };

static int wire_send(void *ctx, uint32_t to, const struct rpc_frame *frame)
{
    struct node   *from = ctx;
    struct packet *p = &world->wire[world->wire_count];

    if (world->send_rc < 0)
        return world->send_rc;
    assert_true(world->wire_count < WIRE_MAX);
    world->wire_count++;
    *p = (struct packet) { .from = from->env.node_id, .to = to, .head_size = frame->head.size, .tail = frame->tail };
    p->head = malloc(frame->head.size);
    memcpy(p->head, frame->head.data, frame->head.size);
    for (uint32_t i = 0; i < frame->parts_count; i++) {
        p->parts[i] = frame->parts[i];
        buf_ref(p->parts[i].buf);
    }
    p->parts_count = frame->parts_count;
    return 0;
}

static void packet_done(struct packet *p)
{
    for (uint32_t i = 0; i < p->parts_count; i++)
        buf_unref(p->parts[i].buf);
    free(p->head);
}

static int packet_deliver(const struct packet *p)
{
    return rpc_deliver(world->node[p->to - 1].rpc, p->from, slice_of(p->head, p->head_size), p->parts,
                       p->parts_count, p->tail);
}

/* Delivers what is on the wire now, 'copies' times each. */
static void wire_deliver(uint32_t copies)
{
    uint32_t count = world->wire_count;

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t c = 0; c < copies; c++)
            assert_int_equal(packet_deliver(&world->wire[i]), 0);
        packet_done(&world->wire[i]);
    }
    world->wire_count -= count;
    memmove(world->wire, world->wire + count, world->wire_count * sizeof world->wire[0]);
}

static void wire_lose(void)
{
    for (uint32_t i = 0; i < world->wire_count; i++)
        packet_done(&world->wire[i]);
    world->wire_count = 0;
}

/* Until nothing moves at this time. */
static void settle(void)
{
    do {
        wire_deliver(1);
        sched_run(world->sched);
    } while (world->wire_count > 0);
}

static void advance(int64_t ns)
{
    world->now += ns;
    settle();
}

/* --- Handlers --- */

static int echo(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    struct node    *node = ctx;
    Rs__RowValue   *in = (Rs__RowValue *)request->message->head, *out;

    (void)err;
    node->ran++;
    out = arena_new(&reply->arena, Rs__RowValue);
    rs__row_value__init(out);
    out->size = in->size + 1;
    reply->head = &out->base;
    for (uint32_t i = 0; i < request->message->parts_count; i++)
        rpc_message_add(reply, request->message->parts[i].buf, request->message->parts[i].offset,
                        request->message->parts[i].size);
    return 0;
}

static int refuse(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    Rs__RowValue *out = arena_new(&reply->arena, Rs__RowValue);

    (void)request;
    ((struct node *)ctx)->ran++;
    rs__row_value__init(out);
    out->size = 99;
    reply->head = &out->base;
    return error_set(err, -E_OUTBID, "ballot 99 was seen");
}

static int hang(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    struct node *node = ctx;

    (void)reply;
    (void)err;
    node->ran++;
    return waitq_wait(&node->hang, request->deadline);
}

static int keep_trace(void *ctx, const struct rpc_request *request, struct rpc_message *reply, struct error *err)
{
    struct node *node = ctx;

    (void)request;
    (void)reply;
    (void)err;
    snprintf(node->trace, sizeof node->trace, "%s", task_trace());
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    world = calloc(1, sizeof *world);
    world->now = 1000 * NS_PER_S;
    rng_init(&world->rng, 1, 1);
    world->sched = sched_new(clock_now, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        struct node *n = &world->node[i];

        n->env = (struct env) { .ops = &ops, .sched = world->sched, .node_id = i + 1 };
        task_group_init(&n->env.group, world->sched);
        n->rpc = rpc_new(&n->env, 0xC1);
        const ProtobufCMessageDescriptor *type = &rs__row_value__descriptor;
        rpc_register(n->rpc, METHOD_ECHO, "echo", type, type, echo, n);
        rpc_register(n->rpc, METHOD_REFUSE, "refuse", type, type, refuse, n);
        rpc_register(n->rpc, METHOD_HANG, "hang", NULL, NULL, hang, n);
        rpc_register(n->rpc, METHOD_TRACE, "trace", NULL, NULL, keep_trace, n);
        rpc_set_transport(n->rpc, &(struct rpc_transport) { n, wire_send });
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wire_lose();
    for (uint32_t i = 0; i < 2; i++) {
        task_group_cancel(&world->node[i].env.group);
        sched_run(world->sched);
    }
    assert_int_equal(sched_tasks(world->sched), 0);
    wire_lose();
    for (uint32_t i = 0; i < 2; i++)
        rpc_free(world->node[i].rpc);
    sched_free(world->sched);
    free(world);
    return 0;
}

static struct rpc_message *message_of(uint64_t size)
{
    struct rpc_message *m = rpc_message_new();
    Rs__RowValue       *v = arena_new(&m->arena, Rs__RowValue);

    rs__row_value__init(v);
    v->size = size;
    m->head = &v->base;
    return m;
}

static uint64_t size_in(const struct rpc_message *m)
{
    return ((Rs__RowValue *)m->head)->size;
}

/* One call as a task. */
struct caller {
    uint32_t            node;
    uint16_t            method;
    struct rpc_message *message;
    int64_t             timeout;
    bool                ended;
    int                 rc;
    struct error        err;
    struct rpc_message *reply;
};

static void call_task(void *arg)
{
    struct caller *c = arg;

    c->rc = rpc_call(world->node[0].rpc, c->node, c->method, 5, c->message, world->now + c->timeout, &c->reply,
                     &c->err);
    c->ended = true;
}

static void start(struct caller *c)
{
    if (c->timeout == 0)
        c->timeout = NS_PER_S;
    assert_int_equal(env_spawn(&world->node[0].env, "caller", call_task, c), 0);
    sched_run(world->sched);
}

static void caller_done(struct caller *c)
{
    rpc_message_unref(c->message);
    rpc_message_unref(c->reply);
}

static void call__own_node_answers_without_the_wire(void **state)
{
    struct caller c = { .node = 1, .method = METHOD_ECHO, .message = message_of(41) };

    (void)state;
    rpc_message_add_bytes(c.message, SLICE("payload"));
    start(&c);
    assert_true(c.ended);
    assert_int_equal(c.rc, 0);
    assert_int_equal(size_in(c.reply), 42);
    assert_ptr_equal(c.reply->parts[0].buf, c.message->parts[0].buf);   /* By reference. */
    caller_done(&c);
}

static void call__other_node_answers_over_the_wire(void **state)
{
    struct caller c = { .node = 2, .method = METHOD_ECHO, .message = message_of(1) };

    (void)state;
    rpc_message_add_bytes(c.message, SLICE("pay"));
    rpc_message_add_bytes(c.message, SLICE("load"));
    start(&c);
    assert_false(c.ended);
    world->now += 3 * NS_PER_MS;
    settle();
    assert_true(c.ended);
    assert_int_equal(c.rc, 0);
    assert_int_equal(size_in(c.reply), 2);
    assert_int_equal(c.reply->payload_bytes, 7);
    assert_true(rpc_latency(world->node[0].rpc, 2) >= 3 * NS_PER_MS);
    caller_done(&c);
}

static void call__refusal_carries_code_text_and_reply(void **state)
{
    (void)state;
    for (uint32_t node = 1; node <= 2; node++) {
        struct caller c = { .node = node, .method = METHOD_REFUSE, .message = message_of(1) };

        start(&c);
        settle();
        assert_int_equal(c.rc, -E_OUTBID);
        assert_string_equal(c.err.text, "ballot 99 was seen");
        assert_int_equal(size_in(c.reply), 99);
        caller_done(&c);
    }
}

static void call__unknown_method_is_enosys(void **state)
{
    (void)state;
    for (uint32_t node = 1; node <= 2; node++) {
        struct caller c = { .node = node, .method = METHOD_UNKNOWN };

        start(&c);
        settle();
        assert_int_equal(c.rc, -ENOSYS);
        caller_done(&c);
    }
}

static void traced_task(void *arg)
{
    task_set_trace("tx0123456789-abc");
    call_task(arg);
}

static void call__trace_id_of_the_caller_is_the_handlers(void **state)
{
    (void)state;
    for (uint32_t node = 1; node <= 2; node++) {
        struct caller c = { .node = node, .method = METHOD_TRACE, .timeout = NS_PER_S };

        env_spawn(&world->node[0].env, "caller", traced_task, &c);
        sched_run(world->sched);
        settle();
        assert_string_equal(world->node[node - 1].trace, "tx0123456789-abc");
        caller_done(&c);
    }
}

static void call__time_out_and_late_answer_is_dropped(void **state)
{
    struct caller c = { .node = 2, .method = METHOD_HANG, .timeout = 50 * NS_PER_MS };

    (void)state;
    start(&c);
    settle();
    advance(51 * NS_PER_MS);   /* Both deadlines pass; the handler's answer comes late. */
    assert_true(c.ended);
    assert_int_equal(c.rc, -ETIMEDOUT);
    settle();
}

static void call__handler_does_not_start_after_the_deadline(void **state)
{
    struct caller c = { .node = 2, .method = METHOD_ECHO, .message = message_of(1), .timeout = 10 * NS_PER_MS };

    (void)state;
    start(&c);
    wire_deliver(1);
    world->now += 20 * NS_PER_MS;
    settle();
    assert_int_equal(world->node[1].ran, 0);
    assert_int_equal(c.rc, -ETIMEDOUT);
    caller_done(&c);
}

static void call__duplicate_request_runs_twice_and_counts_once(void **state)
{
    struct caller c = { .node = 2, .method = METHOD_ECHO, .message = message_of(1) };

    (void)state;
    start(&c);
    wire_deliver(2);
    sched_run(world->sched);
    assert_int_equal(world->node[1].ran, 2);
    wire_deliver(2);   /* Four answers. */
    sched_run(world->sched);
    assert_int_equal(c.rc, 0);
    assert_int_equal(size_in(c.reply), 2);
    caller_done(&c);
}

static void call__lost_peer_fails_calls_in_flight(void **state)
{
    struct caller c = { .node = 2, .method = METHOD_HANG };

    (void)state;
    start(&c);
    rpc_peer_lost(world->node[0].rpc, 2);
    settle();
    assert_int_equal(c.rc, -E_CLOSED);
}

static void call__no_connection_was_certainly_not_sent(void **state)
{
    struct rpc_fan          fan;
    const struct rpc_reply *reply;

    (void)state;
    world->send_rc = -E_UNAVAILABLE;
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    rpc_fan_send(&fan, 3, 2, METHOD_HANG, 0, NULL);
    assert_int_equal(rpc_fan_next(&fan, TASK_FOREVER, &reply), 0);
    assert_int_equal(reply->tag, 3);
    assert_int_equal(reply->code, -E_UNAVAILABLE);
    assert_false(reply->sent);
    assert_int_equal(rpc_fan_next(&fan, TASK_FOREVER, &reply), -ENOENT);
    rpc_fan_close(&fan);
}

static void call__answer_to_an_earlier_life_finds_nobody(void **state)
{
    struct caller c = { .node = 2, .method = METHOD_ECHO, .message = message_of(1) };
    struct packet old;

    (void)state;
    start(&c);
    wire_deliver(1);
    sched_run(world->sched);
    assert_int_equal(world->wire_count, 1);
    old = world->wire[0];
    world->wire_count = 0;
    /* Node 1 ends and starts again. */
    task_group_cancel(&world->node[0].env.group);
    sched_run(world->sched);
    rpc_free(world->node[0].rpc);
    task_group_init(&world->node[0].env.group, world->sched);
    world->node[0].rpc = rpc_new(&world->node[0].env, 0xC1);
    assert_int_equal(packet_deliver(&old), 0);
    packet_done(&old);
    caller_done(&c);
}

struct fanner {
    struct rpc_fan fan;
    uint32_t       answers;
    int            last;
};

/* Takes every answer. */
static void fan_task(void *arg)
{
    struct fanner          *f = arg;
    const struct rpc_reply *reply;

    while ((f->last = rpc_fan_next(&f->fan, TASK_FOREVER, &reply)) == 0) {
        assert_int_equal(reply->code, 0);
        f->answers++;
        rpc_fan_forget(&f->fan, reply);
    }
    rpc_fan_close(&f->fan);
}

static void fan__more_than_the_credit_waits_its_turn(void **state)
{
    struct fanner       f = { .answers = 0 };
    struct rpc_message *m = message_of(1);

    (void)state;
    rpc_fan_open(&f.fan, world->node[0].rpc, world->now + NS_PER_S);
    for (uint32_t i = 0; i < RPC_INFLIGHT_MAX + RPC_WAITING_MAX; i++)
        rpc_fan_send(&f.fan, i, 2, METHOD_ECHO, 0, m);
    assert_int_equal(world->wire_count, RPC_INFLIGHT_MAX);
    env_spawn(&world->node[0].env, "fan", fan_task, &f);
    settle();
    assert_int_equal(f.answers, RPC_INFLIGHT_MAX + RPC_WAITING_MAX);
    assert_int_equal(f.last, -ENOENT);
    rpc_message_unref(m);
}

static void fan__past_the_waiting_limit_is_overload_and_unsent(void **state)
{
    struct rpc_fan          fan;
    const struct rpc_reply *reply;
    struct rpc_message     *m = message_of(1);

    (void)state;
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    for (uint32_t i = 0; i < RPC_INFLIGHT_MAX + RPC_WAITING_MAX + 1; i++)
        rpc_fan_send(&fan, i, 2, METHOD_ECHO, 0, m);
    assert_int_equal(rpc_fan_next(&fan, TASK_FOREVER, &reply), 0);
    assert_int_equal(reply->code, -E_OVERLOAD);
    assert_false(reply->sent);
    rpc_fan_close(&fan);
    rpc_message_unref(m);
}

static void fan__payload_bytes_are_credit_too(void **state)
{
    struct rpc_fan      fan;
    struct rpc_message *m = message_of(1);
    struct buf         *buf = buf_new(BUF_SIZE_MAX);

    (void)state;
    assert_int_equal(rpc_message_add(m, buf, 0, BUF_SIZE_MAX), 0);
    assert_int_equal(rpc_message_add(m, buf, 0, BUF_SIZE_MAX), 0);
    assert_int_equal(rpc_message_add(m, buf, 0, 1), -E_LIMIT);   /* RPC_PAYLOAD_MAX */
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    for (uint32_t i = 0; i < 20; i++)
        rpc_fan_send(&fan, i, 2, METHOD_ECHO, 0, m);
    assert_int_equal(world->wire_count, RPC_INFLIGHT_BYTES / RPC_PAYLOAD_MAX);
    rpc_fan_close(&fan);
    rpc_message_unref(m);
    buf_unref(buf);
}

static void fan__closed_calls_keep_their_credit_until_the_deadline(void **state)
{
    struct rpc_fan fan;

    (void)state;
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    for (uint32_t i = 0; i < RPC_INFLIGHT_MAX; i++)
        rpc_fan_send(&fan, i, 2, METHOD_HANG, 0, NULL);
    rpc_fan_close(&fan);
    wire_lose();
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    rpc_fan_send(&fan, 1, 2, METHOD_HANG, 0, NULL);
    assert_int_equal(world->wire_count, 0);
    rpc_fan_close(&fan);
    world->now += 2 * NS_PER_S;
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    rpc_fan_send(&fan, 1, 2, METHOD_HANG, 0, NULL);
    assert_int_equal(world->wire_count, 1);
    rpc_fan_close(&fan);
}

static void fan__earlier_deadline_lets_a_caller_hedge(void **state)
{
    struct rpc_fan          fan;
    const struct rpc_reply *reply;
    struct rpc_message     *m = message_of(1);

    (void)state;
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    rpc_fan_send(&fan, 1, 2, METHOD_ECHO, 0, m);
    wire_deliver(1);
    sched_run(world->sched);
    wire_deliver(1);
    assert_int_equal(rpc_fan_next(&fan, world->now, &reply), 0);   /* Answered already: no wait. */
    assert_int_equal(size_in(reply->message), 2);
    rpc_fan_close(&fan);
    rpc_message_unref(m);
}

static void serving__too_many_handlers_are_refused(void **state)
{
    struct rpc_fan          fan;
    const struct rpc_reply *reply;

    (void)state;
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    for (uint32_t i = 0; i <= RPC_SERVING_MAX; i++)
        rpc_fan_send(&fan, i, 1, METHOD_HANG, 0, NULL);
    assert_int_equal(rpc_fan_next(&fan, TASK_FOREVER, &reply), 0);
    assert_int_equal(reply->tag, RPC_SERVING_MAX);
    assert_int_equal(reply->code, -E_OVERLOAD);
    assert_false(reply->sent);
    rpc_fan_close(&fan);
}

static void frame__every_damaged_byte_is_detected(void **state)
{
    struct rpc_fan      fan;
    struct rpc_message *m = message_of(123456);
    struct packet       p;

    (void)state;
    rpc_message_add_bytes(m, SLICE("some payload bytes"));
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    rpc_fan_send(&fan, 1, 2, METHOD_ECHO, 0, m);
    p = world->wire[0];
    for (size_t i = 0; i < p.head_size; i++)
        for (int bit = 0; bit < 8; bit += 3) {
            p.head[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(packet_deliver(&p), -E_CORRUPT);
            p.head[i] ^= (uint8_t)(1 << bit);
        }
    for (uint32_t i = 0; i < p.parts[0].size; i++) {
        p.parts[0].buf->data[p.parts[0].offset + i] ^= 0x20;
        assert_int_equal(packet_deliver(&p), -E_CORRUPT);
        p.parts[0].buf->data[p.parts[0].offset + i] ^= 0x20;
    }
    p.tail ^= 1;
    assert_int_equal(packet_deliver(&p), -E_CORRUPT);
    p.tail ^= 1;
    p.head_size--;
    assert_int_equal(packet_deliver(&p), -E_CORRUPT);
    p.head_size++;
    p.from = 3;
    assert_int_equal(packet_deliver(&p), -E_FORBIDDEN);
    sched_run(world->sched);
    assert_int_equal(world->node[1].ran, 0);
    rpc_fan_close(&fan);
    rpc_message_unref(m);
}

static void frame__other_cluster_is_refused(void **state)
{
    struct rpc     *other = rpc_new(&world->node[1].env, 0xC2);
    struct rpc_fan  fan;
    struct packet  *p = &world->wire[0];

    (void)state;
    rpc_fan_open(&fan, world->node[0].rpc, world->now + NS_PER_S);
    rpc_fan_send(&fan, 1, 2, METHOD_HANG, 0, NULL);
    assert_int_equal(rpc_deliver(other, 1, slice_of(p->head, p->head_size), NULL, 0, p->tail), -E_FORBIDDEN);
    rpc_fan_close(&fan);
    rpc_free(other);
}

static void frame__oversized_head_is_an_error_answer(void **state)
{
    struct caller c = { .node = 2, .method = METHOD_ECHO, .message = message_of(1) };
    Rs__RowValue *v = (Rs__RowValue *)c.message->head;

    (void)state;
    v->data.len = RPC_HEAD_MAX + 1;
    v->data.data = arena_alloc(&c.message->arena, v->data.len);
    start(&c);
    settle();
    assert_int_equal(c.rc, -E_LIMIT);
    caller_done(&c);
}

struct stopping {
    struct task_group group;
    bool              done;
    int               rc;
};

static void stop_task(void *arg)
{
    struct stopping *s = arg;

    s->rc = rpc_stop_serving(world->node[1].rpc, world->now + NS_PER_S, world->now + 2 * NS_PER_S);
    s->done = true;
}

static void stop__waits_for_handlers_and_cancels_those_that_hang(void **state)
{
    struct caller   hanging = { .node = 2, .method = METHOD_HANG, .timeout = 9 * NS_PER_S }, late = { .node = 2, .method = METHOD_ECHO };
    struct stopping s = { .rc = 1 };

    (void)state;
    late.message = message_of(1);
    start(&hanging);
    settle();
    assert_int_equal(world->node[1].ran, 1);
    task_group_init(&s.group, world->sched);
    assert_int_equal(task_spawn(world->sched, &s.group, "stop", stop_task, &s), 0);
    settle();
    start(&late);
    settle();
    assert_int_equal(late.rc, -E_UNAVAILABLE);   /* Not begun any more. */
    assert_int_equal(world->node[1].ran, 1);
    assert_false(s.done);
    advance(NS_PER_S);
    assert_true(s.done);
    assert_int_equal(s.rc, 0);
    assert_int_equal(hanging.rc, -ECANCELED);
    caller_done(&hanging);
    caller_done(&late);
}

static void message__too_many_parts_are_refused(void **state)
{
    struct rpc_message *m = rpc_message_new();

    (void)state;
    for (uint32_t i = 0; i < RPC_PARTS_MAX; i++)
        assert_int_equal(rpc_message_add_bytes(m, SLICE("x")), 0);
    assert_int_equal(rpc_message_add_bytes(m, SLICE("x")), -E_LIMIT);
    rpc_message_unref(m);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(call__own_node_answers_without_the_wire),
        T(call__other_node_answers_over_the_wire),
        T(call__refusal_carries_code_text_and_reply),
        T(call__unknown_method_is_enosys),
        T(call__trace_id_of_the_caller_is_the_handlers),
        T(call__time_out_and_late_answer_is_dropped),
        T(call__handler_does_not_start_after_the_deadline),
        T(call__duplicate_request_runs_twice_and_counts_once),
        T(call__lost_peer_fails_calls_in_flight),
        T(call__no_connection_was_certainly_not_sent),
        T(call__answer_to_an_earlier_life_finds_nobody),
        T(fan__more_than_the_credit_waits_its_turn),
        T(fan__past_the_waiting_limit_is_overload_and_unsent),
        T(fan__payload_bytes_are_credit_too),
        T(fan__closed_calls_keep_their_credit_until_the_deadline),
        T(fan__earlier_deadline_lets_a_caller_hedge),
        T(serving__too_many_handlers_are_refused),
        T(frame__every_damaged_byte_is_detected),
        T(frame__other_cluster_is_refused),
        T(frame__oversized_head_is_an_error_answer),
        T(stop__waits_for_handlers_and_cancels_those_that_hang),
        T(message__too_many_parts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
