/* tests/fuzz/proxy/swift/swift_rules_fuzz.c - what the Swift dialect parses: access lists, referrers, Accept, limits,
 * manifests, segment ranges, metadata headers. The first byte picks. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "proxy/swift/listing.h"
#include "proxy/swift/slo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_acl(struct arena *arena, struct slice text)
{
    struct slice   acl, again, role = SLICE("admin");
    struct acl_who who = { SLICE("u"), SLICE("n"), SLICE("p"), SLICE("q"), &role, 1 };
    const char    *why = NULL;

    if (memchr(text.data, 0, text.size))
        return;   /* The HTTP layer lets no control bytes through. */
    if (acl_clean(arena, text, false, &acl, &why) == 0) {
        assert(acl.size <= text.size);
        /* What is clean stays as it is. */
        assert(acl_clean(arena, acl, false, &again, &why) == 0 && slice_equal(acl, again));
        acl_listings(acl);
        acl_user(acl, &who);
        acl_referrer(acl, SLICE("http://www.example.com/"));
    } else {
        assert(why);
    }
    acl_user(text, &who);
    acl_referrer(SLICE(".r:.example.com,.r:-x.example.com"), text);
}

static void check_query(struct call *c, struct slice text)
{
    struct http_query   query[] = { { SLICE("limit"), text }, { SLICE("path"), text }, { SLICE("marker"), text } };
    struct http_header  header[] = { { SLICE("Accept"), text } };
    struct list_request list;
    enum list_format    format;

    c->rq->headers = header;
    c->rq->header_count = 1;
    c->container = SLICE("box");
    list_format_of(c, &format);
    c->rq->query = query;
    c->rq->query_count = 3;
    if (list_parse(c, &list) == 0)
        assert(list.limit <= LIST_LIMIT_MAX);
}

static void check_manifest(struct call *c, struct slice text)
{
    struct slo_item *items;
    uint32_t         count;
    uint64_t         first, length;

    if (slo_parse(c, text, &items, &count) == 0) {
        assert(count > 0 && count <= MANIFEST_SEGMENTS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            assert(items[i].container.size && items[i].object.size);
            if (items[i].ranged && items[i].has_size)
                assert(slo_range(items[i].range, items[i].size, &first, &length) && length > 0 &&
                       first + length <= items[i].size);
        }
    } else {
        assert(c->why || c->arena->used > 0);
    }
    if (slo_range(text, 1000, &first, &length))
        assert(length > 0 && first + length <= 1000);
}

static void check_headers_of(struct call *c, struct slice text)
{
    struct http_header    header[] = { { SLICE("X-Container-Meta-A"), text }, { SLICE("X-Container-Read"), text },
                                       { SLICE("X-Container-Write"), text },  { SLICE("X-Delete-After"), text },
                                       { SLICE("X-Object-Meta-A"), text },    { SLICE("Content-Encoding"), text } };
    struct config_changes changes;
    Rs__ObjectMeta        meta = RS__OBJECT_META__INIT;

    c->rq->headers = header;
    c->rq->header_count = 6;
    container_changes(c, &changes);
    c->rq->headers = header + 4;
    c->rq->header_count = 2;
    object_headers(c, &meta);
    mime_guess(text);
    strip_quotes(text);
}

static void check_text(struct slice bytes)
{
    struct text t = { .limit = 1024 };

    text_json(&t, bytes);
    text_xml(&t, bytes);
    assert(t.size <= t.limit);
    text_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request rq = { 0 };
    struct call         c = { .rq = &rq, .arena = &rq.arena };
    uint8_t            *copy;

    if (size < 1 || !(copy = malloc(size)))   /* Ends where the text ends. */
        return 0;
    memcpy(copy, data + 1, size - 1);
    struct slice text = slice_of(copy, size - 1);
    arena_init(&rq.arena, ARENA_LIMIT_DEFAULT);
    switch (data[0] % 5) {
    case 0: check_acl(&rq.arena, text); break;
    case 1: check_query(&c, text); break;
    case 2: check_manifest(&c, text); break;
    case 3: check_headers_of(&c, text); break;
    default: check_text(text); break;
    }
    arena_done(&rq.arena);
    free(copy);
    return 0;
}
