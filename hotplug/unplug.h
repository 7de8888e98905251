/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking a device from a guest.
 *
 * device_del only asks; DEVICE_DELETED of this device, or the end of the process, is the answer. A guest may also refuse
 * (DEVICE_UNPLUG_GUEST_ERROR), be silent for ever, or not have heard: what is said before its system is up is lost. So
 * the wish is remembered (runtime.json, state "detach-pending") and told again after 2, 4, 8, 16, 30 s and then every
 * minute, at once when the guest resets, goes on after it stood still, or its agent comes; never while it stands still, nor
 * before it ever ran. It cannot be taken back.
 *
 * Whoever waits is told; when nobody does any more, runtime_ops.device_gone() is.
 */
#ifndef DROVER_HOTPLUG_UNPLUG_H
#define DROVER_HOTPLUG_UNPLUG_H

#include "base/op.h"
#include "runtime/instance.h"

/* A wait of OP, of the length that op_wait_ms() says: the device ID of INST is to go. Done when it has gone, or the
 * process has. GuestRefused: it stays, and the wish is forgotten. Timeout, or a cancel: the wish goes on, and the error
 * says that not all is undone. QemuError: QEMU will not try. What cannot be recorded is not asked for, but on the way
 * back. */
enum verdict unplug(struct op *op, struct instance *inst, const char *id);
/* The same wish without anybody who waits; of a former life of droverd, those of runtime.json. */
void unplug_adopt(struct instance *inst);
/* The guest runs again. */
void unplug_go_on(struct instance *inst);
/* Asked for, and not answered. */
bool unplug_is_pending(const struct instance *inst, const char *id);
/* Answered, and not fetched by anybody; forgets that. */
bool unplug_take_gone(struct instance *inst, const char *id);
/* What was taken could not be made use of: IDS are pending again, and asked for in a while, which tells once more that they
 * have gone. */
void unplug_restore(struct instance *inst, struct json_object *ids);
/* The process has ended: all is forgotten. */
void unplug_forget_all(struct instance *inst);

#endif
