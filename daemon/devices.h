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
	const char *disks_are, *nics_are; /* parameters that errors name: "disk", "attach.disks[%zu]" */
	const char *detach_is;            /* "disk", "nic", "detach[%zu]" */
	const char *only;                 /* "disks" or "nics": what DETACH may find; NULL: both */
	bool live;
	double timeout; /* s, for the guest */
};

/* Adds the steps to job->op. Chooses what is not given, and keeps that in job->resolved. */
bool devices_plan(struct job *job, const struct devices_wish *wish, struct err **e);
/* The result's members changed, live; what became of the devices of LIST, in the order of the wish, is its array MEMBER,
 * or the first of it, MEMBER itself. */
struct json_object *devices_result(const struct job *job);
struct json_object *devices_shown(const struct job *job, const char *list);

/* The operation behind device_gone(): what the guest has let go of leaves both records. */
bool devices_collect_plan(struct job *job, struct err **e);

#endif
