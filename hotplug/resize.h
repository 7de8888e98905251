/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another size for a disk: block_resize, by the QEMU that has it, or by one apart from any guest (hotplug/apart.h).
 *
 * A disk only grows: what is beyond a smaller size is lost, and nobody knows whether the guest has something there.
 */
#ifndef DROVER_HOTPLUG_RESIZE_H
#define DROVER_HOTPLUG_RESIZE_H

#include "base/op.h"
#include "runtime/instance.h"

/* Steps: the disk ID of STORED, a definition, gets SIZE bytes. LIVE: the guest has it, else nobody. *CHANGED, which outlives
 * the operation, becomes false where it has that size already. InvalidParameter, naming 'size', in the course of them: it is larger.
 * False and InvalidParameter: STORED is no definition. */
bool resize_plan(struct op *op, struct instance *inst, struct json_object *stored, const char *id, uint64_t size,
		 bool live, bool *changed, struct err **e);

#endif
