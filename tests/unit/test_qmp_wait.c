/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp_world.h"

enum place { FORWARD, BACK, PROBE };

static struct {
	enum place place;
	enum verdict (*call)(struct op *op);
	qmp_then_fn *then;
} job;

static enum verdict do_nothing(struct op *op, void *arg)
{
	return OP_DONE;
}

static enum verdict do_fail(struct op *op, void *arg)
{
	return op_fail(op, ERR_STORAGE, "the first error");
}

static enum verdict do_call(struct op *op, void *arg)
{
	return job.call(op);
}

static enum verdict note_undo(struct op *op, void *arg)
{
	note("undo");
	return OP_DONE;
}

static const struct step forward[] = { { "call", do_call, note_undo, .timeout_ms = LIMIT_MS }, { "rest" } };
static const struct step back[] = { { "call", do_nothing, do_call, .timeout_ms = LIMIT_MS }, { "fail", do_fail } };
static const struct step probe[] = { { "prepare", do_nothing, note_undo },
				     { "commit", do_fail, NULL, do_call, .timeout_ms = LIMIT_MS, .commit = true } };

static bool on_begin(struct op *op)
{
	static const struct step *const plans[] = { forward, back, probe };

	op_add(op, &plans[job.place][0], NULL);
	op_add(op, &plans[job.place][1], NULL);
	return true;
}

static void on_stalled(struct op *op)
{
	note("stalled");
}

static void on_done(struct op *op)
{
	note(op->err ? err_class_info(op->err->class)->name : "done");
	w.err = TAKE_PTR(op->err);
	w.op = NULL;
	op_free(op);
}

static enum verdict plain(struct op *op)
{
	return qmp_call(op, w.main.q, "cmd", parse("{\"x\": 1}"), job.then, &job);
}

static enum verdict known_when_gone(struct op *op)
{
	return qmp_call_or(op, w.main.q, "cmd", job.then, do_nothing, &job);
}

static enum verdict with_fd(struct op *op)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, "file", 4), 4);
	return qmp_call_fd(op, w.main.q, "cmd", NULL, fd, job.then, &job);
}

static bool is_ours(struct json_object *data, void *arg)
{
	ck_assert_ptr_eq(arg, &job);
	return str_eq(json_get_str(data, "device"), "ours");
}

static enum verdict until(struct op *op)
{
	return qmp_call_until(op, w.main.q, "cmd", parse("{\"x\": 1}"), "DONE", is_ours, &job);
}

static enum verdict until_any(struct op *op)
{
	return qmp_call_until(op, w.main.q, NULL, NULL, "DONE", NULL, NULL);
}

static enum verdict until_ready(struct op *op)
{
	return qmp_wait_ready(op, w.main.q);
}

static void start_call(enum place place, enum verdict (*fn)(struct op *op), qmp_then_fn *then)
{
	static const struct op_ops ops = { .begin = on_begin, .stalled = on_stalled, .done = on_done };

	job.place = place;
	job.call = fn;
	job.then = then;
	w.op = op_new(&loop, &ops, NULL);
	op_start(w.op);
}

static void run_in(enum place place, enum verdict (*fn)(struct op *op), qmp_then_fn *then)
{
	ready();
	start_call(place, fn, then);
	if (fn != until_any)
		expect_heard(&w.main.s, 2);
	expect("");
}

static void run(enum verdict (*fn)(struct op *op))
{
	run_in(FORWARD, fn, NULL);
}

static enum verdict see(struct op *op, struct json_object *ret, void *arg)
{
	_cleanup_free_ char *text = json_print(ret);

	ck_assert(op == w.op && arg == &job);
	note(text);
	return OP_DONE;
}

static enum verdict dislike(struct op *op, struct json_object *ret, void *arg)
{
	return op_fail(op, ERR_UNSUPPORTED, "that will not do");
}

START_TEST(test_call)
{
	_cleanup_free_ char *text = NULL;

	run_in(FORWARD, _i ? with_fd : plain, see);
	if (_i) {
		ck_assert_str_eq(w.main.s.files[1], "file");
	} else {
		text = json_print(json_get_typed(w.main.s.heard[1], "arguments", json_type_object));
		ck_assert_str_eq(text, "{\"x\":1}");
	}
	answer_with(&w.main.s, 1, "\"return\": [1]");
	expect("[1], done");
}
END_TEST

