/* proxy/s3/lifecycle.c - see lifecycle.h. */
#include "proxy/s3/lifecycle.h"

#include "proxy/http/http.h"

static const uint64_t day_us = 86400ull * 1000000;

static bool is(struct slice text, const char *name)
{
    return slice_equal(text, slice_str(name));
}

/* --- Reading. --- */

struct parser {
    struct arena *arena;
    struct error *err;
};

static int malformed(struct parser *p)
{
    return s3_fail(p->err, S3_MALFORMED_XML);
}

static int read_days(struct parser *p, const struct xml_node *node, const char *name, uint32_t least, uint32_t most,
                     uint32_t *ret)
{
    struct slice text = xml_word(node, name);
    uint64_t     n;

    if (text.size && text.data[0] == '-' && xml_number(slice_from(text, 1), UINT64_MAX, &n))
        return error_set(p->err, S3_INVALID_ARGUMENT, "'%s' must not be negative.", name);
    if (!xml_number(text, UINT64_MAX, &n))
        return malformed(p);
    if (n < least || n > most)
        return error_set(p->err, S3_INVALID_ARGUMENT, "'%s' must be from %u to %u.", name, least, most);
    *ret = (uint32_t)n;
    return 0;
}

static int read_date(struct parser *p, const struct xml_node *node, uint64_t *ret_us)
{
    if (!xml_time(xml_word(node, "Date"), ret_us))
        return malformed(p);
    return *ret_us % day_us ? error_set(p->err, S3_INVALID_ARGUMENT, "'Date' must be at midnight GMT") : 0;
}

static int read_prefix(struct parser *p, const struct xml_node *node, struct lifecycle_rule *rule)
{
    const struct xml_node *prefix = xml_child(node, "Prefix");

    if (!prefix)
        return 0;
    if (rule->has_prefix && !slice_starts(prefix->text, rule->prefix)) {
        /* Filter and And both have one: the longer one says it all, if it is one of the other's. */
        if (!slice_starts(rule->prefix, prefix->text))
            return malformed(p);
        return 0;
    }
    rule->has_prefix = true;
    rule->prefix = prefix->text;
    return prefix->text.size <= LIFECYCLE_PREFIX_MAX
               ? 0
               : error_set(p->err, S3_INVALID_ARGUMENT, "The prefix is longer than %d bytes.",
                           LIFECYCLE_PREFIX_MAX);
}

static int read_tag(struct parser *p, const struct xml_node *node, struct lifecycle_rule *rule)
{
    struct lifecycle_tag tag;

    if (!xml_fits(node, "Key Value"))
        return malformed(p);
    tag = (struct lifecycle_tag) { xml_child(node, "Key")->text, xml_child(node, "Value")->text };
    if (tag.key.size == 0)
        return s3_fail(p->err, S3_INVALID_TAG);
    if (rule->tag_count == LIFECYCLE_TAGS_MAX)
        return error_set(p->err, S3_INVALID_REQUEST, "A rule has at most %d tags.", LIFECYCLE_TAGS_MAX);
    for (uint32_t i = 0; i < rule->tag_count; i++)
        if (slice_equal(rule->tags[i].key, tag.key))
            return error_set(p->err, S3_INVALID_REQUEST, "Duplicate Tag Keys are not allowed.");
    rule->tags[rule->tag_count++] = tag;
    return 0;
}

/* What may stand in Filter and in And alike. AWS wants And around several; others send them bare, which means
 * the same. */
static int read_predicates(struct parser *p, const struct xml_node *node, struct lifecycle_rule *rule)
{
    const struct xml_node *n;
    int                    rc = read_prefix(p, node, rule);

    for (n = xml_child(node, "Tag"); rc == 0 && n; n = xml_again(n))
        rc = read_tag(p, n, rule);
    if (rc == 0 && xml_child(node, "ObjectSizeGreaterThan")) {
        rule->has_greater = true;
        rc = xml_number(xml_word(node, "ObjectSizeGreaterThan"), INT64_MAX, &rule->greater) ? 0 : malformed(p);
    }
    if (rc == 0 && xml_child(node, "ObjectSizeLessThan")) {
        rule->has_less = true;
        rc = xml_number(xml_word(node, "ObjectSizeLessThan"), INT64_MAX, &rule->less) ? 0 : malformed(p);
    }
    return rc;
}

