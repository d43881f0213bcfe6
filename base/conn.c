/* base/conn.c - TCP for tasks: try the call, and wait only when it would block. */
#include <assert.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/conn_private.h"
#include "base/counter.h"
#include "base/log.h"

COUNTER(conn_accepted, "Connections accepted.");
COUNTER(conn_accept_pressure, "Times that accepting paused because file descriptors or memory ran out.");
GAUGE(conn_open, "Connections open now.");

enum {
    CALLS_WITHOUT_WAIT = 16,
    IOV_PIECES = 64,
    SEND_ON_LOOP_MAX = 128 * 1024,   /* Copying more into the socket would hold up the others. */
    ACCEPT_PAUSE_MS = 100
};

struct listener {
    struct kernel   *kernel;
    struct poller_fd pfd;
    uint32_t         users;     /* Tasks inside listener_accept(). */
    bool             freed;     /* By listener_free(); the last user frees the memory. */
    uint16_t         port;
};

/* --- Listening --- */

static int socket_listen(const char *text, uint16_t *ret_port, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t               size;
    int                     one = 1, zero = 0;

    if (address_parse(text, &address, &size) != 0)
        return error_set(err, -EINVAL, "'%.64s' is not an address like 127.0.0.1:8080 or [::1]:8080", text);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(err, -errno, "cannot make a socket: %s", error_text(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    /* Accepted sockets inherit both. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, LISTEN_BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        int rc = -errno;
        close(fd);
        return error_set(err, rc, "cannot listen on %s: %s", text, error_text(rc));
    }
    *ret_port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                    : ((struct sockaddr_in *)&address)->sin_port);
    return fd;
}

int listener_new(struct env *env, const char *address, struct listener **ret_listener, struct error *err)
{
    uint16_t port = 0;

    if (env->dead)
        return error_set(err, -ECANCELED, "the process is stopping");
    int fd = socket_listen(address, &port, err);
    if (fd < 0)
        return fd;
    struct listener *listener = calloc(1, sizeof *listener);
    int              rc = listener ? 0 : -ENOMEM;
    if (listener) {
        listener->kernel = kernel_of(env);
        listener->port = port;
        rc = poller_add(&listener->kernel->poller, &listener->pfd, fd);
    }
    if (rc != 0) {
        close(fd);
        free(listener);
        return error_set(err, rc, "cannot listen on %s: %s", address, error_text(rc));
    }
    *ret_listener = listener;
    return 0;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

/* Takes ownership of 'fd', also on failure. */
static int conn_new(struct kernel *kernel, int fd, const struct sockaddr_storage *peer, struct conn **ret_conn)
{
    struct conn *conn = calloc(1, sizeof *conn);
    int          rc = conn ? poller_add(&kernel->poller, &conn->pfd, fd) : -ENOMEM;

    if (rc != 0) {
        close(fd);
        free(conn);
        return rc;
    }
    conn->kernel = kernel;
    conn->peer = *peer;
    counter_add(conn_open, 1);
    *ret_conn = conn;
    return 0;
}

/* Out of descriptors or memory: others must give some back first. */
WAITS static int accept_pause(struct listener *listener, int rc)
{
    counter_inc(conn_accept_pressure);
    log_warn("conn.accept_pressure", "port=%u error=%s", listener->port, error_name(rc));
    return task_sleep(ACCEPT_PAUSE_MS * NS_PER_MS);
}

/* One connection; -EAGAIN: look again. */
WAITS static int accept_try(struct listener *listener, struct conn **ret_conn)
{
    struct sockaddr_storage peer = { 0 };
    socklen_t               size = sizeof peer;
    int                     fd, rc;

    rc = poller_wait_readable(&listener->pfd, TASK_FOREVER);
    if (rc != 0)
        return -ECANCELED;
    fd = accept4(listener->pfd.fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    rc = fd < 0 ? -errno : conn_new(listener->kernel, fd, &peer, ret_conn);
    switch (rc) {
    case -EAGAIN:
        listener->pfd.readable = false;
        return -EAGAIN;
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
    case -ENOSPC:
        rc = accept_pause(listener, rc);
        return rc ? rc : -EAGAIN;
    case -EBADF:
    case -EINVAL:
    case -ENOTSOCK:
    case -EFAULT:
        return rc;
    case 0:
        counter_inc(conn_accepted);
        return 0;
    default:
        return -EAGAIN;   /* A connection that failed before it was accepted is nobody's loss. */
    }
}

int listener_accept(struct listener *listener, struct conn **ret_conn)
{
    int rc = -EAGAIN;

    listener->users++;
    for (uint32_t tries = 1; rc == -EAGAIN; tries++) {
        if (listener->freed || task_cancelled())
            rc = -ECANCELED;
        else if (tries % CALLS_WITHOUT_WAIT == 0 && task_yield() != 0)
            rc = -ECANCELED;
        else
            rc = accept_try(listener, ret_conn);
    }
    if (--listener->users == 0 && listener->freed)
        free(listener);
    return rc;
}

struct listener *listener_free(struct listener *listener)
{
    if (!listener)
        return NULL;
    poller_wake_closed(&listener->pfd);
    poller_close(&listener->kernel->poller, &listener->pfd);
    listener->freed = true;
    if (listener->users == 0)
        free(listener);
    return NULL;
}

/* --- Connecting --- */

WAITS static int connect_one(struct kernel *kernel, const struct sockaddr_storage *address, int64_t deadline,
                       struct conn **ret_conn)
{
    struct conn *conn;
    int          one = 1, so_error = 0;
    socklen_t    size = sizeof so_error;
    int          fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    int rc = connect(fd, (const struct sockaddr *)address, address_size(address)) == 0 ? 0 : -errno;
    if (rc != 0 && rc != -EINPROGRESS) {
        close(fd);
        return rc;
    }
    bool pending = rc == -EINPROGRESS;
    rc = conn_new(kernel, fd, address, &conn);
    if (rc != 0)
        return rc;
    if (pending) {
        conn->pfd.writable = false;
        rc = poller_wait_writable(&conn->pfd, deadline);
        if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &so_error, &size) != 0)
            so_error = errno;
        if (rc == 0)
            rc = -so_error;
    }
    if (rc != 0) {
        conn_free(conn);
        return rc;
    }
    *ret_conn = conn;
    return 0;
}

int conn_connect(struct env *env, const char *address, int64_t deadline, struct conn **ret_conn, struct error *err)
{
    struct sockaddr_storage addresses[ADDRESS_RESULTS_MAX];
    uint32_t                count = 0;
    int                     rc = -ECANCELED;

    if (!env->dead && !task_cancelled())
        rc = address_resolve(env, address, addresses, &count);
    if (rc == -EINVAL)
        return error_set(err, rc, "'%.64s' is not an address like 127.0.0.1:8080 or [::1]:8080", address);
    for (uint32_t i = 0; i < count; i++) {
        rc = connect_one(kernel_of(env), &addresses[i], deadline, ret_conn);
        if (rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT)
            break;
    }
    return rc ? error_set(err, rc, "cannot connect to %.64s: %s", address, error_text(rc)) : 0;
}

/* --- Reading and writing --- */

int conn_breathe(struct conn *conn, int64_t deadline)
{
    if (++conn->calls < CALLS_WITHOUT_WAIT)
        return 0;
    conn->calls = 0;
    if (deadline != TASK_FOREVER && env_now(&conn->kernel->env) >= deadline)
        return -ETIMEDOUT;
    return task_yield();
}

/* The transport's own time-out and a write to a closed peer both mean that the
 * peer is gone; -ETIMEDOUT is for the caller's deadline. */
static int socket_error(int error)
{
    return error == EPIPE || error == ETIMEDOUT || error == ENOTCONN ? -ECONNRESET : -error;
}

WAITS static int wait_readable(struct conn *conn, int64_t deadline)
{
    conn->calls = 0;
    return poller_wait_readable(&conn->pfd, deadline);
}

int conn_read(struct conn *conn, void *data, size_t capacity, int64_t deadline, size_t *ret_size)
{
    assert(capacity > 0);
    if (task_cancelled())
        return -ECANCELED;
    int rc = conn_breathe(conn, deadline);
    if (rc != 0)
        return rc;
    if (conn->ssl)
        return conn_tls_read(conn, data, capacity, deadline, ret_size);
    for (;;) {
        rc = wait_readable(conn, deadline);
        if (rc != 0)
            return rc;
        ssize_t n = recv(conn->pfd.fd, data, capacity, 0);
        if (n >= 0) {
            /* Less than asked for: it is drained, and what comes makes a new event.
             * Not so for the end of the stream, whose event may be past. */
            if ((size_t)n < capacity && !conn->pfd.hung_up && n > 0)
                conn->pfd.readable = false;
            *ret_size = (size_t)n;
            return 0;
        }
        if (errno == EAGAIN)
            conn->pfd.readable = false;
        else if (errno != EINTR)
            return socket_error(errno);
    }
}

static size_t iov_total(const struct iovec *iov, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}

/* Fills 'rest' with what follows after 'skip' bytes, as far as it has room. */
static int iov_after(const struct iovec *iov, int count, size_t skip, struct iovec rest[IOV_PIECES])
{
    int n = 0;

    for (int i = 0; i < count && n < IOV_PIECES; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        rest[n].iov_base = (uint8_t *)iov[i].iov_base + skip;
        rest[n++].iov_len = iov[i].iov_len - skip;
        skip = 0;
    }
    return n;
}

struct send_job {
    int                  fd;
    const struct msghdr *message;
    ssize_t              sent;   /* Or the negative errno. */
};

static void send_run(void *arg)
{
    struct send_job *job = arg;

    job->sent = sendmsg(job->fd, job->message, MSG_NOSIGNAL);
    if (job->sent < 0)
        job->sent = -errno;
}

/* One sendmsg(): here, or by a worker when it is long. Bytes, or the negative errno. */
WAITS static ssize_t send_some(struct conn *conn, const struct msghdr *message, size_t size)
{
    struct send_job job = { .fd = conn->pfd.fd, .message = message };

    if (size <= SEND_ON_LOOP_MAX) {
        send_run(&job);
        if (job.sent == -EAGAIN)
            conn->pfd.writable = false;
        return job.sent;
    }
    /* Room that comes while the worker is at it makes an event, which must not be overlooked: so the flag is
     * cleared before. */
    conn->pfd.writable = false;
    if (env_work(&conn->kernel->env, WORK_CPU, send_run, &job) != 0)
        send_run(&job);
    conn->calls = 0;
    if (job.sent != -EAGAIN)
        conn->pfd.writable = true;
    return job.sent;
}

int conn_write(struct conn *conn, const struct iovec *iov, int count, int64_t deadline)
{
    size_t       total = iov_total(iov, count), sent = 0;
    struct iovec rest[IOV_PIECES];

    int rc = conn_breathe(conn, deadline);
    if (rc != 0)
        return rc;
    if (conn->ssl)
        return conn_tls_write(conn, iov, count, deadline);
    while (sent < total) {
        struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count };

        rc = poller_wait_writable(&conn->pfd, deadline);
        if (rc != 0)
            return rc;
        if (sent > 0 || count > IOV_PIECES) {
            message.msg_iovlen = (size_t)iov_after(iov, count, sent, rest);
            message.msg_iov = rest;
        }
        ssize_t n = send_some(conn, &message, total - sent);
        if (n >= 0)
            sent += (size_t)n;
        else if (n == -EAGAIN)
            conn->calls = 0;
        else if (n != -EINTR)
            return socket_error((int)-n);
    }
    return 0;
}

int conn_wait_readable(struct conn *conn, int64_t deadline)
{
    uint8_t byte;

    if (task_cancelled())
        return -ECANCELED;
    if (conn->ssl && SSL_has_pending(conn->ssl))
        return 0;
    for (;;) {
        int rc = wait_readable(conn, deadline);
        if (rc != 0)
            return rc;
        if (recv(conn->pfd.fd, &byte, 1, MSG_PEEK) >= 0 || (errno != EAGAIN && errno != EINTR))
            return 0;
        if (errno == EAGAIN)
            conn->pfd.readable = false;
    }
}

bool conn_peer_closed(struct conn *conn)
{
    uint8_t byte;

    if (conn->pfd.closed)
        return true;
    if (!conn->pfd.hung_up)
        return false;
    if (conn->ssl)
        return conn_tls_peer_closed(conn);
    /* What it sent before it went may still be unread. */
    ssize_t n = recv(conn->pfd.fd, &byte, 1, MSG_PEEK);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void conn_peer(const struct conn *conn, char *ret_text, size_t capacity)
{
    address_format(&conn->peer, ret_text, capacity);
}

bool conn_is_tls(const struct conn *conn)
{
    return conn->ssl != NULL;
}

void conn_end(struct conn *conn)
{
    if (conn->ended || conn->pfd.closed)
        return;
    conn->ended = true;
    if (conn->ssl)
        conn_tls_end(conn);
    shutdown(conn->pfd.fd, SHUT_WR);
}

void conn_shutdown(struct conn *conn)
{
    if (conn->pfd.closed)
        return;
    shutdown(conn->pfd.fd, SHUT_RDWR);
    poller_wake_closed(&conn->pfd);
}

struct conn *conn_free(struct conn *conn)
{
    if (!conn)
        return NULL;
    if (conn->ssl && !conn->ended && !conn->pfd.closed)
        conn_tls_end(conn);
    conn_tls_free(conn);
    poller_close(&conn->kernel->poller, &conn->pfd);
    counter_add(conn_open, -1);
    free(conn);
    return NULL;
}
