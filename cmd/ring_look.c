/* cmd/ring_look.c - the 'ringstack ring' commands that only look. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ring_file.h"
#include "cmd/ring_private.h"

/* A file that is one or the other. */
struct look {
    struct builder *builder;
    struct ring    *ring;
};

static int look_open(struct look *look, const char *path, struct error *err)
{
    uint8_t *data;
    size_t   size;
    int      rc = ring_file_read(path, &data, &size, err);

    *look = (struct look) { 0 };
    if (rc)
        return rc;
    if (size >= 8 && memcmp(data, "RSTKRING", 8) == 0)
        rc = ring_parse(slice_of(data, size), &look->ring, err);
    else
        rc = builder_parse(slice_of(data, size), &look->builder, err);
    free(data);
    return rc;
}

static void look_close(struct look *look)
{
    look->builder = builder_free(look->builder);
    look->ring = ring_unref(look->ring);
}

static uint32_t look_partitions(const struct look *look)
{
    return look->ring ? ring_partitions(look->ring) : 1u << builder_options(look->builder)->part_power;
}

static uint32_t look_device_end(const struct look *look)
{
    return look->ring ? ring_device_end(look->ring) : builder_device_end(look->builder);
}

static const struct ring_device *look_device(const struct look *look, uint16_t id)
{
    return look->ring ? ring_device(look->ring, id) : builder_device(look->builder, id);
}

static unsigned look_set(const struct look *look, uint32_t partition, struct ring_set *set)
{
    if (look->ring) {
        ring_lookup(look->ring, partition, set);
        return set->count;
    }
    for (unsigned r = 0; r < RING_SET_MAX; r++)
        set->joining[r] = RING_NONE;
    set->count = (uint8_t)builder_set(look->builder, partition, set->device);
    return set->count;
}

/* One line a partition, device ids by blanks; -1 where nothing is placed. */
static int show_assignments(const struct look *look)
{
    for (uint32_t p = 0; p < look_partitions(look); p++) {
        struct ring_set set;
        unsigned        count = look_set(look, p, &set);
        for (unsigned r = 0; r < count; r++) {
            if (r)
                putchar(' ');
            if (set.device[r] == RING_NONE)
                fputs("-1", stdout);
            else
                printf("%u", set.device[r]);
        }
        putchar('\n');
    }
    return 0;
}

static json_t *device_json(const struct ring_device *d)
{
    return json_pack("{s:i, s:I, s:I, s:s, s:i, s:s, s:f, s:I}", "id", d->id, "region", (json_int_t)d->region, "zone",
                     (json_int_t)d->zone, "host", d->host, "port", d->port, "device", d->name, "weight", d->weight,
                     "node", (json_int_t)d->node);
}

/* Prints and frees; returns the exit status. */
static int print_json(const struct cli_command *command, json_t *value)
{
    int rc = value ? json_dumpf(value, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) : -1;

    json_decref(value);
    if (rc) {
        fprintf(stderr, "%s: cannot print JSON (no memory, or a name that is not UTF-8)\n", command->name);
        return 1;
    }
    putchar('\n');
    return 0;
}

/* What is counted by device, for both kinds of file. */
static uint32_t *count_parts(const struct look *look)
{
    uint32_t *parts = calloc((size_t)look_device_end(look) + 1, sizeof(*parts));

    for (uint32_t p = 0; parts && p < look_partitions(look); p++) {
        struct ring_set set;
        unsigned        count = look_set(look, p, &set);
        for (unsigned r = 0; r < count; r++)
            if (set.device[r] != RING_NONE)
                parts[set.device[r]]++;
    }
    return parts;
}

static json_t *summary_json(const struct look *look, const struct builder_report *report)
{
    const struct builder_options *o;

    if (look->ring)
        return json_pack("{s:s, s:I, s:i, s:I, s:i, s:I}", "kind", "ring", "epoch", (json_int_t)ring_epoch(look->ring),
                         "part_power", (int)ring_part_power(look->ring), "partitions",
                         (json_int_t)ring_partitions(look->ring), "replicas", (int)ring_replicas(look->ring), "moving",
                         (json_int_t)ring_moving(look->ring));
    o = builder_options(look->builder);
    return json_pack("{s:s, s:i, s:I, s:f, s:f, s:I, s:I, s:I, s:f, s:f, s:f}", "kind", "builder", "part_power",
                     (int)o->part_power, "partitions", (json_int_t)look_partitions(look), "replicas", o->replicas,
                     "overload", o->overload, "min_part_hours", (json_int_t)o->min_part_hours, "slots",
                     (json_int_t)report->slots, "unplaced", (json_int_t)report->unplaced, "balance", report->balance,
                     "balance_mean", report->balance_mean, "dispersion", report->dispersion);
}

static int show_json(const struct cli_command *command, const struct look *look, const struct builder_report *report,
                     const uint32_t *parts)
{
    json_t *all = summary_json(look, report), *devices = json_array();

    for (uint32_t id = 0; id < look_device_end(look); id++) {
        const struct ring_device *d = look_device(look, (uint16_t)id);
        json_t                   *one = d ? device_json(d) : NULL;
        if (!d)
            continue;
        json_object_set_new(one, "parts", json_integer(parts[id]));
        json_array_append_new(devices, one);
    }
    json_object_set_new(all, "devices", devices);
    return print_json(command, all);
}

