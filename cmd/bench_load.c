/* cmd/bench_load.c - the workers: each sends one request at a time and judges the answer.
 *
 * In mixed mode a worker owns the objects whose number modulo the concurrency is
 * its own, so that it knows what each must hold: its own writes are read back. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "cmd/bench_private.h"

enum { NETWORK_PAUSE_MS = 20 };

const char *const bench_op_names[BENCH_OPS] = { "put", "get", "head", "delete", "list", "mixed" };

/* Of an object in mixed mode. */
struct known {
    uint32_t generation;   /* Of the content last written. */
    enum { ABSENT, PRESENT, UNSURE } state;
};

/* What is known about an object before an operation. */
enum expect { EXISTS, EXISTS_NOT, EXISTS_MAYBE };

struct worker {
    struct bench       *bench;
    struct bench_client client;
    struct rng          rng;
    uint32_t            index;
    struct known       *known;         /* Mixed mode: of the objects index, index + concurrency, ... */
    uint64_t            known_count;
    char                path[BENCH_URL_MAX + 512];
};

bool bench_parse_op(const char *text, enum bench_op *ret)
{
    for (int i = 0; i < BENCH_OPS; i++)
        if (strcmp(text, bench_op_names[i]) == 0) {
            *ret = (enum bench_op)i;
            return true;
        }
    return false;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ (x >> 32);
}

uint64_t bench_content(const struct bench *b, uint64_t number, uint32_t generation)
{
    return mix(number + mix(b->options.seed + ((uint64_t)generation << 32) + 1)) % BENCH_POOL_BYTES;
}

static bool md5_matches(const struct bench *b, uint64_t at, const char *etag)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int  size = 0;
    char          hex[2 * EVP_MAX_MD_SIZE + 1];
    EVP_MD_CTX   *md5 = EVP_MD_CTX_new();

    if (!md5 || EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1) {
        EVP_MD_CTX_free(md5);
        return false;
    }
    for (uint64_t left = b->options.size; left > 0;) {
        uint64_t place = at % BENCH_POOL_BYTES, run = BENCH_POOL_BYTES - place;
        run = run < left ? run : left;
        EVP_DigestUpdate(md5, b->pool + place, run);
        at += run;
        left -= run;
    }
    EVP_DigestFinal_ex(md5, digest, &size);
    EVP_MD_CTX_free(md5);
    for (unsigned int i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return strcmp(hex, etag) == 0;
}

/* --- Counting. --- */

static void note_error(struct bench *b, const char *what, enum bench_op op, uint64_t number)
{
    b->stats.errors++;
    if (!b->stats.first_error[0])
        snprintf(b->stats.first_error, sizeof b->stats.first_error, "%s object %llu: %s", bench_op_names[op],
                 (unsigned long long)number, what);
}

WAITS static void note_network(struct bench *b, int rc, enum bench_op op, uint64_t number)
{
    if (rc == -ETIMEDOUT)
        b->stats.timeouts++;
    else
        b->stats.network_errors++;
    note_error(b, error_text(rc), op, number);
    task_sleep(NETWORK_PAUSE_MS * NS_PER_MS);   /* A dead server is not hammered. */
}

/* Is the answer what it must be? Counts what is not. */
static bool judge(struct bench *b, enum bench_op op, uint64_t number, const struct bench_call *call, enum expect expect,
                  const struct bench_answer *answer)
{
    uint64_t    left = b->options.objects - number, want = left < b->options.limit ? left : b->options.limit;
    bool        good = answer->status / 100 == 2, missing = answer->status == 404 && expect != EXISTS;
    bool        verify = b->options.verify;
    const char *wrong = NULL;
    char        text[64];

    if (!good && !missing) {
        snprintf(text, sizeof text, "status %d", answer->status);
        note_error(b, text, op, number);
        return false;
    }
    if (good && expect == EXISTS_NOT)
        wrong = "it is there, though its deletion was acknowledged";
    else if (good && op == BENCH_GET && (answer->differs || answer->size != b->options.size))
        wrong = "the content is not what was written";
    else if (good && op == BENCH_PUT && verify && !md5_matches(b, call->body_at, answer->etag))
        wrong = "the ETag is not the content's MD5";
    if (good && op == BENCH_LIST && verify && answer->entries != want) {
        snprintf(text, sizeof text, "%llu entries instead of %llu", (unsigned long long)answer->entries,
                 (unsigned long long)want);
        wrong = text;
    }
    if (wrong) {
        b->stats.bad_content++;
        note_error(b, wrong, op, number);
        return false;
    }
    if (verify && op != BENCH_DELETE && op != BENCH_HEAD)
        b->stats.verified++;
    return true;
}