static int read_filter(struct parser *p, const struct xml_node *node, struct lifecycle_rule *rule)
{
    const struct xml_node *filter = xml_child(node, "Filter"), *and = xml_child(filter, "And");
    int                    rc;

    if (!filter)
        return xml_child(node, "Prefix") ? read_prefix(p, node, rule) : malformed(p);
    if (xml_child(node, "Prefix"))
        return malformed(p);
    rule->filter = true;
    if (!xml_fits(filter, "Prefix? Tag* ObjectSizeGreaterThan? ObjectSizeLessThan? And?") ||
        (and && !xml_fits(and, "Prefix? Tag* ObjectSizeGreaterThan? ObjectSizeLessThan?")))
        return malformed(p);
    rc = read_predicates(p, filter, rule);
    if (rc == 0 && and)
        rc = read_predicates(p, and, rule);
    if (rc == 0 && rule->has_less && rule->has_greater && rule->greater >= rule->less)
        rc = error_set(p->err, S3_INVALID_REQUEST, "ObjectSizeGreaterThan must be below ObjectSizeLessThan.");
    return rc;
}

static int read_expiration(struct parser *p, const struct xml_node *node, struct lifecycle_rule *rule)
{
    int rc = 0;

    if (!xml_fits(node, "Days? Date? ExpiredObjectDeleteMarker?") || !node->child || node->child->next)
        return malformed(p);   /* Exactly one of them. */
    if (xml_child(node, "Days"))
        rc = read_days(p, node, "Days", 1, LIFECYCLE_DAYS_MAX, &rule->expire_days);
    if (xml_child(node, "Date")) {
        rule->has_expire_date = true;
        rc = read_date(p, node, &rule->expire_date_us);
    }
    if (xml_child(node, "ExpiredObjectDeleteMarker")) {
        rule->has_expire_marker = true;
        rc = xml_bool(xml_word(node, "ExpiredObjectDeleteMarker"), &rule->expire_marker) ? 0 : malformed(p);
    }
    return rc;
}

static int read_noncurrent(struct parser *p, const struct xml_node *node, struct lifecycle_rule *rule)
{
    int rc;

    if (!xml_fits(node, "NoncurrentDays NewerNoncurrentVersions?"))
        return malformed(p);
    rc = read_days(p, node, "NoncurrentDays", 1, LIFECYCLE_DAYS_MAX, &rule->noncurrent_days);
    if (rc == 0 && xml_child(node, "NewerNoncurrentVersions"))
        rc = read_days(p, node, "NewerNoncurrentVersions", 1, LIFECYCLE_NEWER_MAX, &rule->noncurrent_newer);
    return rc;
}

static bool class_formed(struct slice name)
{
    if (name.size == 0 || name.size > LIFECYCLE_CLASS_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t b = name.data[i];
        if (!(b >= 'A' && b <= 'Z') && !(b >= 'a' && b <= 'z') && !(b >= '0' && b <= '9') && b != '_' && b != '-')
            return false;
    }
    return true;
}

static int read_move(struct parser *p, const struct xml_node *node, bool noncurrent, struct lifecycle_move *move)
{
    int rc;

    if (!xml_fits(node, noncurrent ? "NoncurrentDays StorageClass NewerNoncurrentVersions?"
                                   : "Days? Date? StorageClass"))
        return malformed(p);
    move->storage_class = xml_word(node, "StorageClass");
    if (!class_formed(move->storage_class))
        return malformed(p);
    if (noncurrent) {
        rc = read_days(p, node, "NoncurrentDays", 0, LIFECYCLE_DAYS_MAX, &move->days);
        if (rc == 0 && xml_child(node, "NewerNoncurrentVersions"))
            rc = read_days(p, node, "NewerNoncurrentVersions", 1, LIFECYCLE_NEWER_MAX, &move->newer);
        return rc;
    }
    move->has_date = xml_child(node, "Date") != NULL;
    if (move->has_date == (xml_child(node, "Days") != NULL))
        return malformed(p);
    return move->has_date ? read_date(p, node, &move->date_us)
                          : read_days(p, node, "Days", 0, LIFECYCLE_DAYS_MAX, &move->days);
}

static int read_moves(struct parser *p, const struct xml_node *node, const char *name,
                      struct lifecycle_move **ret_moves, uint32_t *ret_count)
{
    bool noncurrent = strcmp(name, "Transition") != 0;
    int  rc = 0;