static void show_text(const struct look *look, const struct builder_report *report, const uint32_t *parts)
{
    if (look->ring) {
        printf("ring of epoch %llu: %u partitions, %u replicas, %llu replicas moving\n",
               (unsigned long long)ring_epoch(look->ring), ring_partitions(look->ring), ring_replicas(look->ring),
               (unsigned long long)ring_moving(look->ring));
    } else {
        const struct builder_options *o = builder_options(look->builder);
        printf("builder: %u partitions, %g replicas, overload %g, min-part-hours %u\n", look_partitions(look),
               o->replicas, o->overload, o->min_part_hours);
        printf("balance %.3f %% (mean %.3f %%), dispersion %.3f %%, %llu replicas not placed\n", report->balance,
               report->balance_mean, report->dispersion, (unsigned long long)report->unplaced);
    }
    printf("%5s %6s %5s %-21s %-10s %5s %10s %8s\n", "id", "region", "zone", "host:port", "device", "node", "weight",
           "parts");
    for (uint32_t id = 0; id < look_device_end(look); id++) {
        const struct ring_device *d = look_device(look, (uint16_t)id);
        char                      address[RING_HOST_MAX + 8];
        if (!d)
            continue;
        snprintf(address, sizeof(address), "%s:%u", d->host, d->port);
        printf("%5u %6u %5u %-21s %-10s %5u %10g %8u\n", id, d->region, d->zone, address, d->name, d->node, d->weight,
               parts[id]);
    }
}

int ring_show(int argc, char **argv)
{
    bool                    assignments = false, json = false;
    const struct cli_option options[] = {
        { "assignments", CLI_BOOL, NULL, "one line a partition: device ids by blanks, -1 for none", &assignments, 0, 0 },
        { "json", CLI_BOOL, NULL, "print JSON", &json, 0, 0 },
        CLI_END
    };
    const struct cli_command command = { "ringstack ring show", "Prints what a builder or ring file says.", "FILE", 1, 1,
                                         options };
    struct builder_report report = { 0 };
    struct look           look;
    struct error          err;
    uint32_t             *parts = NULL;
    int                   status = cli_parse(&command, argc, argv, NULL), rc;

    if (status >= 0)
        return status;
    rc = look_open(&look, argv[1], &err);
    if (!rc && look.builder)
        rc = builder_report(look.builder, &report, &err);
    if (!rc && !assignments && !(parts = count_parts(&look)))
        rc = error_set(&err, -ENOMEM, "no memory to count partitions");
    if (rc)
        status = ring_failed(&command, &err);
    else if (assignments)
        status = show_assignments(&look);
    else if (json)
        status = show_json(&command, &look, &report, parts);
    else
        show_text(&look, &report, parts), status = 0;
    free(parts);
    look_close(&look);
    return status;
}

int ring_validate(int argc, char **argv)
{
    bool                    json = false;
    const struct cli_option options[] = { { "json", CLI_BOOL, NULL, "print JSON", &json, 0, 0 }, CLI_END };
    const struct cli_command command = { "ringstack ring validate",
                                         "Checks a builder or ring file; exits 1 if it is damaged or incomplete.", "FILE",
                                         1, 1, options };
    struct builder_report report = { 0 };
    struct look           look;
    struct error          err;
    int                   status = cli_parse(&command, argc, argv, NULL), rc;

    if (status >= 0)
        return status;
    rc = look_open(&look, argv[1], &err);   /* Reading checks everything but completeness. */
    if (!rc && look.builder)
        rc = builder_report(look.builder, &report, &err);
    if (!rc && report.unplaced)
        rc = error_set(&err, -EINVAL, "%llu replicas are not placed; run 'ringstack ring rebalance %s'",
                       (unsigned long long)report.unplaced, argv[1]);
    look_close(&look);
    if (json)
        printf("{\"valid\": %s}\n", rc ? "false" : "true");
    else if (!rc)
        printf("%s is valid\n", argv[1]);
    return rc ? ring_failed(&command, &err) : 0;
}

int ring_dispersion(int argc, char **argv)
{
    bool                    json = false;
    const struct cli_option options[] = { { "json", CLI_BOOL, NULL, "print JSON", &json, 0, 0 }, CLI_END };
    const struct cli_command command = { "ringstack ring dispersion",
                                         "Says how many replicas share a domain although they need not.", "FILE", 1, 1,
                                         options };
    struct builder_report r;
    struct builder       *builder = NULL;
    struct error          err;
    int                   status = cli_parse(&command, argc, argv, NULL), rc;

    if (status >= 0)
        return status;
    rc = ring_read_builder(argv[1], &builder, &err);
    if (!rc)
        rc = builder_report(builder, &r, &err);
    builder_free(builder);
    if (rc)
        return ring_failed(&command, &err);
    if (json) {
        printf("{\"dispersion\": %.3f, \"overload_needed\": %.6f, \"same_region\": %u, \"same_zone\": %u, "
               "\"same_host\": %u, \"same_device\": %u}\n",
               r.dispersion, r.overload_needed, r.same_region, r.same_zone, r.same_host, r.same_device);
        return 0;
    }
    printf("dispersion %.3f %% of replicas share a domain without need", r.dispersion);
    if (r.overload_needed > 0)
        printf("; overload %.4f would allow 0", r.overload_needed);
    printf("\npartitions with two replicas in one region %u, zone %u, host %u, device %u\n", r.same_region, r.same_zone,
           r.same_host, r.same_device);
    return 0;
}

