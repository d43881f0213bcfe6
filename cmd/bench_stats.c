/* cmd/bench_stats.c - latencies, and what the server's processes used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/bench_private.h"

/* Exact below 64 us; above, the power of two and its 6 next bits. */
static uint32_t bucket_of(uint64_t us)
{
    if (us < BENCH_SUB_BUCKETS)
        return (uint32_t)us;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(us) - 6;
    uint32_t index = (shift + 1) * BENCH_SUB_BUCKETS + (uint32_t)((us >> shift) - BENCH_SUB_BUCKETS);
    return index < BENCH_BUCKETS ? index : BENCH_BUCKETS - 1;
}

static uint64_t bucket_value(uint32_t index)
{
    if (index < BENCH_SUB_BUCKETS)
        return index;
    uint32_t shift = index / BENCH_SUB_BUCKETS - 1;
    uint64_t low = (uint64_t)(BENCH_SUB_BUCKETS + index % BENCH_SUB_BUCKETS) << shift;
    return low + ((UINT64_C(1) << shift) >> 1);
}

void bench_latency_add(struct bench_latency *latency, uint64_t us)
{
    latency->bucket[bucket_of(us)]++;
    latency->count++;
    latency->sum_us += us;
    if (us > latency->max_us)
        latency->max_us = us;
}

uint64_t bench_latency_quantile(const struct bench_latency *latency, double q)
{
    uint64_t rank = (uint64_t)(q * (double)latency->count), below = 0;

    for (uint32_t i = 0; i < BENCH_BUCKETS; i++) {
        below += latency->bucket[i];
        if (below > rank) {
            uint64_t us = bucket_value(i);
            return us < latency->max_us ? us : latency->max_us;
        }
    }
    return latency->max_us;
}

static bool add_process(const char *pid, struct bench_usage *usage)
{
    char               path[64], line[1024];
    unsigned long long user, system_ticks;
    long long          pages;

    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[n] = '\0';
    /* The name may hold anything, but ends at the last bracket. */
    const char *p = strrchr(line, ')');
    if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u %*u %lld",
                     &user, &system_ticks, &pages) != 3)
        return false;
    usage->cpu_s += (double)(user + system_ticks) / (double)sysconf(_SC_CLK_TCK);
    usage->resident_bytes += (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

bool bench_usage(const struct bench_options *options, struct bench_usage *ret)
{
    *ret = (struct bench_usage) { 0 };
    for (uint32_t i = 0; i < options->pids.count; i++) {
        char pids[512], *rest = pids, *pid;

        snprintf(pids, sizeof pids, "%s", options->pids.value[i]);
        while ((pid = strsep(&rest, ",")))
            if (*pid && !add_process(pid, ret))
                return false;
    }
    return true;
}
