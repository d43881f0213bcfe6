/* cmd/cloud_credentials.c - openrc, clouds.yaml and s3.env of a fresh cloud, mode 0600.
 *
 * The files are written before the users exist, so that no crash can leave users
 * whose passwords nobody knows: a start that finds the files, but not the mark
 * that the users were made, takes the passwords from the files. The admin's access
 * key of s3.env is made the same way, once; its mark says which key it is, so that
 * the file can be written again as long as the key exists. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cloud_private.h"

enum { OPENRC_MAX = 4096, PASSWORD_LETTERS = 24 };

static const struct slice made_key = { (const uint8_t *)"cloud/credentials", 17 };
static const struct slice made_s3_key = { (const uint8_t *)"cloud/s3-access-key", 19 };

/* Writes DIR/name through a temporary file, so that a crash leaves the old one or the new one. */
WAITS static int write_file(struct cloud *cloud, const char *name, const char *text, struct error *err)
{
    char         path[ENV_PATH_MAX], fresh[ENV_PATH_MAX];
    struct file *file;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", cloud->plan->data, name) >= sizeof path ||
        (size_t)snprintf(fresh, sizeof fresh, "%s/%s.new", cloud->plan->data, name) >= sizeof fresh)
        return error_set(err, -ENAMETOOLONG, "the name of the data directory is too long");
    int rc = env_open(cloud->env, fresh, FILE_CREATE, &file);
    if (rc == 0) {
        rc = file_truncate(file, 0);
        if (rc == 0)
            rc = file_write(file, text, strlen(text), 0);
        if (rc == 0)
            rc = file_sync(file);
        file_close(file);
    }
    if (rc == 0)
        rc = env_rename(cloud->env, fresh, path);
    if (rc == 0)
        rc = env_sync_dir(cloud->env, cloud->plan->data);
    return rc == 0 ? 0 : error_set(err, rc, "%s: %s", path, error_text(rc));
}

/* A value in single quotes for a shell file. */
static const char *shell_quote(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, strlen(text) * 4 + 3), *to = out;

    if (!out)
        return "''";
    *to++ = '\'';
    for (; *text; text++) {
        if (*text == '\'') {
            memcpy(to, "'\\''", 4);
            to += 4;
        } else {
            *to++ = *text;
        }
    }
    *to++ = '\'';
    return out;
}

/* A value in double quotes for YAML. */
static const char *yaml_quote(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, strlen(text) * 4 + 3), *to = out;

    if (!out)
        return "\"\"";
    *to++ = '"';
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            to += snprintf(to, 5, "\\x%02x", c);
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    return out;
}

WAITS static int write_user(struct cloud *cloud, const char *file, const char *user, const char *project,
                            const char *password, const char *url, struct error *err)
{
    struct arena *a = &cloud->arena;
    char         *text = arena_printf(a,
                                      "# %s of this Ringstack cloud:  . %s\n"
                                              "export OS_AUTH_URL=%s\nexport OS_IDENTITY_API_VERSION=3\n"
                                              "export OS_USERNAME=%s\nexport OS_PASSWORD=%s\nexport OS_PROJECT_NAME=%s\n"
                                              "export OS_USER_DOMAIN_NAME=Default\nexport OS_PROJECT_DOMAIN_NAME=Default\n"
                                              "export OS_REGION_NAME=RegionOne\nexport OS_AUTH_TYPE=password\n",
                                      user, file, url, user, shell_quote(a, password), project);

    return text ? write_file(cloud, file, text, err) : error_set(err, -ENOMEM, "no memory");
}

/* The value after 'start' ("export NAME="), quoted or not, in a file that we wrote; NULL when there is none. */
WAITS static char *read_value(struct cloud *cloud, const char *name, const char *start)
{
    char              path[ENV_PATH_MAX];
    struct file      *file;
    size_t            size = 0;
    char             *text = arena_alloc(&cloud->arena, OPENRC_MAX + 1);

    if (!text || (size_t)snprintf(path, sizeof path, "%s/%s", cloud->plan->data, name) >= sizeof path ||
        env_open(cloud->env, path, FILE_READ_ONLY, &file) != 0)
        return NULL;
    int rc = file_read(file, text, OPENRC_MAX, 0, &size);
    file_close(file);
    text[rc == 0 ? size : 0] = 0;
    char *from = strstr(text, start), *out, *to;
    if (!from)
        return NULL;
    from += strlen(start);
    from += *from == '\'';
    out = to = from;
    while (*from && *from != '\n') {
        if (!strncmp(from, "'\\''", 4)) {
            *to++ = '\'';
            from += 4;
        } else if (*from == '\'') {
            break;
        } else {
            *to++ = *from++;
        }
    }
    *to = 0;
    return *out ? out : NULL;
}

