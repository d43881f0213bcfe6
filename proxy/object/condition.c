/* proxy/object/condition.c - what a change is judged by: the caller's condition, object lock. Pure but for the clock. */
#include "proxy/object/manifest.h"
#include "proxy/object/version.h"

static bool tag_in(struct slice tag, const struct slice *tags, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (slice_equal(tag, tags[i]))
            return true;
    return false;
}

static bool condition_holds(const struct object_condition *c, bool present, struct slice tag, uint64_t size,
                            uint64_t modified_us)
{
    if (c->must_be_missing && present)
        return false;
    if ((c->must_exist || c->match_count || c->size_given || c->modified_given) && !present)
        return false;
    if (c->match_count && !tag_in(tag, c->match, c->match_count))
        return false;
    if (c->size_given && c->size != size)
        return false;
    if (c->modified_given && c->modified_s != (int64_t)(modified_us / 1000000))
        return false;
    return !(present && tag_in(tag, c->none_match, c->none_match_count));
}

int condition_judge(const struct object_condition *condition, bool present, const Rs__ObjectMeta *meta, uint64_t size,
                    struct error *err)
{
    char         hex[33] = "";
    struct slice tag = SLICE_NONE;

    if (object_condition_empty(condition))
        return 0;
    if (present && !meta->delete_marker)
        object_etag(meta, hex, &tag);
    if (!condition_holds(condition, present, tag, present ? manifest_size_shown(meta, size) : 0,
                         present ? meta->modified_us : 0))
        return error_set(err, -E_CONDITION, "the condition does not hold");
    return 0;
}

void object_etag(const Rs__ObjectMeta *meta, char hex[33], struct slice *ret_tag)
{
    static const char digits[] = "0123456789abcdef";

    if (meta->manifest_etag.len) {
        *ret_tag = pb_slice(meta->manifest_etag);
        return;
    }
    size_t n = meta->etag.len <= 16 ? meta->etag.len : 16;
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[meta->etag.data[i] >> 4];
        hex[2 * i + 1] = digits[meta->etag.data[i] & 15];
    }
    hex[2 * n] = 0;
    *ret_tag = slice_of(hex, 2 * n);
}

/* --- Object lock. --- */

static uint64_t wall_us(struct object_service *s)
{
    return (uint64_t)(env_wall(s->options.env) / NS_PER_US);
}

int lock_check_delete(struct object_service *s, const Rs__ObjectMeta *meta, bool bypass_governance, struct error *err)
{
    if (meta->legal_hold)
        return error_set(err, -EPERM, "the version is under legal hold");
    if (meta->lock_mode == LOCK_NONE || meta->retain_until_us <= wall_us(s))
        return 0;
    if (meta->lock_mode == LOCK_GOVERNANCE && bypass_governance)
        return 0;
    return error_set(err, -EPERM, "the version is retained by object lock");
}

int lock_check_edit(struct object_service *s, uint32_t mode, uint64_t until_us, const Rs__ObjectMeta *after,
                    struct error *err)
{
    /* Governance is judged by whoever knows the caller's right to bypass it. */
    if (mode != LOCK_COMPLIANCE || until_us <= wall_us(s) ||
        (after->lock_mode == LOCK_COMPLIANCE && after->retain_until_us >= until_us))
        return 0;
    return error_set(err, -EPERM, "a retention in compliance mode can only be lengthened");
}

void lock_default(const struct container *c, Rs__ObjectMeta *meta)
{
    const Rs__ContainerConfig *config = c->config;
    uint64_t                   days = config->lock_days + UINT64_C(365) * config->lock_years;

    if (!config->lock || config->lock_mode == LOCK_NONE || days == 0 || meta->lock_mode != LOCK_NONE)
        return;
    meta->lock_mode = config->lock_mode;
    meta->retain_until_us = meta->modified_us + days * 86400 * UINT64_C(1000000);
}
