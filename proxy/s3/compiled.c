/* proxy/s3/compiled.c - see compiled.h. */
#include "proxy/s3/compiled.h"

#include <stdlib.h>
#include <xxhash.h>

enum { SLOTS = 2048 };   /* Of the hash table: a power of two, twice the entries. */

enum kind { KIND_POLICY, KIND_CORS, KIND_LIFECYCLE };

struct entry {
    struct entry *next;             /* In its slot. */
    struct entry *newer, *older;    /* By use. */
    enum kind     kind;
    uint64_t      hash;
    struct slice  document, bucket; /* In the arena; bucket empty but for policies. */
    void         *value;
    struct arena  arena;
};

struct compiled {
    struct entry         *slots[SLOTS];
    struct entry         *newest, *oldest;
    struct compiled_stats stats;
};

struct compiled *compiled_new(void)
{
    return calloc(1, sizeof(struct compiled));
}

static void unlink_use(struct compiled *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_newest(struct compiled *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void entry_free(struct entry *e)
{
    arena_done(&e->arena);
    free(e);
}

static void drop(struct compiled *c, struct entry *e)
{
    struct entry **at = &c->slots[e->hash % SLOTS];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    unlink_use(c, e);
    c->stats.count--;
    c->stats.bytes -= e->arena.used;
    entry_free(e);
}

struct compiled *compiled_free(struct compiled *c)
{
    while (c && c->oldest)
        drop(c, c->oldest);
    free(c);
    return NULL;
}

static int compile(struct entry *e, struct error *err)
{
    struct s3_policy *policy;
    struct cors      *cors;
    struct lifecycle *lifecycle;
    int               rc;

    switch (e->kind) {
    case KIND_POLICY:
        rc = s3_policy_parse(&e->arena, e->document, e->bucket, &policy, err);
        e->value = rc ? NULL : policy;
        return rc;
    case KIND_CORS:
        rc = cors_parse(&e->arena, e->document, &cors, err);
        e->value = rc ? NULL : cors;
        return rc;
    default:
        rc = lifecycle_parse(&e->arena, e->document, &lifecycle, err);
        e->value = rc ? NULL : lifecycle;
        return rc;
    }
}

static struct entry *find(struct compiled *c, enum kind kind, uint64_t hash, struct slice document,
                          struct slice bucket)
{
    for (struct entry *e = c->slots[hash % SLOTS]; e; e = e->next)
        if (e->hash == hash && e->kind == kind && slice_equal(e->bucket, bucket) && slice_equal(e->document, document))
            return e;
    return NULL;
}

/* What does not parse is not kept: it is never stored either. */
static int add(struct compiled *c, enum kind kind, uint64_t hash, struct slice document, struct slice bucket,
               struct entry **ret, struct error *err)
{
    struct entry *e = calloc(1, sizeof *e);
    int           rc = 0;

    if (!e)
        return -ENOMEM;
    e->kind = kind;
    e->hash = hash;
    arena_init(&e->arena, COMPILED_ONE_BYTES_MAX);
    e->document = arena_dup(&e->arena, document);
    e->bucket = arena_dup(&e->arena, bucket);
    if (!e->document.data || !e->bucket.data)
        rc = -ENOMEM;
    if (rc == 0)
        rc = compile(e, err);
    if (rc) {
        entry_free(e);
        return rc;
    }
    while (c->oldest && (c->stats.count == COMPILED_COUNT_MAX ||
                         c->stats.bytes + e->arena.used > COMPILED_BYTES_MAX)) {
        c->stats.dropped++;
        drop(c, c->oldest);
    }
    e->next = c->slots[hash % SLOTS];
    c->slots[hash % SLOTS] = e;
    link_newest(c, e);
    c->stats.count++;
    c->stats.bytes += e->arena.used;
    *ret = e;
    return 0;
}

static int get(struct compiled *c, enum kind kind, struct slice document, struct slice bucket, const void **ret,
               struct error *err)
{
    uint64_t      hash = XXH3_64bits_withSeed(document.data, document.size, (uint64_t)kind);
    struct entry *e = find(c, kind, hash, document, bucket);
    int           rc = 0;

    if (e) {
        c->stats.hits++;
        unlink_use(c, e);
        link_newest(c, e);
    } else {
        c->stats.misses++;
        rc = add(c, kind, hash, document, bucket, &e, err);
    }
    if (rc == 0)
        *ret = e->value;
    return rc;
}

int compiled_policy(struct compiled *c, struct slice document, struct slice bucket, const struct s3_policy **ret,
                    struct error *err)
{
    const void *value;
    int         rc = get(c, KIND_POLICY, document, bucket, &value, err);

    if (rc == 0)
        *ret = value;
    return rc;
}

int compiled_cors(struct compiled *c, struct slice document, const struct cors **ret, struct error *err)
{
    const void *value;
    int         rc = get(c, KIND_CORS, document, SLICE_NONE, &value, err);

    if (rc == 0)
        *ret = value;
    return rc;
}

int compiled_lifecycle(struct compiled *c, struct slice document, const struct lifecycle **ret, struct error *err)
{
    const void *value;
    int         rc = get(c, KIND_LIFECYCLE, document, SLICE_NONE, &value, err);

    if (rc == 0)
        *ret = value;
    return rc;
}

struct compiled_stats compiled_stats(const struct compiled *c)
{
    return c->stats;
}
