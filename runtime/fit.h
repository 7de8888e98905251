/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether this host and this binary can do what parameters ask for: what rules that look at the definition alone cannot
 * know. On the way back it finds out which parameter it was that the launcher or QEMU could not do.
 */
#ifndef DROVER_RUNTIME_FIT_H
#define DROVER_RUNTIME_FIT_H

#include "runtime/prepare.h"

/* Unsupported: the binary has no driver for a disk, a card, or a device that a parameter asked for; sound.h, usb.h and
 * display_host.h look at theirs. */
bool fit_devices(const struct definition *def, const struct argv_env *env, struct err **e);

/* ARG is a struct prepare that knows the binary and whether KVM works. */
extern const struct step fit_look;

#endif
