/* base/uring.c - the rings shared with the kernel, by plain system calls. */
#include "base/uring.h"

#include <assert.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { URING_ENTRIES = 256, URING_CQ_ENTRIES = 2 * URING_IN_FLIGHT_MAX };

/* Newer than some headers that this builds with. */
#define SETUP_COOP_TASKRUN (1U << 8)
#define SETUP_TASKRUN_FLAG (1U << 9)
#define SETUP_SINGLE_ISSUER (1U << 12)
#define SETUP_DEFER_TASKRUN (1U << 13)
#define SQ_TASKRUN (1U << 2)
#define REGISTER_IOWQ_MAX_WORKERS 19U

static int ring_setup(struct io_uring_params *params)
{
    /* From the cheapest way of completing to the oldest. */
    static const uint32_t flags[] = { SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_TASKRUN_FLAG,
                                      SETUP_COOP_TASKRUN | SETUP_TASKRUN_FLAG, 0 };

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        memset(params, 0, sizeof *params);
        params->flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        params->cq_entries = URING_CQ_ENTRIES;
        int fd = (int)syscall(SYS_io_uring_setup, URING_ENTRIES, params);
        if (fd >= 0)
            return fd;
        if (errno != EINVAL)
            break;
    }
    return -errno;
}

static int ring_map(struct uring *uring, const struct io_uring_params *p)
{
    size_t sq_bytes = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    size_t cq_bytes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

    uring->map_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
    uring->map = mmap(NULL, uring->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, uring->fd,
                      IORING_OFF_SQ_RING);
    uring->sqe_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
    uring->sqe_map = mmap(NULL, uring->sqe_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, uring->fd,
                          IORING_OFF_SQES);
    if (uring->map == MAP_FAILED || uring->sqe_map == MAP_FAILED)
        return -ENOMEM;

    uint8_t *map = uring->map;
    uring->sq_head = (uint32_t *)(map + p->sq_off.head);
    uring->sq_tail = (uint32_t *)(map + p->sq_off.tail);
    uring->sq_flags = (uint32_t *)(map + p->sq_off.flags);
    uring->sq_mask = *(uint32_t *)(map + p->sq_off.ring_mask);
    uring->sq_entries = p->sq_entries;
    uring->sqes = uring->sqe_map;
    uring->cq_head = (uint32_t *)(map + p->cq_off.head);
    uring->cq_tail = (uint32_t *)(map + p->cq_off.tail);
    uring->cq_mask = *(uint32_t *)(map + p->cq_off.ring_mask);
    uring->cqes = (struct io_uring_cqe *)(map + p->cq_off.cqes);
    /* Slot i of the submission ring is entry i, for ever. */
    uint32_t *array = (uint32_t *)(map + p->sq_off.array);
    for (uint32_t i = 0; i < p->sq_entries; i++)
        array[i] = i;
    return 0;
}

int uring_init(struct uring *uring, int event_fd, uint32_t kernel_threads)
{
    struct io_uring_params params;
    uint32_t               workers[2] = { kernel_threads, 0 };   /* For files; 0 leaves the others as they are. */
    const uint32_t         needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;

    *uring = (struct uring) { .fd = ring_setup(&params), .map = MAP_FAILED, .sqe_map = MAP_FAILED };
    if (uring->fd < 0) {
        int rc = uring->fd;
        uring->fd = -1;
        return rc;
    }
    int rc = (params.features & needed) == needed ? ring_map(uring, &params) : -ENOSYS;
    if (rc == 0 && params.cq_entries < URING_IN_FLIGHT_MAX)
        rc = -ENOSYS;
    /* Polling the ring itself would not do: completions that wait for this thread are no event of it. */
    if (rc == 0 && syscall(SYS_io_uring_register, uring->fd, IORING_REGISTER_EVENTFD, &event_fd, 1) != 0)
        rc = -errno;
    if (rc != 0) {
        uring_done(uring);
        return rc;
    }
    /* Where the kernel does not know this, its own choice is good enough. */
    syscall(SYS_io_uring_register, uring->fd, REGISTER_IOWQ_MAX_WORKERS, workers, 2);
    return 0;
}

void uring_done(struct uring *uring)
{
    if (uring->fd < 0)
        return;
    if (uring->map != MAP_FAILED)
        munmap(uring->map, uring->map_bytes);
    if (uring->sqe_map != MAP_FAILED)
        munmap(uring->sqe_map, uring->sqe_bytes);
    close(uring->fd);
    uring->fd = -1;
}

static int ring_enter(struct uring *uring, uint32_t submit)
{
    int n = (int)syscall(SYS_io_uring_enter, uring->fd, submit, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    return n < 0 ? -errno : n;
}

bool uring_submit(struct uring *uring)
{
    if (uring->unsubmitted == 0)
        return true;
    int n = ring_enter(uring, uring->unsubmitted);
    /* Busy, or out of memory for a moment: they stay queued. Anything else is a
     * misuse of the ring. */
    assert(n >= 0 || n == -EAGAIN || n == -EBUSY || n == -EINTR || n == -ENOMEM);
    if (n > 0)
        uring->unsubmitted -= (uint32_t)n;
    return uring->unsubmitted == 0;
}

int uring_queue(struct uring *uring, struct uring_op *op, bool write, bool sync, int fd, const struct iovec *iov,
                int count, uint64_t offset)
{
    uint32_t head = __atomic_load_n(uring->sq_head, __ATOMIC_ACQUIRE);

    if (uring->sq_local_tail - head == uring->sq_entries) {
        uring_submit(uring);
        head = __atomic_load_n(uring->sq_head, __ATOMIC_ACQUIRE);
        if (uring->sq_local_tail - head == uring->sq_entries)
            return -EAGAIN;
    }
    struct io_uring_sqe *sqe = &uring->sqes[uring->sq_local_tail & uring->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    sqe->fd = fd;
    sqe->off = offset;
    sqe->rw_flags = sync ? RWF_DSYNC : 0;
    sqe->user_data = (uint64_t)(uintptr_t)op;
    if (count == 1) {
        sqe->opcode = write ? IORING_OP_WRITE : IORING_OP_READ;
        sqe->addr = (uint64_t)(uintptr_t)iov->iov_base;
        sqe->len = (uint32_t)iov->iov_len;
    } else {
        sqe->opcode = write ? IORING_OP_WRITEV : IORING_OP_READV;
        sqe->addr = (uint64_t)(uintptr_t)iov;
        sqe->len = (uint32_t)count;
    }
    uring->sq_local_tail++;
    uring->unsubmitted++;
    __atomic_store_n(uring->sq_tail, uring->sq_local_tail, __ATOMIC_RELEASE);
    return 0;
}

bool uring_reap(struct uring *uring)
{
    bool any = false;

    /* Completions may wait for this thread to come into the kernel. */
    if (__atomic_load_n(uring->sq_flags, __ATOMIC_RELAXED) & (SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
        ring_enter(uring, 0);
    for (;;) {
        uint32_t head = *uring->cq_head;   /* Ours to write, so plainly ours to read. */
        if (head == __atomic_load_n(uring->cq_tail, __ATOMIC_ACQUIRE))
            return any;
        const struct io_uring_cqe *cqe = &uring->cqes[head & uring->cq_mask];
        struct uring_op           *op = (struct uring_op *)(uintptr_t)cqe->user_data;
        op->result = cqe->res;
        __atomic_store_n(uring->cq_head, head + 1, __ATOMIC_RELEASE);
        any = true;
        op->done(op);
    }
}
