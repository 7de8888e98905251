/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device -> what QEMU is told, once: JSON objects with true types, which are the arguments of object-add, blockdev-add,
 * netdev_add and device_add, and printed compact the values of -object, -blockdev, -netdev and -device. Pure.
 *
 * A property is sent only if the binary has it (argv_env.has).
 */
#ifndef DROVER_RUNTIME_DEVICE_H
#define DROVER_RUNTIME_DEVICE_H

#include "runtime/argv.h"

enum outlet { OUTLET_OBJECT, OUTLET_BLOCKDEV, OUTLET_NETDEV, OUTLET_DEVICE };

struct part {
	enum outlet outlet;
	struct json_object *o;
};

/* In the order in which QEMU has to be told of them. */
struct parts {
	struct part *items;
	size_t n;
};
void parts_clear(struct parts *parts);

/* A disk: its throttle group, file nodes and format nodes from the lowest layer up, throttle filter, device. */
void disk_parts(const struct definition *def, size_t disk, const struct argv_env *env, const struct argv_files *files,
		struct parts *parts);
/* A card: netdev (none for mode none), device. */
void nic_parts(const struct definition *def, size_t nic, const struct argv_env *env, struct parts *parts);
/* The machine's own, at their fixed places: controllers, root ports, balloon, rng, agent port, watchdog, pvpanic. */
void fixed_parts(const struct definition *def, const struct argv_env *env, struct parts *parts);

/* {"driver": "virtio-blk-pci", "id": …} -> "virtio-blk-pci,id=…", for people. FIRST: the member that leads without its
 * name (driver of a device, type of a netdev, qom-type of an object). The caller's. */
char *notation(struct json_object *o, const char *first);

#endif
