/* Measures ring lookups by key and by partition, and a rebalance of 10,000
 * devices with 2^20 partitions x 3. Prints one JSON object a line. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ring/builder.h"
#include "ring/ring.h"

enum { LOOKUPS = 2 * 1000 * 1000, ROUNDS = 40 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of this thread, so that a busy machine does not count against one core. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const struct error *err)
{
    fprintf(stderr, "ring_bench: %s\n", err->text);
    exit(1);
}

static void add(struct builder *b, uint32_t zone, uint32_t host, uint32_t disk, double weight)
{
    char               address[32], name[16];
    struct ring_device d = { .id = RING_NONE, .port = 6200, .region = 1, .zone = zone, .weight = weight,
                             .host = address, .name = name };
    struct error       err;

    snprintf(address, sizeof(address), "10.%u.%u.%u", zone, host / 250, host % 250 + 1);
    snprintf(name, sizeof(name), "d%u", disk);
    if (builder_add(b, &d, NULL, &err))
        fail(&err);
}

static void rebalance(struct builder *b, const char *name)
{
    struct builder_rebalance how = { .now = 1700000000, .seed = 1, .ignore_min_part_hours = true };
    struct builder_moves     moves;
    struct builder_report    report;
    struct error             err;
    double                   start = seconds();

    if (builder_rebalance(b, &how, &moves, &err))
        fail(&err);
    start = seconds() - start;
    if (builder_report(b, &report, &err))
        fail(&err);
    printf("{\"bench\": \"ring rebalance %s\", \"devices\": %u, \"slots\": %llu, \"seconds\": %.3f, \"placed\": %llu, "
           "\"moved\": %llu, \"balance\": %.3f, \"dispersion\": %.3f}\n",
           name, builder_device_count(b), (unsigned long long)report.slots, start, (unsigned long long)moves.placed,
           (unsigned long long)moves.moved, report.balance, report.dispersion);
}

/* Best of some rounds; 'by_key' hashes an 8-byte key for each. */
static void lookups(const struct ring *ring, bool by_key)
{
    double   best = 1e9;
    uint64_t sum = 0;

    for (int round = 0; round < ROUNDS; round++) {
        double start = cpu_seconds();
        for (uint64_t i = 0; i < LOOKUPS; i++) {
            struct ring_set set;
            uint64_t        key = i * 0x9e3779b97f4a7c15u;
            ring_lookup(ring, by_key ? ring_partition(ring, slice_of(&key, sizeof(key)))
                                     : (uint32_t)(key >> (64 - ring_part_power(ring))), &set);
            sum += set.device[0] + set.joining[2];
        }
        start = cpu_seconds() - start;
        best = start < best ? start : best;
    }
    printf("{\"bench\": \"ring lookup by %s\", \"partitions\": %u, \"per_second\": %.0f, \"sum\": %llu}\n",
           by_key ? "key" : "partition", ring_partitions(ring), LOOKUPS / best, (unsigned long long)sum);
}

int main(void)
{
    struct builder_options options = { .part_power = 20, .replicas = 3, .hash_seed = 1 };
    struct builder        *b = NULL;
    struct ring           *ring = NULL;
    struct error           err;

    if (builder_new(&options, &b, &err))
        fail(&err);
    for (uint32_t i = 0; i < 10000; i++)
        add(b, i / 2000, i / 10, i % 10, i / 10 % 2 ? 8000 : 12000);
    rebalance(b, "initial");
    rebalance(b, "again");
    for (uint32_t i = 0; i < 1000; i++)
        add(b, i / 200, 1000 + i / 10, i % 10, 16000);
    rebalance(b, "add 10 %");
    for (uint32_t i = 0; i < 10; i++)
        if (builder_remove(b, (uint16_t)(123 + i * 1000), &err))
            fail(&err);
    rebalance(b, "remove ten");
    if (ring_make(b, 1, NULL, &ring, &err))
        fail(&err);
    lookups(ring, false);
    lookups(ring, true);
    ring_unref(ring);
    builder_free(b);
    return 0;
}
