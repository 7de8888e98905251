/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding again what a former life of droverd left running.
 */
#ifndef DROVER_RUNTIME_ADOPT_H
#define DROVER_RUNTIME_ADOPT_H

#include "runtime/instance.h"

enum adopted {
	ADOPT_NOTHING, /* no run directory */
	ADOPT_RUNNING, /* its process is held, its monitors are connected and being asked */
	ADOPT_ENDED,   /* a run directory without a process: to be cleared */
	ADOPT_HALF,    /* a process without a record that can be read: a launcher that waits, or a QEMU */
	ADOPT_UNKNOWN, /* it cannot be told; the instance is in doubt, and nothing of it is touched */
};

/* Looks at run/instances/NAME, of an instance that has no process as far as is known. Does not wait: the state follows by
 * itself when QEMU answers. */
enum adopted adopt(struct instance *inst);

#endif
