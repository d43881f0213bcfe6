/* base/conn_tls.c - TLS by OpenSSL on non-blocking sockets.
 *
 * Handshakes run on WORK_CPU threads, for a signature takes up to a millisecond;
 * records are sealed and opened on the loop thread. OpenSSL's error queue belongs
 * to the thread, so errors are read where they happen. */
#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conn_private.h"

enum { RECORD_BYTES = 16384 };   /* The most that one record carries. */

struct tls {
    SSL_CTX *ctx;
    bool     server;
};

/* --- Settings --- */

static int tls_fail(struct error *err, int code, const char *what, const char *file)
{
    unsigned long reason = ERR_peek_last_error();
    const char   *text = reason ? ERR_reason_error_string(reason) : NULL;

    error_set(err, code, "%s%s%s: %s", what, file ? " " : "", file ? file : "", text ? text : "TLS library failed");
    ERR_clear_error();
    return code;
}

/* Offers of HTTP/2 are answered with what we speak. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in,
                       unsigned int in_size, void *arg)
{
    static const unsigned char http11[] = "\x08http/1.1";
    unsigned char             *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_size, http11, sizeof http11 - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int load_files(struct tls *tls, const struct tls_options *o, struct error *err)
{
    if (o->cert_file && SSL_CTX_use_certificate_chain_file(tls->ctx, o->cert_file) != 1)
        return tls_fail(err, -EINVAL, "cannot use the certificate", o->cert_file);
    if (o->key_file && SSL_CTX_use_PrivateKey_file(tls->ctx, o->key_file, SSL_FILETYPE_PEM) != 1)
        return tls_fail(err, -EINVAL, "cannot use the key", o->key_file);
    if (o->key_file && SSL_CTX_check_private_key(tls->ctx) != 1)
        return tls_fail(err, -EINVAL, "the key does not belong to the certificate: key", o->key_file);
    if (o->ca_file) {
        if (SSL_CTX_load_verify_locations(tls->ctx, o->ca_file, NULL) != 1)
            return tls_fail(err, -EINVAL, "cannot use the CA file", o->ca_file);
        SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return 0;
}

static int tls_new(const struct tls_options *options, bool server, struct tls **ret_tls, struct error *err)
{
    static const unsigned char session_context[] = "ringstack";
    struct tls                *tls = calloc(1, sizeof *tls);

    if (!tls)
        return error_set(err, -ENOMEM, "no memory for TLS settings");
    if (server && (!options->cert_file || !options->key_file)) {
        free(tls);
        return error_set(err, -EINVAL, "a TLS server needs a certificate and a key");
    }
    tls->server = server;
    tls->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    int rc = tls->ctx ? 0 : tls_fail(err, -ENOMEM, "cannot set TLS up", NULL);
    if (rc == 0) {
        SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
        SSL_CTX_set_options(tls->ctx,
                            SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
        SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_read_ahead(tls->ctx, 1);   /* Header and body of a record by one read. */
        SSL_CTX_set_session_id_context(tls->ctx, session_context, sizeof session_context - 1);
        if (server)
            SSL_CTX_set_alpn_select_cb(tls->ctx, choose_alpn, NULL);
        rc = load_files(tls, options, err);
    }
    if (rc != 0) {
        tls_free(tls);
        return rc;
    }
    *ret_tls = tls;
    return 0;
}

int tls_new_server(const struct tls_options *options, struct tls **ret_tls, struct error *err)
{
    return tls_new(options, true, ret_tls, err);
}

int tls_new_client(const struct tls_options *options, struct tls **ret_tls, struct error *err)
{
    return tls_new(options, false, ret_tls, err);
}

struct tls *tls_free(struct tls *tls)
{
    if (tls) {
        SSL_CTX_free(tls->ctx);
        free(tls);
    }
    return NULL;
}

/* --- Connections --- */

/* What a call of OpenSSL ended with. */
struct tls_call {
    SSL *ssl;
    int  result;    /* As the call returned it. */
    int  error;     /* SSL_get_error(). */
    int  sys_errno;
};

