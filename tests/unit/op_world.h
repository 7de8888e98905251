/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world is a set of effects, one by each step of the plan a b c d e, where d is the commit. Whatever
 * happens to the operation, the world is empty or full at its end, and op->err tells which.
 */
#ifndef DROVER_TESTS_UNIT_OP_WORLD_H
#define DROVER_TESTS_UNIT_OP_WORLD_H

#include "base/op.h"

#include "loop.h"

#include <stdint.h>

enum { STEPS = 5, COMMIT = 3, LIMIT_MS = 3600 * 1000 };

enum style { SYNC, WAITS, ABORTABLE, STYLES };

enum happening {
	NOTHING,
	FAIL_BEFORE, /* the effect */
	FAIL_AFTER,
	EXPIRE_BEFORE,
	EXPIRE_AFTER,
	CANCEL_BEFORE,
	CANCEL_AFTER,
	CANCEL_AND_FAIL,
	HAPPENINGS
};

static const struct plan_kind {
	enum style style;
	bool slow_undo, slow_probe;
} kinds[] = { { SYNC, false, false }, { WAITS, true, true }, { ABORTABLE, true, true }, { SYNC, true, false } };

static struct world {
	struct op *op; /* NULL: done */
	int index[STEPS];
	bool effects[STEPS];
	struct plan_kind kind;
	enum happening happening;
	int where;
	const struct step *plan;
	char trace[1024]; /* "+a +b -b -a", "?d" for a probe */

	/* the mark that would be found after a crash */
	enum op_phase marked_phase;
	int marked_at;
	char marks[STEPS + 1]; /* on the way forward, by letter */
	bool marked_committed, marked_cancelled;
	enum op_phase mark_fails_in;
	int mark_fails_at;

	int unmarks, stalls, forgets, expiries, stops;
	bool stop_resumes, wait_stops, extends, begin_fails;
	enum op_fault fault;
	enum op_when fault_when;

	struct err *err;
	const char *failed;
	bool went_back, committed;
} w;

static inline void note(char what, int i)
{
	size_t n = strlen(w.trace);

	ck_assert_uint_lt(n + 4, sizeof(w.trace));
	snprintf(w.trace + n, sizeof(w.trace) - n, "%s%c%c", n ? " " : "", what, 'a' + i);
}

/* ---- the steps ---- */

static inline bool here(enum happening h, int i)
{
	return w.happening == h && w.where == i;
}

static inline void assert_marked(struct op *op, int i)
{
	ck_assert(op == w.op && op->walking);
	ck_assert_int_eq(op->at, i);
	ck_assert_int_eq(w.marked_at, i);
	ck_assert_int_eq(w.marked_phase, op->phase);
	ck_assert_int_eq(w.marked_committed, op->committed);
	ck_assert_ptr_eq(op_step(op), &w.plan[i]);
	ck_assert_int_eq(w.unmarks, 0);
}

static inline void on_forget(struct op *op, void *data)
{
	ck_assert_ptr_eq(data, &w);
	w.forgets++;
}

static inline void part_stop(struct op *op, void *arg)
{
	w.stops++;
	if (w.stop_resumes)
		op_resume(op, NULL);
}

static inline void on_expired(struct op *op, void *data)
{
	w.expiries++;
	if (w.extends)
		op_extend(op, LIMIT_MS);
	else
		op_stall(op);
}

static const struct op_wait_ops plain_wait = { .what = "answer", .forget = on_forget };
static const struct op_wait_ops abortable_wait = { .what = "answer", .forget = on_forget, .abortable = true };

static inline void on_stop(struct op *op, void *data)
{
	ck_assert_ptr_eq(data, &w);
	part_stop(op, NULL);
}

static const struct op_wait_ops stopped_wait = {
	.what = "answer", .forget = on_forget, .stop = on_stop, .abortable = true
};
static const struct op_wait_ops patient_wait = { .what = "answer", .forget = on_forget, .expired = on_expired };

static inline enum verdict part_wait(struct op *op)
{
	if (w.wait_stops)
		return op_wait(op, &stopped_wait, &w);
	return op_wait(op, w.kind.style == ABORTABLE ? &abortable_wait : &plain_wait, &w);
}

static inline enum verdict part_run(struct op *op, void *arg)
{
	int i = *(int *)arg;

	ck_assert_int_eq(op->phase, OP_FORWARD);
	if (w.plan[i].undo)
		assert_marked(op, i);
	note('+', i);
	if (w.kind.style != SYNC)
		return part_wait(op);
	if (here(CANCEL_BEFORE, i) || here(CANCEL_AND_FAIL, i))
		ck_assert_int_eq(op_cancel(op, NULL), i < COMMIT);
	if (here(FAIL_BEFORE, i) || here(CANCEL_AND_FAIL, i))
		return op_fail(op, ERR_STORAGE, "%c failed", 'a' + i);
	w.effects[i] = true;
	if (here(CANCEL_AFTER, i))
		ck_assert_int_eq(op_cancel(op, NULL), i < COMMIT);
	if (here(FAIL_AFTER, i))
		return op_fail(op, ERR_STORAGE, "%c failed", 'a' + i);
	return OP_DONE;
}

