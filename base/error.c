/* base/error.c - the error table as text, and 'struct error'. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct error_row {
    const char *name;
    int         http;
    const char *text;
};

static const struct error_row rows[] = {
#define X(name, status, text) [name - E_BASE_] = { #name, status, text },
    ERROR_TABLE(X)
#undef X
};

/* Both signs are accepted: logs and wire fields carry either. */
static const struct error_row *row_of(int code)
{
    unsigned positive = code < 0 ? 0u - (unsigned)code : (unsigned)code;

    if (positive <= E_BASE_ || positive >= E_END_)
        return NULL;
    return &rows[positive - E_BASE_];
}

int error_set(struct error *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

const char *error_name(int code)
{
    const struct error_row *row = row_of(code);
    if (row)
        return row->name;
    if (code == 0)
        return "OK";
    const char *name = strerrorname_np(code < 0 ? (int)(0u - (unsigned)code) : code);
    return name ? name : "E_UNKNOWN";
}

const char *error_text(int code)
{
    const struct error_row *row = row_of(code);
    if (row)
        return row->text;
    if (code == 0)
        return "success";
    /* strerrordesc_np() returns constant strings, so unlike strerror() it is safe on any thread. */
    const char *text = strerrordesc_np(code < 0 ? (int)(0u - (unsigned)code) : code);
    return text ? text : "unknown error";
}

int error_http(int code)
{
    const struct error_row *row = row_of(code);
    if (row)
        return row->http;
    switch (code < 0 ? (int)(0u - (unsigned)code) : code) {
    case 0: return 200;
    case ENOENT: return 404;
    case EEXIST: return 409;
    case EINVAL: case ENAMETOOLONG: return 400;
    case EACCES: case EPERM: return 403;
    case ENOSPC: case EDQUOT: return 507;
    case ETIMEDOUT: case ECANCELED: case EAGAIN: case EBUSY: case ECONNRESET: case ECONNREFUSED:
    case EHOSTUNREACH: case ENETUNREACH: case ENOMEM: case EMFILE: case ENFILE:
        return 503;
    default: return 500;
    }
}
