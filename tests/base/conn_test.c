/* tests/base/conn_test.c - connections over loopback, plain and with TLS. */
#include "tests/lib/test.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/conn.h"
#include "base/counter.h"
#include "base/env_kernel.h"

/* --- Certificates, made once. --- */

static char temp_dir[64], cert_file[80], key_file[80];

static int make_certificate(void **state)
{
    (void)state;
    snprintf(temp_dir, sizeof temp_dir, "/tmp/ringstack-conn-XXXXXX");
    assert_non_null(mkdtemp(temp_dir));
    snprintf(cert_file, sizeof cert_file, "%s/cert", temp_dir);
    snprintf(key_file, sizeof key_file, "%s/key", temp_dir);

    EVP_PKEY  *key = EVP_EC_gen("P-256");
    X509      *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509V3_CTX ctx;
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 365 * 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"node.test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *alt = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "DNS:node.test,IP:127.0.0.1");
    X509_add_ext(cert, alt, -1);
    X509_EXTENSION_free(alt);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *file = fopen(cert_file, "w");
    PEM_write_X509(file, cert);
    fclose(file);
    file = fopen(key_file, "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
    return 0;
}

static int remove_certificate(void **state)
{
    (void)state;
    unlink(cert_file);
    unlink(key_file);
    return rmdir(temp_dir);
}

/* --- A server and a client in one loop. --- */

struct pair;
typedef void (*end_fn)(struct pair *p, struct conn *conn);

struct pair {
    struct env      *env;
    struct listener *listener;
    char             address[64];
    bool             tls;
    end_fn           serve, use;
    struct tls      *server_tls, *client_tls;
    const char      *name;            /* What the client expects of the certificate. */
    int              client_rc, server_rc;   /* Of the handshake. */
    bool             no_ca, server_asks;
    struct conn     *other;           /* For the tests that share one. */
    int              done;
};

static int64_t soon(struct env *env)
{
    return env_now(env) + 10 * NS_PER_S;   /* Tests that work never reach it. */
}

static void server_task(void *arg)
{
    struct pair *p = arg;
    struct conn *conn;

    assert_int_equal(listener_accept(p->listener, &conn), 0);
    if (p->tls)
        p->server_rc = conn_start_tls(conn, p->server_tls, NULL, soon(p->env));
    if (p->server_rc == 0)
        p->serve(p, conn);
    conn_free(conn);
    p->done++;
}

static void client_task(void *arg)
{
    struct pair *p = arg;
    struct conn *conn;
    struct error err = { 0 };

    assert_int_equal(conn_connect(p->env, p->address, soon(p->env), &conn, &err), 0);
    if (p->tls)
        p->client_rc = conn_start_tls(conn, p->client_tls, p->name, soon(p->env));
    if (p->client_rc == 0) {
        assert_int_equal(conn_is_tls(conn), p->tls);
        p->use(p, conn);
    }
    conn_free(conn);
    p->done++;
}

static void pair_main(struct env *env, void *arg)
{
    struct pair      *p = arg;
    struct error      err = { 0 };
    struct task_group group;

    p->env = env;
    assert_int_equal(listener_new(env, "127.0.0.1:0", &p->listener, &err), 0);
    assert_int_not_equal(listener_port(p->listener), 0);
    snprintf(p->address, sizeof p->address, "127.0.0.1:%u", listener_port(p->listener));
    if (p->tls) {
        struct tls_options server = { .cert_file = cert_file, .key_file = key_file };
        struct tls_options client = { .ca_file = p->no_ca ? NULL : cert_file };
        if (p->server_asks)
            server.ca_file = cert_file;
        assert_int_equal(tls_new_server(&server, &p->server_tls, &err), 0);
        assert_int_equal(tls_new_client(&client, &p->client_tls, &err), 0);
    }
    task_group_init(&group, env->sched);
    assert_int_equal(task_spawn(env->sched, &group, "server", server_task, p), 0);
    assert_int_equal(task_spawn(env->sched, &group, "client", client_task, p), 0);
    assert_int_equal(task_group_wait(&group, TASK_FOREVER), 0);
    listener_free(p->listener);
    tls_free(p->server_tls);
    tls_free(p->client_tls);
}

static void run_pair(struct pair *p)
{
    assert_int_equal(kernel_main(NULL, pair_main, p), 0);
    assert_int_equal(p->done, 2);
    assert_int_equal(counter_value("conn_open"), 0);
}

static int read_exactly(struct pair *p, struct conn *conn, uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t n = 0;
        int    rc = conn_read(conn, data, size, soon(p->env), &n);
        if (rc != 0)
            return rc;
        if (n == 0)
            return -ENODATA;
        data += n;
        size -= n;
    }
    return 0;
}

