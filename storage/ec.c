/* storage/ec.c - see storage/ec.h. */
#include "storage/ec.h"

#include <isa-l.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_BYTES = 32 /* Of ISA-L, for each coefficient. */ };

struct ec {
    unsigned k, m;
    uint8_t  matrix[POLICY_FRAGMENTS_MAX * POLICY_FRAGMENTS_MAX];   /* (k + m) rows of k. */
    uint8_t  tables[];                                              /* Of the parity rows. */
};

int ec_new(unsigned k, unsigned m, struct ec **ret_ec)
{
    struct ec *ec;

    if (k < 1 || m < 1 || k + m > POLICY_FRAGMENTS_MAX)
        return -EINVAL;
    ec = malloc(sizeof *ec + (size_t)TABLE_BYTES * k * m);
    if (!ec)
        return -ENOMEM;
    ec->k = k;
    ec->m = m;
    gf_gen_cauchy1_matrix(ec->matrix, (int)(k + m), (int)k);
    ec_init_tables((int)k, (int)m, ec->matrix + k * k, ec->tables);
    *ret_ec = ec;
    return 0;
}

struct ec *ec_free(struct ec *ec)
{
    free(ec);
    return NULL;
}

/* Applies prepared tables slice by slice, so that inputs and outputs of a slice stay in cache. */
static void apply(const struct ec *ec, unsigned rows, const uint8_t *tables, uint8_t *const *in, uint8_t *const *out,
                  size_t size)
{
    uint8_t *from[POLICY_FRAGMENTS_MAX], *to[POLICY_FRAGMENTS_MAX];

    for (size_t at = 0; at < size; at += EC_SLICE_BYTES) {
        size_t n = size - at < EC_SLICE_BYTES ? size - at : EC_SLICE_BYTES;

        for (unsigned i = 0; i < ec->k; i++)
            from[i] = in[i] + at;
        for (unsigned i = 0; i < rows; i++)
            to[i] = out[i] + at;
        ec_encode_data((int)n, (int)ec->k, (int)rows, (uint8_t *)tables, from, to);
    }
}

void ec_encode(const struct ec *ec, uint8_t *const *data, uint8_t *const *parity, size_t size)
{
    apply(ec, ec->m, ec->tables, data, parity, size);
}

/* The rows that compute the fragments in 'want' from the first k in 'have'. -E_CORRUPT: singular. */
static int decode_rows(const struct ec *ec, uint32_t have, uint32_t want, uint8_t *rows, unsigned *used)
{
    uint8_t  picked[POLICY_FRAGMENTS_MAX * POLICY_FRAGMENTS_MAX], inverse[sizeof picked];
    unsigned k = ec->k, n = 0, row = 0;

    for (unsigned i = 0; i < k + ec->m && n < k; i++)
        if (have >> i & 1) {
            memcpy(picked + n * k, ec->matrix + i * k, k);
            used[n++] = i;
        }
    if (n < k)
        return -E_UNAVAILABLE;
    if (gf_invert_matrix(picked, inverse, (int)k))
        return -E_CORRUPT;
    for (unsigned f = 0; f < k + ec->m; f++) {
        if (!(want >> f & 1))
            continue;
        for (unsigned c = 0; c < k; c++) {   /* Row f of the matrix, times the inverse. */
            uint8_t sum = 0;

            for (unsigned j = 0; j < k; j++)
                sum ^= gf_mul(ec->matrix[f * k + j], inverse[j * k + c]);
            rows[row * k + c] = sum;
        }
        row++;
    }
    return 0;
}

