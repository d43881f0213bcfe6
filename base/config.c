/* base/config.c - parsing and typed look-up of configuration files. */
#include "base/config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config_key {
    char    *name, *value;   /* Inside config->text. */
    uint32_t line;
    bool     known;
};

struct config_section {
    struct config     *config;
    char              *kind, *name;   /* Inside config->text, or "". */
    uint32_t           line;
    bool               known;
    struct config_key *keys;
    uint32_t           count, capacity;
};

struct config {
    char                   *file_name;
    char                   *text;       /* A copy that is cut into strings. */
    struct config_section **sections;
    uint32_t                count, capacity;
    uint32_t                total;      /* Sections and keys. */
};

static char empty[1];

static int complain(const struct config *config, uint32_t line, int code, struct error *err, const char *what)
{
    return error_set(err, code, "%s:%u: %s", config->file_name, line, what);
}

/* Room for one more of 'size' bytes each, doubling; false when memory is out. */
static bool grow(void **array, uint32_t count, uint32_t *capacity, size_t size)
{
    uint32_t wanted = *capacity ? *capacity * 2 : 8;
    void    *bigger;

    if (count < *capacity)
        return true;
    bigger = realloc(*array, wanted * size);
    if (!bigger)
        return false;
    *array = bigger;
    *capacity = wanted;
    return true;
}

static int section_add(struct config *config, char *kind, char *name, uint32_t line,
                       struct config_section **ret_section, struct error *err)
{
    struct config_section *section;

    if (++config->total > CONFIG_KEYS_MAX)
        return complain(config, line, -E_LIMIT, err, "too many sections and keys");
    for (uint32_t i = 0; i < config->count; i++)
        if (!strcmp(config->sections[i]->kind, kind) && !strcmp(config->sections[i]->name, name))
            return complain(config, line, -E_SYNTAX, err, "this section is there already");
    section = calloc(1, sizeof *section);
    if (!section || !grow((void **)&config->sections, config->count, &config->capacity, sizeof section)) {
        free(section);
        return complain(config, line, -ENOMEM, err, "out of memory");
    }
    *section = (struct config_section) { .config = config, .kind = kind, .name = name, .line = line };
    config->sections[config->count++] = section;
    *ret_section = section;
    return 0;
}

static char *trim(char *s)
{
    char *end;

    s += strspn(s, " \t");
    end = s + strlen(s);
    while (end > s && strchr(" \t\r", end[-1]))
        end--;
    *end = 0;
    return s;
}

static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

    return n > 0 && n <= CONFIG_NAME_MAX && s[n] == 0;
}

static int parse_header(struct config *config, char *line, uint32_t number, struct config_section **section,
                        struct error *err)
{
    size_t size = strlen(line);
    char  *kind, *name;

    if (line[size - 1] != ']')
        return complain(config, number, -E_SYNTAX, err, "a section needs a closing ']'");
    line[size - 1] = 0;
    kind = trim(line + 1);
    name = kind + strcspn(kind, " \t");
    if (*name) {
        *name++ = 0;
        name = trim(name);
    } else {
        name = empty;
    }
    if (!is_name(kind) || (*name && !is_name(name)))
        return complain(config, number, -E_SYNTAX, err, "a section is [kind] or [kind name]");
    return section_add(config, kind, name, number, section, err);
}

static int parse_key(struct config *config, char *line, uint32_t number, struct config_section **section,
                     struct error *err)
{
    char *equals = strchr(line, '='), *name;
    int   rc;

    if (!equals)
        return complain(config, number, -E_SYNTAX, err, "expected 'key = value' or '[section]'");
    *equals = 0;
    name = trim(line);
    if (!is_name(name))
        return complain(config, number, -E_SYNTAX, err, "a key is made of letters, digits, '-', '_' and '.'");
    if (!*section && (rc = section_add(config, empty, empty, number, section, err)) < 0)
        return rc;
    if (++config->total > CONFIG_KEYS_MAX || (*section)->count == CONFIG_SECTION_KEYS_MAX)
        return complain(config, number, -E_LIMIT, err, "too many sections and keys");
    for (uint32_t i = 0; i < (*section)->count; i++)
        if (!strcmp((*section)->keys[i].name, name))
            return complain(config, number, -E_SYNTAX, err, "this key is in the section already");
    if (!grow((void **)&(*section)->keys, (*section)->count, &(*section)->capacity, sizeof(struct config_key)))
        return complain(config, number, -ENOMEM, err, "out of memory");
    (*section)->keys[(*section)->count++] =
        (struct config_key) { .name = name, .value = trim(equals + 1), .line = number };
    return 0;
}