    if (xml_count(node, name) > LIFECYCLE_TRANSITIONS_MAX)
        return error_set(p->err, S3_INVALID_REQUEST, "A rule has at most %d transitions.",
                         LIFECYCLE_TRANSITIONS_MAX);
    *ret_moves = arena_array(p->arena, struct lifecycle_move, xml_count(node, name) + 1);
    if (!*ret_moves)
        return -ENOMEM;
    for (const struct xml_node *n = xml_child(node, name); rc == 0 && n; n = xml_again(n)) {
        struct lifecycle_move *move = &(*ret_moves)[*ret_count];
        rc = read_move(p, n, noncurrent, move);
        for (uint32_t i = 0; rc == 0 && i < *ret_count; i++)
            if (slice_equal((*ret_moves)[i].storage_class, move->storage_class))
                rc = error_set(p->err, S3_INVALID_REQUEST, "Two transitions lead to the same storage class.");
        (*ret_count)++;
    }
    return rc;
}

/* What does not go together. */
static int check_rule(struct parser *p, const struct lifecycle_rule *rule)
{
    bool expiration = rule->expire_days || rule->has_expire_date || rule->has_expire_marker;

    if (!expiration && !rule->noncurrent_days && !rule->abort_days && !rule->move_count &&
        !rule->noncurrent_move_count)
        return error_set(p->err, S3_INVALID_REQUEST, "At least one action needs to be specified in a rule.");
    if (rule->tag_count && (rule->has_expire_marker || rule->abort_days))
        return error_set(p->err, S3_INVALID_REQUEST, "%s cannot be specified with tags.",
                         rule->abort_days ? "AbortIncompleteMultipartUpload" : "ExpiredObjectDeleteMarker");
    if (rule->abort_days && (rule->has_greater || rule->has_less))
        return error_set(p->err, S3_INVALID_REQUEST,
                         "AbortIncompleteMultipartUpload cannot be specified with sizes.");
    for (uint32_t i = 0; i < rule->move_count; i++) {
        const struct lifecycle_move *move = &rule->moves[i];
        if ((rule->expire_days && move->has_date) || (rule->has_expire_date && !move->has_date))
            return error_set(p->err, S3_INVALID_REQUEST, "'Days' and 'Date' cannot be mixed in a rule.");
        if (rule->expire_days && rule->expire_days <= move->days)
            return error_set(p->err, S3_INVALID_ARGUMENT, "An object must expire later than it moves.");
        if (rule->has_expire_date && rule->expire_date_us <= move->date_us)
            return error_set(p->err, S3_INVALID_ARGUMENT, "An object must expire later than it moves.");
    }
    for (uint32_t i = 0; i < rule->noncurrent_move_count; i++)
        if (rule->noncurrent_days && rule->noncurrent_days <= rule->noncurrent_moves[i].days)
            return error_set(p->err, S3_INVALID_ARGUMENT, "A version must expire later than it moves.");
    return 0;
}

static int read_rule(struct parser *p, const struct xml_node *node, struct lifecycle_rule *rule)
{
    struct slice           status = xml_word(node, "Status");
    const struct xml_node *n;
    int                    rc;

    if (!xml_fits(node, "ID? Prefix? Filter? Status Expiration? NoncurrentVersionExpiration? "
                        "AbortIncompleteMultipartUpload? Transition* NoncurrentVersionTransition*"))
        return malformed(p);
    rule->id = xml_word(node, "ID");
    if (rule->id.size > LIFECYCLE_ID_MAX)
        return error_set(p->err, S3_INVALID_ARGUMENT, "ID length should not exceed allowed limit of 255");
    if (!is(status, "Enabled") && !is(status, "Disabled"))
        return malformed(p);
    rule->enabled = is(status, "Enabled");
    rule->tags = arena_array(p->arena, struct lifecycle_tag, LIFECYCLE_TAGS_MAX);
    if (!rule->tags)
        return -ENOMEM;
    rc = read_filter(p, node, rule);
    if (rc == 0 && (n = xml_child(node, "Expiration")))
        rc = read_expiration(p, n, rule);
    if (rc == 0 && (n = xml_child(node, "NoncurrentVersionExpiration")))
        rc = read_noncurrent(p, n, rule);
    if (rc == 0 && (n = xml_child(node, "AbortIncompleteMultipartUpload")))
        rc = xml_fits(n, "DaysAfterInitiation")
                 ? read_days(p, n, "DaysAfterInitiation", 1, LIFECYCLE_DAYS_MAX, &rule->abort_days)
                 : malformed(p);
    if (rc == 0)
        rc = read_moves(p, node, "Transition", &rule->moves, &rule->move_count);
    if (rc == 0)
        rc = read_moves(p, node, "NoncurrentVersionTransition", &rule->noncurrent_moves,
                        &rule->noncurrent_move_count);
    return rc ? rc : check_rule(p, rule);
}