int ec_rebuild(const struct ec *ec, uint8_t *const *fragment, uint32_t have, uint32_t want, size_t size)
{
    uint8_t  rows[POLICY_FRAGMENTS_MAX * POLICY_FRAGMENTS_MAX];
    uint8_t  tables[TABLE_BYTES * POLICY_FRAGMENTS_MAX * POLICY_FRAGMENTS_MAX];
    uint8_t *in[POLICY_FRAGMENTS_MAX], *out[POLICY_FRAGMENTS_MAX];
    unsigned used[POLICY_FRAGMENTS_MAX], n = 0;
    int      rc;

    want &= ~have;
    if (want == 0)
        return 0;
    rc = decode_rows(ec, have, want, rows, used);
    if (rc)
        return rc;
    for (unsigned i = 0; i < ec->k; i++)
        in[i] = fragment[used[i]];
    for (unsigned f = 0; f < ec->k + ec->m; f++)
        if (want >> f & 1)
            out[n++] = fragment[f];
    ec_init_tables((int)ec->k, (int)n, rows, tables);
    apply(ec, n, tables, in, out, size);
    return 0;
}

/* --- The self-check. --- */

enum { CHECK_BYTES = 64 };

static int check_pattern(const struct ec *ec, uint8_t bytes[][CHECK_BYTES], uint32_t lost)
{
    uint8_t  rebuilt[POLICY_FRAGMENTS_MAX][CHECK_BYTES];
    uint8_t *fragment[POLICY_FRAGMENTS_MAX];
    uint32_t all = (uint32_t)((UINT64_C(1) << (ec->k + ec->m)) - 1);
    int      rc;

    for (unsigned i = 0; i < ec->k + ec->m; i++)
        fragment[i] = lost >> i & 1 ? rebuilt[i] : bytes[i];
    rc = ec_rebuild(ec, fragment, all & ~lost, lost, CHECK_BYTES);
    for (unsigned i = 0; i < ec->k + ec->m && rc == 0; i++)
        if ((lost >> i & 1) && memcmp(rebuilt[i], bytes[i], CHECK_BYTES))
            rc = -E_CORRUPT;
    return rc;
}

/* The number of patterns, or EC_CHECK_MAX + 1 when they are more. */
static uint64_t patterns(unsigned n, unsigned m)
{
    uint64_t count = 1;

    for (unsigned i = 1; i <= m; i++) {
        count = count * (n - m + i) / i;
        if (count > UINT64_C(1) << 40)
            break;
    }
    return count > EC_CHECK_MAX ? EC_CHECK_MAX + 1 : count;
}

static uint32_t next_pattern(uint32_t v)   /* The next number with as many bits set. */
{
    uint32_t low = v & -v, ripple = v + low;

    return ripple ? (((ripple ^ v) >> 2) / low) | ripple : 0;
}

int ec_check(unsigned k, unsigned m, struct error *err)
{
    uint8_t    bytes[POLICY_FRAGMENTS_MAX][CHECK_BYTES];
    uint8_t   *fragment[POLICY_FRAGMENTS_MAX];
    uint64_t   count = patterns(k + m, m), random = 88172645463325252u;
    uint32_t   lost = (uint32_t)((UINT64_C(1) << m) - 1);
    struct ec *ec;
    int        rc = ec_new(k, m, &ec);

    if (rc)
        return error_set(err, rc, "no erasure code with k=%u m=%u", k, m);
    for (unsigned i = 0; i < k + m; i++) {
        fragment[i] = bytes[i];
        for (unsigned j = 0; j < CHECK_BYTES; j++)
            bytes[i][j] = (uint8_t)(i * 167 + j * 13 + i * j + 1);
    }
    ec_encode(ec, fragment, fragment + k, CHECK_BYTES);
    for (uint64_t i = 0; i < (count > EC_CHECK_MAX ? EC_CHECK_MAX : count) && rc == 0; i++) {
        rc = check_pattern(ec, bytes, lost);
        if (count <= EC_CHECK_MAX) {
            lost = next_pattern(lost);
            continue;
        }
        for (lost = 0; (unsigned)__builtin_popcount(lost) < m;) {   /* A fixed pseudo-random sample (xorshift). */
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            lost |= UINT32_C(1) << (random >> 32) % (k + m);
        }
    }
    ec_free(ec);
    return rc ? error_set(err, rc, "erasure code k=%u m=%u failed its self-check", k, m) : 0;
}
