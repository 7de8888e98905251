/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_world.h"

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

START_TEST(test_steps_without_functions)
{
	static const struct step plan[STEPS] = {
		STEP("a"), { .name = "b" }, { .name = "c", .run = part_run }, COMMIT_STEP, STEP("e")
	};

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

/* Where the next life would do as at the step before, nothing is made durable. */
START_TEST(test_marks)
{
	static const struct step before[STEPS] = {
		STEP("a"), { .name = "b", .run = part_run }, { .name = "c", .undo = part_undo }, COMMIT_STEP, STEP("e")
	};
	static const struct step again[STEPS] = {
		STEP("a"), { .name = "b", .run = part_run, .again = true }, STEP("c"), COMMIT_STEP, STEP("e")
	};
	static const struct step behind[STEPS] = {
		STEP("a"), STEP("b"), COMMIT_STEP, { .name = "f", .run = part_run }, { .name = "g", .run = part_run }
	};
	static const struct {
		const struct step *plan;
		const char *marks;
	} rows[] = { { before, "ade" }, { again, "abcde" }, { behind, "abcd" } };

	clear();
	w.plan = rows[_i].plan;
	start();
	drive();
	ck_assert_str_eq(w.marks, rows[_i].marks);
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
	op_recover(w.op, &(struct op_place){ .at = 3, .back = false, .committed = _i });
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
	op_recover(w.op, &(struct op_place){ .at = 2, .back = _i & 1, .committed = _i & 2 });
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
			ck_assert_ptr_nonnull(
				strstr(w.err->desc, before ? "injected failure before" : "injected failure after"));
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
	tcase_add_test(tc, test_steps_without_functions);
	tcase_add_loop_test(tc, test_marks, 0, 3);
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
	tcase_add_loop_test(tc, test_injected, 0, n);
}

int main(void)
{
	return loop_main("op", add, setup, teardown);
}
