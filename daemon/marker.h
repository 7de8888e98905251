/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Markers: where each operation stands, in run/operations/SUBJECT.json.
 *
 * One that destroys may run beside the operation it cancelled, so its file is SUBJECT~destroy.json; no name
 * has a tilde. What runs beside everything has a marker only from the moment at which it stalls, for a client has been
 * told of its job then: SUBJECT~beside-JOB.json.
 */
#ifndef DROVER_DAEMON_MARKER_H
#define DROVER_DAEMON_MARKER_H

#include "daemon/job.h"

enum { MARKER_VERSION = 1 };

/* Writes the marker of job->op as it stands. */
bool marker_write(struct job *job, struct err **e);
void marker_remove(struct job *job);
/* Takes up every marker there is. One that cannot be read is reported and moved aside. */
void marker_recover_all(struct daemon *d);

#endif
