/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What QEMU said while nobody listened.
 *
 * The second monitor has a log, run/instances/NAME/events.log, to which QEMU appends all that it sends there, replies
 * too, whether or not somebody is connected. Adoption, and every connection that follows a lost one, reads the gap
 * from it. While we are connected everything in it is heard anyway: it is emptied when it has grown.
 *
 * The file is QEMU's: lines may be half, too long, or no JSON at all. They are passed over.
 */
#ifndef DROVER_RUNTIME_EVENTS_LOG_H
#define DROVER_RUNTIME_EVENTS_LOG_H

#include "runtime/instance.h"

enum { EVENTS_LOG_MAX = 256 << 10 };

/* TIME in seconds since the epoch, DATA an object or NULL. */
typedef void event_fn(struct instance *inst, const char *name, struct json_object *data, double time);

/* Calls FN for the events of the log that are younger than inst->heard, in their order. No log is an empty one. */
void events_log_read(struct instance *inst, event_fn *fn);
/* Keeps it short (inotify, no polling) while the first monitor is connected. */
void events_log_watch(struct instance *inst);
void events_log_unwatch(struct instance *inst);

#endif
