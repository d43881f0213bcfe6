/* tests/bench/echo_bench.c - requests a second over kept-alive loopback connections.
 *
 *   echo_bench server PORT               prints its CPU use a request, on SIGTERM
 *   echo_bench client PORT CONNECTIONS SECONDS
 *
 * A request is 100 bytes, an answer 200 in two pieces. Not a test. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/conn.h"
#include "base/env_kernel.h"

enum { REQUEST_BYTES = 100, ANSWER_BYTES = 200 };

static struct env *env;
static uint64_t    requests;
static int64_t     end_at;
static char        address[64];

static void serve(void *arg)
{
    struct conn *conn = arg;
    uint8_t      request[16384], answer[ANSWER_BYTES] = { 0 };
    size_t       n, have = 0;

    for (;;) {
        if (conn_read(conn, request, sizeof request, env_now(env) + 60 * NS_PER_S, &n) != 0 || n == 0)
            break;
        for (have += n; have >= REQUEST_BYTES; have -= REQUEST_BYTES) {
            struct iovec iov[2] = { { answer, 50 }, { answer + 50, ANSWER_BYTES - 50 } };
            if (conn_write(conn, iov, 2, env_now(env) + 60 * NS_PER_S) != 0)
                break;
            requests++;
        }
    }
    conn_free(conn);
}

static void accept_all(void *arg)
{
    struct conn *conn;

    while (listener_accept(arg, &conn) == 0)
        if (env_spawn(env, "serve", serve, conn) != 0)
            conn_free(conn);
    listener_free(arg);
}

static void stop(void *arg)
{
    struct rusage u;

    (void)arg;
    getrusage(RUSAGE_SELF, &u);
    double us = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    printf("server: %llu requests, %.2f us CPU each, %ld KiB at most\n", (unsigned long long)requests,
           us / (double)(requests ? requests : 1), u.ru_maxrss);
    kernel_stop(env);
}

static void request_all(void *arg)
{
    uint8_t      data[4096] = { 0 };
    struct conn *conn;
    size_t       n, have;

    (void)arg;
    if (conn_connect(env, address, TASK_FOREVER, &conn, NULL) != 0)
        abort();
    while (env_now(env) < end_at) {
        struct iovec iov = { data, REQUEST_BYTES };
        if (conn_write(conn, &iov, 1, end_at + NS_PER_S) != 0)
            abort();
        for (have = 0; have < ANSWER_BYTES; have += n)
            if (conn_read(conn, data, sizeof data, end_at + NS_PER_S, &n) != 0 || n == 0)
                abort();
        requests++;
    }
    conn_free(conn);
}

static void client(struct env *e, void *arg)
{
    uint32_t *connections = arg;

    env = e;
    for (uint32_t i = 0; i < *connections; i++)
        if (env_spawn(env, "client", request_all, NULL) != 0)
            abort();
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    snprintf(address, sizeof address, "127.0.0.1:%s", argv[2]);
    if (strcmp(argv[1], "server") == 0) {
        struct listener *listener;
        struct error     err;
        if (kernel_new(NULL, &env, &err) != 0 || listener_new(env, address, &listener, &err) != 0) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        kernel_on_signal(env, SIGTERM, stop, NULL);
        env_spawn(env, "accept", accept_all, listener);
        kernel_run(env);
        kernel_free(env);
        return 0;
    }
    uint32_t        connections = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 16;
    double          seconds = argc > 4 ? atof(argv[4]) : 2;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    end_at = (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec + (int64_t)(seconds * 1e9);
    int rc = kernel_main(NULL, client, &connections);
    printf("client: %u connections: %.0f requests/s\n", connections, (double)requests / seconds);
    return rc != 0;
}
