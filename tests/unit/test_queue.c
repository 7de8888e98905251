/* SPDX-License-Identifier: BSD-2-Clause */
#include "queue_world.h"

/* ---- the table ---- */

static const struct {
	int holder; /* lane, -1: none */
	bool stalled;
	const char *expected; /* by lane: runs, waits, busy */
} table[] = {
	{ -1, false, "rrrrr" },          { LANE_CHANGE, false, "rrwwr" },   { LANE_EXCLUSIVE, false, "rrbbr" },
	{ LANE_CHANGE, true, "rrbbr" },  { LANE_EXCLUSIVE, true, "rrbbr" }, { LANE_DESTROY, false, "rrwww" },
	{ LANE_DESTROY, true, "rrbbw" }, { LANE_QUERY, false, "rrrrr" },    { LANE_BESIDE, true, "rrrrr" },
};

START_TEST(test_lanes)
{
	for (enum lane lane = LANE_QUERY; lane <= LANE_DESTROY; lane++) {
		struct task *holder = NULL, *t;

		if (table[_i].holder >= 0)
			holder = run("A", (enum lane)table[_i].holder);
		if (table[_i].stalled)
			loop_pass(LIMIT_MS + 1);
		t = run("B", lane);
		switch (table[_i].expected[lane]) {
		case 'r':
			ck_assert(runs(t));
			break;
		case 'w':
			ck_assert(waits(t));
			ck_assert_uint_eq(queue_length(w.qs, "x"), 1);
			ck_assert_int_eq(t->changes, 1);
			break;
		case 'b':
			assert_names(t, holder);
			ck_assert_ptr_nonnull(strstr(t->err->desc, "'work'"));
			break;
		default:
			ck_abort();
		}
		/* what stands beside says nothing of the queue */
		if (!holder && lane < LANE_CHANGE)
			ck_assert_ptr_null(queue_current(w.qs, "x"));
		finish_all();
		clear();
	}
}
END_TEST

START_TEST(test_names_of_lanes)
{
	ck_assert_str_eq(lane_name(LANE_QUERY), "query");
	ck_assert_str_eq(lane_name(LANE_BESIDE), "beside");
	ck_assert_str_eq(lane_name(LANE_CHANGE), "change");
	ck_assert_str_eq(lane_name(LANE_EXCLUSIVE), "exclusive");
	ck_assert_str_eq(lane_name(LANE_DESTROY), "destroy");
	ck_assert_ptr_null(queues_free(NULL));
}
END_TEST

/* ---- waiting ---- */

START_TEST(test_order)
{
	struct task *a = run("A", LANE_CHANGE), *b = run("B", LANE_CHANGE), *c = run("C", LANE_EXCLUSIVE),
		    *d = run("D", LANE_CHANGE);

	ck_assert_uint_eq(queue_length(w.qs, "x"), 3);
	ck_assert_ptr_eq(queue_current(w.qs, "x"), a->op);
	expect("A:begin");
	finish(a);
	expect("A:done B:begin");
	ck_assert_ptr_eq(queue_current(w.qs, "x"), b->op);
	finish(b);
	expect("B:done C:begin");
	ck_assert(waits(d));
	finish(c);
	expect("C:done D:begin");
	ck_assert_uint_eq(queue_length(w.qs, "x"), 0);
	finish(d);
	expect("D:done");
	ck_assert_ptr_null(queue_current(w.qs, "x"));
}
END_TEST

START_TEST(test_subjects)
{
	struct task *a = run("A", LANE_EXCLUSIVE), *b = task("B");

	queue_submit(w.qs, "y", b->op, LANE_EXCLUSIVE, 0);
	expect("A:begin B:begin");
	ck_assert_ptr_eq(queue_current(w.qs, "x"), a->op);
	ck_assert_ptr_eq(queue_current(w.qs, "y"), b->op);
	ck_assert_ptr_null(queue_current(w.qs, "z"));
	ck_assert_uint_eq(queue_length(w.qs, "z"), 0);
	finish_all();
}
END_TEST

