/* cmd/sim.c - `ringstack sim`: explores seeds of the deterministic simulator, or
 * replays one.
 *
 * Every run is a child process of its own, so that a failed assertion or an
 * endless loop is a finding with a seed like any other, and leaks nothing into
 * the next run. A failure prints the one line that replays it. */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/counter.h"
#include "base/log.h"
#include "cmd/commands.h"
#include "sim/scenario.h"
#include "storage/mutant.h"

enum {
    JOBS_MAX = 256,
    RUN_SECONDS_MAX = 120,    /* Of real time; longer is an endless loop. */
    FAILURES_SHOWN = 10
};

/* Hard paths that should have run on some seeds: SIM_SOMETIMES. */
static const char *const marks[] = {
    "row_write_unsure", "row_write_outbid", "row_update_contended", "row_read_repairs", "row_read_settles",
    "row_read_hedged", "row_fenced", "row_replayed", "row_purged", "row_overload",
    "row_config_repairs", "row_list_resolved", "rpc_calls_lost", "rpc_replies_late", "blob_reads_degraded",
    "blob_reads_hedged", "blob_reads_corrupt", "blob_write_copies_lost", "blob_writes_failed",
    "gc_orphans_deleted", "gc_orphans_unsure", "sim_stale_reopened",
    "upload_resumed", "upload_ambiguous", "upload_part_late", "version_contended", "version_finished", "version_restored",
    "gc_groups_deleted", "sim_s3_recompleted", "sim_s3_aborted", "sim_s3_copied",
    "sim_sectors_spoiled", "sim_syncs_failed", "sim_devices_lost", "sim_partitions", "sim_blackouts",
};
enum { MARKS = sizeof marks / sizeof marks[0] };

static const struct {
    const char *name;
    enum mutant mutant;
} mutants[] = {
    { "skip-write-back", MUTANT_SKIP_WRITE_BACK },
    { "ack-before-sync", MUTANT_ACK_BEFORE_SYNC },
    { "retry-after-timeout", MUTANT_RETRY_AFTER_TIMEOUT },
    { "purge-early", MUTANT_PURGE_EARLY },
    { "read-one", MUTANT_READ_ONE },
    { "orphan-early", MUTANT_ORPHAN_EARLY },
    { "archive-blind", MUTANT_ARCHIVE_BLIND },
    { "complete-again", MUTANT_COMPLETE_AGAIN },
    { "group-early", MUTANT_GROUP_EARLY },
};

struct options {
    uint64_t    seed, count, steps, jobs;
    const char *scenario, *mutant;
    bool        json, verbose, list;
    bool        seed_given;
};

/* What a run's child sends its parent. */
struct report {
    struct sim_result result;
    int64_t           mark[MARKS];
};

struct job {
    pid_t                  pid;
    int                    pipe;
    uint64_t               seed;
    const struct scenario *scenario;
    struct timespec        begun;
};

struct totals {
    uint64_t runs, failed, undecided, ok, refused, never, unknown, frames, kills, events;
    double   virtual_s;
    uint64_t mark_runs[MARKS];
};

static double seconds_since(const struct timespec *begun)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun->tv_sec) + (double)(now.tv_nsec - begun->tv_nsec) / 1e9;
}

static void drop_line(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    (void)level;
    (void)line;
}

static void keep_line(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    (void)level;
    fprintf(stderr, "             log %s\n", line);
}

static void run_child(const struct options *o, const struct scenario *scenario, uint64_t seed, int out)
{
    static struct report report;

    /* One short life: memory once taken is kept. */
    mallopt(M_MMAP_THRESHOLD, 1 << 28);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 1 << 23);
    log_set_sink(o->verbose ? keep_line : drop_line, NULL);
    scenario_run(scenario, seed, (uint32_t)(o->steps ? o->steps : scenario->steps), o->verbose, &report.result);
    for (int i = 0; i < MARKS; i++)
        report.mark[i] = counter_value(marks[i]);
    if (write(out, &report, sizeof report) != sizeof report)
        _exit(3);
    _exit(0);
}

static int job_start(const struct options *o, struct job *job, const struct scenario *scenario, uint64_t seed)
{
    int fds[2];

    if (pipe(fds) < 0)
        return -errno;
    fflush(NULL);
    job->pid = fork();
    if (job->pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return -errno;
    }
    if (job->pid == 0) {
        close(fds[0]);
        alarm(RUN_SECONDS_MAX);
        run_child(o, scenario, seed, fds[1]);
    }
    close(fds[1]);
    job->pipe = fds[0];
    job->seed = seed;
    job->scenario = scenario;
    clock_gettime(CLOCK_MONOTONIC, &job->begun);
    return 0;
}

