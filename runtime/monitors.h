/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two monitors of a process, and how they are found again.
 *
 * A connection that ends beside a living QEMU is made anew at once; when that fails, or ends again, by a timer with
 * growing pauses, and the instance is nostate (monitor-lost) meanwhile. What was asked waits (qmp/client.h). A QEMU
 * that is connected and silent is none of this: it keeps its state.
 *
 * The second one is connected only when the first has answered, but at a start, where nothing can be missed: while a
 * monitor negotiates QEMU sends it no events, and one of the two, or the log of the second, has to have them all.
 */
#ifndef DROVER_RUNTIME_MONITORS_H
#define DROVER_RUNTIME_MONITORS_H

#include "runtime/instance.h"

/* Connects both, of a QEMU that is being started. */
bool monitors_open(struct instance *inst, struct err **e);
/* Connects those of a QEMU that was found, now or later. */
void monitors_find(struct instance *inst);
/* The socket of the monitor WHICH (0 or 1) for the next droverd, if it can go on with it, and the *NAME to keep it under, which
 * is the caller's; the socket stays where it is. Else -1: it connects anew. */
enum { MONITORS = 2 };
int monitors_keep(const struct instance *inst, unsigned which, char **name);
/* Whether it is such a name. */
bool monitors_is_kept(const char *name);
/* The process has ended: so have all calls. */
void monitors_close(struct instance *inst);

#endif
