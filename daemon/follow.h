/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's ear to the runtime; `data` is the struct daemon.
 */
#ifndef DROVER_DAEMON_FOLLOW_H
#define DROVER_DAEMON_FOLLOW_H

#include "runtime/instance.h"

extern const struct runtime_ops follow_ops;

#endif
