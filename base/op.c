/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/op.h"

#include "base/log.h"
#include "base/queue.h"

#include <assert.h>

enum op_fault (*op_hook)(struct op *op, const struct step *step, enum op_when when);

struct op_memory {
	struct op_memory *next;
	max_align_t data[];
};

static void op_walk(struct op *op);

struct op *op_new(uv_loop_t *loop, const struct op_ops *ops, void *owner)
{
	struct op *op = xcalloc(1, sizeof(*op));

	op->ops = ops;
	op->owner = owner;
	op->name = "operation";
	op->id = "";
	uv_timer_init(loop, &op->deadline);
	op->deadline.data = op;
	return op;
}

static void on_closed(uv_handle_t *handle)
{
	struct op *op = handle->data;

	while (op->memory) {
		struct op_memory *m = op->memory;

		op->memory = m->next;
		free(m);
	}
	free(op->plan);
	err_free(op->err);
	free(op);
}

void op_free(struct op *op)
{
	assert(!op->wait && !op->walking && !op->queue);
	uv_close((uv_handle_t *)&op->deadline, on_closed);
}

void op_add(struct op *op, const struct step *step, void *arg)
{
	op->plan = xrealloc(op->plan, (size_t)op->n + 1, sizeof(*op->plan));
	op->plan[op->n++] = (struct plan_step){ step, arg };
}

void *op_alloc(struct op *op, size_t size)
{
	struct op_memory *m = xcalloc(1, sizeof(*m) + size);

	m->next = op->memory;
	op->memory = m;
	return m->data;
}

const struct step *op_step(const struct op *op)
{
	return op->at >= 0 && op->at < op->n ? op->plan[op->at].step : NULL;
}

enum verdict op_fail_err(struct op *op, struct err *e)
{
	err_keep_first(&op->err, e);
	return OP_FAIL;
}

enum verdict op_fail(struct op *op, enum err_class class, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	struct err *e = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	err_set(&e, class, "%s", text);
	return op_fail_err(op, e);
}

/* The only place that decides to go back. The failed step is undone first: it may have got halfway. */
static void op_turn(struct op *op)
{
	const struct step *s = op_step(op);

	if (!op->failed && s)
		op->failed = s->name;
	if (op->committed) {
		op->at++;
		return;
	}
	op->phase = OP_BACK;
	op->went_back = true;
}

static void step_ended(struct op *op, enum verdict v)
{
	const struct step *s = op_step(op);

	switch (op->phase) {
	case OP_FORWARD:
		if (v == OP_DONE && op_hook && op_hook(op, s, OP_AFTER) == OP_FAULT_FAIL)
			v = op_fail(op, ERR_GENERIC, "injected failure after '%s'", s->name);
		if (v == OP_DONE && (!op->cancelled || op->committed || s->commit)) {
			op->committed |= s->commit;
			op->at++;
		} else if (v == OP_FAIL && s->commit && !op->committed && s->probe && !op->gone) {
			op->phase = OP_PROBING;
		} else {
			op_turn(op);
		}
		break;
	case OP_PROBING:
		if (v == OP_DONE) {
			op->err = err_free(op->err);
			op->committed = true;
			op->phase = OP_FORWARD;
			op->at++;
		} else {
			op_turn(op);
		}
		break;
	case OP_BACK:
		op->at--;
		break;
	case OP_QUEUED:
	case OP_ENDED:
		assert(false);
	}
}

static void on_deadline(uv_timer_t *timer)
{
	struct op *op = timer->data;
	const struct op_wait_ops *wait = op->wait;
	const struct step *s = op_step(op);
	struct err *e = NULL;

	if (wait->expired) {
		wait->expired(op, op->wait_data);
		return;
	}
	if (wait->forget)
		wait->forget(op, op->wait_data);
	err_set(&e, ERR_TIMEOUT, "'%s': no %s within %u.%u s", s->name, wait->what, op->wait_ms / 1000,
		op->wait_ms % 1000 / 100);
	op_resume(op, e);
}

/* Runs what the phase says of the current step. */
static enum verdict step_call(struct op *op)
{
	const struct plan_step *p = &op->plan[op->at];
	enum op_fault fault = OP_FAULT_NONE;
	enum verdict v;
	step_fn *fn = op->phase == OP_FORWARD ? p->step->run :
		      op->phase == OP_PROBING ? p->step->probe :
						p->step->undo;

	if (op->phase == OP_FORWARD && op_hook)
		fault = op_hook(op, p->step, OP_BEFORE);
	if (fault == OP_FAULT_FAIL)
		return op_fail(op, ERR_GENERIC, "injected failure before '%s'", p->step->name);
	op->wait_ms = p->step->timeout_ms;
	v = fn ? fn(op, p->arg) : OP_DONE;
	assert((v == OP_WAIT) == (op->wait != NULL));
	assert(v != OP_FAIL || op->err || op->phase != OP_FORWARD);
	if (fault == OP_FAULT_CANCEL)
		op->cancelled = true, err_set(&op->err, ERR_CANCELLED, "injected cancel in '%s'", p->step->name);
	if (v == OP_WAIT) {
		assert(op->wait_ms > 0);
		uv_timer_start(&op->deadline, on_deadline, fault == OP_FAULT_EXPIRE ? 0 : op->wait_ms, 0);
	}
	return v;
}

