/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/reset.h"

#include "qmp/wait.h"
#include "runtime/observe.h"
#include "runtime/policy.h"

enum { CALL_MS = 30000, FIRMWARE_MS = 10000, AGAIN_MS = 500 };

static struct json_object *reboot(const char *action)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "reboot", action);
	return o;
}

static void set_resetting(struct instance *inst, enum resetting resetting)
{
	inst->resetting = resetting;
	instance_note(inst);
}

void reset_set_action(struct instance *inst)
{
	qmp_send(inst->qmp, "set-action", reboot("shutdown"), -1, NULL, NULL); /* set again when it is found again */
}

static enum verdict allow(struct op *op, void *arg)
{
	struct instance *inst = arg;

	set_resetting(inst, RESET_AWAITED);
	return qmp_call(op, inst->qmp, "set-action", reboot("reset"), NULL, NULL);
}

static enum verdict on_forbidden(struct op *op, struct json_object *ret, void *arg)
{
	set_resetting(arg, RESET_NONE);
	return OP_DONE;
}

static enum verdict forbid(struct op *op, void *arg)
{
	struct instance *inst = arg;

	/* One that stands still answers later. */
	if (!inst->resetting ||
	    (inst->resetting == RESET_AWAITED && inst->state == STATE_PAUSED && op->phase != OP_BACK))
		return OP_DONE;
	return qmp_call(op, inst->qmp, "set-action", reboot("shutdown"), on_forbidden, inst);
}

struct pressing {
	struct instance *inst;
	double since;
};

static enum verdict press(struct op *op, void *arg)
{
	/* The reply comes before it is done, and a `cont` in between would not be heard. */
	return qmp_call_until(op, ((struct pressing *)arg)->inst->qmp, "system_reset", NULL, "RESET", NULL, NULL);
}

static enum verdict see_reset(struct op *op, struct json_object *ret, void *arg)
{
	const struct pressing *p = arg;

	return p->inst->pressed >= p->since ? OP_DONE : op_fail(op, ERR_QEMU, "it was not reset");
}

/* Behind any answer all events are known, those of a former connection too. */
static enum verdict press_probe(struct op *op, void *arg)
{
	return qmp_call(op, ((struct pressing *)arg)->inst->qmp, "query-status", NULL, see_reset, arg);
}

static enum verdict go_on(struct op *op, void *arg)
{
	struct instance *inst = arg;

	inst->causes.running = "reset";
	return qmp_call(op, inst->qmp, "cont", NULL, NULL, NULL);
}

static enum verdict await_firmware(struct op *op, void *arg)
{
	struct instance *inst = arg;

	if (inst->state == STATE_PAUSED || !inst->process)
		return OP_DONE;
	return instance_wait(op, inst, INSTANCE_SETTLED | INSTANCE_DOWN, true);
}

/* The vCPU of a firmware that wants a reset runs on until QEMU stops it, and may then have asked a second time: on a
 * busy host one in four does, some milliseconds later. */
static enum verdict await_another(struct op *op, void *arg)
{
	struct instance *inst = arg;

	return inst->resetting == RESET_SEEN && inst->process ? instance_wait(op, inst, INSTANCE_DOWN, true) : OP_DONE;
}

static enum verdict ask(struct op *op, void *arg)
{
	return observe_ask(op, arg, NULL);
}

static const struct step step_allow = { "have QEMU take resets", allow, forbid, .timeout_ms = CALL_MS };
static const struct step step_press = { "reset the machine",   press,         NULL, press_probe,
					.timeout_ms = CALL_MS, .commit = true };
static const struct step step_go_on = { "let the vCPUs go", go_on, .timeout_ms = CALL_MS };
static const struct step step_ask = { "ask for its state", ask, .timeout_ms = CALL_MS };
static const struct step step_firmware = { "wait for the firmware", await_firmware, .timeout_ms = FIRMWARE_MS };
static const struct step step_another = { "wait for another", await_another, .timeout_ms = AGAIN_MS };
static const struct step step_forbid = { "have QEMU end at a reboot", forbid, .timeout_ms = CALL_MS, .commit = true };

void reset_plan(struct op *op, struct instance *inst, double since)
{
	bool ends = policy_ends_at_reboot(inst);
	struct pressing *p = op_alloc(op, sizeof(*p));

	*p = (struct pressing){ inst, since };

	if (ends)
		op_add(op, &step_allow, inst);
	op_add(op, &step_press, p);
	if (inst->state != STATE_RUNNING && inst->state != STATE_PAUSED)
		op_add(op, &step_go_on, inst);
	op_add(op, &step_ask, inst);
	if (ends)
		reset_settle_plan(op, inst);
}

void reset_settle_plan(struct op *op, struct instance *inst)
{
	op_add(op, &step_firmware, inst);
	op_add(op, &step_another, inst);
	op_add(op, &step_forbid, inst);
}
