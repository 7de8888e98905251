/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether the runtime record tells of what QEMU has: devices (qom-list of /machine/peripheral), block nodes
 * (query-named-block-nodes) and groups of limits (qom-list of /objects), of those with names of ours; and devices of other
 * names with which QEMU was not started. For netdevs QEMU has no question.
 *
 * For a moment at which nothing changes the instance. What is found is kept as inst->drift, [{what: "device", "node" or
 * "object", id, record, qemu}] with "attached" or "absent" for the last two, and runtime_ops.drifted() is told when that is
 * another than before.
 */
#ifndef DROVER_HOTPLUG_DRIFT_H
#define DROVER_HOTPLUG_DRIFT_H

#include "runtime/instance.h"

/* Asks, and compares when QEMU has answered. What was changed meanwhile is left to whoever changed it. */
void drift_check(struct instance *inst);
/* What was asked is not compared: something begins that changes QEMU. */
void drift_forget(struct instance *inst);
/* Whether the last time QEMU did not have the device ID of the record. */
bool drift_lacks_device(const struct instance *inst, const char *id);

#endif
