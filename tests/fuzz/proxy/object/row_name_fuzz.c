/* tests/fuzz/proxy/object/row_name_fuzz.c - names of rows of a container's shard, and version ids of clients: what is
 * taken apart gives the same name again. */
#include <assert.h>
#include <string.h>

#include "proxy/object/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(struct slice row)
{
    struct slice    object = SLICE_NONE, suffix = SLICE_NONE, again = SLICE_NONE;
    struct row_name name;
    uint8_t         id[16], prefix[ROW_NAME_MAX];
    uint32_t        number = 0;

    switch (name_parse(row, &object, id, &number, &suffix)) {
    case ROW_OBJECT:
        assert(slice_equal(object, row));
        return;
    case ROW_VERSION:
        assert(name_valid(object));
        again = name_version(&name, object, id);
        break;
    case ROW_UPLOAD:
        assert(name_valid(object));
        again = name_upload(&name, object, id);
        break;
    case ROW_PART:
        again = name_part(&name, id, number, suffix.data);
        break;
    case ROW_UNKNOWN:
        return;
    }
    assert(slice_equal(again, row) && row_hidden(row) && object_row_heirs(row, prefix) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice       text = slice_of(data, size);
    struct version_ref version;
    char               shown[VERSION_TEXT_MAX + 1];

    if (size > ROW_NAME_MAX)
        return 0;
    check_name(text);
    if (version_parse(text, &version) == 0 && version.given && !version.null_version) {
        Rs__ObjectMeta meta = RS__OBJECT_META__INIT;

        meta.version = pb_data(slice_of(version.id, sizeof version.id));
        assert(slice_equal(version_text(&meta, shown), text));
    }
    return 0;
}
