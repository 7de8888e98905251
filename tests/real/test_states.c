/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each state and each reason that a guest or its host can bring about with a real QEMU, told truly: while droverd
 * watches, and by the next one when it was not there. And what is to follow by itself from an end.
 */
#include "guest.h"
#include "one_rig.h"
#include "tiny.h"

#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void restart(void)
{
	rig_start(rig);
	client_free(client);
	client = client_new(rig);
}

/* Defines and starts it, and waits until it has booted. */
static pid_t boot(const char *name, enum tiny tiny, const char *policies)
{
	pid_t pid;

	tiny_define(rig, client, name, tiny, policies);
	pid = guest_start(client, name);
	guest_await(rig, name, "B", 1);
	return pid;
}

/* Waits for the next event NAME of the instance. */
static struct json_object *next_event(const char *name, const char *instance)
{
	for (;;) {
		struct json_object *o = client_event(client, name);

		if (str_eq(str_at(o, "data.instance"), instance))
			return o;
		json_object_put(o);
	}
}

static void expect_gone(const char *name)
{
	_cleanup_json_ struct json_object *shown = guest_settle(client, name);
	_cleanup_free_ char *world = rig_world(rig, false), *run = xasprintf("run/instances/%s", name);

	ck_assert(!has(shown, "pid"));
	ck_assert_msg(!strstr(world, run) && !strstr(world, "operations/"), "left: %s", world);
	ck_assert_str_eq(str_at(shown, "last.reason"), str_at(shown, "reason"));
}

/* Waits until a QEMU that no droverd watches is in RunState STATUS, or is gone for "". */
static void await_unwatched(const char *name, pid_t pid, const char *status)
{
	if (*status)
		guest_await_run_state(rig, name, status);
	else
		process_await_end(pid);
}

/* ---- ends and stops, seen and unseen ---- */

static const struct {
	const char *policies;
	enum tiny_order order; /* what the guest is told, or */
	int signal;            /* what QEMU gets */
	const char *status;    /* RunState that it comes to; "": it ends */
	const char *state, *reason;
	bool gone; /* without a process, in the end */
} ends[] = {
	{ "", TINY_POWER_OFF, 0, "shutdown", "shutoff", "guest", true },
	{ "", TINY_PANIC, 0, "guest-panicked", "crashed", "panic", false },
	{ ", 'on_crash': 'stop'", TINY_PANIC, 0, "guest-panicked", "crashed", "panic", true },
	{ "", TINY_SLEEP, 0, "suspended", "pmsuspended", "guest", false },
	{ ", 'on_reboot': 'stop'", TINY_REBOOT, 0, "shutdown", "shutoff", "guest", true },
	{ ", 'reboot_behavior': 'exit'", TINY_REBOOT, 0, "shutdown", "shutoff", "guest", true },
	{ "", 0, SIGTERM, "", "shutoff", "host", true },
	{ "", 0, SIGINT, "", "shutoff", "host", true },
	{ "", 0, SIGKILL, "", "crashed", "signal 9", true },
	{ "", 0, SIGSEGV, "", "crashed", "signal 11", true },
	{ "", 0, SIGSYS, "", "crashed", "signal 31", true },
};

static void cause(int i, pid_t pid)
{
	if (ends[i].signal)
		kill(pid, ends[i].signal);
	else
		tiny_tell(rig, "web1", ends[i].order);
}

static void check_end(int i)
{
	client_await_state(client, "web1", ends[i].state, ends[i].reason);
	if (ends[i].gone) {
		_cleanup_json_ struct json_object *o = guest_settle(client, "web1");

		expect_gone("web1");
		ck_assert_msg((ends[i].signal == SIGSYS) == has(o, "last.why"), "%s", json_object_to_json_string(o));
	} else {
		ck_assert(process_runs(guest_pid(client, "web1")));
	}
}

START_TEST(test_seen)
{
	cause(_i, boot("web1", TINY_OBEYS, ends[_i].policies));
	check_end(_i);
}
END_TEST

START_TEST(test_unseen)
{
	pid_t pid = boot("web1", TINY_OBEYS, ends[_i].policies);

	rig_kill(rig);
	cause(_i, pid);
	await_unwatched("web1", pid, ends[_i].status);
	restart();
	check_end(_i);
}
END_TEST

