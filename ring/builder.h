/* ring/builder.h - decides which devices hold which partitions.
 *
 * A builder is what an operator edits: devices come, change weight and go, and
 * builder_rebalance() moves as little as possible to follow. Readers never see
 * it; they get the ring that ring_make() takes from it. Everything is
 * deterministic: time and seed are arguments. One thread at a time. */
#ifndef RING_BUILDER_H
#define RING_BUILDER_H

#include "ring/ring.h"

enum {
    BUILDER_HOURS_MAX = 24 * 365,   /* Of min_part_hours: a year between two moves. */
    BUILDER_OVERLOAD_MAX = 100      /* A device never has to take 100 times its share. */
};

struct builder;

struct builder_options {
    uint8_t  part_power;       /* 0..RING_PART_POWER_MAX: 2^part_power partitions. */
    double   replicas;         /* 1..RING_SET_MAX; 2.5: half of the partitions have 3. */
    double   overload;         /* 0.1: a device may take 10 % over its share for dispersion's sake. */
    uint32_t min_part_hours;   /* Rest of a partition after one of its replicas moved. */
    uint64_t hash_seed;        /* Of the rings made; choose it at random once. */
};

/* Fails with -EINVAL (an option out of bounds) or -ENOMEM. */
int             builder_new(const struct builder_options *options, struct builder **ret_builder,
                            struct error *err);
struct builder *builder_free(struct builder *builder);   /* Accepts NULL; returns NULL. */

const struct builder_options *builder_options(const struct builder *builder);
/* The device with this id, or NULL; removed ones are not found any more. Walk
 * "for (id = 0; id < builder_device_end(); id++)". Borrowed until the next change. */
const struct ring_device *builder_device(const struct builder *builder, uint16_t id);
uint32_t                  builder_device_end(const struct builder *builder);
uint32_t                  builder_device_count(const struct builder *builder);

/* Adds a device. Copies the strings. With 'id' RING_NONE the next id that was
 * never used is chosen; '*ret_id' (may be NULL) tells it. Fails with -EINVAL
 * (a field out of bounds), -EEXIST (id, or host + port + name, in use), -E_LIMIT
 * (too many devices) or -ENOMEM. Nothing moves before the next rebalance. */
int builder_add(struct builder *builder, const struct ring_device *device, uint16_t *ret_id, struct error *err);

/* A device of weight 0 is drained within the limits of min_part_hours. Both
 * fail with -ENOENT or -EINVAL. */
int builder_set_weight(struct builder *builder, uint16_t id, double weight, struct error *err);

/* The device is gone: its replicas are placed anew by the next rebalance, all
 * of them, whatever min_part_hours says. Fails with -ENOENT. */
int builder_remove(struct builder *builder, uint16_t id, struct error *err);

/* Any number for the fields that may change after creation; -EINVAL if out of bounds. */
int builder_set_replicas(struct builder *builder, double replicas, struct error *err);
int builder_set_overload(struct builder *builder, double overload, struct error *err);
int builder_set_min_part_hours(struct builder *builder, uint32_t hours, struct error *err);

struct builder_rebalance {
    uint64_t now;                     /* Seconds since 1970. */
    uint64_t seed;                    /* Equal seeds, equal result. */
    bool     ignore_min_part_hours;
};

struct builder_moves {
    uint64_t placed;    /* Slots that had no device: new, or theirs was removed. */
    uint64_t moved;     /* Slots taken from a device that stays. */
    uint64_t resting;   /* Partitions that min_part_hours kept where they are. */
};

/* Moves at most one replica of a partition (and places what removed devices
 * held). Fails, changing nothing, with -E_UNAVAILABLE (fewer devices with
 * weight than replicas) or -ENOMEM. '*ret_moves' may be NULL. */
int builder_rebalance(struct builder *builder, const struct builder_rebalance *how,
                      struct builder_moves *ret_moves, struct error *err);

struct builder_report {
    uint64_t slots;              /* Replicas of all partitions. */
    uint64_t unplaced;           /* Of them, waiting for a rebalance. */
    double   balance;            /* Per cent: the device farthest from its share by weight. */
    double   balance_mean;       /* Per cent: the mean of that over devices with weight. */
    double   dispersion;         /* Per cent of the slots that share a domain without need. */
    double   overload_needed;    /* The overload at which dispersion could be 0. */
    /* Partitions with two replicas in one domain. */
    uint32_t same_region, same_zone, same_host, same_device;
};

/* Fails with -ENOMEM. */
int builder_report(const struct builder *builder, struct builder_report *ret_report, struct error *err);
/* Slots of each device, by id: 'ret_parts' has builder_device_end() places. */
void builder_parts(const struct builder *builder, uint32_t *ret_parts);
/* What their weights entitle the devices to, in slots, by id; no device to more
 * than one replica of every partition. Fails with -E_UNAVAILABLE (fewer devices
 * with weight than replicas) or -ENOMEM. */
int builder_shares(const struct builder *builder, double *ret_shares, struct error *err);

/* The devices of a partition by slot, RING_NONE where unplaced; returns their
 * number. 'ret_devices' has RING_SET_MAX places. */
unsigned builder_set(const struct builder *builder, uint32_t partition, uint16_t *ret_devices);

/* Checks the builder against its own rules; -E_CORRUPT says what is broken. */
int builder_validate(const struct builder *builder, struct error *err);

/* The ring of epoch 'epoch'. With 'previous', slots that changed since keep
 * their device and list the new one as joining, until ring_settle(); without,
 * everything is where the builder says. Fails with -EINVAL (not rebalanced yet,
 * or 'previous' has another shape) or -ENOMEM. */
int ring_make(const struct builder *builder, uint64_t epoch, const struct ring *previous,
              struct ring **ret_ring, struct error *err);

/* The builder file; see ring_parse() and ring_encode() for the rules. */
int builder_parse(struct slice file, struct builder **ret_builder, struct error *err);
int builder_encode(const struct builder *builder, uint8_t **ret_data, size_t *ret_size, struct error *err);

#endif
