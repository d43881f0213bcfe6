/* cmd/bench.c - 'ringstack bench': generates object load over HTTP, checks the
 * answers, reports speed and latency.
 *
 * A closed loop: each of --concurrency workers has one request in flight. What
 * object 'number' holds follows from the number and --seed, so that any later
 * run can check every byte without stored checksums. */
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/config.h"
#include "base/env_kernel.h"
#include "base/log.h"
#include "base/rng.h"
#include "cmd/bench_private.h"
#include "cmd/commands.h"

enum { PROGRESS_MS = 250, BAR_WIDTH = 30 };
#define BENCH_SIZE_MAX (UINT64_C(5) << 30)

/* --- Before the run: login, container. --- */

static int add_header(struct bench *b, const char *line, struct error *err)
{
    size_t used = strlen(b->headers);

    if (strpbrk(line, "\r\n") || !strchr(line, ':'))
        return error_set(err, -EINVAL, "'%.60s' is not a header like 'Name: value'", line);
    int n = snprintf(b->headers + used, sizeof b->headers - used, "%s\r\n", line);
    if (n < 0 || (size_t)n >= sizeof b->headers - used)
        return error_set(err, -E_LIMIT, "the headers are longer than %d bytes", BENCH_HEADERS_MAX);
    return 0;
}

/* Swift's v1 login: fills the token and, without --url, where to go. */
WAITS static int login(struct bench *b, char url[BENCH_URL_MAX], struct error *err)
{
    struct bench_target target;
    struct bench_client client;
    struct bench_answer answer;
    char                lines[1024], token[4200];
    int                 rc = bench_parse_url(b->options.auth_url, &target, err);

    if (rc)
        return rc;
    const char *user = b->options.user ? b->options.user : "", *key = b->options.key ? b->options.key : "";
    int n = snprintf(lines, sizeof lines, "X-Auth-User: %s\r\nX-Auth-Key: %s\r\n", user, key);
    if (n < 0 || (size_t)n >= sizeof lines || strpbrk(user, "\r\n") || strpbrk(key, "\r\n"))
        return error_set(err, -EINVAL, "--user or --key cannot be sent");
    struct bench_call call = { .method = "GET", .path = *target.path ? target.path : "/", .headers = lines };
    if (bench_client_init(&client, b, &target) != 0)
        return error_set(err, -ENOMEM, "out of memory");
    rc = bench_call(&client, &call, &answer);
    bench_client_done(&client);
    if (rc)
        return error_set(err, rc, "cannot log in at %s: %s", b->options.auth_url, error_text(rc));
    if (answer.status / 100 != 2 || !answer.token[0])
        return error_set(err, -E_UNAUTHORIZED, "the login at %s was answered with status %d", b->options.auth_url,
                         answer.status);
    snprintf(token, sizeof token, "X-Auth-Token: %s", answer.token);
    if (!b->options.url)
        snprintf(url, BENCH_URL_MAX, "%s", answer.storage_url);
    return add_header(b, token, err);
}

/* Works out target and headers from the options. */
WAITS static int find_target(struct bench *b, struct error *err)
{
    char        url[BENCH_URL_MAX] = "", token[4200];
    const char *container = b->options.container;
    int         rc = 0;

    if (b->options.url)
        snprintf(url, sizeof url, "%s", b->options.url);
    for (uint32_t i = 0; rc == 0 && i < b->options.headers.count; i++)
        rc = add_header(b, b->options.headers.value[i], err);
    if (rc == 0 && b->options.token) {
        snprintf(token, sizeof token, "X-Auth-Token: %s", b->options.token);
        rc = add_header(b, token, err);
    } else if (rc == 0 && b->options.auth_url) {
        rc = login(b, url, err);
        if (!container && !b->options.url)
            container = "bench";
    }
    if (rc == 0)
        rc = bench_parse_url(url, &b->target, err);
    if (rc == 0 && container) {
        size_t used = strlen(b->target.path);
        if (strlen(container) + 2 > sizeof b->target.path - used)
            return error_set(err, -E_LIMIT, "the container's name is too long");
        snprintf(b->target.path + used, sizeof b->target.path - used, "/%s", container);
    }
    return rc;
}

