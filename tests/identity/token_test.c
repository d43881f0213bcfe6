/* tests/identity/token_test.c - sealing tokens: what goes in comes out, and nothing else does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env_kernel.h"
#include "base/log.h"
#include "identity/token.h"
#include "tests/lib/test.h"

/* An env with a clock of the test's own, and the kernel's randomness. */
static int64_t     fake_wall;
static struct env *real_env;

static int64_t wall_of_test(struct env *env)
{
    (void)env;
    return fake_wall;
}

static void random_of_test(struct env *env, void *bytes, size_t size)
{
    (void)env;
    env_random(real_env, bytes, size);
}

struct run {
    void (*fn)(struct env *env);
};

static void run_task(struct env *env, void *arg)
{
    static const struct env_ops ops = { .wall = wall_of_test, .random = random_of_test };
    struct env                  fake = { .ops = &ops };

    real_env = env;
    fake_wall = 1000000 * NS_PER_S;
    ((struct run *)arg)->fn(&fake);
}

static void run_in_loop(void **state)
{
    assert_int_equal(kernel_main(&(struct kernel_options) { .cpu_threads = 1, .io_threads = 1 }, run_task, *state), 0);
}

static void set(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
}

static struct token example(struct env *env)
{
    struct token token = { .scope = TOKEN_PROJECT, .methods = TOKEN_BY_PASSWORD, .issued_us = 17, .expires_us = 42 };

    set(token.user_id, sizeof token.user_id, "0123456789abcdef0123456789abcdef");
    set(token.scope_id, sizeof token.scope_id, "fedcba9876543210fedcba9876543210");
    env_random(env, token.audit, sizeof token.audit);
    return token;
}

static struct token_ring *ring_of(int64_t created_s, uint32_t id)
{
    struct token_ring *ring = token_ring_new();
    uint8_t            secret[TOKEN_KEY_BYTES];

    memset(secret, (int)id, sizeof secret);
    token_ring_begin(ring);
    assert_int_equal(token_ring_add(ring, id, secret, created_s), 0);
    token_ring_end(ring);
    return ring;
}

static void assert_same(const struct token *a, const struct token *b)
{
    assert_string_equal(a->user_id, b->user_id);
    assert_string_equal(a->scope_id, b->scope_id);
    assert_int_equal(a->scope, b->scope);
    assert_int_equal(a->methods, b->methods);
    assert_int_equal(a->issued_us, b->issued_us);
    assert_int_equal(a->expires_us, b->expires_us);
    assert_memory_equal(a->audit, b->audit, TOKEN_AUDIT_BYTES);
    assert_int_equal(a->has_parent, b->has_parent);
    assert_memory_equal(a->parent, b->parent, TOKEN_AUDIT_BYTES);
}

static void seal__every_kind_of_token_comes_back(struct env *env)
{
    struct token_ring *ring = ring_of(0, 7);
    char               text[TOKEN_TEXT_MAX];
    struct token       out;

    for (int i = 0; i < 16; i++) {
        struct token in = example(env);
        if (i & 1)
            set(in.user_id, sizeof in.user_id, "default");   /* An id that is not hex. */
        if (i & 2) {
            in.has_parent = true;
            env_random(env, in.parent, sizeof in.parent);
        }
        in.scope = i & 4 ? (i & 8 ? TOKEN_DOMAIN : TOKEN_PROJECT) : TOKEN_UNSCOPED;
        if (in.scope == TOKEN_UNSCOPED)
            in.scope_id[0] = '\0';
        if (in.scope == TOKEN_DOMAIN)
            memset(in.scope_id, 'x', IDENTITY_ID_MAX - 1), in.scope_id[IDENTITY_ID_MAX - 1] = '\0';
        assert_int_equal(token_seal(ring, env, &in, text), 0);
        assert_true(strlen(text) < 300);
        assert_int_equal(token_unseal(ring, slice_str(text), &out), 0);
        assert_same(&in, &out);
    }
    token_ring_free(ring);
}

static void unseal__any_changed_byte_is_refused(struct env *env)
{
    struct token_ring *ring = ring_of(0, 7);
    struct token       in = example(env), out;
    char               text[TOKEN_TEXT_MAX], other[TOKEN_TEXT_MAX];

    assert_int_equal(token_seal(ring, env, &in, text), 0);
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        for (int flip = 1; flip < 256; flip <<= 1) {
            set(other, sizeof other, text);
            other[i] = (char)(other[i] ^ flip);
            assert_int_equal(token_unseal(ring, slice_of(other, size), &out), -E_UNAUTHORIZED);
        }
    }
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(token_unseal(ring, slice_of(text, cut), &out), -E_UNAUTHORIZED);
    set(other, sizeof other, text);
    for (const char *c = "A-_=\n "; *c; c++) {   /* Nothing may follow. */
        other[size] = *c;
        assert_int_equal(token_unseal(ring, slice_of(other, size + 1), &out), -E_UNAUTHORIZED);
    }
    token_ring_free(ring);
}

