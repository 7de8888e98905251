/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is left of a device in QEMU when the guest has let go of it: its block nodes, from the top one down, throttle
 * group, netdev. For behind a commit: what is not there is as good, and so is a QEMU that has ended.
 */
#ifndef DROVER_HOTPLUG_RELEASE_H
#define DROVER_HOTPLUG_RELEASE_H

#include "base/op.h"
#include "runtime/instance.h"

/* Steps for the devices IDS, as the runtime record has them now. */
void release_plan(struct op *op, struct instance *inst, struct json_object *ids);

#endif
