/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways to end a guest: instance-stop, instance-shutdown, and the two that follow by themselves from an end
 * that nobody asked for.
 */
#include "daemon/commands.h"
#include "daemon/job.h"
#include "runtime/observe.h"
#include "runtime/policy.h"
#include "runtime/start.h"

#include <math.h>

static const struct param stop_rows[] = { PARAM_INSTANCE(struct instance_args), PARAM_END };

/* Whether there is anything of a run: a process, or what one left. */
static bool is_there(const struct instance *inst)
{
	return inst->process || inst->run_dir >= 0 || inst->starting;
}

static bool stop(struct job *job, struct err **e)
{
	struct instance *inst = job_instance(job, e);

	if (!inst || !job_knows(job, inst, e))
		return false;
	job->changed = is_there(inst) || job->recovered || inst->restarts.due;
	policy_forget(inst);
	if (job->recovered)
		inst->ending = true; /* the end that is under way is ours */
	if (job->changed)
		stop_plan(job->op, inst);
	return true;
}

const struct command cmd_instance_stop = {
	.name = "instance-stop",
	.class = CLASS_LONG,
	.lane = LANE_DESTROY,
	.params = stop_rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Ends the process at once: quit, after 10 s SIGTERM, after 5 s SIGKILL. Cancels what else is under way.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = stop,
	.result = job_result_state,
};

/* The guest powered off, or crashed and is not wanted so, and QEMU is held; or somebody has told QEMU to end: see to it
 * that it does. The reason stays what it was. */
static bool poweroff(struct job *job, struct err **e)
{
	struct instance *inst = instance_find(&job->d->rt, job->name);

	enum { HELD = STATE_BIT(STATE_SHUTDOWN) | STATE_BIT(STATE_CRASHED) };

	if (!job_knows(job, inst, e))
		return false;
	job->changed = inst && inst->process &&
		       (STATE_BIT(inst->state) & HELD || job->recovered || observe_is_told_to_end(inst));
	if (!job->changed)
		return true;
	inst->obeying = true;
	stop_plan(job->op, inst);
	return true;
}

const struct command cmd_instance_poweroff = {
	.name = "instance-poweroff",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.internal = true,
	.params = stop_rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Ends the process of a guest that powered itself off, or crashed.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = poweroff,
	.result = job_result_state,
};

/* What is to follow by itself has not been overtaken by somebody's wish. */
static bool restart(struct job *job, struct err **e)
{
	struct instance *inst = job_instance(job, e);

	if (!inst || !job_knows(job, inst, e))
		return false;
	job->changed = job->recovered || (inst->restarts.due && !inst->process && !inst->broken);
	if (!job->changed)
		return true;
	/* One that this droverd fails to do is not tried again; one that it is killed in is. */
	if (!job->recovered)
		inst->restarts.due = false;
	job_plan_start(job, inst, false);
	return true;
}

const struct command cmd_instance_restart = {
	.name = "instance-restart",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.internal = true,
	.params = stop_rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Starts a guest anew that ended by itself and is to be restarted.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = restart,
	.result = job_result_state,
};

static bool collect(struct job *job, struct err **e)
{
	struct instance *inst = instance_find(&job->d->rt, job->name);

	if (!job_knows(job, inst, e))
		return false;
	job->changed = inst && !inst->process && inst->run_dir >= 0;
	if (job->changed)
		collect_plan(job->op, inst);
	return true;
}

const struct command cmd_instance_collect = {
	.name = "instance-collect",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.internal = true,
	.params = stop_rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Records the end of a process that is gone, and clears what it left.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = collect,
	.result = job_result_state,
};

/* ---- instance-shutdown ---- */

enum then { THEN_FAIL, THEN_STOP };

struct shutdown_args {
	char *instance;
	double timeout;
	int mode; /* enum shutdown_mode */
	int then; /* enum then */
};

static const char *const modes[] = { "auto", "agent", "acpi", NULL };
static const char *const thens[] = { "fail", "stop", NULL };

static const struct param shutdown_rows[] = {
	PARAM_INSTANCE(struct shutdown_args),
	{ "timeout", PARAM_TIME, .def = "120", .max = 86400, PARAM_AT(struct shutdown_args, timeout), .unit = "s",
	  .since = "0.1.0", .doc = "How long the guest has." },
	{ "mode", PARAM_CHOICE, .choices = modes, .def = "\"auto\"", PARAM_AT(struct shutdown_args, mode),
	  .since = "0.1.0",
	  .doc = "How the guest is asked: by its agent, by the power button (acpi), or by one after the other (auto): "
		 "the "
		 "agent, if it answers, has a third of the time; then the button is pressed until the time is over. A "
		 "machine "
		 "without ACPI (hvparams.acpi) has no button." },
	{ "then", PARAM_CHOICE, .choices = thens, .def = "\"fail\"", PARAM_AT(struct shutdown_args, then),
	  .since = "0.1.0", .doc = "What to do when it has not obeyed in time." },
	PARAM_END
};

static bool shutdown_guest(struct job *job, struct err **e)
{
	const struct shutdown_args *args = job->args;
	struct instance *inst = job_instance(job, e);
	struct shutdown_how how = { .mode = (enum shutdown_mode)args->mode,
				    .timeout_ms = (unsigned)ceil(args->timeout * 1000),
				    .soft = args->then == THEN_STOP,
				    .again = job->recovered };
	enum { ASKABLE = STATE_BIT(STATE_RUNNING) | STATE_BIT(STATE_SHUTDOWN) | STATE_BIT(STATE_PMSUSPENDED) };

	if (!inst || !job_knows(job, inst, e))
		return false;
	job->changed = is_there(inst) || job->recovered;
	if (!job->changed)
		return true;
	inst->restarts.due = false;
	if (job->recovered)
		inst->ending = true;
	if (!job->recovered && !(STATE_BIT(inst->state) & ASKABLE) && args->then != THEN_STOP)
		return err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s) and cannot hear; resume it, or say then: stop",
			       inst->name, state_name(inst->state), inst->reason);
	if (!job->recovered && args->mode == SHUTDOWN_ACPI && args->then != THEN_STOP && !shutdown_has_button(inst))
		return err_set(
			e, ERR_WRONG_STATE,
			"the machine of '%s' has no power button (hvparams.acpi); use mode agent, or say then: stop",
			inst->name);
	job->ctx = shutdown_plan(job->op, inst, &how);
	stop_plan(job->op, inst);
	return true;
}

/* The rung of the ladder that did it, unless that was in a former life of droverd. */
static struct json_object *shutdown_result(struct job *job)
{
	struct json_object *o = job_result_state(job);

	if (job->changed)
		json_add_str(o, "rung", shutdown_rung(job->ctx));
	return o;
}

const struct command cmd_instance_shutdown = {
	.name = "instance-shutdown",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.params = shutdown_rows,
	.args_size = sizeof(struct shutdown_args),
	.doc = "Asks the guest to shut itself down and waits for it; a guest that sleeps is woken first. One that does "
	       "not "
	       "obey in time is a Timeout with undone: false, for it may still obey. With mode agent a guest without a "
	       "running agent is WrongState, one whose agent does not answer a ping Timeout, and its refusal "
	       "GuestRefused.",
	.returns = "{changed, state, rung}: rung agent, acpi or stop, whichever it took",
	.subject = subject_instance,
	.plan = shutdown_guest,
	.result = shutdown_result,
};
