/* cmd/ring.c - 'ringstack ring': edits builder files and writes ring files, offline.
 *
 * The commands that only look are in cmd/ring_look.c. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "cmd/ring_file.h"
#include "cmd/ring_private.h"

int ring_failed(const struct cli_command *command, const struct error *err)
{
    fprintf(stderr, "%s: %s\n", command->name, err->text);
    return 1;
}

bool ring_number(const char *text, double *ret_value)
{
    char  *end;
    double value;

    if (!text || !*text || strchr(" \t\n", *text))
        return false;
    value = strtod(text, &end);
    if (*end || !isfinite(value))
        return false;
    *ret_value = value;
    return true;
}

bool ring_id(const char *text, uint16_t *ret_id)
{
    double value;

    if (!ring_number(text, &value) || value < 0 || value >= RING_DEVICES_MAX || value != floor(value))
        return false;
    *ret_id = (uint16_t)value;
    return true;
}

int ring_read_builder(const char *path, struct builder **ret_builder, struct error *err)
{
    uint8_t *data;
    size_t   size;
    int      rc = ring_file_read(path, &data, &size, err);

    if (rc)
        return rc;
    rc = builder_parse(slice_of(data, size), ret_builder, err);
    free(data);
    return rc;
}

int ring_read_ring(const char *path, struct ring **ret_ring, struct error *err)
{
    uint8_t *data;
    size_t   size;
    int      rc = ring_file_read(path, &data, &size, err);

    if (rc)
        return rc;
    rc = ring_parse(slice_of(data, size), ret_ring, err);
    free(data);
    return rc;
}

int ring_edit_open(struct ring_edit *edit, const char *path, struct error *err)
{
    int rc;

    *edit = (struct ring_edit) { .path = path, .lock = -1 };
    rc = ring_file_lock(path, &edit->lock, err);
    if (!rc)
        rc = ring_read_builder(path, &edit->builder, err);
    return rc;
}

int ring_edit_save(struct ring_edit *edit, struct error *err)
{
    uint8_t *data;
    size_t   size;
    int      rc = builder_encode(edit->builder, &data, &size, err);

    if (rc)
        return rc;
    rc = ring_file_write(edit->path, slice_of(data, size), false, err);
    free(data);
    return rc;
}

void ring_edit_close(struct ring_edit *edit)
{
    edit->builder = builder_free(edit->builder);
    if (edit->lock >= 0)
        close(edit->lock);
    edit->lock = -1;
}

/* Saves when 'rc' is 0; closes in any case; returns the exit status. */
static int finish(const struct cli_command *command, struct ring_edit *edit, int rc, struct error *err)
{
    if (!rc)
        rc = ring_edit_save(edit, err);
    ring_edit_close(edit);
    return rc ? ring_failed(command, err) : 0;
}

static int ring_create(int argc, char **argv)
{
    const char *replicas = "3", *overload = "0";
    uint64_t    part_power = UINT64_MAX, hours = 1, hash_seed = 0;
    const struct cli_option options[] = {
        { "part-power", CLI_U64, "N", "2^N partitions; aim at 100 and more for each device ever", &part_power, 0,
          RING_PART_POWER_MAX },
        { "replicas", CLI_STRING, "R", "replicas, or k+m; may have a fraction (default 3)", &replicas, 0, 0 },
        { "min-part-hours", CLI_U64, "H", "rest of a partition after a move (default 1)", &hours, 0, BUILDER_HOURS_MAX },
        { "overload", CLI_STRING, "F", "what a device may take over its share for dispersion, 0.1 is 10 %", &overload,
          0, 0 },
        { "hash-seed", CLI_U64, "N", "how keys are hashed (default: at random)", &hash_seed, 0, 0 },
        CLI_END
    };
    const struct cli_command command = { "ringstack ring create", "Makes a builder file without devices.", "FILE", 1, 1,
                                         options };
    struct builder_options how = { 0 };
    struct builder        *builder = NULL;
    struct error           err;
    uint8_t               *data = NULL;
    size_t                 size;
    int                    status = cli_parse(&command, argc, argv, NULL), rc;

    if (status >= 0)
        return status;
    if (part_power == UINT64_MAX)
        return cli_usage(&command, "--part-power is missing");
    if (!ring_number(replicas, &how.replicas))
        return cli_usage(&command, "--replicas takes a number, not '%s'", replicas);
    if (!ring_number(overload, &how.overload))
        return cli_usage(&command, "--overload takes a number, not '%s'", overload);
    how.part_power = (uint8_t)part_power;
    how.min_part_hours = (uint32_t)hours;
    how.hash_seed = hash_seed;
    if (!hash_seed && getrandom(&how.hash_seed, sizeof(how.hash_seed), 0) != sizeof(how.hash_seed)) {
        fprintf(stderr, "%s: no randomness from the kernel; give --hash-seed\n", command.name);
        return 1;
    }
    rc = builder_new(&how, &builder, &err);
    if (!rc)
        rc = builder_encode(builder, &data, &size, &err);
    if (!rc)
        rc = ring_file_write(argv[1], slice_of(data, size), true, &err);
    free(data);
    builder_free(builder);
    return rc ? ring_failed(&command, &err) : 0;
}