static const struct lifecycle_rule *rule_of(const struct lifecycle *l, struct slice id, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (slice_equal(l->rules[i].id, id))
            return &l->rules[i];
    return NULL;
}

/* Rules without an id get the first free "rule-N". */
static int name_rules(struct parser *p, struct lifecycle *l)
{
    uint32_t next = 1;

    for (uint32_t i = 0; i < l->rule_count; i++) {
        if (l->rules[i].id.size && rule_of(l, l->rules[i].id, i))
            return error_set(p->err, S3_INVALID_ARGUMENT,
                             "Rule ID must be unique. Found same ID for more than one rule");
    }
    for (uint32_t i = 0; i < l->rule_count; i++) {
        while (l->rules[i].id.size == 0) {
            /* Ends: fewer rules have ids than there are numbers. */
            char *id = arena_printf(p->arena, "rule-%u", next++);
            if (!id)
                return -ENOMEM;
            if (!rule_of(l, slice_str(id), l->rule_count))
                l->rules[i].id = slice_str(id);
        }
    }
    return 0;
}

int lifecycle_parse(struct arena *arena, struct slice document, struct lifecycle **ret_lifecycle, struct error *err)
{
    struct parser     p = { arena, err };
    struct lifecycle *l = arena_new(arena, struct lifecycle);
    struct xml_node  *root;
    uint32_t          count;
    int               rc;

    if (!l)
        return -ENOMEM;
    rc = xml_parse(arena, document, NULL, &root, err);
    if (rc)
        return rc;
    /* The old call of that name sends the same under another root. */
    if ((!xml_is(root, "LifecycleConfiguration") && !xml_is(root, "BucketLifecycleConfiguration")) ||
        !xml_fits(root, "Rule+"))
        return malformed(&p);
    count = xml_count(root, "Rule");
    if (count > LIFECYCLE_RULES_MAX)
        return error_set(err, S3_INVALID_REQUEST, "There are more than %d lifecycle rules.", LIFECYCLE_RULES_MAX);
    l->rules = arena_array(arena, struct lifecycle_rule, count);
    if (!l->rules)
        return -ENOMEM;
    for (const struct xml_node *n = xml_child(root, "Rule"); rc == 0 && n; n = xml_again(n))
        rc = read_rule(&p, n, &l->rules[l->rule_count++]);
    if (rc == 0)
        rc = name_rules(&p, l);
    if (rc == 0)
        *ret_lifecycle = l;
    return rc;
}

/* --- Writing. --- */

static void write_predicates(struct text *t, const struct lifecycle_rule *rule)
{
    if (rule->has_prefix)
        xml_leaf(t, "Prefix", rule->prefix);
    for (uint32_t i = 0; i < rule->tag_count; i++) {
        xml_open(t, "Tag");
        xml_leaf(t, "Key", rule->tags[i].key);
        xml_leaf(t, "Value", rule->tags[i].value);
        xml_close(t, "Tag");
    }
    if (rule->has_greater)
        xml_leaf_number(t, "ObjectSizeGreaterThan", rule->greater);
    if (rule->has_less)
        xml_leaf_number(t, "ObjectSizeLessThan", rule->less);
}

static void write_moves(struct text *t, const struct lifecycle_move *moves, uint32_t count, bool noncurrent)
{
    const char *name = noncurrent ? "NoncurrentVersionTransition" : "Transition";

    for (uint32_t i = 0; i < count; i++) {
        xml_open(t, name);
        if (moves[i].has_date)
            xml_leaf_time(t, "Date", moves[i].date_us);
        else
            xml_leaf_number(t, noncurrent ? "NoncurrentDays" : "Days", moves[i].days);
        if (moves[i].newer)
            xml_leaf_number(t, "NewerNoncurrentVersions", moves[i].newer);
        xml_leaf(t, "StorageClass", moves[i].storage_class);
        xml_close(t, name);
    }
}

