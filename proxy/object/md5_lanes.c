/* proxy/object/md5_lanes.c - see md5_lanes.h; RFC 1321. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "proxy/object/md5_lanes.h"

#include <string.h>

#include <openssl/md5.h>

/* --- One stream: OpenSSL's code. --- */

static void compute_one(struct md5_job *job)
{
    MD5_CTX ctx;

    MD5_Init(&ctx);
    ctx.A = job->state[0];
    ctx.B = job->state[1];
    ctx.C = job->state[2];
    ctx.D = job->state[3];
    MD5_Update(&ctx, job->data, job->blocks * MD5_BLOCK);
    job->state[0] = ctx.A;
    job->state[1] = ctx.B;
    job->state[2] = ctx.C;
    job->state[3] = ctx.D;
    job->data += job->blocks * MD5_BLOCK;
    job->blocks = 0;
}

/* --- Eight streams. --- */

#ifdef __x86_64__
#include <immintrin.h>

/* floor(2^32 * |sin(i + 1)|) */
static const uint32_t table[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

typedef uint32_t vec __attribute__((vector_size(32)));

/* Eight words of each of eight streams become eight vectors, one word of all streams each. */
#define TRANSPOSE(w, rows)                                                                                             \
    do {                                                                                                               \
        __m256i t0 = _mm256_unpacklo_epi32(rows[0], rows[1]), t1 = _mm256_unpackhi_epi32(rows[0], rows[1]);            \
        __m256i t2 = _mm256_unpacklo_epi32(rows[2], rows[3]), t3 = _mm256_unpackhi_epi32(rows[2], rows[3]);            \
        __m256i t4 = _mm256_unpacklo_epi32(rows[4], rows[5]), t5 = _mm256_unpackhi_epi32(rows[4], rows[5]);            \
        __m256i t6 = _mm256_unpacklo_epi32(rows[6], rows[7]), t7 = _mm256_unpackhi_epi32(rows[6], rows[7]);            \
        __m256i u0 = _mm256_unpacklo_epi64(t0, t2), u1 = _mm256_unpackhi_epi64(t0, t2);                                \
        __m256i u2 = _mm256_unpacklo_epi64(t1, t3), u3 = _mm256_unpackhi_epi64(t1, t3);                                \
        __m256i u4 = _mm256_unpacklo_epi64(t4, t6), u5 = _mm256_unpackhi_epi64(t4, t6);                                \
        __m256i u6 = _mm256_unpacklo_epi64(t5, t7), u7 = _mm256_unpackhi_epi64(t5, t7);                                \
        (w)[0] = (vec)_mm256_permute2x128_si256(u0, u4, 0x20);                                                         \
        (w)[1] = (vec)_mm256_permute2x128_si256(u1, u5, 0x20);                                                         \
        (w)[2] = (vec)_mm256_permute2x128_si256(u2, u6, 0x20);                                                         \
        (w)[3] = (vec)_mm256_permute2x128_si256(u3, u7, 0x20);                                                         \
        (w)[4] = (vec)_mm256_permute2x128_si256(u0, u4, 0x31);                                                         \
        (w)[5] = (vec)_mm256_permute2x128_si256(u1, u5, 0x31);                                                         \
        (w)[6] = (vec)_mm256_permute2x128_si256(u2, u6, 0x31);                                                         \
        (w)[7] = (vec)_mm256_permute2x128_si256(u3, u7, 0x31);                                                         \
    } while (0)

#define STEP(f, a, b, c, d, k, i, s)                                                                                   \
    do {                                                                                                               \
        (a) += (f) + w[k] + table[i];                                                                                  \
        (a) = ((a) << (s)) | ((a) >> (32 - (s)));                                                                      \
        (a) += (b);                                                                                                    \
    } while (0)
#define F1(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define F2(b, c, d) ((c) ^ ((d) & ((b) ^ (c))))
#define F3(b, c, d) ((b) ^ (c) ^ (d))
#define F4(b, c, d) ((c) ^ ((b) | ~(d)))
#define FOUR(F, i, k0, k1, k2, k3, s0, s1, s2, s3)                                                                     \
    STEP(F(b, c, d), a, b, c, d, k0, i, s0);                                                                           \
    STEP(F(a, b, c), d, a, b, c, k1, (i) + 1, s1);                                                                     \
    STEP(F(d, a, b), c, d, a, b, k2, (i) + 2, s2);                                                                     \
    STEP(F(c, d, a), b, c, d, a, k3, (i) + 3, s3)

/* The same code for two instruction sets: the second has rotations and three-way logic in one instruction each. */
#define DEFINE_BLOCKS(name, isa)                                                                                       \
    __attribute__((target(isa))) static void name(vec state[4], const uint8_t *const data[MD5_LANES], size_t blocks)   \
    {                                                                                                                  \
        vec a = state[0], b = state[1], c = state[2], d = state[3], w[16];                                             \
                                                                                                                       \
        for (size_t at = 0; at < blocks * MD5_BLOCK; at += MD5_BLOCK) {                                                \
            vec     a0 = a, b0 = b, c0 = c, d0 = d;                                                                    \
            __m256i rows[MD5_LANES];                                                                                   \
            for (int half = 0; half < 2; half++) {                                                                     \
                for (int i = 0; i < MD5_LANES; i++)                                                                    \
                    rows[i] = _mm256_loadu_si256((const __m256i *)(const void *)(data[i] + at + 32 * half));           \
                TRANSPOSE(w + 8 * half, rows);                                                                         \
            }                                                                                                          \
            FOUR(F1, 0, 0, 1, 2, 3, 7, 12, 17, 22);                                                                    \
            FOUR(F1, 4, 4, 5, 6, 7, 7, 12, 17, 22);                                                                    \
            FOUR(F1, 8, 8, 9, 10, 11, 7, 12, 17, 22);                                                                  \
            FOUR(F1, 12, 12, 13, 14, 15, 7, 12, 17, 22);                                                               \
            FOUR(F2, 16, 1, 6, 11, 0, 5, 9, 14, 20);                                                                   \
            FOUR(F2, 20, 5, 10, 15, 4, 5, 9, 14, 20);                                                                  \
            FOUR(F2, 24, 9, 14, 3, 8, 5, 9, 14, 20);                                                                   \
            FOUR(F2, 28, 13, 2, 7, 12, 5, 9, 14, 20);                                                                  \
            FOUR(F3, 32, 5, 8, 11, 14, 4, 11, 16, 23);                                                                 \
            FOUR(F3, 36, 1, 4, 7, 10, 4, 11, 16, 23);                                                                  \
            FOUR(F3, 40, 13, 0, 3, 6, 4, 11, 16, 23);                                                                  \
            FOUR(F3, 44, 9, 12, 15, 2, 4, 11, 16, 23);                                                                 \
            FOUR(F4, 48, 0, 7, 14, 5, 6, 10, 15, 21);                                                                  \
            FOUR(F4, 52, 12, 3, 10, 1, 6, 10, 15, 21);                                                                 \
            FOUR(F4, 56, 8, 15, 6, 13, 6, 10, 15, 21);                                                                 \
            FOUR(F4, 60, 4, 11, 2, 9, 6, 10, 15, 21);                                                                  \
            a += a0;                                                                                                   \
            b += b0;                                                                                                   \
            c += c0;                                                                                                   \
            d += d0;                                                                                                   \
        }                                                                                                              \
        state[0] = a;                                                                                                  \
        state[1] = b;                                                                                                  \
        state[2] = c;                                                                                                  \
        state[3] = d;                                                                                                  \
    }
DEFINE_BLOCKS(blocks_avx2, "avx2")
DEFINE_BLOCKS(blocks_avx512, "avx2,avx512f,avx512vl")

/* Advances all by the shortest's length. Lanes without a job repeat the first; their result is dropped. */
static void compute_together(struct md5_job *const *jobs, uint32_t count, bool avx512)
{
    const uint8_t *data[MD5_LANES];
    vec            state[4];
    size_t         blocks = jobs[0]->blocks;

    for (uint32_t i = 1; i < count; i++)
        if (jobs[i]->blocks < blocks)
            blocks = jobs[i]->blocks;
    for (uint32_t i = 0; i < MD5_LANES; i++) {
        const struct md5_job *job = jobs[i < count ? i : 0];
        data[i] = job->data;
        for (int k = 0; k < 4; k++)
            state[k][i] = job->state[k];
    }
    (avx512 ? blocks_avx512 : blocks_avx2)(state, data, blocks);
    for (uint32_t i = 0; i < count; i++) {
        for (int k = 0; k < 4; k++)
            jobs[i]->state[k] = state[k][i];
        jobs[i]->data += blocks * MD5_BLOCK;
        jobs[i]->blocks -= blocks;
    }
}

void md5_lanes_compute(struct md5_job *const *jobs, uint32_t count)
{
    bool     avx512 = __builtin_cpu_supports("avx512vl");
    uint32_t together_min = avx512 ? 2 : __builtin_cpu_supports("avx2") ? 3 : UINT32_MAX;

    for (;;) {
        struct md5_job *left[MD5_LANES];
        uint32_t        n = 0;
        for (uint32_t i = 0; i < count && n < MD5_LANES; i++)
            if (jobs[i]->blocks)
                left[n++] = jobs[i];
        if (n == 0)
            return;
        if (n >= together_min)
            compute_together(left, n, avx512);
        else
            compute_one(left[0]);
    }
}

#else

void md5_lanes_compute(struct md5_job *const *jobs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (jobs[i]->blocks)
            compute_one(jobs[i]);
}

#endif

/* --- Gathering. --- */

void md5_lanes_init(struct md5_lanes *lanes, struct env *env)
{
    memset(lanes, 0, sizeof *lanes);
    lanes->env = env;
}

struct batch {
    struct md5_job *job[MD5_LANES];
    uint32_t        count;
};

static void batch_work(void *arg)
{
    struct batch *batch = arg;
    md5_lanes_compute(batch->job, batch->count);
}

static void take(struct md5_lanes *lanes, struct md5_job *job)
{
    struct md5_job *before = NULL, *at = lanes->first;

    while (at != job) {
        before = at;
        at = at->next;
    }
    *(before ? &before->next : &lanes->first) = job->next;
    if (lanes->last == job)
        lanes->last = before;
    job->queued = false;
}

/* Runs the own job and takes waiting ones along, in order. The own one is always part of it: so nobody unparks this
 * task while it waits for the worker. */
WAITS static void run_batch(struct md5_lanes *lanes, struct md5_job *own)
{
    struct batch batch = { .job = { own }, .count = 1 };
    int          rc;

    take(lanes, own);
    while (lanes->first && batch.count < MD5_LANES) {
        batch.job[batch.count++] = lanes->first;
        take(lanes, lanes->first);
    }
    lanes->running++;
    rc = env_work(lanes->env, WORK_CPU, batch_work, &batch);
    lanes->running--;
    for (uint32_t i = 0; i < batch.count; i++) {
        batch.job[i]->rc = rc;
        batch.job[i]->done = true;
        if (batch.job[i] != own)
            task_unpark(batch.job[i]->owner);
    }
    if (lanes->first)
        task_unpark(lanes->first->owner);   /* It may run the next batch. */
}

int md5_lanes_run(struct md5_lanes *lanes, uint32_t state[4], const uint8_t *data, size_t blocks)
{
    struct md5_job job = { .state = state, .data = data, .blocks = blocks, .owner = task_self(), .queued = true };

    if (lanes->last)
        lanes->last->next = &job;
    else
        lanes->first = &job;
    lanes->last = &job;
    while (!job.done) {
        if (job.queued && lanes->running < MD5_WORKERS)
            run_batch(lanes, &job);
        else
            task_park_shielded();
    }
    return job.rc;
}
