/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest of fake-qemu does, or has done to it. It does nothing that it is not told to, but to let go of
 * devices that it is asked for (device.c).
 */
#ifndef DROVER_TESTS_FAKE_GUEST_H
#define DROVER_TESTS_FAKE_GUEST_H

#include <stdbool.h>

struct fake;

void guest_halt(struct fake *f, const char *status);
/* These three only while it runs. */
void guest_power_off(struct fake *f);
void guest_panic(struct fake *f);
void guest_run(struct fake *f);
/* STATUS is a RunState, or what leads to io-error. */
void guest_stand_still(struct fake *f, const char *status);
/* A reset by the guest, or by its firmware. */
void guest_reboot(struct fake *f);
/* Everything starts anew, whoever wanted it. REASON: QEMU's word. */
void guest_reset(struct fake *f, bool by_guest, const char *reason);

#endif
