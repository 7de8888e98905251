/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices for a machine that runs. Fragments of a plan, in this order:
 *
 *   plug_host_plan()    images and taps, opened by us; nothing of QEMU's
 *   plug_qemu_plan()    QEMU is given them, and makes of them block nodes and netdevs; the guest knows nothing
 *   plug_record_plan()  runtime.json names the devices, as "attaching"
 *   plug_guest_plan()   device_add, one after the other; going back is a detach, which waits for the guest
 *   plug_done_plan()    behind the commit: "attached", sizes, fd sets
 */
#ifndef DROVER_HOTPLUG_PLUG_H
#define DROVER_HOTPLUG_PLUG_H

#include "base/op.h"
#include "runtime/instance.h"

struct plug;

/* For the devices IDS of RUNNING, a definition: that of the record, with the new devices behind the others. NAMES: what an
 * error calls each, by id ("disk", "attach.disks[1]"), or NULL. FIRST_SET: the numbers of the fd sets, plug_sets() of
 * them, from here on. The operation owns it, and a reference of each object. NULL and InvalidParameter if RUNNING is none,
 * WrongState if it lacks one of them. */
struct plug *plug_new(struct op *op, struct instance *inst, struct json_object *running, struct json_object *ids,
		      struct json_object *names, int64_t first_set, struct err **e);
/* How many fd sets the devices IDS of RUNNING need. */
size_t plug_sets(struct json_object *running, struct json_object *ids);

void plug_host_plan(struct op *op, struct plug *p);
/* Instead of all of these, for devices that are there: finds out what device_add was, or would be, told of each, and adds
 * that to INTO, by id. */
void plug_describe_plan(struct op *op, struct plug *p, struct json_object *into);
void plug_qemu_plan(struct op *op, struct plug *p);
void plug_record_plan(struct op *op, struct plug *p);
/* COMMIT: the last of them is the operation's. */
void plug_guest_plan(struct op *op, struct plug *p, bool commit);
void plug_done_plan(struct op *op, struct plug *p);
/* Does, of the first step of the last, what was not done. */
enum verdict plug_see_attached(struct op *op, struct plug *p);

/* False and Unsupported, naming PARAMETER: the device ID of DEFINITION cannot be plugged into, or taken from, the machine of
 * RUNNING while that runs. */
bool plug_is_possible(struct json_object *running, struct json_object *definition, const char *id,
		      const char *parameter, struct err **e);
/* Why nothing on PCI can, or NULL. */
const char *plug_no_pci(struct json_object *running);

#endif
