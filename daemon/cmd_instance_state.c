/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance-pause, -resume, -reset, -nmi: one question to QEMU, then what became of it. They run beside everything.
 */
#include "daemon/commands.h"
#include "daemon/job.h"
#include "qmp/wait.h"
#include "runtime/observe.h"
#include "runtime/policy.h"
#include "runtime/reset.h"

enum { CALL_MS = 30000 };

static const struct param rows[] = { PARAM_INSTANCE(struct instance_args), PARAM_END };

/* ---- what may be asked when ---- */

/* What helps who was refused. */
static const char *const ways_out[STATE_COUNT] = {
	[STATE_NOSTATE] = "wait until QEMU has answered, or end it with 'instance-stop'",
	[STATE_RUNNING] = "",
	[STATE_BLOCKED] = "see to its disk, then 'instance-resume' retries",
	[STATE_PAUSED] = "'instance-resume' lets it go on",
	[STATE_SHUTDOWN] = "its process is about to end; start it then",
	[STATE_SHUTOFF] = "start it",
	[STATE_CRASHED] = "'instance-reset' lets it boot again, 'instance-stop' ends it",
	[STATE_PMSUSPENDED] = "'instance-resume' wakes it",
};

/* The instance in one of STATES; else WrongState. */
static struct instance *instance_in(struct job *job, unsigned states, struct err **e)
{
	struct instance *inst = job_instance(job, e);

	if (!inst || !instance_is_known(inst, e))
		return NULL;
	if (job->recovered)
		return inst; /* it was, when it was asked */
	if (!inst->process) {
		err_set(e, ERR_WRONG_STATE, "'%s' has no process; start it", inst->name);
		return NULL;
	}
	if (!(STATE_BIT(inst->state) & states)) {
		err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s); %s", inst->name, state_name(inst->state), inst->reason,
			ways_out[inst->state]);
		return NULL;
	}
	return inst;
}

/* ---- steps ---- */

static enum verdict do_stop(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->causes.paused = "admin";
	return qmp_call(op, inst->qmp, "stop", NULL, NULL, NULL);
}

static enum verdict do_cont(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->causes.running = str_eq(inst->reason, "starting") ? "booted" : "resumed";
	return qmp_call(op, inst->qmp, "cont", NULL, NULL, NULL);
}

static enum verdict do_wake(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->causes.running = "woken";
	return qmp_call(op, inst->qmp, "system_wakeup", NULL, NULL, NULL);
}

static enum verdict do_nmi(struct op *op, void *arg)
{
	return qmp_call(op, ((struct instance *)arg)->qmp, "inject-nmi", NULL, NULL, NULL);
}

/* It did not happen, so its reason is no later change's. */
static enum verdict undo_stop(struct op *op, void *arg)
{
	((struct instance *)arg)->causes.paused = NULL;
	return OP_DONE;
}

