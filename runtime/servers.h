/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Web servers of images, asked before QEMU is: it would not answer anybody while it waits for one, and its words say
 * little. A step for the plan of a start, behind "claim a uid"; ARG is the struct prepare.
 */
#ifndef DROVER_RUNTIME_SERVERS_H
#define DROVER_RUNTIME_SERVERS_H

#include "runtime/prepare.h"

extern const struct step servers_ask;

#endif