static int write_bytes(struct pair *p, struct conn *conn, const void *data, size_t size)
{
    struct iovec iov = { (void *)(uintptr_t)data, size };
    return conn_write(conn, &iov, 1, soon(p->env));
}

/* --- Echo --- */

static void serve_echo(struct pair *p, struct conn *conn)
{
    uint8_t data[5000];
    size_t  n;

    for (;;) {
        assert_int_equal(conn_read(conn, data, sizeof data, soon(p->env), &n), 0);
        if (n == 0)
            return;
        assert_int_equal(write_bytes(p, conn, data, n), 0);
    }
}

static void use_echo(struct pair *p, struct conn *conn)
{
    uint8_t back[64];
    char    peer[CONN_ADDRESS_MAX];

    conn_peer(conn, peer, sizeof peer);
    assert_string_equal(peer, p->address);
    for (int i = 0; i < 100; i++) {
        struct iovec iov[3] = { { "one", 3 }, { "", 0 }, { "two", 3 } };
        assert_int_equal(conn_write(conn, iov, 3, soon(p->env)), 0);
        assert_int_equal(conn_wait_readable(conn, soon(p->env)), 0);
        assert_int_equal(read_exactly(p, conn, back, 6), 0);
        assert_memory_equal(back, "onetwo", 6);
    }
    conn_end(conn);
    size_t n = 1;
    assert_int_equal(conn_read(conn, back, sizeof back, soon(p->env), &n), 0);
    assert_int_equal(n, 0);
}

static void conn__echoes(void **state)
{
    struct pair p = { .serve = serve_echo, .use = use_echo };
    (void)state;
    run_pair(&p);
}

static void conn__echoes_with_tls(void **state)
{
    struct pair p = { .serve = serve_echo, .use = use_echo, .tls = true, .name = "node.test" };
    (void)state;
    run_pair(&p);
    p = (struct pair) { .serve = serve_echo, .use = use_echo, .tls = true, .name = "127.0.0.1" };
    run_pair(&p);
    p = (struct pair) { .serve = serve_echo, .use = use_echo, .tls = true, .no_ca = true };
    run_pair(&p);
}

/* --- Handshakes that must fail --- */

static void use_never(struct pair *p, struct conn *conn)
{
    (void)p;
    (void)conn;
    fail_msg("the handshake should have failed");
}

static void serve_read_error(struct pair *p, struct conn *conn)
{
    uint8_t byte;
    size_t  n = 0;
    /* In TLS 1.3 the server may be through before the client refuses. */
    int rc = conn_read(conn, &byte, 1, soon(p->env), &n);
    assert_true(rc == -EPROTO || rc == -ECONNRESET || (rc == 0 && n == 0));
}

static void tls__wrong_name_is_refused(void **state)
{
    struct pair p = { .serve = serve_read_error, .use = use_never, .tls = true, .name = "other.test" };
    (void)state;
    run_pair(&p);
    assert_int_equal(p.client_rc, -EPROTO);
}

static void use_refused(struct pair *p, struct conn *conn)
{
    serve_read_error(p, conn);
}

static void tls__client_without_certificate_is_refused(void **state)
{
    struct pair p = { .serve = use_never, .use = use_refused, .tls = true, .name = "node.test", .server_asks = true };
    (void)state;
    run_pair(&p);
    assert_int_equal(p.server_rc, -EPROTO);
}