static void op_end(struct op *op)
{
	struct op_queue *queue = op->queue;

	op->phase = OP_ENDED;
	if (op->ops->unmark)
		op->ops->unmark(op);
	if (queue)
		queue_leave(op);
	op->ops->done(op);
	if (queue)
		queue_kick(queue);
}

/* The only place that calls a step. */
static void op_walk(struct op *op)
{
	assert(!op->walking && !op->wait);
	op->walking = true;
	while (op->phase == OP_BACK ? op->at >= 0 : op->at < op->n) {
		enum verdict v = OP_DONE;
		struct err *e = NULL;

		if (op->ops->changed)
			op->ops->changed(op);
		if (op->ops->mark && !op->ops->mark(op, &e)) {
			log_warning("%s: %s", op->name, e->desc);
			if (op->phase == OP_FORWARD && !op->committed)
				v = op_fail_err(op, TAKE_PTR(e));
			err_free(e);
		}
		if (v == OP_DONE) {
			log_debug("%s %s: %s '%s'", op->name, op->id,
				  op->phase == OP_FORWARD ? "step" :
				  op->phase == OP_PROBING ? "probe" :
							    "undo",
				  op_step(op)->name);
			v = step_call(op);
		}
		if (v == OP_WAIT) {
			op->walking = false;
			return;
		}
		step_ended(op, v);
	}
	op->walking = false;
	op_end(op);
}

void op_start(struct op *op)
{
	op->phase = OP_FORWARD;
	if (op->ops->begin && !op->ops->begin(op))
		op->n = 0;
	op_walk(op);
}

void op_recover(struct op *op, int at, bool back, bool committed)
{
	const struct step *s;

	op->phase = OP_FORWARD;
	if (op->ops->begin && !op->ops->begin(op))
		op->n = 0;
	op->at = at < op->n ? at : op->n;
	s = op_step(op);
	op->committed = committed;
	if (!committed && op->n && !(s && s->again && !back)) {
		op->at = op->at < op->n ? op->at : op->n - 1;
		err_keep_first(&op->err, NULL);
		if (!op->err)
			err_set(&op->err, ERR_CANCELLED, "interrupted by a restart of droverd at step '%s'",
				op_step(op)->name);
		op->failed = op_step(op)->name;
		if (!back && s && s->commit && s->probe)
			op->phase = OP_PROBING;
		else
			op_turn(op);
	}
	op_walk(op);
}

void op_refuse(struct op *op, struct err *e)
{
	err_keep_first(&op->err, e);
	op->n = 0;
	op_end(op);
}

enum verdict op_wait(struct op *op, const struct op_wait_ops *ops, void *data)
{
	assert(!op->wait);
	op->wait = ops;
	op->wait_data = data;
	return OP_WAIT;
}

void op_wait_ms(struct op *op, unsigned ms)
{
	op->wait_ms = ms;
}

void op_resume(struct op *op, struct err *e)
{
	assert(!op->walking && op->wait);
	uv_timer_stop(&op->deadline);
	op->wait = NULL;
	op->wait_data = NULL;
	op->stalled = false;
	if (e && op->phase == OP_FORWARD)
		err_keep_first(&op->err, err_copy(e));
	else if (e && op->phase == OP_BACK)
		log_warning("%s: undo of '%s': %s", op->name, op_step(op)->name, e->desc);
	step_ended(op, e ? OP_FAIL : OP_DONE);
	err_free(e);
	op_walk(op);
}

void op_extend(struct op *op, unsigned ms)
{
	uv_timer_start(&op->deadline, on_deadline, ms, 0);
}

void op_stall(struct op *op)
{
	op->stalled = true;
	log_warning("%s %s: stalled at step '%s'", op->name, op->id, op_step(op)->name);
	if (op->ops->stalled)
		op->ops->stalled(op);
}

bool op_cancel(struct op *op, struct err **e)
{
	const struct step *s = op_step(op);
	struct err *reason = NULL;

	if (op->phase == OP_BACK)
		return true;
	if (op->phase == OP_ENDED || op->committed || op->phase == OP_PROBING || (s && s->commit && op->wait))
		return err_set(e, ERR_WRONG_STATE, "'%s' cannot be cancelled any more, at step '%s'", op->name,
			       s ? s->name : "end");
	err_set(&reason, ERR_CANCELLED, "cancelled at step '%s'", s ? s->name : "queued");
	if (op->phase == OP_QUEUED) {
		queue_drop(op, reason);
		return true;
	}
	op->cancelled = true;
	if (op->wait && s->stop) {
		err_keep_first(&op->err, reason);
		s->stop(op, op->plan[op->at].arg);
	} else if (op->wait && op->wait->abortable) {
		if (op->wait->forget)
			op->wait->forget(op, op->wait_data);
		op_resume(op, reason);
	} else {
		err_keep_first(&op->err, reason);
	}
	return true;
}

static void sleep_expired(struct op *op, void *data)
{
	(void)data;
	op_resume(op, NULL);
}

enum verdict op_sleep(struct op *op, unsigned ms)
{
	static const struct op_wait_ops ops = { .what = "time", .expired = sleep_expired, .abortable = true };

	op_wait_ms(op, ms);
	return op_wait(op, &ops, NULL);
}