START_TEST(test_call_refused)
{
	run(_i ? until : plain);
	refuse(&w.main.s, 1);
	expect("undo, QemuError");
	ck_assert_str_eq(w.err->desc, "QEMU refused 'cmd': Device 'x' not found");
	ck_assert_str_eq(json_get_str(w.err->extra, "qemu-class"), "DeviceNotFound");
	emit(&w.main.s, "DONE", "{\"device\": \"ours\"}");
	expect("event DONE");
}
END_TEST

static enum verdict removes_node(struct op *op)
{
	return qmp_remove(op, w.main.q, "blockdev-del", parse("{\"node-name\": \"x\"}"));
}

static struct json_object *at_arguments(int i)
{
	return json_get_typed(w.main.s.heard[i], "arguments", json_type_object);
}

/* A node that is still in use is asked for again. */
START_TEST(test_remove_again)
{
	run(removes_node);
	for (int i = 1; i < 3; i++) {
		answer_with(&w.main.s, i, "\"error\": {\"class\": \"GenericError\", \"desc\": \"Node x is in use\"}");
		expect_heard(&w.main.s, i + 2);
		ck_assert_str_eq(heard(&w.main.s, i + 1), "blockdev-del");
		ck_assert(json_object_equal(at_arguments(i + 1), at_arguments(1)));
	}
	expect("");
	answer(&w.main.s, 3);
	expect("done");
}
END_TEST

START_TEST(test_call_disliked)
{
	run_in(FORWARD, plain, dislike);
	answer(&w.main.s, 1);
	expect("undo, Unsupported");
}
END_TEST

/* Neither an undo nor a probe that fails replaces, or loses, the error. */
START_TEST(test_failure_elsewhere)
{
	enum place place = _i & 1 ? BACK : PROBE;

	loop_keep_log();
	run_in(place, plain, _i & 2 ? dislike : NULL);
	if (_i & 2)
		answer(&w.main.s, 1);
	else
		refuse(&w.main.s, 1);
	expect(place == PROBE ? "undo, StorageError" : "StorageError");
	ck_assert_str_eq(w.err->desc, "the first error");
	ck_assert_int_eq(loop_logged("undo of 'call'"), place == BACK);
}
END_TEST

START_TEST(test_probe_finds_it)
{
	run_in(PROBE, plain, see);
	answer(&w.main.s, 1);
	expect("{}, done");
}
END_TEST

/* In flight, or not even sent; QEMU that is gone has nothing that were to be undone. */
START_TEST(test_call_of_the_gone)
{
	enum verdict (*const calls[])(struct op * op) = { known_when_gone, plain, with_fd, until, until_any };
	static const char *const ends[][3] = { { "done", "StorageError", "done" },
					       { "undo, GuestGone", "StorageError", "undo, StorageError" } };
	enum verdict (*fn)(struct op * op) = calls[_i / 6];
	enum place place = (enum place)(_i / 2 % 3);

	loop_keep_log();
	if (_i % 2) {
		hang_up(&w.main.s);
		expect("gone");
		start_call(place, fn, see);
		expect(ends[fn != known_when_gone][place]);
	} else {
		_cleanup_free_ char *log = xasprintf("%s, gone", ends[fn != known_when_gone][place]);

		run_in(place, fn, see);
		hang_up(&w.main.s);
		expect(log);
	}
	ck_assert_ptr_null(w.op);
	ck_assert_int_eq(loop_logged("undo of"), 0);
}
END_TEST

static enum verdict commit_call(struct op *op)
{
	if (op->phase == OP_FORWARD)
		return plain(op);
	note("probe");
	return until(op);
}

static const struct step commit_step = {
	"commit", do_call, note_undo, do_call, .timeout_ms = LIMIT_MS, .commit = true
};

static bool begin_commit(struct op *op)
{
	op_add(op, &commit_step, NULL);
	return true;
}

static void begin_commit_now(void)
{
	static const struct op_ops ops = { .begin = begin_commit, .stalled = on_stalled, .done = on_done };

	job.call = commit_call;
	job.then = NULL;
	w.op = op_new(&loop, &ops, NULL);
	op_start(w.op);
}

static void start_commit(void)
{
	ready();
	begin_commit_now();
	expect_heard(&w.main.s, 2);
}

