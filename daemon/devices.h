/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the commands that attach and detach devices share: one change of several devices, all or none.
 *
 * In the definition only, or, where a process exists and LIVE says so, in the guest as well. The guest lets go of what is
 * detached before it is shown what is attached; the last of that is the commit. What goes back gives back: a detached
 * device is added again, an attached one is detached, which waits for the guest.
 */
#ifndef DROVER_DAEMON_DEVICES_H
#define DROVER_DAEMON_DEVICES_H

#include "daemon/job.h"

struct devices_wish {
	struct json_object *disks, *nics; /* lists of what to attach, or NULL */
	struct json_object *detach;       /* list of texts, each of which finds one device, or NULL */
	const char *disks_are,
		*nics_are;     /* parameters that errors name: "disk", "attach.disks[#]", # being its place */
	const char *detach_is; /* "disk", "nic", "detach[#]" */
	const char *only;      /* "disks" or "nics": what DETACH may find; NULL: both */
	bool live;
	double timeout; /* s, for the guest */
};

/* Adds the steps to job->op. Chooses what is not given, and keeps that in job->resolved. */
bool devices_plan(struct job *job, const struct devices_wish *wish, struct err **e);
/* A result with the members changed and live; the caller's. */
struct json_object *devices_result(const struct job *job);
/* What became of the devices of LIST ("disks", "nics"), in the order of the wish: a list, the caller's. */
struct json_object *devices_shown(const struct job *job, const char *list);

/* The operation behind device_gone(): what the guest has let go of leaves both records. */
bool devices_collect_plan(struct job *job, struct err **e);

#endif
