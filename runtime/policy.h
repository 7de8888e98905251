/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows by itself from a guest's own end: hvparams on_poweroff, on_reboot, on_crash, as the running QEMU was
 * started with.
 *
 * A restart is a new process. It is noted in inst->restarts and goes to state.json with the end it follows, so that
 * the next droverd makes up for one that this one did not come to. More than RESTARTS_MAX in RESTARTS_SECONDS are not
 * made: it stays as it is, which is told by restarts_stopped(). A start that somebody asks for begins the count anew.
 */
#ifndef DROVER_RUNTIME_POLICY_H
#define DROVER_RUNTIME_POLICY_H

#include "runtime/instance.h"

enum { RESTARTS_SECONDS = 60 };

enum policy {
	POLICY_LEAVE, /* as it is */
	POLICY_STOP,  /* end its process; with restarts.due make a new one then */
	POLICY_RESET, /* reset it and let it run */
};

/* For a guest that is held in RunState shutdown, or crashed with its process. Decides, and counts. */
enum policy policy_of_held(struct instance *inst);
/* The process is gone, and the instance has entered what became of it. */
void policy_of_end(struct instance *inst);
/* Somebody wants it started, or stopped: what was to follow by itself is forgotten. */
void policy_forget(struct instance *inst);
/* Whether the QEMU that runs was told to end at a reboot of the guest. */
bool policy_ends_at_reboot(const struct instance *inst);

/* {"count", "stopped"} for clients; with further members, and back, for state.json. */
struct json_object *policy_describe(const struct instance *inst);
struct json_object *policy_store(const struct instance *inst);
void policy_load(struct instance *inst, struct json_object *o);

#endif
