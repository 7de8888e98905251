/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's ear to the runtime; `data` is the struct daemon.
 */
#ifndef DROVER_DAEMON_FOLLOW_H
#define DROVER_DAEMON_FOLLOW_H

#include "runtime/instance.h"

struct daemon;

extern const struct runtime_ops follow_ops;
/* Tries again, after a while, to record the ends that are not. */
void follow_collect_later(struct daemon *d);

#endif
