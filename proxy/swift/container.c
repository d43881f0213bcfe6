/* proxy/swift/container.c - GET, HEAD, PUT, POST and DELETE of containers. */
#include "proxy/swift/listing.h"

enum { PAGE_ARENA_MAX = 16 * 1024 * 1024, PAGE_TEXT_MAX = 4 * 1024 * 1024 };

static void container_headers(struct call *c, int status, const struct container *container,
                              const struct shard_stats *stats)
{
    struct http_request       *rq = c->rq;
    const Rs__ContainerConfig *config = container->config;

    http_reply_begin(rq, status);
    reply_number(rq, "X-Container-Object-Count", stats->count);
    reply_number(rq, "X-Container-Bytes-Used", stats->bytes);
    reply_time(rq, "X-Timestamp", config->created_us);
    reply_time(rq, "X-Put-Timestamp", config->modified_us);
    reply_date(rq, "Last-Modified", config->modified_us);
    http_reply_header(rq, "X-Storage-Policy", slice_str(container->policy->name));
    http_reply_header(rq, "Accept-Ranges", SLICE("bytes"));
    reply_meta(rq, "X-Container-Meta-", config->meta, config->n_meta);
    if (c->owner && config->read_acl.len)
        http_reply_header(rq, "X-Container-Read", slice_of(config->read_acl.data, config->read_acl.len));
    if (c->owner && config->write_acl.len)
        http_reply_header(rq, "X-Container-Write", slice_of(config->write_acl.data, config->write_acl.len));
}

/* --- Listing. --- */

struct page {
    struct call               *c;
    struct container          *container;
    const struct list_request *list;
    struct shard_stats         stats;
    struct row_range           range;
    struct arena               arena;
    struct text                text;
    char                       after[ROW_NAME_MAX];
    uint32_t                   count, step;
    bool                       more, streaming;
};

static int entry_of(struct page *p, struct slice name, uint64_t size, const ProtobufCBinaryData *packed, char hex[33],
                    struct list_entry *ret)
{
    ProtobufCAllocator allocator = arena_allocator_of(&p->arena);
    Rs__ObjectMeta    *meta = rs__object_meta__unpack(&allocator, packed->len, packed->data);
    struct slice       tag;

    if (!meta)
        return -E_CORRUPT;
    *ret = (struct list_entry) { .name = name, .bytes = object_size_of(meta, size), .modified_us = meta->modified_us };
    ret->content_type = slice_of(meta->content_type.data, meta->content_type.len);
    if (meta->manifest) {
        ret->bytes = meta->manifest_size;
        ret->slo_etag = slice_of(meta->manifest_etag.data, meta->manifest_etag.len);
        meta->manifest_etag.len = 0;   /* 'hash' is that of the manifest itself. */
    }
    object_etag(meta, hex, &tag);
    ret->hash = tag;
    if (meta->upload.len)
        ret->slo_etag = tag;
    return 0;
}

/* With ?path= a folded name is shown only when an object has exactly that name. */
WAITS static int folded_object(struct page *p, struct slice name, char hex[33], struct list_entry *ret)
{
    struct object o;
    int           rc = object_read(p->c->os, p->container, name, ROW_META, call_deadline(p->c), &p->arena, &o, NULL);

    return rc ? rc : entry_of(p, name, o.size, &o.value->meta, hex, ret);
}

WAITS static int page_entry(struct page *p, const struct row_entry *row)
{
    struct list_entry e = { .name = row->name, .folded = row->folded };
    char              hex[33];
    int               rc = 0;

    if (row->folded && slice_equal(row->name, p->range.after))
        return 0;   /* The marker stands for all that it folds. */
    if (p->list->path && slice_equal(row->name, p->range.prefix))
        return 0;
    if (row->folded && p->list->path) {
        rc = folded_object(p, row->name, hex, &e);
        if (rc == -ENOENT)
            return 0;
    } else if (!row->folded) {
        rc = entry_of(p, row->name, row->value->size, &row->value->meta, hex, &e);
    }
    if (rc)
        return rc;
    list_object(&p->text, p->list->format, p->count == 0, &e);
    p->count++;
    return p->text.failed ? -ENOMEM : 0;
}

/* Reads the next part of the page and appends its text. */
WAITS static int page_step(struct page *p)
{
    struct row_page rows;
    int             rc;

    for (;;) {
        uint32_t left = p->list->limit - p->count;
        arena_reset(&p->arena);
        p->range.limit = left < p->step ? left : p->step;
        rc = container_list(p->c->os, p->container, &p->range, call_deadline(p->c), &p->arena, &rows, &p->c->err);
        if (rc != -ENOMEM || p->step == 1)
            break;
        p->step = p->step / 4 ? p->step / 4 : 1;   /* Large rows: read fewer at once. */
    }
    if (rc)
        return rc;
    for (uint32_t i = 0; i < rows.count; i++) {
        rc = page_entry(p, &rows.entries[i]);
        if (rc)
            return rc;
    }
    p->more = rows.more && rows.count > 0;
    if (p->more) {
        struct slice last = rows.entries[rows.count - 1].name;
        if (last.size > sizeof p->after)
            return -E_LIMIT;
        memcpy(p->after, last.data, last.size);
        p->range.after = slice_of(p->after, last.size);
    }
    return 0;
}

