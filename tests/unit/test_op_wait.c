/* SPDX-License-Identifier: BSD-2-Clause */
#include "op_world.h"

/* ---- recovery ---- */

/* As a life of the process left it: EFFECT tells how far the step AT had come. */
static void recover(int at, bool back, bool committed, bool effect)
{
	for (int i = 0; i < STEPS; i++)
		w.effects[i] = i == at ? effect : i < at;
	make();
	op_recover(w.op, &(struct op_place){ .at = at, .back = back, .committed = committed });
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
	op_recover(w.op, &(struct op_place){ .at = 1, .back = true, .committed = false });
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

/* Cancelled in its former life: it goes back from where another would go on. */
START_TEST(test_recover_the_cancelled)
{
	struct step plan[STEPS];

	memcpy(plan, usual_plan, sizeof(plan));
	plan[1].again = true;
	w.plan = plan;
	make();
	w.effects[0] = w.effects[1] = true;
	op_recover(w.op, &(struct op_place){ .step = "b", .at = 1, .cancelled = true });
	ck_assert_str_eq(w.trace, "-b -a");
	assert_error(ERR_CANCELLED, 1);
	ck_assert_ptr_nonnull(strstr(w.err->desc, "cancelled at step 'b'"));
	assert_before();
}
END_TEST

/* Another build had more steps, or fewer: the name counts. One that is gone leaves the commit in doubt, or behind it what
 * follows it. */
START_TEST(test_recover_by_name)
{
	static const struct {
		const char *step;
		int at;
		bool committed;
		const char *trace;
	} rows[] = {
		{ "c", 7, false, "-c -b -a" }, { "c", 0, false, "-c -b -a" },        { "b", 2, false, "-b -a" },
		{ "e", 9, true, "+e" },        { "no", 1, false, "?d -d -c -b -a" }, { "no", 1, true, "+e" },
		{ NULL, 1, false, "-b -a" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make();
		op_recover(w.op, &(struct op_place){
					 .step = rows[i].step, .at = rows[i].at, .committed = rows[i].committed });
		ck_assert_str_eq(w.trace, rows[i].trace);
		ck_assert_ptr_null(w.op);
		clear();
	}
}
END_TEST

/* A cancel that a wait does not heed at once is in the marker, for the next life. */
START_TEST(test_cancel_is_marked)
{
	w.kind = kinds[1];
	start();
	w.marked_cancelled = false;
	ck_assert(op_cancel(w.op, NULL));
	ck_assert(w.marked_cancelled);
	drive();
	assert_error(ERR_CANCELLED, 0);
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
			op_recover(w.op, &(struct op_place){ .at = ats[i], .back = bits & 1, .committed = bits & 2 });
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
	static const struct step plan[STEPS] = {
		STEP("a"), { "b", patient_run, part_undo, .timeout_ms = LIMIT_MS }, STEP("c"), COMMIT_STEP, STEP("e")
	};

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
						 { "b", patient_run, part_undo, .timeout_ms = LIMIT_MS },
						 STEP("c"),
						 COMMIT_STEP,
						 STEP("e") };

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
	static const struct step plan[STEPS] = {
		{ "a", sleep_run }, { "b", sleep_run }, { "c" }, { "d", .commit = true }, { "e" }
	};

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
	static const struct step plan[STEPS] = {
		{ "a", sleep_run }, { "b", sleep_run }, { "c" }, { "d", .commit = true }, { "e" }
	};

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

static void add(TCase *tc)
{
	int n = ARRAY_SIZE(kinds);

	tcase_add_loop_test(tc, test_recover, 0, n);
	tcase_add_loop_test(tc, test_recover_keeps_the_error, 0, n);
	tcase_add_loop_test(tc, test_recover_again, 0, n);
	tcase_add_loop_test(tc, test_recover_names_the_step, 0, n);
	tcase_add_test(tc, test_recover_nonsense);
	tcase_add_test(tc, test_recover_the_cancelled);
	tcase_add_test(tc, test_recover_by_name);
	tcase_add_test(tc, test_cancel_is_marked);
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
}

int main(void)
{
	return loop_main("op_wait", add, setup, teardown);
}
