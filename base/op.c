/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/op.h"

#include "base/log.h"
#include "base/queue.h"

#include <assert.h>
#include <stdlib.h>

enum op_fault (*op_hook)(struct op *op, const struct step *step, enum op_when when);

struct op_memory {
	struct op_memory *next;
	void (*clear)(void *data); /* or NULL */
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
		if (m->clear)
			m->clear(m->data);
		free(m);
	}
	free(op->plan);
	err_free(op->err);
	err_free(op->step_err);
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

void *op_own(struct op *op, size_t size, void (*clear)(void *data))
{
	struct op_memory *m = xcalloc(1, sizeof(*m) + size);

	m->next = op->memory;
	m->clear = clear;
	op->memory = m;
	return m->data;
}

void *op_alloc(struct op *op, size_t size)
{
	return op_own(op, size, NULL);
}

const struct step *op_step(const struct op *op)
{
	return op->at >= 0 && op->at < op->n ? op->plan[op->at].step : NULL;
}

enum verdict op_fail_err(struct op *op, struct err *e)
{
	err_keep_first(&op->step_err, e);
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

struct err *op_take_err(struct op *op)
{
	struct err *e = TAKE_PTR(op->step_err);

	if (!e)
		err_set(&e, ERR_GENERIC, "'%s' failed without a reason", op_step(op)->name);
	return e;
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

/* The first error of the way forward is the operation's. What a probe says is no error, and one on the way
 * back, or behind the first, changes nothing any more. Consumes E. */
static void op_blame(struct op *op, struct err *e)
{
	if (op->phase == OP_FORWARD && !op->err) {
		op->err = e;
		return;
	}
	if (op->phase != OP_PROBING)
		log_warning("%s %s: %s'%s': %s", op->name, op->id, op->phase == OP_BACK ? "undo of " : "",
			    op_step(op)->name, e->desc);
	err_free(e);
}

static enum op_fault fault_at(struct op *op, enum op_when when)
{
	return op_hook && op->phase == OP_FORWARD ? op_hook(op, op_step(op), when) : OP_FAULT_NONE;
}

static enum verdict fault_after(struct op *op)
{
	const char *name = op_step(op)->name;

