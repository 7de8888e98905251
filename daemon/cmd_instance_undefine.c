/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"
#include "base/file_work.h"
#include "daemon/commands.h"
#include "daemon/job.h"
#include "runtime/logs.h"
#include "runtime/record.h"
#include "runtime/start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct args {
	char *instance;
	bool force;
	int volumes;
};

enum { REMOVE_MS = 60000 };

static const char *const volumes[] = { "keep", "delete", NULL };

static const struct param rows[] = { PARAM_INSTANCE(struct args),
				     { "force", PARAM_BOOL, .def = "false", PARAM_AT(struct args, force),
				       .since = "0.1.0", .doc = "End its process first, if it has one." },
				     { "volumes", PARAM_CHOICE, .choices = volumes, .def = "\"keep\"",
				       PARAM_AT(struct args, volumes), .since = "0.1.0",
				       .doc = "What becomes of its volumes." },
				     PARAM_END };

struct removing {
	int dir, log_dir;
	char *name;
};

/* Gone by one rename; the rest may be swept at the next start as well, which knows of it by the directory: that goes last. */
static bool remove_definition(void *data, struct err **e)
{
	const struct removing *r = data;
	_cleanup_free_ char *gone = xasprintf(".gone-%s", r->name);

	if (!file_remove_tree(r->dir, gone, e))
		return false;
	if (renameat(r->dir, r->name, r->dir, gone) < 0 && errno != ENOENT)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot remove '%s'", r->name);
	if (fsync(r->dir) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot sync the directory of '%s'", r->name);
	logs_remove(r->log_dir, r->name);
	file_remove_tree(r->dir, gone, NULL);
	return true;
}

static void removing_free(void *data)
{
	struct removing *r = data;

	free(r->name);
	free(r);
}

static enum verdict take_away(struct op *op, void *arg)
{
	struct job *job = arg;
	struct removing *r = xcalloc(1, sizeof(*r));

	r->dir = job->d->rt.dirs.lib_instances;
	r->log_dir = job->d->rt.dirs.log_fd;
	r->name = xstrdup(job->name);
	return file_work(op, remove_definition, r, removing_free);
}

static enum verdict take_away_probe(struct op *op, void *arg)
{
	struct job *job = arg;

	/* What cannot be looked for is not gone. */
	return faccessat(job->d->rt.dirs.lib_instances, job->name, F_OK, 0) < 0 && errno == ENOENT ? OP_DONE : OP_FAIL;
}

static enum verdict forget(struct op *op, void *arg)
{
	struct job *job = arg;
	struct instance *inst = instance_find(&job->d->rt, job->name);
	struct json_object *o;

	if (!inst && !job->recovered)
		return op_fail(op, ERR_NOT_FOUND, "'%s' was given another name meanwhile", job->name);
	if (op->err && take_away_probe(op, arg) != OP_DONE)
		return OP_DONE; /* it was stopped, but its definition is still on the disk */
	o = json_object_new_object();
	json_add_str(o, "instance", job->name);
	if (inst) {
		if (inst->run_dir >= 0)
			record_clear(inst); /* kept for a record that nobody wants any more */
		json_add_str(o, "uuid", inst->uuid);
		instance_free(inst);
	}
	event_emit(job->d, "INSTANCE_UNDEFINED", o);
	return OP_DONE;
}

static const struct step step_remove = { "remove the definition", take_away,     NULL, take_away_probe,
					 .timeout_ms = REMOVE_MS, .commit = true };
static const struct step step_forget = { "forget it", forget };

static bool plan(struct job *job, struct err **e)
{
	const struct args *args = job->args;
	struct instance *inst = instance_find(&job->d->rt, job->name);

	if (!inst && !job->recovered)
		return err_set(e, ERR_NOT_FOUND, "no instance '%s'", job->name);
	if (!job_knows(job, inst, e))
		return false;
	if (inst && (inst->process || inst->run_dir >= 0) && !args->force)
		return err_set(e, ERR_WRONG_STATE, "'%s' has a process; stop it first, or say force", job->name);
	if (inst && args->force)
		stop_plan(job->op, inst);
	op_add(job->op, &step_remove, job);
	op_add(job->op, &step_forget, job);
	return true;
}

static enum lane lane_of(const void *decoded)
{
	const struct args *args = decoded;

	return args->force ? LANE_DESTROY : LANE_CHANGE;
}

static struct json_object *result(struct job *job)
{
	struct json_object *o = json_object_new_object();

	json_add_bool(o, "changed", true);
	return o;
}

const struct command cmd_instance_undefine = {
	.name = "instance-undefine",
	.class = CLASS_CHANGE,
	.lane = LANE_CHANGE,
	.lane_of = lane_of,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Removes an instance: its definition, records and logs.",
	.returns = "{changed}",
	.subject = subject_instance,
	.plan = plan,
	.result = result,
};
