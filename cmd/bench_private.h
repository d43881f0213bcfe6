/* cmd/bench_private.h - the parts of 'ringstack bench'.
 *
 *   bench.c         options, the run, the report
 *   bench_load.c    workers: which operation on which object next, and is the answer right
 *   bench_client.c  one HTTP connection
 *   bench_stats.c   latencies, CPU of the server's processes */
#ifndef CMD_BENCH_PRIVATE_H
#define CMD_BENCH_PRIVATE_H

#include <stdio.h>

#include "base/cli.h"
#include "base/conn.h"

enum {
    BENCH_CONCURRENCY_MAX = 4096,
    BENCH_OBJECTS_MAX = 100 * 1000 * 1000,
    BENCH_POOL_BYTES = 8 * 1024 * 1024 + 4099,   /* No multiple of a power of two, so that wrapped objects differ. */
    BENCH_URL_MAX = 2048,
    BENCH_HEADERS_MAX = 8192,
    BENCH_STATUS_MAX = 600,
    BENCH_PIDS_MAX = 64
};

enum bench_op { BENCH_PUT, BENCH_GET, BENCH_HEAD, BENCH_DELETE, BENCH_LIST, BENCH_MIXED };
enum { BENCH_OPS = BENCH_MIXED + 1 };

struct bench_options {
    const char *url, *token, *auth_url, *user, *key, *op, *container, *prefix, *policy, *ca, *size_text, *ledger;
    uint64_t    size, concurrency, seconds, count, objects, start, seed, limit, timeout_s;
    bool        verify, json, sequential, create, progress;
    struct cli_list headers, pids;
};

/* Where requests go. */
struct bench_target {
    bool        tls;
    char        address[300];            /* "HOST:PORT" */
    char        host[300];               /* Of the Host header. */
    char        name[256];               /* To verify the certificate by. */
    char        path[BENCH_URL_MAX];     /* Of the container; no slash at the end. */
};

/* Latencies in buckets of under 2 % width. */
enum { BENCH_SUB_BUCKETS = 64, BENCH_BUCKETS = 64 * BENCH_SUB_BUCKETS };
struct bench_latency {
    uint64_t bucket[BENCH_BUCKETS];
    uint64_t count, sum_us, max_us;
};
void     bench_latency_add(struct bench_latency *latency, uint64_t us);
uint64_t bench_latency_quantile(const struct bench_latency *latency, double q);   /* us */

struct bench_stats {
    uint64_t ops, bytes, errors, network_errors, timeouts, bad_content, verified, reconnects, entries;
    uint64_t status[BENCH_STATUS_MAX];
    uint64_t by_op[BENCH_OPS];
    struct bench_latency latency;
    char     first_error[256];
};

struct bench {
    struct env          *env;
    struct bench_options options;
    enum bench_op        op;
    struct bench_target  target;
    struct tls          *tls;
    char                 headers[BENCH_HEADERS_MAX];   /* Whole lines, for every request. */
    uint8_t             *pool;                         /* BENCH_POOL_BYTES; contents are slices of it. */
    struct bench_stats   stats;
    int64_t              started, deadline;
    FILE                *ledger;                       /* Of put: the numbers that were acknowledged. */
    uint64_t            *numbers;                      /* Of get, head, delete with a ledger: options.objects of them. */
    uint64_t             issued, next;                 /* Operations begun; next object of put, delete and in order. */
    bool                 stop;                         /* By signal. */
    struct wait_group    workers;
    int                  exit_status;
};

/* --- Content: object 'number' in its 'generation' is this many bytes from that place of the pool, wrapping. --- */
uint64_t bench_content(const struct bench *b, uint64_t number, uint32_t generation);

/* --- One connection. --- */
struct bench_call {
    const char *method;
    const char *path;            /* Percent-encoded, with the query. */
    bool        has_body;
    uint64_t    body_at, body_size;   /* In the pool. */
    bool        compare;         /* The answer's body against the pool, from body_at on. */
    bool        entries;         /* Count the entries of a JSON listing. */
    const char *headers;         /* More lines; may be NULL. */
};
struct bench_answer {
    int      status;
    uint64_t size, entries;      /* Of the body. */
    char     etag[64];
    char     storage_url[BENCH_URL_MAX], token[4096];   /* Of a login. */
    bool     differs;            /* From the pool. */
};
struct bench_client {
    struct bench *bench;
    const struct bench_target *target;
    struct conn  *conn;
    uint8_t      *in;
    size_t        capacity, start, end;
    bool          used;          /* At least one answer came on this connection. */
    uint32_t      match;         /* Bytes of the listing's mark seen at the end of a piece. */
};
int        bench_client_init(struct bench_client *client, struct bench *bench, const struct bench_target *target);
void       bench_client_done(struct bench_client *client);
/* Sends and reads the whole answer. Connects when needed; a kept connection that turns out to be closed is made
 * anew, once. Negative: nothing can be said about the outcome. */
WAITS int  bench_call(struct bench_client *client, const struct bench_call *call, struct bench_answer *ret);
/* "http://host[:port]/path". */
int        bench_parse_url(const char *url, struct bench_target *ret, struct error *err);

/* --- Load. --- */
WAITS void bench_worker(struct bench *bench, uint32_t index);
bool       bench_parse_op(const char *text, enum bench_op *ret);
extern const char *const bench_op_names[BENCH_OPS];

/* --- Processes. --- */
struct bench_usage {
    double   cpu_s;
    uint64_t resident_bytes;
};
/* Sum over the processes of --pid; false when one of them is not there. */
bool bench_usage(const struct bench_options *options, struct bench_usage *ret);

#endif