static int parse_lines(struct config *config, struct error *err)
{
    struct config_section *section = NULL;
    char                  *next = config->text;
    uint32_t               number = 0;

    while (*next) {
        char *line = next;
        int   rc = 0;

        number++;
        next += strcspn(next, "\n");
        if (next - line > CONFIG_LINE_MAX)
            return complain(config, number, -E_LIMIT, err, "the line is too long");
        if (*next)
            *next++ = 0;
        line = trim(line);
        if (*line == '[')
            rc = parse_header(config, line, number, &section, err);
        else if (*line && *line != '#' && *line != ';')
            rc = parse_key(config, line, number, &section, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int config_parse(struct slice text, const char *file_name, struct config **ret_config, struct error *err)
{
    struct config *config;
    int            rc;

    if (text.size > CONFIG_FILE_MAX)
        return error_set(err, -E_LIMIT, "%s: longer than %d bytes", file_name, CONFIG_FILE_MAX);
    if (text.size > 0 && memchr(text.data, 0, text.size))
        return error_set(err, -E_SYNTAX, "%s: has a NUL byte", file_name);
    config = calloc(1, sizeof *config);
    if (!config)
        return error_set(err, -ENOMEM, "%s: out of memory", file_name);
    config->file_name = strdup(file_name);
    config->text = calloc(1, text.size + 1);
    if (!config->file_name || !config->text) {
        rc = error_set(err, -ENOMEM, "%s: out of memory", file_name);
    } else {
        if (text.size > 0)
            memcpy(config->text, text.data, text.size);
        rc = parse_lines(config, err);
    }
    if (rc < 0) {
        config_free(config);
        return rc;
    }
    *ret_config = config;
    return 0;
}

int config_load(const char *path, struct config **ret_config, struct error *err)
{
    char  *text = malloc(CONFIG_FILE_MAX + 1);
    size_t size = 0;
    int    fd = -1, rc = 0;

    if (!text)
        return error_set(err, -ENOMEM, "%s: out of memory", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        rc = error_set(err, -errno, "%s: %s", path, strerror(errno));
    while (rc == 0 && size <= CONFIG_FILE_MAX) {
        ssize_t n = read(fd, text + size, CONFIG_FILE_MAX + 1 - size);

        if (n < 0 && errno != EINTR)
            rc = error_set(err, -errno, "%s: %s", path, strerror(errno));
        if (n == 0)
            break;
        size += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    if (rc == 0)
        rc = config_parse(slice_of(text, size), path, ret_config, err);
    free(text);
    return rc;
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    for (uint32_t i = 0; i < config->count; i++) {
        free(config->sections[i]->keys);
        free(config->sections[i]);
    }
    free(config->sections);
    free(config->file_name);
    free(config->text);
    free(config);
    return NULL;
}

uint32_t config_section_count(const struct config *config)
{
    return config->count;
}

struct config_section *config_section_at(struct config *config, uint32_t index)
{
    return index < config->count ? config->sections[index] : NULL;
}

struct config_section *config_find(struct config *config, const char *kind, const char *name)
{
    for (uint32_t i = 0; i < config->count; i++) {
        struct config_section *section = config->sections[i];

        if (!strcmp(section->kind, kind) && !strcmp(section->name, name)) {
            section->known = true;
            return section;
        }
    }
    return NULL;
}

const char *config_section_kind(const struct config_section *section)
{
    return section->kind;
}

const char *config_section_name(const struct config_section *section)
{
    return section->name;
}

void config_section_known(struct config_section *section)
{
    section->known = true;
}

static struct config_key *find_key(struct config_section *section, const char *name)
{
    if (!section)
        return NULL;
    section->known = true;
    for (uint32_t i = 0; i < section->count; i++)
        if (!strcmp(section->keys[i].name, name)) {
            section->keys[i].known = true;
            return &section->keys[i];
        }
    return NULL;
}

int config_string(struct config_section *section, const char *key, const char *fallback, const char **ret_value,
                  struct error *err)
{
    const struct config_key *found = find_key(section, key);

    (void)err;
    *ret_value = found ? found->value : fallback;
    return 0;
}

bool config_parse_u64(const char *text, uint64_t *ret_value)
{
    uint64_t v = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
            return false;
    }
    *ret_value = v;
    return true;
}

bool config_parse_size(const char *text, uint64_t *ret_value)
{
    static const char units[] = "KMGT";
    char              digits[24];
    size_t            size = strlen(text);
    const char       *unit = size > 0 ? strchr(units, text[size - 1]) : NULL;
    uint64_t          v;

    if (unit)
        size--;
    if (size == 0 || size >= sizeof digits)
        return false;
    memcpy(digits, text, size);
    digits[size] = 0;
    if (!config_parse_u64(digits, &v))
        return false;
    if (unit && __builtin_mul_overflow(v, UINT64_C(1) << (10 * (unit - units + 1)), &v))
        return false;
    *ret_value = v;
    return true;
}

static int number(struct config_section *section, const char *key, uint64_t fallback, uint64_t min, uint64_t max,
                  bool (*parse)(const char *, uint64_t *), uint64_t *ret_value, struct error *err)
{
    const struct config_key *found = find_key(section, key);
    uint64_t                 v;

    if (!found) {
        *ret_value = fallback;
        return 0;
    }
    if (!parse(found->value, &v))
        return error_set(err, -E_SYNTAX, "%s:%u: '%s' is not a number", section->config->file_name, found->line,
                         key);
    if (v < min || v > max)
        return error_set(err, -E_LIMIT, "%s:%u: '%s' must be from %llu to %llu", section->config->file_name,
                         found->line, key, (unsigned long long)min, (unsigned long long)max);
    *ret_value = v;
    return 0;
}

int config_u64(struct config_section *section, const char *key, uint64_t fallback, uint64_t min, uint64_t max,
               uint64_t *ret_value, struct error *err)
{
    return number(section, key, fallback, min, max, config_parse_u64, ret_value, err);
}

int config_size(struct config_section *section, const char *key, uint64_t fallback, uint64_t min, uint64_t max,
                uint64_t *ret_value, struct error *err)
{
    return number(section, key, fallback, min, max, config_parse_size, ret_value, err);
}

int config_bool(struct config_section *section, const char *key, bool fallback, bool *ret_value, struct error *err)
{
    const struct config_key *found = find_key(section, key);

    if (!found)
        *ret_value = fallback;
    else if (!strcmp(found->value, "yes") || !strcmp(found->value, "true") || !strcmp(found->value, "on"))
        *ret_value = true;
    else if (!strcmp(found->value, "no") || !strcmp(found->value, "false") || !strcmp(found->value, "off"))
        *ret_value = false;
    else
        return error_set(err, -E_SYNTAX, "%s:%u: '%s' must be yes or no", section->config->file_name, found->line,
                         key);
    return 0;
}

int config_unknown(const struct config *config, struct error *err)
{
    for (uint32_t i = 0; i < config->count; i++) {
        const struct config_section *section = config->sections[i];

        if (!section->known)
            return error_set(err, -E_SYNTAX, "%s:%u: unknown section [%s%s%s]", config->file_name, section->line,
                             section->kind, *section->name ? " " : "", section->name);
        for (uint32_t k = 0; k < section->count; k++)
            if (!section->keys[k].known)
                return error_set(err, -E_SYNTAX, "%s:%u: unknown key '%s'", config->file_name,
                                 section->keys[k].line, section->keys[k].name);
    }
    return 0;
}
