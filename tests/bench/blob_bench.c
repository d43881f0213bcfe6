/* tests/bench/blob_bench.c - throughput of the blob client and its devices on real files.
 * Not a test: prints MB/s and CPU seconds.
 *
 *   blob_bench DIR [policy] [object MiB] [objects] [concurrency] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/counter.h"
#include "base/env_kernel.h"
#include "base/log.h"
#include "storage/blob.h"
#include "storage/device.h"

enum { DEVICES = 6 };

struct bench {
    const char             *dir, *policy_name;
    uint64_t                bytes;
    uint32_t                objects, concurrency, next;
    struct env             *env;
    struct hlc              hlc;
    struct rpc             *rpc;
    struct storage_service *service;
    struct device          *device[DEVICES];
    struct ring            *ring;
    struct policy           policy;
    struct blob_directory   directory;
    struct blob_client     *client;
    struct wait_group       group;
    struct arena            arena;
    Rs__Extent           ***extents;
    size_t                 *counts;
    struct buf             *data;
    bool                    reading;
    int                     rc;
};

static const struct policy *get_policy(void *ctx, uint16_t index)
{
    (void)index;
    return &((struct bench *)ctx)->policy;
}
static const struct ring *get_ring(void *ctx, uint16_t index)
{
    (void)index;
    return ((struct bench *)ctx)->ring;
}
static bool is_up(void *ctx, uint16_t device)
{
    (void)ctx;
    (void)device;
    return true;
}

static int make_ring(struct bench *b)
{
    struct ring_device devices[DEVICES];
    uint8_t            replicas = policy_fragments(&b->policy);
    static uint16_t    table[256 * 32];
    struct ring_spec   spec = { .epoch = 1, .part_power = 8, .replicas = replicas, .full = 256, .devices = devices,
                                .device_count = DEVICES, .device = table };

    for (uint16_t i = 0; i < DEVICES; i++)
        devices[i] = (struct ring_device) { .id = i, .port = 1, .region = 1, .zone = 1, .node = 1, .weight = 1,
                                            .host = "h", .name = "d" };
    for (uint32_t p = 0; p < 256; p++)
        for (uint32_t r = 0; r < replicas; r++)
            table[p * replicas + r] = (uint16_t)((p + r) % DEVICES);
    return ring_new(&spec, &b->ring, NULL);
}

static void put_one(struct bench *b, uint32_t i)
{
    struct shard        shard = { .id = { 1 } };
    struct blob_writer *w;
    struct error        err = { 0 };
    int64_t             deadline = env_now(b->env) + 300 * NS_PER_S;
    int                 rc = blob_writer_new(b->client, &b->policy, &shard, slice_str("o"), deadline, &w, &err);

    for (uint64_t at = 0; at < b->bytes && rc == 0; at += b->data->capacity)
        rc = blob_write(w, b->data, 0, (uint32_t)(b->bytes - at < b->data->capacity ? b->bytes - at : b->data->capacity),
                        &err);
    if (rc == 0)
        rc = blob_writer_finish(w, &b->arena, &b->extents[i], &b->counts[i], &err);
    blob_writer_free(w);
    if (rc) {
        fprintf(stderr, "put: %s\n", err.text);
        b->rc = rc;
    }
}

static void get_one(struct bench *b, uint32_t i)
{
    struct blob_reader *r;
    struct error        err = { 0 };
    struct buf_part     part;
    uint64_t            total = 0;
    int                 rc = blob_reader_new(b->client, b->extents[i], b->counts[i], 0, b->bytes,
                                             env_now(b->env) + 300 * NS_PER_S, &r, &err);

    while (rc == 0 && (rc = blob_read(r, &part, &err)) == 0 && part.size) {
        total += part.size;
        buf_unref(part.buf);
    }
    blob_reader_free(r);
    if (rc || total != b->bytes) {
        fprintf(stderr, "get: %s\n", err.text);
        b->rc = -EIO;
    }
}

static void worker(void *arg)
{
    struct bench *b = arg;

    while (b->next < b->objects && b->rc == 0) {
        uint32_t i = b->next++;

        if (b->reading)
            get_one(b, i);
        else
            put_one(b, i);
    }
    wait_group_done(&b->group);
}

static void phase(struct bench *b, bool reading)
{
    struct rusage r0, r1;
    int64_t       from = env_now(b->env);
    double        seconds, cpu;

    getrusage(RUSAGE_SELF, &r0);
    b->reading = reading;
    b->next = 0;
    wait_group_add(&b->group, b->concurrency);
    for (uint32_t i = 0; i < b->concurrency; i++)
        env_spawn(b->env, "bench", worker, b);
    wait_group_wait(&b->group, TASK_FOREVER);
    seconds = (double)(env_now(b->env) - from) / 1e9;
    getrusage(RUSAGE_SELF, &r1);
    cpu = (double)(r1.ru_utime.tv_sec - r0.ru_utime.tv_sec + r1.ru_stime.tv_sec - r0.ru_stime.tv_sec) +
          (double)(r1.ru_utime.tv_usec - r0.ru_utime.tv_usec + r1.ru_stime.tv_usec - r0.ru_stime.tv_usec) / 1e6;
    printf("%s %s: %.0f MB/s, %.0f objects/s, %.2f CPU s per GB, %.1f s; csw %ld\n", b->policy_name, reading ? "GET" : "PUT",
           (double)b->bytes * b->objects / seconds / 1e6, b->objects / seconds, cpu / ((double)b->bytes * b->objects / 1e9),
           seconds, r1.ru_nvcsw - r0.ru_nvcsw);
}

static void run(struct env *env, void *arg)
{
    struct bench *b = arg;
    struct error  err = { 0 };
    int64_t       from = env_now(env);

    b->env = env;
    hlc_init(&b->hlc, env);
    arena_init(&b->arena, 1 << 30);
    b->rpc = rpc_new(env, 1);
    if (policy_parse(b->policy_name, 0, &b->policy, &err) || make_ring(b) ||
        storage_service_new(b->rpc, &b->hlc, &b->service)) {
        fprintf(stderr, "setup: %s\n", err.text);
        exit(1);
    }
    for (uint16_t i = 0; i < DEVICES; i++) {
        char                  path[256];
        struct device_options o = { .id = i, .path = path, .cluster_id = 1 };

        snprintf(path, sizeof path, "%s/d%u", b->dir, i);
        if (device_open(env, &b->hlc, &o, &b->device[i], &err) || storage_service_add(b->service, b->device[i])) {
            fprintf(stderr, "device: %s\n", err.text);
            exit(1);
        }
    }
    printf("opened in %.0f ms\n", (double)(env_now(env) - from) / 1e6);
    b->directory = (struct blob_directory) { b, get_policy, get_ring, is_up };
    b->client = blob_client_new(b->rpc, &b->hlc, &b->directory);
    b->extents = calloc(b->objects, sizeof *b->extents);
    b->counts = calloc(b->objects, sizeof *b->counts);
    b->data = buf_new(1 << 20);
    for (uint32_t i = 0; i < 1 << 20; i++)
        b->data->data[i] = (uint8_t)(i * 7 + i / 1000);
    phase(b, false);
    phase(b, true);
    phase(b, true);
    for (uint32_t i = 0; i < b->objects; i++)
        for (size_t j = 0; j < b->counts[i]; j++)
            if (!getenv("KEEP")) blob_delete(b->client, b->extents[i][j], env_now(env) + 10 * NS_PER_S, NULL);
    buf_unref(b->data);
    blob_client_free(b->client);
    for (uint32_t i = 0; i < DEVICES; i++)
        device_close(b->device[i]);
    storage_service_free(b->service);
    rpc_free(b->rpc);
    ring_unref(b->ring);
    arena_done(&b->arena);
    free(b->extents);
    free(b->counts);
}

int main(int argc, char **argv)
{
    struct bench          b = { .dir = argc > 1 ? argv[1] : ".", .policy_name = argc > 2 ? argv[2] : "replicated-3",
                                .bytes = (uint64_t)(argc > 3 ? atof(argv[3]) * 1048576 : 16 << 20),
                                .objects = argc > 4 ? (uint32_t)atoi(argv[4]) : 64,
                                .concurrency = argc > 5 ? (uint32_t)atoi(argv[5]) : 4 };
    struct kernel_options o = { .node_id = 1 };

    mkdir(b.dir, 0755);
    return kernel_main(&o, run, &b) || b.rc;
}