/* Waits for the child's end; what it says, or what became of it. */
static void job_end(struct job *job, struct report *report)
{
    size_t  have = 0;
    ssize_t n;
    int     status;

    while (have < sizeof *report && (n = read(job->pipe, (uint8_t *)report + have, sizeof *report - have)) != 0) {
        if (n > 0)
            have += (size_t)n;
        else if (errno != EINTR)
            break;
    }
    close(job->pipe);
    while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
        ;
    job->pid = 0;
    if (have == sizeof *report)
        return;
    memset(report, 0, sizeof *report);
    report->result.failed = true;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(report->result.failure, sizeof report->result.failure, "no end after %d s of real time",
                 RUN_SECONDS_MAX);
    else if (WIFSIGNALED(status))
        snprintf(report->result.failure, sizeof report->result.failure, "the process died: %s",
                 strsignal(WTERMSIG(status)));
    else
        snprintf(report->result.failure, sizeof report->result.failure, "the process ended with status %d",
                 WEXITSTATUS(status));
}

static void print_json(const struct job *job, const struct sim_result *r)
{
    char escaped[1100];

    printf("{\"scenario\": \"%s\", \"seed\": %" PRIu64 ", \"failed\": %s, \"undecided\": %s, \"failure\": \"%s\", "
           "\"trace\": \"%016" PRIx64 "\", \"ok\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"never\": %" PRIu64
           ", \"unknown\": %" PRIu64 ", \"frames\": %" PRIu64 ", \"kills\": %" PRIu64 ", \"virtual_s\": %.3f}\n",
           job->scenario->name, job->seed, r->failed ? "true" : "false", r->undecided ? "true" : "false",
           log_escape(escaped, sizeof escaped, r->failure, strlen(r->failure)), r->trace, r->ok, r->refused, r->never,
           r->unknown, r->frames, r->kills, (double)r->virtual_ns / 1e9);
}

static void account(const struct options *o, struct totals *t, const struct job *job, const struct report *report)
{
    const struct sim_result *r = &report->result;

    t->runs++;
    t->undecided += r->undecided;
    t->ok += r->ok;
    t->refused += r->refused;
    t->never += r->never;
    t->unknown += r->unknown;
    t->frames += r->frames;
    t->kills += r->kills;
    t->events += r->events;
    t->virtual_s += (double)r->virtual_ns / 1e9;
    for (int i = 0; i < MARKS; i++)
        t->mark_runs[i] += report->mark[i] > 0;
    if (o->json)
        print_json(job, r);
    else if (o->count == 1)
        printf("%s seed %" PRIu64 ": %s; trace %016" PRIx64 ", %" PRIu64 " ok, %" PRIu64 " refused, %" PRIu64
               " never, %" PRIu64 " unknown, %" PRIu64 " frames, %" PRIu64 " kills, %.1f s of virtual time\n",
               job->scenario->name, job->seed, r->failed ? "FAILED" : r->undecided ? "undecided" : "passed", r->trace,
               r->ok, r->refused, r->never, r->unknown, r->frames, r->kills, (double)r->virtual_ns / 1e9);
    if (!r->failed)
        return;
    if (t->failed++ < FAILURES_SHOWN) {
        fprintf(stderr, "FAILED %s seed %" PRIu64 ": %s\n", job->scenario->name, job->seed, r->failure);
        fprintf(stderr, "  replay: ringstack sim --scenario %s --seed %" PRIu64 "%s%s --verbose\n",
                job->scenario->name, job->seed, o->mutant ? " --mutant " : "", o->mutant ? o->mutant : "");
    }
}

static void print_totals(const struct options *o, const struct totals *t, double seconds)
{
    FILE *out = o->json ? stderr : stdout;

    fprintf(out, "%" PRIu64 " runs, %" PRIu64 " failed, %" PRIu64 " undecided in %.1f s (%.1f runs/s): %" PRIu64
            " operations ok, %" PRIu64 " refused, %" PRIu64 " never, %" PRIu64 " unknown; %" PRIu64 " frames, %" PRIu64
            " kills, %.0f s of virtual time\n",
            t->runs, t->failed, t->undecided, seconds, (double)t->runs / seconds, t->ok, t->refused, t->never,
            t->unknown, t->frames, t->kills, t->virtual_s);
    fprintf(out, "hard paths, by runs that met them:");
    for (int i = 0; i < MARKS; i++)
        if (t->mark_runs[i] > 0)
            fprintf(out, " %s=%" PRIu64, marks[i], t->mark_runs[i]);
    fprintf(out, "\n");
}

