/* SPDX-License-Identifier: BSD-2-Clause */
/* How a real guest's process ends, and what is said of it: by the guest, by us, by nobody's word, before it began. */
#include "guest.h"
#include "one_rig.h"

#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The next life of droverd. */
static void restart(void)
{
	rig_start(rig);
	client_free(client);
	client = client_new(rig);
}

/* Without a process nothing of a run is there but state.json, which tells of its end. */
static void expect_nothing(const char *name)
{
	_cleanup_json_ struct json_object *shown = guest_settle(client, name), *state = NULL;
	_cleanup_free_ char *world = rig_world(rig, false), *run = xasprintf("run/instances/%s", name);
	_cleanup_free_ char *file = rig_file(rig, "lib/instances/%s/state.json", name);

	ck_assert(!has(shown, "pid") && !has(shown, "runtime") && json_object_array_length(at(shown, "consoles")) == 0);
	ck_assert_msg(!strstr(world, run) && !strstr(world, "process") && !strstr(world, "operations/"), "left: %s",
		      world);
	ck_assert_ptr_nonnull(file);
	ck_assert(json_parse(file, strlen(file), &json_limits_qemu, &state, NULL));
	ck_assert_str_eq(str_at(state, "state"), str_at(shown, "state"));
	ck_assert_str_eq(str_at(state, "reason"), str_at(shown, "reason"));
	ck_assert_str_eq(str_at(shown, "last.reason"), str_at(shown, "reason"));
}

/* ---- by the guest ---- */

START_TEST(test_poweroff)
{
	_cleanup_free_ char *states = NULL;
	int64_t seq;
	pid_t pid;

	guest_define(client, "web1", "t.exit=poweroff", "");
	seq = guest_now(client);
	pid = guest_start(client, "web1");
	client_await_state(client, "web1", "shutoff", "guest");
	process_await_end(pid);
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
	expect_nothing("web1");
	states = guest_states(client, "web1", seq);
	ck_assert_str_eq(states, "nostate//starting\npaused/prelaunch/starting\nrunning/running/booted\n"
				 "shutdown/shutdown/guest\nshutoff//guest\n");
}
END_TEST