static void use_plain_text(struct pair *p, struct conn *conn)
{
    uint8_t data[100];
    size_t  n;
    assert_int_equal(write_bytes(p, conn, "GET / HTTP/1.1\r\n\r\n", 18), 0);
    while (conn_read(conn, data, sizeof data, soon(p->env), &n) == 0 && n > 0) { }
}

static void serve_starts_tls(struct pair *p, struct conn *conn)
{
    struct tls_options options = { .cert_file = cert_file, .key_file = key_file };
    struct tls        *tls;
    assert_int_equal(tls_new_server(&options, &tls, NULL), 0);
    assert_int_equal(conn_start_tls(conn, tls, NULL, soon(p->env)), -EPROTO);
    tls_free(tls);
}

static void tls__plain_text_is_refused(void **state)
{
    struct pair p = { .serve = serve_starts_tls, .use = use_plain_text };
    (void)state;
    run_pair(&p);
}

static void serve_silent_tls(struct pair *p, struct conn *conn)
{
    struct tls_options options = { .cert_file = cert_file, .key_file = key_file };
    struct tls        *tls;
    assert_int_equal(tls_new_server(&options, &tls, NULL), 0);
    assert_int_equal(conn_start_tls(conn, tls, NULL, env_now(p->env) + 10 * NS_PER_MS), -ETIMEDOUT);
    tls_free(tls);
}

static void use_silence(struct pair *p, struct conn *conn)
{
    uint8_t byte;
    size_t  n = 1;
    assert_int_equal(conn_read(conn, &byte, 1, soon(p->env), &n), 0);
    assert_int_equal(n, 0);
}

static void tls__silent_client_times_out(void **state)
{
    struct pair p = { .serve = serve_silent_tls, .use = use_silence };
    (void)state;
    run_pair(&p);
}

static void tls__bad_files_are_errors(void **state)
{
    struct tls  *tls = NULL;
    struct error err;
    (void)state;
    assert_int_equal(tls_new_server(&(struct tls_options) { 0 }, &tls, &err), -EINVAL);
    assert_int_equal(tls_new_server(&(struct tls_options) { .cert_file = "/nonexistent", .key_file = key_file }, &tls, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "/nonexistent"));
    assert_int_equal(tls_new_server(&(struct tls_options) { .cert_file = cert_file, .key_file = cert_file }, &tls, &err),
                     -EINVAL);
    assert_int_equal(tls_new_client(&(struct tls_options) { .ca_file = key_file }, &tls, &err), -EINVAL);
    assert_null(tls);
    assert_null(tls_free(NULL));
}

/* --- Volume: a slow reader, and both directions at once --- */

enum { BULK_BYTES = 24 * 1024 * 1024 };

static uint8_t bulk_byte(size_t i)
{
    return (uint8_t)(i * 2654435761u >> 13);
}

static void serve_bulk(struct pair *p, struct conn *conn)
{
    uint8_t *data = malloc(BULK_BYTES);
    for (size_t i = 0; i < BULK_BYTES; i++)
        data[i] = bulk_byte(i);
    struct iovec iov[200];
    size_t       piece = BULK_BYTES / 200, at = 0;
    for (int i = 0; i < 200; i++, at += piece)
        iov[i] = (struct iovec) { data + at, i == 199 ? BULK_BYTES - at : piece };
    assert_int_equal(conn_write(conn, iov, 200, soon(p->env)), 0);
    free(data);
}

static void use_bulk_slowly(struct pair *p, struct conn *conn)
{
    uint8_t data[8192];
    size_t  at = 0, n;

    for (int round = 0;; round++) {
        assert_int_equal(conn_read(conn, data, 1 + (size_t)round * 37 % sizeof data, soon(p->env), &n), 0);
        if (n == 0)
            break;
        for (size_t i = 0; i < n; i++)
            if (data[i] != bulk_byte(at + i))
                fail_msg("byte %zu differs", at + i);
        at += n;
        if (round % 500 == 0)
            assert_int_equal(task_sleep(NS_PER_MS / 2), 0);
    }
    assert_int_equal(at, BULK_BYTES);
}

