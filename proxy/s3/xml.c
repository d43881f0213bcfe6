/* proxy/s3/xml.c - see xml.h. */
#include "proxy/s3/xml.h"

#include <expat.h>
#include <strings.h>

enum { NAMES_KEPT = 32, NAME_MAX_BYTES = 128 };

/* --- Reading. --- */

struct reader {
    XML_Parser       expat;
    struct arena    *arena;
    struct xml_node *stack[XML_DEPTH_MAX], *last[XML_DEPTH_MAX];   /* Open elements; their last children. */
    uint32_t         depth, nodes;
    struct xml_node *root;
    struct slice     names[NAMES_KEPT];   /* Seen lately: thousands of elements share a few. */
    uint32_t         name_count;
    struct text      text;      /* Of the innermost element since its last tag. */
    int              rc;        /* Sticky. */
};

static void stop(struct reader *r, int rc)
{
    if (r->rc == 0)
        r->rc = rc;
    XML_StopParser(r->expat, XML_FALSE);
}

static struct slice local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return slice_str(colon ? colon + 1 : name);
}

static struct slice keep_name(struct reader *r, const char *full)
{
    struct slice name = local_name(full);
    uint32_t     kept = r->name_count < NAMES_KEPT ? r->name_count : NAMES_KEPT;

    for (uint32_t i = 0; i < kept; i++)
        if (slice_equal(r->names[i], name))
            return r->names[i];
    name = arena_dup(r->arena, name);
    if (name.data)
        r->names[r->name_count++ % NAMES_KEPT] = name;
    return name;
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct reader   *r = ctx;
    struct xml_node *node;

    if (r->rc)
        return;
    if (r->depth == XML_DEPTH_MAX || r->nodes == XML_NODES_MAX || strlen(name) > NAME_MAX_BYTES) {
        stop(r, S3_MALFORMED_XML);
        return;
    }
    node = arena_new(r->arena, struct xml_node);
    if (!node || !(node->name = keep_name(r, name)).data) {
        stop(r, -ENOMEM);
        return;
    }
    for (; *attributes; attributes += 2)
        if (slice_equal(local_name(attributes[0]), SLICE("type")) && strlen(attributes[1]) <= NAME_MAX_BYTES) {
            node->type = arena_dup(r->arena, slice_str(attributes[1]));
            if (!node->type.data)
                stop(r, -ENOMEM);
        }
    if (r->depth == 0)
        r->root = node;
    else if (r->last[r->depth - 1])
        r->last[r->depth - 1]->next = node;
    else
        r->stack[r->depth - 1]->child = node;
    if (r->depth)
        r->last[r->depth - 1] = node;
    r->stack[r->depth] = node;
    r->last[r->depth] = NULL;
    r->depth++;
    r->nodes++;
    r->text.size = 0;
}

static void on_end(void *ctx, const XML_Char *name)
{
    struct reader   *r = ctx;
    struct xml_node *node;

    (void)name;
    if (r->rc)
        return;
    node = r->stack[--r->depth];
    if (!node->child && r->text.size) {
        node->text = arena_dup(r->arena, text_slice(&r->text));
        if (!node->text.data)
            stop(r, -ENOMEM);
    }
    r->text.size = 0;
}

static void on_text(void *ctx, const XML_Char *data, int size)
{
    struct reader *r = ctx;

    if (r->rc)
        return;
    text_add(&r->text, slice_of(data, (size_t)size));
    if (r->text.failed)
        stop(r, S3_MALFORMED_XML);
}

static void on_doctype(void *ctx, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                       int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    stop(ctx, S3_MALFORMED_XML);
}

int xml_parse(struct arena *arena, struct slice document, const char *root, struct xml_node **ret_root,
              struct error *err)
{
    struct reader r = { .arena = arena, .text = { .limit = XML_TEXT_MAX } };

    if (document.size == 0 || document.size > XML_BYTES_MAX)
        return s3_fail(err, S3_MALFORMED_XML);
    r.expat = XML_ParserCreate("UTF-8");
    if (!r.expat)
        return -ENOMEM;
    XML_SetUserData(r.expat, &r);
    XML_SetElementHandler(r.expat, on_start, on_end);
    XML_SetCharacterDataHandler(r.expat, on_text);
    XML_SetStartDoctypeDeclHandler(r.expat, on_doctype);
    if (XML_Parse(r.expat, (const char *)document.data, (int)document.size, 1) != XML_STATUS_OK && r.rc == 0)
        r.rc = XML_GetErrorCode(r.expat) == XML_ERROR_NO_MEMORY ? -ENOMEM : S3_MALFORMED_XML;
    XML_ParserFree(r.expat);
    text_done(&r.text);
    if (r.rc == 0 && root && !xml_is(r.root, root))
        r.rc = S3_MALFORMED_XML;
    if (r.rc)
        return r.rc > 0 ? s3_fail(err, r.rc) : r.rc;
    *ret_root = r.root;
    return 0;
}