/* The first step decides between one body and a stream. */
WAITS static int page_send(struct page *p)
{
    enum list_format format = p->list->format;
    int              rc;

    p->more = p->list->limit > 0;
    list_open(&p->text, format, false, p->container->name);
    while (p->more && p->count < p->list->limit) {
        rc = page_step(p);
        if (rc)
            return rc;
        if (!p->more || p->count >= p->list->limit)
            break;
        if (!p->streaming) {
            container_headers(p->c, 200, p->container, &p->stats);
            http_reply_header(p->c->rq, "Content-Type", slice_str(list_type(format)));
            rc = http_reply_stream(p->c->rq, UINT64_MAX);
            if (rc)
                return rc;
            p->streaming = true;
        }
        rc = http_reply_write(p->c->rq, text_slice(&p->text));
        if (rc)
            return rc;
        p->text.size = 0;
    }
    list_close(&p->text, format, false);
    if (p->text.failed)
        return -ENOMEM;
    if (p->streaming) {
        rc = http_reply_write(p->c->rq, text_slice(&p->text));
        return rc ? rc : http_reply_end(p->c->rq);
    }
    if (p->count == 0 && format == LIST_PLAIN) {
        container_headers(p->c, 204, p->container, &p->stats);
        http_reply_empty(p->c->rq);
    } else {
        container_headers(p->c, 200, p->container, &p->stats);
        http_reply_body(p->c->rq, list_type(format), text_slice(&p->text));
    }
    return 0;
}

WAITS static int container_page(struct call *c, struct container *container, const struct list_request *list,
                                const struct shard_stats *stats)
{
    struct page *p = arena_new(c->arena, struct page);
    int          rc;

    if (!p)
        return -ENOMEM;
    p->c = c;
    p->container = container;
    p->list = list;
    p->stats = *stats;
    p->range = list->range;
    p->step = LIST_STEP;
    p->text.limit = PAGE_TEXT_MAX;
    arena_init(&p->arena, PAGE_ARENA_MAX);
    rc = page_send(p);
    if (rc && p->streaming) {
        http_reply_abort(c->rq);   /* The client sees that the list is cut. */
        rc = 0;
    }
    arena_done(&p->arena);
    text_done(&p->text);
    return rc;
}

int container_get_call(struct call *c)
{
    struct list_request list;
    struct shard_stats  stats;
    struct container   *container;
    int                 rc;

    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX; attempt++) {
        rc = call_container(c, c->account, c->container, ACCESS_LISTING, attempt > 0, &container);
        if (rc)
            return rc;
        rc = c->rq->head ? 0 : list_parse(c, &list);
        if (rc == 0)
            rc = container_stats(c->os, container, call_deadline(c), &stats, &c->err);
        if (rc == 0 && c->rq->head) {
            container_headers(c, 204, container, &stats);
            http_reply_header(c->rq, "Content-Type", SLICE("text/plain; charset=utf-8"));
            http_reply_empty(c->rq);
        } else if (rc == 0) {
            rc = container_page(c, container, &list, &stats);
        }
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
        if (rc != -E_STALE)
            return rc;
    }
    return -E_STALE;
}

/* --- Changes. --- */

static int check_name(struct call *c)
{
    if (c->container.size <= CONTAINER_NAME_MAX)
        return 0;
    c->why = arena_printf(c->arena, "Container name length of %zu longer than %d", c->container.size, CONTAINER_NAME_MAX);
    return 400;
}

static int policy_of(struct call *c, const struct policy **ret)
{
    struct slice name = http_header(c->rq, "X-Storage-Policy");

    *ret = NULL;
    if (!name.size)
        return 0;
    *ret = object_service_policy(c->os, name);
    if (!*ret)
        c->why = arena_printf(c->arena, "Invalid X-Storage-Policy \"%.*s\"", SLICE_ARG(name));
    else if ((*ret)->deprecated)
        c->why = arena_printf(c->arena, "Storage Policy \"%.*s\" is deprecated", SLICE_ARG(name));
    return c->why ? 400 : 0;
}

static int limit_is_400(struct call *c, int rc)
{
    if (rc != -E_LIMIT)
        return rc;
    c->why = arena_str(c->arena, slice_str(c->err.text));
    return 400;
}

int container_put_call(struct call *c)
{
    struct config_changes changes;
    const struct policy  *policy;
    bool                  created;
    int                   rc = access_container(c, NULL, SLICE_NONE, ACCESS_CONTAINER_WRITE);

    if (rc == 0)
        rc = container_changes(c, &changes);
    if (rc == 0)
        rc = policy_of(c, &policy);
    if (rc == 0)
        rc = check_name(c);
    if (rc)
        return rc;
    rc = container_create(c->os, c->account, c->container, policy, &changes, call_deadline(c), &created, &c->err);
    if (rc)
        return limit_is_400(c, rc);
    return created ? 201 : 202;
}

int container_post_call(struct call *c)
{
    struct config_changes changes;
    struct container     *container;
    int                   rc = access_container(c, NULL, SLICE_NONE, ACCESS_CONTAINER_WRITE);

    if (rc == 0)
        rc = container_changes(c, &changes);
    if (rc)
        return rc;
    rc = container_open(c->os, c->account, c->container, false, call_deadline(c), &container, &c->err);
    if (rc)
        return rc;
    rc = container_update(c->os, container, &changes, call_deadline(c), &c->err);
    if (rc == -ENOENT) {
        /* What was cached is gone; another one may have the name. */
        container_forget(c->os, container);
        container_unref(container);
        rc = container_open(c->os, c->account, c->container, true, call_deadline(c), &container, &c->err);
        if (rc)
            return rc;
        rc = container_update(c->os, container, &changes, call_deadline(c), &c->err);
    }
    container_unref(container);
    return rc ? limit_is_400(c, rc) : 204;
}

int container_delete_call(struct call *c)
{
    int rc = access_container(c, NULL, SLICE_NONE, ACCESS_CONTAINER_WRITE);

    if (rc == 0)
        rc = container_delete(c->os, c->account, c->container, call_deadline(c), &c->err);
    return rc ? rc : 204;
}
