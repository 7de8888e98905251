/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world is a set of effects, one by each step of the plan a b c d e, where d is the commit. Whatever
 * happens to the operation, the world is empty or full at its end, and op->err tells which.
 */
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
} kinds[] = { { SYNC, false, false }, { WAITS, true, true }, { ABORTABLE, false, true }, { SYNC, true, false } };

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
	bool marked_committed;
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

static void note(char what, int i)
{
	size_t n = strlen(w.trace);

	ck_assert_uint_lt(n + 4, sizeof(w.trace));
	snprintf(w.trace + n, sizeof(w.trace) - n, "%s%c%c", n ? " " : "", what, 'a' + i);
}

/* ---- the steps ---- */

static bool here(enum happening h, int i)
{
	return w.happening == h && w.where == i;
}

static void assert_marked(struct op *op, int i)
{
	ck_assert(op == w.op && op->walking);
	ck_assert_int_eq(op->at, i);
	ck_assert_int_eq(w.marked_at, i);
	ck_assert_int_eq(w.marked_phase, op->phase);
	ck_assert_int_eq(w.marked_committed, op->committed);
	ck_assert_ptr_eq(op_step(op), &w.plan[i]);
	ck_assert_int_eq(w.unmarks, 0);
}

static void on_forget(struct op *op, void *data)
{
	ck_assert_ptr_eq(data, &w);
	w.forgets++;
}

static void part_stop(struct op *op, void *arg)
{
	w.stops++;
	if (w.stop_resumes)
		op_resume(op, NULL);
}

static void on_expired(struct op *op, void *data)
{
	w.expiries++;
	if (w.extends)
		op_extend(op, LIMIT_MS);
	else
		op_stall(op);
}

static const struct op_wait_ops plain_wait = { .what = "answer", .forget = on_forget };
static const struct op_wait_ops abortable_wait = { .what = "answer", .forget = on_forget, .abortable = true };
static void on_stop(struct op *op, void *data)
{
	ck_assert_ptr_eq(data, &w);
	part_stop(op, NULL);
}

static const struct op_wait_ops stopped_wait = {
	.what = "answer", .forget = on_forget, .stop = on_stop, .abortable = true
};
static const struct op_wait_ops patient_wait = { .what = "answer", .forget = on_forget, .expired = on_expired };

static enum verdict part_wait(struct op *op)
{
	if (w.wait_stops)
		return op_wait(op, &stopped_wait, &w);
	return op_wait(op, w.kind.style == ABORTABLE ? &abortable_wait : &plain_wait, &w);
}

static enum verdict part_run(struct op *op, void *arg)
{
	int i = *(int *)arg;

	ck_assert_int_eq(op->phase, OP_FORWARD);
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

static enum verdict part_undo(struct op *op, void *arg)
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

static enum verdict part_probe(struct op *op, void *arg)
{
	int i = *(int *)arg;

