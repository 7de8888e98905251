/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a QEMU left in its own directory q/ that nobody expected there: a sign of a guest that broke out, or of a QEMU that
 * dumped core. It is not removed with the run directory but kept in lib/quarantine/NAME-TIME, and told of.
 *
 * It was written by whom nobody trusts. q/ is moved to run/quarantine at once, by a rename; then the thread pool copies
 * regular files, as root's and 0400, of them so many and so large as the limits allow, and lists all there was in `list`; links
 * and FIFOs are never followed or opened. What the end of droverd interrupts the next one goes on with: a copy that is in place is
 * whole, and one that is not is made anew.
 */
#ifndef DROVER_RUNTIME_QUARANTINE_H
#define DROVER_RUNTIME_QUARANTINE_H

#include "runtime/instance.h"

/* Of each file, and of all of them; and how many are kept at all: who leaves more is told of, and not kept. */
enum {
	QUARANTINE_FILE_BYTES = 16 << 20,
	QUARANTINE_BYTES = 64 << 20,
	QUARANTINE_FILES = 256,
	QUARANTINE_DEPTH = 4,
	QUARANTINE_MAX = 32,
};

/* Takes q/ out of RUN_DIR, the run directory of the instance NAME, which has no process, if anything is in it that
 * is not ours. runtime_ops.quarantined() tells when it is kept. */
void quarantine_take(struct runtime *rt, const char *name, int run_dir);
/* Goes on with what a former life left. Only before the loop runs. */
void quarantine_recover(struct runtime *rt);

#endif
