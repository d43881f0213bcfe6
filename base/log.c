/* base/log.c - formats log lines (logfmt or JSON) and writes them whole, one by one or gathered.
 *
 * The settings are process-wide, like the stderr they describe. */
#include "base/log.h"

#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/task.h"

enum { LOG_DEBUG_MODULES_MAX = 256 };

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static _Atomic int  level_now = LOG_INFO;
static _Atomic bool json_now;
static _Atomic bool debug_any;   /* Saves the lock while no module is on. */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;   /* Of what follows; a leaf. */
static char debug_modules[LOG_DEBUG_MODULES_MAX];
static void (*sink_fn)(void *arg, enum log_level level, const char *line);
static void *sink_arg;
static char   gathered[LOG_GATHER_BYTES];   /* Lines not yet written. */
static size_t gathered_size;
static bool   gather_on;

/* Text of bounded size; what does not fit is cut. */
struct line {
    size_t size;
    char   text[LOG_LINE_MAX];
};

static void line_add(struct line *line, const char *bytes, size_t size)
{
    size_t room = sizeof line->text - 2 - line->size;   /* Newline and NUL always fit. */
    if (size > room)
        size = room;
    memcpy(line->text + line->size, bytes, size);
    line->size += size;
}

static void line_str(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

static void format_time(char out[40])
{
    struct timespec ts;
    struct tm       tm;

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 40 - n, ".%06ldZ", ts.tv_nsec / 1000);
}

const char *log_escape(char *out, size_t capacity, const void *data, size_t size)
{
    static const char    hex[] = "0123456789abcdef";
    const unsigned char *in = data;
    size_t               n = 0;

    if (capacity == 0)
        return "";
    for (size_t i = 0; i < size; i++) {
        char   piece[4];
        size_t length = 0;
        if (in[i] == '"' || in[i] == '\\') {
            piece[length++] = '\\';
            piece[length++] = (char)in[i];
        } else if (in[i] < 0x20 || in[i] >= 0x7f) {
            piece[length++] = '\\';
            piece[length++] = 'x';
            piece[length++] = hex[in[i] >> 4];
            piece[length++] = hex[in[i] & 15];
        } else {
            piece[length++] = (char)in[i];
        }
        if (n + length >= capacity)
            break;
        memcpy(out + n, piece, length);
        n += length;
    }
    out[n] = '\0';
    return out;
}

/* A line must stay one line whatever a caller forgot to escape. */
static void line_add_safe(struct line *line, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            char escaped[8];
            line_str(line, log_escape(escaped, sizeof escaped, text, 1));
        } else {
            line_add(line, text, 1);
        }
    }
}

/* --- JSON: the same pairs, parsed back from the formatted text. --- */