	ck_assert_int_eq(op->phase, OP_PROBING);
	assert_marked(op, i);
	note('?', i);
	if (w.kind.slow_probe)
		return part_wait(op);
	return w.effects[i] ? OP_DONE : op_fail(op, ERR_NOT_FOUND, "%c is not there", 'a' + i);
}

#define STEP(n) { .name = n, .run = part_run, .undo = part_undo, .timeout_ms = LIMIT_MS }
#define COMMIT_STEP { "d", part_run, part_undo, part_probe, .timeout_ms = LIMIT_MS, .commit = true }

static const struct step usual_plan[STEPS] = { STEP("a"), STEP("b"), STEP("c"), COMMIT_STEP, STEP("e") };

/* ---- the owner ---- */

static bool on_begin(struct op *op)
{
	for (int i = 0; i < STEPS; i++) {
		w.index[i] = i;
		op_add(op, &w.plan[i], &w.index[i]);
	}
	if (w.begin_fails)
		err_set(&op->err, ERR_NOT_FOUND, "nothing to work on");
	return !w.begin_fails;
}

static bool on_mark(struct op *op, struct err **e)
{
	if (op->phase == w.mark_fails_in && op->at == w.mark_fails_at)
		err_set(e, ERR_NO_SPACE, "cannot mark %s", op_step(op)->name);
	w.marked_phase = op->phase;
	w.marked_at = op->at;
	w.marked_committed = op->committed;
	return !(op->phase == w.mark_fails_in && op->at == w.mark_fails_at);
}

static void on_unmark(struct op *op)
{
	ck_assert_int_eq(op->phase, OP_ENDED);
	w.unmarks++;
}

static void on_stalled(struct op *op)
{
	ck_assert(op->stalled);
	w.stalls++;
}

static void on_done(struct op *op)
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

static void make(void)
{
	w.op = op_new(&loop, &ops, &w);
	w.op->name = "work";
	w.op->id = "#1";
}

static void clear(void)
{
	ck_assert_ptr_null(w.op);
	loop_poll();
	err_free(w.err);
	memset(&w, 0, sizeof(w));
	w.plan = usual_plan;
	w.mark_fails_at = -1;
}

static void setup(void)
{
	loop_open();
	clear();
}

static void teardown(void)
{
	op_hook = NULL;
	clear();
	loop_end();
}

/* ---- what happens to a waiting step ---- */

static struct err *failure(void)
{
	struct err *e = NULL;

