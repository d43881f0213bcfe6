/* tests/base/task_test.c - tasks under a clock of the test's own. */
#include "tests/lib/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/task.h"

/* The clock moves when the test says so, or jumps to the next deadline. */
static int64_t now;

static int64_t clock_read(void *arg)
{
    (void)arg;
    return now;
}

static struct sched     *sched;
static struct task_group group;
static char              trace[4096];   /* What happened, in order. */

static int setup(void **state)
{
    (void)state;
    now = 1000;
    trace[0] = '\0';
    sched = sched_new(clock_read, NULL);
    task_group_init(&group, sched);
    return sched ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sched = sched_free(sched);
    return 0;
}

static void note(const char *text)
{
    size_t n = strlen(trace);
    snprintf(trace + n, sizeof trace - n, "%s ", text);
}

static void spawn(task_fn fn, void *arg)
{
    assert_int_equal(task_spawn(sched, &group, "test", fn, arg), 0);
}

/* Runs until nothing is left to do; jumps over idle time. */
static void run(void)
{
    int64_t next;
    while ((next = sched_run(sched)) != TASK_FOREVER)
        now = next;
}

/* --- Running --- */

static void notes_twice(void *arg)
{
    note(arg);
    assert_int_equal(task_yield(), 0);
    note(arg);
}

static void sched__runs_in_order_of_spawn(void **state)
{
    (void)state;
    spawn(notes_twice, "a");
    spawn(notes_twice, "b");
    spawn(notes_twice, "c");
    assert_int_equal(sched_tasks(sched), 3);
    assert_true(sched_ready(sched));
    assert_string_equal(trace, "");
    run();
    assert_string_equal(trace, "a b c a b c ");
    assert_int_equal(sched_tasks(sched), 0);
    assert_int_equal(group.count, 0);
    assert_null(task_self());
    assert_string_equal(task_trace(), "");
}

static void yields_for_ever(void *arg)
{
    (void)arg;
    while (task_yield() == 0) { }
}

static void sched__run_some_returns_while_tasks_yield(void **state)
{
    (void)state;
    spawn(yields_for_ever, NULL);
    sched_run_some(sched, 100);
    assert_true(sched_ready(sched));
    assert_int_equal(sched_tasks(sched), 1);
    task_group_cancel(&group);
    run();
}

static void inherits(void *arg)
{
    (void)arg;
    assert_string_equal(task_trace(), "req-1");
    assert_string_equal(task_name(task_self()), "child");
    assert_ptr_equal(task_sched(), sched);
    note("child");
}

static void sets_trace(void *arg)
{
    char id[100];
    (void)arg;
    task_set_trace("req-1");
    assert_int_equal(task_spawn(NULL, NULL, "child", inherits, NULL), 0);
    memset(id, 'x', sizeof id);
    id[99] = '\0';
    task_set_trace(id);
    assert_int_equal(strlen(task_trace()), TASK_TRACE_MAX - 1);
    task_set_trace(NULL);
    assert_string_equal(task_trace(), "");
    /* The child took the id as it was when it was spawned. */
}

static void task__inherits_group_and_trace(void **state)
{
    (void)state;
    spawn(sets_trace, NULL);
    run();
    assert_string_equal(trace, "child ");
}

static void task__limit_refuses_and_recovers(void **state)
{
    (void)state;
    sched_set_tasks_max(sched, 3);
    for (int i = 0; i < 3; i++)
        spawn(yields_for_ever, NULL);
    assert_int_equal(task_spawn(sched, &group, "one more", yields_for_ever, NULL), -E_OVERLOAD);
    task_group_cancel(&group);
    assert_int_equal(task_spawn(sched, &group, "late", yields_for_ever, NULL), -ECANCELED);
    run();
    task_group_init(&group, sched);
    spawn(yields_for_ever, NULL);
    task_group_cancel(&group);
    run();
    sched_set_tasks_max(sched, UINT32_MAX);   /* Not above TASKS_MAX. */
}

static void counts(void *arg)
{
    assert_int_equal(task_sleep(1000), 0);
    ++*(uint32_t *)arg;
}

static void task__as_many_as_allowed(void **state)
{
    uint32_t count = 0;
    (void)state;
#if defined(__SANITIZE_THREAD__)
    uint32_t most = 4000;   /* ThreadSanitizer itself has a limit. */
#else
    uint32_t most = TASKS_MAX;
#endif
    sched_set_tasks_max(sched, most);
    for (uint32_t i = 0; i < most; i++)
        spawn(counts, &count);
    assert_int_equal(task_spawn(sched, &group, "one more", counts, &count), -E_OVERLOAD);
    run();
    assert_int_equal(count, most);
    sched_trim(sched);
    sched_trim(sched);
    spawn(counts, &count);
    run();
    assert_int_equal(count, most + 1);
}