/* --- Looking. --- */

static const struct xml_node *find(const struct xml_node *node, struct slice name)
{
    while (node && !slice_equal(node->name, name))
        node = node->next;
    return node;
}

bool xml_is(const struct xml_node *node, const char *name)
{
    return node && slice_equal(node->name, slice_str(name));
}

const struct xml_node *xml_child(const struct xml_node *node, const char *name)
{
    return node ? find(node->child, slice_str(name)) : NULL;
}

const struct xml_node *xml_again(const struct xml_node *node)
{
    return node ? find(node->next, node->name) : NULL;
}

const struct xml_node *xml_at(const struct xml_node *node, const char *path)
{
    while (node && *path) {
        size_t size = strcspn(path, "/");
        node = find(node->child, slice_of(path, size));
        path += size + (path[size] == '/');
    }
    return node;
}

uint32_t xml_count(const struct xml_node *node, const char *name)
{
    uint32_t count = 0;

    for (const struct xml_node *n = xml_child(node, name); n; n = xml_again(n))
        count++;
    return count;
}

static bool is_blank(uint8_t b)
{
    return b == ' ' || b == '\t' || b == '\r' || b == '\n';
}

struct slice xml_trim(struct slice s)
{
    while (s.size && is_blank(s.data[0]))
        s = slice_from(s, 1);
    while (s.size && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

struct slice xml_word(const struct xml_node *node, const char *name)
{
    const struct xml_node *child = xml_child(node, name);
    return child ? xml_trim(child->text) : SLICE_NONE;
}

bool xml_number(struct slice text, uint64_t max, uint64_t *ret)
{
    uint64_t n;

    if (!slice_u64(text, &n) || n > max)
        return false;
    *ret = n;
    return true;
}

bool xml_bool(struct slice text, bool *ret)
{
    bool yes = text.size == 4 && strncasecmp((const char *)text.data, "true", 4) == 0;
    bool no = text.size == 5 && strncasecmp((const char *)text.data, "false", 5) == 0;

    if (yes || no)
        *ret = yes;
    return yes || no;
}

/* 'count' digits at *at; -1 when they are not there. */
static int take_digits(struct slice text, size_t *at, size_t count)
{
    int n = 0;

    if (text.size - *at < count)
        return -1;
    for (; count > 0; count--, (*at)++) {
        if (text.data[*at] < '0' || text.data[*at] > '9')
            return -1;
        n = n * 10 + (text.data[*at] - '0');
    }
    return n;
}

static bool take(struct slice text, size_t *at, char c)
{
    if (*at >= text.size || text.data[*at] != (uint8_t)c)
        return false;
    (*at)++;
    return true;
}

/* Days since 1970-01-01, or -1: no such day. */
static int64_t days_of(int year, int month, int day)
{
    static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
    bool             leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > before[month] - before[month - 1] + (leap && month == 2))
        return -1;
    int64_t past = year - 1;
    int64_t leaps = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    return (year - 1970) * 365L + leaps + before[month - 1] + (leap && month > 2) + day - 1;
}

/* "Z", "+hh:mm", "-hhmm" or nothing: seconds east of Greenwich. */
static bool take_zone(struct slice text, size_t *at, int *ret_east_s)
{
    int sign = take(text, at, '+') ? 1 : take(text, at, '-') ? -1 : 0;

    *ret_east_s = 0;
    if (sign == 0) {
        take(text, at, 'Z');
        return true;
    }
    int hours = take_digits(text, at, 2);
    take(text, at, ':');
    int minutes = take_digits(text, at, 2);
    *ret_east_s = sign * (hours * 3600 + minutes * 60);
    return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

bool xml_time(struct slice text, uint64_t *ret_us)
{
    size_t  at = 0;
    int     year = take_digits(text, &at, 4);
    int     hour = 0, minute = 0, second = 0, east_s = 0;
    int64_t us = 0;

    if (year < 0 || !take(text, &at, '-'))
        return false;
    int month = take_digits(text, &at, 2);
    if (!take(text, &at, '-'))
        return false;
    int64_t days = days_of(year, month, take_digits(text, &at, 2));
    if (days < 0)
        return false;
    if (at < text.size) {
        if (!take(text, &at, 'T') || (hour = take_digits(text, &at, 2)) < 0 || hour > 23 || !take(text, &at, ':') ||
            (minute = take_digits(text, &at, 2)) < 0 || minute > 59 || !take(text, &at, ':') ||
            (second = take_digits(text, &at, 2)) < 0 || second > 60)
            return false;
        if (take(text, &at, '.')) {
            size_t  from = at;
            int64_t unit = 100000;
            for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++, unit /= 10)
                us += unit * (text.data[at] - '0');
            if (at == from)
                return false;
        }
        if (!take_zone(text, &at, &east_s))
            return false;
    }
    int64_t s = days * 86400 + hour * 3600 + minute * 60 + second - east_s;
    if (at != text.size || s < 0)
        return false;
    *ret_us = (uint64_t)s * 1000000 + (uint64_t)us;
    return true;
}

/* The next word of a form and its suffix (0: none); false at the end. */
static bool form_word(const char **form, struct slice *ret_name, char *ret_suffix)
{
    *form += strspn(*form, " ");
    size_t size = strcspn(*form, " ");
    if (size == 0)
        return false;
    char last = (*form)[size - 1];
    bool suffix = last == '?' || last == '*' || last == '+';
    *ret_suffix = suffix ? last : 0;
    *ret_name = slice_of(*form, size - suffix);
    *form += size;
    return true;
}

bool xml_fits(const struct xml_node *node, const char *form)
{
    struct slice name;
    const char  *rest = form;
    char         suffix;
    bool         others = false;
    uint32_t     known = 0, total = 0;

    while (form_word(&rest, &name, &suffix)) {
        uint32_t count = 0;
        if (slice_equal(name, SLICE("..."))) {
            others = true;
            continue;
        }
        for (const struct xml_node *n = find(node->child, name); n; n = xml_again(n))
            count++;
        if ((count == 0 && (suffix == 0 || suffix == '+')) || (count > 1 && (suffix == 0 || suffix == '?')))
            return false;
        known += count;
    }
    for (const struct xml_node *n = node->child; n; n = n->next)
        total++;
    return others || known == total;
}

/* --- Writing. --- */

void xml_begin(struct text *t, const char *root)
{
    text_lit(t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
    text_add(t, slice_str(root));
    text_lit(t, " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
}

void xml_open(struct text *t, const char *name)
{
    text_lit(t, "<");
    text_add(t, slice_str(name));
    text_lit(t, ">");
}

void xml_close(struct text *t, const char *name)
{
    text_lit(t, "</");
    text_add(t, slice_str(name));
    text_lit(t, ">");
}

void xml_leaf(struct text *t, const char *name, struct slice value)
{
    xml_open(t, name);
    xml_escape(t, value);
    xml_close(t, name);
}

void xml_leaf_number(struct text *t, const char *name, uint64_t value)
{
    xml_open(t, name);
    text_number(t, value);
    xml_close(t, name);
}

void xml_leaf_bool(struct text *t, const char *name, bool value)
{
    xml_leaf(t, name, value ? SLICE("true") : SLICE("false"));
}

void xml_leaf_time(struct text *t, const char *name, uint64_t us)
{
    xml_open(t, name);
    text_iso_time(t, us);
    if (!t->failed)
        t->size -= 3;   /* S3 writes milliseconds. */
    text_lit(t, "Z");
    xml_close(t, name);
}

void xml_escape(struct text *t, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    size_t            start = 0;

    for (size_t i = 0; i < s.size; i++) {
        uint8_t b = s.data[i];
        if (b >= 0x20 && b != '&' && b != '<' && b != '>' && b != '"')
            continue;
        if (b == '\n' || b == '\t')
            continue;
        text_add(t, slice_of(s.data + start, i - start));
        start = i + 1;
        switch (b) {
        case '&': text_lit(t, "&amp;"); break;
        case '<': text_lit(t, "&lt;"); break;
        case '>': text_lit(t, "&gt;"); break;
        case '"': text_lit(t, "&quot;"); break;
        default: {
            char reference[6] = { '&', '#', 'x', hex[b >> 4], hex[b & 15], ';' };
            text_add(t, slice_of(reference, 6));
        }
        }
    }
    if (start < s.size)
        text_add(t, slice_of(s.data + start, s.size - start));
}