static void call_note(struct tls_call *call, int result)
{
    call->sys_errno = errno;
    call->result = result;
    call->error = SSL_get_error(call->ssl, result);
    /* The stream ended without the goodbye of TLS: cut off, as far as anybody can tell. */
    if (call->error == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        call->error = SSL_ERROR_SYSCALL;
    if (call->error == SSL_ERROR_SSL || call->error == SSL_ERROR_SYSCALL)
        ERR_clear_error();
}

/* Waits for what the call wanted, then 0: repeat it. Or its failure. The flag of
 * the direction was cleared when, or before, the call met EAGAIN. */
WAITS static int call_wait(struct conn *conn, const struct tls_call *call, int64_t deadline)
{
    conn->calls = 0;
    switch (call->error) {
    case SSL_ERROR_WANT_READ:
        return poller_wait_readable(&conn->pfd, deadline);
    case SSL_ERROR_WANT_WRITE:
        return poller_wait_writable(&conn->pfd, deadline);
    case SSL_ERROR_SYSCALL:
        conn->failed = true;
        return -ECONNRESET;
    default:
        conn->failed = true;
        return conn->pfd.closed ? -E_CLOSED : -EPROTO;
    }
}

/* After a call on the loop thread, where no event can come between the call and this. */
WAITS static int call_wait_here(struct conn *conn, const struct tls_call *call, int64_t deadline)
{
    if (call->error == SSL_ERROR_WANT_READ)
        conn->pfd.readable = false;
    if (call->error == SSL_ERROR_WANT_WRITE)
        conn->pfd.writable = false;
    return call_wait(conn, call, deadline);
}

static void handshake_run(void *arg)
{
    struct tls_call *call = arg;

    ERR_clear_error();
    call_note(call, SSL_do_handshake(call->ssl));
}

static int set_peer_name(SSL *ssl, const char *name)
{
    struct in6_addr address;

    if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 ? 0 : -EINVAL;
    return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1 ? 0 : -EINVAL;
}

int conn_start_tls(struct conn *conn, struct tls *tls, const char *name, int64_t deadline)
{
    assert(!conn->ssl);
    if (conn->pfd.closed)
        return -E_CLOSED;
    struct tls_call call = { .ssl = SSL_new(tls->ctx) };
    if (!call.ssl || SSL_set_fd(call.ssl, conn->pfd.fd) != 1) {
        SSL_free(call.ssl);
        ERR_clear_error();
        return -ENOMEM;
    }
    if (tls->server)
        SSL_set_accept_state(call.ssl);
    else
        SSL_set_connect_state(call.ssl);
    int rc = name ? set_peer_name(call.ssl, name) : 0;
    /* Waiting for the first bytes here spares the worker a call in vain. */
    if (rc == 0 && tls->server)
        rc = conn_wait_readable(conn, deadline);
    while (rc == 0) {
        /* Cleared before: an event that comes while the worker runs must not be lost. */
        conn->pfd.readable = conn->pfd.writable = false;
        rc = env_work(&conn->kernel->env, WORK_CPU, handshake_run, &call);
        if (rc != 0 || call.result == 1)
            break;
        rc = call_wait(conn, &call, deadline);
    }
    if (rc != 0) {
        SSL_free(call.ssl);
        return rc;
    }
    conn->ssl = call.ssl;
    conn->pfd.readable = conn->pfd.writable = true;
    return 0;
}

int conn_tls_read(struct conn *conn, void *data, size_t capacity, int64_t deadline, size_t *ret_size)
{
    struct tls_call call = { .ssl = conn->ssl };

    for (;;) {
        if (conn->pfd.closed)
            return -E_CLOSED;
        /* Without a readiness event there is nothing but what OpenSSL holds. */
        if (!conn->pfd.readable && !SSL_has_pending(conn->ssl)) {
            int rc = poller_wait_readable(&conn->pfd, deadline);
            if (rc != 0)
                return rc;
        }
        ERR_clear_error();
        int n = SSL_read(conn->ssl, data, capacity > INT32_MAX ? INT32_MAX : (int)capacity);
        if (n > 0) {
            *ret_size = (size_t)n;
            return 0;
        }
        call_note(&call, n);
        if (call.error == SSL_ERROR_ZERO_RETURN) {
            *ret_size = 0;
            return 0;
        }
        int rc = call_wait_here(conn, &call, deadline);
        if (rc != 0)
            return rc;
    }
}

WAITS static int write_record(struct conn *conn, const uint8_t *data, size_t size, int64_t deadline)
{
    struct tls_call call = { .ssl = conn->ssl };

    while (size > 0) {
        if (conn->pfd.closed)
            return -E_CLOSED;
        ERR_clear_error();
        int n = SSL_write(conn->ssl, data, size > INT32_MAX ? INT32_MAX : (int)size);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
            continue;
        }
        call_note(&call, n);
        int rc = call_wait_here(conn, &call, deadline);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Small pieces are gathered, so that a head and the body's start share a record. */
int conn_tls_write(struct conn *conn, const struct iovec *iov, int count, int64_t deadline)
{
    uint8_t record[RECORD_BYTES];
    size_t  held = 0;
    int     rc = 0;

    for (int i = 0; i < count && rc == 0; i++) {
        const uint8_t *data = iov[i].iov_base;
        size_t         size = iov[i].iov_len;
        while (size > 0 && rc == 0) {
            if (held == 0 && size >= sizeof record) {
                size_t whole = size - size % sizeof record;
                rc = write_record(conn, data, whole, deadline);
                data += whole;
                size -= whole;
                continue;
            }
            size_t n = sizeof record - held < size ? sizeof record - held : size;
            memcpy(record + held, data, n);
            held += n;
            data += n;
            size -= n;
            if (held == sizeof record) {
                rc = write_record(conn, record, held, deadline);
                held = 0;
            }
        }
    }
    if (rc == 0 && held > 0)
        rc = write_record(conn, record, held, deadline);
    return rc;
}

bool conn_tls_peer_closed(struct conn *conn)
{
    struct tls_call call = { .ssl = conn->ssl };
    uint8_t         byte;

    ERR_clear_error();
    int n = SSL_peek(conn->ssl, &byte, 1);
    if (n > 0)
        return false;
    call_note(&call, n);
    return call.error != SSL_ERROR_WANT_READ && call.error != SSL_ERROR_WANT_WRITE;
}

void conn_tls_end(struct conn *conn)
{
    if (conn->failed)
        return;
    ERR_clear_error();
    SSL_shutdown(conn->ssl);   /* Our half; the peer's is not waited for. */
    ERR_clear_error();
}

void conn_tls_free(struct conn *conn)
{
    SSL_free(conn->ssl);
    conn->ssl = NULL;
}