static void conn__slow_reader_gets_everything(void **state)
{
    struct pair p = { .serve = serve_bulk, .use = use_bulk_slowly };
    (void)state;
    run_pair(&p);
    p = (struct pair) { .serve = serve_bulk, .use = use_bulk_slowly, .tls = true, .name = "node.test" };
    run_pair(&p);
}

static void write_bulk_task(void *arg)
{
    struct pair *p = arg;
    uint8_t     *data = malloc(BULK_BYTES);
    for (size_t i = 0; i < BULK_BYTES; i++)
        data[i] = bulk_byte(i);
    assert_int_equal(write_bytes(p, p->other, data, BULK_BYTES), 0);
    free(data);
}

static void use_bulk_echo(struct pair *p, struct conn *conn)
{
    static uint8_t    data[BULK_BYTES];
    struct task_group group;

    p->other = conn;
    task_group_init(&group, p->env->sched);
    assert_int_equal(task_spawn(p->env->sched, &group, "writer", write_bulk_task, p), 0);
    assert_int_equal(read_exactly(p, conn, data, BULK_BYTES), 0);
    for (size_t i = 0; i < BULK_BYTES; i++)
        if (data[i] != bulk_byte(i))
            fail_msg("byte %zu differs", i);
    assert_int_equal(task_group_wait(&group, TASK_FOREVER), 0);
}

static void conn__reads_and_writes_at_once(void **state)
{
    struct pair p = { .serve = serve_echo, .use = use_bulk_echo };
    (void)state;
    run_pair(&p);
    p = (struct pair) { .serve = serve_echo, .use = use_bulk_echo, .tls = true, .name = "node.test" };
    run_pair(&p);
}

/* --- Deadlines, cancellation, closing --- */

static void serve_until_closed(struct pair *p, struct conn *conn)
{
    assert_int_equal(conn_wait_readable(conn, soon(p->env)), 0);
    while (!conn_peer_closed(conn))
        assert_int_equal(task_sleep(NS_PER_MS), 0);
}

static void use_deadline(struct pair *p, struct conn *conn)
{
    uint8_t byte;
    size_t  n = 7;
    int64_t start = env_now(p->env);

    assert_int_equal(conn_read(conn, &byte, 1, start + 5 * NS_PER_MS, &n), -ETIMEDOUT);
    assert_int_equal(n, 7);
    assert_true(env_now(p->env) >= start + 5 * NS_PER_MS);
    assert_int_equal(conn_wait_readable(conn, start + 6 * NS_PER_MS), -ETIMEDOUT);
    assert_false(conn_peer_closed(conn));

    /* The other side does not read: the write fills what the kernel holds, then waits. */
    uint8_t *data = calloc(1, BULK_BYTES);
    struct iovec iov = { data, BULK_BYTES };
    assert_int_equal(conn_write(conn, &iov, 1, env_now(p->env) + 5 * NS_PER_MS), -ETIMEDOUT);
    free(data);
}

static void serve_after_write(struct pair *p, struct conn *conn)
{
    assert_int_equal(conn_wait_readable(conn, soon(p->env)), 0);
    /* Bytes are unread, so the peer is not gone for the reader yet. */
    uint8_t data[65536];
    size_t  n;
    while (p->done == 0)
        assert_int_equal(task_sleep(NS_PER_MS), 0);
    int rc;
    while ((rc = conn_read(conn, data, sizeof data, soon(p->env), &n)) == 0 && n > 0) { }
    assert_true(rc == 0 || rc == -ECONNRESET || rc == -EPROTO);
}

static void conn__deadlines_hold(void **state)
{
    struct pair p = { .serve = serve_after_write, .use = use_deadline };
    (void)state;
    run_pair(&p);
    p = (struct pair) { .serve = serve_after_write, .use = use_deadline, .tls = true, .name = "node.test" };
    run_pair(&p);
}

static void use_hello(struct pair *p, struct conn *conn)
{
    assert_int_equal(write_bytes(p, conn, "x", 1), 0);
    assert_int_equal(task_sleep(2 * NS_PER_MS), 0);
}

static void serve_sees_close(struct pair *p, struct conn *conn)
{
    uint8_t byte;
    size_t  n;
    assert_int_equal(conn_read(conn, &byte, 1, soon(p->env), &n), 0);
    serve_until_closed(p, conn);
}

