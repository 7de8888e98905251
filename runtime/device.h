/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device -> what QEMU is told, once: JSON objects with true types, which are the arguments of object-add, blockdev-add,
 * netdev_add and device_add, and printed compact the values of -object, -blockdev, -netdev and -device. Pure.
 *
 * A property is sent only if the binary has it (argv_env.has).
 *
 * Names. ID is the device's id ("disk-932df160-7a22-4067"); none is longer than 31 characters.
 *
 *   ID                  the device; the block node it is attached to (a throttle filter, but for scsi-block and
 *                       scsi-generic, where it is the device itself); the netdev; the disk's throttle group
 *   group-NAME          a throttle group that disks share
 *   ID.f0, ID.p0        the layer that is written: format node, file node (or that of the driver of its uri). An overlay made while the guest runs is
 *                       ID.f1 over ID.p1, and so on; after the next start the top one is ID.f0 again
 *   ID.b0, ID.q0 …      the layers below it, downwards: format node, file node
 *   firmware, firmware.p0, nvram, nvram.p0   the flash of a machine with UEFI: format nodes, file nodes
 *   vga, balloon, scsi, virtio-serial, agent, vdagent, rng, xhci, watchdog, sound, pvpanic, fdc, tpm, rp0 …   the machine's own devices
 */
#ifndef DROVER_RUNTIME_DEVICE_H
#define DROVER_RUNTIME_DEVICE_H

#include "runtime/argv.h"

#define NODE_FIRMWARE "firmware"
#define NODE_NVRAM "nvram"

enum outlet { OUTLET_OBJECT, OUTLET_BLOCKDEV, OUTLET_NETDEV, OUTLET_DEVICE, OUTLET_COUNT };

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

/* The functions below append. */

/* A disk: its throttle group (a shared one only for the first disk that names it), file and format nodes from the
 * lowest layer up, throttle filter, device. FILES has every file of the disk; layers with
 * a uri have none. An empty drive is its device alone. */
void disk_parts(const struct definition *def, size_t disk, const struct argv_env *env, const struct argv_files *files,
		struct parts *parts);
/* The flash of a machine with UEFI, if it is one. FILES has the two. */
void firmware_parts(const struct definition *def, const struct argv_env *env, const struct argv_files *files,
		    struct parts *parts);
/* A card: netdev (none for mode none), device. FDS: what QEMU calls the descriptors of its tap, one for each queue, parted
 * by colons: their numbers, or the names that getfd gave them; NULL: it has no tap. VHOST: the same of vhost-net. */
void nic_parts(const struct definition *def, size_t nic, const struct argv_env *env, const char *fds, const char *vhost,
	       struct parts *parts);
/* The machine's own, at their fixed places: root ports, graphics card, balloon, SCSI controller, ports of agents, rng, USB,
 * watchdog, sound, pvpanic, TPM, floppy controller; and the iothreads. */
void fixed_parts(const struct definition *def, const struct argv_env *env, struct parts *parts);
/* One of them, whether or not a disk needs it. */
void scsi_controller_part(const struct definition *def, const struct argv_env *env, struct parts *parts);

/* A device of the machine's own at its fixed place: a slot of pci.0, or a function of slot 2 of pcie.0. The caller's. */
struct json_object *device_new(const struct definition *def, const char *driver, const char *id, const char *slot,
			       unsigned function);
/* Appends a device that was built elsewhere, without the properties that the binary lacks. Consumes O. */
void parts_add_device(struct parts *parts, const struct argv_env *env, struct json_object *o);
void parts_add(struct parts *parts, enum outlet outlet, struct json_object *o);

/* "-device", and the member that leads in notation() (NULL: none). */
const char *outlet_option(enum outlet outlet);
const char *outlet_leader(enum outlet outlet);
/* {"driver": "virtio-blk-pci", "id": …} -> "virtio-blk-pci,id=…", for people. FIRST: the member that leads without its
 * name (driver of a device, type of a netdev, qom-type of an object). The caller's. */
char *notation(struct json_object *o, const char *first);

#endif
