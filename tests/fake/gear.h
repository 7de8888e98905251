/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a machine of fake-qemu has: fd sets, block nodes, objects, netdevs, character devices, devices. An option of the
 * command line and the command of a monitor that does the same come to the same function, so there is one kind of each.
 *
 * Descriptors are held as QEMU holds them: one for each member of a set, one for each node that opened a set or a
 * file, those of a netdev and a character device. Of the images only the size is looked at.
 */
#ifndef DROVER_TESTS_GEAR_H
#define DROVER_TESTS_GEAR_H

#include "base/json.h"

struct fake;
struct node;
struct device;

struct member {
	int fd;
	char *opaque;
	bool removed; /* remove-fd said so, and it is not closed yet */
};

struct fdset {
	struct fdset *next; /* ascending */
	int64_t number;
	struct member *members;
	size_t n;
	unsigned users; /* nodes that opened it */
};

struct gear {
	struct fdset *sets;
	struct node *nodes;                               /* newest first, as QEMU lists them */
	struct device *devices;                           /* oldest first */
	struct json_object *objects, *netdevs, *chardevs; /* by id */
	unsigned anonymous;                               /* counts names that nobody gave */
};

void gear_init(struct gear *g);
/* An option of the command line; ends the process with QEMU's words if it is refused. */
void gear_option(struct fake *f, const char *option, const char *value);

/* ---- fd sets ---- */

/* A descriptor of a member of set NUMBER whose access mode is that of FLAGS; -1 with errno. */
int fdset_open(struct fake *f, int64_t number, int flags);
void fdset_close(struct fake *f, int64_t number, int fd);
/* A monitor has hung up: unused members go, if nobody is connected and the guest runs. */
void fdsets_sweep(struct fake *f);

/* ---- block nodes ---- */

struct node *node_find(const struct gear *g, const char *name);
bool node_is_read_only(const struct node *n);
/* Whether a throttle node is of this group. */
bool node_throttled(const struct gear *g, const char *group);
/* As query-block shows it; NULL for a name that is none. The caller's. */
struct json_object *node_describe(const struct gear *g, const char *name);

/* ---- netdevs and character devices ---- */

/* NULL, or the refusal of a device that wants it ("can't find value", "can't take value"). */
char *netdev_refusal(const struct gear *g, const char *driver, const char *id);
char *chardev_refusal(const struct gear *g, const char *driver, const char *id);
/* Where one of the command line logs; -1: nowhere. */
int chardev_log(const struct gear *g, const char *id);

/* ---- devices ---- */

const char *device_id(const struct device *d);
const char *device_driver(const struct device *d);
bool device_is_card(const struct device *d);
struct device *device_find(const struct gear *g, const char *id);
struct device *device_next(const struct gear *g, const struct device *d);
/* The device whose property KEY has this value, or NULL. */
struct device *device_with(const struct gear *g, const char *key, const char *value);
/* A netdev is deleted under its device. */
void device_lose_netdev(struct device *d);
/* The value of a property; NULL: it has none of this name. The caller's. */
struct json_object *device_property(const struct fake *f, const struct device *d, const char *name);
/* Names of all of them, for qom-list. The caller's: an array. */
struct json_object *device_properties(const struct device *d);
/* The guest lets go of it, and nobody asked. */
void devices_eject(struct fake *f, const char *id);
/* The guest has been reset: what was to be unplugged is. */
void devices_reset(struct fake *f);
/* What the guest does now of what it was asked: with a reply sent, with each turn of the loop. */
void devices_obey(struct fake *f);
/* Whether a file is waited for. */
bool devices_wait(const struct fake *f);

#endif