/* --- Stacks --- */

static __attribute__((noinline)) void recurse(volatile uint8_t *above)
{
    volatile uint8_t here[4096];
    here[0] = above ? above[0] : 1;
    if (here[0] == 1)   /* Always; the compiler cannot know. */
        recurse(here);
    here[1] = here[0];
}

static void overflows(void *arg)
{
    (void)arg;
    recurse(NULL);
}

static void stack__overflow_hits_the_guard(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        close(STDERR_FILENO);
        spawn(notes_twice, "a");   /* A neighbour whose stack must not be hit instead. */
        spawn(overflows, NULL);
        sched_run(sched);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
}

static void uses_stack(void *arg)
{
    volatile uint8_t big[200 * 1024];
    memset((void *)big, 1, sizeof big);
    assert_int_equal(task_yield(), 0);
    for (size_t i = 0; i < sizeof big; i += 4096)
        assert_int_equal(big[i], 1);
    ++*(uint32_t *)arg;
}

static void stack__most_of_it_is_usable(void **state)
{
    uint32_t done = 0;
    (void)state;
    for (int i = 0; i < 20; i++)
        spawn(uses_stack, &done);
    run();
    assert_int_equal(done, 20);
}

/* --- Time --- */

struct sleep {
    int64_t     at;
    const char *name;
};

static void sleeps(void *arg)
{
    struct sleep *s = arg;
    assert_int_equal(task_sleep_until(s->at), 0);
    assert_true(now >= s->at);
    note(s->name);
}

static void sleep__wakes_by_deadline_then_by_order(void **state)
{
    struct sleep s[] = { { 5000, "e" }, { 3000, "c" }, { 3000, "d" }, { 2000, "a" }, { 2500, "b" }, { 500, "past" } };
    (void)state;
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++)
        spawn(sleeps, &s[i]);
    assert_int_equal(sched_run(sched), 2000);
    run();
    assert_string_equal(trace, "past a b c d e ");
    assert_int_equal(now, 5000);
}

static void sleeps_checked(void *arg)
{
    uint32_t *seed = arg;
    for (int i = 0; i < 50; i++) {
        *seed = *seed * 1103515245u + 12345u;
        int64_t until = now + (*seed >> 8) % 1000;
        assert_int_equal(task_sleep_until(until), 0);
        assert_true(now >= until);
    }
}

static void sleep__heap_keeps_order_under_load(void **state)
{
    uint32_t seed = 1;
    int64_t  next, before = now;
    (void)state;
    for (int i = 0; i < 300; i++)
        spawn(sleeps_checked, &seed);
    while ((next = sched_run(sched)) != TASK_FOREVER) {
        assert_true(next > before);
        before = now = next;
    }
    assert_int_equal(sched_tasks(sched), 0);
}

static void parks_until_1500(void *arg)
{
    (void)arg;
    assert_int_equal(task_park(1500), -ETIMEDOUT);
    assert_int_equal(now, 1500);
    assert_int_equal(task_park(1400), -ETIMEDOUT);   /* Past: at once. */
    assert_int_equal(task_sleep(INT64_MAX), -ECANCELED);
}

static void park__times_out(void **state)
{
    (void)state;
    spawn(parks_until_1500, NULL);
    assert_int_equal(sched_run(sched), 1500);
    now = 1500;
    assert_int_equal(sched_run(sched), TASK_FOREVER);
    task_group_cancel(&group);
    run();
}

/* --- Parking --- */

static struct task *parked;

static void parks(void *arg)
{
    parked = task_self();
    int rc = task_park(*(int64_t *)arg);
    note(rc == 0 ? "unparked" : error_name(rc));
}

static void park__unpark_wakes(void **state)
{
    int64_t deadline = TASK_FOREVER;
    (void)state;
    spawn(parks, &deadline);
    sched_run(sched);
    task_unpark(parked);
    assert_string_equal(trace, "");
    run();
    assert_string_equal(trace, "unparked ");
}

static void unparks_itself(void *arg)
{
    (void)arg;
    task_unpark(task_self());
    task_unpark(task_self());
    assert_int_equal(task_park(TASK_FOREVER), 0);
    assert_int_equal(task_park(now + 10), -ETIMEDOUT);   /* Two before it count once. */
    task_unpark(task_self());
    assert_int_equal(task_sleep(5), 0);                  /* Does not end a sleep, and is kept. */
    assert_int_equal(task_park(TASK_FOREVER), 0);
    task_unpark(task_self());
    task_park_shielded();
}

