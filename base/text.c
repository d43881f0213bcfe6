/* base/text.c - see text.h. */
#include "base/text.h"

#include <stdlib.h>

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

bool slice_u64(struct slice text, uint64_t *ret)
{
    uint64_t n = 0;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(text.data[i] - '0'), &n))
            return false;
    }
    *ret = n;
    return true;
}