static void write_actions(struct text *t, const struct lifecycle_rule *rule)
{
    if (rule->expire_days || rule->has_expire_date || rule->has_expire_marker) {
        xml_open(t, "Expiration");
        if (rule->expire_days)
            xml_leaf_number(t, "Days", rule->expire_days);
        if (rule->has_expire_date)
            xml_leaf_time(t, "Date", rule->expire_date_us);
        if (rule->has_expire_marker)
            xml_leaf_bool(t, "ExpiredObjectDeleteMarker", rule->expire_marker);
        xml_close(t, "Expiration");
    }
    write_moves(t, rule->moves, rule->move_count, false);
    write_moves(t, rule->noncurrent_moves, rule->noncurrent_move_count, true);
    if (rule->noncurrent_days) {
        xml_open(t, "NoncurrentVersionExpiration");
        xml_leaf_number(t, "NoncurrentDays", rule->noncurrent_days);
        if (rule->noncurrent_newer)
            xml_leaf_number(t, "NewerNoncurrentVersions", rule->noncurrent_newer);
        xml_close(t, "NoncurrentVersionExpiration");
    }
    if (rule->abort_days) {
        xml_open(t, "AbortIncompleteMultipartUpload");
        xml_leaf_number(t, "DaysAfterInitiation", rule->abort_days);
        xml_close(t, "AbortIncompleteMultipartUpload");
    }
}

void lifecycle_write(struct text *t, const struct lifecycle *l)
{
    xml_begin(t, "LifecycleConfiguration");
    for (uint32_t i = 0; i < l->rule_count; i++) {
        const struct lifecycle_rule *rule = &l->rules[i];
        bool several = rule->has_prefix + rule->tag_count + rule->has_greater + rule->has_less > 1;

        xml_open(t, "Rule");
        xml_leaf(t, "ID", rule->id);
        if (rule->filter)
            xml_open(t, "Filter");
        if (several)
            xml_open(t, "And");
        write_predicates(t, rule);
        if (several)
            xml_close(t, "And");
        if (rule->filter)
            xml_close(t, "Filter");
        xml_leaf(t, "Status", rule->enabled ? SLICE("Enabled") : SLICE("Disabled"));
        write_actions(t, rule);
        xml_close(t, "Rule");
    }
    xml_close(t, "LifecycleConfiguration");
}

/* --- Judging. --- */

static struct slice bytes_of(ProtobufCBinaryData data)
{
    return slice_of(data.data, data.len);
}

static bool selects(const struct lifecycle_rule *rule, const struct lifecycle_subject *s)
{
    if (!rule->enabled || !slice_starts(s->name, rule->prefix))
        return false;
    if (s->kind == LIFECYCLE_UPLOAD)
        return true;
    if ((rule->has_greater && s->size <= rule->greater) || (rule->has_less && s->size >= rule->less))
        return false;
    for (uint32_t i = 0; i < rule->tag_count; i++) {
        bool found = false;
        for (size_t k = 0; k < s->tag_count && !found; k++)
            found = slice_equal(bytes_of(s->tags[k]->name), rule->tags[i].key) &&
                    slice_equal(bytes_of(s->tags[k]->value), rule->tags[i].value);
        if (!found)
            return false;
    }
    return true;
}

/* So many days after; real days end at midnight. */
static uint64_t after(uint64_t since_us, uint32_t days, uint32_t day_s)
{
    uint64_t at;

    /* A time that does not fit never comes. */
    if (__builtin_add_overflow(since_us, (uint64_t)days * day_s * 1000000, &at) || at > UINT64_MAX - day_us)
        return UINT64_MAX;
    return day_s == LIFECYCLE_DAY_S ? (at + day_us - 1) / day_us * day_us : at;
}

/* When the rule deletes it; false: never. */
static bool deletes(const struct lifecycle_rule *rule, const struct lifecycle_subject *s, uint32_t day_s,
                    uint64_t *ret_at)
{
    switch (s->kind) {
    case LIFECYCLE_CURRENT:
        if (rule->has_expire_date)
            *ret_at = rule->expire_date_us;
        else if (rule->expire_days)
            *ret_at = after(s->since_us, rule->expire_days, day_s);
        else
            return false;
        return true;
    case LIFECYCLE_MARKER:
        if (!s->alone)
            return false;
        if (rule->expire_marker)
            *ret_at = s->since_us;
        else if (rule->expire_days)
            *ret_at = after(s->since_us, rule->expire_days, day_s);
        else
            return false;
        return true;
    case LIFECYCLE_NONCURRENT:
        if (!rule->noncurrent_days || s->newer < rule->noncurrent_newer)
            return false;
        *ret_at = after(s->since_us, rule->noncurrent_days, day_s);
        return true;
    default:
        if (!rule->abort_days)
            return false;
        *ret_at = after(s->since_us, rule->abort_days, day_s);
        return true;
    }
}

