/* SPDX-License-Identifier: BSD-2-Clause */
#include "queue_world.h"

/* ---- destroy ---- */

START_TEST(test_destroy_cancels)
{
	struct task *a = task("A"), *d;

	a->abortable = true;
	submit(a, _i ? LANE_EXCLUSIVE : LANE_CHANGE);
	run("B", LANE_CHANGE);
	run("C", LANE_CHANGE);
	if (_i)
		expect("A:begin B:Busy C:Busy");
	else
		expect("A:begin");
	d = run("D", LANE_DESTROY);
	if (_i)
		expect("A:undo A:Cancelled D:begin");
	else
		expect("B:Cancelled C:Cancelled A:undo A:Cancelled D:begin");
	ck_assert_ptr_eq(queue_current(w.qs, "x"), d->op);
	finish(d);
	expect("D:done");
}
END_TEST

START_TEST(test_destroy_is_alone)
{
	struct task *a = task("A"), *d = task("D");

	a->slow_undo = true;
	submit(a, LANE_CHANGE);
	d->quick = d->alone = true;
	submit(d, LANE_DESTROY);
	expect("A:begin D:begin");
	ck_assert_ptr_eq(queue_current(w.qs, "x"), d->op);
	finish(a);
	expect("A:undo");
	finish(a);
	expect("A:Cancelled D:clear D:done");
}
END_TEST

START_TEST(test_destroy_past_the_commit)
{
	struct task *a = task("A"), *d = task("D");

	a->committed = true;
	submit(a, LANE_CHANGE);
	d->quick = d->alone = true;
	submit(d, LANE_DESTROY);
	expect("A:begin D:begin");
	finish(a);
	expect("A:done D:clear D:done");
}
END_TEST

START_TEST(test_destroy_of_nothing_is_alone)
{
	struct task *d = task("D");

	d->quick = d->alone = true;
	submit(d, LANE_DESTROY);
	expect("D:begin D:clear D:done");
}
END_TEST

/* As long as the other's fate is unknown nothing is cleared. */
START_TEST(test_destroy_beside_the_stalled)
{
	struct task *a = run("A", LANE_CHANGE), *d = task("D");

	loop_pass(LIMIT_MS + 1);
	ck_assert(a->op->stalled);
	d->quick = d->alone = true;
	submit(d, LANE_DESTROY);
	expect("A:begin D:begin");
	loop_pass(10 * LIMIT_MS);
	ck_assert(d->op && d->op->stalled);
	expect("");
	finish(a);
	expect("A:undo A:Cancelled D:clear D:done");
}
END_TEST

/* One that failed before it was alone does not wait for it any more. */
START_TEST(test_destroy_that_ends_first)
{
	struct task *a = run("A", LANE_CHANGE), *d = run("D", LANE_DESTROY), *b;

	expect("A:begin D:begin");
	finish(d);
	expect("D:done");
	b = run("B", LANE_CHANGE);
	ck_assert(waits(b));
	finish(a);
	expect("A:undo A:Cancelled B:begin");
	finish(b);
}
END_TEST

START_TEST(test_second_destroy_waits)
{
	struct task *d = run("D", LANE_DESTROY), *b = run("B", LANE_CHANGE), *e = run("E", LANE_DESTROY),
		    *c = run("C", LANE_CHANGE), *f = run("F", LANE_DESTROY), *g = run("G", LANE_CHANGE);

	ck_assert(b->done && c->done && waits(e) && waits(f) && waits(g));
	expect("D:begin B:Cancelled C:Cancelled");
	finish(d);
	expect("D:done E:begin");
	finish(e);
	expect("E:done F:begin");
	finish(f);
	expect("F:done G:begin");
	finish(g);
}
END_TEST

START_TEST(test_many_destroy)
{
	struct task *d = run("D", LANE_DESTROY), *t;

	for (int i = 0; i < QUEUE_MAX; i++)
		run("B", LANE_CHANGE);
	for (int i = 0; i < 5; i++)
		ck_assert(waits(run("E", LANE_DESTROY)));
	ck_assert_uint_eq(queue_length(w.qs, "x"), 5);
	for (int i = 5; i < QUEUE_MAX; i++)
		run("E", LANE_DESTROY);
	t = run("F", LANE_DESTROY);
	assert_names(t, d);
	finish_all();
}
END_TEST

/* The first has ended, what it cancelled has not. */
START_TEST(test_second_destroy_need_not_wait_for_the_cancelled)
{
	struct task *a = run("A", LANE_CHANGE), *d = run("D", LANE_DESTROY), *e = task("E");

	e->quick = e->alone = true;
	submit(e, LANE_DESTROY);
	ck_assert(waits(e));
	expect("A:begin D:begin");
	finish(d);
	expect("D:done E:begin");
	finish(a);
	expect("A:undo A:Cancelled E:clear E:done");
}
END_TEST

START_TEST(test_cancelled_destroy)
{
	struct task *a = run("A", LANE_CHANGE), *d = task("D");

	d->quick = d->alone = true;
	submit(d, LANE_DESTROY);
	ck_assert_str_eq(op_step(d->op)->name, "be alone");
	ck_assert(op_cancel(d->op, NULL));
	finish(a);
	expect("A:begin D:begin D:undo D:Cancelled A:undo A:Cancelled");
}
END_TEST