	switch (fault_at(op, OP_AFTER)) {
	case OP_FAULT_FAIL:
		return op_fail(op, ERR_GENERIC, "injected failure after '%s'", name);
	case OP_FAULT_EXPIRE:
		return op_fail(op, ERR_TIMEOUT, "injected expiry after '%s'", name);
	case OP_FAULT_CANCEL:
		op_cancel(op, NULL);
		break;
	case OP_FAULT_NONE:
		break;
	}
	return OP_DONE;
}

static void step_ended(struct op *op, enum verdict v)
{
	const struct step *s = op_step(op);

	if (v == OP_DONE)
		v = fault_after(op);
	if (v == OP_FAIL)
		op_blame(op, op_take_err(op));
	switch (op->phase) {
	case OP_FORWARD:
		if (v == OP_DONE && !op->cancelled) {
			op->committed |= s->commit;
			op->at++;
		} else if (v == OP_FAIL && s->commit && !op->committed && s->probe) {
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
static enum verdict step_call(struct op *op, enum op_fault fault)
{
	const struct plan_step *p = &op->plan[op->at];
	enum verdict v;
	step_fn *fn = op->phase == OP_FORWARD ? p->step->run : op->phase == OP_PROBING ? p->step->probe : p->step->undo;

	if (fault == OP_FAULT_FAIL)
		return op_fail(op, ERR_GENERIC, "injected failure before '%s'", p->step->name);
	op->step_err = err_free(op->step_err);
	op->wait_ms = p->step->timeout_ms;
	v = fn ? fn(op, p->arg) : OP_DONE;
	assert((v == OP_WAIT) == (op->wait != NULL));
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

/* Whether a next life would do, or say, anything else here than at the step marked last. On the way to the commit it goes
 * back from there, and what has no effect, or none that is undone, need not be known. Behind it what was done without a
 * wait is done again, as it is when it is cut off at its end. Where a wait was cut off is told. */
static bool is_place(const struct op *op)
{
	const struct step *s = op_step(op);

	if (op->phase != OP_FORWARD || op->at == 0 || s->commit || s->again || s->timeout_ms)
		return true;
	return op->committed ? op->plan[op->at - 1].step->commit : s->run && s->undo;
}

/* False: where it stands could not be made durable, so it must not go forward. */
static bool op_mark(struct op *op)
{
	struct err *e = NULL;

	if (!op->ops->mark || op->ops->mark(op, &e))
		return true;
	log_warning("%s %s: %s", op->name, op->id, e->desc);
	if (op->phase != OP_FORWARD || op->committed) {
		err_free(e);
		return true;
	}
	err_keep_first(&op->err, e);
	return false;
}

/* The only place that calls a step. */
static void op_walk(struct op *op)
{
	assert(!op->walking && !op->wait);
	op->walking = true;
	while (op->phase == OP_BACK ? op->at >= 0 : op->at < op->n) {
		enum op_fault fault;
		enum verdict v;

		if (op->ops->changed)
			op->ops->changed(op);
		if (is_place(op) && !op_mark(op)) {
			op_turn(op);
			continue;
		}
		log_debug("%s %s: %s '%s'", op->name, op->id,
			  op->phase == OP_FORWARD ? "step" :
			  op->phase == OP_PROBING ? "probe" :
						    "undo",
			  op_step(op)->name);
		fault = fault_at(op, OP_BEFORE);
		v = step_call(op, fault);
		if (v == OP_WAIT)
			op->walking = false;
		if (fault == OP_FAULT_CANCEL)
			op_cancel(op, NULL);
		if (v == OP_WAIT)
			return;
		step_ended(op, v);
	}
	op->walking = false;
	op_end(op);
}

static void op_begin(struct op *op)
{
	op->phase = OP_FORWARD;
	if (op->ops->begin && !op->ops->begin(op))
		op->n = 0;
	err_keep_first(&op->err, TAKE_PTR(op->step_err));
}

void op_start(struct op *op)
{
	op_begin(op);
	op_walk(op);
}

/* The step called NAME that is nearest to AT; -1. */
static int find_step(const struct op *op, const char *name, int at)
{
	int best = -1;

	for (int i = 0; i < op->n; i++)
		if (str_eq(op->plan[i].step->name, name) && (best < 0 || abs(i - at) < abs(best - at)))
			best = i;
	return best;
}

static int find_commit(const struct op *op)
{
	for (int i = 0; i < op->n; i++)
		if (op->plan[i].step->commit)
			return i;
	return op->n - 1;
}

/* An operation that had not committed. KNOWN: the step is that of the marker. */
static void take_up(struct op *op, const struct op_place *place, bool known)
{
	const struct step *s;

	if (op->at == op->n)
		op->at--;
	s = op_step(op);
	if (s->again && known && !place->back && !place->cancelled)
		return;
	if (!op->err)
		err_set(&op->err, ERR_CANCELLED, "%s at step '%s'",
			place->cancelled ? "cancelled" : "interrupted by a restart of droverd",
			place->step ? place->step : s->name);
	if (!place->back && s->commit && s->probe)
		op->phase = OP_PROBING;
	else
		op_turn(op);
}

/* Where to take it up. KNOWN: there is a step of that name. */
static int find_place(const struct op *op, const struct op_place *place, bool *known)
{
	int commit = find_commit(op), at = place->at < 0 ? 0 : place->at < op->n ? place->at : op->n;

	if (place->step) {
		at = find_step(op, place->step, place->at);
		*known = at >= 0;
		if (!*known) {
			log_warning("%s %s: there is no step '%s' any more", op->name, op->id, place->step);
			at = commit;
		}
	}
	/* Both are known by the first commit: it is never run twice, and whoever is behind it has done it. */
	if (place->committed && at <= commit)
		return commit + 1;
	return !place->committed && !place->back && at > commit ? commit : at;
}

void op_recover(struct op *op, const struct op_place *place)
{
	bool known = true;

	op->committed = place->committed; /* begin() may want to know */
	op_begin(op);
	op->cancelled = place->cancelled;
	if (op->n)
		op->at = find_place(op, place, &known);
	if (!place->committed && op->n)
		take_up(op, place, known);
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
	enum verdict v = e ? OP_FAIL : OP_DONE;

	assert(!op->walking && op->wait);
	uv_timer_stop(&op->deadline);
	op->wait = NULL;
	op->wait_data = NULL;
	op->stalled = false;
	err_keep_first(&op->step_err, e);
	step_ended(op, v);
	op_walk(op);
}

void op_extend(struct op *op, unsigned ms)
{
	assert(op->wait);
	op->stalled = false;
	uv_timer_start(&op->deadline, on_deadline, ms, 0);
}

void op_stall(struct op *op)
{
	assert(op->wait);
	uv_timer_stop(&op->deadline);
	if (op->stalled)
		return;
	op->stalled = true;
	log_warning("%s %s: stalled at step '%s'", op->name, op->id, op_step(op)->name);
	if (op->ops->stalled)
		op->ops->stalled(op);
}

/* From the moment on that the commit is begun there is no way back but by its own failure. */
static bool is_past_cancel(const struct op *op)
{
	const struct step *s = op_step(op);

	return op->committed || op->phase == OP_PROBING || op->phase == OP_ENDED ||
	       (op->phase == OP_FORWARD && s && s->commit);
}

/* Whoever waits for it makes it end early, or it is forgotten, or it has to end by itself. May free OP. */
static void wait_cancel(struct op *op, const struct op_wait_ops *wait, struct err *reason)
{
	const struct plan_step *p = &op->plan[op->at];

	assert(p->step); /* who waits is at a step */
	if (wait->abortable && !p->step->stop && !wait->stop) {
		if (wait->forget)
			wait->forget(op, op->wait_data);
		op_resume(op, reason);
		return;
	}
	err_keep_first(&op->err, reason);
	if (op->ops->changed)
		op->ops->changed(op);
	op_mark(op); /* a next life must not go on with it; that it cannot be noted changes nothing in this one */
	if (p->step->stop)
		p->step->stop(op, p->arg);
	else if (wait->stop)
		wait->stop(op, op->wait_data);
}

bool op_cancel(struct op *op, struct err **e)
{
	const struct step *s = op_step(op);
	struct err *reason = NULL;

	if (op->phase == OP_BACK || (op->cancelled && op->phase == OP_FORWARD))
		return true;
	if (is_past_cancel(op))
		return err_set(e, ERR_WRONG_STATE, "'%s' cannot be cancelled any more, at step '%s'", op->name,
			       s ? s->name : "end");
	err_set(&reason, ERR_CANCELLED, "cancelled at step '%s'", s ? s->name : "queued");
	if (op->phase == OP_QUEUED) {
		if (op->queue)
			queue_drop(op, reason);
		else
			op_refuse(op, reason);
		return true;
	}
	op->cancelled = true;
	if (op->wait)
		wait_cancel(op, op->wait, reason);
	else
		err_keep_first(&op->err, reason);
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

	if (ms == 0)
		return OP_DONE;
	op_wait_ms(op, ms);
	return op_wait(op, &ops, NULL);
}