	err_set(&e, ERR_STORAGE, "%s failed", op_step(w.op)->name);
	return e;
}

static void cancel(bool refused)
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
static void cancel_waiting(int i, bool effect, struct err *answer)
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

static void answer_run(int i)
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

static void answer(void)
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
static void drive(void)
{
	while (w.op) {
		if (w.fault)
			loop_poll(); /* an injected expiry */
		if (w.op)
			answer();
	}
}

static void start(void)
{
	make();
	op_start(w.op);
}

/* ---- what it must have come to ---- */

static void assert_error(enum err_class class, int i)
{
	ck_assert_ptr_nonnull(w.err);
	ck_assert_msg(w.err->class == class, "%s: %s", err_class_info(w.err->class)->name, w.err->desc);
	ck_assert_str_eq(w.failed, w.plan[i].name);
}

static void assert_before(void)
{
	ck_assert_ptr_nonnull(w.err);
	ck_assert(w.went_back && !w.committed);
	for (int i = 0; i < STEPS; i++)
		ck_assert_msg(!w.effects[i], "%s is left", w.plan[i].name);
}

/* All but LACKS, -1: none. */
static void assert_after(int lacks)
{
	ck_assert(!w.went_back && w.committed);
	for (int i = 0; i < STEPS; i++)
		ck_assert_msg(w.effects[i] == (i != lacks), "%s is %s", w.plan[i].name, i == lacks ? "there" : "missing");
}

static void assert_success(void)
{
	ck_assert_msg(!w.err, "%s", w.err ? w.err->desc : "");
	ck_assert_ptr_null(w.failed);
	assert_after(-1);
}

static enum err_class class_of(enum happening h)
{
	return h == FAIL_BEFORE || h == FAIL_AFTER     ? ERR_STORAGE :
	       h == EXPIRE_BEFORE || h == EXPIRE_AFTER ? ERR_TIMEOUT :
							 ERR_CANCELLED;
}

/* The step I went wrong, its effect there or not. */
static void assert_world(int i, enum err_class class, bool effect)
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

static void assert_happened(int i, enum happening h)
{
	if (i >= COMMIT && h == CANCEL_AND_FAIL)
		assert_world(i, ERR_STORAGE, false);
	else if (i >= COMMIT && class_of(h) == ERR_CANCELLED)
		assert_success();
	else
		assert_world(i, class_of(h), h == FAIL_AFTER || h == EXPIRE_AFTER);
}

/* ---- tests ---- */

START_TEST(test_success)
{
	w.kind = kinds[_i];
	start();
	drive();
	assert_success();
	ck_assert_str_eq(w.trace, "+a +b +c +d +e");
	ck_assert_int_eq(w.forgets, 0);
}
END_TEST

START_TEST(test_everything_everywhere)
{
	for (int i = 0; i < STEPS; i++) {
		for (enum happening h = FAIL_BEFORE; h < HAPPENINGS; h++) {
			if (kinds[_i].style == SYNC && (h == EXPIRE_BEFORE || h == EXPIRE_AFTER))
				continue;
			if (kinds[_i].style == ABORTABLE && h == CANCEL_AND_FAIL)
				continue;
			w.kind = kinds[_i];
			w.happening = h;
			w.where = i;
			start();
			drive();
			assert_happened(i, h);
			clear();
		}
	}
}
END_TEST

START_TEST(test_order_of_undo)
{
	w.kind = kinds[_i];
	w.happening = FAIL_BEFORE;
	w.where = 2;
	start();
	drive();
	ck_assert_str_eq(w.trace, "+a +b +c -c -b -a");
	ck_assert_str_eq(w.err->desc, "c failed");
	clear();
	w.kind = kinds[_i];
	w.happening = FAIL_BEFORE;
	w.where = COMMIT;
	start();
	drive();
	ck_assert_str_eq(w.trace, "+a +b +c +d ?d -d -c -b -a");
	ck_assert_str_eq(w.err->desc, "d failed");
}
END_TEST

/* A commit that has no probe has not been done if it fails. */
START_TEST(test_commit_without_probe)
{
	struct step plan[STEPS];

	memcpy(plan, usual_plan, sizeof(plan));
	plan[COMMIT].probe = NULL;
	w.plan = plan;
	w.kind = kinds[_i];
	w.happening = FAIL_AFTER;
	w.where = COMMIT;
	start();
	drive();
	ck_assert_str_eq(w.trace, "+a +b +c +d -d -c -b -a");
	assert_error(ERR_STORAGE, COMMIT);
	assert_before();
}
END_TEST

/* What the plan works on has died: there is nobody to ask. */
START_TEST(test_commit_of_the_dead)
{
	w.kind = kinds[1];
	w.happening = FAIL_AFTER;
	w.where = COMMIT;
	start();
	while (w.op->at < COMMIT)
		answer();
	w.op->gone = true;
	drive();
	ck_assert_ptr_null(strchr(w.trace, '?'));
	assert_error(ERR_STORAGE, COMMIT);
	assert_before();
}
END_TEST

START_TEST(test_steps_without_functions)
{
	static const struct step plan[STEPS] = { STEP("a"), { .name = "b" }, { .name = "c", .run = part_run }, COMMIT_STEP,
						 STEP("e") };

	w.plan = plan;
	start();
	drive();
	ck_assert_str_eq(w.trace, "+a +c +d +e");
	clear();
	w.plan = plan;
	w.happening = FAIL_BEFORE;
	w.where = COMMIT;
	start();
	drive();
	ck_assert_str_eq(w.trace, "+a +c +d ?d -d -a");
}
END_TEST

/* After the commit each step is tried; the first error is told, the others are in the log. */
START_TEST(test_errors_after_the_commit)
{
	static const struct step plan[STEPS] = { STEP("a"), STEP("b"), COMMIT_STEP, STEP("f"), STEP("g") };

	w.plan = plan;
	w.kind = kinds[1];
	loop_keep_log();
	start();
	while (w.op->at < 3) {
		w.effects[w.op->at] = true;
		op_resume(w.op, NULL);
	}
	op_resume(w.op, failure());
	ck_assert_int_eq(w.op->at, 4);
	op_resume(w.op, failure());
	ck_assert_ptr_null(w.op);
	ck_assert_str_eq(w.err->desc, "f failed");
	ck_assert_str_eq(w.failed, "f");
	ck_assert(w.committed && !w.went_back);
	ck_assert_int_eq(loop_logged("g failed"), 1);
}
END_TEST

/* ---- undo ---- */

static enum verdict failing_undo(struct op *op, void *arg)
{
	int i = *(int *)arg;