/* It waits no more when what it waited for ends. */
START_TEST(test_destroy_after_a_cancelled_one)
{
	struct task *a = run("A", LANE_CHANGE), *d = task("D"), *e;

	d->quick = d->alone = true;
	submit(d, LANE_DESTROY);
	ck_assert(op_cancel(d->op, NULL));
	e = run("E", LANE_DESTROY);
	finish(a);
	expect("A:begin D:begin D:undo D:Cancelled E:begin A:undo A:Cancelled");
	finish(e);
	expect("E:done");
}
END_TEST

/* ---- done() that does more ---- */

static void submit_quick(struct task *t)
{
	struct task *next = task("Q");

	next->quick = true;
	submit(next, LANE_CHANGE);
}

START_TEST(test_done_submits)
{
	struct task *a = task("A");

	a->on_done = submit_quick;
	a->quick = _i;
	submit(a, LANE_CHANGE);
	if (!_i)
		finish(a);
	expect("A:begin A:done Q:begin Q:done");
}
END_TEST

START_TEST(test_done_does_not_overtake)
{
	struct task *a = task("A"), *b;

	a->on_done = submit_quick;
	submit(a, LANE_CHANGE);
	b = run("B", LANE_CHANGE);
	finish(a);
	expect("A:begin A:done B:begin");
	finish(b);
	expect("B:done Q:begin Q:done");
}
END_TEST

START_TEST(test_refused_submits)
{
	struct task *a = task("A"), *b = task("B");

	b->on_done = submit_quick;
	submit(a, LANE_EXCLUSIVE);
	submit(b, LANE_CHANGE);
	expect("A:begin B:Busy Q:Busy");
	finish(a);
}
END_TEST

static void submit_itself(struct task *t)
{
	struct task *next;

	if (!t->err)
		return;
	if (w.n == ARRAY_SIZE(w.tasks))
		ck_abort_msg("without end");
	next = task(t->name);
	next->on_done = submit_itself;
	next->quick = true;
	submit(next, LANE_CHANGE);
}

/* What those that a destroying operation drops leave behind comes after it. */
START_TEST(test_dropped_submit)
{
	struct task *a = task("A"), *b = task("B"), *d = task("D");

	a->abortable = _i;
	b->on_done = submit_itself;
	submit(a, LANE_CHANGE);
	submit(b, LANE_CHANGE);
	submit(d, LANE_DESTROY);
	if (_i) {
		expect("A:begin B:Cancelled A:undo A:Cancelled D:begin");
	} else {
		expect("A:begin B:Cancelled D:begin");
		finish(a);
		expect("A:undo A:Cancelled");
	}
	finish(d);
	expect("D:done B:begin B:done");
}
END_TEST

static void cancel_current(struct task *t)
{
	op_cancel(queue_current(w.qs, "x"), NULL);
}

/* The last one to leave is not the one that is being seen off. */
START_TEST(test_left_alone_while_leaving)
{
	struct task *a = task("A"), *b = task("B");

	a->abortable = true;
	b->on_done = cancel_current;
	submit(a, LANE_CHANGE);
	submit(b, LANE_CHANGE);
	if (_i)
		op_cancel(b->op, NULL);
	else
		loop_pass(WAIT_MS + 1);
	expect(_i ? "A:begin B:Cancelled A:undo A:Cancelled" : "A:begin B:Busy A:undo A:Cancelled");
	ck_assert_ptr_null(queue_current(w.qs, "x"));
}
END_TEST

static void cancel_next(struct task *t)
{
	op_cancel(w.tasks[t - w.tasks + 1].op, NULL);
}

START_TEST(test_dropped_cancels_another)
{
	struct task *b, *d;

	run("A", LANE_CHANGE);
	b = run("B", LANE_CHANGE);
	b->on_done = cancel_next;
	run("C", LANE_CHANGE);
	run("E", LANE_CHANGE);
	d = run("D", LANE_DESTROY);
	expect("A:begin B:Cancelled C:Cancelled E:Cancelled D:begin");
	finish(d);
	finish_all();
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_destroy_cancels, 0, 2);
	tcase_add_test(tc, test_destroy_is_alone);
	tcase_add_test(tc, test_destroy_past_the_commit);
	tcase_add_test(tc, test_destroy_of_nothing_is_alone);
	tcase_add_test(tc, test_destroy_beside_the_stalled);
	tcase_add_test(tc, test_destroy_that_ends_first);
	tcase_add_test(tc, test_second_destroy_waits);
	tcase_add_test(tc, test_many_destroy);
	tcase_add_test(tc, test_second_destroy_need_not_wait_for_the_cancelled);
	tcase_add_test(tc, test_cancelled_destroy);
	tcase_add_test(tc, test_destroy_after_a_cancelled_one);
	tcase_add_loop_test(tc, test_done_submits, 0, 2);
	tcase_add_test(tc, test_done_does_not_overtake);
	tcase_add_test(tc, test_refused_submits);
	tcase_add_loop_test(tc, test_dropped_submit, 0, 2);
	tcase_add_loop_test(tc, test_left_alone_while_leaving, 0, 2);
	tcase_add_test(tc, test_dropped_cancels_another);
}

int main(void)
{
	return loop_main("queue_destroy", add, setup, teardown);
}
