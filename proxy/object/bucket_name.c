/* proxy/object/bucket_name.c - one name space of buckets per domain: a directory of rows name -> account.
 *
 * A claim is a conditional write, so only one account gets a name. Whoever has it and claims again rewrites the row:
 * a deletion under way gives back only the claim that it had read before the container died (bucket_release_claim()),
 * not one that was made or confirmed since. */
#include "proxy/object/service.h"

#include <xxhash.h>

enum { CLAIM_ARENA = 64 * 1024 };

struct claim_edit {
    struct slice   account;
    uint64_t       now_us;
    bool           release;
    uint64_t       expect_us;   /* Release only the claim of that time; 0: whichever is the account's. */
    bool           mine;        /* Out: it was the account's before. */
};

static int claim_of(const struct row_state *row, struct arena *arena, struct slice *ret_account,
                    uint64_t *ret_claimed_us, struct error *err)
{
    ProtobufCAllocator allocator = arena_allocator(arena);
    Rs__BucketClaim   *claim = rs__bucket_claim__unpack(&allocator, row->value->meta.len, row->value->meta.data);

    if (!claim || claim->account.len == 0 || claim->account.len > ACCOUNT_NAME_MAX)
        return error_set(err, -E_CORRUPT, "the bucket's directory entry can't be read");
    *ret_account = pb_slice(claim->account);
    *ret_claimed_us = claim->claimed_us;
    return 0;
}

static int claim_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                        struct error *err)
{
    struct claim_edit *edit = ctx;
    Rs__BucketClaim    claim = RS__BUCKET_CLAIM__INIT;
    Rs__RowValue      *value = arena_new(arena, Rs__RowValue);
    struct slice       account = SLICE_NONE, packed;
    uint64_t           claimed_us = 0;
    int                rc = now->exists ? claim_of(now, arena, &account, &claimed_us, err) : 0;

    if (rc)
        return rc;
    edit->mine = slice_equal(account, edit->account);
    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    rs__row_value__init(value);
    *ret_value = value;
    if (edit->release) {
        if (!edit->mine || (edit->expect_us && edit->expect_us != claimed_us))
            return error_set(err, -ENOENT, "the bucket's name is not the account's");
        value->tombstone = true;
        return 0;
    }
    if (now->exists && !edit->mine)
        return error_set(err, -EEXIST, "another account has the bucket's name");
    claim.account = pb_data(edit->account);
    claim.claimed_us = edit->now_us;
    packed = pack_in(arena, &claim.base);
    if (!packed.data)
        return error_set(err, -ENOMEM, "out of memory");
    value->meta = pb_data(packed);
    value->counted = true;
    return 0;
}

static struct bucket_slot *slot_of(struct object_service *s, struct slice domain, struct slice name, uint64_t *ret_hash)
{
    *ret_hash = XXH3_64bits_withSeed(name.data, name.size, XXH3_64bits(domain.data, domain.size));
    return &s->bucket[*ret_hash % BUCKET_CACHE_SLOTS];
}

static void forget(struct object_service *s, struct slice domain, struct slice name)
{
    uint64_t hash;

    slot_of(s, domain, name, &hash)->until = 0;
}

WAITS static int claim_update(struct object_service *s, struct slice domain, struct slice name,
                              struct claim_edit *edit, int64_t deadline, struct error *err)
{
    struct arena arena;
    struct held  held;
    int          rc;

    if (domain.size == 0 || domain.size > ACCOUNT_NAME_MAX || name.size == 0 || name.size > CONTAINER_NAME_MAX ||
        edit->account.size == 0 || edit->account.size > ACCOUNT_NAME_MAX)
        return error_set(err, -EINVAL, "a domain's, bucket's or account's name is empty or too long");
    rc = held_account(s, domain, DOMAIN_BUCKETS, &held, err);
    if (rc)
        return rc;
    arena_init(&arena, CLAIM_ARENA);
    edit->now_us = service_now_us(s);
    rc = row_update(s->options.rows, &held.shard, name, claim_decide, edit, deadline, &arena, NULL, NULL, err);
    held_drop(&held);
    arena_done(&arena);
    forget(s, domain, name);
    return rc;
}

int bucket_claim(struct object_service *s, struct slice domain, struct slice name, struct slice account,
                 int64_t deadline, bool *ret_mine, struct error *err)
{
    struct claim_edit edit = { .account = account };
    int               rc = claim_update(s, domain, name, &edit, deadline, err);

    if (rc == 0 && edit.mine)
        rc = error_set(err, -EEXIST, "the account has the bucket's name already");
    if (rc == 0 || rc == -EEXIST)
        *ret_mine = edit.mine;
    return rc;
}

int bucket_release(struct object_service *s, struct slice domain, struct slice name, struct slice account,
                   int64_t deadline, struct error *err)
{
    struct claim_edit edit = { .account = account, .release = true };
    int               rc = claim_update(s, domain, name, &edit, deadline, err);

    return rc == -ENOENT ? 0 : rc;
}

int bucket_release_claim(struct object_service *s, struct slice domain, struct slice name, struct slice account,
                         uint64_t claimed_us, int64_t deadline, struct error *err)
{
    struct claim_edit edit = { .account = account, .release = true, .expect_us = claimed_us };
    int               rc = claim_update(s, domain, name, &edit, deadline, err);

    return rc == -ENOENT ? 0 : rc;
}

int bucket_claim_read(struct object_service *s, struct slice domain, struct slice name, int64_t deadline,
                      struct arena *arena, struct slice *ret_account, uint64_t *ret_claimed_us, struct error *err)
{
    struct row_state row;
    struct held      held;
    int              rc = held_account(s, domain, DOMAIN_BUCKETS, &held, err);

    if (rc)
        return rc;
    rc = row_read(s->options.rows, &held.shard, name, ROW_META, deadline, arena, &row, err);
    held_drop(&held);
    if (rc)
        return rc;
    if (!row.exists)
        return error_set(err, -ENOENT, "there is no such bucket");
    return claim_of(&row, arena, ret_account, ret_claimed_us, err);
}

int bucket_account(struct object_service *s, struct slice domain, struct slice name, bool fresh, int64_t deadline,
                   struct arena *arena, struct slice *ret_account, struct error *err)
{
    uint64_t            hash;
    struct bucket_slot *slot = slot_of(s, domain, name, &hash);
    uint64_t            claimed_us;
    int                 rc = 0;

    if (name.size == 0 || name.size > CONTAINER_NAME_MAX)
        return error_set(err, -ENOENT, "there is no such bucket");
    if (!fresh && slot->hash == hash && slot->until > env_now(s->options.env)) {
        *ret_account = arena_dup(arena, slice_of(slot->account, slot->size));
    } else {
        rc = bucket_claim_read(s, domain, name, deadline, arena, ret_account, &claimed_us, err);
        if (rc)
            return rc;
        slot->hash = hash;
        slot->until = env_now(s->options.env) + BUCKET_CACHE_MS * NS_PER_MS;
        slot->size = (uint16_t)ret_account->size;
        memcpy(slot->account, ret_account->data, ret_account->size);
    }
    return ret_account->data ? 0 : error_set(err, -ENOMEM, "out of memory");
}