START_TEST(test_at_most_64)
{
	struct task *a = run("A", LANE_CHANGE), *t;

	for (int i = 0; i < QUEUE_MAX; i++)
		ck_assert(waits(run("B", LANE_CHANGE)));
	ck_assert_uint_eq(queue_length(w.qs, "x"), 64);
	t = run("C", LANE_CHANGE);
	assert_names(t, a);
	t = run("D", LANE_EXCLUSIVE);
	assert_names(t, a);
	ck_assert(runs(run("E", LANE_BESIDE)));
	finish_all();
}
END_TEST

/* All end in one go, in order. */
START_TEST(test_quick_ones)
{
	struct task *a = run("A", LANE_CHANGE);
	_cleanup_free_ char *expected = xstrdup("A:begin A:done");

	for (int i = 0; i < QUEUE_MAX; i++) {
		char name[] = { (char)('a' + i % 26), (char)('a' + i / 26), '\0' };
		_cleanup_free_ char *old = expected;
		struct task *t = task(name);

		t->quick = true;
		submit(t, i % 2 ? LANE_CHANGE : LANE_EXCLUSIVE);
		expected = xasprintf("%s %s:begin %s:done", old, name, name);
	}
	finish(a);
	expect(expected);
}
END_TEST

static const struct {
	unsigned own, limit;
} limits[] = { { 0, WAIT_MS }, { WAIT_MS / 2, WAIT_MS / 2 }, { 10 * WAIT_MS, WAIT_MS }, { WAIT_MS, WAIT_MS } };

START_TEST(test_waits_in_vain)
{
	struct task *a = run("A", LANE_CHANGE), *b = task("B");

	queue_submit(w.qs, "x", b->op, LANE_CHANGE, limits[_i].own);
	loop_pass(limits[_i].limit / 3);
	ck_assert(waits(b));
	loop_pass(limits[_i].limit);
	assert_names(b, a);
	ck_assert(runs(a));
	ck_assert_uint_eq(queue_length(w.qs, "x"), 0);
	finish(a);
	expect("A:begin B:Busy A:done");
}
END_TEST

START_TEST(test_one_of_three_waits_in_vain)
{
	struct task *a = run("A", LANE_CHANGE), *three[3];

	for (int i = 0; i < 3; i++) {
		char name[] = { (char)('B' + i), '\0' };

		three[i] = task(name);
		queue_submit(w.qs, "x", three[i]->op, LANE_CHANGE, i == _i ? WAIT_MS / 2 : WAIT_MS);
	}
	loop_pass(WAIT_MS / 2 + 1);
	ck_assert_uint_eq(queue_length(w.qs, "x"), 2);
	finish(a);
	finish_all();
	expect(_i == 0 ? "A:begin B:Busy A:done C:begin C:done D:begin D:done" :
	       _i == 1 ? "A:begin C:Busy A:done B:begin B:done D:begin D:done" :
			 "A:begin D:Busy A:done B:begin B:done C:begin C:done");
}
END_TEST

/* The limit of the wait is not one of the operation. */
START_TEST(test_limit_ends_with_the_wait)
{
	struct task *a = run("A", LANE_CHANGE), *b = run("B", LANE_CHANGE);

	finish(a);
	loop_pass(LIMIT_MS / 2);
	ck_assert(runs(b));
	finish(b);
}
END_TEST

START_TEST(test_cancel_waiting)
{
	struct task *a = run("A", LANE_CHANGE), *b = run("B", LANE_CHANGE), *c = run("C", LANE_CHANGE);

	ck_assert(op_cancel(b->op, NULL));
	expect("A:begin B:Cancelled");
	ck_assert_uint_eq(queue_length(w.qs, "x"), 1);
	ck_assert(op_cancel(c->op, NULL));
	ck_assert_uint_eq(queue_length(w.qs, "x"), 0);
	finish(a);
	expect("C:Cancelled A:done");
}
END_TEST

