/* SPDX-License-Identifier: BSD-2-Clause */
/* Waits of operations for what becomes of an instance. */
#include "runtime/instance.h"

struct instance_wait {
	struct instance_wait *next;
	struct instance *inst;
	struct op *op;
	unsigned states; /* 0: the end of the process */
	instance_expired_fn *expired;
	void *arg;
};

static bool is_over(const struct instance_wait *w)
{
	unsigned is = STATE_BIT(w->inst->state) | (w->inst->resetting == RESET_AWAITED ? 0 : INSTANCE_SETTLED);

	return w->states ? w->states & is : !w->inst->process;
}

static void wait_remove(struct instance_wait *w)
{
	struct instance_wait **p;

	for (p = &w->inst->waits; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	free(w);
}

static void wait_forget(struct op *op, void *data)
{
	wait_remove(data);
}

static void wait_soft_expired(struct op *op, void *data)
{
	wait_remove(data);
	op_resume(op, NULL);
}

/* Only its end lets go of what a process holds. */
static void wait_stalled(struct op *op, void *data)
{
	op_stall(op);
}

void instance_poke(struct instance *inst)
{
	struct instance_wait *w = inst->waits;

	while (w) {
		struct op *op = w->op;

		if (!is_over(w)) {
			w = w->next;
			continue;
		}
		wait_remove(w);
		op_resume(op, NULL); /* may add, end or forget others: from the start */
		w = inst->waits;
	}
}

bool instance_is_awaited(const struct instance *inst)
{
	for (const struct instance_wait *w = inst->waits; w; w = w->next)
		if (!w->states)
			return true;
	return false;
}

static enum verdict wait_for(struct op *op, struct instance *inst, unsigned wanted, const struct op_wait_ops *ops)
{
	struct instance_wait *w = xcalloc(1, sizeof(*w));

	w->inst = inst;
	w->op = op;
	w->states = wanted;
	if (is_over(w)) {
		free(w);
		return OP_DONE;
	}
	w->next = inst->waits;
	inst->waits = w;
	return op_wait(op, ops, w);
}

enum verdict instance_wait(struct op *op, struct instance *inst, unsigned wanted, bool soft)
{
	static const struct op_wait_ops hard_ops = { .what = "answer of the guest",
						     .forget = wait_forget,
						     .abortable = true };
	static const struct op_wait_ops soft_ops = {
		.what = "answer of the guest", .forget = wait_forget, .expired = wait_soft_expired, .abortable = true
	};

	return wait_for(op, inst, wanted, soft ? &soft_ops : &hard_ops);
}

static void wait_on_expired(struct op *op, void *data)
{
	struct instance_wait *w = data;
	struct err *e = NULL;
	unsigned ms = w->expired(op, w->arg, &e);

	if (ms) {
		op_extend(op, ms);
		return;
	}
	wait_remove(w);
	op_resume(op, e);
}

enum verdict instance_wait_on(struct op *op, struct instance *inst, unsigned wanted, unsigned ms,
			      instance_expired_fn *expired, void *arg)
{
	static const struct op_wait_ops ops = {
		.what = "answer of the guest", .forget = wait_forget, .expired = wait_on_expired, .abortable = true
	};
	enum verdict v = wait_for(op, inst, wanted, &ops);

	if (v == OP_WAIT) {
		inst->waits->expired = expired;
		inst->waits->arg = arg;
		op_wait_ms(op, ms);
	}
	return v;
}

void instance_wait_no_more(struct op *op, struct instance *inst, struct err *e)
{
	for (struct instance_wait *w = inst->waits; w; w = w->next) {
		if (w->op == op) {
			wait_remove(w);
			op_resume(op, e);
			return;
		}
	}
	err_free(e);
}

enum verdict instance_wait_end(struct op *op, struct instance *inst, bool soft)
{
	static const struct op_wait_ops hard_ops = { .what = "end of the process",
						     .forget = wait_forget,
						     .expired = wait_stalled };
	static const struct op_wait_ops soft_ops = { .what = "end of the process",
						     .forget = wait_forget,
						     .expired = wait_soft_expired };

	return wait_for(op, inst, 0, soft ? &soft_ops : &hard_ops);
}