/* The handoffs of a ring's partition, at most 'max'. */
static unsigned find_handoffs(const struct ring *ring, uint32_t partition, unsigned max, uint16_t *ret_ids)
{
    struct ring_handoff walk;
    unsigned            count = 0;
    uint16_t            id;

    ring_handoff_init(&walk, ring, partition);
    while (count < max && (id = ring_handoff_next(&walk)) != RING_NONE)
        ret_ids[count++] = id;
    return count;
}

static void print_slot(const struct look *look, const char *role, unsigned slot, uint16_t id)
{
    const struct ring_device *d = id == RING_NONE ? NULL : look_device(look, id);

    if (!d)
        printf("%-8s %2u  not placed yet\n", role, slot);
    else
        printf("%-8s %2u  device %u  %s:%u/%s  region %u zone %u node %u\n", role, slot, id, d->host, d->port, d->name,
               d->region, d->zone, d->node);
}

static int print_set(const struct cli_command *command, const struct look *look, uint32_t partition,
                     const uint16_t *handoff, unsigned handoffs, bool json)
{
    struct ring_set set;
    unsigned        count = look_set(look, partition, &set);
    json_t         *all, *slots, *others;

    if (!json) {
        printf("partition %u\n", partition);
        for (unsigned r = 0; r < count; r++) {
            print_slot(look, "slot", r, set.device[r]);
            if (set.joining[r] != RING_NONE)
                print_slot(look, "joining", r, set.joining[r]);
        }
        for (unsigned i = 0; i < handoffs; i++)
            print_slot(look, "handoff", i, handoff[i]);
        return 0;
    }
    all = json_pack("{s:I}", "partition", (json_int_t)partition);
    slots = json_array();
    others = json_array();
    for (unsigned r = 0; r < count; r++) {
        const struct ring_device *d = set.device[r] == RING_NONE ? NULL : look_device(look, set.device[r]);
        json_t                   *one = d ? device_json(d) : json_null();
        if (d && set.joining[r] != RING_NONE)
            json_object_set_new(one, "joining", device_json(look_device(look, set.joining[r])));
        json_array_append_new(slots, one);
    }
    for (unsigned i = 0; i < handoffs; i++)
        json_array_append_new(others, device_json(look_device(look, handoff[i])));
    json_object_set_new(all, "slots", slots);
    json_object_set_new(all, "handoffs", others);
    return print_json(command, all);
}

int ring_find(int argc, char **argv)
{
    uint64_t                partition = UINT64_MAX, max = 3;
    bool                    json = false;
    const struct cli_option options[] = {
        { "partition", CLI_U64, "N", "this one, instead of a key's", &partition, 0, UINT32_MAX },
        { "handoffs", CLI_U64, "N", "how many to list (default 3)", &max, 0, RING_HANDOFF_MAX },
        { "json", CLI_BOOL, NULL, "print JSON", &json, 0, 0 },
        CLI_END
    };
    const struct cli_command command = { "ringstack ring lookup", "Prints the devices of a key or partition.",
                                         "FILE [KEY]", 1, 2, options };
    uint16_t     handoff[RING_HANDOFF_MAX];
    unsigned     handoffs = 0;
    struct look  look;
    struct ring *ring = NULL;
    struct error err;
    int          operands, status = cli_parse(&command, argc, argv, &operands), rc;

    if (status >= 0)
        return status;
    if ((partition == UINT64_MAX) == (operands < 2))
        return cli_usage(&command, "give a KEY or --partition N, one of them");
    rc = look_open(&look, argv[1], &err);
    if (!rc && partition != UINT64_MAX && partition >= look_partitions(&look))
        rc = error_set(&err, -EINVAL, "partitions are 0..%u", look_partitions(&look) - 1);
    if (!rc && look.builder && partition == UINT64_MAX)   /* The ring hashes keys. */
        rc = ring_make(look.builder, 1, NULL, &ring, &err);
    if (!rc && partition == UINT64_MAX)
        partition = ring_partition(look.ring ? look.ring : ring, slice_str(argv[2]));
    if (!rc && (look.ring || ring))
        handoffs = find_handoffs(look.ring ? look.ring : ring, (uint32_t)partition, (unsigned)max, handoff);
    status = rc ? ring_failed(&command, &err)
                : print_set(&command, &look, (uint32_t)partition, handoff, handoffs, json);
    ring_unref(ring);
    look_close(&look);
    return status;
}