static void conn__peer_closed_is_seen(void **state)
{
    struct pair p = { .serve = serve_sees_close, .use = use_hello };
    (void)state;
    run_pair(&p);
    p = (struct pair) { .serve = serve_sees_close, .use = use_hello, .tls = true, .name = "node.test" };
    run_pair(&p);
}

static void read_shut_task(void *arg)
{
    struct pair *p = arg;
    uint8_t      byte;
    size_t       n;
    assert_int_equal(conn_read(p->other, &byte, 1, soon(p->env), &n), -E_CLOSED);
    assert_int_equal(conn_read(p->other, &byte, 1, soon(p->env), &n), -E_CLOSED);
    assert_int_equal(write_bytes(p, p->other, "x", 1), -E_CLOSED);
}

static void use_shutdown(struct pair *p, struct conn *conn)
{
    struct task_group group;

    p->other = conn;
    task_group_init(&group, p->env->sched);
    assert_int_equal(task_spawn(p->env->sched, &group, "reader", read_shut_task, p), 0);
    assert_int_equal(task_sleep(NS_PER_MS), 0);
    conn_shutdown(conn);
    conn_shutdown(conn);
    assert_int_equal(task_group_wait(&group, TASK_FOREVER), 0);
    assert_true(conn_peer_closed(conn));
}

static void serve_discard(struct pair *p, struct conn *conn)
{
    uint8_t byte;
    size_t  n;
    int     rc = conn_read(conn, &byte, 1, soon(p->env), &n);
    assert_true((rc == 0 && n == 0) || rc == -ECONNRESET);
}

static void conn__shutdown_ends_waits(void **state)
{
    struct pair p = { .serve = serve_discard, .use = use_shutdown };
    (void)state;
    run_pair(&p);
    p = (struct pair) { .serve = serve_discard, .use = use_shutdown, .tls = true, .name = "node.test" };
    run_pair(&p);
}

static void read_cancelled_task(void *arg)
{
    struct pair *p = arg;
    uint8_t      byte;
    size_t       n;
    assert_int_equal(conn_read(p->other, &byte, 1, soon(p->env), &n), -ECANCELED);
    assert_int_equal(conn_wait_readable(p->other, soon(p->env)), -ECANCELED);
}

static void use_cancel(struct pair *p, struct conn *conn)
{
    struct task_group group;

    p->other = conn;
    task_group_init(&group, p->env->sched);
    assert_int_equal(task_spawn(p->env->sched, &group, "reader", read_cancelled_task, p), 0);
    assert_int_equal(task_sleep(NS_PER_MS), 0);
    task_group_close(&group);
}

static void conn__cancellation_ends_reads(void **state)
{
    struct pair p = { .serve = serve_discard, .use = use_cancel };
    (void)state;
    run_pair(&p);
}

/* --- Listening and connecting --- */

static void accept_task(void *arg)
{
    struct pair *p = arg;
    struct conn *conn;
    assert_int_equal(listener_accept(p->listener, &conn), -ECANCELED);
    p->done++;
}