/* The i-th run: seeds one after the other, over all scenarios unless one was named. */
static const struct scenario *scenario_of(const struct options *o, uint64_t i)
{
    return o->scenario ? scenario_find(o->scenario) : &scenarios[i % scenarios_count];
}

static int explore(const struct options *o)
{
    static struct job    jobs[JOBS_MAX];
    static struct report report;
    struct totals        totals = { 0 };
    struct timespec      begun;
    uint64_t             next = 0, done = 0;
    bool                 enough = false;

    clock_gettime(CLOCK_MONOTONIC, &begun);
    while (done < o->count && !(enough && next == done)) {
        struct job *job;
        struct pollfd fds[JOBS_MAX];

        for (uint64_t i = 0; i < o->jobs && next < o->count && !enough; i++)
            if (!jobs[i].pid) {
                if (job_start(o, &jobs[i], scenario_of(o, next), o->seed + next) < 0) {
                    perror("ringstack sim");
                    return 1;
                }
                next++;
            }
        for (uint64_t i = 0; i < o->jobs; i++)
            fds[i] = (struct pollfd) { .fd = jobs[i].pid ? jobs[i].pipe : -1, .events = POLLIN };
        if (poll(fds, o->jobs, -1) < 0)
            continue;
        for (uint64_t i = 0; i < o->jobs; i++) {
            job = &jobs[i];
            if (!job->pid || !fds[i].revents)
                continue;
            job_end(job, &report);
            account(o, &totals, job, &report);
            done++;
            /* A mutant is found once. */
            enough = enough || (o->mutant && report.result.failed);
        }
    }
    print_totals(o, &totals, seconds_since(&begun));
    if (o->mutant) {
        printf("mutant %s: %s after %" PRIu64 " runs\n", o->mutant, totals.failed ? "found" : "NOT FOUND", totals.runs);
        return totals.failed ? 0 : 1;
    }
    return totals.failed ? 1 : 0;
}

static int set_mutant(const struct cli_command *command, const char *name)
{
    for (size_t i = 0; i < sizeof mutants / sizeof mutants[0]; i++)
        if (!strcmp(mutants[i].name, name)) {
#ifdef RINGSTACK_MUTANTS
            mutant_now = mutants[i].mutant;
            return -1;
#else
            return cli_usage(command, "--mutant needs a build with -DRINGSTACK_MUTANTS (make sim-mutants)");
#endif
        }
    return cli_usage(command, "unknown mutant '%s'", name);
}

int cmd_sim(int argc, char **argv)
{
    struct options          o = { .seed = UINT64_MAX, .count = 1 };
    const struct cli_option table[] = {
        { "seed", CLI_U64, "N", "the first seed; without it one is drawn and printed", &o.seed, 0, 0 },
        { "count", CLI_U64, "N", "so many runs, seeds one after the other (1)", &o.count, 1, 100000000 },
        { "scenario", CLI_STRING, "NAME", "only this one; --list shows them", &o.scenario, 0, 0 },
        { "steps", CLI_U64, "N", "operations a run (as the scenario says)", &o.steps, 1, 100000 },
        { "jobs", CLI_U64, "N", "runs at once (one a core)", &o.jobs, 1, JOBS_MAX },
        { "mutant", CLI_STRING, "NAME", "run a deliberately broken variant until it is found", &o.mutant, 0, 0 },
        { "json", CLI_BOOL, NULL, "a JSON object for each run", &o.json, 0, 0 },
        { "verbose", CLI_BOOL, NULL, "tell everything that happens, on stderr", &o.verbose, 0, 0 },
        { "list", CLI_BOOL, NULL, "list the scenarios", &o.list, 0, 0 },
        CLI_END
    };
    const struct cli_command command = {
        .name = "ringstack sim",
        .summary = "Runs whole clusters in the deterministic simulator: same seed, same run.", .options = table,
    };
    int rc = cli_parse(&command, argc, argv, NULL);

    if (rc >= 0)
        return rc;
    if (o.list) {
        for (uint32_t i = 0; i < scenarios_count; i++)
            printf("%-16s %s\n", scenarios[i].name, scenarios[i].summary);
        return 0;
    }
    if (o.scenario && !scenario_find(o.scenario))
        return cli_usage(&command, "unknown scenario '%s'", o.scenario);
    if (o.mutant && (rc = set_mutant(&command, o.mutant)) >= 0)
        return rc;
    if (o.seed == UINT64_MAX) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        o.seed = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec * 1000003 % 1000000007;
        printf("seed %" PRIu64 "\n", o.seed);
    }
    if (o.jobs == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);

        o.jobs = cores < 1 ? 1 : cores > JOBS_MAX ? JOBS_MAX : (uint64_t)cores;
    }
    return explore(&o);
}
