/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance-reboot: the guest is asked to power off, and then either the same process boots it again (QEMU is held in
 * RunState shutdown, from which a reset leads back), or, where the definition has changed in a way that only a start
 * brings about, a new one does.
 *
 * The commit is that the guest runs. Before it, going back cannot bring back what was powered off: the process is ended,
 * if that was not done yet. A reboot that the end of droverd interrupted goes on; where it cannot (a start is undone then),
 * a start follows, for nobody wanted the guest to be down.
 */
#include "daemon/commands.h"
#include "daemon/job.h"
#include "qmp/wait.h"
#include "runtime/device_record.h"
#include "runtime/observe.h"
#include "runtime/record.h"
#include "runtime/start.h"

#include <math.h>
#include <signal.h>

struct args {
	char *instance;
	double timeout;
};

enum { CALL_MS = 30000, QUIT_MS = 10000 };

static const struct param rows[] = { PARAM_INSTANCE(struct args),
				     { "timeout", PARAM_TIME, .def = "120", .max = 86400,
				       PARAM_AT(struct args, timeout), .unit = "s", .since = "0.1.0",
				       .doc = "How long the guest has to power off. After it nothing else is done." },
				     PARAM_END };

/* ---- the end ---- */

static struct instance *instance_of(const struct job *job)
{
	return instance_find(&job->d->rt, job->name);
}

/* The guest is down already. */
static enum verdict end(struct op *op, struct instance *inst, bool soft)
{
	inst->ending = true;
	if (!inst->process)
		return OP_DONE;
	if (qmp_is_ready(inst->qmp))
		qmp_send_for(inst->qmp, op->id, "quit", NULL, -1, NULL, NULL); /* its end is the answer */
	else
		process_signal(inst->process, SIGTERM);
	return instance_wait_end(op, inst, soft);
}

/* On the way back: it stays down, unless it is started ANEW by another operation, and what is left of the run is collected
 * when this one is over. */
static void stay_down(struct job *job, struct instance *inst, bool anew)
{
	if (job->op->err)
		err_prefix(job->op->err,
			   anew ? "'%s' is down and is started anew" : "'%s' is down and was not booted again",
			   inst->name);
	job_internal(job->d, "instance-collect", inst->name);
}

/* ---- the same process ---- */

/* QEMU answers before it resets; only then does it leave RunState shutdown. */
static enum verdict reset(struct op *op, void *arg)
{
	return qmp_call_until(op, instance_of(arg)->qmp, "system_reset", NULL, "RESET", NULL, NULL);
}

static enum verdict reset_undo(struct op *op, void *arg)
{
	stay_down(arg, instance_of(arg), false);
	return end(op, instance_of(arg), false);
}

static enum verdict ask_reset(struct op *op, void *arg)
{
	return observe_ask(op, arg, NULL);
}

static enum verdict go(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->ending = false; /* what it does from here on is its own doing */
	inst->causes.running = "reset";
	return qmp_call(op, inst->qmp, "cont", NULL, NULL, NULL);
}

/* One that was let go may have stopped by itself since. */
static enum verdict see_let_go(struct op *op, struct json_object *ret, void *arg)
{
	static const char *const held[] = { "prelaunch", "shutdown", "paused" };

	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		if (str_eq(json_get_str(ret, "status"), held[i]))
			return op_fail(op, ERR_QEMU, "it was not let go");
	return OP_DONE;
}

static enum verdict go_probe(struct op *op, void *arg)
{
	return qmp_call(op, ((struct instance *)arg)->qmp, "query-status", NULL, see_let_go, arg);
}

static enum verdict ask_running(struct op *op, void *arg)
{
	return observe_ask(op, arg, "reset");
}

static const struct step step_reset = { "reset the machine", reset, reset_undo, .timeout_ms = CALL_MS, .again = true };
static const struct step step_ask_reset = { "see that it was reset", ask_reset, .timeout_ms = CALL_MS, .again = true };
static const struct step step_go = { "let the vCPUs go", go,           NULL, go_probe, .timeout_ms = CALL_MS,
				     .commit = true,     .again = true };