START_TEST(test_commit_of_the_gone)
{
	if (_i) {
		start_commit();
		hang_up(&w.main.s);
		expect("probe, undo, GuestGone, gone");
	} else {
		hang_up(&w.main.s);
		expect("gone");
		begin_commit_now();
		expect("probe, undo, GuestGone");
	}
}
END_TEST

static void free_all(void)
{
	w.main.q = qmp_free(w.main.q);
}

/* What does not speak QMP is as good as gone. */
START_TEST(test_call_of_a_babbler)
{
	static const char *const expected[] = { "undo, QemuError, gone", "StorageError, gone",
						"undo, StorageError, gone" };

	loop_keep_log();
	run_in((enum place)(_i % 3), _i / 3 ? until : plain, NULL);
	say(&w.main.s, "babble\n");
	expect(expected[_i % 3]);
	if (_i % 3 == FORWARD)
		ck_assert(str_starts(w.err->desc, "the monitor sent something that is no QMP"));
	ck_assert_int_eq(loop_logged("undo of"), 0);
}
END_TEST

/* The operation's end is the end of all. */
START_TEST(test_freed_at_the_end_of_a_call)
{
	static const char *const triggers[] = { "done", "QemuError", "GuestGone", "done" };

	w.trigger = triggers[_i];
	w.action = free_all;
	run(_i == 3 ? until : plain);
	if (_i == 0)
		answer(&w.main.s, 1);
	if (_i == 1)
		refuse(&w.main.s, 1);
	if (_i == 2)
		hang_up(&w.main.s);
	if (_i == 3) {
		answer(&w.main.s, 1);
		emit(&w.main.s, "DONE", "{\"device\": \"ours\"}");
	}
	ck_assert(!w.main.q && !w.op);
}
END_TEST

START_TEST(test_wait_ready)
{
	start_call(FORWARD, until_ready, NULL);
	loop_quiet();
	ck_assert_ptr_nonnull(w.op);
	negotiate(&w.main);
	ck_assert_ptr_nonnull(w.op);
	expect_heard(&w.main.s, 2);
	answer(&w.main.s, 1);
	expect("ready, done");
}
END_TEST

START_TEST(test_wait_ready_of_the_gone)
{
	start_call(FORWARD, until_ready, NULL);
	hang_up(&w.main.s);
	expect("undo, GuestGone, gone");
}
END_TEST

/* ---- until an event ---- */

#define OURS "{\"device\": \"ours\"}"
#define OTHERS "{\"device\": \"theirs\"}"

START_TEST(test_until)
{
	run(until);
	emit(&w.main.s, "DONE", OTHERS);
	emit(&w.main.s, "OTHER", OURS);
	say(&w.main.s, "{\"event\": \"DONE\"}");
	expect("event DONE, event OTHER, event DONE");
	if (_i) {
		answer(&w.main.s, 1);
		expect("");
		emit(&w.main.s, "DONE", OTHERS);
		expect("event DONE");
		emit(&w.main.s, "DONE", OURS);
		expect("done, event DONE");
	} else {
		emit(&w.main.s, "DONE", OURS);
		emit(&w.main.s, "DONE", OURS);
		expect("event DONE, event DONE");
		answer(&w.main.s, 1);
		expect("done");
	}
	emit(&w.main.s, "DONE", OURS);
	expect("event DONE");
}
END_TEST

START_TEST(test_until_without_command)
{
	run(until_any);
	ck_assert_int_eq(w.main.s.n, 1);
	emit(&w.main.s, "OTHER", "{}");
	emit(&w.main.s, "DONE", "{}");
	expect("event OTHER, done, event DONE");
}
END_TEST

START_TEST(test_until_expires)
{
	run(until);
	answer(&w.main.s, 1);
	loop_pass(LIMIT_MS + 1);
	expect("undo, Timeout");
	ck_assert_ptr_nonnull(strstr(w.err->desc, "DONE"));
	emit(&w.main.s, "DONE", OURS);
	expect("event DONE");
}
END_TEST

/* The command may still take effect: its reply is awaited before anything is taken back. */
START_TEST(test_until_cancelled)
{
	run(until);
	if (_i & 1)
		emit(&w.main.s, "DONE", OURS);
	if (_i & 2)
		answer(&w.main.s, 1);
	w.log[0] = '\0';
	if (!w.op)
		return;
	ck_assert(op_cancel(w.op, NULL));
	if (!(_i & 2)) {
		expect("");
		ck_assert_ptr_nonnull(w.op);
		answer(&w.main.s, 1);
	}
	expect("undo, Cancelled");
}
END_TEST

