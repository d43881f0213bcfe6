/* base/error.h - the one table of errors.
 *
 * Functions that can fail return 0 or a negative code: -errno, or one of ours
 * below (also negative when returned). 'struct error' carries the sentence a
 * human needs; it is optional everywhere (NULL is accepted) and is only written
 * on failure. Any thread. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <errno.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
/* Marks a function that may suspend the calling task. tools/tidy demands the
 * mark of every caller; no lock and no pointer into a shared table may be held
 * across one. */
#define WAITS

/* X(NAME, HTTP status, text) */
#define ERROR_TABLE(X)                                                                             \
    X(E_UNSURE, 503, "the outcome is unknown; it may still take effect")                           \
    X(E_OUTBID, 503, "a higher ballot was met")                                                    \
    X(E_STALE, 503, "the request was made under an older epoch or configuration")                  \
    X(E_BEHIND, 503, "this replica lags behind the request's configuration")                       \
    X(E_CORRUPT, 500, "a checksum does not match")                                                 \
    X(E_TOO_NEW, 500, "the format is newer than this program")                                     \
    X(E_OVERLOAD, 503, "too much is queued already")                                               \
    X(E_LIMIT, 400, "a limit is exceeded")                                                         \
    X(E_CONDITION, 412, "the condition does not hold")                                             \
    X(E_GONE, 404, "it was deleted")                                                               \
    X(E_UNAVAILABLE, 503, "not enough devices answer")                                             \
    X(E_DEVICE, 503, "the device is out of service")                                               \
    X(E_CLOSED, 503, "the connection is closed")                                                   \
    X(E_UNAUTHORIZED, 401, "credentials are missing or wrong")                                     \
    X(E_FORBIDDEN, 403, "not allowed")                                                             \
    X(E_SYNTAX, 400, "malformed input")                                                            \
    X(E_CONFLICT, 409, "it conflicts with the current state")                                      \
    X(E_COMPACTED, 410, "history before this point is gone; start over")                           \
    X(E_FENCED, 503, "the clock of this node strayed from its peers")

enum {
    E_BASE_ = 1000, /* Above every errno. */
#define X(name, status, text) name,
    ERROR_TABLE(X)
#undef X
    E_END_
};

enum { ERROR_TEXT_MAX = 256 };

struct error {
    int  code;
    char text[ERROR_TEXT_MAX];
};

/* Fills '*err' (if not NULL) and returns 'code', so that a failure reads
 * "return error_set(err, -EINVAL, ...)". */
int error_set(struct error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

const char *error_name(int code);   /* "E_UNSURE", "ENOENT"; never NULL. */
const char *error_text(int code);   /* The table's sentence, or strerror(). */
int         error_http(int code);   /* The HTTP status that fits; 500 by default. */

#endif