/* One number of a device in JSON, from 'low' to 'high'. */
static int json_u64(const json_t *object, const char *key, uint64_t missing, uint64_t high, uint64_t *ret_value,
                    struct error *err)
{
    const json_t *value = json_object_get(object, key);

    if (!value) {
        *ret_value = missing;
        return 0;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > high)
        return error_set(err, -EINVAL, "\"%s\" must be 0..%llu", key, (unsigned long long)high);
    *ret_value = (uint64_t)json_integer_value(value);
    return 0;
}

static int add_json_device(struct builder *builder, const json_t *object, struct error *err)
{
    struct ring_device device = { 0 };
    const json_t      *weight = json_object_get(object, "weight");
    const char        *host = json_string_value(json_object_get(object, "host"));
    uint64_t           id, region, zone, port, node;
    int                rc;

    if (!json_is_object(object))
        return error_set(err, -EINVAL, "a device is a JSON object");
    rc = json_u64(object, "id", RING_NONE, RING_DEVICES_MAX - 1, &id, err);
    if (!rc)
        rc = json_u64(object, "region", 1, UINT32_MAX, &region, err);
    if (!rc)
        rc = json_u64(object, "zone", 1, UINT32_MAX, &zone, err);
    if (!rc)
        rc = json_u64(object, "port", 0, UINT16_MAX, &port, err);
    if (!rc)
        rc = json_u64(object, "node", 0, UINT32_MAX, &node, err);
    if (rc)
        return rc;
    if (!json_is_number(weight))
        return error_set(err, -EINVAL, "\"weight\" must be a number");
    device.id = (uint16_t)id;
    device.region = (uint32_t)region;
    device.zone = (uint32_t)zone;
    device.port = (uint16_t)port;
    device.node = (uint32_t)node;
    device.weight = json_number_value(weight);
    device.host = host ? host : json_string_value(json_object_get(object, "ip"));
    device.name = json_string_value(json_object_get(object, "device"));
    return builder_add(builder, &device, NULL, err);
}

/* JSON values one after another: devices, or arrays of them. */
static int add_json(struct builder *builder, const char *path, struct error *err)
{
    FILE    *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    uint64_t count = 0;
    int      rc = 0;

    if (!in)
        return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    while (!rc) {
        json_error_t trouble;
        json_t      *value;
        int          c;
        while ((c = getc(in)) != EOF && strchr(" \t\r\n", c))
            ;
        if (c == EOF)
            break;
        ungetc(c, in);
        value = json_loadf(in, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &trouble);
        if (!value) {
            rc = error_set(err, -E_SYNTAX, "%s, after %llu devices: %s", path, (unsigned long long)count, trouble.text);
            break;
        }
        for (size_t i = 0; !rc && i < (json_is_array(value) ? json_array_size(value) : 1); i++) {
            struct error why;
            rc = add_json_device(builder, json_is_array(value) ? json_array_get(value, i) : value, &why);
            if (rc)
                rc = error_set(err, rc, "%s, device %llu: %.200s", path, (unsigned long long)count + 1, why.text);
            count++;
        }
        json_decref(value);
    }
    if (in != stdin)
        fclose(in);
    if (!rc && !count)
        rc = error_set(err, -EINVAL, "%s has no devices", path);
    return rc;
}