static const struct step step_ask_running = { "ask for its state", ask_running, .timeout_ms = CALL_MS };

/* ---- a new process ---- */

static enum verdict end_process(struct op *op, void *arg)
{
	return end(op, instance_of(arg), true);
}

static enum verdict end_undo(struct op *op, void *arg)
{
	struct job *job = arg;
	struct instance *inst = instance_of(job);
	bool anew = job->recovered && !op->cancelled;

	if (inst->process)
		return OP_DONE;
	stay_down(job, inst, anew);
	if (!anew)
		return OP_DONE;
	/* Noted as one that is due, so that it is not lost with this droverd either. */
	inst->restarts.due = true;
	job_internal(job->d, "instance-restart", inst->name);
	return record_state(op, inst);
}

static enum verdict clear(struct op *op, void *arg)
{
	record_clear(arg);
	return OP_DONE;
}

static const struct step step_end = { "end the process", end_process, end_undo, .timeout_ms = QUIT_MS, .again = true };
static const struct step step_clear = { "clear the run directory", clear, .again = true };

static void plan_new(struct job *job, struct instance *inst)
{
	op_add(job->op, &step_end, job);
	kill_plan(job->op, inst);
	if (device_record_has_leavers(inst))
		device_record_leave_plan(job->op, inst);
	op_add(job->op, &step_clear, inst);
	job_plan_start(job, inst, false);
}

/* The machine is reset, and let go. */
static void plan_same(struct job *job, struct instance *inst)
{
	op_add(job->op, &step_reset, job);
	op_add(job->op, &step_ask_reset, inst);
	op_add(job->op, &step_go, inst);
	op_add(job->op, &step_ask_running, inst);
}

/* ---- either ---- */

static bool check(const struct instance *inst, struct err **e)
{
	if (!inst->process)
		return err_set(e, ERR_WRONG_STATE, "'%s' has no process", inst->name);
	if (inst->state != STATE_RUNNING)
		return err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s) and cannot hear", inst->name,
			       state_name(inst->state), inst->reason);
	if (inst->broken)
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read: %s", inst->name,
			       inst->broken->desc);
	return true;
}

/* What is under way is ours; and what ended while there was no droverd is to be known as ended. */
static void take_up(struct job *job, struct instance *inst)
{
	inst->ending = true;
	if (inst->process || inst->run_dir < 0)
		return;
	observe_judge_end(inst);
	job_internal(job->d, "instance-collect", inst->name); /* unless it runs again by then */
}

static bool plan(struct job *job, struct err **e)
{
	const struct args *args = job->args;
	struct instance *inst = job_instance(job, e);
	struct shutdown_how how = { .mode = SHUTDOWN_AUTO };

	if (!inst || !job_knows(job, inst, e) || (!job->recovered && !check(inst, e)))
		return false;
	if (!job->resolved) {
		job->resolved = json_object_new_object();
		json_add_str(job->resolved, "process",
			     json_object_array_length(instance_pending(inst)) > 0 ? "new" : "same");
	}
	if (job->recovered)
		take_up(job, inst);
	how.timeout_ms = (unsigned)ceil(args->timeout * 1000);
	how.again = job->recovered;
	shutdown_plan(job->op, inst, &how);
	if (str_eq(json_get_str(job->resolved, "process"), "new"))
		plan_new(job, inst);
	else
		plan_same(job, inst);
	return true;
}

static struct json_object *result(struct job *job)
{
	struct json_object *o = job_result_state(job);

	json_add_str(o, "process", json_get_str(job->resolved, "process"));
	return o;
}

const struct command cmd_instance_reboot = {
	.name = "instance-reboot",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Asks the guest to power off and boots it again: in the same process, or, where a change of the "
	       "definition waits for a start, in a new one.",
	.returns = "{changed, state, process}: process same or new",
	.subject = subject_instance,
	.plan = plan,
	.result = result,
};