/* The earliest time at which any rule deletes it. */
static bool first_deletion(const struct lifecycle *l, const struct lifecycle_subject *s, uint32_t day_s,
                           struct lifecycle_due *ret)
{
    static const enum lifecycle_what what[] = {
        [LIFECYCLE_CURRENT] = LIFECYCLE_EXPIRE,
        [LIFECYCLE_NONCURRENT] = LIFECYCLE_REMOVE,
        [LIFECYCLE_MARKER] = LIFECYCLE_REMOVE,
        [LIFECYCLE_UPLOAD] = LIFECYCLE_ABORT,
    };
    bool     found = false;
    uint64_t at;

    for (uint32_t i = 0; i < l->rule_count; i++)
        if (selects(&l->rules[i], s) && deletes(&l->rules[i], s, day_s, &at) && (!found || at < ret->at_us)) {
            *ret = (struct lifecycle_due) { what[s->kind], at, &l->rules[i], SLICE_NONE };
            found = true;
        }
    return found;
}

static void last_move(const struct lifecycle *l, const struct lifecycle_subject *s, uint64_t now_us, uint32_t day_s,
                      struct lifecycle_due *ret)
{
    bool noncurrent = s->kind == LIFECYCLE_NONCURRENT;

    for (uint32_t i = 0; i < l->rule_count; i++) {
        const struct lifecycle_rule *rule = &l->rules[i];
        const struct lifecycle_move *moves = noncurrent ? rule->noncurrent_moves : rule->moves;
        uint32_t                     count = noncurrent ? rule->noncurrent_move_count : rule->move_count;

        for (uint32_t k = 0; k < count && selects(rule, s); k++) {
            uint64_t at = moves[k].has_date ? moves[k].date_us : after(s->since_us, moves[k].days, day_s);
            if (at > now_us || (noncurrent && s->newer < moves[k].newer) ||
                (ret->what == LIFECYCLE_MOVE && at < ret->at_us))
                continue;
            *ret = (struct lifecycle_due) { LIFECYCLE_MOVE, at, rule, moves[k].storage_class };
        }
    }
    struct slice now_in = s->storage_class.size ? s->storage_class : SLICE("STANDARD");
    if (ret->what == LIFECYCLE_MOVE && slice_equal(ret->storage_class, now_in))
        ret->what = LIFECYCLE_NOTHING;
}

void lifecycle_judge(const struct lifecycle *l, const struct lifecycle_subject *s, uint64_t now_us, uint32_t day_s,
                     struct lifecycle_due *ret)
{
    if (first_deletion(l, s, day_s, ret) && ret->at_us <= now_us)
        return;
    *ret = (struct lifecycle_due) { .what = LIFECYCLE_NOTHING };
    if (s->kind == LIFECYCLE_CURRENT || s->kind == LIFECYCLE_NONCURRENT)
        last_move(l, s, now_us, day_s, ret);
}

bool lifecycle_expiry(const struct lifecycle *l, const struct lifecycle_subject *s, uint32_t day_s,
                      struct lifecycle_due *ret)
{
    return s->kind == LIFECYCLE_CURRENT && first_deletion(l, s, day_s, ret);
}

bool lifecycle_abort(const struct lifecycle *l, const struct lifecycle_subject *s, uint32_t day_s,
                     struct lifecycle_due *ret)
{
    return s->kind == LIFECYCLE_UPLOAD && first_deletion(l, s, day_s, ret);
}

const char *lifecycle_expiry_text(struct arena *arena, const struct lifecycle_due *due)
{
    char         date[32];
    struct slice id = http_quote(arena, due->rule->id, "");

    if (!id.data)
        return NULL;
    http_date((int64_t)(due->at_us / 1000000), date);
    return arena_printf(arena, "expiry-date=\"%s\", rule-id=\"%.*s\"", date, SLICE_ARG(id));
}