/* Creating a container that exists changes nothing. */
WAITS static int create_container(struct bench *b, struct error *err)
{
    struct bench_client client;
    struct bench_answer answer;
    char                lines[512] = "";
    struct bench_call   call = { .method = "PUT", .path = b->target.path, .has_body = true, .headers = lines };

    if (b->options.policy)
        snprintf(lines, sizeof lines, "X-Storage-Policy: %s\r\n", b->options.policy);
    if (bench_client_init(&client, b, &b->target) != 0)
        return error_set(err, -ENOMEM, "out of memory");
    int rc = bench_call(&client, &call, &answer);
    bench_client_done(&client);
    if (rc)
        return error_set(err, rc, "cannot reach %s: %s", b->target.address, error_text(rc));
    if (answer.status / 100 != 2)
        return error_set(err, -EINVAL, "creating the container %s was answered with status %d", b->target.path,
                         answer.status);
    return 0;
}

/* --- The ledger: one number a line. --- */

static int read_ledger(struct bench *b, FILE *file, struct error *err)
{
    unsigned long long number;
    uint64_t           count = 0, capacity = 0;

    while (fscanf(file, "%llu", &number) == 1) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            uint64_t *bigger = capacity <= BENCH_OBJECTS_MAX * 2ULL ? realloc(b->numbers, capacity * sizeof *bigger) : NULL;
            if (!bigger)
                return error_set(err, -ENOMEM, "the ledger %s is too long", b->options.ledger);
            b->numbers = bigger;
        }
        b->numbers[count++] = number;
    }
    if (!feof(file) || count == 0)
        return error_set(err, -E_SYNTAX, "%s is not a ledger, or empty", b->options.ledger);
    b->options.objects = count;
    b->options.start = 0;
    return 0;
}

static int open_ledger(struct bench *b, struct error *err)
{
    FILE *file = fopen(b->options.ledger, b->op == BENCH_PUT ? "ae" : "re");
    int   rc = 0;

    if (!file)
        return error_set(err, -errno, "cannot open %s: %s", b->options.ledger, error_text(errno));
    if (b->op == BENCH_PUT) {
        b->ledger = file;
        return 0;
    }
    rc = read_ledger(b, file, err);
    fclose(file);
    return rc;
}

static int close_ledger(struct bench *b)
{
    FILE *file = b->ledger;

    b->ledger = NULL;
    if (!file || fclose(file) == 0)
        return 0;
    fprintf(stderr, "ringstack bench: cannot write %s\n", b->options.ledger);
    return -EIO;
}

/* --- The run. --- */

struct start {
    struct bench *bench;
    uint32_t      index;
};

WAITS static void worker_run(void *arg)
{
    struct start *start = arg;
    struct bench *b = start->bench;
    uint32_t      index = start->index;

    free(start);
    bench_worker(b, index);
    wait_group_done(&b->workers);
}

static void spawn_workers(struct bench *b)
{
    for (uint32_t i = 0; i < b->options.concurrency; i++) {
        struct start *start = malloc(sizeof *start);
        if (!start)
            break;
        *start = (struct start) { b, i };
        wait_group_add(&b->workers, 1);
        if (env_spawn(b->env, "bench", worker_run, start) != 0) {
            wait_group_done(&b->workers);
            free(start);
            break;
        }
    }
}

static double seconds_since(const struct bench *b)
{
    return (double)(env_now(b->env) - b->started) / NS_PER_S;
}

/* How much of the run is over, as far as that can be known. */
static double fraction_done(const struct bench *b)
{
    const struct bench_options *o = &b->options;
    double by_time = o->seconds ? seconds_since(b) / (double)o->seconds : 0;
    double all = o->count ? (double)o->count : !o->seconds && o->objects ? (double)o->objects : 0;
    double by_count = all > 0 ? (double)(b->stats.ops + b->stats.errors) / all : 0;
    double done = by_time > by_count ? by_time : by_count;

    return done < 1 ? done : 1;
}

