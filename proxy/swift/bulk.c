/* proxy/swift/bulk.c - see bulk.h. */
#include "proxy/swift/bulk.h"

enum { BULK_READ_BYTES = 8 * 1024, BULK_TEXT_MAX = 8 * 1024 * 1024 };

int bulk_open(struct bulk *b, struct call *c)
{
    *b = (struct bulk) { .c = c, .body = "", .errors = { .limit = BULK_TEXT_MAX } };
    return list_format_of(c, &b->format);
}

void bulk_done(struct bulk *b)
{
    text_done(&b->errors);
}

/* --- One. --- */

static void add_status(struct text *t, int status)
{
    text_number(t, (uint64_t)status);
    text_lit(t, " ");
    text_add(t, slice_str(http_status_text(status)));
}

void bulk_failure(struct bulk *b, struct slice path, int status)
{
    struct text *t = &b->errors;
    struct arena arena;

    b->failed++;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    path = http_quote(&arena, path, "/");
    if (b->format == LIST_JSON) {
        text_add(t, t->size ? SLICE(",[") : SLICE("["));
        text_json(t, path);
        text_lit(t, ",\"");
        add_status(t, status);
        text_lit(t, "\"]");
    } else if (b->format == LIST_XML) {
        text_lit(t, "<object><name>");
        text_xml(t, path);
        text_lit(t, "</name><status>");
        add_status(t, status);
        text_lit(t, "</status></object>");
    } else {
        text_add(t, path);
        text_lit(t, ", ");
        add_status(t, status);
        text_lit(t, "\n");
    }
    arena_done(&arena);
}

WAITS static int delete_container(struct bulk *b, struct slice name)
{
    struct call *c = b->c;
    int          rc = access_account(c, true);

    return rc ? rc : container_delete(c->os, c->account, name, call_deadline(c), &c->err);
}

WAITS static int delete_object(struct bulk *b, struct slice container_name, struct slice object)
{
    struct call      *c = b->c;
    struct container *container;
    int               rc = -E_STALE;

    for (int attempt = 0; attempt < STALE_ATTEMPTS_MAX && rc == -E_STALE; attempt++) {
        rc = call_container(c, c->account, container_name, ACCESS_OBJECT_WRITE, attempt > 0, &container);
        if (rc)
            break;
        rc = object_delete(c->os, container, object, call_deadline(c), &c->err);
        if (rc == -E_STALE)
            container_forget(c->os, container);
        container_unref(container);
    }
    return rc;
}

int bulk_delete(struct bulk *b, struct slice container, struct slice object)
{
    struct call *c = b->c;
    int          rc;

    if (container.size == 0 || container.size > CONTAINER_NAME_MAX || object.size > OBJECT_NAME_MAX)
        rc = 412;
    else
        rc = object.size ? delete_object(b, container, object) : delete_container(b, container);
    if (rc == -ECANCELED || rc == -ENOMEM)
        return rc;
    if (rc == 0) {
        b->deleted++;
    } else if (rc == -ENOENT) {
        b->missing++;
    } else {
        struct arena arena;
        int          status = rc > 0 ? rc : call_status_of(c, rc);
        const char  *path;

        arena_init(&arena, ARENA_BLOCK_BYTES);
        path = arena_printf(&arena, object.size ? "/%.*s/%.*s" : "/%.*s", SLICE_ARG(container), SLICE_ARG(object));
        c->why = NULL;
        if (status == 401)   /* The others would not fare better. */
            b->status = 401;
        bulk_failure(b, path ? slice_str(path) : container, status);
        arena_done(&arena);
    }
    return 0;
}

/* --- The answer. --- */

static void add_number(struct text *t, enum list_format format, const char *title, const char *tag, uint64_t n)
{
    if (format == LIST_XML) {
        text_lit(t, "<");
        text_add(t, slice_str(tag));
        text_lit(t, ">");
        text_number(t, n);
        text_lit(t, "</");
        text_add(t, slice_str(tag));
        text_lit(t, ">");
        return;
    }
    text_add(t, format == LIST_JSON ? SLICE("\"") : SLICE(""));
    text_add(t, slice_str(title));
    text_add(t, format == LIST_JSON ? SLICE("\":") : SLICE(": "));
    text_number(t, n);
    text_add(t, format == LIST_JSON ? SLICE(",") : SLICE("\n"));
}

