/* base/counter.h - counters, gauges and histograms, with Prometheus text.
 *
 * COUNTER(row_write_unsure, "Writes whose outcome the proxy could not learn.")
 * at file scope is metric (ringstack_row_write_unsure_total), documentation and
 * test mark. Registration is by a linker section; increments are relaxed atomics,
 * any thread. Counters are process-wide; the simulator reads them as marks. */
#ifndef BASE_COUNTER_H
#define BASE_COUNTER_H

#include <stddef.h>
#include <stdint.h>

enum counter_kind { COUNTER_COUNT, COUNTER_GAUGE };

struct counter {
    const char *name, *help;
    enum counter_kind kind;
    int64_t value;   /* By atomic builtins only. */
};

#define COUNTER_DEFINE_(kind_, name_, help_)                                                       \
    static struct counter counter_##name_ = { #name_, help_, kind_, 0 };                           \
    static struct counter *const counter_ptr_##name_                                               \
        __attribute__((used, section("counters"))) = &counter_##name_
#define COUNTER(name, help) COUNTER_DEFINE_(COUNTER_COUNT, name, help)
#define GAUGE(name, help) COUNTER_DEFINE_(COUNTER_GAUGE, name, help)
#define counter_add(name_, n) __atomic_fetch_add(&counter_##name_.value, (int64_t)(n), __ATOMIC_RELAXED)
#define counter_inc(name_) counter_add(name_, 1)
#define gauge_set(name_, v) __atomic_store_n(&counter_##name_.value, (int64_t)(v), __ATOMIC_RELAXED)

/* Looks a counter up by name; -1 when there is none. For tests and the simulator. */
int64_t counter_value(const char *name);

/* Latency histogram, microseconds, powers of two from 1 us to ~67 s. */
enum { HISTOGRAM_BUCKETS = 28 };
struct histogram {
    const char *name, *help, *labels;   /* labels: 'service="swift",op="put"' or "". */
    uint64_t bucket[HISTOGRAM_BUCKETS];   /* By atomic builtins only, like these. */
    uint64_t count, sum_us;
};
#define HISTOGRAM(id, name_, labels_, help_)                                                       \
    static struct histogram histogram_##id = { .name = #name_, .help = help_, .labels = labels_ }; \
    static struct histogram *const histogram_ptr_##id                                              \
        __attribute__((used, section("histograms"))) = &histogram_##id
void     histogram_record(struct histogram *histogram, uint64_t us);
uint64_t histogram_quantile_us(const struct histogram *histogram, double q);

/* All of them as Prometheus text exposition 0.0.4; malloc()ed, NUL-terminated. */
char *counters_text(size_t *ret_size);

#endif
