/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance-pause, -resume, -reset: one question to QEMU, then what became of it. They run beside everything.
 */
#include "daemon/commands.h"
#include "daemon/job.h"
#include "qmp/wait.h"
#include "runtime/observe.h"

enum { CALL_MS = 30000 };

static const struct param rows[] = { PARAM_INSTANCE(struct instance_args), PARAM_END };

/* The instance in one of STATES; else WrongState. */
static struct instance *instance_in(struct job *job, unsigned states, struct err **e)
{
	struct instance *inst = job_instance(job, e);

	if (!inst)
		return NULL;
	if (!inst->process) {
		err_set(e, ERR_WRONG_STATE, "'%s' has no process", inst->name);
		return NULL;
	}
	if (!(STATE_BIT(inst->state) & states)) {
		err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s)", inst->name, state_name(inst->state), inst->reason);
		return NULL;
	}
	return inst;
}

static enum verdict do_stop(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->next_reason = "admin";
	return qmp_call(op, inst->qmp, "stop", NULL, NULL, NULL);
}

static enum verdict do_cont(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->next_reason = str_eq(inst->status, "prelaunch") ? "booted" : "resumed";
	return qmp_call(op, inst->qmp, "cont", NULL, NULL, NULL);
}

/* It did not happen, so its reason is no later change's. */
static enum verdict undo(struct op *op, void *arg)
{
	((struct instance *)arg)->next_reason = NULL;
	return OP_DONE;
}

static enum verdict see_paused(struct op *op, struct json_object *ret, void *arg)
{
	return str_eq(json_get_str(ret, "status"), "running") ? op_fail(op, ERR_QEMU, "it runs") : OP_DONE;
}

static enum verdict see_resumed(struct op *op, struct json_object *ret, void *arg)
{
	return str_eq(json_get_str(ret, "status"), "running") ? OP_DONE : op_fail(op, ERR_QEMU, "it does not run");
}

static enum verdict probe_stop(struct op *op, void *arg)
{
	return qmp_call(op, ((struct instance *)arg)->qmp, "query-status", NULL, see_paused, arg);
}

static enum verdict probe_cont(struct op *op, void *arg)
{
	return qmp_call(op, ((struct instance *)arg)->qmp, "query-status", NULL, see_resumed, arg);
}

static enum verdict do_reset(struct op *op, void *arg)
{
	struct instance *inst = arg;

	return qmp_call(op, inst->qmp, "system_reset", NULL, NULL, NULL);
}

static enum verdict ask_paused(struct op *op, void *arg)
{
	return observe_ask(op, arg, "admin");
}

static enum verdict ask_resumed(struct op *op, void *arg)
{
	struct instance *inst = arg;

	/* RESUME may have told already. */
	return observe_ask(op, inst,
			   inst->state == STATE_RUNNING      ? inst->reason :
			   str_eq(inst->status, "prelaunch") ? "booted" :
							       "resumed");
}

/* A crashed guest stands still until it is told to run. */
static enum verdict go_on(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->next_reason = "reset";
	return qmp_call(op, inst->qmp, "cont", NULL, NULL, NULL);
}

static enum verdict ask_reset(struct op *op, void *arg)
{
	struct instance *inst = arg;

	return observe_ask(op, inst, inst->state == STATE_RUNNING ? "reset" : NULL);
}

static enum verdict ask_gone_on(struct op *op, void *arg)
{
	return observe_ask(op, arg, "reset");
}

static const struct step step_stop = { "stop the vCPUs",      do_stop,       undo, probe_stop,
				       .timeout_ms = CALL_MS, .commit = true };
static const struct step step_cont = { "let the vCPUs go",    do_cont,       undo, probe_cont,
				       .timeout_ms = CALL_MS, .commit = true };
static const struct step step_reset = { "reset the machine", do_reset, .timeout_ms = CALL_MS, .commit = true };
static const struct step step_ask_paused = { "ask for its state", ask_paused, .timeout_ms = CALL_MS };
static const struct step step_ask_resumed = { "ask for its state", ask_resumed, .timeout_ms = CALL_MS };
static const struct step step_ask_reset = { "ask for its state", ask_reset, .timeout_ms = CALL_MS };
static const struct step step_go_on = { "let the vCPUs go",    go_on,         undo, probe_cont,
					.timeout_ms = CALL_MS, .commit = true };
static const struct step step_ask_gone_on = { "ask for its state", ask_gone_on, .timeout_ms = CALL_MS };

static bool pause_plan(struct job *job, struct err **e)
{
	struct instance *inst = instance_in(job, STATE_BIT(STATE_RUNNING) | STATE_BIT(STATE_PAUSED), e);

	if (!inst)
		return false;
	job->changed = inst->state == STATE_RUNNING;
	if (job->changed) {
		op_add(job->op, &step_stop, inst);
		op_add(job->op, &step_ask_paused, inst);
	}
	return true;
}

static bool resume_plan(struct job *job, struct err **e)
{
	struct instance *inst = instance_in(
		job, STATE_BIT(STATE_RUNNING) | STATE_BIT(STATE_PAUSED) | STATE_BIT(STATE_BLOCKED), e);

	if (!inst)
		return false;
	job->changed = inst->state != STATE_RUNNING;
	if (job->changed) {
		op_add(job->op, &step_cont, inst);
		op_add(job->op, &step_ask_resumed, inst);
	}
	return true;
}

static bool reset_plan(struct job *job, struct err **e)
{
	enum {
		RESETTABLE = STATE_BIT(STATE_RUNNING) | STATE_BIT(STATE_PAUSED) | STATE_BIT(STATE_BLOCKED) |
			     STATE_BIT(STATE_PMSUSPENDED) | STATE_BIT(STATE_CRASHED)
	};
	struct instance *inst = instance_in(job, RESETTABLE, e);

	if (!inst)
		return false;
	op_add(job->op, &step_reset, inst);
	if (inst->state == STATE_CRASHED)
		op_add(job->op, &step_go_on, inst);
	op_add(job->op, inst->state == STATE_CRASHED ? &step_ask_gone_on : &step_ask_reset, inst);
	return true;
}

const struct command cmd_instance_pause = {
	.name = "instance-pause",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.params = rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Stops the guest's processors; its memory stays.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = pause_plan,
	.result = job_result_state,
};

const struct command cmd_instance_resume = {
	.name = "instance-resume",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.params = rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Lets a paused guest go on, or one that a disk's error stopped try again.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = resume_plan,
	.result = job_result_state,
};

const struct command cmd_instance_reset = {
	.name = "instance-reset",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.params = rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Presses the reset button. A paused guest stays paused.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = reset_plan,
	.result = job_result_state,
};