static enum verdict undo_go(struct op *op, void *arg)
{
	((struct instance *)arg)->causes.running = NULL;
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

static enum verdict probe_go(struct op *op, void *arg)
{
	return qmp_call(op, ((struct instance *)arg)->qmp, "query-status", NULL, see_resumed, arg);
}

static enum verdict ask(struct op *op, void *arg)
{
	return observe_ask(op, arg, NULL);
}

static const struct step step_stop = { "stop the vCPUs",      do_stop,       undo_stop, probe_stop,
				       .timeout_ms = CALL_MS, .commit = true };
static const struct step step_cont = { "let the vCPUs go",    do_cont,       undo_go, probe_go,
				       .timeout_ms = CALL_MS, .commit = true };
static const struct step step_wake = { "wake the guest",      do_wake,       undo_go, probe_go,
				       .timeout_ms = CALL_MS, .commit = true };
static const struct step step_nmi = { "inject the interrupt", do_nmi, .timeout_ms = CALL_MS, .commit = true };
static const struct step step_ask = { "ask for its state", ask, .timeout_ms = CALL_MS };

/* ---- plans ---- */

static bool pause_plan(struct job *job, struct err **e)
{
	struct instance *inst = instance_in(job, STATE_BIT(STATE_RUNNING) | STATE_BIT(STATE_PAUSED), e);

	if (!inst)
		return false;
	job->changed = inst->state == STATE_RUNNING || job->recovered;
	if (job->changed) {
		op_add(job->op, &step_stop, inst);
		op_add(job->op, &step_ask, inst);
	}
	return true;
}

/* It stands still for an operation, which lets it go by itself. */
static bool is_at_work(const struct instance *inst)
{
	static const char *const works[] = { "saving", "snapshot", "incoming", "migration" };

	for (size_t i = 0; i < ARRAY_SIZE(works) && inst->state == STATE_PAUSED; i++)
		if (str_eq(works[i], inst->reason))
			return true;
	return inst->starting;
}

static bool resume_plan(struct job *job, struct err **e)
{
	enum {
		RESUMABLE = STATE_BIT(STATE_RUNNING) | STATE_BIT(STATE_PAUSED) | STATE_BIT(STATE_BLOCKED) |
			    STATE_BIT(STATE_PMSUSPENDED)
	};
	struct instance *inst = instance_in(job, RESUMABLE, e);

	if (!inst)
		return false;
	job->changed = inst->state != STATE_RUNNING || job->recovered;
	if (!job->changed)
		return true;
	if (is_at_work(inst) && !job->recovered)
		return err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s); wait for the end of the operation", inst->name,
			       state_name(inst->state), inst->reason);
	op_add(job->op, inst->state == STATE_PMSUSPENDED ? &step_wake : &step_cont, inst);
	op_add(job->op, &step_ask, inst);
	if (inst->resetting)
		reset_settle_plan(job->op, inst);
	return true;
}

static bool reset(struct job *job, struct err **e)
{
	enum {
		RESETTABLE = STATE_BIT(STATE_RUNNING) | STATE_BIT(STATE_PAUSED) | STATE_BIT(STATE_BLOCKED) |
			     STATE_BIT(STATE_PMSUSPENDED) | STATE_BIT(STATE_CRASHED)
	};
	struct instance *inst = instance_in(job, RESETTABLE, e);

	if (!inst)
		return false;
	if (is_at_work(inst) && !job->recovered)
		return err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s); wait for the end of the operation", inst->name,
			       state_name(inst->state), inst->reason);
	reset_plan(job->op, inst, job->since);
	return true;
}

static bool nmi_plan(struct job *job, struct err **e)
{
	struct instance *inst = instance_in(job, STATE_BIT(STATE_RUNNING), e);

	if (!inst)
		return false;
	op_add(job->op, &step_nmi, inst);
	return true;
}

/* A reset that the last droverd did not see the end of. One that stands still answers when it is let go. */
static bool settle(struct job *job, struct err **e)
{
	struct instance *inst = job_instance(job, e);

	if (!inst)
		return false;
	job->changed = inst->process && inst->resetting && inst->state != STATE_PAUSED;
	if (job->changed)
		reset_settle_plan(job->op, inst);
	return true;
}

/* ---- commands ---- */

const struct command cmd_instance_nmi = {
	.name = "instance-nmi",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.params = rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Sends the guest a non-maskable interrupt: many systems write a dump of themselves then.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = nmi_plan,
	.result = job_result_state,
};

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
	.doc = "Lets a paused guest go on, one that a disk's error stopped try again, and wakes one that sleeps.",
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
	.doc = "Presses the reset button. A paused guest stays paused; any other runs then.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = reset,
	.result = job_result_state,
};

const struct command cmd_instance_settle = {
	.name = "instance-settle",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.internal = true,
	.params = rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Ends what a reset began, after a restart of droverd.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = settle,
	.result = job_result_state,
};
