/* cmd/cloud_credentials.c - openrc and clouds.yaml of a fresh cloud, mode 0600. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cloud_private.h"

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

/* Does the file with the credentials of an earlier start exist? */
WAITS static bool have(struct cloud *cloud, const char *name)
{
    char         path[ENV_PATH_MAX];
    struct file *file;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", cloud->plan->data, name) >= sizeof path)
        return false;
    if (env_open(cloud->env, path, FILE_READ_ONLY, &file) != 0)
        return false;
    file_close(file);
    return true;
}

WAITS int cloud_write_credentials(struct cloud *cloud, struct error *err)
{
    const struct cloud_plan *plan = cloud->plan;
    struct arena            *a = &cloud->arena;
    const char              *scheme = plan->tls_cert ? "https" : "http";

    if (!cloud->admin_password) {
        if (!have(cloud, "openrc"))
            log_warn("cloud.no_credentials", "file=\"%s/openrc\" hint=\"it was removed; the password is stored only as a hash\"",
                     plan->data);
        return 0;
    }
    char *url = arena_printf(a, "%s://%s:%u/v3", scheme, plan->listen, cloud_port(plan, RANK_IDENTITY));
    if (!url)
        return error_set(err, -ENOMEM, "no memory");
    int rc = write_user(cloud, "openrc", "admin", "admin", cloud->admin_password, url, err);
    if (rc == 0 && cloud->demo_password)
        rc = write_user(cloud, "openrc-demo", "demo", "demo", cloud->demo_password, url, err);
    if (rc != 0)
        return rc;
    char *text = arena_printf(a,
                              "clouds:\n"
                              "  ringstack:\n    region_name: RegionOne\n    identity_api_version: 3\n    auth:\n"
                              "      auth_url: %s\n      username: admin\n      password: %s\n      project_name: admin\n"
                              "      user_domain_name: Default\n      project_domain_name: Default\n"
                              "  ringstack-demo:\n    region_name: RegionOne\n    identity_api_version: 3\n    auth:\n"
                              "      auth_url: %s\n      username: demo\n      password: %s\n      project_name: demo\n"
                              "      user_domain_name: Default\n      project_domain_name: Default\n",
                              url, yaml_quote(a, cloud->admin_password), url,
                              yaml_quote(a, cloud->demo_password ? cloud->demo_password : ""));
    return text ? write_file(cloud, "clouds.yaml", text, err) : error_set(err, -ENOMEM, "no memory");
}