START_TEST(test_call_cancelled)
{
	run(plain);
	ck_assert(op_cancel(w.op, NULL));
	expect("");
	if (_i)
		refuse(&w.main.s, 1);
	else
		answer(&w.main.s, 1);
	expect("undo, Cancelled");
}
END_TEST

START_TEST(test_cancelled_and_gone)
{
	run(_i ? until : plain);
	ck_assert(op_cancel(w.op, NULL));
	hang_up(&w.main.s);
	expect("undo, Cancelled, gone");
}
END_TEST

/* ---- expiry ---- */

static void open_ping(void)
{
	monitor_open(&w.oob, true, &quiet_ops);
	negotiate(&w.oob);
	qmp_set_ping(w.main.q, w.oob.q);
	ck_assert_ptr_eq(qmp_ping_of(w.main.q), w.oob.q);
}

static void expire(int n)
{
	loop_stop_clock();
	loop_pass(LIMIT_MS + 1);
	expect("");
	expect_heard(&w.oob.s, n + 1);
	ck_assert_str_eq(json_get_str(w.oob.s.heard[n], "exec-oob"), "query-yank");
}

START_TEST(test_slow)
{
	open_ping();
	run(_i ? until : plain);
	if (_i)
		emit(&w.main.s, "DONE", OURS);
	w.log[0] = '\0';
	expire(1);
	answer(&w.oob.s, 1);
	loop_pass((long)LIMIT_MS * (SLOW_FACTOR - 1));
	expect("");
	ck_assert(!w.op->stalled);
	answer(&w.main.s, 1);
	expect("done");
	ck_assert_int_eq(w.oob.s.n, 2);
}
END_TEST

/* One who refuses answers. */
START_TEST(test_slow_and_unwilling)
{
	open_ping();
	run(plain);
	expire(1);
	refuse(&w.oob.s, 1);
	loop_pass((long)LIMIT_MS * (SLOW_FACTOR - 1));
	expect("");
	answer(&w.main.s, 1);
	expect("done");
}
END_TEST

START_TEST(test_too_slow)
{
	open_ping();
	run_in((enum place)_i, plain, NULL);
	expire(1);
	answer(&w.oob.s, 1);
	loop_pass((long)LIMIT_MS * SLOW_FACTOR);
	expect("stalled");
	loop_pass(100L * LIMIT_MS);
	expect("");
	answer(&w.main.s, 1);
	expect(_i == BACK ? "StorageError" : "done");
}
END_TEST

START_TEST(test_stuck)
{
	open_ping();
	run_in((enum place)_i, plain, NULL);
	expire(1);
	loop_pass(PING_MS + 1);
	expect("stalled");
	ck_assert(w.op->stalled);
	loop_pass(100L * LIMIT_MS);
	expect("");
	ck_assert_int_eq(w.oob.s.n, 2);
	refuse(&w.main.s, 1);
	expect(_i == FORWARD ? "undo, QemuError" : _i == BACK ? "StorageError" : "undo, StorageError");
	answer(&w.oob.s, 1); /* it does no harm */
	expect("");
}
END_TEST

START_TEST(test_stuck_and_gone)
{
	open_ping();
	run(_i ? until : plain);
	expire(1);
	loop_pass(PING_MS + 1);
	hang_up(&w.main.s);
	expect("stalled, undo, GuestGone, gone");
}
END_TEST

/* The ping is answered late: QEMU goes on, so the call has its time again. */
START_TEST(test_stuck_for_a_while)
{
	open_ping();
	run(plain);
	expire(1);
	loop_pass(PING_MS + 1);
	expect("stalled");
	answer(&w.oob.s, 1);
	ck_assert(!w.op->stalled);
	loop_pass((long)LIMIT_MS * SLOW_FACTOR);
	expect("stalled");
	answer(&w.main.s, 1);
	expect("done");
}
END_TEST

START_TEST(test_reply_beside_the_ping)
{
	open_ping();
	run(plain);
	expire(1);
	answer(&w.main.s, 1);
	expect("done");
	answer(&w.oob.s, 1);
	expect("");
}
END_TEST