static void print_progress(const struct bench *b)
{
    double done = fraction_done(b), s = seconds_since(b);
    int    filled = (int)(done * BAR_WIDTH);
    char   bar[BAR_WIDTH + 1];

    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '=' : i == filled ? '>' : ' ';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%s [%s] %3.0f%%  %llu ops  %.0f/s  %.1f MB/s  %llu errors  p99 %.1f ms \x1b[K", bench_op_names[b->op],
            bar, done * 100, (unsigned long long)b->stats.ops, (double)b->stats.ops / (s > 0 ? s : 1),
            (double)b->stats.bytes / 1e6 / (s > 0 ? s : 1), (unsigned long long)b->stats.errors,
            (double)bench_latency_quantile(&b->stats.latency, 0.99) / 1000);
    fflush(stderr);
}

/* Waits for the workers, drawing meanwhile. */
WAITS static void wait_workers(struct bench *b)
{
    int rc;

    do {
        rc = wait_group_wait(&b->workers, env_now(b->env) + PROGRESS_MS * NS_PER_MS);
        if (b->options.progress)
            print_progress(b);
    } while (rc == -ETIMEDOUT);
    if (b->options.progress)
        fputs("\r\x1b[K", stderr);
    if (rc)
        wait_group_wait_shielded(&b->workers);
}

/* --- The report. --- */

struct report {
    double seconds, generator_cpu_s, server_cpu_s;
    bool   has_server;
    uint64_t server_resident_bytes;
};