WAITS static char *read_password(struct cloud *cloud, const char *name)
{
    return read_value(cloud, name, "export OS_PASSWORD=");
}

static char *random_password(struct cloud *cloud)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    char             *out = arena_alloc(&cloud->arena, PASSWORD_LETTERS + 1);

    for (unsigned i = 0; out && i < PASSWORD_LETTERS;) {
        uint8_t byte;
        env_random(cloud->env, &byte, 1);
        if (byte < 256 / (sizeof letters - 1) * (sizeof letters - 1))   /* No letter is likelier. */
            out[i++] = letters[byte % (sizeof letters - 1)];
    }
    return out;
}

WAITS static int write_clouds(struct cloud *cloud, const char *url, struct error *err)
{
    struct arena *a = &cloud->arena;
    char         *text = arena_printf(a,
                                      "clouds:\n"
                                              "  ringstack:\n    region_name: RegionOne\n    identity_api_version: 3\n    auth:\n"
                                              "      auth_url: %s\n      username: admin\n      password: %s\n      project_name: admin\n"
                                              "      user_domain_name: Default\n      project_domain_name: Default\n"
                                              "  ringstack-demo:\n    region_name: RegionOne\n    identity_api_version: 3\n    auth:\n"
                                              "      auth_url: %s\n      username: demo\n      password: %s\n      project_name: demo\n"
                                              "      user_domain_name: Default\n      project_domain_name: Default\n",
                                      url, yaml_quote(a, cloud->admin_password), url, yaml_quote(a, cloud->demo_password));

    return text ? write_file(cloud, "clouds.yaml", text, err) : error_set(err, -ENOMEM, "no memory");
}

WAITS int cloud_credentials_prepare(struct cloud *cloud, struct error *err)
{
    const struct cloud_plan *plan = cloud->plan;
    struct control_entry     entry;

    int rc = control_get(cloud->control, made_key, &cloud->arena, &entry);
    if (rc == 0) {
        const char *stored = read_password(cloud, "openrc");
        if (stored && plan->admin_password && strcmp(stored, plan->admin_password))
            log_warn("cloud.password_kept", "user=admin hint=\"the password given counts only at the first start; "
                                            "openrc has the one in force, unless it was changed through the API\"");
        if (!stored)
            log_warn("cloud.no_credentials", "file=\"%s/openrc\" hint=\"it was removed; passwords are stored only as hashes\"",
                     plan->data);
        return 0;
    }
    if (rc != -ENOENT)
        return error_set(err, rc, "control store: %s", error_text(rc));
    cloud->admin_password = plan->admin_password ? arena_str(&cloud->arena, slice_str(plan->admin_password)) : read_password(cloud, "openrc");
    cloud->demo_password = read_password(cloud, "openrc-demo");
    if (!cloud->admin_password)
        cloud->admin_password = random_password(cloud);
    if (!cloud->demo_password)
        cloud->demo_password = random_password(cloud);
    char *url = arena_printf(&cloud->arena, "%s://%s:%u/v3", plan->tls_cert ? "https" : "http", plan->listen, cloud_port(plan, RANK_IDENTITY));
    if (!cloud->admin_password || !cloud->demo_password || !url)
        return error_set(err, -ENOMEM, "no memory");
    rc = write_user(cloud, "openrc", "admin", "admin", cloud->admin_password, url, err);
    if (rc == 0)
        rc = write_user(cloud, "openrc-demo", "demo", "demo", cloud->demo_password, url, err);
    if (rc == 0)
        rc = write_clouds(cloud, url, err);
    return rc;
}

WAITS int cloud_credentials_made(struct cloud *cloud, struct error *err)
{
    if (!cloud->admin_password)
        return 0;
    int rc = control_put(cloud->control, made_key, SLICE("1"), NULL);
    return rc == 0 ? 0 : error_set(err, rc, "control store: %s", error_text(rc));
}

/* --- s3.env --- */

