/* proxy/swift/account.c - GET, HEAD and POST of accounts. */
#include "proxy/swift/listing.h"

enum { PAGE_ARENA_MAX = 16 * 1024 * 1024, PAGE_TEXT_MAX = 32 * 1024 * 1024 };

static void account_headers(struct call *c, int status, const struct account *a)
{
    struct http_request *rq = c->rq;

    http_reply_begin(rq, status);
    reply_number(rq, "X-Account-Container-Count", a->containers);
    reply_number(rq, "X-Account-Object-Count", a->objects);
    reply_number(rq, "X-Account-Bytes-Used", a->bytes);
    if (a->config->created_us) {
        reply_time(rq, "X-Timestamp", a->config->created_us);
        reply_time(rq, "X-Put-Timestamp", a->config->modified_us);
    } else {
        reply_time(rq, "X-Timestamp", (uint64_t)(env_wall(rq->env) / NS_PER_US));
    }
    reply_meta(rq, "X-Account-Meta-", a->config->meta, a->config->n_meta);
    if (a->config->limited)
        reply_number(rq, "X-Account-Meta-Quota-Bytes", a->config->quota_bytes);
}

/* Reads the page in steps and writes its text. */
WAITS static int account_page(struct call *c, const struct list_request *list, struct text *text, uint32_t *ret_count)
{
    struct row_range range = list->range;
    struct arena     arena;
    uint32_t         count = 0, step = LIST_STEP;
    bool             more = true;
    int              rc = 0;

    arena_init(&arena, PAGE_ARENA_MAX);
    list_open(text, list->format, true, c->account);
    while (rc == 0 && more && count < list->limit) {
        struct container_item *items;
        uint32_t               n;

        arena_reset(&arena);
        range.limit = list->limit - count < step ? list->limit - count : step;
        rc = account_list(c->os, c->account, &range, call_deadline(c), &arena, &items, &n, &more, &c->err);
        if (rc == -ENOMEM && step > 1) {
            step = step / 4 ? step / 4 : 1;
            rc = 0;
            continue;
        }
        for (uint32_t i = 0; rc == 0 && i < n; i++) {
            if (items[i].folded && slice_equal(items[i].name, range.after))
                continue;   /* The marker stands for all that it folds. */
            struct list_entry e = { .name = items[i].name, .folded = items[i].folded, .count = items[i].count,
                                    .bytes = items[i].bytes, .modified_us = items[i].modified_us };
            list_container(text, list->format, count == 0, &e);
            count++;
        }
        if (rc == 0 && n == 0)
            break;
        if (rc == 0) {
            range.after = arena_dup(c->arena, items[n - 1].name);
            rc = range.after.data ? 0 : -ENOMEM;
        }
    }
    list_close(text, list->format, true);
    arena_done(&arena);
    if (rc == 0 && text->failed)
        rc = -ENOMEM;
    *ret_count = count;
    return rc;
}

int account_get_call(struct call *c)
{
    struct list_request list;
    struct account      account;
    struct text         text = { .limit = PAGE_TEXT_MAX };
    uint32_t            count = 0;
    int                 rc = access_account(c, false);

    if (rc == 0 && !c->rq->head)
        rc = list_parse(c, &list);
    if (rc == 0)
        rc = account_get(c->os, c->account, call_deadline(c), c->arena, &account, &c->err);
    if (rc)
        return rc;
    if (c->rq->head) {
        account_headers(c, 204, &account);
        http_reply_header(c->rq, "Content-Type", SLICE("text/plain; charset=utf-8"));
        http_reply_empty(c->rq);
        return 0;
    }
    rc = account_page(c, &list, &text, &count);
    if (rc == 0) {
        bool empty = count == 0 && list.format == LIST_PLAIN;
        account_headers(c, empty ? 204 : 200, &account);
        if (empty)
            http_reply_empty(c->rq);
        else
            http_reply_body(c->rq, list_type(list.format), text_slice(&text));
    }
    text_done(&text);
    return rc;
}

int account_post_call(struct call *c)
{
    struct config_changes changes = { 0 };
    struct meta_change   *meta;
    struct slice          quota = http_header(c->rq, "X-Account-Meta-Quota-Bytes");
    uint64_t              quota_bytes = UINT64_MAX;
    uint32_t              n = 0;
    int                   rc = access_account(c, true);

    if (rc == 0)
        rc = meta_changes(c, "Account", &meta, &changes.meta_count);
    if (rc)
        return rc;
    /* The quota is no metadata of the account's own: only a reseller may set it. */
    for (uint32_t i = 0; i < changes.meta_count; i++)
        if (!slice_equal(meta[i].name, SLICE("quota-bytes")))
            meta[n++] = meta[i];
    if (n != changes.meta_count) {
        if (!c->reseller)
            return 403;
        if (quota.size && !slice_u64(quota, &quota_bytes)) {
            c->why = "Invalid bytes quota.";
            return 400;
        }
        changes.quota_bytes = &quota_bytes;
    }
    changes.meta = meta;
    changes.meta_count = n;
    rc = account_update(c->os, c->account, &changes, call_deadline(c), c->arena, &c->err);
    if (rc == -E_LIMIT) {
        c->why = arena_str(c->arena, slice_str(c->err.text));
        return 400;
    }
    return rc ? rc : 204;
}
