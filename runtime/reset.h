/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reset button, also of a QEMU that was told to end when its guest reboots.
 *
 * Such a one would take our reset for the guest's wish. So it is told to reset (set-action) before, and to end again
 * only after the firmware has answered: SeaBIOS makes of the first reset it sees a second, of its own, and that one may
 * come twice (docs/DECISIONS.md). A guest that stands still answers when it is let go. Nobody can ask QEMU for the
 * action, so inst->resetting says where this stands, in this life of droverd and the next.
 */
#ifndef DROVER_RUNTIME_RESET_H
#define DROVER_RUNTIME_RESET_H

#include "base/op.h"
#include "runtime/instance.h"

/* Adds: reset; let it run, if it stood still for another reason than a pause; wait for the firmware. SINCE: when it was
 * asked for, by which a later life of droverd tells whether it happened. */
void reset_plan(struct op *op, struct instance *inst, double since);
/* Adds: wait for the firmware's answer to a reset, then have QEMU end at a reboot again. For a guest that goes on. */
void reset_settle_plan(struct op *op, struct instance *inst);
/* Has QEMU do at a reboot what the definition that it runs wants; nobody waits. */
void reset_set_action(struct instance *inst);

#endif