static inline enum verdict part_undo(struct op *op, void *arg)
{
	int i = *(int *)arg;

	ck_assert_int_eq(op->phase, OP_BACK);
	ck_assert_ptr_nonnull(op->err);
	assert_marked(op, i);
	note('-', i);
	if (w.kind.slow_undo)
		return part_wait(op);
	w.effects[i] = false;
	return OP_DONE;
}

static inline enum verdict part_probe(struct op *op, void *arg)
{
	int i = *(int *)arg;

	ck_assert_int_eq(op->phase, OP_PROBING);
	assert_marked(op, i);
	note('?', i);
	if (w.kind.slow_probe)
		return part_wait(op);
	return w.effects[i] ? OP_DONE : op_fail(op, ERR_NOT_FOUND, "%c is not there", 'a' + i);
}

#define STEP(n)                                                                       \
	{                                                                             \
		.name = n, .run = part_run, .undo = part_undo, .timeout_ms = LIMIT_MS \
	}
#define COMMIT_STEP                                                                          \
	{                                                                                    \
		"d", part_run, part_undo, part_probe, .timeout_ms = LIMIT_MS, .commit = true \
	}

static const struct step usual_plan[STEPS] = { STEP("a"), STEP("b"), STEP("c"), COMMIT_STEP, STEP("e") };

/* ---- the owner ---- */

static inline bool on_begin(struct op *op)
{
	for (int i = 0; i < STEPS; i++) {
		w.index[i] = i;
		op_add(op, &w.plan[i], &w.index[i]);
	}
	if (w.begin_fails)
		err_set(&op->err, ERR_NOT_FOUND, "nothing to work on");
	return !w.begin_fails;
}

static inline bool on_mark(struct op *op, struct err **e)
{
	if (op->phase == w.mark_fails_in && op->at == w.mark_fails_at)
		err_set(e, ERR_NO_SPACE, "cannot mark %s", op_step(op)->name);
	w.marked_phase = op->phase;
	w.marked_at = op->at;
	if (op->phase == OP_FORWARD && strlen(w.marks) < STEPS)
		w.marks[strlen(w.marks)] = (char)('a' + op->at);
	w.marked_committed = op->committed;
	w.marked_cancelled = op->cancelled;
	return !(op->phase == w.mark_fails_in && op->at == w.mark_fails_at);
}

static inline void on_unmark(struct op *op)
{
	ck_assert_int_eq(op->phase, OP_ENDED);
	w.unmarks++;
}

static inline void on_stalled(struct op *op)
{
	ck_assert(op->stalled);
	w.stalls++;
}

static inline void on_done(struct op *op)
{
	ck_assert_ptr_eq(op, w.op);
	ck_assert_int_eq(w.unmarks, 1);
	ck_assert_int_eq(op->phase, OP_ENDED);
	ck_assert(!op->wait && !op->walking && !op->stalled);
	w.err = TAKE_PTR(op->err);
	w.failed = op->failed;
	w.went_back = op->went_back;
	w.committed = op->committed;
	w.op = NULL;
	op_free(op);
}

static const struct op_ops ops = {
	.begin = on_begin, .mark = on_mark, .unmark = on_unmark, .stalled = on_stalled, .done = on_done
};

static inline void make(void)
{
	w.op = op_new(&loop, &ops, &w);
	w.op->name = "work";
	w.op->id = "#1";
}

static inline void clear(void)
{
	ck_assert_ptr_null(w.op);
	loop_poll();
	err_free(w.err);
	memset(&w, 0, sizeof(w));
	w.plan = usual_plan;
	w.mark_fails_at = -1;
}

static inline void setup(void)
{
	loop_open();
	clear();
}

static inline void teardown(void)
{
	op_hook = NULL;
	clear();
	loop_end();
}

/* ---- what happens to a waiting step ---- */

static inline struct err *failure(void)
{
	struct err *e = NULL;

	err_set(&e, ERR_STORAGE, "%s failed", op_step(w.op)->name);
	return e;
}

static inline void cancel(bool refused)
{
	_cleanup_err_ struct err *e = NULL;
	char step[] = { '\'', *op_step(w.op)->name, '\'', '\0' };

	ck_assert_int_eq(op_cancel(w.op, &e), !refused);
	if (!refused)
		return;
	ck_assert_int_eq(e->class, ERR_WRONG_STATE);
	ck_assert_ptr_nonnull(strstr(e->desc, "'work'"));
	ck_assert_ptr_nonnull(strstr(e->desc, step));
}

