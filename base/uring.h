/* base/uring.h - file reads and writes by io_uring, without worker threads. Inside base/ only.
 *
 * Waking a sleeping thread costs more than a small disk operation, and one system
 * call submits and reaps many. Where the kernel has no io_uring, or forbids it,
 * uring_init() fails and files use the workers. All on the loop thread, which must
 * be the one that called uring_init(). */
#ifndef BASE_URING_H
#define BASE_URING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

enum { URING_IN_FLIGHT_MAX = 512 };

struct io_uring_sqe;
struct io_uring_cqe;

struct uring {
    int       fd;                 /* -1: there is none. */
    uint32_t *sq_head, *sq_tail, *sq_flags;
    uint32_t  sq_mask, sq_entries, sq_local_tail, unsubmitted;
    uint32_t *cq_head, *cq_tail;
    uint32_t  cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    void     *map, *sqe_map;
    size_t    map_bytes, sqe_bytes;
};

/* One operation; the caller's until done() is called with its result. */
struct uring_op {
    void (*done)(struct uring_op *op);
    int    result;   /* Bytes, or negative errno. */
};

/* 'event_fd' is signalled when there is something to reap. */
int  uring_init(struct uring *uring, int event_fd, uint32_t kernel_threads);
void uring_done(struct uring *uring);   /* Nothing is in flight. */

/* Queues one; the caller sees to it that no more than URING_IN_FLIGHT_MAX are in
 * flight. 'iov' must stay until done. 'sync': RWF_DSYNC. */
int uring_queue(struct uring *uring, struct uring_op *op, bool write, bool sync, int fd, const struct iovec *iov,
                int count, uint64_t offset);
/* Hands what is queued to the kernel; false: not all, try again soon. */
bool uring_submit(struct uring *uring);
/* Calls done() of what finished; false: nothing had. */
bool uring_reap(struct uring *uring);

#endif
