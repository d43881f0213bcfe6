/* base/log.h - one line an event: level, event, key=value pairs, request id.
 *
 * Error: an operator must act. Warn: handled, degraded. Info: life cycle.
 * Debug: switchable per module (the event's part before the first dot) while
 * running. Code that returns an error does not log it. Never a secret.
 * Any thread. The sink is stderr unless changed (the simulator keeps a trace). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum { LOG_LINE_MAX = 2048 };   /* Longer lines are cut. */

/* 'format' makes "key=value key=value"; values with blanks are given as \"%s\"
 * and LOG_TEXT() escapes what came from outside. */
void log_write(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);
#define log_error(event, ...) log_write(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_write(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_write(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                                                                      \
    do {                                                                                           \
        if (log_debug_on(event))                                                                   \
            log_write(LOG_DEBUG, event, __VA_ARGS__);                                              \
    } while (0)

/* While on, lines are gathered and written together by log_flush(), which the loop calls at the end of each turn; an
 * error is written at once, with all before it. For servers: a line a request then costs no system call of its own. */
void log_gather(bool on);
void log_flush(void);
enum { LOG_GATHER_BYTES = 64 * 1024 };   /* More is written without waiting. */

bool log_debug_on(const char *event);
void log_set_debug(const char *modules);   /* "row,http" or "all" or "". */
void log_set_level(enum log_level level);
void log_set_json(bool json);
/* Redirects lines; NULL restores stderr. 'line' has no newline. */
void log_set_sink(void (*sink)(void *arg, enum log_level level, const char *line), void *arg);

/* Escapes control bytes, quotes and non-ASCII for a quoted value; writes at
 * most 'capacity' bytes with the NUL and returns 'out'. */
const char *log_escape(char *out, size_t capacity, const void *data, size_t size);

#endif