/* Held for us, but somebody was faster: the guest's word counts, the log of the second monitor has it. */
START_TEST(test_unseen_and_ended)
{
	static const struct {
		enum tiny_order order;
		const char *status, *state, *reason;
	} rows[] = {
		{ TINY_POWER_OFF, "shutdown", "shutoff", "guest" },
		{ TINY_PANIC, "guest-panicked", "crashed", "panic" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *name = xasprintf("web%zu", i);
		pid_t pid = boot(name, TINY_OBEYS, "");

		rig_kill(rig);
		tiny_tell(rig, name, rows[i].order);
		await_unwatched(name, pid, rows[i].status);
		kill(pid, SIGTERM);
		process_await_end(pid);
		restart();
		client_await_state(client, name, rows[i].state, rows[i].reason);
		expect_gone(name);
	}
}
END_TEST

/* ---- a guest that goes on ---- */

START_TEST(test_reboot)
{
	pid_t pid = boot("web1", TINY_OBEYS, "");

	tiny_tell(rig, "web1", TINY_REBOOT);
	guest_await(rig, "web1", "B", 2);
	client_await_state(client, "web1", "running", "reset");
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
}
END_TEST

/* That it is another run of the guest is only in the log. */
START_TEST(test_reboot_unseen)
{
	pid_t pid = boot("web1", TINY_OBEYS, "");

	rig_kill(rig);
	tiny_tell(rig, "web1", TINY_REBOOT);
	guest_await(rig, "web1", "B", 2);
	restart();
	client_await_state(client, "web1", "running", "reset");
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
}
END_TEST

START_TEST(test_sleep_and_wake)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *states = NULL;
	int64_t seq;

	boot("web1", TINY_OBEYS, "");
	seq = guest_now(client);
	tiny_tell(rig, "web1", TINY_SLEEP);
	client_await_state(client, "web1", "pmsuspended", "guest");
	json_object_put(client_error(client, "WrongState", "instance-pause", "{'instance': 'web1'}"));
	o = client_ok(client, "instance-resume", "{'instance': 'web1'}");
	ck_assert(json_get_bool(o, "changed", false));
	/* No vector to wake up at: the firmware makes a reboot of it. */
	guest_await(rig, "web1", "B", 2);
	client_await_state(client, "web1", "running", NULL);
	states = guest_states(client, "web1", seq);
	ck_assert_msg(str_starts(states, "pmsuspended/suspended/guest\nrunning/running/woken\n"), "%s", states);
}
END_TEST

/* What stands still for another reason than a pause runs after a reset; what is paused stays so. */
START_TEST(test_reset)
{
	static const enum tiny_order orders[] = { TINY_SLEEP, TINY_PANIC };
	static const char *const states[] = { "pmsuspended", "crashed" };
	unsigned boots = 1;
	pid_t pid = boot("web1", TINY_OBEYS, "");

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		_cleanup_json_ struct json_object *o = NULL;

		tiny_tell(rig, "web1", orders[i]);
		client_await_state(client, "web1", states[i], NULL);
		o = client_ok(client, "instance-reset", "{'instance': 'web1'}");
		ck_assert_str_eq(str_at(o, "state"), "running");
		guest_await(rig, "web1", "B", ++boots);
		guest_expect(client, "web1", "running", "reset");
	}
	json_object_put(client_ok(client, "instance-pause", "{'instance': 'web1'}"));
	json_object_put(client_ok(client, "instance-reset", "{'instance': 'web1'}"));
	guest_expect(client, "web1", "paused", "admin");
	json_object_put(client_ok(client, "instance-resume", "{'instance': 'web1'}"));
	guest_await(rig, "web1", "B", ++boots);
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
}
END_TEST

START_TEST(test_nmi)
{
	boot("web1", TINY_NMI, "");
	for (unsigned i = 1; i <= 2; i++) {
		json_object_put(client_ok(client, "instance-nmi", "{'instance': 'web1'}"));
		guest_await(rig, "web1", "N", i);
	}
	guest_expect(client, "web1", "running", "booted");
}
END_TEST

START_TEST(test_crashed)
{
	_cleanup_json_ struct json_object *e = NULL;
	pid_t pid = boot("web1", TINY_OBEYS, "");

	tiny_tell(rig, "web1", TINY_PANIC);
	client_await_state(client, "web1", "crashed", "panic");
	e = client_error(client, "WrongState", "instance-resume", "{'instance': 'web1'}");
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "instance-reset"));
	json_object_put(client_error(client, "WrongState", "instance-pause", "{'instance': 'web1'}"));
	json_object_put(client_error(client, "WrongState", "instance-nmi", "{'instance': 'web1'}"));
	json_object_put(client_error(client, "WrongState", "instance-start", "{'instance': 'web1'}"));
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	guest_expect(client, "web1", "shutoff", "admin");
	expect_gone("web1");
}
END_TEST