WAITS int bulk_reply(struct bulk *b)
{
    struct http_request *rq = b->c->rq;
    struct text          t = { .limit = BULK_TEXT_MAX + 1024 };
    int                  status = b->status ? b->status : b->failed ? 400 : 200;

    if (b->format == LIST_JSON)
        text_lit(&t, "{");
    else if (b->format == LIST_XML)
        text_lit(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<delete>");
    add_number(&t, b->format, "Number Deleted", "number_deleted", b->deleted);
    add_number(&t, b->format, "Number Not Found", "number_not_found", b->missing);
    if (b->format == LIST_JSON) {
        text_lit(&t, "\"Response Status\":\"");
        add_status(&t, status);
        text_lit(&t, "\",\"Response Body\":");
        text_json(&t, slice_str(b->body));
        text_lit(&t, ",\"Errors\":[");
        text_add(&t, text_slice(&b->errors));
        text_lit(&t, "]}");
    } else if (b->format == LIST_XML) {
        text_lit(&t, "<response_body>");
        text_xml(&t, slice_str(b->body));
        text_lit(&t, "</response_body><response_status>");
        add_status(&t, status);
        text_lit(&t, "</response_status><errors>");
        text_add(&t, text_slice(&b->errors));
        text_lit(&t, "</errors></delete>");
    } else {
        text_lit(&t, "Response Body: ");
        text_add(&t, slice_str(b->body));
        text_lit(&t, "\nResponse Status: ");
        add_status(&t, status);
        text_lit(&t, "\nErrors:\n");
        text_add(&t, text_slice(&b->errors));
    }
    if (!t.failed && !b->errors.failed) {
        http_reply_begin(rq, 200);
        http_reply_body(rq, b->format == LIST_JSON ? "application/json" : b->format == LIST_XML ? "text/xml" : "text/plain",
                        text_slice(&t));
    }
    text_done(&t);
    return t.failed || b->errors.failed ? -ENOMEM : 0;
}

/* --- ?bulk-delete. --- */

struct lines {
    uint8_t  line[BULK_LINE_MAX];
    size_t   size;
    uint32_t count;
    bool     long_;                /* The line is too long: the rest of it is skipped. */
};

static struct slice trimmed(struct slice s)
{
    while (s.size && (s.data[0] == ' ' || s.data[0] == '\t' || s.data[0] == '\r'))
        s = slice_from(s, 1);
    while (s.size && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t' || s.data[s.size - 1] == '\r'))
        s.size--;
    return s;
}

/* "/container/object" or "/container", percent-encoded. */
WAITS static int delete_line(struct bulk *b, struct lines *l)
{
    struct slice   text = trimmed(slice_of(l->line, l->size)), path, container;
    const uint8_t *slash;
    struct arena   arena;
    int            rc = 0;

    if (text.size == 0 && !l->long_)
        return 0;
    l->count++;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    if (l->long_ || http_unquote(&arena, text, false, &path) != 0 || !http_valid_utf8(path) ||
        memchr(path.data, 0, path.size)) {
        bulk_failure(b, l->long_ ? slice_of(text.data, 64) : text, l->long_ ? 400 : 412);
    } else {
        if (path.size && path.data[0] == '/')
            path = slice_from(path, 1);
        slash = memchr(path.data, '/', path.size);
        container = slash ? slice_of(path.data, (size_t)(slash - path.data)) : path;
        rc = bulk_delete(b, container, slash ? slice_from(path, container.size + 1) : SLICE_NONE);
    }
    arena_done(&arena);
    return rc;
}

/* False: enough. */
static bool goes_on(struct bulk *b, const struct lines *l)
{
    if (l->count >= BULK_DELETES_MAX) {
        b->status = 413;
        b->body = "Maximum Bulk Deletes: 10000 per request";
    } else if (b->failed >= BULK_FAILURES_MAX) {
        b->status = 400;
        b->body = "Max delete failures exceeded";
    }
    return b->status == 0;
}

WAITS static int delete_bytes(struct bulk *b, struct lines *l, struct slice bytes)
{
    int rc = 0;

    for (size_t i = 0; i < bytes.size && rc == 0 && b->status == 0; i++) {
        if (bytes.data[i] != '\n') {
            if (l->size < sizeof l->line)
                l->line[l->size++] = bytes.data[i];
            else
                l->long_ = true;
            continue;
        }
        if ((l->size || l->long_) && !goes_on(b, l))
            break;
        rc = delete_line(b, l);
        l->size = 0;
        l->long_ = false;
    }
    return rc;
}

int bulk_delete_call(struct call *c)
{
    struct lines *l = arena_new(c->arena, struct lines);
    uint8_t      *bytes = arena_alloc(c->arena, BULK_READ_BYTES);
    struct bulk   b;
    size_t        n = 1;
    int           rc = bulk_open(&b, c);

    if (rc == 0 && (!l || !bytes))
        rc = -ENOMEM;
    if (rc == 0 && !c->rq->has_length && !c->rq->chunked)
        rc = 411;
    while (rc == 0 && n > 0 && b.status == 0) {
        rc = http_body_read(c->rq, bytes, BULK_READ_BYTES, &n);
        if (rc == -ETIMEDOUT)
            rc = 408;
        if (rc == 0)
            rc = n > 0 ? delete_bytes(&b, l, slice_of(bytes, n)) : l->size || l->long_ ? delete_bytes(&b, l, SLICE("\n")) : 0;
    }
    if (rc == 0 && b.status == 0 && b.deleted + b.missing + b.failed == 0) {
        b.status = 400;
        b.body = "Invalid bulk delete.";
    }
    if (rc == 0)
        rc = bulk_reply(&b);
    bulk_done(&b);
    return rc;
}
