/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways to end a process. Each rung of the ladder finds out by the pidfd that it is not needed.
 */
#include "base/queue.h"
#include "qmp/wait.h"
#include "runtime/observe.h"
#include "runtime/record.h"
#include "runtime/start.h"

#include <signal.h>

enum { QUIT_MS = 10000, TERM_MS = 5000, KILL_MS = 10000, ALONE_MS = 60000, CALL_MS = 30000 };

static void on_quit(struct json_object *ret, const struct err *e, void *data)
{
	/* The end of the process is the answer. */
}

/* Without a monitor of ours there is nobody to ask. */
static enum verdict quit(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->ending = true;
	if (!inst->process || !qmp_is_ready(inst->qmp))
		return OP_DONE;
	qmp_send(inst->qmp, "quit", NULL, -1, on_quit, NULL);
	return instance_wait_end(op, inst, true);
}

/* What was asked to end does not become what it was by our giving up. */
static enum verdict quit_probe(struct op *op, void *arg)
{
	const struct instance *inst = arg;

	return !inst->process || inst->ending ? OP_DONE : op_fail(op, ERR_CANCELLED, "QEMU was not asked");
}

static enum verdict terminate(struct op *op, void *arg)
{
	struct instance *inst = arg;

	if (!inst->process)
		return OP_DONE;
	process_signal(inst->process, SIGTERM);
	return instance_wait_end(op, inst, true);
}

static enum verdict kill_process(struct op *op, void *arg)
{
	struct instance *inst = arg;

	if (!inst->process)
		return OP_DONE;
	process_signal(inst->process, SIGKILL);
	return instance_wait_end(op, inst, false);
}

static void enter_rest(struct instance *inst)
{
	observe_judge_end(inst);
	/* The end of a launcher that never went. */
	if (inst->state != STATE_SHUTOFF && inst->state != STATE_CRASHED)
		instance_enter(inst, STATE_SHUTOFF, "", inst->ending ? "admin" : "failed");
}

static enum verdict record_end(struct op *op, void *arg)
{
	enter_rest(arg);
	return record_state(op, arg);
}

/* Nothing brings the process back, recorded or not. */
static enum verdict record_probe(struct op *op, void *arg)
{
	return OP_DONE;
}

static enum verdict clear(struct op *op, void *arg)
{
	enter_rest(arg); /* taken up at this step, it was not seen in this life of droverd */
	record_clear(arg);
	return OP_DONE;
}

static const struct step step_quit = { "ask QEMU to quit",    quit,           NULL,         quit_probe,
				       .timeout_ms = QUIT_MS, .commit = true, .again = true };
static const struct step step_term = { "terminate QEMU", terminate, .timeout_ms = TERM_MS };
static const struct step step_kill = { "kill QEMU", kill_process, .timeout_ms = KILL_MS };
static const struct step step_alone = { "wait for what was cancelled", queue_alone, .timeout_ms = ALONE_MS };
static const struct step step_record = { "record the end",      record_end,    NULL, record_probe,
					 .timeout_ms = CALL_MS, .commit = true };
static const struct step step_clear = { "clear the run directory", clear };

void collect_plan(struct op *op, struct instance *inst)
{
	op_add(op, &step_record, inst);
	op_add(op, &step_clear, inst);
}

void stop_plan(struct op *op, struct instance *inst)
{
	op_add(op, &step_quit, inst);
	op_add(op, &step_term, inst);
	op_add(op, &step_kill, inst);
	op_add(op, &step_alone, inst);
	collect_plan(op, inst);
}

/* ---- asking the guest ---- */

static enum verdict press(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->ending = true;
	if (inst->state != STATE_RUNNING)
		return OP_DONE; /* it would not hear */
	return qmp_call(op, inst->qmp, "system_powerdown", NULL, NULL, NULL);
}

/* The way back: whatever the guest does from here on is its own doing. */
static enum verdict unpress(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->ending = false;
	observe_held(inst);
	return OP_DONE;
}

enum { DOWN = STATE_BIT(STATE_SHUTDOWN) | STATE_BIT(STATE_SHUTOFF) | STATE_BIT(STATE_CRASHED) };

static const struct step step_press = { "press the power button", press, unpress, .timeout_ms = CALL_MS,
					.again = true };

/* The deadline is the caller's, so the step that waits is the plan's own. */
struct patience {
	struct instance *inst;
	unsigned ms;
	bool soft;
};

static enum verdict wait_guest(struct op *op, void *arg)
{
	struct patience *p = arg;
	enum { DEAF = STATE_BIT(STATE_PAUSED) | STATE_BIT(STATE_BLOCKED) | STATE_BIT(STATE_PMSUSPENDED) };

	if (p->soft && STATE_BIT(p->inst->state) & DEAF)
		return OP_DONE;
	op_wait_ms(op, p->ms);
	return instance_wait(op, p->inst, DOWN, p->soft);
}

static const struct step step_guest = { "wait for the guest", wait_guest, .again = true };

void shutdown_plan(struct op *op, struct instance *inst, unsigned timeout_ms, bool soft)
{
	struct patience *p = op_alloc(op, sizeof(*p));

	*p = (struct patience){ inst, timeout_ms ? timeout_ms : 1, soft };
	op_add(op, &step_press, inst);
	op_add(op, &step_guest, p);
}
