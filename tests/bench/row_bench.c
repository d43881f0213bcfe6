/* tests/bench/row_bench.c - CPU and latency of row reads and writes in one
 * process. Not a test: prints numbers.
 *
 *   row_bench [CONCURRENCY [OPERATIONS [BYTES [ROWS [DEVICES [w|r]]]]]] */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/counter.h"
#include "tests/lib/row_cluster.h"

struct bench {
    struct row_cluster *c;
    uint32_t            concurrency, operations, bytes, rows;
    uint32_t            next, done, failed;
    bool                write, only_write;
    enum row_want       want;
};

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double wall_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void worker(void *arg)
{
    struct bench *b = arg;
    struct arena  arena;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    while (b->next < b->operations) {
        struct row_state state;
        struct shard     shard = b->c->shard;
        char             name[32];
        uint32_t         i = b->next++;
        int              rc;

        snprintf(name, sizeof name, "object-%08u", i * 2654435761u % b->rows);
        shard.id[0] = (uint8_t)(i * 2654435761u % b->rows % 16);   /* Spread over the devices. */
        if (b->write) {
            Rs__RowValue v = RS__ROW_VALUE__INIT;
            v.meta = (ProtobufCBinaryData) { .len = 180, .data = arena_alloc(&arena, 180) };
            v.data = (ProtobufCBinaryData) { .len = b->bytes, .data = arena_alloc(&arena, b->bytes) };
            memset(v.data.data, (int)i, b->bytes);
            v.size = b->bytes;
            v.counted = true;
            rc = row_write(b->c->client, &shard, slice_str(name), &v, row_cluster_soon(b->c), NULL, NULL, NULL);
        } else {
            rc = row_read(b->c->client, &shard, slice_str(name), b->want, row_cluster_soon(b->c), &arena, &state, NULL);
        }
        b->failed += rc != 0;
        arena_reset(&arena);
    }
    arena_done(&arena);
    b->done++;
}

static void phase(struct bench *b, const char *what)
{
    double  cpu = cpu_s(), wall = wall_s();
    int64_t commits = counter_value("row_commits"), accepts = counter_value("row_accepts");

    b->next = b->done = b->failed = 0;
    for (uint32_t i = 0; i < b->concurrency; i++)
        if (env_spawn(b->c->env, "bench", worker, b))
            b->done++;
    while (b->done < b->concurrency)
        task_sleep(NS_PER_MS);
    cpu = cpu_s() - cpu;
    wall = wall_s() - wall;
    printf("%-10s %8.0f op/s  %7.1f us CPU/op  %7.1f us/op by %u  failed %u\n", what, b->operations / wall,
           cpu * 1e6 / b->operations, wall * 1e6 * b->concurrency / b->operations, b->concurrency, b->failed);
    commits = counter_value("row_commits") - commits;
    if (commits)
        printf("           %.1f accepts a commit\n", (double)(counter_value("row_accepts") - accepts) / (double)commits);
}

static void run(struct row_cluster *c, void *arg)
{
    struct bench *b = arg;

    b->c = c;
    uint32_t operations = b->operations;

    b->write = true;
    if (!b->only_write)
        b->operations = b->rows;   /* Once each. */
    phase(b, "write");
    if (b->only_write)
        return;
    b->write = false;
    b->operations = operations;
    b->want = ROW_FULL;
    phase(b, "read full");
    phase(b, "read full");
    b->want = ROW_META;
    phase(b, "read meta");
}

int main(int argc, char **argv)
{
    struct bench b = { .concurrency = argc > 1 ? (uint32_t)atoi(argv[1]) : 16,
                       .operations = argc > 2 ? (uint32_t)atoi(argv[2]) : 20000,
                       .bytes = argc > 3 ? (uint32_t)atoi(argv[3]) : 4096 };
    uint32_t     devices = argc > 5 ? (uint32_t)atoi(argv[5]) : 6;

    b.only_write = argc > 6 && argv[6][0] == 'w';
    b.rows = argc > 4 ? (uint32_t)atoi(argv[4]) : b.operations;
    row_cluster_journal_bytes = 16 << 20;

    row_cluster_run(devices, 3, run, &b);
    return 0;
}
