/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ways to end a process. Each rung of the ladder finds out by the pidfd that it is not needed.
 */
#include "base/log.h"
#include "base/queue.h"
#include "qmp/wait.h"
#include "runtime/device_record.h"
#include "runtime/guest_agent.h"
#include "runtime/observe.h"
#include "runtime/record.h"
#include "runtime/start.h"

#include <signal.h>

enum { QUIT_MS = 10000, TERM_MS = 5000, KILL_MS = 10000, ALONE_MS = 60000, CALL_MS = 30000 };

/* Without a monitor of ours there is nobody to ask. */
static enum verdict quit(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->ending = true;
	if (!inst->process || !qmp_is_ready(inst->qmp))
		return OP_DONE;
	qmp_send_for(inst->qmp, op->id, "quit", NULL, -1, NULL, NULL); /* its end is the answer */
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

void enter_rest(struct instance *inst)
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

/* Nothing brings the process back, recorded or not; but what could not be written is kept where it can be read. */
static enum verdict record_probe(struct op *op, void *arg)
{
	const struct instance *inst = arg;

	return inst->unrecorded ? op_fail(op, ERR_CANCELLED, "the end is not recorded") : OP_DONE;
}

static enum verdict clear(struct op *op, void *arg)
{
	const struct instance *inst = arg;

	enter_rest(arg); /* taken up at this step, it was not seen in this life of droverd */
	if (inst->unrecorded)
		log_write(LOG_WARNING, inst->name, "its end is not recorded, so what is left of the run is kept");
	else
		record_clear(arg);
	return OP_DONE;
}

static const struct step step_quit = { "ask QEMU to quit",    quit,           NULL,         quit_probe,
				       .timeout_ms = QUIT_MS, .commit = true, .again = true };
static const struct step step_term = { "terminate QEMU", terminate, .timeout_ms = TERM_MS };
static const struct step step_kill = { "kill QEMU", kill_process, .timeout_ms = KILL_MS, .again = true };
static const struct step step_alone = { "wait for what was cancelled", queue_alone, .timeout_ms = ALONE_MS };
static const struct step step_record = { "record the end",      record_end,     NULL,         record_probe,
					 .timeout_ms = CALL_MS, .commit = true, .again = true };
static const struct step step_clear = { "clear the run directory", clear };

void collect_plan(struct op *op, struct instance *inst)
{
	op_add(op, &step_record, inst);
	device_record_leave_plan(op, inst);
	op_add(op, &step_clear, inst);
}

void kill_plan(struct op *op, struct instance *inst)
{
	op_add(op, &step_kill, inst);
}

void stop_plan(struct op *op, struct instance *inst)
{
	op_add(op, &step_quit, inst);
	op_add(op, &step_term, inst);
	kill_plan(op, inst);
	op_add(op, &step_alone, inst);
	kill_plan(op, inst); /* what was cancelled may have come to a new process all the same */
	collect_plan(op, inst);
}

/* ---- asking the guest ---- */

enum { AWAKE = (STATE_BIT(STATE_COUNT) - 1) & ~STATE_BIT(STATE_PMSUSPENDED) };
enum { PING_MS = 2000, WAKE_MS = 10000, PRESS_MIN_MS = 1000, PRESS_MAX_MS = 10000, SHARES = 3 };

struct ladder {
	struct op *op;
	struct instance *inst;
	struct shutdown_how how;
	uint64_t deadline;          /* of the loop's clock */
	unsigned press_ms;          /* from one press of the button to the next */
	bool button;                /* the machine has one */
	bool answers;               /* the agent did, to a ping */
	bool woken, asked, pressed; /* the guest; the agent; the button */
	struct agent_call *call;    /* to the agent, under way */
	struct qmp_call *pressing;  /* a press after the first */
	const char *rung;
};

#define NO_BUTTON ", and its machine has no power button (hvparams.acpi): shut it down from within, or stop it"

static unsigned left(const struct ladder *l)
{
	uint64_t now = uv_now(l->inst->rt->loop);

	return now < l->deadline ? (unsigned)(l->deadline - now) : 0;
}

static unsigned shorter(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Only the agent will do, and nothing comes after it. */
static bool is_strict(const struct ladder *l)
{
	return l->how.mode == SHUTDOWN_AGENT && !l->how.soft;
}

static bool may_press(const struct ladder *l)
{
	return l->button && l->how.mode != SHUTDOWN_AGENT;
}

/* Nobody waits for these any more. */
static void forget_calls(struct ladder *l)
{
	agent_forget(l->call);
	l->call = NULL;
	qmp_forget(l->pressing);
	l->pressing = NULL;
}

/* The way back: whatever the guest does from here on is its own doing. */
static enum verdict give_up(struct op *op, void *arg)
{
	struct ladder *l = arg;

	forget_calls(l);
	if (op->err && (l->woken || l->asked || l->pressed || l->how.again))
		err_add(op->err, "undone", json_object_new_boolean(false));
	/* The end that a stop brings about is the stop's. */
	if (!queue_is_overtaken(op))
		l->inst->ending = false;
	observe_held(l->inst);
	return OP_DONE;
}

static enum verdict wake(struct op *op, void *arg)
{
	struct ladder *l = arg;

	l->inst->ending = true;
	if (l->inst->state != STATE_PMSUSPENDED)
		return OP_DONE;
	l->woken = true;
	if (l->how.again) {
		/* The last droverd may have done it, and QEMU wakes nobody who is awake; its state will say so. */
		qmp_send_for(l->inst->qmp, op->id, "system_wakeup", NULL, -1, NULL, NULL);
		return OP_DONE;
	}
	return qmp_call(op, l->inst->qmp, "system_wakeup", NULL, NULL, NULL);
}

static enum verdict wait_awake(struct op *op, void *arg)
{
	struct ladder *l = arg;

	op_wait_ms(op, shorter(WAKE_MS, left(l) + 1));
	return instance_wait(op, l->inst, AWAKE, true);
}

static void on_pong(struct json_object *ret, const struct err *e, void *data)
{
	struct ladder *l = data;
	struct err *failure = NULL;

	l->call = NULL;
	l->answers = !e || e->class == ERR_GUEST_REFUSED; /* who refuses answers too */
	if (!l->answers && is_strict(l) && l->inst->process) {
		failure = err_copy(e);
		err_prefix(failure, "nothing was asked of the guest");
	}
	op_resume(l->op, failure);
}

static void ping_forget(struct op *op, void *data)
{
	forget_calls(data);
}

/* An open port is no proof. An agent that hangs must not cost more than this. */
static enum verdict ping(struct op *op, void *arg)
{
	static const struct op_wait_ops ops = { .what = "answer of the guest agent",
						.forget = ping_forget,
						.abortable = true };
	struct ladder *l = arg;
	struct err *e = NULL;

	if (l->how.mode == SHUTDOWN_ACPI || l->inst->state != STATE_RUNNING)
		return OP_DONE;
	if (!guest_agent_is_up(l->inst))
		return is_strict(l) ? op_fail(op, ERR_WRONG_STATE, "no agent runs in the guest '%s'%s", l->inst->name,
					      l->button ? "; use mode acpi" : NO_BUTTON) :
				      OP_DONE;
	l->call = agent_send(guest_agent_client(l->inst), "guest-ping", NULL, PING_MS, on_pong, l, &e);
	if (l->call)
		return op_wait(op, &ops, l);
	if (is_strict(l))
		return op_fail_err(op, e);
	err_free(e);
	return OP_DONE;
}

/* Silence is what success sounds like. */
static void on_agent_reply(struct json_object *ret, const struct err *e, void *data)
{
	struct ladder *l = data;

	l->call = NULL;
	if (e && e->class == ERR_GUEST_REFUSED)
		instance_wait_no_more(l->op, l->inst, is_strict(l) ? err_copy(e) : NULL);
}

static unsigned agent_over(struct op *op, void *arg, struct err **e)
{
	return 0;
}

static enum verdict ask_agent(struct op *op, void *arg)
{
	struct ladder *l = arg;
	struct json_object *args;
	unsigned ms = l->how.mode == SHUTDOWN_AGENT ? left(l) + 1 : left(l) / SHARES + 1;

	if (!l->answers || STATE_BIT(l->inst->state) & INSTANCE_DOWN)
		return OP_DONE;
	args = json_object_new_object();
	json_add_str(args, "mode", "powerdown");
	l->call = agent_send(guest_agent_client(l->inst), "guest-shutdown", args, ms, on_agent_reply, l, NULL);
	l->asked = l->call != NULL;
	return l->asked ? instance_wait_on(op, l->inst, INSTANCE_DOWN, ms, agent_over, l) : OP_DONE;
}

static enum verdict press(struct op *op, void *arg)
{
	struct ladder *l = arg;

	forget_calls(l);
	if (l->inst->state != STATE_RUNNING || !may_press(l))
		return OP_DONE; /* it would not hear, or is not to */
	l->pressed = true;
	return qmp_call(op, l->inst->qmp, "system_powerdown", NULL, NULL, NULL);
}

static void on_pressed(struct json_object *ret, const struct err *e, void *data)
{
	((struct ladder *)data)->pressing = NULL;
}

/* A guest that is booting has lost the last press, and some screen lockers swallow the first. */
static unsigned press_again(struct op *op, void *arg, struct err **e)
{
	struct ladder *l = arg;
	struct instance *inst = l->inst;

	if (!left(l)) {
		if (!l->how.soft)
			err_set(e, ERR_TIMEOUT, "the guest has not shut down within %u s; it may still do so",
				(l->how.timeout_ms + 999) / 1000);
		return 0;
	}
	if (l->pressing) {
		qmp_expired(inst->qmp);
	} else if (may_press(l) && inst->state == STATE_RUNNING && !qmp_is_gone(inst->qmp)) {
		l->pressed = true; /* the first time, of one that slept until now */
		l->pressing = qmp_send_for(inst->qmp, op->id, "system_powerdown", NULL, -1, on_pressed, l);
	}
	return shorter(l->press_ms, left(l));
}

static enum verdict wait_guest(struct op *op, void *arg)
{
	struct ladder *l = arg;
	enum { DEAF = STATE_BIT(STATE_PAUSED) | STATE_BIT(STATE_BLOCKED) | STATE_BIT(STATE_PMSUSPENDED) };

	if (l->how.soft && (STATE_BIT(l->inst->state) & DEAF || (!l->button && !l->asked && !l->how.again)))
		return OP_DONE; /* nobody has heard */
	if (l->how.again && may_press(l) && !(STATE_BIT(l->inst->state) & INSTANCE_DOWN))
		l->pressed = true; /* in a former life */
	return instance_wait_on(op, l->inst, INSTANCE_DOWN, shorter(l->press_ms, left(l) + 1), press_again, l);
}

/* Has the guest obeyed, and whom; or is the rest of the plan to end it? */
static enum verdict see_rung(struct op *op, void *arg)
{
	struct ladder *l = arg;

	forget_calls(l);
	if (l->inst->process && l->inst->state != STATE_SHUTDOWN)
		l->rung = "stop";
	else
		l->rung = l->pressed ? "acpi" : l->asked ? "agent" : l->how.again ? NULL : "stop";
	return OP_DONE;
}

static const struct step step_wake = { "wake the guest", wake, give_up, .timeout_ms = CALL_MS, .again = true };
static const struct step step_awake = { "wait for it to wake", wait_awake, .again = true };
static const struct step step_ping = { "see whether the guest agent answers", ping, .timeout_ms = CALL_MS,
				       .again = true };
static const struct step step_agent = { "ask the guest agent to shut down", ask_agent, .again = true };
static const struct step step_press = { "press the power button", press, .timeout_ms = CALL_MS, .again = true };
static const struct step step_guest = { "wait for the guest", wait_guest, .again = true };
static const struct step step_rung = { "see whether it obeyed", see_rung, .again = true };

bool shutdown_has_button(const struct instance *inst)
{
	return definition_has_acpi(json_get_typed(inst->record, "definition", json_type_object));
}

struct ladder *shutdown_plan(struct op *op, struct instance *inst, const struct shutdown_how *how)
{
	struct ladder *l = op_alloc(op, sizeof(*l));

	*l = (struct ladder){ .op = op, .inst = inst, .how = *how };
	l->button = shutdown_has_button(inst);
	if (!l->button && l->how.mode == SHUTDOWN_AUTO)
		l->how.mode = SHUTDOWN_AGENT;
	l->deadline = uv_now(inst->rt->loop) + how->timeout_ms;
	l->press_ms = shorter(PRESS_MAX_MS, how->timeout_ms / SHARES);
	if (l->press_ms < PRESS_MIN_MS)
		l->press_ms = PRESS_MIN_MS;
	op_add(op, &step_wake, l);
	op_add(op, &step_awake, l);
	op_add(op, &step_ping, l);
	op_add(op, &step_agent, l);
	op_add(op, &step_press, l);
	op_add(op, &step_guest, l);
	op_add(op, &step_rung, l);
	return l;
}

const char *shutdown_rung(const struct ladder *l)
{
	return l->rung;
}
