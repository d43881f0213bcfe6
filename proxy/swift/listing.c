/* proxy/swift/listing.c - see listing.h. */
#include "proxy/swift/listing.h"

#include <stdlib.h>
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
    if (!text.size || !parse_u64(text, &n))
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

/* --- Text. --- */

static bool text_grow(struct text *t, size_t more)
{
    size_t want = t->capacity ? t->capacity : 4096;

    if (t->failed || more > t->limit - t->size) {
        t->failed = true;
        return false;
    }
    while (want < t->size + more)
        want *= 2;
    if (want > t->capacity) {
        char *data = realloc(t->data, want);
        if (!data) {
            t->failed = true;
            return false;
        }
        t->data = data;
        t->capacity = want;
    }
    return true;
}

void text_add(struct text *t, struct slice bytes)
{
    if (bytes.size == 0 || !text_grow(t, bytes.size))
        return;
    memcpy(t->data + t->size, bytes.data, bytes.size);
    t->size += bytes.size;
}

void text_number(struct text *t, uint64_t n)
{
    char  digits[24];
    char *at = digits + sizeof digits;

    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    text_add(t, slice_of(at, (size_t)(digits + sizeof digits - at)));
}

void text_json(struct text *t, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    size_t            start = 0;

    text_lit(t, "\"");
    for (size_t i = 0; i < s.size; i++) {
        uint8_t b = s.data[i];
        if (b >= 0x20 && b != '"' && b != '\\' && b != 0x7f)
            continue;
        text_add(t, slice_of(s.data + start, i - start));
        start = i + 1;
        if (b == '"')
            text_lit(t, "\\\"");
        else if (b == '\\')
            text_lit(t, "\\\\");
        else if (b == '\n')
            text_lit(t, "\\n");
        else {
            char escape[6] = { '\\', 'u', '0', '0', hex[b >> 4], hex[b & 15] };
            text_add(t, slice_of(escape, 6));
        }
    }
    text_add(t, slice_of(s.data + start, s.size - start));
    text_lit(t, "\"");
}

void text_xml(struct text *t, struct slice s)
{
    size_t start = 0;

    for (size_t i = 0; i < s.size; i++) {
        const char *escape = s.data[i] == '&'   ? "&amp;"
                             : s.data[i] == '<' ? "&lt;"
                             : s.data[i] == '>' ? "&gt;"
                             : s.data[i] == '"' ? "&quot;"
                                                : NULL;
        if (!escape)
            continue;
        text_add(t, slice_of(s.data + start, i - start));
        text_add(t, slice_str(escape));
        start = i + 1;
    }
    text_add(t, slice_of(s.data + start, s.size - start));
}

static void digits(char *to, uint64_t n, int width)
{
    for (int i = width - 1; i >= 0; i--, n /= 10)
        to[i] = (char)('0' + n % 10);
}

/* By hand: a page has thousands, and strftime() takes longer than the rest of an entry. */
void text_iso_time(struct text *t, uint64_t us)
{
    uint64_t seconds = us / 1000000, day = seconds / 86400, of_day = seconds % 86400;
    /* Years begin on March 1, so that the leap day is the last; eras have 400 of them. */
    uint64_t shifted = day + 719468, era = shifted / 146097, of_era = shifted % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t march = (5 * of_year + 2) / 153, month = march < 10 ? march + 3 : march - 9;
    char     out[] = "0000-00-00T00:00:00.000000";

    digits(out, year + era * 400 + (month <= 2), 4);
    digits(out + 5, month, 2);
    digits(out + 8, of_year - (153 * march + 2) / 5 + 1, 2);
    digits(out + 11, of_day / 3600, 2);
    digits(out + 14, of_day / 60 % 60, 2);
    digits(out + 17, of_day % 60, 2);
    digits(out + 20, us % 1000000, 6);
    text_add(t, slice_of(out, sizeof out - 1));
}

void text_done(struct text *t)
{
    free(t->data);
    t->data = NULL;
    t->size = t->capacity = 0;
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
