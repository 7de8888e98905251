/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The launcher of a start, from its spawning until it has become QEMU and its keeper.
 *
 * It says who it is, and waits to be let go; one whose daemon is gone, or hangs up, ends by itself.
 */
#ifndef DROVER_RUNTIME_LAUNCHER_H
#define DROVER_RUNTIME_LAUNCHER_H

#include "base/child.h"
#include "runtime/confine.h"
#include "runtime/instance.h"

struct launcher {
	struct instance *inst;
	int control; /* our end: pids come, "go" goes, end of file means that exec worked */
	uv_poll_t *poll;
	struct op *op;       /* that waits for `control` */
	struct child *child; /* while it lives: from before it has a lock that names it */
	struct op *bereaved; /* that waits for its end */
};

void launcher_init(struct launcher *l, struct instance *inst);
/* Forgets it; it is the guest's keeper by then. */
void launcher_clear(struct launcher *l);

/* A wait until the instance has its process: COMMAND, so confined, with the descriptors FDS but 3 and 4, which are the
 * launcher's and set here. FDS stay the caller's. */
enum verdict launcher_spawn(struct op *op, struct launcher *l, const struct confine *confine, char *const *command,
			    int *fds, unsigned n_fds);
/* A wait until it has become QEMU. */
enum verdict launcher_go(struct op *op, struct launcher *l);
/* From here on it ends by itself, unless it has been told to go. */
void launcher_hang_up(struct launcher *l);
/* A wait for the end of one that hung up, while `child` is there. An expiry stalls. */
enum verdict launcher_wait_end(struct op *op, struct launcher *l);

#endif
