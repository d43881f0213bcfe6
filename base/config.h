/* base/config.h - configuration files: INI with typed values.
 *
 *   # comment (also ';'), on lines of its own
 *   [device d1]          a section: kind, and optionally a name; kinds may repeat
 *   path = /srv/d1       keys: letters, digits, '-', '_', '.'; value to the end of line
 *
 * A caller asks for every key that it knows; config_unknown() then reports what
 * nobody asked for, so that a typing error never passes silently. Errors name
 * file and line. Any one thread. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    CONFIG_FILE_MAX = 1024 * 1024,   /* Bytes: 10,000 devices of 100 bytes. */
    CONFIG_LINE_MAX = 4096,
    CONFIG_KEYS_MAX = 65536,         /* Sections and keys together. */
    CONFIG_SECTION_KEYS_MAX = 256,   /* In one section. */
    CONFIG_NAME_MAX = 128
};

struct config;
struct config_section;

/* Keys before the first section belong to a section of kind "". A section that
 * comes twice (same kind and name), or a key that comes twice in one, is
 * -E_SYNTAX. 'file_name' is for messages. Also -E_LIMIT, -ENOMEM. */
int config_parse(struct slice text, const char *file_name, struct config **ret_config, struct error *err);
/* Reads the file first (at start, before there is an env). Also -errno. */
int config_load(const char *path, struct config **ret_config, struct error *err);
struct config *config_free(struct config *config);   /* Accepts NULL. */

uint32_t               config_section_count(const struct config *config);
struct config_section *config_section_at(struct config *config, uint32_t index);
/* NULL when there is none. Marks it as known. 'name' "" is the one without a name. */
struct config_section *config_find(struct config *config, const char *kind, const char *name);
const char            *config_section_kind(const struct config_section *section);
const char            *config_section_name(const struct config_section *section);
void                   config_section_known(struct config_section *section);   /* For those that are walked. */

/* Each returns 0 with the value or, when the key is missing (or 'section' is
 * NULL), the fallback; a malformed value is -E_SYNTAX, one outside [min, max]
 * -E_LIMIT. Strings belong to the config. */
int config_string(struct config_section *section, const char *key, const char *fallback, const char **ret_value,
                  struct error *err);
int config_u64(struct config_section *section, const char *key, uint64_t fallback, uint64_t min, uint64_t max,
               uint64_t *ret_value, struct error *err);
int config_size(struct config_section *section, const char *key, uint64_t fallback, uint64_t min, uint64_t max,
                uint64_t *ret_value, struct error *err);   /* With K, M, G or T: powers of 1024. */
int config_bool(struct config_section *section, const char *key, bool fallback, bool *ret_value, struct error *err);

/* -E_SYNTAX names the first section or key that was never asked for. */
int config_unknown(const struct config *config, struct error *err);

/* "12", "64K", "1G": also for command lines. False: malformed or over 64 bits. */
bool config_parse_u64(const char *text, uint64_t *ret_value);
bool config_parse_size(const char *text, uint64_t *ret_value);

#endif