/* What must come to pass is refused by nobody, and waits without a limit. */
START_TEST(test_waits_for_ever)
{
	struct task *a = run("A", LANE_CHANGE), *t = task("T"), *u = task("U");

	for (int i = 0; i < QUEUE_MAX; i++)
		run("B", LANE_CHANGE);
	queue_submit(w.qs, "x", t->op, LANE_CHANGE, QUEUE_FOREVER);
	ck_assert(waits(t));
	loop_pass(10 * WAIT_MS);
	ck_assert(waits(t));
	op_stall(a->op);
	queue_submit(w.qs, "x", u->op, LANE_CHANGE, QUEUE_FOREVER);
	ck_assert(waits(u));
	w.log[0] = '\0';
	finish(a);
	expect("A:done T:begin");
	finish(t);
	expect("T:done U:begin");
	finish(u);
}
END_TEST

/* ---- recovery ---- */

/* Whoever destroys has cancelled it, whether or not that came to be written down; and nobody waits behind it. */
START_TEST(test_recover_cancels)
{
	struct task *a = run("A", LANE_CHANGE), *d = task("D");

	run("B", LANE_CHANGE);
	d->quick = d->alone = d->committed = true;
	queue_recover(w.qs, "x", d->op, LANE_DESTROY, &(struct op_place){ .step = "work", .at = 1, .committed = true });
	expect("A:begin B:Cancelled D:begin");
	ck_assert(a->op->cancelled);
	finish(a);
	expect("A:undo A:Cancelled D:clear D:done");
}
END_TEST

START_TEST(test_recover)
{
	struct task *a = task("A"), *b;

	a->slow_undo = true;
	queue_recover(w.qs, "x", a->op, LANE_CHANGE, &(struct op_place){ .at = 0, .back = false, .committed = false });
	expect("A:begin A:undo");
	ck_assert_ptr_eq(queue_current(w.qs, "x"), a->op);
	b = run("B", LANE_CHANGE);
	ck_assert(waits(b));
	finish(a);
	expect("A:Cancelled B:begin");
	finish(b);
}
END_TEST

START_TEST(test_recover_what_ends_at_once)
{
	struct task *a = task("A");

	queue_recover(w.qs, "x", a->op, _i ? LANE_DESTROY : LANE_CHANGE,
		      &(struct op_place){ .at = 0, .back = true, .committed = false });
	expect("A:begin A:undo A:Cancelled");
	ck_assert_ptr_null(queue_current(w.qs, "x"));
}
END_TEST

/* Killed while one ended what the other had begun. */
START_TEST(test_recover_both)
{
	struct task *a = task("A"), *d = task("D");

	a->slow_undo = true;
	d->quick = d->alone = d->committed = true;
	queue_recover(w.qs, "x", a->op, LANE_CHANGE, &(struct op_place){ .at = 0, .back = true, .committed = false });
	queue_recover(w.qs, "x", d->op, LANE_DESTROY, &(struct op_place){ .at = 2, .back = false, .committed = true });
	expect("A:begin A:undo D:begin");
	finish(a);
	expect("A:Cancelled D:clear D:done");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_lanes, 0, ARRAY_SIZE(table));
	tcase_add_test(tc, test_names_of_lanes);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_subjects);
	tcase_add_test(tc, test_at_most_64);
	tcase_add_test(tc, test_quick_ones);
	tcase_add_loop_test(tc, test_waits_in_vain, 0, ARRAY_SIZE(limits));
	tcase_add_loop_test(tc, test_one_of_three_waits_in_vain, 0, 3);
	tcase_add_test(tc, test_limit_ends_with_the_wait);
	tcase_add_test(tc, test_cancel_waiting);
	tcase_add_test(tc, test_waits_for_ever);
	tcase_add_test(tc, test_recover_cancels);
	tcase_add_test(tc, test_recover);
	tcase_add_loop_test(tc, test_recover_what_ends_at_once, 0, 2);
	tcase_add_test(tc, test_recover_both);
}

int main(void)
{
	return loop_main("queue", add, setup, teardown);
}