/* ---- on_reboot and our own reset ---- */

/* QEMU was told to end at a reboot. It takes our reset for one, and SeaBIOS makes two of it. */
static void check_our_reset(const char *policy, bool paused)
{
	_cleanup_json_ struct json_object *o = NULL;
	pid_t pid = boot("web1", TINY_OBEYS, policy);

	if (paused)
		json_object_put(client_ok(client, "instance-pause", "{'instance': 'web1'}"));
	o = client_ok(client, "instance-reset", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(o, "state"), paused ? "paused" : "running");
	if (paused) {
		/* The firmware has not answered yet, and the next droverd knows. */
		rig_kill(rig);
		restart();
		client_await_state(client, "web1", "paused", "admin");
		json_object_put(client_ok(client, "instance-resume", "{'instance': 'web1'}"));
	}
	guest_await(rig, "web1", "B", 2);
	client_await_state(client, "web1", "running", NULL);
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
	/* and what it does itself is its own again */
	tiny_tell(rig, "web1", TINY_REBOOT);
	client_await_state(client, "web1", "shutoff", "guest");
	expect_gone("web1");
}

START_TEST(test_our_reset)
{
	check_our_reset(", 'on_reboot': 'stop'", _i);
}
END_TEST

/* ---- restarts ---- */

/* A new process, without anybody's word; PENDING changes come with it. */
static void check_restart(const char *policy, enum tiny_order order, bool seen)
{
	pid_t old = boot("web1", TINY_OBEYS, policy), pid;
	_cleanup_free_ char *more = xasprintf("%s, 'serial_speed': 9600", policy);
	_cleanup_json_ struct json_object *o = NULL;

	tiny_define(rig, client, "web1", TINY_OBEYS, more);
	if (!seen)
		rig_kill(rig);
	if (order)
		tiny_tell(rig, "web1", order);
	else
		kill(old, SIGKILL);
	if (!seen) {
		await_unwatched("web1", old, order == TINY_PANIC ? "guest-panicked" : order ? "shutdown" : "");
		restart();
	}
	process_await_end(old);
	guest_await(rig, "web1", "B", 2);
	client_await_state(client, "web1", "running", "booted");
	pid = guest_pid(client, "web1");
	ck_assert_int_ne(pid, old);
	o = guest_settle(client, "web1");
	ck_assert_int_eq(int_at(o, "restarts.count"), 1);
	ck_assert_int_eq((int)json_object_array_length(at(o, "pending")), 0);
	ck_assert_int_eq(int_at(o, "runtime.hvparams.serial_speed"), 9600);
}

START_TEST(test_restart)
{
	static const struct {
		const char *policy;
		enum tiny_order order;
	} rows[] = {
		{ ", 'on_poweroff': 'restart'", TINY_POWER_OFF },
		{ ", 'on_reboot': 'restart'", TINY_REBOOT },
		{ ", 'on_crash': 'restart'", TINY_PANIC },
		{ ", 'on_crash': 'restart'", 0 },
	};

	check_restart(rows[_i / 2].policy, rows[_i / 2].order, _i % 2);
}
END_TEST

START_TEST(test_crash_reset)
{
	pid_t pid = boot("web1", TINY_OBEYS, ", 'on_crash': 'reset'");

	tiny_tell(rig, "web1", TINY_PANIC);
	guest_await(rig, "web1", "B", 2);
	client_await_state(client, "web1", "running", "reset");
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
}
END_TEST

/* What follows is what QEMU was started with; what was said since holds for the next one. */
START_TEST(test_policy_of_start)
{
	boot("web1", TINY_OBEYS, ", 'on_reboot': 'restart'");
	json_object_put(client_ok(client, "instance-modify",
				  "{'instance': 'web1', 'patch': {'hvparams': {'on_reboot': null, "
				  "'reboot_behavior': 'exit'}}}"));
	tiny_tell(rig, "web1", TINY_REBOOT);
	client_await_state(client, "web1", "shutoff", "guest"); /* between the two processes */
	guest_await(rig, "web1", "B", 2);
	tiny_tell(rig, "web1", TINY_REBOOT);
	client_await_state(client, "web1", "shutoff", "guest");
	expect_gone("web1");
}
END_TEST