static void park__remembers_one_unpark(void **state)
{
    (void)state;
    spawn(unparks_itself, NULL);
    run();
    assert_int_equal(now, 1015);
}

static void park__unpark_wins_over_a_deadline_of_the_same_round(void **state)
{
    int64_t deadline = 1500;
    (void)state;
    spawn(parks, &deadline);
    sched_run(sched);
    now = 1600;
    task_unpark(parked);
    run();
    assert_string_equal(trace, "unparked ");
}

/* --- Cancellation --- */

static void waits_every_way(void *arg)
{
    struct waitq      q = { 0 };
    struct event      event = { 0 };
    struct wait_group wg = { .count = 1 };
    struct credit     credit;
    struct channel    ch;
    void             *slot[1], *item;

    (void)arg;
    credit_init(&credit, 0, 10);
    channel_init(&ch, slot, 1);
    assert_int_equal(task_park(TASK_FOREVER), -ECANCELED);
    /* From now on every wait fails. */
    assert_true(task_cancelled());
    assert_int_equal(task_park(TASK_FOREVER), -ECANCELED);
    assert_int_equal(task_yield(), -ECANCELED);
    assert_int_equal(task_sleep(1), -ECANCELED);
    assert_int_equal(task_sleep_until(0), -ECANCELED);
    assert_int_equal(waitq_wait(&q, TASK_FOREVER), -ECANCELED);
    assert_int_equal(event_wait(&event, TASK_FOREVER), -ECANCELED);
    assert_int_equal(wait_group_wait(&wg, TASK_FOREVER), -ECANCELED);
    assert_int_equal(credit_take(&credit, 1, TASK_FOREVER), -ECANCELED);
    assert_int_equal(credit.waiting, 0);
    assert_int_equal(channel_recv(&ch, &item, TASK_FOREVER), -ECANCELED);
    assert_int_equal(channel_send(&ch, NULL, TASK_FOREVER), 0);   /* Needs no waiting. */
    assert_int_equal(channel_send(&ch, NULL, TASK_FOREVER), -ECANCELED);
    note("unwound");
}

static void cancel__ends_every_wait(void **state)
{
    (void)state;
    spawn(waits_every_way, NULL);
    sched_run(sched);
    task_group_cancel(&group);
    task_group_cancel(&group);
    run();
    assert_string_equal(trace, "unwound ");
}

static void waits_in(void *arg)
{
    int rc = waitq_wait(arg, TASK_FOREVER);
    note(error_name(rc));
}

static void cancel__leaves_the_queue_intact(void **state)
{
    struct waitq      q = { 0 };
    struct task_group others;

    (void)state;
    task_group_init(&others, sched);
    spawn(waits_in, &q);
    assert_int_equal(task_spawn(sched, &others, "middle", waits_in, &q), 0);
    spawn(waits_in, &q);
    sched_run(sched);
    task_group_cancel(&others);
    run();
    assert_string_equal(trace, "ECANCELED ");
    assert_true(waitq_wake_one(&q));
    assert_true(waitq_wake_one(&q));
    assert_false(waitq_wake_one(&q));
    run();
    assert_string_equal(trace, "ECANCELED OK OK ");
}

static void shielded(void *arg)
{
    struct wait_group *wg = arg;
    parked = task_self();
    task_park_shielded();
    note("back");
    wait_group_wait_shielded(wg);
    note("joined");
    assert_int_equal(task_sleep(1), -ECANCELED);
}

static void cancel__does_not_end_shielded_waits(void **state)
{
    struct wait_group wg = { .count = 1 };
    (void)state;
    spawn(shielded, &wg);
    sched_run(sched);
    task_group_cancel(&group);
    run();
    assert_string_equal(trace, "");
    task_unpark(parked);
    run();
    assert_string_equal(trace, "back ");
    wait_group_done(&wg);
    run();
    assert_string_equal(trace, "back joined ");
}

/* --- Groups --- */

static void lives_a_while(void *arg)
{
    int rc = task_sleep(*(int64_t *)arg);
    note(rc == 0 ? "slept" : "cut");
}

