/* cmd/node.c - `ringstack node`: the roles of one machine, from its configuration
 * file (docs/operations.md, "Configuration of a node"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cli.h"
#include "base/config.h"
#include "base/log.h"
#include "cmd/cloud.h"
#include "cmd/commands.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int try_rc_ = (call);                                                                      \
        if (try_rc_ != 0)                                                                          \
            return try_rc_;                                                                        \
    } while (0)

/* "control storage proxy", in any order. */
static int parse_roles(struct cloud_plan *plan, const char *text, struct error *err)
{
    char copy[128];

    if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
        return error_set(err, -E_SYNTAX, "roles: too long");
    char *rest = copy, *word;
    while ((word = strsep(&rest, " ,")) != NULL) {
        if (!*word)
            continue;
        if (!strcmp(word, "control"))
            plan->control = true;
        else if (!strcmp(word, "storage"))
            plan->storage = true;
        else if (!strcmp(word, "proxy"))
            plan->proxy = true;
        else
            return error_set(err, -E_SYNTAX, "roles: '%s' is none of control, storage, proxy", word);
    }
    if (!plan->control && !plan->storage && !plan->proxy)
        return error_set(err, -E_SYNTAX, "roles: name at least one of control, storage, proxy");
    return 0;
}

static int parse_number(const char *text, uint64_t max, const char *what, uint64_t *ret, struct error *err)
{
    if (!config_parse_u64(text, ret) || *ret > max)
        return error_set(err, -E_SYNTAX, "%s '%s' is not a number up to %llu", what, text, (unsigned long long)max);
    return 0;
}

static int parse_peer(struct cloud_plan *plan, struct config_section *s, struct error *err)
{
    struct cloud_node *node = &plan->nodes[plan->node_count];
    uint64_t           id;

    if (plan->node_count >= CLOUD_NODES_MAX)
        return error_set(err, -E_LIMIT, "more than %d nodes", CLOUD_NODES_MAX);
    TRY(parse_number(config_section_name(s), UINT32_MAX, "node", &id, err));
    if (id == 0)
        return error_set(err, -E_SYNTAX, "node 0: ids begin at 1");
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].id == id)
            return error_set(err, -E_SYNTAX, "node %llu is there twice", (unsigned long long)id);
    node->id = (uint32_t)id;
    TRY(config_string(s, "address", NULL, &node->address, err));
    if (!node->address)
        return error_set(err, -E_SYNTAX, "node %u has no address", node->id);
    plan->node_count++;
    return 0;
}

static int parse_device(struct cloud_plan *plan, struct config_section *s, struct error *err)
{
    struct cloud_device *d = &plan->devices[plan->device_count];
    uint64_t             id, node, region, zone, weight;

    if (plan->device_count >= CLOUD_DEVICES_MAX)
        return error_set(err, -E_LIMIT, "more than %d devices", CLOUD_DEVICES_MAX);
    TRY(parse_number(config_section_name(s), 65533, "device", &id, err));
    for (uint32_t i = 0; i < plan->device_count; i++)
        if (plan->devices[i].id == id)
            return error_set(err, -E_SYNTAX, "device %llu is there twice", (unsigned long long)id);
    TRY(config_u64(s, "node", 0, 1, UINT32_MAX, &node, err));
    TRY(config_u64(s, "region", 1, 1, 65535, &region, err));
    TRY(config_u64(s, "zone", 1, 1, 65535, &zone, err));
    TRY(config_u64(s, "weight", 100, 0, 1000000, &weight, err));
    TRY(config_string(s, "path", NULL, &d->path, err));
    TRY(config_string(s, "host", NULL, &d->host, err));
    if (!d->path)
        return error_set(err, -E_SYNTAX, "device %llu has no path", (unsigned long long)id);
    d->id = (uint16_t)id;
    d->node = (uint32_t)node;
    d->region = (uint32_t)region;
    d->zone = (uint32_t)zone;
    d->weight = (double)weight;
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].id == d->node) {
            if (!d->host)
                d->host = plan->nodes[i].address;
            plan->device_count++;
            return 0;
        }
    return error_set(err, -E_SYNTAX, "device %u is on node %u, which has no [node %u] section", d->id, d->node, d->node);
}