/* One operation on one object. Returns the status, or a negative code when nothing is known about the outcome. */
WAITS static int operate(struct worker *w, enum bench_op op, uint64_t number, uint32_t generation, enum expect expect)
{
    static const char *const methods[BENCH_OPS] = { "PUT", "GET", "HEAD", "DELETE", "GET", "" };
    struct bench       *b = w->bench;
    struct bench_answer answer;
    struct bench_call   call = { .method = methods[op], .path = w->path };

    call.body_at = bench_content(b, number, generation);
    call.body_size = b->options.size;
    call.has_body = op == BENCH_PUT;
    call.compare = op == BENCH_GET && b->options.verify;
    call.entries = op == BENCH_LIST;
    if (call.has_body)
        call.headers = "Content-Type: application/octet-stream\r\n";
    if (op != BENCH_LIST)
        snprintf(w->path, sizeof w->path, "%s/%s%010llu", b->target.path, b->options.prefix, (unsigned long long)number);

    int64_t begun = env_now(b->env);
    int     rc = bench_call(&w->client, &call, &answer);
    int64_t us = (env_now(b->env) - begun) / 1000;   /* Before the checks, which are not the server's time. */
    if (rc) {
        note_network(b, rc, op, number);
        return rc;
    }
    b->stats.status[answer.status]++;
    if (!judge(b, op, number, &call, expect, &answer))
        return answer.status;
    if (b->ledger && op == BENCH_PUT)
        fprintf(b->ledger, "%llu\n", (unsigned long long)number);
    bench_latency_add(&b->stats.latency, (uint64_t)us);
    b->stats.ops++;
    b->stats.by_op[op]++;
    b->stats.entries += answer.entries;
    b->stats.bytes += op == BENCH_PUT ? b->options.size : answer.size;
    return answer.status;
}

/* --- What next. --- */

/* A page of the listing that begins after a known object. */
WAITS static void list_page(struct worker *w)
{
    struct bench *b = w->bench;
    uint64_t      pages = (b->options.objects + b->options.limit - 1) / b->options.limit;
    uint64_t      skip = rng_below(&w->rng, pages ? pages : 1) * b->options.limit;
    char          marker[320] = "";

    if (skip > 0)
        snprintf(marker, sizeof marker, "&marker=%s%010llu", b->options.prefix,
                 (unsigned long long)(b->options.start + skip - 1));
    snprintf(w->path, sizeof w->path, "%s?format=json&limit=%llu&prefix=%s%s", b->target.path,
             (unsigned long long)b->options.limit, b->options.prefix, marker);
    operate(w, BENCH_LIST, skip, 0, EXISTS);
}

/* 50 % reads, 30 % writes, 15 % deletes, 5 % heads, on the worker's own objects. */
WAITS static void mixed(struct worker *w)
{
    struct bench *b = w->bench;
    uint64_t      slot = rng_below(&w->rng, w->known_count), dice = rng_below(&w->rng, 100);
    struct known *known = &w->known[slot];
    uint64_t      number = b->options.start + w->index + slot * b->options.concurrency;
    int           status;

    if (dice < 55) {
        /* Of an unsure object either content is right: reading it would prove nothing. */
        enum bench_op op = dice < 50 && known->state != UNSURE ? BENCH_GET : BENCH_HEAD;
        operate(w, op, number, known->generation,
                known->state == PRESENT ? EXISTS : known->state == ABSENT ? EXISTS_NOT : EXISTS_MAYBE);
    } else if (dice < 85) {
        status = operate(w, BENCH_PUT, number, known->generation + 1, EXISTS);
        known->generation++;
        known->state = status > 0 && status / 100 == 2 ? PRESENT : UNSURE;
    } else {
        status = operate(w, BENCH_DELETE, number, 0, EXISTS_MAYBE);
        known->state = status > 0 && (status / 100 == 2 || status == 404) ? ABSENT : UNSURE;
    }
}

/* The next object in order, wrapping; false: there is none. */
static bool next_number(struct bench *b, bool wrap, uint64_t *ret)
{
    uint64_t objects = b->options.objects;

    if (objects > 0 && b->next >= b->options.start + objects) {
        if (!wrap)
            return false;
        b->next = b->options.start;
    }
    *ret = b->next++;
    return true;
}

static uint64_t from_ledger(const struct bench *b, uint64_t number)
{
    return b->numbers ? b->numbers[number] : number;
}

WAITS static bool step(struct worker *w)
{
    struct bench *b = w->bench;
    uint64_t      number;

    switch (b->op) {
    case BENCH_PUT:
    case BENCH_DELETE:
        if (!next_number(b, b->op == BENCH_PUT && b->options.count + b->options.seconds > 0, &number))
            return false;
        operate(w, b->op, from_ledger(b, number), 0, b->op == BENCH_DELETE ? EXISTS_MAYBE : EXISTS);
        return true;
    case BENCH_GET:
    case BENCH_HEAD:
        if (!b->options.sequential)
            number = b->options.start + rng_below(&w->rng, b->options.objects);
        else if (!next_number(b, b->options.count + b->options.seconds > 0, &number))
            return false;
        operate(w, b->op, from_ledger(b, number), 0, EXISTS);
        return true;
    case BENCH_LIST:
        list_page(w);
        return true;
    case BENCH_MIXED:
        mixed(w);
        return true;
    }
    return false;
}

WAITS void bench_worker(struct bench *b, uint32_t index)
{
    struct worker w = { .bench = b, .index = index };

    rng_init(&w.rng, b->options.seed, index);
    if (b->op == BENCH_MIXED) {
        w.known_count = (b->options.objects - index + b->options.concurrency - 1) / b->options.concurrency;
        w.known = calloc(w.known_count ? w.known_count : 1, sizeof *w.known);
        for (uint64_t i = 0; w.known && i < w.known_count; i++)
            w.known[i].state = UNSURE;   /* From an earlier run, perhaps. */
    }
    if (bench_client_init(&w.client, b, &b->target) == 0 && (b->op != BENCH_MIXED || w.known)) {
        while (!b->stop && !task_cancelled() && env_now(b->env) < b->deadline &&
               (b->options.count == 0 || b->issued < b->options.count)) {
            b->issued++;
            if (!step(&w))
                break;
        }
    } else {
        note_error(b, "out of memory", b->op, 0);
    }
    bench_client_done(&w.client);
    free(w.known);
}
