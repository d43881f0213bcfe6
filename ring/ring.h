/* ring/ring.h - which devices hold a partition.
 *
 * A ring is one immutable epoch: the builder writes it, the control store
 * announces it, everybody else reads it. Any thread may use a ring that it
 * references. Nothing here does I/O, reads a clock or draws random numbers. */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    RING_SET_MAX = 32,           /* Replicas, or k + m, of one partition. */
    RING_NONE = UINT16_MAX,      /* "No device". */
    RING_DEVICES_MAX = 65534,    /* Ids are 0..65533: they fit 16 bits and leave RING_NONE. */
    RING_PART_POWER_MAX = 24,    /* 16 M partitions: 1,600 a device at the most devices. */
    RING_SLOTS_MAX = 1 << 27,    /* Partitions x replicas: 256 MiB of table. */
    RING_HOST_MAX = 255,         /* Bytes of a host name, as in DNS. */
    RING_NAME_MAX = 127,         /* Bytes of a device name. */
    RING_HANDOFF_MAX = 64        /* Handoffs one walk yields; past that many failures, give up. */
};

struct ring;

struct ring_set {
    uint64_t epoch;                  /* Sent with every request that uses the set. */
    uint8_t  count;                  /* Slots in use: replicas, or k + m. */
    uint16_t device[RING_SET_MAX];   /* By slot: who holds it now. */
    uint16_t joining[RING_SET_MAX];  /* By slot: who takes over, or RING_NONE. */
};

/* One device. Strings are NUL-terminated and belong to the ring or builder. */
struct ring_device {
    uint16_t    id;
    uint16_t    port;
    uint32_t    region, zone;   /* A zone's number counts within its region. */
    uint32_t    node;           /* The process that serves it; 0: unknown. */
    double      weight;         /* 0: no partition should be here. */
    const char *host;           /* Name or address: the failure domain below the zone. */
    const char *name;           /* Of the device on that host. */
};

/* What a ring is made of; borrowed for the call. Slot r of partition p is at
 * index p * replicas + r. When the replica count is fractional, only the
 * partitions below 'full' have the last slot; RING_NONE stands in the others. */
struct ring_spec {
    uint64_t                  epoch;
    uint64_t                  hash_seed;   /* Keys of two rings spread independently. */
    uint8_t                   part_power;
    uint8_t                   replicas;    /* Rounded up. */
    uint32_t                  full;        /* Partitions with all 'replicas' slots. */
    const struct ring_device *devices;     /* Any order, unique ids. */
    uint32_t                  device_count;
    const uint16_t           *device;
    const uint16_t           *joining;     /* Or NULL: nothing moves. */
};

/* Checks everything: fails with -EINVAL (what the text says) or -ENOMEM. */
int ring_new(const struct ring_spec *spec, struct ring **ret_ring, struct error *err);

/* Parses a ring file; borrows 'file' for the call. '*ret_ring' becomes the
 * caller's, to ring_unref(). Fails with -E_CORRUPT (damaged), -E_TOO_NEW
 * (unknown format) or -ENOMEM. Safe on hostile bytes. */
int ring_parse(struct slice file, struct ring **ret_ring, struct error *err);

/* The bytes of the ring file, to free(). The same ring gives the same bytes. */
int ring_encode(const struct ring *ring, uint8_t **ret_data, size_t *ret_size, struct error *err);

struct ring *ring_ref(struct ring *ring);
struct ring *ring_unref(struct ring *ring);   /* Accepts NULL; returns NULL. */

/* Both are pure: constant time, no allocation, no failure. 'partition' must be
 * below ring_partitions(). Slots from 'count' on are left unset. */
uint32_t ring_partition(const struct ring *ring, struct slice key);
void     ring_lookup(const struct ring *ring, uint32_t partition, struct ring_set *ret_set);

uint64_t ring_epoch(const struct ring *ring);
uint64_t ring_hash_seed(const struct ring *ring);
unsigned ring_part_power(const struct ring *ring);
uint32_t ring_partitions(const struct ring *ring);
unsigned ring_replicas(const struct ring *ring);   /* Rounded up. */
uint32_t ring_full(const struct ring *ring);       /* Partitions with all slots; the rest have one less. */
uint64_t ring_moving(const struct ring *ring);     /* Slots with a joining device. */

/* The device with this id, or NULL. Borrowed from the ring. */
const struct ring_device *ring_device(const struct ring *ring, uint16_t id);
/* Every id is below this: walk "for (id = 0; id < ring_device_end(); id++)". */
uint32_t ring_device_end(const struct ring *ring);

/* The ring of the next epoch, in which the joining devices have taken over:
 * everywhere, or in the partitions whose bit is set in 'done' (bit p & 7 of
 * byte p / 8). Fails with -EINVAL ('epoch' is not newer) or -ENOMEM. */
int ring_settle(const struct ring *ring, uint64_t epoch, const uint8_t *done,
                struct ring **ret_ring, struct error *err);

/* Walks the devices that are not in the partition's set (nor joining), best
 * dispersed first: a region of its own, then a zone, a host, a device. Devices
 * of weight 0 are left out. The same ring and partition give the same walk. The
 * walk borrows the ring and allocates nothing. */
struct ring_handoff {
    const struct ring *ring;
    uint32_t start, step, walked;    /* A pseudo-random tour of the devices. */
    uint32_t regions, zones, hosts;  /* How many different ones are in 'used'. */
    uint16_t used_count, given;
    uint8_t  phase;
    uint16_t used[2 * RING_SET_MAX + RING_HANDOFF_MAX];
};

void     ring_handoff_init(struct ring_handoff *walk, const struct ring *ring, uint32_t partition);
uint16_t ring_handoff_next(struct ring_handoff *walk);   /* RING_NONE: that was all. */

#endif
