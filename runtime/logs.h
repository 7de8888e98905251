/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two logs of an instance: log/NAME.log, what QEMU writes to stderr, and log/NAME.console, what the guest
 * writes to its serial port.
 *
 * QEMU holds them open for appending. While there is a process they are watched (inotify, no polling): one that has
 * grown past LOG_MAX is copied to NAME.SUFFIX.1 and emptied, so that both together never hold much more than twice
 * that, and never less than the last LOG_MAX of what was written.
 */
#ifndef DROVER_RUNTIME_LOGS_H
#define DROVER_RUNTIME_LOGS_H

#include "runtime/instance.h"

enum { LOG_MAX = 1 << 20 };

enum log_kind { LOG_QEMU, LOG_CONSOLE, LOG_KINDS };

/* For QEMU: a descriptor for appending only; QEMU takes none of another access mode from a set. EMPTY: a new run begins with an empty one. */
int logs_open(struct instance *inst, enum log_kind kind, bool empty, struct err **e);
void logs_watch(struct instance *inst);
void logs_unwatch(struct instance *inst);
/* The last MAX bytes over both files; no log is an empty one. *TEXT is NUL-terminated and the caller's. */
bool logs_tail(const struct instance *inst, enum log_kind kind, size_t max, char **text, size_t *len, bool *cut,
	       struct err **e);
/* The log files of NAME, and its trace (trace.h), become those of TO. */
void logs_rename(int log_dir, const char *name, const char *to);
/* Removes all of these. */
void logs_remove(int log_dir, const char *name);

#endif
