/* SPDX-License-Identifier: BSD-2-Clause */
/* instance-reboot, as a real guest sees it: in the same process, in a new one, or not at all. */
#include "guest.h"
#include "one_rig.h"

#include <signal.h>

START_TEST(test_same_process)
{
	_cleanup_json_ struct json_object *o = NULL, *later = NULL;
	_cleanup_free_ char *states = NULL;
	int64_t seq;
	pid_t pid;

	guest_define(client, "web1", "", "");
	pid = guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-UP", 1);
	/* what holds at once is no reason for another process */
	json_object_put(client_ok(client, "instance-modify", "{'instance': 'web1', 'patch': {'description': 'x'}}"));
	seq = guest_now(client);
	o = client_ok(client, "instance-reboot", "{'instance': 'web1'}");
	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_str_eq(str_at(o, "process"), "same");
	ck_assert_str_eq(str_at(o, "state"), "running");
	guest_await(rig, "web1", "GUEST-UP", 2);
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
	states = guest_states(client, "web1", seq);
	ck_assert_str_eq(states, "shutdown/shutdown/admin\npaused/prelaunch/starting\nrunning/running/reset\n");
	/* from here on an end is the guest's own again */
	later = client_ok(client, "instance-qmp", "{'instance': 'web1', 'execute': 'system_powerdown'}");
	client_await_state(client, "web1", "shutoff", "guest");
	process_await_end(pid);
}
END_TEST

START_TEST(test_new_process)
{
	_cleanup_json_ struct json_object *o = NULL, *shown = NULL;
	_cleanup_free_ char *states = NULL;
	int64_t seq;
	pid_t pid, new_pid;

	guest_define(client, "web1", "t.shell=1", "");
	pid = guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-UP", 1);
	json_object_put(client_ok(client, "instance-modify", "{'instance': 'web1', 'patch': {'vcpus': 2}}"));
	seq = guest_now(client);
	o = client_ok(client, "instance-reboot", "{'instance': 'web1', 'job-id': 'mine'}");
	json_object_put(TAKE_PTR(o));
	client_await_state(client, "web1", "shutoff", "admin");
	client_await_state(client, "web1", "running", "booted");
	shown = guest_settle(client, "web1");
	ck_assert_int_eq(json_object_array_length(at(shown, "pending")), 0);
	o = client_ok(client, "query-jobs", "{}");
	ck_assert_str_eq(str_at(o, "0.result.process"), "new");
	ck_assert_str_eq(str_at(o, "0.result.state"), "running");
	new_pid = guest_pid(client, "web1");
	ck_assert_int_ne(new_pid, pid);
	ck_assert(!process_runs(pid));
	guest_await(rig, "web1", "GUEST-UP", 2);
	states = guest_states(client, "web1", seq);
	ck_assert_str_eq(states, "shutdown/shutdown/admin\nshutoff//admin\nnostate//starting\n"
				 "paused/prelaunch/starting\nrunning/running/booted\n");
	/* the guest has what was changed */
	{
		_cleanup_client_ struct client *console = client_new(rig);
		static const char typed[] = "echo CPUS-$(grep -c ^processor /proc/cpuinfo)-END\n";

		json_object_put(client_ok(console, "console-attach", "{'instance': 'web1'}"));
		client_write(console, typed, sizeof(typed) - 1);
		guest_await(rig, "web1", "CPUS-2-END", 1);
	}
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
}
END_TEST

/* Who does not listen goes on as it was. */
START_TEST(test_deaf)
{
	_cleanup_json_ struct json_object *e = NULL;
	pid_t pid;

	guest_define(client, "web1", "t.button=0 t.ga=0", "");
	pid = guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-UP", 1);
	json_object_put(client_ok(client, "instance-modify", "{'instance': 'web1', 'patch': {'vcpus': 2}}"));
	e = client_error(client, "Timeout", "instance-reboot", "{'instance': 'web1', 'timeout': 1}");
	ck_assert_str_eq(str_at(e, "step"), "wait for the guest");
	ck_assert(!json_get_bool(e, "undone", true)); /* the button cannot be unpressed */
	guest_await(rig, "web1", "GUEST-BUTTON", 1);
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-BUTTON"), 1);
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
	guest_expect(client, "web1", "running", "booted");
	/* an end that comes later is not ours */
	kill(pid, SIGKILL);
	client_await_state(client, "web1", "crashed", "signal 9");
}
END_TEST

START_TEST(test_wrong_states)
{
	guest_define_bare(client, "web1");
	json_object_put(client_error(client, "WrongState", "instance-reboot", "{'instance': 'web1'}"));
	json_object_put(client_error(client, "NotFound", "instance-reboot", "{'instance': 'web2'}"));
	json_object_put(
		client_error(client, "InvalidParameter", "instance-reboot", "{'instance': 'web1', 'timeout': -1}"));
	guest_start(client, "web1");
	json_object_put(client_ok(client, "instance-pause", "{'instance': 'web1'}"));
	json_object_put(client_error(client, "WrongState", "instance-reboot", "{'instance': 'web1'}"));
	guest_expect(client, "web1", "paused", "admin");
}
END_TEST

/* droverd falls while the guest is on its way down: the next one brings it up again. */
START_TEST(test_restart_meanwhile)
{
	_cleanup_json_ struct json_object *jobs = NULL;
	pid_t pid;

	guest_define(client, "web1", "", "");
	pid = guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-UP", 1);
	json_object_put(client_ok(client, "instance-reboot", "{'instance': 'web1', 'job-id': 'mine'}"));
	guest_await(rig, "web1", "GUEST-BUTTON", 1);
	rig_kill(rig);
	guest_await_run_state(rig, "web1", "shutdown");
	rig_start(rig);
	client_free(client);
	client = client_new(rig);
	guest_await(rig, "web1", "GUEST-UP", 2);
	client_await_state(client, "web1", "running", NULL);
	json_object_put(guest_settle(client, "web1"));
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
	jobs = client_ok(client, "query-jobs", "{}");
	ck_assert_str_eq(str_at(jobs, "0.id"), "mine");
	ck_assert_str_eq(str_at(jobs, "0.result.process"), "same");
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("reboot");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 300);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, test_same_process);
	tcase_add_test(tc, test_new_process);
	tcase_add_test(tc, test_deaf);
	tcase_add_test(tc, test_wrong_states);
	tcase_add_test(tc, test_restart_meanwhile);
	return s;
}

int main(void)
{
	return guest_main(make);
}