static void json_char(struct line *line, unsigned char c)
{
    char text[8];

    if (c == '"' || c == '\\')
        snprintf(text, sizeof text, "\\%c", c);
    else if (c < 0x20 || c >= 0x7f)
        snprintf(text, sizeof text, "\\u%04x", c);
    else
        snprintf(text, sizeof text, "%c", c);
    line_str(line, text);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes one character of a quoted value, undoing log_escape(). */
static const char *unescape_char(const char *p, unsigned char *ret_c)
{
    if (p[0] != '\\' || p[1] == '\0') {
        *ret_c = (unsigned char)p[0];
        return p + 1;
    }
    if (p[1] == 'x' && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
        *ret_c = (unsigned char)(hex_digit(p[2]) * 16 + hex_digit(p[3]));
        return p + 4;
    }
    *ret_c = (unsigned char)p[1];
    return p + 2;
}

/* Up to 15 digits without a leading zero: what every JSON reader keeps exact. */
static bool is_number(const char *p, size_t size)
{
    size_t i = size > 0 && p[0] == '-';
    if (i == size || size - i > 15 || (p[i] == '0' && size - i > 1))
        return false;
    for (; i < size; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}

/* Leaves room to close what is open, so that a cut line is valid JSON, too. */
static bool json_room(const struct line *line)
{
    return line->size < sizeof line->text - 64;
}

static const char *json_value(struct line *line, const char *p)
{
    bool quoted = *p == '"';
    size_t size = strcspn(p, " ");

    if (!quoted && is_number(p, size)) {
        line_add(line, p, size);
        return p + size;
    }
    p += quoted;
    line_str(line, "\"");
    while (*p && *p != (quoted ? '"' : ' ') && json_room(line)) {
        unsigned char c = (unsigned char)*p;
        p = quoted ? unescape_char(p, &c) : p + 1;
        json_char(line, c);
    }
    line_str(line, "\"");
    return *p == '"' ? p + 1 : p;
}

static void json_pairs(struct line *line, const char *p)
{
    while (*p) {
        while (*p == ' ')
            p++;
        size_t key = strcspn(p, "= ");
        if (*p == '\0')
            return;
        line_str(line, ",\"");
        for (size_t i = 0; i < key && json_room(line); i++)
            json_char(line, (unsigned char)p[i]);
        line_str(line, "\":");
        p += key;
        if (*p == '=')
            p = json_value(line, p + 1);
        else
            line_str(line, "true");   /* A bare word is a flag. */
        if (!json_room(line))
            return;
    }
}

/* --- Lines --- */

static void make_logfmt(struct line *line, const char *ts, enum log_level level, const char *event, const char *pairs)
{
    if (ts) {
        line_str(line, "ts=");
        line_str(line, ts);
        line_str(line, " ");
    }
    line_str(line, "level=");
    line_str(line, level_names[level]);
    line_str(line, " event=");
    line_add_safe(line, event);
    if (*task_trace()) {
        line_str(line, " req=");
        line_add_safe(line, task_trace());
    }
    if (*pairs) {
        line_str(line, " ");
        line_add_safe(line, pairs);
    }
}

static void make_json(struct line *line, const char *ts, enum log_level level, const char *event, const char *pairs)
{
    /* A JSON string may be six times its source, so the pairs are cut short first. */
    char cut[LOG_LINE_MAX / 8];

    line_str(line, "{");
    if (ts) {
        line_str(line, "\"ts\":\"");
        line_str(line, ts);
        line_str(line, "\",");
    }
    line_str(line, "\"level\":\"");
    line_str(line, level_names[level]);
    line_str(line, "\",\"event\":\"");
    snprintf(cut, sizeof cut, "%s", event);
    for (const char *p = cut; *p; p++)
        json_char(line, (unsigned char)*p);
    line_str(line, "\"");
    if (*task_trace()) {
        line_str(line, ",\"req\":\"");
        for (const char *p = task_trace(); *p; p++)
            json_char(line, (unsigned char)*p);
        line_str(line, "\"");
    }
    json_pairs(line, pairs);
    line_str(line, "}");
}

/* Under the lock. A full or closed stderr must not stop the service: the lines are lost. */
static void write_gathered(void)
{
    if (gathered_size) {
        ssize_t n = write(STDERR_FILENO, gathered, gathered_size);
        (void)n;
    }
    __atomic_store_n(&gathered_size, 0, __ATOMIC_RELAXED);
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
    int limit = atomic_load_explicit(&level_now, memory_order_relaxed);
    /* Debug lines come only through log_debug(), which asked the module's switch. */
    if (level != LOG_DEBUG && (int)level > limit)
        return;

    char        pairs[LOG_LINE_MAX], ts[40];
    struct line line = { 0, { 0 } };
    va_list     args;

    va_start(args, format);
    vsnprintf(pairs, sizeof pairs, format, args);
    va_end(args);

    pthread_mutex_lock(&lock);
    void (*fn)(void *arg, enum log_level level, const char *line) = sink_fn;
    void *arg = sink_arg;
    pthread_mutex_unlock(&lock);

    /* A sink's lines carry no time: a simulation's trace must repeat exactly. */
    if (!fn)
        format_time(ts);
    (atomic_load(&json_now) ? make_json : make_logfmt)(&line, fn ? NULL : ts, level, event, pairs);
    line.text[line.size] = '\0';
    if (fn) {
        fn(arg, level, line.text);
        return;
    }
    line.text[line.size++] = '\n';
    pthread_mutex_lock(&lock);
    if (gathered_size + line.size > sizeof gathered)
        write_gathered();
    memcpy(gathered + gathered_size, line.text, line.size);
    gathered_size += line.size;
    if (!gather_on || level == LOG_ERROR)
        write_gathered();
    pthread_mutex_unlock(&lock);
}

void log_gather(bool on)
{
    pthread_mutex_lock(&lock);
    gather_on = on;
    write_gathered();
    pthread_mutex_unlock(&lock);
}

void log_flush(void)
{
    /* Read without the lock: a line that comes right now is written at the next turn. */
    if (__atomic_load_n(&gathered_size, __ATOMIC_RELAXED) == 0)
        return;
    pthread_mutex_lock(&lock);
    write_gathered();
    pthread_mutex_unlock(&lock);
}

bool log_debug_on(const char *event)
{
    if (!atomic_load_explicit(&debug_any, memory_order_relaxed))
        return false;
    size_t size = strcspn(event, ".");
    bool   on = false;

    pthread_mutex_lock(&lock);
    for (const char *p = debug_modules; *p && !on;) {
        size_t n = strcspn(p, ",");
        on = (n == size && memcmp(p, event, n) == 0) || (n == 3 && memcmp(p, "all", 3) == 0);
        p += n + (p[n] == ',');
    }
    pthread_mutex_unlock(&lock);
    return on;
}

void log_set_debug(const char *modules)
{
    pthread_mutex_lock(&lock);
    snprintf(debug_modules, sizeof debug_modules, "%s", modules ? modules : "");
    atomic_store(&debug_any, debug_modules[0] != '\0');
    pthread_mutex_unlock(&lock);
}

void log_set_level(enum log_level level)
{
    atomic_store(&level_now, (int)level);
}

void log_set_json(bool json)
{
    atomic_store(&json_now, json);
}

void log_set_sink(void (*sink)(void *arg, enum log_level level, const char *line), void *arg)
{
    pthread_mutex_lock(&lock);
    sink_fn = sink;
    sink_arg = arg;
    pthread_mutex_unlock(&lock);
}
