/* proxy/object/cache.c - container configurations by name: bounded, least recently used out first.
 *
 * A cached configuration may be old: replicas refuse requests that name an old
 * ballot (-E_STALE), so age needs no timer. */
#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

#include "proxy/object/service.h"

static uint64_t cache_hash(struct slice account, struct slice name)
{
    return XXH3_64bits_withSeed(name.data, name.size, XXH3_64bits(account.data, account.size));
}

static struct cached **cache_find(struct object_service *s, struct slice account, struct slice name, uint64_t hash)
{
    struct cached **at = &s->buckets[hash % CACHE_BUCKETS];

    while (*at && !((*at)->hash == hash && slice_equal((*at)->container->name, name) &&
                    slice_equal((*at)->container->account, account)))
        at = &(*at)->hash_next;
    return at;
}

static void lru_out(struct object_service *s, struct cached *c)
{
    *(c->newer ? &c->newer->older : &s->newest) = c->older;
    *(c->older ? &c->older->newer : &s->oldest) = c->newer;
}

static void lru_in(struct object_service *s, struct cached *c)
{
    c->newer = NULL;
    c->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = c;
    s->newest = c;
}

static void cache_remove(struct object_service *s, struct cached **at)
{
    struct cached *c = *at;

    *at = c->hash_next;
    lru_out(s, c);
    container_unref(c->container);
    free(c);
    s->cached_count--;
}

void cache_put(struct object_service *s, struct container *container)
{
    uint64_t        hash = cache_hash(container->account, container->name);
    struct cached **at = cache_find(s, container->account, container->name, hash);
    struct cached  *c = *at;

    if (c) {
        /* Two readers may cross: the newer version of the same container wins. */
        if (memcmp(c->container->shard.id, container->shard.id, SHARD_ID_BYTES) == 0 &&
            ballot_compare(c->container->shard.config, container->shard.config) >= 0)
            return;
        container_unref(c->container);
        c->container = container_ref(container);
        return;
    }
    c = calloc(1, sizeof *c);
    if (!c)
        return;   /* It is only a cache. */
    c->hash = hash;
    c->container = container_ref(container);
    *at = c;
    lru_in(s, c);
    if (++s->cached_count > CONTAINER_CACHE_MAX) {
        struct container *old = s->oldest->container;
        cache_remove(s, cache_find(s, old->account, old->name, s->oldest->hash));
    }
}

struct container *cache_get(struct object_service *s, struct slice account, struct slice name)
{
    struct cached *c = *cache_find(s, account, name, cache_hash(account, name));

    if (!c)
        return NULL;
    if (s->newest != c) {
        lru_out(s, c);
        lru_in(s, c);
    }
    return container_ref(c->container);
}

void cache_drop(struct object_service *s, struct slice account, struct slice name, const struct container *only)
{
    struct cached **at = cache_find(s, account, name, cache_hash(account, name));

    if (*at && (!only || (*at)->container == only))
        cache_remove(s, at);
}

void cache_clear(struct object_service *s)
{
    while (s->oldest) {
        struct container *c = s->oldest->container;
        cache_remove(s, cache_find(s, c->account, c->name, s->oldest->hash));
    }
    assert(s->cached_count == 0);
}