static int parse_policies(struct cloud_plan *plan, const char *names, const char *standard, struct error *err)
{
    char copy[1024];

    if ((size_t)snprintf(copy, sizeof copy, "%s", names) >= sizeof copy)
        return error_set(err, -E_SYNTAX, "policies: too long");
    char *rest = copy, *word;
    while ((word = strsep(&rest, " ,")) != NULL) {
        if (!*word)
            continue;
        if (plan->policy_count >= POLICIES_MAX)
            return error_set(err, -E_LIMIT, "more than %d policies", POLICIES_MAX);
        struct policy *p = &plan->policies[plan->policy_count];
        TRY(policy_parse(word, (uint16_t)plan->policy_count, p, err));
        uint32_t need = policy_fragments(p) > policy_row_replicas(p) ? policy_fragments(p) : policy_row_replicas(p);
        if (need > plan->device_count)
            return error_set(err, -E_SYNTAX, "policy %s needs %u devices; there are %u", word, need, plan->device_count);
        p->is_default = standard ? !strcmp(word, standard) : plan->policy_count == 0;
        plan->policy_count++;
    }
    for (uint32_t i = 0; i < plan->policy_count; i++)
        if (plan->policies[i].is_default)
            return 0;
    return error_set(err, -E_SYNTAX, "default-policy is not among policies");
}

/* Names of the S3 service, separated by blanks or commas. The plan borrows them. */
static int parse_hosts(struct cloud_plan *plan, const char *names, struct error *err)
{
    static char copy[CONFIG_LINE_MAX];
    char       *rest = copy, *word;

    if ((size_t)snprintf(copy, sizeof copy, "%s", names) >= sizeof copy)
        return error_set(err, -E_SYNTAX, "s3-host: too long");
    while ((word = strsep(&rest, " ,")) != NULL)
        if (*word)
            TRY(cloud_add_s3_host(plan, word, err));
    return 0;
}

static int parse_self(struct cloud_plan *plan, struct config *config, struct error *err)
{
    struct config_section *self = config_find(config, "self", "");
    const char            *roles, *password_file, *s3_hosts;
    uint64_t               id, port, lifecycle_day;

    if (!self)
        return error_set(err, -E_SYNTAX, "no [self] section");
    TRY(config_u64(self, "node", 0, 1, UINT32_MAX, &id, err));
    TRY(config_string(self, "roles", "", &roles, err));
    TRY(parse_roles(plan, roles, err));
    TRY(config_string(self, "data", NULL, &plan->data, err));
    TRY(config_string(self, "listen", "127.0.0.1", &plan->listen, err));
    TRY(config_u64(self, "port-base", 0, 0, 65000, &port, err));
    TRY(config_string(self, "tls-cert", NULL, &plan->tls_cert, err));
    TRY(config_string(self, "tls-key", NULL, &plan->tls_key, err));
    TRY(config_bool(self, "access-log", true, &plan->access_log, err));
    TRY(config_u64(self, "s3-day", 86400, 1, 86400, &lifecycle_day, err));
    plan->s3_day_s = (uint32_t)lifecycle_day;
    TRY(config_string(self, "s3-host", "", &s3_hosts, err));
    TRY(parse_hosts(plan, s3_hosts, err));
    TRY(config_string(self, "admin-password-file", NULL, &password_file, err));
    if (!plan->data)
        return error_set(err, -E_SYNTAX, "[self] has no data directory");
    if (!plan->tls_cert != !plan->tls_key)
        return error_set(err, -E_SYNTAX, "tls-cert and tls-key go together");
    plan->node_id = (uint32_t)id;
    plan->port_base = (uint16_t)port;
    if (password_file) {
        static char line[1024];
        FILE       *file = fopen(password_file, "re");
        if (!file || !fgets(line, sizeof line, file)) {
            if (file)
                fclose(file);
            return error_set(err, -EIO, "cannot read %s", password_file);
        }
        fclose(file);
        line[strcspn(line, "\r\n")] = 0;
        plan->admin_password = line;
    }
    return 0;
}

