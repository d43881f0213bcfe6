/* proxy/swift/mime.c - a content type by the name's ending, when the client gives none. */
#include <strings.h>

#include "proxy/swift/call.h"

static const struct {
    const char *ending, *type;
} types[] = {
    { "txt", "text/plain" }, { "text", "text/plain" }, { "c", "text/plain" }, { "h", "text/plain" },
    { "py", "text/x-python" }, { "html", "text/html" }, { "htm", "text/html" }, { "css", "text/css" },
    { "csv", "text/csv" }, { "tsv", "text/tab-separated-values" }, { "js", "application/javascript" },
    { "json", "application/json" }, { "xml", "text/xml" }, { "pdf", "application/pdf" }, { "ps", "application/postscript" },
    { "zip", "application/zip" }, { "tar", "application/x-tar" }, { "gz", "application/gzip" }, { "tgz", "application/x-tar" },
    { "bz2", "application/x-bzip2" }, { "xz", "application/x-xz" }, { "7z", "application/x-7z-compressed" },
    { "deb", "application/x-debian-package" }, { "rpm", "application/x-rpm" }, { "iso", "application/x-iso9660-image" },
    { "sh", "application/x-sh" }, { "rtf", "application/rtf" }, { "doc", "application/msword" },
    { "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
    { "xls", "application/vnd.ms-excel" },
    { "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
    { "ppt", "application/vnd.ms-powerpoint" }, { "odt", "application/vnd.oasis.opendocument.text" },
    { "jpg", "image/jpeg" }, { "jpeg", "image/jpeg" }, { "jpe", "image/jpeg" }, { "png", "image/png" },
    { "gif", "image/gif" }, { "svg", "image/svg+xml" }, { "webp", "image/webp" }, { "tif", "image/tiff" },
    { "tiff", "image/tiff" }, { "bmp", "image/bmp" }, { "ico", "image/vnd.microsoft.icon" },
    { "mp3", "audio/mpeg" }, { "ogg", "audio/ogg" }, { "wav", "audio/x-wav" }, { "flac", "audio/flac" },
    { "mp4", "video/mp4" }, { "mpeg", "video/mpeg" }, { "mpg", "video/mpeg" }, { "webm", "video/webm" },
    { "avi", "video/x-msvideo" }, { "mov", "video/quicktime" }, { "woff", "font/woff" }, { "woff2", "font/woff2" },
    { "ttf", "font/ttf" }, { "otf", "font/otf" }, { "wasm", "application/wasm" }, { "exe", "application/x-msdos-program" },
};

struct slice mime_guess(struct slice name)
{
    const uint8_t *dot = name.size ? memrchr(name.data, '.', name.size) : NULL;
    struct slice   ending = dot ? slice_from(name, (size_t)(dot - name.data) + 1) : SLICE_NONE;

    for (size_t i = 0; ending.size && i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].ending) == ending.size &&
            strncasecmp(types[i].ending, (const char *)ending.data, ending.size) == 0)
            return slice_str(types[i].type);
    return SLICE("application/octet-stream");
}