/* Neither an end by the host nor one by us is made up for. */
START_TEST(test_no_restart)
{
	static const char policies[] = ", 'on_poweroff': 'restart', 'on_crash': 'restart', 'on_reboot': 'restart'";
	pid_t pid = boot("web1", TINY_OBEYS, policies);

	kill(pid, SIGTERM);
	client_await_state(client, "web1", "shutoff", "host");
	expect_gone("web1");
	guest_start(client, "web1");
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	guest_expect(client, "web1", "shutoff", "admin");
	expect_gone("web1");
}
END_TEST

/* ---- the brake ---- */

START_TEST(test_brake)
{
	static const struct {
		enum tiny tiny;
		const char *policy, *state, *reason;
		bool gone;
	} rows[] = {
		{ TINY_OFF, ", 'on_poweroff': 'restart'", "shutoff", "guest", true },
		{ TINY_PANICS, ", 'on_crash': 'restart'", "crashed", "panic", false },
		{ TINY_PANICS, ", 'on_crash': 'reset'", "crashed", "panic", false },
		{ TINY_REBOOTS, ", 'on_reboot': 'restart'", "shutoff", "guest", true },
	};
	_cleanup_json_ struct json_object *event = NULL, *o = NULL;

	tiny_define(rig, client, "web1", rows[_i].tiny, rows[_i].policy);
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1'}"));
	event = next_event("INSTANCE_RESTARTS_STOPPED", "web1");
	ck_assert_int_eq(int_at(event, "data.count"), 5);
	client_await_state(client, "web1", rows[_i].state, rows[_i].reason);
	o = guest_settle(client, "web1");
	ck_assert(json_object_get_boolean(at(o, "restarts.stopped")));
	ck_assert_int_eq(int_at(o, "restarts.count"), 5);
	ck_assert_uint_eq(guest_said(rig, "web1", "B"), 6);
	if (rows[_i].gone)
		expect_gone("web1");
	/* somebody who wants it has it, with a new count */
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	tiny_define(rig, client, "web1", TINY_OBEYS, "");
	guest_start(client, "web1");
	json_object_put(o);
	o = guest_query(client, "web1");
	ck_assert(!json_object_get_boolean(at(o, "restarts.stopped")));
}
END_TEST

/* A daemon that is started again and again does not forget how often it has. */
START_TEST(test_brake_over_restarts)
{
	_cleanup_json_ struct json_object *o = NULL;

	tiny_define(rig, client, "web1", TINY_OBEYS, ", 'on_poweroff': 'restart'");
	guest_start(client, "web1");
	for (unsigned i = 1; i <= 6; i++) {
		pid_t pid;

		guest_await(rig, "web1", "B", i);
		client_await_state(client, "web1", "running", "booted");
		pid = guest_pid(client, "web1");
		rig_kill(rig);
		tiny_tell(rig, "web1", TINY_POWER_OFF);
		guest_await_run_state(rig, "web1", "shutdown");
		restart();
		process_await_end(pid);
	}
	client_await_state(client, "web1", "shutoff", "guest");
	o = guest_settle(client, "web1");
	ck_assert(json_object_get_boolean(at(o, "restarts.stopped")));
	ck_assert_uint_eq(guest_said(rig, "web1", "B"), 6);
	expect_gone("web1");
}
END_TEST

static TCase *part(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	return tc;
}

static Suite *suite(void)
{
	Suite *s = suite_create("states");
	TCase *tc = part(s, "ends");

	tcase_add_loop_test(tc, test_seen, 0, ARRAY_SIZE(ends));
	tcase_add_loop_test(tc, test_unseen, 0, ARRAY_SIZE(ends));
	tcase_add_test(tc, test_unseen_and_ended);
	tc = part(s, "goes on");
	tcase_add_test(tc, test_reboot);
	tcase_add_test(tc, test_reboot_unseen);
	tcase_add_test(tc, test_sleep_and_wake);
	tcase_add_test(tc, test_reset);
	tcase_add_test(tc, test_nmi);
	tcase_add_test(tc, test_crashed);
	tcase_add_loop_test(tc, test_our_reset, 0, 2);
	tc = part(s, "restarts");
	tcase_add_loop_test(tc, test_restart, 0, 8);
	tcase_add_test(tc, test_crash_reset);
	tcase_add_test(tc, test_no_restart);
	tcase_add_test(tc, test_policy_of_start);
	tc = part(s, "brake");
	tcase_add_loop_test(tc, test_brake, 0, 4);
	tcase_add_test(tc, test_brake_over_restarts);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
