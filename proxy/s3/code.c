/* proxy/s3/code.c - see code.h. */
#include "proxy/s3/code.h"

static const struct row {
    const char *name;
    int         status;
    const char *text;
} rows[] = {
#define X(name, code, status, text) [S3_##name] = { code, status, text },
    S3_CODES(X)
#undef X
};

static const struct row *row_of(int code)
{
    return &rows[code > S3_NONE_ && code < S3_CODE_END_ ? code : S3_INTERNAL_ERROR];
}

const char *s3_code_name(int code)
{
    return row_of(code)->name;
}

int s3_code_status(int code)
{
    return row_of(code)->status;
}

const char *s3_code_text(int code)
{
    return row_of(code)->text;
}

int s3_fail(struct error *err, int code)
{
    return error_set(err, code, "%s", s3_code_text(code));
}
