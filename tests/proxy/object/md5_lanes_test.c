/* tests/proxy/object/md5_lanes_test.c - MD5 side by side is MD5. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "proxy/object/md5_lanes.h"

#include <openssl/md5.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_kernel.h"
#include "proxy/object/hasher.h"
#include "tests/lib/test.h"

enum { DATA_BYTES = 64 * 1024 };

static uint8_t data[DATA_BYTES];

static void fill(unsigned seed)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(seed = seed * 1103515245 + 12345, seed >> 16);
}

static void want(const uint8_t *from, size_t blocks, uint32_t ret[4])
{
    MD5_CTX ctx;

    MD5_Init(&ctx);
    MD5_Update(&ctx, from, blocks * MD5_BLOCK);
    ret[0] = ctx.A;
    ret[1] = ctx.B;
    ret[2] = ctx.C;
    ret[3] = ctx.D;
}

static void start(uint32_t state[4])
{
    MD5_CTX ctx;

    MD5_Init(&ctx);
    state[0] = ctx.A;
    state[1] = ctx.B;
    state[2] = ctx.C;
    state[3] = ctx.D;
}

static void compute__any_number_and_any_lengths(void **unused)
{
    (void)unused;
    fill(1);
    for (uint32_t count = 1; count <= MD5_LANES; count++) {
        for (size_t base = 0; base < 40; base += 13) {
            struct md5_job jobs[MD5_LANES] = { { 0 } }, *list[MD5_LANES];
            uint32_t       state[MD5_LANES][4], expect[4];
            for (uint32_t i = 0; i < count; i++) {
                start(state[i]);
                jobs[i] = (struct md5_job) { .state = state[i], .data = data + i * 4097, .blocks = base + i * 7 % 5 };
                list[i] = &jobs[i];
            }
            md5_lanes_compute(list, count);
            for (uint32_t i = 0; i < count; i++) {
                want(data + i * 4097, base + i * 7 % 5, expect);
                assert_memory_equal(state[i], expect, sizeof expect);
                assert_int_equal(jobs[i].blocks, 0);
            }
        }
    }
}

/* --- Many hashers at once. --- */

enum { STREAMS = 20, PIECES = 6 };

struct shared {
    struct env       *env;
    struct md5_lanes  lanes;
    struct wait_group left;
    uint32_t          wrong;
    uint32_t          next;
};

static void stream(void *arg)
{
    struct shared *shared = arg;
    struct hasher  hasher;
    MD5_CTX        ctx;
    uint8_t        digest[16], expect[16], value[CHECKSUM_BYTES_MAX];
    uint32_t       number = shared->next++;
    struct checksum sum;
    int            rc = 0;

    hasher_init(&hasher, &shared->lanes);
    checksum_init(&sum, (enum checksum_kind)(number % CHECKSUM_END_));
    assert_int_equal(hasher_checksum(&hasher, sum.kind), 0);
    MD5_Init(&ctx);
    for (uint32_t i = 0; rc == 0 && i < PIECES; i++) {
        struct buf *buf = buf_new(DATA_BYTES);
        /* The last one is odd; the stream may be short or long. */
        uint32_t size = i + 1 == PIECES ? DATA_BYTES - 1 - number * 97 : DATA_BYTES;
        assert_non_null(buf);
        memcpy(buf->data, data, size);
        buf->data[0] = (uint8_t)(number * PIECES + i);
        MD5_Update(&ctx, buf->data, size);
        checksum_add(&sum, buf->data, size);
        rc = hasher_add(&hasher, buf, size, number % 2 == 0, TASK_FOREVER, NULL);
        buf_unref(buf);
    }
    if (rc == 0)
        rc = hasher_end(&hasher, digest, NULL);
    MD5_Final(expect, &ctx);
    checksum_end(&sum, value);
    shared->wrong += rc != 0 || memcmp(digest, expect, sizeof digest) != 0 ||
                     !slice_equal(hasher_checksum_value(&hasher), slice_of(value, checksum_size(sum.kind)));
    assert_int_equal(hasher_checksum(&hasher, CHECKSUM_CRC32), -EINVAL);   /* Too late. */
    hasher_done(&hasher);
    wait_group_done(&shared->left);
}

static void run_streams(struct env *env, void *arg)
{
    struct shared *shared = arg;

    shared->env = env;
    md5_lanes_init(&shared->lanes, env);
    wait_group_add(&shared->left, STREAMS);
    for (int i = 0; i < STREAMS; i++)
        assert_int_equal(env_spawn(env, "stream", stream, shared), 0);
    wait_group_wait(&shared->left, TASK_FOREVER);
    assert_int_equal(shared->lanes.running, 0);
    assert_null(shared->lanes.first);
}

static void hasher__many_streams_at_once(void **unused)
{
    struct shared shared = { 0 };

    (void)unused;
    fill(2);
    assert_int_equal(kernel_main(NULL, run_streams, &shared), 0);
    assert_int_equal(shared.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compute__any_number_and_any_lengths),
        cmocka_unit_test(hasher__many_streams_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