/* The cancel of a waiting step: one that cannot be forgotten has its answer first. */
static inline void cancel_waiting(int i, bool effect, struct err *answer)
{
	if (w.kind.style == ABORTABLE && i < COMMIT) {
		w.effects[i] = effect;
		cancel(false);
		ck_assert_int_eq(w.forgets, 1);
		err_free(answer);
		return;
	}
	cancel(i >= COMMIT);
	ck_assert(w.op && w.op->wait && w.op->phase == OP_FORWARD);
	if (i < COMMIT)
		cancel(false); /* again changes nothing */
	ck_assert(w.op && w.op->wait && w.op->phase == OP_FORWARD);
	w.effects[i] = !answer;
	op_resume(w.op, answer);
}

static inline void answer_run(int i)
{
	switch (w.where == i ? w.happening : NOTHING) {
	case FAIL_BEFORE:
		op_resume(w.op, failure());
		break;
	case FAIL_AFTER:
		w.effects[i] = true;
		op_resume(w.op, failure());
		break;
	case EXPIRE_BEFORE:
	case EXPIRE_AFTER:
		w.effects[i] = w.happening == EXPIRE_AFTER;
		loop_pass(LIMIT_MS / 2);
		ck_assert_int_eq(w.forgets, 0);
		loop_pass(LIMIT_MS);
		ck_assert_int_eq(w.forgets, 1);
		break;
	case CANCEL_BEFORE:
		cancel_waiting(i, false, NULL);
		break;
	case CANCEL_AFTER:
		cancel_waiting(i, true, NULL);
		break;
	case CANCEL_AND_FAIL:
		cancel_waiting(i, false, failure());
		break;
	case NOTHING:
	case HAPPENINGS:
		w.effects[i] = true;
		op_resume(w.op, NULL);
	}
}

static inline void answer(void)
{
	struct op *op = w.op;
	int i = op->at;
	struct err *e = NULL;

	ck_assert_ptr_nonnull(op->wait);
	ck_assert(!op->walking);
	switch (op->phase) {
	case OP_FORWARD:
		answer_run(i);
		break;
	case OP_PROBING:
		cancel(true);
		if (!w.effects[i])
			err_set(&e, ERR_NOT_FOUND, "%s is not there", op_step(op)->name);
		op_resume(op, e);
		break;
	case OP_BACK:
		cancel(false); /* it goes back already */
		w.effects[i] = false;
		op_resume(op, NULL);
		break;
	case OP_QUEUED:
	case OP_ENDED:
		ck_abort();
	}
}

/* To its end. */
static inline void drive(void)
{
	while (w.op) {
		if (w.fault)
			loop_poll(); /* an injected expiry */
		if (w.op)
			answer();
	}
}

static inline void start(void)
{
	make();
	op_start(w.op);
}

/* ---- what it must have come to ---- */

static inline void assert_error(enum err_class class, int i)
{
	ck_assert_ptr_nonnull(w.err);
	ck_assert_msg(w.err->class == class, "%s: %s", err_class_info(w.err->class)->name, w.err->desc);
	ck_assert_str_eq(w.failed, w.plan[i].name);
}

static inline void assert_before(void)
{
	ck_assert_ptr_nonnull(w.err);
	ck_assert(w.went_back && !w.committed);
	for (int i = 0; i < STEPS; i++)
		ck_assert_msg(!w.effects[i], "%s is left", w.plan[i].name);
}

/* All but LACKS, -1: none. */
static inline void assert_after(int lacks)
{
	ck_assert(!w.went_back && w.committed);
	for (int i = 0; i < STEPS; i++)
		ck_assert_msg(w.effects[i] == (i != lacks), "%s is %s", w.plan[i].name,
			      i == lacks ? "there" : "missing");
}

static inline void assert_success(void)
{
	ck_assert_msg(!w.err, "%s", w.err ? w.err->desc : "");
	ck_assert_ptr_null(w.failed);
	assert_after(-1);
}

static inline enum err_class class_of(enum happening h)
{
	return h == FAIL_BEFORE || h == FAIL_AFTER     ? ERR_STORAGE :
	       h == EXPIRE_BEFORE || h == EXPIRE_AFTER ? ERR_TIMEOUT :
							 ERR_CANCELLED;
}

/* The step I went wrong, its effect there or not. */
static inline void assert_world(int i, enum err_class class, bool effect)
{
	if (i == COMMIT && effect) {
		assert_success();
	} else if (i > COMMIT) {
		assert_error(class, i);
		assert_after(effect ? -1 : i);
	} else {
		assert_error(class, i);
		assert_before();
	}
}

static inline void assert_happened(int i, enum happening h)
{
	if (i >= COMMIT && h == CANCEL_AND_FAIL)
		assert_world(i, ERR_STORAGE, false);
	else if (i >= COMMIT && class_of(h) == ERR_CANCELLED)
		assert_success();
	else
		assert_world(i, class_of(h), h == FAIL_AFTER || h == EXPIRE_AFTER);
}

#endif