/* RPC between nodes: all of a cluster speak TLS, or none. */
static int parse_tls(struct cloud_plan *plan, struct config *config, struct error *err)
{
    struct config_section *tls = config_find(config, "tls", "");

    if (!tls)
        return 0;
    TRY(config_string(tls, "ca", NULL, &plan->rpc_ca, err));
    TRY(config_string(tls, "cert", NULL, &plan->rpc_cert, err));
    TRY(config_string(tls, "key", NULL, &plan->rpc_key, err));
    if (!plan->rpc_ca || !plan->rpc_cert || !plan->rpc_key)
        return error_set(err, -E_SYNTAX, "[tls] needs ca, cert and key");
    return 0;
}

static int parse_plan(struct cloud_plan *plan, struct config *config, struct error *err)
{
    struct config_section *cluster = config_find(config, "cluster", "");
    const char            *policies, *standard, *id;
    uint64_t               control;

    if (!cluster)
        return error_set(err, -E_SYNTAX, "no [cluster] section");
    TRY(config_string(cluster, "id", "", &id, err));
    char *end;
    plan->cluster_id = strtoull(id, &end, 16);
    if (*end || plan->cluster_id == 0)
        return error_set(err, -E_SYNTAX, "[cluster] id: a hexadecimal number of up to 16 digits, the same on every node");
    for (uint32_t i = 0; i < config_section_count(config); i++) {
        struct config_section *s = config_section_at(config, i);
        if (!strcmp(config_section_kind(s), "node")) {
            config_section_known(s);
            TRY(parse_peer(plan, s, err));
        }
    }
    for (uint32_t i = 0; i < config_section_count(config); i++) {
        struct config_section *s = config_section_at(config, i);
        if (!strcmp(config_section_kind(s), "device")) {
            config_section_known(s);
            TRY(parse_device(plan, s, err));
        }
    }
    TRY(config_u64(cluster, "control-node", 1, 1, UINT32_MAX, &control, err));
    plan->control_node = (uint32_t)control;
    TRY(config_string(cluster, "policies", "replicated-3", &policies, err));
    TRY(config_string(cluster, "default-policy", NULL, &standard, err));
    TRY(parse_policies(plan, policies, standard, err));
    TRY(parse_self(plan, config, err));
    TRY(parse_tls(plan, config, err));
    if (plan->control != (plan->node_id == plan->control_node))
        return error_set(err, -E_SYNTAX, "the control role belongs to node %u (control-node), and to it alone", plan->control_node);
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].id == plan->node_id)
            return config_unknown(config, err);
    return error_set(err, -E_SYNTAX, "this node, %u, has no [node %u] section", plan->node_id, plan->node_id);
}

int cmd_node(int argc, char **argv)
{
    static struct cloud_plan plan;
    const char              *file = NULL, *format = "text", *debug = "";
    struct cli_option        options[] = {
        { "config", CLI_STRING, "FILE", "configuration of this node", &file, 0, 0 },
        { "new-object-key", CLI_BOOL, NULL, "make a master key for objects that are encrypted from now on", &plan.new_object_key, 0, 0 },
        { "log-format", CLI_STRING, "text|json", "form of log lines on stderr (default: text)", &format, 0, 0 },
        { "debug", CLI_STRING, "MODULES", "debug lines of these modules, comma-separated, or 'all'", &debug, 0, 0 },
        CLI_END
    };
    struct cli_command command = { "ringstack node", "The roles of one machine of a cluster.", NULL, 0, 0, options };
    struct config     *config;
    struct error       err;

    int status = cli_parse(&command, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (!file)
        return cli_usage(&command, "--config FILE is needed");
    if (strcmp(format, "text") && strcmp(format, "json"))
        return cli_usage(&command, "--log-format is text or json, not '%s'", format);
    log_set_json(!strcmp(format, "json"));
    log_set_debug(debug);
    if (config_load(file, &config, &err) != 0 || parse_plan(&plan, config, &err) != 0) {
        fprintf(stderr, "ringstack node: %s: %s\n", file, err.text);
        return 2;
    }
    umask(077);
    if (mkdir(plan.data, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "ringstack node: cannot make %s: %s\n", plan.data, strerror(errno));
        return 1;
    }
    status = cloud_run(&plan);
    config_free(config);   /* The plan borrowed its strings. */
    return status;
}
