/* tests/proxy/object/crypt_keys_test.c - master keys in an embedded control store. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/env_kernel.h"
#include "proxy/object/crypt_keys.h"
#include "tests/lib/test.h"

struct fixture {
    struct env     *env;
    struct control *control;
};

static void run_task(struct env *env, void *arg)
{
    char           dir[] = "/tmp/crypt_keys_test.XXXXXX", command[64];
    struct fixture f = { .env = env };
    struct error   err = { 0 };

    assert_non_null(mkdtemp(dir));
    assert_int_equal(control_open_embedded(env, dir, NULL, &f.control, &err), 0);
    ((void (*)(struct fixture *))arg)(&f);
    control_close(f.control);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static void run_in_loop(void **state)
{
    assert_int_equal(kernel_main(&(struct kernel_options) { .cpu_threads = 1, .io_threads = 1 }, run_task, *state), 0);
}

static void the_first_key_is_made_once_and_found_again(struct fixture *f)
{
    struct crypt_keys *a, *b;
    uint8_t            id_a[CRYPT_KEY_ID_BYTES], id_b[CRYPT_KEY_ID_BYTES];
    struct crypt_key   key_a, key_b, found;

    assert_int_equal(crypt_keys_open(f->env, f->control, &a, NULL), 0);
    assert_int_equal(crypt_keys_open(f->env, f->control, &b, NULL), 0);
    crypt_keys_current(a, id_a, &key_a);
    crypt_keys_current(b, id_b, &key_b);
    assert_memory_equal(id_a, id_b, sizeof id_a);
    assert_memory_equal(key_a.bytes, key_b.bytes, sizeof key_a.bytes);
    assert_int_equal(crypt_keys_find(b, slice_of(id_a, sizeof id_a), &found), 0);
    assert_memory_equal(found.bytes, key_a.bytes, sizeof found.bytes);
    crypt_keys_close(a);
    crypt_keys_close(b);
}

static void a_rotated_key_is_found_by_who_never_saw_it_and_the_old_one_stays(struct fixture *f)
{
    struct crypt_keys *a, *b;
    uint8_t            old[CRYPT_KEY_ID_BYTES], new_[CRYPT_KEY_ID_BYTES], b_id[CRYPT_KEY_ID_BYTES];
    struct crypt_key   key, key_old, found;

    assert_int_equal(crypt_keys_open(f->env, f->control, &a, NULL), 0);
    assert_int_equal(crypt_keys_open(f->env, f->control, &b, NULL), 0);
    crypt_keys_current(a, old, &key_old);
    assert_int_equal(crypt_keys_rotate(a, NULL), 0);
    crypt_keys_current(a, new_, &key);
    assert_memory_not_equal(old, new_, sizeof old);
    crypt_keys_current(b, b_id, &found);
    assert_memory_equal(b_id, old, sizeof old);
    assert_int_equal(crypt_keys_find(b, slice_of(new_, sizeof new_), &found), 0);
    assert_memory_equal(found.bytes, key.bytes, sizeof key.bytes);
    assert_int_equal(crypt_keys_find(a, slice_of(old, sizeof old), &found), 0);
    assert_memory_equal(found.bytes, key_old.bytes, sizeof found.bytes);
    crypt_keys_close(a);
    crypt_keys_close(b);
}

static void an_unknown_id_is_not_found(struct fixture *f)
{
    struct crypt_keys *keys;
    struct crypt_key   key;
    uint8_t            id[CRYPT_KEY_ID_BYTES] = { 1 };

    assert_int_equal(crypt_keys_open(f->env, f->control, &keys, NULL), 0);
    assert_int_equal(crypt_keys_find(keys, slice_of(id, sizeof id), &key), -ENOENT);
    assert_int_equal(crypt_keys_find(keys, slice_of(id, 3), &key), -ENOENT);
    crypt_keys_close(keys);
}

#define TEST(f) { #f, run_in_loop, NULL, NULL, (void *)f }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_key_is_made_once_and_found_again),
        TEST(a_rotated_key_is_found_by_who_never_saw_it_and_the_old_one_stays),
        TEST(an_unknown_id_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
