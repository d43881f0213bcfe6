/* tests/fuzz/proxy/http/http_headers_fuzz.c - values of headers and URLs: ranges,
 * dates, percent-encoding, UTF-8. The first byte picks; bytes 1 to 8 are a size. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "proxy/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ranges(struct slice text, uint64_t size)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    uint32_t          count = 77;
    int               rc = http_ranges(text, size, ranges, &count);

    if (rc != 0) {
        assert(rc == -ERANGE && count == 77);
        return;
    }
    assert(count <= HTTP_RANGES_MAX);
    for (uint32_t i = 0; i < count; i++)
        assert(ranges[i].size > 0 && ranges[i].first < size && ranges[i].size <= size - ranges[i].first);
}

static void check_date(struct slice text)
{
    int64_t t, again;
    char    out[32];

    if (!http_date_parse(text, &t))
        return;
    http_date(t, out);
    assert(strlen(out) == 29);
    if (t >= -INT64_C(62135596800))   /* The year 1; the year 0 can be read but not written. */
        assert(http_date_parse(slice_str(out), &again) && again == t);
}

static void check_quoting(struct slice text)
{
    struct arena arena;
    struct slice plain, back;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    for (int plus = 0; plus < 2; plus++)
        if (http_unquote(&arena, text, plus, &plain) == 0) {
            assert(plain.data && plain.size <= text.size);
            struct slice quoted = http_quote(&arena, plain, "/");
            assert(quoted.data && http_unquote(&arena, quoted, plus, &back) == 0 && slice_equal(plain, back));
        }
    http_valid_utf8(text);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size < 9 || !(copy = malloc(size - 9 + (size == 9))))   /* Ends where the text ends. */
        return 0;
    memcpy(copy, data + 9, size - 9);
    struct slice text = slice_of(copy, size - 9);
    switch (data[0] % 3) {
    case 0:
        check_ranges(text, get_u64le(data + 1));
        check_ranges(text, get_u64le(data + 1) % 1000);
        break;
    case 1:
        check_date(text);
        break;
    default:
        check_quoting(text);
        break;
    }
    free(copy);
    return 0;
}