/* What QEMU does while there is no droverd is found out by the next one. */
START_TEST(test_without_a_daemon)
{
	static const char told[] =
		"{\"state\": \"shutdown\", \"status\": \"shutdown\", \"reason\": \"guest\", \"since\": 1.5}";
	static const char *const names[] = { "off", "told", "killed" };
	_cleanup_close_ int dir = -1;
	_cleanup_free_ char *path = xasprintf("%s/run/instances/told", rig->root);
	pid_t pids[ARRAY_SIZE(names)];

	guest_define(client, "off", "t.exit=poweroff", "");
	guest_define(client, "told", "t.exit=poweroff", "");
	guest_define_bare(client, "killed");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		pids[i] = guest_start(client, names[i]);
	rig_kill(rig);
	kill(pids[2], SIGKILL);
	process_await_end(pids[2]);
	guest_await_run_state(rig, "off", "shutdown");
	guest_await_run_state(rig, "told", "shutdown");
	/* as if it had been killed right after it heard of it */
	dir = file_open_dir(AT_FDCWD, path, NULL);
	ck_assert(file_write(dir, "observed.json", told, 0600, false, NULL));
	restart();
	client_await_state(client, "off", "shutoff", "guest");
	client_await_state(client, "told", "shutoff", "guest");
	client_await_state(client, "killed", "crashed", "signal 9");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		process_await_end(pids[i]);
		json_object_put(guest_settle(client, names[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		expect_nothing(names[i]);
	ck_assert_uint_eq(guest_said(rig, "off", "GUEST-DOWN"), 1);
}
END_TEST

/* ---- by us ---- */

START_TEST(test_guest_that_does_not_listen)
{
	_cleanup_json_ struct json_object *e = NULL, *o = NULL;
	pid_t pid;

	guest_define(client, "web1", "t.button=0 t.ga=0", "");
	pid = guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-UP", 1);
	e = client_error(client, "Timeout", "instance-shutdown", "{'instance': 'web1', 'timeout': 6}");
	ck_assert_str_eq(str_at(e, "step"), "wait for the guest");
	ck_assert(!json_object_get_boolean(at(e, "undone"))); /* it may still obey */
	guest_await(rig, "web1", "GUEST-BUTTON", 2);          /* it was pressed again */
	ck_assert(process_runs(pid));
	guest_expect(client, "web1", "running", "booted");
	o = client_ok(client, "instance-shutdown", "{'instance': 'web1', 'timeout': 1, 'then': 'stop'}");
	ck_assert_str_eq(str_at(o, "rung"), "stop");
	ck_assert_str_eq(str_at(o, "state"), "shutoff");
	ck_assert(!process_runs(pid));
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 0);
	guest_expect(client, "web1", "shutoff", "admin");
	expect_nothing("web1");
}
END_TEST

START_TEST(test_stop)
{
	_cleanup_json_ struct json_object *o = NULL, *again = NULL, *e = NULL;
	_cleanup_free_ char *states = NULL;
	int64_t seq;
	pid_t pid;

	guest_define_bare(client, "web1");
	pid = guest_start(client, "web1");
	seq = guest_now(client);
	json_object_put(client_ok(client, "instance-pause", "{'instance': 'web1'}"));
	e = client_error(client, "WrongState", "instance-shutdown", "{'instance': 'web1'}");
	o = client_ok(client, "instance-stop", "{'instance': 'web1'}");
	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_str_eq(str_at(o, "state"), "shutoff");
	ck_assert(!process_runs(pid));
	states = guest_states(client, "web1", seq);
	ck_assert_str_eq(states, "paused/paused/admin\nshutoff//admin\n");
	expect_nothing("web1");
	again = client_ok(client, "instance-stop", "{'instance': 'web1'}");
	ck_assert(!json_get_bool(again, "changed", true));
	for (const char *const *p = (const char *const[]){ "pause", "resume", "reset", NULL }; *p; p++) {
		_cleanup_free_ char *command = xasprintf("instance-%s", *p);

		json_object_put(client_error(client, "WrongState", command, "{'instance': 'web1'}"));
	}
}
END_TEST

/* A QEMU that is stopped by the kernel answers nobody: quit, then SIGTERM wait in vain, SIGKILL does not. */
START_TEST(test_stop_of_a_stopped_process)
{
	_cleanup_json_ struct json_object *o = NULL;
	pid_t pid;

	guest_define_bare(client, "web1");
	pid = guest_start(client, "web1");
	kill(pid, SIGSTOP);
	o = client_ok(client, "instance-stop", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(o, "state"), "shutoff");
	ck_assert(!process_runs(pid));
	guest_expect(client, "web1", "shutoff", "admin");
	expect_nothing("web1");
}
END_TEST

START_TEST(test_undefine_by_force)
{
	_cleanup_free_ char *before = rig_world(rig, false), *after = NULL;
	pid_t pid;

	guest_define_bare(client, "web1");
	pid = guest_start(client, "web1");
	json_object_put(client_error(client, "WrongState", "instance-undefine", "{'instance': 'web1'}"));
	ck_assert(process_runs(pid));
	json_object_put(client_ok(client, "instance-undefine", "{'instance': 'web1', 'force': true}"));
	ck_assert(!process_runs(pid));
	json_object_put(client_error(client, "NotFound", "query-instance", "{'instance': 'web1'}"));
	after = rig_world(rig, false);
	ck_assert_str_eq(before, after);
}
END_TEST

/* Again and again: what a life takes is given back. */
START_TEST(test_many_lives)
{
	enum { LIVES = 20 };
	_cleanup_free_ char *first = NULL;

	guest_define_bare(client, "web1");
	for (int i = 0; i < LIVES; i++) {
		guest_start(client, "web1");
		json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
		if (!first)
			first = rig_world_at_rest(rig, true);
		else
			rig_expect_world(rig, true, first);
	}
}
END_TEST

/* ---- by nobody's word ---- */

START_TEST(test_killed)
{
	static const struct {
		int signal;
		const char *reason;
	} cases[] = { { SIGKILL, "signal 9" }, { SIGSEGV, "signal 11" } };

	guest_define_bare(client, "web1");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *shown = NULL;

		kill(guest_start(client, "web1"), cases[i].signal);
		client_await_state(client, "web1", "crashed", cases[i].reason);
		expect_nothing("web1");
		shown = guest_query(client, "web1");
		ck_assert_int_eq(int_at(shown, "last.exit.signal"), cases[i].signal);
		/* the next life of droverd has not forgotten, nor the hour */
		rig_kill(rig);
		restart();
		guest_expect(client, "web1", "crashed", cases[i].reason);
		ck_assert(json_object_equal(at(shown, "since"), at(shown, "last.time")));
	}
	/* and it starts as ever */
	guest_start(client, "web1");
}
END_TEST

/* Somebody else told QEMU to end. */
START_TEST(test_terminated)
{
	pid_t pid;

	guest_define_bare(client, "web1");
	pid = guest_start(client, "web1");
	kill(pid, SIGTERM);
	client_await_state(client, "web1", "shutoff", "host");
	process_await_end(pid);
	expect_nothing("web1");
}
END_TEST

/* An operation that waits for QEMU ends with it. */
START_TEST(test_killed_under_an_operation)
{
	_cleanup_json_ struct json_object *o = NULL;
	int shutdown;
	pid_t pid;

	guest_define(client, "web1", "t.button=0 t.ga=0", "");
	pid = guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-UP", 1);
	shutdown = client_send(client, "instance-shutdown", "{'instance': 'web1'}");
	guest_await(rig, "web1", "GUEST-BUTTON", 1);
	kill(pid, SIGKILL);
	o = client_reply(client, shutdown);
	ck_assert_msg(has(o, "return") || str_eq(str_at(o, "error.class"), "GuestGone"), "%s",
		      json_object_to_json_string(o));
	expect_nothing("web1");
}
END_TEST

/* ---- before it began ---- */

START_TEST(test_refused_by_qemu)
{
	static const struct {
		const char *members, *words;
	} cases[] = {
		{ "'memory': '16M', 'hvparams': {'kvm_extra': '-nosuch'}", "invalid option" },
		{ "'memory': '900T'", "memory" },
		{ "'memory': '16M', 'hvparams': {'kvm_extra': '-device nosuch'}", "nosuch" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *e = NULL, *log = NULL, *stopped = NULL;
		_cleanup_free_ char *states = NULL;
		int64_t seq;

		client_define(client, "web1", "%s", cases[i].members);
		seq = guest_now(client);
		e = client_error(client, "QemuError", "instance-start", "{'instance': 'web1'}");
		ck_assert_msg(strcasestr(str_at(e, "log"), cases[i].words) != NULL, "QEMU's words: %s",
			      str_at(e, "log"));
		ck_assert(json_object_get_boolean(at(e, "undone")));
		ck_assert(has(e, "step"));
		guest_expect(client, "web1", "shutoff", "failed");
		expect_nothing("web1");
		log = client_ok(client, "query-log", "{'instance': 'web1'}");
		ck_assert_ptr_nonnull(strcasestr(str_at(log, "text"), cases[i].words));
		states = guest_states(client, "web1", seq);
		ck_assert_ptr_nonnull(strstr(states, "nostate//starting\n"));
		ck_assert_ptr_nonnull(strstr(states, "shutoff//failed\n"));
		stopped = client_ok(client, "instance-stop", "{'instance': 'web1'}");
		ck_assert(!json_get_bool(stopped, "changed", true));
	}
	/* a good definition starts on the spot */
	client_define(client, "web1", "%s", "'memory': '16M'");
	guest_start(client, "web1");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("guest, its end");
	TCase *tc = tcase_create("end");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_poweroff);
	tcase_add_test(tc, test_without_a_daemon);
	tcase_add_test(tc, test_guest_that_does_not_listen);
	tcase_add_test(tc, test_stop);
	tcase_add_test(tc, test_stop_of_a_stopped_process);
	tcase_add_test(tc, test_undefine_by_force);
	tcase_add_test(tc, test_many_lives);
	tcase_add_test(tc, test_killed);
	tcase_add_test(tc, test_terminated);
	tcase_add_test(tc, test_killed_under_an_operation);
	tcase_add_test(tc, test_refused_by_qemu);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