static int ring_add(int argc, char **argv)
{
    const char *from = NULL, *host = NULL, *name = NULL, *weight = NULL, *id = NULL;
    uint64_t    region = 1, zone = 1, port = 0, node = 0;
    bool        json = false;
    const struct cli_option options[] = {
        { "host", CLI_STRING, "HOST", "name or address; devices of one host fail together", &host, 0, 0 },
        { "port", CLI_U64, "N", "where its process listens", &port, 0, UINT16_MAX },
        { "device", CLI_STRING, "NAME", "the device's name on that host", &name, 0, 0 },
        { "weight", CLI_STRING, "W", "its share, in any unit; 0 for none yet", &weight, 0, 0 },
        { "region", CLI_U64, "N", "(default 1)", &region, 0, UINT32_MAX },
        { "zone", CLI_U64, "N", "within the region (default 1)", &zone, 0, UINT32_MAX },
        { "node", CLI_U64, "N", "the process that serves it", &node, 0, UINT32_MAX },
        { "id", CLI_STRING, "N", "its id (default: the next that was never used)", &id, 0, 0 },
        { "from", CLI_STRING, "JSONFILE", "many at once, - for stdin: objects with id, region, zone, host or ip, port, device, weight, node",
          &from, 0, 0 },
        { "json", CLI_BOOL, NULL, "print JSON", &json, 0, 0 },
        CLI_END
    };
    const struct cli_command command = { "ringstack ring add", "Adds devices to a builder; rebalance gives them partitions.",
                                         "FILE", 1, 1, options };
    struct ring_device device = { .id = RING_NONE };
    struct ring_edit   edit;
    struct error       err;
    uint32_t           before = 0, after = 0;
    int                status = cli_parse(&command, argc, argv, NULL), rc;

    if (status >= 0)
        return status;
    if (!from && (!host || !name || !weight))
        return cli_usage(&command, "--host, --device and --weight are needed, or --from");
    if (from && (host || name || weight || id))
        return cli_usage(&command, "--from stands alone: its file says everything");
    if (weight && !ring_number(weight, &device.weight))
        return cli_usage(&command, "--weight takes a number, not '%s'", weight);
    if (id && !ring_id(id, &device.id))
        return cli_usage(&command, "--id takes 0..%d, not '%s'", RING_DEVICES_MAX - 1, id);
    device.region = (uint32_t)region;
    device.zone = (uint32_t)zone;
    device.port = (uint16_t)port;
    device.node = (uint32_t)node;
    device.host = host;
    device.name = name;
    rc = ring_edit_open(&edit, argv[1], &err);
    if (!rc) {
        before = builder_device_count(edit.builder);
        rc = from ? add_json(edit.builder, from, &err) : builder_add(edit.builder, &device, &device.id, &err);
        after = builder_device_count(edit.builder);
    }
    status = finish(&command, &edit, rc, &err);
    if (status)
        return status;
    if (json)
        printf("{\"added\": %u, \"devices\": %u}\n", after - before, after);
    else
        printf("added %u, now %u devices\n", after - before, after);
    return 0;
}

static int ring_set_weight(int argc, char **argv)
{
    const struct cli_option  options[] = { CLI_END };
    const struct cli_command command = { "ringstack ring set-weight",
                                         "Changes a device's share; 0 drains it within min-part-hours.",
                                         "FILE ID WEIGHT", 3, 3, options };
    struct ring_edit edit;
    struct error     err;
    uint16_t         id;
    double           weight;
    int              status = cli_parse(&command, argc, argv, NULL), rc;

    if (status >= 0)
        return status;
    if (!ring_id(argv[2], &id))
        return cli_usage(&command, "'%s' is no device id", argv[2]);
    if (!ring_number(argv[3], &weight))
        return cli_usage(&command, "'%s' is no weight", argv[3]);
    rc = ring_edit_open(&edit, argv[1], &err);
    if (!rc)
        rc = builder_set_weight(edit.builder, id, weight, &err);
    return finish(&command, &edit, rc, &err);
}

