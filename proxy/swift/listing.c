/* proxy/swift/listing.c - see listing.h. */
#include "proxy/swift/listing.h"

#include <strings.h>

/* --- What is asked for. --- */

static int format_of_name(struct slice name, enum list_format *ret)
{
    static const struct {
        const char      *name;
        enum list_format format;
    } names[] = {
        { "plain", LIST_PLAIN }, { "json", LIST_JSON }, { "xml", LIST_XML },
    };

    *ret = LIST_PLAIN;   /* Also for unknown ones, as in Swift. */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (name.size == strlen(names[i].name) &&
            strncasecmp((const char *)name.data, names[i].name, name.size) == 0)
            *ret = names[i].format;
    return 0;
}

static struct slice trim(struct slice s)
{
    while (s.size && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = slice_from(s, 1);
    while (s.size && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t'))
        s.size--;
    return s;
}

static struct slice cut(struct slice *rest, char mark)
{
    const uint8_t *at = rest->size ? memchr(rest->data, mark, rest->size) : NULL;
    struct slice   part = at ? slice_of(rest->data, (size_t)(at - rest->data)) : *rest;

    *rest = at ? slice_from(*rest, part.size + 1) : SLICE_NONE;
    return part;
}

/* "0.8" as thousandths; -1: malformed. */
static int quality_of(struct slice params)
{
    while (params.size) {
        struct slice p = trim(cut(&params, ';'));
        int          q = 0, scale = 1000;

        if (p.size < 3 || (p.data[0] | 32) != 'q' || p.data[1] != '=')
            continue;
        for (size_t i = 2; i < p.size; i++) {
            if (p.data[i] == '.' && i == 3)
                continue;
            if (p.data[i] < '0' || p.data[i] > '9')
                return -1;
            q += (p.data[i] - '0') * scale;
            scale /= 10;
        }
        return q > 1000 ? -1 : q;
    }
    return 1000;
}

/* How well a media range fits a type: 0 not, 1 all, 2 main type, 3 exactly. */
static int fit(struct slice range, const char *type)
{
    const char *slash = strchr(type, '/');
    size_t      main_size = (size_t)(slash - type) + 1;

    if (slice_equal(range, SLICE("*/*")))
        return 1;
    if (range.size == main_size + 1 && range.data[main_size] == '*' && memcmp(range.data, type, main_size) == 0)
        return 2;
    return range.size == strlen(type) && strncasecmp((const char *)range.data, type, range.size) == 0 ? 3 : 0;
}

static int format_of_accept(struct slice accept, enum list_format *ret)
{
    static const char *const     types[] = { "text/plain", "application/json", "application/xml", "text/xml" };
    static const enum list_format formats[] = { LIST_PLAIN, LIST_JSON, LIST_XML, LIST_XML };
    int best_q = 0;

    for (int t = 0; t < 4; t++) {
        struct slice rest = accept;
        int          best_fit = 0, q_here = 0;
        while (rest.size) {
            struct slice item = cut(&rest, ','), params = item, range = trim(cut(&params, ';'));
            int          q = quality_of(params), f = fit(range, types[t]);
            if (q < 0 || (range.size && !memchr(range.data, '/', range.size)))
                return -E_SYNTAX;
            if (f > best_fit) {
                best_fit = f;
                q_here = q;
            }
        }
        if (best_fit && q_here > best_q) {
            best_q = q_here;
            *ret = formats[t];
        }
    }
    return best_q > 0 ? 0 : -ENOENT;
}

int list_format_of(struct call *c, enum list_format *ret_format)
{
    struct slice format = http_query(c->rq, "format"), accept = http_header(c->rq, "Accept");

    *ret_format = LIST_PLAIN;
    if (format.size)
        return format_of_name(format, ret_format);
    if (!accept.size)
        return 0;
    switch (format_of_accept(accept, ret_format)) {
    case 0: return 0;
    case -ENOENT: return 406;
    default:
        c->why = "Invalid Accept header";
        return 400;
    }
}

const char *list_type(enum list_format format)
{
    return format == LIST_JSON  ? "application/json; charset=utf-8"
           : format == LIST_XML ? "application/xml; charset=utf-8"
                                : "text/plain; charset=utf-8";
}

static int text_param(struct call *c, const char *name, struct slice *ret)
{
    *ret = http_query(c->rq, name);
    if (http_valid_utf8(*ret))
        return 0;
    c->why = arena_printf(c->arena, "\"%s\" parameter not valid UTF-8", name);
    return 400;
}

static int limit_param(struct call *c, uint32_t *ret)
{
    struct slice text = http_query(c->rq, "limit");
    uint64_t     n;

    *ret = LIST_LIMIT_MAX;
    if (!text.size || !slice_u64(text, &n))
        return 0;   /* Not a number: ignored, as in Swift. */
    if (n > LIST_LIMIT_MAX) {
        c->why = arena_printf(c->arena, "Maximum limit is %d", LIST_LIMIT_MAX);
        return 412;
    }
    *ret = (uint32_t)n;
    return 0;
}

int list_parse(struct call *c, struct list_request *ret)
{
    struct list_request l = { .format = LIST_PLAIN };
    struct slice        marker, end_marker, path, other;
    int                 status = list_format_of(c, &l.format);

    if (status == 0)
        status = limit_param(c, &l.limit);
    if (status == 0)
        status = text_param(c, "marker", &marker);
    if (status == 0)
        status = text_param(c, "end_marker", &end_marker);
    if (status == 0)
        status = text_param(c, "prefix", &l.range.prefix);
    if (status == 0)
        status = text_param(c, "delimiter", &l.range.delimiter);
    if (status == 0)
        status = text_param(c, "path", &path);
    if (status == 0)
        status = text_param(c, "format", &other);
    if (status)
        return status;
    l.range.reverse = header_true(http_query(c->rq, "reverse"));
    l.range.after = marker;
    l.range.before = end_marker;
    if (path.data && c->container.size) {
        l.path = true;
        while (path.size && path.data[path.size - 1] == '/')
            path.size--;
        char *prefix = arena_printf(c->arena, "%.*s%s", SLICE_ARG(path), path.size ? "/" : "");
        if (!prefix)
            return -ENOMEM;
        l.range.prefix = slice_str(prefix);
        l.range.delimiter = SLICE("/");
    }
    *ret = l;
    return 0;
}

/* --- Entries. --- */

void list_open(struct text *t, enum list_format format, bool of_account, struct slice name)
{
    if (format == LIST_JSON)
        text_lit(t, "[");
    if (format != LIST_XML)
        return;
    text_lit(t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
    text_add(t, of_account ? SLICE("account") : SLICE("container"));
    text_lit(t, " name=\"");
    text_xml(t, name);
    text_lit(t, "\">");
}

void list_close(struct text *t, enum list_format format, bool of_account)
{
    if (format == LIST_JSON)
        text_lit(t, "]");
    if (format == LIST_XML)
        text_add(t, of_account ? SLICE("</account>") : SLICE("</container>"));
}

static void list_folded(struct text *t, enum list_format format, struct slice name)
{
    if (format == LIST_JSON) {
        text_lit(t, "{\"subdir\":");
        text_json(t, name);
        text_lit(t, "}");
        return;
    }
    text_lit(t, "<subdir name=\"");
    text_xml(t, name);
    text_lit(t, "\"><name>");
    text_xml(t, name);
    text_lit(t, "</name></subdir>");
}

/* The parts that all formats share; true when the entry is complete. */
static bool list_start(struct text *t, enum list_format format, bool first, const struct list_entry *e)
{
    if (format == LIST_PLAIN) {
        text_add(t, e->name);
        text_lit(t, "\n");
        return true;
    }
    if (format == LIST_JSON && !first)
        text_lit(t, ",");
    if (e->folded) {
        list_folded(t, format, e->name);
        return true;
    }
    return false;
}

void list_object(struct text *t, enum list_format format, bool first, const struct list_entry *e)
{
    if (list_start(t, format, first, e))
        return;
    if (format == LIST_JSON) {
        text_lit(t, "{\"name\":");
        text_json(t, e->name);
        text_lit(t, ",\"hash\":");
        text_json(t, e->hash);
        text_lit(t, ",\"bytes\":");
        text_number(t, e->bytes);
        text_lit(t, ",\"content_type\":");
        text_json(t, e->content_type);
        text_lit(t, ",\"last_modified\":\"");
        text_iso_time(t, e->modified_us);
        text_lit(t, "\"");
        if (e->slo_etag.size) {
            text_lit(t, ",\"slo_etag\":\"\\\"");
            text_add(t, e->slo_etag);
            text_lit(t, "\\\"\"");
        }
        text_lit(t, "}");
        return;
    }
    text_lit(t, "<object><name>");
    text_xml(t, e->name);
    text_lit(t, "</name><hash>");
    text_xml(t, e->hash);
    text_lit(t, "</hash><bytes>");
    text_number(t, e->bytes);
    text_lit(t, "</bytes><content_type>");
    text_xml(t, e->content_type);
    text_lit(t, "</content_type><last_modified>");
    text_iso_time(t, e->modified_us);
    text_lit(t, "</last_modified></object>");
}

void list_container(struct text *t, enum list_format format, bool first, const struct list_entry *e)
{
    if (list_start(t, format, first, e))
        return;
    if (format == LIST_JSON) {
        text_lit(t, "{\"name\":");
        text_json(t, e->name);
        text_lit(t, ",\"count\":");
        text_number(t, e->count);
        text_lit(t, ",\"bytes\":");
        text_number(t, e->bytes);
        text_lit(t, ",\"last_modified\":\"");
        text_iso_time(t, e->modified_us);
        text_lit(t, "\"}");
        return;
    }
    text_lit(t, "<container><name>");
    text_xml(t, e->name);
    text_lit(t, "</name><count>");
    text_number(t, e->count);
    text_lit(t, "</count><bytes>");
    text_number(t, e->bytes);
    text_lit(t, "</bytes><last_modified>");
    text_iso_time(t, e->modified_us);
    text_lit(t, "</last_modified></container>");
}