static void listen_main(struct env *env, void *arg)
{
    struct pair     *p = arg;
    struct listener *second = NULL;
    struct conn     *conn = NULL;
    struct error     err = { 0 };

    p->env = env;
    assert_int_equal(listener_new(env, "127.0.0.1:0", &p->listener, &err), 0);
    snprintf(p->address, sizeof p->address, "127.0.0.1:%u", listener_port(p->listener));
    assert_int_equal(listener_new(env, p->address, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, p->address));
    for (int i = 0; i < 3; i++)
        assert_int_equal(env_spawn(env, "accept", accept_task, p), 0);
    assert_int_equal(task_sleep(NS_PER_MS), 0);
    listener_free(p->listener);
    assert_int_equal(task_sleep(NS_PER_MS), 0);
    assert_int_equal(p->done, 3);
    assert_int_equal(conn_connect(env, p->address, soon(env), &conn, &err), -ECONNREFUSED);
    assert_null(listener_free(NULL));

    static const char *const bad[] = { "", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:70000", "1.2.3.4:1x", "::1:80", "[::1]80",
                                       "[:80", "[]:80", "1.2.3.4:-1", "256.1.1.1:80", "name:80" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(listener_new(env, bad[i], &second, &err), -EINVAL);
    assert_int_equal(conn_connect(env, "127.0.0.1", soon(env), &conn, &err), -EINVAL);
    assert_null(conn);
    assert_null(conn_free(NULL));
}

static void listener__errors_and_closing(void **state)
{
    struct pair p = { 0 };
    (void)state;
    assert_int_equal(kernel_main(NULL, listen_main, &p), 0);
    assert_int_equal(p.done, 3);
}

static void v6_main(struct env *env, void *arg)
{
    struct pair *p = arg;
    struct conn *a, *b;
    char         peer[CONN_ADDRESS_MAX];

    if (listener_new(env, "[::1]:0", &p->listener, NULL) != 0)
        return;   /* No IPv6 here. */
    snprintf(p->address, sizeof p->address, "[::1]:%u", listener_port(p->listener));
    assert_int_equal(conn_connect(env, p->address, soon(env), &a, NULL), 0);
    assert_int_equal(listener_accept(p->listener, &b), 0);
    conn_peer(a, peer, sizeof peer);
    assert_string_equal(peer, p->address);
    conn_free(a);
    conn_free(b);
    snprintf(p->address, sizeof p->address, "localhost:%u", listener_port(p->listener));
    if (conn_connect(env, p->address, soon(env), &a, NULL) == 0) {
        assert_int_equal(listener_accept(p->listener, &b), 0);
        conn_free(a);
        conn_free(b);
    }
    listener_free(p->listener);
}

static void listener__v6_and_names(void **state)
{
    struct pair p = { 0 };
    (void)state;
    assert_int_equal(kernel_main(NULL, v6_main, &p), 0);
}

static void pressure_main(struct env *env, void *arg)
{
    struct pair  *p = arg;
    struct conn  *client;
    struct rlimit before, now;
    int64_t       counted = counter_value("conn_accept_pressure");

    p->env = env;
    assert_int_equal(listener_new(env, "127.0.0.1:0", &p->listener, NULL), 0);
    snprintf(p->address, sizeof p->address, "127.0.0.1:%u", listener_port(p->listener));
    assert_int_equal(conn_connect(env, p->address, soon(env), &client, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = 3;   /* No new descriptor fits. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(env_spawn(env, "accept", accept_task, p), 0);
    assert_int_equal(task_sleep(5 * NS_PER_MS), 0);
    assert_int_equal(counter_value("conn_accept_pressure"), counted + 1);
    task_group_cancel(&env->group);   /* The pause is a wait like any other. */
    assert_int_equal(task_yield(), -ECANCELED);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    conn_free(client);
    listener_free(p->listener);
}

static void listener__waits_out_of_descriptors(void **state)
{
    struct pair p = { 0 };
    (void)state;
    assert_int_equal(kernel_main(NULL, pressure_main, &p), 0);
    assert_int_equal(p.done, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conn__echoes),
        cmocka_unit_test(conn__echoes_with_tls),
        cmocka_unit_test(tls__wrong_name_is_refused),
        cmocka_unit_test(tls__client_without_certificate_is_refused),
        cmocka_unit_test(tls__plain_text_is_refused),
        cmocka_unit_test(tls__silent_client_times_out),
        cmocka_unit_test(tls__bad_files_are_errors),
        cmocka_unit_test(conn__slow_reader_gets_everything),
        cmocka_unit_test(conn__reads_and_writes_at_once),
        cmocka_unit_test(conn__deadlines_hold),
        cmocka_unit_test(conn__peer_closed_is_seen),
        cmocka_unit_test(conn__shutdown_ends_waits),
        cmocka_unit_test(conn__cancellation_ends_reads),
        cmocka_unit_test(listener__errors_and_closing),
        cmocka_unit_test(listener__v6_and_names),
        cmocka_unit_test(listener__waits_out_of_descriptors),
    };
    return cmocka_run_group_tests_name("conn", tests, make_certificate, remove_certificate);
}
