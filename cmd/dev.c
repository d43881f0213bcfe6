/* cmd/dev.c - `ringstack dev`: a whole cloud in one process. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/log.h"
#include "cmd/cloud.h"
#include "cmd/commands.h"

enum { DRIVES_MIN = 3, DRIVES_MAX = 64, DRIVES_DEFAULT = 6 };

/* Makes 'path' (one level) and takes the lock that keeps a second process out. */
static int take_directory(const char *path)
{
    char lock[ENV_PATH_MAX];

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "ringstack dev: cannot make %s: %s; name another directory with --data\n", path, strerror(errno));
        return -1;
    }
    if ((size_t)snprintf(lock, sizeof lock, "%s/lock", path) >= sizeof lock) {
        fprintf(stderr, "ringstack dev: the name of the data directory is too long\n");
        return -1;
    }
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "ringstack dev: cannot open %s: %s\n", lock, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        fprintf(stderr, "ringstack dev: %s is in use by another process; stop it, or name another directory with --data\n", path);
        close(fd);
        return -1;
    }
    return fd;   /* Held until the process ends. */
}

/* "replicated-3" and "ec-4-2" always, as far as the drives suffice, and the default when it is another. */
static int choose_policies(struct cloud_plan *plan, const char *wanted, uint64_t drives)
{
    const char  *names[] = { "replicated-3", "ec-4-2", wanted };
    struct error err;

    for (size_t i = 0; i < 3; i++) {
        struct policy p;
        bool          have = false;
        if (policy_parse(names[i], (uint16_t)plan->policy_count, &p, &err) != 0) {
            fprintf(stderr, "ringstack dev: --policy %s: %s\n", names[i], err.text);
            return 2;
        }
        for (uint32_t j = 0; j < plan->policy_count; j++)
            if (!strcmp(plan->policies[j].name, p.name)) {
                have = true;
                plan->policies[j].is_default = i == 2;
            }
        if (have)
            continue;
        uint64_t need = policy_fragments(&p) > policy_row_replicas(&p) ? policy_fragments(&p) : policy_row_replicas(&p);
        if (need > drives) {
            if (i < 2)
                continue;
            fprintf(stderr, "ringstack dev: policy %s needs %llu drives; give --drives %llu\n", p.name,
                    (unsigned long long)need, (unsigned long long)need);
            return 2;
        }
        p.is_default = i == 2;
        plan->policies[plan->policy_count++] = p;
    }
    return 0;
}

static int add_hosts(struct cloud_plan *plan, const struct cli_command *command, const struct cli_list *hosts)
{
    struct error err;

    for (uint32_t i = 0; i < hosts->count; i++)
        if (cloud_add_s3_host(plan, hosts->value[i], &err) != 0)
            return cli_usage(command, "%s", err.text);
    return -1;
}

int cmd_dev(int argc, char **argv)
{
    static struct cloud_plan plan;
    static char              paths[DRIVES_MAX][ENV_PATH_MAX];
    const char *data = "data", *listen = "127.0.0.1", *policy = "replicated-3", *password = getenv("RINGSTACK_ADMIN_PASSWORD");
    const char *cert = NULL, *key = NULL, *format = "text", *debug = "";
    bool        access_log = true, new_object_key = false;
    static struct cli_list s3_hosts;
    uint64_t    port_base = 0, drives = DRIVES_DEFAULT, lifecycle_day = 0;
    struct cli_option options[] = {
        { "data", CLI_STRING, "DIR", "where everything is kept (default: data)", &data, 0, 0 },
        { "listen", CLI_STRING, "ADDR", "address of the services (default: 127.0.0.1)", &listen, 0, 0 },
        { "port-base", CLI_U64, "N", "Keystone on port N, the others at N + rank (default: the well-known ports)", &port_base, 1, 65000 },
        { "drives", CLI_U64, "N", "number of drives (default: 6); fixed at the first start", &drives, DRIVES_MIN, DRIVES_MAX },
        { "policy", CLI_STRING, "NAME", "default storage policy: replicated-R or ec-K-M (default: replicated-3)", &policy, 0, 0 },
        { "admin-password", CLI_STRING, "PW", "password of admin (default: $RINGSTACK_ADMIN_PASSWORD, else random)", &password, 0, 0 },
        { "tls-cert", CLI_STRING, "FILE", "certificate chain, PEM: serve HTTPS", &cert, 0, 0 },
        { "tls-key", CLI_STRING, "FILE", "its private key, PEM", &key, 0, 0 },
        { "log-format", CLI_STRING, "text|json", "form of log lines on stderr (default: text)", &format, 0, 0 },
        { "access-log", CLI_BOOL, NULL, "one line for each request (default: yes; --no-access-log)", &access_log, 0, 0 },
        { "s3-day", CLI_U64, "SECONDS", "length of a day of S3 lifecycle rules, for tests (default: 86400)", &lifecycle_day, 1, 86400 },
        { "s3-host", CLI_LIST, "NAME", "BUCKET.NAME is a bucket's host name, as BUCKET.localhost is; may be repeated", &s3_hosts, 0, 0 },
        { "new-object-key", CLI_BOOL, NULL, "make a master key for objects that are encrypted from now on", &new_object_key, 0, 0 },
        { "debug", CLI_STRING, "MODULES", "debug lines of these modules, comma-separated, or 'all'", &debug, 0, 0 },
        CLI_END
    };
    static const struct cli_command head = { "ringstack dev", "A whole cloud in one process, on this machine.", NULL, 0, 0, NULL };
    struct cli_command command = head;

    command.options = options;
    int status = cli_parse(&command, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (!cert != !key)
        return cli_usage(&command, "--tls-cert and --tls-key go together");
    if (strcmp(format, "text") && strcmp(format, "json"))
        return cli_usage(&command, "--log-format is text or json, not '%s'", format);
    status = add_hosts(&plan, &command, &s3_hosts);
    if (status >= 0)
        return status;
    log_set_json(!strcmp(format, "json"));
    log_set_debug(debug);
    if (password && !*password)
        password = NULL;

    umask(077);
    if (take_directory(data) < 0)
        return 1;
    plan.node_id = plan.control_node = 1;
    plan.control = plan.storage = plan.proxy = true;
    plan.data = data;
    plan.nodes[plan.node_count++] = (struct cloud_node) { 1, NULL };
    for (uint32_t i = 0; i < drives; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/drive%u", data, i + 1);
        plan.devices[plan.device_count++] = (struct cloud_device) {
            .id = (uint16_t)i, .node = 1, .region = 1, .zone = 1, .weight = 100, .host = "127.0.0.1", .path = paths[i],
        };
    }
    status = choose_policies(&plan, policy, drives);
    if (status)
        return status;
    plan.listen = listen;
    plan.port_base = (uint16_t)port_base;
    plan.tls_cert = cert;
    plan.tls_key = key;
    plan.admin_password = password;
    plan.credentials = true;
    plan.access_log = access_log;
    plan.new_object_key = new_object_key;
    plan.s3_day_s = (uint32_t)lifecycle_day;
    return cloud_run(&plan);
}