static void unseal__another_key_of_the_same_id_is_refused(struct env *env)
{
    struct token_ring *ring = ring_of(0, 7), *other = token_ring_new();
    struct token       in = example(env), out;
    char               text[TOKEN_TEXT_MAX];
    uint8_t            secret[TOKEN_KEY_BYTES] = "another";

    token_ring_begin(other);
    assert_int_equal(token_ring_add(other, 7, secret, 0), 0);
    token_ring_end(other);
    assert_int_equal(token_seal(ring, env, &in, text), 0);
    assert_int_equal(token_unseal(other, slice_str(text), &out), -E_UNAUTHORIZED);
    token_ring_free(other);
    token_ring_free(ring);
}

/* Which key sealed a token: the one without which it does not open. */
static bool sealed_by(struct env *env, struct token_ring *ring, uint32_t id)
{
    struct token       in = example(env), out;
    char               text[TOKEN_TEXT_MAX];
    struct token_ring *one = ring_of(0, id);

    assert_int_equal(token_seal(ring, env, &in, text), 0);
    bool yes = token_unseal(one, slice_str(text), &out) == 0;
    token_ring_free(one);
    return yes;
}

static void keys__new_one_opens_at_once_and_seals_when_settled(struct env *env)
{
    int64_t            now = fake_wall / NS_PER_S;
    struct token_ring *ring = ring_of(now, 1);
    uint8_t            secret[TOKEN_KEY_BYTES];
    char               text[TOKEN_TEXT_MAX];
    struct token       in = example(env), out;

    assert_true(sealed_by(env, ring, 1));   /* The only one seals, fresh or not. */
    fake_wall += TOKEN_KEY_ROTATE_S * NS_PER_S;
    now = fake_wall / NS_PER_S;
    memset(secret, 2, sizeof secret);
    token_ring_begin(ring);
    assert_int_equal(token_ring_add(ring, 1, secret, 0), 0);   /* Known by its id. */
    assert_int_equal(token_ring_add(ring, 2, secret, now), 0);
    token_ring_end(ring);
    assert_true(sealed_by(env, ring, 1));
    struct token_ring *two = ring_of(now, 2);   /* Another process is ahead. */
    assert_int_equal(token_seal(two, env, &in, text), 0);
    assert_int_equal(token_unseal(ring, slice_str(text), &out), 0);
    fake_wall += TOKEN_KEY_SETTLE_S * NS_PER_S;
    assert_true(sealed_by(env, ring, 2));
    /* Key 1 is dropped. */
    token_ring_begin(ring);
    assert_int_equal(token_ring_add(ring, 2, secret, now), 0);
    token_ring_end(ring);
    struct token_ring *old = ring_of(0, 1);
    assert_int_equal(token_seal(old, env, &in, text), 0);
    assert_int_equal(token_unseal(ring, slice_str(text), &out), -E_UNAUTHORIZED);
    token_ring_free(old);
    token_ring_free(two);
    token_ring_free(ring);
}

static void keys__are_bounded_and_none_is_an_error(struct env *env)
{
    struct token_ring *ring = token_ring_new();
    uint8_t            secret[TOKEN_KEY_BYTES] = "x";
    struct token       in = example(env);
    char               text[TOKEN_TEXT_MAX];

    assert_int_equal(token_seal(ring, env, &in, text), -E_UNAVAILABLE);
    for (uint32_t i = 0; i < TOKEN_KEYS_MAX; i++)
        assert_int_equal(token_ring_add(ring, i, secret, 0), 0);
    assert_int_equal(token_ring_add(ring, TOKEN_KEYS_MAX, secret, 0), -E_LIMIT);
    token_ring_free(ring);
}

static void base64__is_strict(struct env *env)
{
    uint8_t bytes[64], back[64];
    char    text[100];
    size_t  n;

    for (size_t size = 0; size <= sizeof bytes; size++) {
        env_random(env, bytes, size);
        size_t length = token_base64(text, bytes, size);
        assert_int_equal(token_unbase64(back, sizeof back, slice_of(text, length), &n), 0);
        assert_int_equal(n, size);
        assert_memory_equal(bytes, back, size);
    }
    assert_int_equal(token_unbase64(back, sizeof back, SLICE("A"), &n), -E_SYNTAX);
    assert_int_equal(token_unbase64(back, sizeof back, SLICE("AB"), &n), -E_SYNTAX);   /* Bits left over. */
    assert_int_equal(token_unbase64(back, sizeof back, SLICE("AA=="), &n), -E_SYNTAX);
    assert_int_equal(token_unbase64(back, sizeof back, SLICE("A+/A"), &n), -E_SYNTAX);
    assert_int_equal(token_unbase64(back, 2, SLICE("AAAA"), &n), -E_SYNTAX);
}

#define TEST(test) { #test, run_in_loop, NULL, NULL, &(struct run) { test } }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(seal__every_kind_of_token_comes_back),
        TEST(unseal__any_changed_byte_is_refused),
        TEST(unseal__another_key_of_the_same_id_is_refused),
        TEST(keys__new_one_opens_at_once_and_seals_when_settled),
        TEST(keys__are_bounded_and_none_is_an_error),
        TEST(base64__is_strict),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
