/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a restart of droverd must not lose of jobs: that a named one was accepted and what it came to, in
 * run/jobs/ID.json; and the numbers that were given, in run/last-job, so that none is given twice.
 *
 * A job's file is written before the client hears that it was accepted, again when it has ended and before its marker
 * goes, and removed when the job is dismissed or forgotten. A disk that is full costs memory of a job, never the job.
 */
#ifndef DROVER_DAEMON_JOB_STORE_H
#define DROVER_DAEMON_JOB_STORE_H

#include "daemon/job.h"

/* The next number of an anonymous job. */
int64_t job_store_number(struct daemon *d);
/* Writes the file of a named job as it stands. */
void job_store_put(struct job *job);
void job_store_drop(const struct job *job);
/* Takes up what the last droverd kept, but for the jobs that markers have brought back; one that had not begun is
 * concluded with Cancelled. */
void job_store_load(struct daemon *d);

#endif
