/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations that wait for the test's word. What they do is noted: "A:begin A:undo A:done"; an error is
 * noted by its class: "B:Busy".
 */
#include "base/queue.h"

#include "loop.h"

enum { LIMIT_MS = 3600 * 1000, WAIT_MS = QUEUE_WAIT_MS };

struct task;
typedef void task_fn(struct task *t);

struct task {
	char name[8], id[8];
	struct op *op;
	bool quick;      /* ends at once */
	bool abortable;  /* its wait is */
	bool committed;  /* its first step is the commit, and over */
	bool slow_undo;
	bool alone;      /* waits to be */
	task_fn *on_done;
	struct err *err;
	bool done;
	int changes;
};

static struct world {
	struct queues *qs;
	struct task tasks[160];
	unsigned n;
	char log[8192];
} w;

static void note(const struct task *t, const char *what)
{
	size_t n = strlen(w.log);

	ck_assert_uint_lt(n + 32, sizeof(w.log));
	snprintf(w.log + n, sizeof(w.log) - n, "%s%s:%s", n ? " " : "", t->name, what);
}

static void expect(const char *log)
{
	ck_assert_str_eq(w.log, log);
	w.log[0] = '\0';
}

/* ---- tasks ---- */

static const struct op_wait_ops firm = { .what = "word" };
static const struct op_wait_ops abortable = { .what = "word", .abortable = true };

static void stall(struct op *op, void *data)
{
	op_stall(op);
}

static const struct op_wait_ops stalling = { .what = "word", .expired = stall };

static enum verdict commit_run(struct op *op, void *arg)
{
	return OP_DONE;
}

static enum verdict work_run(struct op *op, void *arg)
{
	struct task *t = arg;

	return t->quick ? OP_DONE : op_wait(op, t->abortable ? &abortable : &stalling, t);
}

static enum verdict work_undo(struct op *op, void *arg)
{
	struct task *t = arg;

	note(t, "undo");
	return t->slow_undo ? op_wait(op, &firm, t) : OP_DONE;
}

static enum verdict clear_run(struct op *op, void *arg)
{
	note(arg, "clear");
	return OP_DONE;
}

static const struct step step_commit = { "commit", commit_run, .commit = true };
static const struct step step_work = { "work", work_run, work_undo, .timeout_ms = LIMIT_MS };
static const struct step step_alone = { "be alone", queue_alone, .timeout_ms = LIMIT_MS };
static const struct step step_clear = { "clear", clear_run };

static bool on_begin(struct op *op)
{
	struct task *t = op->owner;

	note(t, "begin");
	if (t->committed)
		op_add(op, &step_commit, t);
	op_add(op, &step_work, t);
	if (t->alone) {
		op_add(op, &step_alone, t);
		op_add(op, &step_clear, t);
	}
	return true;
}

static void on_changed(struct op *op)
{
	((struct task *)op->owner)->changes++;
}

static void on_done(struct op *op)
{
	struct task *t = op->owner;

	note(t, op->err ? err_class_info(op->err->class)->name : "done");
	t->err = TAKE_PTR(op->err);
	t->op = NULL;
	t->done = true;
	op_free(op);
	if (t->on_done)
		t->on_done(t);
}

static const struct op_ops ops = { .begin = on_begin, .changed = on_changed, .done = on_done };

static struct task *task(const char *name)
{
	struct task *t = &w.tasks[w.n++];

	ck_assert_uint_le(w.n, ARRAY_SIZE(w.tasks));
	snprintf(t->name, sizeof(t->name), "%s", name);
	snprintf(t->id, sizeof(t->id), "#%u", w.n);
	t->op = op_new(&loop, &ops, t);
	t->op->name = t->name;
	t->op->id = t->id;
	return t;
}

static void submit(struct task *t, enum lane lane)
{
	queue_submit(w.qs, "x", t->op, lane, 0);
}

static struct task *run(const char *name, enum lane lane)
{
	struct task *t = task(name);

	submit(t, lane);
	return t;
}

static void finish(struct task *t)
{
	ck_assert(t->op && t->op->wait);
	op_resume(t->op, NULL);
}

static bool waits(const struct task *t)
{
	return t->op && t->op->phase == OP_QUEUED;
}

static bool runs(const struct task *t)
{
	return t->op && t->op->phase == OP_FORWARD && t->op->wait;
}

static void assert_names(const struct task *t, const struct task *holder)
{
	ck_assert_ptr_nonnull(t->err);
	ck_assert_int_eq(t->err->class, ERR_BUSY);
	ck_assert_msg(strstr(t->err->desc, holder->name) && strstr(t->err->desc, holder->id), "%s", t->err->desc);
}

static void clear(void)
{
	loop_poll();
	queues_free(w.qs); /* which asserts that no queue is left */
	for (unsigned i = 0; i < w.n; i++) {
		ck_assert(w.tasks[i].done);
		err_free(w.tasks[i].err);
	}
	memset(&w, 0, sizeof(w));
	w.qs = queues_new();
}

static void setup(void)
{
	loop_open();
	w.qs = queues_new();
}

static void teardown(void)
{
	clear();
	queues_free(w.qs);
	loop_end();
}

/* Whatever is there ends. */
static void finish_all(void)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < w.n; i++) {
			if (w.tasks[i].op && w.tasks[i].op->wait &&
			    !str_eq(op_step(w.tasks[i].op)->name, "be alone")) {
				finish(&w.tasks[i]);
				more = true;
			}
		}
	}
}

/* ---- the table ---- */

static const struct {
	int holder; /* lane, -1: none */
	bool stalled;
	const char *expected; /* by lane: runs, waits, busy */
} table[] = {
	{ -1, false, "rrrrr" },
	{ LANE_CHANGE, false, "rrwwr" },
	{ LANE_EXCLUSIVE, false, "rrbbr" },
	{ LANE_CHANGE, true, "rrbbr" },
	{ LANE_EXCLUSIVE, true, "rrbbr" },
	{ LANE_DESTROY, false, "rrwww" },
	{ LANE_DESTROY, true, "rrbbw" },
	{ LANE_QUERY, false, "rrrrr" },
	{ LANE_BESIDE, true, "rrrrr" },
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

/* ---- recovery ---- */

START_TEST(test_recover)
{
	struct task *a = task("A"), *b;

	a->slow_undo = true;
	queue_recover(w.qs, "x", a->op, LANE_CHANGE, 0, false, false);
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

	queue_recover(w.qs, "x", a->op, _i ? LANE_DESTROY : LANE_CHANGE, 0, true, false);
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
	queue_recover(w.qs, "x", a->op, LANE_CHANGE, 0, true, false);
	queue_recover(w.qs, "x", d->op, LANE_DESTROY, 2, false, true);
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
	tcase_add_loop_test(tc, test_done_submits, 0, 2);
	tcase_add_test(tc, test_done_does_not_overtake);
	tcase_add_test(tc, test_refused_submits);
	tcase_add_loop_test(tc, test_dropped_submit, 0, 2);
	tcase_add_loop_test(tc, test_left_alone_while_leaving, 0, 2);
	tcase_add_test(tc, test_dropped_cancels_another);
	tcase_add_test(tc, test_recover);
	tcase_add_loop_test(tc, test_recover_what_ends_at_once, 0, 2);
	tcase_add_test(tc, test_recover_both);
}

int main(void)
{
	return loop_main("queue", add, setup, teardown);
}