static int ring_remove(int argc, char **argv)
{
    const struct cli_option  options[] = { CLI_END };
    const struct cli_command command = { "ringstack ring remove",
                                         "Takes lost devices out; rebalance places all their replicas at once.",
                                         "FILE ID...", 2, RING_DEVICES_MAX, options };
    struct ring_edit edit;
    struct error     err;
    int              operands, status = cli_parse(&command, argc, argv, &operands), rc;

    if (status >= 0)
        return status;
    rc = ring_edit_open(&edit, argv[1], &err);
    for (int i = 2; !rc && i <= operands; i++) {
        uint16_t id;
        if (!ring_id(argv[i], &id)) {
            ring_edit_close(&edit);
            return cli_usage(&command, "'%s' is no device id", argv[i]);
        }
        rc = builder_remove(edit.builder, id, &err);
    }
    return finish(&command, &edit, rc, &err);
}

static int ring_set(int argc, char **argv)
{
    const char *replicas = NULL, *overload = NULL, *hours = NULL;
    const struct cli_option options[] = {
        { "replicas", CLI_STRING, "R", "replicas, or k+m", &replicas, 0, 0 },
        { "overload", CLI_STRING, "F", "0.1 is 10 %", &overload, 0, 0 },
        { "min-part-hours", CLI_STRING, "H", "rest of a partition after a move", &hours, 0, 0 },
        CLI_END
    };
    const struct cli_command command = { "ringstack ring set", "Changes what may change after create.", "FILE", 1, 1,
                                         options };
    struct ring_edit edit;
    struct error     err;
    double           r = 0, f = 0, h = 0;
    int              status = cli_parse(&command, argc, argv, NULL), rc;

    if (status >= 0)
        return status;
    if (!replicas && !overload && !hours)
        return cli_usage(&command, "nothing to set");
    if ((replicas && !ring_number(replicas, &r)) || (overload && !ring_number(overload, &f)) ||
        (hours && (!ring_number(hours, &h) || h < 0 || h > BUILDER_HOURS_MAX || h != floor(h))))
        return cli_usage(&command, "not a number that fits");
    rc = ring_edit_open(&edit, argv[1], &err);
    if (!rc && replicas)
        rc = builder_set_replicas(edit.builder, r, &err);
    if (!rc && overload)
        rc = builder_set_overload(edit.builder, f, &err);
    if (!rc && hours)
        rc = builder_set_min_part_hours(edit.builder, (uint32_t)h, &err);
    return finish(&command, &edit, rc, &err);
}

/* Writes the ring of the builder, joint with 'previous' where that is given. */
static int write_ring(const struct builder *builder, const char *path, const char *previous_path, uint64_t epoch,
                      struct error *err)
{
    struct ring *previous = NULL, *ring = NULL;
    uint8_t     *data = NULL;
    size_t       size = 0;
    int          rc = previous_path ? ring_read_ring(previous_path, &previous, err) : 0;

    if (!rc && epoch == 0)
        epoch = previous ? ring_epoch(previous) + 1 : 1;
    if (!rc)
        rc = ring_make(builder, epoch, previous, &ring, err);
    if (!rc)
        rc = ring_encode(ring, &data, &size, err);
    if (!rc)
        rc = ring_file_write(path, slice_of(data, size), false, err);
    free(data);
    ring_unref(ring);
    ring_unref(previous);
    return rc;
}

