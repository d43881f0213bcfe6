/* base/counter.c - finds the registered metrics and prints them for Prometheus.
 *
 * COUNTER() and HISTOGRAM() put pointers into linker sections; the linker gives
 * us where those begin and end. */
#include "base/counter.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"

/* Weak: a program may have none of a kind. */
extern struct counter *const   __start_counters[] __attribute__((weak));
extern struct counter *const   __stop_counters[] __attribute__((weak));
extern struct histogram *const __start_histograms[] __attribute__((weak));
extern struct histogram *const __stop_histograms[] __attribute__((weak));

static size_t counters_count(void)
{
    return (size_t)(__stop_counters - __start_counters);
}

static size_t histograms_count(void)
{
    return (size_t)(__stop_histograms - __start_histograms);
}

int64_t counter_value(const char *name)
{
    int64_t sum = 0;
    int     found = 0;

    /* Two files may define a counter of the same name; it is one metric. */
    for (size_t i = 0; i < counters_count(); i++)
        if (strcmp(__start_counters[i]->name, name) == 0) {
            sum += __atomic_load_n(&__start_counters[i]->value, __ATOMIC_RELAXED);
            found = 1;
        }
    return found ? sum : -1;
}

/* Bucket i counts values up to 2^i us; the last one everything above. */
void histogram_record(struct histogram *histogram, uint64_t us)
{
    uint32_t i = us <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(us - 1);

    if (i >= HISTOGRAM_BUCKETS)
        i = HISTOGRAM_BUCKETS - 1;
    __atomic_fetch_add(&histogram->bucket[i], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&histogram->count, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&histogram->sum_us, us, __ATOMIC_RELAXED);
}

uint64_t histogram_quantile_us(const struct histogram *histogram, double q)
{
    uint64_t bucket[HISTOGRAM_BUCKETS], total = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += bucket[i] = __atomic_load_n(&histogram->bucket[i], __ATOMIC_RELAXED);
    if (total == 0)
        return 0;

    double   rank = (q < 0 ? 0 : q > 1 ? 1 : q) * (double)total;
    uint64_t below = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (bucket[i] > 0 && (double)(below + bucket[i]) >= rank) {
            double low = i == 0 ? 0 : (double)(UINT64_C(1) << (i - 1)), high = (double)(UINT64_C(1) << i);
            return (uint64_t)(low + (high - low) * (rank - (double)below) / (double)bucket[i] + 0.5);
        }
        below += bucket[i];
    }
    return UINT64_C(1) << (HISTOGRAM_BUCKETS - 1);
}

static int by_counter_name(const void *a, const void *b)
{
    return strcmp((*(struct counter *const *)a)->name, (*(struct counter *const *)b)->name);
}

static int by_histogram_name(const void *a, const void *b)
{
    const struct histogram *x = *(struct histogram *const *)a, *y = *(struct histogram *const *)b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(x->labels, y->labels);
}

static void print_head(FILE *out, const char *name, const char *suffix, const char *type, const char *help)
{
    fprintf(out, "# HELP ringstack_%s%s ", name, suffix);
    for (; *help; help++) {
        if (*help == '\n')
            fputs("\\n", out);
        else if (*help == '\\')
            fputs("\\\\", out);
        else
            fputc(*help, out);
    }
    fprintf(out, "\n# TYPE ringstack_%s%s %s\n", name, suffix, type);
}

static int print_counters(FILE *out)
{
    size_t           count = counters_count();
    struct counter **sorted = malloc((count + 1) * sizeof *sorted);

    if (!sorted)
        return -ENOMEM;
    if (count)
        memcpy(sorted, __start_counters, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_counter_name);
    for (size_t i = 0; i < count;) {
        const struct counter *c = sorted[i];
        const char           *suffix = c->kind == COUNTER_COUNT ? "_total" : "";
        int64_t               sum = 0;

        print_head(out, c->name, suffix, c->kind == COUNTER_COUNT ? "counter" : "gauge", c->help);
        for (; i < count && strcmp(sorted[i]->name, c->name) == 0; i++)
            sum += __atomic_load_n(&sorted[i]->value, __ATOMIC_RELAXED);
        fprintf(out, "ringstack_%s%s %lld\n", c->name, suffix, (long long)sum);
    }
    free(sorted);
    return 0;
}

