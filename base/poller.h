/* base/poller.h - readiness of sockets for tasks. Inside base/ only.
 *
 * All sockets are in one edge-triggered epoll set, entered once, for both
 * directions; libuv watches that set as a whole. So a request on a kept-alive
 * connection needs no epoll_ctl(), and there is no handle whose closing has to
 * be awaited. */
#ifndef BASE_POLLER_H
#define BASE_POLLER_H

#include <uv.h>

#include "base/task.h"

struct poller {
    int       epoll_fd;   /* -1: not made. */
    uv_poll_t watch;
};

/* One socket. The flags are hints that start as true: try the call, and on
 * EAGAIN clear the flag and wait. */
struct poller_fd {
    int          fd;
    bool         readable, writable;
    bool         hung_up;      /* The peer ended its side, or an error is pending. */
    bool         closed;       /* By us: waits fail with -E_CLOSED. */
    struct waitq readers, writers;
};

int  poller_init(struct poller *poller, uv_loop_t *loop);
void poller_done(struct poller *poller);   /* Its uv handle is closed by then. */

int  poller_add(struct poller *poller, struct poller_fd *pfd, int fd);
/* Takes the socket out and closes it. Nobody may wait for it any more. */
void poller_close(struct poller *poller, struct poller_fd *pfd);
/* Ends the waits, now and later ones. */
void poller_wake_closed(struct poller_fd *pfd);

WAITS int poller_wait_readable(struct poller_fd *pfd, int64_t deadline);
WAITS int poller_wait_writable(struct poller_fd *pfd, int64_t deadline);

#endif
