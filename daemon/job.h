/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jobs: operations with a name, a client, and a result.
 *
 * Every command that changes something is one. It belongs to its subject, not to the session: a client
 * that leaves loses only the reply. Its marker lies in run/operations while a plan of more than one step
 * is walked.
 */
#ifndef DROVER_DAEMON_JOB_H
#define DROVER_DAEMON_JOB_H

#include "daemon/command.h"

enum { JOBS_KEPT = 256 };

struct job {
	TAILQ_ENTRY(job) link;
	struct daemon *d;
	const struct command *command;
	char *id;
	bool named; /* kept until dismissed */
	char *subject;
	char *name;                   /* of the instance, or NULL */
	struct json_object *raw;      /* resolved arguments, for the marker */
	struct json_object *resolved; /* what plan() chose besides, for the marker as well, or NULL */
	void *args;
	struct op *op; /* NULL: concluded */
	uid_t uid;
	pid_t pid;
	double since, until;
	bool changed, marked, recovered;
	const char *status; /* last one told */
	struct json_object *result;
	struct err *err;

	struct session *session; /* that waits for the reply, or NULL */
	struct json_object *request_id;
	bool has_id;

	void *ctx; /* of the plan */
	void (*ctx_free)(void *ctx);

	/* Optional: it has ended, or stalled; called once. */
	void (*ended)(struct job *job, void *data);
	void *ended_data;
};

/* Begins what CALL asks for; takes over call->args and a reference of call->raw. The reply goes to
 * call->session. JOB_ID NULL: anonymous. False: refused before anything, nothing taken. */
bool job_submit(struct call *call, const char *job_id, struct json_object *request_id, bool has_id, struct err **e);
/* An operation of our own making: COMMAND on INSTANCE. */
void job_internal(struct daemon *d, const char *command, const char *instance);
/* The same with an ear for its end, which may come before this returns. */
void job_internal_then(struct daemon *d, const char *command, const char *instance,
		       void (*ended)(struct job *job, void *data), void *data);
/* Whether an operation is under way that has INST compared with its record (hotplug/drift.h) at its end. */
bool job_compares(struct daemon *d, const struct instance *inst);
/* Has it compared, unless that is so. */
void job_compare(struct daemon *d, struct instance *inst);
/* Takes up what a marker tells. OVERTAKEN: an operation that destroys has cancelled it. */
bool job_recover(struct daemon *d, struct json_object *marker, bool overtaken, struct err **e);
/* Makes the concluded job that a file of job_store.h tells of. */
bool job_restore(struct daemon *d, struct json_object *o, struct err **e);

struct job *job_find(struct daemon *d, const char *id);
bool job_cancel(struct job *job, struct err **e);
bool job_dismiss(struct job *job, struct err **e);
/* A session is gone: its jobs go on without it. */
void job_forget_session(struct daemon *d, struct session *s);
struct json_object *job_describe(const struct job *job);
/* The operation under way on a subject: {job-id, command, step, since, cancellable}, or NULL. */
struct json_object *job_describe_operation(struct daemon *d, const char *subject);

/* For plans: the instance, looked up anew because it may be gone by the time of the turn. */
struct instance *job_instance(struct job *job, struct err **e);
/* For plans that start a process: adds the steps of a start (cmd_instance_start.c). */
void job_plan_start(struct job *job, struct instance *inst, bool paused);
/* For plans that need to know whether the instance has a process (cmd_instance_start.c). False: WrongState, that is not
 * known; a marker stays for the next droverd. INST may be NULL. */
bool job_knows(struct job *job, const struct instance *inst, struct err **e);
/* {"changed", "state"} */
struct json_object *job_result_state(struct job *job);

#endif