static void print_moves(const struct builder_moves *moves, const struct builder_report *report, double seconds,
                        double cpu_seconds, bool json)
{
    if (json) {
        printf("{\"placed\": %llu, \"moved\": %llu, \"resting_partitions\": %llu, \"slots\": %llu, \"balance\": %.3f, "
               "\"balance_mean\": %.3f, \"dispersion\": %.3f, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
               (unsigned long long)moves->placed, (unsigned long long)moves->moved,
               (unsigned long long)moves->resting, (unsigned long long)report->slots, report->balance,
               report->balance_mean, report->dispersion, seconds, cpu_seconds);
        return;
    }
    printf("moved %llu and placed %llu of %llu replicas in %.3f s; balance %.3f %%, dispersion %.3f %%\n",
           (unsigned long long)moves->moved, (unsigned long long)moves->placed, (unsigned long long)report->slots,
           seconds, report->balance, report->dispersion);
    if (moves->resting)
        printf("%llu partitions rest until min-part-hours are over\n", (unsigned long long)moves->resting);
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int ring_rebalance(int argc, char **argv)
{
    struct builder_rebalance how = { .now = (uint64_t)time(NULL), .seed = 1 };
    const char              *ring_path = NULL, *previous = NULL;
    uint64_t                 epoch = 0;
    bool                     json = false;
    const struct cli_option  options[] = {
        { "seed", CLI_U64, "N", "decides among equals: same seed, same result (default 1)", &how.seed, 0, 0 },
        { "ignore-min-part-hours", CLI_BOOL, NULL, "move partitions that should rest", &how.ignore_min_part_hours, 0, 0 },
        { "now", CLI_U64, "SECONDS", "since 1970 (default: the clock)", &how.now, 0, 0 },
        { "ring", CLI_STRING, "FILE", "also write the ring file", &ring_path, 0, 0 },
        { "previous", CLI_STRING, "FILE", "ring in use: what moves is listed as joining", &previous, 0, 0 },
        { "epoch", CLI_U64, "N", "of that ring (default: one more than the previous, or 1)", &epoch, 0, 0 },
        { "json", CLI_BOOL, NULL, "print JSON", &json, 0, 0 },
        CLI_END
    };
    const struct cli_command command = { "ringstack ring rebalance",
                                         "Moves as little as possible to follow the devices, one replica a partition.",
                                         "FILE", 1, 1, options };
    struct builder_moves  moves = { 0 };
    struct builder_report report = { 0 };
    struct ring_edit      edit;
    struct error          err;
    double                wall = 0, cpu = 0;
    int                   status = cli_parse(&command, argc, argv, NULL), rc;

    if (status >= 0)
        return status;
    if (!ring_path && (previous || epoch))
        return cli_usage(&command, "--previous and --epoch go with --ring");
    rc = ring_edit_open(&edit, argv[1], &err);
    if (!rc) {
        wall = seconds_of(CLOCK_MONOTONIC);
        cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        rc = builder_rebalance(edit.builder, &how, &moves, &err);
        wall = seconds_of(CLOCK_MONOTONIC) - wall;
        cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    }
    if (!rc)
        rc = builder_report(edit.builder, &report, &err);
    /* The builder first: a ring that it does not know of could not be built upon. */
    if (!rc)
        rc = ring_edit_save(&edit, &err);
    if (!rc && ring_path)
        rc = write_ring(edit.builder, ring_path, previous, epoch, &err);
    ring_edit_close(&edit);
    if (rc)
        return ring_failed(&command, &err);
    print_moves(&moves, &report, wall, cpu, json);
    return 0;
}

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "create", "make a builder file", ring_create },
    { "add", "add devices", ring_add },
    { "set-weight", "change a device's share", ring_set_weight },
    { "remove", "take devices out", ring_remove },
    { "set", "change replicas, overload, min-part-hours", ring_set },
    { "rebalance", "move what has to move, write the ring", ring_rebalance },
    { "show", "options, devices, balance; assignments", ring_show },
    { "validate", "check a builder or ring file", ring_validate },
    { "dispersion", "how well replicas are spread over domains", ring_dispersion },
    { "lookup", "the devices of a key or partition", ring_find },
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

int cmd_ring(int argc, char **argv)
{
    bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

    for (size_t i = 0; i < COMMANDS && argc > 1; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (argc > 1 && !help) {
        fprintf(stderr, "ringstack ring: unknown command '%s'; see ringstack ring --help\n", argv[1]);
        return 2;
    }
    fprintf(help ? stdout : stderr, "usage: ringstack ring COMMAND [OPTION]... FILE\n"
                                    "Builds rings, offline, in a builder file.\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(help ? stdout : stderr, "  %-12s %s\n", commands[i].name, commands[i].summary);
    return help ? 0 : 2;
}