static double own_cpu_s(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double rounded(double value, double unit)
{
    return round(value / unit) * unit;
}

static double quantile_ms(const struct bench *b, double q)
{
    return (double)bench_latency_quantile(&b->stats.latency, q) / 1000;
}

static double mean_ms(const struct bench *b)
{
    const struct bench_latency *l = &b->stats.latency;
    return l->count ? (double)l->sum_us / (double)l->count / 1000 : 0;
}

static json_t *status_json(const struct bench_stats *stats)
{
    json_t *object = json_object();

    for (int i = 0; i < BENCH_STATUS_MAX; i++)
        if (stats->status[i]) {
            char name[8];
            snprintf(name, sizeof name, "%d", i);
            json_object_set_new(object, name, json_integer((json_int_t)stats->status[i]));
        }
    return object;
}

static void print_json(const struct bench *b, const struct report *r)
{
    const struct bench_stats *s = &b->stats;
    double  per_s = (double)s->ops / r->seconds;
    json_t *o = json_pack("{s:s, s:I, s:I, s:f, s:I, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:f}",
                          "op", bench_op_names[b->op], "size_bytes", (json_int_t)b->options.size,
                          "concurrency", (json_int_t)b->options.concurrency, "seconds", rounded(r->seconds, 1e-3),
                          "ops", (json_int_t)s->ops, "ops_per_s", rounded(per_s, 1e-2),
                          "mb_per_s", rounded((double)s->bytes / 1e6 / r->seconds, 1e-2), "latency_ms",
                          "mean", rounded(mean_ms(b), 1e-3), "p50", quantile_ms(b, 0.5), "p95", quantile_ms(b, 0.95),
                          "p99", quantile_ms(b, 0.99), "max", (double)s->latency.max_us / 1000,
                          "errors", (json_int_t)s->errors, "network_errors", (json_int_t)s->network_errors,
                          "timeouts", (json_int_t)s->timeouts, "bad_content", (json_int_t)s->bad_content,
                          "verified", (json_int_t)s->verified, "reconnects", (json_int_t)s->reconnects,
                          "status", status_json(s), "next", (json_int_t)b->next,
                          "generator_cpu_s", rounded(r->generator_cpu_s, 1e-3));

    if (b->op == BENCH_LIST)
        json_object_set_new(o, "entries", json_integer((json_int_t)s->entries));
    if (r->has_server) {
        json_object_set_new(o, "server_cpu_s", json_real(rounded(r->server_cpu_s, 1e-2)));
        json_object_set_new(o, "server_cpu_us_per_op",
                            json_real(s->ops ? rounded(r->server_cpu_s * 1e6 / (double)s->ops, 1e-1) : 0));
        json_object_set_new(o, "server_rss_mb", json_real(rounded((double)r->server_resident_bytes / 1e6, 1e-1)));
    }
    if (s->first_error[0])
        json_object_set_new(o, "first_error", json_string(s->first_error));
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(o);
}

static void print_text(const struct bench *b, const struct report *r)
{
    const struct bench_stats *s = &b->stats;

    printf("%s of %llu bytes, %llu at once, %.2f s\n", bench_op_names[b->op], (unsigned long long)b->options.size,
           (unsigned long long)b->options.concurrency, r->seconds);
    printf("  operations  %llu, %.1f/s, %.1f MB/s\n", (unsigned long long)s->ops, (double)s->ops / r->seconds,
           (double)s->bytes / 1e6 / r->seconds);
    printf("  latency     mean %.2f ms, p50 %.2f, p95 %.2f, p99 %.2f, max %.2f\n", mean_ms(b), quantile_ms(b, 0.5),
           quantile_ms(b, 0.95), quantile_ms(b, 0.99), (double)s->latency.max_us / 1000);
    if (b->op == BENCH_MIXED)
        printf("  of which    %llu put, %llu get, %llu head, %llu delete\n", (unsigned long long)s->by_op[BENCH_PUT],
               (unsigned long long)s->by_op[BENCH_GET], (unsigned long long)s->by_op[BENCH_HEAD],
               (unsigned long long)s->by_op[BENCH_DELETE]);
    printf("  errors      %llu", (unsigned long long)s->errors);
    if (s->errors)
        printf(" (%llu network, %llu timed out, %llu wrong content); the first: %s", (unsigned long long)s->network_errors,
               (unsigned long long)s->timeouts, (unsigned long long)s->bad_content, s->first_error);
    printf("\n  status     ");
    for (int i = 0; i < BENCH_STATUS_MAX; i++)
        if (s->status[i])
            printf(" %d: %llu", i, (unsigned long long)s->status[i]);
    printf("\n");
    if (b->options.verify)
        printf("  verified    %llu\n", (unsigned long long)s->verified);
    if (r->has_server)
        printf("  server      %.2f s CPU, %.1f us an operation, %.1f MB resident\n", r->server_cpu_s,
               s->ops ? r->server_cpu_s * 1e6 / (double)s->ops : 0, (double)r->server_resident_bytes / 1e6);
    printf("  generator   %.2f s CPU; next object %llu\n", r->generator_cpu_s, (unsigned long long)b->next);
}

/* --- Putting it together. --- */

static void on_signal(void *arg)
{
    struct bench *b = arg;
    b->stop = true;   /* What is in flight is finished and counted. */
}

WAITS static int prepare(struct bench *b, struct error *err)
{
    struct rng         rng;
    struct tls_options tls = { .ca_file = b->options.ca };
    bool               secure = (b->options.url && strncasecmp(b->options.url, "https", 5) == 0) ||
                  (b->options.auth_url && strncasecmp(b->options.auth_url, "https", 5) == 0);
    int                rc = secure ? tls_new_client(&tls, &b->tls, err) : 0;

    if (rc)
        return rc;
    b->pool = malloc(BENCH_POOL_BYTES);
    if (!b->pool)
        return error_set(err, -ENOMEM, "out of memory");
    rng_init(&rng, b->options.seed, UINT64_C(0x706f6f6c));
    rng_fill(&rng, b->pool, BENCH_POOL_BYTES);
    if (b->options.ledger)
        rc = open_ledger(b, err);
    if (rc == 0)
        rc = find_target(b, err);
    if (rc == 0 && b->options.create && (b->op == BENCH_PUT || b->op == BENCH_MIXED))
        rc = create_container(b, err);
    return rc;
}

WAITS static void bench_run(struct env *env, void *arg)
{
    struct bench      *b = arg;
    struct error       err = { 0 };
    struct bench_usage before, after;
    struct report      report = { 0 };

    b->env = env;
    b->exit_status = 1;
    int rc = prepare(b, &err);
    if (rc == 0 && b->options.pids.count > 0 && !bench_usage(&b->options, &before))
        rc = error_set(&err, -ESRCH, "a process of --pid is not there");
    if (rc) {
        fprintf(stderr, "ringstack bench: %s\n", err.text);
        close_ledger(b);
        return;
    }
    kernel_on_signal(env, SIGINT, on_signal, b);
    kernel_on_signal(env, SIGTERM, on_signal, b);
    double cpu = own_cpu_s();
    b->started = env_now(env);
    b->deadline = b->options.seconds ? b->started + (int64_t)b->options.seconds * NS_PER_S : INT64_MAX;
    b->next = b->options.start;
    spawn_workers(b);
    wait_workers(b);
    report.seconds = seconds_since(b);
    report.generator_cpu_s = own_cpu_s() - cpu;
    report.has_server = b->options.pids.count > 0 && bench_usage(&b->options, &after);
    if (report.has_server) {
        report.server_cpu_s = after.cpu_s - before.cpu_s;
        report.server_resident_bytes = after.resident_bytes;
    }
    if (b->options.json)
        print_json(b, &report);
    else
        print_text(b, &report);
    b->exit_status = close_ledger(b) != 0 || b->stats.errors > 0 || b->stats.ops == 0;
}

/* As every size, but small letters will do. */
static bool parse_size(const char *text, uint64_t *ret)
{
    char   upper[32];
    size_t i = 0;

    for (; text[i] && i < sizeof upper - 1; i++)
        upper[i] = (char)toupper((unsigned char)text[i]);
    upper[i] = '\0';
    return text[i] == '\0' && config_parse_size(upper, ret) && *ret <= BENCH_SIZE_MAX;
}

/* What the table of options cannot say. */
static int check(const struct cli_command *command, struct bench *b)
{
    struct bench_options *o = &b->options;

    if (!bench_parse_op(o->op, &b->op))
        return cli_usage(command, "--op must be put, get, head, delete, list or mixed, not '%s'", o->op);
    if (!parse_size(o->size_text, &o->size))
        return cli_usage(command, "--size must be a number of bytes up to 5g, not '%s'", o->size_text);
    if (!o->url && !o->auth_url)
        return cli_usage(command, "--url or --auth-url is needed");
    if (o->prefix[strcspn(o->prefix, " %?#&\r\n")] || strlen(o->prefix) > 256)
        return cli_usage(command, "--prefix must be short and need no escaping");
    if (o->policy && (strpbrk(o->policy, "\r\n") || strlen(o->policy) > 128))
        return cli_usage(command, "--policy is not a policy's name");
    if (b->op == BENCH_MIXED && o->objects == 0)
        o->objects = 1000;
    bool ledger = o->ledger && (b->op == BENCH_GET || b->op == BENCH_HEAD || b->op == BENCH_DELETE);
    if (o->ledger && !ledger && b->op != BENCH_PUT)
        return cli_usage(command, "--ledger goes with put, get, head and delete");
    if (b->op != BENCH_PUT && o->objects == 0 && !ledger)
        return cli_usage(command, "--objects is needed: how many there are");
    if (b->op == BENCH_MIXED && o->objects < o->concurrency)
        o->concurrency = o->objects;   /* Each worker needs an object of its own. */
    bool ends = o->seconds || o->count;
    if (!ends && !((o->objects || ledger) && (b->op == BENCH_PUT || b->op == BENCH_DELETE || o->sequential)))
        return cli_usage(command, "--secs or --count is needed");
    return -1;
}

int cmd_bench(int argc, char **argv)
{
    static struct bench b;
    struct bench_options *o = &b.options;

    *o = (struct bench_options) {
        .op = "put", .prefix = "o", .size_text = "4k", .concurrency = 16, .limit = 1000, .timeout_s = 120, .seed = 1,
        .create = true, .progress = isatty(STDERR_FILENO),
    };
    const struct cli_option options[] = {
        { "url", CLI_STRING, "URL", "the container, or with --container the account", &o->url, 0, 0 },
        { "container", CLI_STRING, "NAME", "is added to the URL (default after a login: bench)", &o->container, 0, 0 },
        { "token", CLI_STRING, "TOKEN", "sent as X-Auth-Token", &o->token, 0, 0 },
        { "auth-url", CLI_STRING, "URL", "log in there first (Swift v1: .../auth/v1.0)", &o->auth_url, 0, 0 },
        { "user", CLI_STRING, "USER", "for --auth-url", &o->user, 0, 0 },
        { "key", CLI_STRING, "KEY", "for --auth-url", &o->key, 0, 0 },
        { "header", CLI_LIST, "LINE", "another header for every request; may be repeated", &o->headers, 0, 0 },
        { "ca", CLI_STRING, "FILE", "trust this certificate authority", &o->ca, 0, 0 },
        { "op", CLI_STRING, "OP", "put, get, head, delete, list or mixed", &o->op, 0, 0 },
        { "size", CLI_STRING, "BYTES", "of an object, with k, m or g (4k)", &o->size_text, 0, 0 },
        { "concurrency", CLI_U64, "N", "requests at once (16)", &o->concurrency, 1, BENCH_CONCURRENCY_MAX },
        { "secs", CLI_U64, "N", "stop after so long", &o->seconds, 1, 7 * 24 * 3600 },
        { "count", CLI_U64, "N", "stop after so many operations", &o->count, 1, 0 },
        { "objects", CLI_U64, "N", "that exist, or to write over and over; mixed: 1000", &o->objects, 1, BENCH_OBJECTS_MAX },
        { "start", CLI_U64, "N", "number of the first object (0)", &o->start, 0, BENCH_OBJECTS_MAX },
        { "sequential", CLI_BOOL, NULL, "get and head: each object once, in order", &o->sequential, 0, 0 },
        { "ledger", CLI_STRING, "FILE", "put: append what was acknowledged; else: these are the objects", &o->ledger, 0, 0 },
        { "prefix", CLI_STRING, "TEXT", "objects are called TEXT and ten digits (o)", &o->prefix, 0, 0 },
        { "limit", CLI_U64, "N", "entries of a page of a listing (1000)", &o->limit, 1, 10000 },
        { "policy", CLI_STRING, "NAME", "storage policy of a container that is created", &o->policy, 0, 0 },
        { "create", CLI_BOOL, NULL, "put and mixed: create the container first (default)", &o->create, 0, 0 },
        { "seed", CLI_U64, "N", "decides all contents and choices (1)", &o->seed, 0, 0 },
        { "verify", CLI_BOOL, NULL, "get: every byte; put: the MD5 ETag; list: the number of entries", &o->verify, 0, 0 },
        { "timeout", CLI_U64, "SECS", "for one operation (120)", &o->timeout_s, 1, 3600 },
        { "pid", CLI_LIST, "PID", "of the server: report its CPU and memory; may be repeated", &o->pids, 0, 0 },
        { "progress", CLI_BOOL, NULL, "draw a progress bar on stderr (default on a terminal)", &o->progress, 0, 0 },
        { "json", CLI_BOOL, NULL, "print one JSON object", &o->json, 0, 0 },
        CLI_END
    };
    const struct cli_command command = { "ringstack bench", "Generates object load over HTTP and checks the answers.", NULL,
                                         0, 0, options };
    int status = cli_parse(&command, argc, argv, NULL);

    if (status < 0)
        status = check(&command, &b);
    if (status >= 0)
        return status;
    log_set_level(LOG_ERROR);
    struct kernel_options kernel = { .cpu_threads = 1, .io_threads = 1 };
    if (kernel_main(&kernel, bench_run, &b) != 0) {
        fprintf(stderr, "ringstack bench: cannot start the loop\n");
        return 1;
    }
    tls_free(b.tls);
    free(b.pool);
    free(b.numbers);
    return b.exit_status;
}