static void owner(void *arg)
{
    struct task_group mine;
    int64_t           shorter = 10, longer = 100;

    (void)arg;
    task_group_init(&mine, sched);
    assert_int_equal(task_group_wait(&mine, TASK_FOREVER), 0);
    assert_int_equal(task_spawn(NULL, &mine, "a", lives_a_while, &shorter), 0);
    assert_int_equal(task_spawn(NULL, &mine, "b", lives_a_while, &longer), 0);
    assert_int_equal(task_group_wait(&mine, now + 50), -ETIMEDOUT);
    assert_int_equal(mine.count, 1);
    assert_int_equal(task_group_wait(&mine, TASK_FOREVER), 0);
    assert_int_equal(task_spawn(NULL, &mine, "c", lives_a_while, &longer), 0);
    int rc = task_group_wait(&mine, TASK_FOREVER);
    note(error_name(rc));
    task_group_close(&mine);   /* Also when the caller was cancelled. */
    assert_int_equal(mine.count, 0);
    note("closed");
}

static void group__waits_and_closes(void **state)
{
    (void)state;
    spawn(owner, NULL);
    assert_int_equal(sched_run(sched), 1010);
    now = 1010;
    assert_int_equal(sched_run(sched), 1050);
    now = 1050;
    assert_int_equal(sched_run(sched), 1100);
    now = 1100;
    assert_int_equal(sched_run(sched), 1200);
    assert_string_equal(trace, "slept slept ");
    task_group_cancel(&group);
    run();
    assert_string_equal(trace, "slept slept ECANCELED cut closed ");
    assert_int_equal(now, 1100);
}

/* --- Events, wait groups --- */

static void waits_event(void *arg)
{
    int rc = event_wait(arg, 2000);
    note(error_name(rc));
}

static void event__passes_all_waiters(void **state)
{
    struct event event = { 0 };
    (void)state;
    spawn(waits_event, &event);
    spawn(waits_event, &event);
    sched_run(sched);
    event_set(&event);
    event_clear(&event);   /* Those that were woken pass nevertheless. */
    spawn(waits_event, &event);
    run();
    assert_string_equal(trace, "OK OK ETIMEDOUT ");
    event_set(&event);
    spawn(waits_event, &event);
    run();
    assert_string_equal(trace, "OK OK ETIMEDOUT OK ");
}

static void does_work(void *arg)
{
    task_sleep(10);
    wait_group_done(arg);
}

static void joins(void *arg)
{
    struct wait_group *wg = arg;
    assert_int_equal(wait_group_wait(wg, TASK_FOREVER), 0);
    wait_group_add(wg, 2);
    assert_int_equal(task_spawn(NULL, NULL, "work", does_work, wg), 0);
    assert_int_equal(task_spawn(NULL, NULL, "work", does_work, wg), 0);
    assert_int_equal(wait_group_wait(wg, now + 5), -ETIMEDOUT);
    assert_int_equal(wait_group_wait(wg, TASK_FOREVER), 0);
    note("joined");
}

static void wait_group__waits_for_all(void **state)
{
    struct wait_group wg = { 0 };
    (void)state;
    spawn(joins, &wg);
    run();
    assert_string_equal(trace, "joined ");
    assert_int_equal(now, 1010);
}

/* --- Credit --- */

struct want {
    struct credit *credit;
    uint64_t       n;
    int64_t        deadline;
    const char    *name;
};

static void takes(void *arg)
{
    struct want *w = arg;
    int          rc = credit_take(w->credit, w->n, w->deadline);
    note(rc == 0 ? w->name : error_name(rc));
}

static void credit__serves_in_order_and_bounds_its_queue(void **state)
{
    struct credit c;
    struct want   w[] = { { &c, 6, TASK_FOREVER, "six" }, { &c, 8, TASK_FOREVER, "eight" },
                          { &c, 1, TASK_FOREVER, "one" }, { &c, 1, TASK_FOREVER, "refused" } };
    (void)state;
    credit_init(&c, 10, 2);
    for (int i = 0; i < 4; i++)
        spawn(takes, &w[i]);
    run();
    /* "one" would fit, but may not overtake; the fourth is too many. */
    assert_string_equal(trace, "six E_OVERLOAD ");
    assert_false(credit_try(&c, 1));
    assert_int_equal(c.waiting, 2);
    credit_give(&c, 3);
    run();
    assert_string_equal(trace, "six E_OVERLOAD ");
    credit_give(&c, 1);
    run();
    assert_string_equal(trace, "six E_OVERLOAD eight ");
    credit_give(&c, 8);
    run();
    assert_string_equal(trace, "six E_OVERLOAD eight one ");
    assert_int_equal(c.available, 7);
    assert_true(credit_try(&c, 7));
}

static void credit__a_leaver_lets_the_next_pass(void **state)
{
    struct credit c;
    struct want   w[] = { { &c, 100, 2000, "much" }, { &c, 1, TASK_FOREVER, "little" } };
    (void)state;
    credit_init(&c, 10, 2);
    spawn(takes, &w[0]);
    spawn(takes, &w[1]);
    run();
    assert_string_equal(trace, "ETIMEDOUT little ");
    assert_int_equal(c.available, 9);
    assert_int_equal(c.waiting, 0);
}

