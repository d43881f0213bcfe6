/* base/poller.c - hands the events of the epoll set to waiting tasks. */
#include "base/poller.h"

#include <assert.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 256 };

static void on_events(uv_poll_t *watch, int status, int events)
{
    struct poller     *poller = watch->data;
    struct epoll_event event[EVENTS_AT_ONCE];
    int                count;

    (void)status;
    (void)events;
    /* Only flags are set and tasks made runnable here; no socket is closed
     * before this is through, so the pointers hold. */
    do {
        count = epoll_wait(poller->epoll_fd, event, EVENTS_AT_ONCE, 0);
        for (int i = 0; i < count; i++) {
            struct poller_fd *pfd = event[i].data.ptr;
            uint32_t          e = event[i].events;
            if (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                pfd->hung_up = true;
            if (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
                pfd->readable = true;
                waitq_wake_all(&pfd->readers);
            }
            if (e & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
                pfd->writable = true;
                waitq_wake_all(&pfd->writers);
            }
        }
    } while (count == EVENTS_AT_ONCE);
}

int poller_init(struct poller *poller, uv_loop_t *loop)
{
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll_fd < 0)
        return -errno;
    int rc = uv_poll_init(loop, &poller->watch, poller->epoll_fd);
    if (rc != 0) {
        poller_done(poller);
        return rc;
    }
    poller->watch.data = poller;
    return uv_poll_start(&poller->watch, UV_READABLE, on_events);
}

void poller_done(struct poller *poller)
{
    if (poller->epoll_fd >= 0)
        close(poller->epoll_fd);
    poller->epoll_fd = -1;
}

int poller_add(struct poller *poller, struct poller_fd *pfd, int fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = pfd };

    *pfd = (struct poller_fd) { .fd = fd, .readable = true, .writable = true };
    return epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void poller_close(struct poller *poller, struct poller_fd *pfd)
{
    assert(!pfd->readers.first && !pfd->writers.first);
    /* Not left to close(): a child process may hold the socket open. */
    epoll_ctl(poller->epoll_fd, EPOLL_CTL_DEL, pfd->fd, NULL);
    close(pfd->fd);
    pfd->fd = -1;
}

void poller_wake_closed(struct poller_fd *pfd)
{
    pfd->closed = true;
    waitq_wake_all(&pfd->readers);
    waitq_wake_all(&pfd->writers);
}

WAITS static int poller_wait(struct poller_fd *pfd, const bool *flag, struct waitq *q, int64_t deadline)
{
    if (!pfd->closed && !*flag) {
        int rc = waitq_wait(q, deadline);
        if (rc != 0)
            return rc;
    }
    return pfd->closed ? -E_CLOSED : 0;
}

int poller_wait_readable(struct poller_fd *pfd, int64_t deadline)
{
    return poller_wait(pfd, &pfd->readable, &pfd->readers, deadline);
}

int poller_wait_writable(struct poller_fd *pfd, int64_t deadline)
{
    return poller_wait(pfd, &pfd->writable, &pfd->writers, deadline);
}