/* Nobody can be asked: before, or from now on. */
START_TEST(test_nobody_to_ping)
{
	if (_i)
		open_ping();
	run(plain);
	if (_i == 1)
		hang_up(&w.oob.s);
	if (_i == 2)
		expire(1);
	if (_i == 2)
		hang_up(&w.oob.s);
	loop_pass(LIMIT_MS + 1);
	expect("stalled");
	loop_pass(100L * LIMIT_MS);
	expect("");
	answer(&w.main.s, 1);
	expect("done");
}
END_TEST

/* The reply ends the doubt; the event has its own time then. */
START_TEST(test_event_after_a_late_reply)
{
	open_ping();
	run(until);
	expire(1);
	if (_i & 1)
		answer(&w.oob.s, 1); /* slow */
	else
		loop_pass(PING_MS + 1); /* stuck */
	w.log[0] = '\0';
	answer(&w.main.s, 1);
	ck_assert(w.op && !w.op->stalled);
	answer(&w.oob.s, 1); /* too late to count */
	loop_pass(LIMIT_MS / 2);
	expect("");
	if (_i & 2) {
		emit(&w.main.s, "DONE", OURS);
		expect("done, event DONE");
	} else {
		loop_pass(LIMIT_MS);
		expect("undo, Timeout");
	}
}
END_TEST

START_TEST(test_cancelled_while_stuck)
{
	open_ping();
	run(_i ? until : plain);
	expire(1);
	loop_pass(PING_MS + 1);
	expect("stalled");
	ck_assert(op_cancel(w.op, NULL));
	expect("");
	ck_assert_ptr_nonnull(w.op);
	answer(&w.main.s, 1);
	expect("undo, Cancelled");
}
END_TEST

/* In doubt for too long, then there after all. */
START_TEST(test_commit_in_doubt)
{
	start_commit();
	loop_pass(LIMIT_MS + 1);
	expect("stalled");
	refuse(&w.main.s, 1);
	expect_heard(&w.main.s, 3);
	expect("probe");
	answer(&w.main.s, 2);
	emit(&w.main.s, "DONE", OURS);
	expect("done, event DONE");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_call, 0, 2);
	tcase_add_loop_test(tc, test_call_refused, 0, 2);
	tcase_add_test(tc, test_call_disliked);
	tcase_add_test(tc, test_remove_again);
	tcase_add_loop_test(tc, test_failure_elsewhere, 0, 4);
	tcase_add_test(tc, test_probe_finds_it);
	tcase_add_loop_test(tc, test_call_of_the_gone, 0, 5 * 3 * 2);
	tcase_add_loop_test(tc, test_commit_of_the_gone, 0, 2);
	tcase_add_loop_test(tc, test_call_of_a_babbler, 0, 6);
	tcase_add_loop_test(tc, test_freed_at_the_end_of_a_call, 0, 4);
	tcase_add_test(tc, test_wait_ready);
	tcase_add_test(tc, test_wait_ready_of_the_gone);
	tcase_add_loop_test(tc, test_until, 0, 2);
	tcase_add_test(tc, test_until_without_command);
	tcase_add_test(tc, test_until_expires);
	tcase_add_loop_test(tc, test_until_cancelled, 0, 4);
	tcase_add_loop_test(tc, test_call_cancelled, 0, 2);
	tcase_add_loop_test(tc, test_cancelled_and_gone, 0, 2);
	tcase_add_loop_test(tc, test_slow, 0, 2);
	tcase_add_test(tc, test_slow_and_unwilling);
	tcase_add_loop_test(tc, test_too_slow, 0, 3);
	tcase_add_loop_test(tc, test_stuck, 0, 3);
	tcase_add_loop_test(tc, test_stuck_and_gone, 0, 2);
	tcase_add_test(tc, test_stuck_for_a_while);
	tcase_add_test(tc, test_reply_beside_the_ping);
	tcase_add_loop_test(tc, test_nobody_to_ping, 0, 3);
	tcase_add_loop_test(tc, test_event_after_a_late_reply, 0, 4);
	tcase_add_loop_test(tc, test_cancelled_while_stuck, 0, 2);
	tcase_add_test(tc, test_commit_in_doubt);
}

int main(void)
{
	return loop_main("qmp_wait", add, setup, teardown);
}
