/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query-jobs, job-cancel, job-dismiss. The latter two act at once and are no operations themselves.
 */
#include "daemon/commands.h"
#include "daemon/job.h"

struct id_args {
	char *id;
};

static const struct param id_rows[] = { { "id", PARAM_TEXT, .required = true, .min = 1, .max = 63,
					  PARAM_AT(struct id_args, id), .since = "0.1.0", .doc = "Id of the job." },
					PARAM_END };

struct jobs_args {
	char *instance;
};

static const struct param jobs_rows[] = { { "instance", PARAM_TEXT, .min = 1, .max = 63,
					    PARAM_AT(struct jobs_args, instance), .since = "0.1.0",
					    .doc = "Only those of this instance." },
					  PARAM_END };

static bool query_jobs(struct call *call, struct json_object **ret, struct err **e)
{
	const struct jobs_args *args = call->args;
	struct instance *inst = args->instance ? call_instance(call, e) : NULL;
	struct job *job;

	if (args->instance && !inst)
		return false;
	*ret = json_object_new_array();
	TAILQ_FOREACH(job, &call->d->jobs, link)
	if (!inst || str_eq(job->name, inst->name))
		json_object_array_add(*ret, job_describe(job));
	return true;
}

static struct job *named(struct call *call, struct err **e)
{
	const struct id_args *args = call->args;
	struct job *job = job_find(call->d, args->id);

	if (!job)
		err_set(e, ERR_NOT_FOUND, "no job '%s'", args->id);
	return job;
}

static struct json_object *changed(void)
{
	struct json_object *o = json_object_new_object();

	json_add_bool(o, "changed", true);
	return o;
}

static bool cancel(struct call *call, struct json_object **ret, struct err **e)
{
	struct job *job = named(call, e);

	if (!job || !job_cancel(job, e))
		return false;
	*ret = changed();
	return true;
}

static bool dismiss(struct call *call, struct json_object **ret, struct err **e)
{
	struct job *job = named(call, e);

	if (!job || !job_dismiss(job, e))
		return false;
	*ret = changed();
	return true;
}

const struct command cmd_query_jobs = {
	.name = "query-jobs",
	.class = CLASS_QUERY,
	.params = jobs_rows,
	.args_size = sizeof(struct jobs_args),
	.doc = "Every operation that waits or runs, and the concluded ones that were given an id.",
	.returns = "[{id, type, instance, status, step, current-progress, total-progress, since, until, cancellable, "
		   "client, "
		   "result or error}]",
	.query = query_jobs,
};

const struct command cmd_job_cancel = {
	.name = "job-cancel",
	.class = CLASS_DIRECT,
	.lane = LANE_BESIDE,
	.params = id_rows,
	.args_size = sizeof(struct id_args),
	.doc = "Asks a job to stop and go back. Past its commit that is WrongState. What QEMU was asked and has not "
	       "answered is waited for: the job is aborting until then.",
	.returns = "{changed}",
	.query = cancel,
};

const struct command cmd_job_dismiss = {
	.name = "job-dismiss",
	.class = CLASS_DIRECT,
	.lane = LANE_BESIDE,
	.params = id_rows,
	.args_size = sizeof(struct id_args),
	.doc = "Forgets a concluded job.",
	.returns = "{changed}",
	.query = dismiss,
};