static void print_histogram(FILE *out, const struct histogram *h)
{
    const char *comma = *h->labels ? "," : "";
    uint64_t    sum = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum += __atomic_load_n(&h->bucket[i], __ATOMIC_RELAXED);
        if (i == HISTOGRAM_BUCKETS - 1)
            fprintf(out, "ringstack_%s_seconds_bucket{%s%sle=\"+Inf\"} %llu\n", h->name, h->labels, comma,
                    (unsigned long long)sum);
        else
            fprintf(out, "ringstack_%s_seconds_bucket{%s%sle=\"%.6f\"} %llu\n", h->name, h->labels, comma,
                    (double)(UINT64_C(1) << i) / 1e6, (unsigned long long)sum);
    }
    const char *open = *h->labels ? "{" : "", *close = *h->labels ? "}" : "";
    fprintf(out, "ringstack_%s_seconds_sum%s%s%s %.6f\n", h->name, open, h->labels, close,
            (double)__atomic_load_n(&h->sum_us, __ATOMIC_RELAXED) / 1e6);
    /* The sum of the buckets, not 'count', which may be ahead by a record in progress. */
    fprintf(out, "ringstack_%s_seconds_count%s%s%s %llu\n", h->name, open, h->labels, close, (unsigned long long)sum);
}

static int print_histograms(FILE *out)
{
    size_t             count = histograms_count();
    struct histogram **sorted = malloc((count + 1) * sizeof *sorted);

    if (!sorted)
        return -ENOMEM;
    if (count)
        memcpy(sorted, __start_histograms, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_histogram_name);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(sorted[i]->name, sorted[i - 1]->name) != 0)
            print_head(out, sorted[i]->name, "_seconds", "histogram", sorted[i]->help);
        print_histogram(out, sorted[i]);
    }
    free(sorted);
    return 0;
}

static long long resident_bytes(void)
{
    long long pages = 0;
    FILE     *file = fopen("/proc/self/statm", "re");

    if (!file)
        return 0;
    if (fscanf(file, "%*d %lld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static long long open_files(void)
{
    long long n = 0;
    DIR      *dir = opendir("/proc/self/fd");

    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3;   /* ".", ".." and the directory itself. */
}

static void print_gauge(FILE *out, const char *name, long long value, const char *help)
{
    print_head(out, name, "", "gauge", help);
    fprintf(out, "ringstack_%s %lld\n", name, value);
}

static void print_process(FILE *out)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    print_head(out, "process_cpu_seconds", "_total", "counter", "CPU time used, user and system.");
    fprintf(out, "ringstack_process_cpu_seconds_total %.6f\n",
            (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    print_gauge(out, "process_resident_memory_bytes", resident_bytes(), "Resident memory.");
    print_gauge(out, "process_open_fds", open_files(), "Open file descriptors.");
    print_gauge(out, "process_buffer_live_bytes", (long long)buf_live_bytes(), "Data buffers in use.");
    print_gauge(out, "process_buffer_pooled_bytes", (long long)buf_pooled_bytes(), "Free data buffers kept.");
}

char *counters_text(size_t *ret_size)
{
    char  *text = NULL;
    size_t size = 0;
    FILE  *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    int rc = print_counters(out);
    if (rc == 0)
        rc = print_histograms(out);
    print_process(out);
    if (fclose(out) != 0 || rc != 0) {
        free(text);
        return NULL;
    }
    if (ret_size)
        *ret_size = size;
    return text;
}
