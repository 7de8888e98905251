/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usb_mouse and usb_devices: what is plugged into the guest's USB, and the controller for it, which is there only then. Pure.
 */
#ifndef DROVER_RUNTIME_USB_H
#define DROVER_RUNTIME_USB_H

#include "runtime/device.h"

bool usb_check(const struct hvparams *hv, struct err **e);
/* Unsupported: the binary has no such device. */
bool usb_fits(const struct definition *def, const struct argv_env *env, struct err **e);
void usb_parts(const struct definition *def, const struct argv_env *env, struct parts *parts);

#endif
