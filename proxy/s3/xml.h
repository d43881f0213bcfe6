/* proxy/s3/xml.h - the XML of S3: a writer, and a small bounded reader.
 *
 * A document is read whole into a tree in an arena, and looked at by the names of its elements; namespace prefixes
 * are dropped. There are no DTDs, no entities but the five of XML, no encoding but UTF-8. The reader is expat, whose
 * memory is bounded by the document's size. Any thread; nothing waits. */
#ifndef PROXY_S3_XML_H
#define PROXY_S3_XML_H

#include "base/arena.h"
#include "base/text.h"
#include "proxy/s3/code.h"

enum {
    XML_BYTES_MAX = 4 * 1024 * 1024,    /* 10,000 parts with checksums take 2 MiB. */
    XML_DEPTH_MAX = 16,                 /* The deepest document of S3 has 7 levels. */
    XML_NODES_MAX = 128 * 1024,         /* 10,000 parts with two checksums each are 50,000. */
    XML_TEXT_MAX = 64 * 1024,           /* Of one element. */
    XML_ARENA_BYTES = 24 * 1024 * 1024  /* Limit of an arena that fits any document of S3. */
};

struct xml_node {
    struct slice     name;       /* Without a prefix. */
    struct slice     text;       /* Of an element without children, as sent (untrimmed); else empty. */
    struct slice     type;       /* Its attribute "xsi:type"; S3 uses no other. */
    struct xml_node *child, *next;
};

/* Everything is copied into 'arena'. S3_MALFORMED_XML when the document is broken, past a limit above, or its root is
 * not 'root' (NULL: any). -ENOMEM. */
MUST_CHECK int xml_parse(struct arena *arena, struct slice document, const char *root, struct xml_node **ret_root,
                         struct error *err);

/* First child of that name; first sibling after 'node' with the same name; what "A/B/C" leads to. NULL when there is
 * none, or 'node' is NULL. */
const struct xml_node *xml_child(const struct xml_node *node, const char *name);
const struct xml_node *xml_again(const struct xml_node *node);
const struct xml_node *xml_at(const struct xml_node *node, const char *path);
uint32_t xml_count(const struct xml_node *node, const char *name);   /* Children of that name. */
bool     xml_is(const struct xml_node *node, const char *name);

/* The text of a child without blanks around it; empty when there is no such child. */
struct slice xml_word(const struct xml_node *node, const char *name);
struct slice xml_trim(struct slice text);   /* Without blanks, tabs and line ends around. */
/* Decimal digits only, up to 'max'; false otherwise. */
bool xml_number(struct slice text, uint64_t max, uint64_t *ret);
bool xml_bool(struct slice text, bool *ret);   /* "true", "false", any case. */
/* "2026-01-31T00:00:00[.fff][Z|+hh:mm]" or "2026-01-31", years 1970 to 9999, as microseconds since 1970. */
bool xml_time(struct slice text, uint64_t *ret_us);

/* Do the children fit? 'form' lists them: "ID? Status Rule+ Tag*" - exactly one, '?' at most one, '+' at least one,
 * '*' any number; order does not matter. A last word "..." allows others as well. */
bool xml_fits(const struct xml_node *node, const char *form);

/* --- Writing. --- */
void xml_begin(struct text *t, const char *root);              /* Declaration, root element, S3's namespace. */
void xml_open(struct text *t, const char *name);
void xml_close(struct text *t, const char *name);
void xml_leaf(struct text *t, const char *name, struct slice value);
void xml_leaf_number(struct text *t, const char *name, uint64_t value);
void xml_leaf_bool(struct text *t, const char *name, bool value);
void xml_leaf_time(struct text *t, const char *name, uint64_t us);   /* 2026-01-31T12:00:00.123Z */
void xml_escape(struct text *t, struct slice value);           /* Control bytes as references; '\r' survives. */

#endif