enum { ACCESS_LETTERS = 20, SECRET_LETTERS = 40 };   /* As AWS makes them. */

static char *random_letters(struct cloud *cloud, unsigned count)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    char             *out = arena_alloc(&cloud->arena, count + 1);
    uint8_t           byte;

    for (unsigned i = 0; out && i < count; i++) {
        env_random(cloud->env, &byte, 1);
        out[i] = letters[byte % (sizeof letters - 1)];   /* 32 of them: all alike. */
    }
    return out;
}

/* As it is when a shell and everybody else who reads such files takes it so. */
static const char *shell_word(struct arena *arena, struct slice text)
{
    const char *copy = arena_str(arena, text);

    for (size_t i = 0; copy && i < text.size; i++) {
        char c = copy[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return shell_quote(arena, copy);
    }
    return copy ? copy : "";
}

WAITS static int write_s3_env(struct cloud *cloud, struct slice access, struct slice secret, struct error *err)
{
    const struct cloud_plan *plan = cloud->plan;
    bool                     v6 = strchr(plan->listen, ':') != NULL;
    struct arena            *a = &cloud->arena;
    const char *text = arena_printf(a,
                                    "# S3 access of the admin of this Ringstack cloud:  . s3.env\n"
                                    "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n"
                                    "export AWS_ENDPOINT_URL=%s://%s%s%s:%u\nexport AWS_DEFAULT_REGION=RegionOne\n",
                                    shell_word(a, access), shell_word(a, secret), plan->tls_cert ? "https" : "http",
                                    v6 ? "[" : "", plan->listen, v6 ? "]" : "", cloud_port(plan, RANK_OBJECT));

    return text ? write_file(cloud, "s3.env", text, err) : error_set(err, -ENOMEM, "no memory");
}

/* The key was made at an earlier start: the file is written again, since ports may have changed and files get lost. */
WAITS static int keep_s3_env(struct cloud *cloud, struct slice access, struct error *err)
{
    const struct identity_context *who;
    struct slice                   secret;

    if (identity_s3_key(cloud->identity, access, &who, &secret) != 0) {
        log_info("cloud.s3_key_gone", "file=\"%s/s3.env\" hint=\"the admin's first access key was deleted or disabled; "
                                      "make another with: openstack ec2 credentials create\"", cloud->plan->data);
        return 0;
    }
    secret = arena_dup(&cloud->arena, secret);   /* It is borrowed until the next wait. */
    return secret.data ? write_s3_env(cloud, access, secret, err) : error_set(err, -ENOMEM, "no memory");
}

WAITS int cloud_credentials_s3(struct cloud *cloud, struct error *err)
{
    struct control_entry entry;

    int rc = control_get(cloud->control, made_s3_key, &cloud->arena, &entry);
    if (rc == 0)
        return keep_s3_env(cloud, entry.value, err);
    if (rc != -ENOENT)
        return error_set(err, rc, "control store: %s", error_text(rc));
    const char *user = identity_user_id(cloud->identity, "admin");
    const char *project = identity_project_id(cloud->identity, "admin");
    if (!user || !project)
        return 0;   /* They were renamed or deleted; nobody is there to give a key to. */
    /* What a start that crashed had written already. */
    char *access = read_value(cloud, "s3.env", "export AWS_ACCESS_KEY_ID=");
    char *secret = access ? read_value(cloud, "s3.env", "export AWS_SECRET_ACCESS_KEY=") : NULL;
    if (!access || !secret) {
        access = random_letters(cloud, ACCESS_LETTERS);
        secret = random_letters(cloud, SECRET_LETTERS);
    }
    user = arena_str(&cloud->arena, slice_str(user));
    project = arena_str(&cloud->arena, slice_str(project));
    if (!access || !secret || !user || !project)
        return error_set(err, -ENOMEM, "no memory");
    rc = write_s3_env(cloud, slice_str(access), slice_str(secret), err);
    if (rc != 0)
        return rc;
    rc = identity_create_key(cloud->identity, user, project, slice_str(access), slice_str(secret));
    if (rc == 0 || rc == -E_CONDITION)   /* Made, or made by the start that crashed. */
        rc = control_put(cloud->control, made_s3_key, slice_str(access), NULL);
    return rc == 0 ? 0 : error_set(err, rc, "the admin's S3 key: %s", error_text(rc));
}