static void credit__none_may_wait_with_max_0(void **state)
{
    struct credit c;
    struct want   w = { &c, 2, TASK_FOREVER, "two" };
    (void)state;
    credit_init(&c, 1, 0);
    spawn(takes, &w);
    run();
    assert_string_equal(trace, "E_OVERLOAD ");
}

/* --- Channel --- */

static void sends_five(void *arg)
{
    static char text[5][2] = { "0", "1", "2", "3", "4" };
    for (int i = 0; i < 5; i++) {
        int rc = channel_send(arg, text[i], TASK_FOREVER);
        if (rc != 0) {
            note(error_name(rc));
            return;
        }
        note("sent");
    }
}

static void receives_all(void *arg)
{
    void *item;
    int   rc;
    while ((rc = channel_recv(arg, &item, TASK_FOREVER)) == 0)
        note(item);
    note(error_name(rc));
}

static void channel__full_makes_senders_wait(void **state)
{
    struct channel ch;
    void          *slot[2];
    (void)state;
    channel_init(&ch, slot, 2);
    spawn(sends_five, &ch);
    run();
    assert_string_equal(trace, "sent sent ");
    assert_int_equal(channel_try_send(&ch, NULL), -EAGAIN);
    spawn(receives_all, &ch);
    run();
    channel_close(&ch);
    run();
    assert_non_null(strstr(trace, "0 "));
    assert_true(strstr(trace, "0 ") < strstr(trace, "1 ") && strstr(trace, "1 ") < strstr(trace, "2 ") &&
                strstr(trace, "2 ") < strstr(trace, "3 ") && strstr(trace, "3 ") < strstr(trace, "4 "));
    assert_non_null(strstr(trace, "E_CLOSED"));
    assert_int_equal(channel_try_send(&ch, NULL), -E_CLOSED);
}

static void channel__close_wakes_senders_and_keeps_items(void **state)
{
    struct channel ch;
    void          *slot[1];
    (void)state;
    channel_init(&ch, slot, 1);
    spawn(sends_five, &ch);
    run();
    channel_close(&ch);
    spawn(receives_all, &ch);
    run();
    assert_string_equal(trace, "sent E_CLOSED 0 E_CLOSED ");
}

static void channel__without_slots_hands_over(void **state)
{
    struct channel ch;
    (void)state;
    channel_init(&ch, NULL, 0);
    spawn(sends_five, &ch);
    run();
    assert_string_equal(trace, "");
    spawn(receives_all, &ch);
    run();
    channel_close(&ch);
    run();
    assert_non_null(strstr(trace, "4 "));
    assert_non_null(strstr(trace, "E_CLOSED"));
}

static void channel__readers_are_served_in_order(void **state)
{
    struct channel ch;
    void          *slot[4];
    (void)state;
    channel_init(&ch, slot, 4);
    spawn(receives_all, &ch);
    spawn(receives_all, &ch);
    sched_run(sched);
    assert_int_equal(channel_try_send(&ch, "a"), 0);
    assert_int_equal(channel_try_send(&ch, "b"), 0);
    assert_int_equal(ch.count, 0);
    run();
    assert_string_equal(trace, "a b ");
    channel_close(&ch);
    run();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sched__runs_in_order_of_spawn),
        T(sched__run_some_returns_while_tasks_yield),
        T(task__inherits_group_and_trace),
        T(task__limit_refuses_and_recovers),
        T(task__as_many_as_allowed),
        T(stack__overflow_hits_the_guard),
        T(stack__most_of_it_is_usable),
        T(sleep__wakes_by_deadline_then_by_order),
        T(sleep__heap_keeps_order_under_load),
        T(park__times_out),
        T(park__unpark_wakes),
        T(park__remembers_one_unpark),
        T(park__unpark_wins_over_a_deadline_of_the_same_round),
        T(cancel__ends_every_wait),
        T(cancel__leaves_the_queue_intact),
        T(cancel__does_not_end_shielded_waits),
        T(group__waits_and_closes),
        T(event__passes_all_waiters),
        T(wait_group__waits_for_all),
        T(credit__serves_in_order_and_bounds_its_queue),
        T(credit__a_leaver_lets_the_next_pass),
        T(credit__none_may_wait_with_max_0),
        T(channel__full_makes_senders_wait),
        T(channel__close_wakes_senders_and_keeps_items),
        T(channel__without_slots_hands_over),
        T(channel__readers_are_served_in_order),
    };
    return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