	note('-', i);
	w.effects[i] = false;
	if (w.kind.slow_undo)
		return part_wait(op);
	return op_fail(op, ERR_NETWORK, "cannot take %c back", 'a' + i);
}

START_TEST(test_failed_undo)
{
	struct step plan[STEPS];
	struct err *e = NULL;

	memcpy(plan, usual_plan, sizeof(plan));
	plan[1].undo = failing_undo;
	w.plan = plan;
	w.happening = FAIL_AFTER;
	w.where = 2;
	w.kind.slow_undo = _i;
	loop_keep_log();
	start();
	while (w.op && w.op->at != 1)
		answer();
	if (w.op) {
		err_set(&e, ERR_NETWORK, "cannot take b back");
		op_resume(w.op, e);
	}
	drive();
	ck_assert_str_eq(w.trace, "+a +b +c -c -b -a");
	assert_error(ERR_STORAGE, 2);
	assert_before();
	ck_assert_int_eq(loop_logged("work #1: undo of 'b': cannot take b back"), 1);
}
END_TEST

START_TEST(test_undo_that_expires)
{
	w.kind = kinds[1];
	w.happening = FAIL_AFTER;
	w.where = 1;
	loop_keep_log();
	start();
	answer();
	answer();
	ck_assert_str_eq(w.trace, "+a +b -b");
	loop_pass(2 * LIMIT_MS);
	ck_assert_str_eq(w.trace, "+a +b -b -a");
	ck_assert_int_eq(w.forgets, 1);
	ck_assert_int_eq(loop_logged("undo of 'b': 'b': no answer within 3600.0 s"), 1);
	drive();
	assert_error(ERR_STORAGE, 1);
}
END_TEST

/* ---- marks ---- */

START_TEST(test_failing_mark)
{
	for (int i = 0; i < STEPS; i++) {
		char effect[] = { '+', (char)('a' + i), '\0' };

		w.kind = kinds[_i];
		w.mark_fails_in = OP_FORWARD;
		w.mark_fails_at = i;
		start();
		drive();
		if (i > COMMIT) {
			assert_success();
		} else {
			assert_error(ERR_NO_SPACE, i);
			assert_before();
			ck_assert_ptr_null(strstr(w.trace, effect));
			ck_assert_ptr_null(strchr(w.trace, '?'));
		}
		clear();
	}
}
END_TEST

START_TEST(test_failing_mark_on_the_way_back)
{
	w.kind = kinds[_i];
	w.mark_fails_in = OP_BACK;
	w.mark_fails_at = 1;
	w.happening = FAIL_AFTER;
	w.where = 2;
	loop_keep_log();
	start();
	drive();
	assert_error(ERR_STORAGE, 2);
	assert_before();
	ck_assert_int_eq(loop_logged("work #1: cannot mark b"), 1);
}
END_TEST

START_TEST(test_owner_without_marks)
{
	static const struct op_ops bare = { .begin = on_begin, .done = on_done };

	make();
	w.op->ops = &bare;
	w.unmarks = 1; /* on_done() looks for it */
	w.plan = (const struct step[STEPS]){ { "a" }, { "b" }, { "c" }, { "d", .commit = true }, { "e" } };
	op_start(w.op);
	ck_assert_ptr_null(w.err);
	ck_assert(w.committed);
}
END_TEST

/* ---- the begin ---- */

START_TEST(test_begin_fails)
{
	w.begin_fails = true;
	start();
	ck_assert_ptr_null(w.op);
	ck_assert_int_eq(w.err->class, ERR_NOT_FOUND);
	ck_assert_str_eq(w.trace, "");
	ck_assert_ptr_null(w.failed);
	clear();
	w.begin_fails = true;
	make();
	op_recover(w.op, 3, false, _i);
	ck_assert_ptr_null(w.op);
	ck_assert_int_eq(w.err->class, ERR_NOT_FOUND);
	ck_assert_str_eq(w.trace, "");
}
END_TEST

static bool begin_nothing(struct op *op)
{
	return true;
}

START_TEST(test_nothing_to_do)
{
	static const struct op_ops idle = { .begin = begin_nothing, .unmark = on_unmark, .done = on_done };

	make();
	w.op->ops = &idle;
	op_start(w.op);
	ck_assert_ptr_null(w.op);
	ck_assert_ptr_null(w.err);
	clear();
	make();
	w.op->ops = &idle;
	op_recover(w.op, 2, _i & 1, _i & 2);
	ck_assert_ptr_null(w.op);
	ck_assert_ptr_null(w.err);
}
END_TEST

START_TEST(test_refuse)
{
	struct err *e = NULL;

	err_set(&e, ERR_BUSY, "no time");
	make();
	op_refuse(w.op, e);
	ck_assert_ptr_null(w.op);
	ck_assert_int_eq(w.err->class, ERR_BUSY);
	ck_assert_str_eq(w.trace, "");
}
END_TEST

START_TEST(test_free_unstarted)
{
	make();
	op_free(w.op);
	w.op = NULL;
}
END_TEST

START_TEST(test_cancel_unstarted)
{
	make();
	ck_assert(op_cancel(w.op, NULL));
	ck_assert_ptr_null(w.op);
	ck_assert_int_eq(w.err->class, ERR_CANCELLED);
}
END_TEST

/* ---- recovery ---- */

/* As a life of the process left it: EFFECT tells how far the step AT had come. */
static void recover(int at, bool back, bool committed, bool effect)
{
	for (int i = 0; i < STEPS; i++)
		w.effects[i] = i == at ? effect : i < at;
	make();
	op_recover(w.op, at, back, committed);
	drive();
}

START_TEST(test_recover)
{
	for (int at = 0; at < STEPS; at++) {
		for (int bits = 0; bits < 4; bits++) {
			bool back = bits & 1, effect = bits & 2;

			if (at > COMMIT && back)
				continue;
			w.kind = kinds[_i];
			recover(at, back, at > COMMIT, effect);
			if (at > COMMIT || (at == COMMIT && !back && effect)) {
				assert_success();
			} else {
				assert_error(ERR_CANCELLED, at);
				assert_before();
				ck_assert_ptr_nonnull(strstr(w.err->desc, "interrupted"));
				ck_assert_int_eq(w.trace[0], at == COMMIT && !back ? '?' : '-');
			}
			clear();
		}
	}
}
END_TEST

START_TEST(test_recover_keeps_the_error)
{
	w.kind = kinds[_i];
	make();
	err_set(&w.op->err, ERR_NETWORK, "what made it go back");
	w.effects[0] = w.effects[1] = true;
	op_recover(w.op, 1, true, false);
	drive();
	ck_assert_str_eq(w.trace, "-b -a");
	assert_error(ERR_NETWORK, 1);
	assert_before();
}
END_TEST

START_TEST(test_recover_again)
{
	struct step plan[STEPS];

	memcpy(plan, usual_plan, sizeof(plan));
	plan[1].again = true;
	w.plan = plan;
	w.kind = kinds[_i];
	recover(1, false, false, _i & 1);
	ck_assert_str_eq(w.trace, "+b +c +d +e");
	assert_success();
	clear();
	w.plan = plan;
	w.kind = kinds[_i];
	recover(1, true, false, _i & 1);
	ck_assert_str_eq(w.trace, "-b -a");
	assert_before();
}
END_TEST

/* An error behind a commit that the probe found is that of its own step. */
START_TEST(test_recover_names_the_step)
{
	w.kind = kinds[_i];
	w.happening = FAIL_BEFORE;
	w.where = 4;
	recover(COMMIT, false, false, true);
	assert_error(ERR_STORAGE, 4);
	assert_after(4);
}
END_TEST

START_TEST(test_recover_the_dead)
{
	make();
	w.op->gone = true;
	for (int i = 0; i < COMMIT; i++)
		w.effects[i] = true;
	op_recover(w.op, COMMIT, false, false);
	ck_assert_str_eq(w.trace, "-d -c -b -a");
	assert_before();
}
END_TEST

/* A marker that says what cannot be. */
START_TEST(test_recover_nonsense)
{
	static const int ats[] = { -1, INT32_MIN, STEPS, STEPS + 1, INT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(ats); i++) {
		for (int bits = 0; bits < 4; bits++) {
			make();
			op_recover(w.op, ats[i], bits & 1, bits & 2);
			ck_assert_ptr_null(w.op);
			clear();
		}
	}
}
END_TEST

/* ---- waits ---- */

static enum verdict patient_run(struct op *op, void *arg)
{
	return op_wait(op, &patient_wait, &w);
}

static void start_patient(void)
{
	static const struct step plan[STEPS] = { STEP("a"), { "b", patient_run, part_undo, .timeout_ms = LIMIT_MS },
						 STEP("c"), COMMIT_STEP, STEP("e") };

	w.plan = plan;
	start();
	ck_assert_int_eq(w.op->at, 1);
	w.effects[1] = true;
}

START_TEST(test_stall)
{
	start_patient();
	loop_pass(LIMIT_MS / 2);
	ck_assert_int_eq(w.expiries, 0);
	loop_pass(LIMIT_MS);
	ck_assert_int_eq(w.expiries, 1);
	ck_assert_int_eq(w.stalls, 1);
	ck_assert(w.op->stalled);
	loop_pass(1000L * LIMIT_MS);
	ck_assert_int_eq(w.expiries, 1);
	ck_assert_str_eq(w.trace, "+a");
	op_resume(w.op, _i ? failure() : NULL);
	ck_assert_ptr_null(w.op);
	if (_i) {
		assert_error(ERR_STORAGE, 1);
		assert_before();
	} else {
		assert_success();
	}
	ck_assert_int_eq(w.forgets, 0);
}
END_TEST

START_TEST(test_extend)
{
	w.extends = true;
	start_patient();
	for (int i = 0; i < 5; i++) {
		loop_pass(LIMIT_MS + 1);
		ck_assert_int_eq(w.expiries, i + 1);
		ck_assert_int_eq(w.stalls, 0);
	}
	op_resume(w.op, NULL);
	assert_success();
}
END_TEST

/* One that asked somebody before it decides stalls while its deadline is set. */
START_TEST(test_stall_drops_the_deadline)
{
	w.extends = true;
	start_patient();
	loop_pass(LIMIT_MS + 1);
	op_stall(w.op);
	op_stall(w.op);
	ck_assert_int_eq(w.stalls, 1);
	loop_pass(100L * LIMIT_MS);
	ck_assert_int_eq(w.expiries, 1);
	ck_assert_int_eq(w.stalls, 1);
	op_resume(w.op, NULL);
	assert_success();
}
END_TEST

/* A sign of life after all: the deadline is set again, and may stall it again. */
START_TEST(test_extend_after_stall)
{
	start_patient();
	loop_pass(LIMIT_MS + 1);
	ck_assert(w.op->stalled);
	op_extend(w.op, LIMIT_MS);
	ck_assert(!w.op->stalled);
	loop_pass(LIMIT_MS + 1);
	ck_assert(w.op->stalled);
	ck_assert_int_eq(w.stalls, 2);
	op_resume(w.op, NULL);
	assert_success();
}
END_TEST

/* It stays until its fate is known, then goes back. */
START_TEST(test_cancel_stalled)
{
	start_patient();
	loop_pass(LIMIT_MS + 1);
	cancel(false);
	ck_assert(w.op && w.op->stalled);
	ck_assert_str_eq(w.trace, "+a");
	op_resume(w.op, NULL);
	assert_error(ERR_CANCELLED, 1);
	assert_before();
}
END_TEST

START_TEST(test_stop)
{
	struct step plan[STEPS];

	memcpy(plan, usual_plan, sizeof(plan));
	if (_i & 4)
		w.wait_stops = true;
	else
		plan[1].stop = part_stop;
	w.plan = plan;
	w.kind = kinds[1 + (_i & 1)];
	w.stop_resumes = _i & 2;
	start();
	answer();
	cancel(false);
	ck_assert_int_eq(w.stops, 1);
	if (!w.stop_resumes) {
		ck_assert_ptr_nonnull(w.op->wait);
		ck_assert_int_eq(w.op->phase, OP_FORWARD);
		cancel(false);
		ck_assert_int_eq(w.stops, 1);
		op_resume(w.op, failure());
	}
	drive();
	ck_assert_int_eq(w.forgets, 0);
	ck_assert_str_eq(w.trace, "+a +b -b -a");
	assert_error(ERR_CANCELLED, 1);
	assert_before();
}
END_TEST

static enum verdict own_deadline_run(struct op *op, void *arg)
{
	op_wait_ms(op, 10 * LIMIT_MS);
	return op_wait(op, &plain_wait, &w);
}

START_TEST(test_deadline_of_one_wait)
{
	static const struct step plan[STEPS] = { { "a", own_deadline_run, .timeout_ms = LIMIT_MS },
						 { "b", patient_run, part_undo, .timeout_ms = LIMIT_MS }, STEP("c"),
						 COMMIT_STEP, STEP("e") };

	w.plan = plan;
	start();
	loop_pass(5 * LIMIT_MS);
	ck_assert_int_eq(w.forgets, 0);
	op_resume(w.op, NULL);
	ck_assert_int_eq(w.op->at, 1);
	loop_pass(LIMIT_MS + 1);
	ck_assert_int_eq(w.expiries, 1);
	op_resume(w.op, failure());
	ck_assert_ptr_null(w.op);
	clear();
	w.plan = plan;
	start();
	loop_pass(11L * LIMIT_MS);
	ck_assert_ptr_null(w.op);
	assert_error(ERR_TIMEOUT, 0);
	ck_assert_str_eq(w.err->desc, "'a': no answer within 36000.0 s");
}
END_TEST

static enum verdict sleep_run(struct op *op, void *arg)
{
	note('+', *(int *)arg);
	return op_sleep(op, w.where ? LIMIT_MS : 0);
}

START_TEST(test_sleep)
{
	static const struct step plan[STEPS] = { { "a", sleep_run }, { "b", sleep_run }, { "c" }, { "d", .commit = true },
						 { "e" } };

	w.plan = plan;
	w.where = 1;
	start();
	loop_pass(LIMIT_MS / 2);
	ck_assert_str_eq(w.trace, "+a");
	loop_pass(LIMIT_MS);
	ck_assert_str_eq(w.trace, "+a +b");
	if (_i)
		cancel(false);
	else
		loop_pass(LIMIT_MS + 1);
	ck_assert_ptr_null(w.op);
	ck_assert_int_eq(w.committed, !_i);
	ck_assert_int_eq(w.err ? w.err->class : 0, _i ? ERR_CANCELLED : 0);
}
END_TEST

START_TEST(test_sleep_of_nothing)
{
	static const struct step plan[STEPS] = { { "a", sleep_run }, { "b", sleep_run }, { "c" }, { "d", .commit = true },
						 { "e" } };

	w.plan = plan;
	start();
	loop_quiet();
	ck_assert_ptr_null(w.op);
	ck_assert(w.committed);
}
END_TEST

START_TEST(test_alloc)
{
	enum { BLOCKS = 100 };
	unsigned char *blocks[BLOCKS];
	struct op *op;

	make();
	op = w.op;
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = op_alloc(op, i);
		ck_assert_uint_eq((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < i; j++)
			ck_assert_int_eq(blocks[i][j], 0);
		memset(blocks[i], (int)i, i);
	}
	w.kind = kinds[1];
	op_start(op);
	drive();
	/* The owner has freed it, but may still be on the stack of a step: the loop lets go. */
	for (size_t i = 1; i < BLOCKS; i++)
		ck_assert_int_eq(blocks[i][i - 1], (int)i);
}
END_TEST

/* ---- injected faults ---- */

static enum op_fault inject(struct op *op, const struct step *step, enum op_when when)
{
	ck_assert_ptr_eq(op, w.op);
	ck_assert_ptr_eq(op_step(op), step);
	ck_assert_int_eq(w.effects[op->at], when == OP_AFTER);
	return op->at == w.where && when == w.fault_when ? w.fault : OP_FAULT_NONE;
}

static void assert_injected(enum style style)
{
	bool before = w.fault_when == OP_BEFORE;

	switch (w.fault) {
	case OP_FAULT_NONE:
		assert_success();
		break;
	case OP_FAULT_FAIL:
		assert_world(w.where, ERR_GENERIC, !before);
		if (w.err)
			ck_assert_ptr_nonnull(strstr(w.err->desc, before ? "injected failure before" : "injected failure after"));
		break;
	case OP_FAULT_EXPIRE:
		if (style == SYNC && before)
			assert_success();
		else
			assert_world(w.where, ERR_TIMEOUT, !before);
		break;
	case OP_FAULT_CANCEL:
		assert_happened(w.where, CANCEL_BEFORE);
		break;
	}
}

START_TEST(test_injected)
{
	for (w.where = 0; w.where < STEPS; w.where++) {
		for (int bits = 0; bits < 8; bits++) {
			int where = w.where;

			w.kind = kinds[_i];
			w.fault = bits >> 1;
			w.fault_when = bits & 1 ? OP_AFTER : OP_BEFORE;
			op_hook = inject;
			start();
			drive();
			assert_injected(kinds[_i].style);
			clear();
			w.where = where;
		}
	}
}
END_TEST

static void add(TCase *tc)
{
	int n = ARRAY_SIZE(kinds);

	tcase_add_loop_test(tc, test_success, 0, n);
	tcase_add_loop_test(tc, test_everything_everywhere, 0, n);
	tcase_add_loop_test(tc, test_order_of_undo, 0, n);
	tcase_add_loop_test(tc, test_commit_without_probe, 0, n);
	tcase_add_test(tc, test_commit_of_the_dead);
	tcase_add_test(tc, test_steps_without_functions);
	tcase_add_test(tc, test_errors_after_the_commit);
	tcase_add_loop_test(tc, test_failed_undo, 0, 2);
	tcase_add_test(tc, test_undo_that_expires);
	tcase_add_loop_test(tc, test_failing_mark, 0, n);
	tcase_add_loop_test(tc, test_failing_mark_on_the_way_back, 0, n);
	tcase_add_test(tc, test_owner_without_marks);
	tcase_add_loop_test(tc, test_begin_fails, 0, 2);
	tcase_add_loop_test(tc, test_nothing_to_do, 0, 4);
	tcase_add_test(tc, test_refuse);
	tcase_add_test(tc, test_free_unstarted);
	tcase_add_test(tc, test_cancel_unstarted);
	tcase_add_loop_test(tc, test_recover, 0, n);
	tcase_add_loop_test(tc, test_recover_keeps_the_error, 0, n);
	tcase_add_loop_test(tc, test_recover_again, 0, n);
	tcase_add_loop_test(tc, test_recover_names_the_step, 0, n);
	tcase_add_test(tc, test_recover_the_dead);
	tcase_add_test(tc, test_recover_nonsense);
	tcase_add_loop_test(tc, test_stall, 0, 2);
	tcase_add_test(tc, test_extend);
	tcase_add_test(tc, test_stall_drops_the_deadline);
	tcase_add_test(tc, test_extend_after_stall);
	tcase_add_test(tc, test_cancel_stalled);
	tcase_add_loop_test(tc, test_stop, 0, 8);
	tcase_add_test(tc, test_deadline_of_one_wait);
	tcase_add_loop_test(tc, test_sleep, 0, 2);
	tcase_add_test(tc, test_sleep_of_nothing);
	tcase_add_test(tc, test_alloc);
	tcase_add_loop_test(tc, test_injected, 0, n);
}

int main(void)
{
	return loop_main("op", add, setup, teardown);
}
